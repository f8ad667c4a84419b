//! What happened to a job: the same for everybody who may see the job, in pages, with the tasks of his scope.

use crate::hands::{act, in_place, over, program, ready, report, running, said, tag};
use crate::world::{World, admin_browser, between, gist};
use domain::mitigation::ControlState;
use protocol::agent::Outcome;
use serde_json::{Value, json};
use testkit::both_servers;
use testkit::server::Client;

/// Every event, by pages of so many.
async fn events(client: &Client, number: &str, limit: usize, further: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/jobs/{number}/history?limit={limit}{further}{cursor}");
        let page = client.get(&path).await.expect(200);
        let rows = page["events"].as_array().unwrap();
        assert!(rows.len() <= limit, "{page}");
        all.extend(rows.iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn count(events: &[Value], what: &str) -> usize {
    events.iter().filter(|event| event["what"] == what).count()
}

/// A job that was halted and resumed, then ended well on the first of its assets and badly on the others.
async fn lived(world: &World) -> (String, Vec<i64>) {
    let (number, _, assets) = running(world).await;
    let halt = format!("/api/v1/jobs/{number}/run/halt");
    world.admin.post(&halt, &json!({ "reason": "the shop is open" })).await.expect(200);
    world.admin.post(&format!("/api/v1/jobs/{number}/run/resume"), &json!({})).await.expect(200);
    ready(&world.server, i64::try_from(assets.len()).unwrap()).await;
    report(&world.server, assets[0], &in_place()).await;
    for asset in &assets[1..] {
        report(&world.server, *asset, &said(Outcome::Failed, ControlState::Exposed, None)).await;
    }
    over(&world.admin, &number).await;
    (number, assets)
}

both_servers!(the_history_of_a_job_is_whole_and_comes_in_pages, |server| async move {
    let world = World::ready(server).await;
    let (number, assets) = lived(&world).await;
    let all = events(&world.admin, &number, 500, "").await;
    for (what, times) in [
        ("job.create", 1),
        ("job.save_and_enable", 1),
        ("run.halt", 1),
        ("run.resume", 1),
        ("job.end", 1),
        ("task.began", assets.len()),
        ("task.succeeded", 1),
        ("task.failed", assets.len() - 1),
    ] {
        assert_eq!(count(&all, what), times, "{what}: {all:#?}");
    }
    let at = |event: &Value| event["at"].as_str().unwrap().parse::<domain::time::Timestamp>().unwrap();
    assert!(all.windows(2).all(|pair| at(&pair[0]) >= at(&pair[1])), "newest first: {all:#?}");
    assert_eq!(events(&world.admin, &number, 2, "").await, all, "pages are parts of the same");
    let mut oldest = events(&world.admin, &number, 3, "&sort=at").await;
    oldest.reverse();
    assert_eq!(oldest, all);

    let one = |what: &str| all.iter().find(|event| event["what"] == what).unwrap();
    let halt = one("run.halt");
    assert_eq!((&halt["run"], &halt["by"], &halt["asset"]), (&json!(1), &json!("users/admin"), &Value::Null));
    assert_eq!(halt["detail"]["reason"], "the shop is open");
    assert_eq!((&one("job.create")["text"], &one("job.create")["run"]), (&json!("Draft made"), &Value::Null));
    let done = one("task.succeeded");
    assert_eq!((&done["asset"], &done["run"], &done["by"]), (&json!(assets[0]), &json!(1), &json!("")));
    assert_eq!(done["text"], format!("{}: succeeded", done["asset_name"].as_str().unwrap()));
    assert!(!done["entry"].as_str().unwrap().is_empty() && done["detail"].is_null(), "{done}");

    // What can be asked for.
    let list = &store::jobs::history::LIST;
    assert_eq!(store::filter::mistakes(list.fields, list.columns), Vec::<String>::new());
    let name = done["asset_name"].as_str().unwrap();
    for (q, expected) in [
        ("what:task.failed".to_owned(), assets.len() - 1),
        (format!("asset:{name}"), 2),
        (format!("entry:{} and what:began", done["entry"].as_str().unwrap()), assets.len()),
        ("run:1 and what:run.halt and by:admin".to_owned(), count(&all, "run.halt")),
        ("run:2".to_owned(), 0),
        ("at<2020-01-01".to_owned(), 0),
        ("at>2020-01-01".to_owned(), all.len()),
    ] {
        let found = events(&world.admin, &number, 500, &format!("&q={}", q.replace(' ', "%20"))).await;
        let right = if q.contains("run.halt") { found.iter().all(|e| e["run"] == 1) } else { found.len() == expected };
        assert!(right && (expected == 0) == found.is_empty(), "{q}: {found:#?}");
    }
    for wrong in ["q=nope:1", "sort=text", "cursor=x"] {
        assert_eq!(world.admin.get(&format!("/api/v1/jobs/{number}/history?{wrong}")).await.status, 422, "{wrong}");
    }
    world.admin.get("/api/v1/jobs/MJ0000099/history").await.expect(404);
});

both_servers!(who_may_see_a_job_may_see_its_history_within_his_scope, |server| async move {
    let world = World::ready(server).await;
    let (number, assets) = lived(&world).await;
    tag(&world, assets[0], &["lab"]).await;
    let sue = program(&world, "sue", &["read_only"], Some(&["lab"]), &["read"]).await;
    let (whole, part) = (events(&world.admin, &number, 500, "").await, events(&sue, &number, 500, "").await);
    let own = |event: &&Value| event["asset"].is_null() || event["asset"] == assets[0];
    let expected: Vec<&Value> = whole.iter().filter(own).map(|event| &event["what"]).collect();
    assert_eq!(part.iter().map(|event| &event["what"]).collect::<Vec<_>>(), expected);
    assert!(part.len() < whole.len() && part.iter().all(|event| own(&event)), "{part:#?}");
    // What the audit says beside that is about all the assets.
    assert!(part.iter().all(|event| event["detail"].is_null()), "{part:#?}");
    assert!(whole.iter().any(|event| !event["detail"].is_null()));

    // The audit as such stays with whoever may read all of it; a job out of sight has no history.
    let rae = program(&world, "rae", &["job_author"], None, &["read"]).await;
    rae.get("/api/v1/audit").await.expect(403);
    assert_eq!(events(&rae, &number, 500, "").await, whole);
    let oz = program(&world, "oz", &["read_only"], Some(&["elsewhere"]), &["read"]).await;
    oz.get(&format!("/api/v1/jobs/{number}/history")).await.expect(404);
});

both_servers!(the_page_of_a_job_says_how_much_more_happened_and_leads_there, |server| async move {
    let world = World::ready(server).await;
    let (number, _, assets) = running(&world).await;
    for _ in 0..16 {
        act(&world.admin, &number, "pause").await.expect(200);
        act(&world.admin, &number, "resume").await.expect(200);
    }
    let me = admin_browser(&world.server).await;
    let page = me.page(&format!("/jobs/{number}")).await;
    let all = events(&world.admin, &number, 500, "").await.len();
    let shown = between(&page, "<ol class=\"q-log\">", "</ol>").matches("<li>").count();
    assert!(shown == 30 && all > shown, "{shown} of {all}");
    let more = format!("<a href=\"/jobs/{number}/history\">{} more</a>", all - shown);
    assert!(page.contains(&more), "{more}: {}", gist(&page));

    let history = me.page(&format!("/jobs/{number}/history")).await;
    assert!(history.contains("Saved and enabled") && history.contains("Draft made"), "{}", gist(&history));
    ready(&world.server, i64::try_from(assets.len()).unwrap()).await;
    report(&world.server, assets[0], &in_place()).await;
    let tasks = me.page(&format!("/jobs/{number}/history?q=what:task")).await;
    assert!(tasks.contains(&format!("href=\"/assets/{}\"", assets[0])), "{}", gist(&tasks));
    assert!(!tasks.contains("Draft made"), "{}", gist(&tasks));
    let first = me.page(&format!("/jobs/{number}/history?limit=5")).await;
    let next = between(&first, "rel=\"next\" href=\"", "\"").replace("&#38;", "&").replace("&amp;", "&");
    assert!(next.contains("cursor="), "{next}");
    me.page(&next).await;
    assert!(me.page(&format!("/jobs/{number}/history?q=nonsense:1")).await.contains("id=\"q-caret\""));
    assert_eq!(me.client.get("/jobs/MJ0000099/history").await.status, 404);
});
