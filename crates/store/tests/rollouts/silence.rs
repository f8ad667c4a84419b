//! What the statements call a host that died at work is what the domain says.

use crate::{at, run, with_agents};
use domain::task::{Permitted, State, gone};
use domain::time::Timestamp;
use store::{rollouts, tasks};
use testkit::both_engines;

/// One combination of what is known of a task and its host; times in seconds from now.
struct Case {
    state: State,
    started: Option<i64>,
    /// Epoch, granted, given back.
    permit: Option<(u32, i64, bool)>,
    heard: i64,
}

/// How long after it was granted a permit's work is over, in these tests.
const OVER: i64 = 720;
const EPOCH: u32 = 2;

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for state in [State::Running, State::Offered, State::Accepted, State::Unknown, State::Ready, State::Succeeded] {
        for started in [None, Some(-1_301), Some(-1_300)] {
            for permit in [
                None,
                Some((EPOCH, -3_000, false)),
                Some((EPOCH, -3_000, true)),
                Some((EPOCH, -1_301, false)),
                Some((EPOCH, -1_300, false)),
                Some((EPOCH - 1, -3_000, false)),
            ] {
                for heard in [-3_000, -3_000 + OVER, -3_000 + OVER + 1, -1_300] {
                    cases.push(Case { state, started, permit, heard });
                }
            }
        }
    }
    cases
}

both_engines!(sql_names_the_tasks_whose_hosts_the_domain_calls_gone, |db| {
    db.write_blocking(|tx| {
        let cases = cases();
        let (_, id, ids) = run(tx, 1, cases.len())?;
        with_agents(tx, &ids, |n| at(cases[n].heard))?;
        let mut expected = Vec::new();
        for (case, task) in cases.iter().zip(&ids) {
            tx.execute(
                "UPDATE task SET state = $2, epoch = $3, started_at = $4 WHERE id = $1",
                &[task, &case.state, &i64::from(EPOCH), &case.started.map(at)],
            )?;
            let permit = case.permit.map(|(epoch, granted, back)| {
                let granted_at = at(granted);
                (Permitted { epoch, granted_at, over_at: granted_at.plus_seconds(OVER) }, back)
            });
            if let Some((permit, back)) = permit {
                let back_at: Option<Timestamp> = back.then_some(permit.over_at);
                tx.execute(
                    "INSERT INTO permit (task_id, epoch, run_id, asset_id, granted_at, expires_at, back_at)
                     VALUES ($1, $2, $3, 1, $4, $5, $6)",
                    &[task, &i64::from(permit.epoch), &id, &permit.granted_at, &permit.over_at, &back_at],
                )?;
            }
            let of_this_epoch = permit.filter(|(permit, _)| permit.epoch == EPOCH).map(|(permit, _)| permit.granted_at);
            assert_eq!(rollouts::granted_at(tx, *task, i64::from(EPOCH))?, of_this_epoch);
            let life = tasks::read(tx, *task)?.life();
            if gone(life, case.started.map(at), permit.map(|(permit, _)| permit), at(case.heard), at(0)) {
                expected.push(*task);
            }
        }
        let named = |tx: &mut store::Transaction<'_>| {
            Ok::<_, store::Error>(tasks::gone(tx, at(0))?.iter().map(|task| task.id).collect::<Vec<_>>())
        };
        assert_eq!(named(tx)?, expected);
        let of = |state: State| {
            cases.iter().zip(&ids).filter(|(case, id)| case.state == state && expected.contains(*id)).count()
        };
        assert!(of(State::Running) > 0 && of(State::Accepted) > 0 && of(State::Unknown) > 0 && of(State::Ready) == 0);
        // Nobody waits for the word of an agent that was revoked: that is another end.
        tx.execute("UPDATE agent SET revoked_at = $1", &[&at(-1)])?;
        assert_eq!(named(tx)?, []);
        Ok(())
    })
    .unwrap();
});
