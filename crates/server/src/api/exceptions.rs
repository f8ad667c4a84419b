//! Exceptions: requests to put items off or to call them false positives, and the one decision about each.

use super::items;
use crate::app::App;
use crate::engine::exceptions::{self, Asked};
use crate::http::conditional::etag;
use crate::http::{Caller, Error, IfMatch, ListQuery};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use domain::access::Action;
use domain::exception::{self, Kind, State as At};
use domain::time::Timestamp;
use protocol::api::exceptions as body;
use protocol::api::scans::SkippedItem;
use protocol::problem::FieldError;
use store::items::exceptions::{self as requests, Ending, ExceptionRow};
use store::items::settings;
use store::{Transaction, list};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Items of a request in one answer.
const ITEMS_SHOWN: i64 = 100;
/// Items left out that are named.
const LEFT_OUT_NAMED: usize = 50;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(index, create))
        .routes(routes!(show))
        .routes(routes!(decide))
        .routes(routes!(withdraw))
        .routes(routes!(revoke))
}

type Tagged = ([(HeaderName, HeaderValue); 1], Json<body::ExceptionBody>);

/// A request as the API says it.
pub(crate) fn body(row: &ExceptionRow) -> body::Exception {
    body::Exception {
        number: row.number().to_string(),
        kind: row.kind.as_str().to_owned(),
        reason: row.what.as_str().to_owned(),
        note: row.note.clone(),
        until: row.until_at,
        state: row.state.as_str().to_owned(),
        requested_by: row.requester.clone(),
        requested_at: row.requested_at,
        answer_by: row.answer_by_at,
        decided_by: (!row.decider.is_empty()).then(|| row.decider.clone()),
        decided_at: row.decided_at,
        answer: row.answer.clone(),
        items: row.items,
        overtaken: row.overtaken,
    }
}

fn full(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    row: &ExceptionRow,
    now: Timestamp,
) -> Result<(i64, body::ExceptionBody), Error> {
    let rows = requests::items_of(tx, &caller.actor, row, ITEMS_SHOWN)?;
    let items = rows.into_iter().map(|row| items::body(caller, row, now)).collect();
    Ok((row.version, body::ExceptionBody { exception: body(row), items }))
}

/// List exceptions
#[utoipa::path(get, path = "/exceptions", tag = "exceptions", params(ListQuery),
    responses((status = OK, body = body::ExceptionsBody)))]
