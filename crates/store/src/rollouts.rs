//! What a run's limits are held by: the policy, counts of each wave, places, permits, the run's state.
//!
//! Every limit is one row and every grant one conditional statement on it, so it holds over all replicas (S6). A halt changes the
//! same rows, so no grant can be under way beside it and come after it (S7). Counts move in the transaction that moves the task
//! (S12). What it all means is decided in [`domain::rollout`]; what grants and returns have to come to in [`domain::rollout::permit`].

pub mod away;
pub mod restarts;

use crate::{Result, Sql, Transaction, record, scope};
use domain::access::AssetScope;
use domain::asset::Platform;
use domain::id::{AgentKey, AssetId, JobId, RunId, TaskId};
use domain::rollout::gate::{Bucket, Tally};
use domain::rollout::permit;
use domain::rollout::run::RunState;
use domain::time::Timestamp;
use std::collections::BTreeMap;

/// Over how many rows the counts of a wave are spread, so that replicas rarely change the same one.
pub const SHARDS: i64 = 16;

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
        /// Failures that a person accepted by letting the run go on.
        pub accepted: i64,
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
                 r.wave, r.waves, r.permits, r.settled_at, r.accepted, r.reason, r.halted_at, r.halted_by
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

/// The tags of the assets of a run, one row per asset and tag.
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

/// Runs that have not ended and began their work: what gates are judged for.
///
/// # Errors
/// See [`crate::Error`].
pub fn at_work(tx: &mut Transaction<'_>) -> Result<Vec<RunRow>> {
    tx.all(
        select!(
            "WHERE r.state <> 'ended' AND r.does <> 'plan' AND EXISTS (SELECT 1 FROM task t WHERE t.run_id = r.id AND t.state <> 'pending')
             ORDER BY r.id LIMIT 1000"
        ),
        &[],
    )
}

/// How a run begins.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// The policy as JSON.
    pub policy: String,
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
    tx.execute(
        "UPDATE run SET rollout = $2, waves = $3, permits = $4 WHERE id = $1",
        &[&id, &with.policy, &with.waves, &with.permits],
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

// --- counts ----------------------------------------------------------------------------------------------------------

/// Count the tasks of runs that were just made.
///
/// # Errors
/// See [`crate::Error`].
pub(crate) fn count_new(tx: &mut Transaction<'_>) -> Result<()> {
    tx.execute(
        "INSERT INTO wave_count (run_id, wave, shard, waiting, offered, unknown, good, bad, neutral, untried)
         SELECT run_id, wave, 0, count(*), 0, 0, 0, 0, 0, 0 FROM task_batch GROUP BY run_id, wave
         ON CONFLICT (run_id, wave, shard) DO UPDATE SET waiting = wave_count.waiting + excluded.waiting",
        &[],
    )?;
    Ok(())
}

/// How the counts of one wave change. All of it goes to one shard: only the sum over the shards is a count.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    shard: Option<i64>,
    change: BTreeMap<Bucket, i64>,
}

impl Moves {
    /// A task moves from one bucket to another.
    pub(crate) fn add(&mut self, task: TaskId, from: Bucket, to: Bucket) {
        self.shard.get_or_insert(task.0 % SHARDS);
        *self.change.entry(from).or_default() -= 1;
        *self.change.entry(to).or_default() += 1;
    }
}

/// Tasks of a wave move from bucket to bucket.
///
/// # Errors
/// See [`crate::Error`].
pub(crate) fn count(tx: &mut Transaction<'_>, run: RunId, wave: i64, moves: &Moves) -> Result<()> {
    let change = |bucket: Bucket| moves.change.get(&bucket).copied().unwrap_or(0);
    tx.execute(
        "INSERT INTO wave_count (run_id, wave, shard, waiting, offered, unknown, good, bad, neutral, untried)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (run_id, wave, shard) DO UPDATE SET waiting = wave_count.waiting + excluded.waiting,
             offered = wave_count.offered + excluded.offered, unknown = wave_count.unknown + excluded.unknown,
             good = wave_count.good + excluded.good, bad = wave_count.bad + excluded.bad,
             neutral = wave_count.neutral + excluded.neutral, untried = wave_count.untried + excluded.untried",
        &[
            &run,
            &wave,
            &moves.shard.unwrap_or(0),
            &change(Bucket::Waiting),
            &change(Bucket::Out),
            &change(Bucket::Unknown),
            &change(Bucket::Good),
            &change(Bucket::Bad),
            &change(Bucket::Neutral),
            &change(Bucket::Untried),
        ],
    )?;
    Ok(())
}

type Counts = (i64, i64, i64, i64, i64, i64, i64, i64);

