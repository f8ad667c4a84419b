//! May an item be rescanned, and with what? The same answer for the button, the API and the request itself.

use crate::http::Caller;
use domain::access::{self, Action, AssetScope, Cover};
use domain::id::{AssetId, InstanceId, UserId};
use domain::item::State;
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use domain::rescan::{self, Appliance, DefaultProfile, Place, Situation};
use domain::search_list::Tests;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use store::instances::{self, Instance, Profile};
use store::scans::{self, Candidate};
use store::{Transaction, assets, scanners, search_lists};

/// Items that are looked at in one statement, where one that can be rescanned is enough: mostly the first ones are.
const CHUNK_FIRST: usize = 10;
/// The same after those.
const CHUNK: usize = 200;

/// What the rescan dialog of an item shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offer {
    /// Why it cannot be rescanned; `None` where it can.
    pub refusal: Option<Refusal>,
    /// The default option profile.
    pub default: Option<Profile>,
    /// The profiles to choose from.
    pub profiles: Vec<Profile>,
    /// What should be known before a rescan with a profile, by its key: that it does not look for what the item is about, or that
    /// this cannot be told.
    pub warnings: BTreeMap<String, Tests>,
    /// The scanner's number of what the item is about.
    pub qid: i64,
    /// The request that looks at the item already.
    pub open_scan: Option<Number>,
}

/// May the caller rescan the item of this ordinal?
///
/// # Errors
/// A failure of the store. The refusal is the inner value.
pub fn available(tx: &mut Transaction<'_>, caller: &Caller, item: i64) -> store::Result<Result<(), Refusal>> {
    let rows = scans::candidates(tx, &[item])?;
    let mut judge = Judge::new(tx, caller)?;
    judge.learn(tx, &rows)?;
    Ok(judge.permitted(&rows).map_err(Refusal::from))
}

/// Which of these items the caller may not rescan, and why; those he may are absent.
///
/// # Errors
/// A failure of the store.
pub fn unavailable(tx: &mut Transaction<'_>, caller: &Caller, items: &[i64]) -> store::Result<HashMap<i64, Refusal>> {
    let mut judge = Judge::new(tx, caller)?;
    refused(tx, &mut judge, items)
}

pub(super) fn refused(
    tx: &mut Transaction<'_>,
    judge: &mut Judge<'_>,
    items: &[i64],
) -> store::Result<HashMap<i64, Refusal>> {
    let rows = scans::candidates(tx, items)?;
    judge.learn(tx, &rows)?;
    let mut of: HashMap<i64, Vec<Candidate>> = items.iter().map(|item| (*item, Vec::new())).collect();
    for row in rows {
        of.entry(row.number).or_default().push(row);
    }
    let refused = |(item, rows): (i64, Vec<Candidate>)| Some((item, judge.permitted(&rows).err()?.into()));
    Ok(of.into_iter().filter_map(refused).collect())
}

/// May the caller rescan anything that is open on an asset? Where he may not, the reason of what is worst on it; where
/// nothing is open, `nothing_open`.
///
/// # Errors
/// A failure of the store. The refusal is the inner value.
pub fn of_asset(tx: &mut Transaction<'_>, caller: &Caller, asset: AssetId) -> store::Result<Result<(), Refusal>> {
    let mut judge = Judge::new(tx, caller)?;
    best_of_asset(tx, &mut judge, asset).map(|best| best.map(|_| ()))
}

/// The same for the assets of a page: those that cannot be rescanned, and why.
///
/// # Errors
/// A failure of the store.
pub fn of_assets(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    assets: &[AssetId],
) -> store::Result<HashMap<AssetId, Refusal>> {
    let mut judge = Judge::new(tx, caller)?;
    let mut refused = HashMap::new();
    for asset in assets {
        if let Err(refusal) = best_of_asset(tx, &mut judge, *asset)? {
            refused.insert(*asset, refusal);
        }
    }
    Ok(refused)
}

