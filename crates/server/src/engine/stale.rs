//! Rules that close items which nothing reports any more: gone through once a day, and when somebody asks.
//!
//! `domain::autoclose` decides. The loop takes no input but the database: who asks writes it down, and one replica at a time goes
//! through the rules. It may be killed at any instruction; what is left matches again at the next look.

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::conditional::changed_meanwhile;
use crate::http::error::Error;
use domain::access::{Action, Record};
use domain::autoclose::{self, Kind, RULES_MAX};
use domain::filter::TEXT_MAX;
use domain::id::ItemId;
use domain::refusal::Refusal;
use domain::time::Timestamp;
use protocol::problem::FieldError;
use std::time::Duration;
use store::items::stale::{self, Looked, NewRun, Rule, Wanted};
use store::{Transaction, lease, settings};
use uuid::Uuid;

/// Pause between two looks without a wake-up.
const PAUSE: Duration = Duration::from_secs(60);
const ACTOR: &str = "engine/stale";
const LEASE: (&str, i64) = ("stale", 120);

/// Run until the server stops.
pub async fn run(app: App) {
    let (mut woken, holder) = (app.wake.listen("stale", 0), Uuid::new_v4());
    while !app.stopping.is_cancelled() {
        if let Err(error) = look(&app, holder).await {
            tracing::error!("rules that close items were not gone through, the next look will: {error:?}");
        }
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = woken.changed_within(PAUSE) => {}
        }
    }
}

/// Whether a rule is gone through now, and by whom.
fn wanted(rule: &Rule, now: Timestamp) -> Option<String> {
    let due = rule.active && rule.ran_at.is_some_and(|ran_at| autoclose::due(ran_at, now));
    rule.asked_by.clone().or_else(|| due.then(|| ACTOR.to_owned()))
}

/// Go through the rules that are due or asked for; gives how many items they closed.
///
/// # Errors
/// A failure of the store.
pub async fn look(app: &App, holder: Uuid) -> Result<i64, Error> {
    let rules = app.database.read(stale::rules).await?;
    let mut closed = 0;
    let unseen = rules.iter().any(|rule| rule.ran_at.is_none());
    if unseen {
        let now = app.clock.now();
        app.database.write(move |tx| stale::first_seen(tx, now)).await?;
    }
    for rule in rules {
        let Some(author) = wanted(&rule, app.clock.now()) else { continue };
        let Some(count) = go_through(app, holder, &rule, &author).await? else { break };
        closed += count;
    }
    Ok(closed)
}

/// One rule on every instance; none where another replica goes through the rules.
async fn go_through(app: &App, holder: Uuid, rule: &Rule, author: &str) -> Result<Option<i64>, Error> {
    let mut closed = 0;
    let now = app.clock.now();
    for judged in judge_all(app, rule, rule.asked_all, now).await? {
        let (one, by) = (judged.clone(), author.to_owned());
        let of = rule.clone();
        let run = app.database.write(move |tx| {
            if !mine(tx, holder, now)? {
                return Ok(None);
            }
            let held = one.refused.as_ref().map(|refusal| (refusal.code, refusal.sentence.as_str()));
            let run = NewRun { instance: one.instance.id, author: &by, matched: one.matched, held };
            stale::begin(tx, &of, &run, now).map(Some)
        });
        let Some(run) = run.await? else { return Ok(None) };
        if let (Some(bound), None) = (judged.bound, &judged.refused) {
            closed += close(app, holder, rule, (run, &judged, author), bound).await?;
        }
    }
    let of = rule.clone();
    app.database.write(move |tx| stale::ran(tx, &of, now)).await?;
    if closed > 0 {
        tracing::warn!(rule.id, items = closed, "the rule \"{}\" closed {closed} items", rule.name);
        app.wake.notify("item", 0);
    }
    Ok(Some(closed))
}

fn mine(tx: &mut Transaction<'_>, holder: Uuid, now: Timestamp) -> store::Result<bool> {
    let (name, seconds) = LEASE;
    Ok(lease::acquire(tx, name, holder, now, seconds)?.is_some())
}

async fn close(
    app: &App,
    holder: Uuid,
    rule: &Rule,
    (run, judged, author): (i64, &Judged, &str),
    bound: Timestamp,
) -> Result<i64, Error> {
    let (mut after, mut portions) = (ItemId(0), 0);
    while !app.stopping.is_cancelled() {
        let (of, by, instance, now) = (rule.clone(), author.to_owned(), judged.instance.id, app.clock.now());
        let last = app.database.write_bulk(move |tx| match mine(tx, holder, now)? {
            true => stale::close(tx, &of, (run, instance, &by), bound, after, now),
            false => Ok(None),
        });
        let Some(last) = last.await? else { break };
        after = last;
        portions += 1;
    }
    if portions == 0 {
        return Ok(0);
    }
    Ok(app.database.read(move |tx| stale::closed_by(tx, run)).await?)
}

/// What a rule would do to an instance.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The instance.
    pub instance: Looked,
    /// Items that it would close.
    pub matched: i64,
    /// What is old; none where nobody knows.
    bound: Option<Timestamp>,
    /// Why it closes none.
    pub refused: Option<Refusal>,
}

/// What a rule would do to every instance; nothing is written.
///
/// # Errors
/// A failure of the store.
pub async fn judge_all(app: &App, rule: &Rule, all: bool, now: Timestamp) -> Result<Vec<Judged>, Error> {
    let rule = rule.clone();
    Ok(app
        .database
        .read(move |tx| {
            let looked = stale::instances(tx, now)?;
            looked.into_iter().map(|instance| judge(tx, &rule, instance, all, now)).collect()
        })
        .await?)
}

