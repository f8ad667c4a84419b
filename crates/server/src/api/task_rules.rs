//! Task rules: which items of an import are put into remediation tasks.

use super::items::given_to;
use super::tasks::refused;
use crate::app::App;
use crate::http::conditional::etag;
use crate::http::{Caller, Error, IfMatch};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use domain::access::{Action, Record};
use domain::filter::{Filter, parse};
use domain::id::TaskRuleId;
use domain::remediation::group::Field;
use domain::remediation::rule::{self, Assign};
use protocol::api::exposure::Assignment;
use protocol::api::tasks::{
    NewTaskRule, TaskRule, TaskRuleAppliedBody, TaskRuleBody, TaskRuleMode, TaskRuleTrialBody, TaskRuleTrialTask,
    TaskRulesBody,
};
use protocol::problem::FieldError;
use serde::Deserialize;
use store::remediation::rules::{self, NewRule, RuleRow};
use store::{Transaction, settings};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The last place of a rule.
const POSITION_MAX: i64 = 1_000;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(index, create))
        .routes(routes!(set_mode))
        .routes(routes!(try_out))
        .routes(routes!(show, change, delete))
        .routes(routes!(apply))
}

type Tagged = ([(HeaderName, HeaderValue); 1], Json<TaskRuleBody>);

/// A rule as the API says it.
fn body(row: &RuleRow) -> TaskRule {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    TaskRule {
        id: row.id.0,
        name: row.name.clone(),
        active: row.active,
        position: row.position,
        condition: row.condition.clone(),
        group_by: row.fields().iter().map(Field::text).collect(),
        assign: row.assign.clone(),
        group: some(&row.assign_group),
        assignee: some(&row.assign_name),
        title: row.title.clone(),
        stopped_in: some(&row.stopped_run),
        open_tasks: row.open_tasks,
    }
}

fn tagged(row: &RuleRow) -> Tagged {
    (etag(row.version), Json(TaskRuleBody { rule: body(row) }))
}

/// The rule of this key, as text.
pub(crate) fn known(tx: &mut Transaction<'_>, id: &str) -> Result<RuleRow, Error> {
    let missing = || Error::NotFound(format!("task rule {id}"));
    let key: TaskRuleId = id.parse().map_err(|_| missing())?;
    rules::rule(tx, key).map_err(|error| match error {
        store::Error::NotFound => missing(),
        error => error.into(),
    })
}

/// A rule that was typed, checked, and what its condition means.
fn checked(tx: &mut Transaction<'_>, new: &NewTaskRule) -> Result<(NewRule, Filter), Error> {
    let mut wrong: Vec<FieldError> = Vec::new();
    let wanted = rule::wanted(&new.name, &new.title, &new.group_by).map_err(|all| {
        Error::Invalid(all.into_iter().map(|(field, code, why)| FieldError::new(field, code, why)).collect())
    })?;
    let filter = match parse(&new.condition, &store::items::FIELDS) {
        Ok(filter) => filter,
        Err(error) => {
            wrong.push(FieldError::new("condition", "unreadable", error.message));
            Filter::Everything
        }
    };
    if !(0..=POSITION_MAX).contains(&new.position) {
        wrong.push(FieldError::new("position", "range", format!("a position is 1 to {POSITION_MAX}")));
    }
    let assign = match new.assign.as_str() {
        "" | "item" => Some(Assign::Item),
        "fixed" => {
            let given = Assignment { assignee: new.assignee.clone(), group: new.group.clone() };
            let (owner, group) = given_to(tx, &given)?;
            Some(Assign::Fixed { group, user: owner.map(|account| account.id) })
        }
        word => Field::parse(word).filter(|field| wanted.group_by.contains(field)).map(Assign::Field),
    };
    if assign.is_none() {
        let why = "tasks go to `item`, to `fixed`, or to the group that one of the fields it groups by names";
        wrong.push(FieldError::new("assign", "unknown", why));
    }
    match assign {
        Some(assign) if wrong.is_empty() => {
            let position = if new.position == 0 { 100 } else { new.position };
            let condition = new.condition.trim().to_owned();
            Ok((NewRule { wanted, active: new.active, position, condition, assign }, filter))
        }
        _ => Err(Error::Invalid(wrong)),
    }
}

