//! What a gate counts: every task in one bucket, and beside the buckets what some tasks mean beyond theirs.

use crate::task::State;
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

/// A task as far as gates count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Standing {
    /// State.
    pub state: State,
    /// The work of this try has begun on the host.
    pub started: bool,
    /// It ended badly and left its host changed, or a rollback failed half-way, and no person has accepted that since.
    pub half_done: bool,
    /// A person let the run go on while this try was failed or unknown.
    pub accepted: bool,
}

impl Standing {
    /// A task that has only its state. A rollback that failed is half done whatever is said of it.
    #[must_use]
    pub fn of(state: State) -> Standing {
        Standing { state, started: state == State::Running, half_done: state == State::RevertFailed, accepted: false }
    }

    /// The standing after a move to `state`. `same_try`: of the same epoch; a new try was accepted by nobody. `left_changed`:
    /// the report says that what was changed could not be put back.
    #[must_use]
    pub fn to(self, state: State, same_try: bool, left_changed: bool) -> Standing {
        // Terminal states absorb, and what a person has accepted with them.
        if self.state.ended() {
            return self;
        }
        let failed = Bucket::of(state) == Bucket::Bad;
        Standing {
            state,
            started: (self.started && same_try) || state == State::Running,
            half_done: state == State::RevertFailed || (failed && left_changed),
            accepted: self.accepted && same_try,
        }
    }

    /// The standing once a person lets the run go on.
    #[must_use]
    pub fn accepted(self) -> Standing {
        match Bucket::of(self.state) {
            Bucket::Bad | Bucket::Unknown => Standing { accepted: true, half_done: false, ..self },
            _ => self,
        }
    }

    fn tally(self) -> Tally {
        let bucket = Bucket::of(self.state);
        let mut one = Tally::default();
        *one.slot(bucket) = 1;
        let is = |holds: bool| u64::from(holds);
        one.changed = is(matches!(self.state, State::Succeeded | State::Reverted));
        one.half_done = is(bucket == Bucket::Bad && self.half_done);
        one.silent = is(bucket == Bucket::Unknown && self.started && !self.accepted);
        one.accepted_bad = is(bucket == Bucket::Bad && self.accepted);
        one.accepted_unknown = is(bucket == Bucket::Unknown && self.accepted);
        one
    }
}

impl From<State> for Standing {
    fn from(state: State) -> Self {
        Standing::of(state)
    }
}

/// How many tasks of a wave, or of a run, are in each bucket, and how many of them mean more than their bucket says.
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
    /// Of the good: the host was changed, and a check found what was wanted. The others were in place already.
    pub changed: u64,
    /// Of the bad: the host was left changed, and no person has accepted it.
    pub half_done: u64,
    /// Of the unknown: the work had begun before the host fell silent, and no person has accepted it.
    pub silent: u64,
    /// Of the bad: a person has accepted them.
    pub accepted_bad: u64,
    /// Of the unknown: a person has accepted them, whatever they turn out to be.
    pub accepted_unknown: u64,
}

impl Tally {
    /// How many figures a tally has.
    pub const FIGURES: usize = 12;

    /// The tally of these tasks, or of tasks in these states.
    #[must_use]
    pub fn of(tasks: impl IntoIterator<Item = impl Into<Standing>>) -> Tally {
        tasks.into_iter().fold(Tally::default(), |sum, task| sum.and(task.into().tally()))
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

    /// Every figure: the buckets, then the others in the order in which they are declared.
    #[must_use]
    pub fn figures(self) -> [u64; Tally::FIGURES] {
        let Tally { waiting, out, unknown, good, bad, neutral, untried, .. } = self;
        let Tally { changed, half_done, silent, accepted_bad, accepted_unknown, .. } = self;
        [waiting, out, unknown, good, bad, neutral, untried, changed, half_done, silent, accepted_bad, accepted_unknown]
    }

    /// The tally with these figures.
    #[must_use]
    pub fn from_figures(figures: [u64; Tally::FIGURES]) -> Tally {
        let [waiting, out, unknown, good, bad, neutral, untried, rest @ ..] = figures;
        let [changed, half_done, silent, accepted_bad, accepted_unknown] = rest;
        Tally {
            waiting,
            out,
            unknown,
            good,
            bad,
            neutral,
            untried,
            changed,
            half_done,
            silent,
            accepted_bad,
            accepted_unknown,
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Tally) -> Tally {
        let mut sum = self.figures();
        for (figure, more) in sum.iter_mut().zip(other.figures()) {
            *figure += more;
        }
        Tally::from_figures(sum)
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

    /// The tally without the failures that a person has accepted: these very tasks, as long as they are failed or unknown.
    #[must_use]
    pub fn unaccepted(self) -> Tally {
        Tally {
            bad: self.bad.saturating_sub(self.accepted_bad),
            unknown: self.unknown.saturating_sub(self.accepted_unknown),
            accepted_bad: 0,
            accepted_unknown: 0,
            ..self
        }
    }

    /// Tasks that have not ended.
    #[must_use]
    pub fn open(self) -> u64 {
        self.waiting + self.out + self.unknown
    }
}