fn judge(tx: &mut Transaction<'_>, rule: &Rule, instance: Looked, all: bool, now: Timestamp) -> store::Result<Judged> {
    let bound = match autoclose::bound(instance.until, rule.days_back(), now) {
        Ok(bound) => bound,
        Err(refusal) => return Ok(Judged { instance, matched: 0, bound: None, refused: Some(refusal) }),
    };
    let matched = stale::matched(tx, rule, instance.id, bound, now)?;
    let may = autoclose::may_close(matched, instance.open, instance.closed);
    let refused = may.err().filter(|_| !all);
    Ok(Judged { instance, matched, bound: Some(bound), refused })
}

/// Check what somebody wants a rule to be.
fn checked(wanted: &Wanted) -> Result<(), Error> {
    let checked = autoclose::check(&wanted.name, wanted.kind, wanted.days, wanted.position);
    let mut wrong = checked.err().unwrap_or_default();
    if wanted.condition.len() > TEXT_MAX {
        wrong.push(("condition", "too_long", format!("a condition has at most {TEXT_MAX} characters")));
    } else if let Err(error) = domain::filter::parse(&wanted.condition, &store::items::FIELDS) {
        wrong.push(("condition", "bad_query", error.to_string()));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::Invalid(wrong.into_iter().map(|(field, code, why)| FieldError::new(field, code, why)).collect()))
}

/// A kind by its word.
///
/// # Errors
/// 422 `kind`.
pub fn kind(word: &str) -> Result<Kind, Error> {
    let known = || Kind::ALL.map(Kind::as_str).join(", ");
    Kind::parse(word).ok_or_else(|| Error::field("kind", "unknown", format!("a kind is one of {}", known())))
}

/// The rule of this key, for who may edit rules.
///
/// # Errors
/// A missing permission; not found.
pub async fn known(app: &App, caller: &Caller, id: i64) -> Result<Rule, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    app.database.try_read(move |tx| found(tx, id)).await
}

fn found(tx: &mut Transaction<'_>, id: i64) -> Result<Rule, Error> {
    stale::rule(tx, id).map_err(|error| match error {
        store::Error::NotFound => Error::NotFound(format!("rule {id}")),
        error => error.into(),
    })
}

fn conflict(error: store::Error) -> Error {
    match error {
        store::Error::Conflict(what) if what == settings::CHANGED => changed_meanwhile(),
        error => error.into(),
    }
}

/// Make a rule.
///
/// # Errors
/// A missing permission; 422; 409 `too_many_rules`.
pub async fn create(app: &App, caller: &Caller, wanted: Wanted) -> Result<Rule, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    checked(&wanted)?;
    let (author, now) = (caller.author(), app.clock.now());
    let made = app.database.try_write(move |tx| {
        if stale::rules(tx)?.len() >= RULES_MAX {
            let why = format!("there are {RULES_MAX} rules already; delete one first");
            return Err(Refusal::new("too_many_rules", why).into());
        }
        let id = stale::create(tx, &author, &wanted, now)?;
        found(tx, id)
    });
    made.await
}

/// Change a rule; `edit` makes the new one of the one that is there. `seen` is the version the caller has seen.
///
/// # Errors
/// A missing permission; not found; 412; 422.
pub async fn change(
    app: &App,
    caller: &Caller,
    id: i64,
    seen: Option<i64>,
    edit: impl FnOnce(&Rule) -> Result<Wanted, Error> + Send + 'static,
) -> Result<Rule, Error> {
    let before = known(app, caller, id).await?;
    if seen.is_some_and(|seen| seen != before.version) {
        return Err(changed_meanwhile());
    }
    let wanted = edit(&before)?;
    checked(&wanted)?;
    let (author, now) = (caller.author(), app.clock.now());
    let changed = app.database.try_write(move |tx| {
        stale::change(tx, &author, (id, before.version), &wanted, now).map_err(conflict)?;
        found(tx, id)
    });
    changed.await
}

/// Delete a rule.
///
/// # Errors
/// A missing permission; not found; 412.
pub async fn delete(app: &App, caller: &Caller, id: i64, seen: Option<i64>) -> Result<(), Error> {
    let rule = known(app, caller, id).await?;
    if seen.is_some_and(|seen| seen != rule.version) {
        return Err(changed_meanwhile());
    }
    let (author, now) = (caller.author(), app.clock.now());
    app.database.try_write(move |tx| stale::delete(tx, &author, &rule, now).map_err(conflict)).await
}

/// Ask that a rule is gone through now; `all` without the bound.
///
/// # Errors
/// A missing permission; not found; 412.
pub async fn ask(app: &App, caller: &Caller, id: i64, all: bool) -> Result<Rule, Error> {
    let rule = known(app, caller, id).await?;
    let (author, now) = (caller.author(), app.clock.now());
    let asked = app.database.try_write(move |tx| {
        stale::ask(tx, &author, &rule, all, now).map_err(conflict)?;
        found(tx, id)
    });
    let asked = asked.await?;
    app.wake.notify("stale", 0);
    Ok(asked)
}

/// What a rule would do, without the bound of a day where it is asked for `all`.
///
/// # Errors
/// A missing permission; not found.
pub async fn dry_run(app: &App, caller: &Caller, id: i64, all: bool) -> Result<Vec<Judged>, Error> {
    let rule = known(app, caller, id).await?;
    judge_all(app, &rule, all, app.clock.now()).await
}
