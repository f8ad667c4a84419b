//! Jobs, tasks and eliminations as bodies.

use super::number;
use crate::engine::jobs::Job;
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::id::{RunId, VulnerabilityId};
use domain::job::{self, Act};
use domain::number::Series;
use domain::schedule::{Schedule, words};
use domain::time::Timestamp;
use protocol::api::response as body;
use std::collections::{BTreeMap, BTreeSet};
use store::jobs::JobLine;
use store::list::{Page, Query, page};
use store::tasks::list::TaskLine;
use store::{Transaction, accounts, catalogue, eliminations, jobs, runs, tasks};

/// A page of jobs within the caller's scope.
///
/// # Errors
/// 422 for a sort or cursor that is not the list's.
pub fn list(tx: &mut Transaction<'_>, caller: &Caller, query: &Query) -> Result<Page<body::JobSummary>, Error> {
    let found = page::<JobLine>(tx, &jobs::LIST, jobs::clip_of(&caller.actor), query)?;
    let rows = found.rows.into_iter().map(|line| summary(&line)).collect::<Result<_, _>>()?;
    Ok(Page { rows, next_cursor: found.next_cursor })
}

fn summary(line: &JobLine) -> Result<body::JobSummary, Error> {
    let schedule: Schedule = serde_json::from_str(&line.schedule).map_err(Error::internal)?;
    Ok(body::JobSummary {
        number: number(Series::Job, line.number),
        kind: line.kind.as_str().to_owned(),
        platform: line.platform.as_str().to_owned(),
        title: line.title.clone(),
        status: line.status.as_str().to_owned(),
        owner: line.owner.clone(),
        schedule: words::whole(&schedule),
        assets: line.assets,
        tasks: body::TaskCounts {
            total: line.total,
            open: line.open,
            succeeded: line.succeeded,
            failed: line.failed,
            skipped: line.total - line.open - line.succeeded - line.failed,
        },
        paused: line.paused,
        halted: line.halted,
        created_at: line.created_at,
        started_at: line.started_at,
        ended_at: line.ended_at,
    })
}

/// A job in full.
///
/// # Errors
/// A failure of the store.
pub fn job(tx: &mut Transaction<'_>, caller: &Caller, job: &Job, now: Timestamp) -> Result<body::Job, Error> {
    let names: BTreeMap<_, _> = people(tx, job)?;
    let counts = counts(tx, job)?;
    let vulnerabilities = titles(tx, job.targets.iter().map(|target| target.vulnerability))?;
    let qid = |id: &VulnerabilityId| vulnerabilities.get(id).map_or(0, |(qid, _)| *qid);
    let assets: Vec<body::JobAsset> = jobs::assets(tx, job.row.id, &job.scope)?
        .into_iter()
        .map(|asset| body::JobAsset {
            id: asset.id.0,
            name: asset.name,
            ip: asset.ip,
            os: asset.os,
            qids: job.targets.iter().filter(|t| t.asset == asset.id).map(|t| qid(&t.vulnerability)).collect(),
        })
        .collect();
    let who = |user| names.get(&user).cloned().unwrap_or_default();
    Ok(body::Job {
        summary: body::JobSummary {
            number: job.row.name(),
            kind: job.row.kind.as_str().to_owned(),
            platform: job.row.platform.as_str().to_owned(),
            title: job.row.title.clone(),
            status: job.row.status.as_str().to_owned(),
            owner: who(job.row.owner_id),
            schedule: words::whole(&job.schedule),
            assets: i64::try_from(assets.len()).unwrap_or(i64::MAX),
            tasks: counts,
            paused: job.row.paused,
            halted: store::rollouts::any_halted(tx, job.row.id)?,
            created_at: job.row.created_at,
            started_at: job.row.started_at,
            ended_at: job.row.ended_at,
        },
        description: job.row.description.clone(),
        version: job.row.version,
        origin: job.row.origin.clone(),
        plan: super::selection::plan(tx, caller, &job.row)?,
        twin: twin(tx, caller, job)?,
        schedule: super::runs::schedule(&job.schedule),
        instants: instants(tx, job, now)?,
        recipients: job.recipients.clone(),
        mail_started: job.row.mail_started,
        mail_percent: job.row.mail_percent.unwrap_or(0),
        coauthors: job.coauthors.iter().map(|user| who(*user)).collect(),
        after: super::follow::afterwards(&job.after),
        actions: job_actions(tx, job, &vulnerabilities)?,
        assets,
        hidden_assets: i64::try_from(job.hidden).unwrap_or(i64::MAX),
        cancelled: job.row.cancelled,
        standing: job.row.standing,
        next_time: Some(job.row.next_time.clone()).filter(|time| !time.is_empty()),
        runs: runs::count(tx, job.row.id)?,
        acts: acts(caller, job),
    })
}

