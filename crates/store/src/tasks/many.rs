//! Tasks of many agents at once: what is offered and what is reported comes from a thousand machines in the same moment, so
//! it is read and written set by set. One task alone is a set of one.

use super::TaskRow;
use crate::{Result, Scalar, Transaction, rollouts, stage};
use domain::id::{AgentKey, RunId, TaskId};
use domain::rollout::gate::Standing;
use domain::rollout::permit;
use domain::task::{Life, State};
use domain::time::Timestamp;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Tasks of one agent that are looked at in one go.
const OF_AGENT_MAX: i64 = 200;

struct Wire {
    uuid: Uuid,
}
stage!(Wire as "task_uuid_batch" { uuid: Uuid });

/// The tasks with these ids on the wire; ids of none are left out.
///
/// # Errors
/// See [`crate::Error`].
pub fn by_uuids(tx: &mut Transaction<'_>, uuids: impl IntoIterator<Item = Uuid>) -> Result<Vec<TaskRow>> {
    let mut wires: Vec<Wire> = uuids.into_iter().map(|uuid| Wire { uuid }).collect();
    wires.sort_unstable_by_key(|wire| wire.uuid);
    wires.dedup_by_key(|wire| wire.uuid);
    if let [Wire { uuid }] = wires.as_slice() {
        return Ok(super::by_uuid(tx, *uuid)?.into_iter().collect());
    }
    tx.stage(&wires)?;
    // The batch first: else the planner may walk through every task there is.
    tx.all(select!("WHERE t.uuid IN (SELECT uuid FROM task_uuid_batch) ORDER BY t.id"), &[])
}

/// What concerns each of these agents now: tasks of the asset it sits on that may be offered or whose order is out, and, of an
/// asset it sat on before, orders to be taken back. In the order in which they are due.
///
/// # Errors
/// See [`crate::Error`].
pub fn of_agents(tx: &mut Transaction<'_>, agents: &[AgentKey]) -> Result<BTreeMap<AgentKey, Vec<TaskRow>>> {
    let keys: Vec<i64> = agents.iter().map(|agent| agent.0).collect();
    let rows: Vec<TaskRow> = tx.all(
        select!(
            "WHERE t.id IN (
                 SELECT id FROM (
                     SELECT o.id, row_number() OVER (PARTITION BY o.agent_key ORDER BY o.due_at, o.id) AS place
                     FROM task o JOIN agent g ON g.id = o.agent_key
                     WHERE o.agent_key {in $1} AND o.state IN ('ready', 'offered', 'accepted', 'running', 'unknown')
                       AND (g.asset_id = o.asset_id OR (o.cancel_requested AND o.state IN ('offered', 'accepted')))
                 ) AS waiting WHERE place <= $2)
             ORDER BY t.due_at, t.id"
        ),
        &[&keys, &OF_AGENT_MAX],
    )?;
    let mut found: BTreeMap<AgentKey, Vec<TaskRow>> = BTreeMap::new();
    for row in rows {
        if let Some(agent) = row.agent_key {
            found.entry(agent).or_default().push(row);
        }
    }
    Ok(found)
}

/// Those of these agents for which there may be something to say. Cheap: asked at every poll. What runs is told nothing.
///
/// # Errors
/// See [`crate::Error`].
pub fn waited_for(tx: &mut Transaction<'_>, agents: &[AgentKey]) -> Result<Vec<AgentKey>> {
    let keys: Vec<i64> = agents.iter().map(|agent| agent.0).collect();
    let rows: Vec<Scalar<AgentKey>> = tx.all(
        "SELECT DISTINCT t.agent_key FROM task t JOIN agent g ON g.id = t.agent_key
         WHERE t.agent_key {in $1} AND t.state IN ('ready', 'offered', 'accepted', 'unknown')
           AND (g.asset_id = t.asset_id OR (t.cancel_requested AND t.state IN ('offered', 'accepted')))",
        &[&keys],
    )?;
    Ok(rows.into_iter().map(|Scalar(agent)| agent).collect())
}

/// What these agents have to be asked about with every poll: the tasks that started before `limit` and have not ended, and those
/// of which nobody knows what became. Agent, id on the wire, epoch, state.
///
/// # Errors
/// See [`crate::Error`].
pub fn long_at_work(
    tx: &mut Transaction<'_>,
    agents: &[AgentKey],
    limit: Timestamp,
) -> Result<Vec<(AgentKey, Uuid, i64, State)>> {
    let keys: Vec<i64> = agents.iter().map(|agent| agent.0).collect();
    tx.all(
        "SELECT agent_key, uuid, epoch, state FROM task
         WHERE agent_key {in $1} AND (state = 'running' AND started_at < $2 OR state = 'unknown') ORDER BY id",
        &[&keys, &limit],
    )
}

