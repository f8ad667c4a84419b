//! The status column of vulnerabilities and items: how far the removal of one weakness on one asset has come.
//!
//! Spec mitigation-jobs.md section 7, S1.23, S1.25. It sums up what is decided elsewhere (the workflow state, the
//! `mitigation` field, the tasks of jobs) and decides nothing itself. What is stands before what will be: of work that is
//! merely scheduled the column tells only where nothing has been reached yet; work that runs stands above both.

use crate::item::{State, Substate};
use crate::score::Mitigation;
use crate::task;
use serde::Serialize;

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// Nothing is done and nothing is on its way.
    Open,
    /// An enabled job will do something, its time has not come.
    Scheduled,
    /// A task of a job has its turn: it is queued at the agent, at work, or being asked about.
    Running,
    /// Some CVEs are mitigated, or the score is lower.
    Partial,
    /// Every CVE is mitigated (S1.23, R9).
    Mitigated,
    /// A control that was in force was changed by somebody.
    Drifted,
    /// The scanner found it gone, or a fix was verified and a scan has to confirm it (R12).
    Fixed,
    /// Closed without having been seen gone.
    Closed,
}

impl Progress {
    /// Every word, in the order of the path.
    pub const WORDS: &'static [&'static str] = &[
        Progress::Open.as_str(),
        Progress::Scheduled.as_str(),
        Progress::Running.as_str(),
        Progress::Partial.as_str(),
        Progress::Mitigated.as_str(),
        Progress::Drifted.as_str(),
        Progress::Fixed.as_str(),
        Progress::Closed.as_str(),
    ];

    /// Every value.
    pub const ALL: [Progress; 8] = [
        Progress::Open,
        Progress::Scheduled,
        Progress::Running,
        Progress::Partial,
        Progress::Mitigated,
        Progress::Drifted,
        Progress::Fixed,
        Progress::Closed,
    ];

    /// The word used in the API and the query language.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Progress::Open => "open",
            Progress::Scheduled => "scheduled",
            Progress::Running => "running",
            Progress::Partial => "partial",
            Progress::Mitigated => "mitigated",
            Progress::Drifted => "drifted",
            Progress::Fixed => "fixed",
            Progress::Closed => "closed",
        }
    }

    /// The word back to the value; unknown words are `Open`, the claim that promises nothing.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        Self::ALL.into_iter().find(|progress| progress.as_str() == word).unwrap_or(Progress::Open)
    }

    /// As people read it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Progress::Open => "Open",
            Progress::Scheduled => "Job scheduled",
            Progress::Running => "Running",
            Progress::Partial => "Partly mitigated",
            Progress::Mitigated => "Mitigated",
            Progress::Drifted => "Drifted",
            Progress::Fixed => "Fixed",
            Progress::Closed => "Closed",
        }
    }
}

/// What jobs have to do with one weakness on one asset now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// A task for it waits for its time, in an enabled job.
    pub scheduled: bool,
    /// A task for it has its turn.
    pub running: bool,
}

impl Work {
    /// The same from the states of the tasks of enabled jobs.
    #[must_use]
    pub fn of(states: impl IntoIterator<Item = task::State>) -> Self {
        states.into_iter().fold(Work::default(), |work, state| Work {
            scheduled: work.scheduled || state == task::State::Pending,
            running: work.running || (!state.ended() && state != task::State::Pending),
        })
    }
}

/// The status of one weakness on one asset.
#[must_use]
pub fn of(state: State, substate: Substate, mitigation: Mitigation, work: Work) -> Progress {
    match (state, substate, mitigation) {
        (State::Closed, Substate::Fixed, _) | (State::Resolved, Substate::AwaitingScan, _) => Progress::Fixed,
        (State::Closed, ..) => Progress::Closed,
        _ if work.running => Progress::Running,
        (.., Mitigation::Drifted) => Progress::Drifted,
        (.., Mitigation::Mitigated) => Progress::Mitigated,
        (.., Mitigation::Partial) => Progress::Partial,
        _ if work.scheduled => Progress::Scheduled,
        _ => Progress::Open,
    }
}