/// The draft for the other platform, where the caller may look at it.
fn twin(tx: &mut Transaction<'_>, caller: &Caller, job: &Job) -> Result<Option<String>, Error> {
    let Some((number, _)) = store::selection::twin(tx, job.row.id)? else { return Ok(None) };
    match crate::engine::jobs::load(tx, caller, number) {
        Ok(twin) => Ok(Some(twin.row.name())),
        Err(Error::Denied(_) | Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn people(tx: &mut Transaction<'_>, job: &Job) -> Result<BTreeMap<domain::id::UserId, String>, Error> {
    let mut ids = job.coauthors.clone();
    ids.push(job.row.owner_id);
    Ok(accounts::names(tx, &ids)?.into_iter().collect())
}

fn counts(tx: &mut Transaction<'_>, job: &Job) -> Result<body::TaskCounts, Error> {
    let mut counts = body::TaskCounts::default();
    for (state, tasks) in tasks::states_of_job(tx, job.row.id, &job.scope)? {
        counts.total += tasks;
        match state.code() {
            None => counts.open += tasks,
            Some(0) => counts.succeeded += tasks,
            Some(1) => counts.failed += tasks,
            Some(_) => counts.skipped += tasks,
        }
    }
    Ok(counts)
}

/// What the caller may do to a job now, and why not: permission first, then the state.
#[must_use]
pub fn acts(caller: &Caller, job: &Job) -> Vec<body::Act> {
    Act::ALL
        .into_iter()
        .map(|act| {
            let permitted = caller.decide(act.needs(), &job.record).ok().map_err(|reason| reason.to_string());
            let fits = job::act(job.row.life(), act).map_err(|refusal| refusal.sentence);
            let reason = permitted.and(fits.map(|_| ())).err().unwrap_or_default();
            body::Act { act: act.as_str().to_owned(), allowed: reason.is_empty(), reason }
        })
        .collect()
}

/// The instants the next time of its schedule resolves to, by zone; on demand has none.
fn instants(tx: &mut Transaction<'_>, job: &Job, now: Timestamp) -> Result<Vec<body::ResolvedInstant>, Error> {
    let preview = super::runs::preview(tx, job, &job.schedule, 1, now)?;
    Ok(preview.times.into_iter().flat_map(|time| time.instants).collect())
}

type Titles = BTreeMap<VulnerabilityId, (i64, String)>;

fn titles(tx: &mut Transaction<'_>, ids: impl Iterator<Item = VulnerabilityId>) -> Result<Titles, Error> {
    let ids: Vec<i64> = ids.map(|id| id.0).collect::<BTreeSet<_>>().into_iter().collect();
    let rows = eliminations::titles(tx, &ids)?;
    Ok(rows.into_iter().map(|(id, qid, title)| (id, (qid, title))).collect())
}

fn job_actions(tx: &mut Transaction<'_>, job: &Job, titles: &Titles) -> Result<Vec<body::JobAction>, Error> {
    let mut actions = Vec::new();
    for (vulnerability, key) in &job.actions {
        let entry = catalogue::entry(tx, *key)?;
        let covers = catalogue::covers(tx, *key, *vulnerability)?;
        let (qid, title) = titles.get(vulnerability).cloned().unwrap_or_default();
        actions.push(body::JobAction {
            qid,
            vulnerability: title,
            entry: entry.entry,
            revision: entry.revision,
            digest: entry.digest,
            title: entry.title,
            implication: entry.implication,
            risk: entry.risk,
            reversible: entry.reversible,
            covers: covers
                .into_iter()
                .map(|(cve, coverage, points)| body::Cover { cve, coverage: coverage.as_str().to_owned(), points })
                .collect(),
        });
    }
    Ok(actions)
}

/// Entries chosen by name become keys: what the job has stays in the revisions that it has, withdrawn or not; what is new to it is
/// an entry in force.
///
/// # Errors
/// 422 `actions` for a QID or entry that does not exist.
pub fn actions(
    tx: &mut Transaction<'_>,
    job: &Job,
    chosen: &[body::JobActionChoice],
) -> Result<Vec<(VulnerabilityId, i64)>, Error> {
    let mut own: BTreeMap<(VulnerabilityId, String), BTreeSet<i64>> = BTreeMap::new();
    for (vulnerability, key) in &job.actions {
        own.entry((*vulnerability, catalogue::entry(tx, *key)?.entry)).or_default().insert(*key);
    }
    let current = catalogue::current(tx)?;
    let mut actions = BTreeSet::new();
    for choice in chosen {
        let unknown = |what: String| Error::field("actions", "unknown_action", format!("there is no {what}"));
        let vulnerability =
            eliminations::by_qid(tx, choice.qid)?.ok_or_else(|| unknown(format!("QID {}", choice.qid)))?;
        if let Some(keys) = own.get(&(vulnerability, choice.entry.clone())) {
            actions.extend(keys.iter().map(|key| (vulnerability, *key)));
            continue;
        }
        let entry = current.iter().find(|entry| entry.entry == choice.entry);
        let entry = entry.ok_or_else(|| unknown(format!("catalogue entry `{}`", choice.entry)))?;
        actions.insert((vulnerability, entry.id));
    }
    Ok(actions.into_iter().collect())
}

/// The run of a job that is asked for; the newest that does something when none is named, if there is one.
///
/// # Errors
/// Not found for a run that the job does not have.
pub fn run(tx: &mut Transaction<'_>, job: &Job, ordinal: Option<i64>) -> Result<Option<RunId>, Error> {
    let found = match ordinal {
        None => runs::shown(tx, job.row.id)?,
        Some(ordinal) => {
            let missing = || Error::NotFound(format!("run {ordinal} of {}", job.row.name()));
            Some(runs::by_ordinal(tx, job.row.id, ordinal)?.ok_or_else(missing)?)
        }
    };
    Ok(found.map(|run| run.id))
}

/// A page of the tasks of a run of a job that who loaded it may see; of the newest when none is named.
///
/// # Errors
/// Not found for a run that the job does not have; 422 for a sort or cursor that is not the list's.
pub fn tasks(
    tx: &mut Transaction<'_>,
    job: &Job,
    ordinal: Option<i64>,
    query: &Query,
) -> Result<Page<body::Task>, Error> {
    let Some(run) = run(tx, job, ordinal)? else { return Ok(Page { rows: Vec::new(), next_cursor: None }) };
    let found = page::<TaskLine>(tx, &tasks::list::LIST, tasks::list::of_run(run, &job.scope), query)?;
    Ok(Page { rows: found.rows.into_iter().map(task).collect(), next_cursor: found.next_cursor })
}

fn task(line: TaskLine) -> body::Task {
    body::Task {
        id: line.uuid,
        asset: line.asset_id.0,
        asset_name: line.asset_name,
        entry: line.entry,
        title: line.title,
        kind: line.kind,
        state: line.state.as_str().to_owned(),
        epoch: line.epoch,
        code: line.code,
        detail: line.detail,
        message: line.message,
        waits_for: line.waits_for,
        due_at: line.due_at,
        zone: line.zone,
        window_end: line.window_end,
        started_at: line.started_at,
        ended_at: line.ended_at,
        report: serde_json::from_str(&line.report).ok(),
    }
}

/// What can be done about some QIDs, and where.
///
/// # Errors
/// Not found for an unknown QID.
pub fn eliminations(tx: &mut Transaction<'_>, caller: &Caller, qids: &[i64]) -> Result<body::EliminationsBody, Error> {
    let mut keys = Vec::new();
    for qid in qids {
        let id = eliminations::by_qid(tx, *qid)?;
        keys.push(id.ok_or_else(|| Error::NotFound(format!("vulnerability with QID {qid}")))?);
    }
    let titles = titles(tx, keys.iter().copied())?;
    let keys: Vec<i64> = titles.keys().map(|id| id.0).collect();
    let mut found: BTreeMap<(VulnerabilityId, i64), body::Elimination> = BTreeMap::new();
    for row in catalogue::eliminations(tx, &keys)? {
        let (qid, title) = titles.get(&row.vulnerability_id).cloned().unwrap_or_default();
        let cover = body::Cover { cve: row.cve, coverage: row.coverage.as_str().to_owned(), points: row.points };
        let elimination = found.entry((row.vulnerability_id, row.entry_key)).or_insert_with(|| body::Elimination {
            qid,
            vulnerability: title,
            platform: row.platform,
            entry: row.entry,
            title: row.title,
            implication: row.implication,
            risk: row.risk,
            reversible: row.reversible,
            covers: Vec::new(),
        });
        elimination.covers.push(cover);
    }
    let platforms: BTreeSet<(i64, String)> =
        found.values().flat_map(|e| expand(&e.platform).into_iter().map(|on| (e.qid, on))).collect();
    let assets = eliminations::assets(tx, &keys)?
        .into_iter()
        .filter(|asset| caller.scope.sees(asset.tags()))
        .map(|asset| {
            let qid = titles.get(&asset.vulnerability_id).map_or(0, |(qid, _)| *qid);
            let platform = asset.platform.as_str().to_owned();
            let reason = if !asset.agent {
                "no agent is enrolled on this asset; create an enrolment token under Agents and run its command there"
            } else if !platforms.contains(&(qid, platform.clone())) {
                "the catalogue holds nothing for this vulnerability on this platform"
            } else {
                ""
            };
            body::EliminationAsset {
                qid,
                id: asset.asset_id.0,
                name: asset.name,
                ip: asset.ip,
                platform,
                residual: asset.residual,
                mitigation: asset.mitigation,
                selectable: reason.is_empty(),
                reason: reason.to_owned(),
            }
        })
        .collect();
    let no_sound_mitigation = unsound(tx, &titles)?;
    Ok(body::EliminationsBody { eliminations: found.into_values().collect(), assets, no_sound_mitigation })
}

/// What the catalogue says of these vulnerabilities that nothing sound exists for.
fn unsound(tx: &mut Transaction<'_>, titles: &Titles) -> Result<Vec<body::UnsoundMitigation>, Error> {
    let mut said = Vec::new();
    for (id, (qid, _)) in titles {
        let cves = store::vulnerabilities::cves(tx, *id)?;
        let found = super::catalogue::no_mitigation(cves.iter().map(|cve| cve.cve.as_str()));
        said.extend(found.into_iter().map(|statement| body::UnsoundMitigation { qid: *qid, statement }));
    }
    Ok(said)
}

fn expand(platform: &str) -> Vec<String> {
    if platform == "any" { vec!["linux".to_owned(), "windows".to_owned()] } else { vec![platform.to_owned()] }
}
