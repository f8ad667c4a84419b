//! States going up from items to tasks and down from tasks to items, until they agree.
//!
//! What goes up is decided by [`domain::remediation::rolled_up`], what goes down by [`domain::remediation::effective`]; here their
//! input is gathered and their result written, for the items and tasks that something happened to and for no others.

use super::down::down;
use super::members::mirror;
use super::rules::regroup;
use crate::items::Followed;
use crate::{Error, Result, Transaction, record, stage};
use domain::id::{ItemId, RemediationTaskId};
use domain::item::{self, State};
use domain::remediation::why::Cause;
use domain::remediation::{Counts, Life, Substate, rolled_up};
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Rows that are staged at once.
pub(super) const PORTION: usize = 10_000;
/// Rounds after which states that still move are a mistake of the rules; two are needed, three where a request is overtaken.
const ROUNDS_MAX: usize = 8;

/// Let tasks follow items that were made or changed, and items their tasks; gives the items that a task moved.
pub(crate) fn follow(tx: &mut Transaction<'_>, followed: &Followed<'_>, now: Timestamp) -> Result<Vec<ItemId>> {
    let Followed { new, changed, by } = followed;
    let (mut items, tasks) = regroup(tx, new, changed, by, now)?;
    items.extend(held(tx, changed)?);
    if items.is_empty() {
        return Ok(Vec::new());
    }
    settle(tx, items, tasks, by, now)
}

/// Let tasks follow items whose scores or due dates changed.
pub(crate) fn rescored(tx: &mut Transaction<'_>, items: &[ItemId], by: &str, now: Timestamp) -> Result<()> {
    let items = held(tx, items)?;
    if items.is_empty() {
        return Ok(());
    }
    settle(tx, items, BTreeSet::new(), by, now).map(|_| ())
}

/// Those of these items that a task holds; one look where no task holds anything.
fn held(tx: &mut Transaction<'_>, items: &[ItemId]) -> Result<BTreeSet<ItemId>> {
    if items.is_empty() {
        return Ok(BTreeSet::new());
    }
    let any: i64 =
        tx.scalar("SELECT count(*) FROM (SELECT 1 AS one FROM remediation_item LIMIT 1) AS some_item", &[])?;
    if any == 0 {
        return Ok(BTreeSet::new());
    }
    let keys: Vec<i64> = items.iter().map(|item| item.0).collect();
    let rows: Vec<(ItemId,)> =
        tx.all("SELECT DISTINCT item_id FROM remediation_item WHERE item_id {in $1}", &[&keys])?;
    Ok(rows.into_iter().map(|(item,)| item).collect())
}

/// Bring these items and tasks, and all that they move, to states that agree; gives the items that a task moved.
pub(super) fn settle(
    tx: &mut Transaction<'_>,
    items: BTreeSet<ItemId>,
    tasks: BTreeSet<RemediationTaskId>,
    by: &str,
    now: Timestamp,
) -> Result<Vec<ItemId>> {
    let (mut items, mut tasks, mut all) = (items, tasks, BTreeSet::new());
    for _ in 0..ROUNDS_MAX {
        let keys: Vec<i64> = items.iter().map(|item| item.0).collect();
        tasks.extend(mirror(tx, &keys)?);
        let changed = up(tx, &tasks, by, now)?;
        items.extend(members(tx, &changed)?);
        let moved = down(tx, &items, by, now)?;
        if moved.is_empty() {
            return Ok(all.into_iter().collect());
        }
        all.extend(moved.iter().copied());
        (items, tasks) = (moved, BTreeSet::new());
    }
    Err(Error::failed("the states of remediation tasks and their items do not settle", "too many rounds"))
}

/// Every item of these tasks.
pub(super) fn members(tx: &mut Transaction<'_>, tasks: &[RemediationTaskId]) -> Result<Vec<ItemId>> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<i64> = tasks.iter().map(|task| task.0).collect();
    let rows: Vec<(ItemId,)> =
        tx.all("SELECT item_id FROM remediation_item WHERE task_id {in $1} ORDER BY task_id, item_id", &[&keys])?;
    Ok(rows.into_iter().map(|(item,)| item).collect())
}

