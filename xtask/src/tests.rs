//! Running every test, and knowing which ones did not run.

use crate::{Outcome, system};
use skip::{BESIDE, ELSEWHERE};
use std::path::{Path, PathBuf};

/// What a skipped test means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Skips {
    /// It is said.
    Allowed,
    /// The run fails.
    Refused,
}

/// Install what is missing and run every test.
pub fn run(arguments: &[String], skips: Skips) -> Outcome {
    let outcome = system::prepare();
    if let Err(why) = &outcome {
        eprintln!("xtask: not everything could be installed ({why}); the tests that need it are skipped");
    }
    let list = skipped_file()?;
    let nextest = skip::cargo(env!("CARGO")).args(["nextest", "--version"]).output();
    let nextest = nextest.is_ok_and(|output| output.status.success());
    let runner: &[&str] = if nextest { &["nextest", "run", "--workspace"] } else { &["test", "--workspace"] };
    crate::run(skip::cargo(env!("CARGO")).args(["build", "--workspace", "--bins"]).env("QUELL_SKIPPED_FILE", &list))?;
    // The documentation's examples first, so that the runner's summary closes the output.
    if nextest && arguments.is_empty() {
        run_with(&list, &["test", "--workspace", "--doc", "--quiet"], &[])?;
    }
    run_with(&list, runner, arguments)?;
    let skipped = std::fs::read_to_string(&list).unwrap_or_default();
    if skipped.trim().is_empty() {
        return Ok(());
    }
    eprintln!("\nxtask: these were SKIPPED:\n{skipped}");
    // A clone cannot bring what lies beside the repository or belongs to another system; everything else can be installed.
    let avoidable = skipped.lines().any(|line| !line.starts_with(BESIDE) && !line.starts_with(ELSEWHERE));
    if avoidable && (skips == Skips::Refused || std::env::var_os("QUELL_REFUSE_SKIPS").is_some()) {
        return Err("a test was skipped, see above".to_owned());
    }
    Ok(())
}

fn run_with(list: &Path, runner: &[&str], arguments: &[String]) -> Outcome {
    crate::run(skip::cargo(env!("CARGO")).args(runner).args(arguments).env("QUELL_SKIPPED_FILE", list))
}

/// An empty file to which tests append what they skip.
fn skipped_file() -> Result<PathBuf, String> {
    let path = std::env::temp_dir().join(format!("quell-skipped-{}", std::process::id()));
    std::fs::write(&path, "").map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    Ok(path)
}
