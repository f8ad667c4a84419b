//! The gateway: mitigation and patch jobs, the catalogue of mitigations and the asset count. Bearer token only, JSON both ways.
//!
//! Jobs are a function of the seed and never change; they can be looked at, not made (spec "mitigation jobs", section 6).

use super::call::Call;
use super::faults::FaultKind;
use super::host_list::risk;
use super::reply::Reply;
use super::route::Endpoint;
use super::xml::stamp;
use crate::hosts::Host;
use crate::os::Os;
use crate::roll::Roll;
use crate::weakness::{self, Safeguard, Weakness};
use crate::world::Plan;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Most entries of one page.
const PAGE_MAX: usize = 200;
/// Entries of a page when the call does not say how many.
const PAGE_DEFAULT: usize = 10;

/// Answers a call.
pub(super) fn answer(call: &Call) -> Reply {
    let options = &call.app.world.options;
    if call.fault == Some(FaultKind::BadLogin) || !call.app.access.has_token(&call.headers, call.now) {
        return unauthorized(call);
    }
    if let Some(FaultKind::RateLimited { seconds, .. }) = call.fault {
        let text = json!({ "error": "Too many requests", "retryAfter": seconds });
        return Reply::json(429, &text)
            .with("x-ratelimit-limit", options.limits.rate.to_string())
            .with("x-ratelimit-remaining", "0");
    }
    let method = if call.endpoint == Endpoint::AssetCount { "POST" } else { "GET" };
    if call.method != method {
        return failure(405, "405", &format!("The resource takes {method}."));
    }
    match call.endpoint {
        Endpoint::MitigationJobs => Reply::json(200, &Value::Array(jobs(call, MITIGATION))),
        Endpoint::PatchJobs => Reply::json(200, &Value::Array(jobs(call, PATCH))),
        Endpoint::MitigationJob => one_job(call),
        Endpoint::Mitigations => Reply::json(200, &Value::Array(catalogue(call))),
        _ => count(call),
    }
}

/// 401 with JSON, as every call of the gateway answers without a token that holds.
pub(super) fn unauthorized(call: &Call) -> Reply {
    let body = json!({ "timestamp": stamp(call.now), "status": 401, "error": "Unauthorized", "path": call.path });
    Reply::json(401, &body)
}

fn failure(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({ "_error": { "errorCode": code, "message": message } }))
}

/// One page of a list, by `pageSize` and `pageNumber` (from 0).
fn page<T>(call: &Call, rows: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    let number = |name: &str| call.params.number(name).and_then(|value| usize::try_from(value).ok());
    let size = number("pageSize").unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    rows.skip(number("pageNumber").unwrap_or(0).saturating_mul(size)).take(size)
}

/// A kind of job.
#[derive(Debug, Clone, Copy)]
struct JobKind {
    key: u64,
    category: u32,
    word: &'static str,
}

const MITIGATION: JobKind = JobKind { key: 90, category: 3, word: "Mitigation" };
const PATCH: JobKind = JobKind { key: 91, category: 1, word: "Patch" };

/// Platform, name, status, schedule and how far it is, of the jobs of either kind.
const JOBS: &[(&str, &str, &str, &str, u32)] = &[
    ("Linux", "hardening of the demo servers", "Enabled", "On-demand", 100),
    ("Linux", "next maintenance window", "Disabled", "Once", 0),
    ("Windows", "legacy protocols off", "Enabled", "Once", 40),
];

fn jobs(call: &Call, kind: JobKind) -> Vec<Value> {
    let wanted = |name: &str, value: &str| call.params.get(name).is_none_or(|asked| asked.eq_ignore_ascii_case(value));
    let found = (0..JOBS.len())
        .filter(|at| JOBS.get(*at).is_some_and(|job| wanted("platform", job.0) && wanted("status", job.2)));
    page(call, found).filter_map(|at| job(call, kind, at)).collect()
}

fn job_id(call: &Call, kind: JobKind, at: usize) -> String {
    Roll::new(call.app.world.options.seed, &[kind.key, at as u64]).uuid().to_string()
}

fn one_job(call: &Call) -> Reply {
    let id = call.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let found = (0..JOBS.len()).find(|at| job_id(call, MITIGATION, *at) == id);
    match found.and_then(|at| job(call, MITIGATION, at)) {
        Some(job) => Reply::json(200, &job),
        None => failure(404, "2404", "There is no deployment job of this id."),
    }
}

