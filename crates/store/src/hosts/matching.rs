//! Which asset a host is that was not known before. The first rule that holds counts (design, section 2): another source
//! host or an asset has the same agent UUID; then name and address in the same network, where exactly one asset fits: FQDN,
//! NetBIOS name, IP. Two hosts of one instance are one machine by name only where the scanner gave one of them no id of its
//! own, as in report files. Two different agent UUIDs are never one machine. Otherwise a new asset is made. The rule that
//! held is kept with the host, so that people can see why.

use super::{AssetRow, HostSeen, RowDigest, asset_row};
use crate::imports::{Counters, Run};
use crate::{Result, Transaction};
use domain::id::{AssetId, InstanceId};
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A host that another source told us of, as far as matching needs it.
struct Candidate {
    asset: AssetId,
    instance: InstanceId,
    keyed: bool,
    agent_uuid: Option<String>,
    network_id: String,
}

/// Where the candidates of one rule are found: by the value they share.
type Candidates = HashMap<String, Vec<Candidate>>;

/// The asset of each unknown host, and the rule that found it.
pub(super) fn place(
    tx: &mut Transaction<'_>,
    run: &Run,
    unknown: &[(&HostSeen, RowDigest)],
    now: Timestamp,
    counters: &mut Counters,
) -> Result<Vec<(AssetId, &'static str)>> {
    if unknown.is_empty() {
        return Ok(Vec::new());
    }
    let hosts: Vec<&HostSeen> = unknown.iter().map(|(host, _)| *host).collect();
    let by_uuid = by_uuid(tx, &hosts)?;
    let rules: Rules = [
        ("fqdn", |host| &host.fqdn, by_name(tx, "fqdn", &hosts, |host| &host.fqdn)?),
        ("netbios", |host| &host.netbios, by_name(tx, "netbios", &hosts, |host| &host.netbios)?),
        ("ip", |host| &host.ip, by_name(tx, "ip", &hosts, |host| &host.ip)?),
    ];
    let taken = taken(tx, run, &rules)?;
    let mut found: Vec<Option<(AssetId, &'static str)>> = Vec::with_capacity(hosts.len());
    for host in &hosts {
        let uuid = host.agent_uuid.as_deref().and_then(|uuid| by_uuid.get(uuid));
        found.push(match uuid.map(Vec::as_slice) {
            Some([asset]) => Some((*asset, "agent_uuid")),
            // Several assets claim this agent: a wrong link would mitigate the wrong machine.
            Some(_) => None,
            None => rules.iter().find_map(|(rule, value, candidates)| {
                one_by_name(host, run.instance, candidates.get(value(host))?, &taken).map(|asset| (asset, *rule))
            }),
        });
    }
    // Two hosts of one batch cannot both be an asset by name; neither is then.
    let mut claims: HashMap<AssetId, usize> = HashMap::new();
    for (asset, rule) in found.iter().flatten() {
        if *rule != "agent_uuid" {
            *claims.entry(*asset).or_default() += 1;
        }
    }
    for place in &mut found {
        if let Some((asset, rule)) = place
            && *rule != "agent_uuid"
            && claims.get(asset).is_some_and(|claims| *claims > 1)
        {
            *place = None;
        }
    }
    create_missing(tx, &hosts, found, now, counters)
}

/// Assets by agent UUID: those of source hosts, and those an agent of ours reported the UUID for.
fn by_uuid(tx: &mut Transaction<'_>, hosts: &[&HostSeen]) -> Result<HashMap<String, Vec<AssetId>>> {
    let uuids: Vec<String> = hosts.iter().filter_map(|host| host.agent_uuid.clone()).collect();
    let mut found: HashMap<String, Vec<AssetId>> = HashMap::new();
    if uuids.is_empty() {
        return Ok(found);
    }
    let rows: Vec<(String, AssetId)> = tx.all(
        "SELECT agent_uuid, asset_id FROM source_host WHERE agent_uuid {in $1}
         UNION
         SELECT scanner_uuid, id FROM asset WHERE scanner_uuid {in $1}
         ORDER BY 1, 2",
        &[&uuids],
    )?;
    for (uuid, asset) in rows {
        found.entry(uuid).or_default().push(asset);
    }
    Ok(found)
}

fn by_name(
    tx: &mut Transaction<'_>,
    rule: &str,
    hosts: &[&HostSeen],
    value: impl Fn(&HostSeen) -> &str,
) -> Result<Candidates> {
    let wanted: BTreeSet<&str> = hosts.iter().map(|host| value(host)).filter(|value| !value.is_empty()).collect();
    let mut found = Candidates::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
    let sql = match rule {
        "fqdn" => {
            "SELECT fqdn, asset_id, instance_id, keyed, agent_uuid, network_id FROM source_host WHERE fqdn {in $1}"
        }
        "netbios" => {
            "SELECT netbios, asset_id, instance_id, keyed, agent_uuid, network_id FROM source_host
             WHERE netbios {in $1}"
        }
        _ => "SELECT ip, asset_id, instance_id, keyed, agent_uuid, network_id FROM source_host WHERE ip {in $1}",
    };
    let rows: Vec<(String, AssetId, InstanceId, bool, Option<String>, String)> = tx.all(sql, &[&wanted])?;
    for (value, asset, instance, keyed, agent_uuid, network_id) in rows {
        found.entry(value).or_default().push(Candidate { asset, instance, keyed, agent_uuid, network_id });
    }
    Ok(found)
}

/// The matching rules by name, in order: what they are called, what they look at, what they found.
type Rules = [(&'static str, fn(&HostSeen) -> &str, Candidates); 3];

/// Which of the candidates' assets this instance has a host for already, and whether the scanner gave its key.
fn taken(tx: &mut Transaction<'_>, run: &Run, rules: &Rules) -> Result<HashSet<(AssetId, bool)>> {
    let assets: BTreeSet<i64> =
        rules.iter().flat_map(|(_, _, found)| found.values().flatten()).map(|candidate| candidate.asset.0).collect();
    let assets: Vec<i64> = assets.into_iter().collect();
    let rows: Vec<(AssetId, bool)> = tx.all(
        "SELECT DISTINCT asset_id, keyed FROM source_host WHERE instance_id = $1 AND asset_id {in $2}",
        &[&run.instance, &assets],
    )?;
    Ok(rows.into_iter().collect())
}

fn one_by_name(
    host: &HostSeen,
    instance: InstanceId,
    candidates: &[Candidate],
    taken: &HashSet<(AssetId, bool)>,
) -> Option<AssetId> {
    let fits = |candidate: &&Candidate| {
        candidate.network_id == host.network_id
            && (candidate.instance != instance || candidate.keyed != host.keyed)
            && !taken.contains(&(candidate.asset, host.keyed))
            && !matches!((&candidate.agent_uuid, &host.agent_uuid), (Some(theirs), Some(ours)) if theirs != ours)
    };
    let assets: BTreeSet<AssetId> = candidates.iter().filter(fits).map(|candidate| candidate.asset).collect();
    match assets.len() {
        1 => assets.first().copied(),
        _ => None,
    }
}

/// Make an asset for every host that matched none; hosts of one agent UUID share theirs.
fn create_missing(
    tx: &mut Transaction<'_>,
    hosts: &[&HostSeen],
    found: Vec<Option<(AssetId, &'static str)>>,
    now: Timestamp,
    counters: &mut Counters,
) -> Result<Vec<(AssetId, &'static str)>> {
    let mut rows: Vec<AssetRow> = Vec::new();
    let mut of_uuid: BTreeMap<&str, usize> = BTreeMap::new();
    let mut new_asset: Vec<Option<usize>> = Vec::with_capacity(hosts.len());
    for (host, found) in hosts.iter().zip(&found) {
        if found.is_some() {
            new_asset.push(None);
            continue;
        }
        let shared = host.agent_uuid.as_deref().and_then(|uuid| of_uuid.get(uuid).copied());
        let position = shared.unwrap_or(rows.len());
        if shared.is_none() {
            if let Some(uuid) = host.agent_uuid.as_deref() {
                of_uuid.insert(uuid, position);
            }
            rows.push(asset_row(host, i64::try_from(position).unwrap_or(i64::MAX), now));
        }
        new_asset.push(Some(position));
    }
    counters.assets_new += rows.len() as u64;
    let mut ids: Vec<AssetId> = Vec::new();
    if !rows.is_empty() {
        tx.stage(&rows)?;
        // Keys are given in the order of the rows, so that sorted keys meet sorted rows.
        let given: Vec<(AssetId,)> = tx.all(
            "INSERT INTO asset (name, platform, os, ip, fqdn, netbios, network_id, criticality, zone, scanner_uuid,
                 machine_id, macs, created_at, last_seen_at)
             SELECT name, platform, os, ip, fqdn, netbios, network_id, criticality, '', scanner_uuid, NULL, '', $1,
                 seen_at
             FROM asset_batch ORDER BY n RETURNING id",
            &[&now],
        )?;
        ids = given.into_iter().map(|(id,)| id).collect();
        ids.sort_unstable();
    }
    let placed = found.into_iter().zip(new_asset).map(|(found, new)| {
        found.or_else(|| ids.get(new?).map(|id| (*id, "new"))).expect("every host was found or has a new asset")
    });
    Ok(placed.collect())
}
