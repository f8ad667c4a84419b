//! The one shape in which every scanner's word is handed on.
//!
//! Plain owned data. Names are ours, values are the scanner's: texts stay raw (they may hold HTML, pages sanitise
//! them), words outside the known vocabulary are kept as they came.

use serde::Serialize;

/// An instant: microseconds since 1970-01-01T00:00:00Z.
pub type Micros = i64;

/// One thing a reader found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation {
    /// A machine with the detections the input lists for it.
    Host(Box<HostReport>),
    /// An entry of the scanner's knowledge base.
    Vulnerability(Box<VulnerabilityReport>),
}

/// What a scanner says about one machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HostReport {
    /// The scanner's own key of the machine; absent in many report files.
    pub host_id: Option<i64>,
    /// The key of the same machine in the scanner's asset inventory.
    pub asset_id: Option<i64>,
    /// IPv4 address as written.
    pub ip: Option<String>,
    /// IPv6 address as written.
    pub ipv6: Option<String>,
    /// The scanner's network, where overlapping address ranges are kept apart.
    pub network_id: Option<i64>,
    /// The name of that network.
    pub network_name: Option<String>,
    /// How the scanner tells machines apart: `IP`, `DNS`, `NETBIOS`, `EC2`, `AGENT`, ... (an open list).
    pub tracking_method: Option<String>,
    /// Operating system as detected.
    pub os: Option<String>,
    /// The same as a CPE name.
    pub os_cpe: Option<String>,
    /// DNS name.
    pub dns: Option<String>,
    /// Host part of the DNS name, where the scanner splits it.
    pub hostname: Option<String>,
    /// Domain part of the DNS name, where the scanner splits it.
    pub domain: Option<String>,
    /// Fully qualified name, where the scanner splits it.
    pub fqdn: Option<String>,
    /// NetBIOS name.
    pub netbios: Option<String>,
    /// Identity of the scanner's agent on the machine (`QG_HOSTID`).
    pub agent_uuid: Option<String>,
    /// Cloud provider's name.
    pub cloud_provider: Option<String>,
    /// Cloud service's name.
    pub cloud_service: Option<String>,
    /// The instance's id at the cloud provider.
    pub cloud_instance_id: Option<String>,
    /// Tags the scanner holds for the machine.
    pub tags: Vec<TagReport>,
    /// Asset groups by title.
    pub asset_groups: Vec<String>,
    /// The scanner's own risk score of the machine, 0-1000 (`TRURISK_SCORE`).
    pub risk_score: Option<i64>,
    /// The scanner's own criticality of the machine, 1-5.
    pub criticality: Option<i64>,
    /// Last scan of any kind.
    pub last_scan_at: Option<Micros>,
    /// Last vulnerability scan.
    pub last_vm_scan_at: Option<Micros>,
    /// Last vulnerability scan that could sign in.
    pub last_vm_auth_scan_at: Option<Micros>,
    /// Last compliance scan.
    pub last_compliance_scan_at: Option<Micros>,
    /// Last contact of the scanner's agent.
    pub last_activity_at: Option<Micros>,
    /// The detections the input lists for this machine, in its order, duplicates included.
    pub detections: Vec<DetectionReport>,
}

/// A tag of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TagReport {
    /// The scanner's key of the tag.
    pub id: Option<i64>,
    /// The tag's name.
    pub name: String,
}

