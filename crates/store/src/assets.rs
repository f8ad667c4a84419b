//! Assets as people see them: the list, one asset, its sources, tags and criticality.
//!
//! Making an asset is the import's ([`crate::hosts`]) or an agent's ([`crate::agents`]) work.

use crate::audit::{self, Entry};
use crate::filter::Column;
use crate::list::{List, Sort};
use crate::{Result, Sql, Transaction, record, scope};
use domain::access::AssetScope;
use domain::asset::Platform;
use domain::filter::{Field, Fields, Flag, Kind};
use domain::id::{AssetId, InstanceId, SourceHostId};
use domain::score::Band;
use domain::time::Timestamp;
use std::collections::HashMap;

/// What assets can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "name", kind: Kind::Name, doc: "name of the asset" },
        Field { name: "ip", kind: Kind::Name, doc: "address" },
        Field { name: "fqdn", kind: Kind::Name, doc: "fully qualified name" },
        Field { name: "os", kind: Kind::Text, doc: "operating system as the scanner tells it" },
        Field { name: "platform", kind: Kind::Words(Platform::WORDS), doc: "family of operating system" },
        Field { name: "tag", kind: Kind::Name, doc: "one of its tags" },
        Field { name: "criticality", kind: Kind::Number, doc: "1 to 5" },
        Field { name: "agent", kind: Kind::Truth, doc: "an agent of ours is on it" },
        Field { name: "items", kind: Kind::Number, doc: "vulnerable items that are not closed" },
        Field { name: "score", kind: Kind::Number, doc: "highest residual score of them" },
        Field { name: "network", kind: Kind::Name, doc: "the scanner's network" },
        Field { name: "instance", kind: Kind::Name, doc: "integration instance that reports it" },
        Field { name: "placeholder", kind: Kind::Truth, doc: "nothing but an address is known of it" },
        Field { name: "seen", kind: Kind::Instant, doc: "last seen by a scanner" },
    ],
    flags: &[Flag { name: "mitigable", field: "platform", words: &["windows", "linux"], doc: "mitigations exist" }],
    free: &["name", "ip", "fqdn", "os"],
};

/// Whether an agent of ours is on the asset `a`.
macro_rules! agent {
    () => {
        "EXISTS (SELECT 1 FROM agent g WHERE g.asset_id = a.id AND g.revoked_at IS NULL AND g.link <> 'ambiguous')"
    };
}
/// Whether an agent of ours is on the asset `a`, as an expression.
pub(crate) const AGENT: &str = agent!();
const ITEMS: &str = "(SELECT count(*) FROM vulnerable_item i WHERE i.asset_id = a.id AND i.state <> 'closed')";
const SCORE: &str = "(SELECT max(i.residual) FROM vulnerable_item i WHERE i.asset_id = a.id AND i.state <> 'closed')";

/// The list of assets.
pub const LIST: List = List {
    name: "assets",
    select: concat!(
        "a.id, a.name, a.platform, a.os, a.ip, a.fqdn, a.netbios, a.network_id, a.criticality, a.criticality_own,
         a.zone, a.placeholder, a.created_at, a.last_seen_at, ",
        agent!(),
        " AS agent"
    ),
    from: "asset a",
    key: "a.id",
    fields: &FIELDS,
    columns: &[
        Column::one("name", "a.name"),
        Column::one("ip", "a.ip"),
        Column::one("fqdn", "a.fqdn"),
        Column::one("os", "a.os"),
        Column::one("platform", "a.platform"),
        Column::many("tag", "asset_tag t WHERE t.asset_id = a.id", "t.tag"),
        Column::one("criticality", "a.criticality"),
        Column::one("agent", agent!()),
        Column::one("items", ITEMS),
        Column::one("score", SCORE),
        Column::one("network", "a.network_id"),
        Column::many(
            "instance",
            "source_host h JOIN integration_instance n ON n.id = h.instance_id WHERE h.asset_id = a.id",
            "n.name",
        ),
        Column::one("placeholder", "a.placeholder"),
        Column::one("seen", "a.last_seen_at"),
    ],
    sorts: &[
        Sort::text("name", "a.name"),
        Sort::text("ip", "a.ip"),
        Sort::text("os", "a.os"),
        Sort::text("platform", "a.platform"),
        Sort::whole("criticality", "a.criticality"),
        Sort::whole("items", ITEMS),
        Sort::whole("score", SCORE).or_null(),
        Sort::whole("seen", "a.last_seen_at"),
    ],
};

