//! What the tests of this binary do with a world: jobs, agents that report, people with little to say.

use crate::world::World;
use domain::id::AssetId;
use domain::mitigation::{ControlState, Origin};
use protocol::agent::{ActionEvidence, Event, EventKind, Facts, Outcome, TaskReport};
use serde_json::{Value, json};
use server::engine::{catalogue, orders, results};
use std::time::Duration;
use testkit::server::{Client, Reply, TestServer, able};

/// A draft for these assets of a QID.
pub async fn draft(client: &Client, qid: i64, assets: &[i64]) -> String {
    let new = json!({ "vulnerabilities": [{ "qid": qid, "assets": assets }] });
    let made = client.post("/api/v1/jobs", &new).await.expect(201);
    made["job"]["summary"]["number"].as_str().unwrap().to_owned()
}

/// Change a job as it stands.
pub async fn patch(client: &Client, number: &str, change: &Value) -> Reply {
    let path = format!("/api/v1/jobs/{number}");
    let seen = client.get(&path).await;
    let version = seen.headers["etag"].to_str().unwrap().to_owned();
    client.send(client.request(reqwest::Method::PATCH, &path).header("if-match", version).json(change)).await
}

/// A job as it is shown.
pub async fn job(client: &Client, number: &str) -> Value {
    client.get(&format!("/api/v1/jobs/{number}")).await.expect(200)["job"].clone()
}

/// Do something to a job.
pub async fn act(client: &Client, number: &str, act: &str) -> Reply {
    client.post(&format!("/api/v1/jobs/{number}/{act}"), &json!({})).await
}

/// A job that only mitigates, for every asset of a QID that can be chosen, saved and enabled; gives its number, the QID
/// and the assets. Of several actions for the QID only the first safe one is taken.
pub async fn running(world: &World) -> (String, i64, Vec<i64>) {
    let (qid, assets) = world.mitigable().await;
    let assets: Vec<i64> = assets.iter().map(|asset| asset["id"].as_i64().unwrap()).collect();
    let number = draft(&world.admin, qid, &assets).await;
    only_safe(world, &number, qid).await;
    world.admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true })).await.expect(200);
    ready(&world.server, i64::try_from(assets.len()).unwrap()).await;
    (number, qid, assets)
}

/// Leave one reversible action of low risk in a draft; gives its entry.
pub async fn only_safe(world: &World, number: &str, qid: i64) -> String {
    let job = world.admin.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
    let safe = |action: &&Value| action["risk"] != "high" && action["reversible"] == true;
    let action = job["job"]["actions"].as_array().unwrap().iter().find(safe).expect("a safe action").clone();
    let entry = action["entry"].as_str().unwrap().to_owned();
    patch(&world.admin, number, &json!({ "actions": [{ "qid": qid, "entry": entry }] })).await.expect(200);
    entry
}

/// The asset's agent says from now on that it runs on this system.
pub async fn runs_on(server: &TestServer, asset: i64, os_id: &str, os_version: &str) {
    let facts = Facts { os_id: os_id.to_owned(), os_version: os_version.to_owned(), ..Facts::default() };
    let facts = serde_json::to_string(&facts).unwrap();
    let write = server
        .app()
        .database
        .write(move |tx| tx.execute("UPDATE agent SET facts = $2 WHERE asset_id = $1", &[&asset, &facts]));
    assert_eq!(write.await.unwrap(), 1);
}

