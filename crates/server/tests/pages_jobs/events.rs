//! What an agent may say of its own tasks is bounded, however often and however much of it comes.

use super::world::World;
use domain::id::AssetId;
use domain::task::State;
use protocol::agent::{Event, EventKind};
use protocol::order::RefusalCode;
use serde_json::json;
use server::engine::{catalogue, orders, results};
use std::time::Duration;
use store::agents::AgentRow;
use testkit::both_servers;
use testkit::server::{TestServer, able};
use uuid::Uuid;

/// A task that its agent was offered, of a job on one asset.
async fn offered(world: &World) -> (AgentRow, Uuid) {
    let (qid, assets) = world.mitigable().await;
    let asset = assets[0]["id"].as_i64().unwrap();
    let new = json!({ "title": "Events", "vulnerabilities": [{ "qid": qid, "assets": [asset] }] });
    let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
    let number = made["job"]["summary"]["number"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/jobs/{number}");
    let version = world.admin.get(&path).await.headers["etag"].to_str().unwrap().to_owned();
    let titled = world.admin.request(reqwest::Method::PATCH, &path).header("if-match", version);
    world.admin.send(titled.json(&json!({ "title": "Events" }))).await.expect(200);
    world.admin.post(&format!("{path}/save"), &json!({ "enable": true })).await.expect(200);
    let app = world.server.app();
    for _ in 0..400 {
        let ready = app.database.read(|tx| tx.scalar::<i64>("SELECT count(*) FROM task WHERE state = 'ready'", &[]));
        if ready.await.unwrap() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let (key, now) = (catalogue::order_key(app), app.clock.now());
    let write = app.database.try_write(move |tx| {
        let agent = store::agents::on_asset(tx, AssetId(asset))?.unwrap();
        let tasks = store::tasks::of_agent(tx, agent.id)?;
        let needs = able(tasks.iter().map(|task| task.needs.as_str()));
        orders::offer(tx, &agent, orders::Maker { key: &key, halted: false, capabilities: &needs, now })?;
        Ok::<_, server::http::error::Error>((agent, tasks.first().expect("a task is ready").uuid))
    });
    write.await.unwrap()
}

/// Say one event; whether it was acknowledged, and how many events are kept then.
async fn say(server: &TestServer, agent: &AgentRow, task: Uuid, n: u32, event: EventKind) -> (bool, i64) {
    let now = server.app().clock.now();
    let text = serde_json::to_string(&Event { task, epoch: 1, n, at: now, event }).unwrap();
    let agent = agent.clone();
    let write = server.app().database.try_write(move |tx| {
        let stored = results::store(tx, &agent, std::slice::from_ref(&text), now)?;
        let kept = tx.scalar::<i64>("SELECT count(*) FROM task_event", &[])?;
        Ok::<_, server::http::error::Error>((!stored.acked.is_empty(), kept))
    });
    write.await.unwrap()
}

both_servers!(an_agent_cannot_fill_the_database_with_events, |server| async move {
    let world = World::ready(server).await;
    let (agent, task) = offered(&world).await;
    let refused = |length: usize| EventKind::Refused {
        code: RefusalCode::Unsupported,
        reason: "x".repeat(length),
        order: String::new(),
    };
    for (n, event, kept, why) in [
        (1, EventKind::Accepted, 1, "what an agent says is kept"),
        (1, EventKind::Accepted, 1, "once"),
        (65, EventKind::Started, 1, "one of too many"),
        (u32::MAX, refused(1), 1, "whatever it says"),
        (2, refused(300 * 1024), 1, "too long"),
        (2, EventKind::Started, 2, "the next one is welcome"),
        (3, refused(1), 3, "it ends the task"),
        (4, EventKind::Started, 3, "too late"),
        (5, refused(2), 4, "a late end is evidence"),
    ] {
        assert_eq!(say(&world.server, &agent, task, n, event).await, (true, kept), "{n}: {why}");
    }
});

both_servers!(what_somebody_on_the_way_forged_ends_no_task, |server| async move {
    let world = World::ready(server).await;
    let (agent, task) = offered(&world).await;
    let refused = |order: &str| EventKind::Refused {
        code: RefusalCode::BadSignature,
        reason: "the signature does not match".to_owned(),
        order: order.to_owned(),
    };
    let stored = || async {
        let read = world.server.app().database.read(move |tx| Ok(store::tasks::by_uuid(tx, task)?.unwrap()));
        read.await.unwrap()
    };
    let sent = orders::event_digest(&stored().await.order_envelope.unwrap());
    let forged = orders::event_digest("an order of somebody else's");
    assert_eq!(
        say(&world.server, &agent, task, 1, refused(&forged)).await,
        (true, 0),
        "acknowledged, and of no interest"
    );
    assert_eq!(stored().await.state, State::Offered);
    assert_eq!(say(&world.server, &agent, task, 2, EventKind::Accepted).await, (true, 1));
    assert_eq!(stored().await.state, State::Accepted, "the real one goes its way");
    // An agent that does not know our key says so of the order that we did send.
    assert_eq!(say(&world.server, &agent, task, 3, refused(&sent)).await, (true, 2));
    assert_eq!(stored().await.state, State::Refused);
});
