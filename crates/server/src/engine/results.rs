//! What agents report: events become task states, controls and lower scores, in one transaction per batch.
//!
//! A report is a claim of the host it comes from: it moves only the tasks of that agent, only within the present
//! epoch, and never closes an item. Every event is kept once, by (task, epoch, n); repeated ones change nothing.

use super::orders::event_digest;
use crate::http::error::Error;
use domain::id::{AssetId, ItemId, JobId};
use domain::mitigation::{ControlState, Origin};
use domain::task;
use domain::time::Timestamp;
use protocol::agent::{Acked, Event, EventKind, Outcome, TaskReport};
use protocol::order::RefusalCode;
use std::collections::BTreeSet;
use store::agents::AgentRow;
use store::controls::{self, Report, after};
use store::tasks::{self, TaskRow};
use store::{Transaction, agents, eliminations, scores};

/// Longest message kept for people, in characters; a host could send anything.
const MESSAGE_MAX: usize = 2_000;
/// Events of one (task, epoch) kept at most: an honest agent says a handful, and a few forgeries it has seen.
const EVENT_NUMBER_MAX: u32 = 64;
/// The longest event kept, in bytes: four times what an order allows a report, for its frame.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// What a batch of events did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// What the agent may forget.
    pub acked: Vec<Acked>,
    /// Jobs whose tasks changed.
    pub touched: BTreeSet<JobId>,
}

/// Store a batch of events of one agent, oldest first. What cannot be understood, or is of an epoch that is
/// not known here yet, is neither stored nor acknowledged; what is beyond every honest bound is acknowledged and not stored.
///
/// # Errors
/// A failure of the store; then nothing of the batch is kept.
pub fn store(tx: &mut Transaction<'_>, agent: &AgentRow, events: &[String], now: Timestamp) -> Result<Stored, Error> {
    let mut stored = Stored::default();
    // Its link may have changed since the request was let in.
    let agent = &agents::read(tx, agent.id)?;
    for text in events {
        let Ok(event) = serde_json::from_str::<Event>(text) else {
            tracing::warn!(agent = %agent.agent_id, "agent {} sent an event that is none", agent.agent_id);
            continue;
        };
        let Some(task) = tasks::by_uuid(tx, event.task)?.filter(|task| task.agent_key == Some(agent.id)) else {
            // Acknowledged all the same: the task is gone or another agent's, sending it again changes nothing.
            tracing::warn!(agent = %agent.agent_id, task = %event.task, "agent {} reports on a task that is not its own", agent.agent_id);
            stored.acked.push(Acked { task: event.task, epoch: event.epoch, n: event.n });
            continue;
        };
        let (epoch, n) = (i64::from(event.epoch), i64::from(event.n));
        if epoch > task.epoch && !task.state.ended() {
            // We were put back to a state from before that order. The agent keeps its word until we get there again: dropped, what
            // it did would never be known here; believed, an agent could raise its epochs as it liked.
            tracing::info!(agent = %agent.agent_id, task = %event.task, "event {n} of epoch {epoch} is left with its agent: {} is the newest epoch known here", task.epoch);
            continue;
        }
        stored.acked.push(Acked { task: event.task, epoch: event.epoch, n: event.n });
        if !worth_keeping(&event, text, task.state.ended()) {
            // Acknowledged too: held back, it would come for ever.
            tracing::warn!(agent = %agent.agent_id, task = %event.task, "event {} of agent {} is not kept: too many, too long or too late", event.n, agent.agent_id);
            continue;
        }
        if epoch > task.epoch || !tasks::keep_event(tx, task.id, epoch, n, text, now)? || epoch < task.epoch {
            continue;
        }
        if apply(tx, agent, &task, &event, text, now)? {
            stored.touched.insert(task.job_id);
        }
    }
    super::mail::tell(tx, stored.touched.iter().copied(), now)?;
    Ok(stored)
}

/// Whether an event of an agent's own task is kept as evidence: a host could send any number of them, of any size. After the
/// end of a task only what resolves a try still says something.
fn worth_keeping(event: &Event, text: &str, ended: bool) -> bool {
    let bounded = event.n <= EVENT_NUMBER_MAX && text.len() <= EVENT_BYTES_MAX;
    bounded && (!ended || event.event.resolves())
}

