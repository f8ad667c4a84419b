//! Making tasks of items: by hand, for an effort, and for the rules.

use super::grouping::{Group, grouped, together};
use super::list::TaskRow;
use super::members::{Pair, join, leave};
use super::settle::{Line, PORTION, settle, write_history};
use crate::audit::{self, Entry};
use crate::imports::hex;
use crate::items::{ChangeError, Followed, follow};
use crate::{Result, Sql, Transaction, numbers, stage};
use domain::id::{ItemId, RemediationTaskId, TaskRuleId, UserId};
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use domain::remediation::group::{Field, GroupBy, title};
use domain::remediation::{Existing, ITEMS_MAX, MADE_MAX, Origin};
use domain::time::Timestamp;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Tasks that an entry of the audit names.
pub(super) const NAMED_MAX: usize = 50;

/// What tasks are to be made.
#[derive(Clone, Debug)]
pub struct NewTasks<'a> {
    /// Who makes them, as the audit names him: `users/ada`, `engine/efforts`.
    pub by: &'a str,
    /// [`Origin::Hand`] or [`Origin::Effort`].
    pub origin: Origin,
    /// The effort's key: later calls for it put items into the open tasks of the same group that earlier ones made.
    pub effort: Option<i64>,
    /// How the items are grouped.
    pub group_by: GroupBy,
    /// What is done with items that are in an open task already.
    pub existing: Existing,
    /// The title, before what the items of a task share; may be empty.
    pub title: &'a str,
    /// The description.
    pub description: &'a str,
    /// Who gets the tasks: a person and a group (empty for none); with none, the group of each task's items.
    pub assignment: Option<(Option<UserId>, &'a str)>,
}

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// The new tasks.
    pub tasks: Vec<Number>,
    /// Open tasks that got items.
    pub joined: Vec<Number>,
    /// Items in them.
    pub items: usize,
    /// Items left out: closed ones, and those that are in an open task already where these are skipped.
    pub skipped: usize,
}

/// Make tasks of items; closed ones are left out. Which items may be taken was decided before.
///
/// # Errors
/// `nothing_to_do` where every item is left out, `too_many_tasks` where a person would make more than
/// [`domain::remediation::MADE_MAX`]; the store's.
pub fn create(
    tx: &mut Transaction<'_>,
    new: &NewTasks<'_>,
    items: &[ItemId],
    now: Timestamp,
) -> Result<Made, ChangeError> {
    let fields = new.group_by.fields();
    let taken = match new.existing {
        Existing::Keep => BTreeMap::new(),
        Existing::Skip | Existing::Move => open_tasks_of(tx, items)?,
    };
    let wanted: Vec<i64> = items
        .iter()
        .filter(|item| new.existing != Existing::Skip || !taken.contains_key(item))
        .map(|item| item.0)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let mut rows = Vec::new();
    for keys in wanted.chunks(PORTION) {
        rows.extend(grouped(tx, &fields, Sql::new("i.id {in ").bind(&keys).text("}"), i64::MAX)?);
    }
    let used: BTreeSet<ItemId> = rows.iter().map(|row| row.item).collect();
    let by_group = fields.contains(&Field::Group);
    let groups = together(rows, &fields, |row| match new.assignment {
        Some((owner, group)) => (owner, group.to_owned()),
        None if by_group => (None, row.group.clone()),
        None => (None, String::new()),
    });
    let skipped = items.iter().collect::<BTreeSet<_>>().len() - used.len();
    if groups.is_empty() && new.origin == Origin::Hand {
        let why = "none of these items is open and free for a new task, so there is nothing to make";
        return Err(Refusal::new("nothing_to_do", why).into());
    }
    let parts: usize = groups.iter().map(|group| group.items.len().div_ceil(ITEMS_MAX)).sum();
    if new.origin == Origin::Hand && parts > MADE_MAX {
        let why =
            format!("this would make {parts} tasks, and at most {MADE_MAX} are made at once; group by fewer fields");
        return Err(Refusal::new("too_many_tasks", why).into());
    }
    let template = Template {
        by: new.by,
        origin: new.origin,
        rule: None,
        effort: new.effort,
        split_from: None,
        title: new.title,
        description: new.description,
        key: new.effort.map(|effort| format!("effort {effort} {}", new.group_by.as_str())),
    };
    let put = put(tx, &template, groups, now)?;
    let mut touched = put.tasks.clone();
    if new.existing == Existing::Move {
        let pairs: Vec<Pair> = taken.iter().flat_map(|(item, tasks)| tasks.iter().map(|task| (*task, *item))).collect();
        let pairs: Vec<Pair> =
            pairs.into_iter().filter(|(task, item)| used.contains(item) && !put.tasks.contains(task)).collect();
        let left = leave(tx, &pairs)?;
        note_moves(tx, &left, new.by, now)?;
        touched.extend(left.iter().map(|(task, _)| *task));
    }
    finish(tx, used.iter().copied().collect(), touched, new.by, now)?;
    let named: Vec<String> = put.made.iter().take(NAMED_MAX).map(Number::to_string).collect();
    if !put.made.is_empty() {
        let detail = serde_json::json!({
            "tasks": put.made.len(), "named": named, "items": used.len(), "origin": new.origin.as_str(),
            "effort": new.effort, "group_by": new.group_by.as_str(), "existing": new.existing.as_str(),
        });
        let resource = match put.made.as_slice() {
            [one] => format!("tasks/{one}"),
            _ => "tasks".to_owned(),
        };
        audit::append(tx, &Entry { at: now, actor: new.by, action: "task.create", resource: &resource, detail })?;
    }
    Ok(Made { tasks: put.made, joined: put.joined, items: used.len(), skipped })
}

