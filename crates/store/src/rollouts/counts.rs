//! Counts of tasks by wave: kept beside the tasks in the transaction that moves them, so that a gate costs no look at them (S12).

use crate::{Result, Sql, Transaction, record, scope};
use domain::access::AssetScope;
use domain::id::{RunId, TaskId};
use domain::rollout::gate::{Standing, Tally};
use domain::task::State;
use std::collections::BTreeMap;

/// Over how many rows the counts of a wave are spread, so that replicas rarely change the same one.
const SHARDS: i64 = 16;

/// Count the tasks of runs that were just made.
///
/// # Errors
/// See [`crate::Error`].
pub(crate) fn count_new(tx: &mut Transaction<'_>) -> Result<()> {
    tx.execute(
        "INSERT INTO wave_count (run_id, wave, shard, waiting, offered, unknown, good, bad, neutral, untried)
         SELECT run_id, wave, 0, count(*), 0, 0, 0, 0, 0, 0 FROM task_batch GROUP BY run_id, wave
         ON CONFLICT (run_id, wave, shard) DO UPDATE SET waiting = wave_count.waiting + excluded.waiting",
        &[],
    )?;
    Ok(())
}

/// How the counts of one wave change. All of it goes to one shard: only the sum over the shards is a count.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    shard: Option<i64>,
    change: [i64; Tally::FIGURES],
}

impl Moves {
    /// A task stands otherwise than before.
    pub(crate) fn add(&mut self, task: TaskId, before: Standing, after: Standing) {
        let (before, after) = (Tally::of([before]).figures(), Tally::of([after]).figures());
        if before == after {
            return;
        }
        self.shard.get_or_insert(task.0 % SHARDS);
        for (change, (before, after)) in self.change.iter_mut().zip(before.into_iter().zip(after)) {
            *change += i64::from(after > before) - i64::from(after < before);
        }
    }
}

/// Tasks of a wave move from bucket to bucket, if they do.
///
/// # Errors
/// See [`crate::Error`].
pub(crate) fn count(tx: &mut Transaction<'_>, run: RunId, wave: i64, moves: &Moves) -> Result<()> {
    let Some(shard) = moves.shard else { return Ok(()) };
    let [waiting, out, unknown, good, bad, neutral, untried, changed, half_done, silent, bad_ok, unknown_ok] =
        moves.change;
    tx.execute(
        "INSERT INTO wave_count (run_id, wave, shard, waiting, offered, unknown, good, bad, neutral, untried, changed,
             half_done, silent, accepted_bad, accepted_unknown)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT (run_id, wave, shard) DO UPDATE SET waiting = wave_count.waiting + excluded.waiting,
             offered = wave_count.offered + excluded.offered, unknown = wave_count.unknown + excluded.unknown,
             good = wave_count.good + excluded.good, bad = wave_count.bad + excluded.bad,
             neutral = wave_count.neutral + excluded.neutral, untried = wave_count.untried + excluded.untried,
             changed = wave_count.changed + excluded.changed, half_done = wave_count.half_done + excluded.half_done,
             silent = wave_count.silent + excluded.silent,
             accepted_bad = wave_count.accepted_bad + excluded.accepted_bad,
             accepted_unknown = wave_count.accepted_unknown + excluded.accepted_unknown",
        &[
            &run,
            &wave,
            &shard,
            &waiting,
            &out,
            &unknown,
            &good,
            &bad,
            &neutral,
            &untried,
            &changed,
            &half_done,
            &silent,
            &bad_ok,
            &unknown_ok,
        ],
    )?;
    Ok(())
}

record! {
    /// The counts of a wave, summed over its shards.
    struct Counts {
        run_id: RunId,
        wave: i64,
        waiting: i64,
        offered: i64,
        unknown: i64,
        good: i64,
        bad: i64,
        neutral: i64,
        untried: i64,
        changed: i64,
        half_done: i64,
        silent: i64,
        accepted_bad: i64,
        accepted_unknown: i64,
    }
}

impl Counts {
    fn tally(&self) -> Tally {
        let figures = [
            self.waiting,
            self.offered,
            self.unknown,
            self.good,
            self.bad,
            self.neutral,
            self.untried,
            self.changed,
            self.half_done,
            self.silent,
            self.accepted_bad,
            self.accepted_unknown,
        ];
        Tally::from_figures(figures.map(|count| u64::try_from(count).unwrap_or(0)))
    }
}

