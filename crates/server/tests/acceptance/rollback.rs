//! Rolling back a job, and one mitigation: what is taken back is what was meant, all of it and nothing else.

use crate::hands::{act, draft, in_place, over, patch, program, ready, report, running, said, tag};
use crate::world::{World, admin_browser, browser, gist};
use domain::asset::{Identity, Platform};
use domain::id::{AssetId, JobId, TaskId};
use domain::mitigation::{ControlState, Origin};
use protocol::agent::{Facts, Outcome};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use store::agents::{self, NewAgent};
use store::controls::{self, Report};
use testkit::both_servers;
use testkit::server::{Client, Reply, USER_PASSWORD};
use uuid::Uuid;

async fn back(client: &Client, number: &str) -> Reply {
    act(client, number, "rollback").await
}

fn number(made: &Value) -> String {
    made["job"]["summary"]["number"].as_str().unwrap().to_owned()
}

/// The entries of a job's actions, each once.
fn entries(made: &Value) -> Vec<String> {
    let actions = made["job"]["actions"].as_array().unwrap();
    let mut entries: Vec<String> = actions.iter().map(|action| action["entry"].as_str().unwrap().to_owned()).collect();
    entries.sort();
    entries.dedup();
    entries
}

fn assets(made: &Value) -> Vec<i64> {
    let mut keys: Vec<i64> =
        made["job"]["assets"].as_array().unwrap().iter().map(|asset| asset["id"].as_i64().unwrap()).collect();
    keys.sort_unstable();
    keys
}

/// Let another entry that nobody has to approve cover a QID, too; gives it.
async fn another(world: &World, qid: i64, than: &str) -> String {
    let entries = catalogue::embedded::entries().expect("the built-in entries are whole");
    let harmless: BTreeSet<String> =
        entries.into_iter().filter(|entry| !entry.needs_approval()).map(|entry| entry.id.to_string()).collect();
    let than = than.to_owned();
    let write = world.server.app().database.write(move |tx| {
        let offered: Vec<(i64, String)> = tx.all(
            "SELECT e.id, e.entry FROM catalogue_entry e
             WHERE e.platform = 'linux' AND e.implication = 'mitigation' AND e.current AND e.requires_fixed = ''
               AND e.entry <> $1
               AND NOT EXISTS (SELECT 1 FROM catalogue_cve k WHERE k.entry_key = e.id
                               AND (k.qid = $2 OR k.cve IN (SELECT w.cve FROM vulnerability_cve w
                                                            JOIN vulnerability v ON v.id = w.vulnerability_id
                                                            WHERE v.qid = $2)))
             ORDER BY e.id",
            &[&than, &qid],
        )?;
        let (key, entry) = offered.into_iter().find(|(_, entry)| harmless.contains(entry)).expect("another entry");
        tx.execute(
            "INSERT INTO catalogue_cve (entry_key, cve, qid, coverage, points) VALUES ($1, '', $2, 'partial', 1)",
            &[&key, &qid],
        )?;
        Ok(entry)
    });
    write.await.unwrap()
}

/// A job that puts this entry in place on an asset, done.
async fn put(world: &World, qid: i64, asset: i64, entry: &str) -> String {
    let new = json!({ "vulnerabilities": [{ "qid": qid, "assets": [asset] }], "entries": [entry] });
    let number = number(&world.admin.post("/api/v1/jobs", &new).await.expect(201));
    world.admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true })).await.expect(200);
    ready(&world.server, 1).await;
    report(&world.server, asset, &in_place()).await;
    over(&world.admin, &number).await;
    number
}

/// A job that put its entry in place on all of its assets: its number, QID, assets and entry.
async fn done(world: &World) -> (String, i64, Vec<i64>, String) {
    let (number, qid, all) = running(world).await;
    for asset in &all {
        report(&world.server, *asset, &in_place()).await;
    }
    over(&world.admin, &number).await;
    let shown = world.admin.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
    (number, qid, all, entries(&shown).remove(0))
}

