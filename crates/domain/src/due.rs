//! Due dates: until when an item should be done with, by the band of its score, and how it stands with that.
//!
//! The days begin with the opening. A band that rises brings the date forward to that moment and the days of the new band where
//! that is earlier; a falling one never puts it off. A deferral stops the clock, its end starts it anew. What an item reached is
//! frozen when it closes. `docs/items.md`, *Due dates*.

use crate::item::{State, Substate};
use crate::score::Band;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Days that a band may have at most.
pub const DAYS_MAX: i64 = 3_650;
const DAY: i64 = 86_400;

/// How many days there are for each band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Days {
    /// Whether items have due dates at all.
    pub on: bool,
    /// For scores of 90 to 100; 0 for no date.
    pub critical: i64,
    /// For 70 to 89.
    pub high: i64,
    /// For 40 to 69.
    pub medium: i64,
    /// For 1 to 39.
    pub low: i64,
    /// So many days before its date an item is approaching it; 0 for never.
    pub soon: i64,
}

impl Default for Days {
    fn default() -> Self {
        Days { on: true, critical: 5, high: 10, medium: 15, low: 30, soon: 3 }
    }
}

impl Days {
    /// Check what somebody set.
    ///
    /// # Errors
    /// The field and a sentence for the first that is out of bounds.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let bounded = [
            ("critical", self.critical),
            ("high", self.high),
            ("medium", self.medium),
            ("low", self.low),
            ("soon", self.soon),
        ];
        match bounded.into_iter().find(|(_, days)| !(0..=DAYS_MAX).contains(days)) {
            Some((field, _)) => Err((field, format!("give 1 to {DAYS_MAX} days, or 0 for none"))),
            None => Ok(()),
        }
    }

    fn of(&self, band: Band) -> Option<i64> {
        let days = match band {
            Band::Critical => self.critical,
            Band::High => self.high,
            Band::Medium => self.medium,
            Band::Low => self.low,
        };
        (self.on && days > 0).then_some(days)
    }
}

/// What an item reached when it closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It is not closed.
    Open,
    /// It was fixed in time.
    Met,
    /// It was late.
    Missed,
    /// It had no date, or was closed in time without being fixed.
    NoTarget,
}

impl Ending {
    /// Every ending.
    pub const ALL: [Ending; 4] = [Ending::Open, Ending::Met, Ending::Missed, Ending::NoTarget];

    /// The word in the database; empty while it is open.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Ending::Open => "",
            Ending::Met => "met",
            Ending::Missed => "missed",
            Ending::NoTarget => "none",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ending| ending.as_str() == word)
    }
}

/// How an item stands with its due date: the remediation target status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// It has no date, or none counts while it is in review, deferred or resolved.
    None,
    /// There is time.
    InFlight,
    /// There is little time.
    Approaching,
    /// It is late, or was when it closed.
    Missed,
    /// It was fixed in time.
    Met,
}

impl Target {
    /// Every value.
    pub const ALL: [Target; 5] = [Target::None, Target::InFlight, Target::Approaching, Target::Missed, Target::Met];
    /// Their words.
    pub const WORDS: &'static [&'static str] = &["none", "in_flight", "approaching", "missed", "met"];

    /// The word in the API and the query language.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Target::None => "none",
            Target::InFlight => "in_flight",
            Target::Approaching => "approaching",
            Target::Missed => "missed",
            Target::Met => "met",
        }
    }

    /// The word back to the value; unknown words are `None`.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        Self::ALL.into_iter().find(|target| target.as_str() == word).unwrap_or(Target::None)
    }

    /// As people write it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Target::None => "No target",
            Target::InFlight => "In-flight",
            Target::Approaching => "Approaching",
            Target::Missed => "Target missed",
            Target::Met => "Target met",
        }
    }
}

/// The due date of an item and what it was reckoned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The band whose days count; none where nothing was reckoned yet.
    pub band: Option<Band>,
    /// When these days began; none while the clock is stopped.
    pub from: Option<Timestamp>,
    /// Its last moment; none where the band has no days.
    pub at: Option<Timestamp>,
    /// From when on it is approaching that.
    pub soon: Option<Timestamp>,
    /// What it reached.
    pub ending: Ending,
}

