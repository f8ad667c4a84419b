//! `/jobs`: the list of mitigation jobs, and what is done to one or several of them.

use super::choice;
use super::eliminations::denied;
use super::frame::{Head, Show, frame, listed, pager, sentence};
use super::marks;
use super::vulnerabilities::TOTAL_MAX;
use crate::api::jobs::{ordinal, set_halt};
use crate::app::App;
use crate::engine::jobs::{self, Job};
use crate::engine::rollouts::{self, Asked};
use crate::http::auth::{Caller, PageActor};
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, ListQuery};
use crate::pages::Section;
use crate::pages::chips::{Bar, Change, Chip, Tone, When};
use crate::pages::jobs::{COLUMNS, JobRow, JobsPage};
use crate::pages::lists::{Action as Button, Empty, Menu, address};
use crate::views;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::job::{Act, Status};
use domain::time::Timestamp;
use protocol::api::response::{Act as Allowed, HaltRequest, JobSummary};
use std::collections::BTreeMap;
use store::list::{count, keys};
use store::overview;

/// Rows of a page.
const ROWS: i64 = 50;
/// Jobs changed by one press at most; more are refused, with their number.
const BULK_MAX: usize = 500;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/jobs", get(index))
        .route("/jobs/bulk/{act}", post(several))
        .route("/jobs/halt", post(halt))
        .route("/jobs/go-on", post(go_on))
        .route("/jobs/{number}/{act}", post(one))
}

/// A job's status as a mark; one that is enabled and has begun is running.
pub(super) fn status(job: &JobSummary) -> Chip {
    match job.status.as_str() {
        "DRAFT" => Chip::new(Tone::Idle, "Draft").with_icon("pencil"),
        "DISABLED" => Chip::new(Tone::Idle, "Disabled"),
        "ENABLED" if job.paused => Chip::new(Tone::Warn, "Paused").with_icon("player-pause"),
        "ENABLED" if job.halted => Chip::new(Tone::Fail, "Halted").with_icon("hand-stop"),
        "ENABLED" if job.started_at.is_some() => Chip::new(Tone::Run, "Running"),
        "ENABLED" => Chip::new(Tone::Sched, "Enabled"),
        "COMPLETED" => Chip::new(Tone::Ok, "Completed"),
        "COMPLETED_WITH_FAILURES" => Chip::new(Tone::Fail, "With failures").titled("Completed with failures"),
        other => Chip::new(Tone::Idle, other),
    }
}

async fn index(State(app): State<App>, who: PageActor, query: ListQuery) -> Result<Response, Error> {
    who.may(Action::JobsView, &Record::default())?;
    let query = ListQuery { limit: Some(query.limit.unwrap_or(ROWS)), ..query };
    let empty = Empty::yet(
        "player-play",
        "No mitigation jobs yet",
        "A job starts from an elimination: choose a vulnerability, see what removes its risk, mitigate now. Create job makes one \
         that chooses its assets by filter or tag.",
    )
    .with(Button::go("See eliminations", "/eliminations").primary());
    let head = Head { path: "/jobs", noun: "mitigation jobs", columns: &COLUMNS, sort: "-activity", empty };
    let (mut list, wanted) = listed(&app, &who, &query, &store::jobs::LIST, head)?;
    let mut rows = Vec::new();
    if let Some(wanted) = wanted {
        let (asker, now) = (who.clone(), app.clock.now());
        let read = app.database.try_read(move |tx| {
            let clip = store::jobs::clip_of(&asker.actor);
            let total = count(tx, &store::jobs::LIST, clip, &wanted, TOTAL_MAX)?;
            let page = views::jobs::list(tx, &asker, &wanted)?;
            let numbers: Vec<i64> = page.rows.iter().filter_map(|job| ordinal(&job.number).ok()).collect();
            let scores = overview::job_scores(tx, &numbers, &asker.scope)?;
            let mut rows = Vec::new();
            for summary in &page.rows {
                let number = ordinal(&summary.number)?;
                let job = jobs::load(tx, &asker, number)?;
                let scores: Vec<_> = scores.iter().filter(|score| score.number == number).collect();
                rows.push(row(&asker, summary, &job, &scores, now));
            }
            Ok::<_, Error>((rows, total, page.next_cursor))
        });
        let (found, total, next) = read.await?;
        (list.total, list.capped) = (Some(total), total >= TOTAL_MAX);
        list.shown = found.len();
        list.pager = pager(&query, "/jobs", next.as_deref());
        rows = found;
    }
    list.columns.pick = true;
    for (label, q) in [
        ("All jobs", ""),
        ("Enabled", "is:enabled"),
        ("Halted", "is:halted"),
        ("Disabled", "is:disabled"),
        ("Needs attention", "is:failed"),
        ("Mine", "owner:me"),
    ] {
        list.tab(label, q, None);
    }
    list.bulk = vec![
        Button::post("Enable", "/jobs/bulk/enable").icon("player-play"),
        Button::post("Disable", "/jobs/bulk/disable").icon("ban"),
        Button::post("Pause", "/jobs/bulk/pause").icon("player-pause"),
        Button::post("Resume", "/jobs/bulk/resume").icon("player-play"),
        Button::post("Delete", "/jobs/bulk/delete").icon("trash").danger().asking(
            "Delete the selected jobs",
            "They leave the list. Mitigations that they put in place stay in force.",
            "Delete",
        ),
    ];
    let may = denied(&who.decide(Action::JobCreate, &Record::owned_by(who.user)));
    let create = Button::go("Create job", "/jobs/new").icon("plus").primary().key('c').unless(may);
    let shell = frame(&app, &who, Section::Jobs, "Mitigation jobs").await?;
    let stop = halting(&who, shell.halt.is_some());
    let shell = shell.action(stop).action(create);
    Ok(Show(JobsPage { shell, list, rows }).into_response())
}

