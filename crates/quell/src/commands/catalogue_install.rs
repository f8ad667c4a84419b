//! `quell catalogue install`: hand a signed folder to the server, which verifies it again before it takes it into force.

use super::Context;
use crate::client::path;
use crate::failure::Failure;
use crate::output::record;
use catalogue::bundle::Bundle;
use protocol::api::response::{CatalogueInstalled, CatalogueParcel};
use std::path::Path;

/// Install the folder that `sign` wrote.
///
/// # Errors
/// Where the folder cannot be read, or the server refuses it.
pub async fn run(folder: &Path, context: &Context) -> Result<(), Failure> {
    let bundle = Bundle::read_from(folder).map_err(|error| Failure::Failed(Box::new(error)))?;
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .map_err(|error| Failure::internal("the catalogue folder holds something that is no text", error))
    };
    let parcel = CatalogueParcel {
        roots: bundle.roots.into_iter().map(text).collect::<Result<_, _>>()?,
        index: text(bundle.index)?,
        entries: bundle.entries.into_values().map(text).collect::<Result<_, _>>()?,
    };
    let installed: CatalogueInstalled = context.client()?.post(&path(&["catalogue"]), &parcel).await?;
    let rejected = installed.rejected.iter().map(|entry| format!("{}: {}", entry.entry, entry.reason));
    let fields = [
        ("index version", installed.version.to_string()),
        ("entries", installed.entries.to_string()),
        ("set aside", rejected.collect::<Vec<_>>().join("; ")),
    ];
    record(context.format, &installed, &fields)
}
