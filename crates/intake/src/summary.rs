//! What a reading amounted to: counts by type, what was left out and why.

use crate::limits::Limits;
use crate::observation::Micros;
use serde::Serialize;
use std::collections::BTreeMap;

/// The account of one reading. Counts are of rows in the input, duplicates included.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Machines handed out.
    pub hosts: u64,
    /// Detections handed out.
    pub detections: u64,
    /// Detections by the input's own word (`Confirmed`, `Vuln`, `Ig`, ...).
    pub detections_by_type: BTreeMap<String, u64>,
    /// Detections by the input's own status word; rows without one are not in it.
    pub detections_by_status: BTreeMap<String, u64>,
    /// Vulnerabilities handed out.
    pub vulnerabilities: u64,
    /// Elements that are not kept, by name.
    pub skipped: BTreeMap<String, u64>,
    /// Rows that could not be used.
    pub rejected: u64,
    /// The first of them, described.
    pub rejections: Vec<Rejection>,
    /// What was changed or could not be understood, with how often.
    pub notes: BTreeMap<String, u64>,
    /// Characters that XML 1.0 forbids, and bytes that are not UTF-8, dropped before parsing.
    pub dropped_characters: u64,
    /// When the scanner says it made the document.
    pub generated_at: Option<Micros>,
    /// The scanner's remark that there is more (or anything else it warns of).
    pub warning: Option<PageWarning>,
}

/// A row that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// Which row, as well as it can be named.
    pub row: String,
    /// Why.
    pub reason: String,
    /// Line at which it ended, from 1.
    pub line: u64,
}

/// The scanner's WARNING element.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PageWarning {
    /// 1980 when the page was cut at its limit; can be missing.
    pub code: Option<i64>,
    /// The scanner's words.
    pub text: Option<String>,
    /// Where the next page is. Foreign text: only its query may be used (`spec/qualys-api.md` section 5).
    pub url: Option<String>,
}

impl Summary {
    /// Counts a rejected row and describes the first few.
    pub(crate) fn reject(&mut self, limits: &Limits, row: String, reason: &str, line: u64) {
        self.rejected += 1;
        if self.rejections.len() < limits.rejections_described {
            self.rejections.push(Rejection { row, reason: reason.to_owned(), line });
        }
    }
}

/// Adds one under a name without allocating for names already there; a bound keeps hostile names from filling memory.
pub(crate) fn count(map: &mut BTreeMap<String, u64>, name: &str) {
    const NAMES_MAX: usize = 200;
    if let Some(n) = map.get_mut(name) {
        *n += 1;
    } else if map.len() < NAMES_MAX {
        map.insert(name.to_owned(), 1);
    } else {
        *map.entry("(others)".to_owned()).or_insert(0) += 1;
    }
}
