//! What a job would make of the scores of its assets: shown before it runs and beside its progress. A forecast from the
//! catalogue; the scores themselves come from verified controls only.

use crate::engine::jobs::Job;
use crate::http::Error;
use domain::id::{AssetId, VulnerabilityId};
use domain::job::Kind;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use store::{Transaction, catalogue, overview, vulnerabilities};

/// The scores of one asset of a job: the worst of its vulnerabilities in the job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scores {
    /// Before any mitigation.
    pub inherent: i64,
    /// Now.
    pub residual: i64,
    /// When every action succeeds.
    pub expected: i64,
}

impl Scores {
    fn worst(self, other: Scores) -> Scores {
        Scores {
            inherent: self.inherent.max(other.inherent),
            residual: self.residual.max(other.residual),
            expected: self.expected.max(other.expected),
        }
    }
}

/// The scores of each vulnerability of a job on each of its assets.
pub type Targets = Vec<(AssetId, VulnerabilityId, Scores)>;

/// The scores of every asset of a job.
///
/// # Errors
/// A failure of the store.
pub fn by_asset(tx: &mut Transaction<'_>, job: &Job) -> Result<BTreeMap<AssetId, Scores>, Error> {
    Ok(worst_by_asset(&targets(tx, job)?))
}

/// The worst of each asset.
#[must_use]
pub fn worst_by_asset(targets: &Targets) -> BTreeMap<AssetId, Scores> {
    let mut assets: BTreeMap<AssetId, Scores> = BTreeMap::new();
    for (asset, _, scores) in targets {
        let slot = assets.entry(*asset).or_default();
        *slot = slot.worst(*scores);
    }
    assets
}

/// The worst of what each catalogue entry is for, on each asset.
///
/// # Errors
/// A failure of the store.
pub fn worst_by_entry(
    tx: &mut Transaction<'_>,
    job: &Job,
    targets: &Targets,
) -> Result<BTreeMap<(AssetId, String), Scores>, Error> {
    let mut names: BTreeMap<i64, String> = BTreeMap::new();
    for (_, key) in &job.actions {
        if let Entry::Vacant(free) = names.entry(*key) {
            free.insert(catalogue::entry(tx, *key)?.entry);
        }
    }
    let mut entries: BTreeMap<(AssetId, String), Scores> = BTreeMap::new();
    for (asset, vulnerability, scores) in targets {
        for (_, key) in job.actions.iter().filter(|(of, _)| of == vulnerability) {
            let name = names.get(key).cloned().unwrap_or_default();
            let slot = entries.entry((*asset, name)).or_default();
            *slot = slot.worst(*scores);
        }
    }
    Ok(entries)
}

/// The scores of everything a job is aimed at.
///
/// # Errors
/// A failure of the store.
pub fn targets(tx: &mut Transaction<'_>, job: &Job) -> Result<Targets, Error> {
    let mut points = BTreeMap::new();
    for target in &job.targets {
        if let Entry::Vacant(free) = points.entry(target.vulnerability) {
            free.insert(points_off(tx, job, target.vulnerability)?);
        }
    }
    let mut targets = Targets::new();
    for row in overview::job_scores(tx, &[job.row.number], &job.scope)? {
        let off = points.get(&row.vulnerability_id).copied().unwrap_or(0);
        let expected = match job.row.kind {
            Kind::Mitigation => row.residual.min((row.inherent - off).max(1)),
            Kind::Rollback => row.inherent,
        };
        let scores = Scores { inherent: row.inherent, residual: row.residual, expected };
        targets.push((row.asset_id, row.vulnerability_id, scores));
    }
    Ok(targets)
}

/// The points that the job's actions take off a vulnerability for certain: those of its least covered CVE.
fn points_off(tx: &mut Transaction<'_>, job: &Job, vulnerability: VulnerabilityId) -> Result<i64, Error> {
    let mut best: BTreeMap<String, i64> = BTreeMap::new();
    for (_, entry) in job.actions.iter().filter(|(of, _)| *of == vulnerability) {
        for (cve, _, points) in catalogue::covers(tx, *entry, vulnerability)? {
            let slot = best.entry(cve).or_default();
            *slot = points.max(*slot);
        }
    }
    let cves = vulnerabilities::cves(tx, vulnerability)?;
    if cves.is_empty() {
        return Ok(best.get("").copied().unwrap_or(0));
    }
    Ok(cves.iter().map(|cve| best.get(&cve.cve).copied().unwrap_or(0)).min().unwrap_or(0))
}

/// The worst of all assets.
#[must_use]
pub fn worst(assets: &BTreeMap<AssetId, Scores>) -> Option<Scores> {
    assets.values().copied().reduce(Scores::worst)
}

/// The average over the assets, rounded.
#[must_use]
pub fn average(assets: &BTreeMap<AssetId, Scores>) -> Option<Scores> {
    let count = i64::try_from(assets.len()).ok().filter(|count| *count > 0)?;
    let mean = |of: fn(&Scores) -> i64| (assets.values().map(of).sum::<i64>() + count / 2) / count;
    Some(Scores { inherent: mean(|s| s.inherent), residual: mean(|s| s.residual), expected: mean(|s| s.expected) })
}
