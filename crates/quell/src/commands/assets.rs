//! `quell assets`: machines.

use super::Context;
use crate::client::{ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column};
use protocol::api::exposure::{Asset, AssetBody, AssetChange, AssetsBody};
use protocol::api::identity::{AssetMerge, HostMove, MatchingBody, MergeRecord, MergesBody, MovedBody};

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
    /// Join an asset into another one: they are one machine
    Merge {
        /// Key of the asset that goes
        id: i64,
        /// Key of the asset that is left
        into: i64,
        /// Count what it does, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// The digest of a dry run: refused where what it counted has changed since
        #[arg(long)]
        seen: Option<String>,
    },
    /// Give a host that was matched with the wrong asset to another one
    MoveHost {
        /// Key of the asset
        id: i64,
        /// Key of the source host, as `quell assets show` tells it
        host: i64,
        /// Key of the other asset; a new one is made without it
        #[arg(long)]
        into: Option<i64>,
        /// Count what it does, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// The digest of a dry run: refused where what it counted has changed since
        #[arg(long)]
        seen: Option<String>,
    },
    /// List the hosts that people gave to an asset
    Merges {
        /// Key of the asset
        id: i64,
    },
    /// Take back that hosts were given to an asset
    Undo {
        /// Key of the asset that they were given to
        id: i64,
        /// Key of the record
        merge: i64,
    },
    /// Show how hosts are matched with assets, or set it
    Matching {
        /// Rules in order, separated by commas: agent_uuid, which is always the first, asset_id, fqdn, netbios, dns, ip
        #[arg(long, value_delimiter = ',')]
        rules: Vec<String>,
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
    let of = |id: i64, rest: &[&str]| {
        let id = id.to_string();
        path(&[&["assets", id.as_str()], rest].concat())
    };
    let shown: AssetBody = match command {
        Command::Merge { id, into, dry_run, seen } => {
            let moved = client.post(&of(id, &["merge"]), &AssetMerge { into, dry_run, seen }).await?;
            return told(context, &moved);
        }
        Command::MoveHost { id, host, into, dry_run, seen } => {
            let at = of(id, &["hosts", &host.to_string(), "move"]);
            return told(context, &client.post(&at, &HostMove { into, dry_run, seen }).await?);
        }
        Command::Merges { id } => {
            let found: MergesBody = client.get(&of(id, &["merges"]), &[]).await?;
            return output::list(context.format, &found.merges, MERGES);
        }
        Command::Undo { id, merge } => {
            let at = of(id, &["merges", &merge.to_string(), "undo"]);
            let undone: MergeRecord = client.post(&at, &serde_json::json!({})).await?;
            let fields: Vec<_> = MERGES.iter().map(|(name, show)| (*name, show(&undone))).collect();
            return output::record(context.format, &undone, &fields);
        }
        Command::Matching { rules } => {
            let at = path(&["matching"]);
            let set: MatchingBody = match rules.is_empty() {
                true => client.get(&at, &[]).await?,
                false => client.put(&at, &MatchingBody { rules }).await?,
            };
            return output::record(context.format, &set, &[("RULES", set.rules.join(", "))]);
        }
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
        let (instance, host, by) = (&source.instance, &source.host, &source.matched_by);
        let seen = format!("{instance} as host {host} (key {}, matched by {by})", source.id);
        fields.push(("SEEN BY", seen));
    }
    for control in &shown.controls {
        fields.push(("MITIGATION", format!("{} {} ({})", control.entry, control.state, control.origin)));
    }
    output::record(context.format, &shown, &fields)
}

const MERGES: &[Column<MergeRecord>] = &[
    ("ID", |merge| merge.id.to_string()),
    ("FROM", |merge| format!("{} ({})", merge.from_name, merge.from)),
    ("BY", |merge| merge.by.clone()),
    ("AT", |merge| merge.at.to_string()),
    ("TAKEN BACK", |merge| merge.undone_at.map(|at| at.to_string()).unwrap_or_default()),
];

fn told(context: &Context, moved: &MovedBody) -> Result<(), Failure> {
    let fields = [
        ("HOSTS", moved.hosts.to_string()),
        ("DETECTIONS", moved.detections.to_string()),
        ("ITEMS THAT GO ALONG", moved.items_moved.to_string()),
        ("ITEMS THAT JOIN ANOTHER", moved.items_joined.to_string()),
        ("ITEMS OF WHICH A PART STAYS", moved.items_parted.to_string()),
        ("NEW TAGS", moved.tags.join(" ")),
        ("DIGEST", moved.digest.clone()),
        ("ASSET", moved.into.map(|id| id.to_string()).unwrap_or_default()),
        ("RECORD", moved.merge.map(|id| id.to_string()).unwrap_or_else(|| "dry run: nothing changed".to_owned())),
    ];
    output::record(context.format, moved, &fields)
}
