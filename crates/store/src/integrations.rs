//! When imports of each kind come from an instance, and putting those that are due into the queue.
//!
//! An instance keeps beside it, for lists and older clients, the next of these times and the interval of detections.

use crate::audit::{self, Entry};
use crate::imports::{self, Cause, Start};
use crate::{Error, Result, Transaction, record};
use domain::id::InstanceId;
use domain::import::{Cadence, Kind};
use domain::time::Timestamp;

/// Who puts due imports into the queue, as runs name it.
pub const ACTOR: &str = "engine/import";

record! {
    /// When imports of one kind come.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Integration {
        /// The instance.
        pub instance_id: InstanceId,
        /// What is imported.
        pub kind: Kind,
        /// When: see [`Integration::cadence`].
        pub cadence: String,
        /// The next time; none when it is off or over.
        pub next_at: Option<Timestamp>,
        /// Since when it was due again while one was still waiting for its turn.
        pub held_since_at: Option<Timestamp>,
        /// Counts the edits: the entity tag.
        pub version: i64,
    }
}

impl Integration {
    /// When it comes; off for what cannot be read.
    #[must_use]
    pub fn cadence(&self) -> Cadence {
        serde_json::from_str(&self.cadence).unwrap_or_default()
    }
}

fn json(cadence: &Cadence) -> Result<String> {
    serde_json::to_string(cadence).map_err(|error| Error::failed("could not write down when imports come", error))
}

/// The schedules of an instance in the order of [`Kind::SCHEDULED`]; none for one that is filled from files.
///
/// # Errors
/// See [`Error`].
pub fn of(tx: &mut Transaction<'_>, instance: InstanceId) -> Result<Vec<Integration>> {
    let mut rows: Vec<Integration> = tx.all(
        "SELECT instance_id, kind, cadence, next_at, held_since_at, version FROM integration WHERE instance_id = $1",
        &[&instance],
    )?;
    rows.sort_by_key(|row| position(row.kind));
    Ok(rows)
}

fn position(kind: Kind) -> usize {
    Kind::SCHEDULED.iter().position(|one| *one == kind).unwrap_or(usize::MAX)
}

/// One schedule of an instance.
///
/// # Errors
/// [`Error::NotFound`] for a kind without a schedule, and for an instance that is filled from files.
pub fn one(tx: &mut Transaction<'_>, instance: InstanceId, kind: Kind) -> Result<Integration> {
    tx.one(
        "SELECT instance_id, kind, cadence, next_at, held_since_at, version FROM integration
         WHERE instance_id = $1 AND kind = $2",
        &[&instance, &kind],
    )
}

/// Make the schedules of a new instance: every so many minutes, or off.
///
/// # Errors
/// See [`Error`].
pub fn create(tx: &mut Transaction<'_>, instance: InstanceId, minutes: Option<i64>, now: Timestamp) -> Result<()> {
    for kind in Kind::SCHEDULED {
        let cadence = minutes.map_or(Cadence::Off, |minutes| kind.proposed(minutes));
        tx.execute(
            "INSERT INTO integration (instance_id, kind, cadence, next_at, version) VALUES ($1, $2, $3, $4, 1)",
            &[&instance, &kind, &json(&cadence)?, &cadence.next(now)],
        )?;
    }
    beside(tx, instance)
}

/// Change when imports of a kind come; `version` is the one that was seen.
///
/// # Errors
/// [`Error::NotFound`] as [`one`]; [`Error::Conflict`] with `version` where it was changed meanwhile.
pub fn set(
    tx: &mut Transaction<'_>,
    actor: &str,
    (instance, kind): (InstanceId, Kind),
    version: i64,
    cadence: &Cadence,
    now: Timestamp,
) -> Result<()> {
    let before = one(tx, instance, kind)?;
    if before.version != version {
        return Err(Error::Conflict("version".to_owned()));
    }
    write(tx, actor, &before, cadence, now)?;
    beside(tx, instance)
}

fn write(tx: &mut Transaction<'_>, actor: &str, before: &Integration, cadence: &Cadence, now: Timestamp) -> Result<()> {
    if before.cadence() == *cadence {
        return Ok(());
    }
    tx.execute(
        "UPDATE integration SET cadence = $3, next_at = $4, held_since_at = NULL, version = version + 1
         WHERE instance_id = $1 AND kind = $2",
        &[&before.instance_id, &before.kind, &json(cadence)?, &cadence.next(now)],
    )?;
    let resource = format!("instances/{}", before.instance_id);
    let detail =
        serde_json::json!({ "kind": before.kind, "before": before.cadence().words(), "after": cadence.words() });
    audit::append(tx, &Entry { at: now, actor, action: "instance.schedule", resource: &resource, detail })?;
    Ok(())
}

