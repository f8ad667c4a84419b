//! What many agents say in the same moment has to become what it becomes when they say it one after the other.

use super::world::World;
use domain::id::AssetId;
use domain::mitigation::{ControlState, Origin};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use protocol::agent::{Event, EventKind, Outcome, TaskReport};
use protocol::order::RefusalCode;
use serde_json::{Value, json};
use server::engine::gather::Gather;
use server::engine::results::{self, Said, Stored};
use server::engine::{catalogue, orders};
use server::http::error::Error;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use store::Transaction;
use store::agents::AgentRow;
use testkit::both_servers;
use uuid::Uuid;

/// Every agent with an order of a job over everything that can be done, and its tasks.
async fn offered(world: &World) -> Vec<(AgentRow, Vec<Uuid>)> {
    let mut chosen = Vec::new();
    let found = world.admin.get("/api/v1/vulnerabilities?q=is:found and is:mitigable&limit=100").await.expect(200);
    for vulnerability in found["vulnerabilities"].as_array().unwrap() {
        let qid = vulnerability["qid"].as_i64().unwrap();
        let all = world.admin.get(&format!("/api/v1/eliminations?qid={qid}")).await.expect(200);
        let safe = |e: &Value| e["risk"] != "high" && e["reversible"] == true && e["platform"] == "linux";
        let list = |name: &str| all[name].as_array().unwrap().clone();
        let assets: Vec<i64> = (list("assets").iter().filter(|asset| asset["selectable"] == true))
            .map(|asset| asset["id"].as_i64().unwrap())
            .collect();
        if list("eliminations").iter().all(safe) && !assets.is_empty() {
            chosen.push(json!({ "qid": qid, "assets": assets }));
        }
    }
    let made =
        world.admin.post("/api/v1/jobs", &json!({ "title": "Crowd", "vulnerabilities": chosen })).await.expect(201);
    let path = format!("/api/v1/jobs/{}", made["job"]["summary"]["number"].as_str().unwrap());
    world.admin.post(&format!("{path}/save"), &json!({ "enable": true })).await.expect(200);
    let app = world.server.app();
    // Who approves what is another test's matter.
    app.database.write(|tx| tx.execute("UPDATE approval SET state = 'void'", &[])).await.unwrap();
    for _ in 0..400 {
        let open = app.database.read(|tx| tx.scalar::<i64>("SELECT count(*) FROM task WHERE state = 'pending'", &[]));
        if open.await.unwrap() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let (key, now) = (catalogue::order_key(app), app.clock.now());
    let write = app.database.try_write(move |tx| {
        let keys: Vec<(i64,)> = tx.all("SELECT id FROM asset ORDER BY id", &[])?;
        let mut offered = Vec::new();
        for (asset,) in keys {
            let Some(agent) = store::agents::on_asset(tx, AssetId(asset))? else { continue };
            let tasks = store::tasks::of_agent(tx, agent.id)?;
            let needs = testkit::server::able(tasks.iter().map(|task| task.needs.as_str()));
            let maker = orders::Maker { key: &key, halted: false, capabilities: &needs, now };
            let offer = orders::offer(tx, &agent, maker)?;
            assert_eq!(offer.orders.len(), tasks.len());
            if !tasks.is_empty() {
                offered.push((agent, tasks.into_iter().map(|task| task.uuid).collect()));
            }
        }
        Ok::<_, Error>(offered)
    });
    write.await.unwrap()
}

fn done(outcome: Outcome, state: ControlState, origin: Origin) -> EventKind {
    EventKind::Finished(Box::new(TaskReport {
        outcome,
        state,
        origin: Some(origin),
        message: format!("{outcome:?}"),
        actions: Vec::new(),
        left_changed: false,
        restart_needed: None,
    }))
}

/// One of the ways in which a task can go.
fn course(number: usize) -> Vec<EventKind> {
    use EventKind::{Accepted, Started};
    let refused = |code| EventKind::Refused { code, reason: "no".to_owned(), order: String::new() };
    match number % 8 {
        0 => vec![Accepted, Started, done(Outcome::Succeeded, ControlState::Effective, Origin::Ours)],
        1 => vec![Accepted, Accepted, done(Outcome::Unchanged, ControlState::Effective, Origin::External), Started],
        2 => vec![refused(RefusalCode::Unsupported), done(Outcome::Succeeded, ControlState::Effective, Origin::Ours)],
        3 => vec![Accepted, Started],
        4 => vec![done(Outcome::Failed, ControlState::Exposed, Origin::Ours), refused(RefusalCode::Unsupported)],
        5 => vec![EventKind::Interrupted { state: ControlState::Effective, reason: "died".to_owned() }, Accepted],
        6 => vec![EventKind::Revoked, Started],
        _ => vec![Accepted, Started, done(Outcome::Succeeded, ControlState::Configured, Origin::Ours)],
    }
}

/// A control: asset, entry, state, origin, task, heard at, expires at, by which job.
type Control = (i64, String, String, String, Option<i64>, i64, Option<i64>, Option<i64>);

/// Everything that reports change, without the keys that the database gives.
fn picture(tx: &mut Transaction<'_>) -> store::Result<Vec<String>> {
    let mut lines = Vec::new();
    let tasks: Vec<(i64,)> = tx.all("SELECT id FROM task ORDER BY id", &[])?;
    for (id,) in tasks {
        lines.push(format!("{:?}", store::tasks::read(tx, domain::id::TaskId(id))?));
    }
    let events: Vec<(i64, i64, i64, String)> =
        tx.all("SELECT task_id, epoch, n, body FROM task_event ORDER BY task_id, epoch, n", &[])?;
    lines.extend(events.iter().map(|event| format!("{event:?}")));
    let controls: Vec<Control> = tx.all(
        "SELECT asset_id, entry, state, origin, task_id, heard_at, expires_at, expiry_job_id FROM control
         ORDER BY asset_id, entry",
        &[],
    )?;
    lines.extend(controls.iter().map(|control| format!("{control:?}")));
    let items: Vec<(i64, i64, String)> =
        tx.all("SELECT id, residual, mitigation FROM vulnerable_item ORDER BY id", &[])?;
    lines.extend(items.iter().map(|item| format!("{item:?}")));
    let scores: Vec<(i64, i64, i64, String)> =
        tx.all("SELECT item_id, before, after, cause FROM score_history ORDER BY item_id, cause, before", &[])?;
    lines.extend(scores.iter().map(|score| format!("{score:?}")));
    let runs: Vec<(i64,)> = tx.all("SELECT id FROM run ORDER BY id", &[])?;
    for (run,) in runs {
        let run = domain::id::RunId(run);
        let tallies = store::rollouts::tallies(tx, run)?;
        assert_eq!(tallies, store::rollouts::recount(tx, run)?, "S12: counts are a recount");
        lines.push(format!("{tallies:?}"));
    }
    Ok(lines)
}

/// What came of it, and the picture then; nothing of it stays.
type Seen = (Vec<Stored>, Vec<String>);

fn undone(
    tx: &mut Transaction<'_>,
    work: impl FnOnce(&mut Transaction<'_>) -> Result<Vec<Stored>, Error>,
) -> Result<Seen, Error> {
    let mut seen = None;
    let ended = tx.attempt(|tx| -> Result<(), Error> {
        let stored = work(tx)?;
        seen = Some((stored, picture(tx)?));
        Err(Error::NotFound("undone on purpose".to_owned()))
    });
    match (ended, seen) {
        (_, Some(seen)) => Ok(seen),
        (Err(error), None) => Err(error),
        (Ok(()), None) => panic!("it is always undone"),
    }
}

both_servers!(what_many_agents_say_at_once_is_what_each_says_alone, |server| async move {
    let world = World::ready(server).await;
    let offered = offered(&world).await;
    assert!(offered.len() >= 2, "several agents have something to do: {}", offered.len());
    assert!(offered.iter().any(|(_, tasks)| tasks.len() > 1), "one of them has several tasks");
    let now = world.server.app().clock.now();
    for shift in 0..8 {
        let mut said: Vec<(AgentRow, Vec<String>)> = Vec::new();
        for (at, (agent, tasks)) in offered.iter().enumerate() {
            let mut events = Vec::new();
            for (place, task) in tasks.iter().enumerate() {
                for (n, event) in (1..).zip(course(at + place + shift)) {
                    events.push(serde_json::to_string(&Event { task: *task, epoch: 1, n, at: now, event }).unwrap());
                }
            }
            // A task of another agent, an epoch that was never ordered, and what is no event at all.
            let strange = offered[(at + 1) % offered.len()].1[0];
            for (task, epoch) in [(strange, 1), (tasks[0], 2), (Uuid::now_v7(), 1)] {
                let event = Event { task, epoch, n: 9, at: now, event: EventKind::Started };
                events.insert(at % 2, serde_json::to_string(&event).unwrap());
            }
            events.push("no event".to_owned());
            said.push((agent.clone(), events));
        }
        // The first speaks twice in the same moment, and says again what was said.
        said.push(said[0].clone());
        let write = world.server.app().database.try_write(move |tx| {
            let alone =
                undone(tx, |tx| said.iter().map(|(agent, events)| results::store(tx, agent, events, now)).collect())?;
            let together = undone(tx, |tx| {
                let said: Vec<Said<'_>> = said.iter().map(|(agent, events)| Said { agent: agent.id, events }).collect();
                results::store_all(tx, &said, now)
            })?;
            Ok::<_, Error>((alone, together))
        });
        let (alone, together): (Seen, Seen) = write.await.unwrap();
        let differ: Vec<_> = alone.1.iter().zip(&together.1).filter(|(alone, together)| alone != together).collect();
        assert_eq!((alone.1.len(), differ), (together.1.len(), Vec::new()), "course {shift}");
        for (alone, together) in alone.0.iter().zip(&together.0) {
            assert_eq!((&alone.acked, &alone.touched), (&together.acked, &together.touched), "course {shift}");
        }
        assert!(together.0.iter().any(|stored| stored.resolved), "something ended");
    }
});

both_servers!(orders_of_many_agents_are_made_in_one_go_each_with_its_own_number, |server| async move {
    let world = World::ready(server).await;
    let offered = offered(&world).await;
    assert!(offered.len() >= 2, "several agents have something to do: {}", offered.len());
    let keys: Vec<_> = offered.iter().map(|(agent, _)| agent.id).collect();
    let (key, now) = (catalogue::order_key(world.server.app()), world.server.app().clock.now());
    let write = world.server.app().database.try_write(move |tx| {
        let before = store::agents::read_many(tx, &keys)?;
        // As if nothing was ordered yet, by agents that can do everything.
        tx.execute("UPDATE task SET state = 'ready', epoch = 0, order_envelope = NULL", &[])?;
        let can: Vec<String> = catalogue_kinds();
        for agent in before.values() {
            let mut facts: protocol::agent::Facts = serde_json::from_str(&agent.facts).map_err(Error::internal)?;
            facts.capabilities.clone_from(&can);
            let text = serde_json::to_string(&facts).map_err(Error::internal)?;
            tx.execute("UPDATE agent SET facts = $2 WHERE id = $1", &[&agent.id, &text])?;
        }
        let halted = orders::offer_all(tx, &keys, (&key, true), now)?;
        assert!(halted.values().all(|offer| offer.orders.is_empty()), "S7: nothing is made in a halt");
        let made = orders::offer_all(tx, &keys, (&key, false), now)?;
        let again = orders::offer_all(tx, &keys, (&key, false), now)?;
        let after = store::agents::read_many(tx, &keys)?;
        let mut numbers: BTreeMap<Uuid, BTreeSet<u64>> = BTreeMap::new();
        for (agent, offer) in &made {
            assert_eq!(offer.orders, again[agent].orders, "what was made is sent again, the same bytes");
            for text in &offer.orders {
                let envelope = protocol::signed::Envelope::parse(text.as_bytes(), 100_000).unwrap();
                let verified = envelope.verify(protocol::order::ORDER_TYPE, &[key.public()], 1).unwrap();
                let order: protocol::order::Order = verified.parse().unwrap();
                assert_eq!(order.agent_id, before[agent].agent_id);
                assert!(numbers.entry(order.agent_id).or_default().insert(order.order_seq), "each number once");
            }
            let given = i64::try_from(offer.orders.len()).unwrap();
            assert!(given > 0);
            assert_eq!(after[agent].order_seq, before[agent].order_seq + given);
        }
        assert_eq!(made.len(), keys.len());
        Ok::<_, Error>(())
    });
    write.await.unwrap();
});

fn catalogue_kinds() -> Vec<String> {
    let kinds: Vec<String> = ::catalogue::actions::ACTION_KINDS.iter().map(|kind| format!("{kind}@1")).collect();
    testkit::server::able(kinds.iter().map(String::as_str)).into_iter().collect()
}

/// Answers twice the number; one that is 13 fails its batch, and 14 panics in it.
fn doubled(_: server::App, questions: Arc<Vec<u32>>) -> BoxFuture<'static, Result<Vec<u32>, Error>> {
    async move {
        assert!(!questions.contains(&14), "a question that its work cannot bear");
        if questions.contains(&13) {
            return Err(Error::internal("no answer to this"));
        }
        Ok(questions.iter().map(|question| question * 2).collect())
    }
    .boxed()
}

#[tokio::test]
async fn nobody_suffers_from_the_question_of_another() {
    let server = testkit::server::TestServer::start().await;
    let place = Gather::default();
    let ask = |question: u32| {
        let (app, place) = (server.app().clone(), place.clone());
        async move { place.ask(&app, question, 1, doubled).await }
    };
    // Asked before the worker of the first runs, so that they are one batch.
    let answers = futures_util::future::join_all((0..200).map(ask)).await;
    for (question, answer) in (0..).zip(answers) {
        match question {
            13 | 14 => assert!(answer.is_err(), "{question}"),
            _ => assert_eq!(answer.ok(), Some(question * 2)),
        }
    }
    // And the place goes on.
    assert_eq!(ask(300).await.ok(), Some(600));
}
