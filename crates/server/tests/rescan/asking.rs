//! Who may ask for a rescan, of what, and what asking twice does.

use super::world::{World, number};
use qualys_sim::Options;
use serde_json::json;

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

testkit::both_servers!(s2_07_a_remediation_owner_rescans_what_is_assigned_to_him, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
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
    assert_eq!((refused.status, refused.code()), (403, "not_assigned"), "{}", refused.text);
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
});

testkit::both_servers!(without_a_default_profile_nothing_can_be_rescanned, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let item = &world.items(1).await[0];
    let instance = format!("/api/v1/instances/{}", world.instance);
    let path = format!("/api/v1/items/{}/rescan", item.number);
    // Unset, and one that the scanner does not have.
    for default in ["", "999999"] {
        world.admin.patch(&instance, &json!({ "default_profile": default })).await.expect(200);
        let offer = world.admin.get(&path).await.expect(200);
        assert_eq!((&offer["allowed"], &offer["code"]), (&json!(false), &json!("no_default_profile")), "{offer}");
        for body in [json!({}), json!({ "profile": "510002" })] {
            let refused = world.admin.post(&path, &body).await;
            assert_eq!((refused.status, refused.code()), (409, "no_default_profile"), "{}", refused.text);
        }
        let asset = world.admin.get(&format!("/api/v1/assets/{}/rescan", item.asset)).await.expect(200);
        assert_eq!(asset["code"], "no_default_profile", "{asset}");
    }
    world.admin.patch(&instance, &json!({ "default_profile": "510001" })).await.expect(200);
    world.admin.post(&path, &json!({ "profile": "510002" })).await.expect(201);
    assert_eq!(world.admin.get("/api/v1/scans/VSCAN0000099").await.status, 404);
    assert_eq!(world.admin.get("/api/v1/scans/VIT0000001").await.status, 404);
});

testkit::both_servers!(what_is_assigned_to_a_group_counts_by_setting, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(2).await;
    let owner = world.server.user("rita", &["remediation_owner"]).await;
    let people = world.server.admin().await;
    people.put("/api/v1/groups/web", &json!({ "members": ["rita"] })).await.expect(200);
    let assign = json!({ "group": "web" });
    world.admin.post(&format!("/api/v1/items/{}/assignment", items[0].number), &assign).await.expect(200);
    let assign = json!({ "assignee": "rita" });
    world.admin.post(&format!("/api/v1/items/{}/assignment", items[1].number), &assign).await.expect(200);
    let code = async |item: &str| {
        let offer = owner.get(&format!("/api/v1/items/{item}/rescan")).await.expect(200);
        offer["code"].as_str().unwrap_or("none").to_owned()
    };
    assert_eq!((code(&items[0].number).await.as_str(), code(&items[1].number).await.as_str()), ("none", "none"));
    let rules = json!({ "rules": { "by_group": false } });
    assert_eq!(owner.put("/api/v1/settings/rescan-rules", &rules).await.status, 403);
    people.put("/api/v1/settings/rescan-rules", &rules).await.expect(200);
    let codes = (code(&items[0].number).await, code(&items[1].number).await);
    assert_eq!((codes.0.as_str(), codes.1.as_str()), ("not_assigned_person", "none"));
    let refused = owner.post(&format!("/api/v1/items/{}/rescan", items[0].number), &json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "not_assigned_person"), "{}", refused.text);
    // Whose role reaches everything is not asked.
    let offer = world.admin.get(&format!("/api/v1/items/{}/rescan", items[0].number)).await.expect(200);
    assert_eq!(offer["allowed"], true, "{offer}");
});

testkit::both_servers!(an_asset_is_rescanned_for_what_is_open_on_it_and_ones_own, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let item = world.items(1).await[0].clone();
    let path = format!("/api/v1/assets/{}/rescan", item.asset);
    let open = world.admin.get(&format!("/api/v1/items?q=is:open+asset.id:{}&limit=200", item.asset)).await.expect(200);
    let count = open["items"].as_array().expect("a list").len();
    assert!(count > 1, "{open}");
    let owner = world.server.user("rita", &["remediation_owner"]).await;
    let offer = owner.get(&path).await.expect(200);
    assert_eq!((&offer["allowed"], &offer["code"]), (&json!(false), &json!("not_assigned")), "{offer}");
    let refused = owner.post(&path, &json!({})).await;
    assert_eq!((refused.status, refused.code()), (403, "not_assigned"), "{}", refused.text);
    let assign = json!({ "assignee": "rita" });
    world.admin.post(&format!("/api/v1/items/{}/assignment", item.number), &assign).await.expect(200);
    let requested = owner.post(&path, &json!({})).await.expect(201);
    assert_eq!(requested["scan"]["items"], 1, "her own only: {requested}");
    assert_eq!(requested["skipped"], json!([]), "of the others she learns nothing: {requested}");
    assert_eq!(requested["scan"]["asked_of"], format!("assets/{}", item.asset).as_str());

    // The administrator gets the rest; what is under way is named.
    world.launched(&number(&requested)).await;
    let requested = world.admin.post("/api/v1/scans", &json!({ "asset": item.asset })).await.expect(201);
    assert_eq!(requested["scan"]["items"].as_u64(), Some(count as u64 - 1), "{requested}");
    assert_eq!(requested["open"][0]["item"], item.number.as_str());
    let shown = world.scan(&number(&requested)).await;
    assert_eq!(shown["left_out"][0]["code"], "open_scan", "{shown}");
    assert_eq!(shown["left_out"][0]["scan"], requested["open"][0]["scan"]);
    assert_eq!(world.admin.post("/api/v1/assets/999999/rescan", &json!({})).await.status, 404);
    let both = json!({ "asset": item.asset, "q": "is:open" });
    assert_eq!(world.admin.post("/api/v1/scans", &both).await.status, 422);
});

