//! What happened to a job, in pages.

use super::chips::{Chip, When};
use super::lists::{Column, List};
use super::shell::Shell;
use askama::Template;

/// The columns of the list.
pub const COLUMNS: [Column; 6] = [
    Column::sorted("When", "q-w6", "at"),
    Column::new("What", ""),
    Column::new("Who", "q-w5"),
    Column::new("Run", "q-w2").end(),
    Column::new("Asset", "q-w6"),
    Column::new("Mitigation", "q-w6"),
];

/// Something that happened to a job.
#[derive(Debug, Clone)]
pub struct EventRow {
    /// When.
    pub at: When,
    /// What.
    pub event: Chip,
    /// Who did it; empty for what a task did.
    pub by: String,
    /// The run it is about.
    pub run: String,
    /// The asset of a task and its page.
    pub asset: Option<(String, String)>,
    /// The mitigation of a task.
    pub entry: String,
}

/// What happened to a job, in pages.
#[derive(Debug, Clone, Template)]
#[template(path = "job_history.html")]
pub struct HistoryPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// The rows.
    pub rows: Vec<EventRow>,
}
