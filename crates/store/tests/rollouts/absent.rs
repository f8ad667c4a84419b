//! Hosts that are away: who takes their places, what expires on them, and since when anybody listened.

use crate::{at, run, with_agents};
use domain::rollout::Policy;
use domain::task::{Event, step};
use store::rollouts::{self, away};
use store::{Transaction, tasks};
use testkit::both_engines;

both_engines!(hosts_that_are_there_take_the_places_of_those_that_are_away, |db| {
    db.write_blocking(|tx| {
        let (_, id, ids) = run(tx, 1, 6)?;
        // The first host of the first wave is away, and one of the second; a host that has begun never changes waves.
        with_agents(tx, &ids, |n| if n == 0 || n == 2 { at(-5_000) } else { at(90) })?;
        tasks::ready_due(tx, at(5))?;
        let (bound, now) = (at(-3_600), at(100));
        assert_eq!(away::waiting(tx, id, 1, bound, now)?, 1);
        assert_eq!(away::waiting(tx, id, 1, at(-6_000), now)?, 0, "heard since");
        assert_eq!(away::waiting(tx, id, 1, bound, at(-1))?, 0, "not due yet");
        let life = tasks::read(tx, ids[1])?.life();
        tasks::save_life(tx, ids[1], step(life, Event::Offer).unwrap(), now)?;
        let traded = away::trade(tx, id, 1, bound, now)?;
        let asset = |tx: &mut Transaction<'_>, n: usize| Ok::<_, store::Error>(tasks::read(tx, ids[n])?.asset_id);
        assert_eq!((traded.gone, traded.came), (vec![asset(tx, 0)?], vec![asset(tx, 4)?]), "from the last wave");
        let place =
            |tx: &mut Transaction<'_>, n: usize| tasks::read(tx, ids[n]).map(|task| (task.wave, task.state.as_str()));
        assert_eq!(place(tx, 0)?, (3, "pending"), "not offered before its wave");
        assert_eq!((place(tx, 4)?, place(tx, 1)?), ((1, "pending"), (1, "offered")));
        assert_eq!(rollouts::tallies(tx, id)?, rollouts::recount(tx, id)?, "S12");
        assert_eq!(away::trade(tx, id, 1, bound, now)?, away::Traded::default(), "once");
        // In the second wave one is away, and of the third only one is there.
        let traded = away::trade(tx, id, 2, bound, now)?;
        assert_eq!((traded.gone, traded.came), (vec![asset(tx, 2)?], vec![asset(tx, 5)?]));
        assert_eq!(away::trade(tx, id, 3, bound, now)?, away::Traded::default(), "there is no later wave");
        assert_eq!(away::waiting(tx, id, 3, bound, now)?, 2);
        assert_eq!(rollouts::tallies(tx, id)?, rollouts::recount(tx, id)?, "S12");
        Ok(())
    })
    .unwrap();
});

both_engines!(sql_names_the_tasks_that_the_domain_calls_stale, |db| {
    db.write_blocking(|tx| {
        let policy = Policy { freshness_hours: 1, ..Policy::default() };
        let (_, id, ids) = run(tx, 1, 16)?;
        let before = |n: usize, bit: usize| at(if n & bit == 0 { -3_600 } else { -3_601 });
        with_agents(tx, &ids, |n| before(n, 2))?;
        let mut expected = Vec::new();
        for (n, task) in ids.iter().enumerate() {
            let (due, end) = (before(n, 1), (n & 4 != 0).then(|| at(9_000)));
            tx.execute(
                "UPDATE task SET state = 'ready', due_at = $2, start_by = $3 WHERE id = $1",
                &[task, &due, &end],
            )?;
            let missing = n & 8 != 0;
            tx.execute(
                "UPDATE agent SET missing_at = $2 WHERE id = (SELECT agent_key FROM task WHERE id = $1)",
                &[task, &missing.then(|| at(-1))],
            )?;
            if policy.stale(due, before(n, 2), missing, end.is_some(), at(0)) {
                expected.push(*task);
            }
        }
        let stale = tasks::stale(tx, &[id], policy.away_before(at(0)))?;
        assert_eq!(stale.iter().map(|task| task.id).collect::<Vec<_>>(), expected);
        assert_eq!(
            expected,
            [ids[7], ids[14], ids[15]],
            "heard before the bound, with an end, and due so long or missing"
        );
        Ok(())
    })
    .unwrap();
});

both_engines!(nobody_is_away_because_nobody_listened, |db| {
    db.write_blocking(|tx| {
        assert_eq!(away::listening(tx, at(0))?, (at(0), true));
        assert_eq!(away::listening(tx, at(59))?, (at(0), false), "written once in a minute");
        assert_eq!(away::listening(tx, at(60))?, (at(0), true));
        assert_eq!(away::listening(tx, at(660))?, (at(0), true), "a pause of ten minutes is none");
        assert_eq!(away::listening(tx, at(1_261))?, (at(1_261), true));
        assert_eq!(away::listening(tx, at(1_300))?, (at(1_261), false));
        Ok(())
    })
    .unwrap();
});
