//! Runs of jobs: one execution of a job, with a task for each asset and entry. Made when somebody asks or the schedule
//! does, taken back, cancelled, expired, closed.
//!
//! Whether a job may run is decided in `domain::job` and asked by `engine::jobs`; which times a schedule gives is
//! `domain::schedule`; what becomes of a task once its time has come is `engine::dispatch`.
//!
//! A recurring job makes one run per time of its schedule, [`LEAD_SECONDS`] before the first asset starts. A run never
//! waits for the one before as a whole: what that one had not started has expired by then, and where its order is still
//! out the asset waits (R20, `domain::task::turn`).

mod targets;

pub use targets::{doable, pairs};

use crate::engine::approvals;
use crate::engine::{mail, waves};
use crate::http::error::Error;
use domain::id::{AssetId, JobId, RunId};
use domain::job::{self, Kind, Status};
use domain::refusal::Refusal;
use domain::schedule::{LEAD_SECONDS, Resolved, Schedule};
use domain::task::Event;
use domain::time::Timestamp;
use jiff::civil::DateTime;
use std::collections::BTreeSet;
use store::audit::{self, Entry};
use store::catalogue::renewal;
use store::jobs::JobRow;
use store::runs::Next;
use store::tasks::{NewTask, TaskRow};
use store::{Transaction, agents, jobs, runs, tasks};
use uuid::Uuid;

/// Who makes the runs of a schedule, in the audit log.
const ENGINE: &str = "engine/dispatch";

/// What the tasks of a run do on their assets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Put the entries in place.
    Apply,
    /// Take ours back.
    Revert,
}

impl Does {
    /// What a run of a job of this kind does.
    #[must_use]
    pub fn of(kind: Kind) -> Does {
        if kind == Kind::Rollback { Does::Revert } else { Does::Apply }
    }

    /// The word of a task's kind.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Does::Apply => "apply",
            Does::Revert => "revert",
        }
    }
}

/// On what a run works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// Every asset of the job, with every entry that one of its vulnerabilities there asks for.
    Everything,
    /// These assets with these entries (keys of the catalogue).
    These(Vec<(AssetId, i64)>),
}

/// When the tasks of a run are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// At once; they stay open until they were tried.
    Now,
    /// At this civil time of the job's schedule, within its window.
    At(DateTime),
}

/// Why a run is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Somebody enabled the job.
    Enabled,
    /// Its schedule gives this time.
    Schedule,
    /// Somebody wants it now.
    Now,
    /// Somebody wants what failed to be tried again.
    Retry,
    /// It is standing, and something of it drifted.
    Drift,
}

impl Cause {
    /// The word in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Enabled => "enabled",
            Cause::Schedule => "schedule",
            Cause::Now => "now",
            Cause::Retry => "retry",
            Cause::Drift => "drift",
        }
    }
}

/// A run to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// What it does.
    pub does: Does,
    /// On what.
    pub over: Over,
    /// When.
    pub due: Due,
    /// Why.
    pub cause: Cause,
    /// Who asks for it, as in the audit log.
    pub asked_by: String,
}

impl NewRun {
    /// The whole job as it stands.
    #[must_use]
    pub fn whole(job: &JobRow, due: Due, cause: Cause, asked_by: &str) -> NewRun {
        NewRun { does: Does::of(job.kind), over: Over::Everything, due, cause, asked_by: asked_by.to_owned() }
    }
}

