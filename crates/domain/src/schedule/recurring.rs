//! The times a rule gives: civil dates from a start, in order and without gaps. No clock, no zone; see the parent module
//! for the instants.

use super::Zone;
use crate::refusal::Refusal;
use jiff::civil::{Date, DateTime, Time};
use jiff::{Span, ToSpan};
use serde::{Deserialize, Serialize};

/// Times a schedule may be limited to at most.
pub const COUNT_MAX: u32 = 10_000;
/// Years a schedule may begin in: wide enough for every use, narrow enough to be walked.
pub const START_YEARS: std::ops::RangeInclusive<i16> = 2000..=2199;
/// Days a run may lie before or after Patch Tuesday.
pub const OFFSET_DAYS_MAX: i8 = 27;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// Monday, the first day of a week (ISO 8601).
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Weekday {
    /// All seven, from Monday.
    pub const ALL: [Weekday; 7] =
        [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

    /// The word in the API and on forms.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Weekday::Mon => "mon",
            Weekday::Tue => "tue",
            Weekday::Wed => "wed",
            Weekday::Thu => "thu",
            Weekday::Fri => "fri",
            Weekday::Sat => "sat",
            Weekday::Sun => "sun",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|day| day.as_str() == word)
    }

    /// What people read.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Weekday::Mon => "Monday",
            Weekday::Tue => "Tuesday",
            Weekday::Wed => "Wednesday",
            Weekday::Thu => "Thursday",
            Weekday::Fri => "Friday",
            Weekday::Sat => "Saturday",
            Weekday::Sun => "Sunday",
        }
    }

    /// Days after Monday.
    fn offset(self) -> i64 {
        self as i64
    }

    fn jiff(self) -> jiff::civil::Weekday {
        use jiff::civil::Weekday as Other;
        match self {
            Weekday::Mon => Other::Monday,
            Weekday::Tue => Other::Tuesday,
            Weekday::Wed => Other::Wednesday,
            Weekday::Thu => Other::Thursday,
            Weekday::Fri => Other::Friday,
            Weekday::Sat => Other::Saturday,
            Weekday::Sun => Other::Sunday,
        }
    }
}

/// Which one of a month's days of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nth {
    /// The first.
    First,
    /// The second.
    Second,
    /// The third.
    Third,
    /// The fourth.
    Fourth,
    /// The last, which is the fourth or the fifth.
    Last,
}

impl Nth {
    /// All of them.
    pub const ALL: [Nth; 5] = [Nth::First, Nth::Second, Nth::Third, Nth::Fourth, Nth::Last];

    /// The word in the API, on forms and in sentences.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Nth::First => "first",
            Nth::Second => "second",
            Nth::Third => "third",
            Nth::Fourth => "fourth",
            Nth::Last => "last",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|nth| nth.as_str() == word)
    }

    fn number(self) -> i8 {
        match self {
            Nth::First => 1,
            Nth::Second => 2,
            Nth::Third => 3,
            Nth::Fourth => 4,
            Nth::Last => -1,
        }
    }
}

/// On which days of its period a job runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Rule {
    /// Every day; the period is a day.
    Daily,
    /// On these days of the week; the period is a week from Monday.
    Weekly {
        /// At least one.
        days: Vec<Weekday>,
    },
    /// On this day of the month, 1 to 31; on the last day of a month that is shorter. The period is a month, as below.
    MonthDay {
        /// Day of the month.
        day: i8,
    },
    /// On the first, second, third, fourth or last such day of the month.
    MonthWeekday {
        /// Which one.
        nth: Nth,
        /// Of these.
        weekday: Weekday,
    },
    /// On the last day of the month.
    LastDay,
    /// So many days after the second Tuesday of the month, -27 to 27; before it when negative.
    PatchTuesday {
        /// Days after it.
        offset: i8,
    },
}

/// When a schedule stops giving times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ends {
    /// Never.
    #[default]
    Never,
    /// After this day, on which it still runs.
    On(Date),
    /// After so many times, counted from the start date whether or not the job was enabled by then.
    After(u32),
}

/// A schedule that gives a time again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recurring {
    /// No run before this day; periods are counted from the one it lies in.
    pub start: Date,
    /// Time of day on the clock of the zone.
    pub time: Time,
    /// Every so many periods of the rule: days, weeks or months.
    pub every: u32,
    /// On which days.
    pub rule: Rule,
    /// Until when.
    #[serde(default)]
    pub ends: Ends,
    /// Whose clock.
    pub zone: Zone,
    /// Length of the maintenance window in minutes from each start; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<u32>,
}

