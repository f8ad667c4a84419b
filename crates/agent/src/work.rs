//! Doing an order: plan, intent, prior state, effects, check, result, in that order, each durable before the next (S3).
//!
//! A failure puts back what this try changed. A crash is not repaired but reported: what is found by looking is the answer.

use crate::deadline::Deadline;
use crate::decide;
use crate::evidence::{cap, evidence, notes, report, show};
use crate::executor::Executor;
use crate::failpoint;
use crate::fs::Image;
use crate::kinds::{self, Edit, Finding, Presence, REBOOT, Workspace};
use crate::proof::needs_proof;
use crate::record::{By, Hold, Holding, Record, Step};
use crate::services::{self, Restarted};
use crate::state::StateDir;
use crate::steps::perform;
use crate::undo::Undone;
use crate::validators;
use crate::verify::{may_start, reads_only};
use catalogue::applies::Applicability;
use catalogue::schema::{Entry, Reboot};
use domain::mitigation::{ControlState, Origin};
use protocol::agent::{EventKind, Outcome, TaskReport};
use protocol::order::{Order, OrderKind};

/// A plan for the actions of one entry that are not in place.
struct Planned {
    steps: Vec<Step>,
    holds: Vec<Hold>,
    diffs: Vec<String>,
    files: Vec<Vec<String>>,
    images: Vec<Image>,
    /// What is ours of this entry already.
    earlier: Option<Holding>,
}

/// Why a try failed.
struct Broken {
    outcome: Outcome,
    reason: String,
}

impl Broken {
    /// What failed now, or was cut off because the order's time is over.
    fn now(order: &Order, until: Deadline, reason: String) -> Self {
        match until.passed() {
            false => Self { outcome: Outcome::Failed, reason },
            true => Self { outcome: Outcome::TimedOut, reason: late(order, &reason) },
        }
    }
}

impl Executor {
    /// Do one order that was taken, whatever comes of it.
    pub(crate) fn work(&mut self, order: &Order) {
        if let Err((code, reason)) = may_start(order, &self.state.controls(), self.clock.now()) {
            self.finish(order, EventKind::Refused { code, reason, order: String::new() });
            return;
        }
        self.host.until = Deadline::of(order);
        let report = match order.kind {
            OrderKind::Revert => self.revert(order),
            OrderKind::Check | OrderKind::Plan | OrderKind::Apply => self.with_entry(order),
        };
        self.host.until = Deadline::NEVER;
        let Some(mut report) = report.and_then(|report| self.await_restart(order, report)) else { return };
        cap(&mut report, order.output_cap_bytes as usize);
        failpoint::hit("before-finished");
        self.finish(order, EventKind::Finished(Box::new(report)));
        failpoint::hit("after-finished");
    }

    pub(crate) fn finish(&mut self, order: &Order, end: EventKind) {
        self.ended_while_checked(order, &end);
        let record = decide::ended(&self.book, order, end, self.clock.now());
        if let Err(error) = self.record(&record) {
            // Without the record a restart reports it as interrupted: late, never wrong.
            tracing::error!("a result was not journalled: {error}");
        }
    }

    fn with_entry(&mut self, order: &Order) -> Option<TaskReport> {
        let bytes = self.state.content(&order.content_digest).unwrap_or_default();
        let entry = match self.admit(order, &bytes) {
            Ok(entry) => entry.entry().clone(),
            Err((code, reason)) => {
                // Revoked or replaced between taking and starting.
                self.finish(order, EventKind::Refused { code, reason, order: String::new() });
                return None;
            }
        };
        self.host.refresh();
        if !entry.platform.covers(self.host.platform()) {
            let text = format!("the entry is for {}", entry.platform.as_str());
            return Some(report(Outcome::NotApplicable, ControlState::NotApplicable, text));
        }
        match entry.applies.decide(&self.host) {
            Applicability::Applicable => {}
            Applicability::NotApplicable(reason) => {
                return Some(report(Outcome::NotApplicable, ControlState::NotApplicable, reason));
            }
            Applicability::Unknown(reason) => {
                let outcome = if reads_only(order) { Outcome::Reported } else { Outcome::Failed };
                return Some(report(outcome, ControlState::Unknown, format!("{reason}; nothing was changed")));
            }
        }
        match order.kind {
            OrderKind::Check => Some(self.checked(&entry)),
            _ if reads_only(order) || self.dry_run => Some(self.planned(&entry)),
            _ => self.apply(order, &entry),
        }
    }

