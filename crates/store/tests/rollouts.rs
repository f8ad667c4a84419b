//! Limits hold over everybody who grants, halts close them exactly, and counts equal a recount, on both engines (S6, S7, S12).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::allow_attributes, reason = "a test may panic")]

use domain::asset::{Identity, Platform};
use domain::id::{AssetId, JobId, RunId, TaskId, UserId};
use domain::job::Kind;
use domain::rollout::Policy;
use domain::rollout::apart::Kept;
use domain::rollout::permit::{self, Out, Places, Slot, WantedRestart};
use domain::rollout::run::RunState;
use domain::task::{End, Event, State, step};
use domain::time::Timestamp;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use store::jobs::NewJob;
use store::rollouts::{self, Beginning, Granted, Wanted, restarts};
use store::tasks::many::{self, Change};
use store::{Database, Transaction, agents, jobs, runs, tasks};
use testkit::both_engines;
use uuid::Uuid;

#[path = "rollouts/absent.rs"]
mod absent;
#[path = "rollouts/apart.rs"]
mod apart;
#[path = "rollouts/back.rs"]
mod back;
#[path = "rollouts/gates.rs"]
mod gates;
#[path = "rollouts/silence.rs"]
mod silence;
#[path = "rollouts/watch.rs"]
mod watch;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds)
}

/// A run of a fresh job with a task on each of so many assets, in waves of two.
fn run(tx: &mut Transaction<'_>, number: i64, count: usize) -> store::Result<(JobId, RunId, Vec<TaskId>)> {
    let draft = testkit::jobs::draft();
    let (kind, platform, origin, owner) = (Kind::Mitigation, Platform::Linux, "free".to_owned(), UserId(1));
    let job = jobs::create(tx, &NewJob { number, kind, platform, origin, owner }, &draft, at(0))?;
    tx.execute("UPDATE job SET status = 'ENABLED' WHERE id = $1", &[&job])?;
    let entry: i64 = tx.insert(
        "INSERT INTO catalogue_entry (entry, revision, digest, title, platform, implication, risk, reversible, needs, body,
             current)
         VALUES ('e', 1, $3, '', 'linux', 'mitigation', 'low', $1, '', $2, $1) RETURNING id",
        &[&true, &vec![0_u8], &format!("d{number}")],
    )?;
    let new = runs::NewRun { job, occurrence: None, cause: "enabled", does: "apply", asked_by: "" };
    let run = runs::begin(tx, &new, at(0))?;
    let with = Beginning { policy: String::new(), apart: None, waves: 9, permits: true, closed: false };
    rollouts::begin(tx, run, &with)?;
    let mut made = Vec::new();
    for n in 0..count {
        let name = format!("host-{number}-{n}");
        let asset = agents::create_asset(tx, &name, Platform::Linux, "", "10.0.0.1", &Identity::default(), at(0))?;
        made.push(tasks::NewTask {
            uuid: Uuid::now_v7(),
            run_id: run,
            job_id: job,
            asset_id: asset,
            agent_key: None,
            entry_key: entry,
            wave: i64::try_from(n / 2).unwrap() + 1,
            kind: "apply".to_owned(),
            due_at: at(0),
            zone: String::new(),
            window_end: None,
            start_by: None,
        });
    }
    tasks::create(tx, &made, at(0))?;
    let ids: Vec<(TaskId,)> = tx.all("SELECT id FROM task WHERE run_id = $1 ORDER BY id", &[&run])?;
    Ok((job, run, ids.into_iter().map(|(id,)| id).collect()))
}

/// An agent for each task, last heard when `heard` says.
fn with_agents(tx: &mut Transaction<'_>, ids: &[TaskId], heard: impl Fn(usize) -> Timestamp) -> store::Result<()> {
    for (n, task) in ids.iter().enumerate() {
        let new = agents::NewAgent {
            agent_id: Uuid::from_u128(100 + n as u128),
            instance_id: Uuid::from_u128(200 + n as u128),
            token_id: Uuid::from_u128(300),
            public_key: format!("key {n}"),
            hostname: String::new(),
            zone: String::new(),
            facts: "{}".to_owned(),
            version: String::new(),
            mode: String::new(),
        };
        let agent = agents::create(tx, &new, heard(n))?;
        tx.execute("UPDATE task SET agent_key = $2 WHERE id = $1", &[task, &agent])?;
    }
    Ok(())
}

