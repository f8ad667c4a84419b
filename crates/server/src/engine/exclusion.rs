//! What nobody has to work on: editing the rules and what stands beside them, and the loop that goes through what is known after a
//! change.
//!
//! `domain::exclusion` decides about one detection, `store::exclusion` keeps it. A portion of a pass is one transaction that moves
//! the pass's own cursor, so the loop may be killed at any instruction and run on two replicas at once.

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::conditional::changed_meanwhile;
use crate::http::error::Error;
use domain::access::{Action, Record};
use domain::exclusion as rules;
use domain::filter::{Context, Filter};
use domain::id::{ExclusionRuleId, InstanceId};
use domain::refusal::Refusal;
use protocol::api::exclusion::{ExclusionChange, ExclusionRuleChange, NewExclusionRule};
use std::time::Duration;
use store::exclusion::{self, ExcludedRow, Impact, Pending, RuleRow, Settings, Wanted};
use store::lease;
use store::list::{self, Query};
use store::settings::Setting;
use store::{Transaction, instances};
use uuid::Uuid;

/// Pause between two looks without a wake-up.
const PAUSE: Duration = Duration::from_secs(15);
/// How long the work stays taken after its server died, in seconds.
const LEASE_SECONDS: i64 = 60;
const LEASE: &str = "exclusion";
/// Detections that a trial shows.
const EXAMPLES: u32 = 20;

/// Run until the server stops.
pub async fn run(app: App) {
    let mut woken = app.wake.listen("exclusion", 0);
    while !app.stopping.is_cancelled() {
        if let Err(error) = look(&app).await {
            tracing::error!("what is excluded was not gone through, the next look will go on: {error:?}");
        }
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = woken.changed_within(PAUSE) => {}
        }
    }
}

