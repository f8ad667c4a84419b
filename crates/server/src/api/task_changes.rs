//! What people change of remediation tasks: their state, who has them, what they hold and are called.

use super::items::{self, all_known, given_to};
use super::tasks::{Tagged, body, description, known, line, refused};
use crate::app::App;
use crate::http::conditional::etag;
use crate::http::{Caller, Error, IfMatch, ListQuery};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::access::Action;
use domain::filter::Filter;
use domain::id::ItemId;
use domain::remediation as rules;
use domain::time::Timestamp;
use protocol::api::exposure::{Assignment, StateChange};
use protocol::api::tasks::{
    RemediationTaskAssignment, RemediationTaskBody, RemediationTaskChange, RemediationTaskItems, RemediationTaskSplit,
    RemediationTaskSplitBody,
};
use store::items::numbered;
use store::remediation::{self, Split, TaskRow};
use store::{Transaction, list};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(change, delete))
        .routes(routes!(change_state))
        .routes(routes!(assign))
        .routes(routes!(split))
        .routes(routes!(change_items))
}

/// Do something with a task that the caller may do it with and has seen as it is; gives the task after it.
async fn with(
    app: &App,
    caller: &Caller,
    action: Action,
    number: String,
    seen: IfMatch,
    work: impl FnOnce(&mut Transaction<'_>, &Caller, &TaskRow, Timestamp) -> Result<(), Error> + Clone + Send + 'static,
) -> Result<TaskRow, Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    let changed = app.database.try_write(move |tx| {
        let task = known(tx, &caller, action, &number)?;
        seen.check(task.version)?;
        work.clone()(tx, &caller, &task, now)?;
        Ok::<_, Error>(remediation::read(tx, task.id)?)
    });
    let task = changed.await?;
    app.wake.notify("item", 0);
    Ok(task)
}

fn tagged(task: &TaskRow) -> Tagged {
    (etag(task.version), Json(RemediationTaskBody { task: body(task) }))
}

/// Change the state of a task by a legal transition, and by it of its items.
///
/// # Errors
/// 403, 404, 409 where the domain forbids it, 412, 422 for an unknown word.
pub(crate) async fn set_state(
    app: &App,
    caller: &Caller,
    number: String,
    state: &str,
    seen: IfMatch,
) -> Result<TaskRow, Error> {
    let to = items::state_word(state)?;
    with(app, caller, Action::ItemTransition, number, seen, move |tx, caller, task, now| {
        remediation::set_state(tx, &caller.author(), task, to, now).map_err(refused)
    })
    .await
}

