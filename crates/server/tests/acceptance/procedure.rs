//! The procedure "creating a mitigation job", statement by statement, over the API: S1.01 to S1.22 with the rules R1 to R8,
//! R12, R13, R15, R17, R18, R20, R22 and R23 that are theirs. What follows a run is in `results.rs`, tags are in `mtg.rs`.

use crate::hands::{
    self, act, draft, in_place, job, only_safe, over, patch, program, ready, report, running, said, tag,
};
use crate::world::World;
use domain::mitigation::{ControlState, Origin};
use protocol::agent::Outcome;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::both_servers;
use testkit::server::{Client, Reply};

fn keys(assets: &[Value]) -> Vec<i64> {
    assets.iter().map(|asset| asset["id"].as_i64().unwrap()).collect()
}

async fn save(client: &Client, number: &str, enable: bool) -> Reply {
    client.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": enable })).await
}

fn allowed(job: &Value, act: &str) -> bool {
    job["acts"].as_array().unwrap().iter().any(|one| one["act"] == act && one["allowed"] == true)
}

fn codes(reply: &Reply) -> Vec<&str> {
    reply.json["errors"].as_array().unwrap().iter().map(|error| error["code"].as_str().unwrap()).collect()
}

both_servers!(s1_01_s1_02_a_qid_with_its_cves_and_scores_leads_to_its_eliminations, |server| async move {
    let world = World::ready(server).await;
    let (qid, _) = world.mitigable().await;
    let found = world.admin.get(&format!("/api/v1/vulnerabilities/{qid}")).await.expect(200);
    assert!(found["vulnerability"]["inherent"].as_i64().unwrap() >= 1, "a detection has its score: {found}");
    let item = world.admin.get(&format!("/api/v1/items?q=qid:{qid}")).await.expect(200);
    let number = item["items"][0]["number"].as_str().unwrap();
    let score = world.admin.get(&format!("/api/v1/items/{number}/score")).await.expect(200);
    let units = score["score"]["units"].as_array().unwrap();
    assert_eq!(units.len(), found["vulnerability"]["cves"].as_array().unwrap().len().max(1), "each CVE has a score");
    let choices = world.admin.get(&format!("/api/v1/eliminations?qid={qid}")).await.expect(200);
    assert!(choices["eliminations"].as_array().unwrap().iter().all(|e| e["qid"] == qid), "{choices}");
});

both_servers!(s1_03_r8_a_job_has_one_platform_and_seven_steps_fill_it, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let assets = keys(&assets);
    let made = job(&world.admin, &draft(&world.admin, qid, &assets).await).await;
    assert_eq!((&made["summary"]["platform"], &made["origin"]), (&json!("linux"), &json!("elimination")));
    // What each of the seven steps fills in, from the draft on.
    let filled = ["description", "assets", "actions", "schedule", "recipients", "coauthors", "acts"];
    assert!(filled.iter().all(|part| !made[*part].is_null()), "{made}");
    // R8: of two platforms one has to be named, and macOS is refused.
    world.also_on_windows(qid, assets[0]).await;
    let new = |platform: Value| json!({ "vulnerabilities": [{ "qid": qid }], "platform": platform });
    let asked = world.admin.post("/api/v1/jobs", &new(Value::Null)).await;
    assert_eq!((asked.status, codes(&asked)), (422, vec!["platform_needed"]), "{}", asked.text);
    for platform in ["linux", "windows"] {
        let one = world.admin.post("/api/v1/jobs", &new(json!(platform))).await.expect(201);
        assert_eq!(one["job"]["summary"]["platform"], platform);
    }
    let mac = world.admin.post("/api/v1/jobs", &new(json!("macos"))).await;
    assert_eq!((mac.status, mac.code()), (409, "platform_unsupported"), "{}", mac.text);
});

