//! Vulnerabilities, assets and vulnerable items.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// `{"vulnerabilities": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct VulnerabilitiesBody {
    /// The vulnerabilities.
    pub vulnerabilities: Vec<Vulnerability>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// `{"vulnerability": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct VulnerabilityBody {
    /// The vulnerability.
    pub vulnerability: Vulnerability,
    /// Its texts.
    pub texts: VulnerabilityTexts,
    /// What the catalogue says of its CVEs that nothing sound exists for, short of the fix.
    #[serde(default)]
    pub no_sound_mitigation: Vec<super::catalogue::NoMitigation>,
    /// CVSS v3 vector; empty where there is none.
    pub cvss3_vector: String,
}

/// One scanner signature, and what is open of it on the assets the caller may know of.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Vulnerability {
    /// The scanner's number.
    pub qid: i64,
    /// Title, as the scanner writes it: foreign text.
    pub title: String,
    /// `vulnerability`, `potential`, `vulnerability_or_potential`, `information`, or the scanner's own word.
    pub kind: String,
    /// 1 to 5, as the scanner numbers it; 0 when unknown.
    pub severity: i64,
    /// The scanner's category.
    pub category: String,
    /// CVEs.
    pub cves: Vec<String>,
    /// CVSS v2 base score.
    pub cvss2: Option<f64>,
    /// CVSS v3 base score.
    pub cvss3: Option<f64>,
    /// A vendor patch exists.
    pub patchable: bool,
    /// Disabled at the scanner.
    pub disabled: bool,
    /// Known from a detection only so far.
    pub placeholder: bool,
    /// First published.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub published_at: Option<Timestamp>,
    /// Last changed at the scanner.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub modified_at: Option<Timestamp>,
    /// Mitigations and fixes of the catalogue that apply to it.
    pub eliminations: i64,
    /// Items of it that are not closed.
    pub open_items: i64,
    /// Of these: mitigated.
    pub mitigated_items: i64,
    /// Assets they are on.
    pub assets: i64,
    /// Their highest score before any mitigation; absent where nothing is open.
    pub inherent: Option<i64>,
    /// Their highest residual score; absent where nothing is open.
    pub residual: Option<i64>,
    /// How far its removal has come on the assets together: `open`, `scheduled`, `running`, `partial`, `mitigated`,
    /// `drifted`, `fixed`, `closed`; absent where it was never found.
    pub status: Option<String>,
    /// The newest job about it, `MJ0000001`; absent where there is none, or where the caller may not look at jobs.
    pub last_job: Option<String>,
}

/// The scanner's texts: foreign HTML, to be sanitised before it is shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct VulnerabilityTexts {
    /// What is wrong.
    pub threat: String,
    /// What an attacker gains.
    pub impact: String,
    /// What to do.
    pub solution: String,
}

/// `{"assets": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AssetsBody {
    /// The assets.
    pub assets: Vec<Asset>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// `{"asset": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AssetBody {
    /// The asset.
    pub asset: Asset,
    /// What the integration instances call it, and why they were taken for it.
    pub sources: Vec<AssetSource>,
    /// The mitigations in force on it, or that were.
    pub controls: Vec<AssetControl>,
}

/// A machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Asset {
    /// Key.
    pub id: i64,
    /// Name.
    pub name: String,
    /// `windows`, `linux`, `macos` or `other`.
    pub platform: String,
    /// Operating system as the scanner tells it.
    pub os: String,
    /// Address.
    pub ip: String,
    /// Fully qualified name.
    pub fqdn: String,
    /// NetBIOS name.
    pub netbios: String,
    /// The scanner's network; empty without networks.
    pub network_id: String,
    /// 1 to 5: what was set by hand, else the highest of its tags, else what the scanner said.
    pub criticality: i64,
    /// Whether it was set by hand.
    #[serde(default)]
    pub criticality_by_hand: bool,
    /// Time zone, as its agent tells it; empty when unknown.
    pub zone: String,
    /// Nothing but an address is known of it.
    #[serde(default)]
    pub placeholder: bool,
    /// Tags.
    pub tags: Vec<String>,
    /// An agent of ours is on it.
    pub agent: bool,
    /// Items that are not closed.
    pub open_items: i64,
    /// Of these: mitigated.
    pub mitigated_items: i64,
    /// Their highest residual score; absent where nothing is open.
    pub residual: Option<i64>,
    /// Its risk, and by which formula.
    #[serde(default)]
    pub risk: super::follow::Risk,
    /// First known.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// Last seen by a scanner.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub last_seen_at: Timestamp,
}

