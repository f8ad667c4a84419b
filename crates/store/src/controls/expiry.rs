//! Controls whose time is over: which they are, which wait for the rollback that their job makes by itself, and what became of it.
//!
//! How long they wait for each other is [`domain::control::GATHER_SECONDS`].

use crate::{Result, Transaction, record};
use domain::asset::Platform;
use domain::control::GATHER_SECONDS;
use domain::id::{AssetId, JobId};
use domain::mitigation::{ControlState, Origin};
use domain::time::Timestamp;

record! {
    /// A control whose time is over.
    #[derive(Debug, Clone)]
    pub struct Due {
        /// Key.
        pub id: i64,
        /// Asset.
        pub asset_id: AssetId,
        /// Its name.
        pub asset_name: String,
        /// Entry id.
        pub entry: String,
        /// State.
        pub state: ControlState,
        /// Who put it there.
        pub origin: Origin,
        /// Can be rolled back.
        pub reversible: bool,
        /// When its time was over.
        pub expires_at: Timestamp,
        /// The job whose word that is.
        pub job_id: Option<JobId>,
    }
}

/// Controls whose time is over and that have not expired yet, oldest first.
///
/// # Errors
/// See [`crate::Error`].
pub fn due(tx: &mut Transaction<'_>, now: Timestamp, limit: i64) -> Result<Vec<Due>> {
    tx.all(
        "SELECT c.id, c.asset_id, a.name AS asset_name, c.entry, c.state, c.origin, e.reversible, c.expires_at,
             c.expiry_job_id AS job_id
         FROM control c JOIN catalogue_entry e ON e.id = c.entry_key JOIN asset a ON a.id = c.asset_id
         WHERE c.expires_at <= $1 AND c.expired_at IS NULL ORDER BY c.expires_at, c.id LIMIT $2",
        &[&now, &limit],
    )
}

/// A control has expired. `false` where somebody else said so first.
///
/// # Errors
/// See [`crate::Error`].
pub fn expire(tx: &mut Transaction<'_>, control: i64, now: Timestamp) -> Result<bool> {
    Ok(tx.execute("UPDATE control SET expired_at = $2 WHERE id = $1 AND expired_at IS NULL", &[&control, &now])? == 1)
}

/// A control that has expired waits from now on for the rollback that its job makes by itself.
///
/// # Errors
/// See [`crate::Error`].
pub fn wait(tx: &mut Transaction<'_>, control: i64, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE control SET rollback_due_at = $2 WHERE id = $1", &[&control, &now])?;
    Ok(())
}

/// The jobs, and platforms of their assets, whose rollback is to be made now: nothing more of the job expires within the time
/// that is waited, or something waits that long already. (Written so that SQLite looks at what waits only, not at every control.)
///
/// # Errors
/// See [`crate::Error`].
pub fn ripe(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<(JobId, Platform)>> {
    tx.all(
        "SELECT w.job_id, w.platform
         FROM (SELECT DISTINCT +c.expiry_job_id AS job_id, a.platform FROM control c JOIN asset a ON a.id = c.asset_id
               WHERE c.rollback_due_at > 0) AS w
         WHERE NOT EXISTS (SELECT 1 FROM control n
                           WHERE n.expiry_job_id = w.job_id AND n.expired_at IS NULL AND n.expires_at <= $2)
            OR EXISTS (SELECT 1 FROM control o WHERE o.expiry_job_id = w.job_id AND o.rollback_due_at <= $1)
         ORDER BY 1, 2",
        &[&now.plus_seconds(-GATHER_SECONDS), &now.plus_seconds(GATHER_SECONDS)],
    )
}

record! {
    /// A control that has expired and is to be taken back.
    #[derive(Debug, Clone)]
    pub struct Waiting {
        /// Key.
        pub id: i64,
        /// Asset.
        pub asset_id: AssetId,
        /// Its name.
        pub asset_name: String,
        /// Entry id.
        pub entry: String,
        /// The revision that is in force.
        pub entry_key: i64,
        /// When its time was over.
        pub expires_at: Timestamp,
    }
}

/// Take all that waits of a job on a platform; gives what is still ours and in force. What somebody else took is not among it.
///
/// # Errors
/// See [`crate::Error`].
pub fn take(tx: &mut Transaction<'_>, job: JobId, platform: Platform) -> Result<Vec<Waiting>> {
    let taken: Vec<(i64,)> = tx.all(
        "UPDATE control SET rollback_due_at = NULL
         WHERE expiry_job_id = $1 AND rollback_due_at IS NOT NULL AND asset_id IN (SELECT id FROM asset WHERE platform = $2)
         RETURNING id",
        &[&job, &platform],
    )?;
    let taken: Vec<i64> = taken.into_iter().map(|(id,)| id).collect();
    tx.all(
        "SELECT c.id, c.asset_id, a.name AS asset_name, c.entry, c.entry_key, c.expires_at
         FROM control c JOIN asset a ON a.id = c.asset_id
         WHERE c.id {in $1} AND c.origin = 'ours' AND c.state IN ('effective', 'configured', 'drifted')
           AND c.expires_at IS NOT NULL
         ORDER BY a.name, c.id",
        &[&taken],
    )
}

/// This rollback job was ordered for these controls.
///
/// # Errors
/// See [`crate::Error`].
pub fn ordered(tx: &mut Transaction<'_>, controls: &[i64], job: JobId) -> Result<()> {
    tx.execute("UPDATE control SET rollback_job_id = $2 WHERE id {in $1}", &[&controls, &job])?;
    Ok(())
}

/// What was ordered of a control came to an end without taking it back. The plus keeps SQLite from reading all tasks of the job for
/// each control: an asset has few.
macro_rules! undone {
    () => {
        "c.origin = 'ours' AND c.state IN ('effective', 'configured', 'drifted') AND c.expired_at IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM task o JOIN catalogue_entry d ON d.id = o.entry_key AND d.entry = c.entry
                           WHERE +o.job_id = r.id AND o.asset_id = c.asset_id AND o.kind = 'revert'
                             AND (o.code IS NULL OR o.state = 'reverted'))"
    };
}

