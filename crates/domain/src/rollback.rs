//! Which jobs put a mitigation of ours in place that is in force now: what rolling back a job takes back.
//!
//! Pages, API and command line roll back a job by this rule; what is in force and ours is `control`'s to say. And in which order
//! hosts were changed, because they are taken back the other way round (`fleet-execution.md` 6.3).

use crate::id::AssetId;
use crate::task::State;
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What a task did, or was to do, about a mitigation on an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn<J> {
    /// Whose task it was, or what else is asked of those that put it there.
    pub job: J,
    /// It was to take the mitigation back; else to put it in place.
    pub back: bool,
    /// What became of it.
    pub state: State,
    /// It was at work on the host.
    pub started: bool,
}

/// The jobs that put a mitigation in place which is ours and in force, by its tasks on the asset, oldest first.
///
/// Those that changed the host, by success or by a try that was interrupted, since it was last taken back. Where none did,
/// the last one that tried: somebody put it there, and who found it in place already has least to do with it.
#[must_use]
pub fn put_in_place<J: Copy + Ord>(turns: impl IntoIterator<Item = Turn<J>>) -> BTreeSet<J> {
    let (mut changed, mut tried) = (BTreeSet::new(), None);
    for turn in turns {
        match (turn.back, turn.state) {
            (true, State::Reverted) => (changed, tried) = (BTreeSet::new(), None),
            (true, _) => {}
            (false, State::Succeeded | State::Interrupted) => {
                changed.insert(turn.job);
            }
            // Nothing of these was done; what was at work before it was cancelled may have been.
            (false, State::Pending | State::Ready | State::Offered | State::Cancelled | State::Expired)
                if !turn.started => {}
            (false, _) => tried = Some(turn.job),
        }
    }
    if changed.is_empty() { tried.into_iter().collect() } else { changed }
}

/// When each host was changed last, by when the tasks were done that put in place what is to be taken back, mitigation by mitigation and
/// of whichever runs.
#[must_use]
pub fn changed_at(put: impl IntoIterator<Item = (AssetId, BTreeSet<Timestamp>)>) -> BTreeMap<AssetId, Timestamp> {
    let mut changed = BTreeMap::new();
    for (asset, done) in put {
        if let Some(last) = done.last() {
            let known = changed.entry(asset).or_insert(*last);
            *known = (*last).max(*known);
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_was_changed_when_the_last_of_its_mitigations_was_put_there() {
        let at = Timestamp::from_micros;
        let put = |asset, done: &[i64]| (AssetId(asset), done.iter().copied().map(at).collect::<BTreeSet<_>>());
        let known = |changed: &[(i64, i64)]| {
            changed.iter().map(|(asset, done)| (AssetId(*asset), at(*done))).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(changed_at([]), known(&[]));
        // Two mitigations on one host, one that was put back by a run of its own, and one of which nobody knows who put it there.
        let all = [put(1, &[7]), put(2, &[9]), put(2, &[3]), put(3, &[]), put(4, &[1, 8])];
        assert_eq!(changed_at(all), known(&[(1, 7), (2, 9), (4, 8)]));
    }

    #[test]
    fn who_changed_the_host_since_it_was_last_taken_back_put_it_in_place() {
        use State::{Cancelled, Expired, Failed, Interrupted, RevertFailed, Reverted, Succeeded, Unchanged};
        let put = |job, state| Turn { job, back: false, state, started: state != Expired };
        let back = |job, state| Turn { job, back: true, state, started: true };
        for (turns, expected) in [
            (vec![], vec![]),
            (vec![put(1, Succeeded)], vec![1]),
            // Found in place: the first put it there.
            (vec![put(1, Succeeded), put(2, Unchanged)], vec![1]),
            (vec![put(1, Failed), put(2, Succeeded)], vec![2]),
            // Put back after a drift by a job of its own: both.
            (vec![put(1, Succeeded), put(2, Succeeded)], vec![1, 2]),
            // Taken back, then put there by another.
            (vec![put(1, Succeeded), back(9, Reverted), put(2, Succeeded)], vec![2]),
            // A rollback that failed changes nothing of whose it is.
            (vec![put(1, Succeeded), back(9, RevertFailed)], vec![1]),
            (vec![put(1, Interrupted), put(2, Unchanged)], vec![1]),
            (vec![put(1, Unchanged)], vec![1]),
            (vec![put(1, Unchanged), back(9, Reverted)], vec![]),
            (vec![put(1, Expired)], vec![]),
            // A try that left it in force was interrupted, and its job cancelled before the next one.
            (vec![put(1, Cancelled), put(2, Expired)], vec![1]),
        ] {
            assert_eq!(put_in_place(turns.clone()).into_iter().collect::<Vec<_>>(), expected, "{turns:?}");
        }
    }
}
