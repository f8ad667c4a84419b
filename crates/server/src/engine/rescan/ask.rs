//! Asking for a rescan, and calling one off.

use super::offer::{Denial, Scanner, permitted, tags_of};
use crate::app::App;
use crate::http::{Caller, Error};
use domain::access::{Action, AssetScope, Cover, Record};
use domain::id::{InstanceId, ItemId, ScanId, SourceHostId};
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use domain::rescan::{self, ITEMS_MAX, Launch, Target};
use domain::time::Timestamp;
use protocol::problem::FieldError;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use store::audit;
use store::instances::Profile;
use store::scans::{self, Candidate, NewChild, NewScan, NewTarget, ScanRow};
use store::{Transaction, assets, numbers};
use uuid::Uuid;

/// Which option profile to scan with (S2.11, S2.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileChoice {
    /// The appliance's, else the instance's.
    Default,
    /// The one of this key or title.
    Named(String),
}

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Items, one or several.
    pub items: Vec<Number>,
    /// With which profile.
    pub profile: ProfileChoice,
    /// Leave out the items that may not be rescanned instead of refusing them all.
    pub eligible_only: bool,
}

/// An item that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its number.
    pub item: Number,
    /// Why.
    pub refusal: Refusal,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// The request that looks at the items: a new one, or the one that did already.
    pub scan: Number,
    /// Its key.
    pub id: ScanId,
    /// It is new.
    pub new: bool,
    /// Items that an open request looks at already, and which.
    pub open: Vec<(Number, Number)>,
    /// Items that were left out.
    pub skipped: Vec<Skipped>,
}

/// Ask for a rescan. An item that an open request looks at already is not launched again.
///
/// # Errors
/// A missing permission, an item that may not be rescanned (409 with its reason for one item, 422 naming each for
/// several), no default option profile, an unknown profile.
pub async fn request(app: &App, caller: &Caller, request: Request) -> Result<Requested, Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    let requested = app.database.try_write(move |tx| request_in(tx, &caller, &request, now)).await?;
    app.wake.notify("scan", requested.id.0);
    app.wake.notify("rescan", 0);
    Ok(requested)
}

fn request_in(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    request: &Request,
    now: Timestamp,
) -> Result<Requested, Error> {
    let (mut items, skipped) = eligible(tx, caller, request)?;
    let ids: Vec<ItemId> = items.values().filter_map(|rows| rows.first()).map(|row| row.item_id).collect();
    let open: HashMap<ItemId, i64> = scans::open_scans(tx, &ids)?.into_iter().collect();
    let already: Vec<(Number, Number)> = items
        .iter()
        .filter_map(|(number, rows)| Some((*number, *open.get(&rows.first()?.item_id)?)))
        .map(|(item, scan)| (number(Series::Item, item), number(Series::Scan, scan)))
        .collect();
    items.retain(|_, rows| rows.first().is_some_and(|row| !open.contains_key(&row.item_id)));
    if items.is_empty() {
        let latest = already.iter().map(|(_, scan)| *scan).max().ok_or_else(nothing)?;
        let row = scans::by_number(tx, latest.ordinal)?;
        return Ok(Requested { scan: latest, id: row.id, new: false, open: already, skipped });
    }
    let (launches, profiles) = launches(tx, &items, &request.profile)?;
    let scan = numbers::next(tx, Series::Scan)?;
    let children = children(tx, scan, &launches, &profiles, now)?;
    let product = items.values().flatten().next().map(|row| row.product.clone()).unwrap_or_default();
    let new = NewScan {
        number: scan.ordinal,
        scanner: product,
        source: "vulnerable_item",
        profile_choice: match &request.profile {
            ProfileChoice::Default => String::new(),
            ProfileChoice::Named(word) => word.clone(),
        },
        requested_by: caller.user,
    };
    let id = scans::create(tx, &new, &children, now)?;
    let detail = serde_json::json!({
        "items": items.len(), "profile": new.profile_choice, "launches": children.len(),
        "addresses": launches.iter().map(|launch| launch.addresses.len()).sum::<usize>(),
    });
    let (actor, resource) = (caller.author(), format!("scans/{scan}"));
    audit::append(tx, &audit::Entry { at: now, actor: &actor, action: "scan.request", resource: &resource, detail })?;
    Ok(Requested { scan, id, new: true, open: already, skipped })
}

