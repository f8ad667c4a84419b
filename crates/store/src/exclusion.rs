//! What nobody has to work on: the rules, the settings beside them, and going through what is known after a change.
//!
//! [`domain::exclusion`] decides about one detection. Imports ask it for rows that are new or changed; a pass asks it for all of
//! them, in portions, each in a transaction of its own.

mod facts;
mod pass;

use crate::audit::{self, Entry};
use crate::filter::{Column, compile};
use crate::list::{List, Sort};
use crate::settings::{self as kept, Setting};
use crate::{Error, Result, Sql, Transaction, record};
use domain::exclusion::{FIELDS, Policy, Rule};
use domain::filter::{Context, Filter, parse};
use domain::id::{DetectionId, ExclusionRuleId, InstanceId};
use domain::time::Timestamp;
pub(crate) use facts::{Place, facts};
use pass::begin;
pub use pass::{LOOKED_MAX, PassRow, last, running, step};
use serde::{Deserialize, Serialize};

/// The name of the settings beside the rules.
pub const KEY: &str = "exclusion";

/// The name in [`Error::Conflict`] where somebody else changed the rule first.
pub const CHANGED: &str = "version";

/// What is set beside the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Items close where all that is open of them is excluded; else they stay as they are.
    pub close_items: bool,
    /// Instances of which only what is confirmed counts.
    pub confirmed_only: Vec<InstanceId>,
}

/// How sure the scanner is, as [`domain::exclusion::certainty`] has it.
const KIND: &str = "CASE WHEN d.kind IN ('confirmed', 'potential') THEN d.kind
                         WHEN v.kind = 'potential' THEN 'potential' ELSE 'confirmed' END";

/// Detections as rules see them.
pub const LIST: List = List {
    name: "excluded-detections",
    select:
        "d.id, v.qid, v.title, a.id AS asset_id, a.name AS asset, n.name AS instance, h.ip, d.port, d.protocol, d.kind,
        d.severity, d.status, d.last_found_at, (SELECT i.number FROM vulnerable_item i WHERE i.id = d.item_id) AS item",
    from: FROM,
    key: "d.id",
    fields: &FIELDS,
    columns: &[
        Column::one("qid", "v.qid"),
        Column::one("title", "nullif(v.title, '')"),
        Column::one("category", "nullif(v.category, '')"),
        Column::one("kind", KIND),
        Column::one("severity", "d.severity"),
        Column::one("port", "d.port"),
        Column::one("protocol", "nullif(d.protocol, '')"),
        Column::one("os", "nullif(h.os, '')"),
        Column::one("ip", "nullif(h.ip, '')"),
        Column::one("network", "nullif(h.network_id, '')"),
        Column::one("asset", "nullif(a.name, '')"),
        Column::many("tag", "asset_tag t WHERE t.asset_id = h.asset_id", "t.tag"),
        Column::one("instance", "nullif(n.name, '')"),
    ],
    sorts: &[Sort::whole("qid", "v.qid"), Sort::text("asset", "a.name")],
};

const FROM: &str = "detection d
    JOIN vulnerability v ON v.id = d.vulnerability_id
    JOIN source_host h ON h.id = d.source_host_id
    JOIN asset a ON a.id = h.asset_id
    JOIN integration_instance n ON n.id = d.instance_id";

/// What is a weakness, as imports see it.
const WEAK: &str = "d.kind <> 'info' AND (d.kind IN ('confirmed', 'potential') OR v.kind <> 'information')";

record! {
    /// A detection that a rule excludes.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ExcludedRow {
        /// Key.
        pub id: DetectionId,
        /// The scanner's number of the vulnerability.
        pub qid: i64,
        /// Its title.
        pub title: String,
        /// Key of the asset.
        pub asset_id: i64,
        /// Its name.
        pub asset: String,
        /// The integration instance.
        pub instance: String,
        /// Address of the host.
        pub ip: String,
        /// Port; 0 for none.
        pub port: i64,
        /// Protocol.
        pub protocol: String,
        /// How sure the scanner is, in its own word.
        pub kind: String,
        /// Severity.
        pub severity: i64,
        /// Status.
        pub status: String,
        /// Latest sighting.
        pub last_found_at: Option<Timestamp>,
        /// Ordinal of the item it belongs to; none where it makes none.
        pub item: Option<i64>,
    }
}

