//! `/vulnerabilities`: the list and one vulnerability. View Risk Elimination leads on with the QIDs in the address
//! (S1.02).

use super::choice::{self, Choice};
use super::frame::{Head, Show, frame, listed, pager};
use super::marks;
use crate::app::App;
use crate::http::auth::PageActor;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, ListQuery};
use crate::pages::chips::{Change, Chip, Severity, Tone, When};
use crate::pages::lists::{Action as Button, Empty, Menu, Tab, address};
use crate::pages::records::{Fact, Value};
use crate::pages::vulnerabilities::{
    COLUMNS, FoundRow, RemedyRow, VulnerabilitiesPage, VulnerabilityPage, VulnerabilityRow,
};
use crate::pages::{Section, sanitise};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::time::Timestamp;
use store::items::ItemRow;
use store::overview::{self, Possible};
use store::vulnerabilities::{self, Found, Vulnerability};
use store::{Transaction, list};

/// Items shown on the page of a vulnerability.
const FOUND_SHOWN: u32 = 8;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/vulnerabilities", get(index))
        .route("/vulnerabilities/eliminations", post(eliminations))
        .route("/vulnerabilities/{qid}", get(show))
}

async fn index(State(app): State<App>, who: PageActor, query: ListQuery) -> Result<Response, Error> {
    who.may(Action::VulnerabilitiesView, &Record::default())?;
    let empty = Empty::yet("bug", "No vulnerabilities yet", "They come with the first import from a scanner.")
        .with(Button::go("Import", "/imports").primary());
    let head = Head { path: "/vulnerabilities", noun: "vulnerabilities", columns: &COLUMNS, sort: "-score", empty };
    let (mut list, wanted) = listed(&app, &who, &query, &vulnerabilities::LIST, head)?;
    let mut rows = Vec::new();
    if let Some(wanted) = wanted {
        let scope = who.scope.clone();
        let read = app.database.try_read(move |tx| {
            let clip = vulnerabilities::clip(&scope);
            let total = list::count(tx, &vulnerabilities::LIST, clip.clone(), &wanted, TOTAL_MAX)?;
            let page = list::page::<vulnerabilities::VulnerabilityRow>(tx, &vulnerabilities::LIST, clip, &wanted)?;
            let ids: Vec<_> = page.rows.iter().map(|row| row.id).collect();
            let cves = vulnerabilities::cves_of(tx, &ids)?;
            Ok::<_, Error>((page, total, cves, vulnerabilities::found(tx, &ids, &scope)?))
        });
        let (page, total, cves, found) = read.await?;
        (list.total, list.capped) = (Some(total), total >= TOTAL_MAX);
        list.shown = page.rows.len();
        list.pager = pager(&query, "/vulnerabilities", page.next_cursor.as_deref());
        rows = page
            .rows
            .into_iter()
            .map(|vulnerability| {
                let found = found.get(&vulnerability.id).copied().unwrap_or_default();
                row(&who, &vulnerability, cves.get(&vulnerability.id).map_or(&[], Vec::as_slice), &found)
            })
            .collect();
    }
    list.columns.pick = true;
    for (label, q) in [
        ("All", ""),
        ("Found", "is:found"),
        ("Can be mitigated", "is:found and is:mitigable"),
        ("Mitigated", "is:mitigated"),
    ] {
        list.tab(label, q, None);
    }
    list.facet(
        "Severity",
        &[
            ("Urgent", "severity:5", Some("crit"), None),
            ("Critical", "severity:4", Some("high"), None),
            ("Serious", "severity:3", Some("med"), None),
        ],
    );
    list.facet(
        "Score",
        &[
            ("Critical", "score:>=90", Some("crit"), None),
            ("High", "score:[70 .. 89]", Some("high"), None),
            ("Medium", "score:[40 .. 69]", Some("med"), None),
        ],
    );
    list.facet(
        "Status",
        &[
            ("Open", "status:open", None, None),
            ("Job scheduled", "status:scheduled", None, None),
            ("Running", "status:running", None, None),
            ("Partly mitigated", "status:partial", None, None),
            ("Mitigated", "status:mitigated", None, None),
            ("Drifted", "status:drifted", None, None),
            ("Fixed", "status:fixed", None, None),
        ],
    );
    list.facet("Platform", &[("Linux", "platform:linux", None, None), ("Windows", "platform:windows", None, None)]);
    list.bulk = vec![Button::post("View Risk Elimination", "/vulnerabilities/eliminations").icon("shield-half")];
    let shell = frame(&app, &who, Section::Vulnerabilities, "Vulnerabilities").await?;
    Ok(Show(VulnerabilitiesPage { shell, list, rows }).into_response())
}

