//! Residual scores and the `mitigation` field of items, from the controls in force on their assets.
//!
//! [`domain::score`] decides; here its input is loaded set by set and what changed is written, with the score history
//! and its cause. `inherent` is the import's and never touched here.

mod predict;

use crate::items::{HistoryRow, due, write_history};
use crate::{Result, Sql, Transaction, record, remediation, scope, stage};
use domain::access::AssetScope;
use domain::id::{AssetId, ItemId, JobId, VulnerabilityId};
use domain::mitigation::{ControlState, Coverage};
use domain::score::{self, Assessment, Control, Mitigation, Source, Unit};
use domain::time::Timestamp;
use std::collections::{BTreeSet, HashMap};

pub use predict::{Predicted, Put, predict};

/// Items looked at in one go: bounds memory, not the caller.
const CHUNK: usize = 2_000;

/// What a recomputation changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The item.
    pub item: ItemId,
    /// Its asset.
    pub asset: AssetId,
    /// Score before any mitigation.
    pub inherent: u8,
    /// Residual before.
    pub before: u8,
    /// Residual now.
    pub after: u8,
    /// The field before.
    pub mitigation_before: Mitigation,
    /// The field now.
    pub mitigation: Mitigation,
}

record! {
    /// An item as the computation needs it.
    #[derive(Clone, Debug)]
    struct ItemScore {
        id: ItemId,
        asset_id: AssetId,
        vulnerability_id: VulnerabilityId,
        qid: i64,
        inherent: u8,
        residual: u8,
        score_source: Source,
        mitigation: Mitigation,
    }
}

record! {
    /// A control with one line of what its entry covers.
    #[derive(Clone, Debug)]
    struct ControlRow {
        asset_id: AssetId,
        entry: String,
        state: ControlState,
        cve: String,
        qid: i64,
        coverage: Coverage,
        points: u8,
    }
}

struct ScoreRow {
    id: ItemId,
    residual: i64,
    mitigation: Mitigation,
}
stage!(ScoreRow as "item_score_batch" { id: ItemId, residual: i64, mitigation: Mitigation });

struct HistoryScore {
    item_id: ItemId,
    inherent: i64,
    before: i64,
    after: i64,
}
stage!(HistoryScore as "score_history_batch" { item_id: ItemId, inherent: i64, before: i64, after: i64 });

/// Everything that [`domain::score::assess`] needs for a set of items.
struct Scene {
    cves: HashMap<VulnerabilityId, Vec<(String, Option<u8>)>>,
    controls: HashMap<AssetId, Vec<ControlRow>>,
}

/// Compute the residual score and the mitigation field of these items again from the controls in force, and write
/// what changed, with `cause` ("MJ0000001 applied linux-tcp-sack-off") in both histories.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn recompute(tx: &mut Transaction<'_>, items: &[ItemId], cause: &str, now: Timestamp) -> Result<Vec<Changed>> {
    let items: Vec<i64> = items.iter().map(|item| item.0).collect::<BTreeSet<_>>().into_iter().collect();
    let mut changed = Vec::new();
    for chunk in items.chunks(CHUNK) {
        let rows: Vec<ItemScore> = tx.all(
            "SELECT i.id, i.asset_id, i.vulnerability_id, v.qid, i.inherent, i.residual, i.score_source, i.mitigation
             FROM vulnerable_item i JOIN vulnerability v ON v.id = i.vulnerability_id
             WHERE i.id {in $1} ORDER BY i.id",
            &[&chunk],
        )?;
        let scene = scene(tx, &rows)?;
        let now_changed: Vec<Changed> = rows.iter().filter_map(|row| compare(row, &scene)).collect();
        write(tx, &now_changed, cause, now)?;
        changed.extend(now_changed);
    }
    Ok(changed)
}

fn scene(tx: &mut Transaction<'_>, items: &[ItemScore]) -> Result<Scene> {
    let vulnerabilities: BTreeSet<i64> = items.iter().map(|item| item.vulnerability_id.0).collect();
    let assets: BTreeSet<i64> = items.iter().map(|item| item.asset_id.0).collect();
    let vulnerabilities: Vec<i64> = vulnerabilities.into_iter().collect();
    let assets: Vec<i64> = assets.into_iter().collect();
    let mut scene = Scene { cves: HashMap::new(), controls: HashMap::new() };
    let cves: Vec<(VulnerabilityId, String, Option<i64>)> = tx.all(
        "SELECT vulnerability_id, cve, qvs FROM vulnerability_cve
         WHERE vulnerability_id {in $1} ORDER BY vulnerability_id, cve",
        &[&vulnerabilities],
    )?;
    for (vulnerability, cve, qvs) in cves {
        let qvs = qvs.and_then(|qvs| u8::try_from(qvs).ok());
        scene.cves.entry(vulnerability).or_default().push((cve, qvs));
    }
    let controls: Vec<ControlRow> = tx.all(
        // What has expired takes nothing off, whatever its state: as if it could not be told.
        "SELECT c.asset_id, c.entry, CASE WHEN c.expired_at IS NULL THEN c.state ELSE 'unknown' END AS state, cc.cve,
             cc.qid, cc.coverage, cc.points
         FROM control c JOIN catalogue_cve cc ON cc.entry_key = c.entry_key
         WHERE c.asset_id {in $1} ORDER BY c.asset_id, c.entry, cc.cve, cc.qid",
        &[&assets],
    )?;
    for control in controls {
        scene.controls.entry(control.asset_id).or_default().push(control);
    }
    Ok(scene)
}

