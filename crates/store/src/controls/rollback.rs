//! What rolling back a job takes back: the controls of ours in force that its tasks were about, who else had to do with them,
//! and for which vulnerabilities they are there. Which of them are the job's is `domain::rollback`'s to say.

use crate::stage::STAGED_ROWS_MAX;
use crate::{Result, Transaction, record};
use domain::id::{AssetId, JobId, VulnerabilityId};
use domain::task::State;
use domain::time::Timestamp;
use std::collections::BTreeSet;

/// Keys of the controls that a job was to put in place and that are mitigations of ours in force; by asset and entry.
///
/// A job that recurs has a task a day on each host, and all of them are looked at: not while a transaction that writes waits.
///
/// # Errors
/// See [`crate::Error`].
pub fn of_job(tx: &mut Transaction<'_>, job: JobId) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> = tx.all(
        "SELECT c.id
         FROM (SELECT DISTINCT o.asset_id, y.entry FROM task o JOIN catalogue_entry y ON y.id = o.entry_key
               WHERE o.job_id = $1 AND o.kind = 'apply') own
         JOIN control c ON c.asset_id = own.asset_id AND c.entry = own.entry
         JOIN catalogue_entry e ON e.id = c.entry_key AND e.implication = 'mitigation'
         WHERE c.origin = 'ours' AND c.state IN ('effective', 'configured', 'drifted')
         ORDER BY c.asset_id, c.entry_key",
        &[&job],
    )?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Asset and entry of those of these controls that are still ours and in force.
///
/// # Errors
/// See [`crate::Error`].
pub fn in_force(tx: &mut Transaction<'_>, controls: &[i64]) -> Result<Vec<(AssetId, i64)>> {
    tx.all(
        "SELECT asset_id, entry_key FROM control
         WHERE id {in $1} AND origin = 'ours' AND state IN ('effective', 'configured', 'drifted') ORDER BY 1, 2",
        &[&controls],
    )
}

record! {
    /// A task about an entry on an asset.
    #[derive(Debug, Clone)]
    pub struct TurnRow {
        /// Asset.
        pub asset_id: AssetId,
        /// The revision of the entry that was asked about.
        pub entry_key: i64,
        /// The task's job.
        pub job_id: JobId,
        /// `apply` or `revert`.
        pub kind: String,
        /// What became of the task.
        pub state: State,
        /// It was at work on the host.
        pub started: bool,
        /// When it was done; where it is not over, when it was last heard of.
        pub done_at: Timestamp,
    }
}

/// The tasks about these pairs of asset and entry, of whatever job, that say who put it there and when: those that changed the host since
/// it was last taken back, and where none did the last one that tried. By asset and entry, oldest first.
///
/// Not every task there ever was: work that recurs leaves one a day that changed nothing, and a transaction that writes waits for
/// this. What is left out changes nothing of what `domain::rollback::put_in_place` says; a property test compares both.
///
/// # Errors
/// See [`crate::Error`].
pub fn turns(tx: &mut Transaction<'_>, pairs: &[(AssetId, i64)]) -> Result<Vec<TurnRow>> {
    let mut rows = Vec::new();
    for pairs in pairs.chunks(STAGED_ROWS_MAX) {
        let put = changed(tx, pairs)?;
        let known: BTreeSet<(AssetId, i64)> = put.iter().map(|row| (row.asset_id, row.entry_key)).collect();
        let rest: Vec<(AssetId, i64)> = pairs.iter().filter(|pair| !known.contains(pair)).copied().collect();
        rows.extend(put);
        if !rest.is_empty() {
            rows.extend(tried(tx, &rest)?);
        }
    }
    // Stable: the tasks of a pair stay in their order.
    rows.sort_by_key(|row| (row.asset_id, row.entry_key));
    Ok(rows)
}

/// The pairs in the temporary table, each with the task that last took it back, 0 for none. CROSS JOIN holds SQLite to this
/// order: pair by pair by the index over asset and state, not through every task of the fleet that ended well.
macro_rules! since_back {
    ($rest:literal) => {
        concat!(
            "SELECT p.asset_id, p.entry_key, t.job_id, t.kind, t.state, t.started_at IS NOT NULL AS started,
                 coalesce(t.ended_at, t.updated_at) AS done_at
             FROM (SELECT b.asset_id, b.entry_key, e.entry,
                       coalesce((SELECT max(k.id) FROM task k JOIN catalogue_entry y ON y.id = k.entry_key
                                 WHERE k.asset_id = b.asset_id AND k.state = 'reverted' AND k.kind = 'revert'
                                   AND y.entry = e.entry), 0) AS back
                   FROM job_pair_batch b CROSS JOIN catalogue_entry e WHERE e.id = b.entry_key) p ",
            $rest
        )
    };
}