/// The condition that clips [`LIST`] to what this rule excludes; 0 for confirmed only.
#[must_use]
pub fn of_rule(rule: i64) -> Option<Sql> {
    Some(Sql::new("d.excluded_by = ").bind(&rule))
}

/// The condition that clips [`LIST`] to weaknesses.
#[must_use]
pub fn weak() -> Option<Sql> {
    Some(Sql::new(WEAK))
}

record! {
    /// A rule.
    #[derive(Clone, Debug, PartialEq)]
    pub struct RuleRow {
        /// Key.
        pub id: ExclusionRuleId,
        /// Name.
        pub name: String,
        /// It is in force.
        pub active: bool,
        /// Its place, from 1.
        pub position: i64,
        /// What it excludes, in the query language.
        pub condition: String,
        /// Counts the changes.
        pub version: i64,
        /// Last changed.
        pub updated_at: Timestamp,
        /// Detections that it excludes.
        pub excluded: i64,
    }
}

/// Every rule, in order.
///
/// # Errors
/// See [`Error`].
pub fn rules(tx: &mut Transaction<'_>) -> Result<Vec<RuleRow>> {
    tx.all(
        "SELECT r.id, r.name, r.active, r.position, r.condition, r.version, r.updated_at,
             (SELECT count(*) FROM detection d WHERE d.excluded_by = r.id) AS excluded
         FROM exclusion_rule r ORDER BY r.position, r.id",
        &[],
    )
}

/// One rule.
///
/// # Errors
/// [`Error::NotFound`] for an unknown key.
pub fn rule(tx: &mut Transaction<'_>, id: ExclusionRuleId) -> Result<RuleRow> {
    rules(tx)?.into_iter().find(|rule| rule.id == id).ok_or(Error::NotFound)
}

/// How many detections are excluded because their instance counts confirmed ones only.
///
/// # Errors
/// See [`Error`].
pub fn by_confirmed_only(tx: &mut Transaction<'_>) -> Result<i64> {
    tx.scalar("SELECT count(*) FROM detection WHERE excluded_by = 0", &[])
}

/// What is in force. A condition that this program does not understand any more excludes nothing.
///
/// # Errors
/// See [`Error`].
pub fn policy(tx: &mut Transaction<'_>) -> Result<Policy> {
    let rules: Vec<(ExclusionRuleId, String)> =
        tx.all("SELECT id, condition FROM exclusion_rule WHERE active ORDER BY position, id", &[])?;
    let rule = |(id, text): (ExclusionRuleId, String)| {
        parse(&text, &FIELDS).ok().filter(|one| *one != Filter::Everything).map(|condition| Rule { id, condition })
    };
    let confirmed_only = settings(tx)?.value.confirmed_only.into_iter().collect();
    Ok(Policy { rules: rules.into_iter().filter_map(rule).collect(), confirmed_only })
}

/// The settings beside the rules; version 0 where nobody set them.
///
/// # Errors
/// See [`Error`].
pub fn settings(tx: &mut Transaction<'_>) -> Result<Setting<Settings>> {
    Ok(kept::get(tx, KEY)?.unwrap_or(Setting { value: Settings::default(), version: 0 }))
}

/// Set what stands beside the rules, and go through what is known.
///
/// # Errors
/// [`Error::Conflict`] with [`kept::CHANGED`] where somebody else was faster.
pub fn set(tx: &mut Transaction<'_>, actor: &str, value: &Settings, seen: Option<i64>, now: Timestamp) -> Result<i64> {
    let version = kept::put(tx, actor, KEY, value, seen, now)?;
    begin(tx, actor, now)?;
    Ok(version)
}

/// What a person says of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Name.
    pub name: String,
    /// In force.
    pub active: bool,
    /// Its place, from 1; one behind the last is the last.
    pub position: i64,
    /// What it excludes.
    pub condition: String,
}

impl Wanted {
    fn detail(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name, "active": self.active, "position": self.position, "condition": self.condition,
        })
    }
}

fn resource(id: ExclusionRuleId) -> String {
    format!("exclusion-rules/{id}")
}

