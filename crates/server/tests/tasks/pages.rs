//! The pages: what they show, why a button is disabled, and what their dialogs do.

use super::world::{World, set};
use serde_json::json;
use testkit::server::{Client, TestServer};

async fn text(client: &Client, path: &str) -> String {
    let reply = client.get(path).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    reply.text
}

async fn sent(client: &Client, path: &str, fields: &[(&str, &str)]) -> String {
    let reply = client.form(path, fields).await;
    assert_eq!(reply.status, 303, "{path}: {}", reply.text);
    reply.headers["location"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_are_made_and_worked_on_by_their_pages() {
    let world = World::new(TestServer::start().await).await;
    let anna = world.server.user("anna", &["vulnerability_analyst"]).await;
    let rolf = world.server.user("rolf", &["read_only"]).await;
    world.import(&[(11, 91, "Active"), (11, 92, "Active"), (12, 91, "Active")]).await;
    let (one, two, three) = (world.number(11, 91).await, world.number(11, 92).await, world.number(12, 91).await);

    assert!(text(&anna, "/tasks").await.contains("No remediation tasks yet"));
    let place = sent(&anna, "/items/task", &[("row", &one), ("row", &two), ("row", &three)]).await;
    let dialog = text(&anna, &place).await;
    assert!(dialog.contains("Of 3 items.") && dialog.contains("One for each group and asset"), "{dialog}");
    let wrong = anna.form(&place, &[("title", &"x".repeat(161))]).await;
    assert!(wrong.status == 422 && wrong.text.contains("At most 160 characters"), "{}", wrong.text);
    let made = sent(&anna, &place, &[("group_by", "none"), ("title", "<i>Patch</i>"), ("description", "soon")]).await;
    assert_eq!(made, "/tasks/VUL0000001");
    let list = text(&rolf, "/tasks?q=is%3Aopen").await;
    assert!(list.contains("VUL0000001") && list.contains("&#60;i&#62;Patch") && !list.contains("<i>Patch"), "{list}");

    let page = text(&anna, &made).await;
    for part in
        [&one, &two, &three, "/split-ticked", "/tasks/VUL0000001/state", "/tasks/VUL0000001/assign-to-me", "soon"]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
    // Who only looks sees the same buttons, each with the sentence that the API says.
    let seen = text(&rolf, &made).await;
    let why = set(&rolf, "VUL0000001", "resolved").await;
    assert_eq!(why.status, 403);
    assert!(seen.contains("aria-disabled=\"true\"") && !seen.contains("/split-ticked"), "{seen}");
    let sentence = why.json["detail"].as_str().unwrap();
    assert!(seen.to_lowercase().contains(&sentence.to_lowercase()), "{sentence} in {seen}");
    assert_eq!(rolf.get("/tasks/VUL0000001/state").await.status, 403);

    let dialog = text(&anna, "/tasks/VUL0000001/state").await;
    assert!(
        dialog.contains("seen=1") && dialog.contains("Under Investigation") && !dialog.contains("value=\"closed\"")
    );
    sent(&anna, "/tasks/VUL0000001/state?seen=1", &[("state", "under_investigation")]).await;
    world.is(11, 91, "under_investigation").await;
    assert_eq!(anna.form("/tasks/VUL0000001/state?seen=1", &[("state", "open")]).await.status, 412);
    let same = anna.form("/tasks/VUL0000001/state", &[("state", "under_investigation")]).await;
    assert!(same.status == 422 && same.text.contains("already"), "{}", same.text);
    let item = text(&anna, &format!("/items/{one}")).await;
    assert!(item.contains("/tasks/VUL0000001") && item.contains("which counts more than its own state Open"), "{item}");

    sent(&anna, "/tasks/VUL0000001/assign-to-me", &[]).await;
    assert_eq!(world.item(11, 91).await["assignee"], "anna");
    assert!(text(&anna, "/tasks/VUL0000001/assignment").await.contains("Needed where nobody has it afterwards."));
    let nobody = anna.form("/tasks/VUL0000001/assignment", &[("assignee", ""), ("group", "")]).await;
    assert!(nobody.status == 422 && nobody.text.contains("Say why nobody has the task"), "{}", nobody.text);
    let given = [("assignee", ""), ("group", ""), ("note", "<b>later</b>")];
    sent(&anna, "/tasks/VUL0000001/assignment", &given).await;
    sent(&anna, "/tasks/VUL0000001/edit", &[("title", "Patch all"), ("description", "")]).await;
    let page = text(&anna, &made).await;
    assert!(page.contains("Patch all") && page.contains("&#60;b&#62;later") && !page.contains("<b>later"), "{page}");

    let nothing = sent(&anna, "/tasks/VUL0000001/split-ticked", &[]).await;
    assert_eq!(nothing, made);
    let place = sent(&anna, "/tasks/VUL0000001/split-ticked", &[("row", &two)]).await;
    assert!(text(&anna, &place).await.contains("1 ticked items"));
    sent(&anna, &place, &[("title", "Second")]).await;
    assert_eq!(world.task("VUL0000002").await["title"], "Second");
    let none = anna.form("/tasks/VUL0000001/split", &[("q", "qid:7")]).await;
    assert!(none.status == 422 && none.text.contains("None of these items"), "{}", none.text);
    sent(&anna, "/tasks/VUL0000002/take-out", &[("row", &two)]).await;
    let emptied = text(&anna, "/tasks/VUL0000002").await;
    assert!(emptied.contains("Cancelled") || emptied.contains("cancelled"), "{emptied}");
    assert_eq!(sent(&anna, "/tasks/VUL0000002/delete", &[]).await, "/tasks");

    let place = sent(&anna, "/items/to-task", &[("row", &two)]).await;
    assert!(text(&anna, &place).await.contains("1 item, which stay"));
    for (number, said) in
        [("VUL0000009", "There is no remediation task"), ("VUL0000002", "There is no"), ("x", "There is no")]
    {
        let wrong = anna.form(&place, &[("number", number)]).await;
        assert!(wrong.status == 422 && wrong.text.contains(said), "{number}: {}", wrong.text);
    }
    assert_eq!(sent(&anna, &place, &[("number", "vul0000001")]).await, made);
    world.is(11, 92, "under_investigation").await;

    let dialog = text(&anna, "/notes/tasks/VUL0000001").await;
    assert!(dialog.contains("It cannot be changed afterwards."), "{dialog}");
    assert_eq!(anna.form("/notes/tasks/VUL0000001", &[("text", " ")]).await.status, 422);
    sent(&anna, "/notes/tasks/VUL0000001", &[("text", "called them")]).await;
    sent(&anna, &format!("/notes/items/{one}"), &[("text", "about the item")]).await;
    assert!(text(&rolf, &made).await.contains("called them"));
    assert!(text(&rolf, &format!("/items/{one}")).await.contains("about the item"));
    assert_eq!(rolf.form("/notes/tasks/VUL0000001", &[("text", "x")]).await.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exception_for_a_whole_task_is_asked_for_from_its_page() {
    let world = World::new(TestServer::start().await).await;
    let anna = world.server.user("anna", &["vulnerability_analyst"]).await;
    world.import(&[(11, 91, "Active"), (12, 91, "Active"), (12, 92, "Active")]).await;
    let (one, two) = (world.number(11, 91).await, world.number(12, 91).await);
    let number = world.make(&[&one, &two]).await;
    let page = text(&anna, &format!("/tasks/{number}")).await;
    let at = page.find("/exceptions/new?q=").unwrap();
    let place: String = page[at..].chars().take_while(|c| *c != '"').collect();
    let place = place.replace("&#38;", "&").replace("&amp;", "&");
    assert!(text(&anna, &place).await.contains("For 2 items."), "{place}");
    let until = world.server.app().clock.now().plus_seconds(10 * 86_400).to_string();
    sent(&anna, &place, &[("reason", "other"), ("until", &until[..10]), ("note", "later")]).await;
    assert_eq!(world.task(&number).await["state"], "in_review");
    let refusal = set(&world.admin, &number, "resolved").await;
    assert_eq!((refusal.status, refusal.code()), (409, "in_review"));
    let page = text(&anna, &format!("/tasks/{number}")).await;
    assert!(page.contains("aria-disabled=\"true\"") && page.contains("withdraw the request first"), "{page}");
    let answer = json!({ "approve": true });
    let vera = world.server.user("vera", &["vulnerability_administrator"]).await;
    vera.post("/api/v1/exceptions/VCA0000001/decision", &answer).await.expect(200);
    let task = world.task(&number).await;
    assert_eq!((&task["state"], &task["substate"]), (&json!("deferred"), &json!("other")), "{task}");
    assert!(task["deferred_until"].is_string(), "{task}");
    set(&world.admin, &number, "open").await.expect(200);
    world.is(11, 91, "open").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_made_tried_applied_and_deleted_by_their_pages() {
    let world = World::new(TestServer::start().await).await;
    let vera = world.server.user("vera", &["vulnerability_administrator"]).await;
    let anna = world.server.user("anna", &["vulnerability_analyst"]).await;
    world.import(&[(11, 91, "Active"), (12, 91, "Active")]).await;
    assert_eq!(anna.get("/rules/tasks").await.status, 403);
    assert!(!text(&anna, "/tasks").await.contains("/rules/tasks"));
    assert!(text(&vera, "/rules/tasks").await.contains("Vulnerability"));
    assert!(text(&vera, "/rules/tasks/new").await.contains("tag:PREFIX"));
    for (fields, said) in [
        (vec![("name", "x"), ("condition", "qid::")], "Which items"),
        (vec![("name", "x"), ("group_by", "colour")], "is none of"),
        (vec![("name", "x"), ("position", "far")], "Give a whole number"),
        (vec![("name", "Vulnerability")], "already"),
    ] {
        let wrong = vera.form("/rules/tasks/new", &fields).await;
        assert!(wrong.status == 422 && wrong.text.contains(said), "{fields:?}: {}", wrong.text);
    }
    let typed = [("name", "<i>By asset</i>"), ("group_by", "asset, severity"), ("assign", "item"), ("active", "on")];
    let place = sent(&vera, "/rules/tasks/new", &typed).await;
    let page = text(&vera, &place).await;
    assert!(page.contains("2 open items match; they would be in 2 tasks.") && !page.contains("<i>By"), "{page}");
    sent(&vera, &format!("{place}/apply"), &[]).await;
    assert_eq!(world.task("VUL0000002").await["origin"], "rule");
    assert!(text(&vera, &format!("{place}/edit")).await.contains("asset, severity"));
    let stale = vera.form(&format!("{place}/edit?seen=9"), &typed).await;
    assert_eq!(stale.status, 412, "{}", stale.text);
    sent(&vera, &format!("{place}/edit?seen=1"), &[("name", "Changed"), ("group_by", "asset")]).await;
    let list = text(&vera, "/rules/tasks").await;
    assert!(list.contains("Changed") && list.contains("Every rule that matches"), "{list}");
    sent(&vera, "/rules/tasks/mode?first_only=true", &[]).await;
    assert!(text(&vera, "/rules/tasks").await.contains("Only the first rule that matches"));
    assert!(text(&vera, &format!("{place}/delete")).await.contains("Its 2 open tasks stay"));
    sent(&vera, &format!("{place}/delete?seen=2"), &[("tasks", "on")]).await;
    assert!(text(&vera, "/tasks").await.contains("No remediation tasks yet"));
}
