//! Runs of jobs, and when the next one of a recurring job is made.

use crate::{Result, Sql, Transaction, record, rollouts, scope};
use domain::access::AssetScope;
use domain::id::{AssetId, JobId, RunId};
use domain::time::Timestamp;

record! {
    /// A run.
    #[derive(Debug, Clone)]
    pub struct RunRow {
        /// Key.
        pub id: RunId,
        /// Job.
        pub job_id: JobId,
        /// 1, 2, and so on within the job.
        pub ordinal: i64,
        /// `open`, `halting`, `halted` or `ended`.
        pub state: String,
        /// The civil time of the schedule it is for, `2026-11-22T03:00:00`; none for one that somebody asked for.
        pub occurrence: Option<String>,
        /// Why it was made: `enabled`, `schedule`, `now`, `retry`.
        pub cause: String,
        /// `apply`, `revert`, or `plan` for a dry run, whose ordinal is 0 or below.
        pub does: String,
        /// Who asked for it.
        pub asked_by: String,
        /// Somebody cancelled it.
        pub cancelled: bool,
        /// `COMPLETED` or `COMPLETED_WITH_FAILURES` once ended.
        pub outcome: String,
        /// Made.
        pub started_at: Timestamp,
        /// The first of its tasks became due.
        pub begun_at: Option<Timestamp>,
        /// Its last task ended.
        pub ended_at: Option<Timestamp>,
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, job_id, ordinal, state, occurrence, cause, does, asked_by, cancelled, outcome, started_at, begun_at,
                 ended_at
             FROM run ",
            $rest
        )
    };
}

/// A run to be made.
#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    /// Job.
    pub job: JobId,
    /// The civil time of the schedule it is for.
    pub occurrence: Option<&'a str>,
    /// Why.
    pub cause: &'a str,
    /// `apply` or `revert`.
    pub does: &'a str,
    /// Who asks for it.
    pub asked_by: &'a str,
}

/// Begin a run, with the ordinal after the last one's.
///
/// # Errors
/// [`crate::Error::Conflict`] on `run_ordinal` or `run_occurrence` when somebody else begins it at the same moment.
pub fn begin(tx: &mut Transaction<'_>, new: &NewRun<'_>, now: Timestamp) -> Result<RunId> {
    let ordinal = last(tx, new.job)?.map_or(1, |run| run.ordinal + 1);
    tx.insert(
        "INSERT INTO run (job_id, ordinal, state, occurrence, cause, does, asked_by, started_at)
         VALUES ($1, $2, 'open', $3, $4, $5, $6, $7) RETURNING id",
        &[&new.job, &ordinal, &new.occurrence, &new.cause, &new.does, &new.asked_by, &now],
    )
}

/// The newest run of a job.
///
/// # Errors
/// See [`crate::Error`].
pub fn last(tx: &mut Transaction<'_>, job: JobId) -> Result<Option<RunRow>> {
    tx.optional(select!("WHERE job_id = $1 ORDER BY ordinal DESC LIMIT 1"), &[&job])
}

/// A run of a job by its ordinal.
///
/// # Errors
/// See [`crate::Error`].
pub fn by_ordinal(tx: &mut Transaction<'_>, job: JobId, ordinal: i64) -> Result<Option<RunRow>> {
    tx.optional(select!("WHERE job_id = $1 AND ordinal = $2"), &[&job, &ordinal])
}

/// A run for one civil time of the schedule exists.
///
/// # Errors
/// See [`crate::Error`].
pub fn exists(tx: &mut Transaction<'_>, job: JobId, occurrence: &str) -> Result<bool> {
    let found: Option<RunRow> = tx.optional(select!("WHERE job_id = $1 AND occurrence = $2"), &[&job, &occurrence])?;
    Ok(found.is_some())
}

/// The runs of a job that are not over, oldest first.
///
/// # Errors
/// See [`crate::Error`].
pub fn open(tx: &mut Transaction<'_>, job: JobId) -> Result<Vec<RunRow>> {
    tx.all(select!("WHERE job_id = $1 AND state <> 'ended' AND does <> 'plan' ORDER BY ordinal"), &[&job])
}

/// The run of a job that people mean when they name none: the newest that does something.
///
/// # Errors
/// See [`crate::Error`].
pub fn shown(tx: &mut Transaction<'_>, job: JobId) -> Result<Option<RunRow>> {
    tx.optional(select!("WHERE job_id = $1 AND does <> 'plan' ORDER BY ordinal DESC LIMIT 1"), &[&job])
}

