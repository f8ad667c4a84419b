//! A scanner's word in the store's terms: keys, normal forms, and what a silent field means.

use domain::time::Timestamp;
use intake::observation::{
    CvssReport, DetectionKind, DetectionReport, DetectionStatus, HostReport, VulnerabilityKind, VulnerabilityReport,
};
use std::collections::HashMap;
use store::detections::{DetectionSeen, Machine};
use store::hosts::HostSeen;
use store::vulnerabilities::VulnerabilitySeen;

/// What the platform calls the network of a machine that is in none.
const NO_NETWORK: &str = "Global Default Network";

/// A machine with its detections.
#[must_use]
pub fn machine(report: HostReport) -> Machine {
    let processed = report.detections.iter().filter_map(|detection| detection.last_processed_at).max();
    let (host_key, keyed) = host_key(&report);
    let network_id = network(&report).unwrap_or_default();
    let name = |name: &Option<String>| name.as_deref().unwrap_or_default().trim_end_matches('.').to_lowercase();
    let (fqdn, dns) = (name(&report.fqdn), name(&report.dns));
    let host = HostSeen {
        host_key,
        keyed,
        asset_key: report.asset_id.map(|id| id.to_string()),
        agent_uuid: report.agent_uuid.map(|uuid| uuid.to_lowercase()),
        ip: report.ip.or(report.ipv6).unwrap_or_default(),
        dns: if dns.is_empty() { fqdn.clone() } else { dns },
        fqdn,
        netbios: report.netbios.unwrap_or_default().to_uppercase(),
        os: report.os.unwrap_or_default(),
        network_id,
        tracking: report.tracking_method.unwrap_or_default(),
        tags: (!report.tags.is_empty()).then(|| report.tags.into_iter().map(|tag| tag.name).collect()),
        criticality: report.criticality.and_then(|criticality| u8::try_from(criticality).ok()),
        last_scan_at: report.last_vm_scan_at.or(report.last_scan_at).map(Timestamp::from_micros),
        last_processed_at: processed.map(Timestamp::from_micros),
    };
    Machine { host, detections: report.detections.into_iter().map(detection).collect() }
}

/// The scanner's own id; for a host without one what the report tells it apart by.
fn host_key(report: &HostReport) -> (String, bool) {
    if let Some(id) = report.host_id {
        return (id.to_string(), true);
    }
    if let Some(id) = report.asset_id {
        return (format!("asset {id}"), false);
    }
    if let Some(uuid) = &report.agent_uuid {
        return (format!("agent {}", uuid.to_lowercase()), false);
    }
    let network = network(report).map(|network| format!(" network {network}")).unwrap_or_default();
    let by_dns = report.tracking_method.as_deref().is_some_and(|tracking| tracking.eq_ignore_ascii_case("dns"));
    let ip = report.ip.as_ref().or(report.ipv6.as_ref());
    let key = match (ip, &report.dns, &report.netbios) {
        (_, Some(dns), _) if by_dns => format!("dns {}", dns.to_lowercase()),
        (Some(ip), _, _) => format!("ip {ip}"),
        (None, Some(dns), _) => format!("dns {}", dns.to_lowercase()),
        (None, None, Some(netbios)) => format!("netbios {}", netbios.to_uppercase()),
        (None, None, None) => "unnamed".to_owned(),
    };
    (key + &network, false)
}

/// The network by its id, or by its name where that is all a file tells; none for the one that everybody has.
fn network(report: &HostReport) -> Option<String> {
    match report.network_id {
        Some(id) => (id != 0).then(|| id.to_string()),
        None => report.network_name.clone().filter(|name| !name.eq_ignore_ascii_case(NO_NETWORK)),
    }
}

fn detection(report: DetectionReport) -> DetectionSeen {
    let cvss = [&report.cvss3, &report.cvss2].into_iter().flatten().find_map(|cvss| cvss.base);
    DetectionSeen {
        qid: report.qid,
        unique_id: report.unique_id.map(|id| id.to_string()).unwrap_or_default(),
        kind: match report.kind {
            DetectionKind::Confirmed => "confirmed".to_owned(),
            DetectionKind::Potential => "potential".to_owned(),
            DetectionKind::Info => "info".to_owned(),
            DetectionKind::Other(word) => word,
        },
        severity: small(report.severity),
        protocol: report.protocol.unwrap_or_default(),
        port: report.port.unwrap_or(0),
        fqdn: report.fqdn.unwrap_or_default(),
        service_instance: report.instance.unwrap_or_default(),
        status: match report.status {
            None => String::new(),
            Some(DetectionStatus::New) => "new".to_owned(),
            Some(DetectionStatus::Active) => "active".to_owned(),
            Some(DetectionStatus::Fixed) => "fixed".to_owned(),
            Some(DetectionStatus::Reopened) => "reopened".to_owned(),
            Some(DetectionStatus::Other(word)) => word,
        },
        qds: small(report.score).filter(|score| *score > 0),
        cvss,
        results: report.results.unwrap_or_default(),
        ignored: report.ignored,
        disabled: report.disabled,
        times_found: report.times_found.unwrap_or(0),
        first_found_at: report.first_found_at.map(Timestamp::from_micros),
        last_found_at: report.last_found_at.map(Timestamp::from_micros),
        last_fixed_at: report.last_fixed_at.map(Timestamp::from_micros),
        last_test_at: report.last_test_at.map(Timestamp::from_micros),
        last_processed_at: report.last_processed_at.map(Timestamp::from_micros),
    }
}

