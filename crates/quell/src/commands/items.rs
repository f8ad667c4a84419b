//! `quell items`: vulnerable items, the thing people work on.

use super::Context;
use crate::client::{ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column};
use protocol::api::exposure::{
    Assignment, Item, ItemBody, ItemChanges, ItemHistoryBody, ItemHistoryLine, ItemWhyBody, ItemsBody,
    ItemsChangedBody, ScoreBody, ScoreUnit, StateChange,
};

/// What can be done with items.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List items; `-q "is:open assignee:me"`
    List(ListArguments),
    /// Show an item with its detections
    Show {
        /// Its number, VIT0000001
        number: String,
    },
    /// Show what stands behind its score
    Score {
        /// Its number, VIT0000001
        number: String,
    },
    /// Show what happened to it
    History {
        /// Its number, VIT0000001
        number: String,
    },
    /// Show why it is in its state, and what would change it
    Why {
        /// Its number, VIT0000001
        number: String,
    },
    /// Give it to a person, a group, both or nobody
    Assign {
        /// Its number, VIT0000001
        number: String,
        /// Sign-in name
        #[arg(long)]
        to: Option<String>,
        /// Name of a group
        #[arg(long)]
        group: Option<String>,
    },
    /// Change several: their state, or whom they are given to
    Change {
        /// Numbers of the items, VIT0000001
        #[arg(value_delimiter = ',', required_unless_present = "matching", conflicts_with = "matching")]
        items: Vec<String>,
        /// Instead: all items that match now, in the query language
        #[arg(long, value_name = "QUERY")]
        matching: Option<String>,
        /// open, under_investigation, awaiting_implementation or resolved
        #[arg(long, required_unless_present_any = ["to", "group"], conflicts_with_all = ["to", "group"])]
        state: Option<String>,
        /// Sign-in name
        #[arg(long)]
        to: Option<String>,
        /// Name of a group
        #[arg(long)]
        group: Option<String>,
    },
    /// Change its state
    State {
        /// Its number, VIT0000001
        number: String,
        /// open, under_investigation, awaiting_implementation or resolved
        state: String,
    },
}

const COLUMNS: &[Column<Item>] = &[
    ("NUMBER", |item| item.number.clone()),
    ("QID", |item| item.qid.to_string()),
    ("TITLE", |item| item.title.clone()),
    ("ASSET", |item| item.asset.clone()),
    (
        "STATE",
        |item| {
            if item.substate.is_empty() { item.state.clone() } else { format!("{}/{}", item.state, item.substate) }
        },
    ),
    ("STATUS", |item| item.status.clone()),
    ("LAST JOB", |item| item.last_job.clone().unwrap_or_default()),
    ("SCORE", |item| {
        if item.residual == item.inherent {
            item.residual.to_string()
        } else {
            format!("{} (was {})", item.residual, item.inherent)
        }
    }),
    ("DUE", |item| item.due_at.map(|due| due.to_string()).unwrap_or_default()),
    ("TARGET", |item| item.target.clone()),
    ("SOURCE", |item| item.source.clone().unwrap_or_default()),
    ("ASSIGNED TO", |item| [&item.assignee, &item.group].into_iter().flatten().cloned().collect::<Vec<_>>().join(", ")),
];

const HISTORY: &[Column<ItemHistoryLine>] = &[
    ("AT", |line| line.at.to_string()),
    ("WHAT", |line| line.what.clone()),
    ("BEFORE", |line| line.before.clone()),
    ("AFTER", |line| line.after.clone()),
    ("CAUSE", |line| line.cause.clone()),
];

fn unit(unit: &ScoreUnit) -> (&'static str, String) {
    let name = unit.cve.clone().unwrap_or_else(|| "whole vulnerability".to_owned());
    let by = unit.entry.as_ref().map(|entry| format!(" by {entry}")).unwrap_or_default();
    let mitigated = if unit.mitigated { ", mitigated" } else { "" };
    let line = format!("{name}: {} - {}{by} = {}{mitigated}", unit.inherent, unit.points, unit.residual);
    ("unit", line)
}

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let shown: ItemBody = match command {
        Command::List(list) => {
            let items = client.list(&path(&["items"]), &list, |body: ItemsBody| (body.items, body.next)).await?;
            return output::list(context.format, &items, COLUMNS);
        }
        Command::Score { number } => {
            let ScoreBody { score } = client.get(&path(&["items", &number, "score"]), &[]).await?;
            let mut fields = vec![
                ("before mitigation", score.inherent.to_string()),
                ("now", score.residual.to_string()),
                ("source", score.source.clone()),
                ("mitigation", score.mitigation.clone()),
                ("rule", score.formula.clone()),
            ];
            fields.extend(score.units.iter().map(unit));
            let control = |one: &protocol::api::exposure::ScoreControl| {
                format!(
                    "{} ({}): {} points, {} coverage, {}",
                    one.title, one.entry, one.points, one.coverage, one.state
                )
            };
            fields.extend(score.controls.iter().map(|one| ("control", control(one))));
            return output::record(context.format, &score, &fields);
        }
        Command::History { number } => {
            let ItemHistoryBody { history } = client.get(&path(&["items", &number, "history"]), &[]).await?;
            return output::list(context.format, &history, HISTORY);
        }
        Command::Why { number } => {
            let body: ItemWhyBody = client.get(&path(&["items", &number, "why"]), &[]).await?;
            let mut fields = vec![("STATE", body.state.clone())];
            fields.extend(body.why.iter().map(|why| ("WHY", why.clone())));
            return output::record(context.format, &body, &fields);
        }
        Command::Change { items, matching, state, to, group } => {
            let assignment = state.is_none().then_some(Assignment { assignee: to, group });
            let wanted = ItemChanges { items, q: matching, state, assignment };
            let done: ItemsChangedBody = client.post(&path(&["items", "changes"]), &wanted).await?;
            let mut fields = vec![("CHANGED", done.changed.to_string()), ("ALREADY SO", done.unchanged.to_string())];
            fields.extend(done.refused.iter().map(|one| ("REFUSED", format!("{}: {}", one.count, one.reason))));
            return output::record(context.format, &done, &fields);
        }
        Command::Show { number } => client.get(&path(&["items", &number]), &[]).await?,
        Command::Assign { number, to, group } => {
            client.post(&path(&["items", &number, "assignment"]), &Assignment { assignee: to, group }).await?
        }
        Command::State { number, state } => {
            client.post(&path(&["items", &number, "state"]), &StateChange { state }).await?
        }
    };
    let mut fields: Vec<_> = COLUMNS.iter().map(|(name, show)| (*name, show(&shown.item))).collect();
    fields.extend(shown.item.deferred_until.map(|until| ("DEFERRED UNTIL", until.to_string())));
    fields.push(("CVES", shown.cves.join(" ")));
    for said in &shown.no_sound_mitigation {
        fields.push(("NOTHING SOUND", format!("{} {}", said.sentence, said.url)));
    }
    for row in &shown.detections {
        let port = row.port.map(|port| format!(" {}/{port}", row.protocol)).unwrap_or_default();
        fields.push(("DETECTION", format!("host {}{port}: {}, score {}", row.host, row.status, row.inherent)));
    }
    output::record(context.format, &shown, &fields)
}