/// The worst open item of an asset that the caller may rescan.
fn best_of_asset(
    tx: &mut Transaction<'_>,
    judge: &mut Judge<'_>,
    asset: AssetId,
) -> store::Result<Result<i64, Refusal>> {
    // Whose roles never allow it hears that, whether anything is open or not.
    let own = access::Record::assigned_to(Some(judge.caller.user), None);
    if let Err(reason) = judge.caller.decide(Action::Rescan, &own).ok() {
        return Ok(Err(reason.into()));
    }
    let items = scans::open_items(tx, asset, None, rescan::ITEMS_MAX)?;
    let nothing = || Refusal::new("nothing_open", "nothing is open on the asset, so there is nothing to verify");
    Ok(best_of(tx, judge, &items)?.map_err(|reason| reason.unwrap_or_else(nothing)))
}

/// The first of these items that can be rescanned; else why the first of them cannot.
pub(super) fn best_of(
    tx: &mut Transaction<'_>,
    judge: &mut Judge<'_>,
    items: &[i64],
) -> store::Result<Result<i64, Option<Refusal>>> {
    let (first, rest) = items.split_at(items.len().min(CHUNK_FIRST));
    let mut reason = None;
    for chunk in std::iter::once(first).chain(rest.chunks(CHUNK)) {
        let mut refused = refused(tx, judge, chunk)?;
        if let Some(item) = chunk.iter().find(|item| !refused.contains_key(item)) {
            return Ok(Ok(*item));
        }
        reason = reason.or_else(|| chunk.first().and_then(|worst| refused.remove(worst)));
    }
    Ok(Err(reason))
}

/// Why nothing at all can be rescanned, whoever asks and whatever is chosen: no integration instance is ready for it. Of
/// several reasons the one that is nearest to an end. `None` where one is ready, or where there is no instance yet.
///
/// # Errors
/// A failure of the store.
pub fn nowhere(tx: &mut Transaction<'_>) -> store::Result<Option<Refusal>> {
    const FARTHEST_FIRST: [&str; 5] =
        ["source_not_supported", "scanner_inactive", "source_not_connected", "instance_disabled", "source_not_stamped"];
    let scanners = scanners::list(tx)?;
    let mut nearest: Option<Refusal> = None;
    let rank = |refusal: &Refusal| FARTHEST_FIRST.iter().position(|code| *code == refusal.code);
    for instance in instances::list(tx)? {
        let situation = Situation {
            product: &instance.product,
            active: scanners.iter().any(|scanner| scanner.product == instance.product && scanner.active),
            stamped: instance.source_stamped_at.is_some(),
            closed: false,
            connected: !instance.files_only(),
            enabled: !instance.disabled,
            addresses: 1,
            profile: DefaultProfile::Known,
        };
        let Err(refusal) = rescan::permitted(situation) else { return Ok(None) };
        if nearest.as_ref().is_none_or(|known| rank(&refusal) > rank(known)) {
            nearest = Some(refusal);
        }
    }
    Ok(nearest)
}

/// What the rescan dialog of the item of this ordinal shows.
///
/// # Errors
/// A failure of the store.
pub fn offer(tx: &mut Transaction<'_>, caller: &Caller, item: i64) -> store::Result<Offer> {
    let judge = Judge::new(tx, caller)?;
    offer_by(tx, judge, item)
}

