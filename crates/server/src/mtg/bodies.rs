//! The job as scripts send and read it. Unknown fields of a request are ignored, as at Qualys: its samples carry many that
//! belong to patch jobs.

use super::ids::{self, Kind as Id};
use super::times;
use crate::app::App;
use crate::engine::jobs::Job;
use crate::engine::selection;
use crate::http::error::Error;
use domain::job::{Kind, Status};
use domain::result::Asset;
use domain::schedule::{Schedule, Zone};
use domain::selection::Match;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use store::{Transaction, accounts, eliminations, report};

/// A job to be made, or changes to one; what is absent or null stays as it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    /// Title.
    pub name: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// `Windows` or `Linux`.
    pub platform: Option<String>,
    /// `Install` or `Rollback`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `Enabled` or `Disabled`.
    pub status: Option<String>,
    /// `On-demand` or `Once`.
    pub schedule_type: Option<String>,
    /// `2026-1-23 04:27:51 AM`.
    pub start_date_time: Option<String>,
    /// `AGENT_TZ` or `SPECIFIC_TZ`.
    pub timezone_type: Option<String>,
    /// IANA name.
    pub timezone: Option<String>,
    /// QIDs.
    pub qids: Option<Vec<i64>>,
    /// Assets.
    pub asset_ids: Option<Vec<String>>,
    /// Assets left out.
    pub exclusion_asset_ids: Option<Vec<String>>,
    /// Tags.
    pub asset_tag_ids: Option<Vec<String>>,
    /// Tags that have to be there besides.
    pub match_all_tag_ids: Option<Vec<String>>,
    /// Tags left out.
    pub exclusion_tag_ids: Option<Vec<String>>,
    /// `Any` or `All`.
    pub filter_type: Option<String>,
    /// `Any` or `All`.
    pub exclusion_filter_type: Option<String>,
    /// Co-authors.
    pub co_author_user_ids: Option<Vec<String>>,
    /// Mail.
    pub notification: Option<Notification>,
}

/// Who gets mail when.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Notification {
    /// By which way.
    pub notification_types: Option<Types>,
    /// To whom.
    pub notification_configs: Option<Configs>,
    /// When.
    pub notification_events: Option<Events>,
}

/// By which way.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Types {
    /// By mail at all.
    pub email: Option<bool>,
}

/// To whom, and at which percentage.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Configs {
    /// Addresses separated by commas.
    pub recipient_emails: Option<String>,
    /// 1 to 100.
    pub completed_percentage: Option<i64>,
}

/// When.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Events {
    /// At the start.
    pub on_job_start: Option<bool>,
    /// At the percentage.
    pub on_job_complete: Option<bool>,
}

/// What a job mails: to whom, at the start, at which percentage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// To whom.
    pub recipients: Vec<String>,
    /// At the start.
    pub started: bool,
    /// At this percentage, if at any.
    pub percent: Option<i64>,
}

impl Mail {
    /// Of a job as it stands.
    #[must_use]
    pub fn of(job: &Job) -> Mail {
        Mail { recipients: job.recipients.clone(), started: job.row.mail_started, percent: job.row.mail_percent }
    }
}

