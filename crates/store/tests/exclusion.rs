//! What is excluded: imports, passes over what is known, and the count before, against the rules of the domain.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "helpers of tests are tests, too"
)]

use domain::detection::Presence;
use domain::exclusion::{self as rules, By, Policy, Rule, Seen};
use domain::id::{ExclusionRuleId, InstanceId};
use domain::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use store::detections::{DetectionSeen, Machine};
use store::exclusion::{self, Settings, Wanted};
use store::hosts::HostSeen;
use store::imports::{Cause, Kind, Run, Start};
use store::vulnerabilities::VulnerabilitySeen;
use store::{Database, detections, imports, instances, vulnerabilities};
use testkit::both_engines;

const WHO: &str = "users/ada";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds)
}

fn start(db: &Database, name: &'static str) -> Run {
    db.write_blocking(move |tx| {
        let instance: InstanceId = instances::for_files(tx, "users/test", name, "qualys", at(0))?;
        let start = Start { instance, kind: Kind::File, cause: Cause::People, actor: "users/test", source: "" };
        imports::start(tx, start, at(0))
    })
    .unwrap()
}

fn seen(qid: i64, port: i64, kind: &str, status: &str, found: i64) -> DetectionSeen {
    DetectionSeen {
        qid,
        port,
        kind: kind.to_owned(),
        severity: Some(4),
        status: status.to_owned(),
        qds: Some(60),
        last_found_at: Some(at(found)),
        ..DetectionSeen::default()
    }
}

/// Hosts 0 and 1: another system, network and tag each.
fn machine(host: u8, rows: Vec<DetectionSeen>, found: i64) -> Machine {
    let host = HostSeen {
        host_key: host.to_string(),
        keyed: true,
        ip: format!("10.0.0.{host}"),
        os: if host == 0 { "Ubuntu 22.04" } else { "Windows Server" }.to_owned(),
        network_id: if host == 0 { "" } else { "7" }.to_owned(),
        tags: Some(if host == 0 { vec!["prod".to_owned()] } else { Vec::new() }),
        last_scan_at: Some(at(found)),
        ..HostSeen::default()
    };
    Machine { host, detections: rows }
}

fn merge(db: &Database, run: &Run, machines: Vec<Machine>, now: i64) -> detections::Merged {
    let run = run.clone();
    db.write_bulk_blocking(move |tx| detections::merge(tx, &run, &machines, at(now))).unwrap()
}

fn rule(db: &Database, condition: &str) -> ExclusionRuleId {
    let wanted = Wanted { name: condition.to_owned(), active: true, position: 99, condition: condition.to_owned() };
    db.write_blocking(move |tx| exclusion::create(tx, WHO, &wanted, at(1))).unwrap()
}

fn settle(db: &Database) {
    while db.write_bulk_blocking(|tx| exclusion::step(tx, at(5_000))).unwrap() {}
}

fn set(db: &Database, close_items: bool, confirmed_only: &[InstanceId]) {
    let settings = Settings { close_items, confirmed_only: confirmed_only.to_vec() };
    db.write_blocking(move |tx| exclusion::set(tx, WHO, &settings, None, at(2))).unwrap();
}

/// Items with QID and port of nothing, state and how often they came back.
fn items(db: &Database) -> Vec<(i64, String, String, i64)> {
    db.read_blocking(|tx| {
        tx.all(
            "SELECT v.qid, i.state, i.substate, i.reopened FROM vulnerable_item i
             JOIN vulnerability v ON v.id = i.vulnerability_id ORDER BY i.id",
            &[],
        )
    })
    .unwrap()
}

fn item(qid: i64, state: &str, substate: &str, reopened: i64) -> (i64, String, String, i64) {
    (qid, state.to_owned(), substate.to_owned(), reopened)
}

