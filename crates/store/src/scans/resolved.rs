//! What people resolved and is to be rescanned by itself.

use crate::items::{HistoryRow, write_history};
use crate::{Result, Transaction, record, stage};
use domain::id::{InstanceId, ItemId};
use domain::time::Timestamp;

record! {
    /// An item that was resolved.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ResolvedRow {
        /// The item.
        pub item_id: ItemId,
        /// Ordinal of its number.
        pub number: i64,
        /// Its subscription.
        pub instance_id: InstanceId,
        /// When it was resolved.
        pub resolved_at: Timestamp,
        /// Who resolved it, as its history names it: `users/ada`; empty where it names nobody.
        pub cause: String,
    }
}

/// What was resolved until `until`, where its integration rescans that by itself, and nobody looked at yet: at most `limit`,
/// the oldest first.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn resolved(tx: &mut Transaction<'_>, until: Timestamp, limit: i64) -> Result<Vec<ResolvedRow>> {
    tx.all(
        "SELECT i.id AS item_id, i.number, i.instance_id, i.resolved_at,
             coalesce((SELECT h.cause FROM item_history h
                       WHERE h.item_id = i.id AND h.what = 'state' AND h.after = 'resolved'
                       ORDER BY h.id DESC LIMIT 1), '') AS cause
         FROM vulnerable_item i
         JOIN rescan_policy p ON p.instance_id = i.instance_id
         WHERE i.state = 'resolved' AND i.resolved_at >= p.on_resolved_at AND i.resolved_at <= $1
           AND NOT EXISTS (SELECT 1 FROM rescan_wish w WHERE w.item_id = i.id AND w.resolved_at >= i.resolved_at)
         ORDER BY i.resolved_at, i.id LIMIT $2",
        &[&until, &limit],
    )
}

struct StagedWish {
    item_id: ItemId,
    resolved_at: Timestamp,
}
stage!(StagedWish as "rescan_wish_batch" { item_id: ItemId, resolved_at: Timestamp });

/// These resolutions were looked at; of those that are not rescanned the history of the item says why, by its code.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn looked_at(
    tx: &mut Transaction<'_>,
    rows: &[ResolvedRow],
    refused: &[(ItemId, &'static str)],
    now: Timestamp,
) -> Result<()> {
    let staged: Vec<StagedWish> =
        rows.iter().map(|row| StagedWish { item_id: row.item_id, resolved_at: row.resolved_at }).collect();
    tx.stage(&staged)?;
    tx.execute(
        "INSERT INTO rescan_wish (item_id, resolved_at) SELECT item_id, resolved_at FROM rescan_wish_batch WHERE TRUE
         ON CONFLICT (item_id) DO UPDATE SET resolved_at = excluded.resolved_at",
        &[],
    )?;
    let lines: Vec<HistoryRow> = refused
        .iter()
        .map(|(item, code)| HistoryRow {
            item_id: *item,
            what: "rescan",
            before: String::new(),
            after: (*code).to_owned(),
        })
        .collect();
    write_history(tx, &lines, "engine/rescan", now)
}
