//! The import's part of vulnerable items: making them, and rolling their detections up into them.
//!
//! The state after an import is decided by [`domain::item::roll_up`] alone; here its input is gathered and its result
//! written, set by set. An item is made at the first sight of an open weakness: what a scanner only ever reported as
//! fixed is kept as a detection without an item.

use super::life::{columns, granted};
use super::{due, exceptions, settings};
use crate::imports::{Counters, Run};
use crate::{Result, Transaction, exclusion, numbers, record, scores, stage};
use domain::detection::{Presence, Status};
use domain::due::{Due, Of};
use domain::id::{AssetId, InstanceId, ItemId, VulnerabilityId};
use domain::item::why::Cause;
use domain::item::{self, Sightings, State, Substate, Workflow};
use domain::number::Series;
use domain::score::{Band, Source};
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What makes or changes items.
pub(crate) struct Origin {
    /// Whose items are made.
    pub(crate) instance: InstanceId,
    /// Key of the import; none for what is no import.
    pub(crate) run: Option<i64>,
    /// Why, as it is stored with the item.
    pub(crate) cause: Cause,
    /// Who or what, as the history says it.
    pub(crate) by: String,
}

impl Origin {
    pub(crate) fn import(run: &Run) -> Origin {
        let number = run.number.to_string();
        Origin { instance: run.instance, run: Some(run.id), cause: Cause::Import(number.clone()), by: number }
    }
}

/// One weakness of a batch that may need an item.
pub(crate) struct Observed {
    pub(crate) vulnerability: VulnerabilityId,
    pub(crate) asset: AssetId,
    pub(crate) status: String,
    /// It may bring an item about.
    pub(crate) wanted: bool,
    pub(crate) inherent: u8,
    pub(crate) source: Source,
    pub(crate) last_found_at: Option<Timestamp>,
}

/// The items of a batch's weaknesses.
#[derive(Default)]
pub(crate) struct Ensured {
    items: HashMap<(VulnerabilityId, AssetId), ItemId>,
    new: BTreeSet<ItemId>,
}

impl Ensured {
    pub(crate) fn find(&self, vulnerability: VulnerabilityId, asset: AssetId) -> Option<ItemId> {
        self.items.get(&(vulnerability, asset)).copied()
    }

    pub(crate) fn is_new(&self, item: ItemId) -> bool {
        self.new.contains(&item)
    }

    pub(crate) fn new_items(&self) -> impl Iterator<Item = ItemId> {
        self.new.iter().copied()
    }
}

struct ItemRow {
    number: i64,
    vulnerability_id: VulnerabilityId,
    asset_id: AssetId,
    inherent: i64,
    score_source: Source,
    last_found_at: Option<Timestamp>,
    due_band: Option<Band>,
    due_at: Option<Timestamp>,
    due_soon_at: Option<Timestamp>,
}
stage!(ItemRow as "item_batch" {
    number: i64, vulnerability_id: VulnerabilityId, asset_id: AssetId, inherent: i64, score_source: Source,
    last_found_at: Option<Timestamp>, due_band: Option<Band>, due_at: Option<Timestamp>, due_soon_at: Option<Timestamp>,
});

/// What the detections of an item say together.
struct Sum {
    presence: Presence,
    last_found_at: Option<Timestamp>,
    /// Highest score of the open ones, and where it comes from.
    score: Option<(u8, Source)>,
}

impl Sum {
    const NOTHING: Sum = Sum { presence: Presence::Excluded, last_found_at: None, score: None };

    fn add(&mut self, presence: Presence, inherent: u8, source: Source, last_found_at: Option<Timestamp>) {
        self.presence = self.presence.max(presence);
        if presence == Presence::Open {
            self.last_found_at = self.last_found_at.max(last_found_at);
            if self.score.is_none_or(|(score, _)| score < inherent) {
                self.score = Some((inherent, source));
            }
        }
    }
}