both_servers!(s1_04_a_job_has_a_title_and_perhaps_a_description, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let number = draft(&world.admin, qid, &keys(&assets)[..1]).await;
    let named = json!({ "title": "Until the patch", "description": "d" });
    let named = patch(&world.admin, &number, &named).await.expect(200);
    assert_eq!(
        (&named["job"]["summary"]["title"], &named["job"]["description"]),
        (&json!("Until the patch"), &json!("d"))
    );
    patch(&world.admin, &number, &json!({ "title": " " })).await.expect(200);
    let untitled = save(&world.admin, &number, false).await;
    assert_eq!((untitled.status, codes(&untitled)), (422, vec!["title_missing"]));
});

both_servers!(s1_05_s1_06_the_chosen_asset_is_there_and_none_is_added, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let assets = keys(&assets);
    let number = draft(&world.admin, qid, &assets[..1]).await;
    let made = job(&world.admin, &number).await;
    let there: Vec<_> = made["assets"].as_array().unwrap().iter().map(|asset| asset["id"].as_i64().unwrap()).collect();
    assert_eq!(there, assets[..1], "S1.05");
    for more in [json!({ "assets": assets }), json!({ "assets": assets[1..] })] {
        let more = patch(&world.admin, &number, &more).await;
        assert_eq!((more.status, more.code()), (409, "assets_only_removed"), "S1.06: {}", more.text);
    }
});

