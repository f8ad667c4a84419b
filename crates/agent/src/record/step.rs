//! One change on the host, with what takes it back.

use super::FileState;
use catalogue::actions::registry::View;
use catalogue::actions::{RegistryData, ServiceStart, WindowsSwitch};
use protocol::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One change on the host: what was there and what we put there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Step {
    /// A regular file is written, replaced or removed.
    File {
        /// Where.
        path: String,
        /// Before; absent = there was none.
        before: Option<FileState>,
        /// After; absent = removed.
        after: Option<FileState>,
        /// Directories made for it, outermost first.
        made: Vec<String>,
    },
    /// Permission bits only; the bytes are not kept.
    Mode {
        /// Where.
        path: String,
        /// Before.
        before: u32,
        /// After.
        after: u32,
        /// The file whose setuid or setgid this changes: these bits are given to no other. Absent where it changes neither, and in
        /// what an agent of before wrote, which gives them back to nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<FileState>,
    },
    /// A symbolic link of the service manager.
    Link {
        /// Where.
        path: String,
        /// Before; absent = there was none.
        before: Option<String>,
        /// After; absent = removed.
        after: Option<String>,
        /// Directories made for it, outermost first.
        made: Vec<String>,
    },
    /// A value of the running kernel, below `/proc/sys`.
    Kernel {
        /// Where.
        path: String,
        /// Before, without the final line break.
        before: String,
        /// After.
        after: String,
    },
    /// A running unit is stopped.
    Stop {
        /// The unit.
        unit: String,
    },
    /// Packages are removed.
    Remove {
        /// Names and versions that were installed.
        packages: Vec<Package>,
    },
    /// A unit that was stopped by us is started.
    Start {
        /// The unit.
        unit: String,
    },
    /// Packages are installed; an empty version means the newest.
    Install {
        /// Names and versions.
        packages: Vec<Package>,
    },
    /// A member is taken out of an archive, or put back into it.
    Archive {
        /// The archive.
        path: String,
        /// The member.
        member: String,
        /// Before.
        before: FileState,
        /// After.
        after: FileState,
        /// Which of it.
        change: ArchiveChange,
        /// SHA-256 of what was cut out, kept as a prior state.
        cut: String,
    },
    /// A rule of the packet filter, in the running kernel.
    Firewall {
        /// The rule's name.
        name: String,
        /// The rule as a line for nft before; absent = there was none.
        before: Option<String>,
        /// After; absent = taken away.
        after: Option<String>,
    },
    /// A switch of the SELinux policy, now and at boot.
    SelinuxBoolean {
        /// The switch.
        name: String,
        /// Before.
        before: bool,
        /// After.
        after: bool,
    },
    /// The system-wide cryptographic policy is set and applied.
    CryptoPolicy {
        /// The module of ours.
        module: String,
        /// The policy before.
        before: String,
        /// The policy after.
        after: String,
    },
    /// A switch of Windows.
    WindowsSwitch {
        /// Which.
        setting: WindowsSwitch,
        /// The interface; empty for the machine.
        at: String,
        /// Before.
        before: String,
        /// After.
        after: String,
    },
    /// Owner and access list of a file of Windows.
    FileAccess {
        /// Where.
        path: String,
        /// Before.
        before: FileAccess,
        /// After.
        after: FileAccess,
    },
    /// A rule of URL Rewrite.
    RewriteRule {
        /// The site.
        site: String,
        /// The rule's name.
        name: String,
        /// Before; absent = there was none.
        before: Option<RewriteRule>,
        /// After; absent = removed.
        after: Option<RewriteRule>,
    },
    /// A module in the list of those that IIS loads.
    IisModule {
        /// The module.
        name: String,
        /// Before; absent = it was not in the list.
        before: Option<IisModule>,
        /// After; absent = taken off.
        after: Option<IisModule>,
    },
    /// A parameter is added to every entry of the boot loader, or taken from them.
    BootArgument {
        /// The parameter.
        param: String,
        /// Whether it was there before.
        before: bool,
        /// Whether it is there after.
        after: bool,
    },
    /// The boot menu is made anew from its settings; done again, and not undone, by a revert.
    BootMenu,
    /// A value of the Windows registry.
    Registry {
        /// Half of the registry and key.
        at: RegistryPlace,
        /// The value's name.
        name: String,
        /// Before; absent = there was none.
        before: Option<RegistryData>,
        /// After; absent = deleted.
        after: Option<RegistryData>,
        /// Keys made for it, outermost first.
        made: Vec<String>,
    },
    /// A key of the Windows registry with everything below it.
    RegistryTree {
        /// Half of the registry and key.
        at: RegistryPlace,
        /// Before; absent = there was none.
        before: Option<RegistryTree>,
        /// After; absent = deleted.
        after: Option<RegistryTree>,
    },
    /// A service of Windows.
    Service {
        /// The service.
        name: String,
        /// Before.
        before: ServiceLook,
        /// After.
        after: ServiceLook,
    },
}

