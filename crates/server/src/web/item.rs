//! `/items/VIT0000001`: one vulnerable item, who works on it and its state.

use super::frame::{Show, again, faults, frame, sentence};
use super::{choice, eliminations, exceptions as exception_pages, exposure, marks, notes, scans};
use crate::api;
use crate::app::App;
use crate::engine::{exceptions, rescan};
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, PageActor};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::items::{DetectionRow, ExceptionLine, ItemPage, ScanLine, TaskLine};
use crate::pages::lists::Action as Button;
use crate::pages::sanitise::{self, Clean};
use crate::pages::{Change, Chip, Choice, Entry, Fact, Fault, Field, Section, Severity, Tone, Value};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::item::State as ItemState;
use domain::mitigation::ControlState;
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use domain::time::Timestamp;
use protocol::api::catalogue::NoMitigation;
use protocol::api::exposure::Assignment;
use std::collections::BTreeMap;
use store::efforts::{self, EffortRow};
use store::items::exceptions::{self as requests, ExceptionRow};
use store::items::{HistoryLine, ItemRow};
use store::notes::NoteRow;
use store::overview::Possible;
use store::remediation::OfItem;
use store::scans::ScanRow;
use store::scores::DrillDown;
use store::vulnerabilities::Vulnerability;
use store::{Transaction, accounts, list, overview, scores, vulnerabilities};

/// Lines of activity on the page.
const LOG_LINES: i64 = 50;
/// Rescans on the page.
const SCAN_LINES: u32 = 8;

/// Notes on the page.
pub(super) const NOTE_LINES: i64 = 50;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/items/{number}", get(show))
        .route("/items/{number}/assignment", get(assignment).post(assign))
        .route("/items/{number}/assign-to-me", post(assign_to_me))
        .route("/items/{number}/state", get(state).post(change_state))
}

struct Seen {
    item: ItemRow,
    access: Record,
    detections: Vec<store::items::DetectionRow>,
    behind: DrillDown,
    history: Vec<HistoryLine>,
    vulnerability: Option<Vulnerability>,
    possible: Vec<Possible>,
    refused: Option<Refusal>,
    unaskable: Option<Refusal>,
    exceptions: Vec<ExceptionRow>,
    effort: Option<EffortRow>,
    tasks: Vec<OfItem>,
    notes: Vec<NoteRow>,
    scans: Vec<ScanRow>,
}

fn look(tx: &mut Transaction<'_>, who: &PageActor, number: &str) -> Result<Seen, Error> {
    let item = api::items::known(tx, who, Action::ItemsView, number)?;
    let possible = if who.decide(Action::CatalogueView, &Record::default()).allowed() {
        // What is possible elsewhere is no way for this item.
        overview::possible_on(tx, &who.actor, Some(&[item.vulnerability_id.0]), Some(&[item.asset_id.0]))?
    } else {
        Vec::new()
    };
    let refused = rescan::available(tx, who, item.number)?.err();
    let open = requests::open_for(tx, std::slice::from_ref(&item))?;
    Ok(Seen {
        scans: scans_of(tx, who, &item)?,
        refused,
        unaskable: exceptions::askable(domain::exception::Kind::Deferral, &item, &open).err(),
        exceptions: exceptions_of(tx, who, &item)?,
        effort: effort_of(tx, who, &item)?,
        tasks: store::remediation::tasks_of(tx, item.id)?,
        notes: store::notes::about(tx, &format!("items/{}", item.number()), NOTE_LINES)?,
        access: store::items::access(tx, &who.actor, &item)?,
        detections: store::items::detections(tx, item.id)?,
        behind: scores::drill_down(tx, item.id)?,
        history: store::items::history(tx, item.id, LOG_LINES)?,
        vulnerability: vulnerabilities::one(tx, &item.product, item.qid).ok(),
        possible,
        item,
    })
}

