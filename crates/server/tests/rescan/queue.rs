//! When what was asked for is launched: the scan window, the places and the rate of an integration.

use super::world::{World, number, verdict};
use qualys_sim::Options;
use serde_json::{Value, json};

fn policy(from: &str, until: &str, running: i64, launches: i64) -> Value {
    json!({ "policy": {
        "from": from, "until": until, "zone": "UTC", "running_max": running, "launches_max": launches,
        "launches_seconds": 3600
    } })
}

fn waits(scan: &Value) -> &str {
    scan["children"][0]["waits"].as_str().unwrap_or("nothing")
}

testkit::both_servers!(a_launch_waits_for_the_scan_window_and_says_so, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let item = &world.items(1).await[0];
    let path = format!("/api/v1/instances/{}/rescan-policy", world.instance);
    let shown = world.admin.get(&path).await.expect(200);
    assert_eq!((&shown["policy"]["from"], &shown["policy"]["running_max"]), (&json!("00:00"), &json!(5)), "{shown}");
    // Three to four hours from now.
    let hour = world.server.app().clock.now().to_jiff().to_zoned(jiff::tz::TimeZone::UTC).hour();
    let time = |ahead: i8| format!("{:02}:00", (hour + ahead) % 24);
    world.admin.put(&path, &policy(&time(3), &time(4), 5, 10)).await.expect(200);
    let plan = world.admin.post("/api/v1/scans/preview", &json!({ "items": [item.number] })).await.expect(200);
    assert!(plan["plan"]["scans"][0]["opens_at"].is_string(), "{plan}");
    let local = plan["plan"]["scans"][0]["opens_local"].as_str().expect("on the clocks of the window");
    assert!(local.ends_with(&format!("{} UTC", time(3))), "{plan}");
    let dialog = world.server.admin().await.form(&format!("/items/{}/rescan", item.number), &[("step", "plan")]).await;
    assert!(dialog.text.contains(&format!("which opens at {local}")), "{}", dialog.text);
    let scan = number(&world.rescan(&[item], None).await);
    let held = world.until(&scan, |scan| waits(scan) == "window").await;
    assert_eq!(held["scan"]["state"], "queued", "{held}");
    assert!(held["children"][0]["message"].as_str().expect("a text").contains("opens at"), "{held}");
    world.advance(3_600);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(world.launches(), 0, "an hour later it is still closed");
    world.advance(2 * 3_600);
    let shown = world.launched(&scan).await;
    assert_eq!((world.launches(), waits(&shown)), (1, "nothing"), "{shown}");
    // Nobody else changes it, and nobody changes it unseen.
    let reader = world.server.user("rolf", &["vulnerability_analyst"]).await;
    assert_eq!(reader.put(&path, &policy("00:00", "00:00", 5, 10)).await.status, 403);
    for (from, field) in [("24:00", "from"), ("7:00", "from"), ("soon", "from")] {
        let wrong = world.admin.put(&path, &policy(from, "00:00", 5, 10)).await;
        assert_eq!((wrong.status, wrong.json["errors"][0]["field"].as_str()), (422, Some(field)), "{}", wrong.text);
    }
});

testkit::both_servers!(a_policy_that_somebody_changed_meanwhile_is_shown_as_it_is, |server| async move {
    let world = World::ready(server, Options { hosts: 2, ..Options::default() }).await;
    let admin = world.server.admin().await;
    let page = format!("/instances/{}/rescans", world.instance);
    let form = admin.get(&page).await.text;
    let seen = form.split("rescans?seen=").nth(1).and_then(|rest| rest.split('"').next()).expect("a version");
    let fields = |from: &'static str| {
        vec![
            ("from", from),
            ("until", "06:00"),
            ("zone", "UTC"),
            ("running_max", "5"),
            ("launches_max", "10"),
            ("launches_seconds", "3600"),
            ("on_resolved", "no"),
        ]
    };
    let to = format!("{page}?seen={seen}");
    assert_eq!(admin.form(&to, &fields("22:00")).await.status, 303);
    let stale = admin.form(&to, &fields("23:00")).await;
    assert_eq!(stale.status, 422, "{}", stale.text);
    assert!(stale.text.contains("Somebody else has changed this meanwhile"), "{}", stale.text);
    assert!(stale.text.contains("value=\"22:00\"") && !stale.text.contains("value=\"23:00\""), "{}", stale.text);
    let seen = stale.text.split("rescans?seen=").nth(1).and_then(|rest| rest.split('"').next()).expect("a version");
    assert_eq!(admin.form(&format!("{page}?seen={seen}"), &fields("23:00")).await.status, 303);
});

