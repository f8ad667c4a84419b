//! `/jobs/{number}`: one job with its progress, which is sent again as server-sent events while it changes.

use super::frame::{Show, frame};
use super::job_tasks::{Look, View};
use super::jobs::{buttons, cancel, reason};
use super::{job_cves, job_live, job_waves, marks};
use crate::api::jobs::ordinal;
use crate::app::App;
use crate::engine::jobs as engine;
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::pages::Section;
use crate::pages::chips::When;
use crate::pages::jobs::{CvesPart, JobLive, JobPage};
use crate::pages::lists::{Action as Button, Menu};
use crate::pages::records::{Fact, Value};
use crate::views;
use crate::wake::Listener;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::approval::State as At;
use domain::job::Status;
use futures_util::stream;
use protocol::api::response::Job;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use store::approvals::ApprovalRow;

/// Longest time between two looks at the job: replicas do not wake each other.
const PAUSE: Duration = Duration::from_secs(2);
/// Shortest time between two pictures of it.
const CALM: Duration = Duration::from_millis(250);
/// The card by CVE is made anew after this long: it assesses every vulnerability of the job on every asset.
const CVES_TIME: Duration = Duration::from_secs(15);
/// A stream ends after this long; the browser asks again, and so proves again who it is.
const LIVE_TIME_MAX: Duration = Duration::from_secs(600);

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/jobs/{number}", get(show))
}

/// What stays open.
pub fn streams() -> Router<App> {
    Router::new().route("/jobs/{number}/live", get(live))
}

/// A job as its page shows it.
struct Seen {
    full: engine::Job,
    job: Job,
    live: JobLive,
    approval: Option<ApprovalRow>,
    /// Halt, resume, next wave.
    switches: Vec<Button>,
}

/// Looks at a job; of its CVEs by what was made a while ago, where that is given and still good enough.
async fn look(app: &App, who: &PageActor, number: i64, view: View, known: Option<CvesPart>) -> Result<Seen, Error> {
    let (asker, now, presence) = (who.caller.clone(), app.clock.now(), app.presence.clone());
    app.database
        .try_read(move |tx| {
            let full = engine::load(tx, &asker, number)?;
            let job = views::jobs::job(tx, &asker, &full, now)?;
            let look = Look { full: &full, job: &job, view: &view, presence: &presence, now };
            let cves = match &known {
                // What stands there when it is over stays there.
                Some(known) if !over(&full) => known.clone(),
                _ => job_cves::part(tx, &full)?,
            };
            let live = job_live::picture(tx, &look, cves)?;
            let approval = store::approvals::of_job(tx, full.row.id)?;
            let switches = job_waves::switches(tx, &asker, &full)?;
            Ok(Seen { full, job, live, approval, switches })
        })
        .await
}

/// Nothing about the job changes any more by itself.
fn over(job: &engine::Job) -> bool {
    !matches!(job.row.status, Status::Enabled)
}

async fn show(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(view): Query<View>,
) -> Result<Response, Error> {
    let seen = look(&app, &who, ordinal(&number)?, view.clone(), None).await?;
    let (full, job) = (&seen.full, &seen.job);
    let shell = frame(&app, &who, Section::Jobs, number.clone()).await?.under("Mitigation jobs", "/jobs");
    let mut shell = shell;
    let primary = match full.row.status {
        Status::Draft => {
            Some(Button::go("Continue the draft", format!("/jobs/{number}/edit/basic")).icon("pencil").primary())
        }
        Status::Disabled => Some(
            Button::post("Enable", format!("/jobs/{number}/enable"))
                .icon("player-play")
                .primary()
                .unless(reason(&job.acts, "enable")),
        ),
        Status::Enabled if full.row.paused => Some(
            Button::post("Resume", format!("/jobs/{number}/resume"))
                .icon("player-play")
                .primary()
                .unless(reason(&job.acts, "resume")),
        ),
        Status::Enabled if full.row.started_at.is_some() => Some(cancel(&number, &job.acts)),
        _ => None,
    };
    shell.actions.extend(seen.switches);
    shell.actions.extend(primary);
    if let Some(approval) = seen.approval.as_ref().filter(|row| row.state != At::Void) {
        shell.actions.push(Button::go("Approval", format!("/approvals/{}", approval.id)).icon("clipboard-check"));
    }
    let live = view.at(&format!("/jobs/{number}/live"));
    let page = JobPage {
        shell,
        title: job.summary.title.clone(),
        description: job.description.clone(),
        menu: Menu { text: Some("Quick actions"), ..Menu::dots("m-job", "Quick actions", buttons(&who, full)) },
        live_from: (!over(full)).then_some(live),
        live: seen.live,
        facts: facts(full, job),
        note: waits(seen.approval.as_ref()).or_else(|| note(full)),
    };
    Ok(Show(page).into_response())
}

fn waits(approval: Option<&ApprovalRow>) -> Option<String> {
    let row = approval?;
    match row.state {
        At::Pending => Some(format!(
            "Run {} waits for approval by a second person: {} of {} signatures. Nothing starts before.",
            row.run_ordinal, row.signatures, row.needed
        )),
        At::Rejected => Some(format!("{} rejected the last run: {}", row.decided_by, row.reason)),
        At::Expired => Some("Nobody approved the last run in time; enable the job again to ask anew.".to_owned()),
        At::Approved | At::Void => None,
    }
}