/// The switch that stops all work of all agents, or lets it go on.
fn halting(who: &Caller, halted: bool) -> Button {
    let button = if halted {
        Button::post("Go on", "/jobs/go-on").icon("player-play").asking(
            "Let everything go on",
            "Jobs that are enabled and due are offered to their agents again.",
            "Go on",
        )
    } else {
        Button::post("Halt all", "/jobs/halt").icon("hand-stop").danger().asking(
            "Halt all jobs",
            "Nothing more is offered to any agent, and what has not begun is withdrawn. Everybody sees that you did it.",
            "Halt all",
        )
    };
    button.unless(denied(&who.decide(Action::Halt, &Record::default())))
}

async fn halt(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    switch(&app, &who, true, "Everything is halted.").await
}

async fn go_on(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    switch(&app, &who, false, "Everything goes on.").await
}

async fn switch(app: &App, who: &PageActor, halted: bool, text: &str) -> Result<Response, Error> {
    let reason = if halted { "halted on the page of jobs".to_owned() } else { String::new() };
    set_halt(app, who, HaltRequest { halted, reason }).await?;
    Ok(flash::redirect("/jobs", Some(Flash::done(text))))
}

fn row(who: &Caller, job: &JobSummary, full: &Job, scores: &[&overview::JobScore], now: Timestamp) -> JobRow {
    let (platform, icon) = marks::platform(&job.platform);
    let worst = |of: fn(&overview::JobScore) -> i64| scores.iter().map(|score| of(score)).max();
    let at = job.ended_at.or(job.started_at).unwrap_or(job.created_at);
    let counts = &job.tasks;
    JobRow {
        number: job.number.clone(),
        href: format!("/jobs/{}", job.number),
        title: job.title.clone(),
        platform: (icon, platform),
        status: status(job),
        bar: Bar::new(
            &[
                (Tone::Mit, counts.succeeded, "succeeded"),
                (Tone::Idle, counts.skipped, "skipped"),
                (Tone::Fail, counts.failed, "failed"),
            ],
            counts.total.max(1),
        ),
        done: counts.total - counts.open,
        of: counts.total,
        change: Change::new(worst(|score| score.inherent), worst(|score| score.residual)),
        schedule: job.schedule.clone(),
        owner: job.owner.clone(),
        activity: Some(When::near(at.to_jiff(), now.to_jiff())),
        menu: Menu::dots(format!("m-{}", job.number), format!("Quick actions for {}", job.number), buttons(who, full)),
    }
}

/// Why an act is not possible now; none when it is.
pub(super) fn reason(acts: &[Allowed], word: &str) -> Option<String> {
    let act = acts.iter().find(|act| act.act == word)?;
    (!act.allowed).then(|| act.reason.clone())
}

