//! `quell rules tasks`: which items of an import are put into remediation tasks.

use super::Context;
use crate::client::path;
use crate::failure::Failure;
use crate::output::{self, Column, Format, note};
use protocol::api::tasks::{
    NewTaskRule, TaskRule, TaskRuleAppliedBody, TaskRuleBody, TaskRuleMode, TaskRuleTrialBody, TaskRulesBody,
};

/// What can be done with task rules.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the rules in order
    List,
    /// Make a rule
    Create(#[command(flatten)] Rule),
    /// Replace a rule
    Set {
        /// Its key
        id: i64,
        #[command(flatten)]
        rule: Rule,
    },
    /// Show what a rule would make of the open items, without making it
    Try(#[command(flatten)] Rule),
    /// Apply a rule to all open items: its open tasks that nobody has done anything with are made anew
    Apply {
        /// Its key
        id: i64,
    },
    /// Delete a rule
    Delete {
        /// Its key
        id: i64,
        /// With its open tasks that nobody has done anything with
        #[arg(long)]
        tasks: bool,
    },
    /// Say whether only the first rule that matches an item takes it, or every one
    Mode {
        /// first or all
        #[arg(value_parser = ["first", "all"])]
        mode: String,
    },
}

/// A rule.
#[derive(Debug, clap::Args)]
pub struct Rule {
    /// Its name
    name: String,
    /// Which items, in their query language; all where it is left out
    #[arg(long, default_value = "", value_name = "QUERY")]
    condition: String,
    /// What they are grouped by, at most six: asset, vulnerability, category, severity, band, group, assignee, platform, network,
    /// instance, tag:PREFIX
    #[arg(long, value_delimiter = ',')]
    group_by: Vec<String>,
    /// Who gets the tasks: item (the items' group), fixed (--group, --to), or a field whose value names a group
    #[arg(long, default_value = "item")]
    assign: String,
    /// Name of the group that gets them
    #[arg(long)]
    group: Option<String>,
    /// Sign-in name of who gets them
    #[arg(long)]
    to: Option<String>,
    /// What its tasks are called, before what their items share
    #[arg(long, default_value = "")]
    title: String,
    /// Lower ones first
    #[arg(long, default_value_t = 100)]
    position: i64,
    /// Keep it, but do not apply it to imports
    #[arg(long)]
    off: bool,
}

impl Rule {
    fn body(self) -> NewTaskRule {
        NewTaskRule {
            name: self.name,
            active: !self.off,
            position: self.position,
            condition: self.condition,
            group_by: self.group_by,
            assign: self.assign,
            group: self.group,
            assignee: self.to,
            title: self.title,
        }
    }
}

const COLUMNS: &[Column<TaskRule>] = &[
    ("ID", |rule| rule.id.to_string()),
    ("POSITION", |rule| rule.position.to_string()),
    ("NAME", |rule| rule.name.clone()),
    ("ACTIVE", |rule| rule.active.to_string()),
    ("CONDITION", |rule| rule.condition.clone()),
    ("GROUPED BY", |rule| rule.group_by.join(", ")),
    ("TASKS TO", |rule| {
        let fixed: Vec<String> = [&rule.assignee, &rule.group].into_iter().flatten().cloned().collect();
        if fixed.is_empty() { rule.assign.clone() } else { fixed.join(", ") }
    }),
    ("OPEN TASKS", |rule| rule.open_tasks.to_string()),
    ("STOPPED IN", |rule| rule.stopped_in.clone().unwrap_or_default()),
];

fn show(format: Format, body: &TaskRuleBody) -> Result<(), Failure> {
    let fields: Vec<(&str, String)> = COLUMNS.iter().map(|(name, show)| (*name, show(&body.rule))).collect();
    output::record(format, body, &fields)
}

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let (client, format) = (context.client()?, context.format);
    let at = |id: i64| path(&["rules", "tasks", &id.to_string()]);
    match command {
        Command::List => {
            let body: TaskRulesBody = client.get(&path(&["rules", "tasks"]), &[]).await?;
            if body.first_only {
                note("only the first rule that matches an item takes it");
            }
            output::list(format, &body.rules, COLUMNS)
        }
        Command::Create(rule) => show(format, &client.post(&path(&["rules", "tasks"]), &rule.body()).await?),
        Command::Set { id, rule } => show(format, &client.put(&at(id), &rule.body()).await?),
        Command::Try(rule) => {
            let tried: TaskRuleTrialBody = client.post(&path(&["rules", "tasks", "try"]), &rule.body()).await?;
            let mut fields = vec![("ITEMS", tried.items.to_string()), ("TASKS", tried.tasks.to_string())];
            fields.extend(tried.first.iter().map(|task| ("TASK", format!("{}: {} items", task.title, task.items))));
            output::record(format, &tried, &fields)
        }
        Command::Apply { id } => {
            let nothing = serde_json::Map::<String, serde_json::Value>::new();
            let done: TaskRuleAppliedBody = client.post(&format!("{}/apply", at(id)), &nothing).await?;
            let fields = [
                ("DELETED", done.deleted.to_string()),
                ("KEPT", done.kept.to_string()),
                ("ITEMS", done.items.to_string()),
                ("OPEN TASKS", done.tasks.to_string()),
            ];
            output::record(format, &done, &fields)
        }
        Command::Delete { id, tasks } => {
            let place = if tasks { format!("{}?tasks=true", at(id)) } else { at(id) };
            client.delete(&place).await?;
            note(&format!("deleted the rule {id}"));
            Ok(())
        }
        Command::Mode { mode } => {
            let mode = TaskRuleMode { first_only: mode == "first" };
            let mode: TaskRuleMode = client.put(&path(&["rules", "tasks", "mode"]), &mode).await?;
            output::record(format, &mode, &[("FIRST ONLY", mode.first_only.to_string())])
        }
    }
}
