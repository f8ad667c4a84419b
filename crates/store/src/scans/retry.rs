//! Asking again for what came to nothing: new launches of the same request, to which the targets go on.

use super::request::{NewChild, insert_children};
use crate::{Result, Sql, Transaction, items, record, stage};
use domain::access::{Action, Actor};
use domain::id::{ChildScanId, ItemId, ScanId, SourceHostId};
use domain::rescan::Retry;
use domain::time::Timestamp;

record! {
    /// A target that came to nothing.
    #[derive(Clone, Debug, PartialEq)]
    pub struct RetryRow {
        /// Ordinal of the item's number.
        pub number: i64,
        /// The item.
        pub item_id: ItemId,
        /// The host.
        pub source_host_id: SourceHostId,
    }
}

/// What of a request came to nothing, among the items the actor may see.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn retryable(tx: &mut Transaction<'_>, scan: ScanId, actor: &Actor, what: Retry) -> Result<Vec<RetryRow>> {
    let mut sql = Sql::new(
        "SELECT i.number, t.item_id, t.source_host_id
         FROM scan_target t
         JOIN scan_child c ON c.id = t.child_id
         JOIN vulnerable_item i ON i.id = t.item_id
         WHERE t.scan_id = ",
    )
    .bind(&scan);
    sql = sql.text(match what {
        Retry::Failed => " AND c.state IN ('error', 'timed_out', 'cancelled')",
        Retry::Unreached => " AND c.state = 'complete' AND t.verdict IN ('not_reached', 'not_tested')",
    });
    if let Some(seen) = items::visible(actor, Action::ItemsView) {
        sql = sql.text(" AND ").append(seen);
    }
    tx.all_built(&sql.text(" ORDER BY i.number, t.id"))
}

struct StagedMove<'m> {
    child_id: ChildScanId,
    item_id: ItemId,
    source_host_id: SourceHostId,
    address: &'m str,
}
stage!(StagedMove<'_> as "scan_retry_batch" {
    child_id: ChildScanId, item_id: ItemId, source_host_id: SourceHostId, address: &'static str,
});

/// Give a request new launches, to which their targets go on; a launch that has none left counts no more. One that is no
/// longer tracked is looked at all the same: what it finds is taken in when it ends.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn retry(tx: &mut Transaction<'_>, scan: ScanId, children: &[NewChild], now: Timestamp) -> Result<()> {
    let first: i64 = tx.scalar("SELECT max(ordinal) + 1 FROM scan_child WHERE scan_id = $1", &[&scan])?;
    let ids = insert_children(tx, scan, first, children, now)?;
    let moved: Vec<StagedMove<'_>> = ids
        .iter()
        .zip(children)
        .flat_map(|(child, new)| {
            new.targets.iter().map(|target| StagedMove {
                child_id: *child,
                item_id: target.item,
                source_host_id: target.source_host,
                address: &target.address,
            })
        })
        .collect();
    tx.stage(&moved)?;
    tx.execute(
        "UPDATE scan_target SET child_id = b.child_id, address = b.address, verdict = '', reason = '', judged_at = NULL
         FROM scan_retry_batch b
         WHERE scan_target.scan_id = $1 AND scan_target.item_id = b.item_id
           AND scan_target.source_host_id = b.source_host_id",
        &[&scan],
    )?;
    tx.execute(
        "UPDATE scan_child SET retried = TRUE
         WHERE scan_id = $1 AND state IN ('error', 'timed_out', 'cancelled')
           AND NOT EXISTS (SELECT 1 FROM scan_target t WHERE t.child_id = scan_child.id)",
        &[&scan],
    )?;
    tx.execute("UPDATE scan SET retries = retries + 1 WHERE id = $1", &[&scan])?;
    Ok(())
}