/// The latest rescans that looked at the item.
fn scans_of(tx: &mut Transaction<'_>, who: &PageActor, item: &ItemRow) -> Result<Vec<ScanRow>, Error> {
    if !who.decide(Action::ScansView, &Record::default()).allowed() {
        return Ok(Vec::new());
    }
    let wanted = domain::filter::parse(&format!("item:{}", item.number), &store::scans::FIELDS);
    let mut query =
        list::Query::new(wanted.map_err(Error::internal)?, domain::filter::Context::at(Timestamp::default()));
    query.order = list::Order::parse("-number");
    query.limit = SCAN_LINES;
    Ok(list::page(tx, &store::scans::LIST, store::scans::clip(&who.actor), &query)?.rows)
}

/// The latest exceptions that were asked for.
fn exceptions_of(tx: &mut Transaction<'_>, who: &PageActor, item: &ItemRow) -> Result<Vec<ExceptionRow>, Error> {
    let wanted = domain::filter::parse(&format!("item:{}", item.number), &requests::FIELDS);
    let mut query =
        list::Query::new(wanted.map_err(Error::internal)?, domain::filter::Context::at(Timestamp::default()));
    query.order = list::Order::parse("-number");
    query.limit = SCAN_LINES;
    Ok(list::page(tx, &requests::LIST, requests::clip(&who.actor), &query)?.rows)
}

/// The effort that holds the item.
fn effort_of(tx: &mut Transaction<'_>, who: &PageActor, item: &ItemRow) -> Result<Option<EffortRow>, Error> {
    let wanted = domain::filter::parse(&format!("is:open and item:{}", item.number), &efforts::FIELDS);
    let query = list::Query::new(wanted.map_err(Error::internal)?, domain::filter::Context::at(Timestamp::default()));
    Ok(list::page(tx, &efforts::LIST, efforts::clip(&who.actor), &query)?.rows.into_iter().next())
}

fn exception_line(row: &ExceptionRow, now: Timestamp) -> ExceptionLine {
    ExceptionLine {
        number: row.number().to_string(),
        href: format!("/exceptions/{}", row.number()),
        state: exception_pages::state(row.state),
        what: row.what.title().to_owned(),
        at: exposure::near(row.requested_at, now),
    }
}

fn task_line(row: &OfItem) -> TaskLine {
    let number = Number { series: Series::RemediationTask, ordinal: row.number }.to_string();
    let who: Vec<&str> = [row.owner.as_str(), &row.group_name].into_iter().filter(|name| !name.is_empty()).collect();
    TaskLine {
        href: format!("/tasks/{number}"),
        number,
        state: marks::state(row.state.as_str(), ""),
        title: row.title.clone(),
        who: if who.is_empty() { "nobody".to_owned() } else { who.join(", ") },
    }
}

/// A rescan with what it said of the item, as the item's history remembers it.
fn scan_line(scan: &ScanRow, history: &[HistoryLine], now: Timestamp) -> ScanLine {
    let number = scan.number().to_string();
    let said = history.iter().find(|line| line.what == "verdict" && line.cause == number);
    ScanLine {
        href: format!("/scans/{number}"),
        state: scans::state(scan.state.as_str()),
        verdict: said.and_then(|line| scans::verdict(&line.after)),
        at: exposure::near(scan.created_at, now),
        number,
    }
}

async fn show(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    let asker = who.clone();
    let seen = app.database.try_read(move |tx| look(tx, &asker, &number)).await?;
    let now = app.clock.now();
    let number = seen.item.number().to_string();
    let shell = frame(&app, &who, Section::Items, number.clone()).await?.under("Vulnerable items", "/items");
    let page = ItemPage {
        shell,
        title: seen.item.title.clone(),
        marks: marked(&seen.item),
        change: marks::change(&seen.item),
        actions: actions(&who, &seen, &number),
        why: why(&seen.item, &seen.tasks, now),
        facts: facts(&who, &seen, now),
        detections: seen.detections.iter().map(|row| detection(row, &seen.item)).collect(),
        controls: controls(&seen.behind),
        remedies: remedies(&seen),
        unsound: unsound(&seen),
        exceptions: seen.exceptions.iter().map(|row| exception_line(row, now)).collect(),
        tasks: seen.tasks.iter().map(task_line).collect(),
        notes: notes::lines(&seen.notes, now),
        note: notes::button(&who, &seen.access, "items", &number),
        scans: seen.scans.iter().map(|scan| scan_line(scan, &seen.history, now)).collect(),
        texts: texts(seen.vulnerability.as_ref()),
        log: seen.history.iter().map(|line| logged(line, now)).collect(),
        number,
    };
    Ok(Show(page).into_response())
}

