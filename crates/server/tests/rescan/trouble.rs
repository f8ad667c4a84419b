//! Lost answers, crashes, time-outs, cancelling.

use super::world::{World, number, verdict};
use qualys_sim::{Fault, FaultKind, Options, Outcome};
use serde_json::json;
use testkit::server::TestServer;

fn options() -> Options {
    Options { hosts: 6, ..Options::default() }
}

testkit::both_servers!(a_launch_whose_answer_is_lost_is_found_by_its_title, |server| async move {
    let world = World::ready(server, options()).await;
    let item = &world.items(1).await[0];
    world.advance(3_600);
    world.simulator.set_fault_plan(vec![Fault::next("scan", FaultKind::Cut { after: 40 })]);
    let scan = number(&world.rescan(&[item], None).await);
    let shown = world.turning(&scan, 5, |scan| scan["children"][0]["reference"].is_string()).await;
    assert_eq!(world.simulator.scans().len(), 1, "{shown}");
    assert_eq!(world.launches(), 1);
    let done = world.ended(&scan).await;
    assert_eq!((done["scan"]["state"].as_str(), verdict(&done, item)), (Some("complete"), "still_present"));
    assert_eq!(world.launches(), 1);
});

testkit::both_servers!(a_server_that_dies_between_intent_and_answer_launches_once, |server| async move {
    let mut world = World::ready(server, options()).await;
    let item = world.items(1).await[0].clone();
    world.advance(3_600);
    // The scanner takes the launch and is slow to answer; the server stops meanwhile.
    world.simulator.set_fault_plan(vec![Fault::next("scan", FaultKind::Delay { ms: 30_000 })]);
    let scan = number(&world.rescan(&[&item], None).await);
    for _ in 0..400 {
        if world.launches() == 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(world.launches(), 1, "the launch is on its way");
    let shown = world.scan(&scan).await;
    assert_eq!(shown["children"][0]["state"], "launching", "the intent is durable before the call");
    world.restart().await;
    let done = world.ended(&scan).await;
    assert_eq!(done["scan"]["state"], "complete", "{done}");
    assert_eq!((world.launches(), world.simulator.scans().len()), (1, 1));
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_that_never_arrived_is_sent_again_after_the_search() {
    let world = World::ready(TestServer::start().await, options()).await;
    let item = &world.items(1).await[0];
    // A page of a front end: the platform never saw the call, but nobody can know that.
    world.simulator.set_fault_plan(vec![Fault::next("scan", FaultKind::Html { status: 502 })]);
    let scan = number(&world.rescan(&[item], None).await);
    world
        .until(&scan, |scan| scan["children"][0]["message"].as_str().is_some_and(|text| text.contains("no answer")))
        .await;
    world.advance(60);
    world.until(&scan, |scan| scan["children"][0]["state"] == "launching").await;
    assert_eq!(world.simulator.scans().len(), 0, "still searched for");
    let shown = world.turning(&scan, 20, |scan| scan["children"][0]["reference"].is_string()).await;
    assert_eq!(world.simulator.scans().len(), 1, "{shown}");
    let calls = world.simulator.journal();
    let actions: Vec<&str> =
        calls.iter().filter(|call| call.endpoint == "scan").filter_map(|call| call.parameter("action")).collect();
    let second = actions.iter().rposition(|action| *action == "launch").expect("a launch");
    assert!(actions[1..second].contains(&"list"), "looked for before it was sent again: {actions:?}");
    assert_eq!(actions[second - 1], "list", "and once more right before: {actions:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_launch_ends_with_the_scanners_words() {
    let world = World::ready(TestServer::start().await, options()).await;
    let item = &world.items(1).await[0];
    world.simulator.set_fault_plan(vec![Fault::next("scan", FaultKind::ErrorWith200 { code: 1905 })]);
    let scan = number(&world.rescan(&[item], None).await);
    let done = world.ended(&scan).await;
    assert_eq!(done["scan"]["state"], "error", "{done}");
    assert!(done["scan"]["message"].as_str().expect("a message").contains("1905"), "{done}");

    // A limit is no refusal: it is waited for.
    let wait = FaultKind::RateLimited { seconds: 600, headers: true };
    world.simulator.set_fault_plan(vec![Fault::next("scan", wait)]);
    let scan = number(&world.rescan(&[item], None).await);
    world.until(&scan, |scan| scan["children"][0]["message"].as_str().is_some_and(|text| text.contains("1965"))).await;
    assert_eq!(world.simulator.scans().len(), 0);
    world.advance(620);
    world.launched(&scan).await;
    assert_eq!(world.simulator.scans().len(), 1);
}

testkit::both_servers!(what_was_planned_is_not_launched_after_the_scanner_was_deactivated, |server| async move {
    let world = World::ready(server, options()).await;
    let items = world.items(2).await;
    let active = async |on: bool| {
        world.admin.patch("/api/v1/scanners/qualys", &json!({ "active": on })).await.expect(200);
    };
    let running = number(&world.rescan(&[&items[0]], None).await);
    world.launched(&running).await;
    // The scanner's limit keeps the second one waiting; meanwhile somebody deactivates it.
    let wait = FaultKind::RateLimited { seconds: 600, headers: true };
    world.simulator.set_fault_plan(vec![Fault {
        endpoint: Some("scan".to_owned()),
        from: None,
        times: 0,
        what: wait.clone(),
    }]);
    let planned = number(&world.rescan(&[&items[1]], None).await);
    let says = |scan: &serde_json::Value, word: &str| {
        scan["children"][0]["message"].as_str().is_some_and(|text| text.contains(word))
    };
    world.until(&planned, |scan| says(scan, "1965")).await;
    active(false).await;
    world.simulator.set_fault_plan(vec![]);
    world.advance(620);
    let held = world.turning(&planned, 20, |scan| says(scan, "deactivated")).await;
    assert_eq!(
        (&held["scan"]["state"], &held["children"][0]["state"]),
        (&json!("queued"), &json!("planned")),
        "{held}"
    );
    // What ran is followed to its end.
    let done = world.ended(&running).await;
    assert_eq!(done["scan"]["state"], "complete", "{done}");
    assert_eq!(world.simulator.scans().len(), 1, "nothing was launched");

    active(true).await;
    let shown = world.turning(&planned, 20, |scan| scan["children"][0]["reference"].is_string()).await;
    assert_eq!(world.simulator.scans().len(), 2, "{shown}");
});

testkit::both_servers!(
    s2_18_and_s2_19_the_time_out_ends_the_tracking_and_a_late_scan_is_adopted,
    |server| async move {
        let world = World::ready(server, options()).await;
        let item = &world.items(1).await[0];
        world.advance(3_600);
        world.simulator.set_next_outcome(Outcome::NeverProcessed);
        let scan = number(&world.rescan(&[item], None).await);
        world.launched(&scan).await;
        world.turning(&scan, 60, |scan| scan["children"][0]["state"] == "finished").await;
        world.advance(24 * 3_600);
        let ended = world.until(&scan, |scan| scan["scan"]["state"] == "timed_out").await;
        assert!(!ended["scan"]["ended_at"].is_null());
        assert_eq!(verdict(&ended, item), "", "nobody knows yet");
        let cancels = world.simulator.journal().into_iter().filter(|call| call.parameter("action") == Some("cancel"));
        assert_eq!(cancels.count(), 0, "the scan is left alone");
        // A new request is possible meanwhile.
        let offer = world.admin.get(&format!("/api/v1/items/{}/rescan", item.number)).await.expect(200);
        assert_eq!((&offer["allowed"], &offer["open_scan"]), (&json!(true), &json!(null)));

        world.simulator.state().change_scan(&reference(&ended), |scan, _| scan.outcome = Outcome::Truth);
        world.simulator.set_fixed(item.host, item.qid, true);
        let done = world.turning(&scan, 120, |scan| scan["scan"]["state"] == "complete").await;
        assert_eq!(done["children"][0]["adopted"], true, "{done}");
        assert_ne!(verdict(&done, item), "", "{done}");
    }
);

fn reference(scan: &serde_json::Value) -> String {
    scan["children"][0]["reference"].as_str().expect("a reference").to_owned()
}

testkit::both_servers!(a_cancelled_request_is_stopped_at_the_scanner, |server| async move {
    let world = World::ready(server, options()).await;
    let item = &world.items(1).await[0];
    let scan = number(&world.rescan(&[item], None).await);
    world.launched(&scan).await;
    let path = format!("/api/v1/scans/{scan}/cancel");
    let shown = world.admin.post(&path, &json!({})).await.expect(200);
    assert_eq!((&shown["scan"]["state"], &shown["cancel"]["allowed"]), (&json!("cancelled"), &json!(false)));
    let stopped = |scan: &serde_json::Value| {
        scan["children"][0]["message"].as_str().is_some_and(|text| text.contains("stopped at the scanner"))
    };
    world.until(&scan, stopped).await;
    assert_eq!(world.simulator.scans()[0].state.word(), "Canceled");
    let audit = world.admin.get("/api/v1/audit?q=scan").await;
    assert!(audit.text.contains("scan.cancel") && audit.text.contains("scan.request"), "{}", audit.text);
});

testkit::both_servers!(two_replicas_launch_once, |server| async move {
    let world = World::ready(server, options()).await;
    let items = world.items(3).await;
    // A second loop on the same database, as another replica runs it.
    let other = tokio::spawn(server::engine::rescan::run(world.server.app().clone()));
    for item in &items {
        let scan = number(&world.rescan(&[item], None).await);
        world.launched(&scan).await;
    }
    assert_eq!(world.simulator.scans().len(), 3);
    for scan in ["VSCAN0000001", "VSCAN0000002", "VSCAN0000003"] {
        let done = world.ended(scan).await;
        assert_eq!(done["scan"]["state"], "complete", "{done}");
    }
    assert_eq!(world.launches(), 3);
    other.abort();
});

testkit::both_servers!(a_later_double_is_found_followed_to_its_end_and_reported, |server| async move {
    let world = World::ready(server, options()).await;
    let item = &world.items(1).await[0];
    let email = json!({ "email": "admin@example.org" });
    world.server.admin().await.patch("/api/v1/users/admin", &email).await.expect(200);
    world.advance(3_600);
    // The answer is lost, and the platform does not show the scan while it is searched for.
    world.simulator.set_fault_plan(vec![Fault::next("scan", FaultKind::Cut { after: 40 })]);
    let scan = number(&world.rescan(&[item], None).await);
    world
        .until(&scan, |scan| scan["children"][0]["message"].as_str().is_some_and(|text| text.contains("no answer")))
        .await;
    let first = world.simulator.scans()[0].reference.clone();
    let title = world.simulator.scans()[0].title.clone();
    world.simulator.state().change_scan(&first, |scan, _| scan.title = "not shown yet".to_owned());
    world.turning(&scan, 20, |scan| scan["children"][0]["reference"].is_string()).await;
    assert_eq!(world.simulator.scans().len(), 2, "launched twice: nobody could know");
    let second = world.simulator.scans().into_iter().map(|scan| scan.reference).find(|one| *one != first);
    let second = second.expect("the double");
    world.simulator.state().change_scan(&first, |scan, _| scan.title = title);

    let shown = world.turning(&scan, 20, |scan| !scan["children"][0]["doubles"].is_null()).await;
    assert_eq!(shown["children"][0]["reference"], first.as_str(), "the earliest is followed: {shown}");
    assert_eq!(shown["children"][0]["doubles"], json!([second]), "{shown}");
    let done = world.ended(&scan).await;
    assert_eq!((done["scan"]["state"].as_str(), verdict(&done, item)), (Some("complete"), "still_present"), "{done}");
    assert!(world.simulator.scans().iter().all(|scan| scan.state.word() == "Finished"), "both have ended before it");
    let audit = world.admin.get("/api/v1/audit?q=scan.double").await;
    assert_eq!(audit.text.matches("scan.double").count(), 1, "{}", audit.text);

    let letters = world
        .server
        .app()
        .database
        .read(|tx| tx.all::<(String,)>("SELECT facts FROM mail_notice WHERE kind = 'scan'", &[]));
    let letters = letters.await.expect("the letters");
    assert!(letters[0].0.contains("Launched twice") && letters[0].0.contains(&second), "{letters:?}");

    // Called off, both are stopped.
    world.simulator.set_fault_plan(vec![Fault::next("scan", FaultKind::Cut { after: 40 })]);
    let scan = number(&world.rescan(&[item], None).await);
    world
        .until(&scan, |scan| scan["children"][0]["message"].as_str().is_some_and(|text| text.contains("no answer")))
        .await;
    let third = world.simulator.scans().into_iter().find(|scan| scan.state.word() != "Finished").expect("launched");
    world.simulator.state().change_scan(&third.reference, |scan, _| scan.title = "not shown yet".to_owned());
    world.turning(&scan, 20, |scan| scan["children"][0]["reference"].is_string()).await;
    world.simulator.state().change_scan(&third.reference, |scan, _| scan.title.clone_from(&third.title));
    world.admin.post(&format!("/api/v1/scans/{scan}/cancel"), &json!({})).await.expect(200);
    let stopped = |scan: &serde_json::Value| {
        scan["children"][0]["message"].as_str().is_some_and(|text| text.contains("stopped at the scanner"))
    };
    // One of them may store its results already, which the platform does not interrupt: it is tried again until it has ended.
    world.turning(&scan, 20, stopped).await;
    let ours: Vec<_> = world.simulator.scans().into_iter().filter(|scan| scan.title == third.title).collect();
    let states: Vec<&str> = ours.iter().map(|scan| scan.state.word()).collect();
    assert!(states.contains(&"Canceled"), "{states:?}");
    assert!(states.len() == 2 && states.iter().all(|state| ["Canceled", "Finished"].contains(state)), "{states:?}");
});
