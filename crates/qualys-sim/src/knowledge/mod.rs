//! The simulated knowledge base: every QID lies in 900000-909999, every text is ours.
//!
//! | Range | What |
//! |---|---|
//! | 900000-900999 | the demo set ([`crate::weakness`]), real CVE numbers |
//! | 901000-904999 | ordinary Linux package updates, invented CVE numbers `CVE-2025-9nnnnn` |
//! | 905000-905999 | information gathered |
//! | 906000-907999 | Windows: a few well-known ones, then ordinary updates with invented numbers |

mod texts;

use crate::roll::Roll;
use crate::weakness;
use jiff::{SignedDuration, Timestamp};
use texts::{INFORMATION, WINDOWS, of_weakness, of_windows, ordinary};

/// The smallest QID of the simulator.
pub const QID_FIRST: u32 = 900_000;
/// The largest QID of the simulator.
pub const QID_LAST: u32 = 909_999;
const LINUX_FIRST: u32 = 901_000;
const LINUX_MAX: u32 = 4_000;
const INFO_FIRST: u32 = 905_000;
const WINDOWS_FIRST: u32 = 906_000;
const WINDOWS_MAX: u32 = 2_000;

/// What kind of signature an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A vulnerability.
    Confirmed,
    /// A potential vulnerability.
    Potential,
    /// Information gathered; has no status and no score.
    Information,
}

impl EntryKind {
    /// The knowledge base's word for it.
    pub fn vuln_type(self) -> &'static str {
        match self {
            Self::Confirmed => "Vulnerability",
            Self::Potential => "Potential Vulnerability",
            Self::Information => "Information Gathered",
        }
    }

    /// The detection's word for it.
    pub fn detection_type(self) -> &'static str {
        match self {
            Self::Confirmed => "Confirmed",
            Self::Potential => "Potential",
            Self::Information => "Info",
        }
    }
}

/// What a detection row needs of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brief {
    /// Kind of signature.
    pub kind: EntryKind,
    /// Severity 1 to 5.
    pub severity: u8,
    /// Detection score 1 to 100; 0 for information gathered.
    pub score: u8,
    /// Port and protocol of findings made over the network.
    pub port: Option<(u16, &'static str)>,
}

/// One entry of the knowledge base.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// QID.
    pub qid: u32,
    /// Kind of signature.
    pub kind: EntryKind,
    /// Severity 1 to 5.
    pub severity: u8,
    /// Title.
    pub title: String,
    /// Category.
    pub category: String,
    /// CVE numbers.
    pub cves: Vec<String>,
    /// Product and vendor.
    pub software: Option<(String, String)>,
    /// Vendor reference id and address.
    pub reference: Option<(String, String)>,
    /// Threat text, with HTML fragments.
    pub diagnosis: String,
    /// Impact text.
    pub consequence: String,
    /// Solution text.
    pub solution: String,
    /// A patch exists.
    pub patchable: bool,
    /// When the entry was published.
    pub published: Timestamp,
    /// When the service last changed it.
    pub modified: Timestamp,
    /// CVSS version 3 base score and vector.
    pub cvss3: Option<(f32, String)>,
    /// Threat intelligence ids and names.
    pub threat_intelligence: Vec<(u32, String)>,
    /// Found over the network without a login.
    pub remote: bool,
    /// Login kinds that find it.
    pub auth_types: Vec<&'static str>,
    /// Detection score 1 to 100; 0 for information gathered.
    pub score: u8,
    /// Exploit prediction, 0 to 1.
    pub epss: f32,
    /// Port and protocol of findings made over the network.
    pub port: Option<(u16, &'static str)>,
}

/// The knowledge base of one seed.
#[derive(Debug, Clone, Copy)]
pub struct Knowledge {
    seed: u64,
    linux: u32,
    windows: u32,
    origin: Timestamp,
}

impl Knowledge {
    /// A knowledge base with the given number of ordinary entries for Linux and for Windows; `origin` is "now" when the data set was made.
    pub fn new(seed: u64, linux: u32, windows: u32, origin: Timestamp) -> Self {
        let known = u32::try_from(WINDOWS.len()).unwrap_or(0);
        Self { seed, linux: linux.min(LINUX_MAX), windows: windows.clamp(known, WINDOWS_MAX), origin }
    }

    /// Every QID, ascending.
    pub fn qids(&self) -> impl Iterator<Item = u32> + use<> {
        let information = u32::try_from(INFORMATION.len()).unwrap_or(0);
        weakness::all()
            .map(|weakness| weakness.qid)
            .chain(LINUX_FIRST..LINUX_FIRST + self.linux)
            .chain(INFO_FIRST..INFO_FIRST + information)
            .chain(WINDOWS_FIRST..WINDOWS_FIRST + self.windows)
    }

    /// QIDs of the ordinary entries a kind of host can have, of which a host takes some.
    pub fn ordinary(&self, windows: bool) -> (u32, u32) {
        if windows { (WINDOWS_FIRST, self.windows) } else { (LINUX_FIRST, self.linux) }
    }

    /// QIDs of information gathered.
    pub fn information(&self) -> impl Iterator<Item = u32> + use<> {
        INFO_FIRST..INFO_FIRST + u32::try_from(INFORMATION.len()).unwrap_or(0)
    }

    /// Whether a QID only concerns Windows.
    pub fn is_windows(qid: u32) -> bool {
        (WINDOWS_FIRST..WINDOWS_FIRST + WINDOWS_MAX).contains(&qid)
    }

    /// The detection score of a QID in this data set; 0 for information gathered and unknown QIDs.
    pub fn score(&self, qid: u32) -> u8 {
        self.brief(qid).map_or(0, |brief| brief.score)
    }