record! {
    struct TaskOf {
        id: RemediationTaskId,
        state: State,
        substate: Substate,
        before_review: State,
        until_at: Option<Timestamp>,
        resolved_at: Option<Timestamp>,
        closed_at: Option<Timestamp>,
        owner_id: Option<i64>,
        group_name: String,
        items: i64,
        items_open: i64,
        items_deferred: i64,
        score: i64,
        highest: i64,
        due_at: Option<Timestamp>,
        due_met: String,
        earliest: Option<Timestamp>,
    }
}

impl TaskOf {
    fn life(&self) -> Life {
        Life {
            state: self.state,
            substate: self.substate,
            before_review: self.before_review,
            until: self.until_at,
            resolved_at: self.resolved_at,
            closed_at: self.closed_at,
            assigned: self.owner_id.is_some() || !self.group_name.is_empty(),
        }
    }
}

struct TaskAfter {
    id: RemediationTaskId,
    state: State,
    substate: Substate,
    before_review: State,
    until_at: Option<Timestamp>,
    resolved_at: Option<Timestamp>,
    closed_at: Option<Timestamp>,
    items: i64,
    items_open: i64,
    items_deferred: i64,
    score: i64,
    due_at: Option<Timestamp>,
    due_met: String,
}
stage!(TaskAfter as "remediation_task_batch" {
    id: RemediationTaskId, state: State, substate: Substate, before_review: State, until_at: Option<Timestamp>,
    resolved_at: Option<Timestamp>, closed_at: Option<Timestamp>, items: i64, items_open: i64, items_deferred: i64,
    score: i64, due_at: Option<Timestamp>, due_met: String,
});

pub(super) struct Line {
    pub(super) task_id: RemediationTaskId,
    pub(super) what: &'static str,
    pub(super) before: String,
    pub(super) after: String,
}
stage!(Line as "remediation_history_batch" {
    task_id: RemediationTaskId, what: &'static str, before: String, after: String,
});

/// A state and, where it has one, its substate, as the history shows them.
pub(super) fn words(state: State, substate: Substate) -> String {
    match substate.as_str() {
        "" => state.as_str().to_owned(),
        substate => format!("{}/{substate}", state.as_str()),
    }
}

pub(super) fn write_history(tx: &mut Transaction<'_>, lines: &[Line], cause: &str, now: Timestamp) -> Result<()> {
    for lines in lines.chunks(PORTION) {
        tx.stage(lines)?;
        tx.execute(
            "INSERT INTO remediation_history (task_id, at, what, before, after, cause)
             SELECT task_id, $1, what, before, after, $2 FROM remediation_history_batch",
            &[&now, &cause],
        )?;
    }
    Ok(())
}

/// How many items of each of these tasks are in which state.
pub(super) fn counts_of(tx: &mut Transaction<'_>, tasks: &[i64]) -> Result<BTreeMap<RemediationTaskId, Counts>> {
    let mut counts: BTreeMap<RemediationTaskId, Counts> = BTreeMap::new();
    tx.each(
        "SELECT task_id, state, substate, n FROM remediation_count WHERE task_id {in $1} AND n <> 0",
        &[&tasks],
        |(task, state, substate, n): (RemediationTaskId, State, item::Substate, i64)| {
            counts.entry(task).or_default().add(state, substate, n);
            Ok(())
        },
    )?;
    Ok(counts)
}

