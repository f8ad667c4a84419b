//! How long what agents said is kept, and the digest by which it can be recognised afterwards.
//!
//! The digest of a task is SHA-256 over its events, the exact bytes as the agent journalled them, each followed by a line
//! feed. The digest of runs is SHA-256 over one line per task, `<task id> <digest of the task>`, in order of the ids; of what was
//! tried again, the last.
//! Removal happens in batches, each its own transaction, and may be cut off or done twice without harm.

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::access::{Action, AssetScope, Record};
use domain::id::{RunId, TaskId};
use domain::time::Timestamp;
use protocol::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{Transaction, report, retention, settings};
use uuid::Uuid;

/// The setting's name.
pub const RETENTION: &str = "results.retention";
/// Days where nobody has said otherwise: a year and what an audit takes.
pub const DAYS_DEFAULT: i64 = 400;
/// The fewest days: an agent that was away for a while may still report.
pub const DAYS_MIN: i64 = 7;
/// The most days that are no "for ever".
pub const DAYS_MAX: i64 = 36_500;
/// Tasks of one transaction.
const BATCH: i64 = 500;
const DAY: i64 = 86_400;

/// How long evidence of ended runs is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Days; 0 for ever.
    pub days: i64,
}

impl Default for Retention {
    fn default() -> Self {
        Retention { days: DAYS_DEFAULT }
    }
}

/// How long it is kept now.
///
/// # Errors
/// See [`store::Error`].
pub fn kept(tx: &mut Transaction<'_>) -> store::Result<Retention> {
    Ok(settings::get::<Retention>(tx, RETENTION)?.map(|setting| setting.value).unwrap_or_default())
}

/// Change how long it is kept.
///
/// # Errors
/// A missing permission; 422 `days` for fewer than a week.
pub async fn keep(app: &App, caller: &Caller, days: i64) -> Result<Retention, Error> {
    caller.may(Action::SettingsChange, &Record::default())?;
    if days != 0 && !(DAYS_MIN..=DAYS_MAX).contains(&days) {
        let why = format!("evidence is kept for {DAYS_MIN} to {DAYS_MAX} days, or for ever with 0");
        return Err(Error::field("days", "bad_days", why));
    }
    let (now, author, retention) = (app.clock.now(), caller.author(), Retention { days });
    app.database.write(move |tx| settings::put(tx, &author, RETENTION, &retention, None, now)).await?;
    Ok(retention)
}

/// Remove what is older than people want to keep; gives of how many tasks.
///
/// # Errors
/// See [`store::Error`].
pub async fn sweep(app: &App) -> store::Result<u64> {
    let retention = app.database.read(kept).await?;
    if retention.days == 0 {
        return Ok(0);
    }
    let before = app.clock.now().plus_seconds(-retention.days.saturating_mul(DAY));
    let mut forgotten = 0;
    while !app.stopping.is_cancelled() {
        let batch = app.database.write(move |tx| forget(tx, before)).await?;
        if batch == 0 {
            break;
        }
        forgotten += batch;
    }
    Ok(forgotten)
}

fn forget(tx: &mut Transaction<'_>, before: Timestamp) -> store::Result<u64> {
    let due = retention::due(tx, before, BATCH)?;
    let mut said: BTreeMap<TaskId, Vec<String>> = due.iter().map(|task| (*task, Vec::new())).collect();
    for (task, body) in retention::said(tx, &due)? {
        said.entry(task).or_default().push(body);
    }
    let digests: Vec<(TaskId, String)> =
        said.into_iter().map(|(task, events)| (task, of_task(events.iter().map(String::as_str)))).collect();
    retention::forget(tx, &digests)
}

/// The digest of what was said of one task; empty where nothing was.
#[must_use]
pub fn of_task<'e>(events: impl IntoIterator<Item = &'e str>) -> String {
    let mut text = String::new();
    for event in events {
        text.push_str(event);
        text.push('\n');
    }
    if text.is_empty() { String::new() } else { Digest::of(text.as_bytes()).to_string() }
}

/// What is kept of the evidence of runs, and its digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The digest of the runs; of the tasks in the caller's scope where he does not see all of them.
    pub digest: String,
    /// Tasks with evidence.
    pub tasks: usize,
    /// Of these: no longer kept but as a digest.
    pub forgotten: usize,
}

/// The evidence of the runs that a report tells of, as far as the scope reaches: of each asset and entry the last try.
///
/// # Errors
/// See [`store::Error`].
pub fn of_runs(tx: &mut Transaction<'_>, runs: &[RunId], within: &AssetScope) -> store::Result<Evidence> {
    let mut tasks: BTreeMap<Uuid, (String, Vec<String>)> = BTreeMap::new();
    for (task, digest, event) in report::evidence(tx, runs, within)? {
        tasks.entry(task).or_insert_with(|| (digest, Vec::new())).1.extend(event);
    }
    let (mut lines, mut evidence) = (String::new(), Evidence::default());
    for (task, (kept, events)) in tasks {
        let digest = if kept.is_empty() { of_task(events.iter().map(String::as_str)) } else { kept.clone() };
        if digest.is_empty() {
            continue;
        }
        evidence.tasks += 1;
        evidence.forgotten += usize::from(!kept.is_empty());
        lines.push_str(&format!("{task} {digest}\n"));
    }
    if evidence.tasks > 0 {
        evidence.digest = Digest::of(lines.as_bytes()).to_string();
    }
    Ok(evidence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_events_apart_by_their_bounds() {
        assert_eq!(of_task([]), "");
        assert_ne!(of_task(["ab", "c"]), of_task(["a", "bc"]));
        assert_eq!(of_task(["a"]), Digest::of(b"a\n").to_string());
    }
}