/// What a scanner says about one occurrence of a vulnerability on a machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DetectionReport {
    /// The scanner's key of the detection; absent from older subscriptions and from report files.
    pub unique_id: Option<i64>,
    /// The vulnerability's number.
    pub qid: i64,
    /// How sure the scanner is, and whether it is a weakness at all.
    pub kind: DetectionKind,
    /// 1-5, as the scanner numbers it.
    pub severity: Option<i64>,
    /// Port, where the detection belongs to one.
    pub port: Option<i64>,
    /// `tcp` or `udp`.
    pub protocol: Option<String>,
    /// Name under which the service was reached.
    pub fqdn: Option<String>,
    /// Whether the service speaks TLS.
    pub ssl: Option<bool>,
    /// Which of several instances on the machine (a database, say).
    pub instance: Option<String>,
    /// Name of the service.
    pub service: Option<String>,
    /// The scanner's evidence, entities already resolved; tabs separate table columns.
    pub results: Option<String>,
    /// Where the detection is in its life; absent on informational rows.
    pub status: Option<DetectionStatus>,
    /// First sighting.
    pub first_found_at: Option<Micros>,
    /// Latest sighting.
    pub last_found_at: Option<Micros>,
    /// Latest time it was found gone; may stem from an earlier cycle of an active detection.
    pub last_fixed_at: Option<Micros>,
    /// Latest time it came back.
    pub last_reopened_at: Option<Micros>,
    /// How often it was seen.
    pub times_found: Option<i64>,
    /// How often it came back.
    pub times_reopened: Option<i64>,
    /// Latest test.
    pub last_test_at: Option<Micros>,
    /// Latest change of the row.
    pub last_update_at: Option<Micros>,
    /// Latest time the scanner's platform processed the row.
    pub last_processed_at: Option<Micros>,
    /// Detection score 1-100 (`QDS`).
    pub score: Option<i64>,
    /// What the score was made of, in the input's order, unknown names included.
    pub score_factors: Vec<ScoreFactor>,
    /// Someone told the scanner to ignore it.
    pub ignored: bool,
    /// The vulnerability is disabled in the scanner's knowledge base.
    pub disabled: bool,
    /// CVSS v2 as the report states it for this row (only in report files).
    pub cvss2: Option<CvssReport>,
    /// CVSS v3 as the report states it for this row (only in report files).
    pub cvss3: Option<CvssReport>,
}

/// One named part of a detection score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScoreFactor {
    /// The factor's name, for example `RTI` or `mitigation_controls`.
    pub name: String,
    /// Its value as text.
    pub value: String,
}

/// How sure the scanner is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DetectionKind {
    /// A weakness, shown.
    Confirmed,
    /// A weakness, suspected.
    Potential,
    /// A fact about the machine, not a weakness.
    Info,
    /// A word we do not know, as it came; empty when the input gave none.
    Other(String),
}

impl DetectionKind {
    /// The word of the host list detection, or of the asset data report (`Vuln`, `Practice`, `Ig`), in any case.
    pub fn parse(word: &str) -> DetectionKind {
        if ["confirmed", "vuln"].iter().any(|known| word.eq_ignore_ascii_case(known)) {
            DetectionKind::Confirmed
        } else if ["potential", "practice"].iter().any(|known| word.eq_ignore_ascii_case(known)) {
            DetectionKind::Potential
        } else if ["info", "ig"].iter().any(|known| word.eq_ignore_ascii_case(known)) {
            DetectionKind::Info
        } else {
            DetectionKind::Other(word.to_owned())
        }
    }
}

/// Where a detection is in its life, in the scanner's words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DetectionStatus {
    /// Seen once.
    New,
    /// Seen again.
    Active,
    /// Not found by a scan that was able to test it.
    Fixed,
    /// Found again after it was fixed.
    Reopened,
    /// A word we do not know, as it came.
    Other(String),
}

impl DetectionStatus {
    /// Reads the word in any case, with or without the hyphen in `Re-Opened`.
    pub fn parse(word: &str) -> DetectionStatus {
        let plain: String = word.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase()).collect();
        match plain.as_str() {
            "new" => DetectionStatus::New,
            "active" => DetectionStatus::Active,
            "fixed" => DetectionStatus::Fixed,
            "reopened" => DetectionStatus::Reopened,
            _ => DetectionStatus::Other(word.to_owned()),
        }
    }
}