fn assess(item: &ItemScore, scene: &Scene) -> Assessment {
    let cves = scene.cves.get(&item.vulnerability_id).map(Vec::as_slice).unwrap_or_default();
    let units = score::units(item.inherent.clamp(1, 100), item.score_source, cves);
    let controls = scene.controls.get(&item.asset_id).map(Vec::as_slice).unwrap_or_default();
    score::assess(&units, &covering(controls, &units, item.qid))
}

/// The controls as far as they concern these units: by CVE, or by the scanner's number where there is no CVE.
fn covering(controls: &[ControlRow], units: &[Unit], qid: i64) -> Vec<Control> {
    let concerns = |row: &&ControlRow| {
        units.iter().any(|unit| match &unit.cve {
            Some(cve) => *cve == row.cve,
            None => row.cve.is_empty() && row.qid == qid,
        })
    };
    let control = |row: &ControlRow| Control {
        entry: row.entry.clone(),
        cve: (!row.cve.is_empty()).then(|| row.cve.clone()),
        coverage: row.coverage,
        points: row.points,
        state: row.state,
    };
    controls.iter().filter(concerns).map(control).collect()
}

fn compare(item: &ItemScore, scene: &Scene) -> Option<Changed> {
    let assessment = assess(item, scene);
    let same = assessment.residual == item.residual && assessment.mitigation == item.mitigation;
    (!same).then_some(Changed {
        item: item.id,
        asset: item.asset_id,
        inherent: item.inherent,
        before: item.residual,
        after: assessment.residual,
        mitigation_before: item.mitigation,
        mitigation: assessment.mitigation,
    })
}

fn write(tx: &mut Transaction<'_>, changed: &[Changed], cause: &str, now: Timestamp) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let rows: Vec<ScoreRow> = changed
        .iter()
        .map(|one| ScoreRow { id: one.item, residual: i64::from(one.after), mitigation: one.mitigation })
        .collect();
    tx.stage(&rows)?;
    tx.execute(
        "UPDATE vulnerable_item SET residual = b.residual, mitigation = b.mitigation, updated_at = $1
         FROM item_score_batch b WHERE vulnerable_item.id = b.id",
        &[&now],
    )?;
    let scored: Vec<HistoryScore> = changed
        .iter()
        .filter(|one| one.before != one.after)
        .map(|one| HistoryScore {
            item_id: one.item,
            inherent: i64::from(one.inherent),
            before: i64::from(one.before),
            after: i64::from(one.after),
        })
        .collect();
    if !scored.is_empty() {
        tx.stage(&scored)?;
        tx.execute(
            "INSERT INTO score_history (item_id, at, inherent, before, after, cause)
             SELECT item_id, $1, inherent, before, after, $2 FROM score_history_batch",
            &[&now, &cause],
        )?;
    }
    let risen: Vec<ItemId> = changed.iter().filter(|one| one.before < one.after).map(|one| one.item).collect();
    due::rescored(tx, &risen, cause, now)?;
    let words: Vec<HistoryRow> = changed
        .iter()
        .filter(|one| one.mitigation_before != one.mitigation)
        .map(|one| HistoryRow {
            item_id: one.item,
            what: "mitigation",
            before: one.mitigation_before.as_str().to_owned(),
            after: one.mitigation.as_str().to_owned(),
        })
        .collect();
    write_history(tx, &words, cause, now)?;
    let scored: Vec<ItemId> = scored.iter().map(|one| one.item_id).collect();
    remediation::rescored(tx, &scored, cause, now)
}

