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
fn s6_what_asks_for_no_permit_is_at_work_as_long_as_it_may_be_by_table() {
    let end = Timestamp::from_micros(0);
    // Started at its last moment, as long as it may take, unproven and undone: over before it counts no more.
    let over = end.plus_seconds(RUN_SECONDS + PROOF_SECONDS + UNDO_SECONDS + MARGIN_SECONDS);
    for state in State::ALL {
        let may = ["offered", "accepted", "running", "unknown", "lost"].contains(&state.as_str());
        assert_eq!(works_unasked(state, false, Some(end), over.plus_seconds(-1)), may, "{state:?}");
        assert!(!works_unasked(state, false, Some(end), over), "{state:?}");
        assert!(!works_unasked(state, true, Some(end), end), "{state:?}");
        assert!(!works_unasked(state, false, None, end), "nothing was ordered: {state:?}");
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

fn start(task: i64, asset: i64, apart: &[Kept]) -> Wanted<'_> {
    let (run, expires_at) = (RunId(1), Timestamp::from_micros(0).plus_seconds(900));
    Wanted { task: TaskId(task), epoch: 1, run, asset: AssetId(asset), max_running: 9, interval: 0, apart, expires_at }
}

fn restart(task: i64, asset: i64, apart: &[Kept]) -> WantedRestart<'_> {
    WantedRestart { task: TaskId(task), epoch: 1, run: RunId(1), asset: AssetId(asset), at_most: 9, apart }
}

/// A run, and hosts with these tags.
fn places(tags: &[(i64, &[&str])]) -> Places {
    let mut places = Places::default();
    places.begin(RunId(1), false);
    for (asset, tags) in tags {
        places.tags.insert(AssetId(*asset), tags.iter().map(|tag| (*tag).to_owned()).collect());
    }
    places
}

fn kept(groups: &[&str]) -> Vec<Kept> {
    groups.iter().map(|group| Kept { group: (*group).to_owned(), at_most: 1 }).collect()
}

#[test]
fn s6_starts_and_restarts_of_a_group_see_each_other() {
    let now = Timestamp::from_micros(0);
    let apart = kept(&["a"]);
    let mut places = places(&[(1, &["a"]), (2, &["a"])]);
    // A host that is worked on may restart for it, and another may not begin meanwhile, however long it takes.
    assert_eq!(places.grant(&start(1, 1, &apart), now), Granted::Yes);
    assert_eq!(places.grant(&start(2, 2, &apart), now), Granted::Full);
    assert_eq!(places.grant_restart(&restart(1, 1, &apart)), Granted::Yes);
    places.expire(now.plus_seconds(900));
    assert!(places.out.is_empty());
    assert_eq!(places.grant(&start(2, 2, &apart), now), Granted::Full, "the first is down");
    assert_eq!(places.grant_restart(&restart(1, 1, &apart)), Granted::Yes, "the same slot");
    places.give_back(TaskId(1));
    // Nor may a host restart while another begins.
    assert_eq!(places.grant(&start(2, 2, &apart), now), Granted::Yes);
    assert_eq!(places.grant_restart(&restart(1, 1, &apart)), Granted::Full);
    assert_eq!(places.grant(&start(3, 2, &apart), now), Granted::Yes, "one host is one, whatever is done on it");
}

#[test]
fn s6_a_host_counts_in_each_of_its_groups_and_for_whoever_asks() {
    let now = Timestamp::from_micros(0);
    let mut places = places(&[(1, &["a", "b"]), (2, &["a"]), (3, &["b"]), (4, &["b", "c"]), (5, &["c"])]);
    // Of the run that works on the first host nobody said that it keeps hosts apart.
    assert_eq!(places.grant(&start(1, 1, &[]), now), Granted::Yes);
    assert_eq!(places.grant(&start(2, 2, &kept(&["a"])), now), Granted::Full);
    assert_eq!(places.grant(&start(3, 3, &kept(&["b"])), now), Granted::Full, "in its second group, too");
    assert_eq!(places.grant(&start(4, 4, &kept(&["c", "b"])), now), Granted::Full, "one full group is enough");
    assert_eq!(places.grant(&start(5, 5, &kept(&["c"])), now), Granted::Yes);
    // As hosts are tagged now.
    places.tags.remove(&AssetId(1));
    assert_eq!(places.grant(&start(2, 2, &kept(&["a"])), now), Granted::Yes);
}

