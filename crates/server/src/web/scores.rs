//! The drill-down into a score: `/items/{number}/score` for one item, `/vulnerabilities/{qid}/score` for the worst of a
//! vulnerability's open items with the others beside it (S1.25).

use super::frame::{Show, frame};
use super::{marks, vulnerabilities};
use crate::app::App;
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::pages::Section;
use crate::pages::chips::{Change, Chip, Tone, When, count};
use crate::pages::records::Entry;
use crate::pages::vulnerabilities::{CveRow, FactorRow, ScorePage};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Record};
use domain::mitigation::ControlState;
use domain::number::{Number, Series};
use domain::score::{Residual, Source};
use domain::time::Timestamp;
use store::items::{self, ItemRow, ScoreLine};
use store::scores::{self, ControlLine, DrillDown};
use store::{Transaction, list};

/// Other assets shown beside the worst.
const ASSETS_SHOWN: u32 = 20;
/// Changes of the score shown.
const HISTORY: i64 = 20;
const FORMULA: &str = "Per CVE: the inherent score less the points of the strongest effective control, never below 1 \
                       (half the points while it waits for a restart). The detection has the highest of its CVEs.";

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/vulnerabilities/{qid}/score", get(of_vulnerability))
        .route("/items/{number}/score", get(of_item))
}

struct Seen {
    item: ItemRow,
    drill_down: DrillDown,
    history: Vec<ScoreLine>,
    others: Vec<ItemRow>,
}

fn look(tx: &mut Transaction<'_>, item: ItemRow, others: Vec<ItemRow>) -> Result<Seen, Error> {
    let drill_down = scores::drill_down(tx, item.id)?;
    let history = items::score_history(tx, item.id, HISTORY)?;
    Ok(Seen { item, drill_down, history, others })
}

async fn of_vulnerability(State(app): State<App>, who: PageActor, Path(qid): Path<i64>) -> Result<Response, Error> {
    who.may(Action::VulnerabilitiesView, &Record::default())?;
    let (actor, now) = (who.actor.clone(), app.clock.now());
    let read = app.database.try_read(move |tx| {
        vulnerabilities::one(tx, qid)?;
        let wanted = domain::filter::parse(&format!("qid:{qid} and is:open"), &items::FIELDS);
        let mut query = list::Query::new(wanted.map_err(Error::internal)?, domain::filter::Context::at(now));
        query.order = list::Order::parse("-inherent");
        query.limit = ASSETS_SHOWN;
        let visible = items::visible(&actor, Action::ItemsView);
        let found = list::page::<ItemRow>(tx, &items::LIST, visible, &query)?.rows;
        let worst = found.iter().max_by_key(|item| (item.residual, item.inherent)).cloned();
        let missing = || Error::NotFound(format!("open item of QID {qid} that you may see"));
        look(tx, worst.ok_or_else(missing)?, found)
    });
    answer(&app, &who, &read.await?, now).await
}

async fn of_item(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    let missing = || Error::NotFound(format!("item {number}"));
    let Ok(Number { series: Series::Item, ordinal }) = number.parse::<Number>() else { return Err(missing()) };
    let (asker, now) = (who.clone(), app.clock.now());
    let read = app.database.try_read(move |tx| {
        let item = items::one(tx, ordinal)?;
        asker.may(Action::ItemsView, &items::access(tx, &asker.actor, &item)?)?;
        look(tx, item, Vec::new())
    });
    answer(&app, &who, &read.await?, now).await
}

async fn answer(app: &App, who: &PageActor, seen: &Seen, now: Timestamp) -> Result<Response, Error> {
    let shell = frame(app, who, Section::Vulnerabilities, "Detection score").await?;
    let item = &seen.item;
    let shell = shell
        .under("Vulnerabilities", "/vulnerabilities")
        .under(format!("QID {}", item.qid), format!("/vulnerabilities/{}", item.qid));
    let several = seen.others.len() > 1;
    let about = if several { ", the worst of those you may see" } else { "" };
    let page = ScorePage {
        shell,
        about: format!("QID {} on {}{about}", item.qid, item.asset),
        before: item.inherent.into(),
        after: item.residual.into(),
        estimated: item.score_source == Source::Estimated,
        formula: FORMULA.to_owned(),
        factors: factors(seen),
        cves: seen.drill_down.assessment.units.iter().filter_map(|unit| cve(unit, &seen.drill_down.controls)).collect(),
        history: seen.history.iter().map(|line| changed(line, now)).collect(),
        assets: seen.others.iter().filter(|_| several).map(other).collect(),
    };
    Ok(Show(page).into_response())
}

