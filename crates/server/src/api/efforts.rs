//! Remediation efforts: frozen sets of items that are worked off together.

use super::items;
use crate::app::App;
use crate::engine::efforts::{self, Made};
use crate::http::conditional::etag;
use crate::http::{Caller, Error, IfMatch, ListQuery};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use domain::access::Action;
use domain::effort;
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use domain::remediation::group::GroupBy;
use domain::remediation::{Existing, Origin};
use domain::time::Timestamp;
use protocol::api::efforts as body;
use protocol::api::exposure::{Assignment, ItemHistoryLine};
use protocol::problem::FieldError;
use store::efforts::{Change, EffortRow, NewEffort, Wanted};
use store::items::ChangeError;
use store::remediation::{self, Made as Tasks, NewTasks};
use store::{Transaction, efforts as store_efforts, list};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Items of an effort in one answer.
const ITEMS_SHOWN: i64 = 100;
/// Items of which tasks are made at once.
const GROUPED_MAX: i64 = 10_000;
/// Lines of history in one answer.
const HISTORY_MAX: i64 = 500;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(index, create))
        .routes(routes!(show, change))
        .routes(routes!(history))
        .routes(routes!(deactivate))
        .routes(routes!(generate))
}

type Tagged = ([(HeaderName, HeaderValue); 1], Json<body::EffortBody>);

/// An effort as the API says it.
pub(crate) fn body(row: &EffortRow) -> body::Effort {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    body::Effort {
        number: row.number().to_string(),
        title: row.title.clone(),
        description: row.description.clone(),
        state: row.state.as_str().to_owned(),
        topic: some(&row.topic),
        condition: row.condition.clone(),
        owner: some(&row.owner),
        group: some(&row.group_name),
        created_by: row.creator.clone(),
        created_at: row.created_at,
        closed_at: row.closed_at,
        items: row.items,
        closed: row.closed,
        mitigated: row.mitigated,
        score: row.score,
    }
}

fn full(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    row: &EffortRow,
    now: Timestamp,
) -> Result<(i64, body::EffortBody), Error> {
    let rows = store_efforts::items_of(tx, &caller.actor, row.id, ITEMS_SHOWN)?;
    let items = rows.into_iter().map(|row| items::body(caller, row, now)).collect();
    Ok((row.version, body::EffortBody { effort: body(row), items }))
}

/// List efforts
#[utoipa::path(get, path = "/efforts", tag = "efforts", params(ListQuery),
    responses((status = OK, body = body::EffortsBody)))]
async fn index(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<body::EffortsBody>, Error> {
    caller.may(Action::TasksView, &caller.own())?;
    let query = query.of_list(&store_efforts::FIELDS, "-number", app.clock.now(), &caller.name)?;
    let page = app.database.try_read(move |tx| {
        let clip = store_efforts::clip(&caller.actor);
        list::page::<EffortRow>(tx, &store_efforts::LIST, clip, &query).map_err(Error::from)
    });
    let page = page.await?;
    Ok(Json(body::EffortsBody { efforts: page.rows.iter().map(body).collect(), next: page.next_cursor }))
}

/// Show an effort
#[utoipa::path(get, path = "/efforts/{number}", tag = "efforts", params(("number" = String, Path)),
    responses((status = OK, body = body::EffortBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(number): Path<String>) -> Result<Tagged, Error> {
    let now = app.clock.now();
    let shown = app.database.try_read(move |tx| {
        let row = efforts::known(tx, &caller, Action::TasksView, &number)?;
        full(tx, &caller, &row, now)
    });
    let (version, body) = shown.await?;
    Ok((etag(version), Json(body)))
}

/// Show the history of an effort
#[utoipa::path(get, path = "/efforts/{number}/history", tag = "efforts", params(("number" = String, Path)),
    responses((status = OK, body = body::EffortHistoryBody)))]
