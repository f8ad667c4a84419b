//! Rescans of records that hold items: whether, and of what (S2.05 to S2.07, S2.09). Who may rescan the record may rescan what it
//! holds, as far as that lies in his scope.

use super::offer::{self, Denial, Judge, Offer};
use super::plan::MISSING;
use crate::http::{Caller, Error};
use domain::access::{Action, Record};
use domain::effort;
use domain::id::UserId;
use domain::item::State;
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use domain::rescan::{ITEMS_MAX, PRODUCT};
use std::collections::BTreeMap;
use store::scans::{self, Holder};
use store::{Transaction, efforts, remediation};

/// A record that holds items.
pub(super) struct Held {
    holder: Holder,
    noun: &'static str,
    owner: Option<UserId>,
    group: String,
    record: Record,
    closed: bool,
}

/// The record of this number, if the caller may know of it.
///
/// # Errors
/// Not found.
pub(super) fn load(tx: &mut Transaction<'_>, caller: &Caller, number: Number) -> Result<Held, Error> {
    match number.series {
        Series::RemediationTask => {
            let task = remediation::one(tx, &caller.actor, number.ordinal)?;
            Ok(Held {
                holder: Holder::Task(task.id),
                noun: "task",
                owner: task.owner_id,
                group: task.group_name.clone(),
                record: remediation::access(tx, &caller.actor, &task)?,
                closed: task.state == State::Closed,
            })
        }
        Series::Effort => {
            let effort = efforts::one(tx, &caller.actor, number.ordinal)?;
            Ok(Held {
                holder: Holder::Effort(effort.id),
                noun: "effort",
                owner: effort.owner_id,
                group: effort.group_name.clone(),
                record: efforts::access(tx, &caller.actor, &effort)?,
                closed: effort.state == effort::State::Inactive,
            })
        }
        _ => Err(Error::NotFound(format!("record {number}"))),
    }
}

/// What of a record is to be looked at: the ordinals of all it holds, the closed ones last and as far as they fit.
///
/// # Errors
/// A missing permission; the record is closed, nothing of it is open, it holds too much, or items of other products.
pub(super) fn wanted(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    number: Number,
    eligible_only: bool,
) -> Result<Vec<i64>, Error> {
    // Whose roles never allow it is told so, whether there is such a record or not.
    caller.may(Action::Rescan, &caller.own())?;
    let held = load(tx, caller, number)?;
    let judge = Judge::new(tx, caller)?;
    match may(&judge, &held) {
        Ok(()) => {}
        Err(Denial::Person(reason)) => return Err(reason.into()),
        Err(denial) => return Err(Refusal::from(denial).into()),
    }
    let (open, foreign) = scans::held_open(tx, held.holder, PRODUCT)?;
    if open == 0 {
        return Err(nothing_open(held.noun).into());
    }
    if usize::try_from(open).unwrap_or(usize::MAX) > ITEMS_MAX {
        let why = format!(
            "{open} items of the {} are open, which are more than the {ITEMS_MAX} that fit into one request; choose among \
             them in the list of items",
            held.noun
        );
        return Err(Refusal::new("too_many_items", why).into());
    }
    mixed(held.noun, open, foreign, eligible_only)?;
    Ok(scans::held_items(tx, held.holder, ITEMS_MAX)?)
}

/// May this person rescan the record, and is it open?
fn may(judge: &Judge<'_>, held: &Held) -> Result<(), Denial> {
    judge.assigned(&held.record, held.owner, &held.group)?;
    if held.closed {
        let why = format!("the {} is closed; there is nothing left to verify", held.noun);
        return Err(Denial::Record(Refusal::new("record_closed", why)));
    }
    Ok(())
}

fn nothing_open(noun: &str) -> Refusal {
    Refusal::new("nothing_open", format!("nothing in the {noun} is open, so there is nothing to verify"))
}

