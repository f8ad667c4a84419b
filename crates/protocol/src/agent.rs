//! The agent's messages: enrolment, poll, events, checks and content. All of them are requests of the agent.
//!
//! Every request but enrolment travels as a DSSE envelope of type [`REQUEST_TYPE`], signed by the agent's own
//! key, whose payload is the JSON of [`Request`]. Replies are plain JSON over TLS and may carry fields a reader
//! does not know (ignored); what must be trusted inside a reply is itself a signed envelope.

use crate::order::RefusalCode;
use crate::permit::PermitAsk;
use domain::asset::Identity;
use domain::mitigation::ControlState;
use domain::task::{self, End};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Version of this protocol; both sides speak this one and the one before.
pub const PROTOCOL_VERSION: u32 = 1;
/// The DSSE payload type of an agent's request.
pub const REQUEST_TYPE: &str = "application/vnd.quell.agent-request.v1+json";
/// A request or reply body larger than this is refused, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long the server holds a poll at the most, in seconds; survives proxies that cut at 60 s.
pub const HOLD_SECONDS_MAX: u32 = 50;

/// Path of enrolment (POST, [`Enrol`] -> [`Enrolled`]).
pub const ENROL_PATH: &str = "/agent/v1/enrol";
/// Path of the poll (POST, envelope of [`Request`] with [`Body::Poll`] -> [`PollReply`]).
pub const POLL_PATH: &str = "/agent/v1/poll";
/// Path of events (POST, envelope of [`Request`] with [`Body::Events`] -> [`EventsReply`]).
pub const EVENTS_PATH: &str = "/agent/v1/events";
/// Path of content (POST, envelope of [`Request`] with [`Body::Content`] -> the bytes of one catalogue entry).
pub const CONTENT_PATH: &str = "/agent/v1/content";
/// Path of checks (POST, envelope of [`Request`] with [`Body::Checks`] -> [`ChecksReply`]).
pub const CHECKS_PATH: &str = "/agent/v1/checks";
/// Path of the server's CA certificate (GET, PEM), fetched once before TLS can be verified; its SHA-256
/// fingerprint is part of the enrolment token.
pub const CA_PATH: &str = "/agent/v1/ca.pem";

/// What a person pastes on the host: where the server is, what its CA looks like, and the secret.
/// Written as `quell1.<base64url of this JSON>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentToken {
    /// `https://host:port` of the agents' listener.
    pub server: String,
    /// SHA-256 of the CA certificate's DER, hex.
    pub ca_sha256: String,
    /// Names the token at the server.
    pub token_id: Uuid,
    /// The secret, base64url.
    pub secret: String,
}

/// Facts about the host, refreshed with each poll when they change. Claims, not proofs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Host name.
    pub hostname: String,
    /// Operating system id and version as in os-release: `debian`, `12`.
    pub os_id: String,
    /// Operating system version id.
    pub os_version: String,
    /// Human text: `Debian GNU/Linux 12 (bookworm)`.
    pub os_title: String,
    /// Kernel release, empty when unknown.
    pub kernel: String,
    /// IANA time zone name; empty = unknown, the server uses UTC and shows it.
    pub zone: String,
    /// What proves which asset this is.
    pub identity: Identity,
    /// Addresses of the host's interfaces.
    pub addresses: Vec<String>,
    /// The agent's version.
    pub agent_version: String,
    /// What it can do, as `kind@version`: nothing is offered that is not listed.
    pub capabilities: Vec<String>,
    /// The host owner's choices, shown to users: `normal`, `monitor_only` or `halted`; `journal_unwritable` while the agent
    /// cannot write its journal and so changes nothing.
    pub mode: String,
    /// What keeps the parts that read foreign things from the host's files: `landlock`, `systemd` or `none`; empty where it is not
    /// said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub confinement: String,
}

