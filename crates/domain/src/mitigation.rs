//! The words of a mitigation: coverage, implication, the state of a control on one asset and who put it there.

use serde::{Deserialize, Serialize};

/// How much of a CVE's documented vectors an entry closes while it is in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coverage {
    /// Makes exploitation harder only: lowers the score, never makes a CVE mitigated.
    Partial,
    /// Blocks the main vector, others remain.
    Substantial,
    /// Blocks every documented vector.
    Full,
}

impl Coverage {
    /// The word used in entries, the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Coverage::Partial => "partial",
            Coverage::Substantial => "substantial",
            Coverage::Full => "full",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Coverage::Partial, Coverage::Substantial, Coverage::Full].into_iter().find(|c| c.as_str() == word)
    }

    /// Enough for "this CVE is mitigated" while the control is effective (design, section 5).
    #[must_use]
    pub fn mitigates(self) -> bool {
        self >= Coverage::Substantial
    }
}

/// Whether an entry lowers the exposure or removes the weakness for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Implication {
    /// Reversible; the detection stays, its score falls.
    Mitigation,
    /// Permanent; the item is Resolved, there is no rollback (R12).
    Fix,
}

/// What a check says of one entry on one asset (catalogue README, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlState {
    /// The entry's conditions do not hold here.
    NotApplicable,
    /// The wanted state is not there.
    Exposed,
    /// Written but waiting for a restart or reboot: half the points.
    Configured,
    /// In place and in force: all the points.
    Effective,
    /// It was in place and somebody changed it: no points.
    Drifted,
    /// Nothing could be read: no points, ever.
    Unknown,
}

impl ControlState {
    const ALL: [ControlState; 6] = [
        ControlState::NotApplicable,
        ControlState::Exposed,
        ControlState::Configured,
        ControlState::Effective,
        ControlState::Drifted,
        ControlState::Unknown,
    ];

    /// The word used in messages, the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ControlState::NotApplicable => "not-applicable",
            ControlState::Exposed => "exposed",
            ControlState::Configured => "configured",
            ControlState::Effective => "effective",
            ControlState::Drifted => "drifted",
            ControlState::Unknown => "unknown",
        }
    }

    /// The word back to the value; unknown words are `Unknown`.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.as_str() == word).unwrap_or(ControlState::Unknown)
    }
}

/// Who put a control in place: decides details 203 to 206 and whether a rollback may touch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// An order of ours changed it.
    Ours,
    /// It was there before we came.
    External,
}

impl Origin {
    /// The word used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Ours => "ours",
            Origin::External => "external",
        }
    }

    /// The word back to the value; anything but `ours` is `External`, the side on which nothing is reverted.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        if word == "ours" { Origin::Ours } else { Origin::External }
    }
}
