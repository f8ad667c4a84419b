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

/// Every file that is read: machines, detections, vulnerabilities. Of the host based report and of HackerGuardian's the manifest
/// counts each vulnerability once, on however many machines and ports; of the others each detection.
const COUNTS: &[(&str, [u64; 3])] = &[
    ("defectdojo/qualys/Qualys_Sample_Report.csv", [4, 6, 3]),
    ("defectdojo/qualys/Qualys_Sample_Report.xml", [7, 301, 93]),
    ("defectdojo/qualys/empty.xml", [0, 0, 0]),
    ("defectdojo/qualys_hacker_guardian/one_finding.csv", [1, 2, 1]),
    ("defectdojo/qualys_hacker_guardian/zero_finding.csv", [0, 0, 0]),
    ("defectdojo/qualys_infrascan_webgui/qualys_infrascan_webgui_0.xml", [1, 0, 0]),
    ("defectdojo/qualys_infrascan_webgui/qualys_infrascan_webgui_1.xml", [1, 1, 1]),
    ("defectdojo/qualys_vmdr/many_vulns_qid.csv", [5, 5, 5]),
    ("defectdojo/qualys_vmdr/no_vuln_cve.csv", [0, 0, 0]),
    ("defectdojo/qualys_vmdr/no_vuln_no_metadata_cve.csv", [0, 0, 0]),
    ("defectdojo/qualys_vmdr/no_vuln_qid.csv", [0, 0, 0]),
    ("defectdojo/qualys_vmdr/one_vuln_cve.csv", [1, 1, 1]),
    ("defectdojo/qualys_vmdr/one_vuln_qid.csv", [1, 1, 1]),
    ("jupiterone/detections.xml", [1, 3, 0]),
    ("jupiterone/host_detections_reconstructed.csv", [1, 1, 0]),
];

#[test]
fn every_file_of_qualys_gives_the_counts_of_its_manifest() {
    for (name, counts) in COUNTS {
        let Some(bytes) = fixture(name) else { return };
        let summary =
            intake::file::check(&*bytes, &Limits::default()).unwrap_or_else(|e| panic!("{name}: {e}")).summary;
        assert_eq!([summary.hosts, summary.detections, summary.vulnerabilities], *counts, "{name}");
        assert_eq!((summary.rejected, summary.dropped_characters), (0, 0), "{name}: {:?}", summary.rejections);
    }
}

fn of_file(name: &str) -> Option<(Found, Summary)> {
    let bytes = fixture(name)?;
    let mut found = Found::default();
    let summary = found.read(|sink| intake::file::read(&*bytes, &Limits::default(), sink).map(|report| report.summary));
    let summary = summary.unwrap_or_else(|error| panic!("{name}: {error}"));
    Some((found, summary))
}

#[test]
fn host_based_report_as_csv() {
    let Some((found, summary)) = of_file("defectdojo/qualys/Qualys_Sample_Report.csv") else { return };
    assert!(summary.notes.is_empty(), "{:?}", summary.notes);
    let host = &found.hosts[0];
    assert_eq!(host.dns.as_deref(), Some("ip-10-98-57-180.eu-west-1.compute.internal"));
    assert_eq!(
        (host.network_name.as_deref(), host.tracking_method.as_deref()),
        (Some("Global Default Network"), Some("AGENT"))
    );
    assert_eq!(host.tags.iter().map(|tag| tag.name.as_str()).collect::<Vec<_>>(), ["AWS", "Cloud Agent"]);
    let first = &host.detections[0];
    assert_eq!((first.qid, first.severity, first.times_found), (105_971, Some(5), Some(74)));
    assert_eq!((&first.kind, &first.status), (&DetectionKind::Confirmed, &Some(DetectionStatus::Active)));
    assert_eq!(first.first_found_at, intake::values::instant("2021-05-13T07:08:28Z"));
    assert_eq!(first.last_found_at, intake::values::instant("2021-05-25T07:36:58Z"));
    let entry = found.vulnerabilities.iter().find(|entry| entry.qid == 105_971).expect("explained");
    let cvss3 = entry.cvss3.as_ref().expect("a score");
    assert_eq!((cvss3.base, cvss3.temporal), (Some(8.1), Some(7.4)));
    assert_eq!(cvss3.vector.as_deref(), Some("AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H"));
    let windows = found.vulnerabilities.iter().find(|entry| entry.qid == 91_762).expect("explained");
    assert_eq!((windows.cves.len(), windows.vendor_references.len()), (23, 13));
    assert!(windows.threat.as_deref().is_some_and(|text| text.ends_with("KB5003233 -")), "{:?}", windows.threat);
}

#[test]
fn host_list_detection_as_csv() {
    let Some((found, summary)) = of_file("jupiterone/host_detections_reconstructed.csv") else { return };
    assert!(summary.notes.is_empty() && summary.warning.is_none(), "{:?}", summary.notes);
    let host = &found.hosts[0];
    assert_eq!((host.host_id, host.ip.as_deref()), (Some(113_574_008), Some("18.232.119.203")));
    assert_eq!(host.last_vm_scan_at, intake::values::instant("2020-11-19T15:28:08Z"));
    let row = &host.detections[0];
    assert_eq!((row.qid, row.port, row.protocol.as_deref(), row.ssl), (38_739, Some(22), Some("tcp"), Some(false)));
    assert_eq!((row.ignored, row.disabled, row.times_found), (false, false, Some(1)));
    assert_eq!(row.results.as_deref().map(|results| results.lines().count()), Some(5));
}

