//! What people do to the runs of a job while they are at work: halt, resume, open the next wave. And what they see of them.
//!
//! A recurring job has a newer run while an older one is still at work or halted: a halt stops all of them, resume and the next
//! wave concern the newest that can follow.
//!
//! Whether it follows the run's state is `domain::rollout::run`'s to say; abandoning a run is cancelling its job.

use crate::app::App;
use crate::engine::approvals::kept;
use crate::engine::jobs::{self, Job};
use crate::engine::{dispatch, waves};
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::access::{Action, AssetScope};
use domain::id::{AgentKey, JobId};
use domain::refusal::Refusal;
use domain::rollout::gate::Tally;
use domain::rollout::run::{RunEvent, RunState, step};
use domain::rollout::{Apart, Policy, Size};
use domain::time::Timestamp;
use protocol::api::response::Act;
use protocol::api::rollout::{Rollout, RolloutBody, RolloutRun, RolloutWave};
use store::rollouts::{self, RunRow};
use store::{Transaction, jobs as job_store};

/// What somebody asks of the runs of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Nothing more starts.
    Halt(String),
    /// It goes on.
    Resume,
    /// The next wave opens, whatever the gate says.
    Promote,
}

impl Asked {
    fn event(&self) -> RunEvent {
        match self {
            Asked::Halt(_) => RunEvent::Halt,
            Asked::Resume => RunEvent::Resume,
            Asked::Promote => RunEvent::Promote,
        }
    }
}

fn permission(event: RunEvent) -> Action {
    if event == RunEvent::Halt { Action::RunHalt } else { Action::RunResume }
}

/// A policy as people write it.
///
/// # Errors
/// 422 `rollout` for what is none.
pub fn understood(given: &Rollout) -> Result<Policy, Error> {
    let size = |text: &String| {
        text.parse::<Size>().map_err(|error| Error::field("rollout", "rollout_size", error.to_string()))
    };
    let apart = match (&given.apart_tag, given.apart_at_most) {
        (Some(tag), at_most) => Some(Apart { tag: tag.trim().to_owned(), at_most: at_most.unwrap_or(1) }),
        (None, Some(_)) => {
            return Err(Error::field("rollout", "rollout_apart", "say which tag makes the group that is kept apart"));
        }
        (None, None) => None,
    };
    let policy = Policy {
        waves: given.waves.iter().map(size).collect::<Result<_, _>>()?,
        soak_seconds: given.soak_seconds,
        max_running: given.max_running,
        starts_per_minute: given.starts_per_minute,
        failures: given.failures.as_ref().map(size).transpose()?,
        failure_percent: given.failure_percent,
        definitive_percent: given.definitive_percent,
        freshness_hours: given.freshness_hours,
        apart,
        permits: given.permits,
        restarts: given.restarts_at_once,
    };
    policy.validate().map_err(|refusal| Error::field("rollout", refusal.code, refusal.sentence))?;
    Ok(policy)
}

/// A policy as it is told.
#[must_use]
pub fn told(policy: &Policy) -> Rollout {
    Rollout {
        waves: policy.waves.iter().map(ToString::to_string).collect(),
        soak_seconds: policy.soak_seconds,
        max_running: policy.max_running,
        starts_per_minute: policy.starts_per_minute,
        failures: policy.failures.map(|size| size.to_string()),
        failure_percent: policy.failure_percent,
        definitive_percent: policy.definitive_percent,
        freshness_hours: policy.freshness_hours,
        apart_tag: policy.apart.as_ref().map(|apart| apart.tag.clone()),
        apart_at_most: policy.apart.as_ref().map(|apart| apart.at_most),
        permits: policy.permits,
        restarts_at_once: policy.restarts,
    }
}

/// Store a policy; part of an edit of the job, which was permitted and found its version.
///
/// # Errors
/// A failure of the store.
pub fn save(tx: &mut Transaction<'_>, job: JobId, policy: &Policy) -> Result<(), Error> {
    let text = serde_json::to_string(policy).map_err(Error::internal)?;
    Ok(rollouts::set_policy(tx, job, &text)?)
}