fn number(series: Series, ordinal: i64) -> Number {
    Number { series, ordinal }
}

fn nothing() -> Error {
    Error::field("items", "no_items", "name at least one item")
}

/// Profiles by instance and key.
type Profiles = HashMap<(InstanceId, String), Profile>;
type Items = BTreeMap<i64, Vec<Candidate>>;

/// The items that may be rescanned with their hosts, and those that are left out.
fn eligible(tx: &mut Transaction<'_>, caller: &Caller, request: &Request) -> Result<(Items, Vec<Skipped>), Error> {
    let wanted: BTreeSet<i64> = request.items.iter().map(|item| item.ordinal).collect();
    if wanted.is_empty() {
        return Err(nothing());
    }
    if wanted.len() > ITEMS_MAX {
        let why = format!("at most {ITEMS_MAX} items fit into one request; ask for the rest in another");
        return Err(Error::field("items", "too_many_items", why));
    }
    let ordinals: Vec<i64> = wanted.iter().copied().collect();
    let rows = scans::candidates(tx, &ordinals)?;
    let tags = tags_of(tx, caller, &rows)?;
    let mut items: Items = wanted.iter().map(|ordinal| (*ordinal, Vec::new())).collect();
    for row in rows {
        items.entry(row.number).or_default().push(row);
    }
    let mut skipped = Vec::new();
    for (ordinal, rows) in &items {
        match permitted(caller, rows, &tags) {
            Ok(()) => {}
            Err(Denial::Person(reason)) if wanted.len() == 1 => return Err(reason.into()),
            Err(Denial::Missing) if wanted.len() == 1 => {
                return Err(Error::NotFound(format!("item {}", number(Series::Item, *ordinal))));
            }
            Err(denial) => skipped.push(Skipped { item: number(Series::Item, *ordinal), refusal: denial.into() }),
        }
    }
    if !skipped.is_empty() && (!request.eligible_only || skipped.len() == items.len()) {
        return Err(refused(skipped));
    }
    items.retain(|ordinal, _| !skipped.iter().any(|left| left.item.ordinal == *ordinal));
    Ok((items, skipped))
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

/// Where every target is scanned from and with what, split into launches.
fn launches(tx: &mut Transaction<'_>, items: &Items, choice: &ProfileChoice) -> Result<(Vec<Launch>, Profiles), Error> {
    let mut scanners: HashMap<InstanceId, Scanner> = HashMap::new();
    let mut profiles = HashMap::new();
    let mut targets = Vec::new();
    for row in items.values().flatten().filter(|row| !row.address.is_empty()) {
        let Some(source_host) = row.source_host_id else { continue };
        let scanner = match scanners.entry(row.instance_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Scanner::load(tx, row.instance_id)?),
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
    Ok((rescan::plan(&targets), profiles))
}

fn profile<'s>(scanner: &'s Scanner, choice: &ProfileChoice, default: Option<&str>) -> Result<&'s Profile, Error> {
    let name = &scanner.instance.name;
    match choice {
        ProfileChoice::Named(word) => scanner.profile(word).ok_or_else(|| {
            let why = format!("{name} has no option profile {word}; choose one of the list");
            Error::field("profile", "unknown_profile", why)
        }),
        ProfileChoice::Default => {
            let Some(word) = default else {
                let why =
                    format!("{name} has no default option profile; choose one, or set the default of the instance");
                return Err(Refusal::new("no_default_profile", why).into());
            };
            scanner.profile(word).ok_or_else(|| {
                let why = format!("the default option profile {word} of {name} does not exist at the scanner any more");
                Refusal::new("no_default_profile", why).into()
            })
        }
    }
}

