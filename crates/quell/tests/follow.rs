//! `quell controls`, `quell proposals` and `quell reviews` against a real server: what follows a job, on the command line.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

mod common;

use common::{Served, fails, json, run};

#[test]
fn what_follows_a_job_is_listed_and_set() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let served = Served::start(folder, &["--plain-http"]);
    let login = ["login", &served.url, "-u", "admin", "--password-stdin"];
    json(folder, &login, &format!("{}\nchosen by a test person\n", served.password));

    for list in [["controls", "list"], ["proposals", "list"], ["reviews", "list"]] {
        assert_eq!(json(folder, &list, "").as_array().map(Vec::len), Some(0), "{list:?}");
    }
    assert!(run(folder, &["controls", "list", "-q", "is:drifted"], "").status.success());
    let settings = json(folder, &["controls", "settings"], "");
    assert_eq!((settings["check_minutes"].as_i64(), settings["formula"].as_str()), (Some(240), Some("quell")));
    let settings = json(folder, &["controls", "settings", "--check-minutes", "60", "--formula", "updated"], "");
    assert_eq!((settings["check_minutes"].as_i64(), settings["formula"].as_str()), (Some(60), Some("updated")));
    fails(folder, &["controls", "settings", "--check-minutes", "1"], 1, "15 to 10080 minutes");
    fails(folder, &["controls", "reapply", "9"], 4, "there is no control 9");
    fails(folder, &["proposals", "accept", "9"], 4, "there is no proposal 9");
    fails(folder, &["proposals", "dismiss", "9", "--reason", "because"], 4, "there is no proposal 9");
    fails(folder, &["reviews", "done", "MJ0000009"], 4, "there is no job MJ0000009");
}
