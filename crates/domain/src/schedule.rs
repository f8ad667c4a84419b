//! When a job runs on an asset: on demand, once, or again and again at civil times in the agent's zone or a named one, in
//! a maintenance window where there is one.
//!
//! Civil times stay civil until a task is made; the task stores the instant it resolved to and the zone used
//! (design, section 10). S1.10 to S1.12, R6, `fleet-execution.md` 1.5. Which times a recurring schedule gives is
//! [`recurring`]; how a schedule reads is [`words`].

pub mod recurring;
pub mod words;

use crate::refusal::Refusal;
use crate::task::RUN_SECONDS;
use crate::time::Timestamp;
use jiff::ToSpan as _;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
pub use recurring::{Ends, Nth, Recurring, Rule, Weekday};
use serde::{Deserialize, Serialize};

/// Minutes of a maintenance window at most: a week.
pub const WINDOW_MINUTES_MAX: u32 = 10_080;
/// A run is made so long before the first of its assets starts, in seconds: its tasks can be seen, and paused, before.
pub const LEAD_SECONDS: i64 = 3 * 3_600;
/// Seconds that a task of the last time of a schedule without a window may wait for its agent.
const LAST_SECONDS: i64 = 24 * 3_600;

/// Which clock on the wall a civil time means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Zone {
    /// Each asset's own; the default (R6).
    Agent,
    /// An IANA name such as `Europe/Rome`.
    Named(String),
}

/// When a job runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(tag = "when", rename_all = "snake_case")]
pub enum Schedule {
    /// Once, as soon as the job is enabled (R2).
    #[default]
    OnDemand,
    /// Once, at a civil date and time.
    Once {
        /// Civil date and time, `2026-11-22T03:00:00`.
        at: DateTime,
        /// Whose clock.
        zone: Zone,
        /// Length of the maintenance window in minutes; none by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<u32>,
    },
    /// Again and again.
    Recurring(Recurring),
}

/// How a civil time met the zone's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// It exists once.
    Exact,
    /// The clock jumped over it: the instant is that much later on the clock.
    Gap,
    /// The clock showed it twice: the first counts.
    Overlap,
    /// The agent's zone is not known: UTC was used.
    UnknownZone,
}

impl Fit {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Fit::Exact => "exact",
            Fit::Gap => "gap",
            Fit::Overlap => "overlap",
            Fit::UnknownZone => "unknown_zone",
        }
    }
}

/// Until when a task may wait for its agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct End {
    /// The window ends; nothing of the task is under way after it.
    pub at: Timestamp,
    /// The last instant at which it may start, so that it ends before the window does.
    pub start_by: Timestamp,
}

impl End {
    /// How long an action may take that starts at the last moment, in seconds.
    #[must_use]
    pub fn run_seconds(self) -> i64 {
        self.at.seconds_since(self.start_by).max(1)
    }

    /// What starts at `start` has to end by `end`. An action takes up to [`RUN_SECONDS`], in a short window up to half of it.
    fn of(start: Timestamp, end: Timestamp) -> End {
        let run = RUN_SECONDS.min(end.seconds_since(start) / 2).max(0);
        End { at: end, start_by: end.plus_seconds(-run) }
    }
}

/// A schedule resolved for one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// Not to start before.
    pub at: Timestamp,
    /// The zone used, by its IANA name.
    pub zone: String,
    /// How it fitted.
    pub fit: Fit,
    /// Until when it may start; none for what stays open until it was tried.
    pub end: Option<End>,
}

impl Schedule {
    /// Check what a person entered.
    ///
    /// # Errors
    /// `unknown_zone` for a name that the time zone database does not hold, `bad_window`, and what
    /// [`Recurring`] refuses.
    pub fn validate(&self) -> Result<(), Refusal> {
        if let Some(Zone::Named(name)) = self.zone() {
            named(name)?;
        }
        if self.window().is_some_and(|minutes| minutes == 0 || minutes > WINDOW_MINUTES_MAX) {
            return Err(Refusal::new(
                "bad_window",
                format!("a maintenance window lasts between 1 and {WINDOW_MINUTES_MAX} minutes"),
            ));
        }
        if let Schedule::Recurring(recurring) = self { recurring.validate() } else { Ok(()) }
    }

    /// Whose clock; none on demand.
    #[must_use]
    pub fn zone(&self) -> Option<&Zone> {
        match self {
            Schedule::OnDemand => None,
            Schedule::Once { zone, .. } | Schedule::Recurring(Recurring { zone, .. }) => Some(zone),
        }
    }

    /// Minutes of the maintenance window, where there is one.
    #[must_use]
    pub fn window(&self) -> Option<u32> {
        match self {
            Schedule::OnDemand => None,
            Schedule::Once { window, .. } | Schedule::Recurring(Recurring { window, .. }) => *window,
        }
    }

    /// It gives more than one time.
    #[must_use]
    pub fn recurs(&self) -> bool {
        matches!(self, Schedule::Recurring(_))
    }

