//! Changes of a job by the Qualys-compatible API: what a request does not name stays, what cannot be applied is said.

use super::{asset_id, error, keys, made, signed_in, status, wanted};
use crate::hands::{draft, in_place, only_safe, over, patch, ready, report, said, tag};
use crate::world::World;
use domain::mitigation::{ControlState, Origin};
use protocol::agent::Outcome;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::both_servers;
use testkit::server::{ADMIN_PASSWORD, Client};

/// Change a job; gives it as it then is.
async fn changed(script: &Client, job: &Value, change: &Value) -> Value {
    script.patch(&format!("/mtg/v1/deploymentjob/{}", job["id"].as_str().unwrap()), change).await.expect(200)
}

/// The field and the number under which a change is refused.
async fn refused(script: &Client, job: &Value, change: &Value) -> (String, String) {
    let reply = script.patch(&format!("/mtg/v1/deploymentjob/{}", job["id"].as_str().unwrap()), change).await;
    assert_eq!(reply.status, 400, "{change}: {}", reply.text);
    let field = reply.json["_error"]["details"][0]["field"].as_str().unwrap_or_default().to_owned();
    (field, error(&reply).1)
}

fn on(job: &Value) -> BTreeSet<String> {
    job["assetIds"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

fn those(assets: &[i64]) -> BTreeSet<String> {
    assets.iter().map(|key| asset_id(*key)).collect()
}

both_servers!(a_change_of_targeting_leaves_what_it_does_not_name, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable_on(3).await;
    let assets = keys(&assets);
    let [both, card, web] = assets[..3] else { panic!("three assets") };
    tag(&world, both, &["prod", "web"]).await;
    tag(&world, card, &["prod", "pci"]).await;
    tag(&world, web, &["web"]).await;
    let script = signed_in(&world, "admin", ADMIN_PASSWORD).await;
    let choice = json!({ "assetIds": [], "assetTagIds": ["prod"], "exclusionTagIds": ["pci"] });
    let job = made(&script, &wanted(qid, &[], &choice)).await;
    assert_eq!(on(&job), those(&[both]));
    let excluded = job["exclusionTagIds"].clone();
    assert_eq!(excluded.as_array().unwrap().len(), 1);

    let job = changed(&script, &job, &json!({ "assetTagIds": ["prod", "web"] })).await;
    assert_eq!(on(&job), those(&[both, web]), "the host with cards stays out");
    assert_eq!(job["exclusionTagIds"], excluded);
    for change in [json!({ "filterType": "All" }), json!({ "assetTagIds": ["web", "prod"] }), json!({ "name": "n" })] {
        let job = changed(&script, &job, &change).await;
        assert_eq!((on(&job), &job["filterType"]), (those(&[both]), &json!("All")), "{change}");
    }
    let job = changed(&script, &job, &json!({ "filterType": "Any", "exclusionTagIds": [] })).await;
    assert_eq!(on(&job), those(&[both, card, web]), "an empty list is a list");
    let job = changed(&script, &job, &json!({ "matchAllTagIds": ["web"] })).await;
    assert_eq!(on(&job), those(&[both, web]));
    let job = changed(&script, &job, &json!({ "exclusionAssetIds": [asset_id(web)] })).await;
    assert_eq!(on(&job), those(&[both]), "the further tag stays");
    let job =
        changed(&script, &job, &json!({ "assetTagIds": ["web"], "assetIds": [asset_id(web), asset_id(card)] })).await;
    assert_eq!(on(&job), those(&[both, card]), "the excluded asset stays out");
    let job = changed(&script, &job, &json!({ "exclusionTagIds": ["pci", "web"], "exclusionFilterType": "All" })).await;
    assert_eq!(on(&job), those(&[both, card]), "none carries both");
    let job = changed(&script, &job, &json!({ "exclusionTagIds": ["pci", "prod"] })).await;
    assert_eq!((on(&job), &job["exclusionFilterType"]), (those(&[both]), &json!("All")), "All stays");
});

both_servers!(what_was_chosen_elsewhere_survives_a_change_by_a_script, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let assets = keys(&assets);
    tag(&world, assets[0], &["prod"]).await;
    let script = signed_in(&world, "admin", ADMIN_PASSWORD).await;
    let job = made(&script, &wanted(qid, &assets[..1], &json!({}))).await;
    let number = job["jobNumber"].as_str().unwrap();
    let entries = world.admin.get(&format!("/api/v1/eliminations?qid={qid}")).await.expect(200);
    let entry = entries["eliminations"][0]["entry"].clone();
    let choice = json!({
        "selection": { "query": "tag:prod", "exclude_tags": ["pci"] }, "choose": { "qids": [qid], "entries": [entry] },
    });
    patch(&world.admin, number, &choice).await.expect(200);
    let job = changed(&script, &job, &json!({ "assetIds": [asset_id(assets[1])], "qids": [qid] })).await;
    assert_eq!(on(&job), those(&assets[..2]), "what the query gives is still there");
    let shown = world.admin.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
    let plan = &shown["job"]["plan"];
    assert_eq!(
        (&plan["selection"]["query"], &plan["selection"]["exclude_tags"], &plan["choose"]["entries"]),
        (&json!("tag:prod"), &json!(["pci"]), &json!([entry])),
        "{plan}"
    );
});

