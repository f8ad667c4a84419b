//! How tasks stand, for whoever counts and looks through them.

use super::State;

/// What people ask of tasks: which failed, which are at work, which are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Ended with code 1.
    Failed,
    /// At work on the host, or nobody knows.
    Running,
    /// Ended with code 0.
    Succeeded,
    /// Ended without work: in place already, not applicable, cancelled.
    Skipped,
    /// Yet to start.
    Queued,
}

impl Group {
    /// Every group; what needs attention comes first.
    pub const ALL: [Group; 5] = [Group::Failed, Group::Running, Group::Succeeded, Group::Skipped, Group::Queued];

    /// Where a task in this state belongs.
    #[must_use]
    pub fn of(state: State) -> Group {
        match (state, state.code()) {
            (_, Some(0)) => Group::Succeeded,
            (_, Some(1)) => Group::Failed,
            (_, Some(_)) => Group::Skipped,
            (State::Accepted | State::Running | State::Unknown, None) => Group::Running,
            (_, None) => Group::Queued,
        }
    }

    /// The word of the query language: `is:failed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Group::Failed => "failed",
            Group::Running => "running",
            Group::Succeeded => "succeeded",
            Group::Skipped => "skipped",
            Group::Queued => "queued",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.as_str() == word)
    }
}