/// Quick actions of a job (S1.20, S1.22): all are shown, those that are not possible with the reason.
pub(super) fn buttons(who: &Caller, job: &Job) -> Vec<Button> {
    let number = job.row.name();
    let acts = views::jobs::acts(who, job);
    let to = |act: &str| format!("/jobs/{number}/{act}");
    let draft = job.row.status == Status::Draft;
    let mut all = vec![Button::go("View progress", format!("/jobs/{number}")).icon("activity")];
    let edit = if draft { "Continue the draft" } else { "Edit" };
    all.push(Button::go(edit, format!("/jobs/{number}/edit/basic")).icon("pencil").unless(reason(&acts, "edit")));
    let dry = crate::engine::dry_run::why_not(who, job);
    all.push(Button::post("Dry run", to("dry-run")).icon("eye").unless((!dry.is_empty()).then_some(dry)));
    all.push(Button::go("Last dry run", to("dry-run")).icon("eye"));
    if !draft {
        all.push(Button::go("Summary to print", to("summary")).icon("file-text"));
        all.push(Button::go("Report as CSV", to("report?format=csv")).icon("download"));
        all.push(Button::go("Report as JSON", to("report")).icon("download"));
        all.push(Button::post("Enable", to("enable")).icon("player-play").unless(reason(&acts, "enable")));
        all.push(Button::post("Disable", to("disable")).icon("ban").unless(reason(&acts, "disable")));
        all.push(if job.row.paused {
            Button::post("Resume", to("resume")).icon("player-play").unless(reason(&acts, "resume"))
        } else {
            Button::post("Pause", to("pause")).icon("player-pause").unless(reason(&acts, "pause"))
        });
        all.push(run_now(&number, &acts));
        all.push(
            Button::post("Retry failed", to("retry_failed")).icon("refresh").unless(reason(&acts, "retry_failed")),
        );
        all.push(Button::post("Roll back", to("rollback")).icon("arrow-back-up").unless(no_way_back(who, job)));
    }
    all.push(Button::post("Clone", to("clone")).icon("copy").unless(reason(&acts, "clone")));
    all.push(Button::go("Change owner", to("owner")).icon("user").unless(reason(&acts, "change_owner")));
    if !draft {
        all.push(cancel(&number, &acts));
    }
    let (text, verb) = if draft {
        ("What was filled in so far is thrown away.", "Discard")
    } else {
        ("The job leaves the list. Mitigations that it put in place stay in force.", "Delete")
    };
    let delete = Button::post(verb, to("delete")).icon("trash").danger();
    all.push(delete.asking(format!("{verb} {number}"), text, verb).unless(reason(&acts, "delete")));
    all
}

fn run_now(number: &str, acts: &[Allowed]) -> Button {
    let why = "Its agents do it as soon as they ask for work, whatever the schedule says.";
    Button::post("Run now", format!("/jobs/{number}/run_now"))
        .icon("bolt")
        .asking(format!("Run {number} now"), why, "Run now")
        .unless(reason(acts, "run_now"))
}

pub(super) fn cancel(number: &str, acts: &[Allowed]) -> Button {
    Button::post("Cancel run", format!("/jobs/{number}/cancel"))
        .icon("square")
        .danger()
        .asking(
            format!("Cancel {number}"),
            "Nothing more starts. What an agent has begun ends and is reported.",
            "Cancel run",
        )
        .unless(reason(acts, "cancel"))
}

fn no_way_back(who: &Caller, job: &Job) -> Option<String> {
    let refused = jobs::no_way_back(job).map(|refusal| refusal.sentence);
    refused.or_else(|| denied(&who.decide(Action::Rollback, &Record::owned_by(who.user))))
}

fn act(word: &str) -> Option<(Act, &'static str)> {
    match word {
        "enable" => Some((Act::Enable, "enabled")),
        "disable" => Some((Act::Disable, "disabled")),
        "pause" => Some((Act::Pause, "paused")),
        "resume" => Some((Act::Resume, "resumed")),
        "run_now" => Some((Act::RunNow, "run now")),
        "retry_failed" => Some((Act::RetryFailed, "run again where it failed")),
        "cancel" => Some((Act::Cancel, "cancelled")),
        "delete" => Some((Act::Delete, "deleted")),
        _ => None,
    }
}

async fn done(app: &App, who: &PageActor, number: i64, act: Act) -> Result<Job, Error> {
    jobs::act(app, who, number, act).await
}

