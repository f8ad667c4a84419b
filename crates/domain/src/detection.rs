//! The status of a detection, as a scanner tells it, and what it says about the weakness.

use serde::{Deserialize, Serialize};

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
}

/// What a detection contributes to its item, in the precedence Open > Fixed > Stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Presence {
    /// Nobody knows any more.
    Stale,
    /// Gone.
    Fixed,
    /// There.
    Open,
}
