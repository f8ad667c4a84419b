//! What the journal remembers, one variant per kind of fact. The meaning of a sequence of records is in [`crate::orders`].
//!
//! Events are kept as the exact JSON text that is sent, so that their digests agree on both sides (S2). Bytes of prior
//! states are not in here: they lie beside the journal, named by their SHA-256.

use crate::format::SettingEdit;
use crate::xml::XmlEdit;
use catalogue::actions::registry::View;
use catalogue::actions::{RegistryData, ServiceStart, SettingFormat};
use protocol::agent::TaskReport;
use protocol::order::Order;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The version of this format.
pub const FORMAT: u32 = 1;

/// One record of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Record {
    /// The first record of a file.
    Opened {
        /// [`FORMAT`].
        format: u32,
        /// The installation that writes it.
        instance_id: Uuid,
        /// After compaction: the head of the journal that this one replaces.
        previous: Option<String>,
    },
    /// Sequence numbers up to this one count as used (compaction, replay protection).
    Floor {
        /// The highest one forgotten.
        order_seq: u64,
    },
    /// The highest versions of signed metadata ever adopted.
    Trust {
        /// Of the root.
        root_version: u64,
        /// Of the catalogue index.
        index_version: u64,
    },
    /// An order was verified and taken.
    Accepted {
        /// The order.
        order: Box<Order>,
        /// SHA-256 of its envelope.
        digest: String,
        /// The event that says so.
        event: String,
    },
    /// An order was not acted on.
    Refused {
        /// Task the order names.
        task: Uuid,
        /// Epoch the order names.
        epoch: u32,
        /// Its sequence number, when the order was authentic; a forged one uses nothing up.
        order_seq: Option<u64>,
        /// SHA-256 of its envelope.
        digest: String,
        /// The event that says so.
        event: String,
    },
    /// The first effect may follow (S3).
    Intent {
        /// Task.
        task: Uuid,
        /// Epoch.
        epoch: u32,
        /// SHA-256 over the prior states of everything that will be changed.
        pre_digest: String,
        /// The event that says so.
        event: String,
    },
    /// The prior state of everything that will be changed, and what it will be changed to.
    Captured {
        /// Task.
        task: Uuid,
        /// Epoch.
        epoch: u32,
        /// What will be ours.
        holding: Holding,
    },
    /// One effect is done.
    Effect {
        /// Task.
        task: Uuid,
        /// Epoch.
        epoch: u32,
        /// Which step of the holding.
        step: u32,
    },
    /// A task ended, well or not, or was interrupted.
    Finished {
        /// Task.
        task: Uuid,
        /// Epoch.
        epoch: u32,
        /// The event with the report.
        event: String,
    },
    /// Nothing of this entry is ours any more: it was put back, or undone after a failure.
    Released {
        /// Catalogue entry.
        entry_id: String,
        /// Settings that another entry of ours still needs, with that entry: they were left in place and are its now.
        passed_on: Vec<(String, String)>,
    },
    /// What an entry's files needed to take effect was restarted.
    Restarted {
        /// Catalogue entry.
        entry_id: String,
    },
    /// Revoked before it started: it never will (S4).
    Tombstone {
        /// Task.
        task: Uuid,
        /// Epoch.
        epoch: u32,
        /// The event that says so.
        event: String,
    },
    /// The server has stored all events of this task and epoch up to `n`.
    Acked {
        /// Task.
        task: Uuid,
        /// Epoch.
        epoch: u32,
        /// The highest event stored.
        n: u32,
    },
    /// Done but for a restart of the host.
    Waits {
        /// Task.
        task: Uuid,
        /// Epoch.
        epoch: u32,
        /// The boot it has to be another one than.
        boot_id: String,
        /// What is reported once it was restarted.
        report: Box<TaskReport>,
        /// The event that says so.
        event: String,
    },
    /// The host is restarted now. At most once for a task and epoch.
    Restarting {
        /// Task.
        task: Uuid,
        /// Epoch.
        epoch: u32,
        /// The event that says so.
        event: String,
    },
    /// Order numbers that are used up though no try carries them: of orders refused because their epoch was taken as another.
    Used {
        /// The numbers.
        order_seqs: Vec<u64>,
    },
    /// After compaction: what is ours, without the history that led to it.
    Held {
        /// The holding.
        holding: Holding,
    },
}

/// What one entry changed here, with everything needed to put it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holding {
    /// Catalogue entry.
    pub entry_id: String,
    /// Its revision.
    pub revision: u32,
    /// SHA-256 of its signed bytes.
    pub content_digest: String,
    /// Boot id when it was changed, for entries that need a reboot; empty where unknown.
    pub boot_id: String,
    /// The services that read its files were restarted since, or none had to be.
    #[serde(default)]
    pub restarted: bool,
    /// What is changed on the host, in order.
    pub steps: Vec<Step>,
    /// The settings that this entry wants, one per action.
    pub holds: Vec<Hold>,
}

/// One action's share in a [`Holding`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// The action's index in the entry.
    pub index: u32,
    /// Its kind.
    pub kind: String,
    /// Names the setting on this host: two entries with the same key share it.
    pub key: String,
    /// For people.
    pub target: String,
    /// How it came to be there.
    pub by: By,
    /// Steps that made it.
    pub steps: Vec<u32>,
    /// For a setting within a file: how to take that setting alone back.
    pub edit: Option<FileEdit>,
    /// As `edit`, for a place in an XML file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xml: Option<XmlFileEdit>,
}

impl Hold {
    /// The file in which this setting is one of several things, if it is.
    #[must_use]
    pub fn edited(&self) -> Option<&str> {
        let setting = self.edit.as_ref().map(|edit| edit.path.as_str());
        setting.or_else(|| self.xml.as_ref().map(|edit| edit.path.as_str()))
    }
}

/// One change within an XML file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct XmlFileEdit {
    /// The file.
    pub path: String,
    /// What was changed in it.
    pub edit: XmlEdit,
}

/// Why a setting is in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// This entry changed it.
    Us,
    /// Another entry of ours had changed it before.
    AnotherEntry,
    /// It was there before we came: never reverted.
    Others,
}

/// One setting within a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileEdit {
    /// The file.
    pub path: String,
    /// How to read it.
    pub format: SettingFormat,
    /// What was changed in it.
    pub edit: SettingEdit,
}

/// A regular file as it was or will be; its bytes are kept under their digest when it is a prior state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// SHA-256 of its bytes.
    pub digest: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

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
    /// Permission bits only; the bytes are neither read nor kept.
    Mode {
        /// Where.
        path: String,
        /// Before.
        before: u32,
        /// After.
        after: u32,
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
            Step::BootMenu => "boot menu".to_owned(),
            Step::Registry { at, name, .. } => format!("{}\\{name}", at.key),
            Step::RegistryTree { at, .. } => at.key.clone(),
            Step::Service { name, .. } => format!("service {name}"),
        }
    }
}

impl Step {
    /// What takes this step back.
    #[must_use]
    pub fn inverse(&self) -> Step {
        match self.clone() {
            Step::File { path, before, after, made } => Step::File { path, before: after, after: before, made },
            Step::Mode { path, before, after } => Step::Mode { path, before: after, after: before },
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
