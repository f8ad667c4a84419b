//! Asking for a rescan: what an item has to be looked at by, and writing the request down.

use super::requesters::join;
use crate::{Result, Sql, Transaction, items, record, stage};
use domain::access::{Action, Actor};
use domain::id::{AssetId, ChildScanId, InstanceId, ItemId, ScanId, SourceHostId, UserId};
use domain::item::State;
use domain::rescan::{self, Child};
use domain::time::Timestamp;
use std::collections::HashMap;

record! {
    /// An item on one source host, with everything that decides whether and where it is looked at. An item without
    /// any source host comes once, with an empty address.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Candidate {
        /// The item.
        pub item_id: ItemId,
        /// Ordinal of its number.
        pub number: i64,
        /// Its workflow state.
        pub state: State,
        /// Who works on it.
        pub owner_id: Option<UserId>,
        /// Which group works on it; empty for none.
        pub group_name: String,
        /// Its asset.
        pub asset_id: AssetId,
        /// Its integration instance.
        pub instance_id: InstanceId,
        /// The scanner's number of what it is about.
        pub qid: i64,
        /// The instance's product.
        pub product: String,
        /// The instance has a connection to the scanner.
        pub connected: bool,
        /// The instance is not disabled.
        pub enabled: bool,
        /// The instance shows the scanner as its source (S2.04).
        pub stamped: bool,
        /// The scanner is active (S2.02).
        pub active: bool,
        /// Where it was found.
        pub source_host_id: Option<SourceHostId>,
        /// Address to point the scanner at; empty for none.
        pub address: String,
        /// The scanner's network.
        pub network_id: String,
        /// How the scanner tracks the host.
        pub tracking: String,
    }
}

/// Everything about the items of these ordinals, by number and source host. Unknown ordinals are absent.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn candidates(tx: &mut Transaction<'_>, numbers: &[i64]) -> Result<Vec<Candidate>> {
    tx.all(
        "SELECT i.id AS item_id, i.number, i.state, i.owner_id, i.group_name, i.asset_id, i.instance_id, v.qid, n.product,
             n.auth <> 'files' AS connected, NOT n.disabled AS enabled, n.source_stamped_at IS NOT NULL AS stamped,
             coalesce(s.active, FALSE) AS active, h.id AS source_host_id, coalesce(h.ip, '') AS address,
             coalesce(h.network_id, '') AS network_id, coalesce(h.tracking, '') AS tracking
         FROM vulnerable_item i
         JOIN vulnerability v ON v.id = i.vulnerability_id
         JOIN integration_instance n ON n.id = i.instance_id
         LEFT JOIN scanner s ON s.product = n.product
         LEFT JOIN (SELECT DISTINCT d.item_id, d.source_host_id FROM detection d
                    JOIN vulnerable_item wanted ON wanted.id = d.item_id WHERE wanted.number {in $1}) found
             ON found.item_id = i.id
         LEFT JOIN source_host h ON h.id = found.source_host_id
         WHERE i.number {in $1} ORDER BY i.number, h.id",
        &[&numbers.to_vec()],
    )
}

/// What is open on an asset, the worst first: ordinals, at most `limit`; with an actor only what he may see.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn open_items(tx: &mut Transaction<'_>, asset: AssetId, seen_by: Option<&Actor>, limit: usize) -> Result<Vec<i64>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut sql = Sql::new("SELECT i.number FROM vulnerable_item i WHERE i.asset_id = ").bind(&asset);
    sql = sql.text(" AND i.state <> ").bind(&State::Closed);
    if let Some(seen) = seen_by.and_then(|actor| items::visible(actor, Action::ItemsView)) {
        sql = sql.text(" AND ").append(seen);
    }
    let rows: Vec<(i64,)> = tx.all_built(&sql.text(" ORDER BY i.residual DESC, i.id LIMIT ").bind(&limit))?;
    Ok(rows.into_iter().map(|(number,)| number).collect())
}

