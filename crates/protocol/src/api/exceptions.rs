//! Exceptions: requests to put items off or to call them false positives, and the decision about each.

use super::exposure::Item;
use super::scans::SkippedItem;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Exception {
    /// `VCA0000001`.
    pub number: String,
    /// `deferral` or `false_positive`.
    pub kind: String,
    /// The substate it gives: `risk_accepted`, `awaiting_maintenance_window`, `fix_unavailable`, `mitigating_control`, `other` or
    /// `false_positive`.
    pub reason: String,
    /// Why, in the requester's words.
    pub note: String,
    /// Until when; absent for a false positive that holds for ever.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub until: Option<Timestamp>,
    /// `requested`, `approved`, `rejected`, `withdrawn`, `lapsed`, `obsolete` or `revoked`.
    pub state: String,
    /// Sign-in name of who asked.
    pub requested_by: String,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub requested_at: Timestamp,
    /// When it lapses without an answer.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub answer_by: Timestamp,
    /// Sign-in name of who ended it; absent where nobody did.
    pub decided_by: Option<String>,
    /// When it ended.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub decided_at: Option<Timestamp>,
    /// What was said with the answer.
    pub answer: String,
    /// How many of its items the caller may see.
    pub items: i64,
    /// Of these: closed or went another way before the answer, which did not concern them any more.
    pub overtaken: i64,
}

/// `{"exceptions": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ExceptionsBody {
    /// The requests.
    pub exceptions: Vec<Exception>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// `{"exception": …, "items": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ExceptionBody {
    /// The request.
    pub exception: Exception,
    /// Its first 100 items that the caller may see; all of them are at `/items?q=exception:VCA0000001`.
    pub items: Vec<Item>,
}

/// A request to be made. Its items are those named, or those that match the query now; later ones do not join it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewException {
    /// `deferral` or `false_positive`.
    pub kind: String,
    /// For a deferral: `risk_accepted`, `awaiting_maintenance_window`, `fix_unavailable`, `mitigating_control` or `other`.
    #[serde(default)]
    pub reason: String,
    /// Why, 1 to 2,000 characters.
    pub note: String,
    /// Until when, for a deferral: at most 366 days ahead.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub until: Option<Timestamp>,
    /// Numbers of the items, 1 to 10,000.
    #[serde(default)]
    pub items: Vec<String>,
    /// Instead of numbers: a condition in the query language of items.
    #[serde(default)]
    pub q: Option<String>,
}

/// What came of asking.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AskedBody {
    /// The request.
    pub exception: Exception,
    /// The first 50 items that were left out, each with its reason.
    pub left_out: Vec<SkippedItem>,
    /// How many were left out in all.
    pub left_out_count: i64,
}

/// The answer to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Granted, or refused.
    pub approve: bool,
    /// What is said with it, at most 2,000 characters; needed to refuse.
    #[serde(default)]
    pub answer: String,
    /// For a false positive that is granted: until when; for ever where absent.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub until: Option<Timestamp>,
}

/// What is said with a revocation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Why, 1 to 2,000 characters.
    pub answer: String,
}

/// `{"items": …}`: what holds of deferrals and exceptions.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ItemSettingsBody {
    /// What holds now.
    pub items: ItemSettings,
}

/// What holds of deferrals and exceptions.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ItemSettings {
    /// A deferred item that closed and is found again within its time is deferred again; else it opens.
    pub defer_again: bool,
    /// Days ahead that an exception may hold at most.
    pub exception_days_max: i64,
}

/// What becomes of them; what is absent stays.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ItemSettingsChange {
    /// As above.
    pub defer_again: Option<bool>,
    /// As above, 1 to 3,650.
    pub exception_days_max: Option<i64>,
}
