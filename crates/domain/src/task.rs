//! The life of one mitigation on one asset, as the server sees it (`fleet-execution.md` section 6.4).
//!
//! At-most-once start is the agent's journal plus one rule here: a new epoch is made only when the old one is
//! *resolved*, by a result, an interruption report or a tombstone, never by a time-out alone (S2). An order
//! that nobody has answered in time becomes `Unknown` and is asked about, not repeated.

use crate::refusal::Refusal;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Interrupted or transiently refused tasks are tried this often in all.
pub const ATTEMPTS_MAX: u32 = 3;
/// How long an action may take on the host, in seconds; less in a short maintenance window.
pub const RUN_SECONDS: i64 = 300;
/// How long an order may start, in seconds (24 h); then it is asked about and renewed.
pub const ORDER_SECONDS: i64 = 24 * 3600;
/// Added to an order's end before silence means `Unknown`, in seconds: skew margin and two holds.
pub const SILENCE_SECONDS: i64 = 600 + 2 * 50;
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
    /// The order's time is over and nothing was heard: the agent is asked, nothing is repeated.
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
    /// Nothing was heard until `not_after` plus the margin.
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
        Event::Silence if matches!(life.state, Offered | Accepted) => life.to(Unknown),
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all_events() -> Vec<Event> {
        let ends = [
            End::Succeeded,
            End::Unchanged,
            End::NotApplicable,
            End::Failed,
            End::VerifyFailed,
            End::Reverted,
            End::DriftedSinceApply,
            End::RevertFailed,
        ];
        let mut events = vec![
            Event::Due,
            Event::Offer,
            Event::Accepted,
            Event::Started,
            Event::Refused { transient: true },
            Event::Refused { transient: false },
            Event::Lapsed,
            Event::Interrupted,
            Event::Revoked,
            Event::Silence,
            Event::Cancel,
            Event::AgentGone,
            Event::Unable,
            Event::Expire,
            Event::Postpone,
        ];
        events.extend(ends.map(Event::Finished));
        events
    }

    fn after(events: &[Event]) -> Life {
        events.iter().fold(Life::new(), |life, event| step(life, *event).unwrap_or(life))
    }

    #[test]
    fn the_plain_way() {
        use Event::{Accepted, Due, Finished, Offer, Started};
        let life = after(&[Due, Offer, Accepted, Started, Finished(End::Succeeded)]);
        assert_eq!((life.state, life.epoch, life.state.code()), (State::Succeeded, 1, Some(0)));
    }

    #[test]
    fn silence_never_makes_a_new_epoch() {
        use Event::{Due, Offer, Revoked, Silence};
        let life = after(&[Due, Offer, Silence, Offer, Offer]);
        assert_eq!((life.state, life.epoch), (State::Unknown, 1));
        assert!(life.to_revoke());
        let life = after(&[Due, Offer, Silence, Revoked, Offer]);
        assert_eq!((life.state, life.epoch), (State::Offered, 2));
    }

    #[test]
    fn a_late_result_resolves_unknown() {
        use Event::{Due, Finished, Offer, Silence};
        assert_eq!(after(&[Due, Offer, Silence, Finished(End::Succeeded)]).state, State::Succeeded);
    }

    #[test]
    fn cancelling_waits_for_the_agents_word_once_an_order_is_out() {
        use Event::{Cancel, Due, Finished, Offer, Revoked};
        assert_eq!(after(&[Due, Cancel]).state, State::Cancelled);
        let life = after(&[Due, Offer, Cancel]);
        assert_eq!(life.state, State::Offered);
        assert!(life.to_revoke());
        assert_eq!(after(&[Due, Offer, Cancel, Revoked]).state, State::Cancelled);
        assert_eq!(after(&[Due, Offer, Cancel, Finished(End::Succeeded)]).state, State::Succeeded);
    }

    #[test]
    fn interruptions_are_tried_again_a_bounded_number_of_times() {
        let mut events = vec![Event::Due];
        for _ in 0..5 {
            events.extend([Event::Offer, Event::Started, Event::Interrupted]);
        }
        let life = after(&events);
        assert_eq!((life.state, life.epoch), (State::Interrupted, ATTEMPTS_MAX));
    }

    #[test]
    fn waiting_in_vain_uses_up_no_try() {
        let mut events = vec![Event::Due];
        for _ in 0..5 {
            events.extend([Event::Offer, Event::Accepted, Event::Lapsed]);
        }
        let life = after(&events);
        assert_eq!((life.state, life.epoch, life.attempts), (State::Ready, 5, 0));
        let cancelled = after(&[Event::Due, Event::Offer, Event::Accepted, Event::Cancel, Event::Lapsed]);
        assert_eq!(cancelled.state, State::Cancelled, "nothing is offered again of what was cancelled");
        assert_eq!(after(&[Event::Due, Event::Offer, Event::Silence, Event::Lapsed]).state, State::Ready);
        assert!(step(after(&[Event::Due]), Event::Lapsed).is_err(), "no order is out");
    }

    /// An agent whose clock is wrong says at once that the time of an order is over: that is a try, or it went on for ever.
    #[test]
    fn an_order_lapses_by_our_clock_too() {
        let not_after = Timestamp::from_micros(0).plus_seconds(1_000);
        for (state, seconds, expected) in [
            (State::Accepted, 939, false),
            (State::Accepted, 940, true),
            (State::Offered, 999, false),
            (State::Offered, 1_000, true),
            (State::Unknown, 999, false),
            (State::Unknown, 1_700, true),
        ] {
            let life = Life { state, ..Life::new() };
            let now = Timestamp::from_micros(0).plus_seconds(seconds);
            assert_eq!(lapsed(life, not_after, now), expected, "{state:?} {seconds}");
        }
    }

    #[test]
    fn what_is_offered_by_table() {
        for state in State::ALL {
            for (cancel_requested, halted) in [(false, false), (false, true), (true, false), (true, true)] {
                let life = Life { state, epoch: 1, attempts: 0, cancel_requested };
                let expected = match (state, cancel_requested || halted) {
                    (State::Ready, _) if !halted => Offering::Make,
                    (State::Unknown, _) | (State::Offered | State::Accepted, true) => Offering::Revoke,
                    (State::Offered, false) => Offering::Resend,
                    _ => Offering::Nothing,
                };
                assert_eq!(life.offering(halted), expected, "{state:?} cancel {cancel_requested} halt {halted}");
            }
        }
    }

    /// The end of a window ends what has not started; what an order is out for is never given up by the clock.
    #[test]
    fn expiring_and_postponing_by_table() {
        use Event::{Due, Expire, Offer, Postpone, Revoked, Silence};
        for state in State::ALL {
            for epoch in [0, 1] {
                let life = Life { state, epoch, attempts: 0, cancel_requested: false };
                let expired = if matches!(state, State::Pending | State::Ready) { State::Expired } else { state };
                assert_eq!(step(life, Expire).map(|life| life.state), Ok(expired), "{state:?}");
                let back = if state == State::Ready && epoch == 0 { State::Pending } else { state };
                assert_eq!(step(life, Postpone).map(|life| life.state), Ok(back), "{state:?} {epoch}");
            }
        }
        assert_eq!(after(&[Due, Offer, Silence, Expire]).state, State::Unknown);
        assert_eq!(after(&[Due, Offer, Silence, Revoked, Expire]).state, State::Expired);
    }

    #[test]
    fn r20_one_job_at_a_time_on_an_asset() {
        assert_eq!(turn::<u8>(&[]), None);
        assert_eq!(turn(&[(1, State::Ready), (2, State::Ready)]), Some(1), "the one due first");
        for out in [State::Offered, State::Accepted, State::Running, State::Unknown] {
            assert_eq!(turn(&[(1, State::Ready), (2, out), (1, State::Ready)]), Some(2), "{out:?} is not over");
        }
    }

    #[test]
    fn no_order_of_a_misplaced_task_is_made_or_sent_again() {
        for state in State::ALL {
            let life = misplaced(Life { state, epoch: 1, attempts: 0, cancel_requested: false });
            let expected = match state {
                State::Pending | State::Ready => State::Refused,
                State::Running | State::Unknown => State::Lost,
                other => other,
            };
            assert_eq!(life.state, expected, "{state:?}");
            let out = matches!(state, State::Offered | State::Accepted);
            assert_eq!(life.offering(false), if out { Offering::Revoke } else { Offering::Nothing }, "{state:?}");
            assert!(out || life.state.ended());
            // Whatever is heard of it, no further order is made.
            for event in all_events() {
                let heard = step(life, event).unwrap_or(life);
                assert_ne!(misplaced(heard).offering(false), Offering::Make, "{state:?} {event:?}");
                assert!(out || heard == life, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn a_report_about_another_epoch_changes_nothing() {
        let life = after(&[Event::Due, Event::Offer, Event::Interrupted, Event::Offer]);
        assert_eq!(heard(life, 1, Event::Finished(End::Succeeded)), Ok(life));
        assert_eq!(heard(life, 3, Event::Finished(End::Succeeded)), Ok(life));
        assert_eq!(heard(life, 2, Event::Accepted).map(|life| life.state), Ok(State::Accepted));
    }

    #[test]
    fn codes_by_the_design() {
        for state in State::ALL {
            let expected = match state.as_str() {
                "pending" | "ready" | "offered" | "accepted" | "running" | "unknown" => None,
                "succeeded" | "reverted" => Some(0),
                "unchanged" => Some(33),
                "not_applicable" | "cancelled" => Some(101),
                _ => Some(1),
            };
            assert_eq!(state.code(), expected, "{state:?}");
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
    }

    proptest! {
        /// S2, S5, S13 on the server's side, over random histories.
        #[test]
        fn histories_keep_the_invariants(picks in proptest::collection::vec(0usize..23, 0..40)) {
            let events = all_events();
            let mut life = Life::new();
            let mut resolved = true;
            for pick in picks {
                let event = events[pick % events.len()];
                let Ok(next) = step(life, event) else { continue };
                if life.state.ended() {
                    prop_assert_eq!(next, life);
                }
                if next.epoch > life.epoch {
                    prop_assert!(resolved, "epoch {} made while {} was open", next.epoch, life.epoch);
                    resolved = false;
                }
                if matches!(
                    event,
                    Event::Refused { .. } | Event::Lapsed | Event::Interrupted | Event::Revoked | Event::Finished(_)
                ) {
                    resolved = true;
                }
                life = next;
            }
            // S13: from anywhere an end is reachable.
            let ended = [Event::Due, Event::Offer, Event::Finished(End::Failed)].into_iter()
                .fold(life, |life, event| step(life, event).unwrap_or(life));
            prop_assert!(ended.state.ended());
        }
    }
}
