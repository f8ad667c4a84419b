//! `/tasks`: the list of remediation tasks, and the dialog that makes some of items.

use super::exceptions::{Chosen, named, picked};
use super::frame::{Head, Show, again, faults, frame, listed, pager};
use super::vulnerabilities::TOTAL_MAX;
use super::{exposure, item, marks};
use crate::api;
use crate::app::App;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, IfMatch, ListQuery, PageActor};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::{Action as Button, List, address};
use crate::pages::tasks::{COLUMNS, TaskRow as Line, TasksPage};
use crate::pages::{Choice, Empty, Fault, Field, Section};
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::number::{Number, Series};
use domain::remediation::group::GroupBy;
use domain::remediation::{Existing, Origin};
use domain::time::Timestamp;
use protocol::api::tasks::{NewRemediationTasks, RemediationTaskItems};
use store::list;
use store::remediation::{self, TaskRow};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/tasks", get(index))
        .route("/tasks/new", get(new_form).post(make))
        .route("/tasks/fill", get(fill_form).post(fill))
        .route("/items/task", post(of_rows))
        .route("/items/to-task", post(of_rows_to))
}

async fn index(State(app): State<App>, who: PageActor, query: ListQuery) -> Result<Response, Error> {
    who.may(Action::TasksView, &who.own())?;
    let text = "Make one of picked vulnerable items in their list, or let a task rule make them at every import.";
    let empty =
        Empty::yet("checklist", "No remediation tasks yet", text).with(Button::go("Open items", "/items?q=is%3Aopen"));
    let head = Head { path: "/tasks", noun: "remediation tasks", columns: &COLUMNS, sort: "-number", empty };
    let (mut list, wanted) = listed(&app, &who, &query, &remediation::LIST, head)?;
    views(&mut list);
    let mut rows = Vec::new();
    if let Some(wanted) = wanted {
        let asker = who.clone();
        let read = app.database.try_read(move |tx| {
            let clip = || remediation::clip(&asker.actor);
            let page = list::page::<TaskRow>(tx, &remediation::LIST, clip(), &wanted)?;
            let total = list::count(tx, &remediation::LIST, clip(), &wanted, TOTAL_MAX)?;
            Ok::<_, Error>((page, total))
        });
        let (page, total) = read.await?;
        (list.total, list.capped) = (Some(total), total >= TOTAL_MAX);
        list.shown = page.rows.len();
        list.pager = pager(&query, "/tasks", page.next_cursor.as_deref());
        let now = app.clock.now();
        rows = page.rows.iter().map(|row| line(row, now)).collect();
    }
    let shell = frame(&app, &who, Section::Tasks, "Remediation tasks").await?;
    Ok(Show(TasksPage { shell, list, rows }).into_response())
}

fn views(list: &mut List) {
    for (label, q) in [
        ("All", ""),
        ("Open", "is:open"),
        ("Assigned to me", "is:open and assignee:me"),
        ("Nobody's", "is:open and not has:assignee and not has:group"),
        ("Overdue", "is:open and due:<now"),
        ("In review", "is:in_review"),
        ("Deferred", "is:deferred"),
        ("Resolved", "is:resolved"),
        ("Closed", "is:closed"),
    ] {
        list.tab(label, q, None);
    }
}

/// Who works on a task, in words; empty for nobody.
pub(super) fn who_has(row: &TaskRow) -> String {
    [row.owner.as_str(), &row.group_name].into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ")
}

/// How a task came about, in words.
pub(super) fn origin(row: &TaskRow) -> String {
    match row.origin {
        Origin::Hand => format!("made by {}", exposure::by(&row.created_by)),
        Origin::Rule if row.rule.is_empty() => "made by a rule that is gone".to_owned(),
        Origin::Rule => format!("made by the rule {}", row.rule),
        Origin::Effort => match row.effort {
            Some(ordinal) => format!("made for {}", Number { series: Series::Effort, ordinal }),
            None => "made for an effort".to_owned(),
        },
        Origin::Split => "split from another".to_owned(),
    }
}

fn line(row: &TaskRow, now: Timestamp) -> Line {
    Line {
        number: row.number().to_string(),
        href: format!("/tasks/{}", row.number()),
        title: row.title.clone(),
        origin: origin(row),
        state: marks::state(row.state.as_str(), row.substate.as_str()),
        open: row.items_open,
        items: row.items,
        score: (row.score > 0).then_some(row.score),
        who: who_has(row),
        due: row.due_at.map(|at| exposure::near(at, now)),
    }
}

async fn of_rows(_who: PageActor, fields: Fields) -> Result<Response, Error> {
    Ok(picked(&fields, "/tasks/new"))
}

/// What the form holds.
fn typed(fields: &Fields) -> NewRemediationTasks {
    let text = |name: &str| fields.one(name).to_owned();
    NewRemediationTasks {
        group_by: text("group_by"),
        existing: text("existing"),
        title: text("title"),
        description: text("description"),
        assignee: Some(text("assignee")),
        group: Some(text("group")),
        ..NewRemediationTasks::default()
    }
}