/// Enrolment. Idempotent on (token, public key).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrol {
    /// Protocol version.
    pub v: u32,
    /// The token's id.
    pub token_id: Uuid,
    /// The token's secret.
    pub secret: String,
    /// The agent's Ed25519 public key, base64 of its 32 bytes.
    pub public_key: String,
    /// Proof of possession: signature over `quell-enrol-v1:` + token id + `:` + public key text, base64.
    pub proof: String,
    /// Facts.
    pub facts: Facts,
}

/// The answer to enrolment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The agent's id.
    pub agent_id: Uuid,
    /// This installation's id; another machine with the same disk gets another.
    pub instance_id: Uuid,
    /// Root metadata envelope (JSON text of a DSSE envelope, exact bytes).
    pub root: String,
    /// Server time.
    pub now: Timestamp,
}

/// A signed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Protocol version.
    pub v: u32,
    /// Who asks.
    pub agent_id: Uuid,
    /// Which installation.
    pub instance_id: Uuid,
    /// Rises with every request of this instance, over restarts too, and is used once: the replay guard. A second live
    /// agent with the same key is seen by it. Requests may overtake each other within 64 numbers, see `domain::window`.
    pub seq: u64,
    /// The agent's wall clock.
    pub sent_at: Timestamp,
    /// What is asked.
    pub body: Body,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Body {
    /// Wait for work.
    Poll(Box<Poll>),
    /// Report.
    Events(Events),
    /// One entry's bytes, by digest.
    Content(Content),
    /// May an order start now?
    Permit(PermitAsk),
    /// May the host be restarted for an order now?
    Restart(PermitAsk),
    /// What a look at the controls on the host found.
    Checks(Box<Checks>),
}

/// A long poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// Boot id of the kernel.
    pub boot_id: String,
    /// Version of the root metadata at hand.
    pub root_version: u64,
    /// Version of the catalogue index at hand, 0 = none.
    pub index_version: u64,
    /// Orders taken and not yet ended, and ends not yet acknowledged: the server compares with its table
    /// each time, so lost replies and lost events heal without timers.
    pub open: Vec<OpenOrder>,
    /// Hex SHA-256 over the journal so far.
    pub journal_head: String,
    /// How long the server may hold the answer, in seconds.
    pub hold_seconds: u32,
    /// Sent at the first poll of a process and when they change.
    pub facts: Option<Facts>,
}

/// An order the agent has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrder {
    /// Task.
    pub task: Uuid,
    /// Epoch.
    pub epoch: u32,
    /// `accepted`, `running`, `done` (ended, not acknowledged).
    pub state: String,
}

/// The server's answer to a poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollReply {
    /// Server time: the agent keeps its offset against its monotonic clock.
    pub now: Timestamp,
    /// Newer root metadata, in order of version: envelopes as JSON text.
    #[serde(default)]
    pub roots: Vec<String>,
    /// The catalogue index, when newer than the agent's: envelope as JSON text.
    #[serde(default)]
    pub index: Option<String>,
    /// The approvals that these orders name: envelopes as JSON text, see [`crate::approval`].
    #[serde(default)]
    pub approvals: Vec<String>,
    /// Orders: envelopes as JSON text. Re-sent until an event about them arrives.
    #[serde(default)]
    pub orders: Vec<String>,
    /// Orders that must not start any more. The agent writes a tombstone for each it has not started and
    /// answers [`EventKind::Revoked`]; for one it has started it goes on and reports as usual.
    #[serde(default)]
    pub revoke: Vec<TaskEpoch>,
    /// Events the server has stored, that the agent may drop: everything up to and including `n`.
    #[serde(default)]
    pub acked: Vec<Acked>,
    /// Seconds to wait before the next poll (0 = at once).
    #[serde(default)]
    pub wait_seconds: u32,
}

/// A task and epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskEpoch {
    /// Task.
    pub task: Uuid,
    /// Epoch.
    pub epoch: u32,
}

