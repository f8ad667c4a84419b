//! What a test says when it cannot run here: loudly, and where `cargo xtask test` sees it. A crate of its own, without
//! dependencies, because the agent's tests must not link the store's and nobody may forget the list.

#![allow(clippy::print_stderr, clippy::allow_attributes, reason = "helpers of tests are tests, too")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// How the list names what is missing beside the repository; that alone does not fail a run that refuses skips, because a
/// clone cannot bring it.
pub const BESIDE: &str = "beside the repository: ";

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

fn say(what: &str) {
    eprintln!("SKIPPED: {what}");
    if let Some(path) = std::env::var_os("QUELL_SKIPPED_FILE") {
        let mut file =
            std::fs::OpenOptions::new().append(true).create(true).open(path).expect("the list of skipped tests");
        writeln!(file, "{what}").expect("the list of skipped tests can be written");
    }
}