/// The counts of each wave of a run, first wave first.
///
/// # Errors
/// See [`crate::Error`].
pub fn tallies(tx: &mut Transaction<'_>, run: RunId) -> Result<Vec<(i64, Tally)>> {
    Ok(tallies_of(tx, &[run])?.remove(&run).unwrap_or_default())
}

/// The counts of each wave of these runs, first wave first.
///
/// # Errors
/// See [`crate::Error`].
pub fn tallies_of(tx: &mut Transaction<'_>, runs: &[RunId]) -> Result<BTreeMap<RunId, Vec<(i64, Tally)>>> {
    let runs: Vec<i64> = runs.iter().map(|run| run.0).collect();
    let rows: Vec<Counts> = tx.all(
        "SELECT run_id, wave, CAST(sum(waiting) AS BIGINT) AS waiting, CAST(sum(offered) AS BIGINT) AS offered,
             CAST(sum(unknown) AS BIGINT) AS unknown, CAST(sum(good) AS BIGINT) AS good, CAST(sum(bad) AS BIGINT) AS bad,
             CAST(sum(neutral) AS BIGINT) AS neutral, CAST(sum(untried) AS BIGINT) AS untried,
             CAST(sum(changed) AS BIGINT) AS changed, CAST(sum(half_done) AS BIGINT) AS half_done,
             CAST(sum(silent) AS BIGINT) AS silent, CAST(sum(accepted_bad) AS BIGINT) AS accepted_bad,
             CAST(sum(accepted_unknown) AS BIGINT) AS accepted_unknown
         FROM wave_count WHERE run_id {in $1} GROUP BY run_id, wave ORDER BY run_id, wave",
        &[&runs],
    )?;
    let mut found: BTreeMap<RunId, Vec<(i64, Tally)>> = BTreeMap::new();
    for row in rows {
        found.entry(row.run_id).or_default().push((row.wave, row.tally()));
    }
    Ok(found)
}

/// The same counted from the tasks: what [`tallies`] has to be (S12).
///
/// # Errors
/// See [`crate::Error`].
pub fn recount(tx: &mut Transaction<'_>, run: RunId) -> Result<Vec<(i64, Tally)>> {
    recount_within(tx, run, &AssetScope::All)
}

/// The same of the tasks on assets inside the scope.
///
/// # Errors
/// See [`crate::Error`].
pub fn recount_within(tx: &mut Transaction<'_>, run: RunId, within: &AssetScope) -> Result<Vec<(i64, Tally)>> {
    let mut sql = Sql::new(
        "SELECT t.wave, t.state, t.started_at IS NOT NULL AS started, t.half_done, t.accepted FROM task t WHERE t.run_id = ",
    )
    .bind(&run);
    if let Some(scope) = scope::assets(within, "t.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    let rows: Vec<(i64, State, bool, bool, bool)> = tx.all_built(&sql.text(" ORDER BY t.wave, t.id"))?;
    let mut waves: BTreeMap<i64, Tally> = BTreeMap::new();
    for (wave, state, started, half_done, accepted) in rows {
        let one = Tally::of([Standing { state, started, half_done, accepted }]);
        let sum = waves.entry(wave).or_default();
        *sum = sum.and(one);
    }
    Ok(waves.into_iter().collect())
}

/// A person accepts what has failed in a run so far, and what is unknown ([`Standing::accepted`]): these very tasks, as long as
/// they stay in the same try.
///
/// # Errors
/// See [`crate::Error`].
pub fn accept(tx: &mut Transaction<'_>, id: RunId) -> Result<()> {
    tx.execute(
        "UPDATE task SET accepted = $2, half_done = $3
         WHERE run_id = $1 AND NOT (accepted AND NOT half_done)
           AND state IN ('unknown', 'failed', 'verify_failed', 'refused', 'interrupted', 'lost', 'revert_failed',
                         'drifted_since_apply')",
        &[&id, &true, &false],
    )?;
    // Whatever counts as failed is accepted now, in every shard.
    tx.execute(
        "UPDATE wave_count SET accepted_bad = bad, accepted_unknown = unknown, half_done = 0, silent = 0 WHERE run_id = $1",
        &[&id],
    )?;
    Ok(())
}
