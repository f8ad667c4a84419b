//! Results: the summary by asset, the actions of one asset, the progress report.

use super::auth::Program;
use super::find;
use super::ids::{self, Kind as Id};
use super::times;
use crate::app::App;
use crate::engine::jobs::Job;
use crate::engine::orders;
use crate::http::error::Error;
use crate::views::report::{self, Reader};
use axum::Json;
use axum::extract::{Path, Query, State};
use domain::asset::Platform;
use domain::id::AssetId;
use domain::result::{self, Action, Asset};
use domain::task;
use protocol::api::response::ReportLine;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use store::items::Found;
use store::{Transaction, accounts, agents};

/// Which run of a job.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Instance {
    job_instance_id: Option<i64>,
}

/// Every line of a job's report.
fn lines(tx: &mut Transaction<'_>, reader: &mut Reader) -> Result<Vec<ReportLine>, Error> {
    let mut all = Vec::new();
    loop {
        let page = reader.next(tx)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// The status of an asset as the pair of numbers that the progress page of Qualys knows.
fn status_code(asset: Asset, sent: bool) -> (Value, Value) {
    match asset {
        Asset::Pending if sent => (json!(2055), json!(1)),
        Asset::Pending => (Value::Null, Value::Null),
        Asset::Running => (json!(2044), json!(0)),
        Asset::Completed => (json!(2036), json!(0)),
        Asset::CompletedWithFailures => (json!(2046), json!(0)),
    }
}

/// What became of a job on each of its assets.
///
/// # Errors
/// Not found.
pub async fn summary(
    State(app): State<App>,
    caller: Program,
    Path(id): Path<String>,
    Query(instance): Query<Instance>,
) -> Result<Json<Value>, Error> {
    let read = app.database.try_read(move |tx| {
        let job = find::job(tx, &caller, &id)?;
        let mut reader = Reader::new(tx, &job, instance.job_instance_id)?;
        let run = reader.run();
        let mut by_asset: BTreeMap<i64, Vec<ReportLine>> = BTreeMap::new();
        for line in lines(tx, &mut reader)? {
            by_asset.entry(line.asset_id).or_default().push(line);
        }
        let owner = accounts::by_id(tx, job.row.owner_id)?.map(|owner| owner.name);
        let mut assets = Vec::new();
        for (key, lines) in by_asset {
            assets.push(asset(tx, &job, key, &lines, run)?);
        }
        Ok::<_, Error>(json!({
            "id": ids::of(Id::Job, job.row.number), "name": job.row.title, "assetCount": assets.len(), "patchCount": 0,
            "mitigationActionCount": job.actions.len(), "createdBy": owner, "createdOn": times::millis(job.row.created_at),
            "jobInstanceId": run, "assets": assets,
        }))
    });
    Ok(Json(read.await?))
}

fn asset(tx: &mut Transaction<'_>, job: &Job, key: i64, lines: &[ReportLine], run: i64) -> Result<Value, Error> {
    let Some(first) = lines.first() else { return Ok(Value::Null) };
    let agent = agents::on_asset(tx, AssetId(key))?.map(|agent| agent.agent_id);
    let mut tasks: Vec<(uuid::Uuid, &ReportLine)> =
        lines.iter().filter_map(|line| line.task_id.map(|task| (task, line))).collect();
    tasks.sort_by_key(|(task, _)| *task);
    tasks.dedup_by_key(|(task, _)| *task);
    let mut states = Vec::new();
    for (task, _) in &tasks {
        states.extend(store::tasks::by_uuid(tx, *task)?.map(|task| task.state));
    }
    let standing = Asset::of(&states);
    let sent = states.iter().any(|state| !matches!(state, task::State::Pending | task::State::Ready));
    let (code, state) = status_code(standing, sent);
    let count = |wanted: &[Action]| {
        tasks.iter().filter(|(_, line)| wanted.iter().any(|action| action.as_str() == line.action_status)).count()
    };
    let over = matches!(standing, Asset::Completed | Asset::CompletedWithFailures);
    let start = tasks.iter().filter_map(|(_, line)| line.started_at).min().map(times::millis);
    let end = tasks.iter().filter_map(|(_, line)| line.ended_at).max().map(times::millis);
    Ok(json!({
        "asset": {
            "id": ids::of(Id::Asset, key), "name": first.asset_name, "operatingSystem": first.operating_system,
            "platform": Platform::title(job.row.platform), "interfaces": [{ "address": first.ip_address }],
            "agentUUID": agent,
        },
        "assetId": ids::of(Id::Asset, key),
        "agentUUID": agent,
        "status": standing.as_str(),
        "statusCode": code,
        "state": state,
        "statusDateTime": end.or(start),
        "startDateTime": start,
        "endDateTime": if over { json!(end) } else { Value::Null },
        "jobSentOn": if sent { json!(start) } else { Value::Null },
        "executing": standing == Asset::Running,
        "pendingExecution": standing == Asset::Pending,
        "pendingReboot": count(&[Action::Partial]) > 0,
        "pendingVerification": false,
        "successfulActionsCount": count(&[Action::Succeeded, Action::Partial]),
        "failedActionsCount": count(&[Action::Failed]),
        "skippedActionsCount": count(&[Action::Skipped]),
        "interimResultStatus": null,
        "jobInstanceId": run,
        "runId": run,
        "pendingForRebootInAnotherJob": false,
        "pendingForRebootInAnotherJobName": null,
    }))
}

/// Which asset the actions are asked of.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Of {
    #[serde(rename = "agentUUID")]
    agent: String,
    #[serde(rename = "endDateTime")]
    end: String,
    #[serde(rename = "jobInstanceId")]
    instance: Option<i64>,
}

/// A condition on the actions.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Condition {
    query: Option<String>,
}

