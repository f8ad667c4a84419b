//! Rules that give new and reopened items to somebody.

use serde::{Deserialize, Serialize};

/// A rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AssignmentRule {
    /// Key.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Whether it is asked.
    pub active: bool,
    /// Lower is asked first; the first that can give an item to somebody is the one.
    pub position: i64,
    /// Which items, in the query language of items; empty for all.
    pub condition: String,
    /// `group`, `user`, `tag` (the group that a tag of the asset names) or `previous` (whoever had it before, when it comes back).
    pub kind: String,
    /// The group, for `group`.
    pub group: Option<String>,
    /// Sign-in name, for `user`.
    pub user: Option<String>,
    /// What the tag begins with, for `tag`: with `owner:` the tag `owner:linux` gives to the group linux.
    pub tag_prefix: Option<String>,
    /// Items that have their assignment from it: `/items?q=assigned_by:"rule:4"`.
    pub items: i64,
    /// Counts the changes; the entity tag is `"v"` and this.
    pub version: i64,
}

/// `{"rules": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AssignmentRulesBody {
    /// The rules in the order in which they are asked.
    pub rules: Vec<AssignmentRule>,
}

/// `{"rule": …, "matching": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AssignmentRuleBody {
    /// The rule.
    pub rule: AssignmentRule,
    /// Items that match now, are not closed and were not assigned by a person; counted up to 10,000.
    pub matching: i64,
}

/// What is set of a rule; what is absent stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AssignmentRuleChange {
    /// Its name, 1 to 160 characters.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether it is asked.
    #[serde(default)]
    pub active: Option<bool>,
    /// 0 to 10,000.
    #[serde(default)]
    pub position: Option<i64>,
    /// In the query language of items; empty for all.
    #[serde(default)]
    pub condition: Option<String>,
    /// `group`, `user`, `tag` or `previous`.
    #[serde(default)]
    pub kind: Option<String>,
    /// For `group`.
    #[serde(default)]
    pub group: Option<String>,
    /// For `user`.
    #[serde(default)]
    pub user: Option<String>,
    /// For `tag`.
    #[serde(default)]
    pub tag_prefix: Option<String>,
}

/// Ask every rule again.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AssignAgain {
    /// Only say what it would do.
    #[serde(default)]
    pub dry_run: bool,
}

/// What one rule did, or would do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AssignedByRule {
    /// Its key.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Items that it gives to somebody else than they have now.
    pub changed: i64,
    /// Items that match and that it can give to nobody: the group is gone, the person is not active, no tag names a group.
    pub skipped: i64,
}

/// What the rules did, or would do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AssignedAgainBody {
    /// Items that were looked at: not closed, and not assigned by a person or a task.
    pub looked: i64,
    /// Items that get another assignment.
    pub changed: i64,
    /// The active rules.
    pub rules: Vec<AssignedByRule>,
}
