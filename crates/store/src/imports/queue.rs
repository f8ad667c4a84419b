//! Imports that wait for their turn. One import of an instance runs at a time; what is wanted meanwhile is put down here
//! and begins when the one at work has ended, the oldest first. Nothing that was wanted is dropped.

use super::{Cause, Kind, Run, Start, State, begun};
use crate::audit::{self, Entry};
use crate::{Error, Result, Transaction, numbers, record};
use domain::id::InstanceId;
use domain::number::{Number, Series};
use domain::time::Timestamp;

/// The name in [`Error::Conflict`] where one of the same kind is waiting already.
pub const QUEUED: &str = "import_queued";

/// Put a run in the queue of its instance; gives its key and number.
///
/// # Errors
/// [`Error::Conflict`] with [`QUEUED`] where one of this kind is waiting already: it will bring the same.
pub fn queue(tx: &mut Transaction<'_>, start: Start<'_>, now: Timestamp) -> Result<(i64, Number)> {
    let same: i64 = tx.scalar(
        "SELECT count(*) FROM import_run WHERE instance_id = $1 AND kind = $2 AND state = 'queued'",
        &[&start.instance, &start.kind],
    )?;
    if same > 0 {
        return Err(Error::Conflict(QUEUED.to_owned()));
    }
    let number = numbers::next(tx, Series::IntegrationRun)?;
    let id: i64 = tx.insert(
        "INSERT INTO import_run (number, instance_id, kind, cause, actor, source, state, detail, cursor_key, counters,
             queued_at, started_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'queued', '', '', '{}', $7, $7) RETURNING id",
        &[&number.ordinal, &start.instance, &start.kind, &start.cause, &start.actor, &start.source, &now],
    )?;
    Ok((id, number))
}

record! {
    /// A run that waits.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Queued {
        /// Key of the run.
        pub id: i64,
        /// Ordinal of its number.
        pub number: i64,
        /// What it is to import.
        pub kind: Kind,
        /// Why.
        pub cause: Cause,
    }
}

/// Instances with something waiting, the one that waits longest first.
///
/// # Errors
/// See [`Error`].
pub fn waiting(tx: &mut Transaction<'_>) -> Result<Vec<InstanceId>> {
    let rows: Vec<(InstanceId, i64)> = tx.all(
        "SELECT instance_id, min(id) AS first FROM import_run WHERE state = 'queued' GROUP BY instance_id
         ORDER BY first",
        &[],
    )?;
    Ok(rows.into_iter().map(|(instance, _)| instance).collect())
}

/// What has waited longest of an instance.
///
/// # Errors
/// See [`Error`].
pub fn next(tx: &mut Transaction<'_>, instance: InstanceId) -> Result<Option<Queued>> {
    tx.optional(
        "SELECT id, number, kind, cause FROM import_run WHERE instance_id = $1 AND state = 'queued' ORDER BY id LIMIT 1",
        &[&instance],
    )
}

/// Begin a run that waited, as [`start`](super::start) does. The caller holds the instance's lease and has just read it.
///
/// # Errors
/// See [`Error`].
pub fn begin(tx: &mut Transaction<'_>, instance: InstanceId, queued: &Queued, now: Timestamp) -> Result<Run> {
    let product = begun(tx, instance, now)?;
    tx.execute(
        "UPDATE import_run SET state = 'running', started_at = $2 WHERE id = $1 AND state = 'queued'",
        &[&queued.id, &now],
    )?;
    tx.execute(
        "UPDATE integration SET held_since_at = NULL WHERE instance_id = $1 AND kind = $2",
        &[&instance, &queued.kind],
    )?;
    let number = Number { series: Series::IntegrationRun, ordinal: queued.number };
    Ok(Run { id: queued.id, number, instance, product })
}

/// Stop a run: one that waits ends at once, one at work at the next page or portion. `None` where it has ended already
/// or is unknown; else where it is now.
///
/// # Errors
/// See [`Error`].
pub fn cancel(tx: &mut Transaction<'_>, actor: &str, ordinal: i64, now: Timestamp) -> Result<Option<State>> {
    let ended = cancelled_by(actor);
    let waited = tx.execute(
        "UPDATE import_run SET state = 'cancelled', cancel_by = $2, detail = $3, ended_at = $4
         WHERE number = $1 AND state = 'queued'",
        &[&ordinal, &actor, &ended, &now],
    )?;
    let at_work = tx.execute(
        "UPDATE import_run SET cancel_by = $2 WHERE number = $1 AND state = 'running' AND cancel_by = ''",
        &[&ordinal, &actor],
    )?;
    let state: Option<(State,)> = tx.optional("SELECT state FROM import_run WHERE number = $1", &[&ordinal])?;
    if waited + at_work > 0 {
        let number = Number { series: Series::IntegrationRun, ordinal };
        let resource = format!("imports/{number}");
        let detail = serde_json::json!({ "waited": waited > 0 });
        audit::append(tx, &Entry { at: now, actor, action: "import.cancel", resource: &resource, detail })?;
        return Ok(state.map(|(state,)| state));
    }
    Ok(state.map(|(state,)| state).filter(|state| *state == State::Running))
}

/// Whether somebody asked that this run stops.
///
/// # Errors
/// See [`Error`].
pub fn asked_to_stop(tx: &mut Transaction<'_>, run: i64) -> Result<bool> {
    let by: Option<(String,)> = tx.optional("SELECT cancel_by FROM import_run WHERE id = $1", &[&run])?;
    Ok(by.is_some_and(|(by,)| !by.is_empty()))
}

/// What a cancelled run says of itself.
pub(super) fn cancelled_by(actor: &str) -> String {
    let who = actor.strip_prefix("users/").unwrap_or(actor);
    format!("cancelled by {who}; complete hosts are kept")
}
