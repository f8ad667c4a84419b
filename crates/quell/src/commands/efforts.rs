//! `quell efforts`: frozen sets of items that are worked off together.

use super::Context;
use crate::client::{ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column, Format, note};
use protocol::api::efforts::{
    Effort, EffortBody, EffortChange, EffortHistoryBody, EffortTasks, EffortTasksBody, EffortsBody, MadeEffortBody,
    NewEffort,
};
use protocol::api::exposure::ItemHistoryLine;

/// What can be done with efforts.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List efforts; `-q "is:open"`, `-q "owner:me"`
    List(ListArguments),
    /// Show an effort
    Show {
        /// Its number, REF0000001
        number: String,
    },
    /// Make an effort of items that are active and in no other one
    Create {
        /// Its title
        #[arg(long)]
        title: String,
        /// Numbers of the items, VIT0000001
        #[arg(value_delimiter = ',', required_unless_present_any = ["matching", "topic"], conflicts_with_all = ["matching", "topic"])]
        items: Vec<String>,
        /// Instead: all items that match now, in the query language of items
        #[arg(long, value_name = "QUERY")]
        matching: Option<String>,
        /// Instead: all items of this watch topic
        #[arg(long, conflicts_with = "matching")]
        topic: Option<i64>,
        /// What is to be done, and why
        #[arg(long, default_value = "")]
        description: String,
        /// Who leads it
        #[arg(long)]
        owner: Option<String>,
        /// Which group works on it
        #[arg(long)]
        group: Option<String>,
        /// Only say what would be taken
        #[arg(long)]
        dry_run: bool,
    },
    /// Change an effort; what is not named stays as it is
    Change {
        /// Its number, REF0000001
        number: String,
        /// Its title
        #[arg(long)]
        title: Option<String>,
        /// What is to be done, and why
        #[arg(long)]
        description: Option<String>,
        /// Who leads it; an empty text for nobody
        #[arg(long)]
        owner: Option<String>,
        /// Which group works on it; an empty text for none
        #[arg(long)]
        group: Option<String>,
    },
    /// Make remediation tasks of its items that are not closed
    Tasks {
        /// Its number, REF0000001
        number: String,
        /// One task, or one for each group (and asset, vulnerability, band of score)
        #[arg(long, default_value = "group", value_parser = ["none", "group", "group_asset", "group_vulnerability", "group_band"])]
        group_by: String,
        /// What becomes of items that are in an open task already
        #[arg(long, default_value = "skip", value_parser = ["skip", "keep"])]
        existing: String,
    },
    /// End an effort; its active items may be taken into another one
    End {
        /// Its number, REF0000001
        number: String,
    },
    /// Show what was done with an effort
    History {
        /// Its number, REF0000001
        number: String,
    },
}

const COLUMNS: &[Column<Effort>] = &[
    ("NUMBER", |one| one.number.clone()),
    ("STATE", |one| one.state.clone()),
    ("TITLE", |one| one.title.clone()),
    ("ITEMS", |one| one.items.to_string()),
    ("CLOSED", |one| one.closed.to_string()),
    ("SCORE", |one| one.score.to_string()),
    ("OWNER", |one| one.owner.clone().or_else(|| one.group.clone()).unwrap_or_default()),
    ("CREATED", |one| one.created_at.to_string()),
];

const LINES: &[Column<ItemHistoryLine>] = &[
    ("AT", |line| line.at.to_string()),
    ("WHAT", |line| line.what.clone()),
    ("BEFORE", |line| line.before.clone()),
    ("AFTER", |line| line.after.clone()),
    ("CAUSE", |line| line.cause.clone()),
];

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let (client, format) = (context.client()?, context.format);
    match command {
        Command::List(list) => {
            let address = path(&["efforts"]);
            let rows = client.list(&address, &list, |body: EffortsBody| (body.efforts, body.next)).await?;
            output::list(format, &rows, COLUMNS)
        }
        Command::Show { number } => show(format, &client.get(&path(&["efforts", &number]), &[]).await?),
        Command::Create { title, items, matching, topic, description, owner, group, dry_run } => {
            let new = NewEffort { title, description, items, q: matching, topic, owner, group, dry_run };
            made(format, &client.post(&path(&["efforts"]), &new).await?)
        }
        Command::Change { number, title, description, owner, group } => {
            let change = EffortChange { title, description, owner, group };
            show(format, &client.patch(&path(&["efforts", &number]), &change, None).await?)
        }
        Command::Tasks { number, group_by, existing } => {
            let new = EffortTasks { group_by, existing: Some(existing) };
            let body: EffortTasksBody = client.post(&path(&["efforts", &number, "tasks"]), &new).await?;
            let fields = [
                ("TASKS", body.tasks.join(" ")),
                ("JOINED", body.joined.join(" ")),
                ("ITEMS", body.items.to_string()),
                ("LEFT OUT", body.skipped.to_string()),
            ];
            output::record(format, &body, &fields)
        }
        Command::End { number } => {
            let nothing = serde_json::Map::<String, serde_json::Value>::new();
            show(format, &client.post(&path(&["efforts", &number, "deactivate"]), &nothing).await?)
        }
        Command::History { number } => {
            let body: EffortHistoryBody = client.get(&path(&["efforts", &number, "history"]), &[]).await?;
            output::list(format, &body.history, LINES)
        }
    }
}

fn made(format: Format, body: &MadeEffortBody) -> Result<(), Failure> {
    for holder in &body.holders {
        note(&format!("{} items are left out: {} ({}) holds them", holder.items, holder.effort, holder.title));
    }
    let mut fields = vec![("TAKEN", body.taken.to_string()), ("HELD", body.held.to_string())];
    if let Some(effort) = &body.effort {
        fields.splice(0..0, [("NUMBER", effort.number.clone()), ("STATE", effort.state.clone())]);
    }
    output::record(format, body, &fields)
}

fn show(format: Format, body: &EffortBody) -> Result<(), Failure> {
    let one = &body.effort;
    let mut fields: Vec<(&str, String)> = COLUMNS.iter().map(|(name, show)| (*name, show(one))).collect();
    fields.push(("MITIGATED", one.mitigated.to_string()));
    fields.push(("DESCRIPTION", one.description.clone()));
    fields.push(("MADE OF", one.condition.clone()));
    fields.push(("ENDED", one.closed_at.map(|at| at.to_string()).unwrap_or_default()));
    for item in &body.items {
        fields.push(("ITEM", format!("{} {} on {}: {}", item.number, item.title, item.asset, item.state)));
    }
    output::record(format, body, &fields)
}
