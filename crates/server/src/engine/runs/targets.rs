//! On which assets, with which entries, a run of a whole job works.
//!
//! A job keeps its targets from the wizard on. One that is *standing* and free-standing chooses them anew at each run, by
//! its query, its tags and its list, inside the scopes that its owner and whoever chose last have then (R19). Where it was
//! made from eliminations there is nothing to choose by, and standing only means that what drifts is put back.

use crate::engine::catalogue::systems;
use crate::engine::{agents as heard, selection};
use crate::http::error::Error;
use ::catalogue::applies::{OsCondition, OsRelease, fitting};
use domain::id::{AssetId, VulnerabilityId};
use domain::job::{Kind, Target};
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use store::jobs::JobRow;
use store::{Transaction, agents, catalogue, jobs, tasks};

/// The targets for this run: asset and catalogue entry, each once.
///
/// # Errors
/// A failure of the store.
pub(super) fn of_run(tx: &mut Transaction<'_>, job: &JobRow, now: Timestamp) -> Result<Vec<(AssetId, i64)>, Error> {
    if job.standing {
        selection::again(tx, job, now)?;
    }
    pairs(tx, job)
}

/// What a job does: every asset with every entry that one of its vulnerabilities there asks for, see [`doable`]. What is rolled back
/// is where it was put, whatever runs there now.
///
/// # Errors
/// A failure of the store.
pub fn pairs(tx: &mut Transaction<'_>, job: &JobRow) -> Result<Vec<(AssetId, i64)>, Error> {
    let mut found = tasks::pairs(tx, job.id)?;
    if job.kind == Kind::Rollback {
        return Ok(found);
    }
    let (targets, actions) = (jobs::targets(tx, job.id)?, jobs::actions(tx, job.id)?);
    if let Some(doable) = doable(tx, &targets, &actions)? {
        let doable: BTreeSet<(AssetId, i64)> = doable.into_iter().map(|(asset, _, entry)| (asset, entry)).collect();
        found.retain(|pair| doable.contains(pair));
    }
    Ok(found)
}

/// An entry that is done on an asset for a vulnerability.
pub type Doable = BTreeSet<(AssetId, VulnerabilityId, i64)>;

/// Which of these entries are done on each of these targets; `None` where that is all of them. Where a vulnerability has several
/// entries, those that are meant for other systems than the asset's are left out, as long as another one is left.
///
/// # Errors
/// A failure of the store.
pub fn doable(
    tx: &mut Transaction<'_>,
    targets: &[Target],
    actions: &[(VulnerabilityId, i64)],
) -> Result<Option<Doable>, Error> {
    let mut of: BTreeMap<VulnerabilityId, Vec<(i64, Vec<OsCondition>)>> = BTreeMap::new();
    for (vulnerability, entry) in actions {
        of.entry(*vulnerability).or_default().push((*entry, Vec::new()));
    }
    // An entry without a rival is done wherever somebody says so, whatever it is meant for.
    for (entry, meant) in of.values_mut().filter(|entries| entries.len() > 1).flatten() {
        *meant = systems(&catalogue::entry(tx, *entry)?.systems);
    }
    if of.values().flatten().all(|(_, meant)| meant.is_empty()) {
        return Ok(None);
    }
    let agents = agents::on_assets(tx, targets.iter().map(|target| target.asset).collect::<BTreeSet<_>>())?;
    let running: BTreeMap<AssetId, OsRelease> =
        agents.into_iter().filter_map(|(asset, agent)| Some((asset, heard::system(&agent)?))).collect();
    let mut found = BTreeSet::new();
    for Target { asset, vulnerability } in targets {
        let Some(entries) = of.get(vulnerability) else { continue };
        found.extend(fitting(entries, running.get(asset)).into_iter().map(|entry| (*asset, *vulnerability, entry)));
    }
    Ok(Some(found))
}
