//! What is taken away from a job: `/jobs/{number}/summary` for paper, `/jobs/{number}/report` as a file; and, at
//! `/settings/retention`, how long evidence is kept.

use super::frame::{Show, again, faults, frame};
use super::{job, jobs, marks};
use crate::api::jobs::ordinal;
use crate::api::results::{ReportQuery, download};
use crate::app::App;
use crate::engine::{evidence, jobs as engine};
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::pages::Section;
use crate::pages::forms::{DialogPage, Fault, Faults, Field};
use crate::pages::records::{Fact, Value};
use crate::pages::summary::SummaryPage;
use crate::views;
use crate::views::report::Reader;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Record};
use domain::time::Timestamp;
use protocol::api::response::{Job, JobCve, ReportLine};
use serde::Deserialize;
use store::report::{self, RunLine};

/// Lines on paper; the report has all.
const LINES_SHOWN: usize = 300;
/// Runs on paper.
const RUNS_SHOWN: i64 = 50;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/jobs/{number}/summary", get(summary))
        .route("/jobs/{number}/report", get(file))
        .route("/settings/retention", get(retention).post(keep))
}

async fn file(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(query): Query<ReportQuery>,
) -> Result<Response, Error> {
    download(&app, &who, &number, &query).await
}

/// Which run.
#[derive(Debug, Clone, Default, Deserialize)]
struct Which {
    run: Option<i64>,
}

/// What is printed of a job.
struct Seen {
    full: engine::Job,
    job: Job,
    cves: Vec<JobCve>,
    lines: Vec<ReportLine>,
    more: i64,
    run: i64,
    evidence: evidence::Evidence,
    runs: Vec<RunLine>,
}

async fn look(app: &App, who: &PageActor, number: i64, run: Option<i64>) -> Result<Seen, Error> {
    let (asker, now) = (who.caller.clone(), app.clock.now());
    app.database
        .try_read(move |tx| {
            let full = engine::load(tx, &asker, number)?;
            let job = views::jobs::job(tx, &asker, &full, now)?;
            let cves = views::report::cves(tx, &full)?;
            let mut reader = Reader::new(tx, &full, run)?;
            let (mut lines, mut all) = (Vec::new(), 0);
            loop {
                let page = reader.next(tx)?;
                if page.is_empty() {
                    break;
                }
                all += page.len();
                lines.extend(page.into_iter().take(LINES_SHOWN - lines.len()));
            }
            let evidence = evidence::of_runs(tx, reader.runs(), &full.scope)?;
            let runs = report::runs(tx, full.row.id, &full.scope, RUNS_SHOWN)?;
            let more = i64::try_from(all - lines.len()).unwrap_or_default();
            Ok(Seen { run: reader.run(), full, job, cves, lines, more, evidence, runs })
        })
        .await
}

fn moment(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "–".to_owned(), |at| at.to_jiff().strftime("%-d %b %Y %H:%M:%S UTC").to_string())
}

