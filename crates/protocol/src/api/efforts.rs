//! Remediation efforts: frozen sets of items that are worked off together.

use super::exposure::{Item, ItemHistoryLine};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// An effort. Its numbers count the items that the caller may see.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Effort {
    /// `REF0000001`.
    pub number: String,
    /// Its title.
    pub title: String,
    /// What is to be done, and why.
    pub description: String,
    /// `filling` while its items are gathered, `active`, or `inactive` once it is over.
    pub state: String,
    /// Name of the watch topic it was made from.
    pub topic: Option<String>,
    /// What its items met when it was made; empty where they were named.
    pub condition: String,
    /// Sign-in name of who leads it.
    pub owner: Option<String>,
    /// The group that works on it.
    pub group: Option<String>,
    /// Sign-in name of who made it.
    pub created_by: String,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it ended.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub closed_at: Option<Timestamp>,
    /// Its items, all of them at `/items?q=effort:REF0000001`.
    pub items: i64,
    /// Of these: closed now.
    pub closed: i64,
    /// Of those that are not closed: mitigated.
    pub mitigated: i64,
    /// The highest score of an item that is not closed; 0 without any.
    pub score: i64,
}

/// `{"efforts": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EffortsBody {
    /// The efforts.
    pub efforts: Vec<Effort>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// `{"effort": …, "items": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EffortBody {
    /// The effort.
    pub effort: Effort,
    /// Its first 100 items that the caller may see.
    pub items: Vec<Item>,
}

/// An effort to be made. Its items are those named, those that match the query now, or those of a watch topic now, as far as they
/// are not closed and in no other effort that is not over; later ones do not join it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewEffort {
    /// Its title, 1 to 160 characters.
    pub title: String,
    /// What is to be done, and why; at most 2,000 characters.
    #[serde(default)]
    pub description: String,
    /// Numbers of items, at most 10,000.
    #[serde(default)]
    pub items: Vec<String>,
    /// Instead of numbers: a condition in the query language of items; at most 100,000 are taken.
    #[serde(default)]
    pub q: Option<String>,
    /// Instead of both: the key of a watch topic, whose condition counts.
    #[serde(default)]
    pub topic: Option<i64>,
    /// Sign-in name of who leads it.
    #[serde(default)]
    pub owner: Option<String>,
    /// The group that works on it.
    #[serde(default)]
    pub group: Option<String>,
    /// Only say what would be taken.
    #[serde(default)]
    pub dry_run: bool,
}

/// An effort that holds items which were wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Holder {
    /// `REF0000001`.
    pub effort: String,
    /// Its title.
    pub title: String,
    /// How many of them it holds.
    pub items: i64,
}

/// What came of making an effort.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MadeEffortBody {
    /// The effort; absent for a dry run.
    pub effort: Option<Effort>,
    /// Items that it takes, or would take.
    pub taken: i64,
    /// Items that are left out because another effort holds them, counted up to 100,000.
    pub held: i64,
    /// The first 10 efforts that hold them.
    pub holders: Vec<Holder>,
}

/// What is changed of an effort; what is absent stays as it is, an empty text takes it away.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EffortChange {
    /// Its title.
    #[serde(default)]
    pub title: Option<String>,
    /// What is to be done, and why.
    #[serde(default)]
    pub description: Option<String>,
    /// Sign-in name of who leads it.
    #[serde(default)]
    pub owner: Option<String>,
    /// The group that works on it.
    #[serde(default)]
    pub group: Option<String>,
}

/// `{"history": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EffortHistoryBody {
    /// The latest 500 changes, the newest first.
    pub history: Vec<ItemHistoryLine>,
}

/// Remediation tasks to be made of an effort's items that are not closed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EffortTasks {
    /// `none` (one task, for whoever leads the effort), `group`, `group_asset`, `group_vulnerability` or `group_band`.
    pub group_by: String,
    /// What becomes of items that are in an open task already: `skip` leaves them out, `keep` puts them into both.
    #[serde(default)]
    pub existing: Option<String>,
}

/// What was made of an effort's items.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EffortTasksBody {
    /// Numbers of the new tasks.
    pub tasks: Vec<String>,
    /// Numbers of open tasks of the effort that got items.
    pub joined: Vec<String>,
    /// Items in them.
    pub items: i64,
    /// Items that were left out.
    pub skipped: i64,
}
