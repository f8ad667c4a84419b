//! Task rules: tried, applied on ingestion and again, deleted.

use super::world::{World, refused, set};
use serde_json::{Value, json};

fn rule(name: &str, condition: &str, group_by: &[&str]) -> Value {
    json!({ "name": name, "active": true, "condition": condition, "group_by": group_by })
}

testkit::both_servers!(rules_put_new_items_into_tasks_at_every_import, |server| async move {
    let world = World::new(server).await;
    let vera = world.person("vera", "vulnerability_administrator").await;
    world.group("team-prod", &["vera"]).await;
    let shipped = vera.get("/api/v1/rules/tasks").await.expect(200);
    assert_eq!(
        (&shipped["rules"][0]["name"], &shipped["rules"][0]["active"], &shipped["first_only"]),
        (&json!("Vulnerability"), &json!(false), &json!(false)),
        "{shipped}"
    );
    for (field, body) in [
        ("name", rule("", "", &[])),
        ("condition", rule("x", "qid::", &[])),
        ("group_by", rule("x", "", &["colour"])),
        ("group_by", rule("x", "", &["asset", "asset"])),
        ("group_by", rule("x", "", &["asset", "vulnerability", "severity", "band", "group", "platform", "instance"])),
        ("assign", json!({ "name": "x", "assign": "tag:owner:" })),
        ("group", json!({ "name": "x", "assign": "fixed", "group": "nobody" })),
        ("position", json!({ "name": "x", "position": 1001 })),
    ] {
        let wrong = vera.post("/api/v1/rules/tasks", &body).await;
        assert_eq!((wrong.status, &wrong.json["errors"][0]["field"]), (422, &json!(field)), "{}", wrong.text);
    }
    world.import(&[(11, 91, "Active"), (12, 91, "Active")]).await;
    let mut by_tag = rule("By owner", "qid:[91, 92]", &["tag:owner:", "vulnerability"]);
    by_tag["assign"] = json!("tag:owner:");
    by_tag["title"] = json!("Owner");
    let tried = vera.post("/api/v1/rules/tasks/try", &by_tag).await.expect(200);
    assert_eq!((&tried["items"], &tried["tasks"]), (&json!(2), &json!(2)), "{tried}");
    let made = vera.post("/api/v1/rules/tasks", &by_tag).await.expect(201);
    let id = made["rule"]["id"].as_i64().unwrap();
    let twice = vera.post("/api/v1/rules/tasks", &by_tag).await;
    assert_eq!(refused(&twice), (409, "name_taken"));
    assert_eq!(vera.get("/api/v1/tasks").await.expect(200)["tasks"], json!([]), "a rule sees what is new only");

    // New items are grouped; the same report again changes nothing; a new item joins the Open task of its group.
    world.import(&[(11, 91, "Active"), (11, 92, "Active"), (12, 91, "Active"), (12, 93, "Active")]).await;
    let listed = vera.get("/api/v1/tasks").await.expect(200);
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 1, "{listed}");
    let task = &listed["tasks"][0];
    assert_eq!(
        (&task["group"], &task["origin"], &task["rule"], &task["items"], &task["created_by"]),
        (&json!("team-prod"), &json!("rule"), &json!("By owner"), &json!(1), &json!("VINTRUN0000002")),
        "{task}"
    );
    assert!(task["title"].as_str().unwrap().starts_with("Owner: team-prod, "), "{task}");
    assert_eq!(world.item(11, 92).await["group"], "team-prod", "an item that nobody has goes with its task");
    world.import(&[(11, 91, "Active"), (11, 92, "Active"), (12, 91, "Active"), (12, 93, "Active")]).await;
    let again = vera.get("/api/v1/tasks").await.expect(200);
    assert_eq!(again["tasks"], listed["tasks"], "an unchanged report changes nothing");

    // What comes back after its task closed is grouped anew.
    world.import(&[(11, 92, "Fixed")]).await;
    assert_eq!(world.task("VUL0000001").await["state"], "closed");
    world.import(&[(11, 92, "Re-Opened")]).await;
    assert_eq!(world.task("VUL0000001").await["state"], "closed");
    assert_eq!(world.task("VUL0000002").await["items"], 1);

    // Applied again to all there is: the untouched task is made anew, and what was there before the rule is grouped, too.
    let applied = vera.post(&format!("/api/v1/rules/tasks/{id}/apply"), &json!({})).await.expect(200);
    assert_eq!(
        (&applied["deleted"], &applied["kept"], &applied["items"], &applied["tasks"]),
        (&json!(1), &json!(0), &json!(3), &json!(3)),
        "{applied}"
    );
    assert_eq!(world.item(12, 91).await["group"], Value::Null, "there is no group team-lab");
    let touched = vera.get("/api/v1/tasks?q=is:open&sort=number").await.expect(200);
    let number = touched["tasks"][0]["number"].as_str().unwrap().to_owned();
    set(&vera, &number, "under_investigation").await.expect(200);
    let applied = vera.post(&format!("/api/v1/rules/tasks/{id}/apply"), &json!({})).await.expect(200);
    assert_eq!(
        (&applied["deleted"], &applied["kept"], &applied["items"]),
        (&json!(2), &json!(1), &json!(2)),
        "{applied}"
    );

    // Changed by who has seen it only; deleted with the tasks that nobody touched.
    let path = format!("/api/v1/rules/tasks/{id}");
    let stale = vera.request(reqwest::Method::PUT, &path).header("if-match", "\"v9\"");
    assert_eq!(vera.send(stale.json(&by_tag)).await.status, 412);
    by_tag["active"] = json!(false);
    assert_eq!(vera.put(&path, &by_tag).await.expect(200)["rule"]["active"], false);
    assert_eq!(vera.delete(&format!("{path}?tasks=true")).await.status, 204);
    let left = vera.get("/api/v1/tasks?q=is:open").await.expect(200);
    assert_eq!(left["tasks"].as_array().unwrap().len(), 1, "{left}");
    assert_eq!((&left["tasks"][0]["number"], &left["tasks"][0]["rule"]), (&json!(number), &Value::Null));
});

