//! Vulnerable items: the list, one item, what stands behind its score, and what people change of it.

use crate::app::App;
use crate::engine::exceptions::Judged;
use crate::http::{Caller, Error, ListQuery};
use axum::Json;
use axum::extract::{Path, State};
use domain::access::{Action, Record};
use domain::item::{State as ItemState, why};
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use domain::remediation::why::of_item;
use domain::time::Timestamp;
use protocol::api::exposure::{
    Assignment, Detection, Item, ItemBody, ItemHistoryBody, ItemHistoryLine, ItemWhyBody, ItemsBody, Score, ScoreBody,
    ScoreChange, ScoreControl, ScoreUnit, StateChange,
};
use std::collections::{BTreeMap, BTreeSet};
use store::accounts::Account;
use store::items::{self, ChangeError, ItemRow};
use store::remediation::{self, OfItem};
use store::{Transaction, list, scores, vulnerabilities};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Lines of history in one answer at most.
const HISTORY_MAX: i64 = 500;
/// Items that are read, or changed in one transaction, at once.
pub(super) const BATCH: usize = 500;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(index))
        .routes(routes!(show))
        .routes(routes!(score))
        .routes(routes!(history))
        .routes(routes!(why))
        .routes(routes!(assign))
        .routes(routes!(change_state))
}

/// An item as the API says it.
pub(crate) fn body(caller: &Caller, row: ItemRow, now: Timestamp) -> Item {
    let jobs = caller.decide(Action::JobsView, &Record::default()).allowed();
    let some = |text: String| (!text.is_empty()).then_some(text);
    Item {
        target: row.target(now).as_str().to_owned(),
        due_at: row.due_at,
        number: row.number().to_string(),
        qid: row.qid,
        title: row.title,
        severity: row.severity,
        asset_id: row.asset_id.0,
        asset: row.asset,
        ip: row.ip,
        platform: row.platform.as_str().to_owned(),
        instance: row.instance,
        source: some(row.source),
        state: row.state.as_str().to_owned(),
        substate: row.substate.as_str().to_owned(),
        mitigation: row.mitigation.as_str().to_owned(),
        status: row.status.as_str().to_owned(),
        last_job: row.last_job.filter(|_| jobs).map(store::jobs::name),
        inherent: row.inherent,
        residual: row.residual,
        score_source: row.score_source.as_str().to_owned(),
        assignee: some(row.owner),
        group: some(row.group_name),
        reopened: row.reopened,
        opened_at: row.opened_at,
        resolved_at: row.resolved_at,
        closed_at: row.closed_at,
        last_found_at: row.last_found_at,
        updated_at: row.updated_at,
        deferred_until: row.granted_until_at.filter(|_| row.state == ItemState::Deferred),
    }
}

/// The ordinal of an item's number; none for what is no such number.
pub(super) fn ordinal(number: &str) -> Option<i64> {
    let number = number.parse::<Number>().ok()?;
    (number.series == Series::Item).then_some(number.ordinal)
}

/// The item of this number, if the caller may do this with it; one out of sight looks absent.
pub(crate) fn known(tx: &mut Transaction<'_>, caller: &Caller, action: Action, number: &str) -> Result<ItemRow, Error> {
    let missing = || Error::NotFound(format!("item {number}"));
    let ordinal = ordinal(number).ok_or_else(missing)?;
    let item = items::one(tx, ordinal).map_err(|error| match error {
        store::Error::NotFound => missing(),
        error => error.into(),
    })?;
    let record = items::access(tx, &caller.actor, &item)?;
    caller.may(action, &record)?;
    Ok(item)
}