/// An entry of the knowledge base.
#[must_use]
pub fn vulnerability(report: VulnerabilityReport) -> VulnerabilitySeen {
    let base = |cvss: &Option<CvssReport>| cvss.as_ref().and_then(|cvss| cvss.base);
    let scores: HashMap<String, i64> = report.cve_scores.into_iter().map(|of| (of.cve, of.score)).collect();
    let score = |cve: &String| scores.get(cve).and_then(|score| u8::try_from(*score).ok());
    VulnerabilitySeen {
        qid: report.qid,
        title: report.title.unwrap_or_default(),
        kind: match report.kind {
            None => String::new(),
            Some(VulnerabilityKind::Vulnerability) => "vulnerability".to_owned(),
            Some(VulnerabilityKind::Potential) => "potential".to_owned(),
            Some(VulnerabilityKind::VulnerabilityOrPotential) => "vulnerability_or_potential".to_owned(),
            Some(VulnerabilityKind::Information) => "information".to_owned(),
            Some(VulnerabilityKind::Other(word)) => word,
        },
        severity: small(report.severity),
        category: report.category.unwrap_or_default(),
        cvss2: base(&report.cvss2),
        cvss3: base(&report.cvss3),
        cvss3_vector: report.cvss3.and_then(|cvss| cvss.vector).unwrap_or_default(),
        patchable: report.patchable,
        threat: with_comment(report.threat, report.threat_comment),
        impact: with_comment(report.impact, report.impact_comment),
        solution: with_comment(report.solution, report.solution_comment),
        published_at: report.published_at.map(Timestamp::from_micros),
        modified_at: report.modified_at.map(Timestamp::from_micros),
        disabled: report.disabled,
        cves: report.cves.into_iter().map(|cve| (cve.clone(), score(&cve))).collect(),
    }
}

/// The subscription's own remark follows the vendor's text.
fn with_comment(text: Option<String>, comment: Option<String>) -> String {
    match (text, comment) {
        (Some(text), Some(comment)) => format!("{text}<br><br>{comment}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => String::new(),
    }
}

fn small(number: Option<i64>) -> Option<u8> {
    number.and_then(|number| u8::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_an_id_is_keyed_by_what_its_report_tracks() {
        let report = |ip: Option<&str>, dns: Option<&str>, tracking: &str, network| HostReport {
            ip: ip.map(str::to_owned),
            dns: dns.map(str::to_owned),
            tracking_method: Some(tracking.to_owned()),
            network_id: network,
            ..HostReport::default()
        };
        let key = |report: HostReport| machine(report).host.host_key;
        assert_eq!(key(report(Some("10.0.0.1"), Some("A.b"), "IP", Some(0))), "ip 10.0.0.1");
        assert_eq!(key(report(Some("10.0.0.1"), Some("A.b"), "DNS", Some(5))), "dns a.b network 5");
        assert_eq!(key(report(None, Some("A.b"), "IP", None)), "dns a.b");
        let named =
            HostReport { network_name: Some("Plant 2".to_owned()), ..report(Some("10.0.0.1"), None, "IP", None) };
        let in_none = HostReport { network_name: Some(NO_NETWORK.to_owned()), ..named.clone() };
        assert_eq!(key(in_none), "ip 10.0.0.1");
        let host = machine(named).host;
        assert_eq!((host.host_key.as_str(), host.network_id.as_str()), ("ip 10.0.0.1 network Plant 2", "Plant 2"));
        let listed = HostReport { asset_id: Some(9), ..report(Some("10.0.0.1"), None, "IP", None) };
        assert_eq!((key(listed.clone()), machine(listed).host.keyed), ("asset 9".to_owned(), false));
        let keyed = machine(HostReport { host_id: Some(7), ..report(Some("10.0.0.1"), None, "IP", None) }).host;
        assert_eq!((keyed.host_key.as_str(), keyed.keyed), ("7", true));
    }
}
