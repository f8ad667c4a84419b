//! Rescans whose server is killed: whatever it was doing, a launch reaches the scanner once, no launch is lost, and the verdict is what
//! the scanner found.

use crate::site::{OUTAGE, Setup, Site};
use serde_json::{Value, json};
use store::Engine;
use ureq::http::Method;

fn verdict(scan: &Value) -> &str {
    scan["sources"][0]["verdict"].as_str().unwrap_or_default()
}

/// Kill the server at every point of a rescan. The platform shows every launch at once, so each of them lands within the time that a
/// launch is searched for.
fn killed_at_every_point(engine: Engine, test: &str) {
    let Some(mut site) = Site::new(engine, test, Setup { speed: "400", search_seconds: 60 }) else { return };
    let items = site.items();
    let points = server::failpoint::RESCAN;
    assert!(items.len() >= points.len(), "too few items: {items:?}");
    for (at, (point, _)) in points.iter().enumerate() {
        let (item, gone) = (&items[at], at % 2 == 1);
        site.set_present(item.host, item.qid, !gone);
        site.restart_at(point);
        let number = site.rescan(item);
        site.after_death(point);
        let number = number.unwrap_or_else(|| site.newest_scan());
        let done = site.scanned(&number);
        let expected = if gone { "fixed" } else { "still_present" };
        assert_eq!((done["scan"]["state"].as_str(), verdict(&done)), (Some("complete"), expected), "{point}: {done}");
        let titles = site.titles();
        assert_eq!(titles.len(), at + 1, "{point}: a launch is missing or another one: {titles:?}");
        assert!(titles.values().all(|count| *count == 1), "{point}: launched twice: {titles:?}");
        assert!(site.scans().iter().all(|scan| scan["processed"] == true), "{point}: {:?}", site.scans());
        eprintln!("killed at {point}: {number} {expected}");
    }
    site.complete("host_detection");
    site.agrees("after all of them");
    site.cursors("after all of them");
}

#[test]
fn a_scan_is_launched_once_and_never_lost_at_every_failpoint_sqlite() {
    killed_at_every_point(Engine::Sqlite, "rescan failpoints on SQLite");
}

#[test]
fn a_scan_is_launched_once_and_never_lost_at_every_failpoint_postgres() {
    killed_at_every_point(Engine::Postgres, "rescan failpoints on PostgreSQL");
}

/// The platform takes a launch, the server dies before it knows, and the platform shows the launch only after the search for it has been
/// given up: nobody can know that there will be two. Both are followed, and both are said.
fn a_late_double(engine: Engine, test: &str) {
    // Slow enough for the first one to be shown while the second one runs.
    let Some(mut site) = Site::new(engine, test, Setup { speed: "6", search_seconds: 5 }) else { return };
    let item = site.items().remove(0);
    site.restart_at("rescan.called");
    site.simulator("POST", &format!("hidden?seconds={}", OUTAGE + 15));
    let number = site.rescan(&item);
    site.after_death("rescan.called");
    let number = number.unwrap_or_else(|| site.newest_scan());
    let done = site.scanned(&number);
    let scans = site.scans();
    assert_eq!(scans.len(), 2, "{scans:?}");
    assert_eq!(scans[0]["title"], scans[1]["title"], "{scans:?}");
    let child = &done["children"][0];
    assert_eq!(child["reference"], scans[0]["reference"], "the earliest is followed: {done}");
    assert_eq!(child["doubles"], json!([scans[1]["reference"]]), "{done}");
    assert_eq!((done["scan"]["state"].as_str(), verdict(&done)), (Some("complete"), "still_present"), "{done}");
    assert!(scans.iter().all(|scan| scan["state"] == "Finished"), "both have ended before it: {scans:?}");
    let audit = site.api.must(Method::GET, "/api/v1/audit?q=scan.double", None);
    assert_eq!(audit.to_string().matches("\"scan.double\"").count(), 1, "{audit}");
}

#[test]
fn a_late_double_is_adopted_and_reported_sqlite() {
    a_late_double(Engine::Sqlite, "a late double on SQLite");
}

#[test]
fn a_late_double_is_adopted_and_reported_postgres() {
    a_late_double(Engine::Postgres, "a late double on PostgreSQL");
}
