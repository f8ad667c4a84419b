//! `quell rules` against a real server: due dates, deferrals, and rules that close items.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

mod common;

use common::{Served, fails, json, run};
use serde_json::json as value;

#[test]
fn rules_are_read_tried_and_changed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let served = Served::start(folder, &[]);
    let login = ["login", &served.url, "-u", "admin", "--password-stdin", "--ca-sha256", &served.fingerprint];
    json(folder, &login, &format!("{}\nchosen by a test person\n", served.password));

    let due = json(folder, &["rules", "due"], "");
    assert_eq!((&due["due"]["days"]["critical"], &due["due"]["version"]), (&value!(5), &value!(0)), "{due}");
    let tried = json(folder, &["rules", "due", "--critical", "2", "--dry-run"], "");
    assert_eq!((&tried["preview"]["items"], &tried["due"]["days"]["critical"]), (&value!(0), &value!(5)), "{tried}");
    let set = json(folder, &["rules", "due", "--critical", "2"], "");
    assert_eq!((&set["due"]["days"]["critical"], &set["due"]["days"]["low"]), (&value!(2), &value!(30)), "{set}");
    fails(folder, &["rules", "due", "--high", "9999"], 1, "or 0 for none");
    let table = String::from_utf8(run(folder, &["rules", "due"], "").stdout).unwrap();
    assert!(table.contains("critical") && table.contains("3 days before"), "{table}");

    let kept = json(folder, &["rules", "deferrals", "--days-max", "90"], "");
    assert_eq!(kept["items"], value!({ "defer_again": true, "exception_days_max": 90 }));

    let list = String::from_utf8(run(folder, &["rules", "auto-close", "list"], "").stdout).unwrap();
    assert!(
        list.contains("Assets not scanned for 90 days") && list.contains("Not shown by 2 full pulls in a row"),
        "{list}"
    );
    let new = ["rules", "auto-close", "add", "--name", "Lab", "--kind", "detection_last_found", "--days", "30"];
    let made = json(folder, &new, "");
    assert_eq!((&made["rule"]["active"], &made["rule"]["words"]), (&value!(false), &value!("Not found for 30 days")));
    let id = made["rule"]["id"].to_string();
    fails(folder, &["rules", "auto-close", "change", &id, "--condition", "nothing:1"], 1, "nothing");
    let changed = json(folder, &["rules", "auto-close", "change", &id, "--condition", "asset.tag:lab"], "");
    assert_eq!((&changed["rule"]["version"], &changed["rule"]["days"]), (&value!(2), &value!(30)));
    let tried = json(folder, &["rules", "auto-close", "run", &id, "--dry-run"], "");
    assert_eq!(tried, value!([]), "no integration is there to look at");
    let asked = json(folder, &["rules", "auto-close", "run", &id, "--all"], "");
    assert_eq!(asked["rule"]["asked_by"], "users/admin", "{asked}");
    assert!(run(folder, &["rules", "auto-close", "delete", &id], "").status.success());
    fails(folder, &["rules", "auto-close", "show", &id], 4, "rule");
    drop(served);
}