/// Change the state of a remediation task
///
/// Its items go with it, as far as no higher state counts for them. Only its items close a task: `closed_by_items`, `task_closed`.
#[utoipa::path(post, path = "/tasks/{number}/state", tag = "tasks", params(("number" = String, Path)),
    request_body = StateChange, responses((status = OK, body = RemediationTaskBody), (status = CONFLICT,
    description = "`task_closed`, `closed_by_items`, `by_request`, `in_review`, `deferred`, `resolved`, `same_state`"),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn change_state(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
    Json(given): Json<StateChange>,
) -> Result<Tagged, Error> {
    Ok(tagged(&set_state(&app, &caller, number, &given.state, seen).await?))
}

/// Give a task to a person, a group, both or nobody.
///
/// # Errors
/// 403, 404, 409 `task_closed`, 412, 422 for an unknown person or group, and where nobody has it afterwards and nothing says why.
pub(crate) async fn give(
    app: &App,
    caller: &Caller,
    number: String,
    given: RemediationTaskAssignment,
    seen: IfMatch,
) -> Result<TaskRow, Error> {
    let note = rules::text(&given.note, rules::NOTE_CHARS_MAX).map_err(|why| Error::field("note", "bad_text", why))?;
    with(app, caller, Action::ItemAssign, number, seen, move |tx, caller, task, now| {
        let (owner, group) = given_to(tx, &Assignment { assignee: given.assignee, group: given.group })?;
        let had = task.owner_id.is_some() || !task.group_name.is_empty();
        if had && owner.is_none() && group.is_empty() && note.is_empty() {
            return Err(Error::field("note", "missing", "say why nobody has the task from now on"));
        }
        let owner = owner.as_ref().map(|account| (account.id, account.name.as_str()));
        remediation::assign(tx, &caller.author(), task, owner, &group, &note, now).map_err(refused)?;
        if !note.is_empty() {
            store::notes::add(tx, &caller.actor, &task.resource(), &note, now)?;
        }
        Ok(())
    })
    .await
}

/// Give a task to the caller, leaving its group as it is.
///
/// # Errors
/// 403, 404, 409 `task_closed`.
pub(crate) async fn take(app: &App, caller: &Caller, number: String) -> Result<TaskRow, Error> {
    with(app, caller, Action::ItemAssign, number, IfMatch(None), move |tx, caller, task, now| {
        let me = Some((caller.user, caller.name.as_str()));
        remediation::assign(tx, &caller.author(), task, me, &task.group_name, "", now).map_err(refused)
    })
    .await
}

/// Give a remediation task to a person or a group
///
/// Its open items that nobody has go with it.
#[utoipa::path(post, path = "/tasks/{number}/assignment", tag = "tasks", params(("number" = String, Path)),
    request_body = RemediationTaskAssignment, responses((status = OK, body = RemediationTaskBody), (status = CONFLICT,
    description = "`task_closed`"), (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn assign(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
    Json(given): Json<RemediationTaskAssignment>,
) -> Result<Tagged, Error> {
    Ok(tagged(&give(&app, &caller, number, given, seen).await?))
}

/// Change the title or the description of a remediation task
#[utoipa::path(patch, path = "/tasks/{number}", tag = "tasks", params(("number" = String, Path)),
    request_body = RemediationTaskChange, responses((status = OK, body = RemediationTaskBody),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
    Json(given): Json<RemediationTaskChange>,
) -> Result<Tagged, Error> {
    Ok(tagged(&rename(&app, &caller, number, given, seen).await?))
}

/// Give a task another title or description.
///
/// # Errors
/// 403, 404, 412, 422.
pub(crate) async fn rename(
    app: &App,
    caller: &Caller,
    number: String,
    given: RemediationTaskChange,
    seen: IfMatch,
) -> Result<TaskRow, Error> {
    let title = given.title.as_deref().map(|title| line("title", title)).transpose()?;
    if title.as_deref() == Some("") {
        return Err(Error::field("title", "missing", "a task has a title"));
    }
    let text = given.description.as_deref().map(description).transpose()?;
    with(app, caller, Action::TaskEdit, number, seen, move |tx, caller, task, now| {
        let title = title.unwrap_or_else(|| task.title.clone());
        let text = text.unwrap_or_else(|| task.description.clone());
        remediation::rename(tx, &caller.author(), task, &title, &text, now).map_err(refused)
    })
    .await
}

/// Delete an empty task with its history and notes.
///
/// # Errors
/// 403, 404, 409 `has_items`, 412.
pub(crate) async fn delete_task(app: &App, caller: &Caller, number: String, seen: IfMatch) -> Result<(), Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    let gone = app.database.try_write(move |tx| {
        let task = known(tx, &caller, Action::TaskEdit, &number)?;
        seen.check(task.version)?;
        remediation::delete(tx, &caller.author(), &task, now).map_err(refused)
    });
    gone.await?;
    app.wake.notify("item", 0);
    Ok(())
}

/// Delete an empty remediation task
///
/// With its history and notes.
#[utoipa::path(delete, path = "/tasks/{number}", tag = "tasks", params(("number" = String, Path)),
    responses((status = NO_CONTENT), (status = CONFLICT, description = "`has_items`")))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
) -> Result<StatusCode, Error> {
    delete_task(&app, &caller, number, seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Split a task; gives it and the number of the new one.
///
/// # Errors
/// 403, 404, 409 `task_closed`, `not_in_work`, `one_item`, `nothing_goes`, `nothing_stays`, 412, 422.
pub(crate) async fn split_task(
    app: &App,
    caller: &Caller,
    number: String,
    given: RemediationTaskSplit,
    seen: IfMatch,
) -> Result<(TaskRow, String), Error> {
    let title = line("title", &given.title)?;
    let filter = match given.q.as_deref().filter(|_| given.items.is_empty()) {
        Some(q) => {
            let query = ListQuery { q: q.to_owned(), ..ListQuery::default() };
            Some(query.of_list(&store::items::FIELDS, "number", app.clock.now(), &caller.name)?)
        }
        None => None,
    };
    if filter.is_none() && given.items.is_empty() {
        return Err(Error::field("items", "count", "say which items go"));
    }
    let (caller, now) = (caller.clone(), app.clock.now());
    let done = app.database.try_write(move |tx| {
        let task = known(tx, &caller, Action::TaskSplit, &number)?;
        seen.check(task.version)?;
        let going = match &filter {
            Some(wanted) => of_query(tx, &caller, &task, wanted)?,
            None => of_numbers(tx, &given.items)?,
        };
        let assignment = Assignment { assignee: given.assignee.clone(), group: given.group.clone() };
        let (owner, mut group) = given_to(tx, &assignment)?;
        if owner.is_none() && group.is_empty() {
            group.clone_from(&task.group_name);
        }
        let how = Split { title: &title, assignment: (owner.map(|account| account.id), &group) };
        let new = remediation::split(tx, &caller.author(), &task, &how, &going, now).map_err(refused)?;
        Ok::<_, Error>((remediation::read(tx, task.id)?, new.to_string()))
    });
    let done = done.await?;
    app.wake.notify("item", 0);
    Ok(done)
}

/// The items of a task that match, of those that the caller sees.
fn of_query(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    task: &TaskRow,
    wanted: &list::Query,
) -> Result<Vec<ItemId>, Error> {
    let inside = domain::filter::parse(&format!("task:{}", task.number()), &store::items::FIELDS);
    let mut query = wanted.clone();
    query.filter = Filter::and(vec![wanted.filter.clone(), inside.map_err(Error::internal)?]);
    let clip = store::items::visible(&caller.actor, Action::ItemsView);
    let most = i64::try_from(rules::ITEMS_MAX).unwrap_or(i64::MAX);
    let keys = list::keys(tx, &store::items::LIST, clip, &query, most)?;
    Ok(keys.into_iter().map(ItemId).collect())
}

/// The items of these numbers; unknown ones are left out, as those are that the task does not hold.
fn of_numbers(tx: &mut Transaction<'_>, numbers: &[String]) -> Result<Vec<ItemId>, Error> {
    let ordinals: Vec<i64> = numbers.iter().filter_map(|number| items::ordinal(number)).collect();
    let mut keys = Vec::new();
    for ordinals in ordinals.chunks(items::BATCH) {
        keys.extend(numbered(tx, ordinals)?.into_iter().map(|item| item.id));
    }
    Ok(keys)
}

/// Split a remediation task
///
/// Its open ones of the items go into a new task; at least one goes and one stays. An open task is Under Investigation afterwards.
#[utoipa::path(post, path = "/tasks/{number}/split", tag = "tasks", params(("number" = String, Path)),
    request_body = RemediationTaskSplit, responses((status = CREATED, body = RemediationTaskSplitBody), (status = CONFLICT,
    description = "`task_closed`, `not_in_work`, `one_item`, `nothing_goes`, `nothing_stays`"),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn split(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
    Json(given): Json<RemediationTaskSplit>,
) -> Result<(StatusCode, Json<RemediationTaskSplitBody>), Error> {
    let (task, new) = split_task(&app, &caller, number, given, seen).await?;
    Ok((StatusCode::CREATED, Json(RemediationTaskSplitBody { task: body(&task), new })))
}

/// Put items into a task, or take them out of it; gives the task and how many were.
///
/// # Errors
/// 403, 404, 409 `task_closed`, `not_in_work`, `task_full`, `item_closed`, 412, 422.
pub(crate) async fn hold(
    app: &App,
    caller: &Caller,
    number: String,
    given: RemediationTaskItems,
    seen: IfMatch,
) -> Result<TaskRow, Error> {
    let RemediationTaskItems { add, remove } = given;
    if add.is_empty() == remove.is_empty() || add.len().max(remove.len()) > rules::ITEMS_MAX {
        let why = format!("say either which items are put in, or which are taken out: 1 to {}", rules::ITEMS_MAX);
        return Err(Error::field("add", "count", why));
    }
    with(app, caller, Action::TaskEdit, number, seen, move |tx, caller, task, now| {
        let by = caller.author();
        let rows = all_known(tx, caller, Action::TaskEdit, if add.is_empty() { &remove } else { &add })?;
        let done = match add.is_empty() {
            false => remediation::add(tx, &by, task, &rows, now),
            true => remediation::remove(tx, &by, task, &rows, now),
        };
        done.map(|_| ()).map_err(refused)
    })
    .await
}

/// Put items into a remediation task, or take them out of it
///
/// What it holds already, or does not hold, stays so. A task that is emptied closes as cancelled.
#[utoipa::path(post, path = "/tasks/{number}/items", tag = "tasks", params(("number" = String, Path)),
    request_body = RemediationTaskItems, responses((status = OK, body = RemediationTaskBody), (status = CONFLICT,
    description = "`task_closed`, `not_in_work`, `task_full`, `item_closed`"), (status = PRECONDITION_FAILED,
    description = "`changed_meanwhile`")))]
async fn change_items(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
    Json(given): Json<RemediationTaskItems>,
) -> Result<Tagged, Error> {
    Ok(tagged(&hold(&app, &caller, number, given, seen).await?))
}
