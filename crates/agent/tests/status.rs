//! What the host's owner reads of his agent: nothing of what others have put into it steers his terminal or forges a line.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test that fails says so by panicking")]

mod common;

use agent::owner;
use agent::state::StateDir;
use common::{World, entry};
use protocol::agent::Outcome;
use std::process::Command;

const ID: &str = "linux-dropin";
const EXE: &str = env!("CARGO_BIN_EXE_quell-agent");

fn world() -> World {
    let action = "[[action]]\nkind = \"file.dropin\"\npath = \"/etc/apt/apt.conf.d/90quell\"\nmode = \"0644\"\ncontent = \"x 1;\\n\"\n";
    let world = World::new(vec![entry(ID, action)]);
    // A file of the host, whose text shows in the diff of what replaces it.
    world.write("etc/apt/apt.conf.d/90quell", "\u{1b}]0;owned\u{7}\u{1b}[2J\n");
    world
}

/// Whether every character shows itself, but for line ends and blanks.
fn plain(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || !(c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)))
}

#[test]
fn status_and_revert_print_what_others_wrote_as_text() {
    let world = world();
    assert_eq!(world.apply(ID, 1).outcome, Outcome::Succeeded);
    world.stop();
    let state = StateDir::open(&world.state()).unwrap();
    let mut enrolment = state.enrolment().unwrap().unwrap();
    "https://x\nmode          normal\u{1b}[2J".clone_into(&mut enrolment.server);
    std::fs::write(world.state().join("agent.json"), serde_json::to_vec(&enrolment).unwrap()).unwrap();
    std::fs::write(world.state().join("deny"), "a\u{9b}31m\u{202e}b\n").unwrap();
    state.switch("monitor-only", true).unwrap();
    let text = owner::status(&world.state()).unwrap();
    assert!(plain(&text), "{text:?}");
    let modes: Vec<&str> = text.lines().filter(|line| line.starts_with("mode")).collect();
    assert_eq!(modes, ["mode          monitor_only"], "{text}");
    assert!(text.contains("https://x\\nmode") && text.contains("a\\u{9b}31m\\u{202e}b"), "{text}");

    let mut command = Command::new(EXE);
    command.args(["revert", "--all", "--dry-run", "--state"]).arg(world.state()).arg("--root").arg(world.host());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("+\\u{1b}]0;owned\\u{7}\\u{1b}[2J\n"), "{text:?}");
    assert!(plain(&text), "{text:?}");
}

#[test]
fn status_beside_an_agent_says_that_it_runs_and_keeps_none_from_starting() {
    let world = world();
    let path = world.state();
    let status = || owner::status(&path).unwrap();
    assert!(status().contains("running       no"));
    let state = StateDir::open(&path).unwrap();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| (0..500).for_each(|_| drop(status())));
        // Each start takes the lock and each stop gives it back.
        let mut starts = 0;
        while !asked.is_finished() {
            assert!(state.lock().is_ok(), "after {starts} starts");
            starts += 1;
        }
        asked.join().unwrap();
    });
    let _lock = state.lock().unwrap();
    assert!(status().contains("running       yes"));
}
