//! `quell mail`: what was sent, waits or was given up; another try, a test.

use super::Context;
use crate::client::{Client, ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column, note};
use protocol::api::mail::{Mail, MailBody, MailTest, MailsBody, MailsRetried, NoticesBody, NoticesChange};
use std::time::Duration;

/// What can be done with mail.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List mail, newest first; dead letters are `-q is:dead`
    List(ListArguments),
    /// Send a test mail and wait for what the mail server says
    Test {
        /// To whom
        address: String,
    },
    /// Show which letters about assigned and overdue items one gets, or choose; what is absent stays
    Notices {
        /// About items that are newly assigned: true or false
        #[arg(long)]
        assigned: Option<bool>,
        /// About items that became overdue: true or false
        #[arg(long)]
        overdue: Option<bool>,
        /// For everybody on this server
        #[arg(long)]
        everybody: bool,
    },
    /// Try a dead letter again now, or one that waits for its next try
    Retry {
        /// Its key, as listed
        #[arg(required_unless_present = "all")]
        id: Option<i64>,
        /// Every dead letter
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

const COLUMNS: &[Column<Mail>] = &[
    ("ID", |mail| mail.id.to_string()),
    ("TO", |mail| mail.recipient.clone()),
    ("ABOUT", |mail| mail.kind.clone()),
    ("JOB", |mail| mail.job.clone().unwrap_or_default()),
    ("STATE", |mail| mail.state.clone()),
    ("TRIES", |mail| mail.attempts.to_string()),
    ("NEXT TRY", |mail| mail.next_try_at.map(|at| at.to_string()).unwrap_or_default()),
    ("SENT", |mail| mail.sent_at.map(|at| at.to_string()).unwrap_or_default()),
    ("LAST ERROR", |mail| mail.last_error.clone()),
];

/// Looks at a test mail before one stops waiting, one every [`PAUSE`]: a little more than one mail may take.
const LOOKS_MAX: u32 = 140;
const PAUSE: Duration = Duration::from_millis(500);

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server; of a test mail also what the mail server said.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::List(list) => {
            let mails = client.list(&path(&["mail"]), &list, |body: MailsBody| (body.mails, body.next)).await?;
            output::list(context.format, &mails, COLUMNS)
        }
        Command::Notices { assigned, overdue, everybody } => {
            let change = NoticesChange { assigned, overdue };
            let own = path(&["me", "notices"]);
            let body: NoticesBody = match (assigned.or(overdue), everybody) {
                (None, _) => client.get(&own, &[]).await?,
                (Some(_), false) => client.patch(&own, &change, None).await?,
                (Some(_), true) => client.put(&path(&["settings", "notices"]), &change).await?,
            };
            let fields = [
                ("ASSIGNED", body.notices.assigned.to_string()),
                ("OVERDUE", body.notices.overdue.to_string()),
                ("ASSIGNED, EVERYBODY", body.everybody.assigned.to_string()),
                ("OVERDUE, EVERYBODY", body.everybody.overdue.to_string()),
            ];
            output::record(context.format, &body, &fields)
        }
        Command::Test { address } => {
            let made: MailBody = client.post(&path(&["mail", "test"]), &MailTest { recipient: address }).await?;
            let mail = settled(&client, made.mail).await?;
            shown(context, &mail)?;
            match mail.state.as_str() {
                "sent" => Ok(()),
                "failed" | "dead" => Err(Failure::Said(format!("the mail was not taken: {}", mail.last_error))),
                _ => Err(Failure::Said("the mail server has not answered yet; see `quell mail list`".to_owned())),
            }
        }
        Command::Retry { id: None, .. } => {
            let body = serde_json::json!({});
            let done: MailsRetried = client.post(&path(&["mail", "retry"]), &body).await?;
            output::record(context.format, &done, &[("retried", done.retried.to_string())])
        }
        Command::Retry { id: Some(id), .. } => {
            let body = serde_json::json!({});
            let MailBody { mail } = client.post(&path(&["mail", &id.to_string(), "retry"]), &body).await?;
            note(&format!("the mail to {} is tried again", mail.recipient));
            shown(context, &mail)
        }
    }
}

/// The mail once it was tried, or as it is after a while.
async fn settled(client: &Client, mut mail: Mail) -> Result<Mail, Failure> {
    for _ in 0..LOOKS_MAX {
        if !matches!(mail.state.as_str(), "queued" | "sending") {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        mail = client.get::<MailBody>(&path(&["mail", &mail.id.to_string()]), &[]).await?.mail;
    }
    Ok(mail)
}

fn shown(context: &Context, mail: &Mail) -> Result<(), Failure> {
    let fields = [
        ("id", mail.id.to_string()),
        ("to", mail.recipient.clone()),
        ("state", mail.state.clone()),
        ("tries", mail.attempts.to_string()),
        ("error", mail.last_error.clone()),
    ];
    output::record(context.format, mail, &fields)
}
