//! What people change of an item: its state by the legal transitions, and who works on it.

use super::life::{Change, apply};
use super::list::ItemRow;
use super::merge::{HistoryRow, words, write_history};
use crate::audit::{self, Entry};
use crate::{Result, Transaction, notices, remediation};
use domain::assignment::BY_PERSON;
use domain::id::UserId;
use domain::item::why::Cause;
use domain::item::{self, State};
use domain::number::Number;
use domain::refusal::Refusal;
use domain::time::Timestamp;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The domain forbids it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::Error),
}

/// Change the state of an item, as [`domain::item::change_state`] allows it.
///
/// # Errors
/// [`ChangeError`].
pub fn set_state(
    tx: &mut Transaction<'_>,
    actor: &str,
    item: &ItemRow,
    to: State,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let before = item.workflow();
    let after = item::change_state(before, to, now)?;
    if let Some(task) = remediation::outranking(tx, &[item.id], to)?.remove(&item.id) {
        return Err(kept_by(task, to).into());
    }
    apply(tx, &[Change { item: item.id, before, after }], &Cause::author(actor), actor, now)?;
    let detail = serde_json::json!({
        "before": words(before.state, before.substate), "after": words(after.state, after.substate),
    });
    let resource = format!("items/{}", item.number());
    audit::append(tx, &Entry { at: now, actor, action: "item.state", resource: &resource, detail })?;
    Ok(())
}

/// Why a person's change of an item would not be seen: a task counts more.
#[must_use]
pub fn kept_by(task: (Number, State), to: State) -> Refusal {
    let (number, state) = task;
    let why = format!(
        "{number} is {}, which counts more than {}; change that task, or take the item out of it",
        state.title(),
        to.title()
    );
    Refusal::new("task_counts_more", why)
}

/// Give an item to a person, a group, both or nobody. Nothing happens where it is so already.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn assign(
    tx: &mut Transaction<'_>,
    actor: &str,
    item: &ItemRow,
    owner: Option<(UserId, &str)>,
    group: &str,
    now: Timestamp,
) -> Result<()> {
    let id = owner.map(|(id, _)| id);
    if id == item.owner_id && group == item.group_name {
        return Ok(());
    }
    tx.execute(
        "UPDATE vulnerable_item SET owner_id = $2, group_name = $3, assigned_by = $5, assigned_at = $4, updated_at = $4
         WHERE id = $1",
        &[&item.id, &id, &group, &now, &BY_PERSON],
    )?;
    notices::given(tx, actor, id, group, now)?;
    let line = HistoryRow {
        item_id: item.id,
        what: "assignment",
        before: assigned(&item.owner, &item.group_name),
        after: assigned(owner.map(|(_, name)| name).unwrap_or_default(), group),
    };
    let resource = format!("items/{}", item.number());
    let detail = serde_json::json!({ "before": line.before, "after": line.after });
    write_history(tx, &[line], actor, now)?;
    audit::append(tx, &Entry { at: now, actor, action: "item.assign", resource: &resource, detail })?;
    Ok(())
}

/// Whether there is a group of this name.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn group_exists(tx: &mut Transaction<'_>, group: &str) -> Result<bool> {
    let found: i64 = tx.scalar("SELECT count(*) FROM account_group WHERE name = $1", &[&group])?;
    Ok(found > 0)
}

/// Whom an item is assigned to, as its history says it.
pub(crate) fn assigned(owner: &str, group: &str) -> String {
    [owner, group].into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ")
}
