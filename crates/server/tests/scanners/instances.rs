//! Instances that are disabled, deleted, or import for the first time; and the scanner that is deactivated (VR 1.2).

use crate::{import, instance, new_instance, simulator};
use domain::time::Timestamp;
use qualys_sim::{ClockMode, Options};
use serde_json::{Value, json};
use testkit::server::START_MICROS;

testkit::both_servers!(a_disabled_instance_neither_imports_nor_rescans_and_keeps_its_records, |server| async move {
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    // A token: the clock turns faster than a session lives.
    let token = server.admin().await.make_token(&["read", "items", "rescans", "integrations"]).await;
    let admin = server.client().with_token(&token);
    let at = instance(&admin, &simulator).await;
    admin.patch("/api/v1/scanners/qualys", &json!({ "active": true })).await.expect(200);
    import(&admin, &at, "everything").await;
    admin.patch(&at, &json!({ "default_profile": "510001" })).await.expect(200);
    let items = admin.get("/api/v1/items?q=is:open&limit=1").await.expect(200);
    let number = items["items"][0]["number"].as_str().expect("an item").to_owned();
    let ask = json!({ "items": [number], "profile": "510001" });

    let off = json!({ "disabled": true, "interval_minutes": 15 });
    let changed = admin.patch(&at, &off).await.expect(200);
    assert_eq!(changed["instance"]["disabled"], true);
    let refused = admin.post(&format!("{at}/imports"), &json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "instance_disabled"), "{}", refused.text);
    let refused = admin.post("/api/v1/scans", &ask).await;
    assert!(refused.status >= 400 && refused.text.contains("instance_disabled"), "{}", refused.text);
    for _ in 0..4 {
        server.clock.advance(16 * 60);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let runs = admin.get("/api/v1/imports?q=cause:schedule").await.expect(200);
    assert_eq!(runs["imports"], json!([]), "nothing is scheduled");
    assert_eq!(
        admin.get("/api/v1/instances?q=disabled:yes").await.expect(200)["instances"].as_array().unwrap().len(),
        1
    );
    assert_eq!(admin.get(&format!("/api/v1/items/{number}")).await.status, 200, "its records stay");

    admin.patch(&at, &json!({ "disabled": false, "interval_minutes": 0 })).await.expect(200);
    assert_eq!(import(&admin, &at, "setup").await["import"]["state"], "complete");
    assert_eq!(admin.post("/api/v1/scans", &ask).await.status, 201);
    simulator.shutdown().await;
});

testkit::both_servers!(only_an_instance_that_never_imported_is_deleted, |server| async move {
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let at = instance(&admin, &simulator).await;
    admin.post(&format!("{at}/test"), &json!({})).await.expect(200);
    let reader = server.user("rita", &["read_only"]).await;
    assert_eq!(reader.delete(&at).await.status, 403);
    let stale = admin.request(reqwest::Method::DELETE, &at).header("if-match", "\"v7\"");
    assert_eq!(admin.send(stale).await.status, 412);
    assert_eq!(admin.delete(&at).await.status, 204);
    assert_eq!(admin.get(&at).await.status, 404);
    assert_eq!(admin.delete(&at).await.status, 404);
    // Its limits are kept by a loop that may come later.
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    let at = instance(&admin, &simulator).await;
    import(&admin, &at, "setup").await;
    let refused = admin.delete(&at).await;
    assert_eq!((refused.status, refused.code()), (409, "instance_in_use"), "{}", refused.text);
    let audit = admin.get("/api/v1/audit?q=action:instance.delete").await.expect(200);
    assert_eq!(
        audit["entries"].as_array().map(Vec::len).or(audit["audit"].as_array().map(Vec::len)),
        Some(1),
        "{audit}"
    );
    simulator.shutdown().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_import_goes_back_as_far_as_is_set() {
    let server = testkit::server::TestServer::start().await;
    let clock = ClockMode::Manual(Timestamp::from_micros(START_MICROS).to_jiff());
    let simulator = simulator(Options { hosts: 3, clock, ..Options::default() }).await;
    let admin = server.admin().await;
    let mut new = new_instance(&simulator);
    for days in [-1, 366] {
        new["first_days"] = json!(days);
        assert_eq!(admin.post("/api/v1/instances", &new).await.status, 422, "{days}");
    }
    new["first_days"] = json!(30);
    let made = admin.post("/api/v1/instances", &new).await.expect(201);
    assert_eq!(made["instance"]["first_days"], 30);
    let at = format!("/api/v1/instances/{}", made["instance"]["id"]);
    import(&admin, &at, "host_detection").await;
    let asked = simulator.journal().into_iter().find(|call| call.endpoint == "host-detection").expect("a call");
    let since: Timestamp = asked.parameter("vm_processed_after").expect("a beginning").parse().unwrap();
    assert_eq!((START_MICROS - since.micros()) / 86_400_000_000, 30, "{since}");
    let cleared = admin.patch(&at, &json!({ "first_days": 0 })).await.expect(200);
    assert_eq!(cleared["instance"]["first_days"], Value::Null);
    simulator.shutdown().await;
}

testkit::both_servers!(a_deactivated_scanner_keeps_its_source_and_refuses_rescans, |server| async move {
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let at = instance(&admin, &simulator).await;
    admin.patch("/api/v1/scanners/qualys", &json!({ "active": true })).await.expect(200);
    import(&admin, &at, "everything").await;
    admin.patch(&at, &json!({ "default_profile": "510001" })).await.expect(200);
    let list = admin.get("/api/v1/items?q=is:open&limit=1").await.expect(200);
    let number = list["items"][0]["number"].as_str().expect("an item").to_owned();
    let active = |active: bool| json!({ "active": active });
    admin.patch("/api/v1/scanners/qualys", &active(false)).await.expect(200);
    assert_eq!(admin.get(&at).await.expect(200)["instance"]["source"], "Qualys", "what was stamped stays stamped");
    let still = admin.get("/api/v1/items?q=source:Qualys&limit=1").await.expect(200);
    assert_eq!(still["items"].as_array().unwrap().len(), 1);
    let refused = admin.post("/api/v1/scans", &json!({ "items": [number], "profile": "510001" })).await;
    assert!(refused.status >= 400 && refused.text.contains("scanner_inactive"), "{}", refused.text);
    let page = admin.get("/scanners").await;
    assert!(page.text.contains("Inactive") && !page.text.contains("not before it is active"), "{}", page.text);
    assert!(admin.get(&format!("/items/{number}")).await.text.contains("The Qualys scanner is inactive"));
    // Activated again, nothing has to be waited for.
    admin.patch("/api/v1/scanners/qualys", &active(true)).await.expect(200);
    assert_eq!(admin.post("/api/v1/scans", &json!({ "items": [number], "profile": "510001" })).await.status, 201);
    simulator.shutdown().await;
});
