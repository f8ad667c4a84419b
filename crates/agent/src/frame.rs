//! What the two halves say to each other: length-prefixed JSON over pipes.
//!
//! The network half is not trusted: everything in [`ToExecutor`] is either a signed envelope that the executor verifies
//! itself, or something that can only make less happen (a revocation, an acknowledgement, the time within bounds).

use domain::time::Timestamp;
use protocol::agent::{Acked, Checks, Facts, OpenOrder, TaskEpoch};
use protocol::permit::{PermitAnswer, PermitAsk};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use uuid::Uuid;

/// A larger frame ends the conversation, in bytes.
pub const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// From the executor to the network half.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum ToNet {
    /// The first frame: everything the network half has.
    Hello(Box<Hello>),
    /// What a poll says of this agent; the latest counts.
    Status(Status),
    /// New facts of the host.
    Facts(Box<Facts>),
    /// Deliver an event until it is acknowledged.
    Event {
        /// Task and epoch.
        of: TaskEpoch,
        /// Number of the event.
        n: u32,
        /// Its exact text.
        text: String,
    },
    /// These events need no delivery any more.
    Acked(Acked),
    /// What a look at the controls found; replaces an earlier one that was not delivered yet.
    Checks(Box<Checks>),
    /// Fetch the content with this digest.
    Want {
        /// SHA-256, hex.
        digest: String,
    },
    /// More sequence numbers, reserved durably: from and up to, exclusive.
    Sequence {
        /// First.
        from: u64,
        /// One past the last.
        until: u64,
    },
    /// Ask whether an order may start; a newer question about the same order replaces an older one.
    Permit(PermitAsk),
    /// Ask whether the host may be restarted for an order.
    Restart(PermitAsk),
    /// Send a request now, over a connection of its own, and say when it was answered: a change of what this host is reached by
    /// waits for it.
    Prove {
        /// Which question this is.
        n: u32,
    },
    /// Finish and end.
    Stop,
}

/// See [`ToNet::Hello`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// `https://host:port`.
    pub server: String,
    /// The pinned CA certificate, PEM.
    pub ca: String,
    /// The agent's request-signing key, PKCS#8 PEM.
    pub key: String,
    /// Who we are.
    pub agent_id: Uuid,
    /// Which installation.
    pub instance_id: Uuid,
    /// How to behave.
    pub settings: Settings,
    /// Facts of the host.
    pub facts: Facts,
    /// What a poll says.
    pub status: Status,
    /// Sequence numbers to use: first.
    pub seq_from: u64,
    /// One past the last.
    pub seq_until: u64,
}

/// How the session behaves; the defaults are those of `fleet-execution.md` 1.4 and 6.5.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How long the server may hold a poll, in seconds.
    pub hold_seconds: u32,
    /// The longest pause between tries, in milliseconds.
    pub backoff_ms_max: u64,
    /// After a lost connection the first retry waits up to this long, in milliseconds, so that a restarted server is not
    /// met by everybody at once.
    pub spread_ms_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { hold_seconds: protocol::agent::HOLD_SECONDS_MAX, backoff_ms_max: 15 * 60_000, spread_ms_max: 300_000 }
    }
}

/// What a poll says of this agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the root at hand.
    pub root_version: u64,
    /// Version of the index at hand.
    pub index_version: u64,
    /// Orders in hand.
    pub open: Vec<OpenOrder>,
    /// Hex SHA-256 over the journal.
    pub journal_head: String,
    /// Boot id of the kernel.
    pub boot_id: String,
}

