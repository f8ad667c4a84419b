//! Detections: one occurrence of a vulnerability on a source host, merged from what a scanner reports.
//!
//! A row is recognised by the scanner's own id of it where both sides have one, else by host, vulnerability, protocol,
//! port, name and service instance, so that rows from before and after the scanner gave ids join
//! (`qualys-api.md` 3.3). A row that is the same as before is not written. What is a weakness belongs to a vulnerable
//! item; [`crate::items`] makes it and rolls its detections up.

mod seen;

use crate::hosts::{self, HostSeen, Placed, RowDigest};
use crate::imports::{Counters, Run};
use crate::items::{self, Followed, Observed, Origin};
use crate::vulnerabilities::{self, Reference};
use crate::{Result, Transaction, exclusion, record, stage};
use domain::detection::Dated;
use domain::exclusion::By;
use domain::id::{AssetId, DetectionId, ItemId, SourceHostId, VulnerabilityId};
use domain::score::{Source, estimate};
use domain::time::Timestamp;
pub use seen::{DetectionSeen, Machine};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, HashMap};

/// Rows that [`estimate_again`] looks at in one transaction.
pub const ESTIMATED_MAX: i64 = 5_000;

/// What one batch did.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// Rows by what became of them.
    pub counters: Counters,
    /// Digest over the rows as reported: see [`crate::imports::chain`].
    pub digest: [u8; 32],
    /// Items that were made or changed.
    pub items: Vec<ItemId>,
}

record! {
    /// A detection as it is known before the merge.
    #[derive(Clone, Debug)]
    pub(crate) struct Known {
        id: DetectionId,
        source_host_id: SourceHostId,
        vulnerability_id: VulnerabilityId,
        protocol: String,
        port: i64,
        fqdn: String,
        service_instance: String,
        unique_id: String,
        status: String,
        weakness: bool,
        item_id: Option<ItemId>,
        excluded_by: Option<i64>,
        digest: Vec<u8>,
        last_found_at: Option<Timestamp>,
        last_fixed_at: Option<Timestamp>,
        last_test_at: Option<Timestamp>,
        last_processed_at: Option<Timestamp>,
    }
}

type Key = (SourceHostId, VulnerabilityId, String, i64, String, String);

struct DetectionRow<'s> {
    id: Option<DetectionId>,
    source_host_id: SourceHostId,
    vulnerability_id: VulnerabilityId,
    item_id: Option<ItemId>,
    protocol: &'s str,
    port: i64,
    fqdn: &'s str,
    service_instance: &'s str,
    unique_id: &'s str,
    kind: &'s str,
    severity: i64,
    status: &'s str,
    qds: Option<i64>,
    inherent: i64,
    score_source: Source,
    results: &'s str,
    ignored: bool,
    disabled: bool,
    times_found: i64,
    first_found_at: Option<Timestamp>,
    last_found_at: Option<Timestamp>,
    last_fixed_at: Option<Timestamp>,
    last_test_at: Option<Timestamp>,
    last_processed_at: Option<Timestamp>,
    digest: RowDigest,
    excluded_by: Option<i64>,
}
stage!(DetectionRow<'_> as "detection_batch" {
    id: Option<DetectionId>, source_host_id: SourceHostId, vulnerability_id: VulnerabilityId, item_id: Option<ItemId>,
    protocol: &'static str, port: i64, fqdn: &'static str, service_instance: &'static str, unique_id: &'static str,
    kind: &'static str, severity: i64, status: &'static str, qds: Option<i64>, inherent: i64, score_source: Source,
    results: &'static str, ignored: bool, disabled: bool, times_found: i64, first_found_at: Option<Timestamp>,
    last_found_at: Option<Timestamp>, last_fixed_at: Option<Timestamp>, last_test_at: Option<Timestamp>,
    last_processed_at: Option<Timestamp>, digest: RowDigest, excluded_by: Option<i64>,
});

struct HistoryRow<'s> {
    detection_id: DetectionId,
    before: String,
    after: &'s str,
}
stage!(HistoryRow<'_> as "detection_history_batch" {
    detection_id: DetectionId, before: String, after: &'static str,
});

struct AttachRow {
    detection_id: DetectionId,
    item_id: ItemId,
}
stage!(AttachRow as "detection_attach_batch" { detection_id: DetectionId, item_id: ItemId });

