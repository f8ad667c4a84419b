//! Where an entry's settings work: operating system, packages and read-only probes.
//!
//! A failed condition means "not applicable here", a fact that cannot be read means "unknown"; neither earns points. `applies`
//! never says who is vulnerable, that is the scanner's word (`design.md` 10).

use serde::{Deserialize, Serialize};

use crate::{
    text::{Cve, EntryId, Line, PackageName, PathPattern, ServiceName},
    version::{VersionRange, VersionScheme},
};

/// All conditions of an entry; every list must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applies {
    /// One of these operating systems; empty means any of the entry's platform.
    #[serde(default)]
    pub os: Vec<OsCondition>,
    /// Each of these holds.
    #[serde(default)]
    pub package: Vec<PackageCondition>,
    /// Each of these holds.
    #[serde(default)]
    pub probe: Vec<Probe>,
    /// CVEs that have to be patched on the asset before this entry may be used. The server decides that while planning.
    #[serde(default)]
    pub requires_fixed: Vec<Cve>,
    /// Entries that must not be in force together with this one. The server and the agent both look.
    #[serde(default)]
    pub conflicts: Vec<EntryId>,
}

/// An operating system and its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OsCondition {
    /// The distribution as `/etc/os-release` calls it, see [`OsRelease::is_family`].
    pub family: OsFamily,
    /// Versions by their dotted numbers; `9` covers `9.4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionRange>,
}

impl OsCondition {
    fn describe(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.family.title()),
            None => self.family.title().to_owned(),
        }
    }
}

impl PackageCondition {
    fn describe(&self) -> String {
        let names: Vec<&str> = self.any.iter().map(PackageName::as_str).collect();
        let version = self.version.as_ref().map_or_else(String::new, |version| format!(" in version {version}"));
        format!("{} is installed{version}", names.join(" or "))
    }
}

/// Families of distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OsFamily {
    /// Debian; without a version also everything made of it.
    Debian,
    /// Ubuntu; without a version also everything made of it.
    Ubuntu,
    /// Red Hat Enterprise Linux and its rebuilds, which carry the same version numbers.
    Rhel,
    /// Fedora itself.
    Fedora,
    /// SUSE Linux Enterprise and openSUSE Leap.
    Suse,
    /// Amazon Linux.
    Amazon,
    /// Alpine Linux.
    Alpine,
    /// Microsoft Windows, whose version is that of the kernel: `10.0.17763`.
    Windows,
}

impl OsFamily {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Debian, Self::Ubuntu, Self::Rhel, Self::Fedora, Self::Suse, Self::Amazon, Self::Alpine, Self::Windows];

    fn title(self) -> &'static str {
        match self {
            Self::Debian => "Debian",
            Self::Ubuntu => "Ubuntu",
            Self::Rhel => "RHEL",
            Self::Fedora => "Fedora",
            Self::Suse => "SUSE",
            Self::Amazon => "Amazon Linux",
            Self::Alpine => "Alpine",
            Self::Windows => "Windows",
        }
    }

    /// A name for all that may have been made of one another.
    fn kin(self) -> Self {
        match self {
            Self::Ubuntu => Self::Debian,
            Self::Rhel | Self::Amazon => Self::Fedora,
            other => other,
        }
    }

    /// The `ID`s whose `VERSION_ID` counts as this family's version.
    fn ids(self) -> &'static [&'static str] {
        match self {
            Self::Debian => &["debian"],
            Self::Ubuntu => &["ubuntu"],
            Self::Rhel => {
                &["rhel", "centos", "rocky", "almalinux", "ol", "eurolinux", "scientific", "virtuozzo", "miraclelinux"]
            }
            Self::Fedora => &["fedora"],
            Self::Suse => &["sles", "sled", "sles_sap", "opensuse-leap", "suse"],
            Self::Amazon => &["amzn"],
            Self::Alpine => &["alpine"],
            Self::Windows => &["windows"],
        }
    }
}

/// Whether two entries are meant for different systems: each names some, and none may have been made of another.
#[must_use]
pub fn apart(one: &[OsCondition], other: &[OsCondition]) -> bool {
    let named = |family: OsFamily| other.iter().any(|condition| condition.family.kin() == family.kin());
    !one.is_empty() && !other.is_empty() && !one.iter().any(|condition| named(condition.family))
}

