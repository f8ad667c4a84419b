//! What agents report: events become task states, controls and lower scores, in one transaction per batch.
//!
//! A report is a claim of the host it comes from: it moves only the tasks of that agent, only within the present
//! epoch, and never closes an item. Every event is kept once, by (task, epoch, n); repeated ones change nothing.
//!
//! The reports of many agents are one batch: what they concern is read set by set, each event is judged in turn as if it
//! were alone, and what came of them is written set by set ([`Round`]).

mod round;

use super::orders::event_digest;
use crate::http::error::Error;
use domain::control::Afterwards;
use domain::id::{AgentKey, AssetId, ItemId, JobId};
use domain::mitigation::{ControlState, Origin};
use domain::task;
use domain::time::Timestamp;
use protocol::agent::{Acked, Event, EventKind, Outcome, TaskReport};
use protocol::order::RefusalCode;
use round::Round;
use std::collections::{BTreeMap, BTreeSet};
use store::agents::AgentRow;
use store::controls::{self, Report, after};
use store::tasks::TaskRow;
use store::tasks::many::{self, NewEvent};
use store::{Transaction, agents, scores};
use uuid::Uuid;

/// Longest message kept for people, in characters; a host could send anything.
const MESSAGE_MAX: usize = 2_000;
/// Events of one (task, epoch) kept at most: an honest agent says a handful, and a few forgeries it has seen.
const EVENT_NUMBER_MAX: u32 = 64;
/// The longest event kept, in bytes: four times what an order allows a report, for its frame.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// What one agent says, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Said<'s> {
    /// The agent.
    pub agent: AgentKey,
    /// Its events, exact text.
    pub events: &'s [String],
}

/// What the events of one agent did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// What the agent may forget.
    pub acked: Vec<Acked>,
    /// Jobs whose tasks changed.
    pub touched: BTreeSet<JobId>,
    /// An order was resolved: its run may be over.
    pub resolved: bool,
    /// Something else waits for this agent now.
    pub more: bool,
}

/// Store a batch of events of one agent, oldest first. What cannot be understood, or is of an epoch that is
/// not known here yet, is neither stored nor acknowledged; what is beyond every honest bound is acknowledged and not stored.
///
/// # Errors
/// A failure of the store; then nothing of the batch is kept.
pub fn store(tx: &mut Transaction<'_>, agent: &AgentRow, events: &[String], now: Timestamp) -> Result<Stored, Error> {
    let stored = store_all(tx, &[Said { agent: agent.id, events }], now)?;
    Ok(stored.into_iter().next().unwrap_or_default())
}

/// Store what several agents say, as [`store`] does for one after the other; gives what came of each, in the same order.
///
/// # Errors
/// A failure of the store; then nothing of anybody's is kept.
pub fn store_all(tx: &mut Transaction<'_>, said: &[Said<'_>], now: Timestamp) -> Result<Vec<Stored>, Error> {
    let keys: BTreeSet<AgentKey> = said.iter().map(|said| said.agent).collect();
    // Their links may have changed since the requests were let in.
    let agents = agents::read_many(tx, &keys.into_iter().collect::<Vec<_>>())?;
    let mut stored = vec![Stored::default(); said.len()];
    let mut heard = Vec::new();
    for (said, stored) in said.iter().zip(&mut stored) {
        let agent = agents.get(&said.agent).ok_or(store::Error::NotFound)?;
        heard.push((agent, understood(agent, said.events), stored));
    }
    let mut batch = Batch::read(tx, heard.iter().flat_map(|(_, events, _)| events.iter().map(|(event, _)| event)))?;
    for (agent, events, stored) in &mut heard {
        for (event, text) in events.drain(..) {
            batch.take(tx, agent, &event, text, stored, now)?;
        }
    }
    batch.round.write(tx, now)?;
    let free: BTreeSet<AgentKey> =
        said.iter().zip(&stored).filter(|(_, stored)| stored.resolved).map(|(said, _)| said.agent).collect();
    if !free.is_empty() {
        let waiting = many::waited_for(tx, &free.into_iter().collect::<Vec<_>>())?;
        for (said, stored) in said.iter().zip(&mut stored) {
            stored.more = stored.resolved && waiting.contains(&said.agent);
        }
    }
    let touched: BTreeSet<JobId> = stored.iter().flat_map(|stored| stored.touched.iter().copied()).collect();
    super::mail::tell(tx, touched, now)?;
    Ok(stored)
}