struct ScoreRow {
    id: DetectionId,
    inherent: i64,
}
stage!(ScoreRow as "detection_score_batch" { id: DetectionId, inherent: i64 });

/// A reported row with its keys resolved.
struct Resolved<'s> {
    seen: &'s DetectionSeen,
    host: Placed,
    of: &'s Reference,
    digest: RowDigest,
    score: (u8, Source),
    weakness: bool,
    /// The row it updates.
    known: Option<&'s Known>,
    /// Keeps the place it is known at.
    stays: bool,
    item: Option<ItemId>,
    /// Why nobody has to work on it, as stored.
    excluded: Option<i64>,
}

/// Merge a batch of complete machines: source hosts, assets, placeholders, detections, items and their scores.
/// Doing it twice changes nothing the second time. At most 10,000 detections should come in one call, but a machine
/// is never split.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn merge(tx: &mut Transaction<'_>, run: &Run, machines: &[Machine], now: Timestamp) -> Result<Merged> {
    let mut counters = Counters::default();
    // A machine can come in several parts, in files whose rows have another order: of what is said twice the last counts.
    let machines: Vec<&Machine> = machines.iter().collect();
    let hosts: Vec<HostSeen> = machines.iter().map(|machine| machine.host.clone()).collect();
    let placed = hosts::merge(tx, run, &hosts, now, &mut counters)?;
    let references = vulnerabilities::references(tx, run, &severities(&machines), &mut counters)?;
    let known = known(tx, &placed)?;
    let mut rows = resolve(&machines, &placed, &references, &known, now, &mut counters);
    let digest = rows_digest(&rows);
    exclude(tx, run, &mut rows)?;

    let (wanted, origin) = (observed(&rows), Origin::import(run));
    let made = items::ensure(tx, &origin, &wanted, now, &mut counters)?;
    for row in &mut rows {
        row.item = row.known.and_then(|known| known.item_id);
        if row.weakness && row.excluded.is_none() {
            row.item = row.item.or_else(|| made.find(row.of.id, row.host.asset));
        }
    }
    write(tx, run, &rows, now)?;
    let mut touched = attach(tx, &known, &rows, &placed, &made)?;
    touched.extend(rows.iter().filter(|row| changed(row)).filter_map(|row| row.item));
    let touched: Vec<ItemId> = touched.into_iter().filter(|item| !made.is_new(*item)).collect();
    let mut items = items::roll_up(tx, &origin, &touched, now, &mut counters)?;
    let new: Vec<ItemId> = made.new_items().collect();
    items::follow(tx, &Followed { new: &new, changed: &items, by: &origin.by }, now)?;
    items.extend(new);
    Ok(Merged { counters, digest, items })
}

fn severities(machines: &[&Machine]) -> HashMap<i64, u8> {
    let mut found: HashMap<i64, u8> = HashMap::new();
    for detection in machines.iter().flat_map(|machine| &machine.detections) {
        let severity = found.entry(detection.qid).or_default();
        *severity = (*severity).max(detection.severity.unwrap_or(0));
    }
    found
}

fn known(tx: &mut Transaction<'_>, placed: &HashMap<String, Placed>) -> Result<Vec<Known>> {
    let mut hosts: Vec<i64> = placed.values().map(|placed| placed.source_host.0).collect();
    hosts.sort_unstable();
    tx.all(
        "SELECT id, source_host_id, vulnerability_id, protocol, port, fqdn, service_instance, unique_id, status,
             kind <> 'info' AS weakness, item_id, excluded_by, digest, last_found_at, last_fixed_at, last_test_at, last_processed_at
         FROM detection WHERE source_host_id {in $1} ORDER BY id",
        &[&hosts],
    )
}