/// The tasks that are not closed, of those of these items that are in one.
///
/// # Errors
/// See [`crate::Error`].
pub fn open_tasks_of(tx: &mut Transaction<'_>, items: &[ItemId]) -> Result<BTreeMap<ItemId, Vec<RemediationTaskId>>> {
    let keys: Vec<i64> = items.iter().map(|item| item.0).collect();
    let mut found: BTreeMap<ItemId, Vec<RemediationTaskId>> = BTreeMap::new();
    tx.each(
        "SELECT x.item_id, x.task_id FROM remediation_item x JOIN remediation_task t ON t.id = x.task_id
         WHERE x.item_id {in $1} AND t.state <> 'closed' ORDER BY x.item_id, x.task_id",
        &[&keys],
        |(item, task): (ItemId, RemediationTaskId)| {
            found.entry(item).or_default().push(task);
            Ok(())
        },
    )?;
    Ok(found)
}

/// Let states go up and down after tasks or their items changed, and all else follow that.
pub(super) fn finish(
    tx: &mut Transaction<'_>,
    items: BTreeSet<ItemId>,
    tasks: BTreeSet<RemediationTaskId>,
    by: &str,
    now: Timestamp,
) -> Result<()> {
    let moved = settle(tx, items, tasks, by, now)?;
    if moved.is_empty() {
        return Ok(());
    }
    follow(tx, &Followed { new: &[], changed: &moved, by }, now)
}

/// The history of tasks that items were moved out of.
fn note_moves(tx: &mut Transaction<'_>, left: &[Pair], by: &str, now: Timestamp) -> Result<()> {
    let mut counts: BTreeMap<RemediationTaskId, usize> = BTreeMap::new();
    for (task, _) in left {
        *counts.entry(*task).or_default() += 1;
    }
    let line = |(task_id, count): (RemediationTaskId, usize)| Line {
        task_id,
        what: "items",
        before: String::new(),
        after: format!("{count} moved to other tasks"),
    };
    let lines: Vec<Line> = counts.into_iter().map(line).collect();
    write_history(tx, &lines, by, now)
}

/// What the tasks of a call have in common.
pub(super) struct Template<'a> {
    pub(super) by: &'a str,
    pub(super) origin: Origin,
    pub(super) rule: Option<TaskRuleId>,
    pub(super) effort: Option<i64>,
    pub(super) split_from: Option<RemediationTaskId>,
    pub(super) title: &'a str,
    pub(super) description: &'a str,
    /// What their keys begin with; none where nothing joins them later.
    pub(super) key: Option<String>,
}

/// What came of putting groups into tasks.
#[derive(Default)]
pub(super) struct Put {
    pub(super) made: Vec<Number>,
    pub(super) joined: Vec<Number>,
    pub(super) tasks: BTreeSet<RemediationTaskId>,
}

struct NewRow {
    number: i64,
    title: String,
    owner_id: Option<UserId>,
    group_name: String,
    key_digest: Option<String>,
}
stage!(NewRow as "remediation_new_batch" {
    number: i64, title: String, owner_id: Option<UserId>, group_name: String, key_digest: Option<String>,
});

/// What tells the tasks of a group apart from all others: a digest over the rule or effort, the values and who gets them.
fn digest(key: &str, group: &Group) -> String {
    let values: Vec<(String, &str)> =
        group.values.iter().map(|(field, value)| (field.text(), value.key.as_str())).collect();
    let text = serde_json::json!([key, values, group.group, group.owner]).to_string();
    hex(&Sha256::digest(text.as_bytes()))
}

