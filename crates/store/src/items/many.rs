//! Several items at once: read, judged and given to somebody in a few statements, however many they are.

use super::life::{Change, apply};
use super::list::{ItemRow, LIST, record_of};
use super::merge::{HistoryRow, write_history};
use crate::audit::{self, Entry};
use crate::{Result, Sql, Transaction, assets, notices};
use domain::access::{Actor, Record as AccessRecord};
use domain::assignment::BY_PERSON;
use domain::id::{AssetId, UserId};
use domain::item::why::Cause;
use domain::item::{State, Workflow};
use domain::time::Timestamp;
use std::collections::{BTreeSet, HashMap};

/// The items with these ordinals, in order of their keys; unknown ones are left out.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn numbered(tx: &mut Transaction<'_>, ordinals: &[i64]) -> Result<Vec<ItemRow>> {
    let ordinals = ordinals.to_vec();
    LIST.rows(tx, Sql::new("i.number {in ").bind(&ordinals).text("}"))
}

/// The items with these keys, in order; unknown ones are left out.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn of_keys(tx: &mut Transaction<'_>, keys: &[i64]) -> Result<Vec<ItemRow>> {
    LIST.rows(tx, Sql::new("i.id {in ").bind(&keys).text("}"))
}

/// The ordinals of the items with these keys, in order.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn ordinals(tx: &mut Transaction<'_>, keys: &[i64]) -> Result<Vec<i64>> {
    let keys = keys.to_vec();
    let rows: Vec<(i64,)> = tx.all("SELECT number FROM vulnerable_item WHERE id {in $1} ORDER BY number", &[&keys])?;
    Ok(rows.into_iter().map(|(number,)| number).collect())
}

/// What a permission has to know of each of these items, in their order, as [`super::access`] of one.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn access_of(tx: &mut Transaction<'_>, actor: &Actor, items: &[ItemRow]) -> Result<Vec<AccessRecord>> {
    let on: Vec<AssetId> = items.iter().map(|item| item.asset_id).collect::<BTreeSet<_>>().into_iter().collect();
    let tags: HashMap<AssetId, Vec<String>> = assets::tags(tx, &on)?;
    let record = |item: &ItemRow| {
        let tags = tags.get(&item.asset_id).map(Vec::as_slice).unwrap_or_default();
        record_of(actor, item, tags)
    };
    Ok(items.iter().map(record).collect())
}

/// Give these items the workflows that were decided for them. One entry in the audit names all.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn set_states(
    tx: &mut Transaction<'_>,
    actor: &str,
    items: &[(ItemRow, Workflow)],
    to: State,
    now: Timestamp,
) -> Result<()> {
    let changes: Vec<Change> =
        items.iter().map(|(item, after)| Change { item: item.id, before: item.workflow(), after: *after }).collect();
    apply(tx, &changes, &Cause::author(actor), actor, now)?;
    let named: Vec<String> = items.iter().map(|(item, _)| item.number().to_string()).collect();
    let detail = serde_json::json!({ "after": to, "items": named });
    audit::append(tx, &Entry { at: now, actor, action: "item.state", resource: "items", detail })?;
    Ok(())
}

/// Give items to a person, a group, both or nobody. Of those that have it so already nothing changes; gives how many changed. One
/// entry in the audit names them.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn assign_all(
    tx: &mut Transaction<'_>,
    actor: &str,
    items: &[ItemRow],
    owner: Option<(UserId, &str)>,
    group: &str,
    now: Timestamp,
) -> Result<usize> {
    let (id, name) = (owner.map(|(id, _)| id), owner.map(|(_, name)| name).unwrap_or_default());
    let same = |item: &&ItemRow| item.owner_id == id && item.group_name == group;
    let changed: Vec<&ItemRow> = items.iter().filter(|item| !same(item)).collect();
    if changed.is_empty() {
        return Ok(0);
    }
    let keys: Vec<i64> = changed.iter().map(|item| item.id.0).collect();
    tx.execute(
        "UPDATE vulnerable_item SET owner_id = $2, group_name = $3, assigned_by = $5, assigned_at = $4, updated_at = $4
         WHERE id {in $1}",
        &[&keys, &id, &group, &now, &BY_PERSON],
    )?;
    notices::given(tx, actor, id, group, now)?;
    let lines: Vec<HistoryRow> = changed
        .iter()
        .map(|item| HistoryRow {
            item_id: item.id,
            what: "assignment",
            before: super::change::assigned(&item.owner, &item.group_name),
            after: super::change::assigned(name, group),
        })
        .collect();
    write_history(tx, &lines, actor, now)?;
    let named: Vec<String> = changed.iter().map(|item| item.number().to_string()).collect();
    let detail = serde_json::json!({ "assignee": name, "group": group, "items": named });
    audit::append(tx, &Entry { at: now, actor, action: "item.assign", resource: "items", detail })?;
    Ok(changed.len())
}

/// Give items to a person and leave their groups as they are. Of those that he has already nothing changes. One entry in the
/// audit names all that changed.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn give(
    tx: &mut Transaction<'_>,
    actor: &str,
    items: &[ItemRow],
    owner: (UserId, &str),
    now: Timestamp,
) -> Result<()> {
    let changed: Vec<&ItemRow> = items.iter().filter(|item| item.owner_id != Some(owner.0)).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let keys: Vec<i64> = changed.iter().map(|item| item.id.0).collect();
    tx.execute(
        "UPDATE vulnerable_item SET owner_id = $2, assigned_by = $4, assigned_at = $3, updated_at = $3 WHERE id {in $1}",
        &[&keys, &owner.0, &now, &BY_PERSON],
    )?;
    notices::given(tx, actor, Some(owner.0), "", now)?;
    let lines: Vec<HistoryRow> = changed
        .iter()
        .map(|item| HistoryRow {
            item_id: item.id,
            what: "assignment",
            before: super::change::assigned(&item.owner, &item.group_name),
            after: super::change::assigned(owner.1, &item.group_name),
        })
        .collect();
    write_history(tx, &lines, actor, now)?;
    let (resource, named) = match changed.as_slice() {
        [one] => (format!("items/{}", one.number()), Vec::new()),
        several => ("items".to_owned(), several.iter().map(|item| item.number().to_string()).collect()),
    };
    let detail = serde_json::json!({ "assignee": owner.1, "items": named });
    audit::append(tx, &Entry { at: now, actor, action: "item.assign", resource: &resource, detail })?;
    Ok(())
}
