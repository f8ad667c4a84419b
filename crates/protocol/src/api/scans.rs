//! Rescans: asking for one, what came of it, and its pace.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What the interface says once a rescan was asked for (S2.13).
pub const BEING_PROCESSED: &str = "the scan request is being processed";

/// A rescan of one record. An empty body means the default option profile.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RescanRequest {
    /// Key or title of an option profile of the item's integration instance; absent for the default one.
    #[serde(default)]
    pub profile: Option<String>,
    /// Mail the caller when it ends; where absent, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<bool>,
    /// Of a remediation task or an effort: leave out the items of other products instead of refusing them all.
    #[serde(default)]
    pub eligible_only: bool,
}

/// A rescan of several items: `items`, `q`, `asset`, `task` or `effort`, one of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewScan {
    /// Numbers of the items, 1 to 10,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
    /// All items that match this query text, up to 10,000; more are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Key of an asset: what is open on it and may be rescanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<i64>,
    /// Number of a remediation task: what is open in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Number of an effort: what is open in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// Key or title of an option profile; absent for the default one.
    #[serde(default)]
    pub profile: Option<String>,
    /// Leave out the items that may not be rescanned, instead of refusing the request.
    #[serde(default)]
    pub eligible_only: bool,
    /// Mail the caller when it ends; where absent, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<bool>,
    /// Digest of the plan that was looked at (`POST /scans/preview`); the answer says whether it is another one now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

/// `{"plan": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PlanBody {
    /// What the request would do.
    pub plan: Plan,
}

/// What a request would do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Plan {
    /// Recognises the same plan again.
    pub digest: String,
    /// Items it looks at.
    pub items: i64,
    /// Addresses of all its scans.
    pub addresses: i64,
    /// Its scans.
    pub scans: Vec<PlannedScan>,
    /// Items that an open request looks at already; they are not launched again.
    pub open: Vec<OpenItem>,
    /// What cannot be scanned, and why.
    pub left_out: Vec<SkippedItem>,
}

/// One scan of a plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PlannedScan {
    /// Integration instance.
    pub instance: String,
    /// Name of the appliance; `External` for the scanner's own machines.
    pub appliance: String,
    /// What the scanner says of the appliance; empty for its own machines.
    pub appliance_status: String,
    /// The scanner's network; empty without networks.
    pub network_id: String,
    /// Option profile.
    pub profile: OptionProfile,
    /// The first 20 addresses.
    pub addresses: Vec<String>,
    /// How many addresses there are.
    pub address_count: i64,
    /// Items it looks at.
    pub items: i64,
    /// When the scan window of the integration opens; absent while it is open.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    #[serde(default)]
    pub opens_at: Option<Timestamp>,
    /// The same on the clocks of the window's own time zone: `2026-12-02 22:00 Europe/Rome`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_local: Option<String>,
    /// How long scans of about this size took lately, in seconds; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_expected: Option<i64>,
    /// The first 50 vulnerabilities that the option profile does not look for, or of which that cannot be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untested: Vec<Untested>,
    /// How many there are.
    #[serde(default)]
    pub untested_count: i64,
}

/// A vulnerability that a rescan is asked for and would not test.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Untested {
    /// The scanner's number.
    pub qid: i64,
    /// `no`, or `unknown` where it cannot be told.
    pub tests: String,
    /// Why.
    pub reason: String,
}

/// What came of asking.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RequestedBody {
    /// For people.
    pub message: String,
    /// The request that looks at the items: a new one, or the open one that does already.
    pub scan: Scan,
    /// It is new.
    pub new: bool,
    /// Items that an open request looks at already; they are not launched again.
    pub open: Vec<OpenItem>,
    /// Items that were left out, and why.
    pub skipped: Vec<SkippedItem>,
    /// The plan is another than the one whose digest was sent along.
    #[serde(default)]
    pub changed: bool,
}

/// An item in an open request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OpenItem {
    /// The item.
    pub item: String,
    /// The request.
    pub scan: String,
}

/// An item that was left out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SkippedItem {
    /// The item.
    pub item: String,
    /// Only this host of it, by the key of the source host; absent where the whole item is left out.
    #[serde(default)]
    pub host: Option<i64>,
    /// Stable code of the reason.
    pub code: String,
    /// The reason.
    pub reason: String,
}

/// What the rescan dialog of an item shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OfferBody {
    /// The item can be rescanned by the caller now.
    pub allowed: bool,
    /// Stable code of the reason why not; absent where it can.
    pub code: Option<String>,
    /// The reason why not.
    pub reason: Option<String>,
    /// The default option profile; absent where there is none.
    pub default_profile: Option<OptionProfile>,
    /// The option profiles to choose from.
    pub profiles: Vec<OptionProfile>,
    /// The open request that looks at the item already.
    pub open_scan: Option<String>,
}

