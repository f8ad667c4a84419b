//! The live part of a job's page: counts, tasks with their steps and evidence, scores, events.

use super::{expect, jobs, marks};
use crate::engine::agents::Presence;
use crate::engine::jobs::Job as Full;
use crate::http::Error;
use crate::pages::chips::{Band, Bar, Change, Chip, Tone, When};
use crate::pages::jobs::{CountPart, JobLive, TaskRow, steps};
use crate::pages::lists::{Tab, address};
use crate::pages::records::Entry;
use domain::id::AssetId;
use domain::job::Kind;
use domain::result as results;
use domain::task::State;
use domain::time::Timestamp;
use protocol::agent::TaskReport;
use protocol::api::response::{Job, Task};
use std::collections::BTreeMap;
use store::{Transaction, audit};

/// Tasks shown in one view.
const TASKS_SHOWN: usize = 100;
/// Events shown.
const EVENTS_SHOWN: usize = 30;
/// Longest evidence of one action shown, in characters; the API has the whole.
const EVIDENCE_CHARS_MAX: usize = 4_000;

/// How a task stands, for counting and for the views.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Done,
    Skipped,
    Failed,
    Running,
    Queued,
}

const GROUPS: [(Group, &str, Tone, &str); 5] = [
    (Group::Failed, "failed", Tone::Fail, "Failed"),
    (Group::Running, "running", Tone::Run, "Running"),
    (Group::Done, "done", Tone::Mit, "Succeeded"),
    (Group::Skipped, "skipped", Tone::Warn, "Skipped"),
    (Group::Queued, "queued", Tone::Idle, "Queued"),
];

fn group(state: State) -> Group {
    match (state, state.code()) {
        (_, Some(0)) => Group::Done,
        (_, Some(1)) => Group::Failed,
        (_, Some(_)) => Group::Skipped,
        (State::Accepted | State::Running | State::Unknown, None) => Group::Running,
        (_, None) => Group::Queued,
    }
}

