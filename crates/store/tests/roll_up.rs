//! The same random history through the pure rules and through the store on both engines: the domain is the oracle.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "helpers of tests are tests, too"
)]

use domain::detection::{Presence, Status};
use domain::exception::Kind as Asked;
use domain::id::{InstanceId, ItemId};
use domain::item::{self, Answer, Granted, Sightings, State, Substate, Workflow};
use domain::mitigation::{ControlState, Coverage};
use domain::score::{self, Control, Mitigation, Source};
use domain::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use store::detections::{DetectionSeen, Machine};
use store::hosts::HostSeen;
use store::imports::{Cause, Counters, Kind, Run, Start};
use store::vulnerabilities::VulnerabilitySeen;
use store::{Database, detections, imports, instances, scores, vulnerabilities};
use testkit::both_engines;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds)
}

type ItemState = (String, i64, String, String, i64, u8, Option<Timestamp>, String);

#[derive(Clone, Debug)]
struct Row {
    host: u8,
    qid: i64,
    port: i64,
    info: bool,
    status: &'static str,
    found: i64,
    qds: u8,
}

#[derive(Clone, Debug)]
enum Step {
    Import(Vec<Row>),
    /// A person moves the n-th item.
    Move(usize, State),
    /// Somebody asks for an exception of the n-th item, and it is answered: granted until so many steps later, or for ever.
    Ask(usize, bool, Option<i64>),
    /// Time goes on for the n-th item.
    Time(usize),
    /// A false positive of the n-th item is revoked.
    Revoke(usize),
}

