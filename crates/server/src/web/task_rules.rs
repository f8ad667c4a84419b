//! `/rules/tasks`: the rules that put items of an import into remediation tasks, one of them with what it would make, and its dialogs.

use super::frame::{Show, again, faults, frame};
use super::{exposure, item};
use crate::api;
use crate::app::App;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, IfMatch, PageActor};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::{Action as Button, address};
use crate::pages::task_rules::{COLUMNS, RuleLine, TaskRulePage, TaskRulesPage};
use crate::pages::{Chip, Choice, Columns, Empty, Fact, Fault, Field, Section, Tone, Value};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::remediation::group::{Field as By, WORDS};
use domain::remediation::rule::Assign;
use protocol::api::tasks::NewTaskRule;
use serde::Deserialize;
use store::remediation::rules::{RuleRow, TRIED_MAX};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/rules/tasks", get(index))
        .route("/rules/tasks/mode", post(turn))
        .route("/rules/tasks/new", get(new_form).post(make))
        .route("/rules/tasks/{id}", get(show))
        .route("/rules/tasks/{id}/edit", get(edit_form).post(edit))
        .route("/rules/tasks/{id}/apply", post(apply))
        .route("/rules/tasks/{id}/delete", get(delete_form).post(delete))
}

fn active(row: &RuleRow) -> Chip {
    if row.active { Chip::new(Tone::Ok, "Active") } else { Chip::new(Tone::Idle, "Off") }
}

fn grouped(row: &RuleRow) -> String {
    let fields: Vec<String> = row.fields().iter().map(By::text).collect();
    if fields.is_empty() { "all in one".to_owned() } else { fields.join(", ") }
}

fn goes_to(row: &RuleRow) -> String {
    match row.assignment() {
        Assign::Item => "the items' group".to_owned(),
        Assign::Field(field) => format!("the group named by {}", field.text()),
        Assign::Fixed { .. } => {
            let names = [row.assign_name.as_str(), &row.assign_group].into_iter().filter(|name| !name.is_empty());
            let names: Vec<&str> = names.collect();
            if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
        }
    }
}

fn tasks_of(row: &RuleRow) -> String {
    address("/tasks", &[("q", &format!("is:open and rule:\"{}\"", row.name.replace('"', "")))])
}

async fn index(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    let (rules, first_only) = api::task_rules::all(&app, &who).await?;
    let rows = rules.iter().map(|row| RuleLine {
        position: row.position,
        name: row.name.clone(),
        href: format!("/rules/tasks/{}", row.id),
        condition: row.condition.clone(),
        active: active(row),
        group_by: grouped(row),
        to: goes_to(row),
        tasks: row.open_tasks,
        tasks_href: tasks_of(row),
    });
    let (mode, verb) = match first_only {
        true => ("Only the first rule that matches an item takes it.", "Let every rule take it"),
        false => {
            ("Every rule that matches an item takes it, so it may be in several tasks.", "Only the first takes it")
        }
    };
    let to = address("/rules/tasks/mode", &[("first_only", if first_only { "false" } else { "true" })]);
    let add = Button::show("New rule", "/rules/tasks/new").icon("plus");
    let shell = frame(&app, &who, Section::TaskRules, "Task rules").await?.action(add);
    let columns = Columns {
        columns: COLUMNS.to_vec(),
        pick: false,
        path: "/rules/tasks".to_owned(),
        q: String::new(),
        sort: String::new(),
        keep: Vec::new(),
    };
    let empty = Empty::yet("checklist", "No task rules", "A rule puts new items of every import into tasks.");
    let page = TaskRulesPage { shell, columns, empty, mode, turn: Button::post(verb, to), rows: rows.collect() };
    Ok(Show(page).into_response())
}

#[derive(Deserialize)]
struct Mode {
    first_only: bool,
}

async fn turn(State(app): State<App>, who: PageActor, Query(mode): Query<Mode>) -> Result<Response, Error> {
    api::task_rules::put_mode(&app, &who, mode.first_only).await?;
    let text = if mode.first_only { "Only the first rule takes an item now." } else { "Every rule takes an item now." };
    Ok(flash::redirect("/rules/tasks", Some(Flash::done(text))))
}

async fn known(app: &App, who: &PageActor, id: &str) -> Result<RuleRow, Error> {
    who.may(Action::RuleEdit, &Record::default())?;
    let id = id.to_owned();
    app.database.try_read(move |tx| api::task_rules::known(tx, &id)).await
}

/// A rule as somebody would type it.
fn as_typed(row: &RuleRow) -> NewTaskRule {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    NewTaskRule {
        name: row.name.clone(),
        active: row.active,
        position: row.position,
        condition: row.condition.clone(),
        group_by: row.fields().iter().map(By::text).collect(),
        assign: row.assign.clone(),
        group: some(&row.assign_group),
        assignee: some(&row.assign_name),
        title: row.title.clone(),
    }
}

