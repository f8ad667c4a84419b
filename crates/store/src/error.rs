//! What can go wrong in the store, the same on both engines.
//!
//! A failed statement is told apart only as far as callers act on it. The text never holds row data.

use std::error::Error as StdError;

/// The source of an error that callers do not take apart.
pub type Source = Box<dyn StdError + Send + Sync>;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The record does not exist, or not any more.
    #[error("no such record")]
    NotFound,
    /// A unique index, a check or a foreign key forbids it. The name is the same on both engines: that of the index
    /// or the named constraint; `<table>_pkey` for a primary key; `foreign_key` for every foreign key, because SQLite
    /// does not say which; `<table>_<column>_not_null` for a missing value.
    #[error("the database refused a record: constraint {0}")]
    Conflict(String),
    /// The database is overloaded or somebody else holds what is needed; try again later.
    #[error("the database is busy, try again later")]
    Busy,
    /// The database cannot be reached or went away. A change that was under way may or may not have been kept.
    #[error("the database is not available")]
    Unavailable(#[source] Source),
    /// Everything else: a mistake in a statement, a full disk, a damaged file, a statement over its time limit.
    #[error("{attempt}")]
    Failed {
        /// What was attempted, in words.
        attempt: String,
        /// What the engine said.
        #[source]
        source: Source,
    },
}

/// The store's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// `attempt` in words ("could not read the lease \"import\""), and what the engine said.
    pub fn failed(attempt: impl Into<String>, source: impl Into<Source>) -> Self {
        Error::Failed { attempt: attempt.into(), source: source.into() }
    }

    /// Whether this is a conflict with the constraint of this name.
    pub fn conflicts_with(&self, constraint: &str) -> bool {
        matches!(self, Error::Conflict(name) if name == constraint)
    }
}

/// The beginning of a statement, on one line: enough to find it, and never data.
pub(crate) fn statement_text(sql: &str) -> String {
    const LENGTH_MAX: usize = 160;
    let mut text = String::new();
    for word in sql.split_whitespace() {
        if text.len() + word.len() > LENGTH_MAX {
            text.push_str(" …");
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// An engine's error in our words, and whether running the transaction again may help.
pub(crate) struct Explained {
    pub(crate) error: Error,
    /// Another transaction was in the way (a serialization failure or a deadlock).
    pub(crate) collided: bool,
}

impl From<Error> for Explained {
    fn from(error: Error) -> Self {
        Explained { error, collided: false }
    }
}
