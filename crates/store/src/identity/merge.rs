//! Joining two assets that are one machine, giving one host to another asset, and taking either back.
//!
//! All three are one movement: hosts go to an asset, their detections with them. An item goes along where nothing of it stays; where
//! the asset has that item already, the detections join it, and the item that is left without any closes as moved, with what hangs
//! on it handed over. All that an undo needs is kept with the record of the movement.

mod before;
mod regroup;

use super::hosts_of;
use crate::audit::{self, Entry};
use crate::imports::hex;
use crate::{Error, Result, Transaction, assets, items, record};
use before::Moved;
use domain::id::{AssetId, AssetMergeId, InstanceId, ItemId, SourceHostId};
use domain::identity::joining::{Joining, Side};
use domain::refusal::Refusal;
use domain::time::Timestamp;
use regroup::regroup;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

record! {
    /// An item that a movement concerns, with the one it meets.
    struct Pair {
        item: ItemId,
        number: i64,
        instance_id: InstanceId,
        meets: Option<ItemId>,
        stays: bool,
    }
}

/// What a movement does, counted before it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Hosts that go.
    pub hosts: Vec<SourceHostId>,
    /// Items that go along.
    pub moved: i64,
    /// Items whose detections join an item that is there.
    pub joined: i64,
    /// Items of which a part stays.
    pub parted: i64,
    /// Detections that go.
    pub detections: i64,
    /// Tags that the asset gets.
    pub tags: Vec<String>,
    /// What was looked at; give it back to be told where it changed meanwhile.
    pub digest: String,
}

record! {
    /// A movement that was made.
    #[derive(Clone, Debug, PartialEq)]
    pub struct MergeRow {
        /// Key.
        pub id: AssetMergeId,
        /// The asset that hosts were taken from.
        pub from_id: AssetId,
        /// Its name.
        pub from_name: String,
        /// The asset they went to.
        pub into_id: AssetId,
        /// Who did it.
        pub by_name: String,
        /// When.
        pub at: Timestamp,
        /// Taken back.
        pub undone_at: Option<Timestamp>,
    }
}

/// The movements into an asset, the newest first.
///
/// # Errors
/// See [`Error`].
pub fn into(tx: &mut Transaction<'_>, asset: AssetId) -> Result<Vec<MergeRow>> {
    tx.all(
        "SELECT m.id, m.from_id, a.name AS from_name, m.into_id, m.by_name, m.at, m.undone_at
         FROM asset_merge m JOIN asset a ON a.id = m.from_id WHERE m.into_id = $1 ORDER BY m.id DESC LIMIT 100",
        &[&asset],
    )
}

/// One movement.
///
/// # Errors
/// [`Error::NotFound`] for an unknown one.
pub fn one(tx: &mut Transaction<'_>, id: AssetMergeId) -> Result<MergeRow> {
    tx.one(
        "SELECT m.id, m.from_id, a.name AS from_name, m.into_id, m.by_name, m.at, m.undone_at
         FROM asset_merge m JOIN asset a ON a.id = m.from_id WHERE m.id = $1",
        &[&id],
    )
}

/// The asset that this one was joined into, through all that followed; `None` where it stands for itself.
///
/// # Errors
/// See [`Error`].
pub fn gone_to(tx: &mut Transaction<'_>, asset: AssetId) -> Result<Option<AssetId>> {
    let mut at = asset;
    loop {
        let next: Option<(Option<AssetId>,)> = tx.optional("SELECT merged_into FROM asset WHERE id = $1", &[&at])?;
        match next.and_then(|(next,)| next) {
            // A chain has no circle: an asset that is gone takes nothing in.
            Some(next) => at = next,
            None => return Ok((at != asset).then_some(at)),
        }
    }
}

