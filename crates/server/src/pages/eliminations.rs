//! Eliminations: catalogue entries that apply to open detections, and the details of one entry.

use super::chips::{Change, Chip};
use super::lists::{Action, Column, List, Menu};
use super::records::Fact;
use super::shell::Shell;
use askama::Template;

/// The columns of the list.
pub const COLUMNS: [Column; 8] = [
    Column::sorted("Mitigation", "", "title"),
    Column::new("Kind", "q-w4"),
    Column::sorted("Platform", "q-w3", "platform"),
    Column::sorted("QIDs", "q-w3", "qid"),
    Column::sorted("Assets", "q-w2", "assets").end(),
    Column::sorted("Score", "q-w4", "score"),
    Column::new("Reversible", "q-w4"),
    Column::new("", "q-w6"),
];

/// One mitigation or fix that applies.
#[derive(Debug, Clone)]
pub struct EliminationRow {
    /// Its key, for selection.
    pub key: String,
    /// The title of the entry.
    pub title: String,
    /// The entry's id and version.
    pub entry: String,
    /// Its details.
    pub href: String,
    /// Mitigation or fix.
    pub kind: Chip,
    /// The platform and its icon.
    pub platform: (String, &'static str),
    /// "38628", or "38628 +2".
    pub qids: String,
    /// How many assets it can be used on now, of how many that have the weakness.
    pub assets: (i64, i64),
    /// The items behind that number.
    pub assets_href: String,
    /// The worst score before and after.
    pub change: Change,
    /// Whether and how it is undone; a restart when needed.
    pub reversible: String,
    /// Mitigate Now.
    pub mitigate: Action,
    /// Quick actions.
    pub menu: Menu,
}

/// The assets that the list, its counts and every job made from it are kept to.
#[derive(Debug, Clone)]
pub struct KeptTo {
    /// The first of them: name and page.
    pub assets: Vec<(String, String)>,
    /// How many others there are.
    pub more: usize,
    /// How many of those named in the address do not exist for who looks.
    pub unknown: usize,
    /// What of the address was not taken.
    pub left_out: Option<String>,
    /// The same list of every asset.
    pub all: String,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "eliminations.html")]
pub struct EliminationsPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// The assets it is kept to, where some were chosen.
    pub kept_to: Option<KeptTo>,
    /// The vulnerability it was opened from: words and page.
    pub about: Option<(String, String)>,
    /// What the catalogue says of the QIDs asked for that nothing sound exists for.
    pub unsound: Vec<(i64, protocol::api::catalogue::NoMitigation)>,
    /// The rows.
    pub rows: Vec<EliminationRow>,
}

/// What an entry says about one CVE.
#[derive(Debug, Clone)]
pub struct CoverRow {
    /// The CVE.
    pub cve: String,
    /// Full, substantial or partial.
    pub coverage: Chip,
    /// Points off its score.
    pub points: i64,
    /// Why.
    pub note: String,
}

/// One catalogue entry, as a page and in the dialog.
#[derive(Debug, Clone, Template)]
#[template(path = "mitigation.html")]
pub struct MitigationPage {
    /// The frame.
    pub shell: Shell,
    /// Marks: kind, risk class, restart.
    pub marks: Vec<Chip>,
    /// What it does and what it costs.
    pub summary: String,
    /// What it may break.
    pub side_effects: Vec<String>,
    /// Version, digest, platform, sources, signature.
    pub facts: Vec<Fact>,
    /// What it covers.
    pub covers: Vec<CoverRow>,
    /// What each action checks, changes and undoes, in words.
    pub words: Vec<protocol::api::catalogue::Action>,
    /// What has to follow, in sentences.
    pub afterwards: Vec<String>,
    /// Where it works, each the end of "only where".
    pub applies: Vec<String>,
    /// Why a second person has to approve it.
    pub approval: Option<String>,
    /// Who signed for it, and what is wrong with that.
    pub signed: (Vec<Fact>, Option<String>),
    /// The wanted state, as the agent will bring it about: heading and text.
    pub steps: Vec<(String, String)>,
    /// Where the facts come from: words and address.
    pub references: Vec<(String, String)>,
    /// Mitigate Now and others.
    pub actions: Vec<Action>,
}