/// Those that changed the host since it was last taken back.
fn changed(tx: &mut Transaction<'_>, pairs: &[(AssetId, i64)]) -> Result<Vec<TurnRow>> {
    stage_pairs(tx, pairs)?;
    tx.all(
        since_back!(
            "CROSS JOIN task t CROSS JOIN catalogue_entry x
             WHERE t.asset_id = p.asset_id AND t.state IN ('succeeded', 'interrupted') AND t.kind = 'apply'
               AND t.id > p.back AND x.id = t.entry_key AND x.entry = p.entry
             ORDER BY p.asset_id, p.entry_key, t.id"
        ),
        &[],
    )
}

/// The last one of each pair that tried since it was last taken back, whatever came of it.
fn tried(tx: &mut Transaction<'_>, pairs: &[(AssetId, i64)]) -> Result<Vec<TurnRow>> {
    stage_pairs(tx, pairs)?;
    tx.all(
        since_back!(
            "JOIN task t ON t.id = (
                 SELECT max(o.id) FROM task o JOIN catalogue_entry x ON x.id = o.entry_key
                 WHERE o.asset_id = p.asset_id AND o.kind = 'apply' AND x.entry = p.entry
                   AND (o.started_at IS NOT NULL
                        OR o.state NOT IN ('pending', 'ready', 'offered', 'cancelled', 'expired')))
             WHERE t.id > p.back
             ORDER BY p.asset_id, p.entry_key"
        ),
        &[],
    )
}

fn stage_pairs(tx: &mut Transaction<'_>, pairs: &[(AssetId, i64)]) -> Result<()> {
    let rows: Vec<PairRow> =
        pairs.iter().map(|(asset, entry_key)| PairRow { asset_id: asset.0, entry_key: *entry_key }).collect();
    tx.stage(&rows)?;
    Ok(())
}

/// For which vulnerabilities those of these controls are there that are ours and in force: vulnerability, asset and entry. Items that
/// are closed count, because what was put in place for them stays in place.
///
/// # Errors
/// See [`crate::Error`].
pub fn covered_by(tx: &mut Transaction<'_>, controls: &[i64]) -> Result<Vec<(VulnerabilityId, AssetId, i64)>> {
    tx.all(
        "SELECT DISTINCT i.vulnerability_id, c.asset_id, c.entry_key
         FROM control c JOIN catalogue_cve k ON k.entry_key = c.entry_key
         JOIN vulnerable_item i ON i.asset_id = c.asset_id
         JOIN vulnerability v ON v.id = i.vulnerability_id
         LEFT JOIN vulnerability_cve w ON w.vulnerability_id = v.id AND w.cve = k.cve AND k.cve <> ''
         WHERE c.id {in $1} AND c.origin = 'ours' AND c.state IN ('effective', 'configured', 'drifted')
           AND (w.cve IS NOT NULL OR (k.qid <> 0 AND k.qid = v.qid))
         ORDER BY 1, 2, 3",
        &[&controls],
    )
}

struct PairRow {
    asset_id: i64,
    entry_key: i64,
}
crate::stage!(PairRow as "job_pair_batch" { asset_id: i64, entry_key: i64 });

/// Keep a job to these pairs of asset and entry, of all those that its targets and actions give; none = to all of them.
///
/// # Errors
/// See [`crate::Error`].
pub fn keep_to(tx: &mut Transaction<'_>, job: JobId, pairs: impl IntoIterator<Item = (AssetId, i64)>) -> Result<()> {
    tx.execute("DELETE FROM job_pair WHERE job_id = $1", &[&job])?;
    let rows: Vec<PairRow> =
        pairs.into_iter().map(|(asset, entry_key)| PairRow { asset_id: asset.0, entry_key }).collect();
    if rows.is_empty() {
        return Ok(());
    }
    tx.stage(&rows)?;
    tx.execute(
        "INSERT INTO job_pair (job_id, asset_id, entry_key) SELECT $1, asset_id, entry_key FROM job_pair_batch",
        &[&job],
    )?;
    Ok(())
}

/// The pairs that a job is kept to; none = it is not.
///
/// # Errors
/// See [`crate::Error`].
pub fn kept_to(tx: &mut Transaction<'_>, job: JobId) -> Result<Vec<(AssetId, i64)>> {
    tx.all("SELECT asset_id, entry_key FROM job_pair WHERE job_id = $1 ORDER BY 1, 2", &[&job])
}
