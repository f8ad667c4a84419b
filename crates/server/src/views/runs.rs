//! Schedules, the instants they resolve to, and runs, as bodies.

use crate::engine::jobs::Job;
use crate::http::error::Error;
use domain::schedule::{Ends, Fit, Recurring, Resolved, Rule, Schedule, Zone, words};
use domain::time::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use protocol::api::response as body;
use std::collections::{BTreeMap, BTreeSet};
use store::runs::RunRow;
use store::{Transaction, agents, runs};

/// Times of a preview at most.
pub const TIMES_MAX: usize = 50;
/// Runs listed at most.
const RUNS_MAX: i64 = 200;

/// A schedule as a body.
#[must_use]
pub fn schedule(schedule: &Schedule) -> body::ScheduleBody {
    let zone = schedule.zone().map(|zone| match zone {
        Zone::Agent => "agent".to_owned(),
        Zone::Named(name) => name.clone(),
    });
    let window_minutes = schedule.window().map(i64::from);
    let with = |when: &str, at: Option<DateTime>, repeat| body::ScheduleBody {
        when: when.to_owned(),
        at: at.map(|at| at.to_string()),
        zone,
        window_minutes,
        repeat,
    };
    match schedule {
        Schedule::OnDemand => with("on_demand", None, None),
        Schedule::Once { at, .. } => with("once", Some(*at), None),
        Schedule::Recurring(recurring) => {
            with("recurring", Some(recurring.start.to_datetime(recurring.time)), Some(repeat(recurring)))
        }
    }
}

fn repeat(recurring: &Recurring) -> body::RepeatBody {
    let mut repeat = body::RepeatBody { every: Some(i64::from(recurring.every)), ..body::RepeatBody::default() };
    repeat.by = match &recurring.rule {
        Rule::Daily => "daily",
        Rule::Weekly { days } => {
            repeat.days = Some(days.iter().map(|day| day.as_str().to_owned()).collect());
            "weekly"
        }
        Rule::MonthDay { day } => {
            repeat.day = Some(i64::from(*day));
            "month_day"
        }
        Rule::MonthWeekday { nth, weekday } => {
            repeat.nth = Some(nth.as_str().to_owned());
            repeat.weekday = Some(weekday.as_str().to_owned());
            "month_weekday"
        }
        Rule::LastDay => "last_day",
        Rule::PatchTuesday { offset } => {
            repeat.offset = Some(i64::from(*offset));
            "patch_tuesday"
        }
    }
    .to_owned();
    match recurring.ends {
        Ends::Never => {}
        Ends::On(last) => repeat.until = Some(last.to_string()),
        Ends::After(count) => repeat.count = Some(i64::from(count)),
    }
    repeat
}

/// The next times of a schedule on the assets of a job that who loaded it may see.
///
/// # Errors
/// A failure of the store; a civil time outside the calendar.
pub fn preview(
    tx: &mut Transaction<'_>,
    job: &Job,
    schedule: &Schedule,
    times: usize,
    now: Timestamp,
) -> Result<body::PreviewBody, Error> {
    let mut zones: BTreeMap<String, i64> = BTreeMap::new();
    let assets: BTreeSet<_> = job.targets.iter().map(|target| target.asset).collect();
    let agents = agents::on_assets(tx, assets.iter().copied())?;
    for asset in assets {
        let zone = agents.get(&asset).map(|agent| agent.zone.clone()).unwrap_or_default();
        *zones.entry(zone).or_default() += 1;
    }
    let mut previewed = Vec::new();
    for time in next_times(tx, job, schedule, times, now)? {
        previewed.push(body::PreviewTime { time: time.to_string(), instants: instants(schedule, time, &zones)? });
    }
    Ok(body::PreviewBody { words: words::whole(schedule), times: previewed })
}

