//! The dry run of a job: which jobs can have one, and what a machine's plan says of a task.
//!
//! A dry run changes nothing on any machine, needs no approval, does not count as the job's start and leaves no control.
//! The exact changes are the agents' word (`protocol::agent`); what they would do to the scores is [`crate::score::predict`].

use crate::job::Status;
use crate::refusal::Refusal;
use serde::Serialize;

/// How long agents have to answer, in seconds; a dry run with machines that are away ends then.
pub const SECONDS_MAX: i64 = 3_600;

/// Whether a job can be run dry now: a draft that says what to do where, a disabled job, or an enabled one that has not
/// started.
///
/// # Errors
/// `job_ended`, `job_started`, `no_assets`, `no_actions`.
pub fn may_begin(status: Status, started: bool, assets: usize, actions: usize) -> Result<(), Refusal> {
    let refuse = |code, sentence: &str| Err(Refusal::new(code, sentence));
    match status {
        Status::Draft | Status::Disabled => {}
        Status::Enabled if !started => {}
        Status::Enabled => return refuse("job_started", "the job has started; a dry run is for what has not"),
        _ => return refuse("job_ended", "the job has ended; make a new one from the same eliminations"),
    }
    match () {
        () if assets == 0 => refuse("no_assets", "at least one asset is needed for a dry run"),
        () if actions == 0 => refuse("no_actions", "at least one action is needed for a dry run"),
        () => Ok(()),
    }
}

/// What a machine says of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing was heard yet.
    Waiting,
    /// These changes would be made.
    Changes,
    /// Everything is in place already; of a rollback: there is nothing of ours.
    InPlace,
    /// The entry's conditions do not hold there.
    NotApplicable,
    /// It would fail, and the message says why.
    WouldFail,
    /// The agent did not answer, or would not.
    NoAnswer,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Verdict; 6] = [
        Verdict::Waiting,
        Verdict::Changes,
        Verdict::InPlace,
        Verdict::NotApplicable,
        Verdict::WouldFail,
        Verdict::NoAnswer,
    ];

    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Waiting => "waiting",
            Verdict::Changes => "changes",
            Verdict::InPlace => "in_place",
            Verdict::NotApplicable => "not_applicable",
            Verdict::WouldFail => "would_fail",
            Verdict::NoAnswer => "no_answer",
        }
    }

    /// Whether the entry would be in place on that machine after the job: what the prediction counts.
    #[must_use]
    pub fn ends_in_place(self) -> bool {
        matches!(self, Verdict::Changes | Verdict::InPlace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_can_be_run_dry_by_table() {
        for (status, started, assets, actions, code) in [
            (Status::Draft, false, 1, 1, None),
            (Status::Draft, false, 0, 1, Some("no_assets")),
            (Status::Draft, false, 1, 0, Some("no_actions")),
            (Status::Disabled, false, 1, 1, None),
            (Status::Disabled, true, 1, 1, None),
            (Status::Enabled, false, 1, 1, None),
            (Status::Enabled, true, 1, 1, Some("job_started")),
            (Status::Completed, true, 1, 1, Some("job_ended")),
            (Status::CompletedWithFailures, true, 1, 1, Some("job_ended")),
        ] {
            let found = may_begin(status, started, assets, actions).err().map(|refusal| refusal.code);
            assert_eq!(found, code, "{status:?} started={started} {assets} {actions}");
        }
    }

    #[test]
    fn only_what_ends_in_place_counts() {
        let counted: Vec<&str> =
            Verdict::ALL.into_iter().filter(|verdict| verdict.ends_in_place()).map(Verdict::as_str).collect();
        assert_eq!(counted, ["changes", "in_place"]);
    }
}
