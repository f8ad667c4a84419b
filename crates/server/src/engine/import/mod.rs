//! Imports: from files and from scanners' platforms, through one merge.
//!
//! A file is read to its end before the first write, so it is all or nothing: a refused file leaves nothing behind.
//! From a platform one host is the unit: a failed run keeps its complete hosts, says so, and moves no cursor; the next
//! one asks for the same window again, and what is in already is found unchanged. One import of an instance runs at a
//! time, on whichever replica, under a lease; the run of a server that died is called failed by the next one.

mod batch;
mod convert;
pub mod file;
mod merger;

use crate::http::error::causes;
use domain::refusal::Refusal;

/// Why an import did not start, or did not get to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It may not start.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The input is not usable.
    #[error("the file is not imported: {0}")]
    Input(#[from] intake::ReadError),
    /// The upload cannot be read back.
    #[error("the upload could not be kept or read")]
    Spool(#[source] std::io::Error),
    /// The database refused.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The server is stopping.
    #[error("the server is stopping; start the import again afterwards")]
    Stopping,
}

impl Error {
    /// The error with its causes, in one line, as a run keeps it.
    #[must_use]
    pub fn reason(&self) -> String {
        causes(self)
    }
}

impl From<Error> for crate::http::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::Input(error) => crate::http::Error::field("file", error.kind(), error.to_string()),
            Error::Store(error) => error.into(),
            Error::Stopping => crate::http::Error::problem(
                axum::http::StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "the server is stopping; start the import again afterwards",
            ),
            error @ Error::Spool(_) => crate::http::Error::internal(error),
        }
    }
}

/// Another run of the instance is at work.
fn running() -> Error {
    Error::Refused(Refusal::new(
        "import_running",
        "an import of this instance is running; wait for its end, then start the next one",
    ))
}
