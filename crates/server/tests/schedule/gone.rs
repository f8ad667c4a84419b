//! Hosts of which nothing is heard any more once an action has started, and orders that an agent does not know of any more.

use crate::away::{epoch, say};
use crate::gates::{begun, newest};
use crate::play::{act, draft, look, offered, tasks};
use crate::speaker::Speaker;
use crate::world::World;
use domain::mitigation::{ControlState, Origin};
use domain::task::GONE_SECONDS;
use protocol::agent::{Body, EventKind, OpenOrder, Outcome, POLL_PATH, Poll, TaskEpoch, TaskReport};
use protocol::permit::{PERMIT_PATH, PermitAsk};
use serde_json::{Value, json};
use testkit::both_servers;
use testkit::server::{Client, TestServer};
use uuid::Uuid;

/// So many seconds pass, in which the server looks and hears only of the agents on these assets.
async fn pass(server: &TestServer, seconds: i64, heard: &[i64]) {
    for _ in 0..seconds / 100 {
        server.clock.advance(100);
        let (now, assets) = (server.app().clock.now(), heard.to_vec());
        let write = server.app().database.write(move |tx| {
            for asset in &assets {
                tx.execute("UPDATE agent SET last_seen_at = $2 WHERE asset_id = $1", &[asset, &now])?;
            }
            Ok(())
        });
        write.await.expect("heard");
        look(server).await;
    }
}

/// A job on two assets whose actions have started on both; gives its number, the assets and their orders.
async fn started(world: &World) -> (String, Vec<i64>, Vec<Value>) {
    let server = &world.server;
    let (number, assets) = draft(world, &json!({})).await;
    act(&world.admin, &number, "save").await.expect(200);
    look(server).await;
    pass(server, GONE_SECONDS + 200, &assets).await;
    let mut orders = Vec::new();
    for asset in &assets {
        let order = offered(server, *asset).await.0.remove(0);
        say(server, *asset, &order, epoch(&order), &[(1, EventKind::Accepted), (2, EventKind::Started)]).await;
        orders.push(order);
    }
    (number, assets, orders)
}

async fn state(admin: &Client, number: &str, order: &Value) -> Value {
    let all = tasks(admin, number, "").await;
    all.into_iter().find(|task| task["id"] == order["task"]).expect("the task")
}

both_servers!(a_host_that_dies_at_work_is_noticed_and_its_late_word_counts, |server| async move {
    let world = World::ready(server).await;
    let (number, assets, orders) = started(&world).await;
    let server = &world.server;
    pass(server, GONE_SECONDS - 100, &assets[1..]).await;
    let admin = server.admin().await;
    assert_eq!(state(&admin, &number, &orders[0]).await["state"], "running");
    pass(server, 300, &assets[1..]).await;
    let gone = state(&admin, &number, &orders[0]).await;
    assert_eq!(gone["state"], "unknown", "{gone}");
    assert!(
        gone["message"].as_str().expect("a text").contains("was not heard of again since the action started"),
        "{gone}"
    );
    assert_eq!(state(&admin, &number, &orders[1]).await["state"], "running", "that host is there");
    // It is asked, nothing is ordered again; what it says late is the result.
    let (again, asked) = offered(server, assets[0]).await;
    assert!(again.is_empty() && asked > 0, "{again:?}");
    let report = TaskReport {
        outcome: Outcome::Succeeded,
        state: ControlState::Effective,
        origin: Some(Origin::Ours),
        message: "said late".to_owned(),
        actions: vec![],
        left_changed: false,
        restart_needed: None,
    };
    say(server, assets[0], &orders[0], epoch(&orders[0]), &[(3, EventKind::Finished(Box::new(report)))]).await;
    assert_eq!(state(&admin, &number, &orders[0]).await["state"], "succeeded");
});

/// The agent on an asset takes its first order and is permitted to start it: the last that it says; gives the order.
async fn permitted(server: &TestServer, asset: i64) -> Value {
    let order = offered(server, asset).await.0.remove(0);
    say(server, asset, &order, epoch(&order), &[(1, EventKind::Accepted)]).await;
    let task = order["task"].as_str().expect("an id").parse().expect("an id");
    let ask = PermitAsk { of: TaskEpoch { task, epoch: epoch(&order) }, nonce: Uuid::from_u128(7) };
    let (status, body) = Speaker::on(server, asset).await.asks(server, PERMIT_PATH, Body::Permit(ask)).await;
    assert!(status == 200 && body["answer"]["is"] == "granted", "{status} {body}");
    order
}

