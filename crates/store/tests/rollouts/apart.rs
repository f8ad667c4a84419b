//! Hosts that are kept apart: over all runs, in each of their groups, by starts and by restarts, whoever races (S6).

use crate::{at, run, want};
use domain::id::{AssetId, RunId, TaskId};
use domain::rollout::Apart;
use domain::rollout::apart::Kept;
use domain::rollout::permit::{self, WantedRestart};
use domain::task::State;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::rollouts::{self, Beginning, Granted, Wanted, restarts};
use store::{Transaction, tasks};
use testkit::both_engines;

fn one_of(groups: &[&str]) -> Vec<Kept> {
    groups.iter().map(|group| Kept { group: (*group).to_owned(), at_most: 1 }).collect()
}

/// Give a host these tags.
pub fn tag(tx: &mut Transaction<'_>, asset: AssetId, tags: &[&str]) -> store::Result<()> {
    for tag in tags {
        // Two scanners say so.
        for origin in [1_i64, 2] {
            tx.execute("INSERT INTO asset_tag (asset_id, tag, origin) VALUES ($1, $2, $3)", &[&asset, tag, &origin])?;
        }
    }
    Ok(())
}

/// A task and its host.
type On = (TaskId, AssetId);

/// A run with so many tasks, each on a host of its own.
fn on_hosts(tx: &mut Transaction<'_>, number: i64, count: usize) -> store::Result<(RunId, Vec<On>)> {
    let (_, id, ids) = run(tx, number, count)?;
    let mut on = Vec::new();
    for task in ids {
        on.push((task, tasks::read(tx, task)?.asset_id));
    }
    Ok((id, on))
}

fn start(tx: &mut Transaction<'_>, run: RunId, (task, asset): On, apart: &[Kept]) -> store::Result<Granted> {
    rollouts::grant(tx, &Wanted { asset, apart, ..want(run, task, 99) }, at(1))
}

fn restart(tx: &mut Transaction<'_>, run: RunId, (task, asset): On, apart: &[Kept]) -> store::Result<Granted> {
    restarts::grant(tx, &WantedRestart { task, epoch: 1, run, asset, at_most: 99, apart }, at(1))
}

both_engines!(s6_a_group_is_one_over_all_runs_and_for_starts_and_restarts_alike, |db| {
    db.write_blocking(|tx| {
        let (one, first) = on_hosts(tx, 1, 3)?;
        let (other, second) = on_hosts(tx, 2, 3)?;
        tag(tx, first[0].1, &["cluster:a", "cluster:b"])?;
        tag(tx, second[0].1, &["cluster:a"])?;
        tag(tx, second[1].1, &["cluster:b"])?;
        tag(tx, second[2].1, &["cluster:c"])?;
        // Nobody said that the first run keeps hosts apart; its hosts are members all the same.
        assert_eq!(start(tx, one, first[0], &[])?, Granted::Yes);
        assert_eq!(start(tx, other, second[0], &one_of(&["cluster:a"]))?, Granted::Full);
        assert_eq!(start(tx, other, second[1], &one_of(&["cluster:b"]))?, Granted::Full, "its second group");
        assert_eq!(start(tx, other, second[2], &one_of(&["cluster:c"]))?, Granted::Yes);
        let twice = Kept { at_most: 2, ..one_of(&["cluster:a"]).remove(0) };
        assert_eq!(start(tx, other, second[0], &[twice])?, Granted::Yes, "two scanners make no second host");
        rollouts::give_back(tx, second[0].0, at(2))?;
        // The start is over, the host restarts: nobody of its groups begins, and nobody else restarts.
        assert_eq!(restart(tx, one, first[0], &one_of(&["cluster:a", "cluster:b"]))?, Granted::Yes);
        rollouts::expire(tx, at(1_000_000))?;
        assert_eq!(start(tx, other, second[0], &one_of(&["cluster:a"]))?, Granted::Full);
        assert_eq!(restart(tx, other, second[1], &one_of(&["cluster:b"]))?, Granted::Full);
        rollouts::give_back(tx, first[0].0, at(3))?;
        assert_eq!(start(tx, other, second[0], &one_of(&["cluster:a"]))?, Granted::Yes);
        assert_eq!(restart(tx, one, first[0], &one_of(&["cluster:b", "cluster:a"]))?, Granted::Full, "another begins");
        // As hosts are tagged now.
        tag(tx, first[1].1, &["cluster:c"])?;
        assert_eq!(start(tx, other, second[2], &[])?, Granted::Yes);
        assert_eq!(start(tx, one, first[1], &one_of(&["cluster:c"]))?, Granted::Full);
        tx.execute("DELETE FROM asset_tag WHERE asset_id = $1", &[&second[2].1])?;
        assert_eq!(start(tx, one, first[1], &one_of(&["cluster:c"]))?, Granted::Yes);
        Ok(())
    })
    .unwrap();
});

