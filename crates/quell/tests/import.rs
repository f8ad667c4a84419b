//! `quell import` and what it leads to, with the built program: without a server, and against one over TLS.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "helpers of tests are tests, too"
)]

use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};
use testkit::server::TestServer;

const HOSTS: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><DATETIME>2026-11-01T00:00:00Z</DATETIME><HOST_LIST>
<HOST><ID>11</ID><IP>192.0.2.11</IP><OS>Ubuntu 22.04</OS><DNS>web.example</DNS>
<DETECTION_LIST><DETECTION><QID>91</QID><TYPE>Confirmed</TYPE><SEVERITY>5</SEVERITY><STATUS>Active</STATUS>
<QDS>95</QDS></DETECTION><DETECTION><QID>93</QID><TYPE>Info</TYPE></DETECTION></DETECTION_LIST></HOST>
</HOST_LIST></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>"#;

fn quell(arguments: &[&str], server: Option<(&str, &str, &str)>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
    for name in ["QUELL_SERVER", "QUELL_TOKEN", "QUELL_CA_SHA256", "QUELL_OUTPUT"] {
        command.env_remove(name);
    }
    command.env("QUELL_CONFIG", "/nonexistent/config.toml");
    if let Some((url, fingerprint, token)) = server {
        command.env("QUELL_SERVER", url).env("QUELL_CA_SHA256", fingerprint).env("QUELL_TOKEN", token);
    }
    command.args(arguments).output().expect("the program runs")
}

#[track_caller]
fn json_of(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn path(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("the folder can be written");
    path.display().to_string()
}

#[test]
fn without_a_server_a_file_is_read_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(folder.path(), "hosts.xml", HOSTS);
    let output = quell(&["import", &file, "-o", "json"], None);
    let found = json_of(&output);
    assert_eq!(found["mode"], "offline");
    assert_eq!((&found["hosts"], &found["detections"]), (&json!(1), &json!(2)));
    assert_eq!(found["detections_by_type"], json!({ "Confirmed": 1, "Info": 1 }));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing is imported"), "it says so");
    let table = quell(&["import", &file, "--offline"], None);
    assert!(table.status.success() && String::from_utf8_lossy(&table.stdout).contains("Confirmed 1, Info 1"));
}

#[test]
fn a_bad_file_is_a_clear_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let bomb = format!("<!DOCTYPE x [<!ENTITY a \"b\">]>{}", HOSTS.split_once("?>").expect("a declaration").1);
    let broken = HOSTS.replace("</DNS>", "</DNZ>");
    for (name, content, said) in [
        ("truncated.xml", &HOSTS[..HOSTS.len() / 2], "ends in the middle"),
        ("broken.xml", &broken, "not well-formed at line"),
        ("bomb.xml", &bomb, "entity"),
    ] {
        let output = quell(&["import", &path(folder.path(), name, content), "-o", "json"], None);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(text.contains(said) && output.stdout.is_empty(), "{name}: {text}");
    }
    let missing = quell(&["import", "/nonexistent.xml"], None);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot read /nonexistent.xml"));
}

