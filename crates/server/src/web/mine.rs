//! `/mine`: what waits for whoever looks, each number with the list behind it.

use super::exceptions::item_line;
use super::frame::{Show, frame};
use super::home;
use crate::app::App;
use crate::engine::notices;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, PageActor};
use crate::pages::chips::count;
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::home::{MinePage, NextRow, Panel, Stat};
use crate::pages::lists::{Action as Button, address};
use crate::pages::{Field, Section, Tone};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Actor, Reach, Record, reach};
use domain::filter::{Context, Filter, Match, Operand, Operator, parse};
use domain::time::Timestamp;
use store::items::{self, ItemRow};
use store::list::{self, List, Query};
use store::overview::{self, Whose};
use store::{Transaction, efforts, remediation, scans};

/// Items shown, those with the highest scores.
const ITEMS_SHOWN: usize = 10;
/// Items whose mitigations are looked up.
const MITIGABLE_MAX: u32 = 200;
/// Groups with a line of their own.
const GROUPS_MAX: usize = 10;
/// Records that are counted one by one.
const COUNTED_MAX: i64 = 10_000;

/// What is one's own: the words, and the list behind the number.
const OWN: &[(&str, &str)] = &[
    ("Open", "assignee:me and is:open"),
    ("Overdue", "assignee:me and is:overdue"),
    ("Due within 7 days", "assignee:me and target:[in_flight, approaching] and due:<now+7d"),
    ("In review", "assignee:me and is:in_review"),
    ("Deferred", "assignee:me and is:deferred"),
    ("Resolved, not scanned yet", "assignee:me and is:resolved"),
];

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/mine", get(show)).route("/mine/notices", get(letters).post(choose))
}

/// Somebody whose work is what is assigned to him begins with that; everybody else with the whole.
pub(super) fn begins_here(actor: &Actor) -> bool {
    let moves = reach(actor, Action::ItemTransition);
    matches!(moves, Reach::Related(_)) && reach(actor, Action::JobCreate) == Reach::Nothing
}