/// The same by a judge that knows what the item is asked for as part of.
pub(super) fn offer_by(tx: &mut Transaction<'_>, mut judge: Judge<'_>, item: i64) -> store::Result<Offer> {
    let rows = scans::candidates(tx, &[item])?;
    judge.learn(tx, &rows)?;
    let refusal = judge.permitted(&rows).err().map(Refusal::from);
    let known = rows.first().and_then(|first| Some((first, judge.scanners.remove(&first.instance_id)?)));
    let Some((first, scanner)) = known else {
        return Ok(Offer { refusal, ..Offer::default() });
    };
    let reached = rows.iter().find(|row| !row.address.is_empty()).unwrap_or(first);
    let default = scanner.place(&reached.address, &reached.network_id).profile;
    let default = default.and_then(|word| scanner.profile(word)).cloned();
    let open_scan = scans::open_scans(tx, &[first.item_id])?.first().map(|(_, scan)| *scan);
    let open_scan = open_scan.map(|ordinal| Number { series: Series::Scan, ordinal });
    let (qid, mut warnings) = (first.qid, BTreeMap::new());
    for profile in &scanner.profiles {
        match search_lists::tests(tx, first.instance_id, &profile.key, qid)? {
            Tests::Yes => {}
            tests => _ = warnings.insert(profile.key.clone(), tests),
        }
    }
    Ok(Offer { refusal, default, profiles: scanner.profiles, warnings, qid, open_scan })
}

/// What the rescan dialog of an asset shows: that of its worst item which can be rescanned.
///
/// # Errors
/// A failure of the store.
pub fn offer_of_asset(tx: &mut Transaction<'_>, caller: &Caller, asset: AssetId) -> store::Result<Offer> {
    let mut judge = Judge::new(tx, caller)?;
    match best_of_asset(tx, &mut judge, asset)? {
        // What one of its items is about says nothing of the others: the plan does.
        Ok(item) => Ok(Offer { open_scan: None, warnings: BTreeMap::new(), ..offer(tx, caller, item)? }),
        Err(refusal) => Ok(Offer { refusal: Some(refusal), ..Offer::default() }),
    }
}

/// Why an item may not be rescanned: the person, or the record.
pub(super) enum Denial {
    Person(access::Reason),
    Record(Refusal),
    Missing,
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Person(reason) => reason.into(),
            Denial::Record(refusal) => refusal,
            Denial::Missing => Refusal::new("not_found", "there is no such item"),
        }
    }
}

/// Decides on items for one caller; knows what it has learnt of their assets and scanners.
pub(super) struct Judge<'c> {
    caller: &'c Caller,
    by_group: bool,
    /// The items are asked for as part of a record that he may rescan, so that only the scope is asked.
    following: bool,
    tags: HashMap<AssetId, Vec<String>>,
    pub(super) scanners: HashMap<InstanceId, Scanner>,
}

