//! The seven steps that make a mitigation job. Each step is a page of its own on a draft kept by the server, so that
//! it can be linked, left and taken up again.
//!
//! Titles and order follow S1.03; the rules behind the fields are `domain`'s.

use super::chips::{Change, Chip};
use super::forms::{Faults, Field};
use super::records::Fact;
use super::shell::Shell;
use askama::Template;
use askama::filters::HtmlSafe;

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Filled in.
    Done,
    /// Shown now.
    Current,
    /// Still to come.
    Ahead,
    /// Something in it is wrong.
    Wrong,
}

impl Progress {
    pub(super) fn class(self) -> &'static str {
        match self {
            Progress::Done => "done",
            Progress::Current => "cur",
            Progress::Ahead => "todo",
            Progress::Wrong => "bad",
        }
    }
}

/// One step in the stepper.
#[derive(Debug, Clone)]
pub struct StepLink {
    /// Its name.
    pub label: &'static str,
    /// One line that sums up what was chosen.
    pub recap: String,
    /// How far it is.
    pub progress: Progress,
    /// Its page; empty while it cannot be opened.
    pub href: String,
}

/// The names of the steps, in order (S1.03).
pub const STEPS: [&str; 7] =
    ["Basic information", "Select assets", "Select actions", "Schedule", "Options", "Job access", "Confirmation"];

/// What surrounds a step.
#[derive(Debug, Clone)]
pub struct WizardFrame {
    /// The steps.
    pub steps: Vec<StepLink>,
    /// The heading of the step.
    pub heading: String,
    /// A question below it.
    pub question: String,
    /// Where the form goes.
    pub to: String,
    /// The draft's version, sent back so that a change by somebody else is noticed.
    pub version: String,
    /// What is wrong.
    pub faults: Faults,
    /// The page before; none on the first.
    pub back: Option<String>,
    /// The words on the button: "Next: Schedule".
    pub next: String,
    /// Platform, assets, actions, QIDs, score, reversible.
    pub summary: Vec<Fact>,
    /// When it will run: a group of assets and the time; then a sentence.
    pub runs: Vec<(String, String)>,
    /// The range of instants, or what "on demand" means.
    pub runs_note: String,
    /// "Draft saved 14:02".
    pub saved: String,
    /// Where closing leads.
    pub close: String,
    /// Where the draft is thrown away; empty for a job that was saved before.
    pub discard: String,
}

/// Step 1.
#[derive(Debug, Clone, Template)]
#[template(path = "wizard/basic.html")]
pub struct BasicPage {
    /// The frame.
    pub shell: Shell,
    /// What surrounds the step.
    pub frame: WizardFrame,
    /// `title` and `description`.
    pub fields: Vec<Field>,
}

/// An asset of the job.
#[derive(Debug, Clone)]
pub struct AssetRow {
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its page.
    pub href: String,
    /// Its address.
    pub ip: String,
    /// Its system.
    pub os: String,
    /// The icon of its platform.
    pub icon: &'static str,
    /// How its agent is.
    pub agent: Chip,
    /// The QIDs it brings along.
    pub qids: String,
    /// Its score now and afterwards.
    pub change: Change,
    /// Why it cannot be part of the job, with the install line where it has no agent.
    pub reason: Option<String>,
}

impl AssetRow {
    /// The first of its QIDs and how many more there are.
    fn short_qids(&self) -> String {
        let mut qids = self.qids.split(' ');
        let first = qids.next().unwrap_or_default();
        match qids.count() {
            0 => first.to_owned(),
            more => format!("{first} +{more}"),
        }
    }
}

/// Step 2.
#[derive(Debug, Clone, Template)]
#[template(path = "wizard/assets.html")]
pub struct AssetsPage {
    /// The frame.
    pub shell: Shell,
    /// What surrounds the step.
    pub frame: WizardFrame,
    /// The assets of the job.
    pub chosen: Vec<AssetRow>,
    /// Those with the weakness that cannot be part of it, with the reason.
    pub barred: Vec<AssetRow>,
    /// Whether assets can only be removed, because the job was started from an elimination (S1.06).
    pub remove_only: bool,
    /// Where one is removed; its key is the value of `asset`.
    pub remove: String,
    /// What happened to the QIDs with the last removal (S1.07).
    pub removed_note: Option<String>,
    /// The line that installs an agent.
    pub install: Option<String>,
}