/// Make the next run of a job and its tasks, each with the instant that its time resolves to on its asset. The run has the
/// ordinal after the last one's.
///
/// # Errors
/// A failure of the store, among them a conflict when somebody else made that run; a civil time outside the calendar.
pub fn make(
    tx: &mut Transaction<'_>,
    job: &JobRow,
    schedule: &Schedule,
    new: &NewRun,
    now: Timestamp,
) -> Result<RunId, Error> {
    let occurrence = match new.due {
        Due::Now => None,
        Due::At(civil) => Some(civil.to_string()),
    };
    let begun = runs::NewRun {
        job: job.id,
        occurrence: occurrence.as_deref(),
        cause: new.cause.as_str(),
        does: new.does.as_str(),
        asked_by: &new.asked_by,
    };
    let run = runs::begin(tx, &begun, now)?;
    let pairs = match &new.over {
        Over::Everything => targets::of_run(tx, job, now)?,
        Over::These(pairs) => pairs.clone(),
    };
    // What failed or drifted may have been done by a revision that agents do not do any more.
    let pairs = if job.kind == Kind::Mitigation { renewal::in_force(tx, pairs)? } else { pairs };
    let wave_of = waves::begin(tx, job.id, run, &pairs, new.does)?;
    let mut made = Vec::new();
    let assets: BTreeSet<AssetId> = pairs.iter().map(|(asset, _)| *asset).collect();
    let agents = agents::on_assets(tx, assets)?;
    for (asset, entry_key) in pairs {
        let agent = agents.get(&asset);
        let resolved = resolve(schedule, new.due, agent.map_or("", |agent| agent.zone.as_str()), now)?;
        made.push(NewTask {
            uuid: Uuid::now_v7(),
            run_id: run,
            job_id: job.id,
            asset_id: asset,
            agent_key: agent.map(|agent| agent.id),
            entry_key,
            wave: wave_of.get(&asset).map_or(1, |wave| i64::from(*wave)),
            kind: new.does.as_str().to_owned(),
            due_at: resolved.at,
            zone: resolved.zone,
            window_end: resolved.end.map(|end| end.at),
            start_by: resolved.end.map(|end| end.start_by),
        });
    }
    tasks::create(tx, &made, now)?;
    approvals::ask(tx, job, run, now)?;
    Ok(run)
}

fn resolve(schedule: &Schedule, due: Due, zone: &str, now: Timestamp) -> Result<Resolved, Refusal> {
    match due {
        Due::Now => Schedule::OnDemand.resolve(zone, now),
        Due::At(civil) => schedule.resolve_at(civil, zone),
    }
}

/// What enabling a job sets in motion: the one run of a job that runs once, the next time of a recurring one.
///
/// # Errors
/// `schedule_over` where no time is left to run at; a failure of the store.
pub fn set_in_motion(
    tx: &mut Transaction<'_>,
    job: &JobRow,
    schedule: &Schedule,
    asked_by: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let due = match schedule {
        Schedule::OnDemand => Due::Now,
        Schedule::Once { at, .. } => Due::At(*at),
        Schedule::Recurring(_) => {
            let next = next_to_come(tx, job.id, schedule, now)?;
            if next.is_none() {
                let why = "no time of the schedule lies ahead; change the schedule, then enable the job";
                return Err(Refusal::new("schedule_over", why).into());
            }
            return Ok(runs::set_next(tx, job.id, next.as_ref())?);
        }
    };
    let run = make(tx, job, schedule, &NewRun::whole(job, due, Cause::Enabled, asked_by), now)?;
    let open = tasks::open_of_run(tx, run)?;
    if !open.is_empty() && open.iter().all(|task| task.start_by.is_some_and(|last| last < now)) {
        let why = "the maintenance window is over on every asset; change the schedule, then enable the job";
        return Err(Refusal::new("schedule_over", why).into());
    }
    Ok(())
}

/// Let a recurring job that was held go on with the next time that no asset has passed; times that came meanwhile are
/// left out. A job whose schedule is over by then ends.
///
/// # Errors
/// A failure of the store.
pub fn go_on(tx: &mut Transaction<'_>, job: &JobRow, schedule: &Schedule, now: Timestamp) -> Result<(), Error> {
    if !schedule.recurs() {
        return Ok(());
    }
    let next = next_to_come(tx, job.id, schedule, now)?;
    runs::set_next(tx, job.id, next.as_ref())?;
    settle(tx, job.id, now)
}

