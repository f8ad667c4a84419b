//! The items of a record that holds some, as a rescan of it asks for them.

use crate::{Result, Sql, Transaction};
use domain::id::{EffortId, RemediationTaskId};

/// What holds items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A remediation task.
    Task(RemediationTaskId),
    /// An effort.
    Effort(EffortId),
}

impl Holder {
    fn parts(self) -> (&'static str, i64) {
        match self {
            Holder::Task(task) => ("remediation_item x ON x.item_id = i.id AND x.task_id", task.0),
            Holder::Effort(effort) => ("effort_item x ON x.item_id = i.id AND x.effort_id", effort.0),
        }
    }
}

/// The ordinals of what a record holds, the open ones first and of these the worst, at most `limit`.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn held_items(tx: &mut Transaction<'_>, holder: Holder, limit: usize) -> Result<Vec<i64>> {
    let (from, key) = holder.parts();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = Sql::new("SELECT i.number FROM vulnerable_item i JOIN ").text(from).text(" = ").bind(&key);
    let order = " ORDER BY CASE WHEN i.state = 'closed' THEN 1 ELSE 0 END, i.residual DESC, i.id LIMIT ";
    let rows: Vec<(i64,)> = tx.all_built(&sql.text(order).bind(&limit))?;
    Ok(rows.into_iter().map(|(number,)| number).collect())
}

/// How many items of a record are not closed, and how many of these come from another product.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn held_open(tx: &mut Transaction<'_>, holder: Holder, product: &str) -> Result<(i64, i64)> {
    let (from, key) = holder.parts();
    let sql = Sql::new("SELECT count(*), coalesce(sum(CASE WHEN n.product = ").bind(&product);
    let sql = sql.text(" THEN 0 ELSE 1 END), 0) FROM vulnerable_item i JOIN ").text(from).text(" = ").bind(&key);
    let sql = sql.text(" JOIN integration_instance n ON n.id = i.instance_id WHERE i.state <> 'closed'");
    let rows: Vec<(i64, i64)> = tx.all_built(&sql)?;
    Ok(rows.first().copied().unwrap_or_default())
}