/// Make a rule, and go through what is known.
///
/// # Errors
/// [`Error::Conflict`] with `exclusion_rule_name` where the name is taken.
pub fn create(tx: &mut Transaction<'_>, actor: &str, wanted: &Wanted, now: Timestamp) -> Result<ExclusionRuleId> {
    let id: ExclusionRuleId = tx.insert(
        "INSERT INTO exclusion_rule (name, active, position, condition, version, updated_at)
         VALUES ($1, $2, 0, $3, 1, $4) RETURNING id",
        &[&wanted.name, &wanted.active, &wanted.condition, &now],
    )?;
    place(tx, id, wanted.position)?;
    let (action, resource, detail) = ("exclusion_rule.create", resource(id), wanted.detail());
    audit::append(tx, &Entry { at: now, actor, action, resource: &resource, detail })?;
    begin(tx, actor, now)?;
    Ok(id)
}

/// Change a rule of this version, and go through what is known.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Conflict`] with [`CHANGED`] where it was changed meanwhile, with `exclusion_rule_name` where the
/// name is taken.
pub fn update(
    tx: &mut Transaction<'_>,
    actor: &str,
    id: ExclusionRuleId,
    version: i64,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<()> {
    let changed = tx.execute(
        "UPDATE exclusion_rule SET name = $3, active = $4, condition = $5, version = version + 1, updated_at = $6
         WHERE id = $1 AND version = $2",
        &[&id, &version, &wanted.name, &wanted.active, &wanted.condition, &now],
    )?;
    missed(tx, id, changed)?;
    place(tx, id, wanted.position)?;
    let (action, resource, detail) = ("exclusion_rule.update", resource(id), wanted.detail());
    audit::append(tx, &Entry { at: now, actor, action, resource: &resource, detail })?;
    begin(tx, actor, now)
}

/// Delete a rule of this version, and go through what is known.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Conflict`] with [`CHANGED`] where it was changed meanwhile.
pub fn delete(tx: &mut Transaction<'_>, actor: &str, id: ExclusionRuleId, version: i64, now: Timestamp) -> Result<()> {
    let gone = tx.execute("DELETE FROM exclusion_rule WHERE id = $1 AND version = $2", &[&id, &version])?;
    missed(tx, id, gone)?;
    let order: Vec<(ExclusionRuleId,)> = tx.all("SELECT id FROM exclusion_rule ORDER BY position, id", &[])?;
    renumber(tx, &order.into_iter().map(|(id,)| id).collect::<Vec<_>>())?;
    let (action, resource, detail) = ("exclusion_rule.delete", resource(id), serde_json::json!({}));
    audit::append(tx, &Entry { at: now, actor, action, resource: &resource, detail })?;
    begin(tx, actor, now)
}

fn missed(tx: &mut Transaction<'_>, id: ExclusionRuleId, changed: u64) -> Result<()> {
    if changed > 0 {
        return Ok(());
    }
    let there: i64 = tx.scalar("SELECT count(*) FROM exclusion_rule WHERE id = $1", &[&id])?;
    Err(if there > 0 { Error::Conflict(CHANGED.to_owned()) } else { Error::NotFound })
}

/// Put a rule at a place, the others close up.
fn place(tx: &mut Transaction<'_>, id: ExclusionRuleId, position: i64) -> Result<()> {
    let others: Vec<(ExclusionRuleId,)> =
        tx.all("SELECT id FROM exclusion_rule WHERE id <> $1 ORDER BY position, id", &[&id])?;
    let mut order: Vec<ExclusionRuleId> = others.into_iter().map(|(id,)| id).collect();
    let at = usize::try_from(position.max(1) - 1).unwrap_or(usize::MAX).min(order.len());
    order.insert(at, id);
    renumber(tx, &order)
}

/// At most [`domain::exclusion::RULES_MAX`] of them.
fn renumber(tx: &mut Transaction<'_>, order: &[ExclusionRuleId]) -> Result<()> {
    for (position, id) in (1_i64..).zip(order) {
        tx.execute("UPDATE exclusion_rule SET position = $2 WHERE id = $1 AND position <> $2", &[id, &position])?;
    }
    Ok(())
}

/// Go through what is known again because a person asked for it.
///
/// # Errors
/// See [`Error`].
pub fn begin_by(tx: &mut Transaction<'_>, actor: &str, now: Timestamp) -> Result<()> {
    let (action, resource, detail) = ("exclusion.apply", "exclusion", serde_json::json!({}));
    audit::append(tx, &Entry { at: now, actor, action, resource, detail })?;
    begin(tx, actor, now)
}

/// What a condition is about, among all that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    /// Weaknesses that it holds for.
    pub detections: i64,
    /// Of these: not gone.
    pub open: i64,
    /// Items that are not closed and have nothing open but such.
    pub items: i64,
    /// All items that are not closed.
    pub items_open: i64,
}

