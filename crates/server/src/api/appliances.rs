//! Scanner appliances: which serves which addresses, in which order and with which option profile.

use crate::app::App;
use crate::appliances as logic;
use crate::http::conditional::etag;
use crate::http::{Caller, Error, IfMatch, ListQuery};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use domain::access::{Action, Record};
use domain::id::InstanceId;
use protocol::api::integrations::{ApplianceBody, ApplianceChange, AppliancesBody, NewAppliance, PlaceBody};
use serde::Deserialize;
use store::appliances::{self, Appliance};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(index, create)).routes(routes!(show, change, delete)).routes(routes!(place))
}

type Tagged = ([(HeaderName, HeaderValue); 1], Json<ApplianceBody>);

fn tagged(row: Appliance) -> Tagged {
    (etag(row.version), Json(ApplianceBody { appliance: logic::body(row) }))
}

/// List scanner appliances
#[utoipa::path(get, path = "/appliances", tag = "appliances", params(ListQuery),
    responses((status = OK, body = AppliancesBody)))]
async fn index(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<AppliancesBody>, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    let query = query.of_list(&appliances::FIELDS, "order", app.clock.now(), &caller.name)?;
    let page = app
        .database
        .try_read(move |tx| store::list::page::<Appliance>(tx, &appliances::LIST, None, &query).map_err(Error::from));
    let page = page.await?;
    Ok(Json(AppliancesBody { appliances: page.rows.into_iter().map(logic::body).collect(), next: page.next_cursor }))
}

/// Add a row for an appliance
///
/// For addresses that no asset group gives it. Rows from the scanner come with imports.
#[utoipa::path(post, path = "/appliances", tag = "appliances", request_body = NewAppliance,
    responses((status = CREATED, body = ApplianceBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewAppliance>,
) -> Result<(StatusCode, Tagged), Error> {
    Ok((StatusCode::CREATED, tagged(logic::create(&app, &caller, new).await?)))
}

/// Show a scanner appliance
#[utoipa::path(get, path = "/appliances/{id}", tag = "appliances", params(("id" = i64, Path)),
    responses((status = OK, body = ApplianceBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Tagged, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    Ok(tagged(app.database.try_read(move |tx| logic::known(tx, id)).await?))
}

/// Change a scanner appliance
///
/// Order, option profile, condition and whether it is chosen; of a row made by hand the rest as well.
#[utoipa::path(patch, path = "/appliances/{id}", tag = "appliances", params(("id" = i64, Path)),
    request_body = ApplianceChange, responses((status = OK, body = ApplianceBody),
    (status = CONFLICT, description = "`not_manual`"),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    IfMatch(seen): IfMatch,
    Json(change): Json<ApplianceChange>,
) -> Result<Tagged, Error> {
    Ok(tagged(logic::change(&app, &caller, id, change, seen).await?))
}

/// Delete a scanner appliance's row that was made by hand
#[utoipa::path(delete, path = "/appliances/{id}", tag = "appliances", params(("id" = i64, Path)),
    responses((status = NO_CONTENT), (status = CONFLICT, description = "`not_manual`"),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    IfMatch(seen): IfMatch,
) -> Result<StatusCode, Error> {
    logic::delete(&app, &caller, id, seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    address: String,
    #[serde(default)]
    network: String,
}

/// Which appliance serves an address
#[utoipa::path(get, path = "/instances/{id}/place", tag = "appliances",
    params(("id" = i64, Path), ("address" = String, Query), ("network" = Option<String>, Query)),
    responses((status = OK, body = PlaceBody)))]
async fn place(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    Query(asked): Query<Asked>,
) -> Result<Json<PlaceBody>, Error> {
    let place = logic::place(&app, &caller, InstanceId(id), &asked.address, &asked.network).await?;
    Ok(Json(PlaceBody { place }))
}
