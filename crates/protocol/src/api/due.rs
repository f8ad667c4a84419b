//! Due dates: how many days there are for each band of score.

use serde::{Deserialize, Serialize};

/// Days by band; 0 for no date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DueDays {
    /// Whether items have due dates at all.
    pub on: bool,
    /// For scores of 90 to 100.
    pub critical: i64,
    /// For scores of 70 to 89.
    pub high: i64,
    /// For scores of 40 to 69.
    pub medium: i64,
    /// For scores of 1 to 39.
    pub low: i64,
    /// So many days before its date an item is approaching it; 0 for never.
    pub soon: i64,
}

/// What `PUT /settings/due` takes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DueRequest {
    /// The days.
    pub days: DueDays,
    /// Only say what they would do.
    #[serde(default)]
    pub dry_run: bool,
}

/// `{"due": …}`, with `preview` where it was asked for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DueBody {
    /// What holds now.
    pub due: Due,
    /// What the days of a dry run would do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<DuePreview>,
}

/// The days in force.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Due {
    /// The days.
    pub days: DueDays,
    /// How often they were changed: the entity tag.
    pub version: i64,
    /// Items that are still to be reckoned by them.
    pub waiting: i64,
}

/// What other days would do to the items that are not closed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DuePreview {
    /// Items that are not closed.
    pub items: i64,
    /// Of these: get another date, or get or lose one.
    pub moved: i64,
    /// To an earlier one.
    pub earlier: i64,
    /// Overdue now.
    pub overdue_before: i64,
    /// Overdue then.
    pub overdue: i64,
}