/// Lists are counted up to here.
pub(super) const TOTAL_MAX: i64 = 10_000;

fn row(
    who: &PageActor,
    vulnerability: &vulnerabilities::VulnerabilityRow,
    cves: &[String],
    found: &Found,
) -> VulnerabilityRow {
    let qid = vulnerability.qid.to_string();
    let scored = found.open > 0;
    let open = address("/items", &[("q", &format!("qid:{qid} and is:open"))]);
    VulnerabilityRow {
        key: qid.clone(),
        href: format!("/vulnerabilities/{qid}"),
        title: vulnerability.title.clone(),
        cve: cves.first().cloned(),
        more_cves: cves.len().saturating_sub(1),
        severity: Severity(vulnerability.severity),
        change: Change::new(scored.then_some(found.inherent), scored.then_some(found.residual))
            .linked(format!("/vulnerabilities/{qid}/score")),
        assets: found.assets,
        assets_href: open.clone(),
        status: found.status.map_or_else(|| Chip::new(Tone::Idle, "Not found"), marks::progress),
        mitigable: scored && vulnerability.eliminations > 0,
        job: marks::last_job(who, found.last_job),
        menu: Menu::dots(
            format!("m-{qid}"),
            format!("Quick actions for QID {qid}"),
            vec![
                Button::go("View Risk Elimination", Choice::of(&[vulnerability.qid]).eliminations())
                    .icon("shield-half"),
                Button::show("Score drill-down", format!("/vulnerabilities/{qid}/score"))
                    .icon("activity")
                    .unless((!scored).then(|| "it is not open on any asset you may see".to_owned())),
                Button::go("Vulnerable items", open).icon("list-check"),
            ],
        ),
        qid,
    }
}

/// The picked rows, or all that match the query text, as QIDs in the address of the eliminations (S1.02).
async fn eliminations(State(app): State<App>, who: PageActor, form: Fields) -> Result<Response, Error> {
    who.may(Action::VulnerabilitiesView, &Record::default())?;
    let (qids, counted, which) = if form.one("all").is_empty() {
        let picked: Vec<i64> = form.all("row").iter().filter_map(|qid| qid.parse().ok()).collect();
        let counted = i64::try_from(picked.len()).unwrap_or(i64::MAX);
        (picked.into_iter().take(choice::TAKEN_MAX).collect(), counted, "the first of the list")
    } else {
        let (qids, counted) = matching(&app, &who, form.one("q")).await?;
        (qids, counted, "those with the highest scores")
    };
    if qids.is_empty() {
        // Without a QID the next page would show the eliminations of everything.
        let back = address("/vulnerabilities", &[("q", form.one("q"))]);
        let said = Flash { failed: true, ..Flash::done("No vulnerability was chosen.") };
        return Ok(flash::redirect(&back, Some(said)));
    }
    let said = choice::cut("vulnerabilities", which, qids.len(), counted, TOTAL_MAX);
    Ok(flash::redirect(&Choice::of(&qids).eliminations(), said))
}

