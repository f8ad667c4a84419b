//! When imports of each kind come from an integration instance, and what its search lists mean for an option profile.

use super::runs;
use crate::app::App;
use crate::http::conditional::{changed_meanwhile, etag};
use crate::http::{Caller, Error, IfMatch};
use crate::instances as logic;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue};
use domain::access::{Action, Record};
use domain::id::InstanceId;
use domain::import::{Cadence, Kind};
use domain::refusal::Refusal;
use domain::schedule::Schedule;
use domain::search_list::Tests;
use domain::time::Timestamp;
use protocol::api::integrations::{
    CadenceBody, CadencePreviewBody, ImportSchedule, ImportScheduleBody, ImportSchedulesBody, ProfileTestsBody,
};
use protocol::api::response::ScheduleBody;
use store::integrations::{self, Integration};
use store::{Transaction, search_lists};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Next times that are shown.
pub const TIMES: usize = 5;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(index))
        .routes(routes!(preview))
        .routes(routes!(show, change))
        .routes(routes!(profile_tests))
}

/// A cadence as a body.
#[must_use]
pub fn cadence_body(cadence: &Cadence) -> CadenceBody {
    match cadence {
        Cadence::Off => CadenceBody { when: "off".to_owned(), ..CadenceBody::default() },
        Cadence::Every { minutes } => {
            CadenceBody { when: "every".to_owned(), minutes: Some(*minutes), ..CadenceBody::default() }
        }
        Cadence::At(recurring) => {
            let schedule = crate::views::runs::schedule(&Schedule::Recurring(recurring.clone()));
            CadenceBody {
                when: "at".to_owned(),
                minutes: None,
                at: schedule.at,
                zone: schedule.zone,
                repeat: schedule.repeat,
            }
        }
    }
}

/// What a body says, checked.
///
/// # Errors
/// 422 under the field `cadence`, with the code of what is wrong.
pub fn cadence(body: &CadenceBody) -> Result<Cadence, Error> {
    let cadence = match body.when.as_str() {
        "off" => Cadence::Off,
        "every" => Cadence::Every { minutes: body.minutes.unwrap_or(0) },
        "at" => {
            let given = ScheduleBody {
                when: "recurring".to_owned(),
                at: body.at.clone(),
                zone: Some(body.zone.clone().unwrap_or_else(|| "UTC".to_owned())),
                window_minutes: None,
                repeat: body.repeat.clone(),
            };
            match runs::schedule(&given)? {
                Schedule::Recurring(recurring) => Cadence::At(recurring),
                Schedule::OnDemand | Schedule::Once { .. } => Cadence::Off,
            }
        }
        _ => return Err(Error::field("cadence", "bad_cadence", "an import comes `off`, `every` or `at`")),
    };
    cadence.validate().map_err(|refusal| Error::field("cadence", refusal.code, refusal.sentence))?;
    Ok(cadence)
}

fn body(row: &Integration, now: Timestamp) -> ImportSchedule {
    let cadence = row.cadence();
    let next = row.next_at.map(|first| {
        // What is due already is still to come.
        let rest = cadence.coming(first.max(now), TIMES - 1);
        std::iter::once(first).chain(rest).collect()
    });
    ImportSchedule {
        kind: row.kind.as_str().to_owned(),
        cadence: cadence_body(&cadence),
        words: cadence.words(),
        next: next.unwrap_or_default(),
        held_since_at: row.held_since_at,
        version: row.version,
    }
}

/// The kind of this word that has a schedule.
///
/// # Errors
/// [`Error::NotFound`].
pub fn kind(word: &str) -> Result<Kind, Error> {
    let known = Kind::parse(word).filter(|kind| Kind::SCHEDULED.contains(kind));
    known.ok_or_else(|| Error::NotFound(format!("schedule of imports {word}")))
}

/// One schedule of an instance; an unknown one is named.
///
/// # Errors
/// [`Error::NotFound`]; `files_only` for an instance without a connection.
pub fn known(tx: &mut Transaction<'_>, instance: InstanceId, kind: Kind) -> Result<Integration, Error> {
    if logic::known(tx, instance)?.files_only() {
        let why = "this integration instance is filled from files; nothing is imported by a schedule";
        return Err(Refusal::new("files_only", why).into());
    }
    Ok(integrations::one(tx, instance, kind)?)
}

