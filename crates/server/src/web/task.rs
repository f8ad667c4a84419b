//! `/tasks/VUL0000001`: one remediation task with its items.

use super::frame::{Show, frame, sentence};
use super::{exposure, marks, notes, tasks};
use crate::api;
use crate::app::App;
use crate::engine::rescan;
use crate::http::{Error, PageActor};
use crate::pages::lists::{Action as Button, address};
use crate::pages::tasks::{ItemRow as ItemLine, TaskPage};
use crate::pages::{Entry, Fact, Section, Tone, Value};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Record};
use domain::item::State as At;
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use domain::remediation as rules;
use domain::time::Timestamp;
use store::items::ItemRow;
use store::notes::NoteRow;
use store::remediation::{self, HistoryLine, TaskRow};
use store::{Transaction, list};

/// Items on the page.
const ITEMS_SHOWN: u32 = 100;
/// Lines of activity on the page.
const LOG_LINES: i64 = 50;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/tasks/{number}", get(show))
}

struct Seen {
    task: TaskRow,
    access: Record,
    /// Why nothing in it can be rescanned.
    unscannable: Option<Refusal>,
    why: Vec<String>,
    items: Vec<ItemRow>,
    notes: Vec<NoteRow>,
    history: Vec<HistoryLine>,
}

fn look(tx: &mut Transaction<'_>, who: &PageActor, number: &str) -> Result<Seen, Error> {
    let task = api::tasks::known(tx, who, Action::TasksView, number)?;
    Ok(Seen {
        access: remediation::access(tx, &who.actor, &task)?,
        unscannable: rescan::of_record(tx, who, task.number(), false)?.err(),
        why: api::tasks::reasons(tx, &task)?,
        items: items_of(tx, who, &task)?,
        notes: store::notes::about(tx, &task.resource(), super::item::NOTE_LINES)?,
        history: remediation::history(tx, task.id, LOG_LINES)?,
        task,
    })
}

/// The first items that the person sees, the open ones with the highest scores first.
fn items_of(tx: &mut Transaction<'_>, who: &PageActor, task: &TaskRow) -> Result<Vec<ItemRow>, Error> {
    let inside = domain::filter::parse(&format!("task:{}", task.number()), &store::items::FIELDS);
    let mut query =
        list::Query::new(inside.map_err(Error::internal)?, domain::filter::Context::at(Timestamp::default()));
    query.order = list::Order::parse("-score");
    query.limit = ITEMS_SHOWN;
    let clip = store::items::visible(&who.actor, Action::ItemsView);
    Ok(list::page(tx, &store::items::LIST, clip, &query)?.rows)
}

async fn show(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    let asker = who.clone();
    let seen = app.database.try_read(move |tx| look(tx, &asker, &number)).await?;
    let now = app.clock.now();
    let task = &seen.task;
    let number = task.number().to_string();
    let shell = frame(&app, &who, Section::Tasks, number.clone()).await?.under("Remediation tasks", "/tasks");
    let to = |verb: &str| format!("/tasks/{number}/{verb}");
    let page = TaskPage {
        shell,
        title: task.title.clone(),
        marks: vec![marks::state(task.state.as_str(), task.substate.as_str())],
        actions: actions(&who, &seen),
        description: task.description.clone(),
        why: seen.why.iter().map(|why| sentence(why)).collect::<Vec<_>>().join(" "),
        facts: facts(task),
        items: seen.items.iter().map(item_line).collect(),
        all: address("/items", &[("q", &format!("task:{number}"))]),
        split: cannot_split(&who, &seen).is_none().then(|| to("split-ticked")),
        take_out: cannot_edit(&who, &seen).is_none().then(|| to("take-out")),
        notes: notes::lines(&seen.notes, now),
        note: notes::button(&who, &seen.access, "tasks", &number),
        log: seen.history.iter().map(|line| logged(line, now)).collect(),
        number,
    };
    Ok(Show(page).into_response())
}

fn denied(who: &PageActor, seen: &Seen, action: Action) -> Option<String> {
    exposure::reason(&who.decide(action, &seen.access))
}

fn told(result: Result<(), Refusal>) -> Option<String> {
    result.err().map(|refusal| exposure::refused(&refusal))
}

fn cannot_split(who: &PageActor, seen: &Seen) -> Option<String> {
    denied(who, seen, Action::TaskSplit).or_else(|| told(rules::may_split(seen.task.state, seen.task.items_open)))
}

fn cannot_edit(who: &PageActor, seen: &Seen) -> Option<String> {
    denied(who, seen, Action::TaskEdit).or_else(|| told(rules::may_remove(seen.task.state)))
}

/// What the most used change of state is refused with, where every one is.
fn stuck(task: &TaskRow) -> Option<String> {
    let life = remediation::life(task);
    let mut reasons = At::ALL.into_iter().map(|to| rules::change_state(life, to, Timestamp::default()).err());
    let all: Option<Vec<Refusal>> = reasons.by_ref().collect();
    all?.into_iter().nth(1).map(|refusal| exposure::refused(&refusal))
}

