//! Who may start, when a place comes back, and that places are the permits out (S6, S7).

use super::*;
use crate::task::{PROOF_SECONDS, RUN_SECONDS, UNDO_SECONDS};
use proptest::prelude::*;

fn question() -> Question {
    let life = Life { state: State::Accepted, epoch: 2, attempts: 0, cancel_requested: false };
    let (halted, paused, run) = (false, false, RunState::Open);
    Question { agent_revoked: false, on_its_asset: true, epoch: 2, life, halted, run, paused }
}

#[test]
fn s7_who_may_start_by_table() {
    assert_eq!(fit(&question()), Fitness::Fit);
    type Change = fn(&mut Question);
    let never: [(&str, Change); 9] = [
        ("the agent is revoked", |q| q.agent_revoked = true),
        ("the agent sits on another asset", |q| q.on_its_asset = false),
        ("another epoch of the task is in force", |q| q.epoch = 1),
        ("another epoch of the task is in force", |q| q.epoch = 3),
        ("the job was cancelled", |q| q.life.cancel_requested = true),
        ("everything is halted", |q| q.halted = true),
        ("the run is halted", |q| q.run = RunState::Halting),
        ("the run is halted", |q| q.run = RunState::Halted),
        ("the run is halted", |q| q.run = RunState::Ended),
    ];
    for (reason, change) in never {
        // A pause never turns a no into a later.
        for paused in [false, true] {
            let mut asked = Question { paused, ..question() };
            change(&mut asked);
            assert_eq!(fit(&asked), Fitness::Never(reason));
        }
    }
    assert_eq!(fit(&Question { paused: true, ..question() }), Fitness::Later);
    for state in State::ALL {
        let life = Life { state, ..question().life };
        let waits = matches!(state.as_str(), "offered" | "accepted");
        assert_eq!(fit(&Question { life, ..question() }) == Fitness::Fit, waits, "{state:?}");
    }
}

#[test]
fn s7_for_what_a_host_may_be_restarted_by_table() {
    let running = Question { life: Life { state: State::Running, ..question().life }, ..question() };
    assert_eq!(fit_restart(&running), Fitness::Fit);
    assert_eq!(fit_restart(&Question { paused: true, ..running }), Fitness::Later);
    type Change = fn(&mut Question);
    let never: [(&str, Change); 7] = [
        ("the agent is revoked", |q| q.agent_revoked = true),
        ("the agent sits on another asset", |q| q.on_its_asset = false),
        ("another epoch of the task is in force", |q| q.epoch = 1),
        ("the job was cancelled", |q| q.life.cancel_requested = true),
        ("everything is halted", |q| q.halted = true),
        ("the run is halted", |q| q.run = RunState::Halting),
        ("the run is halted", |q| q.run = RunState::Ended),
    ];
    for (reason, change) in never {
        let mut asked = running;
        change(&mut asked);
        assert_eq!(fit_restart(&asked), Fitness::Never(reason));
    }
    for state in State::ALL {
        let asked = Question { life: Life { state, ..question().life }, ..question() };
        let expected = match state.as_str() {
            "running" => Fitness::Fit,
            "offered" | "accepted" => Fitness::Soon,
            _ => Fitness::Never("the task does not wait for a restart"),
        };
        assert_eq!(fit_restart(&asked), expected, "{state:?}");
    }
}

#[test]
fn s6_places_come_back_when_nothing_can_be_at_work_by_table() {
    let out = ["offered", "accepted", "running", "unknown"];
    for from in State::ALL {
        for to in State::ALL {
            let expected = out.contains(&from.as_str()) && !out.contains(&to.as_str()) && to.as_str() != "lost";
            assert_eq!(gives_back(from, to), expected, "{from:?} {to:?}");
        }
    }
    // Asked for just before it was granted, used at its last moment, as long as it may take, unproven and undone: over before the
    // place is free.
    let now = Timestamp::from_micros(0);
    assert!(free_at(now).seconds_since(now) > PERMIT_SECONDS + RUN_SECONDS + PROOF_SECONDS + UNDO_SECONDS);
}

#[test]
fn s7_what_is_at_large_by_table() {
    for state in State::ALL {
        let word = state.as_str();
        let without = u64::from(["offered", "accepted", "running", "unknown"].contains(&word));
        assert_eq!(at_large([(state, false)], 2), 2 + without, "{state:?}");
        assert_eq!(at_large([(state, true)], 0), u64::from(word == "running"), "{state:?}");
    }
}

#[test]
fn starts_are_spaced_only_where_somebody_said_so() {
    let at = |seconds| Timestamp::from_micros(0).plus_seconds(seconds);
    let place = Place::new(false).take(9, 10_000_000, at(5)).unwrap();
    assert_eq!(place.take(9, 10_000_000, at(14)), None);
    assert!(place.take(9, 10_000_000, at(15)).is_some());
    // Another replica's clock may be behind.
    assert!(Place::new(false).take(9, 0, at(60)).unwrap().take(9, 0, at(0)).is_some());
}

proptest! {
    /// S6, S7: permits out never exceed the limit, places are the permits out, nothing is granted while closed.
    #[test]
    fn s6_s7_places_are_the_permits_out(
        steps in proptest::collection::vec((0_u8..6, 0_i64..5, 0_usize..3, 0_i64..20), 0..80),
    ) {
        let (run, limit, of_group) = (RunId(1), 2, 1);
        let mut places = Places::default();
        places.begin(run, false);
        let (mut clock, mut closed) = (0, false);
        for (what, task, group, seconds) in steps {
            clock += seconds;
            let now = Timestamp::from_micros(0).plus_seconds(clock);
            match what {
                0..=2 => {
                    let before = places.clone();
                    let apart = ["", "a", "b"].get(group).filter(|group| !group.is_empty()).map(|group| (*group, of_group));
                    let (task, expires_at) = (TaskId(task), now.plus_seconds(15));
                    let want = Wanted { task, epoch: 1, run, max_running: limit, interval: 0, apart, expires_at };
                    match places.grant(&want, now) {
                        Granted::Yes => prop_assert!(!closed && places.out.contains_key(&(task, 1))),
                        Granted::Closed => prop_assert!(closed && places == before),
                        Granted::Full => prop_assert!(!closed && places.out == before.out),
                    }
                }
                3 => places.give_back(TaskId(task)),
                4 => {
                    closed = !closed;
                    places.close(run, closed);
                }
                _ => places.expire(now),
            }
            for (scope, place) in &places.places {
                let within = |out: &&Out| match scope {
                    Scope::Run(run) => out.run == *run,
                    Scope::Group(group) => out.group.as_ref() == Some(group),
                };
                let out = i64::try_from(places.out.values().filter(within).count()).unwrap();
                let most = if matches!(scope, Scope::Run(_)) { limit } else { of_group };
                prop_assert_eq!(place.taken, out, "{:?}", scope);
                prop_assert!(out <= most, "{:?}", scope);
            }
        }
    }
}
