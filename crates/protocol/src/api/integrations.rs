//! Scanners, integration instances and import runs.

use super::response::RepeatBody;
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

/// `{"appliances": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AppliancesBody {
    /// In their precedence, unless sorted otherwise.
    pub appliances: Vec<Appliance>,
    /// The cursor of the next page.
    #[serde(default)]
    pub next: Option<String>,
}

/// `{"appliance": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApplianceBody {
    /// The row.
    pub appliance: Appliance,
}

/// Which addresses a scanner appliance serves: a row from the scanner's list, from one of its asset groups, or made by
/// people.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Appliance {
    /// Key of the row.
    pub id: i64,
    /// Key of the integration instance.
    pub instance_id: i64,
    /// Its name.
    pub instance: String,
    /// The scanner's key of the appliance; `0` for the platform's own scanners.
    pub key: String,
    /// Name.
    pub name: String,
    /// What the scanner last said of it: `Online`, `Offline`; empty where it does not list it.
    pub status: String,
    /// The asset group the row comes from; empty for none.
    pub group: String,
    /// Ranges it serves, low and high address of each.
    pub addresses: Vec<(String, String)>,
    /// The scanner's network; empty without networks.
    pub network_id: String,
    /// A query over assets whose addresses it serves, too; empty for none.
    pub condition: String,
    /// Key of the option profile used with it.
    pub profile: Option<String>,
    /// Lower wins where several serve an address.
    pub precedence: i64,
    /// Whether it is chosen by address.
    pub active: bool,
    /// Made by people.
    pub manual: bool,
}

/// A row made by hand.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewAppliance {
    /// Key of the integration instance.
    pub instance_id: i64,
    /// The scanner's key of the appliance; `0` or `External` for the platform's own scanners.
    pub key: String,
    /// Name; the key when absent.
    #[serde(default)]
    pub name: String,
    /// Addresses and ranges `a-b`, at most 10,000.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// The scanner's network.
    #[serde(default)]
    pub network_id: String,
    /// A query over assets whose addresses it serves, too.
    #[serde(default)]
    pub condition: String,
    /// Key or title of the option profile to use with it.
    pub profile: Option<String>,
    /// Lower wins; 100 when absent.
    pub precedence: Option<i64>,
}

/// What changes of a row; what is absent stays. Key, name, network and addresses of a row that comes from the scanner are
/// the scanner's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApplianceChange {
    /// The scanner's key of the appliance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Addresses and ranges `a-b`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// The scanner's network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_id: Option<String>,
    /// A query over assets; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Key or title of the option profile; empty for the instance's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Lower wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precedence: Option<i64>,
    /// Whether it is chosen by address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// `{"place": …}`: where an address is scanned from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PlaceBody {
    /// Where.
    pub place: Place,
}

/// Where an address is scanned from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Place {
    /// Key of the row; absent where the platform's own scanners are used because nothing else fits.
    pub row: Option<i64>,
    /// Name of the appliance.
    pub appliance: String,
    /// Why: `range`, `condition`, `default` or `external`.
    pub why: String,
    /// Key or title of the option profile used there; absent where none is set.
    pub profile: Option<String>,
    /// All of it in a sentence.
    pub sentence: String,
}

/// What is imported now.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// `everything` when absent, `knowledge_base`, `knowledge_base_full`, `host_detection`, `comprehensive`, `host_list`, `setup`,
    /// `option_profiles`, `appliances` or `search_lists`.
    pub kind: Option<String>,
}

/// `{"import": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportBody {
    /// The run.
    pub import: Import,
    /// What it did one after the other.
    #[serde(default)]
    pub steps: Vec<ImportStep>,
    /// The first rows of the input that could not be used; all that are described are at `/imports/{number}/rejections`.
    #[serde(default)]
    pub rejections: Vec<ImportRejection>,
}

/// One step of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportStep {
    /// `option_profiles`, `appliances`, `knowledge_base`, `host_list`, `detections`, `back_fill`, `hosts` or `file`.
    pub name: String,
    /// Answers of the platform.
    pub pages: i64,
    /// Hosts, detections and entries that were read.
    pub rows: i64,
    /// Bytes of the answers; 0 where they are not known.
    pub bytes: i64,
    /// Milliseconds of waiting for the platform, its limits and second tries among them.
    pub asked_ms: i64,
    /// Milliseconds of merging.
    pub merged_ms: i64,
    /// Begun.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub started_at: Timestamp,
    /// Ended; absent for one that is at work or did not get to its end.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub ended_at: Option<Timestamp>,
}

/// `{"rejections": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportRejectionsBody {
    /// In the input's order, at most 10,000.
    pub rejections: Vec<ImportRejection>,
}

/// `{"schedules": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportSchedulesBody {
    /// One per kind; none for an instance that is filled from files.
    pub schedules: Vec<ImportSchedule>,
}

/// `{"schedule": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportScheduleBody {
    /// The schedule.
    pub schedule: ImportSchedule,
}

