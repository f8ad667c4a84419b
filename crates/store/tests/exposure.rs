//! Imports into the store: matching, merging, idempotence, scores.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "helpers of tests are tests, too"
)]

use domain::access::{Actor, AssetScope, Role};
use domain::id::{AssetId, InstanceId, ItemId, UserId};
use domain::score::Mitigation;
use domain::time::Timestamp;
use store::detections::{DetectionSeen, Machine};
use store::hosts::HostSeen;
use store::imports::{Cause, Counters, Kind, Run, Start};
use store::items::exceptions;
use store::vulnerabilities::VulnerabilitySeen;
use store::{Database, detections, imports, instances, scanners, scores, vulnerabilities};
use testkit::both_engines;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds)
}

fn instance(db: &Database, name: &'static str) -> InstanceId {
    db.write_blocking(move |tx| instances::for_files(tx, "users/test", name, "qualys", at(0))).unwrap()
}

fn start(db: &Database, instance: InstanceId) -> Run {
    let start = Start { instance, kind: Kind::File, cause: Cause::People, actor: "users/test", source: "hosts.xml" };
    db.write_blocking(move |tx| imports::start(tx, start, at(1))).unwrap()
}

fn machine(key: &str, ip: &str) -> Machine {
    Machine {
        host: HostSeen {
            host_key: key.to_owned(),
            keyed: true,
            ip: ip.to_owned(),
            os: "Ubuntu 22.04".to_owned(),
            last_scan_at: Some(at(0)),
            ..HostSeen::default()
        },
        detections: Vec::new(),
    }
}

fn detection(qid: i64, status: &str, qds: Option<u8>) -> DetectionSeen {
    DetectionSeen {
        qid,
        kind: "confirmed".to_owned(),
        severity: Some(4),
        status: status.to_owned(),
        qds,
        last_found_at: Some(at(0)),
        ..DetectionSeen::default()
    }
}

fn merge(db: &Database, run: &Run, machines: Vec<Machine>, now: Timestamp) -> detections::Merged {
    let run = run.clone();
    db.write_bulk_blocking(move |tx| detections::merge(tx, &run, &machines, now)).unwrap()
}

fn count(db: &Database, sql: &'static str) -> i64 {
    db.read_blocking(move |tx| tx.scalar(sql, &[])).unwrap()
}

both_engines!(the_same_import_twice_changes_nothing, |db| {
    let run = start(db, instance(db, "Files"));
    let mut one = machine("1", "10.0.0.1");
    one.host.tags = Some(vec!["prod".to_owned(), "linux".to_owned()]);
    one.detections = vec![
        detection(100, "new", Some(85)),
        DetectionSeen { port: 443, protocol: "tcp".to_owned(), ..detection(100, "active", Some(90)) },
        detection(101, "fixed", Some(50)),
        DetectionSeen { kind: "info".to_owned(), ..detection(6, "", None) },
        detection(100, "active", Some(86)),
    ];
    let first = merge(db, &run, vec![one.clone()], at(2));
    let found = &first.counters;
    assert_eq!((found.hosts.new, found.assets_new, found.placeholders), (1, 1, 3));
    assert_eq!((found.detections.new, found.detections.ignored, found.items.new), (4, 1, 1));
    let before: Vec<(i64, String, i64, i64)> =
        db.read_blocking(|tx| tx.all("SELECT number, state, inherent, residual FROM vulnerable_item", &[])).unwrap();
    assert_eq!(before, [(1, "open".to_owned(), 90, 90)]);

    let second = start(db, run.instance);
    let again = merge(db, &second, vec![one], at(3)).counters;
    let unchanged = Counters {
        hosts: imports::Count { unchanged: 1, ..Default::default() },
        detections: imports::Count { unchanged: 4, ignored: 1, ..Default::default() },
        ..Counters::default()
    };
    assert_eq!(again, unchanged);
    assert_eq!(count(db, "SELECT count(*) FROM detection WHERE run_id <> (SELECT min(id) FROM import_run)"), 0);
    assert_eq!(count(db, "SELECT count(*) FROM detection_history"), 0);
    assert_eq!(count(db, "SELECT count(*) FROM asset_tag"), 2);
});

