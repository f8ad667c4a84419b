//! Rules, confirmed only, closing, taking back; who must not, and what is refused.

use super::{Host, items, load};
use serde_json::{Value, json};
use server::engine::exclusion;
use std::time::Duration;
use testkit::server::{Client, TestServer};

fn host<'h>(rows: &[(i64, &'h str, i64, &'h str)]) -> Host<'h> {
    Host {
        id: 11,
        ip: "192.0.2.11",
        dns: "a.example",
        os: "Ubuntu",
        tag: "prod",
        rows: rows.to_vec(),
        ..Host::default()
    }
}

/// The server's own loop may be at it already, then its end is waited for.
async fn settle(server: &TestServer) {
    for _ in 0..600 {
        exclusion::look(server.app()).await.unwrap();
        if server.app().database.read(store::exclusion::running).await.unwrap().is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("what is known is not gone through");
}

async fn rule(admin: &Client, body: Value) -> Value {
    admin.post("/api/v1/exclusion-rules", &body).await.expect(201)["exclusion_rule"].clone()
}

testkit::both_servers!(what_is_excluded_is_kept_and_comes_back, |server| async move {
    let admin = server.admin().await;
    let rows = [
        (1, "Confirmed", 0, "Active"),
        (2, "Confirmed", 80, "Active"),
        (2, "Confirmed", 443, "Active"),
        (3, "Potential", 0, "Active"),
    ];
    load(&admin, "One", &[host(&rows[..1])]).await;

    // Counting changes nothing.
    let tried = admin.post("/api/v1/exclusion/try", &json!({ "condition": "qid:1" })).await.expect(200);
    assert_eq!((&tried["detections"], &tried["items"], &tried["items_open"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(tried["examples"][0]["item"], "VIT0000001");
    let bad = admin.post("/api/v1/exclusion/try", &json!({ "condition": "colour:red" })).await.expect(422);
    assert_eq!(bad["errors"][0]["field"], "condition");

    let made = rule(&admin, json!({ "name": "Web ports", "condition": "port:80 or qid:3" })).await;
    settle(&server).await;
    load(&admin, "One", &[host(&rows)]).await;
    let open = |qid: i64| (qid, "a.example".to_owned(), "open".to_owned());
    assert_eq!(items(&admin).await, [open(1), open(2)]);
    let found = admin.get(&format!("/api/v1/exclusion-rules/{}/detections?sort=qid", made["id"])).await.expect(200);
    let found = found["detections"].as_array().unwrap();
    assert_eq!(found.iter().map(|row| row["qid"].as_i64().unwrap()).collect::<Vec<_>>(), [2, 3]);
    assert_eq!((&found[0]["item"], &found[1]["item"]), (&Value::Null, &Value::Null));

    // One more rule takes the other port: the item stays, and closes once that is set.
    let second = rule(&admin, json!({ "name": "TLS", "condition": "port:443", "position": 1 })).await;
    assert_eq!(second["position"], 1);
    settle(&server).await;
    let detections = admin.get("/api/v1/items/VIT0000002").await.expect(200);
    assert_eq!(detections["detections"][0]["excluded"], "TLS");
    let excluded = admin.get("/api/v1/items?q=is:excluded").await.expect(200);
    assert_eq!(excluded["items"].as_array().unwrap().len(), 1);
    assert_eq!(items(&admin).await, [open(1), open(2)]);
    let shown = admin.get("/api/v1/exclusion").await.expect(200);
    assert_eq!(shown["exclusion"]["pass"]["state"], "complete", "{shown}");
    admin.patch("/api/v1/exclusion", &json!({ "close_items": true })).await.expect(200);
    settle(&server).await;
    assert_eq!(items(&admin).await[1].2, "closed/excluded");
    let why = admin.get("/api/v1/items/VIT0000002").await.expect(200);
    assert!(why["item"].to_string().contains("excluded"), "{why}");

    // Off again: it opens, and did not come back.
    let path = format!("/api/v1/exclusion-rules/{}", second["id"]);
    admin.patch(&path, &json!({ "active": false })).await.expect(200);
    let dry = admin.post("/api/v1/exclusion/apply", &json!({ "dry_run": true })).await.expect(200);
    settle(&server).await;
    assert_eq!(dry["begun"], false, "{dry}");
    assert_eq!(items(&admin).await[1].2, "open");
    assert_eq!(admin.get("/api/v1/items/VIT0000002").await.expect(200)["item"]["reopened"], 0);
    let gone = admin.delete(&format!("/api/v1/exclusion-rules/{}", made["id"])).await;
    assert_eq!(gone.status, 204);
    settle(&server).await;
    assert_eq!(items(&admin).await.iter().map(|item| item.0).collect::<Vec<_>>(), [1, 2, 3]);

    // Confirmed only, and back without another import.
    let instances = admin.get("/api/v1/instances").await.expect(200);
    let key = instances["instances"][0]["id"].as_i64().unwrap();
    admin.patch("/api/v1/exclusion", &json!({ "confirmed_only": [key] })).await.expect(200);
    settle(&server).await;
    assert_eq!(items(&admin).await[2].2, "closed/excluded");
    let shown = admin.patch("/api/v1/exclusion", &json!({ "confirmed_only": [] })).await.expect(200);
    assert_eq!(shown["exclusion"]["confirmed_only"], json!([]));
    settle(&server).await;
    assert_eq!(items(&admin).await[2].2, "open");
    let unknown = admin.patch("/api/v1/exclusion", &json!({ "confirmed_only": [99] })).await.expect(422);
    assert_eq!(unknown["errors"][0]["field"], "confirmed_only");
});

testkit::both_servers!(rules_are_kept_from_who_must_not_and_from_mistakes, |server| async move {
    let admin = server.admin().await;
    let rows = [(1, "Confirmed", 0, "Active"), (2, "Confirmed", 0, "Active"), (3, "Confirmed", 0, "Active")];
    load(&admin, "One", &[host(&rows)]).await;
    let new = json!({ "name": "All", "condition": "severity:5" });
    let most = admin.post("/api/v1/exclusion-rules", &new).await;
    assert_eq!((most.status, most.code()), (409, "matches_most"));
    assert!(most.text.contains("3 of 3 open items"), "{}", most.text);
    let all = json!({ "name": "All", "condition": "severity:5", "all": true });
    let made = rule(&admin, all.clone()).await;
    let again = admin.post("/api/v1/exclusion-rules", &all).await;
    assert_eq!((again.status, again.code()), (409, "name_taken"));
    // Closing them is asked once more.
    let close = admin.patch("/api/v1/exclusion", &json!({ "close_items": true })).await;
    assert_eq!((close.status, close.code()), (409, "matches_most"));
    assert_eq!(admin.get("/api/v1/exclusion").await.expect(200)["exclusion"]["close_items"], false);

    let path = format!("/api/v1/exclusion-rules/{}", made["id"]);
    let stale = admin.request(reqwest::Method::PATCH, &path).header("if-match", "\"v9\"");
    let stale = admin.send(stale.json(&json!({ "active": false }))).await;
    assert_eq!((stale.status, stale.code()), (412, "changed_meanwhile"));
    let renamed = admin.patch(&path, &json!({ "name": "a\r\nBcc: eve" })).await.expect(422);
    assert_eq!(renamed["errors"][0]["field"], "name");
    assert_eq!(admin.patch("/api/v1/exclusion-rules/99", &json!({ "active": false })).await.status, 404);

    for role in ["vulnerability_analyst", "remediation_owner", "read_only", "job_author"] {
        let other = server.user(role, &[role]).await;
        for refused in [
            other.get("/api/v1/exclusion-rules").await,
            other.post("/api/v1/exclusion-rules", &new).await,
            other.patch(&path, &json!({ "active": false })).await,
            other.delete(&path).await,
            other.patch("/api/v1/exclusion", &json!({ "close_items": true })).await,
            other.post("/api/v1/exclusion/apply", &json!({})).await,
            other.get("/exclusion").await,
            other.form("/exclusion/new", &[("name", "x"), ("condition", "qid:1")]).await,
        ] {
            assert_eq!(refused.status, 403, "{role} {}", refused.text);
        }
    }
    let scoped = server.user("scoped", &["vulnerability_administrator"]).await;
    admin.patch("/api/v1/users/scoped", &json!({ "scope": { "tags": ["prod"] } })).await.expect(200);
    assert_eq!(scoped.get("/api/v1/exclusion-rules").await.status, 403, "a rule is about every asset");
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_what_is_excluded_do_all_that_the_api_does() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let rows = [(1, "Confirmed", 0, "Active"), (2, "Potential", 0, "Active"), (3, "Confirmed", 0, "Active")];
    load(&admin, "One", &[host(&rows)]).await;
    assert_eq!(admin.get("/exclusion/new").await.status, 200);
    let form = |name: &'static str, condition: &'static str, then: &'static str| {
        [("name", name), ("condition", condition), ("position", ""), ("active", "on"), ("then", then)]
    };
    let counted = admin.form("/exclusion/new", &form("<b>x</b>", "qid:1", "count")).await;
    assert!(counted.text.contains("It holds for 1 detections, 1 of them open"), "{}", counted.text);
    let wrong = admin.form("/exclusion/new", &form("x", "qid:", "save")).await;
    assert_eq!(wrong.status, 422);
    let most = admin.form("/exclusion/new", &form("x", "severity:5", "save")).await;
    assert!(most.status == 422 && most.text.contains("name=\"all\""), "{}", most.text);
    let saved = admin.form("/exclusion/new", &form("<b>x</b>", "qid:1", "save")).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    settle(&server).await;
    let page = admin.get("/exclusion").await;
    assert!(page.text.contains("&#60;b&#62;x") && !page.text.contains("<b>x</b>"), "{}", page.text);
    assert!(page.text.contains("/exclusion/1/edit"), "{}", page.text);
    assert_eq!(admin.get("/exclusion/1/edit").await.status, 200);
    let detections = admin.get("/exclusion/1").await;
    assert!(detections.text.contains("VIT0000001"), "{}", detections.text);
    let edited = admin.form("/exclusion/1/edit?seen=1", &form("y", "qid:1", "save")).await;
    assert_eq!(edited.status, 303, "{}", edited.text);
    assert_eq!(admin.form("/exclusion/1/edit?seen=1", &form("z", "qid:1", "save")).await.status, 412);
    assert_eq!(admin.get("/exclusion/settings").await.status, 200);
    let set = admin.form("/exclusion/settings?seen=0", &[("only_1", "on"), ("close_items", "on")]).await;
    assert!(set.status == 422 && set.text.contains("more than half"), "{}", set.text);
    let set = admin.form("/exclusion/settings?seen=0", &[("only_1", "on")]).await;
    assert_eq!(set.status, 303, "{}", set.text);
    settle(&server).await;
    assert!(admin.get("/exclusion").await.text.contains("Of One only confirmed weaknesses count."));
    assert!(admin.get("/exclusion/0").await.text.contains("VIT0000002"));
    assert!(admin.get("/exclusion/apply").await.text.contains("0 detections would be excluded"));
    assert_eq!(admin.form("/exclusion/apply", &[]).await.status, 303);
    assert_eq!(admin.form("/exclusion/1/delete?seen=2", &[]).await.status, 303);
    settle(&server).await;
    assert_eq!(admin.get("/api/v1/exclusion-rules").await.expect(200)["exclusion_rules"], json!([]));
}