record! {
    /// An asset as the list shows it.
    #[derive(Clone, Debug, PartialEq)]
    pub struct AssetRow {
        /// Key.
        pub id: AssetId,
        /// Name.
        pub name: String,
        /// Family of operating system.
        pub platform: Platform,
        /// Operating system as the scanner tells it.
        pub os: String,
        /// Address.
        pub ip: String,
        /// Fully qualified name.
        pub fqdn: String,
        /// NetBIOS name.
        pub netbios: String,
        /// The scanner's network.
        pub network_id: String,
        /// 1 to 5: set by hand, else the highest of its tags, else what the scanner said (R22).
        pub criticality: i64,
        /// What was set by hand.
        pub criticality_own: Option<i64>,
        /// Time zone, as its agent tells it; empty when unknown.
        pub zone: String,
        /// Nothing but an address is known of it.
        pub placeholder: bool,
        /// First known.
        pub created_at: Timestamp,
        /// Last seen by a scanner.
        pub last_seen_at: Timestamp,
        /// An agent of ours is on it.
        pub agent: bool,
    }
}

/// The condition that clips the list to the assets of the scope; what was joined into another asset is not in it.
#[must_use]
pub fn visible(assets: &AssetScope) -> Option<Sql> {
    scope::both(scope::assets(assets, "a.id"), Some(Sql::new("a.merged_into IS NULL")))
}

/// Those of these assets that exist inside the scope.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn keys_within(tx: &mut Transaction<'_>, assets: &[AssetId], within: &AssetScope) -> Result<Vec<AssetId>> {
    let keys: Vec<i64> = assets.iter().map(|asset| asset.0).collect();
    let mut sql = Sql::new("SELECT a.id FROM asset a WHERE a.id {in ").bind(&keys).text("}");
    if let Some(scope) = scope::assets(within, "a.id") {
        sql = sql.text(" AND ").append(scope);
    }
    let rows: Vec<(AssetId,)> = tx.all_built(&sql.text(" ORDER BY a.id"))?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The asset that a scanner knows by this agent's id; none where several do.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn by_scanner_uuid(tx: &mut Transaction<'_>, uuid: &str) -> Result<Option<AssetId>> {
    let rows: Vec<(AssetId,)> = tx.all("SELECT id FROM asset WHERE scanner_uuid = $1 ORDER BY id LIMIT 2", &[&uuid])?;
    Ok(match rows.as_slice() {
        [(one,)] => Some(*one),
        _ => None,
    })
}

/// One asset.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) for an unknown key.
pub fn one(tx: &mut Transaction<'_>, id: AssetId) -> Result<AssetRow> {
    LIST.one(tx, Sql::new("a.id = ").bind(&id))
}

/// The tags of these assets, in order.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn tags(tx: &mut Transaction<'_>, assets: &[AssetId]) -> Result<HashMap<AssetId, Vec<String>>> {
    let assets: Vec<i64> = assets.iter().map(|asset| asset.0).collect();
    let rows: Vec<(AssetId, String)> =
        tx.all("SELECT DISTINCT asset_id, tag FROM asset_tag WHERE asset_id {in $1} ORDER BY 1, 2", &[&assets])?;
    let mut tags: HashMap<AssetId, Vec<String>> = HashMap::new();
    for (asset, tag) in rows {
        tags.entry(asset).or_default().push(tag);
    }
    Ok(tags)
}

/// The tags that people gave an asset, without those of scanners, in order.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn own_tags(tx: &mut Transaction<'_>, asset: AssetId) -> Result<Vec<String>> {
    let rows: Vec<(String,)> =
        tx.all("SELECT tag FROM asset_tag WHERE asset_id = $1 AND origin = 0 ORDER BY tag", &[&asset])?;
    Ok(rows.into_iter().map(|(tag,)| tag).collect())
}

/// Items of an asset that are not closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// How many, by band of the residual score: low, medium, high, critical.
    pub bands: [i64; 4],
    /// How many are mitigated.
    pub mitigated: i64,
    /// The highest residual score.
    pub residual: i64,
    /// The highest inherent score.
    pub inherent: i64,
}

impl Exposure {
    /// How many in all.
    #[must_use]
    pub fn open(&self) -> i64 {
        self.bands.iter().sum()
    }
}

