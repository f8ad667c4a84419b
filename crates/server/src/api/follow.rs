//! What follows a job: controls and putting them back, proposed rollbacks, reviews, asset risk, settings.

use crate::app::App;
use crate::engine::follow;
use crate::http::{Caller, Error, ListQuery};
use crate::views::follow as view;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::access::{Action, Record};
use domain::id::AssetId;
use domain::risk::Formula;
use protocol::api::follow as body;
use store::controls::after::{self, ControlLine};
use store::list;
use store::proposals::{self, ProposalRow};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of these nouns.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(controls))
        .routes(routes!(reapply))
        .routes(routes!(list_proposals))
        .routes(routes!(accept))
        .routes(routes!(dismiss))
        .routes(routes!(reviews))
        .routes(routes!(reviewed))
        .routes(routes!(risks))
        .routes(routes!(settings, change_settings))
}

/// List mitigations on assets, in force or that were
///
/// What drifted is `q=is:drifted`; of one asset, `q=asset.id:7`.
#[utoipa::path(get, path = "/controls", tag = "follow-up", params(ListQuery),
    responses((status = OK, body = body::ControlsBody)))]
async fn controls(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<body::ControlsBody>, Error> {
    caller.may(Action::JobsView, &Record::default())?;
    let query = query.of_list(&after::FIELDS, "asset", app.clock.now(), &caller.name)?;
    let scope = caller.scope.clone();
    let read = app.database.try_read(move |tx| {
        Ok::<_, Error>(list::page::<ControlLine>(tx, &after::LIST, after::visible(&scope), &query)?)
    });
    let page = read.await?;
    Ok(Json(body::ControlsBody {
        controls: page.rows.into_iter().map(view::control).collect(),
        next: page.next_cursor,
    }))
}

/// Put a mitigation back that drifted
///
/// Makes a job of its own for this asset and mitigation, and enables it.
#[utoipa::path(post, path = "/controls/{id}/reapply", tag = "follow-up", params(("id" = i64, Path)),
    responses((status = CREATED, body = body::MadeJob)))]
async fn reapply(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<(StatusCode, Json<body::MadeJob>), Error> {
    let job = follow::reapply(&app, &caller, id).await?;
    Ok((StatusCode::CREATED, Json(body::MadeJob { job })))
}

/// List proposed rollbacks
///
/// Undecided ones are `q=is:open`.
#[utoipa::path(get, path = "/proposals", tag = "follow-up", params(ListQuery),
    responses((status = OK, body = body::ProposalsBody)))]
async fn list_proposals(
    State(app): State<App>,
    caller: Caller,
    query: ListQuery,
) -> Result<Json<body::ProposalsBody>, Error> {
    caller.may(Action::JobsView, &Record::default())?;
    let query = query.of_list(&proposals::FIELDS, "-created", app.clock.now(), &caller.name)?;
    let scope = caller.scope.clone();
    let read = app.database.try_read(move |tx| {
        Ok::<_, Error>(list::page::<ProposalRow>(tx, &proposals::LIST, proposals::visible(&scope), &query)?)
    });
    let page = read.await?;
    Ok(Json(body::ProposalsBody {
        proposals: page.rows.into_iter().map(view::proposal).collect(),
        next: page.next_cursor,
    }))
}

/// Accept a proposed rollback
///
/// Makes a draft of a rollback job, to be reviewed and enabled.
#[utoipa::path(post, path = "/proposals/{id}/accept", tag = "follow-up", params(("id" = i64, Path)),
    responses((status = CREATED, body = body::MadeJob)))]
async fn accept(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<(StatusCode, Json<body::MadeJob>), Error> {
    let job = follow::accept(&app, &caller, id).await?;
    Ok((StatusCode::CREATED, Json(body::MadeJob { job })))
}

/// Dismiss a proposed rollback
#[utoipa::path(post, path = "/proposals/{id}/dismiss", tag = "follow-up", params(("id" = i64, Path)),
    request_body = body::Dismissal, responses((status = NO_CONTENT)))]
