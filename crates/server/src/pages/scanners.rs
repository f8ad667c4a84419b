//! Scanners and their integration instances: the Active tick (S2.03), the set-up of a Qualys subscription.

use super::chips::{Chip, When};
use super::forms::{Faults, Field};
use super::lists::{Action, Column, Columns};
use super::records::{Entry, Fact};
use super::shell::Shell;
use askama::Template;

/// The columns of the list.
pub const COLUMNS: [Column; 6] = [
    Column::new("Scanner", ""),
    Column::new("Active", "q-w5"),
    Column::new("Source on items", "q-w7"),
    Column::new("Integrations", "q-w6"),
    Column::new("Last import", "q-w6"),
    Column::new("Default option profile", "q-w8"),
];

/// One product.
#[derive(Debug, Clone)]
pub struct ScannerRow {
    /// Its name.
    pub name: String,
    /// Its page.
    pub href: String,
    /// Active or inactive.
    pub active: Chip,
    /// Whether items carry it as their source yet, or after the next import.
    pub source: String,
    /// Names of its integration instances.
    pub integrations: String,
    /// When it was last imported from.
    pub imported: Option<When>,
    /// The default option profile.
    pub profile: String,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "scanners.html")]
pub struct ScannersPage {
    /// The frame.
    pub shell: Shell,
    /// The head of the table; scanners are few, so they are neither filtered nor sorted.
    pub columns: Columns,
    /// The rows.
    pub rows: Vec<ScannerRow>,
}

/// One integration instance.
#[derive(Debug, Clone)]
pub struct IntegrationRow {
    /// Its name.
    pub name: String,
    /// Its set-up.
    pub href: String,
    /// The platform's address.
    pub address: String,
    /// How it is.
    pub state: Chip,
    /// When it last imported.
    pub last: Option<When>,
    /// When it will next.
    pub next: Option<When>,
    /// Its default option profile.
    pub profile: String,
    /// Import now.
    pub import: Action,
}

/// One product.
#[derive(Debug, Clone, Template)]
#[template(path = "scanner.html")]
pub struct ScannerPage {
    /// The frame.
    pub shell: Shell,
    /// Where Update posts to.
    pub to: String,
    /// Whether it is active.
    pub active: bool,
    /// Why this person cannot change it.
    pub locked: Option<String>,
    /// What being active means now: not yet in the source field, or since when.
    pub note: String,
    /// Facts.
    pub facts: Vec<Fact>,
    /// Its instances.
    pub integrations: Vec<IntegrationRow>,
    /// Add one.
    pub add: Action,
    /// What happened.
    pub log: Vec<Entry>,
}

/// One line of a test of the connection.
#[derive(Debug, Clone)]
pub struct CheckRow {
    /// What was tried.
    pub name: String,
    /// What cannot be done without it.
    pub needed_for: String,
    /// What came of it.
    pub verdict: Chip,
    /// What was found or said.
    pub detail: String,
    /// What to do.
    pub advice: String,
}

/// What the platform said of its limits at one end point.
#[derive(Debug, Clone)]
pub struct LimitRow {
    /// The end point.
    pub name: String,
    /// Calls left of how many.
    pub calls: String,
    /// In how long.
    pub window: String,
    /// How many of them imports leave to rescans.
    pub reserve: String,
    /// Calls allowed at once.
    pub at_once: String,
    /// Until when no call is made.
    pub wait: Option<When>,
    /// When that was said.
    pub seen: When,
    /// When a call was last refused.
    pub refused: Option<When>,
    /// In what words.
    pub words: String,
}

/// The set-up of one integration instance.
#[derive(Debug, Clone, Template)]
#[template(path = "integration.html")]
pub struct IntegrationPage {
    /// The frame.
    pub shell: Shell,
    /// Where it is saved.
    pub to: String,
    /// Groups of fields: heading, a sentence, the fields.
    pub groups: Vec<(&'static str, &'static str, Vec<Field>)>,
    /// What is wrong.
    pub faults: Faults,
    /// What the last test of the connection said: good or not, and the words.
    pub tested: Option<(bool, String)>,
    /// When that was.
    pub tested_at: Option<When>,
    /// What was tried, line by line.
    pub checks: Vec<CheckRow>,
    /// What the platform said of its limits.
    pub limits: Vec<LimitRow>,
    /// Where what is typed is saved and the connection tried; none where there is no connection.
    pub test: Option<String>,
    /// Where option profiles, appliances and asset groups are fetched; none before it is saved.
    pub sync: Option<String>,
    /// What was fetched: profiles, appliances, asset groups, when.
    pub facts: Vec<Fact>,
    /// Import now, its imports.
    pub actions: Vec<Action>,
    /// Why this person cannot change it.
    pub locked: Option<String>,
}
