//! Sessions of people, and the failed sign-ins that slow the next one down. Only digests of secrets come here.

use crate::{Result, Transaction, record};
use domain::account::{
    ACCOUNT_THROTTLE, ADDRESS_THROTTLE, KNOWN_SECONDS, SessionLimits, Throttle, session_valid, subjects,
};
use domain::id::UserId;
use domain::time::Timestamp;

/// A session's use is noted at most this often, in seconds, so that reading pages does not write.
const USE_NOTED_SECONDS: i64 = 60;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub user: UserId,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was used last, to the minute.
    pub used_at: Timestamp,
}

record! {
    struct SessionRow {
        account_id: i64,
        created_at: i64,
        used_at: i64,
    }
}

/// Begin a session.
///
/// # Errors
/// See [`crate::Error`].
pub fn create(
    tx: &mut Transaction<'_>,
    digest: &[u8],
    user: UserId,
    address: &str,
    browser: &str,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO session (digest, account_id, created_at, used_at, address, browser) VALUES ($1, $2, $3, $3, $4, $5)",
        &[&digest, &user.0, &now.micros(), &address, &browser],
    )?;
    Ok(())
}

/// The session of this digest while it is valid.
///
/// # Errors
/// See [`crate::Error`].
pub fn find(tx: &mut Transaction<'_>, digest: &[u8], limits: SessionLimits, now: Timestamp) -> Result<Option<Session>> {
    let row: Option<SessionRow> =
        tx.optional("SELECT account_id, created_at, used_at FROM session WHERE digest = $1", &[&digest])?;
    Ok(row
        .map(|row| Session {
            user: UserId(row.account_id),
            created_at: Timestamp::from_micros(row.created_at),
            used_at: Timestamp::from_micros(row.used_at),
        })
        .filter(|session| session_valid(session.created_at, session.used_at, now, limits)))
}

/// Whether the use of a session at `now` has to be noted with [`used`].
#[must_use]
pub fn use_is_news(session: &Session, now: Timestamp) -> bool {
    now >= session.used_at.plus_seconds(USE_NOTED_SECONDS)
}

/// Note that a session was used.
///
/// # Errors
/// See [`crate::Error`].
pub fn used(tx: &mut Transaction<'_>, digest: &[u8], now: Timestamp) -> Result<()> {
    tx.execute("UPDATE session SET used_at = $1 WHERE digest = $2 AND used_at < $1", &[&now.micros(), &digest])?;
    Ok(())
}

/// End one session.
///
/// # Errors
/// See [`crate::Error`].
pub fn end(tx: &mut Transaction<'_>, digest: &[u8]) -> Result<()> {
    tx.execute("DELETE FROM session WHERE digest = $1", &[&digest])?;
    Ok(())
}

/// End every session of a user; gives how many.
///
/// # Errors
/// See [`crate::Error`].
pub fn end_all(tx: &mut Transaction<'_>, user: UserId) -> Result<u64> {
    tx.execute("DELETE FROM session WHERE account_id = $1", &[&user.0])
}

/// Remove what no longer matters: sessions past their limits and forgotten failures.
///
/// # Errors
/// See [`crate::Error`].
pub fn sweep(tx: &mut Transaction<'_>, limits: SessionLimits, now: Timestamp) -> Result<u64> {
    let removed = tx.execute(
        "DELETE FROM session WHERE used_at <= $1 OR created_at <= $2",
        &[&now.plus_seconds(-limits.idle_seconds).micros(), &now.plus_seconds(-limits.absolute_seconds).micros()],
    )?;
    let forgotten = now.plus_seconds(-ACCOUNT_THROTTLE.forget_after_seconds.max(ADDRESS_THROTTLE.forget_after_seconds));
    tx.execute("DELETE FROM sign_in_known WHERE used_at <= $1", &[&now.plus_seconds(-KNOWN_SECONDS)])?;
    Ok(removed + tx.execute("DELETE FROM sign_in_failure WHERE last_at <= $1", &[&forgotten.micros()])?)
}

