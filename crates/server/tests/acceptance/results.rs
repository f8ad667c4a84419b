//! What people read of a job once it ran: R9 to R16, S1.23 to S1.25, the report, the status column, retention.

use crate::hands::{act, draft, in_place, only_safe, over, patch, program, ready, report, running, said, tag};
use crate::world::{World, admin_browser, gist};
use domain::mitigation::{ControlState, Origin};
use protocol::agent::Outcome;
use serde_json::{Value, json};
use testkit::both_servers;

fn lines(report: &Value) -> &Vec<Value> {
    report["lines"].as_array().unwrap()
}

async fn status(world: &World, q: &str) -> Vec<(i64, String, Value)> {
    let items = world.admin.get(&format!("/api/v1/items?limit=500&q={q}")).await.expect(200);
    let mut found: Vec<_> = items["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| (i["asset_id"].as_i64().unwrap(), i["status"].as_str().unwrap().to_owned(), i["last_job"].clone()))
        .collect();
    found.sort_by_key(|(asset, ..)| *asset);
    found
}

both_servers!(s1_25_the_status_column_follows_a_job_and_names_it, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let assets: Vec<i64> = assets.iter().map(|asset| asset["id"].as_i64().unwrap()).take(2).collect();
    let q =
        format!("qid:{qid} and ({})", assets.iter().map(|a| format!("asset.id:{a}")).collect::<Vec<_>>().join(" or "));
    let of = |words: [&str; 2], job: &Value| -> Vec<(i64, String, Value)> {
        let mut all: Vec<_> =
            assets.iter().zip(words).map(|(asset, word)| (*asset, word.to_owned(), job.clone())).collect();
        all.sort_by_key(|(asset, ..)| *asset);
        all
    };
    assert_eq!(status(&world, &q).await, of(["open", "open"], &Value::Null));
    let number = draft(&world.admin, qid, &assets).await;
    only_safe(&world, &number, qid).await;
    assert_eq!(status(&world, &q).await, of(["open", "open"], &Value::Null), "a draft is no job yet");

    let later = json!({ "schedule": { "when": "once", "at": "2031-01-01T02:00:00", "zone": "UTC" } });
    patch(&world.admin, &number, &later).await.expect(200);
    world.admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true })).await.expect(200);
    let job = json!(number);
    assert_eq!(status(&world, &q).await, of(["scheduled", "scheduled"], &job));
    let listed = world.admin.get(&format!("/api/v1/vulnerabilities/{qid}")).await.expect(200);
    assert_eq!(listed["vulnerability"]["last_job"], job);

    act(&world.admin, &number, "disable").await.expect(200);
    assert_eq!(status(&world, &q).await, of(["open", "open"], &job), "a disabled job promises nothing");
    patch(&world.admin, &number, &json!({ "schedule": { "when": "on_demand" } })).await.expect(200);
    act(&world.admin, &number, "enable").await.expect(200);
    ready(&world.server, 2).await;
    assert_eq!(status(&world, &q).await, of(["running", "running"], &job));
    assert_eq!(status(&world, &format!("{q} and status:running")).await.len(), 2);
    let me = admin_browser(&world.server).await;
    let page = me.page(&format!("/items?q={}", q.replace(' ', "%20").replace(':', "%3A"))).await;
    assert!(page.contains("Running") && page.contains(&format!("href=\"/jobs/{number}\"")), "{}", gist(&page));

    report(&world.server, assets[0], &in_place()).await;
    report(&world.server, assets[1], &said(Outcome::Failed, ControlState::Exposed, None)).await;
    assert_eq!(over(&world.admin, &number).await, "COMPLETED_WITH_FAILURES");
    let after = status(&world, &q).await;
    let first = after.iter().find(|(asset, ..)| *asset == assets[0]).unwrap();
    assert!(matches!(first.1.as_str(), "mitigated" | "partial"), "{after:?}");
    let second = after.iter().find(|(asset, ..)| *asset == assets[1]).unwrap();
    assert_eq!((second.1.as_str(), &second.2), ("open", &job), "the job that failed is still named");
    let page = me.page("/vulnerabilities?q=is:found").await;
    assert!(page.contains("Partly mitigated") && page.contains(&format!("/jobs/{number}")), "{}", gist(&page));
});

