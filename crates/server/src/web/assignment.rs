//! `/rules/assignment`: rules that give new and reopened items to somebody.

use super::exposure;
use super::frame::{Show, again, faults, frame};
use super::item::{choices, chosen};
use crate::api::assignment as api;
use crate::app::App;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Caller, Error, IfMatch, PageActor};
use crate::pages::assignment::{AssignmentPage, COLUMNS, RuleRow};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::{Action as Button, Columns, address};
use crate::pages::{Chip, Choice, Fault, Field, Section, Tone, count};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::assignment::Kind;
use protocol::api::assignment::{AssignmentRule, AssignmentRuleChange};
use serde::Deserialize;

const PATH: &str = "/rules/assignment";

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route(PATH, get(index))
        .route("/rules/assignment/new", get(new).post(create))
        .route("/rules/assignment/apply", get(try_all).post(apply))
        .route("/rules/assignment/{id}", get(edit).post(change))
        .route("/rules/assignment/{id}/delete", post(delete))
}

/// The way here from the other rules.
pub(super) fn way(who: &Caller) -> Button {
    let denied = exposure::reason(&who.decide(Action::RuleEdit, &Record::default()));
    Button::go("Assignment", PATH).icon("user-plus").unless(denied)
}

/// The version of a rule that a form was made of.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Seen {
    version: Option<i64>,
}

async fn index(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    let rules = api::all(&app, &who).await?;
    let columns = Columns {
        columns: COLUMNS.to_vec(),
        pick: false,
        path: PATH.to_owned(),
        q: String::new(),
        sort: String::new(),
        keep: Vec::new(),
    };
    let nothing = rules.iter().all(|rule| !rule.active).then(|| "No rule is active.".to_owned());
    let shell = frame(&app, &who, Section::Rules, "Rules that assign items")
        .await?
        .action(Button::go("Closing", "/rules/auto-close").icon("adjustments-horizontal"))
        .action(Button::show("Ask again", "/rules/assignment/apply").icon("refresh").unless(nothing))
        .action(Button::show("Add a rule", "/rules/assignment/new").icon("plus"));
    Ok(Show(AssignmentPage { shell, columns, rows: rules.iter().map(row).collect() }).into_response())
}

fn row(rule: &AssignmentRule) -> RuleRow {
    let at = |tail: &str| format!("{PATH}/{}{tail}", rule.id);
    let state = if rule.active { Chip::new(Tone::Ok, "Active") } else { Chip::new(Tone::Idle, "Not active") };
    let named = |name: &Option<String>| name.clone().unwrap_or_default();
    RuleRow {
        name: rule.name.clone(),
        state,
        position: rule.position,
        condition: rule.condition.clone(),
        to: match Kind::parse(&rule.kind) {
            Some(Kind::Group) => format!("the group {}", named(&rule.group)),
            Some(Kind::User) => named(&rule.user),
            Some(Kind::Tag) => format!("the group that a tag names after {}", named(&rule.tag_prefix)),
            Some(Kind::Previous) => "whoever had it before, when it comes back".to_owned(),
            None => rule.kind.clone(),
        },
        items: rule.items,
        href: address("/items", &[("q", &format!("assigned_by:\"rule:{}\"", rule.id))]),
        actions: vec![
            Button::show("Edit", at("")).icon("pencil"),
            Button::post("Delete", address(&at("/delete"), &[("version", &rule.version.to_string())]))
                .icon("trash")
                .asking("Delete this rule?", format!("{}. What it assigned stays as it is.", rule.name), "Delete"),
        ],
    }
}

/// What stands in the form.
#[derive(Clone, Debug, Default)]
struct Given {
    name: String,
    condition: String,
    kind: String,
    group: String,
    user: String,
    tag_prefix: String,
    position: String,
    active: bool,
}

impl Given {
    fn fresh() -> Given {
        Given {
            kind: Kind::Group.as_str().to_owned(),
            tag_prefix: "owner:".to_owned(),
            position: "100".to_owned(),
            active: true,
            ..Given::default()
        }
    }

    fn of(rule: &AssignmentRule) -> Given {
        let named = |name: &Option<String>| name.clone().unwrap_or_default();
        Given {
            name: rule.name.clone(),
            condition: rule.condition.clone(),
            kind: rule.kind.clone(),
            group: named(&rule.group),
            user: named(&rule.user),
            tag_prefix: named(&rule.tag_prefix),
            position: rule.position.to_string(),
            active: rule.active,
        }
    }

    fn sent(fields: &Fields) -> Given {
        let one = |name: &str| fields.one(name).to_owned();
        Given {
            name: one("name"),
            condition: one("condition"),
            kind: one("kind"),
            group: one("group"),
            user: one("user"),
            tag_prefix: one("tag_prefix"),
            position: one("position"),
            active: one("active") == "on",
        }
    }

    fn change(&self) -> AssignmentRuleChange {
        AssignmentRuleChange {
            name: Some(self.name.clone()),
            active: Some(self.active),
            // What is no number is out of bounds, and said to be.
            position: Some(self.position.trim().parse().unwrap_or(-1)),
            condition: Some(self.condition.clone()),
            kind: Some(self.kind.clone()),
            group: Some(self.group.clone()),
            user: Some(self.user.clone()),
            tag_prefix: Some(self.tag_prefix.clone()),
        }
    }
}

