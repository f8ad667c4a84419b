//! Which machine an agent is: who may decide it, and what becomes of work for the machine it is not.

use super::world::{World, browser};
use domain::id::AssetId;
use domain::mitigation::{ControlState, Origin};
use domain::task::State;
use protocol::agent::{Event, EventKind, Outcome, TaskReport};
use serde_json::{Value, json};
use server::engine::orders::Offer;
use server::engine::{catalogue, orders, results};
use std::time::Duration;
use store::agents::{self, AgentRow};
use testkit::both_servers;
use testkit::server::{USER_PASSWORD, able};
use uuid::Uuid;

async fn agent_on(world: &World, asset: i64) -> AgentRow {
    let read = world.server.app().database.read(move |tx| agents::on_asset(tx, AssetId(asset)));
    read.await.unwrap().expect("the asset has an agent")
}

async fn read(world: &World, agent: Uuid) -> AgentRow {
    let read = world.server.app().database.read(move |tx| agents::by_agent_id(tx, agent));
    read.await.unwrap().expect("the agent exists")
}

async fn tag(world: &World, asset: i64, tag: &str) {
    let (tags, now) = (vec![tag.to_owned()], world.server.app().clock.now());
    let write = world.server.app().database.write(move |tx| {
        store::assets::edit(tx, "users/test", AssetId(asset), None, Some(&tags), now)?;
        Ok(())
    });
    write.await.unwrap();
}

/// A Linux asset without an agent.
async fn free(world: &World) -> i64 {
    let linux = world.admin.get("/api/v1/assets?q=platform:linux&sort=name&limit=100").await.expect(200);
    linux["assets"].as_array().unwrap().last().unwrap()["id"].as_i64().unwrap()
}

both_servers!(an_agent_outside_the_scope_is_neither_linked_nor_unlinked_nor_revoked, |server| async move {
    let world = World::ready(server).await;
    let (_, assets) = world.mitigable().await;
    let (hidden, seen) = (assets[0]["id"].as_i64().unwrap(), assets[1]["id"].as_i64().unwrap());
    let free = free(&world).await;
    tag(&world, free, "lab").await;
    tag(&world, seen, "lab").await;
    let new = json!({ "name": "part", "roles": ["administrator"], "scope": ["lab"] });
    let made = world.admin.post("/api/v1/users", &new).await.expect(201);
    let once = made["one_time_password"].as_str().unwrap().to_owned();
    let part = world.server.client().sign_in("part", &once).await.choose_password(&once, USER_PASSWORD).await;

    let before = agent_on(&world, hidden).await;
    let path = format!("/api/v1/agents/{}", before.agent_id);
    let link = json!({ "asset": free, "reason": "mine now" });
    let unlink = json!({ "asset": null, "reason": "not theirs" });
    assert_eq!(part.put(&format!("{path}/link"), &link).await.status, 404);
    assert_eq!(part.put(&format!("{path}/link"), &unlink).await.status, 404);
    assert_eq!(part.delete(&path).await.status, 404);
    let page = browser(&world.server, "part", USER_PASSWORD).await;
    let path = format!("/agents/{}", before.agent_id);
    assert_eq!(page.client.get(&path).await.status, 404);
    assert_eq!(page.post(&format!("{path}/link?asset={free}"), &[]).await.status, 404);
    assert_eq!(page.post(&format!("{path}/revoke"), &[]).await.status, 404);
    let after = read(&world, before.agent_id).await;
    assert_eq!((after.asset_id, after.revoked_at), (Some(AssetId(hidden)), None));

    // Within the scope it is his to decide.
    let own = agent_on(&world, seen).await.agent_id;
    let stolen = part.put(&format!("/api/v1/agents/{own}/link"), &json!({ "asset": hidden, "reason": "r" })).await;
    assert_eq!(stolen.status, 404);
    assert_eq!(part.put(&format!("/api/v1/agents/{own}/link"), &link).await.status, 204);
    assert_eq!(part.delete(&format!("/api/v1/agents/{own}")).await.status, 204);
});

/// An enabled job on two assets whose tasks are ready; gives its number and the assets.
async fn job(world: &World) -> (String, [i64; 2]) {
    let (qid, assets) = world.mitigable().await;
    let assets = [&assets[0], &assets[1]].map(|asset| asset["id"].as_i64().unwrap());
    let new = json!({ "vulnerabilities": [{ "qid": qid, "assets": assets }] });
    let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
    let number = made["job"]["summary"]["number"].as_str().unwrap().to_owned();
    world.admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true })).await.expect(200);
    until(world, assets, |states| states.iter().all(|(_, state)| *state == State::Ready)).await;
    (number, assets)
}

