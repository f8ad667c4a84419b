//! What a new job is about (S1.02, S1.05): which assets, which actions, on which one platform.

use super::{Selection, Wanted};
use crate::engine::catalogue::systems;
use crate::engine::runs::doable;
use crate::http::auth::Caller;
use crate::http::error::Error;
use ::catalogue::applies::{OsCondition, apart};
use domain::asset::Platform;
use domain::id::VulnerabilityId;
use domain::job::{Kind, Target};
use domain::refusal::Refusal;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use store::{Transaction, catalogue, eliminations};

/// What a new job is about.
pub(super) struct FilledIn {
    /// Its one platform.
    pub platform: Platform,
    /// Assets per vulnerability.
    pub targets: Vec<Target>,
    /// What is done for each vulnerability.
    pub actions: Vec<(VulnerabilityId, i64)>,
}

/// Which assets and actions a selection of QIDs gives.
pub(super) fn fill_in(tx: &mut Transaction<'_>, caller: &Caller, wanted: &Wanted) -> Result<FilledIn, Error> {
    let mut chosen: BTreeMap<VulnerabilityId, &Selection> = BTreeMap::new();
    for selection in &wanted.selections {
        let id = eliminations::by_qid(tx, selection.qid)?
            .ok_or_else(|| Error::NotFound(format!("vulnerability with QID {}", selection.qid)))?;
        chosen.insert(id, selection);
    }
    if chosen.is_empty() {
        return Err(Error::field("vulnerabilities", "no_vulnerabilities", "name at least one QID"));
    }
    let keys: Vec<i64> = chosen.keys().map(|id| id.0).collect();
    let (mut targets, actions) = match wanted.kind {
        Kind::Mitigation => forward(tx, caller, &keys)?,
        Kind::Rollback => backward(tx, caller, &keys)?,
    };
    targets.retain(|(target, _)| {
        let only = chosen.get(&target.vulnerability).and_then(|selection| selection.assets.as_ref());
        only.is_none_or(|assets| assets.contains(&target.asset))
    });
    let platform = one_platform(wanted, &targets, &actions)?;
    let actions: Vec<_> =
        actions.into_iter().filter(|(_, _, on)| on.contains(&platform)).map(|(v, e, _)| (v, e)).collect();
    let doable: BTreeSet<VulnerabilityId> = actions.iter().map(|(vulnerability, _)| *vulnerability).collect();
    let targets: Vec<Target> = targets
        .into_iter()
        .filter(|(target, on)| *on == platform && doable.contains(&target.vulnerability))
        .map(|(target, _)| target)
        .collect();
    if targets.is_empty() {
        return Err(no_assets());
    }
    let used: BTreeSet<VulnerabilityId> = targets.iter().map(|target| target.vulnerability).collect();
    let mut actions: Vec<_> = actions.into_iter().filter(|(vulnerability, _)| used.contains(vulnerability)).collect();
    if wanted.kind == Kind::Mitigation {
        needed(tx, &targets, &mut actions)?;
    }
    Ok(FilledIn { platform, targets, actions })
}

/// Leave out what would be done on none of the targets, because it is meant for other systems.
pub(crate) fn needed(
    tx: &mut Transaction<'_>,
    targets: &[Target],
    actions: &mut Vec<(VulnerabilityId, i64)>,
) -> Result<(), Error> {
    if let Some(doable) = doable(tx, targets, actions)? {
        let used: BTreeSet<(VulnerabilityId, i64)> = doable.into_iter().map(|(_, v, entry)| (v, entry)).collect();
        actions.retain(|action| used.contains(action));
    }
    Ok(())
}

fn no_assets() -> Error {
    let sentence =
        "no asset with this vulnerability can be chosen: it needs an enrolled agent, an open item and your asset scope";
    Refusal::new("no_assets", sentence).into()
}

type Candidates = (Vec<(Target, Platform)>, Vec<(VulnerabilityId, i64, Vec<Platform>)>);

