//! What is read of the past before a rollback begins: little of it, and enough to say the same as all of it.

use crate::{at, run};
use domain::asset::{Identity, Platform};
use domain::id::{AssetId, JobId, RunId, TaskId};
use domain::mitigation::{ControlState, Origin};
use domain::rollback::{Turn, put_in_place};
use domain::task::State;
use domain::time::Timestamp;
use proptest::test_runner::{Config, TestRunner};
use std::sync::atomic::{AtomicI64, Ordering};
use store::controls::Report;
use store::controls::rollback::{self, TurnRow, of_job, turns};
use store::{Transaction, agents, controls, tasks};
use testkit::both_engines;
use uuid::Uuid;

/// A task that was, in a run of its own.
#[derive(Debug, Clone, Copy)]
struct Did {
    asset: AssetId,
    entry_key: i64,
    back: bool,
    state: State,
    started: bool,
}

/// Gives when it was done, which tells it from every other one.
fn did(tx: &mut Transaction<'_>, job: JobId, ordinal: i64, task: Did) -> store::Result<Timestamp> {
    let run: i64 = tx.insert(
        "INSERT INTO run (job_id, ordinal, state, started_at, ended_at) VALUES ($1, $2, 'ended', $3, $3) RETURNING id",
        &[&job, &ordinal, &at(0)],
    )?;
    let uuid = Uuid::now_v7();
    let new = tasks::NewTask {
        uuid,
        run_id: RunId(run),
        job_id: job,
        asset_id: task.asset,
        agent_key: None,
        entry_key: task.entry_key,
        wave: 1,
        kind: if task.back { "revert" } else { "apply" }.to_owned(),
        due_at: at(0),
        zone: String::new(),
        window_end: None,
        start_by: None,
    };
    tasks::create(tx, &[new], at(0))?;
    let started = task.started.then(|| at(1));
    let done = at(ordinal);
    // What is not over was last heard of then.
    let ended = (ordinal % 2 == 0).then_some(done);
    tx.execute(
        "UPDATE task SET state = $2, started_at = $3, ended_at = $4, updated_at = $5 WHERE uuid = $1",
        &[&uuid, &task.state, &started, &ended, &done],
    )?;
    Ok(done)
}

/// A job with two more entries than the helper makes: another revision of it, and another one.
fn entries(tx: &mut Transaction<'_>) -> store::Result<(JobId, [i64; 3])> {
    let (job, ..) = run(tx, 1, 1)?;
    let first: i64 = tx.scalar("SELECT id FROM catalogue_entry WHERE entry = 'e' AND revision = 1", &[])?;
    let mut keys = [first; 3];
    for (key, (entry, revision)) in keys.iter_mut().skip(1).zip([("e", 2_i64), ("f", 1)]) {
        *key = tx.insert(
            "INSERT INTO catalogue_entry (entry, revision, digest, title, platform, implication, risk, reversible, needs,
                 body, current)
             VALUES ($1, $2, $3, '', 'linux', 'mitigation', 'low', $4, '', $5, $4) RETURNING id",
            &[&entry, &revision, &format!("{entry} {revision}"), &true, &vec![0_u8]],
        )?;
    }
    Ok((job, keys))
}

fn host(tx: &mut Transaction<'_>, name: &str) -> store::Result<AssetId> {
    agents::create_asset(tx, name, Platform::Linux, "", "10.0.0.1", &Identity::default(), at(0))
}

fn turn(row: &TurnRow) -> Turn<Timestamp> {
    Turn { job: row.done_at, back: row.kind == "revert", state: row.state, started: row.started }
}

