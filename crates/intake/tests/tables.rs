//! Readers of texts with separators, and of scan results, on documents written here: every quirk that exports are known for, every
//! cut, and bytes changed at random.
use intake::observation::{DetectionKind, DetectionStatus, HostReport, VulnerabilityReport};
use intake::{Limits, Observation, ReadError, Summary, file, values};
use proptest::prelude::*;

const HLD: &str = "----BEGIN_RESPONSE_HEADER_CSV
\"Datetime\",\"User Login\",\"Resource\"
\"2026-01-02T03:04:05Z\",\"acme_ab\",\"https://platform/api/2.0/fo/asset/host/vm/detection/?action=list\"
----END_RESPONSE_HEADER_CSV
----BEGIN_RESPONSE_BODY_CSV
\"QID\",\"Host ID\",\"IP Address\",\"DNS Name\",\"Type\",\"Status\",\"Severity\",\"Port\",\"Results\",\"QDS\",\"Last Found Datetime\",\"Colour\"
\"90001\",\"7\",\"10.0.0.7\",\"web.example\",\"Confirmed\",\"Re-Opened\",\"5\",\"443\",\"Type\tName
a \"\"quoted\"\" word, and more\",\"81\",\"2026-01-01T00:00:00Z\",\"red\"
\"45038\",\"\",\"\",\"\",\"Info\",\"\",\"1\",\"0\",\"=cmd|' /C calc'!A0\",\"\",\"soon\",\"\"
\"none\",\"\",\"\",\"\",\"Confirmed\",\"Active\",\"4\",\"\",\"\",\"\",\"\",\"\"
\"90002\",\"8\",\"2001:db8::8\",\"\",\"Potential\",\"Fixed\",\"9\",\"70000\",\"\",\"\",\"\",\"\"
----END_RESPONSE_BODY_CSV
----BEGIN_RESPONSE_FOOTER_CSV
\"Status Message\"
\"Finished\"
----END_RESPONSE_FOOTER_CSV
";

const REPORT: &str = "\"Monthly report\",\"05/25/2021 at 07:40:00 (GMT)\"
\"Acme\",\"1 Long Street, \"\"Suite 5\"\"\"

\"Asset Groups\",\"IPs\",\"Active Hosts\"
\"All\",\"10.0.0.0-10.0.0.9\",\"2\"
\"Title\",\"QID\",\"IP\",\"Network\",\"DNS\",\"Tracking Method\",\"IP Status\",\"Vuln Status\",\"Type\",\"Severity\",\"Port\",\"Last Detected\",\"CVE ID\",\"CVSS3 Base\",\"CVSS3 Temporal\",\"Threat\",\"Results\"
\"A <b>hole</b>\",\"91\",\"10.0.0.1\",\"Plant 2\",\"a.example\",\"QAGENT\",\"host scanned, found vuln\",\"New\",\"Vuln\",\"4\",\"22\",\"05/13/2021 07:08:28\",\"CVE-2021-1, cve-2021-2,CVE-2021-1\",\"8.1 (AV:N/AC:H)\",\"7.4 (E:U)\",\"first line
second line\",\"seen\"
\"A fact\",\"45\",\"10.0.0.1\",\"Plant 2\",\"a.example\",\"QAGENT\",\"host scanned, found vuln\",\"\",\"Ig\",\"1\",\"\",\"13/05/2021\",\"\",\"\",\"\",\"\",\"\"
\"\",\"\",\"10.0.0.2\",\"Global Default Network\",\"\",\"IP\",\"host scanned, no vuln\"
\"\",\"92\",\"\",\"\",\"\",\"\",\"\",\"New\",\"Vuln\",\"4\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"
\"B\",\"91\",\"10.0.0.3\",\"\",\"\",\"IP\",\"x\",\"Fixed\",\"Practice\",\"4\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"
";

