//! The pages of the response half over real HTTP: from a vulnerability to a job by forms alone (S1.02 to S1.22), what a
//! role does not see, and that every page keeps the rules of every page.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

mod bulk;
mod chosen;
mod crowd;
mod events;
mod free;
mod links;
mod people;
mod rollout;
mod silent;
mod tasks;
mod world;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::both_servers;
use testkit::server::{TestServer, USER_PASSWORD};
use world::{World, admin_browser, between, browser, gist, version};

both_servers!(a_job_is_made_step_by_step, |server| async move {
    let world = World::ready(server).await;
    let me = admin_browser(&world.server).await;
    let (qid, assets) = world.mitigable().await;

    // S1.02: the vulnerability, View Risk Elimination, Mitigate Now.
    let list = me.page("/vulnerabilities?q=is:found").await;
    assert!(list.contains("View Risk Elimination"));
    let picked = me.leads("/vulnerabilities/eliminations", &[("row", &qid.to_string())]).await;
    assert_eq!(picked, format!("/eliminations?q=qid%3A{qid}"));
    let eliminations = me.page(&picked).await;
    let post = between(&eliminations, "formaction=\"/jobs/new", "\"").replace("&#38;", "&");
    assert!(post.contains(&format!("qid={qid}")), "the choice stands in the address: {post}");
    let basic = me.leads(&format!("/jobs/new{post}"), &[]).await;
    assert!(basic.ends_with("/edit/basic"), "{basic}");
    let job = basic.trim_end_matches("/edit/basic").to_owned();

    // S1.03, S1.04.
    let page = me.page(&basic).await;
    assert!(page.contains("Create: Linux Mitigation Job"));
    for step in
        ["Basic information", "Select assets", "Select actions", "Schedule", "Options", "Job access", "Confirmation"]
    {
        assert!(page.contains(step), "{step}");
    }
    let untitled = me.post(&basic, &[("version", version(&page)), ("title", " "), ("then", "next")]).await;
    assert_eq!(untitled.status, 422);
    assert!(untitled.text.contains("A job needs a title."), "{}", gist(&untitled.text));
    let fields = [("version", version(&page)), ("title", "Until the <patch>"), ("description", "d"), ("then", "next")];
    let next = me.leads(&basic, &fields).await;
    assert_eq!(next, format!("{job}/edit/assets"));
    let stale = me.post(&basic, &[("version", version(&page)), ("title", "Other"), ("then", "next")]).await;
    assert_eq!(stale.status, 422, "somebody who read an older version overwrites nothing");
    assert!(stale.text.contains("changed by somebody else"), "{}", gist(&stale.text));

    // S1.05 to S1.08.
    let page = me.page(&next).await;
    assert!(page.contains("value=\"manual\" checked"), "Manual Asset Selection is preselected");
    for asset in &assets {
        assert!(page.contains(asset["name"].as_str().unwrap()), "{asset} is shown");
    }
    let (first, others) = assets.split_first().unwrap();
    for other in others {
        let page = me.page(&next).await;
        let key = other["id"].to_string();
        let back = me.leads(&format!("{next}/remove"), &[("version", version(&page)), ("asset", &key)]).await;
        assert_eq!(back, next);
    }
    let page = me.page(&next).await;
    let name = first["name"].as_str().unwrap();
    assert!(page.contains(name) && page.contains("was removed."), "{}", gist(&page));
    let key = first["id"].to_string();
    me.leads(&format!("{next}/remove"), &[("version", version(&page)), ("asset", &key)]).await;
    let page = me.page(&next).await;
    assert!(page.contains(&format!("QID {qid} went with it")), "{}", gist(&page));
    let none = me.post(&next, &[("version", version(&page)), ("then", "next")]).await;
    assert_eq!(none.status, 422);
    assert!(none.text.contains("At least one asset is needed"), "{}", gist(&none.text));
    assert!(me.page(&format!("{job}/edit/confirm")).await.contains("aria-disabled=\"true\""), "it cannot be saved");
    me.leads(&format!("{job}/delete"), &[]).await;
    assert_eq!(me.client.get(&job).await.status, 404, "a draft thrown away is gone");
});

