//! `/settings/items`: what holds of deferrals and exceptions.

use super::exposure;
use super::frame::{Show, again, faults, frame};
use crate::app::App;
use crate::engine::item_settings as logic;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Caller, Error, PageActor};
use crate::pages::Section;
use crate::pages::forms::{Choice, DialogPage, Fault, Faults, Field};
use crate::pages::lists::Action as Button;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Record};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/settings/items", get(form).post(change))
}

/// The way there.
pub(super) fn way(who: &Caller) -> Button {
    let denied = exposure::reason(&who.decide(Action::RuleEdit, &Record::default()));
    Button::show("Deferrals", "/settings/items").icon("clock-off").unless(denied)
}

async fn page(app: &App, who: &PageActor, again: bool, days: &str, wrong: Vec<Fault>) -> Result<DialogPage, Error> {
    let shell = frame(app, who, Section::Exceptions, "Deferrals").await?.under("Exceptions", "/exceptions");
    let choices = vec![Choice::new("yes", "Deferred again until then"), Choice::new("no", "Open")];
    Ok(DialogPage {
        shell,
        to: "/settings/items".to_owned(),
        text: "What was granted already stays granted.".to_owned(),
        fields: vec![
            Field::select(
                "defer_again",
                "A deferred item that closed and is found again within its time is",
                if again { "yes" } else { "no" },
                choices,
            ),
            Field::typed("number", "exception_days_max", "Days that an exception may hold at most", days)
                .required()
                .faulted(&wrong),
        ],
        faults: Faults(wrong),
        verb: "Save",
        back: "/exceptions".to_owned(),
    })
}

async fn form(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    who.may(Action::RuleEdit, &Record::default())?;
    let kept = logic::all(&app).await?;
    let days = kept.exception_days_max.to_string();
    Ok(Show(page(&app, &who, kept.defer_again, &days, Vec::new()).await?).into_response())
}

async fn change(State(app): State<App>, who: PageActor, fields: Fields) -> Result<Response, Error> {
    let (defer, days) = (fields.one("defer_again") != "no", fields.one("exception_days_max").trim().to_owned());
    // What is no number is out of bounds, and said to be.
    match logic::set(&app, &who, Some(defer), Some(days.parse().unwrap_or(-1))).await {
        Ok(_) => Ok(flash::redirect("/exceptions", Some(Flash::done("Saved what holds of deferrals.")))),
        Err(error) => {
            let wrong = faults(error, |field| field)?;
            Ok(again(page(&app, &who, defer, &days, wrong).await?))
        }
    }
}