async fn form(
    app: &App,
    who: &PageActor,
    rule: Option<(i64, i64)>,
    given: &Given,
    text: String,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    who.may(Action::RuleEdit, &Record::default())?;
    let now = app.clock.now();
    let (people, groups) = app.database.try_read(move |tx| choices(tx, now)).await?;
    let title = if rule.is_some() { given.name.clone() } else { "Add a rule".to_owned() };
    let shell = frame(app, who, Section::Rules, title).await?.under("Rules that assign items", PATH);
    let kinds = Kind::ALL.into_iter().map(|kind| Choice::new(kind.as_str(), kind.title())).collect();
    let fields = vec![
        Field::line("name", "Name", &given.name).required().focus(),
        Field::line("condition", "Only items that match", &given.condition)
            .mono()
            .help("In the query language of the items' list; empty for every item"),
        Field::select("kind", "Gives them to", &given.kind, kinds),
        chosen("group", "Group", &given.group, groups),
        chosen("user", "Person", &given.user, people),
        Field::line("tag_prefix", "A tag that begins with", &given.tag_prefix)
            .mono()
            .help("With owner: the tag owner:linux gives to the group linux"),
        Field::typed("number", "position", "Order", &given.position).required().help("The lowest is asked first"),
        Field::tick("active", "Active", given.active),
    ];
    Ok(DialogPage {
        shell,
        to: match rule {
            Some((id, version)) => address(&format!("{PATH}/{id}"), &[("version", &version.to_string())]),
            None => format!("{PATH}/new"),
        },
        text,
        fields: fields.into_iter().map(|field| field.faulted(&wrong)).collect(),
        faults: Faults(wrong),
        verb: "Save",
        back: PATH.to_owned(),
    })
}

async fn new(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    Ok(Show(form(&app, &who, None, &Given::fresh(), String::new(), Vec::new()).await?).into_response())
}

fn wrong(error: Error) -> Result<Vec<Fault>, Error> {
    match error {
        Error::Refused(refusal) => Ok(vec![Fault::new("name", exposure::refused(&refusal))]),
        error => faults(error, |field| field),
    }
}

async fn create(State(app): State<App>, who: PageActor, fields: Fields) -> Result<Response, Error> {
    let given = Given::sent(&fields);
    match api::make(&app, &who, given.change()).await {
        Ok(rule) => Ok(flash::redirect(PATH, Some(Flash::done(format!("The rule \"{}\" is there.", rule.name))))),
        Err(error) => Ok(again(form(&app, &who, None, &given, String::new(), wrong(error)?).await?)),
    }
}

async fn edit(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    let seen = api::one(&app, &who, id).await?;
    let text = format!(
        "It matches {}{} items now that no person assigned.",
        count(seen.matching),
        if seen.matching >= api::COUNTED_MAX { " or more" } else { "" }
    );
    let place = Some((id, seen.rule.version));
    Ok(Show(form(&app, &who, place, &Given::of(&seen.rule), text, Vec::new()).await?).into_response())
}

async fn change(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<i64>,
    Query(seen): Query<Seen>,
    fields: Fields,
) -> Result<Response, Error> {
    let given = Given::sent(&fields);
    match api::edit(&app, &who, id, IfMatch(seen.version), given.change()).await {
        Ok(rule) => Ok(flash::redirect(PATH, Some(Flash::done(format!("The rule \"{}\" is saved.", rule.name))))),
        Err(error) => {
            let place = Some((id, seen.version.unwrap_or_default()));
            Ok(again(form(&app, &who, place, &given, String::new(), wrong(error)?).await?))
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
    Ok(flash::redirect(PATH, Some(Flash::done("The rule is deleted. What it assigned stays as it is."))))
}

async fn try_all(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    let done = api::ask_again(&app, &who, true).await?;
    let mut text = format!(
        "Of {} items that no person assigned, {} would be given to somebody else.",
        count(done.looked),
        count(done.changed)
    );
    for rule in done.rules.iter().filter(|rule| rule.changed + rule.skipped > 0) {
        let skipped = match rule.skipped {
            0 => String::new(),
            skipped => format!(", and can give {} to nobody", count(skipped)),
        };
        text.push_str(&format!(" \"{}\" gives {}{skipped}.", rule.name, count(rule.changed)));
    }
    let shell = frame(&app, &who, Section::Rules, "Ask the rules again").await?.under("Rules that assign items", PATH);
    let page = DialogPage {
        shell,
        to: "/rules/assignment/apply".to_owned(),
        text,
        fields: Vec::new(),
        faults: Faults(Vec::new()),
        verb: "Ask again",
        back: PATH.to_owned(),
    };
    Ok(Show(page).into_response())
}

async fn apply(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    let done = api::ask_again(&app, &who, false).await?;
    let said = format!("{} of {} items are given to somebody else.", count(done.changed), count(done.looked));
    Ok(flash::redirect(PATH, Some(Flash::done(said))))
}
