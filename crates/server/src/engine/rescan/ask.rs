//! Asking for a rescan, and calling one off.

use super::plan::{self, Plan, Planned, ProfileChoice, Request, Skipped, Source};
use crate::app::App;
use crate::http::{Caller, Error};
use domain::access::{Action, AssetScope, Cover, Record};
use domain::id::{ItemId, ScanId, SourceHostId};
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use domain::rescan::{self, CallOff, Launch, Leaving, Retry};
use domain::time::Timestamp;
use std::collections::{BTreeSet, HashMap};
use store::audit;
use store::scans::{self, NewChild, NewScan, NewTarget, RetryRow, ScanRow};
use store::{Transaction, assets, numbers};
use uuid::Uuid;

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
    /// What was left out.
    pub skipped: Vec<Skipped>,
    /// The plan is another than the one that was looked at before.
    pub changed: bool,
}

/// What a request would do; nothing is written.
///
/// # Errors
/// As [`request`].
pub async fn preview(app: &App, caller: &Caller, request: Request) -> Result<Plan, Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    app.database.try_read(move |tx| plan::plan(tx, &caller, &request, now)).await
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

pub(super) fn request_in(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    request: &Request,
    now: Timestamp,
) -> Result<Requested, Error> {
    let plan = plan::plan(tx, caller, request, now)?;
    let changed = request.seen.as_ref().is_some_and(|seen| *seen != plan.digest);
    scans::add_targets(tx, &plan.joined)?;
    for other in plan.open.iter().map(|(_, scan)| *scan).collect::<BTreeSet<_>>() {
        let row = scans::by_number(tx, other.ordinal)?;
        if scans::join(tx, row.id, caller.user, request.mail, now)? {
            note(tx, caller, "scan.join", other, serde_json::Value::Null, now)?;
        }
    }
    if plan.launches.is_empty() {
        let latest = plan.open.iter().map(|(_, scan)| *scan).max().ok_or_else(plan::nothing)?;
        let row = scans::by_number(tx, latest.ordinal)?;
        let Plan { open, skipped, .. } = plan;
        return Ok(Requested { scan: latest, id: row.id, new: false, open, skipped, changed });
    }
    let scan = numbers::next(tx, Series::Scan)?;
    let children = children(tx, scan, 1, &plan.launches, now)?;
    let (source, source_key) = request.source.words();
    let new = NewScan {
        number: scan.ordinal,
        scanner: plan.product.clone(),
        source,
        source_key,
        profile_choice: match &request.profile {
            ProfileChoice::Default => String::new(),
            ProfileChoice::Named(word) => word.clone(),
        },
        requested_by: caller.user,
        mail: request.mail,
    };
    let id = scans::create(tx, &new, &children, &plan.excluded(), now)?;
    let detail = serde_json::json!({
        "items": plan.items, "profile": new.profile_choice, "launches": children.len(),
        "addresses": plan.addresses(), "left_out": plan.skipped.len() + plan.open.len(),
    });
    note(tx, caller, "scan.request", scan, detail, now)?;
    Ok(Requested { scan, id, new: true, open: plan.open, skipped: plan.skipped, changed })
}

fn note(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    action: &str,
    scan: Number,
    detail: serde_json::Value,
    now: Timestamp,
) -> store::Result<()> {
    let (actor, resource) = (caller.author(), format!("scans/{scan}"));
    audit::append(tx, &audit::Entry { at: now, actor: &actor, action, resource: &resource, detail })?;
    Ok(())
}

