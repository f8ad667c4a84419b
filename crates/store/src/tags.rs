//! Tags of assets: which stands below which, how much they matter, and the criticality that assets have by them (R22).
//!
//! A tag exists as soon as an asset carries it; a row of the table `tag` says more of it.

use crate::audit::{self, Entry};
use crate::detections::Machine;
use crate::imports::Run;
use crate::{Result, Sql, Transaction, last_per_key, record, scope, stage};
use domain::access::AssetScope;
use domain::tag::Tree;
use domain::time::Timestamp;

/// Tags in a list at most.
pub const LIST_MAX: i64 = 2_000;

record! {
    /// A tag.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct TagRow {
        /// Its name.
        pub name: String,
        /// The tag it stands below.
        pub parent: Option<String>,
        /// How much assets that carry it matter, 1 to 5.
        pub criticality: Option<i64>,
        /// Assets inside the scope that carry it themselves.
        pub assets: i64,
    }
}

/// Tags by name: for an account that sees every asset all there are, for others those its assets carry.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn list(tx: &mut Transaction<'_>, within: &AssetScope) -> Result<Vec<TagRow>> {
    let carried = |sql: Sql| match scope::assets(within, "g.asset_id") {
        Some(scope) => sql.text(" WHERE ").append(scope),
        None => sql,
    };
    let mut sql = Sql::new(
        "SELECT n.name, t.parent, t.criticality, count(DISTINCT n.asset_id) AS assets
         FROM (SELECT g.tag AS name, g.asset_id FROM asset_tag g",
    );
    sql = carried(sql);
    if *within == AssetScope::All {
        sql = sql.text(
            " UNION ALL SELECT name, NULL FROM tag UNION ALL SELECT parent, NULL FROM tag WHERE parent IS NOT NULL",
        );
    }
    tx.all_built(
        &sql.text(
            ") n LEFT JOIN tag t ON t.name = n.name GROUP BY n.name, t.parent, t.criticality ORDER BY n.name LIMIT ",
        )
        .bind(&LIST_MAX),
    )
}

/// Which tag stands below which.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn tree(tx: &mut Transaction<'_>) -> Result<Tree> {
    let rows: Vec<(String, String)> = tx.all("SELECT name, parent FROM tag WHERE parent IS NOT NULL", &[])?;
    Ok(Tree::new(rows))
}

/// What is said of a tag: parent and criticality; nothing of one that has no row.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn said(tx: &mut Transaction<'_>, name: &str) -> Result<(Option<String>, Option<i64>)> {
    Ok(tx.optional("SELECT parent, criticality FROM tag WHERE name = $1", &[&name])?.unwrap_or_default())
}

/// Say what a tag is, and give the assets that carry it the criticality that follows (R22).
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn say(
    tx: &mut Transaction<'_>,
    actor: &str,
    name: &str,
    parent: Option<&str>,
    criticality: Option<i64>,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO tag (name, parent, criticality, updated_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE SET parent = excluded.parent, criticality = excluded.criticality,
             updated_at = excluded.updated_at",
        &[&name, &parent, &criticality, &now],
    )?;
    tx.execute(
        concat!(
            "UPDATE asset SET ",
            "criticality_base = coalesce(criticality_base, criticality), criticality = coalesce(criticality_own,
                 (SELECT max(t.criticality) FROM asset_tag g JOIN tag t ON t.name = g.tag WHERE g.asset_id = asset.id),
                 criticality_base, criticality)",
            " WHERE id IN (SELECT g.asset_id FROM asset_tag g WHERE g.tag = $1)"
        ),
        &[&name],
    )?;
    let resource = format!("tags/{name}");
    let detail = serde_json::json!({ "parent": parent, "criticality": criticality });
    audit::append(tx, &Entry { at: now, actor, action: "tag.edit", resource: &resource, detail })?;
    Ok(())
}

/// Give these assets the criticality that follows from what was set by hand and from their tags (R22).
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn weigh(tx: &mut Transaction<'_>, assets: &[i64]) -> Result<()> {
    tx.execute(
        "UPDATE asset SET criticality_base = coalesce(criticality_base, criticality), criticality = coalesce(criticality_own,
             (SELECT max(t.criticality) FROM asset_tag g JOIN tag t ON t.name = g.tag WHERE g.asset_id = asset.id),
             criticality_base, criticality)
         WHERE id {in $1}",
        &[&assets],
    )?;
    Ok(())
}

struct ToldRow {
    host_key: String,
    criticality: i64,
}
stage!(ToldRow as "told_criticality_batch" { host_key: String, criticality: i64 });

/// What a scanner says of how much machines matter, after they were merged: the base on which tags and people build. Of several hosts
/// of one asset the one that matters most counts; a report that says nothing changes nothing.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn rebase(tx: &mut Transaction<'_>, run: &Run, machines: &[Machine]) -> Result<()> {
    let told = machines.iter().filter_map(|machine| {
        let criticality = i64::from(machine.host.criticality?.clamp(1, 5));
        Some(ToldRow { host_key: machine.host.host_key.clone(), criticality })
    });
    let told = last_per_key(told.collect(), |row: &ToldRow| row.host_key.clone());
    if told.is_empty() {
        return Ok(());
    }
    tx.stage(&told)?;
    let changed: Vec<(i64,)> = tx.all(
        "UPDATE asset SET criticality_base = b.told
         FROM (SELECT h.asset_id AS asset_id, max(t.criticality) AS told FROM told_criticality_batch t
               JOIN source_host h ON h.instance_id = $1 AND h.host_key = t.host_key GROUP BY h.asset_id) b
         WHERE asset.id = b.asset_id AND coalesce(asset.criticality_base, asset.criticality) <> b.told
         RETURNING asset.id",
        &[&run.instance],
    )?;
    let changed: Vec<i64> = changed.into_iter().map(|(id,)| id).collect();
    if changed.is_empty() { Ok(()) } else { weigh(tx, &changed) }
}

/// As [`weigh`], after an import: nothing to do while no tag says how much it matters.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn weigh_imported(tx: &mut Transaction<'_>, assets: &[i64]) -> Result<()> {
    let any: bool = tx.scalar("SELECT EXISTS (SELECT 1 FROM tag WHERE criticality IS NOT NULL)", &[])?;
    if any { weigh(tx, assets) } else { Ok(()) }
}