/// The scanner's own set of scan settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OptionProfile {
    /// The scanner's key.
    pub key: String,
    /// Title.
    pub title: String,
    /// It looks for every vulnerability. Others test a list of some: what is not on it comes back as not tested.
    pub complete: bool,
    /// In the offer of one item: that it does not look for what the item is about, or that this cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// `{"scans": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ScansBody {
    /// The requests.
    pub scans: Vec<Scan>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// A rescan request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Scan {
    /// `VSCAN0000001`.
    pub number: String,
    /// `queued`, `scanning`, `complete`, `error`, `timed_out` or `cancelled`.
    pub state: String,
    /// What is worth knowing beside the state; mostly empty.
    pub message: String,
    /// The scanner.
    pub source: String,
    /// Which record it was asked of, `assets/7`, or `resolved` where it was asked because its items were; absent for items that
    /// were named.
    #[serde(default)]
    pub asked_of: Option<String>,
    /// Option profile that was named; absent for the default.
    pub profile: Option<String>,
    /// Who asked.
    pub requested_by: String,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub requested_at: Timestamp,
    /// When it ended; absent while it is open.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub ended_at: Option<Timestamp>,
    /// Its launches, counted.
    pub children: ScanSummary,
    /// Items it looks at.
    pub items: i64,
    /// What it found, counted by target: an item on one host.
    pub verdicts: VerdictCounts,
}

/// Launches, counted (S2.15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ScanSummary {
    /// All of them.
    pub total: i64,
    /// Complete.
    pub completed: i64,
    /// Ended in an error, by time-out or cancelled.
    pub failed: i64,
    /// Neither yet.
    pub open: i64,
}

/// Verdicts, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct VerdictCounts {
    /// No longer found.
    pub fixed: i64,
    /// Found, not mitigated.
    pub still_present: i64,
    /// Found, mitigated: stays open with its lower score.
    pub still_present_mitigated: i64,
    /// The host was not reached.
    pub not_reached: i64,
    /// The host was reached, this was not tested.
    pub not_tested: i64,
    /// No verdict yet.
    pub waiting: i64,
}

/// One request with everything: Details, Scans and Source (S2.15 to S2.17).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ScanBody {
    /// Details.
    pub scan: Scan,
    /// The caller may cancel it now.
    pub cancel: Permission,
    /// Cancelling only takes the caller out, because others asked for it too.
    #[serde(default)]
    pub leaves: bool,
    /// Whether the caller may cancel it for everybody.
    pub cancel_for_all: Permission,
    /// Whether the caller may ask again for the scans that failed.
    pub retry_failed: Permission,
    /// Whether the caller may ask again for what was not reached or not tested.
    pub retry_unreached: Permission,
    /// Everybody who asked for what it looks at.
    #[serde(default)]
    pub requesters: Vec<Requester>,
    /// Scans: its launches.
    pub children: Vec<ChildScan>,
    /// Source: what it looks at, within the caller's scope; the first 5,000.
    pub sources: Vec<ScanSource>,
    /// What it leaves out and why, within the caller's scope; the first 5,000.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// Addresses that its scans have no result for, within the caller's scope.
    #[serde(default)]
    pub unscanned: Vec<Unscanned>,
}

/// An address that a scan has no result for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Unscanned {
    /// Which of the scans.
    pub child: String,
    /// The address.
    pub address: String,
    /// Why, as far as the scanner says.
    pub reason: String,
}

/// `{"scan": …, "lines": […]}`: the result of a rescan.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ScanReportBody {
    /// `VSCAN0000001`.
    pub scan: String,
    /// One line per item and host, within the caller's scope.
    pub lines: Vec<ScanSource>,
}

/// Something that a request leaves out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LeftOut {
    /// The item.
    pub item: String,
    /// Its asset.
    pub asset: String,
    /// Key of the asset.
    pub asset_id: i64,
    /// Only this host of it, by the scanner's id; absent where the whole item is left out.
    pub host: Option<String>,
    /// Stable code of the reason.
    pub code: String,
    /// The reason.
    pub reason: String,
    /// The open request that looks at it already.
    pub scan: Option<String>,
}

/// Somebody who asked for what a request looks at.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Requester {
    /// Sign-in name.
    pub name: String,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// When this person left it to the others.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub left_at: Option<Timestamp>,
}

/// Calling a rescan off. An empty body: for the caller, and for good where nobody else asked for it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// For everybody who asked for it.
    #[serde(default)]
    pub everybody: bool,
}

/// Asking again for what came to nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// `failed`: scans that failed, were cancelled or are no longer tracked; `unreached`: what was not reached or not tested.
    pub what: String,
}

