//! `/scans`: the list of rescan requests, and the marks of their states.

use super::exposure;
use super::frame::{Head, Show, frame, listed, pager};
use super::vulnerabilities::TOTAL_MAX;
use crate::app::App;
use crate::http::{Error, ListQuery, PageActor};
use crate::pages::lists::Action as Button;
use crate::pages::scans::{COLUMNS, ScanRow, ScansPage};
use crate::pages::{Bar, Chip, Empty, Section, Tone};
use crate::views;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Record};
use domain::rescan::Verdict;
use domain::time::Timestamp;
use protocol::api::scans::{Scan, ScanSummary, VerdictCounts};
use store::{list, scans};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/scans", get(index))
}

async fn index(State(app): State<App>, who: PageActor, query: ListQuery) -> Result<Response, Error> {
    who.may(Action::ScansView, &Record::default())?;
    let text = "Ask for one with the Rescan button of a vulnerable item, of several, or of an asset.";
    let empty = Empty::yet("radar", "No rescans yet", text).with(Button::go("Open items", "/items?q=is%3Aopen"));
    let head = Head { path: "/scans", noun: "scan records", columns: &COLUMNS, sort: "-number", empty };
    let (mut list, wanted) = listed(&app, &who, &query, &scans::LIST, head)?;
    let mut rows = Vec::new();
    if let Some(wanted) = wanted {
        let asker = who.clone();
        let read = app.database.try_read(move |tx| {
            let page = views::scans::list(tx, &asker, &wanted)?;
            let total = list::count(tx, &scans::LIST, scans::clip(&asker.actor), &wanted, TOTAL_MAX)?;
            Ok::<_, Error>((page, total))
        });
        let (page, total) = read.await?;
        (list.total, list.capped) = (Some(total), total >= TOTAL_MAX);
        list.shown = page.rows.len();
        list.pager = pager(&query, "/scans", page.next_cursor.as_deref());
        let now = app.clock.now();
        rows = page.rows.iter().map(|scan| row(scan, now)).collect();
    }
    for (label, q) in [("All", ""), ("Under way", "is:open"), ("Without a result", "is:failed"), ("Mine", "by:me")] {
        list.tab(label, q, None);
    }
    let shell = frame(&app, &who, Section::Scans, "Scan records").await?;
    let shell = shell.action(super::rescan_policy::change_rules(&who));
    Ok(Show(ScansPage { shell, list, rows }).into_response())
}

fn row(scan: &Scan, now: Timestamp) -> ScanRow {
    let ended = scan.children.completed + scan.children.failed;
    ScanRow {
        number: scan.number.clone(),
        href: format!("/scans/{}", scan.number),
        state: state(&scan.state),
        bar: bar(&scan.children, if scan.state == "timed_out" { scan.children.failed } else { 0 }),
        done: format!("{ended}/{}", scan.children.total),
        items: scan.items,
        verdicts: verdicts(&scan.verdicts)
            .into_iter()
            .filter(|(_, number, _)| *number > 0)
            .map(|(tone, number, label)| Chip::new(tone, format!("{number} {}", label.to_lowercase())))
            .collect(),
        source: scan.source.clone(),
        by: scan.requested_by.clone(),
        at: exposure::near(scan.requested_at, now),
    }
}

/// How far the children are. Those that are no longer tracked ended without a result, but did not fail.
pub(super) fn bar(children: &ScanSummary, untracked: i64) -> Bar {
    let parts = [
        (Tone::Ok, children.completed, "completed"),
        (Tone::Fail, children.failed - untracked, "failed"),
        (Tone::Warn, untracked, "no longer tracked"),
        (Tone::Run, children.open, "open"),
    ];
    Bar::new(&parts, children.total)
}

/// A request's state.
pub(super) fn state(word: &str) -> Chip {
    match word {
        "queued" => Chip::new(Tone::Sched, "Queued"),
        "scanning" => Chip::new(Tone::Run, "Running"),
        "complete" => Chip::new(Tone::Ok, "Complete"),
        "error" => Chip::new(Tone::Fail, "Error"),
        "timed_out" => Chip::new(Tone::Warn, "Timed out").titled("Tracking ended; the scan itself goes on"),
        "cancelled" => Chip::new(Tone::Idle, "Cancelled"),
        other => Chip::new(Tone::Idle, other),
    }
}

/// What was found, the happiest first; what is not judged yet comes last.
pub(super) fn verdicts(counts: &VerdictCounts) -> [(Tone, i64, &'static str); 6] {
    let of = |word: &'static str, number| (tone(word), number, Verdict::title(word));
    [
        of("fixed", counts.fixed),
        of("still_present_mitigated", counts.still_present_mitigated),
        of("still_present", counts.still_present),
        of("not_reached", counts.not_reached),
        of("not_tested", counts.not_tested),
        of("", counts.waiting),
    ]
}

fn tone(word: &str) -> Tone {
    match word {
        "fixed" => Tone::Ok,
        "still_present_mitigated" => Tone::Mit,
        "still_present" => Tone::Warn,
        "" => Tone::Sched,
        _ => Tone::Idle,
    }
}

/// What a rescan says of an item; nothing while it says nothing.
pub(super) fn verdict(word: &str) -> Option<Chip> {
    (!word.is_empty()).then(|| Chip::new(tone(word), Verdict::title(word)))
}
