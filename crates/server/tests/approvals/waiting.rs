//! What waits though it is approved: for its time, for an agent that can check approvals; and requests of an older form, which are
//! asked for anew.

use crate::pages::Browser;
use crate::rollout::{asked, newest, sign, write};
use crate::world::{ORG, RISKY, SAFE, World, opened, said, signed};
use domain::mitigation::ControlState;
use jiff::tz::TimeZone;
use protocol::agent::{EventKind, Facts, Outcome};
use protocol::approval::{MANIFEST_VERSION, check};
use protocol::signed::Envelope;
use serde_json::{Value, json};
use server::engine::approvals::anew;
use testkit::both_servers;

/// The only task of a job on the first machine, or on the second: its state and what people read of it.
async fn told(world: &World, number: &str, machine: usize) -> (String, String) {
    let tasks = world.tasks(number).await;
    let task = tasks.iter().find(|task| task["asset"] == world.assets[machine].0).unwrap();
    let word = |key: &str| task[key].as_str().unwrap().to_owned();
    let waits_for = word("waits_for");
    (word("state"), if waits_for.is_empty() { word("message") } else { waits_for })
}

/// A job of harmless work, enabled: another one that wants its turn.
async fn harmless(world: &World) -> String {
    let number = world.job(&[SAFE]).await;
    world.ada.post(&format!("/api/v1/jobs/{number}/enable"), &json!({})).await.expect(200);
    number
}

/// A machine does the harmless work now.
async fn does_the_harmless_work(world: &World, number: &str, machine: usize) {
    let offer = world.poll(machine).await;
    let [order] = offer.orders.as_slice() else { panic!("one order, not {}", offer.orders.len()) };
    let order = opened(order);
    assert_eq!((order.job.as_str(), order.entry_id.as_str()), (number, SAFE));
    world.report(machine, &order, said(Outcome::Succeeded, ControlState::Effective, "changed", "")).await;
}

both_servers!(an_agent_that_cannot_check_approvals_yet_waits_and_starts_once_it_is_updated, |server| async move {
    // One of the version before knows nothing of rollouts, and would not understand what was signed.
    let mut world = World::with(server, 1, &["approval@1", "permit@1", "file.setting@1"]).await;
    let (number, approval) = world.asked(&[RISKY]).await;
    sign(&world, &approval).await.expect(200);
    for _ in 0..2 {
        assert!(world.poll(0).await.orders.is_empty());
        let (state, message) = told(&world, &number, 0).await;
        assert_eq!(state, "ready");
        assert!(message.contains("the agent on alpha cannot check approvals; update it before"), "{message}");
    }
    let page = Browser::of(&world, "ada").await.page(&format!("/jobs/{number}")).await;
    assert!(page.contains("Waits: the agent on alpha cannot check approvals"), "{page}");
    // What waits takes no turn away: other work goes on meanwhile.
    let other = harmless(&world).await;
    does_the_harmless_work(&world, &other, 0).await;
    assert!(world.poll(0).await.orders.is_empty());

    // The first machine is updated.
    let agent = world.agents[0];
    let words = ["approval@2", "permit@1", "file.setting@1"].map(str::to_owned).to_vec();
    let facts = serde_json::to_string(&Facts { capabilities: words, ..Facts::default() }).unwrap();
    write(&world, move |tx| tx.execute("UPDATE agent SET facts = $2 WHERE id = $1", &[&agent, &facts])).await;
    let offer = world.poll(0).await;
    let [order] = offer.orders.as_slice() else { panic!("one order, not {}", offer.orders.len()) };
    let order = opened(order);
    let envelope = Envelope::parse(offer.approvals.first().unwrap().as_bytes(), 1_000_000).unwrap();
    let now = world.server.app().clock.now();
    check(&world.root().await, &order, order.approval.as_ref().unwrap(), Some(&envelope), now).unwrap();
    assert_eq!(told(&world, &number, 0).await, ("offered".to_owned(), String::new()), "it waits for nothing");

    world.report(0, &order, said(Outcome::Succeeded, ControlState::Effective, "changed", "")).await;

    // The second one never is: with the approval its waiting ends.
    does_the_harmless_work(&world, &other, 1).await;
    assert!(world.poll(1).await.orders.is_empty());
    assert_eq!(told(&world, &number, 1).await.0, "ready");
    world.later(7 * 86_400 + 60).await;
    assert!(world.poll(1).await.orders.is_empty());
    let (state, message) = told(&world, &number, 1).await;
    assert_eq!(state, "refused", "{message}");
    assert!(message.contains("held until") && message.contains("could not check approvals"), "{message}");
});

