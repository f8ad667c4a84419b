//! What is ours on the host: taken in, shared between entries, let go.

use super::*;
use crate::record::{By, Hold, Step};

impl Book {
    /// What is ours, by entry.
    #[must_use]
    pub fn holdings(&self) -> &BTreeMap<String, Holding> {
        &self.holdings
    }

    /// Another entry of ours that wants the same setting.
    #[must_use]
    pub fn other_holder(&self, key: &str, entry_id: &str) -> Option<&str> {
        let holds = |holding: &&Holding| holding.holds.iter().any(|hold| hold.key == key && hold.by != By::Others);
        self.holdings.values().filter(|holding| holding.entry_id != entry_id).find(holds).map(|h| h.entry_id.as_str())
    }

    /// A second apply of the same entry adds to what is held; a setting that somebody had changed meanwhile gets a new prior
    /// state, theirs.
    pub(super) fn hold(&mut self, new: Holding) {
        let Some(old) = self.holdings.get_mut(&new.entry_id) else {
            self.holdings.insert(new.entry_id.clone(), new);
            return;
        };
        let offset = u32::try_from(old.steps.len()).unwrap_or(u32::MAX);
        old.steps.extend(new.steps);
        (old.revision, old.content_digest, old.boot_id) = (new.revision, new.content_digest, new.boot_id);
        old.restarted = new.restarted;
        for mut hold in new.holds {
            hold.steps.iter_mut().for_each(|step| *step = step.saturating_add(offset));
            match old.holds.iter_mut().find(|known| known.key == hold.key) {
                Some(known) if hold.by == By::Us => {
                    // A place that is changed again has a new prior state; other places keep theirs.
                    let place = |at: &u32| old.steps.get(*at as usize).map(Step::place);
                    let again: Vec<_> = hold.steps.iter().filter_map(place).collect();
                    known.steps.retain(|at| place(at).is_some_and(|place| !again.contains(&place)));
                    known.steps.extend(hold.steps);
                    known.by = By::Us;
                    known.edit = hold.edit.or(known.edit.take());
                }
                Some(_) => {}
                None => old.holds.push(hold),
            }
        }
    }

    pub(super) fn release(&mut self, entry_id: &str, passed_on: &[(String, String)]) {
        let Some(released) = self.holdings.remove(entry_id) else { return };
        for (key, heir) in passed_on {
            let Some(hold) = released.holds.iter().find(|hold| hold.key == *key) else { continue };
            let Some(heir) = self.holdings.get_mut(heir) else { continue };
            let offset = u32::try_from(heir.steps.len()).unwrap_or(u32::MAX);
            // A step that made other settings too cannot be taken back for this one; its edit can.
            let own = hold.steps.iter().filter(|step| sole_user(&released.holds, **step, key));
            let steps: Vec<_> = own.filter_map(|step| released.steps.get(*step as usize)).cloned().collect();
            let Some(known) = heir.holds.iter_mut().find(|known| known.key == *key) else { continue };
            known.by = hold.by;
            known.edit.clone_from(&hold.edit);
            known.steps = (offset..).take(steps.len()).collect();
            heir.steps.extend(steps);
        }
    }
}

fn sole_user(holds: &[Hold], step: u32, key: &str) -> bool {
    holds.iter().all(|hold| hold.key == key || !hold.steps.contains(&step))
}
