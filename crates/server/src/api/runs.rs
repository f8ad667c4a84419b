//! When jobs run, and their runs: preview, pause, resume, run now, retry, clone, change of owner.

use super::jobs::{Tagged, done, ordinal, tagged};
use crate::app::App;
use crate::engine::jobs;
use crate::http::{Caller, Error, IfMatch};
use crate::views;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::job::Act;
use domain::schedule::{Ends, Nth, Recurring, Rule, Schedule, Weekday, Zone};
use jiff::civil::DateTime;
use protocol::api::response as body;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Times of a preview that says no number.
const TIMES: i64 = 5;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(preview))
        .routes(routes!(list_runs))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(run_now))
        .routes(routes!(retry_failed))
        .routes(routes!(clone))
        .routes(routes!(change_owner))
}

/// A schedule as people write it.
///
/// # Errors
/// 422 `schedule` for what is none.
pub fn schedule(given: &body::ScheduleBody) -> Result<Schedule, Error> {
    let zone = match given.zone.as_deref() {
        None | Some("" | "agent") => Zone::Agent,
        Some(name) => Zone::Named(name.to_owned()),
    };
    // What is no possible window gets the answer of one out of bounds.
    let window = given.window_minutes.map(|minutes| u32::try_from(minutes).unwrap_or(0));
    match given.when.as_str() {
        "on_demand" => Ok(Schedule::OnDemand),
        "once" => Ok(Schedule::Once { at: time(given)?, zone, window }),
        "recurring" => {
            let missing = || refused("bad_repeat", "say in `repeat` on which days the job runs");
            let repeat = given.repeat.as_ref().ok_or_else(missing)?;
            let at = time(given)?;
            Ok(Schedule::Recurring(Recurring {
                start: at.date(),
                time: at.time(),
                every: repeat.every.map_or(1, |every| u32::try_from(every).unwrap_or(0)),
                rule: rule(repeat)?,
                ends: ends(repeat)?,
                zone,
                window,
            }))
        }
        _ => Err(refused("bad_schedule", "a job runs `on_demand`, `once` or `recurring`")),
    }
}

fn refused(code: &str, why: &str) -> Error {
    Error::field("schedule", code, why.to_owned())
}

fn time(given: &body::ScheduleBody) -> Result<DateTime, Error> {
    let at = given.at.as_deref().unwrap_or_default();
    at.parse().map_err(|_| refused("bad_time", "give date and time as 2026-11-22T03:00, without a zone"))
}

fn rule(repeat: &body::RepeatBody) -> Result<Rule, Error> {
    let weekday = |word: &str| {
        Weekday::parse(word)
            .ok_or_else(|| refused("bad_weekdays", "a day of the week is mon, tue, wed, thu, fri, sat or sun"))
    };
    let small = |number: Option<i64>, or: i64| i8::try_from(number.unwrap_or(or)).unwrap_or(i8::MAX);
    Ok(match repeat.by.as_str() {
        "daily" => Rule::Daily,
        "weekly" => {
            let days = repeat.days.iter().flatten();
            Rule::Weekly { days: days.map(|day| weekday(day)).collect::<Result<_, _>>()? }
        }
        "month_day" => Rule::MonthDay { day: small(repeat.day, 0) },
        "month_weekday" => {
            let bad = || refused("bad_nth", "give `nth` as first, second, third, fourth or last");
            Rule::MonthWeekday {
                nth: Nth::parse(repeat.nth.as_deref().unwrap_or_default()).ok_or_else(bad)?,
                weekday: weekday(repeat.weekday.as_deref().unwrap_or_default())?,
            }
        }
        "last_day" => Rule::LastDay,
        "patch_tuesday" => Rule::PatchTuesday { offset: small(repeat.offset, 0) },
        _ => {
            let why = "a job repeats `daily`, `weekly`, `month_day`, `month_weekday`, `last_day` or `patch_tuesday`";
            return Err(refused("bad_repeat", why));
        }
    })
}

fn ends(repeat: &body::RepeatBody) -> Result<Ends, Error> {
    match (repeat.until.as_deref().filter(|day| !day.is_empty()), repeat.count) {
        (None, None) => Ok(Ends::Never),
        (Some(day), None) => {
            let last = day.parse().map_err(|_| refused("bad_end", "give the last day as 2026-12-31"))?;
            Ok(Ends::On(last))
        }
        (None, Some(count)) => Ok(Ends::After(u32::try_from(count).unwrap_or(0))),
        (Some(_), Some(_)) => Err(refused("bad_end", "a schedule ends on a day or after a number of times, not both")),
    }
}

