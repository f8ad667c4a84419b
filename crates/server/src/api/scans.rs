//! Rescans: may an item be rescanned, ask for it, follow it, call it off.

use super::items::matching;
use super::{assets, items, scan_records};
use crate::app::App;
use crate::engine::rescan::{self, Pace, ProfileChoice, Request, Retry, Rules, Source};
use crate::http::conditional::etag;
use crate::http::{Caller, Error, IfMatch, ListQuery};
use crate::views;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use domain::access::{Action, Record};
use domain::id::{AssetId, InstanceId};
use domain::number::{Number, Series};
use domain::rescan::ITEMS_MAX;
use protocol::api::scans as body;
use serde::Deserialize;
use store::scans;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(offer, rescan))
        .routes(routes!(offer_of_asset, rescan_asset))
        .routes(routes!(preview))
        .routes(routes!(index, create))
        .routes(routes!(show))
        .routes(routes!(report))
        .routes(routes!(cancel))
        .routes(routes!(retry))
        .routes(routes!(pace, set_pace))
        .routes(routes!(rules, set_rules))
        .routes(routes!(policy, set_policy))
}

/// A scan's ordinal from its number in a path.
///
/// # Errors
/// Not found for anything that is no scan number.
pub fn ordinal(number: &str) -> Result<i64, Error> {
    match number.parse::<Number>() {
        Ok(Number { series: Series::Scan, ordinal }) => Ok(ordinal),
        _ => Err(Error::NotFound(format!("scan {number}"))),
    }
}

/// Show whether and how an item can be rescanned
#[utoipa::path(get, path = "/items/{number}/rescan", tag = "scans", params(("number" = String, Path)),
    responses((status = OK, body = body::OfferBody)))]
async fn offer(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<body::OfferBody>, Error> {
    let offer = app.database.try_read(move |tx| {
        let item = items::known(tx, &caller, Action::ItemsView, &number)?;
        Ok::<_, Error>(rescan::offer(tx, &caller, item.number)?)
    });
    Ok(Json(views::scans::offer(offer.await?)))
}

pub(super) fn choice(profile: Option<String>) -> ProfileChoice {
    match profile.filter(|profile| !profile.is_empty()) {
        Some(profile) => ProfileChoice::Named(profile),
        None => ProfileChoice::Default,
    }
}

pub(super) async fn ask(
    app: &App,
    caller: &Caller,
    request: Request,
) -> Result<(StatusCode, Json<body::RequestedBody>), Error> {
    let requested = rescan::request(app, caller, request).await?;
    let status = if requested.new { StatusCode::CREATED } else { StatusCode::OK };
    let asker = caller.clone();
    let body = app.database.try_read(move |tx| views::scans::requested(tx, &asker, &requested)).await?;
    Ok((status, Json(body)))
}

/// Rescan an item
///
/// Gives the request that looks at it: a new one, or with 200 the open one that does already.
#[utoipa::path(post, path = "/items/{number}/rescan", tag = "scans", params(("number" = String, Path)),
    request_body = body::RescanRequest, responses((status = CREATED, body = body::RequestedBody),
    (status = OK, body = body::RequestedBody), (status = CONFLICT, description = "`scanner_inactive`, \
    `source_not_supported`, `source_not_connected`, `source_not_stamped`, `record_closed`, `nothing_to_scan`, \
    `no_default_profile`")))]
async fn rescan(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Json(request): Json<body::RescanRequest>,
) -> Result<(StatusCode, Json<body::RequestedBody>), Error> {
    let asker = caller.clone();
    let item = app.database.try_read(move |tx| items::known(tx, &asker, Action::ItemsView, &number)).await?;
    let (profile, mail) = (choice(request.profile), request.mail.unwrap_or(true));
    let source = Source::Items(vec![item.number()]);
    ask(&app, &caller, Request { source, profile, eligible_only: false, seen: None, mail }).await
}

/// Show whether and how what is open on an asset can be rescanned
#[utoipa::path(get, path = "/assets/{id}/rescan", tag = "scans", params(("id" = i64, Path)),
    responses((status = OK, body = body::OfferBody)))]
