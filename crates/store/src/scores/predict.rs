//! What tasks would do to the scores of items if they succeeded: [`domain::score::predict`], fed set by set. Nothing is
//! written.

use super::{CHUNK, ControlRow, ItemScore, covering, scene};
use crate::{Result, Transaction, record};
use domain::id::{AssetId, ItemId};
use domain::mitigation::{ControlState, Coverage};
use domain::score::{self, Mitigation};
use std::collections::{BTreeSet, HashMap};

/// A control that a task would leave behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// On which asset.
    pub asset: AssetId,
    /// Of which entry, by key.
    pub entry_key: i64,
    /// In which state.
    pub state: ControlState,
}

/// What would become of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predicted {
    /// The item.
    pub item: ItemId,
    /// Ordinal of its number.
    pub number: i64,
    /// Its asset.
    pub asset: AssetId,
    /// The asset's name.
    pub asset_name: String,
    /// The QID.
    pub qid: i64,
    /// The vulnerability's title.
    pub title: String,
    /// Residual now.
    pub before: u8,
    /// Residual then.
    pub after: u8,
    /// The field now.
    pub mitigation_before: Mitigation,
    /// The field then.
    pub mitigation: Mitigation,
}

record! {
    /// What people read of an item.
    struct Named {
        number: i64,
        asset_name: String,
        title: String,
    }
}

record! {
    /// One line of what an entry covers.
    struct Line {
        entry_key: i64,
        entry: String,
        cve: String,
        qid: i64,
        coverage: Coverage,
        points: u8,
    }
}

/// What these controls would do to the open items they concern, by item.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn predict(tx: &mut Transaction<'_>, put: &[Put]) -> Result<Vec<Predicted>> {
    let keys: BTreeSet<i64> = put.iter().map(|put| put.entry_key).collect();
    let keys: Vec<i64> = keys.into_iter().collect();
    let assets: BTreeSet<i64> = put.iter().map(|put| put.asset.0).collect();
    let assets: Vec<i64> = assets.into_iter().collect();
    let lines: Vec<Line> = tx.all(
        "SELECT c.entry_key, e.entry, c.cve, c.qid, c.coverage, c.points
         FROM catalogue_cve c JOIN catalogue_entry e ON e.id = c.entry_key
         WHERE c.entry_key {in $1} ORDER BY c.entry_key, c.cve, c.qid",
        &[&keys],
    )?;
    let mut new: HashMap<AssetId, Vec<ControlRow>> = HashMap::new();
    for put in put {
        let rows = lines.iter().filter(|line| line.entry_key == put.entry_key).map(|line| ControlRow {
            asset_id: put.asset,
            entry: line.entry.clone(),
            state: put.state,
            cve: line.cve.clone(),
            qid: line.qid,
            coverage: line.coverage,
            points: line.points,
        });
        new.entry(put.asset).or_default().extend(rows);
    }
    let concerned: Vec<(i64,)> = tx.all(
        "SELECT i.id FROM vulnerable_item i JOIN vulnerability v ON v.id = i.vulnerability_id
         WHERE i.asset_id {in $1} AND i.state <> 'closed'
           AND (EXISTS (SELECT 1 FROM vulnerability_cve w JOIN catalogue_cve c ON c.cve = w.cve
                        WHERE w.vulnerability_id = v.id AND c.entry_key {in $2})
                OR EXISTS (SELECT 1 FROM catalogue_cve c WHERE c.cve = '' AND c.qid = v.qid AND c.entry_key {in $2}))
         ORDER BY i.id",
        &[&assets, &keys],
    )?;
    let concerned: Vec<i64> = concerned.into_iter().map(|(id,)| id).collect();
    let mut predicted = Vec::new();
    for chunk in concerned.chunks(CHUNK) {
        predicted.extend(of_chunk(tx, chunk, &new)?);
    }
    Ok(predicted)
}

fn of_chunk(
    tx: &mut Transaction<'_>,
    items: &[i64],
    new: &HashMap<AssetId, Vec<ControlRow>>,
) -> Result<Vec<Predicted>> {
    let rows: Vec<ItemScore> = tx.all(
        "SELECT i.id, i.asset_id, i.vulnerability_id, v.qid, i.inherent, i.residual, i.score_source, i.mitigation
         FROM vulnerable_item i JOIN vulnerability v ON v.id = i.vulnerability_id WHERE i.id {in $1} ORDER BY i.id",
        &[&items],
    )?;
    let names: Vec<Named> = tx.all(
        "SELECT i.number, a.name AS asset_name, v.title
         FROM vulnerable_item i JOIN vulnerability v ON v.id = i.vulnerability_id JOIN asset a ON a.id = i.asset_id
         WHERE i.id {in $1} ORDER BY i.id",
        &[&items],
    )?;
    let scene = scene(tx, &rows)?;
    let mut predicted = Vec::new();
    for (row, named) in rows.iter().zip(names) {
        let cves = scene.cves.get(&row.vulnerability_id).map(Vec::as_slice).unwrap_or_default();
        let units = score::units(row.inherent.clamp(1, 100), row.score_source, cves);
        let there = scene.controls.get(&row.asset_id).map(Vec::as_slice).unwrap_or_default();
        let put = new.get(&row.asset_id).map(|rows| covering(rows, &units, row.qid)).unwrap_or_default();
        if put.is_empty() {
            continue;
        }
        let then = score::predict(&units, &covering(there, &units, row.qid), &put);
        predicted.push(Predicted {
            item: row.id,
            number: named.number,
            asset: row.asset_id,
            asset_name: named.asset_name,
            qid: row.qid,
            title: named.title,
            before: row.residual,
            after: then.residual,
            mitigation_before: row.mitigation,
            mitigation: then.mitigation,
        });
    }
    Ok(predicted)
}
