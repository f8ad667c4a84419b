//! Rollbacks that restart their hosts: they need no approval, but their restarts keep to the approval under which was put in place
//! what they take back, as long as it holds.
//!
//! What that comes to is `protocol::approval::check_back`'s to say; agents ask it, too.

use super::bound::{Approvals, named};
use crate::engine::catalogue::Roots;
use crate::http::error::Error;
use domain::approval::State;
use domain::time::Timestamp;
use protocol::approval::{CAPABILITY, MANIFEST_BYTES_MAX, check_back};
use protocol::order::{ORDER_BYTES_MAX, Order, OrderKind};
use protocol::signed::Envelope;
use std::collections::BTreeSet;
use store::agents::AgentRow;
use store::tasks::TaskRow;
use store::{Transaction, approvals};

/// How a task that takes something back is called.
pub(super) const REVERT: &str = "revert";

impl Approvals {
    /// Name the approval by which the host of a rollback may be restarted; where there is none the order restarts nothing.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn bind_back(
        &mut self,
        tx: &mut Transaction<'_>,
        agent: &AgentRow,
        task: &TaskRow,
        capabilities: &BTreeSet<String>,
        order: Order,
        now: Timestamp,
    ) -> Result<Order, Error> {
        if order.kind != OrderKind::Revert || !order.restart {
            return Ok(order);
        }
        // An agent that knows no approvals takes no order that names one.
        let runs = match capabilities.contains(CAPABILITY) {
            true => approvals::put_by(tx, task.asset_id, task.entry_key)?,
            false => Vec::new(),
        };
        for run in runs {
            let Some(row) = self.of(tx, run)?.filter(|row| row.state == State::Approved) else { continue };
            let Some(approval) = named(tx, &row, agent)? else { continue };
            let named = Order { approval: Some(approval), ..order.clone() };
            if holds(tx, &mut self.roots, &named, now)?.is_ok() {
                return Ok(named);
            }
        }
        Ok(Order { restart: false, ..order })
    }
}

/// How many hosts may be restarted at once together with the one of a rollback's task, by the approval that its order names; or why
/// its host is not restarted.
///
/// # Errors
/// A failure of the store.
pub fn restarts(tx: &mut Transaction<'_>, task: &TaskRow, now: Timestamp) -> Result<Result<u32, String>, Error> {
    match task.order_envelope.as_deref().and_then(read) {
        Some(order) => holds(tx, &mut Roots::default(), &order, now),
        None => Ok(Err("there is no order that asks for it".to_owned())),
    }
}

/// The envelope of the approval that the order of a rollback names, if it names one.
pub(super) fn envelope(tx: &mut Transaction<'_>, order: &str) -> Result<Option<String>, Error> {
    let Some(approval) = read(order).and_then(|order| order.approval) else { return Ok(None) };
    Ok(approvals::signed_as(tx, &approval.manifest.to_string())?)
}

fn holds(
    tx: &mut Transaction<'_>,
    roots: &mut Roots,
    order: &Order,
    now: Timestamp,
) -> Result<Result<u32, String>, Error> {
    let Some(approval) = &order.approval else {
        return Ok(Err("no approval lets this rollback restart the host".to_owned()));
    };
    let signed = approvals::signed_as(tx, &approval.manifest.to_string())?;
    let envelope = signed.and_then(|text| Envelope::parse(text.as_bytes(), MANIFEST_BYTES_MAX).ok());
    let Some(root) = roots.in_force(tx)? else { return Ok(Err("no root metadata is in force".to_owned())) };
    Ok(check_back(root, order, approval, envelope.as_ref(), now).map_err(|fault| fault.to_string()))
}

/// An order out of its envelope: one of our own, as it is kept.
fn read(envelope: &str) -> Option<Order> {
    let envelope = Envelope::parse(envelope.as_bytes(), ORDER_BYTES_MAX).ok()?;
    serde_json::from_slice(envelope.unverified_payload()).ok()
}
