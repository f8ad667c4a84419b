//! The traps that two engines set (style guide 2.6): each test shows that a statement means the same on both.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

use store::{Error, Result, Sql, Transaction, last_per_key, record, stage};
use testkit::both_engines;
use testkit::database::TestDatabase;

const TABLES: &str = "
    CREATE TABLE parent (id {id}, name {text} NOT NULL) {strict};
    CREATE UNIQUE INDEX parent_name ON parent (name);
    CREATE TABLE child (
        id {id}, parent_id {whole} NOT NULL REFERENCES parent (id), place {whole}, kind {text},
        size {small} NOT NULL DEFAULT 1 CONSTRAINT child_size CHECK (size > 0),
        UNIQUE (parent_id, place)
    ) {strict};
    CREATE UNIQUE INDEX child_kind ON child (kind) WHERE place IS NULL;
    CREATE UNIQUE INDEX child_lower_kind ON child (lower(kind));
    CREATE TABLE pair (a {whole} NOT NULL, b {text} NOT NULL, n {whole} NOT NULL, PRIMARY KEY (a, b)) {keyed};";

fn tables(db: &TestDatabase) {
    db.write_blocking(|tx| tx.script(TABLES)).unwrap();
}

fn parent(tx: &mut Transaction<'_>, name: &str) -> Result<i64> {
    tx.insert("INSERT INTO parent (name) VALUES ($1) RETURNING id", &[&name])
}

fn names(tx: &mut Transaction<'_>) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = tx.all("SELECT name FROM parent ORDER BY name", &[])?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

both_engines!(parameters_are_taken_by_number_not_by_appearance, |db| {
    let row: (i64, i64, i64) = db
        .read_blocking(|tx| {
            tx.one("SELECT CAST($2 AS BIGINT), CAST($1 AS BIGINT), CAST($2 AS BIGINT)", &[&1_i64, &2_i64])
        })
        .unwrap();
    assert_eq!(row, (2, 1, 2));
});

both_engines!(a_missing_parameter_is_refused, |db| {
    let none = db.read_blocking(|tx| tx.scalar::<i64>("SELECT CAST($1 AS BIGINT)", &[]));
    assert!(none.is_err());
    let many = db.read_blocking(|tx| tx.scalar::<i64>("SELECT CAST($1 AS BIGINT)", &[&1_i64, &2_i64]));
    assert!(many.is_err());
});

#[derive(Clone, Debug, PartialEq)]
struct Pair {
    a: i64,
    b: String,
    n: i64,
}
stage!(Pair as "pair_batch" { a: i64, b: String, n: i64 });

fn merge(tx: &mut Transaction<'_>, pairs: &[Pair]) -> Result<u64> {
    tx.stage(pairs)?;
    tx.execute(
        "INSERT INTO pair (a, b, n) SELECT a, b, n FROM pair_batch WHERE true
         ON CONFLICT (a, b) DO UPDATE SET n = excluded.n",
        &[],
    )
}

fn pair(a: i64, b: &str, n: i64) -> Pair {
    Pair { a, b: b.to_owned(), n }
}

both_engines!(a_batch_has_one_row_per_key, |db| {
    tables(db);
    let rows = vec![pair(1, "x", 1), pair(1, "y", 2), pair(1, "x", 3)];
    let rows = last_per_key(rows, |pair| (pair.a, pair.b.clone()));
    assert_eq!(db.write_blocking(move |tx| merge(tx, &rows)).unwrap(), 2);
    let n: i64 = db.read_blocking(|tx| tx.scalar("SELECT n FROM pair WHERE a = 1 AND b = $1", &[&"x"])).unwrap();
    assert_eq!(n, 3);
});

both_engines!(a_staged_batch_holds_exactly_its_rows, |db| {
    tables(db);
    let counts = db
        .write_blocking(|tx| {
            let many: Vec<Pair> = (0..2_500).map(|n| pair(n, "b", n)).collect();
            let first = merge(tx, &many)?;
            let second = merge(tx, &[pair(-1, "b", 0)])?;
            let none = merge(tx, &[])?;
            Ok((first, second, none))
        })
        .unwrap();
    assert_eq!(counts, (2_500, 1, 0));
    // A later transaction does not see the rows of an earlier one.
    let left = db.write_bulk_blocking(|tx| {
        tx.stage::<Pair>(&[])?;
        tx.scalar::<i64>("SELECT count(*) FROM pair_batch", &[])
    });
    assert_eq!(left.unwrap(), 0);
    // Nor does one after a failure, which took the temporary table with it where it was new.
    let failed: Result<()> = db.write_blocking(|tx| {
        tx.stage(&[pair(9, "z", 9)])?;
        Err(Error::NotFound)
    });
    assert!(matches!(failed, Err(Error::NotFound)));
    assert_eq!(db.write_blocking(|tx| merge(tx, &[pair(9, "y", 9)])).unwrap(), 1);
    assert!(db.read_blocking(|tx| tx.stage(&[pair(1, "a", 1)])).is_err(), "a read stages nothing");
});

both_engines!(like_ignores_case_only_where_it_is_told, |db| {
    // The pattern is lowered before it is bound: `lower($1)` would follow the locale of a PostgreSQL database.
    tables(db);
    db.write_blocking(|tx| parent(tx, "ABC").and_then(|_| parent(tx, "ÀBC"))).unwrap();
    let like = |pattern: &'static str| -> Vec<String> {
        db.read_blocking(move |tx| {
            let rows: Vec<(String,)> = tx.all(
                "SELECT name FROM parent WHERE lower(name) LIKE $1 ORDER BY name",
                &[&pattern.to_ascii_lowercase()],
            )?;
            Ok(rows.into_iter().map(|(name,)| name).collect())
        })
        .unwrap()
    };
    assert_eq!(like("aB%"), ["ABC"]);
    assert_eq!(like("Àb%"), ["ÀBC"]);
    assert!(like("àb%").is_empty(), "letters beyond ASCII keep their case on both engines");
});

