//! Rescan requests as bodies.

use super::number;
use crate::engine::rescan::{self, CallOff, Offer, Plan, Planned, Requested, Retry, Skipped};
use crate::http::{Caller, Error};
use domain::access::Action;
use domain::id::{InstanceId, ScanId};
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use domain::rescan::{EXTERNAL, Policy};
use domain::search_list::Tests;
use domain::time::Timestamp;
use jiff::tz::TimeZone;
use protocol::api::scans as body;
use protocol::spreadsheet;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use store::Transaction;
use store::instances::{self, Appliance, Profile};
use store::items;
use store::list::{Page, Query, page};
use store::scans::{self, ChildRow, ExcludedRow, ScanRow, TargetRow, VerdictCount};

/// Targets shown of one request at most.
const SOURCES_MAX: i64 = 5_000;
/// Addresses named of one scan of a plan at most.
const ADDRESSES_NAMED: usize = 20;
/// Vulnerabilities named that a scan of a plan would not test.
const UNTESTED_NAMED: usize = 50;

/// A page of requests within the caller's scope.
///
/// # Errors
/// 422 for a sort or cursor that is not the list's.
pub fn list(tx: &mut Transaction<'_>, caller: &Caller, query: &Query) -> Result<Page<body::Scan>, Error> {
    let found = page::<ScanRow>(tx, &scans::LIST, scans::clip(&caller.actor), query)?;
    let ids: Vec<ScanId> = found.rows.iter().map(|row| row.id).collect();
    let counts = counts(scans::verdict_counts(tx, &ids, &caller.actor)?);
    let rows = found.rows.into_iter().map(|row| {
        let counts = counts.get(&row.id).copied().unwrap_or_default();
        scan(row, counts)
    });
    Ok(Page { rows: rows.collect(), next_cursor: found.next_cursor })
}

fn counts(rows: Vec<VerdictCount>) -> HashMap<ScanId, body::VerdictCounts> {
    let mut counts: HashMap<ScanId, body::VerdictCounts> = HashMap::new();
    for row in rows {
        let of = counts.entry(row.scan_id).or_default();
        let field = match row.verdict.as_str() {
            "fixed" => &mut of.fixed,
            "still_present" => &mut of.still_present,
            "still_present_mitigated" => &mut of.still_present_mitigated,
            "not_reached" => &mut of.not_reached,
            "not_tested" => &mut of.not_tested,
            _ => &mut of.waiting,
        };
        *field += row.count;
    }
    counts
}

fn scan(row: ScanRow, verdicts: body::VerdictCounts) -> body::Scan {
    body::Scan {
        number: row.number().to_string(),
        state: row.state.as_str().to_owned(),
        message: row.message,
        source: row.scanner,
        asked_of: (!row.source_key.is_empty()).then_some(row.source_key),
        profile: (!row.profile_choice.is_empty()).then_some(row.profile_choice),
        requested_by: row.requester,
        requested_at: row.created_at,
        ended_at: row.ended_at,
        children: body::ScanSummary {
            total: row.children,
            completed: row.completed,
            failed: row.failed,
            open: row.children - row.completed - row.failed,
        },
        items: row.items,
        verdicts,
    }
}

/// A request without its parts.
///
/// # Errors
/// A failure of the store.
pub fn summary(tx: &mut Transaction<'_>, caller: &Caller, row: ScanRow) -> Result<body::Scan, Error> {
    let counts = counts(scans::verdict_counts(tx, &[row.id], &caller.actor)?);
    let counts = counts.get(&row.id).copied().unwrap_or_default();
    Ok(scan(row, counts))
}