both_servers!(what_cannot_be_applied_to_a_job_is_said_and_changes_nothing, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let assets = keys(&assets);
    tag(&world, assets[0], &["pci"]).await;
    let script = signed_in(&world, "admin", ADMIN_PASSWORD).await;

    // On demand: there is no start and no zone to change.
    let job = made(&script, &wanted(qid, &assets[..2], &json!({}))).await;
    for (change, field) in [
        (json!({ "startDateTime": "2031-1-23 04:27:51 AM" }), "startDateTime"),
        (json!({ "timezone": "Europe/Rome" }), "timezone"),
        (json!({ "timezoneType": "AGENT_TZ" }), "timezoneType"),
        (json!({ "notification": { "notificationConfigs": { "completedPercentage": 5 } } }), "completedPercentage"),
    ] {
        let said = refused(&script, &job, &change).await;
        assert_eq!(said, (field.to_owned(), "1907".to_owned()), "{change}");
    }
    let unsaid = wanted(qid, &assets[..1], &json!({ "scheduleType": null, "startDateTime": "2031-1-23 04:27:51 AM" }));
    let reply = script.post("/mtg/v1/deploymentjob", &unsaid).await;
    assert_eq!(
        (reply.status, error(&reply).1.as_str()),
        (400, "1907"),
        "it would have started at once: {}",
        reply.text
    );

    // Once: what is not named stays.
    let once = json!({
        "scheduleType": "Once", "startDateTime": "2031-1-23 04:27:51 AM", "timezoneType": "SPECIFIC_TZ",
        "timezone": "Europe/Rome",
        "notification": { "notificationConfigs": { "recipientEmails": "a@example.org" }, "notificationEvents": { "onJobStart": true } },
    });
    let job = changed(&script, &job, &once).await;
    let later = json!({
        "startDateTime": "2031-2-24 04:00:00 PM", "notification": { "notificationEvents": { "onJobComplete": true } },
    });
    let job = changed(&script, &job, &later).await;
    assert_eq!(
        (&job["startDateTime"], &job["timezoneType"], &job["timezone"]),
        (&json!("2031-2-24 04:00:00 PM"), &json!("SPECIFIC_TZ"), &json!("Europe/Rome"))
    );
    assert_eq!(
        job["notification"]["notificationConfigs"],
        json!({ "recipientEmails": "a@example.org", "completedPercentage": 100 })
    );
    assert_eq!(job["notification"]["notificationEvents"], json!({ "onJobStart": true, "onJobComplete": true }));
    let job = changed(&script, &job, &json!({ "timezone": "Asia/Tokyo" })).await;
    assert_eq!((&job["startDateTime"], &job["timezone"]), (&json!("2031-2-24 04:00:00 PM"), &json!("Asia/Tokyo")));
    let bad = refused(&script, &job, &json!({ "timezoneType": "AGENT_TZ", "timezone": "Asia/Tokyo" })).await;
    assert_eq!(bad, ("timezone".to_owned(), "1907".to_owned()));

    // Made from eliminations: assets can go, QIDs stay, tags are not kept.
    let number = draft(&world.admin, qid, &assets[..2]).await;
    only_safe(&world, &number, qid).await;
    world.admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({})).await.expect(200);
    let job = script.get(&format!("/mtg/v1/deploymentjob/{number}")).await.expect(200);
    for (change, field) in [
        (json!({ "qids": [qid, 1] }), "qids"),
        (json!({ "qids": [] }), "qids"),
        (json!({ "filterType": "All" }), "filterType"),
        (json!({ "exclusionFilterType": "All", "assetTagIds": ["pci"] }), "exclusionFilterType"),
        (json!({ "type": "Rollback" }), "type"),
    ] {
        let said = refused(&script, &job, &change).await;
        assert_eq!(said, (field.to_owned(), "1907".to_owned()), "{change}");
    }
    assert_eq!(on(&script.get(&format!("/mtg/v1/deploymentjob/{number}")).await.expect(200)), those(&assets[..2]));
    let same = json!({ "qids": [qid], "assetTagIds": [], "filterType": "Any", "name": "sent back as it was read" });
    assert_eq!(on(&changed(&script, &job, &same).await), those(&assets[..2]));
    let job = changed(&script, &job, &json!({ "exclusionTagIds": ["pci"] })).await;
    assert_eq!(on(&job), those(&assets[1..2]), "what is excluded goes, the rest stays");
    let more =
        script.patch(&format!("/mtg/v1/deploymentjob/{number}"), &json!({ "assetIds": [asset_id(assets[0])] })).await;
    assert_eq!(error(&more).2, "assets_only_removed", "S1.06: {}", more.text);
});