/// Join the reported rows with what is known. Of several rows that mean the same one the last counts. A row that is older
/// than what is known of it is left out: an export of last month, or a page that a rescan overtook, undoes nothing.
fn resolve<'s>(
    machines: &[&'s Machine],
    placed: &HashMap<String, Placed>,
    references: &'s HashMap<i64, Reference>,
    known: &'s [Known],
    now: Timestamp,
    counters: &mut Counters,
) -> Vec<Resolved<'s>> {
    let mut by_key: HashMap<Key, &Known> = HashMap::with_capacity(known.len());
    let mut by_unique: HashMap<(SourceHostId, &str), &Known> = HashMap::new();
    for row in known {
        by_key.insert(row.key(), row);
        if !row.unique_id.is_empty() {
            by_unique.insert((row.source_host_id, &row.unique_id), row);
        }
    }
    let mut rows: Vec<Resolved<'s>> = Vec::new();
    for machine in machines {
        let Some(host) = placed.get(&machine.host.host_key) else { continue };
        for seen in &machine.detections {
            let Some(of) = references.get(&seen.qid) else { continue };
            let unique = (!seen.unique_id.is_empty()).then(|| by_unique.get(&(host.source_host, &seen.unique_id)));
            let same_place = by_key.get(&key(host.source_host, of.id, seen)).copied();
            let known = unique.flatten().copied().or(same_place);
            rows.push(Resolved {
                seen,
                host: *host,
                of,
                digest: seen.digest(),
                score: seen.score(of),
                weakness: seen.weakness(of),
                known,
                // A row that moves to a place where another row is stays put: one row per place.
                stays: same_place.is_some_and(|other| known.is_some_and(|known| known.id != other.id)),
                item: None,
                excluded: known.and_then(|known| known.excluded_by),
            });
        }
    }
    let given = rows.len();
    rows.retain(|row| !row.known.is_some_and(|known| row.seen.dated().is_older_than(known.dated(), now)));
    let rows = crate::last_per_key(rows, |row| key(row.host.source_host, row.of.id, row.seen));
    let rows = last_per_known(rows);
    counters.detections.ignored += (given - rows.len()) as u64;
    for row in &rows {
        match row.known {
            None => counters.detections.new += 1,
            Some(_) if changed(row) => counters.detections.updated += 1,
            Some(_) => counters.detections.unchanged += 1,
        }
    }
    rows
}

/// Two reported rows can mean one known row, one by its id and one by its place.
fn last_per_known(rows: Vec<Resolved<'_>>) -> Vec<Resolved<'_>> {
    let mut last: HashMap<DetectionId, usize> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        if let Some(known) = row.known {
            last.insert(known.id, at);
        }
    }
    let keep = |at: usize, row: &Resolved<'_>| row.known.is_none_or(|known| last.get(&known.id) == Some(&at));
    rows.into_iter().enumerate().filter(|(at, row)| keep(*at, row)).map(|(_, row)| row).collect()
}

fn key(host: SourceHostId, vulnerability: VulnerabilityId, seen: &DetectionSeen) -> Key {
    (host, vulnerability, seen.protocol.clone(), seen.port, seen.fqdn.clone(), seen.service_instance.clone())
}

impl Known {
    fn dated(&self) -> Dated {
        Dated::of_detection(self.last_processed_at, [self.last_test_at, self.last_found_at, self.last_fixed_at])
    }

    fn key(&self) -> Key {
        (
            self.source_host_id,
            self.vulnerability_id,
            self.protocol.clone(),
            self.port,
            self.fqdn.clone(),
            self.service_instance.clone(),
        )
    }
}

fn changed(row: &Resolved<'_>) -> bool {
    row.known.is_none_or(|known| known.digest != row.digest)
}

/// Judge what is new or changed by what is excluded; what is unchanged stays as it was judged. Nothing is read of the rows where
/// nothing can be excluded.
fn exclude(tx: &mut Transaction<'_>, run: &Run, rows: &mut [Resolved<'_>]) -> Result<()> {
    let policy = exclusion::policy(tx)?;
    if policy.idle(run.instance) {
        for row in rows.iter_mut().filter(|row| changed(row)) {
            row.excluded = None;
        }
        return Ok(());
    }
    let asked: Vec<_> = rows.iter().filter(|row| changed(row)).map(|row| (row.of.id, row.host.source_host)).collect();
    let facts = exclusion::facts(tx, &asked)?;
    for row in rows.iter_mut().filter(|row| changed(row)) {
        let place = exclusion::Place {
            instance: run.instance,
            vulnerability: row.of.id,
            host: row.host.source_host,
            kind: &row.seen.kind,
            severity: i64::from(row.seen.severity.unwrap_or(row.of.severity)),
            port: row.seen.port,
            protocol: &row.seen.protocol,
        };
        row.excluded = if row.weakness { facts.judge(&policy, &place).map(By::stored) } else { None };
    }
    Ok(())
}

fn rows_digest(rows: &[Resolved<'_>]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for row in rows {
        hash.update(row.host.source_host.0.to_le_bytes());
        hash.update(row.of.id.0.to_le_bytes());
        hash.update(row.digest);
    }
    hash.finalize().into()
}

