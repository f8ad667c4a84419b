//! `quell appliances`: which scanner appliance serves which addresses.

use super::Context;
use crate::client::{ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column, note};
use protocol::api::integrations::{Appliance, ApplianceBody, ApplianceChange, AppliancesBody, NewAppliance, PlaceBody};

/// What can be done with scanner appliances.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List appliances
    List(ListArguments),
    /// Show an appliance
    Show {
        /// Its key
        id: i64,
    },
    /// Add a row by hand, for addresses that no asset group gives an appliance
    Create {
        /// Key of the integration instance
        #[arg(long)]
        instance: i64,
        /// The scanner's key of the appliance, or External
        #[arg(long)]
        key: String,
        #[command(flatten)]
        set: Set,
    },
    /// Change an appliance
    Change {
        /// Its key
        id: i64,
        /// The scanner's key of the appliance; of a row made by hand
        #[arg(long)]
        key: Option<String>,
        /// Whether it is chosen by address
        #[arg(long)]
        active: Option<bool>,
        #[command(flatten)]
        set: Set,
    },
    /// Delete a row made by hand
    Delete {
        /// Its key
        id: i64,
    },
    /// Say which appliance an address is scanned from, and why
    Try {
        /// Key of the integration instance
        instance: i64,
        /// The address
        address: String,
        /// The scanner's network
        #[arg(long, default_value = "")]
        network: String,
    },
}

/// What is set; the rest stays.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Name; of a row made by hand
    #[arg(long)]
    name: Option<String>,
    /// Addresses and ranges such as 10.1.0.0-10.1.0.255, separated by commas; of a row made by hand
    #[arg(long, value_delimiter = ',')]
    addresses: Option<Vec<String>>,
    /// The scanner's network; of a row made by hand
    #[arg(long)]
    network: Option<String>,
    /// A query over assets whose addresses it serves, too; empty for none
    #[arg(long)]
    condition: Option<String>,
    /// Key or title of its option profile; empty for the instance's
    #[arg(long)]
    profile: Option<String>,
    /// Lower wins where several serve an address
    #[arg(long)]
    order: Option<i64>,
}

const COLUMNS: &[Column<Appliance>] = &[
    ("ID", |row| row.id.to_string()),
    ("INSTANCE", |row| row.instance.clone()),
    ("KEY", |row| row.key.clone()),
    ("NAME", |row| row.name.clone()),
    ("STATUS", |row| row.status.clone()),
    ("ORDER", |row| row.precedence.to_string()),
    ("GROUP", |row| row.group.clone()),
    ("ADDRESSES", |row| {
        let range = |(low, high): &(String, String)| if low == high { low.clone() } else { format!("{low}-{high}") };
        row.addresses.iter().map(range).collect::<Vec<_>>().join(" ")
    }),
    ("NETWORK", |row| row.network_id.clone()),
    ("CONDITION", |row| row.condition.clone()),
    ("PROFILE", |row| row.profile.clone().unwrap_or_default()),
    ("ACTIVE", |row| if row.active { "yes" } else { "no" }.to_owned()),
    ("BY HAND", |row| if row.manual { "yes" } else { "" }.to_owned()),
];

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let at = |id: i64| path(&["appliances", &id.to_string()]);
    let ApplianceBody { appliance } = match command {
        Command::List(list) => {
            let parts = |body: AppliancesBody| (body.appliances, body.next);
            let rows = client.list(&path(&["appliances"]), &list, parts).await?;
            return output::list(context.format, &rows, COLUMNS);
        }
        Command::Show { id } => client.get(&at(id), &[]).await?,
        Command::Create { instance, key, set } => {
            let new = NewAppliance {
                instance_id: instance,
                key,
                name: set.name.unwrap_or_default(),
                addresses: set.addresses.unwrap_or_default(),
                network_id: set.network.unwrap_or_default(),
                condition: set.condition.unwrap_or_default(),
                profile: set.profile,
                precedence: set.order,
            };
            client.post(&path(&["appliances"]), &new).await?
        }
        Command::Change { id, key, active, set } => {
            let change = ApplianceChange {
                key,
                name: set.name,
                addresses: set.addresses,
                network_id: set.network,
                condition: set.condition,
                profile: set.profile,
                precedence: set.order,
                active,
            };
            client.patch(&at(id), &change, None).await?
        }
        Command::Delete { id } => {
            client.delete(&at(id)).await?;
            note("the row is deleted");
            return Ok(());
        }
        Command::Try { instance, address, network } => {
            let query = [("address", address), ("network", network)];
            let PlaceBody { place } = client.get(&path(&["instances", &instance.to_string(), "place"]), &query).await?;
            let fields = [
                ("APPLIANCE", place.appliance.clone()),
                ("WHY", place.why.clone()),
                ("PROFILE", place.profile.clone().unwrap_or_default()),
                ("IN WORDS", place.sentence.clone()),
            ];
            return output::record(context.format, &place, &fields);
        }
    };
    let fields: Vec<_> = COLUMNS.iter().map(|(name, show)| (*name, show(&appliance))).collect();
    output::record(context.format, &appliance, &fields)
}
