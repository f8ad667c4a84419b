//! Which machine is which: matching against the pure rules, placeholders, joining and taking back, and reports that come late.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "helpers of tests are tests, too"
)]

use domain::id::{AssetId, AssetMergeId, InstanceId};
use domain::identity::{Host, Known, Place, Rule, place};
use domain::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use store::detections::{DetectionSeen, Machine};
use store::hosts::HostSeen;
use store::identity::merge::{self, Move, Undo};
use store::imports::{Cause, Kind, Run, Start};
use store::{Database, assets, detections, identity, imports, instances};
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

fn seen(key: &str, ip: &str) -> HostSeen {
    HostSeen {
        host_key: key.to_owned(),
        keyed: true,
        ip: ip.to_owned(),
        last_scan_at: Some(at(0)),
        ..HostSeen::default()
    }
}

fn named(key: &str, ip: &str, fqdn: &str) -> HostSeen {
    HostSeen { fqdn: fqdn.to_owned(), dns: fqdn.to_owned(), os: "Ubuntu".to_owned(), ..seen(key, ip) }
}

fn row(qid: i64, port: i64, status: &str, found: i64) -> DetectionSeen {
    DetectionSeen {
        qid,
        port,
        kind: "confirmed".to_owned(),
        severity: Some(4),
        status: status.to_owned(),
        qds: Some(u8::try_from(40 + qid % 50).unwrap()),
        last_found_at: Some(at(found)),
        ..DetectionSeen::default()
    }
}

fn merge(db: &Database, run: &Run, machines: Vec<(HostSeen, Vec<DetectionSeen>)>, now: i64) -> detections::Merged {
    let run = run.clone();
    let machines: Vec<Machine> = machines.into_iter().map(|(host, detections)| Machine { host, detections }).collect();
    db.write_bulk_blocking(move |tx| detections::merge(tx, &run, &machines, at(now))).unwrap()
}

fn hosts(db: &Database) -> Vec<(String, AssetId, String)> {
    db.read_blocking(|tx| tx.all("SELECT host_key, asset_id, matched_by FROM source_host ORDER BY id", &[])).unwrap()
}

both_engines!(dns_names_and_inventory_ids_are_rules_of_their_own_and_the_order_is_set, |db| {
    let (one, two) = (start(db, "One"), start(db, "Two"));
    let dns = |key: &str, name: &str| HostSeen { dns: name.to_owned(), ..seen(key, "") };
    let inventory = |key: &str, id: &str| HostSeen { asset_key: Some(id.to_owned()), ..seen(key, "") };
    merge(
        db,
        &one,
        vec![
            (dns("1", "h1"), Vec::new()),
            (inventory("2", "9"), Vec::new()),
            (named("3", "10.0.0.3", "c.example"), Vec::new()),
            (named("4", "10.0.0.4", "d.example"), Vec::new()),
        ],
        1,
    );
    let listed = HostSeen { keyed: false, ..inventory("asset 9", "9") };
    merge(db, &one, vec![(listed, Vec::new())], 2);
    merge(db, &two, vec![(dns("11", "h1"), Vec::new()), (inventory("12", "9"), Vec::new())], 3);
    let by: BTreeMap<String, (i64, String)> =
        hosts(db).into_iter().map(|(key, asset, by)| (key, (asset.0, by))).collect();
    let is = |key: &str, like: &str, rule: &str| assert_eq!(by[key], (by[like].0, rule.to_owned()), "{key} {by:?}");
    is("11", "1", "dns");
    is("asset 9", "2", "asset_id");
    is("12", "12", "new");

    // The address before the name: the same host goes elsewhere.
    let order = vec![Rule::AgentUuid, Rule::Ip, Rule::Fqdn];
    db.write_blocking(move |tx| identity::set_rules(tx, WHO, &order, Some(0), at(4))).unwrap();
    let again = db.write_blocking(move |tx| identity::set_rules(tx, WHO, &[Rule::AgentUuid], Some(0), at(4)));
    assert!(matches!(again, Err(store::Error::Conflict(_))), "{again:?}");
    merge(db, &two, vec![(named("13", "10.0.0.4", "c.example"), Vec::new()), (dns("14", "h1"), Vec::new())], 5);
    let by: BTreeMap<String, (i64, String)> =
        hosts(db).into_iter().map(|(key, asset, by)| (key, (asset.0, by))).collect();
    assert_eq!(by["13"], (by["4"].0, "ip".to_owned()));
    assert_eq!(by["14"].1, "new", "a rule that is off finds nothing");
});

