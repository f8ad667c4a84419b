//! A rollback needs no approval and is never kept waiting for one; it restarts its hosts only as the approval of what it takes back
//! lets them be restarted, and only while that holds.

use crate::rollout::{asked, sign, write};
use crate::world::{World, opened, said};
use domain::mitigation::ControlState;
use protocol::agent::{EventKind, Outcome, TaskEpoch};
use protocol::approval::check_back;
use protocol::order::{Order, OrderKind};
use protocol::permit::{PermitAnswer, PermitAsk, RESTART_CAPABILITY};
use protocol::signed::Envelope;
use serde_json::{Value, json};
use server::engine::catalogue::order_key;
use server::engine::permits;
use testkit::both_servers;
use testkit::server::TestServer;
use uuid::Uuid;

async fn world(server: TestServer) -> World {
    World::with(server, 1, &["approval@2", "permit@1", "file.setting@1", RESTART_CAPABILITY]).await
}

/// A job of the risky entry with this rollout, approved and done on both machines.
async fn done(world: &World, rollout: Value) -> String {
    let (number, approval) = asked(world, &json!({ "rollout": rollout })).await;
    sign(world, &approval).await.expect(200);
    for machine in 0..2 {
        let order = opened(&world.poll(machine).await.orders[0]);
        world.report(machine, &order, said(Outcome::Succeeded, ControlState::Effective, "changed", "")).await;
    }
    number
}

/// Its rollback with this rollout, begun.
async fn taken_back(world: &World, number: &str, rollout: Value) {
    let draft = world.admin.post(&format!("/api/v1/jobs/{number}/rollback"), &json!({})).await.expect(201);
    let (name, version) =
        (draft["job"]["summary"]["number"].as_str().unwrap(), draft["job"]["version"].as_i64().unwrap());
    let request = world.admin.request(reqwest::Method::PATCH, &format!("/api/v1/jobs/{name}"));
    let change = request.header("if-match", format!("\"v{version}\"")).json(&json!({ "rollout": rollout }));
    world.admin.send(change).await.expect(200);
    world.admin.post(&format!("/api/v1/jobs/{name}/save"), &json!({ "enable": true })).await.expect(200);
}

/// The order of the rollback for a machine, with the approvals that came with it.
async fn back(world: &World, machine: usize) -> (Order, Vec<Envelope>) {
    let offer = world.poll(machine).await;
    let [order] = offer.orders.as_slice() else { panic!("one order, not {}", offer.orders.len()) };
    let order = opened(order);
    assert_eq!(order.kind, OrderKind::Revert, "nobody has to approve it");
    let envelope = |text: &String| Envelope::parse(text.as_bytes(), 1_000_000).unwrap();
    (order, offer.approvals.iter().map(envelope).collect())
}

async fn slot(world: &World, machine: usize, order: &Order) -> PermitAnswer {
    let (app, agent) = (world.server.app(), world.agents[machine]);
    let (key, now) = (order_key(app), app.clock.now());
    let asked = PermitAsk { of: TaskEpoch { task: order.task, epoch: order.epoch }, nonce: Uuid::now_v7() };
    let answer = app.database.try_write(move |tx| {
        let agent = store::agents::read(tx, agent)?;
        permits::answer_restart(tx, &agent, &asked, &key, now)
    });
    answer.await.unwrap()
}

async fn waits_for_its_restart(world: &World, machine: usize, order: &Order) {
    world.say(machine, order, 1, EventKind::Started).await;
    world.say(machine, order, 2, EventKind::Restarting { boot_id: "one".to_owned(), now: false }).await;
}

both_servers!(a_rollback_restarts_hosts_as_the_approval_of_what_it_takes_back_lets_it, |server| async move {
    let mut world = world(server).await;
    let number = done(&world, json!({ "restarts_at_once": 1 })).await;
    // It asks for more at once than people signed.
    taken_back(&world, &number, json!({ "restarts_at_once": 9 })).await;
    let mut orders = Vec::new();
    let root = world.root().await;
    for machine in 0..2 {
        let (order, envelopes) = back(&world, machine).await;
        let now = world.server.app().clock.now();
        assert!(order.restart, "people signed that hosts of the run are restarted");
        let approval = order.approval.as_ref().expect("the approval that lets it");
        assert_eq!(check_back(&root, &order, approval, envelopes.first(), now).unwrap(), 1);
        // Sent again it comes with its approval, too.
        assert_eq!(back(&world, machine).await.1.len(), 1);
        waits_for_its_restart(&world, machine, &order).await;
        orders.push(order);
    }
    assert!(matches!(slot(&world, 0, &orders[0]).await, PermitAnswer::Granted { .. }));
    assert!(matches!(slot(&world, 1, &orders[1]).await, PermitAnswer::Wait { .. }), "one at once, as it was signed");
    // The approval ends while the second one waits for its turn.
    world.report_as(0, &orders[0], 3, said(Outcome::Reverted, ControlState::Exposed, "put back", "")).await;
    world.later(8 * 86_400).await;
    // It was not heard meanwhile, and is there again.
    write(&world, |tx| tx.execute("UPDATE task SET state = 'running' WHERE kind = 'revert' AND code IS NULL", &[]))
        .await;
    let late = slot(&world, 1, &orders[1]).await;
    assert!(matches!(&late, PermitAnswer::Denied { reason } if reason.contains("it is")), "{late:?}");
});

both_servers!(a_rollback_does_not_restart_what_nobody_approved_and_is_done_all_the_same, |server| async move {
    let world = world(server).await;
    // People signed that no machine is restarted.
    let number = done(&world, json!({})).await;
    taken_back(&world, &number, json!({ "restarts_at_once": 2 })).await;
    for machine in 0..2 {
        let (order, envelopes) = back(&world, machine).await;
        assert_eq!((order.restart, order.approval.is_none(), envelopes.len()), (false, true, 0));
        waits_for_its_restart(&world, machine, &order).await;
        let denied = slot(&world, machine, &order).await;
        assert!(matches!(&denied, PermitAnswer::Denied { reason } if reason.contains("no approval")), "{denied:?}");
    }
});

both_servers!(a_rollback_comes_late_and_at_once_but_without_restarts, |server| async move {
    let mut world = world(server).await;
    let number = done(&world, json!({ "restarts_at_once": 2 })).await;
    world.later(8 * 86_400).await;
    taken_back(&world, &number, json!({ "restarts_at_once": 2 })).await;
    let (order, _) = back(&world, 0).await;
    assert!(!order.restart && order.approval.is_none(), "the approval of the job is over");
    // Nor does it where somebody makes the approval last longer in the database.
    write(&world, |tx| tx.execute("UPDATE approval SET valid_until = valid_until + 86400000000000", &[])).await;
    let (order, _) = back(&world, 1).await;
    assert!(!order.restart && order.approval.is_none(), "the bytes that were signed say when it ends");
});
