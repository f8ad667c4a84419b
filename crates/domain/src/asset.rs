//! What an asset is, and when an agent's claims prove that it sits on one.
//!
//! Which agent is which asset is decided by scanner agent UUID, else machine id plus MAC, never by IP or
//! name alone (design, section 10): a wrong link would mitigate the wrong machine.

use crate::id::AssetId;
use serde::{Deserialize, Serialize};

/// The family of operating system a mitigation is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Microsoft Windows.
    Windows,
    /// Any Linux.
    Linux,
    /// Apple macOS: shown, never mitigated (R8).
    Macos,
    /// Anything else, and what nobody recognised.
    Other,
}

impl Platform {
    /// Every word.
    pub const WORDS: &'static [&'static str] =
        &[Platform::Windows.as_str(), Platform::Linux.as_str(), Platform::Macos.as_str(), Platform::Other.as_str()];

    /// The word used in the database, the API and the query language.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Platform::Windows => "windows",
            Platform::Linux => "linux",
            Platform::Macos => "macos",
            Platform::Other => "other",
        }
    }

    /// The word back to the value; unknown words are `Other`.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "windows" => Platform::Windows,
            "linux" => Platform::Linux,
            "macos" => Platform::Macos,
            _ => Platform::Other,
        }
    }

    /// As people write it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Platform::Windows => "Windows",
            Platform::Linux => "Linux",
            Platform::Macos => "macOS",
            Platform::Other => "Other",
        }
    }

    /// Recognise the platform in a scanner's operating system text.
    #[must_use]
    pub fn from_os(os: &str) -> Self {
        const LINUX: [&str; 20] = [
            "linux",
            "ubuntu",
            "debian",
            "red hat",
            "rhel",
            "centos",
            "fedora",
            "rocky",
            "almalinux",
            "suse",
            "sles",
            "oracle enterprise",
            "amazon ami",
            "gentoo",
            "kali",
            "alpine",
            "mint",
            "arch ",
            "scientific",
            "photon",
        ];
        let os = os.to_lowercase();
        if os.contains("windows") {
            Platform::Windows
        } else if os.contains("mac os") || os.contains("macos") || os.contains("os x") {
            Platform::Macos
        } else if LINUX.iter().any(|word| os.contains(word)) {
            Platform::Linux
        } else {
            Platform::Other
        }
    }
}

/// What identifies a machine, as one party tells it. From an agent it is a claim, not a proof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The scanner agent's own UUID on that machine (Qualys: `QG_HOSTID`), lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanner_uuid: Option<String>,
    /// The machine id of the operating system (`/etc/machine-id`), lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// Hardware addresses, lower case with colons, without the all-zero one.
    #[serde(default)]
    pub macs: Vec<String>,
}

/// What is known of one asset for the purpose of linking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The asset.
    pub asset: AssetId,
    /// What its scanners, or an earlier agent, said of it.
    pub identity: Identity,
    /// Another agent is linked to it already.
    pub claimed: bool,
}

/// The result of linking an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Exactly one free asset is proved; the text is the evidence.
    Linked(AssetId, String),
    /// Nothing matches: the agent makes an asset of its own.
    Unknown,
    /// Several assets match, or one that another agent holds: a person decides.
    Ambiguous(String),
}

/// Decide which asset an agent sits on.
#[must_use]
pub fn link(claim: &Identity, candidates: &[Candidate]) -> Link {
    if let Some(uuid) = claim.scanner_uuid.as_deref() {
        let matching: Vec<&Candidate> =
            candidates.iter().filter(|c| c.identity.scanner_uuid.as_deref() == Some(uuid)).collect();
        if !matching.is_empty() {
            return one(&matching, &format!("scanner agent UUID {uuid}"));
        }
    }
    let Some(machine_id) = claim.machine_id.as_deref() else { return Link::Unknown };
    let matching: Vec<&Candidate> = candidates
        .iter()
        .filter(|c| c.identity.machine_id.as_deref() == Some(machine_id))
        .filter(|c| c.identity.macs.iter().any(|mac| claim.macs.contains(mac)))
        .collect();
    if matching.is_empty() {
        return Link::Unknown;
    }
    one(&matching, &format!("machine id {machine_id} and a MAC address"))
}

fn one(matching: &[&Candidate], evidence: &str) -> Link {
    match matching {
        [only] if only.claimed => Link::Ambiguous(format!("{evidence} belongs to an asset that another agent holds")),
        [only] => Link::Linked(only.asset, evidence.to_owned()),
        several => Link::Ambiguous(format!("{evidence} matches {} assets", several.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(uuid: Option<&str>, machine: Option<&str>, macs: &[&str]) -> Identity {
        Identity {
            scanner_uuid: uuid.map(str::to_owned),
            machine_id: machine.map(str::to_owned),
            macs: macs.iter().map(|&mac| mac.to_owned()).collect(),
        }
    }

    fn candidate(asset: i64, identity: Identity, claimed: bool) -> Candidate {
        Candidate { asset: AssetId(asset), identity, claimed }
    }

    #[test]
    fn a_scanner_uuid_decides_alone() {
        let all = [
            candidate(1, identity(Some("u1"), None, &[]), false),
            candidate(2, identity(Some("u2"), None, &[]), false),
        ];
        assert!(matches!(link(&identity(Some("u2"), Some("m"), &[]), &all), Link::Linked(AssetId(2), _)));
    }

    #[test]
    fn a_machine_id_needs_a_mac_beside_it() {
        let all = [candidate(1, identity(None, Some("m"), &["aa"]), false)];
        assert_eq!(link(&identity(None, Some("m"), &["bb"]), &all), Link::Unknown);
        assert!(matches!(link(&identity(None, Some("m"), &["bb", "aa"]), &all), Link::Linked(AssetId(1), _)));
    }

    #[test]
    fn a_cloned_or_claimed_machine_is_left_to_a_person() {
        let twin = || candidate(1, identity(Some("u"), None, &[]), false);
        assert!(matches!(link(&identity(Some("u"), None, &[]), &[twin(), twin()]), Link::Ambiguous(_)));
        let held = candidate(1, identity(Some("u"), None, &[]), true);
        assert!(matches!(link(&identity(Some("u"), None, &[]), &[held]), Link::Ambiguous(_)));
    }

    #[test]
    fn operating_systems_are_recognised() {
        for (os, platform) in [
            ("Windows Server 2019 Datacenter", Platform::Windows),
            ("Red Hat Enterprise Linux Server 7.9", Platform::Linux),
            ("Ubuntu 22.04", Platform::Linux),
            ("Mac OS X 10.15", Platform::Macos),
            ("Cisco IOS 15", Platform::Other),
            ("", Platform::Other),
        ] {
            assert_eq!(Platform::from_os(os), platform, "{os}");
        }
    }
}