/// What a job mails after a request, over what it mails now; `held` is none for one that is only made.
///
/// # Errors
/// 1907 for a percentage where the job mails at none and the request does not turn it on.
pub fn mail(notification: &Notification, held: Option<Mail>) -> Result<Mail, Error> {
    if notification.notification_types.as_ref().and_then(|types| types.email) == Some(false) {
        return Ok(Mail::default());
    }
    let (changes, held) = (held.is_some(), held.unwrap_or_default());
    let configs = notification.notification_configs.clone().unwrap_or_default();
    let events = notification.notification_events.clone().unwrap_or_default();
    let split = |list: String| {
        list.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    if changes && held.percent.is_none() && events.on_job_complete.is_none() && configs.completed_percentage.is_some() {
        let why = "this job sends no mail at a percentage; send onJobComplete with it";
        return Err(Error::field("completedPercentage", "unsupported", why));
    }
    let at_end = events.on_job_complete.unwrap_or(held.percent.is_some());
    Ok(Mail {
        recipients: configs.recipient_emails.map_or(held.recipients, split),
        started: events.on_job_start.unwrap_or(held.started),
        percent: at_end.then(|| configs.completed_percentage.or(held.percent).unwrap_or(100)),
    })
}

/// The schedule after a request, over the one that a job has; `None` where the request says nothing of it.
///
/// # Errors
/// 400 for a type, a time or a zone that is none. 1907 for recurring jobs, which this API does not make, for a start or a zone
/// of a job that does not run once, and for a zone where the agents' own are meant.
pub fn schedule(request: &Request, held: Option<&Schedule>) -> Result<Option<Schedule>, Error> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (start, zone_type, zone) =
        (given(&request.start_date_time), given(&request.timezone_type), given(&request.timezone));
    let Some(kind) = request.schedule_type.as_deref() else {
        let named = [(&start, "startDateTime"), (&zone_type, "timezoneType"), (&zone, "timezone")];
        let Some((_, field)) = named.into_iter().find(|(given, _)| given.is_some()) else { return Ok(None) };
        return match held {
            Some(once @ Schedule::Once { .. }) => self::once(start, zone_type.as_deref(), zone, Some(once)).map(Some),
            Some(recurring) if recurs(recurring) => {
                let why = "this job recurs; change its times by /api/v1";
                Err(Error::field(field, "unsupported", why))
            }
            _ => {
                Err(Error::field(field, "unsupported", "only a job that runs once has this; send scheduleType `Once`"))
            }
        };
    };
    if kind.eq_ignore_ascii_case("on-demand") {
        return Ok(Some(Schedule::OnDemand));
    }
    // What was read here is sent back as it is.
    if kind.eq_ignore_ascii_case("recurring") && start.is_none() && held.is_some_and(recurs) {
        return Ok(None);
    }
    if ["recurring", "daily", "weekly", "monthly"].iter().any(|word| kind.eq_ignore_ascii_case(word)) {
        let why = "mitigation jobs of this API run On-demand or Once; make and change recurring ones by /api/v1";
        return Err(Error::field("scheduleType", "unsupported", why));
    }
    if !kind.eq_ignore_ascii_case("once") {
        return Err(Error::field("scheduleType", "bad_schedule", "the schedule is `On-demand` or `Once`"));
    }
    once(start, zone_type.as_deref(), zone, held).map(Some)
}

/// A schedule of one run: start, zone and window that the request does not name stay, where the job runs once already.
fn once(
    start: Option<String>,
    zone_type: Option<&str>,
    zone: Option<String>,
    held: Option<&Schedule>,
) -> Result<Schedule, Error> {
    let (held_at, held_zone, window) = match held {
        Some(Schedule::Once { at, zone, window }) => (Some(*at), zone.clone(), *window),
        _ => (None, Zone::Agent, None),
    };
    let bad_time =
        || Error::field("startDateTime", "bad_time", "give the start as `2026-1-23 04:27:51 AM`, without a zone");
    let at = match start {
        Some(text) => times::civil(&text).ok_or_else(bad_time)?,
        None => {
            held_at.ok_or_else(|| Error::field("startDateTime", "missing", "a job that runs once needs its start"))?
        }
    };
    let zone = match (zone_type, zone, held_zone) {
        (Some("AGENT_TZ"), None, _) => Zone::Agent,
        (Some("SPECIFIC_TZ") | None, Some(name), Zone::Named(_)) | (Some("SPECIFIC_TZ"), Some(name), Zone::Agent) => {
            Zone::Named(name)
        }
        (Some("SPECIFIC_TZ") | None, None, Zone::Named(name)) => Zone::Named(name),
        (None, None, Zone::Agent) => Zone::Agent,
        (Some("SPECIFIC_TZ"), None, Zone::Agent) => {
            return Err(Error::field("timezone", "missing", "SPECIFIC_TZ needs the name of a zone in `timezone`"));
        }
        (Some("AGENT_TZ"), Some(_), _) | (None, Some(_), Zone::Agent) => {
            let why = "the job follows the zone of each agent; a zone of its own needs timezoneType `SPECIFIC_TZ`";
            return Err(Error::field("timezone", "unsupported", why));
        }
        (Some(_), ..) => {
            return Err(Error::field("timezoneType", "bad_zone", "the zone is `AGENT_TZ` or `SPECIFIC_TZ`"));
        }
    };
    Ok(Schedule::Once { at, zone, window })
}

/// `Any` or `All`; nothing is `Any`.
///
/// # Errors
/// 400 for anything else.
pub fn matching(field: &str, word: &str) -> Result<Match, Error> {
    Match::parse(&word.to_lowercase()).ok_or_else(|| Error::field(field, "bad_filter", "this is `Any` or `All`"))
}

/// The status of a job in the words of this API.
#[must_use]
pub fn status(job: &Job) -> &'static str {
    match job.row.status {
        Status::Draft | Status::Disabled => "Disabled",
        Status::Enabled => "Enabled",
        Status::Completed => "Completed",
        Status::CompletedWithFailures => "Failed",
    }
}

