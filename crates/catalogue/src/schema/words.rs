//! The closed vocabularies of an entry: status, platform, risk and the like, each with the word that is written.

use domain::asset::Platform;
use serde::{Deserialize, Serialize};

/// Where an entry is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Being written; never offered.
    Draft,
    /// Offered.
    Active,
    /// Tells exposure, changes nothing, earns no points.
    CheckOnly,
    /// Another entry took its place: no new use, reverts work.
    Superseded,
    /// Taken back: no new use, reverts work.
    Withdrawn,
}

impl Status {
    /// The word used in entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::CheckOnly => "check-only",
            Self::Superseded => "superseded",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// What an entry runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryPlatform {
    /// Microsoft Windows.
    Windows,
    /// Any Linux.
    Linux,
    /// Both: applications such as Java or Git.
    Any,
}

impl EntryPlatform {
    /// Whether it runs on an asset of this platform.
    #[must_use]
    pub fn covers(self, platform: Platform) -> bool {
        match self {
            Self::Windows => platform == Platform::Windows,
            Self::Linux => platform == Platform::Linux,
            Self::Any => matches!(platform, Platform::Windows | Platform::Linux),
        }
    }

    /// The word used in entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Windows => "windows",
            Self::Linux => "linux",
            Self::Any => "any",
        }
    }
}

/// The headline kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Headline {
    /// A line in a configuration file.
    ConfigLine,
    /// A kernel module.
    KernelModule,
    /// A kernel parameter.
    Sysctl,
    /// A service.
    Service,
    /// Permissions of a file.
    FilePermission,
    /// A package.
    Package,
    /// A firewall rule.
    Firewall,
    /// A Windows registry value.
    Registry,
    /// An optional feature.
    Feature,
}

impl Headline {
    /// The word used in entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigLine => "config-line",
            Self::KernelModule => "kernel-module",
            Self::Sysctl => "sysctl",
            Self::Service => "service",
            Self::FilePermission => "file-permission",
            Self::Package => "package",
            Self::Firewall => "firewall",
            Self::Registry => "registry",
            Self::Feature => "feature",
        }
    }
}

/// From where a weakness is reached, in the words of CVSS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vector {
    /// From anywhere.
    Network,
    /// From the same network segment or radio range.
    Adjacent,
    /// By a user or program on the machine.
    Local,
    /// By touching the machine.
    Physical,
}

impl Vector {
    /// The word used in entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Adjacent => "adjacent",
            Self::Local => "local",
            Self::Physical => "physical",
        }
    }
}

/// Whether a reboot is needed before an entry is effective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reboot {
    /// No.
    No,
    /// Only where a module stays loaded.
    IfLoaded,
    /// Always.
    Required,
}

impl Reboot {
    /// The word used in entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::IfLoaded => "if-loaded",
            Self::Required => "required",
        }
    }
}

/// Whether an entry can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reversible {
    /// At once.
    Yes,
    /// With the next reboot.
    AtReboot,
    /// No.
    No,
}

impl Reversible {
    /// The word used in entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::AtReboot => "at-reboot",
            Self::No => "no",
        }
    }
}

/// How much can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Nobody should notice.
    Low,
    /// Some users may notice.
    Medium,
    /// A service people rely on may stop.
    High,
}

impl Risk {
    /// The word used in entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// Whose word a reference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReferenceKind {
    /// Who makes or distributes the product.
    Vendor,
    /// Who assigned the CVE.
    Cna,
    /// A national or sector response team.
    Cert,
    /// Who found the weakness.
    Researcher,
}

impl ReferenceKind {
    /// The word used in entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vendor => "vendor",
            Self::Cna => "cna",
            Self::Cert => "cert",
            Self::Researcher => "researcher",
        }
    }
}

/// How a reference was read when the entry was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    /// The issuer's own text or data feed.
    Vendor,
    /// The issuer's text in somebody else's copy.
    Mirror,
}
