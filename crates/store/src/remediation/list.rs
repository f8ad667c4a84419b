//! The list of remediation tasks, one task, what it holds and what happened to it.

use crate::filter::Column;
use crate::list::{Clip, List, Sort};
use crate::numbers::number_text;
use crate::{Result, Sql, Transaction, record, scope};
use domain::access::{Action, Actor, AssetScope, Cover, Record as AccessRecord, reach};
use domain::filter::{Field, Fields, Flag, Kind};
use domain::id::{ItemId, RemediationTaskId, TaskRuleId, UserId};
use domain::item::State;
use domain::number::{Number, Series};
use domain::remediation::{Counts, Life, Origin, Substate, moves, rank};
use domain::time::Timestamp;
use std::collections::BTreeMap;

/// What tasks can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "number", kind: Kind::Name, doc: "its number, VUL0000001" },
        Field { name: "title", kind: Kind::Text, doc: "its title" },
        Field { name: "state", kind: Kind::Words(State::WORDS), doc: "how it stands" },
        Field { name: "substate", kind: Kind::Name, doc: "why it is so" },
        Field { name: "assignee", kind: Kind::Person, doc: "who works on it" },
        Field { name: "group", kind: Kind::Name, doc: "which group works on it" },
        Field { name: "origin", kind: Kind::Words(Origin::WORDS), doc: "what made it" },
        Field { name: "rule", kind: Kind::Name, doc: "name of the rule that made it" },
        Field { name: "effort", kind: Kind::Name, doc: "number of the effort it was made for, REF0000001" },
        Field { name: "item", kind: Kind::Number, doc: "the digits of the number of one of its items" },
        Field { name: "asset", kind: Kind::Name, doc: "name of one of its assets" },
        Field { name: "qid", kind: Kind::Number, doc: "the scanner's number of one of its vulnerabilities" },
        Field { name: "items", kind: Kind::Number, doc: "how many items it holds" },
        Field { name: "open_items", kind: Kind::Number, doc: "how many of them are not closed" },
        Field { name: "score", kind: Kind::Number, doc: "highest score of its open items" },
        Field { name: "due", kind: Kind::Instant, doc: "earliest due date of its open items" },
        Field { name: "due_met", kind: Kind::Words(&["met", "missed"]), doc: "whether it closed in time" },
        Field { name: "until", kind: Kind::Instant, doc: "earliest end of its deferrals" },
        Field { name: "created", kind: Kind::Instant, doc: "made" },
        Field { name: "updated", kind: Kind::Instant, doc: "last changed" },
        Field { name: "closed", kind: Kind::Instant, doc: "closed" },
    ],
    flags: &[
        Flag {
            name: "open",
            field: "state",
            words: &["open", "under_investigation", "awaiting_implementation", "in_review", "deferred", "resolved"],
            doc: "not closed",
        },
        Flag { name: "closed", field: "state", words: &["closed"], doc: "closed" },
        Flag { name: "deferred", field: "state", words: &["deferred"], doc: "put off for a time" },
        Flag { name: "in_review", field: "state", words: &["in_review"], doc: "an exception is being decided" },
        Flag { name: "resolved", field: "state", words: &["resolved"], doc: "said to be done" },
    ],
    free: &["title", "number"],
};

const FROM: &str = "remediation_task t
    JOIN seen_task s ON s.task_id = t.id
    LEFT JOIN account o ON o.id = t.owner_id
    LEFT JOIN task_rule u ON u.id = t.rule_id";

const SELECT: &str = "t.id, t.number, t.title, t.description, t.state, t.substate, t.before_review, t.owner_id,
    coalesce(o.name, '') AS owner, t.group_name, t.origin, t.rule_id, coalesce(u.name, '') AS rule, t.effort_id,
    (SELECT e.number FROM effort e WHERE e.id = t.effort_id) AS effort,
    (SELECT p.number FROM remediation_task p WHERE p.id = t.split_from) AS split_from, t.until_at, t.due_at, t.due_met,
    t.resolved_at, t.closed_at, t.state_cause, s.items, s.items_open, s.items_deferred, s.score, t.touched, t.created_by,
    t.created_at, t.updated_at, t.version";

