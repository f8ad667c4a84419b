//! `quell rules auto-close`: rules that close items which nothing reports any more.

use super::Context;
use crate::client::path;
use crate::failure::Failure;
use crate::output::{self, Column};
use protocol::api::auto_close::{
    AutoCloseChange, AutoCloseJudged, AutoCloseRule, AutoCloseRuleBody, AutoCloseRulesBody, AutoCloseRun,
    AutoCloseRunRequest,
};
use reqwest::Method;

/// What can be done with them.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List them, in the order in which they are gone through
    List,
    /// Show one and what it did the last time
    Show {
        /// Its key
        id: i64,
    },
    /// Make one; it is not active unless told so
    Add {
        #[command(flatten)]
        rule: Given,
    },
    /// Change one; what is absent stays
    Change {
        /// Its key
        id: i64,
        #[command(flatten)]
        rule: Given,
    },
    /// Go through one now; `--dry-run` says what it would do
    Run {
        /// Its key
        id: i64,
        /// Only say what it would do
        #[arg(long)]
        dry_run: bool,
        /// Also where that is more than may close within a day
        #[arg(long)]
        all: bool,
    },
    /// Delete one; what it closed stays closed
    Delete {
        /// Its key
        id: i64,
    },
}

/// What a rule is.
#[derive(Debug, clap::Args)]
pub struct Given {
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// `asset_last_scanned`, `detection_last_found` or `unseen_in_full`
    #[arg(long)]
    kind: Option<String>,
    /// Days without a sign, or full pulls in a row
    #[arg(long)]
    days: Option<i64>,
    /// Which items, in the query language; empty for all
    #[arg(long, value_name = "QUERY")]
    condition: Option<String>,
    /// Lower goes first
    #[arg(long)]
    position: Option<i64>,
    /// Whether deferred items are left alone: true or false
    #[arg(long)]
    ignore_deferred: Option<bool>,
    /// Whether it is gone through by itself: true or false
    #[arg(long)]
    active: Option<bool>,
}

impl Given {
    fn change(self) -> AutoCloseChange {
        let Given { name, kind, days, condition, position, ignore_deferred, active } = self;
        AutoCloseChange { name, active, position, kind, days, condition, ignore_deferred }
    }
}

const COLUMNS: &[Column<AutoCloseRule>] = &[
    ("ID", |rule| rule.id.to_string()),
    ("NAME", |rule| rule.name.clone()),
    ("ACTIVE", |rule| rule.active.to_string()),
    ("ORDER", |rule| rule.position.to_string()),
    ("CLOSES WHAT IS", |rule| rule.words.clone()),
    ("CONDITION", |rule| rule.condition.clone()),
    ("LAST RUN", |rule| rule.ran_at.map(|at| at.to_string()).unwrap_or_default()),
];

const JUDGED: &[Column<AutoCloseJudged>] = &[
    ("INSTANCE", |one| one.instance.clone()),
    ("OPEN ITEMS", |one| one.open.to_string()),
    ("WOULD CLOSE", |one| one.matched.to_string()),
    ("HELD", |one| one.reason.clone().unwrap_or_default()),
];

fn run_line(run: &AutoCloseRun) -> String {
    let held = run.reason.as_ref().map(|reason| format!("; {reason}")).unwrap_or_default();
    format!("{} at {} by {}: {} of {} closed{held}", run.instance, run.at, run.by, run.closed, run.matched)
}

fn shown(body: &AutoCloseRuleBody, context: &Context) -> Result<(), Failure> {
    let mut fields: Vec<_> = COLUMNS.iter().map(|(name, show)| (*name, show(&body.rule))).collect();
    fields.push(("DEFERRED ITEMS", if body.rule.ignore_deferred { "left alone" } else { "closed, too" }.to_owned()));
    fields.extend(body.rule.asked_by.iter().map(|by| ("BEGINS NOW", format!("asked by {by}"))));
    fields.extend(body.rule.runs.iter().map(|run| ("RUN", run_line(run))));
    output::record(context.format, body, &fields)
}

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let of = |id: i64| path(&["rules", "auto-close", &id.to_string()]);
    match command {
        Command::List => {
            let body: AutoCloseRulesBody = client.get(&path(&["rules", "auto-close"]), &[]).await?;
            output::list(context.format, &body.rules, COLUMNS)
        }
        Command::Show { id } => shown(&client.get(&of(id), &[]).await?, context),
        Command::Add { rule } => {
            let body: AutoCloseRuleBody = client.post(&path(&["rules", "auto-close"]), &rule.change()).await?;
            shown(&body, context)
        }
        Command::Change { id, rule } => {
            let before: AutoCloseRuleBody = client.get(&of(id), &[]).await?;
            let tag = format!("\"v{}\"", before.rule.version);
            let request = client.request(Method::PATCH, &of(id)).header("if-match", tag);
            let body: AutoCloseRuleBody = client.body(request.json(&rule.change())).await?;
            shown(&body, context)
        }
        Command::Run { id, dry_run, all } => {
            let place = path(&["rules", "auto-close", &id.to_string(), "run"]);
            let body: AutoCloseRuleBody = client.post(&place, &AutoCloseRunRequest { dry_run, all }).await?;
            match &body.dry_run {
                Some(judged) => output::list(context.format, judged, JUDGED),
                None => shown(&body, context),
            }
        }
        Command::Delete { id } => client.delete(&of(id)).await,
    }
}
