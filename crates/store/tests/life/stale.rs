//! Rules that close what nothing reports any more, and what wakes it.

use crate::world::{Weak, begin, day, import, item, list, weak};
use domain::autoclose::Kind;
use domain::id::{InstanceId, ItemId};
use domain::item::{State, Substate};
use domain::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use store::items::stale::{self, NewRun, Rule, Wanted};
use store::{Database, items};
use testkit::both_engines;

fn rule(db: &Database, kind: Kind, days: i64, condition: &str) -> Rule {
    let wanted = Wanted {
        name: format!("Old <b>{}</b>", kind.as_str()),
        active: true,
        position: 1,
        kind,
        days,
        condition: condition.to_owned(),
        ignore_deferred: true,
    };
    db.write_blocking(move |tx| {
        let id = stale::create(tx, "users/ada", &wanted, day(0))?;
        stale::rule(tx, id)
    })
    .unwrap()
}

fn matched(db: &Database, rule: &Rule, bound: Timestamp, now: Timestamp) -> i64 {
    let rule = rule.clone();
    db.read_blocking(move |tx| stale::matched(tx, &rule, InstanceId(1), bound, now)).unwrap()
}

/// Go through a rule; gives how many items it closed.
fn close(db: &Database, rule: &Rule, bound: Timestamp, now: Timestamp) -> i64 {
    let (of, matched) = (rule.clone(), matched(db, rule, bound, now));
    let new = NewRun { instance: InstanceId(1), author: "engine/stale", matched, held: None };
    let run = db.write_blocking(move |tx| stale::begin(tx, &of, &new, now)).unwrap();
    let mut after = ItemId(0);
    loop {
        let of = rule.clone();
        let place = (run, InstanceId(1), "engine/stale");
        let last = db.write_bulk_blocking(move |tx| stale::close(tx, &of, place, bound, after, now)).unwrap();
        let Some(last) = last else { break };
        after = last;
    }
    db.read_blocking(move |tx| stale::closed_by(tx, run)).unwrap()
}

both_engines!(what_is_silent_closes_and_any_report_wakes_it, |db| {
    let run = begin(db);
    let (old, new) = (weak(1, 101, 95, 0), weak(2, 102, 95, 95));
    import(db, &run, &[old], day(0));
    import(db, &run, &[new], day(95));
    let rule = rule(db, Kind::AssetLastScanned, 90, "");
    assert_eq!(close(db, &rule, day(10), day(100)), 1);
    let gone = item(db, 101);
    assert_eq!((gone.state, gone.substate, gone.closed_at), (State::Closed, Substate::Stale, Some(day(100))));
    assert!(gone.state_cause.starts_with("rule:Old <b>"), "{}", gone.state_cause);
    assert_eq!(item(db, 102).state, State::Open);
    assert_eq!(close(db, &rule, day(10), day(100)), 0, "a second time there is nothing left");

    // The very same report: it was not written before, as nothing in it was new.
    import(db, &run, &[old], day(101));
    let woken = item(db, 101);
    assert_eq!((woken.state, woken.reopened, woken.due_at), (State::Open, 1, Some(day(106))));
    // It is left alone for the days of the rule, or it would go to and fro every night.
    assert_eq!(matched(db, &rule, day(20), day(110)), 0);
    assert_eq!(matched(db, &rule, day(96), day(186)), 1, "only the other one");
    assert_eq!(matched(db, &rule, day(102), day(192)), 2);

    let fixed = Weak { status: "fixed", ..weak(2, 102, 95, 192) };
    assert_eq!(close(db, &rule, day(102), day(192)), 2);
    import(db, &run, &[fixed], day(193));
    assert_eq!((item(db, 102).state, item(db, 102).substate), (State::Closed, Substate::Fixed));
});