/// How long scans of about so many addresses took lately, in seconds: the middle one of the last ten that ended; `None` where there
/// was none.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn expected_seconds(tx: &mut Transaction<'_>, instance: InstanceId, addresses: usize) -> Result<Option<i64>> {
    let size = i64::try_from(addresses).unwrap_or(i64::MAX / 2);
    let mut took: Vec<(i64,)> = tx.all(
        "SELECT finished_at - coalesce(scanner_launched_at, launched_at) AS took FROM scan_child
         WHERE instance_id = $1 AND state = 'complete' AND finished_at > coalesce(scanner_launched_at, launched_at)
           AND 2 * (length(addresses) - length(replace(addresses, ',', '')) + 1) >= $2
           AND length(addresses) - length(replace(addresses, ',', '')) + 1 <= 2 * $2
         ORDER BY finished_at DESC LIMIT 10",
        &[&instance, &size],
    )?;
    took.sort_unstable();
    Ok(took.get(took.len() / 2).map(|(micros,)| micros.div_euclid(1_000_000).max(1)))
}

/// The addresses of these hosts.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn addresses(tx: &mut Transaction<'_>, hosts: &[SourceHostId]) -> Result<HashMap<SourceHostId, String>> {
    let hosts: Vec<i64> = hosts.iter().map(|host| host.0).collect();
    let rows: Vec<(SourceHostId, String)> =
        tx.all("SELECT id, ip FROM source_host WHERE id {in $1} ORDER BY id", &[&hosts])?;
    Ok(rows.into_iter().collect())
}

/// The assets that a request looks at.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn assets(tx: &mut Transaction<'_>, scan: ScanId) -> Result<Vec<AssetId>> {
    let rows: Vec<(AssetId,)> = tx.all(
        "SELECT DISTINCT i.asset_id FROM scan_target t JOIN vulnerable_item i ON i.id = t.item_id
         WHERE t.scan_id = $1 ORDER BY 1",
        &[&scan],
    )?;
    Ok(rows.into_iter().map(|(asset,)| asset).collect())
}

/// Which of these items are in an open request already: item and ordinal of the request.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn open_scans(tx: &mut Transaction<'_>, items: &[ItemId]) -> Result<Vec<(ItemId, i64)>> {
    let items: Vec<i64> = items.iter().map(|item| item.0).collect();
    tx.all(
        "SELECT t.item_id, max(s.number) FROM scan_target t JOIN scan s ON s.id = t.scan_id
         WHERE t.item_id {in $1} AND s.state IN ('queued', 'scanning') GROUP BY t.item_id ORDER BY t.item_id",
        &[&items],
    )
}

/// A request to be written down.
#[derive(Clone, Debug)]
pub struct NewScan {
    /// Ordinal of its number.
    pub number: i64,
    /// Product of the scanner.
    pub scanner: String,
    /// `vulnerable_item` or `asset`.
    pub source: &'static str,
    /// Which record it was asked of, `assets/7`; empty for items that were named.
    pub source_key: String,
    /// Key of the option profile that was named; empty for the default.
    pub profile_choice: String,
    /// Who asks.
    pub requested_by: UserId,
    /// This person is mailed when it ends.
    pub mail: bool,
}

/// Something that a request does not look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewExcluded {
    /// The item.
    pub item: ItemId,
    /// The host, where only one of the item is left out.
    pub source_host: Option<SourceHostId>,
    /// Stable code of the reason.
    pub code: &'static str,
    /// The reason.
    pub reason: String,
    /// Ordinal of the request that looks at it already.
    pub other: Option<i64>,
}

struct StagedExcluded<'t> {
    item_id: ItemId,
    source_host_id: Option<SourceHostId>,
    code: &'static str,
    reason: &'t str,
    other_number: Option<i64>,
}
stage!(StagedExcluded<'_> as "scan_excluded_batch" {
    item_id: ItemId, source_host_id: Option<SourceHostId>, code: &'static str, reason: &'static str,
    other_number: Option<i64>,
});

