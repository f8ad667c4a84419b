//! Imports from a scanner's platform: what can be imported, and when each kind of it comes again.
//!
//! Pure: no clock, no store. What is imported how is the server's; the times of a rule are those of jobs
//! ([`crate::schedule::recurring`]).

use crate::refusal::Refusal;
use crate::schedule::recurring::{Ends, Recurring, Rule, Weekday};
use crate::schedule::{Schedule, Zone, words};
use crate::time::Timestamp;
use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};

/// Shortest pause between two imports of one kind, in minutes.
pub const MINUTES_MIN: i64 = 15;
/// Longest one: 30 days.
pub const MINUTES_MAX: i64 = 30 * 24 * 60;
/// Minutes of a day: lists that a rescan needs change seldom.
const DAY_MINUTES: i64 = 24 * 60;

/// What a run imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Set-up, knowledge base and detections, one after the other.
    Everything,
    /// The knowledge base, by modification time.
    KnowledgeBase,
    /// The whole knowledge base, whatever has changed.
    KnowledgeBaseFull,
    /// Detections, by processing time.
    HostDetection,
    /// All detections of all hosts, whenever they were processed: finds out what is not reported any more.
    Comprehensive,
    /// Hosts with their names, tags and scan times, also those without a detection.
    HostList,
    /// Option profiles, appliances and asset groups: what a rescan needs.
    Setup,
    /// Option profiles alone.
    OptionProfiles,
    /// Appliances, and the addresses that asset groups give them.
    Appliances,
    /// Search lists: what option profiles look for or leave out.
    SearchLists,
    /// A file that somebody loaded.
    File,
    /// Chosen hosts and vulnerabilities after a rescan; moves no cursor.
    Targeted,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 12] = [
        Kind::Everything,
        Kind::KnowledgeBase,
        Kind::KnowledgeBaseFull,
        Kind::HostDetection,
        Kind::Comprehensive,
        Kind::HostList,
        Kind::Setup,
        Kind::OptionProfiles,
        Kind::Appliances,
        Kind::SearchLists,
        Kind::File,
        Kind::Targeted,
    ];

    /// The kinds that have a schedule of their own, in the order in which they begin where several are due at once.
    pub const SCHEDULED: [Kind; 8] = [
        Kind::OptionProfiles,
        Kind::Appliances,
        Kind::SearchLists,
        Kind::HostList,
        Kind::KnowledgeBase,
        Kind::KnowledgeBaseFull,
        Kind::HostDetection,
        Kind::Comprehensive,
    ];

    /// The word used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Everything => "everything",
            Kind::KnowledgeBase => "knowledge_base",
            Kind::KnowledgeBaseFull => "knowledge_base_full",
            Kind::HostDetection => "host_detection",
            Kind::Comprehensive => "comprehensive",
            Kind::HostList => "host_list",
            Kind::Setup => "setup",
            Kind::OptionProfiles => "option_profiles",
            Kind::Appliances => "appliances",
            Kind::SearchLists => "search_lists",
            Kind::File => "file",
            Kind::Targeted => "targeted",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What people read.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Everything => "Everything",
            Kind::KnowledgeBase => "Knowledge base",
            Kind::KnowledgeBaseFull => "Whole knowledge base",
            Kind::HostDetection => "Detections",
            Kind::Comprehensive => "All detections",
            Kind::HostList => "Host list",
            Kind::Setup => "Option profiles and appliances",
            Kind::OptionProfiles => "Option profiles",
            Kind::Appliances => "Appliances and asset groups",
            Kind::SearchLists => "Search lists",
            Kind::File => "File",
            Kind::Targeted => "Rescanned hosts",
        }
    }

    /// What it brings, in a sentence.
    #[must_use]
    pub fn says(self) -> &'static str {
        match self {
            Kind::Everything => "Set-up, knowledge base and detections, one after the other.",
            Kind::KnowledgeBase => "Entries that changed since the last time.",
            Kind::KnowledgeBaseFull => "Every entry, also those that changed without a word of it.",
            Kind::Comprehensive => "Every detection of every host, to find out what is not reported any more.",
            Kind::HostList => "Names, tags and scan times of all hosts, also of those without a detection.",
            Kind::HostDetection => "Hosts whose detections were processed since the last time.",
            Kind::Setup => "What a rescan needs: option profiles, appliances, asset groups.",
            Kind::OptionProfiles => "What a rescan can be asked to look for.",
            Kind::Appliances => "Scanners, and the addresses they serve.",
            Kind::SearchLists => "The vulnerabilities that an option profile looks for, or leaves out.",
            Kind::File => "A file that somebody loaded.",
            Kind::Targeted => "The hosts of a rescan.",
        }
    }

    /// Whether people may ask the platform for it by name.
    #[must_use]
    pub fn asked_for(self) -> bool {
        !matches!(self, Kind::File | Kind::Targeted)
    }

    /// When it comes where somebody wants imports every so many minutes and says no more.
    #[must_use]
    pub fn proposed(self, minutes: i64) -> Cadence {
        match self {
            Kind::KnowledgeBase | Kind::HostDetection => Cadence::Every { minutes },
            Kind::OptionProfiles | Kind::Appliances | Kind::SearchLists => {
                Cadence::Every { minutes: minutes.max(DAY_MINUTES) }
            }
            Kind::HostList => Cadence::sundays(1),
            Kind::KnowledgeBaseFull => Cadence::sundays(2),
            Kind::Comprehensive | Kind::Everything | Kind::Setup | Kind::File | Kind::Targeted => Cadence::Off,
        }
    }
}

