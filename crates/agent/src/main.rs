//! The `quell-agent` binary: the command line and nothing else.

use agent::cli::{Command, dispatch, log_to_stderr};
use clap::Parser;
use std::process::ExitCode;

/// Takes signed orders from a Quell server and carries them out on this host
#[derive(Debug, Parser)]
#[command(name = "quell-agent", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log_to_stderr();
    match dispatch(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::FAILURE
        }
    }
}