fn understood<'s>(agent: &AgentRow, events: &'s [String]) -> Vec<(Event, &'s str)> {
    let read = |text: &'s String| match serde_json::from_str::<Event>(text) {
        Ok(event) => Some((event, text.as_str())),
        Err(_) => {
            tracing::warn!(agent = %agent.agent_id, "agent {} sent an event that is none", agent.agent_id);
            None
        }
    };
    events.iter().filter_map(read).collect()
}

/// What a batch of events is judged by, kept as the events before made it.
struct Batch {
    tasks: BTreeMap<Uuid, TaskRow>,
    /// Events that were kept before.
    kept: BTreeSet<(domain::id::TaskId, i64, i64)>,
    controls: BTreeMap<(AssetId, String), (Origin, ControlState)>,
    /// What jobs say of the time after them, each read once.
    afterwards: BTreeMap<JobId, Afterwards>,
    round: Round,
}

impl Batch {
    fn read<'e>(tx: &mut Transaction<'_>, events: impl Iterator<Item = &'e Event> + Clone) -> Result<Batch, Error> {
        let tasks = many::by_uuids(tx, events.clone().map(|event| event.task))?;
        let kept = many::kept_events(tx, &tasks.iter().map(|task| task.id).collect::<Vec<_>>())?;
        let ending: BTreeSet<Uuid> = events.filter(|event| event.event.resolves()).map(|event| event.task).collect();
        let assets: BTreeSet<AssetId> =
            tasks.iter().filter(|task| ending.contains(&task.uuid)).map(|task| task.asset_id).collect();
        let controls = match assets.is_empty() {
            true => BTreeMap::new(),
            false => controls::known(tx, &assets.into_iter().collect::<Vec<_>>())?,
        };
        Ok(Batch {
            tasks: tasks.into_iter().map(|task| (task.uuid, task)).collect(),
            kept: kept.into_iter().collect(),
            controls,
            afterwards: BTreeMap::new(),
            round: Round::default(),
        })
    }

    /// Judge one event.
    fn take(
        &mut self,
        tx: &mut Transaction<'_>,
        agent: &AgentRow,
        event: &Event,
        text: &str,
        stored: &mut Stored,
        now: Timestamp,
    ) -> Result<(), Error> {
        let acked = Acked { task: event.task, epoch: event.epoch, n: event.n };
        let Some(task) = self.tasks.get(&event.task).filter(|task| task.agent_key == Some(agent.id)) else {
            // Acknowledged all the same: the task is gone or another agent's, sending it again changes nothing.
            tracing::warn!(agent = %agent.agent_id, task = %event.task, "agent {} reports on a task that is not its own", agent.agent_id);
            stored.acked.push(acked);
            return Ok(());
        };
        let (epoch, n) = (i64::from(event.epoch), i64::from(event.n));
        if foreign(task, event) {
            tracing::warn!(agent = %agent.agent_id, task = %event.task, "agent {} was given something that is no order of this server and refused it", agent.agent_id);
            stored.acked.push(acked);
            return Ok(());
        }
        if epoch > task.epoch && !task.state.ended() {
            // We were put back to a state from before that order. The agent keeps its word until we get there again: dropped,
            // what it did would never be known here; believed, an agent could raise its epochs as it liked.
            tracing::info!(agent = %agent.agent_id, task = %event.task, "event {n} of epoch {epoch} is left with its agent: {} is the newest epoch known here", task.epoch);
            return Ok(());
        }
        stored.acked.push(acked);
        if !worth_keeping(event, text, task.state.ended()) {
            // Acknowledged too: held back, it would come for ever.
            tracing::debug!(agent = %agent.agent_id, task = %event.task, "event {} of agent {} is not kept: too many, too long or too late", event.n, agent.agent_id);
            return Ok(());
        }
        if epoch > task.epoch || !self.kept.insert((task.id, epoch, n)) {
            return Ok(());
        }
        self.round.events.push(NewEvent { task_id: task.id, epoch, n, body: text.to_owned() });
        if epoch < task.epoch {
            return Ok(());
        }
        let Some(mut task) = self.tasks.remove(&event.task) else { return Ok(()) };
        if self.apply(tx, agent, &mut task, event, text, now)? {
            stored.touched.insert(task.job_id);
            stored.resolved |= event.event.resolves();
        }
        self.tasks.insert(event.task, task);
        Ok(())
    }

    /// Carry one new event out; `false` when it cannot follow the task's state.
    fn apply(
        &mut self,
        tx: &mut Transaction<'_>,
        agent: &AgentRow,
        task: &mut TaskRow,
        event: &Event,
        text: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        // What a machine did that turned out to be another one says nothing of the task's asset.
        let elsewhere = agent.asset_id != Some(task.asset_id) && matches!(event.event, EventKind::Finished(_));
        let late = matches!(event.event, EventKind::Refused { code: RefusalCode::Expired, .. });
        let means = match event.event.means() {
            _ if elsewhere => task::Event::AgentGone,
            _ if late && task.not_after.is_some_and(|end| task::lapsed(task.life(), end, now)) => task::Event::Lapsed,
            means => means,
        };
        let life = match task::heard(task.life(), event.epoch, means) {
            Ok(life) => life,
            Err(refusal) => {
                tracing::warn!(agent = %agent.agent_id, task = %task.uuid, "an impossible report was kept and ignored: {refusal}");
                return Ok(false);
            }
        };
        if task.state.ended() {
            return Ok(false);
        }
        // Of one asset one result at a time: each has its own cause in the history of the scores.
        if event.event.resolves() && self.round.scores_asset(task.asset_id) {
            self.round.write(tx, now)?;
        }
        self.round.change(task, life);
        if event.event.resolves() {
            self.round.change(task, life).resolved_by = Some(event_digest(text));
        }
        match &event.event {
            EventKind::Refused { code, reason, .. } => {
                let message = format!("the agent refused ({}): {}", code.as_str(), cut(reason));
                self.round.result(task, life, message, None, String::new());
            }
            EventKind::Interrupted { state, reason } => {
                let message = format!("interrupted on the host: {}", cut(reason));
                self.round.result(task, life, message, None, String::new());
                let in_force = matches!(state, ControlState::Effective | ControlState::Configured);
                // It was done before the executor died. The next try finds it in place and says whose it is; but nobody knows
                // whether one will look: the job may be cancelled, its window end, the owner say no. So it counts at once.
                if in_force && task.kind == "apply" && agent.asset_id == Some(task.asset_id) {
                    self.left_in_force(tx, task, *state, event.at, now)?;
                }
                // A rollback that died on its way has taken out what it has taken out, whether or not it is tried again.
                if !in_force && task.kind == "revert" && agent.asset_id == Some(task.asset_id) {
                    self.taken_out(task, *state, event.at, now);
                }
            }
            EventKind::Revoked => {
                self.round.result(task, life, "withdrawn before it started".to_owned(), None, String::new());
            }
            EventKind::Finished(report) if elsewhere => {
                let said = cut(&report.message);
                let name = &task.asset_name;
                let message = format!("not done on {name}: the agent sits on another asset; it said: {said}");
                self.round.result(task, life, message, None, String::new());
            }
            EventKind::Finished(report) => self.finished(tx, task, life, report, event.at, now)?,
            EventKind::Restarting { now: false, .. } => {
                let message = "in place; waits for its turn to restart the host".to_owned();
                self.round.result(task, life, message, None, String::new());
            }
            EventKind::Restarting { now: true, .. } => {
                self.round.result(task, life, "in place; the host is restarting".to_owned(), None, String::new());
            }
            EventKind::Accepted | EventKind::Started => {}
        }
        (task.state, task.epoch) = (life.state, i64::from(life.epoch));
        (task.attempts, task.cancel_requested) = (i64::from(life.attempts), life.cancel_requested);
        task.started_at = task.started_at.or((life.state == task::State::Running).then_some(now));
        Ok(true)
    }

    /// Keep the control that an interrupted try left in force.
    fn left_in_force(
        &mut self,
        tx: &mut Transaction<'_>,
        task: &TaskRow,
        state: ControlState,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let ours =
            self.controls.get(&(task.asset_id, task.entry.clone())).is_some_and(|(origin, _)| *origin == Origin::Ours);
        self.control(task, state, Origin::Ours, at, now);
        self.expires_by(tx, task, ours, now)?;
        let cause = format!("{} was interrupted after {} was in place", store::jobs::name(task.job_number), task.entry);
        self.round.rescore(task.asset_id, cause);
        Ok(())
    }

    /// What a job put in place expires by its word from now on; what it found in place (`kept`) only where that is sooner.
    fn expires_by(
        &mut self,
        tx: &mut Transaction<'_>,
        task: &TaskRow,
        kept: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let std::collections::btree_map::Entry::Vacant(free) = self.afterwards.entry(task.job_id) {
            free.insert(after::of_job(tx, task.job_id)?);
        }
        let expires_at = self.afterwards.get(&task.job_id).and_then(|after| after.expiry(now));
        let (asset_id, entry, job_id) = (task.asset_id, task.entry.clone(), task.job_id);
        self.round.expiries.push(after::Expiry { asset_id, entry, expires_at, job_id, kept });
        Ok(())
    }

    /// Take down the control that an interrupted rollback no longer left in force.
    fn taken_out(&mut self, task: &TaskRow, state: ControlState, at: Timestamp, now: Timestamp) {
        let Some((origin, _)) = self.controls.get(&(task.asset_id, task.entry.clone())).copied() else { return };
        self.control(task, state, origin, at, now);
        let job = store::jobs::name(task.job_number);
        self.round.rescore(task.asset_id, format!("{job} was interrupted, {} is not in force any more", task.entry));
    }

    fn control(&mut self, task: &TaskRow, state: ControlState, origin: Origin, at: Timestamp, now: Timestamp) {
        self.controls.insert((task.asset_id, task.entry.clone()), (origin, state));
        self.round.controls.push(Report {
            asset_id: task.asset_id,
            entry: task.entry.clone(),
            entry_key: task.entry_key,
            state,
            origin,
            task_id: task.id,
            // A clock ahead of ours must not silence later checks.
            heard_at: at.min(now),
        });
    }

    /// Keep a result: its message and detail, the control, and what that makes of the scores.
    fn finished(
        &mut self,
        tx: &mut Transaction<'_>,
        task: &TaskRow,
        life: task::Life,
        report: &TaskReport,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let json = serde_json::to_string(report).map_err(Error::internal)?;
        let message = cut(&report.message).to_owned();
        if task.kind == super::dry_run::KIND {
            // What a machine would do is no control, whatever it says of its state.
            self.round.result(task, life, message, None, json);
            return Ok(());
        }
        let known = self.controls.get(&(task.asset_id, task.entry.clone())).copied();
        self.round.result(task, life, message, detail(report, known), json);
        self.round.change(task, life).left_changed |= report.left_changed;
        if task.kind == "revert" && known.is_none() {
            return Ok(());
        }
        let origin = report.origin.unwrap_or_else(|| known.map_or(Origin::External, |(origin, _)| origin));
        // A check that found nothing on a host that never had it leaves no trace.
        if known.is_some() || matches!(report.state, ControlState::Effective | ControlState::Configured) {
            self.control(task, report.state, origin, at, now);
        }
        let by_us =
            report.origin == Some(Origin::Ours) && matches!(report.outcome, Outcome::Succeeded | Outcome::Unchanged);
        if by_us && task.kind == "apply" {
            // Putting back what drifted starts no new time either.
            let kept = report.outcome == Outcome::Unchanged || known == Some((Origin::Ours, ControlState::Drifted));
            self.expires_by(tx, task, kept, now)?;
        }
        let cause = cause(task, report);
        if task.implication == "fix" && report.state == ControlState::Effective && task.kind == "apply" {
            self.round.fixed.push((task.asset_id, task.entry_key, cause.clone()));
        }
        self.round.rescore(task.asset_id, cause);
        Ok(())
    }
}