/// Seconds after which an import that is still at work is called too long: 8 hours.
pub const LONGEST_SECONDS: i64 = 8 * 3_600;
/// So many times may be missed before what is known counts as too old.
pub const BEHIND_TIMES: i64 = 3;
/// What is known may always be this old, in seconds: an hour.
const FRESH_SECONDS: i64 = 3_600;
/// Refusals of the sign-in, one after the other, after which the schedule asks no more: a scanner locks an account that is
/// tried with a wrong password again and again.
pub const SIGN_INS_MAX: usize = 3;

/// What can be wrong with imports of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The last one failed.
    Failed,
    /// One is at work for longer than [`LONGEST_SECONDS`].
    TooLong,
    /// One was due again while the one before was still waiting for its turn.
    Held,
    /// The sign-in was refused [`SIGN_INS_MAX`] times, and the schedule waits for somebody.
    SignIn,
    /// What is known is older than [`BEHIND_TIMES`] of the times at which it should come.
    Behind,
}

impl Trouble {
    /// The word used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Trouble::Failed => "failed",
            Trouble::TooLong => "too_long",
            Trouble::Held => "held",
            Trouble::SignIn => "sign_in",
            Trouble::Behind => "behind",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Trouble::Failed, Trouble::TooLong, Trouble::Held, Trouble::SignIn, Trouble::Behind]
            .into_iter()
            .find(|trouble| trouble.as_str() == word)
    }

    /// What it is, in a sentence about imports of a kind from an instance.
    #[must_use]
    pub fn says(self, kind: Kind, instance: &str) -> String {
        let name = kind.name();
        match self {
            Trouble::Failed => format!("{name} from {instance}: the last import failed."),
            Trouble::TooLong => format!("{name} from {instance}: the import is at work for more than eight hours."),
            Trouble::Held => {
                format!("{name} from {instance}: it was due again while the import before still waited for its turn.")
            }
            Trouble::Behind => {
                format!(
                    "{name} from {instance}: what is known here is older than three times that it should have come."
                )
            }
            Trouble::SignIn => format!(
                "{instance} refuses the sign-in: scheduled imports wait until somebody corrects the account or imports by hand."
            ),
        }
    }
}

/// Is what is known up to `until` too old for how often it should come? Never where nothing comes by itself.
#[must_use]
pub fn behind(cadence: &Cadence, until: Timestamp, now: Timestamp) -> bool {
    let coming = cadence.coming(now, 2);
    let [first, second] = coming.as_slice() else { return false };
    let between = second.micros().saturating_sub(first.micros());
    let most = between.saturating_mul(BEHIND_TIMES).max(FRESH_SECONDS * 1_000_000);
    now.micros().saturating_sub(until.micros()) > most
}

/// Whether what a full pull did not show may be called unseen: not where it showed less than 80 of a hundred hosts that were
/// expected, because then the account sees less than before, which says nothing of the hosts (`qualys-api.md` 2.2).
#[must_use]
pub fn whole(shown: u64, expected: u64) -> bool {
    u128::from(shown) * 100 >= u128::from(expected) * 80
}

/// When imports of one kind come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "when", rename_all = "snake_case")]
pub enum Cadence {
    /// Only when somebody asks.
    #[default]
    Off,
    /// So many minutes after the one before was due.
    Every {
        /// 15 minutes to 30 days.
        minutes: i64,
    },
    /// At civil times of a named zone.
    At(Recurring),
}

