//! What nobody has to work on: the rules, and the detections of one.

use super::actions::Action;
use super::chips::{Chip, When};
use super::lists::{Column, Columns, Empty, List};
use super::shell::Shell;
use askama::Template;

/// The columns of the rules.
pub const COLUMNS: [Column; 6] = [
    Column::new("Order", "q-w2").end(),
    Column::new("Rule", "q-w6"),
    Column::new("Excludes", ""),
    Column::new("State", "q-w3"),
    Column::new("Detections", "q-w3").end(),
    Column::new("", "q-w5"),
];

/// The columns of the detections of a rule.
pub const FOUND: [Column; 5] = [
    Column::sorted("Vulnerability", "", "qid"),
    Column::sorted("Asset", "q-w6", "asset"),
    Column::new("Where", "q-w4"),
    Column::new("Status", "q-w3"),
    Column::new("Item", "q-w4"),
];

/// One rule.
#[derive(Debug, Clone)]
pub struct RuleLine {
    /// Its place.
    pub position: i64,
    /// Its name.
    pub name: String,
    /// Its detections.
    pub href: String,
    /// What it excludes.
    pub condition: String,
    /// In force or not.
    pub state: Chip,
    /// Detections that it excludes.
    pub excluded: i64,
    /// Change it.
    pub edit: Option<Action>,
    /// Delete it.
    pub delete: Option<Action>,
}

/// The rules.
#[derive(Debug, Clone, Template)]
#[template(path = "exclusion.html")]
pub struct ExclusionPage {
    /// The frame.
    pub shell: Shell,
    /// What stands beside the rules, in sentences.
    pub beside: Vec<String>,
    /// How far the last change has come.
    pub pass: Option<(String, When)>,
    /// The columns.
    pub columns: Columns,
    /// What is said where there is none.
    pub empty: Empty,
    /// The rules in order.
    pub rows: Vec<RuleLine>,
}

/// One detection.
#[derive(Debug, Clone)]
pub struct FoundLine {
    /// Title of the vulnerability.
    pub title: String,
    /// Its number.
    pub qid: i64,
    /// The asset.
    pub asset: String,
    /// Its page.
    pub asset_href: String,
    /// Port and protocol.
    pub place: String,
    /// Its status.
    pub status: Chip,
    /// Number and page of its item.
    pub item: Option<(String, String)>,
}

/// The detections that a rule excludes.
#[derive(Debug, Clone, Template)]
#[template(path = "excluded.html")]
pub struct ExcludedPage {
    /// The frame.
    pub shell: Shell,
    /// The list.
    pub list: List,
    /// The rows.
    pub rows: Vec<FoundLine>,
}
