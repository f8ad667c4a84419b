//! `/items/changes` and `/items/assignment`: a new state, or an owner and a group, for several items at once, picked in their list
//! or all that match.

use super::exceptions::{Chosen, named, picked};
use super::frame::{Show, again, faults, frame};
use super::{exposure, item};
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
use protocol::api::exposure::{Assignment, ItemChanges, ItemsChangedBody};

/// The states that people give.
const GIVEN: [ItemState; 4] =
    [ItemState::Open, ItemState::UnderInvestigation, ItemState::AwaitingImplementation, ItemState::Resolved];

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/items/state", post(of_rows))
        .route("/items/changes", get(form).post(change))
        .route("/items/assign", post(assigned_rows))
        .route("/items/assignment", get(assignment).post(assign))
}

async fn of_rows(_who: PageActor, fields: Fields) -> Result<Response, Error> {
    Ok(picked(&fields, "/items/changes"))
}

/// How many items are chosen, in words.
async fn counted(app: &App, who: &PageActor, chosen: &Chosen) -> Result<String, Error> {
    let count = match chosen.q.as_str() {
        "" => named(chosen).len(),
        q => api::items::matching(app, who, q, api::item_changes::CHANGED_MAX).await?.len(),
    };
    Ok(if count == 1 { "1 item".to_owned() } else { format!("{count} items") })
}

/// The chosen items with what they get.
fn of(chosen: &Chosen, gets: ItemChanges) -> ItemChanges {
    match chosen.q.as_str() {
        "" => ItemChanges { items: named(chosen), ..gets },
        q => ItemChanges { q: Some(q.to_owned()), ..gets },
    }
}

/// Back to the list with what came of it.
fn told(chosen: &Chosen, done: &ItemsChangedBody, did: &str) -> Response {
    let rest: Vec<String> = done.refused.iter().map(|one| format!("{} {}", one.count, one.code)).collect();
    let rest = if rest.is_empty() { String::new() } else { format!(" Left as they are: {}.", rest.join(", ")) };
    let items = if done.changed == 1 { "1 item".to_owned() } else { format!("{} items", done.changed) };
    let said = Flash { failed: !done.refused.is_empty(), ..Flash::done(format!("{items} {did}.{rest}")) };
    flash::redirect(&address("/items", &[("q", &chosen.q)]), Some(said))
}

async fn page(
    app: &App,
    who: &PageActor,
    chosen: &Chosen,
    state: &str,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    who.may(Action::ItemTransition, &who.own())?;
    let of = counted(app, who, chosen).await?;
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
    let wanted = of(&chosen, ItemChanges { state: Some(state.clone()), ..ItemChanges::default() });
    let wrong = match api::item_changes::change_all(&app, &who, wanted).await {
        Ok(done) => return Ok(told(&chosen, &done, "changed")),
        Err(Error::Refused(refusal)) => vec![Fault::new("state", exposure::refused(&refusal))],
        Err(error) => faults(error, |field| field)?,
    };
    Ok(again(page(&app, &who, &chosen, &state, wrong).await?))
}

async fn assigned_rows(_who: PageActor, fields: Fields) -> Result<Response, Error> {
    Ok(picked(&fields, "/items/assignment"))
}

async fn assignment_page(
    app: &App,
    who: &PageActor,
    chosen: &Chosen,
    (assignee, group): (&str, &str),
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    who.may(Action::ItemAssign, &who.own())?;
    let (of, now) = (counted(app, who, chosen).await?, app.clock.now());
    let (people, groups) = app.database.try_read(move |tx| item::choices(tx, now)).await?;
    let shell = frame(app, who, Section::Items, "Assign items").await?.under("Vulnerable items", "/items");
    Ok(DialogPage {
        shell,
        to: address("/items/assignment", &[("items", &chosen.items), ("q", &chosen.q)]),
        text: format!("{of}. Each gets this person and this group, in place of those it has."),
        fields: vec![
            item::chosen("assignee", "Assigned to", assignee, people).faulted(&wrong),
            item::chosen("group", "Group", group, groups).help("Every member may work on them").faulted(&wrong),
        ],
        faults: Faults(wrong),
        verb: "Assign",
        back: address("/items", &[("q", &chosen.q)]),
    })
}

async fn assignment(State(app): State<App>, who: PageActor, Query(chosen): Query<Chosen>) -> Result<Response, Error> {
    Ok(Show(assignment_page(&app, &who, &chosen, ("", ""), Vec::new()).await?).into_response())
}

async fn assign(
    State(app): State<App>,
    who: PageActor,
    Query(chosen): Query<Chosen>,
    fields: Fields,
) -> Result<Response, Error> {
    let (assignee, group) = (fields.one("assignee").to_owned(), fields.one("group").to_owned());
    let given = Assignment { assignee: Some(assignee.clone()), group: Some(group.clone()) };
    let wanted = of(&chosen, ItemChanges { assignment: Some(given), ..ItemChanges::default() });
    let wrong = match api::item_changes::change_all(&app, &who, wanted).await {
        Ok(done) => return Ok(told(&chosen, &done, "assigned")),
        Err(Error::Refused(refusal)) => vec![Fault::new("assignee", exposure::refused(&refusal))],
        Err(error) => faults(error, |field| field)?,
    };
    Ok(again(assignment_page(&app, &who, &chosen, (&assignee, &group), wrong).await?))
}
