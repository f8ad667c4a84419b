//! Scanner appliances, and which addresses they serve (`vulnerability-response.md` 1.4): rows from the scanner's list and
//! its asset groups, and rows that people made. Order, profile, condition and whether a row counts are people's; the rest
//! of an imported row is the scanner's.

use crate::audit::{self, Entry};
use crate::filter::{Column, compile};
use crate::list::{List, Sort};
use crate::{Error, Result, Sql, Transaction, assets, record, stage};
use domain::filter::{self, Context, Field, Fields};
use domain::id::InstanceId;
use domain::rescan;
use domain::time::Timestamp;
use std::collections::BTreeSet;
use std::net::IpAddr;

record! {
    /// A row.
    #[derive(Clone, Debug, PartialEq, serde::Serialize)]
    pub struct Appliance {
        /// Key of the row.
        pub id: i64,
        /// Its instance.
        pub instance_id: InstanceId,
        /// The instance's name.
        pub instance: String,
        /// The scanner's key of the appliance; `0` for the platform's own scanners.
        pub key: String,
        /// Name.
        pub name: String,
        /// What the scanner last said of it.
        pub status: String,
        /// The asset group it comes from; empty for none.
        pub group_name: String,
        /// The scanner's network, empty without networks.
        pub network_id: String,
        /// Ranges served: JSON list of `[low, high]` addresses.
        pub addresses: String,
        /// Made by people.
        pub manual: bool,
        /// A query over assets whose addresses it serves, too; empty for none.
        pub condition: String,
        /// Profile to use with it.
        pub profile: Option<String>,
        /// Lower wins where several serve an address.
        pub precedence: i64,
        /// Whether it is chosen by address.
        pub active: bool,
        /// Counts the edits: the entity tag.
        pub version: i64,
    }
}

record! {
    /// A row as the scanner lists it.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Listed {
        /// What it stands for: `appliance:KEY` or `group:ID`.
        pub place: String,
        /// The scanner's key of the appliance.
        pub key: String,
        /// Name.
        pub name: String,
        /// Its status.
        pub status: String,
        /// The asset group's title.
        pub group_name: String,
        /// The network.
        pub network_id: String,
        /// Ranges.
        pub addresses: String,
        /// Order of a row that is new.
        pub precedence: i64,
    }
}
stage!(Listed as "appliance_row_batch" {
    place: String, key: String, name: String, status: String, group_name: String, network_id: String, addresses: String,
    precedence: i64,
});

/// What people set of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The scanner's key of the appliance; taken of rows that people made only, like the next three.
    pub key: String,
    /// Name.
    pub name: String,
    /// The network.
    pub network_id: String,
    /// Ranges: JSON list of `[low, high]` addresses.
    pub addresses: String,
    /// As [`Appliance::condition`].
    pub condition: String,
    /// As [`Appliance::profile`].
    pub profile: Option<String>,
    /// As [`Appliance::precedence`].
    pub precedence: i64,
    /// As [`Appliance::active`].
    pub active: bool,
}

/// What appliances can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "name", kind: filter::Kind::Name, doc: "name of the appliance" },
        Field { name: "key", kind: filter::Kind::Name, doc: "the scanner's key of it" },
        Field { name: "status", kind: filter::Kind::Name, doc: "what the scanner last said: Online, Offline" },
        Field { name: "instance", kind: filter::Kind::Name, doc: "integration instance" },
        Field { name: "instance.id", kind: filter::Kind::Number, doc: "key of the integration instance" },
        Field { name: "group", kind: filter::Kind::Name, doc: "asset group it comes from" },
        Field { name: "network", kind: filter::Kind::Name, doc: "the scanner's network" },
        Field { name: "manual", kind: filter::Kind::Truth, doc: "made by people" },
        Field { name: "active", kind: filter::Kind::Truth, doc: "chosen by address" },
        Field { name: "order", kind: filter::Kind::Number, doc: "lower wins where several serve an address" },
    ],
    flags: &[],
    free: &["name", "group", "instance"],
};

/// What a condition may ask of assets: what they are, not how they fare or when they were seen.
pub const CONDITION: Fields = Fields {
    fields: &[
        Field { name: "name", kind: filter::Kind::Name, doc: "name of the asset" },
        Field { name: "ip", kind: filter::Kind::Name, doc: "address" },
        Field { name: "fqdn", kind: filter::Kind::Name, doc: "fully qualified name" },
        Field { name: "os", kind: filter::Kind::Text, doc: "operating system as the scanner tells it" },
        Field {
            name: "platform",
            kind: filter::Kind::Words(domain::asset::Platform::WORDS),
            doc: "family of operating system",
        },
        Field { name: "tag", kind: filter::Kind::Name, doc: "one of its tags" },
        Field { name: "criticality", kind: filter::Kind::Number, doc: "1 to 5" },
        Field { name: "network", kind: filter::Kind::Name, doc: "the scanner's network" },
    ],
    flags: &[],
    free: &["name", "ip", "fqdn", "os"],
};