both_engines!(a_detection_goes_and_comes_back_and_the_item_follows, |db| {
    let run = start(db, instance(db, "Files"));
    let with = |status: &str, found: i64| {
        let mut one = machine("1", "10.0.0.1");
        one.detections = vec![DetectionSeen { last_found_at: Some(at(found)), ..detection(7, status, Some(60)) }];
        vec![one]
    };
    merge(db, &run, with("new", 0), at(2));
    let fixed = merge(db, &run, with("fixed", 0), at(3)).counters;
    assert_eq!((fixed.detections.updated, fixed.items.updated, fixed.items.closed), (1, 1, 1));
    let back = merge(db, &run, with("reopened", 9), at(4)).counters;
    assert_eq!((back.items.reopened, back.items.closed), (1, 0));
    let history: Vec<(String, String, String)> = db
        .read_blocking(|tx| {
            tx.all("SELECT before, after, cause FROM item_history WHERE what = 'state' ORDER BY id", &[])
        })
        .unwrap();
    let cause = run.number.to_string();
    assert_eq!(
        history,
        [
            ("open".to_owned(), "closed/fixed".to_owned(), cause.clone()),
            ("closed/fixed".to_owned(), "open".to_owned(), cause)
        ]
    );
    assert_eq!(count(db, "SELECT count(*) FROM detection_history"), 2);
    assert_eq!(count(db, "SELECT reopened FROM vulnerable_item"), 1);
});

both_engines!(hosts_are_matched_by_rule, |db| {
    let first = start(db, instance(db, "One"));
    let named = |key: &str, ip: &str, fqdn: &str, uuid: Option<&str>| {
        let mut one = machine(key, ip);
        one.host.fqdn = fqdn.to_owned();
        one.host.agent_uuid = uuid.map(str::to_owned);
        one
    };
    merge(
        db,
        &first,
        vec![
            named("1", "10.0.0.1", "a.example", Some("u1")),
            named("2", "10.0.0.2", "b.example", None),
            named("3", "10.0.0.3", "c.example", Some("u3")),
            named("4", "10.0.0.4", "", None),
        ],
        at(2),
    );
    let second = start(db, instance(db, "Two"));
    let other_network = {
        let mut one = named("94", "10.0.0.4", "", None);
        one.host.network_id = "7".to_owned();
        one
    };
    let merged = merge(
        db,
        &second,
        vec![
            named("91", "10.9.9.9", "renamed.example", Some("u1")),
            named("92", "10.9.9.2", "b.example", None),
            // the same name with another agent is another machine
            named("93", "10.0.0.3", "c.example", Some("other")),
            other_network,
            // two hosts that both fit one asset fit none
            named("95", "10.9.9.5", "d.example", None),
        ],
        at(3),
    );
    assert_eq!(merged.counters.assets_new, 3);
    let mut id_less = machine("ip 10.0.0.2", "10.0.0.2");
    id_less.host.keyed = false;
    merge(db, &first, vec![id_less], at(4));
    let rows: Vec<(String, i64, String)> = db
        .read_blocking(|tx| tx.all("SELECT host_key, asset_id, matched_by FROM source_host ORDER BY id", &[]))
        .unwrap();
    let by: Vec<(&str, &str)> = rows.iter().map(|(key, _, by)| (key.as_str(), by.as_str())).collect();
    assert_eq!(
        by,
        [
            ("1", "new"),
            ("2", "new"),
            ("3", "new"),
            ("4", "new"),
            ("91", "agent_uuid"),
            ("92", "fqdn"),
            ("93", "new"),
            ("94", "new"),
            ("95", "new"),
            ("ip 10.0.0.2", "ip")
        ]
    );
    let asset = |key: &str| rows.iter().find(|row| row.0 == key).unwrap().1;
    assert_eq!(asset("91"), asset("1"));
    assert_eq!(asset("92"), asset("2"));
    assert_eq!(asset("ip 10.0.0.2"), asset("2"));
});

