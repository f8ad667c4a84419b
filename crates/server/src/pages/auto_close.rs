//! Rules that close items which nothing reports any more.

use super::chips::{Chip, When};
use super::lists::{Action, Column, Columns};
use super::shell::Shell;
use askama::Template;

/// The columns of the table.
pub const COLUMNS: [Column; 6] = [
    Column::new("Rule", ""),
    Column::new("State", "q-w4"),
    Column::new("Order", "q-w3").end(),
    Column::new("Items", "q-w7"),
    Column::new("What it did the last time", "q-w8"),
    Column::new("", "q-w7"),
];

/// What a rule did to an integration instance the last time.
#[derive(Debug, Clone)]
pub struct RunLine {
    /// Name of the instance.
    pub instance: String,
    /// What came of it.
    pub state: Chip,
    /// When.
    pub at: When,
    /// Why it closed none; empty where nothing held it.
    pub reason: String,
}

/// A rule.
#[derive(Debug, Clone)]
pub struct RuleRow {
    /// Its name.
    pub name: String,
    /// What it waits for.
    pub words: String,
    /// Active, or not.
    pub state: Chip,
    /// Its order.
    pub position: i64,
    /// Which items; empty for all.
    pub condition: String,
    /// What it did.
    pub runs: Vec<RunLine>,
    /// Edit, run, delete.
    pub actions: Vec<Action>,
}

/// The rules.
#[derive(Debug, Clone, Template)]
#[template(path = "auto_close.html")]
pub struct AutoClosePage {
    /// The frame.
    pub shell: Shell,
    /// The head of the table.
    pub columns: Columns,
    /// The rules.
    pub rows: Vec<RuleRow>,
}
