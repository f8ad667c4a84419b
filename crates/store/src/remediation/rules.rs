//! Task rules: read and changed by people, and applied to the items of a batch of an import.
//!
//! A rule sees items that were made or came back, in the transaction that did it. Its condition is compiled to SQL over the keys
//! of the batch; `domain::filter::matches` is what it has to mean.

use super::grouping::{Group, Grouped, grouped, together};
use super::make::{NAMED_MAX, Template, finish, put};
use crate::audit::{self, Entry};
use crate::filter::compile;
use crate::items::{ChangeError, LIST as ITEMS};
use crate::settings::CHANGED;
use crate::{Error, Result, Sql, Transaction, record, settings};
use domain::filter::{Context, Filter, parse};
use domain::id::{ItemId, RemediationTaskId, TaskRuleId, UserId};
use domain::refusal::Refusal;
use domain::remediation::Origin;
use domain::remediation::group::Field;
use domain::remediation::rule::{Assign, MADE_MAX, RULES_MAX, Wanted};
use domain::time::Timestamp;
use std::collections::BTreeSet;

/// The setting that says whether only the first rule that matches an item takes it.
pub const FIRST_ONLY: &str = "tasks.first_rule_only";
/// Items that a trial or a re-application looks at in one go.
const PORTION: i64 = 5_000;

record! {
    /// A rule as it is stored.
    #[derive(Clone, Debug, PartialEq)]
    pub struct RuleRow {
        /// Key.
        pub id: TaskRuleId,
        /// Its name.
        pub name: String,
        /// It is applied to imports.
        pub active: bool,
        /// Lower ones first.
        pub position: i64,
        /// Which items, in the items' query language.
        pub condition: String,
        /// What they are grouped by, a list of texts as JSON.
        pub group_by: String,
        /// `item`, `fixed`, or a field of the grouping.
        pub assign: String,
        /// The group that gets the tasks, where that is fixed.
        pub assign_group: String,
        /// The person who gets them, where that is fixed.
        pub assign_user: Option<UserId>,
        /// That person's sign-in name; empty for nobody.
        pub assign_name: String,
        /// What its tasks are called, before what their items share.
        pub title: String,
        /// The import in which it had made as many tasks as one import may; empty for none.
        pub stopped_run: String,
        /// Its tasks that are not closed.
        pub open_tasks: i64,
        /// Counts the changes.
        pub version: i64,
    }
}

impl RuleRow {
    /// What it groups by.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let texts: Vec<String> = serde_json::from_str(&self.group_by).unwrap_or_default();
        texts.iter().filter_map(|text| Field::parse(text)).collect()
    }

    /// Who gets its tasks.
    #[must_use]
    pub fn assignment(&self) -> Assign {
        match self.assign.as_str() {
            "fixed" => Assign::Fixed { group: self.assign_group.clone(), user: self.assign_user },
            word => Field::parse(word).map_or(Assign::Item, Assign::Field),
        }
    }

    fn resource(&self) -> String {
        format!("rules/tasks/{}", self.id)
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.name, r.active, r.position, r.condition, r.group_by, r.assign, r.assign_group, r.assign_user,
                 coalesce(o.name, '') AS assign_name, r.title, r.stopped_run,
                 (SELECT count(*) FROM remediation_task t WHERE t.rule_id = r.id AND t.state <> 'closed') AS open_tasks,
                 r.version
             FROM task_rule r LEFT JOIN account o ON o.id = r.assign_user ",
            $rest
        )
    };
}

/// Every rule in order.
///
/// # Errors
/// See [`Error`].
pub fn all(tx: &mut Transaction<'_>) -> Result<Vec<RuleRow>> {
    tx.all(select!("ORDER BY r.position, r.id"), &[])
}

/// The rule of this key.
///
/// # Errors
/// [`Error::NotFound`] for an unknown one.
pub fn rule(tx: &mut Transaction<'_>, id: TaskRuleId) -> Result<RuleRow> {
    tx.one(select!("WHERE r.id = $1"), &[&id])
}