both_engines!(what_is_excluded_when_it_is_new_makes_no_item_and_comes_back_without_an_import, |db| {
    let run = start(db, "Files");
    merge(db, &run, vec![machine(0, vec![seen(7, 0, "confirmed", "active", 0)], 0)], 2);
    let id = rule(db, "qid:[7, 8]");
    settle(db);
    // The item that was there stays, one that would be new is not made, another port of the first joins nothing.
    let rows = vec![
        seen(7, 0, "confirmed", "active", 3),
        seen(7, 22, "confirmed", "active", 3),
        seen(8, 0, "confirmed", "active", 3),
        seen(9, 0, "confirmed", "active", 3),
    ];
    let merged = merge(db, &run, vec![machine(0, rows.clone(), 3)], 4);
    assert_eq!(merged.counters.items.new, 1);
    assert_eq!(items(db), [item(7, "open", "", 0), item(9, "open", "", 0)]);
    let counted = db.read_blocking(move |tx| exclusion::rule(tx, id)).unwrap().excluded;
    assert_eq!(counted, 3);
    let loose: i64 = db
        .read_blocking(|tx| {
            tx.scalar("SELECT count(*) FROM detection WHERE excluded_by IS NOT NULL AND item_id IS NULL", &[])
        })
        .unwrap();
    assert_eq!(loose, 2);
    // The same again is unchanged, and makes nothing either.
    let again = merge(db, &run, vec![machine(0, rows, 3)], 5);
    assert_eq!((again.counters.detections.unchanged, again.counters.items.new), (4, 0));

    let version = db.read_blocking(move |tx| exclusion::rule(tx, id)).unwrap().version;
    let stale = db.write_blocking(move |tx| exclusion::delete(tx, WHO, id, version + 1, at(6)));
    assert!(matches!(stale, Err(store::Error::Conflict(_))), "{stale:?}");
    db.write_blocking(move |tx| exclusion::delete(tx, WHO, id, version, at(6))).unwrap();
    settle(db);
    assert_eq!(items(db), [item(7, "open", "", 0), item(9, "open", "", 0), item(8, "open", "", 0)]);
    let pass = db.read_blocking(exclusion::last).unwrap().unwrap();
    assert_eq!((pass.state.as_str(), pass.included, pass.excluded, pass.items_made), ("complete", 3, 0, 1));
    let loose: i64 =
        db.read_blocking(|tx| tx.scalar("SELECT count(*) FROM detection WHERE item_id IS NULL", &[])).unwrap();
    assert_eq!(loose, 0);
});

both_engines!(items_close_when_all_that_is_open_of_them_is_excluded, |db| {
    let run = start(db, "Files");
    let rows = vec![
        seen(1, 80, "confirmed", "active", 0),
        seen(1, 443, "confirmed", "active", 0),
        seen(2, 80, "confirmed", "active", 0),
        seen(2, 443, "confirmed", "active", 0),
        seen(3, 80, "confirmed", "active", 0),
        seen(3, 443, "confirmed", "active", 0),
    ];
    merge(db, &run, vec![machine(0, rows, 0)], 2);
    merge(db, &run, vec![machine(0, vec![seen(2, 443, "confirmed", "fixed", 1)], 1)], 3);
    rule(db, "port:80 or qid:1");
    settle(db);
    let open = |qid| item(qid, "open", "", 0);
    assert_eq!(items(db), [open(1), open(2), open(3)], "items stay where nothing says that they close");
    set(db, true, &[]);
    settle(db);
    assert_eq!(items(db), [item(1, "closed", "excluded", 0), item(2, "closed", "fixed", 0), open(3)]);
    let cause: String =
        db.read_blocking(|tx| tx.scalar("SELECT state_cause FROM vulnerable_item ORDER BY id", &[])).unwrap();
    assert_eq!(cause, "exclusion:");
    // An import that sees it again does not open it, and one that finds the rest gone closes it as fixed.
    merge(db, &run, vec![machine(0, vec![seen(1, 80, "confirmed", "reopened", 9)], 9)], 10);
    assert_eq!(items(db)[0], item(1, "closed", "excluded", 0));
    merge(db, &run, vec![machine(0, vec![seen(3, 443, "confirmed", "fixed", 9)], 9)], 11);
    assert_eq!(items(db)[2], item(3, "closed", "fixed", 0));
    // What closed for this alone did not come back when that ends.
    set(db, false, &[]);
    settle(db);
    assert_eq!(items(db), [open(1), item(2, "open", "", 1), item(3, "open", "", 1)]);
});