    /// The state of an entry here, for a check.
    pub(crate) fn checked(&self, entry: &Entry) -> TaskReport {
        let findings = kinds::check_all(entry, &self.host, &Workspace::new(&self.host.tree));
        let state = self.entry_state(entry, &findings);
        let mut report = report(Outcome::Reported, state, notes(&findings, "checked"));
        report.origin = self.origin(entry, state);
        report.actions = evidence(entry, &findings, &findings, "checked");
        report
    }

    fn planned(&self, entry: &Entry) -> TaskReport {
        let findings = kinds::check_all(entry, &self.host, &Workspace::new(&self.host.tree));
        let state = self.entry_state(entry, &findings);
        match self.plan(entry, &findings) {
            Err(reason) => report(Outcome::Reported, state, format!("it cannot be applied: {reason}")),
            Ok((planned, after)) => {
                let text = if planned.steps.is_empty() { "nothing to change" } else { "this would be changed" };
                let mut report = report(Outcome::Reported, state, text.to_owned());
                report.origin = self.origin(entry, state);
                report.actions = evidence(entry, &findings, &after, "planned");
                show(&mut report.actions, &planned.diffs, &planned.files);
                report
            }
        }
    }

    /// Plan all actions that are not in place, and check the result in the plan.
    fn plan(&self, entry: &Entry, findings: &[Finding]) -> Result<(Planned, Vec<Finding>), String> {
        let conflicts = entry.applies.conflicts.iter().find(|id| self.book.holdings().contains_key(id.as_str()));
        if let Some(other) = conflicts {
            return Err(format!("it must not be combined with {other}, which is in force here"));
        }
        let mut workspace = Workspace::new(&self.host.tree);
        let mut holds = Vec::new();
        let mut touched = Vec::new();
        for (at, (action, finding)) in entry.actions.iter().zip(findings).enumerate() {
            let key = kinds::key(action);
            let other = self.book.other_holder(&key, entry.id.as_str());
            let (by, edit) = match (finding.presence, other) {
                (Presence::NotHere, _) => {
                    touched.push(Vec::new());
                    continue;
                }
                (Presence::Unknown, _) => return Err(format!("{}: {}", action.target(), finding.note)),
                (Presence::Present | Presence::Partial, Some(_)) => (By::AnotherEntry, Edit::None),
                (Presence::Present | Presence::Partial, None) => (By::Others, Edit::None),
                (Presence::Absent | Presence::Lapsed, Some(other)) => {
                    return Err(format!("{} is held by {other} with another value", action.target()));
                }
                (Presence::Absent | Presence::Lapsed, None) => {
                    let edit = kinds::plan(action, &self.host, &mut workspace).map_err(|error| error.to_string())?;
                    (By::Us, edit)
                }
            };
            touched.push(workspace.take_touched());
            let index = u32::try_from(at).unwrap_or(u32::MAX);
            let (kind, target) = (action.kind().to_owned(), action.target());
            let (edit, xml) = match edit {
                Edit::None => (None, None),
                Edit::Setting(edit) => (Some(edit), None),
                Edit::Xml(edit) => (None, Some(edit)),
            };
            holds.push(Hold { index, kind, key, target, by, steps: Vec::new(), edit, xml });
        }
        let steps = workspace.steps().map_err(|error| error.to_string())?;
        for hold in &mut holds {
            let places = touched.get(hold.index as usize).map(Vec::as_slice).unwrap_or_default();
            let of = steps.iter().zip(0_u32..).filter(|(step, _)| places.contains(&step.place()));
            hold.steps = of.map(|(_, at)| at).collect();
        }
        let diffs = touched.iter().map(|places| places.iter().map(|place| workspace.diff(place)).collect()).collect();
        let images = steps.iter().filter_map(|step| workspace.images(&step.place()).1.cloned()).collect();
        let after = kinds::check_all(entry, &self.host, &workspace);
        let earlier = self.book.holdings().get(entry.id.as_str()).cloned();
        Ok((Planned { steps, holds, diffs, files: touched, images, earlier }, after))
    }