/// Every rule in order, and whether only the first that matches takes an item.
///
/// # Errors
/// 403.
pub(crate) async fn all(app: &App, caller: &Caller) -> Result<(Vec<RuleRow>, bool), Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    app.database.try_read(move |tx| Ok::<_, Error>((rules::all(tx)?, rules::first_only(tx)?))).await
}

/// List task rules
#[utoipa::path(get, path = "/rules/tasks", tag = "task_rules", responses((status = OK, body = TaskRulesBody)))]
async fn index(State(app): State<App>, caller: Caller) -> Result<Json<TaskRulesBody>, Error> {
    let (rows, first_only) = all(&app, &caller).await?;
    Ok(Json(TaskRulesBody { rules: rows.iter().map(body).collect(), first_only }))
}

/// Show a task rule
#[utoipa::path(get, path = "/rules/tasks/{id}", tag = "task_rules", params(("id" = String, Path)),
    responses((status = OK, body = TaskRuleBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Tagged, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    Ok(tagged(&app.database.try_read(move |tx| known(tx, &id)).await?))
}

/// Make a rule.
///
/// # Errors
/// 403, 409 `name_taken`, `too_many_rules`, 422.
pub(crate) async fn make(app: &App, caller: &Caller, new: NewTaskRule) -> Result<RuleRow, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    let (by, now) = (caller.author(), app.clock.now());
    app.database
        .try_write(move |tx| {
            let (new, _) = checked(tx, &new)?;
            rules::create_rule(tx, &by, &new, now).map_err(refused)
        })
        .await
}

/// Make a task rule
#[utoipa::path(post, path = "/rules/tasks", tag = "task_rules", request_body = NewTaskRule,
    responses((status = CREATED, body = TaskRuleBody), (status = CONFLICT,
    description = "`name_taken`, `too_many_rules`")))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewTaskRule>,
) -> Result<(StatusCode, Tagged), Error> {
    Ok((StatusCode::CREATED, tagged(&make(&app, &caller, new).await?)))
}

/// Change a rule whole; the tasks it made stay as they are.
///
/// # Errors
/// 403, 404, 409 `name_taken`, 412, 422.
pub(crate) async fn replace(
    app: &App,
    caller: &Caller,
    id: String,
    new: NewTaskRule,
    seen: IfMatch,
) -> Result<RuleRow, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    let (by, now) = (caller.author(), app.clock.now());
    app.database
        .try_write(move |tx| {
            let row = known(tx, &id)?;
            seen.check(row.version)?;
            let (new, _) = checked(tx, &new)?;
            rules::change_rule(tx, &by, &row, &new, now).map_err(refused)
        })
        .await
}

/// Change a task rule
///
/// Whole: what is left out is as for a new one. The tasks it made stay as they are until it is applied again.
#[utoipa::path(put, path = "/rules/tasks/{id}", tag = "task_rules", params(("id" = String, Path)),
    request_body = NewTaskRule, responses((status = OK, body = TaskRuleBody), (status = CONFLICT,
    description = "`name_taken`"), (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    seen: IfMatch,
    Json(new): Json<NewTaskRule>,
) -> Result<Tagged, Error> {
    Ok(tagged(&replace(&app, &caller, id, new, seen).await?))
}

/// What goes with a rule.
#[derive(Clone, Copy, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default)]
struct With {
    /// Delete its open tasks too that nobody has done anything with.
    tasks: bool,
}

/// Delete a rule, and with it its open tasks that nobody has done anything with, where that is wanted; gives how many went.
///
/// # Errors
/// 403, 404, 412.
pub(crate) async fn remove(app: &App, caller: &Caller, id: String, tasks: bool, seen: IfMatch) -> Result<usize, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    let (by, now) = (caller.author(), app.clock.now());
    let gone = app.database.try_write(move |tx| {
        let row = known(tx, &id)?;
        seen.check(row.version)?;
        rules::delete_rule(tx, &by, &row, tasks, now).map_err(refused)
    });
    let gone = gone.await?;
    app.wake.notify("item", 0);
    Ok(gone)
}