impl AssetsPage {
    /// Why none of them can be part of the job, where it is the same for all.
    fn shared_reason(&self) -> Option<&str> {
        let first = self.barred.first()?.reason.as_deref();
        first.filter(|_| self.barred.iter().all(|row| row.reason.as_deref() == first))
    }
}

/// An action of the job.
#[derive(Debug, Clone)]
pub struct ActionRow {
    /// Its key.
    pub key: String,
    /// The mitigation.
    pub title: String,
    /// Its id and version.
    pub entry: String,
    /// Its details, shown in the dialog (S1.09).
    pub details: String,
    /// The QIDs it is for.
    pub qids: String,
    /// The CVEs it covers.
    pub cves: String,
    /// How far it covers them.
    pub coverage: Chip,
    /// Points off.
    pub points: i64,
    /// Takes back, restarts.
    pub notes: Vec<Chip>,
    /// On how many of the assets it applies.
    pub assets: i64,
    /// Whether it can be removed.
    pub removable: bool,
}

/// Step 3.
#[derive(Debug, Clone, Template)]
#[template(path = "wizard/actions.html")]
pub struct ActionsPage {
    /// The frame.
    pub shell: Shell,
    /// What surrounds the step.
    pub frame: WizardFrame,
    /// The actions.
    pub rows: Vec<ActionRow>,
    /// QIDs that no action covers any more, with the reason.
    pub uncovered: Vec<String>,
    /// Where one is removed.
    pub remove: String,
}

/// One of several that can be picked.
#[derive(Debug, Clone, Copy)]
pub struct Pick {
    /// Its word in the form.
    pub word: &'static str,
    /// What people read.
    pub label: &'static str,
    /// It is picked.
    pub on: bool,
}

/// One time of the schedule in one zone.
#[derive(Debug, Clone)]
pub struct TimeRow {
    /// The civil time.
    pub time: String,
    /// It is that of the row above.
    pub again: bool,
    /// The zone.
    pub zone: String,
    /// Assets in it.
    pub assets: i64,
    /// The clock there.
    pub local: String,
    /// The same in UTC.
    pub utc: String,
    /// The end of the window, in UTC.
    pub until: Option<String>,
    /// Something to know, such as a daylight saving gap.
    pub note: String,
}

/// The times that a schedule gives, kept up with the form by a script where there is one.
#[derive(Debug, Clone, Template)]
#[template(path = "wizard/times.html")]
pub struct Times {
    /// Where they come from.
    pub path: String,
    /// The schedule read back; none on demand.
    pub words: Option<String>,
    /// The next times.
    pub rows: Vec<TimeRow>,
    /// Something to know, such as a daylight saving gap.
    pub warnings: Vec<String>,
}
impl HtmlSafe for Times {}

impl Times {
    /// Whether there is a maintenance window: without one a time has no end.
    fn windowed(&self) -> bool {
        self.rows.iter().any(|row| row.until.is_some())
    }
}

/// Step 4.
#[derive(Debug, Clone, Template)]
#[template(path = "wizard/schedule.html")]
pub struct SchedulePage {
    /// The frame.
    pub shell: Shell,
    /// What surrounds the step.
    pub frame: WizardFrame,
    /// Whether it runs at a time rather than on demand (S1.10).
    pub timed: bool,
    /// Its first day (S1.11).
    pub date: Field,
    /// Its time of day.
    pub time: Field,
    /// The zone; empty is each agent's own (S1.12).
    pub zone: Field,
    /// Every zone there is.
    pub zones: Vec<String>,
    /// How it repeats.
    pub repeats: Vec<Pick>,
    /// On which days of the week.
    pub days: Vec<Pick>,
    /// What is wrong with the days.
    pub days_fault: Option<String>,
    /// Every so many days, weeks or months.
    pub every: Field,
    /// Day of the month.
    pub day: Field,
    /// Which one of a month's days of one name.
    pub nth: Field,
    /// Which day of the week.
    pub weekday: Field,
    /// Days after Patch Tuesday.
    pub offset: Field,
    /// How it ends.
    pub ends: Vec<Pick>,
    /// Its last day.
    pub until: Field,
    /// How many times.
    pub count: Field,
    /// Minutes of the maintenance window.
    pub window: Field,
    /// Targets are chosen anew at each run.
    pub standing: bool,
    /// The times that gives.
    pub times: Times,
}