/// List items
#[utoipa::path(get, path = "/items", tag = "items", params(ListQuery), responses((status = OK, body = ItemsBody)))]
async fn index(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<ItemsBody>, Error> {
    // Somebody who sees only what is assigned to him has a list, and it is clipped to that.
    let any = Record { assignee: Some(caller.user), ..Record::default() };
    caller.may(Action::ItemsView, &any)?;
    let (asker, now) = (caller.clone(), app.clock.now());
    let query = query.of_list(&items::FIELDS, "-score", now, &caller.name)?;
    let page = app.database.try_read(move |tx| {
        let clip = items::visible(&caller.actor, Action::ItemsView);
        list::page::<ItemRow>(tx, &items::LIST, clip, &query).map_err(Error::from)
    });
    let page = page.await?;
    Ok(Json(ItemsBody {
        items: page.rows.into_iter().map(|row| body(&asker, row, now)).collect(),
        next: page.next_cursor,
    }))
}

fn full(tx: &mut Transaction<'_>, caller: &Caller, item: ItemRow, now: Timestamp) -> Result<ItemBody, Error> {
    let cves: Vec<String> = vulnerabilities::cves(tx, item.vulnerability_id)?.into_iter().map(|cve| cve.cve).collect();
    let no_sound_mitigation = crate::views::catalogue::no_mitigation(cves.iter().map(String::as_str));
    let detections = items::detections(tx, item.id)?.into_iter().map(|row| Detection {
        host: row.host_key,
        unique_id: row.unique_id,
        kind: row.kind,
        protocol: row.protocol,
        port: (row.port > 0).then_some(row.port),
        fqdn: row.fqdn,
        service_instance: row.service_instance,
        status: row.status,
        qds: row.qds,
        inherent: row.inherent,
        score_source: row.score_source.as_str().to_owned(),
        results: row.results,
        ignored: row.ignored,
        excluded: row.excluded,
        times_found: row.times_found,
        first_found_at: row.first_found_at,
        last_found_at: row.last_found_at,
        last_fixed_at: row.last_fixed_at,
        last_test_at: row.last_test_at,
    });
    let detections = detections.collect();
    Ok(ItemBody { item: body(caller, item, now), cves, no_sound_mitigation, detections })
}

/// Show an item
#[utoipa::path(get, path = "/items/{number}", tag = "items", params(("number" = String, Path)),
    responses((status = OK, body = ItemBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(number): Path<String>) -> Result<Json<ItemBody>, Error> {
    let now = app.clock.now();
    let shown = app.database.try_read(move |tx| {
        let item = known(tx, &caller, Action::ItemsView, &number)?;
        full(tx, &caller, item, now)
    });
    Ok(Json(shown.await?))
}

/// Show what stands behind an item's score
#[utoipa::path(get, path = "/items/{number}/score", tag = "items", params(("number" = String, Path)),
    responses((status = OK, body = ScoreBody)))]
async fn score(State(app): State<App>, caller: Caller, Path(number): Path<String>) -> Result<Json<ScoreBody>, Error> {
    let shown = app.database.try_read(move |tx| {
        let item = known(tx, &caller, Action::ItemsView, &number)?;
        let behind = scores::drill_down(tx, item.id)?;
        let history = items::score_history(tx, item.id, HISTORY_MAX)?;
        Ok::<_, Error>(score_body(behind, history))
    });
    Ok(Json(ScoreBody { score: shown.await? }))
}

fn score_body(behind: scores::DrillDown, history: Vec<items::ScoreLine>) -> Score {
    let assessment = behind.assessment;
    let units = assessment.units.into_iter().map(|unit| ScoreUnit {
        cve: unit.unit.cve,
        inherent: unit.unit.inherent,
        source: unit.unit.source.as_str().to_owned(),
        points: unit.points,
        residual: unit.residual,
        entry: unit.entry,
        mitigated: unit.mitigated,
    });
    let controls = behind.controls.into_iter().map(|control| ScoreControl {
        entry: control.entry,
        title: control.title,
        cve: control.cve,
        coverage: control.coverage.as_str().to_owned(),
        points: control.points,
        state: control.state.as_str().to_owned(),
        origin: control.origin,
        job: control.job.map(|ordinal| Number { series: Series::Job, ordinal }.to_string()),
        since_at: control.since_at,
        checked_at: control.checked_at,
    });
    let history = history.into_iter().map(|line| ScoreChange {
        at: line.at,
        inherent: line.inherent,
        before: line.before,
        after: line.after,
        cause: line.cause,
    });
    Score {
        inherent: assessment.inherent,
        residual: assessment.residual,
        source: behind.source.as_str().to_owned(),
        mitigation: assessment.mitigation.as_str().to_owned(),
        formula: "residual = max(1, inherent - points) for each CVE, with the largest effective control; \
                  the score is the highest of them"
            .to_owned(),
        units: units.collect(),
        controls: controls.collect(),
        history: history.collect(),
    }
}

