//! Reverting an entry, for an order or for the host's owner, and looking at what a crash interrupted; what is the owner's alone is
//! in [`crate::owner`].
//!
//! What to put back is decided in [`crate::restore`]; here it is journalled and carried out.

use crate::deadline::Deadline;
use crate::evidence::report;
use crate::executor::Executor;
use crate::failpoint;
use crate::kinds::{self, Workspace};
use crate::owner::OWNER_TAG;
use crate::proof::was_armed;
use crate::record::{By, Holding, Record, Step};
use crate::restore::{self, Stop};
use crate::services::{self, Restarted};
use crate::steps::perform;
use crate::validators::{self, Fault};
use crate::work::{late, tag};
use catalogue::applies::Applicability;
use catalogue::schema::{Entry, Reboot};
use domain::mitigation::ControlState;
use protocol::agent::{EventKind, Outcome, TaskReport};
use protocol::order::{Order, OrderKind};

impl Executor {
    /// Put back what our own apply changed, compare-and-swap (S10).
    pub(crate) fn revert(&mut self, order: &Order) -> Option<TaskReport> {
        let dry = order.dry_run || self.dry_run;
        if !dry && self.book.holdings().contains_key(&order.entry_id) && !self.permitted(order) {
            return None;
        }
        Some(self.revert_entry(&order.entry_id.clone(), Some(order), dry))
    }

    /// Revert one entry, for an order or, without one, for the host's owner.
    pub(crate) fn revert_entry(&mut self, entry_id: &str, order: Option<&Order>, dry: bool) -> TaskReport {
        let entry = self.held_entry(entry_id);
        let Some(holding) = self.book.holdings().get(entry_id).cloned() else {
            let state = self.probe(entry.as_ref());
            return report(Outcome::NotOurs, state, "nothing of this entry was changed by us".to_owned());
        };
        let passed_on = restore::heirs(&holding, &self.book);
        if holding.holds.iter().all(|hold| hold.by == By::Others) {
            return report(Outcome::NotOurs, self.probe(entry.as_ref()), "it was in place before we came".to_owned());
        }
        let plan = restore::plan(&holding, &passed_on, &self.host, &self.state);
        let plan = match plan {
            Ok(plan) => plan,
            Err(Stop::Drifted(what)) => {
                let text = format!("{what}; somebody changed it since, so nothing was written");
                return report(Outcome::DriftedSinceApply, ControlState::Drifted, text);
            }
            Err(Stop::Failed(why)) => {
                let text = format!("{why}; nothing was written");
                return report(Outcome::RevertFailed, self.probe(entry.as_ref()), text);
            }
        };
        let mut actions = plan.evidence.clone();
        if dry {
            actions.iter_mut().for_each(|action| action.did = "planned".to_owned());
            let mut report = report(Outcome::Reported, self.probe(entry.as_ref()), "this would be put back".to_owned());
            report.actions = actions;
            return report;
        }
        self.carry_out_revert(order, entry.as_ref(), &holding, passed_on, &plan)
    }

    fn carry_out_revert(
        &mut self,
        order: Option<&Order>,
        entry: Option<&Entry>,
        holding: &Holding,
        passed_on: Vec<(String, String)>,
        plan: &restore::Plan,
    ) -> TaskReport {
        failpoint::hit("revert-before-write");
        let intended = match order {
            Some(order) => self.intend(order, &plan.steps),
            None => self.owner_intends(holding, &plan.steps),
        };
        if let Err(reason) = intended {
            return report(Outcome::RevertFailed, self.probe(entry), format!("{reason}; nothing was written"));
        }
        let report = self.write_revert(order, entry, holding, passed_on, plan);
        failpoint::hit("revert-restarted");
        if order.is_none() {
            self.owner_ended(&holding.entry_id);
        }
        report
    }

