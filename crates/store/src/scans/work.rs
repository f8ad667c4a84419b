//! What the engine does with launches: claim one, save what became of it, and judge what it found.

use crate::items::{HistoryRow, write_history};
use crate::{Result, Transaction, record, stage};
use domain::id::{ChildScanId, InstanceId, ItemId, ScanId, SourceHostId};
use domain::number::{Number, Series};
use domain::rescan::{Child, State};
use domain::score::Mitigation;
use domain::time::Timestamp;
use uuid::Uuid;

record! {
    /// One launch.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ChildRow {
        /// Key.
        pub id: ChildScanId,
        /// The request.
        pub scan_id: ScanId,
        /// Ordinal of the request's number.
        pub number: i64,
        /// Its place among the launches of the request, from 1.
        pub ordinal: i64,
        /// Subscription.
        pub instance_id: InstanceId,
        /// Key of the appliance, or `External`.
        pub appliance: String,
        /// Network.
        pub network_id: String,
        /// Key of the option profile.
        pub profile_key: String,
        /// Its title.
        pub profile_title: String,
        /// Addresses, separated by commas.
        pub addresses: String,
        /// The scan's title at the scanner.
        pub request_key: String,
        /// Where it is.
        pub state: Child,
        /// The scanner's reference; empty until it gave one.
        pub reference: String,
        /// The same of later doubles of the launch, separated by commas.
        pub doubles: String,
        /// What is worth knowing; mostly empty.
        pub message: String,
        /// What a launch that is not sent waits for; empty where it waits for nothing.
        pub waits: String,
        /// Launches tried.
        pub attempts: u32,
        /// Looks taken at the running scan.
        pub looks: u32,
        /// Failures in a row.
        pub failures: u32,
        /// It ended after its tracking had.
        pub adopted: bool,
        /// When the intent to launch was written down.
        pub launching_at: Option<Timestamp>,
        /// When the reference was written down.
        pub launched_at: Option<Timestamp>,
        /// When it was launched by the scanner's clock.
        pub scanner_launched_at: Option<Timestamp>,
        /// When it was first seen finished.
        pub finished_at: Option<Timestamp>,
        /// When it came to its end state.
        pub ended_at: Option<Timestamp>,
        /// When its tracking ends.
        pub tracking_until: Timestamp,
        /// Ordinal of the import run that pulled the results.
        pub run_number: Option<i64>,
        /// Hosts that answered, as the scanner counts them; absent while that is not known.
        pub hosts_alive: Option<i64>,
        /// Hosts that were asked, as the scanner counts them.
        pub hosts_total: Option<i64>,
        /// It was cancelled at the scanner, and what it found by then is taken in.
        pub cut: bool,
        /// Its targets went on to a later launch.
        pub retried: bool,
        /// When there is something to do for it.
        pub next_at: Option<Timestamp>,
        /// Under which claim it is held.
        pub claim: Option<Uuid>,
    }
}

impl ChildRow {
    /// Its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.addresses.split(',').filter(|address| !address.is_empty())
    }

    /// The scanner's references of later doubles of it.
    pub fn doubles(&self) -> impl Iterator<Item = &str> {
        self.doubles.split(',').filter(|reference| !reference.is_empty())
    }

    /// Its name, for people and logs: `VSCAN0000001/2`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", Number { series: Series::Scan, ordinal: self.number }, self.ordinal)
    }
}

/// The launches of a request in order.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn children(tx: &mut Transaction<'_>, scan: ScanId) -> Result<Vec<ChildRow>> {
    tx.all(
        "SELECT c.id, c.scan_id, s.number, c.ordinal, c.instance_id, c.appliance, c.network_id, c.profile_key,
             c.profile_title, c.addresses, c.request_key, c.state, c.reference, c.doubles, c.message, c.waits, c.attempts, c.looks,
             c.failures, c.adopted, c.launching_at, c.launched_at, c.scanner_launched_at, c.finished_at, c.ended_at,
             c.tracking_until, c.run_number, c.hosts_alive, c.hosts_total, c.cut, c.retried, c.next_at,
             c.claim
         FROM scan_child c JOIN scan s ON s.id = c.scan_id WHERE c.scan_id = $1 ORDER BY c.ordinal",
        &[&scan],
    )
}

