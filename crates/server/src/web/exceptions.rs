//! `/exceptions`: requests to put items off or to call them false positives, one of them with its items, and the dialogs that ask.

use super::frame::{Head, Show, again, faults, frame, listed, pager, sentence};
use super::rescan::{NAMED_MAX, too_many};
use super::vulnerabilities::TOTAL_MAX;
use super::{exposure, marks};
use crate::api;
use crate::app::App;
use crate::engine::exceptions;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, ListQuery, PageActor};
use crate::pages::exceptions::{COLUMNS, ExceptionPage, ExceptionRow as Line, ExceptionsPage, ItemRow as ItemLine};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::{Action as Button, address};
use crate::pages::{Chip, Choice, Empty, Fact, Fault, Field, Section, Tone, Value};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::exception::{self, Kind, State as At};
use domain::item::Substate;
use domain::number::{Number, Series};
use domain::time::Timestamp;
use protocol::api::exceptions::NewException;
use serde::Deserialize;
use store::items::ItemRow;
use store::items::exceptions::{self as requests, ExceptionRow};
use store::list;

/// Items on the page of a request.
const ITEMS_SHOWN: i64 = 100;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/exceptions", get(index))
        .route("/exceptions/new", get(new_form).post(ask_several))
        .route("/exceptions/{number}", get(show))
        .route("/items/exception", post(of_rows))
        .route("/items/{number}/exception", get(item_form).post(ask_item))
}

/// How a request stands.
pub(super) fn state(state: At) -> Chip {
    match state {
        At::Requested => Chip::new(Tone::Warn, "Requested"),
        At::Approved => Chip::new(Tone::Ok, "Approved"),
        At::Rejected => Chip::new(Tone::Fail, "Rejected"),
        At::Withdrawn => Chip::new(Tone::Idle, "Withdrawn"),
        At::Lapsed => Chip::new(Tone::Idle, "Lapsed").titled("Nobody answered in time; its items are open"),
        At::Obsolete => Chip::new(Tone::Idle, "Obsolete").titled("Its items closed before somebody decided"),
        At::Revoked => Chip::new(Tone::Fail, "Revoked"),
    }
}

async fn index(State(app): State<App>, who: PageActor, query: ListQuery) -> Result<Response, Error> {
    who.may(Action::ItemsView, &who.own())?;
    let text = "Ask for one with the button of a vulnerable item, or of several in their list.";
    let empty = Empty::yet("clock-off", "No exceptions yet", text).with(Button::go("Open items", "/items?q=is%3Aopen"));
    let head = Head { path: "/exceptions", noun: "exceptions", columns: &COLUMNS, sort: "-number", empty };
    let (mut list, wanted) = listed(&app, &who, &query, &requests::LIST, head)?;
    let mut rows = Vec::new();
    if let Some(wanted) = wanted {
        let asker = who.clone();
        let read = app.database.try_read(move |tx| {
            let clip = || requests::clip(&asker.actor);
            let page = list::page::<ExceptionRow>(tx, &requests::LIST, clip(), &wanted)?;
            let total = list::count(tx, &requests::LIST, clip(), &wanted, TOTAL_MAX)?;
            Ok::<_, Error>((page, total))
        });
        let (page, total) = read.await?;
        (list.total, list.capped) = (Some(total), total >= TOTAL_MAX);
        list.shown = page.rows.len();
        list.pager = pager(&query, "/exceptions", page.next_cursor.as_deref());
        let now = app.clock.now();
        rows = page.rows.iter().map(|row| line(row, now)).collect();
    }
    for (label, q) in [("All", ""), ("To decide", "is:open"), ("Mine", "by:me"), ("In force", "state:approved")] {
        list.tab(label, q, None);
    }
    let shell = frame(&app, &who, Section::Exceptions, "Exceptions").await?;
    Ok(Show(ExceptionsPage { shell, list, rows }).into_response())
}

fn line(row: &ExceptionRow, now: Timestamp) -> Line {
    Line {
        number: row.number().to_string(),
        href: format!("/exceptions/{}", row.number()),
        state: state(row.state),
        what: row.what.title().to_owned(),
        note: row.note.clone(),
        items: row.items,
        by: row.requester.clone(),
        at: exposure::near(row.requested_at, now),
        until: row.until_at.map(exposure::exact),
    }
}