/// The QIDs of what a query text gives inside the caller's scope, the highest scores first and no more than are taken
/// along, and how many match.
async fn matching(app: &App, who: &PageActor, q: &str) -> Result<(Vec<i64>, i64), Error> {
    let query = ListQuery { q: q.to_owned(), limit: i64::try_from(choice::TAKEN_MAX).ok(), ..ListQuery::default() };
    let wanted = query.of_list(&vulnerabilities::FIELDS, "-score", app.clock.now(), &who.name)?;
    let scope = who.scope.clone();
    let read = app.database.try_read(move |tx| {
        let clip = vulnerabilities::clip(&scope);
        let counted = list::count(tx, &vulnerabilities::LIST, clip.clone(), &wanted, TOTAL_MAX)?;
        let page = list::page::<vulnerabilities::VulnerabilityRow>(tx, &vulnerabilities::LIST, clip, &wanted)?;
        Ok::<_, Error>((page.rows.iter().map(|row| row.qid).collect(), counted))
    });
    read.await
}

/// What the page of one vulnerability is made of.
struct Seen {
    vulnerability: Vulnerability,
    found: Found,
    items: Vec<ItemRow>,
    total: i64,
    possible: Vec<Possible>,
    log: Vec<crate::pages::records::Entry>,
}

fn look(tx: &mut Transaction<'_>, who: &PageActor, qid: i64, now: Timestamp) -> Result<Seen, Error> {
    let vulnerability = one(tx, qid)?;
    let id = vulnerability.row.id;
    let found = vulnerabilities::found(tx, &[id], &who.scope)?.remove(&id).unwrap_or_default();
    let visible = store::items::visible(&who.actor, Action::ItemsView);
    let wanted = domain::filter::parse(&format!("qid:{qid} and is:open"), &store::items::FIELDS);
    let mut query = list::Query::new(wanted.map_err(Error::internal)?, domain::filter::Context::at(now));
    query.order = list::Order::parse("-score");
    query.limit = FOUND_SHOWN;
    let items = list::page::<ItemRow>(tx, &store::items::LIST, visible.clone(), &query)?.rows;
    let total = list::count(tx, &store::items::LIST, visible, &query, TOTAL_MAX)?;
    let mut events = Vec::new();
    for item in &items {
        for line in store::items::history(tx, item.id, 4)? {
            events.push((line.at, marks::event(&line, &item.asset, now)));
        }
    }
    events.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let log = events.into_iter().map(|(_, entry)| entry).take(12).collect();
    let possible = overview::possible(tx, &who.actor, Some(&[id.0]))?;
    Ok(Seen { vulnerability, found, items, total, possible, log })
}

/// The vulnerability of a QID.
pub(super) fn one(tx: &mut Transaction<'_>, qid: i64) -> Result<Vulnerability, Error> {
    vulnerabilities::one(tx, "qualys", qid).map_err(|error| match error {
        store::Error::NotFound => Error::NotFound(format!("vulnerability with QID {qid}")),
        error => error.into(),
    })
}

