//! `quell rules`: rules of vulnerability response.

use super::{Context, assignment, auto_close, task_rules};
use crate::client::path;
use crate::failure::Failure;
use crate::output;
use protocol::api::due::{DueBody, DueDays, DueRequest};
use protocol::api::exceptions::{ItemSettingsBody, ItemSettingsChange};
use reqwest::Method;

/// What can be done with rules.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Rules that give new and reopened items to somebody
    #[command(subcommand)]
    Assignment(assignment::Command),
    /// Rules that close items which nothing reports any more
    #[command(subcommand)]
    AutoClose(auto_close::Command),
    /// Which items of an import are put into remediation tasks
    #[command(subcommand)]
    Tasks(task_rules::Command),
    /// Show how many days there are for each band of score, or change it; what is absent stays
    Due {
        /// Whether items have due dates: true or false
        #[arg(long)]
        on: Option<bool>,
        /// Days for scores of 90 to 100; 0 for no date
        #[arg(long, value_name = "DAYS")]
        critical: Option<i64>,
        /// Days for scores of 70 to 89
        #[arg(long, value_name = "DAYS")]
        high: Option<i64>,
        /// Days for scores of 40 to 69
        #[arg(long, value_name = "DAYS")]
        medium: Option<i64>,
        /// Days for scores of 1 to 39
        #[arg(long, value_name = "DAYS")]
        low: Option<i64>,
        /// Approaching so many days before
        #[arg(long, value_name = "DAYS")]
        soon: Option<i64>,
        /// Only say what it would do
        #[arg(long)]
        dry_run: bool,
    },
    /// Show what holds of deferrals and exceptions, or change it
    Deferrals {
        /// Whether a deferred item that is found again within its time is deferred again: true or false
        #[arg(long)]
        again: Option<bool>,
        /// Days ahead that an exception may hold at most
        #[arg(long, value_name = "DAYS")]
        days_max: Option<i64>,
    },
}

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::Assignment(command) => assignment::run(command, context).await,
        Command::AutoClose(command) => auto_close::run(command, context).await,
        Command::Tasks(command) => task_rules::run(command, context).await,
        Command::Deferrals { again, days_max } => {
            let place = path(&["settings", "items"]);
            let body: ItemSettingsBody = match (again, days_max) {
                (None, None) => client.get(&place, &[]).await?,
                _ => {
                    let change = ItemSettingsChange { defer_again: again, exception_days_max: days_max };
                    client.put(&place, &change).await?
                }
            };
            let fields = [
                ("deferred again", body.items.defer_again.to_string()),
                ("days at most", body.items.exception_days_max.to_string()),
            ];
            output::record(context.format, &body, &fields)
        }
        Command::Due { on, critical, high, medium, low, soon, dry_run } => {
            let place = path(&["settings", "due"]);
            let before: DueBody = client.get(&place, &[]).await?;
            let is = before.due.days;
            let days = DueDays {
                on: on.unwrap_or(is.on),
                critical: critical.unwrap_or(is.critical),
                high: high.unwrap_or(is.high),
                medium: medium.unwrap_or(is.medium),
                low: low.unwrap_or(is.low),
                soon: soon.unwrap_or(is.soon),
            };
            let body = if days == is && !dry_run {
                before
            } else {
                // Only over the days that were read: who changed them meanwhile is not undone.
                let tag = format!("\"v{}\"", before.due.version);
                let request = client.request(Method::PUT, &place).header("if-match", tag);
                client.body(request.json(&DueRequest { days, dry_run })).await?
            };
            shown(&body, context)
        }
    }
}

fn shown(body: &DueBody, context: &Context) -> Result<(), Failure> {
    let days = body.due.days;
    let mut fields = vec![
        ("due dates", if days.on { "on" } else { "off" }.to_owned()),
        ("critical", days.critical.to_string()),
        ("high", days.high.to_string()),
        ("medium", days.medium.to_string()),
        ("low", days.low.to_string()),
        ("approaching", format!("{} days before", days.soon)),
        ("still to be reckoned", body.due.waiting.to_string()),
    ];
    if let Some(then) = &body.preview {
        fields.push(("would move", format!("{} of {}, {} of them earlier", then.moved, then.items, then.earlier)));
        fields.push(("would be overdue", format!("{}, now {}", then.overdue, then.overdue_before)));
    }
    output::record(context.format, body, &fields)
}
