//! `/items`: the list of vulnerable items, and what is done with several of them.

use super::choice::{self, Choice};
use super::frame::{Head, Show, frame, listed, pager};
use super::vulnerabilities::TOTAL_MAX;
use super::{eliminations, exposure, marks};
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
use domain::access::Action;
use domain::filter::Filter;
use domain::item::State as ItemState;
use domain::refusal::Refusal;
use domain::time::Timestamp;
use std::collections::{BTreeSet, HashMap};
use store::list;

/// Items whose eliminations one press asks for at most; what is left out is said.
const CHANGED_MAX: usize = 500;
/// Items that one press takes over at most; more are refused, with their number.
const TAKEN_MAX: usize = 10_000;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/items", get(index))
        .route("/items/assign-to-me", post(assign_to_me))
        .route("/items/eliminations", post(view_eliminations))
}

async fn index(State(app): State<App>, actor: PageActor, query: ListQuery) -> Result<Response, Error> {
    actor.may(Action::ItemsView, &actor.own())?;
    let of = &store::items::LIST;
    let empty =
        Empty::yet("list-check", "No vulnerable items", "An import makes one for each weakness found on an asset.")
            .with(Button::go("Import", "/imports").icon("database-import"));
    let head = Head { path: "/items", noun: "vulnerable items", columns: &COLUMNS, sort: "-score", empty };
    let (mut list, wanted) = listed(&app, &actor, &query, of, head)?;
    views(&mut list);
    let mut rows = Vec::new();
    let mut unable = None;
    if let Some(wanted) = wanted {
        let asker = actor.clone();
        let (page, total, refused, why) = app
            .database
            .try_read(move |tx| {
                let clip = || store::items::visible(&asker.actor, Action::ItemsView);
                let page = list::page::<store::items::ItemRow>(tx, &store::items::LIST, clip(), &wanted)?;
                let total = list::count(tx, &store::items::LIST, clip(), &wanted, TOTAL_MAX)?;
                let numbers: Vec<i64> = page.rows.iter().map(|item| item.number).collect();
                let refused = rescan::unavailable(tx, &asker, &numbers)?;
                let whole = wanted.cursor.is_none() && page.next_cursor.is_none();
                let why = rescan::nowhere(tx)?.or_else(|| none_of(&numbers, &refused).filter(|_| whole));
                Ok::<_, Error>((page, total, refused, why))
            })
            .await?;
        unable = why.as_ref().map(exposure::refused);
        list.shown = page.rows.len();
        list.total = Some(total);
        list.capped = total >= TOTAL_MAX;
        list.pager = pager(&query, "/items", page.next_cursor.as_deref());
        let now = app.clock.now();
        rows = page.rows.iter().map(|item| row(&actor, item, refused.get(&item.number), now)).collect();
    }
    let changes = exposure::reason(&actor.decide(Action::ItemAssign, &actor.own()));
    let moves = exposure::reason(&actor.decide(Action::ItemTransition, &actor.own()));
    let excepts = exposure::reason(&actor.decide(Action::ExceptionRequest, &actor.own()));
    let makes = exposure::reason(&actor.decide(Action::TaskEdit, &actor.own()));
    list.columns.pick = true;
    let asks = exposure::reason(&actor.decide(Action::Rescan, &actor.own()));
    list.bulk = vec![
        Button::post("Rescan", "/items/rescan").icon("radar").unless(asks.or(unable)),
        Button::post("View Risk Elimination", "/items/eliminations")
            .icon("shield-half")
            .unless(eliminations::cannot_view(&actor)),
        Button::post("Change state", "/items/state").icon("pencil").unless(moves),
        Button::post("Request exception", "/items/exception").icon("clock-off").unless(excepts),
        Button::post("Assign to me", "/items/assign-to-me").icon("user").unless(changes.clone()),
        Button::post("Assign", "/items/assign").icon("user-plus").unless(changes),
        Button::post("Make a task", "/items/task").icon("checklist").unless(makes.clone()),
        Button::post("Add to a task", "/items/to-task").icon("plus").unless(makes.clone()),
        Button::post("New effort", "/items/effort").icon("target").unless(makes),
    ];
    let shell = frame(&app, &actor, Section::Items, "Vulnerable items").await?.action(super::due::way(&actor));
    Ok(Show(ItemsPage { shell, list, rows }).into_response())
}

