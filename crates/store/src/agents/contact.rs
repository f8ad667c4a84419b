//! Agents of which nothing is heard any more: contact is lost, they are retired, a person takes one back. The rules are
//! [`domain::contact`]'s; a test holds these statements to them.

use crate::{Result, Transaction};
use domain::contact::Fleet;
use domain::id::AgentKey;
use domain::time::Timestamp;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Agents that are marked or retired in one statement.
pub const PAGE: i64 = 500;

/// An agent that nothing was heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silent {
    /// Its key.
    pub key: AgentKey,
    /// Id on the wire.
    pub agent_id: Uuid,
    /// Host name as it claims.
    pub hostname: String,
    /// Last heard.
    pub last_seen_at: Timestamp,
}

type Row = (AgentKey, Uuid, String, Timestamp);

/// An agent in force that was neither heard nor taken back since `$1`, around what a statement says of it.
macro_rules! silent {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " revoked_at IS NULL AND last_seen_at < $1 AND (reinstated_at IS NULL OR reinstated_at < $1) ",
            $after
        )
    };
}

fn silent(rows: Vec<Row>) -> Vec<Silent> {
    let mut rows: Vec<Silent> = rows
        .into_iter()
        .map(|(key, agent_id, hostname, last_seen_at)| Silent { key, agent_id, hostname, last_seen_at })
        .collect();
    rows.sort_by_key(|silent| silent.key);
    rows
}

/// Whether any agent in force was last heard before `bound`: looking is cheap, and mostly there is nothing to write.
///
/// # Errors
/// See [`crate::Error`].
pub fn any_before(tx: &mut Transaction<'_>, bound: Timestamp) -> Result<bool> {
    tx.scalar("SELECT EXISTS (SELECT 1 FROM agent WHERE revoked_at IS NULL AND last_seen_at < $1)", &[&bound])
}

/// How many agents [`mark`] has still to mark.
///
/// # Errors
/// See [`crate::Error`].
pub fn unmarked(tx: &mut Transaction<'_>, bound: Timestamp) -> Result<i64> {
    tx.scalar(silent!("SELECT count(*) FROM agent WHERE", "AND missing_at IS NULL"), &[&bound])
}

/// Contact is lost with agents that were neither heard nor taken back since `bound`; gives those that it was not lost with before, at
/// most [`PAGE`].
///
/// # Errors
/// See [`crate::Error`].
pub fn mark(tx: &mut Transaction<'_>, bound: Timestamp, now: Timestamp) -> Result<Vec<Silent>> {
    let rows: Vec<Row> = tx.all(
        silent!(
            "UPDATE agent SET missing_at = $2 WHERE id IN (SELECT id FROM agent WHERE",
            "AND missing_at IS NULL ORDER BY id LIMIT $3)
               AND revoked_at IS NULL AND missing_at IS NULL AND last_seen_at < $1
             RETURNING id, agent_id, hostname, last_seen_at"
        ),
        &[&bound, &now, &PAGE],
    )?;
    Ok(silent(rows))
}

/// The fleet as far as silence goes; agents that were retired after `since` count.
///
/// # Errors
/// See [`crate::Error`].
pub fn fleet(tx: &mut Transaction<'_>, since: Timestamp) -> Result<Fleet> {
    let (agents, silent): (i64, i64) = tx.one(
        "SELECT count(*), count(*) FILTER (WHERE missing_at IS NOT NULL OR retired_at IS NOT NULL) FROM agent
         WHERE revoked_at IS NULL OR retired_at > $1",
        &[&since],
    )?;
    let whole = |count: i64| u64::try_from(count).unwrap_or(0);
    Ok(Fleet { agents: whole(agents), silent: whole(silent) })
}

/// How many agents in force that contact is lost with were neither heard nor taken back since `bound`.
///
/// # Errors
/// See [`crate::Error`].
pub fn over(tx: &mut Transaction<'_>, bound: Timestamp) -> Result<i64> {
    tx.scalar(silent!("SELECT count(*) FROM agent WHERE", "AND missing_at IS NOT NULL"), &[&bound])
}

/// Retire these agents, at most [`PAGE`]: their requests are refused from now on, as if they were revoked, and a person may take them
/// back. Gives which.
///
/// # Errors
/// See [`crate::Error`].
pub fn retire(tx: &mut Transaction<'_>, bound: Timestamp, now: Timestamp) -> Result<Vec<Silent>> {
    // Asked twice: on PostgreSQL another replica may have retired one meanwhile, or heard it.
    let rows: Vec<Row> = tx.all(
        silent!(
            "UPDATE agent SET revoked_at = $2, retired_at = $2 WHERE id IN (SELECT id FROM agent WHERE",
            "AND missing_at IS NOT NULL ORDER BY id LIMIT $3)
               AND revoked_at IS NULL AND last_seen_at < $1
             RETURNING id, agent_id, hostname, last_seen_at"
        ),
        &[&bound, &now, &PAGE],
    )?;
    Ok(silent(rows))
}

/// Take an agent back that was retired by itself; `false` when it was not, or a person has ended it for good. Its silence counts from now.
///
/// # Errors
/// See [`crate::Error`].
pub fn take_back(tx: &mut Transaction<'_>, key: AgentKey, now: Timestamp) -> Result<bool> {
    let taken = tx.execute(
        "UPDATE agent SET revoked_at = NULL, retired_at = NULL, missing_at = NULL, reinstated_at = $2
         WHERE id = $1 AND retired_at IS NOT NULL",
        &[&key, &now],
    )?;
    Ok(taken == 1)
}

/// Which of these agents were retired by themselves.
///
/// # Errors
/// See [`crate::Error`].
pub fn retired(tx: &mut Transaction<'_>, keys: &[AgentKey]) -> Result<BTreeSet<AgentKey>> {
    if keys.is_empty() {
        return Ok(BTreeSet::new());
    }
    let keys: Vec<i64> = keys.iter().map(|key| key.0).collect();
    let rows: Vec<(AgentKey,)> =
        tx.all("SELECT id FROM agent WHERE id {in $1} AND retired_at IS NOT NULL", &[&keys])?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}

/// Since when an agent's silence counts: when it was last heard, or taken back by a person.
///
/// # Errors
/// See [`crate::Error`].
pub fn counted_since(tx: &mut Transaction<'_>, key: AgentKey) -> Result<Timestamp> {
    tx.scalar(
        "SELECT CASE WHEN reinstated_at > last_seen_at THEN reinstated_at ELSE last_seen_at END FROM agent WHERE id = $1",
        &[&key],
    )
}