both_servers!(a_job_is_rolled_back_by_what_it_put_in_place_and_nothing_else, |server| async move {
    let world = World::ready(server).await;
    let (first, qid, all, one) = done(&world).await;
    let other = another(&world, qid, &one).await;
    let second = put(&world, qid, all[0], &other).await;

    // Each takes back its own; by QID everything is taken back.
    let made = back(&world.admin, &first).await.expect(201);
    let summary = &made["job"]["summary"];
    assert_eq!((&summary["kind"], &summary["status"]), (&json!("rollback"), &json!("DRAFT")));
    assert_eq!((entries(&made), assets(&made).len()), (vec![one.clone()], all.len()), "{made}");
    assert!(summary["title"].as_str().unwrap().starts_with(&format!("Roll back {first}: ")), "{summary}");
    assert!(!made["job"]["description"].as_str().unwrap().contains("Left out"), "{made}");
    let of_second = back(&world.admin, &second).await.expect(201);
    assert_eq!((entries(&of_second), assets(&of_second)), (vec![other.clone()], vec![all[0]]));
    let by_qid = json!({ "kind": "rollback", "vulnerabilities": [{ "qid": qid }] });
    let by_qid = world.admin.post("/api/v1/jobs", &by_qid).await.expect(201);
    assert_eq!(entries(&by_qid).len(), 2, "{by_qid}");

    // Nothing is added to a rollback; and there is no way back from a draft or a rollback.
    let more = patch(&world.admin, &number(&made), &json!({ "actions": [{ "qid": qid, "entry": other }] })).await;
    assert_eq!((more.status, more.code()), (409, "actions_only_removed"), "{}", more.text);
    assert_eq!(back(&world.admin, &number(&made)).await.code(), "job_is_rollback");
    let draft = draft(&world.admin, qid, &all[..1]).await;
    assert_eq!(back(&world.admin, &draft).await.code(), "job_is_draft");
    assert_eq!(back(&world.admin, "MJ0999999").await.status, 404);

    // Done, nothing of the first is left; of the second everything.
    let rollback = number(&made);
    world.admin.post(&format!("/api/v1/jobs/{rollback}/save"), &json!({ "enable": true })).await.expect(200);
    ready(&world.server, i64::try_from(all.len()).unwrap()).await;
    for asset in &all {
        report(&world.server, *asset, &said(Outcome::Reverted, ControlState::Exposed, Some(Origin::Ours))).await;
    }
    over(&world.admin, &rollback).await;
    let nothing = back(&world.admin, &first).await;
    assert_eq!((nothing.status, nothing.code()), (409, "nothing_to_roll_back"), "{}", nothing.text);
    assert_eq!(entries(&back(&world.admin, &second).await.expect(201)), vec![other]);
    // Put there again by another job, it is the other's.
    let third = put(&world, qid, all[0], &one).await;
    assert_eq!(back(&world.admin, &first).await.code(), "nothing_to_roll_back");
    assert_eq!(assets(&back(&world.admin, &third).await.expect(201)), vec![all[0]]);
});

