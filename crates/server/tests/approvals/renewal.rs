//! What a newer release of the catalogue means for jobs that were made under an older one, over real HTTP on both databases.

use crate::world::{ORG, QID, RISKY, SAFE, SPARE, World, opened, risky, safe, said, signed, spare};
use domain::mitigation::ControlState;
use domain::time::Timestamp;
use protocol::agent::Outcome;
use protocol::order::Order;
use serde_json::{Value, json};
use testkit::both_servers;

async fn orders(world: &World, agent: usize) -> Vec<Order> {
    world.poll(agent).await.orders.iter().map(|envelope| opened(envelope)).collect()
}

async fn job(world: &World, number: &str) -> Value {
    world.ada.get(&format!("/api/v1/jobs/{number}")).await.expect(200)["job"].clone()
}

async fn act(world: &World, number: &str, act: &str) {
    world.ada.post(&format!("/api/v1/jobs/{number}/{act}"), &json!({})).await.expect(200);
}

fn revisions(job: &Value) -> Vec<(String, i64)> {
    let actions = job["actions"].as_array().unwrap();
    let of = |action: &Value| (action["entry"].as_str().unwrap().to_owned(), action["revision"].as_i64().unwrap());
    actions.iter().map(of).collect()
}

/// An agent does all that it is asked for.
async fn does(world: &World, agent: usize, outcome: Outcome, state: ControlState) -> Vec<u32> {
    let mut revisions = Vec::new();
    for _ in 0..10 {
        let orders = orders(world, agent).await;
        if orders.is_empty() {
            return revisions;
        }
        for order in orders {
            revisions.push(order.entry_revision);
            world.report(agent, &order, said(outcome, state, "did", "")).await;
        }
    }
    panic!("agent {agent} is asked again and again: {revisions:?}");
}

/// A draft that takes back all that is in place for the QID.
async fn rollback(world: &World) -> Value {
    let wanted = json!({ "kind": "rollback", "vulnerabilities": [{ "qid": QID }], "title": "Back" });
    world.ada.post("/api/v1/jobs", &wanted).await.expect(201)["job"].clone()
}

/// Change the actions of a job to these entries.
async fn left(world: &World, number: &str, entries: &[&str]) -> testkit::server::Reply {
    let actions: Vec<Value> = entries.iter().map(|entry| json!({ "qid": QID, "entry": entry })).collect();
    let version = job(world, number).await["version"].as_i64().unwrap();
    let request = world.ada.request(reqwest::Method::PATCH, &format!("/api/v1/jobs/{number}"));
    world.ada.send(request.header("if-match", format!("\"v{version}\"")).json(&json!({ "actions": actions }))).await
}

fn named(job: &Value) -> String {
    job["summary"]["number"].as_str().unwrap().to_owned()
}

both_servers!(actions_of_a_job_stay_in_the_revisions_that_it_has, |server| async move {
    let world = World::ready(server).await;
    world.release(1, 2, &[risky(1), safe(1), spare()]).await;
    let (number, draft) = (world.job(&[SAFE, SPARE]).await, world.draft(&[SAFE, SPARE]).await);
    let without = world.draft(&[SAFE]).await;
    act(&world, &number, "enable").await;
    for agent in [0, 1] {
        assert_eq!(does(&world, agent, Outcome::Succeeded, ControlState::Effective).await, [1, 1]);
    }
    world.release(1, 3, &[risky(1), safe(2)]).await;

    // What is taken back is the revision that was put in place, replaced or withdrawn since.
    for (entry, other, code) in [(SAFE, SPARE, "unknown_action"), (SPARE, SAFE, "actions_only_removed")] {
        let made = rollback(&world).await;
        let mut all = revisions(&made);
        all.sort();
        assert_eq!(all, [(SAFE.to_owned(), 1), (SPARE.to_owned(), 1)]);
        let number = named(&made);
        left(&world, &number, &[entry]).await.expect(200);
        assert_eq!(revisions(&job(&world, &number).await), [(entry.to_owned(), 1)]);
        let refused = left(&world, &number, &[entry, other]).await;
        assert!(refused.text.contains(code), "nothing is added to a rollback: {}", refused.text);
    }
    // A mitigation job keeps what was withdrawn while others are taken out, and gets it no more.
    left(&world, &draft, &[SPARE]).await.expect(200);
    assert_eq!(revisions(&job(&world, &draft).await), [(SPARE.to_owned(), 1)]);
    let refused = left(&world, &without, &[SAFE, SPARE]).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("there is no catalogue entry"), "{}", refused.text);
});