    /// The effects of a revert whose intent is durable.
    fn write_revert(
        &mut self,
        order: Option<&Order>,
        entry: Option<&Entry>,
        holding: &Holding,
        passed_on: Vec<(String, String)>,
        plan: &restore::Plan,
    ) -> TaskReport {
        let tag = order.map_or_else(|| OWNER_TAG.to_owned(), tag);
        let until = self.host.until;
        // A refusal stops no setting from going back, it only keeps what runs from being restarted into it; nor does a program that
        // does not answer, so half of the time is not its.
        self.host.until = until.half();
        let staged = |entry| validators::staged(entry, &self.host, &self.state, &plan.images, &plan.steps).err();
        let staged = entry.and_then(staged);
        self.host.until = until;
        let put_back = self.put_back(plan, &tag).map_err(|why| match order.filter(|_| until.passed()) {
            Some(order) => late(order, &why),
            None => why,
        });
        // What is back has to come into force, and be looked at: the time for undoing is for that.
        if order.is_some() {
            self.host.until = until.for_undo();
        }
        let later = match put_back {
            Ok(later) => later,
            Err(why) => {
                let mut failed = report(Outcome::RevertFailed, self.probe(entry), why);
                failed.left_changed = true;
                return failed;
            }
        };
        failpoint::hit("revert-after-write");
        let entry_id = holding.entry_id.clone();
        if let Err(error) = self.record(&Record::Released { entry_id, passed_on, kept: None }) {
            let mut failed = report(Outcome::RevertFailed, self.probe(entry), error.to_string());
            failed.left_changed = true;
            return failed;
        }
        failpoint::hit("revert-released");
        let refusal = staged.or_else(|| validators::whole(entry?, &self.host).err()).map(|fault| fault.to_string());
        let restarted = self.restart_reverted(entry, &plan.steps, refusal.as_deref());
        self.host.refresh();
        let state = entry.map_or(ControlState::Exposed, |_| self.probe(entry));
        // The setting is back, but a service that is down is no success.
        let down = matches!(restarted, Restarted::Failed { .. });
        let outcome = if down { Outcome::RevertFailed } else { Outcome::Reverted };
        let text = match restarted.trouble().or(refusal) {
            None => "put back as it was".to_owned(),
            Some(trouble) => format!("put back as it was, but {trouble}"),
        };
        let mut report = report(outcome, state, text);
        report.left_changed = down;
        report.restart_needed = later.or_else(|| restarted.missing());
        report.actions.clone_from(&plan.evidence);
        report
    }

    /// Do the steps of a revert; says what the rest of it waits for, where something does.
    fn put_back(&mut self, plan: &restore::Plan, tag: &str) -> Result<Option<String>, String> {
        let until = self.host.until;
        let mut later = None;
        for step in &plan.steps {
            if until.passed() {
                return Err(format!("{} was not put back any more", step.place()));
            }
            let bytes = |digest: &str| plan.images.iter().find(|i| i.state().digest == digest).map(|i| i.bytes.clone());
            match perform(step, &mut self.host, &bytes, tag) {
                Ok(()) => {}
                // A one-way switch of the kernel: what is read at boot is put back, the rest follows with the next boot.
                Err(_) if matches!(step, Step::Kernel { .. }) => later = Some(kinds::REBOOT.to_owned()),
                Err(why) => return Err(why),
            }
            failpoint::hit("revert-effect");
        }
        Ok(later)
    }

    /// What follows a revert on the live system; `refusal` is what a program said of the files it wrote.
    fn restart_reverted(&self, entry: Option<&Entry>, steps: &[Step], refusal: Option<&str>) -> Restarted {
        if !self.host.tree.live() {
            return Restarted::Nothing;
        }
        if steps.iter().any(|step| matches!(step, Step::Link { .. })) {
            let _ = services::systemctl(&self.host, &["daemon-reload"]);
        }
        match (entry.map(|entry| &entry.after.restart), refusal) {
            (None, _) => Restarted::Nothing,
            (Some(names), None) => services::restart_first(&self.host, names),
            (Some(names), Some(why)) => services::leave(&self.host, names, why),
        }
    }

