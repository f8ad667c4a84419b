//! Waves of runs: how a run begins, when the next wave opens, when a run halts by itself.
//!
//! `domain::rollout` judges; here it is carried out by conditional updates, so that two replicas that look at the same time open a
//! wave once. What people do to runs is in `engine::rollouts`.

use crate::engine::dispatch::{self, Moved};
use crate::engine::runs;
use crate::http::error::Error;
use domain::id::{AssetId, JobId, RunId};
use domain::rollout::Policy;
use domain::rollout::gate::{Look, Tally, Verdict, judge};
use domain::rollout::run::RunState;
use domain::task::Event;
use domain::time::Timestamp;
use std::collections::BTreeMap;
use store::audit::{self, Entry};
use store::rollouts::{self, Beginning, RunRow, away};
use store::{Transaction, jobs, tasks};

/// Who the audit names where a gate decides.
pub const GATE: &str = "gate";

/// A policy as it is stored; nothing stored is the default.
///
/// # Errors
/// Where what is stored is none.
pub fn policy(stored: &str) -> Result<Policy, Error> {
    if stored.is_empty() { Ok(Policy::default()) } else { serde_json::from_str(stored).map_err(Error::internal) }
}

/// Give a run its policy and its place; gives the wave of each asset. `tasks` is how many it will have; one that only looks
/// has the default policy, because it cannot do harm.
///
/// # Errors
/// A failure of the store.
pub fn begin(
    tx: &mut Transaction<'_>,
    job: JobId,
    run: RunId,
    assets: impl IntoIterator<Item = AssetId>,
    (tasks, looks): (usize, bool),
) -> Result<BTreeMap<AssetId, u32>, Error> {
    let stored = if looks { String::new() } else { rollouts::policy(tx, job)? };
    let policy = policy(&stored)?;
    // By the job, so that a retry has the same canaries as the first run.
    let waves = policy.assign(job.0.cast_unsigned(), assets);
    let beginning = Beginning {
        policy: stored,
        waves: i64::from(waves.values().max().copied().unwrap_or(1)),
        permits: !looks && policy.needs_permits(u64::try_from(tasks).unwrap_or(u64::MAX)),
        closed: dispatch::halt(tx)?.is_some(),
    };
    rollouts::begin(tx, run, &beginning)?;
    Ok(waves)
}

/// Take back what nobody used, open waves, halt runs, and see which have come to rest.
///
/// # Errors
/// A failure of the store.
pub fn look(tx: &mut Transaction<'_>, now: Timestamp, moved: &mut Moved) -> Result<(), Error> {
    rollouts::expire(tx, now)?;
    let halted = dispatch::halt(tx)?.is_some();
    let ear = away::listening(tx, now)?;
    for run in rollouts::at_work(tx)? {
        match run.state {
            RunState::Halting if rollouts::at_large(tx, run.id)? == 0 => rest(tx, &run, now, moved)?,
            // Nothing is opened while everything stands still.
            RunState::Open if !halted => gate(tx, &run, ear, now, moved)?,
            _ => {}
        }
    }
    Ok(())
}

/// What hosts that are away mean for a run: work that recurs expires, in a wave others take their places. Gives how many tasks of
/// the open wave are passed over all the same, because nobody is left to take their places.
fn pass_over(
    tx: &mut Transaction<'_>,
    run: &RunRow,
    policy: &Policy,
    (since, beat): (Timestamp, bool),
    now: Timestamp,
    moved: &mut Moved,
) -> Result<u64, Error> {
    let bound = policy.away_before(now);
    // While nobody listened nobody was heard.
    if since > bound {
        return Ok(0);
    }
    if beat {
        for task in tasks::stale(tx, run.id, bound)? {
            let life = domain::task::step(task.life(), Event::Expire)?;
            tasks::save_life(tx, task.id, life, now)?;
            let hours = policy.freshness_hours;
            let message = format!(
                "{} was not heard of for {hours} h, which is as long as this run waits for a host; nothing was tried on it",
                task.asset_name
            );
            tasks::save_result(tx, task.id, &runs::untried(&task, message), None, "")?;
            moved.jobs.insert(task.job_id);
        }
    }
    if run.wave >= run.waves {
        return Ok(0);
    }
    if beat {
        exchange(tx, run, bound, now, moved)?;
    }
    Ok(u64::try_from(away::waiting(tx, run.id, run.wave, bound, now)?).unwrap_or(0))
}

