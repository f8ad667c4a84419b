//! `quell complete`: completions for a shell.

use crate::failure::Failure;
use clap::CommandFactory as _;
use clap_complete::Shell;

/// Which shell.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Write the completions to standard output.
///
/// # Errors
/// Where standard output cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "quell", &mut script);
    crate::output::line(String::from_utf8_lossy(&script).trim_end())
}
