//! Waves, permits and halts of one run, from the API to the page (S6, S7, S8).

use super::world::{World, admin_browser, gist, version};
use domain::id::AssetId;
use protocol::agent::{Event, EventKind, Outcome, TaskEpoch, TaskReport};
use protocol::order::{Order, RefusalCode};
use protocol::permit::{PERMIT_CAPABILITY, PERMIT_TYPE, Permit, PermitAnswer, PermitAsk};
use protocol::signed::Envelope;
use reqwest::Method;
use serde_json::{Value, json};
use server::engine::{catalogue, dispatch, orders, permits, results};
use std::collections::BTreeSet;
use store::agents::AgentRow;
use testkit::both_servers;
use uuid::Uuid;

/// A job on every asset that has the weakness, with this rollout, enabled.
async fn begun(world: &World, rollout: &Value) -> String {
    let (qid, _) = world.mitigable().await;
    let new = json!({ "title": "Waves", "vulnerabilities": [{ "qid": qid }], "platform": "linux" });
    let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
    let path = format!("/api/v1/jobs/{}", made["job"]["summary"]["number"].as_str().unwrap());
    let tag = world.admin.get(&path).await.headers["etag"].to_str().unwrap().to_owned();
    let patch = world.admin.request(Method::PATCH, &path).header("if-match", tag).json(&json!({ "rollout": rollout }));
    world.admin.send(patch).await.expect(200);
    world.admin.post(&format!("{path}/save"), &json!({ "enable": true })).await.expect(200);
    look(world).await;
    path
}

async fn look(world: &World) {
    let now = world.server.app().clock.now();
    world.server.app().database.try_write(move |tx| dispatch::look(tx, now)).await.unwrap();
}

async fn waves(world: &World, path: &str) -> Value {
    world.admin.get(&format!("{path}/rollout")).await.expect(200)["runs"][0].clone()
}

/// The agents for which something is ready, each with its first task.
async fn ready(world: &World) -> Vec<(AgentRow, Uuid)> {
    let read = world.server.app().database.read(|tx| {
        let rows: Vec<(i64, Uuid)> =
            tx.all("SELECT asset_id, uuid FROM task WHERE state IN ('ready', 'offered') ORDER BY id", &[])?;
        let mut found = Vec::new();
        for (asset, uuid) in rows {
            found.extend(store::agents::on_asset(tx, AssetId(asset))?.map(|agent| (agent, uuid)));
        }
        Ok(found)
    });
    read.await.unwrap()
}

/// What an agent is offered that can do everything the order needs, and perhaps asks for permits.
async fn offer(world: &World, agent: &AgentRow, asks: bool) -> orders::Offer {
    let app = world.server.app();
    let (key, now, agent) = (catalogue::order_key(app), app.clock.now(), agent.clone());
    let write = app.database.try_write(move |tx| {
        let halted = dispatch::halt(tx)?.is_some();
        let tasks = store::tasks::of_agent(tx, agent.id)?;
        let mut can: BTreeSet<String> =
            tasks.iter().flat_map(|task| task.needs.split_whitespace()).map(str::to_owned).collect();
        can.extend(asks.then(|| PERMIT_CAPABILITY.to_owned()));
        orders::offer(tx, &agent, orders::Maker { key: &key, halted, capabilities: &can, now })
    });
    write.await.unwrap()
}

async fn ask(world: &World, agent: &AgentRow, task: Uuid, epoch: u32) -> PermitAnswer {
    let app = world.server.app();
    let (key, now, agent) = (catalogue::order_key(app), app.clock.now(), agent.clone());
    let asked = PermitAsk { of: TaskEpoch { task, epoch }, nonce: Uuid::from_u128(9) };
    app.database.try_write(move |tx| permits::answer(tx, &agent, &asked, &key, now)).await.unwrap()
}

async fn say(world: &World, agent: &AgentRow, task: Uuid, n: u32, event: EventKind) {
    let (now, agent) = (world.server.app().clock.now(), agent.clone());
    let text = serde_json::to_string(&Event { task, epoch: 1, n, at: now, event }).unwrap();
    let write = world
        .server
        .app()
        .database
        .try_write(move |tx| results::store(tx, &agent, std::slice::from_ref(&text), now).map(|_| ()));
    write.await.unwrap();
}

fn failed() -> EventKind {
    EventKind::Finished(Box::new(TaskReport {
        outcome: Outcome::Failed,
        state: domain::mitigation::ControlState::Exposed,
        origin: None,
        message: "it did not work".to_owned(),
        actions: vec![],
        left_changed: false,
        restart_needed: None,
    }))
}