/// What joining needs to know of both assets.
///
/// # Errors
/// See [`Error`].
pub fn joining(tx: &mut Transaction<'_>, from: AssetId, into: AssetId, hosts: &[SourceHostId]) -> Result<Joining> {
    let all = hosts_of(tx, &[from.0, into.0])?;
    let moving: Vec<i64> = hosts.iter().map(|host| host.0).collect();
    let uuids: Vec<(String,)> =
        tx.all("SELECT DISTINCT agent_uuid FROM source_host WHERE id {in $1} AND agent_uuid IS NOT NULL", &[&moving])?;
    let mut side = |asset: AssetId| -> Result<Side> {
        let (gone, uuid): (Option<AssetId>, Option<String>) =
            tx.one("SELECT merged_into, scanner_uuid FROM asset WHERE id = $1", &[&asset])?;
        let agent: i64 =
            tx.scalar("SELECT count(*) FROM agent WHERE asset_id = $1 AND revoked_at IS NULL", &[&asset])?;
        let own: bool = tx.scalar(
            "SELECT EXISTS (SELECT 1 FROM control WHERE asset_id = $1) OR EXISTS (SELECT 1 FROM job_target WHERE asset_id = $1)
                 OR EXISTS (SELECT 1 FROM task WHERE asset_id = $1)",
            &[&asset],
        )?;
        let hosts = all.iter().filter(|(of, _)| *of == asset);
        let uuids = hosts.filter_map(|(_, host)| host.agent_uuid.clone()).chain(uuid).collect();
        Ok(Side { asset, gone: gone.is_some(), agent: agent > 0, mitigations: own, uuids })
    };
    let (from, into) = (side(from)?, side(into)?);
    Ok(Joining { from, into, moving: uuids.into_iter().map(|(uuid,)| uuid).collect() })
}