/// See [`Step::Archive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveChange {
    /// The member goes.
    Remove,
    /// The whole archive becomes what it was, byte for byte.
    Restore,
    /// The member alone comes back into an archive that others changed.
    Insert,
}

/// A key of the Windows registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RegistryPlace {
    /// Which half.
    pub view: View,
    /// The key.
    pub key: String,
}

/// What is in a key: its values and the keys below.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryTree {
    /// Who may do what with it, as the system writes it down (SDDL); empty where unknown.
    #[serde(default)]
    pub access: String,
    /// Values by name; the empty name is the default value.
    pub values: BTreeMap<String, RegistryData>,
    /// Keys by name.
    pub keys: BTreeMap<String, RegistryTree>,
}

/// Who owns a file of Windows and who may do what with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAccess {
    /// The owner as the system writes it down, `S-1-5-32-544`.
    pub owner: String,
    /// The access list in SDDL, `D:PAI(A;;FA;;;BA)`, without who is watched.
    pub list: String,
}

/// An inbound rule of URL Rewrite, as far as the kinds understand one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewriteRule {
    /// Its name, once in a site.
    pub name: String,
    /// Whether it is used.
    pub enabled: bool,
    /// Whether no rule behind it is asked where it fits (`stopProcessing`).
    pub stops: bool,
    /// The pattern for the path.
    pub path: String,
    /// Input and pattern of each condition; all of them have to fit.
    pub conditions: Vec<(String, String)>,
    /// What it does, `AbortRequest`.
    pub action: String,
    /// It says more than is told here: another syntax, a negation, server variables. What such a rule does nobody here knows.
    pub more: bool,
    /// The rule that it stands behind; empty for the first.
    pub behind: String,
}

impl RewriteRule {
    /// Whether it says the same, wherever it stands.
    #[must_use]
    pub fn says(&self, other: &Self) -> bool {
        Self { behind: String::new(), ..self.clone() } == Self { behind: String::new(), ..other.clone() }
    }
}

/// A module in the list of those that IIS loads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IisModule {
    /// Its name, once in the list.
    pub name: String,
    /// The library, as the list spells it.
    pub image: String,
    /// When it is loaded (`preCondition`); empty for always.
    pub condition: String,
    /// The module that it stands behind; empty for the first.
    pub behind: String,
}

impl IisModule {
    /// Whether it is the same module, wherever it stands.
    #[must_use]
    pub fn is_that(&self, other: &Self) -> bool {
        Self { behind: String::new(), ..self.clone() } == Self { behind: String::new(), ..other.clone() }
    }
}

/// A service of Windows as it is or shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLook {
    /// Whether it runs.
    pub running: bool,
    /// How it starts; Windows knows no masked ones.
    pub start: ServiceStart,
}

impl std::fmt::Display for ServiceLook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, start {}", if self.running { "running" } else { "stopped" }, self.start)
    }
}