/// A job: what was asked for, and what the service adds to it.
fn job(call: &Call, kind: JobKind, at: usize) -> Option<Value> {
    let (platform, name, status, schedule, done) = *JOBS.get(at)?;
    let options = &call.app.world.options;
    let origin = call.app.world.source.origin;
    let made = origin.checked_sub(SignedDuration::from_hours(24 * (at as i64 + 3))).unwrap_or(origin);
    let starts = origin.checked_add(SignedDuration::from_hours(36)).unwrap_or(origin);
    let hosts = if platform == "Linux" { demo_hosts(call) } else { Vec::new() };
    let qids: Vec<u32> = match hosts.first().and_then(|host| Plan::of(options.seed, host)) {
        Some(plan) => plan.weaknesses().filter(|one| is_mitigable(one)).map(|one| one.qid).take(3).collect(),
        None => call
            .app
            .world
            .knowledge()
            .qids()
            .filter(|qid| crate::knowledge::Knowledge::is_windows(*qid))
            .take(2)
            .collect(),
    };
    let assets: Vec<String> = hosts.iter().filter_map(|host| host.agent_uuid).map(|uuid| uuid.to_string()).collect();
    let who = json!({
        "user": { "id": Roll::new(options.seed, &[92]).uuid().to_string(), "name": options.username, "fullName": "Sim User" },
        "date": made.as_millisecond(), "context": null,
    });
    let is_once = schedule == "Once";
    let mut job = json!({
        "id": job_id(call, kind, at), "customerId": Roll::new(options.seed, &[93]).uuid().to_string(),
        "name": format!("{}: {name}", kind.word), "description": "made by the simulator", "platform": platform, "type": "Install",
        "status": status, "scheduleType": schedule, "startDateTime": is_once.then(|| spoken(starts)),
        "timezoneType": is_once.then_some("SPECIFIC_TZ"), "timezone": is_once.then_some("UTC"), "schemaVersion": "1.0",
        "qids": qids, "remediationQids": qids, "assetIds": assets, "assetTagIds": [], "matchAllTagIds": [], "exclusionTagIds": [],
        "filterType": "Any", "exclusionFilterType": "Any", "coAuthorUserIds": [],
        "notification": {
            "notificationTypes": { "email": false },
            "notificationConfigs": { "recipientEmails": "", "completedPercentage": 80 },
            "notificationEvents": { "onJobStart": false, "onJobComplete": false },
        },
    });
    let added = json!({
        "recurring": false, "createdBy": who, "updatedBy": who, "deletedBy": null, "deleted": false, "readOnly": false,
        "assetCount": assets.len(), "taggedAssetCount": 0, "applicableAssetCount": assets.len(), "totalAssetCount": assets.len(),
        "assetResultReceivedCount": assets.len() * done as usize / 100, "completionPercent": done,
        "jobCategory": kind.category, "category": kind.word, "subCategory": kind.word, "jobSource": "VMDR", "isVulnContext": true,
        "isPriorityJob": false, "mitigationActionCount": qids.len(), "linkedJobId": null,
    });
    if let (Some(job), Value::Object(added)) = (job.as_object_mut(), added) {
        job.extend(added);
    }
    Some(job)
}

fn demo_hosts(call: &Call) -> Vec<Host> {
    let fleet = call.app.world.fleet();
    (0..fleet.demo_len()).map(|index| fleet.host(index)).collect()
}

/// The twelve-hour form of the family, without zeros before the month and the day.
fn spoken(at: Timestamp) -> String {
    at.strftime("%Y-%-m-%-d %I:%M:%S %p").to_string()
}

fn is_mitigable(weakness: &Weakness) -> bool {
    weakness.safeguard != Safeguard::None
}

/// The catalogue: one mitigation per weakness that a setting blocks.
fn catalogue(call: &Call) -> Vec<Value> {
    let seed = call.app.world.options.seed;
    let entry = |weakness: &Weakness| {
        json!({
            "id": Roll::new(seed, &[94, u64::from(weakness.qid)]).uuid().to_string(),
            "name": weakness.title, "description": weakness.workaround, "platform": "Linux",
            "qids": [weakness.qid], "cves": weakness.cves, "techniqueType": "CONFIG",
            "mitigationType": "scriptBased", "mitigationCategory": "FIX",
        })
    };
    let wanted =
        |weakness: &&Weakness| is_mitigable(weakness) && call.params.get("platform").is_none_or(|one| one == "Linux");
    page(call, weakness::all().filter(wanted)).map(entry).collect()
}

/// The number of assets that meet every filter.
fn count(call: &Call) -> Reply {
    let refused = |message: String| {
        let body = json!({ "responseMessage": message, "responseCode": "INVALID_REQUEST", "count": 0 });
        Reply::json(400, &body)
    };
    let body: Value = match serde_json::from_str(if call.body.trim().is_empty() { "{}" } else { &call.body }) {
        Ok(body) => body,
        Err(error) => return refused(format!("The request body is no JSON: {error}")),
    };
    let filters = body.get("filters").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let world = &call.app.world;
    let mut count = 0_u64;
    for host in world.fleet().iter() {
        let mut fits = !world.is_purged(host.index);
        for filter in filters {
            match fits_filter(call, &host, filter) {
                Ok(holds) => fits &= holds,
                Err(message) => return refused(message),
            }
        }
        count += u64::from(fits);
    }
    Reply::json(200, &json!({ "responseMessage": "Valid API Access", "count": count, "responseCode": "SUCCESS" }))
}

fn fits_filter(call: &Call, host: &Host, filter: &Value) -> Result<bool, String> {
    let text = |name: &str| filter.get(name).and_then(Value::as_str).unwrap_or_default();
    let (field, operator, value) = (text("field"), text("operator"), text("value"));
    let words = |mine: &str| match operator {
        "CONTAINS" => Ok(mine.contains(value)),
        "EQUALS" => Ok(mine == value),
        _ => Err(format!("{operator} is no operator of the field {field}.")),
    };
    match field {
        "asset.name" => words(&host.name),
        "operatingSystem" => words(host.os.scanner_name()),
        "operatingSystem.lifecycle.stage" => words(stage(host.os)),
        "asset.tag.name" => host.tags.iter().try_fold(false, |any, (_, name)| Ok(any | words(name)?)),
        "asset.truRisk" => {
            let mine = risk(&call.app.world.record_unmoved(host)).0;
            let wanted: u64 = value.parse().map_err(|_| format!("{value} is no number."))?;
            match operator {
                "GREATER" => Ok(mine > wanted),
                "LESSER" => Ok(mine < wanted),
                "EQUALS" => Ok(mine == wanted),
                _ => Err(format!("{operator} is no operator of the field {field}.")),
            }
        }
        _ => Err(format!("{field} is no field that the simulator knows.")),
    }
}

fn stage(os: Os) -> &'static str {
    match os {
        Os::Ubuntu1604 | Os::Ubuntu1804 => "EOL/EOS",
        Os::Debian11 | Os::Ubuntu2004 => "EOL",
        _ => "GA",
    }
}
