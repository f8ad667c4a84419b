//! `/items`: the list of vulnerable items, and what is done with several of them.

use super::frame::{Head, Show, frame, listed, pager};
use super::vulnerabilities::TOTAL_MAX;
use super::{exposure, marks};
use crate::api;
use crate::app::App;
use crate::engine::rescan;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, ListQuery, PageActor};
use crate::pages::items::{COLUMNS, ItemRow, ItemsPage};
use crate::pages::lists::{Action as Button, List, address};
use crate::pages::{Empty, Menu, Section};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::refusal::Refusal;
use domain::time::Timestamp;
use store::list;

/// Items that one press of a button changes at most.
const CHANGED_MAX: usize = 500;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/items", get(index)).route("/items/assign-to-me", post(assign_to_me))
}

/// Somebody who sees only what is assigned to him has a list, and it is clipped to that.
fn own(actor: &PageActor) -> Record {
    Record { assignee: Some(actor.user), ..Record::default() }
}

async fn index(State(app): State<App>, actor: PageActor, query: ListQuery) -> Result<Response, Error> {
    actor.may(Action::ItemsView, &own(&actor))?;
    let of = &store::items::LIST;
    let empty =
        Empty::yet("list-check", "No vulnerable items", "An import makes one for each weakness found on an asset.")
            .with(Button::go("Import", "/imports").icon("database-import"));
    let head = Head { path: "/items", noun: "vulnerable items", columns: &COLUMNS, sort: "-score", empty };
    let (mut list, wanted) = listed(&app, &actor, &query, of, head)?;
    views(&mut list);
    let mut rows = Vec::new();
    if let Some(wanted) = wanted {
        let asker = actor.clone();
        let (page, total, refused) = app
            .database
            .try_read(move |tx| {
                let clip = || store::items::visible(&asker.actor, Action::ItemsView);
                let page = list::page::<store::items::ItemRow>(tx, &store::items::LIST, clip(), &wanted)?;
                let total = list::count(tx, &store::items::LIST, clip(), &wanted, TOTAL_MAX)?;
                let numbers: Vec<i64> = page.rows.iter().map(|item| item.number).collect();
                let refused = rescan::unavailable(tx, &asker, &numbers)?;
                Ok::<_, Error>((page, total, refused))
            })
            .await?;
        list.shown = page.rows.len();
        list.total = Some(total);
        list.capped = total >= TOTAL_MAX;
        list.pager = pager(&query, "/items", page.next_cursor.as_deref());
        let now = app.clock.now();
        rows = page.rows.iter().map(|item| row(&actor, item, refused.get(&item.number), now)).collect();
    }
    let changes = exposure::reason(&actor.decide(Action::ItemAssign, &own(&actor)));
    list.columns.pick = true;
    let asks = exposure::reason(&actor.decide(Action::Rescan, &own(&actor)));
    list.bulk = vec![
        Button::post("Rescan", "/items/rescan").icon("radar").unless(asks),
        Button::post("Assign to me", "/items/assign-to-me").icon("user").unless(changes),
    ];
    let shell = frame(&app, &actor, Section::Items, "Vulnerable items").await?;
    Ok(Show(ItemsPage { shell, list, rows }).into_response())
}

fn views(list: &mut List) {
    for (label, q) in [
        ("All", ""),
        ("Open", "is:open"),
        ("Critical and high", "is:open and score:>=70"),
        ("Assigned to me", "is:open and assignee:me"),
        ("Mitigated", "is:open and is:mitigated"),
        ("Drifted", "is:drifted"),
        ("Fixed", "is:fixed"),
    ] {
        list.tab(label, q, None);
    }
    list.facet(
        "Score",
        &[
            ("Critical", "score:[90 .. 100]", Some("crit"), None),
            ("High", "score:[70 .. 89]", Some("high"), None),
            ("Medium", "score:[40 .. 69]", Some("med"), None),
            ("Low", "score:[1 .. 39]", Some("low"), None),
        ],
    );
    list.facet(
        "State",
        &[
            ("Open", "state:open", None, None),
            ("Under investigation", "state:under_investigation", None, None),
            ("Awaiting implementation", "state:awaiting_implementation", None, None),
            ("Resolved", "state:resolved", None, None),
            ("Closed", "state:closed", None, None),
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
    list.facet(
        "Platform",
        &[
            ("Linux", "platform:linux", None, None),
            ("Windows", "platform:windows", None, None),
            ("macOS", "platform:macos", None, None),
            ("Other", "platform:other", None, None),
        ],
    );
}

fn row(who: &PageActor, item: &store::items::ItemRow, refused: Option<&Refusal>, now: Timestamp) -> ItemRow {
    let number = item.number().to_string();
    let actions = vec![
        Button::show("Rescan", format!("/items/{number}/rescan")).icon("radar").unless(refused.map(exposure::refused)),
        Button::go("Open", format!("/items/{number}")).icon("list-check"),
        Button::go("Its vulnerability", format!("/vulnerabilities/{}", item.qid)).icon("bug"),
        Button::go("All of this vulnerability", address("/items", &[("q", &format!("qid:{}", item.qid))]))
            .icon("search"),
    ];
    ItemRow {
        href: format!("/items/{number}"),
        title: item.title.clone(),
        qid: item.qid.to_string(),
        asset: item.asset.clone(),
        asset_href: format!("/assets/{}", item.asset_id),
        state: marks::workflow(item),
        progress: marks::progress(item.status),
        job: marks::last_job(who, item.last_job),
        change: marks::change(item),
        source: item.source.clone(),
        assignee: match item.owner.as_str() {
            "" => item.group_name.clone(),
            owner => owner.to_owned(),
        },
        seen: item.last_found_at.map(|at| exposure::near(at, now)),
        menu: Menu::dots(format!("item-{number}"), format!("Quick actions for {number}"), actions),
        number,
    }
}

/// The items that a form names: its rows, or all that match its query text.
pub async fn named(app: &App, actor: &PageActor, fields: &Fields, most: usize) -> Result<Vec<String>, Error> {
    if fields.one("all").is_empty() {
        let mut rows = fields.all("row");
        rows.truncate(most);
        return Ok(rows);
    }
    matching(app, actor, fields.one("q"), most).await
}

/// The items that match a query text, the highest score first.
pub async fn matching(app: &App, actor: &PageActor, q: &str, most: usize) -> Result<Vec<String>, Error> {
    let limit = i64::try_from(most).ok();
    let query = ListQuery { q: q.to_owned(), limit, ..ListQuery::default() };
    let wanted = query.of_list(&store::items::FIELDS, "-score", app.clock.now(), &actor.name)?;
    let asker = actor.actor.clone();
    let page = app.database.try_read(move |tx| {
        let clip = store::items::visible(&asker, Action::ItemsView);
        list::page::<store::items::ItemRow>(tx, &store::items::LIST, clip, &wanted).map_err(Error::from)
    });
    Ok(page.await?.rows.iter().map(|item| item.number().to_string()).collect())
}

async fn assign_to_me(State(app): State<App>, actor: PageActor, fields: Fields) -> Result<Response, Error> {
    let numbers = named(&app, &actor, &fields, CHANGED_MAX).await?;
    let (done, refused) = api::items::take(&app, &actor, numbers).await?;
    let rest = if refused.is_some() { "; others could not be" } else { "" };
    let back = address("/items", &[("q", fields.one("q"))]);
    Ok(flash::redirect(&back, Some(Flash::done(format!("{done} assigned to you{rest}.")))))
}
