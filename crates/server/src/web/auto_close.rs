//! `/rules/auto-close`: rules that close items which nothing reports any more.

use super::exposure;
use super::frame::{Show, again, faults, frame, sentence};
use crate::api::auto_close as api;
use crate::app::App;
use crate::engine::stale as logic;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, PageActor};
use crate::pages::auto_close::{AutoClosePage, COLUMNS, RuleRow, RunLine};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::{Action as Button, Columns, address};
use crate::pages::{Chip, Choice, Fault, Field, Section, Tone, count};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::autoclose::Kind;
use domain::time::Timestamp;
use protocol::api::auto_close::{AutoCloseChange, AutoCloseRule, AutoCloseRun};
use serde::Deserialize;
use store::items::stale::Rule;

const PATH: &str = "/rules/auto-close";

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route(PATH, get(index))
        .route("/rules/auto-close/new", get(new).post(create))
        .route("/rules/auto-close/{id}", get(edit).post(change))
        .route("/rules/auto-close/{id}/run", get(try_it).post(run))
        .route("/rules/auto-close/{id}/delete", post(delete))
}

/// The version of a rule that a form was made of.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Seen {
    version: i64,
}

async fn index(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    let (rules, now) = (api::all(&app, &who).await?, app.clock.now());
    let columns = Columns {
        columns: COLUMNS.to_vec(),
        pick: false,
        path: PATH.to_owned(),
        q: String::new(),
        sort: String::new(),
        keep: Vec::new(),
    };
    let shell = frame(&app, &who, Section::Rules, "Rules that close items")
        .await?
        .action(super::assignment::way(&who))
        .action(super::due::way(&who))
        .action(super::item_settings::way(&who))
        .action(Button::show("Add a rule", "/rules/auto-close/new").icon("plus"));
    Ok(Show(AutoClosePage { shell, columns, rows: rules.iter().map(|rule| row(rule, now)).collect() }).into_response())
}

fn row(rule: &AutoCloseRule, now: Timestamp) -> RuleRow {
    let at = |tail: &str| format!("{PATH}/{}{tail}", rule.id);
    let state = match (&rule.asked_by, rule.active) {
        (Some(_), _) => Chip::new(Tone::Run, "Begins now"),
        (None, true) => Chip::new(Tone::Ok, "Active"),
        (None, false) => Chip::new(Tone::Idle, "Not active"),
    };
    RuleRow {
        name: rule.name.clone(),
        words: rule.words.clone(),
        state,
        position: rule.position,
        condition: rule.condition.clone(),
        runs: rule.runs.iter().map(|run| line(run, now)).collect(),
        actions: vec![
            Button::show("Edit", at("")).icon("pencil"),
            Button::show("Run", at("/run")).icon("player-play"),
            Button::post("Delete", address(&at("/delete"), &[("version", &rule.version.to_string())]))
                .icon("trash")
                .asking("Delete this rule?", format!("{}. What it closed stays closed.", rule.name), "Delete"),
        ],
    }
}

fn line(run: &AutoCloseRun, now: Timestamp) -> RunLine {
    let state = match run.held.as_deref() {
        Some("too_many") => Chip::new(Tone::Warn, format!("{} wait for a person", count(run.matched))),
        Some(_) => Chip::new(Tone::Warn, "Left out"),
        None if run.matched == 0 => Chip::new(Tone::Idle, "Nothing to close"),
        None => Chip::new(Tone::Ok, format!("{} closed", count(run.closed))),
    };
    RunLine {
        instance: run.instance.clone(),
        state,
        at: exposure::near(run.at, now),
        reason: run.reason.as_deref().map(sentence).unwrap_or_default(),
    }
}

/// What stands in the form.
struct Given {
    name: String,
    kind: String,
    days: String,
    condition: String,
    position: String,
    ignore_deferred: bool,
    active: bool,
}

impl Given {
    fn fresh() -> Given {
        Given {
            name: String::new(),
            kind: Kind::DetectionLastFound.as_str().to_owned(),
            days: "90".to_owned(),
            condition: String::new(),
            position: "100".to_owned(),
            ignore_deferred: true,
            active: false,
        }
    }

    fn of(rule: &Rule) -> Given {
        Given {
            name: rule.name.clone(),
            kind: rule.kind.as_str().to_owned(),
            days: rule.days.to_string(),
            condition: rule.condition.clone(),
            position: rule.position.to_string(),
            ignore_deferred: rule.ignore_deferred,
            active: rule.active,
        }
    }

    fn sent(fields: &Fields) -> Given {
        let one = |name: &str| fields.one(name).to_owned();
        Given {
            name: one("name"),
            kind: one("kind"),
            days: one("days"),
            condition: one("condition"),
            position: one("position"),
            ignore_deferred: one("ignore_deferred") == "on",
            active: one("active") == "on",
        }
    }

    fn change(&self) -> AutoCloseChange {
        // What is no number is out of bounds, and said to be.
        let number = |text: &str| Some(text.trim().parse().unwrap_or(-1));
        AutoCloseChange {
            name: Some(self.name.clone()),
            active: Some(self.active),
            position: number(&self.position),
            kind: Some(self.kind.clone()),
            days: number(&self.days),
            condition: Some(self.condition.clone()),
            ignore_deferred: Some(self.ignore_deferred),
        }
    }
}