/// The action statuses of `actionStatus:[Succeeded,Failed]` or `actionStatus:Failed`; empty for all.
fn statuses(query: Option<&str>) -> Result<Vec<&'static str>, Error> {
    let text = query.unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let bad = || {
        let why = "the query is `actionStatus:[Succeeded,Failed,Skipped,Partial]` or a part of it";
        Error::field("query", "bad_query", why)
    };
    let list = text.strip_prefix("actionStatus:").ok_or_else(bad)?.trim();
    let list = list.trim_start_matches('[').trim_end_matches(']');
    let words = list.split(',').map(|word| word.trim().trim_matches('"'));
    words.map(|word| Action::parse(word).map(Action::as_str).ok_or_else(bad)).collect()
}

/// What was done on one asset of a job. Without a body every action is given; there are no pages, as at Qualys.
///
/// # Errors
/// Not found; 400 without an agent, without the end, or for a query that cannot be read.
pub async fn actions(
    State(app): State<App>,
    caller: Program,
    Path(id): Path<String>,
    Query(of): Query<Of>,
    body: axum::body::Bytes,
) -> Result<Json<Vec<Value>>, Error> {
    if of.agent.is_empty() {
        return Err(Error::field("agentUUID", "missing", "say of which agent in `agentUUID`"));
    }
    if of.end.is_empty() {
        return Err(Error::field("endDateTime", "missing", "give `endDateTime` as the summary tells it"));
    }
    if of.end.parse::<i64>().is_err() {
        return Err(Error::field("endDateTime", "bad_time", "`endDateTime` is in milliseconds since 1970"));
    }
    let condition: Condition = if body.is_empty() {
        Condition::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| Error::field("query", "bad_query", error.to_string()))?
    };
    let wanted = statuses(condition.query.as_deref())?;
    let agent = find::id(&of.agent)?;
    let read = app.database.try_read(move |tx| {
        let job = find::job(tx, &caller, &id)?;
        let missing = || Error::NotFound(format!("asset with the agent {agent} in {}", job.row.name()));
        let asset = find::asset(tx, agent, &job.scope)?.ok_or_else(missing)?;
        let mut reader = Reader::new(tx, &job, of.instance)?.only(asset);
        let found = lines(tx, &mut reader)?;
        if found.is_empty() {
            return Err(missing());
        }
        let ids = store::items::found_on(tx, asset)?;
        let mut rows = Vec::new();
        for line in found.iter().filter(|line| wanted.is_empty() || wanted.contains(&line.action_status.as_str())) {
            let seconds = time_out(tx, line)?;
            rows.push(action(&job, line, ids.get(&line.qid), seconds));
        }
        Ok(rows)
    });
    Ok(Json(read.await?))
}