/// What the weaknesses of this batch say of their items: only those that are new or have no item yet can need one. What
/// somebody told the scanner to ignore is kept, but nobody is asked to work on it.
fn observed(rows: &[Resolved<'_>]) -> Vec<Observed> {
    rows.iter()
        .filter(|row| row.weakness && row.known.is_none_or(|known| known.item_id.is_none()))
        .map(|row| Observed {
            vulnerability: row.of.id,
            asset: row.host.asset,
            status: row.seen.status.clone(),
            wanted: !row.seen.ignored && !row.seen.disabled && row.excluded.is_none(),
            inherent: row.score.0,
            source: row.score.1,
            last_found_at: row.seen.last_found_at,
        })
        .collect()
}

fn write(tx: &mut Transaction<'_>, run: &Run, rows: &[Resolved<'_>], now: Timestamp) -> Result<()> {
    let staged: Vec<DetectionRow<'_>> = rows.iter().filter(|row| changed(row)).map(staged).collect();
    if staged.is_empty() {
        return Ok(());
    }
    tx.stage(&staged)?;
    if staged.iter().any(|row| row.id.is_some()) {
        tx.execute(UPDATE, &[&run.id])?;
    }
    if staged.iter().any(|row| row.id.is_none()) {
        tx.execute(INSERT, &[&run.instance, &run.id])?;
    }
    let history: Vec<HistoryRow<'_>> = rows
        .iter()
        .filter_map(|row| {
            let known = row.known.filter(|known| known.status != row.seen.status)?;
            Some(HistoryRow { detection_id: known.id, before: known.status.clone(), after: &row.seen.status })
        })
        .collect();
    if !history.is_empty() {
        tx.stage(&history)?;
        tx.execute(
            "INSERT INTO detection_history (detection_id, at, before, after, run_id)
             SELECT detection_id, $1, before, after, $2 FROM detection_history_batch",
            &[&now, &run.id],
        )?;
    }
    Ok(())
}

const UPDATE: &str = "
    UPDATE detection SET
        item_id = b.item_id, protocol = b.protocol, port = b.port, fqdn = b.fqdn,
        service_instance = b.service_instance,
        unique_id = CASE WHEN b.unique_id = '' THEN detection.unique_id ELSE b.unique_id END,
        kind = b.kind, severity = b.severity, status = b.status, qds = b.qds, inherent = b.inherent,
        score_source = b.score_source, results = b.results, ignored = b.ignored, disabled = b.disabled,
        times_found = b.times_found, first_found_at = b.first_found_at, last_found_at = b.last_found_at,
        last_fixed_at = b.last_fixed_at, last_test_at = b.last_test_at, last_processed_at = b.last_processed_at,
        digest = b.digest, excluded_by = b.excluded_by, run_id = $1
    FROM detection_batch b WHERE detection.id = b.id";

const INSERT: &str = "
    INSERT INTO detection (instance_id, source_host_id, vulnerability_id, item_id, protocol, port, fqdn,
        service_instance, unique_id, kind, severity, status, qds, inherent, score_source, results, ignored, disabled,
        times_found, first_found_at, last_found_at, last_fixed_at, last_test_at, last_processed_at, digest, excluded_by,
        run_id)
    SELECT $1, source_host_id, vulnerability_id, item_id, protocol, port, fqdn,
        service_instance, unique_id, kind, severity, status, qds, inherent, score_source, results, ignored, disabled,
        times_found, first_found_at, last_found_at, last_fixed_at, last_test_at, last_processed_at, digest,
        excluded_by, $2
    FROM detection_batch WHERE id IS NULL";

fn staged<'s>(row: &Resolved<'s>) -> DetectionRow<'s> {
    let seen = row.seen;
    let (protocol, port, fqdn, service_instance) = match row.known.filter(|_| row.stays) {
        Some(known) => (&known.protocol, known.port, &known.fqdn, &known.service_instance),
        None => (&seen.protocol, seen.port, &seen.fqdn, &seen.service_instance),
    };
    DetectionRow {
        id: row.known.map(|known| known.id),
        source_host_id: row.host.source_host,
        vulnerability_id: row.of.id,
        item_id: row.item,
        protocol,
        port,
        fqdn,
        service_instance,
        unique_id: &seen.unique_id,
        kind: &seen.kind,
        severity: i64::from(seen.severity.unwrap_or(row.of.severity)),
        status: &seen.status,
        qds: seen.qds.map(i64::from),
        inherent: i64::from(row.score.0),
        score_source: row.score.1,
        results: &seen.results,
        ignored: seen.ignored,
        disabled: seen.disabled,
        times_found: seen.times_found,
        first_found_at: seen.first_found_at,
        last_found_at: seen.last_found_at,
        last_fixed_at: seen.last_fixed_at,
        last_test_at: seen.last_test_at,
        last_processed_at: seen.last_processed_at,
        digest: row.digest,
        excluded_by: row.excluded,
    }
}

