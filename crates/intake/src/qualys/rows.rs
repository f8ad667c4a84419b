//! What report files with one row per finding have in common: neighbours of one machine become one machine, and what rows say of
//! a vulnerability is gathered and handed out once, at the end.

use crate::error::{ReadError, Stop};
use crate::limits::Limits;
use crate::observation::{
    DetectionKind, DetectionReport, DetectionStatus, HostReport, Observation, VulnerabilityReport,
};
use crate::qualys::host;
use crate::summary::{Summary, count};
use crate::table::Table;
use std::collections::BTreeMap;
use std::io::BufRead;

/// Where a reader puts what it found.
pub(crate) type Sink<'s> = &'s mut dyn FnMut(Observation) -> Result<(), Stop>;

/// The machine whose rows are being read.
#[derive(Default)]
pub(crate) struct Machines {
    current: Option<(String, Box<HostReport>)>,
}

impl Machines {
    /// Whether the row before was of the machine of this key.
    pub(crate) fn is_at(&self, key: &str) -> bool {
        self.current.as_ref().is_some_and(|(current, _)| current == key)
    }

    /// The machine of the rows before is complete, another begins. A machine whose rows are not neighbours is handed out several
    /// times: the receiver joins what they list.
    pub(crate) fn begin<R: BufRead>(
        &mut self,
        table: &mut Table<'_, R>,
        key: String,
        found: HostReport,
        sink: Sink<'_>,
    ) -> Result<(), ReadError> {
        self.hand_out(&mut table.summary, sink)?;
        self.current = Some((key, Box::new(found)));
        Ok(())
    }

    /// The machine of the rows before, if there is one.
    pub(crate) fn current(&mut self) -> Option<&mut HostReport> {
        self.current.as_mut().map(|(_, host)| &mut **host)
    }

    /// Hand out the last machine.
    pub(crate) fn finish<R: BufRead>(mut self, table: &mut Table<'_, R>, sink: Sink<'_>) -> Result<(), ReadError> {
        self.hand_out(&mut table.summary, sink)
    }

    fn hand_out(&mut self, summary: &mut Summary, sink: Sink<'_>) -> Result<(), ReadError> {
        let Some((_, found)) = self.current.take() else { return Ok(()) };
        summary.hosts += 1;
        summary.detections += found.detections.len() as u64;
        sink(Observation::Host(found))?;
        Ok(())
    }
}

/// The words of a row that are counted as they came.
pub(crate) struct Words {
    /// How sure the scanner is.
    pub(crate) kind: Option<String>,
    /// Where the detection is in its life.
    pub(crate) status: Option<String>,
}

/// Puts a row into its machine.
pub(crate) fn keep(
    limits: &Limits,
    summary: &mut Summary,
    host: &mut HostReport,
    words: Words,
    report: DetectionReport,
) -> Result<(), ReadError> {
    if host.detections.len() >= limits.detections_per_host {
        return Err(ReadError::TooLarge {
            what: "the number of detections of one host",
            limit: limits.detections_per_host as u64,
        });
    }
    let kind = words.kind.unwrap_or_default();
    count(&mut summary.detections_by_type, if kind.is_empty() { "(none)" } else { &kind });
    let mut report = DetectionReport { kind: DetectionKind::parse(&kind), ..report };
    if let Some(status) = &words.status {
        count(&mut summary.detections_by_status, status);
        report.status = Some(DetectionStatus::parse(status));
    }
    host.detections.push(report);
    Ok(())
}

/// A row without a usable QID.
pub(crate) fn no_qid<R: BufRead>(table: &mut Table<'_, R>, host: &HostReport) {
    table.reject(format!("a detection of {}", host::name(host)), "no QID");
}

/// What rows say of vulnerabilities: the first that tells of one counts, CVEs come together.
#[derive(Default)]
pub(crate) struct Glossary {
    entries: BTreeMap<i64, VulnerabilityReport>,
    bytes: usize,
}

impl Glossary {
    /// Whether nothing was told of it yet.
    pub(crate) fn lacks(&self, qid: i64) -> bool {
        !self.entries.contains_key(&qid)
    }

    /// What was told of it before.
    pub(crate) fn get_mut(&mut self, qid: i64) -> Option<&mut VulnerabilityReport> {
        self.entries.get_mut(&qid)
    }

    /// Keep what a row tells. Texts are left out once all of them together pass their bound.
    pub(crate) fn add(
        &mut self,
        limits: &Limits,
        summary: &mut Summary,
        mut entry: VulnerabilityReport,
    ) -> Result<(), ReadError> {
        if self.entries.len() >= limits.glossary_entries {
            return Err(ReadError::TooLarge {
                what: "the number of vulnerabilities of one report",
                limit: limits.glossary_entries as u64,
            });
        }
        let texts = [&mut entry.threat, &mut entry.impact, &mut entry.solution];
        for text in texts {
            let length = text.as_ref().map_or(0, String::len);
            if self.bytes + length > limits.glossary_bytes {
                count(&mut summary.notes, "text of a vulnerability left out: all of them are too long");
                *text = None;
            } else {
                self.bytes += length;
            }
        }
        self.entries.insert(entry.qid, entry);
        Ok(())
    }

    /// Hand out all of it.
    pub(crate) fn finish(self, summary: &mut Summary, sink: Sink<'_>) -> Result<(), ReadError> {
        for entry in self.entries.into_values() {
            summary.vulnerabilities += 1;
            sink(Observation::Vulnerability(Box::new(entry)))?;
        }
        Ok(())
    }
}

/// CVE names in upper case, each once, in their order.
pub(crate) fn cves(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for name in names {
        let name = name.trim().to_ascii_uppercase();
        if !name.is_empty() && !kept.contains(&name) {
            kept.push(name);
        }
    }
    kept
}
