//! Mitigation jobs: the list and the page of one job, whose progress is live.

use super::chips::{Bar, Change, Chip, Tone, When};
use super::lists::{Column, List, Menu, Pager, Tab};
use super::records::{Entry, Fact};
use super::shell::Shell;
use askama::Template;
use askama::filters::HtmlSafe;

/// The columns of the list.
pub const COLUMNS: [Column; 8] = [
    Column::sorted("Job", "", "title"),
    Column::sorted("Status", "q-w5", "status"),
    Column::new("Tasks done", "q-w5"),
    Column::new("Score", "q-w4"),
    Column::new("Schedule", "q-w5"),
    Column::sorted("Owner", "q-w3", "owner"),
    Column::sorted("Activity", "q-w3", "activity"),
    Column::new("", "q-w1"),
];

/// One job.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// Its number.
    pub number: String,
    /// Its page.
    pub href: String,
    /// Its title.
    pub title: String,
    /// The icon of its platform and the platform's name.
    pub platform: (&'static str, &'static str),
    /// Its status; a run under way shows as Running.
    pub status: Chip,
    /// How far it is.
    pub bar: Bar,
    /// Assets that have reported.
    pub done: i64,
    /// Of how many.
    pub of: i64,
    /// The worst score before and the one expected or reached.
    pub change: Change,
    /// "On demand", "24 Nov 02:00 agent".
    pub schedule: String,
    /// Who owns it.
    pub owner: String,
    /// When something last happened or will happen.
    pub activity: Option<When>,
    /// Quick actions: Enable, Disable, Edit, View progress, Cancel, Roll back, Delete.
    pub menu: Menu,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "jobs.html")]
pub struct JobsPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// The rows.
    pub rows: Vec<JobRow>,
}

/// One task: a mitigation on an asset.
#[derive(Debug, Clone)]
pub struct TaskRow {
    /// Unique on the page.
    pub id: String,
    /// The asset.
    pub asset: String,
    /// Its page.
    pub href: String,
    /// Its address.
    pub ip: String,
    /// The mitigation, shown when the job has several.
    pub action: String,
    /// Its state.
    pub state: Chip,
    /// Fetched, checked, applied, verified, reported.
    pub steps: [Tone; 5],
    /// The result code with its reason, or what happens now.
    pub detail: String,
    /// How long it took or has taken.
    pub took: String,
    /// The score before and after.
    pub change: Change,
    /// The evidence: what was there, what is there now; empty without any.
    pub evidence: String,
}

/// A page of the tasks of a run.
#[derive(Debug, Clone)]
pub struct TasksPart {
    /// Views of the tasks by state, as links within the page.
    pub tabs: Vec<Tab>,
    /// The tasks; failed first, then running, where one page holds all of this view.
    pub rows: Vec<TaskRow>,
    /// Whether the mitigation's name is shown per task.
    pub many: bool,
    /// What is said where there are none: a heading and a sentence.
    pub none: (&'static str, &'static str),
    /// "100 of 2,431 tasks".
    pub numbers: String,
    /// The first and the next page.
    pub pager: Pager,
}

/// What a job means for each CVE of its vulnerabilities, the highest score first.
#[derive(Debug, Clone, Template)]
#[template(path = "job_cves.html")]
pub struct CvesPart {
    /// The first of them.
    pub rows: Vec<CveRow>,
    /// How many there are besides.
    pub more: i64,
    /// The page that has all.
    pub all: String,
    /// What is said where there are none.
    pub none: &'static str,
}
impl HtmlSafe for CvesPart {}

/// One CVE.
#[derive(Debug, Clone)]
pub struct CveRow {
    /// Its name; empty for vulnerabilities that have none.
    pub cve: String,
    /// The QIDs that hold it.
    pub qids: Vec<i64>,
    /// Assets on which it is mitigated.
    pub mitigated: i64,
    /// Assets on which its score is lowered.
    pub partly: i64,
    /// Assets on which nothing lowers it.
    pub not: i64,
    /// The highest score before and now.
    pub change: Change,
}