both_engines!(rules_leave_alone_what_they_should, |db| {
    let run = begin(db);
    let two = [weak(1, 101, 50, 0), Weak { port: 22, found: 95, ..weak(1, 101, 50, 95) }];
    import(db, &run, &two, day(95));
    import(db, &run, &[weak(2, 102, 50, 0), weak(2, 103, 95, 0), weak(2, 104, 50, 0), weak(2, 105, 50, 0)], day(0));
    db.write_blocking(|tx| {
        let set = |tx: &mut store::Transaction<'_>, qid: i64, state: State| {
            tx.execute(
                "UPDATE vulnerable_item SET state = $2
                 WHERE vulnerability_id = (SELECT id FROM vulnerability WHERE qid = $1)",
                &[&qid, &state],
            )
        };
        set(tx, 104, State::Deferred)?;
        set(tx, 105, State::InReview)
    })
    .unwrap();
    let found = rule(db, Kind::DetectionLastFound, 90, "");
    assert_eq!(matched(db, &found, day(10), day(100)), 2, "one place of 101 was found lately");
    let bad = rule(db, Kind::DetectionLastFound, 90, "score:>=90 and not is:overdue");
    assert_eq!(matched(db, &bad, day(10), day(100)), 0);
    let bad = rule(db, Kind::DetectionLastFound, 90, "is:overdue and score:>=90");
    assert_eq!(matched(db, &bad, day(10), day(100)), 1);
    let all = Rule { ignore_deferred: false, ..found.clone() };
    assert_eq!(matched(db, &all, day(10), day(100)), 3, "never what is in review");
    let exclude = |by: Option<i64>| {
        db.write_blocking(move |tx| tx.execute("UPDATE detection SET excluded_by = $1 WHERE port = 22", &[&by]))
            .unwrap();
    };
    exclude(Some(0));
    assert_eq!(matched(db, &found, day(10), day(100)), 3, "what nobody has to work on holds nothing open");
    exclude(None);

    // A rule that somebody changed while it was gone through stops.
    let (of, run) = (found.clone(), found.clone());
    db.write_blocking(move |tx| {
        let wanted = Wanted {
            name: of.name.clone(),
            active: true,
            position: 1,
            kind: of.kind,
            days: 9,
            condition: String::new(),
            ignore_deferred: true,
        };
        stale::change(tx, "users/ada", (of.id, of.version), &wanted, day(100))?;
        assert!(stale::change(tx, "users/bob", (of.id, of.version), &wanted, day(100)).is_err(), "of two one is late");
        let place = (1, InstanceId(1), "engine/stale");
        assert_eq!(stale::close(tx, &run, place, day(10), ItemId(0), day(100))?, None);
        Ok(())
    })
    .unwrap();
    assert_eq!(list(db, "is:closed", day(100)).len(), 0);
});

both_engines!(a_rule_matches_what_its_words_say, |db| {
    let run = begin(db);
    let rules: Vec<Rule> = Kind::ALL.into_iter().map(|kind| rule(db, kind, 2, "")).collect();
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let row = (0u8..4, 0i64..3, 0i64..2, 0i64..30, 0i64..4, prop::bool::weighted(0.2));
    let next = std::cell::Cell::new(0_u8);
    let outcome = runner.run(&(prop::collection::vec(row, 1..14), 0i64..30), |(rows, bound)| {
        // Hosts of their own for every history.
        let first = next.get();
        next.set(first + 4);
        let mut last: BTreeMap<(u8, i64, i64), (i64, i64, bool)> = BTreeMap::new();
        for (host, qid, port, found, unseen, fixed) in &rows {
            last.insert((host + first, 400 + qid, *port), (*found, *unseen, *fixed));
        }
        let weaks: Vec<Weak> = last
            .iter()
            .map(|((host, qid, port), (found, _, fixed))| Weak {
                port: *port,
                status: if *fixed { "fixed" } else { "active" },
                ..weak(*host, *qid, 50, *found)
            })
            .collect();
        import(db, &run, &weaks, day(30));
        let marks = last.clone();
        db.write_blocking(move |tx| {
            for ((host, qid, port), (_, unseen, _)) in &marks {
                tx.execute(
                    "UPDATE detection SET unseen = $4 WHERE port = $3
                       AND source_host_id = (SELECT id FROM source_host WHERE host_key = $1)
                       AND vulnerability_id = (SELECT id FROM vulnerability WHERE qid = $2)",
                    &[&host.to_string(), qid, port, unseen],
                )?;
            }
            Ok(())
        })
        .unwrap();
        let scanned = |host: u8| last.iter().filter(|((of, ..), _)| *of == host).map(|(_, (found, ..))| *found).max();
        for rule in &rules {
            let mut items: BTreeMap<(u8, i64), Vec<bool>> = BTreeMap::new();
            for ((host, qid, _), (found, unseen, fixed)) in &last {
                let old = match rule.kind {
                    Kind::AssetLastScanned => scanned(*host) < Some(bound),
                    Kind::DetectionLastFound => *found < bound,
                    Kind::UnseenInFull => *unseen >= 2,
                };
                if !fixed {
                    items.entry((*host, *qid)).or_default().push(old);
                }
            }
            let expected = items.values().filter(|old| old.iter().all(|old| *old)).count();
            // Those of earlier histories are closed below.
            prop_assert_eq!(matched(db, rule, day(bound), day(31)), expected as i64, "{:?} {:?}", rule.kind, last);
        }
        db.write_blocking(|tx| tx.execute("UPDATE vulnerable_item SET state = 'closed'", &[])).unwrap();
        Ok(())
    });
    outcome.unwrap();
    assert!(items::LIST.columns.iter().any(|column| column.field == "overdue"));
});