both_engines!(rows_from_before_and_after_unique_ids_join, |db| {
    let run = start(db, instance(db, "Files"));
    let with = |unique: &str, port: i64| {
        let mut one = machine("1", "10.0.0.1");
        let row = DetectionSeen { unique_id: unique.to_owned(), port, ..detection(7, "active", Some(60)) };
        one.detections = vec![row];
        vec![one]
    };
    merge(db, &run, with("", 22), at(2));
    let upgraded = merge(db, &run, with("555", 22), at(3)).counters;
    assert_eq!((upgraded.detections.new, upgraded.detections.updated), (0, 1));
    let moved = merge(db, &run, with("555", 2222), at(4)).counters;
    assert_eq!((moved.detections.new, moved.detections.updated), (0, 1));
    assert_eq!(count(db, "SELECT port FROM detection"), 2222);
});

both_engines!(the_knowledge_base_fills_placeholders_and_estimates, |db| {
    let run = start(db, instance(db, "Files"));
    let mut one = machine("1", "10.0.0.1");
    one.detections = vec![detection(7, "active", None)];
    merge(db, &run, vec![one], at(2));
    assert_eq!(count(db, "SELECT inherent FROM vulnerable_item"), 65);
    let entry = VulnerabilitySeen {
        qid: 7,
        title: "Seven".to_owned(),
        kind: "vulnerability".to_owned(),
        severity: Some(4),
        cvss3: Some(9.8),
        cves: vec![("CVE-2024-1".to_owned(), None)],
        ..VulnerabilitySeen::default()
    };
    let run2 = run.clone();
    let (first, again) = db
        .write_bulk_blocking(move |tx| {
            let mut counters = Counters::default();
            let ids = vulnerabilities::merge(tx, &run2, std::slice::from_ref(&entry), &mut counters)?;
            assert_eq!(detections::estimate_again(tx, &run2, &ids, None, at(3), &mut counters)?, None);
            let mut again = Counters::default();
            assert!(vulnerabilities::merge(tx, &run2, std::slice::from_ref(&entry), &mut again)?.is_empty());
            Ok((counters, again))
        })
        .unwrap();
    assert_eq!((first.vulnerabilities.updated, again.vulnerabilities.unchanged), (1, 1));
    assert_eq!(count(db, "SELECT inherent FROM vulnerable_item"), 81);
    assert_eq!(count(db, "SELECT residual FROM vulnerable_item"), 81);
    assert_eq!(count(db, "SELECT count(*) FROM score_history WHERE before = 65 AND after = 81"), 1);
    assert_eq!(count(db, "SELECT count(*) FROM vulnerability WHERE placeholder"), 0);
});

/// A control on the asset of host 1 for CVE-2024-1, with 30 points.
fn control(db: &Database, state: &'static str) {
    db.write_blocking(move |tx| {
        tx.execute(
            "INSERT INTO catalogue_entry (entry, revision, digest, title, platform, implication, risk, reversible, needs,
                 body, current)
             VALUES ('linux-x', 1, 'd', 'X off', 'linux', 'mitigation', 'low', true, '', $1, true)
             ON CONFLICT (digest) DO NOTHING",
            &[&vec![0_u8]],
        )?;
        tx.execute(
            "INSERT INTO catalogue_cve (entry_key, cve, qid, coverage, points)
             SELECT id, 'CVE-2024-1', 0, 'full', 30 FROM catalogue_entry WHERE true ON CONFLICT DO NOTHING",
            &[],
        )?;
        tx.execute(
            "INSERT INTO control (asset_id, entry, entry_key, state, origin, since_at, checked_at)
             SELECT (SELECT min(id) FROM asset), 'linux-x', id, $1, 'ours', 0, 0 FROM catalogue_entry WHERE true
             ON CONFLICT (asset_id, entry) DO UPDATE SET state = excluded.state",
            &[&state],
        )?;
        Ok(())
    })
    .unwrap();
}

