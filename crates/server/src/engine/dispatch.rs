//! Keeps jobs moving: runs that a schedule gives, tasks whose time has come or whose window is over, orders that nobody answered, tasks that cannot be tried, runs that
//! are over. Takes no input but the database, so the happy path, a restart and a second replica are one path.

use crate::app::App;
use crate::engine::{approvals, dry_run, mail, orders, runs, waves};
use crate::failpoint;
use crate::http::error::Error;
use domain::id::{AgentKey, JobId};
use domain::task::{self, Event, State};
use domain::time::Timestamp;
use protocol::agent::TaskEpoch;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;
use store::rollouts::{self, away};
use store::tasks::TaskRow;
use store::{Transaction, settings, tasks};

/// Pause between two looks without a wake-up.
const PAUSE: Duration = Duration::from_secs(2);

/// Between the beginnings of two looks at least: reports come one by one, a look concerns everything.
const LOOKS_APART: Duration = Duration::from_millis(100);

/// Setting of the global halt.
pub const HALT: &str = "halt";

/// The global halt: nothing new is offered while it stands, what is out is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// It stands.
    pub halted: bool,
    /// Why, for everybody who sees it.
    pub reason: String,
    /// By whom.
    pub by: String,
}

/// Is everything halted, and why?
///
/// # Errors
/// A failure of the store.
pub fn halt(tx: &mut Transaction<'_>) -> Result<Option<Halt>, Error> {
    Ok(settings::get::<Halt>(tx, HALT)?.map(|setting| setting.value).filter(|halt| halt.halted))
}

/// What one look changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Agents for which something is ready.
    pub agents: BTreeSet<AgentKey>,
    /// Jobs whose tasks or status changed.
    pub jobs: BTreeSet<JobId>,
}

