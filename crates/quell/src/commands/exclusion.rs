//! `quell exclusion`: what nobody has to work on: rules over detections, and the settings beside them.

use super::{Context, instances};
use crate::client::{ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column};
use protocol::api::exclusion::{
    ExcludedDetection, ExcludedDetectionsBody, Exclusion, ExclusionAppliedBody, ExclusionApply, ExclusionBody,
    ExclusionChange, ExclusionRule, ExclusionRuleBody, ExclusionRuleChange, ExclusionRulesBody, ExclusionTriedBody,
    ExclusionTry, NewExclusionRule,
};

/// What can be done with what is excluded.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the rules, in order
    List,
    /// List the detections that a rule excludes
    Detections {
        /// Key of the rule; 0 for instances of which only confirmed weaknesses count
        id: i64,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Count what a condition is about, and change nothing
    Try {
        /// In the query language: qid:38628 and tag:lab
        condition: String,
    },
    /// Make a rule
    Add {
        /// Its name
        name: String,
        /// What it excludes, in the query language
        condition: String,
        /// Its place, from 1; the last where it is not given
        #[arg(long)]
        position: Option<i64>,
        /// Not in force for now
        #[arg(long)]
        off: bool,
        /// Also where it is about more than half of all open items
        #[arg(long)]
        all: bool,
    },
    /// Change a rule
    Edit {
        /// Its key
        id: i64,
        /// Its name
        #[arg(long)]
        name: Option<String>,
        /// What it excludes
        #[arg(long)]
        condition: Option<String>,
        /// Its place, from 1
        #[arg(long)]
        position: Option<i64>,
        /// Put it in force
        #[arg(long)]
        on: bool,
        /// Take it out of force
        #[arg(long, conflicts_with = "on")]
        off: bool,
        /// Also where it is about more than half of all open items
        #[arg(long)]
        all: bool,
    },
    /// Delete a rule; what it excluded is worked on again
    Delete {
        /// Its key
        id: i64,
    },
    /// Show what stands beside the rules, and how far the last change has come
    Show,
    /// Change what stands beside the rules
    Set {
        /// Items close where all that is open of them is excluded
        #[arg(long)]
        close_items: Option<bool>,
        /// Of this instance only confirmed weaknesses count
        #[arg(long, value_name = "INSTANCE")]
        confirmed_only: Vec<String>,
        /// Of this instance potential weaknesses count, too
        #[arg(long, value_name = "INSTANCE")]
        everything: Vec<String>,
        /// Also where more than half of all open items close
        #[arg(long)]
        all: bool,
    },
    /// Go through all that is known again, after tags or operating systems have changed
    Apply {
        /// Count what would change, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

const COLUMNS: &[Column<ExclusionRule>] = &[
    ("ID", |rule| rule.id.to_string()),
    ("ORDER", |rule| rule.position.to_string()),
    ("NAME", |rule| rule.name.clone()),
    ("EXCLUDES", |rule| rule.condition.clone()),
    ("STATE", |rule| if rule.active { "in force" } else { "off" }.to_owned()),
    ("DETECTIONS", |rule| rule.excluded.to_string()),
];

const FOUND: &[Column<ExcludedDetection>] = &[
    ("QID", |row| row.qid.to_string()),
    ("TITLE", |row| row.title.clone()),
    ("ASSET", |row| row.asset.clone()),
    ("PORT", |row| if row.port > 0 { row.port.to_string() } else { String::new() }),
    ("KIND", |row| row.kind.clone()),
    ("STATUS", |row| row.status.clone()),
    ("ITEM", |row| row.item.clone().unwrap_or_default()),
];

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let rule = |id: i64| path(&["exclusion-rules", &id.to_string()]);
    let shown: ExclusionRuleBody = match command {
        Command::List => {
            let found: ExclusionRulesBody = client.get(&path(&["exclusion-rules"]), &[]).await?;
            return output::list(context.format, &found.exclusion_rules, COLUMNS);
        }
        Command::Detections { id, list } => {
            let at = path(&["exclusion-rules", &id.to_string(), "detections"]);
            let parts = |body: ExcludedDetectionsBody| (body.detections, body.next);
            return output::list(context.format, &client.list(&at, &list, parts).await?, FOUND);
        }
        Command::Try { condition } => {
            let tried: ExclusionTriedBody =
                client.post(&path(&["exclusion", "try"]), &ExclusionTry { condition }).await?;
            let fields = [
                ("DETECTIONS", tried.detections.to_string()),
                ("OPEN", tried.open.to_string()),
                ("ITEMS WITH NOTHING ELSE OPEN", tried.items.to_string()),
                ("OPEN ITEMS", tried.items_open.to_string()),
            ];
            return output::record(context.format, &tried, &fields);
        }
        Command::Show => {
            let ExclusionBody { exclusion } = client.get(&path(&["exclusion"]), &[]).await?;
            return beside(context, &exclusion);
        }
        Command::Set { close_items, confirmed_only, everything, all } => {
            let at = path(&["exclusion"]);
            let mut change = ExclusionChange { close_items, confirmed_only: None, all };
            if !confirmed_only.is_empty() || !everything.is_empty() {
                let ExclusionBody { exclusion } = client.get(&at, &[]).await?;
                let mut keys = exclusion.confirmed_only;
                for name in &confirmed_only {
                    keys.push(instances::find(&client, name).await?.id);
                }
                for name in &everything {
                    let gone = instances::find(&client, name).await?.id;
                    keys.retain(|key| *key != gone);
                }
                change.confirmed_only = Some(keys);
            }
            let ExclusionBody { exclusion } = client.patch(&at, &change, None).await?;
            return beside(context, &exclusion);
        }
        Command::Apply { dry_run } => {
            let applied: ExclusionAppliedBody =
                client.post(&path(&["exclusion", "apply"]), &ExclusionApply { dry_run }).await?;
            let fields = [
                ("TO BE EXCLUDED", applied.excluded.to_string()),
                ("NOT ANY MORE", applied.included.to_string()),
                ("ITEMS WITH NOTHING ELSE OPEN", applied.items.to_string()),
                ("OPEN ITEMS", applied.items_open.to_string()),
                ("BEGUN", if applied.begun { "yes" } else { "no" }.to_owned()),
            ];
            return output::record(context.format, &applied, &fields);
        }
        Command::Delete { id } => return client.delete(&rule(id)).await,
        Command::Add { name, condition, position, off, all } => {
            let new = NewExclusionRule { name, condition, active: Some(!off), position, all };
            client.post(&path(&["exclusion-rules"]), &new).await?
        }
        Command::Edit { id, name, condition, position, on, off, all } => {
            let active = (on || off).then_some(on);
            client.patch(&rule(id), &ExclusionRuleChange { name, condition, active, position, all }, None).await?
        }
    };
    let rule = shown.exclusion_rule;
    let fields: Vec<_> = COLUMNS.iter().map(|(name, show)| (*name, show(&rule))).collect();
    output::record(context.format, &rule, &fields)
}

fn beside(context: &Context, exclusion: &Exclusion) -> Result<(), Failure> {
    let only: Vec<String> = exclusion.confirmed_only.iter().map(ToString::to_string).collect();
    let mut fields = vec![
        ("CLOSES ITEMS", if exclusion.close_items { "yes" } else { "no" }.to_owned()),
        ("CONFIRMED ONLY", only.join(" ")),
        ("EXCLUDED BY THAT", exclusion.excluded.to_string()),
    ];
    if let Some(pass) = &exclusion.pass {
        let did = format!("{} looked at, {} excluded, {} not any more", pass.looked, pass.excluded, pass.included);
        fields.push(("LAST CHANGE", format!("{}: {did}", pass.state)));
    }
    output::record(context.format, exclusion, &fields)
}
