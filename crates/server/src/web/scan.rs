//! `/scans/VSCAN0000001`: one rescan request with Details, Scans and Source, live (S2.15-S2.17).

use super::frame::{Show, frame};
use super::rescan::{NAMED_MAX, too_many};
use super::scans::{bar, state, verdict, verdicts};
use super::{exposure, marks};
use crate::api::scans::{ScanReportQuery, download, ordinal};
use crate::app::App;
use crate::engine::rescan::{self, CallOff, Retry};
use crate::http::flash::{self, Flash};
use crate::http::{Caller, Error, PageActor};
use crate::pages::jobs::CountPart;
use crate::pages::lists::{Action as Button, address};
use crate::pages::scans::{ChildRow, LeftOutRow, ScanLive, ScanPage, SourceRow};
use crate::pages::{Change, Chip, Entry, Fact, Menu, Section, Tab, Tone, Value};
use crate::views;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::due::Target;
use domain::number::Number;
use domain::score::Mitigation;
use domain::time::Timestamp;
use futures_util::{Stream, stream};
use protocol::api::scans::{ChildScan, LeftOut, Permission, Requester, ScanBody, ScanSource};
use serde::Deserialize;
use std::convert::Infallible;
use std::time::{Duration, Instant};

/// A live page looks again after this long without a wake-up: another replica may do the work.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A live page asks anew after this long, and so proves again who looks.
const STREAM_MAX: Duration = Duration::from_secs(15 * 60);

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/scans/{number}", get(show))
        .route("/scans/{number}/cancel", post(cancel))
        .route("/scans/{number}/retry", post(retry))
        .route("/scans/{number}/report", get(report))
}

/// What stays open.
pub fn streams() -> Router<App> {
    Router::new().route("/scans/{number}/live", get(live))
}

/// Which part of the record is shown.
#[derive(Clone, Debug, Default, Deserialize)]
struct Part {
    #[serde(default)]
    part: String,
}

impl Part {
    fn at(&self) -> usize {
        match self.part.as_str() {
            "scans" => 1,
            "source" => 2,
            "left" => 3,
            "unscanned" => 4,
            _ => 0,
        }
    }
}

async fn look(app: &App, who: &Caller, number: &str) -> Result<ScanBody, Error> {
    let (asker, ordinal, now) = (who.clone(), ordinal(number)?, app.clock.now());
    app.database.try_read(move |tx| views::scans::show(tx, &asker, ordinal, now)).await
}

async fn show(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    let body = look(&app, &who, &number).await?;
    let number = body.scan.number.clone();
    let shell = frame(&app, &who, Section::Scans, number.clone()).await?.under("Scan records", "/scans");
    let going = body.scan.ended_at.is_none();
    let page = ScanPage {
        shell,
        menu: Some(menu(&body)),
        live_from: going.then(|| address(&format!("/scans/{number}/live"), &[("part", &part.part)])),
        live: filled(&body, part.at(), app.clock.now()),
    };
    Ok(Show(page).into_response())
}

fn menu(body: &ScanBody) -> Menu {
    let number = &body.scan.number;
    let digits = body.sources.iter().filter_map(|source| source.item.parse::<Number>().ok());
    let mut digits: Vec<i64> = digits.map(|number| number.ordinal).collect();
    digits.sort_unstable();
    digits.dedup();
    // All that it looked at, or nothing: a part of it would look like all of it.
    let crowd = (digits.len() > NAMED_MAX).then(|| too_many(digits.len()));
    digits.truncate(NAMED_MAX);
    let digits: Vec<String> = digits.iter().map(ToString::to_string).collect();
    let again = Button::show("Rescan again", address("/rescan", &[("items", &digits.join(","))])).icon("radar");
    let going = body.scan.ended_at.is_none().then(|| "It is still under way.".to_owned()).or(crowd);
    let to = format!("/scans/{number}/cancel");
    let result = Button::go("Download the result", format!("/scans/{number}/report?format=csv")).icon("download");
    let retry = |verb: &str, what: &str, permission: &Permission| {
        let to = format!("/scans/{number}/retry?what={what}");
        Button::post(verb, to).icon("refresh").unless(permission.reason.as_deref().map(super::frame::sentence))
    };
    let mut actions = vec![
        again.unless(going),
        retry("Retry what failed", "failed", &body.retry_failed),
        retry("Retry what was not reached", "unreached", &body.retry_unreached),
        result,
    ];
    if body.leaves {
        actions.push(Button::post("Leave the scan", &to).icon("player-stop").asking(
            format!("Leave {number}"),
            "It goes on for the others who asked for it.",
            "Leave it",
        ));
    }
    let (verb, reason) =
        if body.leaves { ("Cancel for everybody", &body.cancel_for_all) } else { ("Cancel the scan", &body.cancel) };
    let everybody = if body.leaves { format!("{to}?everybody=true") } else { to };
    let cancel = Button::post(verb, everybody).icon("player-stop").danger();
    let cancel = cancel
        .asking(format!("Cancel {number}"), "Nothing more is launched, and what runs is stopped.", "Cancel it")
        .unless(reason.reason.as_deref().map(super::frame::sentence));
    actions.push(cancel);
    Menu { text: Some("Actions"), ..Menu::dots("scan-actions", format!("Actions for {number}"), actions) }
}

