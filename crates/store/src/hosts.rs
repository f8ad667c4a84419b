//! Source hosts: what one integration instance calls a machine, and which asset each one is (see `matching`).
//!
//! Agents are linked to assets elsewhere, by stricter rules ([`domain::asset::link`]).

mod matching;
mod tags;

use crate::imports::{Counters, Run};
use crate::{Result, Transaction, last_per_key, stage};
use domain::asset::Platform;
use domain::detection::Dated;
use domain::id::{AssetId, InstanceId, SourceHostId};
use domain::identity::{Host, only_an_address};
use domain::time::Timestamp;
use matching::place;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, HashMap};

/// Digest by which an unchanged row is recognised: the first half of a SHA-256.
pub(crate) type RowDigest = [u8; 16];

/// A machine as a scanner reports it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostSeen {
    /// The scanner's own id of the host; for files without one a text made of its address and network.
    pub host_key: String,
    /// Whether the scanner gave the key.
    pub keyed: bool,
    /// Id in the scanner's asset inventory.
    pub asset_key: Option<String>,
    /// UUID of the scanner's agent, lower case.
    pub agent_uuid: Option<String>,
    /// IPv4 address, else IPv6.
    pub ip: String,
    /// Fully qualified name, lower case.
    pub fqdn: String,
    /// DNS name, lower case; the fully qualified one where the scanner gives no other.
    pub dns: String,
    /// NetBIOS name, upper case.
    pub netbios: String,
    /// Operating system as reported.
    pub os: String,
    /// The scanner's network; empty without networks.
    pub network_id: String,
    /// How the scanner tells machines apart.
    pub tracking: String,
    /// Tags; `None` where the input says nothing of tags.
    pub tags: Option<Vec<String>>,
    /// The scanner's criticality, 1 to 5.
    pub criticality: Option<u8>,
    /// Last vulnerability scan.
    pub last_scan_at: Option<Timestamp>,
    /// The latest time the platform processed one of its rows.
    pub last_processed_at: Option<Timestamp>,
}

impl HostSeen {
    fn name(&self) -> &str {
        [&self.fqdn, &self.dns, &self.netbios, &self.ip]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or(&self.host_key)
    }

    fn seen_at(&self, now: Timestamp) -> Timestamp {
        self.last_scan_at.max(self.last_processed_at).unwrap_or(now)
    }

    /// As matching sees it.
    fn identity(&self, instance: InstanceId) -> Host {
        Host {
            instance,
            keyed: self.keyed,
            agent_uuid: self.agent_uuid.clone(),
            asset_key: self.asset_key.clone(),
            fqdn: self.fqdn.clone(),
            netbios: self.netbios.clone(),
            dns: self.dns.clone(),
            ip: self.ip.clone(),
            network: self.network_id.clone(),
        }
    }

    fn digest(&self) -> RowDigest {
        let mut digest = RowHash::new();
        digest.option(self.asset_key.as_deref()).option(self.agent_uuid.as_deref());
        for text in [&self.ip, &self.fqdn, &self.dns, &self.netbios, &self.os, &self.network_id, &self.tracking] {
            digest.text(text);
        }
        digest.whole(self.last_scan_at.map(Timestamp::micros)).whole(self.last_processed_at.map(Timestamp::micros));
        match &self.tags {
            Some(tags) => {
                tags.iter().collect::<BTreeSet<_>>().into_iter().fold(&mut digest, |digest, tag| digest.text(tag))
            }
            // Not the same as none: a host that loses its last tag has changed.
            None => digest.whole(None),
        };
        digest.done()
    }
}

/// Builds a row digest: every value with its length, so that no two rows run together.
pub(crate) struct RowHash(Sha256);

impl RowHash {
    pub(crate) fn new() -> Self {
        RowHash(Sha256::new())
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
        self
    }

    pub(crate) fn option(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(text),
            None => self.whole(None),
        }
    }

    pub(crate) fn whole(&mut self, number: Option<i64>) -> &mut Self {
        match number {
            Some(number) => {
                self.0.update([1]);
                self.0.update(number.to_le_bytes());
            }
            None => self.0.update([0]),
        }
        self
    }

    pub(crate) fn done(&mut self) -> RowDigest {
        let whole: [u8; 32] = self.0.clone().finalize().into();
        let mut half = RowDigest::default();
        for (to, from) in half.iter_mut().zip(whole) {
            *to = from;
        }
        half
    }
}

/// A host after the merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its key.
    pub source_host: SourceHostId,
    /// The asset it is.
    pub asset: AssetId,
}

struct HostRow {
    instance_id: InstanceId,
    host_key: String,
    keyed: bool,
    asset_id: AssetId,
    agent_uuid: Option<String>,
    asset_key: Option<String>,
    ip: String,
    fqdn: String,
    dns: String,
    netbios: String,
    os: String,
    network_id: String,
    tracking: String,
    matched_by: &'static str,
    last_scan_at: Option<Timestamp>,
    last_processed_at: Option<Timestamp>,
    digest: RowDigest,
    run_id: i64,
}
stage!(HostRow as "source_host_batch" {
    instance_id: InstanceId, host_key: String, keyed: bool, asset_id: AssetId, agent_uuid: Option<String>,
    asset_key: Option<String>, ip: String, fqdn: String, dns: String, netbios: String, os: String, network_id: String,
    tracking: String, matched_by: &'static str, last_scan_at: Option<Timestamp>, last_processed_at: Option<Timestamp>,
    digest: RowDigest, run_id: i64,
});

