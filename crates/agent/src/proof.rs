//! The dead man's hand on the packet filter: a rule of ours counts only after the server was heard through it.
//!
//! A rule can cut this host off in ways that nobody sees by reading it. So a try that adds one is not over when its check finds
//! the rule: the network half has to bring an answer to a request that was sent after the rule was in force. Until then the
//! journal holds its intent without an end, which is what arms it: when the time runs out everything the try changed is undone
//! here, and when the agent dies it is undone at the next start ([`crate::revert`]). No other order is begun meanwhile.
//!
//! A network half that lies about the answer cuts off nobody but itself.

use crate::evidence::cap;
use crate::executor::Executor;
use crate::failpoint;
use crate::frame::ToNet;
use crate::record::{Holding, Step};
use domain::mitigation::ControlState;
use protocol::agent::{EventKind, Outcome, TaskReport};
use protocol::order::Order;
use std::time::{Duration, Instant};

/// How long a rule may be in force without proof, in seconds.
pub const PROOF_SECONDS: u64 = 60;

/// A try that waits for its proof.
#[derive(Clone, Debug)]
pub(crate) struct Unproven {
    order: Order,
    report: TaskReport,
    until: Instant,
    n: u32,
}

/// Whether steps change what this host lets through.
#[must_use]
pub(crate) fn needs_proof(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Firewall { after: Some(_), .. }))
}

/// Whether a holding was written by a try that needs proof.
#[must_use]
pub(crate) fn was_armed(holding: Option<&Holding>) -> bool {
    holding.is_some_and(|holding| needs_proof(&holding.steps))
}

impl Executor {
    /// How long a rule may be in force without proof; [`PROOF_SECONDS`] unless this is called.
    pub fn prove_within(&mut self, seconds: u64) {
        self.proof = Duration::from_secs(seconds);
    }

    /// Hold the report of a try back until the server was heard.
    pub(crate) fn await_proof(&mut self, order: &Order, report: TaskReport) {
        self.proofs += 1;
        let n = self.proofs;
        tracing::info!(
            "a firewall rule is in force; it stays when the server answers within {} s",
            self.proof.as_secs()
        );
        self.unproven = Some(Unproven { order: order.clone(), report, until: Instant::now() + self.proof, n });
        self.out.push(ToNet::Prove { n });
        failpoint::hit("unproven");
    }

    /// What a fresh network half has to prove.
    pub(crate) fn to_prove(&self) -> Option<ToNet> {
        self.unproven.as_ref().map(|unproven| ToNet::Prove { n: unproven.n })
    }

    /// The server answered a request that was sent after this.
    pub(crate) fn proven(&mut self, n: u32) {
        // An answer to an earlier question says nothing of this rule.
        if let Some(unproven) = self.unproven.take_if(|unproven| unproven.n == n) {
            self.end_of_proof(&unproven.order, unproven.report);
        }
    }

    /// How long until an unproven rule is undone.
    #[must_use]
    pub fn unproven_for(&self, now: Instant) -> Option<Duration> {
        self.unproven.as_ref().map(|unproven| unproven.until.saturating_duration_since(now))
    }

    /// Undo a rule whose time has run out.
    pub fn tend(&mut self, now: Instant) {
        let Some(Unproven { order, mut report, .. }) = self.unproven.take_if(|unproven| now >= unproven.until) else {
            return;
        };
        let steps = self.book.holdings().get(&order.entry_id).map(|held| held.steps.clone()).unwrap_or_default();
        let kept = self.undo(&order.entry_id, &steps, None);
        let waited = self.proof.as_secs();
        report.message = match &kept {
            None => format!("the server did not answer within {waited} s of the rule being in force; it was put back"),
            Some(why) => format!(
                "the server did not answer within {waited} s of the rule being in force; not everything could be put back: {why}"
            ),
        };
        tracing::error!("{}", report.message);
        report.outcome = Outcome::Failed;
        report.left_changed = kept.is_some();
        report.state = if kept.is_none() { ControlState::Exposed } else { ControlState::Unknown };
        (report.origin, report.restart_needed) = (None, None);
        report.actions.iter_mut().for_each(|action| action.did = "failed".to_owned());
        self.end_of_proof(&order, report);
    }

    fn end_of_proof(&mut self, order: &Order, mut report: TaskReport) {
        cap(&mut report, order.output_cap_bytes as usize);
        failpoint::hit("before-finished");
        self.finish(order, EventKind::Finished(Box::new(report)));
        failpoint::hit("after-finished");
    }
}
