//! What the states of its items make of a task.

use super::{Life, Substate};
use crate::item::{self, State};
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// How many items of a task are in which state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<(&'static str, &'static str), (State, item::Substate, i64)>);

impl Counts {
    /// Count so many more, or fewer, items in this state.
    pub fn add(&mut self, state: State, substate: item::Substate, count: i64) {
        let entry = self.0.entry((state.as_str(), substate.as_str())).or_insert((state, substate, 0));
        entry.2 += count;
    }

    fn sum(&self, wanted: impl Fn(State, item::Substate) -> bool) -> i64 {
        self.0.values().filter(|(state, substate, _)| wanted(*state, *substate)).map(|(.., count)| count).sum()
    }

    /// All items.
    #[must_use]
    pub fn all(&self) -> i64 {
        self.sum(|_, _| true)
    }

    /// Those in this state.
    #[must_use]
    pub fn of(&self, wanted: State) -> i64 {
        self.sum(|state, _| state == wanted)
    }

    /// Those that are not closed.
    #[must_use]
    pub fn open(&self) -> i64 {
        self.sum(|state, _| state != State::Closed)
    }

    /// Those that are closed as false positives.
    #[must_use]
    pub fn false_positives(&self) -> i64 {
        self.sum(|state, substate| state == State::Closed && substate == item::Substate::FalsePositive)
    }

    /// The substates of the items in this state, each once.
    fn substates(&self, wanted: State) -> Vec<item::Substate> {
        let there = self.0.values().filter(|(state, _, count)| *state == wanted && *count > 0);
        there.map(|(_, substate, _)| *substate).collect()
    }
}

/// A task after its items changed; `until` is the earliest end of the deferrals among them. By row:
///
/// | Items | Task |
/// |---|---|
/// | none left | Closed, cancelled |
/// | all closed, one of them as a false positive | in work, as it was: it never closes by itself |
/// | all closed: fixed, or fixed and stale | Closed, fixed |
/// | all closed: stale | Closed, cancelled |
/// | all closed: of one other substate / of several | Closed with that / without one |
/// | closed and deferred, or all deferred | Deferred, with the reason they share, until the earliest end |
/// | the open ones in review, or in review and deferred | In Review |
/// | some in work again, and it was Deferred / In Review | Open / what it was before |
/// | some in work again, and it was Resolved | Under Investigation where somebody has it, else Open |
/// | anything else | unchanged |
///
/// A closed task stays closed.
#[must_use]
pub fn rolled_up(task: Life, counts: &Counts, until: Option<Timestamp>, now: Timestamp) -> Life {
    if task.state == State::Closed {
        return task;
    }
    let closed = |substate| Life { closed_at: Some(now), ..task.to(State::Closed, substate) };
    let (open, deferred, in_review) = (counts.open(), counts.of(State::Deferred), counts.of(State::InReview));
    if counts.all() == 0 {
        return closed(Substate::Cancelled);
    }
    if open == 0 {
        if counts.false_positives() > 0 {
            return match task.state {
                State::InReview => task.to(task.before_review, Substate::NONE),
                State::Deferred => task.to(State::Open, Substate::NONE),
                _ => task,
            };
        }
        return closed(ending(&counts.substates(State::Closed)));
    }
    if open == deferred {
        let reason = match counts.substates(State::Deferred).as_slice() {
            [one] => Substate::Of(*one),
            _ => Substate::NONE,
        };
        return Life { until, ..task.to(State::Deferred, reason) };
    }
    if open == deferred + in_review {
        let before_review = match task.state {
            State::InReview => task.before_review,
            State::Deferred => State::Open,
            state => state,
        };
        return Life { before_review, resolved_at: task.resolved_at, ..task.to(State::InReview, Substate::NONE) };
    }
    let in_work = open - deferred - in_review - counts.of(State::Resolved);
    match task.state {
        State::Deferred => task.to(State::Open, Substate::NONE),
        State::InReview if task.before_review == State::Resolved && in_work > 0 => seen_again(task),
        State::InReview => Life { resolved_at: task.resolved_at, ..task.to(task.before_review, Substate::NONE) },
        State::Resolved if in_work > 0 => seen_again(task),
        _ => task,
    }
}

fn seen_again(task: Life) -> Life {
    let to = if task.assigned { State::UnderInvestigation } else { State::Open };
    task.to(to, Substate::NONE)
}

fn ending(substates: &[item::Substate]) -> Substate {
    let all = |wanted: &[item::Substate]| substates.iter().all(|substate| wanted.contains(substate));
    match substates {
        _ if all(&[item::Substate::Stale]) => Substate::Cancelled,
        _ if all(&[item::Substate::Fixed, item::Substate::Stale]) => Substate::Of(item::Substate::Fixed),
        [one] => Substate::Of(*one),
        _ => Substate::NONE,
    }
}
