//! Remediation tasks in the store, on both engines: what they hold, how states go up and down, who has them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

#[path = "remediation/histories.rs"]
mod histories;
#[path = "remediation/world.rs"]
mod world;

use domain::access::{Action, AssetScope, Role, may};
use domain::filter::{Context, parse};
use domain::id::{ItemId, UserId};
use domain::item::State;
use domain::remediation::group::GroupBy;
use domain::remediation::{Existing, Origin, Substate};
use store::items::ChangeError;
use store::list::{Query, keys, page};
use store::remediation::{self, NewTasks, Split, TaskRow};
use store::{Database, items};
use testkit::both_engines;
use world::{actor, ada, at, holds, import, item, set_item, states, task};

fn by_hand<'a>(group_by: GroupBy, existing: Existing) -> NewTasks<'a> {
    NewTasks {
        by: "users/ada",
        origin: Origin::Hand,
        effort: None,
        group_by,
        existing,
        title: "",
        description: "",
        assignment: None,
    }
}

fn make(db: &Database, items: &[ItemId], group_by: GroupBy, existing: Existing) -> Vec<i64> {
    let items = items.to_vec();
    let made = db
        .write_blocking(move |tx| Ok(remediation::create(tx, &by_hand(group_by, existing), &items, at(10)).unwrap()))
        .unwrap();
    made.tasks.iter().map(|number| number.ordinal).collect()
}

fn set(db: &Database, number: i64, to: State, now: i64) {
    db.write_blocking(move |tx| {
        let row = remediation::one(tx, &ada(), number)?;
        remediation::set_state(tx, "users/ada", &row, to, at(now)).unwrap();
        Ok(())
    })
    .unwrap();
}

both_engines!(a_task_moves_its_items_and_closes_with_them, |db| {
    import(db, 1, &[(1, 100, "active"), (1, 101, "active"), (2, 100, "active")]);
    let all = [item(db, 1, 100), item(db, 1, 101), item(db, 2, 100)];
    assert_eq!(make(db, &all, GroupBy::None, Existing::Keep), [1]);
    let row = task(db, 1);
    assert_eq!((row.items, row.items_open, row.title.as_str(), row.state), (3, 3, "Remediation", State::Open));
    set(db, 1, State::UnderInvestigation, 20);
    assert_eq!(states(db, &all), ["under_investigation"; 3]);
    set_item(db, all[0], State::AwaitingImplementation, 21).unwrap();
    set(db, 1, State::Open, 22);
    assert_eq!(states(db, &all), ["awaiting_implementation", "open", "open"], "the item's own state stays");
    set(db, 1, State::Resolved, 30);
    assert_eq!(states(db, &all), ["resolved"; 3]);
    // Another item is found after it was resolved: the task is open again, the others are what they were.
    import(db, 40, &[(1, 101, "active")]);
    assert_eq!(task(db, 1).state, State::Open);
    assert_eq!(states(db, &all), ["awaiting_implementation", "open", "open"]);
    import(db, 50, &[(1, 100, "fixed"), (1, 101, "fixed")]);
    assert_eq!((task(db, 1).state, task(db, 1).items_open), (State::Open, 1));
    import(db, 60, &[(2, 100, "fixed")]);
    let row = task(db, 1);
    assert_eq!((row.state, row.substate.as_str(), row.closed_at), (State::Closed, "fixed", Some(at(60))));
    assert_eq!(row.state_cause, "items:VINTRUN0000004");
    // It comes back: the task stays closed and moves nothing.
    import(db, 70, &[(2, 100, "active")]);
    assert_eq!((task(db, 1).state, task(db, 1).items_open), (State::Closed, 1));
    assert_eq!(states(db, &all), ["closed", "closed", "open"]);
    holds(db);
});

