//! Tags of hosts as one instance tells them, and those that assets have by them.
//!
//! They are kept per host: several hosts of one instance can be one asset (they share a scanner's agent), and what is told
//! of one takes nothing from another. An asset has what any of its hosts has. Scopes and the exclusions of jobs hang on
//! tags, so a host that says nothing of tags keeps those it has.

use super::Placed;
use crate::{Result, Transaction, last_per_key, stage};
use domain::id::{InstanceId, SourceHostId};
use std::collections::BTreeSet;

struct TagRow<'t> {
    source_host_id: SourceHostId,
    tag: &'t str,
}
stage!(TagRow<'_> as "source_host_tag_batch" { source_host_id: SourceHostId, tag: &'static str });

/// These hosts of an instance have these tags now, and no others.
///
/// # Errors
/// See [`Error`](crate::Error).
pub(super) fn replace(tx: &mut Transaction<'_>, instance: InstanceId, told: &[(Placed, &[String])]) -> Result<()> {
    if told.is_empty() {
        return Ok(());
    }
    let hosts: Vec<i64> = told.iter().map(|(placed, _)| placed.source_host.0).collect();
    let assets: BTreeSet<i64> = told.iter().map(|(placed, _)| placed.asset.0).collect();
    let assets: Vec<i64> = assets.into_iter().collect();
    let rows: Vec<TagRow<'_>> = told
        .iter()
        .flat_map(|(placed, tags)| tags.iter().map(|tag| TagRow { source_host_id: placed.source_host, tag }))
        .collect();
    tx.stage(&last_per_key(rows, |row| (row.source_host_id, row.tag.to_owned())))?;
    tx.execute("DELETE FROM source_host_tag WHERE source_host_id {in $1}", &[&hosts])?;
    tx.execute(
        "INSERT INTO source_host_tag (source_host_id, tag) SELECT source_host_id, tag FROM source_host_tag_batch",
        &[],
    )?;
    tx.execute("DELETE FROM asset_tag WHERE origin = $1 AND asset_id {in $2}", &[&instance, &assets])?;
    tx.execute(
        "INSERT INTO asset_tag (asset_id, tag, origin)
         SELECT DISTINCT h.asset_id, t.tag, h.instance_id
         FROM source_host h JOIN source_host_tag t ON t.source_host_id = h.id
         WHERE h.instance_id = $1 AND h.asset_id {in $2}",
        &[&instance, &assets],
    )?;
    crate::tags::weigh_imported(tx, &assets)
}
