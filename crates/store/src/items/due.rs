//! The due dates of items: kept as items change, and reckoned again after other days were set.
//!
//! [`domain::due`] decides; here its input is read and what differs is written, set by set.

use super::merge::{HistoryRow, write_history};
use crate::settings::{self, Setting};
use crate::{Result, Sql, Transaction, record, remediation, stage};
use domain::due::{self, Days, Due, Ending, Of, Target};
use domain::id::ItemId;
use domain::item::{State, Substate};
use domain::score::Band;
use domain::time::Timestamp;

/// The setting's name.
pub const SETTING: &str = "due.days";
/// Items that are reckoned again in one transaction.
pub const PORTION: i64 = 5_000;

/// The days that hold now, and by which revision items are marked that were reckoned by them.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// The days.
    pub days: Days,
    /// The version of the setting, 0 where it was never set.
    pub version: i64,
}

impl Kept {
    /// What items carry that were reckoned by these days.
    #[must_use]
    pub fn rev(&self) -> i64 {
        self.version + 1
    }
}

/// The days that hold now.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn kept(tx: &mut Transaction<'_>) -> Result<Kept> {
    let found: Option<Setting<Days>> = settings::get(tx, SETTING)?;
    Ok(found.map_or(Kept { days: Days::default(), version: 0 }, |setting| Kept {
        days: setting.value,
        version: setting.version,
    }))
}

/// What a due date says where it is shown.
#[must_use]
pub fn shown(at: Option<Timestamp>, soon: Option<Timestamp>, ending: Ending, state: State, now: Timestamp) -> Target {
    due::target(Due { at, soon, ending, ..Due::UNSET }, state, now)
}

record! {
    struct DueOf {
        id: ItemId,
        state: State,
        substate: Substate,
        residual: u8,
        opened_at: Timestamp,
        resolved_at: Option<Timestamp>,
        closed_at: Option<Timestamp>,
        due_band: Option<Band>,
        due_from_at: Option<Timestamp>,
        due_at: Option<Timestamp>,
        due_soon_at: Option<Timestamp>,
        due_ending: Ending,
        due_rev: i64,
    }
}

impl DueOf {
    fn due(&self) -> Due {
        Due {
            band: self.due_band,
            from: self.due_from_at,
            at: self.due_at,
            soon: self.due_soon_at,
            ending: self.due_ending,
        }
    }

    fn of(&self) -> Of {
        Of {
            state: self.state,
            substate: self.substate,
            residual: self.residual,
            opened_at: self.opened_at,
            resolved_at: self.resolved_at,
            closed_at: self.closed_at,
        }
    }
}

struct DueRow {
    id: ItemId,
    due_band: Option<Band>,
    due_from_at: Option<Timestamp>,
    due_at: Option<Timestamp>,
    due_soon_at: Option<Timestamp>,
    due_ending: Ending,
}
stage!(DueRow as "item_due_batch" {
    id: ItemId, due_band: Option<Band>, due_from_at: Option<Timestamp>, due_at: Option<Timestamp>,
    due_soon_at: Option<Timestamp>, due_ending: Ending,
});

const COLUMNS: &str =
    "SELECT i.id, i.state, i.substate, i.residual, i.opened_at, i.resolved_at, i.closed_at, i.due_band,
         i.due_from_at, i.due_at, i.due_soon_at, i.due_ending, i.due_rev
     FROM vulnerable_item i WHERE ";

/// Let the due dates of these items follow what happened to them. `new` ones are reckoned from nothing.
pub(super) fn follow(
    tx: &mut Transaction<'_>,
    new: &[ItemId],
    changed: &[ItemId],
    by: &str,
    now: Timestamp,
) -> Result<()> {
    keep(tx, new, Some(Due::UNSET), by, now)?;
    keep(tx, changed, None, by, now)
}

/// Let the due dates of these items follow a rise of their scores.
pub(crate) fn rescored(tx: &mut Transaction<'_>, items: &[ItemId], by: &str, now: Timestamp) -> Result<()> {
    keep(tx, items, None, by, now)
}

fn keep(tx: &mut Transaction<'_>, items: &[ItemId], before: Option<Due>, by: &str, now: Timestamp) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let kept = kept(tx)?;
    let keys: Vec<i64> = items.iter().map(|item| item.0).collect();
    let rows: Vec<DueOf> = tx.all_built(&Sql::new(COLUMNS).text("i.id {in ").bind(&keys).text("} ORDER BY i.id"))?;
    let moved = |row: &DueOf| {
        let before = match before {
            Some(before) => before,
            None if row.due_rev < kept.rev() => due::again(&kept.days, row.due(), row.of(), now),
            None => row.due(),
        };
        due::after(&kept.days, before, row.of(), now)
    };
    let rows: Vec<(DueOf, Due)> = rows.into_iter().map(|row| (moved(&row), row)).map(|(due, row)| (row, due)).collect();
    write(tx, &kept, rows, by, now)
}