both_servers!(s1_07_s1_08_r3_r4_with_its_last_asset_a_qid_goes_and_nothing_can_be_saved, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let assets = keys(&assets);
    let number = draft(&world.admin, qid, &assets[..2]).await;
    let qids = |job: &Value| {
        job["actions"].as_array().unwrap().iter().map(|action| action["qid"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    let one = patch(&world.admin, &number, &json!({ "assets": assets[..1] })).await.expect(200);
    assert!(qids(&one["job"]).contains(&qid), "R4: an asset that is left still has it: {one}");
    let none = patch(&world.admin, &number, &json!({ "assets": [] })).await.expect(200);
    assert_eq!((&none["job"]["assets"], qids(&none["job"])), (&json!([]), vec![]), "S1.07");
    for enable in [false, true] {
        let refused = save(&world.admin, &number, enable).await;
        assert_eq!(refused.status, 422, "S1.08, R3: {}", refused.text);
        assert_eq!(codes(&refused), ["no_assets", "no_actions"]);
    }
});

both_servers!(s1_09_the_action_is_filled_in_and_its_details_are_one_step_away, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let made = job(&world.admin, &draft(&world.admin, qid, &keys(&assets)[..1]).await).await;
    let action = &made["actions"][0];
    assert!(action["covers"].as_array().is_some_and(|covers| !covers.is_empty()), "{action}");
    assert_eq!(action["digest"].as_str().unwrap().len(), 64, "what is done is named by its signed bytes");
    let entry = action["entry"].as_str().unwrap();
    let details = world.admin.get(&format!("/api/v1/catalogue/entries/{entry}")).await.expect(200);
    assert!(details.to_string().contains(action["digest"].as_str().unwrap()), "the same bytes: {details}");
});

both_servers!(s1_09_of_two_entries_for_one_cve_the_system_of_the_asset_chooses, |server| async move {
    const TERRAPIN: &str = "CVE-2023-48795";
    let world = World::ready(server).await;
    let found = world.admin.get(&format!("/api/v1/vulnerabilities?q=cve:{TERRAPIN}")).await.expect(200);
    let qid = found["vulnerabilities"][0]["qid"].as_i64().unwrap();
    let able = world.admin.get(&format!("/api/v1/eliminations?qid={qid}")).await.expect(200);
    let able: Vec<Value> =
        able["assets"].as_array().unwrap().iter().filter(|asset| asset["selectable"] == true).cloned().collect();
    let assets = keys(&able);
    let [debian, red_hat, unheard_of] = assets[..3] else { panic!("three assets: {assets:?}") };
    hands::runs_on(&world.server, debian, "debian", "12").await;
    hands::runs_on(&world.server, red_hat, "rocky", "9.4").await;
    hands::runs_on(&world.server, unheard_of, "gobolinux", "17").await;
    let number = draft(&world.admin, qid, &assets[..3]).await;
    let made = job(&world.admin, &number).await;
    let proposed = |job: &Value| {
        let entries = job["actions"].as_array().unwrap().iter().map(|a| a["entry"].as_str().unwrap().to_owned());
        entries.collect::<BTreeSet<_>>()
    };
    let (config, policy) = ("linux-terrapin-sshd-config".to_owned(), "linux-terrapin-crypto-policy".to_owned());
    assert_eq!(proposed(&made), BTreeSet::from([config.clone(), policy]), "both are proposed");
    let for_one = draft(&world.admin, qid, &[debian]).await;
    let for_one = job(&world.admin, &for_one).await;
    assert_eq!(proposed(&for_one), BTreeSet::from([config]), "nobody needs the other one");
    let of = |tasks: &Value, asset: i64| {
        let mine = tasks.as_array().unwrap().iter().filter(|task| task["asset"] == asset);
        mine.map(|task| task["entry"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    save(&world.admin, &number, true).await.expect(200);
    let tasks = world.admin.get(&format!("/api/v1/jobs/{number}/tasks")).await.expect(200)["tasks"].clone();
    let one = |entry: &str| BTreeSet::from([entry.to_owned()]);
    assert_eq!(of(&tasks, debian), one("linux-terrapin-sshd-config"), "{tasks}");
    assert_eq!(of(&tasks, red_hat), one("linux-terrapin-crypto-policy"), "{tasks}");
    assert_eq!(of(&tasks, unheard_of).len(), 2, "what is not known is asked there: {tasks}");
    // What is not done on an asset is no open line of its report.
    let report = world.admin.get(&format!("/api/v1/jobs/{number}/report")).await.expect(200);
    let lines = report["lines"].as_array().unwrap().len();
    assert_eq!(lines, 4, "{report}");
    // Alone it is tried wherever somebody says so, and the agent says why not.
    let alone =
        json!({ "vulnerabilities": [{ "qid": qid, "assets": [red_hat] }], "entries": ["linux-terrapin-sshd-config"] });
    let alone = world.admin.post("/api/v1/jobs", &alone).await.expect(201);
    let alone = alone["job"]["summary"]["number"].as_str().unwrap().to_owned();
    save(&world.admin, &alone, true).await.expect(200);
    let tasks = world.admin.get(&format!("/api/v1/jobs/{alone}/tasks")).await.expect(200)["tasks"].clone();
    assert_eq!(of(&tasks, red_hat), one("linux-terrapin-sshd-config"));
});

both_servers!(s1_09_actions_are_removed_not_added, |server| async move {
    const TERRAPIN: &str = "CVE-2023-48795";
    let (config, policy) = ("linux-terrapin-sshd-config", "linux-terrapin-crypto-policy");
    let world = World::ready(server).await;
    let found = world.admin.get(&format!("/api/v1/vulnerabilities?q=cve:{TERRAPIN}")).await.expect(200);
    let qid = found["vulnerabilities"][0]["qid"].as_i64().unwrap();
    let entries = |job: &Value| {
        let entries = job["actions"].as_array().unwrap().iter().map(|a| a["entry"].as_str().unwrap().to_owned());
        entries.collect::<BTreeSet<_>>()
    };
    let actions = |entries: &[&str]| {
        let actions: Vec<Value> = entries.iter().map(|entry| json!({ "qid": qid, "entry": entry })).collect();
        json!({ "actions": actions })
    };
    // Which one is chosen when it is made, by name.
    let new = |entries: Value| json!({ "vulnerabilities": [{ "qid": qid }], "entries": entries });
    let made = world.admin.post("/api/v1/jobs", &new(json!([config, policy]))).await.expect(201);
    let number = made["job"]["summary"]["number"].as_str().unwrap();
    assert_eq!(entries(&made["job"]).len(), 2, "{made}");
    let unknown = world.admin.post("/api/v1/jobs", &new(json!(["linux-nothing"]))).await;
    assert_eq!((unknown.status, codes(&unknown)), (422, vec!["unknown_entry"]), "{}", unknown.text);
    let free = json!({ "platform": "linux", "choose": { "qids": [qid] }, "entries": [config] });
    let free = world.admin.post("/api/v1/jobs", &free).await;
    assert_eq!((free.status, codes(&free)), (422, vec!["free_standing"]), "{}", free.text);

    // A draft, then a saved job: what is there can go, and nothing comes, not even what was there before.
    let left = patch(&world.admin, number, &actions(&[config])).await.expect(200);
    assert_eq!(entries(&left["job"]), BTreeSet::from([config.to_owned()]));
    for _ in 0..2 {
        let more = patch(&world.admin, number, &actions(&[config, policy])).await;
        assert_eq!((more.status, more.code()), (409, "actions_only_removed"), "{}", more.text);
        let other = patch(&world.admin, number, &actions(&[policy])).await;
        assert_eq!((other.status, other.code()), (409, "actions_only_removed"), "{}", other.text);
        assert_eq!(entries(&job(&world.admin, number).await), BTreeSet::from([config.to_owned()]));
        save(&world.admin, number, false).await.expect(200);
    }
    // What goes with its last asset does not come back by being named (R4).
    let copy = act(&world.admin, number, "clone").await.expect(201);
    let copy = copy["job"]["summary"]["number"].as_str().unwrap();
    let none = json!({ "assets": [], "actions": [{ "qid": qid, "entry": config }] });
    let none = patch(&world.admin, copy, &none).await.expect(200);
    assert_eq!(none["job"]["actions"], json!([]), "{none}");
});

both_servers!(s1_10_s1_11_s1_12_r2_r6_when_a_job_runs, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let assets = keys(&assets);
    let number = draft(&world.admin, qid, &assets[..2]).await;
    only_safe(&world, &number, qid).await;
    // S1.10: on demand is preselected; R2: saved, it does not run.
    assert_eq!(job(&world.admin, &number).await["schedule"]["when"], "on_demand");
    save(&world.admin, &number, false).await.expect(200);
    assert_eq!(job(&world.admin, &number).await["summary"]["tasks"]["total"], 0);
    // S1.11, S1.12, R6: without a zone each agent's own counts; a name counts for all; an unknown one is refused.
    let own = json!({ "schedule": { "when": "once", "at": "2030-07-01T02:00:00" } });
    let own = patch(&world.admin, &number, &own).await.expect(200);
    assert_eq!(own["job"]["schedule"]["zone"], "agent", "R6");
    let named = json!({ "schedule": { "when": "once", "at": "2030-07-01T02:00:00", "zone": "Asia/Tokyo" } });
    let named = patch(&world.admin, &number, &named).await.expect(200);
    assert_eq!(named["job"]["instants"][0]["at"], "2030-06-30T17:00:00Z", "{named}");
    let bad = json!({ "schedule": { "when": "once", "at": "2030-07-01T02:00:00", "zone": "Mars/Olympus" } });
    assert_eq!(codes(&patch(&world.admin, &number, &bad).await), ["unknown_zone"]);
    act(&world.admin, &number, "enable").await.expect(200);
    let waiting = job(&world.admin, &number).await;
    assert!(waiting["summary"]["started_at"].is_null() && waiting["summary"]["tasks"]["open"] == 2, "{waiting}");
});

both_servers!(s1_13_r5_the_fifty_first_recipient_and_no_percentage_beyond_a_hundred, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let number = draft(&world.admin, qid, &keys(&assets)[..1]).await;
    only_safe(&world, &number, qid).await;
    let many: Vec<String> = (0..51).map(|n| format!("p{n}@example.org")).collect();
    // S1.14, S1.15, R17 are chosen here; what is sent is in the tests of mail.
    let options = |many: &[String], percent: i64| json!({ "title": "t", "recipients": many, "mail_started": true, "mail_percent": percent });
    patch(&world.admin, &number, &options(&many, 101)).await.expect(200);
    assert_eq!(codes(&save(&world.admin, &number, false).await), ["too_many_recipients", "bad_percent"]);
    patch(&world.admin, &number, &options(&many[..50], 100)).await.expect(200);
    let saved = save(&world.admin, &number, false).await.expect(200);
    assert_eq!(saved["job"]["recipients"].as_array().unwrap().len(), 50);
});

both_servers!(s1_16_s1_18_r23_co_authors_have_their_own_rights_and_administrators_all, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let author = program(&world, "ann", &["job_author"], None, &["read", "jobs"]).await;
    let other = program(&world, "oz", &["job_author"], None, &["read", "jobs"]).await;
    let reader = program(&world, "rae", &["job_reader"], None, &["read", "jobs"]).await;
    let chief = program(&world, "adi", &["administrator"], None, &["read", "jobs"]).await;
    let number = draft(&author, qid, &keys(&assets)[..1]).await;
    only_safe(&world, &number, qid).await;
    save(&author, &number, false).await.expect(200);
    let edit = json!({ "description": "changed" });
    for stranger in [&other, &reader] {
        assert_eq!(patch(stranger, &number, &edit).await.status, 403);
        assert_eq!(act(stranger, &number, "enable").await.status, 403);
    }
    patch(&author, &number, &json!({ "coauthors": ["oz", "rae"] })).await.expect(200);
    patch(&other, &number, &edit).await.expect(200);
    assert_eq!(patch(&reader, &number, &edit).await.status, 403, "R23: a reader stays a reader");
    act(&other, &number, "enable").await.expect(200);
    ready(&world.server, 1).await;
    act(&chief, &number, "disable").await.expect(409);
    assert_eq!(other.delete(&format!("/api/v1/jobs/{number}")).await.status, 403, "a co-author never deletes");
    act(&chief, &number, "cancel").await.expect(200);
    patch(&chief, &number, &edit).await.expect(409);
    // The run ends at the next look after its tasks: until then the job is running.
    let mut status = 409;
    for _ in 0..400 {
        status = chief.delete(&format!("/api/v1/jobs/{number}")).await.status;
        if status != 409 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert_eq!(status, 204, "S1.18");
});

both_servers!(s1_17_s1_19_s1_20_s1_21_r1_saved_is_disabled_and_enabled_only_once_at_creation, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let assets = keys(&assets);
    let number = draft(&world.admin, qid, &assets[..1]).await;
    only_safe(&world, &number, qid).await;
    assert!(allowed(&job(&world.admin, &number).await, "save_and_enable"), "S1.21: at creation");
    let saved = save(&world.admin, &number, false).await.expect(200);
    assert_eq!(saved["job"]["summary"]["status"], "DISABLED", "S1.19");
    assert!(!allowed(&saved["job"], "save_and_enable"), "and then no more");
    let again = save(&world.admin, &number, true).await;
    assert_eq!((again.status, again.code()), (409, "job_not_draft"), "R1");
    let enabled = act(&world.admin, &number, "enable").await.expect(200);
    assert_eq!(enabled["job"]["summary"]["status"], "ENABLED", "S1.20");
    let number = draft(&world.admin, qid, &assets[1..2]).await;
    only_safe(&world, &number, qid).await;
    assert_eq!(save(&world.admin, &number, true).await.expect(200)["job"]["summary"]["status"], "ENABLED");
});

both_servers!(s1_22_r7_a_scheduled_job_is_disabled_for_a_while_and_enabled_again, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let number = draft(&world.admin, qid, &keys(&assets)[..1]).await;
    only_safe(&world, &number, qid).await;
    let later = json!({ "schedule": { "when": "once", "at": "2031-01-01T02:00:00", "zone": "UTC" } });
    patch(&world.admin, &number, &later).await.expect(200);
    save(&world.admin, &number, true).await.expect(200);
    for (what, status) in [("disable", "DISABLED"), ("enable", "ENABLED"), ("disable", "DISABLED")] {
        assert_eq!(act(&world.admin, &number, what).await.expect(200)["job"]["summary"]["status"], status);
    }
});

