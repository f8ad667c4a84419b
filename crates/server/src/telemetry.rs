//! Logs of the binaries. Messages are readable alone; identifiers are also fields; no secrets, no raw bodies.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Write logs to standard error, filtered as `filter` says (`info`, `server=debug`). Does nothing when a log is set up
/// already, so that tests may call it too.
///
/// # Errors
/// The text of what is wrong with `filter`.
pub fn start(filter: &str) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| format!("the log filter `{filter}` is not valid: {error}"))?;
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
    Ok(())
}
