//! Runs of jobs: one execution of a job, with a task for each asset and entry. Made, taken back, cancelled, closed.
//!
//! Whether a job may run is decided in `domain::job` and asked by `engine::jobs`; what becomes of a task once its time has
//! come is `engine::dispatch`.

use crate::engine::mail;
use crate::http::error::Error;
use domain::id::{AssetId, JobId, RunId};
use domain::job::{self, Kind, Life};
use domain::schedule::Schedule;
use domain::task::Event;
use domain::time::Timestamp;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use store::audit::{self, Entry};
use store::jobs::JobRow;
use store::tasks::NewTask;
use store::{Transaction, agents, jobs, tasks};
use uuid::Uuid;

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

/// A run to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// What it does.
    pub does: Does,
    /// On what.
    pub over: Over,
}

impl NewRun {
    /// The whole job as it stands.
    #[must_use]
    pub fn whole(job: &JobRow) -> NewRun {
        NewRun { does: Does::of(job.kind), over: Over::Everything }
    }
}

/// Make the next run of a job and its tasks, each with the instant the schedule resolves to on its asset. The run has the
/// ordinal after the last one's.
///
/// # Errors
/// A failure of the store, among them a conflict on `run_ordinal` when somebody else made that run; a civil time outside
/// the calendar.
pub fn make(
    tx: &mut Transaction<'_>,
    job: &JobRow,
    schedule: &Schedule,
    new: &NewRun,
    now: Timestamp,
) -> Result<RunId, Error> {
    let ordinal = jobs::last_run(tx, job.id)?.map_or(1, |(_, ordinal)| ordinal + 1);
    let run = jobs::begin_run(tx, job.id, ordinal, now)?;
    let pairs = match &new.over {
        Over::Everything => tasks::pairs(tx, job.id)?,
        Over::These(pairs) => pairs.clone(),
    };
    let mut made = Vec::new();
    let mut agents_of: BTreeMap<AssetId, Option<agents::AgentRow>> = BTreeMap::new();
    for (asset, entry_key) in pairs {
        let agent = match agents_of.entry(asset) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(free) => free.insert(agents::on_asset(tx, asset)?),
        };
        let agent = agent.as_ref();
        let resolved = schedule.resolve(agent.map_or("", |agent| agent.zone.as_str()), now)?;
        made.push(NewTask {
            uuid: Uuid::now_v7(),
            run_id: run,
            job_id: job.id,
            asset_id: asset,
            agent_key: agent.map(|agent| agent.id),
            entry_key,
            kind: new.does.as_str().to_owned(),
            due_at: resolved.at,
            zone: resolved.zone,
        });
    }
    tasks::create(tx, &made, now)?;
    Ok(run)
}

/// Take back a run in which nothing has started.
///
/// # Errors
/// A failure of the store.
pub fn withdraw(tx: &mut Transaction<'_>, job: JobId) -> Result<(), Error> {
    if let Some((run, _)) = jobs::last_run(tx, job)?
        && jobs::read(tx, job)?.started_at.is_none()
    {
        jobs::drop_run(tx, run)?;
    }
    Ok(())
}

/// Cancel every open task of a job: what has not started ends, what an order is out for is taken back.
///
/// # Errors
/// A failure of the store.
pub fn cancel(tx: &mut Transaction<'_>, job: JobId, now: Timestamp) -> Result<(), Error> {
    for task in tasks::open_of_job(tx, job)? {
        let life = domain::task::step(task.life(), Event::Cancel)?;
        tasks::save_life(tx, task.id, life, now)?;
        if life.state.ended() {
            tasks::save_result(tx, task.id, "cancelled before it started", None, "")?;
        }
    }
    mail::tell(tx, [job], now)?;
    Ok(())
}

/// Close the runs whose tasks have all ended, and with them their jobs (R16); gives the jobs.
///
/// # Errors
/// A failure of the store.
pub fn close_ended(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<JobId>, Error> {
    let mut closed = Vec::new();
    for (run, job) in jobs::ended_runs(tx)? {
        end(tx, run, job, now)?;
        closed.push(job);
    }
    Ok(closed)
}

fn end(tx: &mut Transaction<'_>, run: RunId, id: JobId, now: Timestamp) -> Result<(), Error> {
    let codes = tasks::codes(tx, run)?;
    let status = job::ended(codes.iter().map(|code| u8::try_from(*code).unwrap_or(1)));
    let row = jobs::read(tx, id)?;
    jobs::end_run(tx, run, now)?;
    jobs::set_life(tx, id, Life { status, ..row.life() }, now)?;
    let detail = serde_json::json!({ "status": status, "tasks": codes.len() });
    let resource = format!("jobs/{}", row.name());
    audit::append(tx, &Entry { at: now, actor: "engine/dispatch", action: "job.end", resource: &resource, detail })?;
    Ok(())
}
