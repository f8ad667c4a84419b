//! Start permits: the server's word, just before the first effect, that an order may start now (`fleet-execution.md` 2.4, 6.1).
//!
//! A permit travels as a DSSE envelope of type [`PERMIT_TYPE`] signed with the order key, for one agent, installation, task and
//! epoch, in answer to one question. It only ever reduces what happens: without one an order that needs it waits, and nothing
//! starts on a permit that its order would not allow.

use crate::agent::TaskEpoch;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Path of permits (POST, envelope of [`crate::agent::Request`] with [`crate::agent::Body::Permit`] -> [`PermitReply`]).
pub const PERMIT_PATH: &str = "/agent/v1/permit";
/// The DSSE payload type of a permit.
pub const PERMIT_TYPE: &str = "application/vnd.quell.permit.v1+json";
/// Path of restarts (POST, envelope of [`crate::agent::Request`] with [`crate::agent::Body::Restart`] -> [`PermitReply`]).
pub const RESTART_PATH: &str = "/agent/v1/restart";
/// The DSSE payload type of a permit to restart the host; the payload is a [`Permit`]. Another type, so that no permit for a start
/// can ever be one for a restart.
pub const RESTART_TYPE: &str = "application/vnd.quell.restart-permit.v1+json";
/// What an agent lists whose host's owner allows restarts; to others no order is offered that asks for one.
pub const RESTART_CAPABILITY: &str = "restart@1";
/// A permit larger than this is refused unread, in bytes of its envelope.
pub const PERMIT_BYTES_MAX: usize = 8 * 1024;
/// What an agent lists that asks before it starts; to others no order is offered that needs a permit.
pub const PERMIT_CAPABILITY: &str = "permit@1";
pub use domain::rollout::permit::PERMIT_SECONDS;

/// A question: may this start, or may the host be restarted for it, now?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitAsk {
    /// Which order.
    #[serde(flatten)]
    pub of: TaskEpoch,
    /// Made up by the executor for this question; the permit repeats it, so that an older one is worth nothing.
    pub nonce: Uuid,
}

/// The answer with the server's time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitReply {
    /// Server time.
    pub now: Timestamp,
    /// The answer.
    pub answer: PermitAnswer,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum PermitAnswer {
    /// It may.
    Granted {
        /// Envelope as JSON text.
        permit: String,
    },
    /// Not now; ask again.
    Wait {
        /// After so many seconds.
        retry_after_seconds: u32,
    },
    /// It must not, as things are.
    Denied {
        /// Why, for the log.
        reason: String,
    },
}

/// One signed permit. An unknown field refuses it: it may be a restriction we do not understand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permit {
    /// Version of this message, 1.
    pub v: u32,
    /// The one agent that may start.
    pub agent_id: Uuid,
    /// The one installation of it.
    pub instance_id: Uuid,
    /// The task.
    pub task: Uuid,
    /// The epoch.
    pub epoch: u32,
    /// The question it answers.
    pub nonce: Uuid,
    /// When it was granted.
    pub granted_at: Timestamp,
    /// Not to be used after.
    pub start_by: Timestamp,
}