/// The list of tasks, to be read with [`clip`].
pub const LIST: List = List {
    name: "tasks",
    select: SELECT,
    from: FROM,
    key: "t.id",
    fields: &FIELDS,
    columns: &[
        Column::one("number", number_text!("VUL", "t.number")),
        Column::one("title", "t.title"),
        Column::one("state", "t.state"),
        Column::one("substate", "nullif(t.substate, '')"),
        Column::one("assignee", "o.name"),
        Column::one("group", "nullif(t.group_name, '')"),
        Column::one("origin", "t.origin"),
        Column::one("rule", "u.name"),
        Column::many("effort", "effort e WHERE e.id = t.effort_id", number_text!("REF", "e.number")),
        Column::many(
            "item",
            "remediation_item x JOIN vulnerable_item i ON i.id = x.item_id WHERE x.task_id = t.id",
            "i.number",
        ),
        Column::many(
            "asset",
            "remediation_item x JOIN vulnerable_item i ON i.id = x.item_id JOIN asset a ON a.id = i.asset_id
             WHERE x.task_id = t.id",
            "a.name",
        ),
        Column::many(
            "qid",
            "remediation_item x JOIN vulnerable_item i ON i.id = x.item_id
             JOIN vulnerability v ON v.id = i.vulnerability_id WHERE x.task_id = t.id",
            "v.qid",
        ),
        Column::one("items", "s.items"),
        Column::one("open_items", "s.items_open"),
        Column::one("score", "s.score"),
        Column::one("due", "t.due_at"),
        Column::one("due_met", "nullif(t.due_met, '')"),
        Column::one("until", "t.until_at"),
        Column::one("created", "t.created_at"),
        Column::one("updated", "t.updated_at"),
        Column::one("closed", "t.closed_at"),
    ],
    sorts: &[
        Sort::whole("number", "t.number"),
        Sort::text("title", "t.title"),
        Sort::text("state", "t.state"),
        Sort::text("assignee", "o.name").or_null(),
        Sort::text("group", "t.group_name"),
        Sort::whole("items", "s.items"),
        Sort::whole("open_items", "s.items_open"),
        Sort::whole("score", "s.score"),
        Sort::whole("due", "t.due_at").or_null(),
        Sort::whole("created", "t.created_at"),
        Sort::whole("updated", "t.updated_at"),
    ],
};

record! {
    /// A task as the list shows it; its counts are of the items that the reader may know of.
    #[derive(Clone, Debug, PartialEq)]
    pub struct TaskRow {
        /// Key.
        pub id: RemediationTaskId,
        /// Ordinal of its number.
        pub number: i64,
        /// Title.
        pub title: String,
        /// Description.
        pub description: String,
        /// State.
        pub state: State,
        /// Why it is in it.
        pub substate: Substate,
        /// Its state before it was in review.
        pub before_review: State,
        /// Who works on it.
        pub owner_id: Option<UserId>,
        /// That person's sign-in name; empty for nobody.
        pub owner: String,
        /// Which group works on it; empty for none.
        pub group_name: String,
        /// What made it.
        pub origin: Origin,
        /// The rule that made it.
        pub rule_id: Option<TaskRuleId>,
        /// That rule's name; empty for none, and for one that is gone.
        pub rule: String,
        /// The effort it was made for.
        pub effort_id: Option<i64>,
        /// Ordinal of that effort's number.
        pub effort: Option<i64>,
        /// Ordinal of the task it was split from.
        pub split_from: Option<i64>,
        /// Deferred: the earliest end of its items' deferrals.
        pub until_at: Option<Timestamp>,
        /// The earliest due date of its open items.
        pub due_at: Option<Timestamp>,
        /// `met` or `missed` once it is closed; empty without a due date.
        pub due_met: String,
        /// When it became Resolved.
        pub resolved_at: Option<Timestamp>,
        /// When it closed.
        pub closed_at: Option<Timestamp>,
        /// What set its state, as [`domain::remediation::why::Cause`] is stored.
        pub state_cause: String,
        /// Items.
        pub items: i64,
        /// Of these: not closed.
        pub items_open: i64,
        /// Of these: deferred.
        pub items_deferred: i64,
        /// Highest score of its open items; 0 for none.
        pub score: i64,
        /// A person did something with it.
        pub touched: bool,
        /// Who or what made it.
        pub created_by: String,
        /// When.
        pub created_at: Timestamp,
        /// Last changed.
        pub updated_at: Timestamp,
        /// Counts what people change.
        pub version: i64,
    }
}