/// The policy and the runs of a job, as the caller may see them.
///
/// # Errors
/// A failure of the store.
pub fn body(tx: &mut Transaction<'_>, caller: &Caller, job: &Job) -> Result<RolloutBody, Error> {
    let policy = &job.rollout;
    let rows = rollouts::of_job(tx, job.row.id)?;
    let mut runs = Vec::new();
    for row in &rows {
        // Of what has ended nothing goes on.
        let stands = if row.state == RunState::Ended { Ok(()) } else { kept::stands(tx, row, false)? };
        runs.push(run(tx, job, row, acts(caller, job, &rows, (row, &stands)))?);
    }
    Ok(RolloutBody { rollout: told(policy), sentence: policy.sentence(), runs })
}

/// The run of a job that people have to look at, without what can be done to it: the newest that stands halted, else the newest.
///
/// # Errors
/// A failure of the store.
pub fn looked_at(tx: &mut Transaction<'_>, job: &Job) -> Result<Option<RolloutRun>, Error> {
    let rows = rollouts::of_job(tx, job.row.id)?;
    let row = rows.iter().find(|row| row.state.stopped()).or(rows.first());
    row.map(|row| run(tx, job, row, Vec::new())).transpose()
}

/// What can be done to one of the runs, of all that can be done to the job's.
fn acts(caller: &Caller, job: &Job, rows: &[RunRow], (row, stands): (&RunRow, &Result<(), Refusal>)) -> Vec<Act> {
    let events = [("halt", RunEvent::Halt), ("resume", RunEvent::Resume), ("promote", RunEvent::Promote)];
    let mine = events.into_iter().filter(|(_, event)| meant(rows, *event).is_some_and(|meant| meant.id == row.id));
    let acts = mine.map(|(act, event)| {
        let permitted = caller.decide(permission(event), &job.record).ok().map_err(|reason| reason.to_string());
        let approved = if event == RunEvent::Halt { Ok(()) } else { stands.clone() };
        let fits = fits(row, event).and(approved).map_err(|refusal| refusal.sentence);
        let reason = permitted.and(fits).err().unwrap_or_default();
        Act { act: act.to_owned(), allowed: reason.is_empty(), reason }
    });
    acts.collect()
}

fn run(tx: &mut Transaction<'_>, job: &Job, row: &RunRow, acts: Vec<Act>) -> Result<RolloutRun, Error> {
    let policy = waves::policy(&row.rollout)?;
    let tallies = match &job.scope {
        AssetScope::All => rollouts::tallies(tx, row.id)?,
        // Who may not know of an asset must not count it either.
        scope => rollouts::recount_within(tx, row.id, scope)?,
    };
    let out = rollouts::permits(tx, row.id)?.iter().filter(|permit| permit.back_at.is_none()).count();
    let soak = i64::from(policy.soak_seconds);
    Ok(RolloutRun {
        ordinal: row.ordinal,
        state: row.state.as_str().to_owned(),
        reason: row.reason.clone(),
        halted_by: row.halted_by.clone(),
        halted_at: row.halted_at,
        next_wave_at: row.settled_at.map(|at| at.plus_seconds(soak)),
        permits: row.permits,
        permits_out: i64::try_from(out).unwrap_or(i64::MAX),
        restarts_out: rollouts::restarts::out(tx, row.id)?,
        sentence: policy.sentence(),
        waves: tallies.into_iter().map(|(number, tally)| wave(row, number, tally)).collect(),
        acts,
    })
}

fn wave(row: &RunRow, number: i64, tally: Tally) -> RolloutWave {
    let state = match number {
        _ if tally.open() == 0 => "done",
        number if number > row.wave => "waiting",
        _ => "open",
    };
    RolloutWave {
        wave: number,
        state: state.to_owned(),
        tasks: tally.tasks(),
        waiting: tally.waiting,
        out: tally.out,
        unknown: tally.unknown,
        good: tally.good,
        bad: tally.bad,
        neutral: tally.neutral,
        untried: tally.untried,
    }
}

