//! `cargo xtask`: what developers and continuous integration run. It is not part of the product.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::allow_attributes, reason = "a command for developers")]

mod bench;
mod licences;
mod system;
mod tests;

use std::process::{Command, ExitCode};

const HELP: &str = "cargo xtask COMMAND

  test [ARGS]  install what the tests need, saying so, then run every test; ARGS go to the test runner
  ci           formatting, lints, licences and every test; fails when a test was skipped
  licences     check the licence of every dependency against the list in this program
  bench NAME   measure: idle, file (1 GiB), import (a million detections from a simulated
               platform, on both engines), merge, store, model (explores the protocol),
               dispatch (a job over a thousand agents),
               simulation (a thousand seeds of servers, agents and faults),
               kills (200 kills of a server while it imports and rescans)
";

/// What went wrong, in a sentence.
pub type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let outcome = match command.as_str() {
        "test" => tests::run(&rest, tests::Skips::Allowed),
        "ci" => ci(),
        "licences" => licences::check(),
        "bench" => bench::run(&rest),
        _ => {
            print!("{HELP}");
            return if command.is_empty() || command.contains("help") { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that has to hold before a change lands, cheapest first.
fn ci() -> Outcome {
    cargo(&["fmt", "--all", "--check"])?;
    licences::check()?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    tests::run(&[], tests::Skips::Refused)
}

/// Run cargo and say what is run.
fn cargo(arguments: &[&str]) -> Outcome {
    run(skip::cargo(env!("CARGO")).args(arguments))
}

/// Run a command and say so.
fn run(command: &mut Command) -> Outcome {
    let shown = format!("{command:?}");
    eprintln!("xtask: running {shown}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown} ended with {status}")),
        Err(error) => Err(format!("{shown} could not be started: {error}")),
    }
}
