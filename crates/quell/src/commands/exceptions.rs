//! `quell exceptions`: requests to put items off or to call them false positives, and the decision about each.

use super::Context;
use crate::client::{Client, ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column, Format, note};
use domain::time::Timestamp;
use protocol::api::exceptions::{
    AskedBody, Decision, Exception, ExceptionBody, ExceptionsBody, NewException, Revocation,
};

/// What can be done with exceptions.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List requests; `-q "is:open"`, `-q "by:me"`
    List(ListArguments),
    /// Show a request
    Show {
        /// Its number, VCA0000001
        number: String,
    },
    /// Ask to put items off until a time, or to call them false positives
    Request {
        /// Numbers of the items, VIT0000001
        #[arg(value_delimiter = ',', required_unless_present = "matching", conflicts_with = "matching")]
        items: Vec<String>,
        /// Instead: all items that match now, in the query language of items
        #[arg(long, value_name = "QUERY")]
        matching: Option<String>,
        /// Why, in a word
        #[arg(long, value_parser = ["risk_accepted", "awaiting_maintenance_window", "fix_unavailable", "mitigating_control", "other", "false_positive"])]
        reason: String,
        /// Why, for whoever decides
        #[arg(long)]
        note: String,
        /// Until when, 2027-01-31T00:00:00Z; not for a false positive
        #[arg(long, value_name = "TIME", value_parser = time)]
        until: Option<Timestamp>,
    },
    /// Approve a request of somebody else
    Approve {
        /// Its number, VCA0000001
        number: String,
        /// What is said with it
        #[arg(long, default_value = "")]
        answer: String,
        /// Until when a false positive holds, 2027-01-31T00:00:00Z; for ever when absent
        #[arg(long, value_name = "TIME", value_parser = time)]
        until: Option<Timestamp>,
    },
    /// Reject a request of somebody else
    Reject {
        /// Its number, VCA0000001
        number: String,
        /// Why; who asked reads it
        #[arg(long)]
        answer: String,
    },
    /// Take back a request of one's own before it is decided
    Withdraw {
        /// Its number, VCA0000001
        number: String,
    },
    /// Revoke a false positive that was approved
    Revoke {
        /// Its number, VCA0000001
        number: String,
        /// Why
        #[arg(long)]
        answer: String,
    },
}

const COLUMNS: &[Column<Exception>] = &[
    ("NUMBER", |one| one.number.clone()),
    ("KIND", |one| one.kind.clone()),
    ("REASON", |one| one.reason.clone()),
    ("STATE", |one| one.state.clone()),
    ("ITEMS", |one| one.items.to_string()),
    ("BY", |one| one.requested_by.clone()),
    ("REQUESTED", |one| one.requested_at.to_string()),
    ("UNTIL", |one| one.until.map(|until| until.to_string()).unwrap_or_default()),
];

fn time(text: &str) -> Result<Timestamp, String> {
    serde_json::from_value(serde_json::Value::from(text))
        .map_err(|_| "this is no time; write 2027-01-31T00:00:00Z".to_owned())
}

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let (client, format) = (context.client()?, context.format);
    match command {
        Command::List(list) => {
            let address = path(&["exceptions"]);
            let rows = client.list(&address, &list, |body: ExceptionsBody| (body.exceptions, body.next)).await?;
            output::list(format, &rows, COLUMNS)
        }
        Command::Show { number } => show(format, &client.get(&path(&["exceptions", &number]), &[]).await?),
        Command::Request { items, matching, reason, note, until } => {
            let false_positive = reason == "false_positive";
            let new = NewException {
                kind: if false_positive { reason.clone() } else { "deferral".to_owned() },
                reason: if false_positive { String::new() } else { reason },
                note,
                until,
                items,
                q: matching,
            };
            request(&client, format, &new).await
        }
        Command::Approve { number, answer, until } => {
            decide(&client, format, &number, &Decision { approve: true, answer, until }).await
        }
        Command::Reject { number, answer } => {
            decide(&client, format, &number, &Decision { approve: false, answer, until: None }).await
        }
        Command::Withdraw { number } => {
            let nothing = serde_json::Map::<String, serde_json::Value>::new();
            show(format, &client.post(&path(&["exceptions", &number, "withdraw"]), &nothing).await?)
        }
        Command::Revoke { number, answer } => {
            show(format, &client.post(&path(&["exceptions", &number, "revoke"]), &Revocation { answer }).await?)
        }
    }
}

async fn request(client: &Client, format: Format, new: &NewException) -> Result<(), Failure> {
    let asked: AskedBody = client.post(&path(&["exceptions"]), new).await?;
    for left in &asked.left_out {
        note(&format!("{} is left out: {}", left.item, left.reason));
    }
    let unnamed = asked.left_out_count - i64::try_from(asked.left_out.len()).unwrap_or(0);
    if unnamed > 0 {
        note(&format!("{unnamed} more are left out"));
    }
    if format == Format::Json {
        return output::json(&asked);
    }
    show(format, &client.get(&path(&["exceptions", &asked.exception.number]), &[]).await?)
}

async fn decide(client: &Client, format: Format, number: &str, decision: &Decision) -> Result<(), Failure> {
    show(format, &client.post(&path(&["exceptions", number, "decision"]), decision).await?)
}

fn show(format: Format, body: &ExceptionBody) -> Result<(), Failure> {
    let one = &body.exception;
    let mut fields: Vec<(&str, String)> = COLUMNS.iter().map(|(name, show)| (*name, show(one))).collect();
    fields.push(("NOTE", one.note.clone()));
    if one.state == "requested" {
        fields.push(("LAPSES", one.answer_by.to_string()));
    }
    let ended = one.decided_at.map(|at| format!("{at} {}", one.decided_by.clone().unwrap_or_default()));
    fields.push(("ENDED", ended.unwrap_or_default()));
    fields.push(("ANSWER", one.answer.clone()));
    for item in &body.items {
        fields.push(("ITEM", format!("{} {} on {}: {}", item.number, item.title, item.asset, item.state)));
    }
    output::record(format, body, &fields)
}