impl Recurring {
    /// Check what a person entered, the zone and the window aside.
    ///
    /// # Errors
    /// `bad_every`, `bad_weekdays`, `bad_day`, `bad_offset`, `bad_start`, `bad_end`, `never_runs`.
    pub(super) fn validate(&self) -> Result<(), Refusal> {
        let refuse = |code, sentence: &str| Err(Refusal::new(code, sentence.to_owned()));
        let (most, period) = match self.rule {
            Rule::Daily => (366, "days"),
            Rule::Weekly { .. } => (53, "weeks"),
            _ => (24, "months"),
        };
        if self.every == 0 || self.every > most {
            return refuse("bad_every", &format!("the interval lies between 1 and {most} {period}"));
        }
        match &self.rule {
            Rule::Weekly { days } if days.is_empty() => {
                return refuse("bad_weekdays", "choose at least one day of the week");
            }
            Rule::MonthDay { day } if !(1..=31).contains(day) => {
                return refuse("bad_day", "the day of the month lies between 1 and 31");
            }
            Rule::PatchTuesday { offset } if offset.unsigned_abs() > OFFSET_DAYS_MAX.unsigned_abs() => {
                return refuse("bad_offset", "a run lies at most 27 days before or after Patch Tuesday");
            }
            _ => {}
        }
        if !START_YEARS.contains(&self.start.year()) {
            return refuse("bad_start", "a schedule starts between the years 2000 and 2199");
        }
        match self.ends {
            Ends::On(last) if last < self.start => {
                return refuse("bad_end", "the schedule would end before it starts; choose a later end date");
            }
            Ends::After(count) if count == 0 || count > COUNT_MAX => {
                return refuse("bad_end", "a schedule runs between 1 and 10000 times");
            }
            _ => {}
        }
        if self.on_or_after(self.start).next().is_none() {
            return refuse("never_runs", "no day fits this schedule before it ends; choose a later end date");
        }
        Ok(())
    }

    /// The civil times on or after a day, in order.
    pub fn on_or_after(&self, day: Date) -> impl Iterator<Item = DateTime> + '_ {
        let days = Days { of: self, period: self.period_before(day), ready: Vec::new(), given: 0, over: false };
        days.skip_while(move |found| *found < day).map(|found| found.to_datetime(self.time))
    }

    /// The first civil time after another, whether or not the schedule has ended by then: where the turn of that one ends.
    #[must_use]
    pub fn following(&self, civil: DateTime) -> Option<DateTime> {
        let endless = Recurring { ends: Ends::Never, ..self.clone() };
        endless.on_or_after(civil.date()).find(|next| *next > civil)
    }

    /// A period that surely holds no day after the wanted one that the periods before it do not hold: where to begin
    /// to look. Times that are counted are counted from the start.
    fn period_before(&self, day: Date) -> i64 {
        let first = if matches!(self.rule, Rule::PatchTuesday { .. }) { -2 } else { 0 };
        if matches!(self.ends, Ends::After(_)) || day <= self.start {
            return first;
        }
        let every = i64::from(self.every.max(1));
        let days = i64::from(self.start.until(day).map_or(0, |span| span.get_days()));
        let periods = match self.rule {
            Rule::Daily => days / every,
            Rule::Weekly { .. } => days / 7 / every,
            // 31 days a month never overtakes; the offset of Patch Tuesday is less than a month.
            _ => days / 31 / every,
        };
        (periods - 2).max(first)
    }

    /// The days of one period, counted from that of the start; none beyond the calendar's end.
    fn period(&self, number: i64) -> Option<Vec<Date>> {
        let steps = number.checked_mul(i64::from(self.every))?;
        let moved = |from: Date, by: Span| from.checked_add(by).ok();
        match &self.rule {
            Rule::Daily => Some(vec![moved(self.start, Span::new().try_days(steps).ok()?)?]),
            Rule::Weekly { days } => {
                let into = i64::from(self.start.weekday().to_monday_zero_offset());
                let first = steps.checked_mul(7)?.checked_sub(into)?;
                let mut offsets: Vec<i64> = days.iter().map(|day| day.offset()).collect();
                offsets.sort_unstable();
                offsets.dedup();
                let day = |offset: &i64| moved(self.start, Span::new().try_days(first + offset).ok()?);
                offsets.iter().map(day).collect()
            }
            rule => {
                let month = moved(self.start.first_of_month(), Span::new().try_months(steps).ok()?)?;
                let day = match rule {
                    Rule::MonthDay { day } => month.with().day((*day).min(month.days_in_month())).build().ok()?,
                    Rule::MonthWeekday { nth, weekday } => {
                        month.nth_weekday_of_month(nth.number(), weekday.jiff()).ok()?
                    }
                    Rule::PatchTuesday { offset } => {
                        let patch = month.nth_weekday_of_month(2, jiff::civil::Weekday::Tuesday).ok()?;
                        moved(patch, i64::from(*offset).days())?
                    }
                    _ => month.last_of_month(),
                };
                Some(vec![day])
            }
        }
    }
}

/// The days a rule gives, those before the start left out.
struct Days<'a> {
    of: &'a Recurring,
    period: i64,
    /// The rest of the present period, last first.
    ready: Vec<Date>,
    given: u32,
    over: bool,
}

impl Iterator for Days<'_> {
    type Item = Date;

    fn next(&mut self) -> Option<Date> {
        while !self.over {
            let Some(day) = self.ready.pop() else {
                match self.of.period(self.period) {
                    Some(days) => self.ready.extend(days.into_iter().rev()),
                    None => self.over = true,
                }
                self.period += 1;
                continue;
            };
            if day < self.of.start {
                continue;
            }
            self.over = match self.of.ends {
                Ends::Never => false,
                Ends::On(last) => day > last,
                Ends::After(count) => self.given >= count,
            };
            if !self.over {
                self.given += 1;
                return Some(day);
            }
        }
        None
    }
}
