//! The life of one mitigation on one asset, as the server sees it (`fleet-execution.md` section 6.4).
//!
//! At-most-once start is the agent's journal plus one rule here: a new epoch is made only when the old one is
//! *resolved*, by a result, an interruption report or a tombstone, never by a time-out alone (S2). An order
//! that nobody has answered in time becomes `Unknown` and is asked about, not repeated.

use crate::refusal::Refusal;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

mod group;

pub use group::Group;

/// Interrupted or transiently refused tasks are tried this often in all.
pub const ATTEMPTS_MAX: u32 = 3;
/// How long an action may take on the host, in seconds; less in a short maintenance window.
pub const RUN_SECONDS: i64 = 300;
/// How long the server may stay unheard after a change of what a host is reached by, in seconds, before the change is undone.
pub const PROOF_SECONDS: i64 = 60;
/// How long undoing what did not end well may take once its own time is over, in seconds: a package manager comes to its end, files
/// go back, services are restarted.
pub const UNDO_SECONDS: i64 = 240;
/// How long what was started may be at work on a host, in seconds, however it ends. Agents hold themselves to it, and the server
/// counts on it.
pub const WORK_SECONDS: i64 = RUN_SECONDS + PROOF_SECONDS + UNDO_SECONDS;
/// How long an order may start, in seconds (24 h); then it is asked about and renewed.
pub const ORDER_SECONDS: i64 = 24 * 3600;
/// Added to an order's end before silence means `Unknown`, in seconds: skew margin and two holds.
pub const SILENCE_SECONDS: i64 = 600 + 2 * 50;
/// How long a task may be at work with nothing heard of its host, in seconds, before nobody knows what became of it: what it may take,
/// a restart of the host, and the margin of silence (`fleet-execution.md` 2.3: a host that does not come back is how a change that
/// breaks hosts shows).
pub const GONE_SECONDS: i64 = WORK_SECONDS + SILENCE_SECONDS;
/// By so much an agent's corrected clock may be ahead when it says that the time of an order it took is over, in seconds.
pub const LAPSE_MARGIN_SECONDS: i64 = 60;

/// State of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its time has not come.
    Pending,
    /// May be offered at the agent's next poll.
    Ready,
    /// An order is out; it is re-sent until something is heard.
    Offered,
    /// Taken by the agent, not started.
    Accepted,
    /// Its intent is durable on the host.
    Running,
    /// The order's time is over, or its host is gone while it was at work, and nothing was heard: the agent is asked, nothing is
    /// repeated.
    Unknown,
    /// Changed and verified.
    Succeeded,
    /// In place already.
    Unchanged,
    /// The entry's conditions do not hold on the host.
    NotApplicable,
    /// An error on the host.
    Failed,
    /// Changed without effect, put back.
    VerifyFailed,
    /// The agent would not, for good.
    Refused,
    /// The executor died in the middle and the tries are used up.
    Interrupted,
    /// Cancelled before it started.
    Cancelled,
    /// Never tried within its bound.
    Expired,
    /// The agent is gone for good; nobody will ever know.
    Lost,
    /// A rollback put our change back.
    Reverted,
    /// A rollback failed half-way.
    RevertFailed,
    /// A rollback found our setting changed by somebody and wrote nothing.
    DriftedSinceApply,
}

impl State {
    /// Every state.
    pub const ALL: [State; 19] = [
        State::Pending,
        State::Ready,
        State::Offered,
        State::Accepted,
        State::Running,
        State::Unknown,
        State::Succeeded,
        State::Unchanged,
        State::NotApplicable,
        State::Failed,
        State::VerifyFailed,
        State::Refused,
        State::Interrupted,
        State::Cancelled,
        State::Expired,
        State::Lost,
        State::Reverted,
        State::RevertFailed,
        State::DriftedSinceApply,
    ];

    /// The word used in the database, the API and the query language.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Ready => "ready",
            State::Offered => "offered",
            State::Accepted => "accepted",
            State::Running => "running",
            State::Unknown => "unknown",
            State::Succeeded => "succeeded",
            State::Unchanged => "unchanged",
            State::NotApplicable => "not_applicable",
            State::Failed => "failed",
            State::VerifyFailed => "verify_failed",
            State::Refused => "refused",
            State::Interrupted => "interrupted",
            State::Cancelled => "cancelled",
            State::Expired => "expired",
            State::Lost => "lost",
            State::Reverted => "reverted",
            State::RevertFailed => "revert_failed",
            State::DriftedSinceApply => "drifted_since_apply",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// No more work is expected: S5, terminal states absorb. `Unknown` is open.
    #[must_use]
    pub fn ended(self) -> bool {
        !matches!(
            self,
            State::Pending | State::Ready | State::Offered | State::Accepted | State::Running | State::Unknown
        )
    }

    /// Result code that users see (design, section 10): 0, 1, 33 or 101; `None` while open.
    #[must_use]
    pub fn code(self) -> Option<u8> {
        match self {
            State::Succeeded | State::Reverted => Some(0),
            State::Unchanged => Some(33),
            State::NotApplicable | State::Cancelled => Some(101),
            _ if self.ended() => Some(1),
            _ => None,
        }
    }
}

