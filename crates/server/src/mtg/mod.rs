//! `/mtg/v1`: the mitigation API that scripts written for Qualys speak, over the same engine as everything else
//! (spec mitigation-jobs.md section 6; the calls and where they differ: `docs/mtg-api.md`).
//!
//! Nothing is decided here: bodies are translated, ids are UUIDs made from our keys, times have both of the forms that
//! Qualys uses, errors have its shape. Only one rule is this API's own: it refuses to disable an enabled job that does
//! not recur (R7), as scripts expect. Sessions are not accepted, only tokens: no browser has business here.

mod auth;
mod bodies;
mod catalogue;
mod errors;
mod find;
mod ids;
mod jobs;
mod results;
mod targets;
mod times;

use crate::app::App;
use crate::http::limits;
use crate::http::router::bounded;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::{any, get, patch, post};

/// The id of an asset in this API.
#[must_use]
pub fn asset_id(key: i64) -> uuid::Uuid {
    ids::of(ids::Kind::Asset, key)
}

/// The routes, with their bounds and the shape of their errors.
pub fn routes() -> Router<App> {
    let absent = || any(async || StatusCode::NOT_FOUND);
    let routes = Router::new()
        .route("/auth", post(auth::sign_in))
        .route("/mtg/v1/deploymentjob", post(jobs::create))
        .route("/mtg/v1/deploymentjob/{id}", patch(jobs::edit).get(jobs::show))
        .route("/mtg/v1/deploymentjobs", get(jobs::list).delete(jobs::delete))
        .route("/mtg/v1/deploymentjobs/update/status/{status}", post(jobs::set_status))
        .route("/mtg/v1/deploymentjob/{id}/deploymentjobresult/summary", post(results::summary).get(results::summary))
        .route("/mtg/v1/deploymentjob/{id}/deploymentjobresult/actions", post(results::actions))
        .route("/mtg/v1/vulnerabilities/mitigations", post(catalogue::by_qid))
        .route("/mtg/v1/mitigations", get(catalogue::all))
        .route("/pm/v1/report/mitigationjobprogress/{id}", post(results::report))
        .route("/mtg/{*rest}", absent())
        .route("/pm/{*rest}", absent());
    bounded(routes, limits::REQUEST_TIME_MAX, limits::BODY_BYTES_MAX).layer(from_fn(errors::shape))
}
