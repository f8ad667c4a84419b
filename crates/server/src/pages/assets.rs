//! Assets: the list, and one asset with the mitigations in force on it.

use super::chips::{Bar, Change, Chip, Icon, When};
use super::lists::{Action, Column, List, Menu, Tab};
use super::records::{Entry, Fact};
use super::shell::Shell;
use askama::Template;

/// The columns of the list.
pub const COLUMNS: [Column; 9] = [
    Column::sorted("Asset", "", "name"),
    Column::sorted("System", "q-w6", "os"),
    Column::new("Tags", "q-w5"),
    Column::sorted("Criticality", "q-w3", "criticality").end(),
    Column::new("Agent", "q-w4"),
    Column::sorted("Open items", "q-w4", "items"),
    Column::sorted("Highest score", "q-w5", "score"),
    Column::new("Risk", "q-w2").end(),
    Column::new("", "q-w1"),
];

/// The icon of a platform: `windows`, `linux`, `macos`, anything else.
#[must_use]
pub fn platform_icon(platform: &str) -> &'static str {
    match platform {
        "windows" => "brand-windows",
        "macos" => "brand-apple",
        "linux" => "terminal-2",
        _ => "device-desktop",
    }
}

/// The icon of a system by its name, where the maker has one of its own.
#[must_use]
pub fn system_icon(os: &str, platform: &str) -> &'static str {
    let os = os.to_lowercase();
    [
        ("ubuntu", "brand-ubuntu"),
        ("debian", "brand-debian"),
        ("red hat", "brand-redhat"),
        ("rhel", "brand-redhat"),
        ("windows", "brand-windows"),
    ]
    .into_iter()
    .find(|(name, _)| os.contains(name))
    .map_or_else(|| platform_icon(platform), |(_, icon)| icon)
}

/// One asset.
#[derive(Debug, Clone)]
pub struct AssetRow {
    /// Its key, for selection.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its page.
    pub href: String,
    /// Its first address.
    pub ip: String,
    /// Its system.
    pub os: String,
    /// The icon of it.
    pub icon: &'static str,
    /// Its tags.
    pub tags: Vec<String>,
    /// 1 to 5.
    pub criticality: i64,
    /// How its agent is, or that it has none.
    pub agent: Chip,
    /// Its open items by band.
    pub open: Bar,
    /// How many that is, and how many of them are mitigated.
    pub open_count: i64,
    /// The highest score of what is open, before and after mitigation.
    pub worst: Change,
    /// Its risk, 0 to 1000.
    pub risk: i64,
    /// Quick actions.
    pub menu: Menu,
}

impl AssetRow {
    fn mark(&self) -> Icon {
        Icon(self.icon)
    }
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "assets.html")]
pub struct AssetsPage {
    /// The frame.
    pub shell: Shell,
    /// The formula of the risk, and its text.
    pub formula: (&'static str, &'static str),
    /// The list's frame.
    pub list: List,
    /// The rows.
    pub rows: Vec<AssetRow>,
}

/// A mitigation in force.
#[derive(Debug, Clone)]
pub struct ControlRow {
    /// Its title.
    pub title: String,
    /// The entry and its version.
    pub entry: String,
    /// Its details.
    pub href: String,
    /// Effective, configured, unknown, drifted.
    pub state: Chip,
    /// What it covers.
    pub covers: String,
    /// Points off.
    pub points: i64,
    /// The job that put it there; empty when others did.
    pub job: Option<(String, String)>,
    /// Who put it there and since when, in a sentence.
    pub origin: String,
    /// What the last check found; empty where it says nothing.
    pub note: String,
    /// When it was last verified.
    pub verified: Option<When>,
    /// When it expires.
    pub expires: Option<When>,
    /// Roll back, disabled with the reason where it is not ours.
    pub roll_back: Action,
    /// Put it back, where it drifted.
    pub reapply: Option<Action>,
}

/// An item on the asset.
#[derive(Debug, Clone)]
pub struct FindingRow {
    /// Its number.
    pub number: String,
    /// Its page.
    pub href: String,
    /// The vulnerability.
    pub title: String,
    /// "38628".
    pub qid: String,
    /// Its state.
    pub state: Chip,
    /// Its mitigation.
    pub mitigation: Option<Chip>,
    /// Its score.
    pub change: Change,
}

/// One asset.
#[derive(Debug, Clone, Template)]
#[template(path = "asset.html")]
pub struct AssetPage {
    /// The frame.
    pub shell: Shell,
    /// Its name.
    pub name: String,
    /// The icon of its system.
    pub icon: &'static str,
    /// System, agent, tags.
    pub marks: Vec<Chip>,
    /// The highest score of what is open, before and after mitigation.
    pub worst: Option<Change>,
    /// Rescan, tags.
    pub actions: Vec<Action>,
    /// Mitigations, Findings, Source hosts, Activity; anchors of the page.
    pub tabs: Vec<Tab>,
    /// A control was changed on the host.
    pub drift: Option<String>,
    /// The line that installs an agent, when it has none.
    pub install: Option<String>,
    /// Its risk and the formula of it.
    pub risk: (i64, &'static str, &'static str),
    /// Addresses, OS, criticality, zone, agent.
    pub facts: Vec<Fact>,
    /// The mitigations in force.
    pub controls: Vec<ControlRow>,
    /// Its open items.
    pub findings: Vec<FindingRow>,
    /// How many in all, and the list.
    pub findings_total: (i64, String),
    /// What scanners call it: instance, host id, address, matched by, and giving it to another asset.
    pub sources: Vec<(String, String, String, String, Action)>,
    /// Hosts that people gave to it: what, when, and taking it back.
    pub merges: Vec<(String, When, Option<Action>)>,
    /// What happened.
    pub log: Vec<Entry>,
}

impl AssetPage {
    /// Two buttons in a row need more room than one.
    fn reapplies(&self) -> bool {
        self.controls.iter().any(|row| row.reapply.is_some())
    }
}