testkit::both_servers!(no_more_run_at_once_and_no_more_are_launched_than_was_set, |server| async move {
    let world = World::ready(server, Options { hosts: 8, ..Options::default() }).await;
    let items = world.items(3).await;
    let path = format!("/api/v1/instances/{}/rescan-policy", world.instance);
    world.admin.put(&path, &policy("00:00", "00:00", 1, 2)).await.expect(200);
    // A second loop on the same database, as another replica runs it.
    let other = tokio::spawn(server::engine::rescan::run(world.server.app().clone()));
    let first = number(&world.rescan(&[&items[0]], None).await);
    world.launched(&first).await;
    let second = number(&world.rescan(&[&items[1]], None).await);
    world.until(&second, |scan| waits(scan) == "running").await;
    assert_eq!(world.launches(), 1);
    world.ended(&first).await;
    world.turning(&second, 20, |scan| scan["children"][0]["reference"].is_string()).await;
    assert_eq!(world.launches(), 2);
    world.ended(&second).await;
    // Two within the hour are the most.
    let third = number(&world.rescan(&[&items[2]], None).await);
    world.until(&third, |scan| waits(scan) == "rate").await;
    assert_eq!(world.launches(), 2);
    // A policy that allows it is looked at at once.
    world.admin.put(&path, &policy("00:00", "00:00", 1, 3)).await.expect(200);
    world.launched(&third).await;
    assert_eq!(world.launches(), 3);
    other.abort();
});

testkit::both_servers!(what_is_resolved_is_rescanned_by_itself_where_that_is_set, |server| async move {
    let world = World::ready(server, Options { hosts: 6, ..Options::default() }).await;
    let items = world.items(3).await;
    let owner = world.server.user("rita", &["remediation_owner"]).await;
    let path = format!("/api/v1/instances/{}/rescan-policy", world.instance);
    let resolve = async |item: &str| {
        let assign = json!({ "assignee": "rita" });
        world.admin.post(&format!("/api/v1/items/{item}/assignment"), &assign).await.expect(200);
        owner.post(&format!("/api/v1/items/{item}/state"), &json!({ "state": "resolved" })).await.expect(200);
    };
    // Before it is set nothing follows, and what was resolved before is left alone.
    resolve(&items[0].number).await;
    world.advance(120);
    let mut set = policy("00:00", "00:00", 5, 10);
    set["policy"]["on_resolved"] = json!(true);
    world.admin.put(&path, &set).await.expect(200);
    world.simulator.set_fixed(items[1].host, items[1].qid, true);
    resolve(&items[1].number).await;
    world.advance(120);
    let mut asked = false;
    for _ in 0..400 {
        asked = world.admin.get("/api/v1/scans").await.expect(200)["scans"][0].is_object();
        if asked {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(asked, "it is asked for");
    let done = world.ended("VSCAN0000001").await;
    assert_eq!(
        (&done["scan"]["asked_of"], &done["scan"]["requested_by"]),
        (&json!("resolved"), &json!("rita")),
        "{done}"
    );
    assert_eq!(done["sources"].as_array().map(Vec::len), Some(1), "{done}");
    assert_eq!(verdict(&done, &items[1]), "fixed", "{done}");
    let shown = world.admin.get(&format!("/api/v1/items/{}", items[1].number)).await.expect(200);
    assert_eq!(shown["item"]["state"], "closed", "{shown}");

    // What may not be rescanned says why in its history, and no scan is made.
    world.admin.patch("/api/v1/scanners/qualys", &json!({ "active": false })).await.expect(200);
    resolve(&items[2].number).await;
    world.advance(120);
    let path = format!("/api/v1/items/{}/history", items[2].number);
    let mut said = false;
    for _ in 0..400 {
        let history = world.admin.get(&path).await.expect(200);
        let lines = history["history"].as_array().expect("a list").clone();
        said = lines.iter().any(|line| line["what"] == "rescan" && line["after"] == "scanner_inactive");
        if said {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(said, "the item says why it is not rescanned");
    let list = world.admin.get("/api/v1/scans").await.expect(200);
    assert_eq!(list["scans"].as_array().map(Vec::len), Some(1), "{list}");
});
