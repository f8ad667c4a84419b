//! What a request would do: which items it looks at, by which launches, and what it leaves out. The preview and the request
//! itself are made of the same plan.

use super::offer::{Denial, Judge, Scanner};
use super::record;
use crate::http::{Caller, Error};
use domain::id::{AssetId, InstanceId, ItemId, SourceHostId};
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use domain::rescan::{self, ITEMS_MAX, Launch, Target, Waiting};
use domain::search_list::Tests;
use domain::time::Timestamp;
use protocol::problem::FieldError;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use store::Transaction;
use store::instances::Profile;
use store::scans::{self, Candidate, Joined, NewExcluded};
use store::search_lists;

/// Which option profile to scan with (S2.11, S2.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileChoice {
    /// The appliance's, else the instance's.
    Default,
    /// The one of this key or title.
    Named(String),
}

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Items, one or several.
    Items(Vec<Number>),
    /// What is open on an asset and may be rescanned.
    Asset(AssetId),
    /// What is open in a remediation task or an effort.
    Record(Number),
    /// Items that somebody resolved.
    Resolved(Vec<Number>),
}

impl Source {
    /// The word in the database, and which record it is about.
    pub(super) fn words(&self) -> (&'static str, String) {
        match self {
            Source::Items(_) => ("vulnerable_item", String::new()),
            Source::Asset(asset) => ("asset", format!("assets/{asset}")),
            Source::Record(number) => record::words(*number),
            Source::Resolved(_) => ("vulnerable_item", RESOLVED.to_owned()),
        }
    }
}

/// What a record says of which it was asked because its items were resolved.
pub const RESOLVED: &str = "resolved";

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is to be looked at.
    pub source: Source,
    /// With which profile.
    pub profile: ProfileChoice,
    /// Leave out the items that may not be rescanned instead of refusing them all.
    pub eligible_only: bool,
    /// Digest of the plan that was looked at before; none where nobody looked.
    pub seen: Option<String>,
    /// Mail the caller when it ends, where his account has an address.
    pub mail: bool,
}

/// An item, or one host of it, that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its number.
    pub item: Number,
    /// The host, where only that one is left out.
    pub host: Option<SourceHostId>,
    /// Why.
    pub refusal: Refusal,
}

/// One launch with the names of where it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// What is sent.
    pub launch: Launch,
    /// Name of the instance.
    pub instance: String,
    /// Name of the appliance.
    pub appliance: String,
    /// What the scanner says of the appliance; empty for its own machines.
    pub status: String,
    /// The option profile.
    pub profile: Profile,
    /// When the scan window of the integration opens; none while it is open.
    pub opens_at: Option<Timestamp>,
    /// The time zone of that window.
    pub zone: String,
    /// How long scans of this size took lately, in seconds; none where there was none.
    pub seconds: Option<i64>,
    /// What the profile does not look for although it is asked for, and what cannot be told.
    pub untested: Vec<(i64, Tests)>,
}

/// What a request would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// How many items it looks at.
    pub items: usize,
    /// Its launches.
    pub launches: Vec<Planned>,
    /// Items that an open request looks at already, or takes in, and which.
    pub open: Vec<(Number, Number)>,
    /// Of these, what a launch takes in that was never sent.
    pub(super) joined: Vec<Joined>,
    /// What is left out.
    pub skipped: Vec<Skipped>,
    /// Recognises the same plan again.
    pub digest: String,
    /// The product of the scanner.
    pub(super) product: String,
    ids: HashMap<i64, ItemId>,
}

type Items = BTreeMap<i64, Vec<Candidate>>;

/// The plan of a request. Without a launch everything is looked at already.
///
/// # Errors
/// A missing permission, an item that may not be rescanned (409 with its reason for one item, 422 naming each for
/// several), no item, more than fit, an unknown profile.
pub fn plan(tx: &mut Transaction<'_>, caller: &Caller, request: &Request, now: Timestamp) -> Result<Plan, Error> {
    plan_of(tx, caller, request, None, now)
}