impl Due {
    /// Nothing was reckoned yet.
    pub const UNSET: Due = Due { band: None, from: None, at: None, soon: None, ending: Ending::Open };

    fn runs(days: &Days, band: Band, from: Timestamp) -> Due {
        let at = days.of(band).map(|days| from.plus_seconds(days * DAY));
        let soon = at.filter(|_| days.soon > 0).map(|at| at.plus_seconds(-days.soon * DAY));
        Due { band: Some(band), from: Some(from), at, soon, ending: Ending::Open }
    }
}

/// What a due date depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Of {
    /// The item's state.
    pub state: State,
    /// Why it is so.
    pub substate: Substate,
    /// Its residual score.
    pub residual: u8,
    /// When it was last opened.
    pub opened_at: Timestamp,
    /// When it was said to be done, where it was.
    pub resolved_at: Option<Timestamp>,
    /// When it closed, where it did.
    pub closed_at: Option<Timestamp>,
}

impl Of {
    /// Of an item that is made now.
    #[must_use]
    pub fn new(score: u8, now: Timestamp) -> Of {
        let (state, substate) = (State::Open, Substate::None);
        Of { state, substate, residual: score, opened_at: now, resolved_at: None, closed_at: None }
    }
}

/// The due date of an item after something happened to it; the same again where nothing follows from it.
#[must_use]
pub fn after(days: &Days, due: Due, of: Of, now: Timestamp) -> Due {
    let band = Band::of(of.residual);
    match of.state {
        State::Closed if due.ending == Ending::Open => Due { ending: ended(due, of, now), ..due },
        State::Closed => due,
        State::Deferred => {
            Due { band: due.band.or(Some(band)), from: None, at: None, soon: None, ending: Ending::Open }
        }
        _ => match (due.ending, due.band, due.from) {
            (Ending::Open, Some(known), Some(_)) => risen(days, due, known, band, now),
            // A stopped clock starts where a deferral ended.
            (Ending::Open, Some(_), None) => Due::runs(days, band, now),
            _ => Due::runs(days, band, of.opened_at),
        },
    }
}

fn risen(days: &Days, due: Due, known: Band, band: Band, now: Timestamp) -> Due {
    let sooner = |new: &Due| new.at.is_some_and(|new| due.at.is_none_or(|old| new < old));
    Some(Due::runs(days, band, now)).filter(|new| band > known && sooner(new)).unwrap_or(due)
}

/// What counts is when it was said to be done, if that was found true, and only what was fixed has met its date.
fn ended(due: Due, of: Of, now: Timestamp) -> Ending {
    let Some(at) = due.at else { return Ending::NoTarget };
    match of.resolved_at.or(of.closed_at).unwrap_or(now) {
        done if done > at => Ending::Missed,
        _ if of.substate == Substate::Fixed => Ending::Met,
        _ => Ending::NoTarget,
    }
}

/// The due date after other days were set: reckoned from the same moment with the same band. What is closed stays as it ended.
#[must_use]
pub fn again(days: &Days, due: Due, of: Of, now: Timestamp) -> Due {
    match (of.state, due.ending, due.band, due.from) {
        (State::Closed, ..) | (State::Deferred, ..) => after(days, due, of, now),
        (_, Ending::Open, Some(band), Some(from)) => Due::runs(days, band, from),
        _ => after(days, due, of, now),
    }
}

/// How an item stands with its due date now. The last moment of its date is still in time.
#[must_use]
pub fn target(due: Due, state: State, now: Timestamp) -> Target {
    match (state, due.ending, due.at) {
        (State::Closed, Ending::Met, _) => Target::Met,
        (State::Closed, Ending::Missed, _) => Target::Missed,
        (State::Closed | State::InReview | State::Deferred | State::Resolved, ..) | (_, _, None) => Target::None,
        (_, _, Some(at)) if now > at => Target::Missed,
        _ if due.soon.is_some_and(|soon| now >= soon) => Target::Approaching,
        _ => Target::InFlight,
    }
}

#[cfg(test)]
mod tests;
