//! A schedule in words, the same on every page, in the API and at the command line.

use super::{Ends, Recurring, Rule, Schedule, Weekday, Zone};

/// The whole of it: `Every 2 weeks on Monday and Thursday at 03:00 (Europe/Rome), for 240 minutes`.
#[must_use]
pub fn whole(schedule: &Schedule) -> String {
    let mut text = match schedule {
        Schedule::OnDemand => return "On demand".to_owned(),
        Schedule::Once { at, zone, .. } => format!("{} ({})", at.strftime("%Y-%m-%d %H:%M"), clock(zone)),
        Schedule::Recurring(recurring) => {
            format!("{} at {} ({})", days(recurring), recurring.time.strftime("%H:%M"), clock(&recurring.zone))
        }
    };
    if let Some(minutes) = schedule.window() {
        text.push_str(&format!(", for {}", span(minutes)));
    }
    if let Schedule::Recurring(recurring) = schedule {
        match recurring.ends {
            Ends::Never => {}
            Ends::On(last) => text.push_str(&format!(", until {last}")),
            Ends::After(1) => text.push_str(", once"),
            Ends::After(count) => text.push_str(&format!(", {count} times")),
        }
    }
    text
}

/// A length in minutes as people say it.
#[must_use]
pub fn span(minutes: u32) -> String {
    let some = |number: u32, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    match minutes {
        0 => some(0, "minute"),
        _ if minutes.is_multiple_of(1_440) => some(minutes / 1_440, "day"),
        _ if minutes.is_multiple_of(60) => some(minutes / 60, "hour"),
        _ => some(minutes, "minute"),
    }
}

fn clock(zone: &Zone) -> &str {
    match zone {
        Zone::Agent => "each asset's own time zone",
        Zone::Named(name) => name,
    }
}

/// On which days: `Every 3 days`, `Every month on the last Friday`.
fn days(recurring: &Recurring) -> String {
    let every = |one: &str| match recurring.every {
        1 => format!("Every {one}"),
        number => format!("Every {number} {one}s"),
    };
    match &recurring.rule {
        Rule::Daily => every("day"),
        Rule::Weekly { days } => {
            let mut days = days.clone();
            days.sort_unstable();
            days.dedup();
            let names: Vec<&str> = days.iter().copied().map(Weekday::name).collect();
            format!("{} on {}", every("week"), list(&names))
        }
        Rule::MonthDay { day } if *day > 28 => {
            format!("{} on day {day}, or on the last where the month is shorter,", every("month"))
        }
        Rule::MonthDay { day } => format!("{} on day {day}", every("month")),
        Rule::MonthWeekday { nth, weekday } => {
            format!("{} on the {} {}", every("month"), nth.as_str(), weekday.name())
        }
        Rule::LastDay => format!("{} on the last day", every("month")),
        Rule::PatchTuesday { offset } => {
            let days = offset.unsigned_abs();
            let near = format!("{days} day{}", if days == 1 { "" } else { "s" });
            match offset.signum() {
                0 => format!("{} on Patch Tuesday", every("month")),
                1 => format!("{} {near} after Patch Tuesday", every("month")),
                _ => format!("{} {near} before Patch Tuesday", every("month")),
            }
        }
    }
}

fn list(names: &[&str]) -> String {
    match names.split_last() {
        None => String::new(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}
