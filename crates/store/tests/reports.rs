//! What a report may change of what is known: nothing that is newer, and no tags that it does not tell of.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

use domain::id::InstanceId;
use domain::import::Cadence;
use domain::time::Timestamp;
use store::detections::{DetectionSeen, Machine};
use store::hosts::HostSeen;
use store::imports::{Cause, Counters, Kind, Run, Start};
use store::instances::Settings;
use store::migrate::{MIGRATIONS, apply};
use store::{Database, detections, imports, instances, integrations, scanners};
use testkit::both_engines;
use testkit::database::TestDatabase;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds)
}

/// When everything here is merged.
const NOW: i64 = 100_000;

fn start(db: &Database) -> Run {
    db.write_blocking(|tx| {
        let instance = instances::for_files(tx, "users/test", "Files", "qualys", at(0))?;
        let start = Start { instance, kind: Kind::File, cause: Cause::People, actor: "users/test", source: "" };
        imports::start(tx, start, at(0))
    })
    .unwrap()
}

/// A host with one detection, both as of `at`.
fn report(key: &str, status: &str, seconds: i64) -> Machine {
    Machine {
        host: HostSeen {
            host_key: key.to_owned(),
            keyed: true,
            ip: format!("10.0.0.{key}"),
            os: format!("Ubuntu as of {seconds}"),
            last_scan_at: Some(at(seconds)),
            ..HostSeen::default()
        },
        detections: vec![DetectionSeen {
            qid: 7,
            kind: "confirmed".to_owned(),
            severity: Some(4),
            status: status.to_owned(),
            results: format!("seen at {seconds}"),
            last_test_at: Some(at(seconds)),
            last_processed_at: Some(at(seconds + 60)),
            ..DetectionSeen::default()
        }],
    }
}

fn merge(db: &Database, run: &Run, machines: Vec<Machine>) -> Counters {
    let run = run.clone();
    db.write_bulk_blocking(move |tx| detections::merge(tx, &run, &machines, at(NOW))).unwrap().counters
}

/// Status and evidence of the detections, and the systems of the hosts.
fn known(db: &Database) -> Vec<(String, String, String)> {
    db.read_blocking(|tx| {
        tx.all(
            "SELECT d.status, d.results, h.os FROM detection d JOIN source_host h ON h.id = d.source_host_id
             ORDER BY h.host_key, d.id",
            &[],
        )
    })
    .unwrap()
}

fn item(db: &Database) -> String {
    db.read_blocking(|tx| tx.scalar("SELECT state FROM vulnerable_item", &[])).unwrap()
}

both_engines!(an_older_report_undoes_nothing, |db| {
    let run = start(db);
    merge(db, &run, vec![report("1", "active", 1_000)]);
    merge(db, &run, vec![report("1", "fixed", 5_000)]);
    assert_eq!(item(db), "closed");

    // Last month's export.
    let late = merge(db, &run, vec![report("1", "active", 2_000)]);
    assert_eq!((late.detections.ignored, late.detections.updated, late.hosts.ignored), (1, 0, 1));
    assert_eq!((late.hosts.updated, late.items.reopened), (0, 0));
    let fixed = [("fixed".to_owned(), "seen at 5000".to_owned(), "Ubuntu as of 5000".to_owned())];
    assert_eq!((known(db).as_slice(), item(db).as_str()), (fixed.as_slice(), "closed"));
    let history: i64 = db.read_blocking(|tx| tx.scalar("SELECT count(*) FROM detection_history", &[])).unwrap();
    assert_eq!(history, 1);

    // A report without processing times: that it was found before it was found gone decides.
    let mut bare = report("1", "active", 3_000);
    bare.detections[0].last_processed_at = None;
    bare.detections[0].last_test_at = None;
    bare.detections[0].last_found_at = Some(at(4_999));
    assert_eq!(merge(db, &run, vec![bare.clone()]).detections.ignored, 1);
    assert_eq!(item(db), "closed");

    // As old, and without any time: written, as before.
    bare.host.last_scan_at = Some(at(5_000));
    bare.detections[0].last_found_at = Some(at(5_000));
    assert_eq!(merge(db, &run, vec![bare.clone()]).detections.updated, 1);
    assert_eq!(item(db), "open");
    bare.detections[0].last_found_at = None;
    bare.detections[0].status = "fixed".to_owned();
    assert_eq!(merge(db, &run, vec![bare]).detections.updated, 1);
    assert_eq!(item(db), "closed");
});

