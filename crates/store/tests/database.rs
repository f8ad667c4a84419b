//! The doors, the transactions and the traps that the two engines set (style guide 2.6).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

use store::{Error, Sql, migrate, record};
use testkit::both_engines;
use uuid::Uuid;

record! {
    #[derive(Debug, Clone, PartialEq)]
    struct Everything {
        whole: i64,
        medium: i32,
        small: i16,
        real: f64,
        yes: bool,
        text: String,
        bytes: Vec<u8>,
        uuid: Uuid,
        at: jiff::Timestamp,
        empty: Option<String>,
    }
}

const MIGRATION: &[(&str, &str)] = &[(
    "0001_test",
    "CREATE TABLE everything (
         id {id}, whole {whole} NOT NULL, medium {medium} NOT NULL, small {small} NOT NULL, real {real} NOT NULL,
         yes {bool} NOT NULL, text {text} NOT NULL, bytes {bytes} NOT NULL, uuid {uuid} NOT NULL, at {time} NOT NULL,
         empty {text}
     ) {strict};",
)];

fn scratch(db: &testkit::database::TestDatabase) {
    db.write_blocking(|tx| {
        let text = MIGRATION[0].1;
        tx.script(text)
    })
    .unwrap();
}

both_engines!(every_kind_of_value_comes_back_as_it_went, |db| {
    scratch(db);
    let row = Everything {
        whole: i64::MIN,
        medium: i32::MAX,
        small: -7,
        real: 0.1,
        yes: true,
        text: "naïve ☃ 'quoted' $1 {id}".to_owned(),
        bytes: vec![0, 1, 255],
        uuid: Uuid::from_u128(0x1234_5678_9abc_def0_0fed_cba9_8765_4321),
        at: jiff::Timestamp::from_microsecond(-1).unwrap(),
        empty: None,
    };
    let expected = row.clone();
    let read = db
        .write_blocking(move |tx| {
            let id: i64 = tx.insert(
                "INSERT INTO everything (whole, medium, small, real, yes, text, bytes, uuid, at, empty)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
                &[
                    &row.whole,
                    &row.medium,
                    &row.small,
                    &row.real,
                    &row.yes,
                    &row.text,
                    &row.bytes,
                    &row.uuid,
                    &row.at,
                    &row.empty,
                ],
            )?;
            tx.one::<Everything>(
                "SELECT empty, at, uuid, bytes, text, yes, real, small, medium, whole FROM everything WHERE id = $1",
                &[&id],
            )
        })
        .unwrap();
    assert_eq!(read, expected);
});

#[test]
fn nothing_is_shared_between_tests() {
    let db = testkit::database::TestDatabase::bare_sqlite();
    assert_eq!(migrate::run(&db).unwrap(), migrate::MIGRATIONS.len());
    assert_eq!(migrate::run(&db).unwrap(), 0);
    let built = Sql::new("SELECT count(*) FROM setting WHERE key = ").bind(&"x");
    assert_eq!(db.read_blocking(move |tx| tx.scalar_built::<i64>(&built)).unwrap(), 0);
    assert!(matches!(db.read_blocking(|tx| tx.scalar::<i64>("SELECT 1 WHERE false", &[])), Err(Error::NotFound)));
}
