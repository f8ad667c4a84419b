//! Imports of files over real HTTP: whole, broken and hostile.

use super::{ended, simulator};
use qualys_sim::Options;
use serde_json::{Value, json};
use testkit::server::{Client, TestServer};

const HOSTS: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<!DOCTYPE HOST_LIST_VM_DETECTION_OUTPUT SYSTEM "https://qualysapi.example/output.dtd">
<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><DATETIME>2026-11-01T00:00:00Z</DATETIME><HOST_LIST>
<HOST><ID>11</ID><IP>192.0.2.11</IP><TRACKING_METHOD>IP</TRACKING_METHOD><OS><![CDATA[Ubuntu 22.04]]></OS>
<DNS><![CDATA[web.example]]></DNS><TAGS><TAG><TAG_ID>1</TAG_ID><NAME><![CDATA[prod]]></NAME></TAG></TAGS>
<DETECTION_LIST><DETECTION><QID>91</QID><TYPE>Confirmed</TYPE><SEVERITY>5</SEVERITY><PORT>443</PORT>
<PROTOCOL>tcp</PROTOCOL><STATUS>Active</STATUS><QDS severity="CRITICAL">95</QDS></DETECTION>
<DETECTION><QID>92</QID><TYPE>Potential</TYPE><SEVERITY>3</SEVERITY><STATUS>Fixed</STATUS></DETECTION>
<DETECTION><QID>93</QID><TYPE>Info</TYPE><SEVERITY>1</SEVERITY></DETECTION></DETECTION_LIST></HOST>
<HOST><ID>12</ID><IP>192.0.2.12</IP><OS>Windows Server 2022</OS><DETECTION_LIST>
<DETECTION><QID>91</QID><TYPE>Confirmed</TYPE><SEVERITY>5</SEVERITY><STATUS>New</STATUS></DETECTION>
</DETECTION_LIST></HOST></HOST_LIST></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>"#;

async fn load(client: &Client, name: &str, content: impl Into<reqwest::Body>) -> testkit::server::Reply {
    let path = format!("/api/v1/imports/files?name={name}");
    let request = client.request(reqwest::Method::POST, &path).header("content-type", "application/octet-stream");
    client.send(request.body(content)).await
}