    fn apply(&mut self, order: &Order, entry: &Entry) -> Option<TaskReport> {
        let findings = kinds::check_all(entry, &self.host, &Workspace::new(&self.host.tree));
        let before = self.entry_state(entry, &findings);
        let until = self.host.until;
        let fail = |reason: String| {
            let Broken { outcome, reason } = Broken::now(order, until, reason);
            let mut failed = report(outcome, before, format!("{reason}; nothing was changed"));
            failed.actions = evidence(entry, &findings, &findings, "failed");
            Some(failed)
        };
        if before == ControlState::NotApplicable {
            return Some(report(Outcome::NotApplicable, before, notes(&findings, "nothing of it is here")));
        }
        let planned = match self.plan(entry, &findings) {
            Ok((planned, _)) => planned,
            Err(reason) => return fail(reason),
        };
        if planned.steps.is_empty() {
            return Some(self.unchanged(order, entry, &findings, planned.holds));
        }
        if let Err(fault) = validators::staged(entry, &self.host, &self.state, &planned.images, &planned.steps) {
            return fail(fault.to_string());
        }
        // Everything above only looks, so it is done again once the permit is here.
        if !self.permitted(order) {
            return None;
        }
        failpoint::hit("before-intent");
        let holding = Holding {
            entry_id: entry.id.to_string(),
            revision: entry.revision,
            content_digest: order.content_digest.clone(),
            boot_id: self.host.boot_id(),
            restarted: !self.host.tree.live() || entry.after.restart.is_empty(),
            steps: planned.steps.clone(),
            holds: planned.holds.clone(),
        };
        if let Err(reason) = self.intend(order, &planned.steps) {
            return fail(reason);
        }
        let mut done = 0;
        let tried = self.effects(order, &planned, &holding, &mut done);
        let accepts = |()| validators::in_place(entry, &self.host).map_err(|fault| fault.to_string());
        let (ended, restarted) = match tried.and_then(accepts) {
            Ok(()) => {
                let restarted = self.restart(entry, &planned);
                (came_back(&restarted), restarted)
            }
            Err(reason) => (Err(reason), Restarted::Nothing),
        };
        // What nobody has checked in time counts as not done.
        let in_time = |()| match until.passed() {
            false => Ok(()),
            true => Err(restarted.trouble().unwrap_or_else(|| "it was done, but not checked any more".to_owned())),
        };
        match ended.and_then(in_time).map_err(|reason| Broken::now(order, until, reason)) {
            Ok(()) => {
                let report = self.applied(order, entry, &findings, &planned, &restarted);
                let live = self.host.tree.live();
                if report.outcome != Outcome::Succeeded || !needs_proof(&planned.steps, Some(entry), live) {
                    return Some(report);
                }
                self.await_proof(order, report, restarted);
                None
            }
            Err(broken) => {
                let steps = planned.steps.get(..done).unwrap_or_default();
                let undone =
                    self.undo(Some(entry), entry.id.as_str(), steps, planned.earlier.clone(), Some(&restarted));
                Some(self.broken(entry, &findings, broken, &undone))
            }
        }
    }

    /// S3: the intent, durable, before anything else; then the server is told that it began. S7: an order that needs a permit has none
    /// without using one up.
    pub(crate) fn intend(&mut self, order: &Order, steps: &[Step]) -> Result<(), String> {
        if !self.use_permit(order) {
            return Err("its start permit ran out just before the start".to_owned());
        }
        let record = decide::intent(&self.book, order, Step::digest_of(steps), self.clock.now());
        self.record(&record).map_err(|error| error.to_string())?;
        self.tell_at_once();
        failpoint::hit("after-intent");
        Ok(())
    }

