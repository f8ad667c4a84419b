//! What gates judge beyond numbers of failures, over HTTP: hosts left half undone, hosts that fall silent, waves that changed nothing,
//! what a person has accepted, and runs behind a thousand others (S8).

use crate::away::{epoch, say};
use crate::play::{act, edit, look, offered, report};
use crate::world::World;
use domain::id::{AssetId, JobId};
use domain::job::Kind;
use domain::mitigation::ControlState;
use domain::task::{Event as Step, step};
use protocol::agent::{EventKind, Outcome, TaskReport};
use serde_json::{Value, json};
use store::jobs::NewJob;
use store::{runs, tasks};
use testkit::both_servers;
use testkit::server::TestServer;
use uuid::Uuid;

/// A QID with three assets on which something can be done about it.
pub async fn three(world: &World) -> (i64, Vec<i64>) {
    let (qid, able) = world.mitigable_on(3).await;
    (qid, able.iter().map(|asset| asset["id"].as_i64().expect("a key")).take(3).collect())
}

/// A job on these assets of a QID with this rollout, enabled and looked at; gives its number.
pub async fn enabled(world: &World, qid: i64, assets: &[i64], rollout: &Value) -> String {
    let new = json!({ "vulnerabilities": [{ "qid": qid, "assets": assets }] });
    let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
    let number = made["job"]["summary"]["number"].as_str().expect("a number").to_owned();
    edit(&world.admin, &number, &json!({ "rollout": rollout })).await.expect(200);
    act(&world.admin, &number, "save").await.expect(200);
    look(&world.server).await;
    number
}

/// A job on three assets with this rollout, enabled and looked at.
pub async fn begun(world: &World, rollout: &Value) -> (String, Vec<i64>) {
    let (qid, assets) = three(world).await;
    (enabled(world, qid, &assets, rollout).await, assets)
}

pub async fn newest(world: &World, number: &str) -> Value {
    world.admin.get(&format!("/api/v1/jobs/{number}/rollout")).await.expect(200)["runs"][0].clone()
}

/// The assets for which something is ready.
async fn ready(world: &World, assets: &[i64]) -> Vec<i64> {
    let read =
        world.server.app().database.read(|tx| {
            tx.all::<(i64,)>("SELECT DISTINCT asset_id FROM task WHERE state = 'ready' ORDER BY asset_id", &[])
        });
    read.await.expect("read").into_iter().map(|(asset,)| asset).filter(|asset| assets.contains(asset)).collect()
}

fn failed(left_changed: bool) -> EventKind {
    EventKind::Finished(Box::new(TaskReport {
        outcome: Outcome::Failed,
        state: ControlState::Unknown,
        origin: None,
        message: "said by a test".to_owned(),
        actions: vec![],
        left_changed,
        restart_needed: None,
    }))
}

/// An asset's agent takes its first order and says this of it.
async fn says(server: &TestServer, asset: i64, event: EventKind) {
    let (orders, _) = offered(server, asset).await;
    let order = orders.first().expect("an order");
    let events = [(1, EventKind::Accepted), (2, EventKind::Started), (3, event)];
    say(server, asset, order, epoch(order), &events).await;
    look(server).await;
}

both_servers!(s8_a_host_left_half_undone_halts_its_run_at_once, |server| async move {
    let world = World::ready(server).await;
    let (number, assets) = begun(&world, &json!({})).await;
    says(&world.server, assets[0], failed(false)).await;
    assert_eq!(newest(&world, &number).await["state"], "open", "one failure that was put back is survived");
    says(&world.server, assets[1], failed(true)).await;
    look(&world.server).await;
    let halted = newest(&world, &number).await;
    assert!(["halting", "halted"].contains(&halted["state"].as_str().expect("a state")), "{halted}");
    assert_eq!(halted["halted_by"], "gate", "{halted}");
    assert_eq!(halted["reason"], "1 task failed and left its host changed, because not everything could be put back");
    // A person has looked at the host.
    world.admin.post(&format!("/api/v1/jobs/{number}/run/resume"), &json!({})).await.expect(200);
    look(&world.server).await;
    assert_eq!(newest(&world, &number).await["state"], "open", "the same host does not halt it again");
    says(&world.server, assets[2], failed(true)).await;
    let run = newest(&world, &number).await;
    let left =
        run["waves"][0]["waiting"].as_u64().expect("a number") + run["waves"][0]["out"].as_u64().expect("a number");
    let halted = ["halting", "halted"].contains(&run["state"].as_str().expect("a state"));
    assert_eq!(halted, left > 0, "another host does, while there is something to stop: {run}");
});

