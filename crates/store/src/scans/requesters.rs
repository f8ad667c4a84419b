//! Who wants a request, and what joins its launches before they are sent.

use crate::{Result, Transaction, record, stage};
use domain::id::{ChildScanId, InstanceId, ItemId, ScanId, SourceHostId, UserId};
use domain::time::Timestamp;

record! {
    /// Somebody who asked for what a request looks at.
    #[derive(Clone, Debug, PartialEq)]
    pub struct RequesterRow {
        /// The account.
        pub account_id: UserId,
        /// Its sign-in name.
        pub name: String,
        /// When.
        pub at: Timestamp,
        /// This person is mailed when it ends.
        pub mail: bool,
        /// When this person called it off while others go on.
        pub left_at: Option<Timestamp>,
    }
}

/// Everybody who asked for a request, the first one first.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn requesters(tx: &mut Transaction<'_>, scan: ScanId) -> Result<Vec<RequesterRow>> {
    tx.all(
        "SELECT r.account_id, coalesce(a.name, '') AS name, r.at, r.mail, r.left_at
         FROM scan_requester r LEFT JOIN account a ON a.id = r.account_id
         WHERE r.scan_id = $1 ORDER BY r.at, r.account_id",
        &[&scan],
    )
}

/// This person wants the request, from now on where he had called it off, and wants mail when it ends or not. `false` where he
/// wanted it already.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn join(tx: &mut Transaction<'_>, scan: ScanId, account: UserId, mail: bool, now: Timestamp) -> Result<bool> {
    let joined = tx.execute(
        "INSERT INTO scan_requester (scan_id, account_id, at, mail) VALUES ($1, $2, $3, $4)
         ON CONFLICT (scan_id, account_id) DO UPDATE SET left_at = NULL, mail = excluded.mail
         WHERE scan_requester.left_at IS NOT NULL",
        &[&scan, &account, &now, &mail],
    )?;
    Ok(joined == 1)
}

/// This person does not want the request any more.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn leave(tx: &mut Transaction<'_>, scan: ScanId, account: UserId, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE scan_requester SET left_at = $3 WHERE scan_id = $1 AND account_id = $2 AND left_at IS NULL",
        &[&scan, &account, &now],
    )?;
    Ok(())
}

record! {
    /// A launch that was never sent.
    #[derive(Clone, Debug, PartialEq)]
    pub struct UnsentRow {
        /// Its key.
        pub id: ChildScanId,
        /// Ordinal of the request's number.
        pub number: i64,
        /// Subscription.
        pub instance_id: InstanceId,
        /// Key of the appliance, or `External`.
        pub appliance: String,
        /// Network.
        pub network_id: String,
        /// Key of the option profile.
        pub profile_key: String,
        /// Addresses, separated by commas.
        pub addresses: String,
    }
}

/// The launches of an instance that were never sent, the oldest first.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn unsent(tx: &mut Transaction<'_>, instance: InstanceId) -> Result<Vec<UnsentRow>> {
    tx.all(
        "SELECT c.id, s.number, c.instance_id, c.appliance, c.network_id, c.profile_key, c.addresses
         FROM scan_child c JOIN scan s ON s.id = c.scan_id
         WHERE c.instance_id = $1 AND c.state = 'planned' AND c.attempts = 0 ORDER BY c.id",
        &[&instance],
    )
}

/// Something more for a launch that was never sent to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The launch.
    pub child: ChildScanId,
    /// The item.
    pub item: ItemId,
    /// The host.
    pub source_host: SourceHostId,
    /// Its address, which the launch has.
    pub address: String,
}

struct StagedJoined<'j> {
    child_id: ChildScanId,
    item_id: ItemId,
    source_host_id: SourceHostId,
    address: &'j str,
}
stage!(StagedJoined<'_> as "scan_joined_batch" {
    child_id: ChildScanId, item_id: ItemId, source_host_id: SourceHostId, address: &'static str,
});

/// Give launches more to look at. What was sent meanwhile is left alone.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn add_targets(tx: &mut Transaction<'_>, joined: &[Joined]) -> Result<()> {
    let staged: Vec<StagedJoined<'_>> = joined
        .iter()
        .map(|one| StagedJoined {
            child_id: one.child,
            item_id: one.item,
            source_host_id: one.source_host,
            address: &one.address,
        })
        .collect();
    tx.stage(&staged)?;
    tx.execute(
        "INSERT INTO scan_target (scan_id, child_id, item_id, source_host_id, address, verdict, reason)
         SELECT c.scan_id, c.id, b.item_id, b.source_host_id, b.address, '', ''
         FROM scan_joined_batch b JOIN scan_child c ON c.id = b.child_id
         WHERE c.state = 'planned' AND c.attempts = 0
         ON CONFLICT (scan_id, item_id, source_host_id) DO NOTHING",
        &[],
    )?;
    Ok(())
}
