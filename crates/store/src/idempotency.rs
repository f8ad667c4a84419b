//! Answers kept for requests with an `Idempotency-Key`: a repetition gets the first answer and does nothing.

use crate::{Result, Transaction};
use domain::time::Timestamp;

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Never seen: do the work and [`finish`].
    New,
    /// Done before: give this answer again.
    Repeated {
        /// The HTTP status.
        status: u16,
        /// The body, exact.
        answer: Vec<u8>,
    },
    /// The key was used for another request: refuse.
    Misused,
}

/// Look a key up and note it. `request` is a digest of method, path and body.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn begin(tx: &mut Transaction<'_>, actor: &str, key: &str, request: &[u8; 32], now: Timestamp) -> Result<Begun> {
    let noted = tx.execute(
        "INSERT INTO idempotency (actor, key, request, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (actor, key) DO NOTHING",
        &[&actor, &key, request, &now],
    )?;
    if noted == 1 {
        return Ok(Begun::New);
    }
    let (before, status, answer): (Vec<u8>, Option<u16>, Option<Vec<u8>>) =
        tx.one("SELECT request, status, answer FROM idempotency WHERE actor = $1 AND key = $2", &[&actor, &key])?;
    Ok(match (status, answer) {
        _ if before != request => Begun::Misused,
        (Some(status), Some(answer)) => Begun::Repeated { status, answer },
        _ => Begun::New,
    })
}

/// Keep the answer.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn finish(tx: &mut Transaction<'_>, actor: &str, key: &str, status: u16, answer: &[u8]) -> Result<()> {
    tx.execute(
        "UPDATE idempotency SET status = $3, answer = $4 WHERE actor = $1 AND key = $2",
        &[&actor, &key, &status, &answer],
    )
    .map(|_| ())
}

/// Forget a key whose request was refused: it did nothing, so the key may be used for another.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn forget(tx: &mut Transaction<'_>, actor: &str, key: &str) -> Result<()> {
    tx.execute("DELETE FROM idempotency WHERE actor = $1 AND key = $2 AND status IS NULL", &[&actor, &key]).map(|_| ())
}

/// Forget up to 1,000 keys from before an instant; gives how many.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn forget_before(tx: &mut Transaction<'_>, before: Timestamp) -> Result<u64> {
    tx.execute(
        "DELETE FROM idempotency WHERE (actor, key) IN (
             SELECT actor, key FROM idempotency WHERE created_at < $1 ORDER BY created_at LIMIT 1000
         )",
        &[&before],
    )
}
