//! What a run's limits are held by: the policy, counts of each wave, places, permits, the run's state.
//!
//! Every limit of a run is one row and every grant one conditional statement on it, so it holds over all replicas (S6); what is kept
//! apart over all runs is counted, see [`apart`]. A halt changes the same rows, so no grant can be under way beside it and come after
//! it (S7). Counts move in the transaction that moves the task
//! (S12). What it all means is decided in [`domain::rollout`]; what grants and returns have to come to in [`domain::rollout::permit`].

pub mod apart;
pub mod away;
mod counts;
mod permits;
pub mod restarts;

use crate::{Result, Transaction, record};
pub(crate) use counts::{Moves, count, count_new};
pub use counts::{accept, recount, recount_within, tallies, tallies_of};
use domain::asset::Platform;
use domain::id::{AgentKey, AssetId, JobId, RunId};
use domain::rollout::Apart;
use domain::rollout::run::RunState;
use domain::time::Timestamp;
pub(crate) use permits::give_back_all;
use permits::of_run;
pub use permits::{Granted, PermitRow, Wanted, expire, give_back, grant, granted_at, permits, places};

record! {
    /// A run with its job.
    #[derive(Debug, Clone)]
    pub struct RunRow {
        /// Key.
        pub id: RunId,
        /// Job.
        pub job_id: JobId,
        /// Ordinal of the job's number.
        pub job_number: i64,
        /// Platform of the job.
        pub platform: Platform,
        /// Counts the runs of the job.
        pub ordinal: i64,
        /// State.
        pub state: RunState,
        /// Began.
        pub started_at: Timestamp,
        /// Ended.
        pub ended_at: Option<Timestamp>,
        /// The policy as JSON of [`domain::rollout::Policy`]; empty = the default.
        pub rollout: String,
        /// The highest wave that is open.
        pub wave: i64,
        /// How many there are.
        pub waves: i64,
        /// Every start asks for a permit.
        pub permits: bool,
        /// When the results of the open wave became enough.
        pub settled_at: Option<Timestamp>,
        /// What it does: `apply` or `revert`.
        pub does: String,
        /// What the gate says, or why the run is halted.
        pub reason: String,
        /// Halted.
        pub halted_at: Option<Timestamp>,
        /// By whom; `gate` for none.
        pub halted_by: String,
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.job_id, j.number AS job_number, j.platform, r.ordinal, r.state, r.started_at, r.ended_at, r.rollout,
                 r.wave, r.waves, r.permits, r.settled_at, r.does, r.reason, r.halted_at, r.halted_by
             FROM run r JOIN job j ON j.id = r.job_id ",
            $rest
        )
    };
}

/// The policy of a job as JSON; empty = the default.
///
/// # Errors
/// [`crate::Error::NotFound`] for an unknown key.
pub fn policy(tx: &mut Transaction<'_>, job: JobId) -> Result<String> {
    tx.scalar("SELECT rollout FROM job WHERE id = $1", &[&job])
}

/// Store the policy of a job.
///
/// # Errors
/// See [`crate::Error`].
pub fn set_policy(tx: &mut Transaction<'_>, job: JobId, policy: &str) -> Result<()> {
    tx.execute("UPDATE job SET rollout = $2 WHERE id = $1", &[&job, &policy])?;
    Ok(())
}

/// The tags of an asset; one that several scanners report comes once for each.
///
/// # Errors
/// See [`crate::Error`].
pub fn tags(tx: &mut Transaction<'_>, asset: AssetId) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = tx.all("SELECT tag FROM asset_tag WHERE asset_id = $1 ORDER BY tag", &[&asset])?;
    Ok(rows.into_iter().map(|(tag,)| tag).collect())
}

/// A run by its key.
///
/// # Errors
/// [`crate::Error::NotFound`] for an unknown key.
pub fn run(tx: &mut Transaction<'_>, id: RunId) -> Result<RunRow> {
    tx.one(select!("WHERE r.id = $1"), &[&id])
}

/// The runs of a job, newest first: the last 100, and whatever is not over.
///
/// # Errors
/// See [`crate::Error`].
pub fn of_job(tx: &mut Transaction<'_>, job: JobId) -> Result<Vec<RunRow>> {
    tx.all(
        select!(
            "WHERE r.job_id = $1 AND r.does <> 'plan'
               AND (r.state <> 'ended' OR r.ordinal > (SELECT max(n.ordinal) FROM run n WHERE n.job_id = $1) - 100)
             ORDER BY r.ordinal DESC"
        ),
        &[&job],
    )
}

