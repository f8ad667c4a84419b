//! A refusal: why something may not be done, in a stable code and a sentence.
//!
//! The same value becomes the API's problem, the reason of a disabled button and the CLI's message.

use serde::Serialize;

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{sentence}")]
pub struct Refusal {
    /// Stable, machine-readable, `snake_case`.
    pub code: &'static str,
    /// What the reader should know and do; lower case, no full stop.
    pub sentence: String,
}

impl Refusal {
    /// A refusal with its code and sentence.
    pub fn new(code: &'static str, sentence: impl Into<String>) -> Self {
        Refusal { code, sentence: sentence.into() }
    }
}