impl Step {
    /// What the step changes, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Step::File { path, .. } | Step::Mode { path, .. } | Step::Link { path, .. } | Step::Kernel { path, .. } => {
                path.clone()
            }
            Step::Stop { unit } | Step::Start { unit } => unit.clone(),
            Step::Remove { packages } | Step::Install { packages } => {
                packages.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ")
            }
            Step::Archive { path, .. } => path.clone(),
            Step::Firewall { name, .. } => format!("firewall rule {name}"),
            Step::SelinuxBoolean { name, .. } => format!("SELinux switch {name}"),
            Step::CryptoPolicy { .. } => "cryptographic policy".to_owned(),
            Step::WindowsSwitch { setting, at, .. } if at.is_empty() => setting.to_string(),
            Step::WindowsSwitch { setting, at, .. } => format!("{setting} on {at}"),
            Step::FileAccess { path, .. } => path.clone(),
            Step::RewriteRule { site, name, .. } => format!("rule {name} of {site}"),
            Step::IisModule { name, .. } => format!("IIS module {name}"),
            Step::BootArgument { param, .. } => format!("boot parameter {param}"),
            Step::BootMenu => "boot menu".to_owned(),
            Step::Registry { at, name, .. } => format!("{}\\{name}", at.key),
            Step::RegistryTree { at, .. } => at.key.clone(),
            Step::Service { name, .. } => format!("service {name}"),
        }
    }
}

impl Step {
    /// SHA-256 over steps, for the record of an intent.
    ///
    /// # Panics
    /// Never: steps hold only strings and numbers.
    #[must_use]
    pub fn digest_of(steps: &[Self]) -> String {
        let json = serde_json::to_vec(steps).expect("steps hold only strings and numbers");
        Digest::of(&json).to_string()
    }

    /// What takes this step back.
    #[must_use]
    pub fn inverse(&self) -> Step {
        match self.clone() {
            Step::File { path, before, after, made } => Step::File { path, before: after, after: before, made },
            Step::Mode { path, before, after, mark } => Step::Mode { path, before: after, after: before, mark },
            Step::Link { path, before, after, made } => Step::Link { path, before: after, after: before, made },
            Step::Kernel { path, before, after } => Step::Kernel { path, before: after, after: before },
            Step::Stop { unit } => Step::Start { unit },
            Step::Start { unit } => Step::Stop { unit },
            Step::Remove { packages } => Step::Install { packages },
            Step::Install { packages } => Step::Remove { packages },
            Step::Archive { path, member, before, after, change, cut } => {
                let change = match change {
                    ArchiveChange::Remove => ArchiveChange::Restore,
                    ArchiveChange::Restore | ArchiveChange::Insert => ArchiveChange::Remove,
                };
                Step::Archive { path, member, before: after, after: before, change, cut }
            }
            Step::Firewall { name, before, after } => Step::Firewall { name, before: after, after: before },
            Step::SelinuxBoolean { name, before, after } => Step::SelinuxBoolean { name, before: after, after: before },
            Step::CryptoPolicy { module, before, after } => Step::CryptoPolicy { module, before: after, after: before },
            Step::WindowsSwitch { setting, at, before, after } => {
                Step::WindowsSwitch { setting, at, before: after, after: before }
            }
            Step::FileAccess { path, before, after } => Step::FileAccess { path, before: after, after: before },
            Step::RewriteRule { site, name, before, after } => {
                Step::RewriteRule { site, name, before: after, after: before }
            }
            Step::IisModule { name, before, after } => Step::IisModule { name, before: after, after: before },
            Step::BootArgument { param, before, after } => Step::BootArgument { param, before: after, after: before },
            Step::BootMenu => Step::BootMenu,
            Step::Registry { at, name, before, after, made } => {
                Step::Registry { at, name, before: after, after: before, made }
            }
            Step::RegistryTree { at, before, after } => Step::RegistryTree { at, before: after, after: before },
            Step::Service { name, before, after } => Step::Service { name, before: after, after: before },
        }
    }
}

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}
