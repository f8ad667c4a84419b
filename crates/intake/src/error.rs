//! How a reading can fail. Closed: every caller can say what to do about each.

use thiserror::Error;

/// The receiver of observations wants no more; it keeps its own reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// Why an input was not read to its good end. Whatever was handed out before belongs to a void input.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The scanner answered with an error, at the start or in the middle of data.
    #[error("the scanner answered with an error{}: {text}", code.as_deref().map(|code| format!(" (code {code})")).unwrap_or_default())]
    ApiError {
        /// The scanner's error code, number or word.
        code: Option<String>,
        /// The scanner's words.
        text: String,
        /// Further key and value pairs, for example `SECONDS_TO_WAIT`.
        items: Vec<(String, String)>,
    },
    /// The input ended before its root element was closed.
    #[error("the input ends in the middle, at line {line}; fetch or export it again")]
    Truncated {
        /// Last line seen, from 1.
        line: u64,
    },
    /// The input is not well-formed.
    #[error("the input is not well-formed at line {line}: {problem}")]
    NotWellFormed {
        /// Line of the problem, from 1.
        line: u64,
        /// What is wrong there.
        problem: String,
    },
    /// The input is some other document than the one asked for.
    #[error("expected {expected}, found {found}")]
    WrongRoot {
        /// What was asked for.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// The input defines or uses an entity of its own. Such definitions are never expanded.
    #[error(
        "the input defines or uses the entity `{name}` at line {line}; documents with their own entities are refused"
    )]
    EntityRefused {
        /// The entity's name, or the declaration's first characters.
        name: String,
        /// Line, from 1.
        line: u64,
    },
    /// A bound of [`crate::Limits`] was passed.
    #[error("{what} is larger than the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The bound, in the unit its documentation names.
        limit: u64,
    },
    /// The format is known, and not one that is imported.
    #[error("{}", refusal(name, *qualys, advice))]
    Refused {
        /// The format's name.
        name: String,
        /// Whether it is one of Qualys' formats.
        qualys: bool,
        /// What to use in its place.
        advice: &'static str,
    },
    /// The receiver asked to stop.
    #[error("reading was stopped by its receiver")]
    Stopped,
    /// The bytes could not be read.
    #[error("the input could not be read")]
    Io(#[source] std::io::Error),
}

impl From<Stop> for ReadError {
    fn from(_: Stop) -> Self {
        ReadError::Stopped
    }
}

impl ReadError {
    /// A short stable word for logs, summaries and tests.
    pub fn kind(&self) -> &'static str {
        match self {
            ReadError::ApiError { .. } => "api_error",
            ReadError::Truncated { .. } => "truncated",
            ReadError::NotWellFormed { .. } => "not_well_formed",
            ReadError::WrongRoot { .. } => "wrong_root",
            ReadError::EntityRefused { .. } => "entity_refused",
            ReadError::TooLarge { .. } => "too_large",
            ReadError::Refused { .. } => "refused",
            ReadError::Stopped => "stopped",
            ReadError::Io(_) => "io",
        }
    }
}

fn refusal(name: &str, qualys: bool, advice: &str) -> String {
    if qualys {
        format!("this is a Qualys {name}, which is not imported: {advice}")
    } else {
        format!("not a Qualys file: looks like {name}; {advice}")
    }
}