/// Whether this refuses bytes that nobody proved to be ours and that are not the order of the task's present epoch. Whoever is on the
/// way can make some that name any task: they must not end it, or what the agent does on the real order is never known here.
fn foreign(task: &TaskRow, event: &Event) -> bool {
    let EventKind::Refused { order, .. } = &event.event else { return false };
    let sent = task.order_envelope.as_deref().filter(|_| i64::from(event.epoch) == task.epoch);
    !order.is_empty() && sent.map(event_digest).as_deref() != Some(order.as_str())
}

/// Whether an event of an agent's own task is kept as evidence: a host could send any number of them, of any size. After the
/// end of a task only what resolves a try still says something.
fn worth_keeping(event: &Event, text: &str, ended: bool) -> bool {
    let bounded = event.n <= EVENT_NUMBER_MAX && text.len() <= EVENT_BYTES_MAX;
    bounded && (!ended || event.event.resolves())
}

/// 203 to 206 (mitigation rules 3.3, R13 to R15).
fn detail(report: &TaskReport, known: Option<(Origin, ControlState)>) -> Option<i64> {
    match (report.outcome, report.origin) {
        (Outcome::NotOurs, _) => Some(205),
        (Outcome::Unchanged, Some(Origin::Ours)) => Some(204),
        (Outcome::Unchanged, _) => match known {
            Some((Origin::External, ControlState::Effective)) => Some(206),
            _ => Some(203),
        },
        _ => None,
    }
}