/// Find or make the item of every weakness given.
pub(crate) fn ensure(
    tx: &mut Transaction<'_>,
    origin: &Origin,
    observed: &[Observed],
    now: Timestamp,
    counters: &mut Counters,
) -> Result<Ensured> {
    let mut ensured = Ensured::default();
    if observed.is_empty() {
        return Ok(ensured);
    }
    let assets: BTreeSet<i64> = observed.iter().map(|one| one.asset.0).collect();
    let assets: Vec<i64> = assets.into_iter().collect();
    let known: Vec<(ItemId, VulnerabilityId, AssetId)> = tx.all(
        "SELECT id, vulnerability_id, asset_id FROM vulnerable_item WHERE asset_id {in $1} AND instance_id = $2",
        &[&assets, &origin.instance],
    )?;
    ensured.items = known.into_iter().map(|(id, vulnerability, asset)| ((vulnerability, asset), id)).collect();
    let mut missing: BTreeMap<(AssetId, VulnerabilityId), Sum> = BTreeMap::new();
    for one in observed {
        if one.wanted && ensured.find(one.vulnerability, one.asset).is_none() {
            let sum = missing.entry((one.asset, one.vulnerability)).or_insert(Sum::NOTHING);
            sum.add(Status::presence(&one.status), one.inherent, one.source, one.last_found_at);
        }
    }
    missing.retain(|_, sum| sum.presence == Presence::Open);
    if missing.is_empty() {
        return Ok(ensured);
    }
    let count = i64::try_from(missing.len()).unwrap_or(i64::MAX);
    let first = numbers::range(tx, Series::Item, count)?;
    // Written with the row, as nearly every new item keeps what its first score says: see `follow`.
    let kept = due::kept(tx)?;
    let rows: Vec<ItemRow> = (first..)
        .zip(&missing)
        .map(|(number, ((asset, vulnerability), sum))| {
            let (inherent, source) = sum.score.unwrap_or((1, Source::Estimated));
            let due = domain::due::after(&kept.days, Due::UNSET, Of::new(inherent, now), now);
            ItemRow {
                number,
                vulnerability_id: *vulnerability,
                asset_id: *asset,
                inherent: i64::from(inherent),
                score_source: source,
                last_found_at: sum.last_found_at,
                due_band: due.band,
                due_at: due.at,
                due_soon_at: due.soon,
            }
        })
        .collect();
    tx.stage(&rows)?;
    let made: Vec<(ItemId, VulnerabilityId, AssetId)> = tx.all(
        "INSERT INTO vulnerable_item (number, vulnerability_id, asset_id, instance_id, state, substate, mitigation,
             inherent, residual, score_source, group_name, reopened, opened_at, last_found_at, updated_at, run_id, state_cause,
             due_band, due_from_at, due_at, due_soon_at, due_rev)
         SELECT number, vulnerability_id, asset_id, $1, 'open', '', 'none', inherent, inherent, score_source, '', 0, $2,
             last_found_at, $2, $3, $4, due_band, $2, due_at, due_soon_at, $5
         FROM item_batch ORDER BY number
         RETURNING id, vulnerability_id, asset_id",
        &[&origin.instance, &now, &origin.run.unwrap_or(0), &origin.cause.text(), &kept.rev()],
    )?;
    counters.items.new += made.len() as u64;
    for (id, vulnerability, asset) in made {
        ensured.items.insert((vulnerability, asset), id);
        ensured.new.insert(id);
    }
    let new: Vec<ItemId> = ensured.new_items().collect();
    let controlled = scores::on_controlled_assets(tx, &new)?;
    scores::recompute(tx, &controlled, &origin.by, now)?;
    Ok(ensured)
}

record! {
    struct Before {
        id: ItemId,
        state: State,
        substate: Substate,
        resolved_at: Option<Timestamp>,
        reopened: u32,
        inherent: u8,
        score_source: Source,
        opened_at: Timestamp,
        closed_at: Option<Timestamp>,
        last_found_at: Option<Timestamp>,
        granted_what: Substate,
        granted_until_at: Option<Timestamp>,
    }
}

