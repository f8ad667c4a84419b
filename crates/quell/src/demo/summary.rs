//! The one object that `quell demo --json` prints, and the claims it has to bear out.

use crate::failure::Failure;
use serde::Serialize;

/// What the demo did.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Seed of the simulated subscription.
    pub seed: u64,
    /// What was imported.
    pub imported: Imported,
    /// The mitigation job.
    pub job: JobSummary,
    /// One score before and after.
    pub score: Score,
    /// Items that are mitigated now.
    pub mitigated_items: usize,
    /// The rescan.
    pub scan: Scan,
    /// What the rescan says of each item, by number.
    pub verdicts: Vec<Verdict>,
    /// Items that the rescan's import closed as fixed.
    pub closed_fixed: usize,
    /// Files under the agents' roots that differ from before the job.
    pub changed_files: Vec<String>,
}

/// What was imported.
#[derive(Debug, Default, Serialize)]
pub struct Imported {
    /// Knowledge base entries.
    pub vulnerabilities: u64,
    /// Assets.
    pub assets: u64,
    /// Detections.
    pub detections: u64,
}

/// The job.
#[derive(Debug, Default, Serialize)]
pub struct JobSummary {
    /// Its number.
    pub number: String,
    /// Its status.
    pub status: String,
    /// Its tasks.
    pub tasks: Tasks,
}

/// Tasks by what became of them.
#[derive(Debug, Default, Serialize)]
pub struct Tasks {
    /// Code 0.
    pub succeeded: i64,
    /// Code 1.
    pub failed: i64,
    /// Codes 33 and 101.
    pub skipped: i64,
}

/// A score before and after.
#[derive(Debug, Default, Serialize)]
pub struct Score {
    /// QID.
    pub qid: i64,
    /// CVE.
    pub cve: String,
    /// Inherent.
    pub before: u8,
    /// Points taken off.
    pub points: u8,
    /// Residual.
    pub after: u8,
}

/// The rescan.
#[derive(Debug, Default, Serialize)]
pub struct Scan {
    /// VSCAN number.
    pub number: String,
    /// State.
    pub state: String,
    /// Child scans.
    pub children: usize,
}

/// What the rescan says of one item.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// VIT number.
    pub item: String,
    /// Verdict word.
    pub verdict: String,
    /// The item's state after the import.
    pub state: String,
}

impl Summary {
    /// Hold the object to what the demo claims.
    ///
    /// # Errors
    /// The first claim that does not hold.
    pub fn check(&self) -> Result<(), Failure> {
        let score = &self.score;
        let claims = [
            (self.imported.detections > 0, "detections were imported"),
            (self.job.status == "COMPLETED", "the job is COMPLETED"),
            (self.job.tasks.succeeded > 0 && self.job.tasks.failed == 0, "tasks succeeded and none failed"),
            (self.job.tasks.skipped == 0, "only what applies on the machines was chosen"),
            (
                score.points > 0 && score.after == score.before.saturating_sub(score.points).max(1),
                "the score fell by the points",
            ),
            (self.mitigated_items > 0, "items are mitigated"),
            (self.scan.state == "complete", "the rescan is complete"),
            (self.closed_fixed > 0, "the item that is really gone is closed"),
            (
                self.verdicts.iter().any(|v| v.verdict == "still_present_mitigated" && v.state != "closed"),
                "the mitigated item that is still seen stays open",
            ),
            (!self.changed_files.is_empty(), "files were changed"),
        ];
        match claims.iter().find(|(holds, _)| !holds) {
            None => Ok(()),
            Some((_, claim)) => Err(Failure::Said(format!("the demo did not do what it claims: {claim}; {self:?}"))),
        }
    }
}
