//! `/efforts`: frozen sets of items that are worked off together, one of them with its progress, and the dialogs that make, change and
//! end them.

use super::exceptions::{Chosen, item_line, named, picked};
use super::frame::{Head, Show, again, faults, frame, listed, pager};
use super::item::{choices, chosen};
use super::vulnerabilities::TOTAL_MAX;
use super::{exposure, marks};
use crate::api;
use crate::app::App;
use crate::engine::{efforts, rescan};
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, IfMatch, ListQuery, PageActor};
use crate::pages::chips::{Bar, count, score};
use crate::pages::efforts::{COLUMNS, EffortPage, EffortRow as Line, EffortsPage};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::{Action as Button, address};
use crate::pages::{Chip, Choice, Empty, Entry, Fact, Fault, Field, Section, Tone, Value};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::effort::{self, State as At};
use domain::refusal::Refusal;
use domain::remediation::group::GroupBy;
use domain::time::Timestamp;
use protocol::api::efforts::{EffortChange, EffortTasks, NewEffort};
use serde::Deserialize;
use store::efforts::{self as store_efforts, EffortLine, EffortRow};
use store::items::ItemRow;
use store::{Transaction, list};

/// Items on the page of an effort.
const ITEMS_SHOWN: i64 = 100;
/// Lines of activity on the page.
const LOG_LINES: i64 = 50;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/efforts", get(index))
        .route("/efforts/new", get(new_form).post(make))
        .route("/items/effort", post(of_rows))
        .route("/efforts/{number}", get(show))
        .route("/efforts/{number}/change", get(change_form).post(change))
        .route("/efforts/{number}/end", post(end))
        .route("/efforts/{number}/tasks", get(tasks_form).post(make_tasks))
}

/// How an effort stands.
fn state(state: At) -> Chip {
    match state {
        At::Filling => Chip::new(Tone::Run, "Filling").titled("Its items are being gathered"),
        At::Active => Chip::new(Tone::Warn, "Active"),
        At::Inactive => Chip::new(Tone::Idle, "Over"),
    }
}

fn bar(row: &EffortRow) -> Bar {
    let parts = [(Tone::Ok, row.closed, "closed"), (Tone::Mit, row.mitigated, "mitigated")];
    Bar::new(&parts, row.items)
}

async fn index(State(app): State<App>, who: PageActor, query: ListQuery) -> Result<Response, Error> {
    who.may(Action::TasksView, &who.own())?;
    let text = "Pick items in their list, or narrow it by its query, and press New effort.";
    let empty = Empty::yet("target", "No efforts yet", text).with(Button::go("Open items", "/items?q=is%3Aopen"));
    let head = Head { path: "/efforts", noun: "efforts", columns: &COLUMNS, sort: "-number", empty };
    let (mut list, wanted) = listed(&app, &who, &query, &store_efforts::LIST, head)?;
    let mut rows = Vec::new();
    if let Some(wanted) = wanted {
        let asker = who.clone();
        let read = app.database.try_read(move |tx| {
            let clip = || store_efforts::clip(&asker.actor);
            let page = list::page::<EffortRow>(tx, &store_efforts::LIST, clip(), &wanted)?;
            let total = list::count(tx, &store_efforts::LIST, clip(), &wanted, TOTAL_MAX)?;
            Ok::<_, Error>((page, total))
        });
        let (page, total) = read.await?;
        (list.total, list.capped) = (Some(total), total >= TOTAL_MAX);
        list.shown = page.rows.len();
        list.pager = pager(&query, "/efforts", page.next_cursor.as_deref());
        let now = app.clock.now();
        rows = page.rows.iter().map(|row| line(row, now)).collect();
    }
    for (label, q) in [("All", ""), ("Active", "is:open"), ("Led by me", "owner:me"), ("Over", "state:inactive")] {
        list.tab(label, q, None);
    }
    let shell = frame(&app, &who, Section::Efforts, "Efforts").await?;
    Ok(Show(EffortsPage { shell, list, rows }).into_response())
}

