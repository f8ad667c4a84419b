//! The status of a detection, as a scanner tells it, and what it says about the weakness.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How far ahead of our clock a time of a scanner may be. One that is later is nonsense and decides nothing: otherwise a
/// single wrong date would keep every later report out.
pub const AHEAD_SECONDS_MAX: i64 = 24 * 3_600;

/// Status of a detection. Words we do not know survive in the database and count as open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// First sighting.
    New,
    /// Seen again.
    Active,
    /// Not found by a scan able to test it.
    Fixed,
    /// Found again after it was fixed.
    Reopened,
    /// Not reported for so long that nobody knows.
    Stale,
}

impl Status {
    /// The word used in the database, the API and the query language.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Status::New => "new",
            Status::Active => "active",
            Status::Fixed => "fixed",
            Status::Reopened => "reopened",
            Status::Stale => "stale",
        }
    }

    /// What the word says about the weakness; an unknown word counts as open, the careful side.
    #[must_use]
    pub fn presence(word: &str) -> Presence {
        match word {
            "fixed" => Presence::Fixed,
            "stale" => Presence::Stale,
            _ => Presence::Open,
        }
    }

    /// The same of a detection that counts as excluded: only what would be open is left out, what is gone is gone.
    #[must_use]
    pub fn presence_excluded(word: &str) -> Presence {
        match Status::presence(word) {
            Presence::Open => Presence::Excluded,
            other => other,
        }
    }
}

/// What a detection contributes to its item, in the precedence Open > Fixed > Stale > Excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Presence {
    /// Open, but nobody has to work on it: see [`crate::exclusion`].
    Excluded,
    /// Nobody knows any more.
    Stale,
    /// Gone.
    Fixed,
    /// There.
    Open,
}

/// When what a report says was true, as far as it says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dated {
    /// When the platform processed it.
    pub processed_at: Option<Timestamp>,
    /// When it was last looked at: tested, found, or found gone; of a host, when it was scanned.
    pub tested_at: Option<Timestamp>,
}

impl Dated {
    /// Of a detection, by when it was tested, found, and found gone: the last of these counts.
    #[must_use]
    pub fn of_detection(processed_at: Option<Timestamp>, looks: [Option<Timestamp>; 3]) -> Self {
        Dated { processed_at, tested_at: looks.into_iter().max().flatten() }
    }

    /// Is this older than what is known, so that it must not be written over it? The first time that both have decides.
    /// What is as old, or cannot be compared, is not older.
    #[must_use]
    pub fn is_older_than(self, known: Dated, now: Timestamp) -> bool {
        let latest = now.plus_seconds(AHEAD_SECONDS_MAX);
        let pairs = [(self.processed_at, known.processed_at), (self.tested_at, known.tested_at)];
        let both = pairs.into_iter().filter_map(|(ours, theirs)| ours.zip(theirs));
        let mut sane = both.filter(|(ours, theirs)| *ours <= latest && *theirs <= latest);
        sane.next().is_some_and(|(ours, theirs)| ours < theirs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn dated(processed: Option<i64>, tested: Option<i64>) -> Dated {
        let at = |seconds: Option<i64>| seconds.map(|seconds| Timestamp::default().plus_seconds(seconds));
        Dated { processed_at: at(processed), tested_at: at(tested) }
    }

    #[test]
    fn only_what_is_certainly_older_is_kept_out() {
        let far = NOW + AHEAD_SECONDS_MAX + 1;
        for (report, known, older) in [
            (dated(Some(9), Some(9)), dated(Some(10), Some(5)), true),
            (dated(Some(10), Some(4)), dated(Some(10), Some(5)), false),
            (dated(Some(11), Some(4)), dated(Some(10), Some(5)), false),
            (dated(None, Some(4)), dated(Some(10), Some(5)), true),
            (dated(None, Some(5)), dated(Some(10), Some(5)), false),
            (dated(Some(1), None), dated(None, Some(5)), false),
            (dated(None, None), dated(Some(10), Some(5)), false),
            (dated(Some(9), Some(9)), dated(None, None), false),
            // A date from a broken clock, ours or theirs, decides nothing; the other one does.
            (dated(Some(9), Some(9)), dated(Some(far), None), false),
            (dated(Some(far), Some(4)), dated(Some(10), Some(5)), true),
            (dated(Some(9), None), dated(Some(far - 1), None), true),
        ] {
            let now = Timestamp::default().plus_seconds(NOW);
            assert_eq!(report.is_older_than(known, now), older, "{report:?} {known:?}");
        }
    }

    #[test]
    fn of_two_different_reports_at_most_one_is_older() {
        let times = [None, Some(1), Some(2), Some(3)];
        let all = || times.into_iter().flat_map(|processed| times.map(|tested| dated(processed, tested)));
        let now = Timestamp::default().plus_seconds(NOW);
        for (one, other) in all().flat_map(|one| all().map(move |other| (one, other))) {
            assert!(!(one.is_older_than(other, now) && other.is_older_than(one, now)), "{one:?} {other:?}");
            assert!(!one.is_older_than(one, now));
        }
    }
}