async fn show(State(app): State<App>, who: PageActor, Path(id): Path<String>) -> Result<Response, Error> {
    let row = known(&app, &who, &id).await?;
    let tried = api::task_rules::trial(&app, &who, as_typed(&row)).await?;
    let here = |verb: &str| format!("/rules/tasks/{}/{verb}", row.id);
    let mut marks = vec![active(&row)];
    if !row.stopped_run.is_empty() {
        let why = format!("It had made 10,000 tasks in {}, so further items are without one", row.stopped_run);
        marks.push(Chip::new(Tone::Warn, "Stopped").titled(why));
    }
    let trial = match (tried.items, tried.tasks) {
        (0, _) => "No open item matches.".to_owned(),
        (items, tasks) if items == TRIED_MAX => {
            format!("Of the first {items} open items that match, {tasks} tasks.")
        }
        (items, tasks) => format!("{items} open items match; they would be in {tasks} tasks."),
    };
    let asks = "Its open tasks that nobody has done anything with are made anew, from all open items.";
    let page = TaskRulePage {
        shell: frame(&app, &who, Section::TaskRules, row.name.clone()).await?.under("Task rules", "/rules/tasks"),
        name: row.name.clone(),
        marks,
        actions: vec![
            Button::show("Edit", here("edit")).icon("pencil"),
            Button::post("Apply to open items", here("apply")).icon("refresh").asking(
                "Apply this rule to the open items?",
                asks,
                "Apply",
            ),
            Button::show("Delete", here("delete")).icon("trash").danger(),
        ],
        facts: vec![
            Fact::new("Which items", Value::code(if row.condition.is_empty() { "every item" } else { &row.condition })),
            Fact::new("Grouped by", Value::text(grouped(&row))),
            Fact::new("Tasks go to", Value::text(goes_to(&row))),
            Fact::new("Title", Value::text(&row.title)),
            Fact::new("Place", Value::text(row.position.to_string())),
            Fact::new("Open tasks", Value::link(row.open_tasks.to_string(), tasks_of(&row))),
        ],
        trial,
        first: tried.first.into_iter().map(|task| (task.title, task.items)).collect(),
    };
    Ok(Show(page).into_response())
}

fn typed(fields: &Fields) -> Result<NewTaskRule, Vec<Fault>> {
    let text = |name: &str| fields.one(name).to_owned();
    let position = match fields.one("position") {
        "" => 0,
        digits => digits.parse().map_err(|_| vec![Fault::new("position", "Give a whole number, 1 to 1,000.")])?,
    };
    Ok(NewTaskRule {
        name: text("name"),
        active: !fields.one("active").is_empty(),
        position,
        condition: text("condition"),
        group_by: fields.listed("group_by"),
        assign: text("assign"),
        group: Some(text("group")),
        assignee: Some(text("assignee")),
        title: text("title"),
    })
}

async fn dialog(
    app: &App,
    who: &PageActor,
    row: Option<&RuleRow>,
    new: &NewTaskRule,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    who.may(Action::RuleEdit, &Record::default())?;
    let now = app.clock.now();
    let (people, groups) = app.database.try_read(move |tx| item::choices(tx, now)).await?;
    let named = |name: &Option<String>| name.clone().unwrap_or_default();
    let (title, to, back) = match row {
        None => ("New task rule".to_owned(), "/rules/tasks/new".to_owned(), "/rules/tasks".to_owned()),
        Some(row) => {
            let here = format!("/rules/tasks/{}", row.id);
            let to = address(&format!("{here}/edit"), &[("seen", &row.version.to_string())]);
            (format!("Edit {}", row.name), to, here)
        }
    };
    let mut assign = vec![Choice::new("item", "The group of the items"), Choice::new("fixed", "The ones named below")];
    let known = assign.iter().any(|choice| choice.value == new.assign) || new.assign.is_empty();
    if !known {
        assign.push(Choice::new(&new.assign, format!("The group named by {}", new.assign)));
    }
    for field in new.group_by.iter().filter(|field| **field != new.assign) {
        assign.push(Choice::new(field, format!("The group named by {field}")));
    }
    let position = if new.position == 0 { "100".to_owned() } else { new.position.to_string() };
    let shell = frame(app, who, Section::TaskRules, title).await?.under("Task rules", "/rules/tasks");
    Ok(DialogPage {
        shell,
        to,
        text: "New items of every import, and those that come back, are put into tasks.".to_owned(),
        fields: vec![
            Field::line("name", "Name", &new.name).required().faulted(&wrong),
            Field::line("condition", "Which items", &new.condition)
                .mono()
                .placeholder("score:>=70 and asset.tag:prod")
                .help("In the query language of vulnerable items. Empty: all.")
                .faulted(&wrong),
            Field::line("group_by", "Grouped by", new.group_by.join(", "))
                .mono()
                .help(format!("At most six, with commas between: {}. Empty: all in one task.", WORDS.join(", ")))
                .faulted(&wrong),
            Field::suggest("assign", "Tasks go to", &new.assign, assign)
                .help("item: the items' group. fixed: the ones below. Or one of the fields above, whose value names a group.")
                .faulted(&wrong),
            item::chosen("group", "Group", &named(&new.group), groups).faulted(&wrong),
            item::chosen("assignee", "Person", &named(&new.assignee), people).faulted(&wrong),
            Field::line("title", "Title", &new.title)
                .help("Before what the items of a task share.")
                .faulted(&wrong),
            Field::typed("number", "position", "Place", position).help("Lower ones first.").faulted(&wrong),
            Field::tick("active", "Apply it to imports", new.active),
        ],
        faults: Faults(wrong),
        verb: "Save",
        back,
    })
}

