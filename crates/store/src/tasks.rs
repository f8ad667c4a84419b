//! Tasks: one mitigation on one asset in a run, their orders, and the events agents reported.

use crate::{Result, Sql, Transaction, record, rollouts, scope};
use domain::access::AssetScope;
use domain::id::{AgentKey, AssetId, JobId, RunId, TaskId};
use domain::rollout::gate::Standing;
use domain::rollout::run::RunState;
use domain::schedule::Resolved;
use domain::task::{self, Life, State};
use domain::time::Timestamp;
use std::collections::BTreeSet;
use uuid::Uuid;

record! {
    /// A task with what an order or a result needs to know around it.
    #[derive(Debug, Clone)]
    pub struct TaskRow {
        /// Key.
        pub id: TaskId,
        /// Id on the wire.
        pub uuid: Uuid,
        /// Run.
        pub run_id: RunId,
        /// Job.
        pub job_id: JobId,
        /// Ordinal of the job's number.
        pub job_number: i64,
        /// Asset.
        pub asset_id: AssetId,
        /// Its name.
        pub asset_name: String,
        /// The agent it was made for.
        pub agent_key: Option<AgentKey>,
        /// Catalogue entry's key.
        pub entry_key: i64,
        /// Entry id.
        pub entry: String,
        /// Entry's title.
        pub entry_title: String,
        /// Its revision.
        pub entry_revision: i64,
        /// Its digest.
        pub digest: String,
        /// Capabilities it needs.
        pub needs: String,
        /// The entry is in force for new work.
        pub offered: bool,
        /// CVEs that have to be patched on the host first, separated by spaces.
        pub requires_fixed: String,
        /// `mitigation` or `fix`.
        pub implication: String,
        /// State of its run.
        pub run_state: RunState,
        /// Its wave, from 1.
        pub wave: i64,
        /// The order of this epoch needs a permit.
        pub permit: bool,
        /// `apply` or `revert`.
        pub kind: String,
        /// State.
        pub state: State,
        /// Orders made so far.
        pub epoch: i64,
        /// Tries used up.
        pub attempts: i64,
        /// Somebody cancelled.
        pub cancel_requested: bool,
        /// Not before.
        pub due_at: Timestamp,
        /// Zone it was resolved in.
        pub zone: String,
        /// The end of its maintenance window; none for what stays open until it was tried.
        pub window_end: Option<Timestamp>,
        /// The last instant at which it may start, to be over when its window is.
        pub start_by: Option<Timestamp>,
        /// Its job is paused.
        pub held: bool,
        /// The order may not start after.
        pub not_after: Option<Timestamp>,
        /// The signed order of this epoch.
        pub order_envelope: Option<String>,
        /// Digest of the event that resolved the last epoch.
        pub resolved_by: String,
        /// Result code once ended.
        pub code: Option<i64>,
        /// 203 to 206.
        pub detail: Option<i64>,
        /// For people; a host may have said it.
        pub message: String,
        /// What it waits for about its approval while it is ready, said by the server alone; empty where it does not wait.
        pub waits_for: String,
        /// Report as JSON, empty before there is one.
        pub report: String,
        /// A person let its run go on while this try was failed or unknown.
        pub accepted: bool,
        /// Started on the host.
        pub started_at: Option<Timestamp>,
        /// Ended.
        pub ended_at: Option<Timestamp>,
        /// Changed.
        pub updated_at: Timestamp,
    }
}

