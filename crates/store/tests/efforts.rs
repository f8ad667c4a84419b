//! Efforts, notices, rules that assign, and the numbers of the homes on both engines.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::allow_attributes, reason = "a test may panic")]

use domain::access::{Actor, AssetScope, Role};
use domain::assignment::To;
use domain::effort::State;
use domain::filter::{Context, parse};
use domain::id::UserId;
use domain::notice::Kind;
use domain::number::Number;
use domain::time::Timestamp;
use store::accounts::NewAccount;
use store::efforts::{self, NewEffort, Outcome, Wanted};
use store::list::Query;
use store::overview::{self, Whose};
use store::{Database, Transaction, accounts, assignment, items, notices, topics};
use testkit::both_engines;

const MANY: i64 = 11_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds)
}

/// Assets `from` to `to`, each with an open item whose score is 90 on every other one and 50 on the rest.
fn hosts(tx: &mut Transaction<'_>, from: i64, to: i64) -> store::Result<()> {
    tx.execute(
        "WITH RECURSIVE number (n) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT n + 1 FROM number WHERE n < $2)
         INSERT INTO asset (name, platform, os, ip, fqdn, netbios, network_id, criticality, zone, macs, created_at,
             last_seen_at)
         SELECT 'host-' || CAST(n AS TEXT), 'linux', '', '', '', '', '', 3, '', '', 0, 0 FROM number",
        &[&from, &to],
    )?;
    tx.execute(
        "INSERT INTO vulnerable_item (number, vulnerability_id, asset_id, instance_id, state, substate, mitigation, inherent,
             residual, score_source, group_name, reopened, opened_at, updated_at, run_id)
         SELECT a.id, 1, a.id, 1, 'open', '', 'none', 90, CASE WHEN a.id % 2 = 0 THEN 90 ELSE 50 END, 'qds', '', 0, 0, 0, 1
         FROM asset a WHERE NOT EXISTS (SELECT 1 FROM vulnerable_item i WHERE i.asset_id = a.id)",
        &[],
    )?;
    Ok(())
}

fn set_up(db: &Database, count: i64) {
    let write = db.write_blocking(move |tx| {
        let no = false;
        tx.execute(
            "INSERT INTO integration_instance (name, product, api_url, gateway_url, auth, username, secret, versions,
                 tracking_hours, version, created_at, updated_at)
             VALUES ('S', 'qualys', '', '', 'files', '', $1, '', 1, 1, 0, 0)",
            &[&Vec::<u8>::new()],
        )?;
        tx.execute(
            "INSERT INTO vulnerability (product, key, qid, title, kind, severity, category, cvss3_vector, patchable, threat,
                 impact, solution, disabled, placeholder, digest, run_id)
             VALUES ('qualys', '7', 7, '', '', 1, '', '', $1, '', '', '', $1, $1, $2, 1)",
            &[&no, &vec![0_u8]],
        )?;
        hosts(tx, 1, count)
    });
    write.unwrap();
}

fn anna(scope: AssetScope) -> Actor {
    Actor {
        user: UserId(1),
        name: "anna".to_owned(),
        roles: [Role::VulnerabilityAnalyst].into(),
        groups: [].into(),
        scope,
        token_scopes: None,
    }
}

fn wanted(q: &str) -> Wanted {
    Wanted { query: Query::new(parse(q, &items::FIELDS).unwrap(), Context::at(at(0))), named: None }
}

fn make(db: &Database, wanted: Wanted) -> Option<Number> {
    let new = NewEffort { title: "t", description: "", topic: None, owner: None, group: "" };
    db.write_blocking(move |tx| efforts::create(tx, &anna(AssetScope::All), &new, &wanted, at(1))).unwrap()
}

fn tally(db: &Database, q: &str) -> (i64, i64) {
    let wanted = wanted(q);
    let Outcome { free, held } =
        db.read_blocking(move |tx| efforts::tally(tx, &anna(AssetScope::All), &wanted, 100_000)).unwrap();
    (free, held)
}

fn one(db: &Database, number: Number) -> efforts::EffortRow {
    db.read_blocking(move |tx| efforts::one(tx, &anna(AssetScope::All), number.ordinal)).unwrap()
}

/// A portion of the effort that is filled first; whether there is more.
fn fill(db: &Database) -> bool {
    db.write_blocking(|tx| {
        let filling = efforts::filling(tx)?.remove(0);
        let filter = parse(&filling.condition, &items::FIELDS).unwrap();
        efforts::fill(tx, &anna(AssetScope::All), &filling, filter, at(2))
    })
    .unwrap()
}

