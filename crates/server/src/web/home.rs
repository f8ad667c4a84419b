//! The dashboard.

use super::choice::Choice;
use super::frame::{Show, frame};
use super::jobs::status;
use super::mine;
use crate::app::App;
use crate::http::{Error, PageActor};
use crate::pages::charts::{Areas, Layer};
use crate::pages::chips::{Bar, Change, Tone, count};
use crate::pages::home::{HomePage, NextRow, Panel, RunningRow, Setup, StandRow, Stat};
use crate::pages::lists::address;
use crate::pages::shell::{Section, Shell};
use crate::views;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Actor, Reach, reach};
use domain::filter::{Filter, Match, Operand, Operator};
use domain::time::Timestamp;
use std::collections::BTreeMap;
use store::overview::{self, Band, DayChange, Possible, SetUp, Whose};
use store::proposals::{self, Waiting};
use store::{Transaction, list};

/// Days of the chart.
const DAYS: i64 = 30;
const DAY_MICROS: i64 = 86_400_000_000;
/// Rows of "best next".
const NEXT: usize = 6;
/// Rows of "running now".
const RUNNING: u32 = 5;
/// Groups with a line of their own.
const GROUPS_MAX: i64 = 10;
/// The bands from the lowest, as [`overview::stand`] gives them: class, word, terms of the query language.
const BANDS: [(&str, &str, &str); 4] = [
    ("low", "Low", "score:[1 .. 39]"),
    ("med", "Medium", "score:[40 .. 69]"),
    ("high", "High", "score:[70 .. 89]"),
    ("crit", "Critical", "score:[90 .. 100]"),
];

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/", get(first)).route("/all", get(show))
}

/// What is looked up for it, in one transaction.
struct Seen {
    set_up: SetUp,
    bands: [Band; 4],
    changes: Vec<DayChange>,
    possible: Vec<Possible>,
    jobs: Vec<protocol::api::response::JobSummary>,
    waiting: Waiting,
    troubles: Vec<(String, String)>,
    work: Work,
}

fn look(tx: &mut Transaction<'_>, who: &PageActor, now: Timestamp) -> Result<Seen, Error> {
    let seen = |action| reach(&who.actor, action) != Reach::Nothing;
    let since = Timestamp::from_micros((now.micros() / DAY_MICROS - DAYS + 1) * DAY_MICROS);
    let items = seen(Action::ItemsView);
    let mut query = list::Query::new(running()?, domain::filter::Context::at(now));
    query.order = list::Order::parse("-number");
    query.limit = RUNNING;
    Ok(Seen {
        set_up: overview::set_up(tx)?,
        bands: if items { overview::stand(tx, &who.actor)? } else { Default::default() },
        changes: if items { overview::changes(tx, &who.actor, since)? } else { Vec::new() },
        possible: if seen(Action::CatalogueView) { overview::possible(tx, &who.actor, None)? } else { Vec::new() },
        waiting: if seen(Action::JobsView) { proposals::waiting(tx, &who.scope, now)? } else { Waiting::default() },
        troubles: if seen(Action::IntegrationsView) { super::imports::troubles(tx)? } else { Vec::new() },
        work: if items { work(tx, who, now)? } else { Work::default() },
        jobs: if seen(Action::JobsView) { views::jobs::list(tx, &who.caller, &query)?.rows } else { Vec::new() },
    })
}

/// How the work stands, in panels: id, heading, and of each line the words and the list behind its number.
type Panels = &'static [(&'static str, &'static str, &'static [(&'static str, &'static str)])];

