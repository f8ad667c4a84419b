//! Which machine is which: the matching rules in force, and what people decided about it themselves.

pub mod merge;

use crate::settings::{self as kept, Setting};
use crate::{Result, Transaction, record};
use domain::id::{AssetId, InstanceId};
use domain::identity::{Host, Rule};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The name of the setting with the matching rules.
pub const KEY: &str = "identity";

#[derive(Serialize, Deserialize)]
struct Stored {
    rules: Vec<String>,
}

/// The matching rules in force, in order; version 0 where nobody set them.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn rules(tx: &mut Transaction<'_>) -> Result<Setting<Vec<Rule>>> {
    let stored = kept::get::<Stored>(tx, KEY)?;
    Ok(match stored.and_then(|set| Some((domain::identity::rules(&set.value.rules).ok()?, set.version))) {
        Some((value, version)) => Setting { value, version },
        None => Setting { value: Rule::ALL.to_vec(), version: 0 },
    })
}

/// Set the matching rules. They count for hosts that are reported for the first time from now on.
///
/// # Errors
/// [`Error::Conflict`](crate::Error::Conflict) with [`kept::CHANGED`] where somebody else was faster.
pub fn set_rules(
    tx: &mut Transaction<'_>,
    actor: &str,
    rules: &[Rule],
    seen: Option<i64>,
    now: Timestamp,
) -> Result<i64> {
    let rules = rules.iter().map(|rule| rule.as_str().to_owned()).collect();
    kept::put(tx, actor, KEY, &Stored { rules }, seen, now)
}

record! {
    struct HostRow {
        asset_id: AssetId,
        instance_id: InstanceId,
        keyed: bool,
        agent_uuid: Option<String>,
        asset_key: Option<String>,
        fqdn: String,
        netbios: String,
        dns: String,
        ip: String,
        network_id: String,
    }
}

/// All hosts of these assets, as matching sees them.
pub(crate) fn hosts_of(tx: &mut Transaction<'_>, assets: &[i64]) -> Result<Vec<(AssetId, Host)>> {
    if assets.is_empty() {
        return Ok(Vec::new());
    }
    let assets = assets.to_vec();
    let rows: Vec<HostRow> = tx.all(
        "SELECT asset_id, instance_id, keyed, agent_uuid, asset_key, fqdn, netbios, dns, ip, network_id FROM source_host
         WHERE asset_id {in $1}",
        &[&assets],
    )?;
    let host = |row: HostRow| {
        let host = Host {
            instance: row.instance_id,
            keyed: row.keyed,
            agent_uuid: row.agent_uuid,
            asset_key: row.asset_key,
            fqdn: row.fqdn,
            netbios: row.netbios,
            dns: row.dns,
            ip: row.ip,
            network: row.network_id,
        };
        (row.asset_id, host)
    };
    Ok(rows.into_iter().map(host).collect())
}
