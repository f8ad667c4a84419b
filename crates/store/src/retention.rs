//! Removing what results were proven with, once it is older than people want to keep it: what agents said word for word,
//! reports and signed orders of tasks of ended runs.
//!
//! Tasks themselves, their codes, messages and times stay, and so do controls, score histories and the audit. Of the
//! evidence its digest stays, so that a copy somebody kept can still be recognised.

use crate::{Result, Transaction};
use domain::id::TaskId;
use domain::time::Timestamp;

/// Tasks that ended before an instant, in an ended run, and still hold something to remove.
///
/// # Errors
/// See [`crate::Error`].
pub fn due(tx: &mut Transaction<'_>, before: Timestamp, limit: i64) -> Result<Vec<TaskId>> {
    let rows: Vec<(TaskId,)> = tx.all(
        "SELECT t.id FROM task t JOIN run r ON r.id = t.run_id AND r.state = 'ended'
         WHERE t.ended_at < $1
           AND (t.report <> '' OR t.order_envelope IS NOT NULL
                OR EXISTS (SELECT 1 FROM task_event v WHERE v.task_id = t.id))
         ORDER BY t.ended_at, t.id LIMIT $2",
        &[&before, &limit],
    )?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// What the agent said of these tasks, in order.
///
/// # Errors
/// See [`crate::Error`].
pub fn said(tx: &mut Transaction<'_>, tasks: &[TaskId]) -> Result<Vec<(TaskId, String)>> {
    let tasks: Vec<i64> = tasks.iter().map(|task| task.0).collect();
    tx.all("SELECT task_id, body FROM task_event WHERE task_id {in $1} ORDER BY task_id, epoch, n", &[&tasks])
}

struct Digested {
    id: TaskId,
    digest: String,
}
crate::stage!(Digested as "task_digest_batch" { id: TaskId, digest: String });

/// Remove it, and keep the digest of each.
///
/// # Errors
/// See [`crate::Error`].
pub fn forget(tx: &mut Transaction<'_>, tasks: &[(TaskId, String)]) -> Result<u64> {
    let rows: Vec<Digested> = tasks.iter().map(|(id, digest)| Digested { id: *id, digest: digest.clone() }).collect();
    if rows.is_empty() {
        return Ok(0);
    }
    tx.stage(&rows)?;
    tx.execute("DELETE FROM task_event WHERE task_id IN (SELECT id FROM task_digest_batch)", &[])?;
    // A digest that is there already says more: what it was made of is gone.
    tx.execute(
        "UPDATE task SET report = '', order_envelope = NULL,
             evidence_digest = CASE WHEN task.evidence_digest = '' THEN b.digest ELSE task.evidence_digest END
         FROM task_digest_batch b WHERE task.id = b.id",
        &[],
    )
}