/// Write what differs. A date that moved is told anew when it is over.
fn write(tx: &mut Transaction<'_>, kept: &Kept, rows: Vec<(DueOf, Due)>, by: &str, now: Timestamp) -> Result<()> {
    let differs = |(row, due): &(DueOf, Due)| row.due() != *due || row.due_rev != kept.rev();
    let rows: Vec<(DueOf, Due)> = rows.into_iter().filter(differs).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let staged: Vec<DueRow> = rows
        .iter()
        .map(|(row, due)| DueRow {
            id: row.id,
            due_band: due.band,
            due_from_at: due.from,
            due_at: due.at,
            due_soon_at: due.soon,
            due_ending: due.ending,
        })
        .collect();
    tx.stage(&staged)?;
    tx.execute(
        "UPDATE vulnerable_item SET due_band = b.due_band, due_from_at = b.due_from_at, due_at = b.due_at,
             due_soon_at = b.due_soon_at, due_ending = b.due_ending, due_rev = $1,
             due_told_at = CASE WHEN b.due_at = vulnerable_item.due_at THEN vulnerable_item.due_told_at END
         FROM item_due_batch b WHERE vulnerable_item.id = b.id",
        &[&kept.rev()],
    )?;
    let said = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let lines: Vec<HistoryRow> = rows
        .iter()
        .filter(|(row, due)| row.due_at.is_some() && row.due_at != due.at)
        .map(|(row, due)| HistoryRow { item_id: row.id, what: "due", before: said(row.due_at), after: said(due.at) })
        .collect();
    write_history(tx, &lines, by, now)?;
    let dated: Vec<ItemId> = rows.iter().filter(|(row, due)| row.due_at != due.at).map(|(row, _)| row.id).collect();
    remediation::rescored(tx, &dated, by, now)
}

/// Whether items wait to be reckoned by the days that hold now.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn any_behind(tx: &mut Transaction<'_>) -> Result<bool> {
    let rev = kept(tx)?.rev();
    let found: i64 = tx.scalar(
        "SELECT count(*) FROM (SELECT 1 AS one FROM vulnerable_item WHERE due_rev < $1 LIMIT 1) AS some_behind",
        &[&rev],
    )?;
    Ok(found > 0)
}

/// How many items wait for that.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn waiting(tx: &mut Transaction<'_>) -> Result<i64> {
    let rev = kept(tx)?.rev();
    tx.scalar("SELECT count(*) FROM vulnerable_item WHERE due_rev < $1", &[&rev])
}

/// Reckon a portion of the items that wait for it; gives how many. Done when that is none.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn catch_up(tx: &mut Transaction<'_>, by: &str, now: Timestamp) -> Result<usize> {
    let kept = kept(tx)?;
    let first = Sql::new(COLUMNS).text("i.due_rev < ").bind(&kept.rev());
    let rows: Vec<DueOf> = tx.all_built(&first.text(" ORDER BY i.due_rev, i.id LIMIT ").bind(&PORTION))?;
    let count = rows.len();
    let rows = rows.into_iter().map(|row| {
        let due = due::again(&kept.days, row.due(), row.of(), now);
        (row, due)
    });
    let rows = rows.collect();
    write(tx, &kept, rows, by, now)?;
    Ok(count)
}

/// What other days would do to the items that are not closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Items that are not closed.
    pub items: i64,
    /// Of these: get another date, or lose or get one.
    pub moved: i64,
    /// To an earlier one.
    pub earlier: i64,
    /// Overdue now.
    pub overdue_before: i64,
    /// Overdue then.
    pub overdue: i64,
}

/// What these days would do; nothing is written.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn preview(tx: &mut Transaction<'_>, days: &Days, now: Timestamp) -> Result<Preview> {
    let held = kept(tx)?;
    let mut seen = Preview::default();
    let mut after = ItemId(0);
    loop {
        let portion = Sql::new(COLUMNS).text("i.state <> 'closed' AND i.id > ").bind(&after);
        let rows: Vec<DueOf> = tx.all_built(&portion.text(" ORDER BY i.id LIMIT ").bind(&PORTION))?;
        for row in &rows {
            // What still waits for the days that hold now is compared as it will be.
            let before = match row.due_rev < held.rev() {
                true => due::again(&held.days, row.due(), row.of(), now),
                false => row.due(),
            };
            let then = due::again(days, before, row.of(), now);
            let late = |due: Due| i64::from(due::target(due, row.state, now) == Target::Missed);
            seen.items += 1;
            seen.moved += i64::from(before.at != then.at);
            let sooner = then.at.is_some_and(|then| before.at.is_none_or(|before| then < before));
            seen.earlier += i64::from(sooner);
            seen.overdue_before += late(before);
            seen.overdue += late(then);
        }
        let Some(last) = rows.last() else { return Ok(seen) };
        after = last.id;
    }
}