both_servers!(r8_of_several_platforms_one_is_asked_for_or_each_becomes_a_draft, |server| async move {
    let world = World::ready(server).await;
    let me = admin_browser(&world.server).await;
    let (qid, assets) = world.mitigable().await;
    world.also_on_windows(qid, assets[0]["id"].as_i64().unwrap()).await;
    let new = format!("/jobs/new?qid={qid}");
    let asked = me.post(&new, &[]).await;
    assert_eq!(asked.status, 422);
    for words in ["Which platform?", "Create a Linux job", "Create a Windows job", "Only Linux", "second draft"] {
        assert!(asked.text.contains(words), "{words}: {}", gist(&asked.text));
    }
    let windows = me.leads(&format!("{new}&platform=windows"), &[]).await;
    assert!(me.page(&windows).await.contains("Create: Windows Mitigation Job"));

    let linux = me.leads(&format!("{new}&platform=each%3Alinux"), &[]).await;
    let page = me.page(&linux).await;
    assert!(page.contains("Create: Linux Mitigation Job"), "{}", gist(&page));
    let other = between(&page, "for Windows is kept as a draft.", "</a>");
    let other = between(other, "href=\"", "\"").to_owned();
    let twin = me.page(&other).await;
    assert!(twin.contains("Create: Windows Mitigation Job"));
    let number = |address: &str| address.trim_start_matches("/jobs/").trim_end_matches("/edit/basic").to_owned();
    assert!(page.contains(&format!("href=\"/jobs/{}\"", number(&other))), "the first names the second");
    assert!(twin.contains(&format!("href=\"/jobs/{}\"", number(&linux))), "and the second the first");
    let shown = world.admin.get(&format!("/api/v1/jobs/{}", number(&other))).await.expect(200);
    assert_eq!(shown["job"]["twin"].as_str(), Some(number(&linux).as_str()));
});

