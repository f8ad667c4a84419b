//! Hosts that are kept apart: a group is one for starts and restarts, for every job, and for every group that a host is in (S6).

use crate::away::{epoch, say};
use crate::gates::{enabled, three};
use crate::play::{look, offered};
use crate::restarts;
use crate::world::World;
use domain::rollout::permit;
use domain::task;
use domain::time::Timestamp;
use protocol::agent::EventKind;
use protocol::permit::PermitAnswer;
use serde_json::{Value, json};
use testkit::both_servers;
use testkit::server::TestServer;

/// A job on these assets with this rollout, enabled; gives the first order of each asset.
async fn orders(world: &World, qid: i64, assets: &[i64], rollout: &Value) -> Vec<Value> {
    enabled(world, qid, assets, rollout).await;
    let mut orders = Vec::new();
    for asset in assets {
        let (mine, _) = offered(&world.server, *asset).await;
        orders.push(mine[0].clone());
    }
    orders
}

/// A QID with three assets: the first in two groups, of which the others share the second by name.
async fn clustered(world: &World) -> (i64, Vec<i64>) {
    let (qid, assets) = three(world).await;
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
    match restarts::asks(server, asset, order, restart).await {
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
    let said = [(1, EventKind::Accepted), (2, EventKind::Started), (3, restarts::waits(false))];
    assert_eq!(say(server, asset, order, epoch(order), &said).await, 3);
}

async fn done(server: &TestServer, asset: i64, order: &Value) {
    let said = [(4, restarts::done())];
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

both_servers!(s6_a_job_without_permits_is_counted_and_held_back_in_a_group, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (qid, assets) = clustered(&world).await;
    let free = json!({ "permits": false });
    let asks = |order: &Value| order["permit"] == true;

    // While no run keeps hosts apart, nobody asks; its orders are at work from the moment they are made.
    enabled(&world, qid, &assets[1..2], &free).await;
    let quiet = offered(server, assets[1]).await.0;
    assert!(!quiet.is_empty() && !quiet.iter().any(asks), "{quiet:?}");
    let careful = orders(&world, qid, &assets[..1], &json!({ "apart_tag": "cluster:" })).await;
    let mine = (assets[0], &careful[0]);
    assert_eq!(start(server, mine.0, mine.1).await, "wait", "that one may have started");
    for order in &quiet {
        at_work(server, assets[1], order).await;
        assert_eq!(start(server, mine.0, mine.1).await, "wait");
        done(server, assets[1], order).await;
    }
    assert_eq!(start(server, mine.0, mine.1).await, "granted");

    // From now on whoever is in one of its groups asks, and waits.
    enabled(&world, qid, &assets[2..], &free).await;
    let held = offered(server, assets[2]).await.0;
    assert!(!held.is_empty() && held.iter().all(asks), "{held:?}");
    assert_eq!(start(server, assets[2], &held[0]).await, "wait");
    at_work(server, mine.0, mine.1).await;
    done(server, mine.0, mine.1).await;
    assert_eq!(start(server, assets[2], &held[0]).await, "granted");
});

both_servers!(
    an_order_without_a_permit_that_nobody_answers_keeps_its_group_no_longer_than_it_may_be_at_work,
    |server| async move {
        let world = World::ready(server).await;
        let server = &world.server;
        let (qid, assets) = clustered(&world).await;
        enabled(&world, qid, &assets[1..2], &json!({ "permits": false })).await;
        let quiet = offered(server, assets[1]).await.0;
        let ends: Timestamp = quiet[0]["not_after"].as_str().expect("an instant").parse().expect("an instant");
        let careful = orders(&world, qid, &assets[..1], &json!({ "apart_tag": "cluster:" })).await;
        let over = ends.plus_seconds(task::WORK_SECONDS + permit::MARGIN_SECONDS);
        server.clock.set(over.plus_seconds(-1));
        look(server).await;
        // Its own order is made anew by then; the other one is not, because its agent was asked and says nothing.
        let again = offered(server, assets[0]).await.0;
        let mine = again.first().unwrap_or(&careful[0]);
        assert_eq!(start(server, assets[0], mine).await, "wait");
        server.clock.set(over);
        assert_eq!(start(server, assets[0], mine).await, "granted");
    }
);
