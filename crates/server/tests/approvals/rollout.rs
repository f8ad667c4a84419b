//! What is approved includes how the run is rolled out: shown, signed, and held to wherever something is about to go on. The one
//! who tampers here writes to the database, as an administrator, another program or an intruder could.

use crate::world::{ORG, RISKY, World, opened, signed};
use domain::rollout::{Apart, Policy, Size};
use domain::time::Timestamp;
use jiff::tz::TimeZone;
use protocol::agent::TaskEpoch;
use protocol::approval::{Manifest, Plan, check};
use protocol::permit::{PermitAnswer, PermitAsk, RESTART_CAPABILITY};
use protocol::signed::Envelope;
use serde_json::{Value, json};
use server::engine::catalogue::order_key;
use server::engine::permits;
use store::Transaction;
use testkit::both_servers;
use testkit::server::Reply;
use uuid::Uuid;

async fn patch(world: &World, number: &str, change: &Value) -> Reply {
    let job = world.ada.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
    let version = job["job"]["version"].as_i64().unwrap();
    let request = world.ada.request(reqwest::Method::PATCH, &format!("/api/v1/jobs/{number}"));
    world.ada.send(request.header("if-match", format!("\"v{version}\"")).json(change)).await
}

async fn act(world: &World, number: &str, act: &str) -> Reply {
    world.admin.post(&format!("/api/v1/jobs/{number}/{act}"), &json!({})).await
}

/// A job of ada's with the risky entry and this change, enabled; with its request.
pub async fn asked(world: &World, change: &Value) -> (String, Value) {
    let number = world.draft(&[RISKY]).await;
    patch(world, &number, change).await.expect(200);
    world.ada.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true })).await.expect(200);
    let approval = newest(world, &number).await;
    (number, approval)
}

pub async fn newest(world: &World, number: &str) -> Value {
    world.ben.get(&format!("/api/v1/jobs/{number}/approval")).await.expect(200)["approval"].clone()
}

pub async fn sign(world: &World, approval: &Value) -> Reply {
    let path = format!("/api/v1/approvals/{}/sign", approval["summary"]["id"]);
    world.ben.post(&path, &json!({ "envelope": signed(approval, &[ORG]) })).await
}

fn plan(approval: &Value) -> Plan {
    let text = approval["plan"].as_str().unwrap();
    let plan = Plan::read(text).unwrap();
    plan.vouches(text, approval["manifest"].as_str().unwrap().as_bytes()).unwrap();
    plan
}

/// The newest run of the job.
async fn newest_run(world: &World, number: &str) -> Value {
    world.admin.get(&format!("/api/v1/jobs/{number}/rollout")).await.expect(200)["runs"][0].clone()
}

pub async fn write<T: Send + 'static>(
    world: &World,
    work: impl FnMut(&mut Transaction<'_>) -> store::Result<T> + Send + 'static,
) -> T {
    world.server.app().database.write(work).await.unwrap()
}

/// Another policy under the newest run of all; gives what was there.
async fn tamper(world: &World, change: impl Fn(&mut Policy) + Send + 'static) -> String {
    write(world, move |tx| {
        let before: String = tx.scalar("SELECT rollout FROM run WHERE id = (SELECT max(id) FROM run)", &[])?;
        let mut policy: Policy = serde_json::from_str(&before).unwrap();
        change(&mut policy);
        let after = serde_json::to_string(&policy).unwrap();
        assert_ne!(before, after);
        tx.execute("UPDATE run SET rollout = $1 WHERE id = (SELECT max(id) FROM run)", &[&after])?;
        Ok(before)
    })
    .await
}

async fn put_back(world: &World, before: String) {
    write(world, move |tx| tx.execute("UPDATE run SET rollout = $1 WHERE id = (SELECT max(id) FROM run)", &[&before]))
        .await;
}

fn code_of(reply: &Reply) -> (u16, &str) {
    (reply.status, reply.code())
}

