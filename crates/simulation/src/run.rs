//! One seed from its beginning to its end.

use crate::fleet::{Counts, Event, Fleet, HOUR, MINUTE, SECOND};
use crate::mutation::Mutation;
use crate::plan::{DAY_BEGINS, NIGHT_BEGINS};
use crate::template::Template;
use std::sync::{Mutex, PoisonError};

/// After faults have stopped everything ends within this time, in microseconds: the longest is an order that nobody has
/// heard of for a day.
const PATIENCE: i64 = 80 * HOUR;

/// What became of a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which.
    pub seed: u64,
    /// Lines and digest of its trace.
    pub trace: (u64, String),
    /// What is wrong, with the invariant in front; empty is good.
    pub broken: Vec<String>,
    /// How much happened.
    pub counts: Counts,
    /// Starts on hosts, and tries beyond the first.
    pub starts: (u32, u32),
}

impl Outcome {
    /// A seed that ended in a panic, which was printed.
    #[must_use]
    pub fn panicked(seed: u64) -> Self {
        let broken = vec!["panic: see above".to_owned()];
        Self { seed, trace: (0, String::new()), broken, counts: Counts::default(), starts: (0, 0) }
    }
}

/// What a failpoint does concerns a whole process, so one world at a time lives in it.
static ALONE: Mutex<()> = Mutex::new(());

/// Run a seed.
pub fn run(template: &Template, seed: u64, mutation: Option<Mutation>, print: bool) -> Outcome {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut fleet = Fleet::new(template, seed, mutation, print);
    for of in 0..fleet.nodes.len() {
        let at = fleet.people.between(0, 5 * 60) * SECOND;
        fleet.after(at, Event::Enrol { of });
    }
    for of in 0..fleet.replicas.len() {
        fleet.after(SECOND, Event::Look { of });
        fleet.after(2 * SECOND, Event::Housekeep { of });
    }
    let (acts, faults) = (std::mem::take(&mut fleet.plan.acts), std::mem::take(&mut fleet.plan.faults));
    for (at, act) in acts {
        fleet.after(at, Event::Act(act));
    }
    for (at, fault) in faults {
        fleet.after(at, Event::Fault(fault));
    }
    let never = |_: &Fleet<'_>| false;
    fleet.run_until(DAY_BEGINS, never);
    fleet.faulty = true;
    fleet.run_until(NIGHT_BEGINS, never);
    // Most of what has to be done is done: polls are held for hours, or the night would be nothing but polls.
    fleet.hold = 8 * HOUR;
    let morning = NIGHT_BEGINS + fleet.plan.night;
    fleet.run_until(morning, never);
    fleet.hold = 4 * MINUTE;
    fleet.run_until(morning + HOUR, never);
    if fleet.watch.broken.is_empty() {
        fleet.calm();
        fleet.hold = 15 * MINUTE;
        let calmed = morning + HOUR;
        // Everybody has started again and said what there was to say.
        fleet.run_until(calmed + 40 * MINUTE, never);
        fleet.run_until(calmed + 2 * HOUR, Fleet::quiet);
        if !fleet.quiet() {
            fleet.hold = 4 * HOUR;
            fleet.run_until(calmed + PATIENCE, Fleet::quiet);
        }
        // The last acknowledgements.
        let now = fleet.now - fleet.began;
        fleet.run_until(now + 2 * MINUTE, never);
    }
    if fleet.watch.broken.is_empty() {
        fleet.finish();
    }
    fleet.counts.permits = fleet.watch.limits.permits;
    fleet.counts.waves = fleet.watch.limits.waves;
    fleet.counts.passed_over = fleet.watch.limits.passed_over;
    Outcome {
        seed,
        trace: fleet.trace.end(),
        broken: std::mem::take(&mut fleet.watch.broken),
        counts: fleet.counts,
        starts: (fleet.watch.starts, fleet.watch.retries),
    }
}