/// What becomes of places: a start is asked for (twice as often), a restart is, a task is over, the run is closed or opened, time
/// passes.
const WAYS: u8 = 7;
const TAGS: [&str; 3] = ["a", "b", "c"];

proptest! {
    /// S6, S7: permits out never exceed the limit, places are the permits out, of no group more hosts are worked on than may be, by
    /// starts and restarts together and in whichever of its groups a host is, and nothing is granted while closed.
    #[test]
    fn s6_s7_places_are_the_permits_out(
        tags in proptest::collection::vec(proptest::collection::btree_set(0_usize..TAGS.len(), 0..3), 4),
        of_group in 1_i64..3,
        steps in proptest::collection::vec((0..WAYS, 0_usize..6, 0_i64..20), 0..80),
    ) {
        let (run, limit, down) = (RunId(1), 3, 2);
        // Two hosts have two tasks each.
        let host = |task: usize| AssetId(i64::try_from(task % 4).unwrap());
        let of = |asset: usize| tags[asset].iter().map(|tag| TAGS[*tag]);
        let tagged: Vec<(i64, Vec<&str>)> = (0..4).map(|asset| (i64::try_from(asset).unwrap(), of(asset).collect())).collect();
        let tagged: Vec<(i64, &[&str])> = tagged.iter().map(|(asset, tags)| (*asset, tags.as_slice())).collect();
        let mut places = places(&tagged);
        let (mut clock, mut closed) = (0, false);
        for (what, task, seconds) in steps {
            clock += seconds;
            let (now, asset, id) = (Timestamp::from_micros(0).plus_seconds(clock), host(task), TaskId(i64::try_from(task).unwrap()));
            let apart: Vec<Kept> = of(task % 4).map(|tag| Kept { group: tag.to_owned(), at_most: of_group }).collect();
            let before = places.clone();
            match what {
                0..=1 => {
                    let want = Wanted { max_running: limit, expires_at: now.plus_seconds(15), ..start(id.0, asset.0, &apart) };
                    match places.grant(&want, now) {
                        Granted::Yes => prop_assert!(!closed && places.out.contains_key(&(id, 1))),
                        Granted::Closed => prop_assert!(closed && places == before),
                        Granted::Full => prop_assert!(!closed && places == before),
                    }
                }
                2 => {
                    let want = WantedRestart { at_most: down, ..restart(id.0, asset.0, &apart) };
                    match places.grant_restart(&want) {
                        Granted::Yes => prop_assert!(!closed && places.restarts.contains_key(&id)),
                        Granted::Closed => prop_assert!(closed && places == before),
                        Granted::Full => prop_assert!(!closed && places == before),
                    }
                }
                3 => places.give_back(id),
                4 => {
                    closed = !closed;
                    places.close(run, closed);
                }
                5 => places.give_back_restart(id),
                _ => places.expire(now),
            }
            let out = i64::try_from(places.out.len()).unwrap();
            prop_assert_eq!(places.places[&run].taken, out);
            prop_assert!(out <= limit && places.restarts.len() <= 2);
            for (tag, name) in TAGS.iter().enumerate() {
                let hosts = places.out.values().map(|out| out.asset).chain(places.restarts.values().map(|slot| slot.asset));
                let hosts: BTreeSet<AssetId> =
                    hosts.filter(|host| tags[usize::try_from(host.0).unwrap()].contains(&tag)).collect();
                prop_assert!(i64::try_from(hosts.len()).unwrap() <= of_group, "{} of {}", hosts.len(), name);
            }
        }
    }
}
