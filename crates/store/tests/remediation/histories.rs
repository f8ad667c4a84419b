//! Random histories: imports, people, exceptions, tasks and rules interleaved. After every step an item's state is the highest of its
//! own and its tasks', and tasks count what they hold.

use crate::world::{self, ada, at, holds};
use domain::exception::Kind as Asked;
use domain::id::ItemId;
use domain::item::{self, State};
use domain::remediation::group::{Field, GroupBy};
use domain::remediation::rule::{Assign, Wanted};
use domain::remediation::{Existing, Origin};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use store::items::ChangeError;
use store::remediation::rules::{self, NewRule};
use store::remediation::{self, NewTasks, Split};
use store::{Database, Transaction, items};
use testkit::both_engines;

#[derive(Clone, Debug)]
enum Step {
    Import(Vec<(i64, i64, &'static str)>),
    Item(usize, State),
    Task(usize, State),
    Make(Vec<usize>, GroupBy, Existing),
    Ask(Vec<usize>),
    Answer(bool),
    Split(usize, usize),
    Add(usize, usize),
    Remove(usize, usize),
    /// The granted time of every deferral is over.
    Time,
    Rule(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let status = prop_oneof![3 => Just("active"), 3 => Just("fixed"), 1 => Just("stale"), 1 => Just("reopened")];
    let state = || prop::sample::select(State::ALL.to_vec());
    let few = || prop::collection::vec(0usize..6, 1..4);
    prop_oneof![
        4 => prop::collection::vec((1i64..3, 100i64..103, status), 1..5).prop_map(Step::Import),
        3 => (0usize..6, state()).prop_map(|(n, to)| Step::Item(n, to)),
        4 => (0usize..5, state()).prop_map(|(n, to)| Step::Task(n, to)),
        3 => (few(), prop::sample::select(GroupBy::ALL.to_vec()), prop::sample::select(Existing::ALL.to_vec()))
            .prop_map(|(items, by, existing)| Step::Make(items, by, existing)),
        2 => few().prop_map(Step::Ask),
        2 => any::<bool>().prop_map(Step::Answer),
        1 => (0usize..5, 0usize..6).prop_map(|(task, item)| Step::Split(task, item)),
        1 => (0usize..5, 0usize..6).prop_map(|(task, item)| Step::Add(task, item)),
        1 => (0usize..5, 0usize..6).prop_map(|(task, item)| Step::Remove(task, item)),
        1 => Just(Step::Time),
        1 => any::<bool>().prop_map(Step::Rule),
    ]
}

fn keys(tx: &mut Transaction<'_>) -> store::Result<Vec<i64>> {
    Ok(tx.all::<(i64,)>("SELECT id FROM vulnerable_item ORDER BY id", &[])?.into_iter().map(|(id,)| id).collect())
}

/// What the domain forbids does nothing; what the store says is an error.
fn allowed<T>(result: Result<T, ChangeError>) -> store::Result<()> {
    match result {
        Ok(_) | Err(ChangeError::Refused(_)) => Ok(()),
        Err(ChangeError::Store(error)) => Err(error),
    }
}

fn picked(tx: &mut Transaction<'_>, places: &[usize]) -> store::Result<Vec<items::ItemRow>> {
    let all = keys(tx)?;
    let some: Vec<i64> = places.iter().filter_map(|place| all.get(*place).copied()).collect();
    items::of_keys(tx, &some)
}

fn task(tx: &mut Transaction<'_>, place: usize) -> store::Result<Option<remediation::TaskRow>> {
    let number = i64::try_from(place).unwrap() + 1;
    match remediation::one(tx, &ada(), number) {
        Ok(row) => Ok(Some(row)),
        Err(store::Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn play(tx: &mut Transaction<'_>, step: &Step, now: i64) -> store::Result<()> {
    let by = "users/ada";
    let now = at(now);
    match step {
        Step::Import(_) | Step::Ask(_) | Step::Answer(_) => Ok(()),
        Step::Item(n, to) => match picked(tx, &[*n])?.first() {
            Some(row) => allowed(items::set_state(tx, by, row, *to, now)),
            None => Ok(()),
        },
        Step::Task(n, to) => match task(tx, *n)? {
            Some(row) => allowed(remediation::set_state(tx, by, &row, *to, now)),
            None => Ok(()),
        },
        Step::Make(places, group_by, existing) => {
            let items: Vec<ItemId> = picked(tx, places)?.iter().map(|row| row.id).collect();
            let new = NewTasks {
                by,
                origin: Origin::Hand,
                effort: None,
                group_by: *group_by,
                existing: *existing,
                title: "",
                description: "",
                assignment: None,
            };
            allowed(remediation::create(tx, &new, &items, now))
        }
        Step::Split(n, place) => {
            let items: Vec<ItemId> = picked(tx, &[*place])?.iter().map(|row| row.id).collect();
            match task(tx, *n)? {
                Some(row) => {
                    allowed(remediation::split(tx, by, &row, &Split { title: "", assignment: (None, "") }, &items, now))
                }
                None => Ok(()),
            }
        }
        Step::Add(n, place) => {
            let rows = picked(tx, &[*place])?;
            match task(tx, *n)? {
                Some(row) => allowed(remediation::add(tx, by, &row, &rows, now)),
                None => Ok(()),
            }
        }
        Step::Remove(n, place) => {
            let rows = picked(tx, &[*place])?;
            match task(tx, *n)? {
                Some(row) => allowed(remediation::remove(tx, by, &row, &rows, now)),
                None => Ok(()),
            }
        }
        Step::Time => items::exceptions::end_granted(tx, "engine/exceptions", at(1_000_000)).map(|_| ()),
        Step::Rule(active) => {
            let row = rules::all(tx)?.remove(0);
            let wanted = Wanted { name: row.name.clone(), title: String::new(), group_by: vec![Field::Vulnerability] };
            let new = NewRule { wanted, active: *active, position: 1, condition: String::new(), assign: Assign::Item };
            allowed(rules::change_rule(tx, by, &row, &new, now))
        }
    }
}

both_engines!(states_agree_and_counts_are_right_whatever_happens, |db| {
    let cases = if db.read_blocking(|tx| Ok(tx.engine())).unwrap() == store::Engine::Sqlite { 40 } else { 8 };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&prop::collection::vec(step(), 1..25), |steps| {
        world::clear(db);
        let mut open: Vec<i64> = Vec::new();
        world::import(db, 1, &[(1, 100, "active"), (1, 101, "active"), (2, 100, "active")]);
        for (n, step) in steps.iter().enumerate() {
            let now = 10 + i64::try_from(n).unwrap() * 10;
            match step {
                Step::Import(rows) => {
                    let rows: BTreeMap<(i64, i64), &'static str> =
                        rows.iter().map(|(host, qid, status)| ((*host, *qid), *status)).collect();
                    let rows: Vec<_> = rows.into_iter().map(|((host, qid), status)| (host, qid, status)).collect();
                    world::import(db, now, &rows);
                }
                Step::Ask(places) => {
                    let places = places.clone();
                    let rows = db.read_blocking(move |tx| picked(tx, &places)).unwrap();
                    let can = |row: &&items::ItemRow| item::ask(row.workflow(), Asked::Deferral).is_ok();
                    let rows: Vec<ItemId> =
                        rows.iter().filter(can).filter(|row| row.state != State::Deferred).map(|row| row.id).collect();
                    if !rows.is_empty() {
                        open.push(world::defer(db, &rows, 900_000, now));
                    }
                }
                Step::Answer(approve) => {
                    if let Some(request) = open.pop()
                        && world::request_state(db, request) == "requested"
                    {
                        world::answer(db, request, *approve, now);
                    }
                }
                step => {
                    let step = step.clone();
                    db.write_blocking(move |tx| play(tx, &step, now)).unwrap();
                }
            }
            holds(db);
        }
        Ok(())
    });
    outcome.unwrap();
});

/// What an item has in a field, by what the test knows of it.
fn known(field: &Field, host: i64, qid: i64, group: &str) -> String {
    match field {
        Field::Asset => format!("host{host}"),
        Field::Vulnerability => qid.to_string(),
        Field::Band => if qid % 100 + 40 >= 70 { "High" } else { "Medium" }.to_owned(),
        Field::Group => group.to_owned(),
        Field::Tag(_) if host == 1 => "web".to_owned(),
        _ => String::new(),
    }
}

both_engines!(every_combination_of_fields_groups_by_exactly_what_differs, |db| {
    let rows = [(1, 100), (1, 101), (1, 130), (2, 100), (2, 130), (3, 100), (3, 101), (3, 131)];
    let reported: Vec<_> = rows.iter().map(|(host, qid)| (*host, *qid, "active")).collect();
    world::import(db, 1, &reported);
    world::tag(db, 1, "owner:web");
    world::tag(db, 2, "place:here");
    world::people(db);
    let mut known_rows = Vec::new();
    for (n, (host, qid)) in rows.into_iter().enumerate() {
        let group = if n % 3 == 0 { "web" } else { "" };
        let id = world::item(db, host, qid);
        db.write_blocking(move |tx| {
            tx.execute("UPDATE vulnerable_item SET group_name = $2 WHERE id = $1", &[&id, &group])
        })
        .unwrap();
        known_rows.push((host, qid, group));
    }
    let all = [
        Field::Asset,
        Field::Vulnerability,
        Field::Category,
        Field::Severity,
        Field::Band,
        Field::Group,
        Field::Assignee,
        Field::Platform,
        Field::Network,
        Field::Instance,
        Field::Tag("owner:".to_owned()),
    ];
    let chosen: Vec<Vec<Field>> = (0u32..1 << all.len())
        .filter(|bits| bits.count_ones() <= 6)
        .map(|bits| {
            all.iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0).map(|(_, field)| field.clone()).collect()
        })
        .collect();
    let tried: Vec<(Vec<Field>, usize, Vec<usize>)> = db
        .read_blocking(move |tx| {
            let mut tried = Vec::new();
            for fields in chosen.clone() {
                let wanted = Wanted { name: "x".to_owned(), title: String::new(), group_by: fields.clone() };
                let new = NewRule {
                    wanted,
                    active: true,
                    position: 1,
                    condition: String::new(),
                    assign: Assign::Fixed { group: String::new(), user: None },
                };
                let trial = rules::try_rule(tx, &new, &domain::filter::Filter::Everything, at(2))?;
                let mut sizes: Vec<usize> = trial.first.iter().map(|(_, items)| *items).collect();
                sizes.sort_unstable();
                tried.push((fields, trial.items, sizes));
            }
            Ok(tried)
        })
        .unwrap();
    assert!(tried.len() > 1_000);
    for (fields, items, sizes) in tried {
        let mut groups: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        for (host, qid, group) in &known_rows {
            *groups.entry(fields.iter().map(|field| known(field, *host, *qid, group)).collect()).or_default() += 1;
        }
        let mut expected: Vec<usize> = groups.into_values().collect();
        expected.sort_unstable();
        assert_eq!((items, sizes), (8, expected), "{fields:?}");
    }
});

both_engines!(a_rule_takes_what_its_condition_means_and_joins_open_tasks, |db| {
    let condition = "qid:>100 and not asset:host2";
    db.write_blocking(move |tx| {
        let wanted =
            Wanted { name: "Some".to_owned(), title: "R".to_owned(), group_by: vec![Field::Asset, Field::Band] };
        let new = NewRule { wanted, active: true, position: 1, condition: condition.to_owned(), assign: Assign::Item };
        rules::create_rule(tx, "users/ada", &new, at(0)).map(|_| ()).map_err(|error| match error {
            ChangeError::Store(error) => error,
            ChangeError::Refused(refusal) => panic!("{refusal:?}"),
        })
    })
    .unwrap();
    let seen: Vec<(i64, i64, &'static str)> =
        (1..4).flat_map(|host| (100..104).map(move |qid| (host, qid, "active"))).collect();
    world::import(db, 1, &seen);
    let held = |db: &Database| {
        db.read_blocking(|tx| {
            tx.all::<(i64, i64, i64)>(
                "SELECT t.number, v.qid, h.asset_id FROM remediation_item x JOIN remediation_task t ON t.id = x.task_id
                 JOIN vulnerable_item i ON i.id = x.item_id JOIN vulnerability v ON v.id = i.vulnerability_id
                 JOIN source_host h ON h.asset_id = i.asset_id ORDER BY 1, 2, 3",
                &[],
            )
        })
        .unwrap()
    };
    // The oracle: by the words of the condition, two hosts with three items each, each host a task.
    let first = held(db);
    assert_eq!(first.len(), 6, "{first:?}");
    assert_eq!(first.iter().map(|(task, ..)| *task).collect::<std::collections::BTreeSet<_>>().len(), 2);
    assert!(first.iter().all(|(_, qid, _)| *qid > 100));
    world::import(db, 10, &seen);
    assert_eq!(held(db), first, "the same again changes nothing");
    world::import(db, 20, &[(1, 105, "active")]);
    let second = held(db);
    assert_eq!(second.len(), 7);
    assert_eq!(second.iter().filter(|(task, ..)| *task == first[0].0).count(), 4, "it joins the Open task: {second:?}");
    // A task that somebody works on gets nothing more.
    db.write_blocking(move |tx| {
        let row = remediation::one(tx, &ada(), 1)?;
        allowed(remediation::set_state(tx, "users/ada", &row, State::UnderInvestigation, at(25)))
    })
    .unwrap();
    world::import(db, 30, &[(1, 106, "active")]);
    assert_eq!(held(db).iter().filter(|(task, ..)| *task == 3).count(), 1);
    // A condition that cannot be read any more holds up no import.
    db.write_blocking(|tx| tx.execute("UPDATE task_rule SET condition = 'gone:1' WHERE name = 'Some'", &[])).unwrap();
    world::import(db, 40, &[(1, 107, "active")]);
    assert_eq!(held(db).len(), 8);
    holds(db);
});

both_engines!(a_task_of_ten_thousand_items_moves_in_seconds, |db| {
    let rows: Vec<(i64, i64, &'static str)> =
        (1..101).flat_map(|host| (1..101).map(move |qid| (host, qid, "active"))).collect();
    world::import(db, 1, &rows);
    let items: Vec<ItemId> = db.read_blocking(|tx| Ok(keys(tx)?.into_iter().map(ItemId).collect())).unwrap();
    assert_eq!(items.len(), 10_000);
    let begun = std::time::Instant::now();
    db.write_blocking(move |tx| {
        let new = NewTasks {
            by: "users/ada",
            origin: Origin::Hand,
            effort: None,
            group_by: GroupBy::None,
            existing: Existing::Skip,
            title: "All",
            description: "",
            assignment: None,
        };
        allowed(remediation::create(tx, &new, &items, at(2)))
    })
    .unwrap();
    let made = begun.elapsed();
    let begun = std::time::Instant::now();
    db.write_blocking(|tx| {
        let row = remediation::one(tx, &ada(), 1)?;
        allowed(remediation::set_state(tx, "users/ada", &row, State::Resolved, at(3)))
    })
    .unwrap();
    println!("10,000 items: made in {made:?}, moved down in {:?}", begun.elapsed());
    let moved: i64 =
        db.read_blocking(|tx| tx.scalar("SELECT count(*) FROM vulnerable_item WHERE state = 'resolved'", &[])).unwrap();
    assert_eq!(moved, 10_000);
    assert!(begun.elapsed().as_secs() < 60, "moving a task down took {:?}", begun.elapsed());
    holds_counts(db);
});

/// As [`holds`], without looking at every item by itself.
fn holds_counts(db: &Database) {
    let row = world::task(db, 1);
    assert_eq!((row.items, row.items_open, row.state), (10_000, 10_000, State::Resolved));
}
