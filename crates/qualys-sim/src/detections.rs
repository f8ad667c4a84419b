//! Detections: one row per host, QID and port, with its history, as they were before any simulated scan and how a scan changes them.
//!
//! Rows are functions of the seed. Only hosts that a scan reached are kept as records; everything else is worked out when it is asked for.

use crate::hosts::{Fleet, Host};
use crate::knowledge::{Brief, EntryKind, Knowledge};
use crate::roll::Roll;
use crate::weakness::{self, Weakness};
use crate::world::Plan;
use jiff::{SignedDuration, Timestamp};

/// Where a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Seen once.
    New,
    /// Seen again.
    Active,
    /// Not found any more.
    Fixed,
    /// Found again after it was fixed.
    Reopened,
}

impl Status {
    /// The scanner's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Active => "Active",
            Self::Fixed => "Fixed",
            Self::Reopened => "Re-Opened",
        }
    }

    /// Reads the scanner's word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::New, Self::Active, Self::Fixed, Self::Reopened].into_iter().find(|status| status.word() == word)
    }
}

/// One finding on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// The stable id of the row (`UNIQUE_VULN_ID`).
    pub unique_id: u64,
    /// QID.
    pub qid: u32,
    /// Confirmed, potential or information.
    pub kind: EntryKind,
    /// Severity 1 to 5.
    pub severity: u8,
    /// Port and protocol, for findings made over the network.
    pub port: Option<(u16, &'static str)>,
    /// Where it stands; means nothing for information gathered.
    pub status: Status,
    /// First sighting.
    pub first_found: Timestamp,
    /// Latest sighting.
    pub last_found: Timestamp,
    /// Latest test, found or not.
    pub last_test: Timestamp,
    /// Latest change of the row.
    pub last_update: Timestamp,
    /// Latest time it was found to be gone.
    pub last_fixed: Option<Timestamp>,
    /// First time it came back.
    pub first_reopened: Option<Timestamp>,
    /// Latest time it came back.
    pub last_reopened: Option<Timestamp>,
    /// Number of sightings.
    pub times_found: u32,
    /// How often it came back.
    pub times_reopened: u32,
    /// When the service last processed the row.
    pub last_processed: Timestamp,
    /// Detection score 1 to 100; 0 for information gathered.
    pub score: u8,
    /// What the last scan saw, where it differs from the invented text.
    pub evidence: Option<String>,
}

/// A host's detections together with the dates of its last scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Rows ordered by QID and port.
    pub detections: Vec<Detection>,
    /// End of the last scan that reached the host.
    pub scanned: Timestamp,
    /// Length of that scan in seconds.
    pub duration: i64,
    /// When its results were processed.
    pub processed: Timestamp,
}

/// What decides about the invented rows.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Seed of the data set.
    pub seed: u64,
    /// "Now" when the data set was made.
    pub origin: Timestamp,
    /// Ordinary findings of a host outside the demo set.
    pub per_host: u32,
    /// Ordinary findings of a demo host.
    pub per_demo_host: u32,
    /// The machines.
    pub fleet: Fleet,
    /// The signatures.
    pub knowledge: Knowledge,
}

impl Source {
    /// The rows of a host before any simulated scan.
    pub fn record(&self, host: &Host) -> Record {
        let mut roll = Roll::new(self.seed, &[30, u64::from(host.index)]);
        let scanned = ago(self.origin, roll.between(3_600, 5 * 86_400));
        let processed = after(scanned, roll.between(120, 1_800)).min(self.origin);
        let history = History { seed: self.seed, scanned, processed, index: host.index };
        let mut detections: Vec<Detection> =
            self.planned(host).iter().map(|weakness| self.row(&history, weakness.qid, weakness.port, true)).collect();
        detections.extend(self.ordinary(host, &history));
        detections.extend(self.knowledge.information().take(5).map(|qid| self.row(&history, qid, None, true)));
        detections.sort_by_key(|row| (row.qid, row.port));
        Record { detections, scanned, duration: roll.between(90, 1_500), processed }
    }