both_engines!(a_date_from_the_future_does_not_keep_the_truth_out, |db| {
    let run = start(db);
    merge(db, &run, vec![report("1", "fixed", NOW + 40 * 86_400)]);
    let now = merge(db, &run, vec![report("1", "active", 5_000)]);
    assert_eq!((now.detections.updated, now.hosts.updated, now.items.new), (1, 1, 1));
    assert_eq!(known(db)[0].0, "active");
    let scanned: Option<Timestamp> =
        db.read_blocking(|tx| tx.scalar("SELECT last_scan_at FROM source_host", &[])).unwrap();
    assert_eq!(scanned, Some(at(5_000)));
});

both_engines!(reports_in_any_order_end_at_the_newest, |db| {
    let reports = [("new", 1_000), ("fixed", 2_000), ("reopened", 3_000), ("fixed", 4_000)];
    let mut orders: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..reports.len() {
        orders = orders
            .into_iter()
            .flat_map(|order| {
                let left = (0..reports.len()).filter(|n| !order.contains(n)).collect::<Vec<_>>();
                left.into_iter().map(move |n| order.iter().copied().chain([n]).collect())
            })
            .collect();
    }
    assert_eq!(orders.len(), 24);
    let run = start(db);
    for (n, order) in orders.iter().enumerate() {
        let key = (n + 1).to_string();
        for at in order {
            let (status, seconds) = reports[*at];
            merge(db, &run, vec![report(&key, status, seconds)]);
        }
    }
    let newest = ("fixed".to_owned(), "seen at 4000".to_owned(), "Ubuntu as of 4000".to_owned());
    assert_eq!(known(db), vec![newest; orders.len()]);
    let open: i64 =
        db.read_blocking(|tx| tx.scalar("SELECT count(*) FROM vulnerable_item WHERE state <> 'closed'", &[])).unwrap();
    assert_eq!(open, 0);
});

fn tagged(key: &str, uuid: &str, seconds: i64, tags: Option<&[&str]>) -> Machine {
    let mut machine = report(key, "active", seconds);
    machine.host.agent_uuid = Some(uuid.to_owned());
    machine.host.tags = tags.map(|tags| tags.iter().map(|&tag| tag.to_owned()).collect());
    machine
}

/// The tags of the only asset, those of people included.
fn tags(db: &Database) -> Vec<String> {
    let rows: Vec<(String,)> =
        db.read_blocking(|tx| tx.all("SELECT DISTINCT tag FROM asset_tag ORDER BY tag", &[])).unwrap();
    rows.into_iter().map(|(tag,)| tag).collect()
}

both_engines!(tags_of_two_hosts_that_are_one_asset_add_up, |db| {
    let run = start(db);
    let told = |key: &str, seconds: i64, names: Option<&[&str]>| {
        merge(db, &run, vec![tagged(key, "u1", seconds, names)]);
        tags(db)
    };
    merge(
        db,
        &run,
        vec![tagged("1", "u1", 10, Some(&["payments", "prod"])), tagged("2", "u1", 10, Some(&["linux", "prod"]))],
    );
    let assets: i64 = db.read_blocking(|tx| tx.scalar("SELECT count(*) FROM asset", &[])).unwrap();
    assert_eq!((assets, tags(db)), (1, ["linux", "payments", "prod"].map(str::to_owned).to_vec()));
    db.write_blocking(|tx| {
        tx.execute("INSERT INTO asset_tag (asset_id, tag, origin) SELECT id, 'ours', 0 FROM asset", &[])
    })
    .unwrap();
    assert_eq!(told("1", 20, Some(&["payments"])), ["linux", "ours", "payments", "prod"], "the other one has it still");
    assert_eq!(told("2", 20, Some(&[])), ["ours", "payments"]);
    // Nothing told is nothing taken; told that there are none takes the last one, though nothing else changed.
    assert_eq!(told("1", 20, None), ["ours", "payments"]);
    assert_eq!(told("1", 20, Some(&[])), ["ours"]);
    assert_eq!(told("1", 30, Some(&["payments"])), ["ours", "payments"]);
    assert_eq!(told("1", 25, Some(&["prod"])), ["ours", "payments"], "an older report");
});