/// Rows that were known before their item was made (found fixed at first sight, say) belong to it from now on.
fn attach(
    tx: &mut Transaction<'_>,
    known: &[Known],
    rows: &[Resolved<'_>],
    placed: &HashMap<String, Placed>,
    made: &items::Ensured,
) -> Result<BTreeSet<ItemId>> {
    let asset_of: HashMap<SourceHostId, AssetId> =
        placed.values().map(|placed| (placed.source_host, placed.asset)).collect();
    let written: BTreeSet<DetectionId> =
        rows.iter().filter(|row| changed(row)).filter_map(|row| row.known.map(|known| known.id)).collect();
    let attached: Vec<AttachRow> = known
        .iter()
        .filter(|row| row.weakness && row.item_id.is_none() && row.excluded_by.is_none() && !written.contains(&row.id))
        .filter_map(|row| {
            let item_id = made.find(row.vulnerability_id, *asset_of.get(&row.source_host_id)?)?;
            Some(AttachRow { detection_id: row.id, item_id })
        })
        .collect();
    if !attached.is_empty() {
        tx.stage(&attached)?;
        tx.execute(
            "UPDATE detection SET item_id = b.item_id FROM detection_attach_batch b
             WHERE detection.id = b.detection_id",
            &[],
        )?;
    }
    Ok(attached.iter().map(|row| row.item_id).collect())
}

/// Look again at the estimated scores of the detections of these vulnerabilities, whose severity or CVSS may have
/// changed: at most [`ESTIMATED_MAX`] detections after the key `after`; gives where to go on.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn estimate_again(
    tx: &mut Transaction<'_>,
    run: &Run,
    vulnerabilities: &[VulnerabilityId],
    after: Option<DetectionId>,
    now: Timestamp,
    counters: &mut Counters,
) -> Result<Option<DetectionId>> {
    let ids: Vec<i64> = vulnerabilities.iter().map(|id| id.0).collect();
    type Estimated = (DetectionId, i64, i64, Option<ItemId>, Option<f64>, Option<f64>);
    let rows: Vec<Estimated> = tx.all(
        "SELECT d.id, CASE WHEN d.severity = 0 THEN v.severity ELSE d.severity END, d.inherent, d.item_id, v.cvss2,
             v.cvss3
         FROM detection d JOIN vulnerability v ON v.id = d.vulnerability_id
         WHERE d.vulnerability_id {in $1} AND d.score_source = 'estimated' AND d.id > $2 ORDER BY d.id LIMIT $3",
        &[&ids, &after.unwrap_or(DetectionId(0)), &ESTIMATED_MAX],
    )?;
    let mut changes: Vec<ScoreRow> = Vec::new();
    let mut items: BTreeSet<ItemId> = BTreeSet::new();
    for (id, severity, inherent, item, cvss2, cvss3) in &rows {
        let score = i64::from(estimate(u8::try_from(*severity).unwrap_or(0), cvss3.or(*cvss2)));
        if score != *inherent {
            changes.push(ScoreRow { id: *id, inherent: score });
            items.extend(*item);
        }
    }
    if !changes.is_empty() {
        tx.stage(&changes)?;
        tx.execute(
            "UPDATE detection SET inherent = b.inherent FROM detection_score_batch b WHERE detection.id = b.id",
            &[],
        )?;
        let items: Vec<ItemId> = items.into_iter().collect();
        let origin = Origin::import(run);
        let changed = items::roll_up(tx, &origin, &items, now, counters)?;
        items::follow(tx, &Followed { new: &[], changed: &changed, by: &origin.by }, now)?;
    }
    let full = i64::try_from(rows.len()).unwrap_or(i64::MAX) == ESTIMATED_MAX;
    Ok(rows.last().map(|row| row.0).filter(|_| full))
}
