//! Scanners: the products that detect, inactive until an administrator says otherwise (S2.02, S2.03).

use crate::app::App;
use crate::http::{Caller, Error, ListQuery};
use axum::Json;
use axum::extract::{Path, State};
use domain::access::{Action, Record};
use protocol::api::integrations::{Scanner, ScannerBody, ScannerChange, ScannersBody};
use store::{integrations, scanners};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(index)).routes(routes!(show, change))
}

fn body(row: scanners::Scanner) -> Scanner {
    Scanner {
        product: row.product,
        name: row.name,
        active: row.active,
        activated_at: row.activated_at,
        instances: row.instances,
        stamped: row.stamped,
    }
}

/// The scanner of this product.
pub(crate) fn known(tx: &mut store::Transaction<'_>, product: &str) -> Result<scanners::Scanner, Error> {
    scanners::one(tx, product).map_err(|error| match error {
        store::Error::NotFound => Error::NotFound(format!("scanner {product}")),
        error => error.into(),
    })
}

/// List scanners
#[utoipa::path(get, path = "/scanners", tag = "scanners", params(ListQuery),
    responses((status = OK, body = ScannersBody)))]
async fn index(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<ScannersBody>, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    let query = query.of_list(&scanners::FIELDS, "name", app.clock.now(), &caller.name)?;
    let page = app.database.try_read(move |tx| {
        store::list::page::<scanners::Scanner>(tx, &scanners::LIST, None, &query).map_err(Error::from)
    });
    let page = page.await?;
    Ok(Json(ScannersBody { scanners: page.rows.into_iter().map(body).collect(), next: page.next_cursor }))
}

/// Show a scanner
#[utoipa::path(get, path = "/scanners/{product}", tag = "scanners", params(("product" = String, Path)),
    responses((status = OK, body = ScannerBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(product): Path<String>) -> Result<Json<ScannerBody>, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    let row = app.database.try_read(move |tx| known(tx, &product)).await?;
    Ok(Json(ScannerBody { scanner: body(row) }))
}

/// Activate or deactivate a scanner.
///
/// # Errors
/// 403, 404.
pub(crate) async fn set_active(
    app: &App,
    caller: &Caller,
    product: String,
    active: bool,
) -> Result<scanners::Scanner, Error> {
    caller.may(Action::ScannerActivate, &Record::default())?;
    let (author, now) = (caller.author(), app.clock.now());
    let row = app.database.try_write(move |tx| {
        known(tx, &product)?;
        if scanners::set_active(tx, &author, &product, active, now)? && active {
            integrations::turn_on_for_rescans(tx, &author, &product, now)?;
        }
        known(tx, &product)
    });
    let row = row.await?;
    app.wake.notify("scanner", 0);
    Ok(row)
}

/// Activate or deactivate a scanner
///
/// Rescans become available after the next import of an instance. The schedules that a rescan needs (option profiles, appliances,
/// search lists) are turned on where imports come by a schedule at all.
#[utoipa::path(patch, path = "/scanners/{product}", tag = "scanners", params(("product" = String, Path)),
    request_body = ScannerChange, responses((status = OK, body = ScannerBody)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(product): Path<String>,
    Json(change): Json<ScannerChange>,
) -> Result<Json<ScannerBody>, Error> {
    Ok(Json(ScannerBody { scanner: body(set_active(&app, &caller, product, change.active).await?) }))
}