/// Put each group into the open tasks of its key that have room, and make tasks for the rest.
///
/// Two imports that make the first task of a key at once collide in the series of numbers, so one of them is run again and joins.
pub(super) fn put(
    tx: &mut Transaction<'_>,
    template: &Template<'_>,
    groups: Vec<Group>,
    now: Timestamp,
) -> Result<Put> {
    let digests: Vec<Option<String>> =
        groups.iter().map(|group| template.key.as_ref().map(|key| digest(key, group))).collect();
    let wanted: Vec<String> = digests.iter().flatten().cloned().collect();
    let mut known: BTreeMap<String, Vec<(RemediationTaskId, i64, i64)>> = BTreeMap::new();
    if !wanted.is_empty() {
        let rows: Vec<(String, RemediationTaskId, i64, i64)> = tx.all(
            "SELECT key_digest, id, number, items FROM remediation_task
             WHERE key_digest {in $1} AND state = 'open' ORDER BY id",
            &[&wanted],
        )?;
        for (digest, id, number, items) in rows {
            known.entry(digest).or_default().push((id, number, items));
        }
    }
    let (mut put, mut pairs, mut rows, mut parts) = (Put::default(), Vec::new(), Vec::new(), Vec::new());
    for (group, digest) in groups.into_iter().zip(digests) {
        let there = digest.as_ref().and_then(|digest| known.get(digest)).map(Vec::as_slice).unwrap_or_default();
        let mut rest = group.items.as_slice();
        for (id, number, items) in there {
            let room = ITEMS_MAX.saturating_sub(usize::try_from(*items).unwrap_or(usize::MAX)).min(rest.len());
            let (here, after) = rest.split_at(room);
            if !here.is_empty() {
                pairs.extend(here.iter().map(|item| (*id, *item)));
                put.joined.push(Number { series: Series::RemediationTask, ordinal: *number });
                put.tasks.insert(*id);
            }
            rest = after;
        }
        for (n, items) in rest.chunks(ITEMS_MAX).enumerate() {
            rows.push(NewRow {
                number: 0,
                title: title(template.title, &group.values, there.len() + n + 1),
                owner_id: group.owner,
                group_name: group.group.clone(),
                key_digest: digest.clone(),
            });
            parts.push(items.to_vec());
        }
    }
    let made = insert(tx, template, &mut rows, now)?;
    for ((id, number), items) in made.iter().zip(&parts) {
        put.made.push(Number { series: Series::RemediationTask, ordinal: *number });
        put.tasks.insert(*id);
        pairs.extend(items.iter().map(|item| (*id, *item)));
    }
    for pairs in pairs.chunks(PORTION) {
        join(tx, pairs, now)?;
    }
    let tasks: Vec<RemediationTaskId> = put.tasks.iter().copied().collect();
    super::change::assign_items(tx, &tasks, template.by, now)?;
    Ok(put)
}

fn insert(
    tx: &mut Transaction<'_>,
    template: &Template<'_>,
    rows: &mut [NewRow],
    now: Timestamp,
) -> Result<Vec<(RemediationTaskId, i64)>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let first = numbers::range(tx, Series::RemediationTask, count)?;
    for (row, number) in rows.iter_mut().zip(first..) {
        row.number = number;
    }
    let mut made: Vec<(RemediationTaskId, i64)> = Vec::new();
    for rows in rows.chunks(PORTION) {
        tx.stage(rows)?;
        let some: Vec<(RemediationTaskId, i64)> = tx.all(
            "INSERT INTO remediation_task (number, title, description, state, substate, before_review, owner_id, group_name,
                 origin, rule_id, effort_id, split_from, key_digest, due_met, state_cause, items, items_open, items_deferred,
                 score, touched, created_by, created_at, updated_at, version)
             SELECT number, title, $1, 'open', '', 'open', owner_id, group_name, $2, $3, $4, $5, key_digest, '', '', 0, 0, 0,
                 0, FALSE, $6, $7, $7, 1
             FROM remediation_new_batch ORDER BY number
             RETURNING id, number",
            &[
                &template.description,
                &template.origin,
                &template.rule,
                &template.effort,
                &template.split_from,
                &template.by,
                &now,
            ],
        )?;
        made.extend(some);
    }
    made.sort_unstable_by_key(|(_, number)| *number);
    let lines: Vec<Line> = made
        .iter()
        .map(|(task_id, _)| Line { task_id: *task_id, what: "made", before: String::new(), after: "open".to_owned() })
        .collect();
    write_history(tx, &lines, template.by, now)?;
    Ok(made)
}

/// How a task is split.
#[derive(Clone, Debug)]
pub struct Split<'a> {
    /// Title of the new task; the old one's where it is empty.
    pub title: &'a str,
    /// Who gets it: a person and a group (empty for none).
    pub assignment: (Option<UserId>, &'a str),
}

/// One task for these items, split from another; gives its key and number.
pub(super) fn split_off(
    tx: &mut Transaction<'_>,
    by: &str,
    from: &TaskRow,
    split: &Split<'_>,
    items: Vec<ItemId>,
    now: Timestamp,
) -> Result<(RemediationTaskId, Number)> {
    let (owner, group) = split.assignment;
    let template = Template {
        by,
        origin: Origin::Split,
        rule: from.rule_id,
        effort: from.effort_id,
        split_from: Some(from.id),
        title: if split.title.is_empty() { &from.title } else { split.title },
        description: &from.description,
        key: None,
    };
    let group = Group { values: Vec::new(), owner, group: group.to_owned(), items };
    let put = put(tx, &template, vec![group], now)?;
    match (put.tasks.first(), put.made.first()) {
        (Some(id), Some(number)) => Ok((*id, *number)),
        _ => Err(crate::Error::failed("could not split a task", "no items were given")),
    }
}
