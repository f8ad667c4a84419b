//! `quell scanners`: the products that detect.

use super::Context;
use crate::client::{ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column, note};
use protocol::api::integrations::{Scanner, ScannerBody, ScannerChange, ScannersBody};

/// What can be done with scanners.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List scanners
    List(ListArguments),
    /// Show a scanner
    Show {
        /// Its product: qualys
        product: String,
    },
    /// Activate a scanner: after the next import, rescans may be requested of it
    Activate {
        /// Its product: qualys
        product: String,
    },
    /// Deactivate a scanner: no rescans may be requested of it
    Deactivate {
        /// Its product: qualys
        product: String,
    },
}

const COLUMNS: &[Column<Scanner>] = &[
    ("PRODUCT", |scanner| scanner.product.clone()),
    ("NAME", |scanner| scanner.name.clone()),
    ("ACTIVE", |scanner| if scanner.active { "yes" } else { "no" }.to_owned()),
    ("INSTANCES", |scanner| scanner.instances.to_string()),
    ("SHOWN AS SOURCE", |scanner| scanner.stamped.to_string()),
];

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let scanner = match command {
        Command::List(list) => {
            let parts = |body: ScannersBody| (body.scanners, body.next);
            let scanners = client.list(&path(&["scanners"]), &list, parts).await?;
            return output::list(context.format, &scanners, COLUMNS);
        }
        Command::Show { product } => client.get::<ScannerBody>(&path(&["scanners", &product]), &[]).await?.scanner,
        Command::Activate { product } => {
            let change = ScannerChange { active: true };
            let ScannerBody { scanner } = client.patch(&path(&["scanners", &product]), &change, None).await?;
            if scanner.stamped < scanner.instances {
                note("rescans become available after the next import");
            }
            scanner
        }
        Command::Deactivate { product } => {
            let change = ScannerChange { active: false };
            client.patch::<ScannerBody>(&path(&["scanners", &product]), &change, None).await?.scanner
        }
    };
    let fields: Vec<_> = COLUMNS.iter().map(|(name, show)| (*name, show(&scanner))).collect();
    output::record(context.format, &scanner, &fields)
}