both_engines!(of_several_tasks_the_highest_counts, |db| {
    import(db, 1, &[(1, 100, "active"), (2, 100, "active")]);
    let (one, two) = (item(db, 1, 100), item(db, 2, 100));
    make(db, &[one, two], GroupBy::None, Existing::Keep);
    make(db, &[one], GroupBy::None, Existing::Keep);
    set(db, 1, State::UnderInvestigation, 20);
    set(db, 2, State::AwaitingImplementation, 21);
    assert_eq!(states(db, &[one, two]), ["awaiting_implementation", "under_investigation"]);
    set(db, 1, State::Resolved, 22);
    assert_eq!(states(db, &[one, two]), ["resolved", "resolved"]);
    // A person cannot take the item below its task, and is told so.
    let refused = set_item(db, two, State::Open, 23).unwrap_err();
    assert_eq!(refused.code, "task_counts_more");
    assert!(refused.sentence.contains("VUL0000001 is Resolved"), "{}", refused.sentence);
    set(db, 1, State::Open, 24);
    assert_eq!(states(db, &[one, two]), ["awaiting_implementation", "open"]);
    holds(db);
});

both_engines!(tasks_are_grouped_and_items_in_tasks_skipped_moved_or_kept, |db| {
    import(db, 1, &[(1, 100, "active"), (1, 101, "active"), (2, 100, "active"), (3, 101, "fixed")]);
    let all = [item(db, 1, 100), item(db, 1, 101), item(db, 2, 100)];
    assert_eq!(make(db, &all, GroupBy::GroupVulnerability, Existing::Keep), [1, 2]);
    assert_eq!((task(db, 1).items, task(db, 2).items), (2, 1));
    let skipped = db.write_blocking(move |tx| {
        Ok(remediation::create(tx, &by_hand(GroupBy::None, Existing::Skip), &all, at(11)).unwrap_err())
    });
    assert!(matches!(skipped.unwrap(), ChangeError::Refused(refusal) if refusal.code == "nothing_to_do"));
    assert_eq!(make(db, &all[..2], GroupBy::GroupAsset, Existing::Move), [3]);
    assert_eq!((task(db, 1).items, task(db, 1).state), (1, State::Open));
    let emptied = task(db, 2);
    assert_eq!((emptied.items, emptied.state, emptied.substate), (0, State::Closed, Substate::Cancelled));
    assert_eq!(task(db, 3).title, "no group, host1");
    holds(db);
});

both_engines!(an_effort_fills_its_open_tasks_portion_by_portion, |db| {
    import(db, 1, &[(1, 100, "active"), (1, 101, "active"), (2, 100, "active")]);
    let all = [item(db, 1, 100), item(db, 1, 101), item(db, 2, 100)];
    let effort = NewTasks {
        effort: Some(7),
        origin: Origin::Effort,
        by: "engine/efforts",
        title: "Patch",
        ..by_hand(GroupBy::GroupAsset, Existing::Keep)
    };
    let fill = |items: Vec<ItemId>, effort: NewTasks<'static>| {
        db.write_blocking(move |tx| Ok(remediation::create(tx, &effort, &items, at(10)).unwrap())).unwrap()
    };
    let first = fill(vec![all[0]], effort.clone());
    assert_eq!((first.tasks.len(), first.joined.len()), (1, 0));
    let second = fill(vec![all[1], all[2]], effort.clone());
    assert_eq!((second.tasks.len(), second.joined.clone()), (1, first.tasks.clone()));
    let again = fill(vec![all[1]], effort.clone());
    assert_eq!((again.tasks.len(), task(db, 1).items), (0, 2), "an item is in a task once");
    let other = fill(vec![all[1]], NewTasks { effort: Some(8), ..effort });
    assert_eq!(other.tasks.len(), 1);
    assert_eq!((task(db, 1).effort_id, task(db, 1).origin), (Some(7), Origin::Effort));
    holds(db);
});

