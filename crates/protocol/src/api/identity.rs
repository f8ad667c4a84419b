//! Which machine is which: how hosts are matched with assets, and joining assets that are one machine.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The matching rules in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MatchingBody {
    /// In order: `agent_uuid`, which is always the first, `asset_id`, `fqdn`, `netbios`, `dns`, `ip`. What is not in it is not asked.
    pub rules: Vec<String>,
}

/// Two assets to be joined.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AssetMerge {
    /// Key of the asset that is left.
    pub into: i64,
    /// Count what it does, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The digest of a dry run: refused where what it counted has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}

/// A host to be given to another asset.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HostMove {
    /// Key of that asset; absent for a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<i64>,
    /// Count what it does, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The digest of a dry run: refused where what it counted has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}

/// What giving hosts to another asset does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MovedBody {
    /// Hosts that go.
    pub hosts: i64,
    /// Detections that go.
    pub detections: i64,
    /// Items that go along.
    pub items_moved: i64,
    /// Items whose detections join an item that the asset has; they close as moved.
    pub items_joined: i64,
    /// Items of which a part stays.
    pub items_parted: i64,
    /// Tags that the asset gets; scopes of accounts hang on them.
    pub tags: Vec<String>,
    /// What was looked at, for `seen`.
    pub digest: String,
    /// Key of the asset that they go to; absent where it would be made.
    pub into: Option<i64>,
    /// The record of it; absent for a dry run.
    pub merge: Option<i64>,
}

/// Hosts that a person gave to an asset.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MergeRecord {
    /// Key.
    pub id: i64,
    /// Key of the asset that they were taken from.
    pub from: i64,
    /// Its name.
    pub from_name: String,
    /// Who did it.
    pub by: String,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Taken back.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub undone_at: Option<Timestamp>,
}

/// `{"merges": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MergesBody {
    /// The newest first.
    pub merges: Vec<MergeRecord>,
}
