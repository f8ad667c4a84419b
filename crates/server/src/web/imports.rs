//! `/imports`: the runs that imported, one run with its counters and what it refused.

use super::frame::{Head, Show, frame, listed, pager, sentence};
use super::vulnerabilities::TOTAL_MAX;
use super::{exposure, marks};
use crate::api::imports as api;
use crate::app::App;
use crate::http::flash::{self, Flash};
use crate::http::{Error, ListQuery, PageActor};
use crate::pages::imports::{COLUMNS, ImportPage, ImportRow, ImportsPage, StepRow};
use crate::pages::jobs::CountPart;
use crate::pages::lists::Action as Button;
use crate::pages::{Chip, Empty, Entry, Fact, Section, Tone, Value};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::id::InstanceId;
use domain::number::{Number, Series};
use domain::time::Timestamp;
use store::imports::{self as runs, Cause, Count, Kind, Rejected, RunRow, State as RunState, Step};
use store::{Transaction, list};

/// What is wrong, on one page.
const TROUBLES_SHOWN: usize = 5;
/// Rows that could not be used which the page describes; all are in the download.
const REJECTED_SHOWN: i64 = 20;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/imports", get(index))
        .route("/imports/{number}", get(show))
        .route("/imports/{number}/cancel", post(cancel))
        .route("/imports/{number}/rejected", get(rejected))
}

/// A run's state.
pub(super) fn state(state: RunState) -> Chip {
    match state {
        RunState::Queued => Chip::new(Tone::Idle, "Waiting"),
        RunState::Running => Chip::new(Tone::Run, "Running"),
        RunState::Complete => Chip::new(Tone::Ok, "Completed"),
        RunState::Failed => Chip::new(Tone::Fail, "Failed"),
        RunState::Cancelled => Chip::new(Tone::Idle, "Cancelled"),
    }
}

/// The newest run of an instance.
pub(super) fn newest(tx: &mut Transaction<'_>, id: InstanceId, now: Timestamp) -> Result<Option<RunRow>, Error> {
    let wanted = domain::filter::parse(&format!("instance.id:{id}"), &runs::FIELDS).map_err(Error::internal)?;
    let mut query = list::Query::new(wanted, domain::filter::Context::at(now));
    query.order = list::Order::parse("-number");
    query.limit = 1;
    Ok(list::page(tx, &runs::LIST, None, &query)?.rows.into_iter().next())
}

/// What is wrong with imports, with where to look.
pub(super) fn troubles(tx: &mut Transaction<'_>) -> Result<Vec<(String, String)>, Error> {
    let line = |row: runs::TroubleRow| {
        let to = match row.run {
            0 => format!("/instances/{}/schedule", row.instance_id),
            _ if row.what == runs::Trouble::SignIn => format!("/instances/{}", row.instance_id),
            ordinal => format!("/imports/{}", Number { series: Series::IntegrationRun, ordinal }),
        };
        (row.what.says(row.kind, &row.instance), to)
    };
    Ok(runs::troubles(tx)?.into_iter().take(TROUBLES_SHOWN).map(line).collect())
}