async fn page(
    app: &App,
    who: &PageActor,
    chosen: &Chosen,
    new: &NewRemediationTasks,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    who.may(Action::TaskEdit, &Record::default())?;
    let count = match chosen.q.as_str() {
        "" => named(chosen).len(),
        q => api::items::matching(app, who, q, api::item_changes::CHANGED_MAX).await?.len(),
    };
    let of = if count == 1 { "1 item".to_owned() } else { format!("{count} items") };
    let now = app.clock.now();
    let (people, groups) = app.database.try_read(move |tx| item::choices(tx, now)).await?;
    let by = GroupBy::ALL.into_iter().map(|by| Choice::new(by.as_str(), by.title())).collect();
    let existing = [
        (Existing::Skip, "Leave them out"),
        (Existing::Move, "Move them out of those tasks"),
        (Existing::Keep, "Keep them in both"),
    ];
    let existing = existing.into_iter().map(|(value, label)| Choice::new(value.as_str(), label)).collect();
    let named = |name: &Option<String>| name.clone().unwrap_or_default();
    let shell = frame(app, who, Section::Tasks, "Make remediation tasks").await?.under("Vulnerable items", "/items");
    Ok(DialogPage {
        shell,
        to: address("/tasks/new", &[("items", &chosen.items), ("q", &chosen.q)]),
        text: format!("Of {of}. Closed ones are left out."),
        fields: vec![
            Field::select("group_by", "How many tasks", &new.group_by, by).faulted(&wrong),
            Field::select("existing", "Items that are in an open task already", &new.existing, existing)
                .faulted(&wrong),
            Field::line("title", "Title", &new.title)
                .help("Before what the items of a task share; empty for that alone.")
                .faulted(&wrong),
            item::chosen("assignee", "Assigned to", &named(&new.assignee), people).faulted(&wrong),
            item::chosen("group", "Group", &named(&new.group), groups)
                .help("Without both, the group of each task's items, where they are grouped by it.")
                .faulted(&wrong),
            Field::text("description", "Description", &new.description, 3).faulted(&wrong),
        ],
        faults: Faults(wrong),
        verb: "Make",
        back: address("/items", &[("q", &chosen.q)]),
    })
}

async fn new_form(State(app): State<App>, who: PageActor, Query(chosen): Query<Chosen>) -> Result<Response, Error> {
    let new = NewRemediationTasks::default();
    Ok(Show(page(&app, &who, &chosen, &new, Vec::new()).await?).into_response())
}

async fn make(
    State(app): State<App>,
    who: PageActor,
    Query(chosen): Query<Chosen>,
    fields: Fields,
) -> Result<Response, Error> {
    let new = typed(&fields);
    let mut wanted = new.clone();
    match chosen.q.as_str() {
        "" => wanted.items = named(&chosen),
        q => wanted.q = Some(q.to_owned()),
    }
    let wrong = match api::tasks::make(&app, &who, wanted).await {
        Ok(made) => {
            let left = if made.skipped > 0 { format!(" {} were left out.", made.skipped) } else { String::new() };
            let (said, to) = match made.tasks.as_slice() {
                [one] => (format!("{one} is made of {} items.{left}", made.items), format!("/tasks/{one}")),
                several => {
                    let said = format!("{} tasks are made of {} items.{left}", several.len(), made.items);
                    (said, "/tasks?q=is%3Aopen".to_owned())
                }
            };
            return Ok(flash::redirect(&to, Some(Flash::done(said))));
        }
        Err(Error::Refused(refusal)) => vec![Fault::new("", exposure::refused(&refusal))],
        Err(error) => faults(error, |field| field)?,
    };
    Ok(again(page(&app, &who, &chosen, &new, wrong).await?))
}

async fn of_rows_to(_who: PageActor, fields: Fields) -> Result<Response, Error> {
    Ok(picked(&fields, "/tasks/fill"))
}

async fn numbers(app: &App, who: &PageActor, chosen: &Chosen) -> Result<Vec<String>, Error> {
    match chosen.q.as_str() {
        "" => Ok(named(chosen)),
        q => api::items::matching(app, who, q, domain::remediation::ITEMS_MAX).await,
    }
}

async fn fill_page(
    app: &App,
    who: &PageActor,
    chosen: &Chosen,
    number: &str,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    who.may(Action::TaskEdit, &Record::default())?;
    let count = numbers(app, who, chosen).await?.len();
    let of = if count == 1 { "1 item".to_owned() } else { format!("{count} items") };
    let shell = frame(app, who, Section::Tasks, "Add to a remediation task").await?;
    Ok(DialogPage {
        shell: shell.under("Vulnerable items", "/items"),
        to: address("/tasks/fill", &[("items", &chosen.items), ("q", &chosen.q)]),
        text: format!("{of}, which stay in the tasks they are in. Closed ones cannot be added."),
        fields: vec![
            Field::line("number", "Number of the task", number)
                .required()
                .mono()
                .placeholder("VUL0000001")
                .faulted(&wrong),
        ],
        faults: Faults(wrong),
        verb: "Add",
        back: address("/items", &[("q", &chosen.q)]),
    })
}

async fn fill_form(State(app): State<App>, who: PageActor, Query(chosen): Query<Chosen>) -> Result<Response, Error> {
    Ok(Show(fill_page(&app, &who, &chosen, "", Vec::new()).await?).into_response())
}

async fn fill(
    State(app): State<App>,
    who: PageActor,
    Query(chosen): Query<Chosen>,
    fields: Fields,
) -> Result<Response, Error> {
    let number = fields.one("number").to_uppercase();
    let add = numbers(&app, &who, &chosen).await?;
    let given = RemediationTaskItems { add, ..RemediationTaskItems::default() };
    let wrong = match api::task_changes::hold(&app, &who, number.clone(), given, IfMatch(None)).await {
        Ok(task) => {
            let said = Flash::done(format!("{number} holds {} items.", task.items));
            return Ok(flash::redirect(&format!("/tasks/{number}"), Some(said)));
        }
        Err(Error::Refused(refusal)) => vec![Fault::new("number", exposure::refused(&refusal))],
        Err(Error::NotFound(what)) => vec![Fault::new("number", format!("There is no {what}."))],
        Err(error) => faults(error, |_| "number")?,
    };
    Ok(again(fill_page(&app, &who, &chosen, &number, wrong).await?))
}
