//! Slots for restarts: how many hosts of a run may be down at once, over the whole of a restart.

use crate::away::{epoch, say};
use crate::play::{act, draft, look, offered};
use crate::world::World;
use domain::id::AssetId;
use domain::mitigation::{ControlState, Origin};
use protocol::agent::{EventKind, Outcome, TaskEpoch, TaskReport};
use protocol::permit::{PermitAnswer, PermitAsk, RESTART_TYPE};
use protocol::signed::Envelope;
use serde_json::{Value, json};
use server::engine::{catalogue, permits};
use testkit::both_servers;
use testkit::server::TestServer;
use uuid::Uuid;

async fn ask(server: &TestServer, asset: i64, order: &Value) -> PermitAnswer {
    asks(server, asset, order, true).await
}

/// What the agent of an asset is answered that asks to start an order, or to restart for it.
pub async fn asks(server: &TestServer, asset: i64, order: &Value, restart: bool) -> PermitAnswer {
    let app = server.app().clone();
    let (key, now) = (catalogue::order_key(&app), app.clock.now());
    let task = order["task"].as_str().expect("an id").parse().expect("an id");
    let asked = PermitAsk { of: TaskEpoch { task, epoch: epoch(order) }, nonce: Uuid::from_u128(7) };
    let write = app.database.try_write(move |tx| {
        let agent = store::agents::on_asset(tx, AssetId(asset))?.expect("an agent");
        let answer = if restart { permits::answer_restart } else { permits::answer };
        answer(tx, &agent, &asked, &key, now)
    });
    write.await.expect("an answer")
}

async fn out(server: &TestServer, number: &str) -> Value {
    let admin = server.admin().await;
    admin.get(&format!("/api/v1/jobs/{number}/rollout")).await.expect(200)["runs"][0]["restarts_out"].clone()
}

pub fn waits(now: bool) -> EventKind {
    EventKind::Restarting { boot_id: "one".to_owned(), now }
}

pub fn done() -> EventKind {
    EventKind::Finished(Box::new(TaskReport {
        outcome: Outcome::Succeeded,
        state: ControlState::Effective,
        origin: Some(Origin::Ours),
        message: "said by a test".to_owned(),
        actions: vec![],
        left_changed: false,
        restart_needed: None,
    }))
}

both_servers!(s6_s7_hosts_are_restarted_in_slots_and_none_in_a_halt, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, assets) = draft(&world, &json!({ "rollout": { "restarts_at_once": 1 } })).await;
    act(&world.admin, &number, "save").await.expect(200);
    look(server).await;
    let mut orders = Vec::new();
    for asset in &assets {
        let (mine, _) = offered(server, *asset).await;
        assert!(mine.iter().all(|order| order.get("restart").is_none()), "its owner did not allow it: {mine:?}");
        orders.push(mine[0].clone());
    }
    assert!(matches!(ask(server, assets[0], &orders[0]).await, PermitAnswer::Wait { .. }), "nothing was done yet");
    for (asset, order) in assets.iter().zip(&orders) {
        let said = [(1, EventKind::Accepted), (2, EventKind::Started), (3, waits(false))];
        assert_eq!(say(server, *asset, order, epoch(order), &said).await, 3);
    }
    let PermitAnswer::Granted { permit } = ask(server, assets[0], &orders[0]).await else { panic!("the first slot") };
    let key = catalogue::order_key(server.app()).public();
    assert!(Envelope::parse(permit.as_bytes(), 8 * 1024).unwrap().verify(RESTART_TYPE, &[key], 1).is_ok());
    assert!(matches!(ask(server, assets[0], &orders[0]).await, PermitAnswer::Granted { .. }), "the same slot again");
    assert!(matches!(ask(server, assets[1], &orders[1]).await, PermitAnswer::Wait { .. }), "one at a time");
    assert!(matches!(ask(server, assets[1], &orders[0]).await, PermitAnswer::Denied { .. }), "another agent's task");
    assert_eq!(out(server, &number).await, 1);
    // Down for as long as it takes: no clock gives the slot back.
    say(server, assets[0], &orders[0], epoch(&orders[0]), &[(4, waits(true))]).await;
    server.clock.set(server.app().clock.now().plus_seconds(20 * 3600));
    look(server).await;
    assert!(matches!(ask(server, assets[1], &orders[1]).await, PermitAnswer::Wait { .. }));
    say(server, assets[0], &orders[0], epoch(&orders[0]), &[(5, done())]).await;
    assert_eq!(out(server, &number).await, 0, "given back with the result");
    // In a halt none is restarted, also one that holds its slot and asks again.
    assert!(matches!(ask(server, assets[1], &orders[1]).await, PermitAnswer::Granted { .. }));
    let admin = server.admin().await;
    admin.post(&format!("/api/v1/jobs/{number}/run/halt"), &json!({ "reason": "a test" })).await.expect(200);
    assert!(matches!(ask(server, assets[1], &orders[1]).await, PermitAnswer::Denied { .. }));
    admin.post(&format!("/api/v1/jobs/{number}/run/resume"), &json!({})).await.expect(200);
    assert!(matches!(ask(server, assets[1], &orders[1]).await, PermitAnswer::Granted { .. }));
    // A run that restarts nothing denies it to everybody.
    say(server, assets[1], &orders[1], epoch(&orders[1]), &[(4, done())]).await;
    assert!(matches!(ask(server, assets[1], &orders[1]).await, PermitAnswer::Denied { .. }), "it is over");
});
