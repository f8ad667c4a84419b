//! Watch topics: all of them, and one with its numbers.

use super::chips::Chip;
use super::lists::{Action, Column, Columns};
use super::records::Fact;
use super::shell::Shell;
use askama::Template;

/// The columns of the table.
pub const COLUMNS: [Column; 5] = [
    Column::new("Topic", ""),
    Column::new("State", "q-w4"),
    Column::new("Order", "q-w3").end(),
    Column::new("Items", "q-w8"),
    Column::new("Watched by", "q-w5"),
];

/// A topic.
#[derive(Debug, Clone)]
pub struct TopicRow {
    /// Its name.
    pub name: String,
    /// Its page.
    pub href: String,
    /// What it is about.
    pub description: String,
    /// Active, or not.
    pub state: Chip,
    /// Its order.
    pub position: i64,
    /// Which items; empty for none yet.
    pub condition: String,
    /// Who watches it.
    pub owner: String,
}

/// The topics.
#[derive(Debug, Clone, Template)]
#[template(path = "topics.html")]
pub struct TopicsPage {
    /// The frame.
    pub shell: Shell,
    /// The head of the table.
    pub columns: Columns,
    /// The topics.
    pub rows: Vec<TopicRow>,
}

/// One topic.
#[derive(Debug, Clone, Template)]
#[template(path = "topic.html")]
pub struct TopicPage {
    /// The frame.
    pub shell: Shell,
    /// Its name.
    pub name: String,
    /// Active, or not.
    pub marks: Vec<Chip>,
    /// Make an effort, change, delete.
    pub actions: Vec<Action>,
    /// What it is about; empty for nothing.
    pub description: String,
    /// Why it has no numbers; none where it has.
    pub nothing: Option<String>,
    /// Its numbers, each with the list behind it.
    pub counts: Vec<(&'static str, i64, String)>,
    /// Who, of what.
    pub facts: Vec<Fact>,
}