impl<'c> Judge<'c> {
    pub(super) fn new(tx: &mut Transaction<'_>, caller: &'c Caller) -> store::Result<Judge<'c>> {
        let by_group = super::rules(tx)?.by_group;
        Ok(Judge { caller, by_group, following: false, tags: HashMap::new(), scanners: HashMap::new() })
    }

    /// The same for items of a record that the caller may rescan.
    pub(super) fn following(self) -> Judge<'c> {
        Judge { following: true, ..self }
    }

    /// Read what the decision on these rows needs.
    pub(super) fn learn(&mut self, tx: &mut Transaction<'_>, rows: &[Candidate]) -> store::Result<()> {
        for instance in super::each_once(rows.iter().map(|row| row.instance_id)) {
            if let Entry::Vacant(place) = self.scanners.entry(instance) {
                place.insert(Scanner::load(tx, instance)?);
            }
        }
        // Without a scope nobody asks for tags.
        if self.caller.scope != AssetScope::All {
            let ids = super::each_once(rows.iter().map(|row| row.asset_id));
            self.tags.extend(assets::tags(tx, &ids)?);
        }
        Ok(())
    }

    /// The decision on one item, given all its rows.
    pub(super) fn permitted(&self, rows: &[Candidate]) -> Result<(), Denial> {
        let first = rows.first().ok_or(Denial::Missing)?;
        self.person(first)?;
        let reached = || rows.iter().filter(|row| !row.address.is_empty());
        let profile = reached().map(|row| self.profile(row)).find(|profile| *profile != DefaultProfile::Known);
        let situation = Situation {
            product: &first.product,
            active: first.active,
            stamped: first.stamped,
            closed: first.state == State::Closed,
            connected: first.connected,
            enabled: first.enabled,
            addresses: reached().count(),
            profile: profile.unwrap_or(DefaultProfile::Known),
        };
        rescan::permitted(situation).map_err(Denial::Record)
    }

    /// May this person rescan it (S2.07)?
    fn person(&self, item: &Candidate) -> Result<(), Denial> {
        let cover = if self.caller.scope == AssetScope::All {
            Cover::Whole
        } else {
            let tags = self.tags.get(&item.asset_id).map(Vec::as_slice).unwrap_or_default();
            self.caller.scope.cover([self.caller.scope.sees(tags.iter().map(String::as_str))])
        };
        if self.following {
            return if cover == Cover::Nothing { Err(Denial::Missing) } else { Ok(()) };
        }
        let record = access::Record::default().covered(cover);
        self.assigned(&record, item.owner_id, &item.group_name)
    }

    /// May this person rescan what is assigned so? Whether what is assigned to a group counts is a setting.
    pub(super) fn assigned(&self, record: &access::Record, owner: Option<UserId>, group: &str) -> Result<(), Denial> {
        let decide = |group: Option<&str>| {
            let record = access::Record::assigned_to(owner, group).covered(record.cover);
            self.caller.decide(Action::Rescan, &record).ok()
        };
        let whole = Some(group);
        let Err(reason) = decide(if self.by_group { whole } else { None }) else { return Ok(()) };
        Err(match reason {
            reason if reason.hides() => Denial::Missing,
            _ if !self.by_group && decide(whole).is_ok() => Denial::Record(Refusal::new(
                "not_assigned_person",
                "the record is assigned to your group, not to you; here only who it is assigned to by name rescans it",
            )),
            reason => Denial::Person(reason),
        })
    }

    fn profile<'s>(&'s self, row: &Candidate) -> DefaultProfile<'s> {
        let Some(scanner) = self.scanners.get(&row.instance_id) else { return DefaultProfile::Unset };
        match scanner.place(&row.address, &row.network_id).profile {
            None => DefaultProfile::Unset,
            Some(word) if scanner.profile(word).is_none() => DefaultProfile::Gone(word),
            Some(_) => DefaultProfile::Known,
        }
    }
}

/// What an instance offers for launching.
pub(super) struct Scanner {
    pub(super) instance: Instance,
    pub(super) profiles: Vec<Profile>,
    appliances: Vec<Appliance>,
    /// What the scanner says of each appliance, by key.
    states: HashMap<String, String>,
}

impl Scanner {
    pub(super) fn load(tx: &mut Transaction<'_>, id: InstanceId) -> store::Result<Scanner> {
        let appliances = store::appliances::serving(tx, id)?;
        let states = instances::appliances(tx, id)?.into_iter().map(|row| (row.key, row.status)).collect();
        let (instance, profiles) = (instances::one(tx, id)?, instances::profiles(tx, id)?);
        Ok(Scanner { instance, profiles, appliances, states })
    }

    /// Name of an appliance, and what the scanner says of it.
    pub(super) fn appliance(&self, key: &str) -> (String, String) {
        let name = self.appliances.iter().find(|one| one.key == key).map_or(key, |one| one.name.as_str());
        (name.to_owned(), self.states.get(key).cloned().unwrap_or_default())
    }

    pub(super) fn place(&self, address: &str, network: &str) -> Place<'_> {
        let default_appliance = self.instance.default_appliance.as_deref();
        let default_profile = self.instance.default_profile.as_deref().filter(|profile| !profile.is_empty());
        rescan::choose(&self.appliances, default_appliance, default_profile, address, network)
    }

    /// The profile of this key, else of this title.
    pub(super) fn profile(&self, word: &str) -> Option<&Profile> {
        let by_key = self.profiles.iter().find(|profile| profile.key == word);
        by_key.or_else(|| self.profiles.iter().find(|profile| profile.title == word))
    }
}
