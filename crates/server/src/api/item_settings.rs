//! What holds of deferrals and exceptions.

use crate::app::App;
use crate::engine::item_settings as logic;
use crate::http::{Caller, Error};
use axum::Json;
use axum::extract::State;
use domain::access::{Action, Record};
use protocol::api::exceptions::{ItemSettings, ItemSettingsBody, ItemSettingsChange};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, change))
}

fn body(kept: logic::ItemSettings) -> Json<ItemSettingsBody> {
    let logic::ItemSettings { defer_again, exception_days_max } = kept;
    Json(ItemSettingsBody { items: ItemSettings { defer_again, exception_days_max } })
}

/// Show what holds of deferrals and exceptions
#[utoipa::path(get, path = "/settings/items", tag = "items", operation_id = "settings",
    responses((status = OK, body = ItemSettingsBody)))]
async fn show(State(app): State<App>, caller: Caller) -> Result<Json<ItemSettingsBody>, Error> {
    let any = Record { assignee: Some(caller.user), ..Record::default() };
    caller.may(Action::ItemsView, &any)?;
    Ok(body(logic::all(&app).await?))
}

/// Change what holds of deferrals and exceptions
///
/// What was granted already stays granted.
#[utoipa::path(put, path = "/settings/items", tag = "items", operation_id = "set_settings",
    request_body = ItemSettingsChange, responses((status = OK, body = ItemSettingsBody)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<ItemSettingsChange>,
) -> Result<Json<ItemSettingsBody>, Error> {
    let kept = logic::set(&app, &caller, given.defer_again, given.exception_days_max).await?;
    Ok(body(kept))
}
