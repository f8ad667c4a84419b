//! Rules that close items which nothing reports any more, and what holds them back.
//!
//! What is old is measured by what the instance's own imports cover, never by the clock: a connection that is down for months closes
//! nothing. What would close much at once waits for a person. `docs/items.md`, *Rules that close items*.

use crate::printable;
use crate::refusal::Refusal;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Days that a rule may wait at most.
pub const DAYS_MAX: i64 = 3_650;
/// Full pulls that a rule may wait for at most.
pub const PULLS_MAX: i64 = 50;
/// Characters of a rule's name at most.
pub const NAME_CHARS_MAX: usize = 100;
/// Rules at most.
pub const RULES_MAX: usize = 100;
/// Items of an instance that rules may close within a day in any case.
pub const CLOSED_FREE: i64 = 1_000;
/// Else one in so many of its open ones.
pub const CLOSED_SHARE: i64 = 5;
/// An instance whose imports cover nothing of the last days says nothing of what is gone.
pub const COVERED_DAYS: i64 = 7;
/// The hour of the day, in UTC, at which rules are gone through.
pub const HOUR: i64 = 4;
const DAY: i64 = 86_400;

/// What a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The host was not scanned for so many days.
    AssetLastScanned,
    /// The detection was not found for so many days.
    DetectionLastFound,
    /// So many full pulls, one after the other, showed the host without the detection.
    UnseenInFull,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 3] = [Kind::AssetLastScanned, Kind::DetectionLastFound, Kind::UnseenInFull];

    /// The word in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::AssetLastScanned => "asset_last_scanned",
            Kind::DetectionLastFound => "detection_last_found",
            Kind::UnseenInFull => "unseen_in_full",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// As people choose it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Kind::AssetLastScanned => "The asset was not scanned for so many days",
            Kind::DetectionLastFound => "The detection was not found for so many days",
            Kind::UnseenInFull => "So many full pulls in a row did not show it",
        }
    }

    /// What a rule of this kind waits for.
    #[must_use]
    pub fn sentence(self, days: i64) -> String {
        match self {
            Kind::AssetLastScanned => format!("Not scanned for {days} days"),
            Kind::DetectionLastFound => format!("Not found for {days} days"),
            Kind::UnseenInFull => format!("Not shown by {days} full pulls in a row"),
        }
    }
}

/// What is wrong with a field: its name, a code, a sentence.
pub type Wrong = (&'static str, &'static str, String);