/// Rollback jobs that were ordered at expiry and are to be looked at: over or deleted, or with a control that was not taken back
/// for so long that its task ended before `limit`.
///
/// # Errors
/// See [`crate::Error`].
pub fn to_settle(tx: &mut Transaction<'_>, limit: Timestamp) -> Result<Vec<JobId>> {
    let rows: Vec<(JobId,)> = tx.all(
        concat!(
            "SELECT DISTINCT r.id FROM control c JOIN job r ON r.id = c.rollback_job_id
             WHERE r.deleted_at IS NOT NULL OR r.status IN ('COMPLETED', 'COMPLETED_WITH_FAILURES')
                OR (",
            undone!(),
            " AND EXISTS (SELECT 1 FROM task l JOIN catalogue_entry x ON x.id = l.entry_key AND x.entry = c.entry
                          WHERE +l.job_id = r.id AND l.asset_id = c.asset_id AND l.kind = 'revert' AND l.ended_at <= $1))
             ORDER BY 1"
        ),
        &[&limit],
    )?;
    Ok(rows.into_iter().map(|(job,)| job).collect())
}

record! {
    /// A control that the rollback which was ordered for it did not take back.
    #[derive(Debug, Clone)]
    pub struct Undone {
        /// Key.
        pub id: i64,
        /// Asset.
        pub asset_id: AssetId,
        /// Its name.
        pub asset_name: String,
        /// Entry id.
        pub entry: String,
        /// When its time was over.
        pub expires_at: Timestamp,
        /// The job whose word that is.
        pub job_id: JobId,
        /// What the last task about it said.
        pub message: String,
    }
}

/// What a rollback job that was ordered at expiry did not take back and is done with. Of a job that is neither over nor deleted,
/// what has no task is left alone: somebody disabled it and may enable it again.
///
/// # Errors
/// See [`crate::Error`].
pub fn undone(tx: &mut Transaction<'_>, rollback: JobId) -> Result<Vec<Undone>> {
    tx.all(
        concat!(
            "SELECT c.id, c.asset_id, a.name AS asset_name, c.entry, c.expires_at, c.expiry_job_id AS job_id,
                 coalesce((SELECT t.message FROM task t JOIN catalogue_entry e ON e.id = t.entry_key AND e.entry = c.entry
                           WHERE +t.job_id = r.id AND t.asset_id = c.asset_id AND t.kind = 'revert'
                           ORDER BY t.id DESC LIMIT 1), '') AS message
             FROM control c JOIN asset a ON a.id = c.asset_id JOIN job r ON r.id = c.rollback_job_id
             WHERE c.rollback_job_id = $1 AND c.expires_at IS NOT NULL AND c.expiry_job_id IS NOT NULL AND ",
            undone!(),
            " AND (r.deleted_at IS NOT NULL OR r.status IN ('COMPLETED', 'COMPLETED_WITH_FAILURES')
                   OR EXISTS (SELECT 1 FROM task l JOIN catalogue_entry x ON x.id = l.entry_key AND x.entry = c.entry
                              WHERE +l.job_id = r.id AND l.asset_id = c.asset_id AND l.kind = 'revert'))
             ORDER BY a.name, c.id"
        ),
        &[&rollback],
    )
}

/// It was seen to what became of these controls; of a rollback job that is over or deleted, to all.
///
/// # Errors
/// See [`crate::Error`].
pub fn settled(tx: &mut Transaction<'_>, rollback: JobId, controls: &[i64]) -> Result<()> {
    tx.execute(
        "UPDATE control SET rollback_job_id = NULL
         WHERE rollback_job_id = $1
           AND (id {in $2} OR EXISTS (SELECT 1 FROM job r WHERE r.id = $1
                                      AND (r.deleted_at IS NOT NULL OR r.status IN ('COMPLETED', 'COMPLETED_WITH_FAILURES'))))",
        &[&rollback, &controls],
    )?;
    Ok(())
}
