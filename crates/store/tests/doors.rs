//! The doors: group commit, collisions, panics, callers that go away, connections that die.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use store::{Config, Database, Engine, Error, Limits, Location, Result, Transaction, migrate};
use testkit::both_engines;
use testkit::database::TestDatabase;

fn tables(db: &TestDatabase) {
    db.write_blocking(|tx| {
        tx.script("CREATE TABLE tally (name {text} NOT NULL PRIMARY KEY, n {whole} NOT NULL) {keyed};")
    })
    .unwrap();
}

fn read(tx: &mut Transaction<'_>, name: &str) -> Result<i64> {
    Ok(tx.optional::<(i64,)>("SELECT n FROM tally WHERE name = $1", &[&name])?.map_or(0, |(n,)| n))
}

fn write(tx: &mut Transaction<'_>, name: &str, n: i64) -> Result<()> {
    tx.execute(
        "INSERT INTO tally (name, n) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET n = excluded.n",
        &[&name, &n],
    )
    .map(|_| ())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

both_engines!(read_decide_write_loses_no_update, |db| {
    tables(db);
    let handle: Database = (**db).clone();
    runtime().block_on(async move {
        let mut tasks = Vec::new();
        for _ in 0..120 {
            let db = handle.clone();
            tasks.push(tokio::spawn(async move {
                db.write(|tx| {
                    let n = read(tx, "shared")?;
                    write(tx, "shared", n + 1)
                })
                .await
            }));
        }
        let mut busy = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(()) => {}
                Err(Error::Busy) => busy += 1, // told so, and nothing was written
                Err(other) => panic!("{other:?}"),
            }
        }
        let n = handle.read(|tx| read(tx, "shared")).await.unwrap();
        assert_eq!(n, 120 - busy);
        assert!(busy < 12, "{busy} of 120 gave up");
    });
});

both_engines!(two_writers_cannot_both_act_on_what_neither_wrote, |db| {
    // Write skew: each reads the other's row and writes its own. Alone each sees at most one on duty.
    tables(db);
    let handle: Database = (**db).clone();
    runtime().block_on(async move {
        for round in 0..20 {
            handle.write(|tx| write(tx, "ada", 1).and_then(|()| write(tx, "bob", 1))).await.unwrap();
            let leave = |name: &'static str| {
                let db = handle.clone();
                async move {
                    db.write(move |tx| {
                        let on_duty = read(tx, "ada")? + read(tx, "bob")?;
                        if on_duty == 2 { write(tx, name, 0) } else { Ok(()) }
                    })
                    .await
                }
            };
            let (a, b) = tokio::join!(leave("ada"), leave("bob"));
            a.unwrap();
            b.unwrap();
            let left = handle.read(|tx| Ok(read(tx, "ada")? + read(tx, "bob")?)).await.unwrap();
            assert_eq!(left, 1, "round {round}");
        }
    });
});

both_engines!(members_of_a_group_fail_alone, |db| {
    tables(db);
    let handle: Database = (**db).clone();
    runtime().block_on(async move {
        let mut tasks = Vec::new();
        for n in 0..200_i64 {
            let db = handle.clone();
            tasks.push(tokio::spawn(async move {
                db.write(move |tx| {
                    write(tx, &format!("n{n}"), n)?;
                    match n % 4 {
                        0 => Ok(n),
                        1 => Err(Error::NotFound),
                        2 => tx.scalar("SELECT nonsense FROM nowhere", &[]),
                        _ => panic!("member {n} panics"),
                    }
                })
                .await
            }));
        }
        for (n, task) in tasks.into_iter().enumerate() {
            let result = task.await;
            match n % 4 {
                0 => assert_eq!(result.unwrap().unwrap(), n as i64),
                1 => assert!(matches!(result.unwrap(), Err(Error::NotFound))),
                2 => assert!(matches!(result.unwrap(), Err(Error::Failed { .. }))),
                _ => assert!(result.unwrap_err().is_panic(), "the panic arrives where the write was asked for"),
            }
        }
        let kept: Vec<(i64,)> = handle.read(|tx| tx.all("SELECT n FROM tally ORDER BY n", &[])).await.unwrap();
        assert_eq!(kept, (0..200).filter(|n| n % 4 == 0).map(|n| (n,)).collect::<Vec<_>>());
    });
});