both_engines!(what_is_due_is_queued_once_and_never_lost, |db| {
    let scheduled = Settings {
        name: "API".to_owned(),
        product: "qualys".to_owned(),
        auth: "basic".to_owned(),
        versions: "{}".to_owned(),
        tracking_hours: 24,
        interval_minutes: Some(15),
        ..Settings::default()
    };
    let (id, by_hand): (InstanceId, InstanceId) = db
        .write_blocking(move |tx| {
            let by_hand = Settings { name: "By hand".to_owned(), interval_minutes: None, ..scheduled.clone() };
            Ok((
                instances::create(tx, "users/test", &scheduled, at(0))?,
                instances::create(tx, "users/test", &by_hand, at(0))?,
            ))
        })
        .unwrap();
    let due = |seconds| db.read_blocking(move |tx| integrations::due(tx, at(seconds))).unwrap();
    let queue =
        |kind, seconds| db.write_blocking(move |tx| integrations::queue_due(tx, id, kind, at(seconds))).unwrap();
    let one = |kind| db.read_blocking(move |tx| integrations::one(tx, id, kind)).unwrap();
    let shown = || db.read_blocking(move |tx| instances::one(tx, id)).unwrap();
    assert_eq!((shown().interval_minutes, shown().next_import_at), (Some(15), Some(at(900))));
    assert!(due(899).is_empty());
    assert_eq!(due(900), [(id, Kind::KnowledgeBase), (id, Kind::HostDetection)], "the knowledge base goes first");
    assert_eq!(due(5_000).len(), 2, "looking at it takes nothing");

    assert!(queue(Kind::HostDetection, 900));
    assert!(!queue(Kind::HostDetection, 900), "another replica comes too late");
    assert_eq!(one(Kind::HostDetection).next_at, Some(at(1_800)));
    // Still waiting when it is due again: that one brings the same, and how long it is held is known.
    assert!(!queue(Kind::HostDetection, 1_800));
    assert!(!queue(Kind::HostDetection, 2_700));
    let held = one(Kind::HostDetection);
    assert_eq!((held.next_at, held.held_since_at), (Some(at(3_600)), Some(at(1_800))));
    assert!(queue(Kind::KnowledgeBase, 2_800));
    assert_eq!(db.read_blocking(imports::waiting).unwrap(), [id]);
    let next = || db.read_blocking(move |tx| imports::next(tx, id)).unwrap();
    let waits = next().unwrap();
    assert_eq!((waits.kind, waits.cause), (Kind::HostDetection, Cause::Schedule));
    let run = db.write_blocking(move |tx| imports::begin(tx, id, &waits, at(3_000))).unwrap();
    assert_eq!(one(Kind::HostDetection).held_since_at, None);
    assert_eq!(next().map(|waits| waits.kind), Some(Kind::KnowledgeBase));
    assert!(queue(Kind::HostDetection, 3_600), "one is at work, the next one waits");

    // One that waits ends at once, one at work when it looks, one that has ended not at all.
    let cancel = |ordinal| db.write_blocking(move |tx| imports::cancel(tx, "users/ada", ordinal, at(4_000))).unwrap();
    let waits = next().unwrap();
    assert_eq!(cancel(waits.number), Some(imports::State::Cancelled));
    assert_eq!(cancel(waits.number), None);
    assert_eq!(cancel(run.number.ordinal), Some(imports::State::Running));
    let (stops, other) = (run.id, waits.id);
    assert!(db.read_blocking(move |tx| imports::asked_to_stop(tx, stops)).unwrap());
    db.write_blocking(move |tx| {
        let cancelled = imports::Outcome::Cancelled;
        imports::finish(tx, &run, &Counters::default(), &[0; 32], cancelled, at(4_001))
    })
    .unwrap();
    for id in [stops, other] {
        let (state, detail): (imports::State, String) =
            db.read_blocking(move |tx| tx.one("SELECT state, detail FROM import_run WHERE id = $1", &[&id])).unwrap();
        assert_eq!((state, detail.as_str()), (imports::State::Cancelled, "cancelled by ada; complete hosts are kept"));
    }
    assert_eq!(shown().host_detection_until, None, "no cursor has moved");

    // The interval of the instance holds for all; what was set one by one stays while it is the same.
    let set = |kind, version, cadence: Cadence| {
        db.write_blocking(move |tx| integrations::set(tx, "users/ada", (id, kind), version, &cadence, at(5_000)))
    };
    let version = one(Kind::KnowledgeBase).version;
    set(Kind::KnowledgeBase, version, Cadence::sundays(3)).unwrap();
    assert!(set(Kind::KnowledgeBase, version, Cadence::Off).is_err(), "it was changed meanwhile");
    let interval = |minutes| {
        db.write_blocking(move |tx| integrations::set_interval(tx, "users/ada", id, minutes, at(6_000))).unwrap();
    };
    interval(Some(15));
    assert_eq!(one(Kind::KnowledgeBase).cadence(), Cadence::sundays(3));
    interval(Some(30));
    assert_eq!(one(Kind::KnowledgeBase).cadence(), Cadence::Every { minutes: 30 });
    interval(None);
    let all = db.read_blocking(move |tx| integrations::of(tx, id)).unwrap();
    assert!(all.len() == Kind::SCHEDULED.len() && all.iter().all(|row| row.next_at.is_none()), "{all:?}");
    assert_eq!((shown().interval_minutes, shown().next_import_at), (None, None));
    assert!(db.read_blocking(move |tx| integrations::of(tx, by_hand)).unwrap().iter().all(|row| row.next_at.is_none()));
});

