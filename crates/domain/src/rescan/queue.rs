//! When a scan that waits may be launched: in the scan window of its integration, not more at once and not more per time
//! than was set, everybody in turn.

use crate::id::{ChildScanId, UserId};
use crate::refusal::Refusal;
use crate::time::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Minutes of a day.
const DAY_MINUTES: i64 = 1_440;
/// Pause before a scan that waits for another's end asks again, in seconds.
const AGAIN_SECONDS: i64 = 30;

/// What an integration sets for its rescans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// First minute of the day in which scans are launched, 0 to 1439.
    pub window_from: i64,
    /// The minute that ends the window; before the first one it lies on the next day, the same one means always.
    pub window_until: i64,
    /// Time zone of both, by its IANA name.
    pub zone: String,
    /// Scans that run at once at most.
    pub running_max: i64,
    /// Launches at most within [`launches_seconds`](Policy::launches_seconds).
    pub launches_max: i64,
    /// The time in which launches are counted, in seconds.
    pub launches_seconds: i64,
    /// What people resolve is rescanned by itself.
    #[serde(default)]
    pub on_resolved: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            window_from: 0,
            window_until: 0,
            zone: "UTC".to_owned(),
            running_max: 5,
            launches_max: 10,
            launches_seconds: 3_600,
            on_resolved: false,
        }
    }
}

impl Policy {
    /// Can it be kept? Gives the name of the field that cannot, and why.
    ///
    /// # Errors
    /// `bad_time`, `unknown_zone`, `out_of_range`.
    pub fn validate(&self) -> Result<(), (&'static str, Refusal)> {
        let minute = 0..DAY_MINUTES;
        let time = || Refusal::new("bad_time", "give a time of the day, 00:00 to 23:59");
        if !minute.contains(&self.window_from) {
            return Err(("from", time()));
        }
        if !minute.contains(&self.window_until) {
            return Err(("until", time()));
        }
        if TimeZone::get(&self.zone).is_err() {
            let why = format!("`{}` is not a time zone of the IANA database, such as Europe/Rome", self.zone);
            return Err(("zone", Refusal::new("unknown_zone", why)));
        }
        for (field, value, most) in [
            ("running_max", self.running_max, 100),
            ("launches_max", self.launches_max, 10_000),
            ("launches_seconds", self.launches_seconds, 7 * 86_400),
        ] {
            if !(1..=most).contains(&value) {
                return Err((field, Refusal::new("out_of_range", format!("give a number from 1 to {most}"))));
            }
        }
        Ok(())
    }

    fn open(&self, at: Timestamp, zone: &TimeZone) -> bool {
        if self.window_from == self.window_until {
            return true;
        }
        let civil = at.to_jiff().to_zoned(zone.clone()).time();
        let minute = i64::from(civil.hour()) * 60 + i64::from(civil.minute());
        if self.window_from < self.window_until {
            (self.window_from..self.window_until).contains(&minute)
        } else {
            minute >= self.window_from || minute < self.window_until
        }
    }

    /// When the window opens next; `None` while it is open. Only launches are held, what runs goes on. A zone that is not
    /// known any more counts as UTC.
    #[must_use]
    pub fn opens_at(&self, now: Timestamp) -> Option<Timestamp> {
        let zone = TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC);
        if self.open(now, &zone) {
            return None;
        }
        // Minute by minute, so that a clock that is put forward or back cannot hide the opening.
        let whole = Timestamp::from_micros(now.micros() - now.micros().rem_euclid(60_000_000));
        (1..=2 * DAY_MINUTES).map(|minutes| whole.plus_seconds(minutes * 60)).find(|at| self.open(*at, &zone))
    }

    /// May the launch be sent now?
    #[must_use]
    pub fn turn(&self, line: &Line<'_>, child: ChildScanId, now: Timestamp) -> Turn {
        if let Some(until) = self.opens_at(now) {
            return Turn::Wait { why: Waits::Window, until };
        }
        let since = now.plus_seconds(-self.launches_seconds);
        let mut lately: Vec<Timestamp> = line.launched.iter().copied().filter(|at| *at > since).collect();
        lately.sort_unstable();
        let most = usize::try_from(self.launches_max).unwrap_or(usize::MAX);
        if lately.len() >= most {
            // Free again once so many have left the time that is counted.
            let leaves = lately.get(lately.len() - most).copied().unwrap_or(now);
            return Turn::Wait { why: Waits::Rate, until: leaves.plus_seconds(self.launches_seconds) };
        }
        let free = usize::try_from(self.running_max).unwrap_or(usize::MAX).saturating_sub(line.running.len());
        let free = free.min(most - lately.len());
        if line.ahead_of(child) >= free {
            return Turn::Wait { why: Waits::Running, until: now.plus_seconds(AGAIN_SECONDS) };
        }
        Turn::Go
    }
}

