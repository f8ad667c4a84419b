//! What becomes of work that was prepared with an entry that is no longer in force: a newer revision takes its place.
//!
//! Agents do only what the index in force lists, so a job that kept the revision of its day would fail for ever. Rollbacks keep
//! theirs: they undo what that revision did.

use crate::{Result, Transaction, record};
use domain::id::{AssetId, JobId, RunId};
use domain::time::Timestamp;
use std::collections::BTreeMap;

record! {
    /// An action of a job whose entry has a newer revision.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Renewed {
        /// The job.
        pub job_id: JobId,
        /// Ordinal of its number.
        pub job_number: i64,
        /// Entry id.
        pub entry: String,
        /// The revision it had.
        pub before: i64,
        /// The revision in force.
        pub after: i64,
    }
}

/// Let the actions of mitigation jobs take the revisions in force; gives what changed, each job and entry once.
///
/// # Errors
/// See [`crate::Error`].
pub fn actions(tx: &mut Transaction<'_>) -> Result<Vec<Renewed>> {
    let renewed = tx.all(
        "SELECT DISTINCT j.id AS job_id, j.number AS job_number, o.entry, o.revision AS before, n.revision AS after
         FROM job_action a JOIN job j ON j.id = a.job_id AND j.kind = 'mitigation' AND j.deleted_at IS NULL
         JOIN catalogue_entry o ON o.id = a.entry_key AND o.current = $1
         JOIN catalogue_entry n ON n.entry = o.entry AND n.current = $2
         ORDER BY j.number, o.entry, o.revision",
        &[&false, &true],
    )?;
    tx.execute(
        "INSERT INTO job_action (job_id, vulnerability_id, entry_key)
         SELECT DISTINCT a.job_id, a.vulnerability_id, n.id
         FROM job_action a JOIN job j ON j.id = a.job_id AND j.kind = 'mitigation' AND j.deleted_at IS NULL
         JOIN catalogue_entry o ON o.id = a.entry_key AND o.current = $1
         JOIN catalogue_entry n ON n.entry = o.entry AND n.current = $2
         WHERE a.entry_key <> n.id
         ON CONFLICT DO NOTHING",
        &[&false, &true],
    )?;
    tx.execute(
        "DELETE FROM job_action WHERE EXISTS (
             SELECT 1 FROM job j, catalogue_entry o, catalogue_entry n
             WHERE j.id = job_action.job_id AND j.kind = 'mitigation' AND j.deleted_at IS NULL
               AND o.id = job_action.entry_key AND o.current = $1 AND n.entry = o.entry AND n.current = $2)",
        &[&false, &true],
    )?;
    Ok(renewed)
}

record! {
    /// An entry that tasks of a run have to be done with, and the revision in force.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Outdated {
        /// The run.
        pub run_id: RunId,
        /// Its job.
        pub job_id: JobId,
        /// `apply`, or `plan` for a dry run.
        pub kind: String,
        /// Key of the revision that the tasks have.
        pub before: i64,
        /// Key of the revision in force.
        pub after: i64,
        /// Something of the run was ordered, or may be by now.
        pub begun: bool,
    }
}

/// What tasks of which nothing was tried are to be done with, where a newer revision is in force: no order is out, and one that was has
/// been taken back. A run that somebody approves keeps what he sees.
///
/// # Errors
/// See [`crate::Error`].
pub fn outdated(tx: &mut Transaction<'_>) -> Result<Vec<Outdated>> {
    tx.all(
        "SELECT DISTINCT t.run_id, t.job_id, t.kind, t.entry_key AS before, n.id AS after,
                EXISTS (SELECT 1 FROM task b WHERE b.run_id = t.run_id AND b.state <> 'pending') AS begun
         FROM task t JOIN job j ON j.id = t.job_id AND j.kind = 'mitigation'
         JOIN catalogue_entry o ON o.id = t.entry_key AND o.current = $1
         JOIN catalogue_entry n ON n.entry = o.entry AND n.current = $2
         WHERE t.state IN ('pending', 'ready') AND t.attempts = 0 AND t.kind IN ('apply', 'plan')
           AND NOT EXISTS (SELECT 1 FROM approval p WHERE p.run_id = t.run_id AND p.state IN ('pending', 'approved'))
         ORDER BY t.run_id, t.entry_key",
        &[&false, &true],
    )
}

