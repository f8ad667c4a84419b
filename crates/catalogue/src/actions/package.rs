//! Parameters of `package.state`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::text::{Line, PackageName};

/// Package managers that `package.state` may name packages for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageManager {
    /// Debian and derivatives.
    Apt,
    /// Fedora, RHEL 8 and later.
    Dnf,
    /// RHEL 7.
    Yum,
    /// SUSE.
    Zypper,
}

/// Parameters of `package.state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PackageStateFields", into = "PackageStateFields")]
pub struct PackageState {
    /// What is wanted of every package named that is known to the host's package manager.
    pub want: PackageWant,
    /// Package names by package manager; at least one.
    pub names: BTreeMap<PackageManager, Vec<PackageName>>,
}

/// What `package.state` wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageWant {
    /// None of the packages is installed.
    Absent,
    /// All of the packages are installed.
    Present,
    /// None of the packages is installed in one of these versions; `*` stands for any characters.
    NotVersion {
        /// Version patterns.
        versions: Vec<Line>,
    },
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WantWord {
    Absent,
    Present,
    NotVersion,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackageStateFields {
    want: WantWord,
    names: BTreeMap<PackageManager, Vec<PackageName>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    versions: Vec<Line>,
}

impl TryFrom<PackageStateFields> for PackageState {
    type Error = &'static str;

    fn try_from(fields: PackageStateFields) -> Result<Self, &'static str> {
        if fields.names.is_empty() || fields.names.values().any(Vec::is_empty) {
            return Err("package.state: names needs at least one package for every package manager it lists");
        }
        let want = match (fields.want, fields.versions.is_empty()) {
            (WantWord::Absent, true) => PackageWant::Absent,
            (WantWord::Present, true) => PackageWant::Present,
            (WantWord::NotVersion, false) => PackageWant::NotVersion { versions: fields.versions },
            (WantWord::NotVersion, true) => return Err("package.state: want = \"not-version\" needs versions"),
            (_, false) => return Err("package.state: versions belongs to want = \"not-version\" only"),
        };
        Ok(Self { want, names: fields.names })
    }
}

impl From<PackageState> for PackageStateFields {
    fn from(value: PackageState) -> Self {
        let (want, versions) = match value.want {
            PackageWant::Absent => (WantWord::Absent, Vec::new()),
            PackageWant::Present => (WantWord::Present, Vec::new()),
            PackageWant::NotVersion { versions } => (WantWord::NotVersion, versions),
        };
        Self { want, names: value.names, versions }
    }
}
