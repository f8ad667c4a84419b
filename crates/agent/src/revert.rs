//! Reverting an entry, for an order or for the host's owner, and looking at what a crash interrupted.
//!
//! What to put back is decided in [`crate::restore`]; here it is journalled and carried out.

use crate::evidence::report;
use crate::executor::Executor;
use crate::failpoint;
use crate::kinds::{self, Workspace};
use crate::proof::was_armed;
use crate::record::{By, Holding, Record, Step};
use crate::restore::{self, Stop};
use crate::steps::perform;
use crate::work::tag;
use catalogue::applies::Applicability;
use catalogue::schema::Entry;
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
        if let Some(order) = order
            && let Err(reason) = self.intend(order, &plan.steps)
        {
            return report(Outcome::RevertFailed, self.probe(entry), format!("{reason}; nothing was written"));
        }
        let tag = order.map_or_else(|| "owner".to_owned(), tag);
        let mut later = None;
        for step in &plan.steps {
            let bytes = |digest: &str| plan.images.iter().find(|i| i.state().digest == digest).map(|i| i.bytes.clone());
            match perform(step, &mut self.host, &bytes, &tag) {
                Ok(()) => {}
                // A one-way switch of the kernel: what is read at boot is put back, the rest follows with the next boot.
                Err(_) if matches!(step, Step::Kernel { .. }) => later = Some(kinds::REBOOT.to_owned()),
                Err(why) => {
                    let mut failed = report(Outcome::RevertFailed, self.probe(entry), why);
                    failed.left_changed = true;
                    return failed;
                }
            }
        }
        failpoint::hit("revert-after-write");
        let entry_id = holding.entry_id.clone();
        if let Err(error) = self.record(&Record::Released { entry_id, passed_on, kept: None }) {
            let mut failed = report(Outcome::RevertFailed, self.probe(entry), error.to_string());
            failed.left_changed = true;
            return failed;
        }
        if self.host.tree.live() {
            restore::after(&self.host, entry, &plan.steps);
        }
        self.host.refresh();
        let state = entry.map_or(ControlState::Exposed, |_| self.probe(entry));
        let mut report = report(Outcome::Reverted, state, "put back as it was".to_owned());
        report.restart_needed = later;
        report.actions.clone_from(&plan.evidence);
        report
    }

    /// The entry that a holding was made with; it was verified then, and its bytes still have that digest.
    pub(crate) fn held_entry(&self, entry_id: &str) -> Option<Entry> {
        Entry::from_json(&self.state.content(&self.held_digest(entry_id)?)?).ok()
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

    /// A firewall rule whose try never ended was never proven: nobody may be left cut off by it.
    fn disarm(&mut self, order: &Order, entry: Option<&Entry>) {
        let steps = self.book.holdings().get(&order.entry_id).map(|held| held.steps.clone()).unwrap_or_default();
        let reason = match self.undo(&order.entry_id, &steps, None) {
            None => "the agent died before the server was heard through the new rule; it was put back".to_owned(),
            Some(why) => format!(
                "the agent died before the server was heard through the new rule; not everything could be put back: {why}"
            ),
        };
        let state = self.probe(entry);
        self.finish(order, EventKind::Interrupted { state, reason });
    }

    /// After a crash: an intent without an end is looked at and reported, never run again.
    pub(crate) fn recover(&mut self) {
        let waiting = self.book.awaiting_restart();
        for (order, restart) in waiting.iter().cloned() {
            self.after_restart(&order, restart);
        }
        let waits = |order: &Order| waiting.iter().any(|(of, _)| (of.task, of.epoch) == (order.task, order.epoch));
        for order in self.book.interrupted().into_iter().filter(|order| !waits(order)) {
            let (task, epoch) = (order.task, order.epoch);
            let known = self.book.get(task, epoch);
            let done = known.map_or(0, |known| known.effects.len());
            let captured = known.is_some_and(|known| known.captured.is_some());
            let holding = self.book.holdings().get(&order.entry_id);
            let places: Vec<String> = holding.map(|h| h.steps.iter().map(Step::place).collect()).unwrap_or_default();
            for place in places.iter().filter(|place| place.starts_with('/')) {
                self.host.tree.sweep(place, &tag(&order));
            }
            let entry = self.held_entry(&order.entry_id);
            if order.kind == OrderKind::Apply && captured && was_armed(self.book.holdings().get(&order.entry_id)) {
                self.disarm(&order, entry.as_ref());
                continue;
            }
            let steps = self.book.holdings().get(&order.entry_id).map(|h| h.steps.clone()).unwrap_or_default();
            let untouched = steps.iter().all(|step| restore::as_before(step, &mut self.host) == Ok(true));
            if order.kind == OrderKind::Apply && captured && untouched {
                // It died before the first effect: nothing is ours, so nothing can have drifted.
                let record = Record::Released { entry_id: order.entry_id.clone(), passed_on: Vec::new(), kept: None };
                if let Err(error) = self.record(&record) {
                    tracing::error!("what is not ours was not let go: {error}");
                }
            }
            let state = self.probe(entry.as_ref());
            let reason = match captured {
                false => "the agent died after its intent; by its journal nothing was changed".to_owned(),
                true => format!("the agent died in the middle; {done} of {} steps are recorded as done", places.len()),
            };
            self.finish(&order, EventKind::Interrupted { state, reason });
        }
    }
}
