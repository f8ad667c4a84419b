//! What rolling back a job takes back: the controls of ours in force that its tasks were about, who else had to do with them,
//! and for which vulnerabilities they are there. Which of them are the job's is `domain::rollback`'s to say.

use crate::{Result, Transaction, record};
use domain::id::{AssetId, JobId, VulnerabilityId};
use domain::task::State;

record! {
    /// A task about a control of ours in force.
    #[derive(Debug, Clone)]
    pub struct TurnRow {
        /// The control's asset.
        pub asset_id: AssetId,
        /// The revision of its entry that is in force.
        pub entry_key: i64,
        /// The task's job.
        pub job_id: JobId,
        /// `apply` or `revert`.
        pub kind: String,
        /// What became of the task.
        pub state: State,
        /// It was at work on the host.
        pub started: bool,
    }
}

/// Every task about the controls that a job was to put in place and that are ours and in force, of whatever job: by asset and
/// entry, oldest first.
///
/// # Errors
/// See [`crate::Error`].
pub fn turns(tx: &mut Transaction<'_>, job: JobId) -> Result<Vec<TurnRow>> {
    tx.all(
        "SELECT c.asset_id, c.entry_key, t.job_id, t.kind, t.state, t.started_at IS NOT NULL AS started
         FROM (SELECT DISTINCT o.asset_id, y.entry FROM task o JOIN catalogue_entry y ON y.id = o.entry_key
               WHERE o.job_id = $1 AND o.kind = 'apply') own
         JOIN control c ON c.asset_id = own.asset_id AND c.entry = own.entry
         JOIN catalogue_entry e ON e.id = c.entry_key AND e.implication = 'mitigation'
         JOIN task t ON t.asset_id = c.asset_id AND t.kind IN ('apply', 'revert')
         JOIN catalogue_entry x ON x.id = t.entry_key AND x.entry = c.entry
         WHERE c.origin = 'ours' AND c.state IN ('effective', 'configured', 'drifted')
         ORDER BY c.asset_id, c.entry_key, t.id",
        &[&job],
    )
}

/// For which vulnerabilities controls of ours in force are there.
macro_rules! covered {
    ($controls:literal) => {
        concat!(
            "SELECT DISTINCT i.vulnerability_id, c.asset_id, c.entry_key
             FROM ",
            $controls,
            " JOIN catalogue_cve k ON k.entry_key = c.entry_key
             JOIN vulnerable_item i ON i.asset_id = c.asset_id
             JOIN vulnerability v ON v.id = i.vulnerability_id
             LEFT JOIN vulnerability_cve w ON w.vulnerability_id = v.id AND w.cve = k.cve AND k.cve <> ''
             WHERE c.origin = 'ours' AND c.state IN ('effective', 'configured', 'drifted')
               AND (w.cve IS NOT NULL OR (k.qid <> 0 AND k.qid = v.qid))
             ORDER BY 1, 2, 3"
        )
    };
}

/// For which vulnerabilities those controls are there: vulnerability, asset and entry. Items that are closed count, because what
/// was put in place for them stays in place.
///
/// # Errors
/// See [`crate::Error`].
pub fn covered(tx: &mut Transaction<'_>, job: JobId) -> Result<Vec<(VulnerabilityId, AssetId, i64)>> {
    tx.all(
        covered!(
            "(SELECT DISTINCT o.asset_id, y.entry FROM task o JOIN catalogue_entry y ON y.id = o.entry_key
              WHERE o.job_id = $1 AND o.kind = 'apply') own
             JOIN control c ON c.asset_id = own.asset_id AND c.entry = own.entry"
        ),
        &[&job],
    )
}

/// The same of these controls.
///
/// # Errors
/// See [`crate::Error`].
pub fn covered_by(tx: &mut Transaction<'_>, controls: &[i64]) -> Result<Vec<(VulnerabilityId, AssetId, i64)>> {
    tx.all(covered!("(SELECT asset_id, entry_key, origin, state FROM control WHERE id {in $1}) c"), &[&controls])
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