/// The same for some hosts of the items only; nothing of it joins another request then.
pub(super) fn plan_of(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    request: &Request,
    only: Option<&BTreeSet<(ItemId, SourceHostId)>>,
    now: Timestamp,
) -> Result<Plan, Error> {
    let mut judge = Judge::new(tx, caller)?;
    if matches!(request.source, Source::Record(_)) {
        judge = judge.following();
    }
    let (mut items, mut skipped) = eligible(tx, caller, &mut judge, request)?;
    let ids: HashMap<i64, ItemId> =
        items.iter().filter_map(|(number, rows)| Some((*number, rows.first()?.item_id))).collect();
    items.retain(|ordinal, _| !skipped.iter().any(|left| left.item.ordinal == *ordinal));
    let wanted: Vec<ItemId> = items.values().filter_map(|rows| rows.first()).map(|row| row.item_id).collect();
    let open: HashMap<ItemId, i64> = scans::open_scans(tx, &wanted)?.into_iter().collect();
    let mut already: Vec<(Number, Number)> = items
        .iter()
        .filter_map(|(number, rows)| Some((*number, *open.get(&rows.first()?.item_id)?)))
        .map(|(item, scan)| (number(Series::Item, item), number(Series::Scan, scan)))
        .collect();
    items.retain(|_, rows| rows.first().is_some_and(|row| !open.contains_key(&row.item_id)));
    skipped.extend(items.values().flatten().filter_map(|row| {
        let refusal = rescan::unscannable(&row.address, &row.tracking)?;
        Some(Skipped { item: number(Series::Item, row.number), host: row.source_host_id, refusal })
    }));
    let (mut targets, profiles) = targets(&judge, &items, &request.profile)?;
    let (targets, joined) = if let Some(only) = only {
        targets.retain(|target| only.contains(&(target.item, target.source_host)));
        (targets, Vec::new())
    } else {
        coalesced(tx, targets)?
    };
    let of_item: HashMap<ItemId, i64> = ids.iter().map(|(ordinal, item)| (*item, *ordinal)).collect();
    let taken: BTreeSet<(i64, i64)> =
        joined.iter().filter_map(|(scan, joined)| Some((*of_item.get(&joined.item)?, *scan))).collect();
    already.extend(taken.iter().map(|(item, scan)| (number(Series::Item, *item), number(Series::Scan, *scan))));
    let mut launches = launches(&judge, &targets, &profiles);
    let qids: HashMap<ItemId, i64> = items.values().flatten().map(|row| (row.item_id, row.qid)).collect();
    for planned in &mut launches {
        foresee(tx, planned, &qids, now)?;
    }
    let launched: BTreeSet<ItemId> = targets.iter().map(|target| target.item).collect();
    let product = items.values().flatten().next().map(|row| row.product.clone()).unwrap_or_default();
    let mut plan = Plan {
        items: launched.len(),
        launches,
        open: already,
        joined: joined.into_iter().map(|(_, joined)| joined).collect(),
        skipped,
        digest: String::new(),
        product,
        ids,
    };
    plan.digest = plan.recognised();
    Ok(plan)
}

/// What is worth knowing of a launch before it is sent.
fn foresee(
    tx: &mut Transaction<'_>,
    planned: &mut Planned,
    qids: &HashMap<ItemId, i64>,
    now: Timestamp,
) -> store::Result<()> {
    let launch = &planned.launch;
    let policy = scans::policy(tx, launch.instance)?.0;
    planned.opens_at = policy.opens_at(now);
    planned.zone = policy.zone;
    planned.seconds = scans::expected_seconds(tx, launch.instance, launch.addresses.len())?;
    let wanted: Vec<i64> = launch.targets.iter().filter_map(|(item, _)| qids.get(item).copied()).collect();
    planned.untested = search_lists::untested(tx, launch.instance, &launch.profile, &wanted)?;
    Ok(())
}

impl Plan {
    /// The digest: what is launched where, and what is left out.
    fn recognised(&self) -> String {
        let launches: Vec<_> = self.launches.iter().map(|planned| &planned.launch).collect();
        let text = format!("{launches:?} {:?} {:?}", self.open, self.skipped);
        let mut hex = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        hex.truncate(32);
        hex
    }