both_engines!(what_a_run_at_work_keeps_apart_is_said_of_the_hosts_it_is_at_work_on, |db| {
    db.write_blocking(|tx| {
        let mut runs = Vec::new();
        for (number, kept) in (1..).zip([Some(("cluster:", 2)), None, Some(("rack:", 1))]) {
            let (id, on) = on_hosts(tx, number, 2)?;
            let apart = kept.map(|(tag, at_most)| Apart { tag: tag.to_owned(), at_most });
            let with = Beginning { policy: String::new(), apart, waves: 1, permits: true, closed: false };
            rollouts::begin(tx, id, &with)?;
            for (_, asset) in &on {
                tag(tx, *asset, &["cluster:a", "prod", "rack:7"])?;
            }
            tag(tx, on[0].1, &["cluster:mine"])?;
            runs.push((id, on));
        }
        let mine = runs[1].1[0].1;
        let held = |tx: &mut Transaction<'_>| -> store::Result<Vec<(String, String, u32)>> {
            let held = rollouts::apart::held(tx, mine)?.into_iter();
            Ok(held.map(|held| (held.tag, held.policy.tag, held.policy.at_most)).collect())
        };
        let said = |tags: &[&str], by: &str, at_most| {
            tags.iter().map(|tag| ((*tag).to_owned(), by.to_owned(), at_most)).collect::<Vec<_>>()
        };
        let clusters = said(&["cluster:a", "cluster:mine"], "cluster:", 2);
        // That there is such a run is not enough, nor is one that says nothing.
        assert_eq!(start(tx, runs[1].0, runs[1].1[1], &[])?, Granted::Yes);
        assert!(held(tx)?.is_empty());
        // Every tag that both hosts have and that the run at work speaks of, and none that only another run speaks of.
        assert_eq!(start(tx, runs[0].0, runs[0].1[0], &[])?, Granted::Yes);
        assert_eq!(held(tx)?, clusters);
        assert_eq!(restart(tx, runs[0].0, runs[0].1[0], &[])?, Granted::Yes);
        rollouts::expire(tx, at(1_000_000))?;
        assert_eq!(held(tx)?, clusters, "it restarts");
        rollouts::give_back(tx, runs[0].1[0].0, at(2))?;
        assert!(held(tx)?.is_empty());
        assert_eq!(start(tx, runs[2].0, runs[2].1[1], &[])?, Granted::Yes);
        assert_eq!(held(tx)?, said(&["rack:7"], "rack:", 1));
        // What is at work on a host does not keep it from itself.
        tx.execute("UPDATE permit SET asset_id = $1 WHERE back_at IS NULL", &[&mine])?;
        assert!(held(tx)?.is_empty());
        Ok(())
    })
    .unwrap();
});

