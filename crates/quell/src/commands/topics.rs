//! `quell topics`: queries of items that people keep an eye on.

use super::Context;
use crate::client::path;
use crate::failure::Failure;
use crate::output::{self, Column, Format};
use protocol::api::topics::{Topic, TopicBody, TopicChange, TopicsBody};

/// What can be done with topics.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the topics in their order
    List,
    /// Show a topic with its items, counted
    Show {
        /// Its key
        id: i64,
    },
    /// Make a topic
    Create(Set),
    /// Change a topic; what is absent stays
    Change {
        /// Its key
        id: i64,
        #[command(flatten)]
        set: Set,
    },
    /// Delete a topic; efforts that were made of it stay
    Delete {
        /// Its key
        id: i64,
    },
}

/// What is set of a topic.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// What it is about
    #[arg(long)]
    description: Option<String>,
    /// Which items, in the query language of items
    #[arg(long, value_name = "QUERY")]
    condition: Option<String>,
    /// Who watches it; an empty text for nobody
    #[arg(long)]
    owner: Option<String>,
    /// Which group watches it; an empty text for none
    #[arg(long)]
    group: Option<String>,
    /// Its order; the lowest is shown first
    #[arg(long)]
    position: Option<i64>,
    /// Whether it has numbers and efforts: true or false
    #[arg(long)]
    active: Option<bool>,
}

impl Set {
    fn change(self) -> TopicChange {
        let Set { name, description, condition, owner, group, position, active } = self;
        TopicChange { name, description, condition, owner, group, position, active }
    }
}

const COLUMNS: &[Column<Topic>] = &[
    ("ID", |topic| topic.id.to_string()),
    ("ORDER", |topic| topic.position.to_string()),
    ("NAME", |topic| topic.name.clone()),
    ("ACTIVE", |topic| topic.active.to_string()),
    ("OWNER", |topic| topic.owner.clone().or_else(|| topic.group.clone()).unwrap_or_default()),
    ("CONDITION", |topic| topic.condition.clone()),
];

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let (client, format) = (context.client()?, context.format);
    let at = |id: i64| path(&["topics", &id.to_string()]);
    match command {
        Command::List => {
            let body: TopicsBody = client.get(&path(&["topics"]), &[]).await?;
            output::list(format, &body.topics, COLUMNS)
        }
        Command::Show { id } => show(format, &client.get(&at(id), &[]).await?),
        Command::Create(set) => show(format, &client.post(&path(&["topics"]), &set.change()).await?),
        Command::Change { id, set } => show(format, &client.patch(&at(id), &set.change(), None).await?),
        Command::Delete { id } => client.delete(&at(id)).await,
    }
}

fn show(format: Format, body: &TopicBody) -> Result<(), Failure> {
    let mut fields: Vec<(&str, String)> = COLUMNS.iter().map(|(name, show)| (*name, show(&body.topic))).collect();
    fields.push(("DESCRIPTION", body.topic.description.clone()));
    if let Some(items) = &body.items {
        fields.push(("ITEMS", items.active.to_string()));
        fields.push(("CRITICAL", items.critical.to_string()));
        fields.push(("OVERDUE", items.overdue.to_string()));
        fields.push(("IN AN EFFORT", items.in_effort.to_string()));
    }
    output::record(format, body, &fields)
}