both_engines!(an_instance_that_counts_confirmed_ones_only_keeps_the_others, |db| {
    let (one, two) = (start(db, "One"), start(db, "Two"));
    set(db, false, &[one.instance]);
    let rows = || vec![seen(1, 0, "potential", "active", 0), seen(2, 0, "confirmed", "active", 0)];
    merge(db, &one, vec![machine(0, rows(), 0)], 2);
    merge(db, &two, vec![machine(1, rows(), 0)], 2);
    assert_eq!(items(db).iter().map(|item| item.0).collect::<Vec<_>>(), [2, 1, 2]);
    assert_eq!(db.read_blocking(exclusion::by_confirmed_only).unwrap(), 1);
    let pending = db.read_blocking(exclusion::pending).unwrap();
    assert_eq!((pending.excluded, pending.included, pending.items), (0, 0, 0));
    set(db, false, &[]);
    assert_eq!(db.read_blocking(exclusion::pending).unwrap().included, 1);
    settle(db);
    assert_eq!(items(db).iter().map(|item| item.0).collect::<Vec<_>>(), [2, 1, 2, 1]);
});

both_engines!(rules_keep_their_order_and_a_later_change_ends_the_pass_before, |db| {
    let ids = [rule(db, "qid:1"), rule(db, "qid:2"), rule(db, "qid:3")];
    let order = |db: &Database| -> Vec<(i64, i64)> {
        let rows = db.read_blocking(exclusion::rules).unwrap();
        rows.into_iter().map(|row| (row.id.0, row.position)).collect()
    };
    let wanted = Wanted { name: "third".to_owned(), active: false, position: 1, condition: "qid:33".to_owned() };
    let third = ids[2];
    db.write_blocking(move |tx| exclusion::update(tx, WHO, third, 1, &wanted, at(3))).unwrap();
    assert_eq!(order(db), [(ids[2].0, 1), (ids[0].0, 2), (ids[1].0, 3)]);
    let first = ids[0];
    db.write_blocking(move |tx| exclusion::delete(tx, WHO, first, 1, at(4))).unwrap();
    assert_eq!(order(db), [(ids[2].0, 1), (ids[1].0, 2)]);
    let policy = db.read_blocking(exclusion::policy).unwrap();
    assert_eq!(
        policy.rules.iter().map(|rule| rule.id).collect::<Vec<_>>(),
        [ids[1]],
        "one that is off is not in force"
    );
    let running: i64 =
        db.read_blocking(|tx| tx.scalar("SELECT count(*) FROM exclusion_pass WHERE state = 'running'", &[])).unwrap();
    assert_eq!(running, 1);
});

#[derive(Clone, Debug)]
enum Step {
    /// Host, QID, port, kind, severity, status.
    Import(Vec<(u8, i64, i64, &'static str, u8, &'static str)>),
    Rules(Vec<&'static str>),
    Set(bool, bool),
    Settle,
}

const CONDITIONS: &[&str] = &[
    "qid:100",
    "severity:<3",
    "tag:prod",
    "not tag:prod and port:>0",
    "os:ubuntu kernel",
    "kind:potential",
    "category:Local or network:7",
    "has:protocol",
    "protocol:tcp",
    "instance:Files and qid:[101, 102]",
    "title:\"of 10\" and not asset:10.0.0.1",
    "ip:10.0.0.1",
];

fn step() -> impl Strategy<Value = Step> {
    let row = (
        0u8..2,
        100i64..103,
        0i64..2,
        prop::sample::select(vec!["confirmed", "potential", "info", ""]),
        1u8..=5,
        prop::sample::select(vec!["new", "active", "fixed", "reopened"]),
    );
    prop_oneof![
        4 => prop::collection::vec(row, 1..6).prop_map(Step::Import),
        2 => prop::collection::vec(prop::sample::select(CONDITIONS.to_vec()), 0..3).prop_map(Step::Rules),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(close, confirmed)| Step::Set(close, confirmed)),
        1 => Just(Step::Settle),
    ]
}

