//! Notes about records: items, remediation tasks, exceptions. Who sees the record sees its notes.

use super::{items, tasks};
use crate::app::App;
use crate::engine::exceptions;
use crate::http::{Caller, Error};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::access::Action;
use domain::remediation as rules;
use protocol::api::tasks::{NewNote, Note, NoteBody, NotesBody};
use store::Transaction;
use store::notes::{self, NoteRow};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Notes in one answer at most.
const NOTES_MAX: i64 = 500;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(index, create))
}

fn body(row: NoteRow) -> Note {
    Note { author: row.author, at: row.at, text: row.body }
}

/// The path of the record that notes are about, if the caller may see it, and write about it where he wants to.
fn resource(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    (kind, number): (&str, &str),
    writes: bool,
) -> Result<String, Error> {
    let action = |look| if writes { Action::NoteAdd } else { look };
    let number = match kind {
        "items" => items::known(tx, caller, action(Action::ItemsView), number)?.number(),
        "tasks" => tasks::known(tx, caller, action(Action::TasksView), number)?.number(),
        "exceptions" => exceptions::known(tx, caller, action(Action::ItemsView), number)?.number(),
        _ => return Err(Error::NotFound(format!("{kind}/{number}"))),
    };
    Ok(format!("{kind}/{number}"))
}

/// The newest notes about a record.
///
/// # Errors
/// 403, 404.
pub(crate) fn about(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    kind: &str,
    number: &str,
    most: i64,
) -> Result<Vec<NoteRow>, Error> {
    let resource = resource(tx, caller, (kind, number), false)?;
    Ok(notes::about(tx, &resource, most)?)
}

/// Show the notes about a record
///
/// `kind` is `items`, `tasks` or `exceptions`.
#[utoipa::path(get, path = "/notes/{kind}/{number}", tag = "notes", params(("kind" = String, Path), ("number" = String, Path)),
    responses((status = OK, body = NotesBody)))]
async fn index(
    State(app): State<App>,
    caller: Caller,
    Path((kind, number)): Path<(String, String)>,
) -> Result<Json<NotesBody>, Error> {
    let read = app.database.try_read(move |tx| about(tx, &caller, &kind, &number, NOTES_MAX));
    Ok(Json(NotesBody { notes: read.await?.into_iter().map(body).collect() }))
}

/// Write a note about a record.
///
/// # Errors
/// 403, 404, 422 for an empty or too long text.
pub(crate) async fn write(
    app: &App,
    caller: &Caller,
    kind: String,
    number: String,
    text: &str,
) -> Result<NoteRow, Error> {
    let text = rules::text(text, rules::NOTE_CHARS_MAX).map_err(|why| Error::field("text", "bad_text", why))?;
    if text.is_empty() {
        return Err(Error::field("text", "missing", "a note says something"));
    }
    let (caller, now) = (caller.clone(), app.clock.now());
    app.database
        .try_write(move |tx| {
            let resource = resource(tx, &caller, (&kind, &number), true)?;
            Ok::<_, Error>(notes::add(tx, &caller.actor, &resource, &text, now)?)
        })
        .await
}

/// Write a note about a record
///
/// It is never changed afterwards.
#[utoipa::path(post, path = "/notes/{kind}/{number}", tag = "notes", params(("kind" = String, Path), ("number" = String, Path)),
    request_body = NewNote, responses((status = CREATED, body = NoteBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Path((kind, number)): Path<(String, String)>,
    Json(new): Json<NewNote>,
) -> Result<(StatusCode, Json<NoteBody>), Error> {
    let note = write(&app, &caller, kind, number, &new.text).await?;
    Ok((StatusCode::CREATED, Json(NoteBody { note: body(note) })))
}