/// Whether an event may follow the state a run is in.
fn fits(row: &RunRow, event: RunEvent) -> Result<(), Refusal> {
    step(row.state, event)?;
    match event {
        RunEvent::Promote if row.wave >= row.waves => Err(Refusal::new("run_last_wave", "its last wave is open")),
        _ => Ok(()),
    }
}

/// The run that an event is for, of the runs of a job, newest first: the newest that it may follow, else the newest, whose refusal
/// is what people are told.
fn meant(rows: &[RunRow], event: RunEvent) -> Option<&RunRow> {
    rows.iter().find(|row| fits(row, event).is_ok()).or(rows.first())
}

/// Halt the runs of a job, or resume or promote the newest that can be.
///
/// # Errors
/// A missing permission, no run, no reason given, or the refusal of the state machine.
pub async fn act(app: &App, caller: &Caller, number: i64, asked: Asked) -> Result<RolloutBody, Error> {
    let (doer, now) = (caller.clone(), app.clock.now());
    let (body, agents, job) = app.database.try_write(move |tx| act_in(tx, &doer, number, &asked, now)).await?;
    for agent in agents {
        app.wake.notify("agent", agent.0);
    }
    app.wake.notify("job", job);
    app.wake.notify("dispatch", 0);
    Ok(body)
}

fn act_in(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    number: i64,
    asked: &Asked,
    now: Timestamp,
) -> Result<(RolloutBody, Vec<AgentKey>, i64), Error> {
    let job = jobs::load(tx, caller, number)?;
    let event = asked.event();
    caller.may(permission(event), &job.record)?;
    let missing = || Error::NotFound(format!("a run of {}", job_store::name(number)));
    let rows = rollouts::of_job(tx, job.row.id)?;
    let row = meant(&rows, event).ok_or_else(missing)?;
    fits(row, event)?;
    if event != RunEvent::Halt {
        // What people signed is what may go on; that somebody lets it is told in the audit, beside the signature.
        kept::stands(tx, row, true)??;
    }
    let author = caller.author();
    let approval = store::approvals::of_run(tx, row.id)?.map(|approval| approval.id);
    let agents = match asked {
        Asked::Halt(reason) if reason.trim().is_empty() => {
            return Err(Error::field(
                "reason",
                "reason_missing",
                "say why the run is halted; everybody who sees it does",
            ));
        }
        // Whoever halts a job's run in distress must not have to know that an older one is at work too.
        Asked::Halt(reason) => {
            let mut agents = Vec::new();
            for row in rows.iter().filter(|row| fits(row, event).is_ok()) {
                agents.extend(waves::halt(tx, row, &author, reason.trim(), now)?);
            }
            agents
        }
        Asked::Resume => {
            rollouts::set_state(tx, row.id, (row.state, RunState::Open), ("", ""), now)?;
            // Who lets a run go on accepts what has failed so far: else the gate would halt it again at once.
            let failures: u64 = rollouts::tallies(tx, row.id)?.iter().map(|(_, tally)| tally.failures()).sum();
            rollouts::accept(tx, row.id)?;
            let everything = dispatch::halt(tx)?.is_some();
            rollouts::close(tx, row.id, everything)?;
            let detail = serde_json::json!({
                "was": row.state, "reason": row.reason, "accepted": failures, "approval": approval,
            });
            waves::note(tx, row, &author, "run.resume", detail, now)?;
            Vec::new()
        }
        Asked::Promote => {
            rollouts::promote(tx, row.id, row.wave)?;
            let detail = serde_json::json!({
                "wave": row.wave + 1, "of": row.waves, "gate": row.reason, "approval": approval,
            });
            waves::note(tx, row, &author, "run.promote", detail, now)?;
            Vec::new()
        }
    };
    let id = job.row.id.0;
    Ok((body(tx, caller, &job)?, agents, id))
}