const BY_CVE: &str = "\"Asset Vuln Datalist Report\",\"04 Feb 2026 10:00AM GMT+0200\",\"1\"
\"Acme\"
\"CVE\",\"CVE-Description\",\"CVSSv3.1 Base (nvd)\",\"QID\",\"Title\",\"KB Severity\",\"Type Detected\",\"Last Detected\",\"Protocol\",\"Port\",\"Status\",\"Asset Id\",\"Asset Name\",\"Asset IPV4\",\"QVS Score\",\"RTI\"
\"CVE-2026-1\",\"one\",\"5.0\",\"91\",\"A\",\"5\",\"Confirmed\",\"Feb 03, 2026 07:00 AM\",\"TCP\",\"80\",\"ACTIVE\",\"1001\",\"a.example\",\"10.0.0.1\",\"30\",\"Easy Exploit,Wormable\"
\"CVE-2026-1\",\"one\",\"5.0\",\"91\",\"A\",\"5\",\"Confirmed\",\"Feb 03, 2026 07:00 AM\",\"TCP\",\"80\",\"REOPENED\",\"1002\",\"B\",\"10.0.0.2\",\"30\",\"\"
\"cve-2026-2\",\"two\",\"9.8\",\"91\",\"A\",\"5\",\"Confirmed\",\"Feb 03, 2026 07:00 AM\",\"TCP\",\"80\",\"ACTIVE\",\"1001\",\"a.example\",\"10.0.0.1\",\"95\",\"\"
\"CVE-2026-2\",\"two\",\"9.8\",\"91\",\"A\",\"5\",\"Confirmed\",\"Feb 03, 2026 07:00 AM\",\"'-\",\"0\",\"ACTIVE\",\"1001\",\"a.example\",\"10.0.0.1\",\"95\",\"\"
";

const BY_QID: &str = "\u{feff}\"QID\",\"Title\",\"Severity\",\"KB Severity\",\"Type Detected\",\"Status\",\"Asset Name\",\"First Detected\"\r
\"91\",\"A\",\"4\",\"5\",\"Confirmed\",\"NEW\",\"'-\",\"\"\r
\"91\",\"A\",\"4\",\"5\",\"Confirmed\",\"NEW\",\"HOST1\",\"Dec 31, 2025 12:00 AM\"\r
\"x\",\"A\",\"4\",\"5\",\"Confirmed\",\"NEW\",\"HOST1\",\"\"\r
";

const PCI: &str = "\"IP\",\"HOSTNAME\",\"LAST SCAN\",\"QID\",\"VULN TITLE\",\"TYPE\",\"SEVERITY\",\"PORT\",\"FALSE POSITIVE STATUS\",\"CVSS_BASE\",\"Q_SEVERITY\",\"IS_PCI\"
\"10.0.0.1\",\"shop.example\",\"2026-01-02 03:04:05\",\"91\",\"A\",\"CONFIRMED\",\"H\",\"443\",\"Approved\",\"7.5\",\"4\",\"N\"
\"10.0.0.1\",\"shop.example\",\"2026-01-02 03:04:05\",\"92\",\"B\",\"POTENTIAL\",\"L\",\"443\",\"-\",\"-\",\"1\",\"?\"
";

const SCAN: &str = r#"<?xml version="1.0"?><!DOCTYPE SCAN SYSTEM "https://platform/scan-1.dtd"><SCAN value="scan/1.2"><HEADER><KEY value="TITLE">t</KEY>
<KEY value="DATE">2026-01-02T03:04:05Z</KEY></HEADER>
<IP value="10.0.0.1" name="No registered hostname"><OS><![CDATA[ Debian 12 ]]></OS><NETBIOS_HOSTNAME>WEB</NETBIOS_HOSTNAME>
<INFOS><CAT value="Information gathering"><INFO number="6" severity="1"><TITLE>DNS name</TITLE><RESULT>x</RESULT></INFO></CAT></INFOS>
<SERVICES><CAT value="Web" port="443" protocol="TCP" misc="over SSL"><SERVICE number="7" severity="1"><TITLE>s</TITLE></SERVICE></CAT></SERVICES>
<VULNS><CAT value="Web" port="443" protocol="TCP" fqdn="v.example" misc="over SSL"><VULN number="91" severity="5" cveid="CVE-2026-1,cve-2026-2">
<TITLE>A</TITLE><CVSS_BASE source="service">7.5</CVSS_BASE><DIAGNOSIS>why</DIAGNOSIS><CVE_ID_LIST><CVE_ID><ID>CVE-2026-1</ID></CVE_ID></CVE_ID_LIST>
<RESULT format="table">a&amp;lt;b</RESULT></VULN><VULN severity="5"/><VULN number="91" severity="5"><TITLE>other</TITLE></VULN></CAT></VULNS>
<PRACTICES><CAT value="Web"><PRACTICE number="92" severity="3"/></CAT></PRACTICES></IP>
<IP value="2001:db8::1" name="six.example"/></SCAN>"#;

