//! Migrations move forward only, and a database that this program did not make is refused.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test panics rather than returning an error")]

use store::migrate::{apply, version};
use store::{Engine, Error};
use testkit::database::TestDatabase;

type Migrations = &'static [(&'static str, &'static str)];

const ONE: Migrations = &[("0001_one", "CREATE TABLE one (id {id}) {strict};")];
const TWO: Migrations = &[
    ("0001_one", "CREATE TABLE one (id {id}) {strict};"),
    ("0002_two", "ALTER TABLE one ADD COLUMN name {text}; CREATE INDEX one_name ON one (name);"),
];
const CHANGED: Migrations = &[("0001_one", "CREATE TABLE one (id {id}, more {text}) {strict};")];
const RENAMED: Migrations = &[("0001_eins", "CREATE TABLE one (id {id}) {strict};")];
const BROKEN: Migrations = &[
    ("0001_one", "CREATE TABLE one (id {id}) {strict};"),
    ("0002_broken", "CREATE TABLE half (id {id}) {strict}; INSERT INTO nowhere (id) VALUES (1);"),
];

fn check(db: &TestDatabase) {
    assert_eq!(apply(db, ONE).unwrap(), 1);
    assert_eq!(apply(db, ONE).unwrap(), 0);
    for (other, what) in
        [(CHANGED, "another content"), (RENAMED, "another content"), (&[] as Migrations, "newer version")]
    {
        let error = apply(db, other).unwrap_err();
        let Error::Failed { source, .. } = &error else { panic!("{error:?}") };
        assert!(source.to_string().contains(what), "{source}");
    }
    let error = apply(db, BROKEN).unwrap_err().to_string();
    assert!(error.contains("0002_broken"), "{error}");
    assert_eq!(db.read_blocking(version).unwrap(), 1, "a failed migration leaves nothing");
    assert!(db.read_blocking(|tx| tx.scalar::<i64>("SELECT count(*) FROM half", &[])).is_err());
    assert_eq!(apply(db, TWO).unwrap(), 1);
    let error = apply(db, ONE).unwrap_err();
    assert!(
        matches!(&error, Error::Failed { source, .. } if source.to_string().contains("newer version")),
        "{error:?}"
    );
}

#[test]
fn sqlite() {
    check(&TestDatabase::bare_sqlite());
}

#[test]
fn postgres() {
    if let Some(db) = TestDatabase::bare_postgres("upgrades::postgres") {
        check(&db);
    }
}

#[test]
fn an_older_program_beside_a_newer_database_is_refused_by_run_as_well() {
    let db = TestDatabase::migrated(Engine::Sqlite, "").unwrap();
    db.write_blocking(|tx| {
        let next = version(tx)? + 1;
        tx.execute("INSERT INTO migration (number, name, digest) VALUES ($1, '9999_future', $2)", &[&next, &[0_u8; 32]])
    })
    .unwrap();
    assert!(store::migrate::run(&db).is_err());
}
