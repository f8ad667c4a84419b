//! Dry runs of jobs: every agent says what it would change, nothing is changed.
//!
//! `domain::dry_run` says which jobs can have one. It needs no approval, is not the job's start, writes no control, and its
//! tasks are of kind `plan`, which everything that counts a job's work leaves out.

use crate::app::App;
use crate::engine::approvals::content;
use crate::engine::jobs::{self as engine, Job};
use crate::engine::runs::pairs;
use crate::http::auth::Caller;
use crate::http::error::Error;
use ::catalogue::schema::Reboot;
use domain::access::{Action, AssetScope};
use domain::dry_run::{self, Verdict};
use domain::id::{AssetId, JobId, RunId, TaskId};
use domain::job::Kind;
use domain::mitigation::ControlState;
use domain::score;
use domain::task::{self, Event};
use domain::time::Timestamp;
use protocol::agent::{Outcome, TaskReport};
use std::collections::{BTreeMap, BTreeSet};
use store::audit::{self, Entry};
use store::dry_runs::{self, Answer, DryRunRow};
use store::scores::{self, Predicted, Put};
use store::tasks::NewTask;
use store::{Transaction, agents, tasks};
use uuid::Uuid;

/// The kind of a dry run's tasks.
pub const KIND: &str = "plan";

/// What a dry run said, as far as who asks may know.
#[derive(Debug, Clone)]
pub struct DryRun {
    /// The run.
    pub run: DryRunRow,
    /// What each machine says of each entry.
    pub answers: Vec<(Answer, Verdict, Option<TaskReport>)>,
    /// What that would do to the scores.
    pub items: Vec<Predicted>,
    /// The job was changed since: other machines or actions.
    pub outdated: bool,
}

/// Begin a dry run of a job as it stands; one that is still under way is given up.
///
/// # Errors
/// A missing permission, or the refusal of `domain::dry_run`.
pub async fn begin(app: &App, caller: &Caller, number: i64) -> Result<Job, Error> {
    let (doer, now) = (caller.clone(), app.clock.now());
    let job = app.database.try_write(move |tx| begin_in(tx, &doer, number, now)).await?;
    app.wake.notify("job", job.row.id.0);
    app.wake.notify("dispatch", 0);
    Ok(job)
}

/// Why this caller cannot begin one now, permission first; empty when he can.
#[must_use]
pub fn why_not(caller: &Caller, job: &Job) -> String {
    if let Err(reason) = caller.decide(Action::JobEnable, &job.record).ok() {
        return reason.to_string();
    }
    may_begin(job).err().map(|refusal| refusal.sentence).unwrap_or_default()
}

fn may_begin(job: &Job) -> Result<(), domain::refusal::Refusal> {
    let assets: BTreeSet<AssetId> = job.targets.iter().map(|target| target.asset).collect();
    dry_run::may_begin(job.row.status, job.row.started_at.is_some(), assets.len(), job.actions.len())
}

fn begin_in(tx: &mut Transaction<'_>, caller: &Caller, number: i64, now: Timestamp) -> Result<Job, Error> {
    let job = engine::load(tx, caller, number)?;
    caller.may(Action::JobEnable, &job.record)?;
    may_begin(&job)?;
    if let Some(before) = dry_runs::last(tx, job.row.id)?.filter(|run| run.ended_at.is_none()) {
        give_up(tx, before.id, "a newer dry run took its place", now)?;
    }
    let run = dry_runs::begin(tx, job.row.id, now)?;
    let mut made = Vec::new();
    let pairs = pairs(tx, &job.row)?;
    let assets: BTreeSet<AssetId> = pairs.iter().map(|(asset, _)| *asset).collect();
    let agents = agents::on_assets(tx, assets.iter().copied())?;
    for (asset, entry_key) in pairs {
        let agent = agents.get(&asset);
        made.push(NewTask {
            uuid: Uuid::now_v7(),
            run_id: run,
            job_id: job.row.id,
            asset_id: asset,
            agent_key: agent.map(|agent| agent.id),
            entry_key,
            wave: 1,
            kind: KIND.to_owned(),
            due_at: now,
            zone: "UTC".to_owned(),
            window_end: None,
            start_by: None,
        });
    }
    tasks::create(tx, &made, now)?;
    let (actor, resource) = (caller.author(), format!("jobs/{}", job.row.name()));
    let detail = serde_json::json!({ "machines": assets.len(), "tasks": made.len() });
    audit::append(tx, &Entry { at: now, actor: &actor, action: "job.dry_run", resource: &resource, detail })?;
    Ok(job)
}