impl TaskRow {
    /// The part that decides what may happen to it.
    #[must_use]
    pub fn life(&self) -> Life {
        Life {
            state: self.state,
            epoch: u32::try_from(self.epoch).unwrap_or(u32::MAX),
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            cancel_requested: self.cancel_requested,
        }
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT t.id, t.uuid, t.run_id, t.job_id, j.number AS job_number, t.asset_id, a.name AS asset_name, t.agent_key,
                 t.entry_key, e.entry, e.title AS entry_title, e.revision AS entry_revision, e.digest, e.needs,
                 e.current AS offered, e.requires_fixed, e.implication, r.state AS run_state, t.wave, t.permit, t.kind, t.state, t.epoch, t.attempts,
                 t.cancel_requested, t.due_at, t.zone, t.window_end, t.start_by, (j.paused AND t.kind <> 'plan') AS held, t.not_after,
                 t.order_envelope, t.resolved_by, t.code, t.detail, t.message, t.waits_for, t.report, t.accepted, t.started_at,
                 t.ended_at, t.updated_at
             FROM task t JOIN job j ON j.id = t.job_id JOIN asset a ON a.id = t.asset_id JOIN run r ON r.id = t.run_id
                 JOIN catalogue_entry e ON e.id = t.entry_key ",
            $rest
        )
    };
}

mod gone;
pub mod list;
pub mod many;

pub use gone::gone;

/// A task to be made.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Id on the wire.
    pub uuid: Uuid,
    /// Run.
    pub run_id: RunId,
    /// Job.
    pub job_id: JobId,
    /// Asset.
    pub asset_id: AssetId,
    /// The agent in force on it.
    pub agent_key: Option<AgentKey>,
    /// Catalogue entry.
    pub entry_key: i64,
    /// Its wave, from 1.
    pub wave: i64,
    /// `apply` or `revert`.
    pub kind: String,
    /// Not before.
    pub due_at: Timestamp,
    /// Zone it was resolved in.
    pub zone: String,
    /// The end of its maintenance window.
    pub window_end: Option<Timestamp>,
    /// The last instant at which it may start.
    pub start_by: Option<Timestamp>,
}
crate::stage!(NewTask as "task_batch" {
    uuid: Uuid, run_id: RunId, job_id: JobId, asset_id: AssetId, agent_key: Option<AgentKey>, entry_key: i64,
    wave: i64, kind: String, due_at: Timestamp, zone: String, window_end: Option<Timestamp>,
    start_by: Option<Timestamp>,
});

/// Make the tasks of a run, all of them pending.
///
/// # Errors
/// [`crate::Error::Conflict`] on `task_key` when one exists.
pub fn create(tx: &mut Transaction<'_>, tasks: &[NewTask], now: Timestamp) -> Result<u64> {
    tx.stage(tasks)?;
    let made = tx.execute(
        "INSERT INTO task (uuid, run_id, job_id, asset_id, agent_key, entry_key, wave, kind, state, epoch, attempts,
             cancel_requested, due_at, zone, window_end, start_by, resolved_by, message, report, updated_at)
         SELECT uuid, run_id, job_id, asset_id, agent_key, entry_key, wave, kind, 'pending', 0, 0, $2, due_at, zone,
             window_end, start_by, '', '', '', $1
         FROM task_batch",
        &[&now, &false],
    )?;
    rollouts::count_new(tx)?;
    Ok(made)
}

/// What a job would do: every (asset, entry), each once; where it is kept to some of them, those.
///
/// # Errors
/// See [`crate::Error`].
pub fn pairs(tx: &mut Transaction<'_>, job: JobId) -> Result<Vec<(AssetId, i64)>> {
    tx.all(
        "SELECT DISTINCT t.asset_id, a.entry_key FROM job_target t
         JOIN job_action a ON a.job_id = t.job_id AND a.vulnerability_id = t.vulnerability_id
         WHERE t.job_id = $1
           AND (NOT EXISTS (SELECT 1 FROM job_pair p WHERE p.job_id = t.job_id)
                OR EXISTS (SELECT 1 FROM job_pair p
                           WHERE p.job_id = t.job_id AND p.asset_id = t.asset_id AND p.entry_key = a.entry_key))
         ORDER BY 1, 2",
        &[&job],
    )
}

/// A task by its key.
///
/// # Errors
/// [`crate::Error::NotFound`] for an unknown key.
pub fn read(tx: &mut Transaction<'_>, id: TaskId) -> Result<TaskRow> {
    tx.one(select!("WHERE t.id = $1"), &[&id])
}

