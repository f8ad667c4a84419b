//! What nobody has to work on: rules over detections, and the settings beside them.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ExclusionRule {
    /// Key.
    pub id: i64,
    /// Name.
    pub name: String,
    /// It is in force.
    pub active: bool,
    /// Its place, from 1; of several that hold the first counts.
    pub position: i64,
    /// What it excludes, in the query language.
    pub condition: String,
    /// Detections that it excludes.
    pub excluded: i64,
    /// Last changed.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
}

/// `{"exclusion_rule": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ExclusionRuleBody {
    /// The rule.
    pub exclusion_rule: ExclusionRule,
}

/// `{"exclusion_rules": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ExclusionRulesBody {
    /// The rules, in order.
    pub exclusion_rules: Vec<ExclusionRule>,
}

/// A rule to make.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewExclusionRule {
    /// Name.
    pub name: String,
    /// What it excludes, in the query language.
    pub condition: String,
    /// In force from now on; so where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Its place, from 1; the last where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    /// More than half of all open items may be touched.
    #[serde(default)]
    pub all: bool,
}

/// What changes of a rule; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExclusionRuleChange {
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it excludes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// In force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Its place, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    /// More than half of all open items may be touched.
    #[serde(default)]
    pub all: bool,
}

/// What stands beside the rules, and how far the last change has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Exclusion {
    /// Items close where all that is open of them is excluded; else they stay as they are.
    pub close_items: bool,
    /// Keys of the integration instances of which only confirmed weaknesses count.
    pub confirmed_only: Vec<i64>,
    /// Detections that are excluded because of that.
    pub excluded: i64,
    /// Going through all that is known after the last change; absent where nothing was changed.
    pub pass: Option<ExclusionPass>,
}

/// Going through all that is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ExclusionPass {
    /// `running`, `complete` or `superseded`.
    pub state: String,
    /// Who changed what is excluded.
    pub asked_by: String,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub asked_at: Timestamp,
    /// Detections that were looked at.
    pub looked: i64,
    /// Detections that are excluded since.
    pub excluded: i64,
    /// Detections that are not excluded any more.
    pub included: i64,
    /// Items made.
    pub items_made: i64,
    /// Items closed.
    pub items_closed: i64,
    /// Its end.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub ended_at: Option<Timestamp>,
}

/// `{"exclusion": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ExclusionBody {
    /// What stands beside the rules.
    pub exclusion: Exclusion,
}

/// What changes beside the rules; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExclusionChange {
    /// Items close where all that is open of them is excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_items: Option<bool>,
    /// Keys of the instances of which only confirmed weaknesses count: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_only: Option<Vec<i64>>,
    /// More than half of all open items may be touched.
    #[serde(default)]
    pub all: bool,
}

/// A condition to be tried.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExclusionTry {
    /// In the query language.
    pub condition: String,
}

/// What a condition is about among all that is known; nothing is changed by asking.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ExclusionTriedBody {
    /// Detections that it holds for.
    pub detections: i64,
    /// Of these: not gone.
    pub open: i64,
    /// Items that are not closed and have nothing open but such.
    pub items: i64,
    /// All items that are not closed.
    pub items_open: i64,
    /// Some of the detections.
    pub examples: Vec<ExcludedDetection>,
}

/// Whether only to count.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExclusionApply {
    /// Count what would change, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What going through all that is known changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ExclusionAppliedBody {
    /// Detections that become excluded.
    pub excluded: i64,
    /// Detections that are not excluded any more.
    pub included: i64,
    /// Items that are not closed and have nothing open but what is excluded; they close where that is set.
    pub items: i64,
    /// All items that are not closed.
    pub items_open: i64,
    /// It has begun.
    pub begun: bool,
}

/// A detection that is excluded, or would be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ExcludedDetection {
    /// Key.
    pub id: i64,
    /// The scanner's number of the vulnerability.
    pub qid: i64,
    /// Its title.
    pub title: String,
    /// Key of the asset.
    pub asset_id: i64,
    /// Its name.
    pub asset: String,
    /// The integration instance.
    pub instance: String,
    /// Address of the host.
    pub ip: String,
    /// Port; 0 for none.
    pub port: i64,
    /// Protocol.
    pub protocol: String,
    /// How sure the scanner is, in its own word.
    pub kind: String,
    /// 1 to 5.
    pub severity: i64,
    /// Status.
    pub status: String,
    /// Number of the item it belongs to; absent where it made none.
    pub item: Option<String>,
    /// Latest sighting.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub last_found_at: Option<Timestamp>,
}

/// `{"detections": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ExcludedDetectionsBody {
    /// The detections.
    pub detections: Vec<ExcludedDetection>,
    /// The cursor of the next page.
    pub next: Option<String>,
}
