//! Remediation tasks: the list, one of them, why it is in its state, and making them of items.

use super::item_changes::CHANGED_MAX;
use super::items::{self, given_to, matching};
use crate::app::App;
use crate::http::conditional::etag;
use crate::http::{Caller, Error, ListQuery};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use domain::access::{Action, AssetScope, Record};
use domain::id::{ItemId, RemediationTaskId};
use domain::number::{Number, Series};
use domain::remediation::group::GroupBy;
use domain::remediation::why::{Cause, of_task};
use domain::remediation::{self as rules, Existing, Origin};
use domain::time::Timestamp;
use protocol::api::exposure::{Assignment, ItemHistoryLine};
use protocol::api::tasks::{
    NewRemediationTasks, RemediationTask, RemediationTaskBody, RemediationTaskHistoryBody, RemediationTaskWhyBody,
    RemediationTasksBody, RemediationTasksMadeBody,
};
use std::collections::BTreeSet;
use store::items::ChangeError;
use store::remediation::{self, Made, NewTasks, TaskRow};
use store::{Transaction, list};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Lines of history in one answer at most.
const HISTORY_MAX: i64 = 500;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(index, create))
        .routes(routes!(show))
        .routes(routes!(why))
        .routes(routes!(history))
}

pub(super) type Tagged = ([(HeaderName, HeaderValue); 1], Json<RemediationTaskBody>);

/// A task as the API says it.
pub(crate) fn body(row: &TaskRow) -> RemediationTask {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    RemediationTask {
        number: row.number().to_string(),
        title: row.title.clone(),
        description: row.description.clone(),
        state: row.state.as_str().to_owned(),
        substate: row.substate.as_str().to_owned(),
        assignee: some(&row.owner),
        group: some(&row.group_name),
        origin: row.origin.as_str().to_owned(),
        rule: some(&row.rule),
        effort: row.effort.map(|ordinal| Number { series: Series::Effort, ordinal }.to_string()),
        split_from: row.split_from.map(|ordinal| number(ordinal).to_string()),
        deferred_until: row.until_at,
        due_at: row.due_at,
        due_met: some(&row.due_met),
        resolved_at: row.resolved_at,
        closed_at: row.closed_at,
        items: row.items,
        open_items: row.items_open,
        deferred_items: row.items_deferred,
        score: (row.score > 0).then_some(row.score),
        created_by: row.created_by.clone(),
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

fn number(ordinal: i64) -> Number {
    Number { series: Series::RemediationTask, ordinal }
}

/// The task of this number, if the caller may do this with it; one out of sight looks absent.
pub(crate) fn known(tx: &mut Transaction<'_>, caller: &Caller, action: Action, number: &str) -> Result<TaskRow, Error> {
    let missing = || Error::NotFound(format!("remediation task {number}"));
    let Ok(Number { series: Series::RemediationTask, ordinal }) = number.parse::<Number>() else {
        return Err(missing());
    };
    // Whose roles never allow it is told so, whether there is such a task or not.
    caller.may(action, &caller.own())?;
    let task = remediation::one(tx, &caller.actor, ordinal).map_err(|error| match error {
        store::Error::NotFound => missing(),
        error => error.into(),
    })?;
    let record = remediation::access(tx, &caller.actor, &task)?;
    caller.may(action, &record)?;
    Ok(task)
}

/// A change of the store that the domain may forbid, as the API says it.
pub(crate) fn refused(error: ChangeError) -> Error {
    match error {
        ChangeError::Refused(refusal) => refusal.into(),
        ChangeError::Store(error) => error.into(),
    }
}

/// List remediation tasks
#[utoipa::path(get, path = "/tasks", tag = "tasks", params(ListQuery),
    responses((status = OK, body = RemediationTasksBody)))]
