//! The tasks on a job's page: one page of them by state, with their steps, results and evidence.

use super::{expect, marks};
use crate::engine::agents::Presence;
use crate::engine::jobs::Job as Full;
use crate::http::Error;
use crate::pages::chips::{Change, Chip, Tone, count};
use crate::pages::jobs::{TaskRow, TasksPart, steps};
use crate::pages::lists::{Pager, Tab, address};
use crate::views;
use domain::filter::{Context, Filter};
use domain::id::{AssetId, RunId};
use domain::result as results;
use domain::task::{Group, State};
use domain::time::Timestamp;
use protocol::agent::TaskReport;
use protocol::api::response::{Job, Task};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use store::Transaction;
use store::list::{Order, Query};
use store::tasks::list as tasks;

/// Tasks on one page.
const TASKS_SHOWN: u32 = 100;
/// Longest evidence of one action shown, in characters; the API has the whole.
const EVIDENCE_CHARS_MAX: usize = 4_000;

/// The groups with their colour and name, in the order in which they are counted.
pub(super) const GROUPS: [(Group, Tone, &str); 5] = [
    (Group::Failed, Tone::Fail, "Failed"),
    (Group::Running, Tone::Run, "Running"),
    (Group::Succeeded, Tone::Mit, "Succeeded"),
    (Group::Skipped, Tone::Warn, "Skipped"),
    (Group::Queued, Tone::Idle, "Queued"),
];

/// Which tasks of a job are looked at. It stands in the address of the page and in that of its stream, so that what is sent
/// again is what is looked at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct View {
    /// A group by its word; all of them when empty.
    pub tasks: String,
    /// Of which run; the newest when absent.
    pub run: Option<i64>,
    /// Where the page before ended; the first page when empty.
    pub cursor: String,
}

impl View {
    /// The address of this view at `path`.
    pub fn at(&self, path: &str) -> String {
        let run = self.run.map(|run| run.to_string()).unwrap_or_default();
        address(path, &[("tasks", &self.tasks), ("run", &run), ("cursor", &self.cursor)])
    }

    /// The same tasks from another place on.
    fn from(&self, cursor: &str) -> View {
        View { cursor: cursor.to_owned(), ..self.clone() }
    }
}

/// What a job is looked at with.
pub(super) struct Look<'l> {
    /// The job.
    pub full: &'l Full,
    /// Its body.
    pub job: &'l Job,
    /// Which tasks.
    pub view: &'l View,
    /// Who was heard when.
    pub presence: &'l Presence,
    /// Now.
    pub now: Timestamp,
}

/// How the tasks of a run stand, all of them.
pub(super) struct Counts(BTreeMap<Group, i64>);

impl Counts {
    /// Of a run; nothing before the first.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn read(tx: &mut Transaction<'_>, full: &Full, run: Option<RunId>) -> Result<Counts, Error> {
        let states = run.map(|run| tasks::states(tx, run, &full.scope)).transpose()?.unwrap_or_default();
        let mut groups = BTreeMap::new();
        for (state, number) in states {
            *groups.entry(Group::of(state)).or_default() += number;
        }
        Ok(Counts(groups))
    }

    /// How many stand like this.
    pub fn of(&self, group: Group) -> i64 {
        self.0.get(&group).copied().unwrap_or_default()
    }

    /// How many there are.
    pub fn total(&self) -> i64 {
        self.0.values().sum()
    }

    /// How many have ended.
    pub fn reported(&self) -> i64 {
        self.total() - self.of(Group::Queued) - self.of(Group::Running)
    }
}

