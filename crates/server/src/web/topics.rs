//! `/topics`: queries of items that people keep an eye on, one of them with its numbers, and the dialogs that make and change them.

use super::exposure;
use super::frame::{Show, again, faults, frame, sentence};
use super::item::{choices, chosen};
use crate::api::topics as api;
use crate::app::App;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, IfMatch, PageActor};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::{Action as Button, Columns, address};
use crate::pages::topics::{COLUMNS, TopicPage, TopicRow, TopicsPage};
use crate::pages::{Chip, Fact, Fault, Field, Section, Tone, Value};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::filter::{Filter, parse};
use protocol::api::topics::{Topic, TopicBody, TopicChange};
use serde::Deserialize;

const PATH: &str = "/topics";

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route(PATH, get(index))
        .route("/topics/new", get(new).post(create))
        .route("/topics/{id}", get(show))
        .route("/topics/{id}/change", get(edit).post(change))
        .route("/topics/{id}/delete", post(delete))
}

/// The version of a topic that a form was made of.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Seen {
    version: Option<i64>,
}

fn state(topic: &Topic) -> Chip {
    if topic.active { Chip::new(Tone::Ok, "Active") } else { Chip::new(Tone::Idle, "Not active") }
}

fn watched(topic: &Topic) -> String {
    topic.owner.clone().or_else(|| topic.group.clone()).unwrap_or_default()
}

/// Why somebody may not change topics.
fn denied(who: &PageActor) -> Option<String> {
    exposure::reason(&who.decide(Action::TaskEdit, &Record::default()))
}

async fn index(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    let topics = api::all(&app, &who).await?;
    let columns = Columns {
        columns: COLUMNS.to_vec(),
        pick: false,
        path: PATH.to_owned(),
        q: String::new(),
        sort: String::new(),
        keep: Vec::new(),
    };
    let row = |topic: &Topic| TopicRow {
        name: topic.name.clone(),
        href: format!("{PATH}/{}", topic.id),
        description: topic.description.clone(),
        state: state(topic),
        position: topic.position,
        condition: topic.condition.clone(),
        owner: watched(topic),
    };
    let shell = frame(&app, &who, Section::Topics, "Watch topics")
        .await?
        .action(Button::show("Add a topic", "/topics/new").icon("plus").unless(denied(&who)));
    Ok(Show(TopicsPage { shell, columns, rows: topics.iter().map(row).collect() }).into_response())
}

/// The list of the topic's items with this condition beside.
fn items(topic: &Topic, also: &str) -> Result<String, Error> {
    let read = |text: &str| parse(text, &store::items::FIELDS).map_err(Error::internal);
    let both = Filter::and(vec![read(&topic.condition)?, read(also)?]);
    Ok(address("/items", &[("q", &both.to_string())]))
}

async fn show(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    let TopicBody { topic, items: counted } = api::one(&app, &who, id).await?;
    let mut counts = Vec::new();
    if let Some(counted) = counted {
        for (label, number, also) in [
            ("Active", counted.active, "is:open"),
            ("Critical", counted.critical, "is:open and score:>=90"),
            ("Overdue", counted.overdue, "is:overdue"),
            ("In an effort", counted.in_effort, "is:open and is:in_effort"),
        ] {
            counts.push((label, number, items(&topic, also)?));
        }
    }
    let nothing = match (counted.is_some(), topic.active) {
        (true, _) => None,
        (false, false) => Some("This topic is not active, so it has no numbers and no efforts.".to_owned()),
        (false, true) => Some("This topic has no condition yet; say which items it is about.".to_owned()),
    };
    let at = |tail: &str| format!("{PATH}/{id}{tail}");
    let refused = denied(&who);
    let actions = vec![
        Button::show("New effort", address("/efforts/new", &[("topic", &id.to_string())]))
            .icon("target")
            .primary()
            .unless(refused.clone().or_else(|| nothing.clone())),
        Button::show("Change", at("/change")).icon("pencil").unless(refused.clone()),
        Button::post("Delete", address(&at("/delete"), &[("version", &topic.version.to_string())]))
            .icon("trash")
            .danger()
            .asking("Delete this topic?", format!("{}. Efforts that were made of it stay.", topic.name), "Delete")
            .unless(refused),
    ];
    let text = |text: &Option<String>| Value::text(text.clone().unwrap_or_default());
    let page = TopicPage {
        shell: frame(&app, &who, Section::Topics, topic.name.clone()).await?.under("Watch topics", PATH),
        name: topic.name.clone(),
        marks: vec![state(&topic)],
        actions,
        description: topic.description.clone(),
        nothing,
        counts,
        facts: vec![
            Fact::new("Items", Value::code(&topic.condition)),
            Fact::new("Watched by", text(&topic.owner)),
            Fact::new("Group", text(&topic.group)),
            Fact::new("Efforts", Value::link("made of it", efforts(&topic))),
        ],
    };
    Ok(Show(page).into_response())
}