/// The next time that no asset has passed and that has no run yet.
fn next_to_come(
    tx: &mut Transaction<'_>,
    job: JobId,
    schedule: &Schedule,
    now: Timestamp,
) -> Result<Option<Next>, Error> {
    let zones = runs::zones(tx)?;
    let mut time = schedule.first_to_come(&zones, now);
    while let Some(taken) = time
        && runs::exists(tx, job, &taken.to_string())?
    {
        time = schedule.times_after(Some(taken)).next();
    }
    Ok(time.and_then(|time| look_at(schedule, time, &zones)))
}

/// When a run has to be made: so long before the first of the agents' zones comes to its time.
fn look_at(schedule: &Schedule, time: DateTime, zones: &[String]) -> Option<Next> {
    let at = schedule.earliest(time, zones)?.plus_seconds(-LEAD_SECONDS);
    Some(Next { at, time: time.to_string() })
}

/// Make the runs of recurring jobs whose time has come; gives the jobs. Of times that nobody was there for, because the
/// server was down, only the last gets its run; how many were missed is in the audit log.
///
/// # Errors
/// A failure of the store.
pub fn make_due(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<JobId>, Error> {
    let mut made = Vec::new();
    let due = runs::due(tx, now)?;
    if due.is_empty() {
        return Ok(made);
    }
    let zones = runs::zones(tx)?;
    for id in due {
        let job = jobs::read(tx, id)?;
        if make_next(tx, &job, &zones, now)? {
            made.push(id);
        }
    }
    Ok(made)
}

fn make_next(tx: &mut Transaction<'_>, job: &JobRow, zones: &[String], now: Timestamp) -> Result<bool, Error> {
    let schedule: Schedule = serde_json::from_str(&job.schedule).map_err(Error::internal)?;
    let planned: DateTime = job.next_time.parse().map_err(Error::internal)?;
    let come = |time: DateTime| look_at(&schedule, time, zones).filter(|next| next.at <= now).is_some();
    if !come(planned) {
        runs::set_next(tx, job.id, look_at(&schedule, planned, zones).as_ref())?;
        return Ok(false);
    }
    let (mut time, mut missed) = (planned, 0_u32);
    let mut later = schedule.times_after(Some(planned)).peekable();
    while let Some(next) = later.next_if(|next| come(*next)) {
        (time, missed) = (next, missed + 1);
    }
    let next = later.next().and_then(|next| look_at(&schedule, next, zones));
    if !runs::take_turn(tx, job.id, &job.next_time, next.as_ref())? || runs::exists(tx, job.id, &time.to_string())? {
        return Ok(false);
    }
    let new = NewRun::whole(job, Due::At(time), Cause::Schedule, ENGINE);
    let run = make(tx, job, &schedule, &new, now)?;
    let ordinal = runs::last(tx, job.id)?.map_or(0, |run| run.ordinal);
    let tasks = tasks::open_of_run(tx, run)?.len();
    let detail = serde_json::json!({ "run": ordinal, "time": time.to_string(), "tasks": tasks, "missed": missed });
    note(tx, job, "job.run", detail, now)?;
    Ok(true)
}

/// Take back what was made of a job and has not begun, and forget its next time.
///
/// # Errors
/// A failure of the store.
pub fn withdraw(tx: &mut Transaction<'_>, job: JobId) -> Result<(), Error> {
    runs::drop_waiting(tx, job)?;
    Ok(runs::set_next(tx, job, None)?)
}

/// Cancel the run of a job that is under way: what has not started ends, what an order is out for is taken back.
///
/// # Errors
/// A failure of the store.
pub fn cancel(tx: &mut Transaction<'_>, job: JobId, now: Timestamp) -> Result<(), Error> {
    for run in runs::open(tx, job)?.into_iter().filter(|run| run.begun_at.is_some()) {
        runs::set_cancelled(tx, run.id)?;
        for task in tasks::open_of_run(tx, run.id)? {
            let life = domain::task::step(task.life(), Event::Cancel)?;
            tasks::save_life(tx, task.id, life, now)?;
            if life.state.ended() {
                let message = untried(&task, "cancelled before it started".to_owned());
                tasks::save_result(tx, task.id, &message, None, "")?;
            }
        }
    }
    mail::tell(tx, [job], now)?;
    Ok(())
}

/// What has failed last, to be tried again: each asset and action of the job whose last result is code 1.
///
/// # Errors
/// A failure of the store.
pub fn failed(tx: &mut Transaction<'_>, job: JobId) -> Result<Vec<(AssetId, i64)>, Error> {
    let last = runs::last_results(tx, job)?;
    Ok(last.into_iter().filter(|(.., code)| *code == Some(1)).map(|(asset, entry, _)| (asset, entry)).collect())
}

/// End the tasks that have not started and can no longer end within their window; gives their jobs.
///
/// # Errors
/// A failure of the store.
pub fn expire(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<JobId>, Error> {
    let mut jobs = Vec::new();
    for task in tasks::past_their_window(tx, now)? {
        let life = domain::task::step(task.life(), Event::Expire)?;
        tasks::save_life(tx, task.id, life, now)?;
        tasks::save_result(tx, task.id, &expired(&task), None, "")?;
        jobs.push(task.job_id);
    }
    if !jobs.is_empty() {
        runs::mark_begun(tx, now)?;
    }
    Ok(jobs)
}

fn expired(task: &TaskRow) -> String {
    let end = task.window_end.map(|end| end.to_jiff().strftime("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default();
    untried(task, format!("{} did not ask for work in time: its window ended at {end}", task.asset_name))
}

/// What people read of a task that ends while nothing of it is out; what an earlier try said is not lost, because it may have left
/// something on the host.
pub fn untried(task: &TaskRow, why: String) -> String {
    let why = match task.waits_for.as_str() {
        "" => why,
        waited => format!("{why}; it had waited: {waited}"),
    };
    if task.attempts == 0 { why } else { format!("not tried again: {why}; the try before: {}", task.message) }
}

/// Close the runs whose tasks have all ended, and with them the jobs that have nothing more to do (R16); gives the jobs.
///
/// # Errors
/// A failure of the store.
pub fn close_ended(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<JobId>, Error> {
    let mut closed = Vec::new();
    for (run, job) in runs::all_ended(tx)? {
        // What the run caused is told of the run, before a newer one is the one that is told of.
        mail::tell(tx, [job], now)?;
        end(tx, run, job, now)?;
        closed.push(job);
    }
    Ok(closed)
}

fn end(tx: &mut Transaction<'_>, run: RunId, id: JobId, now: Timestamp) -> Result<(), Error> {
    let codes = tasks::codes(tx, run)?;
    let outcome = job::ended(codes.iter().map(|code| u8::try_from(*code).unwrap_or(1)));
    runs::end(tx, run, outcome.as_str(), now)?;
    settle(tx, id, now)?;
    let row = jobs::read(tx, id)?;
    let detail = serde_json::json!({ "status": outcome, "tasks": codes.len(), "job": row.status });
    note(tx, &row, "job.end", detail, now)
}

/// The job after one of its runs has ended: over, unless more is to come.
fn settle(tx: &mut Transaction<'_>, id: JobId, now: Timestamp) -> Result<(), Error> {
    let row = jobs::read(tx, id)?;
    let more = row.next_at.is_some() || !runs::open(tx, id)?.is_empty();
    let codes = runs::last_results(tx, id)?.into_iter().filter_map(|(.., code)| code);
    let life = job::after_run(row.life(), more, codes.map(|code| u8::try_from(code).unwrap_or(1)));
    jobs::set_life(tx, id, life, now)?;
    if life.status == Status::Enabled {
        runs::settle_started(tx, id)?;
    }
    Ok(())
}

fn note(
    tx: &mut Transaction<'_>,
    job: &JobRow,
    action: &str,
    detail: serde_json::Value,
    now: Timestamp,
) -> Result<(), Error> {
    let resource = format!("jobs/{}", job.name());
    audit::append(tx, &Entry { at: now, actor: ENGINE, action, resource: &resource, detail })?;
    Ok(())
}
