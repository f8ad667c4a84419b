//! The order: the signed instruction for one task and epoch, and every reason for which an agent refuses one.
//!
//! An order travels as a DSSE envelope of type [`ORDER_TYPE`] whose payload is the JSON of [`Order`]. The agent
//! verifies in the sequence of `fleet-execution.md` section 3.3, in its privileged half, before anything else.

use crate::approval::OrderApproval;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The DSSE payload type of an order.
pub const ORDER_TYPE: &str = "application/vnd.quell.order.v1+json";

/// An order larger than this is refused unread, in bytes of its envelope.
pub const ORDER_BYTES_MAX: usize = 64 * 1024;

/// What the agent is to do. Cancelling is not an order: it only ever reduces what happens, see
/// [`crate::agent::PollReply::revoke`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// Read only: what is the state of this entry here?
    Check,
    /// Read only: the exact changes `Apply` would make.
    Plan,
    /// Check, capture the prior state, change, verify.
    Apply,
    /// Put back what our own apply changed, compare-and-swap.
    Revert,
}

/// The epoch before this one, and what became of it: without it a higher epoch is refused (S2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supersedes {
    /// The epoch that is resolved.
    pub epoch: u32,
    /// SHA-256 of the event bytes that resolved it, as the agent sent them, in hex.
    pub result_digest: String,
}

impl Supersedes {
    /// What the order of `epoch` has to name, when the event with `result_digest` resolved the one before.
    #[must_use]
    pub fn before(epoch: u32, result_digest: &str) -> Option<Self> {
        (epoch > 1).then(|| Self { epoch: epoch - 1, result_digest: result_digest.to_owned() })
    }
}

/// One signed instruction. An unknown field refuses the order: it may be a restriction we do not understand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Version of this message, 1.
    pub v: u32,
    /// What to do.
    pub kind: OrderKind,
    /// Names this order in logs and the audit.
    pub order_id: Uuid,
    /// The job's number, for people: `MJ0000001`.
    pub job: String,
    /// The task this order belongs to.
    pub task: Uuid,
    /// Counts the tries of the task, from 1.
    pub epoch: u32,
    /// Set for every epoch above 1.
    pub supersedes: Option<Supersedes>,
    /// The one agent that may act on it.
    pub agent_id: Uuid,
    /// The one installation of that agent; a cloned or re-enrolled one has another.
    pub instance_id: Uuid,
    /// Rises by at least one with every order to this instance.
    pub order_seq: u64,
    /// The lowest version of the catalogue index the agent may use for it.
    pub catalogue_min: u64,
    /// Catalogue entry.
    pub entry_id: String,
    /// Its revision.
    pub entry_revision: u32,
    /// SHA-256 of the entry's signed bytes, in hex.
    pub content_digest: String,
    /// Not to be started before.
    pub not_before: Timestamp,
    /// Not to be started after (S4).
    pub not_after: Timestamp,
    /// The work is stopped after this many seconds.
    pub run_timeout_seconds: u32,
    /// Evidence and output above this many bytes are cut, head and tail kept.
    pub output_cap_bytes: u32,
    /// Plan only, whatever the kind: nothing is changed.
    pub dry_run: bool,
    /// The approval it keeps to; entries of a risky class need one. Agents from before approvals refuse an order with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<OrderApproval>,
    /// Its start needs a [`crate::permit::Permit`]. Not said where it is false, so that agents which know no permits take the rest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub permit: bool,
    /// Where the entry says that a restart of the host is needed, the host is restarted: when its owner allows it, and by a permit
    /// of its own ([`crate::permit::RESTART_TYPE`]). Not said where it is false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restart: bool,
}