/// The picture of a job now. `view` names one group of tasks, or is empty for all, and a run, or the newest.
///
/// # Errors
/// A failure of the store.
pub(super) fn picture(
    tx: &mut Transaction<'_>,
    full: &Full,
    job: &Job,
    (view, run): (&str, Option<i64>),
    presence: &Presence,
    now: Timestamp,
) -> Result<JobLive, Error> {
    let tasks = crate::views::jobs::tasks(tx, full, run)?;
    let targets = expect::targets(tx, full)?;
    let scores = expect::worst_by_asset(&targets);
    let own = expect::worst_by_entry(tx, full, &targets)?;
    let states: Vec<(State, &Task)> =
        tasks.iter().map(|task| (State::parse(&task.state).unwrap_or(State::Unknown), task)).collect();
    let number_of = |wanted: Group| count(states.iter().filter(|(state, _)| group(*state) == wanted).count());
    let total = count(states.len());
    let mut shown: Vec<&(State, &Task)> = states
        .iter()
        .filter(|(state, _)| GROUPS.iter().all(|(of, word, ..)| *word != view || group(*state) == *of))
        .collect();
    let rank = |state: State| GROUPS.iter().position(|(of, ..)| *of == group(state));
    shown.sort_by(|a, b| rank(a.0).cmp(&rank(b.0)).then_with(|| a.1.asset_name.cmp(&b.1.asset_name)));
    let entries: std::collections::BTreeSet<&str> = tasks.iter().map(|task| task.entry.as_str()).collect();
    let ips: BTreeMap<i64, &str> = job.assets.iter().map(|asset| (asset.id, asset.ip.as_str())).collect();
    let held = held(tx, full, &shown, presence, now)?;
    let rows = shown.iter().take(TASKS_SHOWN).map(|(state, task)| {
        let ip = ips.get(&task.asset).copied().unwrap_or_default();
        let scores = own.get(&(AssetId(task.asset), task.entry.clone()));
        row(*state, task, ip, scores, held.get(&task.asset).unwrap_or(&Held::default()), now)
    });
    let reported = total - number_of(Group::Queued) - number_of(Group::Running);
    Ok(JobLive {
        status: jobs::status(&job.summary),
        line: line(tx, full, job, now)?,
        counts: GROUPS
            .iter()
            .map(|(of, _, tone, label)| CountPart { tone: *tone, number: number_of(*of), label })
            .filter(|part| part.number > 0)
            .collect(),
        bar: bar(&number_of, total),
        aside: if total == 0 { String::new() } else { format!("{reported} of {total} have reported") },
        tabs: tabs(full, view, run, &number_of, total),
        runs: super::job_runs::rows(tx, full, run)?,
        tasks: rows.collect(),
        many: entries.len() > 1,
        more: count(shown.len().saturating_sub(TASKS_SHOWN)),
        risk: risk(full, &scores),
        log: log(tx, full, &states, now)?,
        rollout: super::job_waves::part(tx, full)?,
    })
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn bar(number_of: &dyn Fn(Group) -> i64, total: i64) -> Bar {
    let parts = [
        (Tone::Mit, number_of(Group::Done), "succeeded"),
        (Tone::Warn, number_of(Group::Skipped), "skipped"),
        (Tone::Fail, number_of(Group::Failed), "failed"),
        (Tone::Run, number_of(Group::Running), "running"),
    ];
    Bar::new(&parts, total.max(1)).tall()
}

fn tabs(full: &Full, view: &str, run: Option<i64>, number_of: &dyn Fn(Group) -> i64, total: i64) -> Vec<Tab> {
    let here = format!("/jobs/{}", full.row.name());
    let run = run.map(|run| run.to_string()).unwrap_or_default();
    let tab = |label: &str, word: &str, number: i64| Tab {
        label: label.to_owned(),
        count: Some(number),
        href: format!("{}#tasks", address(&here, &[("tasks", word), ("run", &run)])),
        current: view == word,
    };
    let mut tabs = vec![tab("All", "", total)];
    let groups = GROUPS.iter().map(|(of, word, _, label)| (label, word, number_of(*of)));
    tabs.extend(groups.filter(|(_, word, n)| *n > 0 || *word == &view).map(|(label, word, n)| tab(label, word, n)));
    tabs
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

/// `2:10`, `1 h 02 min`.
fn lasted(seconds: i64) -> String {
    let seconds = seconds.max(0);
    if seconds < 3_600 {
        format!("{}:{:02}", seconds / 60, seconds % 60)
    } else {
        format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60)
    }
}

/// Why an asset's queued tasks do not begin.
#[derive(Default)]
struct Held {
    /// The agent has not been heard since then, which is a while.
    silent: Option<Timestamp>,
    /// The job that has its turn on the asset (R20).
    behind: Option<String>,
    /// Its wave, where that has not opened yet.
    wave: Option<i64>,
}

/// What holds the assets of queued tasks.
fn held(
    tx: &mut Transaction<'_>,
    full: &Full,
    shown: &[&(State, &Task)],
    presence: &Presence,
    now: Timestamp,
) -> Result<BTreeMap<i64, Held>, Error> {
    let mut all: BTreeMap<i64, Held> = BTreeMap::new();
    for (state, task) in shown.iter().take(TASKS_SHOWN).filter(|(state, _)| group(*state) == Group::Queued) {
        if all.contains_key(&task.asset) {
            continue;
        }
        let mut held = Held::default();
        if *state == State::Pending
            && let Some(row) = store::tasks::by_uuid(tx, task.id)?
        {
            let open = store::rollouts::run(tx, row.run_id)?.wave;
            held.wave = (row.wave > open).then_some(row.wave);
        }
        if let Some(agent) = store::agents::on_asset(tx, AssetId(task.asset))? {
            let seen = presence.last_seen(agent.id).map_or(agent.last_seen_at, |at| at.max(agent.last_seen_at));
            held.silent = (now.seconds_since(seen) > super::agents::SILENT_SECONDS).then_some(seen);
            let turn = crate::engine::orders::turn(&store::tasks::of_agent(tx, agent.id)?);
            held.behind = turn.map(|(_, job)| job).filter(|job| *job != full.row.number).map(store::jobs::name);
        }
        all.insert(task.asset, held);
    }
    Ok(all)
}

fn row(state: State, task: &Task, ip: &str, scores: Option<&expect::Scores>, held: &Held, now: Timestamp) -> TaskRow {
    let ended = state.ended();
    let took = task.started_at.map(|start| lasted(task.ended_at.unwrap_or(now).seconds_since(start)));
    TaskRow {
        id: task.id.to_string(),
        asset: task.asset_name.clone(),
        href: format!("/assets/{}", task.asset),
        ip: ip.to_owned(),
        action: task.title.clone(),
        state: chip(state, held.silent.is_some()),
        steps: task_steps(state),
        detail: if ended { result(task) } else { waiting(state, task, held, now) },
        took: took.unwrap_or_else(|| "–".to_owned()),
        change: scores.map_or_else(Change::default, |scores| Change::new(Some(scores.inherent), Some(scores.residual))),
        evidence: evidence(task),
    }
}

fn chip(state: State, silent: bool) -> Chip {
    let tone = match (group(state), state) {
        (Group::Done, _) => Tone::Mit,
        (Group::Failed, _) => Tone::Fail,
        (Group::Skipped, _) => Tone::Idle,
        (_, State::Unknown) => Tone::Warn,
        (Group::Running, _) => Tone::Run,
        (Group::Queued, _) => Tone::Idle,
    };
    let word = match state {
        State::Pending if !silent => "Waiting".to_owned(),
        State::Pending | State::Ready if silent => return Chip::new(Tone::Warn, "Waiting for agent"),
        State::Ready => "Queued".to_owned(),
        other => marks::words(other.as_str()),
    };
    Chip::new(tone, word)
}

/// Fetched, checked, applied, verified, reported.
fn task_steps(state: State) -> [Tone; 5] {
    let (done, now) = match state {
        State::Pending | State::Ready => (0, None),
        State::Offered => (0, Some(Tone::Run)),
        State::Accepted => (1, Some(Tone::Run)),
        State::Running => (2, Some(Tone::Run)),
        State::Unknown => (2, Some(Tone::Warn)),
        State::Succeeded | State::Unchanged | State::NotApplicable | State::Reverted => (5, None),
        State::VerifyFailed => (3, Some(Tone::Fail)),
        State::Failed | State::RevertFailed | State::Interrupted => (2, Some(Tone::Fail)),
        State::DriftedSinceApply => (1, Some(Tone::Fail)),
        State::Refused => (0, Some(Tone::Fail)),
        State::Cancelled => (0, Some(Tone::Idle)),
        State::Expired | State::Lost => (0, Some(Tone::Warn)),
    };
    steps(done, now, Tone::Ok)
}

/// The result code with its reason, never hidden (design, section 4).
fn result(task: &Task) -> String {
    let code = task.code.unwrap_or_default();
    let detail = task.detail.and_then(results::detail).map(|words| format!(" · {words}")).unwrap_or_default();
    let message = if task.message.is_empty() { String::new() } else { format!(" · {}", task.message) };
    format!("{} {}{detail}{message}", results::number(code, task.detail), results::code(code))
}

fn waiting(state: State, task: &Task, held: &Held, now: Timestamp) -> String {
    match (state, held) {
        (State::Pending | State::Ready, Held { silent: Some(since), .. }) => {
            format!("The agent was last heard {} ago", lasted(now.seconds_since(*since)))
        }
        (State::Pending, _) if task.due_at > now => {
            let at = task.due_at.to_jiff().strftime("%-d %b %Y %H:%M UTC");
            format!("Not before {at} ({})", task.zone)
        }
        (State::Pending, Held { wave: Some(wave), .. }) => format!("Waits for wave {wave} to open"),
        (State::Ready, Held { behind: Some(job), .. }) => {
            format!("Waits for {job}: one job at a time works on an asset")
        }
        (State::Pending | State::Ready, _) => "Waiting for its turn".to_owned(),
        (State::Offered, _) => "Offered to the agent".to_owned(),
        (State::Accepted, _) => "The agent has verified the order".to_owned(),
        (State::Running, _) => "The agent is at work".to_owned(),
        (State::Unknown, _) => "The agent went silent after it began".to_owned(),
        _ => task.message.clone(),
    }
}

/// What was there and what is there now, per action of the entry.
fn evidence(task: &Task) -> String {
    let report = task.report.clone().and_then(|value| serde_json::from_value::<TaskReport>(value).ok());
    let Some(report) = report else { return String::new() };
    let part = |action: &protocol::agent::ActionEvidence| {
        let change = if action.diff.is_empty() {
            format!("before: {}\nafter:  {}", action.before, action.after)
        } else {
            action.diff.clone()
        };
        let text = format!("{} · {} ({})\n{change}", action.kind, action.target, action.did.replace('_', " "));
        text.chars().take(EVIDENCE_CHARS_MAX).collect::<String>()
    };
    report.actions.iter().map(part).collect::<Vec<_>>().join("\n\n")
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

/// What was done to a job, for people.
fn deed(action: &str) -> String {
    let known = match action {
        "create" => "Draft made",
        "edit" => "Edited",
        "save" => "Saved",
        "save_and_enable" => "Saved and enabled",
        "enable" => "Enabled",
        "disable" => "Disabled",
        "cancel" => "Cancelled",
        "end" => "The run is over",
        other => return marks::words(other),
    };
    known.to_owned()
}

/// What people and the agents did, newest first.
fn log(tx: &mut Transaction<'_>, full: &Full, states: &[(State, &Task)], now: Timestamp) -> Result<Vec<Entry>, Error> {
    let mut events: Vec<(Timestamp, Tone, String, String)> = Vec::new();
    for entry in audit::of_resource(tx, &format!("jobs/{}", full.row.name()), None, 50)? {
        let what = entry.action.strip_prefix("job.").unwrap_or(&entry.action);
        let tone = if what == "cancel" { Tone::Warn } else { Tone::Info };
        let text = deed(what);
        events.push((entry.at, tone, text, person(&entry.actor).to_owned()));
    }
    for (state, task) in states {
        if let Some(at) = task.ended_at {
            let tone = match group(*state) {
                Group::Done => Tone::Ok,
                Group::Failed => Tone::Fail,
                _ => Tone::Idle,
            };
            let word = marks::words(state.as_str()).to_lowercase();
            events.push((at, tone, format!("{}: {word}", task.asset_name), task.entry.clone()));
        }
        // After its end, so that of two at the same instant the end stands above.
        if let Some(at) = task.started_at {
            events.push((at, Tone::Run, format!("{} began", task.asset_name), String::new()));
        }
    }
    events.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    events.truncate(EVENTS_SHOWN);
    let entry = |(at, tone, text, by): (Timestamp, Tone, String, String)| {
        let at = if now.seconds_since(at) < 86_400 { When::clock(at.to_jiff()) } else { When::exact(at.to_jiff()) };
        Entry { at, tone, text, by }
    };
    Ok(events.into_iter().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_place_and_its_steps() {
        for state in State::ALL {
            assert!(GROUPS.iter().any(|(of, ..)| *of == group(state)), "{state:?}");
            let all = task_steps(state).iter().all(|step| *step == Tone::Ok);
            assert_eq!(all, matches!(state.code(), Some(0 | 33)) || state == State::NotApplicable, "{state:?}");
        }
    }

    #[test]
    fn durations_read_well() {
        for (seconds, text) in [(0, "0:00"), (130, "2:10"), (3_720, "1 h 02 min"), (-5, "0:00")] {
            assert_eq!(lasted(seconds), text);
        }
    }
}
