//! Notices that are collected: who is told of what, and when what was collected is mailed as one letter.

use crate::time::Timestamp;

/// Seconds that what is newly given to somebody is collected.
pub const COLLECT_SECONDS: i64 = 600;
/// The hour of the day, in UTC, at which people are told of what became overdue.
pub const OVERDUE_HOUR: i64 = 7;
/// Letters about new assignments that one account gets on one day, in UTC, at most.
pub const LETTERS_A_DAY: i64 = 20;
/// Members of a group that are told at most.
pub const MEMBERS_MAX: i64 = 50;
const DAY_MICROS: i64 = 86_400_000_000;

/// What people are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Something was given to them.
    Assigned,
    /// Something of theirs is overdue.
    Overdue,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 2] = [Kind::Assigned, Kind::Overdue];

    /// The word in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Assigned => "assigned",
            Kind::Overdue => "overdue",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The day of a moment, in UTC, from 1970.
#[must_use]
pub fn day(at: Timestamp) -> i64 {
    at.micros().div_euclid(DAY_MICROS)
}

/// When a letter is written about what is collected since `at`.
#[must_use]
pub fn opens(kind: Kind, at: Timestamp) -> Timestamp {
    match kind {
        Kind::Assigned => at.plus_seconds(COLLECT_SECONDS),
        Kind::Overdue => {
            let hour = OVERDUE_HOUR * 3_600 * 1_000_000;
            let next = (at.micros() - hour).div_euclid(DAY_MICROS) + 1;
            Timestamp::from_micros(next * DAY_MICROS + hour)
        }
    }
}

/// Whether one more letter may be written on this day, where so many were on the day of the last one.
#[must_use]
pub fn may_write(kind: Kind, letters: i64, on: i64, now: Timestamp) -> bool {
    kind == Kind::Overdue || on != day(now) || letters < LETTERS_A_DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        serde_json::from_value(serde_json::Value::from(text)).unwrap()
    }

    #[test]
    fn letters_are_written_by_table() {
        for (kind, since, then) in [
            (Kind::Assigned, "2026-12-01T23:55:00Z", "2026-12-02T00:05:00Z"),
            (Kind::Overdue, "2026-12-01T06:59:59Z", "2026-12-01T07:00:00Z"),
            (Kind::Overdue, "2026-12-01T07:00:00Z", "2026-12-02T07:00:00Z"),
            (Kind::Overdue, "2026-12-31T23:00:00Z", "2027-01-01T07:00:00Z"),
        ] {
            assert_eq!(opens(kind, at(since)), at(then), "{kind:?} {since}");
        }
        let now = at("2026-12-01T10:00:00Z");
        for (kind, letters, on, may) in [
            (Kind::Assigned, LETTERS_A_DAY - 1, day(now), true),
            (Kind::Assigned, LETTERS_A_DAY, day(now), false),
            (Kind::Assigned, LETTERS_A_DAY, day(now) - 1, true),
            (Kind::Overdue, LETTERS_A_DAY, day(now), true),
        ] {
            assert_eq!(may_write(kind, letters, on, now), may, "{kind:?} {letters} {on}");
        }
        assert!(Kind::ALL.into_iter().all(|kind| Kind::parse(kind.as_str()) == Some(kind)));
    }
}