/// Show the history of an item
#[utoipa::path(get, path = "/items/{number}/history", tag = "items", params(("number" = String, Path)),
    responses((status = OK, body = ItemHistoryBody)))]
async fn history(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<ItemHistoryBody>, Error> {
    let lines = app.database.try_read(move |tx| {
        let item = known(tx, &caller, Action::ItemsView, &number)?;
        Ok::<_, Error>(items::history(tx, item.id, HISTORY_MAX)?)
    });
    let line = |line: items::HistoryLine| ItemHistoryLine {
        at: line.at,
        what: line.what,
        before: line.before,
        after: line.after,
        cause: line.cause,
    };
    Ok(Json(ItemHistoryBody { history: lines.await?.into_iter().map(line).collect() }))
}

/// Why an item is in its state, and what would change it: its own cause, and what its tasks do to it.
pub(crate) fn reasons(item: &ItemRow, tasks: &[OfItem], now: Timestamp) -> Vec<String> {
    let own = tasks.first().map_or(item.state, |task| task.own_state);
    let of = |task: &OfItem| (Number { series: Series::RemediationTask, ordinal: task.number }.to_string(), task.state);
    let by_tasks = of_item(own, &tasks.iter().map(of).collect::<Vec<_>>());
    // What set its own state does not explain another one.
    let cause = if own == item.state { why::Cause::parse(&item.state_cause) } else { why::Cause::Unknown };
    by_tasks.into_iter().chain(why::why(item.workflow(), &cause, now)).collect()
}

/// Show why an item is in its state
///
/// What decided it, until when, and what would change it.
#[utoipa::path(get, path = "/items/{number}/why", tag = "items", params(("number" = String, Path)),
    responses((status = OK, body = ItemWhyBody)))]
async fn why(State(app): State<App>, caller: Caller, Path(number): Path<String>) -> Result<Json<ItemWhyBody>, Error> {
    let read = app.database.try_read(move |tx| {
        let item = known(tx, &caller, Action::ItemsView, &number)?;
        let tasks = remediation::tasks_of(tx, item.id)?;
        Ok::<_, Error>((item, tasks))
    });
    let (item, tasks) = read.await?;
    let some = |word: &str| (!word.is_empty()).then(|| word.to_owned());
    Ok(Json(ItemWhyBody {
        state: item.state.as_str().to_owned(),
        substate: some(item.substate.as_str()),
        why: reasons(&item, &tasks, app.clock.now()),
    }))
}

/// Give an item to a person, a group, both or nobody.
///
/// # Errors
/// 403, 404, 422 for an unknown person or group.
pub(crate) async fn give(app: &App, caller: &Caller, number: String, given: Assignment) -> Result<ItemBody, Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    let changed = app.database.try_write(move |tx| {
        let item = known(tx, &caller, Action::ItemAssign, &number)?;
        let (owner, group) = given_to(tx, &given)?;
        let owner = owner.as_ref().map(|account| (account.id, account.name.as_str()));
        items::assign(tx, &caller.author(), &item, owner, &group, now)?;
        let item = items::one(tx, item.number)?;
        full(tx, &caller, item, now)
    });
    let body = changed.await?;
    app.wake.notify("item", 0);
    Ok(body)
}