/// What one integration instance calls a machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AssetSource {
    /// Key of the source host.
    #[serde(default)]
    pub id: i64,
    /// Name of the instance.
    pub instance: String,
    /// The scanner's id of the host.
    pub host: String,
    /// UUID of the scanner's agent.
    pub agent_uuid: Option<String>,
    /// Address there.
    pub ip: String,
    /// The scanner's network.
    pub network_id: String,
    /// How the scanner tells machines apart.
    pub tracking: String,
    /// The rule that found the asset: `agent_uuid`, `asset_id`, `fqdn`, `netbios`, `dns` or `ip`; `new` where none did, `person`
    /// where somebody decided.
    pub matched_by: String,
    /// Last vulnerability scan.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub last_scan_at: Option<Timestamp>,
}

/// A mitigation on an asset.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AssetControl {
    /// Its key.
    #[serde(default)]
    pub id: i64,
    /// Catalogue entry.
    pub entry: String,
    /// What the last check says.
    pub state: String,
    /// `ours` or `external`.
    pub origin: String,
    /// Since when.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub since_at: Timestamp,
    /// Last check.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub checked_at: Timestamp,
    /// What the last check found.
    #[serde(default)]
    pub note: String,
    /// The job that put it there, or that found it there from elsewhere.
    #[serde(default)]
    pub job: Option<String>,
    /// When it expires.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Timestamp>,
    /// When it expired: it takes nothing off any more.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub expired_at: Option<Timestamp>,
}

/// What people change of an asset; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AssetChange {
    /// 1 to 5; 0 for what its tags say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criticality: Option<u8>,
    /// The tags people give it, all of them; those of scanners are not touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// `{"items": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ItemsBody {
    /// The items.
    pub items: Vec<Item>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// `{"item": …, "detections": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ItemBody {
    /// The item.
    pub item: Item,
    /// CVEs of its vulnerability.
    pub cves: Vec<String>,
    /// What the catalogue says of these CVEs that nothing sound exists for, short of the fix.
    #[serde(default)]
    pub no_sound_mitigation: Vec<super::catalogue::NoMitigation>,
    /// The occurrences it rolls up.
    pub detections: Vec<Detection>,
}

/// A vulnerability on an asset, as one integration instance reports it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Item {
    /// `VIT0000001`.
    pub number: String,
    /// The scanner's number of the vulnerability.
    pub qid: i64,
    /// Its title: foreign text.
    pub title: String,
    /// Its severity.
    pub severity: i64,
    /// Key of the asset.
    pub asset_id: i64,
    /// Its name.
    pub asset: String,
    /// Its address.
    pub ip: String,
    /// Its family of operating system.
    pub platform: String,
    /// Name of the integration instance.
    pub instance: String,
    /// The scanner's name; absent until it is active and has imported.
    pub source: Option<String>,
    /// Workflow state.
    pub state: String,
    /// Why it is in it: `fixed`, `stale`, `false_positive`, `awaiting_scan`, a reason of a deferral, or empty.
    pub substate: String,
    /// `none`, `partial`, `mitigated` or `drifted`.
    pub mitigation: String,
    /// How far its removal has come: `open`, `scheduled`, `running`, `partial`, `mitigated`, `drifted`, `fixed`, `closed`.
    pub status: String,
    /// The newest job about it, `MJ0000001`; absent where there is none, or where the caller may not look at jobs.
    pub last_job: Option<String>,
    /// Score before any mitigation.
    pub inherent: u8,
    /// Score now.
    pub residual: u8,
    /// Where the score comes from: `qds`, `qvs` or `estimated`.
    pub score_source: String,
    /// Sign-in name of who works on it.
    pub assignee: Option<String>,
    /// Which group works on it.
    pub group: Option<String>,
    /// How often it came back.
    pub reopened: u32,
    /// Last opened.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub opened_at: Timestamp,
    /// Resolved.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub resolved_at: Option<Timestamp>,
    /// Closed.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub closed_at: Option<Timestamp>,
    /// Last found by the scanner.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub last_found_at: Option<Timestamp>,
    /// Last changed.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
    /// End of its deferral; absent where it is not deferred.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub deferred_until: Option<Timestamp>,
    /// Its due date: the last moment in time; absent where it has none.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub due_at: Option<Timestamp>,
    /// How it stands with that, the remediation target status: `none`, `in_flight`, `approaching`, `missed` or `met`.
    #[serde(default)]
    pub target: String,
}

/// One occurrence of a vulnerability.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Detection {
    /// The scanner's id of the host.
    pub host: String,
    /// The scanner's own id of the row; empty where it gave none.
    pub unique_id: String,
    /// `confirmed`, `potential`, or the scanner's own word.
    pub kind: String,
    /// `tcp`, `udp` or empty.
    pub protocol: String,
    /// Port; absent for none.
    pub port: Option<i64>,
    /// Name under which the service was reached.
    pub fqdn: String,
    /// Which instance of a service.
    pub service_instance: String,
    /// `new`, `active`, `fixed`, `reopened`, or the scanner's own word.
    pub status: String,
    /// The scanner's own score.
    pub qds: Option<i64>,
    /// Score before any mitigation.
    pub inherent: u8,
    /// Where it comes from.
    pub score_source: String,
    /// Evidence: foreign text.
    pub results: String,
    /// Ignored at the scanner.
    pub ignored: bool,
    /// What excludes it: the name of a rule, `confirmed only`; empty where it counts.
    #[serde(default)]
    pub excluded: String,
    /// How often it was seen.
    pub times_found: i64,
    /// First sighting.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub first_found_at: Option<Timestamp>,
    /// Latest sighting.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub last_found_at: Option<Timestamp>,
    /// Latest time it was found gone.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub last_fixed_at: Option<Timestamp>,
    /// Latest test.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub last_test_at: Option<Timestamp>,
}

