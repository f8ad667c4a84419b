//! Without anything to confine its parts with the agent does not start, unless its owner says so.
//!
//! The kernel's Landlock is taken away for real: a seccomp filter answers its system calls as a kernel would that has none.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test that fails says so by panicking")]

mod common;

use common::World;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const EXE: &str = env!("CARGO_BIN_EXE_quell-agent");

/// Run the agent where the kernel has no Landlock; nothing where that cannot be had.
fn without_landlock(test: &str, arguments: Vec<String>) -> Option<Output> {
    if Path::new("/run/systemd/system").exists() {
        skip::skipped(test, "systemd runs here and would confine instead");
        return None;
    }
    let start = move || Command::new(EXE).args(arguments).stdin(Stdio::null()).output().unwrap();
    Some(common::without_landlock(start))
}

/// The state belongs to nobody's agent: whatever the agent does without Landlock, it ends, right after it said how it is confined.
fn unenrolled() -> World {
    let world = World::new(Vec::new());
    std::fs::remove_file(world.state().join("agent.json")).unwrap();
    world
}

fn arguments(world: &World, more: &[&str]) -> Vec<String> {
    let (host, state) = (world.host().display().to_string(), world.state().display().to_string());
    let words = ["run", "--root", &host, "--state", &state].into_iter().chain(more.iter().copied());
    words.map(str::to_owned).collect()
}

#[test]
fn a_kernel_without_landlock_is_refused_and_says_what_to_do() {
    let world = unenrolled();
    let Some(out) = without_landlock("confinement::refused", arguments(&world, &[])) else { return };
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success(), "{said}");
    assert!(said.contains("Landlock") && said.contains("--unconfined"), "{said}");
    assert!(!world.state().join("confinement").exists(), "it did not begin");
}

#[test]
fn the_network_half_refuses_by_itself() {
    let Some(out) = without_landlock("confinement::network_half", vec!["net".to_owned()]) else { return };
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && said.contains("cannot be confined"), "{said}");
}

#[test]
fn an_owner_who_goes_without_sees_it_in_the_status() {
    let world = unenrolled();
    let Some(out) = without_landlock("confinement::unconfined", arguments(&world, &["--unconfined"])) else { return };
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("--unconfined: what reads foreign things"), "{said}");
    let enrolled = World::new(Vec::new());
    std::fs::copy(world.state().join("confinement"), enrolled.state().join("confinement")).unwrap();
    let shown = agent::owner::status(&enrolled.state()).unwrap();
    assert!(shown.contains("NOTHING (--unconfined)"), "{shown}");
}
