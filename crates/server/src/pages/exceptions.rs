//! Exceptions: the list, and one request with its decision.

use super::chips::{Change, Chip, When};
use super::lists::{Action, Column, List};
use super::records::Fact;
use super::shell::Shell;
use askama::Template;

/// The columns of the list.
pub const COLUMNS: [Column; 7] = [
    Column::sorted("Number", "q-w5", "number"),
    Column::sorted("State", "q-w4", "state"),
    Column::new("What is asked for", ""),
    Column::new("Items", "q-w2").end(),
    Column::sorted("Asked by", "q-w5", "by"),
    Column::sorted("Asked", "q-w4", "requested"),
    Column::sorted("Until", "q-w5", "until"),
];

/// One request.
#[derive(Debug, Clone)]
pub struct ExceptionRow {
    /// Its number.
    pub number: String,
    /// Its page.
    pub href: String,
    /// How it stands.
    pub state: Chip,
    /// The reason.
    pub what: String,
    /// Why, in the requester's words.
    pub note: String,
    /// Items.
    pub items: i64,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: When,
    /// Until when.
    pub until: Option<When>,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "exceptions.html")]
pub struct ExceptionsPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// The rows.
    pub rows: Vec<ExceptionRow>,
}

/// One item of a request.
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

/// One request.
#[derive(Debug, Clone, Template)]
#[template(path = "exception.html")]
pub struct ExceptionPage {
    /// The frame.
    pub shell: Shell,
    /// Its number.
    pub number: String,
    /// What is asked for, in a line.
    pub title: String,
    /// How it stands.
    pub marks: Vec<Chip>,
    /// Approve, reject, withdraw, revoke.
    pub actions: Vec<Action>,
    /// Why, in the requester's words.
    pub note: String,
    /// What was said with the answer; empty for nothing.
    pub answer: String,
    /// Who, when, until when.
    pub facts: Vec<Fact>,
    /// The first of its items.
    pub items: Vec<ItemRow>,
    /// All of them, in the list of items.
    pub all: String,
}