/// One of its launches.
#[derive(Clone, Debug)]
pub struct NewChild {
    /// Subscription.
    pub instance: InstanceId,
    /// Key of the appliance, or `External`.
    pub appliance: String,
    /// Network, empty without networks.
    pub network: String,
    /// Key of the option profile.
    pub profile_key: String,
    /// Its title.
    pub profile_title: String,
    /// Addresses.
    pub addresses: Vec<String>,
    /// The scan's title at the scanner, unique for ever.
    pub request_key: String,
    /// When its tracking ends.
    pub tracking_until: Timestamp,
    /// What is looked at.
    pub targets: Vec<NewTarget>,
}

/// An item on one host.
#[derive(Clone, Debug)]
pub struct NewTarget {
    /// The item.
    pub item: ItemId,
    /// The host.
    pub source_host: SourceHostId,
    /// Its address.
    pub address: String,
}

struct StagedTarget<'t> {
    child_id: ChildScanId,
    item_id: ItemId,
    source_host_id: SourceHostId,
    address: &'t str,
}
stage!(StagedTarget<'_> as "scan_target_batch" {
    child_id: ChildScanId, item_id: ItemId, source_host_id: SourceHostId, address: &'static str,
});

/// Write a request down with its launches, due at once, and what it leaves out.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn create(
    tx: &mut Transaction<'_>,
    scan: &NewScan,
    children: &[NewChild],
    excluded: &[NewExcluded],
    now: Timestamp,
) -> Result<ScanId> {
    let id: ScanId = tx.insert(
        "INSERT INTO scan (number, state, message, scanner, source, source_key, profile_choice, requested_by, created_at)
         VALUES ($1, $2, '', $3, $4, $8, $5, $6, $7) RETURNING id",
        &[
            &scan.number,
            &rescan::State::Queued,
            &scan.scanner,
            &scan.source,
            &scan.profile_choice,
            &scan.requested_by,
            &now,
            &scan.source_key,
        ],
    )?;
    let ids = insert_children(tx, id, 1, children, now)?;
    let targets: Vec<StagedTarget<'_>> = ids
        .iter()
        .zip(children)
        .flat_map(|(child, new)| {
            new.targets.iter().map(|target| StagedTarget {
                child_id: *child,
                item_id: target.item,
                source_host_id: target.source_host,
                address: &target.address,
            })
        })
        .collect();
    join(tx, id, scan.requested_by, scan.mail, now)?;
    tx.stage(&targets)?;
    tx.execute(
        "INSERT INTO scan_target (scan_id, child_id, item_id, source_host_id, address, verdict, reason)
         SELECT $1, child_id, item_id, source_host_id, address, '', '' FROM scan_target_batch",
        &[&id],
    )?;
    let staged: Vec<StagedExcluded<'_>> = excluded
        .iter()
        .map(|one| StagedExcluded {
            item_id: one.item,
            source_host_id: one.source_host,
            code: one.code,
            reason: &one.reason,
            other_number: one.other,
        })
        .collect();
    tx.stage(&staged)?;
    tx.execute(
        "INSERT INTO scan_excluded (scan_id, item_id, source_host_id, code, reason, other_number)
         SELECT $1, item_id, source_host_id, code, reason, other_number FROM scan_excluded_batch",
        &[&id],
    )?;
    Ok(id)
}

/// Write launches down without their targets, due at once.
pub(super) fn insert_children(
    tx: &mut Transaction<'_>,
    scan: ScanId,
    first: i64,
    children: &[NewChild],
    now: Timestamp,
) -> Result<Vec<ChildScanId>> {
    let mut ids = Vec::with_capacity(children.len());
    for (ordinal, child) in (first..).zip(children) {
        ids.push(tx.insert(
            "INSERT INTO scan_child (scan_id, ordinal, instance_id, appliance, network_id, profile_key, profile_title,
                 addresses, request_key, state, reference, message, attempts, looks, failures, adopted, tracking_until,
                 next_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '', '', 0, 0, 0, FALSE, $11, $12) RETURNING id",
            &[
                &scan,
                &ordinal,
                &child.instance,
                &child.appliance,
                &child.network,
                &child.profile_key,
                &child.profile_title,
                &child.addresses.join(","),
                &child.request_key,
                &Child::Planned,
                &child.tracking_until,
                &now,
            ],
        )?);
    }
    Ok(ids)
}