fn line(row: &EffortRow, now: Timestamp) -> Line {
    Line {
        number: row.number().to_string(),
        href: format!("/efforts/{}", row.number()),
        state: state(row.state),
        title: row.title.clone(),
        topic: row.topic.clone(),
        bar: bar(row),
        done: format!("{}/{}", count(row.closed), count(row.items)),
        score: (row.score > 0).then(|| score(row.score)),
        owner: if row.owner.is_empty() { row.group_name.clone() } else { row.owner.clone() },
        at: exposure::near(row.created_at, now),
    }
}

struct Seen {
    row: EffortRow,
    access: Record,
    /// Why nothing in it can be rescanned.
    unscannable: Option<Refusal>,
    items: Vec<ItemRow>,
    history: Vec<EffortLine>,
    tasks: i64,
}

async fn look(app: &App, who: &PageActor, number: &str) -> Result<Seen, Error> {
    let (asker, number) = (who.clone(), number.to_owned());
    let read = app.database.try_read(move |tx| {
        let row = efforts::known(tx, &asker, Action::TasksView, &number)?;
        Ok::<_, Error>(Seen {
            access: store_efforts::access(tx, &asker.actor, &row)?,
            unscannable: rescan::of_record(tx, &asker, row.number(), false)?.err(),
            items: store_efforts::items_of(tx, &asker.actor, row.id, ITEMS_SHOWN)?,
            history: store_efforts::history(tx, row.id, LOG_LINES)?,
            tasks: tasks_of(tx, &asker, &row)?,
            row,
        })
    });
    read.await
}

/// The query text of an effort's tasks in their list.
fn task_query(row: &EffortRow) -> String {
    format!("effort:{}", row.id)
}

/// How many tasks were made of an effort, of those that one may see.
fn tasks_of(tx: &mut Transaction<'_>, who: &PageActor, row: &EffortRow) -> Result<i64, Error> {
    let list = &store::remediation::LIST;
    let filter = domain::filter::parse(&task_query(row), list.fields).map_err(Error::internal)?;
    let query = list::Query::new(filter, domain::filter::Context::at(row.created_at));
    Ok(list::count(tx, list, store::remediation::clip(&who.actor), &query, TOTAL_MAX)?)
}

/// The list of the effort's items with this condition beside.
fn items(row: &EffortRow, also: &str) -> String {
    let own = format!("effort:{}", row.number());
    let q = if also.is_empty() { own } else { format!("{own} and {also}") };
    address("/items", &[("q", &q)])
}

async fn show(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    let Seen { row, access, unscannable, items: rows, history, tasks } = look(&app, &who, &number).await?;
    let now = app.clock.now();
    let number = row.number().to_string();
    let shell = frame(&app, &who, Section::Efforts, number.clone()).await?.under("Efforts", "/efforts");
    let page = EffortPage {
        shell,
        title: row.title.clone(),
        marks: vec![state(row.state)],
        actions: actions(&who, &row, &access, unscannable.as_ref()),
        description: row.description.clone(),
        bar: bar(&row).tall(),
        counts: vec![
            ("Items", row.items, items(&row, "")),
            ("Active", row.items - row.closed, items(&row, "is:open")),
            ("Of these mitigated", row.mitigated, items(&row, "is:open and is:mitigated")),
            ("Closed", row.closed, items(&row, "is:closed")),
            ("Remediation tasks", tasks, address("/tasks", &[("q", &task_query(&row))])),
        ],
        facts: facts(&row),
        items: rows.iter().map(item_line).collect(),
        all: items(&row, ""),
        log: history.iter().map(|line| logged(line, now)).collect(),
        number,
    };
    Ok(Show(page).into_response())
}

/// Why an effort is not to be changed by somebody, as its buttons say it.
fn unchangeable(who: &PageActor, row: &EffortRow, access: &Record) -> Option<String> {
    let denied = exposure::reason(&who.decide(Action::TaskEdit, access));
    denied.or_else(|| effort::may_change(row.state).err().map(|refusal| exposure::refused(&refusal)))
}

