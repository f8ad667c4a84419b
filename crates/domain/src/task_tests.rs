//! The life of a task by table and over random histories.

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

/// A permit that was granted for the present order is as good as a word of its start, as long as its host may be at work.
#[test]
fn who_died_at_work_by_table() {
    use crate::rollout::permit::free_at;
    let at = |seconds: i64| Timestamp::from_micros(0).plus_seconds(1_000_000 + seconds);
    let permit = |epoch, granted| Some(Permitted { epoch, granted_at: at(granted), over_at: free_at(at(granted)) });
    let (out, old, over) = ([State::Offered, State::Accepted, State::Unknown], -5_000, -5_000 + 720);
    assert_eq!(free_at(at(old)), at(over));
    for state in State::ALL {
        let out = out.contains(&state);
        let running = state == State::Running;
        for (started, permit, heard, expected, why) in [
            (None, None, old, false, "nothing allowed it to start"),
            (None, permit(2, old), old, out, "allowed, and not heard since"),
            (None, permit(2, old), over, out, "heard while it may have been at work"),
            (None, permit(2, old), over + 1, false, "heard after it, and it did not say that it had started"),
            (None, permit(1, old), old, false, "another order was allowed to start"),
            (None, permit(3, old), old, false, "another order was allowed to start"),
            (None, permit(2, -1_301), -1_301, out, "just long enough"),
            (None, permit(2, -1_300), -1_301, false, "it may still be at work"),
            (None, permit(2, -1_301), -1_300, false, "its host was heard too lately"),
            (Some(old), None, old, running, "it said so"),
            (Some(old), None, -1_301, running, "the host's last word does not matter, only when it was"),
            (Some(old), None, -1_300, false, "its host was heard too lately"),
            (Some(-1_300), None, -1_301, false, "it may still be at work"),
            (Some(old), permit(2, old), old, running || (out && state != State::Unknown), "known to be gone already"),
        ] {
            let life = Life { state, epoch: 2, ..Life::new() };
            assert_eq!(gone(life, started.map(at), permit, at(heard), at(0)), expected, "{state:?}: {why}");
        }
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
