//! The gate behind each wave: wait, open the next, or halt (`fleet-execution.md` 2.3, S8).
//!
//! Counts and confidence bounds decide, never bare percentages: nothing failed in ten tries proves little, and one failure in one
//! try proves something. What nobody knows counts as a failure for halting and never as a success for going on.

use super::Policy;
use crate::task::State;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What the state of a task means to a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// Not offered yet.
    Waiting,
    /// An order is out.
    Out,
    /// An order was out and nobody knows what became of it.
    Unknown,
    /// Ended well.
    Good,
    /// Ended badly.
    Bad,
    /// Ended, and says nothing of the mitigation: it does not apply there.
    Neutral,
    /// Ended without a try.
    Untried,
}

impl Bucket {
    /// Every bucket, in the order of [`Tally::counts`].
    pub const ALL: [Bucket; 7] =
        [Bucket::Waiting, Bucket::Out, Bucket::Unknown, Bucket::Good, Bucket::Bad, Bucket::Neutral, Bucket::Untried];

    /// What a task in this state counts as.
    #[must_use]
    pub fn of(state: State) -> Bucket {
        match state {
            State::Pending | State::Ready => Bucket::Waiting,
            State::Offered | State::Accepted | State::Running => Bucket::Out,
            State::Unknown => Bucket::Unknown,
            State::NotApplicable => Bucket::Neutral,
            State::Cancelled | State::Expired => Bucket::Untried,
            _ => match state.code() {
                Some(0 | 33) => Bucket::Good,
                Some(_) => Bucket::Bad,
                // Any open state that is yet to come: an order may be out.
                None => Bucket::Out,
            },
        }
    }
}

/// How many tasks of a wave, or of a run, are in each bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// See [`Bucket::Waiting`].
    pub waiting: u64,
    /// See [`Bucket::Out`].
    pub out: u64,
    /// See [`Bucket::Unknown`].
    pub unknown: u64,
    /// See [`Bucket::Good`].
    pub good: u64,
    /// See [`Bucket::Bad`].
    pub bad: u64,
    /// See [`Bucket::Neutral`].
    pub neutral: u64,
    /// See [`Bucket::Untried`].
    pub untried: u64,
}

impl Tally {
    /// The tally of these states.
    #[must_use]
    pub fn of(states: impl IntoIterator<Item = State>) -> Tally {
        let mut tally = Tally::default();
        for state in states {
            *tally.slot(Bucket::of(state)) += 1;
        }
        tally
    }

    fn slot(&mut self, bucket: Bucket) -> &mut u64 {
        match bucket {
            Bucket::Waiting => &mut self.waiting,
            Bucket::Out => &mut self.out,
            Bucket::Unknown => &mut self.unknown,
            Bucket::Good => &mut self.good,
            Bucket::Bad => &mut self.bad,
            Bucket::Neutral => &mut self.neutral,
            Bucket::Untried => &mut self.untried,
        }
    }

    /// The counts in the order of [`Bucket::ALL`].
    #[must_use]
    pub fn counts(self) -> [u64; 7] {
        [self.waiting, self.out, self.unknown, self.good, self.bad, self.neutral, self.untried]
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Tally) -> Tally {
        let mut sum = self;
        for (bucket, count) in Bucket::ALL.into_iter().zip(other.counts()) {
            *sum.slot(bucket) += count;
        }
        sum
    }

    /// All tasks.
    #[must_use]
    pub fn tasks(self) -> u64 {
        self.counts().into_iter().sum()
    }

    /// The tally with so many of its waiting tasks passed over, because their hosts are away: to a gate they are as good as
    /// not tried.
    #[must_use]
    pub fn passing_over(self, away: u64) -> Tally {
        let away = away.min(self.waiting);
        Tally { waiting: self.waiting - away, untried: self.untried + away, ..self }
    }

    /// Tasks that a result is to be had of: what ended without a try, or is passed over, says nothing either way.
    #[must_use]
    pub fn judged(self) -> u64 {
        self.tasks() - self.untried
    }

    /// Tasks whose result is known.
    #[must_use]
    pub fn definitive(self) -> u64 {
        self.good + self.bad + self.neutral
    }

    /// Tasks that count as failed: what is unknown may be a host that does not start any more.
    #[must_use]
    pub fn failures(self) -> u64 {
        self.bad + self.unknown
    }

    /// The tally without so many of its failures: those that a person has accepted.
    #[must_use]
    pub fn without(self, failures: u64) -> Tally {
        let bad = self.bad.min(failures);
        Tally { bad: self.bad - bad, unknown: self.unknown - self.unknown.min(failures - bad), ..self }
    }

