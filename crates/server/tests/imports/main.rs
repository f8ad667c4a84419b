//! Imports over real HTTP: from a simulated platform and from files, whole, broken and hostile.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "helpers of tests are tests, too"
)]

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
        if run["import"]["state"] != "running" {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_import_of_an_instance_runs_at_a_time() {
    use domain::id::InstanceId;
    let server = TestServer::start().await;
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    let delayed = Fault::next("host-detection", FaultKind::Delay { ms: 1_500 });
    simulator.set_fault_plan(vec![delayed]);
    let path = format!("/api/v1/instances/{id}/imports");
    let begun = admin.post(&path, &json!({ "kind": "host_detection" })).await.expect(202);
    let second = admin.post(&path, &json!({})).await;
    assert_eq!((second.status, second.code()), (409, "import_running"));
    let pulled = server::engine::import::import_targeted(
        server.app(),
        InstanceId(id),
        vec![1],
        vec![1],
        "scans/VSCAN0000001".to_owned(),
    );
    assert!(pulled.await.is_err(), "a targeted pull waits for its turn as well");
    let run = ended(&admin, begun["import"]["number"].as_str().expect("a number")).await;
    assert_eq!(run["import"]["state"], "complete", "{run}");
    let runs = admin.get("/api/v1/imports").await.expect(200);
    assert_eq!(runs["imports"].as_array().expect("a list").len(), 1, "a refused start leaves no record");
    import(&admin, id, "setup").await;
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

testkit::both_servers!(a_due_import_waits_for_the_one_that_is_at_work, |server| async move {
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    // A second replica looks after the same schedule.
    let other = tokio::spawn(server::engine::import::schedule(server.app().clone()));
    // The pull of a rescan is at work, somewhere.
    let now = server.app().clock.now();
    let lease = server
        .app()
        .database
        .write(move |tx| store::lease::acquire(tx, &format!("import/{id}"), uuid::Uuid::new_v4(), now, 1_000_000))
        .await
        .expect("the database works")
        .expect("nobody has it");
    admin.patch(&format!("/api/v1/instances/{id}"), &json!({ "interval_minutes": 15 })).await.expect(200);
    let scheduled = || async {
        let runs = admin.get("/api/v1/imports?q=cause:schedule&sort=number").await.expect(200);
        runs["imports"].as_array().expect("a list").clone()
    };
    server.clock.advance(15 * 60);
    for _ in 0..6 {
        server.clock.advance(31);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(scheduled().await.is_empty(), "one import of an instance at a time");

    let freed = server.app().database.write(move |tx| store::lease::release(tx, &lease));
    freed.await.expect("the pull ends");
    // Six minutes at most: far less than the interval.
    let mut began = None;
    for _ in 0..12 {
        server.clock.advance(31);
        tokio::time::sleep(Duration::from_millis(100)).await;
        began = scheduled().await.first().cloned();
        if began.is_some() {
            break;
        }
    }
    let run = began.expect("the import that was due begins as soon as it can");
    let run = ended(&admin, run["number"].as_str().expect("a number")).await;
    assert_eq!(run["import"]["state"], "complete", "{run}");
    for _ in 0..4 {
        server.clock.advance(31);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(scheduled().await.len(), 1, "once, by whichever replica");
    other.abort();
    simulator.shutdown().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduled_import_begins_when_its_interval_has_passed() {
    let server = TestServer::start().await;
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    let every = json!({ "interval_minutes": 15 });
    admin.patch(&format!("/api/v1/instances/{id}"), &every).await.expect(200);
    let short = admin.patch(&format!("/api/v1/instances/{id}"), &json!({ "interval_minutes": 1 })).await;
    assert_eq!(short.status, 422);
    for _ in 0..200 {
        server.clock.advance(60);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let runs = admin.get("/api/v1/imports?q=cause:schedule&sort=number").await.expect(200);
        if let Some(run) = runs["imports"].as_array().and_then(|runs| runs.first()) {
            let run = ended(&admin, run["number"].as_str().expect("a number")).await;
            assert_eq!((&run["import"]["state"], &run["import"]["kind"]), (&json!("complete"), &json!("everything")));
            assert_eq!(run["import"]["actor"], "engine/import");
            simulator.shutdown().await;
            return;
        }
    }
    panic!("no import was begun by the schedule");
}

// --- Files -----------------------------------------------------------------------------------------------------------

const HOSTS: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<!DOCTYPE HOST_LIST_VM_DETECTION_OUTPUT SYSTEM "https://qualysapi.example/output.dtd">
<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><DATETIME>2026-11-01T00:00:00Z</DATETIME><HOST_LIST>
<HOST><ID>11</ID><IP>192.0.2.11</IP><TRACKING_METHOD>IP</TRACKING_METHOD><OS><![CDATA[Ubuntu 22.04]]></OS>
<DNS><![CDATA[web.example]]></DNS><TAGS><TAG><TAG_ID>1</TAG_ID><NAME><![CDATA[prod]]></NAME></TAG></TAGS>
<DETECTION_LIST><DETECTION><QID>91</QID><TYPE>Confirmed</TYPE><SEVERITY>5</SEVERITY><PORT>443</PORT>
<PROTOCOL>tcp</PROTOCOL><STATUS>Active</STATUS><QDS severity="CRITICAL">95</QDS></DETECTION>
<DETECTION><QID>92</QID><TYPE>Potential</TYPE><SEVERITY>3</SEVERITY><STATUS>Fixed</STATUS></DETECTION>
<DETECTION><QID>93</QID><TYPE>Info</TYPE><SEVERITY>1</SEVERITY></DETECTION></DETECTION_LIST></HOST>
<HOST><ID>12</ID><IP>192.0.2.12</IP><OS>Windows Server 2022</OS><DETECTION_LIST>
<DETECTION><QID>91</QID><TYPE>Confirmed</TYPE><SEVERITY>5</SEVERITY><STATUS>New</STATUS></DETECTION>
</DETECTION_LIST></HOST></HOST_LIST></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>"#;

async fn load(client: &Client, name: &str, content: impl Into<reqwest::Body>) -> testkit::server::Reply {
    let path = format!("/api/v1/imports/files?name={name}");
    let request = client.request(reqwest::Method::POST, &path).header("content-type", "application/octet-stream");
    client.send(request.body(content)).await
}

testkit::both_servers!(a_file_becomes_assets_items_and_a_record, |server| async move {
    let admin = server.admin().await;
    let begun = load(&admin, "hosts.xml", HOSTS).await.expect(202);
    assert_eq!(begun["report"]["hosts"], 2);
    assert_eq!(begun["report"]["detections_by_type"], json!({ "Confirmed": 2, "Info": 1, "Potential": 1 }));
    let run = ended(&admin, begun["import"]["number"].as_str().expect("a number")).await;
    assert_eq!(run["import"]["state"], "complete", "{run}");
    assert_eq!(run["import"]["instance"], "Files (Qualys)");
    assert_eq!(run["import"]["counters"]["items"]["new"], 2, "what is fixed at first sight, and facts, have no item");
    let items = admin.get("/api/v1/items?sort=-score").await.expect(200);
    let shown: Vec<_> = items["items"].as_array().expect("a list").iter().collect();
    assert_eq!((&shown[0]["residual"], &shown[0]["score_source"]), (&json!(95), &json!("qds")));
    assert_eq!((&shown[1]["residual"], &shown[1]["score_source"]), (&json!(85), &json!("estimated")));
    assert_eq!(shown[0]["asset"], "web.example");
    assert_eq!(shown[0]["source"], Value::Null, "the scanner is not active");

    let number = shown[0]["number"].as_str().expect("a number");
    let path = format!("/api/v1/items/{number}");
    let changed = admin.post(&format!("{path}/state"), &json!({ "state": "under_investigation" })).await.expect(200);
    assert_eq!(changed["item"]["state"], "under_investigation");
    let closed = admin.post(&format!("{path}/state"), &json!({ "state": "closed" })).await;
    assert_eq!((closed.status, closed.code()), (409, "closed_by_import"));
    let given = admin.post(&format!("{path}/assignment"), &json!({ "assignee": "admin" })).await.expect(200);
    assert_eq!(given["item"]["assignee"], "admin");
    assert_eq!(admin.post(&format!("{path}/assignment"), &json!({ "assignee": "nobody" })).await.status, 422);
    let mine = admin.get("/api/v1/items?q=assignee:me").await.expect(200);
    assert_eq!(mine["items"].as_array().expect("a list").len(), 1);
    let history = admin.get(&format!("{path}/history")).await.expect(200);
    let what: Vec<_> = history["history"].as_array().expect("a list").iter().map(|line| &line["what"]).collect();
    assert_eq!(what, ["assignment", "state"]);
    let score = admin.get(&format!("{path}/score")).await.expect(200);
    assert_eq!((&score["score"]["residual"], &score["score"]["units"][0]["cve"]), (&json!(95), &Value::Null));

    admin.patch("/api/v1/scanners/qualys", &json!({ "active": true })).await.expect(200);
    let again = load(&admin, "hosts.xml", HOSTS).await.expect(202);
    let run = ended(&admin, again["import"]["number"].as_str().expect("a number")).await;
    assert_eq!(run["import"]["counters"]["detections"]["unchanged"], 4, "{run}");
    let sourced = admin.get("/api/v1/items?q=source:Qualys").await.expect(200);
    assert_eq!(sourced["items"].as_array().expect("a list").len(), 2, "S2.04: after the next import");
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_file_leaves_nothing_behind() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let bomb = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"{}\"><!ENTITY b \"&a;&a;&a;&a;\">]>{}",
        "x".repeat(1_000),
        HOSTS.split_once("dtd\">").expect("a doctype").1
    );
    let crossed = HOSTS.replace("</DETECTION_LIST></HOST></HOST_LIST>", "</HOST></DETECTION_LIST></HOST_LIST>");
    let scan = "<?xml version=\"1.0\"?><!DOCTYPE SCAN SYSTEM \"scan-1.dtd\"><SCAN value=\"scan/1.1\"></SCAN>";
    for (name, content, code) in [
        ("truncated.xml", HOSTS[..HOSTS.len() / 2].to_owned(), "truncated"),
        ("crossed.xml", crossed, "not_well_formed"),
        ("bomb.xml", bomb, "entity_refused"),
        ("scan.xml", scan.to_owned(), "refused"),
        ("empty.xml", String::new(), ""),
        ("noise.bin", "\u{0}\u{1}hello".to_owned(), ""),
    ] {
        let reply = load(&admin, name, content).await;
        assert_eq!(reply.status, 422, "{name}: {}", reply.text);
        let found = reply.json["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
        assert!(code.is_empty() || found == code, "{name}: {}", reply.text);
    }
    let empty = |list: Value, key: &str| assert_eq!(list[key], json!([]), "{key}");
    empty(admin.get("/api/v1/imports").await.expect(200), "imports");
    empty(admin.get("/api/v1/assets").await.expect(200), "assets");
    empty(admin.get("/api/v1/items").await.expect(200), "items");
    empty(admin.get("/api/v1/vulnerabilities").await.expect(200), "vulnerabilities");
    empty(admin.get("/api/v1/instances").await.expect(200), "instances");
    let spool = std::fs::read_dir(server.folder().join("spool")).expect("the spool").count();
    assert_eq!(spool, 0, "no upload is left on the disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_hides_what_is_outside_and_an_owner_sees_what_is_assigned() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let begun = load(&admin, "hosts.xml", HOSTS).await.expect(202);
    ended(&admin, begun["import"]["number"].as_str().expect("a number")).await;
    let analyst = server.user("ana", &["vulnerability_analyst"]).await;
    admin.patch("/api/v1/users/ana", &json!({ "scope": { "tags": ["prod"] } })).await.expect(200);
    let assets = analyst.get("/api/v1/assets").await.expect(200);
    assert_eq!(assets["assets"].as_array().expect("a list").len(), 1);
    let all = admin.get("/api/v1/assets?sort=ip").await.expect(200);
    let outside = all["assets"][1]["id"].as_i64().expect("a key");
    assert_eq!(analyst.get(&format!("/api/v1/assets/{outside}")).await.status, 404);
    let items = admin.get("/api/v1/items?sort=-score").await.expect(200);
    let (inside, hidden) = (&items["items"][0]["number"], &items["items"][1]["number"]);
    let (inside, hidden) = (inside.as_str().expect("a number"), hidden.as_str().expect("a number"));
    assert_eq!(analyst.get(&format!("/api/v1/items/{inside}")).await.status, 200);
    assert_eq!(analyst.get(&format!("/api/v1/items/{hidden}")).await.status, 404);
    let found = analyst.get("/api/v1/vulnerabilities/91").await.expect(200);
    assert_eq!(found["vulnerability"]["open_items"], 1);
    let found = admin.get("/api/v1/vulnerabilities/91").await.expect(200);
    assert_eq!(found["vulnerability"]["open_items"], 2);

    let owner = server.user("otto", &["remediation_owner"]).await;
    assert_eq!(owner.get("/api/v1/items").await.expect(200)["items"], json!([]));
    assert_eq!(owner.get(&format!("/api/v1/items/{hidden}")).await.status, 403);
    admin.post(&format!("/api/v1/items/{hidden}/assignment"), &json!({ "assignee": "otto" })).await.expect(200);
    assert_eq!(owner.get("/api/v1/items").await.expect(200)["items"][0]["number"], json!(hidden));
    let state = json!({ "state": "resolved" });
    owner.post(&format!("/api/v1/items/{hidden}/state"), &state).await.expect(200);
    assert_eq!(owner.post(&format!("/api/v1/items/{inside}/state"), &state).await.status, 403);
    assert_eq!(load(&owner, "x.xml", HOSTS).await.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_from_elsewhere_give_the_counts_of_their_manifest() {
    let Some(folder) = testkit::fixtures::folder() else { return };
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for (name, hosts, detections, vulnerabilities, items) in [
        ("defectdojo/qualys/Qualys_Sample_Report.xml", 7, 301, 93, 69..=69),
        ("jupiterone/detections.xml", 1, 3, 0, 1..=3),
        ("defectdojo/qualys/empty.xml", 0, 0, 0, 0..=0),
    ] {
        let content = std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let begun = load(&admin, "file.xml", content.clone()).await.expect(202);
        let report = &begun["report"];
        assert_eq!(
            (&report["hosts"], &report["detections"], &report["vulnerabilities"]),
            (&json!(hosts), &json!(detections), &json!(vulnerabilities)),
            "{name}: {report}"
        );
        let run = ended(&admin, begun["import"]["number"].as_str().expect("a number")).await;
        assert_eq!(run["import"]["state"], "complete", "{name}: {run}");
        let counters = &run["import"]["counters"];
        let sum =
            |kinds: [&str; 4]| kinds.iter().map(|kind| counters["detections"][kind].as_u64().unwrap()).sum::<u64>();
        assert_eq!(sum(["new", "updated", "unchanged", "ignored"]), detections, "{name}: {counters}");
        let made = counters["items"]["new"].as_u64().expect("a count");
        assert!(items.contains(&made), "{name}: {counters}");
        let again = load(&admin, "file.xml", content).await.expect(202);
        let run = ended(&admin, again["import"]["number"].as_str().expect("a number")).await;
        let counters = &run["import"]["counters"];
        assert_eq!(
            (&counters["detections"]["new"], &counters["detections"]["updated"]),
            (&json!(0), &json!(0)),
            "{run}"
        );
    }
}