both_engines!(a_large_effort_is_filled_in_portions_and_frozen, |db| {
    set_up(db, MANY);
    assert_eq!(tally(db, ""), (MANY, 0));
    let large = make(db, wanted("")).unwrap();
    let first = one(db, large);
    assert_eq!((first.state, first.items), (State::Filling, 5_000));

    // Between two portions somebody takes half of what is left, and new items come.
    let other = make(db, wanted("score:90 and not is:in_effort")).unwrap();
    assert_eq!((one(db, other).state, one(db, other).items), (State::Active, 3_000));
    db.write_blocking(|tx| hosts(tx, MANY + 1, MANY + 20)).unwrap();
    while fill(db) {}
    let (large, other) = (one(db, large), one(db, other));
    assert_eq!((large.state, large.items, other.items), (State::Active, 8_000, 3_000));
    assert_eq!(tally(db, ""), (20, MANY), "what came later joined nothing");
    let twice: i64 = db
        .read_blocking(|tx| {
            tx.scalar(
                "SELECT count(*) FROM (SELECT item_id FROM effort_item GROUP BY item_id HAVING count(*) > 1) AS twice",
                &[],
            )
        })
        .unwrap();
    assert_eq!(twice, 0);
    let holders = db.read_blocking(|tx| efforts::holders(tx, &anna(AssetScope::All), &wanted(""), 10)).unwrap();
    assert_eq!(holders.iter().map(|held| held.number).collect::<Vec<_>>(), [large.number, other.number]);
    assert_eq!(make(db, wanted("asset:host-1")), None, "it is held");

    // Over by itself once nothing of it is active, and not before; an item that comes back is free for another one.
    let close = |after: i64| {
        db.write_blocking(move |tx| {
            tx.execute(
                "UPDATE vulnerable_item SET state = 'closed', substate = 'fixed' WHERE id > $2
                 AND id IN (SELECT item_id FROM effort_item WHERE effort_id = $1)",
                &[&other.id, &after],
            )
        })
        .unwrap();
        let any = db.read_blocking(efforts::any_finished).unwrap();
        let ended = db.write_blocking(|tx| efforts::end_finished(tx, "engine/efforts", at(9))).unwrap();
        assert_eq!(any, ended == 1);
        ended
    };
    let first = db
        .read_blocking(move |tx| {
            tx.scalar::<i64>("SELECT min(item_id) FROM effort_item WHERE effort_id = $1", &[&other.id])
        })
        .unwrap();
    assert_eq!((close(first), close(0)), (0, 1));
    let over = one(db, Number { ordinal: other.number, ..large.number() });
    assert_eq!((over.state, over.closed, over.closed_at), (State::Inactive, 3_000, Some(at(9))));
    db.write_blocking(move |tx| tx.execute("UPDATE vulnerable_item SET state = 'open' WHERE id = $1", &[&first]))
        .unwrap();
    let again = make(db, wanted("score:90 and effort.state:inactive")).unwrap();
    assert_eq!(one(db, again).items, 1);
});

both_engines!(an_effort_lets_go_when_it_ends, |db| {
    set_up(db, 6);
    let first = make(db, wanted("score:90")).unwrap();
    let row = one(db, first);
    assert_eq!((row.items, tally(db, "")), (3, (3, 3)));
    let stale = efforts::EffortRow { version: row.version - 1, ..row.clone() };
    let refused = db.write_blocking(move |tx| efforts::end(tx, "users/anna", &stale, at(3)));
    assert!(refused.unwrap_err().conflicts_with(store::settings::CHANGED));
    db.write_blocking(move |tx| efforts::end(tx, "users/anna", &row, at(3))).unwrap();
    assert_eq!(tally(db, ""), (6, 0));
    let second = make(db, wanted("")).unwrap();
    assert_eq!((one(db, second).items, one(db, first).items), (6, 3), "what it had is still told");
    let id = one(db, first).id;
    let lines = db.read_blocking(move |tx| efforts::history(tx, id, 9)).unwrap();
    let said: Vec<(&str, &str)> = lines.iter().map(|line| (line.what.as_str(), line.after.as_str())).collect();
    assert_eq!(said, [("state", "inactive"), ("items", "3")]);
});

