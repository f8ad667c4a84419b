//! Appliances: rows of the scanner and of people, and which of them a rescan uses (VR 1.4).

use crate::{import, instance, simulator};
use qualys_sim::Options;
use serde_json::{Value, json};
use testkit::server::Client;

async fn rows(admin: &Client, q: &str) -> Vec<Value> {
    let shown = admin.get(&format!("/api/v1/appliances?q={q}&limit=200")).await.expect(200);
    shown["appliances"].as_array().unwrap().clone()
}

async fn place(admin: &Client, at: &str, address: &str, network: &str) -> Value {
    admin.get(&format!("{at}/place?address={address}&network={network}")).await.expect(200)["place"].clone()
}

testkit::both_servers!(rows_of_the_scanner_keep_what_people_set_and_people_make_their_own, |server| async move {
    let simulator = simulator(Options { hosts: 4, ..Options::default() }).await;
    let admin = server.admin().await;
    let at = instance(&admin, &simulator).await;
    import(&admin, &at, "setup").await;
    let listed = rows(&admin, "").await;
    let from_groups: Vec<&Value> = listed.iter().filter(|row| row["group"] != "").collect();
    assert!(!from_groups.is_empty(), "{listed:?}");
    assert!(from_groups.iter().all(|row| row["addresses"] != json!([]) && row["manual"] == false));
    let external = listed.iter().find(|row| row["key"] == "0").expect("the platform's own scanners");
    assert_eq!((&external["name"], &external["precedence"]), (&json!("External"), &json!(1_000)));

    let row = format!("/api/v1/appliances/{}", from_groups[0]["id"]);
    let refused = admin.patch(&row, &json!({ "addresses": ["10.9.9.9"] })).await;
    assert_eq!((refused.status, refused.code()), (409, "not_manual"), "{}", refused.text);
    for (change, field) in [
        (json!({ "profile": "nonsense" }), "profile"),
        (json!({ "condition": "seen:>2026-01-01" }), "condition"),
        (json!({ "condition": "tagg:x" }), "condition"),
        (json!({ "precedence": -1 }), "precedence"),
    ] {
        let refused = admin.patch(&row, &change).await;
        assert_eq!(
            (refused.status, refused.json["errors"][0]["field"].as_str()),
            (422, Some(field)),
            "{}",
            refused.text
        );
    }
    let set = json!({ "profile": "510001", "precedence": 7, "condition": "tag:dmz", "active": false });
    admin.patch(&row, &set).await.expect(200);
    let stale = admin.request(reqwest::Method::PATCH, &row).header("if-match", "\"v1\"").json(&set);
    assert_eq!(admin.send(stale).await.status, 412);
    import(&admin, &at, "setup").await;
    let kept = admin.get(&row).await.expect(200)["appliance"].clone();
    for (name, value) in set.as_object().unwrap() {
        assert_eq!(&kept[name], value, "an import leaves it as it is: {kept}");
    }
    assert_eq!(admin.delete(&row).await.code(), "not_manual", "it would come again");

    let id = at.rsplit('/').next().unwrap().parse::<i64>().unwrap();
    for (addresses, key) in [("10.0.0.0/8", "1"), ("10.0.0.9-10.0.0.1", "1"), ("10.0.0.1", "")] {
        let new = json!({ "instance_id": id, "key": key, "addresses": [addresses] });
        assert_eq!(admin.post("/api/v1/appliances", &new).await.status, 422, "{addresses} {key}");
    }
    let new = json!({ "instance_id": id, "key": "external", "addresses": ["192.0.2.1-192.0.2.9"], "precedence": 1 });
    let made = admin.post("/api/v1/appliances", &new).await.expect(201)["appliance"].clone();
    assert_eq!((&made["key"], &made["name"], &made["manual"]), (&json!("0"), &json!("External"), &json!(true)));
    assert_eq!(admin.post("/api/v1/appliances", &json!({ "instance_id": 999, "key": "1" })).await.status, 404);
    import(&admin, &at, "setup").await;
    assert_eq!(rows(&admin, "manual:yes").await.len(), 1, "imports leave it");

    let page = admin.get("/appliances?q=manual%3Ayes").await;
    for words in ["External", "made by hand", "192.0.2.1-192.0.2.9", "Add appliance"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    let reader = server.user("rita", &["read_only"]).await;
    assert_eq!(reader.get("/appliances").await.status, 200);
    for (status, reply) in [
        (403, reader.post("/api/v1/appliances", &new).await),
        (403, reader.patch(&row, &set).await),
        (403, reader.delete(&row).await),
        (403, reader.get(&format!("{at}/place?address=10.0.0.1")).await),
        (403, reader.get(&row.replace("/api/v1", "")).await),
        (401, server.client().get("/api/v1/appliances").await),
    ] {
        assert_eq!(reply.status, status, "{}", reply.text);
    }
    assert_eq!(admin.delete(&format!("/api/v1/appliances/{}", made["id"])).await.status, 204);
    assert!(rows(&admin, "manual:yes").await.is_empty());
    simulator.shutdown().await;
});

testkit::both_servers!(an_address_is_served_by_range_condition_order_and_network, |server| async move {
    let simulator = simulator(Options { hosts: 6, ..Options::default() }).await;
    let admin = server.admin().await;
    let at = instance(&admin, &simulator).await;
    admin.patch("/api/v1/scanners/qualys", &json!({ "active": true })).await.expect(200);
    import(&admin, &at, "everything").await;
    let id = at.rsplit('/').next().unwrap().parse::<i64>().unwrap();
    let items = admin.get("/api/v1/items?q=is:open+platform:linux&limit=1").await.expect(200);
    let number = items["items"][0]["number"].as_str().expect("an item").to_owned();
    let asset = admin.get(&format!("/api/v1/assets/{}", items["items"][0]["asset_id"])).await.expect(200);
    let asset = asset.get("asset").unwrap_or(&asset).clone();
    let address = asset["ip"].as_str().expect("an address").to_owned();
    let network = asset["network_id"].as_str().unwrap_or_default().to_owned();

    let before = place(&admin, &at, &address, &network).await;
    assert!(["range", "external"].contains(&before["why"].as_str().unwrap()), "{before}");
    assert_eq!(place(&admin, &at, "203.0.113.77", "").await["why"], "external");
    assert_eq!(admin.get(&format!("{at}/place?address=a+name")).await.status, 422);

    // A condition on the asset's own tag, before everything else, with a profile of its own.
    admin.patch(&format!("/api/v1/assets/{}", asset["id"]), &json!({ "tags": ["by-hand"] })).await.expect(200);
    let new = json!({
        "instance_id": id, "key": "770001", "name": "special", "condition": "tag:by-hand", "precedence": 1,
        "network_id": network, "profile": "510001",
    });
    let made = admin.post("/api/v1/appliances", &new).await.expect(201)["appliance"].clone();
    let now = place(&admin, &at, &address, &network).await;
    assert_eq!(
        (&now["why"], &now["row"], &now["profile"]),
        (&json!("condition"), &made["id"], &json!("510001")),
        "{now}"
    );
    assert_eq!(place(&admin, &at, &address, "999").await["row"], Value::Null, "another network is another machine");
    let page = admin
        .form(&format!("{}/place", at.replace("/api/v1", "")), &[("address", &address), ("network", &network)])
        .await;
    assert!(page.status == 200 && page.text.contains("is scanned from special"), "{}", page.text);

    // The rescan uses it: its appliance and its profile, though the instance has no default profile.
    let asked = admin.post("/api/v1/scans", &json!({ "items": [number] })).await;
    assert_eq!(asked.status, 201, "{}", asked.text);
    let scan =
        admin.get(&format!("/api/v1/scans/{}", asked.json["scan"]["number"].as_str().unwrap())).await.expect(200);
    let text = scan["children"].to_string();
    assert!(text.contains("special") || text.contains("770001"), "{scan}");

    let off = json!({ "active": false });
    admin.patch(&format!("/api/v1/appliances/{}", made["id"]), &off).await.expect(200);
    assert_ne!(place(&admin, &at, &address, &network).await["why"], "condition", "not chosen by address any more");
    simulator.shutdown().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_add_change_and_delete_a_row() {
    let server = testkit::server::TestServer::start().await;
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let at = instance(&admin, &simulator).await;
    import(&admin, &at, "setup").await;
    let id = at.rsplit('/').next().unwrap();
    assert!(admin.get("/appliances/new").await.text.contains("Appliance ID"));
    let wrong = [("instance", id), ("key", "77"), ("addresses", "10.0.0.0/8"), ("precedence", "x")];
    assert!(admin.form("/appliances/new", &wrong).await.text.contains("This is a whole number."));
    let wrong = [("instance", id), ("key", "77"), ("addresses", "10.0.0.0/8"), ("precedence", "3")];
    let refused = admin.form("/appliances/new", &wrong).await;
    assert!(refused.status == 422 && refused.text.contains("10.0.0.0/8 is neither"), "{}", refused.text);
    let good = [("instance", id), ("key", "77"), ("name", "rack"), ("addresses", "10.7.0.1"), ("precedence", "3")];
    assert_eq!(admin.form("/appliances/new", &good).await.status, 303);
    let row = rows(&admin, "manual:yes").await[0].clone();
    let path = format!("/appliances/{}", row["id"]);
    assert!(admin.get(&path).await.text.contains("10.7.0.1"));
    let changed =
        [("key", "77"), ("name", "rack two"), ("addresses", "10.7.0.2"), ("precedence", "4"), ("condition", "tag:x")];
    assert_eq!(admin.form(&path, &changed).await.status, 303);
    let row = rows(&admin, "manual:yes").await[0].clone();
    assert_eq!((&row["name"], &row["condition"], &row["active"]), (&json!("rack two"), &json!("tag:x"), &json!(false)));
    assert_eq!(admin.form(&format!("{path}/delete"), &[]).await.status, 303);
    assert!(rows(&admin, "manual:yes").await.is_empty());
    let listed = rows(&admin, "").await;
    let path = format!("/appliances/{}", listed[0]["id"]);
    assert!(admin.get(&path).await.text.contains("Chosen by address"));
    assert_eq!(admin.form(&path, &[("precedence", "9"), ("active", "on")]).await.status, 303);
    assert_eq!(admin.get(&format!("/api/v1{path}")).await.expect(200)["appliance"]["precedence"], 9);
    simulator.shutdown().await;
}