/// The runs of a job of which something may still have to be told: those that are open, and the newest.
///
/// # Errors
/// See [`crate::Error`].
pub fn told(tx: &mut Transaction<'_>, job: JobId) -> Result<Vec<RunRow>> {
    tx.all(
        select!(
            "WHERE job_id = $1 AND does <> 'plan'
               AND (state <> 'ended' OR ordinal = (SELECT max(n.ordinal) FROM run n WHERE n.job_id = $1 AND n.does <> 'plan'))
             ORDER BY ordinal"
        ),
        &[&job],
    )
}

/// The newest runs of a job, newest first.
///
/// # Errors
/// See [`crate::Error`].
pub fn newest(tx: &mut Transaction<'_>, job: JobId, most: i64) -> Result<Vec<RunRow>> {
    tx.all(select!("WHERE job_id = $1 AND does <> 'plan' ORDER BY ordinal DESC LIMIT $2"), &[&job, &most])
}

/// How many runs a job has had.
///
/// # Errors
/// See [`crate::Error`].
pub fn count(tx: &mut Transaction<'_>, job: JobId) -> Result<i64> {
    tx.scalar("SELECT count(*) FROM run WHERE job_id = $1 AND does <> 'plan'", &[&job])
}

/// A run with how many tasks it has, how many are open, and how many have code 0 and 1.
pub type Counted = (RunId, i64, i64, i64, i64);

/// Of each run of a job from this one on: how many tasks there are, how many have not ended, and how many have code 0 and
/// 1, on the assets inside the scope.
///
/// # Errors
/// See [`crate::Error`].
pub fn counts(tx: &mut Transaction<'_>, job: JobId, from: RunId, within: &AssetScope) -> Result<Vec<Counted>> {
    let mut sql = Sql::new(
        "SELECT t.run_id, count(*), count(*) FILTER (WHERE t.code IS NULL), count(*) FILTER (WHERE t.code = 0),
             count(*) FILTER (WHERE t.code = 1)
         FROM task t WHERE t.kind <> 'plan' AND t.job_id = ",
    )
    .bind(&job)
    .text(" AND t.run_id >= ")
    .bind(&from);
    if let Some(scope) = scope::assets(within, "t.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    tx.all_built(&sql.text(" GROUP BY t.run_id ORDER BY 1"))
}

/// Take runs back that have not begun, of which nothing was ever ordered: a job that is disabled again has none (R7).
///
/// # Errors
/// See [`crate::Error`].
pub fn drop_waiting(tx: &mut Transaction<'_>, job: JobId) -> Result<()> {
    let waiting: Vec<(RunId,)> = tx.all(
        "SELECT id FROM run WHERE job_id = $1 AND state <> 'ended' AND begun_at IS NULL AND does <> 'plan'",
        &[&job],
    )?;
    for (run,) in waiting {
        rollouts::drop_run(tx, run)?;
    }
    tx.execute(
        "DELETE FROM task WHERE run_id IN (
             SELECT id FROM run WHERE job_id = $1 AND state <> 'ended' AND begun_at IS NULL AND does <> 'plan')",
        &[&job],
    )?;
    tx.execute(
        "DELETE FROM run WHERE job_id = $1 AND state <> 'ended' AND begun_at IS NULL AND does <> 'plan'",
        &[&job],
    )?;
    Ok(())
}

/// Take one run back that has not begun.
///
/// # Errors
/// See [`crate::Error`].
pub fn drop_one(tx: &mut Transaction<'_>, run: RunId) -> Result<()> {
    let waiting: Option<(RunId,)> =
        tx.optional("SELECT id FROM run WHERE id = $1 AND state <> 'ended' AND begun_at IS NULL", &[&run])?;
    if waiting.is_none() {
        return Ok(());
    }
    rollouts::drop_run(tx, run)?;
    tx.execute("DELETE FROM task WHERE run_id = $1", &[&run])?;
    tx.execute("DELETE FROM run WHERE id = $1", &[&run])?;
    Ok(())
}

/// Mark a run as cancelled.
///
/// # Errors
/// See [`crate::Error`].
pub fn set_cancelled(tx: &mut Transaction<'_>, run: RunId) -> Result<()> {
    tx.execute("UPDATE run SET cancelled = TRUE WHERE id = $1", &[&run])?;
    Ok(())
}

/// Runs whose tasks have all ended but that have not, halted ones too.
///
/// # Errors
/// See [`crate::Error`].
pub fn all_ended(tx: &mut Transaction<'_>) -> Result<Vec<(RunId, JobId)>> {
    tx.all(
        "SELECT r.id, r.job_id FROM run r WHERE r.state <> 'ended' AND r.does <> 'plan'
           AND NOT EXISTS (SELECT 1 FROM task t WHERE t.run_id = r.id AND t.code IS NULL)
         ORDER BY r.id LIMIT 100",
        &[],
    )
}

