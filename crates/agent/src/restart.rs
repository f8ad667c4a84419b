//! Restarting the host, where an entry needs it: the try is not over when its files are in place, but when the host was started
//! again and the check afterwards finds what was wanted (`fleet-execution.md` 2.4).
//!
//! A rollback needs no approval, but its restart does: that of what it takes back, as long as it holds ([`check_back`]). Without it the
//! rollback is done, and the owner restarts the machine.
//!
//! Five have to agree before this machine goes down: the signed entry says that a restart is needed, the order asks for it, the
//! owner of the machine allows it (the file `allow-restart`; never by default), the server grants a permit for just this task,
//! epoch and question, and the journal has it that this (task, epoch) has not restarted the machine before. Done is told by the
//! boot id, never by an exit code: a machine that comes back under the same boot id was not restarted, and is not restarted again.

use crate::decide;
use crate::evidence::cap;
use crate::executor::Executor;
use crate::failpoint;
use crate::frame::ToNet;
use crate::kinds::REBOOT;
use crate::orders::Restart;
use crate::services;
use catalogue::schema::{Reboot, Reversible};
use domain::mitigation::ControlState;
use protocol::agent::{EventKind, Outcome, TaskEpoch, TaskReport};
use protocol::approval::check_back;
use protocol::order::{Order, OrderKind};

/// A machine is not restarted again so soon after it was started, in seconds, whatever is ordered: it must not spin.
pub const PAUSE_SECONDS: i64 = 600;
/// How long a restart that was begun may take before it is said not to have happened, in seconds.
pub const BEGUN_SECONDS: i64 = 900;
/// Characters kept of why the server denies a restart.
const REASON_CHARS_MAX: usize = 200;
const SECOND: i64 = 1_000_000;

/// How this machine is restarted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restarter {
    /// A program instead of the service manager; for tests, which never restart the machine they run on.
    pub stub: Option<&'static str>,
    /// See [`PAUSE_SECONDS`].
    pub pause_seconds: i64,
    /// When this process took note of a restart that was begun, in microseconds since boot.
    pub noted: Option<i64>,
}

impl Executor {
    /// Restart by this program instead of the service manager, whenever it is: for tests.
    pub fn restart_by(&mut self, program: &'static str) {
        self.restarter.stub = Some(program);
        self.restarter.pause_seconds = 0;
    }