/// How a task ended on the host, as far as its state goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Changed and verified.
    Succeeded,
    /// In place already; for a rollback: not ours, nothing done.
    Unchanged,
    /// Conditions do not hold.
    NotApplicable,
    /// An error.
    Failed,
    /// No effect, put back.
    VerifyFailed,
    /// Put back.
    Reverted,
    /// Rollback stopped: changed by somebody.
    DriftedSinceApply,
    /// Rollback failed half-way.
    RevertFailed,
}

/// What happens to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The instant it was scheduled for has come.
    Due,
    /// The agent polled and an order was made for it.
    Offer,
    /// The agent journalled the order.
    Accepted,
    /// The agent's intent is durable.
    Started,
    /// The agent says how it ended.
    Finished(End),
    /// The agent will not act on the order; may a later try succeed?
    Refused {
        /// Nobody needs to change the order's content for it.
        transient: bool,
    },
    /// The order's time ended on the agent before it could start, by our clock too ([`lapsed`]): waiting is no try.
    Lapsed,
    /// The executor died between intent and end.
    Interrupted,
    /// The agent wrote a tombstone: this epoch never starts.
    Revoked,
    /// Nothing was heard until `not_after` plus the margin; of what had started, not for [`GONE_SECONDS`], or the agent does not list
    /// it any more.
    Silence,
    /// A person cancels the job, or everything is halted.
    Cancel,
    /// The agent is revoked, re-enrolled elsewhere or linked to another asset: nobody will ever answer for this one.
    AgentGone,
    /// Nobody can be asked: the asset has no agent, or one that cannot do this kind of action.
    Unable,
    /// Its window is over, or so nearly that it could not end in it; ends what has not started (design, section 10).
    Expire,
    /// Its instant was resolved again and lies ahead: the agent's zone has changed before anything was ordered.
    Postpone,
}

/// What an agent is told of a task at a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offering {
    /// An order for the next epoch is made, stored and sent.
    Make,
    /// The stored order of this epoch is sent again, the same bytes.
    Resend,
    /// The order of this epoch must not start any more.
    Revoke,
    /// Nothing.
    Nothing,
}

/// Which run of a job has its turn on an asset, of its open tasks in the order in which they are due: the one whose order is
/// out, else the first that is ready. One job at a time (R20), and of one job one run.
#[must_use]
pub fn turn<J: Copy>(open: &[(J, State)]) -> Option<J> {
    let out = open.iter().find(|(_, state)| *state != State::Ready);
    out.or_else(|| open.first()).map(|(job, _)| *job)
}

/// A task as far as its life goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Life {
    /// State.
    pub state: State,
    /// Counts the orders, 0 before the first.
    pub epoch: u32,
    /// Tries used up by interruptions and transient refusals.
    pub attempts: u32,
    /// Somebody cancelled while an order was out.
    pub cancel_requested: bool,
}

impl Life {
    /// A task that waits for its time.
    #[must_use]
    pub fn new() -> Self {
        Life { state: State::Pending, epoch: 0, attempts: 0, cancel_requested: false }
    }

    /// The agent has to be told to write a tombstone: an order may be out that must not start any more.
    #[must_use]
    pub fn to_revoke(self) -> bool {
        self.state == State::Unknown
            || (self.cancel_requested && matches!(self.state, State::Offered | State::Accepted))
    }

    /// What the agent is told of the task at a poll. While everything is halted, or its job is paused, no new order is made
    /// and what has not started is taken back (S7).
    #[must_use]
    pub fn offering(self, halted: bool) -> Offering {
        match self.state {
            State::Ready if !halted => Offering::Make,
            State::Offered | State::Accepted | State::Unknown if halted || self.to_revoke() => Offering::Revoke,
            State::Offered => Offering::Resend,
            _ => Offering::Nothing,
        }
    }

    fn to(self, state: State) -> Self {
        Life { state, ..self }
    }

    /// The epoch is resolved without an end: try again, or give up.
    fn again(self, given_up: State) -> Self {
        let attempts = self.attempts + 1;
        let state = if self.cancel_requested {
            State::Cancelled
        } else if attempts >= ATTEMPTS_MAX {
            given_up
        } else {
            State::Ready
        };
        Life { state, attempts, ..self }
    }
}

impl Default for Life {
    fn default() -> Self {
        Self::new()
    }
}

