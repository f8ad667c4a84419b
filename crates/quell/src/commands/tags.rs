//! `quell tags`: tags of assets, which stands below which, how much they matter.

use super::Context;
use crate::client::path;
use crate::failure::Failure;
use crate::output::{self, Column};
use protocol::api::tags::{Tag, TagBody, TagChange, TagsBody};

/// What can be done with tags.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List tags
    List,
    /// Put a tag below another, or say how much it matters
    Edit {
        /// The tag
        name: String,
        /// The tag it stands below; a job that chooses that one chooses this one, too
        #[arg(long, value_name = "TAG")]
        parent: Option<String>,
        /// Put it at the top
        #[arg(long, conflicts_with = "parent")]
        top: bool,
        /// How much assets that carry it matter, 1 to 5; 0 says nothing
        #[arg(long)]
        criticality: Option<u8>,
    },
}

const COLUMNS: &[Column<Tag>] = &[
    ("TAG", |tag| tag.name.clone()),
    ("BELOW", |tag| tag.parent.clone().unwrap_or_default()),
    ("CRITICALITY", |tag| tag.criticality.map(|criticality| criticality.to_string()).unwrap_or_default()),
    ("ASSETS", |tag| tag.assets.to_string()),
];

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::List => {
            let found: TagsBody = client.get(&path(&["tags"]), &[]).await?;
            output::list(context.format, &found.tags, COLUMNS)
        }
        Command::Edit { name, parent, top, criticality } => {
            let parent = if top { Some(String::new()) } else { parent };
            let change = TagChange { parent, criticality };
            let TagBody { tag } = client.patch(&path(&["tags", &name]), &change, None).await?;
            let fields: Vec<_> = COLUMNS.iter().map(|(name, show)| (*name, show(&tag))).collect();
            output::record(context.format, &tag, &fields)
        }
    }
}
