//! What people change of tasks: their state, who has them, what they hold.

use super::down::down;
use super::list::{TaskRow, life, open_items_of};
use super::make::{Split, finish, split_off};
use super::members::{Pair, join, leave};
use super::settle::{Line, PORTION, members, words, write_history};
use crate::audit::{self, Entry};
use crate::items::{self, ChangeError, HistoryRow, assigned};
use crate::settings::CHANGED;
use crate::{Error, Result, Transaction};
use domain::id::{ItemId, RemediationTaskId, UserId};
use domain::item::State;
use domain::number::Number;
use domain::refusal::Refusal;
use domain::remediation::why::Cause;
use domain::remediation::{self as rules, Life};
use domain::time::Timestamp;
use std::collections::BTreeSet;

/// Items that an entry of the audit names.
const NAMED_MAX: usize = 50;

/// Change the state of a task, and by it of its items. Reopening a deferred task opens its deferred items.
///
/// # Errors
/// [`ChangeError`].
pub fn set_state(
    tx: &mut Transaction<'_>,
    by: &str,
    task: &TaskRow,
    to: State,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let before = life(task);
    let after = rules::change_state(before, to, now)?;
    if before.state == State::Deferred {
        reopen_items(tx, by, task, now)?;
    }
    write(tx, task, after, by, now)?;
    let line = Line {
        task_id: task.id,
        what: "state",
        before: words(before.state, before.substate),
        after: words(after.state, after.substate),
    };
    // The items go first: a task that is Resolved before its items are would be taken for one whose items came back.
    let items: BTreeSet<ItemId> = members(tx, &[task.id])?.into_iter().collect();
    let moved = down(tx, &items, by, now)?;
    finish(tx, moved.clone(), [task.id].into(), by, now)?;
    if !moved.is_empty() {
        let moved: Vec<ItemId> = moved.into_iter().collect();
        items::follow(tx, &items::Followed { new: &[], changed: &moved, by }, now)?;
    }
    let detail = serde_json::json!({ "before": line.before, "after": line.after });
    if before.state != State::Deferred {
        write_history(tx, &[line], by, now)?;
    }
    noted(tx, by, "task.state", task, detail, now)
}

fn write(tx: &mut Transaction<'_>, task: &TaskRow, after: Life, by: &str, now: Timestamp) -> Result<()> {
    let cause = Cause::Person(by.strip_prefix("users/").unwrap_or(by).to_owned()).text();
    let changed = tx.execute(
        "UPDATE remediation_task SET state = $3, substate = $4, until_at = $5, resolved_at = $6, state_cause = $7,
             touched = TRUE, updated_at = $8, version = version + 1
         WHERE id = $1 AND version = $2",
        &[&task.id, &task.version, &after.state, &after.substate, &after.until, &after.resolved_at, &cause, &now],
    )?;
    one_changed(changed)
}

fn one_changed(changed: u64) -> Result<()> {
    if changed == 1 { Ok(()) } else { Err(Error::Conflict(CHANGED.to_owned())) }
}

/// The deferred items of a task are open again.
fn reopen_items(tx: &mut Transaction<'_>, by: &str, task: &TaskRow, now: Timestamp) -> Result<(), ChangeError> {
    let keys: Vec<i64> = open_items_of(tx, task.id)?.into_iter().map(|item| item.0).collect();
    let rows = items::of_keys(tx, &keys)?;
    let mut changes = Vec::new();
    for row in rows.into_iter().filter(|row| row.state == State::Deferred) {
        let after = domain::item::change_state(row.workflow(), State::Open, now)?;
        changes.push((row, after));
    }
    Ok(items::set_states(tx, by, &changes, State::Open, now)?)
}