fn want(run: RunId, task: TaskId, max_running: i64) -> Wanted<'static> {
    let (asset, expires_at) = (AssetId(task.0), at(100_000));
    Wanted { task, epoch: 1, run, asset, max_running, interval: 0, apart: &[], expires_at }
}

/// S6 and S12 as they have to be after every transaction.
fn sound(tx: &mut Transaction<'_>, run: RunId, limit: i64) -> store::Result<()> {
    assert_eq!(rollouts::tallies(tx, run)?, rollouts::recount(tx, run)?, "S12: counts are a recount");
    let permits = rollouts::permits(tx, run)?;
    let out = i64::try_from(permits.iter().filter(|permit| permit.back_at.is_none()).count()).unwrap();
    let down = restarts::out(tx, run)?;
    for (scope, taken, _) in rollouts::places(tx)? {
        if scope == format!("run/{run}") {
            assert_eq!(taken, out, "S6: places of {scope} are the permits out");
            assert!(taken <= limit, "S6: {scope} has {taken}");
        } else if scope == format!("restarts/run/{run}") {
            assert_eq!(taken, down, "S6: places of {scope} are the slots out");
        }
    }
    Ok(())
}

/// What the statements have come to is what the domain says.
fn as_decided(tx: &mut Transaction<'_>, run: RunId, ids: &[TaskId], oracle: &Places) -> store::Result<()> {
    // A place that nobody has taken is as good as none.
    let counts = |(_, place): &(String, (i64, bool))| *place != (0, false);
    let expected = oracle.places.iter().map(|(run, place)| (format!("run/{run}"), (place.taken, place.closed)));
    let down = i64::try_from(oracle.restarts.len()).unwrap();
    let expected = expected.chain([(format!("restarts/run/{run}"), (down, false))]);
    let expected: BTreeMap<String, (i64, bool)> = expected.filter(counts).collect();
    let places = rollouts::places(tx)?.into_iter().map(|(scope, taken, closed)| (scope, (taken, closed)));
    let places = places.filter(counts);
    assert_eq!(places.collect::<BTreeMap<_, _>>(), expected);
    let out = rollouts::permits(tx, run)?.into_iter().filter(|permit| permit.back_at.is_none());
    let out: BTreeMap<_, _> = out
        .map(|permit| {
            let out = Out { run: permit.run_id, asset: permit.asset_id, expires_at: permit.expires_at };
            ((permit.task_id, permit.epoch), out)
        })
        .collect();
    assert_eq!(out, oracle.out);
    let slots: Vec<(TaskId, i64, RunId, AssetId)> =
        tx.all("SELECT task_id, epoch, run_id, asset_id FROM restart_slot WHERE back_at IS NULL", &[])?;
    let slots = slots.into_iter().map(|(task, epoch, run, asset)| (task, Slot { epoch, run, asset }));
    assert_eq!(slots.collect::<BTreeMap<_, _>>(), oracle.restarts);
    let mut tasks_of_run = Vec::new();
    for task in ids {
        tasks_of_run.push((tasks::read(tx, *task)?.state, ids.iter().take(4).any(|needs| needs == task)));
    }
    let expected = permit::at_large(tasks_of_run, out.len() as u64);
    assert_eq!(u64::try_from(rollouts::at_large(tx, run)?).unwrap(), expected);
    Ok(())
}

/// A task has moved: what of its places is free by that.
fn moved(oracle: &mut Places, task: TaskId, from: State, to: State) {
    if permit::gives_back(from, to) {
        oracle.give_back(task);
    } else if to == State::Lost && from != State::Lost {
        oracle.give_back_restart(task);
    }
}

const GROUPS: [&str; 3] = ["cluster:a", "cluster:b", "cluster:c"];

/// Take a host out of a group, or put it there, by the word of two scanners.
fn toggle(tx: &mut Transaction<'_>, oracle: &mut Places, asset: AssetId, group: &str) -> store::Result<()> {
    let tags = oracle.tags.entry(asset).or_default();
    if tags.remove(group) {
        tx.execute("DELETE FROM asset_tag WHERE asset_id = $1 AND tag = $2", &[&asset, &group])?;
    } else {
        tags.insert(group.to_owned());
        apart::tag(tx, asset, &[group])?;
    }
    Ok(())
}

