//! `quell recover`: the way back in for whoever can write the server's database: a one-time password for an account.

use super::Context;
use super::serve;
use crate::failure::Failure;
use crate::output::{note, record};
use serde_json::json;

/// Whose password.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Sign-in name
    name: String,
    #[command(flatten)]
    serve: serve::Arguments,
}

/// Set a one-time password and show it.
///
/// # Errors
/// Where the database cannot be used or there is no such user.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let config = arguments.serve.resolve()?;
    let recovered = server::accounts::recover(&config, &arguments.name).await;
    let password = recovered.map_err(|error| Failure::Problem(Box::new(error.to_problem())))?;
    note("every session and API token of this user has ended");
    record(
        context.format,
        &json!({ "name": arguments.name, "one_time_password": password }),
        &[("name", arguments.name.clone()), ("one-time password", password)],
    )
}
