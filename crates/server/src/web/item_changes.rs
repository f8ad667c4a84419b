//! `/items/changes`: a new state for several items at once, picked in their list or all that match.

use super::exceptions::{Chosen, named, picked};
use super::exposure;
use super::frame::{Show, again, faults, frame};
use crate::api;
use crate::app::App;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, PageActor};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::address;
use crate::pages::{Choice, Fault, Field, Section};
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::Action;
use domain::item::State as ItemState;
use protocol::api::exposure::ItemChanges;

/// The states that people give.
const GIVEN: [ItemState; 4] =
    [ItemState::Open, ItemState::UnderInvestigation, ItemState::AwaitingImplementation, ItemState::Resolved];

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/items/state", post(of_rows)).route("/items/changes", get(form).post(change))
}

async fn of_rows(_who: PageActor, fields: Fields) -> Result<Response, Error> {
    Ok(picked(&fields, "/items/changes"))
}

async fn page(
    app: &App,
    who: &PageActor,
    chosen: &Chosen,
    state: &str,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    who.may(Action::ItemTransition, &api::exceptions::own(who))?;
    let count = match chosen.q.as_str() {
        "" => named(chosen).len(),
        q => api::items::matching(app, who, q, api::item_changes::CHANGED_MAX).await?.len(),
    };
    let of = if count == 1 { "1 item".to_owned() } else { format!("{count} items") };
    let choices = GIVEN.into_iter().map(|to| Choice::new(to.as_str(), to.title())).collect();
    let shell = frame(app, who, Section::Items, "Change the state").await?.under("Vulnerable items", "/items");
    Ok(DialogPage {
        shell,
        to: address("/items/changes", &[("items", &chosen.items), ("q", &chosen.q)]),
        text: format!("Of {of}. Those that may not have the new state stay as they are."),
        fields: vec![
            Field::select("state", "New state", state, choices)
                .help("Only an import closes an item: set it to Resolved, then rescan it.")
                .faulted(&wrong),
        ],
        faults: Faults(wrong),
        verb: "Change",
        back: address("/items", &[("q", &chosen.q)]),
    })
}

async fn form(State(app): State<App>, who: PageActor, Query(chosen): Query<Chosen>) -> Result<Response, Error> {
    Ok(Show(page(&app, &who, &chosen, ItemState::UnderInvestigation.as_str(), Vec::new()).await?).into_response())
}

async fn change(
    State(app): State<App>,
    who: PageActor,
    Query(chosen): Query<Chosen>,
    fields: Fields,
) -> Result<Response, Error> {
    let state = fields.one("state").to_owned();
    let mut wanted = ItemChanges { state: Some(state.clone()), ..ItemChanges::default() };
    match chosen.q.as_str() {
        "" => wanted.items = named(&chosen),
        q => wanted.q = Some(q.to_owned()),
    }
    let wrong = match api::item_changes::change_all(&app, &who, wanted).await {
        Ok(done) => {
            let rest: Vec<String> = done.refused.iter().map(|one| format!("{} {}", one.count, one.code)).collect();
            let rest = if rest.is_empty() { String::new() } else { format!(" Left as they are: {}.", rest.join(", ")) };
            let items = if done.changed == 1 { "1 item".to_owned() } else { format!("{} items", done.changed) };
            let said = Flash { failed: !done.refused.is_empty(), ..Flash::done(format!("{items} changed.{rest}")) };
            return Ok(flash::redirect(&address("/items", &[("q", &chosen.q)]), Some(said)));
        }
        Err(Error::Refused(refusal)) => vec![Fault::new("state", exposure::refused(&refusal))],
        Err(error) => faults(error, |field| field)?,
    };
    Ok(again(page(&app, &who, &chosen, &state, wrong).await?))
}