/// Claim the launch that is due first, for `seconds`, under a claim id that is new for each call.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn claim(tx: &mut Transaction<'_>, claim: Uuid, now: Timestamp, seconds: i64) -> Result<Option<ChildRow>> {
    let claimed: Option<(ChildScanId,)> = tx.optional(
        "UPDATE scan_child SET claim = $1, claimed_until_at = $3
         WHERE id = (SELECT id FROM scan_child
                     WHERE next_at <= $2 AND (claimed_until_at IS NULL OR claimed_until_at <= $2)
                     ORDER BY next_at, id LIMIT 1)
           AND (claimed_until_at IS NULL OR claimed_until_at <= $2)
         RETURNING id",
        &[&claim, &now, &now.plus_seconds(seconds)],
    )?;
    let Some((id,)) = claimed else { return Ok(None) };
    tx.optional(
        "SELECT c.id, c.scan_id, s.number, c.ordinal, c.instance_id, c.appliance, c.network_id, c.profile_key,
             c.profile_title, c.addresses, c.request_key, c.state, c.reference, c.doubles, c.message, c.waits, c.attempts, c.looks,
             c.failures, c.adopted, c.launching_at, c.launched_at, c.scanner_launched_at, c.finished_at, c.ended_at,
             c.tracking_until, c.run_number, c.hosts_alive, c.hosts_total, c.cut, c.retried, c.next_at,
             c.claim
         FROM scan_child c JOIN scan s ON s.id = c.scan_id WHERE c.id = $1",
        &[&id],
    )
}

/// Save what became of a claimed launch, and give it back unless `keep_until` says how long it is still held.
/// `false` where the claim was lost meanwhile; then nothing was saved.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn save(tx: &mut Transaction<'_>, child: &ChildRow, keep_until: Option<Timestamp>) -> Result<bool> {
    let kept = keep_until.and(child.claim);
    let saved = tx.execute(
        "UPDATE scan_child SET state = $3, reference = $4, message = $5, attempts = $6, looks = $7, failures = $8,
             adopted = $9, launching_at = $10, launched_at = $11, scanner_launched_at = $12, finished_at = $13,
             ended_at = $14, tracking_until = $15, run_number = $16, next_at = $17, claim = $18, claimed_until_at = $19,
             waits = $20, doubles = $21, hosts_alive = $22, hosts_total = $23,
             cut = $24
         WHERE id = $1 AND claim = $2",
        &[
            &child.id,
            &child.claim,
            &child.state,
            &child.reference,
            &child.message,
            &child.attempts,
            &child.looks,
            &child.failures,
            &child.adopted,
            &child.launching_at,
            &child.launched_at,
            &child.scanner_launched_at,
            &child.finished_at,
            &child.ended_at,
            &child.tracking_until,
            &child.run_number,
            &child.next_at,
            &kept,
            &keep_until,
            &child.waits,
            &child.doubles,
            &child.hosts_alive,
            &child.hosts_total,
            &child.cut,
        ],
    )?;
    Ok(saved == 1)
}

/// Hold a claimed launch longer. `false` where the claim was lost meanwhile.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn renew(tx: &mut Transaction<'_>, child: &ChildRow, until: Timestamp) -> Result<bool> {
    let renewed = tx.execute(
        "UPDATE scan_child SET claimed_until_at = $3 WHERE id = $1 AND claim = $2",
        &[&child.id, &child.claim, &until],
    )?;
    Ok(renewed == 1)
}

/// Give a claimed launch back as it is.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn release(tx: &mut Transaction<'_>, child: &ChildRow) -> Result<()> {
    tx.execute(
        "UPDATE scan_child SET claim = NULL, claimed_until_at = NULL WHERE id = $1 AND claim = $2",
        &[&child.id, &child.claim],
    )?;
    Ok(())
}

