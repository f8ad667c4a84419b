//! Vulnerable items: the list, one record, and the request for a rescan (S2.09-S2.14).

use super::chips::{Change, Chip, When};
use super::forms::{Choice, Faults};
use super::lists::{Action, Column, List, Menu};
use super::records::{Entry, Fact};
use super::sanitise::Clean;
use super::shell::Shell;
use askama::Template;

/// The columns of the list.
pub const COLUMNS: [Column; 9] = [
    Column::sorted("Number", "q-w4", "number"),
    Column::sorted("Vulnerability and asset", "", "title"),
    Column::sorted("State", "q-w5", "state"),
    Column::sorted("Status", "q-w5w", "mitigation"),
    Column::sorted("Score", "q-w4", "score"),
    Column::sorted("Due", "q-w4", "due"),
    Column::new("Source", "q-w2"),
    Column::sorted("Assigned to", "q-w4", "assignee"),
    Column::new("", "q-w1"),
];

/// One item.
#[derive(Debug, Clone)]
pub struct ItemRow {
    /// Its number.
    pub number: String,
    /// Its page.
    pub href: String,
    /// The vulnerability's title.
    pub title: String,
    /// "38628".
    pub qid: String,
    /// The asset.
    pub asset: String,
    /// Its page.
    pub asset_href: String,
    /// Its workflow state.
    pub state: Chip,
    /// How far its removal has come.
    pub progress: Chip,
    /// The last job about it and its page.
    pub job: Option<(String, String)>,
    /// Its score.
    pub change: Change,
    /// How it stands with its due date; none without one.
    pub target: Option<Chip>,
    /// Its due date.
    pub due: Option<When>,
    /// The product that stands in its source field; empty until the scanner is active and has imported.
    pub source: String,
    /// Who works on it.
    pub assignee: String,
    /// When a scanner last saw it.
    pub seen: Option<When>,
    /// Quick actions, Rescan among them.
    pub menu: Menu,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "items.html")]
pub struct ItemsPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// The rows.
    pub rows: Vec<ItemRow>,
}

/// One occurrence that the item rolls up.
#[derive(Debug, Clone)]
pub struct DetectionRow {
    /// "22/tcp", or a dash.
    pub place: String,
    /// New, Active, Fixed, Re-Opened.
    pub status: Chip,
    /// Its score.
    pub change: Change,
    /// When it was first seen.
    pub first: Option<When>,
    /// When it was last seen.
    pub last: Option<When>,
    /// What the scanner found, as text.
    pub result: String,
}

/// An exception that was asked for.
#[derive(Debug, Clone)]
pub struct ExceptionLine {
    /// Its number.
    pub number: String,
    /// Its page.
    pub href: String,
    /// How it stands.
    pub state: Chip,
    /// What it asks for.
    pub what: String,
    /// When it was asked for.
    pub at: When,
}

/// A remediation task that holds it.
#[derive(Debug, Clone)]
pub struct TaskLine {
    /// Its number.
    pub number: String,
    /// Its page.
    pub href: String,
    /// How it stands.
    pub state: Chip,
    /// Its title.
    pub title: String,
    /// Who works on it.
    pub who: String,
}

/// A note about a record.
#[derive(Debug, Clone)]
pub struct NoteLine {
    /// What.
    pub text: String,
    /// Who wrote it.
    pub by: String,
    /// When.
    pub at: When,
}

/// A rescan that covered it.
#[derive(Debug, Clone)]
pub struct ScanLine {
    /// The scan's number.
    pub number: String,
    /// Its page.
    pub href: String,
    /// Its state.
    pub state: Chip,
    /// What it said about this item.
    pub verdict: Option<Chip>,
    /// When it was asked for.
    pub at: When,
}

/// One item.
#[derive(Debug, Clone, Template)]
#[template(path = "item.html")]
pub struct ItemPage {
    /// The frame; Rescan is the first action of the record.
    pub shell: Shell,
    /// Its number.
    pub number: String,
    /// The vulnerability's title.
    pub title: String,
    /// State, mitigation, severity.
    pub marks: Vec<Chip>,
    /// Its score.
    pub change: Change,
    /// At the upper right: Rescan first (S2.10), then the legal transitions.
    pub actions: Vec<Action>,
    /// Why it is in its state, and what would change it.
    pub why: String,
    /// The asset, the vulnerability, source, owner, dates, task.
    pub facts: Vec<Fact>,
    /// The occurrences.
    pub detections: Vec<DetectionRow>,
    /// The mitigations in force on the asset that count here: title, state, points, page.
    pub controls: Vec<(String, Chip, i64, String)>,
    /// What can be done: title, text, page.
    pub remedies: Vec<(String, String, String)>,
    /// CVEs that nothing sound exists for, short of the fix.
    pub unsound: Vec<protocol::api::catalogue::NoMitigation>,
    /// The exceptions.
    pub exceptions: Vec<ExceptionLine>,
    /// The remediation tasks.
    pub tasks: Vec<TaskLine>,
    /// The notes, newest first.
    pub notes: Vec<NoteLine>,
    /// Writes another.
    pub note: Action,
    /// The rescans.
    pub scans: Vec<ScanLine>,
    /// What the scanner says about it.
    pub texts: Vec<(&'static str, Clean)>,
    /// What happened, newest first.
    pub log: Vec<Entry>,
}

/// The request for a rescan, as a dialog and as a page.
#[derive(Debug, Clone, Template)]
#[template(path = "rescan.html")]
pub struct RescanPage {
    /// The frame.
    pub shell: Shell,
    /// Where it is sent.
    pub to: String,
    /// What is rescanned: items, assets, scanner, addresses.
    pub facts: Vec<Fact>,
    /// The default profile of the integration instance; none when none was chosen at set-up.
    pub default_profile: Option<String>,
    /// What should be known before it is used.
    pub warning: Option<String>,
    /// The profiles one may name instead.
    pub profiles: Vec<Choice>,
    /// The one named before.
    pub chosen: String,
    /// Whether one is named rather than the default used.
    pub specify: bool,
    /// Whether who asks is mailed when it ends.
    pub mail: bool,
    /// What is wrong.
    pub faults: Faults,
    /// Unique per dialog, so that a second press asks for nothing twice.
    pub key: String,
    /// Why nothing can be rescanned.
    pub reason: Option<String>,
    /// Items left out, each with its reason.
    pub left_out: Vec<(String, String)>,
    /// How many further ones are left out.
    pub unnamed: usize,
    /// Where closing leads without scripts.
    pub back: String,
    /// What asking would do, once somebody wants to see it.
    pub plan: Option<PlanPart>,
}

/// What a request for a rescan would do.
#[derive(Debug, Clone)]
pub struct PlanPart {
    /// Recognises the same plan again.
    pub digest: String,
    /// Its scans.
    pub scans: Vec<PlanRow>,
    /// Items under way already and hosts that cannot be scanned, each with its reason.
    pub others: Vec<(String, String)>,
    /// How many further ones there are.
    pub more: i64,
}

/// One scan of a plan.
#[derive(Debug, Clone)]
pub struct PlanRow {
    /// What it runs on: instance, appliance, network.
    pub place: String,
    /// When it begins, how long it takes, what it will not test: what is worth knowing before.
    pub notes: Vec<String>,
    /// The option profile.
    pub profile: String,
    /// The first addresses, and how many more.
    pub addresses: String,
    /// How many items it looks at.
    pub items: i64,
}