/// Go on with the pass that is running, where one is, to its end.
///
/// # Errors
/// A failure of the store.
pub async fn look(app: &App) -> Result<(), Error> {
    let holder = Uuid::new_v4();
    while !app.stopping.is_cancelled() {
        if app.database.read(exclusion::running).await?.is_none() {
            return Ok(());
        }
        let now = app.clock.now();
        let taken = app.database.write(move |tx| lease::acquire(tx, LEASE, holder, now, LEASE_SECONDS)).await?;
        let Some(taken) = taken else { return Ok(()) };
        let more = app
            .database
            .write_bulk(move |tx| {
                lease::hold(tx, &taken)?;
                let more = exclusion::step(tx, now)?;
                if !more {
                    lease::release(tx, &taken)?;
                }
                Ok(more)
            })
            .await?;
        app.wake.notify("item", 0);
        if !more {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether the caller may see and change what is excluded.
///
/// # Errors
/// Why not.
pub fn may(caller: &Caller) -> Result<(), Error> {
    caller.may(Action::RuleEdit, &Record::default())
}

fn field(name: &'static str) -> impl Fn(Refusal) -> Error {
    move |refusal| Error::field(name, refusal.code, refusal.sentence)
}

fn condition(text: &str) -> Result<Filter, Error> {
    rules::condition(text).map_err(field("condition"))
}

/// A rule in force may be about more than half of the open items only where that is said.
fn guard(tx: &mut Transaction<'_>, condition: &Filter, all: bool) -> Result<(), Error> {
    if all {
        return Ok(());
    }
    let Impact { items, items_open, .. } = exclusion::impact(tx, condition)?;
    Ok(rules::check_share(items, items_open)?)
}

fn said(error: store::Error, id: Option<ExclusionRuleId>) -> Error {
    match error {
        store::Error::Conflict(what) if what == exclusion::CHANGED => changed_meanwhile(),
        error if error.conflicts_with("exclusion_rule_name") => {
            Refusal::new("name_taken", "another exclusion rule has this name").into()
        }
        store::Error::NotFound if id.is_some() => {
            Error::NotFound(format!("exclusion rule {}", id.map_or(0, |id| id.0)))
        }
        error => error.into(),
    }
}

/// The rule of this key.
///
/// # Errors
/// Not found.
pub fn known(tx: &mut Transaction<'_>, id: ExclusionRuleId) -> Result<RuleRow, Error> {
    exclusion::rule(tx, id).map_err(|error| said(error, Some(id)))
}

/// Make a rule.
///
/// # Errors
/// 403; 409 `name_taken`, `matches_most`, `too_many`; 422 for fields that are not acceptable.
pub async fn create(app: &App, caller: &Caller, new: NewExclusionRule) -> Result<RuleRow, Error> {
    may(caller)?;
    let holds = condition(&new.condition)?;
    let wanted = Wanted {
        name: rules::name(&new.name).map_err(field("name"))?,
        active: new.active.unwrap_or(true),
        position: new.position.unwrap_or(i64::MAX),
        condition: holds.to_string(),
    };
    let (author, now) = (caller.author(), app.clock.now());
    let made = app.database.try_write(move |tx| {
        if exclusion::rules(tx)?.len() >= rules::RULES_MAX {
            let why = format!("there are {} exclusion rules already; delete one first", rules::RULES_MAX);
            return Err(Refusal::new("too_many", why).into());
        }
        if wanted.active {
            guard(tx, &holds, new.all)?;
        }
        let id = exclusion::create(tx, &author, &wanted, now).map_err(|error| said(error, None))?;
        known(tx, id)
    });
    let made = made.await?;
    app.wake.notify("exclusion", 0);
    Ok(made)
}

/// Change a rule, of the version that was seen where one is given.
///
/// # Errors
/// As [`create`]; 404; 412.
pub async fn change(
    app: &App,
    caller: &Caller,
    id: ExclusionRuleId,
    seen: Option<i64>,
    change: ExclusionRuleChange,
) -> Result<RuleRow, Error> {
    may(caller)?;
    let holds = change.condition.as_deref().map(condition).transpose()?;
    let name = change.name.as_deref().map(rules::name).transpose().map_err(field("name"))?;
    let (author, now) = (caller.author(), app.clock.now());
    let changed = app.database.try_write(move |tx| {
        let before = known(tx, id)?;
        let active = change.active.unwrap_or(before.active);
        let text = holds.as_ref().map_or(before.condition.clone(), ToString::to_string);
        if active && (!before.active || text != before.condition) {
            guard(tx, &condition(&text)?, change.all)?;
        }
        let wanted = Wanted {
            name: name.clone().unwrap_or(before.name),
            active,
            position: change.position.unwrap_or(before.position),
            condition: text,
        };
        exclusion::update(tx, &author, id, seen.unwrap_or(before.version), &wanted, now)
            .map_err(|error| said(error, Some(id)))?;
        known(tx, id)
    });
    let changed = changed.await?;
    app.wake.notify("exclusion", 0);
    Ok(changed)
}

/// Delete a rule, of the version that was seen where one is given; what it excluded is worked on again.
///
/// # Errors
/// 403, 404, 412.
pub async fn delete(app: &App, caller: &Caller, id: ExclusionRuleId, seen: Option<i64>) -> Result<(), Error> {
    may(caller)?;
    let (author, now) = (caller.author(), app.clock.now());
    let gone = app.database.try_write(move |tx| {
        let version = seen.map_or_else(|| known(tx, id).map(|row| row.version), Ok)?;
        exclusion::delete(tx, &author, id, version, now).map_err(|error| said(error, Some(id)))
    });
    gone.await?;
    app.wake.notify("exclusion", 0);
    Ok(())
}

/// Change what stands beside the rules.
///
/// # Errors
/// 403; 409 `matches_most`; 412; 422 for an unknown instance.
pub async fn set(
    app: &App,
    caller: &Caller,
    seen: Option<i64>,
    change: ExclusionChange,
) -> Result<Setting<Settings>, Error> {
    may(caller)?;
    let (author, now) = (caller.author(), app.clock.now());
    let kept = app.database.try_write(move |tx| {
        let before = exclusion::settings(tx)?;
        let mut value = before.value;
        let closes = value.close_items;
        value.close_items = change.close_items.unwrap_or(closes);
        if let Some(keys) = &change.confirmed_only {
            let known: Vec<InstanceId> = instances::list(tx)?.into_iter().map(|row| row.id).collect();
            if let Some(key) = keys.iter().find(|key| !known.contains(&InstanceId(**key))) {
                return Err(Error::field(
                    "confirmed_only",
                    "unknown",
                    format!("there is no integration instance {key}"),
                ));
            }
            value.confirmed_only = known.into_iter().filter(|id| keys.contains(&id.0)).collect();
        }
        let version = exclusion::set(tx, &author, &value, seen, now)?;
        if value.close_items && !change.all {
            // Counted after it is set, in the transaction that undoes it where it is too much.
            let Pending { items, items_open, .. } = exclusion::pending(tx)?;
            rules::check_share(items, items_open)?;
        }
        Ok(Setting { value, version })
    });
    let kept = kept.await?;
    app.wake.notify("exclusion", 0);
    Ok(kept)
}

/// Count what going through all that is known would change, and begin it where it is no dry run.
///
/// # Errors
/// 403.
pub async fn apply(app: &App, caller: &Caller, dry_run: bool) -> Result<Pending, Error> {
    may(caller)?;
    let pending = app.database.read(exclusion::pending).await?;
    if !dry_run {
        let (author, now) = (caller.author(), app.clock.now());
        app.database.write(move |tx| exclusion::begin_by(tx, &author, now)).await?;
        app.wake.notify("exclusion", 0);
    }
    Ok(pending)
}

/// Count what a condition is about, with some of it.
///
/// # Errors
/// 403; 422 `condition`.
pub async fn tried(app: &App, caller: &Caller, text: &str) -> Result<(Impact, Vec<ExcludedRow>), Error> {
    may(caller)?;
    let holds = condition(text)?;
    let query = Query { limit: EXAMPLES, ..Query::new(holds.clone(), Context::at(app.clock.now())) };
    let read = app.database.try_read(move |tx| {
        let page = list::page::<ExcludedRow>(tx, &exclusion::LIST, exclusion::weak(), &query)?;
        Ok::<_, Error>((exclusion::impact(tx, &holds)?, page.rows))
    });
    read.await
}