/// One request with its launches and what it looks at.
///
/// # Errors
/// Not found, a missing permission.
pub fn show(tx: &mut Transaction<'_>, caller: &Caller, ordinal: i64, now: Timestamp) -> Result<body::ScanBody, Error> {
    let row = rescan::load(tx, caller, ordinal)?;
    let own = rescan::may_cancel(tx, caller, &row, false)?;
    let cancel_for_all = permission(&rescan::may_cancel(tx, caller, &row, true)?.map(|_| ()));
    let retry_failed = permission(&rescan::may_retry(tx, caller, &row, Retry::Failed)?);
    let retry_unreached = permission(&rescan::may_retry(tx, caller, &row, Retry::Unreached)?);
    let requesters = scans::requesters(tx, row.id)?.into_iter().map(|one| body::Requester {
        name: one.name,
        at: one.at,
        left_at: one.left_at,
    });
    let rows = scans::children(tx, row.id)?;
    let places = Places::load(tx, &rows)?;
    let name = row.number().to_string();
    let targets = scans::targets(tx, row.id, &caller.actor, SOURCES_MAX)?;
    // A launch scans the addresses of everything it was made for; only those of what the caller may see are told.
    let clipped = items::visible(&caller.actor, Action::ItemsView).is_some();
    let addresses = |row: &ChildRow| -> Vec<String> {
        if !clipped {
            return row.addresses().map(str::to_owned).collect();
        }
        let seen = targets.iter().filter(|target| target.child == row.ordinal).map(|target| target.address.clone());
        seen.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let launches: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let addresses = addresses(&row);
            child(row, addresses, &places)
        })
        .collect();
    let mut unscanned = scans::unscanned(tx, row.id)?;
    if clipped {
        let seen: BTreeSet<(i64, &str)> = targets.iter().map(|row| (row.child, row.address.as_str())).collect();
        unscanned.retain(|row| seen.contains(&(row.child, row.address.as_str())));
    }
    let unscanned = unscanned.into_iter().map(|row| body::Unscanned {
        child: format!("{name}/{}", row.child),
        address: row.address,
        reason: row.reason,
    });
    let unscanned = unscanned.collect();
    let excluded = scans::excluded(tx, row.id, &caller.actor, SOURCES_MAX)?;
    Ok(body::ScanBody {
        scan: summary(tx, caller, row)?,
        leaves: own == Ok(CallOff::Leave),
        cancel: permission(&own.map(|_| ())),
        cancel_for_all,
        retry_failed,
        retry_unreached,
        requesters: requesters.collect(),
        children: launches,
        sources: targets.into_iter().map(|row| source(row, &name, now)).collect(),
        left_out: excluded.into_iter().map(left_out).collect(),
        unscanned,
    })
}

/// The result of one request, line by line, all of it.
///
/// # Errors
/// Not found, a missing permission.
pub fn report(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    ordinal: i64,
    now: Timestamp,
) -> Result<body::ScanReportBody, Error> {
    let row = rescan::load(tx, caller, ordinal)?;
    let scan = row.number().to_string();
    let targets = scans::targets(tx, row.id, &caller.actor, i64::MAX)?;
    let lines = targets.into_iter().map(|row| source(row, &scan, now)).collect();
    Ok(body::ScanReportBody { scan, lines })
}

/// A result as CSV that a spreadsheet opens without harm.
#[must_use]
pub fn report_csv(report: &body::ScanReportBody) -> String {
    const HEAD: [&str; 16] = [
        "scan",
        "item",
        "qid",
        "title",
        "asset",
        "address",
        "verdict",
        "reason",
        "judged_at",
        "state",
        "substate",
        "target",
        "due_at",
        "mitigation",
        "inherent",
        "residual",
    ];
    let mut text = format!("{}\n", HEAD.join(","));
    for line in &report.lines {
        let cells = [
            line.child.clone(),
            line.item.clone(),
            line.qid.to_string(),
            line.title.clone(),
            line.asset.clone(),
            line.address.clone(),
            line.verdict.clone().unwrap_or_default(),
            line.reason.clone(),
            line.judged_at.map(|at| at.to_string()).unwrap_or_default(),
            line.state.clone(),
            line.substate.clone(),
            line.target.clone(),
            line.due_at.map(|at| at.to_string()).unwrap_or_default(),
            line.mitigation.clone(),
            line.inherent.to_string(),
            line.residual.to_string(),
        ];
        text.push_str(&spreadsheet::line(cells.into_iter().map(Cow::Owned)));
    }
    text
}

fn permission(decided: &Result<(), Refusal>) -> body::Permission {
    let reason = decided.as_ref().err().map(|refusal| refusal.sentence.clone());
    body::Permission { allowed: reason.is_none(), reason }
}

fn left_out(row: ExcludedRow) -> body::LeftOut {
    body::LeftOut {
        item: number(Series::Item, row.number),
        asset: row.asset,
        asset_id: row.asset_id.0,
        host: row.host,
        code: row.code,
        reason: row.reason,
        scan: row.other_number.map(|ordinal| number(Series::Scan, ordinal)),
    }
}