/// Preview the next runs of a job
///
/// The next times of its schedule, or of one that was not saved, with the instant and the local time of each zone among its
/// assets. Changes nothing.
#[utoipa::path(post, path = "/jobs/{number}/preview", tag = "jobs", params(("number" = String, Path)),
    request_body = body::PreviewRequest, responses((status = OK, body = body::PreviewBody)))]
async fn preview(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Json(wanted): Json<body::PreviewRequest>,
) -> Result<Json<body::PreviewBody>, Error> {
    let (number, now) = (ordinal(&number)?, app.clock.now());
    let given = wanted.schedule.as_ref().map(schedule).transpose()?;
    if let Some(given) = &given {
        given.validate().map_err(|refusal| Error::field("schedule", refusal.code, refusal.sentence))?;
    }
    let most = i64::try_from(views::runs::TIMES_MAX).unwrap_or(i64::MAX);
    let times = usize::try_from(wanted.times.unwrap_or(TIMES).clamp(1, most)).unwrap_or(1);
    let found = app.database.try_read(move |tx| {
        let job = jobs::load(tx, &caller, number)?;
        views::runs::preview(tx, &job, given.as_ref().unwrap_or(&job.schedule), times, now)
    });
    Ok(Json(found.await?))
}

/// List the runs of a job
#[utoipa::path(get, path = "/jobs/{number}/runs", tag = "jobs", params(("number" = String, Path)),
    responses((status = OK, body = body::RunsBody)))]
async fn list_runs(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<body::RunsBody>, Error> {
    let number = ordinal(&number)?;
    let runs = app.database.try_read(move |tx| {
        let job = jobs::load(tx, &caller, number)?;
        views::runs::runs(tx, &job)
    });
    Ok(Json(body::RunsBody { runs: runs.await? }))
}

/// Pause a job
///
/// Nothing more of it starts; what runs on a host ends and reports. A recurring job makes no run meanwhile.
#[utoipa::path(post, path = "/jobs/{number}/pause", tag = "jobs", params(("number" = String, Path)),
    responses((status = OK, body = body::JobBody)))]
async fn pause(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
) -> Result<Tagged, Error> {
    done(&app, &caller, &number, Act::Pause, seen).await
}

/// Resume a paused job
#[utoipa::path(post, path = "/jobs/{number}/resume", tag = "jobs", params(("number" = String, Path)),
    responses((status = OK, body = body::JobBody)))]
async fn resume(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
) -> Result<Tagged, Error> {
    done(&app, &caller, &number, Act::Resume, seen).await
}

/// Run a job now
///
/// A further run of a recurring job or of one that has ended; a job that waits for its time runs now instead.
#[utoipa::path(post, path = "/jobs/{number}/run", tag = "jobs", params(("number" = String, Path)),
    responses((status = OK, body = body::JobBody)))]
async fn run_now(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
) -> Result<Tagged, Error> {
    done(&app, &caller, &number, Act::RunNow, seen).await
}

/// Retry what failed
///
/// A run over the assets and actions whose last result is code 1.
#[utoipa::path(post, path = "/jobs/{number}/retry", tag = "jobs", params(("number" = String, Path)),
    responses((status = OK, body = body::JobBody)))]
async fn retry_failed(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
) -> Result<Tagged, Error> {
    done(&app, &caller, &number, Act::RetryFailed, seen).await
}

/// Clone a job
///
/// Makes a draft with the same content, owned by the caller.
#[utoipa::path(post, path = "/jobs/{number}/clone", tag = "jobs", params(("number" = String, Path)),
    responses((status = CREATED, body = body::JobBody)))]
async fn clone(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
) -> Result<(StatusCode, Tagged), Error> {
    Ok((StatusCode::CREATED, done(&app, &caller, &number, Act::Clone, seen).await?))
}

/// Change the owner of a job
///
/// The new owner must be able to edit jobs and to see every asset of this one.
#[utoipa::path(put, path = "/jobs/{number}/owner", tag = "jobs", params(("number" = String, Path)),
    request_body = body::OwnerRequest, responses((status = OK, body = body::JobBody)))]
async fn change_owner(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Json(request): Json<body::OwnerRequest>,
) -> Result<Tagged, Error> {
    let job = jobs::change_owner(&app, &caller, ordinal(&number)?, &request.owner).await?;
    tagged(&app, &caller, job).await
}
