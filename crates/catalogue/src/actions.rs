//! The kinds of action an entry is made of: each a wanted state with typed parameters, never a script.
//!
//! What check, apply and revert of each kind do on a host is the agent's business; this module says what may be asked and where
//! (`allowed_path`). Kinds that are documented but not built yet are refused while parsing, which rejects that entry only.

mod file;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::text::{Line, ModuleName, PackageName, ServiceName, SysctlKey};

pub use file::{
    FileBits, FileBitsError, FileDropin, FileMode, FileSetting, ModeBit, ModeChange, SettingFormat, Validator,
};

/// One wanted state. Actions of an entry are applied in order and reverted in reverse order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Action {
    /// A setting in a configuration file has a value *in effect* (first or last wins, includes followed, by format).
    #[serde(rename = "file.setting")]
    FileSetting(FileSetting),
    /// A small file of ours exists with exact content and mode.
    #[serde(rename = "file.dropin")]
    FileDropin(FileDropin),
    /// Permission bits of files.
    #[serde(rename = "file.mode")]
    FileMode(FileMode),
    /// A kernel parameter, both now and after a reboot.
    #[serde(rename = "kernel.sysctl")]
    KernelSysctl(KernelSysctl),
    /// A kernel module cannot be loaded and is not loaded.
    #[serde(rename = "kernel.module")]
    KernelModule(KernelModule),
    /// Run and start state of a service.
    #[serde(rename = "service.state")]
    ServiceState(ServiceState),
    /// Packages are absent, present, or not of some versions.
    #[serde(rename = "package.state")]
    PackageState(PackageState),
}

/// Every action kind this version knows, as written in entries.
pub const ACTION_KINDS: [&str; 7] =
    ["file.setting", "file.dropin", "file.mode", "kernel.sysctl", "kernel.module", "service.state", "package.state"];

impl Action {
    /// The kind as written in entries.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::FileSetting(_) => "file.setting",
            Self::FileDropin(_) => "file.dropin",
            Self::FileMode(_) => "file.mode",
            Self::KernelSysctl(_) => "kernel.sysctl",
            Self::KernelModule(_) => "kernel.module",
            Self::ServiceState(_) => "service.state",
            Self::PackageState(_) => "package.state",
        }
    }

    /// What an agent must be able to do, `kind@version`, as it states in every poll.
    #[must_use]
    pub fn capability(&self) -> String {
        format!("{}@1", self.kind())
    }

    /// What the action acts on, for people and for conflict detection: two actions with the same key want the same thing to
    /// be in some state.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::FileSetting(FileSetting { path, section: Some(section), key, .. }) => {
                format!("{path} [{section}] {key}")
            }
            Self::FileSetting(FileSetting { path, key, .. }) => format!("{path} {key}"),
            Self::FileDropin(FileDropin { path, .. }) => path.to_string(),
            Self::FileMode(FileMode { path, .. }) => path.to_string(),
            Self::KernelSysctl(KernelSysctl { key, .. }) => key.to_string(),
            Self::KernelModule(KernelModule { name, .. }) => name.to_string(),
            Self::ServiceState(ServiceState { name, .. }) => name.to_string(),
            Self::PackageState(PackageState { names, .. }) => {
                let mut all: Vec<&str> = names.values().flatten().map(PackageName::as_str).collect();
                all.sort_unstable();
                all.dedup();
                all.join(", ")
            }
        }
    }

    /// The wanted state in a few words, for people: `LoginGraceTime = 0`, `blocked`.
    #[must_use]
    pub fn wanted(&self) -> String {
        match self {
            Self::FileSetting(FileSetting { key, value, .. }) => format!("{key} = {value}"),
            Self::FileDropin(FileDropin { mode, .. }) => format!("file of ours, mode {mode}"),
            Self::FileMode(FileMode { change, .. }) => change.to_string(),
            Self::KernelSysctl(KernelSysctl { key, op, value }) => format!("{key} {op} {value}"),
            Self::KernelModule(_) => "blocked and not loaded".to_owned(),
            Self::ServiceState(ServiceState { running, start, .. }) => {
                format!("{}, start {start}", if *running { "running" } else { "stopped" })
            }
            Self::PackageState(PackageState { want, .. }) => match want {
                PackageWant::Absent => "not installed".to_owned(),
                PackageWant::Present => "installed".to_owned(),
                PackageWant::NotVersion { versions } => {
                    let versions: Vec<&str> = versions.iter().map(Line::as_str).collect();
                    format!("not version {}", versions.join(" or "))
                }
            },
        }
    }

    /// The path the action writes to, where it names one.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::FileSetting(FileSetting { path, .. }) | Self::FileDropin(FileDropin { path, .. }) => {
                Some(path.as_str())
            }
            Self::FileMode(FileMode { path, .. }) => Some(path.as_str()),
            Self::KernelSysctl(_) | Self::KernelModule(_) | Self::ServiceState(_) | Self::PackageState(_) => None,
        }
    }

    /// Whether the path lies where this kind may write. Entries are linted with it and agents ask it again: a signed entry is
    /// no reason to write anywhere else.
    #[must_use]
    pub fn path_is_allowed(&self) -> bool {
        self.path().is_none_or(|path| allowed_path(self.kind(), path))
    }

    /// The validator the action names.
    #[must_use]
    pub fn validator(&self) -> Option<Validator> {
        match self {
            Self::FileSetting(FileSetting { validate, .. }) | Self::FileDropin(FileDropin { validate, .. }) => {
                *validate
            }
            _ => None,
        }
    }
}