/// Run until the server stops.
pub async fn run(app: App) {
    let mut woken = app.wake.listen("dispatch", 0);
    while !app.stopping.is_cancelled() {
        let next = tokio::time::Instant::now() + LOOKS_APART;
        if let Err(error) = turn(&app).await {
            tracing::error!("jobs were not looked after, the next look will: {error:?}");
        }
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = woken.changed_within(PAUSE) => {}
        }
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// One look, kept, and whoever it concerns woken.
///
/// # Errors
/// A failure of the store; then nothing was changed.
pub async fn turn(app: &App) -> Result<Moved, Error> {
    let now = app.clock.now();
    let looked = app.database.try_write(move |tx| {
        let moved = look(tx, now)?;
        if moved != Moved::default() {
            failpoint::hit("dispatch.before_commit");
        }
        Ok::<_, Error>(moved)
    });
    let moved = looked.await?;
    if moved != Moved::default() {
        failpoint::hit("dispatch.after_commit");
    }
    for agent in &moved.agents {
        app.wake.notify("agent", agent.0);
    }
    for job in &moved.jobs {
        app.wake.notify("job", job.0);
    }
    Ok(moved)
}

/// What the list of an agent's open orders says of tasks, against what was thought of them: one that it does not list becomes
/// unknown and is asked about, one that it is at work on runs.
///
/// # Errors
/// A failure of the store.
pub async fn listed(app: &App, agent: AgentKey, news: Vec<(TaskEpoch, State, Event)>) -> Result<(), Error> {
    let now = app.clock.now();
    let jobs = app.database.try_write(move |tx| {
        let mut jobs = BTreeSet::new();
        for (TaskEpoch { task, epoch }, state, event) in news.iter().copied() {
            let Some(task) = tasks::by_uuid(tx, task)? else { continue };
            // It may have moved since the look.
            if task.agent_key != Some(agent) || task.life().epoch != epoch || task.state != state {
                continue;
            }
            let why = match event {
                Event::Silence => "its agent does not know of this order any more; it is asked what became of it",
                _ => "the host is back and at work",
            };
            moves(tx, &task, event, why, now)?;
            jobs.insert(task.job_id);
        }
        Ok::<_, Error>(jobs)
    });
    for job in jobs.await? {
        app.wake.notify("job", job.0);
    }
    Ok(())
}

fn moves(tx: &mut Transaction<'_>, task: &TaskRow, event: Event, why: &str, now: Timestamp) -> Result<(), Error> {
    let life = task::step(task.life(), event)?;
    tasks::save_life(tx, task.id, life, now)?;
    tasks::save_result(tx, task.id, why, None, "")?;
    Ok(())
}

/// End a task that nobody will answer for: what was ordered is lost, what was not is not tried.
fn give_up(tx: &mut Transaction<'_>, task: &TaskRow, retired: bool, now: Timestamp) -> Result<(), Error> {
    if matches!(task.state, State::Ready) {
        let message = if retired {
            let name = &task.asset_name;
            format!(
                "the agent on {name} was not heard of for so long that it was retired; take it back or enrol one, and run the job again"
            )
        } else {
            format!("{} has no agent in force; enrol one and run the job again", task.asset_name)
        };
        return orders::unable(tx, task, &message, now);
    }
    let why = if retired {
        "the agent was not heard of for so long that it was retired before it reported; nobody knows what it did"
    } else {
        "the agent was revoked or linked to another asset before it reported; nobody knows what it did"
    };
    moves(tx, task, Event::AgentGone, why, now)
}

/// The host of a task died at work, as far as anybody can see ([`task::gone`]): nobody knows how it ended.
fn fell_silent(tx: &mut Transaction<'_>, task: &TaskRow, now: Timestamp) -> Result<(), Error> {
    let name = &task.asset_name;
    if task.state == State::Running {
        let why = format!("{name} was not heard of again since the action started; nobody knows how it ended");
        return moves(tx, task, Event::Silence, &why, now);
    }
    // A permit counts as a start, at its time, so that gates count the host among those that fell silent at work.
    if let Some(granted_at) = rollouts::granted_at(tx, task.id, task.epoch)? {
        let life = task::step(task.life(), Event::Started)?;
        tasks::save_life(tx, task.id, life, granted_at)?;
    }
    let why = format!(
        "{name} was not heard of again since it was allowed to start the action; nobody knows how far it got and how it ended"
    );
    moves(tx, task, Event::Silence, &why, now)
}

/// One look at everything that may have to move.
///
/// # Errors
/// A failure of the store; then nothing was changed.
pub fn look(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Moved, Error> {
    let mut moved = Moved::default();
    moved.jobs.extend(runs::make_due(tx, now)?);
    let ear = away::listening(tx, now)?;
    let limit = now.plus_seconds(-task::GONE_SECONDS);
    // While nobody listened nobody was heard.
    if ear.0 <= limit {
        for task in tasks::gone(tx, now)? {
            fell_silent(tx, &task, now)?;
            moved.jobs.insert(task.job_id);
        }
    }
    waves::look(tx, ear, now, &mut moved)?;
    // First what can no longer start, so that it never is ready.
    moved.jobs.extend(runs::expire(tx, now)?);
    for (agent, job) in tasks::ready_due(tx, now)? {
        moved.agents.extend(agent);
        moved.jobs.insert(job);
    }
    for task in tasks::silent(tx, now.plus_seconds(-task::SILENCE_SECONDS))? {
        moves(tx, &task, Event::Silence, "the agent has not answered; it is asked what became of it", now)?;
        moved.jobs.insert(task.job_id);
    }
    let orphaned = tasks::orphaned(tx)?;
    let keys: Vec<AgentKey> = orphaned.iter().filter_map(|task| task.agent_key).collect();
    let retired = store::agents::contact::retired(tx, &keys)?;
    for task in orphaned {
        let retired = task.agent_key.is_some_and(|agent| retired.contains(&agent));
        give_up(tx, &task, retired, now)?;
        moved.jobs.insert(task.job_id);
    }
    moved.jobs.extend(runs::close_ended(tx, now)?);
    moved.jobs.extend(dry_run::tidy(tx, now)?);
    moved.jobs.extend(approvals::expire(tx, now)?);
    mail::tell(tx, moved.jobs.iter().copied(), now)?;
    Ok(moved)
}
