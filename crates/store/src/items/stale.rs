//! Rules that close items which nothing reports any more: kept, gone through instance by instance, and what each did.
//!
//! [`domain::autoclose`] decides when and how many, [`domain::item::roll_up`] what becomes of an item. A detection that a rule called
//! stale loses what an unchanged report is recognised by, so that any report wakes it.

use super::exceptions::overtaken;
use super::life::{Change, LifeOf, apply};
use super::list::{FIELDS, LIST as ITEMS};
use super::merge::sightings;
use crate::audit::{self, Entry};
use crate::{Error, Result, Sql, Transaction, record, settings};
use domain::autoclose::Kind;
use domain::filter::{self, Context};
use domain::id::{InstanceId, ItemId};
use domain::item::why::Cause;
use domain::item::{self, Sightings, State};
use domain::time::Timestamp;

/// Items that are closed in one transaction.
pub const PORTION: i64 = 500;
/// Days that runs of rules are kept.
const KEPT_DAYS: i64 = 400;
const DAY: i64 = 86_400;

record! {
    /// A rule.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Rule {
        /// Key.
        pub id: i64,
        /// Its name.
        pub name: String,
        /// Whether it is gone through by itself.
        pub active: bool,
        /// Rules are gone through in this order.
        pub position: i64,
        /// What it looks at.
        pub kind: Kind,
        /// Days, or full pulls.
        pub days: i64,
        /// Which items; empty for all.
        pub condition: String,
        /// Deferred items are left alone.
        pub ignore_deferred: bool,
        /// When it was last gone through by itself.
        pub ran_at: Option<Timestamp>,
        /// Who wants it to be gone through now.
        pub asked_by: Option<String>,
        /// That without the bound.
        pub asked_all: bool,
        /// Counts the changes.
        pub version: i64,
    }
}

/// What people set of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Whether it is gone through by itself.
    pub active: bool,
    /// Rules are gone through in this order.
    pub position: i64,
    /// What it looks at.
    pub kind: Kind,
    /// Days, or full pulls.
    pub days: i64,
    /// Which items; empty for all.
    pub condition: String,
    /// Deferred items are left alone.
    pub ignore_deferred: bool,
}

impl Wanted {
    fn detail(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name, "active": self.active, "position": self.position, "kind": self.kind, "days": self.days,
            "condition": self.condition, "ignore_deferred": self.ignore_deferred,
        })
    }
}

const RULE: &str =
    "SELECT id, name, active, position, kind, days, condition, ignore_deferred, ran_at, asked_by, asked_all, version
     FROM auto_close_rule";

/// Every rule, in their order.
///
/// # Errors
/// See [`Error`].
pub fn rules(tx: &mut Transaction<'_>) -> Result<Vec<Rule>> {
    tx.all_built(&Sql::new(RULE).text(" ORDER BY position, id"))
}

/// One rule.
///
/// # Errors
/// [`Error::NotFound`].
pub fn rule(tx: &mut Transaction<'_>, id: i64) -> Result<Rule> {
    let found: Vec<Rule> = tx.all_built(&Sql::new(RULE).text(" WHERE id = ").bind(&id))?;
    found.into_iter().next().ok_or(Error::NotFound)
}

impl Rule {
    /// The days that what is old lies back; none are counted where full pulls are.
    #[must_use]
    pub fn days_back(&self) -> i64 {
        if self.kind == Kind::UnseenInFull { 0 } else { self.days }
    }
}

fn audited(
    tx: &mut Transaction<'_>,
    actor: &str,
    action: &str,
    id: i64,
    detail: serde_json::Value,
    now: Timestamp,
) -> Result<()> {
    let resource = format!("rules/auto-close/{id}");
    audit::append(tx, &Entry { at: now, actor, action, resource: &resource, detail }).map(|_| ())
}

/// Make a rule; gives its key. It is gone through by itself from the next morning on.
///
/// # Errors
/// See [`Error`].
pub fn create(tx: &mut Transaction<'_>, actor: &str, wanted: &Wanted, now: Timestamp) -> Result<i64> {
    let id: i64 = tx.insert(
        "INSERT INTO auto_close_rule (name, active, position, kind, days, condition, ignore_deferred, ran_at, asked_all, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1) RETURNING id",
        &[
            &wanted.name,
            &wanted.active,
            &wanted.position,
            &wanted.kind,
            &wanted.days,
            &wanted.condition,
            &wanted.ignore_deferred,
            &now,
            &false,
        ],
    )?;
    audited(tx, actor, "rule.create", id, wanted.detail(), now)?;
    Ok(id)
}