/// Every item of these assets: what a control on one of them can change.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn items_of_assets(tx: &mut Transaction<'_>, assets: &[AssetId]) -> Result<Vec<ItemId>> {
    let assets: Vec<i64> = assets.iter().map(|asset| asset.0).collect();
    let rows: Vec<(ItemId,)> =
        tx.all("SELECT id FROM vulnerable_item WHERE asset_id {in $1} ORDER BY id", &[&assets])?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Items of these vulnerabilities on assets that have a control: what a changed list of CVEs can change.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn controlled_items_of(tx: &mut Transaction<'_>, vulnerabilities: &[VulnerabilityId]) -> Result<Vec<ItemId>> {
    let vulnerabilities: Vec<i64> = vulnerabilities.iter().map(|vulnerability| vulnerability.0).collect();
    let rows: Vec<(ItemId,)> = tx.all(
        "SELECT i.id FROM vulnerable_item i
         WHERE i.vulnerability_id {in $1} AND EXISTS (SELECT 1 FROM control c WHERE c.asset_id = i.asset_id)
         ORDER BY i.id",
        &[&vulnerabilities],
    )?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Those of the items whose asset has a control.
pub(crate) fn on_controlled_assets(tx: &mut Transaction<'_>, items: &[ItemId]) -> Result<Vec<ItemId>> {
    let items: Vec<i64> = items.iter().map(|item| item.0).collect();
    let rows: Vec<(ItemId,)> = tx.all(
        "SELECT i.id FROM vulnerable_item i
         WHERE i.id {in $1} AND EXISTS (SELECT 1 FROM control c WHERE c.asset_id = i.asset_id) ORDER BY i.id",
        &[&items],
    )?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// What stands behind the scores of the items of a job's targets on assets of the scope, closed ones left out: one
/// assessment per asset and vulnerability, of the item with the highest score where several scanners report it.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn of_job(tx: &mut Transaction<'_>, job: JobId, within: &AssetScope) -> Result<Vec<Assessed>> {
    let mut sql = Sql::new(
        "SELECT i.id, i.asset_id, i.vulnerability_id, v.qid, i.inherent, i.residual, i.score_source, i.mitigation
         FROM job_target g
         JOIN vulnerable_item i ON i.vulnerability_id = g.vulnerability_id AND i.asset_id = g.asset_id
         JOIN vulnerability v ON v.id = i.vulnerability_id
         WHERE i.state <> 'closed' AND g.job_id = ",
    )
    .bind(&job);
    if let Some(scope) = scope::assets(within, "g.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    let mut rows: Vec<ItemScore> =
        tx.all_built(&sql.text(" ORDER BY i.asset_id, i.vulnerability_id, i.inherent DESC, i.id"))?;
    rows.dedup_by_key(|row| (row.asset_id, row.vulnerability_id));
    let mut assessed = Vec::with_capacity(rows.len());
    for chunk in rows.chunks(CHUNK) {
        let scene = scene(tx, chunk)?;
        assessed.extend(chunk.iter().map(|row| Assessed {
            asset: row.asset_id,
            qid: row.qid,
            assessment: assess(row, &scene),
        }));
    }
    Ok(assessed)
}

/// One vulnerability on one asset, assessed.
#[derive(Clone, Debug)]
pub struct Assessed {
    /// The asset.
    pub asset: AssetId,
    /// The vulnerability's QID.
    pub qid: i64,
    /// Its units after the controls.
    pub assessment: Assessment,
}

record! {
    /// A control on the asset of an item, as far as it concerns one of its units.
    #[derive(Clone, Debug, PartialEq, serde::Serialize)]
    pub struct ControlLine {
        /// Catalogue entry.
        pub entry: String,
        /// Its title.
        pub title: String,
        /// The CVE, empty for one that names the scanner's number.
        pub cve: String,
        /// How much of it is covered.
        pub coverage: Coverage,
        /// Points while effective.
        pub points: u8,
        /// What the last check says.
        pub state: ControlState,
        /// `ours` or `external`.
        pub origin: String,
        /// Since when.
        pub since_at: Timestamp,
        /// Last check.
        pub checked_at: Timestamp,
        /// It has expired: it takes nothing off any more.
        pub expired_at: Option<Timestamp>,
        /// Ordinal of the job that put it there, where one of ours did.
        pub job: Option<i64>,
    }
}

/// What stands behind an item's score: shown when somebody clicks on it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct DrillDown {
    /// Units with their scores before and after, the largest control of each.
    pub assessment: Assessment,
    /// Where the detection's score comes from.
    pub source: Source,
    /// The controls that concern the item, in force or not.
    pub controls: Vec<ControlLine>,
}

/// What stands behind the score of one item.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) for an unknown item.
pub fn drill_down(tx: &mut Transaction<'_>, item: ItemId) -> Result<DrillDown> {
    let rows: Vec<ItemScore> = tx.all(
        "SELECT i.id, i.asset_id, i.vulnerability_id, v.qid, i.inherent, i.residual, i.score_source, i.mitigation
         FROM vulnerable_item i JOIN vulnerability v ON v.id = i.vulnerability_id WHERE i.id = $1",
        &[&item],
    )?;
    let scene = scene(tx, &rows)?;
    let row = rows.first().ok_or(crate::Error::NotFound)?;
    let assessment = assess(row, &scene);
    let lines: Vec<ControlLine> = tx.all(
        "SELECT c.entry, e.title, cc.cve, cc.coverage, cc.points, c.state, c.origin, c.since_at, c.checked_at,
             c.expired_at, j.number AS job
         FROM control c
         JOIN catalogue_entry e ON e.id = c.entry_key
         JOIN catalogue_cve cc ON cc.entry_key = c.entry_key
         LEFT JOIN task t ON t.id = c.task_id
         LEFT JOIN job j ON j.id = t.job_id
         WHERE c.asset_id = $1
           AND (cc.cve IN (SELECT cve FROM vulnerability_cve WHERE vulnerability_id = $2)
                OR cc.cve = '' AND cc.qid = $3)
         ORDER BY c.entry, cc.cve",
        &[&row.asset_id, &row.vulnerability_id, &row.qid],
    )?;
    Ok(DrillDown { source: row.score_source, assessment, controls: lines })
}
