//! Tags of assets: which stands below which, and how much they matter.

use serde::{Deserialize, Serialize};

/// `{"tags": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TagsBody {
    /// The tags, by name.
    pub tags: Vec<Tag>,
}

/// `{"tag": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TagBody {
    /// The tag.
    pub tag: Tag,
}

/// A tag.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// The tag it stands below; absent at the top. A job that chooses a tag chooses those below it, too.
    pub parent: Option<String>,
    /// How much the assets that carry it matter, 1 to 5; absent where it says nothing. Of several the highest counts.
    pub criticality: Option<i64>,
    /// Assets that carry it themselves, inside the caller's scope.
    pub assets: i64,
}

/// What people say of a tag; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TagChange {
    /// The tag it stands below; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// 1 to 5; 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criticality: Option<u8>,
}
