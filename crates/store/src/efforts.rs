//! Remediation efforts: a frozen set of items, at most one effort that is not inactive for each item.
//!
//! That is held by the key of `effort_claim`: whoever comes second to an item leaves it out. Who may do it is decided before.

mod list;
mod make;

pub use list::{EffortRow, FIELDS, LIST, access, active_items, clip, items_of, one};
pub use make::{Filling, Held, NewEffort, Outcome, Wanted, create, fill, filling, holders, tally};

use crate::audit::{self, Entry};
use crate::{Error, Result, Transaction, record, settings};
use domain::effort::State;
use domain::id::{EffortId, UserId};
use domain::number::{Number, Series};
use domain::time::Timestamp;

/// Efforts that one transaction ends because none of their items is active.
const ENDED_MAX: i64 = 100;

/// What people change of an effort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Its title.
    pub title: &'a str,
    /// What is to be done, and why.
    pub description: &'a str,
    /// Who leads it.
    pub owner: Option<(UserId, &'a str)>,
    /// Which group works on it; empty for none.
    pub group: &'a str,
}

record! {
    /// A line of an effort's history.
    #[derive(Clone, Debug, PartialEq)]
    pub struct EffortLine {
        /// When.
        pub at: Timestamp,
        /// What changed: `title`, `description`, `assignment`, `items`, `state`.
        pub what: String,
        /// Before.
        pub before: String,
        /// After.
        pub after: String,
        /// What or who caused it.
        pub cause: String,
    }
}

/// The latest lines of an effort's history, the newest first.
///
/// # Errors
/// See [`Error`].
pub fn history(tx: &mut Transaction<'_>, effort: EffortId, most: i64) -> Result<Vec<EffortLine>> {
    tx.all(
        "SELECT at, what, before, after, cause FROM effort_history WHERE effort_id = $1 ORDER BY id DESC LIMIT $2",
        &[&effort, &most],
    )
}

fn note(
    tx: &mut Transaction<'_>,
    effort: EffortId,
    (what, before, after): (&str, &str, &str),
    cause: &str,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO effort_history (effort_id, at, what, before, after, cause) VALUES ($1, $2, $3, $4, $5, $6)",
        &[&effort, &now, &what, &before, &after, &cause],
    )
    .map(|_| ())
}

/// Change what people say of an effort.
///
/// # Errors
/// [`Error::Conflict`] with [`settings::CHANGED`] where somebody else was faster.
pub fn change(
    tx: &mut Transaction<'_>,
    author: &str,
    row: &EffortRow,
    change: &Change<'_>,
    now: Timestamp,
) -> Result<()> {
    let owner = change.owner.map(|(id, _)| id);
    let changed = tx.execute(
        "UPDATE effort SET title = $3, description = $4, owner_id = $5, group_name = $6, version = version + 1
         WHERE id = $1 AND version = $2",
        &[&row.id, &row.version, &change.title, &change.description, &owner, &change.group],
    )?;
    if changed != 1 {
        return Err(Error::Conflict(settings::CHANGED.to_owned()));
    }
    let before = assigned(&row.owner, &row.group_name);
    let after = assigned(change.owner.map(|(_, name)| name).unwrap_or_default(), change.group);
    let said = [
        ("title", row.title.as_str(), change.title),
        ("description", row.description.as_str(), change.description),
        ("assignment", before.as_str(), after.as_str()),
    ];
    let changed: Vec<&str> = said.iter().filter(|(_, before, after)| before != after).map(|(what, ..)| *what).collect();
    for (what, before, after) in said.iter().filter(|(_, before, after)| before != after) {
        note(tx, row.id, (what, before, after), author, now)?;
    }
    let (detail, resource) = (serde_json::json!({ "changed": changed }), resource(row.number));
    audit::append(tx, &Entry { at: now, actor: author, action: "effort.change", resource: &resource, detail })?;
    Ok(())
}

/// End an effort: its items may be taken into another one.
///
/// # Errors
/// [`Error::Conflict`] with [`settings::CHANGED`] where somebody else was faster.
pub fn end(tx: &mut Transaction<'_>, author: &str, row: &EffortRow, now: Timestamp) -> Result<()> {
    let changed = tx.execute(
        "UPDATE effort SET state = $3, closed_at = $4, version = version + 1
         WHERE id = $1 AND version = $2 AND state <> $3",
        &[&row.id, &row.version, &State::Inactive, &now],
    )?;
    if changed != 1 {
        return Err(Error::Conflict(settings::CHANGED.to_owned()));
    }
    ended(tx, author, row.id, row.number, now)
}

/// End the active efforts none of whose items is active any more, at most 100; gives how many.
///
/// # Errors
/// See [`Error`].
pub fn end_finished(tx: &mut Transaction<'_>, author: &str, now: Timestamp) -> Result<usize> {
    let over: Vec<(EffortId, i64)> = tx.all(
        "UPDATE effort SET state = $1, closed_at = $2, version = version + 1
         WHERE id IN (SELECT e.id FROM effort e WHERE e.state = 'active' AND NOT EXISTS (
                          SELECT 1 FROM effort_item m JOIN vulnerable_item i ON i.id = m.item_id
                          WHERE m.effort_id = e.id AND i.state <> 'closed')
                      ORDER BY e.id LIMIT $3)
         RETURNING id, number",
        &[&State::Inactive, &now, &ENDED_MAX],
    )?;
    for (id, number) in &over {
        ended(tx, author, *id, *number, now)?;
    }
    Ok(over.len())
}

/// Whether there is something for [`end_finished`] to do.
///
/// # Errors
/// See [`Error`].
pub fn any_finished(tx: &mut Transaction<'_>) -> Result<bool> {
    let found: i64 = tx.scalar(
        "SELECT count(*) FROM (SELECT 1 AS one FROM effort e WHERE e.state = 'active' AND NOT EXISTS (
             SELECT 1 FROM effort_item m JOIN vulnerable_item i ON i.id = m.item_id
             WHERE m.effort_id = e.id AND i.state <> 'closed') LIMIT 1) AS finished",
        &[],
    )?;
    Ok(found > 0)
}

fn ended(tx: &mut Transaction<'_>, author: &str, id: EffortId, number: i64, now: Timestamp) -> Result<()> {
    note(tx, id, ("state", State::Active.as_str(), State::Inactive.as_str()), author, now)?;
    let (detail, resource) = (serde_json::json!({ "state": State::Inactive }), resource(number));
    audit::append(tx, &Entry { at: now, actor: author, action: "effort.end", resource: &resource, detail })?;
    Ok(())
}

/// The name of an effort in the audit and in addresses.
fn resource(ordinal: i64) -> String {
    format!("efforts/{}", Number { series: Series::Effort, ordinal })
}

fn assigned(owner: &str, group: &str) -> String {
    [owner, group].into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ")
}
