//! Approval of a run by people: the plan they read, the manifest they sign, and the check that an order keeps to it.
//!
//! Orders of a risky class are worth nothing without a manifest signed by keys of the root's organisation role
//! (`fleet-execution.md` 3.3, second signature). A server that is taken over holds none of those keys, so it cannot widen
//! what was approved: the manifest names the job, the run, the entries by digest, the agents by the root of a Merkle tree,
//! the instants between which something may start, whether hosts may be restarted, and how the run is rolled out. Of the
//! rollout an agent can hold the server to the restart and the permit only: waves, gates and pace are counted over many hosts,
//! which no agent sees. Server, agent and command line ask the same functions here.
//!
//! Deliberately not here: who may approve on the server (`domain::approval`). A rollback never needs an approval; where it restarts its
//! host it keeps to the approval of what it takes back, see [`check_back`].

mod cover;
pub mod merkle;
mod version;

use crate::digest::Digest;
use crate::order::{OrderKind, RefusalCode};
use crate::root::{Role, Root};
use crate::signed::{Envelope, EnvelopeError, VerifyError};
pub use cover::{check, check_back};
use domain::rollout::resolved::Rollout;
use domain::time::Timestamp;
use merkle::{Proof, Tree, target};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;
pub use version::{MANIFEST_VERSION, older};

/// The DSSE payload type of a manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.quell.approval.v2+json";
/// The word an agent lists among its capabilities when it can check approvals of this version.
pub const CAPABILITY: &str = "approval@2";
/// Largest sealed manifest read, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 256 * 1024;
/// Most entries in one manifest; with more it would outgrow [`MANIFEST_BYTES_MAX`].
pub const ENTRIES_MAX: usize = 512;

/// One catalogue entry that is approved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approved {
    /// Catalogue entry.
    pub id: String,
    /// Its revision.
    pub revision: u32,
    /// SHA-256 of its signed bytes.
    pub digest: Digest,
}

/// The outer bounds of the instants at which something of a run may start, over all its machines: each of them has its own
/// inside, by its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Starts {
    /// The first instant: when the first machine is due.
    pub from: Timestamp,
    /// The first instant that is too late: when the last machine could start and end within its window; where one has no window,
    /// when the approval ends.
    pub until: Timestamp,
}

/// What the approvers sign. An unknown field refuses it: it may be a restriction we do not understand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this message, [`MANIFEST_VERSION`].
    pub v: u32,
    /// The job's number: `MJ0000001`.
    pub job: String,
    /// Which run of the job, from 1.
    pub run: u64,
    /// What may be ordered.
    pub kind: OrderKind,
    /// With which entries, sorted.
    pub entries: Vec<Approved>,
    /// Root of the Merkle tree over the agents it is for, sorted by id and installation.
    pub targets_root: Digest,
    /// How many they are.
    pub targets: u64,
    /// Nothing starts before.
    pub valid_from: Timestamp,
    /// Nothing starts after.
    pub valid_until: Timestamp,
    /// Nothing starts outside of these, either.
    pub starts: Starts,
    /// How the run is rolled out; agents hold orders to `restarts` and `permits` of it.
    pub rollout: Rollout,
    /// Who asked for the approval, for people.
    pub requested_by: String,
    /// SHA-256 of the plan that the approver read.
    pub plan_digest: Digest,
}

/// What an order says of its approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderApproval {
    /// SHA-256 of the manifest's signed bytes: the payload, not the envelope, so that it stays with one more signature.
    pub manifest: Digest,
    /// Which run of the job the order belongs to.
    pub run: u64,
    /// That this agent is one of the targets.
    pub proof: Proof,
}