fn clear(db: &Database) -> Run {
    db.write_blocking(|tx| {
        for sql in [
            "DELETE FROM item_history",
            "DELETE FROM detection_history",
            "DELETE FROM detection",
            "DELETE FROM vulnerable_item",
            "DELETE FROM source_host_tag",
            "DELETE FROM asset_tag",
            "DELETE FROM source_host",
            "DELETE FROM asset",
            "DELETE FROM vulnerability",
            "DELETE FROM exclusion_rule",
            "DELETE FROM exclusion_pass",
            "DELETE FROM setting WHERE key = 'exclusion'",
        ] {
            tx.execute(sql, &[])?;
        }
        Ok(())
    })
    .unwrap();
    let run = start(db, "Files");
    let entries: Vec<VulnerabilitySeen> = (100..103)
        .map(|qid| VulnerabilitySeen {
            qid,
            title: format!("Weakness of {}", qid / 10),
            kind: ["vulnerability", "potential", "information"][usize::try_from(qid - 100).unwrap()].to_owned(),
            category: if qid == 100 { "Local".to_owned() } else { String::new() },
            severity: Some(3),
            ..VulnerabilitySeen::default()
        })
        .collect();
    let of = run.clone();
    db.write_bulk_blocking(move |tx| vulnerabilities::merge(tx, &of, &entries, &mut imports::Counters::default()))
        .unwrap();
    run
}

store::record! {
    #[derive(Clone, Debug)]
    struct Stored {
        id: i64,
        host_key: String,
        qid: i64,
        port: i64,
        protocol: String,
        kind: String,
        severity: i64,
        status: String,
        excluded_by: Option<i64>,
        item_id: Option<i64>,
    }
}

/// The detections, as the rules see them, with what was judged.
fn stored(db: &Database) -> Vec<Stored> {
    db.read_blocking(|tx| {
        tx.all(
            "SELECT d.id, h.host_key, v.qid, d.port, d.protocol, d.kind, d.severity, d.status, d.excluded_by, d.item_id
             FROM detection d JOIN source_host h ON h.id = d.source_host_id JOIN vulnerability v ON v.id = d.vulnerability_id
             ORDER BY d.id",
            &[],
        )
    })
    .unwrap()
}

fn judge(policy: &Policy, instance: InstanceId, row: &Stored) -> Option<i64> {
    let first = row.host_key == "0";
    let tags = if first { vec!["prod".to_owned()] } else { Vec::new() };
    let of = ["vulnerability", "potential", "information"][usize::try_from(row.qid - 100).unwrap()];
    if !weak(row) {
        return None;
    }
    let ip = format!("10.0.0.{}", row.host_key);
    let seen = Seen {
        qid: row.qid,
        title: &format!("Weakness of {}", row.qid / 10),
        category: if row.qid == 100 { "Local" } else { "" },
        kind: rules::certainty(&row.kind, of),
        severity: row.severity,
        port: row.port,
        protocol: &row.protocol,
        os: if first { "Ubuntu 22.04" } else { "Windows Server" },
        ip: &ip,
        network: if first { "" } else { "7" },
        asset: &ip,
        tags: &tags,
        instance: "Files",
    };
    policy.judge(instance, &seen).map(By::stored)
}

fn weak(row: &Stored) -> bool {
    row.kind != "info" && (row.kind == "confirmed" || row.kind == "potential" || row.qid != 102)
}