async fn new_form(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    let new = NewTaskRule { active: true, assign: "item".to_owned(), ..NewTaskRule::default() };
    Ok(Show(dialog(&app, &who, None, &new, Vec::new()).await?).into_response())
}

/// What a dialog shows again: a refusal at the name, other faults at their fields.
fn wrong(error: Error) -> Result<Vec<Fault>, Error> {
    match error {
        Error::Refused(refusal) => Ok(vec![Fault::new("name", exposure::refused(&refusal))]),
        error => faults(error, |field| field),
    }
}

async fn make(State(app): State<App>, who: PageActor, fields: Fields) -> Result<Response, Error> {
    let new = match typed(&fields) {
        Ok(new) => new,
        Err(wrong) => return Ok(again(dialog(&app, &who, None, &NewTaskRule::default(), wrong).await?)),
    };
    match api::task_rules::make(&app, &who, new.clone()).await {
        Ok(row) => {
            let said = Flash::done(format!("The rule {} is made.", row.name));
            Ok(flash::redirect(&format!("/rules/tasks/{}", row.id), Some(said)))
        }
        Err(error) => Ok(again(dialog(&app, &who, None, &new, wrong(error)?).await?)),
    }
}

async fn edit_form(State(app): State<App>, who: PageActor, Path(id): Path<String>) -> Result<Response, Error> {
    let row = known(&app, &who, &id).await?;
    Ok(Show(dialog(&app, &who, Some(&row), &as_typed(&row), Vec::new()).await?).into_response())
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Opened {
    seen: Option<i64>,
}

async fn edit(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<String>,
    Query(opened): Query<Opened>,
    fields: Fields,
) -> Result<Response, Error> {
    let row = known(&app, &who, &id).await?;
    let new = match typed(&fields) {
        Ok(new) => new,
        Err(wrong) => return Ok(again(dialog(&app, &who, Some(&row), &as_typed(&row), wrong).await?)),
    };
    match api::task_rules::replace(&app, &who, id, new.clone(), IfMatch(opened.seen)).await {
        Ok(row) => {
            let said = Flash::done(format!("The rule {} is saved.", row.name));
            Ok(flash::redirect(&format!("/rules/tasks/{}", row.id), Some(said)))
        }
        Err(error) => Ok(again(dialog(&app, &who, Some(&row), &new, wrong(error)?).await?)),
    }
}

async fn apply(State(app): State<App>, who: PageActor, Path(id): Path<String>) -> Result<Response, Error> {
    let done = api::task_rules::apply_again(&app, &who, id.clone()).await?;
    let kept = if done.kept > 0 { format!(" {} that somebody works with stay.", done.kept) } else { String::new() };
    let said = format!("{} items are in {} open tasks of this rule.{kept}", done.items, done.tasks);
    Ok(flash::redirect(&format!("/rules/tasks/{id}"), Some(Flash::done(said))))
}

async fn delete_form(State(app): State<App>, who: PageActor, Path(id): Path<String>) -> Result<Response, Error> {
    let row = known(&app, &who, &id).await?;
    let shell = frame(&app, &who, Section::TaskRules, format!("Delete {}", row.name)).await?;
    let here = format!("/rules/tasks/{}", row.id);
    let page = DialogPage {
        shell: shell.under("Task rules", "/rules/tasks"),
        to: address(&format!("{here}/delete"), &[("seen", &row.version.to_string())]),
        text: format!("Its {} open tasks stay, unless you say otherwise.", row.open_tasks),
        fields: vec![Field::tick("tasks", "Delete those too that nobody has done anything with", false)],
        faults: Faults(Vec::new()),
        verb: "Delete",
        back: here,
    };
    Ok(Show(page).into_response())
}

async fn delete(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<String>,
    Query(opened): Query<Opened>,
    fields: Fields,
) -> Result<Response, Error> {
    let tasks = !fields.one("tasks").is_empty();
    let gone = api::task_rules::remove(&app, &who, id, tasks, IfMatch(opened.seen)).await?;
    let with = if gone > 0 { format!(", with {gone} tasks") } else { String::new() };
    Ok(flash::redirect("/rules/tasks", Some(Flash::done(format!("The rule is deleted{with}.")))))
}
