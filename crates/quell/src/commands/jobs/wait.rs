//! Waiting for a job: until it is over, or until it cannot go on by itself.

use super::show::show;
use crate::client::{Client, path};
use crate::commands::waiting::{self, Look};
use crate::failure::Failure;
use crate::output::Format;
use domain::rollout::gate::BY_HAND;
use protocol::api::response::{ApprovalBody, ApprovalSummary, HaltBody, Job};
use protocol::api::rollout::{RolloutBody, RolloutRun};
use std::time::Duration;

/// How often a job is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// In looks: how often it is asked whether a run waits for an approval.
const APPROVAL_EVERY: u32 = 30;
/// In looks: how often it is asked what the gates say.
const GATE_EVERY: u32 = 5;

/// How a job stands for somebody who waits for it.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// It goes on by itself.
    UnderWay,
    /// It is over; of a recurring job its run is.
    Over,
    /// It does not go on until somebody does something; why.
    Stopped(String),
}

/// Look at a job until it is over, and show it. Where somebody has to act before it goes on, by an approval or by opening the
/// next wave, that is said once on standard error, and the wait goes on.
///
/// # Errors
/// [`Failure`] of the server; [`Failure::Stopped`] where the job cannot go on by itself.
pub async fn wait(client: &Client, number: &str, format: Format) -> Result<(), Failure> {
    let mut people = People::default();
    let look = async || {
        let job = super::read(client, number).await?;
        Ok(match stands(client, &job).await? {
            Standing::UnderWay => Look::Waits(progress(&job), people.asked(client, &job).await?),
            Standing::Over => Look::Over((job, None)),
            Standing::Stopped(why) => Look::Over((job, Some(why))),
        })
    };
    let (job, stopped) = waiting::until(LOOK_EVERY, look).await?;
    show(client, format, &job).await?;
    stopped.map_or(Ok(()), |why| Err(Failure::Stopped(why)))
}

/// For whom a job waits that is under way: looked at when a run is new, then now and then, because a plan may be long.
#[derive(Default)]
struct People {
    looks: u32,
    runs: Option<i64>,
}

impl People {
    /// What has to be done by somebody before the job goes on, in sentences.
    async fn asked(&mut self, client: &Client, job: &Job) -> Result<Vec<String>, Failure> {
        if job.summary.tasks.open == 0 {
            return Ok(Vec::new());
        }
        let number = &job.summary.number;
        let new = self.runs.replace(job.runs) != Some(job.runs);
        self.looks = if new { 0 } else { self.looks + 1 };
        let mut found = Vec::new();
        if self.looks.is_multiple_of(APPROVAL_EVERY) {
            match client.get::<ApprovalBody>(&path(&["jobs", number, "approval"]), &[]).await {
                Ok(body) => found.extend(approval(&body.approval.summary)),
                // None was asked for, or its plan names machines that the caller may not know of.
                Err(Failure::Problem(problem)) if matches!(problem.status, 403 | 404) => {}
                Err(failure) => return Err(failure),
            }
        }
        if self.looks.is_multiple_of(GATE_EVERY) {
            let rollout: RolloutBody = client.get(&path(&["jobs", number, "rollout"]), &[]).await?;
            found.extend(by_hand(number, &rollout.runs));
        }
        Ok(found)
    }
}

/// That a run waits for an approval, who may give it and how.
fn approval(asked: &ApprovalSummary) -> Option<String> {
    let ApprovalSummary { job, run, signatures, needed, valid_until, .. } = asked;
    let says = || {
        format!(
            "run {run} of {job} waits for an approval: {signatures} of {needed} signatures, until {valid_until}. Somebody gives it \
             who may approve jobs and has not enabled this one, owns it or is its co-author, with a key of the organisation: \
             `quell approvals show {job}`, then `quell approvals approve {job} --key FILE`"
        )
    };
    (asked.state == "pending").then(says)
}

/// The runs of a job that go on only when somebody lets them, while the job as a whole is under way.
fn by_hand(number: &str, runs: &[RolloutRun]) -> Vec<String> {
    let sentence = |run: &RolloutRun| match run.state.as_str() {
        "open" if run.reason.ends_with(BY_HAND) => {
            Some(format!("run {} of {number}: {}, by `quell jobs promote {number}`", run.ordinal, run.reason))
        }
        // The newest one would have ended the wait.
        "halting" | "halted" => {
            let why = if run.reason.is_empty() { String::new() } else { format!(": {}", run.reason) };
            let how = format!("`quell jobs resume-run {number}` lets it go on");
            Some(format!("run {} of {number}, an older one, is {}{why}; {how}", run.ordinal, run.state))
        }
        _ => None,
    };
    runs.iter().filter_map(sentence).collect()
}

/// What the job itself says, and where that is not enough what is halted.
async fn stands(client: &Client, job: &Job) -> Result<Standing, Failure> {
    let own = of_itself(job);
    if own != Standing::UnderWay {
        return Ok(own);
    }
    let halt: HaltBody = client.get(&path(&["halt"]), &[]).await?;
    if halt.halted {
        let why = format!("everything is halted by {}: {}; `quell jobs go-on` lifts the halt", halt.by, halt.reason);
        return Ok(Standing::Stopped(why));
    }
    if !job.summary.halted {
        return Ok(Standing::UnderWay);
    }
    let rollout: RolloutBody = client.get(&path(&["jobs", &job.summary.number, "rollout"]), &[]).await?;
    Ok(halted(job, &rollout.runs))
}

