//! Imports over real HTTP: from a simulated platform, and (`files`) from files.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "helpers of tests are tests, too"
)]

mod files;
mod lists;
mod pages;
mod schedules;
mod unseen;
mod watch;

use qualys_sim::{Fault, FaultKind, Limits, Options, Simulator};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::server::{Client, TestServer};

async fn simulator(options: Options) -> Simulator {
    // No limits: the test server's clock stands still, so nobody could wait for one.
    let limits = Limits { rate: 1_000_000, window_seconds: 1, concurrency: 100 };
    Simulator::start(Options { limits, ..options }).await.expect("the simulator starts")
}

async fn instance(admin: &Client, simulator: &Simulator) -> i64 {
    let new = json!({
        "name": "Simulated", "api_url": simulator.api_url(),
        "username": simulator.username(), "password": simulator.password(),
    });
    let made = admin.post("/api/v1/instances", &new).await.expect(201);
    made["instance"]["id"].as_i64().expect("a key")
}

/// Import and wait for the end of the run.
async fn import(admin: &Client, instance: i64, kind: &str) -> Value {
    let path = format!("/api/v1/instances/{instance}/imports");
    let begun = admin.post(&path, &json!({ "kind": kind })).await.expect(202);
    ended(admin, begun["import"]["number"].as_str().expect("a number")).await
}

