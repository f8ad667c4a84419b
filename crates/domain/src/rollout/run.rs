//! The life of a run: open, halting, halted, ended (`fleet-execution.md` 6.3, S7).
//!
//! A halt is durable at once and closes the permits with it; the run counts as halted once nothing that was permitted before can
//! still be at work. People resume it, or end it by cancelling the job.

use crate::refusal::Refusal;
use serde::{Deserialize, Serialize};

/// State of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Orders are made, permits granted.
    Open,
    /// Nothing more starts; what was permitted before may still be at work.
    Halting,
    /// Nothing is at work.
    Halted,
    /// Every task has ended.
    Ended,
}

impl RunState {
    /// Every state.
    pub const ALL: [RunState; 4] = [RunState::Open, RunState::Halting, RunState::Halted, RunState::Ended];

    /// The word used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Open => "open",
            RunState::Halting => "halting",
            RunState::Halted => "halted",
            RunState::Ended => "ended",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// A halt stands.
    #[must_use]
    pub fn stopped(self) -> bool {
        matches!(self, RunState::Halting | RunState::Halted)
    }
}

/// What happens to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunEvent {
    /// A gate or a person stops it.
    Halt,
    /// Nothing that was permitted is at work any more.
    Drained,
    /// A person lets it go on.
    Resume,
    /// A person opens the next wave whatever the gate says.
    Promote,
    /// Every task has ended.
    End,
}

impl RunEvent {
    /// Every event.
    pub const ALL: [RunEvent; 5] =
        [RunEvent::Halt, RunEvent::Drained, RunEvent::Resume, RunEvent::Promote, RunEvent::End];
}

/// The state after an event.
///
/// # Errors
/// `run_ended`, `run_halted`, `run_not_halted`: what a person asked for cannot follow this state.
pub fn step(state: RunState, event: RunEvent) -> Result<RunState, Refusal> {
    match (state, event) {
        (_, RunEvent::End) => Ok(RunState::Ended),
        (RunState::Halting, RunEvent::Drained) => Ok(RunState::Halted),
        (_, RunEvent::Drained) => Ok(state),
        (RunState::Ended, _) => Err(Refusal::new("run_ended", "the run has ended")),
        (RunState::Open, RunEvent::Halt) => Ok(RunState::Halting),
        (_, RunEvent::Halt) => Err(Refusal::new("run_halted", "the run is halted already")),
        (RunState::Open, RunEvent::Resume) => Err(Refusal::new("run_not_halted", "the run is not halted")),
        (_, RunEvent::Resume) => Ok(RunState::Open),
        (RunState::Open, RunEvent::Promote) => Ok(RunState::Open),
        (_, RunEvent::Promote) => {
            Err(Refusal::new("run_halted", "the run is halted; resume it before its next wave is opened"))
        }
    }
}