both_servers!(the_plan_tells_the_rollout_and_the_manifest_holds_it, |server| async move {
    let able = ["approval@2", "permit@1", "file.setting@1", RESTART_CAPABILITY];
    let mut world = World::with(server, 1, &able).await;
    let now = world.server.app().clock.now();
    let civil = now.plus_seconds(86_400).to_jiff().to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M").to_string();
    let at: jiff::civil::DateTime = civil.parse().unwrap();
    let at: Timestamp = at.to_zoned(TimeZone::UTC).unwrap().timestamp().into();
    let rollout = json!({
        "waves": ["1"], "soak_seconds": 600, "max_running": 7, "starts_per_minute": 3, "failures": "1", "failure_percent": 2,
        "definitive_percent": 90, "freshness_hours": 12, "apart_tag": "cluster:", "apart_at_most": 1, "restarts_at_once": 2,
    });
    let schedule = json!({ "when": "once", "at": civil, "zone": "UTC", "window_minutes": 240 });
    let (_, approval) = asked(&world, &json!({ "rollout": rollout, "schedule": schedule })).await;
    let plan = plan(&approval);
    let told = &plan.rollout;
    assert_eq!((told.waves.as_slice(), told.tasks, told.permits), (&[1, 1][..], 2, true));
    assert_eq!((told.soak_seconds, told.definitive_percent, told.freshness_hours), (600, 90, 12));
    assert_eq!((told.failures, told.failure_percent), (1, Some(2)));
    assert_eq!((told.max_running, told.starts_per_minute, told.restarts), (7, Some(3), Some(2)));
    assert_eq!(told.apart, Some(Apart { tag: "cluster:".to_owned(), at_most: 1 }));
    let mut waves: Vec<u32> = plan.assets.iter().map(|asset| asset.wave).collect();
    waves.sort_unstable();
    assert_eq!(waves, [1, 2]);
    // What is signed: an action takes up to five minutes, so the last start is five minutes before the end of the window.
    let manifest = Manifest::read(approval["manifest"].as_str().unwrap().as_bytes()).unwrap();
    let last = at.plus_seconds(235 * 60);
    assert_eq!((manifest.starts.from, manifest.starts.until), (at, last));
    assert!(plan.assets.iter().all(|asset| (asset.due_at, asset.start_by) == (at, Some(last))));
    assert_eq!(manifest.rollout, plan.rollout);

    sign(&world, &approval).await.expect(200);
    let root = world.root().await;
    world.later(86_400).await;
    let mut orders = Vec::new();
    for agent in [0, 1] {
        let offer = world.poll(agent).await;
        let Some(envelope) = offer.approvals.first() else { continue };
        let envelope = Envelope::parse(envelope.as_bytes(), 1_000_000).unwrap();
        orders.extend(offer.orders.iter().map(|order| (opened(order), envelope.clone())));
    }
    // The first wave is one machine; its order keeps to all of it, and one that goes further does not pass.
    let [(order, envelope)] = orders.try_into().expect("one order");
    assert!(order.permit && order.restart && order.not_before >= at && order.not_after <= last, "{order:?}");
    let now = world.server.app().clock.now();
    let passes = |order: &protocol::order::Order| {
        check(&root, order, order.approval.as_ref().unwrap(), Some(&envelope), now)
            .map_err(|fault| fault.code().as_str())
    };
    assert_eq!(passes(&order), Ok(()));
    for (change, code) in [
        (protocol::order::Order { permit: false, ..order.clone() }, "approval_mismatch"),
        (protocol::order::Order { not_after: last.plus_seconds(1), ..order.clone() }, "approval_out_of_time"),
    ] {
        assert_eq!(passes(&change), Err(code));
    }
});

