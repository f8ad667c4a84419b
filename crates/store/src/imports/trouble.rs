//! What is wrong with imports: found by looking, kept while it lasts, so that it is told once.

use super::Kind;
use crate::lease;
use crate::{Result, Transaction, record, text_value};
use domain::id::InstanceId;
pub use domain::import::Trouble;
use domain::import::{LONGEST_SECONDS, SIGN_INS_MAX};
use domain::time::Timestamp;
use uuid::Uuid;

text_value!(Trouble, |trouble| trouble.as_str(), |text| Trouble::parse(text));

/// How a failed run names a refused sign-in.
const SIGN_IN: &str = "sign_in";
/// A failure that nobody follows up for so long is history.
const REMEMBERED_SECONDS: i64 = 30 * 86_400;

record! {
    /// Something wrong.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct TroubleRow {
        /// The instance.
        pub instance_id: InstanceId,
        /// Its name.
        pub instance: String,
        /// Which imports.
        pub kind: Kind,
        /// What is wrong.
        pub what: Trouble,
        /// Since when.
        pub since_at: Timestamp,
        /// Ordinal of the run it was seen in; 0 for none.
        pub run: i64,
        /// Why.
        pub detail: String,
    }
}

/// What is known to be wrong, the newest first.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn troubles(tx: &mut Transaction<'_>) -> Result<Vec<TroubleRow>> {
    tx.all(
        "SELECT t.instance_id, n.name AS instance, t.kind, t.what, t.since_at, t.run, t.detail
         FROM import_trouble t JOIN integration_instance n ON n.id = t.instance_id
         ORDER BY t.since_at DESC, t.instance_id, t.kind, t.what",
        &[],
    )
}

/// Whether the schedule of an instance has to wait for somebody: its last runs ended with a refused sign-in, and neither was
/// one since complete nor were its settings changed.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn sign_in_refused(tx: &mut Transaction<'_>, instance: InstanceId) -> Result<bool> {
    let last: Vec<(String, Timestamp)> = tx.all(
        "SELECT failure, started_at FROM import_run
         WHERE instance_id = $1 AND kind <> 'file' AND state IN ('complete', 'failed') ORDER BY id DESC LIMIT 3",
        &[&instance],
    )?;
    let changed: Timestamp = tx.scalar("SELECT updated_at FROM integration_instance WHERE id = $1", &[&instance])?;
    Ok(last.len() >= SIGN_INS_MAX && last.iter().all(|(failure, at)| failure == SIGN_IN && *at >= changed))
}

/// Runs that say they are at work though the server that did them is gone become `failed`; gives their instances.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn abandoned(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<InstanceId>> {
    let running: Vec<(InstanceId,)> =
        tx.all("SELECT DISTINCT instance_id FROM import_run WHERE state = 'running' ORDER BY instance_id", &[])?;
    let mut gone = Vec::new();
    for (instance,) in running {
        // Whoever wakes up with the old one finds it taken, and writes nothing more.
        let name = format!("import/{instance}");
        let Some(lease) = lease::acquire(tx, &name, Uuid::new_v4(), now, 1)? else { continue };
        lease::release(tx, &lease)?;
        super::left_behind(tx, instance, now)?;
        gone.push(instance);
    }
    Ok(gone)
}