/// Step 5.
#[derive(Debug, Clone, Template)]
#[template(path = "wizard/options.html")]
pub struct OptionsPage {
    /// The frame.
    pub shell: Shell,
    /// What surrounds the step.
    pub frame: WizardFrame,
    /// `recipients`, one address per line, at most fifty (S1.13).
    pub recipients: Field,
    /// Whether mail is sent when it starts.
    pub on_start: bool,
    /// Whether mail is sent when the percentage has reported.
    pub on_share: bool,
    /// `share`, 1 to 100.
    pub share: Field,
    /// Whether this server can send mail; the reason when it cannot.
    pub no_mail: Option<String>,
    /// Expiry and review; a rollback has none.
    pub after: Option<AfterFields>,
    /// How a run spreads over the assets.
    pub rollout: RolloutFields,
}

/// How a run spreads over the assets.
#[derive(Debug, Clone)]
pub struct RolloutFields {
    /// `rollout`: a preset, or `own` for the numbers below it.
    pub preset: Field,
    /// `waves`.
    pub waves: Field,
    /// `soak_minutes`.
    pub soak: Field,
    /// `max_running`.
    pub max_running: Field,
    /// `starts_per_minute`.
    pub starts: Field,
    /// `failures`.
    pub failures: Field,
    /// `failure_percent`.
    pub percent: Field,
    /// `definitive_percent`.
    pub definitive: Field,
    /// `freshness_hours`.
    pub freshness: Field,
    /// `restarts_at_once`.
    pub restarts: Field,
    /// `apart_tag`.
    pub apart: Field,
    /// `apart_at_most`.
    pub at_most: Field,
    /// `permits`: every start asks for one.
    pub permits: bool,
}

/// Expiry and review.
#[derive(Debug, Clone)]
pub struct AfterFields {
    /// `expiry`: never, days, date.
    pub expiry: Field,
    /// `expires_days`.
    pub days: Field,
    /// `expires_at`.
    pub date: Field,
    /// `roll_back`: made and enabled at expiry, not only proposed.
    pub roll_back: bool,
    /// `review_at`.
    pub review: Field,
}

/// A co-author.
#[derive(Debug, Clone)]
pub struct AuthorRow {
    /// The key of the user.
    pub key: String,
    /// The name.
    pub name: String,
    /// What the role allows.
    pub allows: String,
}

/// Step 6.
#[derive(Debug, Clone, Template)]
#[template(path = "wizard/access.html")]
pub struct AccessPage {
    /// The frame.
    pub shell: Shell,
    /// What surrounds the step.
    pub frame: WizardFrame,
    /// Who owns the job.
    pub owner: String,
    /// Those who may act on it.
    pub authors: Vec<AuthorRow>,
    /// For those who may be added; none where there is nobody.
    pub add: Option<Field>,
    /// Why co-authors cannot be changed.
    pub locked: Option<String>,
}

/// One part of the review.
#[derive(Debug, Clone)]
pub struct ReviewPart {
    /// The step.
    pub label: &'static str,
    /// Where it is changed.
    pub href: String,
    /// What was chosen.
    pub facts: Vec<Fact>,
}

/// Step 7.
#[derive(Debug, Clone, Template)]
#[template(path = "wizard/confirm.html")]
pub struct ConfirmPage {
    /// The frame.
    pub shell: Shell,
    /// What surrounds the step.
    pub frame: WizardFrame,
    /// The review.
    pub parts: Vec<ReviewPart>,
    /// What the agents will do, exactly: the entry, its digest, its steps.
    pub exact: Vec<(String, String)>,
    /// Where it can be run dry first.
    pub dry_run: String,
    /// Whether the job is new: only then can it be enabled at once (S1.21).
    pub first: bool,
    /// Why it cannot be enabled now.
    pub no_enable: Option<String>,
    /// Why it cannot be saved.
    pub no_save: Option<String>,
}