/// The list of the efforts that were made of a topic.
fn efforts(topic: &Topic) -> String {
    use domain::filter::{Match, Operand, Operator};
    let operand = Operand::Text(topic.name.clone(), Match::Usual);
    let of = Filter::Compare { field: "topic", operator: Operator::Equal, operand };
    address("/efforts", &[("q", &of.to_string())])
}

/// What stands in the form.
fn sent(fields: &Fields) -> TopicChange {
    let one = |name: &str| Some(fields.one(name).to_owned());
    TopicChange {
        name: one("name"),
        description: one("description"),
        condition: one("condition"),
        owner: one("owner"),
        group: one("group"),
        // What is no number is out of bounds, and said to be.
        position: Some(fields.one("position").trim().parse().unwrap_or(-1)),
        active: Some(fields.one("active") == "on"),
    }
}

fn kept(topic: &Topic) -> TopicChange {
    TopicChange {
        name: Some(topic.name.clone()),
        description: Some(topic.description.clone()),
        condition: Some(topic.condition.clone()),
        owner: topic.owner.clone(),
        group: topic.group.clone(),
        position: Some(topic.position),
        active: Some(topic.active),
    }
}

async fn form(
    app: &App,
    who: &PageActor,
    topic: Option<(i64, i64)>,
    given: &TopicChange,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    who.may(Action::TaskEdit, &Record::default())?;
    let now = app.clock.now();
    let (people, groups) = app.database.try_read(move |tx| choices(tx, now)).await?;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let title = if topic.is_some() { text(&given.name) } else { "Add a topic".to_owned() };
    let position = given.position.map(|position| position.to_string()).unwrap_or_default();
    let fields = vec![
        Field::line("name", "Name", text(&given.name)).required().focus(),
        Field::text("description", "What it is about", text(&given.description), 2),
        Field::line("condition", "Items that match", text(&given.condition))
            .mono()
            .help("In the query language of the items' list"),
        chosen("owner", "Watched by", &text(&given.owner), people),
        chosen("group", "Group", &text(&given.group), groups),
        Field::typed("number", "position", "Order", position).required().help("The lowest is shown first"),
        Field::tick("active", "Active", given.active.unwrap_or(true)),
    ];
    Ok(DialogPage {
        shell: frame(app, who, Section::Topics, title).await?.under("Watch topics", PATH),
        to: match topic {
            Some((id, version)) => address(&format!("{PATH}/{id}/change"), &[("version", &version.to_string())]),
            None => format!("{PATH}/new"),
        },
        text: String::new(),
        fields: fields.into_iter().map(|field| field.faulted(&wrong)).collect(),
        faults: Faults(wrong),
        verb: "Save",
        back: topic.map_or_else(|| PATH.to_owned(), |(id, _)| format!("{PATH}/{id}")),
    })
}

fn wrong(error: Error) -> Result<Vec<Fault>, Error> {
    match error {
        Error::Refused(refusal) => Ok(vec![Fault::new("name", sentence(&refusal.sentence))]),
        error => faults(error, |field| field),
    }
}

async fn new(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    let fresh = TopicChange { position: Some(100), ..TopicChange::default() };
    Ok(Show(form(&app, &who, None, &fresh, Vec::new()).await?).into_response())
}

async fn create(State(app): State<App>, who: PageActor, fields: Fields) -> Result<Response, Error> {
    let given = sent(&fields);
    match api::make(&app, &who, given.clone()).await {
        Ok(topic) => Ok(flash::redirect(&format!("{PATH}/{}", topic.id), Some(Flash::done("The topic is there.")))),
        Err(error) => Ok(again(form(&app, &who, None, &given, wrong(error)?).await?)),
    }
}

async fn edit(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    let topic = api::one(&app, &who, id).await?.topic;
    Ok(Show(form(&app, &who, Some((id, topic.version)), &kept(&topic), Vec::new()).await?).into_response())
}

async fn change(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<i64>,
    Query(seen): Query<Seen>,
    fields: Fields,
) -> Result<Response, Error> {
    let given = sent(&fields);
    match api::edit(&app, &who, id, IfMatch(seen.version), given.clone()).await {
        Ok(_) => Ok(flash::redirect(&format!("{PATH}/{id}"), Some(Flash::done("The topic is saved.")))),
        Err(error) => {
            let place = Some((id, seen.version.unwrap_or_default()));
            Ok(again(form(&app, &who, place, &given, wrong(error)?).await?))
        }
    }
}

async fn delete(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<i64>,
    Query(seen): Query<Seen>,
) -> Result<Response, Error> {
    api::remove(&app, &who, id, IfMatch(seen.version)).await?;
    Ok(flash::redirect(PATH, Some(Flash::done("The topic is deleted."))))
}
