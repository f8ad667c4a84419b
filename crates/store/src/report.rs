//! The lines of a job's progress report: one per asset, QID and mitigation (spec mitigation-jobs.md section 3.7), in
//! keyset pages, clipped to a scope.
//!
//! Says what is stored; the words of codes and states are `domain::result`'s.

use crate::{Result, Sql, Transaction, record, scope};
use domain::access::AssetScope;
use domain::id::{AssetId, JobId, RunId, VulnerabilityId};
use domain::mitigation::ControlState;
use domain::score::Mitigation;
use domain::task::State;
use domain::time::Timestamp;
use std::collections::BTreeMap;
use uuid::Uuid;

record! {
    /// One line.
    #[derive(Debug, Clone)]
    pub struct Line {
        /// The asset.
        pub asset_id: AssetId,
        /// Its name.
        pub asset: String,
        /// Its address.
        pub ip: String,
        /// Its operating system.
        pub os: String,
        /// The vulnerability.
        pub vulnerability_id: VulnerabilityId,
        /// Its QID.
        pub qid: i64,
        /// Its title.
        pub vulnerability: String,
        /// The catalogue entry's key.
        pub entry_key: i64,
        /// The entry.
        pub entry: String,
        /// Its revision.
        pub revision: i64,
        /// Its title.
        pub title: String,
        /// `mitigation` or `fix`.
        pub implication: String,
        /// The task, once the run was made.
        pub task: Option<Uuid>,
        /// Its state.
        pub state: Option<State>,
        /// 0, 1, 33 or 101 once it has ended.
        pub code: Option<i64>,
        /// 203 to 206.
        pub detail: Option<i64>,
        /// For people.
        pub message: Option<String>,
        /// Not before.
        pub due_at: Option<Timestamp>,
        /// Started on the host.
        pub started_at: Option<Timestamp>,
        /// Ended.
        pub ended_at: Option<Timestamp>,
        /// What the last check of the mitigation on the asset says.
        pub control: Option<ControlState>,
        /// Score of the item before any mitigation; the highest where several scanners report it.
        pub inherent: Option<i64>,
        /// Score of the item now.
        pub residual: Option<i64>,
        /// The item's `mitigation` field now.
        pub mitigation: Option<Mitigation>,
    }
}

/// Where a page ends: asset, vulnerability and entry of its last line.
pub type Place = (AssetId, VulnerabilityId, i64);

impl Line {
    /// Its place in the report.
    #[must_use]
    pub fn place(&self) -> Place {
        (self.asset_id, self.vulnerability_id, self.entry_key)
    }
}

/// The runs that a report of this one tells of, newest first: of one that does a part of the job, because that failed or drifted, also
/// those before it, up to one that did the whole.
///
/// # Errors
/// See [`crate::Error`].
pub fn chain(tx: &mut Transaction<'_>, run: RunId) -> Result<Vec<RunId>> {
    let rows: Vec<(RunId, String)> = tx.all(
        "SELECT e.id, e.cause FROM run r
         JOIN run e ON e.job_id = r.job_id AND e.ordinal <= r.ordinal AND e.ordinal > 0 AND e.does <> 'plan'
         WHERE r.id = $1 ORDER BY e.ordinal DESC",
        &[&run],
    )?;
    let whole = rows.iter().take_while(|(_, cause)| matches!(cause.as_str(), "retry" | "drift")).count();
    Ok(rows.into_iter().take(whole + 1).map(|(id, _)| id).collect())
}

/// The keys in a list; with one that no run has, so that it is never empty.
fn keys(runs: &[RunId]) -> Sql {
    runs.iter().fold(Sql::new("-1"), |sql, run| sql.text(", ").bind(run))
}

/// Whether a task `o` that did `d` is of the same action as the entry `$entry` with the key `$key`: by name, because a newer
/// release of the catalogue renews what a job does; but a rollback takes back each revision on its own.
macro_rules! same_action {
    ($entry:literal, $key:literal) => {
        concat!("d.entry = ", $entry, " AND (o.kind <> 'revert' OR o.entry_key = ", $key, ")")
    };
}

/// What a line says, of `g` (asset and vulnerability), `w` (the action) and `t` (the task, once there is one).
macro_rules! columns {
    () => {
        "SELECT g.asset_id, a.name AS asset, a.ip, a.os, g.vulnerability_id, v.qid, v.title AS vulnerability,
             w.entry_key, e.entry, e.revision, e.title, e.implication, t.uuid AS task, t.state, t.code, t.detail, t.message,
             t.due_at, t.started_at, t.ended_at, c.state AS control,
             (SELECT max(i.inherent) FROM vulnerable_item i
              WHERE i.vulnerability_id = g.vulnerability_id AND i.asset_id = g.asset_id) AS inherent,
             (SELECT max(i.residual) FROM vulnerable_item i
              WHERE i.vulnerability_id = g.vulnerability_id AND i.asset_id = g.asset_id) AS residual,
             (SELECT i.mitigation FROM vulnerable_item i
              WHERE i.vulnerability_id = g.vulnerability_id AND i.asset_id = g.asset_id
              ORDER BY i.residual DESC, i.id LIMIT 1) AS mitigation"
    };
}