both_servers!(r16_a_report_names_every_code_with_its_reason, |server| async move {
    let world = World::ready(server).await;
    let (number, qid, assets) = running(&world).await;
    let planned = world.admin.get(&format!("/api/v1/jobs/{number}/report")).await.expect(200);
    assert!(lines(&planned).iter().all(|line| line["actionStatus"] == "Pending"), "{planned}");
    let external = said(Outcome::Unchanged, ControlState::Effective, Some(Origin::External));
    report(&world.server, assets[0], &external).await;
    for asset in &assets[1..] {
        report(&world.server, *asset, &said(Outcome::Failed, ControlState::Exposed, None)).await;
    }
    assert_eq!(over(&world.admin, &number).await, "COMPLETED_WITH_FAILURES", "R16");
    let told = world.admin.get(&format!("/api/v1/jobs/{number}/report")).await.expect(200);
    assert_eq!((told["job"].as_str().unwrap(), told["run"].as_i64()), (number.as_str(), Some(1)));
    assert_eq!(lines(&told).len(), assets.len());
    for line in lines(&told) {
        assert_eq!(line["qid"], qid);
        assert!(!line["mitigationReason"].as_str().unwrap().is_empty(), "never a code without its reason: {line}");
        if line["assetId"] == assets[0] {
            assert_eq!((&line["returnCode"], &line["mitigationReturnCode"]), (&json!(33), &json!(203)));
            assert!(line["mitigationReason"].as_str().unwrap().contains("put there by others"), "{line}");
            assert_eq!((&line["actionStatus"], &line["jobStatus"]), (&json!("Skipped"), &json!("Completed")));
            assert!(line["scoreAfter"].as_i64() < line["scoreBefore"].as_i64(), "R14: the score is lowered: {line}");
        } else {
            assert_eq!((&line["returnCode"], &line["actionStatus"]), (&json!(1), &json!("Failed")));
            assert_eq!(line["jobStatus"], "Completed with Failure");
            assert_eq!(line["mitigationReason"], "said by a test");
        }
    }
    let failed = world.admin.get(&format!("/api/v1/jobs/{number}/report?status=Failed")).await.expect(200);
    assert_eq!(lines(&failed).len(), assets.len() - 1);
    for (query, code) in
        [("?status=Lost", "unknown_status"), ("?format=xml", "bad_format"), ("?columns=x", "unknown_column")]
    {
        let refused = world.admin.get(&format!("/api/v1/jobs/{number}/report{query}")).await;
        assert_eq!((refused.status, refused.json["errors"][0]["code"].as_str()), (422, Some(code)), "{}", refused.text);
    }
    assert_eq!(world.admin.get(&format!("/api/v1/jobs/{number}/report?run=2")).await.status, 404);

    // The same as CSV, with a host whose name would be a formula.
    let asset = assets[0];
    let write = world.server.app().database.write(move |tx| {
        tx.execute("UPDATE asset SET name = '=HYPERLINK(\"http://evil.example\")' WHERE id = $1", &[&asset])
    });
    write.await.unwrap();
    let csv = world.admin.get(&format!("/api/v1/jobs/{number}/report?format=csv")).await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(csv.headers["content-disposition"], format!("attachment; filename=\"{number}-report.csv\""));
    let mut rows = csv.text.lines();
    assert!(rows.next().unwrap().starts_with("jobNumber,run,assetId,assetName,"), "{}", csv.text);
    assert_eq!(rows.count(), assets.len());
    assert!(csv.text.contains("\"'=HYPERLINK(\"\"http://evil.example\"\")\""), "{}", csv.text);
    let query = "format=csv&columns=qid,returnCode&status=skipped";
    let some = world.admin.get(&format!("/api/v1/jobs/{number}/report?{query}")).await;
    assert_eq!(some.text, format!("qid,returnCode\n{qid},33\n"));
});

both_servers!(a_report_shows_nothing_outside_the_scope_and_nothing_to_a_token_that_may_not_look, |server| async move {
    let world = World::ready(server).await;
    let (number, _, assets) = running(&world).await;
    tag(&world, assets[0], &["prod"]).await;
    let seeing = program(&world, "sam", &["job_reader"], Some(&["prod"]), &["read"]).await;
    for path in ["report", "report?format=csv", "cves"] {
        assert_eq!(seeing.get(&format!("/api/v1/jobs/{number}/{path}")).await.status, 200, "{path}");
    }
    let told = seeing.get(&format!("/api/v1/jobs/{number}/report")).await.expect(200);
    assert_eq!(lines(&told).iter().map(|line| line["assetId"].as_i64().unwrap()).collect::<Vec<_>>(), [assets[0]]);
    let cves = seeing.get(&format!("/api/v1/jobs/{number}/cves")).await.expect(200);
    assert!(cves["cves"].as_array().unwrap().iter().all(|cve| cve["assets"] == 1), "{cves}");
    let blind = program(&world, "bo", &["job_reader"], Some(&["other"]), &["read"]).await;
    let mute = program(&world, "mo", &["job_author"], None, &["jobs"]).await;
    for path in ["report", "report?format=csv", "cves"] {
        let path = format!("/api/v1/jobs/{number}/{path}");
        assert_eq!(blind.get(&path).await.status, 404, "{path}");
        let refused = mute.get(&path).await;
        assert_eq!((refused.status, refused.code()), (403, "token_scope"), "{path}");
    }
    let items = seeing.get("/api/v1/items?limit=500").await;
    assert_eq!(items.status, 403, "a job reader works on no items");
});