async fn history(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<body::EffortHistoryBody>, Error> {
    let lines = app.database.try_read(move |tx| {
        let row = efforts::known(tx, &caller, Action::TasksView, &number)?;
        Ok::<_, Error>(store_efforts::history(tx, row.id, HISTORY_MAX)?)
    });
    let line = |line: store_efforts::EffortLine| ItemHistoryLine {
        at: line.at,
        what: line.what,
        before: line.before,
        after: line.after,
        cause: line.cause,
    };
    Ok(Json(body::EffortHistoryBody { history: lines.await?.into_iter().map(line).collect() }))
}

/// The texts of an effort, checked.
fn texts(title: &str, description: &str) -> Result<(String, String), Error> {
    let (title, description) = (effort::title(title), effort::description(description));
    match (title, description) {
        (Ok(title), Ok(description)) => Ok((title, description)),
        (title, description) => {
            let wrong = [("title", title.err()), ("description", description.err())];
            let errors = wrong.into_iter().filter_map(|(field, why)| Some(FieldError::new(field, "bad_text", why?)));
            Err(Error::Invalid(errors.collect()))
        }
    }
}

/// Who leads an effort and which group works on it.
pub(super) fn given_to(
    tx: &mut Transaction<'_>,
    owner: Option<&str>,
    group: Option<&str>,
) -> Result<(Option<store::accounts::Account>, String), Error> {
    let text = |text: Option<&str>| text.map(str::to_owned);
    items::given_to(tx, &Assignment { assignee: text(owner), group: text(group) }).map_err(|error| match error {
        Error::Invalid(mut errors) => {
            for error in errors.iter_mut().filter(|error| error.field == "assignee") {
                "owner".clone_into(&mut error.field);
            }
            Error::Invalid(errors)
        }
        error => error,
    })
}

/// Make an effort, or say what would be taken.
///
/// # Errors
/// 403, 409 `nothing_to_take` and `too_many_items`, 422.
pub(crate) async fn make(app: &App, caller: &Caller, new: body::NewEffort) -> Result<Made, Error> {
    caller.may(Action::TaskEdit, &caller.own())?;
    let (title, description) = match (new.dry_run, new.title.trim()) {
        (true, "") => (String::new(), String::new()),
        _ => texts(&new.title, &new.description)?,
    };
    if new.topic.is_some() && (new.q.is_some() || !new.items.is_empty()) {
        return Err(Error::field("topic", "not_wanted", "name a topic, or items, or a query"));
    }
    let topic = match new.topic {
        None => None,
        Some(id) => {
            let read = app.database.try_read(move |tx| {
                let topic = super::topics::known(tx, id)?;
                let filter = super::topics::condition(&topic)?;
                Ok::<_, Error>((topic.id, filter.to_string()))
            });
            Some(read.await?)
        }
    };
    let text = match &topic {
        Some((_, condition)) => Some(condition.clone()),
        None => new.q.clone().filter(|_| new.items.is_empty()),
    };
    let query = ListQuery { q: text.clone().unwrap_or_default(), ..ListQuery::default() };
    let query = query.of_list(&store::items::FIELDS, "", app.clock.now(), &caller.name)?;
    let named: Vec<i64> = new
        .items
        .iter()
        .map(|text| {
            let number = text.parse::<Number>().ok().filter(|number| number.series == Series::Item);
            let wrong = || Error::field("items", "unknown", format!("{text} is no number of an item"));
            number.map(|number| number.ordinal).ok_or_else(wrong)
        })
        .collect::<Result<_, _>>()?;
    let wanted = Wanted { query, named: text.is_none().then_some(named) };
    let (caller, now) = (caller.clone(), app.clock.now());
    let dry_run = new.dry_run;
    let act = move |tx: &mut Transaction<'_>| {
        let (owner, group) = given_to(tx, new.owner.as_deref(), new.group.as_deref())?;
        let made = NewEffort {
            title: &title,
            description: &description,
            topic: topic.as_ref().map(|(id, _)| *id),
            owner: owner.map(|account| account.id),
            group: &group,
        };
        efforts::make(tx, &caller, &made, &wanted, dry_run, now)
    };
    if dry_run {
        return app.database.try_read(act).await;
    }
    let made = app.database.try_write(act).await?;
    app.wake.notify("efforts", 0);
    app.wake.notify("item", 0);
    Ok(made)
}

