//! Efforts on both engines: large ones are taken in portions, a claim holds, and what is over lets go.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic")]

use domain::access::{Actor, AssetScope, Role};
use domain::effort::State;
use domain::filter::{Context, parse};
use domain::id::UserId;
use domain::number::Number;
use domain::time::Timestamp;
use store::efforts::{self, NewEffort, Outcome, Wanted};
use store::list::Query;
use store::{Database, Transaction, items};
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
    set_up(&db, MANY);
    assert_eq!(tally(&db, ""), (MANY, 0));
    let large = make(&db, wanted("")).unwrap();
    let first = one(&db, large);
    assert_eq!((first.state, first.items), (State::Filling, 5_000));

    // Between two portions somebody takes half of what is left, and new items come.
    let other = make(&db, wanted("score:90 and not is:in_effort")).unwrap();
    assert_eq!((one(&db, other).state, one(&db, other).items), (State::Active, 3_000));
    db.write_blocking(|tx| hosts(tx, MANY + 1, MANY + 20)).unwrap();
    while fill(&db) {}
    let (large, other) = (one(&db, large), one(&db, other));
    assert_eq!((large.state, large.items, other.items), (State::Active, 8_000, 3_000));
    assert_eq!(tally(&db, ""), (20, MANY), "what came later joined nothing");
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
    assert_eq!(make(&db, wanted("asset:host-1")), None, "it is held");

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
    let over = one(&db, Number { ordinal: other.number, ..large.number() });
    assert_eq!((over.state, over.closed, over.closed_at), (State::Inactive, 3_000, Some(at(9))));
    db.write_blocking(move |tx| tx.execute("UPDATE vulnerable_item SET state = 'open' WHERE id = $1", &[&first]))
        .unwrap();
    let again = make(&db, wanted("score:90 and effort.state:inactive")).unwrap();
    assert_eq!(one(&db, again).items, 1);
});

both_engines!(an_effort_lets_go_when_it_ends, |db| {
    set_up(&db, 6);
    let first = make(&db, wanted("score:90")).unwrap();
    let row = one(&db, first);
    assert_eq!((row.items, tally(&db, "")), (3, (3, 3)));
    let stale = efforts::EffortRow { version: row.version - 1, ..row.clone() };
    let refused = db.write_blocking(move |tx| efforts::end(tx, "users/anna", &stale, at(3)));
    assert!(refused.unwrap_err().conflicts_with(store::settings::CHANGED));
    db.write_blocking(move |tx| efforts::end(tx, "users/anna", &row, at(3))).unwrap();
    assert_eq!(tally(&db, ""), (6, 0));
    let second = make(&db, wanted("")).unwrap();
    assert_eq!((one(&db, second).items, one(&db, first).items), (6, 3), "what it had is still told");
    let id = one(&db, first).id;
    let lines = db.read_blocking(move |tx| efforts::history(tx, id, 9)).unwrap();
    let said: Vec<(&str, &str)> = lines.iter().map(|line| (line.what.as_str(), line.after.as_str())).collect();
    assert_eq!(said, [("state", "inactive"), ("items", "3")]);
});