    /// The demo weaknesses of a host.
    pub fn planned(&self, host: &Host) -> Vec<&'static Weakness> {
        if let Some(plan) = Plan::of(self.seed, host) {
            return plan.weaknesses().collect();
        }
        if host.os.is_windows() {
            return Vec::new();
        }
        weakness::all()
            .filter(|weakness| Roll::new(self.seed, &[31, u64::from(host.index), u64::from(weakness.qid)]).chance(12))
            .collect()
    }

    fn ordinary(&self, host: &Host, history: &History) -> Vec<Detection> {
        let (first, available) = self.knowledge.ordinary(host.os.is_windows());
        let wanted = if host.index < self.fleet.demo_len() { self.per_demo_host } else { self.per_host };
        let mut roll = Roll::new(self.seed, &[32, u64::from(host.index)]);
        let start = roll.below(u64::from(available.max(1)));
        let stride = coprime(roll.below(u64::from(available.max(1))) + 1, u64::from(available.max(1)));
        let mut rows = Vec::with_capacity(wanted as usize);
        for step in 0..u64::from(wanted.min(available)) {
            let place = (start + step * stride) % u64::from(available);
            let qid = first + u32::try_from(place).unwrap_or(0);
            let port = self.knowledge.brief(qid).and_then(|brief| brief.port);
            rows.push(self.row(history, qid, port, false));
            if port == Some((443, "tcp")) && place.is_multiple_of(5) {
                rows.push(self.row(history, qid, Some((8443, "tcp")), false));
            }
        }
        rows
    }

    /// A row as the last scan left it. Weaknesses of the demo set are never fixed to begin with: the folder says they are there.
    fn row(&self, history: &History, qid: u32, port: Option<(u16, &'static str)>, is_there: bool) -> Detection {
        let unknown = Brief { kind: EntryKind::Confirmed, severity: 3, score: 40, port: None };
        let Brief { kind, severity, score, .. } = self.knowledge.brief(qid).unwrap_or(unknown);
        let port_number = port.map_or(0, |(number, _)| number);
        let keys = [33, u64::from(history.index), u64::from(qid), u64::from(port_number)];
        let mut roll = Roll::new(history.seed, &keys);
        let status = match roll.below(100) {
            0..=9 => Status::New,
            10..=19 if !is_there => Status::Fixed,
            20..=25 => Status::Reopened,
            _ => Status::Active,
        };
        let scanned = history.scanned;
        let age = roll.between(10, 400) * 86_400 + roll.between(0, 86_399);
        let first_found = if status == Status::New { scanned } else { ago(scanned, age) };
        let last_found = if status == Status::Fixed { ago(scanned, age / 3) } else { scanned };
        let reopened = (status == Status::Reopened).then(|| ago(scanned, age / 8));
        let last_fixed = match status {
            Status::Fixed => Some(scanned),
            Status::Reopened => Some(ago(scanned, age / 5)),
            _ => None,
        };
        Detection {
            unique_id: unique_id(history.index, qid, port_number),
            qid,
            kind,
            severity,
            port,
            status,
            first_found,
            last_found,
            last_test: scanned,
            last_update: history.processed,
            last_fixed,
            first_reopened: reopened,
            last_reopened: reopened,
            times_found: if status == Status::New { 1 } else { u32::try_from(roll.between(2, 60)).unwrap_or(2) },
            times_reopened: u32::from(reopened.is_some()),
            last_processed: history.processed,
            score,
            evidence: None,
        }
    }
}

struct History {
    seed: u64,
    index: u32,
    scanned: Timestamp,
    processed: Timestamp,
}

fn unique_id(index: u32, qid: u32, port: u16) -> u64 {
    let row = u64::from(qid % 10_000) * 65_536 + u64::from(port);
    (u64::from(index) + 1) * 1_000_000_000 + row
}

fn coprime(mut stride: u64, modulus: u64) -> u64 {
    let common = |mut left: u64, mut right: u64| {
        while right != 0 {
            (left, right) = (right, left % right);
        }
        left
    };
    while common(stride, modulus) != 1 {
        stride += 1;
    }
    stride
}

fn ago(from: Timestamp, seconds: i64) -> Timestamp {
    from.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(from)
}

fn after(from: Timestamp, seconds: i64) -> Timestamp {
    from.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(from)
}

/// What one scan says of one QID on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// QID that was tested.
    pub qid: u32,
    /// Found or not.
    pub present: bool,
    /// Result text, where the scan has one of its own.
    pub evidence: Option<String>,
}

