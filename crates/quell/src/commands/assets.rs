//! `quell assets`: machines.

use super::Context;
use crate::client::{ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column};
use protocol::api::exposure::{Asset, AssetBody, AssetChange, AssetsBody};

/// What can be done with assets.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List assets
    List(ListArguments),
    /// Show an asset, what scanners call it, and the mitigations on it
    Show {
        /// Its key
        id: i64,
    },
    /// Change what people say of an asset
    Edit {
        /// Its key
        id: i64,
        /// 1 to 5; 0 for what its tags say
        #[arg(long)]
        criticality: Option<u8>,
        /// Tag; give all of people's tags, those of scanners stay as they are
        #[arg(long = "tag", value_name = "TAG", value_delimiter = ',')]
        tags: Vec<String>,
        /// Take all of people's tags away
        #[arg(long, conflicts_with = "tags")]
        no_tags: bool,
    },
}

const COLUMNS: &[Column<Asset>] = &[
    ("ID", |asset| asset.id.to_string()),
    ("NAME", |asset| asset.name.clone()),
    ("IP", |asset| asset.ip.clone()),
    ("OS", |asset| asset.os.clone()),
    ("TAGS", |asset| asset.tags.join(" ")),
    ("AGENT", |asset| if asset.agent { "yes" } else { "no" }.to_owned()),
    ("OPEN", |asset| asset.open_items.to_string()),
    ("MITIGATED", |asset| asset.mitigated_items.to_string()),
    ("SCORE", |asset| asset.residual.map(|score| score.to_string()).unwrap_or_default()),
];

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let shown: AssetBody = match command {
        Command::List(list) => {
            let assets = client.list(&path(&["assets"]), &list, |body: AssetsBody| (body.assets, body.next)).await?;
            return output::list(context.format, &assets, COLUMNS);
        }
        Command::Show { id } => client.get(&path(&["assets", &id.to_string()]), &[]).await?,
        Command::Edit { id, criticality, tags, no_tags } => {
            let tags = (no_tags || !tags.is_empty()).then_some(tags);
            client.patch(&path(&["assets", &id.to_string()]), &AssetChange { criticality, tags }, None).await?
        }
    };
    let mut fields: Vec<_> = COLUMNS.iter().map(|(name, show)| (*name, show(&shown.asset))).collect();
    for source in &shown.sources {
        let seen = format!("{} as host {} (matched by {})", source.instance, source.host, source.matched_by);
        fields.push(("SEEN BY", seen));
    }
    for control in &shown.controls {
        fields.push(("MITIGATION", format!("{} {} ({})", control.entry, control.state, control.origin)));
    }
    output::record(context.format, &shown, &fields)
}