/// Wait until so many tasks are ready.
pub async fn ready(server: &TestServer, count: i64) {
    for _ in 0..400 {
        let ready =
            server.app().database.read(|tx| tx.scalar::<i64>("SELECT count(*) FROM task WHERE state = 'ready'", &[]));
        if ready.await.unwrap() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the tasks do not become ready");
}

/// What an agent says that put a mitigation in place.
pub fn in_place() -> TaskReport {
    said(Outcome::Succeeded, ControlState::Effective, Some(Origin::Ours))
}

/// What an agent says at the end.
pub fn said(outcome: Outcome, state: ControlState, origin: Option<Origin>) -> TaskReport {
    TaskReport {
        outcome,
        state,
        origin,
        message: "said by a test".to_owned(),
        actions: vec![ActionEvidence {
            kind: "sysctl".to_owned(),
            target: "net.ipv4.tcp_sack".to_owned(),
            before: "1".to_owned(),
            after: "0".to_owned(),
            did: "changed".to_owned(),
            files: vec!["/etc/sysctl.d/60-quell.conf".to_owned()],
            diff: "-1\n+0".to_owned(),
        }],
        left_changed: false,
        restart_needed: None,
    }
}

/// The asset's agent asks for its orders and says nothing yet; gives the numbers of the jobs that offered it something.
pub async fn offer(server: &TestServer, asset: i64) -> Vec<String> {
    let app = server.app().clone();
    let (key, now) = (catalogue::order_key(&app), app.clock.now());
    let write = app.database.try_write(move |tx| {
        let agent = store::agents::on_asset(tx, AssetId(asset))?.unwrap();
        let tasks = store::tasks::of_agent(tx, agent.id)?;
        let capabilities = able(tasks.iter().map(|task| task.needs.as_str()));
        orders::offer(tx, &agent, orders::Maker { key: &key, halted: false, capabilities: &capabilities, now })?;
        tx.all::<(i64,)>("SELECT j.number FROM task t JOIN job j ON j.id = t.job_id WHERE t.state = 'offered'", &[])
            .map_err(server::http::Error::from)
    });
    write.await.unwrap().into_iter().map(|(number,)| format!("MJ{number:07}")).collect()
}

/// The asset's agent takes its orders and reports this, through the code that serves real agents.
pub async fn report(server: &TestServer, asset: i64, report: &TaskReport) {
    let app = server.app().clone();
    let (key, now, report) = (catalogue::order_key(&app), app.clock.now(), report.clone());
    let write = app.database.try_write(move |tx| {
        let agent = store::agents::on_asset(tx, AssetId(asset))?.unwrap();
        let tasks = store::tasks::of_agent(tx, agent.id)?;
        assert!(!tasks.is_empty(), "nothing is ready for asset {asset}");
        let capabilities = able(tasks.iter().map(|task| task.needs.as_str()));
        let maker = orders::Maker { key: &key, halted: false, capabilities: &capabilities, now };
        orders::offer(tx, &agent, maker)?;
        let mut events = Vec::new();
        for task in tasks {
            let epoch = u32::try_from(store::tasks::read(tx, task.id)?.epoch).unwrap();
            let kinds = [EventKind::Accepted, EventKind::Started, EventKind::Finished(Box::new(report.clone()))];
            for (n, event) in (1..).zip(kinds) {
                events.push(serde_json::to_string(&Event { task: task.uuid, epoch, n, at: now, event }).unwrap());
            }
        }
        results::store(tx, &agent, &events, now)
    });
    let stored = write.await.unwrap();
    for job in stored.touched {
        app.wake.notify("job", job.0);
        app.wake.notify("dispatch", 0);
    }
}

/// Wait until a job is over; gives its status.
pub async fn over(client: &Client, number: &str) -> String {
    for _ in 0..400 {
        let job = client.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
        if !job["job"]["summary"]["ended_at"].is_null() {
            return job["job"]["summary"]["status"].as_str().unwrap().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{number} does not end");
}

/// A program of somebody with these roles, who sees assets with these tags only, and a token of these scopes.
pub async fn program(world: &World, name: &str, roles: &[&str], tags: Option<&[&str]>, scopes: &[&str]) -> Client {
    let user = world.server.user(name, roles).await;
    if let Some(tags) = tags {
        let tags: Vec<String> = tags.iter().map(|&tag| tag.to_owned()).collect();
        let scope = serde_json::to_string(&tags).unwrap();
        let name = name.to_owned();
        let write = world
            .server
            .app()
            .database
            .write(move |tx| tx.execute("UPDATE account SET scope = $1 WHERE name = $2", &[&scope, &name]));
        write.await.unwrap();
    }
    let token = user.make_token(scopes).await;
    world.server.client().with_token(&token)
}

/// Give an asset tags.
pub async fn tag(world: &World, asset: i64, tags: &[&str]) {
    let tags: Vec<String> = tags.iter().map(|&tag| tag.to_owned()).collect();
    let write = world.server.app().database.write(move |tx| {
        store::assets::edit(
            tx,
            "users/test",
            AssetId(asset),
            None,
            Some(&tags),
            domain::time::Timestamp::from_micros(1),
        )
    });
    write.await.unwrap();
}
