//! Going through all detections after what is excluded was changed.
//!
//! A portion is one transaction: it looks at the detections behind the pass's cursor, writes those whose judgement changed, makes
//! items for what is not excluded any more, rolls the rest up, and moves the cursor. So it goes on where it was after a crash, and
//! an import beside it loses nothing: what it writes it judges by the same rules.

use super::{Place, facts, policy};
use crate::imports::Counters;
use crate::items::{self, Followed, Observed, Origin};
use crate::{Result, Transaction, record, stage};
use domain::exclusion::By;
use domain::id::{AssetId, DetectionId, InstanceId, ItemId, SourceHostId, VulnerabilityId};
use domain::item::why::Cause;
use domain::score::Source;
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Detections that one portion looks at.
pub const LOOKED_MAX: i64 = 5_000;
/// Passes that are kept.
const KEPT: i64 = 20;

record! {
    /// A pass.
    #[derive(Clone, Debug, PartialEq)]
    pub struct PassRow {
        /// Key.
        pub id: i64,
        /// `running`, `complete`, `superseded`.
        pub state: String,
        /// Who changed what is excluded.
        pub asked_by: String,
        /// When.
        pub asked_at: Timestamp,
        /// Key of the last detection that was looked at.
        pub cursor_key: i64,
        /// Detections that were looked at.
        pub looked: i64,
        /// Detections that are excluded since.
        pub excluded: i64,
        /// Detections that are not excluded any more.
        pub included: i64,
        /// Items made.
        pub items_made: i64,
        /// Items closed.
        pub items_closed: i64,
        /// Its end.
        pub ended_at: Option<Timestamp>,
    }
}

/// Begin a pass; one that is running has seen old rules and ends.
///
/// # Errors
/// See [`Error`](crate::Error).
pub(super) fn begin(tx: &mut Transaction<'_>, actor: &str, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE exclusion_pass SET state = 'superseded', ended_at = $1 WHERE state = 'running'", &[&now])?;
    tx.execute(
        "INSERT INTO exclusion_pass (state, asked_by, asked_at, cursor_key, looked, excluded, included, items_made, items_closed)
         VALUES ('running', $1, $2, 0, 0, 0, 0, 0, 0)",
        &[&actor, &now],
    )?;
    tx.execute(
        "DELETE FROM exclusion_pass WHERE id NOT IN (SELECT id FROM exclusion_pass ORDER BY id DESC LIMIT $1)",
        &[&KEPT],
    )?;
    Ok(())
}

const COLUMNS: &str =
    "SELECT id, state, asked_by, asked_at, cursor_key, looked, excluded, included, items_made, items_closed,
    ended_at FROM exclusion_pass ";

/// The latest pass.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn last(tx: &mut Transaction<'_>) -> Result<Option<PassRow>> {
    Ok(tx.all_built(&crate::Sql::new(COLUMNS).text("ORDER BY id DESC LIMIT 1"))?.into_iter().next())
}

/// The pass that is not at its end.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn running(tx: &mut Transaction<'_>) -> Result<Option<PassRow>> {
    Ok(tx.all_built(&crate::Sql::new(COLUMNS).text("WHERE state = 'running' ORDER BY id LIMIT 1"))?.into_iter().next())
}

record! {
    struct Row {
        id: DetectionId,
        instance_id: InstanceId,
        source_host_id: SourceHostId,
        vulnerability_id: VulnerabilityId,
        asset_id: AssetId,
        item_id: Option<ItemId>,
        kind: String,
        weakness: bool,
        severity: i64,
        port: i64,
        protocol: String,
        status: String,
        inherent: u8,
        score_source: Source,
        wanted: bool,
        last_found_at: Option<Timestamp>,
        excluded_by: Option<i64>,
    }
}

struct MarkRow {
    id: DetectionId,
    excluded_by: Option<i64>,
}
stage!(MarkRow as "detection_mark_batch" { id: DetectionId, excluded_by: Option<i64> });

struct JoinRow {
    id: DetectionId,
    item_id: ItemId,
}
stage!(JoinRow as "detection_join_batch" { id: DetectionId, item_id: ItemId });