both_engines!(s1_24_a_control_lowers_the_score_and_drift_puts_it_back, |db| {
    let run = start(db, instance(db, "Files"));
    let run2 = run.clone();
    db.write_bulk_blocking(move |tx| {
        let entry =
            VulnerabilitySeen { qid: 7, cves: vec![("CVE-2024-1".to_owned(), None)], ..VulnerabilitySeen::default() };
        vulnerabilities::merge(tx, &run2, &[entry], &mut Counters::default())
    })
    .unwrap();
    let mut one = machine("1", "10.0.0.1");
    one.detections = vec![detection(7, "active", Some(90))];
    merge(db, &run, vec![one.clone()], at(2));
    let recompute = |cause: &'static str| {
        db.write_blocking(move |tx| {
            let asset: AssetId = tx.scalar("SELECT min(id) FROM asset", &[])?;
            let items = scores::items_of_assets(tx, &[asset])?;
            scores::recompute(tx, &items, cause, at(5))
        })
        .unwrap()
    };
    control(db, "effective");
    let changed = recompute("MJ0000001 applied linux-x");
    assert_eq!(changed.len(), 1);
    assert_eq!((changed[0].before, changed[0].after, changed[0].mitigation), (90, 60, Mitigation::Mitigated));
    assert!(recompute("again").is_empty());

    // A new score of the scanner keeps what the control takes off.
    one.detections = vec![detection(7, "active", Some(80))];
    merge(db, &run, vec![one.clone()], at(6));
    assert_eq!(count(db, "SELECT residual FROM vulnerable_item"), 50);

    let item: ItemId = db.read_blocking(|tx| tx.scalar("SELECT id FROM vulnerable_item", &[])).unwrap();
    let behind = db.read_blocking(move |tx| scores::drill_down(tx, item)).unwrap();
    assert_eq!((behind.assessment.residual, behind.controls.len()), (50, 1));
    assert_eq!(behind.controls[0].title, "X off");

    control(db, "drifted");
    let changed = recompute("linux-x was changed by somebody");
    assert_eq!((changed[0].before, changed[0].after, changed[0].mitigation), (50, 80, Mitigation::Drifted));
    assert_eq!(count(db, "SELECT count(*) FROM score_history"), 3);

    // An item made on an asset with a control starts with what it leaves.
    control(db, "effective");
    let other = start(db, instance(db, "Other"));
    one.host.host_key = "77".to_owned();
    merge(db, &other, vec![one], at(7));
    assert_eq!(count(db, "SELECT residual FROM vulnerable_item ORDER BY id DESC LIMIT 1"), 50);
});

both_engines!(s2_04_the_first_import_after_activation_stamps_the_source, |db| {
    let files = instance(db, "Files");
    let stamped = || db.read_blocking(move |tx| instances::one(tx, files)).unwrap().source_stamped_at;
    start(db, files);
    assert_eq!(stamped(), None);
    let activate = |active| db.write_blocking(move |tx| scanners::set_active(tx, "users/a", "qualys", active, at(1)));
    assert!(activate(true).unwrap());
    assert!(!activate(true).unwrap());
    assert_eq!(stamped(), None, "not before the next import");
    start(db, files);
    assert_eq!(stamped(), Some(at(1)));
    activate(false).unwrap();
    start(db, files);
    assert_eq!(stamped(), Some(at(1)), "kept for ever after");
});

both_engines!(only_a_finished_run_moves_the_cursor, |db| {
    let instance = instance(db, "API");
    let until = || db.read_blocking(move |tx| instances::one(tx, instance)).unwrap().host_detection_until;
    let run = |kind, outcome: imports::Outcome<'static>| {
        db.write_blocking(move |tx| {
            let start = Start { instance, kind, cause: Cause::People, actor: "users/a", source: "" };
            let run = imports::start(tx, start, at(1))?;
            imports::finish(tx, &run, &Counters::default(), &[0; 32], outcome, at(2))
        })
        .unwrap();
    };
    run(Kind::HostDetection, imports::Outcome::Failed { reason: "gone" });
    assert_eq!(until(), None);
    run(Kind::Targeted, imports::Outcome::Complete { until: Some(at(1)), remark: "" });
    assert_eq!(until(), None, "a targeted pull moves no cursor");
    run(Kind::HostDetection, imports::Outcome::Complete { until: Some(at(1)), remark: "" });
    assert_eq!(until(), Some(at(1)));
    assert_eq!(count(db, "SELECT count(*) FROM audit_entry WHERE action = 'import.finish'"), 3);
});

