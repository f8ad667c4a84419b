//! A server with two hosts, 11 (tag prod) and 12 (tag lab), and people.

use serde_json::{Value, json};
use std::time::Duration;
use testkit::server::{Client, Reply, TestServer};

/// A report of the hosts: what is on which of them with which status.
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
             <DNS>h{id}.example</DNS><TAGS><TAG><TAG_ID>{id}</TAG_ID><NAME>{tag}</NAME></TAG>\
             <TAG><TAG_ID>9{id}</TAG_ID><NAME>owner:team-{tag}</NAME></TAG></TAGS>\
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

pub struct World {
    pub server: TestServer,
    pub admin: Client,
}

impl World {
    pub async fn new(server: TestServer) -> World {
        let token = server.admin().await.make_token(&["read", "items", "integrations"]).await;
        let admin = server.client().with_token(&token);
        World { server, admin }
    }

    pub async fn person(&self, name: &str, role: &str) -> Client {
        let token = self.server.user(name, &[role]).await.make_token(&["read", "items"]).await;
        self.server.client().with_token(&token)
    }

    /// A vulnerability analyst who is kept to assets with this tag.
    pub async fn kept_to(&self, name: &str, tag: &str) -> Client {
        let kept = json!({ "name": name, "roles": ["vulnerability_analyst"], "scope": [tag] });
        let made = self.server.admin().await.post("/api/v1/users", &kept).await.expect(201);
        let once = made["one_time_password"].as_str().unwrap();
        let client = self.server.client().sign_in(name, once).await;
        client.choose_password(once, "a long enough passphrase 7").await
    }

    /// A group with these members.
    pub async fn group(&self, name: &str, members: &[&str]) {
        let admin = self.server.admin().await;
        admin.put(&format!("/api/v1/groups/{name}"), &json!({ "members": members })).await.expect(200);
    }

    pub async fn import(&self, rows: &[(u32, u32, &str)]) {
        let path = "/api/v1/imports/files?name=hosts.xml";
        let request =
            self.admin.request(reqwest::Method::POST, path).header("content-type", "application/octet-stream");
        let begun = self.admin.send(request.body(report(rows))).await.expect(202);
        let path = format!("/api/v1/imports/{}", begun["import"]["number"].as_str().unwrap());
        for _ in 0..1_200 {
            let run = self.admin.get(&path).await.expect(200);
            if run["import"]["state"] != "running" {
                assert_eq!(run["import"]["state"], "complete", "{run}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the import does not end");
    }

    pub async fn item(&self, host: u32, qid: u32) -> Value {
        let path = format!("/api/v1/items?q=asset.ip:192.0.2.{host}+qid:{qid}");
        self.admin.get(&path).await.expect(200)["items"][0].clone()
    }

    pub async fn number(&self, host: u32, qid: u32) -> String {
        self.item(host, qid).await["number"].as_str().unwrap().to_owned()
    }

    pub async fn is(&self, host: u32, qid: u32, state: &str) {
        let item = self.item(host, qid).await;
        assert_eq!(item["state"], state, "{item}");
    }

    pub async fn task(&self, number: &str) -> Value {
        self.admin.get(&format!("/api/v1/tasks/{number}")).await.expect(200)["task"].clone()
    }

    /// Make one task of these items; gives its number.
    pub async fn make(&self, items: &[&String]) -> String {
        let made = self.admin.post("/api/v1/tasks", &json!({ "items": items, "existing": "keep" })).await.expect(201);
        made["tasks"][0].as_str().unwrap().to_owned()
    }
}

pub async fn set(client: &Client, number: &str, state: &str) -> Reply {
    client.post(&format!("/api/v1/tasks/{number}/state"), &json!({ "state": state })).await
}

pub fn refused(reply: &Reply) -> (u16, &str) {
    (reply.status, reply.code())
}