/// A batch of events, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// The events. Each is the exact JSON text as journalled, so that its digest is the same on both sides.
    pub events: Vec<String>,
}

/// One thing that happened to one (task, epoch).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Task.
    pub task: Uuid,
    /// Epoch.
    pub epoch: u32,
    /// Counts the events of this (task, epoch), from 1.
    pub n: u32,
    /// When, by the agent's corrected clock.
    pub at: Timestamp,
    /// What.
    pub event: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum EventKind {
    /// Verified and journalled; not started.
    Accepted,
    /// Not acted on.
    Refused {
        /// The stable code.
        code: RefusalCode,
        /// A sentence with the particulars.
        reason: String,
        /// SHA-256 of the bytes that were refused, hex, where nothing proves whose they are; else empty. What they claim to be
        /// is anybody's word, so the server looks whether they are the order that it sent.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        order: String,
    },
    /// The intent is durable; the first effect may follow.
    Started,
    /// Ended.
    Finished(Box<TaskReport>),
    /// The executor died between intent and end; `state` is what a check found afterwards. Never re-run.
    Interrupted {
        /// What a check says now.
        state: ControlState,
        /// What was found half done or undone, in a sentence.
        reason: String,
    },
    /// A revocation arrived in time: a tombstone is written, this (task, epoch) will never start.
    Revoked,
    /// Done but for a restart of the host: it waits for its turn, or is under way. Its end follows after the restart.
    Restarting {
        /// The boot it has to be another one than.
        boot_id: String,
        /// The restart is under way.
        now: bool,
    },
}

impl EventKind {
    /// Whether it resolves its epoch: only then may a next one be made, and it names this event (S2). Both sides ask here.
    #[must_use]
    pub fn resolves(&self) -> bool {
        match self {
            EventKind::Accepted | EventKind::Started | EventKind::Restarting { .. } => false,
            EventKind::Refused { .. } | EventKind::Finished(_) | EventKind::Interrupted { .. } | EventKind::Revoked => {
                true
            }
        }
    }

    /// What it means for the life of the task.
    #[must_use]
    pub fn means(&self) -> task::Event {
        match self {
            EventKind::Accepted => task::Event::Accepted,
            EventKind::Refused { code, .. } => task::Event::Refused { transient: code.transient() },
            EventKind::Started | EventKind::Restarting { .. } => task::Event::Started,
            EventKind::Finished(report) => task::Event::Finished(report.outcome.means()),
            EventKind::Interrupted { .. } => task::Event::Interrupted,
            EventKind::Revoked => task::Event::Revoked,
        }
    }
}

/// How a task ended on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Changed, and the check afterwards says so.
    Succeeded,
    /// In place already, by an earlier order of ours (204) or by others (203, 206): see `origin`.
    Unchanged,
    /// The entry's conditions do not hold here.
    NotApplicable,
    /// An error; what was changed in this try was put back unless `left_changed` says otherwise.
    Failed,
    /// Changed without error, but the check afterwards does not find the wanted state; put back.
    VerifyFailed,
    /// Stopped after `run_timeout_seconds`; put back.
    TimedOut,
    /// Our change was put back.
    Reverted,
    /// A revert found that somebody changed our setting since: nothing was written.
    DriftedSinceApply,
    /// A revert of something that was never ours (205): nothing was written.
    NotOurs,
    /// A revert failed half-way.
    RevertFailed,
    /// Plan or check only.
    Reported,
}

impl Outcome {
    /// The end of the task's life that it means.
    #[must_use]
    pub fn means(self) -> End {
        match self {
            Outcome::Succeeded => End::Succeeded,
            Outcome::Unchanged | Outcome::NotOurs | Outcome::Reported => End::Unchanged,
            Outcome::NotApplicable => End::NotApplicable,
            Outcome::Failed | Outcome::TimedOut => End::Failed,
            Outcome::VerifyFailed => End::VerifyFailed,
            Outcome::Reverted => End::Reverted,
            Outcome::DriftedSinceApply => End::DriftedSinceApply,
            Outcome::RevertFailed => End::RevertFailed,
        }
    }
}