both_engines!(a_scanner_is_active_for_the_instances_of_its_product, |db| {
    let instance = start(db).instance;
    let active = || db.read_blocking(move |tx| scanners::active_at(tx, instance)).unwrap();
    let set = |on| db.write_blocking(move |tx| scanners::set_active(tx, "users/test", "qualys", on, at(1))).unwrap();
    assert!(!active());
    set(true);
    assert!(active());
    set(false);
    assert!(!active());
    assert!(!db.read_blocking(|tx| scanners::active_at(tx, InstanceId(99))).unwrap());
});

both_engines!(rejections_of_old_runs_are_forgotten_and_their_number_is_kept, |db| {
    let ended = |seconds: i64| {
        let run = start(db);
        let (described, mut counters) = (run.clone(), Counters::default());
        counters.detections.rejected = 2;
        db.write_blocking(move |tx| {
            imports::reject(tx, &described, "a row", Some(7), "no QID")?;
            imports::reject(tx, &described, "another row", None, "no QID")?;
            let outcome = imports::Outcome::Complete { until: None, remark: "" };
            imports::finish(tx, &described, &counters, &[0; 32], outcome, at(seconds))
        })
        .unwrap();
        run
    };
    let (old, newer) = (ended(100), ended(200));
    let forget = |before| db.write_blocking(move |tx| imports::forget_rejections(tx, at(before), 500)).unwrap();
    let described = |run: &Run| {
        let id = run.id;
        db.read_blocking(move |tx| imports::rejections(tx, id, 100)).unwrap().len()
    };
    assert_eq!(forget(100), 0, "not before its time");
    assert_eq!(forget(200), 2);
    assert_eq!((described(&old), described(&newer)), (0, 2));
    let ordinal = old.number.ordinal;
    let shown = db.read_blocking(move |tx| imports::one(tx, ordinal)).unwrap();
    assert_eq!(shown.counters().detections.rejected, 2);
});

