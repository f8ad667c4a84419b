//! When imports come: one at a time, in their turn, none lost; schedules of each kind; cancelling.

use super::{ended, import, instance, simulator};
use domain::id::InstanceId;
use qualys_sim::{Fault, FaultKind, Options};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::server::{Client, TestServer};

async fn runs(admin: &Client, q: &str) -> Vec<Value> {
    let runs = admin.get(&format!("/api/v1/imports?q={q}&sort=number")).await.expect(200);
    runs["imports"].as_array().expect("a list").clone()
}

/// Let the engine look at the schedules so many times.
async fn looks(server: &TestServer, times: usize) {
    for _ in 0..times {
        server.clock.advance(31);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

testkit::both_servers!(one_import_of_an_instance_runs_at_a_time_and_the_next_waits, |server| async move {
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    simulator.set_fault_plan(vec![Fault::next("host-detection", FaultKind::Delay { ms: 2_500 })]);
    let path = format!("/api/v1/instances/{id}/imports");
    let begun = admin.post(&path, &json!({ "kind": "host_detection" })).await.expect(202);
    assert_eq!(begun["import"]["state"], "running");
    let waits = admin.post(&path, &json!({ "kind": "setup" })).await.expect(202);
    assert_eq!(waits["import"]["state"], "queued", "{waits}");
    let again = admin.post(&path, &json!({ "kind": "setup" })).await;
    assert_eq!((again.status, again.code()), (409, "import_queued"), "that one will bring the same");
    let source = "scans/VSCAN0000001".to_owned();
    let pulled = server::engine::import::import_targeted(server.app(), InstanceId(id), vec![1], vec![1], source);
    assert!(pulled.await.is_err(), "a targeted pull comes again by itself");

    // One that waits can be given up; one that has ended cannot.
    let gives_up = admin.post(&path, &json!({ "kind": "knowledge_base" })).await.expect(202);
    let given_up = gives_up["import"]["number"].as_str().expect("a number");
    let cancelled = admin.post(&format!("/api/v1/imports/{given_up}/cancel"), &json!({})).await.expect(200);
    assert_eq!(cancelled["import"]["state"], "cancelled", "{cancelled}");
    let twice = admin.post(&format!("/api/v1/imports/{given_up}/cancel"), &json!({})).await;
    assert_eq!((twice.status, twice.code()), (409, "import_ended"));

    for (run, kind) in [(&begun, "host_detection"), (&waits, "setup")] {
        let run = ended(&admin, run["import"]["number"].as_str().expect("a number")).await;
        assert_eq!((&run["import"]["state"], &run["import"]["kind"]), (&json!("complete"), &json!(kind)), "{run}");
    }
    assert_eq!(runs(&admin, "").await.len(), 3, "a refused start leaves no record");
    simulator.shutdown().await;
});

testkit::both_servers!(what_is_at_work_can_be_cancelled_and_moves_no_cursor, |server| async move {
    let simulator = simulator(Options { hosts: 1_030, detections_per_host: 1, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    let slow = FaultKind::Delay { ms: 60_000 };
    simulator.set_fault_plan(vec![Fault::on("host-detection", 2, slow)]);
    let path = format!("/api/v1/instances/{id}/imports");
    let begun = admin.post(&path, &json!({ "kind": "host_detection" })).await.expect(202);
    let number = begun["import"]["number"].as_str().expect("a number");
    let mut first = false;
    for _ in 0..600 {
        let run = admin.get(&format!("/api/v1/imports/{number}")).await.expect(200);
        first = run["import"]["counters"]["hosts"]["new"] == 1_000;
        if first {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(first, "the first page is in");
    // Whoever may only look may not.
    let looker = server.user("lena", &["read_only"]).await;
    assert_eq!(looker.post(&format!("/api/v1/imports/{number}/cancel"), &json!({})).await.status, 403);
    let asked = std::time::Instant::now();
    admin.post(&format!("/api/v1/imports/{number}/cancel"), &json!({})).await.expect(200);
    let run = ended(&admin, number).await;
    assert_eq!(run["import"]["state"], "cancelled", "{run}");
    assert!(asked.elapsed() < Duration::from_secs(30), "it does not wait for the platform");
    assert_eq!(run["import"]["counters"]["hosts"]["new"], 1_000, "complete hosts are kept");
    assert_eq!(run["import"]["cancel_by"], "users/admin");
    let step = run["steps"].as_array().expect("steps").last().expect("one").clone();
    assert_eq!((&step["name"], &step["ended_at"]), (&json!("detections"), &Value::Null), "{run}");
    let shown = admin.get(&format!("/api/v1/instances/{id}")).await.expect(200);
    assert_eq!(shown["instance"]["host_detection_until"], Value::Null, "no cursor has moved");

    simulator.set_fault_plan(vec![]);
    let whole = import(&admin, id, "host_detection").await;
    assert_eq!(whole["import"]["state"], "complete", "{whole}");
    assert_eq!(whole["import"]["counters"]["hosts"]["new"], 30);
    let step = &whole["steps"][0];
    assert_eq!((&step["name"], &step["pages"]), (&json!("detections"), &json!(2)), "{whole}");
    let rows = whole["import"]["counters"]["hosts"]["unchanged"].as_u64().expect("a count") + 30;
    assert!(rows == 1_030 && step["rows"].as_u64().expect("a count") >= rows, "{whole}");
    assert!(step["ended_at"].is_string() && step["bytes"].as_u64().expect("bytes") > 1_000, "{whole}");
    simulator.shutdown().await;
});

testkit::both_servers!(a_due_import_waits_for_the_one_that_is_at_work, |server| async move {
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    // A second replica looks after the same schedules.
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
    let path = format!("/api/v1/instances/{id}/schedules/host_detection");
    admin
        .send(admin.request(reqwest::Method::PUT, &path).json(&json!({ "when": "every", "minutes": 15 })))
        .await
        .expect(200);
    server.clock.advance(15 * 60);
    looks(&server, 6).await;
    let waiting = runs(&admin, "cause:schedule").await;
    assert_eq!(waiting.len(), 1, "put down once, by whichever replica: {waiting:?}");
    assert_eq!((&waiting[0]["state"], &waiting[0]["kind"]), (&json!("queued"), &json!("host_detection")));
    // It comes again while that one still waits: one is enough, and since when is known.
    server.clock.advance(15 * 60);
    looks(&server, 3).await;
    assert_eq!(runs(&admin, "cause:schedule").await.len(), 1, "one of a kind waits");
    let shown = admin.get(&path).await.expect(200);
    assert!(shown["schedule"]["held_since_at"].is_string(), "{shown}");

    let freed = server.app().database.write(move |tx| store::lease::release(tx, &lease));
    freed.await.expect("the pull ends");
    looks(&server, 3).await;
    let run = ended(&admin, waiting[0]["number"].as_str().expect("a number")).await;
    assert_eq!(run["import"]["state"], "complete", "it begins as soon as it can: {run}");
    assert_eq!(run["import"]["actor"], "engine/import");
    let shown = admin.get(&path).await.expect(200);
    assert_eq!(shown["schedule"]["held_since_at"], Value::Null, "{shown}");
    looks(&server, 4).await;
    assert_eq!(runs(&admin, "cause:schedule").await.len(), 1, "once, by whichever replica");
    other.abort();
    simulator.shutdown().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_has_a_schedule_of_its_own() {
    let server = TestServer::start().await;
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    let path = format!("/api/v1/instances/{id}/schedules");
    let put = async |kind: &str, body: Value, tag: Option<&str>| {
        let request = admin.request(reqwest::Method::PUT, &format!("{path}/{kind}")).json(&body);
        let request = if let Some(tag) = tag { request.header("if-match", tag) } else { request };
        admin.send(request).await
    };
    let all = admin.get(&path).await.expect(200);
    let all = all["schedules"].as_array().expect("a list").clone();
    assert!(all.len() >= 6 && all.iter().all(|one| one["words"] == "Off"), "nothing comes unasked: {all:?}");

    let weekly = json!({ "when": "at", "at": "2026-01-01T02:30", "zone": "Europe/Rome",
                         "repeat": { "by": "weekly", "days": ["sun"] } });
    let tried = admin.post("/api/v1/schedules/preview", &weekly).await.expect(200);
    assert_eq!(tried["words"], "Every week on Sunday at 02:30 (Europe/Rome)");
    assert_eq!(tried["next"].as_array().expect("times").len(), 5);
    let set = put("host_list", weekly.clone(), Some("\"v1\"")).await.expect(200);
    assert_eq!(set["schedule"]["next"], tried["next"], "what was shown is what comes");
    assert_eq!(put("host_list", json!({ "when": "off" }), Some("\"v1\"")).await.status, 412);

    for (body, code) in [
        (json!({ "when": "every", "minutes": 1 }), "out_of_range"),
        (json!({ "when": "every" }), "out_of_range"),
        (json!({ "when": "sometimes" }), "bad_cadence"),
        (json!({ "when": "at", "at": "2026-01-01T02:30" }), "bad_repeat"),
        (json!({ "when": "at", "at": "x", "repeat": { "by": "daily" } }), "bad_time"),
        (
            json!({ "when": "at", "at": "2026-01-01T02:30", "zone": "Mars/Phobos", "repeat": { "by": "daily" } }),
            "unknown_zone",
        ),
        (
            json!({ "when": "at", "at": "2026-01-01T02:30", "zone": "agent", "repeat": { "by": "daily" } }),
            "zone_needed",
        ),
    ] {
        let refused = put("host_list", body.clone(), None).await;
        assert!(refused.status == 422 && refused.text.contains(code), "{body}: {}", refused.text);
    }
    assert_eq!(put("targeted", weekly.clone(), None).await.status, 404, "a rescan is no schedule's");
    let looker = server.user("lena", &["read_only"]).await;
    let denied = looker.send(looker.request(reqwest::Method::PUT, &format!("{path}/host_list")).json(&weekly)).await;
    assert_eq!(denied.status, 403);

    // The interval of the instance holds for all kinds at once.
    let instance = format!("/api/v1/instances/{id}");
    let short = admin.patch(&instance, &json!({ "interval_minutes": 1 })).await;
    assert_eq!(short.status, 422);
    let shown = admin.patch(&instance, &json!({ "interval_minutes": 15 })).await.expect(200);
    assert_eq!(shown["instance"]["interval_minutes"], 15);
    for _ in 0..40 {
        server.clock.advance(60);
        tokio::time::sleep(Duration::from_millis(50)).await;
        if runs(&admin, "cause:schedule").await.len() >= 2 {
            break;
        }
    }
    let scheduled = runs(&admin, "cause:schedule").await;
    let kinds: Vec<&str> = scheduled.iter().filter_map(|run| run["kind"].as_str()).take(2).collect();
    assert_eq!(kinds, ["knowledge_base", "host_detection"]);
    for run in &scheduled {
        let run = ended(&admin, run["number"].as_str().expect("a number")).await;
        assert_eq!(run["import"]["state"], "complete", "{run}");
    }
    let off = admin.patch(&instance, &json!({ "interval_minutes": 0 })).await.expect(200);
    assert_eq!(
        (&off["instance"]["interval_minutes"], &off["instance"]["next_import_at"]),
        (&Value::Null, &Value::Null)
    );
    simulator.shutdown().await;
}

testkit::both_servers!(a_host_list_makes_assets_and_a_whole_knowledge_base_heals, |server| async move {
    let simulator = simulator(Options { hosts: 8, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    let hosts = import(&admin, id, "host_list").await;
    assert_eq!(hosts["import"]["state"], "complete", "{hosts}");
    let counters = &hosts["import"]["counters"];
    assert_eq!((&counters["hosts"]["new"], &counters["assets_new"]), (&json!(8), &json!(8)), "{hosts}");
    assert_eq!(counters["detections"]["new"], 0);
    let shown = admin.get(&format!("/api/v1/instances/{id}")).await.expect(200);
    assert_eq!(shown["instance"]["host_detection_until"], Value::Null, "that is no import of detections");
    let assets = admin.get("/api/v1/assets").await.expect(200);
    assert_eq!(assets["assets"].as_array().expect("a list").len(), 8);

    // Detections of the same hosts find the same assets.
    let found = import(&admin, id, "host_detection").await;
    assert_eq!(found["import"]["counters"]["assets_new"], 0, "{found}");

    let title = |app: &server::app::App, title: &'static str| {
        let database = app.database.clone();
        async move {
            let changed = database.write(move |tx| {
                tx.execute(
                    "UPDATE vulnerability SET title = $1, digest = CAST('' AS {bytes}) WHERE NOT placeholder",
                    &[&title],
                )
            });
            changed.await.expect("the database works")
        }
    };
    let known = title(server.app(), "wrong").await;
    assert!(known > 0);
    let full = import(&admin, id, "knowledge_base_full").await;
    assert_eq!(full["import"]["state"], "complete", "{full}");
    assert!(full["import"]["counters"]["vulnerabilities"]["updated"].as_u64().expect("a count") >= known, "{full}");
    let wrong = server
        .app()
        .database
        .read(|tx| tx.scalar::<i64>("SELECT count(*) FROM vulnerability WHERE title = 'wrong'", &[]));
    assert_eq!(wrong.await.expect("the database works"), 0);
    let shown = admin.get(&format!("/api/v1/instances/{id}")).await.expect(200);
    assert_ne!(shown["instance"]["knowledge_base_until"], Value::Null);
    simulator.shutdown().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_platform_does_not_know_is_asked_for_once_a_week() {
    let server = TestServer::start().await;
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    import(&admin, id, "host_detection").await;
    let made = server.app().database.write(|tx| {
        tx.execute(
            "INSERT INTO vulnerability (product, key, qid, title, kind, severity, category, cvss3_vector, patchable, threat,
                 impact, solution, disabled, placeholder, digest, run_id)
             VALUES ('qualys', '77777', 77777, 'QID 77777', '', 3, '', '', false, '', '', '', false, true,
                     CAST('' AS {bytes}), 1)",
            &[],
        )
    });
    made.await.expect("the database works");
    let asked = || {
        let calls = simulator.journal();
        calls.iter().filter(|call| call.parameter("ids").is_some_and(|ids| ids.contains("77777"))).count()
    };
    for expected in [1, 1] {
        import(&admin, id, "host_detection").await;
        assert_eq!(asked(), expected);
    }
    server.clock.advance(7 * 24 * 3_600 + 1);
    let admin = server.admin().await;
    import(&admin, id, "host_detection").await;
    assert_eq!(asked(), 2, "once a week");
    simulator.shutdown().await;
}