testkit::both_servers!(an_item_is_in_the_tasks_of_every_rule_or_of_the_first_only, |server| async move {
    let world = World::new(server).await;
    let vera = world.person("vera", "vulnerability_administrator").await;
    let mut first = rule("Critical", "score:>=90", &["band"]);
    first["position"] = json!(1);
    vera.post("/api/v1/rules/tasks", &first).await.expect(201);
    vera.post(
        "/api/v1/rules/tasks",
        &rule("All", "", &["asset", "severity", "platform", "network", "instance", "category"]),
    )
    .await
    .expect(201);
    world.import(&[(11, 91, "Active")]).await;
    let one = world.number(11, 91).await;
    let of = async |number: &str| {
        let digits = number.trim_start_matches("VIT").to_owned();
        let listed = vera.get(&format!("/api/v1/tasks?q=item:{digits}&sort=number")).await.expect(200);
        let rules = listed["tasks"].as_array().unwrap().iter().map(|task| task["rule"].as_str().unwrap().to_owned());
        rules.collect::<Vec<String>>()
    };
    assert_eq!(of(&one).await, ["Critical", "All"]);
    vera.put("/api/v1/rules/tasks/mode", &json!({ "first_only": true })).await.expect(200);
    world.import(&[(11, 91, "Active"), (12, 91, "Active")]).await;
    assert_eq!(of(&world.number(12, 91).await).await, ["Critical"]);
    let scoped = world.kept_to("sam", "prod").await;
    assert_eq!(refused(&scoped.post("/api/v1/rules/tasks", &rule("x", "", &[])).await), (403, "role_missing"));
});
