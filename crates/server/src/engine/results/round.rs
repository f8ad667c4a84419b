//! What came of a batch of events, not yet written.

use crate::http::error::Error;
use domain::id::{AssetId, TaskId};
use domain::task::Life;
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use store::controls::after::{self, Expiry};
use store::controls::{self, Report};
use store::tasks::TaskRow;
use store::tasks::many::{self, Change, NewEvent};
use store::{Transaction, eliminations, scores};

/// Everything that a few statements can write: of each asset one result at most.
#[derive(Debug, Default)]
pub struct Round {
    /// Events to be kept.
    pub events: Vec<NewEvent>,
    /// Controls as they were reported.
    pub controls: Vec<Report>,
    /// When controls expire.
    pub expiries: Vec<Expiry>,
    /// Verified fixes: asset, entry, cause.
    pub fixed: Vec<(AssetId, i64, String)>,
    changes: BTreeMap<TaskId, Change>,
    /// Assets whose scores are computed again, by cause.
    scores: BTreeMap<String, BTreeSet<AssetId>>,
    scored: BTreeSet<AssetId>,
}

impl Round {
    /// Whether a result on this asset is in it already.
    pub fn scores_asset(&self, asset: AssetId) -> bool {
        self.scored.contains(&asset)
    }

    /// A task's life moves on.
    pub fn change(&mut self, task: &TaskRow, life: Life) -> &mut Change {
        let change = self.changes.entry(task.id).or_insert_with(|| Change::of(task));
        change.life = life;
        change.started |= life.state == domain::task::State::Running;
        change
    }

    /// What people read of a task. An empty report leaves the one there is.
    pub fn result(&mut self, task: &TaskRow, life: Life, message: String, detail: Option<i64>, report: String) {
        let result = &mut self.change(task, life).result;
        let before = result.take().map(|(.., report)| report).filter(|_| report.is_empty());
        *result = Some((message, detail, before.unwrap_or(report)));
    }

    /// The scores of an asset's items are computed again.
    pub fn rescore(&mut self, asset: AssetId, cause: String) {
        self.scored.insert(asset);
        self.scores.entry(cause).or_default().insert(asset);
    }

    /// Write it all; what follows begins anew.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn write(&mut self, tx: &mut Transaction<'_>, now: Timestamp) -> Result<(), Error> {
        let round = std::mem::take(self);
        many::keep_events(tx, &round.events, now)?;
        many::save(tx, &round.changes.into_values().collect::<Vec<_>>(), now)?;
        controls::report(tx, &round.controls, now)?;
        after::set_expiry(tx, &round.expiries)?;
        for (cause, assets) in round.scores {
            let items = scores::items_of_assets(tx, &assets.into_iter().collect::<Vec<_>>())?;
            scores::recompute(tx, &items, &cause, now)?;
        }
        for (asset, entry, cause) in round.fixed {
            fixed(tx, asset, entry, &cause, now)?;
        }
        Ok(())
    }
}

/// A verified fix resolves the items it covers; a scan has to confirm it (design, section 5).
fn fixed(tx: &mut Transaction<'_>, asset: AssetId, entry: i64, cause: &str, now: Timestamp) -> Result<(), Error> {
    for (item, before) in eliminations::items_fixed_by(tx, asset, entry)? {
        let after = domain::item::fix_verified(before, now);
        if after != before {
            eliminations::save_workflow(tx, item, before, after, cause, now)?;
        }
    }
    Ok(())
}