/// A rule to be written.
#[derive(Clone, Debug)]
pub struct NewRule {
    /// Name, title and fields, checked.
    pub wanted: Wanted,
    /// It is applied to imports.
    pub active: bool,
    /// Lower ones first.
    pub position: i64,
    /// Which items, a text that can be read.
    pub condition: String,
    /// Who gets its tasks.
    pub assign: Assign,
}

struct Columns {
    group_by: String,
    assign: String,
    group: String,
    user: Option<UserId>,
}

fn columns(new: &NewRule) -> Columns {
    let fields: Vec<String> = new.wanted.group_by.iter().map(Field::text).collect();
    let (assign, group, user) = match &new.assign {
        Assign::Item => ("item".to_owned(), String::new(), None),
        Assign::Field(field) => (field.text(), String::new(), None),
        Assign::Fixed { group, user } => ("fixed".to_owned(), group.clone(), *user),
    };
    Columns { group_by: serde_json::json!(fields).to_string(), assign, group, user }
}

fn name_taken(name: &str) -> ChangeError {
    Refusal::new("name_taken", format!("there is a task rule named \"{name}\" already")).into()
}

/// Make a rule.
///
/// # Errors
/// `name_taken`, `too_many_rules`; the store's.
pub fn create_rule(tx: &mut Transaction<'_>, by: &str, new: &NewRule, now: Timestamp) -> Result<RuleRow, ChangeError> {
    let (count, same): (i64, i64) = tx.one(
        "SELECT count(*), coalesce(sum(CASE WHEN name = $1 THEN 1 ELSE 0 END), 0) FROM task_rule",
        &[&new.wanted.name],
    )?;
    if same > 0 {
        return Err(name_taken(&new.wanted.name));
    }
    if count >= RULES_MAX {
        let why = format!("there are {count} task rules, and each is a query on every import; delete one first");
        return Err(Refusal::new("too_many_rules", why).into());
    }
    let Columns { group_by, assign, group, user } = columns(new);
    let id: TaskRuleId = tx.insert(
        "INSERT INTO task_rule (name, active, position, condition, group_by, assign, assign_group, assign_user, title,
             stopped_run, version, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', 1, $10) RETURNING id",
        &[
            &new.wanted.name,
            &new.active,
            &new.position,
            &new.condition,
            &group_by,
            &assign,
            &group,
            &user,
            &new.wanted.title,
            &now,
        ],
    )?;
    let row = rule(tx, id)?;
    noted(tx, by, "task_rule.create", &row, now)?;
    Ok(row)
}

/// Change a rule. The tasks it made stay as they are.
///
/// # Errors
/// `name_taken`; [`Error::Conflict`] with [`CHANGED`] where somebody else was faster.
pub fn change_rule(
    tx: &mut Transaction<'_>,
    by: &str,
    row: &RuleRow,
    new: &NewRule,
    now: Timestamp,
) -> Result<RuleRow, ChangeError> {
    let same: i64 =
        tx.scalar("SELECT count(*) FROM task_rule WHERE name = $1 AND id <> $2", &[&new.wanted.name, &row.id])?;
    if same > 0 {
        return Err(name_taken(&new.wanted.name));
    }
    let Columns { group_by, assign, group, user } = columns(new);
    let changed = tx.execute(
        "UPDATE task_rule SET name = $3, active = $4, position = $5, condition = $6, group_by = $7, assign = $8,
             assign_group = $9, assign_user = $10, title = $11, stopped_run = '', version = version + 1
         WHERE id = $1 AND version = $2",
        &[
            &row.id,
            &row.version,
            &new.wanted.name,
            &new.active,
            &new.position,
            &new.condition,
            &group_by,
            &assign,
            &group,
            &user,
            &new.wanted.title,
        ],
    )?;
    if changed != 1 {
        return Err(Error::Conflict(CHANGED.to_owned()).into());
    }
    let row = rule(tx, row.id)?;
    noted(tx, by, "task_rule.change", &row, now)?;
    Ok(row)
}