async fn index(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<RemediationTasksBody>, Error> {
    caller.may(Action::TasksView, &caller.own())?;
    let query = query.of_list(&remediation::FIELDS, "-number", app.clock.now(), &caller.name)?;
    let page = app.database.try_read(move |tx| {
        list::page::<TaskRow>(tx, &remediation::LIST, remediation::clip(&caller.actor), &query).map_err(Error::from)
    });
    let page = page.await?;
    Ok(Json(RemediationTasksBody { tasks: page.rows.iter().map(body).collect(), next: page.next_cursor }))
}

/// Show a remediation task
#[utoipa::path(get, path = "/tasks/{number}", tag = "tasks", params(("number" = String, Path)),
    responses((status = OK, body = RemediationTaskBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(number): Path<String>) -> Result<Tagged, Error> {
    let row = app.database.try_read(move |tx| known(tx, &caller, Action::TasksView, &number)).await?;
    Ok((etag(row.version), Json(RemediationTaskBody { task: body(&row) })))
}

/// Why a task is in its state, and what would change it.
pub(crate) fn reasons(tx: &mut Transaction<'_>, task: &TaskRow) -> store::Result<Vec<String>> {
    let counts = remediation::counts(tx, task.id)?;
    Ok(of_task(remediation::life(task), &Cause::parse(&task.state_cause), &counts))
}

/// Show why a remediation task is in its state
///
/// What decided it, until when, and what would change it.
#[utoipa::path(get, path = "/tasks/{number}/why", tag = "tasks", params(("number" = String, Path)),
    responses((status = OK, body = RemediationTaskWhyBody)))]
async fn why(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<RemediationTaskWhyBody>, Error> {
    let read = app.database.try_read(move |tx| {
        let task = known(tx, &caller, Action::TasksView, &number)?;
        let why = reasons(tx, &task)?;
        Ok::<_, Error>((task, why))
    });
    let (task, why) = read.await?;
    let substate = Some(task.substate.as_str().to_owned()).filter(|word| !word.is_empty());
    Ok(Json(RemediationTaskWhyBody { state: task.state.as_str().to_owned(), substate, why }))
}

/// Show the history of a remediation task
#[utoipa::path(get, path = "/tasks/{number}/history", tag = "tasks", params(("number" = String, Path)),
    responses((status = OK, body = RemediationTaskHistoryBody)))]