pub(super) async fn look(
    app: &App,
    who: &PageActor,
    number: &str,
) -> Result<(ExceptionRow, Record, Vec<ItemRow>), Error> {
    let (asker, number) = (who.clone(), number.to_owned());
    app.database
        .try_read(move |tx| {
            let row = exceptions::known(tx, &asker, Action::ItemsView, &number)?;
            let access = exceptions::access(tx, &asker, &row)?;
            let items = requests::items_of(tx, &asker.actor, &row, ITEMS_SHOWN)?;
            Ok::<_, Error>((row, access, items))
        })
        .await
}

async fn show(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    let (row, access, rows) = look(&app, &who, &number).await?;
    let shell = frame(&app, &who, Section::Exceptions, number.clone()).await?.under("Exceptions", "/exceptions");
    let page = ExceptionPage {
        shell,
        title: title(&row),
        marks: vec![state(row.state)],
        actions: actions(&who, &row, &access),
        note: row.note.clone(),
        answer: row.answer.clone(),
        facts: facts(&row),
        items: rows.iter().map(item_line).collect(),
        all: address("/items", &[("q", &format!("exception:{number}"))]),
        number,
    };
    Ok(Show(page).into_response())
}

pub(super) fn title(row: &ExceptionRow) -> String {
    let items = if row.items == 1 { "1 item".to_owned() } else { format!("{} items", row.items) };
    match row.kind {
        Kind::Deferral => format!("Deferral of {items}: {}", row.what.title().to_lowercase()),
        Kind::FalsePositive => format!("False positive of {items}"),
    }
}

fn actions(who: &PageActor, row: &ExceptionRow, access: &Record) -> Vec<Button> {
    let here = |verb: &str| format!("/exceptions/{}/{verb}", row.number());
    let decide = exceptions::may_decide(who, access, row).err().map(|refusal| exposure::refused(&refusal));
    let mut actions = vec![
        Button::show("Approve", here("approve")).icon("check").primary().unless(decide.clone()),
        Button::show("Reject", here("reject")).icon("ban").unless(decide),
    ];
    if row.state == At::Requested && row.requested_by == who.user {
        let denied = exposure::reason(&who.decide(Action::ExceptionRequest, &who.own()));
        actions.push(Button::post("Withdraw", here("withdraw")).icon("arrow-back-up").unless(denied));
    }
    if exception::may_revoke(row.kind, row.state).is_ok() {
        let denied = exposure::reason(&who.decide(Action::ExceptionDecide, access));
        actions.push(Button::show("Revoke", here("revoke")).icon("arrow-back-up").danger().unless(denied));
    }
    actions
}

fn facts(row: &ExceptionRow) -> Vec<Fact> {
    let mut facts = vec![
        Fact::new("Kind", Value::text(row.kind.title())),
        Fact::new("Reason", Value::text(row.what.title())),
        Fact::new("Items", Value::text(row.items.to_string())),
        Fact::new("Asked by", Value::text(&row.requester)),
        Fact::new("Asked", Value::When(exposure::exact(row.requested_at))),
    ];
    if row.overtaken > 0 {
        facts.push(Fact::new("Went another way", Value::text(row.overtaken.to_string())));
    }
    match (row.until_at, row.kind, row.state) {
        (Some(until), ..) => facts.push(Fact::new("Until", Value::When(exposure::exact(until)))),
        (None, Kind::FalsePositive, At::Approved) => facts.push(Fact::new("Until", Value::text("for ever"))),
        (None, ..) => {}
    }
    if row.state == At::Requested {
        facts.push(Fact::new("Lapses", Value::When(exposure::exact(row.answer_by_at))));
    }
    if !row.decider.is_empty() {
        facts.push(Fact::new("Ended by", Value::text(&row.decider)));
    }
    facts.extend(row.decided_at.map(|at| Fact::new("Ended", Value::When(exposure::exact(at)))));
    facts
}

pub(super) fn item_line(item: &ItemRow) -> ItemLine {
    ItemLine {
        number: item.number().to_string(),
        href: format!("/items/{}", item.number()),
        title: item.title.clone(),
        asset: item.asset.clone(),
        state: marks::workflow(item),
        change: marks::change(item),
    }
}

/// Which items, as an address says it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Chosen {
    /// The digits of their numbers, separated by commas.
    #[serde(default)]
    pub(super) items: String,
    /// Or a query text.
    #[serde(default)]
    pub(super) q: String,
}

