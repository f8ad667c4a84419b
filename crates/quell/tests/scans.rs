//! `quell scans` against a real server and the simulated platform: S2.03 to S2.17 on the command line.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

use qualys_sim::{Limits, Options, Simulator};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// `quell serve`, stopped with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn quell(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
    for name in ["QUELL_SERVER", "QUELL_TOKEN", "QUELL_CA_SHA256", "QUELL_OUTPUT", "QUELL_USER"] {
        command.env_remove(name);
    }
    command.env("QUELL_CONFIG", folder.join("config.toml"));
    command
}

fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = quell(folder);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn json(folder: &Path, arguments: &[&str], input: &str) -> Value {
    let output = run(folder, &[arguments, &["-o", "json"]].concat(), input);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn fails(folder: &Path, arguments: &[&str], code: i32, says: &str) {
    let output = run(folder, arguments, "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(says), "{arguments:?}: {said}");
}

/// Serve without TLS and sign in.
fn serve(folder: &Path) -> Served {
    let mut command = quell(folder);
    command.args(["serve", "--plain-http", "--log", "warn", "--data-dir"]).arg(folder.join("data"));
    command.args(["--listen", "127.0.0.1:0", "--agent-listen", "127.0.0.1:0"]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut after = |what: &str| loop {
        let line = lines.next().expect("the server says what it does").unwrap();
        if let Some((_, value)) = line.split_once(what) {
            return value.trim().to_owned();
        }
    };
    let (url, password) = (after("people:"), after("password:"));
    std::thread::spawn(move || lines.for_each(drop));
    let served = Served(child);
    let login = ["login", &url, "-u", "admin", "--password-stdin"];
    json(folder, &login, &format!("{password}\nchosen by a test person\n"));
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
    fails(folder, &["scans", "show", "VSCAN0000009"], 4, "there is no scan VSCAN0000009");
    fails(folder, &["scans", "request", item, "--profile", "None such"], 1, "has no option profile None such");
}