/// All hosts of an asset.
///
/// # Errors
/// See [`Error`].
pub fn hosts(tx: &mut Transaction<'_>, asset: AssetId) -> Result<Vec<SourceHostId>> {
    let rows: Vec<(SourceHostId,)> = tx.all("SELECT id FROM source_host WHERE asset_id = $1 ORDER BY id", &[&asset])?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

fn keys(hosts: &[SourceHostId]) -> Vec<i64> {
    hosts.iter().map(|host| host.0).collect()
}

/// The items with detections on these hosts; which one of the asset each meets, and whether a part of it stays.
fn pairs(tx: &mut Transaction<'_>, hosts: &[SourceHostId], into: AssetId) -> Result<Vec<Pair>> {
    tx.all(
        "SELECT i.id AS item, i.number, i.instance_id,
             (SELECT o.id FROM vulnerable_item o WHERE o.asset_id = $2 AND o.vulnerability_id = i.vulnerability_id
                  AND o.instance_id = i.instance_id AND o.id <> i.id) AS meets,
             EXISTS (SELECT 1 FROM detection s WHERE s.item_id = i.id AND NOT (s.source_host_id {in $1})) AS stays
         FROM vulnerable_item i
         WHERE i.id IN (SELECT d.item_id FROM detection d WHERE d.source_host_id {in $1}) AND i.asset_id <> $2 ORDER BY i.id",
        &[&keys(hosts), &into],
    )
}

/// Count what giving these hosts of `from` to `into` does.
///
/// # Errors
/// See [`Error`].
pub fn preview(
    tx: &mut Transaction<'_>,
    from: AssetId,
    into: Option<AssetId>,
    hosts: &[SourceHostId],
    whole: bool,
) -> Result<Preview> {
    let target = into.unwrap_or(AssetId(0));
    let pairs = pairs(tx, hosts, target)?;
    let detections: i64 = tx.scalar("SELECT count(*) FROM detection WHERE source_host_id {in $1}", &[&keys(hosts)])?;
    let mut tags: BTreeSet<String> = BTreeSet::new();
    let told: Vec<(String,)> =
        tx.all("SELECT DISTINCT tag FROM source_host_tag WHERE source_host_id {in $1}", &[&keys(hosts)])?;
    tags.extend(told.into_iter().map(|(tag,)| tag));
    if whole {
        tags.extend(assets::own_tags(tx, from)?);
    }
    if let Some(there) = assets::tags(tx, &[target])?.get(&target) {
        tags.retain(|tag| !there.contains(tag));
    }
    let count =
        |is: &dyn Fn(&Pair) -> bool| i64::try_from(pairs.iter().filter(|pair| is(pair)).count()).unwrap_or(i64::MAX);
    let mut hash = Sha256::new();
    for host in hosts {
        hash.update(host.0.to_le_bytes());
    }
    for pair in &pairs {
        hash.update(pair.item.0.to_le_bytes());
        hash.update(pair.meets.map_or(0, |item| item.0).to_le_bytes());
        hash.update([u8::from(pair.stays)]);
    }
    Ok(Preview {
        hosts: hosts.to_vec(),
        moved: count(&|pair| pair.meets.is_none() && !pair.stays),
        joined: count(&|pair| pair.meets.is_some()),
        parted: count(&|pair| pair.stays),
        detections,
        tags: tags.into_iter().collect(),
        digest: hex(hash.finalize().get(..8).unwrap_or_default()),
    })
}

/// Make an asset for a host that was given to a wrong one, from what the host says of itself.
///
/// # Errors
/// See [`Error`].
pub fn apart(tx: &mut Transaction<'_>, host: SourceHostId, now: Timestamp) -> Result<AssetId> {
    tx.insert(
        "INSERT INTO asset (name, platform, os, ip, fqdn, netbios, network_id, criticality, zone, scanner_uuid, machine_id, macs,
             placeholder, created_at, last_seen_at)
         SELECT CASE WHEN h.fqdn <> '' THEN h.fqdn WHEN h.dns <> '' THEN h.dns WHEN h.netbios <> '' THEN h.netbios
                     WHEN h.ip <> '' THEN h.ip ELSE h.host_key END,
             a.platform, h.os, h.ip, CASE WHEN h.fqdn <> '' THEN h.fqdn ELSE h.dns END, h.netbios, h.network_id,
             coalesce(a.criticality_base, a.criticality), '', h.agent_uuid, NULL, '', FALSE, $2, coalesce(h.last_scan_at, $2)
         FROM source_host h JOIN asset a ON a.id = h.asset_id WHERE h.id = $1 RETURNING id",
        &[&host, &now],
    )
}

/// A movement to be made.
pub struct Move<'m> {
    /// The asset that hosts are taken from.
    pub from: AssetId,
    /// The one they go to.
    pub into: AssetId,
    /// Which hosts.
    pub hosts: &'m [SourceHostId],
    /// The whole asset goes and is no more.
    pub whole: bool,
}

/// Give hosts to an asset, with all that follows; gives the record of it.
///
/// # Errors
/// See [`Error`].
pub fn carry_out(tx: &mut Transaction<'_>, actor: &str, asked: &Move<'_>, now: Timestamp) -> Result<AssetMergeId> {
    let Move { from, into, hosts, whole } = *asked;
    let history: i64 = tx.scalar("SELECT coalesce(max(id), 0) FROM item_history", &[])?;
    let rules: Vec<(SourceHostId, String)> =
        tx.all("SELECT id, matched_by FROM source_host WHERE id {in $1} ORDER BY id", &[&keys(hosts)])?;
    let there: BTreeSet<String> = assets::own_tags(tx, into)?.into_iter().collect();
    let own_tags = if whole { assets::own_tags(tx, from)? } else { Vec::new() };
    let mut moved = Moved {
        hosts: rules,
        whole,
        tags: own_tags.iter().filter(|tag| !there.contains(*tag)).cloned().collect(),
        own_tags,
        faces: before::faces(tx, from, into)?,
        history,
        ..Moved::default()
    };
    let pairs = pairs(tx, hosts, into)?;
    let concerned: Vec<i64> =
        pairs.iter().flat_map(|pair| [Some(pair.item), pair.meets]).flatten().map(|item| item.0).collect();
    moved.items = before::items(tx, &concerned)?;
    tx.execute("UPDATE source_host SET asset_id = $2, matched_by = 'person' WHERE id {in $1}", &[&keys(hosts), &into])?;
    moved.requests = regroup(tx, actor, &pairs, hosts, into, now)?;
    if whole {
        take_face(tx, from, into)?;
    }
    retag(tx, from, into, &moved)?;
    let text =
        serde_json::to_string(&moved).map_err(|error| Error::failed("could not write down what was moved", error))?;
    let id: AssetMergeId = tx.insert(
        "INSERT INTO asset_merge (from_id, into_id, moved, by_name, at) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        &[&from, &into, &text, &actor, &now],
    )?;
    let action = if whole { "asset.merge" } else { "asset.move_host" };
    entry(tx, actor, action, &moved, (from, into), now)?;
    Ok(id)
}

