//! Rescans: may an item be rescanned, ask for it, follow it, call it off.

use super::items::matching;
use super::{assets, items};
use crate::app::App;
use crate::engine::rescan::{self, Pace, ProfileChoice, Request, Rules, Source};
use crate::http::{Caller, Error, ListQuery};
use crate::views;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::access::{Action, Record};
use domain::id::AssetId;
use domain::number::{Number, Series};
use domain::rescan::ITEMS_MAX;
use protocol::api::scans as body;
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
        .routes(routes!(cancel))
        .routes(routes!(pace, set_pace))
        .routes(routes!(rules, set_rules))
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
    let source = Source::Items(vec![item.number()]);
    ask(&app, &caller, Request { source, profile, eligible_only: false, seen: None }).await
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
    let profile = choice(request.profile);
    ask(&app, &caller, Request { source, profile, eligible_only: true, seen: None }).await
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
/// Those of `items`, all that match `q`, or what is open on an `asset`. All of them have to be open and from an active
/// scanner; `eligible_only` leaves the others out, as `asset` does.
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
    let source = match (new.items.as_slice(), new.q.as_deref(), new.asset) {
        (_, None, None) => Source::Items(numbers(&new.items)?),
        ([], Some(q), None) => Source::Items(numbers(&matching(app, caller, q, ITEMS_MAX).await?)?),
        ([], None, Some(id)) => asset(app, caller, id).await?,
        _ => return Err(Error::field("items", "one_source", "give one of items, q and asset")),
    };
    Ok(Request { source, profile: choice(new.profile), eligible_only: new.eligible_only, seen: new.plan })
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
    let ordinal = ordinal(&number)?;
    Ok(Json(app.database.try_read(move |tx| views::scans::show(tx, &caller, ordinal)).await?))
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
    let ordinal = ordinal(&number)?;
    let everybody = request.is_some_and(|Json(request)| request.everybody);
    rescan::cancel(&app, &caller, ordinal, everybody).await?;
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
