//! The readers against files nobody here wrote. They lie beside the repository in `../shared/fixtures`; where they are
//! absent every test says so loudly and passes.

use intake::observation::{DetectionKind, DetectionStatus, HostReport, Observation, VulnerabilityReport};
use intake::qualys::{asset_data_report, hld, knowledge_base};
use intake::{Limits, ReadError, Stop, Summary};
use std::path::{Path, PathBuf};

fn fixtures() -> Option<PathBuf> {
    let mut folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    loop {
        let candidate = folder.join("shared/fixtures");
        if candidate.is_dir() {
            return Some(candidate);
        }
        let Some(parent) = folder.parent() else {
            eprintln!("SKIPPED: no ../shared/fixtures beside the repository");
            return None;
        };
        folder = parent;
    }
}

fn fixture(name: &str) -> Option<Vec<u8>> {
    let path = fixtures()?.join(name);
    Some(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

#[derive(Default)]
struct Found {
    hosts: Vec<HostReport>,
    vulnerabilities: Vec<VulnerabilityReport>,
}

type Sink<'a> = &'a mut dyn FnMut(Observation) -> Result<(), Stop>;

impl Found {
    fn read(&mut self, reader: impl FnOnce(Sink<'_>) -> Result<Summary, ReadError>) -> Result<Summary, ReadError> {
        reader(&mut |observation| {
            match observation {
                Observation::Host(host) => self.hosts.push(*host),
                Observation::Vulnerability(vulnerability) => self.vulnerabilities.push(*vulnerability),
            }
            Ok(())
        })
    }
}

#[test]
fn host_list_detection() {
    let Some(bytes) = fixture("jupiterone/detections.xml") else { return };
    let mut found = Found::default();
    let summary = found.read(|sink| hld::read(&*bytes, &Limits::default(), sink)).expect("good file");
    assert_eq!((summary.hosts, summary.detections, summary.vulnerabilities), (1, 3, 0));
    assert_eq!(summary.detections_by_type["Confirmed"], 3);
    let host = &found.hosts[0];
    assert_eq!(host.host_id, Some(6506432));
    assert_eq!(host.os.as_deref(), Some("Windows 2008 R2 Enterprise Service Pack1"));
    assert_eq!(host.last_vm_scan_at, intake::values::instant("2018-04-13T03:48:50Z"));
    let detection = &host.detections[0];
    assert_eq!((detection.qid, detection.port, detection.ssl), (38170, Some(3389), Some(true)));
    assert_eq!(detection.status, Some(DetectionStatus::Active));
    let results = detection.results.as_deref().expect("results");
    assert!(results.ends_with("doesn'tresolve"), "{results}");
}

#[test]
fn asset_data_report() {
    let Some(bytes) = fixture("defectdojo/qualys/Qualys_Sample_Report.xml") else { return };
    let mut found = Found::default();
    let summary = found.read(|sink| asset_data_report::read(&*bytes, &Limits::default(), sink)).expect("good file");
    assert_eq!((summary.hosts, summary.detections, summary.vulnerabilities), (7, 301, 93));
    let types: Vec<_> = summary.detections_by_type.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    assert_eq!(types, [("Ig", 209), ("Practice", 2), ("Vuln", 90)]);
    let statuses: Vec<_> = summary.detections_by_status.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    assert_eq!(statuses, [("Active", 2), ("New", 90)]);
    assert_eq!((summary.rejected, summary.dropped_characters), (0, 0));
    assert!(summary.notes.is_empty(), "{:?}", summary.notes);
    assert!(summary.skipped.contains_key("APPENDICES"), "{:?}", summary.skipped);

    assert_eq!(found.hosts[0].dns.as_deref(), Some("demo13.s02.sjc01.qualys.com"));
    assert_eq!(found.hosts[0].asset_groups, ["App1_Asset_Group"]);
    assert_eq!(found.hosts[0].detections[0].kind, DetectionKind::Info);
    let amd = found.vulnerabilities.iter().find(|v| v.qid == 370_876).expect("QID 370876");
    let cvss3 = amd.cvss3.as_ref().expect("CVSS 3");
    assert_eq!((cvss3.base, cvss3.temporal), (Some(9.0), Some(8.2)));
    assert_eq!(cvss3.vector.as_deref(), Some("AV:N/AC:H/PR:N/UI:N/S:C/C:H/I:H/A:H"));
    assert_eq!(amd.cves.len(), 7);
    assert!(amd.threat.as_deref().is_some_and(|threat| threat.contains("<BR>")), "the raw text is kept");
}

#[test]
fn asset_data_report_without_findings() {
    let Some(bytes) = fixture("defectdojo/qualys/empty.xml") else { return };
    let mut found = Found::default();
    let summary = found.read(|sink| asset_data_report::read(&*bytes, &Limits::default(), sink)).expect("good file");
    assert_eq!((summary.hosts, summary.detections, summary.vulnerabilities), (0, 0, 0));
}

fn recorded(har: &str, url_part: &str) -> Vec<String> {
    let Some(bytes) = fixture(har) else { return Vec::new() };
    let har: serde_json::Value = serde_json::from_slice(&bytes).expect("HAR is JSON");
    let entries = har["log"]["entries"].as_array().expect("entries");
    let wanted = entries.iter().filter(|e| e["request"]["url"].as_str().is_some_and(|url| url.contains(url_part)));
    wanted.map(|e| e["response"]["content"]["text"].as_str().expect("body").to_owned()).collect()
}

#[test]
fn recorded_knowledge_base() {
    for body in recorded("jupiterone/har/steps/steps_741716276.har", "knowledge_base/vuln") {
        let mut found = Found::default();
        let summary = found.read(|sink| knowledge_base::read(body.as_bytes(), &Limits::default(), sink)).expect("good");
        assert_eq!(summary.vulnerabilities, 42);
        let count = |f: fn(&VulnerabilityReport) -> bool| found.vulnerabilities.iter().filter(|v| f(v)).count();
        assert_eq!(count(|v| v.threat.is_some()), 42);
        assert_eq!(count(|v| v.solution.is_some()), 36);
        assert_eq!(count(|v| !v.software.is_empty()), 15);
        assert_eq!(count(|v| !v.threat_intelligence.is_empty()), 16);
        assert_eq!(count(|v| !v.cves.is_empty()), 5);
        assert_eq!(count(|v| v.kind.is_some() && v.severity.is_some() && v.title.is_some()), 42);
        assert!(summary.notes.is_empty(), "{:?}", summary.notes);
    }
}
