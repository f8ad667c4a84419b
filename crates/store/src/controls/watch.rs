//! Controls that no agent looks at any more: nobody can tell whether they are in force, so they take nothing off.
//!
//! Which they are is [`domain::control::unwatched`]'s to say; a test holds these statements to it.

use crate::{Result, Transaction};
use domain::control::UNWATCHED_SECONDS;
use domain::id::AssetId;
use domain::time::Timestamp;

/// What [`unwatched`] gives at once.
pub const PAGE: i64 = 200;

/// That a control counts and nobody looks at it; $2 are the microseconds after its last look. What has expired counts no more, and what
/// removed a weakness for good is the scanner's to confirm.
macro_rules! unwatched {
    () => {
        "c.state IN ('effective', 'configured') AND c.expired_at IS NULL
           AND EXISTS (SELECT 1 FROM catalogue_entry e WHERE e.id = c.entry_key AND e.implication = 'mitigation')
           AND NOT EXISTS (SELECT 1 FROM agent g
                           WHERE g.asset_id = c.asset_id AND g.revoked_at IS NULL AND g.link <> 'ambiguous'
                             AND g.last_seen_at <= c.checked_at + $2)"
    };
}

fn micros() -> i64 {
    UNWATCHED_SECONDS * 1_000_000
}

/// Keys of controls that count and that nobody looks at any more: by key, after this one, at most [`PAGE`].
///
/// # Errors
/// See [`crate::Error`].
pub fn unwatched(tx: &mut Transaction<'_>, after: i64) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> = tx.all(
        concat!("SELECT c.id FROM control c WHERE c.id > $1 AND ", unwatched!(), " ORDER BY c.id LIMIT $3"),
        &[&after, &micros(), &PAGE],
    )?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Nobody can tell any more what became of those of these controls that still nobody looks at; gives asset and entry of each, in order.
///
/// # Errors
/// See [`crate::Error`].
pub fn unwatch(
    tx: &mut Transaction<'_>,
    controls: &[i64],
    note: &str,
    now: Timestamp,
) -> Result<Vec<(AssetId, String)>> {
    let mut rows: Vec<(AssetId, String)> = tx.all(
        concat!(
            "UPDATE control SET state = 'unknown', since_at = $3, note = $4
             WHERE id IN (SELECT c.id FROM control c WHERE c.id {in $1} AND ",
            unwatched!(),
            ") RETURNING asset_id, entry"
        ),
        &[&controls, &micros(), &now, &note],
    )?;
    rows.sort_unstable();
    Ok(rows)
}