/// Whether a job runs more than once: only such may be disabled here once it is enabled (R7).
#[must_use]
pub fn recurs(schedule: &Schedule) -> bool {
    *schedule != Schedule::OnDemand && !matches!(schedule, Schedule::Once { .. })
}

/// Type, start, zone type and zone, as scripts read them. On demand starts when it is enabled, in UTC.
fn times_of(job: &Job) -> (String, Value, Value, Value) {
    if job.schedule == Schedule::OnDemand {
        return match job.row.enabled_at {
            Some(at) => ("On-demand".to_owned(), json!(times::in_utc(at)), json!("SPECIFIC_TZ"), json!("UTC")),
            None => ("On-demand".to_owned(), Value::Null, Value::Null, Value::Null),
        };
    }
    if let Schedule::Once { at, zone, .. } = &job.schedule {
        return match zone {
            Zone::Agent => ("Once".to_owned(), json!(times::shown(*at)), json!("AGENT_TZ"), Value::Null),
            Zone::Named(name) => ("Once".to_owned(), json!(times::shown(*at)), json!("SPECIFIC_TZ"), json!(name)),
        };
    }
    ("Recurring".to_owned(), Value::Null, Value::Null, Value::Null)
}

/// A job as this API shows it.
///
/// # Errors
/// A failure of the store.
pub fn job(tx: &mut Transaction<'_>, app: &App, job: &Job) -> Result<Value, Error> {
    let row = &job.row;
    let assets: BTreeSet<_> = job.targets.iter().map(|target| target.asset).collect();
    let runs = report::runs(tx, row.id, &job.scope, 1)?;
    let keys: Vec<_> = assets.iter().copied().collect();
    let told = runs.first().map(|run| report::chain(tx, run.id)).transpose()?.unwrap_or_default();
    let states = report::states(tx, &told, &keys)?;
    let over = |states: &Vec<_>| matches!(Asset::of(states), Asset::Completed | Asset::CompletedWithFailures);
    let reported = states.values().filter(|states| over(states)).count();
    let percent = if assets.is_empty() { 0 } else { reported * 100 / assets.len() };
    let vulnerabilities: BTreeSet<i64> = job.targets.iter().map(|target| target.vulnerability.0).collect();
    let vulnerabilities: Vec<i64> = vulnerabilities.into_iter().collect();
    let qids: BTreeSet<i64> = eliminations::titles(tx, &vulnerabilities)?.into_iter().map(|(_, qid, _)| qid).collect();
    let entries: BTreeSet<i64> = job.actions.iter().map(|(_, entry)| *entry).collect();
    let owner = accounts::by_id(tx, row.owner_id)?;
    let owner = owner
        .map(|owner| json!({ "id": ids::of(Id::User, owner.id.0), "name": owner.name, "fullName": owner.full_name }));
    let nobody = json!({ "user": null, "date": null, "context": null });
    let (kind, start, zone_type, zone) = times_of(job);
    let coauthors: Vec<_> = job.coauthors.iter().map(|user| ids::of(Id::User, user.0)).collect();
    let mut body = json!({
        "customerId": ids::named("customer", &app.site.ca_fingerprint),
        "id": ids::of(Id::Job, row.number),
        "jobNumber": row.name(),
        "schemaVersion": "1.0",
        "name": row.title,
        "description": row.description,
        "platform": row.platform.title(),
        "type": if row.kind == Kind::Rollback { "Rollback" } else { "Install" },
        "status": status(job),
        "scheduleType": kind,
        "startDateTime": start,
        "timezoneType": zone_type,
        "timezone": zone,
        "recurring": recurs(&job.schedule),
        "qids": qids,
        "remediationQids": qids,
        "assetIds": assets.iter().map(|asset| ids::of(Id::Asset, asset.0)).collect::<Vec<_>>(),
        "coAuthorUserIds": coauthors,
        "createdBy": { "user": owner, "date": times::millis(row.created_at), "context": null },
        "updatedBy": { "user": null, "date": times::millis(row.updated_at), "context": null },
        "deletedBy": nobody,
        "assetCount": assets.len(),
        "applicableAssetCount": assets.len(),
        "totalAssetCount": assets.len(),
        "assetResultReceivedCount": reported,
        "completionPercent": percent,
        "mitigationActionCount": entries.len(),
        "jobCategory": 3,
        "category": 3,
        "subCategory": "Mitigation",
        "readOnly": row.status != Status::Disabled,
        "deleted": false,
        "isPriorityJob": false,
        "isVulnContext": row.origin == "elimination",
        "linkedJobId": null,
    });
    let ended = row.ended_at.map(|at| at.to_string());
    let result = match row.status {
        Status::Completed => json!("Completed"),
        Status::CompletedWithFailures => json!("Completed with Failure"),
        _ => Value::Null,
    };
    let more = [
        ("notification", notification(job)),
        ("createdDate", json!(row.created_at.to_string())),
        ("updatedDate", json!(row.updated_at.to_string())),
        ("completedDate", json!(ended)),
        ("jobResult", result),
        ("runId", json!(runs.first().map(|run| run.ordinal))),
    ];
    let targeted = targeting(tx, job)?;
    if let Some(fields) = body.as_object_mut() {
        fields.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        fields.extend(targeted);
    }
    Ok(body)
}

