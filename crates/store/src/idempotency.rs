//! Answers kept for requests with an `Idempotency-Key`: a repetition gets the first answer and does nothing.
//!
//! Whoever works on a request holds its key for a time, over all replicas, and every transaction that keeps something for it says
//! so in the same breath ([`within`]). So whoever comes after a crash knows whether anything was done, and whoever lost the key,
//! because he took too long, keeps nothing any more.

use crate::{Error, Result, Transaction};
use domain::time::Timestamp;

/// The name in [`Error::Conflict`] where the key of a request went to somebody else meanwhile.
pub const LOST: &str = "idempotency_lost";

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Never seen, or nothing came of it: do the work [`within`] it and [`finish`].
    New,
    /// Done before: give this answer again.
    Repeated {
        /// The HTTP status.
        status: u16,
        /// The body, exact.
        answer: Vec<u8>,
    },
    /// Somebody works on it, here or elsewhere.
    InProgress,
    /// Something was done for it, and its answer is lost: refuse.
    Unknown,
    /// The key was used for another request: refuse.
    Misused,
}

/// A request that is being worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Working {
    /// Who asks.
    pub actor: String,
    /// The key.
    pub key: String,
    /// When the work began: the mark by which it holds the key.
    pub begun_at: Timestamp,
}

tokio::task_local! {
    static WORKING: Working;
}

/// Do `work` for a request: all that it keeps says so, and nothing is kept once the key has gone to somebody else.
pub async fn within<W: Future>(working: Working, work: W) -> W::Output {
    WORKING.scope(working, work).await
}

/// The request that this task works for, if it does for one.
pub(crate) fn current() -> Option<Working> {
    WORKING.try_with(Clone::clone).ok()
}

/// Say that something is kept for a request.
pub(crate) fn worked(tx: &mut Transaction<'_>, working: &Working) -> Result<()> {
    let held = tx.execute(
        "UPDATE idempotency SET worked = $4 WHERE actor = $1 AND key = $2 AND begun_at = $3",
        &[&working.actor, &working.key, &working.begun_at, &true],
    )?;
    if held == 1 { Ok(()) } else { Err(Error::Conflict(LOST.to_owned())) }
}

/// Look a key up and hold it for so many seconds. `request` is a digest of method, path and body.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn begin(
    tx: &mut Transaction<'_>,
    actor: &str,
    key: &str,
    request: &[u8; 32],
    seconds: i64,
    now: Timestamp,
) -> Result<Begun> {
    let noted = tx.execute(
        "INSERT INTO idempotency (actor, key, request, created_at, begun_at) VALUES ($1, $2, $3, $4, $4)
         ON CONFLICT (actor, key) DO NOTHING",
        &[&actor, &key, request, &now],
    )?;
    if noted == 1 {
        return Ok(Begun::New);
    }
    type Known = (Vec<u8>, Option<u16>, Option<Vec<u8>>, Option<Timestamp>, bool);
    let (before, status, answer, begun_at, worked): Known = tx.one(
        "SELECT request, status, answer, begun_at, worked FROM idempotency WHERE actor = $1 AND key = $2",
        &[&actor, &key],
    )?;
    Ok(match (status, answer) {
        _ if before != request => Begun::Misused,
        (Some(status), Some(answer)) => Begun::Repeated { status, answer },
        _ if begun_at.is_some_and(|at| at.plus_seconds(seconds) > now) => Begun::InProgress,
        _ if worked => Begun::Unknown,
        _ => {
            tx.execute("UPDATE idempotency SET begun_at = $3 WHERE actor = $1 AND key = $2", &[&actor, &key, &now])?;
            Begun::New
        }
    })
}

/// Keep the answer.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn finish(tx: &mut Transaction<'_>, working: &Working, status: u16, answer: &[u8]) -> Result<()> {
    tx.execute(
        "UPDATE idempotency SET status = $4, answer = $5 WHERE actor = $1 AND key = $2 AND begun_at = $3",
        &[&working.actor, &working.key, &working.begun_at, &status, &answer],
    )
    .map(|_| ())
}

/// Forget a key whose request was refused: where it did nothing, the key may be used for another; where something was kept of
/// it, it stays, and a repetition is told that nobody knows what it came to.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn forget(tx: &mut Transaction<'_>, working: &Working) -> Result<()> {
    tx.execute(
        "DELETE FROM idempotency WHERE actor = $1 AND key = $2 AND begun_at = $3 AND status IS NULL AND worked = $4",
        &[&working.actor, &working.key, &working.begun_at, &false],
    )?;
    let_go(tx, working)
}

/// Let go of a key whose request failed on our side: where nothing was kept of it, it may be tried again at once.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn let_go(tx: &mut Transaction<'_>, working: &Working) -> Result<()> {
    tx.execute(
        "UPDATE idempotency SET begun_at = NULL WHERE actor = $1 AND key = $2 AND begun_at = $3 AND status IS NULL",
        &[&working.actor, &working.key, &working.begun_at],
    )
    .map(|_| ())
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