both_servers!(s1_24_r10_the_score_falls_by_the_impact_factor_ninety_with_thirty_gives_sixty, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let asset = keys(&assets)[0];
    let number = draft(&world.admin, qid, &[asset]).await;
    let entry = only_safe(&world, &number, qid).await;
    let write = world.server.app().database.write(move |tx| {
        let inherent =
            "UPDATE vulnerable_item SET inherent = 90, residual = 90, score_source = 'qds' WHERE asset_id = $1
             AND vulnerability_id IN (SELECT id FROM vulnerability WHERE qid = $2)";
        tx.execute(inherent, &[&asset, &qid])?;
        tx.execute(
            "UPDATE vulnerability_cve SET qvs = NULL
             WHERE vulnerability_id IN (SELECT id FROM vulnerability WHERE qid = $1)",
            &[&qid],
        )?;
        let points = "UPDATE catalogue_cve SET points = 30, coverage = 'full'
             WHERE entry_key IN (SELECT id FROM catalogue_entry WHERE entry = $1)";
        tx.execute(points, &[&entry])
    });
    write.await.unwrap();
    save(&world.admin, &number, true).await.expect(200);
    ready(&world.server, 1).await;
    report(&world.server, asset, &in_place()).await;
    let found = world.admin.get(&format!("/api/v1/items?q=qid:{qid} and asset.id:{asset}")).await.expect(200);
    let item = &found["items"][0];
    let whole = item["mitigation"] == "mitigated";
    let score = world.admin.get(&format!("/api/v1/items/{}/score", item["number"].as_str().unwrap())).await.expect(200);
    let covered: Vec<&Value> =
        score["score"]["units"].as_array().unwrap().iter().filter(|unit| unit["mitigated"] == true).collect();
    assert!(!covered.is_empty(), "{score}");
    for unit in covered {
        assert_eq!((&unit["inherent"], &unit["points"], &unit["residual"]), (&json!(90), &json!(30), &json!(60)));
    }
    assert_eq!(whole, item["residual"] == 60, "S1.23, R9, R11: with every CVE, and only then: {item}");
    assert_eq!(item["inherent"], 90, "what it was is never overwritten");
});

