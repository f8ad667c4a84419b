//! The Qualys-compatible API: its calls, its one rule of its own (R7), and what it never gives away.

mod changes;

use crate::hands::{in_place, over, program, ready, report, said, tag};
use crate::world::World;
use domain::mitigation::{ControlState, Origin};
use protocol::agent::Outcome;
use serde_json::{Value, json};
use testkit::both_servers;
use testkit::server::{ADMIN_PASSWORD, Client, USER_PASSWORD};

const NOT_RECURRING: &str = "Non-recurring jobs cannot be disabled once enabled by user";

/// The id of an asset in this API, as `server::mtg` makes it.
pub fn asset_id(key: i64) -> String {
    server::mtg::asset_id(key).to_string()
}

/// A program with a token from `/auth`.
async fn signed_in(world: &World, name: &str, password: &str) -> Client {
    let client = world.server.client();
    let reply = client.form("/auth", &[("username", name), ("password", password), ("token", "true")]).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    assert_eq!(reply.text.matches('.').count(), 2, "a JWT by its form: {}", reply.text);
    world.server.client().with_token(&reply.text)
}

fn wanted(qid: i64, assets: &[i64], more: &Value) -> Value {
    let mut body = json!({
        "name": "by a script", "platform": "Linux", "type": "Install", "scheduleType": "On-demand", "status": "Disabled",
        "qids": [qid], "assetIds": assets.iter().map(|key| asset_id(*key)).collect::<Vec<_>>(),
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn made(client: &Client, body: &Value) -> Value {
    client.post("/mtg/v1/deploymentjob", body).await.expect(200)
}

async fn status(client: &Client, to: &str, ids: &[&str]) -> Value {
    client.post(&format!("/mtg/v1/deploymentjobs/update/status/{to}"), &json!({ "ids": ids })).await.expect(200)
}

fn error(reply: &testkit::server::Reply) -> (u16, String, String) {
    let error = &reply.json["_error"];
    assert!(error.is_object(), "{}", reply.text);
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    (reply.status, text("errorCode"), text("reason"))
}

fn keys(assets: &[Value]) -> Vec<i64> {
    assets.iter().map(|asset| asset["id"].as_i64().unwrap()).collect()
}

both_servers!(r7_only_the_compatible_api_refuses_to_disable_what_does_not_recur, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let assets = keys(&assets);
    let script = signed_in(&world, "admin", ADMIN_PASSWORD).await;
    let later = json!({
        "status": "Enabled", "scheduleType": "Once", "startDateTime": "2031-1-23 04:27:51 AM",
        "timezoneType": "SPECIFIC_TZ", "timezone": "Europe/Rome",
    });
    let one = made(&script, &wanted(qid, &assets[..1], &later)).await;
    let other = made(&script, &wanted(qid, &assets[1..2], &json!({ "name": "other" }))).await;
    assert_eq!((&one["status"], &other["status"]), (&json!("Enabled"), &json!("Disabled")));
    assert_eq!(one["startDateTime"], "2031-1-23 04:27:51 AM");
    assert_eq!((&one["timezoneType"], &one["timezone"]), (&json!("SPECIFIC_TZ"), &json!("Europe/Rome")));
    let (one_id, other_id) = (one["id"].as_str().unwrap(), other["id"].as_str().unwrap());
    let unknown = "00000000-0000-8000-8000-000000000000";
    let rows = status(&script, "Disabled", &[one_id, unknown, "nonsense"]).await;
    assert_eq!(rows[0], json!({ "id": one_id, "name": "by a script", "status": "failure", "error": NOT_RECURRING }));
    assert!(rows[1]["status"] == "failure" && rows[2]["status"] == "failure", "{rows}");
    let rows = status(&script, "Enabled", &[one_id, other_id]).await;
    assert_eq!((&rows[0]["status"], &rows[1]["status"]), (&json!("failure"), &json!("success")), "mixed: {rows}");
    assert_eq!(rows[1], json!({ "id": other_id, "name": "other", "status": "success" }));

    // S1.22: everywhere else the scheduled job can be disabled and enabled again.
    let number = one["jobNumber"].as_str().unwrap();
    for act in ["disable", "enable"] {
        world.admin.post(&format!("/api/v1/jobs/{number}/{act}"), &json!({})).await.expect(200);
    }
});

both_servers!(a_script_makes_changes_runs_reads_and_deletes_a_job, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let assets = keys(&assets);
    let script = signed_in(&world, "admin", ADMIN_PASSWORD).await;
    let job = made(&script, &wanted(qid, &assets[..2], &json!({ "description": "d", "unknownField": 1 }))).await;
    let id = job["id"].as_str().unwrap().to_owned();
    assert_eq!((&job["assetCount"], &job["jobCategory"], &job["recurring"]), (&json!(2), &json!(3), &json!(false)));
    assert_eq!(
        (&job["startDateTime"], &job["timezone"], &job["completedDate"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert!(job["createdBy"]["date"].as_i64().unwrap() > 1_700_000_000_000, "milliseconds: {job}");
    assert_eq!(job["createdBy"]["user"]["name"], "admin");
    let path = format!("/mtg/v1/deploymentjob/{id}");
    assert_eq!(script.get(&path).await.expect(200)["qids"], json!([qid]));

    let changed =
        script.patch(&path, &json!({ "name": "renamed", "assetIds": [asset_id(assets[0])] })).await.expect(200);
    assert_eq!((&changed["name"], &changed["assetIds"]), (&json!("renamed"), &json!([asset_id(assets[0])])));
    let again =
        script.patch(&path, &json!({ "assetIds": [asset_id(assets[0]), asset_id(assets[1])] })).await.expect(200);
    assert_eq!(again["assetCount"], 2, "of a job made here assets can be added, too");
    for (body, number) in [
        (json!({ "platform": "Windows" }), "1907"),
        (json!({ "scheduleType": "Weekly" }), "1907"),
        (json!({ "scheduleType": "Once" }), "1903"),
        (json!({ "assetIds": ["x"] }), "1905"),
    ] {
        let refused = script.patch(&path, &body).await;
        assert_eq!((refused.status, error(&refused).1.as_str()), (400, number), "{body}: {}", refused.text);
    }
    for (missing, number) in [("qids", "1903"), ("assetIds", "1903"), ("name", "1903"), ("platform", "1903")] {
        let mut body = wanted(qid, &assets, &json!({}));
        body[missing] = Value::Null;
        let refused = script.post("/mtg/v1/deploymentjob", &body).await;
        assert_eq!((refused.status, error(&refused).1.as_str()), (400, number), "{missing}: {}", refused.text);
    }
    let mac = script.post("/mtg/v1/deploymentjob", &wanted(qid, &assets, &json!({ "platform": "Mac" }))).await;
    assert_eq!(error(&mac).1, "1905", "R8");
    let listed = world.admin.get("/api/v1/jobs").await.expect(200);
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 1, "what was refused left no draft: {listed}");

    assert_eq!(status(&script, "Enabled", &[&id]).await[0]["status"], "success");
    ready(&world.server, 2).await;
    let running = script.get("/mtg/v1/deploymentjobs?platform=Linux&pageSize=20&status=Running").await.expect(200);
    assert_eq!(running[0]["id"], json!(id), "{running}");
    report(&world.server, assets[0], &in_place()).await;
    report(&world.server, assets[1], &said(Outcome::Unchanged, ControlState::Effective, Some(Origin::External))).await;
    over(&world.admin, job["jobNumber"].as_str().unwrap()).await;
    let done = script.get(&path).await.expect(200);
    assert_eq!(
        (&done["status"], &done["completionPercent"], &done["jobResult"]),
        (&json!("Completed"), &json!(100), &json!("Completed"))
    );
    for (query, count) in [
        ("platform=Linux", 1),
        ("platform=Windows", 0),
        ("status=Completed", 1),
        ("status=Failed", 0),
        ("status=Enabled", 0),
        ("status=Deleted", 0),
        ("pageNumber=1&pageSize=1", 0),
        ("pageNumber=0&pageSize=1", 1),
    ] {
        let list = script.get(&format!("/mtg/v1/deploymentjobs?{query}")).await.expect(200);
        assert_eq!(list.as_array().unwrap().len(), count, "{query}");
    }

    let summary = script.post(&format!("{path}/deploymentjobresult/summary"), &json!({})).await.expect(200);
    let rows = summary["assets"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    let row = rows.iter().find(|row| row["assetId"] == asset_id(assets[1])).unwrap();
    assert_eq!(
        (&row["status"], &row["statusCode"], &row["skippedActionsCount"]),
        (&json!("Completed"), &json!(2036), &json!(1))
    );
    let (agent, end) = (row["agentUUID"].as_str().unwrap(), row["endDateTime"].as_i64().unwrap());
    let actions = format!("{path}/deploymentjobresult/actions?agentUUID={agent}&endDateTime={end}");
    let found =
        script.post(&actions, &json!({ "query": "actionStatus:[Succeeded,Failed,Skipped,Partial]" })).await.expect(200);
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found[0]["params"]["qid"], json!(qid.to_string()), "numbers inside params are texts");
    assert_eq!((&found[0]["returnCode"], &found[0]["mitigationReturnCode"]), (&json!(33), &json!(203)));
    assert_eq!(found[0]["params"]["timeout"], domain::task::RUN_SECONDS.to_string());
    assert!(found[0]["mitigationReason"].as_str().unwrap().contains("put there by others"));
    let failed = script.post(&actions, &json!({ "query": "actionStatus:[Failed]" })).await.expect(200);
    assert_eq!(failed, json!([]));
    for (query, number) in [("", "1903"), ("?agentUUID=x&endDateTime=1", "1905"), ("?agentUUID=x", "1903")] {
        let refused = script.post(&format!("{path}/deploymentjobresult/actions{query}"), &json!({})).await;
        assert_eq!((refused.status, error(&refused).1.as_str()), (400, number), "{query}");
    }
    let told = script
        .post(&format!("/pm/v1/report/mitigationjobprogress/{id}"), &json!({ "name": null, "columns": null }))
        .await;
    let told = told.expect(200);
    assert_eq!(told.as_array().unwrap().len(), 2);
    assert!(told[0]["assetId"].as_str().is_some_and(|id| id.len() == 36), "{told}");
    let some = json!({ "columns": ["qid", "returnCode"] });
    let some = script.post(&format!("/pm/v1/report/mitigationjobprogress/{id}"), &some).await.expect(200);
    assert_eq!(some[0].as_object().unwrap().len(), 2);

    let gone = script.request(reqwest::Method::DELETE, "/mtg/v1/deploymentjobs").json(&json!({ "ids": [id] }));
    assert_eq!(script.send(gone).await.expect(200)[0]["status"], "success");
    let absent = script.get(&path).await;
    assert_eq!(error(&absent), (404, "404".to_owned(), "not_found".to_owned()));
});

both_servers!(r19_tags_choose_assets_any_and_all_and_a_scope_clips_them, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let assets = keys(&assets);
    tag(&world, assets[0], &["prod", "web"]).await;
    tag(&world, assets[1], &["prod"]).await;
    let script = signed_in(&world, "admin", ADMIN_PASSWORD).await;
    let count = async |client: &Client, more: Value| {
        let mut body = wanted(qid, &[], &more);
        body["assetIds"] = json!([]);
        let job = made(client, &body).await;
        (job["assetCount"].as_i64().unwrap(), job["taggedAssetCount"].as_i64().unwrap(), job["assetTagIds"].clone())
    };
    let (two, tagged, ids) = count(&script, json!({ "assetTagIds": ["prod"], "filterType": "Any" })).await;
    assert_eq!((two, tagged), (2, 2));
    let prod = ids[0].as_str().unwrap().to_owned();
    let (again, ..) = count(&script, json!({ "assetTagIds": [prod], "filterType": "All" })).await;
    assert_eq!(again, 2, "its id stands for the tag");
    assert_eq!(count(&script, json!({ "assetTagIds": [prod, "web"], "filterType": "All" })).await.0, 1);
    assert_eq!(count(&script, json!({ "assetTagIds": [prod, "web"], "filterType": "Any" })).await.0, 2);
    assert_eq!(count(&script, json!({ "assetTagIds": [prod], "exclusionTagIds": ["web"] })).await.0, 1);
    assert_eq!(count(&script, json!({ "assetTagIds": [prod], "matchAllTagIds": ["web"] })).await.0, 1);
    let sam = program(&world, "sam", &["job_author"], Some(&["web"]), &["read", "jobs"]).await;
    assert_eq!(count(&sam, json!({ "assetTagIds": [prod] })).await.0, 1, "clipped to his scope");
});

both_servers!(the_compatible_api_gives_nothing_away, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let assets = keys(&assets);
    tag(&world, assets[0], &["prod"]).await;
    let script = signed_in(&world, "admin", ADMIN_PASSWORD).await;
    let job = made(&script, &wanted(qid, &assets[..2], &json!({}))).await;
    let id = job["id"].as_str().unwrap();
    let path = format!("/mtg/v1/deploymentjob/{id}");
    let progress = format!("/pm/v1/report/mitigationjobprogress/{id}");

    // Nobody, a browser's session, a wrong password, a token that may only look, one that may only write.
    let nobody = world.server.client();
    for reply in [nobody.get(&path).await, nobody.get("/mtg/v1/deploymentjobs").await, world.admin.get(&path).await] {
        assert_eq!(error(&reply).0, 401, "{}", reply.text);
    }
    let wrong = nobody.form("/auth", &[("username", "admin"), ("password", "guess")]).await;
    assert_eq!(error(&wrong), (401, "401".to_owned(), "wrong_credentials".to_owned()));
    let looks = program(&world, "lou", &["administrator"], None, &["read"]).await;
    assert_eq!(looks.get(&path).await.status, 200);
    let refused = looks.post("/mtg/v1/deploymentjob", &wanted(qid, &assets[..1], &json!({}))).await;
    assert_eq!(error(&refused), (403, "403".to_owned(), "token_scope".to_owned()));
    let rows = status(&looks, "Enabled", &[id]).await;
    assert!(rows[0]["status"] == "failure" && rows[0]["error"].as_str().unwrap().contains("scope"), "{rows}");
    let writes = program(&world, "wes", &["administrator"], None, &["jobs"]).await;
    for reply in [
        writes.get(&path).await,
        writes.post(&progress, &json!({})).await,
        writes.post("/mtg/v1/vulnerabilities/mitigations", &json!({})).await,
    ] {
        assert_eq!(error(&reply).0, 403, "{}", reply.text);
    }

    // Another author: sees it, changes nothing of it.
    world.server.user("otto", &["job_author"]).await;
    let otto = signed_in(&world, "otto", USER_PASSWORD).await;
    assert_eq!(otto.get(&path).await.status, 200);
    assert_eq!(error(&otto.patch(&path, &json!({ "name": "mine" })).await).0, 403);
    let rows = status(&otto, "Enabled", &[id]).await;
    assert_eq!(rows[0]["status"], "failure", "{rows}");
    let gone = otto.request(reqwest::Method::DELETE, "/mtg/v1/deploymentjobs").json(&json!({ "ids": [id] }));
    assert_eq!(otto.send(gone).await.expect(200)[0]["status"], "failure");

    // A scope: nothing of the other asset, neither as a target nor as a result.
    let sam = program(&world, "sam", &["job_author"], Some(&["prod"]), &["read", "jobs"]).await;
    let seen = sam.get(&path).await.expect(200);
    assert_eq!(seen["assetIds"], json!([asset_id(assets[0])]));
    let told = sam.post(&progress, &json!({})).await.expect(200);
    assert!(told.as_array().unwrap().iter().all(|line| line["assetId"] == asset_id(assets[0])), "{told}");
    let summary = sam.post(&format!("{path}/deploymentjobresult/summary"), &json!({})).await.expect(200);
    assert_eq!(summary["assets"].as_array().unwrap().len(), 1);
    let hidden = asset_id(assets[1]);
    let actions = format!("{path}/deploymentjobresult/actions?agentUUID={hidden}&endDateTime=1");
    assert_eq!(error(&sam.post(&actions, &json!({})).await).0, 404);
    assert_eq!(script.post(&actions, &json!({})).await.status, 200);
    let reach = sam.post("/mtg/v1/deploymentjob", &wanted(qid, &assets[1..2], &json!({}))).await;
    assert_eq!((reach.status, reach.json["_error"]["details"][0]["code"].as_str()), (400, Some("unknown_asset")));
    let blind = program(&world, "bo", &["job_author"], Some(&["other"]), &["read", "jobs"]).await;
    for reply in [blind.get(&path).await, blind.post(&progress, &json!({})).await] {
        assert_eq!(error(&reply).0, 404);
    }
    assert_eq!(blind.get("/mtg/v1/deploymentjobs").await.expect(200), json!([]));

    // A draft of the wizard does not exist here; what is at no address answers in this API's shape.
    let draft = crate::hands::draft(&world.admin, qid, &assets[..1]).await;
    assert_eq!(error(&script.get(&format!("/mtg/v1/deploymentjob/{draft}")).await).0, 404);
    assert_eq!(error(&script.get("/mtg/v1/nothing").await).0, 404);
});

both_servers!(the_catalogue_is_given_by_qid_fixes_and_temporary_mitigations_alike, |server| async move {
    let world = World::ready(server).await;
    let (qid, _) = world.mitigable().await;
    let script = signed_in(&world, "admin", ADMIN_PASSWORD).await;
    let path = "/mtg/v1/vulnerabilities/mitigations";
    let all = script.post(path, &json!({})).await.expect(200);
    assert!(all.as_array().unwrap().len() > 3, "{all}");
    let one =
        script.post(path, &json!({ "qids": qid, "platform": "Linux", "implication": "MITIGATION" })).await.expect(200);
    assert_eq!(one[0]["qid"], qid);
    let by_cve = one[0]["vulnMitigation"]["Linux"]["scriptBased"].as_object().unwrap();
    for mitigation in by_cve.values().flat_map(|list| list.as_array().unwrap()) {
        assert_eq!(mitigation["implication"], "MITIGATION");
        assert!((1..=99).contains(&mitigation["impactFactor"].as_i64().unwrap()), "R18: {mitigation}");
        assert_eq!(mitigation["mitigationId"].as_str().unwrap().len(), 36);
    }
    let fixes = script.post(path, &json!({ "implication": "FIX" })).await.expect(200);
    assert!(!fixes.to_string().contains("\"MITIGATION\""));
    assert_eq!(script.post(path, &json!({ "pageSize": 1, "pageNumber": 1 })).await.expect(200)[0], all[1]);
    let refused = script.post(path, &json!({ "implication": "fix" })).await;
    assert_eq!(error(&refused).1, "1905", "case-sensitive, as at Qualys");
    let flat = script.get("/mtg/v1/mitigations?pageSize=5").await.expect(200);
    assert_eq!(flat.as_array().unwrap().len(), 5);
});
