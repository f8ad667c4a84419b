//! Answers agents that ask whether an order may start now (S6, S7).
//!
//! `domain::rollout` says how many and whether this order is still the one to start, `store::rollouts` holds them.

use crate::engine::{dispatch, waves};
use crate::http::error::Error;
use domain::job::Status;
use domain::rollout::permit::{Fitness, Question, fit, free_at};
use domain::rollout::run::RunState;
use domain::task::State;
use domain::time::Timestamp;
use protocol::permit::{PERMIT_SECONDS, PERMIT_TYPE, Permit, PermitAnswer, PermitAsk, RESTART_TYPE};
use protocol::signed::{Envelope, SigningKey};
use store::agents::AgentRow;
use store::rollouts::restarts::{self, WantedRestart};
use store::rollouts::{Granted, Wanted};
use store::tasks::TaskRow;
use store::{Transaction, agents, jobs, rollouts, tasks};

/// How long an agent whose job is paused waits before it asks again, in seconds.
const PAUSED_SECONDS: u32 = 30;
/// How long an agent waits before it asks for a slot again while others are restarted, in seconds.
const RESTART_SECONDS: u32 = 30;

/// Answer one question.
///
/// # Errors
/// A failure of the store; then nothing was granted.
pub fn answer(
    tx: &mut Transaction<'_>,
    agent: &AgentRow,
    ask: &PermitAsk,
    key: &SigningKey,
    now: Timestamp,
) -> Result<PermitAnswer, Error> {
    let denied = |reason: &str| Ok(PermitAnswer::Denied { reason: reason.to_owned() });
    // Its link may have changed since the request was let in.
    let agent = &agents::read(tx, agent.id)?;
    let Some(task) = tasks::by_uuid(tx, ask.of.task)?.filter(|task| task.agent_key == Some(agent.id)) else {
        return denied("the task is not this agent's");
    };
    let run = rollouts::run(tx, task.run_id)?;
    let question = Question {
        agent_revoked: agent.revoked_at.is_some(),
        on_its_asset: agent.asset_id == Some(task.asset_id),
        epoch: ask.of.epoch,
        life: task.life(),
        halted: dispatch::halt(tx)?.is_some(),
        run: run.state,
        paused: task.held || jobs::read(tx, task.job_id)?.status != Status::Enabled,
    };
    match fit(&question) {
        Fitness::Fit => {}
        Fitness::Later => return Ok(PermitAnswer::Wait { retry_after_seconds: PAUSED_SECONDS }),
        Fitness::Never(reason) => return denied(reason),
    }
    let policy = waves::policy(&run.rollout)?;
    let tags = if policy.apart.is_some() { rollouts::tags(tx, task.asset_id)? } else { Vec::new() };
    let group = policy.apart.as_ref().and_then(|apart| apart.group(tags.iter().map(String::as_str)));
    let wanted = Wanted {
        task: task.id,
        epoch: task.epoch,
        run: run.id,
        max_running: i64::from(policy.max_running),
        interval: policy.start_interval_micros(),
        apart: group.zip(policy.apart.as_ref().map(|apart| i64::from(apart.at_most))),
        expires_at: free_at(now),
    };
    match rollouts::grant(tx, &wanted, now)? {
        Granted::Closed => denied("a halt stands"),
        Granted::Full => {
            let asking: u64 = rollouts::tallies(tx, run.id)?.into_iter().map(|(_, tally)| tally.out).sum();
            Ok(PermitAnswer::Wait { retry_after_seconds: policy.retry_seconds(asking) })
        }
        Granted::Yes => Ok(PermitAnswer::Granted { permit: signed(PERMIT_TYPE, agent, &task, ask, key, now)? }),
    }
}

/// Answer one question whether a host may be restarted for a task: a slot for each, given back when the task ends.
///
/// # Errors
/// A failure of the store; then nothing was granted.
pub fn answer_restart(
    tx: &mut Transaction<'_>,
    agent: &AgentRow,
    ask: &PermitAsk,
    key: &SigningKey,
    now: Timestamp,
) -> Result<PermitAnswer, Error> {
    let denied = |reason: &str| Ok(PermitAnswer::Denied { reason: reason.to_owned() });
    let agent = &agents::read(tx, agent.id)?;
    let Some(task) = tasks::by_uuid(tx, ask.of.task)?.filter(|task| task.agent_key == Some(agent.id)) else {
        return denied("the task is not this agent's");
    };
    if let Some(reason) = misplaced(&task, agent, ask) {
        return denied(reason);
    }
    match task.state {
        State::Running => {}
        // Its word that it started is still on its way.
        State::Offered | State::Accepted => return Ok(PermitAnswer::Wait { retry_after_seconds: 5 }),
        _ => return denied("the task does not wait for a restart"),
    }
    if dispatch::halt(tx)?.is_some() {
        return denied("everything is halted");
    }
    let run = rollouts::run(tx, task.run_id)?;
    let policy = waves::policy(&run.rollout)?;
    let Some(at_most) = policy.restarts else { return denied("no host of this run is restarted") };
    if run.state != RunState::Open {
        return denied("the run is halted");
    }
    if task.held || jobs::read(tx, task.job_id)?.status != Status::Enabled {
        return Ok(PermitAnswer::Wait { retry_after_seconds: PAUSED_SECONDS });
    }
    let tags = if policy.apart.is_some() { rollouts::tags(tx, task.asset_id)? } else { Vec::new() };
    let group = policy.apart.as_ref().and_then(|apart| apart.group(tags.iter().map(String::as_str)));
    let wanted = WantedRestart {
        task: task.id,
        epoch: task.epoch,
        run: run.id,
        at_most: i64::from(at_most),
        apart: group.zip(policy.apart.as_ref().map(|apart| i64::from(apart.at_most))),
    };
    match restarts::grant(tx, &wanted, now)? {
        Granted::Closed => denied("a halt stands"),
        Granted::Full => Ok(PermitAnswer::Wait { retry_after_seconds: RESTART_SECONDS }),
        Granted::Yes => Ok(PermitAnswer::Granted { permit: signed(RESTART_TYPE, agent, &task, ask, key, now)? }),
    }
}

fn signed(
    kind: &str,
    agent: &AgentRow,
    task: &TaskRow,
    ask: &PermitAsk,
    key: &SigningKey,
    now: Timestamp,
) -> Result<String, Error> {
    let permit = Permit {
        v: 1,
        agent_id: agent.agent_id,
        instance_id: agent.instance_id,
        task: task.uuid,
        epoch: ask.of.epoch,
        nonce: ask.nonce,
        granted_at: now,
        start_by: now.plus_seconds(PERMIT_SECONDS),
    };
    let payload = serde_json::to_vec(&permit).map_err(Error::internal)?;
    String::from_utf8(Envelope::sign(kind, &payload, &[key]).to_json()).map_err(Error::internal)
}

/// Why this agent has nothing to ask for this task.
fn misplaced(task: &TaskRow, agent: &AgentRow, ask: &PermitAsk) -> Option<&'static str> {
    if agent.revoked_at.is_some() {
        return Some("the agent is revoked");
    }
    if agent.asset_id != Some(task.asset_id) {
        return Some("the agent sits on another asset");
    }
    if i64::from(ask.of.epoch) != task.epoch {
        return Some("another epoch of the task is in force");
    }
    task.cancel_requested.then_some("the job was cancelled")
}
