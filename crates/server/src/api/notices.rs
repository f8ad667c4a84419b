//! Letters about what is newly assigned and what became overdue: which are written, for everybody and for oneself.

use crate::app::App;
use crate::engine::notices as logic;
use crate::http::{Caller, Error};
use axum::Json;
use axum::extract::State;
use protocol::api::mail::{Notices, NoticesBody, NoticesChange};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, want)).routes(routes!(set))
}

fn body(everywhere: store::notices::Wishes, own: store::notices::Wishes) -> Json<NoticesBody> {
    let said = |wishes: store::notices::Wishes| Notices { assigned: wishes.assigned, overdue: wishes.overdue };
    Json(NoticesBody { everybody: said(everywhere), notices: said(own) })
}

/// Show which letters one gets
#[utoipa::path(get, path = "/me/notices", tag = "session", operation_id = "my_notices",
    responses((status = OK, body = NoticesBody)))]
async fn show(State(app): State<App>, caller: Caller) -> Result<Json<NoticesBody>, Error> {
    let (everywhere, own) = logic::shown(&app, &caller).await?;
    Ok(body(everywhere, own))
}

/// Choose which letters one gets
///
/// About items that are newly assigned, collected for ten minutes; about items that became overdue, once a day at 07:00 UTC.
#[utoipa::path(patch, path = "/me/notices", tag = "session", operation_id = "choose_notices",
    request_body = NoticesChange, responses((status = OK, body = NoticesBody)))]
async fn want(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<NoticesChange>,
) -> Result<Json<NoticesBody>, Error> {
    logic::want(&app, &caller, given.assigned, given.overdue).await?;
    show(State(app), caller).await
}

/// Choose which letters are written at all
#[utoipa::path(put, path = "/settings/notices", tag = "mail", operation_id = "set_notices",
    request_body = NoticesChange, responses((status = OK, body = NoticesBody)))]
async fn set(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<NoticesChange>,
) -> Result<Json<NoticesBody>, Error> {
    logic::set(&app, &caller, given.assigned, given.overdue).await?;
    show(State(app), caller).await
}