/// What is open on these assets; an asset with nothing open is absent.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn exposure(tx: &mut Transaction<'_>, assets: &[AssetId]) -> Result<HashMap<AssetId, Exposure>> {
    let assets: Vec<i64> = assets.iter().map(|asset| asset.0).collect();
    let mut found: HashMap<AssetId, Exposure> = HashMap::new();
    tx.each(
        "SELECT asset_id, residual, inherent, mitigation, count(*) FROM vulnerable_item
         WHERE asset_id {in $1} AND state <> 'closed' GROUP BY asset_id, residual, inherent, mitigation",
        &[&assets],
        |(asset, residual, inherent, mitigation, count): (AssetId, u8, i64, String, i64)| {
            let one = found.entry(asset).or_default();
            let [low, medium, high, critical] = &mut one.bands;
            let band = match Band::of(residual) {
                Band::Low => low,
                Band::Medium => medium,
                Band::High => high,
                Band::Critical => critical,
            };
            *band += count;
            one.mitigated += if mitigation == "mitigated" { count } else { 0 };
            one.residual = one.residual.max(i64::from(residual));
            one.inherent = one.inherent.max(inherent);
            Ok(())
        },
    )?;
    Ok(found)
}

/// Residual scores of what is open on these assets, and how many have each.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn open_scores(tx: &mut Transaction<'_>, assets: &[AssetId]) -> Result<Vec<(AssetId, u8, i64)>> {
    let assets: Vec<i64> = assets.iter().map(|asset| asset.0).collect();
    tx.all(
        "SELECT asset_id, residual, count(*) FROM vulnerable_item
         WHERE asset_id {in $1} AND state <> 'closed' GROUP BY asset_id, residual ORDER BY 1, 2",
        &[&assets],
    )
}

record! {
    /// What one instance calls the asset.
    #[derive(Clone, Debug, PartialEq)]
    pub struct SourceRow {
        /// Key.
        pub id: SourceHostId,
        /// The instance.
        pub instance_id: InstanceId,
        /// Its name.
        pub instance: String,
        /// The scanner's id of the host.
        pub host_key: String,
        /// UUID of the scanner's agent.
        pub agent_uuid: Option<String>,
        /// Address.
        pub ip: String,
        /// The scanner's network.
        pub network_id: String,
        /// How the scanner tells machines apart.
        pub tracking: String,
        /// The rule that found the asset.
        pub matched_by: String,
        /// Last vulnerability scan.
        pub last_scan_at: Option<Timestamp>,
    }
}

/// What the integration instances call an asset.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn sources(tx: &mut Transaction<'_>, asset: AssetId) -> Result<Vec<SourceRow>> {
    tx.all(
        "SELECT h.id, h.instance_id, n.name AS instance, h.host_key, h.agent_uuid, h.ip, h.network_id, h.tracking,
             h.matched_by, h.last_scan_at
         FROM source_host h JOIN integration_instance n ON n.id = h.instance_id
         WHERE h.asset_id = $1 ORDER BY n.name, h.host_key",
        &[&asset],
    )
}

/// Change what people say of an asset: its criticality (0 = what its tags say), and the tags that no scanner reports.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) for an unknown key.
pub fn edit(
    tx: &mut Transaction<'_>,
    actor: &str,
    asset: AssetId,
    criticality: Option<u8>,
    tags: Option<&[String]>,
    now: Timestamp,
) -> Result<()> {
    one(tx, asset)?;
    if let Some(criticality) = criticality {
        let own = (criticality > 0).then(|| i64::from(criticality.min(5)));
        tx.execute("UPDATE asset SET criticality_own = $2 WHERE id = $1", &[&asset, &own])?;
    }
    if let Some(tags) = tags {
        tx.execute("DELETE FROM asset_tag WHERE asset_id = $1 AND origin = 0", &[&asset])?;
        for tag in tags {
            tx.execute(
                "INSERT INTO asset_tag (asset_id, tag, origin) VALUES ($1, $2, 0)
                 ON CONFLICT (asset_id, tag, origin) DO NOTHING",
                &[&asset, tag],
            )?;
        }
    }
    crate::tags::weigh(tx, &[asset.0])?;
    let resource = format!("assets/{asset}");
    let detail = serde_json::json!({ "criticality": criticality, "tags": tags });
    audit::append(tx, &Entry { at: now, actor, action: "asset.edit", resource: &resource, detail })?;
    Ok(())
}
