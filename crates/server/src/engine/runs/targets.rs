//! On which assets, with which entries, a run of a whole job works.
//!
//! A job keeps its targets from the wizard on. One that is *standing* and free-standing chooses them anew at each run, by
//! its query, its tags and its list, inside the scopes that its owner and whoever chose last have then (R19). Where it was
//! made from eliminations there is nothing to choose by, and standing only means that what drifts is put back.

use crate::engine::selection;
use crate::http::error::Error;
use domain::id::AssetId;
use domain::time::Timestamp;
use store::jobs::JobRow;
use store::{Transaction, tasks};

/// The targets for this run: asset and catalogue entry, each once.
///
/// # Errors
/// A failure of the store.
pub(super) fn of_run(tx: &mut Transaction<'_>, job: &JobRow, now: Timestamp) -> Result<Vec<(AssetId, i64)>, Error> {
    if job.standing {
        selection::again(tx, job, now)?;
    }
    Ok(tasks::pairs(tx, job.id)?)
}
