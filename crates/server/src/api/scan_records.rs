//! Rescans of what a remediation task or an effort holds (S2.05, S2.06, S2.09).

use super::scans::{ask, choice};
use crate::app::App;
use crate::engine::rescan::{self, Request, Source};
use crate::http::{Caller, Error};
use crate::views;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use domain::number::{Number, Series};
use protocol::api::scans as body;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(offer_of_task, rescan_task)).routes(routes!(offer_of_effort, rescan_effort))
}

/// Which items of a record are asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct Eligible {
    /// Leave out the items of other products instead of refusing them all.
    pub eligible_only: bool,
}

/// The number of a record in a path.
///
/// # Errors
/// Not found for anything that is no number of the series.
pub(crate) fn number(series: Series, text: &str) -> Result<Number, Error> {
    let noun = if series == Series::Effort { "effort" } else { "remediation task" };
    let number = text.parse::<Number>().ok().filter(|number| number.series == series);
    number.ok_or_else(|| Error::NotFound(format!("{noun} {text}")))
}

async fn offer(app: App, caller: Caller, record: Number, eligible_only: bool) -> Result<Json<body::OfferBody>, Error> {
    let offer = app.database.try_read(move |tx| rescan::offer_of_record(tx, &caller, record, eligible_only));
    Ok(Json(views::scans::offer(offer.await?)))
}

type Asked = (StatusCode, Json<body::RequestedBody>);

async fn rescan(app: App, caller: Caller, record: Number, request: body::RescanRequest) -> Result<Asked, Error> {
    let (profile, mail) = (choice(request.profile), request.mail.unwrap_or(true));
    let source = Source::Record(record);
    ask(&app, &caller, Request { source, profile, eligible_only: request.eligible_only, seen: None, mail }).await
}

/// Show whether and how what is open in a remediation task can be rescanned
#[utoipa::path(get, path = "/tasks/{number}/rescan", tag = "scans", params(("number" = String, Path), Eligible),
    responses((status = OK, body = body::OfferBody)))]
async fn offer_of_task(
    State(app): State<App>,
    caller: Caller,
    Path(text): Path<String>,
    Query(Eligible { eligible_only }): Query<Eligible>,
) -> Result<Json<body::OfferBody>, Error> {
    offer(app, caller, number(Series::RemediationTask, &text)?, eligible_only).await
}

/// Rescan what is open in a remediation task
///
/// Who works on the task may. Closed items and those that cannot be scanned are left out, each with its reason; items of other
/// products refuse it, unless `eligible_only` leaves them out, too.
#[utoipa::path(post, path = "/tasks/{number}/rescan", tag = "scans", params(("number" = String, Path)),
    request_body = body::RescanRequest, responses((status = CREATED, body = body::RequestedBody),
    (status = OK, body = body::RequestedBody), (status = CONFLICT, description = "as of an item; `record_closed`, \
    `mixed_sources`, `no_qualys_item`, `nothing_open`, `too_many_items`")))]
async fn rescan_task(
    State(app): State<App>,
    caller: Caller,
    Path(text): Path<String>,
    Json(request): Json<body::RescanRequest>,
) -> Result<Asked, Error> {
    rescan(app, caller, number(Series::RemediationTask, &text)?, request).await
}

/// Show whether and how what is open in an effort can be rescanned
#[utoipa::path(get, path = "/efforts/{number}/rescan", tag = "scans", params(("number" = String, Path), Eligible),
    responses((status = OK, body = body::OfferBody)))]
async fn offer_of_effort(
    State(app): State<App>,
    caller: Caller,
    Path(text): Path<String>,
    Query(Eligible { eligible_only }): Query<Eligible>,
) -> Result<Json<body::OfferBody>, Error> {
    offer(app, caller, number(Series::Effort, &text)?, eligible_only).await
}

/// Rescan what is open in an effort
///
/// Whoever leads it may. Closed items and those that cannot be scanned are left out, each with its reason; items of other products
/// refuse it, unless `eligible_only` leaves them out, too.
#[utoipa::path(post, path = "/efforts/{number}/rescan", tag = "scans", params(("number" = String, Path)),
    request_body = body::RescanRequest, responses((status = CREATED, body = body::RequestedBody),
    (status = OK, body = body::RequestedBody), (status = CONFLICT, description = "as of an item; `record_closed`, \
    `mixed_sources`, `no_qualys_item`, `nothing_open`, `too_many_items`")))]
async fn rescan_effort(
    State(app): State<App>,
    caller: Caller,
    Path(text): Path<String>,
    Json(request): Json<body::RescanRequest>,
) -> Result<Asked, Error> {
    rescan(app, caller, number(Series::Effort, &text)?, request).await
}