/// How long the action of a line may take, in seconds; before its run is made, as long as any.
fn time_out(tx: &mut Transaction<'_>, line: &ReportLine) -> Result<i64, Error> {
    let task = line.task_id.map(|task| store::tasks::by_uuid(tx, task)).transpose()?.flatten();
    Ok(task.map_or(task::RUN_SECONDS, |task| orders::run_seconds(&task).into()))
}

fn action(job: &Job, line: &ReportLine, found: Option<&Found>, seconds: i64) -> Value {
    let rollback = job.row.kind == domain::job::Kind::Rollback;
    // An id that tells the lines of one task apart: a mitigation may stand for several QIDs.
    let id = ids::named("action", &format!("{:?} {}", line.task_id, line.qid));
    let text = |number: Option<i64>| number.map(|number| number.to_string());
    json!({
        "id": id,
        "actionType": "Pre-action",
        "action": if rollback { "Rollback Mitigation" } else { "Apply Mitigation" },
        "params": {
            "actionItem": line.mitigation_id,
            "mitigationId": ids::named("mitigation", &line.mitigation_id),
            "mitigationTitle": line.mitigation_title,
            "mitigationCategory": line.mitigation_type,
            "qid": line.qid.to_string(),
            "qidTitle": line.qid_title,
            "qds": text(line.score_before),
            "qdsAfter": text(line.score_after),
            "impactFactor": line.impact_factor.to_string(),
            "cveIds": line.cve_ids.join(","),
            "hostVulnId": text(found.map(|found| found.item)),
            "qidDetectionId": found.and_then(Found::detection_id),
            "timeout": seconds.to_string(),
        },
        "status": line.action_status,
        "actionStatus": line.action_status,
        "returnCode": line.return_code,
        "returnMessage": line.return_message,
        "mitigationStatus": line.mitigation_status,
        "mitigationReturnCode": line.mitigation_return_code,
        "mitigationReason": line.mitigation_reason,
        "startDateTime": line.started_at.map(times::millis),
        "endDateTime": line.ended_at.map(times::millis),
    })
}

/// What a report is to hold; everything is optional.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    query: Option<String>,
    columns: Option<Vec<String>>,
}

/// The progress report of a job: a row per asset, QID and mitigation.
///
/// # Errors
/// Not found; 400 for an unknown column or a query that cannot be read.
pub async fn report(
    State(app): State<App>,
    caller: Program,
    Path(id): Path<String>,
    body: axum::body::Bytes,
) -> Result<Json<Vec<Value>>, Error> {
    let wanted: Wanted = if body.is_empty() {
        Wanted::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| Error::field("body", "bad_body", error.to_string()))?
    };
    let columns = report::columns(&wanted.columns.unwrap_or_default().join(","))?;
    let kept = statuses(wanted.query.as_deref())?;
    let read = app.database.try_read(move |tx| {
        let job = find::job(tx, &caller, &id)?;
        let mut reader = Reader::new(tx, &job, None)?;
        lines(tx, &mut reader)
    });
    let mut rows = Vec::new();
    for line in read.await? {
        if !kept.is_empty() && !kept.contains(&line.action_status.as_str()) {
            continue;
        }
        let value = serde_json::to_value(&line).map_err(Error::internal)?;
        let mut row = serde_json::Map::new();
        for column in &columns {
            let cell = match *column {
                "assetId" => json!(ids::of(Id::Asset, line.asset_id)),
                "mitigationReason" => json!(result::reason(line.return_code, None, &line.mitigation_reason)),
                column => value.get(column).cloned().unwrap_or_default(),
            };
            row.insert((*column).to_owned(), cell);
        }
        rows.push(Value::Object(row));
    }
    Ok(Json(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_action_statuses() {
        assert_eq!(statuses(None).unwrap(), Vec::<&str>::new());
        assert_eq!(
            statuses(Some("actionStatus:[Succeeded,Failed,Skipped,Partial]")).unwrap(),
            ["Succeeded", "Failed", "Skipped", "Partial"]
        );
        assert_eq!(statuses(Some("actionStatus:Failed")).unwrap(), ["Failed"]);
        assert!(statuses(Some("qid:1")).is_err() && statuses(Some("actionStatus:[Lost]")).is_err());
    }
}