testkit::both_servers!(a_preview_says_what_the_request_does_and_writes_nothing, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(3).await;
    // One of the hosts loses its address; another item is closed, a third is under way.
    let host = items[0].host.to_string();
    world
        .server
        .app()
        .database
        .write(move |tx| tx.execute("UPDATE source_host SET ip = '', tracking = 'AGENT' WHERE host_key = $1", &[&host]))
        .await
        .expect("the host is changed");
    let open = number(&world.rescan(&[&items[2]], None).await);
    world.launched(&open).await;
    let before = world.admin.get("/api/v1/scans").await.expect(200);
    let numbers: Vec<&str> = items.iter().map(|item| item.number.as_str()).collect();
    let body = json!({ "items": numbers, "eligible_only": true });
    let plan = world.admin.post("/api/v1/scans/preview", &body).await.expect(200)["plan"].clone();
    assert_eq!((&plan["items"], &plan["addresses"]), (&json!(1), &json!(1)), "{plan}");
    assert_eq!(plan["left_out"][0]["item"], items[0].number.as_str());
    assert_eq!(plan["left_out"][0]["code"], "nothing_to_scan");
    assert_eq!(plan["open"], json!([{ "item": items[2].number, "scan": open }]));
    assert_eq!(plan["scans"][0]["profile"]["title"], "Initial Options");
    assert_eq!(world.admin.get("/api/v1/scans").await.expect(200), before, "nothing is written");
    assert_eq!(world.admin.post("/api/v1/scans/preview", &json!({ "items": numbers })).await.status, 409);

    // The request does exactly that, and keeps what it left out.
    let mut asked = body.clone();
    asked["plan"] = plan["digest"].clone();
    let requested = world.admin.post("/api/v1/scans", &asked).await.expect(201);
    assert_eq!(requested["changed"], false, "{requested}");
    let shown = world.scan(&number(&requested)).await;
    let children = shown["children"].as_array().expect("a list");
    let planned = plan["scans"].as_array().expect("a list");
    assert_eq!(children.len(), planned.len());
    for (child, planned) in children.iter().zip(planned) {
        for word in ["instance", "appliance", "network_id", "addresses"] {
            assert_eq!(child[word], planned[word], "{word}");
        }
    }
    let left: Vec<(&str, &str)> = shown["left_out"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["item"].as_str().unwrap_or_default(), one["code"].as_str().unwrap_or_default()))
        .collect();
    let mut expected = vec![(numbers[0], "nothing_to_scan"), (numbers[2], "open_scan")];
    expected.sort_unstable();
    assert_eq!(left, expected);
    // What the plan says now is another one; that is said, not refused.
    let late = world.admin.post("/api/v1/scans", &asked).await.expect(200);
    assert_eq!((&late["changed"], &late["new"]), (&json!(true), &json!(false)), "{late}");
    // Somebody who may see one of the items only learns of no other.
    let owner = world.server.user("rita", &["remediation_owner"]).await;
    let assign = json!({ "assignee": "rita" });
    world.admin.post(&format!("/api/v1/items/{}/assignment", numbers[2]), &assign).await.expect(200);
    let theirs = owner.get(&format!("/api/v1/scans/{}", number(&requested))).await.expect(200);
    assert_eq!(theirs["left_out"].as_array().expect("a list").len(), 1, "{theirs}");
    let hers = owner.post("/api/v1/scans/preview", &body).await.expect(200)["plan"].clone();
    assert_eq!((&hers["items"], &hers["left_out"][0]["code"]), (&json!(0), &json!("not_assigned")), "{hers}");
});

