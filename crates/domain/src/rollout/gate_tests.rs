//! S8 against an oracle that shares nothing with the gate: it counts states by their result codes, and asks of a rate whether it is
//! compatible with the failures seen by the test that Wilson's interval inverts, without the interval.

use super::*;
use crate::rollout::Size;
use proptest::prelude::*;
use proptest::sample::select;

/// What a gate says, without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Wait,
    Soak,
    Promote,
    Halt,
    Last,
}

fn said(verdict: &Verdict) -> Said {
    match verdict {
        Verdict::Wait(_) => Said::Wait,
        Verdict::Soak => Said::Soak,
        Verdict::Promote => Said::Promote,
        Verdict::Halt(_) => Said::Halt,
        Verdict::Last => Said::Last,
    }
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    all: u64,
    good: u64,
    elsewhere: u64,
    failed: u64,
    unknown: u64,
    /// Ended without a try: says nothing either way.
    untried: u64,
    open: u64,
    /// Not started, or started and not ended: a halt can still stop something.
    to_stop: u64,
}

fn counted(states: &[State]) -> Counted {
    let count = |fits: &dyn Fn(&State) -> bool| states.iter().filter(|state| fits(state)).count() as u64;
    let named = |words: &[&str]| count(&|state| words.contains(&state.as_str()));
    let unknown = named(&["unknown"]);
    let untried = named(&["cancelled", "expired"]);
    let elsewhere = named(&["not_applicable"]);
    let good = count(&|state| matches!(state.code(), Some(0 | 33)));
    let open = count(&|state| state.code().is_none());
    let all = states.len() as u64;
    let failed = all - open - good - elsewhere - untried;
    Counted { all, good, elsewhere, failed, unknown, untried, open, to_stop: open - unknown }
}

/// Whether the failures seen prove, with 95 % confidence, that more than `percent` fail; nothing where it is too near to tell.
fn proven(failures: u64, tries: u64, percent: u8) -> Option<bool> {
    if tries == 0 {
        return Some(false);
    }
    let (failures, n, p) = (failures as f64, tries as f64, f64::from(percent) / 100.0);
    let above = failures / n - p;
    let (seen, needed) = (n * above * above, 1.959_963_984_540_054_f64.powi(2) * p * (1.0 - p));
    ((seen - needed).abs() > 1e-6 && above.abs() > 1e-9).then_some(above > 0.0 && seen > needed)
}

#[derive(Clone, Debug)]
struct Case {
    policy: Policy,
    wave: Vec<State>,
    rest: Vec<State>,
    last: bool,
    accepted: u64,
    settled: Option<i64>,
    now: i64,
}

fn oracle(case: &Case) -> Option<Said> {
    let wave = counted(&case.wave);
    let run = counted(&[case.wave.as_slice(), case.rest.as_slice()].concat());
    if run.to_stop > 0 {
        // Those a person accepted are out of the count: first what failed, then what is unknown, and those of other waves first.
        let of_others = run.failed + run.unknown - wave.failed - wave.unknown;
        let less = |counted: Counted, accepted: u64| {
            let failed = counted.failed.min(accepted);
            let unknown = counted.unknown.min(accepted - failed);
            let (all, open) = (counted.all - failed - unknown, counted.open - unknown);
            Counted { failed: counted.failed - failed, unknown: counted.unknown - unknown, all, open, ..counted }
        };
        let (wave, run) = (less(wave, case.accepted.saturating_sub(of_others)), less(run, case.accepted));
        let allowed = match case.policy.failures {
            Some(Size::Count(count)) => u64::from(count),
            Some(Size::Share(percent)) => (0..=run.all).rev().find(|n| n * 100 <= run.all * u64::from(percent))?,
            None => 10.max(run.all / 10),
        };
        let nothing_good = !case.last && wave.open == 0 && wave.failed > 0 && wave.good + wave.elsewhere == 0;
        if run.failed + run.unknown > allowed || nothing_good {
            return Some(Said::Halt);
        }
        for counted in [wave, run] {
            let failures = counted.failed + counted.unknown;
            if let Some(percent) = case.policy.failure_percent
                && proven(failures, failures + counted.good, percent)?
            {
                return Some(Said::Halt);
            }
        }
    }
    if case.last {
        return Some(Said::Last);
    }
    let known = wave.good + wave.failed + wave.elsewhere;
    let expected = wave.all - wave.untried;
    let nothing_tried = expected == 0 && !case.wave.is_empty();
    if nothing_tried || (known as f64) < expected as f64 * f64::from(case.policy.definitive_percent) / 100.0 - 1e-9 {
        return Some(Said::Wait);
    }
    let soak = i64::from(case.policy.soak_seconds);
    let stood = case.settled.map_or(0, |at| case.now - at);
    Some(if (soak > 0 && case.settled.is_none()) || stood < soak { Said::Soak } else { Said::Promote })
}