both_engines!(s6_an_order_that_needs_no_permit_is_at_work_until_it_cannot_be, |db| {
    db.write_blocking(|tx| {
        let (_, quiet) = on_hosts(tx, 1, 1)?;
        let (careful, asks) = on_hosts(tx, 2, 1)?;
        let ((task, host), apart) = (quiet[0], one_of(&["cluster:a"]));
        for asset in [host, asks[0].1] {
            tag(tx, asset, &["cluster:a"])?;
        }
        let now = at(100_000);
        let over = permit::unasked_over(now);
        for state in State::ALL {
            for needs in [false, true] {
                for (end, kind) in [(None, "apply"), (Some(over), "apply"), (Some(over.plus_seconds(1)), "apply")]
                    .into_iter()
                    .chain([(Some(now), "revert"), (Some(now), "plan")])
                {
                    tx.execute(
                        "UPDATE task SET state = $2, permit = $3, not_after = $4, kind = $5 WHERE id = $1",
                        &[&task, &state, &needs, &end, &kind],
                    )?;
                    let works = kind != "plan" && permit::works_unasked(state, needs, end, now);
                    let expected = if works { Granted::Full } else { Granted::Yes };
                    let wanted = Wanted { asset: asks[0].1, apart: &apart, ..want(careful, asks[0].0, 99) };
                    let said = format!("{state:?} {needs} {end:?} {kind}");
                    assert_eq!(rollouts::grant(tx, &wanted, now)?, expected, "{said}");
                    rollouts::give_back(tx, asks[0].0, now)?;
                    let wanted = WantedRestart {
                        task: asks[0].0,
                        epoch: 1,
                        run: careful,
                        asset: asks[0].1,
                        at_most: 99,
                        apart: &apart,
                    };
                    assert_eq!(restarts::grant(tx, &wanted, now)?, expected, "a restart beside {said}");
                    rollouts::give_back(tx, asks[0].0, now)?;
                }
            }
        }
        Ok(())
    })
    .unwrap();
});

/// Who asks at the same moment.
const LANES: usize = 4;
const ROUNDS: usize = 10;

both_engines!(s6_of_hosts_of_a_group_that_race_one_is_let_in_whether_it_starts_or_restarts, |db| {
    let made = db.write_blocking(|tx| {
        let (one, first) = on_hosts(tx, 1, LANES / 2)?;
        let (other, second) = on_hosts(tx, 2, LANES / 2)?;
        // All in one group by the second of their tags, each in another by the first.
        for (n, (_, asset)) in first.iter().chain(&second).enumerate() {
            tag(tx, *asset, &[&format!("cluster:{n}"), "cluster:z"])?;
        }
        let of = |run, on: Vec<On>| on.into_iter().map(move |on| (run, on)).collect::<Vec<_>>();
        Ok([of(one, first), of(other, second)].concat())
    });
    let (made, together) = (made.unwrap(), Barrier::new(LANES));
    let db: &store::Database = db;
    let let_in: Vec<AtomicUsize> = (0..ROUNDS).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for (n, (run, on)) in made.into_iter().enumerate() {
            let (let_in, together) = (&let_in, &together);
            scope.spawn(move || {
                for (round, let_in) in let_in.iter().enumerate() {
                    together.wait();
                    let granted = db.write_blocking(move |tx| {
                        let apart = one_of(&[&format!("cluster:{n}"), "cluster:z"]);
                        if (n + round) % 2 == 0 { start(tx, run, on, &apart) } else { restart(tx, run, on, &apart) }
                    });
                    // What collided too often is no grant.
                    let_in
                        .fetch_add(usize::from(granted.is_ok_and(|granted| granted == Granted::Yes)), Ordering::SeqCst);
                    together.wait();
                    while db.write_blocking(move |tx| rollouts::give_back(tx, on.0, at(2))).is_err() {}
                }
            });
        }
    });
    let let_in: Vec<usize> = let_in.into_iter().map(AtomicUsize::into_inner).collect();
    assert!(let_in.iter().all(|hosts| *hosts <= 1), "hosts at work at once, by rounds: {let_in:?}");
    assert!(let_in.contains(&1), "somebody gets in: {let_in:?}");
});
