//! The audit log, to be read.

use crate::app::App;
use crate::http::{Caller, Error, ListQuery};
use axum::Json;
use axum::extract::State;
use domain::access::{Action, Record};
use protocol::api::accounts::{AuditBody, AuditEntry};
use store::audit::Written;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

fn said(entry: Written) -> AuditEntry {
    // The body's own bytes are what was hashed; here only its detail is shown, beside the columns.
    let body: serde_json::Value = serde_json::from_slice(&entry.body).unwrap_or_default();
    AuditEntry {
        id: entry.id,
        at: entry.at,
        actor: entry.actor,
        action: entry.action,
        resource: entry.resource,
        detail: body.get("detail").cloned().unwrap_or_default(),
        seal: entry.seal,
    }
}

/// List audit entries, newest first
#[utoipa::path(get, path = "/audit", tag = "audit", params(ListQuery), responses((status = OK, body = AuditBody)))]
async fn list(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<AuditBody>, Error> {
    caller.may(Action::AuditView, &Record::default())?;
    let wanted = query.of_list(store::audit::ENTRIES.fields, "-", app.clock.now(), &caller.name)?;
    let page = app.database.try_read(move |tx| store::audit::page(tx, &wanted)).await?;
    Ok(Json(AuditBody { entries: page.rows.into_iter().map(said).collect(), next: page.next_cursor }))
}