fn read(text: &str) -> Result<(Vec<HostReport>, Vec<VulnerabilityReport>, Summary), ReadError> {
    within(text, &Limits::default())
}

fn within(text: &str, limits: &Limits) -> Result<(Vec<HostReport>, Vec<VulnerabilityReport>, Summary), ReadError> {
    let (mut hosts, mut entries) = (Vec::new(), Vec::new());
    let report = file::read(text.as_bytes(), limits, &mut |observation| {
        match observation {
            Observation::Host(host) => hosts.push(*host),
            Observation::Vulnerability(entry) => entries.push(*entry),
        }
        Ok(())
    })?;
    Ok((hosts, entries, report.summary))
}

#[test]
fn host_list_detection_with_every_quirk() {
    let (hosts, entries, summary) = read(HLD).expect("good");
    assert!(entries.is_empty(), "it explains nothing");
    assert_eq!(summary.generated_at, values::instant("2026-01-02T03:04:05Z"));
    let [web, six] = &hosts[..] else { panic!("{hosts:?}") };
    assert_eq!((web.host_id, web.dns.as_deref(), web.detections.len()), (Some(7), Some("web.example"), 2));
    let [hole, fact] = &web.detections[..] else { panic!() };
    assert_eq!(hole.results.as_deref(), Some("Type\tName\na \"quoted\" word, and more"));
    assert_eq!((hole.status.as_ref(), hole.score, hole.port), (Some(&DetectionStatus::Reopened), Some(81), Some(443)));
    assert_eq!((&fact.kind, fact.port, fact.last_found_at), (&DetectionKind::Info, None, None), "cells said once");
    assert_eq!(fact.results.as_deref(), Some("=cmd|' /C calc'!A0"), "what a service sent is kept as it is");
    assert_eq!((six.ip.as_deref(), six.ipv6.as_deref()), (None, Some("2001:db8::8")));
    assert_eq!((summary.hosts, summary.detections, summary.rejected), (2, 3, 1));
    assert_eq!(
        (summary.rejections[0].row.as_str(), summary.rejections[0].reason.as_str()),
        ("a detection of host 7", "no QID")
    );
    let notes: Vec<_> = summary.notes.iter().map(|(note, times)| (note.as_str(), *times)).collect();
    assert_eq!(
        notes,
        [
            ("date not understood", 1),
            ("number not understood", 1),
            ("port not understood", 1),
            ("severity not understood", 1)
        ]
    );
    assert_eq!(summary.skipped.keys().collect::<Vec<_>>(), ["Colour"]);
}

#[test]
fn one_page_of_several_says_so_and_an_error_for_a_footer_is_one() {
    let finished = "\"Status Message\"\n\"Finished\"\n";
    let page = HLD.replace(
        finished,
        "WARNING\n\"CODE\",\"TEXT\",\"URL\"\n\"1980\",\"2 record limit exceeded\",\"https://elsewhere/?id_min=9\"\n",
    );
    let (.., summary) = read(&page).expect("good");
    let warning = summary.warning.expect("told");
    assert_eq!((warning.code, warning.url.as_deref()), (Some(1980), Some("https://elsewhere/?id_min=9")));
    assert!(summary.notes.keys().any(|note| note.starts_with("this is one page of several")), "{:?}", summary.notes);
    let failed = HLD.replace(finished, "\"Status Message\"\n\"Internal error\"\n");
    let error = read(&failed).expect_err("an error");
    assert!(matches!(&error, ReadError::ApiError { text, .. } if text == "Internal error"), "{error}");
}

#[test]
fn the_last_line_may_lack_its_end() {
    for text in [HLD, BY_CVE, PCI, SCAN] {
        assert!(read(text.trim_end()).is_ok(), "{text}");
    }
}