/// The states of the tasks of these assets, once they are as wanted.
async fn until(world: &World, assets: [i64; 2], wanted: impl Fn(&[(i64, State)]) -> bool) -> Vec<(i64, State)> {
    let mut states = Vec::new();
    for _ in 0..400 {
        let read = world
            .server
            .app()
            .database
            .read(|tx| tx.all::<(i64, State)>("SELECT asset_id, state FROM task ORDER BY asset_id, id", &[]));
        states = read.await.unwrap();
        if !states.is_empty() && wanted(&states) {
            return states;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the tasks of {assets:?} do not get there: {states:?}");
}

/// What the agent is offered at a poll, whatever it can do.
async fn offered(world: &World, agent: &AgentRow) -> Offer {
    let app = world.server.app();
    let (key, now, agent) = (catalogue::order_key(app), app.clock.now(), agent.clone());
    let write = app.database.try_write(move |tx| {
        let needs: Vec<(String,)> = tx.all("SELECT needs FROM catalogue_entry", &[])?;
        let capabilities = able(needs.iter().map(|(needs,)| needs.as_str()));
        orders::offer(tx, &agent, orders::Maker { key: &key, halted: false, capabilities: &capabilities, now })
    });
    write.await.unwrap()
}

async fn linked(world: &World, agent: &AgentRow, asset: Value) {
    let link = json!({ "asset": asset, "reason": "looked at the machine" });
    assert_eq!(world.admin.put(&format!("/api/v1/agents/{}/link", agent.agent_id), &link).await.status, 204);
}

async fn said(world: &World, agent: &AgentRow, of: (Uuid, u32), first: u32, kinds: Vec<EventKind>) {
    let (app, agent) = (world.server.app(), agent.clone());
    let now = app.clock.now();
    let events: Vec<String> = (first..)
        .zip(kinds)
        .map(|(n, event)| serde_json::to_string(&Event { task: of.0, epoch: of.1, n, at: now, event }).unwrap())
        .collect();
    app.database.try_write(move |tx| results::store(tx, &agent, &events, now)).await.unwrap();
    app.wake.notify("dispatch", 0);
}

/// The job has ended with failures and left nothing in force on these assets.
async fn over(world: &World, number: &str, assets: [i64; 2]) {
    for _ in 0..400 {
        let job = world.admin.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
        if job["job"]["summary"]["status"] == "COMPLETED_WITH_FAILURES" {
            for asset in assets {
                let controls = world.admin.get(&format!("/api/v1/assets/{asset}/controls")).await.expect(200);
                assert_eq!(controls["controls"], json!([]), "asset {asset}");
            }
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the job does not end");
}

both_servers!(a_relinked_agent_gets_no_order_for_the_machine_it_is_not, |server| async move {
    let world = World::ready(server).await;
    let (number, assets) = job(&world).await;
    let [moved, unlinked] = [agent_on(&world, assets[0]).await, agent_on(&world, assets[1]).await];
    let free = free(&world).await;

    // Nothing was ordered: nothing ever is, and the task ends at once.
    linked(&world, &moved, json!(free)).await;
    assert_eq!(offered(&world, &moved).await, Offer::default(), "an order for another machine");
    assert_eq!(offered(&world, &read(&world, moved.agent_id).await).await, Offer::default());
    until(&world, assets, |states| {
        states.iter().all(|(asset, state)| *state == if *asset == assets[0] { State::Refused } else { State::Ready })
    })
    .await;

    // An order is out: it is taken back, not sent again, until the agent says that it never starts.
    assert!(!offered(&world, &unlinked).await.orders.is_empty());
    linked(&world, &unlinked, Value::Null).await;
    let offer = offered(&world, &unlinked).await;
    assert!(offer.orders.is_empty() && !offer.revoke.is_empty(), "{offer:?}");
    for task in offer.revoke {
        said(&world, &unlinked, (task.task, task.epoch), 1, vec![EventKind::Revoked]).await;
    }
    assert!(offered(&world, &unlinked).await.is_empty());
    until(&world, assets, |states| states.iter().all(|(_, state)| state.ended())).await;
    over(&world, &number, assets).await;
});

both_servers!(what_a_relinked_agent_did_counts_for_no_asset, |server| async move {
    let world = World::ready(server).await;
    let (number, assets) = job(&world).await;
    let [started, taken] = [agent_on(&world, assets[0]).await, agent_on(&world, assets[1]).await];
    let (mut tasks, free) = (Vec::new(), free(&world).await);
    for agent in [&started, &taken] {
        offered(&world, agent).await;
        let key = agent.id;
        let rows = world.server.app().database.read(move |tx| store::tasks::of_agent(tx, key)).await.unwrap();
        tasks.push(rows.iter().map(|task| (task.uuid, task.life().epoch)).collect::<Vec<_>>());
    }
    for of in &tasks[0] {
        said(&world, &started, *of, 1, vec![EventKind::Accepted, EventKind::Started]).await;
    }
    linked(&world, &started, json!(free)).await;
    linked(&world, &taken, Value::Null).await;
    // The one was in the middle: nobody knows what it did where. The other has started meanwhile and says so.
    for (agent, tasks) in [(&started, &tasks[0]), (&taken, &tasks[1])] {
        for of in tasks {
            let report = TaskReport {
                outcome: Outcome::Succeeded,
                state: ControlState::Effective,
                origin: Some(Origin::Ours),
                message: "done".to_owned(),
                actions: vec![],
                left_changed: false,
                restart_needed: None,
            };
            said(&world, agent, *of, 3, vec![EventKind::Finished(Box::new(report))]).await;
        }
    }
    let states = until(&world, assets, |states| states.iter().all(|(_, state)| state.ended())).await;
    assert!(states.iter().all(|(_, state)| *state == State::Lost), "{states:?}");
    over(&world, &number, assets).await;
});