fn actions(who: &PageActor, row: &EffortRow, access: &Record, unscannable: Option<&Refusal>) -> Vec<Button> {
    let here = |verb: &str| format!("/efforts/{}/{verb}", row.number());
    let refused = unchangeable(who, row, access);
    // What was seen is what is ended: the version stands in the button's address.
    let end = address(&here("end"), &[("seen", &row.version.to_string())]);
    let mut actions = vec![
        Button::show("Make tasks", here("tasks")).icon("checklist").unless(refused.clone()),
        Button::show("Change", here("change")).icon("pencil").unless(refused.clone()),
        Button::post("End effort", end)
            .icon("ban")
            .danger()
            .asking(
                format!("End {}?", row.number()),
                "It does not come back. Its active items may be taken into another effort.",
                "End effort",
            )
            .unless(refused),
    ];
    actions.extend(super::rescan::buttons(&format!("efforts/{}", row.number()), unscannable));
    actions
}

fn facts(row: &EffortRow) -> Vec<Fact> {
    let mut facts = vec![
        Fact::new("Led by", Value::text(&row.owner)),
        Fact::new("Group", Value::text(&row.group_name)),
        Fact::new("Made by", Value::text(&row.creator)),
        Fact::new("Made", Value::When(exposure::exact(row.created_at))),
    ];
    if row.score > 0 {
        facts.push(Fact::new("Highest score", Value::text(row.score.to_string())));
    }
    if !row.topic.is_empty() {
        facts.push(Fact::new("Watch topic", Value::text(&row.topic)));
    }
    let of = if row.condition.is_empty() { "items that were named" } else { &row.condition };
    facts.push(Fact::new("Made of", Value::text(of)));
    facts.extend(row.closed_at.map(|at| Fact::new("Ended", Value::When(exposure::exact(at)))));
    facts
}

fn logged(line: &EffortLine, now: Timestamp) -> Entry {
    let shown = |text: &str| if line.what == "state" { marks::words(text) } else { text.to_owned() };
    let (before, after) = (shown(&line.before), shown(&line.after));
    let what = marks::words(&line.what);
    let text = match before.as_str() {
        "" => format!("{what}: {after}"),
        _ => format!("{what}: {before} → {after}"),
    };
    let tone = if line.what == "state" { Tone::Ok } else { Tone::Info };
    Entry { at: exposure::near(line.at, now), tone, text, by: exposure::by(&line.cause) }
}

async fn of_rows(_who: PageActor, fields: Fields) -> Result<Response, Error> {
    Ok(picked(&fields, "/efforts/new"))
}

/// Of what an effort is to be made, as an address says it.
#[derive(Clone, Debug, Default, Deserialize)]
struct Of {
    /// The digits of items' numbers, separated by commas.
    #[serde(default)]
    items: String,
    /// Or a query text.
    #[serde(default)]
    q: String,
    /// Or the key of a watch topic.
    topic: Option<i64>,
}

impl Of {
    fn items(&self) -> Chosen {
        Chosen { items: self.items.clone(), q: self.q.clone() }
    }

    fn address(&self) -> String {
        let topic = self.topic.map(|topic| topic.to_string()).unwrap_or_default();
        address("/efforts/new", &[("items", &self.items), ("q", &self.q), ("topic", &topic)])
    }

    fn back(&self) -> String {
        match self.topic {
            Some(topic) => format!("/topics/{topic}"),
            None => address("/items", &[("q", &self.q)]),
        }
    }
}

/// What a form holds.
#[derive(Clone, Debug, Default)]
struct Typed {
    title: String,
    description: String,
    owner: String,
    group: String,
}

impl Typed {
    fn of(fields: &Fields) -> Typed {
        let text = |name: &str| fields.one(name).to_owned();
        Typed { title: text("title"), description: text("description"), owner: text("owner"), group: text("group") }
    }
}

async fn fields(app: &App, typed: &Typed, wrong: &[Fault]) -> Result<Vec<Field>, Error> {
    let now = app.clock.now();
    let (people, groups) = app.database.try_read(move |tx| choices(tx, now)).await?;
    Ok(vec![
        Field::line("title", "Title", &typed.title).required().focus().faulted(wrong),
        Field::text("description", "What is to be done", &typed.description, 3).faulted(wrong),
        chosen("owner", "Led by", &typed.owner, people).faulted(wrong),
        chosen("group", "Group", &typed.group, groups).help("Every member sees it").faulted(wrong),
    ])
}

