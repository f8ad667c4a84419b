//! Which asset a host is that was not known before: [`domain::identity::place`] decides, here it is given every host that could
//! count. The rule that held is kept with the host, so that people can see why.

use super::{AssetRow, HostSeen, RowDigest, asset_row};
use crate::imports::{Counters, Run};
use crate::{Result, Transaction, identity};
use domain::id::{AssetId, InstanceId};
use domain::identity::{Host, Known, Place, Rule, place as decide};
use domain::time::Timestamp;
use std::collections::BTreeSet;

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
    let rules = identity::rules(tx)?.value;
    let portion: Vec<Host> = unknown.iter().map(|(host, _)| host.identity(run.instance)).collect();
    let known = known(tx, run.instance, &rules, &portion)?;
    let places = decide(&rules, &known, &portion);
    let made = make(tx, run, unknown, &places, now)?;
    counters.assets_new += made.len() as u64;
    let of = |place: Place| match place {
        Place::Found(asset, rule) => (asset, rule.as_str()),
        Place::New(n) => (made.get(n).copied().expect("every new place has its asset"), "new"),
    };
    Ok(places.into_iter().map(of).collect())
}

/// Every host that shares what a rule looks at, with all hosts of their assets, and what agents of ours reported of these.
fn known(tx: &mut Transaction<'_>, instance: InstanceId, rules: &[Rule], portion: &[Host]) -> Result<Known> {
    let mut assets: BTreeSet<i64> = BTreeSet::new();
    let mut uuids = Vec::new();
    for rule in rules {
        let values: BTreeSet<&str> = portion.iter().filter_map(|host| host.value(*rule)).collect();
        let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
        if values.is_empty() {
            continue;
        }
        let found: Vec<(i64,)> = match rule {
            Rule::AgentUuid => tx.all("SELECT asset_id FROM source_host WHERE agent_uuid {in $1}", &[&values])?,
            Rule::AssetId => tx.all(
                "SELECT asset_id FROM source_host WHERE instance_id = $2 AND asset_key {in $1}",
                &[&values, &instance],
            )?,
            Rule::Fqdn => tx.all("SELECT asset_id FROM source_host WHERE fqdn {in $1}", &[&values])?,
            Rule::Netbios => tx.all("SELECT asset_id FROM source_host WHERE netbios {in $1}", &[&values])?,
            Rule::Dns => tx.all("SELECT asset_id FROM source_host WHERE dns {in $1}", &[&values])?,
            Rule::Ip => tx.all("SELECT asset_id FROM source_host WHERE ip {in $1}", &[&values])?,
        };
        assets.extend(found.into_iter().map(|(asset,)| asset));
        if *rule == Rule::AgentUuid {
            uuids = values;
        }
    }
    let assets: Vec<i64> = assets.into_iter().collect();
    let agents: Vec<(AssetId, String)> = tx.all(
        "SELECT id, scanner_uuid FROM asset
         WHERE (scanner_uuid {in $1} OR id {in $2}) AND scanner_uuid IS NOT NULL AND merged_into IS NULL",
        &[&uuids, &assets],
    )?;
    Ok(Known { hosts: identity::hosts_of(tx, &assets)?, agents })
}

/// Make the new assets; gives their keys in order.
fn make(
    tx: &mut Transaction<'_>,
    run: &Run,
    unknown: &[(&HostSeen, RowDigest)],
    places: &[Place],
    now: Timestamp,
) -> Result<Vec<AssetId>> {
    let mut rows: Vec<AssetRow> = Vec::new();
    for ((host, _), place) in unknown.iter().zip(places) {
        // The first host of each is what it is made of.
        if *place == Place::New(rows.len()) {
            rows.push(asset_row(host, run.instance, i64::try_from(rows.len()).unwrap_or(i64::MAX), now));
        }
    }
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    tx.stage(&rows)?;
    // Keys are given in the order of the rows, so that sorted keys meet sorted rows.
    let given: Vec<(AssetId,)> = tx.all(
        "INSERT INTO asset (name, platform, os, ip, fqdn, netbios, network_id, criticality, zone, scanner_uuid,
             machine_id, macs, placeholder, created_at, last_seen_at)
         SELECT name, platform, os, ip, fqdn, netbios, network_id, criticality, '', scanner_uuid, NULL, '', placeholder, $1,
             seen_at
         FROM asset_batch ORDER BY n RETURNING id",
        &[&now],
    )?;
    let mut made: Vec<AssetId> = given.into_iter().map(|(id,)| id).collect();
    made.sort_unstable();
    Ok(made)
}