/// Names of what launches run on.
struct Places(HashMap<InstanceId, (String, Vec<Profile>, Vec<Appliance>)>);

impl Places {
    fn load(tx: &mut Transaction<'_>, rows: &[ChildRow]) -> store::Result<Places> {
        let ids: BTreeSet<InstanceId> = rows.iter().map(|row| row.instance_id).collect();
        let mut places = HashMap::new();
        for id in ids {
            let name = instances::one(tx, id)?.name;
            places.insert(id, (name, instances::profiles(tx, id)?, instances::appliances(tx, id)?));
        }
        Ok(Places(places))
    }
}

fn child(row: ChildRow, addresses: Vec<String>, places: &Places) -> body::ChildScan {
    let place = places.0.get(&row.instance_id);
    let appliance = match place.and_then(|(_, _, known)| known.iter().find(|one| one.key == row.appliance)) {
        Some(known) => known.name.clone(),
        None if row.appliance == "0" => EXTERNAL.to_owned(),
        None => row.appliance.clone(),
    };
    let known = place.and_then(|(_, known, _)| known.iter().find(|one| one.key == row.profile_key));
    body::ChildScan {
        name: row.name(),
        state: row.state.as_str().to_owned(),
        instance: place.map(|(name, _, _)| name.clone()).unwrap_or_default(),
        appliance,
        profile: body::OptionProfile {
            key: row.profile_key.clone(),
            title: row.profile_title.clone(),
            complete: known.is_none_or(|profile| profile.complete),
            warning: None,
        },
        addresses,
        doubles: row.doubles().map(str::to_owned).collect(),
        reference: (!row.reference.is_empty()).then_some(row.reference),
        message: row.message,
        waits: (!row.waits.is_empty()).then_some(row.waits),
        title: row.request_key,
        network_id: row.network_id,
        adopted: row.adopted,
        retried: row.retried,
        hosts_alive: row.hosts_alive,
        hosts_total: row.hosts_total,
        launched_at: row.launched_at,
        finished_at: row.finished_at,
        ended_at: row.ended_at,
        tracking_until: row.tracking_until,
        import: row.run_number.map(|ordinal| number(Series::IntegrationRun, ordinal)),
    }
}

fn source(row: TargetRow, scan: &str, now: Timestamp) -> body::ScanSource {
    body::ScanSource {
        target: row.target(now).as_str().to_owned(),
        due_at: row.due_at,
        item: row.number().to_string(),
        asset: row.asset,
        asset_id: row.asset_id.0,
        qid: row.qid,
        title: row.title,
        state: row.state.as_str().to_owned(),
        substate: row.substate.as_str().to_owned(),
        mitigation: row.mitigation.as_str().to_owned(),
        inherent: row.inherent,
        residual: row.residual,
        address: row.address,
        child: format!("{scan}/{}", row.child),
        verdict: (!row.verdict.is_empty()).then_some(row.verdict),
        reason: row.reason,
        judged_at: row.judged_at,
    }
}

fn profile(profile: Profile) -> body::OptionProfile {
    body::OptionProfile { key: profile.key, title: profile.title, complete: profile.complete, warning: None }
}

/// What the rescan dialog shows.
#[must_use]
pub fn offer(offer: Offer) -> body::OfferBody {
    let (warnings, qid) = (offer.warnings, offer.qid);
    let warned = |known: Profile| {
        let warning = warnings.get(&known.key).and_then(|tests| tests.warning(&known.title, qid));
        body::OptionProfile { warning, ..profile(known) }
    };
    body::OfferBody {
        allowed: offer.refusal.is_none(),
        code: offer.refusal.as_ref().map(|refusal| refusal.code.to_owned()),
        reason: offer.refusal.map(|refusal| refusal.sentence),
        default_profile: offer.default.map(warned),
        profiles: offer.profiles.into_iter().map(warned).collect(),
        open_scan: offer.open_scan.map(|scan| scan.to_string()),
    }
}

/// What came of asking.
///
/// # Errors
/// A failure of the store.
pub fn requested(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    requested: &Requested,
) -> Result<body::RequestedBody, Error> {
    let row = scans::by_number(tx, requested.scan.ordinal)?;
    Ok(body::RequestedBody {
        message: body::BEING_PROCESSED.to_owned(),
        scan: summary(tx, caller, row)?,
        new: requested.new,
        open: open(&requested.open),
        skipped: requested.skipped.iter().map(skipped).collect(),
        changed: requested.changed,
    })
}

