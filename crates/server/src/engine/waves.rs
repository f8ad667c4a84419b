//! Waves of runs: how a run begins, when the next wave opens, when a run halts by itself.
//!
//! `domain::rollout` judges; here it is carried out by conditional updates, so that two replicas that look at the same time open a
//! wave once. What people do to runs is in `engine::rollouts`.

use crate::engine::approvals::kept;
use crate::engine::dispatch::{self, Moved};
use crate::engine::runs::{self, Does};
use crate::http::error::Error;
use domain::id::{AssetId, JobId, RunId};
use domain::rollback::{self, Turn};
use domain::rollout::Policy;
use domain::rollout::gate::{Look, SILENT_HOSTS_MAX, Tally, Verdict, judge};
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

/// Give a run its policy and its place; gives the wave of each asset of its pairs of asset and entry.
///
/// # Errors
/// A failure of the store.
pub fn begin(
    tx: &mut Transaction<'_>,
    job: JobId,
    run: RunId,
    pairs: &[(AssetId, i64)],
    does: Does,
) -> Result<BTreeMap<AssetId, u32>, Error> {
    let policy = policy(&rollouts::policy(tx, job)?)?;
    let changed = match does {
        Does::Revert if !policy.waves.is_empty() => changed(tx, pairs)?,
        Does::Revert | Does::Apply => BTreeMap::new(),
    };
    // By the job, so that a retry has the same canaries as the first run.
    let waves = policy.assign_back(job.0.cast_unsigned(), pairs.iter().map(|(asset, _)| *asset), &changed);
    let beginning = Beginning {
        // Worked out: the default is that of the day on which the run began, whatever a later program takes for one.
        policy: serde_json::to_string(&policy).map_err(Error::internal)?,
        waves: i64::from(waves.values().max().copied().unwrap_or(1)),
        permits: policy.needs_permits(u64::try_from(pairs.len()).unwrap_or(u64::MAX)),
        apart: policy.apart,
        closed: dispatch::halt(tx)?.is_some(),
    };
    rollouts::begin(tx, run, &beginning)?;
    Ok(waves)
}

/// When the hosts were changed last that are to be taken back; see [`rollback::changed_at`].
fn changed(tx: &mut Transaction<'_>, pairs: &[(AssetId, i64)]) -> Result<BTreeMap<AssetId, Timestamp>, Error> {
    let mut turns: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in store::controls::rollback::turns(tx, pairs)? {
        let back = row.kind == Does::Revert.as_str();
        let turn = Turn { job: row.done_at, back, state: row.state, started: row.started };
        turns.entry((row.asset_id, row.entry_key)).or_default().push(turn);
    }
    Ok(rollback::changed_at(turns.into_iter().map(|((asset, _), turns)| (asset, rollback::put_in_place(turns)))))
}

/// Take back what nobody used, open waves, halt runs, and see which have come to rest. Every run at work is looked at, page by
/// page; what cannot have changed costs no statement of its own. `ear` is since when somebody listens to hosts, and whether this look
/// is the one in a minute that looks for those that are away (see [`store::rollouts::away::listening`]).
///
/// # Errors
/// A failure of the store.
pub fn look(tx: &mut Transaction<'_>, ear: (Timestamp, bool), now: Timestamp, moved: &mut Moved) -> Result<(), Error> {
    rollouts::expire(tx, now)?;
    let halted = dispatch::halt(tx)?.is_some();
    pages(tx, RunState::Halting, |tx, runs| {
        for run in runs {
            if rollouts::at_large(tx, run.id)? == 0 {
                rest(tx, run, now, moved)?;
            }
        }
        Ok(())
    })?;
    // Nothing is opened while everything stands still.
    if halted {
        return Ok(());
    }
    pages(tx, RunState::Open, |tx, runs| {
        let policies: Vec<Policy> = runs.iter().map(|run| policy(&run.rollout)).collect::<Result<_, _>>()?;
        let ids: Vec<RunId> = runs.iter().map(|run| run.id).collect();
        let mut deviations = kept::deviations(tx, runs)?;
        let mut tallies = rollouts::tallies_of(tx, &ids)?;
        if ear.1 {
            let sound = runs.iter().zip(&policies).filter(|(run, _)| !deviations.contains_key(&run.id));
            let gates: Vec<Gate<'_>> = sound.map(|(run, policy)| Gate { run, policy, ear, now }).collect();
            if beat(tx, &gates, &tallies, moved)? {
                tallies = rollouts::tallies_of(tx, &ids)?;
            }
        }
        for (run, policy) in runs.iter().zip(&policies) {
            if let Some(why) = deviations.remove(&run.id) {
                moved.agents.extend(halt(tx, run, GATE, &why, now)?);
                moved.jobs.insert(run.job_id);
                continue;
            }
            let tallies = tallies.remove(&run.id).unwrap_or_default();
            gate(tx, &Gate { run, policy, ear, now }, &tallies, moved)?;
        }
        Ok(())
    })
}