impl Cadence {
    /// At a time of day in UTC, again and again.
    #[must_use]
    pub fn at(rule: Rule, time: Time) -> Cadence {
        let (every, ends, zone) = (1, Ends::Never, Zone::Named("UTC".to_owned()));
        Cadence::At(Recurring { start: Date::constant(2026, 1, 1), time, every, rule, ends, zone, window: None })
    }

    /// Once a week in the small hours of Sunday, UTC.
    #[must_use]
    pub fn sundays(hour: i8) -> Cadence {
        Cadence::at(Rule::Weekly { days: vec![Weekday::Sun] }, Time::constant(hour, 0, 0, 0))
    }

    /// Check what a person entered.
    ///
    /// # Errors
    /// `out_of_range` for minutes outside [`MINUTES_MIN`] to [`MINUTES_MAX`]; `zone_needed` where none is named, because
    /// an import has no agent whose clock could be meant; `bad_window` where it has one; what [`Schedule::validate`] refuses.
    pub fn validate(&self) -> Result<(), Refusal> {
        match self {
            Cadence::Off => Ok(()),
            Cadence::Every { minutes } if (MINUTES_MIN..=MINUTES_MAX).contains(minutes) => Ok(()),
            Cadence::Every { .. } => {
                Err(Refusal::new("out_of_range", "scheduled imports are 15 minutes to 30 days apart"))
            }
            Cadence::At(recurring) if recurring.zone == Zone::Agent => {
                let why = "say whose clock is meant: a time zone of the IANA database, such as Europe/Rome";
                Err(Refusal::new("zone_needed", why))
            }
            Cadence::At(recurring) if recurring.window.is_some() => {
                Err(Refusal::new("bad_window", "an import has no maintenance window"))
            }
            Cadence::At(recurring) => Schedule::Recurring(recurring.clone()).validate(),
        }
    }

