//! Who may ask for a rescan, of what, and what asking twice does.

use super::world::{World, number};
use qualys_sim::Options;
use serde_json::json;
use testkit::server::TestServer;

testkit::both_servers!(
    s2_02_to_s2_04_a_scanner_is_inactive_then_available_after_the_next_import,
    |server| async move {
        let world = World::inactive(server, Options { hosts: 6, ..Options::default() }).await;
        let item = &world.items(1).await[0];
        let path = format!("/api/v1/items/{}/rescan", item.number);
        let offer = world.admin.get(&path).await.expect(200);
        assert_eq!((&offer["allowed"], &offer["code"]), (&json!(false), &json!("scanner_inactive")));
        let refused = world.admin.post(&path, &json!({})).await;
        assert_eq!((refused.status, refused.code()), (409, "scanner_inactive"));

        world.activate().await;
        let offer = world.admin.get(&path).await.expect(200);
        assert_eq!(offer["code"], "source_not_stamped");
        assert!(offer["reason"].as_str().expect("a reason").contains("available after the next import"));

        world.import().await;
        let offer = world.admin.get(&path).await.expect(200);
        assert_eq!((&offer["allowed"], &offer["code"]), (&json!(true), &json!(null)), "{offer}");
        assert_eq!(world.launches(), 0);
    }
);

testkit::both_servers!(an_item_in_an_open_scan_is_not_launched_again, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(2).await;
    let first = world.rescan(&[&items[0]], None).await;
    let scan = number(&first);
    world.launched(&scan).await;
    let path = format!("/api/v1/items/{}/rescan", items[0].number);
    let again = world.admin.post(&path, &json!({})).await.expect(200);
    assert_eq!((&again["new"], &again["scan"]["number"]), (&json!(false), &json!(scan)));
    let offer = world.admin.get(&path).await.expect(200);
    assert_eq!(offer["open_scan"], scan.as_str());

    // With another item only that one is launched.
    let both = world.rescan(&[&items[0], &items[1]], None).await;
    assert_eq!(both["open"], json!([{ "item": items[0].number, "scan": scan }]));
    let second = number(&both);
    assert_ne!(second, scan);
    let shown = world.launched(&second).await;
    assert_eq!(shown["sources"].as_array().expect("a list").len(), 1);
    assert_eq!(world.launches(), 2);
    let list = world.admin.get("/api/v1/scans?q=is:open&sort=number").await.expect(200);
    assert_eq!(list["scans"].as_array().expect("a list").len(), 2, "{list}");
    let of_item = format!("/api/v1/scans?q=item:{}", items[1].number.trim_start_matches("VIT").trim_start_matches('0'));
    let list = world.admin.get(&of_item).await.expect(200);
    assert_eq!(list["scans"][0]["number"], second.as_str());
    world.ended(&scan).await;
    let anew = world.admin.post(&path, &json!({})).await.expect(201);
    assert_ne!(anew["scan"]["number"], scan.as_str(), "an ended scan is not in the way");
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_07_a_remediation_owner_rescans_what_is_assigned_to_him() {
    let world = World::ready(TestServer::start().await, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(2).await;
    let owner = world.server.user("rita", &["remediation_owner"]).await;
    let reader = world.server.user("rolf", &["read_only"]).await;
    let assign = json!({ "assignee": "rita" });
    world.admin.post(&format!("/api/v1/items/{}/assignment", items[0].number), &assign).await.expect(200);

    let offer = owner.get(&format!("/api/v1/items/{}/rescan", items[0].number)).await.expect(200);
    assert_eq!(offer["allowed"], true, "{offer}");
    let offer = reader.get(&format!("/api/v1/items/{}/rescan", items[0].number)).await.expect(200);
    assert_eq!((&offer["allowed"], &offer["code"]), (&json!(false), &json!("role_missing")));
    let both = json!({ "items": [items[0].number, items[1].number] });
    let refused = owner.post("/api/v1/scans", &both).await;
    assert_eq!((refused.status, refused.code()), (409, "not_assigned"), "{}", refused.text);
    let some = json!({ "items": [items[0].number, items[1].number], "eligible_only": true });
    let requested = owner.post("/api/v1/scans", &some).await.expect(201);
    assert_eq!(requested["skipped"][0]["code"], "not_assigned", "{requested}");
    assert_eq!(requested["scan"]["items"], 1);
    assert_eq!(requested["scan"]["requested_by"], "rita");

    // A request of somebody else about both: of the item that is not his, its owner's colleague learns nothing.
    world.admin.post(&format!("/api/v1/scans/{}/cancel", number(&requested)), &json!({})).await.expect(200);
    world.ended(&number(&requested)).await;
    let wide = number(&world.rescan(&[&items[0], &items[1]], None).await);
    let all = world.scan(&wide).await;
    let theirs = owner.get(&format!("/api/v1/scans/{wide}")).await.expect(200);
    let told = |scan: &serde_json::Value| {
        let children = scan["children"].as_array().expect("a list").clone();
        let addresses =
            children.iter().map(|child| child["addresses"].as_array().expect("a list").len()).sum::<usize>();
        (scan["sources"].as_array().expect("a list").len(), addresses)
    };
    assert_eq!((told(&all), told(&theirs)), ((2, 2), (1, 1)), "{theirs}");
    assert_eq!(theirs["sources"][0]["item"], items[0].number.as_str());
    world.admin.post(&format!("/api/v1/scans/{wide}/cancel"), &json!({})).await.expect(200);
    world.ended(&wide).await;
    let requested = owner.post("/api/v1/scans", &some).await.expect(201);

    let path = format!("/api/v1/scans/{}/cancel", number(&requested));
    assert_eq!(reader.post(&path, &json!({})).await.status, 403);
    let shown = owner.post(&path, &json!({})).await.expect(200);
    assert_eq!(shown["scan"]["state"], "cancelled", "{shown}");
    assert_eq!(owner.post(&path, &json!({})).await.code(), "scan_ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_default_profile_one_has_to_be_named() {
    let world = World::ready(TestServer::start().await, Options { hosts: 6, ..Options::default() }).await;
    let item = &world.items(1).await[0];
    let instance = format!("/api/v1/instances/{}", world.instance);
    world.admin.patch(&instance, &json!({ "default_profile": "" })).await.expect(200);
    let path = format!("/api/v1/items/{}/rescan", item.number);
    let offer = world.admin.get(&path).await.expect(200);
    assert_eq!((&offer["allowed"], &offer["default_profile"]), (&json!(true), &json!(null)));
    let refused = world.admin.post(&path, &json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "no_default_profile"), "{}", refused.text);
    world.admin.post(&path, &json!({ "profile": "510002" })).await.expect(201);
    assert_eq!(world.admin.get("/api/v1/scans/VSCAN0000099").await.status, 404);
    assert_eq!(world.admin.get("/api/v1/scans/VIT0000001").await.status, 404);
}
