//! Scanner appliances: which serves which addresses.

use super::chips::Chip;
use super::lists::{Action, Column, List};
use super::shell::Shell;
use askama::Template;

/// The columns of the list.
pub const COLUMNS: [Column; 8] = [
    Column::sorted("Appliance", "", "name"),
    Column::sorted("Status", "q-w5", "status"),
    Column::sorted("Order", "q-w3", "order").end(),
    Column::new("Serves", "q-w8"),
    Column::new("Condition", "q-w7"),
    Column::new("Option profile", "q-w7"),
    Column::sorted("Integration", "q-w6", "instance"),
    Column::new("", "q-w4"),
];

/// One row.
#[derive(Debug, Clone)]
pub struct ApplianceRow {
    /// Its name.
    pub name: String,
    /// Where it comes from: an asset group, the scanner's list, people.
    pub from: String,
    /// Online, offline, or not chosen at all.
    pub status: Chip,
    /// Its order.
    pub precedence: i64,
    /// The first ranges and how many more.
    pub serves: String,
    /// The network; empty for none.
    pub network: String,
    /// Its condition.
    pub condition: String,
    /// Its option profile.
    pub profile: String,
    /// Name of the instance.
    pub instance: String,
    /// The instance's page.
    pub instance_href: String,
    /// What can be done.
    pub edit: Action,
    /// Delete, of a row that people made.
    pub delete: Option<Action>,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "appliances.html")]
pub struct AppliancesPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// The rows.
    pub rows: Vec<ApplianceRow>,
}
