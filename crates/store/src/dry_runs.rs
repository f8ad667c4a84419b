//! Dry runs of jobs: runs with an ordinal of 0 and below, whose tasks are of kind `plan`. Everything that counts a job's work
//! leaves them out.

use crate::{Result, Sql, Transaction, record, scope};
use domain::access::AssetScope;
use domain::id::{AssetId, JobId, RunId, TaskId};
use domain::task::State;
use domain::time::Timestamp;

record! {
    /// A dry run.
    #[derive(Debug, Clone)]
    pub struct DryRunRow {
        /// Key.
        pub id: RunId,
        /// Its ordinal, 0 and below.
        pub ordinal: i64,
        /// Begun.
        pub started_at: Timestamp,
        /// Over.
        pub ended_at: Option<Timestamp>,
    }
}

/// Begin a dry run of a job as it stands; those before it are over.
///
/// # Errors
/// See [`crate::Error`].
pub fn begin(tx: &mut Transaction<'_>, job: JobId, now: Timestamp) -> Result<RunId> {
    let lowest: Option<i64> = tx.scalar("SELECT min(ordinal) FROM run WHERE job_id = $1 AND ordinal <= 0", &[&job])?;
    let ordinal = lowest.map_or(0, |lowest| lowest - 1);
    tx.insert(
        "INSERT INTO run (job_id, ordinal, state, cause, does, started_at)
         VALUES ($1, $2, 'open', 'dry_run', 'plan', $3) RETURNING id",
        &[&job, &ordinal, &now],
    )
}

/// The newest dry run of a job.
///
/// # Errors
/// See [`crate::Error`].
pub fn last(tx: &mut Transaction<'_>, job: JobId) -> Result<Option<DryRunRow>> {
    tx.optional(
        "SELECT id, ordinal, started_at, ended_at FROM run WHERE job_id = $1 AND ordinal <= 0
         ORDER BY ordinal LIMIT 1",
        &[&job],
    )
}

/// End a dry run.
///
/// # Errors
/// See [`crate::Error`].
pub fn end(tx: &mut Transaction<'_>, run: RunId, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE run SET state = 'ended', ended_at = $2 WHERE id = $1 AND state = 'open'", &[&run, &now])?;
    Ok(())
}

/// End the dry runs that are answered in full; gives their jobs.
///
/// # Errors
/// See [`crate::Error`].
pub fn close_answered(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<JobId>> {
    let rows: Vec<(JobId,)> = tx.all(
        "UPDATE run SET state = 'ended', ended_at = $1
         WHERE state = 'open' AND ordinal <= 0
           AND NOT EXISTS (SELECT 1 FROM task t WHERE t.run_id = run.id AND t.code IS NULL)
         RETURNING job_id",
        &[&now],
    )?;
    Ok(rows.into_iter().map(|(job,)| job).collect())
}

/// Dry runs begun before `limit` that still wait for agents.
///
/// # Errors
/// See [`crate::Error`].
pub fn overdue(tx: &mut Transaction<'_>, limit: Timestamp) -> Result<Vec<(RunId, JobId)>> {
    tx.all(
        "SELECT id, job_id FROM run WHERE state = 'open' AND ordinal <= 0 AND started_at < $1 ORDER BY id LIMIT 100",
        &[&limit],
    )
}

/// What a dry run was made of: every (asset, entry).
///
/// # Errors
/// See [`crate::Error`].
pub fn pairs(tx: &mut Transaction<'_>, run: RunId) -> Result<Vec<(AssetId, i64)>> {
    tx.all("SELECT asset_id, entry_key FROM task WHERE run_id = $1 ORDER BY 1, 2", &[&run])
}

record! {
    /// What one machine says of one entry.
    #[derive(Debug, Clone)]
    pub struct Answer {
        /// The task it is the answer to.
        pub task_id: TaskId,
        /// Asset.
        pub asset_id: AssetId,
        /// Its name.
        pub asset_name: String,
        /// Its address.
        pub ip: String,
        /// Catalogue entry's key.
        pub entry_key: i64,
        /// Entry id.
        pub entry: String,
        /// Its title.
        pub title: String,
        /// State of the task.
        pub state: State,
        /// For people.
        pub message: String,
        /// Report as JSON, empty before there is one.
        pub report: String,
    }
}

/// What [`answers`] gives at once.
pub const PAGE: i64 = 2_000;

/// The answers of a dry run on the assets inside the scope: by the keys of its tasks, after this one, at most [`PAGE`].
///
/// # Errors
/// See [`crate::Error`].
pub fn answers(tx: &mut Transaction<'_>, run: RunId, within: &AssetScope, after: TaskId) -> Result<Vec<Answer>> {
    let mut sql = Sql::new(
        "SELECT t.id AS task_id, t.asset_id, a.name AS asset_name, a.ip, t.entry_key, e.entry, e.title, t.state, t.message,
             t.report
         FROM task t JOIN asset a ON a.id = t.asset_id JOIN catalogue_entry e ON e.id = t.entry_key
         WHERE t.run_id = ",
    )
    .bind(&run)
    .text(" AND t.id > ")
    .bind(&after);
    if let Some(scope) = scope::assets(within, "t.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    tx.all_built(&sql.text(" ORDER BY t.id LIMIT ").bind(&PAGE))
}
