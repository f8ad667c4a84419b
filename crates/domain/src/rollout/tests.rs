//! Waves, limits and gates by tables and properties (S8).

use super::gate::{Bucket, Look, Standing, Tally, Verdict, judge, wilson};
use super::run::{RunEvent, RunState, step};
use super::*;
use crate::task::State;
use crate::time::Timestamp;
use proptest::prelude::*;

fn waves(texts: &[&str]) -> Policy {
    Policy { waves: texts.iter().map(|text| text.parse().unwrap()).collect(), ..Policy::default() }
}

fn assets(count: i64) -> Vec<AssetId> {
    (1..=count).map(AssetId).collect()
}

fn look<'a>(policy: &'a Policy, wave: Tally, run: Tally) -> Look<'a> {
    let now = Timestamp::from_micros(0);
    Look { policy, wave, run, last: false, silent_hosts: run.silent, proven: false, settled_at: None, now }
}

#[test]
fn sizes_by_table() {
    for (policy, assets, expected) in [
        (waves(&[]), 0, vec![]),
        (waves(&[]), 7, vec![7]),
        (waves(&["1", "10", "5%"]), 100, vec![1, 10, 5, 84]),
        (waves(&["1", "10%"]), 5, vec![1, 1, 3]),
        (waves(&["1", "10"]), 1, vec![1]),
        (waves(&["50%", "50%"]), 9, vec![5, 4]),
        (waves(&["1%"]), 3, vec![1, 2]),
    ] {
        assert_eq!(policy.sizes(assets), expected, "{:?} of {assets}", policy.waves);
    }
}

#[test]
fn sizes_are_written_as_people_write_them() {
    for text in ["1", "10", "5%", "100%"] {
        assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
    }
    for wrong in ["", "%", "-1", "1.5%", "ten", "300%"] {
        assert!(wrong.parse::<Size>().is_err(), "{wrong}");
    }
    let json = serde_json_like(&waves(&["1", "5%"]));
    assert_eq!(json, vec!["1".to_owned(), "5%".to_owned()]);
}