both_engines!(an_address_alone_makes_a_placeholder_until_more_is_known, |db| {
    let run = start(db, "One");
    merge(db, &run, vec![(seen("1", "10.0.0.1"), Vec::new()), (named("2", "10.0.0.2", "b.example"), Vec::new())], 1);
    let placeholders = |db: &Database| -> Vec<bool> {
        let rows: Vec<(bool,)> =
            db.read_blocking(|tx| tx.all("SELECT placeholder FROM asset ORDER BY id", &[])).unwrap();
        rows.into_iter().map(|(is,)| is).collect()
    };
    assert_eq!(placeholders(db), [true, false]);
    merge(
        db,
        &run,
        vec![(HostSeen { last_scan_at: Some(at(2)), ..named("1", "10.0.0.1", "a.example") }, Vec::new())],
        3,
    );
    assert_eq!(placeholders(db), [false, false]);
    // A report that knows less takes nothing away.
    merge(db, &run, vec![(HostSeen { last_scan_at: Some(at(4)), ..seen("1", "10.0.0.1") }, Vec::new())], 5);
    assert_eq!(placeholders(db), [false, false]);
    let name: String = db.read_blocking(|tx| tx.scalar("SELECT name FROM asset ORDER BY id", &[])).unwrap();
    assert_eq!(name, "a.example");
});

fn clear(db: &Database) {
    db.write_blocking(|tx| {
        for sql in [
            "DELETE FROM asset_merge",
            "DELETE FROM exception_item",
            "DELETE FROM item_history",
            "DELETE FROM score_history",
            "DELETE FROM detection_history",
            "DELETE FROM detection",
            "DELETE FROM vulnerable_item",
            "DELETE FROM source_host_tag",
            "DELETE FROM asset_tag",
            "DELETE FROM source_host",
            "DELETE FROM asset",
            "DELETE FROM setting WHERE key = 'identity'",
        ] {
            tx.execute(sql, &[])?;
        }
        Ok(())
    })
    .unwrap();
}

/// A host without its key: instance, keyed, UUID, inventory id, FQDN, NetBIOS name, DNS name, address, network.
type Facts = (
    bool,
    bool,
    Option<&'static str>,
    Option<&'static str>,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

fn facts() -> impl Strategy<Value = Facts> {
    let word = |words: &'static [&'static str]| prop::sample::select(words);
    (
        any::<bool>(),
        prop::bool::weighted(0.7),
        prop::option::weighted(0.3, word(&["u1", "u2"])),
        prop::option::weighted(0.3, word(&["8", "9"])),
        word(&["", "a.x", "b.x"]),
        word(&["", "A"]),
        word(&["", "d"]),
        word(&["", "10.0.0.1", "10.0.0.2"]),
        word(&["", "", "7"]),
    )
}