/// A task by its id on the wire.
///
/// # Errors
/// See [`crate::Error`].
pub fn by_uuid(tx: &mut Transaction<'_>, uuid: Uuid) -> Result<Option<TaskRow>> {
    tx.optional(select!("WHERE t.uuid = $1"), &[&uuid])
}

/// What concerns an agent now, in the order in which it is due: see [`many::of_agents`].
///
/// # Errors
/// See [`crate::Error`].
pub fn of_agent(tx: &mut Transaction<'_>, agent: AgentKey) -> Result<Vec<TaskRow>> {
    Ok(many::of_agents(tx, &[agent])?.remove(&agent).unwrap_or_default())
}

/// Store a task's life after an event.
///
/// # Errors
/// See [`crate::Error`].
pub fn save_life(tx: &mut Transaction<'_>, id: TaskId, life: Life, now: Timestamp) -> Result<()> {
    let (before, run, wave, epoch, started, accepted): (State, RunId, i64, i64, bool, bool) =
        tx.one("SELECT state, run_id, wave, epoch, started_at IS NOT NULL, accepted FROM task WHERE id = $1", &[&id])?;
    let was = Standing { started, accepted, ..Standing::of(before) };
    let is = was.to(life.state, epoch == i64::from(life.epoch), false);
    let code = life.state.code().map(i64::from);
    tx.execute(
        "UPDATE task SET state = $2, epoch = $3, attempts = $4, cancel_requested = $5, code = $6, updated_at = $7,
             started_at = CASE WHEN epoch <> $3 THEN NULL WHEN $2 = 'running' THEN coalesce(started_at, $7) ELSE started_at END,
             ended_at = CASE WHEN CAST($6 AS BIGINT) IS NULL THEN NULL ELSE coalesce(ended_at, $7) END,
             half_done = CASE WHEN $8 THEN half_done ELSE $9 END, accepted = $10,
             waits_for = CASE WHEN $2 = 'ready' THEN waits_for ELSE '' END
         WHERE id = $1",
        &[
            &id,
            &life.state,
            &i64::from(life.epoch),
            &i64::from(life.attempts),
            &life.cancel_requested,
            &code,
            &now,
            &before.ended(),
            &is.half_done,
            &is.accepted,
        ],
    )?;
    let mut moves = rollouts::Moves::default();
    moves.add(id, was, is);
    rollouts::count(tx, run, wave, &moves)?;
    many::give_back(tx, &[(id, before, life.state)], now)
}

/// Store what people read of a task: message, detail code and report.
///
/// # Errors
/// See [`crate::Error`].
pub fn save_result(
    tx: &mut Transaction<'_>,
    id: TaskId,
    message: &str,
    detail: Option<i64>,
    report: &str,
) -> Result<()> {
    tx.execute(
        "UPDATE task SET message = $2, detail = $3, report = CASE WHEN $4 = '' THEN report ELSE $4 END WHERE id = $1",
        &[&id, &message, &detail, &report],
    )?;
    Ok(())
}

/// The events of a task, oldest first.
///
/// # Errors
/// See [`crate::Error`].
pub fn events(tx: &mut Transaction<'_>, id: TaskId) -> Result<Vec<(i64, i64, String, Timestamp)>> {
    tx.all("SELECT epoch, n, body, received_at FROM task_event WHERE task_id = $1 ORDER BY epoch, n LIMIT 1000", &[&id])
}