/// The way to a dialog about the picked rows of the list, or about all that match; more rows than fit into its address are refused.
pub(super) fn picked(fields: &Fields, dialog: &str) -> Response {
    if !fields.one("all").is_empty() {
        let q = if fields.one("q").is_empty() { "is:open" } else { fields.one("q") };
        return flash::redirect(&address(dialog, &[("q", q)]), None);
    }
    let digits: Vec<String> = fields
        .all("row")
        .iter()
        .filter_map(|row| row.parse::<Number>().ok())
        .filter(|number| number.series == Series::Item)
        .map(|number| number.ordinal.to_string())
        .collect();
    if digits.is_empty() || digits.len() > NAMED_MAX {
        let text = if digits.is_empty() { "No item was chosen.".to_owned() } else { too_many(digits.len()) };
        let back = address("/items", &[("q", fields.one("q"))]);
        return flash::redirect(&back, Some(Flash { failed: true, ..Flash::done(text) }));
    }
    flash::redirect(&address(dialog, &[("items", &digits.join(","))]), None)
}

async fn of_rows(_who: PageActor, fields: Fields) -> Result<Response, Error> {
    Ok(picked(&fields, "/exceptions/new"))
}

/// What a form holds.
#[derive(Clone, Debug, Default)]
struct Typed {
    reason: String,
    until: String,
    note: String,
}

impl Typed {
    fn of(fields: &Fields) -> Typed {
        let text = |name: &str| fields.one(name).to_owned();
        Typed { reason: text("reason"), until: text("until"), note: text("note") }
    }

    /// As the API takes it.
    fn wanted(&self) -> Result<NewException, Vec<Fault>> {
        let false_positive = self.reason == Substate::FalsePositive.as_str();
        let kind = if false_positive { Kind::FalsePositive } else { Kind::Deferral };
        let reason = if false_positive { String::new() } else { self.reason.clone() };
        let until = last_day(&self.until)?;
        Ok(NewException {
            kind: kind.as_str().to_owned(),
            reason,
            note: self.note.clone(),
            until,
            ..NewException::default()
        })
    }
}

/// The end of a day that somebody chose, in UTC; none for an empty field.
pub(super) fn last_day(typed: &str) -> Result<Option<Timestamp>, Vec<Fault>> {
    if typed.is_empty() {
        return Ok(None);
    }
    let unread = || vec![Fault::new("until", "Choose a date.")];
    let day: jiff::civil::Date = typed.parse().map_err(|_| unread())?;
    let end = day.tomorrow().and_then(|next| next.to_zoned(jiff::tz::TimeZone::UTC)).map_err(|_| unread())?;
    Ok(Some(Timestamp::from_micros(end.timestamp().as_microsecond())))
}

/// A dialog that asks: where it is sent, what it is about, where cancelling leads.
struct Place {
    to: String,
    text: String,
    back: String,
}

async fn dialog(
    app: &App,
    who: &PageActor,
    place: Place,
    typed: Typed,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let reasons = Substate::DEFERRALS.into_iter().chain([Substate::FalsePositive]);
    let label = |what: Substate| match what {
        Substate::FalsePositive => "False positive: the scanner is wrong".to_owned(),
        what => what.title().to_owned(),
    };
    let choices = reasons.map(|what| Choice::new(what.as_str(), label(what))).collect();
    let shell = frame(app, who, Section::Items, "Request an exception").await?.under("Vulnerable items", "/items");
    Ok(DialogPage {
        shell,
        to: place.to,
        text: place.text,
        fields: vec![
            Field::select("reason", "Reason", typed.reason, choices).faulted(&wrong),
            Field::typed("date", "until", "Deferred until the end of", typed.until)
                .help("In UTC. Empty for a false positive: whoever decides says how long it holds.")
                .faulted(&wrong),
            Field::text("note", "Why", typed.note, 4).required().help("Whoever decides reads it.").faulted(&wrong),
        ],
        faults: Faults(wrong),
        verb: "Request",
        back: place.back,
    })
}

