//! Results in words: what people, reports and the Qualys-compatible API read of a task's state, code and detail.
//!
//! Mitigation rules 3.2, 3.3 and 3.7, R13 to R16. A code is never shown without its reason. What a task's state *is* is
//! decided in `task`; which detail it gets in the server's results.

use crate::mitigation::ControlState;
use crate::task::State;
use serde::Serialize;

/// The result of one mitigation on one asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Action {
    /// Its time has not come, or it waits for its agent.
    Pending,
    /// At work on the host, or being asked about.
    Running,
    /// Code 0, and in force.
    Succeeded,
    /// Code 0, written but not in force before a restart. Qualys names the word and leaves its meaning open; ours is this.
    Partial,
    /// Code 1.
    Failed,
    /// Codes 33 and 101.
    Skipped,
}

impl Action {
    /// Every one.
    pub const ALL: [Action; 6] =
        [Action::Pending, Action::Running, Action::Succeeded, Action::Partial, Action::Failed, Action::Skipped];

    /// The word in reports and in the Qualys-compatible API, as Qualys writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Pending => "Pending",
            Action::Running => "Running",
            Action::Succeeded => "Succeeded",
            Action::Partial => "Partial",
            Action::Failed => "Failed",
            Action::Skipped => "Skipped",
        }
    }

    /// The word back to the value, upper and lower case alike.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str().eq_ignore_ascii_case(word))
    }

    /// Of a task in this state, whose control was last found as given; `None` for a task that does not exist yet.
    #[must_use]
    pub fn of(state: Option<State>, control: Option<ControlState>) -> Self {
        let Some(state) = state else { return Action::Pending };
        match (state.code(), state) {
            (Some(0), State::Succeeded) if control == Some(ControlState::Configured) => Action::Partial,
            (Some(0), _) => Action::Succeeded,
            (Some(1), _) => Action::Failed,
            (Some(_), _) => Action::Skipped,
            (None, State::Accepted | State::Running | State::Unknown) => Action::Running,
            (None, _) => Action::Pending,
        }
    }
}

/// How one asset stands in a run, from its tasks there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Asset {
    /// Nothing has begun.
    Pending,
    /// Something has begun, something is open.
    Running,
    /// Over, no task with code 1.
    Completed,
    /// Over, with a code 1 (R16, asset by asset).
    CompletedWithFailures,
}

impl Asset {
    /// As people read it, and Qualys writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Asset::Pending => "Pending",
            Asset::Running => "Running",
            Asset::Completed => "Completed",
            Asset::CompletedWithFailures => "Completed with Failure",
        }
    }

    /// From the states of its tasks; without any it is pending.
    #[must_use]
    pub fn of(states: &[State]) -> Self {
        if states.is_empty() || states.iter().all(|state| Action::of(Some(*state), None) == Action::Pending) {
            return Asset::Pending;
        }
        if states.iter().any(|state| !state.ended()) {
            return Asset::Running;
        }
        if states.iter().any(|state| state.code() == Some(1)) { Asset::CompletedWithFailures } else { Asset::Completed }
    }
}

/// The reason behind a detail code, 203 to 206; `None` for any other.
#[must_use]
pub fn detail(code: i64) -> Option<&'static str> {
    match code {
        203 => Some("already in place, put there by others; the score was lowered"),
        204 => Some("already in place, put there by an earlier job of ours"),
        205 => Some("not ours, so it was left alone"),
        206 => Some("already in place by others, and the score was lowered for it before"),
        _ => None,
    }
}

/// What a result code says by itself.
#[must_use]
pub fn code(code: i64) -> &'static str {
    match code {
        0 => "Succeeded",
        1 => "Failed",
        33 | 101 => "Skipped",
        _ => "Unknown code",
    }
}

/// The reason of a result in one sentence: of the detail where there is one, else what the agent or the server said, else
/// what the code means.
#[must_use]
pub fn reason(of: Option<i64>, with: Option<i64>, message: &str) -> String {
    match (with.and_then(detail), message, of) {
        (Some(words), "", _) => words.to_owned(),
        (Some(words), message, _) => format!("{words}: {message}"),
        (None, "", Some(number)) => code(number).to_owned(),
        (None, message, _) => message.to_owned(),
    }
}

/// The number people see: `0`, `1`, `33/203`, `101`.
#[must_use]
pub fn number(of: i64, with: Option<i64>) -> String {
    with.map_or_else(|| of.to_string(), |with| format!("{of}/{with}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r13_r14_r15_every_detail_has_its_reason_in_words() {
        for number in 203..=206 {
            assert!(detail(number).is_some_and(|words| words.len() > 20), "{number}");
            assert!(reason(Some(33), Some(number), "").len() > 20, "{number}");
        }
        assert_eq!(detail(207), None);
        assert_eq!(reason(Some(1), None, "no such file"), "no such file");
        assert_eq!(reason(Some(101), None, ""), "Skipped");
        assert_eq!(reason(None, None, ""), "");
        assert_eq!(number(33, Some(203)), "33/203");
    }

    #[test]
    fn the_words_of_actions_by_table() {
        for state in State::ALL {
            let action = Action::of(Some(state), Some(ControlState::Effective));
            let expected = match state.code() {
                Some(0) => Action::Succeeded,
                Some(1) => Action::Failed,
                Some(_) => Action::Skipped,
                None if matches!(state, State::Accepted | State::Running | State::Unknown) => Action::Running,
                None => Action::Pending,
            };
            assert_eq!(action, expected, "{state:?}");
            assert_eq!(Action::parse(&action.as_str().to_lowercase()), Some(action));
        }
        assert_eq!(Action::of(Some(State::Succeeded), Some(ControlState::Configured)), Action::Partial);
        assert_eq!(Action::of(Some(State::Reverted), Some(ControlState::Configured)), Action::Succeeded);
        assert_eq!(Action::of(None, None), Action::Pending);
    }

    #[test]
    fn r16_an_asset_with_a_failure_is_completed_with_failure() {
        for (states, expected) in [
            (vec![], Asset::Pending),
            (vec![State::Pending, State::Offered], Asset::Pending),
            (vec![State::Pending, State::Succeeded], Asset::Running),
            (vec![State::Unknown], Asset::Running),
            (vec![State::Succeeded, State::Unchanged, State::Cancelled], Asset::Completed),
            (vec![State::Succeeded, State::Failed], Asset::CompletedWithFailures),
        ] {
            assert_eq!(Asset::of(&states), expected, "{states:?}");
        }
    }
}
