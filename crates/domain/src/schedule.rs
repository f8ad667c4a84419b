//! When a job runs on an asset: on demand, or at a civil date and time in the agent's zone or a named one.
//!
//! Civil times stay civil until a task is made; the task stores the instant it resolved to and the zone used
//! (design, section 10). S1.10 to S1.12, R6.

use crate::refusal::Refusal;
use crate::time::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

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
    },
}

/// How a civil time met the zone's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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

/// A schedule resolved for one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// Not to start before.
    pub at: Timestamp,
    /// The zone used, by its IANA name.
    pub zone: String,
    /// How it fitted.
    pub fit: Fit,
}

impl Schedule {
    /// Check what a person entered.
    ///
    /// # Errors
    /// `unknown_zone` for a name that the time zone database does not hold.
    pub fn validate(&self) -> Result<(), Refusal> {
        match self {
            Schedule::Once { zone: Zone::Named(name), .. } => named(name).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// The instant for an asset whose agent reports `agent_zone` (empty = unknown). On demand means `now`.
    ///
    /// # Errors
    /// `unknown_zone` as in [`Schedule::validate`]; `time_out_of_range` for a year the calendar cannot place.
    pub fn resolve(&self, agent_zone: &str, now: Timestamp) -> Result<Resolved, Refusal> {
        let (at, zone) = match self {
            Schedule::OnDemand => return Ok(Resolved { at: now, zone: "UTC".to_owned(), fit: Fit::Exact }),
            Schedule::Once { at, zone } => (*at, zone),
        };
        let (zone, name, known) = match zone {
            Zone::Named(name) => (named(name)?, name.clone(), true),
            Zone::Agent => match named(agent_zone) {
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
        Ok(Resolved { at: zoned.timestamp().into(), zone: name, fit })
    }
}

fn named(name: &str) -> Result<TimeZone, Refusal> {
    TimeZone::get(name).map_err(|_| {
        Refusal::new("unknown_zone", format!("`{name}` is not a time zone of the IANA database, such as Europe/Rome"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(at: &str, zone: Zone) -> Schedule {
        Schedule::Once { at: at.parse().unwrap(), zone }
    }

    fn rome() -> Zone {
        Zone::Named("Europe/Rome".to_owned())
    }

    #[test]
    fn on_demand_is_now() {
        let now = Timestamp::from_micros(5);
        assert_eq!(Schedule::OnDemand.resolve("", now).unwrap().at, now);
    }

    #[test]
    fn civil_times_resolve_in_the_chosen_zone() {
        for (at, zone, agent, instant, fit) in [
            ("2026-01-15T03:00", rome(), "", "2026-01-15T02:00:00Z", Fit::Exact),
            ("2026-03-29T02:30", rome(), "", "2026-03-29T01:30:00Z", Fit::Gap),
            ("2026-10-25T02:30", rome(), "", "2026-10-25T00:30:00Z", Fit::Overlap),
            ("2026-01-15T03:00", Zone::Agent, "America/New_York", "2026-01-15T08:00:00Z", Fit::Exact),
            ("2026-01-15T03:00", Zone::Agent, "", "2026-01-15T03:00:00Z", Fit::UnknownZone),
            ("2026-01-15T03:00", Zone::Agent, "Mars/Base", "2026-01-15T03:00:00Z", Fit::UnknownZone),
        ] {
            let resolved = once(at, zone).resolve(agent, Timestamp::default()).unwrap();
            assert_eq!((resolved.at.to_string().as_str(), resolved.fit), (instant, fit), "{at}");
        }
    }

    #[test]
    fn an_unknown_named_zone_is_refused() {
        let schedule = once("2026-01-15T03:00", Zone::Named("Mars/Base".to_owned()));
        assert_eq!(schedule.validate().unwrap_err().code, "unknown_zone");
        assert_eq!(schedule.resolve("UTC", Timestamp::default()).unwrap_err().code, "unknown_zone");
    }

    #[test]
    fn a_date_beyond_the_calendar_is_refused() {
        let far = once("9999-12-31T23:59", Zone::Named("America/New_York".to_owned()));
        assert_eq!(far.resolve("", Timestamp::default()).unwrap_err().code, "time_out_of_range");
    }
}
