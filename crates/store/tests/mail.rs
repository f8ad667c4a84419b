//! Mail in the store: told once, held by one, tried again, given up, forgotten, on both engines.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

use domain::filter::{Context, Filter, parse};
use domain::id::{JobId, RunId};
use domain::mail::{Facts, Kind, Progress, State};
use domain::time::Timestamp;
use store::list::{Order, Query};
use store::mails::{self, MailRow, Notice};
use store::{Database, Transaction};
use testkit::both_engines;
use uuid::Uuid;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_795_348_800_000_000).plus_seconds(seconds)
}

fn put(db: &Database, key: &'static str, recipients: &[&str]) -> Option<Vec<i64>> {
    let recipients: Vec<String> = recipients.iter().map(|&name| name.to_owned()).collect();
    db.write_blocking(move |tx| {
        let facts = Facts { title: "t".to_owned(), ..Facts::default() };
        mails::put(tx, &Notice { key, kind: Kind::Started, job: None, facts: &facts }, &recipients, at(0))
    })
    .unwrap()
}

fn find(db: &Database, id: i64) -> MailRow {
    db.read_blocking(move |tx| mails::find(tx, id)).unwrap().unwrap()
}

fn claim(db: &Database, now: i64, limit: i64) -> Vec<mails::Claimed> {
    db.write_blocking(move |tx| mails::claim(tx, Uuid::new_v4(), at(now), 120, limit)).unwrap()
}

both_engines!(a_notice_is_put_down_once_and_each_recipient_gets_it_once, |db| {
    let first = put(db, "runs/1/started", &["ann@example.org", "bob@example.org", "ann@example.org"]).unwrap();
    assert_eq!(first.len(), 2, "named twice, told once");
    assert_eq!(put(db, "runs/1/started", &["eve@example.org"]), None, "R17: once per run and kind");
    assert!(put(db, "runs/1/reported", &["ann@example.org"]).is_some());
    let row = find(db, first[0]);
    assert_eq!((row.state, row.attempts, row.next_try_at), (State::Queued, 0, Some(at(0))));
    assert_eq!(serde_json::from_str::<Facts>(&row.facts).unwrap().title, "t");
});

// What fails takes its mail with it: the state change and what is told of it are one transaction.
both_engines!(a_transaction_that_fails_tells_nobody, |db| {
    let failed: store::Result<()> = db.write_blocking(|tx| {
        let notice = Notice { key: "runs/9/started", kind: Kind::Started, job: None, facts: &Facts::default() };
        mails::put(tx, &notice, &["ann@example.org".to_owned()], at(0))?;
        Err(store::Error::NotFound)
    });
    assert!(failed.is_err());
    assert_eq!(claim(db, 1, 10).len(), 0);
    assert!(put(db, "runs/9/started", &["ann@example.org"]).is_some(), "nothing of the first is left");
});