/// What is asked again.
#[derive(Clone, Debug, Default, Deserialize)]
struct Again {
    #[serde(default)]
    what: String,
}

async fn retry(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(again): Query<Again>,
) -> Result<Response, Error> {
    let what = Retry::parse(&again.what).ok_or_else(|| Error::NotFound(format!("scan {number}")))?;
    let here = format!("/scans/{number}");
    match rescan::retry(&app, &who, ordinal(&number)?, what).await {
        Ok(()) => Ok(flash::redirect(&here, Some(Flash::done(format!("{number} is asked again."))))),
        Err(Error::Refused(refusal)) => {
            let said = Flash { failed: true, ..Flash::done(exposure::refused(&refusal)) };
            Ok(flash::redirect(&here, Some(said)))
        }
        Err(error) => Err(error),
    }
}

async fn report(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(query): Query<ScanReportQuery>,
) -> Result<Response, Error> {
    download(&app, &who, &number, &query.format).await
}

/// For whom it is called off.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct ForWhom {
    #[serde(default)]
    everybody: bool,
}

async fn cancel(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(whom): Query<ForWhom>,
) -> Result<Response, Error> {
    let said = match rescan::cancel(&app, &who, ordinal(&number)?, whom.everybody).await? {
        CallOff::Leave => format!("{number} goes on for the others who asked for it."),
        CallOff::Stop => format!("{number} is cancelled."),
    };
    Ok(flash::redirect(&format!("/scans/{number}"), Some(Flash::done(said))))
}

/// The part that changes by itself.
fn filled(body: &ScanBody, part: usize, now: Timestamp) -> ScanLive {
    let scan = &body.scan;
    let here = format!("/scans/{}", scan.number);
    let tab = |at: usize, label: &str, count: Option<usize>, word: &str| Tab {
        label: label.to_owned(),
        count: count.and_then(|count| i64::try_from(count).ok()),
        href: address(&here, &[("part", word)]),
        current: at == part,
    };
    let queued = body.children.iter().filter(|child| matches!(child.state.as_str(), "planned" | "launching")).count();
    let queued = i64::try_from(queued).unwrap_or(0);
    // The time-out ends the tracking, not the scan: it is no failure (S2.19).
    let untracked = body.children.iter().filter(|child| child.state == "timed_out").count();
    let untracked = i64::try_from(untracked).unwrap_or(0);
    let count = |tone, number, label| CountPart { tone, number, label };
    ScanLive {
        state: state(&scan.state),
        line: line(body),
        note: note(body),
        tabs: vec![
            tab(0, "Details", None, ""),
            tab(1, "Scans", Some(body.children.len()), "scans"),
            tab(2, "Source", Some(body.sources.len()), "source"),
            tab(3, "Left out", Some(body.left_out.len()), "left"),
            tab(4, "Hosts not scanned", Some(body.unscanned.len()), "unscanned"),
        ],
        part,
        facts: facts(body),
        summary: vec![
            count(Tone::Ok, scan.children.completed, "completed"),
            count(Tone::Fail, scan.children.failed - untracked, "failed"),
            count(Tone::Run, scan.children.open - queued, "running"),
            count(Tone::Sched, queued, "queued"),
        ]
        .into_iter()
        .chain((untracked > 0).then(|| count(Tone::Warn, untracked, "no longer tracked")))
        .collect(),
        bar: bar(&scan.children, untracked).tall(),
        verdicts: verdicts(&scan.verdicts)
            .into_iter()
            .map(|(tone, number, label)| count(tone, number, label))
            .collect(),
        children: body.children.iter().map(child).collect(),
        sources: body.sources.iter().map(source).collect(),
        left_out: body.left_out.iter().map(left_out).collect(),
        unscanned: body
            .unscanned
            .iter()
            .map(|one| (one.address.clone(), one.child.clone(), super::frame::sentence(&one.reason)))
            .collect(),
        log: log(body, now),
    }
}