both_servers!(no_words_of_a_host_are_taken_for_the_servers_own, |server| async move {
    let world = World::ready(server).await;
    let number = harmless(&world).await;
    let order = opened(&world.poll(0).await.orders[0]);
    world.admin.post(&format!("/api/v1/jobs/{number}/pause"), &json!({})).await.expect(200);
    const WORDS: &str = "waits: the agent on alpha cannot check approvals";
    let said = EventKind::Interrupted { state: ControlState::Exposed, reason: WORDS.to_owned() };
    world.say(0, &order, 1, said).await;
    // Whatever way its words may take: they stand there as the server's own once did.
    let changed = write(&world, |tx| tx.execute("UPDATE task SET message = $1 WHERE state = 'ready'", &[&WORDS]));
    assert!(changed.await > 0);
    let tasks = world.tasks(&number).await;
    let task = tasks.iter().find(|task| task["asset"] == world.assets[0].0).unwrap();
    assert_eq!((&task["state"], &task["message"], &task["waits_for"]), (&json!("ready"), &json!(WORDS), &json!("")));
    let page = Browser::of(&world, "ada").await.page(&format!("/jobs/{number}")).await;
    assert!(!page.contains("Waits: the agent on alpha"), "{page}");
    // It keeps its turn on the asset.
    world.admin.post(&format!("/api/v1/jobs/{number}/resume"), &json!({})).await.expect(200);
    let other = harmless(&world).await;
    let orders = world.poll(0).await.orders;
    let jobs: Vec<_> = orders.iter().map(|order| opened(order).job).collect();
    assert_eq!(jobs, std::slice::from_ref(&number), "not {other}");
    // What the host said is what the try before said, not what the server waited for.
    let order = opened(&orders[0]);
    let said = EventKind::Interrupted { state: ControlState::Exposed, reason: WORDS.to_owned() };
    world.say(0, &order, 1, said).await;
    write(&world, |tx| tx.execute("UPDATE task SET message = $1 WHERE state = 'ready' AND attempts > 0", &[&WORDS]))
        .await;
    world.admin.post(&format!("/api/v1/jobs/{number}/cancel"), &json!({})).await.expect(200);
    let (state, message) = told(&world, &number, 0).await;
    assert_eq!(state, "cancelled");
    assert_eq!(message, format!("not tried again: cancelled before it started; the try before: {WORDS}"));
});

both_servers!(one_that_was_enrolled_anew_waits_for_no_update_in_vain, |server| async move {
    let world = World::with(server, 1, &["approval@1", "permit@1", "file.setting@1"]).await;
    let (number, approval) = world.asked(&[RISKY]).await;
    sign(&world, &approval).await.expect(200);
    let agent = world.agents[0];
    let other = uuid::Uuid::now_v7();
    write(&world, move |tx| tx.execute("UPDATE agent SET instance_id = $2 WHERE id = $1", &[&agent, &other])).await;
    assert!(world.poll(0).await.orders.is_empty());
    let (state, message) = told(&world, &number, 0).await;
    assert!(state == "refused" && message.contains("after the plan was approved"), "{state} {message}");
});

both_servers!(what_is_ready_before_its_approval_lets_it_start_takes_no_turn_away, |server| async move {
    let mut world = World::ready(server).await;
    let at = world.server.app().clock.now().plus_seconds(86_400).to_jiff().to_zoned(TimeZone::UTC);
    let schedule = json!({ "when": "once", "at": at.strftime("%Y-%m-%dT%H:%M").to_string(), "zone": "UTC" });
    let (number, approval) = asked(&world, &json!({ "schedule": schedule })).await;
    sign(&world, &approval).await.expect(200);
    // As where the host's clock has come to an earlier zone since.
    write(&world, |tx| tx.execute("UPDATE task SET due_at = due_at - 86400000000", &[])).await;
    assert!(world.poll(0).await.orders.is_empty());
    let (state, message) = told(&world, &number, 0).await;
    assert_eq!(state, "ready", "{message}");
    assert!(message.contains("the approval lets nothing start before"), "{message}");
    let other = harmless(&world).await;
    does_the_harmless_work(&world, &other, 0).await;
    world.later(86_400).await;
    let offer = world.poll(0).await;
    assert_eq!(offer.orders.iter().map(|order| opened(order).entry_id).collect::<Vec<_>>(), [RISKY]);
    assert_eq!(told(&world, &number, 0).await, ("offered".to_owned(), String::new()));
});

