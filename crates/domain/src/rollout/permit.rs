//! Start permits: who may have one, what a limit is held by, and when a place is free again (`fleet-execution.md` 6.1, S6, S7).
//!
//! `store::rollouts` says what [`Places`] says in conditional statements, because replicas race for the same rows; a property test
//! compares both on the same histories, and the model of the protocol explores this one.

use super::apart::Kept;
use super::gate::Bucket;
use super::run::RunState;
use crate::id::{AssetId, RunId, TaskId};
use crate::task::{Life, State, WORK_SECONDS};
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// How long after it was asked for a permit may be used, in seconds.
pub const PERMIT_SECONDS: i64 = 60;
/// Added to the longest a permitted start may take before its places are free again, in seconds: clocks and the way back.
pub const MARGIN_SECONDS: i64 = 60;

/// When the places of a permit granted now are free again, whatever is heard: what started on it has ended by then, and was undone
/// where it did not end well.
#[must_use]
pub fn free_at(now: Timestamp) -> Timestamp {
    now.plus_seconds(PERMIT_SECONDS + WORK_SECONDS + MARGIN_SECONDS)
}

/// What the server knows as an agent asks whether the order of an epoch may start, or its host be restarted for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The agent is revoked.
    pub agent_revoked: bool,
    /// The agent sits on the asset of the task.
    pub on_its_asset: bool,
    /// The epoch it asks for.
    pub epoch: u32,
    /// The task.
    pub life: Life,
    /// Everything is halted.
    pub halted: bool,
    /// The run of the task.
    pub run: RunState,
    /// The job is paused, or not enabled any more.
    pub paused: bool,
}

/// Whether an order is still the one to start, whatever limits allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// It is.
    Fit,
    /// It may be later.
    Later,
    /// It is about to be: the word that it started is still on its way.
    Soon,
    /// It is not, and why.
    Never(&'static str),
}

/// The reason that comes first among those that hold.
fn first<const N: usize>(reasons: [(bool, &'static str); N]) -> Option<&'static str> {
    reasons.into_iter().find_map(|(holds, reason)| holds.then_some(reason))
}

/// Why this agent has nothing to ask for this task.
fn misplaced(question: &Question) -> Option<&'static str> {
    first([
        (question.agent_revoked, "the agent is revoked"),
        (!question.on_its_asset, "the agent sits on another asset"),
        (question.epoch != question.life.epoch, "another epoch of the task is in force"),
        (question.life.cancel_requested, "the job was cancelled"),
    ])
}

/// Why nothing of the run goes on.
fn stopped(question: &Question) -> Option<&'static str> {
    first([(question.halted, "everything is halted"), (question.run != RunState::Open, "the run is halted")])
}

/// Judge the question whether an order may start.
#[must_use]
pub fn fit(question: &Question) -> Fitness {
    // Its word that it took the order may still be on its way; once it said that it started, it has no need to ask.
    let waits = matches!(question.life.state, State::Offered | State::Accepted);
    let never = misplaced(question).or(first([(!waits, "the task does not wait for its start")])).or(stopped(question));
    match never {
        Some(reason) => Fitness::Never(reason),
        None if question.paused => Fitness::Later,
        None => Fitness::Fit,
    }
}

/// Judge the question whether a host may be restarted for an order that it has started.
#[must_use]
pub fn fit_restart(question: &Question) -> Fitness {
    if let Some(reason) = misplaced(question) {
        return Fitness::Never(reason);
    }
    match question.life.state {
        State::Running => {}
        State::Offered | State::Accepted => return Fitness::Soon,
        _ => return Fitness::Never("the task does not wait for a restart"),
    }
    match stopped(question) {
        Some(reason) => Fitness::Never(reason),
        None if question.paused => Fitness::Later,
        None => Fitness::Fit,
    }
}

/// Whether the places of a task are free once it moved: it ended, or will never start. What is lost may still be at work, so its
/// places come back by their time alone.
#[must_use]
pub fn gives_back(from: State, to: State) -> bool {
    let out = |state: State| matches!(Bucket::of(state), Bucket::Out | Bucket::Unknown);
    out(from) && !out(to) && to != State::Lost
}

/// How much of a run may still be at work: permits out, tasks that run, and orders out that need no permit. Each task is given with
/// whether its order needs one.
#[must_use]
pub fn at_large(tasks: impl IntoIterator<Item = (State, bool)>, permits_out: u64) -> u64 {
    let large = |(state, permit): &(State, bool)| match state {
        State::Running => true,
        State::Offered | State::Accepted | State::Unknown => !permit,
        _ => false,
    };
    permits_out + u64::try_from(tasks.into_iter().filter(large).count()).unwrap_or(u64::MAX)
}

/// An order that needs no permit and whose time ended by then is at work no more, whatever is heard: its start was in time, and has
/// ended or was undone since.
#[must_use]
pub fn unasked_over(now: Timestamp) -> Timestamp {
    now.plus_seconds(-(WORK_SECONDS + MARGIN_SECONDS))
}

/// Whether a host is worked on by an order that needs no permit. Nobody asks when it starts, so it may be at work from the moment it
/// was made; what is lost may be still.
#[must_use]
pub fn works_unasked(state: State, permit: bool, not_after: Option<Timestamp>, now: Timestamp) -> bool {
    let out = matches!(Bucket::of(state), Bucket::Out | Bucket::Unknown) || state == State::Lost;
    !permit && out && not_after.is_some_and(|end| end > unasked_over(now))
}

/// What is asked for: that the order of a task may start.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Task.
    pub task: TaskId,
    /// Epoch.
    pub epoch: i64,
    /// Run.
    pub run: RunId,
    /// Its host.
    pub asset: AssetId,
    /// How many of the run may be out.
    pub max_running: i64,
    /// Pause between two starts of the run, in microseconds.
    pub interval: i64,
    /// Every group that its host is in, see [`super::apart::groups`].
    pub apart: &'a [Kept],
    /// When its places are free again, whatever is heard.
    pub expires_at: Timestamp,
}