fn marked(item: &ItemRow) -> Vec<Chip> {
    let mut marked = vec![marks::workflow(item)];
    marked.extend(marks::mitigation(item.mitigation));
    if item.reopened > 0 {
        marked.push(Chip::new(Tone::Fail, format!("Reopened {}×", item.reopened)).with_icon("refresh"));
    }
    marked
}

fn actions(who: &PageActor, seen: &Seen, number: &str) -> Vec<Button> {
    let assign = exposure::reason(&who.decide(Action::ItemAssign, &seen.access));
    let change = exposure::reason(&who.decide(Action::ItemTransition, &seen.access)).or_else(|| stuck(&seen.item));
    let except = exposure::reason(&who.decide(Action::ExceptionRequest, &seen.access))
        .or_else(|| seen.unaskable.as_ref().map(exposure::refused));
    let asset = [seen.item.asset_id.0];
    let chosen = choice::Choice::of(&[seen.item.qid]).on(&asset);
    let over = (seen.item.state == ItemState::Closed).then(|| "A closed item has nothing left to mitigate.".to_owned());
    // What is used most stands at the upper right (S2.10).
    let mut actions = Vec::new();
    if seen.item.owner_id != Some(who.user) {
        let to = format!("/items/{number}/assign-to-me");
        actions.push(Button::post("Assign to me", to).icon("user").unless(assign.clone()));
    }
    actions.extend([
        Button::show("Assign", format!("/items/{number}/assignment")).icon("user-plus").unless(assign),
        Button::show("Request exception", format!("/items/{number}/exception")).icon("clock-off").unless(except),
        Button::show("Change state", format!("/items/{number}/state")).icon("pencil").unless(change),
        Button::post("Mitigate Now", chosen.address())
            .icon("shield-half")
            .key('m')
            .unless(over.or_else(|| eliminations::cannot_mitigate(who, &seen.possible, Some(&asset)))),
        Button::show("Rescan", format!("/items/{number}/rescan"))
            .icon("radar")
            .key('r')
            .primary()
            .unless(seen.refused.as_ref().map(exposure::refused)),
    ]);
    actions
}

/// Why no state can be chosen for an item, if so: the reason that every choice would get.
fn stuck(item: &ItemRow) -> Option<String> {
    let refused = |to: ItemState| domain::item::change_state(item.workflow(), to, Timestamp::default()).err();
    let reasons: Option<Vec<Refusal>> = ItemState::ALL.into_iter().map(refused).collect();
    // What it is told of the first state in work is the reason; of others some rule of their own speaks.
    reasons?.into_iter().nth(1).map(|refusal| exposure::refused(&refusal))
}

/// Why the item is in its state and what would change it, as sentences.
fn why(item: &ItemRow, tasks: &[OfItem], now: Timestamp) -> String {
    api::items::reasons(item, tasks, now).iter().map(|why| sentence(why)).collect::<Vec<_>>().join(" ")
}