/// Cancel the launches of a request that have not ended, whoever holds them; what the scanner knows of is stopped
/// there by the engine. Gives how many.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn request_cancel(tx: &mut Transaction<'_>, scan: ScanId, message: &str, now: Timestamp) -> Result<u64> {
    tx.execute(
        "UPDATE scan_child SET state = $2, message = $3, ended_at = $4, claim = NULL, claimed_until_at = NULL,
             failures = 0, next_at = CASE WHEN launching_at IS NULL THEN NULL ELSE CAST($4 AS BIGINT) END
         WHERE scan_id = $1 AND state IN ('planned', 'launching', 'running', 'finished')",
        &[&scan, &Child::Cancelled, &message, &now],
    )
}

/// When the next launch is due, for the engine's sleep.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn next_due(tx: &mut Transaction<'_>) -> Result<Option<Timestamp>> {
    tx.scalar("SELECT min(next_at) FROM scan_child", &[])
}

/// State of a request and what is worth knowing of it.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) for an unknown key.
pub fn parent(tx: &mut Transaction<'_>, scan: ScanId) -> Result<(i64, State)> {
    tx.one("SELECT number, state FROM scan WHERE id = $1", &[&scan])
}

/// Set the state of a request; `ended_at` is absent while it is open.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn set_state(
    tx: &mut Transaction<'_>,
    scan: ScanId,
    state: State,
    message: &str,
    ended_at: Option<Timestamp>,
) -> Result<()> {
    tx.execute(
        "UPDATE scan SET state = $2, message = $3, ended_at = $4 WHERE id = $1",
        &[&scan, &state, &message, &ended_at],
    )?;
    Ok(())
}

/// What a targeted pull has to ask for: the scanner's ids of the hosts, whether it gave them itself, their addresses,
/// and the vulnerabilities.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn lookup_pairs(tx: &mut Transaction<'_>, child: ChildScanId) -> Result<Vec<(String, bool, String, i64)>> {
    tx.all(
        "SELECT DISTINCT h.host_key, h.keyed, t.address, v.qid
         FROM scan_child c
         JOIN scan_target t ON t.child_id = c.id OR (c.retried AND t.scan_id = c.scan_id
             AND ',' || c.addresses || ',' LIKE '%,' || t.address || ',%')
         JOIN source_host h ON h.id = t.source_host_id
         JOIN vulnerable_item i ON i.id = t.item_id
         JOIN vulnerability v ON v.id = i.vulnerability_id
         WHERE c.id = $1 ORDER BY 1, 4",
        &[&child],
    )
}

record! {
    /// One detection of a target after the pull; a target without any comes once, without a status.
    #[derive(Clone, Debug, PartialEq)]
    pub struct SightingRow {
        /// The target.
        pub target_id: i64,
        /// The item.
        pub item_id: ItemId,
        /// The host.
        pub source_host_id: SourceHostId,
        /// What the controls in force do.
        pub mitigation: Mitigation,
        /// When the host was last scanned.
        pub host_scanned_at: Option<Timestamp>,
        /// The detection's status.
        pub status: Option<String>,
        /// When it was last tested.
        pub last_test_at: Option<Timestamp>,
        /// When it was last found.
        pub last_found_at: Option<Timestamp>,
        /// When it was last found gone.
        pub last_fixed_at: Option<Timestamp>,
    }
}

/// What is known of the targets of a launch, target by target.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn sightings(tx: &mut Transaction<'_>, child: ChildScanId) -> Result<Vec<SightingRow>> {
    tx.all(
        "SELECT t.id AS target_id, t.item_id, t.source_host_id, i.mitigation, h.last_scan_at AS host_scanned_at,
             d.status, d.last_test_at, d.last_found_at, d.last_fixed_at
         FROM scan_target t
         JOIN vulnerable_item i ON i.id = t.item_id
         JOIN source_host h ON h.id = t.source_host_id
         LEFT JOIN detection d ON d.item_id = t.item_id AND d.source_host_id = t.source_host_id
         WHERE t.child_id = $1 ORDER BY t.id",
        &[&child],
    )
}

