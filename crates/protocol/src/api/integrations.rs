//! Scanners and integration instances; their appliances and imports in files of their own.

mod appliances;
mod imports;

pub use appliances::*;
pub use imports::*;

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `{"scanner": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ScannerBody {
    /// The scanner.
    pub scanner: Scanner,
}

/// `{"scanners": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ScannersBody {
    /// By name, unless sorted otherwise.
    pub scanners: Vec<Scanner>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// A product that detects.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Scanner {
    /// `qualys`.
    pub product: String,
    /// What people call it.
    pub name: String,
    /// Rescans may be requested of it.
    pub active: bool,
    /// When it was last activated.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub activated_at: Option<Timestamp>,
    /// Integration instances that use it.
    pub instances: i64,
    /// Those whose items show it as their source: from the first import after activation on.
    pub stamped: i64,
}

/// What changes of a scanner.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ScannerChange {
    /// Whether rescans may be requested of it.
    pub active: bool,
}

/// `{"instance": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct InstanceBody {
    /// The instance.
    pub instance: Instance,
}

/// `{"instances": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct InstancesBody {
    /// By name, unless sorted otherwise.
    pub instances: Vec<Instance>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// One subscription of one scanner product. Its password is never shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Instance {
    /// Key.
    pub id: i64,
    /// Name.
    pub name: String,
    /// `qualys`.
    pub product: String,
    /// Base URL of the API.
    pub api_url: String,
    /// Base URL of the gateway; empty where none is used.
    pub gateway_url: String,
    /// `basic`, `session`, `token`, or `files` for one that is filled by hand.
    pub auth: String,
    /// User name at the scanner.
    pub username: String,
    /// A password is kept.
    pub has_password: bool,
    /// Versions of the API by endpoint, where they differ from the program's.
    pub versions: BTreeMap<String, u8>,
    /// Key of the option profile of rescans, where no appliance says otherwise.
    pub default_profile: Option<String>,
    /// Appliance for addresses that no appliance's ranges hold; `External` for the scanner's own.
    pub default_appliance: Option<String>,
    /// How long a rescan is tracked.
    pub tracking_hours: i64,
    /// Minutes between two scheduled imports of detections; absent where these come at times of the day, or by hand. Each
    /// kind has its own schedule under `/instances/{id}/schedules`.
    pub interval_minutes: Option<i64>,
    /// Days that the first import of detections goes back; absent for everything.
    #[serde(default)]
    pub first_days: Option<i64>,
    /// No imports and no rescans; its records stay.
    #[serde(default)]
    pub disabled: bool,
    /// End points whose version is gone at the platform, and the later one that is used instead.
    #[serde(default)]
    pub versions_seen: Vec<VersionSeen>,
    /// The last test of the connection; absent where what is set now was not tested.
    #[serde(default)]
    pub tested: Option<ConnectionTest>,
    /// When the next scheduled import is due.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub next_import_at: Option<Timestamp>,
    /// What the last finished import of the knowledge base covered up to.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub knowledge_base_until: Option<Timestamp>,
    /// What the last finished import of detections covered up to.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub host_detection_until: Option<Timestamp>,
    /// The scanner's name as the items of this instance show it; absent until the first import after its activation.
    pub source: Option<String>,
    /// Last edited.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
}

/// A new instance.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewInstance {
    /// Name, unique.
    pub name: String,
    /// Base URL of the API.
    pub api_url: String,
    /// Base URL of the gateway, where one is used.
    #[serde(default)]
    pub gateway_url: String,
    /// `basic` when absent, `session` or `token`.
    pub auth: Option<String>,
    /// User name at the scanner.
    pub username: String,
    /// Password at the scanner; kept sealed, never shown.
    pub password: String,
    /// Versions of the API by endpoint, where they differ from the program's.
    #[serde(default)]
    pub versions: BTreeMap<String, u8>,
    /// Key of the option profile of rescans.
    pub default_profile: Option<String>,
    /// Appliance of rescans; `External` for the scanner's own.
    pub default_appliance: Option<String>,
    /// How long a rescan is tracked, 1 to 168; 24 when absent.
    pub tracking_hours: Option<i64>,
    /// Minutes between two scheduled imports, at least 15; none when absent.
    pub interval_minutes: Option<i64>,
    /// Days that the first import of detections goes back, 1 to 365; everything when absent.
    #[serde(default)]
    pub first_days: Option<i64>,
    /// Begin without imports and rescans.
    #[serde(default)]
    pub disabled: bool,
}