const EVENTS: [Event; 15] = [
    Event::Due,
    Event::Offer,
    Event::Accepted,
    Event::Started,
    Event::Finished(End::Succeeded),
    Event::Finished(End::Failed),
    Event::Finished(End::NotApplicable),
    Event::Finished(End::RevertFailed),
    Event::Refused { transient: true },
    Event::Interrupted,
    Event::Revoked,
    Event::Lapsed,
    Event::Silence,
    Event::Cancel,
    Event::AgentGone,
];

both_engines!(s6_s12_limits_hold_and_counts_are_recounts_through_every_history, |db| {
    let cases = if cfg!(debug_assertions) { 24 } else { 96 };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let count = std::sync::atomic::AtomicI64::new(0);
    let step_of = (0_usize..13, 0_usize..6, 0_usize..EVENTS.len(), 0_usize..3);
    runner
        .run(&proptest::collection::vec(step_of, 1..60), |steps| {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            db.write_blocking(move |tx| {
                tx.execute("DELETE FROM place", &[])?;
                tx.execute("DELETE FROM permit", &[])?;
                tx.execute("DELETE FROM restart_slot", &[])?;
                let (_, id, ids) = run(tx, number, 6)?;
                let (limit, group_limit, down) = (3, 2, 2);
                // Four hosts, two of which have two tasks each.
                let mut hosts = Vec::new();
                for task in ids.iter().take(4) {
                    hosts.push(tasks::read(tx, *task)?.asset_id);
                }
                // Some orders need no permit.
                let mut needs = Vec::new();
                for task in ids.iter().take(4) {
                    needs.push(Change { permit: Some(true), ..Change::of(&tasks::read(tx, *task)?) });
                }
                many::save(tx, &needs, at(0))?;
                let mut oracle = Places::default();
                oracle.begin(id, false);
                for (clock, (what, task, event, group)) in (1..).zip(steps.clone()) {
                    let (task, asset, now) = (ids[task], hosts[task % hosts.len()], at(clock));
                    let apart = oracle.tags.get(&asset).into_iter().flatten();
                    let apart: Vec<Kept> =
                        apart.map(|group| Kept { group: group.clone(), at_most: group_limit }).collect();
                    // Whoever asks on behalf of a run that keeps nothing apart counts all the same.
                    let apart: &[Kept] = if event % 5 == 0 { &[] } else { apart.as_slice() };
                    match what {
                        0 | 1 => {
                            let life = tasks::read(tx, task)?.life();
                            if let Ok(next) = step(life, EVENTS[event]) {
                                tasks::save_life(tx, task, next, now)?;
                                moved(&mut oracle, task, life.state, next.state);
                            }
                        }
                        2 | 3 => {
                            let expires_at = now.plus_seconds(7);
                            let interval = if event == 1 { 2_000_000 } else { 0 };
                            let wanted = Wanted { asset, apart, expires_at, interval, ..want(id, task, limit) };
                            assert_eq!(rollouts::grant(tx, &wanted, now)?, oracle.grant(&wanted, now), "{wanted:?}");
                        }
                        4 => {
                            rollouts::close(tx, id, event % 2 == 0)?;
                            oracle.close(id, event % 2 == 0);
                        }
                        5 => {
                            rollouts::give_back(tx, task, now)?;
                            oracle.give_back(task);
                        }
                        6 => {
                            rollouts::expire(tx, now)?;
                            oracle.expire(now);
                        }
                        // A person accepts what has failed.
                        7 => {
                            rollouts::accept(tx, id)?;
                            let fresh = rollouts::tallies(tx, id)?.into_iter().map(|(_, tally)| tally);
                            let fresh =
                                fresh.map(|tally| (tally.unaccepted().failures(), tally.half_done, tally.silent));
                            assert!(fresh.into_iter().all(|counts| counts == (0, 0, 0)), "nothing is left that halts");
                        }
                        8 | 9 => {
                            let wanted = WantedRestart { task, epoch: 1, run: id, asset, at_most: down, apart };
                            let granted = restarts::grant(tx, &wanted, now)?;
                            assert_eq!(granted, oracle.grant_restart(&wanted), "{wanted:?}");
                        }
                        10 | 11 => toggle(tx, &mut oracle, asset, GROUPS[group])?,
                        // Several tasks in one go, as reports of many agents move them.
                        _ => {
                            let mut changes = Vec::new();
                            for id in ids.iter().skip(group).step_by(2) {
                                let task = tasks::read(tx, *id)?;
                                if let Ok(life) = step(task.life(), EVENTS[event]) {
                                    let left_changed = clock % 2 == 0;
                                    changes.push(Change { life, left_changed, ..Change::of(&task) });
                                }
                            }
                            many::save(tx, &changes, now)?;
                            for change in changes {
                                assert_eq!(tasks::read(tx, change.id)?.life(), change.life);
                                moved(&mut oracle, change.id, change.before, change.life.state);
                            }
                        }
                    }
                    sound(tx, id, limit)?;
                    as_decided(tx, id, &ids, &oracle)?;
                }
                Ok(())
            })
            .unwrap();
            Ok(())
        })
        .unwrap();
});