/// The items of these numbers, if the caller may do this with each of them; one out of sight looks absent.
///
/// # Errors
/// Not found for the first that there is not, 403 for the first that the caller may not do it with.
pub(crate) fn all_known(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    action: Action,
    numbers: &[String],
) -> Result<Vec<ItemRow>, Error> {
    let mut found = Vec::new();
    for batch in numbers.chunks(BATCH) {
        for judged in judged(tx, caller, action, batch)? {
            found.push(judged?);
        }
    }
    Ok(found)
}

/// A batch of items by their numbers, each with the answer whether the caller may do this with it.
pub(super) fn judged(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    action: Action,
    batch: &[String],
) -> Result<Vec<Result<ItemRow, Error>>, Error> {
    let ordinals: BTreeSet<i64> = batch.iter().filter_map(|number| ordinal(number)).collect();
    let rows = items::numbered(tx, &ordinals.into_iter().collect::<Vec<_>>())?;
    let records = items::access_of(tx, &caller.actor, &rows)?;
    let mut of: BTreeMap<i64, (ItemRow, Record)> =
        rows.into_iter().zip(records).map(|(row, record)| (row.number, (row, record))).collect();
    let mut seen = BTreeSet::new();
    let mut answers = Vec::new();
    for number in batch.iter().filter(|number| seen.insert(*number)) {
        let there = ordinal(number).and_then(|ordinal| of.remove(&ordinal));
        answers.push(match there {
            None => Err(Error::NotFound(format!("item {number}"))),
            Some((row, record)) => caller.may(action, &record).map(|()| row),
        });
    }
    Ok(answers)
}

/// The account and the group of an assignment.
pub(super) fn given_to(tx: &mut Transaction<'_>, given: &Assignment) -> Result<(Option<Account>, String), Error> {
    let name = given.assignee.as_deref().unwrap_or_default().trim().to_lowercase();
    let owner = match name.as_str() {
        "" => None,
        name => {
            let account = store::accounts::by_name(tx, name)?.filter(|account| account.active);
            let unknown = || Error::field("assignee", "unknown", format!("there is no active user {name}"));
            Some(account.ok_or_else(unknown)?)
        }
    };
    let group = given.group.as_deref().unwrap_or_default().trim();
    if !group.is_empty() && !items::group_exists(tx, group)? {
        return Err(Error::field("group", "unknown", format!("there is no group {group}")));
    }
    Ok((owner, group.to_owned()))
}

/// Every item of these numbers once, in their order, each with the answer whether the caller may do this with it.
///
/// # Errors
/// A failure of the store.
pub(crate) fn all_judged(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    action: Action,
    numbers: &[String],
) -> Result<Vec<Judged>, Error> {
    let mut seen = BTreeSet::new();
    let once: Vec<String> = numbers.iter().filter(|number| seen.insert(*number)).cloned().collect();
    let mut found = Vec::new();
    for batch in once.chunks(BATCH) {
        found.extend(batch.iter().cloned().zip(judged(tx, caller, action, batch)?));
    }
    Ok(found)
}

/// The numbers of all items that match a query text and that the caller sees.
///
/// # Errors
/// 422 `q` for a text that cannot be read, `too_many_items` for more than `most`: what cannot be taken whole is not cut.
pub(crate) async fn matching(app: &App, caller: &Caller, q: &str, most: usize) -> Result<Vec<String>, Error> {
    let query = ListQuery { q: q.to_owned(), ..ListQuery::default() };
    let wanted = query.of_list(&items::FIELDS, "-score", app.clock.now(), &caller.name)?;
    let (asker, limit) = (caller.actor.clone(), i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1));
    let read = app.database.try_read(move |tx| {
        let clip = items::visible(&asker, Action::ItemsView);
        let keys = list::keys(tx, &items::LIST, clip, &wanted, limit)?;
        Ok::<_, Error>(items::ordinals(tx, &keys)?)
    });
    let found = read.await?;
    if found.len() > most {
        let why = format!(
            "more than {most} items match, and at most {most} are taken at once; nothing was done: narrow the list by its query"
        );
        return Err(Refusal::new("too_many_items", why).into());
    }
    Ok(found.into_iter().map(|ordinal| Number { series: Series::Item, ordinal }.to_string()).collect())
}