both_engines!(sums_are_whole_numbers_when_cast, |db| {
    tables(db);
    db.write_blocking(|tx| merge(tx, &[pair(1, "a", i64::from(i32::MAX)), pair(2, "a", 7)])).unwrap();
    let sum: i64 = db.read_blocking(|tx| tx.scalar("SELECT CAST(sum(n) AS BIGINT) FROM pair", &[])).unwrap();
    assert_eq!(sum, i64::from(i32::MAX) + 7);
});

both_engines!(missing_values_stand_where_the_statement_says, |db| {
    let order: Vec<(Option<i64>,)> = db
        .read_blocking(|tx| {
            tx.all(
                "SELECT n FROM (SELECT CAST(2 AS BIGINT) AS n UNION ALL SELECT NULL UNION ALL SELECT 1) AS rows
                 ORDER BY n DESC NULLS LAST",
                &[],
            )
        })
        .unwrap();
    assert_eq!(order, [(Some(2),), (Some(1),), (None,)]);
});

both_engines!(text_is_ordered_by_its_bytes, |db| {
    tables(db);
    let given = ["b", "B", "a", "ä", "Z", "-a", "_", "a b", "aB", "\u{10000}", "\u{ffff}"];
    db.write_blocking(move |tx| given.iter().try_for_each(|name| parent(tx, name).map(|_| ()))).unwrap();
    let mut expected: Vec<&str> = given.to_vec();
    expected.sort_unstable();
    assert_eq!(db.read_blocking(names).unwrap(), expected);
});

both_engines!(nul_in_text_becomes_a_visible_mark, |db| {
    tables(db);
    db.write_blocking(|tx| parent(tx, "a\0b")).unwrap();
    db.write_blocking(|tx| merge(tx, &[pair(1, "c\0d", 1)])).unwrap();
    assert_eq!(db.read_blocking(names).unwrap(), ["a\u{fffd}b"]);
    let staged: String = db.read_blocking(|tx| tx.scalar("SELECT b FROM pair", &[])).unwrap();
    assert_eq!(staged, "c\u{fffd}d");
});

both_engines!(whole_numbers_fit_their_column_or_are_refused, |db| {
    tables(db);
    let insert = |size: i64| {
        db.write_blocking(move |tx| {
            let parent = parent(tx, &format!("p{size}"))?;
            tx.execute("INSERT INTO child (parent_id, size) VALUES ($1, $2)", &[&parent, &size])
        })
    };
    assert_eq!(insert(32_767).unwrap(), 1);
    let read: i32 = db.read_blocking(|tx| tx.scalar("SELECT size FROM child", &[])).unwrap();
    assert_eq!(read, 32_767, "any Rust width that holds the value reads it");
    let narrow = db.read_blocking(|tx| tx.scalar::<u8>("SELECT size FROM child", &[]));
    assert!(matches!(narrow, Err(Error::Failed { .. })), "{narrow:?}");
});

