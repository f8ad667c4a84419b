//! Due dates as they are kept: by imports, by people, by scores and by other days.

use crate::world::{Weak, begin, day, import, item, list, weak};
use domain::due::{Days, Ending, Target};
use domain::exception::Kind as Asked;
use domain::item::{self, State};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::items::{ItemRow, due};
use store::{Database, items, settings};
use testkit::both_engines;

fn set(db: &Database, days: Days, now: i64) {
    db.write_blocking(move |tx| settings::put(tx, "users/ada", due::SETTING, &days, None, day(now))).unwrap();
}

fn catch_up(db: &Database, now: i64) -> usize {
    let mut all = 0;
    while db.read_blocking(due::any_behind).unwrap() {
        all += db.write_blocking(move |tx| due::catch_up(tx, "settings/due", day(now))).unwrap();
    }
    all
}

fn move_to(db: &Database, qid: i64, to: State, now: i64) {
    db.write_blocking(move |tx| {
        let number = item_number(tx, qid)?;
        let row = items::one(tx, number)?;
        items::set_state(tx, "users/ada", &row, to, day(now)).map_err(|error| store::Error::failed("state", error))
    })
    .unwrap();
}

fn item_number(tx: &mut store::Transaction<'_>, qid: i64) -> store::Result<i64> {
    tx.scalar(
        "SELECT i.number FROM vulnerable_item i JOIN vulnerability v ON v.id = i.vulnerability_id WHERE v.qid = $1",
        &[&qid],
    )
}

both_engines!(items_get_their_dates_and_keep_them, |db| {
    let run = begin(db);
    import(db, &run, &[weak(1, 101, 95, 0), weak(1, 102, 30, 0), weak(2, 103, 75, 0)], day(1));
    let due_of = |qid| item(db, qid).due_at;
    assert_eq!([due_of(101), due_of(102), due_of(103)], [Some(day(6)), Some(day(31)), Some(day(11))]);

    // A higher score brings it forward, a lower one changes nothing.
    import(db, &run, &[weak(1, 102, 80, 2)], day(3));
    assert_eq!(due_of(102), Some(day(13)));
    import(db, &run, &[weak(1, 102, 10, 4)], day(5));
    assert_eq!(due_of(102), Some(day(13)));
    let said = db.read_blocking(|tx| {
        let number = item_number(tx, 102)?;
        let row = items::one(tx, number)?;
        items::history(tx, row.id, 50)
    });
    let said: Vec<_> = said.unwrap().into_iter().filter(|line| line.what == "due").collect();
    assert_eq!((said.len(), said[0].after.as_str()), (1, day(13).to_string().as_str()));

    // Closed in time, closed late, and open again with a date of its own.
    import(db, &run, &[Weak { status: "fixed", ..weak(1, 101, 95, 5) }], day(6));
    import(db, &run, &[Weak { status: "fixed", ..weak(2, 103, 75, 5) }], day(12));
    assert_eq!([item(db, 101).due_ending, item(db, 103).due_ending], [Ending::Met, Ending::Missed]);
    import(db, &run, &[weak(1, 101, 95, 20)], day(20));
    let again = item(db, 101);
    assert_eq!((again.due_at, again.due_ending), (Some(day(25)), Ending::Open));

    // Said to be done, found again: the date stays.
    move_to(db, 102, State::Resolved, 9);
    assert_eq!(item(db, 102).target(day(40)), Target::None);
    import(db, &run, &[weak(1, 102, 10, 21)], day(22));
    assert_eq!(
        (item(db, 102).state, due_of(102), item(db, 102).target(day(22))),
        (State::Open, Some(day(13)), Target::Missed)
    );
});

both_engines!(other_days_move_what_the_preview_says, |db| {
    let run = begin(db);
    let rows: Vec<Weak> = (0..40_u8).map(|n| weak(n % 7, 200 + i64::from(n), 1 + n * 2, i64::from(n % 9))).collect();
    for (n, row) in rows.iter().enumerate() {
        import(db, &run, std::slice::from_ref(row), day(n as i64 % 9));
    }
    move_to(db, 205, State::Resolved, 10);
    let before = list(db, "", day(20));
    assert_eq!(catch_up(db, 20), 0, "what was imported by these days waits for nothing");
    let days = Days { critical: 2, high: 30, medium: 0, ..Days::default() };
    let seen = db.read_blocking(move |tx| due::preview(tx, &days, day(20))).unwrap();
    assert_eq!(list(db, "", day(20)), before, "a dry run changes nothing");
    set(db, days, 20);
    assert_eq!(catch_up(db, 20), 40);
    let after = list(db, "", day(20));
    let moved: Vec<(&ItemRow, &ItemRow)> = before.iter().zip(&after).filter(|(a, b)| a.due_at != b.due_at).collect();
    let earlier = moved.iter().filter(|(a, b)| b.due_at.is_some_and(|at| a.due_at.is_none_or(|was| at < was)));
    let late = |rows: &[ItemRow]| rows.iter().filter(|row| row.target(day(20)) == Target::Missed).count();
    let counts = [after.len(), moved.len(), earlier.count(), late(&before), late(&after)].map(|n| n as i64);
    assert_eq!([seen.items, seen.moved, seen.earlier, seen.overdue_before, seen.overdue], counts);
    assert!(seen.moved > 0 && seen.earlier < seen.moved && seen.overdue != seen.overdue_before);
});

