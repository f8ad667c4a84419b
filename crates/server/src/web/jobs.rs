//! `/jobs`: the list of mitigation jobs.

use crate::pages::chips::{Chip, Tone};
use protocol::api::response::JobSummary;

/// A job's status as a mark; one that is enabled and has begun is running.
pub(super) fn status(job: &JobSummary) -> Chip {
    match job.status.as_str() {
        "DRAFT" => Chip::new(Tone::Idle, "Draft"),
        "DISABLED" => Chip::new(Tone::Idle, "Disabled"),
        "ENABLED" if job.started_at.is_some() => Chip::new(Tone::Run, "Running"),
        "ENABLED" => Chip::new(Tone::Sched, "Enabled"),
        "COMPLETED" => Chip::new(Tone::Ok, "Completed"),
        "COMPLETED_WITH_FAILURES" => Chip::new(Tone::Fail, "Completed with failures"),
        other => Chip::new(Tone::Idle, other),
    }
}
