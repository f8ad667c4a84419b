//! Calls to the scanner and its answers, in the terms of a launch at work.

use crate::app::App;
use crate::connect::qualys::{self, Client};
use crate::http::error::causes;
use crate::instances::{ConnectError, connect};
use crate::platforms::Purpose;
use domain::id::InstanceId;
use domain::rescan::Told;
use domain::time::Timestamp;
use intake::qualys::scans::{ScanReport, ScanState};
use std::time::Duration;

/// How long one call to the scanner may take. Below the time of a claim and the search after it, so that nobody
/// searches for a launch that is still on its way.
const CALL_TIMEOUT: Duration = Duration::from_secs(45);
/// How long signing out may take.
const SIGN_OUT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait that a limit of the scanner can ask for, in seconds.
const LIMIT_SECONDS_MAX: i64 = 24 * 3_600;

/// What a call to the scanner came to.
pub(super) enum Failed {
    /// It is unknown whether it worked.
    Lost(String),
    /// It did not work, and may later; perhaps not before so many seconds.
    Later(String, i64),
    /// It will not work.
    Refused(String),
}

impl Failed {
    pub(super) fn text(&self) -> &str {
        match self {
            Failed::Lost(text) | Failed::Later(text, _) | Failed::Refused(text) => text,
        }
    }
}

impl From<qualys::Error> for Failed {
    fn from(error: qualys::Error) -> Self {
        let text = causes(&error);
        match error {
            qualys::Error::Uncertain { .. } => Failed::Lost(text),
            qualys::Error::Limited { wait, .. } => {
                Failed::Later(text, i64::try_from(wait.as_secs()).unwrap_or(LIMIT_SECONDS_MAX))
            }
            error if error.transient() => Failed::Later(text, 0),
            _ => Failed::Refused(text),
        }
    }
}

impl From<ConnectError> for Failed {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Store(error) => Failed::Later(causes(&error), 0),
            ConnectError::Scanner(error) => error.into(),
            error => Failed::Refused(causes(&error)),
        }
    }
}

/// A call with its time limit.
pub(super) async fn timed<T>(call: impl Future<Output = Result<T, qualys::Error>>) -> Result<T, Failed> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failed::Lost(format!("the scanner did not answer within {} seconds", CALL_TIMEOUT.as_secs()))),
    }
}

/// A client that gives up at once: waiting is done in the database, where a restart does not lose it.
pub(super) async fn client(app: &App, instance: InstanceId) -> Result<Client, Failed> {
    Ok(connect(app, instance, Purpose::Rescan).await?)
}

/// A session that is not ended ends by itself.
pub(super) async fn sign_out(client: &Client) {
    let _ = tokio::time::timeout(SIGN_OUT_TIMEOUT, client.close()).await;
}

/// The scanner's instants count microseconds like ours.
pub(super) fn instant(at: Option<intake::observation::Micros>) -> Option<Timestamp> {
    at.map(Timestamp::from_micros)
}

pub(super) fn told(report: &ScanReport) -> Told {
    match report.state {
        Some(ScanState::Finished) => Told::Finished { processed: report.processed },
        Some(ScanState::Canceled) => Told::Cancelled,
        Some(ScanState::Error) => Told::Error,
        _ => Told::Going,
    }
}

/// What is worth saying about a scan.
pub(super) fn words(report: &ScanReport, told: Told) -> String {
    let more = report.sub_state.as_deref().map(|word| format!(" ({word})")).unwrap_or_default();
    match (told, &report.state) {
        (Told::Finished { processed: false }, _) => format!("finished{more}; the scanner processes its results"),
        (Told::Finished { processed: true }, _) => format!("finished{more}; its results are being pulled"),
        (Told::Cancelled, _) => {
            format!(
                "the scan was cancelled at the scanner{more}; what it found by then is taken in once it is processed"
            )
        }
        (Told::Error, _) => format!("the scan ended with an error at the scanner{more}"),
        (_, Some(ScanState::Queued)) => "waiting at the scanner".to_owned(),
        (_, Some(ScanState::Paused)) => "paused at the scanner".to_owned(),
        (_, Some(ScanState::Loading)) => "the scanner stores its results".to_owned(),
        _ => String::new(),
    }
}