/// Accounts ada (1) and bob (2, kept to the tag prod) with addresses, both in the group linux.
fn people(db: &Database) {
    db.write_blocking(|tx| {
        for (name, scope) in [("ada", AssetScope::All), ("bob", AssetScope::Tags(["prod".to_owned()].into()))] {
            let new = NewAccount {
                name: name.to_owned(),
                full_name: String::new(),
                email: format!("{name}@example.org"),
                password_hash: String::new(),
                password_temporary: false,
                roles: [Role::RemediationOwner].into(),
                scope,
            };
            accounts::create(tx, "users/x", &new, at(0))?;
        }
        accounts::set_group(tx, "users/x", "linux", &["ada".to_owned(), "bob".to_owned()], at(0))?;
        Ok(())
    })
    .unwrap();
}

both_engines!(notices_are_collected_and_told_as_their_reader_sees_them, |db| {
    set_up(db, 4);
    people(db);
    let rows = db.read_blocking(|tx| items::numbered(tx, &[1, 2, 3, 4])).unwrap();
    let (own, of_group) = (rows[..2].to_vec(), rows[2..].to_vec());
    db.write_blocking(move |tx| {
        items::assign_all(tx, "users/x", &own, Some((UserId(1), "ada")), "", at(10))?;
        items::assign_all(tx, "users/bob", &of_group, None, "linux", at(20))
    })
    .unwrap();
    let due = db.read_blocking(notices::due).unwrap();
    let who: Vec<(i64, Kind, Timestamp)> = due.iter().map(|due| (due.account.0, due.kind, due.at)).collect();
    assert_eq!(who, [(1, Kind::Assigned, at(10))], "the oldest counts, and nobody tells himself");
    let told = |due: notices::Due| {
        db.read_blocking(move |tx| {
            let account = accounts::by_id(tx, due.account)?.unwrap();
            notices::told(tx, &account.actor(None), &due, 3, at(100))
        })
        .unwrap()
    };
    let seen = told(due[0]);
    assert_eq!((seen.count, seen.items.len()), (4, 3));
    assert!(seen.items[0].residual >= seen.items[2].residual, "the highest scores first");
    assert!(db.write_blocking(move |tx| notices::done(tx, &due[0], true, 7)).unwrap());
    assert!(!db.write_blocking(move |tx| notices::done(tx, &due_again(), true, 7)).unwrap(), "once");

    // Overdue: each item once, for whoever has it; off is off.
    db.write_blocking(|tx| {
        tx.execute("UPDATE vulnerable_item SET due_at = $1", &[&at(50)])?;
        notices::set_wishes(tx, UserId(2), notices::Wishes { assigned: true, overdue: false })
    })
    .unwrap();
    assert!(!db.read_blocking(|tx| notices::any_overdue(tx, at(50))).unwrap());
    assert!(db.read_blocking(|tx| notices::any_overdue(tx, at(51))).unwrap());
    assert!(!db.write_blocking(|tx| notices::mark_overdue(tx, at(60))).unwrap(), "nothing more");
    assert!(!db.read_blocking(|tx| notices::any_overdue(tx, at(61))).unwrap());
    let due = db.read_blocking(notices::due).unwrap();
    let who: Vec<(i64, Kind, i64, i64)> =
        due.iter().map(|due| (due.account.0, due.kind, due.day, due.letters)).collect();
    assert_eq!(who, [(1, Kind::Overdue, 7, 1)]);
    assert_eq!(told(due[0]).count, 4);
    assert_eq!(told(notices::Due { account: UserId(2), ..due[0] }).count, 0, "no asset of his");
});

/// What was told already.
fn due_again() -> notices::Due {
    notices::Due { account: UserId(1), kind: Kind::Assigned, at: at(10), day: 0, letters: 0 }
}