/// Change when imports of a kind come; `seen` is the version the caller has seen.
///
/// # Errors
/// 403, 404, 409 `files_only`, 412.
pub async fn set(
    app: &App,
    caller: &Caller,
    (instance, kind): (InstanceId, Kind),
    cadence: Cadence,
    seen: Option<i64>,
) -> Result<Integration, Error> {
    caller.may(Action::IntegrationConfigure, &Record::default())?;
    let (author, now) = (caller.author(), app.clock.now());
    let changed = app.database.try_write(move |tx| {
        let before = known(tx, instance, kind)?;
        if seen.is_some_and(|seen| seen != before.version) {
            return Err(changed_meanwhile());
        }
        integrations::set(tx, &author, (instance, kind), before.version, &cadence, now)?;
        known(tx, instance, kind)
    });
    let changed = changed.await?;
    app.wake.notify("instance", instance.0);
    Ok(changed)
}

type Tagged = ([(HeaderName, HeaderValue); 1], Json<ImportScheduleBody>);

fn tagged(row: &Integration, now: Timestamp) -> Tagged {
    (etag(row.version), Json(ImportScheduleBody { schedule: body(row, now) }))
}

/// List the schedules of an integration instance
///
/// One per kind of import, with the next times.
#[utoipa::path(get, path = "/instances/{id}/schedules", tag = "schedules", params(("id" = i64, Path)),
    responses((status = OK, body = ImportSchedulesBody)))]
async fn index(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<ImportSchedulesBody>, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    let found = app.database.try_read(move |tx| {
        logic::known(tx, InstanceId(id))?;
        Ok::<_, Error>(integrations::of(tx, InstanceId(id))?)
    });
    let (rows, now) = (found.await?, app.clock.now());
    Ok(Json(ImportSchedulesBody { schedules: rows.iter().map(|row| body(row, now)).collect() }))
}

/// Show when imports of a kind come
#[utoipa::path(get, path = "/instances/{id}/schedules/{kind}", tag = "schedules",
    params(("id" = i64, Path), ("kind" = String, Path)), responses((status = OK, body = ImportScheduleBody)))]
async fn show(State(app): State<App>, caller: Caller, Path((id, word)): Path<(i64, String)>) -> Result<Tagged, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    let kind = kind(&word)?;
    let row = app.database.try_read(move |tx| known(tx, InstanceId(id), kind)).await?;
    Ok(tagged(&row, app.clock.now()))
}

/// Change when imports of a kind come
///
/// The next time is counted from now. What waits already still comes.
#[utoipa::path(put, path = "/instances/{id}/schedules/{kind}", tag = "schedules",
    params(("id" = i64, Path), ("kind" = String, Path)), request_body = CadenceBody,
    responses((status = OK, body = ImportScheduleBody), (status = CONFLICT, description = "`files_only`"),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path((id, word)): Path<(i64, String)>,
    IfMatch(seen): IfMatch,
    Json(wanted): Json<CadenceBody>,
) -> Result<Tagged, Error> {
    caller.may(Action::IntegrationConfigure, &Record::default())?;
    let row = set(&app, &caller, (InstanceId(id), kind(&word)?), cadence(&wanted)?, seen).await?;
    Ok(tagged(&row, app.clock.now()))
}

/// Show the next times of a schedule that is not saved
#[utoipa::path(post, path = "/schedules/preview", tag = "schedules", request_body = CadenceBody,
    responses((status = OK, body = CadencePreviewBody)))]
async fn preview(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<CadenceBody>,
) -> Result<Json<CadencePreviewBody>, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    let cadence = cadence(&wanted)?;
    Ok(Json(CadencePreviewBody { words: cadence.words(), next: cadence.coming(app.clock.now(), TIMES) }))
}

/// Show whether an option profile looks for a vulnerability
///
/// A profile may look for the vulnerabilities of some search lists only, or leave lists of them out; a rescan with it says
/// nothing of others.
#[utoipa::path(get, path = "/instances/{id}/option-profiles/{key}/tests/{qid}", tag = "instances",
    params(("id" = i64, Path), ("key" = String, Path), ("qid" = i64, Path)),
    responses((status = OK, body = ProfileTestsBody)))]
async fn profile_tests(
    State(app): State<App>,
    caller: Caller,
    Path((id, key, qid)): Path<(i64, String, i64)>,
) -> Result<Json<ProfileTestsBody>, Error> {
    // Whoever may ask for a rescan chooses among profiles.
    let looks = caller.may(Action::IntegrationsView, &Record::default());
    let asks = Record { assignee: Some(caller.user), ..Record::default() };
    looks.or_else(|_| caller.may(Action::Rescan, &asks))?;
    let found = app.database.try_read(move |tx| {
        logic::known(tx, InstanceId(id))?;
        Ok::<_, Error>(search_lists::tests(tx, InstanceId(id), &key, qid)?)
    });
    let found = found.await?;
    let tests = found.as_str().to_owned();
    let list = if let Tests::No(list) = found { Some(list) } else { None };
    Ok(Json(ProfileTestsBody { tests, list }))
}