    /// The entry that a holding was made with; it was verified then, and its bytes still have that digest.
    pub(crate) fn held_entry(&self, entry_id: &str) -> Option<Entry> {
        Entry::from_json(&self.state.content(&self.held_digest(entry_id)?)?).ok()
    }

    /// The entry that an order is about: as it is held, or as the order named it where that is let go.
    pub(crate) fn entry_of(&self, order: &Order) -> Option<Entry> {
        let ordered = || Entry::from_json(&self.state.content(&order.content_digest)?).ok();
        let held = self.book.holdings().contains_key(&order.entry_id);
        (if held { None } else { ordered() }).or_else(|| self.held_entry(&order.entry_id))
    }

    fn held_digest(&self, entry_id: &str) -> Option<String> {
        match self.book.holdings().get(entry_id) {
            Some(holding) => Some(holding.content_digest.clone()),
            None => Some(self.index.as_ref()?.find(&entry_id.parse().ok()?)?.digest.to_string()),
        }
    }

    /// The content without which a revert could not tell what it left behind: lost, as when the agent was enrolled anew. Old and
    /// revoked content will do where it was verified when it was applied; it is only looked by, nothing is done by it.
    pub(crate) fn missing_for_revert(&self, order: &Order) -> Option<String> {
        let digest = self.held_digest(&order.entry_id).filter(|_| order.kind == OrderKind::Revert)?;
        (self.state.content(&digest).is_none() && !self.unavailable.contains(&digest)).then_some(digest)
    }

    /// What a check says of an entry now.
    pub(crate) fn probe(&self, entry: Option<&Entry>) -> ControlState {
        let Some(entry) = entry else { return ControlState::Unknown };
        if !entry.platform.covers(self.host.platform()) {
            return ControlState::NotApplicable;
        }
        match entry.applies.decide(&self.host) {
            Applicability::Applicable => {
                let findings = kinds::check_all(entry, &self.host, &Workspace::new(&self.host.tree));
                self.entry_state(entry, &findings)
            }
            Applicability::NotApplicable(_) => ControlState::NotApplicable,
            Applicability::Unknown(_) => ControlState::Unknown,
        }
    }

    /// What the programs that check a configuration say of a try that a crash cut off before they were asked, or before it was heard
    /// whether a service comes back (`read`): nothing where all is well. What one refuses, or does not run with, is put back.
    fn check_interrupted(&mut self, order: &Order, entry: &Entry, read: bool) -> Option<String> {
        let restarted = self.book.holdings().get(&order.entry_id).is_none_or(|holding| holding.restarted);
        let asked = read && !restarted && self.host.tree.live() && entry.after.reboot != Reboot::Required;
        let why = match validators::in_place(entry, &self.host) {
            Ok(()) if asked => services::down(&self.host, &entry.after.restart)?,
            Ok(()) => return None,
            Err(Fault::Refused(why)) => why,
            Err(Fault::Unasked(why)) => {
                return Some(format!("whether what it changed is accepted could not be asked: {why}"));
            }
        };
        Some(format!("{why}; {}", self.undo_try(order, None).said("what was changed")))
    }

    /// A revert that a crash cut off when all was back: what had read the files before has perhaps not been restarted.
    fn restart_interrupted(&self, order: &Order) -> Option<String> {
        let released = order.kind == OrderKind::Revert && !self.book.holdings().contains_key(&order.entry_id);
        if !released || !self.host.tree.live() {
            return released.then(|| "it was put back".to_owned());
        }
        Some(self.restart_put_back(&self.entry_of(order)?).said("it was put back"))
    }

    /// Restart what had read the files of an entry that is put back, when nobody knows whether that was done; on the live system.
    pub(crate) fn restart_put_back(&self, entry: &Entry) -> Restarted {
        if !self.host.tree.live() {
            return Restarted::Nothing;
        }
        let _ = services::systemctl(&self.host, &["daemon-reload"]);
        let names = &entry.after.restart;
        match validators::whole(entry, &self.host) {
            Ok(()) => services::restart_or_revive(&self.host, names),
            Err(fault) => services::leave(&self.host, names, &fault.to_string()),
        }
    }