/// Which items a dialog is about, as the API takes it.
fn of(chosen: &Of) -> NewEffort {
    match chosen.q.as_str() {
        _ if chosen.topic.is_some() => NewEffort { topic: chosen.topic, ..NewEffort::default() },
        "" => NewEffort { items: named(&chosen.items()), ..NewEffort::default() },
        q => NewEffort { q: Some(q.to_owned()), ..NewEffort::default() },
    }
}

async fn dialog(app: &App, who: &PageActor, chosen: &Of, typed: Typed, wrong: Vec<Fault>) -> Result<DialogPage, Error> {
    let seen = api::efforts::make(app, who, NewEffort { dry_run: true, ..of(chosen) }).await;
    let (text, mut faults) = match seen {
        Ok(made) => {
            let items = |n: i64| if n == 1 { "1 item".to_owned() } else { format!("{} items", count(n)) };
            let held = match made.outcome.held {
                0 => String::new(),
                held => {
                    let by: Vec<String> = made.holders.iter().map(number_of).collect();
                    format!(
                        " {} left out: {} held by {}.",
                        items(held),
                        if held == 1 { "it is" } else { "they are" },
                        by.join(", ")
                    )
                }
            };
            (
                format!("{} taken and frozen: what matches later does not join.{held}", items(made.outcome.free)),
                Vec::new(),
            )
        }
        Err(Error::Refused(refusal)) => (String::new(), vec![Fault::new("", exposure::refused(&refusal))]),
        Err(error) => return Err(error),
    };
    // What is said of a try that just failed may be the same.
    faults.retain(|fault| !wrong.contains(fault));
    faults.splice(0..0, wrong);
    let shell = frame(app, who, Section::Efforts, "New effort").await?.under("Efforts", "/efforts");
    Ok(DialogPage {
        shell,
        to: chosen.address(),
        text,
        fields: fields(app, &typed, &faults).await?,
        faults: Faults(faults),
        verb: "Make effort",
        back: chosen.back(),
    })
}

fn number_of(held: &store_efforts::Held) -> String {
    domain::number::Number { series: domain::number::Series::Effort, ordinal: held.number }.to_string()
}

async fn new_form(State(app): State<App>, who: PageActor, Query(chosen): Query<Of>) -> Result<Response, Error> {
    Ok(Show(dialog(&app, &who, &chosen, Typed::default(), Vec::new()).await?).into_response())
}

async fn make(
    State(app): State<App>,
    who: PageActor,
    Query(chosen): Query<Of>,
    fields: Fields,
) -> Result<Response, Error> {
    let typed = Typed::of(&fields);
    let wanted = NewEffort {
        title: typed.title.clone(),
        description: typed.description.clone(),
        owner: Some(typed.owner.clone()),
        group: Some(typed.group.clone()),
        ..of(&chosen)
    };
    let wrong = match api::efforts::make(&app, &who, wanted).await {
        Ok(made) => {
            let row = made.row.ok_or_else(|| Error::internal("an effort was made and is not there"))?;
            let number = row.number();
            return Ok(flash::redirect(&format!("/efforts/{number}"), Some(Flash::done(format!("{number} is made.")))));
        }
        Err(Error::Refused(refusal)) => vec![Fault::new("", exposure::refused(&refusal))],
        Err(error) => faults(error, |field| field)?,
    };
    Ok(again(dialog(&app, &who, &chosen, typed, wrong).await?))
}

async fn change_page(
    app: &App,
    who: &PageActor,
    number: &str,
    given: Option<Typed>,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let Seen { row, access, .. } = look(app, who, number).await?;
    who.may(Action::TaskEdit, &access)?;
    let typed = given.unwrap_or_else(|| Typed {
        title: row.title.clone(),
        description: row.description.clone(),
        owner: row.owner.clone(),
        group: row.group_name.clone(),
    });
    let shell = frame(app, who, Section::Efforts, format!("Change {number}")).await?;
    Ok(DialogPage {
        shell: shell.under("Efforts", "/efforts").under(number, format!("/efforts/{number}")),
        to: address(&format!("/efforts/{number}/change"), &[("seen", &row.version.to_string())]),
        text: String::new(),
        fields: fields(app, &typed, &wrong).await?,
        faults: Faults(wrong),
        verb: "Change",
        back: format!("/efforts/{number}"),
    })
}