/// Pending tasks of enabled jobs whose time has come become ready; gives the agents concerned.
///
/// # Errors
/// See [`crate::Error`].
pub fn ready_due(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<(Option<AgentKey>, JobId)>> {
    let rows: Vec<(Option<AgentKey>, JobId)> = tx.all(
        "UPDATE task SET state = 'ready', updated_at = $1
         WHERE id IN (SELECT t.id FROM task t JOIN job j ON j.id = t.job_id JOIN run r ON r.id = t.run_id
                      WHERE t.state = 'pending' AND t.due_at <= $1 AND (j.status = 'ENABLED' AND NOT j.paused OR t.kind = 'plan')
                        AND r.state = 'open' AND t.wave <= r.wave
                        AND NOT EXISTS (SELECT 1 FROM approval p WHERE p.run_id = t.run_id AND p.state = 'pending')
                      ORDER BY t.due_at, t.id LIMIT 5000)
         RETURNING agent_key, job_id",
        &[&now],
    )?;
    crate::runs::mark_begun(tx, now)?;
    Ok(rows)
}

/// Tasks whose order's time ended before `limit` without a word.
///
/// # Errors
/// See [`crate::Error`].
pub fn silent(tx: &mut Transaction<'_>, limit: Timestamp) -> Result<Vec<TaskRow>> {
    tx.all(select!("WHERE t.state IN ('offered', 'accepted') AND t.not_after < $1 ORDER BY t.id LIMIT 500"), &[&limit])
}

/// Open tasks that nobody will answer for: no agent, or one that was revoked or sits on another asset. An order of such
/// a one that may not have started waits for the agent's word that it never will, or for its end.
///
/// # Errors
/// See [`crate::Error`].
pub fn orphaned(tx: &mut Transaction<'_>) -> Result<Vec<TaskRow>> {
    tx.all(
        select!(
            "WHERE t.id IN (
                 SELECT o.id FROM task o LEFT JOIN agent g ON g.id = o.agent_key
                 WHERE o.state IN ('ready', 'offered', 'accepted', 'running', 'unknown')
                   AND (o.agent_key IS NULL OR g.revoked_at IS NOT NULL
                        OR ((g.asset_id IS NULL OR g.asset_id <> o.asset_id)
                            AND o.state IN ('ready', 'running', 'unknown')))
                 ORDER BY o.id LIMIT 500)
             ORDER BY t.id"
        ),
        &[],
    )
}

/// The agent sits on this asset from now on, or on none: tasks it had for another are ended or taken back
/// ([`task::misplaced`]). Gives the jobs concerned.
///
/// # Errors
/// See [`crate::Error`].
pub(crate) fn moved(
    tx: &mut Transaction<'_>,
    agent: AgentKey,
    asset: Option<AssetId>,
    now: Timestamp,
) -> Result<BTreeSet<JobId>> {
    let elsewhere: Vec<TaskRow> = tx.all(
        select!(
            "WHERE t.agent_key = $1 AND t.code IS NULL AND (CAST($2 AS BIGINT) IS NULL OR t.asset_id <> $2)
             ORDER BY t.id"
        ),
        &[&agent, &asset],
    )?;
    let mut touched = BTreeSet::new();
    for task in elsewhere {
        let life = task::misplaced(task.life());
        let name = &task.asset_name;
        let message = match life.state {
            State::Refused => format!("the agent turned out not to sit on {name}; run the job again once one does"),
            State::Lost => format!("the agent turned out not to sit on {name}; what it did was not done there"),
            _ => format!("the agent turned out not to sit on {name}; its order is taken back"),
        };
        save_life(tx, task.id, life, now)?;
        save_result(tx, task.id, &message, None, "")?;
        touched.insert(task.job_id);
    }
    Ok(touched)
}

