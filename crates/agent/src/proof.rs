//! The dead man's hand on what this host is reached by: a change there counts only after the server was heard through it.
//!
//! A rule of the packet filter, a parameter of the kernel's network, a stopped unit, a removed package or a restart of what carries
//! the network can cut this host off in ways that nobody sees by reading the entry. So a try that does one of these on the live
//! system is not over when its check finds the wanted state: the network half has to bring an answer to a request that was sent
//! after the change was in force, over a connection of its own ([`crate::net`]). Until then the journal holds its intent without an
//! end, which is what arms it: when the time runs out everything the try changed is undone here, and when the agent dies it is
//! undone at the next start ([`crate::revert`]). No other order is begun meanwhile.
//!
//! A network half that lies about the answer cuts off nobody but itself.

use crate::deadline::Deadline;
use crate::evidence::cap;
use crate::executor::Executor;
use crate::failpoint;
use crate::frame::ToNet;
use crate::record::{Holding, Step};
use crate::services::Restarted;
use catalogue::actions::rails;
use catalogue::schema::Entry;
use domain::mitigation::ControlState;
use protocol::agent::{EventKind, Outcome, TaskReport};
use protocol::order::Order;
use std::time::{Duration, Instant};

/// How long a change may be in force without proof, in seconds.
pub const PROOF_SECONDS: u64 = domain::task::PROOF_SECONDS.unsigned_abs();

/// Files by which names, the server's among them, become addresses.
const NAME_FILES: [&str; 5] =
    ["/etc/gai.conf", "/etc/host.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf"];

/// A try that waits for its proof.
#[derive(Clone, Debug)]
pub(crate) struct Unproven {
    order: Order,
    report: TaskReport,
    /// What the try restarted.
    restarted: Restarted,
    until: Instant,
    n: u32,
}

/// Whether a try can have cut this host off: by its steps, or by what its entry restarts after them. Below another root nothing of
/// it runs, so nobody is cut off there.
#[must_use]
pub(crate) fn needs_proof(steps: &[Step], entry: Option<&Entry>, live: bool) -> bool {
    let restarts = entry.is_some_and(|entry| rails::restarts_access(&entry.after.restart));
    steps.iter().any(|step| cuts(step, live)) || (live && !steps.is_empty() && restarts)
}

fn cuts(step: &Step, live: bool) -> bool {
    match step {
        Step::File { path, .. } => live && NAME_FILES.contains(&path.as_str()),
        // There is such a step on a live system only.
        Step::Firewall { after, .. } => after.is_some(),
        Step::Kernel { path, .. } => live && path.starts_with("/proc/sys/net/"),
        Step::Stop { .. } | Step::Link { .. } | Step::Remove { .. } => live,
        Step::Service { after, .. } => live && !after.running,
        _ => false,
    }
}

/// Whether a holding was written by a try that needs proof.
#[must_use]
pub(crate) fn was_armed(holding: Option<&Holding>, entry: Option<&Entry>, live: bool) -> bool {
    holding.is_some_and(|holding| needs_proof(&holding.steps, entry, live))
}

impl Executor {
    /// How long a change may be in force without proof; [`PROOF_SECONDS`] unless this is called.
    pub fn prove_within(&mut self, seconds: u64) {
        self.proof = Duration::from_secs(seconds);
    }

    /// Hold the report of a try back until the server was heard.
    pub(crate) fn await_proof(&mut self, order: &Order, report: TaskReport, restarted: Restarted) {
        self.proofs += 1;
        let n = self.proofs;
        tracing::info!(
            "a change of what this host is reached by is in force; it stays when the server answers within {} s",
            self.proof.as_secs()
        );
        let until = Instant::now() + self.proof;
        self.unproven = Some(Unproven { order: order.clone(), report, restarted, until, n });
        self.out.push(ToNet::Prove { n });
        failpoint::hit("unproven");
    }

    /// What a fresh network half has to prove.
    pub(crate) fn to_prove(&self) -> Option<ToNet> {
        self.unproven.as_ref().map(|unproven| ToNet::Prove { n: unproven.n })
    }