/// Let those tasks of a run take the revision in force; gives how many.
///
/// # Errors
/// See [`crate::Error`].
pub fn tasks(tx: &mut Transaction<'_>, of: &Outdated) -> Result<u64> {
    tx.execute(
        "UPDATE task SET entry_key = $3
         WHERE run_id = $1 AND entry_key = $2 AND state IN ('pending', 'ready') AND attempts = 0 AND kind IN ('apply', 'plan')
           AND NOT EXISTS (SELECT 1 FROM task t WHERE t.run_id = task.run_id AND t.asset_id = task.asset_id AND t.entry_key = $3)",
        &[&of.run_id, &of.before, &of.after],
    )
}

/// These entries by the revisions in force; one without any stays as it is.
///
/// # Errors
/// See [`crate::Error`].
pub fn in_force(tx: &mut Transaction<'_>, pairs: Vec<(AssetId, i64)>) -> Result<Vec<(AssetId, i64)>> {
    let mut keys: Vec<i64> = pairs.iter().map(|(_, key)| *key).collect();
    keys.sort_unstable();
    keys.dedup();
    let newer: Vec<(i64, i64)> = tx.all(
        "SELECT o.id, n.id FROM catalogue_entry o JOIN catalogue_entry n ON n.entry = o.entry AND n.current = $2
         WHERE o.id {in $1} AND o.current = $3",
        &[&keys, &true, &false],
    )?;
    let newer: BTreeMap<i64, i64> = newer.into_iter().collect();
    let mut renewed: Vec<(AssetId, i64)> =
        pairs.into_iter().map(|(asset, key)| (asset, newer.get(&key).copied().unwrap_or(key))).collect();
    renewed.sort_unstable();
    renewed.dedup();
    Ok(renewed)
}

/// Requests for approval, not decided yet, of runs with an entry that is no longer in force.
///
/// # Errors
/// See [`crate::Error`].
pub fn outdated_requests(tx: &mut Transaction<'_>) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> = tx.all(
        "SELECT DISTINCT p.id FROM approval p JOIN task t ON t.run_id = p.run_id AND t.kind = 'apply'
         JOIN catalogue_entry e ON e.id = t.entry_key AND e.current = $1
         WHERE p.state = 'pending' ORDER BY p.id",
        &[&false],
    )?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Take entries whose last day is over out of what is offered; gives how many.
///
/// # Errors
/// See [`crate::Error`].
pub fn lapse(tx: &mut Transaction<'_>, now: Timestamp) -> Result<u64> {
    tx.execute(
        "UPDATE catalogue_entry SET current = $2 WHERE current = $3 AND offered_until <= $1",
        &[&now, &false, &true],
    )
}

/// What keeps an entry from being used on an asset: the first CVE it wants patched that an open item there still has, with that
/// item's QID.
///
/// # Errors
/// See [`crate::Error`].
pub fn unpatched(tx: &mut Transaction<'_>, asset: AssetId, requires: &str) -> Result<Option<(String, i64)>> {
    for cve in requires.split_whitespace() {
        let open: Option<(i64,)> = tx.optional(
            "SELECT v.qid FROM vulnerability_cve w JOIN vulnerability v ON v.id = w.vulnerability_id
             JOIN vulnerable_item i ON i.vulnerability_id = v.id AND i.asset_id = $2
             WHERE w.cve = $1 AND i.state <> 'closed' ORDER BY v.qid LIMIT 1",
            &[&cve, &asset],
        )?;
        if let Some((qid,)) = open {
            return Ok(Some((cve.to_owned(), qid)));
        }
    }
    Ok(None)
}