/// Why an order does not keep to an approval.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalFault {
    /// Nothing came with this digest.
    #[error("the approval {0} that the order names is not here")]
    Missing(Digest),
    /// Not an envelope.
    #[error("reading an approval: {0}")]
    Envelope(#[from] EnvelopeError),
    /// Not signed as the root's organisation role demands.
    #[error("checking an approval: {0}")]
    Untrusted(#[from] VerifyError),
    /// Signed, but not a manifest of this version.
    #[error("reading an approval: {0}")]
    Malformed(String),
    /// Another manifest than the one named.
    #[error("the order names another approval than the one that came with it")]
    WrongManifest,
    /// For another job, run, kind or entry, or without what the order asks for.
    #[error("the approval is for {approved}, the order for {ordered}")]
    Mismatch {
        /// What was approved.
        approved: String,
        /// What was ordered.
        ordered: String,
    },
    /// This agent is not among its targets.
    #[error("the approval is for {targets} agents, and this one is not proven to be among them")]
    NotTarget {
        /// How many it is for.
        targets: u64,
    },
    /// Its time has not come, is over, or ends before the order's.
    #[error("the approval holds from {from} to {until}; {what}")]
    OutOfTime {
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
        /// What does not fit.
        what: String,
    },
}

impl ApprovalFault {
    /// The stable code of the agent's refusal.
    #[must_use]
    pub fn code(&self) -> RefusalCode {
        match self {
            ApprovalFault::Missing(_) => RefusalCode::ApprovalMissing,
            ApprovalFault::Envelope(_) | ApprovalFault::Untrusted(_) | ApprovalFault::Malformed(_) => {
                RefusalCode::ApprovalUntrusted
            }
            ApprovalFault::WrongManifest | ApprovalFault::Mismatch { .. } => RefusalCode::ApprovalMismatch,
            ApprovalFault::NotTarget { .. } => RefusalCode::ApprovalNotTarget,
            ApprovalFault::OutOfTime { .. } => RefusalCode::ApprovalOutOfTime,
        }
    }
}

impl Manifest {
    /// The bytes to sign. Made once; from then on the bytes themselves are kept.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest holds only strings, numbers and lists")
    }

    /// Read an envelope and check that it is signed as `root` demands of approvals: by keys of the organisation role, as
    /// many different ones as its threshold says. Gives the manifest and the digest of its bytes.
    ///
    /// # Errors
    /// See [`ApprovalFault`].
    pub fn open(root: &Root, envelope: &Envelope) -> Result<(Self, Digest), ApprovalFault> {
        let verified = root.verify(Role::Organisation, MANIFEST_TYPE, envelope)?;
        let manifest = Self::read(verified.bytes())?;
        Ok((manifest, Digest::of(verified.bytes())))
    }

    /// Read a manifest's bytes, whoever signed them: for showing, never for acting on it.
    ///
    /// # Errors
    /// [`ApprovalFault::Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Self, ApprovalFault> {
        if let Some(v) = version::other(bytes) {
            return Err(ApprovalFault::Malformed(version::sentence(v)));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|e| ApprovalFault::Malformed(e.to_string()))?;
        if manifest.entries.is_empty() || manifest.entries.len() > ENTRIES_MAX || manifest.targets == 0 {
            return Err(ApprovalFault::Malformed("it names no target, no entry or too many".to_owned()));
        }
        Ok(manifest)
    }
}

/// What the approver reads: everything that will be done, and where. Its exact text is kept, shown and digested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of this message, [`MANIFEST_VERSION`].
    pub v: u32,
    /// The job's number.
    pub job: String,
    /// Which run of the job.
    pub run: u64,
    /// What is to be ordered.
    pub kind: OrderKind,
    /// The job's title.
    pub title: String,
    /// The job's description.
    pub description: String,
    /// When it is to run, as a sentence.
    pub schedule: String,
    /// Who asks.
    pub requested_by: String,
    /// Nothing starts before.
    pub valid_from: Timestamp,
    /// Nothing starts after.
    pub valid_until: Timestamp,
    /// How it is rolled out, as it works out for these machines.
    pub rollout: Rollout,
    /// What is done.
    pub entries: Vec<PlanEntry>,
    /// Where.
    pub assets: Vec<PlanAsset>,
    /// What it would do to the scores if every task succeeds.
    pub score: PlanScore,
}

