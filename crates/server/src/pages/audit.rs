//! The audit log: who did what to which record, from where, with the entry's exact bytes.

use super::chips::{Chip, When};
use super::lists::{Column, List};
use super::shell::Shell;
use askama::Template;

/// The columns of the list.
pub const COLUMNS: [Column; 7] = [
    Column::sorted("Entry", "q-w3", "sequence"),
    Column::sorted("Time", "q-w6", "at"),
    Column::sorted("Who", "q-w5", "actor"),
    Column::sorted("Action", "q-w6", "action"),
    Column::sorted("Record", "q-w6", "record"),
    Column::new("What changed", ""),
    Column::new("Sealed", "q-w4"),
];

/// One entry.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// Its place in the log.
    pub sequence: i64,
    /// When.
    pub at: When,
    /// Who, and through what: page, API token, engine.
    pub actor: String,
    /// From where.
    pub from: String,
    /// What was done.
    pub action: String,
    /// To which record: its name and page.
    pub record: (String, Option<String>),
    /// In short.
    pub change: String,
    /// The bytes of the entry.
    pub bytes: String,
    /// Whether it is sealed.
    pub sealed: Chip,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "audit.html")]
pub struct AuditPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// Up to where it is sealed, and by which key.
    pub seal: String,
    /// The rows.
    pub rows: Vec<AuditRow>,
}
