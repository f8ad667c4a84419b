//! Full pulls: what is not reported any more is marked, never closed, and not where the account sees less.

use super::{import, instance, simulator};
use qualys_sim::Options;
use serde_json::json;
use testkit::server::TestServer;

/// Open detections that are marked, with how many full pulls did not show each.
async fn marked(server: &TestServer) -> Vec<(i64, bool)> {
    let rows = server.app().database.read(|tx| {
        tx.all(
            "SELECT unseen, unseen_since_at IS NOT NULL AS since FROM detection WHERE unseen > 0 OR unseen_run <> 0 ORDER BY id",
            &[],
        )
    });
    rows.await.expect("the database works")
}

testkit::both_servers!(what_a_full_pull_does_not_show_is_marked_and_never_closed, |server| async move {
    let simulator = simulator(Options { hosts: 10, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    import(&admin, id, "everything").await;
    let clean = import(&admin, id, "comprehensive").await;
    assert_eq!((&clean["import"]["state"], &clean["import"]["detail"]), (&json!("complete"), &json!("")), "{clean}");
    assert_eq!(marked(&server).await, []);
    let items = async || {
        let open = admin.get("/api/v1/items?q=is:open&limit=200").await.expect(200);
        open["items"].as_array().expect("a list").len()
    };
    let before = items().await;

    let first = admin.get("/api/v1/items?q=is:open&limit=1").await.expect(200);
    let (number, qid) = (first["items"][0]["number"].as_str().expect("a number"), first["items"][0]["qid"].as_u64());
    let shown = admin.get(&format!("/api/v1/items/{number}")).await.expect(200);
    let host: u64 = shown["detections"][0]["host"].as_str().expect("a host").parse().expect("its id");
    let qid = u32::try_from(qid.expect("a number")).expect("it is small");
    assert!(simulator.purge(host, qid), "it is gone at the scanner");
    for times in 1..=2 {
        let run = import(&admin, id, "comprehensive").await;
        let said = run["import"]["detail"].as_str().expect("a remark");
        assert!(said.contains("not reported any more"), "{run}");
        let marked = marked(&server).await;
        assert!(!marked.is_empty() && marked.iter().all(|mark| *mark == (times, true)), "{marked:?}");
        assert_eq!(items().await, before, "nothing is closed by that");
    }

    // An account that sees less says nothing of the rest; what a run that does not count has noticed is forgotten.
    let small = super::simulator(Options { hosts: 4, ..Options::default() }).await;
    let moved = json!({ "api_url": small.api_url(), "username": small.username(), "password": small.password() });
    admin.patch(&format!("/api/v1/instances/{id}"), &moved).await.expect(200);
    let less = import(&admin, id, "comprehensive").await;
    assert_eq!(less["import"]["state"], "complete", "{less}");
    let said = less["import"]["detail"].as_str().expect("a remark");
    assert!(said.contains("showed 4 hosts where 10 were expected"), "{less}");
    let after = marked(&server).await;
    assert!(after.iter().all(|(times, since)| *times <= 2 && *since), "{after:?}");
    small.shutdown().await;
    simulator.shutdown().await;
});
