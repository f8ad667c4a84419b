//! The `quell` binary: arguments in, one command, an exit code out.

mod client;
mod commands;
mod demo;
mod failure;
mod output;
mod profile;
mod prompt;
mod trust;

use clap::Parser as _;
use std::process::ExitCode;

/// A server answers a thousand agents from many threads, and SQLite takes and gives back its pages all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The TLS library wants its cryptography named once per process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = commands::Arguments::parse();
    if let Some(command) = arguments.agent() {
        agent::cli::log_to_stderr();
        demo::end_with_the_demo();
        return match agent::cli::dispatch(command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => output::failed(&failure::Failure::Failed(Box::new(error))),
        };
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return output::failed(&failure::Failure::internal("cannot start", error)),
    };
    match runtime.block_on(commands::run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output::failed(&failure),
    }
}
