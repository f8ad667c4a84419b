//! The dialogs that end a request: approve, reject and revoke, each about exactly what was seen, and its withdrawal.

use super::exceptions::{last_day, look, title};
use super::exposure;
use super::frame::{Show, again, faults, frame};
use crate::api;
use crate::app::App;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, IfMatch, PageActor};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::address;
use crate::pages::{Fault, Field, Section};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::Action;
use domain::exception::Kind;
use protocol::api::exceptions::Decision;
use serde::Deserialize;
use store::items::exceptions::ExceptionRow;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/exceptions/{number}/approve", get(approve_form).post(approve))
        .route("/exceptions/{number}/reject", get(reject_form).post(reject))
        .route("/exceptions/{number}/withdraw", post(withdraw))
        .route("/exceptions/{number}/revoke", get(revoke_form).post(revoke))
}

/// The dialogs of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Approve,
    Reject,
    Revoke,
}

impl Verb {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Verb::Approve => ("Approve", "approve"),
            Verb::Reject => ("Reject", "reject"),
            Verb::Revoke => ("Revoke", "revoke"),
        }
    }

    fn follows(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Verb::Approve, Kind::Deferral) => "Its items are deferred, and open by themselves at the end.",
            (Verb::Approve, Kind::FalsePositive) => "Its items close, and no import opens them while it holds.",
            (Verb::Reject, _) => "Its items are again what they were before.",
            (Verb::Revoke, _) => "Its items are again what the scanner says of them.",
        }
    }
}

async fn verdict(
    app: &App,
    who: &PageActor,
    number: &str,
    verb: Verb,
    fields: &Fields,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let (row, access, _) = look(app, who, number).await?;
    who.may(Action::ExceptionDecide, &access)?;
    let (title, word) = verb.words();
    let mut answer = Field::text("answer", "What you say with it", fields.one("answer"), 3).faulted(&wrong);
    if verb != Verb::Approve {
        answer = answer.required();
    }
    // What was seen is what is decided about: the version stands in the form's address.
    let seen = row.version.to_string();
    let mut shown = vec![answer];
    if verb == Verb::Approve && row.kind == Kind::FalsePositive {
        let until = Field::typed("date", "until", "Holds until the end of", fields.one("until"));
        shown.push(until.help("In UTC. Empty: for ever.").faulted(&wrong));
    }
    let shell = frame(app, who, Section::Exceptions, format!("{title} {number}")).await?;
    Ok(DialogPage {
        shell: shell.under("Exceptions", "/exceptions").under(number, format!("/exceptions/{number}")),
        to: address(&format!("/exceptions/{number}/{word}"), &[("seen", &seen)]),
        text: format!("{}. {}", title_of(&row), verb.follows(row.kind)),
        fields: shown,
        faults: Faults(wrong),
        verb: title,
        back: format!("/exceptions/{number}"),
    })
}

fn title_of(row: &ExceptionRow) -> String {
    format!("{}, asked by {}", title(row), row.requester)
}

/// The version of a request that a dialog was made for.
#[derive(Clone, Debug, Default, Deserialize)]
struct SeenAt {
    seen: Option<i64>,
}

/// Answer, and say so on the request's page; what is wrong is shown in the dialog again.
async fn answered(
    app: &App,
    who: &PageActor,
    number: String,
    verb: Verb,
    at: SeenAt,
    fields: Fields,
) -> Result<Response, Error> {
    let answer = fields.one("answer").to_owned();
    let seen = IfMatch(at.seen);
    let done = match verb {
        Verb::Revoke => api::exceptions::undo(app, who, number.clone(), answer, seen).await,
        verb => {
            let until = match last_day(fields.one("until")) {
                Ok(until) => until,
                Err(wrong) => return Ok(again(verdict(app, who, &number, verb, &fields, wrong).await?)),
            };
            let given = Decision { approve: verb == Verb::Approve, answer, until };
            api::exceptions::answer(app, who, number.clone(), given, seen).await
        }
    };
    let wrong = match done {
        Ok((_, body)) => {
            let said = Flash::done(format!("{number} is {}.", body.exception.state));
            return Ok(flash::redirect(&format!("/exceptions/{number}"), Some(said)));
        }
        Err(Error::Refused(refusal)) => vec![Fault::new("", exposure::refused(&refusal))],
        Err(error) => faults(error, |field| field)?,
    };
    Ok(again(verdict(app, who, &number, verb, &fields, wrong).await?))
}

async fn form(app: &App, who: &PageActor, number: &str, verb: Verb) -> Result<Response, Error> {
    Ok(Show(verdict(app, who, number, verb, &Fields::default(), Vec::new()).await?).into_response())
}

async fn approve_form(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    form(&app, &who, &number, Verb::Approve).await
}

async fn reject_form(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    form(&app, &who, &number, Verb::Reject).await
}

async fn revoke_form(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    form(&app, &who, &number, Verb::Revoke).await
}

async fn approve(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(at): Query<SeenAt>,
    fields: Fields,
) -> Result<Response, Error> {
    answered(&app, &who, number, Verb::Approve, at, fields).await
}

async fn reject(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(at): Query<SeenAt>,
    fields: Fields,
) -> Result<Response, Error> {
    answered(&app, &who, number, Verb::Reject, at, fields).await
}

async fn revoke(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(at): Query<SeenAt>,
    fields: Fields,
) -> Result<Response, Error> {
    answered(&app, &who, number, Verb::Revoke, at, fields).await
}

async fn withdraw(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    let said = match api::exceptions::take_back(&app, &who, number.clone()).await {
        Ok(_) => Flash::done(format!("{number} is withdrawn.")),
        Err(Error::Refused(refusal)) => Flash { failed: true, ..Flash::done(exposure::refused(&refusal)) },
        Err(error) => return Err(error),
    };
    Ok(flash::redirect(&format!("/exceptions/{number}"), Some(said)))
}