fn actions(who: &PageActor, seen: &Seen) -> Vec<Button> {
    let task = &seen.task;
    let to = |verb: &str| format!("/tasks/{}/{verb}", task.number());
    let assign = denied(who, seen, Action::ItemAssign).or_else(|| told(rules::may_assign(task.state)));
    let change = denied(who, seen, Action::ItemTransition).or_else(|| stuck(task));
    let except = denied(who, seen, Action::ExceptionRequest).or_else(|| match task.state {
        At::Closed => Some("The task is closed, so there is nothing to except.".to_owned()),
        _ => None,
    });
    let open = address("/exceptions/new", &[("q", &format!("task:{} and is:open", task.number()))]);
    let mut actions = Vec::new();
    if task.items == 0 {
        let edit = denied(who, seen, Action::TaskEdit);
        actions.push(
            Button::post("Delete", to("delete"))
                .danger()
                .asking("Delete this task?", "Its history and notes go with it.", "Delete")
                .unless(edit),
        );
    } else {
        actions.push(Button::show("Edit", to("edit")).icon("pencil").unless(denied(who, seen, Action::TaskEdit)));
    }
    if task.owner_id != Some(who.user) {
        actions.push(Button::post("Assign to me", to("assign-to-me")).icon("user").unless(assign.clone()));
    }
    actions.extend([
        Button::show("Assign", to("assignment")).icon("user-plus").unless(assign),
        Button::show("Split", to("split")).icon("copy").unless(cannot_split(who, seen)),
        Button::show("Request exception", open).icon("clock-off").unless(except),
        Button::show("Change state", to("state")).icon("pencil").unless(change),
    ]);
    actions.extend(super::rescan::buttons(&task.resource(), seen.unscannable.as_ref()));
    actions
}

fn facts(task: &TaskRow) -> Vec<Fact> {
    let has = tasks::who_has(task);
    let mut facts = vec![
        Fact::new("Assigned to", Value::text(if task.owner.is_empty() { "nobody" } else { &task.owner })),
        Fact::new("Group", Value::text(&task.group_name)),
        Fact::new("Open items", Value::text(format!("{} of {}", task.items_open, task.items))),
    ];
    if has.is_empty() {
        facts.remove(1);
    }
    if task.items_deferred > 0 {
        facts.push(Fact::new("Deferred items", Value::text(task.items_deferred.to_string())));
    }
    if task.items > 0 {
        let done = (task.items - task.items_open) * 100 / task.items;
        facts.push(Fact::new("Remediated", Value::text(format!("{done} %"))));
    }
    if task.score > 0 {
        facts.push(Fact::new("Highest score", Value::text(task.score.to_string())));
    }
    facts.push(Fact::new("Came about", Value::text(tasks::origin(task))));
    if let Some(ordinal) = task.split_from {
        let number = Number { series: Series::RemediationTask, ordinal };
        facts.push(Fact::new("Split from", Value::link(number.to_string(), format!("/tasks/{number}"))));
    }
    let when = |label, at: Option<Timestamp>| at.map(|at| Fact::new(label, Value::When(exposure::exact(at))));
    facts.extend(when("Due", task.due_at));
    if !task.due_met.is_empty() {
        facts.push(Fact::new("In time", Value::text(if task.due_met == "met" { "yes" } else { "no" })));
    }
    if let Some(ordinal) = task.effort {
        let number = Number { series: Series::Effort, ordinal };
        facts.push(Fact::new("Effort", Value::link(number.to_string(), format!("/efforts/{number}"))));
    }
    facts.extend(when("Deferred until", task.until_at));
    facts.extend(when("Made", Some(task.created_at)));
    facts.extend(when("Resolved", task.resolved_at));
    facts.extend(when("Closed", task.closed_at));
    facts
}

fn item_line(item: &ItemRow) -> ItemLine {
    ItemLine {
        number: item.number().to_string(),
        href: format!("/items/{}", item.number()),
        title: item.title.clone(),
        asset: item.asset.clone(),
        state: marks::workflow(item),
        change: marks::change(item),
    }
}

fn logged(line: &HistoryLine, now: Timestamp) -> Entry {
    let what = marks::words(&line.what);
    let words = |text: &str| if line.what == "state" { marks::words(text) } else { text.to_owned() };
    let (before, after) = (words(&line.before), words(&line.after));
    let text = match (before.is_empty(), after.is_empty()) {
        (true, _) => format!("{what}: {after}"),
        (false, true) => format!("{what}: {before} → nobody"),
        (false, false) => format!("{what}: {before} → {after}"),
    };
    let tone = if line.what == "state" && line.after.starts_with("closed") { Tone::Ok } else { Tone::Info };
    Entry { at: exposure::near(line.at, now), tone, text, by: exposure::by(&line.cause) }
}
