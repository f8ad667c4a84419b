//! Rescans of what a remediation task or an effort holds.

use super::world::{Found, World, number, verdict};
use qualys_sim::Options;
use serde_json::{Value, json};
use testkit::server::Client;

fn numbers(items: &[Found]) -> Vec<&str> {
    items.iter().map(|item| item.number.as_str()).collect()
}

/// A task of these items for somebody.
async fn task(world: &World, items: &[Found], assignee: Option<&str>) -> String {
    let new = json!({ "items": numbers(items), "title": "Patch them", "assignee": assignee });
    let made = world.admin.post("/api/v1/tasks", &new).await.expect(201);
    made["tasks"][0].as_str().expect("a number").to_owned()
}

/// An effort of these items that somebody leads, once it is filled.
async fn effort(world: &World, items: &[Found], owner: Option<&str>) -> String {
    let new = json!({ "items": numbers(items), "title": "Before the audit", "owner": owner });
    let made = world.admin.post("/api/v1/efforts", &new).await.expect(201);
    let effort = made["effort"]["number"].as_str().expect("a number").to_owned();
    for _ in 0..2_400 {
        let shown = world.admin.get(&format!("/api/v1/efforts/{effort}")).await.expect(200);
        if shown["effort"]["state"] != "filling" {
            assert_eq!(shown["effort"]["items"].as_u64(), Some(items.len() as u64), "{shown}");
            return effort;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{effort} is not filled");
}

async fn offer(client: &Client, record: &str) -> (Value, String) {
    let offer = client.get(&format!("/api/v1/{record}/rescan")).await.expect(200);
    let code = offer["code"].as_str().unwrap_or("none").to_owned();
    (offer, code)
}

/// Let one of the items come from another product that is active, too.
async fn foreign(world: &World, item: &Found) {
    let item = item.number.trim_start_matches("VIT").parse::<i64>().expect("digits");
    let written = world.server.app().database.write(move |tx| {
        tx.execute("INSERT INTO scanner (product, name, active) VALUES ('other', 'Other', true)", &[])?;
        tx.execute(
            "INSERT INTO integration_instance (name, product, api_url, gateway_url, auth, username, secret, versions,
                 tracking_hours, interval_minutes, source_stamped_at, version, created_at, updated_at)
             SELECT 'Other', 'other', api_url, gateway_url, auth, username, secret, versions, tracking_hours,
                 interval_minutes, source_stamped_at, 1, created_at, updated_at FROM integration_instance WHERE id = (SELECT min(id) FROM integration_instance)",
            &[],
        )?;
        tx.execute(
            "UPDATE vulnerable_item SET instance_id = (SELECT max(id) FROM integration_instance) WHERE number = $1",
            &[&item],
        )
    });
    written.await.expect("it comes from elsewhere");
}

testkit::both_servers!(s2_02_s2_04_s2_05_a_task_is_rescanned_once_its_source_is_qualys, |server| async move {
    let world = World::inactive(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(3).await;
    let task = task(&world, &items, None).await;
    let record = format!("tasks/{task}");
    let path = format!("/api/v1/{record}/rescan");
    assert_eq!(offer(&world.admin, &record).await.1, "scanner_inactive");
    assert_eq!(world.admin.post(&path, &json!({})).await.code(), "scanner_inactive");
    world.activate().await;
    assert_eq!(offer(&world.admin, &record).await.1, "source_not_stamped");
    world.import().await;
    let (shown, code) = offer(&world.admin, &record).await;
    assert_eq!((code.as_str(), &shown["default_profile"]["title"]), ("none", &json!("Initial Options")), "{shown}");

    world.simulator.set_fixed(items[0].host, items[0].qid, true);
    world.advance(60);
    let plan = world.admin.post("/api/v1/scans/preview", &json!({ "task": task })).await.expect(200);
    assert_eq!((&plan["plan"]["items"], &plan["plan"]["addresses"]), (&json!(3), &json!(3)), "{plan}");
    let requested = world.admin.post(&path, &json!({})).await.expect(201);
    assert_eq!((&requested["scan"]["items"], &requested["scan"]["asked_of"]), (&json!(3), &json!(record)));
    let scan = number(&requested);
    // Asked again while it is under way: the same.
    let again = world.admin.post("/api/v1/scans", &json!({ "task": task })).await.expect(200);
    assert_eq!((number(&again), &again["new"]), (scan.clone(), &json!(false)));
    let done = world.ended(&scan).await;
    assert_eq!((verdict(&done, &items[0]), verdict(&done, &items[1])), ("fixed", "still_present"), "{done}");
    let shown = world.admin.get(&format!("/api/v1/{record}")).await.expect(200);
    assert_eq!((&shown["task"]["items"], &shown["task"]["open_items"]), (&json!(3), &json!(2)), "{shown}");

    // The closed one is left out of the next, and named.
    let requested = world.admin.post(&path, &json!({})).await.expect(201);
    assert_eq!(requested["scan"]["items"], 2, "{requested}");
    assert_eq!(
        requested["skipped"],
        json!([{ "item": items[0].number, "host": null, "code": "record_closed",
        "reason": "the item is closed; there is nothing left to verify" }])
    );
    assert_eq!(world.admin.get("/api/v1/tasks/VUL0000099/rescan").await.status, 404);
    assert_eq!(world.admin.post("/api/v1/scans", &json!({ "task": task, "q": "is:open" })).await.status, 422);
});

testkit::both_servers!(s2_06_a_closed_task_and_a_mixed_one_are_not_rescanned, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(3).await;
    let whole = task(&world, &items[..1], None).await;
    let mixed = task(&world, &items[1..], None).await;
    // Any state but Closed.
    for state in ["under_investigation", "awaiting_implementation", "resolved", "open"] {
        let change = json!({ "state": state });
        world.admin.post(&format!("/api/v1/tasks/{whole}/state"), &change).await.expect(200);
        assert_eq!(offer(&world.admin, &format!("tasks/{whole}")).await.1, "none", "{state}");
    }
    world.simulator.set_fixed(items[0].host, items[0].qid, true);
    world.advance(60);
    let scan = number(&world.admin.post(&format!("/api/v1/tasks/{whole}/rescan"), &json!({})).await.expect(201));
    world.ended(&scan).await;
    let shown = world.admin.get(&format!("/api/v1/tasks/{whole}")).await.expect(200);
    assert_eq!(shown["task"]["state"], "closed", "its only item was fixed: {shown}");
    let (told, code) = offer(&world.admin, &format!("tasks/{whole}")).await;
    assert_eq!(
        (code.as_str(), &told["reason"]),
        ("record_closed", &json!("the task is closed; there is nothing left to verify"))
    );
    assert_eq!(world.admin.post(&format!("/api/v1/tasks/{whole}/rescan"), &json!({})).await.code(), "record_closed");

    // All of its items have to come from Qualys; those that do can be asked for alone.
    foreign(&world, &items[2]).await;
    let path = format!("/api/v1/tasks/{mixed}/rescan");
    let (told, code) = offer(&world.admin, &format!("tasks/{mixed}")).await;
    let why = "1 of the 2 open items of the task do not come from Qualys; rescan the 1 that do";
    assert_eq!((code.as_str(), &told["reason"]), ("mixed_sources", &json!(why)), "{told}");
    let refused = world.admin.post(&path, &json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "mixed_sources"), "{}", refused.text);
    let part = world.admin.get(&format!("{path}?eligible_only=true")).await.expect(200);
    assert_eq!(part["allowed"], true, "{part}");
    let requested = world.admin.post(&path, &json!({ "eligible_only": true })).await.expect(201);
    assert_eq!(requested["scan"]["items"], 1, "{requested}");
    assert_eq!(requested["skipped"][0]["code"], "source_not_supported", "{requested}");
});