fn noted(tx: &mut Transaction<'_>, by: &str, action: &'static str, row: &RuleRow, now: Timestamp) -> Result<()> {
    let detail = serde_json::json!({
        "name": row.name, "active": row.active, "position": row.position, "condition": row.condition,
        "group_by": row.group_by, "assign": row.assign, "group": row.assign_group, "user": row.assign_name,
        "title": row.title,
    });
    audit::append(tx, &Entry { at: now, actor: by, action, resource: &row.resource(), detail })?;
    Ok(())
}

/// Delete a rule; with `tasks`, its open tasks too that nobody has done anything with. Gives how many went.
///
/// # Errors
/// [`Error::Conflict`] with [`CHANGED`] where somebody else was faster.
pub fn delete_rule(
    tx: &mut Transaction<'_>,
    by: &str,
    row: &RuleRow,
    tasks: bool,
    now: Timestamp,
) -> Result<usize, ChangeError> {
    let gone = if tasks { withdraw(tx, by, row, now)? } else { 0 };
    let changed = tx.execute("DELETE FROM task_rule WHERE id = $1 AND version = $2", &[&row.id, &row.version])?;
    if changed != 1 {
        return Err(Error::Conflict(CHANGED.to_owned()).into());
    }
    let detail = serde_json::json!({ "name": row.name, "tasks": gone });
    let resource = row.resource();
    audit::append(tx, &Entry { at: now, actor: by, action: "task_rule.delete", resource: &resource, detail })?;
    Ok(gone)
}

/// Delete the Open tasks of a rule that nobody has done anything with; gives how many.
fn withdraw(tx: &mut Transaction<'_>, by: &str, row: &RuleRow, now: Timestamp) -> Result<usize> {
    let tasks: Vec<(RemediationTaskId,)> = tx.all(
        "SELECT id FROM remediation_task WHERE rule_id = $1 AND state = 'open' AND NOT touched ORDER BY id",
        &[&row.id],
    )?;
    let tasks: Vec<RemediationTaskId> = tasks.into_iter().map(|(task,)| task).collect();
    super::change::take_back_items(tx, &tasks, by, now)?;
    let keys: Vec<i64> = tasks.iter().map(|task| task.0).collect();
    tx.execute("DELETE FROM remediation_item WHERE task_id {in $1}", &[&keys])?;
    tx.execute("DELETE FROM remediation_count WHERE task_id {in $1}", &[&keys])?;
    tx.execute("DELETE FROM remediation_history WHERE task_id {in $1}", &[&keys])?;
    tx.execute("DELETE FROM remediation_task WHERE id {in $1}", &[&keys])?;
    Ok(tasks.len())
}

/// The condition of a rule; none for one that cannot be read any more, which must not hold up an import.
fn condition(row: &RuleRow, now: Timestamp) -> Result<Option<Sql>> {
    match parse(&row.condition, ITEMS.fields) {
        Ok(filter) => compiled(&filter, now).map(Some),
        Err(error) => {
            tracing::warn!(rule = row.name, "the condition of a task rule cannot be read: {}", error.message);
            Ok(None)
        }
    }
}

fn compiled(filter: &Filter, now: Timestamp) -> Result<Sql> {
    Ok(Sql::new("(").append(compile(filter, ITEMS.fields, ITEMS.columns, &Context::at(now))?).text(")"))
}

/// Who gets the task of an item. `groups` are the names of those there are.
fn assigned(assign: &Assign, fields: &[Field], groups: &BTreeSet<String>, row: &Grouped) -> (Option<UserId>, String) {
    match assign {
        Assign::Item => (None, row.group.clone()),
        Assign::Fixed { group, user } => (*user, group.clone()),
        Assign::Field(field) => {
            let value = fields.iter().position(|one| one == field).and_then(|place| row.values.get(place));
            let name = value.map(|value| value.shown.clone()).unwrap_or_default();
            (None, if groups.contains(&name) { name } else { String::new() })
        }
    }
}