/// Grants from everywhere at once, until a halt is durable; gives the permits out right after it and at the end.
fn race(db: &Database, ids: &[TaskId], run: RunId, limit: i64) -> (usize, usize) {
    let stop = AtomicBool::new(false);
    let mut after_halt = 0;
    std::thread::scope(|scope| {
        for lane in 0..4 {
            let stop = &stop;
            let mine: Vec<TaskId> = ids.iter().skip(lane).step_by(4).copied().collect();
            scope.spawn(move || {
                for (round, task) in mine.into_iter().enumerate() {
                    let granted = db.write_blocking(move |tx| rollouts::grant(tx, &want(run, task, limit), at(1)));
                    // What collided too often is no grant.
                    if granted.is_ok_and(|granted| granted == Granted::Yes) && round % 3 == 0 {
                        let _ = db.write_blocking(move |tx| rollouts::give_back(tx, task, at(2)));
                    }
                    if round > 4 {
                        stop.store(true, Ordering::SeqCst);
                    }
                }
            });
        }
        while !stop.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        while db.write_blocking(move |tx| rollouts::close_all(tx, true)).is_err() {}
        after_halt = out(db, run);
    });
    (after_halt, out(db, run))
}

fn out(db: &Database, run: RunId) -> usize {
    let permits = db.read_blocking(move |tx| rollouts::permits(tx, run)).unwrap();
    permits.iter().filter(|permit| permit.back_at.is_none()).count()
}

both_engines!(s6_s7_grants_that_race_never_exceed_the_limit_nor_come_after_a_halt, |db| {
    for number in 0..3 {
        let limit = 12;
        let (_, id, ids) = db.write_blocking(move |tx| run(tx, 100 + number, 60)).unwrap();
        let (after_halt, at_the_end) = race(db, &ids, id, limit);
        // Some were given back meanwhile; none was added.
        assert!(at_the_end <= after_halt, "{at_the_end} permits out, {after_halt} when the halt was durable");
        assert!(after_halt <= usize::try_from(limit).unwrap());
        db.write_blocking(move |tx| {
            sound(tx, id, limit)?;
            assert_eq!(rollouts::grant(tx, &want(id, ids[0], limit), at(3))?, Granted::Closed);
            Ok(())
        })
        .unwrap();
    }
});

both_engines!(s7_a_permit_that_is_out_is_not_renewed_in_a_halt_and_comes_back_by_its_time, |db| {
    db.write_blocking(|tx| {
        let (_, id, ids) = run(tx, 1, 3)?;
        let first = Wanted { expires_at: at(10), ..want(id, ids[0], 1) };
        assert_eq!(rollouts::grant(tx, &first, at(1))?, Granted::Yes);
        assert_eq!(rollouts::grant(tx, &first, at(2))?, Granted::Yes, "asked again: the same place");
        assert_eq!(rollouts::grant(tx, &want(id, ids[1], 1), at(2))?, Granted::Full);
        rollouts::close(tx, id, true)?;
        assert_eq!(rollouts::grant(tx, &first, at(3))?, Granted::Closed);
        assert_eq!(rollouts::at_large(tx, id)?, 1);
        assert_eq!(rollouts::expire(tx, at(9))?, 0);
        assert_eq!(rollouts::expire(tx, at(10))?, 1);
        assert_eq!(rollouts::at_large(tx, id)?, 0);
        // Lifting the global halt does not lift the run's own.
        assert!(rollouts::set_state(tx, id, (RunState::Open, RunState::Halting), ("gate", "why"), at(11))?);
        rollouts::close_all(tx, false)?;
        assert_eq!(rollouts::grant(tx, &first, at(12))?, Granted::Closed);
        assert!(rollouts::set_state(tx, id, (RunState::Halting, RunState::Open), ("", ""), at(13))?);
        assert!(!rollouts::set_state(tx, id, (RunState::Halting, RunState::Open), ("", ""), at(13))?, "once");
        rollouts::close(tx, id, false)?;
        assert_eq!(rollouts::grant(tx, &want(id, ids[1], 1), at(14))?, Granted::Yes);
        sound(tx, id, 1)
    })
    .unwrap();
});