fn upgraded(db: &TestDatabase) {
    let before = MIGRATIONS.iter().position(|(name, _)| *name == "0028_imports_mended").unwrap();
    apply(db, &MIGRATIONS[..before]).unwrap();
    db.write_blocking(|tx| {
        let bytes = vec![7_u8; 16];
        tx.execute(
            "INSERT INTO integration_instance (name, product, api_url, gateway_url, auth, username, secret, versions,
                 tracking_hours, version, created_at, updated_at)
             VALUES ('A', 'qualys', '', '', 'files', '', $1, '{}', 24, 1, 0, 0)",
            &[&bytes],
        )?;
        for _ in 0..2 {
            tx.execute(
                "INSERT INTO asset (name, platform, os, ip, fqdn, netbios, network_id, criticality, zone, macs,
                     created_at, last_seen_at)
                 VALUES ('a', 'linux', '', '', '', '', '', 3, '', '', 0, 0)",
                &[],
            )?;
        }
        for (key, asset) in [("1", 1_i64), ("2", 1), ("3", 2)] {
            tx.execute(
                "INSERT INTO source_host (instance_id, host_key, keyed, asset_id, ip, fqdn, netbios, os, network_id,
                     tracking, matched_by, digest, run_id)
                 SELECT i.id, $1, true, $2, '', '', '', '', '', '', 'new', $3, 0 FROM integration_instance i",
                &[&key, &asset, &bytes],
            )?;
        }
        for (asset, tag, origin) in [(1_i64, "prod", 1_i64), (1, "ours", 0), (2, "lab", 1)] {
            tx.execute("INSERT INTO asset_tag (asset_id, tag, origin) VALUES ($1, $2, $3)", &[&asset, &tag, &origin])?;
        }
        Ok(())
    })
    .unwrap();
    apply(db, &MIGRATIONS[..=before]).unwrap();
    let rows: Vec<(String, String, i64)> = db
        .read_blocking(|tx| {
            tx.all(
                "SELECT h.host_key, t.tag, CAST(length(h.digest) AS BIGINT) FROM source_host h
                 JOIN source_host_tag t ON t.source_host_id = h.id ORDER BY 1, 2",
                &[],
            )
        })
        .unwrap();
    let rows: Vec<(&str, &str, i64)> =
        rows.iter().map(|(key, tag, digest)| (key.as_str(), tag.as_str(), *digest)).collect();
    assert_eq!(rows, [("1", "prod", 0), ("2", "prod", 0), ("3", "lab", 16)]);
}

#[test]
fn an_upgrade_keeps_every_tag_on_sqlite() {
    upgraded(&TestDatabase::bare_sqlite());
}

#[test]
fn an_upgrade_keeps_every_tag_on_postgres() {
    if let Some(db) = TestDatabase::bare_postgres("reports::an_upgrade_keeps_every_tag_on_postgres") {
        upgraded(&db);
    }
}

/// One interval for everything becomes a schedule for each kind; what is new comes when somebody says so.
fn scheduled(db: &TestDatabase) {
    let before = MIGRATIONS.iter().position(|(name, _)| *name == "0032_imports_whole").unwrap();
    apply(db, &MIGRATIONS[..before]).unwrap();
    db.write_blocking(|tx| {
        for (name, auth, minutes) in [
            ("often", "basic", Some(15_i64)),
            ("seldom", "basic", Some(2_880)),
            ("asked", "basic", None),
            ("files", "files", None),
        ] {
            tx.execute(
                "INSERT INTO integration_instance (name, product, api_url, gateway_url, auth, username, secret, versions,
                     tracking_hours, interval_minutes, next_import_at, version, created_at, updated_at)
                 VALUES ($1, 'qualys', '', '', $2, '', $3, '{}', 24, $4, $5, 1, 0, 0)",
                &[&name, &auth, &vec![7_u8; 16], &minutes, &minutes.map(|_| at(60))],
            )?;
        }
        Ok(())
    })
    .unwrap();
    apply(db, &MIGRATIONS[..=before]).unwrap();
    let of = |name: &'static str| {
        db.read_blocking(move |tx| {
            let id: InstanceId = tx.scalar("SELECT id FROM integration_instance WHERE name = $1", &[&name])?;
            integrations::of(tx, id)
        })
        .unwrap()
    };
    let every = |minutes| Cadence::Every { minutes };
    for (name, detections, lists) in [
        ("often", every(15), every(1_440)),
        ("seldom", every(2_880), every(2_880)),
        ("asked", Cadence::Off, Cadence::Off),
    ] {
        let rows = of(name);
        assert_eq!(rows.len(), Kind::SCHEDULED.len(), "{name}");
        for row in rows {
            let expected = match row.kind {
                Kind::KnowledgeBase | Kind::HostDetection => detections.clone(),
                Kind::OptionProfiles | Kind::Appliances => lists.clone(),
                _ => Cadence::Off,
            };
            assert_eq!(row.next_at, expected.is_on().then(|| at(60)), "{name} {:?}", row.kind);
            assert_eq!(row.cadence(), expected, "{name} {:?}", row.kind);
        }
    }
    assert!(of("files").is_empty());
}

#[test]
fn an_upgrade_keeps_every_schedule_on_sqlite() {
    scheduled(&TestDatabase::bare_sqlite());
}

#[test]
fn an_upgrade_keeps_every_schedule_on_postgres() {
    if let Some(db) = TestDatabase::bare_postgres("reports::an_upgrade_keeps_every_schedule_on_postgres") {
        scheduled(&db);
    }
}