/// Mostly good results, as gates see them, so that every verdict is common.
fn any_states(most: usize) -> impl Strategy<Value = Vec<State>> {
    let common = select(vec![State::Succeeded, State::Unchanged, State::Reverted]);
    let state = prop_oneof![12 => common, 1 => select(State::ALL.to_vec()), 1 => Just(State::Failed)];
    let many = proptest::collection::vec(state, 0..most);
    prop_oneof![3 => many, 1 => proptest::collection::vec(select(State::ALL.to_vec()), 0..12)]
}

fn any_case() -> impl Strategy<Value = Case> {
    let size = prop_oneof![(0_u32..12).prop_map(Size::Count), (0_u8..=100).prop_map(Size::Share)];
    let policy =
        (proptest::option::of(size), proptest::option::of(1_u8..60), 60_u8..=100, select(vec![0_u32, 60, 600]));
    let policy = policy.prop_map(|(failures, failure_percent, definitive_percent, soak_seconds)| Policy {
        waves: vec![Size::Count(1)],
        failures,
        failure_percent,
        definitive_percent,
        soak_seconds,
        ..Policy::default()
    });
    let when = (proptest::option::of(0_i64..700), 0_i64..1400);
    let accepted = prop_oneof![3 => Just(0_u64), 1 => 0_u64..6];
    (policy, any_states(60), any_states(200), any::<bool>(), accepted, when).prop_map(
        |(policy, wave, rest, last, accepted, (settled, now))| {
            // A wave settles before anybody looks at how long it stood.
            let now = now.max(settled.unwrap_or(0));
            Case { policy, wave, rest, last, accepted, settled, now }
        },
    )
}

fn judged(case: &Case) -> Verdict {
    let time = |seconds| Timestamp::from_micros(0).plus_seconds(seconds);
    let (wave, rest) = (Tally::of(case.wave.iter().copied()), Tally::of(case.rest.iter().copied()));
    judge(&Look {
        policy: &case.policy,
        wave,
        run: wave.and(rest),
        last: case.last,
        accepted: case.accepted,
        settled_at: case.settled.map(time),
        now: time(case.now),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    /// S8: the gate says what the oracle says, so it promotes exactly when the share is definitive, the bounds are met and the soak is
    /// over.
    #[test]
    fn s8_the_gate_is_the_oracle(case in any_case()) {
        let Some(expected) = oracle(&case) else { return Ok(()) };
        let verdict = judged(&case);
        prop_assert_eq!(said(&verdict), expected, "{:?}", verdict);
    }
}

/// The cases above would prove nothing if one verdict were all of them.
#[test]
fn every_verdict_is_common_among_the_cases() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..1000 {
        let case = any_case().new_tree(&mut runner).unwrap().current();
        *seen.entry(format!("{:?}", said(&judged(&case)))).or_insert(0) += 1;
    }
    assert!(seen.len() == 5 && seen.values().all(|count| *count >= 20), "{seen:?}");
}
