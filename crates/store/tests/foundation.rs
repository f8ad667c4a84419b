//! Settings, numbers, leases, the audit, the outbox and kept answers, on both engines.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

use domain::number::Series;
use domain::time::Timestamp;
use ed25519_dalek::SigningKey;
use store::audit::{self, Entry, Finding, Seal};
use store::idempotency::{self, Begun, LOST, Working};
use store::lease::{self, Lease};
use store::{Error, Result, Transaction, numbers, outbox, settings};
use testkit::both_engines;
use testkit::database::TestDatabase;
use uuid::Uuid;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds)
}

const ADA: Uuid = Uuid::from_u128(1);
const BOB: Uuid = Uuid::from_u128(2);

both_engines!(numbers_count_up_without_reuse, |db| {
    let mut given: Vec<String> = Vec::new();
    for _ in 0..3 {
        given.push(db.write_blocking(|tx| numbers::next(tx, Series::Job)).unwrap().to_string());
    }
    assert_eq!(given, ["MJ0000001", "MJ0000002", "MJ0000003"]);
    assert_eq!(db.write_blocking(|tx| numbers::range(tx, Series::Item, 500)).unwrap(), 1);
    assert_eq!(db.write_blocking(|tx| numbers::range(tx, Series::Item, 2)).unwrap(), 501);
    assert_eq!(db.write_blocking(|tx| numbers::next(tx, Series::Item)).unwrap().ordinal, 503);
});

both_engines!(a_lease_has_one_holder_and_a_growing_fence, |db| {
    let take = |holder: Uuid, now: i64| -> Option<Lease> {
        db.write_blocking(move |tx| lease::acquire(tx, "import", holder, at(now), 60)).unwrap()
    };
    let first = take(ADA, 0).unwrap();
    assert_eq!((first.fence, first.until_at), (1, at(60)));
    assert_eq!(take(BOB, 30), None);
    assert_eq!(take(ADA, 30).unwrap().fence, 1, "the holder keeps its fence");
    let taken = take(BOB, 90).unwrap();
    assert_eq!(taken.fence, 2);
    let old = first.clone();
    assert_eq!(db.write_blocking(move |tx| lease::renew(tx, &old, at(91), 60)).unwrap(), None);
    let hold = |lease: &Lease| {
        let lease = lease.clone();
        db.write_blocking(move |tx| lease::hold(tx, &lease))
    };
    assert!(hold(&first).unwrap_err().conflicts_with(lease::LOST), "a replica that slept cannot write");
    hold(&taken).unwrap();
    let back = taken.clone();
    db.write_blocking(move |tx| lease::release(tx, &back)).unwrap();
    assert_eq!(take(ADA, 92).unwrap().fence, 3);
});

both_engines!(a_message_is_claimed_once_and_comes_back_after_its_worker_died, |db| {
    let pushed = db
        .write_blocking(|tx| {
            let first = outbox::push(tx, "mail", "job-1", "{}", at(0), at(0))?;
            let again = outbox::push(tx, "mail", "job-1", "{}", at(0), at(0))?;
            outbox::push(tx, "mail", "job-2", "{}", at(0), at(100))?;
            Ok((first, again))
        })
        .unwrap();
    assert_eq!(pushed, (true, false));
    let claim =
        |id: Uuid, now: i64| db.write_blocking(move |tx| outbox::claim(tx, "mail", id, at(now), 30, 10)).unwrap();
    let mine = claim(ADA, 1);
    assert_eq!(mine.iter().map(|message| (message.key.as_str(), message.tries)).collect::<Vec<_>>(), [("job-1", 1)]);
    assert!(claim(BOB, 2).is_empty());
    let theirs = claim(BOB, 60);
    assert_eq!(theirs[0].tries, 2);
    let late = mine[0].clone();
    assert!(!db.write_blocking(move |tx| outbox::done(tx, &late)).unwrap(), "the claim was lost");
    let retried = theirs[0].clone();
    assert!(db.write_blocking(move |tx| outbox::retry(tx, &retried, at(80), "no answer")).unwrap());
    assert_eq!(db.read_blocking(|tx| outbox::next_due(tx, "mail")).unwrap(), Some(at(80)));
    let last = claim(ADA, 80)[0].clone();
    assert!(db.write_blocking(move |tx| outbox::give_up(tx, &last, at(81), "refused")).unwrap());
    assert_eq!(claim(ADA, 200).iter().map(|message| message.key.as_str()).collect::<Vec<_>>(), ["job-2"]);
});

