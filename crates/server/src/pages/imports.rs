//! Imports (VINTRUN): the list of runs, one run with its counters and refused rows, and the import of a file.

use super::chips::{Chip, When};
use super::forms::{Faults, Field};
use super::jobs::CountPart;
use super::lists::{Action, Column, List};
use super::records::{Entry, Fact};
use super::shell::Shell;
use askama::Template;

/// The columns of the list.
pub const COLUMNS: [Column; 8] = [
    Column::sorted("Run", "q-w5", "number"),
    Column::new("What", ""),
    Column::sorted("State", "q-w5", "state"),
    Column::new("New", "q-w3").end(),
    Column::new("Updated", "q-w3").end(),
    Column::new("Unchanged", "q-w3").end(),
    Column::new("Rejected", "q-w3").end(),
    Column::sorted("Started", "q-w5", "started"),
];

/// One run.
#[derive(Debug, Clone)]
pub struct ImportRow {
    /// Its number.
    pub number: String,
    /// Its page.
    pub href: String,
    /// "Detections from Qualys EU", "report.xml (host list detection)".
    pub what: String,
    /// Its state.
    pub state: Chip,
    /// New rows.
    pub new: i64,
    /// Changed rows.
    pub updated: i64,
    /// The same as before.
    pub unchanged: i64,
    /// Refused, with the reason kept.
    pub rejected: i64,
    /// When it started.
    pub at: When,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "imports.html")]
pub struct ImportsPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// The rows.
    pub rows: Vec<ImportRow>,
    /// What is wrong: a sentence, and where to look.
    pub troubles: Vec<(String, String)>,
}

/// One step of a run.
#[derive(Debug, Clone)]
pub struct StepRow {
    /// "Detections".
    pub name: String,
    /// Answers of the platform.
    pub pages: i64,
    /// Hosts, detections and entries that were read.
    pub rows: i64,
    /// How long the platform was waited for.
    pub asked: String,
    /// How long merging took.
    pub merged: String,
    /// How long all of it took, or that it is at work.
    pub took: String,
}

/// One run.
#[derive(Debug, Clone, Template)]
#[template(path = "import.html")]
pub struct ImportPage {
    /// The frame.
    pub shell: Shell,
    /// What it imported.
    pub what: String,
    /// Its state.
    pub state: Chip,
    /// Where the record is asked for again while it runs.
    pub live_from: Option<String>,
    /// Cancel, import again, its integration, rejected rows as a file.
    pub actions: Vec<Action>,
    /// Why it failed.
    pub error: Option<String>,
    /// New, updated, unchanged, ignored, rejected.
    pub counts: Vec<CountPart>,
    /// Source, format, size, digest, started, took.
    pub facts: Vec<Fact>,
    /// Raw counts by record type.
    pub raw: Vec<(String, i64)>,
    /// What it did one after the other.
    pub steps: Vec<StepRow>,
    /// What was refused: what, why.
    pub rejected: Vec<(String, String)>,
    /// How many more were refused.
    pub rejected_more: i64,
    /// What happened.
    pub log: Vec<Entry>,
}

/// The import of a file, as a dialog and as a page.
#[derive(Debug, Clone, Template)]
#[template(path = "upload.html")]
pub struct UploadPage {
    /// The frame.
    pub shell: Shell,
    /// `integration` and what else must be known.
    pub fields: Vec<Field>,
    /// What is wrong.
    pub faults: Faults,
    /// What is understood: format and words.
    pub formats: Vec<(&'static str, &'static str)>,
}

/// When imports of one kind come from an integration.
#[derive(Debug, Clone)]
pub struct ScheduleRow {
    /// "Detections".
    pub name: String,
    /// What it brings.
    pub says: String,
    /// "Every 4 hours".
    pub words: String,
    /// The next times.
    pub next: Vec<When>,
    /// Since when it was due again while one was still waiting.
    pub held: Option<When>,
    /// Leads to the form.
    pub change: Action,
    /// Begins one now.
    pub import: Action,
}

/// When imports come from an integration.
#[derive(Debug, Clone, Template)]
#[template(path = "schedules.html")]
pub struct SchedulesPage {
    /// The frame.
    pub shell: Shell,
    /// One per kind.
    pub rows: Vec<ScheduleRow>,
    /// It is filled from files.
    pub files: bool,
}

/// The form of one schedule.
#[derive(Debug, Clone, Template)]
#[template(path = "schedule.html")]
pub struct CadencePage {
    /// The frame.
    pub shell: Shell,
    /// Where it is kept.
    pub to: String,
    /// Where its next times are shown without keeping it.
    pub try_at: String,
    /// Where it began.
    pub back: String,
    /// The version that was seen.
    pub version: i64,
    /// What it brings.
    pub text: String,
    /// Headings with a sentence and fields.
    pub groups: Vec<(&'static str, &'static str, Vec<Field>)>,
    /// What is wrong.
    pub faults: Faults,
    /// The schedule in words; none while it cannot be read.
    pub words: Option<String>,
    /// Its next times.
    pub next: Vec<When>,
}