async fn ended(admin: &Client, number: &str) -> Value {
    for _ in 0..1_200 {
        let run = admin.get(&format!("/api/v1/imports/{number}")).await.expect(200);
        if run["import"]["state"] != "running" && run["import"]["state"] != "queued" {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the import {number} does not end");
}

testkit::both_servers!(a_platform_is_imported_once_and_then_only_what_changed, |server| async move {
    let simulator = simulator(Options { hosts: 8, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    let run = import(&admin, id, "everything").await;
    assert_eq!(run["import"]["state"], "complete", "{run}");
    let counters = &run["import"]["counters"];
    assert_eq!(counters["hosts"]["new"], 8);
    assert_eq!(counters["assets_new"], 8);
    assert_eq!(counters["placeholders"], 0);
    let detections = counters["detections"]["new"].as_u64().expect("a count");
    assert!(detections > 40, "{counters}");

    let assets = admin.get("/api/v1/assets?q=platform:linux&sort=-score").await.expect(200);
    assert!(assets["assets"].as_array().expect("a list").len() >= 3, "{assets}");
    let found = admin.get("/api/v1/vulnerabilities?q=is:found&limit=2").await.expect(200);
    assert_eq!(found["vulnerabilities"].as_array().expect("a list").len(), 2);
    let next = found["next"].as_str().expect("more pages");
    let page = admin.get(&format!("/api/v1/vulnerabilities?q=is:found&limit=2&cursor={next}")).await.expect(200);
    assert_ne!(page["vulnerabilities"][0]["qid"], found["vulnerabilities"][0]["qid"]);
    let profiles = admin.get(&format!("/api/v1/instances/{id}/option-profiles")).await.expect(200);
    assert!(!profiles["option_profiles"].as_array().expect("a list").is_empty(), "{profiles}");

    let again = import(&admin, id, "everything").await;
    let counters = &again["import"]["counters"];
    for what in ["hosts", "detections", "vulnerabilities"] {
        assert_eq!((&counters[what]["new"], &counters[what]["updated"]), (&json!(0), &json!(0)), "{what}: {again}");
    }
    let asked: Vec<_> = simulator.journal().into_iter().filter(|entry| entry.endpoint == "host-detection").collect();
    assert!(asked.first().expect("a first call").parameter("vm_processed_after").is_none());
    assert!(asked.last().expect("a second call").parameter("vm_processed_after").is_some());
    simulator.shutdown().await;
});

testkit::both_servers!(a_failed_run_keeps_complete_hosts_and_the_next_goes_on_there, |server| async move {
    let options = Options { hosts: 1_030, detections_per_host: 1, ..Options::default() };
    let simulator = simulator(options).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    let fault = Fault::on("host-detection", 2, FaultKind::BadLogin);
    simulator.set_fault_plan(vec![fault]);
    let failed = import(&admin, id, "host_detection").await;
    assert_eq!(failed["import"]["state"], "failed", "{failed}");
    assert!(failed["import"]["detail"].as_str().expect("a reason").contains("sign-in was refused"), "{failed}");
    assert_eq!(failed["import"]["counters"]["hosts"]["new"], 1_000);
    let shown = admin.get(&format!("/api/v1/instances/{id}")).await.expect(200);
    assert_eq!(shown["instance"]["host_detection_until"], Value::Null, "no cursor has moved");

    simulator.set_fault_plan(vec![]);
    let rest = import(&admin, id, "host_detection").await;
    assert_eq!(rest["import"]["state"], "complete", "{rest}");
    assert_eq!(rest["import"]["counters"]["hosts"]["new"], 30);
    assert_eq!(rest["import"]["counters"]["hosts"]["unchanged"], 0, "it went on where the other stopped");
    let shown = admin.get(&format!("/api/v1/instances/{id}")).await.expect(200);
    assert_ne!(shown["instance"]["host_detection_until"], Value::Null);
    simulator.shutdown().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_targeted_pull_asks_for_exactly_its_hosts_and_moves_no_cursor() {
    use domain::id::InstanceId;
    let server = TestServer::start().await;
    let simulator = simulator(Options { hosts: 4, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    import(&admin, id, "everything").await;
    let items = admin.get("/api/v1/items?q=is:open&sort=-score&limit=1").await.expect(200);
    let (number, qid) = (items["items"][0]["number"].as_str().expect("a number"), &items["items"][0]["qid"]);
    let shown = admin.get(&format!("/api/v1/items/{number}")).await.expect(200);
    let host: i64 = shown["detections"][0]["host"].as_str().expect("a host").parse().expect("its id");
    let qid = qid.as_i64().expect("a number");
    let instance = format!("/api/v1/instances/{id}");
    let before = admin.get(&instance).await.expect(200);
    simulator.clear_journal();
    let source = "scans/VSCAN0000001".to_owned();
    let pulled = server::engine::import::import_targeted(server.app(), InstanceId(id), vec![host], vec![qid], source);
    let (run, counters) = pulled.await.expect("the pull works");
    assert_eq!((counters.hosts.unchanged, counters.detections.new), (1, 0));
    let run = ended(&admin, &run.to_string()).await;
    assert_eq!((&run["import"]["kind"], &run["import"]["cause"]), (&json!("targeted"), &json!("scan")));
    let asked = simulator.journal();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let (host, qid) = (host.to_string(), qid.to_string());
    assert_eq!((asked[0].parameter("ids"), asked[0].parameter("qids")), (Some(host.as_str()), Some(qid.as_str())));
    let after = admin.get(&instance).await.expect(200);
    assert_eq!(after["instance"]["host_detection_until"], before["instance"]["host_detection_until"]);
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_write_only_and_goes_nowhere_else() {
    let server = TestServer::start().await;
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    let path = format!("/api/v1/instances/{id}");
    let shown = admin.get(&path).await;
    assert!(!shown.text.contains(simulator.password()), "{}", shown.text);
    assert_eq!(shown.json["instance"]["has_password"], true);
    let stored = std::fs::read(server.folder().join("quell.db")).expect("the database");
    let password = simulator.password().as_bytes();
    assert!(!stored.windows(password.len()).any(|bytes| bytes == password), "sealed at rest");

    let test = admin.post(&format!("{path}/test"), &json!({})).await.expect(200);
    assert_eq!(test["test"]["works"], true, "{test}");
    let moved = admin.patch(&path, &json!({ "api_url": "https://evil.example" })).await;
    assert_eq!((moved.status, moved.code()), (409, "password_needed"));
    let wrong = admin.patch(&path, &json!({ "password": "wrong" })).await;
    assert_eq!(wrong.status, 200, "{}", wrong.text);
    let test = admin.post(&format!("{path}/test"), &json!({})).await.expect(200);
    assert_eq!(test["test"]["works"], false, "{test}");
    let plain = json!({ "name": "x", "api_url": "http://scanner.example", "username": "u", "password": "p" });
    assert_eq!(admin.post("/api/v1/instances", &plain).await.status, 422, "a password over plain HTTP");
    let taken = json!({ "name": "Simulated", "api_url": "https://a.example", "username": "u", "password": "p" });
    assert_eq!(admin.post("/api/v1/instances", &taken).await.code(), "name_taken");
    let stale = admin.request(reqwest::Method::PATCH, &path).header("if-match", "\"v1\"");
    assert_eq!(admin.send(stale.json(&json!({ "tracking_hours": 12 }))).await.status, 412);
    simulator.shutdown().await;
}

testkit::both_servers!(tags_stay_where_the_platform_refuses_to_show_them, |server| async move {
    use domain::id::InstanceId;
    let simulator = simulator(Options { hosts: 4, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    import(&admin, id, "everything").await;
    let items = admin.get("/api/v1/items?q=is:open&sort=-score&limit=1").await.expect(200);
    let (number, qid) = (items["items"][0]["number"].as_str().expect("a number"), &items["items"][0]["qid"]);
    let (qid, asset) = (qid.as_i64().expect("a number"), items["items"][0]["asset_id"].as_i64().expect("a key"));
    let shown = admin.get(&format!("/api/v1/items/{number}")).await.expect(200);
    let host: i64 = shown["detections"][0]["host"].as_str().expect("a host").parse().expect("its id");
    let tags = || async {
        let asset = admin.get(&format!("/api/v1/assets/{asset}")).await.expect(200);
        asset["tags"].as_array().or(asset["asset"]["tags"].as_array()).expect("a list").clone()
    };
    let before = tags().await;
    assert!(!before.is_empty(), "the simulator tags every host");

    let what = FaultKind::UnknownParameter { name: "show_tags".to_owned() };
    simulator.set_fault_plan(vec![Fault { endpoint: Some("host-detection".to_owned()), from: None, times: 0, what }]);
    simulator.clear_journal();
    let pull = || {
        let (hosts, qids, source) = (vec![host], vec![qid], "scans/VSCAN0000001".to_owned());
        server::engine::import::import_targeted(server.app(), InstanceId(id), hosts, qids, source)
    };
    let (run, _) = pull().await.expect("the pull works without tags");
    let asked: Vec<bool> = simulator.journal().iter().map(|call| call.parameter("show_tags").is_some()).collect();
    assert_eq!(asked, [true, false], "refused, and asked without it");
    assert_eq!(tags().await, before, "scopes and exclusions hang on them");
    let run = ended(&admin, &run.to_string()).await;
    assert_eq!(run["import"]["state"], "complete", "{run}");
    assert!(run["import"]["detail"].as_str().expect("a remark").contains("show_tags"), "{run}");

    simulator.set_fault_plan(vec![]);
    let (run, _) = pull().await.expect("the pull works");
    assert_eq!(tags().await, before);
    let run = ended(&admin, &run.to_string()).await;
    assert!(!run.to_string().contains("show_tags"), "{run}");
    simulator.shutdown().await;
});