async fn index(State(app): State<App>, who: PageActor, query: ListQuery) -> Result<Response, Error> {
    who.may(Action::IntegrationsView, &Record::default())?;
    let text = "Connect a Qualys subscription and import now, or load a file exported from one.";
    let empty = Empty::yet("database-import", "No imports yet", text)
        .with(Button::go("Connect a subscription", "/instances/new").primary())
        .with(Button::show("Import a file", "/imports/file").icon("upload"));
    let head = Head { path: "/imports", noun: "imports", columns: &COLUMNS, sort: "-number", empty };
    let (mut list, wanted) = listed(&app, &who, &query, &runs::LIST, head)?;
    let mut rows = Vec::new();
    if let Some(wanted) = wanted {
        let read = app.database.try_read(move |tx| {
            let page = list::page::<RunRow>(tx, &runs::LIST, None, &wanted)?;
            Ok::<_, Error>((page, list::count(tx, &runs::LIST, None, &wanted, TOTAL_MAX)?))
        });
        let (page, total) = read.await?;
        (list.total, list.capped) = (Some(total), total >= TOTAL_MAX);
        list.shown = page.rows.len();
        list.pager = pager(&query, "/imports", page.next_cursor.as_deref());
        let now = app.clock.now();
        rows = page.rows.iter().map(|run| row(run, now)).collect();
    }
    for (label, q) in [
        ("All", ""),
        ("Running", "is:running"),
        ("Waiting", "is:queued"),
        ("Failed", "is:failed"),
        ("Files", "kind:file"),
        ("After rescans", "cause:scan"),
    ] {
        list.tab(label, q, None);
    }
    let denied = exposure::reason(&who.decide(Action::ImportRun, &Record::default()));
    let load = Button::show("Import a file", "/imports/file").icon("upload").primary().key('c').unless(denied);
    let shell = frame(&app, &who, Section::Imports, "Imports").await?.action(load);
    let troubles = app.database.try_read(troubles).await?;
    Ok(Show(ImportsPage { shell, list, rows, troubles }).into_response())
}

