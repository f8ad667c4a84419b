//! What a free-standing job chooses: assets by list, query and tags, actions by QID and catalogue entry.

use serde::{Deserialize, Serialize};

/// Which assets a free-standing job is for. The ways to name one add up; what is taken out is out, however it was named.
/// Assets outside the caller's scope are as if they did not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AssetSelection {
    /// Exactly these assets, by key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<i64>,
    /// Every asset that this query of the list of assets gives.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// Every asset with these tags; a tag stands for those below it, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `any` (default) or `all` of them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tag_match: String,
    /// Further tags that an asset chosen by tag has to carry, all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub must_tags: Vec<String>,
    /// Not what carries these tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_tags: Vec<String>,
    /// `any` (default) or `all` of them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub exclude_match: String,
    /// Not these assets, by key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_assets: Vec<i64>,
}

/// What a free-standing job does: for each asset and QID the eliminations that fit, and these entries wherever they
/// cover something that is open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ActionSelection {
    /// Vulnerabilities, by QID.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub qids: Vec<i64>,
    /// Catalogue entries. Where one covers a chosen QID it is taken instead of the best one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<String>,
    /// Catalogue entries that are never taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
}

/// A selection to be tried, without making a job.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SelectionTrial {
    /// `linux` or `windows`.
    pub platform: String,
    /// Which assets.
    pub selection: AssetSelection,
    /// What is to be done; nothing yet where absent.
    pub choose: Option<ActionSelection>,
}

/// What a selection comes to now.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SelectionBody {
    /// How many assets are chosen.
    pub chosen: i64,
    /// How many named assets are left out.
    pub left_out: i64,
    /// The chosen ones, by name, the first 500.
    pub assets: Vec<SelectedAsset>,
    /// The left-out ones with the reason, by name, the first 500.
    pub others: Vec<SelectedAsset>,
    /// What is open on the chosen assets and has an elimination on the platform, worst first, the first 500.
    pub offers: Vec<SelectionOffer>,
    /// What could not be taken of what was asked for, in sentences.
    pub notes: Vec<String>,
    /// The line that installs an agent where it is missing; absent where none is missing.
    pub install: Option<String>,
}

/// An asset that a selection names.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SelectedAsset {
    /// Key.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Address.
    pub ip: String,
    /// Operating system.
    pub os: String,
    /// Platform.
    pub platform: String,
    /// QIDs it is in the job for; empty until actions are chosen.
    pub qids: Vec<i64>,
    /// Why it is left out, as a word: `excluded`, `excluded_by_tag`, `other_platform`, `no_agent`, `nothing_to_do`.
    pub reason: String,
    /// The same in a sentence; empty where it is chosen.
    pub why: String,
}

/// A vulnerability that something can be done about on chosen assets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SelectionOffer {
    /// QID.
    pub qid: i64,
    /// Title.
    pub title: String,
    /// How many of the chosen assets have it.
    pub assets: i64,
    /// The highest residual score among them.
    pub residual: i64,
}

/// What a free-standing job chooses, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct JobPlan {
    /// Which assets; listed ones outside the caller's scope are left out.
    pub selection: AssetSelection,
    /// What is done.
    pub choose: ActionSelection,
    /// Who chose it last, by sign-in name: later runs reach no further than his scope and the owner's.
    pub by: String,
}
