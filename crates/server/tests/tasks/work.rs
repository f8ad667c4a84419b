//! What is done with a task: its states and its items', notes, splitting, what it holds.

use super::world::{World, refused, set};
use serde_json::{Value, json};

testkit::both_servers!(a_task_is_made_worked_on_and_closed_by_an_import, |server| async move {
    let world = World::new(server).await;
    let anna = world.person("anna", "vulnerability_analyst").await;
    world.import(&[(11, 91, "Active"), (11, 92, "Active"), (12, 91, "Active")]).await;
    let (one, two) = (world.number(11, 91).await, world.number(11, 92).await);

    // What is not acceptable is said field by field, and nothing is made.
    for (field, body) in [
        ("items", json!({ "items": [] })),
        ("group_by", json!({ "items": [one], "group_by": "asset" })),
        ("existing", json!({ "items": [one], "existing": "both" })),
        ("title", json!({ "items": [one], "title": "x".repeat(161) })),
        ("title", json!({ "items": [one], "title": "a\nb" })),
        ("description", json!({ "items": [one], "description": "x".repeat(4_001) })),
        ("assignee", json!({ "items": [one], "assignee": "nobody" })),
        ("group", json!({ "items": [one], "group": "nobody" })),
    ] {
        let wrong = anna.post("/api/v1/tasks", &body).await;
        assert_eq!((wrong.status, &wrong.json["errors"][0]["field"]), (422, &json!(field)), "{}", wrong.text);
    }
    assert_eq!(anna.post("/api/v1/tasks", &json!({ "items": ["VIT9999999"] })).await.status, 404);
    assert_eq!(anna.get("/api/v1/tasks").await.expect(200)["tasks"], json!([]));

    let body = json!({ "q": "qid:91", "title": "<b>Patch</b>", "description": "now\r\nplease" });
    let made = anna.post("/api/v1/tasks", &body).await.expect(201);
    assert_eq!((&made["tasks"], &made["items"], &made["skipped"]), (&json!(["VUL0000001"]), &json!(2), &json!(0)));
    let task = world.task("VUL0000001").await;
    assert_eq!(
        (&task["title"], &task["state"], &task["open_items"], &task["created_by"], &task["score"]),
        (&json!("<b>Patch</b>"), &json!("open"), &json!(2), &json!("users/anna"), &json!(95)),
        "{task}"
    );
    let again = anna.post("/api/v1/tasks", &json!({ "items": [one] })).await;
    assert_eq!(refused(&again), (409, "nothing_to_do"));

    // Down: its items go with it; a person cannot take one below it.
    set(&anna, "VUL0000001", "under_investigation").await.expect(200);
    world.is(11, 91, "under_investigation").await;
    world.is(11, 92, "open").await;
    let below = anna.post(&format!("/api/v1/items/{one}/state"), &json!({ "state": "open" })).await;
    assert_eq!(refused(&below), (409, "task_counts_more"));
    let many = json!({ "items": [one, two], "state": "under_investigation" });
    let done = anna.post("/api/v1/items/changes", &many).await.expect(200);
    assert_eq!((&done["changed"], &done["refused"][0]["code"]), (&json!(1), &json!("same_state")), "{done}");
    let many = json!({ "items": [one, two], "state": "open" });
    let done = anna.post("/api/v1/items/changes", &many).await.expect(200);
    assert_eq!((&done["changed"], &done["refused"][0]["code"]), (&json!(1), &json!("task_counts_more")), "{done}");
    let why = anna.get(&format!("/api/v1/items/{one}/why")).await.expect(200);
    let first = why["why"][0].as_str().unwrap();
    assert!(first.contains("VUL0000001 is Under Investigation") && first.contains("own state Open"), "{why}");

    // People never close it, and a stale page changes nothing.
    for (state, code) in [
        ("closed", "closed_by_items"),
        ("deferred", "by_request"),
        ("in_review", "by_request"),
        ("under_investigation", "same_state"),
    ] {
        assert_eq!(refused(&set(&anna, "VUL0000001", state).await), (409, code), "{state}");
    }
    let path = "/api/v1/tasks/VUL0000001/state";
    let stale = anna.request(reqwest::Method::POST, path).header("if-match", "\"v1\"");
    let stale = anna.send(stale.json(&json!({ "state": "resolved" }))).await;
    assert_eq!(refused(&stale), (412, "changed_meanwhile"));
    world.is(12, 91, "under_investigation").await;

    // Up: what was resolved and is found again opens the task; what is gone closes it.
    set(&anna, "VUL0000001", "resolved").await.expect(200);
    world.is(12, 91, "resolved").await;
    let why = anna.get("/api/v1/tasks/VUL0000001/why").await.expect(200);
    assert_eq!(why["why"][0], "anna set it", "{why}");
    world.import(&[(11, 91, "Fixed"), (11, 92, "Active"), (12, 91, "Fixed")]).await;
    let task = world.task("VUL0000001").await;
    assert_eq!(
        (&task["state"], &task["substate"], &task["open_items"]),
        (&json!("closed"), &json!("fixed"), &json!(0))
    );
    assert_eq!(refused(&set(&anna, "VUL0000001", "open").await), (409, "task_closed"));
    world.import(&[(11, 91, "Re-Opened")]).await;
    world.is(11, 91, "open").await;
    assert_eq!(world.task("VUL0000001").await["state"], "closed", "what comes back is grouped anew");
    let history = anna.get("/api/v1/tasks/VUL0000001/history").await.expect(200);
    let lines: Vec<(&str, &str)> = history["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["what"].as_str().unwrap(), line["after"].as_str().unwrap()))
        .collect();
    assert_eq!(
        lines,
        [("state", "closed/fixed"), ("state", "resolved"), ("state", "under_investigation"), ("made", "open")]
    );
    let listed = anna.get("/api/v1/items?q=task:VUL0000001+and+not+is:closed").await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
});

testkit::both_servers!(a_task_is_split_filled_emptied_and_deleted, |server| async move {
    let world = World::new(server).await;
    let anna = world.person("anna", "vulnerability_analyst").await;
    world.import(&[(11, 91, "Active"), (11, 92, "Active"), (12, 91, "Active"), (12, 92, "Active")]).await;
    let (one, two, three) = (world.number(11, 91).await, world.number(11, 92).await, world.number(12, 91).await);
    let last = world.number(12, 92).await;
    let number = world.make(&[&one, &two, &three]).await;
    let path = |verb: &str| format!("/api/v1/tasks/{number}/{verb}");
    for (body, code) in [
        (json!({ "items": [last] }), "nothing_goes"),
        (json!({ "q": "qid:[91, 92]" }), "nothing_stays"),
        (json!({ "q": "qid:7" }), "nothing_goes"),
    ] {
        assert_eq!(refused(&anna.post(&path("split"), &body).await), (409, code), "{body}");
    }
    assert_eq!(anna.post(&path("split"), &json!({ "q": "qid::" })).await.status, 422);
    assert_eq!(anna.post(&path("split"), &json!({})).await.status, 422);
    // The query looks at the task's items only: the last item has this QID, too.
    let split = anna.post(&path("split"), &json!({ "q": "qid:92", "title": "The rest" })).await.expect(201);
    assert_eq!((&split["new"], &split["task"]["state"]), (&json!("VUL0000002"), &json!("under_investigation")));
    let new = world.task("VUL0000002").await;
    assert_eq!(
        (&new["title"], &new["items"], &new["split_from"], &new["origin"], &new["state"]),
        (&json!("The rest"), &json!(1), &json!(number), &json!("split"), &json!("open"))
    );
    world.is(11, 92, "open").await;
    world.is(11, 91, "under_investigation").await;
    assert_eq!(
        refused(&anna.post("/api/v1/tasks/VUL0000002/split", &json!({ "items": [two] })).await),
        (409, "one_item")
    );

    let held = anna.post(&path("items"), &json!({ "add": [last] })).await.expect(200);
    assert_eq!(held["task"]["items"], 3);
    world.is(12, 92, "under_investigation").await;
    assert_eq!(anna.post(&path("items"), &json!({ "add": [last], "remove": [one] })).await.status, 422);
    set(&anna, &number, "resolved").await.expect(200);
    assert_eq!(refused(&anna.post(&path("items"), &json!({ "add": [two] })).await), (409, "not_in_work"));
    let gone = anna.delete(&format!("/api/v1/tasks/{number}")).await;
    assert_eq!(refused(&gone), (409, "has_items"));
    let emptied = anna.post(&path("items"), &json!({ "remove": [one, three, last] })).await.expect(200);
    assert_eq!(
        (&emptied["task"]["state"], &emptied["task"]["substate"], &emptied["task"]["items"]),
        (&json!("closed"), &json!("cancelled"), &json!(0))
    );
    world.is(12, 92, "open").await;
    assert_eq!(refused(&anna.post(&path("items"), &json!({ "remove": [one] })).await), (409, "task_closed"));
    assert_eq!(anna.delete(&format!("/api/v1/tasks/{number}")).await.status, 204);
    assert_eq!(anna.get(&format!("/api/v1/tasks/{number}")).await.status, 404);
    assert_eq!(refused(&anna.post("/api/v1/tasks/VUL0000002/items", &json!({ "add": ["VIT9999999"] })).await).0, 404);
});

testkit::both_servers!(notes_are_written_about_records_and_never_changed, |server| async move {
    let world = World::new(server).await;
    let anna = world.person("anna", "vulnerability_analyst").await;
    let rolf = world.person("rolf", "read_only").await;
    world.import(&[(11, 91, "Active")]).await;
    let one = world.number(11, 91).await;
    let number = world.make(&[&one]).await;
    for (kind, number) in [("items", &one), ("tasks", &number)] {
        let path = format!("/api/v1/notes/{kind}/{number}");
        let text = "first line\r\n<script>alert(1)</script>";
        let note = anna.post(&path, &json!({ "text": text })).await.expect(201);
        assert_eq!(note["note"]["text"], "first line\n<script>alert(1)</script>");
        anna.post(&path, &json!({ "text": "second" })).await.expect(201);
        let notes = rolf.get(&path).await.expect(200);
        let texts: Vec<&Value> = notes["notes"].as_array().unwrap().iter().map(|note| &note["text"]).collect();
        assert_eq!(texts, [&json!("second"), &note["note"]["text"]]);
        for text in ["", " \n", "a\u{0}b", &"x".repeat(10_001)] {
            assert_eq!(anna.post(&path, &json!({ "text": text })).await.status, 422);
        }
        assert_eq!(refused(&rolf.post(&path, &json!({ "text": "x" })).await), (403, "role_missing"));
    }
    for path in ["/api/v1/notes/items/VIT9999999", "/api/v1/notes/tasks/VIT0000001", "/api/v1/notes/users/admin"] {
        assert_eq!(anna.get(path).await.status, 404, "{path}");
        assert_eq!(anna.post(path, &json!({ "text": "x" })).await.status, 404, "{path}");
    }
});