impl TaskRow {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> Number {
        Number { series: Series::RemediationTask, ordinal: self.number }
    }

    /// Its path.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("tasks/{}", self.number())
    }
}

/// The workflow part of a task, as the domain decides on it.
#[must_use]
pub fn life(task: &TaskRow) -> Life {
    Life {
        state: task.state,
        substate: task.substate,
        before_review: task.before_review,
        until: task.until_at,
        resolved_at: task.resolved_at,
        closed_at: task.closed_at,
        assigned: task.owner_id.is_some() || !task.group_name.is_empty(),
    }
}

/// Every task with its stored counts.
fn everything() -> Clip {
    let sql = Sql::new(
        "WITH seen_task AS NOT MATERIALIZED (
             SELECT c.id AS task_id, c.items, c.items_open, c.items_deferred, c.score FROM remediation_task c) ",
    );
    Clip::with(sql, None)
}

/// The tasks that the actor may see: by relation, and of his asset scope those with at least one item in it, counted by these.
#[must_use]
pub fn clip(actor: &Actor) -> Clip {
    let related = scope::assigned(actor, reach(actor, Action::TasksView), "t.owner_id", "nullif(t.group_name, '')");
    let Some(inside) = scope::assets(&actor.scope, "i.asset_id") else {
        return Clip::with(everything().head(), related);
    };
    let sql = Sql::new(
        "WITH seen_task AS NOT MATERIALIZED (
             SELECT x.task_id, count(*) AS items, sum(CASE WHEN x.state = 'closed' THEN 0 ELSE 1 END) AS items_open,
                 sum(CASE WHEN x.state = 'deferred' THEN 1 ELSE 0 END) AS items_deferred, max(x.score) AS score
             FROM remediation_item x JOIN vulnerable_item i ON i.id = x.item_id WHERE ",
    );
    Clip::with(sql.append(inside).text(" GROUP BY x.task_id) "), related)
}

/// The task of this ordinal as the actor may see it.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) for an unknown one, and for one that he may not know of.
pub fn one(tx: &mut Transaction<'_>, actor: &Actor, ordinal: i64) -> Result<TaskRow> {
    LIST.one_clipped(tx, clip(actor), Sql::new("t.number = ").bind(&ordinal))
}

/// The task of this key, whoever asks.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) for an unknown one.
pub fn read(tx: &mut Transaction<'_>, task: RemediationTaskId) -> Result<TaskRow> {
    LIST.one_clipped(tx, everything(), Sql::new("t.id = ").bind(&task))
}

/// What a permission has to know of a task.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn access(tx: &mut Transaction<'_>, actor: &Actor, task: &TaskRow) -> Result<AccessRecord> {
    let record = AccessRecord::assigned_to(task.owner_id, Some(&task.group_name));
    Ok(record.covered(cover(tx, actor, task.id)?))
}

fn cover(tx: &mut Transaction<'_>, actor: &Actor, task: RemediationTaskId) -> Result<Cover> {
    let AssetScope::Tags(_) = &actor.scope else { return Ok(Cover::Whole) };
    let inside = scope::assets(&actor.scope, "i.asset_id").unwrap_or_else(|| Sql::new("true"));
    let sql = Sql::new("SELECT DISTINCT CASE WHEN ").append(inside).text(
        " THEN 1 ELSE 0 END FROM remediation_item x
         JOIN vulnerable_item i ON i.id = x.item_id WHERE x.task_id = ",
    );
    let rows: Vec<(i64,)> = tx.all_built(&sql.bind(&task))?;
    Ok(actor.scope.cover(rows.into_iter().map(|(inside,)| inside == 1)))
}

