//! Which machine is which, and what nobody has to work on, over real HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "helpers of tests are tests, too"
)]

mod exclusion;
mod joining;
mod unique_ids;

use serde_json::Value;
use std::time::Duration;
use testkit::server::Client;

/// A host of a report.
#[derive(Clone, Default)]
struct Host<'h> {
    id: i64,
    ip: &'h str,
    dns: &'h str,
    netbios: &'h str,
    os: &'h str,
    tag: &'h str,
    /// QID, type, port, status.
    rows: Vec<(i64, &'h str, i64, &'h str)>,
}

fn report(hosts: &[Host<'_>]) -> String {
    let element = |name: &str, text: &str| match text {
        "" => String::new(),
        text => format!("<{name}>{text}</{name}>"),
    };
    let row = |(qid, kind, port, status): &(i64, &str, i64, &str)| {
        let at = if *port > 0 { format!("<PORT>{port}</PORT><PROTOCOL>tcp</PROTOCOL>") } else { String::new() };
        format!(
            "<DETECTION><QID>{qid}</QID><TYPE>{kind}</TYPE><SEVERITY>5</SEVERITY>{at}<STATUS>{status}</STATUS>\
             <QDS severity=\"CRITICAL\">95</QDS></DETECTION>"
        )
    };
    let hosts: String = hosts
        .iter()
        .map(|host| {
            let tag = match host.tag {
                "" => String::new(),
                tag => format!("<TAGS><TAG><TAG_ID>1</TAG_ID><NAME>{tag}</NAME></TAG></TAGS>"),
            };
            let (dns, netbios) = (element("DNS", host.dns), element("NETBIOS", host.netbios));
            let (id, ip, os) = (host.id, host.ip, element("OS", host.os));
            let rows: String = host.rows.iter().map(row).collect();
            format!(
                "<HOST><ID>{id}</ID><IP>{ip}</IP><TRACKING_METHOD>IP</TRACKING_METHOD>{os}{dns}{netbios}{tag}\
                 <DETECTION_LIST>{rows}</DETECTION_LIST></HOST>"
            )
        })
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?><HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE>\
         <DATETIME>2026-11-01T00:00:00Z</DATETIME><HOST_LIST>{hosts}</HOST_LIST></RESPONSE>\
         </HOST_LIST_VM_DETECTION_OUTPUT>"
    )
}

/// Load a report into the instance of this name, and wait for the end.
async fn load(client: &Client, instance: &str, hosts: &[Host<'_>]) {
    let path = format!("/api/v1/imports/files?name=hosts.xml&instance={instance}");
    let request = client.request(reqwest::Method::POST, &path).header("content-type", "application/octet-stream");
    let begun = client.send(request.body(report(hosts))).await.expect(202);
    ended(client, begun["import"]["number"].as_str().unwrap()).await;
}

async fn ended(client: &Client, number: &str) -> Value {
    let path = format!("/api/v1/imports/{number}");
    for _ in 0..1_200 {
        let run = client.get(&path).await.expect(200);
        if run["import"]["state"] != "running" && run["import"]["state"] != "queued" {
            assert_eq!(run["import"]["state"], "complete", "{run}");
            return run;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the import does not end");
}

/// QID, asset and state of every item, in order of their numbers.
async fn items(client: &Client) -> Vec<(i64, String, String)> {
    let body = client.get("/api/v1/items?sort=number&limit=500").await.expect(200);
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let state = |row: &Value| match row["substate"].as_str().unwrap_or_default() {
        "" => text(row, "state"),
        why => format!("{}/{why}", text(row, "state")),
    };
    let rows = body["items"].as_array().unwrap().iter();
    rows.map(|row| (row["qid"].as_i64().unwrap(), text(row, "asset"), state(row))).collect()
}