#[test]
fn without_markers_the_rows_are_all() {
    let body = HLD.split_once("BODY_CSV\n").expect("a body").1.split_once("----END").expect("its end").0;
    let (hosts, _, summary) = read(body).expect("good");
    assert_eq!((hosts.len(), summary.detections, summary.generated_at), (2, 3, None));
}

#[test]
fn a_report_with_every_quirk() {
    let (hosts, entries, summary) = read(REPORT).expect("good");
    let [first, clean, third] = &hosts[..] else { panic!("{hosts:?}") };
    assert_eq!((first.network_name.as_deref(), first.tracking_method.as_deref()), (Some("Plant 2"), Some("AGENT")));
    assert_eq!(first.detections[0].last_found_at, values::instant("2021-05-13T07:08:28Z"));
    assert_eq!((&first.detections[1].kind, first.detections[1].last_found_at), (&DetectionKind::Info, None));
    assert_eq!(
        (clean.ip.as_deref(), clean.network_name.as_deref(), clean.detections.len()),
        (Some("10.0.0.2"), Some("Global Default Network"), 0)
    );
    assert_eq!(third.detections[0].kind, DetectionKind::Potential);
    let [fact, hole] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((fact.qid, hole.qid, hole.title.as_deref()), (45, 91, Some("A <b>hole</b>")), "the first row counts");
    assert_eq!(
        (hole.cves.as_slice(), hole.threat.as_deref()),
        (&["CVE-2021-1".to_owned(), "CVE-2021-2".to_owned()][..], Some("first line\nsecond line"))
    );
    let cvss3 = hole.cvss3.as_ref().expect("a score");
    assert_eq!((cvss3.base, cvss3.temporal, cvss3.vector.as_deref()), (Some(8.1), Some(7.4), Some("AV:N/AC:H")));
    assert_eq!((summary.hosts, summary.detections, summary.rejected), (3, 3, 1));
    assert_eq!(summary.rejections[0].reason, "neither an address nor a name of its machine");
}

#[test]
fn a_report_without_a_column_for_it_lists_what_is_active() {
    let text =
        "\"IP\",\"QID\",\"Type\",\"Severity\"\n\"10.0.0.1\",\"91\",\"Vuln\",\"4\"\n\"10.0.0.1\",\"45\",\"Ig\",\"1\"\n";
    let (hosts, ..) = read(text).expect("good");
    let found: Vec<_> = hosts[0].detections.iter().map(|row| row.status.clone()).collect();
    assert_eq!(found, [Some(DetectionStatus::Active), None]);
}

#[test]
fn a_list_by_cve_counts_a_detection_once() {
    let (hosts, entries, summary) = read(BY_CVE).expect("good");
    assert_eq!((summary.hosts, summary.detections, summary.vulnerabilities), (3, 3, 1), "1001 is told in two places");
    assert_eq!(hosts.iter().map(|host| host.asset_id).collect::<Vec<_>>(), [Some(1001), Some(1002), Some(1001)]);
    assert_eq!((hosts[0].dns.as_deref(), hosts[1].netbios.as_deref()), (Some("a.example"), Some("B")));
    assert_eq!((hosts[2].detections[0].port, hosts[2].detections[0].protocol.as_deref()), (None, None));
    assert_eq!(hosts[0].detections[0].last_found_at, values::instant("2026-02-03T05:00:00Z"));
    let entry = &entries[0];
    assert_eq!(entry.cves, ["CVE-2026-1", "CVE-2026-2"]);
    assert_eq!(entry.cve_scores.iter().map(|of| of.score).collect::<Vec<_>>(), [30, 95]);
    assert_eq!(entry.cvss3.as_ref().and_then(|cvss| cvss.base), Some(9.8), "the worst of them");
    assert_eq!(entry.threat_intelligence.len(), 2);
}

#[test]
fn a_list_by_qid_without_its_title_is_taken_as_utc() {
    let (hosts, entries, summary) = read(BY_QID).expect("good");
    assert_eq!((hosts.len(), summary.rejected, entries[0].severity), (1, 2, Some(5)));
    assert_eq!(hosts[0].detections[0].first_found_at, values::instant("2025-12-31T00:00:00Z"));
    assert!(summary.notes.keys().any(|note| note.contains("taken as UTC")), "{:?}", summary.notes);
}

