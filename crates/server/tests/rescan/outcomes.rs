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
    // The address that gave no result is named, and the hosts are counted.
    let unscanned = done["unscanned"].as_array().expect("a list");
    let source = done["sources"].as_array().expect("a list").iter().find(|one| one["item"] == dead.number.as_str());
    assert_eq!(unscanned.len(), 1, "{done}");
    assert_eq!(unscanned[0]["address"], source.expect("it is looked at")["address"], "{done}");
    let total: i64 = (0..2).filter_map(|at| done["children"][at]["hosts_total"].as_i64()).sum();
    assert_eq!(total, 3, "{done}");
    // The same as a file.
    let json = world.admin.get(&format!("/api/v1/scans/{scan}/report")).await.expect(200);
    assert_eq!((json["lines"].as_array().map(Vec::len), &json["scan"]), (Some(3), &json!(scan)), "{json}");
    let csv = world.admin.get(&format!("/api/v1/scans/{scan}/report?format=csv")).await;
    assert_eq!((csv.status, csv.text.lines().count()), (200, 4), "{}", csv.text);
    assert!(csv.text.lines().any(|line| line.contains(&gone.number) && line.contains(",fixed,")), "{}", csv.text);
    assert_eq!(world.admin.get(&format!("/api/v1/scans/{scan}/report?format=xls")).await.status, 422);

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

testkit::both_servers!(s2_12_a_named_profile_that_leaves_it_out_does_not_test_it, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
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
});

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

testkit::both_servers!(who_asked_is_mailed_at_the_end_with_what_he_may_see, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(2).await;
    let people = world.server.admin().await;
    let owner = world.server.user("rita", &["remediation_owner"]).await;
    for name in ["admin", "rita"] {
        let email = json!({ "email": format!("{name}@example.org") });
        people.patch(&format!("/api/v1/users/{name}"), &email).await.expect(200);
    }
    let assign = json!({ "assignee": "rita" });
    world.admin.post(&format!("/api/v1/items/{}/assignment", items[0].number), &assign).await.expect(200);
    let scan = number(&world.rescan(&[&items[0], &items[1]], None).await);
    owner.post(&format!("/api/v1/items/{}/rescan", items[0].number), &json!({})).await.expect(200);
    world.ended(&scan).await;
    let letters: Vec<(String, String)> = world
        .server
        .app()
        .database
        .read(|tx| {
            tx.all(
                "SELECT m.recipient, n.facts FROM mail m JOIN mail_notice n ON n.id = m.notice_id
                 WHERE n.kind = 'scan' ORDER BY m.recipient",
                &[],
            )
        })
        .await
        .expect("the letters");
    let counted = |facts: &str| -> i64 {
        let facts: serde_json::Value = serde_json::from_str(facts).expect("facts");
        let rows = facts["about"]["rows"].as_array().expect("rows").clone();
        let verdicts = rows.iter().filter(|row| row[0] != "Scans");
        verdicts.map(|row| row[1].as_str().expect("a count").parse::<i64>().expect("a number")).sum()
    };
    let told: Vec<(&str, i64)> = letters.iter().map(|(to, facts)| (to.as_str(), counted(facts))).collect();
    assert_eq!(told, [("admin@example.org", 2), ("rita@example.org", 1)], "{letters:?}");
    assert!(letters.iter().all(|(_, facts)| facts.contains(&scan)), "{letters:?}");
    // Who does not want it is left alone.
    world.advance(60);
    let path = format!("/api/v1/items/{}/rescan", items[1].number);
    let quiet = number(&world.admin.post(&path, &json!({ "mail": false })).await.expect(201));
    world.ended(&quiet).await;
    let count = world
        .server
        .app()
        .database
        .read(|tx| tx.scalar::<i64>("SELECT count(*) FROM mail_notice WHERE kind = 'scan'", &[]))
        .await
        .expect("a count");
    assert_eq!(count, 2);
});

