//! Occurrences as a scanner reports them, and what can be said of one by itself.

use crate::hosts::{HostSeen, RowDigest, RowHash};
use crate::vulnerabilities::Reference;
use domain::detection::Dated;
use domain::score::{Source, estimate};
use domain::time::Timestamp;

/// One occurrence as a scanner reports it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DetectionSeen {
    /// The scanner's number of the vulnerability.
    pub qid: i64,
    /// The scanner's own id of the row; empty where it gave none.
    pub unique_id: String,
    /// `confirmed`, `potential`, `info`, or the scanner's own word.
    pub kind: String,
    /// 1 to 5; `None` where the input does not say.
    pub severity: Option<u8>,
    /// `tcp`, `udp`, or empty.
    pub protocol: String,
    /// Port, 0 for none.
    pub port: i64,
    /// Name under which the service was reached.
    pub fqdn: String,
    /// Which of several instances of a service.
    pub service_instance: String,
    /// `new`, `active`, `fixed`, `reopened`, or the scanner's own word; empty where there is none.
    pub status: String,
    /// The scanner's score, 1 to 100.
    pub qds: Option<u8>,
    /// CVSS base score that the row itself states.
    pub cvss: Option<f64>,
    /// Evidence.
    pub results: String,
    /// Ignored at the scanner.
    pub ignored: bool,
    /// Disabled at the scanner.
    pub disabled: bool,
    /// How often it was seen.
    pub times_found: i64,
    /// First sighting.
    pub first_found_at: Option<Timestamp>,
    /// Latest sighting.
    pub last_found_at: Option<Timestamp>,
    /// Latest time it was found gone.
    pub last_fixed_at: Option<Timestamp>,
    /// Latest test.
    pub last_test_at: Option<Timestamp>,
    /// Latest time the platform processed it.
    pub last_processed_at: Option<Timestamp>,
}

impl DetectionSeen {
    pub(super) fn digest(&self) -> RowDigest {
        let mut digest = RowHash::new();
        for text in [
            &self.unique_id,
            &self.kind,
            &self.protocol,
            &self.fqdn,
            &self.service_instance,
            &self.status,
            &self.results,
        ] {
            digest.text(text);
        }
        digest.whole(self.severity.map(i64::from)).whole(self.qds.map(i64::from)).whole(Some(self.port));
        digest.whole(Some(i64::from(self.ignored) * 2 + i64::from(self.disabled))).whole(Some(self.times_found));
        for at in
            [self.first_found_at, self.last_found_at, self.last_fixed_at, self.last_test_at, self.last_processed_at]
        {
            digest.whole(at.map(Timestamp::micros));
        }
        digest.done()
    }

    /// When this was true.
    pub(super) fn dated(&self) -> Dated {
        Dated::of_detection(self.last_processed_at, [self.last_test_at, self.last_found_at, self.last_fixed_at])
    }

    /// The score and its source: the scanner's own, else our table by severity and CVSS.
    pub(super) fn score(&self, of: &Reference) -> (u8, Source) {
        match self.qds {
            Some(score) => (score.clamp(1, 100), Source::Qds),
            None => {
                let severity = self.severity.unwrap_or(of.severity);
                (estimate(severity, self.cvss.or(of.cvss3).or(of.cvss2)), Source::Estimated)
            }
        }
    }

    /// Information is no weakness; a row without a kind is what its vulnerability is, and a weakness in doubt.
    pub(super) fn weakness(&self, of: &Reference) -> bool {
        match self.kind.as_str() {
            "info" => false,
            "confirmed" | "potential" => true,
            _ => of.kind != "information",
        }
    }
}

/// A machine with the occurrences reported for it: the unit in which imports are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    /// The machine.
    pub host: HostSeen,
    /// Its occurrences, in the order of the input.
    pub detections: Vec<DetectionSeen>,
}