fn open(open: &[(Number, Number)]) -> Vec<body::OpenItem> {
    open.iter().map(|(item, scan)| body::OpenItem { item: item.to_string(), scan: scan.to_string() }).collect()
}

fn skipped(one: &Skipped) -> body::SkippedItem {
    body::SkippedItem {
        item: one.item.to_string(),
        host: one.host.map(|host| host.0),
        code: one.refusal.code.to_owned(),
        reason: one.refusal.sentence.clone(),
    }
}

/// What a request would do.
#[must_use]
pub fn plan(plan: &Plan) -> body::Plan {
    let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let scan = |planned: &Planned| {
        let launch = &planned.launch;
        let items: BTreeSet<_> = launch.targets.iter().map(|(item, _)| *item).collect();
        body::PlannedScan {
            instance: planned.instance.clone(),
            appliance: planned.appliance.clone(),
            appliance_status: planned.status.clone(),
            network_id: launch.network.clone(),
            profile: profile(planned.profile.clone()),
            addresses: launch.addresses.iter().take(ADDRESSES_NAMED).cloned().collect(),
            address_count: whole(launch.addresses.len()),
            items: whole(items.len()),
            opens_at: planned.opens_at,
            opens_local: planned.opens_at.map(|at| civil(at, &planned.zone)),
            seconds_expected: planned.seconds,
            untested: planned.untested.iter().take(UNTESTED_NAMED).filter_map(|one| untested(planned, one)).collect(),
            untested_count: whole(planned.untested.len()),
        }
    };
    body::Plan {
        digest: plan.digest.clone(),
        items: whole(plan.items),
        addresses: whole(plan.addresses()),
        scans: plan.launches.iter().map(scan).collect(),
        open: open(&plan.open),
        left_out: plan.skipped.iter().map(skipped).collect(),
    }
}

/// What a scan of a plan would not test.
fn untested(planned: &Planned, (qid, tests): &(i64, Tests)) -> Option<body::Untested> {
    let reason = tests.warning(&planned.profile.title, *qid)?;
    Some(body::Untested { qid: *qid, tests: tests.as_str().to_owned(), reason })
}

/// An instant on the clocks of a zone, with its name.
fn civil(at: Timestamp, zone: &str) -> String {
    let zoned = at.to_jiff().in_tz(zone).unwrap_or_else(|_| at.to_jiff().to_zoned(TimeZone::UTC));
    format!("{} {zone}", zoned.strftime("%Y-%m-%d %H:%M"))
}

/// A policy as a body.
#[must_use]
pub fn policy(policy: &Policy) -> body::Policy {
    let time = |minute: i64| format!("{:02}:{:02}", minute.div_euclid(60), minute.rem_euclid(60));
    body::Policy {
        from: time(policy.window_from),
        until: time(policy.window_until),
        zone: policy.zone.clone(),
        running_max: policy.running_max,
        launches_max: policy.launches_max,
        launches_seconds: policy.launches_seconds,
        on_resolved: policy.on_resolved,
    }
}

/// A policy from a body.
///
/// # Errors
/// 422 for what is no time of the day.
pub fn policy_of(given: &body::Policy) -> Result<Policy, Error> {
    let minute = |field: &str, text: &str| {
        let parts = text.trim().split_once(':');
        let whole = |part: &str| part.parse::<i64>().ok().filter(|_| part.len() == 2);
        let minute = parts.and_then(|(hour, minute)| Some((whole(hour)?, whole(minute)?)));
        let minute = minute.filter(|(hour, minute)| (0..24).contains(hour) && (0..60).contains(minute));
        let wrong = || Error::field(field, "bad_time", "give a time of the day, 00:00 to 23:59");
        minute.map(|(hour, minute)| hour * 60 + minute).ok_or_else(wrong)
    };
    Ok(Policy {
        window_from: minute("from", &given.from)?,
        window_until: minute("until", &given.until)?,
        zone: given.zone.trim().to_owned(),
        running_max: given.running_max,
        launches_max: given.launches_max,
        launches_seconds: given.launches_seconds,
        on_resolved: given.on_resolved,
    })
}
