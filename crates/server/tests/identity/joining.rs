//! Joining assets, moving a host, taking back, and how hosts are matched: over the API and on pages.

use super::{Host, items, load};
use serde_json::{Value, json};
use testkit::server::{Client, TestServer};

/// Host 11 with its name, 12 by its address only; both have QID 1, and each one of its own.
async fn world(server: &TestServer) -> Client {
    let admin = server.admin().await;
    let rows = |own: i64| vec![(1, "Confirmed", 0, "Active"), (own, "Confirmed", 0, "Active")];
    let first = Host {
        id: 11,
        ip: "192.0.2.11",
        dns: "a.example",
        os: "Ubuntu",
        tag: "prod",
        rows: rows(2),
        ..Host::default()
    };
    let second = Host { id: 12, ip: "192.0.2.12", tag: "lab", rows: rows(3), ..Host::default() };
    load(&admin, "One", &[first, second]).await;
    admin
}

async fn key(admin: &Client, ip: &str) -> i64 {
    admin.get(&format!("/api/v1/assets?q=ip:{ip}")).await.expect(200)["assets"][0]["id"].as_i64().unwrap()
}

fn states(rows: &[(i64, String, String)]) -> Vec<(i64, &str, &str)> {
    rows.iter().map(|(qid, asset, state)| (*qid, asset.as_str(), state.as_str())).collect()
}

testkit::both_servers!(two_assets_become_one_and_two_again, |server| async move {
    let admin = world(&server).await;
    let (into, from) = (key(&admin, "192.0.2.11").await, key(&admin, "192.0.2.12").await);
    let shown = admin.get("/api/v1/assets?q=is:placeholder").await.expect(200);
    assert_eq!((shown["assets"].as_array().unwrap().len(), &shown["assets"][0]["id"]), (1, &json!(from)));

    let path = format!("/api/v1/assets/{from}/merge");
    let dry = admin.post(&path, &json!({ "into": into, "dry_run": true })).await.expect(200);
    assert_eq!(
        (&dry["hosts"], &dry["detections"], &dry["items_moved"], &dry["items_joined"]),
        (&json!(1), &json!(2), &json!(1), &json!(1))
    );
    assert_eq!((&dry["tags"], &dry["merge"]), (&json!(["lab"]), &Value::Null));
    let before = items(&admin).await;
    let stale = admin.post(&path, &json!({ "into": into, "seen": "0011223344556677" })).await;
    assert_eq!((stale.status, stale.code()), (412, "changed_meanwhile"));
    for (other, code) in [(from, "same_asset")] {
        let refused = admin.post(&path, &json!({ "into": other })).await;
        assert_eq!((refused.status, refused.code()), (409, code));
    }
    assert_eq!(admin.post(&path, &json!({ "into": 999 })).await.status, 404);
    assert_eq!(items(&admin).await, before, "nothing was changed so far");

    let done = admin.post(&path, &json!({ "into": into, "seen": dry["digest"] })).await.expect(200);
    assert_eq!(
        states(&items(&admin).await),
        [
            (1, "a.example", "open"),
            (2, "a.example", "open"),
            (1, "192.0.2.12", "closed/moved"),
            (3, "a.example", "open")
        ]
    );
    let gone = admin.get(&format!("/api/v1/assets/{from}")).await;
    assert_eq!((gone.status, gone.code()), (410, "merged"));
    let page = admin.get(&format!("/assets/{from}")).await;
    assert_eq!(page.status, 303, "its page leads to the one that is left");
    let listed = admin.get("/api/v1/assets").await.expect(200);
    assert_eq!(listed["assets"].as_array().unwrap().len(), 1);
    let left = admin.get(&format!("/api/v1/assets/{into}")).await.expect(200);
    assert_eq!(left["asset"]["tags"], json!(["lab", "prod"]));
    assert_eq!(left["sources"][1]["matched_by"], "person");
    let again = admin.post(&path, &json!({ "into": into })).await;
    assert_eq!((again.status, again.code()), (410, "merged"));

    // What is reported for the host afterwards belongs to the asset that is left.
    let rows = vec![(1, "Confirmed", 0, "Active"), (4, "Confirmed", 0, "Active")];
    load(&admin, "One", &[Host { id: 12, ip: "192.0.2.12", tag: "lab", rows, ..Host::default() }]).await;
    assert_eq!(items(&admin).await[4].1, "a.example");

    let merges = admin.get(&format!("/api/v1/assets/{into}/merges")).await.expect(200);
    assert_eq!((&merges["merges"][0]["from"], &merges["merges"][0]["id"]), (&json!(from), &done["merge"]));
    let undo = format!("/api/v1/assets/{into}/merges/{}/undo", done["merge"]);
    admin.post(&undo, &json!({})).await.expect(200);
    assert_eq!(
        states(&items(&admin).await),
        [
            (1, "a.example", "open"),
            (2, "a.example", "open"),
            (1, "192.0.2.12", "open"),
            (3, "192.0.2.12", "open"),
            (4, "192.0.2.12", "open")
        ]
    );
    assert_eq!(admin.get("/api/v1/items/VIT0000003").await.expect(200)["item"]["reopened"], 0);
    let twice = admin.post(&undo, &json!({})).await;
    assert_eq!((twice.status, twice.code()), (409, "undone"));
    assert_eq!(admin.get(&format!("/api/v1/assets/{from}")).await.expect(200)["asset"]["tags"], json!(["lab"]));
});