testkit::both_servers!(s2_07_an_owner_rescans_the_task_that_is_assigned_to_him, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(3).await;
    let owner = world.server.user("rita", &["remediation_owner"]).await;
    let reader = world.server.user("rolf", &["read_only"]).await;
    let (hers, other) = (task(&world, &items[..2], Some("rita")).await, task(&world, &items[2..], None).await);
    assert_eq!(offer(&owner, &format!("tasks/{hers}")).await.1, "none");
    assert_eq!(
        owner.get(&format!("/api/v1/tasks/{other}/rescan")).await.status,
        404,
        "of others' tasks she knows nothing"
    );
    assert_eq!(owner.post(&format!("/api/v1/tasks/{other}/rescan"), &json!({})).await.status, 404);
    assert_eq!(offer(&reader, &format!("tasks/{hers}")).await.1, "role_missing");
    assert_eq!(reader.post(&format!("/api/v1/tasks/{hers}/rescan"), &json!({})).await.status, 403);
    let requested = owner.post(&format!("/api/v1/tasks/{hers}/rescan"), &json!({})).await.expect(201);
    assert_eq!((&requested["scan"]["items"], &requested["scan"]["requested_by"]), (&json!(2), &json!("rita")));
    // What is assigned to her group counts by setting, as with items.
    let people = world.server.admin().await;
    people.put("/api/v1/groups/web", &json!({ "members": ["rita"] })).await.expect(200);
    let assign = json!({ "group": "web" });
    world.admin.post(&format!("/api/v1/tasks/{other}/assignment"), &assign).await.expect(200);
    assert_eq!(offer(&owner, &format!("tasks/{other}")).await.1, "none");
    people.put("/api/v1/settings/rescan-rules", &json!({ "rules": { "by_group": false } })).await.expect(200);
    assert_eq!(offer(&owner, &format!("tasks/{other}")).await.1, "not_assigned_person");
    let refused = owner.post(&format!("/api/v1/tasks/{other}/rescan"), &json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "not_assigned_person"), "{}", refused.text);
});