testkit::both_servers!(who_asks_for_what_is_under_way_joins_it_and_leaves_it, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(2).await;
    let owner = world.server.user("rita", &["remediation_owner"]).await;
    let assign = json!({ "assignee": "rita" });
    world.admin.post(&format!("/api/v1/items/{}/assignment", items[0].number), &assign).await.expect(200);
    // The administrator asks for both, the owner for hers.
    let scan = number(&world.rescan(&[&items[0], &items[1]], None).await);
    let joined = owner.post(&format!("/api/v1/items/{}/rescan", items[0].number), &json!({})).await.expect(200);
    assert_eq!((number(&joined), &joined["new"]), (scan.clone(), &json!(false)));
    let path = format!("/api/v1/scans/{scan}");
    let shown = owner.get(&path).await.expect(200);
    let names: Vec<_> = shown["requesters"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["admin", "rita"], "{shown}");
    assert_eq!(shown["sources"].as_array().expect("a list").len(), 1, "of the other item she learns nothing");
    assert_eq!((&shown["leaves"], &shown["cancel_for_all"]["allowed"]), (&json!(true), &json!(false)), "{shown}");

    // She cannot stop it for the other; she leaves it, and it goes on.
    let all = json!({ "everybody": true });
    assert_eq!(owner.post(&format!("{path}/cancel"), &all).await.code(), "others_asked");
    let left = owner.post(&format!("{path}/cancel"), &json!({})).await.expect(200);
    assert!(left["scan"]["ended_at"].is_null() && !left["requesters"][1]["left_at"].is_null(), "{left}");
    assert_eq!(owner.post(&format!("{path}/cancel"), &json!({})).await.status, 403, "she does not want it any more");
    // Back again; the administrator leaves it and it is hers alone, so that she stops it.
    owner.post(&format!("/api/v1/items/{}/rescan", items[0].number), &json!({})).await.expect(200);
    let left = world.admin.post(&format!("{path}/cancel"), &json!({})).await.expect(200);
    assert!(left["scan"]["ended_at"].is_null(), "{left}");
    let stopped = owner.post(&format!("{path}/cancel"), &json!({})).await.expect(200);
    assert_eq!(stopped["scan"]["state"], "cancelled", "{stopped}");

    // Who may stop what others asked for says so.
    let scan = number(&owner.post(&format!("/api/v1/items/{}/rescan", items[0].number), &json!({})).await.expect(201));
    let joined = world.admin.post(&format!("/api/v1/items/{}/rescan", items[0].number), &json!({})).await.expect(200);
    assert_eq!(number(&joined), scan);
    let stopped = world.admin.post(&format!("/api/v1/scans/{scan}/cancel"), &all).await.expect(200);
    assert_eq!(stopped["scan"]["state"], "cancelled", "{stopped}");
    let audit = world.admin.get("/api/v1/audit?q=scan").await;
    assert!(audit.text.contains("scan.join") && audit.text.contains("scan.leave"), "{}", audit.text);
});

testkit::both_servers!(another_item_of_a_host_joins_a_scan_that_was_not_sent_yet, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let first = world.items(1).await[0].clone();
    let open =
        world.admin.get(&format!("/api/v1/items?q=is:open+asset.id:{}&limit=200", first.asset)).await.expect(200);
    let numbers: Vec<&str> =
        open["items"].as_array().expect("a list").iter().filter_map(|item| item["number"].as_str()).collect();
    let others: Vec<&str> = numbers.into_iter().filter(|number| *number != first.number).collect();
    // While the scanner is inactive nothing is sent; the second request asks for nothing new at the scanner.
    let wait = qualys_sim::FaultKind::RateLimited { seconds: 600, headers: true };
    let limited = qualys_sim::Fault { endpoint: Some("scan".to_owned()), from: None, times: 0, what: wait };
    world.simulator.set_fault_plan(vec![limited]);
    let scan = number(&world.rescan(&[&first], None).await);
    // Tried and refused by a limit: it may have been sent, so nothing joins it.
    world.until(&scan, |scan| scan["children"][0]["message"].as_str().is_some_and(|text| text.contains("1965"))).await;
    let apart = world.admin.post("/api/v1/scans", &json!({ "items": [others[0]] })).await.expect(201);
    assert_ne!(number(&apart), scan);
    let never_sent = number(&apart);
    world
        // The limit is known by now: nothing is even asked.
        .until(&never_sent, |scan| scan["children"][0]["message"].as_str().is_some_and(|text| text.contains("limited")))
        .await;
    // As it is before anybody tried.
    let reset = "UPDATE scan_child SET attempts = 0, launching_at = NULL, state = 'planned' WHERE id = 2";
    world.server.app().database.write(move |tx| tx.execute(reset, &[])).await.expect("changed");
    let joined = world.admin.post("/api/v1/scans", &json!({ "items": [others[1]] })).await.expect(200);
    assert_eq!((number(&joined), &joined["new"]), (never_sent.clone(), &json!(false)), "{joined}");
    let shown = world.scan(&never_sent).await;
    assert_eq!(shown["sources"].as_array().expect("a list").len(), 2, "{shown}");
    assert_eq!(shown["children"].as_array().expect("a list").len(), 1, "one scan for both");
});