/// Items of other products among those of a record keep it from being rescanned as a whole (S2.06), unless they are left out.
fn mixed(noun: &str, open: i64, foreign: i64, eligible_only: bool) -> Result<(), Refusal> {
    match (foreign, open - foreign) {
        (0, _) => Ok(()),
        (_, 1..) if eligible_only => Ok(()),
        (_, 0) => {
            let why = format!("no item of the {noun} comes from Qualys; only Qualys items can be rescanned");
            Err(Refusal::new("no_qualys_item", why))
        }
        (foreign, rest) => {
            let why = format!(
                "{foreign} of the {open} open items of the {noun} do not come from Qualys; rescan the {rest} that do"
            );
            Err(Refusal::new(MIXED, why))
        }
    }
}

/// The code of a record with items of several products: those of Qualys can be asked for alone.
pub const MIXED: &str = "mixed_sources";

/// May the caller rescan what a record holds? With `eligible_only` other products are left out. Where he may not, the reason
/// of the record, else of what is worst in it.
///
/// # Errors
/// Not found, a failure of the store. The refusal is the inner value.
pub fn of_record(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    number: Number,
    eligible_only: bool,
) -> Result<Result<(), Refusal>, Error> {
    Ok(best(tx, caller, number, eligible_only)?.map(|_| ()))
}

/// The worst open item of a record that can be rescanned.
fn best(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    number: Number,
    eligible_only: bool,
) -> Result<Result<i64, Refusal>, Error> {
    let held = load(tx, caller, number)?;
    let mut judge = Judge::new(tx, caller)?.following();
    if let Err(denial) = may(&judge, &held) {
        return Ok(Err(denial.into()));
    }
    let (open, foreign) = scans::held_open(tx, held.holder, PRODUCT)?;
    if open == 0 {
        return Ok(Err(nothing_open(held.noun)));
    }
    if let Err(refusal) = mixed(held.noun, open, foreign, eligible_only) {
        return Ok(Err(refusal));
    }
    let limit = usize::try_from(open).unwrap_or(usize::MAX).min(ITEMS_MAX);
    let items = scans::held_items(tx, held.holder, limit)?;
    Ok(offer::best_of(tx, &mut judge, &items)?.map_err(|reason| reason.unwrap_or_else(|| nothing_open(held.noun))))
}

/// What the rescan dialog of a record shows: that of its worst item which can be rescanned.
///
/// # Errors
/// Not found, a failure of the store.
pub fn offer_of_record(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    number: Number,
    eligible_only: bool,
) -> Result<Offer, Error> {
    match best(tx, caller, number, eligible_only)? {
        // What one of its items is about says nothing of the others: the plan does.
        Ok(item) => Ok(Offer { open_scan: None, warnings: BTreeMap::new(), ..offer_in_record(tx, caller, item)? }),
        Err(refusal) => Ok(Offer { refusal: Some(refusal), ..Offer::default() }),
    }
}

/// What the rescan dialog shows of one of its items.
///
/// # Errors
/// A failure of the store.
pub fn offer_in_record(tx: &mut Transaction<'_>, caller: &Caller, item: i64) -> store::Result<Offer> {
    let judge = Judge::new(tx, caller)?.following();
    offer::offer_by(tx, judge, item)
}

/// What a record holds as far as the caller may know of it, the open ones first, each with why it cannot be rescanned.
///
/// # Errors
/// Not found, a failure of the store.
pub fn items_of_record(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    number: Number,
) -> Result<Vec<(i64, Option<Refusal>)>, Error> {
    let held = load(tx, caller, number)?;
    let items = scans::held_items(tx, held.holder, ITEMS_MAX)?;
    let mut judge = Judge::new(tx, caller)?.following();
    let mut refused = offer::refused(tx, &mut judge, &items)?;
    let judged = items.into_iter().map(|item| (item, refused.remove(&item)));
    Ok(judged.filter(|(_, refusal)| refusal.as_ref().is_none_or(|refusal| refusal.code != MISSING)).collect())
}

/// The words of a record in the database.
pub(super) fn words(number: Number) -> (&'static str, String) {
    match number.series {
        Series::Effort => ("effort", format!("efforts/{number}")),
        _ => ("task", format!("tasks/{number}")),
    }
}
