//! The gate behind each wave: wait, open the next, or halt (`fleet-execution.md` 2.3, S8).
//!
//! Counts and confidence bounds decide, never bare percentages: nothing failed in ten tries proves little, and one failure in one
//! try proves something. What nobody knows counts as a failure for halting and never as a success for going on. Between the
//! proof that a rate is exceeded, which halts, and a rate seen that is within it, which goes on, a person decides.

mod tally;

use super::Policy;
use crate::time::Timestamp;
pub use tally::{Bucket, Standing, Tally};

/// So many hosts that fall silent while they are worked on halt a run: one may have lost its power, two were cut off by us.
pub const SILENT_HOSTS_MAX: u64 = 1;

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
    /// Hosts of the run whose work had begun and of which nobody knows what became, but for those that a person has accepted.
    pub silent_hosts: u64,
    /// An earlier run of the job went through all its waves.
    pub proven: bool,
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

/// How the reason of a wait ends that only a person ends.
pub const BY_HAND: &str = "the next wave opens when a person opens it";

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
    if let Some(reason) = unproven(look).or_else(|| too_near(look)) {
        return Verdict::Wait(format!("{reason}; {BY_HAND}"));
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
    if let Some(reason) = alarming(look) {
        return Some(reason);
    }
    let (policy, run, wave) = (look.policy, look.run.unaccepted(), look.wave.unaccepted());
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

/// What halts a run whatever number of failures it survives: a host that is half undone, hosts that may not come back.
fn alarming(look: &Look<'_>) -> Option<String> {
    match (look.run.half_done, look.silent_hosts) {
        (0, 0..=SILENT_HOSTS_MAX) => None,
        (0, hosts) => Some(format!("{hosts} hosts fell silent while they were worked on, and may not come back")),
        (1, _) => Some("1 task failed and left its host changed, because not everything could be put back".to_owned()),
        (tasks, _) => {
            Some(format!("{tasks} tasks failed and left their hosts changed, because not everything could be put back"))
        }
    }
}

/// Why the results of a wave do not show what the change does to a host, if they do not: nothing was changed yet.
fn unproven(look: &Look<'_>) -> Option<String> {
    if look.proven || look.run.changed > 0 || look.wave.tasks() == 0 {
        return None;
    }
    let Tally { good, neutral, bad, .. } = look.wave;
    let counts = [(good, "in place already"), (neutral, "does not apply"), (bad, "failed")];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{what}: {count}")).collect();
    Some(format!("no host was changed so far, so nothing shows what the change does ({})", counts.join(", ")))
}

/// Why the failures of a wave are too many to go on by itself, though too few to prove that the rate is exceeded.
fn too_near(look: &Look<'_>) -> Option<String> {
    let (percent, wave) = (look.policy.failure_percent?, look.wave.unaccepted());
    let (failures, judged) = (wave.failures(), wave.good + wave.failures());
    // In whole numbers. Nothing failed is never too many: else no wave of fewer than 189 hosts could pass 2 %.
    if failures * 100 <= u64::from(percent) * judged {
        return None;
    }
    let highest = wilson(failures, judged).1 * 100.0;
    let unknown = if wave.unknown > 0 { format!(" ({} of them unknown)", wave.unknown) } else { String::new() };
    Some(format!(
        "{failures} of {judged} failed in the wave{unknown}: it may be up to {highest:.1}% with 95% confidence, {percent}% are allowed"
    ))
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
