//! Tags of assets: the list.

use super::lists::{Action, Column, Columns, Empty};
use super::shell::Shell;
use askama::Template;

/// The columns of the list.
pub const COLUMNS: [Column; 5] = [
    Column::new("Tag", ""),
    Column::new("Below", "q-w6"),
    Column::new("Criticality", "q-w3").end(),
    Column::new("Assets", "q-w3").end(),
    Column::new("", "q-w3"),
];

/// One tag.
#[derive(Debug, Clone)]
pub struct TagLine {
    /// Its name.
    pub name: String,
    /// The tag it stands below, and those above that one, nearest first.
    pub above: Vec<String>,
    /// 1 to 5.
    pub criticality: Option<i64>,
    /// Assets that carry it.
    pub assets: i64,
    /// These assets.
    pub href: String,
    /// Change it.
    pub edit: Action,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "tags.html")]
pub struct TagsPage {
    /// The frame.
    pub shell: Shell,
    /// The columns.
    pub columns: Columns,
    /// What is said where there is none.
    pub empty: Empty,
    /// The rows.
    pub rows: Vec<TagLine>,
}
