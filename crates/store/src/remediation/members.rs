//! Which items a task holds, and the counts of their states: the two are only ever changed together.

use crate::numbers::number_text;
use crate::{Result, Transaction, record, stage};
use domain::id::{ItemId, RemediationTaskId};
use domain::item::{State, Substate};
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// An item of a task.
pub(super) type Pair = (RemediationTaskId, ItemId);

struct PairRow {
    task_id: RemediationTaskId,
    item_id: ItemId,
}
stage!(PairRow as "remediation_pair_batch" { task_id: RemediationTaskId, item_id: ItemId });

struct CountRow {
    task_id: RemediationTaskId,
    state: State,
    substate: Substate,
    n: i64,
}
stage!(CountRow as "remediation_count_batch" {
    task_id: RemediationTaskId, state: State, substate: Substate, n: i64,
});

struct MirrorRow {
    task_id: RemediationTaskId,
    item_id: ItemId,
    state: State,
    substate: Substate,
    score: i64,
    due_at: Option<Timestamp>,
}
stage!(MirrorRow as "remediation_mirror_batch" {
    task_id: RemediationTaskId, item_id: ItemId, state: State, substate: Substate, score: i64, due_at: Option<Timestamp>,
});

record! {
    struct Mirrored {
        task_id: RemediationTaskId,
        item_id: ItemId,
        was_state: State,
        was_substate: Substate,
        was_score: i64,
        was_due: Option<Timestamp>,
        state: State,
        substate: Substate,
        score: i64,
        due_at: Option<Timestamp>,
    }
}

/// By how much the counts of tasks change.
#[derive(Default)]
struct Deltas(BTreeMap<(RemediationTaskId, &'static str, &'static str), (State, Substate, i64)>);

impl Deltas {
    fn add(&mut self, task: RemediationTaskId, state: State, substate: Substate, n: i64) {
        self.0.entry((task, state.as_str(), substate.as_str())).or_insert((state, substate, 0)).2 += n;
    }

    fn write(self, tx: &mut Transaction<'_>) -> Result<()> {
        let rows: Vec<CountRow> = self
            .0
            .into_iter()
            .filter(|(_, (.., n))| *n != 0)
            .map(|((task_id, ..), (state, substate, n))| CountRow { task_id, state, substate, n })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        tx.stage(&rows)?;
        tx.execute(
            "INSERT INTO remediation_count (task_id, state, substate, n)
             SELECT task_id, state, substate, n FROM remediation_count_batch WHERE true
             ON CONFLICT (task_id, state, substate) DO UPDATE SET n = remediation_count.n + excluded.n",
            &[],
        )?;
        Ok(())
    }
}

fn stage_pairs(tx: &mut Transaction<'_>, pairs: &[Pair]) -> Result<()> {
    let rows: Vec<PairRow> =
        pairs.iter().map(|(task_id, item_id)| PairRow { task_id: *task_id, item_id: *item_id }).collect();
    tx.stage(&rows)
}

/// Put items into tasks; those that are there already stay. Gives what was put.
pub(super) fn join(tx: &mut Transaction<'_>, pairs: &[Pair], now: Timestamp) -> Result<Vec<Pair>> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    stage_pairs(tx, pairs)?;
    let put: Vec<(RemediationTaskId, ItemId, State, Substate)> = tx.all(
        "INSERT INTO remediation_item (task_id, item_id, state, substate, score, due_at, assigned, added_at)
         SELECT b.task_id, b.item_id, i.state, i.substate, CASE WHEN i.state = 'closed' THEN 0 ELSE i.residual END,
             CASE WHEN i.state = 'closed' THEN NULL ELSE i.due_at END, FALSE, $1
         FROM remediation_pair_batch b JOIN vulnerable_item i ON i.id = b.item_id WHERE true
         ON CONFLICT (task_id, item_id) DO NOTHING
         RETURNING task_id, item_id, state, substate",
        &[&now],
    )?;
    let mut deltas = Deltas::default();
    for (task, _, state, substate) in &put {
        deltas.add(*task, *state, *substate, 1);
    }
    deltas.write(tx)?;
    Ok(put.into_iter().map(|(task, item, ..)| (task, item)).collect())
}

