//! The sentences of S2 that one test each holds; the others stand where what they say is tried out in full (`asking.rs`, `outcomes.rs`,
//! `trouble.rs`).

use super::world::{Found, World, number, verdict};
use qualys_sim::{Options, Outcome};
use serde_json::{Value, json};

async fn state(world: &World, item: &Found) -> (String, String) {
    let shown = world.admin.get(&format!("/api/v1/items/{}", item.number)).await.expect(200);
    let word = |name: &str| shown["item"][name].as_str().unwrap_or_default().to_owned();
    (word("state"), word("substate"))
}

/// Imports of every kind but the targeted ones of rescans.
async fn scheduled(world: &World) -> Vec<Value> {
    let runs = world.admin.get("/api/v1/imports?limit=200").await.expect(200);
    let runs = runs["imports"].as_array().expect("a list").clone();
    runs.into_iter().filter(|run| run["kind"] != "targeted").collect()
}

testkit::both_servers!(s2_01_between_two_imports_a_rescan_verifies_what_was_done, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(2).await;
    let (before, instance) = (scheduled(&world).await, format!("/api/v1/instances/{}", world.instance));
    let reached = world.admin.get(&instance).await.expect(200)["instance"]["host_detection_until"].clone();
    // Somebody patched one of the two machines.
    world.simulator.set_fixed(items[0].host, items[0].qid, true);
    world.advance(60);
    assert_eq!(state(&world, &items[0]).await.0, "open");
    let scan = number(&world.rescan(&[&items[0], &items[1]], None).await);
    let done = world.ended(&scan).await;
    assert_eq!((verdict(&done, &items[0]), verdict(&done, &items[1])), ("fixed", "still_present"), "{done}");
    assert_eq!(state(&world, &items[0]).await, ("closed".to_owned(), "fixed".to_owned()));
    assert_eq!(state(&world, &items[1]).await.0, "open");
    assert_eq!(scheduled(&world).await, before, "no scheduled import was needed, and none was touched");
    let now = world.admin.get(&instance).await.expect(200)["instance"]["host_detection_until"].clone();
    assert_eq!(now, reached, "the next scheduled import goes on where the last one ended");
});

testkit::both_servers!(s2_03_a_scanner_is_activated_by_who_runs_scanners, |server| async move {
    let world = World::inactive(server, Options { hosts: 2, ..Options::default() }).await;
    let shown = world.admin.get("/api/v1/scanners/qualys").await.expect(200);
    assert_eq!(shown["scanner"]["active"], false, "inactive by default: {shown}");
    let active = json!({ "active": true });
    for (name, role) in [
        ("anna", "vulnerability_analyst"),
        ("rita", "remediation_owner"),
        ("jona", "job_author"),
        ("joel", "job_reader"),
        ("rolf", "read_only"),
    ] {
        let refused = world.server.user(name, &[role]).await.patch("/api/v1/scanners/qualys", &active).await;
        assert_eq!(refused.status, 403, "{role}: {}", refused.text);
    }
    assert_eq!(world.admin.get("/api/v1/scanners/qualys").await.expect(200)["scanner"]["active"], false);
    for (name, role) in [("vera", "vulnerability_administrator"), ("adam", "administrator")] {
        let user = world.server.user(name, &[role]).await;
        for wanted in [true, false] {
            let changed = user.patch("/api/v1/scanners/qualys", &json!({ "active": wanted })).await.expect(200);
            assert_eq!(changed["scanner"]["active"], wanted, "{role}: {changed}");
        }
    }
    let audit = world.server.admin().await.get("/api/v1/audit?q=action:scanner.activate").await;
    assert!(audit.text.contains("vera") && audit.text.contains("adam"), "{}", audit.text);
});

testkit::both_servers!(s2_05_items_of_qualys_are_rescanned_and_no_others, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let item = &world.items(1).await[0];
    let path = format!("/api/v1/items/{}/rescan", item.number);
    assert_eq!(world.admin.get(&path).await.expect(200)["allowed"], true);
    // The same item from another product, which is active and has imported, too.
    let instance = world.instance;
    world
        .server
        .app()
        .database
        .write(move |tx| {
            tx.execute(
                "INSERT INTO scanner (product, name, active, activated_at)
                 SELECT 'other', 'Other', active, activated_at FROM scanner WHERE product = 'qualys'",
                &[],
            )?;
            tx.execute("UPDATE integration_instance SET product = 'other' WHERE id = $1", &[&instance])
        })
        .await
        .expect("the product is changed");
    let offer = world.admin.get(&path).await.expect(200);
    assert_eq!((&offer["allowed"], &offer["code"]), (&json!(false), &json!("source_not_supported")), "{offer}");
    let refused = world.admin.post(&path, &json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "source_not_supported"), "{}", refused.text);
    assert_eq!(refused.json["detail"], offer["reason"], "one sentence for the button and the answer");
    assert_eq!(world.launches(), 0);
});

