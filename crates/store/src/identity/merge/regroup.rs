//! Items brought in line with where the hosts of their detections are.

use super::{Pair, keys};
use crate::imports::Counters;
use crate::items::{self, Change, Followed, HistoryRow, LifeOf, Observed, Origin};
use crate::{Result, Transaction, record, scores, stage};
use domain::id::{AssetId, InstanceId, ItemId, SourceHostId, VulnerabilityId};
use domain::item::why::Cause;
use domain::item::{self, State, Substate, Workflow};
use domain::number::{Number, Series};
use domain::score::Source;
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

record! {
    struct Loose {
        id: i64,
        vulnerability_id: VulnerabilityId,
        instance_id: InstanceId,
        item_id: ItemId,
        status: String,
        inherent: u8,
        score_source: Source,
        last_found_at: Option<Timestamp>,
    }
}

struct JoinRow {
    id: i64,
    item_id: ItemId,
}
stage!(JoinRow as "detection_moved_batch" { id: i64, item_id: ItemId });

/// Bring items in line with where the hosts of their detections are now; gives the memberships that were handed over.
pub(super) fn regroup(
    tx: &mut Transaction<'_>,
    actor: &str,
    pairs: &[Pair],
    hosts: &[SourceHostId],
    into: AssetId,
    now: Timestamp,
) -> Result<Vec<(i64, ItemId, ItemId)>> {
    let along: Vec<i64> =
        pairs.iter().filter(|pair| pair.meets.is_none() && !pair.stays).map(|pair| pair.item.0).collect();
    tx.execute("UPDATE vulnerable_item SET asset_id = $2, updated_at = $3 WHERE id {in $1}", &[&along, &into, &now])?;
    let by: BTreeMap<ItemId, &Pair> = pairs.iter().map(|pair| (pair.item, pair)).collect();
    let apart: Vec<i64> =
        pairs.iter().filter(|pair| pair.meets.is_some() || pair.stays).map(|pair| pair.item.0).collect();
    let loose: Vec<Loose> = tx.all(
        "SELECT d.id, d.vulnerability_id, d.instance_id, d.item_id, d.status, d.inherent, d.score_source, d.last_found_at
         FROM detection d WHERE d.item_id {in $1} AND d.source_host_id {in $2} ORDER BY d.id",
        &[&apart, &keys(hosts)],
    )?;
    let mut touched: BTreeMap<InstanceId, BTreeSet<ItemId>> = BTreeMap::new();
    let (mut joined, mut parted): (Vec<JoinRow>, BTreeMap<InstanceId, Vec<&Loose>>) = (Vec::new(), BTreeMap::new());
    for row in &loose {
        let pair = by.get(&row.item_id).copied();
        match pair.and_then(|pair| pair.meets) {
            Some(meets) => joined.push(JoinRow { id: row.id, item_id: meets }),
            None => parted.entry(row.instance_id).or_default().push(row),
        }
    }
    let mut new: Vec<ItemId> = Vec::new();
    for (instance, rows) in parted {
        let observed: Vec<Observed> = rows
            .iter()
            .map(|row| Observed {
                vulnerability: row.vulnerability_id,
                asset: into,
                status: row.status.clone(),
                wanted: true,
                inherent: row.inherent,
                source: row.score_source,
                last_found_at: row.last_found_at,
            })
            .collect();
        let made = items::ensure(tx, &origin(instance, actor), &observed, now, &mut Counters::default())?;
        new.extend(made.new_items());
        // What is gone on this host alone stays with the item that knew it as open.
        joined.extend(
            rows.iter().filter_map(|row| Some(JoinRow { id: row.id, item_id: made.find(row.vulnerability_id, into)? })),
        );
    }
    if !joined.is_empty() {
        tx.stage(&joined)?;
        tx.execute(
            "UPDATE detection SET item_id = b.item_id FROM detection_moved_batch b WHERE detection.id = b.id",
            &[],
        )?;
    }
    let mut empty: Vec<(ItemId, ItemId)> = Vec::new();
    for pair in pairs {
        let rolled = touched.entry(pair.instance_id).or_default();
        match (pair.meets, pair.stays) {
            (Some(meets), false) => {
                rolled.insert(meets);
                empty.push((pair.item, meets));
            }
            (meets, _) => rolled.extend([Some(pair.item), meets].into_iter().flatten()),
        }
    }
    let requests = items::hand_over(tx, &empty)?;
    adopt(tx, actor, &empty, now)?;
    close(tx, actor, &empty, now)?;
    say(tx, actor, pairs, into, now)?;
    let mut changed: Vec<ItemId> = along.iter().copied().map(ItemId).collect();
    for (instance, items) in touched {
        let items: Vec<ItemId> = items.into_iter().filter(|item| !new.contains(item)).collect();
        changed.extend(items::roll_up(tx, &origin(instance, actor), &items, now, &mut Counters::default())?);
    }
    changed.extend(empty.iter().map(|(item, _)| *item));
    items::follow(tx, &Followed { new: &new, changed: &changed, by: actor }, now)?;
    let controlled = scores::on_controlled_assets(tx, &changed)?;
    scores::recompute(tx, &controlled, actor, now)?;
    Ok(requests)
}