/// What stands in line at an integration.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Who asked for each scan that runs.
    pub running: &'a [UserId],
    /// Launches that could be sent, the oldest first, and who asked for them.
    pub waiting: &'a [(ChildScanId, UserId)],
    /// When the last launches were sent.
    pub launched: &'a [Timestamp],
}

impl Line<'_> {
    /// How many go before this one: everybody in turn, whoever has the fewest scans first, then the oldest.
    fn ahead_of(&self, child: ChildScanId) -> usize {
        let mut of: HashMap<UserId, usize> = HashMap::new();
        for who in self.running {
            *of.entry(*who).or_default() += 1;
        }
        let mut ranks: Vec<(usize, ChildScanId)> = Vec::with_capacity(self.waiting.len());
        for (waiting, who) in self.waiting {
            let before = of.entry(*who).or_default();
            ranks.push((*before, *waiting));
            *before += 1;
        }
        let mine = ranks.iter().find(|(_, waiting)| *waiting == child).copied();
        mine.map_or(ranks.len(), |mine| ranks.iter().filter(|rank| **rank < mine).count())
    }
}

/// What a launch that is not sent waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// The scan window of its integration.
    Window,
    /// Fewer launches lately.
    Rate,
    /// A place among those that run.
    Running,
    /// An active scanner.
    Inactive,
}

impl Waits {
    /// The word used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Waits::Window => "window",
            Waits::Rate => "rate",
            Waits::Running => "running",
            Waits::Inactive => "inactive",
        }
    }

    /// For people: what is waited for, until when where that is known.
    #[must_use]
    pub fn sentence(self, until: Timestamp) -> String {
        match self {
            Waits::Window => format!("waiting for the scan window of the integration, which opens at {until}"),
            Waits::Rate => {
                format!("waiting: as many scans as the integration allows were launched lately; next at {until}")
            }
            Waits::Running => "waiting for its turn: as many scans run as the integration allows".to_owned(),
            Waits::Inactive => {
                "the scanner was deactivated or the integration disabled; the scan is launched once it works again"
                    .to_owned()
            }
        }
    }
}