async fn offer_of_asset(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<body::OfferBody>, Error> {
    let offer = app.database.try_read(move |tx| {
        assets::known(tx, &caller, Action::AssetsView, AssetId(id))?;
        Ok::<_, Error>(rescan::offer_of_asset(tx, &caller, AssetId(id))?)
    });
    Ok(Json(views::scans::offer(offer.await?)))
}

/// Rescan what is open on an asset
///
/// Items that the caller may not rescan are left out, each with its reason.
#[utoipa::path(post, path = "/assets/{id}/rescan", tag = "scans", params(("id" = i64, Path)),
    request_body = body::RescanRequest, responses((status = CREATED, body = body::RequestedBody),
    (status = OK, body = body::RequestedBody), (status = CONFLICT, description = "as of an item; `nothing_open`, \
    `too_many_items`")))]
async fn rescan_asset(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(request): Json<body::RescanRequest>,
) -> Result<(StatusCode, Json<body::RequestedBody>), Error> {
    let source = asset(&app, &caller, id).await?;
    let (profile, mail) = (choice(request.profile), request.mail.unwrap_or(true));
    ask(&app, &caller, Request { source, profile, eligible_only: true, seen: None, mail }).await
}

async fn asset(app: &App, caller: &Caller, id: i64) -> Result<Source, Error> {
    let asker = caller.clone();
    app.database.try_read(move |tx| assets::known(tx, &asker, Action::AssetsView, AssetId(id))).await?;
    Ok(Source::Asset(AssetId(id)))
}

/// List rescans
#[utoipa::path(get, path = "/scans", tag = "scans", params(ListQuery), responses((status = OK, body = body::ScansBody)))]
async fn index(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<body::ScansBody>, Error> {
    caller.may(Action::ScansView, &Record::default())?;
    let query = query.of_list(&scans::FIELDS, "-number", app.clock.now(), &caller.name)?;
    let page = app.database.try_read(move |tx| views::scans::list(tx, &caller, &query)).await?;
    Ok(Json(body::ScansBody { scans: page.rows, next: page.next_cursor }))
}

/// Show what a rescan would do
///
/// The same body as for asking, and the same refusals; nothing is written.
#[utoipa::path(post, path = "/scans/preview", tag = "scans", request_body = body::NewScan,
    responses((status = OK, body = body::PlanBody)))]
async fn preview(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<body::NewScan>,
) -> Result<Json<body::PlanBody>, Error> {
    let request = wanted(&app, &caller, new).await?;
    let plan = rescan::preview(&app, &caller, request).await?;
    Ok(Json(body::PlanBody { plan: views::scans::plan(&plan) }))
}

/// Rescan several items
///
/// Those of `items`, all that match `q`, or what is open on an `asset` or in a `task` or an `effort`. All of them have to be open
/// and from an active scanner; `eligible_only` leaves the others out, as `asset`, `task` and `effort` do, of which the latter two
/// still refuse items of other products without it.
#[utoipa::path(post, path = "/scans", tag = "scans", request_body = body::NewScan,
    responses((status = CREATED, body = body::RequestedBody), (status = OK, body = body::RequestedBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<body::NewScan>,
) -> Result<(StatusCode, Json<body::RequestedBody>), Error> {
    let request = wanted(&app, &caller, new).await?;
    ask(&app, &caller, request).await
}

/// What a body asks for.
async fn wanted(app: &App, caller: &Caller, new: body::NewScan) -> Result<Request, Error> {
    let record = match (new.task.as_deref(), new.effort.as_deref()) {
        (None, None) => None,
        (Some(task), None) => Some(scan_records::number(Series::RemediationTask, task)?),
        (None, Some(effort)) => Some(scan_records::number(Series::Effort, effort)?),
        (Some(_), Some(_)) => return Err(one_source()),
    };
    let source = match (new.items.as_slice(), new.q.as_deref(), new.asset, record) {
        (_, None, None, None) => Source::Items(numbers(&new.items)?),
        ([], Some(q), None, None) => Source::Items(numbers(&matching(app, caller, q, ITEMS_MAX).await?)?),
        ([], None, Some(id), None) => asset(app, caller, id).await?,
        ([], None, None, Some(record)) => Source::Record(record),
        _ => return Err(one_source()),
    };
    let (profile, mail) = (choice(new.profile), new.mail.unwrap_or(true));
    Ok(Request { source, profile, eligible_only: new.eligible_only, seen: new.plan, mail })
}

fn one_source() -> Error {
    Error::field("items", "one_source", "give one of items, q, asset, task and effort")
}

fn numbers(items: &[String]) -> Result<Vec<Number>, Error> {
    let number = |text: &String| match text.parse::<Number>() {
        Ok(number) if number.series == Series::Item => Ok(number),
        _ => Err(Error::field("items", "no_item", format!("{text} is not the number of an item"))),
    };
    items.iter().map(number).collect()
}

/// Show a rescan
///
/// Details with the summary of its scans, the scans themselves, and what they look at with its verdict.
#[utoipa::path(get, path = "/scans/{number}", tag = "scans", params(("number" = String, Path)),
    responses((status = OK, body = body::ScanBody)))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<body::ScanBody>, Error> {
    let (ordinal, now) = (ordinal(&number)?, app.clock.now());
    Ok(Json(app.database.try_read(move |tx| views::scans::show(tx, &caller, ordinal, now)).await?))
}