both_engines!(a_write_goes_on_when_its_caller_goes_away, |db| {
    tables(db);
    let handle: Database = (**db).clone();
    runtime().block_on(async move {
        for n in 0..20_i64 {
            let write = handle.write(move |tx| {
                std::thread::sleep(Duration::from_millis(5));
                write(tx, &format!("n{n}"), n)
            });
            // Dropped while the closure runs.
            let _ = tokio::time::timeout(Duration::from_millis(2), write).await;
        }
        let mut kept = 0;
        for _ in 0..200 {
            kept = handle.read(|tx| tx.scalar::<i64>("SELECT count(*) FROM tally", &[])).await.unwrap();
            if kept == 20 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // On PostgreSQL a caller that goes away before its turn came asked for nothing; after that, it is done.
        assert!(kept == 20 || (handle.engine() == Engine::Postgres && kept > 0), "{kept}");
    });
});

both_engines!(an_error_of_ones_own_undoes_the_work, |db| {
    #[derive(Debug)]
    enum Refused {
        Rule,
        Store(Error),
    }
    impl From<Error> for Refused {
        fn from(error: Error) -> Self {
            Refused::Store(error)
        }
    }
    tables(db);
    let handle: Database = (**db).clone();
    runtime().block_on(async move {
        let refused: Result<(), Refused> = handle
            .try_write(|tx| {
                write(tx, "x", 1)?;
                Err(Refused::Rule)
            })
            .await;
        assert!(matches!(refused, Err(Refused::Rule)), "{refused:?}");
        let failed: Result<i64, Refused> = handle.try_read(|tx| Ok(tx.scalar("SELECT nonsense", &[])?)).await;
        assert!(matches!(failed, Err(Refused::Store(Error::Failed { .. }))));
        assert_eq!(handle.read(|tx| read(tx, "x")).await.unwrap(), 0);
    });
});

both_engines!(blocking_doors_work_inside_a_runtime_and_the_last_handle_may_be_dropped_there, |db| {
    tables(db);
    let location: Location = db.location().parse().unwrap();
    runtime().block_on(async move {
        let second = Database::open(&Config::new(location)).unwrap();
        second.write_blocking(|tx| write(tx, "x", 7)).unwrap();
        assert_eq!(second.read_blocking(|tx| read(tx, "x")).unwrap(), 7);
        drop(second); // PostgreSQL's client panics when it is dropped here; the pool does not
    });
    assert_eq!(db.read_blocking(|tx| read(tx, "x")).unwrap(), 7);
});

both_engines!(a_statement_ends_at_its_time_limit, |db| {
    let limits = Limits { read: Duration::from_millis(300), ..Limits::default() };
    let config = Config { limits, ..Config::new(db.location().parse().unwrap()) };
    let hurried = Database::open(&config).unwrap();
    let endless = hurried.read_blocking(|tx| {
        tx.scalar::<i64>(
            "WITH RECURSIVE number (n) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM number)
             SELECT count(*) FROM number",
            &[],
        )
    });
    let error = endless.unwrap_err().to_string();
    assert!(error.contains("time limit"), "{error}");
    assert_eq!(hurried.read_blocking(|tx| tx.scalar::<i64>("SELECT CAST(1 AS BIGINT)", &[])).unwrap(), 1);
});

both_engines!(readers_see_one_unchanging_state, |db| {
    tables(db);
    let other: Database = (**db).clone();
    let (before, after) = db
        .read_blocking(move |tx| {
            let before = read(tx, "x")?;
            other.write_blocking(|tx| write(tx, "x", 1))?;
            Ok((before, read(tx, "x")?))
        })
        .unwrap();
    assert_eq!((before, after), (0, 0));
    assert_eq!(db.read_blocking(|tx| read(tx, "x")).unwrap(), 1);
});

#[test]
fn two_replicas_may_start_together() {
    let Some(bare) = TestDatabase::bare_postgres("two_replicas_may_start_together") else { return };
    let location = bare.location();
    let applied = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let replica = Database::postgres(&location).unwrap();
                applied.fetch_add(migrate::run(&replica).unwrap() as u32, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(applied.load(Ordering::Relaxed) as usize, migrate::MIGRATIONS.len());
}

#[test]
fn connections_that_died_are_replaced() {
    let Some(db) = TestDatabase::migrated(Engine::Postgres, "connections_that_died_are_replaced") else { return };
    let handle: Database = (*db).clone();
    runtime().block_on(async move {
        // Several connections in the pool.
        let slow = || handle.read(|tx| tx.scalar::<bool>("SELECT pg_sleep(0.1) IS NOT NULL", &[]));
        let _ = tokio::join!(slow(), slow(), slow());
        let killed = handle
            .read(|tx| {
                tx.scalar::<i64>(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()",
                    &[],
                )
            })
            .await
            .unwrap();
        assert!(killed >= 2, "{killed}");
        let (a, b, c) = tokio::join!(slow(), slow(), slow());
        assert!(a.unwrap() && b.unwrap() && c.unwrap());
    });
}

#[test]
fn a_closure_that_collides_runs_again() {
    let Some(db) = TestDatabase::migrated(Engine::Postgres, "a_closure_that_collides_runs_again") else { return };
    tables(&db);
    let other: Database = (*db).clone();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    db.write_blocking(move |tx| {
        let n = read(tx, "x")?;
        if counted.fetch_add(1, Ordering::Relaxed) == 0 {
            other.write_blocking(|tx| write(tx, "x", 10))?; // somebody else is faster, once
        }
        write(tx, "x", n + 1)
    })
    .unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    assert_eq!(db.read_blocking(|tx| read(tx, "x")).unwrap(), 11);
}

#[test]
fn an_unreachable_server_is_unavailable() {
    let nowhere = Database::postgres("postgresql://nobody@127.0.0.1:1/none").unwrap();
    let result = nowhere.read_blocking(|tx| tx.scalar::<i64>("SELECT 1", &[]));
    assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
    let encrypted = Database::postgres("postgresql://nobody@127.0.0.1/none?sslmode=require");
    assert!(encrypted.is_err(), "never in clear text where TLS was asked for");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quell.db");
    std::fs::write(&path, "this is not a database, only a text that is long enough to be looked at".repeat(20))
        .unwrap();
    assert!(Database::sqlite(&path).is_err());
    assert!(Database::sqlite(folder.path().join("no/such/folder/quell.db")).is_err());
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quell.db");
    let db = Database::sqlite(&path).unwrap();
    migrate::run(&db).unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[test]
fn a_location_is_read_and_never_shown_with_its_password() {
    let parse = |text: &str| text.parse::<Location>();
    assert_eq!(parse("/var/lib/quell/quell.db").unwrap(), Location::Sqlite("/var/lib/quell/quell.db".into()));
    assert_eq!(parse("sqlite:q.db").unwrap(), Location::Sqlite("q.db".into()));
    let server = parse("postgresql://quell:secret@db/quell").unwrap();
    assert!(!format!("{server:?}").contains("secret"));
    for wrong in ["", "mysql://x", "sqlite:"] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
