//! The kinds of action an entry is made of: each a wanted state with typed parameters, never a script.
//!
//! What check, apply and revert of each kind do on a host is the agent's business; this module says what may be asked and where
//! (`allowed_path`). Kinds that are documented but not built yet are refused while parsing, which rejects that entry only.

mod acl;
mod allowed;
mod archive;
mod crypto;
mod file;
pub mod firewall;
mod iis;
mod package;
pub mod rails;
pub mod registry;
mod selinux;
mod setting;
pub mod windows;
mod xml;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::{CmdlineParam, Line, ModuleName, PackageName, ServiceName, SysctlKey};

pub use acl::{AclWant, FileAcl};
pub use allowed::allowed_path;
pub use archive::ArchiveMemberAbsent;
pub use crypto::CryptoPolicyModule;
pub use file::{
    FileBits, FileBitsError, FileDropin, FileMode, FileSetting, ModeBit, ModeChange, SettingFormat, Validator,
};
pub use firewall::FirewallRule;
pub use iis::{IisGlobalModule, IisModuleName, IisRewriteRule, ModuleWant};
pub use package::{PackageManager, PackageState, PackageWant};
pub use registry::{RegistryData, RegistryKeyAbsent, RegistryValue, RegistryValueAbsent};
pub use selinux::SelinuxBoolean;
pub use setting::{FileListSetting, FileScan, FileSettingAbsent, ScanRule};
pub use windows::{WindowsSetting, WindowsSwitch};
pub use xml::{FileXml, XmlWant};

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
    /// One attribute, text or element of an XML file.
    #[serde(rename = "file.xml")]
    FileXml(FileXml),
    /// A parameter of the kernel's command line, from the next boot on.
    #[serde(rename = "kernel.cmdline")]
    KernelCmdline(KernelCmdline),
    /// A rule of ours in the packet filter, now and after a reboot.
    #[serde(rename = "firewall.rule")]
    FirewallRule(FirewallRule),
    /// A member is in none of some archives.
    #[serde(rename = "archive.member_absent")]
    ArchiveMemberAbsent(ArchiveMemberAbsent),
    /// A switch of the SELinux policy.
    #[serde(rename = "selinux.boolean")]
    SelinuxBoolean(SelinuxBoolean),
    /// A word is in none of the lists of a setting.
    #[serde(rename = "file.list_setting")]
    FileListSetting(FileListSetting),
    /// Nothing in a configuration file sets something.
    #[serde(rename = "file.setting_absent")]
    FileSettingAbsent(FileSettingAbsent),
    /// Something is in none of some files; looked at only.
    #[serde(rename = "file.scan")]
    FileScan(FileScan),
    /// A module of the system-wide cryptographic policy.
    #[serde(rename = "crypto_policy.module")]
    CryptoPolicyModule(CryptoPolicyModule),
    /// A switch of Windows that is neither in the registry nor a service.
    #[serde(rename = "windows.setting")]
    WindowsSetting(WindowsSetting),
    /// A library of Windows that nobody may use.
    #[serde(rename = "file.acl")]
    FileAcl(FileAcl),
    /// A rule of URL Rewrite that ends requests.
    #[serde(rename = "iis.rewrite_rule")]
    IisRewriteRule(IisRewriteRule),
    /// A module that IIS does not load.
    #[serde(rename = "iis.global_module")]
    IisGlobalModule(IisGlobalModule),
    /// A value of the Windows registry.
    #[serde(rename = "registry.value")]
    RegistryValue(RegistryValue),
    /// A value of the Windows registry is not there.
    #[serde(rename = "registry.value_absent")]
    RegistryValueAbsent(RegistryValueAbsent),
    /// A key of the Windows registry is not there.
    #[serde(rename = "registry.key_absent")]
    RegistryKeyAbsent(RegistryKeyAbsent),
}

/// Every action kind this version knows, as written in entries.
pub const ACTION_KINDS: [&str; 23] = [
    "file.setting",
    "file.dropin",
    "file.mode",
    "kernel.sysctl",
    "kernel.module",
    "service.state",
    "package.state",
    "file.xml",
    "kernel.cmdline",
    "firewall.rule",
    "archive.member_absent",
    "selinux.boolean",
    "file.list_setting",
    "file.setting_absent",
    "file.scan",
    "crypto_policy.module",
    "windows.setting",
    "file.acl",
    "iis.rewrite_rule",
    "iis.global_module",
    "registry.value",
    "registry.value_absent",
    "registry.key_absent",
];

