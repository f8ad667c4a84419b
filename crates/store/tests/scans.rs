//! Rescan requests in the store: claims, guards, verdicts, lists, on both engines.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test stops where something is missing")]

use domain::access::{Actor, AssetScope, Role};
use domain::filter::{Context, parse};
use domain::id::{InstanceId, ItemId, ScanId, UserId};
use domain::rescan::{Child, State};
use domain::time::Timestamp;
use store::detections::{DetectionSeen, Machine};
use store::hosts::HostSeen;
use store::imports::{Cause, Kind, Start};
use store::list::{Query, page};
use store::scans::{self, Judged, NewChild, NewScan, NewTarget, ScanRow};
use store::{Database, Transaction, detections, imports, instances, scanners};
use testkit::both_engines;
use uuid::Uuid;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds)
}

fn actor(role: Role, scope: AssetScope) -> Actor {
    Actor {
        user: UserId(1),
        name: "ada".to_owned(),
        roles: [role].into(),
        groups: ["web".to_owned()].into(),
        scope,
        token_scopes: None,
    }
}

/// Two machines with one weakness each.
fn world(db: &Database) -> InstanceId {
    db.write_blocking(|tx| {
        let instance = instances::for_files(tx, "users/test", "Files", "qualys", at(0))?;
        let start =
            Start { instance, kind: Kind::File, cause: Cause::People, actor: "users/test", source: "hosts.xml" };
        let run = imports::start(tx, start, at(1))?;
        let machine = |key: &str, ip: &str, tag: &str| Machine {
            host: HostSeen {
                host_key: key.to_owned(),
                keyed: true,
                ip: ip.to_owned(),
                last_scan_at: Some(at(0)),
                tags: Some(vec![tag.to_owned()]),
                ..HostSeen::default()
            },
            detections: vec![DetectionSeen {
                qid: 100,
                kind: "confirmed".to_owned(),
                status: "active".to_owned(),
                last_test_at: Some(at(0)),
                ..DetectionSeen::default()
            }],
        };
        detections::merge(tx, &run, &[machine("1", "10.0.0.1", "prod"), machine("2", "10.0.0.2", "lab")], at(2))?;
        Ok(instance)
    })
    .unwrap()
}

/// A request for all items with one launch per item.
fn request(tx: &mut Transaction<'_>, number: i64, items: &[i64]) -> store::Result<ScanId> {
    let rows = scans::candidates(tx, items)?;
    let children: Vec<NewChild> = rows
        .iter()
        .map(|row| NewChild {
            instance: row.instance_id,
            appliance: "External".to_owned(),
            network: String::new(),
            profile_key: "7".to_owned(),
            profile_title: "Full".to_owned(),
            addresses: vec![row.address.clone()],
            request_key: format!("Quell {number} {}", row.address),
            tracking_until: at(86_400),
            targets: vec![NewTarget {
                item: row.item_id,
                source_host: row.source_host_id.expect("it was found on a host"),
                address: row.address.clone(),
            }],
        })
        .collect();
    let new = NewScan {
        number,
        scanner: "qualys".to_owned(),
        source: "vulnerable_item",
        source_key: String::new(),
        profile_choice: String::new(),
        requested_by: UserId(1),
        mail: true,
    };
    scans::create(tx, &new, &children, &[], at(10))
}

both_engines!(candidates_say_everything_that_decides, |db| {
    world(db);
    let rows = db.read_blocking(|tx| scans::candidates(tx, &[1, 2, 99])).unwrap();
    let seen: Vec<(i64, &str, bool, bool, bool)> =
        rows.iter().map(|row| (row.number, row.address.as_str(), row.connected, row.active, row.stamped)).collect();
    assert_eq!(seen, [(1, "10.0.0.1", false, false, false), (2, "10.0.0.2", false, false, false)]);
    db.write_blocking(|tx| scanners::set_active(tx, "users/test", "qualys", true, at(3))).unwrap();
    let rows = db.read_blocking(|tx| scans::candidates(tx, &[1])).unwrap();
    assert!(rows[0].active && !rows[0].stamped, "available after the next import");
});