both_engines!(not_a_number_is_refused, |db| {
    let result = db.read_blocking(|tx| tx.scalar::<f64>("SELECT CAST($1 AS DOUBLE PRECISION)", &[&f64::NAN]));
    assert!(result.is_err());
});

both_engines!(lists_are_one_parameter, |db| {
    tables(db);
    let (whole, text) = db
        .write_blocking(|tx| {
            merge(tx, &(0..10).map(|n| pair(n, &format!("b{n}"), n)).collect::<Vec<_>>())?;
            let whole: i64 = tx.scalar("SELECT count(*) FROM pair WHERE a {in $1}", &[&vec![1_i64, 5, 99]])?;
            let texts = vec!["b1".to_owned(), "b'\"2".to_owned(), "b7".to_owned()];
            let text: i64 = tx.scalar("SELECT count(*) FROM pair WHERE b {in $1} AND a > $2", &[&texts, &1_i64])?;
            let none: i64 = tx.scalar("SELECT count(*) FROM pair WHERE a {in $1}", &[&Vec::<i64>::new()])?;
            assert_eq!(none, 0);
            Ok((whole, text))
        })
        .unwrap();
    assert_eq!((whole, text), (2, 1));
    let small = db.write_blocking(|tx| {
        let parent = parent(tx, "p")?;
        tx.execute("INSERT INTO child (parent_id, size) VALUES ($1, 3)", &[&parent])?;
        tx.scalar::<i64>("SELECT count(*) FROM child WHERE size {in $1}", &[&vec![3_i64, i64::MAX]])
    });
    assert_eq!(small.unwrap(), 1);
});

