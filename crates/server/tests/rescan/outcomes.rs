//! What a rescan finds.

use super::world::{World, number, verdict};
use qualys_sim::{Options, Outcome};
use serde_json::json;
use testkit::server::TestServer;

testkit::both_servers!(s2_16_what_is_gone_closes_and_what_is_there_stays, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(3).await;
    let [gone, there, dead] = &items[..] else { panic!("{items:?}") };
    world.simulator.set_fixed(gone.host, gone.qid, true);
    world.simulator.set_alive(dead.host, false);
    world.advance(3_600);
    world.simulator.clear_journal();

    let requested = world.rescan(&[gone, there, dead], None).await;
    assert_eq!(requested["message"], "the scan request is being processed");
    let scan = number(&requested);
    assert!(scan.starts_with("VSCAN"), "{scan}");
    let running = world.launched(&scan).await;
    assert_eq!(running["scan"]["state"], "scanning", "{running}");
    let done = world.ended(&scan).await;
    assert_eq!(done["scan"]["state"], "complete", "{done}");
    // One of the hosts stands in the branch office, behind an appliance and a network of its own.
    assert_eq!(done["scan"]["children"], json!({ "total": 2, "completed": 2, "failed": 0, "open": 0 }));
    let appliances: Vec<_> = (0..2).map(|at| done["children"][at]["appliance"].as_str().unwrap_or_default()).collect();
    assert_eq!(appliances, ["scanner-hq-1", "scanner-branch"], "{done}");
    assert_eq!(verdict(&done, gone), "fixed", "{done}");
    assert_eq!(verdict(&done, there), "still_present", "{done}");
    assert_eq!(verdict(&done, dead), "not_reached", "{done}");
    assert_eq!(world.launches(), 2);

    // S2.20: the item is closed by the import, which asked for exactly these hosts and vulnerabilities.
    let shown = world.admin.get(&format!("/api/v1/items/{}", gone.number)).await.expect(200);
    assert_eq!((&shown["item"]["state"], &shown["item"]["substate"]), (&json!("closed"), &json!("fixed")));
    let pulled: Vec<_> =
        world.simulator.journal().into_iter().filter(|call| call.endpoint == "host-detection").collect();
    assert_eq!(pulled.len(), 2);
    let ids: Vec<&str> =
        pulled.iter().filter_map(|call| call.parameter("ids")).flat_map(|ids| ids.split(',')).collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert!(pulled.iter().all(|call| call.parameter("qids").is_some()));
    let history = world.admin.get(&format!("/api/v1/items/{}/history", gone.number)).await.expect(200);
    let lines = history["history"].as_array().expect("a list");
    assert!(
        lines
            .iter()
            .any(|line| line["what"] == "verdict" && line["after"] == "fixed" && line["cause"] == scan.as_str()),
        "{history}"
    );
    let import = done["children"][0]["import"].as_str().expect("the run is named");
    let run = world.admin.get(&format!("/api/v1/imports/{import}")).await.expect(200);
    assert_eq!(run["import"]["kind"], "targeted");
});