/// What came of taking items over.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// So many are the caller's now.
    pub done: usize,
    /// So many could not be taken.
    pub refused: usize,
}

/// Take items over, leaving their groups as they are: all of them, in transactions of at most [`BATCH`] items.
///
/// # Errors
/// The first refusal where none could be taken.
pub(crate) async fn take(app: &App, caller: &Caller, numbers: Vec<String>) -> Result<Taken, Error> {
    let (mut taken, mut first) = (Taken::default(), None);
    for batch in numbers.chunks(BATCH) {
        let (batch, caller, now) = (batch.to_vec(), caller.clone(), app.clock.now());
        let written = app.database.try_write(move |tx| {
            let (mut given, mut refused) = (Vec::new(), Vec::new());
            for answer in judged(tx, &caller, Action::ItemAssign, &batch)? {
                match answer {
                    Ok(item) => given.push(item),
                    Err(error) => refused.push(error),
                }
            }
            items::give(tx, &caller.author(), &given, (caller.user, caller.name.as_str()), now)?;
            Ok::<_, Error>((given.len(), refused))
        });
        let (given, refused) = written.await?;
        app.wake.notify("item", 0);
        taken.done += given;
        taken.refused += refused.len();
        first = first.or_else(|| refused.into_iter().next());
    }
    match (taken.done, first) {
        (0, Some(error)) => Err(error),
        _ => Ok(taken),
    }
}

/// Give an item to a person or a group
#[utoipa::path(post, path = "/items/{number}/assignment", tag = "items", params(("number" = String, Path)),
    request_body = Assignment, responses((status = OK, body = ItemBody)))]
async fn assign(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Json(given): Json<Assignment>,
) -> Result<Json<ItemBody>, Error> {
    Ok(Json(give(&app, &caller, number, given).await?))
}

/// A state by its word.
pub(super) fn state_word(word: &str) -> Result<ItemState, Error> {
    ItemState::parse(word).ok_or_else(|| {
        let words: Vec<&str> = ItemState::ALL.iter().map(|state| state.as_str()).collect();
        Error::field("state", "unknown", format!("a state is one of {}", words.join(", ")))
    })
}

/// Change the state of an item by a legal transition.
///
/// # Errors
/// 403, 404, 409 where the domain forbids it, 422 for an unknown word.
pub(crate) async fn set_state(app: &App, caller: &Caller, number: String, state: &str) -> Result<ItemBody, Error> {
    let to = state_word(state)?;
    let (caller, now) = (caller.clone(), app.clock.now());
    let changed = app.database.try_write(move |tx| {
        let item = known(tx, &caller, Action::ItemTransition, &number)?;
        items::set_state(tx, &caller.author(), &item, to, now).map_err(|error| match error {
            ChangeError::Refused(refusal) => Error::from(refusal),
            ChangeError::Store(error) => error.into(),
        })?;
        let item = items::one(tx, item.number)?;
        full(tx, &caller, item, now)
    });
    let body = changed.await?;
    app.wake.notify("item", 0);
    Ok(body)
}

/// Change the state of an item
///
/// Only imports close or reopen an item: `closed_by_import`, `item_closed`.
#[utoipa::path(post, path = "/items/{number}/state", tag = "items", params(("number" = String, Path)),
    request_body = StateChange, responses((status = OK, body = ItemBody), (status = CONFLICT,
    description = "`item_closed`, `closed_by_import`, `by_request`, `in_review`, `deferred`, `resolved`, `same_state`")))]
async fn change_state(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Json(given): Json<StateChange>,
) -> Result<Json<ItemBody>, Error> {
    Ok(Json(set_state(&app, &caller, number, &given.state).await?))
}