/// Check what somebody wants a rule to be, but for its condition.
///
/// # Errors
/// Everything that is wrong, field by field.
pub fn check(name: &str, kind: Kind, days: i64, position: i64) -> Result<(), Vec<Wrong>> {
    let mut wrong: Vec<Wrong> = Vec::new();
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(printable::steers) {
        let why = format!("a name has 1 to {NAME_CHARS_MAX} characters on one line");
        wrong.push(("name", "bad_name", why));
    }
    let (most, of) = match kind {
        Kind::UnseenInFull => (PULLS_MAX, "full pulls"),
        _ => (DAYS_MAX, "days"),
    };
    if !(1..=most).contains(&days) {
        wrong.push(("days", "bad_days", format!("give 1 to {most} {of}")));
    }
    if !(0..=100_000).contains(&position) {
        wrong.push(("position", "bad_position", "the order is a number from 0 to 100000".to_owned()));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// What was last scanned or found before this is old, where imports cover everything `until` then.
///
/// # Errors
/// `not_covered` for an instance without an import of detections that finished within [`COVERED_DAYS`].
pub fn bound(until: Option<Timestamp>, days: i64, now: Timestamp) -> Result<Timestamp, Refusal> {
    let recent = now.plus_seconds(-COVERED_DAYS * DAY);
    match until.filter(|until| *until >= recent) {
        // A platform whose clock is ahead makes nothing older.
        Some(until) => Ok(until.min(now).plus_seconds(-days * DAY)),
        None => {
            let why = format!(
                "no import of detections has finished in the last {COVERED_DAYS} days, so nobody knows what is gone; import first"
            );
            Err(Refusal::new("not_covered", why))
        }
    }
}

/// Whether a rule may close so many items of an instance that has so many open ones, after so many were closed within a day.
///
/// # Errors
/// `too_many`; a person may then run it without this bound.
pub fn may_close(matched: i64, open: i64, closed: i64) -> Result<(), Refusal> {
    let most = (open.saturating_add(closed) / CLOSED_SHARE).max(CLOSED_FREE);
    if matched.saturating_add(closed) <= most {
        return Ok(());
    }
    let why = format!(
        "it would close {matched} of {open} open items, and {closed} were closed today; more than {most} a day wait for a person to \
         look at the rule and run it for all"
    );
    Err(Refusal::new("too_many", why))
}

/// Whether a rule that was gone through then is due: once a day at [`HOUR`].
#[must_use]
pub fn due(ran_at: Timestamp, now: Timestamp) -> bool {
    let seconds = now.seconds_since(Timestamp::default());
    let today = seconds - seconds.rem_euclid(DAY) + HOUR * 3_600;
    let last = if seconds < today { today - DAY } else { today };
    ran_at < Timestamp::default().plus_seconds(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64, seconds: i64) -> Timestamp {
        Timestamp::default().plus_seconds(days * DAY + seconds)
    }

    #[test]
    fn what_is_old_is_measured_by_what_imports_cover() {
        let now = at(20_000, 0);
        let code = |until: Option<Timestamp>| bound(until, 90, now).map_err(|refusal| refusal.code);
        assert_eq!(code(Some(now)), Ok(at(19_910, 0)));
        assert_eq!(code(Some(at(19_993, 0))), Ok(at(19_903, 0)));
        assert_eq!(code(Some(at(19_993, -1))), Err("not_covered"));
        assert_eq!(code(Some(at(19_000, 0))), Err("not_covered"));
        assert_eq!(code(None), Err("not_covered"));
        assert_eq!(code(Some(at(30_000, 0))), Ok(at(19_910, 0)), "a clock that is ahead");
    }

    #[test]
    fn much_at_once_waits_for_a_person() {
        for (matched, open, closed, may) in [
            (0, 0, 0, true),
            (1_000, 1_000, 0, true),
            (1_001, 5_000, 0, false),
            (1_001, 5_005, 0, true),
            (2_000, 10_000, 0, true),
            (2_001, 10_000, 0, false),
            // Several rules, or one again and again, do together no more than one.
            (1, 9_000, 1_000, true),
            (1_001, 9_000, 1_000, false),
            (1, 100, 1_000, false),
            (i64::MAX, 10, 10, false),
        ] {
            let found = may_close(matched, open, closed).map_err(|refusal| refusal.code);
            assert_eq!(found, if may { Ok(()) } else { Err("too_many") }, "{matched} of {open} after {closed}");
        }
    }

    #[test]
    fn rules_are_due_once_a_day() {
        let four = HOUR * 3_600;
        for (ran, now, expected) in [
            (at(5, four - 1), at(5, four), true),
            (at(5, four), at(5, four), false),
            (at(5, four), at(6, four - 1), false),
            (at(5, four), at(6, four), true),
            (at(1, 0), at(90, 0), true),
            (at(5, 0), at(5, four - 1), false),
            (at(4, 0), at(5, 0), true),
        ] {
            assert_eq!(due(ran, now), expected, "{ran} {now}");
        }
    }

    #[test]
    fn rules_are_checked_by_field() {
        let fields = |name: &str, kind, days, position| {
            let wrong = check(name, kind, days, position).err().unwrap_or_default();
            wrong.into_iter().map(|(field, ..)| field).collect::<Vec<_>>()
        };
        assert_eq!(fields("Old ones", Kind::AssetLastScanned, 90, 1), Vec::<&str>::new());
        assert_eq!(fields("", Kind::AssetLastScanned, 0, -1), ["name", "days", "position"]);
        assert_eq!(fields("a\r\nb", Kind::UnseenInFull, PULLS_MAX + 1, 1), ["name", "days"]);
        assert_eq!(fields(&"x".repeat(101), Kind::DetectionLastFound, DAYS_MAX, 1), ["name"]);
        assert!(Kind::ALL.into_iter().all(|kind| Kind::parse(kind.as_str()) == Some(kind)));
    }
}
