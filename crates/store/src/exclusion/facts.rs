//! What rules ask of a detection that stands elsewhere: its vulnerability, its host, its asset. Read once for many rows.

use crate::{Result, Transaction, assets};
use domain::exclusion::{By, Policy, Seen, certainty};
use domain::id::{AssetId, InstanceId, SourceHostId, VulnerabilityId};
use std::collections::{BTreeSet, HashMap};

struct Host {
    os: String,
    ip: String,
    network: String,
    asset: String,
    tags: Vec<String>,
    instance: String,
}

struct Vulnerability {
    qid: i64,
    title: String,
    category: String,
    kind: String,
}

/// What is known of the vulnerabilities and hosts of some rows.
pub(crate) struct Facts {
    vulnerabilities: HashMap<VulnerabilityId, Vulnerability>,
    hosts: HashMap<SourceHostId, Host>,
}

/// A row with what it says itself.
pub(crate) struct Place<'p> {
    pub(crate) instance: InstanceId,
    pub(crate) vulnerability: VulnerabilityId,
    pub(crate) host: SourceHostId,
    pub(crate) kind: &'p str,
    pub(crate) severity: i64,
    pub(crate) port: i64,
    pub(crate) protocol: &'p str,
}

/// Read what rules may ask about these rows.
pub(crate) fn facts(tx: &mut Transaction<'_>, rows: &[(VulnerabilityId, SourceHostId)]) -> Result<Facts> {
    let vulnerabilities: BTreeSet<i64> = rows.iter().map(|(vulnerability, _)| vulnerability.0).collect();
    let hosts: BTreeSet<i64> = rows.iter().map(|(_, host)| host.0).collect();
    let (vulnerabilities, hosts): (Vec<i64>, Vec<i64>) =
        (vulnerabilities.into_iter().collect(), hosts.into_iter().collect());
    type VulnerabilityRow = (VulnerabilityId, i64, String, String, String);
    let known: Vec<VulnerabilityRow> =
        tx.all("SELECT id, qid, title, category, kind FROM vulnerability WHERE id {in $1}", &[&vulnerabilities])?;
    let vulnerabilities = known
        .into_iter()
        .map(|(id, qid, title, category, kind)| (id, Vulnerability { qid, title, category, kind }))
        .collect();
    type HostRow = (SourceHostId, String, String, String, AssetId, String, String);
    let known: Vec<HostRow> = tx.all(
        "SELECT h.id, h.os, h.ip, h.network_id, a.id, a.name, n.name
         FROM source_host h JOIN asset a ON a.id = h.asset_id JOIN integration_instance n ON n.id = h.instance_id
         WHERE h.id {in $1}",
        &[&hosts],
    )?;
    let on: BTreeSet<AssetId> = known.iter().map(|row| row.4).collect();
    let tags = assets::tags(tx, &on.into_iter().collect::<Vec<_>>())?;
    let hosts = known
        .into_iter()
        .map(|(id, os, ip, network, on, asset, instance)| {
            let tags = tags.get(&on).cloned().unwrap_or_default();
            (id, Host { os, ip, network, asset, tags, instance })
        })
        .collect();
    Ok(Facts { vulnerabilities, hosts })
}

impl Facts {
    /// Why this row is excluded.
    pub(crate) fn judge(&self, policy: &Policy, row: &Place<'_>) -> Option<By> {
        let (of, host) = (self.vulnerabilities.get(&row.vulnerability)?, self.hosts.get(&row.host)?);
        let seen = Seen {
            qid: of.qid,
            title: &of.title,
            category: &of.category,
            kind: certainty(row.kind, &of.kind),
            severity: row.severity,
            port: row.port,
            protocol: row.protocol,
            os: &host.os,
            ip: &host.ip,
            network: &host.network,
            asset: &host.asset,
            tags: &host.tags,
            instance: &host.instance,
        };
        policy.judge(row.instance, &seen)
    }
}