/// Make an effort
///
/// It takes the items that are active, that you see and that no other effort holds; what matches later does not join it. Large ones
/// are `filling` for a moment. With `dry_run` nothing is made.
#[utoipa::path(post, path = "/efforts", tag = "efforts", request_body = body::NewEffort,
    responses((status = CREATED, body = body::MadeEffortBody), (status = OK, body = body::MadeEffortBody),
    (status = CONFLICT, description = "`nothing_to_take`, `too_many_items`")))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<body::NewEffort>,
) -> Result<(StatusCode, Json<body::MadeEffortBody>), Error> {
    let Made { row, outcome, holders } = make(&app, &caller, new).await?;
    let status = if row.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let holder = |held: store_efforts::Held| body::Holder {
        effort: Number { series: Series::Effort, ordinal: held.number }.to_string(),
        title: held.title,
        items: held.items,
    };
    let made = body::MadeEffortBody {
        effort: row.as_ref().map(body),
        taken: outcome.free,
        held: outcome.held,
        holders: holders.into_iter().map(holder).collect(),
    };
    Ok((status, Json(made)))
}

/// Change an effort.
///
/// # Errors
/// 403, 404, 409 `effort_inactive` and `effort_filling`, 412 where it changed meanwhile, 422.
pub(crate) async fn edit(
    app: &App,
    caller: &Caller,
    number: String,
    given: body::EffortChange,
    seen: IfMatch,
) -> Result<(i64, body::EffortBody), Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    let changed = app.database.try_write(move |tx| {
        let row = efforts::known(tx, &caller, Action::TaskEdit, &number)?;
        seen.check(row.version)?;
        effort::may_change(row.state)?;
        let (title, description) = texts(
            given.title.as_deref().unwrap_or(&row.title),
            given.description.as_deref().unwrap_or(&row.description),
        )?;
        let owner = given.owner.as_deref().unwrap_or(&row.owner);
        let group = given.group.as_deref().unwrap_or(&row.group_name);
        // Who leads it now may have been deactivated meanwhile; that is no mistake of who changes the title.
        let (owner, group) = match (owner == row.owner, group == row.group_name) {
            (true, true) => (row.owner_id.map(|id| (id, row.owner.clone())), row.group_name.clone()),
            _ => {
                let (owner, group) = given_to(tx, Some(owner), Some(group))?;
                (owner.map(|account| (account.id, account.name)), group)
            }
        };
        let change = Change {
            title: &title,
            description: &description,
            owner: owner.as_ref().map(|(id, name)| (*id, name.as_str())),
            group: &group,
        };
        store_efforts::change(tx, &caller.author(), &row, &change, now)?;
        let row = store_efforts::one(tx, &caller.actor, row.number)?;
        full(tx, &caller, &row, now)
    });
    changed.await
}

/// Change an effort
///
/// Its title, its description and who works on it; its items are frozen. Send `If-Match` to change only what you have seen.
#[utoipa::path(patch, path = "/efforts/{number}", tag = "efforts", params(("number" = String, Path)),
    request_body = body::EffortChange, responses((status = OK, body = body::EffortBody), (status = CONFLICT,
    description = "`effort_inactive`, `effort_filling`"), (status = PRECONDITION_FAILED,
    description = "`changed_meanwhile`")))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
    Json(given): Json<body::EffortChange>,
) -> Result<Tagged, Error> {
    let (version, body) = edit(&app, &caller, number, given, seen).await?;
    Ok((etag(version), Json(body)))
}

/// End an effort: its active items may be taken into another one.
///
/// # Errors
/// 403, 404, 409 `effort_inactive` and `effort_filling`, 412 where it changed meanwhile.
pub(crate) async fn end(
    app: &App,
    caller: &Caller,
    number: String,
    seen: IfMatch,
) -> Result<(i64, body::EffortBody), Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    let ended = app.database.try_write(move |tx| {
        let row = efforts::known(tx, &caller, Action::TaskEdit, &number)?;
        seen.check(row.version)?;
        effort::may_change(row.state)?;
        store_efforts::end(tx, &caller.author(), &row, now)?;
        let row = store_efforts::one(tx, &caller.actor, row.number)?;
        full(tx, &caller, &row, now)
    });
    let ended = ended.await?;
    app.wake.notify("item", 0);
    Ok(ended)
}