fn cause(task: &TaskRow, report: &TaskReport) -> String {
    let job = store::jobs::name(task.job_number);
    let what = match report.outcome {
        Outcome::Succeeded => "applied",
        Outcome::Unchanged | Outcome::NotOurs | Outcome::Reported => "found in place",
        Outcome::Reverted => "rolled back",
        Outcome::DriftedSinceApply => "found changed by somebody",
        Outcome::NotApplicable => "does not apply:",
        Outcome::Failed | Outcome::TimedOut | Outcome::VerifyFailed | Outcome::RevertFailed => "failed:",
    };
    format!("{job} {what} {}", task.entry)
}

/// Compute the scores of an asset's items again.
///
/// # Errors
/// A failure of the store.
pub fn rescore(tx: &mut Transaction<'_>, asset: AssetId, cause: &str, now: Timestamp) -> Result<(), Error> {
    let items: Vec<ItemId> = scores::items_of_assets(tx, &[asset])?;
    scores::recompute(tx, &items, cause, now)?;
    Ok(())
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(MESSAGE_MAX).map_or(text, |(at, _)| text.get(..at).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcome: Outcome, origin: Option<Origin>) -> TaskReport {
        TaskReport {
            outcome,
            state: ControlState::Effective,
            origin,
            message: String::new(),
            actions: vec![],
            left_changed: false,
            restart_needed: None,
        }
    }

    #[test]
    fn r13_r14_r15_details_by_table() {
        let external = Some((Origin::External, ControlState::Effective));
        for (outcome, origin, known, expected) in [
            (Outcome::Succeeded, Some(Origin::Ours), None, None),
            (Outcome::Unchanged, Some(Origin::Ours), None, Some(204)),
            (Outcome::Unchanged, Some(Origin::External), None, Some(203)),
            (Outcome::Unchanged, Some(Origin::External), external, Some(206)),
            (Outcome::NotOurs, Some(Origin::External), external, Some(205)),
        ] {
            assert_eq!(detail(&report(outcome, origin), known), expected, "{outcome:?} {origin:?}");
        }
    }

    #[test]
    fn a_message_of_a_host_is_cut_on_a_character() {
        let long = "ä".repeat(MESSAGE_MAX + 5);
        assert_eq!(cut(&long).chars().count(), MESSAGE_MAX);
    }
}