/// Whether a launch may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Now.
    Go,
    /// Not yet.
    Wait {
        /// What it waits for.
        why: Waits,
        /// When to ask again.
        until: Timestamp,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_micros(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
    }

    fn window(from: i64, until: i64, zone: &str) -> Policy {
        Policy { window_from: from, window_until: until, zone: zone.to_owned(), ..Policy::default() }
    }

    #[test]
    fn windows_open_by_the_clock_on_the_wall() {
        for (policy, now, opens) in [
            // VR: 00 to 10, asked at 11, begins at midnight.
            (window(0, 600, "UTC"), "2026-12-01T11:00:00Z", Some("2026-12-02T00:00:00Z")),
            (window(0, 600, "UTC"), "2026-12-01T09:59:59Z", None),
            (window(0, 600, "UTC"), "2026-12-01T10:00:00Z", Some("2026-12-02T00:00:00Z")),
            (window(0, 0, "UTC"), "2026-12-01T11:00:00Z", None),
            (window(1_320, 360, "UTC"), "2026-12-01T23:00:00Z", None),
            (window(1_320, 360, "UTC"), "2026-12-01T05:59:00Z", None),
            (window(1_320, 360, "UTC"), "2026-12-01T12:00:30Z", Some("2026-12-01T22:00:00Z")),
            (window(0, 600, "Europe/Rome"), "2026-12-01T11:00:00Z", Some("2026-12-01T23:00:00Z")),
            // 02:30 does not exist on that day: the window opens when the clock jumps over it.
            (window(150, 240, "Europe/Rome"), "2026-03-29T00:30:00Z", Some("2026-03-29T01:00:00Z")),
            (window(60, 120, "America/Santiago"), "2026-12-01T12:00:00Z", Some("2026-12-02T04:00:00Z")),
        ] {
            assert_eq!(policy.opens_at(at(now)), opens.map(at), "{policy:?} at {now}");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_named_by_its_field() {
        assert!(Policy::default().validate().is_ok());
        let field = |policy: Policy| policy.validate().unwrap_err().0;
        assert_eq!(field(window(1_440, 0, "UTC")), "from");
        assert_eq!(field(window(0, -1, "UTC")), "until");
        assert_eq!(field(window(0, 0, "Mars/Phobos")), "zone");
        assert_eq!(field(Policy { running_max: 0, ..Policy::default() }), "running_max");
        assert_eq!(field(Policy { launches_max: 10_001, ..Policy::default() }), "launches_max");
        assert_eq!(field(Policy { launches_seconds: 0, ..Policy::default() }), "launches_seconds");
    }

    #[test]
    fn everybody_in_turn_and_never_more_than_was_set() {
        let (ada, bob) = (UserId(1), UserId(2));
        let waiting = [(ChildScanId(1), ada), (ChildScanId(2), ada), (ChildScanId(3), ada), (ChildScanId(4), bob)];
        let policy = Policy { running_max: 2, ..Policy::default() };
        let now = at("2026-12-01T11:00:00Z");
        let go = |running: &[UserId]| -> Vec<i64> {
            let line = Line { running, waiting: &waiting, launched: &[] };
            let goes = waiting.iter().filter(|(child, _)| policy.turn(&line, *child, now) == Turn::Go);
            goes.map(|(child, _)| child.0).collect()
        };
        assert_eq!(go(&[]), [1, 4], "the newest goes before the second of who came first");
        assert_eq!(go(&[bob]), [1]);
        assert_eq!(go(&[ada]), [4]);
        assert_eq!(go(&[ada, bob]), [0_i64; 0]);
    }

    #[test]
    fn launches_are_counted_over_the_time_that_was_set() {
        let policy = Policy { launches_max: 2, launches_seconds: 60, ..Policy::default() };
        let now = at("2026-12-01T11:00:00Z");
        let waiting = [(ChildScanId(1), UserId(1))];
        let turn = |ago: &[i64]| {
            let launched: Vec<Timestamp> = ago.iter().map(|seconds| now.plus_seconds(-seconds)).collect();
            policy.turn(&Line { running: &[], waiting: &waiting, launched: &launched }, ChildScanId(1), now)
        };
        assert_eq!(turn(&[10, 70]), Turn::Go);
        assert_eq!(turn(&[10, 59]), Turn::Wait { why: Waits::Rate, until: now.plus_seconds(1) });
        assert_eq!(turn(&[10, 20, 59]), Turn::Wait { why: Waits::Rate, until: now.plus_seconds(40) });
    }

    proptest! {
        /// At the opening the window is open, and at no minute before it is.
        #[test]
        fn never_earlier_than_the_opening(
            from in 0_i64..1_440,
            until in 0_i64..1_440,
            zone in prop::sample::select(vec!["UTC", "Europe/Rome", "America/Santiago"]),
            minutes in 0_i64..600_000,
        ) {
            let policy = window(from, until, zone);
            let now = at("2026-01-01T00:00:20Z").plus_seconds(minutes * 60);
            if let Some(opens) = policy.opens_at(now) {
                prop_assert!(opens > now);
                prop_assert_eq!(policy.opens_at(opens), None);
                prop_assert_eq!(policy.opens_at(opens.plus_seconds(-1)), Some(opens));
                let middle = now.plus_seconds(opens.seconds_since(now) / 2);
                if middle < opens {
                    prop_assert_eq!(policy.opens_at(middle), Some(opens));
                }
            }
        }

        /// However many wait, no more go than there are places.
        #[test]
        fn never_above_the_maximum(running in 0_usize..8, waiting in prop::collection::vec(1_i64..4, 0..12), most in 1_i64..8) {
            let policy = Policy { running_max: most, launches_max: 100, ..Policy::default() };
            let waiting: Vec<_> = (1..).zip(&waiting).map(|(key, who)| (ChildScanId(key), UserId(*who))).collect();
            let running = vec![UserId(1); running];
            let line = Line { running: &running, waiting: &waiting, launched: &[] };
            let now = at("2026-12-01T11:00:00Z");
            let go = waiting.iter().filter(|(child, _)| policy.turn(&line, *child, now) == Turn::Go).count();
            let free = usize::try_from(most).unwrap().saturating_sub(running.len());
            prop_assert_eq!(go, free.min(waiting.len()), "a place is never left empty");
        }
    }
}