fn notification(job: &Job) -> Value {
    json!({
        "notificationTypes": { "email": !job.recipients.is_empty() },
        "notificationConfigs": {
            "recipientEmails": job.recipients.join(","), "completedPercentage": job.row.mail_percent,
        },
        "notificationEvents": { "onJobStart": job.row.mail_started, "onJobComplete": job.row.mail_percent.is_some() },
    })
}

/// How a free-standing job chooses its assets by tag.
fn targeting(tx: &mut Transaction<'_>, job: &Job) -> Result<BTreeMap<String, Value>, Error> {
    let plan = selection::plan(tx, &job.row)?.map(|(plan, _)| plan.selection).unwrap_or_default();
    let ids_of = |tags: &BTreeSet<String>| tags.iter().map(|tag| ids::named("tag", tag)).collect::<Vec<_>>();
    let word = |matching: Match| if matching == Match::All { "All" } else { "Any" };
    let by_tag = !plan.tags.tags.is_empty() || !plan.must.is_empty();
    let tagged = if by_tag { job.targets.iter().map(|target| target.asset).collect::<BTreeSet<_>>().len() } else { 0 };
    Ok(BTreeMap::from([
        ("assetTagIds".to_owned(), json!(ids_of(&plan.tags.tags))),
        ("filterType".to_owned(), json!(word(plan.tags.matching))),
        ("matchAllTagIds".to_owned(), json!(ids_of(&plan.must))),
        ("exclusionTagIds".to_owned(), json!(ids_of(&plan.exclude.tags))),
        ("exclusionFilterType".to_owned(), json!(word(plan.exclude.matching))),
        ("taggedAssetCount".to_owned(), json!(tagged)),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_sample_is_understood_and_what_belongs_to_patch_jobs_is_ignored() {
        let sample = request(
            r#"{"qids":[378985,90044],"assetTagIds":[],"name":"N","scheduleType":"On-demand","schemaVersion":"1.0",
                "startDateTime":null,"status":"Enabled","timezone":null,"timezoneType":null,"type":"Install",
                "filterType":"Any","exclusionFilterType":"Any","matchAllTagIds":[],"platform":"Windows",
                "suppressReboots":true,"notification":{"notificationTypes":{"email":true},"notificationConfigs":
                {"recipientEmails":"a@example.org, b@example.org","completedPercentage":80},
                "notificationEvents":{"onJobStart":true,"onJobComplete":true}}}"#,
        );
        assert_eq!(schedule(&sample, None).unwrap(), Some(Schedule::OnDemand));
        let mails = mail(&sample.notification.unwrap(), None).unwrap();
        assert_eq!(mails, told(&["a@example.org", "b@example.org"], true, Some(80)));
    }

    fn told(recipients: &[&str], started: bool, percent: Option<i64>) -> Mail {
        Mail { recipients: recipients.iter().map(|&one| one.to_owned()).collect(), started, percent }
    }

    fn said(error: &Error) -> (String, String) {
        let problem = error.to_problem();
        (problem.errors[0].field.clone(), super::super::errors::number(&problem))
    }

    #[test]
    fn schedules_by_table() {
        let once = |more: &str| schedule(&request(&format!(r#"{{"scheduleType":"Once"{more}}}"#)), None);
        let at = r#","startDateTime":"2026-1-23 04:27:51 AM""#;
        assert!(matches!(once(at).unwrap(), Some(Schedule::Once { zone: Zone::Agent, .. })));
        let named = once(&format!(r#"{at},"timezoneType":"SPECIFIC_TZ","timezone":"Europe/Rome""#)).unwrap();
        assert!(matches!(named, Some(Schedule::Once { zone: Zone::Named(name), .. }) if name == "Europe/Rome"));
        for bad in ["", r#","startDateTime":"soon""#] {
            assert!(once(bad).is_err(), "{bad}");
        }
        assert!(once(&format!(r#"{at},"timezoneType":"SPECIFIC_TZ""#)).is_err());
        for zone in [r#","timezone":"Europe/Rome""#, r#","timezone":"Europe/Rome","timezoneType":"AGENT_TZ""#] {
            let refused = said(&once(&format!("{at}{zone}")).unwrap_err());
            assert_eq!(refused, ("timezone".to_owned(), "1907".to_owned()), "{zone}");
        }
        assert!(schedule(&request(r#"{"scheduleType":"Weekly"}"#), None).is_err());
        assert_eq!(schedule(&request("{}"), None).unwrap(), None);
    }

    #[test]
    fn what_a_change_of_the_schedule_does_not_name_stays() {
        let old: jiff::civil::DateTime = "2031-01-23T04:27:51".parse().unwrap();
        let new: jiff::civil::DateTime = "2032-02-24T16:00:00".parse().unwrap();
        let (rome, tokyo) = (Zone::Named("Europe/Rome".to_owned()), Zone::Named("Asia/Tokyo".to_owned()));
        let held = |zone: &Zone| Schedule::Once { at: old, zone: zone.clone(), window: Some(60) };
        let start = r#""startDateTime":"2032-2-24 04:00:00 PM""#;
        for (text, zone, at, after) in [
            (format!("{{{start}}}"), &rome, new, &rome),
            (format!("{{{start}}}"), &Zone::Agent, new, &Zone::Agent),
            (format!(r#"{{"scheduleType":"Once",{start}}}"#), &rome, new, &rome),
            (r#"{"scheduleType":"Once"}"#.to_owned(), &rome, old, &rome),
            (r#"{"timezone":"Asia/Tokyo"}"#.to_owned(), &rome, old, &tokyo),
            (r#"{"timezoneType":"AGENT_TZ"}"#.to_owned(), &rome, old, &Zone::Agent),
            (r#"{"timezoneType":"SPECIFIC_TZ","timezone":"Asia/Tokyo"}"#.to_owned(), &Zone::Agent, old, &tokyo),
        ] {
            let found = schedule(&request(&text), Some(&held(zone))).unwrap();
            assert_eq!(found, Some(Schedule::Once { at, zone: after.clone(), window: Some(60) }), "{text}");
        }
        assert_eq!(schedule(&request(r#"{"name":"n","timezone":null}"#), Some(&held(&rome))).unwrap(), None);
        for (text, field, held) in [
            (format!("{{{start}}}"), "startDateTime", Some(Schedule::OnDemand)),
            (format!("{{{start}}}"), "startDateTime", None),
            (r#"{"timezone":"Asia/Tokyo"}"#.to_owned(), "timezone", Some(Schedule::OnDemand)),
            (r#"{"timezone":"Asia/Tokyo"}"#.to_owned(), "timezone", Some(held(&Zone::Agent))),
            (r#"{"timezoneType":"AGENT_TZ"}"#.to_owned(), "timezoneType", Some(Schedule::OnDemand)),
        ] {
            let refused = said(&schedule(&request(&text), held.as_ref()).unwrap_err());
            assert_eq!(refused, (field.to_owned(), "1907".to_owned()), "{text} over {held:?}");
        }
    }

    #[test]
    fn no_mail_is_no_mail_and_what_is_not_named_stays() {
        let parsed = |text: &str| serde_json::from_str::<Notification>(text).unwrap();
        let none = r#"{"notificationTypes":{"email":false},"notificationConfigs":{"recipientEmails":"a@b.example"}}"#;
        let held = || Some(told(&["a@b.example"], true, Some(80)));
        assert_eq!(mail(&parsed(none), held()).unwrap(), Mail::default());
        for (text, after) in [
            ("{}", told(&["a@b.example"], true, Some(80))),
            (r#"{"notificationConfigs":{"recipientEmails":"c@d.example"}}"#, told(&["c@d.example"], true, Some(80))),
            (r#"{"notificationConfigs":{"completedPercentage":50}}"#, told(&["a@b.example"], true, Some(50))),
            (r#"{"notificationEvents":{"onJobStart":false}}"#, told(&["a@b.example"], false, Some(80))),
            (r#"{"notificationEvents":{"onJobComplete":false}}"#, told(&["a@b.example"], true, None)),
        ] {
            assert_eq!(mail(&parsed(text), held()).unwrap(), after, "{text}");
        }
        let percent = parsed(r#"{"notificationConfigs":{"completedPercentage":50}}"#);
        let refused = said(&mail(&percent, Some(Mail::default())).unwrap_err());
        assert_eq!(refused, ("completedPercentage".to_owned(), "1907".to_owned()));
        assert_eq!(mail(&percent, None).unwrap(), Mail::default(), "samples name it beside an event that is off");
    }
}
