//! Answers agents that ask whether an order may start now (S6, S7).
//!
//! `domain::rollout` says how many and whether this order is still the one to start, `store::rollouts` holds them.

use crate::engine::approvals::{back, kept};
use crate::engine::runs::Does;
use crate::engine::{dispatch, waves};
use crate::http::error::Error;
use domain::job::Status;
use domain::rollout::Policy;
use domain::rollout::apart::{Kept, groups};
use domain::rollout::permit::{Fitness, Question, fit, fit_restart, free_at};
use domain::time::Timestamp;
use protocol::permit::{PERMIT_SECONDS, PERMIT_TYPE, Permit, PermitAnswer, PermitAsk, RESTART_TYPE};
use protocol::signed::{Envelope, SigningKey};
use store::agents::AgentRow;
use store::rollouts::restarts::{self, WantedRestart};
use store::rollouts::{Granted, RunRow, Wanted};
use store::tasks::TaskRow;
use store::{Transaction, agents, jobs, rollouts, tasks};

/// How long an agent whose job is paused waits before it asks again, in seconds.
const PAUSED_SECONDS: u32 = 30;
/// How long an agent waits before it asks for a slot again while others are restarted, in seconds.
const RESTART_SECONDS: u32 = 30;
/// How long an agent waits before it asks again whose word that it started is still on its way, in seconds.
const SOON_SECONDS: u32 = 5;
const NOT_ITS_TASK: &str = "the task is not this agent's";

/// What is known of a question: who asks, for which task of which run.
struct Asked {
    agent: AgentRow,
    task: TaskRow,
    run: RunRow,
    policy: Policy,
    question: Question,
}

/// Read it all anew: the agent's link may have changed since the request was let in. `None`: the task is not this agent's.
fn asked(tx: &mut Transaction<'_>, agent: &AgentRow, ask: &PermitAsk) -> Result<Option<Asked>, Error> {
    let agent = agents::read(tx, agent.id)?;
    let Some(task) = tasks::by_uuid(tx, ask.of.task)?.filter(|task| task.agent_key == Some(agent.id)) else {
        return Ok(None);
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
    let policy = waves::policy(&run.rollout)?;
    Ok(Some(Asked { agent, task, run, policy, question }))
}

/// Every group in which the host may have to wait, by what its own run keeps apart and by what runs at work on others of it do.
fn apart(tx: &mut Transaction<'_>, asked: &Asked) -> Result<Vec<Kept>, Error> {
    let (own, held) = (asked.policy.apart.as_ref(), rollouts::apart::held(tx, asked.task.asset_id)?);
    if own.is_none() && held.is_empty() {
        return Ok(Vec::new());
    }
    let tags = rollouts::tags(tx, asked.task.asset_id)?;
    Ok(groups(own, &held, tags.iter().map(String::as_str)))
}

fn denied(reason: &str) -> PermitAnswer {
    PermitAnswer::Denied { reason: reason.to_owned() }
}

/// What an agent is told that may not go on, if it may not.
fn unfit(fitness: Fitness) -> Option<PermitAnswer> {
    match fitness {
        Fitness::Fit => None,
        Fitness::Soon => Some(PermitAnswer::Wait { retry_after_seconds: SOON_SECONDS }),
        Fitness::Later => Some(PermitAnswer::Wait { retry_after_seconds: PAUSED_SECONDS }),
        Fitness::Never(reason) => Some(denied(reason)),
    }
}

/// What an agent is told whose run has other limits than those that people signed.
fn unapproved(tx: &mut Transaction<'_>, asked: &Asked) -> Result<Option<PermitAnswer>, Error> {
    let mut deviations = kept::deviations(tx, std::slice::from_ref(&asked.run))?;
    Ok(deviations.remove(&asked.run.id).map(|why| denied(&why)))
}

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
    let Some(asked) = asked(tx, agent, ask)? else { return Ok(denied(NOT_ITS_TASK)) };
    if let Some(answer) = unfit(fit(&asked.question)) {
        return Ok(answer);
    }
    if let Some(answer) = unapproved(tx, &asked)? {
        return Ok(answer);
    }
    let apart = apart(tx, &asked)?;
    let (task, policy) = (&asked.task, &asked.policy);
    let wanted = Wanted {
        task: task.id,
        epoch: task.epoch,
        run: asked.run.id,
        asset: task.asset_id,
        max_running: i64::from(policy.max_running),
        interval: policy.start_interval_micros(),
        apart: &apart,
        expires_at: free_at(now),
    };
    Ok(match rollouts::grant(tx, &wanted, now)? {
        Granted::Closed => denied("a halt stands"),
        Granted::Full => {
            let asking: u64 = rollouts::tallies(tx, asked.run.id)?.into_iter().map(|(_, tally)| tally.out).sum();
            PermitAnswer::Wait { retry_after_seconds: policy.retry_seconds(asking) }
        }
        Granted::Yes => PermitAnswer::Granted { permit: signed(PERMIT_TYPE, &asked, ask, key, now)? },
    })
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
    let Some(asked) = asked(tx, agent, ask)? else { return Ok(denied(NOT_ITS_TASK)) };
    if let Some(answer) = unfit(fit_restart(&asked.question)) {
        return Ok(answer);
    }
    if let Some(answer) = unapproved(tx, &asked)? {
        return Ok(answer);
    }
    let Some(at_most) = asked.policy.restarts else { return Ok(denied("no host of this run is restarted")) };
    let at_most = match asked.run.does == Does::Revert.as_str() {
        // Nobody approved the rollback: it goes no further than the approval of what it takes back.
        true => match back::restarts(tx, &asked.task, now)? {
            Ok(approved) => at_most.min(approved),
            Err(why) => return Ok(denied(&why)),
        },
        false => at_most,
    };
    let apart = apart(tx, &asked)?;
    let wanted = WantedRestart {
        task: asked.task.id,
        epoch: asked.task.epoch,
        run: asked.run.id,
        asset: asked.task.asset_id,
        at_most: i64::from(at_most),
        apart: &apart,
    };
    Ok(match restarts::grant(tx, &wanted, now)? {
        Granted::Closed => denied("a halt stands"),
        Granted::Full => PermitAnswer::Wait { retry_after_seconds: RESTART_SECONDS },
        Granted::Yes => PermitAnswer::Granted { permit: signed(RESTART_TYPE, &asked, ask, key, now)? },
    })
}

fn signed(kind: &str, asked: &Asked, ask: &PermitAsk, key: &SigningKey, now: Timestamp) -> Result<String, Error> {
    let permit = Permit {
        v: 1,
        agent_id: asked.agent.agent_id,
        instance_id: asked.agent.instance_id,
        task: asked.task.uuid,
        epoch: ask.of.epoch,
        nonce: ask.nonce,
        granted_at: now,
        start_by: now.plus_seconds(PERMIT_SECONDS),
    };
    let payload = serde_json::to_vec(&permit).map_err(Error::internal)?;
    String::from_utf8(Envelope::sign(kind, &payload, &[key]).to_json()).map_err(Error::internal)
}
