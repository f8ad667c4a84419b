//! On which assets, with which entries, a run of a whole job works.
//!
//! A job keeps its targets from the wizard on. One that is *standing* chooses them anew at each run where it chose its
//! assets by a query or by tags; where it was made from eliminations, or its assets were picked one by one, there is
//! nothing to choose by, and standing only means that what drifts is put back.

use crate::http::error::Error;
use domain::id::AssetId;
use domain::time::Timestamp;
use store::jobs::JobRow;
use store::{Transaction, tasks};

/// The targets for this run: asset and catalogue entry, each once.
///
/// # Errors
/// A failure of the store.
pub(super) fn of_run(tx: &mut Transaction<'_>, job: &JobRow, _now: Timestamp) -> Result<Vec<(AssetId, i64)>, Error> {
    Ok(tasks::pairs(tx, job.id)?)
}