both_servers!(r12_a_fix_resolves_the_item_and_is_not_rolled_back, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let asset = keys(&assets)[0];
    let number = draft(&world.admin, qid, &[asset]).await;
    let entry = only_safe(&world, &number, qid).await;
    let write = world
        .server
        .app()
        .database
        .write(move |tx| tx.execute("UPDATE catalogue_entry SET implication = 'fix' WHERE entry = $1", &[&entry]));
    write.await.unwrap();
    save(&world.admin, &number, true).await.expect(200);
    ready(&world.server, 1).await;
    report(&world.server, asset, &in_place()).await;
    let found = world.admin.get(&format!("/api/v1/items?q=qid:{qid} and asset.id:{asset}")).await.expect(200);
    let item = &found["items"][0];
    assert_eq!(
        (&item["state"], &item["substate"], &item["status"]),
        (&json!("resolved"), &json!("awaiting_scan"), &json!("fixed"))
    );
    let back = json!({ "kind": "rollback", "vulnerabilities": [{ "qid": qid, "assets": [asset] }] });
    let refused = world.admin.post("/api/v1/jobs", &back).await;
    assert!(refused.status == 422 || refused.status == 409, "nothing to roll back: {}", refused.text);
});

both_servers!(r13_r15_what_is_ours_is_skipped_as_ours_and_what_is_not_is_left_alone, |server| async move {
    let world = World::ready(server).await;
    let (number, qid, assets) = running(&world).await;
    let outcomes = [
        (said(Outcome::Unchanged, ControlState::Effective, Some(Origin::Ours)), 204),
        (said(Outcome::NotOurs, ControlState::Effective, Some(Origin::External)), 205),
    ];
    for (asset, (outcome, _)) in assets.iter().zip(&outcomes) {
        report(&world.server, *asset, outcome).await;
    }
    let told = world.admin.get(&format!("/api/v1/jobs/{number}/report")).await.expect(200);
    for (asset, (_, detail)) in assets.iter().zip(&outcomes) {
        let line = told["lines"].as_array().unwrap().iter().find(|line| line["assetId"] == *asset).unwrap();
        assert_eq!(
            (&line["actionStatus"], &line["mitigationReturnCode"]),
            (&json!("Skipped"), &json!(detail)),
            "QID {qid}"
        );
        assert!(line["mitigationReason"].as_str().unwrap().len() > 20, "{line}");
    }
});