/// End dry runs that are answered, or that waited long enough; gives their jobs.
///
/// # Errors
/// A failure of the store.
pub fn tidy(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<JobId>, Error> {
    let mut touched = dry_runs::close_answered(tx, now)?;
    for (run, job) in dry_runs::overdue(tx, now.plus_seconds(-dry_run::SECONDS_MAX))? {
        give_up(tx, run, "the agent did not answer within an hour", now)?;
        touched.push(job);
    }
    Ok(touched)
}

fn give_up(tx: &mut Transaction<'_>, run: RunId, why: &str, now: Timestamp) -> Result<(), Error> {
    let mut last = TaskId(0);
    loop {
        let open = tasks::open_of_dry_run(tx, run, last)?;
        let Some(end) = open.last() else { break };
        // What an order is out for stays open until its agent says so, so a page may well be left as it was.
        last = end.id;
        for task in &open {
            let life = task::step(task.life(), Event::Cancel)?;
            tasks::save_life(tx, task.id, life, now)?;
            tasks::save_result(tx, task.id, why, None, "")?;
        }
    }
    Ok(dry_runs::end(tx, run, now)?)
}

/// What the newest dry run of a job said; none where there was none.
///
/// # Errors
/// A failure of the store.
pub fn last(tx: &mut Transaction<'_>, job: &Job) -> Result<Option<DryRun>, Error> {
    let Some(run) = dry_runs::last(tx, job.row.id)? else { return Ok(None) };
    let rows = answers(tx, run.id, &job.scope)?;
    let mut restarts: BTreeMap<i64, bool> = BTreeMap::new();
    let mut put = Vec::new();
    let mut answers = Vec::new();
    for row in rows {
        let report: Option<TaskReport> = serde_json::from_str(&row.report).ok();
        let verdict = verdict(row.state, report.as_ref());
        let restart = match restarts.get(&row.entry_key) {
            Some(known) => *known,
            None => {
                let restart = content(tx, row.entry_key)?.1.after.reboot == Reboot::Required;
                restarts.insert(row.entry_key, restart);
                restart
            }
        };
        let state = match (job.row.kind, verdict) {
            (Kind::Mitigation, verdict) if verdict.ends_in_place() => Some(score::expected(restart)),
            (Kind::Rollback, Verdict::Changes) => Some(ControlState::Exposed),
            _ => None,
        };
        put.extend(state.map(|state| Put { asset: row.asset_id, entry_key: row.entry_key, state }));
        answers.push((row, verdict, report));
    }
    let outdated = dry_runs::pairs(tx, run.id)? != pairs(tx, &job.row)?;
    Ok(Some(DryRun { run, answers, items: scores::predict(tx, &put)?, outdated }))
}

/// Every answer, by asset and entry.
fn answers(tx: &mut Transaction<'_>, run: RunId, within: &AssetScope) -> Result<Vec<Answer>, Error> {
    let mut rows: Vec<Answer> = Vec::new();
    loop {
        let last = rows.last().map_or(TaskId(0), |row| row.task_id);
        let page = dry_runs::answers(tx, run, within, last)?;
        if page.is_empty() {
            break;
        }
        rows.extend(page);
    }
    rows.sort_by(|a, b| (&a.asset_name, a.asset_id, &a.entry).cmp(&(&b.asset_name, b.asset_id, &b.entry)));
    Ok(rows)
}

/// What a task of a dry run says.
#[must_use]
pub fn verdict(state: task::State, report: Option<&TaskReport>) -> Verdict {
    let Some(report) = report else {
        return if state.ended() { Verdict::NoAnswer } else { Verdict::Waiting };
    };
    match report.outcome {
        Outcome::NotApplicable => Verdict::NotApplicable,
        Outcome::NotOurs | Outcome::Unchanged => Verdict::InPlace,
        Outcome::Failed
        | Outcome::VerifyFailed
        | Outcome::TimedOut
        | Outcome::DriftedSinceApply
        | Outcome::RevertFailed => Verdict::WouldFail,
        Outcome::Reported if report.actions.iter().any(|action| action.did == "planned") => Verdict::Changes,
        Outcome::Reported if report.state == ControlState::NotApplicable => Verdict::NotApplicable,
        // Without any evidence the plan could not be made; the message says why.
        Outcome::Reported if report.actions.is_empty() => Verdict::WouldFail,
        Outcome::Reported => Verdict::InPlace,
        Outcome::Succeeded | Outcome::Reverted => Verdict::Changes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::task::State;
    use protocol::agent::ActionEvidence;

    fn report(outcome: Outcome, state: ControlState, did: &[&str]) -> TaskReport {
        let action = |did: &&str| ActionEvidence {
            kind: String::new(),
            target: String::new(),
            before: String::new(),
            after: String::new(),
            did: (*did).to_owned(),
            files: vec![],
            diff: String::new(),
        };
        TaskReport {
            outcome,
            state,
            origin: None,
            message: String::new(),
            actions: did.iter().map(action).collect(),
            left_changed: false,
            restart_needed: None,
        }
    }

    #[test]
    fn verdicts_by_table() {
        use ControlState::{Effective, Exposed, NotApplicable};
        for (report, expected) in [
            (report(Outcome::Reported, Exposed, &["planned", "already_present"]), Verdict::Changes),
            (report(Outcome::Reported, Effective, &["already_present"]), Verdict::InPlace),
            (report(Outcome::Reported, NotApplicable, &["already_present"]), Verdict::NotApplicable),
            (report(Outcome::NotApplicable, NotApplicable, &[]), Verdict::NotApplicable),
            (report(Outcome::Reported, Exposed, &[]), Verdict::WouldFail),
            (report(Outcome::Failed, Exposed, &[]), Verdict::WouldFail),
            (report(Outcome::DriftedSinceApply, ControlState::Drifted, &[]), Verdict::WouldFail),
            (report(Outcome::NotOurs, Exposed, &[]), Verdict::InPlace),
        ] {
            assert_eq!(verdict(State::Unchanged, Some(&report)), expected, "{report:?}");
        }
        assert_eq!(verdict(State::Offered, None), Verdict::Waiting);
        assert_eq!(verdict(State::Cancelled, None), Verdict::NoAnswer);
        assert_eq!(verdict(State::Refused, None), Verdict::NoAnswer);
    }
}