/// In which form a result is wanted.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct ScanReportQuery {
    /// `json` (default) or `csv`.
    pub format: String,
}

/// Download the result of a rescan
///
/// One line per item and host that the caller may know of, with its verdict.
#[utoipa::path(get, path = "/scans/{number}/report", tag = "scans", params(("number" = String, Path), ScanReportQuery),
    responses((status = OK, body = body::ScanReportBody)))]
async fn report(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Query(query): Query<ScanReportQuery>,
) -> Result<Response, Error> {
    download(&app, &caller, &number, &query.format).await
}

/// A result as an attachment, for the API and the pages.
///
/// # Errors
/// Not found, a missing permission; 422 for an unknown form.
pub async fn download(app: &App, caller: &Caller, number: &str, format: &str) -> Result<Response, Error> {
    let (asker, ordinal, now) = (caller.clone(), ordinal(number)?, app.clock.now());
    let report = app.database.try_read(move |tx| views::scans::report(tx, &asker, ordinal, now)).await?;
    let (kind, ending, text) = match format {
        "" | "json" => ("application/json", "json", serde_json::to_string(&report).map_err(Error::internal)?),
        "csv" => ("text/csv; charset=utf-8", "csv", views::scans::report_csv(&report)),
        _ => return Err(Error::field("format", "bad_format", "a report is `json` or `csv`")),
    };
    let name = format!("attachment; filename=\"{}-report.{ending}\"", report.scan);
    let name = HeaderValue::try_from(name).map_err(Error::internal)?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(kind)), (CONTENT_DISPOSITION, name)], text).into_response())
}

/// Cancel a rescan
///
/// Nothing more is launched, and what runs is stopped at the scanner. Results being pulled are still pulled. Where others
/// asked for it too, the caller only leaves it, unless he may and wants to cancel it for `everybody`.
#[utoipa::path(post, path = "/scans/{number}/cancel", tag = "scans", params(("number" = String, Path)),
    request_body = Option<body::CancelRequest>, responses((status = OK, body = body::ScanBody),
    (status = CONFLICT, description = "`scan_ended`, `others_asked`")))]
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    request: Option<Json<body::CancelRequest>>,
) -> Result<Json<body::ScanBody>, Error> {
    let (ordinal, now) = (ordinal(&number)?, app.clock.now());
    let everybody = request.is_some_and(|Json(request)| request.everybody);
    rescan::cancel(&app, &caller, ordinal, everybody).await?;
    Ok(Json(app.database.try_read(move |tx| views::scans::show(tx, &caller, ordinal, now)).await?))
}

/// Ask a rescan again
///
/// For the scans that failed, or for what was not reached or not tested. The rescan gets new scans and is open again; whether
/// an item may be rescanned is asked anew. At most five times.
#[utoipa::path(post, path = "/scans/{number}/retry", tag = "scans", params(("number" = String, Path)),
    request_body = body::RetryRequest, responses((status = OK, body = body::ScanBody),
    (status = CONFLICT, description = "`scan_open`, `nothing_to_retry`, `retries_used`, as of an item")))]
