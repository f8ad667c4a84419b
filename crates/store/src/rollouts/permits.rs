//! Places and permits: how many tasks of a run may be at work at once (S6, S7), beside what [`super::apart`] says of groups.
//!
//! What a permit is worth and when its place comes back is [`domain::rollout::permit`]'s to say.

use super::apart;
use crate::{Result, Transaction, record};
use domain::id::{AssetId, RunId, TaskId};
use domain::rollout::permit;
pub use domain::rollout::permit::{Granted, Wanted};
use domain::time::Timestamp;
use std::collections::BTreeMap;

pub(super) fn of_run(id: RunId) -> String {
    format!("run/{id}")
}

record! {
    /// A permit.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PermitRow {
        /// Task.
        pub task_id: TaskId,
        /// Epoch.
        pub epoch: i64,
        /// Run.
        pub run_id: RunId,
        /// The host that it is for.
        pub asset_id: AssetId,
        /// Granted last.
        pub granted_at: Timestamp,
        /// Its places are free again.
        pub expires_at: Timestamp,
        /// Given back.
        pub back_at: Option<Timestamp>,
    }
}

/// Take the places of a permit, or renew it (S6, S7): either everything is taken or nothing.
///
/// # Errors
/// See [`crate::Error`].
pub fn grant(tx: &mut Transaction<'_>, want: &Wanted<'_>, now: Timestamp) -> Result<Granted> {
    let scope = of_run(want.run);
    let out: Option<(i64,)> = tx.optional(
        "SELECT epoch FROM permit WHERE task_id = $1 AND epoch = $2 AND back_at IS NULL",
        &[&want.task, &want.epoch],
    )?;
    if out.is_some() {
        // The same question again: its places are held already, but a halt has to be seen, so the row is changed.
        let open = tx.execute("UPDATE place SET taken = taken WHERE scope = $1 AND closed = $2", &[&scope, &false])?;
        if open == 0 {
            return Ok(Granted::Closed);
        }
    } else {
        // The groups first: who has to wait for one must not use up the starts of the run.
        if !apart::room(tx, want.asset, want.apart, now)? || !take(tx, &scope, want.max_running, want.interval, now)? {
            let closed: Option<(bool,)> = tx.optional("SELECT closed FROM place WHERE scope = $1", &[&scope])?;
            return Ok(if closed.is_none_or(|(closed,)| closed) { Granted::Closed } else { Granted::Full });
        }
    }
    tx.execute(
        "INSERT INTO permit (task_id, epoch, run_id, asset_id, granted_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (task_id, epoch) DO UPDATE SET asset_id = excluded.asset_id, granted_at = excluded.granted_at,
             expires_at = excluded.expires_at, back_at = NULL",
        &[&want.task, &want.epoch, &want.run, &want.asset, &now, &want.expires_at],
    )?;
    Ok(Granted::Yes)
}

/// A place that nobody has taken, where there is none yet.
pub(super) fn prepare(tx: &mut Transaction<'_>, scope: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO place (scope, taken, next_at, closed) VALUES ($1, 0, $2, $3) ON CONFLICT (scope) DO NOTHING",
        &[&scope, &Timestamp::from_micros(0), &false],
    )?;
    Ok(())
}

/// The one conditional statement.
pub(super) fn take(tx: &mut Transaction<'_>, scope: &str, limit: i64, interval: i64, now: Timestamp) -> Result<bool> {
    let next = permit::next_at(now, interval);
    let taken = tx.execute(
        "UPDATE place SET taken = taken + 1, next_at = $4 WHERE scope = $1 AND closed = $5 AND taken < $2 AND next_at <= $3",
        &[&scope, &limit, &now, &next, &false],
    )?;
    Ok(taken == 1)
}

pub(super) fn free(tx: &mut Transaction<'_>, scope: &str, count: i64) -> Result<()> {
    tx.execute("UPDATE place SET taken = taken - $2 WHERE scope = $1", &[&scope, &count])?;
    Ok(())
}

/// Give back whatever permit of this task is out: it ended, or will never start.
///
/// # Errors
/// See [`crate::Error`].
pub fn give_back(tx: &mut Transaction<'_>, task: TaskId, now: Timestamp) -> Result<()> {
    give_back_all(tx, &[task.0], now)
}

/// Give back whatever permits of these tasks are out.
///
/// # Errors
/// See [`crate::Error`].
pub(crate) fn give_back_all(tx: &mut Transaction<'_>, tasks: &[i64], now: Timestamp) -> Result<()> {
    let rows: Vec<(RunId,)> = tx.all(
        "UPDATE permit SET back_at = $2 WHERE task_id {in $1} AND back_at IS NULL RETURNING run_id",
        &[&tasks, &now],
    )?;
    free_all(tx, &rows)?;
    super::restarts::give_back(tx, tasks, now)
}

/// Give back the permits whose time is over; gives how many.
///
/// # Errors
/// See [`crate::Error`].
pub fn expire(tx: &mut Transaction<'_>, now: Timestamp) -> Result<usize> {
    let any: Option<(i64,)> =
        tx.optional("SELECT epoch FROM permit WHERE back_at IS NULL AND expires_at <= $1 LIMIT 1", &[&now])?;
    if any.is_none() {
        return Ok(0);
    }
    let rows: Vec<(RunId,)> =
        tx.all("UPDATE permit SET back_at = $1 WHERE back_at IS NULL AND expires_at <= $1 RETURNING run_id", &[&now])?;
    free_all(tx, &rows)?;
    Ok(rows.len())
}

fn free_all(tx: &mut Transaction<'_>, rows: &[(RunId,)]) -> Result<()> {
    let mut places: BTreeMap<String, i64> = BTreeMap::new();
    for (run,) in rows {
        *places.entry(of_run(*run)).or_default() += 1;
    }
    for (scope, count) in places {
        free(tx, &scope, count)?;
    }
    Ok(())
}

/// When an order was last given a permit, if ever, whether its place was given back or not.
///
/// # Errors
/// See [`crate::Error`].
pub fn granted_at(tx: &mut Transaction<'_>, task: TaskId, epoch: i64) -> Result<Option<Timestamp>> {
    let row: Option<(Timestamp,)> =
        tx.optional("SELECT granted_at FROM permit WHERE task_id = $1 AND epoch = $2", &[&task, &epoch])?;
    Ok(row.map(|(at,)| at))
}

/// The permits of a run, newest first.
///
/// # Errors
/// See [`crate::Error`].
pub fn permits(tx: &mut Transaction<'_>, run: RunId) -> Result<Vec<PermitRow>> {
    tx.all(
        "SELECT task_id, epoch, run_id, asset_id, granted_at, expires_at, back_at FROM permit WHERE run_id = $1
         ORDER BY granted_at DESC, task_id LIMIT 10000",
        &[&run],
    )
}

/// How many places are taken, by scope: what has to equal the permits that are out.
///
/// # Errors
/// See [`crate::Error`].
pub fn places(tx: &mut Transaction<'_>) -> Result<Vec<(String, i64, bool)>> {
    tx.all("SELECT scope, taken, closed FROM place ORDER BY scope", &[])
}