    /// The civil times after another, in order; of all when there is no other. On demand has none.
    #[must_use]
    pub fn times_after(&self, other: Option<DateTime>) -> Box<dyn Iterator<Item = DateTime> + '_> {
        let later = move |at: &DateTime| other.is_none_or(|other| *at > other);
        match self {
            Schedule::OnDemand => Box::new(std::iter::empty()),
            Schedule::Once { at, .. } => Box::new(std::iter::once(*at).filter(later)),
            Schedule::Recurring(recurring) => {
                let day = other.map_or(recurring.start, DateTime::date);
                Box::new(recurring.on_or_after(day).filter(later))
            }
        }
    }

    /// The first civil time that has not come yet in any of these agents' zones. A schedule that begins now begins with it,
    /// so that no asset starts at once because its clock is ahead.
    #[must_use]
    pub fn first_to_come(&self, zones: &[String], now: Timestamp) -> Option<DateTime> {
        // No zone is more than a day away from UTC.
        let yesterday = now.to_jiff().to_zoned(TimeZone::UTC).datetime().checked_sub(2.days()).ok()?;
        self.times_after(Some(yesterday)).find(|at| self.earliest(*at, zones).is_some_and(|instant| instant > now))
    }

    /// When the first of these zones comes to a civil time; that of UTC counts too, it is what an unknown zone means.
    #[must_use]
    pub fn earliest(&self, at: DateTime, zones: &[String]) -> Option<Timestamp> {
        let every = zones.iter().map(String::as_str).chain([""]);
        every.filter_map(|zone| self.place(at, zone).ok()).map(|(instant, ..)| instant).min()
    }

    /// The instant for an asset whose agent reports `agent_zone` (empty = unknown): `now` on demand, else that of the first
    /// civil time of the schedule that is still to come there, or of its last.
    ///
    /// # Errors
    /// `unknown_zone` as in [`Schedule::validate`]; `time_out_of_range` for a year the calendar cannot place.
    pub fn resolve(&self, agent_zone: &str, now: Timestamp) -> Result<Resolved, Refusal> {
        let once = match self {
            Schedule::OnDemand => return Ok(Resolved { at: now, zone: "UTC".to_owned(), fit: Fit::Exact, end: None }),
            Schedule::Once { at, .. } => *at,
            Schedule::Recurring(recurring) => {
                let zones = [agent_zone.to_owned()];
                let first = self.first_to_come(&zones, now).or_else(|| self.times_after(None).last());
                first.unwrap_or_else(|| recurring.start.to_datetime(recurring.time))
            }
        };
        self.resolve_at(once, agent_zone)
    }

    /// The instant of one of its civil times for an asset whose agent reports `agent_zone` (empty = unknown).
    ///
    /// # Errors
    /// As [`Schedule::resolve`].
    pub fn resolve_at(&self, at: DateTime, agent_zone: &str) -> Result<Resolved, Refusal> {
        let (instant, zone, fit) = self.place(at, agent_zone)?;
        let limit = self.window().map(|minutes| instant.plus_seconds(i64::from(minutes) * 60));
        let end = match self {
            Schedule::Recurring(recurring) => {
                // A turn ends where the next one begins, on the same clock.
                let next = recurring.following(at).and_then(|next| self.place(next, agent_zone).ok());
                let next = next.map_or_else(|| instant.plus_seconds(LAST_SECONDS), |(next, ..)| next);
                Some(limit.map_or(next, |limit| limit.min(next)))
            }
            _ => limit,
        };
        Ok(Resolved { at: instant, zone, fit, end: end.map(|end| End::of(instant, end)) })
    }

    /// When what a job with this schedule did is taken back without anybody asking: once, in the next of its maintenance windows;
    /// after its last one in a window of the same length at the same time of the day. Without a window nobody said when hosts
    /// must be left alone: on demand.
    #[must_use]
    pub fn back(&self, zones: &[String], now: Timestamp) -> Schedule {
        let (Some(window), Some(zone)) = (self.window(), self.zone()) else { return Schedule::OnDemand };
        let time = match self {
            Schedule::OnDemand => return Schedule::OnDemand,
            Schedule::Once { at, .. } => at.time(),
            Schedule::Recurring(recurring) => recurring.time,
        };
        let today = now.to_jiff().to_zoned(TimeZone::UTC).date();
        // No zone is more than a day away from UTC.
        let daily = || (0..4).filter_map(|days| Some(today.checked_add(days.days()).ok()?.to_datetime(time)));
        let to_come = |at: &DateTime| self.earliest(*at, zones).is_some_and(|instant| instant > now);
        match self.first_to_come(zones, now).or_else(|| daily().find(to_come)) {
            Some(at) => Schedule::Once { at, zone: zone.clone(), window: Some(window) },
            None => Schedule::OnDemand,
        }
    }

    fn place(&self, at: DateTime, agent_zone: &str) -> Result<(Timestamp, String, Fit), Refusal> {
        let (zone, name, known) = match self.zone() {
            Some(Zone::Named(name)) => (named(name)?, name.clone(), true),
            Some(Zone::Agent) | None => match named(agent_zone) {
                Ok(zone) => (zone, agent_zone.to_owned(), true),
                Err(_) => (TimeZone::UTC, "UTC".to_owned(), false),
            },
        };
        let ambiguous = zone.to_ambiguous_zoned(at);
        let fit = match ambiguous.offset() {
            _ if !known => Fit::UnknownZone,
            jiff::tz::AmbiguousOffset::Unambiguous { .. } => Fit::Exact,
            jiff::tz::AmbiguousOffset::Gap { .. } => Fit::Gap,
            jiff::tz::AmbiguousOffset::Fold { .. } => Fit::Overlap,
        };
        let zoned = ambiguous.compatible().map_err(|_| {
            Refusal::new("time_out_of_range", format!("{at} in {name} lies outside the calendar; choose another date"))
        })?;
        Ok((zoned.timestamp().into(), name, fit))
    }
}

fn named(name: &str) -> Result<TimeZone, Refusal> {
    TimeZone::get(name).map_err(|_| {
        Refusal::new("unknown_zone", format!("`{name}` is not a time zone of the IANA database, such as Europe/Rome"))
    })
}

#[cfg(test)]
mod tests;