/// Give a task to a person, a group, both or nobody; its open items that nobody has go with it.
///
/// # Errors
/// `task_closed`; [`Error::Conflict`] with [`CHANGED`] where somebody else was faster.
pub fn assign(
    tx: &mut Transaction<'_>,
    by: &str,
    task: &TaskRow,
    owner: Option<(UserId, &str)>,
    group: &str,
    note: &str,
    now: Timestamp,
) -> Result<(), ChangeError> {
    rules::may_assign(task.state)?;
    let id = owner.map(|(id, _)| id);
    if id == task.owner_id && group == task.group_name {
        return Ok(());
    }
    take_back_items(tx, &[task.id], by, now)?;
    let changed = tx.execute(
        "UPDATE remediation_task SET owner_id = $3, group_name = $4, touched = TRUE, updated_at = $5, version = version + 1
         WHERE id = $1 AND version = $2",
        &[&task.id, &task.version, &id, &group, &now],
    )?;
    one_changed(changed)?;
    assign_items(tx, &[task.id], by, now)?;
    let line = Line {
        task_id: task.id,
        what: "assignment",
        before: assigned(&task.owner, &task.group_name),
        after: assigned(owner.map(|(_, name)| name).unwrap_or_default(), group),
    };
    let detail = serde_json::json!({ "before": line.before, "after": line.after, "note": note });
    write_history(tx, &[line], by, now)?;
    noted(tx, by, "task.assign", task, detail, now)
}

/// Items that have the assignment that their task gave them lose it, so that they go with its next one.
pub(super) fn take_back_items(
    tx: &mut Transaction<'_>,
    tasks: &[RemediationTaskId],
    by: &str,
    now: Timestamp,
) -> Result<()> {
    let keys: Vec<i64> = tasks.iter().map(|task| task.0).collect();
    let rows: Vec<(ItemId, String, String)> = tx.all(
        "SELECT DISTINCT i.id, coalesce(o.name, '') AS owner, i.group_name
         FROM remediation_item x JOIN remediation_task t ON t.id = x.task_id
         JOIN vulnerable_item i ON i.id = x.item_id LEFT JOIN account o ON o.id = i.owner_id
         WHERE x.task_id {in $1} AND x.assigned AND x.state <> 'closed' AND i.group_name = t.group_name
           AND (i.owner_id = t.owner_id OR i.owner_id IS NULL AND t.owner_id IS NULL)
         ORDER BY i.id",
        &[&keys],
    )?;
    tx.execute("UPDATE remediation_item SET assigned = FALSE WHERE task_id {in $1} AND assigned", &[&keys])?;
    let items: Vec<i64> = rows.iter().map(|(item, ..)| item.0).collect();
    tx.execute(
        "UPDATE vulnerable_item SET owner_id = NULL, group_name = '', assigned_by = '', assigned_at = NULL, updated_at = $2
         WHERE id {in $1}",
        &[&items, &now],
    )?;
    let line = |(item_id, owner, group): &(ItemId, String, String)| HistoryRow {
        item_id: *item_id,
        what: "assignment",
        before: assigned(owner, group),
        after: String::new(),
    };
    item_lines(tx, &rows.iter().map(line).collect::<Vec<_>>(), by, now)
}

