//! The built program: run once, or serving until the test ends.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "a test stops where something is missing, and uses the part it needs"
)]

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// `quell serve` on free ports, stopped with the test.
pub struct Served {
    child: Child,
    /// Address for people.
    pub url: String,
    /// Fingerprint of its authority; empty without TLS.
    pub fingerprint: String,
    /// The one-time password of the first account.
    pub password: String,
}

impl Served {
    /// Start it on a new data folder, with these further arguments.
    pub fn start(folder: &Path, further: &[&str]) -> Served {
        Self::start_with(folder, further, None, true)
    }

    /// Start it on a data folder, dying at a point if one is named; `first` is the start that makes the first account.
    pub fn start_with(folder: &Path, further: &[&str], failpoint: Option<&str>, first: bool) -> Served {
        let mut command = quell(folder);
        if let Some(failpoint) = failpoint {
            command.env(server::failpoint::VARIABLE, format!("{failpoint}:kill"));
        }
        let mut child = command
            .args(["serve", "--data-dir"])
            .arg(folder.join("data"))
            .args(["--listen", "127.0.0.1:0", "--agent-listen", "127.0.0.1:0", "--log", "warn"])
            .args(further)
            .args(failpoint.map(|_| "--allow-failpoints"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut url, mut fingerprint) = (String::new(), String::new());
        let password = loop {
            let line = lines.next().expect("the server says what it does").unwrap();
            for (what, value) in [("people:", &mut url), ("fingerprint:", &mut fingerprint)] {
                if let Some((_, said)) = line.split_once(what) {
                    said.trim().clone_into(value);
                }
            }
            if let Some((_, said)) = line.split_once("password:") {
                break said.trim().to_owned();
            }
            if !first && !fingerprint.is_empty() {
                break String::new();
            }
        };
        // Whatever it prints later has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Served { child, url, fingerprint, password }
    }
}

impl Served {
    /// Whether it has ended by itself.
    pub fn is_dead(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program with its profile in this folder and nothing from the environment.
pub fn quell(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
    for name in ["QUELL_SERVER", "QUELL_TOKEN", "QUELL_CA_SHA256", "QUELL_OUTPUT", "QUELL_USER"] {
        command.env_remove(name);
    }
    command.env("QUELL_CONFIG", folder.join("config.toml"));
    command
}

/// Run it to its end with this input.
pub fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = quell(folder);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// What it prints as JSON.
#[track_caller]
pub fn json(folder: &Path, arguments: &[&str], input: &str) -> Value {
    let output = run(folder, &[arguments, &["-o", "json"]].concat(), input);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// It ends with this code and says this.
#[track_caller]
pub fn fails(folder: &Path, arguments: &[&str], code: i32, says: &str) {
    let output = run(folder, arguments, "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(says), "{arguments:?}: {said}");
}