/// An entry of a plan with its signed bytes, so that the reader sees the very content the agents get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanEntry {
    /// Catalogue entry.
    pub id: String,
    /// Its revision.
    pub revision: u32,
    /// SHA-256 of `body`.
    pub digest: Digest,
    /// Its class, 0 to 4.
    pub class: u8,
    /// The entry's signed bytes as text.
    pub body: String,
}

/// A machine of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanAsset {
    /// Name.
    pub name: String,
    /// Address.
    pub ip: String,
    /// The agent on it.
    pub agent_id: Uuid,
    /// Its installation.
    pub instance_id: Uuid,
    /// In which wave, from 1.
    pub wave: u32,
    /// When it is due there.
    pub due_at: Timestamp,
    /// The last instant at which it may start there, so that it ends within its window; none: no window.
    pub start_by: Option<Timestamp>,
    /// Entry ids that are done on it.
    pub entries: Vec<String>,
}

/// Sums over the vulnerable items that a plan touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanScore {
    /// How many items.
    pub items: u64,
    /// Sum of their scores now.
    pub before: u64,
    /// Sum of their scores if every task succeeds.
    pub after: u64,
    /// How many of them are mitigated then.
    pub mitigated: u64,
}

/// Why a plan is not what it is said to be.
#[derive(Debug, thiserror::Error)]
pub enum PlanFault {
    /// Not the JSON of a plan of this version.
    #[error("reading a plan: {0}")]
    Malformed(String),
    /// A plan of another version, with that version.
    #[error("reading a plan: {}", version::sentence(*.0))]
    Version(u32),
    /// An entry's text has another digest.
    #[error("reading a plan: the text of entry {0} is not the one with its digest")]
    Entry(String),
    /// Its machines are not spread over waves as its rollout says.
    #[error("reading a plan: wave {0} has more machines than its rollout says")]
    Waves(u32),
    /// The manifest to be signed is for something else than the plan says.
    #[error("the manifest to be signed is not the one that belongs to the plan shown: {0} differ")]
    Manifest(&'static str),
}

impl Plan {
    /// The exact text that is kept and digested.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a plan holds only strings, numbers and lists")
    }

    /// Read a plan's text; every entry's text has the digest it is listed with.
    ///
    /// # Errors
    /// See [`PlanFault`].
    pub fn read(text: &str) -> Result<Self, PlanFault> {
        if let Some(v) = version::other(text.as_bytes()) {
            return Err(PlanFault::Version(v));
        }
        let plan: Self = serde_json::from_str(text).map_err(|e| PlanFault::Malformed(e.to_string()))?;
        if let Some(entry) = plan.entries.iter().find(|entry| Digest::of(entry.body.as_bytes()) != entry.digest) {
            return Err(PlanFault::Entry(entry.id.clone()));
        }
        match plan.overfull() {
            Some(wave) => Err(PlanFault::Waves(wave)),
            None => Ok(plan),
        }
    }

    /// A wave that has more machines than the rollout says, or is none of it. It may have fewer: a machine without an agent is in a
    /// wave and gets no order.
    fn overfull(&self) -> Option<u32> {
        let mut waves: BTreeMap<u32, u64> = BTreeMap::new();
        for asset in &self.assets {
            *waves.entry(asset.wave).or_default() += 1;
        }
        let room = |wave: u32| {
            let index = usize::try_from(wave).ok()?.checked_sub(1)?;
            self.rollout.waves.get(index).copied()
        };
        waves.into_iter().find(|(wave, machines)| room(*wave).is_none_or(|room| *machines > room)).map(|(wave, _)| wave)
    }