testkit::both_servers!(s2_08_roles_decide_whose_items_are_rescanned, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(2).await;
    let assign = json!({ "assignee": "rita" });
    let owner = world.server.user("rita", &["remediation_owner"]).await;
    world.admin.post(&format!("/api/v1/items/{}/assignment", items[0].number), &assign).await.expect(200);
    let code = async |client: &testkit::server::Client, item: &Found| {
        let reply = client.get(&format!("/api/v1/items/{}/rescan", item.number)).await;
        match reply.status {
            200 => reply.json["code"].as_str().unwrap_or("allowed").to_owned(),
            status => status.to_string(),
        }
    };
    // Mine: what is assigned; of the rest she knows nothing.
    assert_eq!(code(&owner, &items[0]).await, "allowed");
    assert_eq!(code(&owner, &items[1]).await, "403");
    // All: whoever it is assigned to.
    for role in ["vulnerability_analyst", "vulnerability_administrator", "administrator"] {
        let user = world.server.user(&format!("u-{}", role.replace('_', "-")), &[role]).await;
        for item in &items {
            assert_eq!(code(&user, item).await, "allowed", "{role}");
        }
    }
    for role in ["job_author", "read_only"] {
        let user = world.server.user(&format!("u-{}", role.replace('_', "-")), &[role]).await;
        assert_eq!(code(&user, &items[0]).await, "role_missing", "{role}");
        let refused = user.post(&format!("/api/v1/items/{}/rescan", items[0].number), &json!({})).await;
        assert_eq!((refused.status, refused.code()), (403, "role_missing"), "{role}: {}", refused.text);
    }
    let reader = world.server.user("joel", &["job_reader"]).await;
    assert_eq!(code(&reader, &items[0]).await, "403");
    assert_eq!(world.launches(), 0);
});

testkit::both_servers!(s2_11_the_default_profile_is_the_appliances_else_the_instances, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(3).await;
    let option = |world: &World| {
        let launches = world.simulator.journal().into_iter().filter(|call| call.parameter("action") == Some("launch"));
        launches.map(|call| call.parameter("option_id").unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    // Two of the three stand in one network, the third behind an appliance of its own.
    let scan = number(&world.rescan(&[&items[0], &items[1], &items[2]], None).await);
    world.until(&scan, |scan| scan["children"][1]["reference"].is_string()).await;
    assert_eq!(option(&world), ["510001", "510001"], "the instance's");
    world.ended(&scan).await;
    let appliances = world.admin.get(&format!("/api/v1/instances/{}/appliances", world.instance)).await.expect(200);
    let rows = appliances["appliances"].as_array().expect("a list").clone();
    for branch in rows.iter().filter(|row| row["name"] == "scanner-branch") {
        let change = json!({ "profile": "510002" });
        world.admin.patch(&format!("/api/v1/appliances/{}", branch["id"]), &change).await.expect(200);
    }
    world.simulator.clear_journal();
    world.advance(600);
    let scan = number(&world.rescan(&[&items[0], &items[1], &items[2]], None).await);
    let shown = world.until(&scan, |scan| scan["children"][1]["reference"].is_string()).await;
    let mut used: Vec<(String, String)> = shown["children"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|child| (child["appliance"].as_str().unwrap_or_default().to_owned(), child["profile"]["key"].to_string()))
        .collect();
    used.sort();
    let word = |name: &str, key: &str| (name.to_owned(), format!("\"{key}\""));
    assert_eq!(used, [word("scanner-branch", "510002"), word("scanner-hq-1", "510001")], "{shown}");
});

testkit::both_servers!(s2_13_s2_14_the_message_leads_to_the_record, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let item = &world.items(1).await[0];
    let path = format!("/api/v1/items/{}/rescan", item.number);
    let requested = world.admin.post(&path, &json!({})).await.expect(201);
    assert_eq!(requested["message"], "the scan request is being processed");
    let scan = number(&requested);
    assert!(scan.starts_with("VSCAN"), "{scan}");
    assert_eq!(world.scan(&scan).await["scan"]["number"], scan.as_str());
    // The page says so, too, and links to the record; a second press leads to the same.
    let page = world.server.admin().await;
    let key = "0123456789abcdef0123456789abcdef";
    let fields = [("profile", "default"), ("key", key)];
    let sent = page.form(&format!("/items/{}/rescan", item.number), &fields).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let shown = page.get(&format!("/items/{}", item.number)).await;
    assert!(shown.text.contains("The scan request is being processed."), "{}", shown.text);
    assert!(shown.text.contains(&format!("href=\"/scans/{scan}\"")) && shown.text.contains("View status"));
    world.launched(&scan).await;
    assert_eq!(world.launches(), 1);
});

