//! Imports: from files and from scanners' platforms, through one merge.
//!
//! A file is read to its end before the first write, so it is all or nothing: a refused file leaves nothing behind.
//! From a platform one host is the unit: a failed run keeps its complete hosts, says so, and moves no cursor; the next
//! one asks for the same window again, and what is in already is found unchanged. One import of an instance runs at a
//! time, on whichever replica, under a lease; what is wanted meanwhile waits in a queue and begins in its turn. The run of a
//! server that died is called failed by the next one.

mod batch;
mod convert;
pub mod file;
mod merger;
pub mod platform;
mod queue;
mod schedule;
mod setup;
pub mod watch;

pub use queue::ask;
pub use schedule::run as schedule;

use crate::app::App;
use crate::http::error::causes;
use crate::instances::ConnectError;
use domain::id::InstanceId;
use domain::number::Number;
use domain::refusal::Refusal;
use store::imports::{Cause, Counters};

/// Code of a refusal: another run of the instance is at work. It passes by itself.
pub const RUNNING: &str = "import_running";
/// Code of a refusal: an import of the same kind waits already and will bring the same.
pub const QUEUED: &str = store::imports::QUEUED;

/// What is imported from a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Set-up, knowledge base, detections and what these name.
    Everything,
    /// The knowledge base, by modification time.
    KnowledgeBase,
    /// The whole knowledge base, part by part.
    KnowledgeBaseFull,
    /// Detections by processing time, and the vulnerabilities they name.
    HostDetection,
    /// All detections of all hosts.
    Comprehensive,
    /// Every host, with names, tags and scan times.
    HostList,
    /// Option profiles, appliances, asset groups.
    Setup,
    /// Option profiles.
    OptionProfiles,
    /// Appliances and asset groups.
    Appliances,
    /// Search lists.
    SearchLists,
    /// Chosen hosts and vulnerabilities; moves no cursor.
    Targeted {
        /// The scanner's ids of the hosts.
        hosts: Vec<i64>,
        /// The scanner's numbers of the vulnerabilities.
        qids: Vec<i64>,
        /// What it is for: `scans/VSCAN0000001`.
        source: String,
    },
}

/// An import that somebody wants.
#[derive(Clone, Debug)]
pub struct Request {
    /// The instance.
    pub instance: InstanceId,
    /// What is imported.
    pub what: What,
    /// Why.
    pub cause: Cause,
    /// Who asked: `users/ada`, `engine/import`.
    pub actor: String,
}

/// Import from a platform now, and wait for the end.
///
/// # Errors
/// [`Error`]; the run's record, where there is one, says the same.
pub async fn run(app: &App, request: Request) -> Result<(Number, Counters), Error> {
    let started = platform::start(app, request).await?;
    let number = started.number;
    Ok((number, started.run().await?))
}

/// Pull exactly these hosts and vulnerabilities after a rescan, through the same merge, without moving a cursor. `source`
/// says what it is for.
///
/// # Errors
/// [`Error`]; `import_running` passes by itself: try again later.
pub async fn import_targeted(
    app: &App,
    instance: InstanceId,
    hosts: Vec<i64>,
    qids: Vec<i64>,
    source: String,
) -> Result<(Number, Counters), Error> {
    let what = What::Targeted { hosts, qids, source };
    run(app, Request { instance, what, cause: Cause::Scan, actor: "engine/rescan".to_owned() }).await
}

/// Where large answers and uploads lie while they are read.
///
/// # Errors
/// Where it cannot be made.
pub fn spool_folder(app: &App) -> std::io::Result<std::path::PathBuf> {
    let folder = app.config.data_dir.join("spool");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

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
    /// The scanner's platform did not do its part.
    #[error(transparent)]
    Scanner(#[from] crate::connect::qualys::Error),
    /// The kept password cannot be opened.
    #[error(transparent)]
    Unopenable(#[from] crate::secrets::Unopenable),
    /// The database refused.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Somebody stopped it.
    #[error("the import was cancelled")]
    Cancelled,
    /// The server is stopping.
    #[error("the server is stopping; start the import again afterwards")]
    Stopping,
}

impl Error {
    /// What kind of failure it is, as a run keeps it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Refused(refusal) => refusal.code,
            Error::Input(error) => error.kind(),
            Error::Spool(_) => "spool",
            Error::Scanner(error) => error.kind(),
            Error::Unopenable(_) => "password_unopenable",
            Error::Store(_) => "store",
            Error::Cancelled => "cancelled",
            Error::Stopping => "stopping",
        }
    }

    /// The error with its causes, in one line, as a run keeps it.
    #[must_use]
    pub fn reason(&self) -> String {
        causes(self)
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Refused(refusal) => Error::Refused(refusal),
            ConnectError::Unopenable(error) => Error::Unopenable(error),
            ConnectError::Scanner(error) => Error::Scanner(error),
            ConnectError::Store(error) => Error::Store(error),
        }
    }
}

impl From<Error> for crate::http::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::Input(error) => crate::http::Error::field("file", error.kind(), error.to_string()),
            Error::Store(error) => error.into(),
            Error::Scanner(error) => ConnectError::Scanner(error).into(),
            Error::Unopenable(error) => ConnectError::Unopenable(error).into(),
            Error::Stopping => crate::http::Error::problem(
                axum::http::StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "the server is stopping; start the import again afterwards",
            ),
            error @ (Error::Spool(_) | Error::Cancelled) => crate::http::Error::internal(error),
        }
    }
}

/// Another run of the instance is at work.
fn running() -> Error {
    Error::Refused(Refusal::new(
        RUNNING,
        "an import of this instance is running; wait for its end, then start the next one",
    ))
}

/// One of the same kind waits already.
fn queued() -> Error {
    Error::Refused(Refusal::new(
        QUEUED,
        "an import of this kind waits already and will bring the same; follow that one, or cancel it",
    ))
}