both_servers!(a_rollback_works_on_no_entry_where_it_was_not_put, |server| async move {
    let world = World::ready(server).await;
    let (_, qid, all, one) = done(&world).await;
    let other = another(&world, qid, &one).await;
    put(&world, qid, all[0], &other).await;
    // Two entries for one QID, of which the second is on the first asset only; a copy of the draft knows it, too.
    let by_qid = json!({ "kind": "rollback", "vulnerabilities": [{ "qid": qid }] });
    let made = world.admin.post("/api/v1/jobs", &by_qid).await.expect(201);
    let copy = act(&world.admin, &number(&made), "clone").await.expect(201);
    for rollback in [number(&made), number(&copy)] {
        world.admin.post(&format!("/api/v1/jobs/{rollback}/save"), &json!({ "enable": true })).await.expect(200);
        let tasks = world.admin.get(&format!("/api/v1/jobs/{rollback}/tasks")).await.expect(200);
        let mut pairs: Vec<(i64, String)> = tasks["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|task| (task["asset"].as_i64().unwrap(), task["entry"].as_str().unwrap().to_owned()))
            .collect();
        pairs.sort();
        let mut expected: Vec<(i64, String)> = all.iter().map(|asset| (*asset, one.clone())).collect();
        expected.push((all[0], other.clone()));
        expected.sort();
        assert_eq!(pairs, expected, "{rollback}");
    }
});

both_servers!(one_mitigation_is_rolled_back_on_its_asset_and_no_other_entry, |server| async move {
    let world = World::ready(server).await;
    let (_, qid, all, one) = done(&world).await;
    let other = another(&world, qid, &one).await;
    put(&world, qid, all[0], &other).await;
    let me = admin_browser(&world.server).await;
    let page = me.page(&format!("/assets/{}", all[0])).await.replace("&#38;", "&").replace("&amp;", "&");
    for entry in [&one, &other] {
        let address = page
            .split('"')
            .find(|text| text.starts_with("/jobs/new?") && text.contains(&format!("entry={entry}&")))
            .unwrap_or_else(|| panic!("a way back for {entry}: {}", gist(&page)));
        assert!(address.contains("kind=rollback"), "{address}");
        let basic = me.leads(address, &[]).await;
        let made = world.admin.get(&format!("/api/v1{}", basic.trim_end_matches("/edit/basic"))).await.expect(200);
        assert_eq!((entries(&made), assets(&made)), (vec![entry.clone()], vec![all[0]]));
    }
});

both_servers!(a_rollback_reaches_no_further_than_the_scope_of_who_makes_it, |server| async move {
    let world = World::ready(server).await;
    let (first, _, all) = running(&world).await;
    for asset in &all {
        report(&world.server, *asset, &in_place()).await;
    }
    over(&world.admin, &first).await;
    tag(&world, all[0], &["prod"]).await;
    let jobs: &[&str] = &["read", "jobs"];
    let reader = program(&world, "rae", &["job_reader"], None, jobs).await;
    let part = program(&world, "pat", &["job_author"], Some(&["prod"]), jobs).await;
    let blind = program(&world, "bo", &["job_author"], Some(&["none"]), jobs).await;
    let author = program(&world, "ann", &["job_author"], None, jobs).await;
    assert_eq!(back(&reader, &first).await.status, 403, "looking is not enough");
    assert_eq!(back(&blind, &first).await.status, 404, "to whom the job is hidden, it stays hidden");
    // It need not be one's own job: the draft is.
    let made = back(&author, &first).await.expect(201);
    assert_eq!((&made["job"]["summary"]["owner"], assets(&made).len()), (&json!("ann"), all.len()));
    let made = back(&part, &first).await.expect(201);
    assert_eq!(assets(&made), vec![all[0]]);
    let said = made["job"]["description"].as_str().unwrap();
    let rest = all.len() - 1;
    let rest = if rest == 1 { "1 asset".to_owned() } else { format!("{rest} assets") };
    assert!(said.contains(&format!("Left out: {rest} outside the asset scope")), "{said}");

    // Where no agent is left nothing can be taken back, which is said.
    let asset = all[0];
    let revoke = world
        .server
        .app()
        .database
        .write(move |tx| tx.execute("UPDATE agent SET revoked_at = last_seen_at WHERE asset_id = $1", &[&asset]));
    revoke.await.unwrap();
    let made = back(&author, &first).await.expect(201);
    assert!(!assets(&made).contains(&asset), "{made}");
    assert!(made["job"]["description"].as_str().unwrap().contains("1 asset without an agent"), "{made}");
    let none = back(&part, &first).await;
    assert_eq!((none.status, none.code()), (409, "no_assets"), "{}", none.text);
});

both_servers!(whether_something_is_in_force_out_of_scope_is_not_told, |server| async move {
    let world = World::ready(server).await;
    let (first, qid, all) = running(&world).await;
    let (unseen, seen) = (all[0], all[1]);
    tag(&world, seen, &["seen"]).await;
    world.server.user("part", &["job_author"]).await;
    world.admin.patch("/api/v1/users/part", &json!({ "scope": { "tags": ["seen"] } })).await.expect(200);
    let (me, part) = (admin_browser(&world.server).await, browser(&world.server, "part", USER_PASSWORD).await);
    let list = format!("/eliminations?q=qid:{qid}");
    let (with, there) = (format!("{list}&asset={unseen},{seen}"), format!("{list}&asset={unseen}"));
    let nothing = "no mitigation of ours is in force for it";
    let before = part.page(&there).await.contains(nothing);
    report(&world.server, unseen, &in_place()).await;
    for asset in &all[1..] {
        report(&world.server, *asset, &said(Outcome::Failed, ControlState::Exposed, None)).await;
    }
    over(&world.admin, &first).await;
    for address in [&list, &with, &there] {
        let page = me.page(address).await;
        assert!(page.contains("Roll back") && !page.contains(nothing), "{address}: {}", gist(&page));
    }
    for address in [&list, &with] {
        let page = part.page(address).await;
        assert!(page.contains("Roll back") && page.contains(nothing), "{address}: {}", gist(&page));
    }
    assert_eq!(part.page(&there).await.contains(nothing), before, "what is not seen looks as it looked");
    // The API says the same, whether something is in force there or not.
    let program = program(&world, "pat", &["job_author"], Some(&["seen"]), &["read", "jobs"]).await;
    let wanted = json!({ "kind": "rollback", "vulnerabilities": [{ "qid": qid }] });
    assert_eq!(program.post("/api/v1/jobs", &wanted).await.code(), "nothing_to_roll_back");

    // What is in force within the scope can be taken back.
    let shown = world.admin.get(&format!("/api/v1/jobs/{first}")).await.expect(200);
    put(&world, qid, seen, &entries(&shown)[0]).await;
    for address in [&list, &with] {
        let page = part.page(address).await;
        assert!(!page.contains(nothing), "{address}: {}", gist(&page));
    }
    assert_eq!(assets(&program.post("/api/v1/jobs", &wanted).await.expect(201)), vec![seen]);
});

/// Assets beside those of a job on which it put its entry in place, as many as these.
pub async fn crowd(world: &World, number: &str, count: i64) {
    let ordinal: i64 = number.trim_start_matches("MJ").parse().unwrap();
    let now = world.server.app().clock.now();
    let write = world.server.app().database.write(move |tx| {
        let job: JobId = tx.scalar("SELECT id FROM job WHERE number = $1", &[&ordinal])?;
        let run: i64 = tx.scalar("SELECT max(id) FROM run WHERE job_id = $1", &[&job])?;
        let (key, entry): (i64, String) = tx.one(
            "SELECT e.id, e.entry FROM job_action a JOIN catalogue_entry e ON e.id = a.entry_key WHERE a.job_id = $1",
            &[&job],
        )?;
        let mut targets = store::jobs::targets(tx, job)?;
        let first = targets[0];
        let item: i64 = tx.scalar(
            "SELECT min(id) FROM vulnerable_item WHERE vulnerability_id = $1 AND asset_id = $2",
            &[&first.vulnerability, &first.asset],
        )?;
        let mut reports = Vec::new();
        for n in 0..count {
            let name = format!("crowd-{n}");
            let identity = Identity { machine_id: Some(name.clone()), ..Identity::default() };
            let asset: AssetId =
                agents::create_asset(tx, &name, Platform::Linux, "Debian", "10.9.0.1", &identity, now)?;
            let agent = NewAgent {
                agent_id: Uuid::now_v7(),
                instance_id: Uuid::now_v7(),
                token_id: Uuid::now_v7(),
                public_key: format!("key of {name}"),
                hostname: name,
                zone: String::new(),
                facts: serde_json::to_string(&Facts::default()).expect("facts are plain data"),
                version: "0.1.0".to_owned(),
                mode: "normal".to_owned(),
            };
            let agent = agents::create(tx, &agent, now)?;
            agents::set_link(tx, agent, Some(asset), "linked", "said by a test", now)?;
            tx.execute(
                "INSERT INTO vulnerable_item (number, vulnerability_id, asset_id, instance_id, state, substate, mitigation,
                     inherent, residual, score_source, group_name, reopened, opened_at, updated_at, run_id)
                 SELECT number + $3, vulnerability_id, $2, instance_id, state, substate, mitigation, inherent, residual,
                     score_source, group_name, reopened, opened_at, updated_at, run_id
                 FROM vulnerable_item WHERE id = $1",
                &[&item, &asset, &(1_000_000 + n)],
            )?;
            let task: TaskId = tx.insert(
                "INSERT INTO task (uuid, run_id, job_id, asset_id, agent_key, entry_key, kind, state, epoch, attempts,
                     cancel_requested, due_at, zone, resolved_by, code, message, report, started_at, ended_at, updated_at)
                 VALUES ($1, $2, $3, $4, $5, $6, 'apply', 'succeeded', 1, 1, $7, $8, '', '', 0, '', '', $8, $8, $8)
                 RETURNING id",
                &[&Uuid::now_v7(), &run, &job, &asset, &agent, &key, &false, &now],
            )?;
            targets.push(domain::job::Target { asset, ..first });
            reports.push(Report {
                asset_id: asset,
                entry: entry.clone(),
                entry_key: key,
                state: ControlState::Effective,
                origin: Origin::Ours,
                task_id: task,
                heard_at: now,
            });
        }
        store::jobs::set_targets(tx, job, &targets)?;
        controls::report(tx, &reports, now)
    });
    write.await.unwrap();
}

