//! Controls: the mitigations in force on an asset, or that were, with who put them there.
//!
//! What checks and drift make of them is in [`after`], what becomes of those whose time is over in [`expiry`], what a rollback
//! takes back in [`rollback`], what becomes of those that nobody looks at in [`watch`].

pub mod after;
pub mod expiry;
pub mod rollback;
pub mod watch;

use crate::{Result, Sql, Transaction, record, scope};
use domain::access::AssetScope;
use domain::id::{AssetId, TaskId};
use domain::mitigation::{ControlState, Origin};
use domain::time::Timestamp;
use std::collections::BTreeMap;

record! {
    /// A control on an asset.
    #[derive(Debug, Clone)]
    pub struct ControlRow {
        /// Key.
        pub id: i64,
        /// Asset.
        pub asset_id: AssetId,
        /// Entry id.
        pub entry: String,
        /// The revision that was applied or checked.
        pub entry_key: i64,
        /// Its title.
        pub title: String,
        /// `mitigation` or `fix`.
        pub implication: String,
        /// Can be rolled back.
        pub reversible: bool,
        /// State.
        pub state: ControlState,
        /// Who put it there.
        pub origin: Origin,
        /// The task that did, or that found it.
        pub task_id: Option<TaskId>,
        /// Ordinal of that task's job.
        pub job_number: Option<i64>,
        /// In this state since.
        pub since_at: Timestamp,
        /// Last looked at.
        pub checked_at: Timestamp,
        /// When the agent last said something of it, by its own corrected clock.
        pub heard_at: Timestamp,
        /// What the last check found, for people.
        pub note: String,
        /// Drifted since.
        pub drifted_at: Option<Timestamp>,
        /// When it expires.
        pub expires_at: Option<Timestamp>,
        /// It has expired: it takes nothing off any more.
        pub expired_at: Option<Timestamp>,
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT c.id, c.asset_id, c.entry, c.entry_key, e.title, e.implication, e.reversible, c.state, c.origin,
                 c.task_id, j.number AS job_number, c.since_at, c.checked_at, c.heard_at, c.note, c.drifted_at,
                 c.expires_at, c.expired_at
             FROM control c JOIN catalogue_entry e ON e.id = c.entry_key
                 LEFT JOIN task t ON t.id = c.task_id LEFT JOIN job j ON j.id = t.job_id ",
            $rest
        )
    };
}

/// A control as a result reports it.
#[derive(Debug, Clone)]
pub struct Report {
    /// Asset.
    pub asset_id: AssetId,
    /// Entry id.
    pub entry: String,
    /// Its revision's key.
    pub entry_key: i64,
    /// State.
    pub state: ControlState,
    /// Who put it there.
    pub origin: Origin,
    /// The task that reports.
    pub task_id: TaskId,
    /// When it was so, by the agent's corrected clock.
    pub heard_at: Timestamp,
}
crate::stage!(Report as "control_report_batch" {
    asset_id: AssetId, entry: String, entry_key: i64, state: ControlState, origin: Origin, task_id: TaskId,
    heard_at: Timestamp,
});

/// Store what results say of controls, each named once.
///
/// # Errors
/// See [`crate::Error`].
pub fn report(tx: &mut Transaction<'_>, controls: &[Report], now: Timestamp) -> Result<()> {
    if controls.is_empty() {
        return Ok(());
    }
    tx.stage(controls)?;
    tx.execute(
        "INSERT INTO control (asset_id, entry, entry_key, state, origin, task_id, since_at, checked_at, heard_at)
         SELECT asset_id, entry, entry_key, state, origin, task_id, $1, $1, heard_at FROM control_report_batch WHERE true
         ON CONFLICT (asset_id, entry) DO UPDATE SET
             entry_key = excluded.entry_key, origin = excluded.origin, task_id = excluded.task_id,
             since_at = CASE WHEN control.state = excluded.state THEN control.since_at ELSE excluded.since_at END,
             drifts = control.drifts
                 + CASE WHEN excluded.state = 'drifted' AND control.state <> 'drifted' THEN 1 ELSE 0 END,
             drifted_at = CASE WHEN excluded.state = 'drifted' THEN coalesce(control.drifted_at, excluded.since_at) END,
             state = excluded.state, checked_at = excluded.checked_at, heard_at = excluded.heard_at, note = ''",
        &[&now],
    )?;
    Ok(())
}

/// Who put the controls of these assets there, and their states, by asset and entry.
///
/// # Errors
/// See [`crate::Error`].
pub fn known(
    tx: &mut Transaction<'_>,
    assets: &[AssetId],
) -> Result<BTreeMap<(AssetId, String), (Origin, ControlState)>> {
    let assets: Vec<i64> = assets.iter().map(|asset| asset.0).collect();
    let rows: Vec<(AssetId, String, Origin, ControlState)> =
        tx.all("SELECT asset_id, entry, origin, state FROM control WHERE asset_id {in $1}", &[&assets])?;
    Ok(rows.into_iter().map(|(asset, entry, origin, state)| ((asset, entry), (origin, state))).collect())
}

/// The control of an entry on an asset.
///
/// # Errors
/// See [`crate::Error`].
pub fn find(tx: &mut Transaction<'_>, asset: AssetId, entry: &str) -> Result<Option<ControlRow>> {
    tx.optional(select!("WHERE c.asset_id = $1 AND c.entry = $2"), &[&asset, &entry])
}

/// A control by its key.
///
/// # Errors
/// [`crate::Error::NotFound`] for an unknown key.
pub fn read(tx: &mut Transaction<'_>, id: i64) -> Result<ControlRow> {
    tx.one(select!("WHERE c.id = $1"), &[&id])
}

/// The controls of an asset, by entry.
///
/// # Errors
/// See [`crate::Error`].
pub fn of_asset(tx: &mut Transaction<'_>, asset: AssetId) -> Result<Vec<ControlRow>> {
    tx.all(select!("WHERE c.asset_id = $1 ORDER BY c.entry"), &[&asset])
}

/// Controls of ours in force that cover one of these vulnerabilities, on assets of the scope: what a rollback can take back.
///
/// # Errors
/// See [`crate::Error`].
pub fn reversible_for(
    tx: &mut Transaction<'_>,
    vulnerabilities: &[i64],
    within: &AssetScope,
) -> Result<Vec<(domain::id::VulnerabilityId, AssetId, i64)>> {
    let mut sql = Sql::new(
        "SELECT DISTINCT i.vulnerability_id, c.asset_id, c.entry_key
         FROM control c
         JOIN catalogue_entry e ON e.id = c.entry_key AND e.implication = 'mitigation'
         JOIN catalogue_cve k ON k.entry_key = c.entry_key
         JOIN vulnerable_item i ON i.asset_id = c.asset_id
         JOIN vulnerability v ON v.id = i.vulnerability_id
         LEFT JOIN vulnerability_cve w ON w.vulnerability_id = v.id AND w.cve = k.cve AND k.cve <> ''
         WHERE c.origin = 'ours' AND c.state IN ('effective', 'configured', 'drifted')
           AND (w.cve IS NOT NULL OR (k.qid <> 0 AND k.qid = v.qid)) AND i.vulnerability_id {in ",
    )
    .bind(&vulnerabilities)
    .text("}");
    if let Some(scope) = scope::assets(within, "c.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    tx.all_built(&sql.text(" ORDER BY 1, 2, 3"))
}