/// Change a rule. What somebody asked for before is forgotten: he had another rule in mind.
///
/// # Errors
/// [`Error::Conflict`] with [`settings::CHANGED`] where somebody else was faster.
pub fn change(
    tx: &mut Transaction<'_>,
    actor: &str,
    (id, version): (i64, i64),
    wanted: &Wanted,
    now: Timestamp,
) -> Result<()> {
    let changed = tx.execute(
        "UPDATE auto_close_rule SET name = $3, active = $4, position = $5, kind = $6, days = $7, condition = $8,
             ignore_deferred = $9, asked_by = NULL, asked_all = $10, version = version + 1
         WHERE id = $1 AND version = $2",
        &[
            &id,
            &version,
            &wanted.name,
            &wanted.active,
            &wanted.position,
            &wanted.kind,
            &wanted.days,
            &wanted.condition,
            &wanted.ignore_deferred,
            &false,
        ],
    )?;
    if changed != 1 {
        return Err(Error::Conflict(settings::CHANGED.to_owned()));
    }
    audited(tx, actor, "rule.change", id, wanted.detail(), now)
}

/// Delete a rule and what is remembered of its runs. What it closed stays closed.
///
/// # Errors
/// [`Error::Conflict`] with [`settings::CHANGED`] where somebody else was faster.
pub fn delete(tx: &mut Transaction<'_>, actor: &str, rule: &Rule, now: Timestamp) -> Result<()> {
    tx.execute("DELETE FROM auto_close_run WHERE rule_id = $1", &[&rule.id])?;
    let gone = tx.execute("DELETE FROM auto_close_rule WHERE id = $1 AND version = $2", &[&rule.id, &rule.version])?;
    if gone != 1 {
        return Err(Error::Conflict(settings::CHANGED.to_owned()));
    }
    audited(tx, actor, "rule.delete", rule.id, serde_json::json!({ "name": rule.name }), now)
}

/// Ask that a rule is gone through now; `all` without the bound.
///
/// # Errors
/// [`Error::Conflict`] with [`settings::CHANGED`] where the rule was changed meanwhile.
pub fn ask(tx: &mut Transaction<'_>, actor: &str, rule: &Rule, all: bool, now: Timestamp) -> Result<()> {
    let asked = tx.execute(
        "UPDATE auto_close_rule SET asked_by = $3, asked_all = $4 WHERE id = $1 AND version = $2",
        &[&rule.id, &rule.version, &actor, &all],
    )?;
    if asked != 1 {
        return Err(Error::Conflict(settings::CHANGED.to_owned()));
    }
    audited(tx, actor, "rule.run", rule.id, serde_json::json!({ "all": all }), now)
}

/// Rules that nobody has seen yet wait for their hour from now on.
///
/// # Errors
/// See [`Error`].
pub fn first_seen(tx: &mut Transaction<'_>, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE auto_close_rule SET ran_at = $1 WHERE ran_at IS NULL", &[&now]).map(|_| ())
}

/// Write down that a rule was gone through, and forget who asked for it.
///
/// # Errors
/// See [`Error`].
pub fn ran(tx: &mut Transaction<'_>, rule: &Rule, now: Timestamp) -> Result<()> {
    // Who asked meanwhile is heard at the next look.
    tx.execute(
        "UPDATE auto_close_rule SET ran_at = $3, asked_by = NULL, asked_all = $4
         WHERE id = $1 AND version = $2 AND coalesce(asked_by, '') = $5 AND asked_all = $6",
        &[&rule.id, &rule.version, &now, &false, &rule.asked_by.clone().unwrap_or_default(), &rule.asked_all],
    )?;
    tx.execute("DELETE FROM auto_close_run WHERE at < $1", &[&now.plus_seconds(-KEPT_DAYS * DAY)]).map(|_| ())
}

record! {
    /// An integration instance that rules look at: one of an active scanner that is not switched off.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Looked {
        /// Key.
        pub id: InstanceId,
        /// Its name.
        pub name: String,
        /// What its imports of detections cover.
        pub until: Option<Timestamp>,
        /// Its open items.
        pub open: i64,
        /// Items that rules closed within the last day.
        pub closed: i64,
    }
}