fn of_itself(job: &Job) -> Standing {
    let (summary, number) = (&job.summary, &job.summary.number);
    let tasks = &summary.tasks;
    let stopped = |why: String| Standing::Stopped(format!("{number} {why}"));
    let over = matches!(summary.status.as_str(), "COMPLETED" | "COMPLETED_WITH_FAILURES");
    match summary.status.as_str() {
        _ if over && job.cancelled => stopped(format!("was cancelled; {} tasks were skipped", tasks.skipped)),
        _ if over => Standing::Over,
        "DRAFT" => stopped(format!("is a draft; `quell jobs save {number} --enable` makes it run")),
        "DISABLED" => stopped(format!(
            "is DISABLED and does not run until somebody enables it; `quell jobs history {number}` says who disabled it or \
             rejected its run"
        )),
        // A recurring job is over only with its schedule: here its run is.
        _ if job.next_time.is_some() && tasks.open == 0 => Standing::Over,
        _ if job.cancelled && tasks.open > 0 => {
            stopped(format!("is cancelled; {} tasks are still out until their agents answer", tasks.open))
        }
        _ if summary.paused => {
            stopped(format!("is paused; nothing more of it starts until `quell jobs resume {number}`"))
        }
        _ => Standing::UnderWay,
    }
}

/// A job with a halted run stops where that is its newest one, or the newest has ended.
fn halted(job: &Job, runs: &[RolloutRun]) -> Standing {
    let number = &job.summary.number;
    let is_halted = |run: &&RolloutRun| matches!(run.state.as_str(), "halting" | "halted");
    let newest = runs.first();
    let Some(run) = newest.filter(is_halted).or_else(|| runs.iter().find(is_halted)) else {
        return Standing::UnderWay;
    };
    if newest.is_some_and(|newest| !is_halted(&newest)) && job.summary.tasks.open > 0 {
        return Standing::UnderWay;
    }
    let by = if run.halted_by.is_empty() { String::new() } else { format!(" by {}", run.halted_by) };
    let why = if run.reason.is_empty() { String::new() } else { format!(": {}", run.reason) };
    Standing::Stopped(format!(
        "run {} of {number} is {}{by}{why}; `quell jobs resume-run {number}` lets it go on",
        run.ordinal, run.state
    ))
}