fn other(item: &ItemRow) -> (String, Change, String) {
    (item.asset.clone(), Change { href: None, ..marks::change(item) }, format!("/items/{}/score", item.number()))
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Qds => "detection score of the scanner (QDS)",
        Source::Qvs => "the scanner's score of the CVE (QVS)",
        Source::Estimated => "our table by severity and CVSS: the scanner gave none",
    }
}

/// The unit that decides the residual score, and what lowers it.
fn factors(seen: &Seen) -> Vec<FactorRow> {
    let units = &seen.drill_down.assessment.units;
    let Some(top) = units.iter().max_by_key(|unit| (unit.residual, unit.unit.inherent)) else { return Vec::new() };
    let what = top.unit.cve.clone().unwrap_or_else(|| format!("QID {}", seen.item.qid));
    let inherent = FactorRow {
        label: format!("Inherent score of {what}"),
        source: source(top.unit.source).to_owned(),
        before: top.unit.inherent.to_string(),
        after: top.unit.inherent.to_string(),
        lowers: false,
    };
    let concerning =
        seen.drill_down.controls.iter().filter(|control| control.cve == top.unit.cve.as_deref().unwrap_or(""));
    let mut rows = vec![inherent];
    rows.extend(concerning.map(|control| {
        let counts = top.entry.as_deref() == Some(control.entry.as_str());
        FactorRow {
            label: control.title.clone(),
            source: standing(control),
            before: "0".to_owned(),
            after: if counts { count(-i64::from(top.points)) } else { "0".to_owned() },
            lowers: counts,
        }
    }));
    rows
}

/// What a control is and since when, in words.
fn standing(control: &ControlLine) -> String {
    let since = control.since_at.to_jiff().strftime("%-d %b %Y %H:%M UTC");
    let state = match control.state {
        ControlState::Effective => "effective, verified by the agent",
        ControlState::Configured => "configured, waiting for a restart: half the points",
        ControlState::Drifted => "drifted: somebody changed it",
        ControlState::Exposed => "not in force",
        ControlState::NotApplicable => "does not apply here",
        ControlState::Unknown => "not known at the moment",
    };
    let by = control.job.map_or_else(
        || "put there by others".to_owned(),
        |job| Number { series: Series::Job, ordinal: job }.to_string(),
    );
    format!("{state} since {since}, {by}")
}

fn cve(unit: &Residual, controls: &[ControlLine]) -> Option<CveRow> {
    let cve = unit.unit.cve.clone()?;
    let best =
        controls.iter().find(|control| control.cve == cve && unit.entry.as_deref() == Some(control.entry.as_str()));
    Some(CveRow {
        change: Change::new(Some(unit.unit.inherent.into()), Some(unit.residual.into())),
        source: unit.unit.source.as_str().to_uppercase(),
        control: best.map(|control| {
            format!("{} · {} · {}", control.title, control.coverage.as_str(), count(-i64::from(unit.points)))
        }),
        state: match (unit.mitigated, unit.points > 0) {
            (true, _) => Chip::new(Tone::Mit, "Mitigated"),
            (false, true) => Chip::new(Tone::Warn, "Lowered"),
            (false, false) => Chip::new(Tone::Idle, "Open"),
        },
        cve,
    })
}

fn changed(line: &ScoreLine, now: Timestamp) -> Entry {
    let tone = match line.after.cmp(&line.before) {
        std::cmp::Ordering::Less => Tone::Mit,
        std::cmp::Ordering::Greater if line.before > 0 => Tone::Fail,
        _ => Tone::Info,
    };
    let text = if line.before == line.after || line.before == 0 {
        format!("{} as scored", line.after)
    } else {
        format!("{} → {}", line.before, line.after)
    };
    Entry { at: When::near(line.at.to_jiff(), now.to_jiff()), tone, text, by: line.cause.clone() }
}
