//! Why a task is in its state, and what a task does to the state of an item, as sentences for people.

use super::{Counts, Life, effective, moves, rank};
use crate::item::State;
use crate::time::Timestamp;

/// What set the state of a task: `person:ada`, `items:VINTRUN0000001`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is new.
    Made,
    /// A person, by the sign-in name.
    Person(String),
    /// Its items, and what moved them.
    Items(String),
}

impl Cause {
    /// As stored.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Cause::Made => String::new(),
            Cause::Person(name) => format!("person:{name}"),
            Cause::Items(by) => format!("items:{by}"),
        }
    }

    /// The stored text back to the value.
    #[must_use]
    pub fn parse(text: &str) -> Cause {
        match text.split_once(':') {
            Some(("person", name)) => Cause::Person(name.to_owned()),
            Some(("items", by)) => Cause::Items(by.to_owned()),
            _ => Cause::Made,
        }
    }

    fn sentence(&self) -> String {
        match self {
            Cause::Made => "it is so since it was made".to_owned(),
            Cause::Person(name) => format!("{name} set it"),
            Cause::Items(by) => {
                format!("it follows from its items, which {} changed", by.strip_prefix("users/").unwrap_or(by))
            }
        }
    }
}

/// The sentences about a task, lower case and without a full stop: what decided, until when, what would change it.
#[must_use]
pub fn of_task(task: Life, cause: &Cause, counts: &Counts) -> Vec<String> {
    let mut said = vec![cause.sentence()];
    let (open, fp) = (counts.open(), counts.false_positives());
    said.push(match task.state {
        State::Closed => "it stays closed; items that come back are grouped anew".to_owned(),
        _ if open == 0 && fp > 0 => format!(
            "all its items are closed, {fp} of them as false positives, so it does not close by itself; take those out of it"
        ),
        State::Deferred => {
            let until = task.until.map(|until| format!(" until {}", day(until))).unwrap_or_default();
            format!("all its open items are deferred{until}; it opens when one of them does")
        }
        State::InReview => format!(
            "an exception is being decided for all its open items; without one it is {} again",
            task.before_review.title()
        ),
        State::Resolved => {
            let back = if task.assigned { "Under Investigation" } else { "Open" };
            format!("it closes when imports close its {open} open items, and is {back} when one of them is found again")
        }
        _ => format!("it closes when imports close its {open} open items"),
    });
    if moves(task.state) {
        said.push(format!("its items are {} unless a higher state counts for them", task.state.title()));
    }
    said
}

/// The sentences about what an item's tasks do to its state: each task by number and state, the item's own state beside.
#[must_use]
pub fn of_item(own: State, tasks: &[(String, State)]) -> Vec<String> {
    let states: Vec<State> = tasks.iter().map(|(_, state)| *state).collect();
    let (_, decided) = effective(own, &states);
    let mut said = Vec::new();
    if let Some((number, state)) = decided.and_then(|place| tasks.get(place)) {
        said.push(format!(
            "its task {number} is {}, which counts more than its own state {}",
            state.title(),
            own.title()
        ));
    }
    for (place, (number, state)) in tasks.iter().enumerate() {
        if Some(place) != decided && *state != State::Closed {
            let less = if moves(*state) && rank(*state) <= rank(own) || decided.is_some() {
                ", which does not count more"
            } else {
                ""
            };
            said.push(format!("its task {number} is {}{less}", state.title()));
        }
    }
    said
}

fn day(at: Timestamp) -> String {
    at.to_jiff().strftime("%-d %b %Y %H:%M UTC").to_string()
}
