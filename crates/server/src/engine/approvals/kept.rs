//! Whether a run is carried out as its approvers signed it: its rollout now against the one in the plan.
//!
//! Looked at wherever something of the run is about to go on: a signature, an order, a permit, a gate, a person who resumes a run or opens a
//! wave. It finds what was changed beside the rules, by hand in the database, by another program or by a newer one with other defaults.
//! It cannot stop whoever holds the server; what agents see for themselves is in `protocol::approval`.

use crate::engine::waves;
use crate::http::error::Error;
use domain::approval::State;
use domain::id::RunId;
use domain::refusal::Refusal;
use domain::rollout::resolved::Rollout;
use protocol::approval::{Plan, PlanAsset};
use std::collections::{BTreeMap, BTreeSet};
use store::Transaction;
use store::approvals::{self, Planned};
use store::rollouts::{self, RunRow};

/// How a run is rolled out as it stands now.
///
/// # Errors
/// A failure of the store.
pub fn rollout(tx: &mut Transaction<'_>, run: &RunRow) -> Result<Rollout, Error> {
    let spread = approvals::spread(tx, run.id)?;
    let number = |number: &i64| u64::try_from(*number).unwrap_or(0);
    let waves: Vec<u64> = spread.iter().map(|(_, machines, _)| number(machines)).collect();
    let tasks = spread.iter().map(|(.., tasks)| number(tasks)).sum();
    let policy = waves::policy(&run.rollout)?;
    let machines = waves.iter().sum();
    Ok(Rollout { waves, permits: run.permits, ..Rollout::of(&policy, machines, tasks) })
}

/// In what a run differs from what was approved, if it does, by its own row alone.
///
/// # Errors
/// A policy that cannot be read.
pub fn differs(run: &RunRow, approved: &Rollout) -> Result<Option<&'static str>, Error> {
    if usize::try_from(run.waves) != Ok(approved.waves.len()) {
        return Ok(Some("the waves"));
    }
    let policy = waves::policy(&run.rollout)?;
    let now = Rollout { permits: run.permits, ..Rollout::of(&policy, approved.machines(), approved.tasks) };
    Ok(approved.differs(&now))
}

/// Why a run does not go on whose rollout is not the one that was signed.
#[must_use]
pub fn sentence(what: &str) -> String {
    format!(
        "the run is not rolled out as it was approved: {what} are not those that people signed; cancel it and run the job again, which \
         asks anew"
    )
}

/// The runs of these that are not as they were approved, by their own rows alone, each with the reason: cheap enough for every
/// look.
///
/// # Errors
/// A failure of the store.
pub fn deviations(tx: &mut Transaction<'_>, runs: &[RunRow]) -> Result<BTreeMap<RunId, String>, Error> {
    let ids: Vec<RunId> = runs.iter().filter(|run| run.does == "apply").map(|run| run.id).collect();
    let mut found = BTreeMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let approved: BTreeMap<RunId, String> = approvals::rollouts(tx, &ids)?.into_iter().collect();
    for run in runs {
        let Some(text) = approved.get(&run.id) else { continue };
        found.extend(against(run, text)?.err().map(|what| (run.id, sentence(what))));
    }
    Ok(found)
}

/// A run held against the rollout that people signed, as JSON, by its own row alone: that rollout, or in what the run differs.
fn against(run: &RunRow, text: &str) -> Result<Result<Rollout, &'static str>, Error> {
    // One that cannot be read was asked for before plans told of it, or tampered with.
    let Ok(approved) = serde_json::from_str(text) else { return Ok(Err("waves, gates and limits")) };
    Ok(differs(run, &approved)?.map_or(Ok(approved), Err))
}

/// Why a run is not as it was approved, if it is not: also by the machines of each wave. Those may have changed places, so their
/// number counts.
///
/// # Errors
/// A failure of the store.
pub fn deviation(tx: &mut Transaction<'_>, run: &RunRow) -> Result<Option<String>, Error> {
    if run.does != "apply" {
        return Ok(None);
    }
    let Some((_, text)) = approvals::rollouts(tx, &[run.id])?.pop() else { return Ok(None) };
    let what = match against(run, &text)? {
        Ok(approved) => approved.differs(&rollout(tx, run)?),
        Err(what) => Some(what),
    };
    Ok(what.map(sentence))
}

/// Whether a person may let a run go on, or open its next wave: not before it is approved, and not once it is something else.
/// `thorough` counts the machines of each wave, too, which is for those who do it and not for those who look.
///
/// # Errors
/// A failure of the store.
pub fn stands(tx: &mut Transaction<'_>, run: &RunRow, thorough: bool) -> Result<Result<(), Refusal>, Error> {
    let state = approvals::of_run(tx, run.id)?.map(|row| row.state);
    if run.does == "apply" && state == Some(State::Pending) {
        let why = "the run waits for approval by a second person; nothing of it goes on before";
        return Ok(Err(Refusal::new("approval_pending", why)));
    }
    let deviation =
        if thorough { deviation(tx, run)? } else { deviations(tx, std::slice::from_ref(run))?.remove(&run.id) };
    Ok(match deviation {
        Some(why) => Err(Refusal::new("approval_changed", why)),
        None => Ok(()),
    })
}

/// Whether a run is not any more what the plan with this text says: other machines, installations, content, times, waves or limits, or
/// a plan of a version that nobody signs any more.
///
/// # Errors
/// A failure of the store.
pub fn changed(tx: &mut Transaction<'_>, run: RunId, text: &str) -> Result<bool, Error> {
    let Ok(then) = Plan::read(text) else { return Ok(true) };
    let now: BTreeSet<_> = approvals::planned(tx, run)?.iter().map(of_task).collect();
    let planned: BTreeSet<_> = then.assets.iter().flat_map(of_plan).collect();
    let run = rollouts::run(tx, run)?;
    Ok(now != planned || then.rollout != rollout(tx, &run)?)
}

type Work = (uuid::Uuid, uuid::Uuid, String, u32, domain::time::Timestamp, Option<domain::time::Timestamp>);

fn of_task(task: &Planned) -> Work {
    (task.agent_id, task.instance_id, task.entry.clone(), wave(task), task.due_at, task.start_by)
}

fn of_plan(asset: &PlanAsset) -> impl Iterator<Item = Work> + '_ {
    let PlanAsset { agent_id, instance_id, wave, due_at, start_by, .. } = asset;
    asset.entries.iter().map(|entry| (*agent_id, *instance_id, entry.clone(), *wave, *due_at, *start_by))
}

/// The wave of a task as a plan names it.
#[must_use]
pub fn wave(task: &Planned) -> u32 {
    u32::try_from(task.wave).unwrap_or(0)
}