/// Delete a task rule
#[utoipa::path(delete, path = "/rules/tasks/{id}", tag = "task_rules", params(("id" = String, Path), With),
    responses((status = NO_CONTENT)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(with): Query<With>,
    seen: IfMatch,
) -> Result<StatusCode, Error> {
    remove(&app, &caller, id, with.tasks, seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What a rule would make of the items there are now.
///
/// # Errors
/// 403, 422.
pub(crate) async fn trial(app: &App, caller: &Caller, new: NewTaskRule) -> Result<TaskRuleTrialBody, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    let now = app.clock.now();
    let tried = app.database.try_read(move |tx| {
        let (new, filter) = checked(tx, &new)?;
        Ok::<_, Error>(rules::try_rule(tx, &new, &filter, now)?)
    });
    let tried = tried.await?;
    let first = tried.first.into_iter().map(|(title, items)| TaskRuleTrialTask { title, items: count(items) });
    Ok(TaskRuleTrialBody { items: count(tried.items), tasks: count(tried.tasks), first: first.collect() })
}

/// Try a task rule
///
/// What it would make of the open items there are now; nothing is written.
#[utoipa::path(post, path = "/rules/tasks/try", tag = "task_rules", request_body = NewTaskRule,
    responses((status = OK, body = TaskRuleTrialBody)))]
async fn try_out(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewTaskRule>,
) -> Result<Json<TaskRuleTrialBody>, Error> {
    Ok(Json(trial(&app, &caller, new).await?))
}

/// Apply a rule to all open items, portion by portion: its open tasks that nobody has done anything with are made anew.
///
/// # Errors
/// 403, 404.
pub(crate) async fn apply_again(app: &App, caller: &Caller, id: String) -> Result<TaskRuleAppliedBody, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    let (by, now) = (caller.author(), app.clock.now());
    let author = by.clone();
    let begun = app.database.try_write(move |tx| {
        let row = known(tx, &id)?;
        let deleted = rules::begin_again(tx, &author, &row, now)?;
        let kept = rules::rule(tx, row.id)?.open_tasks;
        Ok::<_, Error>((row, deleted, kept))
    });
    let (row, deleted, kept) = begun.await?;
    let (mut after, mut items) = (0, 0);
    loop {
        let (row, by) = (row.clone(), by.clone());
        let portion =
            app.database.try_write(move |tx| Ok::<_, Error>(rules::apply_portion(tx, &by, &row, after, now)?));
        let Some((last, put)) = portion.await? else { break };
        (after, items) = (last, items + put);
    }
    let id = row.id;
    let tasks = app.database.try_read(move |tx| Ok::<_, Error>(rules::rule(tx, id)?.open_tasks)).await?;
    app.wake.notify("item", 0);
    Ok(TaskRuleAppliedBody { deleted: count(deleted), kept, items: count(items), tasks })
}

/// Apply a task rule to the items there are
///
/// Its open tasks that nobody has done anything with (no note, no change of state, no assignment) are made anew, the others stay.
#[utoipa::path(post, path = "/rules/tasks/{id}/apply", tag = "task_rules", params(("id" = String, Path)),
    responses((status = OK, body = TaskRuleAppliedBody)))]
async fn apply(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<TaskRuleAppliedBody>, Error> {
    Ok(Json(apply_again(&app, &caller, id).await?))
}

/// Say whether only the first rule that matches an item takes it.
///
/// # Errors
/// 403.
pub(crate) async fn put_mode(app: &App, caller: &Caller, first_only: bool) -> Result<(), Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    let (by, now) = (caller.author(), app.clock.now());
    app.database
        .try_write(move |tx| {
            settings::put(tx, &by, rules::FIRST_ONLY, &first_only, None, now)?;
            Ok::<_, Error>(())
        })
        .await
}

/// Say whether only the first task rule that matches an item takes it
#[utoipa::path(put, path = "/rules/tasks/mode", tag = "task_rules", request_body = TaskRuleMode,
    responses((status = OK, body = TaskRuleMode)))]
async fn set_mode(
    State(app): State<App>,
    caller: Caller,
    Json(mode): Json<TaskRuleMode>,
) -> Result<Json<TaskRuleMode>, Error> {
    put_mode(&app, &caller, mode.first_only).await?;
    Ok(Json(mode))
}
