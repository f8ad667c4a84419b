//! What the states of tasks make of their items.

use super::settle::PORTION;
use crate::items::{HistoryRow, exceptions, words, write_history};
use crate::{Result, Transaction, record, stage};
use domain::id::ItemId;
use domain::item::{State, Substate};
use domain::remediation::effective;
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

record! {
    struct Before {
        id: ItemId,
        state: State,
        substate: Substate,
        own_state: State,
    }
}

record! {
    struct Vote {
        item_id: ItemId,
        state: State,
        resolved_at: Option<Timestamp>,
    }
}

struct Moved {
    id: ItemId,
    state: State,
    own_state: State,
    resolved_at: Option<Timestamp>,
}
stage!(Moved as "remediation_moved_batch" {
    id: ItemId, state: State, own_state: State, resolved_at: Option<Timestamp>,
});

/// Give these items the states that they and their tasks make together; gives those that moved.
pub(super) fn down(
    tx: &mut Transaction<'_>,
    items: &BTreeSet<ItemId>,
    by: &str,
    now: Timestamp,
) -> Result<BTreeSet<ItemId>> {
    let keys: Vec<i64> = items.iter().map(|item| item.0).collect();
    let mut moved = BTreeSet::new();
    for keys in keys.chunks(PORTION) {
        moved.extend(down_portion(tx, keys, by, now)?);
    }
    Ok(moved)
}

fn down_portion(tx: &mut Transaction<'_>, keys: &[i64], by: &str, now: Timestamp) -> Result<Vec<ItemId>> {
    let mut votes: BTreeMap<ItemId, Vec<Vote>> = BTreeMap::new();
    tx.each(
        "SELECT x.item_id, t.state, t.resolved_at
         FROM remediation_item x JOIN remediation_task t ON t.id = x.task_id
         WHERE x.item_id {in $1} AND t.state IN ('under_investigation', 'awaiting_implementation', 'resolved')
         ORDER BY x.item_id, x.task_id",
        &[&keys],
        |vote: Vote| {
            votes.entry(vote.item_id).or_default().push(vote);
            Ok(())
        },
    )?;
    let before: Vec<Before> = tx.all(
        "SELECT id, state, substate, own_state FROM vulnerable_item
         WHERE id {in $1} AND state <> 'closed' ORDER BY id",
        &[&keys],
    )?;
    let (mut rows, mut lines, mut overtaken) = (Vec::new(), Vec::new(), Vec::new());
    for item in &before {
        let votes = votes.get(&item.id).map(Vec::as_slice).unwrap_or_default();
        let states: Vec<State> = votes.iter().map(|vote| vote.state).collect();
        let (state, decided) = effective(item.own_state, &states);
        if state == item.state {
            continue;
        }
        // Resolved by its task while an exception was being decided: there is nothing left to decide.
        let out_of_review = item.own_state == State::InReview && state == State::Resolved;
        if out_of_review {
            overtaken.push(item.id.0);
        }
        let decided = decided.and_then(|place| votes.get(place));
        rows.push(Moved {
            id: item.id,
            state,
            own_state: if out_of_review { State::Open } else { item.own_state },
            resolved_at: decided.filter(|_| state == State::Resolved).and_then(|vote| vote.resolved_at),
        });
        let (before, after) = (words(item.state, item.substate), words(state, Substate::None));
        lines.push(HistoryRow { item_id: item.id, what: "state", before, after });
    }
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    tx.stage(&rows)?;
    tx.execute(
        "UPDATE vulnerable_item SET state = b.state, substate = '', own_state = b.own_state, resolved_at = b.resolved_at,
             updated_at = $1
         FROM remediation_moved_batch b WHERE vulnerable_item.id = b.id",
        &[&now],
    )?;
    write_history(tx, &lines, by, now)?;
    exceptions::overtaken(tx, &overtaken, by, now)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