both_servers!(r9_r10_r11_s1_23_a_cve_view_tells_mitigated_from_lowered_from_untouched, |server| async move {
    let world = World::ready(server).await;
    let (number, qid, assets) = running(&world).await;
    let before = world.admin.get(&format!("/api/v1/jobs/{number}/cves")).await.expect(200);
    for cve in before["cves"].as_array().unwrap() {
        assert_eq!((&cve["mitigated"], &cve["partly"], &cve["not"]), (&json!(0), &json!(0), &cve["assets"]), "{cve}");
        assert_eq!(cve["inherent"], cve["residual"]);
        assert_eq!(cve["qids"], json!([qid]));
    }
    report(&world.server, assets[0], &in_place()).await;
    report(&world.server, assets[1], &said(Outcome::Succeeded, ControlState::Configured, Some(Origin::Ours))).await;
    let after = world.admin.get(&format!("/api/v1/jobs/{number}/cves")).await.expect(200);
    let job = world.admin.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
    let covers = job["job"]["actions"][0]["covers"].as_array().unwrap().clone();
    for cve in after["cves"].as_array().unwrap() {
        let cover = covers.iter().find(|cover| cover["cve"] == cve["cve"]);
        let lowered = |cover: &Value| cover["points"].as_i64().unwrap() > 1;
        match cover {
            None => assert_eq!(cve["not"], cve["assets"], "nothing covers it: {cve}"),
            Some(cover) if cover["coverage"] == "partial" => assert_eq!(cve["mitigated"], 0, "{cve}"),
            Some(cover) => {
                assert_eq!(cve["mitigated"], 1, "R9: only where it is effective: {cve}");
                assert_eq!(cve["partly"], i64::from(lowered(cover)), "configured takes half the points: {cve}");
                assert_eq!(cve["points"], cover["points"], "{cve}");
            }
        }
    }
    // R10, R11, S1.24: item by item.
    let items = world.admin.get(&format!("/api/v1/items?q=qid:{qid} and asset.id:{}", assets[0])).await.expect(200);
    let item = items["items"][0]["number"].as_str().unwrap();
    let score = world.admin.get(&format!("/api/v1/items/{item}/score")).await.expect(200)["score"].clone();
    let mut highest = 0;
    for unit in score["units"].as_array().unwrap() {
        let (inherent, points) = (unit["inherent"].as_i64().unwrap(), unit["points"].as_i64().unwrap());
        assert_eq!(unit["residual"].as_i64().unwrap(), (inherent - points).max(1), "R10: {unit}");
        highest = highest.max(unit["residual"].as_i64().unwrap());
    }
    assert_eq!(score["residual"], highest, "R11");
});

both_servers!(evidence_is_forgotten_after_its_time_and_results_are_not, |server| async move {
    let world = World::ready(server).await;
    let (number, _, assets) = running(&world).await;
    for asset in &assets {
        report(&world.server, *asset, &in_place()).await;
    }
    over(&world.admin, &number).await;
    let app = world.server.app().clone();
    let digest = async || {
        let number = number.clone();
        let admin = world.caller("admin").await;
        let read = app.database.try_read(move |tx| {
            let ordinal = number.trim_start_matches("MJ").parse().unwrap();
            let job = server::engine::jobs::load(tx, &admin, ordinal)?;
            let reader = server::views::report::Reader::new(tx, &job, None)?;
            Ok::<_, server::http::Error>(server::engine::evidence::of_runs(tx, reader.runs(), &job.scope)?)
        });
        read.await.unwrap()
    };
    let before = digest().await;
    assert_eq!((before.tasks, before.forgotten, before.digest.len()), (assets.len(), 0, 64));
    let shown = world.admin.get("/api/v1/settings/retention").await.expect(200);
    assert_eq!(shown["retention"], json!({ "days": 400, "default_days": 400 }));
    for days in [1, -5, 40_000] {
        let refused = world
            .admin
            .send(
                world.admin.request(reqwest::Method::PUT, "/api/v1/settings/retention").json(&json!({ "days": days })),
            )
            .await;
        assert_eq!(refused.status, 422, "{days}: {}", refused.text);
    }
    let reader = program(&world, "rae", &["job_reader"], None, &["all"]).await;
    let put = |client: &testkit::server::Client, days: i64| {
        client.request(reqwest::Method::PUT, "/api/v1/settings/retention").json(&json!({ "days": days }))
    };
    assert_eq!(reader.send(put(&reader, 7)).await.status, 403);
    world.admin.send(put(&world.admin, 30)).await.expect(200);

    world.server.clock.advance(29 * 86_400);
    assert_eq!(server::engine::evidence::sweep(&app).await.unwrap(), 0, "not yet");
    world.server.clock.advance(86_400 + 1);
    assert_eq!(server::engine::evidence::sweep(&app).await.unwrap(), u64::try_from(assets.len()).unwrap());
    assert_eq!(server::engine::evidence::sweep(&app).await.unwrap(), 0, "twice does no harm");
    let after = digest().await;
    assert_eq!((after.tasks, after.forgotten), (assets.len(), assets.len()));
    assert_eq!(after.digest, before.digest, "what was kept elsewhere can still be recognised");
    let admin = world.server.admin().await;
    let tasks = admin.get(&format!("/api/v1/jobs/{number}/tasks")).await.expect(200);
    for task in tasks["tasks"].as_array().unwrap() {
        assert_eq!((&task["code"], &task["report"]), (&json!(0), &Value::Null), "{task}");
    }
    let told = admin.get(&format!("/api/v1/jobs/{number}/report")).await.expect(200);
    assert!(lines(&told).iter().all(|line| line["actionStatus"] == "Succeeded"), "{told}");
});