async fn index(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<body::ExceptionsBody>, Error> {
    caller.may(Action::ItemsView, &caller.own())?;
    let query = query.of_list(&requests::FIELDS, "-number", app.clock.now(), &caller.name)?;
    let page = app.database.try_read(move |tx| {
        list::page::<ExceptionRow>(tx, &requests::LIST, requests::clip(&caller.actor), &query).map_err(Error::from)
    });
    let page = page.await?;
    Ok(Json(body::ExceptionsBody { exceptions: page.rows.iter().map(body).collect(), next: page.next_cursor }))
}

/// Show an exception
#[utoipa::path(get, path = "/exceptions/{number}", tag = "exceptions", params(("number" = String, Path)),
    responses((status = OK, body = body::ExceptionBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(number): Path<String>) -> Result<Tagged, Error> {
    let now = app.clock.now();
    let shown = app.database.try_read(move |tx| {
        let row = exceptions::known(tx, &caller, Action::ItemsView, &number)?;
        full(tx, &caller, &row, now)
    });
    let (version, body) = shown.await?;
    Ok((etag(version), Json(body)))
}

/// Ask for an exception of these items, or of those that match; what it cannot be asked for is left out.
///
/// # Errors
/// 403; 409 with the first reason where all items are left out; 422 for fields that are not acceptable.
pub(crate) async fn ask(app: &App, caller: &Caller, new: body::NewException) -> Result<Asked, Error> {
    caller.may(Action::ExceptionRequest, &caller.own())?;
    let now = app.clock.now();
    let days_max = app.database.read(settings::exception_days_max).await?;
    let wanted = exception::wanted(&new.kind, &new.reason, &new.note, new.until, days_max, now).map_err(|wrong| {
        Error::Invalid(wrong.into_iter().map(|(field, code, why)| FieldError::new(field, code, why)).collect())
    })?;
    let numbers = match new.q.as_deref().filter(|_| new.items.is_empty()) {
        Some(q) => items::matching(app, caller, q, exception::ITEMS_MAX).await?,
        None => new.items,
    };
    let (asker, mails) = (caller.clone(), app.mailer.is_some());
    let asked = app.database.try_write(move |tx| {
        let judged = items::all_judged(tx, &asker, Action::ExceptionRequest, &numbers)?;
        exceptions::ask(tx, &asker, &wanted, judged, mails, now)
    });
    let asked = asked.await?;
    app.wake.notify("item", 0);
    app.wake.notify("mail", 0);
    Ok(asked)
}

/// Ask for an exception
///
/// The items are in review until somebody else decides. Those that it cannot be asked for are left out, each with its reason; where
/// that is all of them, nothing is done.
#[utoipa::path(post, path = "/exceptions", tag = "exceptions", request_body = body::NewException,
    responses((status = CREATED, body = body::AskedBody), (status = CONFLICT,
    description = "`exception_open`, `item_closed`, `resolved`, `deferred`, `not_assigned`")))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<body::NewException>,
) -> Result<(StatusCode, Json<body::AskedBody>), Error> {
    let Asked { row, left_out } = ask(&app, &caller, new).await?;
    let left_out_count = i64::try_from(left_out.len()).unwrap_or(i64::MAX);
    let named = left_out.into_iter().take(LEFT_OUT_NAMED);
    let left_out =
        named.map(|one| SkippedItem { item: one.item, host: None, code: one.code, reason: one.reason }).collect();
    Ok((StatusCode::CREATED, Json(body::AskedBody { exception: body(&row), left_out, left_out_count })))
}

/// Approve or reject a request: who asked never does, and nothing is decided twice.
///
/// # Errors
/// 403 `partly_out_of_scope` and missing roles, 409 `own_request` and `exception_decided`, 412 where it changed meanwhile, 422.
pub(crate) async fn answer(
    app: &App,
    caller: &Caller,
    number: String,
    given: body::Decision,
    seen: IfMatch,
) -> Result<(i64, body::ExceptionBody), Error> {
    let (caller, now, mails) = (caller.clone(), app.clock.now(), app.mailer.is_some());
    let done = app.database.try_write(move |tx| {
        let row = exceptions::known(tx, &caller, Action::ExceptionDecide, &number)?;
        exception::may_decide(row.state, row.requested_by, caller.user)?;
        seen.check(row.version)?;
        let said = said(&given.answer, given.approve)?;
        let until = if given.approve {
            granted_until(&row, given.until, settings::exception_days_max(tx)?, now)?
        } else {
            row.until_at
        };
        let to = if given.approve { At::Approved } else { At::Rejected };
        let author = caller.author();
        let ending = Ending { to, until, answer: &said, by: Some(caller.user), author: &author };
        exceptions::end(tx, &row, &ending, mails, now)?;
        let row = requests::one(tx, &caller.actor, row.number)?;
        full(tx, &caller, &row, now)
    });
    let done = done.await?;
    app.wake.notify("item", 0);
    app.wake.notify("mail", 0);
    Ok(done)
}

fn said(answer: &str, may_be_empty: bool) -> Result<String, Error> {
    if may_be_empty && answer.trim().is_empty() {
        return Ok(String::new());
    }
    exception::note(answer).map_err(|why| Error::field("answer", "bad_note", why))
}

/// Until when it is granted: a deferral as it was asked for, a false positive as who decides says.
fn granted_until(
    row: &ExceptionRow,
    given: Option<Timestamp>,
    days_max: i64,
    now: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let until = match (row.kind, given) {
        (Kind::Deferral, Some(_)) => {
            let why = "a deferral is granted until the time that was asked for, or rejected";
            return Err(Error::field("until", "not_wanted", why));
        }
        (Kind::Deferral, None) => row.until_at,
        (Kind::FalsePositive, given) => given,
    };
    if let Some(until) = until {
        exception::end(until, days_max, now).map_err(|(field, code, why)| Error::field(field, code, why))?;
    }
    Ok(until)
}

