//! Approval of runs by a second person, and dry runs of jobs.

use crate::api::jobs::ordinal;
use crate::app::App;
use crate::engine::approvals::{self, Seen};
use crate::engine::{dry_run, jobs};
use crate::http::{Caller, Error, ListQuery};
use crate::views;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use domain::access::{Action, Record};
use domain::approval::{Policy, State as At};
use protocol::api::response as body;
use serde::Deserialize;
use store::approvals::{ApprovalRow, LIST, within};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(policy, set_policy))
        .routes(routes!(show))
        .routes(routes!(sign))
        .routes(routes!(reject))
        .routes(routes!(of_job))
        .routes(routes!(dry_run, begin_dry_run))
}

/// What the list of requests is asked for: in which state, besides what every list is.
#[derive(Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
struct ApprovalsQuery {
    /// Only those in this state: `pending`, `approved`, `rejected`, `void` or `expired`.
    state: String,
    /// A condition in the query language: `class:3`, `asker:ada`.
    q: String,
    /// The column to sort by, with `-` in front for the other direction; the newest first when absent.
    sort: String,
    /// Records in the page, 1 to 500; 100 when absent.
    limit: Option<i64>,
    /// Where to go on: `next` of the page before.
    cursor: Option<String>,
}

/// The order where nobody says how to sort.
pub const NEWEST_FIRST: &str = "-";

/// A state by its word; none for an empty one.
///
/// # Errors
/// 422 `state` for any other.
pub fn state(word: &str) -> Result<Option<At>, Error> {
    let unknown = || Error::field("state", "unknown_state", format!("`{word}` is no state of an approval"));
    if word.is_empty() { Ok(None) } else { At::parse(word).map(Some).ok_or_else(unknown) }
}

async fn full(app: &App, caller: &Caller, seen: Seen) -> Result<Json<body::ApprovalBody>, Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    let approval = app.database.try_read(move |tx| views::approvals::approval(tx, &caller, &seen, now)).await?;
    Ok(Json(body::ApprovalBody { approval }))
}

/// List requests for an approval, newest first
#[utoipa::path(get, path = "/approvals", tag = "approvals", params(ApprovalsQuery),
    responses((status = OK, body = body::ApprovalsBody)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ApprovalsQuery>,
) -> Result<Json<body::ApprovalsBody>, Error> {
    caller.may(Action::JobsView, &Record::default())?;
    let ApprovalsQuery { state: word, q, sort, limit, cursor } = query;
    let list = ListQuery { q, sort, limit, cursor };
    let query = list.of_list(&store::approvals::FIELDS, NEWEST_FIRST, app.clock.now(), &caller.name)?;
    let clip = within(state(&word)?, &caller.scope);
    let read = app
        .database
        .try_read(move |tx| Ok::<_, Error>(store::list::page::<ApprovalRow>(tx, &LIST, clip.clone(), &query)?));
    let page = read.await?;
    let approvals = page.rows.iter().map(views::approvals::summary).collect();
    Ok(Json(body::ApprovalsBody { approvals, next: page.next_cursor }))
}

/// Show from which class on a second person is asked
#[utoipa::path(get, path = "/approvals/policy", tag = "approvals", responses((status = OK, body = body::ApprovalPolicy)))]
async fn policy(State(app): State<App>, caller: Caller) -> Result<Json<body::ApprovalPolicy>, Error> {
    caller.may(Action::JobsView, &Record::default())?;
    let policy = app.database.try_read(approvals::policy).await?;
    Ok(Json(body::ApprovalPolicy { from_class: policy.from_class }))
}

/// Set from which class on a second person is asked
///
/// It can be lowered to 1 and not raised above 2: from there on agents insist.
#[utoipa::path(put, path = "/approvals/policy", tag = "approvals", request_body = body::ApprovalPolicy,
    responses((status = OK, body = body::ApprovalPolicy)))]