/// The instances that rules look at.
///
/// # Errors
/// See [`Error`].
pub fn instances(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<Looked>> {
    tx.all(
        "SELECT n.id, n.name, n.host_detection_until AS until,
             (SELECT count(*) FROM vulnerable_item i WHERE i.instance_id = n.id AND i.state <> 'closed') AS open,
             CAST(coalesce((SELECT sum(r.closed) FROM auto_close_run r WHERE r.instance_id = n.id AND r.at > $1), 0) AS BIGINT)
                 AS closed
         FROM integration_instance n JOIN scanner s ON s.product = n.product AND s.active = $2
         WHERE n.disabled = $3 ORDER BY n.id",
        &[&now.plus_seconds(-DAY), &true, &false],
    )
}

/// Items `i` that a rule closes: all their open detections are old. What a report woke is left alone for the days of the rule.
fn matching(rule: &Rule, instance: InstanceId, bound: Timestamp, now: Timestamp) -> Result<Sql> {
    let old = || match rule.kind {
        Kind::UnseenInFull => Sql::new("(d.unseen >= ").bind(&rule.days).text(")"),
        kind => {
            let seen = if kind == Kind::AssetLastScanned { "(h.last_scan_at < " } else { "(d.last_found_at < " };
            let woken = " AND NOT EXISTS (SELECT 1 FROM detection_history g
                  WHERE g.detection_id = d.id AND g.before = 'stale' AND g.at >= ";
            Sql::new(seen).bind(&bound).text(woken).bind(&bound).text("))")
        }
    };
    let open = "EXISTS (SELECT 1 FROM detection d JOIN source_host h ON h.id = d.source_host_id
         WHERE d.item_id = i.id AND d.status NOT IN ('fixed', 'stale') AND d.excluded_by IS NULL AND ";
    let condition = filter::parse(&rule.condition, &FIELDS)
        .map_err(|error| Error::failed(format!("could not read the condition of the rule {}", rule.id), error))?;
    let condition = crate::filter::compile(&condition, &FIELDS, ITEMS.columns, &Context::at(now))?;
    let deferred = if rule.ignore_deferred { ", 'deferred'" } else { "" };
    Ok(Sql::new(" FROM ")
        .text(ITEMS.from)
        .text(" WHERE i.instance_id = ")
        .bind(&instance)
        .text(" AND i.state NOT IN ('closed', 'in_review'")
        .text(deferred)
        .text(") AND ")
        .text(open)
        .append(old())
        .text(") AND NOT ")
        .text(open)
        .append(old())
        .text(" IS NOT TRUE) AND (")
        .append(condition)
        .text(")"))
}

/// How many items of an instance a rule would close.
///
/// # Errors
/// See [`Error`].
pub fn matched(
    tx: &mut Transaction<'_>,
    rule: &Rule,
    instance: InstanceId,
    bound: Timestamp,
    now: Timestamp,
) -> Result<i64> {
    let sql = Sql::new("SELECT count(*)").append(matching(rule, instance, bound, now)?);
    let found: Vec<(i64,)> = tx.all_built(&sql)?;
    Ok(found.first().map_or(0, |(count,)| *count))
}

/// What is written down of a run before it begins.
#[derive(Clone, Debug)]
pub struct NewRun<'r> {
    /// The instance.
    pub instance: InstanceId,
    /// `engine/stale`, or who asked for it.
    pub author: &'r str,
    /// Items that the rule would close.
    pub matched: i64,
    /// Why it closes none: a code and a sentence.
    pub held: Option<(&'r str, &'r str)>,
}

/// Write down a run; gives its key.
///
/// # Errors
/// See [`Error`].
pub fn begin(tx: &mut Transaction<'_>, rule: &Rule, run: &NewRun<'_>, now: Timestamp) -> Result<i64> {
    let (held, reason) = run.held.unwrap_or_default();
    tx.insert(
        "INSERT INTO auto_close_run (rule_id, instance_id, at, author, matched, closed, held, held_reason)
         VALUES ($1, $2, $3, $4, $5, 0, $6, $7) RETURNING id",
        &[&rule.id, &run.instance, &now, &run.author, &run.matched, &held, &reason],
    )
}