    fn effects(&mut self, order: &Order, planned: &Planned, holding: &Holding, done: &mut usize) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let until = self.host.until;
        for step in &planned.steps {
            if let Step::File { path, before: Some(before), .. } = step {
                let image = self.host.tree.read(path).map_err(|e| failed(&e))?;
                let image = image.filter(|image| image.state() == *before);
                let image = image.ok_or_else(|| format!("{path} changed while we worked on it"))?;
                self.state.keep_prior(&image.bytes).map_err(|e| failed(&e))?;
            }
            if let Some(bytes) = kinds::archive_member_absent::prior(step, &self.host)? {
                self.state.keep_prior(&bytes).map_err(|e| failed(&e))?;
            }
        }
        failpoint::hit("after-prior");
        let (task, epoch) = (order.task, order.epoch);
        self.record(&Record::Captured { task, epoch, holding: holding.clone() }).map_err(|e| failed(&e))?;
        failpoint::hit("after-captured");
        let tag = tag(order);
        for (step, at) in planned.steps.iter().zip(0_u32..) {
            if until.passed() {
                return Err(format!("{} was not begun", step.place()));
            }
            let bytes =
                |digest: &str| planned.images.iter().find(|i| i.state().digest == digest).map(|i| i.bytes.clone());
            // Counted before it is done: what may have happened is put back, and putting back compares first.
            *done += 1;
            let said = |why: String| if until.passed() { format!("{}: {why}", step.place()) } else { why };
            perform(step, &mut self.host, &bytes, &tag).map_err(said)?;
            self.record(&Record::Effect { task, epoch, step: at }).map_err(|e| failed(&e))?;
            failpoint::hit("after-effect");
        }
        Ok(())
    }

    fn applied(
        &mut self,
        order: &Order,
        entry: &Entry,
        before: &[Finding],
        planned: &Planned,
        restarted: &Restarted,
    ) -> TaskReport {
        self.host.refresh();
        let reboots = (entry.after.reboot == Reboot::Required).then(|| REBOOT.to_owned());
        let restart = reboots.or_else(|| restarted.missing());
        let after = kinds::check_all(entry, &self.host, &Workspace::new(&self.host.tree));
        let mut state = self.entry_state(entry, &after);
        if state == ControlState::Effective && restart.is_some() {
            state = ControlState::Configured;
        }
        let reached = matches!(state, ControlState::Effective | ControlState::Configured);
        let mut report = match reached {
            true => report(Outcome::Succeeded, state, notes(&after, "applied")),
            false => report(Outcome::VerifyFailed, state, notes(&after, "applied, but the check does not find it")),
        };
        report.origin = reached.then_some(Origin::Ours);
        report.restart_needed = restart.or_else(|| (state == ControlState::Configured).then(|| REBOOT.to_owned()));
        report.actions = evidence(entry, before, &after, "changed");
        show(&mut report.actions, &planned.diffs, &planned.files);
        if !reached {
            let until = self.host.until;
            let broken = until.passed().then(|| Broken::now(order, until, report.message.clone()));
            let (steps, earlier) = (&planned.steps, planned.earlier.clone());
            let undone = self.undo(Some(entry), entry.id.as_str(), steps, earlier, Some(restarted));
            if let Some(broken) = broken {
                return self.broken(entry, before, broken, &undone);
            }
            (report.left_changed, report.restart_needed) = (undone.left_changed(), undone.restart_needed());
            report.message = format!("{}; {}", report.message, undone.said("it"));
        } else if let Some(trouble) = restarted.trouble() {
            report.message = format!("{}; {trouble}", report.message);
        }
        report
    }

    /// What is said of a try that failed after its intent and was undone.
    fn broken(&mut self, entry: &Entry, before: &[Finding], broken: Broken, undone: &Undone) -> TaskReport {
        let Broken { outcome, reason } = broken;
        self.host.refresh();
        let after = kinds::check_all(entry, &self.host, &Workspace::new(&self.host.tree));
        let text = format!("{reason}; {}", undone.said("what was changed"));
        let mut report = report(outcome, self.entry_state(entry, &after), text);
        (report.left_changed, report.restart_needed) = (undone.left_changed(), undone.restart_needed());
        report.actions = evidence(entry, before, &after, "failed");
        report
    }

    fn unchanged(&mut self, order: &Order, entry: &Entry, findings: &[Finding], holds: Vec<Hold>) -> TaskReport {
        let state = self.entry_state(entry, findings);
        let origin = self.origin(entry, state);
        let held = self.book.holdings().contains_key(entry.id.as_str());
        // What another entry of ours put there is ours too now: it stays until the last of us lets go.
        if !held && holds.iter().any(|hold| hold.by == By::AnotherEntry) {
            let holding = Holding {
                entry_id: entry.id.to_string(),
                revision: entry.revision,
                content_digest: order.content_digest.clone(),
                boot_id: self.host.boot_id(),
                restarted: true,
                steps: Vec::new(),
                holds,
            };
            if let Err(error) = self.record(&Record::Captured { task: order.task, epoch: order.epoch, holding }) {
                return report(Outcome::Failed, state, error.to_string());
            }
        }
        let mut report = report(Outcome::Unchanged, state, notes(findings, "already in place"));
        report.origin = self.origin(entry, state).or(origin);
        let waits = state == ControlState::Configured && entry.after.reboot == Reboot::Required;
        report.restart_needed = waits.then(|| REBOOT.to_owned());
        report.actions = evidence(entry, findings, findings, "already_present");
        report
    }

    /// Restart what the entry says, on the live system.
    fn restart(&mut self, entry: &Entry, planned: &Planned) -> Restarted {
        let live = self.host.tree.live();
        if live && planned.steps.iter().any(|step| matches!(step, Step::Link { .. })) {
            let _ = services::systemctl(&self.host, &["daemon-reload"]);
        }
        // Below another root nothing runs that would have to read its files again, and a boot reads them all.
        if !live || entry.after.reboot == Reboot::Required || entry.after.restart.is_empty() {
            return Restarted::Nothing;
        }
        let restarted = services::restart_first(&self.host, &entry.after.restart);
        if restarted.missing().is_none()
            && let Err(error) = self.record(&Record::Restarted { entry_id: entry.id.to_string() })
        {
            tracing::error!("a restart was not journalled: {error}");
        }
        restarted
    }

    pub(crate) fn entry_state(&self, entry: &Entry, findings: &[Finding]) -> ControlState {
        let holding = self.book.holdings().get(entry.id.as_str());
        let ours = holding.is_some_and(|holding| holding.holds.iter().any(|hold| hold.by == By::Us));
        let state = kinds::entry_state(findings, ours);
        // Files that a service or the kernel has not read yet are in place, not in force; a boot reads them all.
        let waits = holding.is_some_and(|holding| {
            let same_boot = holding.boot_id.is_empty() || holding.boot_id == self.host.boot_id();
            same_boot && (!holding.restarted || entry.after.reboot == Reboot::Required)
        });
        match state {
            ControlState::Effective if waits => ControlState::Configured,
            state => state,
        }
    }

    fn origin(&self, entry: &Entry, state: ControlState) -> Option<Origin> {
        let in_place = matches!(state, ControlState::Effective | ControlState::Configured);
        let ours = self
            .book
            .holdings()
            .get(entry.id.as_str())
            .is_some_and(|holding| holding.holds.iter().any(|hold| matches!(hold.by, By::Us | By::AnotherEntry)));
        in_place.then_some(if ours { Origin::Ours } else { Origin::External })
    }
}

/// A unit that ran before its restart and does not any more fails the try: nothing is worth a service that is down.
fn came_back(restarted: &Restarted) -> Result<(), String> {
    match restarted {
        Restarted::Failed { .. } => Err(restarted.trouble().unwrap_or_default()),
        Restarted::Nothing | Restarted::Back(_) | Restarted::Waits { .. } | Restarted::Open { .. } => Ok(()),
    }
}

/// What was going on when the order's time was over.
pub(crate) fn late(order: &Order, what: &str) -> String {
    format!("it took longer than {} s: {what}", order.run_timeout_seconds)
}

/// Names temporary files of a try: found again after a crash.
pub(crate) fn tag(order: &Order) -> String {
    format!("{}-{}", order.task.simple(), order.epoch)
}

/// For tests and `status`: where the state directory is.
#[must_use]
pub fn state_of(executor: &Executor) -> &StateDir {
    &executor.state
}