/// Take items out of tasks; gives what was taken.
pub(super) fn leave(tx: &mut Transaction<'_>, pairs: &[Pair]) -> Result<Vec<Pair>> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    stage_pairs(tx, pairs)?;
    let taken: Vec<(RemediationTaskId, ItemId, State, Substate)> = tx.all(
        "DELETE FROM remediation_item
         WHERE (task_id, item_id) IN (SELECT b.task_id, b.item_id FROM remediation_pair_batch b)
         RETURNING task_id, item_id, state, substate",
        &[],
    )?;
    let mut deltas = Deltas::default();
    for (task, _, state, substate) in &taken {
        deltas.add(*task, *state, *substate, -1);
    }
    deltas.write(tx)?;
    Ok(taken.into_iter().map(|(task, item, ..)| (task, item)).collect())
}

/// Bring what tasks have of these items, and their counts, to what the items are; gives the tasks that this may change.
pub(super) fn mirror(tx: &mut Transaction<'_>, items: &[i64]) -> Result<BTreeSet<RemediationTaskId>> {
    let rows: Vec<Mirrored> = tx.all(
        "SELECT x.task_id, x.item_id, x.state AS was_state, x.substate AS was_substate, x.score AS was_score,
             x.due_at AS was_due, i.state, i.substate, CASE WHEN i.state = 'closed' THEN 0 ELSE i.residual END AS score,
             CASE WHEN i.state = 'closed' THEN NULL ELSE i.due_at END AS due_at
         FROM remediation_item x JOIN vulnerable_item i ON i.id = x.item_id
         WHERE x.item_id {in $1} ORDER BY x.task_id, x.item_id",
        &[&items],
    )?;
    let (mut touched, mut changed, mut deltas) = (BTreeSet::new(), Vec::new(), Deltas::default());
    for row in rows {
        let Mirrored { task_id, item_id, state, substate, score, due_at, .. } = row;
        // The end of a deferral can change without its state.
        if state == State::Deferred {
            touched.insert(task_id);
        }
        if (row.was_state, row.was_substate, row.was_score, row.was_due) == (state, substate, score, due_at) {
            continue;
        }
        touched.insert(task_id);
        deltas.add(task_id, row.was_state, row.was_substate, -1);
        deltas.add(task_id, state, substate, 1);
        changed.push(MirrorRow { task_id, item_id, state, substate, score, due_at });
    }
    for rows in changed.chunks(super::settle::PORTION) {
        tx.stage(rows)?;
        tx.execute(
            "UPDATE remediation_item SET state = b.state, substate = b.substate, score = b.score, due_at = b.due_at
             FROM remediation_mirror_batch b
             WHERE remediation_item.task_id = b.task_id AND remediation_item.item_id = b.item_id",
            &[],
        )?;
    }
    deltas.write(tx)?;
    Ok(touched)
}

/// Give these items to whoever has the task of each, and remember that they have it from there.
pub(super) fn assign(tx: &mut Transaction<'_>, pairs: &[Pair], now: Timestamp) -> Result<()> {
    for pairs in pairs.chunks(super::settle::PORTION) {
        stage_pairs(tx, pairs)?;
        tx.execute(
            concat!(
                "UPDATE vulnerable_item SET owner_id = t.owner_id, group_name = t.group_name, updated_at = $1, assigned_at = $1,
                     assigned_by = 'task:' || ",
                number_text!("VUL", "t.number"),
                " FROM remediation_pair_batch b JOIN remediation_task t ON t.id = b.task_id
                 WHERE vulnerable_item.id = b.item_id"
            ),
            &[&now],
        )?;
        tx.execute(
            "UPDATE remediation_item SET assigned = TRUE
             WHERE (task_id, item_id) IN (SELECT b.task_id, b.item_id FROM remediation_pair_batch b)",
            &[],
        )?;
    }
    Ok(())
}