    /// Kind, severity, score and port of a QID: what a detection row needs, without the texts.
    pub fn brief(&self, qid: u32) -> Option<Brief> {
        if let Some(weakness) = weakness::find(qid) {
            let score = self.vary(qid, weakness.score);
            return Some(Brief { kind: EntryKind::Confirmed, severity: weakness.severity, score, port: weakness.port });
        }
        if let Some(at) = place(qid, INFO_FIRST, self.information().count()) {
            return INFORMATION.get(at).map(|_| Brief {
                kind: EntryKind::Information,
                severity: 1,
                score: 0,
                port: None,
            });
        }
        if let Some(known) = place(qid, WINDOWS_FIRST, WINDOWS.len()).and_then(|at| WINDOWS.get(at)) {
            let score = self.vary(qid, known.3);
            return Some(Brief { kind: EntryKind::Confirmed, severity: known.2, score, port: None });
        }
        let linux = place(qid, LINUX_FIRST, self.linux as usize).is_some();
        let windows = place(qid, WINDOWS_FIRST, self.windows as usize).is_some();
        if !linux && !windows {
            return None;
        }
        let mut roll = Roll::new(self.seed, &[20, u64::from(qid)]);
        let severity = u8::try_from(roll.below(3) + roll.below(2) + 2).unwrap_or(3).min(5);
        let spread = u8::try_from(roll.below(18)).unwrap_or(0);
        let score = (severity * 16).saturating_sub(9) + spread;
        let kind = if roll.chance(12) { EntryKind::Potential } else { EntryKind::Confirmed };
        let port = roll.chance(25).then(|| *roll.pick(&[(443, "tcp"), (8443, "tcp"), (80, "tcp"), (5432, "tcp")]));
        Some(Brief { kind, severity, score: score.min(100), port })
    }

    /// The whole entry of a QID.
    pub fn entry(&self, qid: u32) -> Option<Entry> {
        let Brief { kind, severity, score, port } = self.brief(qid)?;
        let mut roll = Roll::new(self.seed, &[21, u64::from(qid)]);
        let published = self.days_ago(roll.between(60, 1500), roll.between(0, 86_399));
        let modified = published.checked_add(SignedDuration::from_hours(24 * roll.between(1, 59))).unwrap_or(published);
        let blank = Entry {
            qid,
            kind,
            severity,
            title: String::new(),
            category: "Local".to_owned(),
            cves: Vec::new(),
            software: None,
            reference: None,
            diagnosis: String::new(),
            consequence: String::new(),
            solution: String::new(),
            patchable: true,
            published,
            modified,
            cvss3: None,
            threat_intelligence: Vec::new(),
            remote: false,
            auth_types: vec!["Unix"],
            score,
            epss: 0.0,
            port,
        };
        if let Some(weakness) = weakness::find(qid) {
            return Some(of_weakness(weakness, blank));
        }
        if kind == EntryKind::Information {
            let (title, category, diagnosis) = INFORMATION.get(place(qid, INFO_FIRST, INFORMATION.len())?)?;
            return Some(Entry {
                title: (*title).to_owned(),
                category: (*category).to_owned(),
                diagnosis: (*diagnosis).to_owned(),
                patchable: false,
                remote: true,
                ..blank
            });
        }
        if let Some(known) = place(qid, WINDOWS_FIRST, WINDOWS.len()).and_then(|at| WINDOWS.get(at)) {
            return Some(of_windows(known, blank));
        }
        Some(ordinary(&mut roll, &blank))
    }

    /// The score of one CVE of an entry: the first has the entry's, the others less.
    pub fn cve_score(&self, entry: &Entry, at: usize) -> u8 {
        if at == 0 {
            return entry.score;
        }
        let less = Roll::new(self.seed, &[23, u64::from(entry.qid), at as u64]).below(25) + 1;
        entry.score.saturating_sub(u8::try_from(less).unwrap_or(1)).max(1)
    }

    fn vary(&self, qid: u32, score: u8) -> u8 {
        let by = Roll::new(self.seed, &[22, u64::from(qid)]).between(-4, 4);
        u8::try_from((i64::from(score) + by).clamp(1, 100)).unwrap_or(score)
    }

    fn days_ago(&self, days: i64, seconds: i64) -> Timestamp {
        let back = SignedDuration::from_secs(days * 86_400 - seconds);
        self.origin.checked_sub(back).unwrap_or(self.origin)
    }
}

fn place(qid: u32, first: u32, len: usize) -> Option<usize> {
    let at = usize::try_from(qid.checked_sub(first)?).ok()?;
    (at < len).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knowledge() -> Knowledge {
        Knowledge::new(1, 120, 60, "2026-01-01T00:00:00Z".parse().expect("a fixed instant"))
    }

    #[test]
    fn every_qid_has_an_entry_in_the_stated_range_and_in_order() {
        let knowledge = knowledge();
        let qids: Vec<u32> = knowledge.qids().collect();
        assert!(qids.is_sorted() && qids.len() > 200);
        for qid in qids {
            assert!((QID_FIRST..=QID_LAST).contains(&qid));
            let entry = knowledge.entry(qid).expect("an entry");
            assert!(!entry.title.is_empty() && !entry.diagnosis.is_empty(), "{qid}");
            assert_eq!(entry.score == 0, entry.kind == EntryKind::Information, "{qid}");
        }
        assert_eq!(knowledge.entry(123), None);
        assert_eq!(knowledge.entry(909_999), None);
    }

    #[test]
    fn another_seed_scores_differently() {
        let other = Knowledge { seed: 2, ..knowledge() };
        assert!(other.qids().any(|qid| other.score(qid) != knowledge().score(qid)));
    }
}