testkit::both_servers!(what_failed_or_was_not_reached_is_asked_again_in_the_same_record, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(2).await;
    let [there, dead] = &items[..] else { panic!("{items:?}") };
    world.advance(3_600);
    world.simulator.set_next_outcome(Outcome::Error);
    let scan = number(&world.rescan(&[there], None).await);
    let path = format!("/api/v1/scans/{scan}/retry");
    let failed = json!({ "what": "failed" });
    assert_eq!(world.admin.post(&path, &failed).await.code(), "scan_open");
    let done = world.ended(&scan).await;
    assert_eq!((&done["scan"]["state"], &done["retry_failed"]["allowed"]), (&json!("error"), &json!(true)), "{done}");
    assert_eq!(done["retry_unreached"]["allowed"], false, "{done}");
    let reader = world.server.user("rolf", &["read_only"]).await;
    assert_eq!(reader.post(&path, &failed).await.status, 403);
    let owner = world.server.user("rita", &["remediation_owner"]).await;
    assert_eq!(owner.post(&path, &failed).await.code(), "nothing_to_retry", "nothing of it is hers");
    assert_eq!(world.admin.post(&path, &json!({ "what": "all" })).await.status, 422);
    let again = world.admin.post(&path, &failed).await.expect(200);
    assert_eq!(again["scan"]["state"], "queued", "{again}");
    assert_eq!(again["scan"]["children"], json!({ "total": 1, "completed": 0, "failed": 0, "open": 1 }), "{again}");
    let done = world.ended(&scan).await;
    assert_eq!((done["scan"]["state"].as_str(), verdict(&done, there)), (Some("complete"), "still_present"), "{done}");
    let names: Vec<_> = (0..2).map(|at| done["children"][at]["retried"].as_bool()).collect();
    assert_eq!(names, [Some(true), Some(false)], "{done}");

    // A host that is down, then up again.
    world.advance(60);
    world.simulator.set_alive(dead.host, false);
    let scan = number(&world.rescan(&[dead], None).await);
    let path = format!("/api/v1/scans/{scan}/retry");
    let done = world.ended(&scan).await;
    assert_eq!(verdict(&done, dead), "not_reached", "{done}");
    world.simulator.set_alive(dead.host, true);
    world.advance(60);
    world.admin.post(&path, &json!({ "what": "unreached" })).await.expect(200);
    let done = world.ended(&scan).await;
    assert_eq!(verdict(&done, dead), "still_present", "{done}");
    assert_eq!(done["scan"]["children"]["total"], 2, "{done}");
    assert_eq!(world.admin.post(&path, &json!({ "what": "unreached" })).await.code(), "nothing_to_retry");
});

testkit::both_servers!(what_a_scan_found_before_it_was_cancelled_at_the_scanner_is_taken_in, |server| async move {
    let world = World::ready(server, Options { hosts: 12, ..Options::default() }).await;
    // One scan: hosts of one network.
    let mut items = Vec::new();
    for item in world.items(4).await {
        let asset = world.admin.get(&format!("/api/v1/assets/{}", item.asset)).await.expect(200);
        if asset["asset"]["network_id"].as_str().is_none_or(|network| network.is_empty() || network == "0") {
            items.push(item);
        }
    }
    assert!(items.len() > 1, "{items:?}");
    for item in &items {
        world.simulator.set_fixed(item.host, item.qid, true);
    }
    world.advance(3_600);
    world.simulator.set_next_outcome(Outcome::Partial);
    let all: Vec<_> = items.iter().collect();
    let scan = number(&world.rescan(&all, None).await);
    let done = world.ended(&scan).await;
    assert_eq!(done["scan"]["state"], "cancelled", "{done}");
    let verdicts: Vec<&str> = items.iter().map(|item| verdict(&done, item)).collect();
    assert!(verdicts.contains(&"fixed") && verdicts.contains(&"not_reached"), "{verdicts:?}");
    for (item, verdict) in items.iter().zip(&verdicts) {
        let shown = world.admin.get(&format!("/api/v1/items/{}", item.number)).await.expect(200);
        assert_eq!(shown["item"]["state"] == "closed", *verdict == "fixed", "{} {verdict}: {shown}", item.number);
    }
});