/// Bring these tasks to what their items make of them; gives those whose state changed.
fn up(
    tx: &mut Transaction<'_>,
    tasks: &BTreeSet<RemediationTaskId>,
    by: &str,
    now: Timestamp,
) -> Result<Vec<RemediationTaskId>> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<i64> = tasks.iter().map(|task| task.0).collect();
    let counts = counts_of(tx, &keys)?;
    let ends = ends_of(tx, &counts)?;
    let rows: Vec<TaskOf> = tx.all(
        "SELECT t.id, t.state, t.substate, t.before_review, t.until_at, t.resolved_at, t.closed_at, t.owner_id, t.group_name,
             t.items, t.items_open, t.items_deferred, t.score, t.due_at, t.due_met,
             coalesce((SELECT max(x.score) FROM remediation_item x WHERE x.task_id = t.id), 0) AS highest,
             (SELECT min(x.due_at) FROM remediation_item x WHERE x.task_id = t.id) AS earliest
         FROM remediation_task t WHERE t.id {in $1} ORDER BY t.id",
        &[&keys],
    )?;
    let nothing = Counts::default();
    let met = met(tx, &counts)?;
    let (mut after, mut lines, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for task in &rows {
        let counts = counts.get(&task.id).unwrap_or(&nothing);
        let life = task.life();
        let next = rolled_up(life, counts, ends.get(&task.id).copied(), now);
        if (next.state, next.substate) != (life.state, life.substate) {
            let (before, after) = (words(life.state, life.substate), words(next.state, next.substate));
            lines.push(Line { task_id: task.id, what: "state", before, after });
        }
        if next.state != life.state {
            changed.push(task.id);
        }
        let row = TaskAfter {
            id: task.id,
            state: next.state,
            substate: next.substate,
            before_review: next.before_review,
            until_at: next.until,
            resolved_at: next.resolved_at,
            closed_at: next.closed_at,
            items: counts.all(),
            items_open: counts.open(),
            items_deferred: counts.of(State::Deferred),
            score: task.highest,
            due_at: task.earliest,
            due_met: match (life.state, next.state) {
                (State::Closed, _) => task.due_met.clone(),
                (_, State::Closed) => met.get(&task.id).copied().unwrap_or_default().to_owned(),
                _ => String::new(),
            },
        };
        if next != life || differs(task, &row) {
            after.push(row);
        }
    }
    for rows in after.chunks(PORTION) {
        tx.stage(rows)?;
        tx.execute(
            "UPDATE remediation_task SET
                 state_cause = CASE WHEN b.state <> remediation_task.state OR b.substate <> remediation_task.substate
                                    THEN $2 ELSE remediation_task.state_cause END,
                 state = b.state, substate = b.substate, before_review = b.before_review, until_at = b.until_at,
                 resolved_at = b.resolved_at, closed_at = b.closed_at, items = b.items, items_open = b.items_open,
                 items_deferred = b.items_deferred, score = b.score, due_at = b.due_at, due_met = b.due_met, updated_at = $1
             FROM remediation_task_batch b WHERE remediation_task.id = b.id",
            &[&now, &Cause::Items(by.to_owned()).text()],
        )?;
    }
    write_history(tx, &lines, by, now)?;
    Ok(changed)
}

fn differs(task: &TaskOf, after: &TaskAfter) -> bool {
    (task.items, task.items_open, task.items_deferred, task.score, task.due_at)
        != (after.items, after.items_open, after.items_deferred, after.score, after.due_at)
}

/// Whether tasks whose items all closed met their due dates: missed where one item missed its own, else met where one met it.
fn met(
    tx: &mut Transaction<'_>,
    counts: &BTreeMap<RemediationTaskId, Counts>,
) -> Result<BTreeMap<RemediationTaskId, &'static str>> {
    let over: Vec<i64> =
        counts.iter().filter(|(_, counts)| counts.open() == 0 && counts.all() > 0).map(|(task, _)| task.0).collect();
    if over.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<(RemediationTaskId, i64)> = tx.all(
        "SELECT x.task_id, max(CASE i.due_ending WHEN 'missed' THEN 2 WHEN 'met' THEN 1 ELSE 0 END)
         FROM remediation_item x JOIN vulnerable_item i ON i.id = x.item_id
         WHERE x.task_id {in $1} GROUP BY x.task_id",
        &[&over],
    )?;
    let word = |(task, found): (RemediationTaskId, i64)| match found {
        2 => Some((task, "missed")),
        1 => Some((task, "met")),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(word).collect())
}

/// The earliest end of the deferrals in each of those tasks of which every open item is deferred.
fn ends_of(
    tx: &mut Transaction<'_>,
    counts: &BTreeMap<RemediationTaskId, Counts>,
) -> Result<BTreeMap<RemediationTaskId, Timestamp>> {
    let deferred: Vec<i64> = counts
        .iter()
        .filter(|(_, counts)| counts.of(State::Deferred) > 0 && counts.of(State::Deferred) == counts.open())
        .map(|(task, _)| task.0)
        .collect();
    if deferred.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<(RemediationTaskId, Option<Timestamp>)> = tx.all(
        "SELECT x.task_id, min(i.granted_until_at)
         FROM remediation_item x JOIN vulnerable_item i ON i.id = x.item_id
         WHERE x.task_id {in $1} AND x.state = 'deferred' GROUP BY x.task_id",
        &[&deferred],
    )?;
    Ok(rows.into_iter().filter_map(|(task, until)| Some((task, until?))).collect())
}