both_servers!(a_schedule_options_and_co_authors_are_kept_and_reviewed, |server| async move {
    let world = World::ready(server).await;
    world.server.user("sola", &["job_author"]).await;
    let me = admin_browser(&world.server).await;
    let (qid, assets) = world.mitigable().await;
    let asset = assets[0]["id"].to_string();
    let basic = me.leads(&format!("/jobs/new?qid={qid}&asset={asset}&platform=linux"), &[]).await;
    let job = basic.trim_end_matches("/edit/basic").to_owned();
    let number = job.trim_start_matches("/jobs/").to_owned();
    let page = me.page(&format!("{job}/edit/assets")).await;
    assert!(page.contains(assets[0]["name"].as_str().unwrap()), "S1.05");
    let chosen = format!("value=\"{}\" aria-label=\"Remove", assets[1]["id"]);
    assert!(!page.contains(&chosen), "only the chosen asset");

    // S1.09: details in a dialog.
    let page = me.page(&format!("{job}/edit/actions")).await;
    let details = between(&page, "hx-get=\"/mitigations/", "\"");
    let dialog = me.page(&format!("/mitigations/{details}")).await;
    assert!(dialog.contains("id=\"q-modal\"") && dialog.contains("What it covers"));
    let next = me.leads(&format!("{job}/edit/actions"), &[("version", version(&page)), ("then", "next")]).await;

    // S1.10 to S1.12.
    let page = me.page(&next).await;
    assert!(page.contains("value=\"demand\" checked"), "on demand is preselected");
    assert!(page.contains("placeholder=\"Agent time zone"), "the agent's zone is the default");
    let mut fields =
        vec![("version", version(&page)), ("when", "timed"), ("date", "soon"), ("time", "02:00"), ("then", "next")];
    assert_eq!(me.post(&next, &fields).await.status, 422);
    fields[2] = ("date", "2026-12-24");
    let options = me.leads(&next, &fields).await;
    let page = me.page(&next).await;
    assert!(page.contains("Thursday 24 December 2026 at 02:00 in each agent&#39;s own time zone."), "{}", gist(&page));
    assert!(page.contains("24 Dec") && page.contains("<h2>Next run</h2>"), "the resolved instants are shown");

    // S1.13 to S1.15: the 51st recipient is refused, and what was typed is still there.
    let page = me.page(&options).await;
    let many: Vec<String> = (0..51).map(|n| format!("p{n}@example.org")).collect();
    let many = many.join("\n");
    let fields = [
        ("version", version(&page)),
        ("recipients", many.as_str()),
        ("on_start", "on"),
        ("share", "100"),
        ("then", "next"),
    ];
    let refused = me.post(&options, &fields).await;
    assert_eq!(refused.status, 422);
    assert!(
        refused.text.contains("at most 50 recipients") && refused.text.contains("p50@example.org"),
        "{}",
        refused.text
    );
    let fields = [
        ("version", version(&page)),
        ("recipients", "ops@example.org"),
        ("on_start", "on"),
        ("on_share", "on"),
        ("share", "60"),
        ("then", "next"),
    ];
    let access = me.leads(&options, &fields).await;

    // S1.16, R23.
    let page = me.page(&access).await;
    assert!(page.contains("<option value=\"sola\">"), "{}", gist(&page));
    let fields = [("version", version(&page)), ("add", "sola"), ("then", "stay")];
    assert_eq!(me.leads(&access, &fields).await, access);
    let page = me.page(&access).await;
    assert!(page.contains("name=\"author\" value=\"sola\"") && page.contains("may edit"), "{}", gist(&page));

    // S1.17 to S1.20: review, Save gives DISABLED, and only then Enable is a quick action.
    let confirm = format!("{job}/edit/confirm");
    let page = me.page(&confirm).await;
    for part in ["ops@example.org", "sola", "2026-12-24 02:00", "Save and Enable", "sha256"] {
        assert!(page.contains(part), "{part} in {}", gist(&page));
    }
    assert_eq!(me.leads(&confirm, &[("version", version(&page)), ("then", "save")]).await, "/jobs");
    let list = me.page("/jobs").await;
    assert!(list.contains("Disabled") && list.contains(&format!("{number} is saved, disabled.")), "{}", gist(&list));

    // S1.18, S1.21: the co-author edits; Save and Enable is not offered any more.
    let sola = browser(&world.server, "sola", USER_PASSWORD).await;
    let page = sola.page(&confirm).await;
    assert!(!page.contains("value=\"enable\"") && page.contains("Edit: Linux Mitigation Job"), "{}", gist(&page));
    let access_page = sola.page(&access).await;
    assert!(access_page.contains("q-note") && !access_page.contains("id=\"f-add\""), "co-authors are the owner's");
    let deleting = sola.leads(&format!("{job}/delete"), &[]).await;
    assert_eq!(deleting, "/jobs", "refused, and said so");
    assert_eq!(sola.client.get(&job).await.status, 200, "a co-author never deletes");

    // S1.20, S1.22: enable, disable, enable; what is not possible shows its reason.
    assert_eq!(me.leads(&format!("{job}/enable"), &[]).await, job);
    let page = me.page(&job).await;
    assert!(
        page.contains(&format!("{number} is enabled.")) && page.contains("the job is enabled already"),
        "{}",
        gist(&page)
    );
    let first = me.stream(&format!("{job}/live")).await;
    assert!(first.starts_with("event: job\n") && first.contains("Not before"), "{first}");
    me.leads(&format!("{job}/disable"), &[]).await;
    let several = me.leads("/jobs/bulk/enable", &[("row", &number)]).await;
    assert_eq!(several, "/jobs");
    assert!(me.page("/jobs?q=is:enabled").await.contains(&number));

    // What stays open ends with the account: nothing more is told to somebody who may see nothing.
    let mut open = sola.client.request(Method::GET, &format!("{job}/live")).send().await.unwrap();
    // The first words come before the account goes, or there are none.
    let told = open.chunk().await.unwrap().unwrap_or_default();
    assert!(String::from_utf8_lossy(&told).starts_with("event: job"));
    let rest = tokio::spawn(open.bytes());
    world.admin.patch("/api/v1/users/sola", &serde_json::json!({ "active": false })).await.expect(200);
    tokio::time::timeout(std::time::Duration::from_secs(20), rest).await.expect("the stream ends").unwrap().unwrap();
});