/// The revision that the task did, else the one of the action, and what the asset and the vulnerability are called.
macro_rules! names {
    () => {
        "JOIN catalogue_entry e ON e.id = coalesce(t.entry_key, w.entry_key)
         JOIN asset a ON a.id = g.asset_id
         JOIN vulnerability v ON v.id = g.vulnerability_id
         LEFT JOIN control c ON c.asset_id = g.asset_id AND c.entry = e.entry"
    };
}

/// Up to `limit` lines of a job after a place, each with what the newest of these runs that tried it did; without a run nothing
/// has been done.
///
/// # Errors
/// See [`crate::Error`].
pub fn lines(
    tx: &mut Transaction<'_>,
    job: JobId,
    runs: &[RunId],
    within: &AssetScope,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Line>> {
    let planned = runs.is_empty();
    let mut sql = Sql::new(concat!(
        columns!(),
        " FROM job_target g
         JOIN job_action w ON w.job_id = g.job_id AND w.vulnerability_id = g.vulnerability_id
         JOIN catalogue_entry n ON n.id = w.entry_key
         LEFT JOIN task t ON t.id = (SELECT max(o.id) FROM task o JOIN catalogue_entry d ON d.id = o.entry_key AND ",
        same_action!("n.entry", "w.entry_key"),
        " WHERE o.run_id IN ("
    ))
    .append(keys(runs))
    .text(concat!(") AND o.asset_id = g.asset_id) ", names!(), " WHERE g.job_id = "))
    .bind(&job)
    // What a run has no task for was no part of it: an entry for another system, or a target that was chosen since.
    .text(" AND (t.id IS NOT NULL OR ")
    .bind(&planned)
    // As `tasks::pairs`: what a job is kept to.
    .text(
        " AND (NOT EXISTS (SELECT 1 FROM job_pair p WHERE p.job_id = g.job_id)
               OR EXISTS (SELECT 1 FROM job_pair p
                          WHERE p.job_id = g.job_id AND p.asset_id = g.asset_id AND p.entry_key = w.entry_key)))",
    );
    sql = page(sql, within, after);
    tx.all_built(&sql.text(" ORDER BY g.asset_id, g.vulnerability_id, w.entry_key LIMIT ").bind(&limit))
}

