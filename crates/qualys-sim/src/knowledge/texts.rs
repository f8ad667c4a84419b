//! The words of the knowledge base: titles, texts and the vocabulary of threats.

use super::{Entry, Knowledge};
use crate::roll::Roll;
use crate::weakness::{Gain, Weakness};

/// Information gathered: QID offset, title, category, diagnosis.
pub(super) const INFORMATION: &[(&str, &str, &str)] = &[
    (
        "Operating System Detected",
        "Information gathering",
        "The scanner recognised the operating system from its answers or by logging in.",
    ),
    ("Host Names Found", "Information gathering", "Names by which the host is known to name services."),
    ("Open TCP Services List", "TCP/IP", "Ports that accept connections and the service behind each."),
    ("Installed Packages on Host", "Local", "The package manager's list, read after logging in."),
    ("Secure Shell Server Banner", "General remote services", "The text with which the SSH server greets."),
    ("Scan Activity per Port", "Information gathering", "Seconds the scanner spent on each port."),
];

/// Well-known Windows entries: title, CVEs, severity, score, threats.
pub(super) const WINDOWS: &[(&str, &[&str], u8, u8, &str)] = &[
    (
        "Microsoft Windows Print Spooler Remote Code Execution (PrintNightmare)",
        &["CVE-2021-34527", "CVE-2021-1675"],
        5,
        96,
        "Exploit_Public,Active_Attacks,Ransomware,Cisa_Known_Exploited_Vulns,Remote_Code_Execution",
    ),
    (
        "Microsoft Windows SMB Signing Not Required",
        &["CVE-2025-33073"],
        4,
        83,
        "Exploit_Public,Active_Attacks,Cisa_Known_Exploited_Vulns",
    ),
    (
        "Microsoft Windows HTTP Protocol Stack Remote Code Execution",
        &["CVE-2022-21907"],
        5,
        85,
        "Exploit_Public,Remote_Code_Execution",
    ),
    (
        "WinVerifyTrust Signature Validation Not Enforced",
        &["CVE-2013-3900"],
        4,
        74,
        "Active_Attacks,Cisa_Known_Exploited_Vulns",
    ),
    (
        "Windows Server Update Services Remote Code Execution",
        &["CVE-2025-59287"],
        5,
        95,
        "Exploit_Public,Active_Attacks,Cisa_Known_Exploited_Vulns",
    ),
];

const PRODUCTS: &[(&str, &str)] = &[
    ("openssl", "openssl"),
    ("vim", "vim"),
    ("python3", "python"),
    ("perl", "perl"),
    ("nginx", "f5"),
    ("postgresql", "postgresql"),
    ("libxml2", "gnome"),
    ("expat", "libexpat"),
    ("bind9", "isc"),
    ("openjdk", "oracle"),
    ("git", "git"),
    ("tar", "gnu"),
    ("krb5", "mit"),
    ("samba", "samba"),
    ("php", "php"),
    ("ruby", "ruby-lang"),
    ("node", "openjs"),
    ("redis", "redis"),
    ("libtiff", "libtiff"),
    ("busybox", "busybox"),
];
const WINDOWS_PRODUCTS: &[(&str, &str)] = &[
    ("windows", "microsoft"),
    ("office", "microsoft"),
    ("edge", "microsoft"),
    (".net", "microsoft"),
    ("chrome", "google"),
    ("acrobat", "adobe"),
    ("7-zip", "7-zip"),
    ("vlc", "videolan"),
];
const FLAWS: &[(&str, Gain)] = &[
    ("Heap Buffer Overflow", Gain::RemoteCode),
    ("Use After Free", Gain::Root),
    ("Denial of Service", Gain::Outage),
    ("Information Disclosure", Gain::Leak),
    ("Privilege Escalation", Gain::Root),
    ("Improper Certificate Check", Gain::Leak),
    ("Path Traversal", Gain::Leak),
    ("Integer Overflow", Gain::RemoteCode),
];

fn consequence(gain: Gain) -> &'static str {
    match gain {
        Gain::RemoteCode => "An attacker who reaches the service may run code on the host.",
        Gain::Root => "A local user may gain the rights of the administrator.",
        Gain::Outage => "An attacker may stop the service or the whole host.",
        Gain::Leak => "An attacker may read or change data that should be protected.",
    }
}