    /// What the record keeps of what is left out. Of what the caller may not know of nothing is kept.
    pub(super) fn excluded(&self) -> Vec<NewExcluded> {
        let skipped = self.skipped.iter().filter_map(|one| {
            Some(NewExcluded {
                item: *self.ids.get(&one.item.ordinal)?,
                source_host: one.host,
                code: one.refusal.code,
                reason: one.refusal.sentence.clone(),
                other: None,
            })
        });
        let open = self.open.iter().filter_map(|(item, scan)| {
            let reason = format!("{scan} looks at it already");
            let item = *self.ids.get(&item.ordinal)?;
            Some(NewExcluded { item, source_host: None, code: "open_scan", reason, other: Some(scan.ordinal) })
        });
        skipped.filter(|one| one.code != MISSING).chain(open).collect()
    }

    /// Addresses of all launches.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.launches.iter().map(|planned| planned.launch.addresses.len()).sum()
    }
}

/// The code of an item that is not there for the caller.
pub(super) const MISSING: &str = "not_found";

fn number(series: Series, ordinal: i64) -> Number {
    Number { series, ordinal }
}

pub(super) fn nothing() -> Error {
    Error::field("items", "no_items", "name at least one item")
}

/// The ordinals of what is to be looked at, each once.
fn wanted(tx: &mut Transaction<'_>, caller: &Caller, request: &Request) -> Result<BTreeSet<i64>, Error> {
    match &request.source {
        Source::Items(items) | Source::Resolved(items) => {
            let wanted: BTreeSet<i64> = items.iter().map(|item| item.ordinal).collect();
            if wanted.is_empty() {
                return Err(nothing());
            }
            if wanted.len() > ITEMS_MAX {
                let why = format!(
                    "{} items are more than the {ITEMS_MAX} that fit into one request; ask for the rest in another",
                    wanted.len()
                );
                return Err(Error::field("items", "too_many_items", why));
            }
            Ok(wanted)
        }
        Source::Asset(asset) => {
            let found = scans::open_items(tx, *asset, Some(&caller.actor), ITEMS_MAX + 1)?;
            if found.len() > ITEMS_MAX {
                let why = format!("more than {ITEMS_MAX} items are open on the asset; choose among them in the list");
                return Err(Refusal::new("too_many_items", why).into());
            }
            if found.is_empty() {
                super::of_asset(tx, caller, *asset)??;
                return Err(nothing());
            }
            Ok(found.into_iter().collect())
        }
        Source::Record(number) => Ok(record::wanted(tx, caller, *number, request.eligible_only)?.into_iter().collect()),
    }
}

/// The items with their hosts, and those that are left out.
fn eligible(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    judge: &mut Judge<'_>,
    request: &Request,
) -> Result<(Items, Vec<Skipped>), Error> {
    let wanted = wanted(tx, caller, request)?;
    let ordinals: Vec<i64> = wanted.iter().copied().collect();
    let rows = scans::candidates(tx, &ordinals)?;
    judge.learn(tx, &rows)?;
    let mut items: Items = wanted.iter().map(|ordinal| (*ordinal, Vec::new())).collect();
    for row in rows {
        items.entry(row.number).or_default().push(row);
    }
    let one = matches!(request.source, Source::Items(_)) && wanted.len() == 1;
    let mut skipped = Vec::new();
    for (ordinal, rows) in &items {
        let item = number(Series::Item, *ordinal);
        match judge.permitted(rows) {
            Ok(()) => {}
            Err(Denial::Person(reason)) if one => return Err(reason.into()),
            Err(Denial::Missing) if one => return Err(Error::NotFound(format!("item {item}"))),
            Err(denial) => skipped.push(Skipped { item, host: None, refusal: denial.into() }),
        }
    }
    if skipped.is_empty() {
        return Ok((items, skipped));
    }
    let none = skipped.len() == items.len();
    match request.source {
        Source::Asset(asset) if none => {
            super::of_asset(tx, caller, asset)??;
            Err(refused(skipped))
        }
        Source::Record(number) if none => {
            super::of_record(tx, caller, number, request.eligible_only)??;
            Err(refused(skipped))
        }
        Source::Items(_) | Source::Resolved(_) if none || !request.eligible_only => Err(refused(skipped)),
        _ => Ok((items, skipped)),
    }
}