    /// Between which instants something may start, over all machines.
    #[must_use]
    pub fn starts(&self) -> Starts {
        let from = self.assets.iter().map(|asset| asset.due_at).min().unwrap_or(self.valid_from);
        let last: Option<Vec<Timestamp>> = self.assets.iter().map(|asset| asset.start_by).collect();
        let until = last.and_then(|all| all.into_iter().max()).unwrap_or(self.valid_until);
        Starts { from, until: until.min(self.valid_until) }
    }

    /// The rollout in words, each with its heading, the times first: what is shown before it is signed.
    #[must_use]
    pub fn words(&self) -> Vec<(&'static str, String)> {
        let Starts { from, until } = self.starts();
        let windows = if self.assets.iter().all(|asset| asset.start_by.is_some()) {
            "each machine within its own window"
        } else {
            "where no window ends it before"
        };
        let [from, until] = [from, until].map(|at| at.to_jiff().strftime("%-d %b %Y %H:%M:%S UTC").to_string());
        let times = ("Starts", format!("not before {from} and not after {until}, {windows}"));
        std::iter::once(times).chain(self.rollout.words()).collect()
    }

    /// Every installation it is for, sorted, each once: the leaves of the tree.
    #[must_use]
    pub fn targets(&self) -> Vec<(Uuid, Uuid)> {
        let all: BTreeSet<_> = self.assets.iter().map(|asset| (asset.agent_id, asset.instance_id)).collect();
        all.into_iter().collect()
    }

    /// The tree over [`Plan::targets`].
    #[must_use]
    pub fn tree(&self) -> Tree {
        Tree::of(self.targets().into_iter().map(|(agent, instance)| target(agent, instance)).collect())
    }

    /// The manifest that belongs to this plan with this text.
    #[must_use]
    pub fn manifest(&self, text: &str) -> Manifest {
        let approved =
            |entry: &PlanEntry| Approved { id: entry.id.clone(), revision: entry.revision, digest: entry.digest };
        let entries: BTreeSet<Approved> = self.entries.iter().map(approved).collect();
        let tree = self.tree();
        Manifest {
            v: MANIFEST_VERSION,
            job: self.job.clone(),
            run: self.run,
            kind: self.kind,
            entries: entries.into_iter().collect(),
            targets_root: tree.root(),
            targets: tree.size(),
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            starts: self.starts(),
            rollout: self.rollout.clone(),
            requested_by: self.requested_by.clone(),
            plan_digest: Digest::of(text.as_bytes()),
        }
    }

    /// Whether a manifest, as its bytes, is exactly the one of this plan with this text. Asked by the approver's own program
    /// before it signs, because a server could show one thing and have another signed.
    ///
    /// # Errors
    /// [`PlanFault::Manifest`], and [`PlanFault::Malformed`] for what is no manifest.
    pub fn vouches(&self, text: &str, manifest: &[u8]) -> Result<(), PlanFault> {
        let found = Manifest::read(manifest).map_err(|fault| PlanFault::Malformed(fault.to_string()))?;
        let expected = self.manifest(text);
        let differs = [
            ("the jobs", found.job != expected.job || found.run != expected.run || found.kind != expected.kind),
            ("the entries", found.entries != expected.entries),
            ("the machines", found.targets_root != expected.targets_root || found.targets != expected.targets),
            ("the times", found.valid_from != expected.valid_from || found.valid_until != expected.valid_until),
            ("the windows", found.starts != expected.starts),
            ("the rollouts", found.rollout != expected.rollout),
            ("the plans", found.plan_digest != expected.plan_digest),
        ];
        match differs.into_iter().find(|(_, differ)| *differ) {
            Some((what, _)) => Err(PlanFault::Manifest(what)),
            // Whatever is left: the bytes are the ones we would write.
            None if expected.to_json() != manifest => Err(PlanFault::Manifest("the texts")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "approval_tests.rs"]
mod tests;