testkit::both_servers!(s2_15_the_record_has_its_number_source_state_and_summary, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(3).await;
    let scan = number(&world.rescan(&[&items[0], &items[1], &items[2]], None).await);
    let shown = world.until(&scan, |scan| scan["children"][1]["reference"].is_string()).await;
    assert_eq!((&shown["scan"]["number"], &shown["scan"]["source"]), (&json!(scan), &json!("Qualys")), "{shown}");
    assert_eq!(shown["scan"]["state"], "scanning");
    assert_eq!(shown["scan"]["children"], json!({ "total": 2, "completed": 0, "failed": 0, "open": 2 }));
    let reference = shown["children"][0]["reference"].as_str().expect("a reference");
    world.simulator.state().change_scan(reference, |scan, _| scan.outcome = Outcome::Error);
    let done = world.ended(&scan).await;
    assert_eq!(done["scan"]["state"], "error", "{done}");
    assert_eq!(done["scan"]["children"], json!({ "total": 2, "completed": 1, "failed": 1, "open": 0 }));
});

testkit::both_servers!(s2_17_the_source_names_item_asset_vulnerability_and_what_became_of_it, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(2).await;
    world.simulator.set_fixed(items[0].host, items[0].qid, true);
    world.advance(60);
    let scan = number(&world.rescan(&[&items[0], &items[1]], None).await);
    let before = world.scan(&scan).await;
    let source = |scan: &Value, item: &Found| {
        let sources = scan["sources"].as_array().expect("a list");
        sources.iter().find(|source| source["item"] == item.number.as_str()).expect("it is looked at").clone()
    };
    for item in &items {
        let told = source(&before, item);
        let shown = world.admin.get(&format!("/api/v1/items/{}", item.number)).await.expect(200)["item"].clone();
        for word in [
            "asset",
            "asset_id",
            "qid",
            "title",
            "state",
            "substate",
            "target",
            "due_at",
            "mitigation",
            "inherent",
            "residual",
        ] {
            assert_eq!(told[word], shown[word], "{word}");
        }
        assert_eq!((&told["state"], &told["verdict"]), (&json!("open"), &json!(null)), "{told}");
        assert_eq!(told["target"], "in_flight", "{told}");
    }
    let done = world.ended(&scan).await;
    let gone = source(&done, &items[0]);
    assert_eq!(
        (&gone["state"], &gone["substate"], &gone["verdict"]),
        (&json!("closed"), &json!("fixed"), &json!("fixed"))
    );
    let there = source(&done, &items[1]);
    assert_eq!((&there["state"], &there["verdict"]), (&json!("open"), &json!("still_present")), "{there}");
    // The remediation target status: what it reached stands once it is closed.
    assert_eq!((&gone["target"], &there["target"]), (&json!("met"), &json!("in_flight")));
    let file = world.admin.get(&format!("/api/v1/scans/{scan}/report?format=csv")).await.text;
    assert!(file.lines().next().is_some_and(|head| head.contains("state,substate,target,due_at")), "{file}");
    assert!(file.contains("closed,fixed,met,") && file.contains("open,,in_flight,"), "{file}");
    let page = world.server.admin().await.get(&format!("/scans/{scan}?part=source")).await.text;
    assert!(page.contains("Target met") && page.contains("In-flight"), "{page}");
});

testkit::both_servers!(s2_20_what_the_platform_closed_arrives_with_the_next_scheduled_import, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let item = &world.items(1).await[0];
    let schedules = format!("/api/v1/instances/{}/schedules/host_detection", world.instance);
    world.admin.put(&schedules, &json!({ "when": "every", "minutes": 60 })).await.expect(200);
    // The rescan sees it still; afterwards it is fixed, and a scan that nobody asked Quell for has seen that.
    world.advance(60);
    let scan = number(&world.rescan(&[item], None).await);
    let done = world.ended(&scan).await;
    assert_eq!(verdict(&done, item), "still_present", "{done}");
    world.simulator.set_fixed(item.host, item.qid, true);
    assert!(world.simulator.scan_by_others(item.host));
    for _ in 0..60 {
        world.advance(20);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let runs = scheduled(&world).await.len();
    for _ in 0..2_400 {
        if state(&world, item).await.0 == "closed" {
            break;
        }
        world.advance(30);
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert_eq!(state(&world, item).await, ("closed".to_owned(), "fixed".to_owned()));
    assert!(scheduled(&world).await.len() >= runs.max(1), "an import of the schedule did it");
    let history = world.admin.get(&format!("/api/v1/items/{}/history", item.number)).await.expect(200);
    let closed = history["history"].as_array().expect("a list").iter().find(|line| line["after"] == "closed/fixed");
    let cause = closed.expect("a line")["cause"].as_str().expect("a cause").to_owned();
    let run = world.admin.get(&format!("/api/v1/imports/{cause}")).await.expect(200);
    assert_eq!(run["import"]["kind"], "host_detection", "{run}");
    let shown = world.scan(&scan).await;
    assert_eq!(shown["sources"][0]["state"], "closed", "the record of the rescan shows the item as it is: {shown}");
});
