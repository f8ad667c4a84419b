//! Hosts that are kept apart: a group is one for starts and restarts, for every job, and for every group that a host is in (S6).

use crate::away::{epoch, say};
use crate::play::{act, edit, look, offered};
use crate::world::World;
use domain::id::AssetId;
use domain::mitigation::{ControlState, Origin};
use protocol::agent::{EventKind, Outcome, TaskEpoch, TaskReport};
use protocol::permit::{PermitAnswer, PermitAsk};
use serde_json::{Value, json};
use server::engine::{catalogue, permits};
use testkit::both_servers;
use testkit::server::TestServer;
use uuid::Uuid;

/// A job on these assets with this rollout, enabled; gives the first order of each asset.
async fn orders(world: &World, qid: i64, assets: &[i64], rollout: &Value) -> Vec<Value> {
    let new = json!({ "vulnerabilities": [{ "qid": qid, "assets": assets }] });
    let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
    let number = made["job"]["summary"]["number"].as_str().expect("a number").to_owned();
    edit(&world.admin, &number, &json!({ "rollout": rollout })).await.expect(200);
    act(&world.admin, &number, "save").await.expect(200);
    look(&world.server).await;
    let mut orders = Vec::new();
    for asset in assets {
        let (mine, _) = offered(&world.server, *asset).await;
        orders.push(mine[0].clone());
    }
    orders
}

/// A QID with three assets: the first in two groups, of which the others share the second by name.
async fn clustered(world: &World) -> (i64, Vec<i64>) {
    let (qid, able) = world.mitigable_on(3).await;
    let assets: Vec<i64> = able.iter().map(|asset| asset["id"].as_i64().expect("a key")).take(3).collect();
    let tags = [(0, "cluster:a"), (0, "cluster:b"), (1, "cluster:b"), (2, "cluster:b")];
    let rows = tags.map(|(asset, tag)| (assets[asset], tag));
    let write = world.server.app().database.write(move |tx| {
        for (asset, tag) in rows {
            tx.execute("INSERT INTO asset_tag (asset_id, tag, origin) VALUES ($1, $2, 0)", &[&asset, &tag])?;
        }
        Ok(())
    });
    write.await.expect("they are tagged");
    (qid, assets)
}

/// What the agent of an asset is answered that asks to start an order, or to restart for it.
async fn ask(server: &TestServer, asset: i64, order: &Value, restart: bool) -> &'static str {
    let app = server.app().clone();
    let (key, now) = (catalogue::order_key(&app), app.clock.now());
    let task = order["task"].as_str().expect("an id").parse().expect("an id");
    let asked = PermitAsk { of: TaskEpoch { task, epoch: epoch(order) }, nonce: Uuid::from_u128(7) };
    let write = app.database.try_write(move |tx| {
        let agent = store::agents::on_asset(tx, AssetId(asset))?.expect("an agent");
        let answer = if restart { permits::answer_restart } else { permits::answer };
        answer(tx, &agent, &asked, &key, now)
    });
    match write.await.expect("an answer") {
        PermitAnswer::Granted { .. } => "granted",
        PermitAnswer::Wait { .. } => "wait",
        PermitAnswer::Denied { .. } => "denied",
    }
}

async fn start(server: &TestServer, asset: i64, order: &Value) -> &'static str {
    ask(server, asset, order, false).await
}

async fn restart(server: &TestServer, asset: i64, order: &Value) -> &'static str {
    ask(server, asset, order, true).await
}

/// The order is at work and waits for a restart.
async fn at_work(server: &TestServer, asset: i64, order: &Value) {
    let waits = EventKind::Restarting { boot_id: "one".to_owned(), now: false };
    let said = [(1, EventKind::Accepted), (2, EventKind::Started), (3, waits)];
    assert_eq!(say(server, asset, order, epoch(order), &said).await, 3);
}

async fn done(server: &TestServer, asset: i64, order: &Value) {
    let report = TaskReport {
        outcome: Outcome::Succeeded,
        state: ControlState::Effective,
        origin: Some(Origin::Ours),
        message: "said by a test".to_owned(),
        actions: vec![],
        left_changed: false,
        restart_needed: None,
    };
    let said = [(4, EventKind::Finished(Box::new(report)))];
    assert_eq!(say(server, asset, order, epoch(order), &said).await, 1);
}

both_servers!(s6_in_a_group_no_host_starts_while_another_restarts_nor_the_other_way_round, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (qid, assets) = clustered(&world).await;
    let rollout = json!({ "apart_tag": "cluster:", "apart_at_most": 1, "restarts_at_once": 3 });
    let orders = orders(&world, qid, &assets, &rollout).await;
    let [first, second, third] = [0, 1, 2].map(|n| (assets[n], &orders[n]));

    // The third was at work and waits for its restart, so long that its place is another's.
    assert_eq!(start(server, third.0, third.1).await, "granted");
    assert_eq!(start(server, first.0, first.1).await, "wait", "by the second of its groups");
    at_work(server, third.0, third.1).await;
    server.clock.set(server.app().clock.now().plus_seconds(13 * 60));
    look(server).await;
    assert_eq!(start(server, first.0, first.1).await, "granted");
    assert_eq!(restart(server, third.0, third.1).await, "wait", "another has begun");
    at_work(server, first.0, first.1).await;
    done(server, first.0, first.1).await;

    assert_eq!(restart(server, third.0, third.1).await, "granted");
    assert_eq!(start(server, second.0, second.1).await, "wait", "another restarts");
    done(server, third.0, third.1).await;
    assert_eq!(start(server, second.0, second.1).await, "granted");
    at_work(server, second.0, second.1).await;
    assert_eq!(restart(server, second.0, second.1).await, "granted", "its own start does not keep it back");
});

both_servers!(s6_what_one_job_keeps_apart_no_other_job_brings_together, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (qid, assets) = clustered(&world).await;
    // The second job says nothing of groups.
    let careful = orders(&world, qid, &assets[..1], &json!({ "apart_tag": "cluster:" })).await;
    let careless = orders(&world, qid, &assets[1..], &json!({})).await;
    let [mine, one, other] = [(assets[0], &careful[0]), (assets[1], &careless[0]), (assets[2], &careless[1])];

    assert_eq!(start(server, one.0, one.1).await, "granted");
    assert_eq!(start(server, mine.0, mine.1).await, "wait", "a member is worked on, by whichever job");
    at_work(server, one.0, one.1).await;
    done(server, one.0, one.1).await;
    assert_eq!(start(server, mine.0, mine.1).await, "granted");
    assert_eq!(start(server, other.0, other.1).await, "wait", "beside a job that keeps its hosts apart");
    at_work(server, mine.0, mine.1).await;
    done(server, mine.0, mine.1).await;
    assert_eq!(start(server, other.0, other.1).await, "granted");
});