/// Do something with all runs in a state, page by page.
fn pages(
    tx: &mut Transaction<'_>,
    state: RunState,
    mut each: impl FnMut(&mut Transaction<'_>, &[RunRow]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut after = RunId(0);
    loop {
        let runs = rollouts::at_work(tx, state, after)?;
        let Some(last) = runs.last() else { return Ok(()) };
        after = last.id;
        each(tx, &runs)?;
        // A page that is not full is the last one.
        if i64::try_from(runs.len()).is_ok_and(|count| count < rollouts::PAGE) {
            return Ok(());
        }
    }
}

/// Once in a minute, what hosts that are away mean for runs of a page: first others take their places, and only where nobody does any more
/// their work expires, or a wave would shrink while later ones have hosts to spare. Whether anything changed.
fn beat(
    tx: &mut Transaction<'_>,
    gates: &[Gate<'_>],
    tallies: &BTreeMap<RunId, Vec<(i64, Tally)>>,
    moved: &mut Moved,
) -> Result<bool, Error> {
    let mut by_hours: BTreeMap<u32, Vec<RunId>> = BTreeMap::new();
    let mut changed = false;
    for gate in gates {
        let Gate { run, policy, ear: (since, _), now } = *gate;
        let bound = policy.away_before(now);
        // While nobody listened nobody was heard.
        if since > bound {
            continue;
        }
        let waits = tallies.get(&run.id).is_some_and(|tallies| of_wave(tallies, run.wave).waiting > 0);
        if waits && run.wave < run.waves && exchange(tx, run, bound, now, moved)? {
            // There may be more of them than change places at once.
            changed = true;
        } else {
            by_hours.entry(policy.freshness_hours).or_default().push(run.id);
        }
    }
    let Some(now) = gates.first().map(|gate| gate.now) else { return Ok(false) };
    Ok(expire_stale(tx, by_hours, now, moved)? || changed)
}

/// Work that recurs expires where its host is away; one statement for all runs of a page that wait equally long, by the hours. Whether
/// any did.
fn expire_stale(
    tx: &mut Transaction<'_>,
    by_hours: BTreeMap<u32, Vec<RunId>>,
    now: Timestamp,
    moved: &mut Moved,
) -> Result<bool, Error> {
    let mut any = false;
    for (hours, those) in by_hours {
        let bound = Policy { freshness_hours: hours, ..Policy::default() }.away_before(now);
        for task in tasks::stale(tx, &those, bound)? {
            let life = domain::task::step(task.life(), Event::Expire)?;
            tasks::save_life(tx, task.id, life, now)?;
            let message = format!(
                "{} was not heard of for {hours} h, which is as long as this run waits for a host; nothing was tried on it",
                task.asset_name
            );
            tasks::save_result(tx, task.id, &runs::untried(&task, message), None, "")?;
            moved.jobs.insert(task.job_id);
            any = true;
        }
    }
    Ok(any)
}

/// A run whose gate is looked at.
struct Gate<'g> {
    run: &'g RunRow,
    policy: &'g Policy,
    /// Since when somebody listens, and whether this look is the one in a minute.
    ear: (Timestamp, bool),
    now: Timestamp,
}

/// How many tasks of the open wave are passed over because their hosts are away and nobody is left to take their places.
fn passed_over(tx: &mut Transaction<'_>, gate: &Gate<'_>, tallies: &[(i64, Tally)]) -> Result<u64, Error> {
    let Gate { run, policy, ear: (since, _), now } = *gate;
    let bound = policy.away_before(now);
    if of_wave(tallies, run.wave).waiting == 0 || run.wave >= run.waves || since > bound {
        return Ok(0);
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

fn of_wave(tallies: &[(i64, Tally)], wave: i64) -> Tally {
    tallies.iter().find(|(number, _)| *number == wave).map(|(_, tally)| *tally).unwrap_or_default()
}

fn gate(tx: &mut Transaction<'_>, gate: &Gate<'_>, tallies: &[(i64, Tally)], moved: &mut Moved) -> Result<(), Error> {
    let Gate { run, policy, now, .. } = *gate;
    let passed_over = passed_over(tx, gate, tallies)?;
    let whole = tallies.iter().fold(Tally::default(), |sum, (_, tally)| sum.and(*tally));
    let wave = of_wave(tallies, run.wave).passing_over(passed_over);
    let last = run.wave >= run.waves;
    // Several tasks of one host fall silent together; hosts are counted only where it may matter.
    let silent_hosts = match whole.silent {
        few if few <= SILENT_HOSTS_MAX => few,
        _ => u64::try_from(rollouts::silent_hosts(tx, run.id)?).unwrap_or(0),
    };
    // Asked only where nothing else shows what the change does.
    let proven = !last && whole.changed == 0 && wave.definitive() > 0 && rollouts::proven(tx, run)?;
    let look = Look { policy, wave, run: whole, last, silent_hosts, proven, settled_at: run.settled_at, now };
    let verdict = match judge(&look) {
        // Between two beats: nobody is passed over while somebody could take the place (S8).
        Verdict::Promote if passed_over > 0 && exchange(tx, run, policy.away_before(now), now, moved)? => {
            Verdict::Wait("hosts that are there take the places of those that are away".to_owned())
        }
        // What follows is what was signed, or nothing does.
        Verdict::Promote => kept::deviation(tx, run)?.map_or(Verdict::Promote, Verdict::Halt),
        verdict => verdict,
    };
    let changed = match verdict {
        Verdict::Last => said(tx, run, None, "")?,
        Verdict::Wait(why) => said(tx, run, None, &why)?,
        Verdict::Soak => {
            let since = run.settled_at.unwrap_or(now);
            let why = format!("the results stand for {} s before the next wave opens", policy.soak_seconds);
            said(tx, run, Some(since), &why)?
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

/// Keep what a gate says, if it is news.
fn said(tx: &mut Transaction<'_>, run: &RunRow, settled_at: Option<Timestamp>, why: &str) -> Result<bool, Error> {
    if run.settled_at == settled_at && run.reason == why {
        return Ok(false);
    }
    Ok(rollouts::judged(tx, run.id, settled_at, why)?)
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