/// A new event of a task.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Task.
    pub task_id: TaskId,
    /// Epoch.
    pub epoch: i64,
    /// Its number in the epoch.
    pub n: i64,
    /// The exact bytes as the agent journalled them.
    pub body: String,
}
stage!(NewEvent as "task_event_batch" { task_id: TaskId, epoch: i64, n: i64, body: String });

/// The events of these tasks that were kept: task, epoch, number.
///
/// # Errors
/// See [`crate::Error`].
pub fn kept_events(tx: &mut Transaction<'_>, tasks: &[TaskId]) -> Result<Vec<(TaskId, i64, i64)>> {
    let tasks: Vec<i64> = tasks.iter().map(|task| task.0).collect();
    tx.all("SELECT task_id, epoch, n FROM task_event WHERE task_id {in $1}", &[&tasks])
}

/// Keep events, each (task, epoch, n) once; those that were kept before stay as they are. None is named twice.
///
/// # Errors
/// See [`crate::Error`].
pub fn keep_events(tx: &mut Transaction<'_>, events: &[NewEvent], now: Timestamp) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    tx.stage(events)?;
    tx.execute(
        "INSERT INTO task_event (task_id, epoch, n, body, received_at)
         SELECT task_id, epoch, n, body, $1 FROM task_event_batch WHERE true
         ON CONFLICT (task_id, epoch, n) DO NOTHING",
        &[&now],
    )?;
    Ok(())
}

/// What became of a task in one transaction: its life, and what else is to be stored of it. What is `None` stays as it is.
#[derive(Debug, Clone)]
pub struct Change {
    /// Task.
    pub id: TaskId,
    /// Run.
    pub run_id: RunId,
    /// Its wave.
    pub wave: i64,
    /// State before.
    pub before: State,
    /// How it counted before, and its epoch then.
    pub was: (Standing, u32),
    /// Life now.
    pub life: Life,
    /// It was heard to run, though it may have ended since.
    pub started: bool,
    /// Its report says that what was changed on the host could not be put back.
    pub left_changed: bool,
    /// The order of the present epoch, and until when it may start.
    pub order: Option<(String, Timestamp)>,
    /// Whether that order needs a permit.
    pub permit: Option<bool>,
    /// Digest of the event that resolved the epoch.
    pub resolved_by: Option<String>,
    /// Message, detail code and report; an empty report leaves the one there is.
    pub result: Option<(String, Option<i64>, String)>,
    /// What it waits for while it is ready; what is not ready waits for nothing.
    pub waits_for: Option<String>,
}

impl Change {
    /// Nothing has changed yet.
    #[must_use]
    pub fn of(task: &TaskRow) -> Change {
        Change {
            id: task.id,
            run_id: task.run_id,
            wave: task.wave,
            before: task.state,
            was: (
                Standing { started: task.started_at.is_some(), accepted: task.accepted, ..Standing::of(task.state) },
                task.life().epoch,
            ),
            life: task.life(),
            started: false,
            left_changed: false,
            order: None,
            permit: None,
            resolved_by: None,
            result: None,
            waits_for: None,
        }
    }

    /// How it counts now.
    fn standing(&self) -> Standing {
        let (was, epoch) = self.was;
        let is = was.to(self.life.state, epoch == self.life.epoch, self.left_changed);
        Standing { started: is.started || self.started, ..is }
    }

    fn row(&self) -> ChangeRow<'_> {
        let (order, result) = (self.order.as_ref(), self.result.as_ref());
        ChangeRow {
            id: self.id,
            state: self.life.state,
            epoch: i64::from(self.life.epoch),
            attempts: i64::from(self.life.attempts),
            cancel_requested: self.life.cancel_requested,
            code: self.life.state.code().map(i64::from),
            started: self.started || self.life.state == State::Running,
            absorbed: self.before.ended(),
            half_done: self.standing().half_done,
            accepted: self.standing().accepted,
            order_envelope: order.map(|(envelope, _)| envelope.as_str()),
            not_after: order.map(|(_, not_after)| *not_after),
            permit: self.permit,
            resolved_by: self.resolved_by.as_deref(),
            told: result.is_some(),
            message: result.map(|(message, ..)| message.as_str()),
            detail: result.and_then(|(_, detail, _)| *detail),
            report: result.map(|(.., report)| report.as_str()).filter(|report| !report.is_empty()),
            waits_for: self.waits_for.as_deref(),
        }
    }
}