// An agent says that it started only after the work, so a host that dies in it is known by its permit alone.
both_servers!(hosts_that_die_after_their_permit_are_noticed_and_two_of_them_halt_the_run, |server| async move {
    let world = World::ready(server).await;
    let (number, assets) = begun(&world, &json!({ "permits": true })).await;
    let server = &world.server;
    pass(server, GONE_SECONDS + 200, &assets).await;
    let first = permitted(server, assets[0]).await;
    let granted = json!(server.app().clock.now());
    let there = permitted(server, assets[2]).await;
    // This one has an order and no permit: it did not start.
    let waits = offered(server, assets[1]).await.0.remove(0);
    say(server, assets[1], &waits, epoch(&waits), &[(1, EventKind::Accepted)]).await;
    pass(server, GONE_SECONDS - 100, &assets[2..]).await;
    let admin = server.admin().await;
    assert_eq!(state(&admin, &number, &first).await["state"], "accepted", "it may still be at work");
    pass(server, 300, &assets[2..]).await;
    let gone = state(&admin, &number, &first).await;
    assert_eq!((&gone["state"], &gone["started_at"]), (&json!("unknown"), &granted), "{gone}");
    assert!(gone["message"].as_str().expect("a text").contains("since it was allowed to start"), "{gone}");
    assert_eq!(state(&admin, &number, &there).await["state"], "accepted", "that host is there");
    assert_eq!(state(&admin, &number, &waits).await["state"], "accepted", "nothing allowed it to start");
    assert_eq!(newest(&world, &number).await["state"], "open", "one may have lost its power");
    // The next one dies, too.
    let (task, this) = (waits["task"].as_str().expect("an id").parse().expect("an id"), epoch(&waits));
    let ask = PermitAsk { of: TaskEpoch { task, epoch: this }, nonce: Uuid::from_u128(8) };
    let (_, body) = Speaker::on(server, assets[1]).await.asks(server, PERMIT_PATH, Body::Permit(ask)).await;
    assert_eq!(body["answer"]["is"], "granted", "{body}");
    pass(server, GONE_SECONDS + 200, &assets[2..]).await;
    assert_eq!(state(&admin, &number, &waits).await["state"], "unknown");
    let run = newest(&world, &number).await;
    assert_ne!(run["state"], "open", "{run}");
    assert_eq!(run["reason"], "2 hosts fell silent while they were worked on, and may not come back", "{run}");
    // The first comes back after all: what it says late is the result, and what it began at is not moved.
    say(server, assets[0], &first, epoch(&first), &[(2, EventKind::Started)]).await;
    let back = state(&admin, &number, &first).await;
    assert_eq!((&back["state"], &back["started_at"]), (&json!("running"), &granted), "{back}");
});

both_servers!(while_nobody_listened_no_host_was_gone, |server| async move {
    let world = World::ready(server).await;
    let (number, _, orders) = started(&world).await;
    let server = &world.server;
    server.clock.advance(GONE_SECONDS * 3);
    look(server).await;
    let admin = server.admin().await;
    assert_eq!(state(&admin, &number, &orders[0]).await["state"], "running", "the server was away itself");
});

both_servers!(an_order_that_its_agent_does_not_list_any_more_is_asked_about, |server| async move {
    let world = World::ready(server).await;
    let (number, assets, orders) = started(&world).await;
    let server = &world.server;
    let speaker = Speaker::on(server, assets[0]).await;
    let poll = |open: Vec<OpenOrder>| Poll {
        boot_id: "b".to_owned(),
        root_version: u64::from(u32::MAX),
        index_version: u64::from(u32::MAX),
        open,
        journal_head: String::new(),
        hold_seconds: 0,
        facts: None,
    };
    let polls = async |open: Vec<OpenOrder>| {
        let (status, body) = speaker.asks(server, POLL_PATH, Body::Poll(Box::new(poll(open)))).await;
        assert_eq!(status, 200, "{body}");
        body
    };
    let task = orders[0]["task"].as_str().expect("an id").parse().expect("an id");
    let listed = OpenOrder { task, epoch: epoch(&orders[0]), state: "running".to_owned() };
    // A poll that left before the start was told of lists nothing: that says nothing yet.
    polls(vec![]).await;
    pass(server, GONE_SECONDS + 200, &assets).await;
    polls(vec![listed.clone()]).await;
    let admin = server.admin().await;
    assert_eq!(state(&admin, &number, &orders[0]).await["state"], "running");
    let told = polls(vec![]).await;
    assert_eq!(state(&admin, &number, &orders[0]).await["state"], "unknown");
    assert_eq!(told["revoke"][0]["task"], orders[0]["task"], "{told}");
    assert_eq!(state(&admin, &number, &orders[1]).await["state"], "running", "the other agent's");
    // It was put back itself and knows it again: what it is at work on is not unknown.
    let told = polls(vec![listed]).await;
    assert_eq!(state(&admin, &number, &orders[0]).await["state"], "running");
    assert!(told["revoke"].as_array().is_none_or(Vec::is_empty), "{told}");
});
