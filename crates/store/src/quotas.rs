//! What a scanner's platform said of its limits, by integration instance and end point: kept over restarts, and read by
//! every replica before it calls.

use crate::{Result, Transaction, record};
use domain::id::InstanceId;
use domain::time::Timestamp;

record! {
    /// What was said at one end point; every number can be missing.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Quota {
        /// The end point's word.
        pub endpoint: String,
        /// Calls allowed in a window.
        pub limit_calls: Option<i64>,
        /// Length of the window.
        pub window_seconds: Option<i64>,
        /// Calls left in it.
        pub remaining: Option<i64>,
        /// No call is taken before.
        pub wait_until_at: Option<Timestamp>,
        /// Calls allowed at once.
        pub concurrency: Option<i64>,
        /// When that was said.
        pub seen_at: Timestamp,
        /// When a call was last refused because of a limit.
        pub refused_at: Option<Timestamp>,
        /// In what words.
        pub refused: String,
    }
}

/// What is known of an instance, by end point.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn of(tx: &mut Transaction<'_>, instance: InstanceId) -> Result<Vec<Quota>> {
    tx.all(
        "SELECT endpoint, limit_calls, window_seconds, remaining, wait_until_at, concurrency, seen_at, refused_at, refused
         FROM platform_quota WHERE instance_id = $1 ORDER BY endpoint",
        &[&instance],
    )
}

/// Keep what was learnt, where nothing newer is known. An instance that was deleted meanwhile is left out.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn keep(tx: &mut Transaction<'_>, instance: InstanceId, quotas: &[Quota]) -> Result<()> {
    for quota in quotas {
        tx.execute(
            "INSERT INTO platform_quota (instance_id, endpoint, limit_calls, window_seconds, remaining, wait_until_at,
                 concurrency, seen_at, refused_at, refused)
             SELECT n.id, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM integration_instance n WHERE n.id = $1
             ON CONFLICT (instance_id, endpoint) DO UPDATE SET limit_calls = excluded.limit_calls,
                 window_seconds = excluded.window_seconds, remaining = excluded.remaining,
                 wait_until_at = excluded.wait_until_at, concurrency = excluded.concurrency,
                 seen_at = excluded.seen_at, refused_at = excluded.refused_at, refused = excluded.refused
             WHERE excluded.seen_at >= platform_quota.seen_at",
            &[
                &instance,
                &quota.endpoint,
                &quota.limit_calls,
                &quota.window_seconds,
                &quota.remaining,
                &quota.wait_until_at,
                &quota.concurrency,
                &quota.seen_at,
                &quota.refused_at,
                &quota.refused,
            ],
        )?;
    }
    Ok(())
}
