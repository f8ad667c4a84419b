//! Undoing a try that did not end well: its files go back, and what had read them meanwhile is restarted, so that nothing runs on
//! with a setting that is said to be put back.

use crate::executor::Executor;
use crate::failpoint;
use crate::record::{Holding, Record, Step};
use crate::restore;
use crate::services::{self, Restarted};
use crate::validators;
use catalogue::schema::Entry;
use protocol::order::Order;

/// What came of undoing a try.
#[derive(Debug)]
pub(crate) struct Undone {
    /// Why something could not be put back.
    kept: Option<String>,
    /// What became of the services that had read it.
    services: Restarted,
}

impl Undone {
    /// Whether something is in force that the try brought: in a file, or in what runs.
    pub(crate) fn left_changed(&self) -> bool {
        self.kept.is_some() || self.services.missing().is_some()
    }

    /// The units that somebody has to restart.
    pub(crate) fn restart_needed(&self) -> Option<String> {
        self.services.missing()
    }

    /// As the end of a sentence: "it was put back, and ssh.service was restarted".
    pub(crate) fn said(&self, what: &str) -> String {
        let files = match &self.kept {
            None => format!("{what} was put back"),
            Some(why) => format!("not everything could be put back: {why}"),
        };
        match (&self.services, self.services.trouble()) {
            (_, Some(trouble)) => format!("{files}, but {trouble}"),
            (Restarted::Back(unit), None) => format!("{files}, and {unit} was restarted"),
            (_, None) => files,
        }
    }
}

impl Executor {
    /// Put back these steps of a try, and restart what had read them: `restarted` is what the try itself restarted, and nothing
    /// when nobody knows that any more. From here on the time for undoing counts.
    pub(crate) fn undo(
        &mut self,
        entry: Option<&Entry>,
        entry_id: &str,
        steps: &[Step],
        earlier: Option<Holding>,
        restarted: Option<&Restarted>,
    ) -> Undone {
        self.host.until = self.host.until.for_undo();
        let kept = self.undo_steps(entry_id, steps, earlier);
        let live = self.host.tree.live();
        if live && steps.iter().any(|step| matches!(step, Step::Link { .. })) {
            let _ = services::systemctl(&self.host, &["daemon-reload"]);
        }
        let services = match (restarted, entry) {
            // It does not run, so nothing is lost by trying.
            (Some(Restarted::Failed { unit, .. }), _) => services::bring_back(&self.host, unit),
            // What runs is not restarted into files of which nobody knows what they are.
            _ if !live || kept.is_some() => Restarted::Nothing,
            (Some(Restarted::Back(_) | Restarted::Open { .. }) | None, Some(entry)) => {
                let names = &entry.after.restart;
                match (validators::whole(entry, &self.host), restarted) {
                    (Err(fault), _) => services::leave(&self.host, names, &fault.to_string()),
                    (Ok(()), Some(Restarted::Back(unit) | Restarted::Open { unit, .. })) => {
                        services::bring_back(&self.host, unit)
                    }
                    (Ok(()), _) => services::restart_or_revive(&self.host, names),
                }
            }
            _ => Restarted::Nothing,
        };
        Undone { kept, services }
    }

    /// Undo what an order did by the journal: this try of its entry, and no earlier one. For `restarted` see [`Self::undo`].
    pub(crate) fn undo_try(&mut self, order: &Order, restarted: Option<&Restarted>) -> Undone {
        let entry = self.entry_of(order);
        let held = self.book.holdings().get(&order.entry_id).map(|held| held.steps.clone()).unwrap_or_default();
        let earlier = self.book.get(order.task, order.epoch).and_then(|known| known.earlier.as_deref().cloned());
        let before = earlier.as_ref().map_or(0, |earlier| earlier.steps.len());
        let steps = held.get(before..).unwrap_or_default().to_vec();
        self.undo(entry.as_ref(), &order.entry_id, &steps, earlier, restarted)
    }

    /// Put back these steps of a try, last first; what was ours before it stays ours. Says why when something could not be.
    fn undo_steps(&mut self, entry_id: &str, steps: &[Step], earlier: Option<Holding>) -> Option<String> {
        let mut kept = None;
        // The boot menu is made of files, and a unit starts by its links: both come after those are back.
        let last = |step: &&Step| matches!(step, Step::BootMenu | Step::Stop { .. });
        let (last, rest): (Vec<&Step>, Vec<&Step>) = steps.iter().rev().partition(last);
        for step in rest.into_iter().chain(last) {
            let state = &self.state;
            let bytes = |digest: &str| state.prior(digest);
            if let Err(error) = restore::undo(step, &mut self.host, &bytes) {
                kept.get_or_insert(error);
            }
        }
        if kept.is_none() && self.book.holdings().contains_key(entry_id) {
            let kept_one = earlier.map(Box::new);
            let record = Record::Released { entry_id: entry_id.to_string(), passed_on: Vec::new(), kept: kept_one };
            if let Err(error) = self.record(&record) {
                kept = Some(error.to_string());
            }
            failpoint::hit("undo-released");
        }
        kept
    }
}