/// Look at the next portion of the pass that is running; `false` where none is, or it is at its end now.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn step(tx: &mut Transaction<'_>, now: Timestamp) -> Result<bool> {
    let Some(pass) = running(tx)? else { return Ok(false) };
    let policy = policy(tx)?;
    // Without anything in force only what is excluded still has to be looked at.
    let some = !policy.rules.is_empty() || !policy.confirmed_only.is_empty();
    let rows: Vec<Row> = tx.all(
        "SELECT d.id, d.instance_id, d.source_host_id, d.vulnerability_id, h.asset_id, d.item_id, d.kind,
             (d.kind <> 'info' AND (d.kind IN ('confirmed', 'potential') OR v.kind <> 'information')) AS weakness,
             d.severity, d.port, d.protocol, d.status, d.inherent, d.score_source,
             (NOT d.ignored AND NOT d.disabled) AS wanted, d.last_found_at, d.excluded_by
         FROM detection d JOIN vulnerability v ON v.id = d.vulnerability_id JOIN source_host h ON h.id = d.source_host_id
         WHERE d.id > $1 AND ($2 OR d.excluded_by IS NOT NULL) ORDER BY d.id LIMIT $3",
        &[&pass.cursor_key, &some, &LOOKED_MAX],
    )?;
    let asked: Vec<_> = rows.iter().map(|row| (row.vulnerability_id, row.source_host_id)).collect();
    let facts = facts(tx, &asked)?;
    let judged: Vec<Option<i64>> = rows
        .iter()
        .map(|row| {
            let place = Place {
                instance: row.instance_id,
                vulnerability: row.vulnerability_id,
                host: row.source_host_id,
                kind: &row.kind,
                severity: row.severity,
                port: row.port,
                protocol: &row.protocol,
            };
            if row.weakness { facts.judge(&policy, &place).map(By::stored) } else { None }
        })
        .collect();
    let marks: Vec<MarkRow> = rows
        .iter()
        .zip(&judged)
        .filter(|(row, judged)| row.excluded_by != **judged)
        .map(|(row, judged)| MarkRow { id: row.id, excluded_by: *judged })
        .collect();
    if !marks.is_empty() {
        tx.stage(&marks)?;
        tx.execute(
            "UPDATE detection SET excluded_by = b.excluded_by FROM detection_mark_batch b WHERE detection.id = b.id",
            &[],
        )?;
    }
    let flipped = |to: bool| {
        let is = |(row, judged): &(&Row, &Option<i64>)| row.excluded_by.is_some() != to && judged.is_some() == to;
        i64::try_from(rows.iter().zip(&judged).filter(is).count()).unwrap_or(i64::MAX)
    };
    let (excluded, included) = (flipped(true), flipped(false));
    let (made, closed) = follow_up(tx, &rows, &judged, now)?;
    let end = i64::try_from(rows.len()).unwrap_or(0) < LOOKED_MAX;
    tx.execute(
        "UPDATE exclusion_pass SET cursor_key = $2, looked = looked + $3, excluded = excluded + $4, included = included + $5,
             items_made = items_made + $6, items_closed = items_closed + $7,
             state = CASE WHEN $8 THEN 'complete' ELSE state END, ended_at = $9
         WHERE id = $1",
        &[
            &pass.id,
            &rows.last().map_or(pass.cursor_key, |row| row.id.0),
            &i64::try_from(rows.len()).unwrap_or(i64::MAX),
            &excluded,
            &included,
            &made,
            &closed,
            &end,
            &end.then_some(now),
        ],
    )?;
    Ok(!end)
}

/// Items of what is not excluded any more, and the states of those with something that is or was; gives how many were made and
/// closed.
fn follow_up(tx: &mut Transaction<'_>, rows: &[Row], judged: &[Option<i64>], now: Timestamp) -> Result<(i64, i64)> {
    let mut freed: BTreeMap<InstanceId, Vec<&Row>> = BTreeMap::new();
    let mut touched: BTreeMap<InstanceId, BTreeSet<ItemId>> = BTreeMap::new();
    for (row, judged) in rows.iter().zip(judged) {
        if row.weakness && row.item_id.is_none() && judged.is_none() && row.excluded_by.is_some() {
            freed.entry(row.instance_id).or_default().push(row);
        }
        if let (Some(item), true) = (row.item_id, judged.is_some() || row.excluded_by.is_some()) {
            touched.entry(row.instance_id).or_default().insert(item);
        }
    }
    let mut counters = Counters::default();
    let (mut all_new, mut all_changed) = (Vec::new(), Vec::new());
    let instances: BTreeSet<InstanceId> = freed.keys().chain(touched.keys()).copied().collect();
    for instance in instances {
        let origin =
            Origin { instance, run: None, cause: Cause::Exclusion, by: "a change of what is excluded".to_owned() };
        let freed = freed.remove(&instance).unwrap_or_default();
        let observed: Vec<Observed> = freed.iter().map(|row| observed(row)).collect();
        let made = items::ensure(tx, &origin, &observed, now, &mut counters)?;
        let joined: Vec<JoinRow> = freed
            .iter()
            .filter_map(|row| Some(JoinRow { id: row.id, item_id: made.find(row.vulnerability_id, row.asset_id)? }))
            .collect();
        if !joined.is_empty() {
            tx.stage(&joined)?;
            tx.execute(
                "UPDATE detection SET item_id = b.item_id FROM detection_join_batch b WHERE detection.id = b.id",
                &[],
            )?;
        }
        let mut items = touched.remove(&instance).unwrap_or_default();
        items.extend(joined.iter().map(|row| row.item_id));
        let items: Vec<ItemId> = items.into_iter().filter(|item| !made.is_new(*item)).collect();
        all_changed.extend(items::roll_up(tx, &origin, &items, now, &mut counters)?);
        all_new.extend(made.new_items());
    }
    let by = "a change of what is excluded";
    items::follow(tx, &Followed { new: &all_new, changed: &all_changed, by }, now)?;
    let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Ok((whole(counters.items.new), whole(counters.items.closed)))
}

fn observed(row: &Row) -> Observed {
    Observed {
        vulnerability: row.vulnerability_id,
        asset: row.asset_id,
        status: row.status.clone(),
        wanted: row.wanted,
        inherent: row.inherent,
        source: row.score_source,
        last_found_at: row.last_found_at,
    }
}
