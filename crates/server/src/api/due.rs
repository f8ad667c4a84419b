//! Due dates: how many days there are for each band, and what other days would do.

use crate::app::App;
use crate::engine::due as logic;
use crate::http::conditional::etag;
use crate::http::{Caller, Error, IfMatch};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue};
use domain::access::{Action, Record};
use domain::due::Days;
use protocol::api::due::{Due, DueBody, DueDays, DuePreview, DueRequest};
use store::items::due::{self, Kept, Preview};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, change))
}

type Tagged = ([(HeaderName, HeaderValue); 1], Json<DueBody>);

fn days_body(days: &Days) -> DueDays {
    let Days { on, critical, high, medium, low, soon } = *days;
    DueDays { on, critical, high, medium, low, soon }
}

fn days_of(body: &DueDays) -> Days {
    let DueDays { on, critical, high, medium, low, soon } = *body;
    Days { on, critical, high, medium, low, soon }
}

fn preview_body(seen: &Preview) -> DuePreview {
    let Preview { items, moved, earlier, overdue_before, overdue } = *seen;
    DuePreview { items, moved, earlier, overdue_before, overdue }
}

async fn tagged(app: &App, preview: Option<DuePreview>) -> Result<Tagged, Error> {
    let (kept, waiting): (Kept, i64) = app.database.read(|tx| Ok((due::kept(tx)?, due::waiting(tx)?))).await?;
    let due = Due { days: days_body(&kept.days), version: kept.version, waiting };
    Ok((etag(kept.version), Json(DueBody { due, preview })))
}

/// Show the days of due dates
#[utoipa::path(get, path = "/settings/due", tag = "items", operation_id = "due", responses((status = OK, body = DueBody)))]
async fn show(State(app): State<App>, caller: Caller) -> Result<Tagged, Error> {
    let any = Record { assignee: Some(caller.user), ..Record::default() };
    caller.may(Action::ItemsView, &any)?;
    tagged(&app, None).await
}

/// Change the days of due dates
///
/// Items that are not closed get their date by the new days, counted from the same moment as before, in portions; `waiting` says how
/// many are still to come. A dry run says what would happen and changes nothing.
#[utoipa::path(put, path = "/settings/due", tag = "items", operation_id = "set_due", request_body = DueRequest,
    responses((status = OK, body = DueBody), (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    IfMatch(seen): IfMatch,
    Json(wanted): Json<DueRequest>,
) -> Result<Tagged, Error> {
    let days = days_of(&wanted.days);
    if wanted.dry_run {
        let preview = logic::preview(&app, &caller, days).await?;
        return tagged(&app, Some(preview_body(&preview))).await;
    }
    logic::set(&app, &caller, days, seen).await?;
    tagged(&app, None).await
}