both_engines!(settings_are_versioned_and_audited, |db| {
    let put = |value: i64, expected: Option<i64>| {
        db.write_blocking(move |tx| settings::put(tx, "users/ada", "scan.poll_seconds", &value, expected, at(0)))
    };
    let get = || db.read_blocking(|tx| settings::get::<i64>(tx, "scan.poll_seconds")).unwrap();
    assert_eq!(get(), None);
    assert!(put(5, Some(3)).unwrap_err().conflicts_with(settings::CHANGED));
    assert_eq!(get(), None);
    assert_eq!(put(60, Some(0)).unwrap(), 1);
    assert!(put(61, Some(0)).unwrap_err().conflicts_with(settings::CHANGED));
    assert_eq!(put(62, Some(1)).unwrap(), 2);
    assert_eq!(put(63, None).unwrap(), 3);
    assert_eq!(get(), Some(settings::Setting { value: 63, version: 3 }));
    let entries = db.read_blocking(|tx| audit::of_resource(tx, "settings/scan.poll_seconds", None, 10)).unwrap();
    assert_eq!(entries.len(), 3, "a refused change leaves no entry");
    assert!(String::from_utf8_lossy(&entries[0].body).contains("\"value\":63"));
    let wrong = db.read_blocking(|tx| settings::get::<Vec<String>>(tx, "scan.poll_seconds"));
    assert!(matches!(wrong, Err(Error::Failed { .. })));
});

fn working(seconds: i64) -> Working {
    Working { actor: "users/ada".to_owned(), key: "key".to_owned(), begun_at: at(seconds) }
}

both_engines!(a_repeated_request_gets_the_first_answer, |db| {
    let begin = |request: [u8; 32], seconds: i64| {
        db.write_blocking(move |tx| idempotency::begin(tx, "users/ada", "key", &request, 60, at(seconds))).unwrap()
    };
    let refused: Result<()> = db.write_blocking(|tx| {
        assert_eq!(idempotency::begin(tx, "users/ada", "key", &[1; 32], 60, at(0))?, Begun::New);
        Err(Error::NotFound)
    });
    assert!(refused.is_err());
    assert_eq!(begin([1; 32], 0), Begun::New, "the failure left nothing");
    db.write_blocking(|tx| idempotency::finish(tx, &working(0), 201, b"{}")).unwrap();
    assert_eq!(begin([1; 32], 1), Begun::Repeated { status: 201, answer: b"{}".to_vec() });
    assert_eq!(begin([2; 32], 1), Begun::Misused);
    assert_eq!(db.write_blocking(|tx| idempotency::forget_before(tx, at(1))).unwrap(), 1);
    assert_eq!(begin([2; 32], 2), Begun::New);
});