/// The life after an event. An event that changes nothing (a repeated report, a late one) gives the same life.
///
/// # Errors
/// `task_order` for an event that can never follow this state: a forged or impossible report.
pub fn step(life: Life, event: Event) -> Result<Life, Refusal> {
    use State::{
        Accepted, Cancelled, DriftedSinceApply, Expired, Failed, Interrupted, Lost, NotApplicable, Offered, Pending,
        Ready, Refused, RevertFailed, Reverted, Running, Succeeded, Unchanged, Unknown, VerifyFailed,
    };
    let out = matches!(life.state, Offered | Accepted | Running | Unknown);
    let next = match event {
        // S5: only Unknown resolves late, everything that ended absorbs.
        _ if life.state.ended() => life,
        Event::Due if life.state == Pending => life.to(Ready),
        Event::Due => life,
        Event::Offer if life.state == Ready => Life { epoch: life.epoch + 1, ..life.to(Offered) },
        Event::Offer if life.state == Offered => life,
        Event::Cancel if matches!(life.state, Pending | Ready) => life.to(Cancelled),
        Event::Cancel => Life { cancel_requested: true, ..life },
        Event::Accepted if matches!(life.state, Offered | Unknown) => life.to(Accepted),
        Event::Accepted if out => life,
        Event::Started if out => life.to(Running),
        Event::Finished(end) if out => life.to(match end {
            End::Succeeded => Succeeded,
            End::Unchanged => Unchanged,
            End::NotApplicable => NotApplicable,
            End::Failed => Failed,
            End::VerifyFailed => VerifyFailed,
            End::Reverted => Reverted,
            End::DriftedSinceApply => DriftedSinceApply,
            End::RevertFailed => RevertFailed,
        }),
        Event::Refused { transient: true } if out => life.again(Refused),
        Event::Refused { transient: false } if out => life.to(Refused),
        Event::Interrupted if out => life.again(Interrupted),
        // A tombstone for a cancelled task ends it; for a silent one it only clears the way for a new order. So does an order
        // that waited in vain, for its permit or its turn.
        Event::Revoked | Event::Lapsed if out && life.cancel_requested => life.to(Cancelled),
        Event::Revoked | Event::Lapsed if out => life.to(Ready),
        Event::Silence if out => life.to(Unknown),
        Event::Silence => life,
        Event::Unable if matches!(life.state, Pending | Ready) => life.to(Refused),
        Event::Expire if matches!(life.state, Pending | Ready) => life.to(Expired),
        Event::Expire => life,
        Event::Postpone if life.state == Ready && life.epoch == 0 => life.to(Pending),
        Event::Postpone => life,
        Event::AgentGone if out => life.to(Lost),
        Event::AgentGone => life,
        _ => {
            return Err(Refusal::new(
                "task_order",
                format!("{event:?} cannot follow the state {}", life.state.as_str()),
            ));
        }
    };
    Ok(next)
}

/// The life after a report of the agent about one epoch: a report about another than the present one changes nothing.
///
/// # Errors
/// See [`step`].
pub fn heard(life: Life, epoch: u32, event: Event) -> Result<Life, Refusal> {
    if epoch == life.epoch { step(life, event) } else { Ok(life) }
}

/// The life once the task's agent turns out to sit on another asset, or on none: what was not ordered never is, an order
/// that may not have started is taken back, and what one that started did is nothing that is known of the task's asset.
#[must_use]
pub fn misplaced(life: Life) -> Life {
    let event = match life.state {
        State::Pending | State::Ready => Event::Unable,
        State::Offered | State::Accepted => Event::Cancel,
        _ => Event::AgentGone,
    };
    step(life, event).unwrap_or(life)
}

/// Whether an order that its agent refused as over time waited in vain, rather than met a wrong clock: its time is over here
/// too, but for a margin where the agent had taken it in time.
#[must_use]
pub fn lapsed(life: Life, not_after: Timestamp, now: Timestamp) -> bool {
    let margin = if life.state == State::Accepted { LAPSE_MARGIN_SECONDS } else { 0 };
    now.plus_seconds(margin) >= not_after
}

/// Is it time to say that nothing was heard?
#[must_use]
pub fn silent(not_after: Timestamp, now: Timestamp) -> bool {
    now > not_after.plus_seconds(SILENCE_SECONDS)
}

/// A permit to start that was granted for one order of a task ([`crate::rollout::permit`]), its place given back or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permitted {
    /// The epoch of the order.
    pub epoch: u32,
    /// Granted last.
    pub granted_at: Timestamp,
    /// What started on it has ended by then, however it ended ([`crate::rollout::permit::free_at`]).
    pub over_at: Timestamp,
}

/// Whether a task's host died at work, as far as anybody can see: what began was not heard of for [`GONE_SECONDS`], nor was its host,
/// last heard at `heard_at`.
///
/// What an agent says of a start is lost with a host that dies at once, and older ones say it only when all is over. So a permit for the
/// present order counts as a start, unless the host was heard once the work was over: then it would have said so. What is unknown already, by
/// its order's time, counts too as long as nobody knows that it began.
#[must_use]
pub fn gone(
    life: Life,
    started_at: Option<Timestamp>,
    permit: Option<Permitted>,
    heard_at: Timestamp,
    now: Timestamp,
) -> bool {
    let limit = now.plus_seconds(-GONE_SECONDS);
    let permit = permit.filter(|permit| permit.epoch == life.epoch && heard_at <= permit.over_at);
    let began = match life.state {
        State::Running => started_at,
        State::Unknown if started_at.is_some() => None,
        State::Offered | State::Accepted | State::Unknown => permit.map(|permit| permit.granted_at),
        _ => None,
    };
    heard_at < limit && began.is_some_and(|at| at < limit)
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