fn note(job: &engine::Job) -> Option<String> {
    let state = match job.row.status {
        Status::Draft => Some("This is a draft: nothing happens until its last step is saved.".to_owned()),
        Status::Disabled => Some("The job is disabled. Enable it to make it run.".to_owned()),
        Status::Enabled if job.row.paused => {
            Some("The job is paused: nothing more of it starts. Resume it to go on.".to_owned())
        }
        _ if job.row.cancelled => {
            Some("Somebody cancelled this job: what had not started by then was skipped.".to_owned())
        }
        _ => None,
    };
    let hidden = match job.hidden {
        0 => None,
        1 => Some("1 asset outside your asset scope is not shown.".to_owned()),
        many => Some(format!("{many} assets outside your asset scope are not shown.")),
    };
    let notes: Vec<String> = state.into_iter().chain(hidden).collect();
    (!notes.is_empty()).then(|| notes.join(" "))
}

fn facts(full: &engine::Job, job: &Job) -> Vec<Fact> {
    let (platform, _) = marks::platform(&job.summary.platform);
    let mut qids: Vec<i64> = job.actions.iter().map(|action| action.qid).collect();
    qids.sort_unstable();
    qids.dedup();
    let qid = match qids.as_slice() {
        [one] => Value::link(format!("QID {one}"), format!("/vulnerabilities/{one}")),
        several => Value::code(several.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
    };
    let mut actions: Vec<(String, String)> =
        job.actions.iter().map(|action| (action.title.clone(), format!("/mitigations/{}", action.entry))).collect();
    actions.dedup();
    let action = match actions.as_slice() {
        [(title, href)] => Value::link(title.clone(), href.clone()),
        several => Value::text(several.iter().map(|(title, _)| title.as_str()).collect::<Vec<_>>().join("; ")),
    };
    let mut facts = vec![
        Fact::new("Kind", Value::text(marks::words(&job.summary.kind))),
        Fact::new("Platform", Value::text(platform)),
        Fact::new(if actions.len() == 1 { "Action" } else { "Actions" }, action),
        Fact::new("QIDs", qid),
        Fact::new("Owner", Value::text(job.summary.owner.clone())),
        Fact::new("Co-authors", Value::text(job.coauthors.join(", "))),
        Fact::new("Schedule", Value::text(job.summary.schedule.clone())),
        Fact::new("Next run", Value::text(next_run(job))),
        Fact::new("Mail", Value::text(mail(job))),
        Fact::new("Created", Value::When(When::exact(full.row.created_at.to_jiff()))),
    ];
    facts.extend(job.twin.as_ref().map(|twin| Fact::new("Other platform", Value::link(twin, format!("/jobs/{twin}")))));
    facts
}

/// The next time of a recurring job, on the clock of its zone.
fn next_run(job: &Job) -> String {
    let time = job.next_time.as_deref().map(|time| time.replace('T', " "));
    let time = time.as_deref().and_then(|time| time.get(..16)).unwrap_or_default();
    let first = job.instants.iter().map(|instant| instant.at).min().filter(|_| !time.is_empty());
    first
        .map_or_else(|| time.to_owned(), |at| format!("{time}, first at {}", at.to_jiff().strftime("%-d %b %H:%M UTC")))
}

/// Who gets mail when, in words.
pub(super) fn mail(job: &Job) -> String {
    if job.recipients.is_empty() {
        return String::new();
    }
    let mut when = Vec::new();
    if job.mail_started {
        when.push("at the start".to_owned());
    }
    if job.mail_percent > 0 {
        when.push(format!("when {} % have reported", job.mail_percent));
    }
    let when = if when.is_empty() { "never".to_owned() } else { when.join(" and ") };
    format!("{}: {when}", job.recipients.join(", "))
}

/// Where a stream of progress is.
struct Live {
    app: App,
    who: PageActor,
    number: i64,
    view: View,
    /// The card by CVE, and when it was made.
    cves: (Instant, CvesPart),
    woken: Listener,
    sent: String,
    until: Instant,
    last: bool,
    ended: bool,
}

async fn live(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(view): Query<View>,
) -> Result<Response, Error> {
    let number = ordinal(&number)?;
    let seen = look(&app, &who, number, view.clone(), None).await?;
    let state = Live {
        woken: app.wake.listen("job", seen.full.row.id.0),
        number,
        view,
        cves: (Instant::now(), seen.live.cves),
        sent: String::new(),
        until: Instant::now() + LIVE_TIME_MAX,
        last: false,
        ended: false,
        app,
        who,
    };
    Ok(Sse::new(stream::unfold(state, next)).keep_alive(KeepAlive::default()).into_response())
}

/// The next picture, once it differs from the one before; after the last one the event that ends the stream.
async fn next(mut live: Live) -> Option<(Result<Event, Infallible>, Live)> {
    if live.ended || Instant::now() > live.until || live.app.stopping.is_cancelled() {
        return None;
    }
    if live.last {
        live.ended = true;
        return Some((Ok(Event::default().event("end").data("over")), live));
    }
    loop {
        // A session that ended, a job that was deleted or that may not be seen any more, ends the stream.
        if !live.who.stays(&live.app).await {
            return None;
        }
        let (made, known) = &live.cves;
        let fresh = made.elapsed() < CVES_TIME;
        let known = fresh.then(|| known.clone());
        let seen = look(&live.app, &live.who, live.number, live.view.clone(), known).await.ok()?;
        if !fresh {
            live.cves = (Instant::now(), seen.live.cves.clone());
        }
        let picture = seen.live.to_string();
        live.last = over(&seen.full);
        if picture != live.sent || live.last {
            live.sent.clone_from(&picture);
            return Some((Ok(Event::default().event("job").data(picture)), live));
        }
        tokio::select! {
            () = live.app.stopping.cancelled() => return None,
            _ = live.woken.changed_within(PAUSE) => tokio::time::sleep(CALM).await,
        }
        if Instant::now() > live.until {
            return None;
        }
    }
}