/// Every field of every list can be filtered by, every sort can be sorted by, on both engines.
fn try_list<R: store::Record>(db: &Database, list: &'static store::list::List, clip: impl Into<store::list::Clip>) {
    use domain::filter::{Context, Kind as FieldKind, parse};
    let clip = clip.into();
    assert_eq!(store::filter::mistakes(list.fields, list.columns), Vec::<String>::new(), "{}", list.name);
    let mut queries = vec![String::new(), "something".to_owned()];
    for field in list.fields.fields {
        queries.push(format!("has:{}", field.name));
        queries.push(match field.kind {
            FieldKind::Text | FieldKind::Name => format!("{}:x", field.name),
            FieldKind::Person => format!("{}:me", field.name),
            FieldKind::Number => format!("{}:>=1", field.name),
            FieldKind::Decimal => format!("{}:<9.5", field.name),
            FieldKind::Instant => format!("{}:>now-30d", field.name),
            FieldKind::Truth => format!("is:{}", field.name),
            FieldKind::Words(words) => format!("{}:{}", field.name, words[0]),
        });
    }
    queries.extend(list.fields.flags.iter().map(|flag| format!("not is:{}", flag.name)));
    for text in queries {
        let filter = parse(&text, list.fields).unwrap_or_else(|error| panic!("{}: {text}: {error}", list.name));
        let context = Context { me: Some("ada".to_owned()), ..Context::at(at(10)) };
        let query = store::list::Query::new(filter, context);
        let clip = clip.clone();
        let found = db.read_blocking(move |tx| {
            store::list::page::<R>(tx, list, clip.clone(), &query).map(|_| ()).map_err(|error| match error {
                store::list::Error::Store(error) => error,
                other => store::Error::failed("list", other.to_string()),
            })
        });
        found.unwrap_or_else(|error| panic!("{}: {text}: {error:?}", list.name));
    }
    for sort in list.sorts {
        for order in [sort.name.to_owned(), format!("-{}", sort.name)] {
            let mut query = store::list::Query::new(parse("", list.fields).unwrap(), Context::at(at(10)));
            query.order = store::list::Order::parse(&order);
            query.limit = 1;
            let clip = clip.clone();
            let found = db.read_blocking(move |tx| {
                let mut query = query.clone();
                let first = store::list::page::<R>(tx, list, clip.clone(), &query).expect("the first page");
                query.cursor = first.next_cursor;
                if query.cursor.is_some() {
                    let second = store::list::page::<R>(tx, list, clip.clone(), &query).expect("the second page");
                    assert_eq!(second.rows.len(), 1);
                }
                Ok(())
            });
            found.unwrap_or_else(|error| panic!("{}: {order}: {error:?}", list.name));
        }
    }
}

fn actor(role: Role, scope: AssetScope) -> Actor {
    Actor {
        user: UserId(1),
        name: "ada".to_owned(),
        roles: [role].into(),
        groups: ["team".to_owned()].into(),
        scope,
        token_scopes: None,
    }
}

/// A request about each item that nothing is asked for yet.
fn exceptions_of_every_item(tx: &mut store::Transaction<'_>, actor: &Actor) -> store::Result<()> {
    let wanted = domain::exception::wanted("deferral", "other", "why", Some(at(86_400)), 366, at(3)).unwrap();
    for row in store::items::numbered(tx, &[1, 2, 3])? {
        if let Ok(after) = domain::item::ask(row.workflow(), wanted.kind) {
            exceptions::request(tx, actor, &wanted, &[(row, after)], at(3))?;
        }
    }
    Ok(())
}

