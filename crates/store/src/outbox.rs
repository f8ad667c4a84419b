//! Effects waiting to be carried out: committed with the state that caused them, done later by a worker.
//!
//! At least once: a worker claims messages for a while, does them, then marks them done. A worker that died loses its
//! claim by time, so every effect has to be idempotent, by its key. A claim is fenced by its own id.

use crate::{Result, Transaction, record};
use domain::time::Timestamp;
use uuid::Uuid;

record! {
    /// One effect, claimed.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Message {
        /// Key.
        pub id: i64,
        /// Which worker it is for.
        pub topic: String,
        /// What it is about; unique within the topic.
        pub key: String,
        /// What the worker needs, as JSON.
        pub body: String,
        /// How often it was claimed, this time included.
        pub tries: i64,
        /// The claim it is held under.
        pub claim: Option<Uuid>,
        /// When it was pushed.
        pub created_at: Timestamp,
    }
}

/// Put an effect down, in the transaction that causes it. `false` where the topic already has this key.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn push(
    tx: &mut Transaction<'_>,
    topic: &str,
    key: &str,
    body: &str,
    now: Timestamp,
    due_at: Timestamp,
) -> Result<bool> {
    let pushed = tx.execute(
        "INSERT INTO outbox (topic, key, body, created_at, due_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (topic, key) DO NOTHING",
        &[&topic, &key, &body, &now, &due_at],
    )?;
    Ok(pushed == 1)
}

/// Claim up to `limit` due messages of a topic for `seconds`, under a claim id that is new for each call.
///
/// This is the one function of the program that skips locked rows: two replicas then take different messages instead
/// of waiting for each other. Engines without it still claim each message once.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn claim(
    tx: &mut Transaction<'_>,
    topic: &str,
    claim: Uuid,
    now: Timestamp,
    seconds: i64,
    limit: i64,
) -> Result<Vec<Message>> {
    let mut messages: Vec<Message> = tx.all(
        "UPDATE outbox SET claim = $2, claimed_until_at = $4, tries = tries + 1
         WHERE id IN (
             SELECT id FROM outbox
             WHERE topic = $1 AND failed_at IS NULL AND due_at <= $3
               AND (claimed_until_at IS NULL OR claimed_until_at <= $3)
             ORDER BY due_at, id LIMIT $5 {skip_locked}
         )
         RETURNING id, topic, key, body, tries, claim, created_at",
        &[&topic, &claim, &now, &now.plus_seconds(seconds), &limit],
    )?;
    messages.sort_by_key(|message| message.id); // RETURNING promises no order
    Ok(messages)
}

/// The effect is done: forget it. `false` where the claim was lost meanwhile and somebody else may do it again.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn done(tx: &mut Transaction<'_>, message: &Message) -> Result<bool> {
    Ok(tx.execute("DELETE FROM outbox WHERE id = $1 AND claim = $2", &[&message.id, &message.claim])? == 1)
}

/// It did not work now: try again at `due_at`.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn retry(tx: &mut Transaction<'_>, message: &Message, due_at: Timestamp, failure: &str) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE outbox SET claim = NULL, claimed_until_at = NULL, due_at = $3, failure = $4
         WHERE id = $1 AND claim = $2",
        &[&message.id, &message.claim, &due_at, &failure],
    )?;
    Ok(changed == 1)
}

/// It will not work: keep it for people to see, and never try again.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn give_up(tx: &mut Transaction<'_>, message: &Message, now: Timestamp, failure: &str) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE outbox SET claim = NULL, claimed_until_at = NULL, failed_at = $3, failure = $4
         WHERE id = $1 AND claim = $2",
        &[&message.id, &message.claim, &now, &failure],
    )?;
    Ok(changed == 1)
}

/// Begin again with a message that was given up or waits for its next try: due now, its tries forgotten. `false` where
/// there is none, or somebody holds it.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn revive(tx: &mut Transaction<'_>, topic: &str, key: &str, now: Timestamp) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE outbox SET failed_at = NULL, failure = NULL, tries = 0, due_at = $3
         WHERE topic = $1 AND key = $2 AND claim IS NULL",
        &[&topic, &key, &now],
    )?;
    Ok(changed == 1)
}

/// [`revive`] for several messages at once; gives how many there were.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn revive_all(tx: &mut Transaction<'_>, topic: &str, keys: &[String], now: Timestamp) -> Result<u64> {
    tx.execute(
        "UPDATE outbox SET failed_at = NULL, failure = NULL, tries = 0, due_at = $3
         WHERE topic = $1 AND key {in $2} AND claim IS NULL",
        &[&topic, &keys.to_vec(), &now],
    )
}

/// When the next message of a topic is due, for a worker's sleep.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn next_due(tx: &mut Transaction<'_>, topic: &str) -> Result<Option<Timestamp>> {
    tx.scalar(
        "SELECT min(CASE WHEN claimed_until_at > due_at THEN claimed_until_at ELSE due_at END) FROM outbox
         WHERE topic = $1 AND failed_at IS NULL",
        &[&topic],
    )
}