/// The list of appliances.
pub const LIST: List = List {
    name: "appliances",
    select: "p.id, p.instance_id, n.name AS instance, p.key, p.name, p.status, p.group_name, p.network_id, p.addresses,
             p.manual, p.condition, p.profile, p.precedence, p.active, p.version",
    from: "appliance_row p JOIN integration_instance n ON n.id = p.instance_id",
    key: "p.id",
    fields: &FIELDS,
    columns: &[
        Column::one("name", "p.name"),
        Column::one("key", "p.key"),
        Column::one("status", "p.status"),
        Column::one("instance", "n.name"),
        Column::one("instance.id", "p.instance_id"),
        Column::one("group", "p.group_name"),
        Column::one("network", "p.network_id"),
        Column::one("manual", "p.manual"),
        Column::one("active", "p.active"),
        Column::one("order", "p.precedence"),
    ],
    sorts: &[
        Sort::text("name", "p.name"),
        Sort::text("status", "p.status"),
        Sort::text("instance", "n.name"),
        Sort::whole("order", "p.precedence"),
    ],
};

/// One row.
///
/// # Errors
/// [`Error::NotFound`] for an unknown key.
pub fn one(tx: &mut Transaction<'_>, id: i64) -> Result<Appliance> {
    LIST.one(tx, Sql::new("p.id = ").bind(&id))
}

/// The rows of an instance in their precedence.
///
/// # Errors
/// See [`Error`].
pub fn of(tx: &mut Transaction<'_>, instance: InstanceId) -> Result<Vec<Appliance>> {
    let mut rows: Vec<Appliance> = LIST.rows(tx, Sql::new("p.instance_id = ").bind(&instance))?;
    rows.sort_by(|one, other| {
        (one.precedence, &one.name, &one.key, one.id).cmp(&(other.precedence, &other.name, &other.key, other.id))
    });
    Ok(rows)
}

/// Replace the imported rows of an instance by what the scanner lists; what people set of them stays. Of rows that people
/// made the status is told anew.
///
/// # Errors
/// See [`Error`].
pub fn replace(tx: &mut Transaction<'_>, instance: InstanceId, rows: Vec<Listed>, now: Timestamp) -> Result<()> {
    tx.stage(&crate::last_per_key(rows, |row| row.place.clone()))?;
    tx.execute(
        "INSERT INTO appliance_row (instance_id, place, key, name, status, group_name, network_id, addresses, manual,
             condition, profile, precedence, active, version, seen_at)
         SELECT $1, place, key, name, status, group_name, network_id, addresses, FALSE, '', NULL, precedence, TRUE, 1, $2
         FROM appliance_row_batch WHERE true
         ON CONFLICT (instance_id, place) DO UPDATE SET key = excluded.key, name = excluded.name,
             status = excluded.status, group_name = excluded.group_name, network_id = excluded.network_id,
             addresses = excluded.addresses, seen_at = excluded.seen_at",
        &[&instance, &now],
    )?;
    tx.execute(
        "DELETE FROM appliance_row WHERE instance_id = $1 AND NOT manual
         AND NOT EXISTS (SELECT 1 FROM appliance_row_batch b WHERE b.place = appliance_row.place)",
        &[&instance],
    )?;
    tx.execute(
        "UPDATE appliance_row SET seen_at = $2, status =
             coalesce((SELECT max(b.status) FROM appliance_row_batch b WHERE b.key = appliance_row.key), '')
         WHERE instance_id = $1 AND manual",
        &[&instance, &now],
    )?;
    Ok(())
}

/// Make a row by hand. `place` is its own: `manual:UUID`.
///
/// # Errors
/// See [`Error`].
pub fn create(
    tx: &mut Transaction<'_>,
    actor: &str,
    instance: InstanceId,
    place: &str,
    settings: &Settings,
    now: Timestamp,
) -> Result<i64> {
    let id: i64 = tx.insert(
        "INSERT INTO appliance_row (instance_id, place, key, name, status, group_name, network_id, addresses, manual,
             condition, profile, precedence, active, version, seen_at)
         VALUES ($1, $2, $3, $4,
             coalesce((SELECT max(o.status) FROM appliance_row o WHERE o.instance_id = $1 AND o.key = $3), ''),
             '', $5, $6, TRUE, $7, $8, $9, $10, 1, $11) RETURNING id",
        &[
            &instance,
            &place,
            &settings.key,
            &settings.name,
            &settings.network_id,
            &settings.addresses,
            &settings.condition,
            &settings.profile,
            &settings.precedence,
            &settings.active,
            &now,
        ],
    )?;
    audited(tx, actor, "appliance.create", id, settings, now)?;
    Ok(id)
}