/// Let hosts that are there take the places of those that are away; whether any could.
fn exchange(
    tx: &mut Transaction<'_>,
    run: &RunRow,
    bound: Timestamp,
    now: Timestamp,
    moved: &mut Moved,
) -> Result<bool, Error> {
    let traded = away::trade(tx, run.id, run.wave, bound, now)?;
    if traded.gone.is_empty() {
        return Ok(false);
    }
    let detail = serde_json::json!({ "wave": run.wave, "away": traded.gone, "instead": traded.came });
    note(tx, run, GATE, "run.passed_over", detail, now)?;
    moved.jobs.insert(run.job_id);
    Ok(true)
}

fn gate(
    tx: &mut Transaction<'_>,
    run: &RunRow,
    ear: (Timestamp, bool),
    now: Timestamp,
    moved: &mut Moved,
) -> Result<(), Error> {
    let policy = policy(&run.rollout)?;
    let passed_over = pass_over(tx, run, &policy, ear, now, moved)?;
    let tallies = rollouts::tallies(tx, run.id)?;
    let whole = tallies.iter().fold(Tally::default(), |sum, (_, tally)| sum.and(*tally));
    let wave = tallies.iter().find(|(wave, _)| *wave == run.wave).map(|(_, tally)| *tally).unwrap_or_default();
    let wave = wave.passing_over(passed_over);
    let last = run.wave >= run.waves;
    let accepted = u64::try_from(run.accepted).unwrap_or(0);
    let look = Look { policy: &policy, wave, run: whole, last, accepted, settled_at: run.settled_at, now };
    let verdict = match judge(&look) {
        // Between two beats: nobody is passed over while somebody could take the place (S8).
        Verdict::Promote if passed_over > 0 && exchange(tx, run, policy.away_before(now), now, moved)? => {
            Verdict::Wait("hosts that are there take the places of those that are away".to_owned())
        }
        verdict => verdict,
    };
    let changed = match verdict {
        Verdict::Last => rollouts::judged(tx, run.id, None, "")?,
        Verdict::Wait(why) => rollouts::judged(tx, run.id, None, &why)?,
        Verdict::Soak => {
            let since = run.settled_at.unwrap_or(now);
            let why = format!("the results stand for {} s before the next wave opens", policy.soak_seconds);
            rollouts::judged(tx, run.id, Some(since), &why)?
        }
        Verdict::Promote if rollouts::promote(tx, run.id, run.wave)? => {
            let detail = serde_json::json!({ "wave": run.wave + 1, "of": run.waves, "before": wave });
            note(tx, run, GATE, "run.wave", detail, now)?;
            true
        }
        Verdict::Promote => false,
        Verdict::Halt(why) => {
            moved.agents.extend(halt(tx, run, GATE, &why, now)?);
            true
        }
    };
    if changed {
        moved.jobs.insert(run.job_id);
    }
    Ok(())
}

/// Halt a run: durable with this transaction, and from then on nothing is granted (S7). Gives the agents to be told.
///
/// # Errors
/// A failure of the store.
pub fn halt(
    tx: &mut Transaction<'_>,
    run: &RunRow,
    by: &str,
    why: &str,
    now: Timestamp,
) -> Result<Vec<domain::id::AgentKey>, Error> {
    if !rollouts::set_state(tx, run.id, (RunState::Open, RunState::Halting), (by, why), now)? {
        return Ok(Vec::new());
    }
    rollouts::close(tx, run.id, true)?;
    let out: i64 = rollouts::at_large(tx, run.id)?;
    note(tx, run, by, "run.halt", serde_json::json!({ "reason": why, "wave": run.wave, "at_large": out }), now)?;
    Ok(rollouts::agents_out(tx, run.id)?)
}

fn rest(tx: &mut Transaction<'_>, run: &RunRow, now: Timestamp, moved: &mut Moved) -> Result<(), Error> {
    let (by, why) = (run.halted_by.as_str(), run.reason.as_str());
    if rollouts::set_state(tx, run.id, (RunState::Halting, RunState::Halted), (by, why), now)? {
        note(tx, run, GATE, "run.halted", serde_json::json!({ "wave": run.wave }), now)?;
        moved.jobs.insert(run.job_id);
    }
    Ok(())
}

/// Say in the audit what became of a run.
///
/// # Errors
/// A failure of the store.
pub fn note(
    tx: &mut Transaction<'_>,
    run: &RunRow,
    actor: &str,
    action: &str,
    detail: serde_json::Value,
    now: Timestamp,
) -> Result<(), Error> {
    let actor = if actor == GATE { "engine/dispatch" } else { actor };
    let resource = format!("jobs/{}/runs/{}", jobs::name(run.job_number), run.ordinal);
    audit::append(tx, &Entry { at: now, actor, action, resource: &resource, detail })?;
    Ok(())
}
