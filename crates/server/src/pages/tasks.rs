//! Remediation tasks: the list, and one task with its items.

use super::chips::{Change, Chip, When};
use super::items::NoteLine;
use super::lists::{Action, Column, List};
use super::records::{Entry, Fact};
use super::shell::Shell;
use askama::Template;

/// The columns of the list.
pub const COLUMNS: [Column; 7] = [
    Column::sorted("Number", "q-w5", "number"),
    Column::sorted("Title", "", "title"),
    Column::sorted("State", "q-w5", "state"),
    Column::sorted("Open items", "q-w4", "open_items").end(),
    Column::sorted("Score", "q-w2", "score").end(),
    Column::sorted("Assigned to", "q-w5", "assignee"),
    Column::sorted("Due", "q-w4", "due"),
];

/// One task.
#[derive(Debug, Clone)]
pub struct TaskRow {
    /// Its number.
    pub number: String,
    /// Its page.
    pub href: String,
    /// Title.
    pub title: String,
    /// How it came about.
    pub origin: String,
    /// How it stands.
    pub state: Chip,
    /// Items that are not closed.
    pub open: i64,
    /// All items.
    pub items: i64,
    /// Highest score of its open items; none without any.
    pub score: Option<i64>,
    /// Who works on it.
    pub who: String,
    /// The earliest due date of its items.
    pub due: Option<When>,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "tasks.html")]
pub struct TasksPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// The rows.
    pub rows: Vec<TaskRow>,
}

/// One item of a task.
#[derive(Debug, Clone)]
pub struct ItemRow {
    /// Its number.
    pub number: String,
    /// Its page.
    pub href: String,
    /// The vulnerability's title.
    pub title: String,
    /// The asset.
    pub asset: String,
    /// Its state.
    pub state: Chip,
    /// Its score.
    pub change: Change,
}

/// One task.
#[derive(Debug, Clone, Template)]
#[template(path = "task.html")]
pub struct TaskPage {
    /// The frame.
    pub shell: Shell,
    /// Its number.
    pub number: String,
    /// Its title.
    pub title: String,
    /// How it stands.
    pub marks: Vec<Chip>,
    /// What can be done with it.
    pub actions: Vec<Action>,
    /// Description; empty for none.
    pub description: String,
    /// Why it is in its state.
    pub why: String,
    /// Who, what, when.
    pub facts: Vec<Fact>,
    /// The first of its items.
    pub items: Vec<ItemRow>,
    /// All of them, in the list of items.
    pub all: String,
    /// Where picked items are sent to go into a new task; none where they cannot.
    pub split: Option<String>,
    /// Where picked items are sent to be taken out; none where they cannot.
    pub take_out: Option<String>,
    /// The notes, newest first.
    pub notes: Vec<NoteLine>,
    /// Writes another.
    pub note: Action,
    /// What happened, newest first.
    pub log: Vec<Entry>,
}
