//! What the journal remembers, one variant per kind of fact. The meaning of a sequence of records is in [`crate::orders`].
//!
//! Events are kept as the exact JSON text that is sent, so that their digests agree on both sides (S2). Bytes of prior
//! states are not in here: they lie beside the journal, named by their SHA-256.

mod step;

use crate::format::SettingEdit;
use crate::xml::XmlEdit;
use catalogue::actions::SettingFormat;
use protocol::agent::TaskReport;
use protocol::order::Order;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use step::{
    ArchiveChange, FileAccess, IisModule, Package, RegistryPlace, RegistryTree, RewriteRule, ServiceLook, Step,
};

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
        /// What was ours before a try that was undone, and is ours still.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<Box<Holding>>,
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
    /// The host's owner puts an entry back: its first effect may follow. No order names it and no event tells of it.
    OwnerIntent {
        /// Catalogue entry.
        entry_id: String,
        /// SHA-256 of its signed bytes, to know what to restart once nothing of it is held any more.
        content_digest: String,
        /// SHA-256 over the steps of the revert.
        pre_digest: String,
    },
    /// The owner's revert of an entry is over, well or not, and its outcome was found.
    OwnerEnd {
        /// Catalogue entry.
        entry_id: String,
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

impl FileState {
    /// Whether it is the same file but for its permission bits: the same bytes, of the same owner.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        (&self.digest, self.uid, self.gid) == (&other.digest, other.uid, other.gid)
    }
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