/// Of entries against one weakness those that are done on a system: all but the ones that are surely meant for others, as long as one
/// is left. Where none is, all are tried: the agent says why not. Of a system that is not known nothing is left out.
#[must_use]
pub fn fitting<K: Copy>(rivals: &[(K, Vec<OsCondition>)], system: Option<&OsRelease>) -> Vec<K> {
    let all = || rivals.iter().map(|(entry, _)| *entry);
    let Some(system) = system else { return all().collect() };
    let fits = rivals.iter().filter(|(_, systems)| !system.is_surely_none_of(systems));
    let fitting: Vec<K> = fits.map(|(entry, _)| *entry).collect();
    if fitting.is_empty() { all().collect() } else { fitting }
}

/// What `/etc/os-release` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsRelease {
    /// `ID`.
    pub id: String,
    /// `ID_LIKE`, split at spaces.
    pub id_like: Vec<String>,
    /// `VERSION_ID`, empty on rolling distributions.
    pub version: String,
}

impl OsRelease {
    /// Read the text of `/etc/os-release`. `None` when it holds no `ID`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut found = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.trim().split_once('=') else { continue };
            let value = value.trim().trim_matches(['"', '\'']);
            match key {
                "ID" => found.id = value.to_lowercase(),
                "ID_LIKE" => found.id_like = value.split_whitespace().map(str::to_lowercase).collect(),
                "VERSION_ID" => found.version = value.to_owned(),
                _ => {}
            }
        }
        (!found.id.is_empty()).then_some(found)
    }

    /// Whether this is the family itself, so that its version numbers mean the same.
    #[must_use]
    pub fn is_family(&self, family: OsFamily) -> bool {
        family.ids().contains(&self.id.as_str())
    }

    /// Whether this is the family or made of it (`ID_LIKE`).
    #[must_use]
    pub fn is_like(&self, family: OsFamily) -> bool {
        self.is_family(family) || self.id_like.iter().any(|id| family.ids().contains(&id.as_str()))
    }

    /// Whether this is surely none of these systems, by `ID` and version alone: a system of a known family that no condition
    /// names. What it was made of (`ID_LIKE`) is guessed generously, so `false` says nothing.
    #[must_use]
    pub fn is_surely_none_of(&self, conditions: &[OsCondition]) -> bool {
        let Some(own) = OsFamily::ALL.into_iter().find(|family| self.is_family(*family)) else { return false };
        let may_be = |condition: &OsCondition| match condition.version {
            Some(_) => self.satisfies(condition),
            None => own.kin() == condition.family.kin(),
        };
        !conditions.is_empty() && !conditions.iter().any(may_be)
    }

    fn satisfies(&self, condition: &OsCondition) -> bool {
        match &condition.version {
            // Derived distributions number their versions differently, so a version asks for the family itself.
            Some(range) => self.is_family(condition.family) && range.contains(VersionScheme::Dotted, &self.version),
            None => self.is_like(condition.family),
        }
    }
}

/// One of some packages is installed, in some version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageCondition {
    /// Names in any package manager; one installed is enough.
    pub any: Vec<PackageName>,
    /// Versions in which the setting works; see [`crate::version`] for what a bound compares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionRange>,
}

/// A read-only question to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Probe {
    /// Something exists at the path (one match of a pattern is enough).
    #[serde(rename = "path.exists")]
    PathExists(PathProbe),
    /// Nothing exists at the path.
    #[serde(rename = "path.absent")]
    PathAbsent(PathProbe),
    /// No mount of one of these file system types in `/proc/mounts`.
    #[serde(rename = "mount.absent")]
    MountAbsent(MountProbe),
    /// A service of this name is installed, running or not.
    #[serde(rename = "service.exists")]
    ServiceExists(ServiceProbe),
}

impl Probe {
    /// The question in words, as people read it.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::PathExists(PathProbe { path }) => format!("{path} exists"),
            Self::PathAbsent(PathProbe { path }) => format!("there is nothing at {path}"),
            Self::ServiceExists(ServiceProbe { name }) => format!("the service {name} is installed"),
            Self::MountAbsent(MountProbe { types }) => {
                let types: Vec<&str> = types.iter().map(Line::as_str).collect();
                format!("no {} file system is mounted", types.join(" or "))
            }
        }
    }
}

/// Parameters of `path.exists` and `path.absent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathProbe {
    /// The path; `*` in its last part matches any file name.
    pub path: PathPattern,
}

/// Parameters of `service.exists`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceProbe {
    /// The service or unit.
    pub name: ServiceName,
}

