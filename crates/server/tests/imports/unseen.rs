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

/// Others scan a host at the platform, and what is found is processed.
async fn rescanned(simulator: &qualys_sim::Simulator, host: u64) {
    let world = simulator.state();
    let known = simulator.host(host).expect("a host");
    let launched = world.launch(qualys_sim::state::Launch {
        title: "others".to_owned(),
        user: "others".to_owned(),
        profile: 510_001,
        appliances: Vec::new(),
        network: known.network_id,
        targets: vec![known.index],
        target_text: known.ip.to_string(),
        groups: Vec::new(),
        priority: 0,
    });
    simulator.step_clock(jiff::SignedDuration::from_secs(3_600));
    assert!(world.scan(&launched.reference).is_some_and(|scan| scan.processed), "it is processed");
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

    // A delta that shows it again takes the mark away; a file of last month does not.
    assert!(simulator.set_fixed(host, qid, false), "it is there again");
    rescanned(&simulator, host).await;
    let again = import(&admin, id, "host_detection").await;
    assert_eq!(again["import"]["state"], "complete", "{again}");
    assert_eq!(marked(&server).await, [], "{again}");
    assert!(simulator.purge(host, qid), "and gone once more");
    import(&admin, id, "comprehensive").await;
    assert_ne!(marked(&server).await, []);

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

testkit::both_servers!(a_host_list_says_how_much_known_machines_matter, |server| async move {
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    // Detections say nothing of it.
    import(&admin, id, "everything").await;
    let list = admin.get("/api/v1/assets?limit=10").await.expect(200);
    let assets: Vec<i64> =
        list["assets"].as_array().expect("a list").iter().filter_map(|asset| asset["id"].as_i64()).collect();
    let matters = async |asset: i64| {
        let shown = admin.get(&format!("/api/v1/assets/{asset}")).await.expect(200);
        shown["asset"]["criticality"].as_i64().expect("a number")
    };
    for host in simulator.state().fleet().iter() {
        assert!(simulator.set_criticality(host.id, 5));
    }
    // What people say of one stays.
    admin.patch(&format!("/api/v1/assets/{}", assets[0]), &json!({ "criticality": 1 })).await.expect(200);
    let run = import(&admin, id, "host_list").await;
    assert_eq!(run["import"]["state"], "complete", "{run}");
    assert_eq!(matters(assets[0]).await, 1);
    for asset in &assets[1..] {
        assert_eq!(matters(*asset).await, 5, "asset {asset}");
    }
    // And where they say nothing any more, the scanner's word holds.
    admin.patch(&format!("/api/v1/assets/{}", assets[0]), &json!({ "criticality": 0 })).await.expect(200);
    assert_eq!(matters(assets[0]).await, 5);
    simulator.shutdown().await;
});

testkit::both_servers!(runs_are_forgotten_after_400_days_but_the_last_of_each_kind, |server| async move {
    let simulator = simulator(Options { hosts: 2, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    for kind in ["everything", "host_detection", "host_detection", "setup"] {
        assert_eq!(import(&admin, id, kind).await["import"]["state"], "complete");
    }
    let kinds = async || {
        let read = server.app().database.read(|tx| tx.all::<(String,)>("SELECT kind FROM import_run ORDER BY id", &[]));
        read.await.expect("the database works").into_iter().map(|(kind,)| kind).collect::<Vec<_>>()
    };
    server.clock.advance(399 * 86_400);
    server::engine::housekeeping::sweep(server.app()).await.expect("it is swept");
    assert_eq!(kinds().await.len(), 4);
    server.clock.advance(2 * 86_400);
    server::engine::housekeeping::sweep(server.app()).await.expect("it is swept");
    assert_eq!(kinds().await, ["everything", "host_detection", "setup"]);
    simulator.shutdown().await;
});

testkit::both_servers!(what_a_rescan_needs_comes_by_itself_once_the_scanner_is_active, |server| async move {
    let simulator = simulator(Options { hosts: 2, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    let comes = async |kind: &str| {
        let shown = admin.get(&format!("/api/v1/instances/{id}/schedules/{kind}")).await.expect(200);
        shown["schedule"]["cadence"]["when"].as_str().expect("a word").to_owned()
    };
    let active = async |on: bool| {
        admin.patch("/api/v1/scanners/qualys", &json!({ "active": on })).await.expect(200);
    };
    // Where everything is imported by hand, that stays so.
    active(true).await;
    assert_eq!(comes("option_profiles").await, "off");
    active(false).await;
    let path = format!("/api/v1/instances/{id}/schedules/host_detection");
    admin.put(&path, &json!({ "when": "every", "minutes": 240 })).await.expect(200);
    active(true).await;
    for kind in ["option_profiles", "appliances", "search_lists"] {
        assert_eq!(comes(kind).await, "every", "{kind}");
    }
    assert_eq!((comes("host_list").await.as_str(), comes("host_detection").await.as_str()), ("off", "every"));
    simulator.shutdown().await;
});