/// Change a row of this version.
///
/// # Errors
/// [`Error::NotFound`] for an unknown key; [`Error::Conflict`] with `version` where it was edited meanwhile.
pub fn change(
    tx: &mut Transaction<'_>,
    actor: &str,
    id: i64,
    version: i64,
    settings: &Settings,
    now: Timestamp,
) -> Result<()> {
    if one(tx, id)?.version != version {
        return Err(Error::Conflict("version".to_owned()));
    }
    tx.execute(
        "UPDATE appliance_row SET key = CASE WHEN manual THEN $2 ELSE key END,
             name = CASE WHEN manual THEN $3 ELSE name END,
             network_id = CASE WHEN manual THEN $4 ELSE network_id END,
             addresses = CASE WHEN manual THEN $5 ELSE addresses END,
             condition = $6, profile = $7, precedence = $8, active = $9, version = version + 1
         WHERE id = $1",
        &[
            &id,
            &settings.key,
            &settings.name,
            &settings.network_id,
            &settings.addresses,
            &settings.condition,
            &settings.profile,
            &settings.precedence,
            &settings.active,
        ],
    )?;
    audited(tx, actor, "appliance.update", id, settings, now)
}

/// Delete a row that people made; `false` for one that comes from the scanner.
///
/// # Errors
/// [`Error::NotFound`] for an unknown key.
pub fn delete(tx: &mut Transaction<'_>, actor: &str, id: i64, now: Timestamp) -> Result<bool> {
    let row = one(tx, id)?;
    if !row.manual {
        return Ok(false);
    }
    tx.execute("DELETE FROM appliance_row WHERE id = $1", &[&id])?;
    let resource = format!("appliances/{id}");
    let detail = serde_json::json!({ "name": row.name });
    audit::append(tx, &Entry { at: now, actor, action: "appliance.delete", resource: &resource, detail })?;
    Ok(true)
}

fn audited(
    tx: &mut Transaction<'_>,
    actor: &str,
    action: &str,
    id: i64,
    settings: &Settings,
    now: Timestamp,
) -> Result<()> {
    let resource = format!("appliances/{id}");
    let detail = serde_json::json!({
        "key": settings.key, "name": settings.name, "network": settings.network_id, "addresses": settings.addresses,
        "condition": settings.condition, "profile": settings.profile, "order": settings.precedence,
        "active": settings.active,
    });
    audit::append(tx, &Entry { at: now, actor, action, resource: &resource, detail })?;
    Ok(())
}

/// The rows of an instance as the choice of an appliance needs them: with the addresses of the assets that their
/// conditions hold for. One that is not active serves no address by itself.
///
/// # Errors
/// See [`Error`].
pub fn serving(tx: &mut Transaction<'_>, instance: InstanceId) -> Result<Vec<rescan::Appliance>> {
    let mut found = Vec::new();
    for row in of(tx, instance)? {
        let hosts = if row.active { hosts(tx, instance, &row.condition)? } else { BTreeSet::new() };
        found.push(rescan::Appliance {
            id: row.id,
            ranges: if row.active { ranges(&row.addresses) } else { Vec::new() },
            hosts,
            key: row.key,
            name: row.name,
            network: row.network_id,
            profile: row.profile,
            precedence: row.precedence,
        });
    }
    Ok(found)
}

/// Addresses and networks at which an instance knows the assets that a condition holds for.
fn hosts(tx: &mut Transaction<'_>, instance: InstanceId, condition: &str) -> Result<BTreeSet<(IpAddr, String)>> {
    if condition.is_empty() {
        return Ok(BTreeSet::new());
    }
    // What was checked when it was saved; a condition of a newer server holds for nothing.
    let Ok(wanted) = filter::parse(condition, &CONDITION) else { return Ok(BTreeSet::new()) };
    // None of the fields asks for the time or for who looks.
    let context = Context::at(Timestamp::from_micros(0));
    let condition = compile(&wanted, &CONDITION, assets::LIST.columns, &context)?;
    let sql = Sql::new("SELECT DISTINCT o.ip, o.network_id FROM source_host o JOIN asset a ON a.id = o.asset_id WHERE o.instance_id = ")
        .bind(&instance)
        .text(" AND o.ip <> '' AND ")
        .append(condition);
    let rows: Vec<(String, String)> = tx.all_built(&sql)?;
    Ok(rows.into_iter().filter_map(|(ip, network)| Some((ip.parse().ok()?, network))).collect())
}

/// Ranges as they are kept; what is no pair of addresses is left out.
#[must_use]
pub fn ranges(text: &str) -> Vec<(IpAddr, IpAddr)> {
    let pairs: Vec<(String, String)> = serde_json::from_str(text).unwrap_or_default();
    pairs.iter().filter_map(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?))).collect()
}