both_engines!(a_launch_is_claimed_once_and_saved_by_its_holder_only, |db| {
    world(db);
    let scan = db.write_blocking(|tx| request(tx, 1, &[1, 2])).unwrap();
    let claim = |now| db.write_blocking(move |tx| scans::claim(tx, Uuid::new_v4(), now, 60)).unwrap();
    assert!(claim(at(9)).is_none(), "not due yet");
    let first = claim(at(10)).expect("due");
    let second = claim(at(10)).expect("the other one");
    assert_ne!(first.id, second.id);
    assert!(claim(at(69)).is_none(), "both are held");
    assert_eq!((first.name().as_str(), first.addresses().count()), ("VSCAN0000001/1", 1));

    // The first worker dies; another takes over, and the first one's save comes too late.
    let again = claim(at(70)).expect("its claim has ended");
    assert_eq!(again.id, first.id);
    let mut late = first.clone();
    late.state = Child::Error;
    assert!(!db.write_blocking(move |tx| scans::save(tx, &late, None)).unwrap());
    let held = first.clone();
    assert!(!db.write_blocking(move |tx| scans::renew(tx, &held, at(1_000))).unwrap());
    let mut mine = again.clone();
    (mine.state, mine.launching_at, mine.next_at) = (Child::Launching, Some(at(70)), Some(at(70)));
    let saved = mine.clone();
    assert!(db.write_blocking(move |tx| scans::save(tx, &saved, Some(at(130)))).unwrap());
    assert!(claim(at(129)).is_some_and(|other| other.id == second.id), "kept while the scanner is called");

    // A person who cancels takes it from everybody.
    let cancelled = db.write_blocking(move |tx| scans::request_cancel(tx, scan, "cancelled by ada", at(80))).unwrap();
    assert_eq!(cancelled, 2);
    assert!(!db.write_blocking(move |tx| scans::save(tx, &mine, None)).unwrap());
    let children = db.read_blocking(move |tx| scans::children(tx, scan)).unwrap();
    assert!(children.iter().all(|child| child.state == Child::Cancelled && child.claim.is_none()));
    let due: Vec<bool> = children.iter().map(|child| child.next_at.is_some()).collect();
    assert_eq!(due, [true, false], "only what the scanner may know of is stopped there");
});

both_engines!(an_item_is_in_one_open_request, |db| {
    world(db);
    db.write_blocking(|tx| request(tx, 1, &[1])).unwrap();
    let items = [ItemId(1), ItemId(2)];
    let open = |db: &Database| db.read_blocking(move |tx| scans::open_scans(tx, &items)).unwrap();
    assert_eq!(open(db), [(ItemId(1), 1)]);
    db.write_blocking(|tx| scans::set_state(tx, ScanId(1), State::TimedOut, "", Some(at(99)))).unwrap();
    assert_eq!(open(db), []);
    let same_title = db.write_blocking(|tx| {
        tx.execute("UPDATE scan_child SET request_key = 'Quell 2 10.0.0.2'", &[])?;
        request(tx, 2, &[2])
    });
    assert!(same_title.unwrap_err().conflicts_with("scan_child_request"), "a title is never used twice");
});

both_engines!(verdicts_are_kept_counted_and_told_to_the_item, |db| {
    world(db);
    let scan = db.write_blocking(|tx| request(tx, 1, &[1, 2])).unwrap();
    let child = db.read_blocking(move |tx| scans::children(tx, scan)).unwrap().remove(0);
    let id = child.id;
    let pairs = db.read_blocking(move |tx| scans::lookup_pairs(tx, id)).unwrap();
    assert_eq!(pairs, [("1".to_owned(), true, "10.0.0.1".to_owned(), 100)]);
    let seen = db.read_blocking(move |tx| scans::sightings(tx, id)).unwrap();
    assert_eq!((seen.len(), seen[0].status.as_deref(), seen[0].last_test_at), (1, Some("active"), Some(at(0))));
    let judged = vec![Judged {
        target: seen[0].target_id,
        item: seen[0].item_id,
        verdict: "still_present",
        reason: "tested".to_owned(),
    }];
    db.write_blocking(move |tx| scans::judge(tx, 1, &judged, at(20))).unwrap();
    // A verdict stays when the launch ends otherwise later.
    db.write_blocking(move |tx| scans::close_targets(tx, id, "not_tested", "cancelled", at(30))).unwrap();
    let counts = db
        .read_blocking(move |tx| scans::verdict_counts(tx, &[scan], &actor(Role::ReadOnly, AssetScope::All)))
        .unwrap();
    let counts: Vec<(&str, i64)> = counts.iter().map(|row| (row.verdict.as_str(), row.count)).collect();
    assert_eq!(counts, [("", 1), ("still_present", 1)]);
    let history: Vec<(String, String, String)> =
        db.read_blocking(|tx| tx.all("SELECT what, after, cause FROM item_history", &[])).unwrap();
    assert_eq!(history, [("verdict".to_owned(), "still_present".to_owned(), "VSCAN0000001".to_owned())]);
    let all =
        db.read_blocking(move |tx| scans::targets(tx, scan, &actor(Role::ReadOnly, AssetScope::All), 10)).unwrap();
    assert_eq!(all.len(), 2);
    let lab = AssetScope::Tags(["lab".to_owned()].into());
    let clipped =
        db.read_blocking(move |tx| scans::targets(tx, scan, &actor(Role::ReadOnly, lab.clone()), 10)).unwrap();
    assert_eq!(clipped.iter().map(|row| row.address.as_str()).collect::<Vec<_>>(), ["10.0.0.2"]);
});