both_servers!(save_and_enable_runs_at_once, |server| async move {
    let world = World::ready(server).await;
    let me = admin_browser(&world.server).await;
    let (qid, assets) = world.mitigable().await;
    let basic = me.leads(&format!("/jobs/new?qid={qid}&platform=linux"), &[]).await;
    let job = basic.trim_end_matches("/edit/basic").to_owned();
    let confirm = format!("{job}/edit/confirm");
    let page = me.page(&confirm).await;
    assert_eq!(me.leads(&confirm, &[("version", version(&page)), ("then", "enable")]).await, job);
    let page = me.page(&job).await;
    assert!(page.contains("is saved and enabled.") && page.contains("sse-connect"), "{}", gist(&page));
    assert!(page.contains(assets[0]["name"].as_str().unwrap()));
    let paper = me.page(&format!("{job}/summary")).await;
    for part in ["Who, what, when", "Asset by asset", "Back to MJ"] {
        assert!(paper.contains(part), "{part}: {}", gist(&paper));
    }
    let home = me.page("/").await;
    assert!(home.contains("Running now") && home.contains(job.trim_start_matches("/jobs/")), "{}", gist(&home));
    // One switch stops everything, and everybody sees it everywhere.
    me.leads("/jobs/halt", &[]).await;
    let page = me.page("/vulnerabilities").await;
    assert!(page.contains("Everything is halted.") && page.contains("by admin"), "{}", gist(&page));
    me.leads("/jobs/go-on", &[]).await;
    assert!(!me.page("/vulnerabilities").await.contains("Everything is halted."));
    // A draft that was enabled cannot be edited.
    let late = me.client.get(&basic).await;
    assert_eq!(late.status, 409, "{}", gist(&late.text));
});

both_servers!(every_page_opens_for_a_super_user, |server| async move {
    let world = World::ready(server).await;
    let me = admin_browser(&world.server).await;
    let (qid, _) = world.mitigable().await;
    let items = world.admin.get(&format!("/api/v1/items?q=qid:{qid}&limit=1")).await.expect(200);
    let item = items["items"][0]["number"].as_str().unwrap().to_owned();
    let agents = world.admin.get("/api/v1/agents").await.expect(200);
    let agent = agents["agents"][0]["id"].as_str().unwrap().to_owned();
    for path in [
        "/".to_owned(),
        "/vulnerabilities".to_owned(),
        "/vulnerabilities?q=nonsense:1".to_owned(),
        "/vulnerabilities?q=is:found&sort=-score".to_owned(),
        format!("/vulnerabilities/{qid}"),
        format!("/vulnerabilities/{qid}/score"),
        format!("/items/{item}/score"),
        "/eliminations".to_owned(),
        "/eliminations?q=nonsense:1".to_owned(),
        "/eliminations?q=left:>0&sort=title".to_owned(),
        "/jobs".to_owned(),
        "/jobs?q=owner:me".to_owned(),
        "/agents".to_owned(),
        "/agents/enrol".to_owned(),
        format!("/agents/{agent}"),
        "/users".to_owned(),
        "/tokens".to_owned(),
        "/audit".to_owned(),
        "/account/password".to_owned(),
        "/tags".to_owned(),
        "/tags/edit".to_owned(),
        "/follow-up".to_owned(),
        "/approvals".to_owned(),
        "/mail".to_owned(),
        "/settings/retention".to_owned(),
        "/settings/retirement".to_owned(),
    ] {
        let page = me.page(&path).await;
        assert_eq!(page.contains("id=\"q-caret\""), path.contains("nonsense"), "{path}");
    }
    let missing = me.client.get("/vulnerabilities/1").await;
    assert_eq!(missing.status, 404);
    assert!(missing.text.contains("There is no vulnerability with QID 1.") && missing.text.contains("q-nav"));
});