    /// Whether it gives times at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !matches!(self, Cadence::Off)
    }

    /// The first time after an instant; none when it is off or over. However long nothing was begun, it is one time, not
    /// all that were missed.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Cadence::Off => None,
            Cadence::Every { minutes } => Some(after.plus_seconds(minutes.saturating_mul(60))),
            Cadence::At(recurring) => {
                let schedule = Schedule::Recurring(recurring.clone());
                let civil = schedule.first_to_come(&[], after);
                // UTC may be past a time that is still to come in the zone, never by more than a day.
                let near = civil.and_then(|civil| civil.checked_sub(jiff::Span::new().days(3)).ok());
                let times = schedule.times_after(near);
                times.take(64).filter_map(|at| Some(schedule.resolve_at(at, "").ok()?.at)).find(|at| *at > after)
            }
        }
    }

    /// The next times after an instant, at most so many.
    #[must_use]
    pub fn coming(&self, after: Timestamp, most: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next(after), |at| self.next(*at)).take(most).collect()
    }

    /// Seconds that lie between two times, about; none when it is off.
    #[must_use]
    pub fn pause_seconds(&self, from: Timestamp) -> Option<i64> {
        match self {
            Cadence::Off => None,
            Cadence::Every { minutes } => Some(minutes.saturating_mul(60)),
            Cadence::At(_) => match self.coming(from, 2).as_slice() {
                [one, other] => Some(other.seconds_since(*one)),
                _ => None,
            },
        }
    }

    /// In words: `Every 4 hours`, `Every week on Sunday at 02:00 (UTC)`.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Cadence::Off => "Off".to_owned(),
            Cadence::Every { minutes } => {
                let span = words::span(u32::try_from(*minutes).unwrap_or(u32::MAX));
                format!("Every {}", span.strip_prefix("1 ").unwrap_or(&span))
            }
            Cadence::At(recurring) => words::whole(&Schedule::Recurring(recurring.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Timestamp {
        text.parse::<jiff::Timestamp>().expect("an instant").into()
    }

    fn at(rule: Rule, time: &str, zone: &str) -> Cadence {
        match Cadence::at(rule, time.parse().expect("a time")) {
            Cadence::At(recurring) => Cadence::At(Recurring { zone: Zone::Named(zone.to_owned()), ..recurring }),
            other => other,
        }
    }

    #[test]
    fn next_times_by_hand() {
        let weekly = |days: &[Weekday]| Rule::Weekly { days: days.to_vec() };
        for (cadence, after, expected) in [
            (Cadence::Off, "2026-12-01T00:00:00Z", None),
            (Cadence::Every { minutes: 240 }, "2026-12-01T00:00:30Z", Some("2026-12-01T04:00:30Z")),
            (at(Rule::Daily, "01:00", "UTC"), "2026-12-01T00:59:59Z", Some("2026-12-01T01:00:00Z")),
            // not again at the very time
            (at(Rule::Daily, "01:00", "UTC"), "2026-12-01T01:00:00Z", Some("2026-12-02T01:00:00Z")),
            (at(Rule::Daily, "01:00", "Europe/Rome"), "2026-12-01T00:00:00Z", Some("2026-12-02T00:00:00Z")),
            (at(Rule::Daily, "01:00", "Pacific/Kiritimati"), "2026-12-01T11:30:00Z", Some("2026-12-02T11:00:00Z")),
            (at(Rule::Daily, "23:30", "Pacific/Pago_Pago"), "2026-12-01T00:00:00Z", Some("2026-12-01T10:30:00Z")),
            (Cadence::sundays(2), "2026-12-01T00:00:00Z", Some("2026-12-06T02:00:00Z")),
            (
                at(weekly(&[Weekday::Mon, Weekday::Thu]), "06:00", "UTC"),
                "2026-12-01T00:00:00Z",
                Some("2026-12-03T06:00:00Z"),
            ),
            (at(Rule::MonthDay { day: 31 }, "00:00", "UTC"), "2027-01-31T00:00:00Z", Some("2027-02-28T00:00:00Z")),
            // the clocks jump over 02:30 and show 02:30 twice
            (at(Rule::Daily, "02:30", "Europe/Rome"), "2026-03-28T12:00:00Z", Some("2026-03-29T01:30:00Z")),
            (at(Rule::Daily, "02:30", "Europe/Rome"), "2026-10-25T00:29:00Z", Some("2026-10-25T00:30:00Z")),
            (at(Rule::Daily, "02:30", "Europe/Rome"), "2026-10-25T00:30:00Z", Some("2026-10-26T01:30:00Z")),
        ] {
            assert_eq!(cadence.next(instant(after)), expected.map(instant), "{} after {after}", cadence.words());
        }
    }

    #[test]
    fn a_month_of_silence_is_one_time() {
        let four_hours = Cadence::Every { minutes: 240 };
        let now = instant("2026-12-31T00:00:00Z");
        assert_eq!(four_hours.coming(now, 2), [now.plus_seconds(4 * 3_600), now.plus_seconds(8 * 3_600)]);
        assert_eq!(Cadence::sundays(2).pause_seconds(now), Some(7 * 86_400));
        assert!(Cadence::Off.coming(now, 9).is_empty());
    }

    #[test]
    fn what_an_account_does_not_see_any_more_is_not_gone() {
        for (shown, expected, is) in
            [(0, 0, true), (1, 0, true), (80, 100, true), (79, 100, false), (0, 1, false), (u64::MAX, u64::MAX, true)]
        {
            assert_eq!(whole(shown, expected), is, "{shown} of {expected}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let code = |cadence: &Cadence| cadence.validate().map_err(|refusal| refusal.code).err();
        assert_eq!(code(&Cadence::Off), None);
        for (minutes, expected) in
            [(14, Some("out_of_range")), (15, None), (43_200, None), (43_201, Some("out_of_range"))]
        {
            assert_eq!(code(&Cadence::Every { minutes }), expected, "{minutes}");
        }
        assert_eq!(code(&at(Rule::Daily, "01:00", "Mars/Phobos")), Some("unknown_zone"));
        assert_eq!(code(&at(Rule::Weekly { days: Vec::new() }, "01:00", "UTC")), Some("bad_weekdays"));
        let Cadence::At(recurring) = Cadence::sundays(2) else { panic!("it is at a time") };
        assert_eq!(code(&Cadence::At(Recurring { zone: Zone::Agent, ..recurring.clone() })), Some("zone_needed"));
        assert_eq!(code(&Cadence::At(Recurring { window: Some(60), ..recurring })), Some("bad_window"));
    }

    #[test]
    fn it_reads_as_people_say_it() {
        let words = |minutes| Cadence::Every { minutes }.words();
        assert_eq!(
            [words(15), words(60), words(240), words(1_440)],
            ["Every 15 minutes", "Every hour", "Every 4 hours", "Every day"]
        );
        assert_eq!(Cadence::sundays(2).words(), "Every week on Sunday at 02:00 (UTC)");
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
            // All detections of a large estate are a burden: only where somebody says so.
            let comes = Kind::SCHEDULED.contains(&kind) && kind != Kind::Comprehensive;
            assert_eq!(kind.proposed(60).is_on(), comes, "{kind:?}");
        }
    }
}