/// From the network half to the executor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum ToExecutor {
    /// The server's time, just heard.
    Time {
        /// Server time.
        server: Timestamp,
    },
    /// Newer root metadata, oldest first.
    Roots {
        /// Envelopes as JSON text.
        envelopes: Vec<String>,
    },
    /// A newer catalogue index.
    Index {
        /// Envelope as JSON text.
        envelope: String,
    },
    /// Approvals that orders name.
    Approvals {
        /// Envelopes as JSON text.
        envelopes: Vec<String>,
    },
    /// An order.
    Order {
        /// Envelope as JSON text.
        envelope: String,
    },
    /// Must not start any more.
    Revoke {
        /// Which.
        orders: Vec<TaskEpoch>,
    },
    /// Stored at the server.
    Acked {
        /// Up to where.
        acked: Vec<Acked>,
    },
    /// The server has taken checks.
    Checked {
        /// Up to which report.
        n: u64,
        /// How often it wants them, in seconds.
        interval_seconds: u32,
    },
    /// Content that was wanted.
    Content {
        /// SHA-256 it was asked for by.
        digest: String,
        /// The bytes.
        text: String,
    },
    /// The server does not have it.
    NoContent {
        /// SHA-256 it was asked for by.
        digest: String,
        /// Why.
        reason: String,
    },
    /// The answer to [`ToNet::Permit`]; a permit in it is signed, everything else can only make the order wait.
    Permit {
        /// Which order it is about.
        of: TaskEpoch,
        /// The answer.
        answer: PermitAnswer,
    },
    /// The answer to [`ToNet::Restart`]; as with the other, only a permit in it can make anything happen.
    Restart {
        /// Which order it is about.
        of: TaskEpoch,
        /// The answer.
        answer: PermitAnswer,
    },
    /// The server answered a request that was sent after [`ToNet::Prove`] had come.
    Proven {
        /// The question.
        n: u32,
    },
    /// The sequence numbers run out.
    NeedSequence,
}

/// Why a frame could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other half is gone.
    #[error("reading a frame: the other half closed the pipe")]
    Closed,
    /// Larger than [`FRAME_BYTES_MAX`].
    #[error("reading a frame: {0} bytes, at most {FRAME_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// Not a frame.
    #[error("reading a frame: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The pipe broke.
    #[error("reading or writing a frame: {0}")]
    Io(#[from] std::io::Error),
}

/// A frame as bytes.
///
/// # Errors
/// See [`FrameError`].
pub fn encode<T: Serialize>(frame: &T) -> Result<Vec<u8>, FrameError> {
    let json = serde_json::to_vec(frame)?;
    let length = u32::try_from(json.len()).ok().filter(|_| json.len() <= FRAME_BYTES_MAX);
    let length = length.ok_or(FrameError::TooLarge(json.len()))?;
    Ok([length.to_le_bytes().as_slice(), &json].concat())
}

/// Write one frame.
///
/// # Errors
/// See [`FrameError`].
pub fn write<T: Serialize>(to: &mut impl Write, frame: &T) -> Result<(), FrameError> {
    to.write_all(&encode(frame)?)?;
    Ok(to.flush()?)
}

/// Read one frame, waiting for it.
///
/// # Errors
/// See [`FrameError`]; [`FrameError::Closed`] at the end.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, FrameError> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Err(FrameError::Closed),
        other => other?,
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge(length));
    }
    let mut json = vec![0; length];
    from.read_exact(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_pipe_and_nonsense_does_not() {
        let mut pipe = Vec::new();
        write(&mut pipe, &ToExecutor::NeedSequence).unwrap();
        write(&mut pipe, &ToNet::Stop).unwrap();
        let mut from = pipe.as_slice();
        assert_eq!(read::<ToExecutor>(&mut from).unwrap(), ToExecutor::NeedSequence);
        assert_eq!(read::<ToNet>(&mut from).unwrap(), ToNet::Stop);
        assert!(matches!(read::<ToNet>(&mut from), Err(FrameError::Closed)));
        assert!(matches!(read::<ToNet>(&mut &u32::MAX.to_le_bytes()[..]), Err(FrameError::TooLarge(_))));
        assert!(matches!(read::<ToNet>(&mut &[2, 0, 0, 0, b'{', b'}'][..]), Err(FrameError::Malformed(_))));
    }
}