/// The status of a vulnerability from those of its items that are not closed, each with how many there are: what runs
/// first, then what went wrong; mitigated only where all are (S1.23 asset by asset), partly where some are.
/// `None` where there is none.
#[must_use]
pub fn sum(items: &[(Progress, i64)]) -> Option<Progress> {
    let has = |wanted: Progress| items.iter().any(|(progress, count)| *progress == wanted && *count > 0);
    let only = |wanted: &[Progress]| items.iter().all(|(progress, count)| *count == 0 || wanted.contains(progress));
    if items.iter().all(|(_, count)| *count == 0) {
        return None;
    }
    Some(if has(Progress::Running) {
        Progress::Running
    } else if has(Progress::Drifted) {
        Progress::Drifted
    } else if only(&[Progress::Closed]) {
        Progress::Closed
    } else if only(&[Progress::Fixed, Progress::Closed]) {
        Progress::Fixed
    } else if only(&[Progress::Mitigated, Progress::Fixed, Progress::Closed]) {
        Progress::Mitigated
    } else if has(Progress::Partial) || has(Progress::Mitigated) || has(Progress::Fixed) {
        Progress::Partial
    } else if has(Progress::Scheduled) {
        Progress::Scheduled
    } else {
        Progress::Open
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_25_the_status_of_an_item_by_table() {
        let idle = Work::default();
        let scheduled = Work { scheduled: true, running: false };
        let running = Work { scheduled: true, running: true };
        for (state, substate, mitigation, work, expected) in [
            (State::Open, Substate::None, Mitigation::None, idle, Progress::Open),
            (State::Open, Substate::None, Mitigation::None, scheduled, Progress::Scheduled),
            (State::Open, Substate::None, Mitigation::None, running, Progress::Running),
            (State::UnderInvestigation, Substate::None, Mitigation::Partial, idle, Progress::Partial),
            (State::Open, Substate::None, Mitigation::Partial, scheduled, Progress::Partial),
            (State::Open, Substate::None, Mitigation::Mitigated, scheduled, Progress::Mitigated),
            (State::Open, Substate::None, Mitigation::Mitigated, running, Progress::Running),
            (State::Open, Substate::None, Mitigation::Drifted, scheduled, Progress::Drifted),
            (State::Resolved, Substate::None, Mitigation::None, idle, Progress::Open),
            (State::Resolved, Substate::AwaitingScan, Mitigation::None, running, Progress::Fixed),
            (State::Closed, Substate::Fixed, Mitigation::Mitigated, running, Progress::Fixed),
            (State::Closed, Substate::Stale, Mitigation::Mitigated, idle, Progress::Closed),
        ] {
            assert_eq!(
                of(state, substate, mitigation, work),
                expected,
                "{state:?} {substate:?} {mitigation:?} {work:?}"
            );
        }
    }

    #[test]
    fn work_is_what_open_tasks_say() {
        use task::State as T;
        assert_eq!(Work::of([]), Work::default());
        assert_eq!(Work::of([T::Pending, T::Succeeded]), Work { scheduled: true, running: false });
        for state in [T::Ready, T::Offered, T::Accepted, T::Running, T::Unknown] {
            assert_eq!(Work::of([state]), Work { scheduled: false, running: true }, "{state:?}");
        }
    }

    #[test]
    fn the_status_of_a_vulnerability_is_mitigated_only_where_all_are() {
        use Progress::{Drifted, Fixed, Mitigated, Open, Partial, Running, Scheduled};
        for (items, expected) in [
            (vec![], None),
            (vec![(Open, 0)], None),
            (vec![(Open, 3)], Some(Open)),
            (vec![(Open, 3), (Scheduled, 1)], Some(Scheduled)),
            (vec![(Mitigated, 3)], Some(Mitigated)),
            (vec![(Mitigated, 3), (Open, 1)], Some(Partial)),
            (vec![(Mitigated, 3), (Scheduled, 1)], Some(Partial)),
            (vec![(Mitigated, 3), (Fixed, 1)], Some(Mitigated)),
            (vec![(Fixed, 2)], Some(Fixed)),
            (vec![(Mitigated, 3), (Drifted, 1)], Some(Drifted)),
            (vec![(Drifted, 3), (Running, 1)], Some(Running)),
        ] {
            assert_eq!(sum(&items), expected, "{items:?}");
        }
    }

    #[test]
    fn words_lead_back() {
        for progress in Progress::ALL {
            assert_eq!(Progress::parse(progress.as_str()), progress);
        }
        assert_eq!(Progress::WORDS.len(), Progress::ALL.len());
    }
}
