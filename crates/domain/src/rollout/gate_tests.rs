//! S8 against an oracle that shares nothing with the gate: it counts tasks by their result codes, and asks of a rate whether it is
//! compatible with the failures seen by the test that Wilson's interval inverts, without the interval.

use super::*;
use crate::rollout::Size;
use crate::task::{End, Event, Life, State, step};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeSet;

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

/// A task as the tests see it.
#[derive(Clone, Copy, Debug)]
struct Task {
    state: State,
    host: u8,
    started: bool,
    left_changed: bool,
    accepted: bool,
}

impl Task {
    fn is(&self, words: &[&str]) -> bool {
        words.contains(&self.state.as_str())
    }

    fn standing(&self) -> Standing {
        let half_done = (self.left_changed || self.state == State::RevertFailed) && !self.accepted;
        Standing { state: self.state, started: self.started, half_done, accepted: self.accepted }
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

fn failed(task: &Task) -> bool {
    task.state.code().is_some_and(|code| code != 0 && code != 33)
        && !task.is(&["not_applicable", "cancelled", "expired"])
}

fn counted(tasks: &[Task]) -> Counted {
    let count = |fits: &dyn Fn(&Task) -> bool| tasks.iter().filter(|task| fits(task)).count() as u64;
    let named = |words: &[&str]| count(&|task| task.is(words));
    let unknown = named(&["unknown"]);
    let open = count(&|task| task.state.code().is_none());
    Counted {
        all: tasks.len() as u64,
        good: count(&|task| matches!(task.state.code(), Some(0 | 33))),
        elsewhere: named(&["not_applicable"]),
        failed: count(&failed),
        unknown,
        untried: named(&["cancelled", "expired"]),
        open,
        to_stop: open - unknown,
    }
}

/// Hosts whose work had begun and that fell silent, as far as nobody has accepted it.
fn silent_hosts(tasks: &[Task]) -> usize {
    let silent = tasks.iter().filter(|task| task.is(&["unknown"]) && task.started && !task.accepted);
    silent.map(|task| task.host).collect::<BTreeSet<_>>().len()
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
    wave: Vec<Task>,
    rest: Vec<Task>,
    last: bool,
    /// An earlier run went through.
    proven: bool,
    settled: Option<i64>,
    now: i64,
}

fn oracle(case: &Case) -> Option<Said> {
    let everything = [case.wave.as_slice(), case.rest.as_slice()].concat();
    if counted(&everything).to_stop > 0 {
        let half_undone = |task: &Task| failed(task) && (task.is(&["revert_failed"]) || task.left_changed);
        if everything.iter().any(|task| half_undone(task) && !task.accepted) || silent_hosts(&everything) >= 2 {
            return Some(Said::Halt);
        }
        // What a person accepted is out of the count.
        let less = |tasks: &[Task]| {
            let counts = |task: &&Task| !(task.accepted && (failed(task) || task.is(&["unknown"])));
            counted(&tasks.iter().filter(counts).copied().collect::<Vec<_>>())
        };
        let (wave, run) = (less(&case.wave), less(&everything));
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
    let wave = counted(&case.wave);
    let known = wave.good + wave.failed + wave.elsewhere;
    let expected = wave.all - wave.untried;
    let nothing_tried = expected == 0 && !case.wave.is_empty();
    if nothing_tried || (known as f64) < expected as f64 * f64::from(case.policy.definitive_percent) / 100.0 - 1e-9 {
        return Some(Said::Wait);
    }
    let changed = everything.iter().any(|task| task.is(&["succeeded", "reverted"]));
    if !changed && !case.proven && !case.wave.is_empty() {
        return Some(Said::Wait);
    }
    let failures = case.wave.iter().filter(|task| (failed(task) || task.is(&["unknown"])) && !task.accepted).count();
    let rate = failures as f64 / (failures as f64 + wave.good as f64);
    if failures > 0 && case.policy.failure_percent.is_some_and(|percent| rate > f64::from(percent) / 100.0 + 1e-12) {
        return Some(Said::Wait);
    }
    let soak = i64::from(case.policy.soak_seconds);
    let stood = case.settled.map_or(0, |at| case.now - at);
    Some(if (soak > 0 && case.settled.is_none()) || stood < soak { Said::Soak } else { Said::Promote })
}

/// Mostly good results, as gates see them, so that every verdict is common.
fn any_tasks(most: usize) -> impl Strategy<Value = Vec<Task>> {
    let common = select(vec![State::Succeeded, State::Unchanged, State::Reverted]);
    let state = prop_oneof![12 => common, 1 => select(State::ALL.to_vec()), 1 => Just(State::Failed)];
    let in_place = select(vec![State::Unchanged, State::NotApplicable, State::Unchanged, State::Failed]);
    let of = |state| (state, 0_u8..4, 0_u8..2, 0_u8..40, 0_u8..5).prop_map(task);
    let many = proptest::collection::vec(of(state.boxed()), 0..most);
    let few = proptest::collection::vec(of(select(State::ALL.to_vec()).boxed()), 0..12);
    prop_oneof![6 => many, 2 => few, 1 => proptest::collection::vec(of(in_place.boxed()), 0..12)]
}

fn task((state, host, started, left, accepted): (State, u8, u8, u8, u8)) -> Task {
    let mut task = Task { state, host, started: started == 1, left_changed: left == 0, accepted: false };
    task.accepted = accepted == 0 && (failed(&task) || state == State::Unknown);
    task
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
    let proven = prop_oneof![3 => Just(false), 1 => Just(true)];
    (policy, any_tasks(60), any_tasks(200), any::<bool>(), proven, when).prop_map(
        |(policy, wave, rest, last, proven, (settled, now))| {
            // A wave settles before anybody looks at how long it stood.
            let now = now.max(settled.unwrap_or(0));
            Case { policy, wave, rest, last, proven, settled, now }
        },
    )
}

fn judged(case: &Case) -> Verdict {
    let time = |seconds| Timestamp::from_micros(0).plus_seconds(seconds);
    let tally = |tasks: &[Task]| Tally::of(tasks.iter().map(Task::standing));
    let (wave, rest) = (tally(&case.wave), tally(&case.rest));
    judge(&Look {
        policy: &case.policy,
        wave,
        run: wave.and(rest),
        last: case.last,
        silent_hosts: silent_hosts(&[case.wave.as_slice(), case.rest.as_slice()].concat()) as u64,
        proven: case.proven,
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

fn look<'a>(policy: &'a Policy, wave: Tally, run: Tally) -> Look<'a> {
    let now = Timestamp::from_micros(0);
    Look { policy, wave, run, last: false, silent_hosts: run.silent, proven: false, settled_at: None, now }
}

/// Half-undone hosts and hosts that fall silent halt a run that would survive far more failures.
#[test]
fn a_host_left_half_undone_and_two_that_fall_silent_halt_at_once() {
    let policy = Policy { failures: Some(Size::Count(1_000)), waves: vec![Size::Count(10)], ..Policy::default() };
    let (wave, rest) = (Tally { good: 9, changed: 9, ..Tally::default() }, Tally { waiting: 90, ..Tally::default() });
    let halted = |more: Tally| match judge(&look(&policy, wave.and(more), wave.and(more).and(rest))) {
        Verdict::Halt(why) => why,
        other => format!("{other:?}"),
    };
    let half = |left| Tally::of((0..left).map(|_| Standing::of(State::Offered).to(State::Failed, true, true)));
    assert_eq!(halted(half(1)), "1 task failed and left its host changed, because not everything could be put back");
    assert!(halted(half(2)).starts_with("2 tasks failed and left their hosts changed"));
    assert!(halted(Tally::of([State::RevertFailed])).starts_with("1 task failed"), "a rollback that failed half-way");
    let undone = Tally::of([Standing::of(State::Offered).to(State::Failed, true, false)]);
    assert_eq!(halted(undone), "Promote", "it was put back");
    let succeeded = Tally::of([Standing::of(State::Running).to(State::Succeeded, true, true)]);
    assert_eq!(halted(succeeded), "Promote", "only what failed can be half undone");
    let accepted = Tally::of([Standing::of(State::Offered).to(State::Failed, true, true).accepted()]);
    assert_eq!(halted(accepted), "Promote", "a person has looked at it");
    // It does not matter which wave it was in, nor that the last one is open.
    let run = wave.and(rest).and(half(1));
    assert!(matches!(judge(&look(&policy, wave, run)), Verdict::Halt(_)));
    assert!(matches!(judge(&Look { last: true, ..look(&policy, wave, run) }), Verdict::Halt(_)));
    // What has nothing left to start cannot be stopped.
    let ended = half(1).and(Tally { good: 9, changed: 9, ..Tally::default() });
    assert_eq!(judge(&Look { last: true, ..look(&policy, ended, ended) }), Verdict::Last);

    let silent = |count| {
        let gone = (0..count).map(|_| Standing::of(State::Running).to(State::Unknown, true, false));
        Tally::of(gone).and(Tally { good: 90, changed: 90, ..Tally::default() })
    };
    assert_eq!(halted(silent(1)), "Promote", "one may have lost its power");
    assert_eq!(halted(silent(2)), "2 hosts fell silent while they were worked on, and may not come back");
    let offered = Tally::of([State::Unknown; 4].map(|state| Standing::of(State::Offered).to(state, true, false)));
    assert_eq!(offered.silent, 0, "nothing had begun there");
    // Two tasks of one host are one host.
    let run = wave.and(silent(2)).and(rest);
    assert_eq!(
        judge(&Look { silent_hosts: 1, ..look(&policy, run, run.and(rest)) }),
        Verdict::Wait("99 of 191 results, 95% are needed, of 2 nobody knows".to_owned())
    );
}

/// What nothing was changed by proves nothing, so a person opens the next wave.
#[test]
fn the_next_wave_opens_by_itself_only_once_a_host_was_changed() {
    let policy = Policy { waves: vec![Size::Count(2), Size::Count(2)], ..Policy::default() };
    let rest = Tally { waiting: 90, ..Tally::default() };
    let of = |states: &[State]| Tally::of(states.iter().copied());
    for (states, opens) in [
        (&[State::Succeeded, State::Unchanged][..], true),
        (&[State::Reverted, State::NotApplicable], true),
        (&[State::Unchanged, State::Unchanged], false),
        (&[State::NotApplicable, State::NotApplicable], false),
        (&[State::Unchanged, State::Failed], false),
        (&[State::Unchanged, State::Expired], false),
    ] {
        let wave = of(states);
        let verdict = judge(&look(&policy, wave, wave.and(rest)));
        assert_eq!(verdict == Verdict::Promote, opens, "{states:?}: {verdict:?}");
        if !opens {
            assert!(matches!(&verdict, Verdict::Wait(why) if why.contains("no host was changed")), "{verdict:?}");
        }
        let proven = judge(&Look { proven: true, ..look(&policy, wave, wave.and(rest)) });
        assert_eq!(proven, Verdict::Promote, "an earlier run of the job went through: {states:?}");
        // A host changed in an earlier wave is proof enough.
        let later = judge(&look(&policy, wave, wave.and(of(&[State::Succeeded])).and(rest)));
        assert_eq!(later, Verdict::Promote, "{states:?}");
    }
    let wave = of(&[State::Unchanged, State::NotApplicable]);
    let why = "no host was changed so far, so nothing shows what the change does (in place already: 1, does not apply: 1); \
               the next wave opens when a person opens it";
    assert_eq!(judge(&look(&policy, wave, wave.and(rest))), Verdict::Wait(why.to_owned()));
}

/// The finding that made acceptance one of tasks: a number hid as many later failures as unknown results had ended well.
#[test]
fn what_was_accepted_as_unknown_and_ended_well_hides_no_later_failure() {
    let policy = Policy::default();
    let of = |state, count: usize| vec![Standing::of(State::Offered).to(state, true, false); count];
    let mut tasks = [of(State::Failed, 5), of(State::Unknown, 10), of(State::Ready, 85)].concat();
    let judged = |tasks: &[Standing]| {
        let run = Tally::of(tasks.iter().copied());
        judge(&Look { last: true, ..look(&policy, run, run) })
    };
    assert!(matches!(judged(&tasks), Verdict::Halt(why) if why == "15 failures (10 of them unknown), 10 are allowed"));
    tasks.iter_mut().for_each(|task| *task = task.accepted());
    assert_eq!(judged(&tasks), Verdict::Last, "a person took it on himself");
    for task in &mut tasks[5..15] {
        *task = task.to(State::Succeeded, true, false);
    }
    for more in 1..=10 {
        tasks[14 + more] = tasks[14 + more].to(State::Failed, true, false);
        assert_eq!(judged(&tasks), Verdict::Last, "{more} are allowed");
    }
    tasks[25] = tasks[25].to(State::Failed, true, false);
    assert!(matches!(judged(&tasks), Verdict::Halt(why) if why == "11 failures, 10 are allowed"));
}

const EVENTS: [(Event, bool); 13] = [
    (Event::Due, false),
    (Event::Offer, false),
    (Event::Accepted, false),
    (Event::Started, false),
    (Event::Finished(End::Succeeded), false),
    (Event::Finished(End::Failed), false),
    (Event::Finished(End::Failed), true),
    (Event::Finished(End::RevertFailed), false),
    (Event::Interrupted, false),
    (Event::Revoked, false),
    (Event::Silence, false),
    (Event::Refused { transient: true }, false),
    (Event::AgentGone, true),
];

proptest! {
    /// Through every history: what is taken out of the count are the very tries that had failed, or were unknown, when a person
    /// let the run go on, as long as they are failed or unknown. A host left changed after that halts, accepted try or not.
    #[test]
    fn only_the_tries_that_a_person_saw_are_accepted(steps in proptest::collection::vec((0_usize..5, 0..=EVENTS.len()), 1..120)) {
        let mut lives = [Life::new(); 5];
        let mut standings = [Standing::of(State::Pending); 5];
        let (mut seen, mut begun, mut left) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let fails = |state: State| state == State::Unknown
            || (state.code() == Some(1) && !matches!(state, State::Cancelled | State::Expired));
        for (who, what) in steps {
            if let Some((event, changed)) = EVENTS.get(what) {
                let before = lives[who];
                let Ok(after) = step(before, *event) else { continue };
                lives[who] = after;
                standings[who] = standings[who].to(after.state, before.epoch == after.epoch, *changed);
                if after.state == State::Running {
                    begun.insert((who, after.epoch));
                }
                let ends = after.state.ended() && !before.state.ended();
                if ends && (after.state == State::RevertFailed || (*changed && fails(after.state))) {
                    left.insert(who);
                }
            } else {
                seen.extend((0..5).filter(|who| fails(lives[*who].state)).map(|who| (who, lives[who].epoch)));
                left.clear();
                standings = standings.map(Standing::accepted);
            }
            let tally = Tally::of(standings);
            let counts = |which: &dyn Fn(usize) -> bool| (0..5).filter(|who| which(*who)).count() as u64;
            let fresh = |who: usize| !seen.contains(&(who, lives[who].epoch));
            let unknown = |who: usize| lives[who].state == State::Unknown;
            let bad = |who: usize| fails(lives[who].state) && !unknown(who);
            prop_assert_eq!(tally.unaccepted().unknown, counts(&|who| unknown(who) && fresh(who)));
            prop_assert_eq!(tally.unaccepted().bad, counts(&|who| bad(who) && fresh(who)));
            prop_assert_eq!(tally.failures(), counts(&|who| unknown(who) || bad(who)), "people still see them");
            prop_assert_eq!(tally.silent, counts(&|who| unknown(who) && fresh(who) && begun.contains(&(who, lives[who].epoch))));
            prop_assert_eq!(tally.half_done, left.len() as u64);
            prop_assert_eq!(tally.changed, counts(&|who| lives[who].state == State::Succeeded));
            prop_assert_eq!(Tally::from_figures(tally.figures()), tally);
        }
    }
}
