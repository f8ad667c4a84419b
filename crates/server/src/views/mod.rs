//! Records as the API's bodies show them. The pages are filled from the same bodies, so both say the same.

pub mod agents;
pub mod approvals;
pub mod catalogue;
pub mod follow;
pub mod history;
pub mod jobs;
pub mod report;
pub mod runs;
pub mod scans;
pub mod selection;

use domain::number::{Number, Series};

/// A number as people see it.
#[must_use]
pub fn number(series: Series, ordinal: i64) -> String {
    Number { series, ordinal }.to_string()
}