struct ChangeRow<'c> {
    id: TaskId,
    state: State,
    epoch: i64,
    attempts: i64,
    cancel_requested: bool,
    code: Option<i64>,
    started: bool,
    absorbed: bool,
    half_done: bool,
    accepted: bool,
    order_envelope: Option<&'c str>,
    not_after: Option<Timestamp>,
    permit: Option<bool>,
    resolved_by: Option<&'c str>,
    told: bool,
    message: Option<&'c str>,
    detail: Option<i64>,
    report: Option<&'c str>,
    waits_for: Option<&'c str>,
}
stage!(ChangeRow<'_> as "task_change_batch" {
    id: TaskId, state: State, epoch: i64, attempts: i64, cancel_requested: bool, code: Option<i64>, started: bool,
    absorbed: bool, half_done: bool, accepted: bool, order_envelope: Option<&str>, not_after: Option<Timestamp>, permit: Option<bool>, resolved_by: Option<&str>,
    told: bool, message: Option<&str>, detail: Option<i64>, report: Option<&str>,
    waits_for: Option<&str>,
});

/// Store what became of these tasks, each named once; counts and places move with them (S6, S12).
///
/// # Errors
/// See [`crate::Error`].
pub fn save(tx: &mut Transaction<'_>, changes: &[Change], now: Timestamp) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let rows: Vec<ChangeRow<'_>> = changes.iter().map(Change::row).collect();
    tx.stage(&rows)?;
    tx.execute(
        "UPDATE task SET state = b.state, epoch = b.epoch, attempts = b.attempts, cancel_requested = b.cancel_requested,
             code = b.code, updated_at = $1,
             started_at = CASE WHEN b.started THEN coalesce(CASE WHEN b.epoch = task.epoch THEN task.started_at END, $1)
                 WHEN b.epoch = task.epoch THEN task.started_at END,
             ended_at = CASE WHEN b.code IS NULL THEN NULL ELSE coalesce(task.ended_at, $1) END,
             half_done = CASE WHEN b.absorbed THEN task.half_done ELSE b.half_done END,
             accepted = CASE WHEN b.absorbed THEN task.accepted ELSE b.accepted END,
             order_envelope = coalesce(b.order_envelope, task.order_envelope),
             not_after = coalesce(b.not_after, task.not_after), permit = coalesce(b.permit, task.permit),
             resolved_by = coalesce(b.resolved_by, task.resolved_by), message = coalesce(b.message, task.message),
             detail = CASE WHEN b.told THEN b.detail ELSE task.detail END, report = coalesce(b.report, task.report),
             waits_for = CASE WHEN b.state = 'ready' THEN coalesce(b.waits_for, task.waits_for) ELSE '' END
         FROM task_change_batch b WHERE task.id = b.id",
        &[&now],
    )?;
    let mut moves: BTreeMap<(RunId, i64), rollouts::Moves> = BTreeMap::new();
    for change in changes {
        let moves = moves.entry((change.run_id, change.wave)).or_default();
        moves.add(change.id, change.was.0, change.standing());
    }
    for ((run, wave), moves) in moves {
        rollouts::count(tx, run, wave, &moves)?;
    }
    let moved: Vec<_> = changes.iter().map(|change| (change.id, change.before, change.life.state)).collect();
    give_back(tx, &moved, now)
}

/// Give back the places of tasks that moved from one state to another, as far as `domain::rollout::permit` says so.
///
/// # Errors
/// See [`crate::Error`].
pub(super) fn give_back(tx: &mut Transaction<'_>, moved: &[(TaskId, State, State)], now: Timestamp) -> Result<()> {
    let those = |which: fn(State, State) -> bool| -> Vec<i64> {
        moved.iter().filter(|(_, from, to)| which(*from, *to)).map(|(task, ..)| task.0).collect()
    };
    let (back, lost) = (those(permit::gives_back), those(|from, to| to == State::Lost && from != State::Lost));
    if !back.is_empty() {
        rollouts::give_back_all(tx, &back, now)?;
    }
    // A start permit of what is lost ends by its time; a slot to restart has none.
    if !lost.is_empty() {
        rollouts::restarts::give_back(tx, &lost, now)?;
    }
    Ok(())
}