/// Ids of the threat intelligence vocabulary, keyed by name.
fn threat_id(name: &str) -> u32 {
    match name {
        "Exploit_Public" => 2,
        "Active_Attacks" => 3,
        "High_Lateral_Movement" => 4,
        "Denial_of_Service" => 6,
        "No_Patch" => 8,
        "Ransomware" => 12,
        "Privilege_Escalation" => 13,
        "Remote_Code_Execution" => 15,
        "Cisa_Known_Exploited_Vulns" => 18,
        _ => 99,
    }
}

fn threats(list: &str) -> Vec<(u32, String)> {
    list.split(',').filter(|name| !name.is_empty()).map(|name| (threat_id(name), name.to_owned())).collect()
}

pub(super) fn of_weakness(weakness: &Weakness, blank: Entry) -> Entry {
    let update = if weakness.package.is_empty() {
        String::new()
    } else {
        let versions: Vec<String> = weakness
            .fixed
            .iter()
            .map(|(os, version)| format!("{} {}: {version}", os.release().0, os.release().1))
            .collect();
        format!("Install the corrected <B>{}</B> package:<BR>{}", weakness.package, versions.join("<BR>"))
    };
    let workaround = if weakness.workaround.is_empty() {
        String::new()
    } else {
        format!("<P>Workaround:<BR>{}", weakness.workaround)
    };
    Entry {
        title: weakness.title.to_owned(),
        category: weakness.category.to_owned(),
        cves: weakness.cves.iter().map(|cve| (*cve).to_owned()).collect(),
        software: (!weakness.package.is_empty()).then(|| (weakness.package.to_owned(), "linux".to_owned())),
        diagnosis: weakness.diagnosis.to_owned(),
        consequence: consequence(weakness.gain).to_owned(),
        solution: format!("{update}{workaround}"),
        patchable: !weakness.package.is_empty(),
        cvss3: Some((weakness.cvss, weakness.vector.to_owned())),
        threat_intelligence: threats(weakness.threats),
        remote: weakness.port.is_some(),
        epss: weakness.epss,
        ..blank
    }
}

pub(super) fn of_windows(known: &(&str, &[&str], u8, u8, &str), blank: Entry) -> Entry {
    let (title, cves, _, _, list) = *known;
    Entry {
        title: title.to_owned(),
        category: "Windows".to_owned(),
        cves: cves.iter().map(|cve| (*cve).to_owned()).collect(),
        software: Some(("windows".to_owned(), "microsoft".to_owned())),
        diagnosis: "The host lacks the update or the setting that closes this weakness.".to_owned(),
        consequence: consequence(Gain::RemoteCode).to_owned(),
        solution: "Install the current cumulative update, or apply the vendor's setting.".to_owned(),
        cvss3: Some((8.8, "CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H".to_owned())),
        threat_intelligence: threats(list),
        auth_types: vec!["Windows"],
        epss: 0.5,
        ..blank
    }
}

pub(super) fn ordinary(roll: &mut Roll, blank: &Entry) -> Entry {
    let windows = Knowledge::is_windows(blank.qid);
    let (product, vendor) = *roll.pick(if windows { WINDOWS_PRODUCTS } else { PRODUCTS });
    let (flaw, gain) = *roll.pick(FLAWS);
    let cves =
        (0..roll.below(3) + u64::from(!roll.chance(20))).map(|at| format!("CVE-2025-{}{}", blank.qid, at)).collect();
    let base = f32::from(blank.severity) * 1.9 + f32::from(u8::try_from(roll.below(5)).unwrap_or(0)) / 10.0;
    Entry {
        title: format!("{product} Security Update: {flaw} (SIM-{})", blank.qid),
        category: if windows { "Windows" } else { "Local" }.to_owned(),
        cves,
        software: Some((product.to_owned(), vendor.to_owned())),
        reference: Some((format!("SIM-{}", blank.qid), format!("https://advisories.example/SIM-{}", blank.qid))),
        diagnosis: format!(
            "The installed version of <B>{product}</B> has a flaw of the kind &quot;{flaw}&quot;.<P>\
             The check compares the installed version with the first corrected one.<BR>"
        ),
        consequence: consequence(gain).to_owned(),
        solution: format!(
            "Update {product} to the version named in <A HREF=\"https://advisories.example/SIM-{}\">the advisory</A>.",
            blank.qid
        ),
        cvss3: Some((base.min(10.0), "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:L/A:L".to_owned())),
        threat_intelligence: if roll.chance(15) { threats("Exploit_Public") } else { Vec::new() },
        remote: blank.port.is_some(),
        auth_types: if windows { vec!["Windows"] } else { vec!["Unix"] },
        epss: f32::from(u8::try_from(roll.below(40)).unwrap_or(0)) / 1000.0,
        ..blank.clone()
    }
}
