//! Integration instances: one subscription of one scanner product, with what a rescan needs of it.
//!
//! The secret is sealed by the server before it comes here and opened there again; nothing here can read it, and no
//! record that is shown holds it.

use crate::audit::{self, Entry};
use crate::filter::Column;
use crate::list::{List, Sort};
use crate::{Error, Result, Sql, Stage, Transaction, integrations, record, stage};
use domain::filter::{self, Field, Fields};
use domain::id::InstanceId;
use domain::time::Timestamp;

pub use crate::appliances::{Appliance, of as appliances};

/// What people may set of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Name, unique.
    pub name: String,
    /// Product: `qualys`.
    pub product: String,
    /// Base URL of the API.
    pub api_url: String,
    /// Base URL of the gateway.
    pub gateway_url: String,
    /// `basic`, `session`, `token`, or `files` for an instance that is filled by hand.
    pub auth: String,
    /// User name at the scanner.
    pub username: String,
    /// Versions of the API by endpoint, where they differ from the program's: JSON object.
    pub versions: String,
    /// Option profile of rescans, where nothing nearer says otherwise.
    pub default_profile: Option<String>,
    /// Appliance for addresses that no appliance's ranges hold; `External` for the scanner's own.
    pub default_appliance: Option<String>,
    /// How long a rescan is tracked.
    pub tracking_hours: i64,
    /// Minutes between two scheduled imports of a new instance; none for imports by hand.
    pub interval_minutes: Option<i64>,
    /// Days that the first import of detections goes back; none for everything.
    pub first_days: Option<i64>,
    /// No imports and no rescans; its records stay.
    pub disabled: bool,
}

record! {
    /// An instance, without its secret.
    #[derive(Clone, Debug, PartialEq, serde::Serialize)]
    pub struct Instance {
        /// Key.
        pub id: InstanceId,
        /// Name.
        pub name: String,
        /// Product.
        pub product: String,
        /// Base URL of the API.
        pub api_url: String,
        /// Base URL of the gateway.
        pub gateway_url: String,
        /// As [`Settings::auth`].
        pub auth: String,
        /// User name at the scanner.
        pub username: String,
        /// A secret is kept.
        pub has_secret: bool,
        /// As [`Settings::versions`].
        pub versions: String,
        /// As [`Settings::default_profile`].
        pub default_profile: Option<String>,
        /// As [`Settings::default_appliance`].
        pub default_appliance: Option<String>,
        /// As [`Settings::tracking_hours`].
        pub tracking_hours: i64,
        /// Minutes between two scheduled imports of detections; none where these come at times of the day, or by hand.
        pub interval_minutes: Option<i64>,
        /// As [`Settings::first_days`].
        pub first_days: Option<i64>,
        /// As [`Settings::disabled`].
        pub disabled: bool,
        /// End points whose configured version is gone, and what answers instead: JSON list; empty for none.
        pub versions_seen: String,
        /// What the last test of the connection said of what is set: JSON; empty where it was not tested.
        pub tested: String,
        /// When the next scheduled import is due.
        pub next_import_at: Option<Timestamp>,
        /// What the last finished import of the knowledge base covered up to.
        pub knowledge_base_until: Option<Timestamp>,
        /// What the last finished import of detections covered up to.
        pub host_detection_until: Option<Timestamp>,
        /// Since when its items show the scanner as their source (S2.04).
        pub source_stamped_at: Option<Timestamp>,
        /// Counts the edits: the entity tag.
        pub version: i64,
        /// Made.
        pub created_at: Timestamp,
        /// Last edited.
        pub updated_at: Timestamp,
    }
}

impl Instance {
    /// Whether it is filled from files only.
    #[must_use]
    pub fn files_only(&self) -> bool {
        self.auth == "files"
    }
}

/// What instances can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "name", kind: filter::Kind::Name, doc: "name" },
        Field { name: "product", kind: filter::Kind::Name, doc: "the scanner product: qualys" },
        Field { name: "address", kind: filter::Kind::Text, doc: "address of the API" },
        Field { name: "username", kind: filter::Kind::Name, doc: "user name at the scanner" },
        Field {
            name: "auth",
            kind: filter::Kind::Words(&["basic", "session", "token", "files"]),
            doc: "how it signs in; files for one that is filled by hand",
        },
        Field { name: "disabled", kind: filter::Kind::Truth, doc: "no imports and no rescans" },
        Field { name: "scheduled", kind: filter::Kind::Truth, doc: "imports are scheduled" },
        Field { name: "stamped", kind: filter::Kind::Truth, doc: "its items show the scanner as their source" },
        Field { name: "imported", kind: filter::Kind::Instant, doc: "what detections are imported up to" },
        Field { name: "next", kind: filter::Kind::Instant, doc: "next scheduled import" },
    ],
    flags: &[],
    free: &["name", "address", "username"],
};