/// What is asked for: that the host of a task may be restarted.
#[derive(Clone, Debug)]
pub struct WantedRestart<'a> {
    /// Task.
    pub task: TaskId,
    /// Epoch.
    pub epoch: i64,
    /// Run.
    pub run: RunId,
    /// Its host.
    pub asset: AssetId,
    /// How many hosts of the run may be down at once.
    pub at_most: i64,
    /// Every group that its host is in.
    pub apart: &'a [Kept],
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    /// It has its places.
    Yes,
    /// A halt stands.
    Closed,
    /// Not now: all places are taken, or the next start is not due.
    Full,
}

/// What the limit of a run is held by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Permits out.
    pub taken: i64,
    /// The next start is due.
    pub next_at: Timestamp,
    /// A halt stands.
    pub closed: bool,
}

impl Place {
    /// An empty one.
    #[must_use]
    pub fn new(closed: bool) -> Self {
        Place { taken: 0, next_at: Timestamp::from_micros(0), closed }
    }

    /// The place with one more taken; `None` when it cannot be (S6, S7).
    #[must_use]
    pub fn take(self, limit: i64, interval: i64, now: Timestamp) -> Option<Self> {
        let may = !self.closed && self.taken < limit && self.next_at <= now;
        may.then_some(Place { taken: self.taken + 1, next_at: next_at(now, interval), ..self })
    }
}

/// When the next start is due after one now. Where starts are not spaced it is at once, also for a replica whose clock is behind.
#[must_use]
pub fn next_at(now: Timestamp, interval: i64) -> Timestamp {
    Timestamp::from_micros(if interval > 0 { now.micros().saturating_add(interval) } else { 0 })
}

/// A permit that is out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Out {
    /// Its run.
    pub run: RunId,
    /// The host that it is for.
    pub asset: AssetId,
    /// Its places are free again.
    pub expires_at: Timestamp,
}

/// A slot to restart that is out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Epoch of its task.
    pub epoch: i64,
    /// Its run.
    pub run: RunId,
    /// The host that is restarted.
    pub asset: AssetId,
}

/// Every limit, and every permit and slot that is out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Places {
    /// What the limits of runs are held by.
    pub places: BTreeMap<RunId, Place>,
    /// Permits out, by task and epoch.
    pub out: BTreeMap<(TaskId, i64), Out>,
    /// Slots to restart that are out, by task.
    pub restarts: BTreeMap<TaskId, Slot>,
    /// The tags of hosts, as they are now.
    pub tags: BTreeMap<AssetId, BTreeSet<String>>,
}