/// End an effort
///
/// It does not come back; its items that are still active may be taken into another effort.
#[utoipa::path(post, path = "/efforts/{number}/deactivate", tag = "efforts", params(("number" = String, Path)),
    responses((status = OK, body = body::EffortBody), (status = CONFLICT,
    description = "`effort_inactive`, `effort_filling`"), (status = PRECONDITION_FAILED,
    description = "`changed_meanwhile`")))]
async fn deactivate(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
) -> Result<Tagged, Error> {
    let (version, body) = end(&app, &caller, number, seen).await?;
    Ok((etag(version), Json(body)))
}

/// Make remediation tasks of an effort's items that are not closed. Later calls put items into the open tasks that earlier ones made.
///
/// # Errors
/// 403, 404, 409 `effort_inactive`, `effort_filling`, `too_many_items` and `nothing_to_do`, 422.
pub(crate) async fn make_tasks(
    app: &App,
    caller: &Caller,
    number: String,
    given: body::EffortTasks,
) -> Result<Tasks, Error> {
    let unknown = |field: &str, words: &str| Error::field(field, "unknown", format!("this is one of {words}"));
    let group_by = GroupBy::parse(&given.group_by).ok_or_else(|| unknown("group_by", &GroupBy::WORDS.join(", ")))?;
    let existing = match given.existing.as_deref() {
        None | Some("" | "skip") => Existing::Skip,
        Some("keep") => Existing::Keep,
        Some(_) => return Err(unknown("existing", "skip, keep")),
    };
    let (caller, now) = (caller.clone(), app.clock.now());
    let made = app.database.try_write(move |tx| {
        let row = efforts::known(tx, &caller, Action::TaskEdit, &number)?;
        effort::may_change(row.state)?;
        let keys = store_efforts::active_items(tx, row.id, GROUPED_MAX + 1)?;
        if keys.len() > usize::try_from(GROUPED_MAX).unwrap_or(usize::MAX) {
            let why =
                format!("tasks are made of at most {GROUPED_MAX} items at once, and more of this effort are active");
            return Err(Refusal::new("too_many_items", why).into());
        }
        let new = NewTasks {
            by: &caller.author(),
            origin: Origin::Effort,
            effort: Some(row.id.0),
            group_by,
            existing,
            title: &row.title,
            description: &row.description,
            // Without groups of their own there is one task, and whoever leads the effort has it.
            assignment: (group_by == GroupBy::None).then_some((row.owner_id, row.group_name.as_str())),
        };
        remediation::create(tx, &new, &keys, now).map_err(|error| match error {
            ChangeError::Refused(refusal) => Error::from(refusal),
            ChangeError::Store(error) => error.into(),
        })
    });
    let made = made.await?;
    app.wake.notify("item", 0);
    Ok(made)
}

/// Make remediation tasks of an effort
///
/// Of its items that are not closed, at most 10,000; grouped as asked. What comes back later joins the open task of its group when
/// it is asked once more.
#[utoipa::path(post, path = "/efforts/{number}/tasks", tag = "efforts", operation_id = "effort_tasks",
    params(("number" = String, Path)), request_body = body::EffortTasks,
    responses((status = CREATED, body = body::EffortTasksBody), (status = CONFLICT,
    description = "`effort_inactive`, `effort_filling`, `too_many_items`")))]
async fn generate(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Json(given): Json<body::EffortTasks>,
) -> Result<(StatusCode, Json<body::EffortTasksBody>), Error> {
    let made = make_tasks(&app, &caller, number, given).await?;
    let named = |numbers: &[Number]| numbers.iter().map(Number::to_string).collect();
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let body = body::EffortTasksBody {
        tasks: named(&made.tasks),
        joined: named(&made.joined),
        items: count(made.items),
        skipped: count(made.skipped),
    };
    Ok((StatusCode::CREATED, Json(body)))
}