struct AfterRow {
    id: ItemId,
    state: State,
    substate: Substate,
    resolved_at: Option<Timestamp>,
    reopened: i64,
    inherent: i64,
    score_source: Source,
    opened_at: Timestamp,
    closed_at: Option<Timestamp>,
    last_found_at: Option<Timestamp>,
    granted_what: Substate,
    granted_until_at: Option<Timestamp>,
}
stage!(AfterRow as "item_state_batch" {
    id: ItemId, state: State, substate: Substate, resolved_at: Option<Timestamp>, reopened: i64, inherent: i64,
    score_source: Source, opened_at: Timestamp, closed_at: Option<Timestamp>, last_found_at: Option<Timestamp>,
    granted_what: Substate, granted_until_at: Option<Timestamp>,
});

pub(crate) struct HistoryRow {
    pub(crate) item_id: ItemId,
    pub(crate) what: &'static str,
    pub(crate) before: String,
    pub(crate) after: String,
}
stage!(HistoryRow as "item_history_batch" {
    item_id: ItemId, what: &'static str, before: String, after: String,
});

/// A state and, where it has one, its substate, as the history shows them.
pub(crate) fn words(state: State, substate: Substate) -> String {
    match substate {
        Substate::None => state.as_str().to_owned(),
        _ => format!("{}/{}", state.as_str(), substate.as_str()),
    }
}

pub(crate) fn write_history(tx: &mut Transaction<'_>, rows: &[HistoryRow], cause: &str, now: Timestamp) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    tx.stage(rows)?;
    tx.execute(
        "INSERT INTO item_history (item_id, at, what, before, after, cause)
         SELECT item_id, $1, what, before, after, $2 FROM item_history_batch",
        &[&now, &cause],
    )?;
    Ok(())
}