fn entry(
    tx: &mut Transaction<'_>,
    actor: &str,
    action: &str,
    moved: &Moved,
    (from, into): (AssetId, AssetId),
    now: Timestamp,
) -> Result<()> {
    let hosts: Vec<i64> = moved.hosts.iter().map(|(host, _)| host.0).collect();
    let detail = serde_json::json!({ "from": from, "into": into, "hosts": hosts, "items": moved.items.len() });
    let resource = format!("assets/{from}");
    audit::append(tx, &Entry { at: now, actor, action, resource: &resource, detail })?;
    Ok(())
}

/// An asset that is gone is found by nothing; the one that is left is called as it was, unless only an address was known of it.
fn take_face(tx: &mut Transaction<'_>, from: AssetId, into: AssetId) -> Result<()> {
    tx.execute(
        "UPDATE asset SET
             name = CASE WHEN asset.placeholder AND NOT f.placeholder THEN f.name ELSE asset.name END,
             platform = CASE WHEN asset.placeholder AND NOT f.placeholder THEN f.platform ELSE asset.platform END,
             os = CASE WHEN asset.os = '' THEN f.os ELSE asset.os END,
             fqdn = CASE WHEN asset.fqdn = '' THEN f.fqdn ELSE asset.fqdn END,
             netbios = CASE WHEN asset.netbios = '' THEN f.netbios ELSE asset.netbios END,
             placeholder = (asset.placeholder AND f.placeholder),
             scanner_uuid = coalesce(asset.scanner_uuid, f.scanner_uuid)
         FROM asset f WHERE asset.id = $1 AND f.id = $2",
        &[&into, &from],
    )?;
    tx.execute("UPDATE asset SET merged_into = $2, scanner_uuid = NULL WHERE id = $1", &[&from, &into])?;
    Ok(())
}

/// Tags of scanners follow their hosts, those of people the whole asset.
fn retag(tx: &mut Transaction<'_>, from: AssetId, into: AssetId, moved: &Moved) -> Result<()> {
    let both = vec![from.0, into.0];
    tx.execute("DELETE FROM asset_tag WHERE origin <> 0 AND asset_id {in $1}", &[&both])?;
    tx.execute(
        "INSERT INTO asset_tag (asset_id, tag, origin)
         SELECT DISTINCT h.asset_id, t.tag, h.instance_id
         FROM source_host h JOIN source_host_tag t ON t.source_host_id = h.id WHERE h.asset_id {in $1}",
        &[&both],
    )?;
    if moved.whole {
        tx.execute("DELETE FROM asset_tag WHERE origin = 0 AND asset_id = $1", &[&from])?;
        for tag in &moved.tags {
            tx.execute("INSERT INTO asset_tag (asset_id, tag, origin) VALUES ($1, $2, 0)", &[&into, tag])?;
        }
    }
    crate::tags::weigh(tx, &both)
}

/// Days within which a movement can be taken back.
pub const UNDO_DAYS: i64 = 30;

