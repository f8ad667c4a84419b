//! The watch over imports: each trouble is told once, and that it is over.

use super::{import, instance, simulator};
use qualys_sim::{Fault, FaultKind, Options};
use serde_json::{Value, json};
use server::engine::import::watch;
use std::time::Duration;
use testkit::server::{Client, TestServer};

async fn troubles(admin: &Client) -> Vec<(String, String)> {
    let found = admin.get("/api/v1/imports/troubles").await.expect(200);
    let word = |row: &Value, name: &str| row[name].as_str().expect("a word").to_owned();
    found["troubles"].as_array().expect("a list").iter().map(|row| (word(row, "what"), word(row, "kind"))).collect()
}

/// Subjects of the mails that were put down, oldest first.
async fn told(server: &TestServer) -> Vec<String> {
    let rows = server
        .app()
        .database
        .read(|tx| tx.all::<(String,)>("SELECT facts FROM mail_notice WHERE kind = 'import' ORDER BY id", &[]));
    let subject = |(facts,): (String,)| {
        let facts: Value = serde_json::from_str(&facts).expect("facts are JSON");
        facts["about"]["subject"].as_str().expect("a subject").to_owned()
    };
    rows.await.expect("the database works").into_iter().map(subject).collect()
}

testkit::both_servers!(each_trouble_is_told_once_and_so_is_its_end, |server| async move {
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    let who = json!({ "name": "vera", "roles": ["vulnerability_administrator"], "email": "vera@example.org" });
    admin.post("/api/v1/users", &who).await.expect(201);
    let reader = json!({ "name": "rita", "roles": ["read_only"], "email": "rita@example.org" });
    admin.post("/api/v1/users", &reader).await.expect(201);

    let bad = Fault { endpoint: Some("host-detection".to_owned()), from: None, times: 0, what: FaultKind::BadLogin };
    simulator.set_fault_plan(vec![bad]);
    import(&admin, id, "host_detection").await;
    for _ in 0..3 {
        watch::look(server.app()).await.expect("it looks");
    }
    assert_eq!(troubles(&admin).await, [("failed".to_owned(), "host_detection".to_owned())]);
    assert_eq!(told(&server).await, ["import failed: Detections from Simulated"], "once");
    let to = server.app().database.read(|tx| tx.all::<(String,)>("SELECT recipient FROM mail", &[]));
    assert_eq!(to.await.expect("the database works"), [("vera@example.org".to_owned(),)], "who may mend it");
    assert!(admin.get("/").await.text.contains("the last import failed"));
    assert!(admin.get("/imports").await.text.contains("the last import failed"));

    // A scanner locks an account that is tried again and again: after three refusals the schedule asks no more.
    for _ in 0..2 {
        import(&admin, id, "host_detection").await;
    }
    watch::look(server.app()).await.expect("it looks");
    assert_eq!(told(&server).await.last().map(String::as_str), Some("Simulated refuses the sign-in"));
    let path = format!("/api/v1/instances/{id}/schedules/host_detection");
    let put = admin.request(reqwest::Method::PUT, &path).json(&json!({ "when": "every", "minutes": 15 }));
    admin.send(put).await.expect(200);
    let looks = async |seconds: i64| {
        for _ in 0..4 {
            server.clock.advance(seconds / 4);
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        let runs = admin.get("/api/v1/imports?q=cause:schedule").await.expect(200);
        runs["imports"].as_array().expect("a list").len()
    };
    assert_eq!(looks(1_200).await, 0, "it waits for somebody");

    simulator.set_fault_plan(vec![]);
    assert_eq!(import(&admin, id, "host_detection").await["import"]["state"], "complete");
    watch::look(server.app()).await.expect("it looks");
    assert_eq!(troubles(&admin).await, []);
    assert_eq!(told(&server).await.last().map(String::as_str), Some("import works again: Detections from Simulated"));
    assert_eq!(told(&server).await.len(), 3);
    assert!(looks(124).await >= 1, "what was due still is");
    assert!(!admin.get("/").await.text.contains("the last import failed"));
    simulator.shutdown().await;
});

testkit::both_servers!(what_takes_too_long_or_was_left_behind_is_seen, |server| async move {
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    let now = server.app().clock.now();
    // Somewhere a run is at work for nine hours.
    let begun = server.app().database.write(move |tx| {
        let start = store::imports::Start {
            instance: domain::id::InstanceId(id),
            kind: domain::import::Kind::HostDetection,
            cause: store::imports::Cause::People,
            actor: "users/admin",
            source: "",
        };
        let name = format!("import/{id}");
        let lease = store::lease::acquire(tx, &name, uuid::Uuid::new_v4(), now, 10 * 3_600)?;
        Ok((store::imports::start(tx, start, now)?, lease.is_some()))
    });
    let (at_work, held) = begun.await.expect("it begins");
    assert!(held);
    server.clock.advance(9 * 3_600);
    let admin = server.admin().await;
    watch::look(server.app()).await.expect("it looks");
    assert_eq!(troubles(&admin).await, [("too_long".to_owned(), "host_detection".to_owned())]);
    // Its server dies: nobody renews the lease.
    server.clock.advance(2 * 3_600);
    let admin = server.admin().await;
    watch::look(server.app()).await.expect("it looks");
    let shown = admin.get(&format!("/api/v1/imports/{}", at_work.number)).await.expect(200);
    assert_eq!(shown["import"]["state"], "failed", "{shown}");
    assert!(shown["import"]["detail"].as_str().expect("a reason").contains("server stopped"), "{shown}");
    assert_eq!(troubles(&admin).await, [("failed".to_owned(), "host_detection".to_owned())]);
    simulator.shutdown().await;
});

testkit::both_servers!(what_is_known_for_too_long_is_seen, |server| async move {
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    let who = json!({ "name": "vera", "roles": ["vulnerability_administrator"], "email": "vera@example.org" });
    admin.post("/api/v1/users", &who).await.expect(201);
    import(&admin, id, "everything").await;
    let old = server.app().clock.now().plus_seconds(-2 * 3_600);
    let put = server
        .app()
        .database
        .write(move |tx| tx.execute("UPDATE integration_instance SET host_detection_until = $1", &[&old]));
    put.await.expect("the database works");
    // Nothing comes by itself: nothing is late.
    watch::look(server.app()).await.expect("it looks");
    assert_eq!(troubles(&admin).await, []);
    let path = format!("/api/v1/instances/{id}/schedules/host_detection");
    admin.put(&path, &json!({ "when": "every", "minutes": 60 })).await.expect(200);
    watch::look(server.app()).await.expect("it looks");
    assert_eq!(troubles(&admin).await, [], "two of the times are missed, not three");
    admin.put(&path, &json!({ "when": "every", "minutes": 15 })).await.expect(200);
    watch::look(server.app()).await.expect("it looks");
    assert_eq!(troubles(&admin).await, [("behind".to_owned(), "host_detection".to_owned())]);
    assert_eq!(told(&server).await, ["import is behind: Detections from Simulated"]);
    import(&admin, id, "host_detection").await;
    watch::look(server.app()).await.expect("it looks");
    assert_eq!(troubles(&admin).await, []);
    simulator.shutdown().await;
});
