//! Changes of items that no import makes: what people, decisions, time and agents do to their states.

use super::follow::{Followed, follow};
use super::merge::{HistoryRow, words, write_history};
use crate::{Result, Transaction, record, stage};
use domain::id::ItemId;
use domain::item::why::Cause;
use domain::item::{Granted, State, Substate, Workflow};
use domain::time::Timestamp;

/// An item whose workflow a decision of the domain changed.
pub(crate) struct Change {
    pub(crate) item: ItemId,
    pub(crate) before: Workflow,
    pub(crate) after: Workflow,
}

struct LifeRow {
    id: ItemId,
    state: State,
    substate: Substate,
    resolved_at: Option<Timestamp>,
    reopened: i64,
    granted_what: Substate,
    granted_until_at: Option<Timestamp>,
}
stage!(LifeRow as "item_life_batch" {
    id: ItemId, state: State, substate: Substate, resolved_at: Option<Timestamp>, reopened: i64,
    granted_what: Substate, granted_until_at: Option<Timestamp>,
});

record! {
    /// The workflow of an item as it is stored.
    pub(crate) struct LifeOf {
        pub(crate) id: ItemId,
        pub(crate) state: State,
        pub(crate) substate: Substate,
        pub(crate) resolved_at: Option<Timestamp>,
        pub(crate) reopened: u32,
        pub(crate) granted_what: Substate,
        pub(crate) granted_until_at: Option<Timestamp>,
    }
}

impl LifeOf {
    pub(crate) fn workflow(&self) -> Workflow {
        Workflow {
            state: self.state,
            substate: self.substate,
            resolved_at: self.resolved_at,
            reopened: self.reopened,
            granted: granted(self.granted_what, self.granted_until_at),
        }
    }
}

/// What was granted, from its two columns.
pub(crate) fn granted(what: Substate, until: Option<Timestamp>) -> Option<Granted> {
    (what != Substate::None).then_some(Granted { what, until })
}

/// The two columns of what was granted.
pub(crate) fn columns(granted: Option<Granted>) -> (Substate, Option<Timestamp>) {
    granted.map_or((Substate::None, None), |granted| (granted.what, granted.until))
}

/// Write changed workflows with their lines of history: a state that changed, or a deferral that got another end.
pub(crate) fn apply(
    tx: &mut Transaction<'_>,
    changes: &[Change],
    cause: &Cause,
    by: &str,
    now: Timestamp,
) -> Result<()> {
    let changes: Vec<&Change> = changes.iter().filter(|change| change.before != change.after).collect();
    if changes.is_empty() {
        return Ok(());
    }
    let rows: Vec<LifeRow> = changes
        .iter()
        .map(|change| {
            let (granted_what, granted_until_at) = columns(change.after.granted);
            let Workflow { state, substate, resolved_at, reopened, .. } = change.after;
            let reopened = i64::from(reopened);
            LifeRow { id: change.item, state, substate, resolved_at, reopened, granted_what, granted_until_at }
        })
        .collect();
    tx.stage(&rows)?;
    tx.execute(
        "UPDATE vulnerable_item SET state = b.state, own_state = b.state, substate = b.substate, resolved_at = b.resolved_at,
             granted_what = b.granted_what, granted_until_at = b.granted_until_at,
             opened_at = CASE WHEN b.reopened > vulnerable_item.reopened THEN $1 ELSE vulnerable_item.opened_at END,
             closed_at = CASE WHEN b.state = 'closed' THEN coalesce(vulnerable_item.closed_at, $1) ELSE NULL END,
             reopened = b.reopened, state_cause = $2, updated_at = $1
         FROM item_life_batch b WHERE vulnerable_item.id = b.id",
        &[&now, &cause.text()],
    )?;
    let lines: Vec<HistoryRow> = changes.iter().map(|change| line(change)).collect();
    write_history(tx, &lines, by, now)?;
    let changed: Vec<ItemId> = changes.iter().map(|change| change.item).collect();
    follow(tx, &Followed { new: &[], changed: &changed, by }, now)
}

fn line(change: &Change) -> HistoryRow {
    let said = |workflow: Workflow| words(workflow.state, workflow.substate);
    let (before, after) = (said(change.before), said(change.after));
    if before != after {
        return HistoryRow { item_id: change.item, what: "state", before, after };
    }
    let until = |workflow: Workflow| {
        let until = workflow.granted.and_then(|granted| granted.until);
        until.map(|until| until.to_string()).unwrap_or_default()
    };
    let (before, after) = (until(change.before), until(change.after));
    HistoryRow { item_id: change.item, what: "deferral", before, after }
}