/// The list of instances.
pub const LIST: List = List {
    name: "instances",
    select:
        "n.id, n.name, n.product, n.api_url, n.gateway_url, n.auth, n.username, length(n.secret) > 0 AS has_secret,
             n.versions, n.default_profile, n.default_appliance, n.tracking_hours, n.interval_minutes, n.first_days,
             n.disabled, n.versions_seen, n.tested, n.next_import_at,
             n.knowledge_base_until, n.host_detection_until, n.source_stamped_at, n.version, n.created_at, n.updated_at",
    from: "integration_instance n",
    key: "n.id",
    fields: &FIELDS,
    columns: &[
        Column::one("name", "n.name"),
        Column::one("product", "n.product"),
        Column::one("address", "n.api_url"),
        Column::one("username", "n.username"),
        Column::one("auth", "n.auth"),
        Column::one("disabled", "n.disabled"),
        Column::one("scheduled", "(n.interval_minutes IS NOT NULL)"),
        Column::one("stamped", "(n.source_stamped_at IS NOT NULL)"),
        Column::one("imported", "n.host_detection_until"),
        Column::one("next", "n.next_import_at"),
    ],
    sorts: &[
        Sort::text("name", "n.name"),
        Sort::text("address", "n.api_url"),
        Sort::whole("imported", "n.host_detection_until").or_null(),
        Sort::whole("next", "n.next_import_at").or_null(),
    ],
};

/// Every instance, by name.
///
/// # Errors
/// See [`Error`].
pub fn list(tx: &mut Transaction<'_>) -> Result<Vec<Instance>> {
    let mut instances: Vec<Instance> = LIST.rows(tx, Sql::new("TRUE"))?;
    instances.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(instances)
}

/// One instance.
///
/// # Errors
/// [`Error::NotFound`] for an unknown key.
pub fn one(tx: &mut Transaction<'_>, id: InstanceId) -> Result<Instance> {
    LIST.one(tx, Sql::new("n.id = ").bind(&id))
}

/// The instance of this name.
///
/// # Errors
/// See [`Error`].
pub fn by_name(tx: &mut Transaction<'_>, name: &str) -> Result<Option<Instance>> {
    Ok(LIST.rows(tx, Sql::new("n.name = ").bind(&name))?.into_iter().next())
}

/// The sealed secret.
///
/// # Errors
/// [`Error::NotFound`] for an unknown key.
pub fn secret(tx: &mut Transaction<'_>, id: InstanceId) -> Result<Vec<u8>> {
    tx.scalar("SELECT secret FROM integration_instance WHERE id = $1", &[&id])
}

fn detail(settings: &Settings, secret_changed: bool) -> serde_json::Value {
    serde_json::json!({
        "name": settings.name, "product": settings.product, "api_url": settings.api_url,
        "gateway_url": settings.gateway_url, "auth": settings.auth, "username": settings.username,
        "default_profile": settings.default_profile, "default_appliance": settings.default_appliance,
        "tracking_hours": settings.tracking_hours, "interval_minutes": settings.interval_minutes,
        "first_days": settings.first_days, "disabled": settings.disabled, "versions": settings.versions,
        "secret_changed": secret_changed,
    })
}

/// Make an instance; its secret follows by [`set_secret`], because it is sealed for the key given here.
///
/// # Errors
/// [`Error::Conflict`] with `integration_instance_name` where the name is taken.
pub fn create(tx: &mut Transaction<'_>, actor: &str, settings: &Settings, now: Timestamp) -> Result<InstanceId> {
    let id: InstanceId = tx.insert(
        "INSERT INTO integration_instance (name, product, api_url, gateway_url, auth, username, secret, versions,
             default_profile, default_appliance, tracking_hours, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $12) RETURNING id",
        &[
            &settings.name,
            &settings.product,
            &settings.api_url,
            &settings.gateway_url,
            &settings.auth,
            &settings.username,
            &Vec::<u8>::new(),
            &settings.versions,
            &settings.default_profile,
            &settings.default_appliance,
            &settings.tracking_hours,
            &now,
        ],
    )?;
    set_reach(tx, id, settings)?;
    audit_change(tx, actor, "instance.create", id, detail(settings, false), now)?;
    if settings.auth != "files" {
        integrations::create(tx, id, settings.interval_minutes, now)?;
    }
    Ok(id)
}

/// Keep a secret, sealed already, in place of the one before.
///
/// # Errors
/// See [`Error`].
pub fn set_secret(tx: &mut Transaction<'_>, id: InstanceId, sealed: &[u8]) -> Result<()> {
    tx.execute("UPDATE integration_instance SET secret = $2 WHERE id = $1", &[&id, &sealed])?;
    Ok(())
}