both_engines!(a_date_that_moves_is_told_anew, |db| {
    let run = begin(db);
    import(db, &run, &[weak(1, 101, 95, 0), weak(1, 102, 50, 0)], day(0));
    let told = |db: &Database| -> Vec<Option<domain::time::Timestamp>> {
        let rows: Vec<(Option<domain::time::Timestamp>,)> =
            db.read_blocking(|tx| tx.all("SELECT due_told_at FROM vulnerable_item ORDER BY number", &[])).unwrap();
        rows.into_iter().map(|(at,)| at).collect()
    };
    db.write_blocking(|tx| tx.execute("UPDATE vulnerable_item SET due_told_at = $1", &[&day(6)])).unwrap();
    set(db, Days { critical: 9, ..Days::default() }, 6);
    catch_up(db, 6);
    assert_eq!(told(db), [None, Some(day(6))]);
});

/// What happens to an item, one step a day or so later.
#[derive(Clone, Debug)]
enum Step {
    Import(u8, &'static str),
    Move(State),
    Defer,
    End,
    Days(i64),
}

fn step() -> impl Strategy<Value = (i64, Step)> {
    let status = prop::sample::select(vec!["active", "active", "fixed", "stale"]);
    let what = prop_oneof![
        4 => (1u8..=100, status).prop_map(|(score, status)| Step::Import(score, status)),
        2 => prop::sample::select(State::ALL.to_vec()).prop_map(Step::Move),
        1 => Just(Step::Defer),
        1 => Just(Step::End),
        1 => (0i64..40).prop_map(Step::Days),
    ];
    (0i64..12, what)
}

fn defer(db: &Database, now: i64) {
    db.write_blocking(move |tx| {
        let number = item_number(tx, 300)?;
        let row = items::one(tx, number)?;
        let Ok(asked) = item::ask(row.workflow(), Asked::Deferral) else { return Ok(()) };
        let actor = domain::access::Actor {
            user: domain::id::UserId(1),
            name: "ada".to_owned(),
            groups: std::collections::BTreeSet::new(),
            roles: [domain::access::Role::SuperUser].into(),
            scope: domain::access::AssetScope::All,
            token_scopes: None,
        };
        let wanted = domain::exception::Wanted {
            kind: Asked::Deferral,
            what: item::Substate::Other,
            note: "why".to_owned(),
            until: Some(day(now + 5)),
        };
        let open = items::exceptions::open_for(tx, std::slice::from_ref(&row))?;
        if !open.is_empty() {
            return Ok(());
        }
        let number = items::exceptions::request(tx, &actor, &wanted, &[(row, asked)], day(now))?;
        let request = items::exceptions::one(tx, &actor, number.ordinal)?;
        let ending = items::exceptions::Ending {
            to: domain::exception::State::Approved,
            until: request.until_at,
            answer: "yes",
            by: None,
            author: "users/bob",
        };
        items::exceptions::settle(tx, &request, &ending, day(now))
    })
    .unwrap();
}

both_engines!(the_store_follows_an_item_as_the_domain_says, |db| {
    db.write_blocking(|tx| {
        tx.execute(
            "INSERT INTO account (id, name, full_name, email, password_hash, password_temporary, roles, active, version,
                 created_at, changed_at)
             VALUES (1, 'ada', '', '', '', $1, '', $1, 1, $2, $2)",
            &[&true, &day(0)],
        )
    })
    .unwrap();
    let run = begin(db);
    let mut runner = TestRunner::new(Config { cases: 25, failure_persistence: None, ..Config::default() });
    let clock = std::cell::Cell::new(1);
    let outcome = runner.run(&prop::collection::vec(step(), 1..14), |steps| {
        // One item lives through all the histories; time only goes on.
        for (later, step) in steps {
            let now = clock.get() + later;
            clock.set(now);
            let known = list(db, "qid:300", day(now)).pop();
            match (&step, &known) {
                (Step::Import(score, status), _) => {
                    import(db, &run, &[Weak { status, ..weak(9, 300, *score, now) }], day(now));
                }
                (_, None) => continue,
                (Step::Move(to), Some(row)) => {
                    if item::change_state(row.workflow(), *to, day(now)).is_ok() {
                        move_to(db, 300, *to, now);
                    }
                }
                (Step::Defer, _) => defer(db, now),
                (Step::End, _) => {
                    db.write_blocking(move |tx| items::exceptions::end_granted(tx, "engine/exceptions", day(now)))
                        .unwrap();
                }
                (Step::Days(critical), _) => {
                    set(db, Days { critical: *critical, ..Days::default() }, now);
                    catch_up(db, now);
                }
            }
            let Some(row) = list(db, "qid:300", day(now)).pop() else { continue };
            if row.state == State::Closed {
                prop_assert!(row.due_ending != Ending::Open, "{:?}", row);
            } else {
                prop_assert_eq!(row.due_ending, Ending::Open);
                prop_assert!(row.state != State::Deferred || row.due_at.is_none());
            }
            // The list is asked at any moment and gives what the rule gives.
            for moment in [now, now + 2, now + 6, now + 40].map(day) {
                let target = row.target(moment);
                let overdue = target == Target::Missed && row.state != State::Closed;
                prop_assert_eq!(list(db, "qid:300 and is:overdue", moment).len(), usize::from(overdue));
                for wanted in Target::ALL {
                    let q = format!("qid:300 and target:{}", wanted.as_str());
                    prop_assert_eq!(list(db, &q, moment).len(), usize::from(wanted == target), "{} {:?}", q, row);
                }
            }
        }
        Ok(())
    });
    outcome.unwrap();
});
