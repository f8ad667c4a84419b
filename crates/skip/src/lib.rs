//! What a test says when it cannot run here: loudly, and where `cargo xtask test` sees it. A crate of its own, without
//! dependencies, because the agent's tests must not link the store's and nobody may forget the list. And, for the same
//! crates, how a program that cargo started calls cargo.

#![allow(clippy::print_stderr, clippy::allow_attributes, reason = "helpers of tests are tests, too")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How the list names what is missing beside the repository; that alone does not fail a run that refuses skips, because a
/// clone cannot bring it.
pub const BESIDE: &str = "beside the repository: ";

/// How the list names what belongs to another system than this one; that does not fail such a run either, because no test puts a
/// boot loader or a service manager on somebody's machine, nor what its distribution does not have.
pub const ELSEWHERE: &str = "of another system: ";

/// Say that a test did not run because this is not the system it is about, and why.
///
/// # Panics
/// As [`skipped`].
pub fn elsewhere(test: &str, reason: &str) {
    say(&format!("{ELSEWHERE}{test}: {reason}"));
}

/// Say that a test did not run, and why.
///
/// # Panics
/// When the list that `QUELL_SKIPPED_FILE` names cannot be written.
pub fn skipped(test: &str, reason: &str) {
    say(&format!("{test}: {reason}"));
}

/// The folder `../shared/fixtures` beside the repository of `manifest`, the crate's folder: files nobody here wrote, which
/// are no part of it. `None`, said loudly, where they are absent.
#[must_use]
pub fn fixtures(manifest: &str) -> Option<PathBuf> {
    let found =
        Path::new(manifest).ancestors().map(|folder| folder.join("shared/fixtures")).find(|folder| folder.is_dir());
    if found.is_none() {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        say(&format!("{BESIDE}{test}: there is no ../shared/fixtures"));
    }
    found
}

/// A command that calls cargo from a program that cargo started: without what cargo said of that program. Build scripts such as
/// ring's ask for it, and would run again, with everything that depends on them, at each change from one caller to another.
#[must_use]
pub fn cargo(program: &str) -> Command {
    const OF_THE_CALLER: [&str; 5] =
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_PRIMARY_"];
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| OF_THE_CALLER.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command
}

fn say(what: &str) {
    eprintln!("SKIPPED: {what}");
    if let Some(path) = std::env::var_os("QUELL_SKIPPED_FILE") {
        let mut file =
            std::fs::OpenOptions::new().append(true).create(true).open(path).expect("the list of skipped tests");
        writeln!(file, "{what}").expect("the list of skipped tests can be written");
    }
}