    /// Tasks that have not ended.
    #[must_use]
    pub fn open(self) -> u64 {
        self.waiting + self.out + self.unknown
    }
}

/// What a gate is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The rules.
    pub policy: &'a Policy,
    /// The wave that is open.
    pub wave: Tally,
    /// All waves of the run.
    pub run: Tally,
    /// The open wave is the last one.
    pub last: bool,
    /// Failures of the run that were there when a person let it go on: they halt it no more.
    pub accepted: u64,
    /// When the results of the wave became enough, if they were when somebody last looked.
    pub settled_at: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
}

/// What a gate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet, and why.
    Wait(String),
    /// The results are enough; they have to stand until the soak is over.
    Soak,
    /// Open the next wave.
    Promote,
    /// Nothing more starts, and why.
    Halt(String),
    /// It was the last wave; nothing is left to decide.
    Last,
}

/// Judge a wave (S8).
#[must_use]
pub fn judge(look: &Look<'_>) -> Verdict {
    if let Some(reason) = broken(look) {
        return Verdict::Halt(reason);
    }
    if look.last {
        return Verdict::Last;
    }
    let (wave, needed) = (look.wave, u64::from(look.policy.definitive_percent));
    let (definitive, judged) = (wave.definitive(), wave.judged());
    // In whole numbers: a share that is not reached by a fraction is not reached. A wave of which nothing was tried proves
    // nothing, so it does not open the next one.
    if definitive * 100 < needed * judged || (judged == 0 && wave.tasks() > 0) {
        let unknown = if wave.unknown > 0 { format!(", of {} nobody knows", wave.unknown) } else { String::new() };
        let untried = if wave.untried > 0 { format!(", {} not tried", wave.untried) } else { String::new() };
        return Verdict::Wait(format!("{definitive} of {judged} results, {needed}% are needed{unknown}{untried}"));
    }
    let soak = i64::from(look.policy.soak_seconds);
    match look.settled_at {
        Some(at) if look.now.seconds_since(at) >= soak => Verdict::Promote,
        None if soak == 0 => Verdict::Promote,
        _ => Verdict::Soak,
    }
}

/// Why a run must not go on, if it must not.
fn broken(look: &Look<'_>) -> Option<String> {
    // What has nothing left to start cannot be stopped.
    if look.run.waiting == 0 && look.run.out == 0 {
        return None;
    }
    let before = look.run.failures().saturating_sub(look.wave.failures());
    let (policy, run) = (look.policy, look.run.without(look.accepted));
    let wave = look.wave.without(look.accepted.saturating_sub(before));
    let tolerated = policy.tolerated(run.tasks());
    let unknown = if run.unknown > 0 { format!(" ({} of them unknown)", run.unknown) } else { String::new() };
    if run.failures() > tolerated {
        return Some(format!("{} failures{unknown}, {tolerated} are allowed", run.failures()));
    }
    if !look.last && wave.open() == 0 && wave.bad > 0 && wave.good + wave.neutral == 0 {
        return Some(format!("all {} results of the wave are failures", wave.bad));
    }
    let percent = policy.failure_percent?;
    for (tally, what) in [(wave, "the wave"), (run, "the run")] {
        let judged = tally.good + tally.failures();
        let lowest = wilson(tally.failures(), judged).0;
        if lowest * 100.0 > f64::from(percent) {
            let (failures, lowest) = (tally.failures(), lowest * 100.0);
            return Some(format!(
                "{failures} of {judged} failed in {what}{unknown}: more than {lowest:.1}% with 95% confidence, {percent}% are allowed"
            ));
        }
    }
    None
}

/// The lower and upper bound of the true rate behind `hits` of `of`, with 95 % confidence (Wilson's score interval).
#[must_use]
pub fn wilson(hits: u64, of: u64) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    if of == 0 {
        return (0.0, 1.0);
    }
    // Counts of tasks are far below 2^52.
    #[expect(clippy::cast_precision_loss, reason = "counts of tasks are far below 2^52")]
    let (hits, of) = (hits.min(of) as f64, of as f64);
    let (rate, z2) = (hits / of, Z * Z);
    let centre = rate + z2 / (2.0 * of);
    let spread = Z * (rate * (1.0 - rate) / of + z2 / (4.0 * of * of)).sqrt();
    let below = 1.0 + z2 / of;
    (((centre - spread) / below).max(0.0), ((centre + spread) / below).min(1.0))
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