    /// Why this machine is not restarted for an order, if it is not.
    fn no_restart(&self) -> Option<&'static str> {
        let controls = self.state.controls();
        if !controls.restart {
            return Some("the owner of this machine does not allow restarts (`quell-agent allow-restart on`)");
        }
        if controls.halted || controls.monitor_only {
            return Some("the owner of this machine has stopped all changes");
        }
        if self.host.boot_id().is_empty() {
            return Some("this system does not tell its boot id, so nobody could say whether it was restarted");
        }
        // Below another root nothing was started, and the machine around it is none of our business.
        (!self.host.tree.live() && self.restarter.stub.is_none()).then_some("nothing runs below another root")
    }

    /// Why a rollback does not restart this machine now, if it does not: nobody approves a rollback.
    fn unapproved(&self, order: &Order) -> Option<String> {
        if order.kind != OrderKind::Revert {
            return None;
        }
        let Some(approval) = &order.approval else {
            return Some("no approval lets this rollback restart the machine".to_owned());
        };
        let envelope = self.approvals.get(&approval.manifest);
        check_back(&self.root, order, approval, envelope, self.clock.now()).err().map(|fault| fault.to_string())
    }

    /// Hold the report of a try back until the host was restarted; gives it back where that does not happen.
    pub(crate) fn await_restart(&mut self, order: &Order, mut report: TaskReport) -> Option<TaskReport> {
        let done = matches!(report.outcome, Outcome::Succeeded | Outcome::Unchanged | Outcome::Reverted);
        cap(&mut report, order.output_cap_bytes as usize);
        if !order.restart || order.dry_run || self.dry_run || !done || report.restart_needed.as_deref() != Some(REBOOT)
        {
            return Some(report);
        }
        let signed = self.held_entry(&order.entry_id).is_some_and(|entry| {
            let undone = order.kind == OrderKind::Revert && entry.after.reversible == Reversible::AtReboot;
            entry.after.reboot == Reboot::Required || undone
        });
        if !signed {
            return Some(report);
        }
        if let Some(why) = self.no_restart() {
            report.message = format!("{}; not restarted: {why}", report.message);
            return Some(report);
        }
        if let Some(why) = self.unapproved(order) {
            report.message = format!("{}; not restarted: {why}", report.message);
            return Some(report);
        }
        let boot_id = self.host.boot_id();
        let record = decide::waits(&self.book, order, boot_id, Box::new(report.clone()), self.clock.now());
        if let Err(error) = self.record(&record) {
            report.message = format!("{}; not restarted: {error}", report.message);
            return Some(report);
        }
        None
    }

    /// Go on with a restart that a try waits for: ask, or do it. Called between orders, which all come first.
    pub fn tend_restart(&mut self) {
        let micros = self.clock.boot_micros();
        let Some((order, restart)) = self.book.awaiting_restart().into_iter().next() else { return };
        if restart.begun {
            let since = *self.restarter.noted.get_or_insert(micros);
            if micros - since >= BEGUN_SECONDS * SECOND {
                self.restarter.noted = None;
                self.end_restart(&order, restart, "the restart that was begun did not happen; it is not tried again");
            }
            return;
        }
        if self.has_work() || self.unproven.is_some() {
            return;
        }
        if let Some(why) = self.no_restart() {
            return self.end_restart(&order, restart, &format!("not restarted: {why}"));
        }
        if let Some(why) = self.unapproved(&order) {
            return self.end_restart(&order, restart, &format!("not restarted: {why}"));
        }
        // S4 holds for the second half of the work too: a maintenance window is over when it is over.
        if self.clock.now() >= order.not_after {
            return self.end_restart(
                &order,
                restart,
                "not restarted: its turn did not come before the order's time was over",
            );
        }
        let of = TaskEpoch { task: order.task, epoch: order.epoch };
        if micros < self.restarter.pause_seconds * SECOND || self.restarts.waits(of, micros) {
            return;
        }
        let put_back = order.kind == OrderKind::Apply
            && restart.report.outcome == Outcome::Succeeded
            && !self.book.holdings().contains_key(&order.entry_id);
        if put_back {
            return self.end_restart(&order, restart, "not restarted: it was put back meanwhile");
        }
        let head = self.journal.head();
        match self.restarts.permitted(of, self.clock.now(), micros, || crate::executor::nonce(&head)) {
            Err(ask) => self.out.push(ToNet::Restart(ask)),
            Ok(()) => self.begin_restart(&order, restart),
        }
    }

    fn begin_restart(&mut self, order: &Order, restart: Restart) {
        let of = TaskEpoch { task: order.task, epoch: order.epoch };
        if !self.restarts.use_up(of, self.clock.now(), self.clock.boot_micros()) {
            return;
        }
        let record = decide::restarting(&self.book, order, restart.boot_id.clone(), self.clock.now());
        if let Err(error) = self.record(&record) {
            return self.end_restart(order, restart, &format!("not restarted: {error}"));
        }
        self.restarter.noted = Some(self.clock.boot_micros());
        tracing::warn!("restarting this machine for {} ({})", order.job, order.entry_id);
        let done = match self.restarter.stub {
            Some(program) => self.host.call(program, &[]).map(|_| ()),
            None => services::systemctl(&self.host, &["reboot"]),
        };
        if let Err(why) = done {
            self.end_restart(order, restart, &format!("not restarted: {why}"));
        }
    }

    /// The server will not have the host restarted for this task: a halt stands, or the job was cancelled. That only ever reduces
    /// what happens, so nobody has to sign it.
    pub(crate) fn restart_denied(&mut self, of: TaskEpoch, reason: &str) {
        let waits =
            |(order, restart): &(Order, Restart)| (order.task, order.epoch) == (of.task, of.epoch) && !restart.begun;
        if let Some((order, restart)) = self.book.awaiting_restart().into_iter().find(waits) {
            let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
            self.end_restart(&order, restart, &format!("not restarted: {reason}"));
        }
    }

    /// After a start: every try that waited for another boot has it now, and is checked by what is found.
    pub(crate) fn after_restart(&mut self, order: &Order, restart: Restart) {
        let boot_id = self.host.boot_id();
        if boot_id == restart.boot_id || boot_id.is_empty() {
            return;
        }
        let mut report = *restart.report;
        let entry = self.held_entry(&order.entry_id);
        let state = self.probe(entry.as_ref());
        report.restart_needed = None;
        if report.outcome == Outcome::Reverted {
            report.state = if entry.is_some() { state } else { report.state };
        } else {
            report.state = state;
        }
        let found = matches!(state, ControlState::Effective) || report.outcome == Outcome::Reverted;
        if found {
            report.message = format!("{}; the machine was restarted", report.message);
        } else {
            report.outcome = Outcome::VerifyFailed;
            report.left_changed = true;
            report.message = format!("{}; after the restart of the machine the check does not find it", report.message);
        }
        self.end_of_restart(order, report);
    }

    /// The try ends as it was before the restart, which does not come.
    fn end_restart(&mut self, order: &Order, restart: Restart, why: &str) {
        let mut report = *restart.report;
        report.message = format!("{}; {why}", report.message);
        self.end_of_restart(order, report);
    }

    fn end_of_restart(&mut self, order: &Order, mut report: TaskReport) {
        self.restarts.forget(TaskEpoch { task: order.task, epoch: order.epoch });
        cap(&mut report, order.output_cap_bytes as usize);
        failpoint::hit("before-finished");
        self.finish(order, EventKind::Finished(Box::new(report)));
        failpoint::hit("after-finished");
    }
}