#[test]
fn a_pci_report() {
    let (hosts, entries, summary) = read(PCI).expect("good");
    let host = &hosts[0];
    assert_eq!(host.last_vm_scan_at, values::instant("2026-01-02T03:04:05Z"));
    assert_eq!((host.detections[0].ignored, host.detections[1].ignored), (true, false));
    assert_eq!((entries[0].pci, entries[1].pci, entries[1].cvss3.clone()), (Some(false), None, None));
    assert_eq!(
        (summary.skipped.keys().collect::<Vec<_>>(), summary.notes["flag not understood"]),
        (vec![&"SEVERITY".to_owned()], 1)
    );
}

#[test]
fn results_of_a_scan() {
    let (hosts, entries, summary) = read(SCAN).expect("good");
    let at = values::instant("2026-01-02T03:04:05Z");
    let [web, six] = &hosts[..] else { panic!("{hosts:?}") };
    assert_eq!((web.ip.as_deref(), web.dns.as_deref(), web.netbios.as_deref()), (Some("10.0.0.1"), None, Some("WEB")));
    assert_eq!((web.os.as_deref(), web.last_vm_scan_at), (Some("Debian 12"), at));
    assert_eq!(
        (six.ipv6.as_deref(), six.dns.as_deref(), six.detections.len()),
        (Some("2001:db8::1"), Some("six.example"), 0)
    );
    let rows: Vec<_> = web.detections.iter().map(|row| (row.qid, row.kind.clone(), row.status.clone())).collect();
    let active = Some(DetectionStatus::Active);
    assert_eq!(
        rows,
        [
            (6, DetectionKind::Info, None),
            (7, DetectionKind::Info, None),
            (91, DetectionKind::Confirmed, active.clone()),
            (91, DetectionKind::Confirmed, active.clone()),
            (92, DetectionKind::Potential, active),
        ]
    );
    let hole = &web.detections[2];
    assert_eq!((hole.port, hole.protocol.as_deref(), hole.ssl), (Some(443), Some("tcp"), Some(true)));
    assert_eq!(
        (hole.fqdn.as_deref(), hole.results.as_deref(), hole.last_found_at),
        (Some("v.example"), Some("a<b"), at)
    );
    let entry = entries.iter().find(|entry| entry.qid == 91).expect("explained");
    assert_eq!((entry.title.as_deref(), entry.threat.as_deref()), (Some("A"), Some("why")));
    assert_eq!(entry.cves, ["CVE-2026-1", "CVE-2026-2"]);
    assert_eq!((summary.rejected, summary.vulnerabilities), (1, 4));
    let failed = "<SCAN value=\"x\"><ERROR number=\"3001\">no scan</ERROR></SCAN>";
    assert_eq!(read(failed).expect_err("an error").kind(), "api_error");
}

/// Whatever is cut off is told, but for whole rows at the end of a text that says nowhere that it ends.
#[test]
fn a_cut_is_told() {
    for (text, header, has_end) in [
        (HLD, "\"QID\",\"Host ID\"", true),
        (SCAN, "<SCAN", true),
        (REPORT, "\"Title\",\"QID\"", false),
        (BY_CVE, "\"CVE\",", false),
        (BY_QID, "\"QID\"", false),
        (PCI, "\"IP\"", false),
    ] {
        let rows_begin = text.find(header).expect("names")
            + text.get(text.find(header).expect("names")..).unwrap_or_default().find('\n').unwrap_or(0);
        let whole = read(text).expect("good").2;
        for cut in (rows_begin..text.trim_end().len()).filter(|cut| text.is_char_boundary(*cut)) {
            let part = &text[..cut];
            match read(part) {
                Err(ReadError::Truncated { .. }) => {}
                Err(error) => panic!("cut at {cut}: {error}\n{part}"),
                Ok((.., summary)) => {
                    assert!(!has_end, "cut at {cut}: taken as whole\n{part}");
                    // A row is whole, or its last cell is without its quotes and the row has all its cells.
                    assert!(part.ends_with(['"', '\n', '\r', ',']), "cut at {cut}\n{part}");
                    assert!(summary.detections <= whole.detections);
                }
            }
        }
    }
}