/// What is wrong now.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn look(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<TroubleRow>> {
    let mut found: Vec<TroubleRow> = tx.all(
        "SELECT r.instance_id, n.name AS instance, r.kind, 'failed' AS what, r.ended_at AS since_at, r.number AS run, r.detail
         FROM import_run r JOIN integration_instance n ON n.id = r.instance_id
         WHERE r.state = 'failed' AND r.ended_at >= $1 AND r.kind NOT IN ('file', 'targeted')
           AND NOT EXISTS (SELECT 1 FROM import_run o
                           WHERE o.instance_id = r.instance_id AND o.id > r.id
                             AND ((o.kind = r.kind AND o.state IN ('complete', 'failed'))
                                  OR (o.state = 'complete' AND (o.kind = 'everything'
                                      OR (r.kind = 'everything' AND o.kind IN ('host_detection', 'comprehensive'))))))",
        &[&now.plus_seconds(-REMEMBERED_SECONDS)],
    )?;
    found.extend(tx.all::<TroubleRow>(
        "SELECT r.instance_id, n.name AS instance, r.kind, 'too_long' AS what, r.started_at AS since_at, r.number AS run,
             '' AS detail
         FROM import_run r JOIN integration_instance n ON n.id = r.instance_id
         WHERE r.state = 'running' AND r.started_at < $1",
        &[&now.plus_seconds(-LONGEST_SECONDS)],
    )?);
    found.extend(tx.all::<TroubleRow>(
        "SELECT g.instance_id, n.name AS instance, g.kind, 'held' AS what, g.held_since_at AS since_at, g.version * 0 AS run,
             '' AS detail
         FROM integration g JOIN integration_instance n ON n.id = g.instance_id WHERE g.held_since_at IS NOT NULL",
        &[],
    )?);
    found.extend(behind(tx, now)?);
    let instances: std::collections::BTreeMap<InstanceId, TroubleRow> =
        found.iter().filter(|row| row.what == Trouble::Failed).map(|row| (row.instance_id, row.clone())).collect();
    for (instance, row) in instances {
        if sign_in_refused(tx, instance)? {
            found.push(TroubleRow { kind: Kind::Everything, what: Trouble::SignIn, ..row });
        }
    }
    Ok(found)
}

record! {
    struct CursorRow {
        instance_id: InstanceId,
        instance: String,
        kind: Kind,
        cadence: String,
        until: Timestamp,
    }
}

/// Instances that should be up to date by their schedules and are not.
fn behind(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<TroubleRow>> {
    let rows: Vec<CursorRow> = tx.all(
        "SELECT g.instance_id, n.name AS instance, g.kind, g.cadence,
             CASE WHEN g.kind = 'host_detection' THEN n.host_detection_until ELSE n.knowledge_base_until END AS until
         FROM integration g JOIN integration_instance n ON n.id = g.instance_id
         WHERE NOT n.disabled AND (g.kind = 'host_detection' AND n.host_detection_until IS NOT NULL
             OR g.kind = 'knowledge_base' AND n.knowledge_base_until IS NOT NULL)
         ORDER BY g.instance_id, g.kind",
        &[],
    )?;
    let late = rows.into_iter().filter(|row| {
        let cadence = serde_json::from_str(&row.cadence).unwrap_or_default();
        domain::import::behind(&cadence, row.until, now)
    });
    let trouble = |row: CursorRow| TroubleRow {
        instance_id: row.instance_id,
        instance: row.instance,
        kind: row.kind,
        what: Trouble::Behind,
        since_at: row.until,
        run: 0,
        detail: String::new(),
    };
    Ok(late.map(trouble).collect())
}

/// Bring what is known in line with what was found; gives what is new and what is over.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn note(tx: &mut Transaction<'_>, found: &[TroubleRow]) -> Result<(Vec<TroubleRow>, Vec<TroubleRow>)> {
    let known = troubles(tx)?;
    let same = |one: &TroubleRow, other: &TroubleRow| {
        (one.instance_id, one.kind, one.what) == (other.instance_id, other.kind, other.what)
    };
    let (mut new, mut over) = (Vec::new(), Vec::new());
    for row in found.iter().filter(|row| !known.iter().any(|one| same(one, row))) {
        let put = tx.execute(
            "INSERT INTO import_trouble (instance_id, kind, what, since_at, run, detail) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (instance_id, kind, what) DO NOTHING",
            &[&row.instance_id, &row.kind, &row.what, &row.since_at, &row.run, &row.detail],
        )?;
        // Two that are the same at once are told once.
        if put == 1 {
            new.push(row.clone());
        }
    }
    for row in known.into_iter().filter(|row| !found.iter().any(|one| same(one, row))) {
        tx.execute(
            "DELETE FROM import_trouble WHERE instance_id = $1 AND kind = $2 AND what = $3",
            &[&row.instance_id, &row.kind, &row.what],
        )?;
        over.push(row);
    }
    Ok((new, over))
}
