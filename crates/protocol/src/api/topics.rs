//! Watch topics: queries of items that people keep an eye on.

use serde::{Deserialize, Serialize};

/// A topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Topic {
    /// Key.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// Which items, in the query language of items; empty for none yet.
    pub condition: String,
    /// Sign-in name of who watches it.
    pub owner: Option<String>,
    /// The group that watches it.
    pub group: Option<String>,
    /// Lower is shown first.
    pub position: i64,
    /// Whether it has numbers and efforts.
    pub active: bool,
    /// Counts the changes; the entity tag is `"v"` and this.
    pub version: i64,
}

/// `{"topics": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TopicsBody {
    /// The topics in their order.
    pub topics: Vec<Topic>,
}

/// The items of a topic that the caller may see, counted now.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TopicCounts {
    /// Not closed.
    pub active: i64,
    /// Of these: score 90 and above.
    pub critical: i64,
    /// Of these: overdue.
    pub overdue: i64,
    /// Of these: in an effort that is not over.
    pub in_effort: i64,
}

/// `{"topic": …, "items": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TopicBody {
    /// The topic.
    pub topic: Topic,
    /// Its items, counted; absent while it is not active or has no condition.
    pub items: Option<TopicCounts>,
}

/// What is set of a topic; what is absent stays as it is, an empty text takes it away.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TopicChange {
    /// Its name, 1 to 160 characters.
    #[serde(default)]
    pub name: Option<String>,
    /// What it is about; at most 2,000 characters.
    #[serde(default)]
    pub description: Option<String>,
    /// In the query language of items.
    #[serde(default)]
    pub condition: Option<String>,
    /// Sign-in name of who watches it.
    #[serde(default)]
    pub owner: Option<String>,
    /// The group that watches it.
    #[serde(default)]
    pub group: Option<String>,
    /// 0 to 10,000.
    #[serde(default)]
    pub position: Option<i64>,
    /// Whether it has numbers and efforts.
    #[serde(default)]
    pub active: Option<bool>,
}