struct AssetRow {
    // position within the batch, or the key of a known asset
    n: i64,
    name: String,
    named: bool,
    placeholder: bool,
    platform: Platform,
    os: String,
    ip: String,
    fqdn: String,
    netbios: String,
    network_id: String,
    criticality: i64,
    scanner_uuid: Option<String>,
    seen_at: Timestamp,
}
stage!(AssetRow as "asset_batch" {
    n: i64, name: String, named: bool, placeholder: bool, platform: Platform, os: String, ip: String, fqdn: String, netbios: String,
    network_id: String, criticality: i64, scanner_uuid: Option<String>, seen_at: Timestamp,
});

/// What is known of a host before the merge.
struct Known {
    id: SourceHostId,
    asset: AssetId,
    digest: Vec<u8>,
    last_scan_at: Option<Timestamp>,
}

/// Merge the hosts of one batch; gives each one's keys by its `host_key`. Of several rows of one host the last counts; what
/// is older than the last scan that is known of a host changes nothing of it.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn merge(
    tx: &mut Transaction<'_>,
    run: &Run,
    hosts: &[HostSeen],
    now: Timestamp,
    counters: &mut Counters,
) -> Result<HashMap<String, Placed>> {
    let hosts = last_per_key(hosts.iter().collect(), |host: &&HostSeen| host.host_key.clone());
    let known = known(tx, run, &hosts)?;
    let mut placed = HashMap::with_capacity(hosts.len());
    let mut changed: Vec<(&HostSeen, AssetId, &'static str, RowDigest)> = Vec::new();
    let mut unknown: Vec<(&HostSeen, RowDigest)> = Vec::new();
    for host in hosts {
        let digest = host.digest();
        match known.get(&host.host_key) {
            Some(known) if known.digest == digest => {
                counters.hosts.unchanged += 1;
                placed.insert(host.host_key.clone(), Placed { source_host: known.id, asset: known.asset });
            }
            Some(known) if dated(host.last_scan_at).is_older_than(dated(known.last_scan_at), now) => {
                counters.hosts.ignored += 1;
                placed.insert(host.host_key.clone(), Placed { source_host: known.id, asset: known.asset });
            }
            Some(known) => {
                counters.hosts.updated += 1;
                changed.push((host, known.asset, "", digest));
            }
            None => unknown.push((host, digest)),
        }
    }
    counters.hosts.new += unknown.len() as u64;
    let assets = place(tx, run, &unknown, now, counters)?;
    changed.extend(unknown.into_iter().zip(assets).map(|((host, digest), (asset, by))| (host, asset, by, digest)));
    if changed.is_empty() {
        return Ok(placed);
    }
    refresh_assets(tx, run.instance, &changed, now)?;
    for (key, id, asset) in upsert(tx, run, &changed)? {
        placed.insert(key, Placed { source_host: id, asset });
    }
    let told = changed.iter().filter_map(|(host, ..)| Some((*placed.get(&host.host_key)?, host.tags.as_deref()?)));
    tags::replace(tx, run.instance, &told.collect::<Vec<_>>())?;
    Ok(placed)
}

/// When what is said of a host was true. Of its rows a report can hold a few only, so when those were processed says nothing of it.
fn dated(last_scan_at: Option<Timestamp>) -> Dated {
    Dated { processed_at: None, tested_at: last_scan_at }
}

fn known(tx: &mut Transaction<'_>, run: &Run, hosts: &[&HostSeen]) -> Result<HashMap<String, Known>> {
    let keys: Vec<String> = hosts.iter().map(|host| host.host_key.clone()).collect();
    let rows = tx.all(
        "SELECT host_key, id, asset_id, digest, last_scan_at FROM source_host
         WHERE instance_id = $1 AND host_key {in $2}",
        &[&run.instance, &keys],
    )?;
    let known = |(key, id, asset, digest, last_scan_at)| (key, Known { id, asset, digest, last_scan_at });
    Ok(rows.into_iter().map(known).collect())
}

fn upsert(
    tx: &mut Transaction<'_>,
    run: &Run,
    changed: &[(&HostSeen, AssetId, &'static str, RowDigest)],
) -> Result<Vec<(String, SourceHostId, AssetId)>> {
    let rows: Vec<HostRow> = changed
        .iter()
        .map(|(host, asset, matched_by, digest)| HostRow {
            instance_id: run.instance,
            host_key: host.host_key.clone(),
            keyed: host.keyed,
            asset_id: *asset,
            agent_uuid: host.agent_uuid.clone(),
            asset_key: host.asset_key.clone(),
            ip: host.ip.clone(),
            fqdn: host.fqdn.clone(),
            dns: host.dns.clone(),
            netbios: host.netbios.clone(),
            os: host.os.clone(),
            network_id: host.network_id.clone(),
            tracking: host.tracking.clone(),
            matched_by,
            last_scan_at: host.last_scan_at,
            last_processed_at: host.last_processed_at,
            digest: *digest,
            run_id: run.id,
        })
        .collect();
    tx.stage(&rows)?;
    // A file may be silent where the API speaks: what is known is not forgotten for that. Times never go back: what was
    // scanned earlier did not get here, and a few rows of a host may have been processed earlier than others.
    tx.all(
        "INSERT INTO source_host (instance_id, host_key, keyed, asset_id, agent_uuid, asset_key, ip, fqdn, dns, netbios,
             os, network_id, tracking, matched_by, last_scan_at, last_processed_at, digest, run_id)
         SELECT instance_id, host_key, keyed, asset_id, agent_uuid, asset_key, ip, fqdn, dns, netbios,
             os, network_id, tracking, matched_by, last_scan_at, last_processed_at, digest, run_id
         FROM source_host_batch WHERE true
         ON CONFLICT (instance_id, host_key) DO UPDATE SET
             agent_uuid = coalesce(excluded.agent_uuid, source_host.agent_uuid),
             asset_key = coalesce(excluded.asset_key, source_host.asset_key),
             ip = CASE WHEN excluded.ip = '' THEN source_host.ip ELSE excluded.ip END,
             fqdn = CASE WHEN excluded.fqdn = '' THEN source_host.fqdn ELSE excluded.fqdn END,
             dns = CASE WHEN excluded.dns = '' THEN source_host.dns ELSE excluded.dns END,
             netbios = CASE WHEN excluded.netbios = '' THEN source_host.netbios ELSE excluded.netbios END,
             os = CASE WHEN excluded.os = '' THEN source_host.os ELSE excluded.os END,
             network_id = excluded.network_id,
             tracking = CASE WHEN excluded.tracking = '' THEN source_host.tracking ELSE excluded.tracking END,
             last_scan_at = coalesce(excluded.last_scan_at, source_host.last_scan_at),
             last_processed_at = CASE WHEN source_host.last_processed_at > coalesce(excluded.last_processed_at, 0)
                                      THEN source_host.last_processed_at ELSE excluded.last_processed_at END,
             digest = excluded.digest,
             run_id = excluded.run_id
         RETURNING host_key, id, asset_id",
        &[],
    )
}

/// Bring what people see of an asset up to its newest report. Criticality and people's tags are people's.
fn refresh_assets(
    tx: &mut Transaction<'_>,
    instance: InstanceId,
    changed: &[(&HostSeen, AssetId, &'static str, RowDigest)],
    now: Timestamp,
) -> Result<()> {
    let rows = changed
        .iter()
        .filter(|(_, _, by, _)| *by != "new")
        .map(|(host, asset, _, _)| asset_row(host, instance, asset.0, now));
    let mut rows: Vec<AssetRow> = rows.collect();
    rows.sort_by_key(|row| row.seen_at);
    let rows = last_per_key(rows, |row| row.n);
    if !rows.is_empty() {
        tx.stage(&rows)?;
        tx.execute(
            "UPDATE asset SET
                 name = CASE WHEN b.named THEN b.name ELSE asset.name END,
                 placeholder = (asset.placeholder AND b.placeholder),
                 platform = CASE WHEN b.os = '' THEN asset.platform ELSE b.platform END,
                 os = CASE WHEN b.os = '' THEN asset.os ELSE b.os END,
                 ip = CASE WHEN b.ip = '' THEN asset.ip ELSE b.ip END,
                 fqdn = CASE WHEN b.fqdn = '' THEN asset.fqdn ELSE b.fqdn END,
                 netbios = CASE WHEN b.netbios = '' THEN asset.netbios ELSE b.netbios END,
                 network_id = b.network_id,
                 scanner_uuid = coalesce(b.scanner_uuid, asset.scanner_uuid),
                 last_seen_at = b.seen_at
             FROM asset_batch b WHERE asset.id = b.n AND asset.last_seen_at <= b.seen_at",
            &[],
        )?;
    }
    Ok(())
}

fn asset_row(host: &HostSeen, instance: InstanceId, n: i64, now: Timestamp) -> AssetRow {
    // People look for a machine by one name; which rule found it says the source host.
    let qualified = [&host.fqdn, &host.dns].into_iter().find(|name| name.contains('.')).unwrap_or(&host.fqdn);
    AssetRow {
        n,
        name: host.name().to_owned(),
        named: [&host.fqdn, &host.dns, &host.netbios].into_iter().any(|name| !name.is_empty()),
        placeholder: only_an_address(&host.identity(instance), &host.os),
        platform: Platform::from_os(&host.os),
        os: host.os.clone(),
        ip: host.ip.clone(),
        fqdn: qualified.clone(),
        netbios: host.netbios.clone(),
        network_id: host.network_id.clone(),
        criticality: i64::from(host.criticality.unwrap_or(3).clamp(1, 5)),
        scanner_uuid: host.agent_uuid.clone(),
        seen_at: host.seen_at(now),
    }
}