async fn one(
    State(app): State<App>,
    who: PageActor,
    Path((number, word)): Path<(String, String)>,
) -> Result<Response, Error> {
    if word == "rollback" {
        let made = jobs::roll_back(&app, &who, ordinal(&number)?).await;
        return drafted(&number, made, |draft| {
            format!("{draft} takes back what {number} put in place; nothing of it runs yet.")
        });
    }
    if word == "clone" {
        let made = done(&app, &who, ordinal(&number)?, Act::Clone).await;
        return drafted(&number, made, |draft| format!("{draft} is a copy of {number}; nothing of it runs yet."));
    }
    let asked = match word.as_str() {
        "halt-run" => Some((Asked::Halt("halted on the page of the job".to_owned()), "halting")),
        "resume-run" => Some((Asked::Resume, "resumed")),
        "promote" => Some((Asked::Promote, "in its next wave")),
        _ => None,
    };
    if let Some((asked, past)) = asked {
        let flash = match rollouts::act(&app, &who, ordinal(&number)?, asked).await {
            Ok(_) => Flash::done(format!("{number} is {past}.")),
            Err(error) => Flash { failed: true, ..Flash::done(said(error)?) },
        };
        return Ok(flash::redirect(&format!("/jobs/{number}"), Some(flash)));
    }
    let missing = || Error::NotFound(format!("way to {word} a job"));
    let (act, past) = act(&word).ok_or_else(missing)?;
    let gone = act == Act::Delete;
    let back = if gone { "/jobs".to_owned() } else { format!("/jobs/{number}") };
    let flash = match done(&app, &who, ordinal(&number)?, act).await {
        Ok(_) => Flash::done(format!("{number} is {past}.")),
        Err(error) => Flash { failed: true, ..Flash::done(said(error)?) },
    };
    Ok(flash::redirect(&back, Some(flash)))
}

/// A draft that was made of a job, which its first step shows.
fn drafted(number: &str, made: Result<Job, Error>, said_of: impl FnOnce(&str) -> String) -> Result<Response, Error> {
    match made {
        Ok(draft) => {
            let draft = draft.row.name();
            Ok(flash::redirect(&format!("/jobs/{draft}/edit/basic"), Some(Flash::done(said_of(&draft)))))
        }
        Err(error) => {
            let flash = Flash { failed: true, ..Flash::done(said(error)?) };
            Ok(flash::redirect(&format!("/jobs/{number}"), Some(flash)))
        }
    }
}

/// What keeps something from being done, in words; anything that is no answer to the person goes to the error page.
pub(super) fn said(error: Error) -> Result<String, Error> {
    match error {
        Error::Refused(refusal) => Ok(sentence(&refusal.sentence)),
        Error::Denied(reason) if !reason.hides() => Ok(sentence(&reason.to_string())),
        Error::Invalid(fields) => Ok(fields.iter().map(|field| sentence(&field.message)).collect::<Vec<_>>().join(" ")),
        Error::Problem(problem) if matches!(problem.status, 409 | 412) => Ok(sentence(&problem.detail)),
        error => Err(error),
    }
}

async fn several(
    State(app): State<App>,
    who: PageActor,
    Path(word): Path<String>,
    form: Fields,
) -> Result<Response, Error> {
    let missing = || Error::NotFound(format!("way to {word} jobs"));
    let (act, past) = act(&word).ok_or_else(missing)?;
    let numbers = if form.one("all").is_empty() {
        form.all("row").iter().map(|number| ordinal(number)).collect::<Result<Vec<_>, _>>()?
    } else {
        matching(&app, &who, form.one("q")).await?
    };
    if numbers.len() > BULK_MAX {
        // Some of what was chosen would be worse than none: nobody could tell which.
        let said = Flash::done(sentence(&choice::too_many("jobs", BULK_MAX)));
        let back = address("/jobs", &[("q", form.one("q"))]);
        return Ok(flash::redirect(&back, Some(Flash { failed: true, ..said })));
    }
    let (mut worked, mut refused): (usize, BTreeMap<String, usize>) = (0, BTreeMap::new());
    for number in numbers {
        match done(&app, &who, number, act).await {
            Ok(_) => worked += 1,
            Err(error) => *refused.entry(said(error)?).or_default() += 1,
        }
    }
    let mut text = format!("{worked} {} {past}.", if worked == 1 { "job is" } else { "jobs are" });
    for (why, count) in &refused {
        text.push_str(&format!(" {count} not: {why}"));
    }
    let flash = Flash { failed: !refused.is_empty(), ..Flash::done(text) };
    Ok(flash::redirect("/jobs", Some(flash)))
}

/// The numbers of the jobs that a query text gives, one more than may be changed at once where there are so many.
async fn matching(app: &App, who: &PageActor, q: &str) -> Result<Vec<i64>, Error> {
    let query = ListQuery { q: q.to_owned(), ..ListQuery::default() };
    let query = query.of_list(&store::jobs::FIELDS, "-number", app.clock.now(), &who.name)?;
    let actor = who.actor.clone();
    app.database
        .try_read(move |tx| {
            let most = i64::try_from(BULK_MAX + 1).unwrap_or(i64::MAX);
            let ids = keys(tx, &store::jobs::LIST, store::jobs::clip_of(&actor), &query, most)?;
            ids.into_iter()
                .map(|id| Ok(store::jobs::read(tx, domain::id::JobId(id))?.number))
                .collect::<Result<Vec<_>, Error>>()
        })
        .await
}