both_engines!(what_is_read_of_the_past_says_who_put_it_there_as_all_of_it_does, |db| {
    let (job, keys) = db.write_blocking(entries).unwrap();
    let cases = if cfg!(debug_assertions) { 32 } else { 128 };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let ordinal = AtomicI64::new(10);
    // The ends that decide come often enough to meet.
    let state = proptest::prop_oneof![
        proptest::sample::select(State::ALL.to_vec()),
        proptest::sample::select(vec![State::Succeeded, State::Unchanged, State::Interrupted, State::Reverted]),
    ];
    let task = (0_usize..2, 0_usize..3, proptest::bool::ANY, state, proptest::bool::ANY);
    runner
        .run(&proptest::collection::vec(task, 0..30), |history| {
            let start = ordinal.fetch_add(100, Ordering::SeqCst);
            db.write_blocking(move |tx| {
                let assets = [host(tx, &format!("a{start}"))?, host(tx, &format!("b{start}"))?];
                let mut all = Vec::new();
                for (n, (asset, entry, back, state, started)) in (start..).zip(history.clone()) {
                    let task = Did { asset: assets[asset], entry_key: keys[entry], back, state, started };
                    all.push((did(tx, job, n, task)?, task));
                }
                let pairs: Vec<(AssetId, i64)> =
                    assets.iter().flat_map(|asset| keys.iter().map(move |key| (*asset, *key))).collect();
                let rows = turns(tx, &pairs)?;
                assert!(rows.is_sorted_by_key(|row| (row.asset_id, row.entry_key)), "{rows:?}");
                for (asset, key) in pairs {
                    // Both revisions are of one entry.
                    let same = |other: i64| (other == keys[2]) == (key == keys[2]);
                    let whole = all.iter().filter(|(_, task)| task.asset == asset && same(task.entry_key));
                    let expected = put_in_place(whole.map(|(done, task)| Turn {
                        job: *done,
                        back: task.back,
                        state: task.state,
                        started: task.started,
                    }));
                    let mine = || rows.iter().filter(|row| row.asset_id == asset && row.entry_key == key);
                    assert_eq!(put_in_place(mine().map(turn)), expected, "{asset:?} {key} {all:?}");
                    // No more of it than says something.
                    assert_eq!(mine().count(), expected.len(), "{asset:?} {key} {all:?}");
                }
                Ok(())
            })
            .unwrap();
            Ok(())
        })
        .unwrap();
});

both_engines!(a_year_of_days_on_which_nothing_changed_is_not_read, |db| {
    db.write_blocking(|tx| {
        let (job, [entry_key, ..]) = entries(tx)?;
        let asset = host(tx, "a")?;
        let task = Did { asset, entry_key, back: false, state: State::Unchanged, started: true };
        let put = did(tx, job, 10, Did { state: State::Succeeded, ..task })?;
        for day in 11..376 {
            did(tx, job, day, task)?;
        }
        let read = |tx: &mut Transaction<'_>| -> store::Result<Vec<Timestamp>> {
            Ok(turns(tx, &[(asset, entry_key)])?.iter().map(|row| row.done_at).collect())
        };
        assert_eq!(read(tx)?, [put]);
        did(tx, job, 400, Did { back: true, state: State::Reverted, ..task })?;
        assert!(read(tx)?.is_empty(), "it was taken back since");
        did(tx, job, 401, task)?;
        let last = did(tx, job, 402, task)?;
        assert_eq!(read(tx)?, [last], "who tried last, where nobody is known to have put it there");
        Ok(())
    })
    .unwrap();
});

both_engines!(of_a_job_every_control_of_ours_in_force_is_known_once, |db| {
    db.write_blocking(|tx| {
        let (job, [entry_key, newer, other]) = entries(tx)?;
        let mut hosts = Vec::new();
        for name in ["in force", "of others", "taken back", "of no task"] {
            hosts.push(host(tx, name)?);
        }
        for (n, asset) in (10..).zip(&hosts[..3]) {
            let task = Did { asset: *asset, entry_key, back: false, state: State::Succeeded, started: true };
            did(tx, job, 10 * n, task)?;
            did(tx, job, 10 * n + 1, Did { state: State::Unchanged, ..task })?;
        }
        let (task,): (TaskId,) = tx.one("SELECT min(id) FROM task WHERE asset_id = $1", &[&hosts[0]])?;
        let report = |asset: AssetId, entry: &str, entry_key: i64, state, origin| Report {
            asset_id: asset,
            entry: entry.to_owned(),
            entry_key,
            state,
            origin,
            task_id: task,
            heard_at: at(0),
        };
        let (effective, ours) = (ControlState::Effective, Origin::Ours);
        let reports = [
            // By a newer revision than the job asked for, and another entry beside it.
            report(hosts[0], "e", newer, effective, ours),
            report(hosts[0], "f", other, effective, ours),
            report(hosts[1], "e", entry_key, effective, Origin::External),
            report(hosts[2], "e", entry_key, ControlState::Exposed, ours),
            report(hosts[3], "e", entry_key, effective, ours),
        ];
        controls::report(tx, &reports, at(0))?;
        let found = of_job(tx, job)?;
        assert_eq!(rollback::in_force(tx, &found)?, [(hosts[0], newer)]);
        // What was taken back since is not in force, though it was found before.
        tx.execute("UPDATE control SET state = 'exposed'", &[])?;
        assert!(rollback::in_force(tx, &found)?.is_empty());
        Ok(())
    })
    .unwrap();
});
