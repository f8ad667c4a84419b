//! The live part of a job's page: counts, tasks with their steps and evidence, scores, events.

use super::job_tasks::{self, Counts, GROUPS, Look, lasted};
use super::{expect, jobs, marks};
use crate::engine::jobs::Job as Full;
use crate::http::Error;
use crate::pages::chips::{Band, Bar, Tone, When};
use crate::pages::jobs::{CountPart, CvesPart, JobLive};
use crate::pages::records::Entry;
use crate::views;
use domain::id::{AssetId, RunId};
use domain::job::Kind;
use domain::task::Group;
use domain::time::Timestamp;
use protocol::api::response::Job;
use std::collections::BTreeMap;
use store::tasks::list as tasks;
use store::{Transaction, audit};

/// Events shown.
const EVENTS_SHOWN: i64 = 30;

/// The picture of a job now, with its card by CVE.
///
/// # Errors
/// Not found for a run that the job does not have, 422 for a cursor of another list, or a failure of the store.
pub(super) fn picture(tx: &mut Transaction<'_>, look: &Look<'_>, cves: CvesPart) -> Result<JobLive, Error> {
    let Look { full, job, view, now, .. } = *look;
    let run = views::jobs::run(tx, full, view.run)?;
    let counts = Counts::read(tx, full, run)?;
    let targets = expect::targets(tx, full)?;
    let log = log(tx, full, run, now)?;
    Ok(JobLive {
        status: jobs::status(&job.summary),
        line: line(tx, full, job, now)?,
        counts: GROUPS
            .iter()
            .map(|(of, tone, label)| CountPart { tone: *tone, number: counts.of(*of), label })
            .filter(|part| part.number > 0)
            .collect(),
        bar: bar(&counts),
        aside: match counts.total() {
            0 => String::new(),
            total => format!("{} of {total} have reported", counts.reported()),
        },
        tasks: job_tasks::part(tx, look, (run, &counts), &targets)?,
        cves,
        runs: super::job_runs::rows(tx, full, view.run)?,
        risk: risk(full, &expect::worst_by_asset(&targets)),
        log_more: views::history::more(tx, full, log.len(), now)?,
        history: format!("/jobs/{}/history", full.row.name()),
        log,
        rollout: super::job_waves::part(tx, full)?,
    })
}

fn bar(counts: &Counts) -> Bar {
    let parts = [
        (Tone::Mit, counts.of(Group::Succeeded), "succeeded"),
        (Tone::Warn, counts.of(Group::Skipped), "skipped"),
        (Tone::Fail, counts.of(Group::Failed), "failed"),
        (Tone::Run, counts.of(Group::Running), "running"),
    ];
    Bar::new(&parts, counts.total().max(1)).tall()
}

/// Schedule, start, by whom, how long.
fn line(tx: &mut Transaction<'_>, full: &Full, job: &Job, now: Timestamp) -> Result<String, Error> {
    let mut parts = vec![job.summary.schedule.clone()];
    let entries = audit::of_resource(tx, &format!("jobs/{}", full.row.name()), None, 50)?;
    let enabled = entries.iter().find(|entry| matches!(entry.action.as_str(), "job.enable" | "job.save_and_enable"));
    match (full.row.started_at, full.row.ended_at) {
        (Some(start), end) => {
            let by = enabled.map(|entry| format!(", enabled by {}", person(&entry.actor))).unwrap_or_default();
            parts.push(format!("started {}{by}", start.to_jiff().strftime("%-d %b %H:%M:%S UTC")));
            parts.push(lasted(end.unwrap_or(now).seconds_since(start)));
        }
        (None, Some(end)) => parts.push(format!("ended {}", end.to_jiff().strftime("%-d %b %H:%M:%S UTC"))),
        (None, None) => {
            let first = job.instants.iter().map(|instant| instant.at).min();
            if let Some(at) = first.filter(|_| full.row.status == domain::job::Status::Enabled) {
                parts.push(format!("first start {}", at.to_jiff().strftime("%-d %b %Y %H:%M UTC")));
            }
        }
    }
    Ok(parts.join(" · "))
}

fn person(actor: &str) -> &str {
    actor.strip_prefix("users/").unwrap_or(actor)
}

/// The average score before, now, and when every action succeeds.
fn risk(full: &Full, scores: &BTreeMap<AssetId, expect::Scores>) -> Vec<(&'static str, Bar, i64, &'static str)> {
    let Some(mean) = expect::average(scores) else { return Vec::new() };
    let band = |score| Band::of(score).word();
    let last = if full.row.kind == Kind::Rollback { "After rollback" } else { "Target" };
    [("Before", mean.inherent), ("Now", mean.residual), (last, mean.expected)]
        .map(|(label, score)| (label, Bar::of_score(score), score, band(score)))
        .to_vec()
}

/// What people and the agents did, newest first.
fn log(tx: &mut Transaction<'_>, full: &Full, run: Option<RunId>, now: Timestamp) -> Result<Vec<Entry>, Error> {
    let mut events: Vec<(Timestamp, Tone, String, String)> = Vec::new();
    for entry in audit::of_resource(tx, &format!("jobs/{}", full.row.name()), None, 50)? {
        let tone = if entry.action == "job.cancel" { Tone::Warn } else { Tone::Info };
        events.push((entry.at, tone, views::history::deed(&entry.action), person(&entry.actor).to_owned()));
    }
    let happened = run.map(|run| tasks::newest(tx, run, &full.scope, EVENTS_SHOWN)).transpose()?.unwrap_or_default();
    for task in happened {
        if let Some(at) = task.ended_at {
            let tone = match Group::of(task.state) {
                Group::Succeeded => Tone::Ok,
                Group::Failed => Tone::Fail,
                _ => Tone::Idle,
            };
            let word = marks::words(task.state.as_str()).to_lowercase();
            events.push((at, tone, format!("{}: {word}", task.asset_name), task.entry));
        }
        // After its end, so that of two at the same instant the end stands above.
        if let Some(at) = task.started_at {
            events.push((at, Tone::Run, format!("{} began", task.asset_name), String::new()));
        }
    }
    events.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    events.truncate(usize::try_from(EVENTS_SHOWN).unwrap_or(usize::MAX));
    let entry = |(at, tone, text, by): (Timestamp, Tone, String, String)| {
        let at = if now.seconds_since(at) < 86_400 { When::clock(at.to_jiff()) } else { When::exact(at.to_jiff()) };
        Entry { at, tone, text, by }
    };
    Ok(events.into_iter().map(entry).collect())
}
