//! Why a command did not do what it was asked, and the exit code that says so.

use protocol::problem::Problem;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit codes, as `quell --help` shows them.
pub const EXIT_CODES: &str = "Exit codes:
  0  done
  1  failed, or the server refused what was given
  2  the command line is wrong
  3  not signed in, or not allowed
  4  no such record
  5  not possible in the present state, or changed meanwhile
  6  the server cannot be reached, is not trusted, or asks to try again later
  7  what was waited for cannot go on by itself";

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server answered with a problem.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// No server is named.
    #[error("no server is named: sign in with `quell login URL`, or give --server or QUELL_SERVER")]
    NoServer,
    /// The server cannot be reached.
    #[error("cannot reach {url}")]
    Unreachable {
        /// The server.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The server's certificate is not the pinned one, or nobody vouches for it.
    #[error("{url} is not trusted: {why}")]
    Untrusted {
        /// The server.
        url: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// The server answered with something else than the API does.
    #[error("{url} answered with something this program does not understand; is it a Quell server of this version?")]
    Answer {
        /// What was asked.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// "read" or "write".
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A part of the program refused, in its own words.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
    /// Anything else, told in full.
    #[error("{0}")]
    Said(String),
    /// What was waited for does not go on until somebody does something.
    #[error("{0}")]
    Stopped(String),
    /// Something inside the program or the system failed.
    #[error("{attempt}")]
    Internal {
        /// What was attempted.
        attempt: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Failure {
    /// A failure with its cause.
    pub fn internal(attempt: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
        Failure::Internal { attempt: attempt.to_owned(), source: source.into() }
    }

    /// The exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::NoServer => 3,
            Failure::Unreachable { .. } | Failure::Untrusted { .. } => 6,
            Failure::Stopped(_) => 7,
            Failure::Problem(problem) => match problem.status {
                401 | 403 => 3,
                404 => 4,
                409 | 412 => 5,
                429 | 503 => 6,
                _ => 1,
            },
            _ => 1,
        })
    }
}