/// Parameters of `mount.absent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountProbe {
    /// File system types as in the third column of `/proc/mounts`.
    pub types: Vec<Line>,
}

/// What a host can tell. `None` everywhere means "could not be read".
pub trait HostFacts {
    /// `/etc/os-release`.
    fn os(&self) -> Option<&OsRelease>;
    /// How the host's packages number their versions.
    fn version_scheme(&self) -> Option<VersionScheme>;
    /// The installed version of a package; `Some(None)` when it is known not to be installed.
    fn installed(&self, name: &PackageName) -> Option<Option<String>>;
    /// The answer to a probe.
    fn probe(&self, probe: &Probe) -> Option<bool>;
}

/// The answer to "does this entry apply here".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applicability {
    /// Every condition holds.
    Applicable,
    /// A condition does not hold: which one, for people.
    NotApplicable(String),
    /// A condition could not be decided: which one. Earns no points, like not applicable, but is shown as a gap.
    Unknown(String),
}

impl Applies {
    /// Decide by what the host tells. One failed condition is enough for "not applicable", even where another is unknown.
    #[must_use]
    pub fn decide(&self, host: &impl HostFacts) -> Applicability {
        let mut unknown = None;
        let answers = std::iter::once_with(|| self.decide_os(host))
            .chain(self.package.iter().map(|condition| decide_package(condition, host)))
            .chain(self.probe.iter().map(|probe| decide_probe(probe, host)));
        for answer in answers {
            match answer {
                Applicability::Applicable => {}
                Applicability::NotApplicable(_) => return answer,
                Applicability::Unknown(_) => unknown = unknown.or(Some(answer)),
            }
        }
        unknown.unwrap_or(Applicability::Applicable)
    }

    /// The conditions as people read them, each to follow "only where".
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let mut conditions = Vec::new();
        if !self.os.is_empty() {
            let systems: Vec<String> = self.os.iter().map(OsCondition::describe).collect();
            conditions.push(format!("the system is {}", systems.join(" or ")));
        }
        conditions.extend(self.package.iter().map(PackageCondition::describe));
        conditions.extend(self.probe.iter().map(Probe::describe));
        conditions.extend(self.requires_fixed.iter().map(|cve| format!("{cve} is patched")));
        conditions.extend(self.conflicts.iter().map(|entry| format!("{entry} is not in force")));
        conditions
    }

    fn decide_os(&self, host: &impl HostFacts) -> Applicability {
        if self.os.is_empty() {
            return Applicability::Applicable;
        }
        match host.os() {
            None => Applicability::Unknown("the operating system could not be recognised".to_owned()),
            Some(os) if self.os.iter().any(|condition| os.satisfies(condition)) => Applicability::Applicable,
            Some(os) => Applicability::NotApplicable(
                format!("not for this operating system ({} {})", os.id, os.version).replace(" )", ")"),
            ),
        }
    }
}

fn decide_package(condition: &PackageCondition, host: &impl HostFacts) -> Applicability {
    let names: Vec<&str> = condition.any.iter().map(PackageName::as_str).collect();
    let names = names.join(" or ");
    let mut unreadable = false;
    let mut other_version = None;
    for name in &condition.any {
        match (host.installed(name), &condition.version) {
            (None, _) => unreadable = true,
            (Some(None), _) => {}
            (Some(Some(_)), None) => return Applicability::Applicable,
            (Some(Some(version)), Some(range)) => match host.version_scheme() {
                None => unreadable = true,
                Some(scheme) if range.contains(scheme, &version) => return Applicability::Applicable,
                Some(_) => other_version = Some(format!("{name} is installed as {version}, needed is {range}")),
            },
        }
    }
    match other_version {
        Some(reason) if !unreadable => Applicability::NotApplicable(reason),
        _ if unreadable => Applicability::Unknown(format!("whether {names} is installed could not be read")),
        _ => Applicability::NotApplicable(format!("{names} is not installed")),
    }
}

fn decide_probe(probe: &Probe, host: &impl HostFacts) -> Applicability {
    match host.probe(probe) {
        Some(true) => Applicability::Applicable,
        Some(false) => Applicability::NotApplicable(format!("does not hold: {}", probe.describe())),
        None => Applicability::Unknown(format!("could not be read: {}", probe.describe())),
    }
}

#[cfg(test)]
#[path = "applies_tests.rs"]
mod tests;