fn group_names(tx: &mut Transaction<'_>) -> Result<BTreeSet<String>> {
    let rows: Vec<(String,)> = tx.all("SELECT name FROM account_group", &[])?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

/// Put items that are new or came back into tasks by the rules; gives what was touched.
pub(super) fn regroup(
    tx: &mut Transaction<'_>,
    new: &[ItemId],
    changed: &[ItemId],
    by: &str,
    now: Timestamp,
) -> Result<(BTreeSet<ItemId>, BTreeSet<RemediationTaskId>)> {
    let (mut items, mut tasks) = (BTreeSet::new(), BTreeSet::new());
    if new.is_empty() && changed.is_empty() {
        return Ok((items, tasks));
    }
    let rules: Vec<RuleRow> = tx.all(select!("WHERE r.active ORDER BY r.position, r.id"), &[])?;
    if rules.is_empty() {
        return Ok((items, tasks));
    }
    let mut keys: Vec<i64> = new.iter().map(|item| item.0).collect();
    if !changed.is_empty() {
        let changed: Vec<i64> = changed.iter().map(|item| item.0).collect();
        let back: Vec<(i64,)> = tx.all(
            "SELECT id FROM vulnerable_item WHERE id {in $1} AND opened_at = $2 AND reopened > 0 AND state <> 'closed'",
            &[&changed, &now],
        )?;
        keys.extend(back.into_iter().map(|(key,)| key));
    }
    if keys.is_empty() {
        return Ok((items, tasks));
    }
    let first_only = first_only(tx)?;
    let groups = group_names(tx)?;
    let mut left: Vec<i64> = keys;
    for rule in &rules {
        let how = How { first_only, groups: &groups, by, since: Timestamp::from_micros(0) };
        let (put, taken) = apply_rule(tx, rule, &left, &how, now)?;
        if first_only {
            left.retain(|key| !taken.contains(&ItemId(*key)));
        }
        items.extend(taken);
        tasks.extend(put);
    }
    Ok((items, tasks))
}

type Applied = (BTreeSet<RemediationTaskId>, BTreeSet<ItemId>);

/// How rules are applied.
struct How<'a> {
    /// An item that is in an open task of any rule is taken by no other.
    first_only: bool,
    /// The names of the groups there are.
    groups: &'a BTreeSet<String>,
    /// Who or what makes the tasks.
    by: &'a str,
    /// Tasks that it made since then count towards what it may make.
    since: Timestamp,
}

/// Put those of these items that a rule is about and that none of its open tasks has into its tasks.
fn apply_rule(
    tx: &mut Transaction<'_>,
    rule: &RuleRow,
    keys: &[i64],
    how: &How<'_>,
    now: Timestamp,
) -> Result<Applied> {
    let How { first_only, groups, by, since } = how;
    let (fields, assign) = (rule.fields(), rule.assignment());
    let Some(condition) = condition(rule, now)? else { return Ok(Applied::default()) };
    let of = Sql::new("i.id {in ").bind(&keys).text("} AND ").append(condition).text(
        " AND NOT EXISTS (SELECT 1 FROM remediation_item x JOIN remediation_task t ON t.id = x.task_id
                          WHERE x.item_id = i.id AND t.state <> 'closed' AND ",
    );
    let of = match first_only {
        true => of.text("t.rule_id IS NOT NULL)"),
        false => of.text("t.rule_id = ").bind(&rule.id).text(")"),
    };
    let rows = grouped(tx, &fields, of, i64::MAX)?;
    if rows.is_empty() {
        return Ok(Applied::default());
    }
    let mut together = together(rows, &fields, |row| assigned(&assign, &fields, groups, row));
    let made: i64 = tx.scalar(
        "SELECT count(*) FROM remediation_task WHERE rule_id = $1 AND created_by = $2 AND created_at >= $3",
        &[&rule.id, by, since],
    )?;
    let room = usize::try_from(MADE_MAX - made).unwrap_or(0);
    if together.len() > room {
        together.truncate(room);
        tx.execute("UPDATE task_rule SET stopped_run = $2 WHERE id = $1", &[&rule.id, by])?;
    }
    let items: BTreeSet<ItemId> = together.iter().flat_map(|group| group.items.iter().copied()).collect();
    let template = Template {
        by,
        origin: Origin::Rule,
        rule: Some(rule.id),
        effort: None,
        split_from: None,
        title: &rule.title,
        description: "",
        key: Some(format!("rule {}", rule.id)),
    };
    Ok((put(tx, &template, together, now)?.tasks, items))
}