both_engines!(hosts_find_their_assets_exactly_as_the_domain_says, |db| {
    let runs = [start(db, "One"), start(db, "Two")];
    let rules = Just(Rule::ALL[1..].to_vec()).prop_shuffle();
    let scene = (rules, 0usize..6, prop::collection::vec(prop::collection::vec(facts(), 1..6), 1..5));
    let mut runner = TestRunner::new(Config { cases: 50, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&scene, |(others, count, portions)| {
        clear(db);
        let rules: Vec<Rule> = std::iter::once(Rule::AgentUuid).chain(others.into_iter().take(count)).collect();
        let set = rules.clone();
        db.write_blocking(move |tx| identity::set_rules(tx, WHO, &set, None, at(0))).unwrap();
        let (mut known, mut key) = (Known::default(), 0);
        for portion in portions {
            // One instance at a time, as imports come.
            let (first, portion) = (portion[0].0, portion);
            let run = &runs[usize::from(first)];
            let given: Vec<HostSeen> = portion
                .iter()
                .map(|(_, keyed, uuid, id, fqdn, netbios, dns, ip, network)| {
                    key += 1;
                    HostSeen {
                        host_key: key.to_string(),
                        keyed: *keyed,
                        agent_uuid: uuid.map(str::to_owned),
                        asset_key: id.map(str::to_owned),
                        fqdn: (*fqdn).to_owned(),
                        netbios: (*netbios).to_owned(),
                        dns: (*dns).to_owned(),
                        ip: (*ip).to_owned(),
                        network_id: (*network).to_owned(),
                        ..HostSeen::default()
                    }
                })
                .collect();
            let hosts_of: Vec<Host> = given
                .iter()
                .map(|host| Host {
                    instance: run.instance,
                    keyed: host.keyed,
                    agent_uuid: host.agent_uuid.clone(),
                    asset_key: host.asset_key.clone(),
                    fqdn: host.fqdn.clone(),
                    netbios: host.netbios.clone(),
                    dns: host.dns.clone(),
                    ip: host.ip.clone(),
                    network: host.network_id.clone(),
                })
                .collect();
            let wanted = place(&rules, &known, &hosts_of);
            merge(db, run, given.iter().map(|host| (host.clone(), Vec::new())).collect(), 10);
            let stored: BTreeMap<String, (AssetId, String)> =
                hosts(db).into_iter().map(|(key, asset, by)| (key, (asset, by))).collect();
            let before: std::collections::BTreeSet<AssetId> = known.hosts.iter().map(|(asset, _)| *asset).collect();
            let mut new: BTreeMap<usize, AssetId> = BTreeMap::new();
            for ((host, of), wanted) in given.iter().zip(hosts_of).zip(wanted) {
                let (asset, by) = &stored[&host.host_key];
                match wanted {
                    Place::Found(there, rule) => prop_assert_eq!((*asset, by.as_str()), (there, rule.as_str())),
                    Place::New(n) => {
                        prop_assert_eq!(by.as_str(), "new");
                        prop_assert!(!before.contains(asset), "a new one is new");
                        prop_assert_eq!(*new.entry(n).or_insert(*asset), *asset);
                    }
                }
                known.hosts.push((*asset, of));
            }
            let made: std::collections::BTreeSet<AssetId> = new.values().copied().collect();
            prop_assert_eq!(made.len(), new.len(), "two new ones are two");
        }
        Ok(())
    });
    outcome.unwrap();
});

type AssetLine = (i64, String, String, bool, Option<i64>, String, i64);
type ItemLine = (i64, i64, String, String, i64, i64, Option<i64>, String);

/// Everything that a movement touches, as text.
fn picture(db: &Database) -> Vec<String> {
    db.read_blocking(|tx| {
        let mut lines: Vec<String> = Vec::new();
        let assets: Vec<AssetLine> =
            tx.all("SELECT id, name, fqdn, placeholder, merged_into, os, criticality FROM asset ORDER BY id", &[])?;
        lines.extend(assets.into_iter().map(|row| format!("asset {row:?}")));
        let hosts: Vec<(String, i64, String)> =
            tx.all("SELECT host_key, asset_id, matched_by FROM source_host ORDER BY id", &[])?;
        lines.extend(hosts.into_iter().map(|row| format!("host {row:?}")));
        let items: Vec<ItemLine> = tx.all(
            "SELECT number, asset_id, state, substate, reopened, inherent, granted_until_at, granted_what
             FROM vulnerable_item ORDER BY number",
            &[],
        )?;
        lines.extend(items.into_iter().map(|row| format!("item {row:?}")));
        let detections: Vec<(i64, Option<i64>)> = tx.all(
            "SELECT d.id, i.number FROM detection d LEFT JOIN vulnerable_item i ON i.id = d.item_id ORDER BY d.id",
            &[],
        )?;
        lines.extend(detections.into_iter().map(|row| format!("detection {row:?}")));
        let tags: Vec<(i64, String, i64)> =
            tx.all("SELECT asset_id, tag, origin FROM asset_tag ORDER BY 1, 2, 3", &[])?;
        lines.extend(tags.into_iter().map(|row| format!("tag {row:?}")));
        let requests: Vec<(i64, i64)> = tx.all("SELECT request_id, item_id FROM exception_item ORDER BY 1, 2", &[])?;
        lines.extend(requests.into_iter().map(|row| format!("request {row:?}")));
        Ok(lines)
    })
    .unwrap()
}

fn count(db: &Database, sql: &'static str) -> i64 {
    db.read_blocking(move |tx| tx.scalar(sql, &[])).unwrap()
}

/// What has to hold whatever was moved.
fn sound(db: &Database) {
    let elsewhere = "SELECT count(*) FROM detection d JOIN source_host h ON h.id = d.source_host_id
         JOIN vulnerable_item i ON i.id = d.item_id
         WHERE i.asset_id <> h.asset_id OR i.vulnerability_id <> d.vulnerability_id OR i.instance_id <> d.instance_id";
    assert_eq!(count(db, elsewhere), 0, "an item is where its detections are");
    let twice =
        "SELECT count(*) FROM (SELECT 1 AS one FROM vulnerable_item GROUP BY vulnerability_id, asset_id, instance_id
         HAVING count(*) > 1) AS doubled";
    assert_eq!(count(db, twice), 0, "one item of a weakness on an asset");
    let open_alone = "SELECT count(*) FROM vulnerable_item i WHERE i.state <> 'closed'
         AND NOT EXISTS (SELECT 1 FROM detection d WHERE d.item_id = i.id)";
    assert_eq!(count(db, open_alone), 0, "nothing is open without a detection");
    let unworked = "SELECT count(*) FROM detection d LEFT JOIN vulnerable_item i ON i.id = d.item_id
         WHERE d.status NOT IN ('fixed', 'stale') AND (i.id IS NULL OR i.state = 'closed' AND i.granted_what = '')";
    assert_eq!(count(db, unworked), 0, "what is open is worked on");
}