both_engines!(a_task_is_split_and_filled_and_emptied, |db| {
    import(db, 1, &[(1, 100, "active"), (1, 101, "active"), (2, 100, "active"), (2, 101, "active")]);
    let all = [item(db, 1, 100), item(db, 1, 101), item(db, 2, 100), item(db, 2, 101)];
    make(db, &all[..3], GroupBy::None, Existing::Keep);
    import(db, 15, &[(1, 101, "fixed")]);
    let split = |items: Vec<ItemId>| {
        db.write_blocking(move |tx| {
            let row = remediation::one(tx, &ada(), 1)?;
            let how = Split { title: "", assignment: (None, "") };
            Ok(remediation::split(tx, "users/ada", &row, &how, &items, at(20)))
        })
        .unwrap()
    };
    let code = |result: Result<_, ChangeError>| match result {
        Err(ChangeError::Refused(refusal)) => refusal.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(split(vec![all[1], all[3]])), "nothing_goes");
    assert_eq!(code(split(vec![all[0], all[2]])), "nothing_stays");
    assert_eq!(split(vec![all[2], all[1]]).unwrap().ordinal, 2);
    let (old, new) = (task(db, 1), task(db, 2));
    assert_eq!((old.items, old.items_open, old.state), (2, 1, State::UnderInvestigation));
    assert_eq!((new.items, new.state, new.split_from, new.origin), (1, State::Open, Some(1), Origin::Split));
    assert_eq!(states(db, &all), ["under_investigation", "closed", "open", "open"]);
    assert_eq!(code(split(vec![all[0]])), "one_item");
    db.write_blocking(move |tx| {
        let rows = items::of_keys(tx, &[all[3].0])?;
        let row = remediation::one(tx, &ada(), 1)?;
        assert_eq!(remediation::add(tx, "users/ada", &row, &rows, at(30)).unwrap(), 1);
        let stale = remediation::remove(tx, "users/ada", &row, &rows, at(31));
        match stale {
            Err(ChangeError::Store(error)) => Err::<(), _>(error),
            other => panic!("{other:?}"),
        }
    })
    .unwrap_err();
    assert_eq!(task(db, 1).items, 2, "nothing of a change that failed stays");
    db.write_blocking(move |tx| {
        let rows = items::of_keys(tx, &[all[3].0])?;
        let row = remediation::one(tx, &ada(), 1)?;
        assert_eq!(remediation::add(tx, "users/ada", &row, &rows, at(30)).unwrap(), 1);
        Ok(())
    })
    .unwrap();
    assert_eq!(states(db, &all[3..]), ["under_investigation"], "an item that is put into a task goes with it");
    db.write_blocking(move |tx| {
        let rows = items::of_keys(tx, &[all[0].0, all[1].0, all[3].0])?;
        let row = remediation::one(tx, &ada(), 1)?;
        assert_eq!(remediation::remove(tx, "users/ada", &row, &rows, at(40)).unwrap(), 3);
        let row = remediation::one(tx, &ada(), 1)?;
        assert_eq!((row.state, row.substate), (State::Closed, Substate::Cancelled));
        remediation::delete(tx, "users/ada", &row, at(41)).unwrap();
        assert!(matches!(remediation::one(tx, &ada(), 1), Err(store::Error::NotFound)));
        Ok(())
    })
    .unwrap();
    assert_eq!(states(db, &all), ["open", "closed", "open", "open"]);
    holds(db);
});