both_engines!(one_pass_counts_what_the_lists_give, |db| {
    set_up(db, 9);
    people(db);
    let rows = db.read_blocking(|tx| items::numbered(tx, &[1, 2, 3])).unwrap();
    db.write_blocking(move |tx| {
        items::assign_all(tx, "users/x", &rows[..2], Some((UserId(1), "ada")), "", at(10))?;
        items::assign_all(tx, "users/x", &rows[2..], None, "linux", at(10))?;
        tx.execute(
            "UPDATE vulnerable_item SET state = 'closed', substate = 'fixed', closed_at = $1 WHERE number = 9",
            &[&at(86_400)],
        )
    })
    .unwrap();
    make(db, wanted("score:90")).unwrap();
    let ada = Actor { name: "ada".to_owned(), groups: ["linux".to_owned()].into(), ..anna(AssetScope::All) };
    let context = Context { me: Some("ada".to_owned()), ..Context::at(at(90_000)) };
    let texts = [
        "is:open",
        "is:overdue",
        "target:none and is:open",
        "has:task",
        "is:open and is:in_effort",
        "is:closed and closed:>now-30d",
        "is:open and not has:assignee and not has:group",
        "is:deferred and substate:other",
        "reopened:>0 and opened:>now-30d",
    ];
    let joined =
        ["assignee:me and is:open", "group:linux and is:open and not has:assignee", "platform:linux and qid:7"];
    for (whose, texts) in [(Whose::All, &texts[..]), (Whose::Joined, &joined[..]), (Whose::Own, &joined[..2])] {
        let filters: Vec<_> = texts.iter().map(|q| parse(q, &items::FIELDS).unwrap()).collect();
        let (actor, with, of) = (ada.clone(), context.clone(), filters.clone());
        let counted = db.read_blocking(move |tx| overview::tally(tx, &actor, whose, &of, &with)).unwrap();
        for ((text, filter), number) in texts.iter().zip(filters).zip(counted) {
            let query = Query::new(filter, context.clone());
            let clip = items::visible(&ada, domain::access::Action::ItemsView);
            let listed = db
                .read_blocking(move |tx| Ok(store::list::count(tx, &items::LIST, clip.clone(), &query, 1_000).unwrap()))
                .unwrap();
            assert_eq!(number, listed, "{whose:?} {text}");
        }
    }
    let (groups, mean) = db
        .read_blocking(move |tx| Ok((overview::by_group(tx, &ada, 5)?, overview::mean_days_to_close(tx, &ada, at(0))?)))
        .unwrap();
    assert_eq!(groups, [("linux".to_owned(), 1)]);
    assert!(mean.is_some_and(|days| days > 1.0));
});

both_engines!(topics_and_rules_are_kept_and_asked_again, |db| {
    set_up(db, 6);
    people(db);
    let shipped = db.read_blocking(topics::all).unwrap();
    assert!(!shipped.is_empty());
    for topic in shipped {
        parse(&topic.condition, &items::FIELDS).unwrap();
    }
    let to = To { kind: domain::assignment::Kind::Group, group: "linux".to_owned(), user: None, prefix: String::new() };
    let rule = assignment::Wanted {
        name: "linux".to_owned(),
        active: true,
        position: 1,
        condition: "score:90".to_owned(),
        to: to.clone(),
    };
    let made = db.write_blocking(move |tx| assignment::create(tx, "users/x", &rule, at(1))).unwrap();
    let rows = db.read_blocking(|tx| items::numbered(tx, &[2])).unwrap();
    db.write_blocking(move |tx| items::assign_all(tx, "users/x", &rows, None, "other", at(2))).unwrap();
    let again =
        |dry_run: bool| db.write_blocking(move |tx| assignment::again(tx, "users/x", None, dry_run, at(3))).unwrap();
    for (dry_run, changed) in [(true, 2), (false, 2), (false, 0)] {
        let done = again(dry_run);
        assert_eq!((done.looked, done.changed.get(&made.id).copied().unwrap_or(0)), (5, changed), "{dry_run}");
    }
    let id = made.id;
    let (rule, kept) =
        db.read_blocking(move |tx| Ok((assignment::rule(tx, id)?, items::numbered(tx, &[2])?.remove(0)))).unwrap();
    assert_eq!((rule.items, kept.group_name.as_str()), (2, "other"), "a hand's assignment stands");
    let wanted = assignment::Wanted { name: "x".to_owned(), active: false, position: 2, condition: String::new(), to };
    let (stale, changed) = (assignment::Rule { version: 9, ..rule.clone() }, wanted.clone());
    let refused = db.write_blocking(move |tx| assignment::change(tx, "users/x", &stale, &changed, at(4)));
    assert!(refused.unwrap_err().conflicts_with(store::settings::CHANGED));
    let rule = db.write_blocking(move |tx| assignment::change(tx, "users/x", &rule, &wanted, at(4))).unwrap();
    assert_eq!(again(true).changed.len(), 0, "nobody is asked");
    db.write_blocking(move |tx| assignment::delete(tx, "users/x", &rule, at(5))).unwrap();
});
