//! `quell tasks` and `quell rules tasks` against a real server.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

mod common;

use common::{Served, fails, json, run};
use serde_json::json as value;
use std::fs;

/// One host with three weaknesses.
fn report() -> String {
    let one = |qid: u32| {
        format!(
            "<DETECTION><QID>{qid}</QID><TYPE>Confirmed</TYPE><SEVERITY>5</SEVERITY><STATUS>Active</STATUS><QDS>95</QDS></DETECTION>"
        )
    };
    let detections: String = [91, 92, 93].into_iter().map(one).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?><HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE>\
         <DATETIME>2026-11-01T00:00:00Z</DATETIME><HOST_LIST><HOST><ID>11</ID><IP>192.0.2.11</IP><OS>Ubuntu</OS>\
         <DNS>web.example</DNS><DETECTION_LIST>{detections}</DETECTION_LIST></HOST></HOST_LIST></RESPONSE>\
         </HOST_LIST_VM_DETECTION_OUTPUT>"
    )
}

#[test]
fn tasks_are_made_worked_on_split_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let served = Served::start(folder, &[]);
    let login = ["login", &served.url, "-u", "admin", "--password-stdin", "--ca-sha256", &served.fingerprint];
    json(folder, &login, &format!("{}\nchosen by a test person\n", served.password));
    let rule = ["rules", "tasks", "create", "By asset", "--group-by", "asset,band", "--condition", "qid:93"];
    let made = json(folder, &rule, "");
    assert_eq!((&made["rule"]["active"], &made["rule"]["group_by"]), (&value!(true), &value!(["asset", "band"])));
    fails(folder, &["rules", "tasks", "create", "x", "--group-by", "colour"], 1, "is none of");
    let file = folder.join("hosts.xml");
    fs::write(&file, report()).unwrap();
    json(folder, &["import", file.to_str().unwrap()], "");
    let listed = json(folder, &["tasks", "list", "-q", "rule:\"By asset\""], "");
    assert_eq!((&listed[0]["number"], &listed[0]["items"]), (&value!("VUL0000001"), &value!(1)), "{listed}");

    let create = ["tasks", "create", "--matching", "is:open", "--title", "All", "--to", "admin"];
    let made = json(folder, &create, "");
    assert_eq!((&made["tasks"], &made["items"], &made["skipped"]), (&value!(["VUL0000002"]), &value!(2), &value!(1)));
    fails(folder, &create, 5, "none of these items is open and free");
    let state = json(folder, &["tasks", "state", "VUL0000002", "under_investigation"], "");
    assert_eq!(
        (&state["task"]["state"], &state["task"]["assignee"]),
        (&value!("under_investigation"), &value!("admin"))
    );
    fails(folder, &["tasks", "state", "VUL0000002", "closed"], 5, "a task closes when its items do");
    let why = String::from_utf8(run(folder, &["tasks", "why", "VUL0000002"], "").stdout).unwrap();
    assert!(why.contains("admin set it") && why.contains("closes when imports close its 2 open items"), "{why}");
    let items = json(folder, &["items", "list", "-q", "task:VUL0000002"], "");
    let item = items[0]["number"].as_str().unwrap();
    let split = json(folder, &["tasks", "split", "VUL0000002", item, "--title", "One"], "");
    assert_eq!(split["new"], "VUL0000003");
    json(folder, &["tasks", "remove", "VUL0000003", item], "");
    assert!(run(folder, &["tasks", "delete", "VUL0000003"], "").status.success());
    json(folder, &["tasks", "add", "VUL0000002", item], "");
    json(folder, &["tasks", "edit", "VUL0000002", "--description", "soon"], "");
    fails(folder, &["tasks", "assign", "VUL0000002"], 1, "say why nobody has the task");
    json(folder, &["tasks", "assign", "VUL0000002", "--note", "away"], "");
    json(folder, &["tasks", "note", "VUL0000002", "called them"], "");
    json(folder, &["tasks", "note", item, "about the item"], "");
    let notes = json(folder, &["tasks", "notes", "VUL0000002"], "");
    assert_eq!((&notes[0]["text"], &notes[1]["text"]), (&value!("called them"), &value!("away")), "{notes}");
    fails(folder, &["tasks", "notes", "MJ0000001"], 1, "is no number of a task, an item or an exception");
    let shown = String::from_utf8(run(folder, &["tasks", "show", "VUL0000002"], "").stdout).unwrap();
    assert!(shown.contains("2 of 2") && shown.contains("soon"), "{shown}");
    let history = json(folder, &["tasks", "history", "VUL0000002"], "");
    assert!(history.as_array().unwrap().iter().any(|line| line["what"] == "split"), "{history}");

    let rules = json(folder, &["rules", "tasks", "list"], "");
    let id = rules.as_array().unwrap().iter().find(|rule| rule["name"] == "By asset").unwrap()["id"].to_string();
    let tried = json(folder, &["rules", "tasks", "try", "x", "--group-by", "vulnerability"], "");
    assert_eq!((&tried["items"], &tried["tasks"]), (&value!(3), &value!(3)), "{tried}");
    let set = ["rules", "tasks", "set", &id, "By asset", "--group-by", "asset", "--off", "--position", "5"];
    assert_eq!(json(folder, &set, "")["rule"]["position"], 5);
    assert_eq!(json(folder, &["rules", "tasks", "mode", "first"], "")["first_only"], true);
    let applied = json(folder, &["rules", "tasks", "apply", &id], "");
    assert_eq!((&applied["deleted"], &applied["items"]), (&value!(1), &value!(3)), "{applied}");
    assert!(run(folder, &["rules", "tasks", "delete", &id, "--tasks"], "").status.success());
    assert_eq!(json(folder, &["tasks", "list"], "").as_array().unwrap().len(), 1);
}