const WORK: Panels = &[
    (
        "target",
        "Open items by due date",
        &[
            ("Missed", "is:overdue"),
            ("Approaching", "is:open and target:approaching"),
            ("In-flight", "is:open and target:in_flight"),
            ("Without a date", "is:open and target:none"),
        ],
    ),
    (
        "state",
        "Items by state",
        &[
            ("Open", "state:open"),
            ("Under investigation", "state:under_investigation"),
            ("Awaiting implementation", "state:awaiting_implementation"),
            ("In review", "state:in_review"),
            ("Resolved", "state:resolved"),
        ],
    ),
    (
        "held",
        "Open items by what holds them",
        &[
            ("In a remediation task", "is:open and has:task"),
            ("In no task", "is:open and not has:task"),
            ("In an effort", "is:open and is:in_effort"),
            ("Assigned to nobody", "is:open and not has:assignee and not has:group"),
        ],
    ),
    (
        "deferred",
        "Deferred items by reason",
        &[
            ("Risk accepted", "is:deferred and substate:risk_accepted"),
            ("Awaiting maintenance window", "is:deferred and substate:awaiting_maintenance_window"),
            ("Fix unavailable", "is:deferred and substate:fix_unavailable"),
            ("Mitigating control in place", "is:deferred and substate:mitigating_control"),
            ("Other", "is:deferred and substate:other"),
        ],
    ),
    (
        "flow",
        "The last 30 days",
        &[
            ("Opened", "opened:>now-30d"),
            ("Came back", "reopened:>0 and opened:>now-30d"),
            ("Closed", "is:closed and closed:>now-30d"),
            ("Found fixed", "is:fixed and closed:>now-30d"),
        ],
    ),
];

/// What is counted of the work.
#[derive(Default)]
struct Work {
    numbers: Vec<i64>,
    groups: Vec<(String, i64)>,
    mean_days: Option<f64>,
    decisions: Option<i64>,
}

fn work(tx: &mut Transaction<'_>, who: &PageActor, now: Timestamp) -> Result<Work, Error> {
    let texts = WORK.iter().flat_map(|(_, _, lines)| lines.iter().map(|(_, q)| *q));
    let read = |q: &str| domain::filter::parse(q, &store::items::FIELDS).map_err(Error::internal);
    let filters: Vec<Filter> = texts.map(read).collect::<Result<_, _>>()?;
    let context = domain::filter::Context::at(now);
    let requests = &store::items::exceptions::LIST;
    let open = domain::filter::parse("is:open", requests.fields).map_err(Error::internal)?;
    let clip = store::items::exceptions::clip(&who.actor);
    let decides = reach(&who.actor, Action::ExceptionDecide) != Reach::Nothing;
    let waiting = list::Query::new(open, context.clone());
    Ok(Work {
        numbers: overview::tally(tx, &who.actor, Whose::All, &filters, &context)?,
        groups: overview::by_group(tx, &who.actor, GROUPS_MAX)?,
        mean_days: overview::mean_days_to_close(tx, &who.actor, now.plus_seconds(-DAYS * 86_400))?,
        decisions: decides.then(|| list::count(tx, requests, clip, &waiting, 10_000)).transpose()?,
    })
}

fn panels(work: &Work) -> Vec<Panel> {
    let mut numbers = work.numbers.iter().copied();
    let mut panels: Vec<Panel> = Vec::new();
    if work.numbers.is_empty() {
        return panels;
    }
    for (id, title, lines) in WORK.iter().copied() {
        let rows = lines.iter().map(|(label, q)| ((*label).to_owned(), numbers.next().unwrap_or(0), items(q)));
        panels.push(Panel { id, title, rows: rows.collect() });
    }
    if let (Some(days), Some((label, ..))) = (work.mean_days, panels.last_mut().and_then(|flow| flow.rows.get_mut(2))) {
        *label = format!("{label}, after {days:.1} days in the mean");
    }
    if let (Some(decisions), Some(held)) = (work.decisions, panels.get_mut(2)) {
        let waiting = ("Exceptions to decide".to_owned(), decisions, address("/exceptions", &[("q", "is:open")]));
        held.rows.push(waiting);
    }
    if !work.groups.is_empty() {
        let of = |name: &str| {
            let operand = Operand::Text(name.to_owned(), Match::Usual);
            Filter::Compare { field: "group", operator: Operator::Equal, operand }
        };
        let rows = work
            .groups
            .iter()
            .map(|(name, number)| (name.clone(), *number, items(&format!("is:open and {}", of(name)))));
        panels.push(Panel { id: "groups", title: "Open items by group", rows: rows.collect() });
    }
    panels
}

/// Jobs that are enabled and not over.
fn running() -> Result<Filter, Error> {
    domain::filter::parse("status:enabled", &store::jobs::FIELDS).map_err(Error::internal)
}

