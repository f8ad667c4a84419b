//! Records as the API's bodies show them. The pages are filled from the same bodies, so both say the same.

pub mod agents;
pub mod jobs;
pub mod scans;

use domain::access::AssetScope;
use domain::number::{Number, Series};

/// A number as people see it.
#[must_use]
pub fn number(series: Series, ordinal: i64) -> String {
    Number { series, ordinal }.to_string()
}

/// The tags that a list is kept to; `None` for an actor who sees every asset.
#[must_use]
pub fn tags(scope: &AssetScope) -> Option<Vec<String>> {
    match scope {
        AssetScope::All => None,
        AssetScope::Tags(tags) => Some(tags.iter().cloned().collect()),
    }
}