/// Count what a condition holds for.
///
/// # Errors
/// See [`Error`].
pub fn impact(tx: &mut Transaction<'_>, condition: &Filter) -> Result<Impact> {
    let context = Context::at(Timestamp::default());
    let holds = || compile(condition, &FIELDS, LIST.columns, &context);
    let found = |open: &'static str| -> Result<Sql> {
        let sql = Sql::new("SELECT count(*) FROM ").text(FROM).text(" WHERE ").text(WEAK).text(open).text(" AND ");
        Ok(sql.append(holds()?))
    };
    let detections: i64 = tx.scalar_built(&found("")?)?;
    let open: i64 = tx.scalar_built(&found(" AND d.status NOT IN ('fixed', 'stale')")?)?;
    let of_item = || Sql::new("SELECT 1 FROM ").text(FROM).text(" WHERE d.item_id = i.id AND ");
    let still = "d.status NOT IN ('fixed', 'stale') AND ";
    let sql = Sql::new("SELECT count(*) FROM vulnerable_item i WHERE i.state <> 'closed' AND EXISTS (")
        .append(of_item().text(still).append(holds()?))
        .text(") AND NOT EXISTS (")
        .append(of_item().text(still).text("(").append(holds()?).text(") IS NOT TRUE"))
        .text(")");
    let items: i64 = tx.scalar_built(&sql)?;
    let items_open: i64 = tx.scalar("SELECT count(*) FROM vulnerable_item WHERE state <> 'closed'", &[])?;
    Ok(Impact { detections, open, items, items_open })
}

/// What going through all that is known would change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Weaknesses that would be excluded and are not.
    pub excluded: i64,
    /// Weaknesses that would not be excluded any more.
    pub included: i64,
    /// Items that are not closed and would have nothing open but what is excluded.
    pub items: i64,
    /// All items that are not closed.
    pub items_open: i64,
}

/// Count what a pass would change, and change nothing.
///
/// # Errors
/// See [`Error`].
pub fn pending(tx: &mut Transaction<'_>) -> Result<Pending> {
    let policy = policy(tx)?;
    let context = Context::at(Timestamp::default());
    let all = everything(tx, &policy)?;
    let Some(all) = all else {
        let included: i64 = tx.scalar("SELECT count(*) FROM detection WHERE excluded_by IS NOT NULL", &[])?;
        let items_open: i64 = tx.scalar("SELECT count(*) FROM vulnerable_item WHERE state <> 'closed'", &[])?;
        return Ok(Pending { excluded: 0, included, items: 0, items_open });
    };
    let found = impact(tx, &all)?;
    let holds = || compile(&all, &FIELDS, LIST.columns, &context);
    let count = || Sql::new("SELECT count(*) FROM ").text(FROM).text(" WHERE ");
    let excluded: i64 =
        tx.scalar_built(&count().text(WEAK).text(" AND d.excluded_by IS NULL AND ").append(holds()?))?;
    let sql = count().text("d.excluded_by IS NOT NULL AND ((").text(WEAK).text(") IS NOT TRUE OR (");
    let included: i64 = tx.scalar_built(&sql.append(holds()?).text(") IS NOT TRUE)"))?;
    Ok(Pending { excluded, included, items: found.items, items_open: found.items_open })
}

/// All that is in force as one condition; `None` where nothing is.
fn everything(tx: &mut Transaction<'_>, policy: &Policy) -> Result<Option<Filter>> {
    let mut members: Vec<Filter> = policy.rules.iter().map(|rule| rule.condition.clone()).collect();
    let keys: Vec<i64> = policy.confirmed_only.iter().map(|id| id.0).collect();
    let names: Vec<(String,)> =
        tx.all("SELECT name FROM integration_instance WHERE id {in $1} ORDER BY name", &[&keys])?;
    members.extend(names.into_iter().map(|(name,)| domain::exclusion::potential_of(&name)));
    Ok((!members.is_empty()).then(|| Filter::or(members)))
}