/// Close a run.
///
/// # Errors
/// See [`crate::Error`].
pub fn end(tx: &mut Transaction<'_>, run: RunId, outcome: &str, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE run SET state = 'ended', outcome = $2, ended_at = $3 WHERE id = $1", &[&run, &outcome, &now])?;
    Ok(())
}

/// The code of the last task of each asset and action of a job, by whichever revision; none while that task is open. Plans change nothing and so
/// do not count.
///
/// # Errors
/// See [`crate::Error`].
pub fn last_results(tx: &mut Transaction<'_>, job: JobId) -> Result<Vec<(AssetId, i64, Option<i64>)>> {
    tx.all(
        "SELECT asset_id, entry_key, code FROM (
             SELECT t.asset_id, t.entry_key, t.code,
                 row_number() OVER (PARTITION BY t.asset_id, e.entry ORDER BY t.id DESC) AS newest
             FROM task t JOIN catalogue_entry e ON e.id = t.entry_key WHERE t.job_id = $1 AND t.kind IN ('apply', 'revert')
         ) AS result WHERE newest = 1 ORDER BY 1, 2",
        &[&job],
    )
}

/// Recurring jobs that may have a run to make: enabled, not held, and their time has come.
///
/// # Errors
/// See [`crate::Error`].
pub fn due(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<JobId>> {
    let rows: Vec<(JobId,)> = tx.all(
        "SELECT id FROM job WHERE next_at <= $1 AND status = 'ENABLED' AND NOT paused AND deleted_at IS NULL
         ORDER BY next_at, id LIMIT 100",
        &[&now],
    )?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// When to look at a job next, and the civil time its next run is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// When.
    pub at: Timestamp,
    /// For which time of the schedule.
    pub time: String,
}

/// Say when the next run of a job is made; none when there is none.
///
/// # Errors
/// See [`crate::Error`].
pub fn set_next(tx: &mut Transaction<'_>, job: JobId, next: Option<&Next>) -> Result<()> {
    let (at, time) = (next.map(|next| next.at), next.map_or("", |next| next.time.as_str()));
    tx.execute("UPDATE job SET next_at = $2, next_time = $3 WHERE id = $1", &[&job, &at, &time])?;
    Ok(())
}

/// Go on from one civil time of a job to its next look; `false` when another replica did.
///
/// # Errors
/// See [`crate::Error`].
pub fn take_turn(tx: &mut Transaction<'_>, job: JobId, from: &str, next: Option<&Next>) -> Result<bool> {
    let (at, time) = (next.map(|next| next.at), next.map_or("", |next| next.time.as_str()));
    Ok(tx.execute(
        "UPDATE job SET next_at = $3, next_time = $4 WHERE id = $1 AND next_time = $2 AND next_at IS NOT NULL",
        &[&job, &from, &at, &time],
    )? == 1)
}

/// Look at every recurring job again at the next look: an agent has come to another zone, which may be an earlier one.
///
/// # Errors
/// See [`crate::Error`].
pub fn look_again(tx: &mut Transaction<'_>, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE job SET next_at = $1 WHERE next_at > $1 AND status = 'ENABLED'", &[&now])?;
    Ok(())
}

/// The zones of the agents in force, each once.
///
/// # Errors
/// See [`crate::Error`].
pub fn zones(tx: &mut Transaction<'_>) -> Result<Vec<String>> {
    let rows: Vec<(String,)> =
        tx.all("SELECT DISTINCT zone FROM agent WHERE revoked_at IS NULL AND zone <> '' ORDER BY 1", &[])?;
    Ok(rows.into_iter().map(|(zone,)| zone).collect())
}

/// Mark as begun what has begun: runs with a task that is due, and their jobs.
///
/// # Errors
/// See [`crate::Error`].
pub fn mark_begun(tx: &mut Transaction<'_>, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE run SET begun_at = $1 WHERE state <> 'ended' AND begun_at IS NULL AND does <> 'plan'
           AND EXISTS (SELECT 1 FROM task t WHERE t.run_id = run.id AND t.state <> 'pending')",
        &[&now],
    )?;
    tx.execute(
        "UPDATE job SET started_at = $1 WHERE status = 'ENABLED' AND started_at IS NULL
           AND EXISTS (SELECT 1 FROM run r WHERE r.job_id = job.id AND r.state <> 'ended' AND r.begun_at IS NOT NULL)",
        &[&now],
    )?;
    Ok(())
}

/// A job that stays enabled is started only as far as a run of it is under way.
///
/// # Errors
/// See [`crate::Error`].
pub fn settle_started(tx: &mut Transaction<'_>, job: JobId) -> Result<()> {
    tx.execute(
        "UPDATE job SET started_at = (SELECT min(r.begun_at) FROM run r WHERE r.job_id = job.id AND r.state <> 'ended')
         WHERE id = $1",
        &[&job],
    )?;
    Ok(())
}
