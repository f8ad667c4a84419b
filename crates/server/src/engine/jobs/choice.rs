//! What a new job is about (S1.02, S1.05): which assets, which actions, on which platform.

use super::{Selection, Wanted};
use crate::engine::catalogue::systems;
use crate::engine::runs::doable;
use crate::http::auth::Caller;
use crate::http::error::Error;
use ::catalogue::applies::{OsCondition, apart};
use domain::asset::Platform;
use domain::id::{AssetId, VulnerabilityId};
use domain::job::{Kind, Target};
use domain::refusal::Refusal;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use store::{Transaction, catalogue, eliminations};

/// An asset with an entry that is done there.
pub(crate) type Pair = (AssetId, i64);

/// What a new job is about.
pub(crate) struct FilledIn {
    /// Its one platform.
    pub platform: Platform,
    /// Assets per vulnerability.
    pub targets: Vec<Target>,
    /// What is done for each vulnerability.
    pub actions: Vec<(VulnerabilityId, i64)>,
    /// Where that is less than all of it: on which asset which entry. Empty = all of it.
    pub only: Vec<Pair>,
}

/// What can be done for a selection of QIDs, on every platform.
pub(super) struct Candidates {
    targets: Vec<(Target, Platform)>,
    actions: BTreeMap<(VulnerabilityId, i64), BTreeSet<Platform>>,
    /// Of a rollback: where what was put in place.
    in_place: BTreeSet<Pair>,
}

impl Candidates {
    /// The platforms on which something can be done, each with its number of assets.
    pub(super) fn platforms(&self) -> BTreeMap<Platform, usize> {
        let able: BTreeSet<(VulnerabilityId, Platform)> =
            self.actions.iter().flat_map(|((v, _), on)| on.iter().map(|on| (*v, *on))).collect();
        let mut assets: BTreeMap<Platform, BTreeSet<AssetId>> = BTreeMap::new();
        for (target, on) in self.targets.iter().filter(|(target, on)| able.contains(&(target.vulnerability, *on))) {
            assets.entry(*on).or_default().insert(target.asset);
        }
        assets.into_iter().map(|(on, assets)| (on, assets.len())).collect()
    }
}

/// Which assets and actions a selection of QIDs gives, on the one platform that is asked for or that there is.
pub(super) fn fill_in(tx: &mut Transaction<'_>, caller: &Caller, wanted: &Wanted) -> Result<FilledIn, Error> {
    let found = candidates(tx, caller, wanted)?;
    let platform = one_platform(wanted, &found)?;
    on(tx, wanted.kind, &found, platform)
}

/// The same on each platform that there is, the one that is asked for first (R8).
pub(super) fn fill_in_each(tx: &mut Transaction<'_>, caller: &Caller, wanted: &Wanted) -> Result<Vec<FilledIn>, Error> {
    let found = candidates(tx, caller, wanted)?;
    let mut platforms: Vec<Platform> =
        found.platforms().into_keys().filter(|platform| supported(*platform).is_ok()).collect();
    if let Some(first) = wanted.platform {
        platforms.retain(|platform| *platform != first);
        platforms.insert(0, supported(first)?);
    }
    if platforms.is_empty() {
        return Err(no_assets());
    }
    platforms.into_iter().map(|platform| on(tx, wanted.kind, &found, platform)).collect()
}

/// What can be done for a selection of QIDs, within it and within the caller's scope.
pub(super) fn candidates(tx: &mut Transaction<'_>, caller: &Caller, wanted: &Wanted) -> Result<Candidates, Error> {
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
    let mut found = match wanted.kind {
        Kind::Mitigation => forward(tx, caller, &keys, &wanted.entries)?,
        Kind::Rollback => backward(tx, caller, &keys, &wanted.entries)?,
    };
    let only: BTreeMap<VulnerabilityId, BTreeSet<AssetId>> = chosen
        .iter()
        .filter_map(|(id, selection)| Some((*id, selection.assets.as_ref()?.iter().copied().collect())))
        .collect();
    found
        .targets
        .retain(|(target, _)| only.get(&target.vulnerability).is_none_or(|assets| assets.contains(&target.asset)));
    Ok(found)
}

/// What of it is done on one platform.
fn on(tx: &mut Transaction<'_>, kind: Kind, found: &Candidates, platform: Platform) -> Result<FilledIn, Error> {
    let actions: Vec<(VulnerabilityId, i64)> =
        found.actions.iter().filter(|(_, on)| on.contains(&platform)).map(|(action, _)| *action).collect();
    let doable: BTreeSet<VulnerabilityId> = actions.iter().map(|(vulnerability, _)| *vulnerability).collect();
    let targets: Vec<Target> = found
        .targets
        .iter()
        .filter(|(target, on)| *on == platform && doable.contains(&target.vulnerability))
        .map(|(target, _)| *target)
        .collect();
    if targets.is_empty() {
        return Err(no_assets());
    }
    let used: BTreeSet<VulnerabilityId> = targets.iter().map(|target| target.vulnerability).collect();
    let mut actions: Vec<_> = actions.into_iter().filter(|(vulnerability, _)| used.contains(vulnerability)).collect();
    let only = match kind {
        Kind::Mitigation => {
            needed(tx, &targets, &mut actions)?;
            Vec::new()
        }
        Kind::Rollback => kept_to(&targets, &actions, &found.in_place),
    };
    Ok(FilledIn { platform, targets, actions, only })
}