both_servers!(r7_a_recurring_job_is_disabled_among_others_that_are_not, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let assets = keys(&assets);
    let script = signed_in(&world, "admin", ADMIN_PASSWORD).await;
    let later = json!({ "scheduleType": "Once", "startDateTime": "2031-1-23 04:27:51 AM", "status": "Enabled" });
    let once = made(&script, &wanted(qid, &assets[..1], &later)).await;
    let job = made(&script, &wanted(qid, &assets[1..2], &json!({ "name": "again and again" }))).await;
    let repeat = json!({ "by": "daily", "count": 5 });
    let recurring =
        json!({ "schedule": { "when": "recurring", "at": "2031-03-22T02:30", "zone": "UTC", "repeat": repeat } });
    patch(&world.admin, job["jobNumber"].as_str().unwrap(), &recurring).await.expect(200);
    let said = refused(&script, &job, &json!({ "startDateTime": "2031-1-23 04:27:51 AM" })).await;
    assert_eq!(said, ("startDateTime".to_owned(), "1907".to_owned()));
    let kept = changed(&script, &job, &json!({ "scheduleType": "Recurring", "description": "sent back" })).await;
    assert_eq!((&kept["scheduleType"], &kept["recurring"]), (&json!("Recurring"), &json!(true)));

    let ids = [once["id"].as_str().unwrap(), job["id"].as_str().unwrap()];
    assert_eq!(status(&script, "Enabled", &ids[1..]).await[0]["status"], "success");
    for (to, then) in [("Disabled", "Disabled"), ("Enabled", "Enabled"), ("Disabled", "Disabled")] {
        let rows = status(&script, to, &ids).await;
        assert_eq!(rows[0]["status"], "failure", "{to}: {rows}");
        assert_eq!(rows[1], json!({ "id": ids[1], "name": "again and again", "status": "success" }), "{to}");
        let shown = script.get(&format!("/mtg/v1/deploymentjob/{}", ids[1])).await.expect(200);
        assert_eq!(shown["status"], then);
    }
});

both_servers!(an_action_names_what_was_found_and_its_own_time_out, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let asset = keys(&assets)[0];
    let script = signed_in(&world, "admin", ADMIN_PASSWORD).await;
    let job = made(&script, &wanted(qid, &[asset], &json!({}))).await;
    let window =
        json!({ "schedule": { "when": "once", "at": "2031-03-22T02:30", "zone": "UTC", "window_minutes": 4 } });
    let params = async || {
        let actions = format!(
            "/mtg/v1/deploymentjob/{}/deploymentjobresult/actions?agentUUID={}&endDateTime=1",
            job["id"].as_str().unwrap(),
            asset_id(asset)
        );
        script.post(&actions, &json!({})).await.expect(200)[0]["params"].clone()
    };
    assert_eq!(params().await["timeout"], domain::task::RUN_SECONDS.to_string(), "what every action may take");
    patch(&world.admin, job["jobNumber"].as_str().unwrap(), &window).await.expect(200);
    assert_eq!(status(&script, "Enabled", &[job["id"].as_str().unwrap()]).await[0]["status"], "success");
    let params = params().await;
    assert_eq!(params["timeout"], "120", "half of a short window: {params}");
    let read = world.server.app().database.read(move |tx| {
        tx.one::<(i64, String)>(
            "SELECT i.number, d.unique_id FROM vulnerable_item i JOIN detection d ON d.item_id = i.id
             JOIN vulnerability v ON v.id = i.vulnerability_id WHERE i.asset_id = $1 AND v.qid = $2
             ORDER BY d.id LIMIT 1",
            &[&asset, &qid],
        )
    });
    let (item, detection) = read.await.unwrap();
    assert!(!detection.is_empty(), "the scanner gives its own id");
    assert_eq!(
        (&params["hostVulnId"], &params["qidDetectionId"]),
        (&json!(item.to_string()), &json!(detection)),
        "numbers inside params are texts: {params}"
    );
});

