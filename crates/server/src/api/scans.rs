//! Rescans: may an item be rescanned, ask for it, follow it, call it off.

use super::items;
use crate::app::App;
use crate::engine::rescan::{self, Pace, ProfileChoice, Request};
use crate::http::{Caller, Error, ListQuery};
use crate::views;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::access::{Action, Record};
use domain::number::{Number, Series};
use protocol::api::scans as body;
use store::scans;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(offer, rescan))
        .routes(routes!(index, create))
        .routes(routes!(show))
        .routes(routes!(cancel))
        .routes(routes!(pace, set_pace))
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

fn choice(profile: Option<String>) -> ProfileChoice {
    match profile.filter(|profile| !profile.is_empty()) {
        Some(profile) => ProfileChoice::Named(profile),
        None => ProfileChoice::Default,
    }
}

async fn ask(app: &App, caller: &Caller, request: Request) -> Result<(StatusCode, Json<body::RequestedBody>), Error> {
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
    let profile = choice(request.profile);
    ask(&app, &caller, Request { items: vec![item.number()], profile, eligible_only: false }).await
}

/// List rescans
#[utoipa::path(get, path = "/scans", tag = "scans", params(ListQuery), responses((status = OK, body = body::ScansBody)))]
async fn index(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<body::ScansBody>, Error> {
    caller.may(Action::ScansView, &Record::default())?;
    let query = query.of_list(&scans::FIELDS, "-number", app.clock.now(), &caller.name)?;
    let page = app.database.try_read(move |tx| views::scans::list(tx, &caller, &query)).await?;
    Ok(Json(body::ScansBody { scans: page.rows, next: page.next_cursor }))
}

/// Rescan several items
///
/// All of them have to be open and from an active scanner; `eligible_only` leaves the others out.
#[utoipa::path(post, path = "/scans", tag = "scans", request_body = body::NewScan,
    responses((status = CREATED, body = body::RequestedBody), (status = OK, body = body::RequestedBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<body::NewScan>,
) -> Result<(StatusCode, Json<body::RequestedBody>), Error> {
    let items: Result<Vec<Number>, Error> = new
        .items
        .iter()
        .map(|text| match text.parse::<Number>() {
            Ok(number) if number.series == Series::Item => Ok(number),
            _ => Err(Error::field("items", "no_item", format!("{text} is not the number of an item"))),
        })
        .collect();
    let request = Request { items: items?, profile: choice(new.profile), eligible_only: new.eligible_only };
    ask(&app, &caller, request).await
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
    let ordinal = ordinal(&number)?;
    Ok(Json(app.database.try_read(move |tx| views::scans::show(tx, &caller, ordinal)).await?))
}

/// Cancel a rescan
///
/// Nothing more is launched, and what runs is stopped at the scanner. Results being pulled are still pulled.
#[utoipa::path(post, path = "/scans/{number}/cancel", tag = "scans", params(("number" = String, Path)),
    responses((status = OK, body = body::ScanBody), (status = CONFLICT, description = "`scan_ended`")))]
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<body::ScanBody>, Error> {
    let ordinal = ordinal(&number)?;
    rescan::cancel(&app, &caller, ordinal).await?;
    Ok(Json(app.database.try_read(move |tx| views::scans::show(tx, &caller, ordinal)).await?))
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