async fn history(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<RemediationTaskHistoryBody>, Error> {
    let lines = app.database.try_read(move |tx| {
        let task = known(tx, &caller, Action::TasksView, &number)?;
        Ok::<_, Error>(remediation::history(tx, task.id, HISTORY_MAX)?)
    });
    let line = |line: remediation::HistoryLine| ItemHistoryLine {
        at: line.at,
        what: line.what,
        before: line.before,
        after: line.after,
        cause: line.cause,
    };
    Ok(Json(RemediationTaskHistoryBody { history: lines.await?.into_iter().map(line).collect() }))
}

/// What was typed, checked.
struct Wanted {
    group_by: GroupBy,
    existing: Existing,
    title: String,
    description: String,
    assignment: Option<Assignment>,
}

/// A title or another line of a task, or what is wrong with it.
pub(super) fn line(field: &str, text: &str) -> Result<String, Error> {
    rules::line(text, rules::TITLE_CHARS_MAX).map_err(|why| Error::field(field, "bad_text", why))
}

/// A description, or what is wrong with it.
pub(super) fn description(text: &str) -> Result<String, Error> {
    rules::text(text, rules::DESCRIPTION_CHARS_MAX).map_err(|why| Error::field("description", "bad_text", why))
}

fn wanted(new: &NewRemediationTasks) -> Result<Wanted, Error> {
    let group_by = match new.group_by.as_str() {
        "" => GroupBy::None,
        word => GroupBy::parse(word).ok_or_else(|| {
            let why = format!("items are grouped by one of {}", GroupBy::WORDS.join(", "));
            Error::field("group_by", "unknown", why)
        })?,
    };
    let existing = match new.existing.as_str() {
        "" => Existing::Skip,
        word => Existing::parse(word).ok_or_else(|| {
            let why = format!("items that are in a task are one of {}", Existing::WORDS.join(", "));
            Error::field("existing", "unknown", why)
        })?,
    };
    let given = [&new.assignee, &new.group].into_iter().flatten().any(|name| !name.trim().is_empty());
    let assignment = Assignment { assignee: new.assignee.clone(), group: new.group.clone() };
    Ok(Wanted {
        group_by,
        existing,
        title: line("title", &new.title)?,
        description: description(&new.description)?,
        assignment: given.then_some(assignment),
    })
}

/// Make tasks of items.
///
/// # Errors
/// 403; 409 `nothing_to_do`, `too_many_tasks`; 422 for what is not acceptable, or the first item that may not be taken.
pub(crate) async fn make(app: &App, caller: &Caller, new: NewRemediationTasks) -> Result<Made, Error> {
    caller.may(Action::TaskEdit, &Record::default())?;
    let wanted = wanted(&new)?;
    let numbers = match new.q.as_deref().filter(|_| new.items.is_empty()) {
        Some(q) => matching(app, caller, q, CHANGED_MAX).await?,
        None => new.items,
    };
    if numbers.is_empty() || numbers.len() > CHANGED_MAX {
        return Err(Error::field("items", "count", format!("tasks are made of 1 to {CHANGED_MAX} items")));
    }
    let (asker, now) = (caller.clone(), app.clock.now());
    let made = app.database.try_write(move |tx| make_in(tx, &asker, &wanted, &numbers, now)).await?;
    app.wake.notify("item", 0);
    Ok(made)
}

fn make_in(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    wanted: &Wanted,
    numbers: &[String],
    now: Timestamp,
) -> Result<Made, Error> {
    let keys: Vec<ItemId> =
        items::all_known(tx, caller, Action::TaskEdit, numbers)?.iter().map(|item| item.id).collect();
    if wanted.existing == Existing::Move {
        may_move(tx, caller, &keys)?;
    }
    let given = match &wanted.assignment {
        Some(assignment) => {
            caller.may(Action::ItemAssign, &Record::default())?;
            Some(given_to(tx, assignment)?)
        }
        None => None,
    };
    let new = NewTasks {
        by: &caller.author(),
        origin: Origin::Hand,
        effort: None,
        group_by: wanted.group_by,
        existing: wanted.existing,
        title: &wanted.title,
        description: &wanted.description,
        assignment: given.as_ref().map(|(owner, group)| (owner.as_ref().map(|account| account.id), group.as_str())),
    };
    remediation::create(tx, &new, &keys, now).map_err(refused)
}

/// Whether the caller may take items out of the tasks they are in: of those that reach beyond his scope he may not.
fn may_move(tx: &mut Transaction<'_>, caller: &Caller, keys: &[ItemId]) -> Result<(), Error> {
    if caller.scope == AssetScope::All {
        return Ok(());
    }
    let tasks: BTreeSet<RemediationTaskId> = remediation::open_tasks_of(tx, keys)?.into_values().flatten().collect();
    for task in tasks {
        let task = remediation::read(tx, task)?;
        let record = remediation::access(tx, &caller.actor, &task)?;
        caller.may(Action::TaskEdit, &record)?;
    }
    Ok(())
}

/// Make remediation tasks of items
///
/// One task, or one for each group of items. Closed items are left out.
#[utoipa::path(post, path = "/tasks", tag = "tasks", request_body = NewRemediationTasks,
    responses((status = CREATED, body = RemediationTasksMadeBody), (status = CONFLICT,
    description = "`nothing_to_do`, `too_many_tasks`, `too_many_items`")))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewRemediationTasks>,
) -> Result<(StatusCode, Json<RemediationTasksMadeBody>), Error> {
    let made = make(&app, &caller, new).await?;
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let body = RemediationTasksMadeBody {
        tasks: made.tasks.iter().map(Number::to_string).collect(),
        items: count(made.items),
        skipped: count(made.skipped),
    };
    Ok((StatusCode::CREATED, Json(body)))
}
