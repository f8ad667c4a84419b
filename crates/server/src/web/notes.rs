//! Notes on the pages of records, and the dialog that writes one.

use super::exposure;
use super::frame::{Show, again, faults, frame};
use crate::api;
use crate::app::App;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, PageActor};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::items::NoteLine;
use crate::pages::lists::Action as Button;
use crate::pages::{Fault, Field, Section};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Record};
use domain::time::Timestamp;
use store::notes::NoteRow;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/notes/{kind}/{number}", get(form).post(write))
}

/// Notes as a page shows them.
pub(super) fn lines(rows: &[NoteRow], now: Timestamp) -> Vec<NoteLine> {
    let line =
        |row: &NoteRow| NoteLine { text: row.body.clone(), by: row.author.clone(), at: exposure::near(row.at, now) };
    rows.iter().map(line).collect()
}

/// Opens the dialog that writes a note about a record.
pub(super) fn button(who: &PageActor, access: &Record, kind: &str, number: &str) -> Button {
    let denied = exposure::reason(&who.decide(Action::NoteAdd, access));
    Button::show("Write a note", format!("/notes/{kind}/{number}")).icon("file-text").unless(denied)
}

async fn page(
    app: &App,
    who: &PageActor,
    (kind, number): (&str, &str),
    text: &str,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let (asker, of, named) = (who.clone(), kind.to_owned(), number.to_owned());
    app.database.try_read(move |tx| api::notes::about(tx, &asker, &of, &named, 1)).await?;
    let section = match kind {
        "items" => Section::Items,
        "tasks" => Section::Tasks,
        _ => Section::Exceptions,
    };
    let shell = frame(app, who, section, "Write a note").await?.under(number, format!("/{kind}/{number}"));
    Ok(DialogPage {
        shell,
        to: format!("/notes/{kind}/{number}"),
        text: format!("About {number}. It cannot be changed afterwards."),
        fields: vec![Field::text("text", "Note", text, 6).required().faulted(&wrong)],
        faults: Faults(wrong),
        verb: "Write",
        back: format!("/{kind}/{number}"),
    })
}

async fn form(
    State(app): State<App>,
    who: PageActor,
    Path((kind, number)): Path<(String, String)>,
) -> Result<Response, Error> {
    Ok(Show(page(&app, &who, (&kind, &number), "", Vec::new()).await?).into_response())
}

async fn write(
    State(app): State<App>,
    who: PageActor,
    Path((kind, number)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, Error> {
    let text = fields.one("text");
    match api::notes::write(&app, &who, kind.clone(), number.clone(), text).await {
        Ok(_) => Ok(flash::redirect(&format!("/{kind}/{number}"), Some(Flash::done("The note is written.")))),
        Err(error) => {
            let wrong = faults(error, |field| field)?;
            Ok(again(page(&app, &who, (&kind, &number), text, wrong).await?))
        }
    }
}
