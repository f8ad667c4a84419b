//! Vulnerabilities: the list, one record (also shown in the drawer) and the drill-down into a score.

use super::charts::Scale;
use super::chips::{Change, Chip, Score, Severity, When};
use super::lists::{Action, Column, List, Menu, Tab};
use super::records::{Entry, Fact};
use super::sanitise::Clean;
use super::shell::Shell;
use askama::Template;

/// The columns of the list; sort names are those of the query language.
pub const COLUMNS: [Column; 8] = [
    Column::sorted("QID", "q-w2", "qid"),
    Column::sorted("Title", "", "title"),
    Column::new("CVEs", "q-w5"),
    Column::sorted("Severity", "q-w4", "severity"),
    Column::sorted("Score", "q-w4", "score"),
    Column::sorted("Assets", "q-w2", "assets").end(),
    Column::new("Status", "q-w5w"),
    Column::new("", "q-w1"),
];

/// One vulnerability with its open detections rolled up.
#[derive(Debug, Clone)]
pub struct VulnerabilityRow {
    /// Its key, for selection.
    pub key: String,
    /// The scanner's id: "38628".
    pub qid: String,
    /// Its page.
    pub href: String,
    /// The title.
    pub title: String,
    /// The first CVE.
    pub cve: Option<String>,
    /// How many more there are.
    pub more_cves: usize,
    /// The scanner's severity.
    pub severity: Severity,
    /// The worst inherent and residual score of its open detections, linked to the drill-down.
    pub change: Change,
    /// On how many assets it is open, with the list of items.
    pub assets: i64,
    /// The items behind that number.
    pub assets_href: String,
    /// How far its removal has come.
    pub status: Chip,
    /// The catalogue has something for it.
    pub mitigable: bool,
    /// The last job about it and its page.
    pub job: Option<(String, String)>,
    /// Quick actions; the first is View Risk Elimination.
    pub menu: Menu,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "vulnerabilities.html")]
pub struct VulnerabilitiesPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// The rows.
    pub rows: Vec<VulnerabilityRow>,
}

/// Where it was found.
#[derive(Debug, Clone)]
pub struct FoundRow {
    /// The vulnerable item.
    pub number: String,
    /// Its page.
    pub href: String,
    /// The asset.
    pub asset: String,
    /// Its address.
    pub ip: String,
    /// The detection's status.
    pub status: Chip,
    /// The item's mitigation.
    pub mitigation: Option<Chip>,
    /// Its score.
    pub change: Change,
    /// When it was last seen.
    pub seen: Option<When>,
}

/// What can be done about it, in short.
#[derive(Debug, Clone)]
pub struct RemedyRow {
    /// The mitigation.
    pub title: String,
    /// Its page.
    pub href: String,
    /// What it covers and lowers.
    pub text: String,
    /// Mitigation or fix.
    pub kind: Chip,
}

/// One vulnerability, as a page and in the drawer.
#[derive(Debug, Clone, Template)]
#[template(path = "vulnerability.html")]
pub struct VulnerabilityPage {
    /// The frame.
    pub shell: Shell,
    /// The title.
    pub title: String,
    /// "QID 38628".
    pub id: String,
    /// Severity and marks such as "Mitigable".
    pub severity: Severity,
    /// Further marks.
    pub marks: Vec<Chip>,
    /// What can be done: rescan, view risk elimination, mitigate now.
    pub actions: Vec<Action>,
    /// The worst score before and after.
    pub change: Change,
    /// Parts of the record.
    pub tabs: Vec<Tab>,
    /// Facts about it.
    pub facts: Vec<Fact>,
    /// Threat, consequence and solution, cleaned.
    pub texts: Vec<(&'static str, Clean)>,
    /// Where it is.
    pub found: Vec<FoundRow>,
    /// How many in all and the list of them.
    pub found_total: (i64, String),
    /// What can be done about it.
    pub remedies: Vec<RemedyRow>,
    /// CVEs that nothing sound exists for, short of the fix.
    pub unsound: Vec<protocol::api::catalogue::NoMitigation>,
    /// What happened.
    pub log: Vec<Entry>,
}

impl VulnerabilityPage {
    fn scale(&self) -> Option<Scale> {
        self.change.before.map(|before| Scale { before, after: self.change.after.unwrap_or(before) })
    }
}

/// One line of the reckoning of a score.
#[derive(Debug, Clone)]
pub struct FactorRow {
    /// What counts: "Inherent score of CVE-2023-48795".
    pub label: String,
    /// Where the number comes from: "QVS", "QDS", "table by severity and CVSS".
    pub source: String,
    /// What it contributes before mitigation.
    pub before: String,
    /// And after.
    pub after: String,
    /// Whether it lowers the score.
    pub lowers: bool,
}

/// One CVE of the vulnerability on the asset.
#[derive(Debug, Clone)]
pub struct CveRow {
    /// Its id.
    pub cve: String,
    /// Inherent and residual score.
    pub change: Change,
    /// Where the inherent score comes from.
    pub source: String,
    /// The control that counts, with its points.
    pub control: Option<String>,
    /// Mitigated, partly mitigated, or open.
    pub state: Chip,
}

/// The drill-down into a score: what made it, what lowered it.
#[derive(Debug, Clone, Template)]
#[template(path = "score.html")]
pub struct ScorePage {
    /// The frame, when it is opened as a page of its own.
    pub shell: Shell,
    /// "QID 38628 on web-01", or the vulnerability alone.
    pub about: String,
    /// The inherent score.
    pub before: i64,
    /// The residual score.
    pub after: i64,
    /// Whether the inherent score is an estimate.
    pub estimated: bool,
    /// The formula in words, as it was used.
    pub formula: String,
    /// The reckoning.
    pub factors: Vec<FactorRow>,
    /// The CVEs; empty when the detection is scored as a whole.
    pub cves: Vec<CveRow>,
    /// How the score went: newest first, with the cause.
    pub history: Vec<Entry>,
    /// The assets it holds for, when it is about several: name, change, page.
    pub assets: Vec<(String, Change, String)>,
}

impl ScorePage {
    fn scale(&self) -> Scale {
        Scale { before: self.before, after: self.after }
    }

    fn delta(&self) -> String {
        super::count(self.after - self.before)
    }

    fn bands(&self) -> (super::Band, super::Band) {
        (super::Band::of(self.before), super::Band::of(self.after))
    }

    fn scores(&self) -> (Score, Score) {
        (Score(self.before), Score(self.after))
    }
}
