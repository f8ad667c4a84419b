//! Who sees which task, and who must not do what with it.

use super::world::{World, refused, set};
use serde_json::{Value, json};

testkit::both_servers!(an_owner_works_on_what_is_assigned_to_him_and_a_scope_is_kept, |server| async move {
    let world = World::new(server).await;
    let rita = world.person("rita", "remediation_owner").await;
    let rolf = world.person("rolf", "read_only").await;
    world.group("web", &["rita"]).await;
    world.import(&[(11, 91, "Active"), (11, 92, "Active"), (12, 91, "Active")]).await;
    let (one, two, lab) = (world.number(11, 91).await, world.number(11, 92).await, world.number(12, 91).await);
    let number = world.make(&[&one, &two, &lab]).await;
    let path = |verb: &str| format!("/api/v1/tasks/{number}/{verb}");
    let give = async |body: Value| world.admin.post(&path("assignment"), &body).await;

    // Nobody's: an owner sees neither the task nor its items.
    assert_eq!(rita.get("/api/v1/tasks").await.expect(200)["tasks"], json!([]));
    let reply = rita.get(&format!("/api/v1/tasks/{number}")).await;
    assert_eq!(refused(&reply), (404, "not_found"), "{}", reply.text);
    assert_eq!(refused(&set(&rolf, &number, "resolved").await), (403, "role_missing"));
    assert_eq!(rolf.post("/api/v1/tasks", &json!({ "items": [one] })).await.status, 403);

    // His group's: he sees it and its items, moves and splits it, but makes, fills and names none.
    give(json!({ "group": "web" })).await.expect(200);
    assert_eq!(rita.get("/api/v1/items").await.expect(200)["items"].as_array().unwrap().len(), 3);
    set(&rita, &number, "under_investigation").await.expect(200);
    rita.post(&format!("/api/v1/notes/tasks/{number}"), &json!({ "text": "on it" })).await.expect(201);
    for (reply, code) in [
        (rita.post("/api/v1/tasks", &json!({ "items": [one] })).await, "role_missing"),
        (rita.post(&path("items"), &json!({ "remove": [one] })).await, "role_missing"),
        (rita.patch(&format!("/api/v1/tasks/{number}"), &json!({ "title": "x" })).await, "role_missing"),
        (rita.delete(&format!("/api/v1/tasks/{number}")).await, "role_missing"),
        (rita.get("/api/v1/rules/tasks").await, "role_missing"),
    ] {
        assert_eq!(refused(&reply), (403, code), "{}", reply.text);
    }
    let split = rita.post(&path("split"), &json!({ "items": [two] })).await.expect(201);
    let new = split["new"].as_str().unwrap();
    assert_eq!(world.task(new).await["group"], "web");
    let taken = rita.post(&path("assignment"), &json!({ "assignee": "rita", "group": "web" })).await.expect(200);
    assert_eq!(taken["task"]["assignee"], "rita");
    // An item that somebody has by hand does not go with the task.
    world.admin.post(&format!("/api/v1/items/{one}/assignment"), &json!({ "assignee": "admin" })).await.expect(200);
    let none = give(json!({})).await;
    assert_eq!((none.status, &none.json["errors"][0]["field"]), (422, &json!("note")), "{}", none.text);
    give(json!({ "note": "the team is away" })).await.expect(200);
    let item = world.item(11, 91).await;
    assert_eq!((&item["assignee"], &item["group"]), (&json!("admin"), &Value::Null));
    let item = world.item(12, 91).await;
    assert_eq!((&item["assignee"], &item["group"]), (&Value::Null, &Value::Null), "what the task gave goes with it");
    let notes = world.admin.get(&format!("/api/v1/notes/tasks/{number}")).await.expect(200);
    assert_eq!(notes["notes"][0]["text"], "the team is away");
    assert_eq!(rita.get(&format!("/api/v1/tasks/{number}")).await.status, 404);

    // A scope: the part inside is seen and counted, nothing that reaches beyond is changed.
    let sam = world.kept_to("sam", "prod").await;
    let seen = sam.get(&format!("/api/v1/tasks/{number}")).await.expect(200);
    assert_eq!((&seen["task"]["items"], &seen["task"]["open_items"]), (&json!(1), &json!(1)), "{seen}");
    assert_eq!(refused(&set(&sam, &number, "resolved").await), (403, "partly_out_of_scope"));
    let take = sam.post(&path("assignment"), &json!({ "assignee": "sam" })).await;
    assert_eq!(refused(&take), (403, "partly_out_of_scope"));
    let moved = sam.post("/api/v1/tasks", &json!({ "items": [one], "existing": "move" })).await;
    assert_eq!(refused(&moved), (403, "partly_out_of_scope"));
    assert_eq!(sam.post("/api/v1/tasks", &json!({ "items": [lab] })).await.status, 404);
    let own = sam.post("/api/v1/tasks", &json!({ "items": [one], "existing": "keep" })).await.expect(201);
    assert_eq!(set(&sam, own["tasks"][0].as_str().unwrap(), "under_investigation").await.status, 200);
    let beyond = world.make(&[&lab]).await;
    assert_eq!(sam.get(&format!("/api/v1/tasks/{beyond}")).await.status, 404);
    assert_eq!(set(&sam, &beyond, "resolved").await.status, 404);
    assert_eq!(refused(&sam.get("/api/v1/rules/tasks").await), (403, "role_missing"));

    // A token that only reads changes nothing.
    let reading = world.server.user("vera", &["vulnerability_administrator"]).await.make_token(&["read"]).await;
    let vera = world.server.client().with_token(&reading);
    assert_eq!(refused(&set(&vera, &number, "resolved").await), (403, "token_scope"));
});