/// The tasks of a view. What needs attention comes first where one page holds them all; else they stand by asset, so
/// that a page keeps its rows while tasks move on.
///
/// # Errors
/// 422 for a cursor of another list, or a failure of the store.
pub(super) fn part(
    tx: &mut Transaction<'_>,
    look: &Look<'_>,
    (run, counts): (Option<RunId>, &Counts),
    targets: &expect::Targets,
) -> Result<TasksPart, Error> {
    let Look { full, job, view, now, .. } = *look;
    let wanted = Group::parse(&view.tasks);
    let found = views::jobs::tasks(tx, full, view.run, &query(view, wanted, now)?)?;
    let mut shown: Vec<(State, Task)> =
        found.rows.into_iter().map(|task| (State::parse(&task.state).unwrap_or(State::Unknown), task)).collect();
    if view.cursor.is_empty() && found.next_cursor.is_none() {
        shown.sort_by_key(|(state, _)| Group::of(*state));
    }
    let assets: BTreeSet<AssetId> = shown.iter().map(|(_, task)| AssetId(task.asset)).collect();
    let here = targets.iter().filter(|(asset, ..)| assets.contains(asset)).copied().collect();
    let own = expect::worst_by_entry(tx, full, &here)?;
    let ips: BTreeMap<i64, &str> = job.assets.iter().map(|asset| (asset.id, asset.ip.as_str())).collect();
    let held = held(tx, look, &shown)?;
    let rows = shown.iter().map(|(state, task)| {
        let ip = ips.get(&task.asset).copied().unwrap_or_default();
        let scores = own.get(&(AssetId(task.asset), task.entry.clone()));
        row(*state, task, ip, scores, held.get(&task.asset).unwrap_or(&Held::default()), now)
    });
    let entries = run.map(|run| tasks::entries(tx, run, &full.scope)).transpose()?.unwrap_or_default();
    let of = wanted.map_or_else(|| counts.total(), |group| counts.of(group));
    let path = format!("/jobs/{}", full.row.name());
    let there = |cursor: &str| format!("{}#tasks", view.from(cursor).at(&path));
    Ok(TasksPart {
        tabs: tabs(&path, view, counts),
        rows: rows.collect(),
        many: entries > 1,
        none: none(view, counts),
        numbers: format!("{} of {} tasks, by asset", count(i64::try_from(shown.len()).unwrap_or(i64::MAX)), count(of)),
        pager: Pager {
            previous: (!view.cursor.is_empty()).then(|| there("")),
            next: found.next_cursor.as_deref().map(there),
        },
    })
}

/// The page of a view.
fn query(view: &View, wanted: Option<Group>, now: Timestamp) -> Result<Query, Error> {
    let filter = match wanted {
        None => Filter::Everything,
        Some(group) => {
            domain::filter::parse(&format!("is:{}", group.as_str()), &tasks::FIELDS).map_err(Error::internal)?
        }
    };
    Ok(Query {
        order: Order::parse("asset"),
        limit: TASKS_SHOWN,
        cursor: Some(view.cursor.clone()).filter(|cursor| !cursor.is_empty()),
        ..Query::new(filter, Context::at(now))
    })
}

/// What is said where no task is shown.
fn none(view: &View, counts: &Counts) -> (&'static str, &'static str) {
    if !view.cursor.is_empty() {
        ("Nothing is left on this page", "The tasks that stood here are in another state by now.")
    } else if counts.total() > 0 {
        ("No tasks here", "No task of this run is in such a state now.")
    } else {
        ("No tasks here", "Tasks are made when the job runs.")
    }
}

fn tabs(path: &str, view: &View, counts: &Counts) -> Vec<Tab> {
    let tab = |label: &str, word: &str, number: i64| {
        let there = View { tasks: word.to_owned(), cursor: String::new(), ..view.clone() };
        Tab {
            label: label.to_owned(),
            count: Some(number),
            href: format!("{}#tasks", there.at(path)),
            current: view.tasks == word,
        }
    };
    let groups = GROUPS.iter().map(|(of, _, label)| (label, of.as_str(), counts.of(*of)));
    let groups = groups.filter(|(_, word, number)| *number > 0 || *word == view.tasks);
    std::iter::once(tab("All", "", counts.total()))
        .chain(groups.map(|(label, word, number)| tab(label, word, number)))
        .collect()
}

/// `2:10`, `1 h 02 min`.
pub(super) fn lasted(seconds: i64) -> String {
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
fn held(tx: &mut Transaction<'_>, look: &Look<'_>, shown: &[(State, Task)]) -> Result<BTreeMap<i64, Held>, Error> {
    let Look { full, presence, now, .. } = *look;
    let mut all: BTreeMap<i64, Held> = BTreeMap::new();
    for (state, task) in shown.iter().filter(|(state, _)| Group::of(*state) == Group::Queued) {
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
    let tone = match (Group::of(state), state) {
        (Group::Succeeded, _) => Tone::Mit,
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
        // It has no turn and takes none away, so nothing else is what it waits for.
        (State::Ready, _) if !task.waits_for.is_empty() => format!("Waits: {}", task.waits_for),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_place_and_its_steps() {
        for state in State::ALL {
            assert!(GROUPS.iter().any(|(of, ..)| *of == Group::of(state)), "{state:?}");
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
