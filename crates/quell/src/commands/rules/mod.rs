//! `quell rules`: the rules of vulnerability response.

mod tasks;

use super::Context;
use crate::failure::Failure;

/// The kinds of rules.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Which items of an import are put into remediation tasks
    #[command(subcommand)]
    Tasks(tasks::Command),
}

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Tasks(command) => tasks::run(command, context).await,
    }
}