/// Change an instance of this version. `secret` replaces the kept one where it is given, sealed already. The interval of
/// scheduled imports is no part of it: see [`integrations::set_interval`].
///
/// # Errors
/// [`Error::NotFound`] for an unknown key; [`Error::Conflict`] with `version` where it was edited meanwhile, with
/// `integration_instance_name` where the name is taken.
pub fn update(
    tx: &mut Transaction<'_>,
    actor: &str,
    id: InstanceId,
    version: i64,
    settings: &Settings,
    secret: Option<&[u8]>,
    now: Timestamp,
) -> Result<()> {
    if one(tx, id)?.version != version {
        return Err(Error::Conflict("version".to_owned()));
    }
    forget_stale(tx, id, settings, secret.is_some())?;
    tx.execute(
        "UPDATE integration_instance SET name = $2, api_url = $3, gateway_url = $4, auth = $5, username = $6,
             secret = coalesce($7, secret), versions = $8, default_profile = $9, default_appliance = $10,
             tracking_hours = $11, version = version + 1, updated_at = $12
         WHERE id = $1",
        &[
            &id,
            &settings.name,
            &settings.api_url,
            &settings.gateway_url,
            &settings.auth,
            &settings.username,
            &secret,
            &settings.versions,
            &settings.default_profile,
            &settings.default_appliance,
            &settings.tracking_hours,
            &now,
        ],
    )?;
    set_reach(tx, id, settings)?;
    audit_change(tx, actor, "instance.update", id, detail(settings, secret.is_some()), now)
}

/// How far an instance reaches: back in time, and whether at all.
fn set_reach(tx: &mut Transaction<'_>, id: InstanceId, settings: &Settings) -> Result<()> {
    let set = "UPDATE integration_instance SET first_days = $2, disabled = $3 WHERE id = $1";
    tx.execute(set, &[&id, &settings.first_days, &settings.disabled])?;
    Ok(())
}

/// What was found out of the connection holds for what is set; called before that changes.
fn forget_stale(tx: &mut Transaction<'_>, id: InstanceId, settings: &Settings, secret: bool) -> Result<()> {
    tx.execute(
        "UPDATE integration_instance SET tested = '' WHERE id = $1
         AND ($7 OR api_url <> $2 OR gateway_url <> $3 OR auth <> $4 OR username <> $5 OR versions <> $6)",
        &[
            &id,
            &settings.api_url,
            &settings.gateway_url,
            &settings.auth,
            &settings.username,
            &settings.versions,
            &secret,
        ],
    )?;
    let forget =
        "UPDATE integration_instance SET versions_seen = '' WHERE id = $1 AND (api_url <> $2 OR versions <> $3)";
    tx.execute(forget, &[&id, &settings.api_url, &settings.versions])?;
    Ok(())
}

/// Keep what a test of the connection said, unless what is set was changed meanwhile.
///
/// # Errors
/// See [`Error`].
pub fn keep_test(tx: &mut Transaction<'_>, id: InstanceId, version: i64, tested: &str) -> Result<()> {
    let keep = "UPDATE integration_instance SET tested = $3 WHERE id = $1 AND version = $2";
    tx.execute(keep, &[&id, &version, &tested])?;
    Ok(())
}

/// Keep which versions are gone, unless other ones were set meanwhile.
///
/// # Errors
/// See [`Error`].
pub fn keep_versions(tx: &mut Transaction<'_>, id: InstanceId, set: &str, seen: &str) -> Result<()> {
    let keep = "UPDATE integration_instance SET versions_seen = $3 WHERE id = $1 AND versions = $2";
    tx.execute(keep, &[&id, &set, &seen])?;
    Ok(())
}