/// How far it is, in one line.
fn progress(job: &Job) -> String {
    let (number, tasks) = (&job.summary.number, &job.summary.tasks);
    if tasks.total == 0 {
        return format!("{number}: no tasks yet");
    }
    let begins = job.instants.iter().map(|instant| instant.at).min();
    let begins = begins.filter(|_| job.summary.started_at.is_none()).map(|at| format!(", begins at {at}"));
    let some = [(tasks.failed, "failed"), (tasks.skipped, "skipped")].into_iter().filter(|(count, _)| *count > 0);
    let some: String = some.map(|(count, what)| format!(", {count} {what}")).collect();
    let done = tasks.total - tasks.open;
    format!("{number}: {done} of {} tasks done{some}{}", tasks.total, begins.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test panics rather than returning an error")]

    use super::*;
    use serde_json::{Value, json};

    fn job(change: &[(&str, Value)]) -> Job {
        let mut job = json!({
            "summary": {
                "number": "MJ0000001", "kind": "mitigation", "platform": "linux", "title": "t", "status": "ENABLED",
                "owner": "ada", "schedule": "On demand", "assets": 3, "paused": false, "halted": false,
                "tasks": { "total": 3, "open": 2, "succeeded": 0, "failed": 1, "skipped": 0 },
                "created_at": "2027-01-01T00:00:00Z", "started_at": "2027-01-01T00:00:00Z", "ended_at": null,
            },
            "description": "", "version": 1, "origin": "elimination", "schedule": { "when": "on_demand" }, "instants": [],
            "recipients": [], "mail_started": false, "mail_percent": 0, "coauthors": [], "assets": [],
            "hidden_assets": 0, "actions": [], "cancelled": false, "standing": false, "next_time": null, "runs": 1,
            "acts": [],
        });
        for (at, value) in change {
            *job.pointer_mut(at).unwrap() = value.clone();
        }
        serde_json::from_value(job).unwrap()
    }

    fn run(ordinal: i64, state: &str) -> RolloutRun {
        serde_json::from_value(json!({
            "ordinal": ordinal, "state": state, "reason": "too many failures", "halted_by": "gate", "halted_at": null,
            "next_wave_at": null, "permits": true, "permits_out": 0, "sentence": "", "waves": [], "acts": [],
        }))
        .unwrap()
    }

    #[test]
    fn a_job_that_cannot_go_on_by_itself_stops_the_wait_and_says_why() {
        let status = |word: &str| job(&[("/summary/status", json!(word))]);
        assert_eq!(of_itself(&job(&[])), Standing::UnderWay);
        assert_eq!(of_itself(&status("COMPLETED")), Standing::Over);
        assert_eq!(of_itself(&status("COMPLETED_WITH_FAILURES")), Standing::Over);
        let none_open = ("/summary/tasks/open", json!(0));
        assert_eq!(of_itself(&job(std::slice::from_ref(&none_open))), Standing::UnderWay, "its end is on its way");
        let next = ("/next_time", json!("2027-01-02T00:00:00"));
        let cancelled = ("/cancelled", json!(true));
        assert_eq!(of_itself(&job(&[none_open.clone(), cancelled.clone()])), Standing::UnderWay, "so it is here");
        assert_eq!(of_itself(&job(&[none_open, next.clone()])), Standing::Over, "of a recurring job the run is");
        assert_eq!(of_itself(&job(&[next])), Standing::UnderWay);
        for (stopped, says) in [
            (status("DRAFT"), "is a draft"),
            (status("DISABLED"), "quell jobs history MJ0000001"),
            (job(&[("/summary/paused", json!(true))]), "quell jobs resume MJ0000001"),
            (job(std::slice::from_ref(&cancelled)), "2 tasks are still out"),
            (job(&[cancelled.clone(), ("/summary/status", json!("COMPLETED"))]), "was cancelled"),
        ] {
            match of_itself(&stopped) {
                Standing::Stopped(why) => assert!(why.contains(says), "{says}: {why}"),
                other => panic!("{says}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_halted_run_stops_the_wait_unless_a_newer_one_goes_on() {
        let (open, ended) = (job(&[]), job(&[("/summary/tasks/open", json!(0))]));
        let says = |standing: Standing, words: &str| {
            assert!(matches!(&standing, Standing::Stopped(why) if why.contains(words)), "{words}: {standing:?}");
        };
        says(halted(&open, &[run(1, "halted")]), "run 1 of MJ0000001 is halted by gate: too many failures");
        says(halted(&open, &[run(2, "halting"), run(1, "halted")]), "run 2 of MJ0000001 is halting");
        says(halted(&ended, &[run(2, "ended"), run(1, "halted")]), "run 1 of MJ0000001 is halted");
        assert_eq!(halted(&open, &[run(2, "open"), run(1, "halted")]), Standing::UnderWay);
        assert_eq!(halted(&open, &[run(1, "open")]), Standing::UnderWay, "somebody resumed it meanwhile");
    }

    #[test]
    fn who_has_to_do_something_is_said_and_how() {
        let asked = |state: &str| {
            let asked = json!({
                "id": 7, "job": "MJ0000001", "title": "t", "run": 2, "state": state, "signatures": 1, "needed": 2, "class": 2,
                "entries": 1, "machines": 3, "requested_by": "ada", "requested_at": "2027-01-01T00:00:00Z",
                "valid_until": "2027-01-08T00:00:00Z", "decided_by": "", "decided_at": null, "reason": "",
            });
            approval(&serde_json::from_value(asked).unwrap())
        };
        let said = asked("pending").unwrap();
        for part in [
            "run 2 of MJ0000001",
            "1 of 2 signatures, until 2027-01-08",
            "`quell approvals approve MJ0000001 --key FILE`",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        for decided in ["approved", "rejected", "void", "expired"] {
            assert_eq!(asked(decided), None, "{decided}");
        }

        let gate = RolloutRun { reason: format!("nothing was changed yet; {BY_HAND}"), ..run(3, "open") };
        let said = by_hand("MJ0000001", &[gate, run(2, "halted"), run(1, "ended")]);
        let [wave, older] = &said[..] else { panic!("{said:?}") };
        assert!(wave.starts_with("run 3 of MJ0000001: nothing was changed yet"), "{wave}");
        assert!(wave.contains("`quell jobs promote MJ0000001`"), "{wave}");
        assert!(older.starts_with("run 2 of MJ0000001, an older one, is halted: too many failures"), "{older}");
        assert_eq!(by_hand("MJ0000001", &[run(1, "open")]), Vec::<String>::new(), "it goes on by itself");
    }

    #[test]
    fn progress_is_one_line() {
        assert_eq!(progress(&job(&[])), "MJ0000001: 1 of 3 tasks done, 1 failed");
        let none = json!({ "total": 0, "open": 0, "succeeded": 0, "failed": 0, "skipped": 0 });
        assert_eq!(progress(&job(&[("/summary/tasks", none)])), "MJ0000001: no tasks yet");
        let at = json!([{
            "zone": "UTC", "at": "2027-01-02T03:00:00Z", "local": "", "fit": "exact", "note": "", "window_end": null,
            "assets": 3,
        }]);
        let later = job(&[
            ("/instants", at),
            ("/summary/started_at", Value::Null),
            ("/summary/tasks/open", json!(3)),
            ("/summary/tasks/failed", json!(0)),
        ]);
        assert_eq!(progress(&later), "MJ0000001: 0 of 3 tasks done, begins at 2027-01-02T03:00:00Z");
    }
}