fn facts(who: &PageActor, seen: &Seen, now: Timestamp) -> Vec<Fact> {
    let item = &seen.item;
    let mut facts = vec![
        Fact::new("Asset", Value::link(&item.asset, format!("/assets/{}", item.asset_id))),
        Fact::new("Address", Value::code(&item.ip)),
        Fact::new("Vulnerability", Value::link(format!("QID {}", item.qid), format!("/vulnerabilities/{}", item.qid))),
        Fact::new("Severity", Value::Severity(Severity(item.severity))),
        Fact::new("Source", Value::text(&item.source)),
        Fact::new("Integration", Value::text(&item.instance)),
        Fact::new("Assigned to", Value::text(if item.owner.is_empty() { "nobody" } else { &item.owner })),
        Fact::new("Group", Value::text(&item.group_name)),
    ];
    facts.extend(seen.effort.as_ref().map(|effort| {
        let name = format!("{} {}", effort.number(), effort.title);
        Fact::new("Effort", Value::link(name, format!("/efforts/{}", effort.number())))
    }));
    // With the other acts there is no room for it beside Rescan, which stands at the upper right (S2.10).
    if item.state != ItemState::Closed && eliminations::cannot_view(who).is_none() {
        let chosen = choice::Choice::of(&[item.qid]).on(&[item.asset_id.0]);
        facts.insert(3, Fact::new("Eliminations", Value::link("View Risk Elimination", chosen.eliminations())));
    }
    let cves = seen.vulnerability.as_ref().map(|known| known.cves.as_slice()).unwrap_or_default();
    if !cves.is_empty() {
        let shown: Vec<&str> = cves.iter().take(4).map(|cve| cve.cve.as_str()).collect();
        let more = if cves.len() > 4 { format!(" and {} more", cves.len() - 4) } else { String::new() };
        facts.push(Fact::new("CVEs", Value::text(format!("{}{more}", shown.join(", ")))));
    }
    let when = |label, at: Option<Timestamp>| at.map(|at| Fact::new(label, Value::When(exposure::exact(at))));
    let first = seen.detections.iter().filter_map(|row| row.first_found_at).min();
    facts.extend(when("First seen", first));
    facts.extend(when("Last seen", item.last_found_at));
    facts.extend(when("Opened", Some(item.opened_at)));
    if item.due_at.is_some() {
        facts.extend(when("Due", item.due_at));
        facts.push(Fact::new("Target", Value::Chip(marks::target(item.target(now), item.due_at))));
    }
    facts.extend(when("Deferred until", item.granted_until_at.filter(|_| item.state == ItemState::Deferred)));
    facts.extend(when("Resolved", item.resolved_at));
    facts.extend(when("Closed", item.closed_at));
    facts
}

fn detection(row: &store::items::DetectionRow, item: &ItemRow) -> DetectionRow {
    let mut place = match (row.port, row.protocol.as_str()) {
        (0, "") => "host".to_owned(),
        (0, protocol) => protocol.to_owned(),
        (port, "") => port.to_string(),
        (port, protocol) => format!("{port}/{protocol}"),
    };
    for part in [&row.fqdn, &row.service_instance].into_iter().filter(|part| !part.is_empty()) {
        place = format!("{place} {part}");
    }
    if !row.excluded.is_empty() {
        place = format!("{place} (excluded: {})", row.excluded);
    }
    let gone = matches!(row.status.as_str(), "fixed" | "stale");
    let after = if gone { row.inherent } else { row.inherent.min(item.residual) };
    DetectionRow {
        place,
        status: exposure::detection(&row.status),
        change: Change {
            estimated: row.score_source == domain::score::Source::Estimated,
            ..Change::new(Some(i64::from(row.inherent)), Some(i64::from(after)))
        },
        first: row.first_found_at.map(exposure::exact),
        last: row.last_found_at.map(exposure::exact),
        result: row.results.clone(),
    }
}