/// Whether only Windows has what a kind is about.
#[must_use]
pub fn is_kind_of_windows(kind: &str) -> bool {
    kind == "file.acl" || ["iis.", "registry.", "windows."].iter().any(|prefix| kind.starts_with(prefix))
}

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
            Self::FileXml(_) => "file.xml",
            Self::KernelCmdline(_) => "kernel.cmdline",
            Self::FirewallRule(_) => "firewall.rule",
            Self::ArchiveMemberAbsent(_) => "archive.member_absent",
            Self::SelinuxBoolean(_) => "selinux.boolean",
            Self::FileListSetting(_) => "file.list_setting",
            Self::FileSettingAbsent(_) => "file.setting_absent",
            Self::FileScan(_) => "file.scan",
            Self::CryptoPolicyModule(_) => "crypto_policy.module",
            Self::WindowsSetting(_) => "windows.setting",
            Self::FileAcl(_) => "file.acl",
            Self::IisRewriteRule(_) => "iis.rewrite_rule",
            Self::IisGlobalModule(_) => "iis.global_module",
            Self::RegistryValue(_) => "registry.value",
            Self::RegistryValueAbsent(_) => "registry.value_absent",
            Self::RegistryKeyAbsent(_) => "registry.key_absent",
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
            Self::FileSetting(FileSetting { path, section: Some(section), key, .. })
            | Self::FileSettingAbsent(FileSettingAbsent { path, section: Some(section), key, .. })
            | Self::FileListSetting(FileListSetting { path, section: Some(section), key, .. }) => {
                format!("{path} [{section}] {key}")
            }
            Self::FileSetting(FileSetting { path, key, .. })
            | Self::FileSettingAbsent(FileSettingAbsent { path, key, .. })
            | Self::FileListSetting(FileListSetting { path, key, .. }) => format!("{path} {key}"),
            Self::FileScan(FileScan { rule }) => rule.files().to_owned(),
            Self::CryptoPolicyModule(CryptoPolicyModule { name }) => name.to_string(),
            Self::WindowsSetting(WindowsSetting { setting, .. }) => setting.to_string(),
            Self::FileAcl(FileAcl { path, .. }) => path.to_string(),
            Self::IisRewriteRule(rule) => format!("{} {}", rule.site, rule.rule()),
            Self::IisGlobalModule(IisGlobalModule { name, .. }) => name.to_string(),
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
            Self::FileXml(file) => file.target(),
            Self::KernelCmdline(KernelCmdline { param }) => param.name().to_owned(),
            Self::FirewallRule(FirewallRule { name, .. }) => name.to_string(),
            Self::ArchiveMemberAbsent(ArchiveMemberAbsent { member, .. }) => member.to_string(),
            Self::SelinuxBoolean(SelinuxBoolean { name, .. }) => name.to_string(),
            Self::RegistryValue(RegistryValue { key, name, .. })
            | Self::RegistryValueAbsent(RegistryValueAbsent { key, name, .. }) => format!("{key}\\{name}"),
            Self::RegistryKeyAbsent(RegistryKeyAbsent { key, .. }) => key.to_string(),
        }
    }

    /// The wanted state in a few words, for people: `LoginGraceTime = 0`, `blocked`.
    #[must_use]
    pub fn wanted(&self) -> String {
        match self {
            Self::FileSetting(FileSetting { key, value, .. }) => format!("{key} = {value}"),
            Self::FileListSetting(FileListSetting { key, remove, .. }) => format!("{key} without {remove}"),
            Self::FileSettingAbsent(FileSettingAbsent { key, .. }) => format!("{key} not set"),
            Self::FileScan(FileScan { rule }) => format!("no {}", rule.what()),
            Self::CryptoPolicyModule(_) => "part of the cryptographic policy".to_owned(),
            Self::WindowsSetting(WindowsSetting { setting, value }) => format!("{setting} = {value}"),
            Self::FileAcl(FileAcl { want, .. }) => want.to_string(),
            Self::IisRewriteRule(rule) => format!("requests for {} ended", rule.said()),
            Self::IisGlobalModule(IisGlobalModule { want: ModuleWant::Absent, .. }) => "not loaded".to_owned(),
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
            Self::FileXml(FileXml { want, .. }) => want.to_string(),
            Self::KernelCmdline(KernelCmdline { param }) => format!("{param} from the next boot on"),
            Self::FirewallRule(rule) => rule.to_string(),
            Self::ArchiveMemberAbsent(ArchiveMemberAbsent { names, .. }) => {
                let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
                format!("in none of {}", names.join(", "))
            }
            Self::SelinuxBoolean(boolean) => boolean.word().to_owned(),
            Self::RegistryValue(RegistryValue { name, data, .. }) => format!("{name} = {data}"),
            Self::RegistryValueAbsent(_) | Self::RegistryKeyAbsent(_) => "not there".to_owned(),
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
            Self::FileXml(FileXml { path, .. })
            | Self::FileListSetting(FileListSetting { path, .. })
            | Self::FileSettingAbsent(FileSettingAbsent { path, .. }) => Some(path.as_str()),
            _ => None,
        }
    }

    /// Whether only Windows has what the action is about.
    #[must_use]
    pub fn is_of_windows(&self) -> bool {
        is_kind_of_windows(self.kind())
    }

    /// Whether what the action names lies where this kind may write. The parser demands it and agents ask it again: a signed
    /// entry is no reason to write anywhere else.
    #[must_use]
    pub fn path_is_allowed(&self) -> bool {
        match self {
            Self::FileSetting(FileSetting { path, format: SettingFormat::Pam, key, value, .. }) => {
                setting::allowed_pam(path.as_str(), key.as_str(), value.as_str())
            }
            Self::ArchiveMemberAbsent(archive) => {
                archive.roots.iter().all(|root| allowed_path(self.kind(), root.as_str()))
            }
            Self::FileAcl(file) => acl::allowed_library(&file.path),
            Self::RegistryValue(value) => registry::allowed_key(&value.key, Some(&value.name)),
            Self::RegistryValueAbsent(value) => registry::allowed_key(&value.key, Some(&value.name)),
            Self::RegistryKeyAbsent(key) => registry::allowed_key(&key.key, None),
            _ => self.path().is_none_or(|path| allowed_path(self.kind(), path)),
        }
    }

    /// The validator the action names.
    #[must_use]
    pub fn validator(&self) -> Option<Validator> {
        match self {
            Self::FileSetting(FileSetting { validate, .. })
            | Self::FileListSetting(FileListSetting { validate, .. })
            | Self::FileSettingAbsent(FileSettingAbsent { validate, .. })
            | Self::FileDropin(FileDropin { validate, .. }) => *validate,
            _ => None,
        }
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

/// Parameters of `kernel.cmdline`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelCmdline {
    /// The parameter, with its value where it has one.
    pub param: CmdlineParam,
}
