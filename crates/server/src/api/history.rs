//! What happened to a job, to be read by everybody who may see the job.

use super::jobs::ordinal;
use crate::app::App;
use crate::engine::jobs;
use crate::http::{Caller, Error, ListQuery};
use crate::views::history;
use axum::Json;
use axum::extract::{Path, State};
use protocol::api::response as body;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(job_history))
}

/// Show the history of a job
///
/// What people and the engine did to it and to its runs, as the audit says, and when its tasks began and ended; newest first.
/// Who may see the job may see its history: of tasks those on assets inside the caller's scope.
#[utoipa::path(get, path = "/jobs/{number}/history", tag = "jobs", params(("number" = String, Path), ListQuery),
    responses((status = OK, body = body::JobHistoryBody)))]
async fn job_history(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    query: ListQuery,
) -> Result<Json<body::JobHistoryBody>, Error> {
    let number = ordinal(&number)?;
    let fields = store::jobs::history::LIST.fields;
    let wanted = query.of_list(fields, history::NEWEST_FIRST, app.clock.now(), &caller.name)?;
    let page = app.database.try_read(move |tx| {
        let job = jobs::load(tx, &caller, number)?;
        history::page(tx, &caller, &job, &wanted)
    });
    let page = page.await?;
    Ok(Json(body::JobHistoryBody { events: page.rows, next: page.next_cursor }))
}