both_servers!(a_rollback_of_two_revisions_is_reported_line_by_line, |server| async move {
    let world = World::ready(server).await;
    let number = world.job(&[SAFE]).await;
    act(&world, &number, "enable").await;
    assert_eq!(does(&world, 0, Outcome::Succeeded, ControlState::Effective).await, [1]);
    world.release(1, 2, &[risky(1), safe(2)]).await;
    assert_eq!(does(&world, 1, Outcome::Succeeded, ControlState::Effective).await, [2]);

    let made = rollback(&world).await;
    let number = named(&made);
    let mut all = revisions(&made);
    all.sort();
    assert_eq!(all, [(SAFE.to_owned(), 1), (SAFE.to_owned(), 2)]);
    // Named once or twice, an entry means both of its revisions.
    left(&world, &number, &[SAFE]).await.expect(200);
    assert_eq!(revisions(&job(&world, &number).await).len(), 2);
    let told = async || {
        let report = world.ada.get(&format!("/api/v1/jobs/{number}/report")).await.expect(200);
        let lines = report["lines"].as_array().unwrap().clone();
        let of = |line: &Value| {
            (
                line["assetName"].as_str().unwrap().to_owned(),
                line["mitigationRevision"].clone(),
                line["returnCode"].clone(),
            )
        };
        lines.iter().map(of).collect::<Vec<_>>()
    };
    let line = |asset: &str, revision: i64, code: Value| (asset.to_owned(), json!(revision), code);
    assert_eq!(told().await, [line("alpha", 1, Value::Null), line("beta", 2, Value::Null)]);
    world.ada.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true })).await.expect(200);
    for (agent, revision) in [(0, 1), (1, 2)] {
        assert_eq!(does(&world, agent, Outcome::Reverted, ControlState::Exposed).await, [revision]);
    }
    assert_eq!(world.status(&number).await, "COMPLETED");
    assert_eq!(told().await, [line("alpha", 1, json!(0)), line("beta", 2, json!(0))]);
});