fn next_times(
    tx: &mut Transaction<'_>,
    job: &Job,
    schedule: &Schedule,
    times: usize,
    now: Timestamp,
) -> Result<Vec<DateTime>, Error> {
    let first = match schedule {
        // Enabled late it still runs.
        Schedule::OnDemand | Schedule::Once { .. } => None,
        Schedule::Recurring(_) => {
            let planned = job.row.next_time.parse::<DateTime>().ok().filter(|_| *schedule == job.schedule);
            let zones = runs::zones(tx)?;
            let Some(first) = planned.or_else(|| schedule.first_to_come(&zones, now)) else { return Ok(Vec::new()) };
            Some(first)
        }
    };
    let rest = schedule.times_after(first);
    Ok(first.into_iter().chain(rest).take(times.min(TIMES_MAX)).collect())
}

fn instants(
    schedule: &Schedule,
    time: DateTime,
    zones: &BTreeMap<String, i64>,
) -> Result<Vec<body::ResolvedInstant>, Error> {
    let mut found: BTreeMap<(Timestamp, String, Fit), (Resolved, i64)> = BTreeMap::new();
    for (zone, assets) in zones {
        let resolved = schedule.resolve_at(time, zone)?;
        let key = (resolved.at, resolved.zone.clone(), resolved.fit);
        found.entry(key).or_insert((resolved, 0)).1 += assets;
    }
    Ok(found.into_values().map(|(resolved, assets)| instant(&resolved, assets)).collect())
}

fn instant(resolved: &Resolved, assets: i64) -> body::ResolvedInstant {
    let zoned = resolved.at.to_jiff().to_zoned(TimeZone::get(&resolved.zone).unwrap_or(TimeZone::UTC));
    let note = match resolved.fit {
        Fit::Exact => "",
        Fit::Gap => "the clocks jump over this time; it runs that much later",
        Fit::Overlap => "the clocks show this time twice; it runs the first time",
        Fit::UnknownZone => "the time zone of the agent is not known; UTC is used",
    };
    body::ResolvedInstant {
        zone: resolved.zone.clone(),
        at: resolved.at,
        local: zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        fit: resolved.fit.as_str().to_owned(),
        note: note.to_owned(),
        window_end: resolved.end.map(|end| end.at),
        assets,
    }
}

/// The runs of a job, newest first, with what became of their tasks on the assets that who loaded it may see.
///
/// # Errors
/// A failure of the store.
pub fn runs(tx: &mut Transaction<'_>, job: &Job) -> Result<Vec<body::Run>, Error> {
    let rows = runs::newest(tx, job.row.id, RUNS_MAX)?;
    let Some(oldest) = rows.last() else { return Ok(Vec::new()) };
    let counted: BTreeMap<_, _> = runs::counts(tx, job.row.id, oldest.id, &job.scope)?
        .into_iter()
        .map(|(run, total, open, succeeded, failed)| {
            let skipped = total - open - succeeded - failed;
            (run, body::TaskCounts { total, open, succeeded, failed, skipped })
        })
        .collect();
    Ok(rows.into_iter().map(|row| run(&row, counted.get(&row.id).cloned().unwrap_or_default())).collect())
}

fn run(row: &RunRow, tasks: body::TaskCounts) -> body::Run {
    let state = match (row.state.as_str(), row.begun_at, row.outcome.as_str()) {
        ("open", None, _) => "waiting",
        ("open", Some(_), _) => "running",
        ("halting" | "halted", ..) if !row.cancelled => "halted",
        _ if row.cancelled => "cancelled",
        (_, _, "COMPLETED_WITH_FAILURES") => "completed_with_failures",
        _ => "completed",
    };
    body::Run {
        run: row.ordinal,
        state: state.to_owned(),
        cause: row.cause.clone(),
        does: row.does.clone(),
        asked_by: row.asked_by.clone(),
        time: row.occurrence.clone(),
        tasks,
        made_at: row.started_at,
        begun_at: row.begun_at,
        ended_at: row.ended_at,
    }
}
