//! Whether an order keeps to an approval that people signed.

use super::merkle::target;
use super::{ApprovalFault, Approved, Manifest, OrderApproval};
use crate::order::{Order, OrderKind};
use crate::root::Root;
use crate::signed::Envelope;
use domain::time::Timestamp;

/// Check that an order keeps to the approval it names: `envelope` is what came with that digest.
///
/// # Errors
/// See [`ApprovalFault`]; [`ApprovalFault::code`] is the agent's answer.
pub fn check(
    root: &Root,
    order: &Order,
    approval: &OrderApproval,
    envelope: Option<&Envelope>,
    now: Timestamp,
) -> Result<(), ApprovalFault> {
    opened(root, approval, envelope)?.covers(order, approval, now)
}

/// Check that the host of a rollback may be restarted now by the approval that its order names, which is one under which was put in
/// place what it takes back; gives how many hosts that one lets be restarted at once.
///
/// A rollback itself needs no approval, however late it comes. But people who signed that no host is restarted, or none outside of a
/// window, did not sign that a rollback does it.
///
/// # Errors
/// See [`ApprovalFault`]; then the host is not restarted, and the rollback is done all the same.
pub fn check_back(
    root: &Root,
    order: &Order,
    approval: &OrderApproval,
    envelope: Option<&Envelope>,
    now: Timestamp,
) -> Result<u32, ApprovalFault> {
    let manifest = opened(root, approval, envelope)?;
    if (manifest.kind, manifest.run, order.kind) != (OrderKind::Apply, approval.run, OrderKind::Revert) {
        let approved = format!("run {} of {}", manifest.run, manifest.job);
        return Err(ApprovalFault::Mismatch { approved, ordered: format!("to take back run {}", approval.run) });
    }
    manifest.lists(order)?;
    manifest.aims_at(order, approval)?;
    manifest.holds(now)?;
    manifest.rollout.restarts.ok_or_else(no_restart)
}

fn opened(root: &Root, approval: &OrderApproval, envelope: Option<&Envelope>) -> Result<Manifest, ApprovalFault> {
    let envelope = envelope.ok_or(ApprovalFault::Missing(approval.manifest))?;
    let (manifest, digest) = Manifest::open(root, envelope)?;
    if digest == approval.manifest { Ok(manifest) } else { Err(ApprovalFault::WrongManifest) }
}

fn beyond(approved: &str, ordered: &str) -> ApprovalFault {
    ApprovalFault::Mismatch { approved: approved.to_owned(), ordered: ordered.to_owned() }
}

fn no_restart() -> ApprovalFault {
    beyond("a run that restarts no host", "the host to be restarted")
}

impl Manifest {
    fn covers(&self, order: &Order, approval: &OrderApproval, now: Timestamp) -> Result<(), ApprovalFault> {
        let kind = |kind: OrderKind| serde_json::to_value(kind).ok().and_then(|word| word.as_str().map(str::to_owned));
        let what =
            |job: &str, run: u64, of: OrderKind| format!("{} in run {run} of {job}", kind(of).unwrap_or_default());
        if (&self.job, self.run, self.kind) != (&order.job, approval.run, order.kind) {
            let approved = what(&self.job, self.run, self.kind);
            return Err(ApprovalFault::Mismatch { approved, ordered: what(&order.job, approval.run, order.kind) });
        }
        self.lists(order)?;
        self.aims_at(order, approval)?;
        self.allows(order)?;
        let until = self.holds(now)?;
        // Started later than it was taken, it would start outside of what was approved.
        if order.not_after > until {
            return Err(self.out_of_time(format!("the order may start until {}", order.not_after)));
        }
        Ok(())
    }

    /// Whether the entry of an order, with these very bytes, is one of those that were approved.
    fn lists(&self, order: &Order) -> Result<(), ApprovalFault> {
        let same = |entry: &&Approved| {
            entry.id == order.entry_id
                && entry.revision == order.entry_revision
                && entry.digest.to_string() == order.content_digest
        };
        if self.entries.iter().find(same).is_some() {
            return Ok(());
        }
        let names = self.entries.iter().map(|entry| format!("{} revision {}", entry.id, entry.revision));
        Err(ApprovalFault::Mismatch {
            approved: names.take(5).collect::<Vec<_>>().join(", "),
            ordered: format!("{} revision {} ({})", order.entry_id, order.entry_revision, order.content_digest),
        })
    }

    /// Whether the installation that an order is for is one of those that were approved.
    fn aims_at(&self, order: &Order, approval: &OrderApproval) -> Result<(), ApprovalFault> {
        let proven = approval.proof.size == self.targets
            && approval.proof.root(target(order.agent_id, order.instance_id)) == Some(self.targets_root);
        if proven { Ok(()) } else { Err(ApprovalFault::NotTarget { targets: self.targets }) }
    }

    /// Whether an order asks for no more of its host than the rollout that was signed (`fleet-execution.md` 2.4).
    fn allows(&self, order: &Order) -> Result<(), ApprovalFault> {
        if order.restart && self.rollout.restarts.is_none() {
            return Err(no_restart());
        }
        if self.rollout.permits && !order.permit {
            return Err(beyond("starts that ask for a permit each", "a start without one"));
        }
        Ok(())
    }

    /// Whether something may start by it now; gives the first instant that is too late.
    fn holds(&self, now: Timestamp) -> Result<Timestamp, ApprovalFault> {
        let (from, until) = self.times();
        if now < from || now >= until { Err(self.out_of_time(format!("it is {now}"))) } else { Ok(until) }
    }

    fn times(&self) -> (Timestamp, Timestamp) {
        (self.valid_from.max(self.starts.from), self.valid_until.min(self.starts.until))
    }

    fn out_of_time(&self, what: String) -> ApprovalFault {
        let (from, until) = self.times();
        ApprovalFault::OutOfTime { from, until, what }
    }
}