/// The controls on the asset that concern the item, each once with its most points.
fn controls(behind: &DrillDown) -> Vec<(String, Chip, i64, String)> {
    let mut best: BTreeMap<&str, (&str, ControlState, i64)> = BTreeMap::new();
    for line in &behind.controls {
        let slot = best.entry(&line.entry).or_insert((&line.title, line.state, 0));
        slot.2 = slot.2.max(i64::from(line.points));
    }
    let shown = best
        .into_iter()
        .filter(|(_, (_, state, _))| !matches!(state, ControlState::NotApplicable | ControlState::Exposed));
    shown
        .map(|(entry, (title, state, points))| {
            (title.to_owned(), exposure::control(state), points, eliminations::entry_address(entry))
        })
        .collect()
}

fn remedies(seen: &Seen) -> Vec<(String, String, String)> {
    let platform = seen.item.platform.as_str();
    let fits = seen.possible.iter().filter(|row| row.platform == platform || row.platform == "any");
    fits.map(|row| {
        let kind = if row.implication == "fix" { "Removes the weakness for good" } else { "Mitigation" };
        let text = match row.points {
            0 => kind.to_owned(),
            points => format!("{kind}, up to {points} points off"),
        };
        (row.title.clone(), text, eliminations::entry_address(&row.entry))
    })
    .collect()
}

/// What the catalogue says of the item's CVEs that nothing sound exists for.
fn unsound(seen: &Seen) -> Vec<NoMitigation> {
    let cves = seen.vulnerability.as_ref().map(|known| known.cves.as_slice()).unwrap_or_default();
    crate::views::catalogue::no_mitigation(cves.iter().map(|cve| cve.cve.as_str()))
}

fn texts(vulnerability: Option<&Vulnerability>) -> Vec<(&'static str, Clean)> {
    let Some(known) = vulnerability else { return Vec::new() };
    vec![
        ("Threat", sanitise::html(&known.threat)),
        ("Consequence", sanitise::html(&known.impact)),
        ("Solution", sanitise::html(&known.solution)),
    ]
}

fn logged(line: &HistoryLine, now: Timestamp) -> Entry {
    Entry { by: exposure::by(&line.cause), ..marks::event(line, "", now) }
}

/// People and groups to choose from; `None` where there are too many for a list.
pub(super) type Choices = (Option<Vec<Choice>>, Option<Vec<Choice>>);