    /// The server answered a request that was sent after this.
    pub(crate) fn proven(&mut self, n: u32) {
        // An answer to an earlier question says nothing of this change.
        if let Some(unproven) = self.unproven.take_if(|unproven| unproven.n == n) {
            // What waits for a restart goes on from here.
            if let Some(report) = self.await_restart(&unproven.order, unproven.report) {
                self.end_of_proof(&unproven.order, report);
            }
        }
    }

    /// How long until an unproven change is undone.
    #[must_use]
    pub fn unproven_for(&self, now: Instant) -> Option<Duration> {
        self.unproven.as_ref().map(|unproven| unproven.until.saturating_duration_since(now))
    }

    /// Undo a change whose time has run out.
    pub fn tend(&mut self, now: Instant) {
        let Some(unproven) = self.unproven.take_if(|unproven| now >= unproven.until) else { return };
        let Unproven { order, mut report, restarted, .. } = unproven;
        let undone = self.undo_try(&order, Some(&restarted));
        self.host.until = Deadline::NEVER;
        let (waited, said) = (self.proof.as_secs(), undone.said("it"));
        report.message = format!("the server did not answer within {waited} s of the change being in force; {said}");
        tracing::error!("{}", report.message);
        report.outcome = Outcome::Failed;
        report.left_changed = undone.left_changed();
        report.state = if undone.left_changed() { ControlState::Unknown } else { ControlState::Exposed };
        (report.origin, report.restart_needed) = (None, undone.restart_needed());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Package;

    #[test]
    fn what_can_cut_a_running_host_off_has_to_be_proven_and_nothing_else() {
        let text = str::to_owned;
        let kernel = |path: &str| Step::Kernel { path: text(path), before: text("0"), after: text("1") };
        let link = Step::Link {
            path: text("/etc/systemd/system/x.service"),
            before: None,
            after: Some(text("/dev/null")),
            made: vec![],
        };
        let package = Package { name: text("x"), version: text("1") };
        let mode = Step::Mode { path: text("/usr/bin/x"), before: 0o4755, after: 0o755, mark: None };
        let file = |path: &str| Step::File { path: text(path), before: None, after: None, made: vec![] };
        let rows = [
            (kernel("/proc/sys/net/ipv6/conf/all/disable_ipv6"), true),
            (kernel("/proc/sys/kernel/dmesg_restrict"), false),
            (link, true),
            (file("/etc/resolv.conf"), true),
            (file("/etc/hosts"), true),
            (file("/etc/nsswitch.conf"), true),
            (file("/etc/hosts.x"), false),
            (Step::Stop { unit: text("cups.service") }, true),
            (Step::Start { unit: text("cups.service") }, false),
            (Step::Remove { packages: vec![package.clone()] }, true),
            (Step::Install { packages: vec![package] }, false),
            (mode.clone(), false),
        ];
        for (step, proves) in rows {
            assert_eq!(needs_proof(std::slice::from_ref(&step), None, true), proves, "{step:?}");
            assert!(
                !needs_proof(std::slice::from_ref(&step), None, false),
                "nothing runs below another root: {step:?}"
            );
        }
        let rule = |before, after| Step::Firewall { name: text("x"), before, after };
        assert!(needs_proof(&[rule(None, Some(text("drop")))], None, true));
        assert!(!needs_proof(&[rule(Some(text("drop")), None)], None, true), "what is taken away lets more through");

        let entries = catalogue::embedded::entries().unwrap();
        let restarting = |unit: &str| entries.iter().find(|e| e.after.restart.iter().any(|name| name.as_str() == unit));
        let mode = [mode];
        assert!(needs_proof(&mode, restarting("sshd"), true) && !needs_proof(&mode, restarting("sshd"), false));
        assert!(!needs_proof(&[], restarting("sshd"), true), "nothing was changed, so nothing was restarted");
        assert!(restarting("smbd").is_some() && !needs_proof(&mode, restarting("smbd"), true));
    }
}
