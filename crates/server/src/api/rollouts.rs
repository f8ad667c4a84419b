//! How the runs of a job spread over its assets: policy, waves, halts.

use super::jobs::ordinal;
use crate::app::App;
use crate::engine::rollouts::{self, Asked};
use crate::http::{Caller, Error};
use axum::Json;
use axum::extract::{Path, State};
use protocol::api::rollout as body;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(halt)).routes(routes!(resume)).routes(routes!(promote))
}

/// Show how a job's runs spread over its assets
///
/// The policy of the next run, and of every run its waves with what their gates say.
#[utoipa::path(get, path = "/jobs/{number}/rollout", operation_id = "rollout_show", tag = "jobs",
    params(("number" = String, Path)), responses((status = OK, body = body::RolloutBody)))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<body::RolloutBody>, Error> {
    let number = ordinal(&number)?;
    let body = app.database.try_read(move |tx| {
        let job = crate::engine::jobs::load(tx, &caller, number)?;
        rollouts::body(tx, &caller, &job)
    });
    Ok(Json(body.await?))
}

/// Halt the run of a job
///
/// Nothing more starts, except what holds a permit already. Needs a reason.
#[utoipa::path(post, path = "/jobs/{number}/run/halt", operation_id = "run_halt", tag = "jobs",
    params(("number" = String, Path)), request_body = body::RunHalt,
    responses((status = OK, body = body::RolloutBody)))]
async fn halt(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Json(request): Json<body::RunHalt>,
) -> Result<Json<body::RolloutBody>, Error> {
    Ok(Json(rollouts::act(&app, &caller, ordinal(&number)?, Asked::Halt(request.reason)).await?))
}

/// Resume a halted run
#[utoipa::path(post, path = "/jobs/{number}/run/resume", operation_id = "run_resume", tag = "jobs",
    params(("number" = String, Path)), responses((status = OK, body = body::RolloutBody)))]
async fn resume(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<body::RolloutBody>, Error> {
    Ok(Json(rollouts::act(&app, &caller, ordinal(&number)?, Asked::Resume).await?))
}

/// Open the next wave of a run, whatever its gate says
#[utoipa::path(post, path = "/jobs/{number}/run/promote", operation_id = "run_promote", tag = "jobs",
    params(("number" = String, Path)), responses((status = OK, body = body::RolloutBody)))]
async fn promote(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<body::RolloutBody>, Error> {
    Ok(Json(rollouts::act(&app, &caller, ordinal(&number)?, Asked::Promote).await?))
}
