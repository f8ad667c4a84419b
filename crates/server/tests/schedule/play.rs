//! A job and its agents, moved by hand: the clock, the look at everything that may have to move, the agents' words.

use crate::world::World;
use domain::id::AssetId;
use domain::mitigation::{ControlState, Origin};
use domain::time::Timestamp;
use protocol::agent::{Event, EventKind, Facts, Outcome, TaskReport};
use serde_json::{Value, json};
use server::engine::{agents, catalogue, dispatch, orders, results};
use testkit::server::{Client, Reply, TestServer, able};

pub fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

/// A draft on two assets, the first in Rome and the second in an unknown zone, with this patch; gives its number.
pub async fn draft(world: &World, patch: &Value) -> (String, Vec<i64>) {
    let (qid, able) = world.mitigable().await;
    let assets: Vec<i64> = able.iter().map(|asset| asset["id"].as_i64().expect("a key")).take(2).collect();
    for (asset, zone) in assets.iter().zip(["Europe/Rome", ""]) {
        in_zone(&world.server, *asset, zone).await;
    }
    let new = json!({ "vulnerabilities": [{ "qid": qid, "assets": assets }] });
    let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
    let number = made["job"]["summary"]["number"].as_str().expect("a number").to_owned();
    edit(&world.admin, &number, patch).await.expect(200);
    (number, assets)
}

pub async fn edit(client: &Client, number: &str, patch: &Value) -> Reply {
    let reply = client.get(&format!("/api/v1/jobs/{number}")).await;
    let version = reply.headers["etag"].to_str().expect("ASCII").to_owned();
    let request = client.request(reqwest::Method::PATCH, &format!("/api/v1/jobs/{number}"));
    client.send(request.header("if-match", version).json(patch)).await
}

/// Do something to a job.
pub async fn act(client: &Client, number: &str, act: &str) -> Reply {
    let body = if act == "save" { json!({ "enable": true }) } else { json!({}) };
    client.post(&format!("/api/v1/jobs/{number}/{act}"), &body).await
}

pub async fn job(client: &Client, number: &str) -> Value {
    client.get(&format!("/api/v1/jobs/{number}")).await.expect(200)["job"].clone()
}

pub async fn runs(client: &Client, number: &str) -> Vec<Value> {
    let body = client.get(&format!("/api/v1/jobs/{number}/runs")).await.expect(200);
    body["runs"].as_array().expect("a list").clone()
}

pub async fn tasks(client: &Client, number: &str, run: &str) -> Vec<Value> {
    let body = client.get(&format!("/api/v1/jobs/{number}/tasks{run}")).await.expect(200);
    body["tasks"].as_array().expect("a list").clone()
}

/// The dispatcher's look, beside the server's own.
pub async fn look(server: &TestServer) {
    let now = server.app().clock.now();
    let looked = server.app().database.try_write(move |tx| dispatch::look(tx, now)).await;
    looked.expect("a look works");
}

/// Turn the clock to an instant and look.
pub async fn come(server: &TestServer, instant: &str) {
    server.clock.set(at(instant));
    look(server).await;
}

/// An agent says that it is in this zone.
pub async fn in_zone(server: &TestServer, asset: i64, zone: &str) {
    let (now, zone) = (server.app().clock.now(), zone.to_owned());
    let write = server.app().database.try_write(move |tx| {
        let agent = store::agents::on_asset(tx, AssetId(asset))?.expect("an agent");
        agents::learn(
            tx,
            &agent,
            &Facts { zone: zone.clone(), ..serde_json::from_str(&agent.facts).expect("facts") },
            now,
        )
    });
    write.await.expect("the agent is heard");
}

/// What an asset's agent is offered now, and taken back: the signed orders and how many revocations.
pub async fn offered(server: &TestServer, asset: i64) -> (Vec<Value>, usize) {
    let app = server.app().clone();
    let (key, now) = (catalogue::order_key(&app), app.clock.now());
    let write = app.database.try_write(move |tx| {
        let agent = store::agents::on_asset(tx, AssetId(asset))?.expect("an agent");
        let waiting = store::tasks::of_agent(tx, agent.id)?;
        let capabilities = able(waiting.iter().map(|task| task.needs.as_str()));
        let maker = orders::Maker { key: &key, halted: false, capabilities: &capabilities, now };
        orders::offer(tx, &agent, maker)
    });
    let offer = write.await.expect("an offer");
    let orders = offer.orders.iter().map(|envelope| {
        let envelope: Value = serde_json::from_str(envelope).expect("an envelope");
        let payload = envelope["payload"].as_str().expect("a payload");
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, payload).expect("base64");
        serde_json::from_slice(&bytes).expect("an order")
    });
    (orders.collect(), offer.revoke.len())
}

/// An asset's agent takes its orders and reports this outcome for each.
pub async fn report(server: &TestServer, asset: i64, outcome: Outcome) {
    let (orders, _) = offered(server, asset).await;
    assert!(!orders.is_empty(), "nothing is ready for asset {asset}");
    let app = server.app().clone();
    let now = app.clock.now();
    let write = app.database.try_write(move |tx| {
        let agent = store::agents::on_asset(tx, AssetId(asset))?.expect("an agent");
        let mut events = Vec::new();
        for order in &orders {
            let report = TaskReport {
                outcome,
                state: ControlState::Effective,
                origin: Some(Origin::Ours),
                message: "said by a test".to_owned(),
                actions: vec![],
                left_changed: false,
                restart_needed: None,
            };
            let (task, epoch) = (order["task"].as_str().expect("an id"), order["epoch"].as_u64().expect("a number"));
            let (task, epoch) = (task.parse().expect("an id"), u32::try_from(epoch).expect("small"));
            let kinds = [EventKind::Accepted, EventKind::Started, EventKind::Finished(Box::new(report))];
            for (n, event) in (1..).zip(kinds) {
                events.push(serde_json::to_string(&Event { task, epoch, n, at: now, event }).expect("JSON"));
            }
        }
        results::store(tx, &agent, &events, now)
    });
    write.await.expect("the report is stored");
    look(server).await;
}
