//! Rules that close items which nothing reports any more.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// `{"rules": […]}`, in the order in which they are gone through.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AutoCloseRulesBody {
    /// The rules.
    pub rules: Vec<AutoCloseRule>,
}

/// `{"rule": …}`, with `dry_run` where that was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AutoCloseRuleBody {
    /// The rule.
    pub rule: AutoCloseRule,
    /// What it would do, instance by instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<Vec<AutoCloseJudged>>,
}

/// A rule that closes items.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AutoCloseRule {
    /// Key.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Whether it is gone through by itself, once a day.
    pub active: bool,
    /// Rules are gone through in this order.
    pub position: i64,
    /// What it looks at: `asset_last_scanned`, `detection_last_found` or `unseen_in_full`.
    pub kind: String,
    /// Days without a sign, or full pulls in a row for `unseen_in_full`.
    pub days: i64,
    /// Which items, in the query language; empty for all.
    pub condition: String,
    /// Deferred items are left alone.
    pub ignore_deferred: bool,
    /// What it waits for, in words.
    pub words: String,
    /// When it was last gone through by itself.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub ran_at: Option<Timestamp>,
    /// Who wants it to be gone through now; absent where nobody does.
    pub asked_by: Option<String>,
    /// How often it was changed: the entity tag.
    pub version: i64,
    /// What it did to each integration instance the last time.
    pub runs: Vec<AutoCloseRun>,
}

/// What a rule did to an integration instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AutoCloseRun {
    /// Name of the instance.
    pub instance: String,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// `engine/stale` by itself, else who asked.
    pub by: String,
    /// Items that the rule would close.
    pub matched: i64,
    /// Items that it closed.
    pub closed: i64,
    /// Why none: `too_many` or `not_covered`; absent where nothing held it.
    pub held: Option<String>,
    /// The same as a sentence.
    pub reason: Option<String>,
}

/// What a rule would do to an integration instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AutoCloseJudged {
    /// Name of the instance.
    pub instance: String,
    /// Its open items.
    pub open: i64,
    /// Items that the rule would close.
    pub matched: i64,
    /// Why it closes none: `too_many` or `not_covered`; absent where nothing holds it.
    pub held: Option<String>,
    /// The same as a sentence.
    pub reason: Option<String>,
}

/// A new rule, or what becomes of one: what is absent stays, or gets its usual value.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AutoCloseChange {
    /// Its name; a new one needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it is gone through by itself; a new one is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Rules are gone through in this order; 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    /// What it looks at; a new one needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Days, or full pulls; a new one needs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<i64>,
    /// Which items; all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Deferred items are left alone; they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_deferred: Option<bool>,
}

/// How a rule is gone through.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AutoCloseRunRequest {
    /// Only say what it would do.
    pub dry_run: bool,
    /// Also where that is more than may close within a day.
    pub all: bool,
}