both_engines!(every_list_filters_and_sorts_by_what_it_says, |db| {
    let run = start(db, instance(db, "Files"));
    let mut one = machine("1", "10.0.0.1");
    one.detections = vec![detection(7, "active", Some(90)), detection(8, "new", None)];
    let mut two = machine("2", "10.0.0.2");
    two.detections = vec![detection(7, "active", Some(40))];
    merge(db, &run, vec![one, two], at(2));
    start(db, run.instance);
    try_list::<store::items::ItemRow>(db, &store::items::LIST, None);
    try_list::<store::assets::AssetRow>(db, &store::assets::LIST, None);
    for scope in [AssetScope::All, AssetScope::Tags(["prod".to_owned()].into())] {
        try_list::<vulnerabilities::VulnerabilityRow>(db, &vulnerabilities::LIST, vulnerabilities::clip(&scope));
    }
    for role in [Role::SuperUser, Role::RemediationOwner, Role::JobAuthor] {
        for scope in [AssetScope::All, AssetScope::Tags(["prod".to_owned()].into())] {
            let actor = actor(role, scope);
            let asker = actor.clone();
            db.write_blocking(move |tx| exceptions_of_every_item(tx, &asker)).unwrap();
            try_list::<exceptions::ExceptionRow>(db, &exceptions::LIST, exceptions::clip(&actor));
        }
    }
    try_list::<imports::RunRow>(db, &imports::LIST, None);
    try_list::<instances::Instance>(db, &instances::LIST, None);
    try_list::<scanners::Scanner>(db, &scanners::LIST, None);
});

both_engines!(a_scope_clips_what_is_seen, |db| {
    let run = start(db, instance(db, "Files"));
    let mut one = machine("1", "10.0.0.1");
    one.host.tags = Some(vec!["prod".to_owned()]);
    one.detections = vec![detection(7, "active", Some(90))];
    let mut two = machine("2", "10.0.0.2");
    two.detections = vec![detection(7, "active", Some(40))];
    merge(db, &run, vec![one, two], at(2));
    for (scope, open, top, assets) in [
        (AssetScope::All, 2, 90, 2),
        (AssetScope::Tags(["prod".to_owned()].into()), 1, 90, 1),
        (AssetScope::Tags(["other".to_owned()].into()), 0, 0, 0),
    ] {
        let (found, listed, item) = db
            .read_blocking(move |tx| {
                let known = vulnerabilities::one(tx, "qualys", 7)?;
                let found = vulnerabilities::found(tx, &[known.row.id], &scope)?;
                let query =
                    store::list::Query::new(domain::filter::Filter::Everything, domain::filter::Context::at(at(9)));
                let clip = store::scope::assets(&scope, "a.id");
                let page = store::list::page::<store::assets::AssetRow>(tx, &store::assets::LIST, clip, &query);
                let item = store::items::one(tx, 1)?;
                Ok((found.get(&known.row.id).copied().unwrap_or_default(), page.expect("a page").rows.len(), item))
            })
            .unwrap();
        assert_eq!((found.open, found.inherent, listed), (open, top, assets));
        assert_eq!((item.qid, item.source.as_str()), (7, ""));
    }
});