both_servers!(what_a_role_may_not_is_hidden_or_disabled_with_its_reason, |server| async move {
    let world = World::ready(server).await;
    world.server.user("reader", &["read_only"]).await;
    let me = browser(&world.server, "reader", USER_PASSWORD).await;
    let home = me.page("/").await;
    assert!(home.contains("href=\"/vulnerabilities\"") && !home.contains("href=\"/users\""));
    let page = me.page("/eliminations").await;
    assert!(page.contains("aria-disabled=\"true\"") && !page.contains("formaction=\"/jobs/new"), "{}", gist(&page));
    let (qid, _) = world.mitigable().await;
    let refused = me.post(&format!("/jobs/new?qid={qid}&platform=linux"), &[]).await;
    assert_eq!(refused.status, 403, "{}", gist(&refused.text));
    assert_eq!(me.client.get("/agents/enrol").await.status, 403);
    // What is wrong with a form is said only to whoever may send it.
    let instance = world.admin.get("/api/v1/instances").await.expect(200)["instances"][0]["id"].clone();
    let wrong = [("interval_minutes", "x"), ("tracking_hours", "x"), ("email", "a\u{7}b"), ("full_name", "a\u{7}b")];
    for path in [
        "/instances".to_owned(),
        "/instances/test".to_owned(),
        format!("/instances/{instance}"),
        format!("/instances/{instance}/test"),
        "/instances/999".to_owned(),
        "/users/admin".to_owned(),
        "/users/nobody".to_owned(),
    ] {
        let refused = me.post(&path, &wrong).await;
        assert_eq!(refused.status, 403, "{path}: {}", gist(&refused.text));
    }
});

both_servers!(of_a_job_that_is_partly_out_of_scope_only_the_part_inside_is_told, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let text = |asset: &Value, field: &str| asset[field].as_str().unwrap().to_owned();
    let (seen, hidden) = (&assets[0], &assets[1]);
    let tagged = json!({ "tags": ["mine"] });
    world.admin.patch(&format!("/api/v1/assets/{}", seen["id"]), &tagged).await.expect(200);
    world.server.user("part", &["read_only"]).await;
    world.admin.patch("/api/v1/users/part", &json!({ "scope": { "tags": ["mine"] } })).await.expect(200);
    let new = json!({ "platform": "linux", "vulnerabilities": [{ "qid": qid, "assets": [seen["id"], hidden["id"]] }] });
    let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
    let number = text(&made["job"]["summary"], "number");
    assert_eq!(
        (made["job"]["assets"].as_array().unwrap().len(), &made["job"]["hidden_assets"]),
        (2, &json!(0)),
        "{made}"
    );
    let tag = format!("\"{}\"", made["job"]["version"]);
    let enable = world.admin.request(Method::POST, &format!("/api/v1/jobs/{number}/enable")).header("if-match", tag);
    let enable = world.admin.send(enable.json(&json!({}))).await;
    if enable.status != 200 {
        world.admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({})).await.expect(200);
        world.admin.post(&format!("/api/v1/jobs/{number}/enable"), &json!({})).await.expect(200);
    }
    let me = browser(&world.server, "part", USER_PASSWORD).await;
    let job = me.client.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
    let tasks = me.client.get(&format!("/api/v1/jobs/{number}/tasks")).await.expect(200);
    assert_eq!((job["job"]["assets"].as_array().unwrap().len(), &job["job"]["hidden_assets"]), (1, &json!(1)), "{job}");
    assert_eq!(job["job"]["summary"]["assets"], 1);
    assert!(tasks["tasks"].as_array().unwrap().iter().all(|task| task["asset"] == seen["id"]), "{tasks}");
    let list = me.client.get("/api/v1/jobs").await.expect(200);
    assert_eq!(list["jobs"][0]["assets"], 1, "{list}");
    let page = me.page(&format!("/jobs/{number}")).await;
    assert!(page.contains("1 asset outside your asset scope is not shown."), "{}", gist(&page));
    assert!(page.contains(&text(seen, "name")));
    for told in [page, me.page("/jobs").await, job.to_string(), tasks.to_string(), list.to_string()] {
        for secret in [text(hidden, "name"), format!("/assets/{}\"", hidden["id"])] {
            assert!(!told.contains(&secret), "{secret} in {}", gist(&told));
        }
    }
});

