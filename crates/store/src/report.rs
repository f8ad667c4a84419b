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

/// Up to `limit` lines of a job after a place, with what a run did; without a run nothing has been done.
///
/// # Errors
/// See [`crate::Error`].
pub fn lines(
    tx: &mut Transaction<'_>,
    job: JobId,
    run: Option<RunId>,
    within: &AssetScope,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Line>> {
    let mut sql = Sql::new(
        "SELECT g.asset_id, a.name AS asset, a.ip, a.os, g.vulnerability_id, v.qid, v.title AS vulnerability,
             w.entry_key, e.entry, e.revision, e.title, e.implication, t.uuid AS task, t.state, t.code, t.detail, t.message,
             t.due_at, t.started_at, t.ended_at, c.state AS control,
             (SELECT max(i.inherent) FROM vulnerable_item i
              WHERE i.vulnerability_id = g.vulnerability_id AND i.asset_id = g.asset_id) AS inherent,
             (SELECT max(i.residual) FROM vulnerable_item i
              WHERE i.vulnerability_id = g.vulnerability_id AND i.asset_id = g.asset_id) AS residual,
             (SELECT i.mitigation FROM vulnerable_item i
              WHERE i.vulnerability_id = g.vulnerability_id AND i.asset_id = g.asset_id
              ORDER BY i.residual DESC, i.id LIMIT 1) AS mitigation
         FROM job_target g
         JOIN job_action w ON w.job_id = g.job_id AND w.vulnerability_id = g.vulnerability_id
         JOIN asset a ON a.id = g.asset_id
         JOIN vulnerability v ON v.id = g.vulnerability_id
         JOIN catalogue_entry e ON e.id = w.entry_key
         LEFT JOIN task t ON t.run_id = ",
    )
    .bind(&run.map_or(-1, |run| run.0))
    .text(
        " AND t.asset_id = g.asset_id AND t.entry_key = w.entry_key
         LEFT JOIN control c ON c.asset_id = g.asset_id AND c.entry = e.entry
         WHERE g.job_id = ",
    )
    .bind(&job)
    // An entry for another system has no task where one for this system has.
    .text(
        " AND (e.systems = '' OR EXISTS (SELECT 1 FROM task o WHERE o.job_id = g.job_id AND o.asset_id = g.asset_id
                                        AND o.entry_key = w.entry_key AND o.kind <> 'plan')
               OR NOT EXISTS (
             SELECT 1 FROM task o JOIN job_action x ON x.job_id = o.job_id AND x.entry_key = o.entry_key
             WHERE o.run_id = ",
    )
    .bind(&run.map_or(-1, |run| run.0))
    .text(" AND o.asset_id = g.asset_id AND x.vulnerability_id = g.vulnerability_id))");
    if let Some(scope) = scope::assets(within, "g.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    if let Some((asset, vulnerability, entry)) = after {
        sql = sql.text(" AND (g.asset_id, g.vulnerability_id, w.entry_key) > (");
        sql = sql.bind(&asset).text(", ").bind(&vulnerability).text(", ").bind(&entry).text(")");
    }
    tx.all_built(&sql.text(" ORDER BY g.asset_id, g.vulnerability_id, w.entry_key LIMIT ").bind(&limit))
}

/// The states of the tasks of a run on these assets: how each asset stands.
///
/// # Errors
/// See [`crate::Error`].
pub fn states(tx: &mut Transaction<'_>, run: RunId, assets: &[AssetId]) -> Result<BTreeMap<AssetId, Vec<State>>> {
    let assets: Vec<i64> = assets.iter().map(|asset| asset.0).collect();
    let rows: Vec<(AssetId, State)> =
        tx.all("SELECT asset_id, state FROM task WHERE run_id = $1 AND asset_id {in $2}", &[&run, &assets])?;
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

/// What the agents said of the tasks of a run on assets of the scope, as far as it is kept: by task's id, its events in
/// order; or the digest of them where they are no longer kept.
///
/// # Errors
/// See [`crate::Error`].
pub fn evidence(
    tx: &mut Transaction<'_>,
    run: RunId,
    within: &AssetScope,
) -> Result<Vec<(Uuid, String, Option<String>)>> {
    let mut sql = Sql::new(
        "SELECT t.uuid, t.evidence_digest, v.body FROM task t LEFT JOIN task_event v ON v.task_id = t.id WHERE t.run_id = ",
    )
    .bind(&run);
    if let Some(scope) = scope::assets(within, "t.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    tx.all_built(&sql.text(" ORDER BY t.id, v.epoch, v.n"))
}