/// The counts of each wave of a run, first wave first.
///
/// # Errors
/// See [`crate::Error`].
pub fn tallies(tx: &mut Transaction<'_>, run: RunId) -> Result<Vec<(i64, Tally)>> {
    let rows: Vec<Counts> = tx.all(
        "SELECT wave, CAST(sum(waiting) AS BIGINT), CAST(sum(offered) AS BIGINT), CAST(sum(unknown) AS BIGINT),
             CAST(sum(good) AS BIGINT), CAST(sum(bad) AS BIGINT), CAST(sum(neutral) AS BIGINT), CAST(sum(untried) AS BIGINT)
         FROM wave_count WHERE run_id = $1 GROUP BY wave ORDER BY wave",
        &[&run],
    )?;
    let whole = |count: i64| u64::try_from(count).unwrap_or(0);
    let tally = |(wave, waiting, offered, unknown, good, bad, neutral, untried): Counts| {
        let tally = Tally {
            waiting: whole(waiting),
            out: whole(offered),
            unknown: whole(unknown),
            good: whole(good),
            bad: whole(bad),
            neutral: whole(neutral),
            untried: whole(untried),
        };
        (wave, tally)
    };
    Ok(rows.into_iter().map(tally).collect())
}

/// The same counted from the tasks: what [`tallies`] has to be (S12).
///
/// # Errors
/// See [`crate::Error`].
pub fn recount(tx: &mut Transaction<'_>, run: RunId) -> Result<Vec<(i64, Tally)>> {
    recount_within(tx, run, &AssetScope::All)
}