/// Items that a trial looks at, at most.
pub const TRIED_MAX: i64 = 100_000;

/// What a rule would make of the items there are now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// Items it is about, of the first [`TRIED_MAX`].
    pub items: usize,
    /// Tasks they would be in.
    pub tasks: usize,
    /// The first of these, largest first: title and items.
    pub first: Vec<(String, usize)>,
}

/// Try a rule on all open items; nothing is written.
///
/// # Errors
/// See [`Error`].
pub fn try_rule(tx: &mut Transaction<'_>, new: &NewRule, filter: &Filter, now: Timestamp) -> Result<Trial> {
    let fields = &new.wanted.group_by;
    let rows = grouped(tx, fields, compiled(filter, now)?, TRIED_MAX)?;
    let groups = group_names(tx)?;
    let items = rows.len();
    let mut together = together(rows, fields, |row| assigned(&new.assign, fields, &groups, row));
    together.sort_by_key(|group| std::cmp::Reverse(group.items.len()));
    let title = |group: &Group| domain::remediation::group::title(&new.wanted.title, &group.values, 1);
    let first = together.iter().take(NAMED_MAX).map(|group| (title(group), group.items.len())).collect();
    Ok(Trial { items, tasks: together.len(), first })
}

/// Begin to apply a rule to all open items: its Open tasks that nobody has done anything with are deleted; gives how many.
/// [`apply_portion`] makes them anew.
///
/// # Errors
/// See [`Error`].
pub fn begin_again(tx: &mut Transaction<'_>, by: &str, row: &RuleRow, now: Timestamp) -> Result<usize> {
    tx.execute("UPDATE task_rule SET stopped_run = '' WHERE id = $1", &[&row.id])?;
    let deleted = withdraw(tx, by, row, now)?;
    let detail = serde_json::json!({ "name": row.name, "deleted": deleted });
    let resource = row.resource();
    audit::append(tx, &Entry { at: now, actor: by, action: "task_rule.apply", resource: &resource, detail })?;
    Ok(deleted)
}

/// Apply a rule to the next open items after a key, whether it is active or not; gives the last key and how many were put into
/// tasks, or nothing where there are no more items. `by` and `now` have to be the same for all portions: by them the tasks of
/// one application are counted.
///
/// # Errors
/// See [`Error`].
pub fn apply_portion(
    tx: &mut Transaction<'_>,
    by: &str,
    row: &RuleRow,
    after: i64,
    now: Timestamp,
) -> Result<Option<(i64, usize)>> {
    let keys: Vec<(i64,)> = tx.all(
        "SELECT id FROM vulnerable_item WHERE id > $1 AND state <> 'closed' ORDER BY id LIMIT $2",
        &[&after, &PORTION],
    )?;
    let keys: Vec<i64> = keys.into_iter().map(|(key,)| key).collect();
    let Some(last) = keys.last().copied() else { return Ok(None) };
    let groups = group_names(tx)?;
    let first_only = first_only(tx)?;
    let (tasks, items) = apply_rule(tx, row, &keys, &How { first_only, groups: &groups, by, since: now }, now)?;
    let count = items.len();
    finish(tx, items, tasks, by, now)?;
    Ok(Some((last, count)))
}

/// Whether only the first rule that matches an item takes it.
///
/// # Errors
/// See [`Error`].
pub fn first_only(tx: &mut Transaction<'_>) -> Result<bool> {
    Ok(settings::get::<bool>(tx, FIRST_ONLY)?.is_some_and(|setting| setting.value))
}