    /// After a crash: an intent without an end is looked at and reported, never run again.
    pub(crate) fn recover(&mut self) {
        if self.journal.damage().is_some() {
            // The end of such a try may be what is damaged, and of what is done about it nothing could be recorded.
            for order in self.book.interrupted() {
                tracing::error!("whether {} ended is not known; what it changed is left as it is", order.entry_id);
            }
            return;
        }
        let waiting = self.book.awaiting_restart();
        for (order, restart) in waiting.iter().cloned() {
            self.after_restart(&order, restart);
        }
        let waits = |order: &Order| waiting.iter().any(|(of, _)| (of.task, of.epoch) == (order.task, order.epoch));
        for order in self.book.interrupted().into_iter().filter(|order| !waits(order)) {
            let reason = self.recover_one(&order);
            self.host.until = Deadline::NEVER;
            let state = self.probe(self.entry_of(&order).as_ref());
            self.finish(&order, EventKind::Interrupted { state, reason });
        }
        // After the orders: what one of them left open of the same entry is settled then.
        self.finish_for_owner();
    }

    /// Look at one try without an end, and leave nothing of it half done where that can be told; says what was found.
    fn recover_one(&mut self, order: &Order) -> String {
        let known = self.book.get(order.task, order.epoch);
        let done = known.map_or(0, |known| known.effects.len());
        let captured = known.is_some_and(|known| known.captured.is_some());
        let earlier = known.and_then(|known| known.earlier.as_deref());
        let holding = self.book.holdings().get(&order.entry_id);
        let steps = holding.map(|holding| holding.steps.clone()).unwrap_or_default();
        let applied = order.kind == OrderKind::Apply && captured;
        let released = applied && holding.is_none_or(|holding| earlier == Some(holding));
        // A restart comes after the last effect, so before that nothing has read what was changed.
        let before = earlier.map_or(0, |earlier| earlier.steps.len());
        let read = !steps.is_empty() && done + before >= steps.len();
        let restarted = holding.is_some_and(|holding| holding.restarted);
        let entry = self.entry_of(order);
        let armed = was_armed(holding, entry.as_ref(), self.host.tree.live());
        for place in steps.iter().map(Step::place).filter(|place| place.starts_with('/')) {
            self.host.tree.sweep(&place, &tag(order));
        }
        if released {
            return format!(
                "the agent died when it undid a try; {}",
                self.undo_try(order, None).said("what was changed")
            );
        }
        if applied && armed {
            let undone = self.undo_try(order, None);
            return format!("the agent died before the server was heard after the change; {}", undone.said("it"));
        }
        let untouched = steps.iter().all(|step| restore::as_before(step, &mut self.host) == Ok(true));
        let said = if applied && untouched {
            // It died before the first effect, or when it had undone the last: nothing is ours, so nothing can have drifted.
            let restarted = (steps.is_empty() || !(restarted || read)).then_some(&Restarted::Nothing);
            let undone = self.undo(entry.as_ref(), &order.entry_id, &[], None, restarted);
            (read || undone.left_changed()).then(|| undone.said("what was changed"))
        } else {
            let checked = entry.as_ref().filter(|_| applied);
            checked.and_then(|entry| self.check_interrupted(order, entry, read))
        };
        let said = said.or_else(|| self.restart_interrupted(order));
        let reason = match captured {
            _ if order.kind == OrderKind::Revert => "the agent died while it put things back".to_owned(),
            false => "the agent died after its intent; by its journal nothing was changed".to_owned(),
            true => format!("the agent died in the middle; {done} of {} steps are recorded as done", steps.len()),
        };
        said.iter().fold(reason, |reason, said| format!("{reason}; {said}"))
    }
}