both_servers!(what_changes_of_the_rollout_before_the_signature_is_asked_for_anew, |server| async move {
    let world = World::ready(server).await;
    let (number, mut approval) = asked(&world, &json!({ "rollout": { "waves": ["1"], "soak_seconds": 60 } })).await;
    type Change = fn(&mut Transaction<'_>) -> store::Result<u64>;
    let policy = |change: fn(&mut Policy)| {
        let world = &world;
        async move { drop(tamper(world, change).await) }
    };
    let work = |change: Change| {
        let world = &world;
        async move { assert!(write(world, change).await > 0) }
    };
    for step in 0..6 {
        match step {
            0 => policy(|policy| policy.max_running = 2_000).await,
            1 => policy(|policy| policy.soak_seconds = 0).await,
            2 => policy(|policy| policy.restarts = Some(50)).await,
            // The machines change waves, the time moves, the window opens wider.
            3 => work(|tx| tx.execute("UPDATE task SET wave = 3 - wave WHERE kind = 'apply'", &[])).await,
            4 => work(|tx| tx.execute("UPDATE task SET due_at = due_at + 1000000", &[])).await,
            _ => work(|tx| tx.execute("UPDATE task SET start_by = due_at + 60000000, window_end = due_at", &[])).await,
        }
        let refused = sign(&world, &approval).await;
        assert_eq!(code_of(&refused), (409, "approval_changed"), "{step}: {}", refused.text);
        let next = newest(&world, &number).await;
        assert_ne!(next["summary"]["id"], approval["summary"]["id"], "{step}");
        // What was signed for the old one is worth nothing for the new one.
        let path = format!("/api/v1/approvals/{}/sign", next["summary"]["id"]);
        let old = world.ben.post(&path, &json!({ "envelope": signed(&approval, &[ORG]) })).await;
        assert_eq!(old.json["errors"][0]["code"], "other_manifest", "{step}: {}", old.text);
        approval = next;
    }
    let told = plan(&approval).rollout;
    assert_eq!((told.max_running, told.soak_seconds, told.restarts), (2_000, 0, Some(50)), "the new one tells it");
    sign(&world, &approval).await.expect(200);
});

both_servers!(what_is_asked_anew_is_for_the_same_run_whatever_runs_came_after_it, |server| async move {
    let world = World::ready(server).await;
    let (number, approval) = asked(&world, &json!({})).await;
    // As the next run of a recurring job does, while the one before still waits for its signature.
    write(&world, |tx| {
        tx.execute(
            "INSERT INTO run (job_id, ordinal, state, started_at, ended_at)
             SELECT job_id, ordinal + 1, 'ended', started_at, started_at FROM run WHERE id = (SELECT max(id) FROM run)",
            &[],
        )?;
        tx.execute("UPDATE task SET due_at = due_at + 1000000", &[])
    })
    .await;
    assert_eq!(code_of(&sign(&world, &approval).await), (409, "approval_changed"));
    let next = newest(&world, &number).await;
    assert_ne!(next["summary"]["id"], approval["summary"]["id"]);
    assert_eq!((plan(&approval).run, plan(&next).run), (1, 1));
});

both_servers!(a_run_that_is_not_rolled_out_as_it_was_signed_halts_and_is_not_resumed, |server| async move {
    let world = World::ready(server).await;
    let (number, approval) = asked(&world, &json!({ "rollout": { "waves": ["1"], "soak_seconds": 60 } })).await;
    sign(&world, &approval).await.expect(200);
    type Change = fn(&mut Policy);
    let changes: [(&str, Change); 6] = [
        ("the waves", |policy| policy.waves = vec![Size::Count(2)]),
        ("the gates", |policy| policy.failures = Some(Size::Count(1_000))),
        ("the gates", |policy| policy.soak_seconds = 0),
        ("the limits", |policy| policy.max_running = 100_000),
        ("the restarts", |policy| policy.restarts = Some(50)),
        ("the time that a machine may be away", |policy| policy.freshness_hours = 1),
    ];
    for (what, change) in changes {
        // At work, then halting, then halted.
        world.look().await;
        let before = tamper(&world, change).await;
        for _ in 0..3 {
            world.look().await;
        }
        let halted = newest_run(&world, &number).await;
        assert_eq!((&halted["state"], &halted["halted_by"]), (&json!("halted"), &json!("gate")), "{what}: {halted}");
        assert!(halted["reason"].as_str().unwrap().contains(what), "{what}: {halted}");
        assert!(world.poll(0).await.is_empty() && world.poll(1).await.is_empty(), "{what}");
        let refused = act(&world, &number, "run/resume").await;
        assert_eq!(code_of(&refused), (409, "approval_changed"), "{what}: {}", refused.text);
        let acts = halted["acts"].as_array().unwrap();
        let resume = acts.iter().find(|act| act["act"] == "resume").unwrap();
        assert!(!resume["allowed"].as_bool().unwrap() && resume["reason"].as_str().unwrap().contains(what), "{resume}");
        put_back(&world, before).await;
        act(&world, &number, "run/resume").await.expect(200);
    }
    // Moved into the open wave: seen when a wave is opened, not before.
    write(&world, |tx| tx.execute("UPDATE task SET wave = 1", &[])).await;
    let refused = act(&world, &number, "run/promote").await;
    assert_eq!(code_of(&refused), (409, "approval_changed"), "{}", refused.text);
});

both_servers!(no_permit_is_given_for_other_limits_than_those_that_were_signed, |server| async move {
    let world = World::ready(server).await;
    let (_, approval) = asked(&world, &json!({ "rollout": { "max_running": 1 } })).await;
    sign(&world, &approval).await.expect(200);
    let order = opened(&world.poll(0).await.orders[0]);
    let ask = async || {
        let (app, agent) = (world.server.app(), world.agents[0]);
        let (key, now) = (order_key(app), app.clock.now());
        let asked = PermitAsk { of: TaskEpoch { task: order.task, epoch: order.epoch }, nonce: Uuid::now_v7() };
        let answer = app.database.try_write(move |tx| {
            let agent = store::agents::read(tx, agent)?;
            permits::answer(tx, &agent, &asked, &key, now)
        });
        answer.await.unwrap()
    };
    let before = tamper(&world, |policy| policy.max_running = 2).await;
    let denied = ask().await;
    assert!(matches!(denied, PermitAnswer::Denied { .. }), "{denied:?}");
    put_back(&world, before).await;
    // The loop may have seen it and halted the run meanwhile: a person lets it go on.
    world.look().await;
    world.look().await;
    write(&world, |tx| {
        tx.execute("UPDATE run SET state = 'open', reason = ''", &[])?;
        tx.execute("UPDATE place SET closed = $1", &[&false])
    })
    .await;
    let granted = ask().await;
    assert!(matches!(granted, PermitAnswer::Granted { .. }), "{granted:?}");
});

both_servers!(who_changes_the_request_together_with_the_run_gets_no_order, |server| async move {
    let world = World::ready(server).await;
    for (says, forge) in [
        ("the limits are not those", None),
        ("its approval counts no more", Some(true)),
        ("its approval cannot be read", Some(false)),
    ] {
        let (number, approval) = asked(&world, &json!({})).await;
        sign(&world, &approval).await.expect(200);
        let forged = forge.map(|stranger| if stranger { signed(&approval, &[99]) } else { "{".to_owned() });
        write(&world, move |tx| {
            if let Some(envelope) = &forged {
                return tx.execute(
                    "UPDATE approval SET envelope = $1 WHERE id = (SELECT max(id) FROM approval)",
                    &[envelope],
                );
            }
            let (run, rollout): (String, String) = tx.one(
                "SELECT r.rollout, p.rollout FROM approval p JOIN run r ON r.id = p.run_id
                 WHERE p.id = (SELECT max(id) FROM approval)",
                &[],
            )?;
            let other = |text: &str| text.replace("\"max_running\":1000", "\"max_running\":9999");
            assert!(
                run.contains("\"max_running\":1000") && rollout.contains("\"max_running\":1000"),
                "{run} {rollout}"
            );
            tx.execute("UPDATE run SET rollout = $1 WHERE id = (SELECT max(id) FROM run)", &[&other(&run)])?;
            tx.execute(
                "UPDATE approval SET rollout = $1 WHERE id = (SELECT max(id) FROM approval)",
                &[&other(&rollout)],
            )
        })
        .await;
        for agent in [0, 1] {
            assert!(world.poll(agent).await.orders.is_empty(), "{says}");
        }
        let tasks = world.tasks(&number).await;
        let told = |task: &Value| task["message"].as_str().unwrap().contains(says);
        assert!(tasks.len() == 2 && tasks.iter().all(told), "{says}: {tasks:?}");
        world.look().await;
    }
});

both_servers!(a_wave_is_opened_by_a_person_after_the_signature_only_and_the_audit_says_so, |server| async move {
    let world = World::ready(server).await;
    let (number, approval) = asked(&world, &json!({ "rollout": { "waves": ["1"] } })).await;
    let early = act(&world, &number, "run/promote").await;
    assert_eq!(code_of(&early), (409, "approval_pending"), "{}", early.text);
    assert!(world.poll(0).await.is_empty() && world.poll(1).await.is_empty());
    sign(&world, &approval).await.expect(200);
    let first = world.poll(0).await.orders.len() + world.poll(1).await.orders.len();
    assert_eq!(first, 1, "the first wave");
    act(&world, &number, "run/promote").await.expect(200);
    let root = world.root().await;
    let now = world.server.app().clock.now();
    for agent in [0, 1] {
        let offer = world.poll(agent).await;
        let envelope = Envelope::parse(offer.approvals.first().unwrap().as_bytes(), 1_000_000).unwrap();
        let order = opened(&offer.orders[0]);
        check(&root, &order, order.approval.as_ref().unwrap(), Some(&envelope), now).unwrap();
    }
    // A recorded decision beside the approval, which stays what it is.
    assert_eq!(newest(&world, &number).await["summary"]["state"], "approved");
    let told = write(&world, |tx| {
        tx.one::<(String, Vec<u8>)>("SELECT actor, body FROM audit_entry WHERE action = 'run.promote'", &[])
    })
    .await;
    let body: Value = serde_json::from_slice(&told.1).unwrap();
    assert_eq!((told.0.as_str(), &body["detail"]["approval"]), ("users/admin", &approval["summary"]["id"]), "{body}");
});

both_servers!(an_edit_of_the_rollout_voids_what_was_asked_and_what_was_signed, |server| async move {
    let world = World::ready(server).await;
    let later = json!({ "when": "once", "at": "2030-01-05T03:00", "zone": "UTC" });
    let first = json!({ "schedule": later, "rollout": { "max_running": 1 } });
    let (number, mut approval) = asked(&world, &first).await;
    for (most, was) in [(2, "pending"), (3, "approved")] {
        if was == "approved" {
            sign(&world, &approval).await.expect(200);
        }
        let change = json!({ "rollout": { "max_running": most } });
        let refused = patch(&world, &number, &change).await;
        assert_eq!(refused.status, 409, "nothing is edited under anybody's eyes: {}", refused.text);
        world.ada.post(&format!("/api/v1/jobs/{number}/disable"), &json!({})).await.expect(200);
        patch(&world, &number, &change).await.expect(200);
        world.ada.post(&format!("/api/v1/jobs/{number}/enable"), &json!({})).await.expect(200);
        let old = world.ben.get(&format!("/api/v1/approvals/{}", approval["summary"]["id"])).await.expect(200);
        assert_eq!(old["approval"]["summary"]["state"], "void", "it was {was}");
        let next = newest(&world, &number).await;
        assert_eq!((&next["summary"]["state"], plan(&next).rollout.max_running), (&json!("pending"), most));
        let path = format!("/api/v1/approvals/{}/sign", next["summary"]["id"]);
        let stale = world.ben.post(&path, &json!({ "envelope": signed(&approval, &[ORG]) })).await;
        assert_eq!(stale.json["errors"][0]["code"], "other_manifest", "{}", stale.text);
        approval = next;
    }
});