both_engines!(joining_loses_nothing_and_taking_it_back_is_as_if_it_had_not_been, |db| {
    let runs = [start(db, "One"), start(db, "Two")];
    db.write_blocking(|tx| {
        tx.execute(
            "INSERT INTO exception_request (number, kind, what, note, until_at, state, requested_by, requested_at, answer_by_at,
                 answer, version)
             VALUES (1, 'deferral', 'other', '', $1, 'approved', 1, $2, $2, '', 1)",
            &[&at(90_000), &at(0)],
        )
    })
    .unwrap();
    // Host, QID, port, gone.
    let rows = prop::collection::vec((0usize..3, 100i64..104, 0i64..2, prop::bool::weighted(0.3)), 1..16);
    // Which items are deferred, which host of the first asset goes alone first, whether everything is reported again between.
    let scene = (rows, prop::collection::vec(any::<bool>(), 8), any::<bool>(), any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&scene, |(rows, deferred, alone, again)| {
        clear(db);
        // Hosts a and b are one asset by their agent, host c is another one; a and c are of one instance.
        let of = |host: usize| -> HostSeen {
            let uuid = (host < 2).then(|| "u1".to_owned());
            let tags = Some(vec![format!("tag{host}")]);
            HostSeen {
                agent_uuid: uuid,
                tags,
                ..named(&format!("h{host}"), &format!("10.0.0.{host}"), &format!("h{host}.x"))
            }
        };
        let report = |instance: usize, hosts: &[usize], found: i64| {
            let machines = hosts.iter().map(|host| {
                let mine = rows.iter().filter(|row| row.0 == *host);
                (
                    of(*host),
                    mine.map(|(_, qid, port, gone)| row(*qid, *port, if *gone { "fixed" } else { "active" }, found))
                        .collect(),
                )
            });
            merge(db, &runs[instance], machines.collect(), 10 + found);
        };
        // Everything is seen open first, so that fixed ones have items, too.
        let first = |instance: usize, hosts: &[usize]| {
            let machines = hosts.iter().map(|host| {
                let mine = rows.iter().filter(|row| row.0 == *host);
                (of(*host), mine.map(|(_, qid, port, _)| row(*qid, *port, "new", 0)).collect())
            });
            merge(db, &runs[instance], machines.collect(), 5);
        };
        first(0, &[0, 2]);
        first(1, &[1]);
        report(0, &[0, 2], 1);
        report(1, &[1], 1);
        let keys: BTreeMap<String, AssetId> = hosts(db).into_iter().map(|(key, asset, _)| (key, asset)).collect();
        let (pair, single) = (keys["h0"], keys["h2"]);
        prop_assert_eq!(pair, keys["h1"]);
        prop_assert_ne!(pair, single);
        db.write_blocking(move |tx| {
            assets::edit(tx, WHO, single, None, Some(&["own".to_owned(), "both".to_owned()]), at(20))?;
            assets::edit(tx, WHO, pair, None, Some(&["both".to_owned()]), at(20))?;
            let open: Vec<(i64,)> = tx.all("SELECT id FROM vulnerable_item WHERE state = 'open' ORDER BY id", &[])?;
            for ((id,), yes) in open.into_iter().zip(&deferred) {
                if *yes {
                    tx.execute(
                        "UPDATE vulnerable_item SET state = 'deferred', substate = 'other', granted_what = 'other',
                             granted_until_at = $2 WHERE id = $1",
                        &[&id, &at(90_000)],
                    )?;
                    tx.execute(
                        "INSERT INTO exception_item (request_id, item_id, before_state, outcome)
                         SELECT id, $1, 'open', 'done' FROM exception_request",
                        &[&id],
                    )?;
                }
            }
            Ok(())
        })
        .unwrap();
        sound(db);
        let before = picture(db);
        let detections = count(db, "SELECT count(*) FROM detection");
        let whole = !alone;
        let moved: AssetMergeId = db
            .write_blocking(move |tx| {
                let all = merge::hosts(tx, if whole { single } else { pair })?;
                let (from, into) = if whole { (single, pair) } else { (pair, single) };
                let going = if whole { all } else { all[1..].to_vec() };
                let preview = merge::preview(tx, from, Some(into), &going, whole)?;
                assert_eq!(preview.hosts.len(), 1);
                merge::carry_out(tx, WHO, &Move { from, into, hosts: &going, whole }, at(30))
            })
            .unwrap();
        sound(db);
        prop_assert_eq!(count(db, "SELECT count(*) FROM detection"), detections);
        if whole {
            let left = db.read_blocking(move |tx| merge::gone_to(tx, single)).unwrap();
            prop_assert_eq!(left, Some(pair));
            let tags = db.read_blocking(move |tx| assets::tags(tx, &[pair])).unwrap()[&pair].clone();
            prop_assert_eq!(tags, ["both", "own", "tag0", "tag1", "tag2"]);
        }
        if again {
            // The same reports once more change nothing of it.
            report(0, &[0, 2], 1);
            report(1, &[1], 1);
            sound(db);
        }
        db.write_blocking(move |tx| {
            let row = merge::one(tx, moved)?;
            merge::undo(tx, WHO, &row, at(40)).map_err(|error| match error {
                Undo::Store(error) => error,
                Undo::Refused(refusal) => panic!("{refusal:?}"),
            })
        })
        .unwrap();
        sound(db);
        let after: Vec<String> =
            picture(db).into_iter().filter(|line| !line.contains("\"moved\"") || before.contains(line)).collect();
        prop_assert_eq!(&after, &before);
        Ok(())
    });
    outcome.unwrap();
});

