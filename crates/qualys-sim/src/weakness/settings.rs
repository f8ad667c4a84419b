//! Findings that are about a setting alone: no package, the setting is the remedy.

use super::{Gain, Judge, LOCAL, Safeguard, Weakness};

pub(super) const WEAKNESSES: &[Weakness] = &[
    Weakness {
        qid: 900_201,
        title: "SSH Server Permits Root Login With a Password",
        severity: 3,
        category: "General remote services",
        judge: Judge::Setting,
        safeguard: Safeguard::SshdKeyword("permitrootlogin", "no"),
        cvss: 6.5,
        vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:L/A:N",
        epss: 0.0,
        threats: "",
        score: 40,
        port: Some((22, "tcp")),
        gain: Gain::RemoteCode,
        diagnosis: "PermitRootLogin yes lets anybody on the network guess root's password.",
        workaround: "Set PermitRootLogin no.",
        ..LOCAL
    },
    Weakness {
        qid: 900_202,
        title: "SSH Server Forwards X11 Sessions",
        severity: 2,
        category: "General remote services",
        judge: Judge::Setting,
        safeguard: Safeguard::SshdKeyword("x11forwarding", "no"),
        cvss: 3.1,
        vector: "CVSS:3.1/AV:N/AC:H/PR:L/UI:N/S:U/C:L/I:N/A:N",
        epss: 0.0,
        threats: "",
        score: 22,
        port: Some((22, "tcp")),
        gain: Gain::Leak,
        diagnosis: "X11Forwarding yes opens users' screens to the server.",
        workaround: "Set X11Forwarding no.",
        ..LOCAL
    },
];
