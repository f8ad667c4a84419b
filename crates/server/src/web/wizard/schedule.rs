//! Step 4: when the job runs (S1.10 to S1.12), and the times that gives, shown before anything is saved. The form is whole
//! without a script; with one the times follow what is chosen.

use super::{Draft, load};
use crate::api::runs as api;
use crate::app::App;
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::http::form::Fields;
use crate::pages::forms::{Choice, Fault, Field};
use crate::pages::shell::Shell;
use crate::pages::wizard::{Pick, SchedulePage, TimeRow, Times, WizardFrame};
use crate::views;
use crate::web::frame::{Show, sentence};
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use domain::schedule::{Ends, Nth, Schedule, Weekday, Zone};
use domain::time::Timestamp;
use jiff::civil::DateTime;
use protocol::api::response::{PreviewBody, PreviewTime, RepeatBody, ResolvedInstant, ScheduleBody};

/// Times shown.
pub(super) const TIMES: usize = 5;
const REPEATS: [(&str, &str); 7] = [
    ("never", "Never"),
    ("daily", "Daily"),
    ("weekly", "Weekly"),
    ("month_day", "Day of the month"),
    ("month_weekday", "Weekday of the month"),
    ("last_day", "Last day of the month"),
    ("patch_tuesday", "Patch Tuesday"),
];

/// What the form says, or what is wrong with it, under the names of its fields.
pub(super) fn read(form: &Fields) -> Result<Schedule, Vec<Fault>> {
    let text = |name: &str| Some(form.one(name).to_owned()).filter(|text| !text.is_empty());
    // What is no number gets the answer of one out of bounds.
    let number = |name: &str| text(name).map(|text| text.parse::<i64>().unwrap_or(-1_000));
    if form.one("when") != "timed" {
        return Ok(Schedule::OnDemand);
    }
    let (date, time) = (form.one("date"), form.one("time"));
    let mut faults = Vec::new();
    if date.parse::<jiff::civil::Date>().is_err() {
        faults.push(Fault::new("date", "Choose a date."));
    }
    if time.parse::<jiff::civil::Time>().is_err() {
        faults.push(Fault::new("time", "Choose a time of day."));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let by = form.one("repeat");
    let repeats = !matches!(by, "" | "never");
    let repeat = repeats.then(|| RepeatBody {
        by: by.to_owned(),
        every: number("every"),
        days: Some(form.all("days")),
        day: number("day"),
        nth: text("nth"),
        weekday: text("weekday"),
        offset: number("offset"),
        until: text("until").filter(|_| form.one("ends") == "on"),
        count: (form.one("ends") == "after").then(|| number("count").unwrap_or(0)),
    });
    if repeats && form.one("ends") == "on" && text("until").is_none() {
        return Err(vec![Fault::new("until", "Choose the last day.")]);
    }
    let given = ScheduleBody {
        when: if repeats { "recurring" } else { "once" }.to_owned(),
        at: Some(format!("{date}T{time}")),
        zone: text("zone"),
        window_minutes: number("window"),
        repeat,
    };
    let schedule = api::schedule(&given).map_err(faults_of)?;
    schedule.validate().map_err(|refusal| vec![Fault::new(field(refusal.code), sentence(&refusal.sentence))])?;
    Ok(schedule)
}

fn faults_of(error: Error) -> Vec<Fault> {
    match error {
        Error::Invalid(found) => {
            found.iter().map(|fault| Fault::new(field(&fault.code), sentence(&fault.message))).collect()
        }
        _ => vec![Fault::new("date", "This time cannot be read.")],
    }
}

/// The field that a refused schedule is about.
pub(super) fn field(code: &str) -> &'static str {
    match code {
        "unknown_zone" => "zone",
        "bad_window" => "window",
        "bad_every" => "every",
        "bad_weekdays" => "days",
        "bad_day" => "day",
        "bad_nth" => "nth",
        "bad_offset" => "offset",
        "bad_end" | "never_runs" => "until",
        "bad_repeat" => "repeat",
        _ => "date",
    }
}

