//! Exceptions: asked for, answered once, and what of them ends by itself: requests without an answer, and deferrals.
//!
//! `domain::exception` and `domain::item` decide; a request and its items change in one transaction, with the mail that tells of
//! it. The loop takes no input but the database and may run on two replicas at once.

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::access::{Action, Record, may};
use domain::exception::{self, ITEMS_MAX, State, Wanted};
use domain::id::ItemId;
use domain::item::{self, Workflow};
use domain::mail::{About, Facts, Kind as MailKind, RECIPIENTS_MAX};
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use domain::time::Timestamp;
use std::collections::HashMap;
use std::time::Duration;
use store::items::ItemRow;
use store::items::exceptions::{self as requests, Ending, ExceptionRow};
use store::mails::{self, Notice};
use store::{Transaction, accounts, assets};

/// Pause between two looks without a wake-up.
const PAUSE: Duration = Duration::from_secs(15);
const ACTOR: &str = "engine/exceptions";

/// Run until the server stops.
pub async fn run(app: App) {
    let mut woken = app.wake.listen("exceptions", 0);
    while !app.stopping.is_cancelled() {
        if let Err(error) = look(&app).await {
            tracing::error!("exceptions that end by themselves were not looked after, the next look will: {error:?}");
        }
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = woken.changed_within(PAUSE) => {}
        }
    }
}

/// Let requests lapse that nobody answered in time, and end what was granted to items and is over; reads first and writes only where there
/// is something to do.
///
/// # Errors
/// A failure of the store.
pub async fn look(app: &App) -> Result<(), Error> {
    let (now, mails) = (app.clock.now(), app.mailer.is_some());
    while app.database.try_read(move |tx| Ok::<_, Error>(!requests::unanswered(tx, now)?.is_empty())).await? {
        app.database.try_write(move |tx| lapse(tx, mails, now)).await?;
        app.wake.notify("item", 0);
        app.wake.notify("mail", 0);
    }
    while app.database.read(move |tx| requests::any_ended(tx, now)).await? {
        app.database.write(move |tx| requests::end_granted(tx, ACTOR, now)).await?;
        app.wake.notify("item", 0);
    }
    Ok(())
}

fn lapse(tx: &mut Transaction<'_>, mails: bool, now: Timestamp) -> Result<(), Error> {
    for row in requests::unanswered(tx, now)? {
        let answer = "nobody answered in time";
        let ending = Ending { to: State::Lapsed, until: row.until_at, answer, by: None, author: ACTOR };
        requests::settle(tx, &row, &ending, now)?;
        if mails {
            tell_requester(tx, &row, &ending, now)?;
        }
    }
    Ok(())
}

/// A number, and the item of it where the caller may do with it what was asked.
pub type Judged = (String, Result<ItemRow, Error>);

/// An item that a request leaves out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The item's number.
    pub item: String,
    /// Stable code.
    pub code: String,
    /// The sentence.
    pub reason: String,
}

/// A request that was made.
#[derive(Clone, Debug)]
pub struct Asked {
    /// It.
    pub row: ExceptionRow,
    /// What it leaves out.
    pub left_out: Vec<LeftOut>,
}

/// What can be asked of one item: its workflow while it is decided.
///
/// # Errors
/// As [`item::ask`], and `exception_open` where a longer deferral is being decided.
pub fn askable(wanted: exception::Kind, row: &ItemRow, open: &HashMap<ItemId, i64>) -> Result<Workflow, Refusal> {
    if let Some(ordinal) = open.get(&row.id) {
        let number = Number { series: Series::Exception, ordinal: *ordinal };
        return Err(Refusal::new("exception_open", format!("{number} is being decided for it already")));
    }
    item::ask(row.workflow(), wanted)
}

/// Ask for an exception of items that were read and judged one by one in this transaction. Those that it cannot be asked for are
/// left out, each with its reason.
///
/// # Errors
/// 422 for none or too many items; the first reason where all are left out.
pub fn ask(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    wanted: &Wanted,
    judged: Vec<Judged>,
    mails: bool,
    now: Timestamp,
) -> Result<Asked, Error> {
    if judged.is_empty() || judged.len() > ITEMS_MAX {
        return Err(Error::field("items", "count", format!("a request is about 1 to {ITEMS_MAX} items")));
    }
    let rows: Vec<ItemRow> = judged.iter().filter_map(|(_, row)| row.as_ref().ok().cloned()).collect();
    let open = requests::open_for(tx, &rows)?;
    let (mut items, mut left_out, mut first) = (Vec::new(), Vec::new(), None);
    for (number, row) in judged {
        let asked = row.and_then(|row| Ok((askable(wanted.kind, &row, &open)?, row)));
        match asked {
            Ok((after, row)) => items.push((row, after)),
            Err(error) => {
                let problem = error.to_problem();
                let reason = problem.detail.clone();
                left_out.push(LeftOut { item: number, code: problem.code.clone(), reason });
                first.get_or_insert(error);
            }
        }
    }
    if let (true, Some(error)) = (items.is_empty(), first) {
        return Err(error);
    }
    let number = requests::request(tx, &caller.actor, wanted, &items, now)?;
    let row = requests::one(tx, &caller.actor, number.ordinal)?;
    if mails {
        tell_deciders(tx, caller, &row, now)?;
    }
    Ok(Asked { row, left_out })
}

