//! Tasks whose hosts died at work, as far as anybody can see.

use super::TaskRow;
use crate::{Result, Transaction};
use domain::task::GONE_SECONDS;
use domain::time::Timestamp;

/// Tasks whose hosts died at work, as [`domain::task::gone`] says, of agents that are not revoked; at most 500 at once.
///
/// # Errors
/// See [`crate::Error`].
pub fn gone(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<TaskRow>> {
    tx.all(
        select!(
            "JOIN agent g ON g.id = t.agent_key LEFT JOIN permit p ON p.task_id = t.id AND p.epoch = t.epoch
             WHERE t.state IN ('running', 'offered', 'accepted', 'unknown') AND g.last_seen_at < $1 AND g.revoked_at IS NULL
               AND (t.state = 'running' AND t.started_at < $1
                    OR t.state <> 'running' AND (t.state <> 'unknown' OR t.started_at IS NULL)
                       AND p.granted_at < $1 AND g.last_seen_at <= p.expires_at)
             ORDER BY t.id LIMIT 500"
        ),
        &[&now.plus_seconds(-GONE_SECONDS)],
    )
}