async fn show(State(app): State<App>, who: PageActor, Path(qid): Path<i64>) -> Result<Response, Error> {
    who.may(Action::VulnerabilitiesView, &Record::default())?;
    let (asker, now) = (who.clone(), app.clock.now());
    let seen = app.database.try_read(move |tx| look(tx, &asker, qid, now)).await?;
    let shell = frame(&app, &who, Section::Vulnerabilities, format!("QID {qid}")).await?;
    let shell = shell.under("Vulnerabilities", "/vulnerabilities");
    let reason = super::eliminations::cannot_mitigate(&who, &seen.possible, None);
    let row = &seen.vulnerability.row;
    let elimination = Choice::of(&[qid]).eliminations();
    let all = address("/items", &[("q", &format!("qid:{qid}"))]);
    let open = seen.found.open > 0;
    let here = format!("/vulnerabilities/{qid}");
    let tab = |label: &str, count, at: &str| Tab {
        label: label.to_owned(),
        count,
        href: format!("{here}{at}"),
        current: at.is_empty(),
    };
    let page = VulnerabilityPage {
        shell,
        title: row.title.clone(),
        id: format!("QID {qid}"),
        severity: Severity(row.severity),
        marks: record_marks(&seen),
        actions: vec![
            Button::go("View Risk Elimination", elimination).icon("shield-half"),
            Button::post("Mitigate Now", Choice::of(&[qid]).address())
                .icon("shield-half")
                .primary()
                .key('m')
                .unless(reason),
        ],
        change: Change::new(open.then_some(seen.found.inherent), open.then_some(seen.found.residual))
            .linked(format!("{here}/score")),
        tabs: vec![
            tab("Overview", None, ""),
            tab("Assets", Some(seen.found.assets), "#assets"),
            tab("Eliminations", i64::try_from(seen.possible.len()).ok(), "#eliminations"),
            tab("Activity", None, "#activity"),
        ],
        facts: facts(&seen.vulnerability),
        texts: vec![
            ("Threat", sanitise::html(&seen.vulnerability.threat)),
            ("Impact", sanitise::html(&seen.vulnerability.impact)),
            ("Solution", sanitise::html(&seen.vulnerability.solution)),
        ],
        found: seen.items.iter().map(|item| found_row(item, now)).collect(),
        found_total: (seen.total, all),
        remedies: seen.possible.iter().map(remedy).collect(),
        unsound: crate::views::catalogue::no_mitigation(seen.vulnerability.cves.iter().map(|cve| cve.cve.as_str())),
        log: seen.log,
    };
    Ok(Show(page).into_response())
}

fn record_marks(seen: &Seen) -> Vec<Chip> {
    let found = &seen.found;
    let mut chips = Vec::new();
    if found.open > 0 {
        chips.extend(found.status.map(marks::progress));
        if !seen.possible.is_empty() {
            chips.push(Chip::new(Tone::Info, "Can be mitigated").with_icon("shield-half"));
        }
    }
    if seen.vulnerability.row.placeholder {
        chips
            .push(Chip::new(Tone::Warn, "Not in the knowledge base yet").titled("Known from a detection only, so far"));
    }
    if seen.vulnerability.row.patchable {
        chips.push(Chip::new(Tone::Info, "Patch available"));
    }
    chips
}

fn facts(vulnerability: &Vulnerability) -> Vec<Fact> {
    let row = &vulnerability.row;
    let day = |at: Option<Timestamp>| at.map_or(Value::text(""), |at| Value::When(When::exact(at.to_jiff())));
    let cves: Vec<&str> = vulnerability.cves.iter().map(|cve| cve.cve.as_str()).collect();
    let cvss = match (row.cvss3, row.cvss2) {
        (Some(three), _) => format!("{three:.1}"),
        (None, Some(two)) => format!("{two:.1} (version 2)"),
        (None, None) => String::new(),
    };
    vec![
        Fact::new("CVEs", if cves.is_empty() { Value::text("") } else { Value::code(cves.join(" ")) }),
        Fact::new("CVSS", Value::text(cvss)),
        Fact::new("Vector", Value::text(vulnerability.cvss3_vector.clone())),
        Fact::new("Category", Value::text(row.category.clone())),
        Fact::new("Kind", Value::text(marks::words(&row.kind))),
        Fact::new("Published", day(row.published_at)),
        Fact::new("Last changed", day(row.modified_at)),
    ]
}

fn found_row(item: &ItemRow, now: Timestamp) -> FoundRow {
    FoundRow {
        number: item.number().to_string(),
        href: format!("/items/{}", item.number()),
        asset: item.asset.clone(),
        ip: item.ip.clone(),
        status: marks::workflow(item),
        mitigation: marks::mitigation(item.mitigation),
        change: marks::change(item),
        seen: item.last_found_at.map(|at| When::near(at.to_jiff(), now.to_jiff())),
    }
}

fn remedy(row: &Possible) -> RemedyRow {
    let back = if row.reversible { "Reversible." } else { "No way back." };
    RemedyRow {
        title: row.title.clone(),
        href: super::eliminations::entry_address(&row.entry),
        text: format!("{} points, on {} of {} assets. {back}", row.points, row.agents, row.assets),
        kind: marks::implication(&row.implication),
    }
}
