//! Due dates by table, and what always holds of them.

use super::*;
use proptest::prelude::*;

fn day(days: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(days * DAY)
}

fn of(state: State, residual: u8, opened: i64) -> Of {
    let substate = Substate::None;
    Of { state, substate, residual, opened_at: day(opened), resolved_at: None, closed_at: None }
}

fn closed(substate: Substate, at: i64) -> Of {
    Of { substate, closed_at: Some(day(at)), ..of(State::Closed, 50, 0) }
}

#[test]
fn days_by_band() {
    let days = Days::default();
    for (residual, expected) in [(100, 5), (90, 5), (89, 10), (70, 10), (69, 15), (40, 15), (39, 30), (1, 30)] {
        let due = after(&days, Due::UNSET, of(State::Open, residual, 0), day(7));
        assert_eq!((due.at, due.soon), (Some(day(expected)), Some(day(expected - 3))), "{residual}");
    }
    for days in [Days { on: false, ..days }, Days { high: 0, ..days }] {
        assert_eq!(after(&days, Due::UNSET, of(State::Open, 80, 0), day(0)).at, None);
    }
    assert_eq!(Days { low: -1, ..days }.check().map_err(|(field, _)| field), Err("low"));
    assert_eq!(Days { soon: DAYS_MAX + 1, ..days }.check().map_err(|(field, _)| field), Err("soon"));
    assert_eq!(days.check(), Ok(()));
}

#[test]
fn a_rising_score_brings_it_forward_and_a_falling_one_changes_nothing() {
    let days = Days::default();
    let low = after(&days, Due::UNSET, of(State::Open, 30, 0), day(0));
    let rose = after(&days, low, of(State::UnderInvestigation, 95, 0), day(2));
    assert_eq!(rose.at, Some(day(7)));
    assert_eq!(after(&days, rose, of(State::Open, 10, 0), day(3)), rose);
    // What rises late has its earlier date already.
    assert_eq!(after(&days, low, of(State::Open, 45, 0), day(20)), low);
    assert_eq!(after(&days, low, of(State::Open, 95, 0), day(29)), low);
    // Without days for the band there was no date; with them there is one from the rise on.
    let none = Days { low: 0, ..days };
    let open = after(&none, Due::UNSET, of(State::Open, 30, 0), day(0));
    assert_eq!((open.at, after(&none, open, of(State::Open, 75, 0), day(4)).at), (None, Some(day(14))));
}

#[test]
fn a_deferral_stops_the_clock_and_a_reopening_starts_it() {
    let days = Days::default();
    let open = after(&days, Due::UNSET, of(State::Open, 50, 0), day(0));
    for state in [State::InReview, State::Resolved] {
        let held = after(&days, open, of(state, 50, 0), day(20));
        assert_eq!((held, target(held, state, day(20))), (open, Target::None));
    }
    let stopped = after(&days, open, of(State::Deferred, 50, 0), day(10));
    assert_eq!((stopped.at, target(stopped, State::Deferred, day(99))), (None, Target::None));
    assert_eq!(after(&days, stopped, of(State::Open, 50, 0), day(40)).at, Some(day(55)));
    // Found again after it was only said to be done: the date stays, or saying so would put it off.
    assert_eq!(after(&days, open, of(State::Open, 50, 12), day(12)), open);
    let done = after(&days, open, closed(Substate::Fixed, 10), day(10));
    assert_eq!(done.ending, Ending::Met);
    let again = after(&days, done, of(State::Open, 50, 30), day(30));
    assert_eq!((again.at, again.ending), (Some(day(45)), Ending::Open));
    let deferred_again = after(&days, done, of(State::Deferred, 50, 30), day(30));
    assert_eq!((deferred_again.at, deferred_again.ending), (None, Ending::Open));
}

#[test]
fn what_was_reached_is_frozen_at_the_closing() {
    let days = Days::default();
    let open = after(&days, Due::UNSET, of(State::Open, 50, 0), day(0));
    for (what, at, resolved, ending, target_then) in [
        (Substate::Fixed, 15, None, Ending::Met, Target::Met),
        (Substate::Fixed, 16, None, Ending::Missed, Target::Missed),
        // Said to be done in time, and found so later.
        (Substate::Fixed, 20, Some(14), Ending::Met, Target::Met),
        (Substate::Fixed, 20, Some(16), Ending::Missed, Target::Missed),
        (Substate::Stale, 14, None, Ending::NoTarget, Target::None),
        (Substate::Stale, 95, None, Ending::Missed, Target::Missed),
        (Substate::FalsePositive, 3, None, Ending::NoTarget, Target::None),
    ] {
        let of = Of { resolved_at: resolved.map(day), ..closed(what, at) };
        let due = after(&days, open, of, day(at));
        assert_eq!((due.ending, target(due, State::Closed, day(500))), (ending, target_then), "{what:?} {at}");
        // Nothing later changes that.
        assert_eq!(after(&days, due, of, day(600)), due);
        assert_eq!(again(&Days { medium: 400, ..days }, due, of, day(600)), due);
    }
    let never = after(&days, Due::UNSET, closed(Substate::Fixed, 1), day(1));
    assert_eq!(never.ending, Ending::NoTarget);
}

#[test]
fn the_status_by_the_moment() {
    let due = after(&Days::default(), Due::UNSET, of(State::Open, 80, 0), day(0));
    let second = |days, seconds| day(days).plus_seconds(seconds);
    for (now, expected) in [
        (day(0), Target::InFlight),
        (second(7, -1), Target::InFlight),
        (day(7), Target::Approaching),
        (day(10), Target::Approaching),
        (second(10, 1), Target::Missed),
    ] {
        assert_eq!(target(due, State::AwaitingImplementation, now), expected, "{now}");
    }
    assert!(Target::ALL.iter().zip(Target::WORDS).all(|(target, word)| target.as_str() == *word));
    assert!(Ending::ALL.into_iter().all(|ending| Ending::parse(ending.as_str()) == Some(ending)));
}

#[test]
fn other_days_are_reckoned_from_the_same_moment() {
    let days = Days::default();
    let low = after(&days, Due::UNSET, of(State::Open, 30, 0), day(0));
    let rose = after(&days, low, of(State::Open, 95, 0), day(2));
    let other = Days { critical: 2, low: 90, ..days };
    assert_eq!(again(&other, rose, of(State::Open, 10, 0), day(3)).at, Some(day(4)));
    assert_eq!(again(&other, low, of(State::Open, 30, 0), day(3)).at, Some(day(90)));
    assert_eq!(again(&Days { on: false, ..days }, low, of(State::Open, 30, 0), day(3)).at, None);
    let stopped = after(&days, low, of(State::Deferred, 30, 0), day(3));
    assert_eq!(again(&other, stopped, of(State::Deferred, 30, 0), day(4)), stopped);
    // What was never reckoned counts from its opening.
    assert_eq!(again(&other, Due::UNSET, of(State::Open, 30, 1), day(50)).at, Some(day(91)));
}

proptest! {
    /// While an item is worked on its date only ever comes nearer, and asking again changes nothing.
    #[test]
    fn the_date_only_comes_nearer(scores in proptest::collection::vec((1u8..=100, 0i64..40), 1..12)) {
        let days = Days::default();
        let (mut due, mut now) = (Due::UNSET, 0);
        for (residual, later) in scores {
            now += later;
            let next = after(&days, due, of(State::Open, residual, 0), day(now));
            prop_assert!(due.at.is_none_or(|before| next.at.is_some_and(|at| at <= before)));
            prop_assert_eq!(after(&days, next, of(State::Open, residual, 0), day(now)), next);
            due = next;
        }
    }
}