both_engines!(items_that_nobody_has_go_with_the_assignment_of_their_task, |db| {
    import(db, 1, &[(1, 100, "active"), (1, 101, "active")]);
    let all = [item(db, 1, 100), item(db, 1, 101)];
    let (ada_id, bob) = world::people(db);
    db.write_blocking(move |tx| {
        let rows = items::of_keys(tx, &[all[1].0])?;
        items::assign(tx, "users/ada", &rows[0], Some((ada_id, "ada")), "", at(5))
    })
    .unwrap();
    make(db, &all, GroupBy::None, Existing::Keep);
    let give = |owner: Option<(UserId, &'static str)>, group: &'static str, now| {
        db.write_blocking(move |tx| {
            let row = remediation::one(tx, &ada(), 1)?;
            remediation::assign(tx, "users/ada", &row, owner, group, "", at(now)).unwrap();
            Ok(())
        })
        .unwrap();
    };
    let owners = || {
        db.read_blocking(move |tx| {
            Ok(items::of_keys(tx, &[all[0].0, all[1].0])?.into_iter().map(|row| (row.owner, row.group_name)).collect())
        })
        .unwrap()
    };
    let pair = |owner: &str, group: &str| (owner.to_owned(), group.to_owned());
    give(Some((bob, "bob")), "web", 20);
    let now: Vec<(String, String)> = owners();
    assert_eq!(now, [pair("bob", "web"), pair("ada", "")], "what a person gave stays");
    let by: Vec<(String,)> =
        db.read_blocking(|tx| tx.all("SELECT assigned_by FROM vulnerable_item ORDER BY id LIMIT 1", &[])).unwrap();
    assert_eq!(by, [("task:VUL0000001".to_owned(),)]);
    give(None, "web", 21);
    assert_eq!(owners(), [pair("", "web"), pair("ada", "")]);
    give(None, "", 22);
    assert_eq!(owners(), [pair("", ""), pair("ada", "")]);
    holds(db);
});

both_engines!(a_task_is_deferred_and_in_review_as_its_items_are, |db| {
    import(db, 1, &[(1, 100, "active"), (1, 101, "active"), (2, 100, "active")]);
    let all = [item(db, 1, 100), item(db, 1, 101), item(db, 2, 100)];
    make(db, &all, GroupBy::None, Existing::Keep);
    set(db, 1, State::UnderInvestigation, 20);
    let first = world::defer(db, &all[..2], 1_000, 30);
    assert_eq!(task(db, 1).state, State::UnderInvestigation, "one is still in work");
    let second = world::defer(db, &all[2..], 500, 31);
    assert_eq!(task(db, 1).state, State::InReview);
    world::answer(db, first, true, 32);
    assert_eq!(task(db, 1).state, State::InReview);
    world::answer(db, second, true, 33);
    let row = task(db, 1);
    assert_eq!((row.state, row.substate.as_str(), row.until_at), (State::Deferred, "risk_accepted", Some(at(500))));
    assert_eq!(row.items_deferred, 3);
    import(db, 40, &[(2, 100, "fixed")]);
    assert_eq!((task(db, 1).state, task(db, 1).until_at), (State::Deferred, Some(at(1_000))));
    // A person reopens it: its deferred items open.
    set(db, 1, State::Open, 50);
    assert_eq!((task(db, 1).state, task(db, 1).state_cause.as_str()), (State::Open, "person:ada"));
    assert_eq!(states(db, &all), ["open", "open", "closed"]);
    // Resolved while an exception is being decided: nothing is left to decide.
    let third = world::defer(db, &all[..1], 2_000, 60);
    set(db, 1, State::Resolved, 61);
    assert_eq!(states(db, &all), ["resolved", "resolved", "closed"]);
    assert_eq!(world::request_state(db, third), "obsolete");
    holds(db);
});

both_engines!(a_task_is_due_when_its_first_open_item_is, |db| {
    const DAY: i64 = 86_400;
    import(db, 1, &[(1, 100, "active"), (1, 155, "active"), (2, 155, "active")]);
    let all = [item(db, 1, 100), item(db, 1, 155), item(db, 2, 155)];
    make(db, &all[..2], GroupBy::None, Existing::Keep);
    make(db, &all[2..], GroupBy::None, Existing::Keep);
    let due = |item: ItemId| {
        db.read_blocking(move |tx| Ok(items::of_keys(tx, &[item.0])?.remove(0).due_at)).unwrap().expect("a due date")
    };
    let (later, sooner) = (due(all[0]), due(all[1]));
    assert!(sooner < later);
    assert_eq!(task(db, 1).due_at, Some(sooner));
    import(db, 2, &[(1, 155, "fixed")]);
    assert_eq!((task(db, 1).due_at, task(db, 1).due_met.as_str()), (Some(later), ""));
    import(db, 3, &[(1, 100, "fixed")]);
    assert_eq!((task(db, 1).due_at, task(db, 1).due_met.as_str()), (None, "met"));
    import(db, 300 * DAY, &[(2, 155, "fixed")]);
    assert_eq!(task(db, 2).due_met, "missed");
    holds(db);
});

both_engines!(a_rejected_review_gives_the_task_its_state_back, |db| {
    import(db, 1, &[(1, 100, "active")]);
    let all = [item(db, 1, 100)];
    make(db, &all, GroupBy::None, Existing::Keep);
    set(db, 1, State::AwaitingImplementation, 20);
    let asked = world::defer(db, &all, 1_000, 30);
    assert_eq!(task(db, 1).state, State::InReview);
    world::answer(db, asked, false, 31);
    assert_eq!(
        (task(db, 1).state, states(db, &all)),
        (State::AwaitingImplementation, vec!["awaiting_implementation".to_owned()])
    );
    holds(db);
});

both_engines!(a_scoped_person_sees_the_part_of_a_task_that_is_in_scope, |db| {
    import(db, 1, &[(1, 100, "active"), (2, 100, "active")]);
    world::tag(db, 1, "prod");
    let all = [item(db, 1, 100), item(db, 2, 100)];
    make(db, &all, GroupBy::None, Existing::Keep);
    make(db, &all[1..], GroupBy::None, Existing::Keep);
    make(db, &all[..1], GroupBy::None, Existing::Keep);
    let scoped = |tags: &[&str]| {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        actor(Role::VulnerabilityAnalyst, AssetScope::Tags(tags))
    };
    let seen = |who: domain::access::Actor| {
        db.read_blocking(move |tx| {
            let query = Query::new(parse("", &remediation::FIELDS).unwrap(), Context::at(at(99)));
            let rows = page::<TaskRow>(tx, &remediation::LIST, remediation::clip(&who), &query).unwrap().rows;
            let mut seen = Vec::new();
            for row in rows {
                let record = remediation::access(tx, &who, &row)?;
                let change = may(&who, Action::TaskEdit, &record).ok().err().map(|reason| reason.code());
                seen.push((row.number, row.items, change));
            }
            Ok(seen)
        })
        .unwrap()
    };
    assert_eq!(seen(scoped(&["prod"])), [(1, 1, Some("partly_out_of_scope")), (3, 1, None)]);
    assert_eq!(seen(scoped(&[])), []);
    assert_eq!(seen(actor(Role::VulnerabilityAnalyst, AssetScope::All)), [(1, 2, None), (2, 1, None), (3, 1, None)]);
    assert_eq!(seen(actor(Role::RemediationOwner, AssetScope::All)), []);
    holds(db);
});

both_engines!(tasks_are_found_by_what_they_hold, |db| {
    import(db, 1, &[(1, 100, "active"), (2, 101, "active")]);
    let all = [item(db, 1, 100), item(db, 2, 101)];
    make(db, &all, GroupBy::GroupAsset, Existing::Keep);
    assert!(store::filter::mistakes(remediation::LIST.fields, remediation::LIST.columns).is_empty());
    for (q, expected) in [
        ("number:VUL0000001", vec![1]),
        ("asset:host2", vec![2]),
        ("qid:100", vec![1]),
        ("is:open items:1", vec![1, 2]),
        ("is:closed", vec![]),
        ("host2", vec![2]),
        ("origin:hand score:>=1", vec![1, 2]),
        ("has:due due:>2020-01-01", vec![1, 2]),
        ("has:effort", vec![]),
    ] {
        let found = db
            .read_blocking(move |tx| {
                let query = Query::new(parse(q, &remediation::FIELDS).unwrap(), Context::at(at(99)));
                Ok(keys(tx, &remediation::LIST, remediation::clip(&ada()), &query, 100).unwrap())
            })
            .unwrap();
        assert_eq!(found, expected, "{q}");
    }
    let found = db.read_blocking(move |tx| {
        let query = Query::new(parse("task:VUL0000002", &items::FIELDS).unwrap(), Context::at(at(99)));
        Ok(keys(tx, &items::LIST, items::visible(&ada(), Action::ItemsView), &query, 100).unwrap())
    });
    assert_eq!(found.unwrap(), [all[1].0]);
});
