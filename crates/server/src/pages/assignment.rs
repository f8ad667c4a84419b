//! Rules that assign items.

use super::chips::Chip;
use super::lists::{Action, Column, Columns};
use super::shell::Shell;
use askama::Template;

/// The columns of the table.
pub const COLUMNS: [Column; 7] = [
    Column::new("Rule", ""),
    Column::new("State", "q-w4"),
    Column::new("Order", "q-w3").end(),
    Column::new("Items", "q-w7"),
    Column::new("Gives them to", "q-w7"),
    Column::new("Has given", "q-w3").end(),
    Column::new("", "q-w5"),
];

/// A rule.
#[derive(Debug, Clone)]
pub struct RuleRow {
    /// Its name.
    pub name: String,
    /// Active, or not.
    pub state: Chip,
    /// Its order.
    pub position: i64,
    /// Which items; empty for all.
    pub condition: String,
    /// To whom.
    pub to: String,
    /// Items that have their assignment from it.
    pub items: i64,
    /// These, in the list of items.
    pub href: String,
    /// Edit, delete.
    pub actions: Vec<Action>,
}

/// The rules.
#[derive(Debug, Clone, Template)]
#[template(path = "assignment.html")]
pub struct AssignmentPage {
    /// The frame.
    pub shell: Shell,
    /// The head of the table.
    pub columns: Columns,
    /// The rules.
    pub rows: Vec<RuleRow>,
}