testkit::both_servers!(joining_is_for_those_who_see_every_asset, |server| async move {
    let admin = world(&server).await;
    let (into, from) = (key(&admin, "192.0.2.11").await, key(&admin, "192.0.2.12").await);
    let (path, body) = (format!("/api/v1/assets/{from}/merge"), json!({ "into": into, "dry_run": true }));
    let host = admin.get(&format!("/api/v1/assets/{from}")).await.expect(200)["sources"][0]["id"].clone();
    let moved = format!("/api/v1/assets/{from}/hosts/{host}/move");
    for role in ["vulnerability_analyst", "remediation_owner", "read_only", "job_author"] {
        let other = server.user(role, &[role]).await;
        for refused in [
            other.post(&path, &body).await,
            other.post(&moved, &json!({ "dry_run": true })).await,
            other.get(&format!("/api/v1/assets/{into}/merges")).await,
            other.post(&format!("/api/v1/assets/{into}/merges/1/undo"), &json!({})).await,
            other.put("/api/v1/matching", &json!({ "rules": ["agent_uuid"] })).await,
            other.get(&format!("/assets/{from}/merge")).await,
            other.get("/matching").await,
        ] {
            assert_eq!(refused.status, 403, "{role} {}", refused.text);
        }
        assert_eq!(other.get(&format!("/assets/{into}")).await.status, 200);
    }
    let scoped = server.user("scoped", &["vulnerability_administrator"]).await;
    assert_eq!(scoped.post(&path, &body).await.status, 200);
    admin.patch("/api/v1/users/scoped", &json!({ "scope": { "tags": ["lab"] } })).await.expect(200);
    assert_eq!(scoped.post(&path, &body).await.status, 403, "tags move, and scopes hang on them");

    let wrong = admin.put("/api/v1/matching", &json!({ "rules": ["ip"] })).await.expect(422);
    assert_eq!(wrong["errors"][0]["field"], "rules");
    let set = admin.put("/api/v1/matching", &json!({ "rules": ["agent_uuid", "ip"] })).await.expect(200);
    assert_eq!(set["rules"], json!(["agent_uuid", "ip"]));
    // By the address alone the same machine is known to another instance.
    let same = Host { id: 90, ip: "192.0.2.11", dns: "other.example", os: "Ubuntu", ..Host::default() };
    load(&admin, "Two", &[same]).await;
    let sources = admin.get(&format!("/api/v1/assets/{into}")).await.expect(200)["sources"].clone();
    let by: Vec<&str> =
        sources.as_array().unwrap().iter().map(|source| source["matched_by"].as_str().unwrap()).collect();
    assert_eq!(by, ["new", "ip"]);
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_join_move_and_take_back() {
    let server = TestServer::start().await;
    let admin = world(&server).await;
    let (into, from) = (key(&admin, "192.0.2.11").await, key(&admin, "192.0.2.12").await);
    let page = admin.get(&format!("/assets/{from}")).await;
    assert!(page.text.contains("Placeholder") && page.text.contains(&format!("/assets/{from}/merge")), "{}", page.text);
    assert!(admin.get("/assets?q=is:placeholder").await.text.contains("192.0.2.12"));
    let path = format!("/assets/{from}/merge");
    assert_eq!(admin.get(&path).await.status, 200);
    for (typed, why) in [("x", "no key of an asset"), ("999", "There is no such asset"), ("", "number in its address")]
    {
        let wrong = admin.form(&path, &[("into", typed)]).await;
        assert!(wrong.status == 422 && wrong.text.contains(why), "{typed}: {}", wrong.text);
    }
    let target = into.to_string();
    let counted = admin.form(&path, &[("into", &target)]).await;
    assert!(counted.text.contains("1 hosts with 2 detections go. 1 items go along, 1 join"), "{}", counted.text);
    let digest = counted.text.split("name=\"digest\"").nth(1).or_else(|| counted.text.split("id=\"f-digest\"").nth(1));
    assert!(digest.is_some(), "{}", counted.text);
    let dry = admin.post(&format!("/api/v1{path}"), &json!({ "into": into, "dry_run": true })).await.expect(200);
    let done = admin.form(&path, &[("into", &target), ("digest", dry["digest"].as_str().unwrap())]).await;
    assert_eq!(done.status, 303, "{}", done.text);
    let page = admin.get(&format!("/assets/{into}")).await;
    assert!(page.text.contains("gave it hosts of 192.0.2.12"), "{}", page.text);
    let undone = admin.form(&format!("/assets/{into}/merges/1/undo"), &[]).await;
    assert_eq!(undone.status, 303, "{}", undone.text);
    assert_eq!(admin.get(&format!("/assets/{from}")).await.status, 200);

    // One host of an asset that has two goes to one of its own.
    let key_less = Host { id: 91, ip: "192.0.2.11", dns: "a.example", os: "Ubuntu", ..Host::default() };
    load(&admin, "Two", &[key_less]).await;
    let sources = admin.get(&format!("/api/v1/assets/{into}")).await.expect(200)["sources"].clone();
    assert_eq!(sources.as_array().unwrap().len(), 2, "{sources}");
    let path = format!("/assets/{into}/hosts/{}/move", sources[1]["id"]);
    assert_eq!(admin.get(&path).await.status, 200);
    let dry = admin.post(&format!("/api/v1{path}"), &json!({ "dry_run": true })).await.expect(200);
    let moved = admin.form(&path, &[("into", ""), ("digest", dry["digest"].as_str().unwrap())]).await;
    assert_eq!(moved.status, 303, "{}", moved.text);
    assert_eq!(admin.get("/api/v1/assets").await.expect(200)["assets"].as_array().unwrap().len(), 3);
    let rules = admin.get("/matching").await;
    assert!(rules.text.contains("agent_uuid, asset_id, fqdn, netbios, dns, ip"), "{}", rules.text);
    assert_eq!(admin.form("/matching?seen=0", &[("rules", "agent_uuid, dns")]).await.status, 303);
    assert_eq!(admin.form("/matching?seen=0", &[("rules", "dns")]).await.status, 422);
}