#[test]
fn vmdr_lists() {
    let Some((found, summary)) = of_file("defectdojo/qualys_vmdr/many_vulns_qid.csv") else { return };
    assert_eq!(summary.generated_at, intake::values::instant("2026-02-04T15:00:00Z"));
    assert_eq!(summary.notes.keys().collect::<Vec<_>>(), ["further addresses of a machine not kept"]);
    let fixed = &found.hosts[2];
    assert_eq!((fixed.asset_id, fixed.host_id), (Some(100_000_003), None));
    assert_eq!((fixed.netbios.as_deref(), fixed.ip.as_deref()), (Some("APPSERVER01"), Some("10.0.0.20")));
    let row = &fixed.detections[0];
    assert_eq!((row.status.as_ref(), row.score), (Some(&DetectionStatus::Fixed), Some(50)));
    assert_eq!(row.last_fixed_at, intake::values::instant("2026-01-20T13:00:00Z"), "in the zone of the title");
    assert_eq!((found.hosts[4].ip.as_deref(), found.hosts[4].ipv6.as_deref()), (None, Some("2001:db8::1")));

    let Some((found, summary)) = of_file("defectdojo/qualys_vmdr/one_vuln_cve.csv") else { return };
    let entry = &found.vulnerabilities[0];
    assert_eq!((entry.qid, entry.cves.as_slice()), (730_143, &["CVE-2021-44228".to_owned()][..]));
    assert_eq!(entry.cvss3.as_ref().and_then(|cvss| cvss.base), Some(10.0));
    assert_eq!((entry.cve_scores[0].score, entry.patchable), (100, Some(true)));
    assert!(summary.notes.is_empty(), "{:?}", summary.notes);

    let Some((found, _)) = of_file("defectdojo/qualys_vmdr/one_vuln_qid.csv") else { return };
    let host = &found.hosts[0];
    assert_eq!((host.netbios.as_deref(), host.ip.as_deref()), (Some("TESTSERVER01"), Some("10.0.0.1")));
    let row = &host.detections[0];
    assert_eq!((row.qid, row.port, row.protocol.as_deref(), row.severity), (100_269, None, None, Some(5)));
}

#[test]
fn scan_results() {
    let Some((found, summary)) = of_file("defectdojo/qualys_infrascan_webgui/qualys_infrascan_webgui_1.xml") else {
        return;
    };
    assert!(summary.notes.is_empty(), "{:?}", summary.notes);
    let at = intake::values::instant("2019-04-02T10:14:53Z");
    assert_eq!(summary.generated_at, at);
    let host = &found.hosts[0];
    assert_eq!((host.ip.as_deref(), host.dns.as_deref()), (Some("10.1.10.1"), Some("host1.example.com")));
    assert_eq!((host.os.as_deref(), host.last_vm_scan_at), (Some("Ubuntu 11"), at));
    let row = &host.detections[0];
    assert_eq!((row.qid, &row.kind, row.severity), (123_168, &DetectionKind::Confirmed, Some(5)));
    assert_eq!((row.status.as_ref(), row.last_found_at), (Some(&DetectionStatus::Active), at));
    let entry = &found.vulnerabilities[0];
    assert_eq!((entry.cves.len(), entry.category.as_deref()), (19, Some("Local")));
    let (cvss2, cvss3) = (entry.cvss2.as_ref().expect("version 2"), entry.cvss3.as_ref().expect("version 3"));
    assert_eq!((cvss2.base, cvss2.temporal, cvss3.base, cvss3.temporal), (Some(10.0), Some(7.8), Some(3.4), Some(3.0)));
}

#[test]
fn hacker_guardian() {
    let Some((found, summary)) = of_file("defectdojo/qualys_hacker_guardian/one_finding.csv") else { return };
    assert!(summary.notes.is_empty(), "{:?}", summary.notes);
    let host = &found.hosts[0];
    assert_eq!((host.ip.as_deref(), host.dns.as_deref()), (Some("18.238.109.17"), Some("help.example.co")));
    let ports: Vec<_> = host.detections.iter().map(|row| (row.qid, row.port, row.severity)).collect();
    assert_eq!(ports, [(150_059, Some(80), Some(1)), (150_059, Some(443), Some(1))]);
    assert_eq!(host.detections[0].kind, DetectionKind::Potential);
    assert_eq!(host.detections[0].last_found_at, intake::values::instant("2024-09-16T04:00:30Z"));
    let entry = &found.vulnerabilities[0];
    assert_eq!((entry.pci, entry.cvss3.as_ref().and_then(|cvss| cvss.base)), (Some(true), Some(5.3)));
    assert!(entry.cves.is_empty());
}

/// What every other file is called when it is refused. The order matters: the first prefix of a path counts.
const NAMES: &[(&str, bool, &str)] = &[
    ("qualys_webapp/", true, "web application scan report (WAS_SCAN_REPORT XML)"),
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
        if COUNTS.iter().any(|(known, ..)| name.ends_with(known)) {
            outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
            continue;
        }
        let wanted = NAMES.iter().find(|(part, ..)| name.contains(part)).unwrap_or_else(|| panic!("{name} is new"));
        let Err(ReadError::Refused { name: found, qualys, .. }) = &outcome else { panic!("{name}: {outcome:?}") };
        assert!(found.contains(wanted.2) && *qualys == wanted.1, "{name}: {found}");
        refused += 1;
    }
    assert!(refused > 70, "only {refused} files were looked at");
}