/// As [`lines`], of what the runs did and the job would not do any more, because its targets or actions have changed since: by the
/// vulnerabilities on the asset that the entry covers.
///
/// # Errors
/// See [`crate::Error`].
pub fn left(
    tx: &mut Transaction<'_>,
    job: JobId,
    runs: &[RunId],
    within: &AssetScope,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Line>> {
    let mut sql = Sql::new(
        "WITH last AS (SELECT max(o.id) AS id FROM task o JOIN catalogue_entry d ON d.id = o.entry_key WHERE o.run_id IN (",
    )
    .append(keys(runs))
    .text(concat!(
        ") GROUP BY o.asset_id, d.entry, CASE WHEN o.kind = 'revert' THEN o.entry_key ELSE 0 END),
         g AS (SELECT DISTINCT o.id AS task_id, o.asset_id, o.entry_key, i.vulnerability_id
               FROM last l JOIN task o ON o.id = l.id JOIN catalogue_cve c ON c.entry_key = o.entry_key
               JOIN vulnerable_item i ON i.asset_id = o.asset_id
               JOIN vulnerability v ON v.id = i.vulnerability_id
               WHERE (c.qid <> 0 AND c.qid = v.qid OR c.cve <> '' AND EXISTS (
                          SELECT 1 FROM vulnerability_cve x WHERE x.vulnerability_id = v.id AND x.cve = c.cve))
                 AND NOT EXISTS (
                     SELECT 1 FROM job_target x JOIN job_action y ON y.job_id = x.job_id AND y.vulnerability_id = x.vulnerability_id
                     JOIN catalogue_entry m ON m.id = y.entry_key JOIN catalogue_entry d ON d.id = o.entry_key AND ",
        same_action!("m.entry", "y.entry_key"),
        " WHERE x.asset_id = o.asset_id AND x.job_id = ",
    ))
    .bind(&job)
    .text(")) ")
    .text(concat!(
        columns!(),
        " FROM g JOIN task t ON t.id = g.task_id JOIN task w ON w.id = t.id ",
        names!(),
        " WHERE t.job_id = "
    ))
    .bind(&job);
    sql = page(sql, within, after);
    tx.all_built(&sql.text(" ORDER BY g.asset_id, g.vulnerability_id, w.entry_key LIMIT ").bind(&limit))
}

/// What begins after a place, clipped to a scope.
fn page(mut sql: Sql, within: &AssetScope, after: Option<Place>) -> Sql {
    if let Some(scope) = scope::assets(within, "g.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    if let Some((asset, vulnerability, entry)) = after {
        sql = sql.text(" AND (g.asset_id, g.vulnerability_id, w.entry_key) > (");
        sql = sql.bind(&asset).text(", ").bind(&vulnerability).text(", ").bind(&entry).text(")");
    }
    sql
}

/// The states of the tasks of these runs on these assets, of what was tried again the last: how each asset stands.
///
/// # Errors
/// See [`crate::Error`].
pub fn states(tx: &mut Transaction<'_>, runs: &[RunId], assets: &[AssetId]) -> Result<BTreeMap<AssetId, Vec<State>>> {
    let assets: Vec<i64> = assets.iter().map(|asset| asset.0).collect();
    let runs: Vec<i64> = runs.iter().map(|run| run.0).collect();
    let rows: Vec<(AssetId, State)> = tx.all(
        concat!(
            "SELECT t.asset_id, t.state FROM task t JOIN catalogue_entry e ON e.id = t.entry_key
             WHERE t.run_id {in $1} AND t.asset_id {in $2}
               AND NOT EXISTS (SELECT 1 FROM task o JOIN catalogue_entry d ON d.id = o.entry_key AND ",
            same_action!("e.entry", "t.entry_key"),
            " WHERE o.run_id {in $1} AND o.asset_id = t.asset_id AND o.id > t.id)"
        ),
        &[&runs, &assets],
    )?;
    let mut states: BTreeMap<AssetId, Vec<State>> = BTreeMap::new();
    for (asset, state) in rows {
        states.entry(asset).or_default().push(state);
    }
    Ok(states)
}

record! {
    /// A run of a job, for its history.
    #[derive(Debug, Clone)]
    pub struct RunLine {
        /// Key.
        pub id: RunId,
        /// Which of the job's runs.
        pub ordinal: i64,
        /// `open` or `ended`.
        pub state: String,
        /// Made.
        pub started_at: Timestamp,
        /// Its last task ended.
        pub ended_at: Option<Timestamp>,
        /// Tasks in it.
        pub total: i64,
        /// Of these: not ended.
        pub open: i64,
        /// Code 0.
        pub succeeded: i64,
        /// Code 1.
        pub failed: i64,
    }
}

/// The runs of a job, newest first, with the tasks on assets of the scope counted.
///
/// # Errors
/// See [`crate::Error`].
pub fn runs(tx: &mut Transaction<'_>, job: JobId, within: &AssetScope, limit: i64) -> Result<Vec<RunLine>> {
    let mut sql = Sql::new(
        "SELECT r.id, r.ordinal, r.state, r.started_at, r.ended_at, count(t.id) AS total,
             count(*) FILTER (WHERE t.id IS NOT NULL AND t.code IS NULL) AS open,
             count(*) FILTER (WHERE t.code = 0) AS succeeded, count(*) FILTER (WHERE t.code = 1) AS failed
         FROM run r LEFT JOIN task t ON t.run_id = r.id",
    );
    if let Some(scope) = scope::assets(within, "t.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    sql = sql.text(" WHERE r.ordinal > 0 AND r.job_id = ").bind(&job);
    sql = sql.text(" GROUP BY r.id, r.ordinal, r.state, r.started_at, r.ended_at ORDER BY r.ordinal DESC LIMIT ");
    tx.all_built(&sql.bind(&limit))
}

/// What the agents said of the tasks of these runs on assets of the scope, as far as it is kept: by task's id, its events in
/// order; or the digest of them where they are no longer kept. Of what was tried again the last, as [`lines`].
///
/// # Errors
/// See [`crate::Error`].
pub fn evidence(
    tx: &mut Transaction<'_>,
    runs: &[RunId],
    within: &AssetScope,
) -> Result<Vec<(Uuid, String, Option<String>)>> {
    let mut sql = Sql::new(
        "SELECT t.uuid, t.evidence_digest, v.body FROM task t JOIN catalogue_entry e ON e.id = t.entry_key
         LEFT JOIN task_event v ON v.task_id = t.id WHERE t.run_id IN (",
    )
    .append(keys(runs))
    .text(concat!(
        ") AND NOT EXISTS (SELECT 1 FROM task o JOIN catalogue_entry d ON d.id = o.entry_key AND ",
        same_action!("e.entry", "t.entry_key"),
        " WHERE o.asset_id = t.asset_id AND o.id > t.id AND o.run_id IN ("
    ))
    .append(keys(runs))
    .text("))");
    if let Some(scope) = scope::assets(within, "t.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    tx.all_built(&sql.text(" ORDER BY t.id, v.epoch, v.n"))
}