/// The open items of these tasks that nobody has are given to whoever has the task.
pub(super) fn assign_items(
    tx: &mut Transaction<'_>,
    tasks: &[RemediationTaskId],
    by: &str,
    now: Timestamp,
) -> Result<()> {
    let keys: Vec<i64> = tasks.iter().map(|task| task.0).collect();
    // Of several tasks the oldest gives.
    let rows: Vec<(ItemId, RemediationTaskId, String, String)> = tx.all(
        "SELECT i.id, min(t.id) AS task_id, coalesce(o.name, '') AS owner, t.group_name
         FROM remediation_item x JOIN remediation_task t ON t.id = x.task_id
         JOIN vulnerable_item i ON i.id = x.item_id LEFT JOIN account o ON o.id = t.owner_id
         WHERE x.task_id {in $1} AND x.state <> 'closed' AND (t.owner_id IS NOT NULL OR t.group_name <> '')
           AND i.owner_id IS NULL AND i.group_name = '' AND i.assigned_by <> 'person'
         GROUP BY i.id, o.name, t.group_name ORDER BY i.id, 2",
        &[&keys],
    )?;
    let mut seen = BTreeSet::new();
    let rows: Vec<_> = rows.into_iter().filter(|(item, ..)| seen.insert(*item)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let pairs: Vec<Pair> = rows.iter().map(|(item, task, ..)| (*task, *item)).collect();
    super::members::assign(tx, &pairs, now)?;
    let line = |(item_id, _, owner, group): &(ItemId, RemediationTaskId, String, String)| HistoryRow {
        item_id: *item_id,
        what: "assignment",
        before: String::new(),
        after: assigned(owner, group),
    };
    item_lines(tx, &rows.iter().map(line).collect::<Vec<_>>(), by, now)
}

fn item_lines(tx: &mut Transaction<'_>, lines: &[HistoryRow], by: &str, now: Timestamp) -> Result<()> {
    lines.chunks(PORTION).try_for_each(|lines| items::write_history(tx, lines, by, now))
}

/// Give a task another title and description.
///
/// # Errors
/// [`Error::Conflict`] with [`CHANGED`] where somebody else was faster.
pub fn rename(
    tx: &mut Transaction<'_>,
    by: &str,
    task: &TaskRow,
    title: &str,
    description: &str,
    now: Timestamp,
) -> Result<(), ChangeError> {
    if task.title == title && task.description == description {
        return Ok(());
    }
    let changed = tx.execute(
        "UPDATE remediation_task SET title = $3, description = $4, touched = TRUE, updated_at = $5, version = version + 1
         WHERE id = $1 AND version = $2",
        &[&task.id, &task.version, &title, &description, &now],
    )?;
    one_changed(changed)?;
    let line = Line { task_id: task.id, what: "title", before: task.title.clone(), after: title.to_owned() };
    let detail = serde_json::json!({ "before": line.before, "after": line.after });
    write_history(tx, &[line], by, now)?;
    noted(tx, by, "task.change", task, detail, now)
}

/// Count a change of what a task holds.
fn touch(tx: &mut Transaction<'_>, task: &TaskRow, now: Timestamp) -> Result<()> {
    let changed = tx.execute(
        "UPDATE remediation_task SET touched = TRUE, updated_at = $3, version = version + 1
         WHERE id = $1 AND version = $2",
        &[&task.id, &task.version, &now],
    )?;
    one_changed(changed)
}

fn noted(
    tx: &mut Transaction<'_>,
    by: &str,
    action: &'static str,
    task: &TaskRow,
    detail: serde_json::Value,
    now: Timestamp,
) -> Result<(), ChangeError> {
    audit::append(tx, &Entry { at: now, actor: by, action, resource: &task.resource(), detail })?;
    Ok(())
}

fn named(rows: &[items::ItemRow]) -> Vec<String> {
    rows.iter().take(NAMED_MAX).map(|item| item.number().to_string()).collect()
}

fn items_line(task: &TaskRow, after: String) -> Line {
    Line { task_id: task.id, what: "items", before: String::new(), after }
}

/// Put open items into a task; gives how many it did not have. Whether it may have them was decided before, but for its state.
///
/// # Errors
/// `task_closed`, `not_in_work`, `task_full`, `item_closed` for a closed item; [`Error::Conflict`] with [`CHANGED`].
pub fn add(
    tx: &mut Transaction<'_>,
    by: &str,
    task: &TaskRow,
    items: &[items::ItemRow],
    now: Timestamp,
) -> Result<usize, ChangeError> {
    rules::may_add(task.state, task.items, items.len())?;
    if let Some(closed) = items.iter().find(|item| item.state == State::Closed) {
        let why = format!("{} is closed, and only open items are put into a task", closed.number());
        return Err(Refusal::new("item_closed", why).into());
    }
    let pairs: Vec<Pair> = items.iter().map(|item| (task.id, item.id)).collect();
    let put = join(tx, &pairs, now)?;
    if put.is_empty() {
        return Ok(0);
    }
    touch(tx, task, now)?;
    assign_items(tx, &[task.id], by, now)?;
    write_history(tx, &[items_line(task, format!("{} added", put.len()))], by, now)?;
    finish(tx, put.iter().map(|(_, item)| *item).collect(), [task.id].into(), by, now)?;
    noted(tx, by, "task.items", task, serde_json::json!({ "added": put.len(), "named": named(items) }), now)?;
    Ok(put.len())
}

/// Take items out of a task; gives how many it had. A task that is emptied closes as cancelled.
///
/// # Errors
/// `task_closed`; [`Error::Conflict`] with [`CHANGED`].
pub fn remove(
    tx: &mut Transaction<'_>,
    by: &str,
    task: &TaskRow,
    items: &[items::ItemRow],
    now: Timestamp,
) -> Result<usize, ChangeError> {
    rules::may_remove(task.state)?;
    let pairs: Vec<Pair> = items.iter().map(|item| (task.id, item.id)).collect();
    let taken = leave(tx, &pairs)?;
    if taken.is_empty() {
        return Ok(0);
    }
    touch(tx, task, now)?;
    write_history(tx, &[items_line(task, format!("{} removed", taken.len()))], by, now)?;
    finish(tx, taken.iter().map(|(_, item)| *item).collect(), [task.id].into(), by, now)?;
    noted(tx, by, "task.items", task, serde_json::json!({ "removed": taken.len(), "named": named(items) }), now)?;
    Ok(taken.len())
}

/// Split a task: its open ones of these items go into a new one. An Open task goes to Under Investigation.
///
/// # Errors
/// What [`rules::may_split`] says, `nothing_goes`, `nothing_stays`; [`Error::Conflict`] with [`CHANGED`].
pub fn split(
    tx: &mut Transaction<'_>,
    by: &str,
    task: &TaskRow,
    split: &Split<'_>,
    items: &[ItemId],
    now: Timestamp,
) -> Result<Number, ChangeError> {
    let there = open_items_of(tx, task.id)?;
    rules::may_split(task.state, i64::try_from(there.len()).unwrap_or(i64::MAX))?;
    let wanted: BTreeSet<ItemId> = items.iter().copied().collect();
    let (go, stay): (Vec<ItemId>, Vec<ItemId>) = there.into_iter().partition(|item| wanted.contains(item));
    if go.is_empty() {
        return Err(Refusal::new("nothing_goes", "none of these items is an open item of the task").into());
    }
    if stay.is_empty() {
        return Err(Refusal::new("nothing_stays", "at least one open item has to stay in the task").into());
    }
    let pairs: Vec<Pair> = go.iter().map(|item| (task.id, *item)).collect();
    touch(tx, task, now)?;
    leave(tx, &pairs)?;
    let (new, number) = split_off(tx, by, task, split, go.clone(), now)?;
    let said = |after: String, task_id| Line { task_id, what: "split", before: String::new(), after };
    let lines =
        [said(format!("{} to {number}", go.len()), task.id), said(format!("{} from {}", go.len(), task.number()), new)];
    write_history(tx, &lines, by, now)?;
    finish(tx, go.iter().copied().collect(), [task.id, new].into(), by, now)?;
    noted(tx, by, "task.split", task, serde_json::json!({ "to": number.to_string(), "items": go.len() }), now)?;
    if task.state == State::Open {
        let task = super::read(tx, task.id)?;
        set_state(tx, by, &task, State::UnderInvestigation, now)?;
    }
    Ok(number)
}

/// Delete an empty task with its history.
///
/// # Errors
/// `has_items`; [`Error::Conflict`] with [`CHANGED`].
pub fn delete(tx: &mut Transaction<'_>, by: &str, task: &TaskRow, now: Timestamp) -> Result<(), ChangeError> {
    let held: i64 = tx.scalar("SELECT count(*) FROM remediation_item WHERE task_id = $1", &[&task.id])?;
    rules::may_delete(held)?;
    tx.execute("DELETE FROM remediation_count WHERE task_id = $1", &[&task.id])?;
    tx.execute("DELETE FROM remediation_history WHERE task_id = $1", &[&task.id])?;
    let resource = task.resource();
    tx.execute("DELETE FROM note WHERE resource = $1", &[&resource])?;
    let gone = tx.execute("DELETE FROM remediation_task WHERE id = $1 AND version = $2", &[&task.id, &task.version])?;
    one_changed(gone)?;
    noted(tx, by, "task.delete", task, serde_json::json!({ "title": task.title }), now)
}