async fn change_form(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    Ok(Show(change_page(&app, &who, &number, None, Vec::new()).await?).into_response())
}

/// The version of an effort that a form was made for.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct SeenAt {
    seen: Option<i64>,
}

async fn change(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(at): Query<SeenAt>,
    fields: Fields,
) -> Result<Response, Error> {
    let typed = Typed::of(&fields);
    let given = EffortChange {
        title: Some(typed.title.clone()),
        description: Some(typed.description.clone()),
        owner: Some(typed.owner.clone()),
        group: Some(typed.group.clone()),
    };
    let wrong = match api::efforts::edit(&app, &who, number.clone(), given, IfMatch(at.seen)).await {
        Ok(_) => {
            let said = Flash::done(format!("{number} is changed."));
            return Ok(flash::redirect(&format!("/efforts/{number}"), Some(said)));
        }
        Err(Error::Refused(refusal)) => vec![Fault::new("", exposure::refused(&refusal))],
        Err(error) => faults(error, |field| field)?,
    };
    Ok(again(change_page(&app, &who, &number, Some(typed), wrong).await?))
}

async fn end(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(at): Query<SeenAt>,
) -> Result<Response, Error> {
    let said = match api::efforts::end(&app, &who, number.clone(), IfMatch(at.seen)).await {
        Ok(_) => Flash::done(format!("{number} is over.")),
        Err(Error::Refused(refusal)) => Flash { failed: true, ..Flash::done(exposure::refused(&refusal)) },
        Err(error) => return Err(error),
    };
    Ok(flash::redirect(&format!("/efforts/{number}"), Some(said)))
}

async fn tasks_page(
    app: &App,
    who: &PageActor,
    number: &str,
    group_by: &str,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let Seen { row, access, .. } = look(app, who, number).await?;
    who.may(Action::TaskEdit, &access)?;
    let label = |word: &&'static str| match GroupBy::parse(word) {
        Some(GroupBy::None) => "One task for whoever leads the effort".to_owned(),
        _ => format!("One for each {}", word.replace('_', " and ")),
    };
    let choices = GroupBy::WORDS.iter().map(|word| Choice::new(*word, label(word))).collect();
    let shell = frame(app, who, Section::Efforts, format!("Make tasks of {number}")).await?;
    Ok(DialogPage {
        shell: shell.under("Efforts", "/efforts").under(number, format!("/efforts/{number}")),
        to: format!("/efforts/{number}/tasks"),
        text: format!(
            "Of its {} active items; those that are in an open task already are left out.",
            count(row.items - row.closed)
        ),
        fields: vec![Field::select("group_by", "Tasks", group_by, choices).faulted(&wrong)],
        faults: Faults(wrong),
        verb: "Make tasks",
        back: format!("/efforts/{number}"),
    })
}

async fn tasks_form(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    Ok(Show(tasks_page(&app, &who, &number, "group", Vec::new()).await?).into_response())
}

async fn make_tasks(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    fields: Fields,
) -> Result<Response, Error> {
    let group_by = fields.one("group_by").to_owned();
    let given = EffortTasks { group_by: group_by.clone(), existing: None };
    let wrong = match api::efforts::make_tasks(&app, &who, number.clone(), given).await {
        Ok(made) => {
            let (tasks, items, skipped) = (made.tasks.len(), made.items, made.skipped);
            let text = format!("{tasks} tasks made of {items} items, {skipped} left out.");
            return Ok(flash::redirect(&format!("/efforts/{number}"), Some(Flash::done(text))));
        }
        Err(Error::Refused(refusal)) => vec![Fault::new("", exposure::refused(&refusal))],
        Err(error) => faults(error, |field| field)?,
    };
    Ok(again(tasks_page(&app, &who, &number, &group_by, wrong).await?))
}