/// The page of the step.
pub(super) fn page(
    shell: Shell,
    frame: WizardFrame,
    draft: &Draft,
    faults: &[Fault],
    typed: Option<&Fields>,
    now: Timestamp,
) -> SchedulePage {
    let kept = views::runs::schedule(&draft.full.schedule);
    let at = kept.at.as_deref().and_then(|at| at.parse::<DateTime>().ok());
    let tomorrow = now.plus_seconds(86_400).to_jiff().strftime("%Y-%m-%d").to_string();
    let (date, time) = at.map_or((tomorrow, "02:00".to_owned()), |at| {
        (at.strftime("%Y-%m-%d").to_string(), at.strftime("%H:%M").to_string())
    });
    let repeat = kept.repeat.clone().unwrap_or_default();
    let zone = kept.zone.clone().filter(|zone| zone != "agent").unwrap_or_default();
    let said = |name: &str, kept: String| typed.map_or(kept, |typed| typed.one(name).to_owned());
    let whole = |number: Option<i64>, or: &str| number.map_or_else(|| or.to_owned(), |number| number.to_string());
    let by = said("repeat", if repeat.by.is_empty() { "never".to_owned() } else { repeat.by.clone() });
    let ends = match draft.full.schedule {
        Schedule::Recurring(ref recurring) => match recurring.ends {
            Ends::Never => "never",
            Ends::On(_) => "on",
            Ends::After(_) => "after",
        },
        _ => "never",
    };
    let days = typed.map_or_else(|| repeat.days.clone().unwrap_or_default(), |typed| typed.all("days"));
    let number =
        |name: &str, label: &str, value: String| Field::typed("number", name, label, said(name, value)).faulted(faults);
    let weekdays = Weekday::ALL.map(|day| Choice::new(day.as_str(), day.name()));
    let nths = Nth::ALL.map(|nth| Choice::new(nth.as_str(), nth.as_str()));
    let path = format!("/jobs/{}/edit/schedule/times", draft.number());
    SchedulePage {
        timed: typed.map_or(at.is_some(), |typed| typed.one("when") == "timed"),
        date: Field::typed("date", "date", "Start date", said("date", date)).faulted(faults),
        time: Field::typed("time", "time", "Start time", said("time", time)).faulted(faults),
        zone: Field::line("zone", "Time zone", said("zone", zone))
            .placeholder("Agent time zone (each asset's own)")
            .faulted(faults),
        zones: jiff::tz::db().available().map(|name| name.to_string()).collect(),
        repeats: REPEATS.map(|(word, label)| Pick { word, label, on: by == word }).to_vec(),
        days: Weekday::ALL
            .map(|day| Pick {
                word: day.as_str(),
                label: day.name().get(..3).unwrap_or_default(),
                on: days.iter().any(|word| word == day.as_str()),
            })
            .to_vec(),
        days_fault: faults.iter().find(|fault| fault.field == "days").map(|fault| fault.message.clone()),
        every: number("every", "Every", whole(repeat.every, "1")).help("Days, weeks or months, as chosen above."),
        day: number("day", "Day of the month", whole(repeat.day, "1"))
            .help("31 is the last day where the month is shorter."),
        nth: Field::select("nth", "Which one", said("nth", repeat.nth.clone().unwrap_or_default()), nths.to_vec())
            .faulted(faults),
        weekday: Field::select(
            "weekday",
            "Day of the week",
            said("weekday", repeat.weekday.clone().unwrap_or_default()),
            weekdays.to_vec(),
        )
        .faulted(faults),
        offset: number("offset", "Days after Patch Tuesday", whole(repeat.offset, "0"))
            .help("The second Tuesday of the month; before it when negative, 27 at most."),
        ends: [("never", "Never"), ("on", "On a day"), ("after", "After a number of times")]
            .map(|(word, label)| Pick { word, label, on: said("ends", ends.to_owned()) == word })
            .to_vec(),
        until: Field::typed("date", "until", "Last day", said("until", repeat.until.clone().unwrap_or_default()))
            .faulted(faults),
        count: number("count", "Times", whole(repeat.count, "12")),
        window: number("window", "Maintenance window, in minutes", whole(kept.window_minutes, ""))
            .placeholder("None")
            .help("Nothing starts that could not end within it; what has not started by then expires."),
        standing: typed.map_or(draft.full.row.standing, |typed| !typed.one("standing").is_empty()),
        times: times(path, &draft.full.schedule, &draft.preview, now),
        shell,
        frame,
    }
}