/// The request of this number, where the caller may do this about all of it; one out of sight looks absent.
///
/// # Errors
/// Not found, or a missing permission.
pub fn known(tx: &mut Transaction<'_>, caller: &Caller, action: Action, number: &str) -> Result<ExceptionRow, Error> {
    let missing = || Error::NotFound(format!("exception {number}"));
    let Ok(Number { series: Series::Exception, ordinal }) = number.parse::<Number>() else { return Err(missing()) };
    let row = requests::one(tx, &caller.actor, ordinal).map_err(|error| match error {
        store::Error::NotFound => missing(),
        error => error.into(),
    })?;
    caller.may(action, &access(tx, caller, &row)?)?;
    Ok(row)
}

/// What a permission has to know of a request: how much of its assets the caller's scope covers. Who may see one of its items, or
/// asked, is assigned to it.
///
/// # Errors
/// A failure of the store.
pub fn access(tx: &mut Transaction<'_>, caller: &Caller, row: &ExceptionRow) -> Result<Record, Error> {
    let on = requests::assets_of(tx, row.id)?;
    let tags = assets::tags(tx, &on)?;
    let seen = |asset| {
        let tags: &[String] = tags.get(asset).map(Vec::as_slice).unwrap_or_default();
        caller.scope.sees(tags.iter().map(String::as_str))
    };
    let record = Record { assignee: Some(caller.user), ..Record::default() };
    Ok(record.covered(caller.scope.cover(on.iter().map(seen))))
}

/// Whether the caller may decide this request, by his roles and scope and by who asked.
///
/// # Errors
/// Why not.
pub fn may_decide(caller: &Caller, access: &Record, row: &ExceptionRow) -> Result<(), Refusal> {
    may(&caller.actor, Action::ExceptionDecide, access).ok()?;
    exception::may_decide(row.state, row.requested_by, caller.user)
}

/// End a request by a person, and tell who asked.
///
/// # Errors
/// 412 where somebody else was faster.
pub fn end(
    tx: &mut Transaction<'_>,
    row: &ExceptionRow,
    ending: &Ending<'_>,
    mails: bool,
    now: Timestamp,
) -> Result<(), Error> {
    requests::settle(tx, row, ending, now)?;
    if mails && ending.by != Some(row.requested_by) {
        tell_requester(tx, row, ending, now)?;
    }
    Ok(())
}

fn lines(row: &ExceptionRow) -> Vec<(String, String)> {
    let mut lines = vec![
        ("Kind".to_owned(), row.kind.title().to_owned()),
        ("Reason".to_owned(), row.what.title().to_owned()),
        ("Items".to_owned(), row.items.to_string()),
        ("Asked for by".to_owned(), row.requester.clone()),
        ("Note".to_owned(), row.note.clone()),
    ];
    lines.extend(row.until_at.map(|until| ("Until".to_owned(), until.to_string())));
    lines
}

/// Everybody who may decide it and sees every asset, but never who asked.
fn tell_deciders(tx: &mut Transaction<'_>, caller: &Caller, row: &ExceptionRow, now: Timestamp) -> Result<(), Error> {
    let recipients: Vec<String> = accounts::addressed(tx)?
        .into_iter()
        .filter(|account| account.id != caller.user)
        .filter(|account| may(&account.actor(None), Action::ExceptionDecide, &Record::default()).allowed())
        .map(|account| account.email)
        .filter(|email| domain::mail::address(email).is_ok())
        .take(RECIPIENTS_MAX)
        .collect();
    let about = About {
        subject: format!("{} waits for a decision", row.number()),
        lead: format!("{} asks for an exception. Nothing changes before somebody decides.", row.requester),
        rows: lines(row),
        page: format!("/exceptions/{}", row.number()),
        why: "You may decide about exceptions on this server, and your account has this address.".to_owned(),
    };
    put(tx, &format!("exceptions/{}/asked", row.number()), about, &recipients, now)
}

fn tell_requester(
    tx: &mut Transaction<'_>,
    row: &ExceptionRow,
    ending: &Ending<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    let asker = accounts::by_id(tx, row.requested_by)?.filter(|account| account.active);
    let recipients: Vec<String> =
        asker.map(|account| account.email).filter(|email| domain::mail::address(email).is_ok()).into_iter().collect();
    let mut rows = lines(row);
    if !ending.answer.is_empty() {
        rows.push(("Answer".to_owned(), ending.answer.to_owned()));
    }
    let about = About {
        subject: format!("{} is {}", row.number(), ending.to.as_str()),
        lead: format!("The exception that you asked for is {}.", ending.to.as_str()),
        rows,
        page: format!("/exceptions/{}", row.number()),
        why: "You asked for it.".to_owned(),
    };
    put(tx, &format!("exceptions/{}/{}", row.number(), ending.to.as_str()), about, &recipients, now)
}

fn put(tx: &mut Transaction<'_>, key: &str, about: About, recipients: &[String], now: Timestamp) -> Result<(), Error> {
    if recipients.is_empty() {
        return Ok(());
    }
    let facts = Facts { at: Some(now), about, ..Facts::default() };
    mails::put(tx, &Notice { key, kind: MailKind::Exception, job: None, facts: &facts }, recipients, now)?;
    Ok(())
}