/// A verdict on a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The target.
    pub target: i64,
    /// Its item.
    pub item: ItemId,
    /// The verdict's word.
    pub verdict: &'static str,
    /// Why, for people.
    pub reason: String,
}

struct JudgedRow<'j> {
    target_id: i64,
    verdict: &'static str,
    reason: &'j str,
}
stage!(JudgedRow<'_> as "scan_verdict_batch" { target_id: i64, verdict: &'static str, reason: &'static str });

/// Write verdicts down, each with a line in the history of its item.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn judge(tx: &mut Transaction<'_>, number: i64, judged: &[Judged], now: Timestamp) -> Result<()> {
    let rows: Vec<JudgedRow<'_>> = judged
        .iter()
        .map(|one| JudgedRow { target_id: one.target, verdict: one.verdict, reason: &one.reason })
        .collect();
    tx.stage(&rows)?;
    tx.execute(
        "UPDATE scan_target SET verdict = b.verdict, reason = b.reason, judged_at = $1
         FROM scan_verdict_batch b WHERE scan_target.id = b.target_id",
        &[&now],
    )?;
    let cause = Number { series: Series::Scan, ordinal: number }.to_string();
    let lines: Vec<HistoryRow> = judged
        .iter()
        .map(|one| HistoryRow {
            item_id: one.item,
            what: "verdict",
            before: String::new(),
            after: one.verdict.to_owned(),
        })
        .collect();
    write_history(tx, &lines, &cause, now)
}

/// Give the targets of a launch that have no verdict this one: its scan will say nothing of them. An empty verdict
/// leaves them open and only says why.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn close_targets(
    tx: &mut Transaction<'_>,
    child: ChildScanId,
    verdict: &str,
    reason: &str,
    now: Timestamp,
) -> Result<()> {
    let judged_at = (!verdict.is_empty()).then_some(now);
    tx.execute(
        "UPDATE scan_target SET verdict = $2, reason = $3, judged_at = $4 WHERE child_id = $1 AND verdict = ''",
        &[&child, &verdict, &reason, &judged_at],
    )?;
    Ok(())
}

record! {
    /// An address that a scan has no result for.
    #[derive(Clone, Debug, PartialEq)]
    pub struct UnscannedRow {
        /// Place of its launch among those of the request, from 1.
        pub child: i64,
        /// The address.
        pub address: String,
        /// Why, as far as the scanner says.
        pub reason: String,
    }
}

/// The addresses of a request that its scans have no result for.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn unscanned(tx: &mut Transaction<'_>, scan: ScanId) -> Result<Vec<UnscannedRow>> {
    tx.all(
        "SELECT c.ordinal AS child, u.address, u.reason FROM scan_unscanned u JOIN scan_child c ON c.id = u.child_id
         WHERE c.scan_id = $1 ORDER BY c.ordinal, u.address",
        &[&scan],
    )
}

struct StagedUnscanned<'u> {
    address: &'u str,
    reason: &'u str,
}
stage!(StagedUnscanned<'_> as "scan_unscanned_batch" { address: &'static str, reason: &'static str });

/// Write down which addresses a scan has no result for, each with the reason, instead of what was known.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn set_unscanned(tx: &mut Transaction<'_>, child: ChildScanId, rows: &[(String, String)]) -> Result<()> {
    tx.execute("DELETE FROM scan_unscanned WHERE child_id = $1", &[&child])?;
    let staged: Vec<StagedUnscanned<'_>> =
        rows.iter().map(|(address, reason)| StagedUnscanned { address, reason }).collect();
    tx.stage(&staged)?;
    tx.execute(
        "INSERT INTO scan_unscanned (child_id, address, reason)
         SELECT $1, address, min(reason) FROM scan_unscanned_batch GROUP BY address",
        &[&child],
    )?;
    Ok(())
}