/// Whether somebody may try to sign in now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Try; the attempt already counts as failed until [`succeeded`] says otherwise, so that many attempts at once are
    /// not all free.
    Counted,
    /// Not before this instant; nothing was counted.
    TooEarly(Timestamp),
}

/// Count an attempt for an account name and a network ([`domain::account::network`]), unless one of them has to wait.
///
/// # Errors
/// See [`crate::Error`].
pub fn attempt(tx: &mut Transaction<'_>, account: &str, network: &str, now: Timestamp) -> Result<Attempt> {
    let subjects = subjects(account, network, known(tx, account, network, now)?);
    let mut counts = Vec::new();
    for (subject, throttle) in &subjects {
        let failures = failures(tx, subject, throttle, now)?;
        if let Some((count, last_at)) = failures {
            let open_at = throttle.open_at(count, last_at);
            if now < open_at {
                return Ok(Attempt::TooEarly(open_at));
            }
        }
        counts.push(failures.map_or(0, |(count, _)| count) + 1);
    }
    for ((subject, _), count) in subjects.iter().zip(counts) {
        tx.execute(
            "INSERT INTO sign_in_failure (subject, failures, last_at) VALUES ($1, $2, $3)
             ON CONFLICT (subject) DO UPDATE SET failures = excluded.failures, last_at = excluded.last_at",
            &[subject, &count, &now.micros()],
        )?;
    }
    Ok(Attempt::Counted)
}

/// The attempt counted last was a success: the account starts anew, the network gets its one attempt back and is one the
/// account is known from.
///
/// # Errors
/// See [`crate::Error`].
pub fn succeeded(tx: &mut Transaction<'_>, account: &str, network: &str, now: Timestamp) -> Result<()> {
    let [(own, _), (address, _)] = subjects(account, network, known(tx, account, network, now)?);
    tx.execute("DELETE FROM sign_in_failure WHERE subject = $1", &[&own])?;
    tx.execute("UPDATE sign_in_failure SET failures = failures - 1 WHERE subject = $1 AND failures > 0", &[&address])?;
    tx.execute(
        "INSERT INTO sign_in_known (account, network, used_at) VALUES ($1, $2, $3)
         ON CONFLICT (account, network) DO UPDATE SET used_at = excluded.used_at",
        &[&account, &network, &now],
    )?;
    Ok(())
}

fn known(tx: &mut Transaction<'_>, account: &str, network: &str, now: Timestamp) -> Result<bool> {
    let since = now.plus_seconds(-KNOWN_SECONDS);
    let count: i64 = tx.scalar(
        "SELECT count(*) FROM sign_in_known WHERE account = $1 AND network = $2 AND used_at > $3",
        &[&account, &network, &since],
    )?;
    Ok(count > 0)
}

/// Forget the failed sign-ins of an account.
///
/// # Errors
/// See [`crate::Error`].
pub fn forgive(tx: &mut Transaction<'_>, account: &str) -> Result<()> {
    tx.execute(
        "DELETE FROM sign_in_failure WHERE subject = 'account:' || $1
            OR subject IN (SELECT 'known:' || network || ' ' || account FROM sign_in_known WHERE account = $1)",
        &[&account],
    )?;
    Ok(())
}

fn failures(
    tx: &mut Transaction<'_>,
    subject: &str,
    throttle: &Throttle,
    now: Timestamp,
) -> Result<Option<(i64, Timestamp)>> {
    let row: Option<(i64, i64)> =
        tx.optional("SELECT failures, last_at FROM sign_in_failure WHERE subject = $1", &[&subject])?;
    Ok(row.map(|(count, last_at)| {
        let last_at = Timestamp::from_micros(last_at);
        (throttle.counted(count, last_at, now), last_at)
    }))
}