/// Where somebody begins: with his own work, or with the whole.
async fn first(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    if mine::begins_here(&who.actor) { mine::page(&app, &who).await } else { all(&app, &who).await }
}

async fn show(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    all(&app, &who).await
}

async fn all(app: &App, who: &PageActor) -> Result<Response, Error> {
    let shell = frame(app, who, Section::Home, "Dashboard").await?;
    let (asker, now) = (who.clone(), app.clock.now());
    let seen = app.database.try_read(move |tx| look(tx, &asker, now)).await?;
    Ok(Show(page(shell, &who.actor, &seen, now)).into_response())
}

fn page(shell: Shell, actor: &Actor, seen: &Seen, now: Timestamp) -> HomePage {
    HomePage {
        shell,
        waiting: super::follow::waiting(&seen.waiting),
        troubles: seen.troubles.clone(),
        setup: set_up(actor, &seen.set_up),
        stats: stats(seen),
        over_time: over_time(&seen.bands, &seen.changes, now),
        stand: stand(&seen.bands),
        next: next(&seen.possible),
        running: seen.jobs.iter().map(under_way).collect(),
        panels: panels(&seen.work),
    }
}

fn items(q: &str) -> String {
    address("/items", &[("q", q)])
}

fn set_up(actor: &Actor, done: &SetUp) -> Vec<Setup> {
    let steps = [
        (
            Action::ImportRun,
            "Import detections",
            "Connect a Qualys subscription, or load a file exported from one",
            "/imports",
            done.imported,
        ),
        (
            Action::CatalogueInstall,
            "Install a catalogue",
            "Signed mitigations: quell catalogue install",
            "/eliminations",
            done.catalogue,
        ),
        (
            Action::AgentEnrol,
            "Enrol an agent",
            "One line on each host whose weaknesses should be mitigated",
            "/agents/enrol",
            done.agents > 0,
        ),
        (
            Action::JobCreate,
            "Mitigate something",
            "Choose an elimination and press Mitigate Now",
            "/eliminations",
            done.jobs > 0,
        ),
    ];
    let own = steps.into_iter().filter(|(action, ..)| reach(actor, *action) != Reach::Nothing);
    own.map(|(_, label, text, href, done)| Setup { label: label.into(), text: text.into(), href: href.into(), done })
        .collect()
}

fn stats(seen: &Seen) -> Vec<Stat> {
    let sum = |of: fn(&Band) -> i64| seen.bands.iter().map(of).sum::<i64>();
    let (open, mitigated, fixed, in_job) = (sum(|b| b.open), sum(|b| b.mitigated), sum(|b| b.fixed), sum(|b| b.in_job));
    let severe: i64 = seen.bands.iter().skip(2).map(|band| band.open).sum();
    let week: i64 = seen
        .changes
        .iter()
        .rev()
        .take_while(|c| c.day > seen.changes.last().map_or(0, |l| l.day) - 7)
        .map(|c| c.open)
        .sum();
    let mitigable: i64 = best(&seen.possible).iter().map(|row| row.assets).sum();
    let stat = |label: &str, value: i64, note: String, tone, href: String| Stat {
        label: label.to_owned(),
        value: count(value),
        note,
        tone,
        spark: None,
        href,
    };
    vec![
        stat(
            "Open items",
            open,
            if week == 0 { "no change this week".into() } else { format!("{} this week", signed(week)) },
            if week > 0 { Tone::Fail } else { Tone::Ok },
            items("is:open"),
        ),
        stat(
            "Critical and high",
            severe,
            format!("score 70 and above, {in_job} in a job"),
            Tone::Idle,
            items("is:open and score:>=70"),
        ),
        stat("Can be mitigated now", mitigable, "with an agent in place".into(), Tone::Idle, "/eliminations".into()),
        stat("Mitigated", mitigated, format!("of {} open", count(open)), Tone::Mit, items("is:open and is:mitigated")),
        stat("Fixed", fixed, "found gone by the scanner".into(), Tone::Ok, items("is:fixed")),
    ]
}

fn signed(number: i64) -> String {
    if number > 0 { format!("+{}", count(number)) } else { count(number) }
}