/// One entry of a scanner's knowledge base.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct VulnerabilityReport {
    /// The vulnerability's number.
    pub qid: i64,
    /// What kind of finding it is; a report file's glossary does not say.
    pub kind: Option<VulnerabilityKind>,
    /// 1-5, as the scanner numbers it.
    pub severity: Option<i64>,
    /// Title, may hold markup.
    pub title: Option<String>,
    /// The scanner's category.
    pub category: Option<String>,
    /// CVE names in upper case, each once, in the input's order.
    pub cves: Vec<String>,
    /// The scanner's own score of some of them, 1-100 (`QVS`).
    pub cve_scores: Vec<CveScore>,
    /// Bugtraq ids.
    pub bugtraq_ids: Vec<String>,
    /// What is wrong: raw HTML fragment.
    pub threat: Option<String>,
    /// The subscription's own remark to `threat`.
    pub threat_comment: Option<String>,
    /// What an attacker gains: raw HTML fragment.
    pub impact: Option<String>,
    /// The subscription's own remark to `impact`.
    pub impact_comment: Option<String>,
    /// What to do: raw HTML fragment.
    pub solution: Option<String>,
    /// The subscription's own remark to `solution`.
    pub solution_comment: Option<String>,
    /// CVSS v2.
    pub cvss2: Option<CvssReport>,
    /// CVSS v3.
    pub cvss3: Option<CvssReport>,
    /// Whether a vendor patch exists.
    pub patchable: Option<bool>,
    /// Whether it counts for PCI.
    pub pci: Option<bool>,
    /// First publication.
    pub published_at: Option<Micros>,
    /// Latest change by the scanner's vendor.
    pub modified_at: Option<Micros>,
    /// Latest change of the detection logic.
    pub code_modified_at: Option<Micros>,
    /// Latest change by the subscription itself.
    pub customized_at: Option<Micros>,
    /// Disabled in the subscription.
    pub disabled: bool,
    /// Real-time threat indicators.
    pub threat_intelligence: Vec<ThreatIndicator>,
    /// Affected software.
    pub software: Vec<SoftwareReport>,
    /// The vendors' own advisories.
    pub vendor_references: Vec<ReferenceReport>,
    /// Known exploits.
    pub exploits: Vec<ExploitReport>,
    /// Names of known malware that uses it.
    pub malware: Vec<String>,
    /// Whether it can be found over the network.
    pub remote_discovery: Option<bool>,
    /// Sign-in kinds with which it can be found.
    pub authentication_types: Vec<String>,
}

/// What kind of finding a knowledge base entry describes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VulnerabilityKind {
    /// A weakness.
    Vulnerability,
    /// A suspected weakness.
    Potential,
    /// Either, depending on what the scan could see.
    VulnerabilityOrPotential,
    /// A fact about the machine.
    Information,
    /// A word we do not know, as it came.
    Other(String),
}

impl VulnerabilityKind {
    /// Reads the word of the knowledge base, in any case.
    pub fn parse(word: &str) -> VulnerabilityKind {
        match word.to_ascii_lowercase().as_str() {
            "vulnerability" => VulnerabilityKind::Vulnerability,
            "potential vulnerability" => VulnerabilityKind::Potential,
            "vulnerability or potential vulnerability" => VulnerabilityKind::VulnerabilityOrPotential,
            "information gathered" => VulnerabilityKind::Information,
            _ => VulnerabilityKind::Other(word.to_owned()),
        }
    }
}

/// The scanner's own score of a CVE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CveScore {
    /// The CVE's name in upper case.
    pub cve: String,
    /// 1-100.
    pub score: i64,
}

/// A CVSS score.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CvssReport {
    /// Base score 0.0-10.0. Where a report states only a final score for a row, that one.
    pub base: Option<f64>,
    /// Temporal score 0.0-10.0.
    pub temporal: Option<f64>,
    /// The vector as written.
    pub vector: Option<String>,
    /// `3.0` or `3.1`, where stated.
    pub version: Option<String>,
}

/// A real-time threat indicator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ThreatIndicator {
    /// The scanner's key; an open vocabulary.
    pub id: Option<i64>,
    /// The indicator's name.
    pub name: String,
}

/// Software that is affected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SoftwareReport {
    /// Who makes it.
    pub vendor: Option<String>,
    /// What it is called.
    pub product: Option<String>,
}

/// A reference with an optional address. The address is foreign text: show it, never fetch it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReferenceReport {
    /// The reference's own id.
    pub id: Option<String>,
    /// Where it can be read.
    pub url: Option<String>,
}

/// A known exploit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ExploitReport {
    /// Who lists it.
    pub source: Option<String>,
    /// Its id there.
    pub reference: Option<String>,
    /// What it says.
    pub description: Option<String>,
    /// Where it can be read.
    pub link: Option<String>,
}