both_servers!(s6_s7_s8_a_canary_that_fails_halts_the_run_and_nothing_more_is_permitted, |server| async move {
    let world = World::ready(server).await;
    let path = begun(&world, &json!({ "waves": ["1"], "max_running": 5 })).await;
    let run = waves(&world, &path).await;
    assert_eq!((&run["state"], &run["permits"]), (&json!("open"), &json!(true)), "{run}");
    assert_eq!(run["waves"][1]["state"], "waiting", "{run}");
    let canaries = ready(&world).await;
    let (agent, task) = canaries.first().cloned().expect("the canary is ready");
    assert!(canaries.iter().all(|(known, _)| known.id == agent.id), "one asset: {canaries:?}");

    let offered = offer(&world, &agent, true).await;
    let envelope = Envelope::parse(offered.orders[0].as_bytes(), 64 * 1024).unwrap();
    let order: Order = serde_json::from_slice(envelope.unverified_payload()).unwrap();
    assert!(order.permit, "a run in waves needs permits");
    assert!(matches!(ask(&world, &agent, task, 2).await, PermitAnswer::Denied { .. }), "another epoch");
    assert!(matches!(ask(&world, &agent, Uuid::nil(), 1).await, PermitAnswer::Denied { .. }), "another task");
    let PermitAnswer::Granted { permit } = ask(&world, &agent, task, 1).await else { panic!("it is granted") };
    let key = catalogue::order_key(world.server.app()).public();
    let permit = Envelope::parse(permit.as_bytes(), 8 * 1024).unwrap();
    let permit: Permit = permit.verify(PERMIT_TYPE, &[key], 1).unwrap().parse().unwrap();
    assert_eq!(
        (permit.task, permit.epoch, permit.agent_id, permit.nonce),
        (task, 1, agent.agent_id, Uuid::from_u128(9))
    );
    assert_eq!(waves(&world, &path).await["permits_out"], 1);

    for (n, event) in [(1, EventKind::Accepted), (2, EventKind::Started), (3, failed())] {
        say(&world, &agent, task, n, event).await;
    }
    for (other, task) in canaries.iter().skip(1) {
        say(&world, other, *task, 1, failed()).await;
    }
    look(&world).await;
    look(&world).await;
    let run = waves(&world, &path).await;
    assert_eq!((&run["state"], &run["halted_by"]), (&json!("halted"), &json!("gate")), "{run}");
    assert!(run["reason"].as_str().unwrap().contains("failures"), "{run}");
    assert_eq!(run["permits_out"], 0, "given back with the result: {run}");
    assert!(ready(&world).await.is_empty(), "no further wave began");
    let me = admin_browser(&world.server).await;
    let page = me.page(path.trim_start_matches("/api/v1")).await;
    assert!(page.contains("Rollout") && page.contains("halted by the gate"), "{}", gist(&page));
    assert!(page.contains("Resume run") && page.contains("Open next wave"), "{}", gist(&page));
    // A person takes it on himself.
    world.admin.post(&format!("{path}/run/promote"), &json!({})).await.expect(409);
    let resumed = world.admin.post(&format!("{path}/run/resume"), &json!({})).await.expect(200);
    assert_eq!(resumed["runs"][0]["state"], "open");
    // What failed before is accepted: it halts the run no more. But a canary that changed nothing shows nothing.
    look(&world).await;
    look(&world).await;
    let run = waves(&world, &path).await;
    assert_eq!((&run["state"], &run["waves"][1]["state"]), (&json!("open"), &json!("waiting")), "{run}");
    assert!(run["reason"].as_str().unwrap().starts_with("no host was changed so far"), "{run}");
    world.admin.post(&format!("{path}/run/promote"), &json!({})).await.expect(200);
    look(&world).await;
    let run = waves(&world, &path).await;
    assert_eq!((&run["state"], &run["waves"][1]["state"]), (&json!("open"), &json!("open")), "{run}");
});

both_servers!(s7_a_halt_denies_permits_and_revokes_orders_and_old_agents_get_none, |server| async move {
    let world = World::ready(server).await;
    let path = begun(&world, &json!({ "permits": true })).await;
    let all = ready(&world).await;
    let (agent, task) = all[0].clone();
    let (other, _) = all.iter().find(|(other, _)| other.id != agent.id).cloned().expect("two agents");
    assert!(offer(&world, &other, false).await.orders.is_empty(), "it does not ask for permits");
    assert_eq!(offer(&world, &agent, true).await.orders.len(), all.iter().filter(|(a, _)| a.id == agent.id).count());
    world.admin.post(&format!("{path}/run/halt"), &json!({ "reason": " " })).await.expect(422);
    let halted = world.admin.post(&format!("{path}/run/halt"), &json!({ "reason": "a phone call" })).await.expect(200);
    assert_eq!(halted["runs"][0]["reason"], "a phone call", "{halted}");
    assert!(matches!(ask(&world, &agent, task, 1).await, PermitAnswer::Denied { .. }));
    assert!(offer(&world, &agent, true).await.revoke.contains(&TaskEpoch { task, epoch: 1 }));
    world.admin.post(&format!("{path}/run/halt"), &json!({ "reason": "again" })).await.expect(409);
    world.admin.post(&format!("{path}/run/resume"), &json!({})).await.expect(200);
    assert!(matches!(ask(&world, &agent, task, 1).await, PermitAnswer::Granted { .. }));
    // The global halt closes the same rows, also for a permit that is out and asked for again.
    world.admin.put("/api/v1/halt", &json!({ "halted": true, "reason": "everything" })).await.expect(200);
    assert!(matches!(ask(&world, &agent, task, 1).await, PermitAnswer::Denied { .. }));
    world.admin.put("/api/v1/halt", &json!({ "halted": false, "reason": "" })).await.expect(200);
    assert!(matches!(ask(&world, &agent, task, 1).await, PermitAnswer::Granted { .. }), "it had its place");
    say(
        &world,
        &agent,
        task,
        1,
        EventKind::Refused { code: RefusalCode::Denied, reason: String::new(), order: String::new() },
    )
    .await;
    assert_eq!(waves(&world, &path).await["permits_out"], 0);
});