fn line(body: &ScanBody) -> String {
    let said = |at: Timestamp| at.to_jiff().strftime("%-d %b %Y %H:%M UTC").to_string();
    let scan = &body.scan;
    let asked = format!("Requested by {} on {}", scan.requested_by, said(scan.requested_at));
    match (scan.ended_at, body.children.iter().map(|child| child.tracking_until).max()) {
        (Some(ended), _) => format!("{asked} · ended {}", said(ended)),
        (None, Some(until)) => format!("{asked} · tracked until {} at the latest", said(until)),
        (None, None) => asked,
    }
}

fn note(body: &ScanBody) -> Option<String> {
    let scan = &body.scan;
    let remark = body.children.iter().map(|child| child.message.as_str()).find(|message| !message.is_empty());
    match scan.state.as_str() {
        "timed_out" => Some(
            "Tracking ended before the scan did. The scan itself goes on at the scanner; when it ends its result is \
             taken in all the same."
                .to_owned(),
        ),
        _ if !scan.message.is_empty() => Some(super::frame::sentence(&scan.message)),
        "queued" | "scanning" | "error" => remark.map(super::frame::sentence),
        _ => None,
    }
}

fn facts(body: &ScanBody) -> Vec<Fact> {
    let scan = &body.scan;
    let titles = body.children.iter().map(|child| child.profile.title.as_str());
    let mut titles: Vec<&str> = titles.collect();
    titles.sort_unstable();
    titles.dedup();
    let how = if scan.profile.is_some() { "named" } else { "default" };
    let mut facts = vec![
        Fact::new("Scan number", Value::code(&scan.number)),
        Fact::new("Scanner source", Value::text(&scan.source)),
        Fact::new("State", Value::Chip(state(&scan.state))),
        Fact::new("Option profile", Value::text(format!("{} ({how})", titles.join(", ")))),
        Fact::new("Requested by", Value::text(wanting(body))),
        Fact::new("Requested", Value::When(exposure::exact(scan.requested_at))),
    ];
    if let Some(asked_of) = &scan.asked_of {
        facts.push(Fact::new(
            "Asked of",
            match asked_of.as_str() {
                rescan::RESOLVED => Value::text("what was resolved"),
                asset => Value::link("the asset", format!("/{asset}")),
            },
        ));
    }
    facts.extend(scan.ended_at.map(|at| Fact::new("Ended", Value::When(exposure::exact(at)))));
    facts
}

/// Everybody who wants it, the first one first.
fn wanting(body: &ScanBody) -> String {
    let name = |one: &Requester| {
        let left = if one.left_at.is_some() { " (left)" } else { "" };
        format!("{}{left}", one.name)
    };
    let names: Vec<String> = body.requesters.iter().map(name).collect();
    if names.is_empty() { body.scan.requested_by.clone() } else { names.join(", ") }
}

fn child_state(word: &str) -> Chip {
    match word {
        "planned" => Chip::new(Tone::Sched, "Queued"),
        "launching" => Chip::new(Tone::Run, "Launching"),
        "running" => Chip::new(Tone::Run, "Running"),
        "finished" => Chip::new(Tone::Run, "Processing").titled("Finished at the scanner; results are being processed"),
        "pulling" => Chip::new(Tone::Run, "Importing").titled("Its detections are being imported"),
        other => state(other),
    }
}

fn child(child: &ChildScan) -> ChildRow {
    let mut place = format!("{} · {}", child.instance, child.appliance);
    if !child.network_id.is_empty() {
        place = format!("{place} · network {}", child.network_id);
    }
    let mut detail = match (child.adopted, child.ended_at) {
        (true, Some(_)) => "Ended after tracking did, and was taken in late.".to_owned(),
        _ => super::frame::sentence(&child.message),
    };
    if child.retried {
        detail = format!("{detail} Asked again by a later scan.").trim_start().to_owned();
    }
    if let (Some(alive), Some(total)) = (child.hosts_alive, child.hosts_total) {
        detail = format!("{detail} {alive} of {total} hosts answered.").trim_start().to_owned();
    }
    if !child.doubles.is_empty() {
        detail = format!("{detail} Launched more than once: {} ran as well.", child.doubles.join(", "));
    }
    ChildRow {
        number: child.name.clone(),
        reference: child.reference.clone().unwrap_or_default(),
        state: child_state(&child.state),
        place,
        profile: child.profile.title.clone(),
        addresses: i64::try_from(child.addresses.len()).unwrap_or(i64::MAX),
        detail,
        started: child.launched_at.map(exposure::exact),
        ended: child.ended_at.map(exposure::exact),
    }
}