testkit::both_servers!(a_host_of_which_nothing_is_told_any_more_was_reached_all_the_same, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(2).await;
    let [purged, dead] = &items[..] else { panic!("{items:?}") };
    // The platform forgets both detections, so its list of detections names neither host.
    for (host, qid) in [purged, dead].into_iter().flat_map(|one| [(one.host, purged.qid), (one.host, dead.qid)]) {
        assert!(world.simulator.purge(host, qid));
    }
    world.simulator.set_alive(dead.host, false);
    world.advance(3_600);
    world.simulator.clear_journal();
    let scan = number(&world.rescan(&[purged, dead], None).await);
    let done = world.ended(&scan).await;
    assert_eq!(done["scan"]["state"], "complete", "{done}");
    assert_eq!(verdict(&done, purged), "not_tested", "it was scanned: {done}");
    assert_eq!(verdict(&done, dead), "not_reached", "{done}");
    let listed: Vec<_> = world.simulator.journal().into_iter().filter(|call| call.endpoint == "host-list").collect();
    assert!(!listed.is_empty() && listed.iter().all(|call| call.parameter("ids").is_some()), "{listed:?}");
    let shown = world.admin.get(&format!("/api/v1/items/{}", purged.number)).await.expect(200);
    assert_eq!(shown["item"]["state"], "open", "silence closes nothing");
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mitigated_item_that_is_still_seen_keeps_its_lower_score() {
    let world = World::ready(TestServer::start().await, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(1).await;
    let item = items[0].clone();
    let (asset, qid) = (item.asset, i64::from(item.qid));
    world
        .server
        .app()
        .database
        .write(move |tx| {
            tx.execute(
                "INSERT INTO catalogue_entry (entry, revision, digest, title, platform, implication, risk, reversible,
                     needs, body, current)
                 VALUES ('linux-x', 1, 'd', 'X off', 'linux', 'mitigation', 'low', true, '', $1, true)",
                &[&vec![0_u8]],
            )?;
            tx.execute(
                "INSERT INTO catalogue_cve (entry_key, cve, qid, coverage, points)
                 SELECT e.id, c.cve, 0, 'full', 30 FROM catalogue_entry e, vulnerability_cve c
                 JOIN vulnerability v ON v.id = c.vulnerability_id WHERE v.qid = $1",
                &[&qid],
            )?;
            tx.execute(
                "INSERT INTO control (asset_id, entry, entry_key, state, origin, since_at, checked_at)
                 SELECT $1, 'linux-x', id, 'effective', 'ours', 0, 0 FROM catalogue_entry WHERE entry = 'linux-x'",
                &[&asset],
            )?;
            let items = store::scores::items_of_assets(tx, &[domain::id::AssetId(asset)])?;
            store::scores::recompute(tx, &items, "test", domain::time::Timestamp::default())?;
            Ok(())
        })
        .await
        .expect("the control is in force");
    let path = format!("/api/v1/items/{}", item.number);
    let before = world.admin.get(&path).await.expect(200);
    assert_eq!(before["item"]["mitigation"], "mitigated", "{before}");
    assert!(before["item"]["residual"].as_i64() < before["item"]["inherent"].as_i64());
    world.advance(3_600);

    let scan = number(&world.rescan(&[&item], None).await);
    let done = world.ended(&scan).await;
    assert_eq!(verdict(&done, &item), "still_present_mitigated", "{done}");
    assert_eq!(done["scan"]["verdicts"]["still_present_mitigated"], 1);
    let after = world.admin.get(&path).await.expect(200);
    assert_eq!(after["item"]["state"], "open");
    assert_eq!(after["item"]["residual"], before["item"]["residual"]);
    assert_eq!(after["item"]["mitigation"], "mitigated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_12_a_named_profile_that_leaves_it_out_does_not_test_it() {
    let world = World::ready(TestServer::start().await, Options { hosts: 6, ..Options::default() }).await;
    let item = &world.items(1).await[0];
    world.simulator.set_fixed(item.host, item.qid, true);
    world.advance(3_600);
    let offer = world.admin.get(&format!("/api/v1/items/{}/rescan", item.number)).await.expect(200);
    assert_eq!((&offer["allowed"], &offer["default_profile"]["title"]), (&json!(true), &json!("Initial Options")));
    let profiles = offer["profiles"].as_array().expect("a list");
    let windows = profiles.iter().find(|profile| profile["title"] == "Windows only").expect("a profile");
    assert_eq!(windows["complete"], false, "people are warned");

    let path = format!("/api/v1/items/{}/rescan", item.number);
    let requested = world.admin.post(&path, &json!({ "profile": "Windows only" })).await.expect(201);
    let done = world.ended(&number(&requested)).await;
    assert_eq!(done["children"][0]["profile"]["title"], "Windows only");
    assert_eq!(verdict(&done, item), "not_tested", "{done}");
    let shown = world.admin.get(&format!("/api/v1/items/{}", item.number)).await.expect(200);
    assert_eq!(shown["item"]["state"], "open", "what was not tested is not closed");
    let launch = world.simulator.journal().into_iter().find(|call| call.parameter("action") == Some("launch"));
    let launch = launch.expect("a launch");
    assert_eq!(launch.parameter("option_id"), windows["key"].as_str());
    let unknown = world.admin.post(&path, &json!({ "profile": "No such" })).await;
    assert_eq!((unknown.status, unknown.json["errors"][0]["code"].as_str()), (422, Some("unknown_profile")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_that_fails_at_the_scanner_says_so() {
    let world = World::ready(TestServer::start().await, Options { hosts: 6, ..Options::default() }).await;
    let item = &world.items(1).await[0];
    world.simulator.set_next_outcome(Outcome::Error);
    let scan = number(&world.rescan(&[item], None).await);
    let done = world.ended(&scan).await;
    assert_eq!((&done["scan"]["state"], &done["children"][0]["state"]), (&json!("error"), &json!("error")), "{done}");
    assert!(done["scan"]["message"].as_str().expect("a message").contains("error at the scanner"), "{done}");
    assert_eq!(verdict(&done, item), "not_tested");
    assert_eq!(done["scan"]["children"]["failed"], 1);

    // Nobody answers: the scan is complete, the items are not judged fixed.
    world.advance(60);
    world.simulator.set_next_outcome(Outcome::NoHost);
    let scan = number(&world.rescan(&[item], None).await);
    let done = world.ended(&scan).await;
    assert_eq!((done["scan"]["state"].as_str(), verdict(&done, item)), (Some("complete"), "not_reached"), "{done}");
}
