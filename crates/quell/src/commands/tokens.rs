//! `quell tokens`: API tokens.

use super::Context;
use crate::client::{ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column, note};
use protocol::api::accounts::{NewToken, Token, TokenWithSecret, TokensBody};

/// What can be done with tokens.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List one's own tokens; administrators see everybody's
    List(ListArguments),
    /// Make a token for oneself; it is shown once
    Create {
        /// What it is for
        name: String,
        /// What it may be used for: read, items, rescans, jobs, integrations, agents, accounts, system, or all
        #[arg(long, value_delimiter = ',', required = true, value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Days it lives, at most 366
        #[arg(long, default_value_t = 90, value_name = "N")]
        days: i64,
    },
    /// End a token
    Revoke {
        /// Its key, as listed
        id: i64,
    },
}

const COLUMNS: &[Column<Token>] = &[
    ("ID", |token| token.id.to_string()),
    ("USER", |token| token.user.clone()),
    ("NAME", |token| token.name.clone()),
    ("TOKEN", |token| format!("{}...", token.hint)),
    ("SCOPES", |token| token.scopes.join(" ")),
    ("ENDS", |token| match token.revoked_at {
        Some(at) => format!("revoked {at}"),
        None => token.expires_at.to_string(),
    }),
    ("LAST USED", |token| token.used_at.map(|at| at.to_string()).unwrap_or_default()),
];

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::List(list) => {
            let tokens = client.list(&path(&["tokens"]), &list, |body: TokensBody| (body.tokens, body.next)).await?;
            output::list(context.format, &tokens, COLUMNS)
        }
        Command::Create { name, scopes, days } => {
            let new = NewToken { name, scopes, days: Some(days) };
            let made: TokenWithSecret = client.post(&path(&["tokens"]), &new).await?;
            let ends = made.token.expires_at.to_string();
            let fields = [("token", made.secret.clone()), ("id", made.token.id.to_string()), ("ends", ends)];
            output::record(context.format, &made, &fields)
        }
        Command::Revoke { id } => {
            client.delete(&path(&["tokens", &id.to_string()])).await?;
            note(&format!("token {id} has ended"));
            Ok(())
        }
    }
}