/// Why an agent did not act on an order. The codes are stable; tests and users see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// Larger than [`ORDER_BYTES_MAX`].
    TooLarge,
    /// Not an envelope, not an order, or with a field this agent does not know.
    Malformed,
    /// The envelope carries no signature.
    Unsigned,
    /// The envelope's type is not [`ORDER_TYPE`].
    WrongType,
    /// No signature is by a key of the root's order role.
    UnknownKey,
    /// A known key's signature does not match the bytes.
    BadSignature,
    /// The root metadata has expired: no new work (never blocks start-up or a revert).
    RootExpired,
    /// The catalogue index has expired: no new work.
    IndexExpired,
    /// The index at hand is older than the order asks for, or than one seen before.
    IndexOlder,
    /// The index is not signed as the root's content role demands, or, for an organisation's own entry, its organisation role.
    IndexUntrusted,
    /// The entry is not in the signed index.
    NotInIndex,
    /// The order's digest is not the one in the index, or the content's bytes have another.
    WrongDigest,
    /// The index revokes this content.
    Revoked,
    /// For another agent.
    WrongAgent,
    /// For another installation of this agent.
    WrongInstance,
    /// This task and epoch, or a later one, was taken before; or the sequence number did not rise.
    Replayed,
    /// The epoch names no resolved predecessor, or another result than the journal's (S2).
    UnresolvedEpoch,
    /// Cancelled here before it came (a tombstone).
    Cancelled,
    /// Its time has not come; or so many orders wait for their content that the agent keeps no more.
    NotYet,
    /// Its time is over.
    Expired,
    /// This agent cannot do the kind or version of action.
    Unsupported,
    /// Of a class that needs an approval, and the order names none.
    ApprovalNeeded,
    /// The approval that the order names did not come with it.
    ApprovalMissing,
    /// The approval is not signed as the root's organisation role demands, or is no approval.
    ApprovalUntrusted,
    /// The approval is for another job, run, kind, entry, revision or digest, or the order asks for what it does not allow: a
    /// restart of the host, a start without a permit.
    ApprovalMismatch,
    /// The approval is not proven to be for this installation of this agent.
    ApprovalNotTarget,
    /// The approval does not hold yet, no more, or not as long as the order, or its maintenance windows are over.
    ApprovalOutOfTime,
    /// The host's owner set monitor-only mode.
    MonitorOnly,
    /// The host's owner placed the `halt` file.
    Halted,
    /// The host's owner denies this entry.
    Denied,
    /// The journal cannot be written: nothing may be changed without it.
    JournalUnwritable,
}

impl RefusalCode {
    /// The code as text, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RefusalCode::TooLarge => "too_large",
            RefusalCode::Malformed => "malformed",
            RefusalCode::Unsigned => "unsigned",
            RefusalCode::WrongType => "wrong_type",
            RefusalCode::UnknownKey => "unknown_key",
            RefusalCode::BadSignature => "bad_signature",
            RefusalCode::RootExpired => "root_expired",
            RefusalCode::IndexExpired => "index_expired",
            RefusalCode::IndexOlder => "index_older",
            RefusalCode::IndexUntrusted => "index_untrusted",
            RefusalCode::NotInIndex => "not_in_index",
            RefusalCode::WrongDigest => "wrong_digest",
            RefusalCode::Revoked => "revoked",
            RefusalCode::WrongAgent => "wrong_agent",
            RefusalCode::WrongInstance => "wrong_instance",
            RefusalCode::Replayed => "replayed",
            RefusalCode::UnresolvedEpoch => "unresolved_epoch",
            RefusalCode::Cancelled => "cancelled",
            RefusalCode::NotYet => "not_yet",
            RefusalCode::Expired => "expired",
            RefusalCode::Unsupported => "unsupported",
            RefusalCode::ApprovalNeeded => "approval_needed",
            RefusalCode::ApprovalMissing => "approval_missing",
            RefusalCode::ApprovalUntrusted => "approval_untrusted",
            RefusalCode::ApprovalMismatch => "approval_mismatch",
            RefusalCode::ApprovalNotTarget => "approval_not_target",
            RefusalCode::ApprovalOutOfTime => "approval_out_of_time",
            RefusalCode::MonitorOnly => "monitor_only",
            RefusalCode::Halted => "halted",
            RefusalCode::Denied => "denied",
            RefusalCode::JournalUnwritable => "journal_unwritable",
        }
    }

    /// May a later try of the same task succeed without anybody changing the order's content?
    #[must_use]
    pub fn transient(self) -> bool {
        matches!(
            self,
            RefusalCode::IndexOlder
                | RefusalCode::IndexExpired
                | RefusalCode::RootExpired
                | RefusalCode::NotYet
                | RefusalCode::Expired
                | RefusalCode::Halted
                | RefusalCode::MonitorOnly
                | RefusalCode::JournalUnwritable
                | RefusalCode::ApprovalMissing
        )
    }
}
