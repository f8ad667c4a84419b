//! A subscription that begins to give its detections ids of their own, and one that stops: the same rows and items all the way.

use super::{ended, items};
use qualys_sim::{Fault, FaultKind, Limits, Options, Simulator};
use serde_json::{Value, json};
use testkit::server::Client;

async fn all(admin: &Client, instance: i64) -> Value {
    let path = format!("/api/v1/instances/{instance}/imports");
    let begun = admin.post(&path, &json!({ "kind": "comprehensive" })).await.expect(202);
    ended(admin, begun["import"]["number"].as_str().unwrap()).await["import"]["counters"].clone()
}

/// An older subscription: no row of detections has an id.
fn without_ids() -> Fault {
    Fault { endpoint: Some("host-detection".to_owned()), from: None, times: 0, what: FaultKind::NoUniqueVulnId }
}

testkit::both_servers!(ids_of_detections_come_and_go_without_a_second_row, |server| async move {
    let limits = Limits { rate: 1_000_000, window_seconds: 1, concurrency: 100 };
    let simulator = Simulator::start(Options { hosts: 4, limits, ..Options::default() }).await.unwrap();
    let admin = server.admin().await;
    let new = json!({
        "name": "Simulated", "api_url": simulator.api_url(),
        "username": simulator.username(), "password": simulator.password(),
    });
    let id = admin.post("/api/v1/instances", &new).await.expect(201)["instance"]["id"].as_i64().unwrap();
    let with_ids = || {
        let read = server.app().database.read(|tx| {
            let rows: Vec<(i64, i64)> =
                tx.all("SELECT count(*), sum(CASE WHEN unique_id = '' THEN 0 ELSE 1 END) FROM detection", &[])?;
            Ok(rows[0])
        });
        async { read.await.unwrap() }
    };

    simulator.set_fault_plan(vec![without_ids()]);
    let first = all(&admin, id).await;
    let known = first["detections"]["new"].as_i64().unwrap();
    assert!(known > 30, "{first}");
    assert_eq!(with_ids().await, (known, 0));
    let before = items(&admin).await;

    simulator.set_fault_plan(vec![]);
    let upgraded = all(&admin, id).await;
    assert_eq!((&upgraded["detections"]["new"], &upgraded["items"]["new"]), (&json!(0), &json!(0)), "{upgraded}");
    assert_eq!(with_ids().await, (known, known));
    assert_eq!(items(&admin).await, before);

    simulator.set_fault_plan(vec![without_ids()]);
    let back = all(&admin, id).await;
    assert_eq!((&back["detections"]["new"], &back["items"]["new"]), (&json!(0), &json!(0)), "{back}");
    assert_eq!(with_ids().await, (known, known), "an id that was known stays known");
    assert_eq!(items(&admin).await, before);
    simulator.shutdown().await;
});