/// `{"score": …}`: what stands behind an item's score.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ScoreBody {
    /// The score.
    pub score: Score,
}

/// What stands behind an item's score.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Score {
    /// Score before any mitigation: the highest of the units.
    pub inherent: u8,
    /// Score now: the highest residual of the units.
    pub residual: u8,
    /// Where the detection's score comes from.
    pub source: String,
    /// `none`, `partial`, `mitigated` or `drifted`.
    pub mitigation: String,
    /// The rule in words.
    pub formula: String,
    /// CVEs, or the vulnerability as a whole where it has none.
    pub units: Vec<ScoreUnit>,
    /// The controls on the asset that concern it, in force or not.
    pub controls: Vec<ScoreControl>,
    /// Changes of the score, newest first.
    pub history: Vec<ScoreChange>,
}

/// One part of a score.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ScoreUnit {
    /// The CVE; absent for a vulnerability without CVEs.
    pub cve: Option<String>,
    /// Before any mitigation.
    pub inherent: u8,
    /// Where that comes from.
    pub source: String,
    /// Points taken off by the largest control.
    pub points: u8,
    /// What is left, never below 1.
    pub residual: u8,
    /// The catalogue entry of that control.
    pub entry: Option<String>,
    /// An effective control covers it full or substantially.
    pub mitigated: bool,
}

/// A control as far as it concerns one part.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ScoreControl {
    /// Catalogue entry.
    pub entry: String,
    /// Its title.
    pub title: String,
    /// The CVE; empty for the vulnerability as a whole.
    pub cve: String,
    /// `full`, `substantial` or `partial`.
    pub coverage: String,
    /// Points while effective.
    pub points: u8,
    /// What the last check says.
    pub state: String,
    /// `ours` or `external`.
    pub origin: String,
    /// The job that put it there, where one of ours did.
    pub job: Option<String>,
    /// Since when.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub since_at: Timestamp,
    /// Last check.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub checked_at: Timestamp,
}

/// A change of a score.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ScoreChange {
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Inherent score then.
    pub inherent: u8,
    /// Residual before.
    pub before: u8,
    /// Residual after.
    pub after: u8,
    /// Why.
    pub cause: String,
}

/// `{"history": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ItemHistoryBody {
    /// Newest first.
    pub history: Vec<ItemHistoryLine>,
}

/// Something that happened to an item.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ItemHistoryLine {
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// `state`, `mitigation`, `assignment`, `verdict` or `score`.
    pub what: String,
    /// Before.
    pub before: String,
    /// After.
    pub after: String,
    /// Why, or who.
    pub cause: String,
}

/// Why an item is in its state.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ItemWhyBody {
    /// Workflow state.
    pub state: String,
    /// Why it is in it, in a word; absent for none.
    pub substate: Option<String>,
    /// What decided it, until when, and what would change it, as sentences.
    pub why: Vec<String>,
}

/// Who works on an item from now on; what is absent or empty is nobody.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Sign-in name.
    #[serde(default)]
    pub assignee: Option<String>,
    /// Name of a group.
    #[serde(default)]
    pub group: Option<String>,
}

/// What several items get: a state, or whom they are given to. They are those named, or those that match the query now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ItemChanges {
    /// Numbers of the items, 1 to 10,000.
    #[serde(default)]
    pub items: Vec<String>,
    /// Instead of numbers: a condition in the query language of items.
    #[serde(default)]
    pub q: Option<String>,
    /// `open`, `under_investigation`, `awaiting_implementation` or `resolved`.
    #[serde(default)]
    pub state: Option<String>,
    /// Whom they are given to.
    #[serde(default)]
    pub assignment: Option<Assignment>,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ItemsChangedBody {
    /// So many were changed.
    pub changed: i64,
    /// So many were as wanted already, of an assignment.
    pub unchanged: i64,
    /// Those that stay as they are, by reason.
    pub refused: Vec<RefusedCount>,
}

/// How many were refused for one reason.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RefusedCount {
    /// Stable code.
    pub code: String,
    /// The reason of the first of them.
    pub reason: String,
    /// How many.
    pub count: i64,
}

/// The state an item gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StateChange {
    /// `open`, `under_investigation`, `awaiting_implementation` or `resolved`.
    pub state: String,
}
