//! Dry runs: nothing is changed, nothing counts as started, and the predicted scores are those that then happen.

use crate::world::{ORG, RISKY, SAFE, World, opened, said, signed};
use domain::mitigation::ControlState;
use protocol::agent::Outcome;
use protocol::order::OrderKind;
use serde_json::{Value, json};
use store::tasks::NewTask;
use testkit::both_servers;
use uuid::Uuid;

async fn begun(world: &World, number: &str) -> Value {
    world.ada.post(&format!("/api/v1/jobs/{number}/dry-run"), &json!({})).await.expect(202)["dry_run"].clone()
}

async fn last(world: &World, number: &str) -> Value {
    world.ada.get(&format!("/api/v1/jobs/{number}/dry-run")).await.expect(200)["dry_run"].clone()
}

async fn items(world: &World) -> Vec<(u64, String)> {
    let items = world.admin.get("/api/v1/items?sort=number").await.expect(200);
    let item = |item: &Value| (item["residual"].as_u64().unwrap(), item["mitigation"].as_str().unwrap().to_owned());
    items["items"].as_array().unwrap().iter().map(item).collect()
}

both_servers!(a_dry_run_shows_exact_changes_and_what_really_happens_then, |server| async move {
    let world = World::ready(server).await;
    let number = world.job(&[RISKY, SAFE]).await;
    let before = items(&world).await;
    let run = begun(&world, &number).await;
    assert_eq!(run["answers"].as_array().unwrap().len(), 4);
    assert!(run["ended_at"].is_null());
    // Risky or not: plan orders need no approval, and can change nothing.
    for agent in 0..2 {
        let offer = world.poll(agent).await;
        assert_eq!((offer.orders.len(), offer.approvals.len()), (2, 0));
        for envelope in &offer.orders {
            let order = opened(envelope);
            assert_eq!((order.kind, order.dry_run, order.approval.is_none()), (OrderKind::Plan, true, true));
            // On the second machine the safe one is in place already, as it says of itself.
            let there = agent == 1 && order.entry_id == SAFE;
            let report = if there {
                said(Outcome::Reported, ControlState::Effective, "already_present", "")
            } else {
                said(Outcome::Reported, ControlState::Exposed, "planned", "--- /etc/x\n+++ /etc/x\n-k = old\n+k = v\n")
            };
            world.report(agent, &order, report).await;
        }
    }
    let run = last(&world, &number).await;
    assert!(run["ended_at"].is_string() && run["outdated"] == false, "{run}");
    let answers = run["answers"].as_array().unwrap();
    let verdicts: Vec<&str> = answers.iter().map(|answer| answer["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["changes", "changes", "changes", "in_place"]);
    assert!(answers[0]["changes"][0]["diff"].as_str().unwrap().contains("+k = v"));
    assert_eq!(
        (answers[0]["changes"][0]["before"].as_str(), answers[0]["changes"][0]["after"].as_str()),
        (Some("(absent)"), Some("v"))
    );
    let score = run["score"].clone();
    assert_eq!((&score["before"], &score["after"], &score["mitigated"]), (&json!(180), &json!(120), &json!(2)));
    // Nothing of it happened: no control, no score, no start, no end, no task of the job.
    assert_eq!(items(&world).await, before);
    for asset in &world.assets {
        let controls = world.admin.get(&format!("/api/v1/assets/{}/controls", asset.0)).await;
        assert!(
            controls.status == 404 || controls.json["controls"].as_array().is_none_or(Vec::is_empty),
            "{}",
            controls.text
        );
    }
    let job = world.admin.get(&format!("/api/v1/jobs/{number}")).await.expect(200)["job"]["summary"].clone();
    assert!(job["started_at"].is_null() && job["ended_at"].is_null() && job["status"] == "DISABLED", "{job}");
    assert_eq!(job["tasks"]["total"], 0);
    assert!(world.tasks(&number).await.is_empty());

    // Now for real, all succeeding: the scores are the predicted ones.
    world.ada.post(&format!("/api/v1/jobs/{number}/enable"), &json!({})).await.expect(200);
    let approval = world.ben.get(&format!("/api/v1/jobs/{number}/approval")).await.expect(200)["approval"].clone();
    let sign = format!("/api/v1/approvals/{}/sign", approval["summary"]["id"]);
    let good = json!({ "envelope": signed(&approval, &[ORG]) });
    world.ben.post(&sign, &good).await.expect(200);
    for agent in 0..2 {
        for envelope in &world.poll(agent).await.orders {
            let order = opened(envelope);
            let report = said(Outcome::Succeeded, ControlState::Effective, "changed", "");
            world.report(agent, &order, report).await;
        }
    }
    let after = items(&world).await;
    assert_eq!(after.iter().map(|(score, _)| score).sum::<u64>(), score["after"].as_u64().unwrap());
    assert_eq!(
        after.iter().filter(|(_, word)| word == "mitigated").count() as u64,
        score["mitigated"].as_u64().unwrap()
    );
    assert_eq!(world.status(&number).await, "COMPLETED");
    let again = world.ada.post(&format!("/api/v1/jobs/{number}/dry-run"), &json!({})).await;
    assert_eq!(again.code(), "job_ended", "{}", again.text);
});

both_servers!(a_dry_run_of_a_draft_counts_what_would_fail_and_goes_out_of_date, |server| async move {
    let world = World::ready(server).await;
    let number = world.draft(&[RISKY]).await;
    assert!(last(&world, &number).await.is_null());
    let refused = world.ben.post(&format!("/api/v1/jobs/{number}/dry-run"), &json!({})).await;
    assert_eq!(refused.code(), "not_yours", "{}", refused.text);
    begun(&world, &number).await;
    let mut failing = said(Outcome::Reported, ControlState::Exposed, "planned", "");
    failing.actions.clear();
    failing.message = "it cannot be applied: /etc/x is a link".to_owned();
    let order = opened(&world.poll(0).await.orders[0]);
    world.report(0, &order, failing).await;
    let order = opened(&world.poll(1).await.orders[0]);
    world.report(1, &order, said(Outcome::NotApplicable, ControlState::NotApplicable, "checked", "")).await;
    let run = last(&world, &number).await;
    let verdicts: Vec<&str> =
        run["answers"].as_array().unwrap().iter().map(|answer| answer["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["would_fail", "not_applicable"]);
    assert!(run["answers"][0]["message"].as_str().unwrap().contains("is a link"));
    assert_eq!(run["score"]["items"], 0, "what does not succeed promises nothing");
    // One machine fewer: what was said is said of another job.
    let job = world.ada.get(&format!("/api/v1/jobs/{number}")).await.expect(200)["job"].clone();
    let request = world.ada.request(reqwest::Method::PATCH, &format!("/api/v1/jobs/{number}"));
    let tag = format!("\"v{}\"", job["version"]);
    let only = json!({ "assets": [world.assets[0].0] });
    world.ada.send(request.header("if-match", tag).json(&only)).await.expect(200);
    assert_eq!(last(&world, &number).await["outdated"], true);
});

both_servers!(a_dry_run_ends_without_agents_and_a_newer_one_takes_its_place, |server| async move {
    let mut world = World::ready(server).await;
    let number = world.job(&[RISKY]).await;
    begun(&world, &number).await;
    world.look().await;
    let second = begun(&world, &number).await;
    assert!(second["ended_at"].is_null());
    world.later(3_700).await;
    let over = last(&world, &number).await;
    assert!(over["ended_at"].is_string(), "{over}");
    let verdicts: Vec<&str> =
        over["answers"].as_array().unwrap().iter().map(|answer| answer["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["no_answer", "no_answer"]);
    assert!(world.poll(0).await.is_empty(), "nothing of it is left to do");
    assert_eq!(world.status(&number).await, "DISABLED");
});

both_servers!(a_dry_run_on_thousands_of_machines_is_told_whole, |server| async move {
    const MACHINES: i64 = 5_000;
    let world = World::ready(server).await;
    let number = world.draft(&[RISKY, SAFE]).await;
    let ordinal: i64 = number.trim_start_matches("MJ").parse().unwrap();
    let database = &world.server.app().database;
    let more = database.write(move |tx| {
        tx.execute(
            "WITH RECURSIVE number (n) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM number WHERE n < $1)
             INSERT INTO asset (name, platform, os, ip, fqdn, netbios, network_id, criticality, zone, macs, created_at,
                 last_seen_at)
             SELECT 'crowd-' || CAST(n AS TEXT), 'linux', '', '', '', '', '', 3, '', '', 0, 0 FROM number",
            &[&MACHINES],
        )?;
        tx.execute(
            "INSERT INTO vulnerable_item (number, vulnerability_id, asset_id, instance_id, state, substate, mitigation,
                 inherent, residual, score_source, group_name, reopened, opened_at, updated_at, run_id)
             SELECT 1000 + a.id, i.vulnerability_id, a.id, i.instance_id, i.state, i.substate, i.mitigation, i.inherent,
                 i.residual, i.score_source, i.group_name, i.reopened, i.opened_at, i.updated_at, i.run_id
             FROM asset a JOIN vulnerable_item i ON i.number = 1 WHERE a.name LIKE 'crowd-%'",
            &[],
        )?;
        tx.execute(
            "INSERT INTO job_target (job_id, asset_id, vulnerability_id)
             SELECT j.id, a.id, i.vulnerability_id
             FROM job j JOIN asset a ON a.name LIKE 'crowd-%' JOIN vulnerable_item i ON i.asset_id = a.id
             WHERE j.number = $1",
            &[&ordinal],
        )
    });
    more.await.unwrap();
    // Begun and answered in one transaction, before the server's own loop finds machines without an agent.
    let report = said(Outcome::Reported, ControlState::Exposed, "planned", "");
    let (report, now) = (serde_json::to_string(&report).unwrap(), world.server.app().clock.now());
    let say = database.write(move |tx| {
        let job = store::jobs::by_number(tx, ordinal)?.expect("the draft").id;
        let run_id = store::dry_runs::begin(tx, job, now)?;
        let task = |(asset_id, entry_key)| NewTask {
            uuid: Uuid::now_v7(),
            run_id,
            job_id: job,
            asset_id,
            agent_key: None,
            entry_key,
            wave: 1,
            kind: "plan".to_owned(),
            due_at: now,
            zone: "UTC".to_owned(),
            window_end: None,
            start_by: None,
        };
        let made: Vec<NewTask> = store::tasks::pairs(tx, job)?.into_iter().map(task).collect();
        store::tasks::create(tx, &made, now)?;
        tx.execute("UPDATE task SET state = 'unchanged', code = 33, report = $1 WHERE kind = 'plan'", &[&report])
    });
    assert_eq!(say.await.unwrap(), 10_004);
    let run = last(&world, &number).await;
    let answers = run["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 10_004);
    assert!(answers.iter().all(|answer| answer["verdict"] == "changes"));
    let names: Vec<&str> = answers.iter().map(|answer| answer["asset_name"].as_str().unwrap()).collect();
    assert!(names.is_sorted(), "by asset, over all pages");
    assert_eq!(run["outdated"], false);
    let score = &run["score"];
    assert_eq!(
        (&score["before"], &score["after"], &score["mitigated"]),
        (&json!(5_002 * 90), &json!(5_002 * 60), &json!(5_002))
    );
});