fn row() -> impl Strategy<Value = Row> {
    let status = prop_oneof![
        3 => Just("new"), 3 => Just("active"), 4 => Just("fixed"), 2 => Just("reopened"), 2 => Just("stale"),
        1 => Just("strange")
    ];
    (0u8..2, 100i64..103, 0i64..2, prop::bool::weighted(0.1), status, 0i64..100, 1u8..=100)
        .prop_map(|(host, qid, port, info, status, found, qds)| Row { host, qid, port, info, status, found, qds })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::vec(row(), 1..6).prop_map(Step::Import),
        1 => (0usize..6, prop::sample::select(State::ALL.to_vec())).prop_map(|(n, to)| Step::Move(n, to)),
        2 => (0usize..6, any::<bool>(), prop::option::weighted(0.8, -1i64..8)).prop_map(|(n, fp, until)| Step::Ask(n, fp, until)),
        1 => (0usize..6).prop_map(Step::Time),
        1 => (0usize..6).prop_map(Step::Revoke),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Seen {
    info: bool,
    status: &'static str,
    found: i64,
    qds: u8,
    /// Belongs to the item: it was there, or came as a weakness, once the item was made.
    attached: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Item {
    workflow: Workflow,
    inherent: u8,
    last_found: Option<Timestamp>,
}

/// What the rules say, in plain maps.
#[derive(Default)]
struct Model {
    rows: BTreeMap<(u8, i64, i64), Seen>,
    items: BTreeMap<(u8, i64), Item>,
    order: Vec<(u8, i64)>,
}

impl Model {
    fn import(&mut self, rows: &[Row], now: Timestamp) {
        // What is older than what is known is as good as not reported.
        let newer =
            |row: &&Row| self.rows.get(&(row.host, row.qid, row.port)).is_none_or(|known| row.found >= known.found);
        let rows: Vec<Row> = rows.iter().filter(newer).cloned().collect();
        let rows = rows.as_slice();
        let mut touched = BTreeSet::new();
        let mut last: BTreeMap<(u8, i64, i64), &Row> = BTreeMap::new();
        for row in rows {
            last.insert((row.host, row.qid, row.port), row);
        }
        for (key, row) in last {
            let (info, status) = (row.info, if row.info { "" } else { row.status });
            let before = self.rows.get(&key).cloned();
            let attached = before.as_ref().is_some_and(|before| before.attached);
            let seen = Seen { info, status, found: row.found, qds: row.qds, attached };
            if before.as_ref() != Some(&seen) && attached {
                touched.insert((key.0, key.1));
            }
            self.rows.insert(key, seen);
        }
        let imported: BTreeSet<(u8, i64)> = rows.iter().map(|row| (row.host, row.qid)).collect();
        let mut new: Vec<(u8, i64)> = Vec::new();
        for key in &imported {
            let open = rows.iter().any(|row| {
                (row.host, row.qid) == *key && {
                    let seen = &self.rows[&(row.host, row.qid, row.port)];
                    !seen.info && Status::presence(seen.status) == Presence::Open
                }
            });
            if open && !self.items.contains_key(key) {
                new.push(*key);
                self.order.push(*key);
            }
        }
        // Weaknesses that came in this import, or were known without an item on its hosts, belong to their item.
        for (key, seen) in &mut self.rows {
            let item = (key.0, key.1);
            let reported = rows.iter().any(|row| (row.host, row.qid, row.port) == *key);
            let known = self.items.contains_key(&item) || new.contains(&item);
            if known && !seen.info && !seen.attached && (reported || imported.contains(&item)) {
                seen.attached = true;
                touched.insert(item);
            }
        }
        for key in new {
            let sum = self.sum(key);
            let workflow = Workflow::NEW;
            self.items.insert(key, Item { workflow, inherent: sum.2.unwrap(), last_found: sum.1 });
        }
        for key in touched {
            let sum = self.sum(key);
            let Some(item) = self.items.get_mut(&key) else { continue };
            item.workflow = item::roll_up(item.workflow, Sightings { presence: sum.0, last_found_at: sum.1 }, now);
            item.inherent = sum.2.unwrap_or(item.inherent);
            item.last_found = item.last_found.max(sum.1);
        }
    }

    fn sum(&self, key: (u8, i64)) -> (Presence, Option<Timestamp>, Option<u8>) {
        let mut sum = (Presence::Stale, None, None);
        for (row, seen) in &self.rows {
            if (row.0, row.1) != key || !seen.attached {
                continue;
            }
            let presence = Status::presence(seen.status);
            sum.0 = sum.0.max(presence);
            if presence == Presence::Open {
                sum.1 = sum.1.max(Some(at(seen.found)));
                sum.2 = sum.2.max(Some(seen.qds));
            }
        }
        sum
    }

    fn state(&self) -> Vec<ItemState> {
        let mut rows: Vec<_> = self
            .items
            .iter()
            .map(|((host, qid), item)| {
                (
                    host.to_string(),
                    *qid,
                    item.workflow.state.as_str().to_owned(),
                    item.workflow.substate.as_str().to_owned(),
                    i64::from(item.workflow.reopened),
                    item.inherent,
                    item.last_found,
                    item.workflow.granted.map_or_else(String::new, |granted| {
                        let until = granted.until.map(|until| until.micros().to_string()).unwrap_or_default();
                        format!("{} {until}", granted.what.as_str())
                    }),
                )
            })
            .collect();
        rows.sort();
        rows
    }
}

fn machines(rows: &[Row]) -> Vec<Machine> {
    (0..2)
        .map(|host| Machine {
            host: HostSeen { host_key: host.to_string(), keyed: true, ..HostSeen::default() },
            detections: rows
                .iter()
                .filter(|row| row.host == host)
                .map(|row| DetectionSeen {
                    qid: row.qid,
                    port: row.port,
                    kind: if row.info { "info" } else { "confirmed" }.to_owned(),
                    status: if row.info { "" } else { row.status }.to_owned(),
                    qds: Some(row.qds),
                    last_found_at: Some(at(row.found)),
                    ..DetectionSeen::default()
                })
                .collect(),
        })
        .filter(|machine| !machine.detections.is_empty())
        .collect()
}

fn start(db: &Database) -> Run {
    db.write_blocking(|tx| {
        for table in ["item_history", "score_history", "detection_history", "control", "catalogue_cve"] {
            clear(tx, table)?;
        }
        for table in ["detection", "vulnerable_item", "source_host", "asset", "vulnerability_cve", "vulnerability"] {
            clear(tx, table)?;
        }
        let instance: InstanceId = instances::for_files(tx, "users/test", "Files", "qualys", at(0))?;
        let start = Start { instance, kind: Kind::File, cause: Cause::People, actor: "users/test", source: "" };
        imports::start(tx, start, at(0))
    })
    .unwrap()
}

fn clear(tx: &mut store::Transaction<'_>, table: &str) -> store::Result<()> {
    let sql = match table {
        "item_history" => "DELETE FROM item_history",
        "score_history" => "DELETE FROM score_history",
        "detection_history" => "DELETE FROM detection_history",
        "control" => "DELETE FROM control",
        "catalogue_cve" => "DELETE FROM catalogue_cve",
        "detection" => "DELETE FROM detection",
        "vulnerable_item" => "DELETE FROM vulnerable_item",
        "source_host" => "DELETE FROM source_host",
        "asset" => "DELETE FROM asset",
        "vulnerability_cve" => "DELETE FROM vulnerability_cve",
        "vulnerability" => "DELETE FROM vulnerability",
        other => unreachable!("{other}"),
    };
    tx.execute(sql, &[]).map(|_| ())
}

fn move_item(db: &Database, key: (u8, i64), after: Workflow) {
    db.write_blocking(move |tx| {
        tx.execute(
            "UPDATE vulnerable_item SET state = $3, substate = $4, resolved_at = $5, granted_what = $6,
                 granted_until_at = $7, reopened = $8
             WHERE vulnerability_id = (SELECT id FROM vulnerability WHERE qid = $2)
               AND asset_id = (SELECT asset_id FROM source_host WHERE host_key = $1)",
            &[
                &key.0.to_string(),
                &key.1,
                &after.state,
                &after.substate,
                &after.resolved_at,
                &after.granted.map_or(Substate::None, |granted| granted.what),
                &after.granted.and_then(|granted| granted.until),
                &i64::from(after.reopened),
            ],
        )
    })
    .unwrap();
}

fn stored(db: &Database) -> Vec<ItemState> {
    let mut rows: Vec<ItemState> = db
        .read_blocking(|tx| {
            tx.all(
                "SELECT h.host_key, v.qid, i.state, i.substate, i.reopened, i.inherent, i.last_found_at,
                     CASE WHEN i.granted_what = '' THEN ''
                          ELSE i.granted_what || ' ' || coalesce(CAST(i.granted_until_at AS TEXT), '') END AS granted
                 FROM vulnerable_item i JOIN vulnerability v ON v.id = i.vulnerability_id
                 JOIN source_host h ON h.asset_id = i.asset_id",
                &[],
            )
        })
        .unwrap();
    rows.sort();
    rows
}

/// What a step that is no import does to an item; none where it does nothing.
fn moved(step: &Step, item: Workflow, seen: Sightings, now: i64) -> Option<Workflow> {
    match step {
        Step::Import(_) => None,
        Step::Move(_, to) => item::change_state(item, *to, at(50)).ok(),
        Step::Ask(_, false_positive, until) => {
            let (kind, what) = match false_positive {
                true => (Asked::FalsePositive, Substate::FalsePositive),
                false => (Asked::Deferral, Substate::RiskAccepted),
            };
            let asked = item::ask(item, kind).ok()?;
            let until = until.map(|steps| at(now + steps));
            item::answered(asked, Answer::Granted(Granted { what, until }))
        }
        Step::Time(_) => item::time_over(item, seen, at(now)),
        Step::Revoke(_) => item::revoked(item, seen, at(now)),
    }
}

both_engines!(items_follow_their_detections_exactly_as_the_domain_says, |db| {
    let mut runner = TestRunner::new(Config { cases: 120, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&prop::collection::vec(step(), 1..12), |steps| {
        let run = start(db);
        let mut model = Model::default();
        for (n, step) in steps.iter().enumerate() {
            match step {
                Step::Import(rows) => {
                    let now = at(1_000 + n as i64);
                    model.import(rows, now);
                    let (run, machines) = (run.clone(), machines(rows));
                    db.write_bulk_blocking(move |tx| detections::merge(tx, &run, &machines, now)).unwrap();
                }
                Step::Move(which, _) | Step::Ask(which, ..) | Step::Time(which) | Step::Revoke(which) => {
                    let Some(key) = model.order.get(*which).copied() else { continue };
                    let sum = model.sum(key);
                    let item = model.items.get_mut(&key).unwrap();
                    let seen = Sightings { presence: sum.0, last_found_at: sum.1 };
                    if let Some(after) = moved(step, item.workflow, seen, 1_000 + n as i64) {
                        item.workflow = after;
                        move_item(db, key, after);
                    }
                }
            }
            prop_assert_eq!(stored(db), model.state(), "after step {}", n);
        }
        Ok(())
    });
    outcome.unwrap();
});

#[derive(Clone, Debug)]
struct Scene {
    qds: u8,
    qvs: Vec<Option<u8>>,
    /// Entry, CVE (or the scanner's number for 0), points, coverage, state.
    controls: Vec<(u8, usize, u8, Coverage, ControlState)>,
}

fn scene() -> impl Strategy<Value = Scene> {
    let coverage = prop::sample::select(vec![Coverage::Full, Coverage::Substantial, Coverage::Partial]);
    let state = prop::sample::select(vec![
        ControlState::Effective,
        ControlState::Effective,
        ControlState::Configured,
        ControlState::Drifted,
        ControlState::Unknown,
        ControlState::Exposed,
    ]);
    (
        1u8..=100,
        prop::collection::vec(prop::option::of(1u8..=100), 0..4),
        prop::collection::vec((0u8..3, 0usize..4, 0u8..=100, coverage, state), 0..6),
    )
        .prop_map(|(qds, qvs, controls)| {
            // One state per entry on an asset, one line per entry and CVE.
            let mut states: BTreeMap<u8, ControlState> = BTreeMap::new();
            let mut lines: BTreeSet<(u8, usize)> = BTreeSet::new();
            let controls = controls
                .into_iter()
                .filter(|(entry, cve, ..)| lines.insert((*entry, *cve)))
                .map(|(entry, cve, points, coverage, state)| {
                    (entry, cve, points, coverage, *states.entry(entry).or_insert(state))
                })
                .collect();
            Scene { qds, qvs, controls }
        })
}

fn cve(n: usize) -> String {
    format!("CVE-2024-{n}")
}

/// The scanner's number that an entry without a CVE names: the third one means another vulnerability.
fn number_named(entry: u8) -> i64 {
    if entry == 2 { 101 } else { 100 }
}

/// The oracle: the domain's own functions on the scene.
fn expected(scene: &Scene) -> (u8, Mitigation) {
    let cves: Vec<(String, Option<u8>)> = scene.qvs.iter().enumerate().map(|(n, qvs)| (cve(n + 1), *qvs)).collect();
    let units = score::units(scene.qds, Source::Qds, &cves);
    let controls: Vec<Control> = scene
        .controls
        .iter()
        .filter(|(entry, n, ..)| *n > 0 || number_named(*entry) == 100)
        .map(|(entry, n, points, coverage, state)| Control {
            entry: format!("e{entry}"),
            cve: (*n > 0).then(|| cve(*n)),
            coverage: *coverage,
            points: *points,
            state: *state,
        })
        .collect();
    let after = score::assess(&units, &controls);
    (after.residual, after.mitigation)
}

fn put_controls(tx: &mut store::Transaction<'_>, scene: &Scene) -> store::Result<()> {
    for (entry, n, points, coverage, state) in &scene.controls {
        let named = number_named(*entry);
        let (entry, body) = (format!("e{entry}"), vec![0_u8]);
        tx.execute(
            "INSERT INTO catalogue_entry (entry, revision, digest, title, platform, implication, risk, reversible,
                 needs, body, current)
             VALUES ($1, 1, $1, $1, 'linux', 'mitigation', 'low', true, '', $2, true) ON CONFLICT (digest) DO NOTHING",
            &[&entry, &body],
        )?;
        let (name, qid) = if *n == 0 { (String::new(), named) } else { (cve(*n), 0) };
        tx.execute(
            "INSERT INTO catalogue_cve (entry_key, cve, qid, coverage, points)
             SELECT id, $2, $3, $4, $5 FROM catalogue_entry WHERE entry = $1",
            &[&entry, &name, &qid, coverage, &i64::from(*points)],
        )?;
        tx.execute(
            "INSERT INTO control (asset_id, entry, entry_key, state, origin, since_at, checked_at)
             SELECT (SELECT min(id) FROM asset), entry, id, $2, 'ours', 0, 0 FROM catalogue_entry WHERE entry = $1
             ON CONFLICT (asset_id, entry) DO UPDATE SET state = excluded.state",
            &[&entry, state],
        )?;
    }
    Ok(())
}

both_engines!(residuals_are_exactly_what_the_domain_says, |db| {
    let mut runner = TestRunner::new(Config { cases: 120, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&scene(), |scene| {
        let run = start(db);
        let wanted = expected(&scene);
        let found: (u8, Mitigation) = db
            .write_blocking(move |tx| {
                let cves = scene.qvs.iter().enumerate().map(|(n, qvs)| (cve(n + 1), *qvs)).collect();
                let entry = VulnerabilitySeen { qid: 100, cves, ..VulnerabilitySeen::default() };
                vulnerabilities::merge(tx, &run, &[entry], &mut Counters::default())?;
                let row = Row { host: 0, qid: 100, port: 0, info: false, status: "active", found: 1, qds: scene.qds };
                let merged = detections::merge(tx, &run, &machines(&[row]), at(1))?;
                put_controls(tx, &scene)?;
                let items: Vec<ItemId> = merged.items.clone();
                scores::recompute(tx, &items, "test", at(2))?;
                assert!(scores::recompute(tx, &items, "again", at(3))?.is_empty());
                tx.one("SELECT residual, mitigation FROM vulnerable_item", &[])
            })
            .unwrap();
        prop_assert_eq!(found, wanted);
        Ok(())
    });
    outcome.unwrap();
});
