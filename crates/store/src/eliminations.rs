//! What joins vulnerabilities, assets and agents when a job is made or a fix was verified.

use crate::items::{self, LifeOf};
use crate::{Result, Scalar, Transaction, record};
use domain::asset::Platform;
use domain::id::{AssetId, ItemId, VulnerabilityId};
use domain::item::Workflow;
use domain::item::why::Cause;
use domain::time::Timestamp;

record! {
    /// An asset that a job could take for a vulnerability.
    #[derive(Debug, Clone)]
    pub struct Mitigable {
        /// The asset.
        pub asset_id: AssetId,
        /// The vulnerability it has.
        pub vulnerability_id: VulnerabilityId,
        /// Its name.
        pub name: String,
        /// Its address.
        pub ip: String,
        /// Its platform.
        pub platform: Platform,
        /// Residual score of its item.
        pub residual: i64,
        /// Its mitigation word.
        pub mitigation: String,
        /// An agent is in force on it.
        pub agent: bool,
        /// Its tags, each with a line feed after it.
        pub tags: String,
    }
}

impl Mitigable {
    /// Its tags one by one.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags.split('\n').filter(|tag| !tag.is_empty())
    }
}

/// The vulnerability of a QID.
///
/// # Errors
/// See [`crate::Error`].
pub fn by_qid(tx: &mut Transaction<'_>, qid: i64) -> Result<Option<VulnerabilityId>> {
    Ok(tx
        .optional::<Scalar<VulnerabilityId>>(
            "SELECT id FROM vulnerability WHERE product = 'qualys' AND key = $1",
            &[&qid.to_string()],
        )?
        .map(|Scalar(id)| id))
}

/// Assets with an open item of one of these vulnerabilities, with and without an agent, by name.
///
/// # Errors
/// See [`crate::Error`].
pub fn assets(tx: &mut Transaction<'_>, vulnerabilities: &[i64]) -> Result<Vec<Mitigable>> {
    let mut rows: Vec<Mitigable> = tx.all(
        "SELECT a.id AS asset_id, i.vulnerability_id, a.name, a.ip, a.platform, max(i.residual) AS residual,
                min(i.mitigation) AS mitigation,
                EXISTS (SELECT 1 FROM agent g WHERE g.asset_id = a.id AND g.revoked_at IS NULL
                          AND g.link <> 'ambiguous') AS agent,
                '' AS tags
         FROM vulnerable_item i JOIN asset a ON a.id = i.asset_id
         WHERE i.vulnerability_id {in $1} AND i.state <> 'closed'
         GROUP BY a.id, i.vulnerability_id, a.name, a.ip, a.platform
         ORDER BY a.name, a.id, i.vulnerability_id",
        &[&vulnerabilities],
    )?;
    let keys: Vec<i64> = rows.iter().map(|row| row.asset_id.0).collect();
    let tags: Vec<(AssetId, String)> =
        tx.all("SELECT DISTINCT asset_id, tag FROM asset_tag WHERE asset_id {in $1} ORDER BY 1, 2", &[&keys])?;
    let mut by_asset: std::collections::HashMap<AssetId, String> = std::collections::HashMap::new();
    for (asset, tag) in tags {
        let all = by_asset.entry(asset).or_default();
        all.push_str(&tag);
        all.push('\n');
    }
    for row in &mut rows {
        row.tags = by_asset.get(&row.asset_id).cloned().unwrap_or_default();
    }
    Ok(rows)
}

/// The items of an asset all of whose vulnerability's units an entry covers.
///
/// # Errors
/// See [`crate::Error`].
pub fn items_fixed_by(tx: &mut Transaction<'_>, asset: AssetId, entry_key: i64) -> Result<Vec<(ItemId, Workflow)>> {
    let rows: Vec<LifeOf> = tx.all(
        "SELECT i.id, i.state, i.substate, i.resolved_at, i.reopened, i.granted_what, i.granted_until_at
         FROM vulnerable_item i JOIN vulnerability v ON v.id = i.vulnerability_id
         WHERE i.asset_id = $1
           AND (EXISTS (SELECT 1 FROM catalogue_cve k WHERE k.entry_key = $2 AND k.qid <> 0 AND k.qid = v.qid)
                OR (EXISTS (SELECT 1 FROM vulnerability_cve w WHERE w.vulnerability_id = v.id)
                    AND NOT EXISTS (SELECT 1 FROM vulnerability_cve w WHERE w.vulnerability_id = v.id
                                    AND w.cve NOT IN (SELECT k.cve FROM catalogue_cve k WHERE k.entry_key = $2))))
         ORDER BY i.id",
        &[&asset, &entry_key],
    )?;
    Ok(rows.into_iter().map(|row| (row.id, row.workflow())).collect())
}

/// Store a workflow that a decision changed, with its line in the item's history.
///
/// # Errors
/// See [`crate::Error`].
pub fn save_workflow(
    tx: &mut Transaction<'_>,
    item: ItemId,
    before: Workflow,
    after: Workflow,
    cause: &str,
    now: Timestamp,
) -> Result<()> {
    let change = items::Change { item, before, after };
    items::apply(tx, &[change], &Cause::Agent(cause.to_owned()), cause, now)
}

/// QID and title of vulnerabilities.
///
/// # Errors
/// See [`crate::Error`].
pub fn titles(tx: &mut Transaction<'_>, vulnerabilities: &[i64]) -> Result<Vec<(VulnerabilityId, i64, String)>> {
    tx.all("SELECT id, qid, title FROM vulnerability WHERE id {in $1} ORDER BY qid", &[&vulnerabilities])
}

/// The tags of an asset; `None` for an unknown asset.
///
/// # Errors
/// See [`crate::Error`].
pub fn tags_of(tx: &mut Transaction<'_>, asset: AssetId) -> Result<Option<Vec<String>>> {
    let rows: Vec<(AssetId, Option<String>)> = tx.all(
        "SELECT DISTINCT a.id, g.tag FROM asset a LEFT JOIN asset_tag g ON g.asset_id = a.id WHERE a.id = $1",
        &[&asset],
    )?;
    Ok((!rows.is_empty()).then(|| rows.into_iter().filter_map(|(_, tag)| tag).collect()))
}