/// Ask, and say what came of it; what is wrong is shown in the dialog again.
async fn ask(
    app: &App,
    who: &PageActor,
    place: Place,
    typed: Typed,
    of: impl FnOnce(NewException) -> NewException,
) -> Result<Response, Error> {
    let wanted = match typed.wanted() {
        Ok(wanted) => of(wanted),
        Err(wrong) => return Ok(again(dialog(app, who, place, typed, wrong).await?)),
    };
    match api::exceptions::ask(app, who, wanted).await {
        Ok(asked) => {
            let number = asked.row.number();
            let left = match asked.left_out.as_slice() {
                [] => String::new(),
                [one] => format!(" {} is left out: {}", one.item, sentence(&one.reason)),
                several => format!(" {} are left out.", several.len()),
            };
            let said = Flash::done(format!("{number} waits for a decision.{left}"));
            Ok(flash::redirect(&place.back, Some(said.link("View it", format!("/exceptions/{number}")))))
        }
        Err(Error::Refused(refusal)) => {
            let wrong = vec![Fault::new("", exposure::refused(&refusal))];
            Ok(again(dialog(app, who, place, typed, wrong).await?))
        }
        Err(error) => {
            // A reason that is no choice of the form stands for its kind.
            let wrong = faults(error, |field| if field == "kind" { "reason" } else { field })?;
            Ok(again(dialog(app, who, place, typed, wrong).await?))
        }
    }
}

async fn item_place(app: &App, who: &PageActor, number: &str) -> Result<Place, Error> {
    let (asker, wanted) = (who.clone(), number.to_owned());
    let read = app.database.try_read(move |tx| api::items::known(tx, &asker, Action::ExceptionRequest, &wanted));
    let item = read.await?;
    Ok(Place {
        to: format!("/items/{number}/exception"),
        text: format!("{number}: {} on {}", item.title, item.asset),
        back: format!("/items/{number}"),
    })
}

async fn item_form(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    let place = item_place(&app, &who, &number).await?;
    Ok(Show(dialog(&app, &who, place, Typed::default(), Vec::new()).await?).into_response())
}

async fn ask_item(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    fields: Fields,
) -> Result<Response, Error> {
    let place = item_place(&app, &who, &number).await?;
    ask(&app, &who, place, Typed::of(&fields), |new| NewException { items: vec![number], ..new }).await
}

/// The numbers that an address names.
pub(super) fn named(chosen: &Chosen) -> Vec<String> {
    let digits = chosen.items.split(',').filter_map(|digits| digits.trim().parse::<i64>().ok());
    digits.map(|ordinal| Number { series: Series::Item, ordinal }.to_string()).collect()
}

async fn several_place(app: &App, who: &PageActor, chosen: &Chosen) -> Result<Place, Error> {
    who.may(Action::ExceptionRequest, &who.own())?;
    let count = match chosen.q.as_str() {
        "" => named(chosen).len(),
        q => api::items::matching(app, who, q, exception::ITEMS_MAX).await?.len(),
    };
    let items = if count == 1 { "1 item".to_owned() } else { format!("{count} items") };
    Ok(Place {
        to: address("/exceptions/new", &[("items", &chosen.items), ("q", &chosen.q)]),
        text: format!("For {items}. Those that no exception can be asked for are left out."),
        back: address("/items", &[("q", &chosen.q)]),
    })
}

async fn new_form(State(app): State<App>, who: PageActor, Query(chosen): Query<Chosen>) -> Result<Response, Error> {
    let place = several_place(&app, &who, &chosen).await?;
    Ok(Show(dialog(&app, &who, place, Typed::default(), Vec::new()).await?).into_response())
}

async fn ask_several(
    State(app): State<App>,
    who: PageActor,
    Query(chosen): Query<Chosen>,
    fields: Fields,
) -> Result<Response, Error> {
    let place = several_place(&app, &who, &chosen).await?;
    let of = |new| match chosen.q.as_str() {
        "" => NewException { items: named(&chosen), ..new },
        q => NewException { q: Some(q.to_owned()), ..new },
    };
    ask(&app, &who, place, Typed::of(&fields), of).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_with_its_last_moment_in_utc() {
        let end = last_day("2026-12-31").unwrap().unwrap();
        assert_eq!(end.to_string(), "2027-01-01T00:00:00Z");
        assert_eq!(last_day("").unwrap(), None);
        for typed in ["31.12.2026", "x", "9999-12-31"] {
            assert_eq!(last_day(typed).unwrap_err(), vec![Fault::new("until", "Choose a date.")], "{typed}");
        }
    }
}