/// To which pairs of asset and entry a job has to be kept, because its targets and actions alone would give more than these.
pub(super) fn kept_to(targets: &[Target], actions: &[(VulnerabilityId, i64)], in_place: &BTreeSet<Pair>) -> Vec<Pair> {
    let mut entries: BTreeMap<VulnerabilityId, Vec<i64>> = BTreeMap::new();
    for (vulnerability, entry) in actions {
        entries.entry(*vulnerability).or_default().push(*entry);
    }
    let all: BTreeSet<Pair> = targets
        .iter()
        .flat_map(|target| entries.get(&target.vulnerability).into_iter().flatten().map(|entry| (target.asset, *entry)))
        .collect();
    if all.is_subset(in_place) { Vec::new() } else { all.intersection(in_place).copied().collect() }
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

fn forward(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    keys: &[i64],
    entries: &BTreeSet<String>,
) -> Result<Candidates, Error> {
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
    if let Some(unknown) = entries.iter().find(|entry| all.iter().all(|e| e.entry != **entry)) {
        let sentence = format!("`{unknown}` is no elimination of these vulnerabilities in the catalogue in force");
        return Err(Error::field("entries", "unknown_entry", sentence));
    }
    // A vulnerability that none of the named entries covers on a platform keeps the best ones there.
    let named: Vec<_> = all.iter().filter(|e| entries.contains(&e.entry)).collect();
    let covered: BTreeSet<(VulnerabilityId, Platform)> =
        named.iter().flat_map(|e| platforms(&e.platform).into_iter().map(|on| (e.vulnerability_id, on))).collect();
    let mut actions: BTreeMap<(VulnerabilityId, i64), BTreeSet<Platform>> = BTreeMap::new();
    let best = best(&all).into_iter().map(|e| (e, false));
    for (e, by_name) in best.chain(named.into_iter().map(|e| (e, true))) {
        let on = platforms(&e.platform).into_iter();
        let on: Vec<_> = on.filter(|on| by_name || !covered.contains(&(e.vulnerability_id, *on))).collect();
        if !on.is_empty() {
            actions.entry((e.vulnerability_id, e.entry_key)).or_default().extend(on);
        }
    }
    Ok(Candidates { targets, actions, in_place: BTreeSet::new() })
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

fn backward(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    keys: &[i64],
    entries: &BTreeSet<String>,
) -> Result<Candidates, Error> {
    let mut rows = store::controls::reversible_for(tx, keys, &caller.scope)?;
    if !entries.is_empty() {
        let mut named = BTreeMap::new();
        for key in rows.iter().map(|(.., key)| *key).collect::<BTreeSet<i64>>() {
            named.insert(key, entries.contains(&catalogue::entry(tx, key)?.entry));
        }
        rows.retain(|(.., key)| named.get(key).copied().unwrap_or(false));
    }
    if rows.is_empty() {
        return Err(
            Refusal::new("nothing_to_roll_back", "no mitigation of ours is in force for this vulnerability").into()
        );
    }
    let visible: BTreeMap<Target, Platform> = eliminations::assets(tx, keys)?
        .into_iter()
        .filter(|row| row.agent && caller.scope.sees(row.tags()))
        .map(|row| (Target { asset: row.asset_id, vulnerability: row.vulnerability_id }, row.platform))
        .collect();
    let (mut targets, mut in_place) = (BTreeSet::new(), BTreeSet::new());
    let mut actions: BTreeMap<(VulnerabilityId, i64), BTreeSet<Platform>> = BTreeMap::new();
    for (vulnerability, asset, entry) in rows {
        let target = Target { asset, vulnerability };
        if let Some(on) = visible.get(&target) {
            targets.insert((target, *on));
            in_place.insert((asset, entry));
            actions.entry((vulnerability, entry)).or_default().insert(*on);
        }
    }
    Ok(Candidates { targets: targets.into_iter().collect(), actions, in_place })
}

pub(crate) fn platforms(word: &str) -> Vec<Platform> {
    match word {
        "any" => vec![Platform::Linux, Platform::Windows],
        word => vec![Platform::parse(word)],
    }
}

fn supported(platform: Platform) -> Result<Platform, Error> {
    if matches!(platform, Platform::Windows | Platform::Linux) {
        return Ok(platform);
    }
    let sentence = format!("{} assets cannot be mitigated", platform.title());
    Err(Refusal::new("platform_unsupported", sentence).into())
}

/// A job has one platform (R8): the one asked for, or the only one there is.
fn one_platform(wanted: &Wanted, found: &Candidates) -> Result<Platform, Error> {
    if let Some(platform) = wanted.platform {
        return supported(platform);
    }
    match found.platforms().into_keys().collect::<Vec<_>>().as_slice() {
        [one] => Ok(*one),
        [] => Err(no_assets()),
        several => {
            let names: Vec<&str> = several.iter().map(|on| on.title()).collect();
            let sentence = format!(
                "the assets run {}; a job has one platform: choose which, or ask for a draft for each of them by \
                 `each_platform`",
                names.join(" and ")
            );
            Err(Error::field("platform", "platform_needed", sentence))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_is_kept_to_what_is_in_place_where_its_targets_would_give_more() {
        let target =
            |asset, vulnerability| Target { asset: AssetId(asset), vulnerability: VulnerabilityId(vulnerability) };
        let targets = [target(1, 1), target(2, 1)];
        let actions = [(VulnerabilityId(1), 10), (VulnerabilityId(1), 11)];
        let pair = |asset, entry| (AssetId(asset), entry);
        let everything = BTreeSet::from([pair(1, 10), pair(1, 11), pair(2, 10), pair(2, 11)]);
        assert_eq!(kept_to(&targets, &actions, &everything), []);
        let some = BTreeSet::from([pair(1, 10), pair(2, 11), pair(3, 10)]);
        assert_eq!(kept_to(&targets, &actions, &some), [pair(1, 10), pair(2, 11)]);
        assert_eq!(kept_to(&targets, &actions[..1], &BTreeSet::from([pair(1, 10), pair(2, 10)])), []);
    }
}