/// Every kind so many minutes apart as [`Kind::proposed`] says, or all of them off. An interval that holds already
/// changes nothing, so that no schedule that was set one by one is lost.
///
/// # Errors
/// See [`Error`].
pub fn set_interval(
    tx: &mut Transaction<'_>,
    actor: &str,
    instance: InstanceId,
    minutes: Option<i64>,
    now: Timestamp,
) -> Result<()> {
    let rows = of(tx, instance)?;
    if minutes.is_some() && minutes == interval(&rows) {
        return Ok(());
    }
    for row in &rows {
        let wanted = minutes.map(|minutes| row.kind.proposed(minutes));
        // What an interval says nothing of stays as it is; off is off for all.
        match wanted {
            Some(Cadence::Off) => {}
            Some(cadence) => write(tx, actor, row, &cadence, now)?,
            None => write(tx, actor, row, &Cadence::Off, now)?,
        }
    }
    beside(tx, instance)
}

/// Turn on what a rescan needs to be told of: option profiles, appliances and search lists, once a day. Of the instances of this
/// product whose imports come by a schedule at all; what is on already stays as it is.
///
/// # Errors
/// See [`Error`].
pub fn turn_on_for_rescans(tx: &mut Transaction<'_>, actor: &str, product: &str, now: Timestamp) -> Result<()> {
    let instances: Vec<(InstanceId,)> = tx.all(
        "SELECT id FROM integration_instance WHERE product = $1 AND auth <> 'files' AND NOT disabled ORDER BY id",
        &[&product],
    )?;
    for (instance,) in instances {
        let rows = of(tx, instance)?;
        if rows.iter().all(|row| row.cadence() == Cadence::Off) {
            continue;
        }
        let needed = [Kind::OptionProfiles, Kind::Appliances, Kind::SearchLists];
        for row in rows.iter().filter(|row| needed.contains(&row.kind) && row.cadence() == Cadence::Off) {
            write(tx, actor, row, &row.kind.proposed(0), now)?;
        }
        beside(tx, instance)?;
    }
    Ok(())
}

fn interval(rows: &[Integration]) -> Option<i64> {
    let detections = rows.iter().find(|row| row.kind == Kind::HostDetection)?;
    match detections.cadence() {
        Cadence::Every { minutes } => Some(minutes),
        _ => None,
    }
}

/// Keep beside the instance what its schedules amount to.
fn beside(tx: &mut Transaction<'_>, instance: InstanceId) -> Result<()> {
    let interval = interval(&of(tx, instance)?);
    tx.execute(
        "UPDATE integration_instance SET interval_minutes = $2,
             next_import_at = (SELECT min(g.next_at) FROM integration g WHERE g.instance_id = $1)
         WHERE id = $1",
        &[&instance, &interval],
    )?;
    Ok(())
}

/// What is due, in the order in which it is to begin.
///
/// # Errors
/// See [`Error`].
pub fn due(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<(InstanceId, Kind)>> {
    let mut rows: Vec<(InstanceId, Kind, Timestamp)> = tx.all(
        "SELECT g.instance_id, g.kind, g.next_at FROM integration g
         JOIN integration_instance n ON n.id = g.instance_id AND n.auth <> 'files' AND NOT n.disabled
         WHERE g.next_at <= $1",
        &[&now],
    )?;
    rows.sort_by_key(|(instance, kind, at)| (*at, position(*kind), *instance));
    Ok(rows.into_iter().map(|(instance, kind, _)| (instance, kind)).collect())
}

/// Put an import that is due into the queue and move its schedule on, in one transaction: of several replicas one does, and
/// none is lost. Where one of the kind is waiting still, that one will bring the same; since when is kept. `false` where it
/// is not due, or not any more.
///
/// # Errors
/// See [`Error`].
pub fn queue_due(tx: &mut Transaction<'_>, instance: InstanceId, kind: Kind, now: Timestamp) -> Result<bool> {
    let found: Option<Integration> = tx.optional(
        "SELECT instance_id, kind, cadence, next_at, held_since_at, version FROM integration
         WHERE instance_id = $1 AND kind = $2 AND next_at <= $3",
        &[&instance, &kind, &now],
    )?;
    let Some(row) = found else { return Ok(false) };
    let next = row.cadence().next(now);
    let start = Start { instance, kind, cause: Cause::Schedule, actor: ACTOR, source: "" };
    let queued = match tx.attempt(|tx| imports::queue(tx, start, now)) {
        Ok(_) => true,
        Err(error) if error.conflicts_with(imports::QUEUED) => false,
        Err(error) => return Err(error),
    };
    let held = if queued { row.held_since_at } else { row.held_since_at.or(Some(now)) };
    tx.execute(
        "UPDATE integration SET next_at = $3, held_since_at = $4 WHERE instance_id = $1 AND kind = $2",
        &[&instance, &kind, &next, &held],
    )?;
    beside(tx, instance)?;
    Ok(queued)
}