both_engines!(s6_a_task_that_is_lost_keeps_its_place_until_its_time_is_over, |db| {
    db.write_blocking(|tx| {
        let (_, id, ids) = run(tx, 1, 2)?;
        for event in [Event::Due, Event::Offer, Event::Accepted] {
            let life = step(tasks::read(tx, ids[0])?.life(), event).unwrap();
            tasks::save_life(tx, ids[0], life, at(1))?;
        }
        assert_eq!(rollouts::grant(tx, &Wanted { expires_at: at(10), ..want(id, ids[0], 1) }, at(1))?, Granted::Yes);
        // Its agent is revoked, which the agent may hear of only after it started.
        let life = step(tasks::read(tx, ids[0])?.life(), Event::AgentGone).unwrap();
        tasks::save_life(tx, ids[0], life, at(2))?;
        assert_eq!(rollouts::grant(tx, &want(id, ids[1], 1), at(3))?, Granted::Full);
        assert_eq!(rollouts::at_large(tx, id)?, 1, "a halted run is not at rest yet");
        assert_eq!(rollouts::expire(tx, at(10))?, 1);
        assert_eq!(rollouts::grant(tx, &want(id, ids[1], 1), at(10))?, Granted::Yes);
        sound(tx, id, 1)
    })
    .unwrap();
});

both_engines!(a_replica_whose_clock_is_behind_may_grant_where_starts_are_not_spaced, |db| {
    db.write_blocking(|tx| {
        let (_, id, ids) = run(tx, 1, 2)?;
        assert_eq!(rollouts::grant(tx, &want(id, ids[0], 2), at(60))?, Granted::Yes);
        assert_eq!(rollouts::grant(tx, &want(id, ids[1], 2), at(10))?, Granted::Yes);
        Ok(())
    })
    .unwrap();
});

both_engines!(starts_are_spaced_so_that_no_minute_has_more, |db| {
    db.write_blocking(|tx| {
        let (_, id, ids) = run(tx, 1, 30)?;
        let interval = Policy { starts_per_minute: Some(6), ..Policy::default() }.start_interval_micros();
        let mut granted = Vec::new();
        for second in 0..200 {
            let wanted = Wanted { interval, ..want(id, ids[granted.len()], 100) };
            if rollouts::grant(tx, &wanted, at(second))? == Granted::Yes {
                granted.push(second);
            }
        }
        assert!(granted.len() > 15, "{granted:?}");
        assert!(granted.windows(7).all(|seven| seven[6] - seven[0] >= 60), "{granted:?}");
        Ok(())
    })
    .unwrap();
});

both_engines!(only_open_waves_of_open_runs_become_ready, |db| {
    db.write_blocking(|tx| {
        let (_, id, _) = run(tx, 1, 6)?;
        let ready = |tx: &mut Transaction<'_>| -> store::Result<i64> {
            tasks::ready_due(tx, at(5))?;
            tx.scalar("SELECT count(*) FROM task WHERE run_id = $1 AND state = 'ready'", &[&id])
        };
        assert_eq!(ready(tx)?, 2);
        assert!(rollouts::promote(tx, id, 1)?);
        assert!(!rollouts::promote(tx, id, 1)?, "another replica was faster");
        assert!(rollouts::set_state(tx, id, (RunState::Open, RunState::Halting), ("ada", ""), at(6))?);
        assert_eq!(ready(tx)?, 2, "a halted run begins nothing");
        assert!(!rollouts::promote(tx, id, 2)?, "nor a wave");
        assert!(rollouts::set_state(tx, id, (RunState::Halting, RunState::Open), ("ada", ""), at(7))?);
        assert_eq!(ready(tx)?, 4);
        assert_eq!(rollouts::tallies(tx, id)?.len(), 3);
        // A run that is taken back leaves nothing.
        let (other, taken_back, _) = run(tx, 2, 6)?;
        assert_eq!(rollouts::tallies(tx, taken_back)?.len(), 3);
        runs::drop_waiting(tx, other)?;
        assert!(rollouts::tallies(tx, taken_back)?.is_empty());
        assert!(rollouts::places(tx)?.iter().all(|(scope, _, _)| *scope != format!("run/{taken_back}")));
        Ok(())
    })
    .unwrap();
});
