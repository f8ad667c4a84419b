//! What the statements give to gates: which failures a person has accepted, hosts that fell silent, every run at work (S8, S12).

use crate::{at, run};
use domain::id::{RunId, TaskId};
use domain::rollout::gate::{Bucket, Tally};
use domain::rollout::run::RunState;
use domain::task::{End, Event, State, step};
use store::rollouts::{self, RunRow};
use store::tasks::many::{self, Change};
use store::{Transaction, runs, tasks};
use testkit::both_engines;

/// A task taken to a state by these events.
fn take(tx: &mut Transaction<'_>, task: TaskId, events: &[Event]) -> store::Result<()> {
    for event in events {
        let life = step(tasks::read(tx, task)?.life(), *event).unwrap();
        tasks::save_life(tx, task, life, at(1))?;
    }
    Ok(())
}

both_engines!(what_a_person_accepts_are_the_failed_and_the_unknown_of_every_kind, |db| {
    db.write_blocking(|tx| {
        let states = State::ALL;
        let (_, id, ids) = run(tx, 1, states.len())?;
        for (task, state) in ids.iter().zip(states) {
            let task = tasks::read(tx, *task)?;
            let mut change = Change::of(&task);
            change.life.state = state;
            (change.started, change.left_changed) = (true, true);
            many::save(tx, &[change], at(1))?;
        }
        let whole = |tx: &mut Transaction<'_>| -> store::Result<Tally> {
            assert_eq!(rollouts::tallies(tx, id)?, rollouts::recount(tx, id)?, "S12");
            Ok(rollouts::tallies(tx, id)?.into_iter().fold(Tally::default(), |sum, (_, tally)| sum.and(tally)))
        };
        let before = whole(tx)?;
        assert_eq!((before.bad, before.half_done, before.unknown, before.silent, before.changed), (7, 7, 1, 1, 2));
        rollouts::accept(tx, id)?;
        let after = whole(tx)?;
        assert_eq!((after.accepted_bad, after.accepted_unknown, after.half_done, after.silent), (7, 1, 0, 0));
        assert_eq!(after.unaccepted().failures(), 0);
        for (task, state) in ids.iter().zip(states) {
            let fails = matches!(Bucket::of(state), Bucket::Bad | Bucket::Unknown);
            assert_eq!(tasks::read(tx, *task)?.accepted, fails, "{state:?}");
        }
        Ok(())
    })
    .unwrap();
});

both_engines!(tasks_of_one_host_fall_silent_together_and_count_once, |db| {
    db.write_blocking(|tx| {
        let (_, id, ids) = run(tx, 1, 4)?;
        let begins = [Event::Due, Event::Offer, Event::Accepted, Event::Started];
        // The second has only been offered.
        take(tx, ids[1], &[Event::Due, Event::Offer, Event::Silence])?;
        for task in [ids[0], ids[2], ids[3]] {
            take(tx, task, &begins)?;
            let mut life = tasks::read(tx, task)?.life();
            life.state = State::Unknown;
            tasks::save_life(tx, task, life, at(2))?;
        }
        assert_eq!(rollouts::silent_hosts(tx, id)?, 3);
        let silent: u64 = rollouts::tallies(tx, id)?.iter().map(|(_, tally)| tally.silent).sum();
        assert_eq!(silent, 3);
        let other: i64 = tx.insert(
            "INSERT INTO catalogue_entry (entry, revision, digest, title, platform, implication, risk, reversible, needs, body,
                 current)
             VALUES ('other', 1, 'other', '', 'linux', 'mitigation', 'low', $1, '', $2, $1) RETURNING id",
            &[&true, &vec![0_u8]],
        )?;
        let host = tasks::read(tx, ids[2])?.asset_id;
        tx.execute("UPDATE task SET asset_id = $2, entry_key = $3 WHERE id = $1", &[&ids[3], &host, &other])?;
        assert_eq!(rollouts::silent_hosts(tx, id)?, 2, "two tasks of one host");
        rollouts::accept(tx, id)?;
        assert_eq!(rollouts::silent_hosts(tx, id)?, 0);
        // It is heard of again and tried anew. That it was at work in the first try says nothing of the second, which has not begun.
        take(tx, ids[0], &[Event::Revoked, Event::Offer, Event::Silence])?;
        assert_eq!(rollouts::silent_hosts(tx, id)?, 0);
        take(tx, ids[0], &[Event::Revoked, Event::Offer, Event::Started, Event::Silence])?;
        assert_eq!(rollouts::silent_hosts(tx, id)?, 1, "another try, and at work");
        assert_eq!(rollouts::tallies(tx, id)?, rollouts::recount(tx, id)?, "S12");
        Ok(())
    })
    .unwrap();
});

both_engines!(runs_at_work_are_paged_by_key_and_an_earlier_run_vouches_for_the_next, |db| {
    db.write_blocking(|tx| {
        let (job, id, ids) = run(tx, 1, 1)?;
        let mut all = vec![id];
        for _ in 0..rollouts::PAGE + 1 {
            let new = runs::NewRun { job, occurrence: None, cause: "now", does: "apply", asked_by: "" };
            all.push(runs::begin(tx, &new, at(0))?);
        }
        let first = rollouts::at_work(tx, RunState::Open, RunId(0))?;
        assert!(first.is_empty(), "none has begun");
        tx.execute("UPDATE run SET begun_at = $2 WHERE job_id = $1", &[&job, &at(0)])?;
        let first = rollouts::at_work(tx, RunState::Open, RunId(0))?;
        let second = rollouts::at_work(tx, RunState::Open, first.last().unwrap().id)?;
        let ids_of = |rows: &[RunRow]| rows.iter().map(|run| run.id).collect::<Vec<_>>();
        assert_eq!([ids_of(&first), ids_of(&second)].concat(), all);
        assert_eq!(second.len(), 2);
        assert!(rollouts::at_work(tx, RunState::Open, second[1].id)?.is_empty());
        assert!(rollouts::at_work(tx, RunState::Halting, RunId(0))?.is_empty());
        let known = rollouts::tallies_of(tx, &[id, second[1].id])?;
        assert_eq!(known.into_iter().collect::<Vec<_>>(), [(id, rollouts::tallies(tx, id)?)], "no task, no count");

        // The first run vouches for the second once it has ended, all its waves were open, and something was found good.
        let later = rollouts::run(tx, second[1].id)?;
        take(tx, ids[0], &[Event::Due, Event::Offer, Event::Finished(End::Unchanged)])?;
        assert!(!rollouts::proven(tx, &later)?, "it is at work");
        tx.execute("UPDATE run SET state = 'ended' WHERE id = $1", &[&id])?;
        assert!(!rollouts::proven(tx, &later)?, "eight of its waves were never open");
        tx.execute("UPDATE run SET wave = waves WHERE id = $1", &[&id])?;
        assert!(rollouts::proven(tx, &later)?);
        let first = rollouts::run(tx, id)?;
        assert!(!rollouts::proven(tx, &first)?, "none is before it");
        tx.execute("UPDATE run SET does = 'revert' WHERE id = $1", &[&id])?;
        assert!(!rollouts::proven(tx, &later)?, "it did something else");
        Ok(())
    })
    .unwrap();
});