struct Seen {
    own: Vec<i64>,
    groups: Vec<(String, String, i64)>,
    records: Vec<(&'static str, i64, String)>,
    items: Vec<ItemRow>,
    next: Vec<NextRow>,
}

fn filter(text: &str, list: &List) -> Result<Filter, Error> {
    parse(text, list.fields).map_err(Error::internal)
}

fn look(tx: &mut Transaction<'_>, who: &PageActor, now: Timestamp) -> Result<Seen, Error> {
    let context = Context { me: Some(who.name.clone()), ..Context::at(now) };
    let own: Vec<Filter> = OWN.iter().map(|(_, q)| filter(q, &items::LIST)).collect::<Result<_, _>>()?;
    let mut groups = Vec::new();
    for group in who.groups.iter().take(GROUPS_MAX) {
        let operand = Operand::Text(group.clone(), Match::Usual);
        let of_group = Filter::Compare { field: "group", operator: Operator::Equal, operand };
        groups.push(Filter::and(vec![of_group, filter("is:open and not has:assignee", &items::LIST)?]));
    }
    let all: Vec<Filter> = own.iter().chain(&groups).cloned().collect();
    let mut numbers = overview::tally(tx, &who.actor, Whose::Own, &all, &context)?;
    let of_groups = numbers.split_off(own.len());
    let named = who.groups.iter().take(GROUPS_MAX).zip(groups).zip(of_groups);

    let mut query = Query::new(filter("assignee:me and is:open", &items::LIST)?, context.clone());
    query.order = list::Order::parse("-score");
    query.limit = MITIGABLE_MAX;
    let clip = items::visible(&who.actor, Action::ItemsView);
    let worst = list::page::<ItemRow>(tx, &items::LIST, clip, &query)?.rows;
    Ok(Seen {
        own: numbers,
        groups: named.map(|((name, filter), number)| (name.clone(), filter.to_string(), number)).collect(),
        records: records(tx, who, &context)?,
        next: next(tx, who, &worst)?,
        items: worst.into_iter().take(ITEMS_SHOWN).collect(),
    })
}

/// Records of other kinds that are one's own.
fn records(
    tx: &mut Transaction<'_>,
    who: &PageActor,
    context: &Context,
) -> Result<Vec<(&'static str, i64, String)>, Error> {
    let mut found = Vec::new();
    let sees = |action| reach(&who.actor, action) != Reach::Nothing;
    let mut count = |list: &List, clip: list::Clip, q: &str| {
        let query = Query::new(filter(q, list)?, context.clone());
        Ok::<_, Error>(list::count(tx, list, clip, &query, COUNTED_MAX)?)
    };
    let mut put = |label, number, path: &str, q: &str| found.push((label, number, address(path, &[("q", q)])));
    if sees(Action::TasksView) {
        let q = "assignee:me and is:open";
        put("Remediation tasks", count(&remediation::LIST, remediation::clip(&who.actor), q)?, "/tasks", q);
        let q = "owner:me and is:open";
        put("Efforts that you lead", count(&efforts::LIST, efforts::clip(&who.actor), q)?, "/efforts", q);
    }
    let q = "by:me and is:open";
    let clip = items::exceptions::clip(&who.actor);
    put("Exceptions that wait for an answer", count(&items::exceptions::LIST, clip, q)?, "/exceptions", q);
    if sees(Action::ScansView) {
        put("Rescans that run", count(&scans::LIST, scans::clip(&who.actor), q)?, "/scans", q);
    }
    Ok(found)
}

/// What the catalogue can do about these items.
fn next(tx: &mut Transaction<'_>, who: &PageActor, worst: &[ItemRow]) -> Result<Vec<NextRow>, Error> {
    if worst.is_empty() || reach(&who.actor, Action::CatalogueView) == Reach::Nothing {
        return Ok(Vec::new());
    }
    let of: Vec<i64> = worst.iter().map(|item| item.vulnerability_id.0).collect();
    let on: Vec<i64> = worst.iter().map(|item| item.asset_id.0).collect();
    Ok(home::next(&overview::possible_on(tx, &who.actor, Some(&of), Some(&on))?))
}

async fn show(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    page(&app, &who).await
}

/// What waits for whoever looks.
///
/// # Errors
/// A missing permission, a failure of the store.
pub(super) async fn page(app: &App, who: &PageActor) -> Result<Response, Error> {
    who.may(Action::ItemsView, &Record { assignee: Some(who.user), ..Record::default() })?;
    let letters = Button::show("Letters", "/mine/notices").icon("mail");
    let shell = frame(app, who, Section::Mine, "My work").await?.action(letters);
    let (asker, now) = (who.clone(), app.clock.now());
    let seen = app.database.try_read(move |tx| look(tx, &asker, now)).await?;
    let own = |q: &str| address("/items", &[("q", q)]);
    let lines = OWN.iter().zip(&seen.own);
    let stats = lines.clone().take(4).map(|((label, q), number)| Stat {
        label: (*label).to_owned(),
        value: count(*number),
        note: String::new(),
        tone: if *label == "Overdue" && *number > 0 { Tone::Fail } else { Tone::Idle },
        spark: None,
        href: own(q),
    });
    let mut panels = vec![Panel {
        id: "own",
        title: "Assigned to me",
        rows: lines.skip(4).map(|((label, q), number)| ((*label).to_owned(), *number, own(q))).collect(),
    }];
    let records = seen.records.into_iter().map(|(label, number, href)| (label.to_owned(), number, href));
    panels.iter_mut().for_each(|panel| panel.rows.extend(records.clone()));
    if !seen.groups.is_empty() {
        panels.push(Panel {
            id: "groups",
            title: "For my groups, taken by nobody",
            rows: seen.groups.into_iter().map(|(name, q, number)| (name, number, own(&q))).collect(),
        });
    }
    let page = MinePage {
        shell,
        stats: stats.collect(),
        panels,
        items: seen.items.iter().map(item_line).collect(),
        all: own("assignee:me and is:open"),
        next: seen.next,
    };
    Ok(Show(page).into_response())
}

/// Which letters one gets.
async fn letters(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    let (everybody, own) = notices::shown(&app, &who).await?;
    let off = |on: bool| if on { "" } else { "Turned off for everybody on this server" };
    let page = DialogPage {
        shell: frame(&app, &who, Section::Mine, "Letters to you").await?.under("My work", "/mine"),
        to: "/mine/notices".to_owned(),
        text: "They go to the address of your account.".to_owned(),
        fields: vec![
            Field::tick("assigned", "When items are assigned to you or your groups", own.assigned)
                .help(off(everybody.assigned)),
            Field::tick("overdue", "Once a day when items of yours became overdue", own.overdue)
                .help(off(everybody.overdue)),
        ],
        faults: Faults(Vec::new()),
        verb: "Save",
        back: "/mine".to_owned(),
    };
    Ok(Show(page).into_response())
}

async fn choose(State(app): State<App>, who: PageActor, fields: Fields) -> Result<Response, Error> {
    let on = |name: &str| Some(fields.one(name) == "on");
    notices::want(&app, &who, on("assigned"), on("overdue")).await?;
    Ok(flash::redirect("/mine", Some(Flash::done("Your letters are set."))))
}