/// Whether an action kind may write to this path (catalogue README 3, "safety rails"): configuration below `/etc` for settings
/// and drop-ins, without the files that decide who may log in at all; programs below `/usr`, `/bin`, `/sbin` and `/opt` for
/// permission bits.
#[must_use]
pub fn allowed_path(kind: &str, path: &str) -> bool {
    const NEVER: [&str; 14] = [
        "/etc/passwd",
        "/etc/passwd-",
        "/etc/shadow",
        "/etc/shadow-",
        "/etc/group",
        "/etc/group-",
        "/etc/gshadow",
        "/etc/gshadow-",
        "/etc/sudoers",
        "/etc/fstab",
        "/etc/machine-id",
        "/etc/ld.so.preload",
        "/etc/ld.so.conf",
        "/etc/crypttab",
    ];
    const NEVER_BELOW: [&str; 5] = ["/etc/cron", "/etc/systemd/", "/etc/init", "/etc/profile", "/etc/quell"];
    let below = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
    match kind {
        "file.setting" | "file.dropin" => below(&["/etc/"]) && !NEVER.contains(&path) && !below(&NEVER_BELOW),
        "file.mode" => below(&["/usr/", "/bin/", "/sbin/", "/opt/"]),
        _ => false,
    }
}

/// Parameters of `kernel.sysctl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelSysctl {
    /// The parameter.
    pub key: SysctlKey,
    /// How the value is compared.
    pub op: SysctlOp,
    /// The bound; apply writes exactly this where the present value does not satisfy it.
    pub value: i64,
}

impl KernelSysctl {
    /// Whether a value read from the kernel satisfies the wanted state.
    #[must_use]
    pub fn is_satisfied_by(&self, present: i64) -> bool {
        match self.op {
            SysctlOp::Eq => present == self.value,
            SysctlOp::Ge => present >= self.value,
            SysctlOp::Le => present <= self.value,
        }
    }
}

/// Comparison of `kernel.sysctl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SysctlOp {
    /// Exactly the value.
    Eq,
    /// The value or more (more is stricter).
    Ge,
    /// The value or less (less is stricter).
    Le,
}

impl fmt::Display for SysctlOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eq => "=",
            Self::Ge => ">=",
            Self::Le => "<=",
        })
    }
}

/// Parameters of `kernel.module`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelModule {
    /// The module.
    pub name: ModuleName,
    /// Must be `true`: the only wanted state there is.
    pub blocked: Blocked,
}

/// The word `true`. A type, so that `blocked = false` is refused rather than ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "bool", into = "bool")]
pub struct Blocked;

impl TryFrom<bool> for Blocked {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, &'static str> {
        if value { Ok(Self) } else { Err("kernel.module: blocked must be true; unblocking is what a revert does") }
    }
}

impl From<Blocked> for bool {
    fn from(_: Blocked) -> Self {
        true
    }
}

/// Parameters of `service.state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceState {
    /// The service or unit.
    pub name: ServiceName,
    /// Whether it runs.
    pub running: bool,
    /// How it starts.
    pub start: ServiceStart,
}

/// How a service starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceStart {
    /// With the system.
    Auto,
    /// When asked for.
    Manual,
    /// Not by itself; a person or another unit still can.
    Disabled,
    /// Not at all (systemd: masked).
    Masked,
}

impl fmt::Display for ServiceStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Manual => "manual",
            Self::Disabled => "disabled",
            Self::Masked => "masked",
        })
    }
}

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