both_servers!(r14_what_others_put_there_lowers_the_score_once, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let asset = keys(&assets)[0];
    let mut details = Vec::new();
    for _ in 0..2 {
        let number = draft(&world.admin, qid, &[asset]).await;
        only_safe(&world, &number, qid).await;
        save(&world.admin, &number, true).await.expect(200);
        ready(&world.server, 1).await;
        report(&world.server, asset, &said(Outcome::Unchanged, ControlState::Effective, Some(Origin::External))).await;
        over(&world.admin, &number).await;
        let told = world.admin.get(&format!("/api/v1/jobs/{number}/report")).await.expect(200);
        let line = told["lines"][0].clone();
        details.push((line["mitigationReturnCode"].as_i64().unwrap(), line["scoreAfter"].as_i64().unwrap()));
    }
    assert_eq!((details[0].0, details[1].0), (203, 206), "first lowered, then counted already");
    assert_eq!(details[0].1, details[1].1, "lowered once");
});

both_servers!(r20_one_job_at_a_time_on_an_asset, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let asset = keys(&assets)[0];
    let mut numbers = Vec::new();
    for n in 1..=2 {
        let number = draft(&world.admin, qid, &[asset]).await;
        only_safe(&world, &number, qid).await;
        save(&world.admin, &number, true).await.expect(200);
        ready(&world.server, n).await;
        numbers.push(number);
    }
    let offered = async || hands::offer(&world.server, asset).await;
    assert_eq!(offered().await, numbers[..1], "the second waits");
    assert_eq!(offered().await, numbers[..1], "however often the agent asks");
});

both_servers!(r18_r22_points_of_the_catalogue_and_the_highest_tag, |server| async move {
    let world = World::ready(server).await;
    let points = world.server.app().database.read(|tx| {
        tx.all::<(String, i64)>(
            "SELECT e.implication, c.points FROM catalogue_cve c JOIN catalogue_entry e ON e.id = c.entry_key AND e.current",
            &[],
        )
    });
    // What only looks has no points; it is offered to nobody.
    for (implication, points) in points.await.unwrap() {
        let right = if implication == "fix" { points == 100 } else { (1..=99).contains(&points) };
        assert!(right, "R18: {implication} with {points} points");
    }
    let (_, assets) = world.mitigable().await;
    let asset = keys(&assets)[0];
    tag(&world, asset, &["low", "high"]).await;
    for (name, criticality) in [("low", 2), ("high", 5)] {
        let said = world.admin.patch(&format!("/api/v1/tags/{name}"), &json!({ "criticality": criticality })).await;
        assert!(said.status < 300, "{}", said.text);
    }
    let found = world.admin.get(&format!("/api/v1/assets/{asset}")).await.expect(200);
    assert_eq!(found["asset"]["criticality"], 5, "R22: the highest wins");
});
