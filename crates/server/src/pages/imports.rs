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
    /// Import again, its integration.
    pub actions: Vec<Action>,
    /// Why it failed.
    pub error: Option<String>,
    /// New, updated, unchanged, ignored, rejected.
    pub counts: Vec<CountPart>,
    /// Source, format, size, digest, started, took.
    pub facts: Vec<Fact>,
    /// Raw counts by record type.
    pub raw: Vec<(String, i64)>,
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
