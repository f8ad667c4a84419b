//! The readers against files nobody here wrote. They lie beside the repository in `../shared/fixtures`; where they are
//! absent every test says so loudly and passes.
#![expect(clippy::indexing_slicing, reason = "helpers of tests")]

use intake::observation::{DetectionKind, DetectionStatus, HostReport, Observation, VulnerabilityReport};
use intake::qualys::{asset_data_report, hld, knowledge_base};
use intake::{Limits, ReadError, Stop, Summary};
use std::path::PathBuf;

fn fixtures() -> Option<PathBuf> {
    skip::fixtures(env!("CARGO_MANIFEST_DIR"))
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

/// Every recorded exchange: the reader its address asks for gives what the recording holds, errors included.
#[test]
fn recorded_exchanges() {
    let Some(folder) = fixtures() else { return };
    let mut files = Vec::new();
    for sub in ["jupiterone/har", "jupiterone/har/steps"] {
        for entry in std::fs::read_dir(folder.join(sub)).expect("folder") {
            files.push(entry.expect("entry").path());
        }
    }
    files.retain(|path| path.extension().is_some_and(|ending| ending == "har"));
    files.sort();
    let mut outcomes = std::collections::BTreeMap::<String, usize>::new();
    for path in &files {
        let har: serde_json::Value = serde_json::from_slice(&std::fs::read(path).expect("file")).expect("JSON");
        for entry in har["log"]["entries"].as_array().expect("entries") {
            let url = entry["request"]["url"].as_str().expect("url");
            let body = entry["response"]["content"]["text"].as_str().unwrap_or_default();
            *outcomes.entry(outcome(url, body.as_bytes())).or_default() += 1;
        }
    }
    let outcomes: Vec<_> = outcomes.iter().map(|(what, n)| format!("{n} {what}")).collect();
    insta::assert_snapshot!(outcomes.join("\n"));
}

fn outcome(url: &str, body: &[u8]) -> String {
    use intake::qualys::{host_list, returns, service};
    let limits = Limits::default();
    let mut sink = |_| Ok(());
    let (what, result) = if url.contains("/vm/detection/") {
        let found = hld::read(body, &limits, &mut sink).map(|s| format!("{} hosts", s.hosts));
        ("detections", found)
    } else if url.contains("/knowledge_base/") {
        (
            "knowledge base",
            knowledge_base::read(body, &limits, &mut sink).map(|s| format!("{} entries", s.vulnerabilities)),
        )
    } else if url.contains("/fo/asset/host/") {
        ("host list", host_list::read(body, &limits, &mut sink).map(|list| format!("{} ids", list.ids.len())))
    } else if url.contains("/qps/") {
        ("service", service::read(body, &limits).map(|answer| format!("{:?}", answer.records)))
    } else {
        ("answer", returns::answer(body, &limits).map(|answer| answer.text))
    };
    match result {
        Ok(found) => format!("{what}: {found}"),
        Err(ReadError::ApiError { code, text, .. }) => {
            let words: String = text.chars().take(40).collect();
            format!("{what}: error {} {words}", code.unwrap_or_default())
        }
        Err(error) => format!("{what}: {}", error.kind()),
    }
}

/// What every other file is called when it is refused. The order matters: the first prefix of a path counts.
const NAMES: &[(&str, bool, &str)] = &[
    ("qualys/Qualys_Sample_Report.csv", true, "host based scan report (CSV)"),
    ("qualys_hacker_guardian/", true, "HackerGuardian report (CSV)"),
    ("qualys_infrascan_webgui/", true, "VM scan results (SCAN XML)"),
    ("qualys_vmdr/many_vulns_qid.csv", true, "VMDR vulnerability list by QID (CSV)"),
    ("qualys_vmdr/no_vuln_qid.csv", true, "VMDR vulnerability list by QID (CSV)"),
    ("qualys_vmdr/one_vuln_qid.csv", true, "VMDR vulnerability list by QID (CSV)"),
    ("qualys_vmdr/", true, "VMDR vulnerability list by CVE (CSV)"),
    ("qualys_webapp/", true, "web application scan report (WAS_SCAN_REPORT XML)"),
    ("host_detections_reconstructed.csv", true, "host list detection (CSV)"),
    ("ec2-host-assets.xml", true, "asset or web application API answer (ServiceResponse XML)"),
    ("list-host-assets.xml", true, "asset or web application API answer (ServiceResponse XML)"),
    ("har/", false, "a recording of HTTP traffic (HAR)"),
    ("anchore_grype/", false, "a Grype report"),
    ("csaf/", false, "a CSAF advisory"),
    ("cyclonedx/", false, "a CycloneDX bill of materials"),
    ("ms_defender/empty_machines.zip", false, "a ZIP archive"),
    ("ms_defender/", false, "Microsoft Defender vulnerability data"),
    ("nexpose/", false, "a Rapid7 Nexpose report (NexposeReport XML)"),
    ("openvas/many_vuln.xml", false, "an OpenVAS report (GMP XML)"),
    ("openvas/no_vuln.xml", false, "an OpenVAS report (GMP XML)"),
    ("openvas/one_vuln.xml", false, "an OpenVAS report (GMP XML)"),
    ("openvas/", false, "OpenVAS CSV"),
    ("openvex/openvex_not_a_document.json", false, "a JSON document of an unknown kind"),
    ("openvex/", false, "an OpenVEX document"),
    ("osv_scanner/no_findings.json", false, "an empty file"),
    ("osv_scanner/", false, "an OSV-Scanner report"),
    ("tenable/nessus/nessus_many_vuln.xml", false, "Nessus XML (NessusClientData_v2)"),
    ("tenable/nessus/nessus_with_cvssv3.nessus", false, "Nessus XML (NessusClientData_v2)"),
    ("tenable/", false, "Nessus or Tenable CSV"),
    ("trivy/legacy_no_vuln.json", false, "a JSON document that is only null"),
    ("trivy/", false, "a Trivy report"),
    ("wazuh/", false, "a Wazuh vulnerability list"),
];

#[test]
fn every_other_file_is_refused_by_name() {
    let Some(folder) = fixtures() else { return };
    let readable = ["qualys/Qualys_Sample_Report.xml", "qualys/empty.xml", "jupiterone/detections.xml"];
    let mut stack = vec![folder.join("defectdojo"), folder.join("jupiterone")];
    let mut refused = 0;
    while let Some(path) = stack.pop() {
        if path.is_dir() {
            stack.extend(std::fs::read_dir(&path).expect("folder").map(|entry| entry.expect("entry").path()));
            continue;
        }
        let name = path.display().to_string();
        let input = std::io::BufReader::new(std::fs::File::open(&path).expect("file"));
        let outcome = intake::file::check(input, &Limits::default());
        if readable.iter().any(|known| name.ends_with(known)) {
            outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
            continue;
        }
        let wanted = NAMES.iter().find(|(part, ..)| name.contains(part)).unwrap_or_else(|| panic!("{name} is new"));
        let Err(ReadError::Refused { name: found, qualys, .. }) = &outcome else { panic!("{name}: {outcome:?}") };
        assert!(found.contains(wanted.2) && *qualys == wanted.1, "{name}: {found}");
        refused += 1;
    }
    assert!(refused > 80, "only {refused} files were looked at");
}
