//! Slots for restarts of hosts: how many of a run may be down at once (`fleet-execution.md` 2.4), and no host of a group beside
//! those that are worked on, see [`super::apart`].
//!
//! The same kind of row as for starts, changed by the same kind of statement, so that it holds over all replicas (S6); and a
//! halt of the run, or of everything, is seen by changing the run's own row (S7). A slot comes back with the end of its task and
//! by nothing else.

use super::apart;
use super::permits::{Granted, free, of_run, prepare, take};
use crate::{Result, Transaction};
use domain::id::RunId;
pub use domain::rollout::permit::WantedRestart;
use domain::time::Timestamp;

fn of_restarts(run: RunId) -> String {
    format!("restarts/run/{run}")
}

/// Take a slot, or find that it is held already: either everything is taken or nothing.
///
/// # Errors
/// See [`crate::Error`].
pub fn grant(tx: &mut Transaction<'_>, want: &WantedRestart<'_>, now: Timestamp) -> Result<Granted> {
    // Changed, so that no halt can come between this and the commit.
    let open = "UPDATE place SET taken = taken WHERE scope = $1 AND closed = $2";
    if tx.execute(open, &[&of_run(want.run), &false])? == 0 {
        return Ok(Granted::Closed);
    }
    let held: Option<(i64,)> = tx.optional(
        "SELECT epoch FROM restart_slot WHERE task_id = $1 AND epoch = $2 AND back_at IS NULL",
        &[&want.task, &want.epoch],
    )?;
    if held.is_some() {
        return Ok(Granted::Yes);
    }
    let run = of_restarts(want.run);
    prepare(tx, &run)?;
    if !apart::room(tx, want.asset, want.apart, now)? || !take(tx, &run, want.at_most, 0, now)? {
        return Ok(Granted::Full);
    }
    tx.execute(
        "INSERT INTO restart_slot (task_id, epoch, run_id, asset_id, granted_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (task_id) DO UPDATE SET epoch = excluded.epoch, asset_id = excluded.asset_id,
             granted_at = excluded.granted_at, back_at = NULL",
        &[&want.task, &want.epoch, &want.run, &want.asset, &now],
    )?;
    Ok(Granted::Yes)
}

/// Give back the slots of tasks that ended.
///
/// # Errors
/// See [`crate::Error`].
pub(crate) fn give_back(tx: &mut Transaction<'_>, tasks: &[i64], now: Timestamp) -> Result<()> {
    let rows: Vec<(RunId,)> = tx.all(
        "UPDATE restart_slot SET back_at = $2 WHERE task_id {in $1} AND back_at IS NULL RETURNING run_id",
        &[&tasks, &now],
    )?;
    for (run,) in rows {
        free(tx, &of_restarts(run), 1)?;
    }
    Ok(())
}

/// Forget the slots of a run that is taken back; none of them is out.
///
/// # Errors
/// See [`crate::Error`].
pub(super) fn drop_run(tx: &mut Transaction<'_>, run: RunId) -> Result<()> {
    tx.execute("DELETE FROM restart_slot WHERE run_id = $1", &[&run])?;
    tx.execute("DELETE FROM place WHERE scope = $1", &[&of_restarts(run)])?;
    Ok(())
}

/// How many hosts of a run are down, or on their way there.
///
/// # Errors
/// See [`crate::Error`].
pub fn out(tx: &mut Transaction<'_>, run: RunId) -> Result<i64> {
    tx.scalar("SELECT count(*) FROM restart_slot WHERE run_id = $1 AND back_at IS NULL", &[&run])
}