fn views(list: &mut List) {
    for (label, q) in [
        ("All", ""),
        ("Open", "is:open"),
        ("Critical and high", "is:open and score:>=70"),
        ("Assigned to me", "is:open and assignee:me"),
        ("Overdue", "is:overdue"),
        ("Due this week", "target:[in_flight, approaching] and due:<now+7d"),
        ("Mitigated", "is:open and is:mitigated"),
        ("Drifted", "is:drifted"),
        ("In review", "is:in_review"),
        ("Deferred", "is:deferred"),
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
            ("In review", "state:in_review", None, None),
            ("Deferred", "state:deferred", None, None),
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
        "Target",
        &[
            ("In-flight", "target:in_flight", None, None),
            ("Approaching", "target:approaching", None, None),
            ("Missed", "target:missed", None, None),
            ("Met", "target:met", None, None),
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

/// Why none of these items can be rescanned; `None` where one can, or where there is none. Holds for what is in a list only
/// when they are all of it.
fn none_of(numbers: &[i64], refused: &HashMap<i64, Refusal>) -> Option<Refusal> {
    let reasons: Option<Vec<&Refusal>> = numbers.iter().map(|number| refused.get(number)).collect();
    match reasons?.as_slice() {
        [] => None,
        [one, rest @ ..] if rest.iter().all(|other| other.code == one.code) => Some((*one).clone()),
        _ => Some(Refusal::new("none_of_them", "none of these items can be rescanned; each says why in its menu")),
    }
}

fn row(who: &PageActor, item: &store::items::ItemRow, refused: Option<&Refusal>, now: Timestamp) -> ItemRow {
    let number = item.number().to_string();
    let over = (item.state == ItemState::Closed).then(|| "A closed item has nothing left to mitigate.".to_owned());
    let actions = vec![
        Button::show("Rescan", format!("/items/{number}/rescan")).icon("radar").unless(refused.map(exposure::refused)),
        Button::go("View Risk Elimination", Choice::of(&[item.qid]).on(&[item.asset_id.0]).eliminations())
            .icon("shield-half")
            .unless(over.or_else(|| eliminations::cannot_view(who))),
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
        target: item.due_at.map(|due| marks::target(item.target(now), Some(due))),
        due: item.due_at.map(|due| exposure::near(due, now)),
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

/// The picked items, or all open ones that match the query text, as QIDs and assets in the address of the eliminations
/// (S1.01, S1.05).
async fn view_eliminations(State(app): State<App>, actor: PageActor, fields: Fields) -> Result<Response, Error> {
    actor.may(Action::ItemsView, &actor.own())?;
    let (open, counted, which) = if fields.one("all").is_empty() {
        let (open, counted) = picked(&app, &actor, fields.all("row")).await?;
        (open, counted, "the first open ones of the list")
    } else {
        let (open, counted) = open_matching(&app, &actor, fields.one("q")).await?;
        (open, counted, "those with the highest scores")
    };
    let (qids, assets, taken) = fitting(open.iter().map(|item| (item.qid, item.asset_id.0)));
    if taken == 0 {
        // Without a QID or an asset the next page would show the eliminations of everything.
        let said =
            Flash { failed: true, ..Flash::done("None of the chosen items is open, so nothing is to be eliminated.") };
        return Ok(flash::redirect(&address("/items", &[("q", fields.one("q"))]), Some(said)));
    }
    let said = choice::cut("items", which, taken, counted, TOTAL_MAX);
    Ok(flash::redirect(&Choice::of(&qids).on(&assets).eliminations(), said))
}

/// Those of these items that are open, and how many were picked.
async fn picked(app: &App, actor: &PageActor, rows: Vec<String>) -> Result<(Vec<store::items::ItemRow>, i64), Error> {
    let counted = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let asker = actor.clone();
    let read = app.database.try_read(move |tx| {
        let known =
            rows.iter().take(CHANGED_MAX).map(|number| api::items::known(tx, &asker, Action::ItemsView, number));
        known.collect::<Result<Vec<_>, Error>>()
    });
    let mut items = read.await?;
    items.retain(|item| item.state != ItemState::Closed);
    Ok((items, counted))
}

/// The open items that a query text gives, the highest scores first, and how many match.
async fn open_matching(app: &App, actor: &PageActor, q: &str) -> Result<(Vec<store::items::ItemRow>, i64), Error> {
    let query = ListQuery { q: q.to_owned(), limit: i64::try_from(CHANGED_MAX).ok(), ..ListQuery::default() };
    let mut wanted = query.of_list(&store::items::FIELDS, "-score", app.clock.now(), &actor.name)?;
    let open = domain::filter::parse("is:open", &store::items::FIELDS).map_err(Error::internal)?;
    wanted.filter = Filter::and(vec![wanted.filter, open]);
    let asker = actor.actor.clone();
    let read = app.database.try_read(move |tx| {
        let clip = || store::items::visible(&asker, Action::ItemsView);
        let counted = list::count(tx, &store::items::LIST, clip(), &wanted, TOTAL_MAX)?;
        let page = list::page::<store::items::ItemRow>(tx, &store::items::LIST, clip(), &wanted)?;
        Ok::<_, Error>((page.rows, counted))
    });
    read.await
}

/// The QIDs and the assets of items, as far as they fit into an address, and of how many items they are.
fn fitting(items: impl Iterator<Item = (i64, i64)>) -> (Vec<i64>, Vec<i64>, usize) {
    let (mut qids, mut assets, mut taken) = (BTreeSet::new(), BTreeSet::new(), 0);
    let fits = |keys: &BTreeSet<i64>, key: &i64| keys.len() < choice::TAKEN_MAX || keys.contains(key);
    for (qid, asset) in items {
        if fits(&qids, &qid) && fits(&assets, &asset) {
            qids.insert(qid);
            assets.insert(asset);
            taken += 1;
        }
    }
    (qids.into_iter().collect(), assets.into_iter().collect(), taken)
}

/// Everything that is picked, or that matches the query text, or nothing where that is more than one press may change.
async fn assign_to_me(State(app): State<App>, actor: PageActor, fields: Fields) -> Result<Response, Error> {
    let back = address("/items", &[("q", fields.one("q"))]);
    let numbers = match fields.one("all") {
        "" => Ok(fields.all("row")),
        _ => api::items::matching(&app, &actor, fields.one("q"), TAKEN_MAX).await,
    };
    let numbers = match numbers {
        Ok(numbers) => numbers,
        Err(Error::Refused(refusal)) => {
            let said = Flash { failed: true, ..Flash::done(exposure::refused(&refusal)) };
            return Ok(flash::redirect(&back, Some(said)));
        }
        Err(error) => return Err(error),
    };
    let taken = api::items::take(&app, &actor, numbers).await?;
    let rest = if taken.refused > 0 { format!("; {} could not be", taken.refused) } else { String::new() };
    let said = Flash::done(format!("{} assigned to you{rest}.", taken.done));
    Ok(flash::redirect(&back, Some(Flash { failed: taken.refused > 0, ..said })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_taken_as_long_as_their_qids_and_assets_fit() {
        let max = i64::try_from(choice::TAKEN_MAX).unwrap();
        let one_asset: Vec<(i64, i64)> = (0..max + 7).map(|qid| (qid, 1)).collect();
        let (qids, assets, taken) = fitting(one_asset.iter().copied());
        assert_eq!((qids.len(), assets, taken), (choice::TAKEN_MAX, vec![1], choice::TAKEN_MAX));
        // What needs no further QID or asset fits still.
        let again = one_asset.iter().copied().chain([(3, 1), (max + 1, 1), (3, 2)]);
        let (_, assets, taken) = fitting(again);
        assert_eq!((assets, taken), (vec![1, 2], choice::TAKEN_MAX + 2));
        assert_eq!(fitting(std::iter::empty()), (vec![], vec![], 0));
    }

    #[test]
    fn a_list_is_refused_only_where_each_of_its_items_is() {
        let refusal = |code: &'static str| Refusal::new(code, format!("because of {code}"));
        let refused: HashMap<i64, Refusal> =
            [(1, refusal("record_closed")), (2, refusal("record_closed")), (3, refusal("nothing_to_scan"))].into();
        for (numbers, code) in
            [(&[][..], None), (&[1, 2], Some("record_closed")), (&[1, 2, 3], Some("none_of_them")), (&[1, 2, 4], None)]
        {
            assert_eq!(none_of(numbers, &refused).map(|refusal| refusal.code), code, "{numbers:?}");
        }
    }
}
