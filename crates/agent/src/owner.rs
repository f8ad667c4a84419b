//! The host owner's own view and last word: what the agent is, what it changed, and putting it back without the server.

use crate::evidence::report;
use crate::executor::Executor;
use crate::failpoint;
use crate::journal::{Journal, JournalError, WORK_BYTES_MAX};
use crate::leftover;
use crate::orders::{Book, STRANGERS_KEPT_MAX};
use crate::printable::{self, one_line};
use crate::record::{By, Holding, Record, Step};
use crate::services::Restarted;
use crate::state::{StateDir, StateError};
use catalogue::schema::Entry;
use domain::mitigation::ControlState;
use protocol::agent::{EventKind, Outcome, TaskReport};
use protocol::order::{OrderKind, RefusalCode};
use std::fmt::Write as _;
use std::path::Path;

/// Names temporary files of the owner's reverts.
pub(crate) const OWNER_TAG: &str = "owner";

/// A page of text about the agent whose directory this is, without what could steer the terminal that shows it. Works while it runs,
/// too, and keeps nobody from starting.
///
/// # Errors
/// When the directory cannot be read.
pub fn status(state: &Path) -> Result<String, StateError> {
    let state = StateDir::open(state)?;
    let Some(enrolment) = state.enrolment()? else { return Err(StateError::NotEnrolled(state.path().to_owned())) };
    let controls = state.controls();
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:14}{}", one_line(value));
    };
    line("server", &enrolment.server);
    line("agent", &enrolment.agent_id.to_string());
    line("instance", &enrolment.instance_id.to_string());
    line("version", env!("CARGO_PKG_VERSION"));
    let running = state.running();
    line("running", if running { "yes" } else { "no" });
    if let Some(still) = leftover::still(&state.calls()).filter(|_| !running) {
        line("", &still);
    }
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
    for entry in book.owner_reverts().keys() {
        line("putting back", &format!("{entry}: not over; where it was cut off, the next start finishes it"));
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
/// not matter: each takes back its own settings and nothing else. A revert that was cut off before was finished when the
/// executor was opened, and is told of here.
#[must_use]
pub fn revert(mut executor: Executor, entry: Option<&str>, dry_run: bool) -> (String, bool) {
    let (mut text, mut all) = (String::new(), true);
    let asked = |of: &String| entry.is_none_or(|entry| entry == of);
    let mut entries: Vec<String> = match entry {
        Some(entry) => vec![entry.to_owned()],
        None => executor.book().holdings().keys().cloned().collect(),
    };
    for (of, report) in std::mem::take(&mut executor.finished_for_owner) {
        // What is still held is tried again below.
        if asked(&of) && !executor.book().holdings().contains_key(&of) {
            all &= report.outcome == Outcome::Reverted;
            let finished = format!("{of}: a revert that was cut off is finished: {}", report.message);
            let _ = writeln!(text, "{}", one_line(&finished));
            entries.retain(|entry| *entry != of);
        }
    }
    // Left open by a dry run, which finishes nothing.
    let open = executor.book().owner_reverts().keys().filter(|of| asked(of));
    for of in open.filter(|of| !executor.book().holdings().contains_key(*of)) {
        let _ = writeln!(text, "{of}: its files are back; the next start restarts what had read them");
        entries.retain(|entry| entry != of);
    }
    if entries.is_empty() && text.is_empty() {
        return ("nothing to put back".to_owned(), true);
    }
    for entry in entries {
        let report = executor.revert_entry(&entry, None, dry_run);
        let ok = matches!(report.outcome, Outcome::Reverted | Outcome::Reported);
        all &= ok;
        let _ = writeln!(text, "{}", one_line(&format!("{entry}: {}", report.message)));
        // Two settings of one file share its diff.
        let mut diffs: Vec<&str> = report.actions.iter().map(|action| action.diff.as_str()).collect();
        diffs.dedup();
        let _ = write!(text, "{}", printable::lines(&diffs.concat()));
    }
    (text.trim_end().to_owned(), all)
}

impl Executor {
    /// The owner's intent, durable, before anything is written (S3). A damaged journal takes no record and does not keep the owner
    /// from putting back what its intact part says: it is the last thing to be done with it.
    ///
    /// # Errors
    /// A sentence when it cannot be written.
    pub(crate) fn owner_intends(&mut self, holding: &Holding, steps: &[Step]) -> Result<(), String> {
        let record = Record::OwnerIntent {
            entry_id: holding.entry_id.clone(),
            content_digest: holding.content_digest.clone(),
            pre_digest: Step::digest_of(steps),
        };
        match self.record(&record) {
            Ok(()) => {}
            Err(error @ JournalError::Damaged { .. }) => {
                tracing::error!("{error}; what is put back now is not written down");
                return Ok(());
            }
            Err(error) => return Err(error.to_string()),
        }
        failpoint::hit("after-intent");
        self.end_waiting(&holding.entry_id);
        Ok(())
    }

    /// Orders that were taken before their owner put the entry back, and not begun, would put it in place again with the next
    /// start of the agent: they end here. What the server orders later is for `deny` and `halt`.
    fn end_waiting(&mut self, entry_id: &str) {
        let applies = self.book.waiting().into_iter();
        let applies = applies.filter(|order| order.kind == OrderKind::Apply && !order.dry_run);
        for order in applies.filter(|order| order.entry_id == entry_id) {
            let reason = format!("the host's owner put {entry_id} back after this order was taken");
            let end = EventKind::Refused { code: RefusalCode::Denied, reason, order: String::new() };
            self.finish(&order, end);
        }
    }

    /// The owner's revert is over. Where that cannot be written down the next start looks at it once more, which harms nothing.
    pub(crate) fn owner_ended(&mut self, entry_id: &str) {
        if !self.book.owner_reverts().contains_key(entry_id) {
            return;
        }
        if let Err(error) = self.record(&Record::OwnerEnd { entry_id: entry_id.to_owned() }) {
            tracing::error!("that the revert of {entry_id} is over was not journalled: {error}");
        }
    }

    /// After a crash: what the owner began to put back is put back whole, or its entry stays in force and can be put back again.
    /// An order is never run twice; this is, because it compares before it writes and the owner has the last word. `halt` and
    /// `monitor-only` do not hold it up: both are about orders. A dry run leaves it as it is.
    pub(crate) fn finish_for_owner(&mut self) {
        let open: Vec<(String, String)> =
            self.book.owner_reverts().iter().map(|(entry, digest)| (entry.clone(), digest.clone())).collect();
        for (entry_id, digest) in open {
            if self.dry_run {
                tracing::warn!("a revert of {entry_id} was cut off, and a dry run does not finish it");
                continue;
            }
            let places = self.book.holdings().get(&entry_id).map(|holding| holding.steps.iter().map(Step::place));
            let places: Vec<String> = places.map(Iterator::collect).unwrap_or_default();
            let held = self.book.holdings().contains_key(&entry_id);
            for place in places.iter().filter(|place| place.starts_with('/')) {
                self.host.tree.sweep(place, OWNER_TAG);
            }
            let report = match held {
                true => self.revert_entry(&entry_id, None, false),
                false => self.restart_for_owner(&digest),
            };
            tracing::warn!("a revert of {entry_id} by the host's owner was cut off: {}", report.message);
            self.owner_ended(&entry_id);
            self.finished_for_owner.push((entry_id, report));
        }
    }

    /// The rest of a revert whose files are back.
    fn restart_for_owner(&mut self, digest: &str) -> TaskReport {
        let entry = self.state.content(digest).and_then(|bytes| Entry::from_json(&bytes).ok());
        let restarted = entry.as_ref().map_or(Restarted::Nothing, |entry| self.restart_put_back(entry));
        self.host.refresh();
        let state = entry.as_ref().map_or(ControlState::Exposed, |entry| self.probe(Some(entry)));
        let down = matches!(restarted, Restarted::Failed { .. });
        let outcome = if down { Outcome::RevertFailed } else { Outcome::Reverted };
        let mut report = report(outcome, state, restarted.said("put back as it was"));
        report.left_changed = down;
        report.restart_needed = restarted.missing();
        report
    }
}