both_engines!(a_key_is_held_by_one_and_nothing_is_done_twice, |db| {
    let begin = |seconds: i64| {
        db.write_blocking(move |tx| idempotency::begin(tx, "users/ada", "key", &[1; 32], 60, at(seconds))).unwrap()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let work = |seconds: i64| {
        let write = db.write(|tx| {
            tx.execute("INSERT INTO setting (key, value, version, changed_at) VALUES ('done', '1', 1, 0)", &[])
        });
        runtime.block_on(idempotency::within(working(seconds), write))
    };
    // Another replica at the same instant, and until the time is over.
    assert_eq!((begin(0), begin(0), begin(59)), (Begun::New, Begun::InProgress, Begun::InProgress));
    // The first one died before it kept anything: the next one does the work, and the first, should it live, does not.
    assert_eq!(begin(60), Begun::New);
    assert!(matches!(work(0), Err(Error::Conflict(name)) if name == LOST));
    assert_eq!(work(60).unwrap(), 1);
    // It died between its work and its note: nobody does it again.
    assert_eq!((begin(61), begin(121), begin(5_000)), (Begun::InProgress, Begun::Unknown, Begun::Unknown));
    db.write_blocking(|tx| idempotency::finish(tx, &working(0), 200, b"late")).unwrap();
    assert_eq!(begin(5_001), Begun::Unknown, "whoever lost the key notes nothing");
    // What kept something is not forgotten, even where it was refused.
    db.write_blocking(|tx| idempotency::forget(tx, &working(60))).unwrap();
    assert_eq!(begin(6_000), Begun::Unknown);
});

both_engines!(a_key_under_which_nothing_was_kept_is_free_at_once, |db| {
    let begin = |request: u8, seconds: i64| {
        db.write_blocking(move |tx| idempotency::begin(tx, "users/ada", "key", &[request; 32], 60, at(seconds)))
            .unwrap()
    };
    // A failure of ours: the same request may be tried again at once, another may not.
    assert_eq!(begin(1, 0), Begun::New);
    db.write_blocking(|tx| idempotency::let_go(tx, &working(0))).unwrap();
    assert_eq!((begin(2, 1), begin(1, 1)), (Begun::Misused, Begun::New));
    // A refusal: the key is free for another request.
    db.write_blocking(|tx| idempotency::forget(tx, &working(0))).unwrap();
    assert_eq!(begin(1, 2), Begun::InProgress, "whoever lost the key forgets nothing");
    db.write_blocking(|tx| idempotency::forget(tx, &working(1))).unwrap();
    assert_eq!(begin(2, 2), Begun::New);
});

// --- the audit -------------------------------------------------------------------------------------------------------

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn append(tx: &mut Transaction<'_>, n: i64) -> Result<i64> {
    let resource = format!("jobs/MJ{n:07}");
    let detail = serde_json::json!({ "n": n, "text": "☃ \u{0} \"quoted\"" });
    audit::append(tx, &Entry { at: at(n), actor: "users/ada", action: "job.enable", resource: &resource, detail })
}

fn seal(db: &TestDatabase, now: i64) -> Option<Seal> {
    db.write_blocking(move |tx| {
        let lease = lease::acquire(tx, "audit", ADA, at(now), 60)?.expect("nobody else seals");
        audit::seal(tx, &lease, "k1", &signing_key(), at(now))
    })
    .unwrap()
}

fn sealed(db: &TestDatabase) {
    for (entries, now) in [(1, 100), (5, 200), (3, 300)] {
        db.write_blocking(move |tx| (0..entries).try_for_each(|n| append(tx, now + n).map(|_| ()))).unwrap();
        assert_eq!(seal(db, now).unwrap().entries, entries);
    }
    assert_eq!(seal(db, 400), None);
    db.write_blocking(|tx| append(tx, 1)).unwrap();
}

fn verify(db: &TestDatabase) -> audit::Verification {
    let key = signing_key().verifying_key();
    db.read_blocking(move |tx| audit::verify(tx, |id| (id == "k1").then_some(key))).unwrap()
}

both_engines!(an_untouched_audit_verifies, |db| {
    sealed(db);
    let verification = verify(db);
    assert_eq!(verification.findings, []);
    assert_eq!((verification.seals, verification.entries, verification.unsealed), (3, 9, 1));
    let stranger = db.read_blocking(|tx| audit::verify(tx, |_| None)).unwrap();
    assert_eq!(stranger.findings.len(), 3);
});

both_engines!(tampering_with_the_audit_shows, |db| {
    sealed(db);
    let cases: [(&'static str, Finding); 8] = [
        ("UPDATE audit_entry SET body = leaf WHERE id = 3", Finding::Entries(2)),
        ("DELETE FROM audit_entry WHERE id = 4", Finding::Entries(2)),
        ("UPDATE audit_entry SET seal = 3 WHERE id = 4", Finding::Entries(2)),
        ("UPDATE audit_entry SET actor = 'users/eve' WHERE id = 8", Finding::Columns(8)),
        ("UPDATE audit_seal SET root = previous WHERE number = 1", Finding::Entries(1)),
        ("UPDATE audit_seal SET at = at + 1 WHERE number = 3", Finding::Signature { seal: 3, key_id: "k1".into() }),
        ("DELETE FROM audit_seal WHERE number = 2", Finding::SealMissing(2)),
        ("UPDATE audit_entry SET id = 100 WHERE id = 3", Finding::Entries(2)),
    ];
    for (tamper, finding) in cases {
        let key = signing_key().verifying_key();
        let found = db.write_blocking(move |tx| {
            let found = tx.attempt(|tx| {
                tx.execute(tamper, &[])?;
                let found = audit::verify(tx, |_| Some(key))?;
                // Undo, but bring the findings out.
                Err::<(), Undo>(Undo(found))
            });
            Ok(found.err().map(|Undo(found)| found))
        });
        let found = found.unwrap().unwrap();
        assert!(found.findings.contains(&finding), "{tamper}: {:?}", found.findings);
        assert_eq!(verify(db).findings, [], "{tamper} was undone");
    }
});

struct Undo(audit::Verification);

impl From<Error> for Undo {
    fn from(error: Error) -> Self {
        panic!("the store failed: {error:?}");
    }
}

both_engines!(only_the_holder_of_the_lease_seals, |db| {
    db.write_blocking(|tx| append(tx, 1)).unwrap();
    let sealed = db.write_blocking(|tx| {
        let old = lease::acquire(tx, "audit", ADA, at(0), 1)?.expect("free");
        lease::acquire(tx, "audit", BOB, at(10), 60)?.expect("expired");
        audit::seal(tx, &old, "k1", &signing_key(), at(10))
    });
    assert!(sealed.unwrap_err().conflicts_with(lease::LOST));
});