both_engines!(two_replicas_never_hold_the_same_mail, |db| {
    let names: Vec<String> = (0..40).map(|n| format!("r{n}@example.org")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    put(db, "runs/1/started", &names).unwrap();
    let held: Vec<i64> = std::thread::scope(|scope| {
        let replica = || {
            let mut held = Vec::new();
            loop {
                let claimed = claim(db, 1, 3);
                if claimed.is_empty() {
                    return held;
                }
                held.extend(claimed.iter().map(|claimed| claimed.mail.id));
            }
        };
        let replicas: Vec<_> = (0..4).map(|_| scope.spawn(replica)).collect();
        replicas.into_iter().flat_map(|replica| replica.join().unwrap()).collect()
    });
    let mut once = held.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!((once.len(), held.len()), (40, 40));
});

both_engines!(a_replica_that_died_loses_its_mail_which_keeps_its_id, |db| {
    let id = put(db, "runs/1/started", &["ann@example.org"]).unwrap()[0];
    let lost = claim(db, 0, 10).remove(0);
    assert_eq!((lost.mail.state, lost.mail.attempts), (State::Sending, 1));
    assert_eq!(claim(db, 119, 10).len(), 0, "held");
    let taken = claim(db, 120, 10).remove(0);
    assert_eq!((taken.mail.uuid, taken.mail.attempts), (lost.mail.uuid, 2), "the same Message-ID");
    assert!(!db.write_blocking(move |tx| mails::sent(tx, &lost, at(121))).unwrap(), "the claim was lost");
    assert_eq!(find(db, id).state, State::Sending);
    assert!(db.write_blocking(move |tx| mails::sent(tx, &taken, at(122))).unwrap());
    let row = find(db, id);
    assert_eq!((row.state, row.sent_at, row.next_try_at), (State::Sent, Some(at(122)), None));
    assert_eq!(claim(db, 10_000, 10).len(), 0, "sent once");
    assert!(!db.write_blocking(move |tx| mails::retry(tx, id, at(123))).unwrap(), "what is sent stays sent");
});

both_engines!(a_mail_is_tried_again_given_up_and_revived, |db| {
    let id = put(db, "runs/1/started", &["ann@example.org", "bob@example.org"]).unwrap()[0];
    let mut claimed = claim(db, 0, 10);
    let (first, other) = (claimed.remove(0), claimed.remove(0));
    db.write_blocking(move |tx| {
        mails::failed(tx, &first, at(60), "451 later", at(1))?;
        mails::sent(tx, &other, at(1))
    })
    .unwrap();
    let row = find(db, id);
    assert_eq!((row.state, row.next_try_at, row.last_error.as_str()), (State::Failed, Some(at(60)), "451 later"));
    assert_eq!(claim(db, 59, 10).len(), 0);
    let again = claim(db, 60, 10).remove(0);
    assert!(db.write_blocking(move |tx| mails::dead(tx, &again, "550 no", at(61))).unwrap());
    assert_eq!(claim(db, 100_000, 10).len(), 0, "a dead letter is not tried");
    assert_eq!(db.read_blocking(mails::dead_letters).unwrap(), 1);
    assert!(db.write_blocking(move |tx| mails::retry(tx, id, at(70))).unwrap());
    let row = find(db, id);
    assert_eq!((row.state, row.attempts, row.last_error.as_str()), (State::Queued, 0, "550 no"), "its history shows");
    let revived = claim(db, 70, 10).remove(0);
    assert_eq!(revived.mail.attempts, 1);
    assert!(!db.write_blocking(move |tx| mails::retry(tx, id, at(71))).unwrap(), "somebody is sending it");
    assert!(!db.write_blocking(|tx| mails::retry(tx, 999, at(71))).unwrap());
});

both_engines!(old_mail_is_forgotten_and_told_no_second_time, |db| {
    let id = put(db, "runs/1/started", &["ann@example.org"]).unwrap()[0];
    let claimed = claim(db, 0, 1).remove(0);
    db.write_blocking(move |tx| mails::sent(tx, &claimed, at(5))).unwrap();
    assert_eq!(db.write_blocking(|tx| mails::forget_before(tx, at(5))).unwrap(), 0);
    assert_eq!(db.write_blocking(|tx| mails::forget_before(tx, at(6))).unwrap(), 1);
    assert!(db.read_blocking(move |tx| mails::find(tx, id)).unwrap().is_none());
    assert_eq!(put(db, "runs/1/started", &["ann@example.org"]), None);
});

both_engines!(the_list_can_be_asked_and_sorted_and_is_paged, |db| {
    let names: Vec<String> = (0..5).map(|n| format!("r{n}@example.org")).collect();
    put(db, "runs/1/started", &names.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let dead = claim(db, 0, 1).remove(0);
    db.write_blocking(move |tx| mails::dead(tx, &dead, "550", at(1))).unwrap();
    assert_eq!(store::filter::mistakes(mails::LIST.fields, mails::LIST.columns), Vec::<String>::new());
    let ask = |q: &str, order: &str, cursor: Option<String>| {
        let mut query = Query::new(parse(q, &mails::FIELDS).unwrap(), Context::at(at(10)));
        (query.order, query.cursor, query.limit) = (Order::parse(order), cursor, 3);
        db.read_blocking(move |tx| Ok(mails::page(tx, &query))).unwrap().unwrap()
    };
    for field in mails::FIELDS.fields {
        ask(&format!("has:{}", field.name), "", None);
    }
    for sort in mails::LIST.sorts {
        ask("", &format!("-{}", sort.name), None);
    }
    assert_eq!(ask("is:dead", "", None).rows.len(), 1);
    assert_eq!(ask("is:waiting", "", None).rows.len(), 3);
    let first = ask("", "-", None);
    let second = ask("", "-", first.next_cursor.clone());
    let ids: Vec<i64> = first.rows.iter().chain(&second.rows).map(|row| row.id).collect();
    assert!(ids.len() == 5 && ids.is_sorted_by(|a, b| a > b), "{ids:?}");
    assert_eq!(Filter::Everything, parse("", &mails::FIELDS).unwrap());
});

/// A job's run with these tasks: asset, state and code.
fn run(tx: &mut Transaction<'_>, tasks: &[(i64, &str, Option<i64>)]) -> store::Result<RunId> {
    tx.execute(
        "INSERT INTO account (id, name, full_name, email, password_hash, password_temporary, roles, active, version,
             created_at, changed_at)
         VALUES (1, 'ada', '', '', '', $1, '', $1, 1, $2, $2)",
        &[&true, &at(0)],
    )?;
    let new = store::jobs::NewJob {
        number: 1,
        kind: domain::job::Kind::Mitigation,
        platform: domain::asset::Platform::Linux,
        origin: "free".to_owned(),
        owner: domain::id::UserId(1),
    };
    let draft = store::jobs::Draft { title: "t".to_owned(), ..testkit::jobs::draft() };
    let job: JobId = store::jobs::create(tx, &new, &draft, at(0))?;
    let run = store::runs::begin(
        tx,
        &store::runs::NewRun { job, occurrence: None, cause: "enabled", does: "apply", asked_by: "ada" },
        at(0),
    )?;
    let identity = domain::asset::Identity::default();
    let mut assets = std::collections::BTreeMap::new();
    for (n, (asset, state, code)) in (1_i64..).zip(tasks) {
        if !assets.contains_key(asset) {
            let name = format!("host-{asset}");
            let platform = domain::asset::Platform::Linux;
            let made = store::agents::create_asset(tx, &name, platform, "Debian", "10.0.0.1", &identity, at(0))?;
            assets.insert(*asset, made);
        }
        let entry: i64 = tx.insert(
            "INSERT INTO catalogue_entry (entry, revision, digest, title, platform, implication, risk, reversible, needs,
                 body, current)
             VALUES ('e', 1, $1, '', 'linux', 'mitigation', 'low', $2, '', $3, $2) RETURNING id",
            &[&n.to_string(), &true, &vec![0_u8]],
        )?;
        tx.execute(
            "INSERT INTO task (uuid, run_id, job_id, asset_id, entry_key, kind, state, epoch, attempts, cancel_requested,
                 due_at, zone, resolved_by, code, message, report, updated_at)
             VALUES ($1, $2, $3, $4, $5, 'apply', $6, 0, 0, $7, $8, '', '', $9, '', '', $8)",
            &[&Uuid::new_v4(), &run, &job, &assets[asset], &entry, state, &false, &at(0), code],
        )?;
    }
    Ok(run)
}

both_engines!(r17_an_asset_has_reported_when_every_task_on_it_has_a_result, |db| {
    let tasks = [
        (1, "succeeded", Some(0)),
        (1, "failed", Some(1)),
        (2, "succeeded", Some(0)),
        (2, "running", None),
        (3, "cancelled", Some(101)),
        (4, "pending", None),
    ];
    let run = db.write_blocking(move |tx| run(tx, &tasks)).unwrap();
    let (progress, counts) = db.read_blocking(move |tx| mails::progress(tx, run, true)).unwrap();
    assert_eq!(progress, Progress { started: true, assets: 4, reported: 2 });
    assert_eq!(counts, [2, 1, 1, 2]);
    let (progress, _) = db.read_blocking(move |tx| mails::progress(tx, run, false)).unwrap();
    assert!(!progress.started);
    let (none, _) = db.read_blocking(|tx| mails::progress(tx, RunId(999), true)).unwrap();
    assert_eq!(none, Progress::default());
});