/// Tasks that have not started and can no longer end within their window.
///
/// # Errors
/// See [`crate::Error`].
pub fn past_their_window(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<TaskRow>> {
    tx.all(select!("WHERE t.start_by < $1 AND t.state IN ('pending', 'ready') ORDER BY t.id LIMIT 1000"), &[&now])
}

/// Tasks of these runs that are ready, end with a window or the next time, and wait for a host that was last heard before `bound`
/// though they were due before it too; or for one that contact is lost with, for which nothing is planned.
///
/// # Errors
/// See [`crate::Error`].
pub fn stale(tx: &mut Transaction<'_>, runs: &[RunId], bound: Timestamp) -> Result<Vec<TaskRow>> {
    let runs: Vec<i64> = runs.iter().map(|run| run.0).collect();
    tx.all(
        select!(
            "JOIN agent g ON g.id = t.agent_key
             WHERE t.run_id {in $1} AND t.state = 'ready' AND t.start_by IS NOT NULL AND g.last_seen_at < $2
               AND (t.due_at < $2 OR g.missing_at IS NOT NULL)
             ORDER BY t.id LIMIT 1000"
        ),
        &[&runs, &bound],
    )
}

/// The tasks of a run that have not ended.
///
/// # Errors
/// See [`crate::Error`].
pub fn open_of_run(tx: &mut Transaction<'_>, run: RunId) -> Result<Vec<TaskRow>> {
    tx.all(select!("WHERE t.run_id = $1 AND t.code IS NULL ORDER BY t.id"), &[&run])
}

/// The tasks of a dry run that have not been answered: by key, after this one, at most [`crate::dry_runs::PAGE`].
///
/// # Errors
/// See [`crate::Error`].
pub fn open_of_dry_run(tx: &mut Transaction<'_>, run: RunId, after: TaskId) -> Result<Vec<TaskRow>> {
    tx.all(
        select!("WHERE t.run_id = $1 AND t.kind = 'plan' AND t.code IS NULL AND t.id > $2 ORDER BY t.id LIMIT $3"),
        &[&run, &after, &crate::dry_runs::PAGE],
    )
}

/// Codes of the tasks of a run.
///
/// # Errors
/// See [`crate::Error`].
pub fn codes(tx: &mut Transaction<'_>, run: RunId) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> = tx.all("SELECT coalesce(code, -1) FROM task WHERE run_id = $1", &[&run])?;
    Ok(rows.into_iter().map(|(code,)| code).collect())
}

/// How many tasks of a job's newest run that does something are in each state on the assets inside the scope.
///
/// # Errors
/// See [`crate::Error`].
pub fn states_of_job(tx: &mut Transaction<'_>, job: JobId, within: &AssetScope) -> Result<Vec<(State, i64)>> {
    let newest = Sql::new("(SELECT r.id FROM run r WHERE r.job_id = ")
        .bind(&job)
        .text(" AND r.does <> 'plan' ORDER BY r.ordinal DESC LIMIT 1)");
    let mut sql = Sql::new("SELECT t.state, count(*) FROM task t WHERE t.run_id = ").append(newest);
    if let Some(scope) = scope::assets(within, "t.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    tx.all_built(&sql.text(" GROUP BY t.state ORDER BY 1"))
}

record! {
    /// A task of which nothing was ordered yet.
    #[derive(Debug, Clone)]
    pub struct Unordered {
        /// Key.
        pub id: TaskId,
        /// Pending or ready.
        pub state: State,
        /// The job's schedule as JSON.
        pub schedule: String,
        /// The civil time of it that the run is for.
        pub occurrence: String,
    }
}

/// Tasks of an agent of which nothing was ordered yet: their instants are resolved again when its zone changes. Runs that
/// somebody asked for have no civil time and stay as they are.
///
/// # Errors
/// See [`crate::Error`].
pub fn unordered_of_agent(tx: &mut Transaction<'_>, agent: AgentKey) -> Result<Vec<Unordered>> {
    tx.all(
        "SELECT t.id, t.state, j.schedule, r.occurrence FROM task t JOIN job j ON j.id = t.job_id
             JOIN run r ON r.id = t.run_id
         WHERE t.agent_key = $1 AND t.state IN ('pending', 'ready') AND t.epoch = 0 AND r.occurrence IS NOT NULL
         ORDER BY t.id",
        &[&agent],
    )
}

/// Store a new instant, and a new window, for a task of which nothing was ordered yet.
///
/// # Errors
/// See [`crate::Error`].
pub fn reschedule(tx: &mut Transaction<'_>, id: TaskId, resolved: &Resolved) -> Result<()> {
    let (window_end, start_by) = (resolved.end.map(|end| end.at), resolved.end.map(|end| end.start_by));
    tx.execute(
        "UPDATE task SET due_at = $2, zone = $3, window_end = $4, start_by = $5
         WHERE id = $1 AND state IN ('pending', 'ready') AND epoch = 0",
        &[&id, &resolved.at, &resolved.zone, &window_end, &start_by],
    )?;
    Ok(())
}
