//! Documents that are cut, bent, oversized or made to hurt: an error that says so, never a panic, never a silent zero.

use intake::observation::{DetectionStatus, Observation};
use intake::qualys::{asset_data_report, hld, host_list, knowledge_base};
use intake::{HostReport, Limits, ReadError, Stop, Summary, file};
use proptest::prelude::*;
use std::io::BufReader;

const HLD: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<!DOCTYPE HOST_LIST_VM_DETECTION_OUTPUT SYSTEM
  "https://qualysapi.example/api/5.0/fo/asset/host/vm/detection/dtd/output.dtd">
<!-- before -->
<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><!-- still working --><DATETIME>2026-01-02T03:04:05Z</DATETIME>
<HOST_LIST><!-- still working --><HOST><ID>42</ID><ASSET_ID>4242</ASSET_ID><IP>10.0.0.42</IP><TRACKING_METHOD>AGENT</TRACKING_METHOD>
<OS><![CDATA[
  Debian Linux 12
]]></OS><DNS_DATA><HOSTNAME>web</HOSTNAME><FQDN>web.example</FQDN></DNS_DATA><QG_HOSTID>aaaa-bbbb</QG_HOSTID>
<TAGS><TAG><TAG_ID>7</TAG_ID><NAME><![CDATA[prod]]></NAME><COLOR>red</COLOR></TAG></TAGS>
<DETECTION_LIST><DETECTION><UNIQUE_VULN_ID>900</UNIQUE_VULN_ID><QID>38739</QID><TYPE>Confirmed</TYPE><SEVERITY>3</SEVERITY>
<PORT>22</PORT><PROTOCOL>TCP</PROTOCOL><SSL>0</SSL><RESULTS><![CDATA[Type	Name &quot;a&quot; -&gt; ]]><!-- split --><![CDATA[b]]> c &amp; d</RESULTS>
<STATUS>Re-Opened</STATUS><FIRST_FOUND_DATETIME>2026-01-01T00:00:00Z</FIRST_FOUND_DATETIME><LAST_FOUND_DATETIME>soon</LAST_FOUND_DATETIME>
<QDS severity="HIGH">81</QDS><QDS_FACTORS><QDS_FACTOR name="RTI"><![CDATA[a,b]]></QDS_FACTOR><QDS_FACTOR name="new_one">x</QDS_FACTOR></QDS_FACTORS>
<TIMES_FOUND>5</TIMES_FOUND><IS_IGNORED>1</IS_IGNORED></DETECTION><DETECTION><TYPE>Info</TYPE></DETECTION>
<DETECTION><TYPE>Strange</TYPE><QID>5</QID><STATUS>Sleeping</STATUS><PORT>0</PORT></DETECTION></DETECTION_LIST></HOST>
<HOST><ID>42</ID></HOST><HOST><IP>10.0.0.43</IP></HOST></HOST_LIST>
<WARNING><CODE>1980</CODE><TEXT>more</TEXT><URL><![CDATA[https://elsewhere/?action=list&id_min=43]]></URL></WARNING></RESPONSE>
</HOST_LIST_VM_DETECTION_OUTPUT>
<!-- after -->"#;

const REPORT: &str = r#"<ASSET_DATA_REPORT><HEADER><GENERATION_DATETIME>2026-01-02T03:04:05Z</GENERATION_DATETIME></HEADER>
<HOST_LIST><HOST><IP network_id="3">10.0.0.1</IP><TRACKING_METHOD>IP</TRACKING_METHOD><HOST_ID>9</HOST_ID><ASSET_TAGS><ASSET_TAG>a</ASSET_TAG>
</ASSET_TAGS><VULN_INFO_LIST><VULN_INFO><QID id="qid_6">6</QID><TYPE>Ig</TYPE><SSL>false</SSL></VULN_INFO><VULN_INFO><QID id="qid_7"></QID>
<TYPE>Vuln</TYPE><VULN_STATUS>Fixed</VULN_STATUS><CVSS_FINAL>-</CVSS_FINAL><CVSS3_FINAL>9.1 (AV:N)</CVSS3_FINAL></VULN_INFO></VULN_INFO_LIST>
</HOST><HOST><NETBIOS></NETBIOS></HOST></HOST_LIST><GLOSSARY><VULN_DETAILS_LIST><VULN_DETAILS id="qid_7"><QID id="qid_7">7</QID><TITLE>t &lt;b&gt;</TITLE>
<SEVERITY>9</SEVERITY><CVE_ID_LIST><CVE_ID><ID>cve-2026-1</ID></CVE_ID><CVE_ID><ID></ID></CVE_ID><CVE_ID><ID>CVE-2026-1</ID></CVE_ID></CVE_ID_LIST>
</VULN_DETAILS></VULN_DETAILS_LIST></GLOSSARY><APPENDICES><X/></APPENDICES></ASSET_DATA_REPORT>"#;

const KB: &str = r#"<KNOWLEDGE_BASE_VULN_LIST_OUTPUT><RESPONSE><VULN_LIST><VULN><QID>11</QID><VULN_TYPE>Potential Vulnerability</VULN_TYPE>
<SEVERITY_LEVEL>4</SEVERITY_LEVEL><TITLE/><PATCHABLE>1</PATCHABLE><CVSS_V3><BASE>7.5</BASE><VECTOR_STRING>CVSS:3.1/AV:N</VECTOR_STRING></CVSS_V3>
<THREAT_INTELLIGENCE><THREAT_INTEL id="2"><![CDATA[Exploit_Public]]></THREAT_INTEL></THREAT_INTELLIGENCE>
<CORRELATION><EXPLOITS><EXPLT_SRC><EXPLT_LIST><EXPLT><REF>r</REF></EXPLT><EXPLT/></EXPLT_LIST><SRC_NAME>s</SRC_NAME></EXPLT_SRC><EXPLT_SRC/></EXPLOITS></CORRELATION>
<CVE_LIST><CVE><ID>CVE-2026-2</ID></CVE></CVE_LIST><CATEGORY>after</CATEGORY><IS_DISABLED>1</IS_DISABLED></VULN></VULN_LIST></RESPONSE>
</KNOWLEDGE_BASE_VULN_LIST_OUTPUT>"#;

fn limits() -> Limits {
    Limits::default()
}

fn hosts_of(text: &[u8], limits: &Limits) -> Result<(Vec<HostReport>, Summary), ReadError> {
    let mut hosts = Vec::new();
    let summary = hld::read(text, limits, &mut |observation| {
        if let Observation::Host(host) = observation {
            hosts.push(*host);
        }
        Ok(())
    })?;
    Ok((hosts, summary))
}

fn everything(text: &[u8], chunk: usize) -> Result<(Vec<Observation>, Summary), ReadError> {
    let mut all = Vec::new();
    let report = file::read(BufReader::with_capacity(chunk, text), &limits(), &mut |observation| {
        all.push(observation);
        Ok(())
    })?;
    Ok((all, report.summary))
}

#[test]
fn a_host_with_every_quirk() {
    let (hosts, summary) = hosts_of(HLD.as_bytes(), &limits()).expect("good");
    assert_eq!(hosts.len(), 2, "duplicates pass through");
    let host = &hosts[0];
    assert_eq!((host.host_id, host.asset_id), (Some(42), Some(4242)));
    assert_eq!(host.os.as_deref(), Some("Debian Linux 12"), "white space around CDATA is trimmed");
    assert_eq!((host.hostname.as_deref(), host.fqdn.as_deref()), (Some("web"), Some("web.example")));
    assert_eq!((host.tags[0].id, host.tags[0].name.as_str()), (Some(7), "prod"));
    let [first, odd] = &host.detections[..] else { panic!("{:?}", host.detections) };
    assert_eq!(first.unique_id, Some(900));
    assert_eq!(first.results.as_deref(), Some("Type\tName \"a\" -> b c & d"));
    assert_eq!(first.status, Some(DetectionStatus::Reopened));
    assert_eq!((first.score, first.ignored, first.disabled), (Some(81), true, false));
    assert_eq!(first.last_found_at, None, "a date that is none is no reason to stop");
    assert_eq!(first.protocol.as_deref(), Some("tcp"));
    let factors: Vec<_> = first.score_factors.iter().map(|f| (f.name.as_str(), f.value.as_str())).collect();
    assert_eq!(factors, [("RTI", "a,b"), ("new_one", "x")]);
    assert_eq!(odd.status, Some(DetectionStatus::Other("Sleeping".to_owned())));
    assert_eq!(odd.port, None);
    assert_eq!((summary.hosts, summary.detections, summary.rejected), (2, 2, 2));
    assert_eq!(summary.notes["date not understood"], 1);
    assert_eq!(summary.skipped["COLOR"], 1);
    let warning = summary.warning.expect("warning");
    assert_eq!((warning.code, warning.url.as_deref()), (Some(1980), Some("https://elsewhere/?action=list&id_min=43")));
}

#[test]
fn a_report_with_every_quirk() {
    let (all, summary) = everything(REPORT.as_bytes(), 4096).expect("good");
    let [Observation::Host(host), Observation::Vulnerability(vulnerability)] = &all[..] else { panic!("{all:?}") };
    assert_eq!((host.network_id, host.host_id, host.tags[0].name.as_str()), (Some(3), Some(9), "a"));
    assert_eq!(host.detections[1].qid, 7, "an empty QID element has its number in the attribute");
    assert_eq!(host.detections[1].status, Some(DetectionStatus::Fixed));
    assert_eq!(host.detections[1].cvss2, None);
    assert_eq!(host.detections[1].cvss3.as_ref().and_then(|cvss| cvss.base), Some(9.1));
    assert_eq!(vulnerability.title.as_deref(), Some("t <b>"));
    assert_eq!((vulnerability.severity, vulnerability.cves.as_slice()), (None, &["CVE-2026-1".to_owned()][..]));
    assert_eq!(summary.rejected, 1);
    assert_eq!(summary.notes["severity not understood"], 1);
    assert_eq!(summary.notes["reference without id"], 1);
}

#[test]
fn a_knowledge_base_with_every_quirk() {
    let (all, _) = everything(KB.as_bytes(), 4096).expect("good");
    let [Observation::Vulnerability(found)] = &all[..] else { panic!("{all:?}") };
    assert_eq!((found.title.as_deref(), found.category.as_deref()), (None, Some("after")));
    assert_eq!((found.patchable, found.disabled), (Some(true), true));
    assert_eq!(found.exploits.len(), 1);
    assert_eq!(found.exploits[0].source.as_deref(), Some("s"));
    assert_eq!(found.threat_intelligence[0].id, Some(2));
}

#[test]
fn lower_case_names_are_read() {
    let lower = HLD.replace("<![CDATA[", "").replace("]]>", "").replace("&id_min", "&amp;id_min");
    let mut out = String::new();
    let mut in_tag = false;
    for character in lower.chars() {
        in_tag = character == '<' || in_tag && character != '>';
        out.push(if in_tag { character.to_ascii_lowercase() } else { character });
    }
    let out = out.replace("<!doctype", "<!DOCTYPE").replace("<?XML", "<?xml");
    let (hosts, summary) = hosts_of(out.as_bytes(), &limits()).expect("good");
    assert_eq!((hosts.len(), summary.detections), (2, 2), "{out}");
}

#[test]
fn pieces_make_no_difference() {
    for text in [HLD, REPORT, KB] {
        let whole = everything(text.as_bytes(), 1 << 16).expect("good");
        for chunk in [1, 2, 3, 7, 64] {
            assert_eq!(everything(text.as_bytes(), chunk).expect("good"), whole, "chunks of {chunk}");
        }
    }
}

#[test]
fn every_cut_is_an_error() {
    for text in [HLD, REPORT, KB] {
        let end = text.rfind("OUTPUT>").or(text.rfind("REPORT>")).expect("end tag") + "OUTPUT".len();
        for cut in 0..=end {
            let error = everything(&text.as_bytes()[..cut], 4096).expect_err("a cut document");
            assert!(
                matches!(error, ReadError::Truncated { .. } | ReadError::WrongRoot { .. } | ReadError::Refused { .. }),
                "cut at {cut}: {error}"
            );
        }
    }
    let cut = &HLD[..HLD.find("<SEVERITY>").expect("a tag")];
    assert!(matches!(hosts_of(cut.as_bytes(), &limits()), Err(ReadError::Truncated { line: 11 })));
}

#[test]
fn mistakes_are_found_with_their_line() {
    for (text, line) in [
        ("<ASSET_DATA_REPORT>\n<HOST_LIST>\n</HOST>\n</ASSET_DATA_REPORT>", 3),
        ("<ASSET_DATA_REPORT>\n</ASSET_DATA_REPORT>\n<ASSET_DATA_REPORT/>", 3),
        ("<ASSET_DATA_REPORT>\n</ASSET_DATA_REPORT>\ntrailing", 3),
        ("<ASSET_DATA_REPORT>\n<X>a & b</X></ASSET_DATA_REPORT>", 2),
        ("<ASSET_DATA_REPORT>\n<X a=1></X></ASSET_DATA_REPORT>", 2),
        ("<ASSET_DATA_REPORT>\n<X a='1' a='2'></X></ASSET_DATA_REPORT>", 2),
        ("<ASSET_DATA_REPORT>\n\n<!BOGUS></ASSET_DATA_REPORT>", 3),
    ] {
        let error = everything(text.as_bytes(), 4096).expect_err(text);
        assert!(matches!(error, ReadError::NotWellFormed { line: found, .. } if found == line), "{text}: {error}");
    }
}

#[test]
fn an_error_in_the_middle_voids_the_answer() {
    let at = HLD.find("<HOST><ID>42</ID></HOST>").expect("second host");
    for (error, code) in [
        ("</HOST_LIST><CODE>999</CODE><TEXT>Internal error</TEXT></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>", "999"),
        ("<CODE>1999</CODE><TEXT>Maintenance</TEXT></HOST_LIST></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>", "1999"),
        (r#"<GENERIC_RETURN><RETURN status="FAILED" number="999">Internal error</RETURN></GENERIC_RETURN>"#, "999"),
        ("<SIMPLE_RETURN><RESPONSE><CODE>1960</CODE><TEXT>busy</TEXT></RESPONSE></SIMPLE_RETURN>", "1960"),
    ] {
        let text = format!("{}{error}", &HLD[..at]);
        let found = hosts_of(text.as_bytes(), &limits()).expect_err(error);
        assert!(matches!(&found, ReadError::ApiError { code: Some(found), .. } if found == code), "{error}: {found}");
    }
}

#[test]
fn error_answers_and_other_roots() {
    let answer = "<!DOCTYPE SIMPLE_RETURN SYSTEM \"x\"><SIMPLE_RETURN><RESPONSE><CODE>1905</CODE><TEXT>parameter ids has invalid value</TEXT>
        </RESPONSE></SIMPLE_RETURN>";
    assert_eq!(hosts_of(answer.as_bytes(), &limits()).expect_err("code").kind(), "api_error");
    assert_eq!(file::check(answer.as_bytes(), &limits()).expect_err("code").kind(), "api_error");
    for other in [
        "<SIMPLE_RETURN><RESPONSE><TEXT>Logged in</TEXT></RESPONSE></SIMPLE_RETURN>",
        "<html><body>502</body></html>",
        "",
        "   \n",
        "plain words",
        "<HOST_LIST_VM_DETECTION_OUTPUT></HOST_LIST_VM_DETECTION_OUTPUT>",
        KB,
    ] {
        assert_eq!(hosts_of(other.as_bytes(), &limits()).expect_err(other).kind(), "wrong_root", "{other}");
    }
    let empty = "<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><DATETIME>2020-01-01T00:00:00Z</DATETIME></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>";
    assert_eq!(hosts_of(empty.as_bytes(), &limits()).expect("nothing matched").1.hosts, 0);
}

#[test]
fn entities_of_its_own_are_refused() {
    let bomb = r#"<?xml version="1.0"?><!DOCTYPE ASSET_DATA_REPORT [
        <!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>
        <ASSET_DATA_REPORT><HOST_LIST>&c;</HOST_LIST></ASSET_DATA_REPORT>"#;
    let outside = r#"<!DOCTYPE ASSET_DATA_REPORT [<!ENTITY x SYSTEM "file:///etc/passwd">]><ASSET_DATA_REPORT>&x;</ASSET_DATA_REPORT>"#;
    let parameter =
        r#"<!DOCTYPE ASSET_DATA_REPORT [<!ENTITY % p SYSTEM "https://example/x.dtd"> %p;]><ASSET_DATA_REPORT/>"#;
    let reference = r#"<ASSET_DATA_REPORT><HOST_LIST>&undefined;</HOST_LIST></ASSET_DATA_REPORT>"#;
    for text in [bomb, outside, parameter, reference] {
        let error = file::check(text.as_bytes(), &limits()).expect_err(text);
        assert_eq!(error.kind(), "entity_refused", "{text}: {error}");
    }
}

#[test]
fn forbidden_characters_are_dropped_and_counted() {
    let mut bytes = Vec::new();
    for (index, part) in HLD.split("Debian").enumerate() {
        if index > 0 {
            bytes.extend_from_slice(b"De\x00bi\x1ban\xff");
        }
        bytes.extend_from_slice(part.as_bytes());
    }
    let (hosts, summary) = hosts_of(&bytes, &limits()).expect("good");
    assert_eq!(hosts[0].os.as_deref(), Some("Debian Linux 12"));
    assert_eq!(summary.dropped_characters, 3);
    let reference = HLD.replace("Debian Linux 12\n]]>", "]]>Debian&#0;&#x1b; Linux 12");
    let (hosts, summary) = hosts_of(reference.as_bytes(), &limits()).expect("good");
    assert_eq!(hosts[0].os.as_deref(), Some("Debian Linux 12"));
    assert_eq!(summary.dropped_characters, 2);
}

#[test]
fn the_limits_hold() {
    let small = Limits { short_text_bytes: 6, results_bytes: 8, ..limits() };
    let (hosts, summary) = hosts_of(HLD.as_bytes(), &small).expect("cut, not refused");
    assert_eq!(hosts[0].os.as_deref(), Some("Debian"));
    assert_eq!(hosts[0].detections[0].results.as_deref(), Some("Type\tNam"));
    assert!(summary.notes["text cut at its limit"] > 1);

    for (what, limits) in [
        ("the input", Limits { input_bytes: 1000, ..limits() }),
        ("one piece of text or markup", Limits { token_bytes: 20, ..limits() }),
        ("the nesting of elements", Limits { depth: 5, ..limits() }),
        ("one record", Limits { record_bytes: 10, ..limits() }),
        ("the number of detections of one host", Limits { detections_per_host: 1, ..limits() }),
    ] {
        let error = hosts_of(HLD.as_bytes(), &limits).expect_err(what);
        assert!(matches!(error, ReadError::TooLarge { what: found, .. } if found == what), "{what}: {error}");
    }
    let listed = Limits { list_entries: 1, ..limits() };
    let (hosts, _) = hosts_of(HLD.as_bytes(), &listed).expect("cut");
    assert_eq!(hosts[0].detections[0].score_factors.len(), 1);
}

#[test]
fn empty_entries_cannot_fill_the_memory() {
    let factors = "<QDS_FACTOR name='x'/>".repeat(1000);
    let text = HLD.replace("<QDS_FACTOR name=\"new_one\">x</QDS_FACTOR>", &factors);
    let tight = Limits { record_bytes: 2_000, ..limits() };
    let (hosts, summary) = hosts_of(text.as_bytes(), &tight).expect("cut, not refused");
    assert!(hosts[0].detections[0].score_factors.len() < 100);
    assert!(summary.notes["list cut at its limit"] > 900);
}

#[test]
fn the_receiver_can_stop() {
    let mut calls = 0;
    let outcome = hld::read(HLD.as_bytes(), &limits(), &mut |_| {
        calls += 1;
        Err(Stop)
    });
    assert!(matches!(outcome, Err(ReadError::Stopped)));
    assert_eq!(calls, 1);
}

#[test]
fn cuts_keep_whole_characters() {
    let text = HLD.replace("Debian Linux 12", "äöüäöü");
    for short_text_bytes in 5..12 {
        let small = Limits { short_text_bytes, ..limits() };
        let (hosts, _) = hosts_of(text.as_bytes(), &small).expect("good");
        assert!(hosts[0].os.as_deref().is_some_and(|os| "äöüäöü".starts_with(os)));
    }
}

fn any_reader(bytes: &[u8]) {
    let mut sink = |_| Ok(());
    let _ = hld::read(bytes, &limits(), &mut sink);
    let _ = knowledge_base::read(bytes, &limits(), &mut sink);
    let _ = asset_data_report::read(bytes, &limits(), &mut sink);
    let _ = host_list::read(bytes, &limits(), &mut sink);
    let _ = intake::qualys::option_profiles::read(bytes, &limits());
    let _ = intake::qualys::scans::read(bytes, &limits());
    let _ = intake::qualys::scan_fetch::read(bytes, &limits());
    let _ = intake::qualys::returns::answer(bytes, &limits());
    let _ = file::check(bytes, &limits());
}

proptest! {
    #[test]
    fn changed_documents_never_panic(which in 0usize..3, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..12)) {
        let mut bytes = [HLD, REPORT, KB][which].as_bytes().to_vec();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        any_reader(&bytes);
    }

    #[test]
    fn markup_soup_never_panics(parts in proptest::collection::vec(prop_oneof![
        Just("<"), Just(">"), Just("</"), Just("<!["), Just("<![CDATA["), Just("]]>"), Just("<!--"), Just("-->"), Just("<!DOCTYPE "), Just("["), Just("&"),
        Just(";"), Just("&#"), Just("<?xml "), Just("?>"), Just("HOST"), Just("<HOST_LIST_VM_DETECTION_OUTPUT>"), Just("<RESPONSE>"), Just("<CODE>"), Just("\""),
        Just("<GENERIC_RETURN>"), Just("id="), Just("é"), Just("{"), Just("}"), Just(":"), Just(","), Just("\n"), Just("QID")], 0..60)) {
        any_reader(parts.concat().as_bytes());
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        any_reader(&bytes);
    }
}