/// The times as the form stands now, for a page with a script; nothing is kept.
pub(super) async fn follow(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    form: Fields,
) -> Result<Response, Error> {
    let draft = load(&app, &who, &number).await?;
    let path = format!("/jobs/{number}/edit/schedule/times");
    let now = app.clock.now();
    let schedule = match read(&form) {
        Ok(schedule) => schedule,
        Err(faults) => {
            let warnings = faults.into_iter().map(|fault| fault.message).collect();
            return Ok(Show(Times { path, words: None, rows: Vec::new(), warnings }).into_response());
        }
    };
    let (full, wanted) = (draft.full, schedule.clone());
    let found = app.database.try_read(move |tx| views::runs::preview(tx, &full, &wanted, TIMES, now)).await?;
    Ok(Show(times(path, &schedule, &found, now)).into_response())
}

fn times(path: String, schedule: &Schedule, found: &PreviewBody, now: Timestamp) -> Times {
    let words = match schedule {
        Schedule::OnDemand => None,
        Schedule::Once { at, zone, .. } => Some(format!("{} {}.", at.strftime("%A %-d %B %Y at %H:%M"), place(zone))),
        Schedule::Recurring(_) => Some(format!("{}.", found.words)),
    };
    let mut warnings: Vec<String> = Vec::new();
    let mut warn = |text: &str| {
        if !warnings.iter().any(|known| known == text) {
            warnings.push(text.to_owned());
        }
    };
    let all = || found.times.iter().flat_map(|time| &time.instants);
    if matches!(schedule, Schedule::Once { .. }) && all().any(|instant| instant.at <= now) {
        warn("This time has passed for some assets: there it runs as soon as the job is enabled.");
    }
    if schedule.recurs() && found.times.is_empty() {
        warn("No time of this schedule lies ahead: the job could not be enabled.");
    }
    for instant in all() {
        match instant.fit.as_str() {
            "gap" => warn("The clocks jump over this time in at least one zone: there it runs that much later."),
            "overlap" => warn("The clocks show this time twice in at least one zone: there it runs the first time."),
            "unknown_zone" => warn("The time zone of at least one agent is not known: UTC is used there."),
            _ => {}
        }
    }
    // Without a window a time has no end to speak of: the next time is its end.
    let ends = schedule.window().is_some();
    let rows = found.times.iter().flat_map(|time| time_rows(time, ends)).collect();
    Times { path, words, rows, warnings }
}

fn place(zone: &Zone) -> String {
    match zone {
        Zone::Agent => "in each agent's own time zone".to_owned(),
        Zone::Named(name) => format!("in {name}"),
    }
}

fn time_rows(time: &PreviewTime, ends: bool) -> Vec<TimeRow> {
    let civil = time.time.parse::<DateTime>().map(|at| at.strftime("%a %-d %b %Y %H:%M").to_string());
    let civil = civil.unwrap_or_default();
    let first = time.instants.first().map(|instant| instant.at);
    time.instants
        .iter()
        .map(|instant| TimeRow {
            time: civil.clone(),
            again: Some(instant.at) != first,
            zone: if instant.fit == "unknown_zone" { "zone not known".to_owned() } else { instant.zone.clone() },
            assets: instant.assets,
            local: clock(instant),
            utc: instant.at.to_jiff().strftime("%-d %b %H:%M").to_string(),
            until: instant.window_end.filter(|_| ends).map(|end| end.to_jiff().strftime("%-d %b %H:%M").to_string()),
            note: instant.note.clone(),
        })
        .collect()
}

fn clock(instant: &ResolvedInstant) -> String {
    // The hours and minutes of an RFC 3339 instant.
    instant.local.get(11..16).unwrap_or_default().to_owned()
}

/// The next times in a line each, for the confirmation.
pub(super) fn lines(found: &PreviewBody) -> Vec<String> {
    let line = |time: &PreviewTime| {
        let civil = time.time.replace('T', " ");
        let civil = civil.get(..16).unwrap_or(&civil).to_owned();
        let (first, last) = (time.instants.iter().map(|i| i.at).min(), time.instants.iter().map(|i| i.at).max());
        let shown = |at: Timestamp| at.to_jiff().strftime("%-d %b %H:%M UTC").to_string();
        let when = match (first, last) {
            (Some(first), Some(last)) if first == last => shown(first),
            (Some(first), Some(last)) => format!("{} to {}", shown(first), shown(last)),
            _ => String::new(),
        };
        let mut notes: Vec<&str> =
            time.instants.iter().map(|i| i.note.as_str()).filter(|note| !note.is_empty()).collect();
        notes.dedup();
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
        format!("{civil}: {when}{notes}")
    };
    found.times.iter().take(3).map(line).collect()
}
