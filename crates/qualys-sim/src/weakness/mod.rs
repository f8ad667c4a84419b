//! The demo set: weaknesses of real Linux systems whose truth can be read from a host's root folder.
//!
//! CVE numbers and package names are real, every text is ours, and the "fixed in" versions are the simulator's own table: it decides what
//! this scanner says, it is no advisory. Two questions are kept apart because the difference is what Quell is about:
//! does the *scanner* still see it ([`Judge`]), and is it *exploitable* as the host is configured ([`Safeguard`])?

mod kernel;
mod packages;
mod settings;

use crate::os::Os;

/// What the scanner's signature looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// The installed package version. A setting that blocks the weakness does not make the finding go away.
    Version,
    /// The package version *and* the setting: the setting is the remedy, so the finding becomes Fixed once it is in place.
    Setting,
}

/// How a kernel setting has to compare with the wanted value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Exactly the value.
    Equal,
    /// The value or more.
    AtLeast,
    /// The value or less.
    AtMost,
}

/// The configuration that keeps a weakness from being exploited without a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safeguard {
    /// Nothing short of the update helps.
    None,
    /// sshd's effective `LoginGraceTime` is 0.
    SshdLoginGraceZero,
    /// sshd offers neither ChaCha20-Poly1305 nor encrypt-then-MAC.
    SshdNoTerrapin,
    /// sshd's effective value of a keyword (lower case), compared without case.
    SshdKeyword(&'static str, &'static str),
    /// The ssh client's effective value of a keyword for all hosts.
    SshClientKeyword(&'static str, &'static str),
    /// Every module is mapped to a command that fails, is not loaded and not built in.
    ModulesBlocked(&'static [&'static str]),
    /// Kernel settings, both in force (`proc/sys`) and persisted (`sysctl.d`).
    Sysctl(&'static [(&'static str, Comparison, i64)]),
    /// The unit is masked or not enabled.
    ServiceOff(&'static str),
    /// The file is missing or has no setuid bit.
    NoSetuid(&'static str),
    /// None of the packages is installed.
    PackagesAbsent(&'static [&'static str]),
    /// Some file of the folder (or the file itself) holds every one of the texts, comment lines and blanks left out.
    Says(&'static str, &'static [&'static str]),
    /// Postfix refuses bare newlines, or at least pipelining and chunking.
    PostfixNoSmuggling,
}

/// What an attacker gains; chooses the wording of the consequence text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gain {
    /// Runs code over the network.
    RemoteCode,
    /// Becomes root from a local account.
    Root,
    /// Stops the host or a service.
    Outage,
    /// Reads or changes what should be protected.
    Leak,
}

/// One signature of the demo set.
#[derive(Debug, Clone, Copy)]
pub struct Weakness {
    /// The QID, in 900000-900999.
    pub qid: u32,
    /// Title of the signature.
    pub title: &'static str,
    /// CVE numbers; empty for pure configuration findings.
    pub cves: &'static [&'static str],
    /// Severity 1 to 5.
    pub severity: u8,
    /// Knowledge base category.
    pub category: &'static str,
    /// What the signature looks at.
    pub judge: Judge,
    /// What blocks exploitation without a patch.
    pub safeguard: Safeguard,
    /// The package whose version counts; `linux-image` stands for the installed kernel; empty = no package.
    pub package: &'static str,
    /// First version without the weakness, per release. A release that is not listed is not affected.
    pub fixed: &'static [(Os, &'static str)],
    /// CVSS version 3 base score.
    pub cvss: f32,
    /// CVSS version 3 vector.
    pub vector: &'static str,
    /// Exploit prediction score, 0 to 1.
    pub epss: f32,
    /// Real-time threat indicators, as the scanner lists them.
    pub threats: &'static str,
    /// Detection score before the seed's variation.
    pub score: u8,
    /// TCP or UDP port of a finding made over the network.
    pub port: Option<(u16, &'static str)>,
    /// What an attacker gains.
    pub gain: Gain,
    /// What is wrong, in our words.
    pub diagnosis: &'static str,
    /// What helps until the update, in our words; empty when nothing does.
    pub workaround: &'static str,
}

/// Starting point of the entries: a local package weakness.
pub(crate) const LOCAL: Weakness = Weakness {
    qid: 0,
    title: "",
    cves: &[],
    severity: 4,
    category: "Local",
    judge: Judge::Version,
    safeguard: Safeguard::None,
    package: "",
    fixed: &[],
    cvss: 7.8,
    vector: "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H",
    epss: 0.01,
    threats: "Privilege_Escalation",
    score: 72,
    port: None,
    gain: Gain::Root,
    diagnosis: "",
    workaround: "",
};

impl Weakness {
    /// The first version of the package that is no longer affected on a release.
    pub fn fixed_on(&self, os: Os) -> Option<&'static str> {
        self.fixed.iter().find(|(release, _)| *release == os).map(|(_, version)| *version)
    }
}

/// Every weakness of the demo set, ordered by QID.
pub fn all() -> impl Iterator<Item = &'static Weakness> {
    packages::WEAKNESSES.iter().chain(kernel::WEAKNESSES).chain(settings::WEAKNESSES)
}

/// The weakness of a QID.
pub fn find(qid: u32) -> Option<&'static Weakness> {
    // Most QIDs lie elsewhere, and every row of every detection list asks.
    if !(900_000..901_000).contains(&qid) {
        return None;
    }
    all().find(|weakness| weakness.qid == qid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn qids_are_unique_ascending_and_in_their_range() {
        let qids: Vec<u32> = all().map(|weakness| weakness.qid).collect();
        assert!(qids.is_sorted(), "{qids:?}");
        assert_eq!(qids.iter().collect::<BTreeSet<_>>().len(), qids.len());
        assert!(qids.iter().all(|qid| (900_000..901_000).contains(qid)));
    }

    #[test]
    fn every_entry_says_what_it_is() {
        for weakness in all() {
            assert!(!weakness.title.is_empty() && !weakness.diagnosis.is_empty(), "{}", weakness.qid);
            assert!(weakness.package.is_empty() == weakness.fixed.is_empty(), "{}", weakness.qid);
            assert!((1..=5).contains(&weakness.severity) && (1..=100).contains(&weakness.score));
            assert!(weakness.safeguard != Safeguard::None || weakness.workaround.is_empty(), "{}", weakness.qid);
            let setting = weakness.judge == Judge::Setting;
            assert!(!setting || weakness.safeguard != Safeguard::None, "{}", weakness.qid);
        }
    }

    #[test]
    fn at_least_one_signature_has_several_cves_and_one_has_no_way_out() {
        assert!(all().any(|weakness| weakness.cves.len() > 3));
        assert!(all().any(|weakness| weakness.safeguard == Safeguard::None));
    }
}