/// The launches as they are written down, each with a title of its own.
fn children(
    tx: &mut Transaction<'_>,
    scan: Number,
    first: i64,
    launches: &[Planned],
    now: Timestamp,
) -> Result<Vec<NewChild>, Error> {
    let mut children = Vec::with_capacity(launches.len());
    for (ordinal, planned) in (first..).zip(launches) {
        let launch = &planned.launch;
        let addresses: HashMap<SourceHostId, String> = addresses(tx, launch)?;
        let hours = store::instances::one(tx, launch.instance)?.tracking_hours;
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
            profile_title: planned.profile.title.clone(),
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

/// Where the caller stands when he calls a request off, and what a permission to do so has to know.
fn leaving(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    scan: &ScanRow,
    everybody: bool,
) -> store::Result<(Leaving, Record)> {
    let wanting: Vec<_> = scans::requesters(tx, scan.id)?.into_iter().filter(|one| one.left_at.is_none()).collect();
    let asked = wanting.iter().any(|one| one.account_id == caller.user);
    let others = wanting.len() - usize::from(asked);
    let cover = cover(tx, caller, scan)?;
    let may_stop = caller.decide(Action::Rescan, &Record::default().covered(cover)).allowed();
    // What he asked for himself he may leave, whatever else joined it since.
    let own = Record::assigned_to(Some(caller.user).filter(|_| asked), None);
    let record = if asked && others > 0 && !everybody { own } else { own.covered(cover) };
    Ok((Leaving { asked, others, may_stop, everybody }, record))
}

fn open(scan: &ScanRow) -> Result<(), Refusal> {
    if scan.ended_at.is_some() {
        return Err(Refusal::new("scan_ended", "the scan has ended; there is nothing left to cancel"));
    }
    Ok(())
}

/// What calling a request off would do for the caller.
///
/// # Errors
/// A failure of the store. The refusal is the inner value.
pub fn may_cancel(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    scan: &ScanRow,
    everybody: bool,
) -> store::Result<Result<CallOff, Refusal>> {
    let (leaving, record) = leaving(tx, caller, scan, everybody)?;
    if let Err(reason) = caller.decide(Action::Rescan, &record).ok() {
        return Ok(Err(reason.into()));
    }
    Ok(open(scan).and_then(|()| rescan::call_off(leaving)))
}

/// Call a request off. The last one who wants it, or who may stop what others asked for, ends it: nothing more is launched,
/// and what runs is cancelled at the scanner; results that are being pulled are still pulled. Otherwise the caller leaves
/// and it goes on for the others.
///
/// # Errors
/// Not found, a missing permission, `scan_ended`, `others_asked`.
pub async fn cancel(app: &App, caller: &Caller, ordinal: i64, everybody: bool) -> Result<CallOff, Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    let cancelled = app.database.try_write(move |tx| {
        let scan = super::load(tx, &caller, ordinal)?;
        let (leaving, record) = leaving(tx, &caller, &scan, everybody)?;
        caller.may(Action::Rescan, &record)?;
        open(&scan)?;
        let done = rescan::call_off(leaving)?;
        match done {
            CallOff::Leave => {
                scans::leave(tx, scan.id, caller.user, now)?;
                note(tx, &caller, "scan.leave", scan.number(), serde_json::Value::Null, now)?;
            }
            CallOff::Stop => {
                let by = format!("cancelled by {}", caller.name);
                scans::request_cancel(tx, scan.id, &by, now)?;
                for child in scans::children(tx, scan.id)? {
                    if child.state == rescan::Child::Cancelled {
                        scans::close_targets(tx, child.id, "not_tested", "the scan was cancelled", now)?;
                    }
                }
                super::judge::parent(tx, scan.id, now)?;
                note(tx, &caller, "scan.cancel", scan.number(), serde_json::Value::Null, now)?;
            }
        }
        Ok::<_, Error>((scan.id, done))
    });
    let (id, done) = cancelled.await?;
    app.wake.notify("scan", id.0);
    app.wake.notify("rescan", 0);
    Ok(done)
}

/// What of a request the caller may ask again: the targets.
fn again(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    scan: &ScanRow,
    what: Retry,
) -> store::Result<Result<Vec<RetryRow>, Refusal>> {
    let own = caller.own();
    if let Err(reason) = caller.decide(Action::Rescan, &own).ok() {
        return Ok(Err(reason.into()));
    }
    let rows = scans::retryable(tx, scan.id, &caller.actor, what)?;
    Ok(rescan::may_retry(scan.ended_at.is_some(), scan.retries, rows.len()).map(|()| rows))
}

/// May the caller ask a request again?
///
/// # Errors
/// A failure of the store. The refusal is the inner value.
pub fn may_retry(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    scan: &ScanRow,
    what: Retry,
) -> store::Result<Result<(), Refusal>> {
    Ok(again(tx, caller, scan, what)?.map(|_| ()))
}

/// Ask again for what came to nothing: the request gets new launches and is open again. Whether an item may be rescanned is
/// asked anew, item by item.
///
/// # Errors
/// Not found, a missing permission, `scan_open`, `nothing_to_retry`, `retries_used`, and what [`request`] refuses.
pub async fn retry(app: &App, caller: &Caller, ordinal: i64, what: Retry) -> Result<(), Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    let retried = app.database.try_write(move |tx| {
        let scan = super::load(tx, &caller, ordinal)?;
        caller.may(Action::Rescan, &caller.own())?;
        let rows = again(tx, &caller, &scan, what)??;
        let only: BTreeSet<(ItemId, SourceHostId)> = rows.iter().map(|row| (row.item_id, row.source_host_id)).collect();
        let numbers: BTreeSet<i64> = rows.iter().map(|row| row.number).collect();
        let items = numbers.into_iter().map(|ordinal| Number { series: Series::Item, ordinal }).collect();
        let profile = match scan.profile_choice.as_str() {
            "" => ProfileChoice::Default,
            word => ProfileChoice::Named(word.to_owned()),
        };
        let source = Source::Items(items);
        let request = Request { source, profile, eligible_only: true, seen: None, mail: true };
        let plan = plan::plan_of(tx, &caller, &request, Some(&only), now)?;
        if plan.launches.is_empty() {
            let why = "all of it is looked at by another rescan already";
            return Err(Refusal::new("open_scan", why).into());
        }
        let first = i64::try_from(scans::children(tx, scan.id)?.len()).unwrap_or(i64::MAX - 1) + 1;
        let children = children(tx, scan.number(), first, &plan.launches, now)?;
        scans::retry(tx, scan.id, &children, now)?;
        scans::join(tx, scan.id, caller.user, true, now)?;
        super::judge::parent(tx, scan.id, now)?;
        let detail = serde_json::json!({ "items": plan.items, "launches": children.len() });
        note(tx, &caller, "scan.retry", scan.number(), detail, now)?;
        Ok::<_, Error>(scan.id)
    });
    let id = retried.await?;
    app.wake.notify("scan", id.0);
    app.wake.notify("rescan", 0);
    Ok(())
}
