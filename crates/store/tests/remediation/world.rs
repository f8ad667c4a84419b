//! Machines, imports and people for the tests of remediation tasks, and the rules that always hold.

use domain::access::{Actor, AssetScope, Role};
use domain::exception::{Kind as Asked, State as At, Wanted};
use domain::id::{InstanceId, ItemId, UserId};
use domain::item::{self, State, Substate};
use domain::refusal::Refusal;
use domain::remediation::effective;
use domain::time::Timestamp;
use std::collections::BTreeMap;
use store::detections::{DetectionSeen, Machine};
use store::hosts::HostSeen;
use store::imports::{Cause, Kind, Start};
use store::items::exceptions::{self, Ending};
use store::items::{self, ChangeError};
use store::remediation::{self, TaskRow};
use store::{Database, detections, imports, instances};

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds)
}

pub fn actor(role: Role, scope: AssetScope) -> Actor {
    Actor {
        user: UserId(1),
        name: "ada".to_owned(),
        roles: [role].into(),
        groups: ["web".to_owned()].into(),
        scope,
        token_scopes: None,
    }
}

pub fn ada() -> Actor {
    actor(Role::VulnerabilityAdministrator, AssetScope::All)
}

/// Import these weaknesses: host, QID and status.
pub fn import(db: &Database, now: i64, rows: &[(i64, i64, &'static str)]) {
    let mut machines: BTreeMap<i64, Machine> = BTreeMap::new();
    for (host, qid, status) in rows {
        let machine = machines.entry(*host).or_insert_with(|| Machine {
            host: HostSeen {
                host_key: host.to_string(),
                keyed: true,
                netbios: format!("host{host}"),
                ip: format!("10.0.{}.{}", host / 200, host % 200 + 1),
                ..HostSeen::default()
            },
            detections: Vec::new(),
        });
        machine.detections.push(DetectionSeen {
            qid: *qid,
            kind: "confirmed".to_owned(),
            status: (*status).to_owned(),
            qds: Some(u8::try_from(qid % 100 + 40).unwrap()),
            last_found_at: Some(at(now)),
            ..DetectionSeen::default()
        });
    }
    let machines: Vec<Machine> = machines.into_values().collect();
    db.write_blocking(move |tx| {
        let instance: InstanceId = instances::for_files(tx, "users/test", "Files", "qualys", at(0))?;
        let start = Start { instance, kind: Kind::File, cause: Cause::People, actor: "users/test", source: "" };
        let run = imports::start(tx, start, at(now))?;
        detections::merge(tx, &run, &machines, at(now))?;
        Ok(())
    })
    .unwrap();
}

pub fn item(db: &Database, host: i64, qid: i64) -> ItemId {
    db.read_blocking(move |tx| {
        tx.scalar(
            "SELECT i.id FROM vulnerable_item i JOIN vulnerability v ON v.id = i.vulnerability_id
             JOIN source_host h ON h.asset_id = i.asset_id WHERE h.host_key = $1 AND v.qid = $2",
            &[&host.to_string(), &qid],
        )
    })
    .unwrap()
}

pub fn task(db: &Database, number: i64) -> TaskRow {
    db.read_blocking(move |tx| remediation::one(tx, &ada(), number)).unwrap()
}

/// The states of these items, in their order.
pub fn states(db: &Database, items: &[ItemId]) -> Vec<String> {
    let of = |item: &ItemId| {
        let key = item.0;
        let rows = db.read_blocking(move |tx| items::of_keys(tx, &[key])).unwrap();
        rows[0].state.as_str().to_owned()
    };
    items.iter().map(of).collect()
}

/// A person changes the state of an item.
pub fn set_item(db: &Database, item: ItemId, to: State, now: i64) -> Result<(), Refusal> {
    db.write_blocking(move |tx| {
        let row = items::of_keys(tx, &[item.0])?.remove(0);
        match items::set_state(tx, "users/ada", &row, to, at(now)) {
            Ok(()) => Ok(Ok(())),
            Err(ChangeError::Refused(refusal)) => Ok(Err(refusal)),
            Err(ChangeError::Store(error)) => Err(error),
        }
    })
    .unwrap()
}

/// Two accounts, ada and bob, and a group web.
pub fn people(db: &Database) -> (UserId, UserId) {
    db.write_blocking(move |tx| {
        for name in ["ada", "bob"] {
            let new = store::accounts::NewAccount {
                name: name.to_owned(),
                full_name: String::new(),
                email: String::new(),
                password_hash: String::new(),
                password_temporary: false,
                roles: [Role::VulnerabilityAnalyst].into(),
                scope: AssetScope::All,
            };
            store::accounts::create(tx, "users/test", &new, at(0))?;
        }
        Ok(())
    })
    .unwrap();
    let id = |name: &'static str| db.read_blocking(move |tx| store::accounts::by_name(tx, name)).unwrap().unwrap().id;
    (id("ada"), id("bob"))
}

pub fn tag(db: &Database, host: i64, tag: &'static str) {
    db.write_blocking(move |tx| {
        tx.execute(
            "INSERT INTO asset_tag (asset_id, tag, origin) SELECT asset_id, $2, 0 FROM source_host WHERE host_key = $1",
            &[&host.to_string(), &tag],
        )
    })
    .unwrap();
}

/// Ask for these items to be put off; gives the ordinal of the request.
pub fn defer(db: &Database, items: &[ItemId], until: i64, now: i64) -> i64 {
    let keys: Vec<i64> = items.iter().map(|item| item.0).collect();
    db.write_blocking(move |tx| {
        let wanted = Wanted {
            kind: Asked::Deferral,
            what: Substate::RiskAccepted,
            note: "later".to_owned(),
            until: Some(at(until)),
        };
        let rows = items::of_keys(tx, &keys)?;
        let rows: Vec<_> = rows
            .into_iter()
            .map(|row| {
                let after = item::ask(row.workflow(), Asked::Deferral).unwrap();
                (row, after)
            })
            .collect();
        Ok(exceptions::request(tx, &ada(), &wanted, &rows, at(now))?.ordinal)
    })
    .unwrap()
}

pub fn answer(db: &Database, request: i64, approve: bool, now: i64) {
    db.write_blocking(move |tx| {
        let row = exceptions::one(tx, &ada(), request)?;
        let to = if approve { At::Approved } else { At::Rejected };
        let ending = Ending { to, until: row.until_at, answer: "", by: None, author: "users/bob" };
        exceptions::settle(tx, &row, &ending, at(now))
    })
    .unwrap();
}

pub fn request_state(db: &Database, request: i64) -> String {
    db.read_blocking(move |tx| tx.scalar("SELECT state FROM exception_request WHERE number = $1", &[&request])).unwrap()
}

/// What always holds: an item's state is the highest of its own and its tasks', and tasks count what they hold.
pub fn holds(db: &Database) {
    type Of = (ItemId, State, State);
    let (rows, votes): (Vec<Of>, Vec<(ItemId, State)>) = db
        .read_blocking(move |tx| {
            let rows = tx.all("SELECT id, state, own_state FROM vulnerable_item ORDER BY id", &[])?;
            let votes = tx.all(
                "SELECT x.item_id, t.state FROM remediation_item x JOIN remediation_task t ON t.id = x.task_id
                 ORDER BY x.item_id, t.id",
                &[],
            )?;
            Ok((rows, votes))
        })
        .unwrap();
    for (item, state, own) in rows {
        let tasks: Vec<State> = votes.iter().filter(|(of, _)| *of == item).map(|(_, state)| *state).collect();
        assert_eq!(state, effective(own, &tasks).0, "item {item}: own {own:?}, tasks {tasks:?}");
    }
    type Counted = (i64, i64, i64, i64, i64, Option<Timestamp>);
    let (kept, counted): (Vec<Counted>, Vec<Counted>) = db
        .read_blocking(move |tx| {
            let kept = tx.all(
                "SELECT number, items, items_open, items_deferred, score, due_at FROM remediation_task ORDER BY 1",
                &[],
            )?;
            let counted = tx.all(
                "SELECT t.number, count(i.id), coalesce(sum(CASE WHEN i.state <> 'closed' THEN 1 ELSE 0 END), 0),
                     coalesce(sum(CASE WHEN i.state = 'deferred' THEN 1 ELSE 0 END), 0),
                     coalesce(max(CASE WHEN i.state <> 'closed' THEN i.residual ELSE 0 END), 0),
                     min(CASE WHEN i.state <> 'closed' THEN i.due_at END)
                 FROM remediation_task t LEFT JOIN remediation_item x ON x.task_id = t.id
                 LEFT JOIN vulnerable_item i ON i.id = x.item_id GROUP BY t.number ORDER BY 1",
                &[],
            )?;
            Ok((kept, counted))
        })
        .unwrap();
    assert_eq!(kept, counted, "what tasks count is what they hold");
    let off: i64 = db
        .read_blocking(move |tx| {
            tx.scalar(
                "SELECT count(*) FROM remediation_item x JOIN vulnerable_item i ON i.id = x.item_id
                 WHERE x.state <> i.state OR x.substate <> i.substate",
                &[],
            )
        })
        .unwrap();
    assert_eq!(off, 0, "what tasks have of their items is what these are");
}

/// Forget everything that tests make.
pub fn clear(db: &Database) {
    db.write_blocking(|tx| {
        tx.execute("DELETE FROM remediation_history", &[])?;
        tx.execute("DELETE FROM remediation_count", &[])?;
        tx.execute("DELETE FROM remediation_item", &[])?;
        tx.execute("DELETE FROM remediation_task", &[])?;
        tx.execute("UPDATE task_rule SET active = FALSE", &[])?;
        tx.execute("UPDATE number_series SET next = 1 WHERE prefix = 'VUL'", &[])?;
        tx.execute("DELETE FROM exception_item", &[])?;
        tx.execute("DELETE FROM exception_request", &[])?;
        tx.execute("DELETE FROM item_history", &[])?;
        tx.execute("DELETE FROM score_history", &[])?;
        tx.execute("DELETE FROM detection_history", &[])?;
        tx.execute("DELETE FROM detection", &[])?;
        tx.execute("DELETE FROM vulnerable_item", &[])?;
        tx.execute("DELETE FROM source_host", &[])?;
        tx.execute("DELETE FROM asset", &[])?;
        tx.execute("DELETE FROM vulnerability_cve", &[])?;
        tx.execute("DELETE FROM vulnerability", &[])?;
        Ok(())
    })
    .unwrap();
}
