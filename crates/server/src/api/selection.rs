//! What a free-standing job would choose, and what one chooses now.

use super::jobs::ordinal;
use crate::app::App;
use crate::engine::jobs;
use crate::engine::selection::{self as engine, Asked, Plan};
use crate::http::{Caller, Error};
use crate::views;
use axum::Json;
use axum::extract::{Path, State};
use domain::access::{Action, Record};
use domain::asset::Platform;
use protocol::api::selection::{SelectionBody, SelectionTrial};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(selection_try)).routes(routes!(selection_show))
}

/// Try a selection
///
/// Makes nothing: says who would be in, who is left out and why, and what can be done there.
#[utoipa::path(post, path = "/selection", tag = "jobs", request_body = SelectionTrial,
    responses((status = OK, body = SelectionBody)))]
async fn selection_try(
    State(app): State<App>,
    caller: Caller,
    Json(trial): Json<SelectionTrial>,
) -> Result<Json<SelectionBody>, Error> {
    caller.may(Action::JobCreate, &Record::owned_by(caller.user))?;
    let platform = Platform::parse(&trial.platform);
    let choose = trial.choose.as_ref().map(views::selection::choose).unwrap_or_default();
    let plan = Plan { selection: views::selection::read(&trial.selection)?, choose };
    let (scopes, now) = ([caller.scope.clone()], app.clock.now());
    let read = app.database.try_read(move |tx| {
        let asked = Asked { platform, scopes: &scopes, lenient: false, now };
        let resolved = engine::resolve(tx, &plan, &asked)?;
        views::selection::body(tx, &plan, platform, &resolved)
    });
    Ok(Json(read.await?))
}

/// Show what a free-standing job comes to now
///
/// Inside the caller's scope. What a job does is what its assets and actions say; this is what choosing anew would give.
#[utoipa::path(get, path = "/jobs/{number}/selection", tag = "jobs", params(("number" = String, Path)),
    responses((status = OK, body = SelectionBody)))]
async fn selection_show(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<SelectionBody>, Error> {
    let (number, now) = (ordinal(&number)?, app.clock.now());
    let read = app.database.try_read(move |tx| {
        let job = jobs::load(tx, &caller, number)?;
        let scopes = [caller.scope.clone()];
        domain::job::chooses(job.row.origin == "free")?;
        let (plan, _) = engine::plan(tx, &job.row)?.unwrap_or_default();
        let asked = Asked { platform: job.row.platform, scopes: &scopes, lenient: true, now };
        let resolved = engine::resolve(tx, &plan, &asked)?;
        views::selection::body(tx, &plan, job.row.platform, &resolved)
    });
    Ok(Json(read.await?))
}