/// Roll the detections of these items up into them; gives the items that changed.
pub(crate) fn roll_up(
    tx: &mut Transaction<'_>,
    origin: &Origin,
    items: &[ItemId],
    now: Timestamp,
    counters: &mut Counters,
) -> Result<Vec<ItemId>> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = items.iter().map(|item| item.0).collect();
    let sums = sums(tx, &ids)?;
    let again = settings::defer_again(tx)?;
    let before: Vec<Before> = tx.all(
        "SELECT id, state, substate, resolved_at, reopened, inherent, score_source, opened_at, closed_at, last_found_at,
             granted_what, granted_until_at
         FROM vulnerable_item WHERE id {in $1} ORDER BY id",
        &[&ids],
    )?;
    let (mut rows, mut history, mut rescored, mut closed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for item in &before {
        let Some(sum) = sums.get(&item.id) else { continue };
        let after = after(item, sum, again, now);
        if after.state != item.state || after.substate != item.substate {
            history.push(HistoryRow {
                item_id: item.id,
                what: "state",
                before: words(item.state, item.substate),
                after: words(after.state, after.substate),
            });
            if after.state == State::Closed && item.state != State::Closed {
                counters.items.closed += 1;
                closed.push(item.id.0);
            }
        }
        counters.items.reopened += u64::from(after.reopened > i64::from(item.reopened));
        if after.inherent != i64::from(item.inherent) {
            rescored.push(item.id);
        }
        if differs(item, &after) {
            rows.push(after);
        }
    }
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    counters.items.updated += rows.len() as u64;
    tx.stage(&rows)?;
    tx.execute(
        "UPDATE vulnerable_item SET state = b.state, substate = b.substate, resolved_at = b.resolved_at,
             reopened = b.reopened, inherent = b.inherent, score_source = b.score_source, opened_at = b.opened_at,
             closed_at = b.closed_at, last_found_at = b.last_found_at, granted_what = b.granted_what,
             granted_until_at = b.granted_until_at, updated_at = $1, run_id = coalesce($2, vulnerable_item.run_id),
             own_state = CASE WHEN b.state <> vulnerable_item.state THEN b.state ELSE vulnerable_item.own_state END,
             state_cause = CASE WHEN b.state <> vulnerable_item.state OR b.substate <> vulnerable_item.substate THEN $3
                                ELSE vulnerable_item.state_cause END
         FROM item_state_batch b WHERE vulnerable_item.id = b.id",
        &[&now, &origin.run, &origin.cause.text()],
    )?;
    write_history(tx, &history, &origin.by, now)?;
    exceptions::overtaken(tx, &closed, &origin.by, now)?;
    scores::recompute(tx, &rescored, &origin.by, now)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// What the detections of these items say together, item by item.
pub(super) fn sightings(tx: &mut Transaction<'_>, items: &[i64]) -> Result<HashMap<ItemId, Sightings>> {
    let seen = |sum: Sum| Sightings { presence: sum.presence, last_found_at: sum.last_found_at };
    Ok(sums(tx, items)?.into_iter().map(|(item, sum)| (item, seen(sum))).collect())
}

fn sums(tx: &mut Transaction<'_>, items: &[i64]) -> Result<HashMap<ItemId, Sum>> {
    let mut sums: HashMap<ItemId, Sum> = HashMap::with_capacity(items.len());
    let mut excluded: Vec<(ItemId, String, u8, Source, Option<Timestamp>)> = Vec::new();
    tx.each(
        "SELECT item_id, status, inherent, score_source, last_found_at, excluded_by IS NOT NULL FROM detection
         WHERE item_id {in $1}",
        &[&items],
        |(item, status, inherent, source, found, out): (ItemId, String, u8, Source, Option<Timestamp>, bool)| {
            if out {
                excluded.push((item, status, inherent, source, found));
            } else {
                let presence = Status::presence(&status);
                sums.entry(item).or_insert(Sum::NOTHING).add(presence, inherent, source, found);
            }
            Ok(())
        },
    )?;
    if !excluded.is_empty() {
        let closes = exclusion::settings(tx)?.value.close_items;
        for (item, status, inherent, source, found) in excluded {
            let presence = domain::exclusion::presence(&status, true, closes);
            sums.entry(item).or_insert(Sum::NOTHING).add(presence, inherent, source, found);
        }
    }
    Ok(sums)
}

fn after(item: &Before, sum: &Sum, again: bool, now: Timestamp) -> AfterRow {
    let workflow = Workflow {
        state: item.state,
        substate: item.substate,
        resolved_at: item.resolved_at,
        reopened: item.reopened,
        granted: granted(item.granted_what, item.granted_until_at),
    };
    let seen = Sightings { presence: sum.presence, last_found_at: sum.last_found_at };
    let next = item::roll_up_by(workflow, seen, again, now);
    let (granted_what, granted_until_at) = columns(next.granted);
    // Without an open detection the last known score stays, so that a closed item still says how bad it was.
    let (inherent, score_source) = sum.score.unwrap_or((item.inherent, item.score_source));
    let reopened = next.reopened > item.reopened;
    AfterRow {
        id: item.id,
        state: next.state,
        substate: next.substate,
        resolved_at: next.resolved_at,
        reopened: i64::from(next.reopened),
        inherent: i64::from(inherent),
        score_source,
        opened_at: if reopened { now } else { item.opened_at },
        closed_at: match next.state {
            State::Closed => item.closed_at.or(Some(now)),
            _ => None,
        },
        last_found_at: item.last_found_at.max(sum.last_found_at),
        granted_what,
        granted_until_at,
    }
}

fn differs(item: &Before, after: &AfterRow) -> bool {
    item.state != after.state
        || item.substate != after.substate
        || item.resolved_at != after.resolved_at
        || i64::from(item.reopened) != after.reopened
        || i64::from(item.inherent) != after.inherent
        || item.score_source != after.score_source
        || item.opened_at != after.opened_at
        || item.closed_at != after.closed_at
        || item.last_found_at != after.last_found_at
        || item.granted_what != after.granted_what
        || item.granted_until_at != after.granted_until_at
}