/// One refusal says so by itself; several are named one by one.
fn refused(mut skipped: Vec<Skipped>) -> Error {
    const NAMED_MAX: usize = 50;
    if skipped.len() == 1
        && let Some(one) = skipped.pop()
    {
        return one.refusal.into();
    }
    let named = skipped.iter().take(NAMED_MAX).map(|one| {
        let message = format!("{}: {}", one.item, one.refusal.sentence);
        FieldError::new("items", one.refusal.code, message)
    });
    Error::Invalid(named.collect())
}

/// Targets of launches of one's own, and what goes with the launch of another request of this ordinal.
type Coalesced = (Vec<Target>, Vec<(i64, Joined)>);

/// What launches that were never sent take in: the rest, and each of these with the ordinal of its request.
fn coalesced(tx: &mut Transaction<'_>, targets: Vec<Target>) -> store::Result<Coalesced> {
    let (mut waiting, mut numbers) = (Vec::new(), Vec::new());
    for instance in super::each_once(targets.iter().map(|target| target.instance)) {
        for row in scans::unsent(tx, instance)? {
            numbers.push(row.number);
            waiting.push(Waiting {
                child: row.id,
                instance,
                appliance: row.appliance,
                network: row.network_id,
                profile: row.profile_key,
                addresses: row.addresses.split(',').map(str::to_owned).collect(),
            });
        }
    }
    let (rest, joined) = rescan::coalesce(targets, &waiting);
    let joined = joined.into_iter().filter_map(|(place, target)| {
        let (child, number) = (waiting.get(place)?.child, *numbers.get(place)?);
        let Target { item, source_host, address, .. } = target;
        Some((number, Joined { child, item, source_host, address }))
    });
    Ok((rest, joined.collect()))
}

type Profiles = HashMap<(InstanceId, String), Profile>;

/// Where everything is scanned from, and with what.
fn targets(judge: &Judge<'_>, items: &Items, choice: &ProfileChoice) -> Result<(Vec<Target>, Profiles), Error> {
    let mut profiles = Profiles::new();
    let mut targets = Vec::new();
    for row in items.values().flatten().filter(|row| !row.address.is_empty()) {
        let (Some(source_host), Some(scanner)) = (row.source_host_id, judge.scanners.get(&row.instance_id)) else {
            continue;
        };
        let place = scanner.place(&row.address, &row.network_id);
        let profile = profile(scanner, choice, place.profile)?;
        profiles.insert((row.instance_id, profile.key.clone()), profile.clone());
        targets.push(Target {
            item: row.item_id,
            source_host,
            instance: row.instance_id,
            network: row.network_id.clone(),
            appliance: place.appliance.to_owned(),
            profile: profile.key.clone(),
            address: row.address.clone(),
        });
    }
    Ok((targets, profiles))
}

/// The launches of targets, with the names of where they run.
fn launches(judge: &Judge<'_>, targets: &[Target], profiles: &Profiles) -> Vec<Planned> {
    let planned = rescan::plan(targets).into_iter().filter_map(|launch| {
        let scanner = judge.scanners.get(&launch.instance)?;
        let (appliance, status) = scanner.appliance(&launch.appliance);
        let profile = profiles.get(&(launch.instance, launch.profile.clone()))?.clone();
        let instance = scanner.instance.name.clone();
        let (zone, untested) = (String::new(), Vec::new());
        Some(Planned { launch, instance, appliance, status, profile, opens_at: None, zone, seconds: None, untested })
    });
    planned.collect()
}

fn profile<'s>(scanner: &'s Scanner, choice: &ProfileChoice, default: Option<&str>) -> Result<&'s Profile, Error> {
    let name = &scanner.instance.name;
    match choice {
        ProfileChoice::Named(word) => scanner.profile(word).ok_or_else(|| {
            let why = format!("{name} has no option profile {word}; choose one of the list");
            Error::field("profile", "unknown_profile", why)
        }),
        // An item without one is refused before; this is for who changed it meanwhile.
        ProfileChoice::Default => default.and_then(|word| scanner.profile(word)).ok_or_else(|| {
            Refusal::new("no_default_profile", format!("{name} has no default option profile; set one")).into()
        }),
    }
}