both_engines!(broken_constraints_have_the_same_name, |db| {
    tables(db);
    let parent_id = db.write_blocking(|tx| parent(tx, "p")).unwrap();
    db.write_blocking(move |tx| {
        merge(tx, &[pair(1, "a", 1)])?;
        tx.execute("INSERT INTO child (parent_id, place, kind) VALUES ($1, 1, 'k')", &[&parent_id])
    })
    .unwrap();
    let cases: [(&'static str, &str); 9] = [
        ("INSERT INTO parent (name) VALUES ('p')", "parent_name"),
        ("INSERT INTO parent (name) VALUES (NULL)", "parent_name_not_null"),
        ("INSERT INTO parent (id, name) SELECT id, 'q' FROM parent", "parent_pkey"),
        ("INSERT INTO child (parent_id) VALUES (-1)", "foreign_key"),
        ("DELETE FROM parent", "foreign_key"),
        ("INSERT INTO child (parent_id, place) SELECT parent_id, place FROM child", "child_parent_id_place_key"),
        ("INSERT INTO child (parent_id, kind) SELECT parent_id, 'K' FROM child", "child_lower_kind"),
        ("UPDATE child SET size = 0", "child_size"),
        ("INSERT INTO pair (a, b, n) VALUES (1, 'a', 2)", "pair_pkey"),
    ];
    for (sql, constraint) in cases {
        let error = db.write_blocking(move |tx| tx.execute(sql, &[])).unwrap_err();
        assert!(error.conflicts_with(constraint), "{sql}: {error:?}");
    }
});

both_engines!(keys_are_never_used_again, |db| {
    tables(db);
    let first = db.write_blocking(|tx| parent(tx, "a")).unwrap();
    let second = db
        .write_blocking(|tx| {
            tx.execute("DELETE FROM parent", &[])?;
            parent(tx, "b")
        })
        .unwrap();
    assert!(second > first);
});

both_engines!(after_a_failed_statement_nothing_more_runs_and_nothing_is_kept, |db| {
    tables(db);
    let result = db.write_blocking(|tx| {
        parent(tx, "a")?;
        let failed = parent(tx, "a");
        assert!(failed.unwrap_err().conflicts_with("parent_name"));
        assert!(matches!(parent(tx, "b"), Err(Error::Failed { .. })), "the transaction is over");
        Ok(())
    });
    assert!(matches!(result, Err(Error::Failed { .. })), "not even by a closure that looks away: {result:?}");
    assert!(db.read_blocking(names).unwrap().is_empty());
});

both_engines!(an_attempt_is_undone_alone, |db| {
    tables(db);
    db.write_blocking(|tx| {
        parent(tx, "a")?;
        let inner: Result<()> = tx.attempt(|tx| {
            parent(tx, "b")?;
            tx.stage(&[pair(1, "in", 1)])?;
            parent(tx, "a").map(|_| ())
        });
        assert!(inner.unwrap_err().conflicts_with("parent_name"));
        merge(tx, &[pair(2, "out", 2)])?;
        let chosen: Result<()> = tx.attempt(|tx| {
            parent(tx, "c")?;
            tx.attempt::<(), Error>(|tx| parent(tx, "d").map(|_| ()))?;
            Err(Error::NotFound)
        });
        assert!(matches!(chosen, Err(Error::NotFound)));
        tx.stage(&[pair(3, "before", 3)])?;
        let undone: Result<()> = tx.attempt(|tx| tx.stage(&[pair(4, "inside", 4)]).and(Err(Error::NotFound)));
        assert!(undone.is_err());
        assert_eq!(tx.all::<(i64,)>("SELECT a FROM pair_batch", &[])?, [(3,)]);
        tx.stage(&[pair(5, "after", 5)])?;
        assert_eq!(tx.all::<(i64,)>("SELECT a FROM pair_batch", &[])?, [(5,)]);
        tx.attempt(|tx| parent(tx, "e")).map(|_| ())
    })
    .unwrap();
    assert_eq!(db.read_blocking(names).unwrap(), ["a", "e"]);
    let pairs: Vec<(i64,)> = db.read_blocking(|tx| tx.all("SELECT a FROM pair", &[])).unwrap();
    assert_eq!(pairs, [(2,)]);
});

both_engines!(a_read_changes_nothing, |db| {
    tables(db);
    assert!(db.read_blocking(|tx| parent(tx, "a")).is_err());
    assert!(db.read_blocking(names).unwrap().is_empty());
});

both_engines!(returning_gives_rows_and_counts, |db| {
    tables(db);
    db.write_blocking(|tx| merge(tx, &[pair(1, "a", 1), pair(2, "a", 2), pair(3, "a", 3)])).unwrap();
    let changed: Vec<(i64,)> =
        db.write_blocking(|tx| tx.all("UPDATE pair SET n = n + 1 WHERE a > 1 RETURNING a", &[])).unwrap();
    assert_eq!(changed.len(), 2);
    let counted = db.write_blocking(|tx| tx.execute("UPDATE pair SET n = 0 WHERE a > 1 RETURNING a", &[]));
    assert_eq!(counted.unwrap(), 2);
    let joined = db.write_blocking(|tx| {
        tx.stage(&[pair(1, "a", 50)])?;
        tx.execute("UPDATE pair SET n = pair_batch.n FROM pair_batch WHERE pair_batch.a = pair.a", &[])
    });
    assert_eq!(joined.unwrap(), 1);
});

record! {
    struct Line {
        a: i64,
        missing: i64,
    }
}

both_engines!(a_missing_column_is_named, |db| {
    tables(db);
    db.write_blocking(|tx| merge(tx, &[pair(1, "a", 1)])).unwrap();
    let error = db.read_blocking(|tx| tx.one::<Line>("SELECT a FROM pair", &[]).map(|line| line.a + line.missing));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("missing") && error.contains("SELECT a FROM pair"), "{error}");
});

both_engines!(rows_stream_and_a_refusal_ends_the_reading, |db| {
    tables(db);
    db.write_bulk_blocking(|tx| merge(tx, &(0..5_000).map(|n| pair(n, "b", n)).collect::<Vec<_>>())).unwrap();
    let seen = db.read_blocking(|tx| {
        let mut seen = 0_i64;
        let sql = Sql::new("SELECT a FROM pair WHERE n >= ").bind(&10_i64).text(" ORDER BY a");
        tx.each_built(&sql, |(a,): (i64,)| {
            seen += a;
            Ok(())
        })?;
        Ok(seen)
    });
    assert_eq!(seen.unwrap(), (10..5_000).sum::<i64>());
    let stopped = db.read_blocking(|tx| {
        let mut left = 3;
        tx.each("SELECT a FROM pair", &[], |_: (i64,)| {
            left -= 1;
            if left == 0 { Err(Error::Busy) } else { Ok(()) }
        })
    });
    assert!(matches!(stopped, Err(Error::Busy)));
});

/// PostgreSQL-compatible distributed engines lack it or make it slow (spec, fleet execution 5.3).
#[test]
fn locked_rows_are_skipped_in_one_function_only() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut uses = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_file() && name != "dialect.rs" {
            let text = std::fs::read_to_string(&path).unwrap();
            uses.extend(text.matches("{skip_locked}").map(|_| name.clone()));
        }
    }
    assert_eq!(uses, ["outbox.rs"]);
}