both_servers!(more_than_five_hundred_assets_are_rolled_back_whole, |server| async move {
    let world = World::ready(server).await;
    let (first, _, all) = running(&world).await;
    for asset in &all {
        report(&world.server, *asset, &in_place()).await;
    }
    over(&world.admin, &first).await;
    crowd(&world, &first, 505).await;
    let me = admin_browser(&world.server).await;
    let basic = me.leads(&format!("/jobs/{first}/rollback"), &[]).await;
    let page = me.page(&basic).await;
    assert!(page.contains("Create: Linux Rollback Job"), "{}", gist(&page));
    assert!(page.contains(&format!("takes back what {first} put in place")), "{}", gist(&page));
    let made = world.admin.get(&format!("/api/v1{}", basic.trim_end_matches("/edit/basic"))).await.expect(200);
    assert_eq!(assets(&made).len(), all.len() + 505);

    // What cannot be rolled back leads back to the job, with the reason.
    let rollback = number(&made);
    let refused = me.leads(&format!("/jobs/{rollback}/rollback"), &[]).await;
    assert_eq!(refused, format!("/jobs/{rollback}"));
    let page = me.page(&refused).await;
    assert!(page.contains("It is a rollback itself"), "{}", gist(&page));
});

both_servers!(r8_of_two_platforms_each_becomes_a_draft_over_the_api, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let each =
        |platform: Value| json!({ "vulnerabilities": [{ "qid": qid }], "platform": platform, "each_platform": true });
    let alone = world.admin.post("/api/v1/jobs", &each(Value::Null)).await.expect(201);
    assert_eq!((&alone["job"]["summary"]["platform"], &alone["job"]["twin"]), (&json!("linux"), &Value::Null));

    world.also_on_windows(qid, assets[0]["id"].as_i64().unwrap()).await;
    let asked = world.admin.post("/api/v1/jobs", &json!({ "vulnerabilities": [{ "qid": qid }] })).await;
    assert_eq!(asked.status, 422);
    assert!(asked.text.contains("platform_needed") && asked.text.contains("each_platform"), "{}", asked.text);
    for (platform, other) in [("linux", "windows"), ("windows", "linux")] {
        let made = world.admin.post("/api/v1/jobs", &each(json!(platform))).await.expect(201);
        assert_eq!(made["job"]["summary"]["platform"], platform);
        let twin = made["job"]["twin"].as_str().unwrap_or_else(|| panic!("the other is named: {made}"));
        let twin = world.admin.get(&format!("/api/v1/jobs/{twin}")).await.expect(200);
        assert_eq!(twin["job"]["summary"]["platform"], other);
        assert_eq!(twin["job"]["twin"].as_str(), Some(number(&made).as_str()), "and the other names the first");
    }
    let free = json!({ "platform": "linux", "selection": { "query": "agent:true" }, "each_platform": true });
    let refused = world.admin.post("/api/v1/jobs", &free).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert_eq!(refused.json["errors"][0]["field"], "each_platform", "{}", refused.text);
});