/// Everything a run met, whatever it was.
fn all(run: &RunRow) -> Count {
    let counters = run.counters();
    let mut all = Count::default();
    for count in [&counters.vulnerabilities, &counters.hosts, &counters.detections, &counters.setup] {
        all.add(count);
    }
    all
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What a run imported, in words.
fn what(run: &RunRow) -> String {
    let of = &run.instance;
    match run.kind {
        Kind::Everything => format!("Everything from {of}"),
        Kind::KnowledgeBase => format!("Knowledge base from {of}"),
        Kind::KnowledgeBaseFull => format!("The whole knowledge base from {of}"),
        Kind::Comprehensive => format!("All detections from {of}"),
        Kind::HostList => format!("Host list from {of}"),
        Kind::OptionProfiles => format!("Option profiles of {of}"),
        Kind::SearchLists => format!("Search lists of {of}"),
        Kind::Appliances => format!("Appliances and asset groups of {of}"),
        Kind::HostDetection => format!("Detections from {of}"),
        Kind::Setup => format!("Option profiles and appliances of {of}"),
        Kind::File if run.source.is_empty() => format!("A file for {of}"),
        Kind::File => format!("{} for {of}", run.source),
        Kind::Targeted => format!("Rescanned hosts of {of} ({})", run.source.trim_start_matches("scans/")),
    }
}

fn row(run: &RunRow, now: Timestamp) -> ImportRow {
    let all = all(run);
    ImportRow {
        number: run.number().to_string(),
        href: format!("/imports/{}", run.number()),
        what: what(run),
        state: state(run.state),
        new: number(all.new),
        updated: number(all.updated),
        unchanged: number(all.unchanged),
        rejected: number(all.rejected),
        at: exposure::near(run.started_at, now),
    }
}

async fn show(State(app): State<App>, who: PageActor, Path(text): Path<String>) -> Result<Response, Error> {
    who.may(Action::IntegrationsView, &Record::default())?;
    let number = api::numbered(&text)?;
    let most = if api::reads_rows(&who) { REJECTED_SHOWN } else { 0 };
    let read = app.database.try_read(move |tx| {
        let run = api::known(tx, number)?;
        let steps = runs::steps(tx, run.id)?;
        let rejections = runs::rejections(tx, run.id, most)?;
        Ok::<_, Error>(Whole { run, steps, rejections })
    });
    let whole = read.await?;
    let shell = frame(&app, &who, Section::Imports, number.to_string()).await?.under("Imports", "/imports");
    Ok(Show(page(shell, &who, whole, app.clock.now())).into_response())
}

async fn cancel(State(app): State<App>, who: PageActor, Path(text): Path<String>) -> Result<Response, Error> {
    let number = api::numbered(&text)?;
    let said = match api::stop(&app, &who, number).await {
        Ok(()) => Flash::done(format!("{number} is being cancelled.")),
        Err(Error::Refused(refusal)) => Flash { failed: true, ..Flash::done(exposure::refused(&refusal)) },
        Err(error) => return Err(error),
    };
    Ok(flash::redirect(&format!("/imports/{number}"), Some(said)))
}

async fn rejected(
    State(app): State<App>,
    who: PageActor,
    Path(text): Path<String>,
    Query(query): Query<api::RejectionsQuery>,
) -> Result<Response, Error> {
    api::download(&app, &who, &text, &query).await
}

/// A run with what belongs to it.
struct Whole {
    run: RunRow,
    steps: Vec<Step>,
    rejections: Vec<Rejected>,
}

fn page(shell: crate::pages::Shell, who: &PageActor, whole: Whole, now: Timestamp) -> ImportPage {
    let Whole { run, steps, rejections } = whole;
    let all = all(&run);
    let count = |tone, of, label| CountPart { tone, number: number(of), label };
    let described = i64::try_from(rejections.len()).unwrap_or(i64::MAX);
    let mut actions = actions(who, &run);
    if described > 0 {
        let to = format!("/imports/{}/rejected?format=csv", run.number());
        actions.push(Button::go("Rejected rows (CSV)", to).icon("download"));
    }
    ImportPage {
        shell,
        what: what(&run),
        state: state(run.state),
        live_from: run.state.is_open().then(|| format!("/imports/{}", run.number())),
        actions,
        error: (run.state == RunState::Failed).then(|| sentence(&run.detail)),
        counts: vec![
            count(Tone::Ok, all.new, "new"),
            count(Tone::Run, all.updated, "updated"),
            count(Tone::Idle, all.unchanged, "unchanged"),
            count(Tone::Info, all.ignored, "ignored"),
            count(Tone::Fail, all.rejected, "rejected"),
        ],
        facts: facts(&run),
        raw: raw(&run),
        steps: steps.iter().map(|step| step_row(step, &run)).collect(),
        rejected: rejections.into_iter().map(|row| (rejected_row(&row), row.reason)).collect(),
        rejected_more: (number(all.rejected) - described).max(0),
        log: log(&run, now),
    }
}

fn rejected_row(row: &Rejected) -> String {
    match row.line {
        Some(line) => format!("{} (line {line})", row.what),
        None => row.what.clone(),
    }
}

fn step_row(step: &Step, run: &RunRow) -> StepRow {
    let name = match step.name.as_str() {
        "back_fill" => "Entries that detections name".to_owned(),
        "hosts" => "Hosts without a detection".to_owned(),
        word => marks::words(word),
    };
    let ended = match (step.ended_at, run.state) {
        (Some(at), _) => took(at.seconds_since(step.started_at).max(0)),
        (None, RunState::Running) => "at work".to_owned(),
        (None, _) => "not to its end".to_owned(),
    };
    let (asked, merged) = (millis(step.asked_ms), millis(step.merged_ms));
    StepRow { name, pages: step.pages, rows: step.rows_read, asked, merged, took: ended }
}

fn millis(millis: i64) -> String {
    if millis < 1_000 { format!("{millis} ms") } else { took(millis / 1_000) }
}

fn took(seconds: i64) -> String {
    match seconds {
        0 => "less than a second".to_owned(),
        1..=119 => format!("{seconds} s"),
        _ => format!("{} min", seconds / 60),
    }
}

fn actions(who: &PageActor, run: &RunRow) -> Vec<Button> {
    let denied = exposure::reason(&who.decide(Action::ImportRun, &Record::default()));
    let open = run.state.is_open().then(|| "It has not ended yet.".to_owned());
    let again = match run.kind {
        Kind::File => Button::show("Import another file", "/imports/file").icon("upload").unless(denied.clone()),
        kind => {
            let kind = if kind.asked_for() { kind } else { Kind::Everything };
            Button::post("Import again", format!("/instances/{}/import/{}", run.instance_id, kind.as_str()))
                .icon("refresh")
                .unless(denied.clone().or(open))
        }
    };
    let integration = Button::go("Integration", format!("/instances/{}", run.instance_id)).icon("plug-connected");
    let mut actions = vec![again, integration];
    if run.state.is_open() {
        let asked = (!run.cancel_by.is_empty()).then(|| "It is being cancelled.".to_owned());
        let to = format!("/imports/{}/cancel", run.number());
        actions.insert(0, Button::post("Cancel", to).icon("x").unless(denied.or(asked)));
    }
    actions
}

fn facts(run: &RunRow) -> Vec<Fact> {
    let mut facts = vec![
        Fact::new("Integration", Value::link(&run.instance, format!("/instances/{}", run.instance_id))),
        Fact::new("Kind", Value::text(marks::words(run.kind.as_str()))),
        Fact::new("Started by", Value::text(exposure::by(&run.actor))),
    ];
    facts.extend(run.queued_at.map(|at| Fact::new("Wanted", Value::When(exposure::exact(at)))));
    if run.state != RunState::Queued {
        facts.push(Fact::new("Started", Value::When(exposure::exact(run.started_at))));
    }
    if let Some(at) = run.ended_at {
        facts.push(Fact::new("Ended", Value::When(exposure::exact(at))));
        facts.push(Fact::new("Took", Value::text(took(at.seconds_since(run.started_at).max(0)))));
    }
    facts.extend(run.until_at.map(|at| Fact::new("Covers up to", Value::When(exposure::exact(at)))));
    if let Some(scan) = run.source.strip_prefix("scans/").filter(|_| run.kind == Kind::Targeted) {
        facts.push(Fact::new("For", Value::link(scan, format!("/scans/{scan}"))));
    }
    if run.state == RunState::Complete && !run.detail.is_empty() {
        facts.push(Fact::new("Remark", Value::text(sentence(&run.detail))));
    }
    facts
}

/// What was read, and what came of it.
fn raw(run: &RunRow) -> Vec<(String, i64)> {
    let counters = run.counters();
    let read = |count: &Count| count.new + count.updated + count.unchanged + count.ignored + count.rejected;
    let rows = [
        ("Hosts", read(&counters.hosts)),
        ("Assets made for them", counters.assets_new),
        ("Detections", read(&counters.detections)),
        ("Items opened", counters.items.new),
        ("Items changed", counters.items.updated),
        ("Items closed", counters.items.closed),
        ("Items reopened", counters.items.reopened),
        ("Vulnerabilities", read(&counters.vulnerabilities)),
        ("Of these, not in the knowledge base yet", counters.placeholders),
        ("Option profiles, appliances, asset groups", read(&counters.setup)),
    ];
    rows.into_iter().filter(|(_, count)| *count > 0).map(|(label, count)| (label.to_owned(), number(count))).collect()
}

fn log(run: &RunRow, now: Timestamp) -> Vec<Entry> {
    let mut log = Vec::new();
    if let Some(at) = run.ended_at {
        let (tone, text) = match run.state {
            RunState::Failed => {
                (Tone::Fail, "Failed. Complete hosts are kept; the next import goes on there.".to_owned())
            }
            RunState::Cancelled => (Tone::Idle, sentence(&run.detail)),
            _ => (Tone::Ok, "Completed".to_owned()),
        };
        log.push(Entry { at: exposure::near(at, now), tone, text, by: String::new() });
    }
    let why = match (run.state, run.cause) {
        (RunState::Queued, _) => "Waits until nothing else of the integration is at work",
        (_, Cause::Schedule) => "Started by the schedule",
        (_, Cause::Scan) => "Started after a rescan",
        (_, Cause::People) => "Started",
    };
    let by = exposure::by(&run.actor);
    log.push(Entry { at: exposure::near(run.started_at, now), tone: Tone::Run, text: why.to_owned(), by });
    log
}
