//! Efforts: the list, and one of them with its items.

use super::chips::{Bar, Chip, Score, When};
use super::exceptions::ItemRow;
use super::lists::{Action, Column, List};
use super::records::{Entry, Fact};
use super::shell::Shell;
use askama::Template;

/// The columns of the list.
pub const COLUMNS: [Column; 7] = [
    Column::sorted("Number", "q-w5", "number"),
    Column::sorted("State", "q-w4", "state"),
    Column::sorted("Title", "", "title"),
    Column::new("Closed", "q-w5"),
    Column::new("Score", "q-w2").end(),
    Column::sorted("Owner", "q-w5", "owner"),
    Column::sorted("Made", "q-w4", "created"),
];

/// One effort.
#[derive(Debug, Clone)]
pub struct EffortRow {
    /// Its number.
    pub number: String,
    /// Its page.
    pub href: String,
    /// How it stands.
    pub state: Chip,
    /// Its title.
    pub title: String,
    /// The watch topic it was made from; empty for none.
    pub topic: String,
    /// How far it is.
    pub bar: Bar,
    /// "41/60".
    pub done: String,
    /// The highest score of an active item; none without any.
    pub score: Option<Score>,
    /// Who works on it.
    pub owner: String,
    /// When it was made.
    pub at: When,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "efforts.html")]
pub struct EffortsPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// The rows.
    pub rows: Vec<EffortRow>,
}

/// One effort.
#[derive(Debug, Clone, Template)]
#[template(path = "effort.html")]
pub struct EffortPage {
    /// The frame.
    pub shell: Shell,
    /// Its number.
    pub number: String,
    /// Its title.
    pub title: String,
    /// How it stands.
    pub marks: Vec<Chip>,
    /// Change, end.
    pub actions: Vec<Action>,
    /// What is to be done, and why; empty for nothing.
    pub description: String,
    /// How far it is.
    pub bar: Bar,
    /// Its numbers, each with the list behind it.
    pub counts: Vec<(&'static str, i64, String)>,
    /// Who, when, of what.
    pub facts: Vec<Fact>,
    /// The first of its items.
    pub items: Vec<ItemRow>,
    /// All of them, in the list of items.
    pub all: String,
    /// What was done with it.
    pub log: Vec<Entry>,
}