pub(super) fn choices(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Choices, Error> {
    let any = domain::filter::parse("", accounts::USERS.fields).map_err(Error::internal)?;
    let mut query = list::Query::new(any, domain::filter::Context::at(now));
    query.order = list::Order::parse("name");
    query.limit = list::LIMIT_MAX;
    let people = accounts::page(tx, &query)?;
    let groups = accounts::groups(tx, &query)?;
    let listed = |rows: Vec<String>, none: &str, more: bool| {
        let first = Choice::new("", none);
        (!more).then(|| std::iter::once(first).chain(rows.iter().map(|name| Choice::new(name, name))).collect())
    };
    let names = people.rows.iter().filter(|account| account.active).map(|account| account.name.clone());
    let people = listed(names.collect(), "Nobody", people.next_cursor.is_some());
    let named = groups.rows.iter().map(|group| group.name.clone());
    Ok((people, listed(named.collect(), "No group", groups.next_cursor.is_some())))
}

pub(super) fn chosen(name: &str, label: &str, value: &str, choices: Option<Vec<Choice>>) -> Field {
    match choices {
        Some(choices) => Field::select(name, label, value, choices),
        None => Field::line(name, label, value).autocomplete("off"),
    }
}

async fn assignment_page(
    app: &App,
    who: &PageActor,
    number: &str,
    given: Option<(String, String)>,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let (asker, wanted, now) = (who.clone(), number.to_owned(), app.clock.now());
    let (item, (people, groups)) = app
        .database
        .try_read(move |tx| {
            let item = api::items::known(tx, &asker, Action::ItemAssign, &wanted)?;
            Ok::<_, Error>((item, choices(tx, now)?))
        })
        .await?;
    let (assignee, group) = given.unwrap_or((item.owner, item.group_name));
    let shell = frame(app, who, Section::Items, format!("Assign {number}")).await?;
    Ok(DialogPage {
        shell: shell.under("Vulnerable items", "/items").under(number, format!("/items/{number}")),
        to: format!("/items/{number}/assignment"),
        text: format!("{} on {}", item.title, item.asset),
        fields: vec![
            chosen("assignee", "Assigned to", &assignee, people).faulted(&wrong),
            chosen("group", "Group", &group, groups).help("Every member may work on it").faulted(&wrong),
        ],
        faults: Faults(wrong),
        verb: "Assign",
        back: format!("/items/{number}"),
    })
}

async fn assignment(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    Ok(Show(assignment_page(&app, &who, &number, None, Vec::new()).await?).into_response())
}

async fn assign(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    fields: Fields,
) -> Result<Response, Error> {
    let (assignee, group) = (fields.one("assignee").to_owned(), fields.one("group").to_owned());
    let given = Assignment { assignee: Some(assignee.clone()), group: Some(group.clone()) };
    match api::items::give(&app, &who, number.clone(), given).await {
        Ok(body) => {
            let to = body.item.assignee.or(body.item.group).unwrap_or_else(|| "nobody".to_owned());
            let said = Flash::done(format!("{number} is assigned to {to}."));
            Ok(flash::redirect(&format!("/items/{number}"), Some(said)))
        }
        Err(error) => {
            let wrong = faults(error, |field| field)?;
            Ok(again(assignment_page(&app, &who, &number, Some((assignee, group)), wrong).await?))
        }
    }
}

async fn assign_to_me(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    api::items::take(&app, &who, vec![number.clone()]).await?;
    let said = Flash::done(format!("{number} is assigned to you."));
    Ok(flash::redirect(&format!("/items/{number}"), Some(said)))
}

async fn state_page(
    app: &App,
    who: &PageActor,
    number: &str,
    given: Option<&str>,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let (asker, wanted, now) = (who.clone(), number.to_owned(), app.clock.now());
    let item = app.database.try_read(move |tx| api::items::known(tx, &asker, Action::ItemTransition, &wanted)).await?;
    let legal = ItemState::ALL.into_iter().filter(|to| domain::item::change_state(item.workflow(), *to, now).is_ok());
    let legal: Vec<Choice> = legal.map(|to| Choice::new(to.as_str(), to.title())).collect();
    let given = given.map(str::to_owned).or_else(|| legal.first().map(|choice| choice.value.clone()));
    let shell = frame(app, who, Section::Items, format!("Change the state of {number}")).await?;
    Ok(DialogPage {
        shell: shell.under("Vulnerable items", "/items").under(number, format!("/items/{number}")),
        to: format!("/items/{number}/state"),
        text: format!("It is {} now.", item.state.title()),
        fields: vec![
            Field::select("state", "New state", given.unwrap_or_default(), legal)
                .help("Only an import closes an item: set it to Resolved, then rescan it.")
                .faulted(&wrong),
        ],
        faults: Faults(wrong),
        verb: "Change",
        back: format!("/items/{number}"),
    })
}

async fn state(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    Ok(Show(state_page(&app, &who, &number, None, Vec::new()).await?).into_response())
}

async fn change_state(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    fields: Fields,
) -> Result<Response, Error> {
    let wanted = fields.one("state");
    match api::items::set_state(&app, &who, number.clone(), wanted).await {
        Ok(body) => {
            let title = ItemState::parse(&body.item.state).map(ItemState::title).unwrap_or_default();
            let said = Flash::done(format!("{number} is {title}."));
            Ok(flash::redirect(&format!("/items/{number}"), Some(said)))
        }
        Err(Error::Refused(refusal)) => {
            let wrong = vec![Fault::new("state", exposure::refused(&refusal))];
            Ok(again(state_page(&app, &who, &number, Some(wanted), wrong).await?))
        }
        Err(error) => {
            let wrong = faults(error, |field| field)?;
            Ok(again(state_page(&app, &who, &number, Some(wanted), wrong).await?))
        }
    }
}
