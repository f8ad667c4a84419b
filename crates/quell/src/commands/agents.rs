//! `quell agents`: agents, and the tokens they enrol with.

use super::Context;
use crate::client::{ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column, note};
use protocol::api::response::{
    Agent, AgentLink, AgentsBody, EnrolmentToken, EnrolmentTokenMade, EnrolmentTokensBody, NewEnrolmentToken,
    RetirementBody, RetirementRequest,
};

/// What can be done with agents.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List agents
    List(ListArguments),
    /// Make an enrolment token; it is shown once, with the command to run on the host
    Token {
        /// What it is for
        label: String,
        /// Agents that may enrol with it
        #[arg(long, default_value_t = 1, value_name = "N")]
        uses: i64,
        /// Hours it is good for
        #[arg(long, default_value_t = 24, value_name = "N")]
        hours: i64,
    },
    /// List enrolment tokens
    Tokens,
    /// Make an enrolment token useless
    RevokeToken {
        /// Its id
        id: String,
    },
    /// Decide which asset an agent sits on
    Link {
        /// The agent's id
        id: String,
        /// The asset's key; without it the agent is unlinked
        #[arg(long)]
        asset: Option<i64>,
        /// How you know
        #[arg(long)]
        reason: String,
    },
    /// End an agent: its requests are refused from now on
    Revoke {
        /// Its id
        id: String,
    },
    /// Take an agent back that was retired because it was not heard of for too long
    TakeBack {
        /// Its id
        id: String,
    },
    /// Show after how many days without a word an agent is retired, or change it
    Retirement {
        /// Days, 7 to 400; 0 for never
        days: Option<i64>,
    },
}

const AGENTS: &[Column<Agent>] = &[
    ("ID", |agent| agent.id.to_string()),
    ("HOST", |agent| agent.hostname.clone()),
    ("ASSET", |agent| agent.asset_name.clone().unwrap_or_default()),
    ("LINK", |agent| agent.link.clone()),
    ("OS", |agent| agent.os.clone()),
    ("ZONE", |agent| agent.zone.clone()),
    ("MODE", |agent| agent.mode.clone()),
    ("VERSION", |agent| agent.version.clone()),
    ("LAST SEEN", |agent| match (agent.retired_at, agent.revoked_at, agent.missing_at) {
        (Some(at), ..) => format!("retired {at}"),
        (None, Some(at), _) => format!("revoked {at}"),
        (None, None, Some(_)) => format!("{}, contact lost", agent.last_seen_at),
        (None, None, None) => agent.last_seen_at.to_string(),
    }),
];

const TOKENS: &[Column<EnrolmentToken>] = &[
    ("ID", |token| token.id.to_string()),
    ("LABEL", |token| token.label.clone()),
    ("USES LEFT", |token| token.uses_left.to_string()),
    ("GOOD UNTIL", |token| token.expires_at.to_string()),
];

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::List(list) => {
            let agents = client.list(&path(&["agents"]), &list, |body: AgentsBody| (body.agents, body.next)).await?;
            output::list(context.format, &agents, AGENTS)
        }
        Command::Token { label, uses, hours } => {
            let new = NewEnrolmentToken { label, uses: Some(uses), hours: Some(hours) };
            let made: EnrolmentTokenMade = client.post(&path(&["agents", "tokens"]), &new).await?;
            let fields = [
                ("token", made.text.clone()),
                ("good until", made.token.expires_at.to_string()),
                ("run on the host", made.command.clone()),
            ];
            output::record(context.format, &made, &fields)
        }
        Command::Tokens => {
            let body: EnrolmentTokensBody = client.get(&path(&["agents", "tokens"]), &[]).await?;
            output::list(context.format, &body.tokens, TOKENS)
        }
        Command::RevokeToken { id } => {
            client.delete(&path(&["agents", "tokens", &id])).await?;
            note(&format!("enrolment token {id} is useless now"));
            Ok(())
        }
        Command::Link { id, asset, reason } => {
            let link = AgentLink { asset, reason };
            let request = client.request(reqwest::Method::PUT, &path(&["agents", &id, "link"])).json(&link);
            client.send(request).await?;
            note(&format!("agent {id} is {}", if asset.is_some() { "linked" } else { "unlinked" }));
            Ok(())
        }
        Command::Revoke { id } => {
            client.delete(&path(&["agents", &id])).await?;
            note(&format!("agent {id} is revoked"));
            Ok(())
        }
        Command::TakeBack { id } => {
            client.post_quietly(&path(&["agents", &id, "take-back"]), &serde_json::json!({})).await?;
            note(&format!("agent {id} is taken back"));
            Ok(())
        }
        Command::Retirement { days } => {
            let place = path(&["settings", "retirement"]);
            let RetirementBody { retirement } = match days {
                Some(days) => client.put(&place, &RetirementRequest { days }).await?,
                None => client.get(&place, &[]).await?,
            };
            let after = if retirement.days == 0 { "never".to_owned() } else { format!("{} days", retirement.days) };
            let fields = [
                ("retired after", after),
                ("default", format!("{} days", retirement.default_days)),
                ("held", retirement.held.clone()),
            ];
            output::record(context.format, &retirement, &fields)
        }
    }
}