/// How many items of a task are in which state.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn counts(tx: &mut Transaction<'_>, task: RemediationTaskId) -> Result<Counts> {
    Ok(super::settle::counts_of(tx, &[task.0])?.remove(&task).unwrap_or_default())
}

/// Every item of a task, in order of their keys.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn items_of(tx: &mut Transaction<'_>, task: RemediationTaskId) -> Result<Vec<ItemId>> {
    super::settle::members(tx, &[task])
}

/// The items of a task that are not closed, in order of their keys.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn open_items_of(tx: &mut Transaction<'_>, task: RemediationTaskId) -> Result<Vec<ItemId>> {
    let rows: Vec<(ItemId,)> = tx.all(
        "SELECT item_id FROM remediation_item WHERE task_id = $1 AND state <> 'closed' ORDER BY item_id",
        &[&task],
    )?;
    Ok(rows.into_iter().map(|(item,)| item).collect())
}

record! {
    /// A task of an item.
    #[derive(Clone, Debug, PartialEq)]
    pub struct OfItem {
        /// Ordinal of its number.
        pub number: i64,
        /// Title.
        pub title: String,
        /// State.
        pub state: State,
        /// Who works on it; empty for nobody.
        pub owner: String,
        /// Which group works on it; empty for none.
        pub group_name: String,
        /// What was set on the item itself.
        pub own_state: State,
    }
}

/// The tasks of an item, the open ones first.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn tasks_of(tx: &mut Transaction<'_>, item: ItemId) -> Result<Vec<OfItem>> {
    tx.all(
        "SELECT t.number, t.title, t.state, coalesce(o.name, '') AS owner, t.group_name, i.own_state
         FROM remediation_item x JOIN remediation_task t ON t.id = x.task_id JOIN vulnerable_item i ON i.id = x.item_id
         LEFT JOIN account o ON o.id = t.owner_id
         WHERE x.item_id = $1 ORDER BY CASE WHEN t.state = 'closed' THEN 1 ELSE 0 END, t.id LIMIT 100",
        &[&item],
    )
}

/// For those of these items that a task keeps from a state, that task and its state: a person's change of such an item would
/// change nothing that is seen.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn outranking(
    tx: &mut Transaction<'_>,
    items: &[ItemId],
    wanted: State,
) -> Result<BTreeMap<ItemId, (Number, State)>> {
    let keys: Vec<i64> = items.iter().map(|item| item.0).collect();
    let rows: Vec<(ItemId, i64, State)> = tx.all(
        "SELECT x.item_id, t.number, t.state FROM remediation_item x JOIN remediation_task t ON t.id = x.task_id
         WHERE x.item_id {in $1} AND t.state IN ('under_investigation', 'awaiting_implementation', 'resolved')
         ORDER BY x.item_id, t.id",
        &[&keys],
    )?;
    let mut found: BTreeMap<ItemId, (Number, State)> = BTreeMap::new();
    for (item, ordinal, state) in rows {
        let higher = found.get(&item).map_or(rank(wanted), |(_, known)| rank(*known));
        if moves(state) && rank(state) > higher {
            found.insert(item, (Number { series: Series::RemediationTask, ordinal }, state));
        }
    }
    Ok(found)
}

record! {
    /// Something that happened to a task.
    #[derive(Clone, Debug, PartialEq)]
    pub struct HistoryLine {
        /// When.
        pub at: Timestamp,
        /// `made`, `state`, `assignment`, `items`, `split` or `title`.
        pub what: String,
        /// Before.
        pub before: String,
        /// After.
        pub after: String,
        /// Why, for people.
        pub cause: String,
    }
}

/// The history of a task, newest first.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn history(tx: &mut Transaction<'_>, task: RemediationTaskId, limit: i64) -> Result<Vec<HistoryLine>> {
    tx.all(
        "SELECT at, what, before, after, cause FROM remediation_history WHERE task_id = $1
         ORDER BY at DESC, id DESC LIMIT $2",
        &[&task, &limit],
    )
}