async fn set_policy(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<body::ApprovalPolicy>,
) -> Result<Json<body::ApprovalPolicy>, Error> {
    let policy = approvals::set_policy(&app, &caller, Policy { from_class: wanted.from_class }).await?;
    Ok(Json(body::ApprovalPolicy { from_class: policy.from_class }))
}

/// Show a request with its plan
#[utoipa::path(get, path = "/approvals/{id}", tag = "approvals", params(("id" = i64, Path)),
    responses((status = OK, body = body::ApprovalBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Json<body::ApprovalBody>, Error> {
    let asker = caller.clone();
    let seen = app.database.try_read(move |tx| approvals::load(tx, &asker, id)).await?;
    full(&app, &caller, seen).await
}

/// Show the newest request of a job
#[utoipa::path(get, path = "/jobs/{number}/approval", tag = "approvals", params(("number" = String, Path)),
    responses((status = OK, body = body::ApprovalBody)))]
async fn of_job(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<body::ApprovalBody>, Error> {
    let (asker, ordinal) = (caller.clone(), ordinal(&number)?);
    let seen = app.database.try_read(move |tx| {
        let job = jobs::load(tx, &asker, ordinal)?;
        let row = store::approvals::of_job(tx, job.row.id)?;
        let row = row.ok_or_else(|| Error::NotFound(format!("approval of {number}: it needs none")))?;
        approvals::load(tx, &asker, row.id)
    });
    full(&app, &caller, seen.await?).await
}

/// Sign a request
///
/// The envelope holds exactly the request's manifest, signed by a key of the root's organisation role. With as many keys as
/// the root demands the run goes on.
#[utoipa::path(post, path = "/approvals/{id}/sign", tag = "approvals", params(("id" = i64, Path)),
    request_body = body::ApprovalSign, responses((status = OK, body = body::ApprovalBody)))]
async fn sign(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(signed): Json<body::ApprovalSign>,
) -> Result<Json<body::ApprovalBody>, Error> {
    let seen = approvals::sign(&app, &caller, id, signed.envelope).await?;
    full(&app, &caller, seen).await
}

/// Reject a request
///
/// Its run is taken back and the job disabled.
#[utoipa::path(post, path = "/approvals/{id}/reject", tag = "approvals", params(("id" = i64, Path)),
    request_body = body::ApprovalReject, responses((status = OK, body = body::ApprovalBody)))]
async fn reject(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(wanted): Json<body::ApprovalReject>,
) -> Result<Json<body::ApprovalBody>, Error> {
    let seen = approvals::reject(&app, &caller, id, wanted.reason).await?;
    full(&app, &caller, seen).await
}

/// Show what a job's newest dry run said
#[utoipa::path(get, path = "/jobs/{number}/dry-run", tag = "jobs", params(("number" = String, Path)),
    responses((status = OK, body = body::DryRunBody)))]
async fn dry_run(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<body::DryRunBody>, Error> {
    said(&app, &caller, &number).await.map(Json)
}

async fn said(app: &App, caller: &Caller, number: &str) -> Result<body::DryRunBody, Error> {
    let (asker, ordinal) = (caller.clone(), ordinal(number)?);
    let said = app.database.try_read(move |tx| {
        let job = jobs::load(tx, &asker, ordinal)?;
        views::approvals::dry_run(tx, &asker, &job)
    });
    said.await
}

/// Run a job dry
///
/// Every agent says what it would change; nothing is changed, and the job does not start. A draft, a disabled job, or one
/// that has not started.
#[utoipa::path(post, path = "/jobs/{number}/dry-run", tag = "jobs", params(("number" = String, Path)),
    responses((status = ACCEPTED, body = body::DryRunBody)))]
async fn begin_dry_run(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<(StatusCode, Json<body::DryRunBody>), Error> {
    dry_run::begin(&app, &caller, ordinal(&number)?).await?;
    Ok((StatusCode::ACCEPTED, Json(said(&app, &caller, &number).await?)))
}