/// Approve or reject a request
///
/// Its items go on at once: deferred, closed as false positives, or what they were before. Send `If-Match` to decide only about
/// what you have seen.
#[utoipa::path(post, path = "/exceptions/{number}/decision", tag = "exceptions", params(("number" = String, Path)),
    request_body = body::Decision, responses((status = OK, body = body::ExceptionBody), (status = CONFLICT,
    description = "`own_request`, `exception_decided`"), (status = PRECONDITION_FAILED,
    description = "`changed_meanwhile`")))]
async fn decide(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
    Json(given): Json<body::Decision>,
) -> Result<Tagged, Error> {
    let (version, body) = answer(&app, &caller, number, given, seen).await?;
    Ok((etag(version), Json(body)))
}

/// Take a request back before it is decided: its items are what they were.
///
/// # Errors
/// 409 `not_your_request`, `exception_decided`.
pub(crate) async fn take_back(app: &App, caller: &Caller, number: String) -> Result<(i64, body::ExceptionBody), Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    let done = app.database.try_write(move |tx| {
        let row = exceptions::known(tx, &caller, Action::ItemsView, &number)?;
        // A token that only reads must not take anything back, and whoever lost the role keeps nothing of it.
        caller.may(Action::ExceptionRequest, &caller.own())?;
        exception::may_withdraw(row.state, row.requested_by, caller.user)?;
        let author = caller.author();
        let ending =
            Ending { to: At::Withdrawn, until: row.until_at, answer: "", by: Some(caller.user), author: &author };
        exceptions::end(tx, &row, &ending, false, now)?;
        let row = requests::one(tx, &caller.actor, row.number)?;
        full(tx, &caller, &row, now)
    });
    let done = done.await?;
    app.wake.notify("item", 0);
    Ok(done)
}

/// Withdraw a request
#[utoipa::path(post, path = "/exceptions/{number}/withdraw", tag = "exceptions", params(("number" = String, Path)),
    responses((status = OK, body = body::ExceptionBody), (status = CONFLICT,
    description = "`not_your_request`, `exception_decided`")))]
async fn withdraw(State(app): State<App>, caller: Caller, Path(number): Path<String>) -> Result<Tagged, Error> {
    let (version, body) = take_back(&app, &caller, number).await?;
    Ok((etag(version), Json(body)))
}

/// Revoke a false positive that was granted: its items are as their detections say.
///
/// # Errors
/// 403, 409 `not_approved` and `reopen_items`, 412 where it changed meanwhile, 422.
pub(crate) async fn undo(
    app: &App,
    caller: &Caller,
    number: String,
    answer: String,
    seen: IfMatch,
) -> Result<(i64, body::ExceptionBody), Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    let done = app.database.try_write(move |tx| {
        let row = exceptions::known(tx, &caller, Action::ExceptionDecide, &number)?;
        exception::may_revoke(row.kind, row.state)?;
        seen.check(row.version)?;
        let answer = said(&answer, false)?;
        requests::revoke(tx, &row, &caller.author(), &answer, now)?;
        let row = requests::one(tx, &caller.actor, row.number)?;
        full(tx, &caller, &row, now)
    });
    let done = done.await?;
    app.wake.notify("item", 0);
    Ok(done)
}

/// Revoke a false positive
#[utoipa::path(post, path = "/exceptions/{number}/revoke", tag = "exceptions", params(("number" = String, Path)),
    request_body = body::Revocation, responses((status = OK, body = body::ExceptionBody), (status = CONFLICT,
    description = "`not_approved`, `reopen_items`")))]
async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
    Json(given): Json<body::Revocation>,
) -> Result<Tagged, Error> {
    let (version, body) = undo(&app, &caller, number, given.answer, seen).await?;
    Ok((etag(version), Json(body)))
}