async fn form(
    app: &App,
    who: &PageActor,
    rule: Option<&Rule>,
    given: &Given,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let title = rule.map_or_else(|| "Add a rule".to_owned(), |rule| rule.name.clone());
    let shell = frame(app, who, Section::Rules, title).await?.under("Rules that close items", PATH);
    let kinds = Kind::ALL.into_iter().map(|kind| Choice::new(kind.as_str(), kind.title())).collect();
    let fields = vec![
        Field::line("name", "Name", &given.name).required().focus(),
        Field::select("kind", "Closes an item when", &given.kind, kinds),
        Field::typed("number", "days", "Days, or full pulls", &given.days).required(),
        Field::line("condition", "Only items that match", &given.condition)
            .mono()
            .help("In the query language of the items' list; empty for every item"),
        Field::typed("number", "position", "Order", &given.position).required(),
        Field::tick("ignore_deferred", "Leave deferred items alone", given.ignore_deferred),
        Field::tick("active", "Once a day by itself", given.active),
    ];
    Ok(DialogPage {
        shell,
        to: match rule {
            Some(rule) => address(&format!("{PATH}/{}", rule.id), &[("version", &rule.version.to_string())]),
            None => format!("{PATH}/new"),
        },
        text: "An item closes as stale when all its open detections are old. Run shows what the rule would do."
            .to_owned(),
        fields: fields.into_iter().map(|field| field.faulted(&wrong)).collect(),
        faults: Faults(wrong),
        verb: "Save",
        back: PATH.to_owned(),
    })
}

async fn new(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    who.may(Action::RuleEdit, &Record::default())?;
    Ok(Show(form(&app, &who, None, &Given::fresh(), Vec::new()).await?).into_response())
}

async fn create(State(app): State<App>, who: PageActor, fields: Fields) -> Result<Response, Error> {
    let given = Given::sent(&fields);
    let made = match api::wanted(None, &given.change()) {
        Ok(wanted) => logic::create(&app, &who, wanted).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(rule) => Ok(flash::redirect(PATH, Some(Flash::done(format!("The rule \"{}\" is there.", rule.name))))),
        Err(error) => {
            let wrong = wrong(error)?;
            Ok(again(form(&app, &who, None, &given, wrong).await?))
        }
    }
}

fn wrong(error: Error) -> Result<Vec<Fault>, Error> {
    match error {
        Error::Refused(refusal) => Ok(vec![Fault::new("name", exposure::refused(&refusal))]),
        error => faults(error, |field| field),
    }
}

async fn edit(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    let rule = logic::known(&app, &who, id).await?;
    Ok(Show(form(&app, &who, Some(&rule), &Given::of(&rule), Vec::new()).await?).into_response())
}

async fn change(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<i64>,
    Query(seen): Query<Seen>,
    fields: Fields,
) -> Result<Response, Error> {
    let given = Given::sent(&fields);
    let wanted = given.change();
    let changed =
        logic::change(&app, &who, id, Some(seen.version), move |before| api::wanted(Some(before), &wanted)).await;
    match changed {
        Ok(rule) => Ok(flash::redirect(PATH, Some(Flash::done(format!("The rule \"{}\" is saved.", rule.name))))),
        Err(error) => {
            let wrong = wrong(error)?;
            let rule = logic::known(&app, &who, id).await?;
            Ok(again(form(&app, &who, Some(&rule), &given, wrong).await?))
        }
    }
}

async fn try_it(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    let rule = logic::known(&app, &who, id).await?;
    let judged = api::judged(&logic::dry_run(&app, &who, id, false).await?);
    let said: Vec<String> = judged
        .iter()
        .map(|one| {
            let of = format!("{}: {} of {} open items", one.instance, count(one.matched), count(one.open));
            match &one.reason {
                Some(reason) => format!("{of}. {}", sentence(reason)),
                None => format!("{of}."),
            }
        })
        .collect();
    let text = match said.is_empty() {
        true => "No integration of an active scanner is there to look at.".to_owned(),
        false => format!("It would close: {}", said.join(" ")),
    };
    let mut choices = vec![Choice::new("bound", "Where it is within the bound of a day")];
    if judged.iter().any(|one| one.held.as_deref() == Some("too_many")) {
        choices.push(Choice::new("all", "Everywhere, however many they are"));
    }
    let title = format!("Run \"{}\"", rule.name);
    let shell = frame(&app, &who, Section::Rules, title).await?.under("Rules that close items", PATH);
    let page = DialogPage {
        shell,
        to: format!("{PATH}/{id}/run"),
        text,
        fields: vec![Field::select("all", "Close them", "bound", choices)],
        faults: Faults(Vec::new()),
        verb: "Run",
        back: PATH.to_owned(),
    };
    Ok(Show(page).into_response())
}

async fn run(State(app): State<App>, who: PageActor, Path(id): Path<i64>, fields: Fields) -> Result<Response, Error> {
    let rule = logic::ask(&app, &who, id, fields.one("all") == "all").await?;
    let said = Flash::done(format!("The rule \"{}\" begins; its row says what it did.", rule.name));
    Ok(flash::redirect(PATH, Some(said)))
}

async fn delete(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<i64>,
    Query(seen): Query<Seen>,
) -> Result<Response, Error> {
    logic::delete(&app, &who, id, Some(seen.version)).await?;
    Ok(flash::redirect(PATH, Some(Flash::done("The rule is deleted. What it closed stays closed."))))
}
