//! What a rescan says of an item, once its scan was pulled (design section 7).

use crate::detection::Presence;
use crate::score::Mitigation;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What a rescan says of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The scanner no longer finds it.
    Fixed,
    /// The scanner finds it, and no control mitigates it.
    StillPresent,
    /// The scanner finds it, and it is mitigated: it stays open with its lower score.
    StillPresentMitigated,
    /// The scan did not reach the host.
    NotReached,
    /// The host was reached, but this vulnerability was not tested.
    NotTested,
}

impl Verdict {
    /// Every verdict, the happiest first.
    pub const ALL: [Verdict; 5] = [
        Verdict::Fixed,
        Verdict::NotReached,
        Verdict::NotTested,
        Verdict::StillPresentMitigated,
        Verdict::StillPresent,
    ];

    /// The word used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Fixed => "fixed",
            Verdict::StillPresent => "still_present",
            Verdict::StillPresentMitigated => "still_present_mitigated",
            Verdict::NotReached => "not_reached",
            Verdict::NotTested => "not_tested",
        }
    }

    /// The word back to the value; `None` for the empty one of a target that is not judged yet.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == word)
    }

    /// The verdict on an item that was looked at on several hosts: what is there counts before what is unknown, and
    /// only what is gone everywhere is fixed. `None` while one is still open.
    #[must_use]
    pub fn of_item(targets: &[Option<Verdict>]) -> Option<Verdict> {
        let judged: Option<Vec<Verdict>> = targets.iter().copied().collect();
        let judged = judged?;
        Self::ALL.into_iter().rev().find(|verdict| judged.contains(verdict))
    }

    /// As people write it.
    #[must_use]
    pub fn title(word: &str) -> &'static str {
        match word {
            "fixed" => "Fixed",
            "still_present" => "Still present",
            "still_present_mitigated" => "Still present, mitigated",
            "not_reached" => "Host not reached",
            "not_tested" => "Not tested",
            _ => "Waiting",
        }
    }
}

/// What the pull after a scan says of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// When the scan was launched.
    pub launched_at: Timestamp,
    /// When the host was last scanned.
    pub host_scanned_at: Option<Timestamp>,
    /// When the vulnerability was last tested there.
    pub tested_at: Option<Timestamp>,
    /// What its detections say.
    pub presence: Presence,
    /// The item's field.
    pub mitigation: Mitigation,
}

/// The verdict. Times of the scanner have whole seconds, so the launch counts from the start of its second.
#[must_use]
pub fn judge(evidence: Evidence) -> Verdict {
    let launched = evidence.launched_at.micros().div_euclid(1_000_000);
    let since = |at: Option<Timestamp>| at.is_some_and(|at| at.micros().div_euclid(1_000_000) >= launched);
    if !since(evidence.host_scanned_at) {
        return Verdict::NotReached;
    }
    if !since(evidence.tested_at) {
        return Verdict::NotTested;
    }
    match (evidence.presence, evidence.mitigation) {
        (Presence::Fixed, _) => Verdict::Fixed,
        (Presence::Stale, _) => Verdict::NotTested,
        (Presence::Open | Presence::Excluded, Mitigation::Mitigated) => Verdict::StillPresentMitigated,
        (Presence::Open | Presence::Excluded, _) => Verdict::StillPresent,
    }
}
