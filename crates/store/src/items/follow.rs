//! What follows when items were made or went to another state, in the transaction that did it: one place that every writer of
//! items calls, so that nothing that hangs on them can be forgotten by one of them.

use super::due;
use crate::{Result, Transaction, assignment, remediation};
use domain::id::ItemId;
use domain::time::Timestamp;

/// What a writer did to items.
pub(crate) struct Followed<'a> {
    /// They did not exist before.
    pub(crate) new: &'a [ItemId],
    /// Their state, score or sightings changed.
    pub(crate) changed: &'a [ItemId],
    /// Who did it, as the history says it.
    pub(crate) by: &'a str,
}

/// Let everything that hangs on items follow them.
///
/// # Errors
/// See [`Error`](crate::Error).
pub(crate) fn follow(tx: &mut Transaction<'_>, followed: &Followed<'_>, now: Timestamp) -> Result<()> {
    let Followed { new, changed, by } = followed;
    due::follow(tx, new, changed, by, now)?;
    // Before tasks are grouped by whom their items are given to.
    assignment::follow(tx, followed, now)?;
    let moved = remediation::follow(tx, followed, now)?;
    due::follow(tx, &[], &moved, by, now)
}