both_engines!(a_movement_is_not_taken_back_twice_late_or_over_a_decision, |db| {
    let run = start(db, "One");
    merge(
        db,
        &run,
        vec![
            (named("1", "10.0.0.1", "a.x"), vec![row(100, 0, "active", 0)]),
            (named("2", "10.0.0.2", "b.x"), vec![row(100, 0, "active", 0)]),
        ],
        1,
    );
    let keys: Vec<AssetId> = hosts(db).into_iter().map(|(_, asset, _)| asset).collect();
    let (from, into) = (keys[1], keys[0]);
    let join = |now: i64| -> AssetMergeId {
        db.write_blocking(move |tx| {
            let hosts = merge::hosts(tx, from)?;
            merge::carry_out(tx, WHO, &Move { from, into, hosts: &hosts, whole: true }, at(now))
        })
        .unwrap()
    };
    let undo = |id: AssetMergeId, now: i64| -> Result<(), &'static str> {
        let done: Result<(), Undo> = db
            .write_blocking(move |tx| {
                let row = merge::one(tx, id)?;
                Ok(merge::undo(tx, WHO, &row, at(now)))
            })
            .unwrap();
        match done {
            Ok(()) => Ok(()),
            Err(Undo::Refused(refusal)) => Err(refusal.code),
            Err(Undo::Store(error)) => panic!("{error:?}"),
        }
    };
    let first = join(10);
    assert_eq!(count(db, "SELECT count(*) FROM vulnerable_item WHERE substate = 'moved'"), 1);
    assert_eq!(count(db, "SELECT count(*) FROM item_history WHERE what = 'asset'"), 2);
    assert_eq!(count(db, "SELECT count(*) FROM audit_entry WHERE action = 'asset.merge'"), 1);
    assert_eq!(undo(first, 11), Ok(()));
    assert_eq!(undo(first, 12), Err("undone"));
    let second = join(20);
    assert_eq!(undo(second, 20 + 30 * 86_400), Err("too_late"));
    assert_eq!(undo(second, 21), Ok(()));
    let third = join(30);
    db.write_blocking(|tx| {
        let items = store::items::numbered(tx, &[1])?;
        store::items::set_state(tx, WHO, &items[0], domain::item::State::UnderInvestigation, at(31)).map_err(|error| {
            match error {
                store::items::ChangeError::Store(error) => error,
                store::items::ChangeError::Refused(refusal) => panic!("{refusal:?}"),
            }
        })
    })
    .unwrap();
    assert_eq!(undo(third, 32), Err("decided_since"));
    // What the scanner finds on the host afterwards belongs to the asset it was given to.
    merge(
        db,
        &run,
        vec![(
            HostSeen { last_scan_at: Some(at(40)), ..named("2", "10.0.0.2", "b.x") },
            vec![row(101, 0, "active", 40)],
        )],
        41,
    );
    sound(db);
    assert_eq!(count(db, "SELECT count(*) FROM vulnerable_item WHERE asset_id = (SELECT min(id) FROM asset)"), 2);
});