impl Record {
    /// Takes over the findings of a scan that ended at `scanned` and was processed at `processed` (spec section 3.3).
    pub fn apply(
        &mut self,
        source: &Source,
        index: u32,
        findings: &[Finding],
        scanned: Timestamp,
        processed: Timestamp,
    ) {
        for finding in findings {
            let mut known = false;
            for row in self.detections.iter_mut().filter(|row| row.qid == finding.qid) {
                known = true;
                row.see(finding, scanned, processed);
            }
            if !known && finding.present {
                let port = source.knowledge.brief(finding.qid).and_then(|brief| brief.port);
                let history = History { seed: source.seed, index, scanned, processed };
                let row = source.row(&history, finding.qid, port, true);
                self.detections.push(Detection {
                    status: Status::New,
                    first_found: scanned,
                    last_found: scanned,
                    last_fixed: None,
                    first_reopened: None,
                    last_reopened: None,
                    times_found: 1,
                    times_reopened: 0,
                    evidence: finding.evidence.clone(),
                    ..row
                });
            }
        }
        self.detections.sort_by_key(|row| (row.qid, row.port));
        self.scanned = scanned;
        self.processed = processed;
    }
}

impl Detection {
    fn see(&mut self, finding: &Finding, scanned: Timestamp, processed: Timestamp) {
        self.last_test = scanned;
        self.last_processed = processed;
        if self.kind == EntryKind::Information {
            self.last_found = scanned;
            return;
        }
        if finding.present {
            if self.status == Status::Fixed {
                self.status = Status::Reopened;
                self.first_reopened = self.first_reopened.or(Some(scanned));
                self.last_reopened = Some(scanned);
                self.times_reopened += 1;
            } else {
                self.status = Status::Active;
            }
            self.last_found = scanned;
            self.times_found += 1;
            self.last_update = processed;
            self.evidence.clone_from(&finding.evidence);
        } else if self.status != Status::Fixed {
            self.status = Status::Fixed;
            self.last_fixed = Some(scanned);
            self.last_update = processed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(seed: u64) -> Source {
        let origin: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a fixed instant");
        Source {
            seed,
            origin,
            per_host: 12,
            per_demo_host: 6,
            fleet: Fleet::new(seed, 20, 3),
            knowledge: Knowledge::new(seed, 120, 60, origin),
        }
    }

    #[test]
    fn rows_have_distinct_keys_and_a_sane_history() {
        for seed in 0..4 {
            let source = source(seed);
            for host in source.fleet.iter() {
                let record = source.record(&host);
                let mut ids: Vec<u64> = record.detections.iter().map(|row| row.unique_id).collect();
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids.len(), record.detections.len());
                for row in &record.detections {
                    assert!(row.first_found <= row.last_found && row.last_found <= row.last_test);
                    assert_eq!(row.status == Status::New, row.times_found == 1);
                    assert!(row.last_processed <= source.origin);
                }
            }
        }
    }

    #[test]
    fn a_row_walks_from_active_to_fixed_to_reopened_to_active() {
        let source = source(1);
        let host = source.fleet.host(0);
        let mut record = source.record(&host);
        let mut at = source.origin;
        let mut scan = |record: &mut Record, present| {
            at = after(at, 3_600);
            record.apply(&source, 0, &[Finding { qid: 900_101, present, evidence: None }], at, after(at, 60));
            let row = record.detections.iter().find(|row| row.qid == 900_101).expect("a row");
            (row.status, row.times_found, row.times_reopened, row.last_fixed)
        };
        let before = record.detections.iter().find(|row| row.qid == 900_101).expect("a row").clone();
        assert_eq!(scan(&mut record, true).0, Status::Active);
        let fixed = scan(&mut record, false);
        assert_eq!((fixed.0, fixed.1), (Status::Fixed, before.times_found + 1));
        let again = scan(&mut record, false);
        assert_eq!(again.3, fixed.3, "a second absence changes nothing");
        let reopened = scan(&mut record, true);
        assert_eq!((reopened.0, reopened.2), (Status::Reopened, before.times_reopened + 1));
        assert_eq!(reopened.3, fixed.3, "the date of the earlier fix stays");
        assert_eq!(scan(&mut record, true).0, Status::Active);
    }

    #[test]
    fn a_finding_without_a_row_is_new() {
        let source = source(1);
        let mut record = source.record(&source.fleet.host(0));
        let now = after(source.origin, 60);
        record.detections.retain(|row| row.qid != 900_201);
        record.apply(&source, 0, &[Finding { qid: 900_201, present: true, evidence: None }], now, now);
        let row = record.detections.iter().find(|row| row.qid == 900_201).expect("a row");
        assert_eq!((row.status, row.times_found, row.first_found), (Status::New, 1, now));
    }
}