/// Carry one new event out; `false` when it cannot follow the task's state.
fn apply(
    tx: &mut Transaction<'_>,
    agent: &AgentRow,
    task: &TaskRow,
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
    tasks::save_life(tx, task.id, life, now)?;
    if event.event.resolves() {
        tasks::save_resolution(tx, task.id, &event_digest(text))?;
    }
    match &event.event {
        EventKind::Refused { code, reason } => {
            let message = format!("the agent refused ({}): {}", code.as_str(), cut(reason));
            tasks::save_result(tx, task.id, &message, None, "")?;
        }
        EventKind::Interrupted { state, reason } => {
            tasks::save_result(tx, task.id, &format!("interrupted on the host: {}", cut(reason)), None, "")?;
            let in_force = matches!(state, ControlState::Effective | ControlState::Configured);
            // It was done before the executor died. The next try finds it in place and says whose it is; where there is no
            // next one, because the job was cancelled or the tries are used up, this is the last word.
            if in_force && life.state.ended() && task.kind == "apply" && agent.asset_id == Some(task.asset_id) {
                left_in_force(tx, task, *state, event.at, now)?;
            }
            // A rollback that died on its way has taken out what it has taken out, whether or not it is tried again.
            if !in_force && task.kind == "revert" && agent.asset_id == Some(task.asset_id) {
                taken_out(tx, task, *state, event.at, now)?;
            }
        }
        EventKind::Revoked => tasks::save_result(tx, task.id, "withdrawn before it started", None, "")?,
        EventKind::Finished(report) if elsewhere => {
            let said = cut(&report.message);
            let message = format!("not done on {}: the agent sits on another asset; it said: {said}", task.asset_name);
            tasks::save_result(tx, task.id, &message, None, "")?;
        }
        EventKind::Finished(report) => finished(tx, task, report, event.at, now)?,
        EventKind::Restarting { now: false, .. } => {
            tasks::save_result(tx, task.id, "in place; waits for its turn to restart the host", None, "")?;
        }
        EventKind::Restarting { now: true, .. } => {
            tasks::save_result(tx, task.id, "in place; the host is restarting", None, "")?;
        }
        EventKind::Accepted | EventKind::Started => {}
    }
    Ok(true)
}

/// Keep the control that an interrupted try, the task's last, left in force.
fn left_in_force(
    tx: &mut Transaction<'_>,
    task: &TaskRow,
    state: ControlState,
    at: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    let control = Report {
        asset: task.asset_id,
        entry: &task.entry,
        entry_key: task.entry_key,
        state,
        origin: Origin::Ours,
        task: task.id,
        // A clock ahead of ours must not silence later checks.
        heard_at: at.min(now),
    };
    controls::report(tx, &control, now)?;
    let cause = format!("{} was interrupted after {} was in place", store::jobs::name(task.job_number), task.entry);
    rescore(tx, task.asset_id, &cause, now)
}

/// Take down the control that an interrupted rollback no longer left in force.
fn taken_out(
    tx: &mut Transaction<'_>,
    task: &TaskRow,
    state: ControlState,
    at: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(known) = controls::find(tx, task.asset_id, &task.entry)? else { return Ok(()) };
    let control = Report {
        asset: task.asset_id,
        entry: &task.entry,
        entry_key: task.entry_key,
        state,
        origin: known.origin,
        task: task.id,
        heard_at: at.min(now),
    };
    controls::report(tx, &control, now)?;
    let cause =
        format!("{} was interrupted, {} is not in force any more", store::jobs::name(task.job_number), task.entry);
    rescore(tx, task.asset_id, &cause, now)
}

/// Keep a result: its message and detail, the control, and what that makes of the scores.
fn finished(
    tx: &mut Transaction<'_>,
    task: &TaskRow,
    report: &TaskReport,
    at: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    if task.kind == super::dry_run::KIND {
        // What a machine would do is no control, whatever it says of its state.
        let json = serde_json::to_string(report).map_err(Error::internal)?;
        tasks::save_result(tx, task.id, cut(&report.message), None, &json)?;
        return Ok(());
    }
    let known = controls::find(tx, task.asset_id, &task.entry)?;
    let detail = detail(report, known.as_ref().map(|control| (control.origin, control.state)));
    let json = serde_json::to_string(report).map_err(Error::internal)?;
    tasks::save_result(tx, task.id, cut(&report.message), detail, &json)?;
    if task.kind == "revert" && known.is_none() {
        return Ok(());
    }
    let origin = report.origin.unwrap_or_else(|| known.as_ref().map_or(Origin::External, |control| control.origin));
    let control = Report {
        asset: task.asset_id,
        entry: &task.entry,
        entry_key: task.entry_key,
        state: report.state,
        origin,
        task: task.id,
        // A clock ahead of ours must not silence later checks.
        heard_at: at.min(now),
    };
    // A check that found nothing on a host that never had it leaves no trace.
    if known.is_some() || matches!(report.state, ControlState::Effective | ControlState::Configured) {
        controls::report(tx, &control, now)?;
    }
    // What a job put in place, or applied again to what is ours, expires by its word from now on.
    let by_us =
        report.origin == Some(Origin::Ours) && matches!(report.outcome, Outcome::Succeeded | Outcome::Unchanged);
    if by_us && task.kind == "apply" {
        let expires_at = after::of_job(tx, task.job_id)?.expiry(now);
        after::set_expiry(tx, task.asset_id, &task.entry, expires_at, task.job_id)?;
    }
    let cause = cause(task, report);
    rescore(tx, task.asset_id, &cause, now)?;
    if task.implication == "fix" && report.state == ControlState::Effective && task.kind == "apply" {
        fixed(tx, task, &cause, now)?;
    }
    Ok(())
}

/// A verified fix resolves the items it covers; a scan has to confirm it (design, section 5).
fn fixed(tx: &mut Transaction<'_>, task: &TaskRow, cause: &str, now: Timestamp) -> Result<(), Error> {
    for (item, before) in eliminations::items_fixed_by(tx, task.asset_id, task.entry_key)? {
        let after = domain::item::fix_verified(before, now);
        if after != before {
            eliminations::save_workflow(tx, item, before, after, cause, now)?;
        }
    }
    Ok(())
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