/// Delete an instance of this version that never imported anything; `false` where it did, or is in use otherwise.
///
/// # Errors
/// [`Error::NotFound`] for an unknown key; [`Error::Conflict`] with `version` where it was edited meanwhile.
pub fn delete(tx: &mut Transaction<'_>, actor: &str, id: InstanceId, version: i64, now: Timestamp) -> Result<bool> {
    let instance = one(tx, id)?;
    if instance.version != version {
        return Err(Error::Conflict("version".to_owned()));
    }
    let used: bool = tx.scalar(
        "SELECT EXISTS (SELECT 1 FROM import_run r WHERE r.instance_id = $1)
             OR EXISTS (SELECT 1 FROM source_host h WHERE h.instance_id = $1)
             OR EXISTS (SELECT 1 FROM vulnerable_item i WHERE i.instance_id = $1)
             OR EXISTS (SELECT 1 FROM scan_child c WHERE c.instance_id = $1)",
        &[&id],
    )?;
    if used {
        return Ok(false);
    }
    tx.execute(
        "DELETE FROM search_list_qid WHERE list_id IN (SELECT l.id FROM search_list l WHERE l.instance_id = $1)",
        &[&id],
    )?;
    tx.execute("DELETE FROM search_list WHERE instance_id = $1", &[&id])?;
    tx.execute("DELETE FROM option_profile_list WHERE instance_id = $1", &[&id])?;
    tx.execute("DELETE FROM import_trouble WHERE instance_id = $1", &[&id])?;
    tx.execute("DELETE FROM integration WHERE instance_id = $1", &[&id])?;
    tx.execute("DELETE FROM auto_close_run WHERE instance_id = $1", &[&id])?;
    tx.execute("DELETE FROM rescan_policy WHERE instance_id = $1", &[&id])?;
    tx.execute("DELETE FROM platform_quota WHERE instance_id = $1", &[&id])?;
    tx.execute("DELETE FROM option_profile WHERE instance_id = $1", &[&id])?;
    tx.execute("DELETE FROM appliance WHERE instance_id = $1", &[&id])?;
    tx.execute("DELETE FROM appliance_row WHERE instance_id = $1", &[&id])?;
    tx.execute("DELETE FROM integration_instance WHERE id = $1", &[&id])?;
    audit_change(tx, actor, "instance.delete", id, serde_json::json!({ "name": instance.name }), now)?;
    Ok(true)
}

fn audit_change(
    tx: &mut Transaction<'_>,
    actor: &str,
    action: &str,
    id: InstanceId,
    detail: serde_json::Value,
    now: Timestamp,
) -> Result<()> {
    let resource = format!("instances/{id}");
    audit::append(tx, &Entry { at: now, actor, action, resource: &resource, detail })?;
    Ok(())
}

/// The instance of this name for files, made where there is none.
///
/// # Errors
/// [`Error::Conflict`] with `instance_product` where the name belongs to an instance of another product.
pub fn for_files(
    tx: &mut Transaction<'_>,
    actor: &str,
    name: &str,
    product: &str,
    now: Timestamp,
) -> Result<InstanceId> {
    if let Some(instance) = by_name(tx, name)? {
        if instance.product != product {
            return Err(Error::Conflict("instance_product".to_owned()));
        }
        return Ok(instance.id);
    }
    let settings = Settings {
        name: name.to_owned(),
        product: product.to_owned(),
        auth: "files".to_owned(),
        versions: "{}".to_owned(),
        tracking_hours: domain::rescan::TRACKING_HOURS,
        ..Settings::default()
    };
    create(tx, actor, &settings, now)
}

record! {
    /// An option profile: the scanner's own set of scan settings.
    #[derive(Clone, Debug, PartialEq, serde::Serialize)]
    pub struct Profile {
        /// The scanner's key.
        pub key: String,
        /// Title.
        pub title: String,
        /// The scanner's default one.
        pub is_default: bool,
        /// It looks for every vulnerability, not for a list of some.
        pub complete: bool,
    }
}
stage!(Profile as "option_profile_batch" { key: String, title: String, is_default: bool, complete: bool });

/// Stage what the scanner lists under its keys, put it in and drop what it lists no more.
fn replace<R: Stage>(
    tx: &mut Transaction<'_>,
    id: InstanceId,
    rows: Vec<R>,
    key: fn(&R) -> String,
    [put, drop]: [&'static str; 2],
    now: Timestamp,
) -> Result<()> {
    tx.stage(&crate::last_per_key(rows, key))?;
    tx.execute(put, &[&id, &now])?;
    tx.execute(drop, &[&id])?;
    Ok(())
}

/// Replace the option profiles of an instance by what the scanner lists.
///
/// # Errors
/// See [`Error`].
pub fn replace_profiles(
    tx: &mut Transaction<'_>,
    id: InstanceId,
    profiles: Vec<Profile>,
    now: Timestamp,
) -> Result<()> {
    let put = "INSERT INTO option_profile (instance_id, key, title, is_default, complete, seen_at)
         SELECT $1, key, title, is_default, complete, $2 FROM option_profile_batch WHERE true
         ON CONFLICT (instance_id, key) DO UPDATE SET title = excluded.title, is_default = excluded.is_default,
             complete = excluded.complete, seen_at = excluded.seen_at";
    let drop = "DELETE FROM option_profile WHERE instance_id = $1
         AND NOT EXISTS (SELECT 1 FROM option_profile_batch b WHERE b.key = option_profile.key)";
    replace(tx, id, profiles, |profile| profile.key.clone(), [put, drop], now)
}

/// The option profiles of an instance, the scanner's default first, then by title.
///
/// # Errors
/// See [`Error`].
pub fn profiles(tx: &mut Transaction<'_>, id: InstanceId) -> Result<Vec<Profile>> {
    tx.all(
        "SELECT key, title, is_default, complete FROM option_profile WHERE instance_id = $1
         ORDER BY is_default DESC, title, key",
        &[&id],
    )
}
