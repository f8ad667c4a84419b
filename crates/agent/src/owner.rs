//! The host owner's own view and last word: what the agent is, what it changed, and putting it back without the server.

use crate::executor::Executor;
use crate::journal::{Journal, WORK_BYTES_MAX};
use crate::orders::{Book, STRANGERS_KEPT_MAX};
use crate::record::By;
use crate::state::{StateDir, StateError};
use protocol::agent::Outcome;
use std::fmt::Write as _;
use std::path::Path;

/// A page of text about the agent whose directory this is. Works while it runs, too.
///
/// # Errors
/// When the directory cannot be read.
pub fn status(state: &Path) -> Result<String, StateError> {
    let state = StateDir::open(state)?;
    let Some(enrolment) = state.enrolment()? else { return Err(StateError::NotEnrolled(state.path().to_owned())) };
    let controls = state.controls();
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:14}{value}");
    };
    line("server", &enrolment.server);
    line("agent", &enrolment.agent_id.to_string());
    line("instance", &enrolment.instance_id.to_string());
    line("version", env!("CARGO_PKG_VERSION"));
    line("running", if state.lock().is_err() { "yes" } else { "no" });
    line("mode", controls.mode());
    match state.confinement().as_str() {
        "" => {}
        "none" => line("confined by", "NOTHING (--unconfined)"),
        word => line("confined by", word),
    }
    line("restarts", if controls.restart { "allowed" } else { "not allowed" });
    if !controls.deny.is_empty() {
        line("denied", &controls.deny.join(", "));
    }
    let (journal, records) = match Journal::read(&state.journal()) {
        Ok(read) => read,
        Err(error) => {
            line("journal", &error.to_string());
            return Ok(text);
        }
    };
    let book = Book::read(&records);
    match journal {
        Some(offset) => line("journal", &format!("DAMAGED at byte {offset}: no changes are made")),
        None => line("journal", &format!("{} records", records.len())),
    }
    let size = Journal::size(&state.journal());
    if size >= WORK_BYTES_MAX {
        line("", &format!("FULL, {size} bytes: no new work is taken until the server acknowledges; revert works"));
    }
    if book.strangers() >= STRANGERS_KEPT_MAX {
        line("", &format!("{STRANGERS_KEPT_MAX} revocations of orders never seen are kept, no more are taken"));
    }
    let (root, index) = book.trust();
    line("root", &format!("version {root}"));
    line("index", &format!("version {index}"));
    line("undelivered", &book.unacknowledged().len().to_string());
    for order in book.open() {
        line("order", &format!("{} epoch {}: {}", order.task, order.epoch, order.state));
    }
    for (order, restart) in book.awaiting_restart() {
        let what = if restart.begun { "is restarting this machine" } else { "waits for a restart of this machine" };
        line("", &format!("{} {what}", order.entry_id));
    }
    if book.holdings().is_empty() {
        line("changed here", "nothing");
    }
    for holding in book.holdings().values() {
        line("changed here", &format!("{} revision {}", holding.entry_id, holding.revision));
        for hold in &holding.holds {
            let by = match hold.by {
                By::Us => "by this agent",
                By::AnotherEntry => "shared with another entry",
                By::Others => "was in place before",
            };
            line("", &format!("{} ({by})", hold.target));
        }
    }
    Ok(text.trim_end().to_owned())
}

/// Put back one entry or everything; says what happened, and whether all of it worked. Their order does
/// not matter: each takes back its own settings and nothing else.
#[must_use]
pub fn revert(mut executor: Executor, entry: Option<&str>, dry_run: bool) -> (String, bool) {
    let entries: Vec<String> = match entry {
        Some(entry) => vec![entry.to_owned()],
        None => executor.book().holdings().keys().cloned().collect(),
    };
    if entries.is_empty() {
        return ("nothing to put back".to_owned(), true);
    }
    let (mut text, mut all) = (String::new(), true);
    for entry in entries {
        let report = executor.revert_entry(&entry, None, dry_run);
        let ok = matches!(report.outcome, Outcome::Reverted | Outcome::Reported);
        all &= ok;
        let _ = writeln!(text, "{entry}: {}", report.message);
        // Two settings of one file share its diff.
        let mut diffs: Vec<&str> = report.actions.iter().map(|action| action.diff.as_str()).collect();
        diffs.dedup();
        let _ = write!(text, "{}", diffs.concat());
    }
    (text.trim_end().to_owned(), all)
}