both_servers!(the_results_that_a_wave_needs_are_set_in_the_wizard_and_told_everywhere, |server| async move {
    let world = World::ready(server).await;
    let me = admin_browser(&world.server).await;
    let (qid, _) = world.mitigable().await;
    let basic = me.leads(&format!("/jobs/new?qid={qid}&platform=linux"), &[]).await;
    let job = basic.trim_end_matches("/edit/basic").to_owned();
    let options = format!("{job}/edit/options");
    let page = me.page(&options).await;
    assert!(page.contains("name=\"definitive_percent\""), "{}", gist(&page));
    assert!(page.contains("one silent host holds the next wave back"), "it is explained: {}", gist(&page));
    let own = |percent| {
        [
            ("version", version(&page)),
            ("then", "next"),
            ("rollout", "own"),
            ("waves", "1"),
            ("soak_minutes", "0"),
            ("max_running", "10"),
            ("freshness_hours", "24"),
            ("permits", "on"),
            ("definitive_percent", percent),
        ]
    };
    for wrong in ["0", "101", "300", "", "many"] {
        let refused = me.post(&options, &own(wrong)).await;
        assert_eq!(refused.status, 422, "{wrong}");
        assert!(refused.text.contains("id=\"error-definitive_percent\""), "{wrong}: {}", gist(&refused.text));
    }
    me.leads(&options, &own("80")).await;
    let api = format!("/api/v1{job}");
    let said = world.admin.get(&format!("{api}/rollout")).await.expect(200);
    assert_eq!(said["rollout"]["definitive_percent"], 80, "{said}");
    let words = "once 80% of the results of the one before are in";
    assert!(said["sentence"].as_str().unwrap().contains(words), "{said}");
    assert!(me.page(&format!("{job}/edit/confirm")).await.contains(words), "the review says it");
    // Where nothing is typed anew it stays: another edit of the step does not put it back to the default.
    let page = me.page(&options).await;
    assert!(page.contains("value=\"80\""), "{}", gist(&page));
    world.admin.post(&format!("{api}/save"), &json!({ "enable": true })).await.expect(200);
    look(&world).await;
    assert!(me.page(&job).await.contains(words), "the page of the job says it");
    // In one wave there is no next one.
    let one = domain::rollout::Policy { definitive_percent: 80, ..domain::rollout::Policy::default() };
    assert!(!one.sentence().contains("next wave"), "{}", one.sentence());
});

both_servers!(s7_a_run_that_is_halted_before_anything_of_it_is_due_comes_to_rest, |server| async move {
    let world = World::ready(server).await;
    let (qid, _) = world.mitigable().await;
    let new = json!({ "title": "Later", "vulnerabilities": [{ "qid": qid }], "platform": "linux" });
    let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
    let path = format!("/api/v1/jobs/{}", made["job"]["summary"]["number"].as_str().unwrap());
    let tag = world.admin.get(&path).await.headers["etag"].to_str().unwrap().to_owned();
    let later = json!({ "schedule": { "when": "once", "at": "2031-01-01T02:00:00", "zone": "UTC" } });
    let patch = world.admin.request(Method::PATCH, &path).header("if-match", tag).json(&later);
    world.admin.send(patch).await.expect(200);
    world.admin.post(&format!("{path}/save"), &json!({ "enable": true })).await.expect(200);
    look(&world).await;
    let halted = world.admin.post(&format!("{path}/run/halt"), &json!({ "reason": "not now" })).await.expect(200);
    assert_eq!(halted["runs"][0]["state"], "halting", "{halted}");
    look(&world).await;
    assert_eq!(waves(&world, &path).await["state"], "halted");
    let me = admin_browser(&world.server).await;
    let page = me.page("/jobs?q=is:halted").await;
    assert!(page.contains("Later") && page.contains("</svg>Halted</span>"), "{}", gist(&page));
});
