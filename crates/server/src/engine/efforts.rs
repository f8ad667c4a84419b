//! Efforts: made of the items that nobody else holds, filled in portions, and over by themselves once none of their items is active.
//!
//! The loop takes no input but the database and may run on two replicas at once: a portion is taken once, because its effort is
//! moved on from where the portion began.

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::access::Action;
use domain::effort::{ITEMS_MAX, NAMED_MAX};
use domain::id::EffortId;
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use domain::time::Timestamp;
use std::time::Duration;
use store::efforts::{self, EffortRow, Held, NewEffort, Outcome, Wanted};
use store::{Transaction, accounts, items};

/// Pause between two looks without a wake-up.
const PAUSE: Duration = Duration::from_secs(15);
/// Efforts that are named as holders.
const HOLDERS_NAMED: i64 = 10;
const ACTOR: &str = "engine/efforts";

/// Run until the server stops.
pub async fn run(app: App) {
    let mut woken = app.wake.listen("efforts", 0);
    while !app.stopping.is_cancelled() {
        if let Err(error) = look(&app).await {
            tracing::error!("efforts were not looked after, the next look will: {error:?}");
        }
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = woken.changed_within(PAUSE) => {}
        }
    }
}

/// Fill what is being filled, and end what is over; reads first and writes only where there is something to do.
///
/// # Errors
/// A failure of the store.
pub async fn look(app: &App) -> Result<(), Error> {
    for filling in app.database.read(efforts::filling).await? {
        let (now, mut more) = (app.clock.now(), true);
        while more {
            more = app.database.try_write(move |tx| fill(tx, filling.id, now)).await?;
            app.wake.notify("item", 0);
        }
    }
    while app.database.read(efforts::any_finished).await? {
        let now = app.clock.now();
        app.database.write(move |tx| efforts::end_finished(tx, ACTOR, now)).await?;
    }
    Ok(())
}

/// Take the next portion of an effort, where it is still filled.
fn fill(tx: &mut Transaction<'_>, id: EffortId, now: Timestamp) -> Result<bool, Error> {
    let Some(filling) = efforts::filling(tx)?.into_iter().find(|one| one.id == id) else { return Ok(false) };
    let maker = accounts::by_id(tx, filling.created_by)?.ok_or_else(|| Error::internal("an effort nobody made"))?;
    let filter = domain::filter::parse(&filling.condition, &items::FIELDS).map_err(Error::internal)?;
    Ok(efforts::fill(tx, &maker.actor(None), &filling, filter, now)?)
}

/// An effort that was made, or what would be taken for it.
#[derive(Clone, Debug)]
pub struct Made {
    /// The effort; none for a dry run.
    pub row: Option<EffortRow>,
    /// What becomes of the wanted items.
    pub outcome: Outcome,
    /// Who holds those that are left out.
    pub holders: Vec<Held>,
}

/// Make an effort of the items that are wanted and that nobody else holds.
///
/// # Errors
/// `nothing_to_take` where every wanted item is closed, out of sight or held; `too_many_items`; 422 for too many names.
pub fn make(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    new: &NewEffort<'_>,
    wanted: &Wanted,
    dry_run: bool,
    now: Timestamp,
) -> Result<Made, Error> {
    if wanted.named.as_ref().is_some_and(|named| named.is_empty() || named.len() > NAMED_MAX) {
        return Err(Error::field("items", "count", format!("name 1 to {NAMED_MAX} items, or give a query")));
    }
    let outcome = efforts::tally(tx, &caller.actor, wanted, ITEMS_MAX + 1)?;
    if outcome.free > ITEMS_MAX {
        let why = format!("more than {ITEMS_MAX} items match; narrow the query, or make several efforts");
        return Err(Refusal::new("too_many_items", why).into());
    }
    let holders = match outcome.held {
        0 => Vec::new(),
        _ => efforts::holders(tx, &caller.actor, wanted, HOLDERS_NAMED)?,
    };
    if outcome.free == 0 {
        let why = match outcome.held {
            0 => "no active item that you see matches".to_owned(),
            held => format!("all {held} active items that match are in another effort"),
        };
        return Err(Refusal::new("nothing_to_take", why).into());
    }
    let row = match dry_run {
        true => None,
        false => {
            let made = efforts::create(tx, &caller.actor, new, wanted, now)?;
            let number = made.ok_or_else(|| Error::internal("counted items cannot be selected"))?;
            // Who makes it may not be the one who sees it: an owner of another group leads it.
            Some(efforts::one(tx, &caller.actor, number.ordinal)?)
        }
    };
    Ok(Made { row, outcome, holders })
}

/// The effort of this number, where the caller may do this with all of it; one out of sight looks absent.
///
/// # Errors
/// Not found, or a missing permission.
pub fn known(tx: &mut Transaction<'_>, caller: &Caller, action: Action, number: &str) -> Result<EffortRow, Error> {
    let missing = || Error::NotFound(format!("effort {number}"));
    let Ok(Number { series: Series::Effort, ordinal }) = number.parse::<Number>() else { return Err(missing()) };
    let row = efforts::one(tx, &caller.actor, ordinal).map_err(|error| match error {
        store::Error::NotFound => missing(),
        error => error.into(),
    })?;
    caller.may(action, &efforts::access(tx, &caller.actor, &row)?)?;
    Ok(row)
}