testkit::both_servers!(a_file_becomes_assets_items_and_a_record, |server| async move {
    let admin = server.admin().await;
    let begun = load(&admin, "hosts.xml", HOSTS).await.expect(202);
    assert_eq!(begun["report"]["hosts"], 2);
    assert_eq!(begun["report"]["detections_by_type"], json!({ "Confirmed": 2, "Info": 1, "Potential": 1 }));
    let run = ended(&admin, begun["import"]["number"].as_str().expect("a number")).await;
    assert_eq!(run["import"]["state"], "complete", "{run}");
    assert_eq!(run["import"]["instance"], "Files (Qualys)");
    assert_eq!(run["import"]["counters"]["items"]["new"], 2, "what is fixed at first sight, and facts, have no item");
    let items = admin.get("/api/v1/items?sort=-score").await.expect(200);
    let shown: Vec<_> = items["items"].as_array().expect("a list").iter().collect();
    assert_eq!((&shown[0]["residual"], &shown[0]["score_source"]), (&json!(95), &json!("qds")));
    assert_eq!((&shown[1]["residual"], &shown[1]["score_source"]), (&json!(85), &json!("estimated")));
    assert_eq!(shown[0]["asset"], "web.example");
    assert_eq!(shown[0]["source"], Value::Null, "the scanner is not active");

    let number = shown[0]["number"].as_str().expect("a number");
    let path = format!("/api/v1/items/{number}");
    let changed = admin.post(&format!("{path}/state"), &json!({ "state": "under_investigation" })).await.expect(200);
    assert_eq!(changed["item"]["state"], "under_investigation");
    let closed = admin.post(&format!("{path}/state"), &json!({ "state": "closed" })).await;
    assert_eq!((closed.status, closed.code()), (409, "closed_by_import"));
    let given = admin.post(&format!("{path}/assignment"), &json!({ "assignee": "admin" })).await.expect(200);
    assert_eq!(given["item"]["assignee"], "admin");
    assert_eq!(admin.post(&format!("{path}/assignment"), &json!({ "assignee": "nobody" })).await.status, 422);
    let mine = admin.get("/api/v1/items?q=assignee:me").await.expect(200);
    assert_eq!(mine["items"].as_array().expect("a list").len(), 1);
    let history = admin.get(&format!("{path}/history")).await.expect(200);
    let what: Vec<_> = history["history"].as_array().expect("a list").iter().map(|line| &line["what"]).collect();
    assert_eq!(what, ["assignment", "state"]);
    let score = admin.get(&format!("{path}/score")).await.expect(200);
    assert_eq!((&score["score"]["residual"], &score["score"]["units"][0]["cve"]), (&json!(95), &Value::Null));

    admin.patch("/api/v1/scanners/qualys", &json!({ "active": true })).await.expect(200);
    let again = load(&admin, "hosts.xml", HOSTS).await.expect(202);
    let run = ended(&admin, again["import"]["number"].as_str().expect("a number")).await;
    assert_eq!(run["import"]["counters"]["detections"]["unchanged"], 4, "{run}");
    let sourced = admin.get("/api/v1/items?q=source:Qualys").await.expect(200);
    assert_eq!(sourced["items"].as_array().expect("a list").len(), 2, "S2.04: after the next import");
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_file_leaves_nothing_behind() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let bomb = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"{}\"><!ENTITY b \"&a;&a;&a;&a;\">]>{}",
        "x".repeat(1_000),
        HOSTS.split_once("dtd\">").expect("a doctype").1
    );
    let crossed = HOSTS.replace("</DETECTION_LIST></HOST></HOST_LIST>", "</HOST></DETECTION_LIST></HOST_LIST>");
    let web = "<?xml version=\"1.0\"?><WAS_SCAN_REPORT></WAS_SCAN_REPORT>";
    for (name, content, code) in [
        ("truncated.xml", HOSTS[..HOSTS.len() / 2].to_owned(), "truncated"),
        ("crossed.xml", crossed, "not_well_formed"),
        ("bomb.xml", bomb, "entity_refused"),
        ("web.xml", web.to_owned(), "refused"),
        ("cut.csv", by_cve("80").trim_end_matches("\"\n").to_owned(), "truncated"),
        ("foreign.csv", "Plugin ID,Risk,Host\n1,High,h\n".to_owned(), "refused"),
        ("empty.xml", String::new(), ""),
        ("noise.bin", "\u{0}\u{1}hello".to_owned(), ""),
    ] {
        let reply = load(&admin, name, content).await;
        assert_eq!(reply.status, 422, "{name}: {}", reply.text);
        let found = reply.json["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
        assert!(code.is_empty() || found == code, "{name}: {}", reply.text);
    }
    let empty = |list: Value, key: &str| assert_eq!(list[key], json!([]), "{key}");
    empty(admin.get("/api/v1/imports").await.expect(200), "imports");
    empty(admin.get("/api/v1/assets").await.expect(200), "assets");
    empty(admin.get("/api/v1/items").await.expect(200), "items");
    empty(admin.get("/api/v1/vulnerabilities").await.expect(200), "vulnerabilities");
    empty(admin.get("/api/v1/instances").await.expect(200), "instances");
    let spool = std::fs::read_dir(server.folder().join("spool")).expect("the spool").count();
    assert_eq!(spool, 0, "no upload is left on the disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_hides_what_is_outside_and_an_owner_sees_what_is_assigned() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let begun = load(&admin, "hosts.xml", HOSTS).await.expect(202);
    ended(&admin, begun["import"]["number"].as_str().expect("a number")).await;
    let analyst = server.user("ana", &["vulnerability_analyst"]).await;
    admin.patch("/api/v1/users/ana", &json!({ "scope": { "tags": ["prod"] } })).await.expect(200);
    let assets = analyst.get("/api/v1/assets").await.expect(200);
    assert_eq!(assets["assets"].as_array().expect("a list").len(), 1);
    let all = admin.get("/api/v1/assets?sort=ip").await.expect(200);
    let outside = all["assets"][1]["id"].as_i64().expect("a key");
    assert_eq!(analyst.get(&format!("/api/v1/assets/{outside}")).await.status, 404);
    let items = admin.get("/api/v1/items?sort=-score").await.expect(200);
    let (inside, hidden) = (&items["items"][0]["number"], &items["items"][1]["number"]);
    let (inside, hidden) = (inside.as_str().expect("a number"), hidden.as_str().expect("a number"));
    assert_eq!(analyst.get(&format!("/api/v1/items/{inside}")).await.status, 200);
    assert_eq!(analyst.get(&format!("/api/v1/items/{hidden}")).await.status, 404);
    let found = analyst.get("/api/v1/vulnerabilities/91").await.expect(200);
    assert_eq!(found["vulnerability"]["open_items"], 1);
    let found = admin.get("/api/v1/vulnerabilities/91").await.expect(200);
    assert_eq!(found["vulnerability"]["open_items"], 2);

    let owner = server.user("otto", &["remediation_owner"]).await;
    assert_eq!(owner.get("/api/v1/items").await.expect(200)["items"], json!([]));
    assert_eq!(owner.get(&format!("/api/v1/items/{hidden}")).await.status, 403);
    admin.post(&format!("/api/v1/items/{hidden}/assignment"), &json!({ "assignee": "otto" })).await.expect(200);
    assert_eq!(owner.get("/api/v1/items").await.expect(200)["items"][0]["number"], json!(hidden));
    let state = json!({ "state": "resolved" });
    owner.post(&format!("/api/v1/items/{hidden}/state"), &state).await.expect(200);
    assert_eq!(owner.post(&format!("/api/v1/items/{inside}/state"), &state).await.status, 403);
    assert_eq!(load(&owner, "x.xml", HOSTS).await.status, 403);
}

/// A list by CVE with one machine in two places and one detection for two CVEs.
fn by_cve(port: &str) -> String {
    let mut text = "\"Asset Vuln Datalist Report\",\"04 Feb 2026 10:00AM GMT\",\"1\"\n\"CVE\",\"CVE-Description\",\"QID\",\"Title\",\"KB Severity\",\"Type Detected\",\"Port\",\"Status\",\"Asset Id\",\"Asset Name\",\"Asset IPV4\",\"QVS Score\",\"Vuln Patchable\"\n".to_owned();
    for (cve, qid, asset, name) in [
        ("CVE-2026-1", 91, 1001, "a.example"),
        ("CVE-2026-1", 91, 1002, "B"),
        ("CVE-2026-2", 91, 1001, "a.example"),
        ("CVE-2026-3", 92, 1001, "a.example"),
    ] {
        text += &format!(
            "\"{cve}\",\"x\",\"{qid}\",\"T\",\"4\",\"Confirmed\",\"{port}\",\"ACTIVE\",\"{asset}\",\"{name}\",\"10.0.0.{}\",\"77\",\"Yes\"\n",
            asset - 1000
        );
    }
    text
}

testkit::both_servers!(a_machine_whose_rows_are_not_neighbours_keeps_all_of_them, |server| async move {
    let admin = server.admin().await;
    for new in [true, false] {
        let begun = load(&admin, "list.csv", by_cve("80")).await.expect(202);
        assert_eq!(begun["report"]["detections"], 3, "a detection that stands there for two CVEs is one: {begun}");
        let run = ended(&admin, begun["import"]["number"].as_str().unwrap()).await;
        let counters = &run["import"]["counters"];
        let expected = if new { json!([2, 3, 2, 0]) } else { json!([0, 0, 0, 3]) };
        let detections = &counters["detections"];
        let found =
            json!([counters["hosts"]["new"], detections["new"], counters["items"]["new"], detections["unchanged"]]);
        // The vulnerability on both machines, the other on one.
        let expected = if new { json!([2, 3, 3, 0]) } else { expected };
        assert_eq!(found, expected, "{run}");
    }
    let vulnerability = admin.get("/api/v1/vulnerabilities/91").await.expect(200);
    assert_eq!(vulnerability["vulnerability"]["patchable"], true, "{vulnerability}");
    let cves = vulnerability.to_string();
    assert!(cves.contains("CVE-2026-1") && cves.contains("CVE-2026-2") && !cves.contains("CVE-2026-3"), "{cves}");

    // A report that is silent about a patch takes nothing back.
    let report =
        "\"IP\",\"QID\",\"Title\",\"Type\",\"Severity\"\n\"10.0.0.9\",\"91\",\"Another title\",\"Vuln\",\"5\"\n";
    let begun = load(&admin, "report.csv", report).await.expect(202);
    let run = ended(&admin, begun["import"]["number"].as_str().unwrap()).await;
    assert_eq!(run["import"]["state"], "complete", "{run}");
    let vulnerability = admin.get("/api/v1/vulnerabilities/91").await.expect(200);
    let told = &vulnerability["vulnerability"];
    assert_eq!((&told["title"], &told["patchable"]), (&json!("Another title"), &json!(true)), "{vulnerability}");
});

/// What a platform saved as CSV holds the same machines and detections as what it saved as XML, whichever of the forms it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_of_a_host_list_detection_holds_the_same() {
    let simulator = simulator(Options { hosts: 6, ..Options::default() }).await;
    let (server, client) = (TestServer::start().await, reqwest::Client::new());
    let admin = server.admin().await;
    let mut counts = Vec::new();
    for form in [
        "XML",
        "CSV",
        "CSV_NO_METADATA",
        "CSV_MS_EXCEL",
        "CSV_NO_METADATA_MS_EXCEL",
        "CSV&suppress_duplicated_data_from_csv=1",
    ] {
        let url = format!(
            "{}/api/5.0/fo/asset/host/vm/detection/?action=list&truncation_limit=0&status=New,Active,Re-Opened,Fixed&output_format={form}",
            simulator.api_url()
        );
        let request = client.get(url).basic_auth(simulator.username(), Some(simulator.password()));
        let request = request.header("X-Requested-With", "test");
        let body = request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap();
        let begun = load(&admin, "detections", body).await.expect(202);
        let run = ended(&admin, begun["import"]["number"].as_str().unwrap()).await;
        assert_eq!(run["import"]["state"], "complete", "{form}: {run}");
        let report = &begun["report"];
        assert_eq!(report["rejected"], 0, "{form}: {report}");
        counts.push((report["hosts"].clone(), report["detections"].clone(), report["detections_by_status"].clone()));
        let hosts = &run["import"]["counters"]["hosts"]["new"];
        assert_eq!(hosts, &json!(if counts.len() == 1 { 6 } else { 0 }), "{form}: {run}");
    }
    let first = &counts[0];
    assert!(counts.iter().all(|count| count == first), "{counts:?}");
}

/// Machines, detections, vulnerabilities and items of every file of Qualys; see also `intake/tests/fixtures.rs`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_from_elsewhere_give_the_counts_of_their_manifest() {
    let Some(folder) = testkit::fixtures::folder() else { return };
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for (name, hosts, detections, vulnerabilities, items) in [
        ("defectdojo/qualys/Qualys_Sample_Report.xml", 7, 301, 93, 69..=69),
        ("defectdojo/qualys/Qualys_Sample_Report.csv", 4, 6, 3, 6..=6),
        ("defectdojo/qualys/empty.xml", 0, 0, 0, 0..=0),
        ("defectdojo/qualys_hacker_guardian/one_finding.csv", 1, 2, 1, 1..=1),
        ("defectdojo/qualys_hacker_guardian/zero_finding.csv", 0, 0, 0, 0..=0),
        ("defectdojo/qualys_infrascan_webgui/qualys_infrascan_webgui_0.xml", 1, 0, 0, 0..=0),
        ("defectdojo/qualys_infrascan_webgui/qualys_infrascan_webgui_1.xml", 1, 1, 1, 1..=1),
        ("defectdojo/qualys_vmdr/many_vulns_qid.csv", 5, 5, 5, 4..=4),
        ("defectdojo/qualys_vmdr/no_vuln_cve.csv", 0, 0, 0, 0..=0),
        ("defectdojo/qualys_vmdr/no_vuln_no_metadata_cve.csv", 0, 0, 0, 0..=0),
        ("defectdojo/qualys_vmdr/no_vuln_qid.csv", 0, 0, 0, 0..=0),
        ("defectdojo/qualys_vmdr/one_vuln_cve.csv", 1, 1, 1, 1..=1),
        ("defectdojo/qualys_vmdr/one_vuln_qid.csv", 1, 1, 1, 1..=1),
        ("jupiterone/detections.xml", 1, 3, 0, 1..=3),
        ("jupiterone/host_detections_reconstructed.csv", 1, 1, 0, 1..=1),
    ] {
        let content = std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let begun = load(&admin, "file", content.clone()).await.expect(202);
        let report = &begun["report"];
        assert_eq!(
            (&report["hosts"], &report["detections"], &report["vulnerabilities"]),
            (&json!(hosts), &json!(detections), &json!(vulnerabilities)),
            "{name}: {report}"
        );
        let run = ended(&admin, begun["import"]["number"].as_str().expect("a number")).await;
        assert_eq!(run["import"]["state"], "complete", "{name}: {run}");
        let counters = &run["import"]["counters"];
        let sum =
            |kinds: [&str; 4]| kinds.iter().map(|kind| counters["detections"][kind].as_u64().unwrap()).sum::<u64>();
        assert_eq!(sum(["new", "updated", "unchanged", "ignored"]), detections, "{name}: {counters}");
        let made = counters["items"]["new"].as_u64().expect("a count");
        assert!(items.contains(&made), "{name}: {counters}");
        let again = load(&admin, "file", content).await.expect(202);
        let run = ended(&admin, again["import"]["number"].as_str().expect("a number")).await;
        let counters = &run["import"]["counters"];
        assert_eq!(
            (&counters["detections"]["new"], &counters["detections"]["updated"]),
            (&json!(0), &json!(0)),
            "{run}"
        );
    }
}