/// Whether a run of this job is halted.
///
/// # Errors
/// See [`crate::Error`].
pub fn any_halted(tx: &mut Transaction<'_>, job: JobId) -> Result<bool> {
    tx.scalar("SELECT EXISTS (SELECT 1 FROM run WHERE job_id = $1 AND state IN ('halting', 'halted'))", &[&job])
}

/// How many runs [`at_work`] gives at once.
pub const PAGE: i64 = 1_000;

/// Runs in this state that began their work, by key and after this one, at most [`PAGE`]: what gates are judged for.
///
/// # Errors
/// See [`crate::Error`].
pub fn at_work(tx: &mut Transaction<'_>, state: RunState, after: RunId) -> Result<Vec<RunRow>> {
    tx.all(
        select!(
            "WHERE r.state = $1 AND r.id > $2 AND r.does <> 'plan' AND (r.state = 'halting' OR r.begun_at IS NOT NULL)
             ORDER BY r.id LIMIT $3"
        ),
        &[&state, &after, &PAGE],
    )
}

/// Whether an earlier run of the job that did the same, with the same contents, went through all its waves, and something came of it.
///
/// # Errors
/// See [`crate::Error`].
pub fn proven(tx: &mut Transaction<'_>, run: &RunRow) -> Result<bool> {
    tx.scalar(
        "SELECT EXISTS (SELECT 1 FROM run r WHERE r.job_id = $1 AND r.ordinal < $2 AND r.does = $3 AND r.state = 'ended'
             AND r.wave >= r.waves AND NOT r.cancelled
             AND EXISTS (SELECT 1 FROM wave_count c WHERE c.run_id = r.id AND c.good > 0)
             AND NOT EXISTS (SELECT 1 FROM task n WHERE n.run_id = $4
                             AND NOT EXISTS (SELECT 1 FROM task o WHERE o.run_id = r.id AND o.entry_key = n.entry_key)))",
        &[&run.job_id, &run.ordinal, &run.does, &run.id],
    )
}

/// Hosts of a run whose work had begun and of which nobody knows what became, but for those that a person has accepted. What
/// several tasks of one host say is one host.
///
/// # Errors
/// See [`crate::Error`].
pub fn silent_hosts(tx: &mut Transaction<'_>, run: RunId) -> Result<i64> {
    tx.scalar(
        "SELECT count(DISTINCT asset_id) FROM task
         WHERE run_id = $1 AND state = 'unknown' AND started_at IS NOT NULL AND NOT accepted",
        &[&run],
    )
}

/// How a run begins.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// The policy as JSON.
    pub policy: String,
    /// What the policy keeps apart.
    pub apart: Option<Apart>,
    /// How many waves it has.
    pub waves: i64,
    /// Every start asks for a permit.
    pub permits: bool,
    /// Everything is halted.
    pub closed: bool,
}

/// Give a run that was just made its policy and its place.
///
/// # Errors
/// See [`crate::Error`].
pub fn begin(tx: &mut Transaction<'_>, id: RunId, with: &Beginning) -> Result<()> {
    let (tag, at_most) = with.apart.as_ref().map_or(("", 0), |apart| (apart.tag.as_str(), i64::from(apart.at_most)));
    tx.execute(
        "UPDATE run SET rollout = $2, waves = $3, permits = $4, apart_tag = $5, apart_at_most = $6 WHERE id = $1",
        &[&id, &with.policy, &with.waves, &with.permits, &tag, &at_most],
    )?;
    tx.execute(
        "INSERT INTO place (scope, taken, next_at, closed) VALUES ($1, 0, $2, $3)
         ON CONFLICT (scope) DO UPDATE SET closed = excluded.closed",
        &[&of_run(id), &Timestamp::from_micros(0), &with.closed],
    )?;
    Ok(())
}

/// Forget what belongs to a run that is taken back.
///
/// # Errors
/// See [`crate::Error`].
pub fn drop_run(tx: &mut Transaction<'_>, id: RunId) -> Result<()> {
    tx.execute("DELETE FROM wave_count WHERE run_id = $1", &[&id])?;
    tx.execute("DELETE FROM permit WHERE run_id = $1", &[&id])?;
    tx.execute("DELETE FROM place WHERE scope = $1", &[&of_run(id)])?;
    restarts::drop_run(tx, id)
}

