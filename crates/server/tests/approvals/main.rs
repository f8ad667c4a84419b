//! Approval by a second person and dry runs over real HTTP, on both databases; the orders that follow are held to the very
//! check that agents make.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

mod database;
mod dry_run;
mod list;
mod pages;
mod renewal;
mod rollback;
mod rollout;
mod roots;
mod waiting;
mod world;

use protocol::approval::{Plan, check};
use protocol::order::OrderKind;
use protocol::signed::Envelope;
use serde_json::json;
use testkit::both_servers;
use world::{CONTENT, ORG, ORG2, RISKY, ROOT, SAFE, World, opened, signed};

both_servers!(a_risky_run_waits_for_a_second_person_and_its_orders_keep_to_what_was_signed, |server| async move {
    let world = World::ready(server).await;
    let (number, approval) = world.asked(&[RISKY, SAFE]).await;
    let id = approval["summary"]["id"].as_i64().unwrap();
    // Enabled, and nothing is handed out.
    assert_eq!(world.status(&number).await, "ENABLED");
    assert!(world.poll(0).await.is_empty());
    assert!(world.tasks(&number).await.iter().all(|task| task["state"] == "pending"));
    // The plan is the one of its manifest and tells everything.
    let text = approval["plan"].as_str().unwrap();
    let plan = Plan::read(text).unwrap();
    plan.vouches(text, approval["manifest"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(plan.requested_by, "ada");
    assert_eq!(plan.assets.iter().map(|asset| asset.name.as_str()).collect::<Vec<_>>(), ["alpha", "beta"]);
    assert_eq!(
        plan.entries.iter().map(|entry| (entry.id.as_str(), entry.class)).collect::<Vec<_>>(),
        [(RISKY, 2), (SAFE, 1)]
    );
    assert_eq!((plan.score.items, plan.score.before, plan.score.after, plan.score.mitigated), (2, 180, 120, 2));

    // Who asked does not decide, who only looks may not, who has no key cannot.
    let sign = format!("/api/v1/approvals/{id}/sign");
    let good = json!({ "envelope": signed(&approval, &[ORG]) });
    assert_eq!(world.ada.post(&sign, &good).await.code(), "approval_own");
    assert_eq!(world.rita.post(&sign, &good).await.code(), "role_missing");
    for (keys, code) in [
        (&[ROOT][..], "bad_signature"),
        (&[CONTENT], "bad_signature"),
        (&[99], "bad_signature"),
        (&[], "bad_signature"),
    ] {
        let reply = world.ben.post(&sign, &json!({ "envelope": signed(&approval, keys) })).await;
        assert_eq!((reply.status, reply.json["errors"][0]["code"].as_str().unwrap()), (422, code), "{keys:?}");
    }
    let mut other = approval.clone();
    other["manifest"] = json!(approval["manifest"].as_str().unwrap().replace("\"run\":1", "\"run\":2"));
    let reply = world.ben.post(&sign, &json!({ "envelope": signed(&other, &[ORG]) })).await;
    assert_eq!(reply.json["errors"][0]["code"], "other_manifest", "{}", reply.text);
    assert!(world.poll(0).await.is_empty(), "nothing of that let it go on");

    let approved = world.ben.post(&sign, &good).await.expect(200);
    assert_eq!(approved["approval"]["summary"]["state"], "approved");
    assert_eq!(approved["approval"]["summary"]["decided_by"], "ben");
    assert_eq!(world.ben.post(&sign, &good).await.code(), "approval_decided");
    let audit = world.audit().await;
    for word in ["approval.ask", "approval.sign", "users/ben"] {
        assert!(audit.contains(word), "{word}");
    }

    // Every order passes the agent's own check, on both machines, now and when it is sent again.
    let root = world.root().await;
    let now = world.server.app().clock.now();
    for agent in 0..2 {
        for _ in 0..2 {
            let offer = world.poll(agent).await;
            assert_eq!((offer.orders.len(), offer.approvals.len()), (2, 1));
            let envelope = Envelope::parse(offer.approvals.first().unwrap().as_bytes(), 1_000_000).unwrap();
            for order in &offer.orders {
                let order = opened(order);
                assert_eq!(order.kind, OrderKind::Apply);
                check(&root, &order, order.approval.as_ref().unwrap(), Some(&envelope), now).unwrap();
            }
        }
    }
});

both_servers!(a_harmless_run_asks_nobody_and_the_policy_can_only_be_lowered, |server| async move {
    let world = World::ready(server).await;
    let number = world.job(&[SAFE]).await;
    world.ada.post(&format!("/api/v1/jobs/{number}/enable"), &json!({})).await.expect(200);
    assert_eq!(world.ben.get(&format!("/api/v1/jobs/{number}/approval")).await.status, 404);
    let offer = world.poll(0).await;
    assert_eq!((offer.orders.len(), offer.approvals.len()), (1, 0));
    assert_eq!(opened(&offer.orders[0]).approval, None);

    let policy = "/api/v1/approvals/policy";
    assert_eq!(world.admin.get(policy).await.expect(200)["from_class"], 2);
    assert_eq!(world.ada.put(policy, &json!({ "from_class": 1 })).await.code(), "role_missing");
    for class in [0, 3, 4] {
        let reply = world.admin.put(policy, &json!({ "from_class": class })).await;
        assert_eq!(reply.json["errors"][0]["code"], "bad_class", "{class}: {}", reply.text);
    }
    world.admin.put(policy, &json!({ "from_class": 1 })).await.expect(200);
    let (number, approval) = world.asked(&[SAFE]).await;
    assert_eq!(approval["summary"]["class"], 1);
    let _ = number;
});

both_servers!(a_rejection_with_its_reason_disables_the_job, |server| async move {
    let world = World::ready(server).await;
    let (number, approval) = world.asked(&[RISKY]).await;
    let reject = format!("/api/v1/approvals/{}/reject", approval["summary"]["id"]);
    assert_eq!(world.ada.post(&reject, &json!({ "reason": "no" })).await.code(), "approval_own");
    assert_eq!(world.rita.post(&reject, &json!({ "reason": "no" })).await.code(), "role_missing");
    let mute = world.ben.post(&reject, &json!({ "reason": "  " })).await;
    assert_eq!(mute.json["errors"][0]["code"], "reason_missing", "{}", mute.text);
    let done = world.ben.post(&reject, &json!({ "reason": "not before the audit" })).await.expect(200);
    assert_eq!(done["approval"]["summary"]["state"], "rejected");
    assert_eq!(done["approval"]["summary"]["reason"], "not before the audit");
    assert_eq!(world.status(&number).await, "DISABLED");
    assert!(world.tasks(&number).await.is_empty() && world.poll(0).await.is_empty());
    assert!(world.audit().await.contains("not before the audit"));
    // What was signed for the rejected request is worth nothing for the next one.
    world.ada.post(&format!("/api/v1/jobs/{number}/enable"), &json!({})).await.expect(200);
    let next = world.ben.get(&format!("/api/v1/jobs/{number}/approval")).await.expect(200)["approval"].clone();
    assert_ne!(next["summary"]["id"], approval["summary"]["id"]);
    assert_eq!(next["summary"]["state"], "pending");
});

both_servers!(two_keys_are_needed_where_the_root_says_two, |server| async move {
    let world = World::with(server, 2, &["approval@2", "permit@1", "file.setting@1"]).await;
    let (_, approval) = world.asked(&[RISKY]).await;
    let sign = format!("/api/v1/approvals/{}/sign", approval["summary"]["id"]);
    for _ in 0..2 {
        let once = world.ben.post(&sign, &json!({ "envelope": signed(&approval, &[ORG]) })).await.expect(200);
        assert_eq!(once["approval"]["summary"]["state"], "pending");
        assert_eq!(once["approval"]["summary"]["signatures"], 1, "the same key twice is one");
        assert!(world.poll(0).await.is_empty());
    }
    let both = world.admin.post(&sign, &json!({ "envelope": signed(&approval, &[ORG2]) })).await.expect(200);
    assert_eq!(both["approval"]["summary"]["state"], "approved");
    assert_eq!(world.poll(0).await.orders.len(), 1);
});

both_servers!(what_changes_after_the_plan_voids_it, |server| async move {
    let world = World::ready(server).await;
    let (number, approval) = world.asked(&[RISKY]).await;
    let sign = format!("/api/v1/approvals/{}/sign", approval["summary"]["id"]);
    // A machine is enrolled anew: another installation than the one in the plan.
    let agent = world.agents[1];
    let replace = world.server.app().database.write(move |tx| {
        tx.execute("UPDATE agent SET instance_id = $2 WHERE id = $1", &[&agent, &uuid::Uuid::now_v7()])
    });
    replace.await.unwrap();
    let reply = world.ben.post(&sign, &json!({ "envelope": signed(&approval, &[ORG]) })).await;
    assert_eq!(reply.code(), "approval_changed", "{}", reply.text);
    let next = world.ben.get(&format!("/api/v1/jobs/{number}/approval")).await.expect(200)["approval"].clone();
    assert_ne!(next["summary"]["id"], approval["summary"]["id"], "the new request asks for what it is now");
    let old = world.ben.get(&format!("/api/v1/approvals/{}", approval["summary"]["id"])).await.expect(200);
    assert_eq!(old["approval"]["summary"]["state"], "void");
    assert_eq!(world.ben.post(&sign, &json!({ "envelope": signed(&approval, &[ORG]) })).await.code(), "approval_void");
    let sign = format!("/api/v1/approvals/{}/sign", next["summary"]["id"]);
    world.ben.post(&sign, &json!({ "envelope": signed(&next, &[ORG]) })).await.expect(200);
    assert_eq!(world.poll(1).await.orders.len(), 1);

    // One that is enrolled anew after the approval gets no order, and says why.
    let agent = world.agents[0];
    let replace = world.server.app().database.write(move |tx| {
        tx.execute("UPDATE agent SET instance_id = $2 WHERE id = $1", &[&agent, &uuid::Uuid::now_v7()])
    });
    replace.await.unwrap();
    assert!(world.poll(0).await.orders.is_empty());
    let tasks = world.tasks(&number).await;
    assert!(tasks.iter().any(|t| t["message"].as_str().unwrap().contains("after the plan was approved")), "{tasks:?}");
});

both_servers!(disabling_withdraws_the_request_and_time_ends_it, |server| async move {
    let mut world = World::ready(server).await;
    let (number, approval) = world.asked(&[RISKY]).await;
    world.ada.post(&format!("/api/v1/jobs/{number}/disable"), &json!({})).await.expect(200);
    let old = world.ben.get(&format!("/api/v1/approvals/{}", approval["summary"]["id"])).await.expect(200);
    assert_eq!(old["approval"]["summary"]["state"], "void");
    world.ada.post(&format!("/api/v1/jobs/{number}/enable"), &json!({})).await.expect(200);
    world.later(7 * 86_400 + 60).await;
    let late = world.ben.get(&format!("/api/v1/jobs/{number}/approval")).await.expect(200)["approval"].clone();
    assert_eq!(late["summary"]["state"], "expired");
    assert_eq!(world.status(&number).await, "DISABLED");
    let sign = format!("/api/v1/approvals/{}/sign", late["summary"]["id"]);
    assert_eq!(world.ben.post(&sign, &json!({ "envelope": signed(&late, &[ORG]) })).await.code(), "approval_expired");
});

both_servers!(who_sees_a_part_of_the_machines_does_not_see_the_plan, |server| async move {
    let world = World::ready(server).await;
    let alpha = world.assets[0];
    world.admin.patch(&format!("/api/v1/assets/{}", alpha.0), &json!({ "tags": ["prod"] })).await.expect(200);
    let scoped = |name: &'static str, tag: &'static str| {
        let world = &world;
        async move {
            let client = world.server.user(name, &["job_author"]).await;
            let change = json!({ "scope": { "tags": [tag] } });
            world.admin.patch(&format!("/api/v1/users/{name}"), &change).await.expect(200);
            client
        }
    };
    let (part, nothing) = (scoped("pam", "prod").await, scoped("lea", "lab").await);
    let (_, approval) = world.asked(&[RISKY]).await;
    let id = approval["summary"]["id"].as_i64().unwrap();
    let (show, sign) = (format!("/api/v1/approvals/{id}"), format!("/api/v1/approvals/{id}/sign"));
    let good = json!({ "envelope": signed(&approval, &[ORG]) });
    for (client, listed, status) in [(&part, 1, 403), (&nothing, 0, 404)] {
        let list = client.get("/api/v1/approvals").await.expect(200);
        assert_eq!(list["approvals"].as_array().unwrap().len(), listed);
        assert_eq!(client.get(&show).await.status, status);
        assert_eq!(client.post(&sign, &good).await.status, status);
    }
});