both_engines!(the_list_is_asked_in_the_query_language_and_clipped_to_the_scope, |db| {
    world(db);
    db.write_blocking(|tx| {
        request(tx, 1, &[1])?;
        request(tx, 2, &[2])?;
        scans::set_state(tx, ScanId(1), State::Error, "refused", Some(at(30)))
    })
    .unwrap();
    let numbers = |text: &str, scope: AssetScope| {
        let query = Query::new(parse(text, &scans::FIELDS).unwrap(), Context::at(at(40)));
        let rows = db.read_blocking(move |tx| {
            page::<ScanRow>(tx, &scans::LIST, scans::clip(&actor(Role::ReadOnly, scope.clone())), &query)
                .map_err(|error| store::Error::failed("could not list", error))
        });
        rows.unwrap().rows.iter().map(|row| row.number().to_string()).collect::<Vec<_>>()
    };
    for (text, expected) in [
        ("", vec!["VSCAN0000001", "VSCAN0000002"]),
        ("is:open", vec!["VSCAN0000002"]),
        ("is:failed", vec!["VSCAN0000001"]),
        ("state:error source:Qualys", vec!["VSCAN0000001"]),
        ("item:2", vec!["VSCAN0000002"]),
        ("qid:100 profile:Full", vec!["VSCAN0000001", "VSCAN0000002"]),
        ("qid:101", vec![]),
        ("verdict:fixed", vec![]),
    ] {
        assert_eq!(numbers(text, AssetScope::All), expected, "{text}");
    }
    assert_eq!(numbers("", AssetScope::Tags(["prod".to_owned()].into())), ["VSCAN0000001"]);
    assert!(numbers("", AssetScope::Tags([].into())).is_empty());
});

// A request about both machines, seen by who may know one of the two items: by scope, or because his group has it.
both_engines!(of_a_request_only_the_items_a_person_may_see_are_told, |db| {
    world(db);
    let scan = db
        .write_blocking(|tx| {
            tx.execute("UPDATE vulnerable_item SET group_name = 'web' WHERE number = 2", &[])?;
            tx.execute("UPDATE vulnerable_item SET group_name = '' WHERE number = 1", &[])?;
            // Another request about the same item: nothing of it belongs to the first.
            request(tx, 2, &[2])?;
            request(tx, 1, &[1, 2])
        })
        .unwrap();
    let lab = || AssetScope::Tags(["lab".to_owned()].into());
    for (who, seen) in [
        (actor(Role::ReadOnly, AssetScope::All), vec!["10.0.0.1", "10.0.0.2"]),
        (actor(Role::ReadOnly, lab()), vec!["10.0.0.2"]),
        (actor(Role::RemediationOwner, AssetScope::All), vec!["10.0.0.2"]),
        (actor(Role::RemediationOwner, lab()), vec!["10.0.0.2"]),
    ] {
        let hidden = seen.len() == 2;
        db.read_blocking(move |tx| {
            let targets = scans::targets(tx, scan, &who, 10)?;
            assert_eq!(targets.iter().map(|row| row.address.as_str()).collect::<Vec<_>>(), seen, "{who:?}");
            let counted: i64 = scans::verdict_counts(tx, &[scan], &who)?.iter().map(|row| row.count).sum();
            assert_eq!(usize::try_from(counted).unwrap(), seen.len(), "{who:?}");
            for (q, found) in [("item:1", hidden), ("asset:10.0.0.1", hidden), ("item:2", true), ("qid:100", true)] {
                let query = Query::new(parse(q, &scans::FIELDS).unwrap(), Context::at(at(40)));
                let rows = page::<ScanRow>(tx, &scans::LIST, scans::clip(&who), &query).unwrap().rows;
                assert_eq!(!rows.is_empty(), found, "{q} by {who:?}");
            }
            Ok(())
        })
        .unwrap();
    }
});