// Whether a row is there and where it stands tells as much as a number in it.
both_engines!(no_question_about_vulnerabilities_tells_what_is_open_outside_the_scope, |db| {
    use domain::filter::{Context, parse};
    let run = start(db, instance(db, "Files"));
    let mut seen = machine("1", "10.0.0.1");
    seen.host.tags = Some(vec!["prod".to_owned()]);
    seen.detections = vec![detection(7, "active", Some(50)), detection(8, "active", Some(60))];
    let mut hidden = machine("2", "10.0.0.2");
    hidden.host.os = "Windows Server 2019".to_owned();
    hidden.host.tags = Some(vec!["secret".to_owned()]);
    hidden.detections = vec![detection(7, "active", Some(95)), detection(9, "active", Some(99))];
    merge(db, &run, vec![seen, hidden], at(2));
    let prod = AssetScope::Tags(["prod".to_owned()].into());
    let asked = |scope: &AssetScope, q: &str, order: &str| -> Vec<i64> {
        let mut query = store::list::Query::new(parse(q, &vulnerabilities::FIELDS).unwrap(), Context::at(at(9)));
        query.order = store::list::Order::parse(order);
        let clip = vulnerabilities::clip(scope);
        db.read_blocking(move |tx| {
            let list = &vulnerabilities::LIST;
            let page = store::list::page::<vulnerabilities::VulnerabilityRow>(tx, list, clip.clone(), &query).unwrap();
            let counted = store::list::count(tx, list, clip.clone(), &query, 10).unwrap();
            let keys = store::list::keys(tx, list, clip.clone(), &query, 10).unwrap();
            assert_eq!((usize::try_from(counted).unwrap(), keys.len()), (page.rows.len(), page.rows.len()));
            Ok(page.rows.into_iter().map(|row| row.qid).collect())
        })
        .unwrap()
    };
    for (q, everybody, scoped) in [
        ("is:found", vec![7, 8, 9], vec![7, 8]),
        ("assets:>=2", vec![7], vec![]),
        ("score:>=90", vec![7, 9], vec![]),
        ("inherent:>=90", vec![7, 9], vec![]),
        ("platform:windows", vec![7, 9], vec![]),
        ("asset:10.0.0.2", vec![7, 9], vec![]),
        ("asset.tag:secret", vec![7, 9], vec![]),
        ("has:mitigation", vec![7, 8, 9], vec![7, 8]),
        ("has:score", vec![7, 8, 9], vec![7, 8]),
    ] {
        assert_eq!(asked(&AssetScope::All, q, "qid"), everybody, "{q}");
        assert_eq!(asked(&prod, q, "qid"), scoped, "{q}");
        assert!(asked(&AssetScope::Tags([].into()), q, "qid").is_empty(), "{q}");
    }
    for order in ["-score", "-inherent"] {
        assert_eq!(asked(&AssetScope::All, "", order), [9, 7, 8], "{order}");
        assert_eq!(asked(&prod, "", order), [8, 7, 9], "{order}");
    }
    assert_eq!(asked(&prod, "", "assets")[0], 9, "none that this person may know of");
});

both_engines!(a_run_that_its_server_left_behind_is_failed_by_the_next, |db| {
    let files = instance(db, "Files");
    let left = start(db, files);
    let run = left.clone();
    db.write_blocking(move |tx| imports::reached(tx, &run, "77", at(1))).unwrap();
    start(db, files);
    let found = db.read_blocking(move |tx| imports::one(tx, left.number.ordinal)).unwrap();
    assert_eq!(found.state, imports::State::Failed);
    assert!(found.detail.contains("the server stopped"), "{}", found.detail);
});

both_engines!(an_import_goes_on_where_the_one_before_it_failed, |db| {
    let instance = instance(db, "API");
    let detections = Start { instance, kind: Kind::HostDetection, cause: Cause::People, actor: "a", source: "" };
    let begin = || db.write_blocking(move |tx| imports::start(tx, detections, at(100))).unwrap();
    let point = |run: &Run, since: i64| {
        let run = run.id;
        db.read_blocking(move |tx| imports::resume_point(tx, instance, run, at(since))).unwrap()
    };
    let first = begin();
    assert_eq!(point(&first, 0), None, "there is none before it");
    let run = first.clone();
    db.write_blocking(move |tx| imports::reached(tx, &run, "501", at(90))).unwrap();
    let second = begin();
    let found = point(&second, 0).expect("the first one was left in the middle");
    assert_eq!((found.cursor.as_str(), found.until), ("501", at(90)));
    assert_eq!(point(&second, 101), None, "too long ago");
    let run = second.clone();
    db.write_blocking(move |tx| {
        let outcome = imports::Outcome::Complete { until: Some(at(90)), remark: "" };
        imports::finish(tx, &run, &Counters::default(), &[0; 32], outcome, at(110))
    })
    .unwrap();
    assert_eq!(point(&begin(), 0), None, "the one before it is complete");
});