/// One run of a job.
#[derive(Debug, Clone)]
pub struct RunRow {
    /// 1, 2, and so on.
    pub number: i64,
    /// Its tasks.
    pub href: String,
    /// Its tasks are the ones shown.
    pub current: bool,
    /// How it stands.
    pub state: Chip,
    /// The civil time of the schedule it is for.
    pub time: Option<String>,
    /// Why it was made, and by whom.
    pub why: String,
    /// How far it is.
    pub bar: Bar,
    /// Tasks that have ended.
    pub done: i64,
    /// Of how many.
    pub of: i64,
    /// When its first task became due.
    pub begun: String,
    /// When its last task ended.
    pub ended: String,
}

/// A count above the bar.
#[derive(Debug, Clone)]
pub struct CountPart {
    /// Its colour.
    pub tone: Tone,
    /// How many.
    pub number: i64,
    /// Of what.
    pub label: &'static str,
}

/// The live part of a job's page: rendered in the page and sent again as a server-sent event named `job`.
#[derive(Debug, Clone, Template)]
#[template(path = "job_live.html")]
pub struct JobLive {
    /// Its status.
    pub status: Chip,
    /// One line: schedule, started when and by whom, elapsed.
    pub line: String,
    /// The counts.
    pub counts: Vec<CountPart>,
    /// The bar.
    pub bar: Bar,
    /// At the right of the counts: "2 failed of 60".
    pub aside: String,
    /// The tasks that are looked at.
    pub tasks: TasksPart,
    /// What the job means for each CVE.
    pub cves: CvesPart,
    /// Its runs, newest first; none where a single one says all.
    pub runs: Vec<RunRow>,
    /// The average score before, now and when all succeed.
    pub risk: Vec<(&'static str, Bar, i64, &'static str)>,
    /// What happened, newest first.
    pub log: Vec<Entry>,
    /// How much more happened; empty where nothing did.
    pub log_more: String,
    /// Where all of it is.
    pub history: String,
    /// The waves of its newest run, where there is something to see of them.
    pub rollout: Option<RolloutPart>,
}
impl HtmlSafe for JobLive {}

/// The rollout of a run.
#[derive(Debug, Clone)]
pub struct RolloutPart {
    /// Open, halting, halted, ended.
    pub state: Chip,
    /// The policy, what the gate says or why it is halted, permits out.
    pub line: String,
    /// The waves.
    pub waves: Vec<WaveRow>,
}

/// One wave.
#[derive(Debug, Clone)]
pub struct WaveRow {
    /// From 1.
    pub number: i64,
    /// Waiting, open, done.
    pub state: Chip,
    /// What became of its tasks.
    pub bar: Bar,
    /// The same in words.
    pub counts: String,
}

/// One job.
#[derive(Debug, Clone, Template)]
#[template(path = "job.html")]
pub struct JobPage {
    /// The frame; its title is the number.
    pub shell: Shell,
    /// Its title.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Quick actions beside the main ones.
    pub menu: Menu,
    /// Where progress comes from; none once it is over.
    pub live_from: Option<String>,
    /// The live part.
    pub live: JobLive,
    /// Platform, owner, co-authors, schedule, recipients, actions, QIDs.
    pub facts: Vec<Fact>,
    /// Something that must be known, such as a draft of an edit.
    pub note: Option<String>,
}

/// The five steps of a task from how far it came and how it ended.
#[must_use]
pub fn steps(done: usize, now: Option<Tone>, all: Tone) -> [Tone; 5] {
    let mut steps = [Tone::Idle; 5];
    for (at, step) in steps.iter_mut().enumerate() {
        if at < done {
            *step = all;
        } else if at == done
            && let Some(now) = now
        {
            *step = now;
        }
    }
    steps
}
