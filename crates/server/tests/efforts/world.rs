//! What these tests share: two hosts, who works, and their items.

use serde_json::Value;
use std::time::Duration;
use testkit::server::{Client, TestServer};

/// A report of hosts 11 (tag prod) and 12 (tag lab): what is on which of them with which status.
fn report(rows: &[(u32, u32, &str)]) -> String {
    let host = |id: u32, tag: &str| {
        let detections: String = rows
            .iter()
            .filter(|(host, ..)| *host == id)
            .map(|(_, qid, status)| {
                format!(
                    "<DETECTION><QID>{qid}</QID><TYPE>Confirmed</TYPE><SEVERITY>5</SEVERITY><STATUS>{status}</STATUS>\
                     <QDS severity=\"CRITICAL\">95</QDS></DETECTION>"
                )
            })
            .collect();
        format!(
            "<HOST><ID>{id}</ID><IP>192.0.2.{id}</IP><TRACKING_METHOD>IP</TRACKING_METHOD><OS>Ubuntu</OS>\
             <DNS>h{id}.example</DNS><TAGS><TAG><TAG_ID>{id}</TAG_ID><NAME>{tag}</NAME></TAG></TAGS>\
             <DETECTION_LIST>{detections}</DETECTION_LIST></HOST>"
        )
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?><HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE>\
         <DATETIME>2026-11-01T00:00:00Z</DATETIME><HOST_LIST>{}{}</HOST_LIST></RESPONSE>\
         </HOST_LIST_VM_DETECTION_OUTPUT>",
        host(11, "prod"),
        host(12, "lab")
    )
}

pub async fn import(admin: &Client, rows: &[(u32, u32, &str)]) {
    let path = "/api/v1/imports/files?name=hosts.xml";
    let request = admin.request(reqwest::Method::POST, path).header("content-type", "application/octet-stream");
    let begun = admin.send(request.body(report(rows))).await.expect(202);
    let path = format!("/api/v1/imports/{}", begun["import"]["number"].as_str().unwrap());
    for _ in 0..1_200 {
        let run = admin.get(&path).await.expect(200);
        if run["import"]["state"] != "running" {
            assert_eq!(run["import"]["state"], "complete", "{run}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the import does not end");
}

pub const SIX: [(u32, u32, &str); 6] = [
    (11, 91, "Active"),
    (11, 92, "Active"),
    (11, 93, "Active"),
    (12, 91, "Active"),
    (12, 92, "Active"),
    (12, 93, "Active"),
];

pub async fn person(server: &TestServer, name: &str, role: &str) -> Client {
    let token = server.user(name, &[role]).await.make_token(&["read", "items"]).await;
    server.client().with_token(&token)
}

pub async fn listed(client: &Client, q: &str) -> usize {
    let path = format!("/api/v1/items?q={}", q.replace(' ', "+"));
    client.get(&path).await.expect(200)["items"].as_array().unwrap().len()
}

pub fn number(made: &Value) -> String {
    made["effort"]["number"].as_str().unwrap().to_owned()
}
