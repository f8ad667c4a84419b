//! May an item be rescanned, and with what? The same answer for the button, the API and the request itself.

use crate::http::Caller;
use domain::access::{self, Action, AssetScope, Cover};
use domain::id::{AssetId, InstanceId};
use domain::item::State;
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use domain::rescan::{self, Appliance, Place, Situation};
use std::collections::HashMap;
use store::instances::{self, Instance, Profile};
use store::scans::{self, Candidate};
use store::{Transaction, assets, scanners};

/// Items that are looked at in one statement, where one that can be rescanned is enough.
const CHUNK: usize = 200;

/// What the rescan dialog of an item shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Why it cannot be rescanned; `None` where it can.
    pub refusal: Option<Refusal>,
    /// The default option profile.
    pub default: Option<Profile>,
    /// The profiles to choose from.
    pub profiles: Vec<Profile>,
    /// The request that looks at the item already.
    pub open_scan: Option<Number>,
}

/// May the caller rescan the item of this ordinal?
///
/// # Errors
/// A failure of the store. The refusal is the inner value.
pub fn available(tx: &mut Transaction<'_>, caller: &Caller, item: i64) -> store::Result<Result<(), Refusal>> {
    let rows = scans::candidates(tx, &[item])?;
    let tags = tags_of(tx, caller, &rows)?;
    Ok(permitted(caller, &rows, &tags).map_err(Refusal::from))
}

/// Which of these items the caller may not rescan, and why; those he may are absent.
///
/// # Errors
/// A failure of the store.
pub fn unavailable(tx: &mut Transaction<'_>, caller: &Caller, items: &[i64]) -> store::Result<HashMap<i64, Refusal>> {
    let rows = scans::candidates(tx, items)?;
    let tags = tags_of(tx, caller, &rows)?;
    let mut of: HashMap<i64, Vec<Candidate>> = items.iter().map(|item| (*item, Vec::new())).collect();
    for row in rows {
        of.entry(row.number).or_default().push(row);
    }
    let refused = |(item, rows): (i64, Vec<Candidate>)| Some((item, permitted(caller, &rows, &tags).err()?.into()));
    Ok(of.into_iter().filter_map(refused).collect())
}

/// May the caller rescan anything that is open on an asset? Where he may not, the reason of what is worst on it. An asset
/// on which nothing is open is no refusal.
///
/// # Errors
/// A failure of the store. The refusal is the inner value.
pub fn of_asset(tx: &mut Transaction<'_>, caller: &Caller, asset: AssetId) -> store::Result<Result<(), Refusal>> {
    let items = scans::open_items(tx, asset, rescan::ITEMS_MAX)?;
    let mut reason = None;
    for chunk in items.chunks(CHUNK) {
        let mut refused = unavailable(tx, caller, chunk)?;
        if chunk.iter().any(|item| !refused.contains_key(item)) {
            return Ok(Ok(()));
        }
        reason = reason.or_else(|| chunk.first().and_then(|worst| refused.remove(worst)));
    }
    Ok(reason.map_or(Ok(()), Err))
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
    let rows = scans::candidates(tx, &[item])?;
    let tags = tags_of(tx, caller, &rows)?;
    let refusal = permitted(caller, &rows, &tags).err().map(Refusal::from);
    let Some(first) = rows.first() else {
        return Ok(Offer { refusal, default: None, profiles: Vec::new(), open_scan: None });
    };
    let scanner = Scanner::load(tx, first.instance_id)?;
    let reached = rows.iter().find(|row| !row.address.is_empty()).unwrap_or(first);
    let default = scanner.place(&reached.address, &reached.network_id).profile;
    let default = default.and_then(|word| scanner.profile(word)).cloned();
    let open_scan = scans::open_scans(tx, &[first.item_id])?.first().map(|(_, scan)| *scan);
    let open_scan = open_scan.map(|ordinal| Number { series: Series::Scan, ordinal });
    Ok(Offer { refusal, default, profiles: scanner.profiles, open_scan })
}

/// The tags of the assets, where the caller's scope asks for them.
pub(super) fn tags_of(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    rows: &[Candidate],
) -> store::Result<HashMap<AssetId, Vec<String>>> {
    if caller.scope == AssetScope::All {
        return Ok(HashMap::new());
    }
    let ids = super::each_once(rows.iter().map(|row| row.asset_id));
    assets::tags(tx, &ids)
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

/// The decision on one item, given all its rows.
pub(super) fn permitted(
    caller: &Caller,
    rows: &[Candidate],
    tags: &HashMap<AssetId, Vec<String>>,
) -> Result<(), Denial> {
    let first = rows.first().ok_or(Denial::Missing)?;
    let cover = if caller.scope == AssetScope::All {
        Cover::Whole
    } else {
        let tags = tags.get(&first.asset_id).map(Vec::as_slice).unwrap_or_default();
        caller.scope.cover([caller.scope.sees(tags.iter().map(String::as_str))])
    };
    let record = access::Record::assigned_to(first.owner_id, Some(&first.group_name)).covered(cover);
    caller.decide(Action::Rescan, &record).ok().map_err(|reason| match reason {
        reason if reason.hides() => Denial::Missing,
        reason => Denial::Person(reason),
    })?;
    let situation = Situation {
        product: &first.product,
        active: first.active,
        stamped: first.stamped,
        closed: first.state == State::Closed,
        connected: first.connected,
        enabled: first.enabled,
        addresses: rows.iter().filter(|row| !row.address.is_empty()).count(),
    };
    rescan::permitted(situation).map_err(Denial::Record)
}

/// What an instance offers for launching.
pub(super) struct Scanner {
    pub(super) instance: Instance,
    pub(super) profiles: Vec<Profile>,
    appliances: Vec<Appliance>,
}

impl Scanner {
    pub(super) fn load(tx: &mut Transaction<'_>, id: InstanceId) -> store::Result<Scanner> {
        let appliances = store::appliances::serving(tx, id)?;
        Ok(Scanner { instance: instances::one(tx, id)?, profiles: instances::profiles(tx, id)?, appliances })
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
