//! Scan records (VSCAN): the list, and one record with Details, Scans and Source (S2.15-S2.17), live.

use super::chips::{Bar, Change, Chip, When};
use super::jobs::CountPart;
use super::lists::{Column, List, Menu, Tab};
use super::records::{Entry, Fact};
use super::shell::Shell;
use askama::Template;
use askama::filters::HtmlSafe;

/// The columns of the list.
pub const COLUMNS: [Column; 8] = [
    Column::sorted("Number", "q-w5", "number"),
    Column::sorted("State", "q-w6", "state"),
    Column::new("Scans", "q-w6"),
    Column::new("Items", "q-w2").end(),
    Column::new("Verdicts", ""),
    Column::sorted("Source", "q-w4", "source"),
    Column::sorted("Requested by", "q-w5", "by"),
    Column::sorted("Requested", "q-w4", "requested"),
];

/// One parent scan.
#[derive(Debug, Clone)]
pub struct ScanRow {
    /// Its number.
    pub number: String,
    /// Its page.
    pub href: String,
    /// Its state.
    pub state: Chip,
    /// How far its children are.
    pub bar: Bar,
    /// "2/3".
    pub done: String,
    /// How many items it covers.
    pub items: i64,
    /// What it found: fixed, still present and so on.
    pub verdicts: Vec<Chip>,
    /// The scanner's product.
    pub source: String,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: When,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "scans.html")]
pub struct ScansPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// The rows.
    pub rows: Vec<ScanRow>,
}

/// A child scan.
#[derive(Debug, Clone)]
pub struct ChildRow {
    /// Its number.
    pub number: String,
    /// The scanner's own reference: "scan/1764…".
    pub reference: String,
    /// Its state.
    pub state: Chip,
    /// What it runs on: instance, appliance, network.
    pub place: String,
    /// The option profile.
    pub profile: String,
    /// How many addresses.
    pub addresses: i64,
    /// What is known about it: error, host counts, adopted late.
    pub detail: String,
    /// When it was launched.
    pub started: Option<When>,
    /// When it ended.
    pub ended: Option<When>,
}

/// An item the scan is about.
#[derive(Debug, Clone)]
pub struct SourceRow {
    /// The item.
    pub number: String,
    /// Its page.
    pub href: String,
    /// The asset.
    pub asset: String,
    /// Its page.
    pub asset_href: String,
    /// The vulnerability.
    pub title: String,
    /// "38628".
    pub qid: String,
    /// The item's state.
    pub state: Chip,
    /// Its remediation status: how it stands with its due date.
    pub remediation: Chip,
    /// What controls do, or that it is fixed.
    pub mitigation: Chip,
    /// Its score.
    pub change: Change,
    /// Fixed, still present, host not reached, not tested; nothing yet.
    pub verdict: Option<Chip>,
}

/// Something the scan leaves out.
#[derive(Debug, Clone)]
pub struct LeftOutRow {
    /// The item.
    pub number: String,
    /// Its page.
    pub href: String,
    /// The asset.
    pub asset: String,
    /// Its page.
    pub asset_href: String,
    /// Only this host of it, by the scanner's id; empty for the whole item.
    pub host: String,
    /// Why.
    pub why: String,
    /// Page and number of the request that looks at it already.
    pub scan: Option<(String, String)>,
}

/// The live part: rendered in the page and sent again as a server-sent event named `scan`.
#[derive(Debug, Clone, Template)]
#[template(path = "scan_live.html")]
pub struct ScanLive {
    /// Its state.
    pub state: Chip,
    /// One line: asked by whom and when, tracked until when.
    pub line: String,
    /// Something to know: time-out, refusal, waiting for the scanner.
    pub note: Option<String>,
    /// Details, Scans, Source, Left out, Hosts not scanned.
    pub tabs: Vec<Tab>,
    /// Which part is shown: 0 to 4.
    pub part: usize,
    /// Number, scanner source, state, tracking.
    pub facts: Vec<Fact>,
    /// Completed, failed, running, queued.
    pub summary: Vec<CountPart>,
    /// The same as a bar.
    pub bar: Bar,
    /// What was found: verdicts and how many.
    pub verdicts: Vec<CountPart>,
    /// The children.
    pub children: Vec<ChildRow>,
    /// The items.
    pub sources: Vec<SourceRow>,
    /// What is left out.
    pub left_out: Vec<LeftOutRow>,
    /// Addresses without a result, each with its scan and the reason.
    pub unscanned: Vec<(String, String, String)>,
    /// What happened.
    pub log: Vec<Entry>,
}
impl HtmlSafe for ScanLive {}

/// One scan record.
#[derive(Debug, Clone, Template)]
#[template(path = "scan.html")]
pub struct ScanPage {
    /// The frame; its title is the number.
    pub shell: Shell,
    /// Quick actions: stop tracking, rescan again.
    pub menu: Option<Menu>,
    /// Where changes come from; none once it is over.
    pub live_from: Option<String>,
    /// The live part.
    pub live: ScanLive,
}