fn forward(tx: &mut Transaction<'_>, caller: &Caller, keys: &[i64]) -> Result<Candidates, Error> {
    let targets = eliminations::assets(tx, keys)?
        .into_iter()
        .filter(|asset| asset.agent && caller.scope.sees(asset.tags()))
        .map(|asset| (Target { asset: asset.asset_id, vulnerability: asset.vulnerability_id }, asset.platform))
        .collect();
    let all = catalogue::eliminations(tx, keys)?;
    if all.is_empty() {
        return Err(
            Refusal::new("no_elimination", "the catalogue in force holds nothing for this vulnerability").into()
        );
    }
    let actions: BTreeMap<(VulnerabilityId, i64), Vec<Platform>> =
        best(&all).into_iter().map(|e| ((e.vulnerability_id, e.entry_key), platforms(&e.platform))).collect();
    Ok((targets, actions.into_iter().map(|((vulnerability, entry), on)| (vulnerability, entry, on)).collect()))
}

/// Per CVE and platform the reversible entry with the most points; a fix only where there is no mitigation. Where that one is
/// meant for some systems only, also the best of those meant for others; which does what on an asset is decided with each run.
pub(crate) fn best(all: &[catalogue::Elimination]) -> Vec<&catalogue::Elimination> {
    let mut ranked: Vec<&catalogue::Elimination> = all.iter().collect();
    // Stable: of equals the first.
    ranked.sort_by_key(|e| Reverse((e.risk != "high", e.implication == "mitigation", e.points)));
    type Chosen<'e> = Vec<(&'e catalogue::Elimination, Vec<OsCondition>)>;
    let mut best: BTreeMap<(VulnerabilityId, &str, &str), Chosen<'_>> = BTreeMap::new();
    for elimination in ranked {
        let key = (elimination.vulnerability_id, elimination.platform.as_str(), elimination.cve.as_str());
        let chosen = best.entry(key).or_default();
        let systems = systems(&elimination.systems);
        if chosen.iter().all(|(_, others)| apart(&systems, others)) {
            chosen.push((elimination, systems));
        }
    }
    best.into_values().flatten().map(|(elimination, _)| elimination).collect()
}

fn backward(tx: &mut Transaction<'_>, caller: &Caller, keys: &[i64]) -> Result<Candidates, Error> {
    let rows = store::controls::reversible_for(tx, keys)?;
    if rows.is_empty() {
        return Err(
            Refusal::new("nothing_to_roll_back", "no mitigation of ours is in force for this vulnerability").into()
        );
    }
    let visible = eliminations::assets(tx, keys)?;
    let mut targets = BTreeSet::new();
    let mut actions: BTreeMap<(VulnerabilityId, i64), BTreeSet<Platform>> = BTreeMap::new();
    for (vulnerability, asset, entry) in rows {
        let seen = visible.iter().find(|row| row.asset_id == asset && row.vulnerability_id == vulnerability);
        if let Some(row) = seen.filter(|row| row.agent && caller.scope.sees(row.tags())) {
            targets.insert((Target { asset, vulnerability }, row.platform));
            actions.entry((vulnerability, entry)).or_default().insert(row.platform);
        }
    }
    let actions = actions.into_iter().map(|((v, e), on)| (v, e, on.into_iter().collect())).collect();
    Ok((targets.into_iter().collect(), actions))
}

pub(crate) fn platforms(word: &str) -> Vec<Platform> {
    match word {
        "any" => vec![Platform::Linux, Platform::Windows],
        word => vec![Platform::parse(word)],
    }
}

/// A job has one platform (R8): the one asked for, or the only one there is.
fn one_platform(
    wanted: &Wanted,
    targets: &[(Target, Platform)],
    actions: &[(VulnerabilityId, i64, Vec<Platform>)],
) -> Result<Platform, Error> {
    let doable: BTreeSet<Platform> = actions.iter().flat_map(|(_, _, on)| on.iter().copied()).collect();
    if let Some(platform) = wanted.platform {
        if !matches!(platform, Platform::Windows | Platform::Linux) {
            return Err(Refusal::new(
                "platform_unsupported",
                format!("{} assets cannot be mitigated", platform.title()),
            )
            .into());
        }
        return Ok(platform);
    }
    let present: BTreeSet<Platform> = targets.iter().map(|(_, on)| *on).filter(|on| doable.contains(on)).collect();
    match present.into_iter().collect::<Vec<_>>().as_slice() {
        [one] => Ok(*one),
        [] => Err(no_assets()),
        several => {
            let names: Vec<&str> = several.iter().map(|on| on.title()).collect();
            let sentence = format!("the assets run {}; a job has one platform, choose which", names.join(" and "));
            Err(Error::field("platform", "platform_needed", sentence))
        }
    }
}