/// Close a portion of what a rule matches after this key, and give the last key: none where nothing is left, or the rule is no longer
/// the one that was begun with.
///
/// # Errors
/// See [`Error`].
pub fn close(
    tx: &mut Transaction<'_>,
    rule: &Rule,
    (run, instance, author): (i64, InstanceId, &str),
    bound: Timestamp,
    after: ItemId,
    now: Timestamp,
) -> Result<Option<ItemId>> {
    if self::rule(tx, rule.id).ok().is_none_or(|known| known.version != rule.version) {
        return Ok(None);
    }
    let sql = Sql::new("SELECT i.id").append(matching(rule, instance, bound, now)?);
    let sql = sql.text(" AND i.id > ").bind(&after).text(" ORDER BY i.id LIMIT ").bind(&PORTION);
    let keys: Vec<(i64,)> = tx.all_built(&sql)?;
    let keys: Vec<i64> = keys.into_iter().map(|(key,)| key).collect();
    let Some(last) = keys.last().copied() else { return Ok(None) };
    tx.execute(
        "INSERT INTO detection_history (detection_id, at, before, after, run_id)
         SELECT id, $2, status, 'stale', 0 FROM detection
         WHERE item_id {in $1} AND status NOT IN ('fixed', 'stale') AND excluded_by IS NULL",
        &[&keys, &now],
    )?;
    tx.execute(
        "UPDATE detection SET status = 'stale', digest = $2
         WHERE item_id {in $1} AND status NOT IN ('fixed', 'stale') AND excluded_by IS NULL",
        &[&keys, &Vec::<u8>::new()],
    )?;
    let closed = roll_up(tx, rule, &keys, now)?;
    tx.execute("UPDATE auto_close_run SET closed = closed + $2 WHERE id = $1", &[&run, &closed])?;
    let detail = serde_json::json!({ "rule": rule.name, "kind": rule.kind, "days": rule.days, "items": closed });
    audited(tx, author, "rule.close", rule.id, detail, now)?;
    Ok(Some(ItemId(last)))
}

fn roll_up(tx: &mut Transaction<'_>, rule: &Rule, keys: &[i64], now: Timestamp) -> Result<i64> {
    let rows: Vec<LifeOf> = tx.all(
        "SELECT id, state, substate, resolved_at, reopened, granted_what, granted_until_at FROM vulnerable_item
         WHERE id {in $1} ORDER BY id",
        &[&keys],
    )?;
    let seen = sightings(tx, keys)?;
    let change = |row: &LifeOf| {
        let before = row.workflow();
        let seen = seen.get(&row.id).copied().unwrap_or(Sightings::NOTHING);
        Change { item: row.id, before, after: item::roll_up(before, seen, now) }
    };
    let changes: Vec<Change> = rows.iter().map(change).collect();
    apply(tx, &changes, &Cause::Rule(rule.name.clone()), &format!("rule {}", rule.name), now)?;
    let closed: Vec<i64> =
        changes.iter().filter(|change| change.after.state == State::Closed).map(|change| change.item.0).collect();
    overtaken(tx, &closed, &rule.name, now)?;
    Ok(i64::try_from(closed.len()).unwrap_or(i64::MAX))
}

/// How many items a run has closed.
///
/// # Errors
/// See [`Error`].
pub fn closed_by(tx: &mut Transaction<'_>, run: i64) -> Result<i64> {
    tx.scalar("SELECT closed FROM auto_close_run WHERE id = $1", &[&run])
}

record! {
    /// What a rule did to an instance.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RunRow {
        /// The rule.
        pub rule_id: i64,
        /// The instance's name.
        pub instance: String,
        /// When.
        pub at: Timestamp,
        /// `engine/stale`, or who asked for it.
        pub author: String,
        /// Items that the rule would close.
        pub matched: i64,
        /// Items that it closed.
        pub closed: i64,
        /// Why none; empty where nothing held it.
        pub held: String,
        /// The same as a sentence.
        pub held_reason: String,
    }
}

/// What every rule did to every instance the last time.
///
/// # Errors
/// See [`Error`].
pub fn last_runs(tx: &mut Transaction<'_>) -> Result<Vec<RunRow>> {
    tx.all(
        "SELECT r.rule_id, n.name AS instance, r.at, r.author, r.matched, r.closed, r.held, r.held_reason
         FROM auto_close_run r JOIN integration_instance n ON n.id = r.instance_id
         WHERE r.id IN (SELECT max(l.id) FROM auto_close_run l GROUP BY l.rule_id, l.instance_id)
         ORDER BY r.rule_id, n.name",
        &[],
    )
}