/// The result of a task with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReport {
    /// How it ended.
    pub outcome: Outcome,
    /// What the last check says.
    pub state: ControlState,
    /// Who put the control in place: `ours` or `external`; absent when it is not in place.
    pub origin: Option<domain::mitigation::Origin>,
    /// One sentence for people, with the reason of anything but success.
    pub message: String,
    /// Per action of the entry, in order.
    pub actions: Vec<ActionEvidence>,
    /// Something in this try was changed and could not be put back.
    pub left_changed: bool,
    /// A reboot or a service restart is needed before the control counts as effective.
    pub restart_needed: Option<String>,
}

/// What one action of an entry found and did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionEvidence {
    /// The action's kind: `file.setting`.
    pub kind: String,
    /// What it acts on, for people: `/etc/ssh/sshd_config LoginGraceTime`.
    pub target: String,
    /// State before, as the check shows it; `(absent)` when there was none.
    pub before: String,
    /// State after.
    pub after: String,
    /// `changed`, `already_present`, `planned`, `reverted`, `kept`, `failed` or `checked`.
    pub did: String,
    /// Files written, as paths on the host.
    pub files: Vec<String>,
    /// A unified-diff-like text of the change, capped.
    pub diff: String,
}

/// The answer to events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsReply {
    /// Server time.
    pub now: Timestamp,
    /// Stored; may be dropped by the agent.
    pub acked: Vec<Acked>,
}

/// Everything of (task, epoch) up to event `n` is durable at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Acked {
    /// Task.
    pub task: Uuid,
    /// Epoch.
    pub epoch: u32,
    /// Highest event stored.
    pub n: u32,
}

/// Controls in one report of checks at most; what is beyond is not read.
pub const CHECKS_MAX: usize = 500;
/// Characters of what a check says of one control at most.
pub const CHECK_CHARS_MAX: usize = 300;

/// What a look at the controls on the host found (design, section 6: drift checks). Read only, asked for by nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checks {
    /// Counts the reports of this installation, over restarts too: one that is not newer than the last the server took is
    /// answered and changes nothing.
    pub n: u64,
    /// Why the agent looked.
    pub why: CheckCause,
    /// Boot id of the kernel.
    pub boot_id: String,
    /// One line per control.
    pub controls: Vec<Check>,
}

/// Why an agent looked at its controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckCause {
    /// The agent started.
    Start,
    /// The interval was over.
    Timer,
    /// The package database changed.
    Packages,
    /// The host was started again.
    Reboot,
    /// An order ended while an earlier report was on its way.
    Order,
}

impl CheckCause {
    /// For people, after "checked".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            CheckCause::Start => "when the agent started",
            CheckCause::Timer => "at its usual time",
            CheckCause::Packages => "after packages were changed",
            CheckCause::Reboot => "after the host was started again",
            CheckCause::Order => "after an order",
        }
    }
}

/// One control as a look found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Catalogue entry.
    pub entry_id: String,
    /// SHA-256 of the bytes it was checked by, hex.
    pub content_digest: String,
    /// What the check says.
    pub state: ControlState,
    /// The agent's journal holds a change of ours for it.
    pub held: bool,
    /// When, by the agent's corrected clock; compared with the instants of its events, so that an old look never overwrites
    /// what an order did later.
    pub at: Timestamp,
    /// What was found, for people: at most [`CHECK_CHARS_MAX`] characters.
    pub message: String,
}

/// The answer to checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksReply {
    /// Server time.
    pub now: Timestamp,
    /// The highest report that the server has taken.
    pub n: u64,
    /// Seconds between two looks; the agent keeps within bounds of its own.
    pub interval_seconds: u32,
}

/// Ask for one entry's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// SHA-256 of the bytes, hex.
    pub digest: String,
}