fn serde_json_like(policy: &Policy) -> Vec<String> {
    policy.waves.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_out_of_range_is_refused_by_name() {
    assert!(Policy::default().validate().is_ok());
    for preset in Preset::ALL {
        assert!(preset.policy().validate().is_ok(), "{preset:?}");
        assert_eq!(Preset::parse(preset.as_str()), Some(preset));
        assert!(!preset.policy().sentence().is_empty());
    }
    let with = |change: &dyn Fn(&mut Policy)| {
        let mut policy = Policy::default();
        change(&mut policy);
        policy.validate().unwrap_err().code
    };
    assert_eq!(with(&|p| p.waves = vec![Size::Count(1); WAVES_MAX]), "rollout_waves");
    assert_eq!(with(&|p| p.waves = vec![Size::Count(0)]), "rollout_waves");
    assert_eq!(with(&|p| p.waves = vec![Size::Share(101)]), "rollout_waves");
    assert_eq!(with(&|p| p.failures = Some(Size::Share(101))), "rollout_failures");
    assert_eq!(with(&|p| p.soak_seconds = SOAK_SECONDS_MAX + 1), "rollout_soak");
    assert_eq!(with(&|p| p.max_running = 0), "rollout_max_running");
    assert_eq!(with(&|p| p.starts_per_minute = Some(0)), "rollout_starts");
    assert_eq!(with(&|p| p.failure_percent = Some(0)), "rollout_rate");
    assert_eq!(with(&|p| p.definitive_percent = 101), "rollout_definitive");
    assert_eq!(with(&|p| p.freshness_hours = 0), "rollout_freshness");
    assert_eq!(with(&|p| p.restarts = Some(0)), "rollout_restarts");
    assert_eq!(with(&|p| p.apart = Some(Apart { tag: " ".to_owned(), at_most: 1 })), "rollout_apart");
    assert_eq!(with(&|p| p.apart = Some(Apart { tag: "cluster:".to_owned(), at_most: 0 })), "rollout_apart");
}

#[test]
fn a_small_job_is_as_it_always_was() {
    let policy = Policy::default();
    assert_eq!(policy.sizes(5), vec![5]);
    assert!(policy.needs_permits(5), "a halt is exact unless somebody decides otherwise");
    let policy = Policy { permits: false, ..policy };
    assert!(!policy.needs_permits(5));
    let failed = Tally { waiting: 1, bad: 9, ..Tally::default() };
    assert_eq!(judge(&Look { last: true, ..look(&policy, failed, failed) }), Verdict::Last);
    assert!(policy.needs_permits(u64::from(RUNNING_DEFAULT) + 1), "a limit that can be reached has to be held");
    assert!(Policy { permits: false, ..Preset::Canary.policy() }.needs_permits(1), "waves need them");
}

#[test]
fn wilson_by_the_published_figures() {
    for (hits, of, low, high) in
        [(0, 20, 0.0, 0.161), (1, 1, 0.207, 1.0), (3, 10, 0.108, 0.603), (300, 300, 0.987, 1.0)]
    {
        let (lower, upper) = wilson(hits, of);
        assert!((lower - low).abs() < 0.001 && (upper - high).abs() < 0.001, "{hits} of {of}: {lower} {upper}");
    }
    assert_eq!(wilson(0, 0), (0.0, 1.0));
}

#[test]
fn gates_by_table() {
    let policy = Policy { failures: Some(Size::Count(3)), ..waves(&["10"]) };
    let rest = Tally { waiting: 90, ..Tally::default() };
    let judged = |wave: Tally| judge(&look(&policy, wave, wave.and(rest)));
    let ten = |good, bad, unknown, out| Tally { good, bad, unknown, out, changed: good, ..Tally::default() };
    assert_eq!(judged(ten(10, 0, 0, 0)), Verdict::Promote);
    assert_eq!(judged(ten(7, 3, 0, 0)), Verdict::Promote, "as many as are allowed");
    assert!(matches!(judged(ten(6, 4, 0, 0)), Verdict::Halt(why) if why == "4 failures, 3 are allowed"));
    assert!(matches!(judged(ten(6, 2, 2, 0)), Verdict::Halt(why) if why.contains("2 of them unknown")));
    assert!(matches!(judged(ten(9, 0, 1, 0)), Verdict::Wait(why) if why.contains("of 1 nobody knows")));
    assert!(matches!(judged(ten(9, 0, 0, 1)), Verdict::Wait(_)), "90% is less than 95%");
    let all_failed = Tally { bad: 2, ..Tally::default() };
    assert!(matches!(judged(all_failed), Verdict::Halt(why) if why == "all 2 results of the wave are failures"));
    let untried = Tally { good: 9, changed: 1, untried: 1, ..Tally::default() };
    assert_eq!(judged(untried), Verdict::Promote, "a host that was never there says nothing either way");
    let missing = Tally { good: 8, out: 1, untried: 1, ..Tally::default() };
    assert!(matches!(judged(missing), Verdict::Wait(why) if why == "8 of 9 results, 95% are needed, 1 not tried"));
    let nobody = Tally { untried: 10, ..Tally::default() };
    assert!(matches!(judged(nobody), Verdict::Wait(_)), "a wave of which nothing was tried proves nothing");
}

#[test]
fn hosts_that_are_away_are_passed_over() {
    let policy = waves(&["10"]);
    let rest = Tally { waiting: 90, ..Tally::default() };
    let wave = Tally { good: 8, changed: 8, waiting: 2, ..Tally::default() };
    assert!(matches!(judge(&look(&policy, wave, wave.and(rest))), Verdict::Wait(_)), "they may come any minute");
    assert!(matches!(judge(&look(&policy, wave.passing_over(1), wave.and(rest))), Verdict::Wait(_)));
    assert_eq!(judge(&look(&policy, wave.passing_over(2), wave.and(rest))), Verdict::Promote);
    let all_away = Tally { waiting: 10, ..Tally::default() };
    assert!(matches!(judge(&look(&policy, all_away.passing_over(10), rest)), Verdict::Wait(_)), "nothing was tried");
    assert_eq!(wave.passing_over(5), wave.passing_over(2), "only what waits");
    // The only one that was there failed.
    let failed = Tally { bad: 1, waiting: 9, ..Tally::default() };
    assert!(matches!(judge(&look(&policy, failed.passing_over(9), failed.and(rest))), Verdict::Halt(_)));
}

#[test]
fn what_is_not_waited_for_by_table() {
    let policy = Policy { freshness_hours: 24, ..Policy::default() };
    let hours = |hours: i64| Timestamp::from_micros(0).plus_seconds(hours * 3600);
    for (due, heard, ends, now, expected) in [
        (100, 90, true, 123, false),
        (100, 90, true, 124, false),
        (100, 90, true, 125, true),
        (100, 110, true, 125, false),
        (100, 110, true, 135, true),
        (100, 0, false, 1_000, false),
        (200, 0, true, 199, false),
    ] {
        let stale = policy.stale(hours(due), hours(heard), false, ends, hours(now));
        assert_eq!(stale, expected, "due {due} heard {heard} ends {ends} now {now}");
    }
    // Nobody waits a day for a host that contact is lost with; but for work that is done once, and for one that was heard since.
    assert!(policy.stale(hours(200), hours(0), true, true, hours(199)));
    assert!(!policy.stale(hours(200), hours(0), true, false, hours(199)));
    assert!(!policy.stale(hours(200), hours(198), true, true, hours(199)));
}

#[test]
fn a_rate_is_judged_with_confidence() {
    let policy = Policy { failures: Some(Size::Count(1000)), failure_percent: Some(2), ..waves(&["100"]) };
    let rest = Tally { waiting: 900, ..Tally::default() };
    let judged = |wave: Tally| judge(&look(&policy, wave, wave.and(rest)));
    let ended = |good, bad| judged(Tally { good, bad, changed: good, ..Tally::default() });
    // 2 of 100 are allowed; 3 of 100 may well be 2% in truth, and may be 8%; 7 of 100 is not 2%.
    assert_eq!(ended(98, 2), Verdict::Promote);
    assert!(
        matches!(ended(97, 3), Verdict::Wait(why) if why.starts_with("3 of 100 failed in the wave: it may be up to 8.5%"))
    );
    assert!(matches!(ended(93, 7), Verdict::Halt(why) if why.contains("95% confidence")));
    // Nothing failed in one try proves next to nothing, but a canary of one host has to be able to pass.
    assert_eq!(ended(1, 0), Verdict::Promote);
    // One of ten is too little to halt for (1.79%) and too much to go on.
    assert!(wilson(1, 10).0 < 0.02);
    assert!(
        matches!(ended(9, 1), Verdict::Wait(why) if why.contains("40.4%") && why.ends_with("when a person opens it"))
    );
    let unknown = Tally { good: 96, changed: 96, unknown: 4, ..Tally::default() };
    assert!(matches!(judged(unknown), Verdict::Wait(why) if why.contains("4 of them unknown")), "nobody knows of 4%");
    let accepted = Tally { good: 9, bad: 1, changed: 9, accepted_bad: 1, ..Tally::default() };
    assert_eq!(judged(accepted), Verdict::Promote, "a person has seen it");
    assert!(
        matches!(judged(Tally { good: 0, bad: 1, out: 99, ..Tally::default() }), Verdict::Halt(_)),
        "the first alone"
    );
}

#[test]
fn results_have_to_stand_for_the_soak() {
    let policy = Policy { soak_seconds: 60, ..waves(&["1"]) };
    let wave = Tally { good: 1, changed: 1, ..Tally::default() };
    let run = wave.and(Tally { waiting: 9, ..Tally::default() });
    let at = |settled: Option<i64>, now: i64| {
        let time = |seconds| Timestamp::from_micros(0).plus_seconds(seconds);
        judge(&Look { settled_at: settled.map(time), now: time(now), ..look(&policy, wave, run) })
    };
    assert_eq!(at(None, 500), Verdict::Soak);
    assert_eq!(at(Some(100), 159), Verdict::Soak);
    assert_eq!(at(Some(100), 160), Verdict::Promote);
}

#[test]
fn a_run_by_table() {
    use RunEvent as E;
    use RunState as S;
    for state in S::ALL {
        assert_eq!(S::parse(state.as_str()), Some(state));
        for event in E::ALL {
            let expected = match (state, event) {
                (_, E::End) => Some(S::Ended),
                (S::Halting, E::Drained) => Some(S::Halted),
                (_, E::Drained) => Some(state),
                (S::Open, E::Halt) => Some(S::Halting),
                (S::Halting | S::Halted, E::Resume) | (S::Open, E::Promote) => Some(S::Open),
                _ => None,
            };
            assert_eq!(step(state, event).ok(), expected, "{state:?} {event:?}");
        }
    }
}

fn any_size() -> impl Strategy<Value = Size> {
    prop_oneof![(1_u32..50).prop_map(Size::Count), (1_u8..=100).prop_map(Size::Share)]
}

fn any_tally() -> impl Strategy<Value = Tally> {
    let standing = (0_usize..State::ALL.len(), 0_u8..16).prop_map(|(pick, bits)| {
        let standing = Standing::of(State::ALL[pick]);
        Standing { started: bits & 1 == 1, half_done: bits & 14 == 0 || standing.half_done, ..standing }
    });
    proptest::collection::vec(standing, 0..60).prop_map(Tally::of)
}

proptest! {
    /// Every asset is in exactly one wave, waves are as large as they say and none is empty, and the same again gives the same.
    #[test]
    fn everybody_is_in_one_wave(sizes in proptest::collection::vec(any_size(), 0..6), count in 0_i64..300, key: u64) {
        let policy = Policy { waves: sizes, ..Policy::default() };
        let assigned = policy.assign(key, assets(count));
        prop_assert_eq!(assigned.len(), usize::try_from(count).unwrap());
        let sizes = policy.sizes(u64::try_from(count).unwrap());
        prop_assert!(sizes.iter().all(|size| *size > 0));
        for (wave, size) in (1..).zip(&sizes) {
            prop_assert_eq!(assigned.values().filter(|of| **of == wave).count() as u64, *size);
        }
        let again = policy.assign(key, assets(count).into_iter().rev());
        prop_assert_eq!(again, assigned);
    }

    /// What was changed last is taken back first, in waves that are as large as the policy says; where nothing tells hosts apart nothing
    /// is different.
    #[test]
    fn a_rollback_takes_back_first_what_was_changed_last(
        sizes in proptest::collection::vec(any_size(), 0..6), changed in proptest::collection::vec(0_u32..5, 0..200), key: u64,
    ) {
        let policy = Policy { waves: sizes, ..Policy::default() };
        let all = assets(i64::try_from(changed.len()).unwrap());
        // 0: nobody knows.
        let known = all.iter().copied().zip(changed).filter(|(_, done)| *done > 0);
        let changed: BTreeMap<AssetId, Timestamp> =
            known.map(|(asset, done)| (asset, Timestamp::from_micros(i64::from(done)))).collect();
        let back = policy.assign_back(key, all.iter().copied(), &changed);
        prop_assert_eq!(back.len(), all.len());
        for (wave, size) in (1..).zip(policy.sizes(all.len() as u64)) {
            prop_assert_eq!(back.values().filter(|of| **of == wave).count() as u64, size);
        }
        let of = |asset| changed.get(asset).map(|done| done.micros());
        for one in &all {
            for other in all.iter().filter(|other| of(other) < of(one)) {
                prop_assert!(back[one] <= back[other], "{one:?} of {:?}, {other:?} of {:?}", of(one), of(other));
            }
        }
        let flat = all.iter().map(|asset| (*asset, Timestamp::from_micros(1))).collect();
        let plain = policy.assign(key, all.iter().copied());
        prop_assert_eq!(policy.assign_back(key, all.iter().copied(), &flat), plain.clone());
        prop_assert_eq!(policy.assign_back(key, all, &BTreeMap::new()), plain);
    }

    /// A share never says something else than the number it comes to.
    #[test]
    fn percentages_never_contradict_counts(percent in 0_u8..=100, wave in any_tally(), rest in any_tally()) {
        let run = wave.and(rest);
        let by = |size| Policy { failures: Some(size), waves: vec![Size::Count(1)], ..Policy::default() };
        let share = by(Size::Share(percent));
        let count = by(Size::Count(u32::try_from(share.tolerated(run.tasks())).unwrap()));
        prop_assert_eq!(judge(&look(&share, wave, run)), judge(&look(&count, wave, run)));
    }

    /// S8: a wave is followed by the next only with the share of definitive results, within every bound, and with unknown
    /// results counted as failures.
    #[test]
    fn s8_promotion_means_the_bounds_are_met(
        wave in any_tally(), rest in any_tally(), failures in any_size(), percent in proptest::option::of(1_u8..50),
        definitive in 1_u8..=100, soak in 0_u32..100, settled in proptest::option::of(0_i64..200), now in 0_i64..300,
    ) {
        let policy = Policy {
            failures: Some(failures), failure_percent: percent, definitive_percent: definitive, soak_seconds: soak,
            ..waves(&["1"])
        };
        let run = wave.and(rest);
        let time = |seconds| Timestamp::from_micros(0).plus_seconds(seconds);
        let verdict =
            judge(&Look { settled_at: settled.map(time), now: time(now), ..look(&policy, wave, run) });
        if verdict == Verdict::Promote {
            let definitive_ones = wave.good + wave.bad + wave.neutral;
            prop_assert!(definitive_ones * 100 >= u64::from(definitive) * (wave.tasks() - wave.untried));
            prop_assert!(definitive_ones > 0 || wave.tasks() == 0, "a wave of which nothing was tried proves nothing");
            prop_assert!(soak == 0 || settled.is_some_and(|at| now - at >= i64::from(soak)));
            if run.waiting + run.out > 0 {
                prop_assert!(run.bad + run.unknown <= failures.floor(run.tasks()));
                prop_assert!(run.half_done == 0 && run.silent < 2);
                for tally in [wave, run] {
                    let lower = wilson(tally.bad + tally.unknown, tally.good + tally.bad + tally.unknown).0;
                    prop_assert!(percent.is_none_or(|percent| lower * 100.0 <= f64::from(percent)));
                }
            }
        }
        if verdict == Verdict::Promote {
            prop_assert!(run.changed > 0 || wave.tasks() == 0, "a run that changed nothing shows nothing");
            let (failed, judged) = (wave.bad + wave.unknown, wave.good + wave.bad + wave.unknown);
            prop_assert!(percent.is_none_or(|percent| failed * 100 <= u64::from(percent) * judged));
        }
        // A failure more never turns a halt into anything else.
        if let Verdict::Halt(_) = verdict {
            let worse = Tally { bad: wave.bad + 1, ..wave };
            let after = judge(&Look { settled_at: settled.map(time), now: time(now), ..look(&policy, worse, worse.and(rest)) });
            let looser = matches!(failures, Size::Share(_));
            prop_assert!(matches!(after, Verdict::Halt(_)) || looser);
        }
    }

    /// The bounds hold the rate between them and come closer with more tries.
    #[test]
    fn wilson_bounds_hold_the_rate(hits in 0_u64..500, misses in 0_u64..500) {
        let of = hits + misses;
        let (lower, upper) = wilson(hits, of);
        prop_assert!((0.0..=1.0).contains(&lower) && (0.0..=1.0).contains(&upper) && lower <= upper);
        if of > 0 {
            let rate = hits as f64 / of as f64;
            prop_assert!(lower <= rate + 1e-9 && rate <= upper + 1e-9);
            let (tighter, higher) = wilson(hits * 2, of * 2);
            prop_assert!(tighter + 1e-9 >= lower && higher <= upper + 1e-9);
        }
    }

    /// A tally is a recount by bucket.
    #[test]
    fn a_tally_counts_every_task_once(picks in proptest::collection::vec(0_usize..State::ALL.len(), 0..80)) {
        let states: Vec<State> = picks.into_iter().map(|pick| State::ALL[pick]).collect();
        let tally = Tally::of(states.iter().copied());
        prop_assert_eq!(tally.tasks(), states.len() as u64);
        for (bucket, count) in Bucket::ALL.into_iter().zip(tally.counts()) {
            prop_assert_eq!(states.iter().filter(|state| Bucket::of(**state) == bucket).count() as u64, count);
        }
        prop_assert_eq!(tally.open(), states.iter().filter(|state| state.code().is_none()).count() as u64);
    }
}

#[test]
fn what_a_person_accepted_halts_no_more_and_what_comes_after_does() {
    let policy = Policy { failures: Some(Size::Count(1)), ..Policy::default() };
    let tally = |good, (bad, accepted_bad), (unknown, accepted_unknown), waiting| Tally {
        good,
        bad,
        accepted_bad,
        unknown,
        accepted_unknown,
        waiting,
        changed: good,
        ..Tally::default()
    };
    for (wave, others, halts) in [
        (tally(0, (2, 0), (0, 0), 0), tally(0, (0, 0), (0, 0), 8), true),
        (tally(0, (2, 2), (0, 0), 0), tally(0, (0, 0), (0, 0), 8), false),
        (tally(0, (1, 1), (1, 1), 0), tally(0, (0, 0), (0, 0), 8), false),
        (tally(1, (1, 1), (0, 0), 2), tally(0, (2, 1), (0, 0), 4), false),
        (tally(0, (2, 1), (0, 0), 2), tally(0, (2, 1), (0, 0), 2), true),
        (tally(0, (1, 0), (1, 0), 2), tally(0, (2, 2), (1, 1), 2), true),
        // Everything in the wave failed, and nobody has accepted one of them.
        (tally(0, (1, 0), (0, 0), 0), tally(0, (2, 2), (0, 0), 4), true),
    ] {
        let verdict = judge(&look(&policy, wave, wave.and(others)));
        assert_eq!(matches!(verdict, Verdict::Halt(_)), halts, "{wave:?} {others:?}: {verdict:?}");
    }
}