both_servers!(a_script_enables_by_a_change_and_takes_back_by_a_rollback_of_its_own, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let asset = keys(&assets)[0];
    let script = signed_in(&world, "admin", ADMIN_PASSWORD).await;
    let back = json!({ "type": "Rollback", "name": "back", "status": "Enabled" });
    let nothing = script.post("/mtg/v1/deploymentjob", &wanted(qid, &[asset], &back)).await;
    assert_eq!(error(&nothing), (409, "1960".to_owned(), "nothing_to_roll_back".to_owned()), "{}", nothing.text);

    let job = made(&script, &wanted(qid, &[asset], &json!({}))).await;
    assert_eq!((&job["status"], &job["type"]), (&json!("Disabled"), &json!("Install")));
    assert_eq!(changed(&script, &job, &json!({ "status": "Enabled" })).await["status"], "Enabled");
    ready(&world.server, 1).await;
    report(&world.server, asset, &in_place()).await;
    over(&world.admin, job["jobNumber"].as_str().unwrap()).await;

    let rollback = made(&script, &wanted(qid, &[asset], &back)).await;
    assert_eq!((&rollback["type"], &rollback["status"]), (&json!("Rollback"), &json!("Enabled")), "{rollback}");
    ready(&world.server, 1).await;
    report(&world.server, asset, &said(Outcome::Reverted, ControlState::Exposed, Some(Origin::Ours))).await;
    assert_eq!(over(&world.admin, rollback["jobNumber"].as_str().unwrap()).await, "COMPLETED");
    let actions = format!(
        "/mtg/v1/deploymentjob/{}/deploymentjobresult/actions?agentUUID={}&endDateTime=1",
        rollback["id"].as_str().unwrap(),
        asset_id(asset)
    );
    let rows = script.post(&actions, &json!({})).await.expect(200);
    assert_eq!((&rows[0]["action"], &rows[0]["returnCode"]), (&json!("Rollback Mitigation"), &json!(0)), "{rows}");
    let again = script.post("/mtg/v1/deploymentjob", &wanted(qid, &[asset], &back)).await;
    assert_eq!(error(&again).2, "nothing_to_roll_back");
    let drafts = world.admin.get("/api/v1/jobs?q=status:draft").await.expect(200);
    assert_eq!(drafts["jobs"], json!([]), "what was refused left no draft");
});

both_servers!(a_script_names_co_authors_and_its_token_ends_after_four_hours, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let assets = keys(&assets);
    world.server.user("oz", &["job_author"]).await;
    let script = signed_in(&world, "admin", ADMIN_PASSWORD).await;
    let unknown = wanted(qid, &assets[..1], &json!({ "coAuthorUserIds": ["nobody"] }));
    let unknown = script.post("/mtg/v1/deploymentjob", &unknown).await;
    assert_eq!((unknown.status, error(&unknown).1.as_str()), (400, "1905"), "{}", unknown.text);
    let job = made(&script, &wanted(qid, &assets[..1], &json!({ "coAuthorUserIds": ["oz"] }))).await;
    let ids = job["coAuthorUserIds"].clone();
    assert_eq!(ids[0].as_str().map(str::len), Some(36), "{job}");
    let coauthors = async || {
        let number = job["jobNumber"].as_str().unwrap();
        let shown = world.server.admin().await.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
        shown["job"]["coauthors"].as_array().unwrap().len()
    };
    assert_eq!(coauthors().await, 1);
    changed(&script, &job, &json!({ "coAuthorUserIds": [] })).await;
    assert_eq!(coauthors().await, 0, "an empty list empties");
    let named = changed(&script, &job, &json!({ "coAuthorUserIds": ids })).await;
    assert_eq!((&named["coAuthorUserIds"], coauthors().await), (&ids, 1), "by the id that was told");

    let path = format!("/mtg/v1/deploymentjob/{}", job["id"].as_str().unwrap());
    world.server.clock.advance(4 * 3_600 - 1);
    assert_eq!(script.get(&path).await.status, 200);
    world.server.clock.advance(2);
    assert_eq!(error(&script.get(&path).await).0, 401);
});