both_engines!(a_host_goes_to_an_asset_of_its_own, |db| {
    let run = start(db, "One");
    let shared = |key: &str, n: i64| {
        let host = HostSeen { agent_uuid: None, ..named(key, &format!("10.0.0.{n}"), &format!("h{n}.x")) };
        (HostSeen { keyed: n == 1, fqdn: "same.x".to_owned(), ..host }, vec![row(100, n, "active", 0)])
    };
    merge(db, &run, vec![shared("1", 1)], 1);
    merge(db, &run, vec![shared("2", 2)], 2);
    let keys: Vec<AssetId> = hosts(db).into_iter().map(|(_, asset, _)| asset).collect();
    assert_eq!(keys[0], keys[1]);
    let asset = keys[0];
    let made = db.write_blocking(move |tx| {
        let hosts = merge::hosts(tx, asset)?;
        let into = merge::apart(tx, hosts[1], at(3))?;
        merge::carry_out(tx, WHO, &Move { from: asset, into, hosts: &hosts[1..], whole: false }, at(3))?;
        Ok(into)
    });
    let made = made.unwrap();
    sound(db);
    let keys: Vec<(AssetId, String)> = hosts(db).into_iter().map(|(_, asset, by)| (asset, by)).collect();
    assert_eq!(keys[1], (made, "person".to_owned()));
    assert_eq!(count(db, "SELECT count(*) FROM vulnerable_item WHERE state = 'open'"), 2);
});

/// A report of one row at a time: found when, and what.
fn reports() -> impl Strategy<Value = Vec<(i64, &'static str)>> {
    let status = prop::sample::select(vec!["new", "active", "fixed", "reopened"]);
    prop::collection::vec(status, 1..8).prop_map(|all| (1..).zip(all).collect())
}

// Whatever order reports come in, what was found last counts: a host's row, a detection's, and whether its item is open.
both_engines!(reports_that_come_late_undo_nothing, |db| {
    let run = start(db, "One");
    let shuffled = reports().prop_flat_map(|sorted| (Just(sorted.clone()), Just(sorted).prop_shuffle()));
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&shuffled, |(sorted, shuffled)| {
        let play = |reports: &[(i64, &'static str)]| -> Vec<String> {
            clear(db);
            // It has an item before the first of them.
            let host = |found: i64| HostSeen {
                os: format!("Ubuntu {found}"),
                last_scan_at: Some(at(found)),
                last_processed_at: Some(at(found)),
                ..named("1", "10.0.0.1", "a.x")
            };
            let told = |found: i64, status: &str| {
                let times = Some(at(found));
                DetectionSeen {
                    last_test_at: times,
                    last_processed_at: times,
                    results: found.to_string(),
                    ..row(100, 0, status, found)
                }
            };
            merge(db, &run, vec![(host(0), vec![told(0, "new")])], 1_000);
            for (found, status) in reports {
                merge(db, &run, vec![(host(*found), vec![told(*found, status)])], 1_000 + found);
            }
            db.read_blocking(|tx| {
                let rows: Vec<(String, String, Option<i64>, String, String, String)> = tx.all(
                    "SELECT d.status, d.results, d.last_processed_at, h.os, a.os AS system, i.state FROM detection d
                     JOIN source_host h ON h.id = d.source_host_id JOIN asset a ON a.id = h.asset_id
                     JOIN vulnerable_item i ON i.id = d.item_id",
                    &[],
                )?;
                Ok(rows.into_iter().map(|row| format!("{row:?}")).collect())
            })
            .unwrap()
        };
        let (right, late) = (play(&sorted), play(&shuffled));
        prop_assert_eq!(right.len(), 1);
        prop_assert_eq!(late, right);
        Ok(())
    });
    outcome.unwrap();
});