async fn summary(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, Error> {
    let seen = look(&app, &who, ordinal(&number)?, which.run).await?;
    let shell = frame(&app, &who, Section::Jobs, format!("{number} summary")).await?;
    let (job, full) = (&seen.job, &seen.full);
    let now = app.clock.now();
    let page = SummaryPage {
        shell,
        title: job.summary.title.clone(),
        description: job.description.clone(),
        status: jobs::status(&job.summary),
        facts: facts(&seen),
        plan: job
            .actions
            .iter()
            .map(|action| {
                let entry = format!("{} (revision {}): {}", action.entry, action.revision, action.title);
                (action.qid, action.vulnerability.clone(), entry, action.digest.clone())
            })
            .collect(),
        counts: counts(&seen),
        evidence: evidence_words(&seen.evidence),
        digest: seen.evidence.digest.clone(),
        runs: seen
            .runs
            .iter()
            .map(|run| {
                let (began, ended) = (moment(Some(run.started_at)), moment(run.ended_at));
                (run.ordinal, began, ended, run.succeeded, run.failed, run.total)
            })
            .collect(),
        run: seen.run,
        cves: seen.cves.clone(),
        lines: seen.lines.clone(),
        more: seen.more,
        printed: format!("{} · printed {} by {} · Quell", full.row.name(), moment(Some(now)), who.name),
        number,
    };
    Ok(Show(page).into_response())
}

fn facts(seen: &Seen) -> Vec<Fact> {
    let (job, row) = (&seen.job, &seen.full.row);
    let (platform, _) = marks::platform(&job.summary.platform);
    let run = seen.runs.iter().find(|run| run.ordinal == seen.run);
    let mut facts = vec![
        Fact::new("Kind", Value::text(format!("{} on {platform}", marks::words(&job.summary.kind)))),
        Fact::new("Owner", Value::text(job.summary.owner.clone())),
        Fact::new("Co-authors", Value::text(job.coauthors.join(", "))),
        Fact::new("Schedule", Value::text(job.summary.schedule.clone())),
        Fact::new("Mail", Value::text(job::mail(job))),
        Fact::new("Created", Value::text(moment(Some(row.created_at)))),
        Fact::new("Enabled", Value::text(moment(row.enabled_at))),
        Fact::new("Started", Value::text(moment(run.map(|run| run.started_at)))),
        Fact::new("Ended", Value::text(moment(run.and_then(|run| run.ended_at)))),
        Fact::new("Assets", Value::text(job.summary.assets.to_string())),
    ];
    if job.hidden_assets > 0 {
        let words = format!("{} more outside the asset scope of who printed this", job.hidden_assets);
        facts.push(Fact::new("Not shown", Value::text(words)));
    }
    facts
}

fn counts(seen: &Seen) -> Vec<(i64, &'static str)> {
    let Some(run) = seen.runs.iter().find(|run| run.ordinal == seen.run) else { return Vec::new() };
    let skipped = run.total - run.open - run.succeeded - run.failed;
    let all = [
        (run.succeeded, "succeeded"),
        (run.failed, "failed"),
        (skipped, "skipped"),
        (run.open, "without a result yet"),
    ];
    all.into_iter().filter(|(number, _)| *number > 0).collect()
}

fn evidence_words(found: &evidence::Evidence) -> String {
    match (found.tasks, found.forgotten) {
        (0, _) => "No agent has reported yet.".to_owned(),
        (tasks, 0) => format!("The reports of {tasks} tasks, word for word as the agents signed for them."),
        (tasks, all) if all == tasks => {
            format!("The reports of {tasks} tasks are no longer kept; a copy can be recognised by its digest.")
        }
        (tasks, some) => format!("The reports of {tasks} tasks; those of {some} are no longer kept but as digests."),
    }
}

async fn form(app: &App, who: &PageActor, days: &str, faults: Vec<Fault>) -> Result<DialogPage, Error> {
    let shell = frame(app, who, Section::Jobs, "Evidence").await?.under("Mitigation jobs", "/jobs");
    Ok(DialogPage {
        shell,
        to: "/settings/retention".to_owned(),
        text: format!(
            "What agents report word for word, and signed orders, are removed this many days after a run has ended; 0 keeps \
             them for ever. Results, mitigations in force, scores and the audit log stay, and so does the digest of what was \
             removed. Without a choice it is {} days.",
            evidence::DAYS_DEFAULT
        ),
        fields: vec![Field::typed("number", "days", "Days", days).required().focus().faulted(&faults)],
        faults: Faults(faults),
        verb: "Save",
        back: "/jobs".to_owned(),
    })
}

async fn retention(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    who.may(Action::SettingsChange, &Record::default())?;
    let kept = app.database.read(evidence::kept).await?;
    Ok(Show(form(&app, &who, &kept.days.to_string(), Vec::new()).await?).into_response())
}

async fn keep(State(app): State<App>, who: PageActor, fields: Fields) -> Result<Response, Error> {
    let typed = fields.one("days").trim().to_owned();
    let wanted = typed.parse::<i64>().map_err(|_| Error::field("days", "bad_days", "give a number of days"));
    let kept = match wanted {
        Ok(days) => evidence::keep(&app, &who, days).await,
        Err(error) => Err(error),
    };
    match kept {
        Ok(kept) => {
            let words = if kept.days == 0 { "for ever".to_owned() } else { format!("for {} days", kept.days) };
            Ok(flash::redirect("/jobs", Some(Flash::done(format!("Evidence is kept {words}.")))))
        }
        Err(error) => {
            let faults = faults(error, |field| field)?;
            Ok(again(form(&app, &who, &typed, faults).await?))
        }
    }
}