testkit::both_servers!(s2_09_an_effort_is_rescanned_with_everything_that_is_not_closed, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(4).await;
    let owner = world.server.user("rita", &["remediation_owner"]).await;
    let (hers, other) = (effort(&world, &items[..3], Some("rita")).await, effort(&world, &items[3..], None).await);
    let path = format!("/api/v1/efforts/{hers}/rescan");
    assert_eq!(offer(&owner, &format!("efforts/{hers}")).await.1, "none");
    assert_eq!(owner.post(&format!("/api/v1/efforts/{other}/rescan"), &json!({})).await.status, 404);
    world.simulator.set_fixed(items[0].host, items[0].qid, true);
    world.advance(60);
    let requested = owner.post(&path, &json!({})).await.expect(201);
    let scan = number(&requested);
    assert_eq!(
        (&requested["scan"]["items"], &requested["scan"]["asked_of"]),
        (&json!(3), &json!(format!("efforts/{hers}")))
    );
    let done = world.ended(&scan).await;
    assert_eq!(done["scan"]["state"], "complete", "{done}");
    // Closed items are left out, and listed as such.
    let scan = number(&world.admin.post("/api/v1/scans", &json!({ "effort": hers })).await.expect(201));
    let shown = world.scan(&scan).await;
    assert_eq!(shown["scan"]["items"], 2, "{shown}");
    let left = &shown["left_out"][0];
    assert_eq!((&left["item"], &left["code"]), (&json!(items[0].number), &json!("record_closed")), "{shown}");
    world.ended(&scan).await;
    // Once it is over nothing is looked at for it.
    world.admin.post(&format!("/api/v1/efforts/{hers}/deactivate"), &json!({})).await.expect(200);
    assert_eq!(offer(&world.admin, &format!("efforts/{hers}")).await.1, "record_closed");
});

testkit::both_servers!(s2_10_the_page_of_each_record_has_its_rescan, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(3).await;
    let (task, effort) = (task(&world, &items[..2], None).await, effort(&world, &items[2..], None).await);
    let page = world.server.admin().await;
    for record in [format!("items/{}", items[0].number), format!("tasks/{task}"), format!("efforts/{effort}")] {
        let shown = page.get(&format!("/{record}")).await;
        assert!(shown.text.contains(&format!("/{record}/rescan\"")), "{record}: {}", shown.text);
        let modal = page.get(&format!("/{record}/rescan")).await;
        assert_eq!(modal.status, 200, "{record}");
        for text in ["Use default option profile", "Specify option profile", "Request rescan", "Initial Options"] {
            assert!(modal.text.contains(text), "{record}: {text}: {}", modal.text);
        }
    }
    // A reason on the button instead, where it cannot be.
    world.admin.patch("/api/v1/scanners/qualys", &json!({ "active": false })).await.expect(200);
    for record in [format!("tasks/{task}"), format!("efforts/{effort}")] {
        let shown = page.get(&format!("/{record}")).await;
        assert!(shown.text.contains("The Qualys scanner is inactive"), "{record}: {}", shown.text);
        assert!(!shown.text.contains(&format!("href=\"/{record}/rescan\"")), "{record}");
    }
});