async fn retry(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Json(request): Json<body::RetryRequest>,
) -> Result<Json<body::ScanBody>, Error> {
    let (ordinal, now) = (ordinal(&number)?, app.clock.now());
    let unknown = || Error::field("what", "unknown", "what is failed or unreached");
    let what = Retry::parse(&request.what).ok_or_else(unknown)?;
    rescan::retry(&app, &caller, ordinal, what).await?;
    Ok(Json(app.database.try_read(move |tx| views::scans::show(tx, &caller, ordinal, now)).await?))
}

/// Show the pace of rescans
#[utoipa::path(get, path = "/settings/rescan-pace", tag = "scans", responses((status = OK, body = body::PaceBody)))]
async fn pace(State(app): State<App>, caller: Caller) -> Result<Json<body::PaceBody>, Error> {
    caller.may(Action::SettingsView, &Record::default())?;
    let pace = app.database.read(rescan::pace).await?;
    Ok(Json(body::PaceBody { pace: shown(pace) }))
}

/// Change the pace of rescans
#[utoipa::path(put, path = "/settings/rescan-pace", tag = "scans", request_body = body::PaceBody,
    responses((status = OK, body = body::PaceBody)))]
async fn set_pace(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<body::PaceBody>,
) -> Result<Json<body::PaceBody>, Error> {
    let body::Pace { first_seconds, longest_seconds, search_seconds } = given.pace;
    let pace = Pace { first_seconds, longest_seconds, search_seconds };
    rescan::set_pace(&app, &caller, pace).await?;
    Ok(Json(body::PaceBody { pace: shown(pace) }))
}

fn shown(pace: Pace) -> body::Pace {
    body::Pace {
        first_seconds: pace.first_seconds,
        longest_seconds: pace.longest_seconds,
        search_seconds: pace.search_seconds,
    }
}

/// Show who may ask for rescans
#[utoipa::path(get, path = "/settings/rescan-rules", tag = "scans", responses((status = OK, body = body::RulesBody)))]
async fn rules(State(app): State<App>, caller: Caller) -> Result<Json<body::RulesBody>, Error> {
    caller.may(Action::SettingsView, &Record::default())?;
    let Rules { by_group } = app.database.read(rescan::rules).await?;
    Ok(Json(body::RulesBody { rules: body::Rules { by_group } }))
}

/// Change who may ask for rescans
#[utoipa::path(put, path = "/settings/rescan-rules", tag = "scans", request_body = body::RulesBody,
    responses((status = OK, body = body::RulesBody)))]
async fn set_rules(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<body::RulesBody>,
) -> Result<Json<body::RulesBody>, Error> {
    let body::Rules { by_group } = given.rules;
    rescan::set_rules(&app, &caller, Rules { by_group }).await?;
    Ok(Json(given))
}

type Tagged = ([(HeaderName, HeaderValue); 1], Json<body::PolicyBody>);

/// Show when rescans of an integration instance are launched
#[utoipa::path(get, path = "/instances/{id}/rescan-policy", tag = "scans", params(("id" = i64, Path)),
    responses((status = OK, body = body::PolicyBody)))]
async fn policy(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Tagged, Error> {
    let (policy, version) = rescan::policy(&app, &caller, InstanceId(id)).await?;
    Ok((etag(version), Json(body::PolicyBody { policy: views::scans::policy(&policy) })))
}

/// Change when rescans of an integration instance are launched
///
/// What waits asks again at once; what runs goes on.
#[utoipa::path(put, path = "/instances/{id}/rescan-policy", tag = "scans", params(("id" = i64, Path)),
    request_body = body::PolicyBody, responses((status = OK, body = body::PolicyBody),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn set_policy(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    IfMatch(seen): IfMatch,
    Json(given): Json<body::PolicyBody>,
) -> Result<Tagged, Error> {
    let policy = views::scans::policy_of(&given.policy)?;
    let version = rescan::set_policy(&app, &caller, InstanceId(id), policy.clone(), seen).await?;
    Ok((etag(version), Json(body::PolicyBody { policy: views::scans::policy(&policy) })))
}