both_servers!(an_enrolled_agent_that_calls_itself_another_machine_is_only_written_down, |server| async move {
    use domain::asset::Identity;
    use protocol::agent::Facts;
    let world = World::ready(server).await;
    let app = world.server.app();
    let now = app.clock.now();
    let facts = |uuid: &str, macs: &[&str]| Facts {
        identity: Identity {
            scanner_uuid: Some(uuid.to_owned()),
            machine_id: Some("another".to_owned()),
            macs: macs.iter().map(|mac| (*mac).to_owned()).collect(),
        },
        zone: "Europe/Rome".to_owned(),
        ..Facts::default()
    };
    let claims = [
        facts("0000-1", &["aa:bb", "cc:dd"]),
        facts("0000-1", &["cc:dd", "aa:bb"]),
        facts("0000-2", &["aa:bb", "cc:dd"]),
    ];
    let (identity, audited) = app
        .database
        .try_write(move |tx| {
            type Known = (Option<String>, Option<String>, String, String);
            let (key,): (domain::id::AgentKey,) =
                tx.one("SELECT min(id) FROM agent WHERE asset_id IS NOT NULL", &[])?;
            let asset = store::agents::read(tx, key)?.asset_id.unwrap();
            tx.execute("UPDATE asset SET scanner_uuid = NULL WHERE id = $1", &[&asset])?;
            for claim in &claims {
                let agent = store::agents::read(tx, key)?;
                server::engine::agents::learn(tx, &agent, claim, now)?;
            }
            let known: Known =
                tx.one("SELECT scanner_uuid, machine_id, macs, zone FROM asset WHERE id = $1", &[&asset])?;
            let audited: i64 = tx.scalar("SELECT count(*) FROM audit_entry WHERE action = 'agent.identity'", &[])?;
            Ok::<_, server::http::Error>((known, audited))
        })
        .await
        .unwrap();
    assert_eq!(identity, (None, None, String::new(), "Europe/Rome".to_owned()), "what the asset is known by stays");
    assert_eq!(audited, 2, "once for each change");
});

both_servers!(an_enrolment_token_is_shown_once, |server| async move {
    let server: TestServer = server;
    let me = admin_browser(&server).await;
    let wrong = me.post("/agents/enrol", &[("name", "x"), ("uses", "0"), ("hours", "24")]).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text.contains("id=\"error-uses\""), "{}", gist(&wrong.text));
    let made = me.post("/agents/enrol", &[("name", "web"), ("uses", "2"), ("hours", "24")]).await;
    assert_eq!(made.status, 200);
    let line = between(&made.text, "id=\"q-line\">", "<");
    assert!(line.starts_with("echo quell1.") && line.ends_with(" | sudo quell-agent enrol --token-file -"), "{line}");
    let list = me.page("/agents").await;
    assert!(list.contains("web") && list.contains("2 left") && !list.contains("quell1."), "{}", gist(&list));
    let revoke = between(&list, "formaction=\"/agents/tokens/", "\"").to_owned();
    me.leads(&format!("/agents/tokens/{revoke}"), &[]).await;
    assert!(!me.page("/agents").await.contains("2 left"));
});

/// Every file below a folder, as one text.
fn below(folder: &std::path::Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, text);
        } else {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_icon_that_is_named_is_in_the_sprite() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    for part in ["templates", "src/web", "src/pages"] {
        below(&folder.join(part), &mut text);
    }
    let calls = text.split("icon(\"").skip(1);
    let named: std::collections::BTreeSet<&str> =
        calls.filter_map(|rest| rest.split_once('"')).map(|(name, _)| name).collect();
    assert!(named.len() > 20, "{named:?}");
    let missing: Vec<&&str> = named.iter().filter(|name| !server::assets::ICONS.contains(name)).collect();
    assert!(missing.is_empty(), "the sprite lacks {missing:?}");
}