/// When imports of one kind come from an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportSchedule {
    /// `knowledge_base`, `knowledge_base_full`, `host_detection`, `comprehensive`, `host_list`, `option_profiles`, `appliances` or
    /// `search_lists`.
    pub kind: String,
    /// When.
    pub cadence: CadenceBody,
    /// The same in words.
    pub words: String,
    /// The next times, at most five.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub next: Vec<Timestamp>,
    /// Since when it was due again while one was still waiting for its turn.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub held_since_at: Option<Timestamp>,
    /// Counts the edits: the number in the entity tag.
    pub version: i64,
}

/// When imports of one kind come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CadenceBody {
    /// `off`, `every` (so many minutes) or `at` (times of a day).
    pub when: String,
    /// For `every`: 15 to 43200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<i64>,
    /// For `at`: the first day and the time of day, `2026-11-22T03:00:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// For `at`: whose clock, an IANA name; `UTC` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// For `at`: on which days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<RepeatBody>,
}

/// The next times of a schedule that was not saved.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CadencePreviewBody {
    /// The schedule in words.
    pub words: String,
    /// Its next times, at most five.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub next: Vec<Timestamp>,
}

/// `{"import": …, "report": …}`: a file whose import has begun, and what it holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FileImportBody {
    /// The run.
    pub import: Import,
    /// The account of the reading: format, raw counts by type, what is skipped by name.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub report: serde_json::Value,
}

/// `{"imports": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportsBody {
    /// Newest first, unless sorted otherwise.
    pub imports: Vec<Import>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Import {
    /// `VINTRUN0000001`.
    pub number: String,
    /// Key of the instance.
    pub instance_id: i64,
    /// Its name.
    pub instance: String,
    /// `everything`, `knowledge_base`, `knowledge_base_full`, `host_detection`, `comprehensive`, `host_list`, `setup`, `option_profiles`,
    /// `appliances`, `search_lists`, `file` or `targeted`.
    pub kind: String,
    /// `schedule`, `people` or `scan`.
    pub cause: String,
    /// Who asked: `users/ada`, `engine/import`.
    pub actor: String,
    /// The file's name, or what a targeted pull is for.
    pub source: String,
    /// `queued`, `running`, `complete`, `failed` or `cancelled`.
    pub state: String,
    /// Why it failed, or a remark.
    pub detail: String,
    /// What became of the rows.
    pub counters: ImportCounters,
    /// What a finished run covered up to.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub until_at: Option<Timestamp>,
    /// Since when it waited for its turn; absent for one that did not.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub queued_at: Option<Timestamp>,
    /// Who asked that it stops: `users/ada`; mostly empty.
    #[serde(default)]
    pub cancel_by: String,
    /// Begun; of one that waits, since when it does.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub started_at: Timestamp,
    /// Ended.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub ended_at: Option<Timestamp>,
}

/// How many rows of one kind a run met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ImportCount {
    /// Not known before.
    pub new: u64,
    /// Known, and different now.
    pub updated: u64,
    /// Known and the same: not written.
    pub unchanged: u64,
    /// Left out on purpose: a second row of the same key in the same input.
    pub ignored: u64,
    /// Not usable.
    pub rejected: u64,
}

/// What became of the items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ImportItemCount {
    /// Made.
    pub new: u64,
    /// Changed in any way.
    pub updated: u64,
    /// Of these: closed.
    pub closed: u64,
    /// Of these: opened again.
    pub reopened: u64,
}

/// The counters of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ImportCounters {
    /// Entries of the knowledge base.
    pub vulnerabilities: ImportCount,
    /// Of the new ones: known from a detection only.
    pub placeholders: u64,
    /// Hosts as the scanner knows them.
    pub hosts: ImportCount,
    /// Assets made for hosts that matched none.
    pub assets_new: u64,
    /// Detections.
    pub detections: ImportCount,
    /// Items.
    pub items: ImportItemCount,
    /// Option profiles, appliances and asset groups.
    pub setup: ImportCount,
}

/// A row that could not be used.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportRejection {
    /// Which row.
    pub what: String,
    /// The line of the input at which it ended, where it has lines.
    #[serde(default)]
    pub line: Option<i64>,
    /// Why.
    pub reason: String,
}

/// `{"troubles": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportTroublesBody {
    /// The newest first; none where imports are well.
    pub troubles: Vec<ImportTrouble>,
}

/// What is wrong with imports of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportTrouble {
    /// Key of the instance.
    pub instance_id: i64,
    /// Its name.
    pub instance: String,
    /// Which imports.
    pub kind: String,
    /// `failed`, `too_long`, `held` or `sign_in`.
    pub what: String,
    /// The same in a sentence.
    pub says: String,
    /// Since when.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub since_at: Timestamp,
    /// The run it was seen in.
    pub import: Option<String>,
    /// Why.
    pub detail: String,
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
