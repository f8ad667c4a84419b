//! Hosts that are away: which tasks of a wave wait for one, who takes their place, and since when anybody listens.
//!
//! Who counts as away is [`domain::rollout::Policy::away_before`]'s to say.

use crate::{Result, Transaction};
use domain::contact::Span;
use domain::id::{AssetId, RunId};
use domain::time::Timestamp;

/// The heartbeat is written once in so many seconds, by whichever replica comes first.
pub const BEAT_SECONDS: i64 = 60;
/// A pause longer than this is one in which nobody listened, in seconds.
const PAUSE_SECONDS: i64 = 600;
/// Spans in which somebody listened that are looked at, the newest first; more than that in a year is a server that never stays up.
const SPANS_MAX: i64 = 5_000;
/// Assets that change waves at once, at most.
const TRADED_MAX: i64 = 500;

/// Since when somebody listens without a pause, and whether this look is the one in a minute that writes so down.
///
/// # Errors
/// See [`crate::Error`].
pub fn listening(tx: &mut Transaction<'_>, now: Timestamp) -> Result<(Timestamp, bool)> {
    const NAME: &str = "dispatch";
    let known: Option<(Timestamp, Timestamp)> =
        tx.optional("SELECT since, until FROM heartbeat WHERE name = $1", &[&NAME])?;
    match known {
        // A heartbeat far ahead of now was written by a clock that was wrong, and says nothing.
        Some((since, until)) if now < until.plus_seconds(BEAT_SECONDS) && until <= now.plus_seconds(PAUSE_SECONDS) => {
            Ok((since, false))
        }
        _ => {
            let heard: (Timestamp,) = tx.one(
                "INSERT INTO heartbeat (name, since, until) VALUES ($1, $2, $2)
                 ON CONFLICT (name) DO UPDATE SET until = $2,
                     since = CASE WHEN heartbeat.until < $3 OR heartbeat.until > $4 THEN $2 ELSE heartbeat.since END
                 RETURNING since",
                &[&NAME, &now, &now.plus_seconds(-PAUSE_SECONDS), &now.plus_seconds(PAUSE_SECONDS)],
            )?;
            tx.execute(
                "INSERT INTO listening (since, until) VALUES ($1, $2)
                 ON CONFLICT (since) DO UPDATE SET until =
                     CASE WHEN excluded.until > listening.until THEN excluded.until ELSE listening.until END",
                &[&heard.0, &now],
            )?;
            Ok((heard.0, true))
        }
    }
}

/// The spans of time in which somebody listened, the newest first, for [`domain::contact::Bounds::of`].
///
/// # Errors
/// See [`crate::Error`].
pub fn spans(tx: &mut Transaction<'_>) -> Result<Vec<Span>> {
    let rows: Vec<(Timestamp, Timestamp)> =
        tx.all("SELECT since, until FROM listening ORDER BY since DESC LIMIT $1", &[&SPANS_MAX])?;
    Ok(rows.into_iter().map(|(since, until)| Span { since, until }).collect())
}

/// Forget spans that ended before an instant.
///
/// # Errors
/// See [`crate::Error`].
pub fn forget_spans(tx: &mut Transaction<'_>, before: Timestamp) -> Result<u64> {
    tx.execute("DELETE FROM listening WHERE until < $1", &[&before])
}

/// How many tasks of a wave are due and wait for a host that was last heard before `bound`.
///
/// # Errors
/// See [`crate::Error`].
pub fn waiting(tx: &mut Transaction<'_>, run: RunId, wave: i64, bound: Timestamp, now: Timestamp) -> Result<i64> {
    tx.scalar(
        "SELECT count(*) FROM task t JOIN agent g ON g.id = t.agent_key
         WHERE t.run_id = $1 AND t.wave = $2 AND t.state IN ('pending', 'ready') AND t.due_at <= $4 AND g.last_seen_at < $3",
        &[&run, &wave, &bound, &now],
    )
}

/// An asset and the wave it is in from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Move {
    asset_id: AssetId,
    wave: i64,
}
crate::stage!(Move as "wave_batch" { asset_id: AssetId, wave: i64 });

/// Let hosts that are there take the places of those that are away in a wave, so that it has as many to learn from as it was
/// meant to have; those that are away take theirs, the last wave first. Only hosts of which nothing was ordered yet change.
/// Gives who changed.
///
/// # Errors
/// See [`crate::Error`].
pub fn trade(tx: &mut Transaction<'_>, run: RunId, wave: i64, bound: Timestamp, now: Timestamp) -> Result<Traded> {
    let away: Vec<(AssetId,)> = tx.all(
        "SELECT t.asset_id FROM task t JOIN agent g ON g.id = t.agent_key
         WHERE t.run_id = $1 AND t.wave = $2 GROUP BY t.asset_id
         HAVING max(CASE WHEN t.state IN ('pending', 'ready') AND t.epoch = 0 AND t.due_at <= $4 AND g.last_seen_at < $3
                         THEN 0 ELSE 1 END) = 0
         ORDER BY t.asset_id LIMIT $5",
        &[&run, &wave, &bound, &now, &TRADED_MAX],
    )?;
    if away.is_empty() {
        return Ok(Traded::default());
    }
    let there: Vec<(AssetId, i64)> = tx.all(
        "SELECT t.asset_id, max(t.wave) FROM task t JOIN agent g ON g.id = t.agent_key
         WHERE t.run_id = $1 AND t.wave > $2 GROUP BY t.asset_id
         HAVING max(CASE WHEN t.state = 'pending' AND t.epoch = 0 AND t.due_at <= $4 AND g.last_seen_at >= $3
                         THEN 0 ELSE 1 END) = 0
         ORDER BY max(t.wave) DESC, t.asset_id LIMIT $5",
        &[&run, &wave, &bound, &now, &i64::try_from(away.len()).unwrap_or(TRADED_MAX)],
    )?;
    let mut moves = Vec::new();
    let mut traded = Traded::default();
    for ((gone,), (came, from)) in away.into_iter().zip(there) {
        moves.push(Move { asset_id: gone, wave: from });
        moves.push(Move { asset_id: came, wave });
        traded.gone.push(gone);
        traded.came.push(came);
    }
    if moves.is_empty() {
        return Ok(traded);
    }
    tx.stage(&moves)?;
    // Nothing of either was ordered, so what is counted is all waiting, and moves with them (S12).
    tx.execute(
        "INSERT INTO wave_count (run_id, wave, shard, waiting, offered, unknown, good, bad, neutral, untried)
         SELECT $1, d.wave, 0, CAST(sum(d.tasks) AS BIGINT), 0, 0, 0, 0, 0, 0 FROM (
             SELECT t.wave AS wave, -1 AS tasks FROM task t JOIN wave_batch b ON b.asset_id = t.asset_id WHERE t.run_id = $1
             UNION ALL
             SELECT b.wave AS wave, 1 AS tasks FROM task t JOIN wave_batch b ON b.asset_id = t.asset_id WHERE t.run_id = $1
         ) AS d WHERE true GROUP BY d.wave
         ON CONFLICT (run_id, wave, shard) DO UPDATE SET waiting = wave_count.waiting + excluded.waiting",
        &[&run],
    )?;
    tx.execute(
        "UPDATE task SET wave = b.wave, state = 'pending', updated_at = $2 FROM wave_batch b
         WHERE task.run_id = $1 AND task.asset_id = b.asset_id",
        &[&run, &now],
    )?;
    Ok(traded)
}

/// Who changed waves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traded {
    /// Those that were away, now in a later wave.
    pub gone: Vec<AssetId>,
    /// Those that took their places.
    pub came: Vec<AssetId>,
}