#[test]
fn what_would_be_guessed_is_refused() {
    let twice = PCI.replace("\"VULN TITLE\"", "\"VULN TITLE\",\"QID\"").replace("\"A\"", "\"A\",\"99\"");
    let error = read(&twice).expect_err("two numbers");
    assert!(error.to_string().contains("\"QID\" stands there twice"), "{error}");
    let unknown = "\"QID\",\"IP\"\n\"91\",\"10.0.0.1\"\n";
    let error = read(unknown).expect_err("too little");
    assert!(error.to_string().contains("without the columns Type and Severity"), "{error}");
    let spare = PCI.replace("\"IS_PCI\"", "\"IS_PCI\",\"x\",\"x\"");
    assert!(read(&spare).is_ok(), "columns that nobody asks for may be there twice");
}

#[test]
fn the_limits_hold() {
    let of = |text: &str, limits: Limits| within(text, &limits).expect_err("too large").to_string();
    let default = Limits::default;
    assert!(of(REPORT, Limits { detections_per_host: 1, ..default() }).contains("detections of one host"));
    assert!(of(REPORT, Limits { glossary_entries: 1, ..default() }).contains("vulnerabilities of one report"));
    assert!(of(BY_CVE, Limits { distinct_detections: 2, ..default() }).contains("a list by CVE"));
    assert!(of(PCI, Limits { input_bytes: 200, ..default() }).contains("the input"));
    assert!(of(REPORT, Limits { record_bytes: 10, ..default() }).contains("one record"));
    let (hosts, entries, summary) =
        within(REPORT, &Limits { short_text_bytes: 4, prose_bytes: 7, results_bytes: 2, list_entries: 1, ..default() })
            .expect("cut");
    assert_eq!((hosts[0].dns.as_deref(), hosts[0].detections[0].results.as_deref()), (Some("a.ex"), Some("se")));
    assert_eq!((entries[1].threat.as_deref(), entries[1].cves.len()), (Some("first l"), 1));
    assert!(summary.notes["text cut at its limit"] > 3, "{:?}", summary.notes);
    let (_, entries, summary) = within(REPORT, &Limits { glossary_bytes: 5, ..default() }).expect("left out");
    assert_eq!((entries[1].threat.as_deref(), summary.notes.len() > 1), (None, true));
}

#[test]
fn pieces_make_no_difference() {
    for text in [HLD, REPORT, BY_CVE, BY_QID, PCI, SCAN] {
        let whole = read(text).expect("good");
        for piece in [1, 2, 3, 7, 64] {
            let (mut hosts, mut entries) = (Vec::new(), Vec::new());
            let input = std::io::BufReader::with_capacity(piece, text.as_bytes());
            let report = file::read(input, &Limits::default(), &mut |observation| {
                match observation {
                    Observation::Host(host) => hosts.push(*host),
                    Observation::Vulnerability(entry) => entries.push(*entry),
                }
                Ok(())
            });
            assert_eq!((hosts, entries, report.expect("good").summary), whole, "pieces of {piece}: {text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    /// A changed document is read or refused, never a panic; what is handed out before an error belongs to a void input.
    #[test]
    fn changed_documents_never_panic(which in 0usize..6, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..12)) {
        let mut bytes = [HLD, REPORT, BY_CVE, BY_QID, PCI, SCAN][which].as_bytes().to_vec();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        let mut counts = (0, 0);
        let outcome = file::read(&*bytes, &Limits::default(), &mut |observation| {
            match observation {
                Observation::Host(host) => counts.0 += host.detections.len() as u64,
                Observation::Vulnerability(_) => counts.1 += 1,
            }
            Ok(())
        });
        if let Ok(report) = outcome {
            prop_assert_eq!((report.summary.detections, report.summary.vulnerabilities), counts);
        }
    }

    #[test]
    fn cells_of_any_kind_never_panic(cells in proptest::collection::vec(prop_oneof![
        Just("\""), Just("\"\""), Just(","), Just("\n"), Just("\r"), Just("QID"), Just("IP"), Just("Type"), Just("Severity"), Just("Host ID"), Just("Status"),
        Just("----END_RESPONSE_BODY_CSV"), Just("----BEGIN_RESPONSE_BODY_CSV"), Just("91"), Just("-"), Just("é"), Just("\u{feff}"), Just(" ")], 0..80)) {
        let _ = read(&cells.concat());
    }
}