/// Open items per day, reckoned back from today.
fn over_time(bands: &[Band; 4], changes: &[DayChange], now: Timestamp) -> Areas {
    let today = now.micros() / DAY_MICROS;
    let first = changes.first().map_or(today, |change| change.day).max(today - DAYS + 1);
    let days: Vec<i64> = (first..=today).collect();
    let layers = BANDS.iter().zip(bands).enumerate().map(|(band, ((class, word, _), stand))| {
        let mut open = stand.open;
        let mut values: Vec<i64> = days
            .iter()
            .rev()
            .map(|day| {
                let value = open;
                let changed = changes.iter().filter(|c| c.day == *day && usize::try_from(c.band) == Ok(band));
                open -= changed.map(|c| c.open).sum::<i64>();
                value.max(0)
            })
            .collect();
        values.reverse();
        Layer { label: word, class, values }
    });
    let label = |day: &i64| Timestamp::from_micros(day * DAY_MICROS).to_jiff().strftime("%-d %b").to_string();
    Areas {
        title: "Open items by score, the last 30 days".into(),
        layers: layers.collect(),
        labels: days.iter().map(label).collect(),
    }
}

fn stand(bands: &[Band; 4]) -> Vec<StandRow> {
    let rows = BANDS.iter().zip(bands).rev();
    rows.map(|((class, word, terms), band)| StandRow {
        class,
        band: word,
        cells: vec![
            (band.open, items(&format!("is:open and {terms}"))),
            (band.in_job, "/jobs".to_owned()),
            (band.mitigated, items(&format!("is:open and is:mitigated and {terms}"))),
            (band.fixed, items(&format!("is:fixed and {terms}"))),
        ],
    })
    .collect()
}

/// Of several entries for one QID the one with the most points, where something is left to do.
fn best(possible: &[Possible]) -> Vec<NextRow> {
    let mut by_qid: BTreeMap<(i64, &str), &Possible> = BTreeMap::new();
    for row in possible.iter().filter(|row| row.remaining > 0 && row.implication == "mitigation" && !row.risky()) {
        let slot = by_qid.entry((row.qid, row.platform.as_str())).or_insert(row);
        if row.points > slot.points {
            *slot = row;
        }
    }
    let mut by_entry: BTreeMap<i64, Vec<&Possible>> = BTreeMap::new();
    for row in by_qid.into_values() {
        by_entry.entry(row.entry_key).or_default().push(row);
    }
    by_entry.into_values().filter_map(|rows| next_row(&rows)).collect()
}

fn next_row(rows: &[&Possible]) -> Option<NextRow> {
    let worst = rows.iter().max_by_key(|row| row.residual)?;
    let after = (worst.residual - worst.points).max(1);
    let qids: Vec<i64> = rows.iter().map(|row| row.qid).collect();
    let chosen = Choice::of(&qids).for_platform(&worst.platform);
    let drop = rows.iter().map(|row| (row.residual - (row.residual - row.points).max(1)) * row.remaining).sum::<i64>();
    Some(NextRow {
        title: worst.title.clone(),
        href: chosen.eliminations(),
        change: Change::new(Some(worst.residual), Some(after)),
        assets: rows.iter().map(|row| row.remaining).max().unwrap_or(0),
        drop: -drop,
        mitigate: chosen.by(&[&worst.entry]).address(),
    })
}

/// What would help most, of what could be done.
pub(super) fn next(possible: &[Possible]) -> Vec<NextRow> {
    let mut rows = best(possible);
    rows.sort_by_key(|row| row.drop);
    rows.truncate(NEXT);
    rows
}

fn under_way(job: &protocol::api::response::JobSummary) -> RunningRow {
    let tasks = &job.tasks;
    let parts = [
        (Tone::Ok, tasks.succeeded, "succeeded"),
        (Tone::Idle, tasks.skipped, "skipped"),
        (Tone::Fail, tasks.failed, "failed"),
    ];
    RunningRow {
        number: job.number.clone(),
        title: job.title.clone(),
        href: format!("/jobs/{}", job.number),
        bar: Bar::new(&parts, tasks.total),
        done: format!("{}/{}", tasks.total - tasks.open, tasks.total),
        state: status(job),
    }
}