impl Places {
    /// A run begins.
    pub fn begin(&mut self, run: RunId, closed: bool) {
        self.places.insert(run, Place::new(closed));
    }

    /// Close or open a run.
    pub fn close(&mut self, run: RunId, closed: bool) {
        if let Some(place) = self.places.get_mut(&run) {
            place.closed = closed;
        }
    }

    /// Hosts of a group that are worked on beside this one, by whatever run: a start on them is permitted, or they are restarted.
    /// One host is one, however much is done on it. What asks for no permit is not here and counts all the same, see
    /// [`works_unasked`].
    #[must_use]
    pub fn beside(&self, group: &str, asset: AssetId) -> i64 {
        let starts = self.out.values().map(|out| out.asset);
        let restarts = self.restarts.values().map(|slot| slot.asset);
        let of_group = |host: &AssetId| self.tags.get(host).is_some_and(|tags| tags.contains(group));
        let hosts: BTreeSet<AssetId> = starts.chain(restarts).filter(|host| *host != asset).filter(of_group).collect();
        i64::try_from(hosts.len()).unwrap_or(i64::MAX)
    }

    /// Whether a host may be worked on beside those of its groups that are.
    fn room(&self, asset: AssetId, apart: &[Kept]) -> bool {
        apart.iter().all(|kept| self.beside(&kept.group, asset) < kept.at_most)
    }

    fn open(&self, run: RunId) -> Option<Place> {
        self.places.get(&run).copied().filter(|place| !place.closed)
    }

    /// Take the places of a permit, or renew it (S6, S7): either everything is taken or nothing.
    pub fn grant(&mut self, want: &Wanted<'_>, now: Timestamp) -> Granted {
        let Some(place) = self.open(want.run) else { return Granted::Closed };
        // The same question again holds its places already.
        if let Some(out) = self.out.get_mut(&(want.task, want.epoch)) {
            out.expires_at = want.expires_at;
            return Granted::Yes;
        }
        // The groups first: who has to wait for one must not use up the starts of the run.
        if !self.room(want.asset, want.apart) {
            return Granted::Full;
        }
        let Some(taken) = place.take(want.max_running, want.interval, now) else { return Granted::Full };
        self.places.insert(want.run, taken);
        let out = Out { run: want.run, asset: want.asset, expires_at: want.expires_at };
        self.out.insert((want.task, want.epoch), out);
        Granted::Yes
    }

    /// Take a slot to restart, or find that it is held already (S6, S7). It comes back with the end of its task and by nothing
    /// else.
    pub fn grant_restart(&mut self, want: &WantedRestart<'_>) -> Granted {
        if self.open(want.run).is_none() {
            return Granted::Closed;
        }
        if self.restarts.get(&want.task).is_some_and(|slot| slot.epoch == want.epoch) {
            return Granted::Yes;
        }
        let down = self.restarts.values().filter(|slot| slot.run == want.run).count();
        if i64::try_from(down).is_ok_and(|down| down >= want.at_most) || !self.room(want.asset, want.apart) {
            return Granted::Full;
        }
        self.restarts.insert(want.task, Slot { epoch: want.epoch, run: want.run, asset: want.asset });
        Granted::Yes
    }

    /// Give back whatever permit and slot of this task are out.
    pub fn give_back(&mut self, task: TaskId) {
        self.free(|(of, _), _| *of == task);
        self.give_back_restart(task);
    }

    /// Give back the slot of this task: of one that is lost, whose permit comes back by its time.
    pub fn give_back_restart(&mut self, task: TaskId) {
        self.restarts.remove(&task);
    }

    /// Give back the permits whose time is over.
    pub fn expire(&mut self, now: Timestamp) {
        self.free(|_, out| out.expires_at <= now);
    }

    fn free(&mut self, over: impl Fn(&(TaskId, i64), &Out) -> bool) {
        let places = &mut self.places;
        self.out.retain(|key, out| {
            let over = over(key, out);
            if let Some(place) = places.get_mut(&out.run).filter(|_| over) {
                place.taken -= 1;
            }
            !over
        });
    }
}

#[cfg(test)]
#[path = "permit_tests.rs"]
mod tests;
