//! Leases: which replica runs a task of the engine, until when.
//!
//! A lease is a hint for who works and a fence for what is written: whoever writes on the strength of a lease calls
//! [`hold`] in the same transaction, so a replica that slept through its lease cannot write any more. Clocks of
//! replicas may differ; that costs time, never safety. There are deliberately no advisory locks.

use crate::{Error, Record, Result, Row, Transaction};
use domain::time::Timestamp;
use uuid::Uuid;

/// The right to run one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which task.
    pub name: String,
    /// The replica, by an id it made at its start.
    pub holder: Uuid,
    /// Grows whenever the lease changes hands.
    pub fence: i64,
    /// When others may take it.
    pub until_at: Timestamp,
}

impl Record for Lease {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Lease {
            name: row.get("name")?,
            holder: row.get("holder")?,
            fence: row.get("fence")?,
            until_at: row.get("until_at")?,
        })
    }
}

/// The name in [`Error::Conflict`] where a lease was lost.
pub const LOST: &str = "lease_lost";

/// Take the lease, or take it again, until `now` plus `seconds`; `None` while another replica has it.
///
/// # Errors
/// See [`Error`].
pub fn acquire(
    tx: &mut Transaction<'_>,
    name: &str,
    holder: Uuid,
    now: Timestamp,
    seconds: i64,
) -> Result<Option<Lease>> {
    tx.optional(
        "INSERT INTO lease (name, holder, fence, until_at) VALUES ($1, $2, 1, $3)
         ON CONFLICT (name) DO UPDATE SET
             fence = CASE WHEN lease.holder = excluded.holder AND lease.until_at > $4
                          THEN lease.fence ELSE lease.fence + 1 END,
             holder = excluded.holder,
             until_at = excluded.until_at
         WHERE lease.until_at <= $4 OR lease.holder = excluded.holder
         RETURNING name, holder, fence, until_at",
        &[&name, &holder, &now.plus_seconds(seconds), &now],
    )
}

/// Keep the lease until `now` plus `seconds`; `None` where another replica has taken it meanwhile.
///
/// # Errors
/// See [`Error`].
pub fn renew(tx: &mut Transaction<'_>, lease: &Lease, now: Timestamp, seconds: i64) -> Result<Option<Lease>> {
    tx.optional(
        "UPDATE lease SET until_at = $4 WHERE name = $1 AND holder = $2 AND fence = $3
         RETURNING name, holder, fence, until_at",
        &[&lease.name, &lease.holder, &lease.fence, &now.plus_seconds(seconds)],
    )
}

/// Make sure, inside the transaction that writes, that the lease is still ours.
///
/// # Errors
/// [`Error::Conflict`] with [`LOST`] where it is not.
pub fn hold(tx: &mut Transaction<'_>, lease: &Lease) -> Result<()> {
    let ours: i64 = tx.scalar(
        "SELECT count(*) FROM lease WHERE name = $1 AND holder = $2 AND fence = $3",
        &[&lease.name, &lease.holder, &lease.fence],
    )?;
    if ours == 1 { Ok(()) } else { Err(Error::Conflict(LOST.to_owned())) }
}

/// Give the lease back, so that another replica need not wait for its end.
///
/// # Errors
/// See [`Error`].
pub fn release(tx: &mut Transaction<'_>, lease: &Lease) -> Result<()> {
    tx.execute(
        "UPDATE lease SET until_at = 0 WHERE name = $1 AND holder = $2 AND fence = $3",
        &[&lease.name, &lease.holder, &lease.fence],
    )
    .map(|_| ())
}

/// How many leases whose names begin with `prefix` are held.
///
/// # Errors
/// See [`Error`].
pub fn held(tx: &mut Transaction<'_>, prefix: &str, now: Timestamp) -> Result<i64> {
    tx.scalar("SELECT count(*) FROM lease WHERE substr(name, 1, length($1)) = $1 AND until_at > $2", &[&prefix, &now])
}

/// Every lease, for the operations page.
///
/// # Errors
/// See [`Error`].
pub fn all(tx: &mut Transaction<'_>) -> Result<Vec<Lease>> {
    tx.all("SELECT name, holder, fence, until_at FROM lease ORDER BY name", &[])
}