// --- the run's state -------------------------------------------------------------------------------------------------

/// Open the wave after `wave`; `false` when somebody else did, or the run is halted.
///
/// # Errors
/// See [`crate::Error`].
pub fn promote(tx: &mut Transaction<'_>, id: RunId, wave: i64) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE run SET wave = wave + 1, settled_at = NULL, reason = ''
         WHERE id = $1 AND wave = $2 AND wave < waves AND state = 'open'",
        &[&id, &wave],
    )?;
    Ok(changed == 1)
}

/// Remember since when the results of a wave are enough, and what its gate says; `false` when nothing is new.
///
/// # Errors
/// See [`crate::Error`].
pub fn judged(tx: &mut Transaction<'_>, id: RunId, settled_at: Option<Timestamp>, reason: &str) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE run SET settled_at = $2, reason = $3
         WHERE id = $1 AND state = 'open' AND (reason <> $3 OR coalesce(settled_at, -1) <> coalesce($2, -1))",
        &[&id, &settled_at, &reason],
    )?;
    Ok(changed == 1)
}

/// Move a run from one state to another, closing or opening its place with it; `false` when it was not in `from`.
///
/// # Errors
/// See [`crate::Error`].
pub fn set_state(
    tx: &mut Transaction<'_>,
    id: RunId,
    (from, to): (RunState, RunState),
    (by, reason): (&str, &str),
    now: Timestamp,
) -> Result<bool> {
    let halted_at = to.stopped().then_some(now);
    let changed = tx.execute(
        "UPDATE run SET state = $3, reason = $4, halted_by = $5,
             halted_at = CASE WHEN $3 = 'halted' THEN halted_at ELSE $6 END
         WHERE id = $1 AND state = $2",
        &[&id, &from, &to, &reason, &by, &halted_at],
    )?;
    Ok(changed == 1)
}

/// Close or open the place of one run.
///
/// # Errors
/// See [`crate::Error`].
pub fn close(tx: &mut Transaction<'_>, id: RunId, closed: bool) -> Result<()> {
    tx.execute("UPDATE place SET closed = $2 WHERE scope = $1", &[&of_run(id), &closed])?;
    Ok(())
}

/// Close the places of all runs, or open those of all that are not halted themselves.
///
/// # Errors
/// See [`crate::Error`].
pub fn close_all(tx: &mut Transaction<'_>, closed: bool) -> Result<()> {
    let sql = if closed {
        "UPDATE place SET closed = $1 WHERE scope LIKE 'run/%'"
    } else {
        "UPDATE place SET closed = $1 WHERE scope LIKE 'run/%'
           AND NOT EXISTS (SELECT 1 FROM run r WHERE 'run/' || CAST(r.id AS TEXT) = place.scope
                             AND r.state IN ('halting', 'halted'))"
    };
    tx.execute(sql, &[&closed])?;
    Ok(())
}

/// The agents that an order of this run is out to.
///
/// # Errors
/// See [`crate::Error`].
pub fn agents_out(tx: &mut Transaction<'_>, id: RunId) -> Result<Vec<AgentKey>> {
    let rows: Vec<(AgentKey,)> = tx.all(
        "SELECT DISTINCT agent_key FROM task WHERE run_id = $1 AND agent_key IS NOT NULL
           AND state IN ('offered', 'accepted', 'unknown')",
        &[&id],
    )?;
    Ok(rows.into_iter().map(|(agent,)| agent).collect())
}

/// What of a run may still be at work: permits out, tasks that run, and orders out that need no permit.
///
/// # Errors
/// See [`crate::Error`].
pub fn at_large(tx: &mut Transaction<'_>, id: RunId) -> Result<i64> {
    tx.scalar(
        "SELECT (SELECT count(*) FROM permit WHERE run_id = $1 AND back_at IS NULL)
              + (SELECT count(*) FROM task t WHERE t.run_id = $1
                   AND (t.state = 'running' OR (t.permit = $2 AND t.state IN ('offered', 'accepted', 'unknown'))))",
        &[&id, &false],
    )
}
