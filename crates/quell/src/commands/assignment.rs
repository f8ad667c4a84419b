//! `quell rules assignment`: rules that give new and reopened items to somebody.

use super::Context;
use crate::client::path;
use crate::failure::Failure;
use crate::output::{self, Column, Format};
use protocol::api::assignment::{
    AssignAgain, AssignedAgainBody, AssignedByRule, AssignmentRule, AssignmentRuleBody, AssignmentRuleChange,
    AssignmentRulesBody,
};

/// What can be done with these rules.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the rules in the order in which they are asked
    List,
    /// Show a rule and how many items it matches now
    Show {
        /// Its key
        id: i64,
    },
    /// Make a rule
    Create(Set),
    /// Change a rule; what is absent stays
    Change {
        /// Its key
        id: i64,
        #[command(flatten)]
        set: Set,
    },
    /// Delete a rule; what it assigned stays as it is
    Delete {
        /// Its key
        id: i64,
    },
    /// Ask the rules again about all items that are not closed and that no person assigned
    Apply {
        /// Only say what it would do
        #[arg(long)]
        dry_run: bool,
    },
}

/// What is set of a rule.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// Whether it is asked: true or false
    #[arg(long)]
    active: Option<bool>,
    /// Its order; the lowest is asked first
    #[arg(long)]
    position: Option<i64>,
    /// Which items, in the query language of items; an empty text for all
    #[arg(long, value_name = "QUERY")]
    condition: Option<String>,
    /// To whom
    #[arg(long, value_parser = ["group", "user", "tag", "previous"])]
    kind: Option<String>,
    /// For the kind group
    #[arg(long)]
    group: Option<String>,
    /// For the kind user
    #[arg(long)]
    user: Option<String>,
    /// For the kind tag: what the tag begins with, owner: for one
    #[arg(long)]
    tag_prefix: Option<String>,
}

impl Set {
    fn change(self) -> AssignmentRuleChange {
        let Set { name, active, position, condition, kind, group, user, tag_prefix } = self;
        AssignmentRuleChange { name, active, position, condition, kind, group, user, tag_prefix }
    }
}

const COLUMNS: &[Column<AssignmentRule>] = &[
    ("ID", |rule| rule.id.to_string()),
    ("ORDER", |rule| rule.position.to_string()),
    ("NAME", |rule| rule.name.clone()),
    ("ACTIVE", |rule| rule.active.to_string()),
    ("KIND", |rule| rule.kind.clone()),
    ("TO", |rule| {
        rule.group.clone().or_else(|| rule.user.clone()).or_else(|| rule.tag_prefix.clone()).unwrap_or_default()
    }),
    ("ITEMS", |rule| rule.items.to_string()),
    ("CONDITION", |rule| rule.condition.clone()),
];

const DONE: &[Column<AssignedByRule>] = &[
    ("ID", |rule| rule.id.to_string()),
    ("NAME", |rule| rule.name.clone()),
    ("CHANGED", |rule| rule.changed.to_string()),
    ("SKIPPED", |rule| rule.skipped.to_string()),
];

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let (client, format) = (context.client()?, context.format);
    let at = |id: i64| path(&["rules", "assignment", &id.to_string()]);
    match command {
        Command::List => {
            let body: AssignmentRulesBody = client.get(&path(&["rules", "assignment"]), &[]).await?;
            output::list(format, &body.rules, COLUMNS)
        }
        Command::Show { id } => show(format, &client.get(&at(id), &[]).await?),
        Command::Create(set) => show(format, &client.post(&path(&["rules", "assignment"]), &set.change()).await?),
        Command::Change { id, set } => show(format, &client.patch(&at(id), &set.change(), None).await?),
        Command::Delete { id } => client.delete(&at(id)).await,
        Command::Apply { dry_run } => {
            let place = path(&["rules", "assignment", "apply"]);
            let body: AssignedAgainBody = client.post(&place, &AssignAgain { dry_run }).await?;
            if format == Format::Json {
                return output::json(&body);
            }
            output::note(&format!("{} of {} items get another assignment", body.changed, body.looked));
            output::list(format, &body.rules, DONE)
        }
    }
}

fn show(format: Format, body: &AssignmentRuleBody) -> Result<(), Failure> {
    let mut fields: Vec<(&str, String)> = COLUMNS.iter().map(|(name, show)| (*name, show(&body.rule))).collect();
    fields.push(("MATCHING", body.matching.to_string()));
    output::record(format, body, &fields)
}
