//! Task rules: the list, and one rule with what it would make.

use super::chips::Chip;
use super::lists::{Action, Column, Columns, Empty};
use super::records::Fact;
use super::shell::Shell;
use askama::Template;

/// The columns of the list.
pub const COLUMNS: [Column; 6] = [
    Column::new("Place", "q-w2").end(),
    Column::new("Rule", ""),
    Column::new("Active", "q-w3"),
    Column::new("Grouped by", "q-w7"),
    Column::new("Tasks go to", "q-w5"),
    Column::new("Open tasks", "q-w3").end(),
];

/// One rule.
#[derive(Debug, Clone)]
pub struct RuleLine {
    /// Lower ones first.
    pub position: i64,
    /// Its name.
    pub name: String,
    /// Its page.
    pub href: String,
    /// Which items.
    pub condition: String,
    /// Whether it is applied to imports.
    pub active: Chip,
    /// What it groups by.
    pub group_by: String,
    /// Who gets its tasks.
    pub to: String,
    /// Its tasks that are not closed.
    pub tasks: i64,
    /// These.
    pub tasks_href: String,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "task_rules.html")]
pub struct TaskRulesPage {
    /// The frame.
    pub shell: Shell,
    /// The columns.
    pub columns: Columns,
    /// What is said where there is none.
    pub empty: Empty,
    /// Whether an item is in the tasks of the first rule that matches only.
    pub mode: &'static str,
    /// Turns that round.
    pub turn: Action,
    /// The rules in order.
    pub rows: Vec<RuleLine>,
}

/// One rule.
#[derive(Debug, Clone, Template)]
#[template(path = "task_rule.html")]
pub struct TaskRulePage {
    /// The frame.
    pub shell: Shell,
    /// Its name.
    pub name: String,
    /// Whether it is applied to imports.
    pub marks: Vec<Chip>,
    /// Edit, apply again, delete.
    pub actions: Vec<Action>,
    /// What it says.
    pub facts: Vec<Fact>,
    /// What it would make, in a sentence.
    pub trial: String,
    /// The first of these tasks: title and items.
    pub first: Vec<(String, i64)>,
}