async fn dismiss(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(given): Json<body::Dismissal>,
) -> Result<StatusCode, Error> {
    follow::dismiss(&app, &caller, id, &given.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List jobs whose review is due
#[utoipa::path(get, path = "/reviews", tag = "follow-up", responses((status = OK, body = body::ReviewsBody)))]
async fn reviews(State(app): State<App>, caller: Caller) -> Result<Json<body::ReviewsBody>, Error> {
    caller.may(Action::JobsView, &Record::default())?;
    let (now, scope) = (app.clock.now(), caller.scope.clone());
    let due = app.database.read(move |tx| after::reviews(tx, now, &scope, false)).await?;
    Ok(Json(body::ReviewsBody { reviews: due.into_iter().map(view::review).collect() }))
}

/// Say that a job was reviewed
#[utoipa::path(post, path = "/reviews/{number}/done", tag = "follow-up", params(("number" = String, Path)),
    request_body = body::Reviewed, responses((status = NO_CONTENT)))]
async fn reviewed(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Json(given): Json<body::Reviewed>,
) -> Result<StatusCode, Error> {
    let next = match given.next.as_deref() {
        None | Some("") => None,
        Some(text) => Some(view::instant(text, "next")?),
    };
    follow::reviewed(&app, &caller, super::jobs::ordinal(&number)?, next).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Show an asset's risk by every formula
#[utoipa::path(get, path = "/assets/{id}/risk", tag = "follow-up", params(("id" = i64, Path)),
    responses((status = OK, body = body::RisksBody)))]
async fn risks(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Json<body::RisksBody>, Error> {
    let read = app.database.try_read(move |tx| {
        let (asset, tags) = super::assets::known(tx, &caller, Action::AssetsView, AssetId(id))?;
        let shown = follow::settings(tx)?.formula;
        let exposed = view::exposed(tx, [(asset.id, asset.criticality, tags.as_slice())])?;
        let exposed = exposed.get(&asset.id).cloned().unwrap_or_default();
        let mut all = Formula::ALL.to_vec();
        all.sort_by_key(|formula| *formula != shown);
        let risks = all.into_iter().map(|formula| view::risk(formula, view::value(formula, &exposed))).collect();
        Ok::<_, Error>(body::RisksBody { risks })
    });
    Ok(Json(read.await?))
}

/// Show the settings of what follows a job
#[utoipa::path(get, path = "/settings/follow-up", tag = "follow-up",
    responses((status = OK, body = body::FollowSettings)))]
async fn settings(State(app): State<App>, caller: Caller) -> Result<Json<body::FollowSettings>, Error> {
    caller.may(Action::JobsView, &Record::default())?;
    let settings = app.database.try_read(follow::settings).await?;
    Ok(Json(view::settings(&settings)))
}

/// Change the settings of what follows a job
#[utoipa::path(put, path = "/settings/follow-up", tag = "follow-up", request_body = body::FollowSettings,
    responses((status = OK, body = body::FollowSettings)))]
async fn change_settings(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<body::FollowSettings>,
) -> Result<Json<body::FollowSettings>, Error> {
    let settings = understood(&given)?;
    Ok(Json(view::settings(&follow::change_settings(&app, &caller, settings).await?)))
}

/// Settings as people write them.
///
/// # Errors
/// 422 for an unknown formula.
pub fn understood(given: &body::FollowSettings) -> Result<follow::Settings, Error> {
    let names: Vec<&str> = Formula::ALL.iter().map(|formula| formula.as_str()).collect();
    let unknown = || Error::field("formula", "unknown_formula", format!("the formula is one of {}", names.join(", ")));
    let formula = Formula::parse(&given.formula).ok_or_else(unknown)?;
    Ok(follow::Settings { check_minutes: given.check_minutes, formula })
}
