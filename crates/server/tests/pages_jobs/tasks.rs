//! The tasks of a job that has more of them than a page holds, in pages for API and browser, and its card by CVE.

use super::world::{Browser, World, admin_browser, between, gist};
use domain::mitigation::{ControlState, Origin};
use protocol::agent::{ActionEvidence, Outcome, TaskReport};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::both_servers;

/// A job for every asset of a QID that something can be done about; gives its number, its assets' names and the QID.
async fn draft(world: &World) -> (String, Vec<String>, i64) {
    let (qid, assets) = world.mitigable().await;
    let name = |asset: &Value| asset["name"].as_str().unwrap().to_owned();
    let keys: Vec<&Value> = assets.iter().map(|asset| &asset["id"]).collect();
    let new = json!({ "title": "Many", "vulnerabilities": [{ "qid": qid, "assets": keys }] });
    let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
    let number = made["job"]["summary"]["number"].as_str().unwrap().to_owned();
    let mut names: Vec<String> = assets.iter().map(name).collect();
    names.sort_unstable();
    (number, names, qid)
}

/// Enables it and waits for its tasks.
async fn enabled(world: &World, number: &str) {
    let path = format!("/api/v1/jobs/{number}");
    world.admin.post(&format!("{path}/save"), &json!({ "enable": true })).await.expect(200);
    for _ in 0..400 {
        let tasks = world.admin.get(&format!("{path}/tasks")).await.expect(200);
        if !tasks["tasks"].as_array().unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{number} has no tasks");
}

/// The tasks on assets whose names are like this stand so from now on, with evidence that names the state.
async fn became(world: &World, names: &str, state: &str, code: i64) {
    let action = ActionEvidence {
        kind: "file.setting".to_owned(),
        target: "/etc/x".to_owned(),
        before: "(absent)".to_owned(),
        after: format!("evidence of {state}"),
        did: "changed".to_owned(),
        files: vec![],
        diff: String::new(),
    };
    let report = TaskReport {
        outcome: Outcome::Succeeded,
        state: ControlState::Effective,
        origin: Some(Origin::Ours),
        message: String::new(),
        actions: vec![action],
        left_changed: false,
        restart_needed: None,
    };
    let (report, now) = (serde_json::to_string(&report).unwrap(), world.server.app().clock.now());
    let (names, state) = (names.to_owned(), state.to_owned());
    let write = world.server.app().database.write(move |tx| {
        tx.execute(
            "UPDATE task SET state = $2, code = $3, report = $4, started_at = $5, ended_at = $5
             WHERE asset_id IN (SELECT id FROM asset WHERE name LIKE $1)",
            &[&names, &state, &code, &report, &now],
        )
    });
    assert!(write.await.unwrap() > 0, "some tasks are on such assets");
}

/// What stands between quotes after `from`, as an address.
#[track_caller]
fn address(page: &str, from: &str) -> String {
    between(page, from, "\"").replace("&#38;", "&").split('#').next().unwrap().to_owned()
}

/// A stream's first event, whole.
async fn event(me: &Browser, path: &str) -> String {
    let mut response = me.client.request(Method::GET, path).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let mut text = String::new();
    while !text.contains("\n\n") {
        let piece = tokio::time::timeout(Duration::from_secs(10), response.chunk()).await.expect("something comes");
        text.push_str(&String::from_utf8_lossy(&piece.unwrap().expect("the event ends")));
    }
    text
}

both_servers!(every_task_of_a_large_run_is_on_a_page_of_the_api, |server| async move {
    let world = World::ready(server).await;
    let (number, own, _) = draft(&world).await;
    enabled(&world, &number).await;
    let names: Vec<String> = (1..=130).map(|n| format!("zz-{n:03}")).collect();
    world.more_tasks(&number, &names).await;
    became(&world, "zz-130", "succeeded", 0).await;
    let path = format!("/api/v1/jobs/{number}/tasks");
    let (mut seen, mut cursors, mut query) = (Vec::new(), Vec::new(), "?limit=50".to_owned());
    loop {
        let page = world.admin.get(&format!("{path}{query}")).await.expect(200);
        let tasks = page["tasks"].as_array().unwrap();
        assert!(tasks.len() <= 50, "{}", tasks.len());
        seen.extend(tasks.iter().map(|task| task["asset_name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=50&cursor={next}");
        cursors.push(next.to_owned());
    }
    assert!(seen.len() >= own.len() + names.len() && cursors.len() >= 2, "{seen:?}");
    assert!(seen.is_sorted() && seen.ends_with(&names), "each once, by the asset's name: {seen:?}");
    let first = world.admin.get(&path).await.expect(200);
    assert_eq!(first["tasks"].as_array().unwrap().len(), 100, "without a limit a page is that of every list");
    assert!(first["next"].is_string());
    let done = world.admin.get(&format!("{path}?q=is:succeeded")).await.expect(200);
    assert_eq!(done["tasks"][0]["asset_name"], "zz-130");
    assert_eq!((done["tasks"].as_array().unwrap().len(), &done["next"]), (1, &Value::Null));
    let newest = world.admin.get(&format!("{path}?sort=-asset&limit=1&run=1")).await.expect(200);
    assert_eq!(newest["tasks"][0]["asset_name"], "zz-130");
    for (query, status) in [
        (format!("?q=is:queued&cursor={}", cursors[0]), 422),
        ("?sort=colour".to_owned(), 422),
        ("?q=colour:red".to_owned(), 422),
        ("?run=9".to_owned(), 404),
    ] {
        assert_eq!(world.admin.get(&format!("{path}{query}")).await.status, status, "{query}");
    }
});

both_servers!(the_page_of_a_large_run_turns_and_stays_where_one_looks, |server| async move {
    let world = World::ready(server).await;
    let me = admin_browser(&world.server).await;
    let (number, own, _) = draft(&world).await;
    enabled(&world, &number).await;
    let names: Vec<String> = (1..=130).map(|n| format!("zz-{n:03}")).collect();
    world.more_tasks(&number, &names).await;
    became(&world, "zz-130", "succeeded", 0).await;
    let all = world.admin.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
    let all = all["job"]["summary"]["tasks"]["total"].as_i64().unwrap();
    let (job, cell) = (format!("/jobs/{number}"), |name: &str| format!(">{name}</a>"));
    assert!(own.last().unwrap().as_str() < "zz-001");

    // The first page, whose numbers are those of all tasks.
    let first = me.page(&job).await;
    assert!(first.contains(&format!("1 of {all} have reported")), "{}", gist(&first));
    assert!(first.contains(&format!("100 of {all} tasks, by asset")), "{}", gist(&first));
    assert!(first.contains("zz-130: succeeded"), "events are those of all tasks");
    assert!(first.contains(&cell("zz-001")) && !first.contains(&cell("zz-130")), "{}", gist(&first));
    assert!(!first.contains("evidence of succeeded") && !first.contains("First page"));

    // The evidence of a task beyond the first hundred, and a stream that stays with it.
    let second = me.page(&address(&first, "rel=\"next\" href=\"")).await;
    let stream = address(&second, "sse-connect=\"");
    for told in [second, event(&me, &stream).await] {
        assert!(told.contains("evidence of succeeded") && told.contains(&cell("zz-130")), "{}", gist(&told));
        assert!(!told.contains(&cell("zz-001")) && !told.contains("rel=\"next\""), "{}", gist(&told));
        assert!(told.contains("First page") && told.contains(&format!("href=\"{job}#tasks\"")), "{}", gist(&told));
        assert!(told.contains(&format!("1 of {all} have reported")), "numbers are of all tasks on every page");
    }

    // The same within a view by state.
    let queued = me.page(&format!("{job}?tasks=queued")).await;
    assert!(queued.contains(&format!("100 of {} tasks, by asset", all - 1)), "{}", gist(&queued));
    let rest = address(&queued, "rel=\"next\" href=\"");
    assert!(rest.contains("tasks=queued&cursor="), "{rest}");
    let page = me.page(&rest).await;
    let stream = address(&page, "sse-connect=\"");
    assert!(stream.contains("tasks=queued&cursor="), "{stream}");
    for told in [page, event(&me, &stream).await] {
        assert!(told.contains(&cell("zz-129")) && !told.contains(&cell("zz-130")), "{}", gist(&told));
        assert!(told.contains("?tasks=queued#tasks\" aria-current=\"page\""), "the view stays chosen");
    }
    let done = me.page(&format!("{job}?tasks=succeeded")).await;
    assert!(done.contains("evidence of succeeded") && !done.contains("tasks, by asset"), "{}", gist(&done));

    // Tasks move on while somebody looks at a page of them.
    became(&world, "zz-%", "succeeded", 0).await;
    let left = me.page(&rest).await;
    assert!(left.contains("Nothing is left on this page") && left.contains("First page"), "{}", gist(&left));
    assert_eq!(me.client.get(&format!("{job}?cursor=x")).await.status, 422);
});

both_servers!(of_a_small_run_what_needs_attention_comes_first, |server| async move {
    let world = World::ready(server).await;
    let me = admin_browser(&world.server).await;
    let (number, own, _) = draft(&world).await;
    enabled(&world, &number).await;
    let (first, last) = (own.first().unwrap(), own.last().unwrap());
    let place = |page: &str, name: &str| page.find(&format!(">{name}</a><small>")).expect("the asset has a task");
    let page = me.page(&format!("/jobs/{number}")).await;
    assert!(place(&page, first) < place(&page, last), "by name");
    assert!(!page.contains("Pages of tasks"), "one page has no pager");
    became(&world, last, "failed", 1).await;
    let page = me.page(&format!("/jobs/{number}")).await;
    assert!(place(&page, last) < place(&page, first), "what failed comes first: {}", gist(&page));
    let none = me.page(&format!("/jobs/{number}?tasks=running")).await;
    assert!(none.contains("No task of this run is in such a state now."), "{}", gist(&none));
});

both_servers!(what_a_job_means_for_each_cve_stands_on_its_page, |server| async move {
    let world = World::ready(server).await;
    let me = admin_browser(&world.server).await;
    let (number, _, qid) = draft(&world).await;
    // More CVEs than the card holds.
    let write = world.server.app().database.write(move |tx| {
        for n in 0..12 {
            tx.execute(
                "INSERT INTO vulnerability_cve (vulnerability_id, cve) SELECT id, $2 FROM vulnerability WHERE qid = $1",
                &[&qid, &format!("CVE-2031-{:04}", 1_000 + n)],
            )?;
        }
        Ok(())
    });
    write.await.unwrap();
    let card = |page: &str| between(page, "<section class=\"q-card\" id=\"cves\"", "</section>").to_owned();
    let empty = card(&me.page(&format!("/jobs/{number}")).await);
    assert!(empty.contains("Nothing by CVE yet") && !empty.contains("<table"), "a draft has done nothing: {empty}");

    enabled(&world, &number).await;
    let page = me.page(&format!("/jobs/{number}")).await;
    let told = event(&me, &address(&page, "sse-connect=\"")).await;
    assert!(told.contains("id=\"cves\"") && told.contains(" more CVEs"), "scores change while it runs: {told}");
    let shown = card(&page);
    let cves = world.admin.get(&format!("/api/v1/jobs/{number}/cves")).await.expect(200);
    let cves = cves["cves"].as_array().unwrap();
    assert!(cves.len() >= 12, "{cves:?}");
    let (top, rest) = cves.split_at(10);
    for cve in top {
        let row = between(&shown, &format!("<code>{}</code>", cve["cve"].as_str().unwrap()), "</tr>");
        assert!(row.contains(&format!("<a href=\"/vulnerabilities/{qid}\">{qid}</a>")), "{row}");
        let number = |field: &str| format!("<td class=\"end\">{}</td>", cve[field]);
        let numbers = [number("mitigated"), number("partly"), number("not")].concat();
        assert!(row.contains(&numbers), "{numbers} in {row}");
        assert!(row.contains(&format!("{}", cve["inherent"])), "{cve} in {row}");
    }
    for cve in rest {
        assert!(!shown.contains(cve["cve"].as_str().unwrap()), "the card is short: {shown}");
    }
    assert!(shown.contains(&format!("{} more CVEs", rest.len())), "{shown}");
    assert!(shown.contains(&format!("href=\"/jobs/{number}/summary\"")), "{shown}");
});