/// What changes of an instance; what is absent stays. Another address or user name needs the password again.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InstanceChange {
    /// Name, unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Base URL of the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_url: Option<String>,
    /// Base URL of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_url: Option<String>,
    /// `basic`, `session` or `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// User name at the scanner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password at the scanner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Versions of the API by endpoint; 0 for the program's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<BTreeMap<String, u8>>,
    /// Key of the option profile of rescans; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_profile: Option<String>,
    /// Appliance of rescans; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_appliance: Option<String>,
    /// How long a rescan is tracked, 1 to 168.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking_hours: Option<i64>,
    /// Minutes between two scheduled imports, at least 15: sets the schedules of all kinds. 0 turns all of them off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_minutes: Option<i64>,
    /// Days that the first import of detections goes back, 1 to 365; 0 for everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_days: Option<i64>,
    /// No imports and no rescans; its records stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// An end point whose version is gone at the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct VersionSeen {
    /// The end point: `knowledge_base`.
    pub endpoint: String,
    /// The version that is gone.
    pub from: u8,
    /// The one that answers.
    pub to: u8,
    /// Since when that is known.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub since: Timestamp,
}

/// `{"quotas": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct QuotasBody {
    /// By end point.
    pub quotas: Vec<Quota>,
}

/// What a platform said of its limits at one end point.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Quota {
    /// The end point: `host_list_detection`.
    pub endpoint: String,
    /// Calls allowed in a window.
    pub limit: Option<i64>,
    /// Length of the window.
    pub window_seconds: Option<i64>,
    /// Calls left in it.
    pub remaining: Option<i64>,
    /// Calls of the window that imports leave to rescans and tests.
    pub reserve: i64,
    /// No call is made before.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub wait_until: Option<Timestamp>,
    /// Calls allowed at once.
    pub concurrency: Option<i64>,
    /// When that was said.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub seen_at: Timestamp,
    /// When a call was last refused because of a limit.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub refused_at: Option<Timestamp>,
    /// In what words; empty where none was.
    pub refused: String,
}

/// Whether a connection works.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ConnectionTestBody {
    /// What came of it.
    pub test: ConnectionTest,
}

/// What came of a connection test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ConnectionTest {
    /// The credentials are good, and imports can do their work.
    pub works: bool,
    /// What was found, or what does not work, in a sentence.
    pub detail: String,
    /// What was tried, in order.
    #[serde(default)]
    pub checks: Vec<ConnectionCheck>,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub tested_at: Timestamp,
}

/// One line of a connection test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ConnectionCheck {
    /// `sign_in`, `gateway_token`, `host_list`, `detections`, `knowledge_base`, `option_profiles`, `appliances`,
    /// `asset_groups` or `scan_list`.
    pub check: String,
    /// What cannot be done without it: `imports` or `rescans`.
    pub needed_for: String,
    /// `works`, `limited`, `refused`, `failed` or `not_tried`.
    pub verdict: String,
    /// Why: `sign_in`, `account`, `permission`, `version_gone`, `dns`, `connection_refused`, `time_out`, `tls`,
    /// `wrong_host`, `connection`, `limited`, `unavailable`, `answer`, `config`, `server`, `not_tried`; empty where it
    /// works.
    pub cause: String,
    /// What was found, or what the platform said.
    pub detail: String,
    /// What to do; empty where nothing is to be done.
    pub advice: String,
}

/// `{"option_profiles": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OptionProfilesBody {
    /// The scanner's default first, then by title.
    pub option_profiles: Vec<OptionProfile>,
}

/// The scanner's own set of scan settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OptionProfile {
    /// The scanner's key.
    pub key: String,
    /// Title.
    pub title: String,
    /// The scanner's default one.
    pub is_default: bool,
    /// It looks for every vulnerability, not for a list of some.
    pub complete: bool,
}

/// Whether a rescan with an option profile looks for a vulnerability.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ProfileTestsBody {
    /// `yes`, `no` or `unknown`, where a list was not imported or the scanner does not tell what it holds.
    pub tests: String,
    /// For `no`: the search list because of which.
    pub list: Option<String>,
}