fn source(source: &ScanSource) -> SourceRow {
    let mitigation = Mitigation::parse(&source.mitigation);
    let mitigated = match source.substate.as_str() {
        "fixed" => Chip::new(Tone::Ok, "Fixed"),
        _ => marks::mitigation(mitigation).unwrap_or_else(|| Chip::new(Tone::Idle, "None")),
    };
    let found = source.verdict.as_deref().and_then(verdict);
    let reason = super::frame::sentence(&source.reason);
    SourceRow {
        number: source.item.clone(),
        href: format!("/items/{}", source.item),
        asset: source.asset.clone(),
        asset_href: format!("/assets/{}", source.asset_id),
        title: source.title.clone(),
        qid: source.qid.to_string(),
        state: marks::state(&source.state, &source.substate),
        remediation: marks::target(Target::parse(&source.target), source.due_at),
        mitigation: mitigated,
        change: Change::new(Some(i64::from(source.inherent)), Some(i64::from(source.residual)))
            .linked(format!("/items/{}/score", source.item)),
        verdict: found.map(|chip| if reason.is_empty() { chip } else { chip.titled(reason) }),
    }
}

fn left_out(left: &LeftOut) -> LeftOutRow {
    LeftOutRow {
        number: left.item.clone(),
        href: format!("/items/{}", left.item),
        asset: left.asset.clone(),
        asset_href: format!("/assets/{}", left.asset_id),
        host: left.host.clone().unwrap_or_default(),
        why: super::frame::sentence(&left.reason),
        scan: left.scan.clone().map(|scan| (format!("/scans/{scan}"), scan)),
    }
}

/// What happened, from what the parts say of themselves, newest first.
fn log(body: &ScanBody, now: Timestamp) -> Vec<Entry> {
    let scan = &body.scan;
    let mut events = vec![(scan.requested_at, Tone::Info, "Requested".to_owned(), scan.requested_by.clone())];
    for child in &body.children {
        let name = &child.name;
        let by = child.reference.clone().unwrap_or_default();
        if let Some(at) = child.launched_at {
            events.push((at, Tone::Run, format!("{name} launched on {}", child.appliance), by));
        }
        if let Some(at) = child.finished_at {
            events.push((at, Tone::Sched, format!("{name} finished at the scanner"), String::new()));
        }
        if let Some(at) = child.ended_at {
            let (tone, text) = match child.state.as_str() {
                "complete" => (Tone::Ok, format!("{name}: its detections were imported and judged")),
                "timed_out" => (Tone::Warn, format!("{name}: tracking ended")),
                "cancelled" => (Tone::Idle, format!("{name} was cancelled")),
                _ => (Tone::Fail, format!("{name} failed: {}", child.message)),
            };
            events.push((at, tone, text, child.import.clone().unwrap_or_default()));
        }
    }
    if let Some(at) = scan.ended_at {
        let chip = state(&scan.state);
        events.push((at, chip.tone(), format!("{}: {}", scan.number, chip.text()), String::new()));
    }
    // Of the same instant, the later step is the newer one.
    let mut events: Vec<_> = events.into_iter().enumerate().collect();
    events.sort_by_key(|(at, event)| std::cmp::Reverse((event.0, *at)));
    let entry = |(at, tone, text, by)| Entry { at: exposure::near(at, now), tone, text, by };
    events.into_iter().map(|(_, event)| entry(event)).collect()
}

/// What a live page needs from one look to the next.
struct Live {
    app: App,
    who: PageActor,
    number: String,
    part: usize,
    woken: crate::wake::Listener,
    until: Instant,
    sent: String,
    over: bool,
}

async fn live(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    let body = look(&app, &who, &number).await?;
    let row = app.database.try_read({
        let (asker, ordinal) = (who.caller.clone(), ordinal(&body.scan.number)?);
        move |tx| rescan::load(tx, &asker, ordinal)
    });
    let woken = app.wake.listen("scan", row.await?.id.0);
    let part = part.at();
    let live =
        Live { app, who, number, part, woken, until: Instant::now() + STREAM_MAX, sent: String::new(), over: false };
    Ok(Sse::new(events(live)).keep_alive(KeepAlive::default()).into_response())
}

/// `scan` with the live part whenever it has changed, `end` after the last.
fn events(live: Live) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(live, |mut live| async move {
        loop {
            if live.over || live.app.stopping.is_cancelled() || Instant::now() > live.until {
                return None;
            }
            // A session that ended ends the stream.
            if !live.who.stays(&live.app).await {
                return None;
            }
            let body = look(&live.app, &live.who, &live.number).await.ok()?;
            let html = filled(&body, live.part, live.app.clock.now()).to_string().replace('\r', "");
            if html != live.sent {
                live.sent.clone_from(&html);
                return Some((Ok(Event::default().event("scan").data(html)), live));
            }
            if body.scan.ended_at.is_some() {
                live.over = true;
                return Some((Ok(Event::default().event("end").data("over")), live));
            }
            tokio::select! {
                () = live.app.stopping.cancelled() => return None,
                _ = live.woken.changed_within(LOOK_EVERY) => {}
            }
        }
    })
}