/// Take a movement back: hosts, items, tags and names are as they were, and then as their detections say.
///
/// # Errors
/// [`Undo::Refused`] where it cannot be taken back any more.
pub fn undo(tx: &mut Transaction<'_>, actor: &str, row: &MergeRow, now: Timestamp) -> Result<(), Undo> {
    let refuse = |code, why: &str| Err(Undo::Refused(Refusal::new(code, why)));
    if row.undone_at.is_some() {
        return refuse("undone", "this was taken back already");
    }
    if now >= row.at.plus_seconds(UNDO_DAYS * 86_400) {
        return refuse("too_late", "this was done more than 30 days ago; move single hosts instead");
    }
    let text: String = tx.scalar("SELECT moved FROM asset_merge WHERE id = $1", &[&row.id])?;
    let moved: Moved =
        serde_json::from_str(&text).map_err(|error| Error::failed("could not understand what was moved", error))?;
    let hosts: Vec<SourceHostId> = moved.hosts.iter().map(|(host, _)| *host).collect();
    let there: i64 = tx.scalar(
        "SELECT count(*) FROM source_host WHERE id {in $1} AND asset_id = $2",
        &[&keys(&hosts), &row.into_id],
    )?;
    let gone: Option<AssetId> = tx.scalar("SELECT merged_into FROM asset WHERE id = $1", &[&row.into_id])?;
    let back: Option<AssetId> = tx.scalar("SELECT merged_into FROM asset WHERE id = $1", &[&row.from_id])?;
    let as_left = if moved.whole { back == Some(row.into_id) } else { back.is_none() };
    if there != i64::try_from(hosts.len()).unwrap_or(-1) || gone.is_some() || !as_left {
        return refuse("moved_since", "the hosts have been moved again since; take that back first");
    }
    let items: Vec<i64> = moved.items.iter().map(|was| was.id.0).collect();
    let decided: bool = tx.scalar(
        "SELECT EXISTS (SELECT 1 FROM item_history WHERE item_id {in $1} AND at > $2
             AND what IN ('state', 'deferral', 'assignment') AND NOT cause LIKE 'VINTRUN%')",
        &[&items, &row.at],
    )?;
    if decided {
        return refuse("decided_since", "somebody has decided about items of it since; move single hosts instead");
    }
    tx.execute("UPDATE asset SET merged_into = NULL WHERE id = $1", &[&row.from_id])?;
    before::put_back(tx, &moved.faces)?;
    let pairs = pairs(tx, &hosts, row.from_id)?;
    for (host, rule) in &moved.hosts {
        tx.execute("UPDATE source_host SET asset_id = $2, matched_by = $3 WHERE id = $1", &[host, &row.from_id, rule])?;
    }
    before::restore(tx, &moved.items)?;
    items::hand_back(tx, &moved.requests)?;
    regroup(tx, actor, &pairs, &hosts, row.from_id, now)?;
    if moved.whole {
        tx.execute(
            "DELETE FROM asset_tag WHERE origin = 0 AND asset_id = $1 AND tag {in $2}",
            &[&row.into_id, &moved.tags],
        )?;
        for tag in &moved.own_tags {
            tx.execute(
                "INSERT INTO asset_tag (asset_id, tag, origin) VALUES ($1, $2, 0) ON CONFLICT (asset_id, tag, origin) DO NOTHING",
                &[&row.from_id, tag],
            )?;
        }
    }
    retag(tx, row.from_id, row.into_id, &Moved { whole: false, ..Moved::default() })?;
    tx.execute("UPDATE asset_merge SET undone_at = $2 WHERE id = $1", &[&row.id, &now])?;
    entry(tx, actor, "asset.undo", &moved, (row.from_id, row.into_id), now)?;
    Ok(())
}

/// Why a movement was not taken back.
#[derive(Debug, thiserror::Error)]
pub enum Undo {
    /// It cannot be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database.
    #[error(transparent)]
    Store(#[from] Error),
}