/// The newest request as a program with this version of manifests would have made it, which knew nothing of rollouts.
async fn of_version(world: &World, approval: &Value, version: u32) {
    let id = approval["summary"]["id"].as_i64().unwrap();
    let [plan, manifest] = ["plan", "manifest"].map(|text| {
        let mut value: Value = serde_json::from_str(approval[text].as_str().unwrap()).unwrap();
        value.as_object_mut().unwrap().remove("rollout");
        value["v"] = json!(version);
        // The version stands first, as every program writes it.
        let rest = value.as_object().unwrap().iter().filter(|(key, _)| key.as_str() != "v");
        let rest: Vec<String> = rest.map(|(key, value)| format!(",{}:{value}", json!(key))).collect();
        format!("{{\"v\":{version}{}}}", rest.concat())
    });
    let changed = write(world, move |tx| {
        tx.execute("UPDATE approval SET plan = $2, manifest = $3 WHERE id = $1", &[&id, &plan, &manifest])
    });
    assert_eq!(changed.await, 1);
}

both_servers!(a_request_of_an_older_form_is_asked_for_anew_once, |server| async move {
    let world = World::ready(server).await;
    let (number, approval) = world.asked(&[RISKY]).await;
    let (newer, other) = world.asked(&[SAFE, RISKY]).await;
    of_version(&world, &approval, MANIFEST_VERSION - 1).await;
    of_version(&world, &other, MANIFEST_VERSION + 1).await;
    let id = &approval["summary"]["id"];
    let app = world.server.app();
    // The server's own look may have been faster.
    assert!(anew::renew(app).await.unwrap() <= 1);
    let left = newest(&world, &newer).await["summary"].clone();
    assert_eq!((&left["id"], &left["state"]), (&other["summary"]["id"], &json!("pending")), "a newer program's own");
    let next = newest(&world, &number).await;
    assert_eq!((&next["summary"]["id"] == id, &next["summary"]["state"]), (false, &json!("pending")));
    let old = world.ben.get(&format!("/api/v1/approvals/{id}")).await.expect(200)["approval"]["summary"].clone();
    assert_eq!(old["state"], "void");
    assert!(old["reason"].as_str().unwrap().contains("older version of the server"), "{old}");
    assert_eq!(anew::renew(app).await.unwrap(), 0, "once");
    assert_eq!(newest(&world, &number).await["summary"]["id"], next["summary"]["id"]);
    sign(&world, &next).await.expect(200);
    assert_eq!(world.poll(0).await.orders.len(), 1);
});

both_servers!(who_signs_a_request_of_an_older_form_hears_that_there_is_a_newer_one, |server| async move {
    let world = World::ready(server).await;
    let (number, approval) = world.asked(&[RISKY]).await;
    of_version(&world, &approval, MANIFEST_VERSION - 1).await;
    let id = approval["summary"]["id"].clone();
    let path = format!("/api/v1/approvals/{id}/sign");
    // Who may not decide does not make it void either.
    let envelope = json!({ "envelope": signed(&approval, &[ORG]) });
    assert_eq!(world.ada.post(&path, &envelope).await.code(), "approval_own");
    assert_eq!(newest(&world, &number).await["summary"]["id"], id);
    let reply = world.ben.post(&path, &envelope).await;
    assert_eq!((reply.status, reply.code()), (409, "approval_changed"), "{}", reply.text);
    assert!(reply.text.contains("older version of the server"), "{}", reply.text);
    let next = newest(&world, &number).await;
    assert_ne!(next["summary"]["id"], id);
    sign(&world, &next).await.expect(200);
});
