//! The vulnerable item: its workflow state, and how detections roll up into it.
//!
//! Only imported detections close or reopen an item; people use the legal transitions among the open states.
//! Bulk roll-up runs as set-based SQL in `store::items`; a property test holds it to [`roll_up`].

use crate::detection::Presence;
use crate::refusal::Refusal;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Workflow state of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// To be worked on.
    Open,
    /// Somebody looks at it.
    UnderInvestigation,
    /// Decided, not yet done.
    AwaitingImplementation,
    /// Said to be done; the scanner has the last word.
    Resolved,
    /// The scanner no longer finds it.
    Closed,
}

impl State {
    /// Every state, in the order of the work.
    pub const ALL: [State; 5] =
        [State::Open, State::UnderInvestigation, State::AwaitingImplementation, State::Resolved, State::Closed];

    /// The word used in the database, the API and the query language.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::UnderInvestigation => "under_investigation",
            State::AwaitingImplementation => "awaiting_implementation",
            State::Resolved => "resolved",
            State::Closed => "closed",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// As people write it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            State::Open => "Open",
            State::UnderInvestigation => "Under Investigation",
            State::AwaitingImplementation => "Awaiting Implementation",
            State::Resolved => "Resolved",
            State::Closed => "Closed",
        }
    }
}

/// Why an item is in its state, where the state alone does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Substate {
    /// Nothing to add.
    None,
    /// Closed: the scanner found it gone.
    Fixed,
    /// Closed: no scanner has reported it for long.
    Stale,
    /// Resolved: a fix was verified by an agent, a scan has to confirm it.
    AwaitingScan,
}

impl Substate {
    /// The word used in the database and the API; empty for none.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Substate::None => "",
            Substate::Fixed => "fixed",
            Substate::Stale => "stale",
            Substate::AwaitingScan => "awaiting_scan",
        }
    }

    /// The word back to the value; unknown words are none.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "fixed" => Substate::Fixed,
            "stale" => Substate::Stale,
            "awaiting_scan" => Substate::AwaitingScan,
            _ => Substate::None,
        }
    }
}

/// The workflow part of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workflow {
    /// State.
    pub state: State,
    /// Substate.
    pub substate: Substate,
    /// When it became Resolved.
    pub resolved_at: Option<Timestamp>,
    /// How often it came back.
    pub reopened: u32,
}

/// What its detections say of an item, rolled up: the highest presence wins (Open > Fixed > Stale).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sightings {
    /// The highest presence of all its detections.
    pub presence: Presence,
    /// The latest time one of the open ones was found.
    pub last_found_at: Option<Timestamp>,
}

/// The item after an import. A closed item seen again opens; a resolved one opens only when it was found
/// *after* it was resolved; an item in work stays in work.
#[must_use]
pub fn roll_up(item: Workflow, seen: Sightings) -> Workflow {
    let reopen = Workflow {
        state: State::Open,
        substate: Substate::None,
        resolved_at: None,
        reopened: item.reopened.saturating_add(1),
    };
    match (seen.presence, item.state) {
        (Presence::Open, State::Closed) => reopen,
        (Presence::Open, State::Resolved) if seen.last_found_at > item.resolved_at => reopen,
        (Presence::Open, _) => item,
        (Presence::Fixed, _) => Workflow { state: State::Closed, substate: Substate::Fixed, ..item },
        // A closed item keeps its reason: nobody unlearns that it was fixed because a scanner went silent.
        (Presence::Stale, State::Closed) => item,
        (Presence::Stale, _) => Workflow { state: State::Closed, substate: Substate::Stale, ..item },
    }
}

/// A change that a person may make to the state of an item.
///
/// # Errors
/// `item_closed` for a closed item, `closed_by_import` for an attempt to close one, `same_state` for no change.
pub fn change_state(item: Workflow, to: State, now: Timestamp) -> Result<Workflow, Refusal> {
    if item.state == State::Closed {
        return Err(Refusal::new(
            "item_closed",
            "a closed item is reopened by an import only, when a scanner finds it again",
        ));
    }
    if to == State::Closed {
        return Err(Refusal::new(
            "closed_by_import",
            "an item is closed by an import only; set it to Resolved and request a rescan",
        ));
    }
    if item.state == to {
        return Err(Refusal::new("same_state", format!("the item is {} already", to.title())));
    }
    Ok(Workflow {
        state: to,
        substate: Substate::None,
        resolved_at: (to == State::Resolved).then_some(now),
        reopened: item.reopened,
    })
}

/// A verified fix by one of our agents makes the item Resolved; a scan has to confirm it.
#[must_use]
pub fn fix_verified(item: Workflow, now: Timestamp) -> Workflow {
    match item.state {
        State::Closed => item,
        _ => Workflow { state: State::Resolved, substate: Substate::AwaitingScan, resolved_at: Some(now), ..item },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::default().plus_seconds(seconds)
    }

    fn workflow(state: State, resolved: Option<i64>) -> Workflow {
        Workflow { state, substate: Substate::None, resolved_at: resolved.map(at), reopened: 0 }
    }

    fn seen(presence: Presence, found: i64) -> Sightings {
        Sightings { presence, last_found_at: Some(at(found)) }
    }

    #[test]
    fn roll_up_by_table() {
        use Presence::{Fixed, Open, Stale};
        for (state, resolved, presence, found, expected, substate, reopened) in [
            (State::Open, None, Open, 5, State::Open, Substate::None, 0),
            (State::UnderInvestigation, None, Open, 5, State::UnderInvestigation, Substate::None, 0),
            (State::Closed, None, Open, 5, State::Open, Substate::None, 1),
            (State::Resolved, Some(10), Open, 5, State::Resolved, Substate::None, 0),
            (State::Resolved, Some(10), Open, 11, State::Open, Substate::None, 1),
            (State::Resolved, Some(10), Fixed, 5, State::Closed, Substate::Fixed, 0),
            (State::Open, None, Fixed, 5, State::Closed, Substate::Fixed, 0),
            (State::Open, None, Stale, 5, State::Closed, Substate::Stale, 0),
            (State::Closed, None, Stale, 5, State::Closed, Substate::None, 0),
        ] {
            let after = roll_up(workflow(state, resolved), seen(presence, found));
            assert_eq!(
                (after.state, after.substate, after.reopened),
                (expected, substate, reopened),
                "{state:?} {presence:?}"
            );
        }
    }

    #[test]
    fn people_never_close_or_reopen() {
        for from in State::ALL {
            for to in State::ALL {
                let result = change_state(workflow(from, None), to, at(1));
                let legal = from != State::Closed && to != State::Closed && from != to;
                assert_eq!(result.is_ok(), legal, "{from:?} -> {to:?}");
            }
        }
    }
}
