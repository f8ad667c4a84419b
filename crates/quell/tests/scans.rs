//! `quell scans` against a real server and the simulated platform: S2.03 to S2.17 on the command line.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

mod common;

use common::{Served, fails, json, run};
use qualys_sim::{Limits, Options, Simulator};
use serde_json::Value;
use std::path::Path;

/// Serve without TLS and sign in.
fn serve(folder: &Path) -> Served {
    let served = Served::start(folder, &["--plain-http"]);
    let login = ["login", &served.url, "-u", "admin", "--password-stdin"];
    json(folder, &login, &format!("{}\nchosen by a test person\n", served.password));
    served
}

#[test]
fn a_rescan_is_requested_followed_and_shown() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let limits = Limits { rate: 1_000_000, window_seconds: 1, concurrency: 100 };
    let options = Options { hosts: 5, scan_speed: 100.0, limits, ..Options::default() };
    let simulator = runtime.block_on(Simulator::start(options)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let _served = serve(folder);

    let api = simulator.api_url();
    let (user, password) = (simulator.username().to_owned(), format!("{}\n", simulator.password()));
    let create = ["instances", "create", "Simulated", "--api-url", &api, "--username", &user, "--password-stdin"];
    json(folder, &create, &password);
    json(folder, &["instances", "change", "Simulated", "--default-profile", "Initial Options"], "");
    json(folder, &["instances", "import", "Simulated"], "");
    let items = json(folder, &["items", "list", "-q", "is:open qid<901000"], "");
    let item = items[0]["number"].as_str().unwrap();
    fails(folder, &["scans", "request", item], 5, "the Qualys scanner is inactive");
    json(folder, &["scanners", "activate", "qualys"], "");
    fails(folder, &["scans", "request", item], 5, "available after the next import");
    json(folder, &["instances", "import", "Simulated"], "");
    let pace = json(folder, &["scans", "pace", "--first", "1", "--longest", "1", "--search", "5"], "");
    assert_eq!(pace["longest_seconds"], 1);

    let offer = json(folder, &["scans", "offer", item], "");
    assert_eq!(
        (offer["allowed"].as_bool(), offer["default_profile"]["title"].as_str()),
        (Some(true), Some("Initial Options"))
    );
    let plan = json(folder, &["scans", "request", item, "--preview"], "");
    assert_eq!((&plan["items"], &plan["scans"][0]["address_count"]), (&1.into(), &1.into()), "{plan}");
    let rules = json(folder, &["scans", "rules", "--by-group", "false"], "");
    assert_eq!(rules["by_group"], false);
    let policy = json(folder, &["scans", "policy", "1", "--running", "3", "--zone", "Europe/Rome"], "");
    assert_eq!(
        (&policy["running_max"], &policy["zone"], &policy["launches_max"]),
        (&3.into(), &"Europe/Rome".into(), &10.into())
    );
    let output = run(folder, &["scans", "request", item, "--wait", "-o", "json"], "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("the scan request is being processed: VSCAN0000001"), "{said}");
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&done["scan"]["state"], &done["sources"][0]["verdict"]), (&"complete".into(), &"still_present".into()));
    let shown = String::from_utf8(run(folder, &["scans", "show", "VSCAN0000001"], "").stdout).unwrap();
    assert!(shown.contains("1 of 1 complete") && shown.contains("still_present"), "{shown}");
    let listed =
        String::from_utf8(run(folder, &["scans", "list", "-q", "state:complete", "-o", "csv"], "").stdout).unwrap();
    assert!(listed.contains("VSCAN0000001,complete,1/1,1,1 still present,Qualys,admin,"), "{listed}");
    fails(folder, &["scans", "cancel", "VSCAN0000001"], 5, "the scan has ended");
    fails(folder, &["scans", "retry", "VSCAN0000001"], 5, "nothing of it came to nothing");
    fails(folder, &["scans", "show", "VSCAN0000009"], 4, "there is no scan VSCAN0000009");
    fails(folder, &["scans", "request", item, "--profile", "None such"], 1, "has no option profile None such");
}