/// A job that is over and failed on its first asset alone; its number, and the assets.
async fn failed_on_the_first(world: &World) -> (String, Vec<i64>) {
    let (number, _, assets) = running(world).await;
    for asset in &assets[1..] {
        report(&world.server, *asset, &in_place()).await;
    }
    report(&world.server, assets[0], &said(Outcome::Failed, ControlState::Exposed, None)).await;
    assert_eq!(over(&world.admin, &number).await, "COMPLETED_WITH_FAILURES");
    (number, assets)
}

both_servers!(a_printed_summary_has_the_evidence_of_all_its_lines, |server| async move {
    let world = World::ready(server).await;
    let (number, assets) = failed_on_the_first(&world).await;
    let me = admin_browser(&world.server).await;
    let all = format!("The reports of {} tasks,", assets.len());
    let first = me.page(&format!("/jobs/{number}/summary")).await;
    assert!(first.contains(&all), "{}", gist(&first));

    // The retry does one asset again; the summary tells of all, and of that one the last try only.
    act(&world.admin, &number, "retry").await.expect(200);
    ready(&world.server, 1).await;
    report(&world.server, assets[0], &in_place()).await;
    assert_eq!(over(&world.admin, &number).await, "COMPLETED");
    let again = me.page(&format!("/jobs/{number}/summary")).await;
    assert!(again.contains(&all), "{}", gist(&again));
    let told = world.admin.get(&format!("/api/v1/jobs/{number}/report")).await.expect(200);
    assert_eq!(lines(&told).len(), assets.len());
    // Another report of one asset is another digest; that of the first run alone is still what it was.
    let digest = |page: &str| crate::world::between(page, "<p>SHA-256 <code>", "</code>").to_owned();
    let whole = me.page(&format!("/jobs/{number}/summary?run=1")).await;
    let of = [&first, &again, &whole].map(|page| digest(page.as_str()));
    assert!(of[0] != of[1] && of[0] == of[2], "{of:?}");
});

both_servers!(a_retry_that_is_halted_says_so_and_tells_of_the_others_what_they_did, |server| async move {
    let world = World::ready(server).await;
    let (number, _) = failed_on_the_first(&world).await;
    act(&world.admin, &number, "retry").await.expect(200);
    ready(&world.server, 1).await;
    let me = admin_browser(&world.server).await;
    let paper = me.page(&format!("/jobs/{number}/summary?run=2")).await;
    assert_eq!(paper.matches("<td>Pending<br>").count(), 1, "only what is tried again waits: {}", gist(&paper));

    let path = format!("/api/v1/jobs/{number}/run/halt");
    let halted = world.admin.post(&path, &json!({ "reason": "not now" })).await.expect(200);
    assert_eq!(halted["runs"][0]["ordinal"], 2, "{halted}");
    let runs = world.admin.get(&format!("/api/v1/jobs/{number}/runs")).await.expect(200);
    let states: Vec<&str> = runs["runs"].as_array().unwrap().iter().filter_map(|run| run["state"].as_str()).collect();
    assert_eq!(states, ["halted", "completed_with_failures"], "{runs}");
    for path in [format!("/jobs/{number}"), format!("/jobs/{number}/summary"), "/jobs".to_owned(), "/".to_owned()] {
        let page = me.page(&path).await;
        assert!(page.contains("</svg>Halted</span>"), "{path}: {}", gist(&page));
        assert!(!page.contains("</svg>Running</span>"), "{path}: {}", gist(&page));
    }
});