/// The same of the tasks on assets inside the scope.
///
/// # Errors
/// See [`crate::Error`].
pub fn recount_within(tx: &mut Transaction<'_>, run: RunId, within: &AssetScope) -> Result<Vec<(i64, Tally)>> {
    let mut sql = Sql::new("SELECT t.wave, t.state FROM task t WHERE t.run_id = ").bind(&run);
    if let Some(scope) = scope::assets(within, "t.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    let rows: Vec<(i64, domain::task::State)> = tx.all_built(&sql.text(" ORDER BY t.wave, t.id"))?;
    let mut waves: Vec<i64> = rows.iter().map(|(wave, _)| *wave).collect();
    waves.dedup();
    let of = |wave: i64| Tally::of(rows.iter().filter(|(at, _)| *at == wave).map(|(_, state)| *state));
    Ok(waves.into_iter().map(|wave| (wave, of(wave))).collect())
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

/// Remember how many failures of a run a person has accepted.
///
/// # Errors
/// See [`crate::Error`].
pub fn accept(tx: &mut Transaction<'_>, id: RunId, failures: i64) -> Result<()> {
    tx.execute("UPDATE run SET accepted = $2 WHERE id = $1", &[&id, &failures])?;
    Ok(())
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

// --- places and permits ----------------------------------------------------------------------------------------------

fn of_run(id: RunId) -> String {
    format!("run/{id}")
}

fn of_group(group: &str) -> String {
    format!("group/{group}")
}

record! {
    /// A permit.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PermitRow {
        /// Task.
        pub task_id: TaskId,
        /// Epoch.
        pub epoch: i64,
        /// Run.
        pub run_id: RunId,
        /// Group whose place it takes; empty without.
        pub apart: String,
        /// Granted last.
        pub granted_at: Timestamp,
        /// Its places are free again.
        pub expires_at: Timestamp,
        /// Given back.
        pub back_at: Option<Timestamp>,
    }
}

pub use domain::rollout::permit::{Granted, Wanted};

/// Take the places of a permit, or renew it (S6, S7): either everything is taken or nothing.
///
/// # Errors
/// See [`crate::Error`].
pub fn grant(tx: &mut Transaction<'_>, want: &Wanted<'_>, now: Timestamp) -> Result<Granted> {
    let scope = of_run(want.run);
    let out: Option<(i64,)> = tx.optional(
        "SELECT epoch FROM permit WHERE task_id = $1 AND epoch = $2 AND back_at IS NULL",
        &[&want.task, &want.epoch],
    )?;
    if out.is_some() {
        // The same question again: its places are held already, but a halt has to be seen, so the row is changed.
        let open = tx.execute("UPDATE place SET taken = taken WHERE scope = $1 AND closed = $2", &[&scope, &false])?;
        if open == 0 {
            return Ok(Granted::Closed);
        }
    } else {
        // The group first: who has to wait for its group must not use up the starts of the run.
        let group = want.apart.map(|(group, at_most)| (of_group(group), at_most));
        let mut room = true;
        if let Some((group, at_most)) = &group {
            prepare(tx, group)?;
            room = take(tx, group, *at_most, 0, now)?;
        }
        if !room || !take(tx, &scope, want.max_running, want.interval, now)? {
            if let Some((group, _)) = group.filter(|_| room) {
                free(tx, &group, 1)?;
            }
            let closed: Option<(bool,)> = tx.optional("SELECT closed FROM place WHERE scope = $1", &[&scope])?;
            return Ok(if closed.is_none_or(|(closed,)| closed) { Granted::Closed } else { Granted::Full });
        }
    }
    let apart = want.apart.map_or("", |(group, _)| group);
    tx.execute(
        "INSERT INTO permit (task_id, epoch, run_id, apart, granted_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (task_id, epoch) DO UPDATE SET granted_at = excluded.granted_at, expires_at = excluded.expires_at,
             apart = CASE WHEN permit.back_at IS NULL THEN permit.apart ELSE excluded.apart END, back_at = NULL",
        &[&want.task, &want.epoch, &want.run, &apart, &now, &want.expires_at],
    )?;
    Ok(Granted::Yes)
}

/// A place that nobody has taken, where there is none yet.
fn prepare(tx: &mut Transaction<'_>, scope: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO place (scope, taken, next_at, closed) VALUES ($1, 0, $2, $3) ON CONFLICT (scope) DO NOTHING",
        &[&scope, &Timestamp::from_micros(0), &false],
    )?;
    Ok(())
}

/// The one conditional statement.
fn take(tx: &mut Transaction<'_>, scope: &str, limit: i64, interval: i64, now: Timestamp) -> Result<bool> {
    let next = permit::next_at(now, interval);
    let taken = tx.execute(
        "UPDATE place SET taken = taken + 1, next_at = $4 WHERE scope = $1 AND closed = $5 AND taken < $2 AND next_at <= $3",
        &[&scope, &limit, &now, &next, &false],
    )?;
    Ok(taken == 1)
}

fn free(tx: &mut Transaction<'_>, scope: &str, count: i64) -> Result<()> {
    tx.execute("UPDATE place SET taken = taken - $2 WHERE scope = $1", &[&scope, &count])?;
    Ok(())
}

/// Give back whatever permit of this task is out: it ended, or will never start.
///
/// # Errors
/// See [`crate::Error`].
pub fn give_back(tx: &mut Transaction<'_>, task: TaskId, now: Timestamp) -> Result<()> {
    give_back_all(tx, &[task.0], now)
}

/// Give back whatever permits of these tasks are out.
///
/// # Errors
/// See [`crate::Error`].
pub(crate) fn give_back_all(tx: &mut Transaction<'_>, tasks: &[i64], now: Timestamp) -> Result<()> {
    let rows: Vec<(RunId, String)> = tx.all(
        "UPDATE permit SET back_at = $2 WHERE task_id {in $1} AND back_at IS NULL RETURNING run_id, apart",
        &[&tasks, &now],
    )?;
    free_all(tx, &rows)?;
    restarts::give_back(tx, tasks, now)
}

/// Give back the permits whose time is over; gives how many.
///
/// # Errors
/// See [`crate::Error`].
pub fn expire(tx: &mut Transaction<'_>, now: Timestamp) -> Result<usize> {
    let any: Option<(i64,)> =
        tx.optional("SELECT epoch FROM permit WHERE back_at IS NULL AND expires_at <= $1 LIMIT 1", &[&now])?;
    if any.is_none() {
        return Ok(0);
    }
    let rows: Vec<(RunId, String)> = tx.all(
        "UPDATE permit SET back_at = $1 WHERE back_at IS NULL AND expires_at <= $1 RETURNING run_id, apart",
        &[&now],
    )?;
    free_all(tx, &rows)?;
    Ok(rows.len())
}

fn free_all(tx: &mut Transaction<'_>, rows: &[(RunId, String)]) -> Result<()> {
    let mut places: BTreeMap<String, i64> = BTreeMap::new();
    for (run, apart) in rows {
        *places.entry(of_run(*run)).or_default() += 1;
        if !apart.is_empty() {
            *places.entry(of_group(apart)).or_default() += 1;
        }
    }
    for (scope, count) in places {
        free(tx, &scope, count)?;
    }
    Ok(())
}

/// The permits of a run, newest first.
///
/// # Errors
/// See [`crate::Error`].
pub fn permits(tx: &mut Transaction<'_>, run: RunId) -> Result<Vec<PermitRow>> {
    tx.all(
        "SELECT task_id, epoch, run_id, apart, granted_at, expires_at, back_at FROM permit WHERE run_id = $1
         ORDER BY granted_at DESC, task_id LIMIT 10000",
        &[&run],
    )
}

/// How many places are taken, by scope: what has to equal the permits that are out.
///
/// # Errors
/// See [`crate::Error`].
pub fn places(tx: &mut Transaction<'_>) -> Result<Vec<(String, i64, bool)>> {
    tx.all("SELECT scope, taken, closed FROM place ORDER BY scope", &[])
}