both_servers!(s8_two_hosts_that_fall_silent_while_they_are_worked_on_halt_the_run, |server| async move {
    let world = World::ready(server).await;
    let (number, assets) = begun(&world, &json!({})).await;
    for (asset, state) in [(assets[0], "open"), (assets[1], "halted")] {
        let (orders, _) = offered(&world.server, asset).await;
        let order = orders.first().expect("an order");
        say(&world.server, asset, order, epoch(order), &[(1, EventKind::Accepted), (2, EventKind::Started)]).await;
        let task: Uuid = order["task"].as_str().expect("an id").parse().expect("an id");
        let now = world.server.app().clock.now();
        let write = world.server.app().database.try_write(move |tx| {
            let task = tasks::by_uuid(tx, task)?.expect("a task");
            let life = step(task.life(), Step::Silence).expect("it may fall silent");
            assert_eq!(life.state.as_str(), "unknown");
            tasks::save_life(tx, task.id, life, now)
        });
        write.await.expect("it fell silent");
        look(&world.server).await;
        look(&world.server).await;
        let run = newest(&world, &number).await;
        assert_eq!(run["state"] != "open", state == "halted", "{run}");
    }
    let halted = newest(&world, &number).await;
    assert_eq!(halted["reason"], "2 hosts fell silent while they were worked on, and may not come back", "{halted}");
    world.admin.post(&format!("/api/v1/jobs/{number}/run/resume"), &json!({})).await.expect(200);
    look(&world.server).await;
    assert_eq!(newest(&world, &number).await["state"], "open", "a person took them on himself");
});

both_servers!(s8_a_canary_on_which_nothing_was_changed_opens_no_wave_by_itself, |server| async move {
    let world = World::ready(server).await;
    let (number, assets) = begun(&world, &json!({ "waves": ["1", "1"] })).await;
    let canary = ready(&world, &assets).await[0];
    report(&world.server, canary, Outcome::Unchanged).await;
    look(&world.server).await;
    let waits = newest(&world, &number).await;
    assert_eq!((&waits["state"], &waits["waves"][1]["state"]), (&json!("open"), &json!("waiting")), "{waits}");
    assert!(waits["reason"].as_str().expect("a reason").starts_with("no host was changed so far"), "{waits}");
    world.admin.post(&format!("/api/v1/jobs/{number}/run/promote"), &json!({})).await.expect(200);
    look(&world.server).await;
    // The second wave changes its host, so the third opens by itself.
    let second = ready(&world, &assets).await[0];
    report(&world.server, second, Outcome::Succeeded).await;
    look(&world.server).await;
    let run = newest(&world, &number).await;
    assert_eq!(run["waves"][2]["state"], "open", "{run}");
});

both_servers!(a_gate_is_judged_however_many_runs_are_older, |server| async move {
    let world = World::ready(server).await;
    let now = world.server.app().clock.now();
    let decoys = world.server.app().database.try_write(move |tx| {
        let draft = testkit::jobs::draft();
        let owner = tx.scalar("SELECT min(id) FROM account", &[])?;
        let new = NewJob {
            number: 9_000,
            kind: Kind::Mitigation,
            platform: domain::asset::Platform::Linux,
            origin: "free".to_owned(),
            owner,
        };
        let job: JobId = store::jobs::create(tx, &new, &draft, now)?;
        let entry: i64 = tx.scalar("SELECT min(id) FROM catalogue_entry", &[])?;
        let asset: AssetId = tx.scalar("SELECT min(id) FROM asset", &[])?;
        let mut made = Vec::new();
        for _ in 0..=store::rollouts::PAGE {
            let new = runs::NewRun { job, occurrence: None, cause: "now", does: "apply", asked_by: "" };
            made.push(tasks::NewTask {
                uuid: Uuid::now_v7(),
                run_id: runs::begin(tx, &new, now)?,
                job_id: job,
                asset_id: asset,
                agent_key: None,
                entry_key: entry,
                wave: 1,
                kind: "apply".to_owned(),
                due_at: now.plus_seconds(10_000_000),
                zone: String::new(),
                window_end: None,
                start_by: None,
            });
        }
        tasks::create(tx, &made, now)?;
        tx.execute("UPDATE run SET begun_at = $2 WHERE job_id = $1", &[&job, &now])?;
        Ok::<_, store::Error>(made.len())
    });
    assert_eq!(decoys.await.expect("decoys"), 1_001);
    let (number, assets) = begun(&world, &json!({ "waves": ["1"] })).await;
    let canary = ready(&world, &assets).await[0];
    report(&world.server, canary, Outcome::Failed).await;
    look(&world.server).await;
    let halted = newest(&world, &number).await;
    assert_eq!((&halted["state"], &halted["halted_by"]), (&json!("halted"), &json!("gate")), "{halted}");
});