fn origin(instance: InstanceId, actor: &str) -> Origin {
    Origin { instance, run: None, cause: Cause::author(actor), by: actor.to_owned() }
}

/// What was asked or granted for an item that is left counts for the one it joined.
fn adopt(tx: &mut Transaction<'_>, actor: &str, empty: &[(ItemId, ItemId)], now: Timestamp) -> Result<()> {
    let keys: Vec<i64> = empty.iter().flat_map(|(item, meets)| [item.0, meets.0]).collect();
    let lives: BTreeMap<ItemId, LifeOf> = lives(tx, &keys)?.into_iter().map(|life| (life.id, life)).collect();
    let changes: Vec<Change> = empty
        .iter()
        .filter_map(|(item, meets)| {
            let (other, before) = (lives.get(item)?.workflow(), lives.get(meets)?.workflow());
            Some(Change { item: *meets, before, after: item::joined(before, other) })
        })
        .collect();
    items::apply(tx, &changes, &Cause::author(actor), actor, now)
}

/// Close what is left without a detection.
fn close(tx: &mut Transaction<'_>, actor: &str, empty: &[(ItemId, ItemId)], now: Timestamp) -> Result<()> {
    let keys: Vec<i64> = empty.iter().map(|(item, _)| item.0).collect();
    let changes: Vec<Change> = lives(tx, &keys)?
        .into_iter()
        .map(|life| {
            let before = life.workflow();
            let after = Workflow { state: State::Closed, substate: Substate::Moved, granted: None, ..before };
            Change { item: life.id, before, after }
        })
        .collect();
    items::apply(tx, &changes, &Cause::author(actor), actor, now)
}

fn lives(tx: &mut Transaction<'_>, items: &[i64]) -> Result<Vec<LifeOf>> {
    let items = items.to_vec();
    tx.all(
        "SELECT id, state, substate, resolved_at, reopened, granted_what, granted_until_at FROM vulnerable_item
         WHERE id {in $1} ORDER BY id",
        &[&items],
    )
}

/// A line in the history of each item: where it went, or which one it joined.
fn say(tx: &mut Transaction<'_>, actor: &str, pairs: &[Pair], into: AssetId, now: Timestamp) -> Result<()> {
    let name: String = tx.scalar("SELECT name FROM asset WHERE id = $1", &[&into])?;
    let numbers: Vec<i64> = pairs.iter().filter_map(|pair| pair.meets).map(|item| item.0).collect();
    let numbers: BTreeMap<ItemId, i64> = tx
        .all::<(ItemId, i64)>("SELECT id, number FROM vulnerable_item WHERE id {in $1}", &[&numbers])?
        .into_iter()
        .collect();
    let said = |ordinal: i64| Number { series: Series::Item, ordinal }.to_string();
    let mut lines = Vec::new();
    for pair in pairs {
        let line = |item_id, before: String, after: String| HistoryRow { item_id, what: "asset", before, after };
        match pair.meets.and_then(|meets| Some((meets, *numbers.get(&meets)?))) {
            Some((meets, number)) => {
                lines.push(line(pair.item, String::new(), format!("joined {}", said(number))));
                lines.push(line(meets, String::new(), format!("joined by {}", said(pair.number))));
            }
            None => lines.push(line(pair.item, String::new(), format!("moved to {name}"))),
        }
    }
    items::write_history(tx, &lines, actor, now)
}