testkit::both_servers!(a_plan_says_what_its_profile_does_not_look_for_and_how_long_it_takes, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let item = &world.items(1).await[0];
    let scan = async |profile: &str| {
        let body = json!({ "items": [item.number], "profile": profile });
        let plan = world.admin.post("/api/v1/scans/preview", &body).await.expect(200);
        plan["plan"]["scans"][0].clone()
    };
    let all = scan("510001").await;
    assert_eq!((&all["untested_count"], &all["seconds_expected"]), (&json!(0), &json!(null)), "{all}");
    // Its lists were not imported yet.
    let unknown = scan("510003").await;
    assert_eq!(
        (&unknown["untested"][0]["qid"], &unknown["untested"][0]["tests"]),
        (&json!(item.qid), &json!("unknown"))
    );
    let path = format!("/api/v1/instances/{}/imports", world.instance);
    let begun = world.admin.post(&path, &json!({ "kind": "search_lists" })).await.expect(202);
    let run = format!("/api/v1/imports/{}", begun["import"]["number"].as_str().expect("a number"));
    while world.admin.get(&run).await.expect(200)["import"]["ended_at"].is_null() {
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    let path = format!("/api/v1/instances/{}/option-profiles/510003/tests/{}", world.instance, item.qid);
    let told = world.admin.get(&path).await.expect(200);
    let listed = scan("510003").await;
    let offer = world.admin.get(&format!("/api/v1/items/{}/rescan", item.number)).await.expect(200);
    let of_offer = offer["profiles"].as_array().expect("a list").iter().find(|one| one["key"] == "510003").cloned();
    let warning = of_offer.expect("the profile")["warning"].as_str().unwrap_or_default().to_owned();
    if told["tests"] == "no" {
        assert_eq!(listed["untested"][0]["reason"], warning.as_str(), "{listed}");
        assert!(warning.contains(&format!("does not look for QID {}", item.qid)), "{warning}");
        let fields = [("step", "plan"), ("profile", "named"), ("named", "510003")];
        let dialog = world.server.admin().await.form(&format!("/items/{}/rescan", item.number), &fields).await;
        assert!(dialog.text.contains("the scan will not test it"), "{}", dialog.text);
    } else {
        assert_eq!((listed["untested_count"].as_i64(), warning.as_str()), (Some(0), ""), "{listed}");
    }
    // After one scan of that size it is known how long they take.
    world.advance(3_600);
    let number = number(&world.rescan(&[item], None).await);
    world.ended(&number).await;
    let after = scan("510001").await;
    assert!(after["seconds_expected"].as_i64().is_some_and(|seconds| (60..3_600).contains(&seconds)), "{after}");
});

testkit::both_servers!(an_address_that_the_scanner_does_not_take_is_said, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(2).await;
    assert!(world.simulator.set_dropped(items[1].host, true));
    let address = world.simulator.host(items[1].host).expect("a host").ip.to_string();
    world.advance(3_600);
    let scan = number(&world.rescan(&[&items[0], &items[1]], None).await);
    let done = world.ended(&scan).await;
    let told = done["unscanned"].as_array().expect("a list");
    let why = |one: &serde_json::Value| one["reason"] == "the scanner did not take the address into the scan";
    assert!(told.iter().any(|one| one["address"] == address.as_str() && why(one)), "{address}: {done}");
    assert_eq!((verdict(&done, &items[0]), verdict(&done, &items[1])), ("still_present", "not_reached"), "{done}");
});

testkit::both_servers!(a_scan_that_was_given_up_and_asked_again_is_followed_to_its_end, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let item = &world.items(1).await[0];
    world.advance(3_600);
    world.simulator.set_next_outcome(Outcome::NeverProcessed);
    let scan = number(&world.rescan(&[item], None).await);
    world.launched(&scan).await;
    world.turning(&scan, 60, |scan| scan["children"][0]["state"] == "finished").await;
    world.advance(24 * 3_600);
    world.until(&scan, |scan| scan["scan"]["state"] == "timed_out").await;
    let first = world.simulator.scans()[0].reference.clone();
    world.admin.post(&format!("/api/v1/scans/{scan}/retry"), &json!({ "what": "failed" })).await.expect(200);
    let done = world.turning(&scan, 20, |scan| scan["scan"]["state"] == "complete").await;
    assert_eq!((&done["children"][0]["retried"], verdict(&done, item)), (&json!(true), "still_present"), "{done}");
    // The first one is processed at last.
    world.simulator.state().change_scan(&first, |scan, _| scan.outcome = Outcome::Truth);
    let late = world.turning(&scan, 300, |scan| scan["children"][0]["state"] == "complete").await;
    assert!(late["children"][0]["message"].as_str().is_some_and(|text| text.contains("after its tracking")), "{late}");
    assert!(late["children"][0]["import"].is_string() || late["children"][0]["run"].is_string(), "{late}");
    assert_eq!((late["scan"]["state"].as_str(), verdict(&late, item)), (Some("complete"), "still_present"), "{late}");
});