#[test]
fn files_from_elsewhere_give_the_counts_of_their_manifest() {
    let Some(folder) = testkit::fixtures::folder() else { return };
    let file = folder.join("defectdojo/qualys/Qualys_Sample_Report.xml");
    let found = json_of(&quell(&["import", &file.display().to_string(), "-o", "json"], None));
    assert_eq!(
        (&found["hosts"], &found["detections"], &found["vulnerabilities"]),
        (&json!(7), &json!(301), &json!(93))
    );
    assert_eq!(found["detections_by_type"], json!({ "Ig": 209, "Practice": 2, "Vuln": 90 }));
    assert!(found["skipped"]["APPENDICES"].is_number(), "{}", found["skipped"]);
    for (name, counts) in [
        ("qualys/Qualys_Sample_Report.csv", [4, 6, 3]),
        ("qualys/empty.xml", [0, 0, 0]),
        ("qualys_hacker_guardian/one_finding.csv", [1, 2, 1]),
        ("qualys_hacker_guardian/zero_finding.csv", [0, 0, 0]),
        ("qualys_infrascan_webgui/qualys_infrascan_webgui_0.xml", [1, 0, 0]),
        ("qualys_infrascan_webgui/qualys_infrascan_webgui_1.xml", [1, 1, 1]),
        ("qualys_vmdr/many_vulns_qid.csv", [5, 5, 5]),
        ("qualys_vmdr/no_vuln_cve.csv", [0, 0, 0]),
        ("qualys_vmdr/no_vuln_no_metadata_cve.csv", [0, 0, 0]),
        ("qualys_vmdr/no_vuln_qid.csv", [0, 0, 0]),
        ("qualys_vmdr/one_vuln_cve.csv", [1, 1, 1]),
        ("qualys_vmdr/one_vuln_qid.csv", [1, 1, 1]),
    ] {
        let file = folder.join("defectdojo").join(name);
        let found = json_of(&quell(&["import", &file.display().to_string(), "-o", "json"], None));
        let told = ["hosts", "detections", "vulnerabilities"].map(|what| found[what].as_u64());
        assert_eq!(told, counts.map(Some), "{name}: {found}");
    }
    let web = folder.join("defectdojo/qualys_webapp/qualys_webapp_one_vuln.xml");
    let refused = quell(&["import", &web.display().to_string()], None);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("web application scan report (WAS_SCAN_REPORT XML)") && said.contains("is not imported"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_server_a_file_is_imported_and_worked_on() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let token = admin.make_token(&["read", "items", "integrations", "agents"]).await;
    let (url, fingerprint) = (server.url(""), server.app().site.ca_fingerprint.clone());
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(folder.path(), "hosts.xml", HOSTS);
    let run = move |arguments: Vec<String>| {
        let at = (url.clone(), fingerprint.clone(), token.clone());
        async move {
            let output = tokio::task::spawn_blocking(move || {
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                quell(&arguments, Some((&at.0, &at.1, &at.2)))
            });
            output.await.expect("the program runs")
        }
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();

    let dry = json_of(&run(words(&format!("import {file} --dry-run -o json"))).await);
    assert_eq!((&dry["mode"], &dry["import"]), (&json!("dry_run"), &Value::Null));
    let done = json_of(&run(words(&format!("import {file} -o json"))).await);
    assert_eq!((&done["mode"], &done["import"]["state"]), (&json!("imported"), &json!("complete")));
    let number = done["import"]["number"].as_str().expect("a number").to_owned();
    assert_eq!(json_of(&run(words(&format!("imports show {number} -o json"))).await)["import"]["number"], number);
    let items = json_of(&run(words("items list -q is:open -o json")).await);
    let item = items[0]["number"].as_str().expect("a number").to_owned();
    assert_eq!(json_of(&run(words(&format!("items score {item} -o json"))).await)["residual"], 95);
    let moved = run(words(&format!("items state {item} under_investigation -o json"))).await;
    assert_eq!(json_of(&moved)["item"]["state"], "under_investigation");
    assert_eq!(run(words(&format!("items state {item} closed"))).await.status.code(), Some(5));
    assert_eq!(json_of(&run(words("vulnerabilities show 91 -o json")).await)["vulnerability"]["open_items"], 1);
    let assets = json_of(&run(words("assets list -o json")).await);
    assert_eq!(assets[0]["name"], "web.example");
    let edited = run(words(&format!("assets edit {} --tag prod --criticality 5 -o json", assets[0]["id"]))).await;
    assert_eq!(json_of(&edited)["asset"]["tags"], json!(["prod"]));
    assert_eq!(json_of(&run(words("scanners activate qualys -o json")).await)["active"], true);
    assert_eq!(json_of(&run(words("instances list -o json")).await)[0]["name"], "Files (Qualys)");
    let csv = run(words("items list -o csv")).await;
    assert!(String::from_utf8_lossy(&csv.stdout).starts_with("NUMBER,QID,"));
}