/// May something be done, and why not.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Permission {
    /// It may.
    pub allowed: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// One launch at the scanner.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChildScan {
    /// `VSCAN0000001/2`.
    pub name: String,
    /// `planned`, `launching`, `running`, `finished`, `pulling`, `complete`, `error`, `timed_out` or `cancelled`.
    pub state: String,
    /// What is worth knowing: the scanner's own words of an error, what is waited for.
    pub message: String,
    /// What a scan that is not launched yet waits for: `window`, `rate`, `running` or `inactive`; absent for nothing.
    #[serde(default)]
    pub waits: Option<String>,
    /// The scanner's reference; absent until it gave one.
    pub reference: Option<String>,
    /// The same of later doubles of the launch, which are waited for as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubles: Vec<String>,
    /// Title of the scan at the scanner.
    pub title: String,
    /// Integration instance.
    pub instance: String,
    /// Name of the appliance; `External` for the scanner's own machines.
    pub appliance: String,
    /// The scanner's network; empty without networks.
    pub network_id: String,
    /// Option profile.
    pub profile: OptionProfile,
    /// Addresses.
    pub addresses: Vec<String>,
    /// What it looked at went on to a later scan, because somebody asked again.
    #[serde(default)]
    pub retried: bool,
    /// Hosts that answered, as the scanner counts them; absent while that is not known.
    #[serde(default)]
    pub hosts_alive: Option<i64>,
    /// Hosts that were asked, as the scanner counts them.
    #[serde(default)]
    pub hosts_total: Option<i64>,
    /// It ended after its tracking had, and was adopted.
    pub adopted: bool,
    /// When it was launched.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub launched_at: Option<Timestamp>,
    /// When it was first seen finished.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub finished_at: Option<Timestamp>,
    /// When it came to its end.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub ended_at: Option<Timestamp>,
    /// Until when it is tracked.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub tracking_until: Timestamp,
    /// The import run that pulled its results: `VINTRUN0000007`.
    pub import: Option<String>,
}

/// What a request looks at: an item on one host.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ScanSource {
    /// The item.
    pub item: String,
    /// Its asset.
    pub asset: String,
    /// Key of the asset.
    pub asset_id: i64,
    /// The vulnerability.
    pub qid: i64,
    /// Its title.
    pub title: String,
    /// The item's workflow state.
    pub state: String,
    /// Why it is in it; empty mostly.
    pub substate: String,
    /// Its remediation target status: `none`, `in_flight`, `approaching`, `missed` or `met`.
    #[serde(default)]
    pub target: String,
    /// Its due date; absent where it has none.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub due_at: Option<Timestamp>,
    /// What the controls in force do: `none`, `partial`, `mitigated`, `drifted`.
    pub mitigation: String,
    /// Score before any mitigation.
    pub inherent: u8,
    /// Score now.
    pub residual: u8,
    /// The address that is scanned.
    pub address: String,
    /// Which of the launches looks at it.
    pub child: String,
    /// Remediation status: `fixed`, `still_present`, `still_present_mitigated`, `not_reached` or `not_tested`; absent
    /// while there is none.
    pub verdict: Option<String>,
    /// Why, or why there is none yet.
    pub reason: String,
    /// When it was judged.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub judged_at: Option<Timestamp>,
}

/// `{"pace": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PaceBody {
    /// The pace of rescans.
    pub pace: Pace,
}

/// How often a running scan is looked at.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// Pause before the first look, 1 to 3600 seconds; it grows by half each time.
    pub first_seconds: i64,
    /// Longest pause between two looks, up to 3600 seconds.
    pub longest_seconds: i64,
    /// How long a launch whose answer was lost is searched for before it is sent again, 1 to 3600 seconds.
    pub search_seconds: i64,
}

/// `{"rules": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RulesBody {
    /// Who may ask for a rescan.
    pub rules: Rules,
}

/// Who may ask for a rescan.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// A remediation owner may rescan what is assigned to one of his groups; otherwise only what is assigned to him by
    /// name.
    pub by_group: bool,
}

/// `{"policy": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PolicyBody {
    /// When rescans of an integration instance are launched, and how many.
    pub policy: Policy,
}

/// When rescans of an integration instance are launched, and how many.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// When the scan window opens, `22:00`. What runs is not stopped at its end.
    pub from: String,
    /// When it ends, `06:00`; the same time as `from` means always.
    pub until: String,
    /// Time zone of both: `Europe/Rome`.
    pub zone: String,
    /// Scans that run at once at most, 1 to 100.
    pub running_max: i64,
    /// Launches at most within `launches_seconds`, 1 to 10,000.
    pub launches_max: i64,
    /// The time in which launches are counted, in seconds.
    pub launches_seconds: i64,
    /// What people resolve is rescanned by itself, in the name of who resolved it.
    #[serde(default)]
    pub on_resolved: bool,
}