both_engines!(imports_passes_and_counts_judge_as_the_domain_does, |db| {
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&prop::collection::vec(step(), 1..10), |steps| {
        let run = clear(db);
        let mut closes = false;
        for (n, step) in (1..).zip(&steps) {
            match step {
                Step::Import(rows) => {
                    let mut hosts: BTreeMap<u8, Vec<DetectionSeen>> = BTreeMap::new();
                    for (host, qid, port, kind, severity, status) in rows {
                        let protocol = if *port > 0 { "tcp" } else { "" }.to_owned();
                        let row =
                            DetectionSeen { protocol, severity: Some(*severity), ..seen(*qid, *port, kind, status, n) };
                        hosts.entry(*host).or_default().push(row);
                    }
                    let machines = hosts.into_iter().map(|(host, rows)| machine(host, rows, n)).collect();
                    merge(db, &run, machines, 100 + n);
                }
                Step::Rules(conditions) => {
                    let known = db.read_blocking(exclusion::rules).unwrap();
                    db.write_blocking(move |tx| {
                        known.iter().try_for_each(|row| exclusion::delete(tx, WHO, row.id, row.version, at(1)))
                    })
                    .unwrap();
                    let mut conditions = conditions.clone();
                    conditions.dedup();
                    for (n, text) in conditions.iter().enumerate() {
                        let wanted =
                            Wanted { name: format!("{n}"), active: true, position: 99, condition: (*text).to_owned() };
                        db.write_blocking(move |tx| exclusion::create(tx, WHO, &wanted, at(1))).unwrap();
                    }
                }
                Step::Set(close, confirmed) => {
                    closes = *close;
                    set(db, *close, if *confirmed { std::slice::from_ref(&run.instance) } else { &[] });
                }
                Step::Settle => settle(db),
            }
        }
        let before = db.read_blocking(exclusion::pending).unwrap();
        let marked = stored(db);
        settle(db);
        let policy = db.read_blocking(exclusion::policy).unwrap();
        let rows = stored(db);
        let flips = |to: bool| -> i64 {
            let all = marked
                .iter()
                .zip(&rows)
                .filter(|(a, b)| a.excluded_by.is_some() != b.excluded_by.is_some() && b.excluded_by.is_some() == to);
            i64::try_from(all.count()).unwrap()
        };
        prop_assert_eq!((before.excluded, before.included), (flips(true), flips(false)), "counted before");
        let mut of_items: BTreeMap<i64, Vec<Presence>> = BTreeMap::new();
        for row in &rows {
            prop_assert_eq!(row.excluded_by, judge(&policy, run.instance, row), "{:?}", row);
            if let Some(item) = row.item_id {
                of_items.entry(item).or_default().push(rules::presence(&row.status, row.excluded_by.is_some(), closes));
            }
            let works = weak(row) && row.excluded_by.is_none() && row.status != "fixed";
            prop_assert!(!works || row.item_id.is_some(), "what is open and not excluded is worked on: {:?}", row);
        }
        let states: BTreeMap<i64, String> = db
            .read_blocking(|tx| tx.all::<(i64, String)>("SELECT id, state FROM vulnerable_item", &[]))
            .unwrap()
            .into_iter()
            .collect();
        for (item, presences) in &of_items {
            let open = presences.iter().max() == Some(&Presence::Open);
            prop_assert_eq!(states[item] == "open", open, "item {} {:?}", item, presences);
        }
        for text in CONDITIONS {
            let condition = rules::condition(text).unwrap();
            let one = Policy {
                rules: vec![Rule { id: ExclusionRuleId(1), condition: condition.clone() }],
                ..Policy::default()
            };
            let held = rows.iter().filter(|row| judge(&one, run.instance, row).is_some());
            let (all, open) = held.fold((0, 0), |(all, open), row| (all + 1, open + i64::from(row.status != "fixed")));
            let impact = db.read_blocking(move |tx| exclusion::impact(tx, &condition)).unwrap();
            prop_assert_eq!((impact.detections, impact.open), (all, open), "{}", text);
        }
        Ok(())
    });
    outcome.unwrap();
});