both_servers!(a_saved_job_does_the_revision_in_force, |server| async move {
    let world = World::ready(server).await;
    let (saved, under_way) = (world.job(&[SAFE]).await, world.job(&[SAFE]).await);
    act(&world, &under_way, "enable").await;
    assert_eq!(orders(&world, 0).await.iter().map(|order| order.entry_revision).collect::<Vec<_>>(), [1]);
    let before = job(&world, &saved).await;
    world.release(1, 2, &[risky(1), safe(2)]).await;

    let after = job(&world, &saved).await;
    assert_eq!((revisions(&before), revisions(&after)), (vec![(SAFE.to_owned(), 1)], vec![(SAFE.to_owned(), 2)]));
    assert_ne!(before["version"], after["version"], "an edit that began before does not overwrite it");
    assert!(world.audit().await.contains("job.renew"));
    // What no order was made for yet takes the new revision too; what is out stays what it is.
    let [order] = orders(&world, 1).await.try_into().expect("one order");
    assert_eq!((order.entry_revision, order.catalogue_min), (2, 2));
    let digest = |revision| protocol::digest::Digest::of(&serde_json::to_vec(&safe(revision)).unwrap()).to_string();
    assert_ne!(digest(1), digest(2));
    assert_eq!(orders(&world, 0).await[0].entry_revision, 1);

    // What fails is tried again with what is in force then, and counts as the same action.
    for (agent, outcome) in [(0, Outcome::Failed), (1, Outcome::Succeeded)] {
        let order = orders(&world, agent).await.remove(0);
        let state = if outcome == Outcome::Failed { ControlState::Exposed } else { ControlState::Effective };
        world.report(agent, &order, said(outcome, state, "did", "")).await;
    }
    assert_eq!(world.status(&under_way).await, "COMPLETED_WITH_FAILURES");
    act(&world, &under_way, "retry").await;
    let [again] = orders(&world, 0).await.try_into().expect("one order");
    assert_eq!(again.entry_revision, 2);
    world.report(0, &again, said(Outcome::Succeeded, ControlState::Effective, "did", "")).await;
    assert_eq!(world.status(&under_way).await, "COMPLETED");
    let report = world.ada.get(&format!("/api/v1/jobs/{under_way}/report")).await.expect(200);
    let lines: Vec<(&Value, &Value)> = report["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (&line["returnCode"], &line["mitigationRevision"]))
        .collect();
    assert_eq!(lines, [(&json!(0), &json!(2)); 2], "{report}");
});

both_servers!(what_is_to_be_approved_is_not_changed_under_anybodys_eyes, |server| async move {
    let world = World::ready(server).await;
    let (number, approval) = world.asked(&[RISKY]).await;
    world.release(1, 2, &[risky(2), safe(1)]).await;
    let sign = format!("/api/v1/approvals/{}/sign", approval["summary"]["id"]);
    let refused = world.ben.post(&sign, &json!({ "envelope": signed(&approval, &[ORG]) })).await;
    assert_eq!(refused.code(), "approval_void", "{}", refused.text);
    assert_eq!(world.status(&number).await, "ENABLED");
    assert_eq!(revisions(&job(&world, &number).await), [(RISKY.to_owned(), 2)]);
    assert!(orders(&world, 0).await.is_empty(), "it waits for the new request");

    // The new one is signed, and then replaced: nothing is done that is not in force.
    let again = world.ben.get(&format!("/api/v1/jobs/{number}/approval")).await.expect(200)["approval"].clone();
    let sign = format!("/api/v1/approvals/{}/sign", again["summary"]["id"]);
    world.ben.post(&sign, &json!({ "envelope": signed(&again, &[ORG]) })).await.expect(200);
    world.release(1, 3, &[risky(3), safe(1)]).await;
    assert!(orders(&world, 0).await.is_empty());
    let tasks = world.tasks(&number).await;
    let told = |task: &Value| task["message"].as_str().unwrap().contains("no longer in force");
    assert!(tasks.iter().any(told), "{tasks:?}");
});

both_servers!(what_was_withdrawn_or_is_past_its_last_day_is_not_done, |server| async move {
    let world = World::ready(server).await;
    let number = world.job(&[SAFE]).await;
    world.release(1, 2, &[risky(1)]).await;
    act(&world, &number, "enable").await;
    assert!(orders(&world, 0).await.is_empty());
    let tasks = world.tasks(&number).await;
    assert!(tasks.iter().any(|task| task["message"].as_str().unwrap().contains("withdrawn")), "{tasks:?}");

    let now = world.server.app().clock.now();
    let mut lapsing = safe(2);
    lapsing.valid_until = Some(now.to_jiff().to_zoned(jiff::tz::TimeZone::UTC).date());
    world.release(1, 3, &[lapsing]).await;
    let offered = async || {
        let all = world.admin.get(&format!("/api/v1/eliminations?qid={QID}")).await.expect(200);
        all["eliminations"].as_array().unwrap().len()
    };
    assert_eq!(offered().await, 1);
    server::engine::catalogue::lapse(world.server.app()).await.unwrap();
    assert_eq!(offered().await, 1, "the last day counts");
    let next: Timestamp = now.plus_seconds(86_400);
    let lapsed = world.server.app().database.write(move |tx| store::catalogue::renewal::lapse(tx, next)).await;
    assert_eq!((lapsed.unwrap(), offered().await), (1, 0));
});

both_servers!(an_entry_waits_for_what_has_to_be_patched_first, |server| async move {
    let world = World::ready(server).await;
    let mut careful = safe(2);
    careful.applies.requires_fixed = vec!["CVE-2024-1111".parse().unwrap()];
    world.release(1, 2, &[risky(1), careful]).await;
    let number = world.job(&[SAFE]).await;
    act(&world, &number, "enable").await;
    assert!(orders(&world, 0).await.is_empty() && orders(&world, 1).await.is_empty());
    let tasks = world.tasks(&number).await;
    let told = |task: &Value| task["message"].as_str().unwrap().contains("only where CVE-2024-1111 is patched");
    assert!(tasks.iter().any(told), "{tasks:?}");

    let closed = world.server.app().database.write(|tx| {
        let other: i64 = tx.insert(
            "INSERT INTO vulnerability (product, key, qid, title, kind, severity, category, cvss3_vector, patchable,
                 threat, impact, solution, disabled, placeholder, digest, run_id)
             VALUES ('qualys', 'x', 77, 'Another', '', 4, '', '', $1, '', '', '', $1, $1, $2, 1) RETURNING id",
            &[&false, &vec![0_u8]],
        )?;
        tx.execute("UPDATE vulnerability_cve SET vulnerability_id = $1 WHERE cve = 'CVE-2024-1111'", &[&other])
    });
    closed.await.unwrap();
    world.look().await;
    act(&world, &number, "retry").await;
    assert_eq!(orders(&world, 0).await.len(), 1, "no open item of this asset has that CVE any more");
});

both_servers!(a_revision_that_needs_approval_is_asked_for_before_its_run_begins, |server| async move {
    let world = World::ready(server).await;
    let draft = world.draft(&[SAFE]).await;
    let version = job(&world, &draft).await["version"].as_i64().unwrap();
    let later = json!({ "schedule": { "when": "once", "at": "2030-01-05T03:00", "zone": "UTC" } });
    let request = world.ada.request(reqwest::Method::PATCH, &format!("/api/v1/jobs/{draft}"));
    world.ada.send(request.header("if-match", format!("\"v{version}\"")).json(&later)).await.expect(200);
    world.ada.post(&format!("/api/v1/jobs/{draft}/save"), &json!({ "enable": true })).await.expect(200);
    let asked = async || world.ben.get(&format!("/api/v1/jobs/{draft}/approval")).await.json["approval"].clone();
    assert!(asked().await.is_null(), "of class 1 nobody is asked");
    let mut risen = safe(2);
    risen.human.risk = catalogue::schema::Risk::High;
    world.release(1, 2, &[risky(1), risen]).await;
    assert_eq!(asked().await["summary"]["state"], "pending", "{}", asked().await);
});