/// The launches as they are written down, each with a title of its own.
fn children(
    tx: &mut Transaction<'_>,
    scan: Number,
    launches: &[Launch],
    profiles: &Profiles,
    now: Timestamp,
) -> Result<Vec<NewChild>, Error> {
    let mut children = Vec::with_capacity(launches.len());
    for (ordinal, launch) in (1..).zip(launches) {
        let addresses: HashMap<SourceHostId, String> = addresses(tx, launch)?;
        let hours = store::instances::one(tx, launch.instance)?.tracking_hours;
        let title = profiles.get(&(launch.instance, launch.profile.clone())).map(|profile| profile.title.clone());
        let targets = launch.targets.iter().map(|(item, source_host)| NewTarget {
            item: *item,
            source_host: *source_host,
            address: addresses.get(source_host).cloned().unwrap_or_default(),
        });
        children.push(NewChild {
            instance: launch.instance,
            appliance: launch.appliance.clone(),
            network: launch.network.clone(),
            profile_key: launch.profile.clone(),
            profile_title: title.unwrap_or_default(),
            addresses: launch.addresses.clone(),
            request_key: format!("Quell {scan}/{ordinal} {}", Uuid::new_v4().simple()),
            tracking_until: now.plus_seconds(hours.saturating_mul(3_600)),
            targets: targets.collect(),
        });
    }
    Ok(children)
}

fn addresses(tx: &mut Transaction<'_>, launch: &Launch) -> store::Result<HashMap<SourceHostId, String>> {
    let hosts = super::each_once(launch.targets.iter().map(|(_, host)| *host));
    scans::addresses(tx, &hosts)
}

/// How much of what a request looks at lies in the caller's scope.
pub(super) fn cover(tx: &mut Transaction<'_>, caller: &Caller, scan: &ScanRow) -> store::Result<Cover> {
    if caller.scope == AssetScope::All {
        return Ok(Cover::Whole);
    }
    let ids = scans::assets(tx, scan.id)?;
    let tags = assets::tags(tx, &ids)?;
    Ok(caller.scope.cover(ids.iter().map(|id| {
        let tags = tags.get(id).map(Vec::as_slice).unwrap_or_default();
        caller.scope.sees(tags.iter().map(String::as_str))
    })))
}

/// What a permission to call a request off has to know: it belongs to who asked.
fn record(tx: &mut Transaction<'_>, caller: &Caller, scan: &ScanRow) -> store::Result<Record> {
    Ok(Record::assigned_to(Some(scan.requested_by), None).covered(cover(tx, caller, scan)?))
}

/// May the caller call this request off?
///
/// # Errors
/// A failure of the store. The refusal is the inner value.
pub fn may_cancel(tx: &mut Transaction<'_>, caller: &Caller, scan: &ScanRow) -> store::Result<Result<(), Refusal>> {
    let record = record(tx, caller, scan)?;
    if let Err(reason) = caller.decide(Action::Rescan, &record).ok() {
        return Ok(Err(reason.into()));
    }
    if scan.ended_at.is_some() {
        return Ok(Err(Refusal::new("scan_ended", "the scan has ended; there is nothing left to cancel")));
    }
    Ok(Ok(()))
}

/// Call a request off: nothing more is launched, and what runs is cancelled at the scanner. Results that are being
/// pulled are still pulled.
///
/// # Errors
/// Not found, a missing permission, `scan_ended`.
pub async fn cancel(app: &App, caller: &Caller, ordinal: i64) -> Result<(), Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    let cancelled = app.database.try_write(move |tx| {
        let scan = super::load(tx, &caller, ordinal)?;
        caller.may(Action::Rescan, &record(tx, &caller, &scan)?)?;
        may_cancel(tx, &caller, &scan)??;
        let by = format!("cancelled by {}", caller.name);
        scans::request_cancel(tx, scan.id, &by, now)?;
        for child in scans::children(tx, scan.id)? {
            if child.state == rescan::Child::Cancelled {
                scans::close_targets(tx, child.id, "not_tested", "the scan was cancelled", now)?;
            }
        }
        super::judge::parent(tx, scan.id, now)?;
        let (actor, resource) = (caller.author(), format!("scans/{}", scan.number()));
        let detail = serde_json::Value::Null;
        audit::append(
            tx,
            &audit::Entry { at: now, actor: &actor, action: "scan.cancel", resource: &resource, detail },
        )?;
        Ok::<_, Error>(scan.id)
    });
    let id = cancelled.await?;
    app.wake.notify("scan", id.0);
    app.wake.notify("rescan", 0);
    Ok(())
}
