//! Many rows in one go: [`Transaction::stage`] fills a temporary table in each engine's fastest way, and one
//! set-based statement, the same text on both engines, then merges it.
//!
//! ```
//! struct Seen { host_id: i64, name: String, seen_at: i64 }
//! store::stage!(Seen as "seen_batch" { host_id: i64, name: String, seen_at: i64 });
//!
//! fn merge(tx: &mut store::Transaction<'_>, rows: &[Seen]) -> store::Result<u64> {
//!     tx.stage(rows)?;
//!     tx.execute(
//!         "INSERT INTO seen (host_id, name, seen_at)
//!          SELECT host_id, name, seen_at FROM seen_batch WHERE true
//!          ON CONFLICT (host_id) DO UPDATE SET name = excluded.name, seen_at = excluded.seen_at",
//!         &[],
//!     )
//! }
//! ```
//!
//! Rules: `WHERE true` belongs before `ON CONFLICT` (SQLite could not tell the clause from a join). Keys must be
//! unique within a batch: PostgreSQL refuses a statement that touches a row twice, so deduplicate before staging (see
//! [`last_per_key`]). At most 10,000 rows per transaction, so that SQLite's writer is free again within about 70 ms.

use crate::database::{postgres as pg, sqlite};
use crate::error::{Error, Explained, Result};
use crate::transaction::{Inner, Transaction};
use crate::value::{Bound, Value, to_sqlite};
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::types::{ToSql, Type};
use std::collections::HashMap;
use std::hash::Hash;

/// Rows staged in one transaction at most.
pub const STAGED_ROWS_MAX: usize = 50_000;

/// What a staged column holds, in the words of both engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `BIGINT`.
    Whole,
    /// `INTEGER` of 32 bits.
    Medium,
    /// `SMALLINT`.
    Small,
    /// `DOUBLE PRECISION`.
    Real,
    /// A boolean.
    Bool,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// A UUID.
    Uuid,
}

impl Kind {
    fn sqlite(self) -> &'static str {
        match self {
            Kind::Whole | Kind::Medium | Kind::Small | Kind::Bool => "INTEGER",
            Kind::Real => "REAL",
            Kind::Text => "TEXT",
            Kind::Bytes | Kind::Uuid => "BLOB",
        }
    }

    fn postgres(self) -> (Type, &'static str) {
        match self {
            Kind::Whole => (Type::INT8, "BIGINT"),
            Kind::Medium => (Type::INT4, "INTEGER"),
            Kind::Small => (Type::INT2, "SMALLINT"),
            Kind::Real => (Type::FLOAT8, "DOUBLE PRECISION"),
            Kind::Bool => (Type::BOOL, "BOOLEAN"),
            Kind::Text => (Type::TEXT, "TEXT COLLATE \"C\""),
            Kind::Bytes => (Type::BYTEA, "BYTEA"),
            Kind::Uuid => (Type::UUID, "UUID"),
        }
    }
}

/// A Rust type that can be a staged column.
pub trait Staged {
    /// The column's type.
    const KIND: Kind;
}

macro_rules! staged {
    ($($kind:ty => $name:ident),* $(,)?) => {$(
        impl Staged for $kind {
            const KIND: Kind = Kind::$name;
        }
    )*};
}
staged!(i64 => Whole, u32 => Whole, i32 => Medium, u16 => Medium, i16 => Small, u8 => Small, f64 => Real, bool => Bool,
    String => Text, &str => Text, Vec<u8> => Bytes, &[u8] => Bytes, uuid::Uuid => Uuid, jiff::Timestamp => Whole);

impl<const N: usize> Staged for [u8; N] {
    const KIND: Kind = Kind::Bytes;
}

impl<T: Staged> Staged for Option<T> {
    const KIND: Kind = T::KIND;
}

/// Rows that travel together into a temporary table.
pub trait Stage {
    /// The table's name: ends in `_batch`, used by one row type only.
    const TABLE: &'static str;
    /// Columns and their types.
    const COLUMNS: &'static [(&'static str, Kind)];
    /// The values of this row, in the order of the columns.
    fn values(&self) -> Vec<&dyn Value>;
}

/// Make a struct a [`Stage`]: `stage!(Row as "row_batch" { field: type, … })`.
#[macro_export]
macro_rules! stage {
    ($name:ty as $table:literal { $($field:ident: $kind:ty),* $(,)? }) => {
        impl $crate::Stage for $name {
            const TABLE: &'static str = {
                assert!($crate::ends_in_batch($table), "the name of a staged table ends in _batch");
                $table
            };
            const COLUMNS: &'static [(&'static str, $crate::Kind)] =
                &[$((stringify!($field), <$kind as $crate::Staged>::KIND)),*];
            fn values(&self) -> Vec<&dyn $crate::Value> {
                vec![$(&self.$field as &dyn $crate::Value),*]
            }
        }
    };
}

/// For [`stage!`](crate::stage): a temporary table must never hide a real one of the same name.
#[doc(hidden)]
pub const fn ends_in_batch(name: &str) -> bool {
    let (bytes, end) = (name.as_bytes(), b"_batch");
    match bytes.split_last_chunk::<6>() {
        Some((_, last)) => {
            let mut at = 0;
            while at < end.len() {
                #[expect(clippy::indexing_slicing, reason = "both arrays have six bytes; iterators are not const")]
                if last[at] != end[at] {
                    return false;
                }
                at += 1;
            }
            true
        }
        None => false,
    }
}

/// Keep the last row of each key, in the order of first appearance: one key per batch.
pub fn last_per_key<R, K: Hash + Eq>(rows: Vec<R>, key: impl Fn(&R) -> K) -> Vec<R> {
    let mut places: HashMap<K, usize> = HashMap::with_capacity(rows.len());
    let mut kept: Vec<R> = Vec::with_capacity(rows.len());
    for row in rows {
        match places.entry(key(&row)) {
            std::collections::hash_map::Entry::Occupied(place) => {
                if let Some(earlier) = kept.get_mut(*place.get()) {
                    *earlier = row;
                }
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(row);
            }
        }
    }
    kept
}

impl Transaction<'_> {
    /// Fill the temporary table of `R` with exactly these rows. Until the transaction ends, any statement in it may
    /// read the table by its name; staging again replaces the rows.
    ///
    /// # Errors
    /// See [`Error`]; also where this is a read, or where there are more than [`STAGED_ROWS_MAX`] rows.
    pub fn stage<R: Stage>(&mut self, rows: &[R]) -> Result<()> {
        self.usable()?;
        if !self.writable || rows.len() > STAGED_ROWS_MAX {
            let why = format!("{} rows, writable: {}, at most {STAGED_ROWS_MAX} rows", rows.len(), self.writable);
            return self.noted(Err(Error::failed(format!("could not stage {}", R::TABLE), why).into()));
        }
        let again = self.staged.contains(&R::TABLE);
        let result = match &mut self.inner {
            Inner::Sqlite(connection) => {
                stage_sqlite(connection, rows).map_err(|error| sqlite::explain(connection, error, R::TABLE))
            }
            Inner::Postgres { transaction, .. } => stage_postgres(transaction, rows, again),
        };
        if !again {
            self.staged.push(R::TABLE);
        }
        self.noted(result)
    }
}

fn columns<R: Stage>(with_type: impl Fn(Kind) -> &'static str) -> String {
    R::COLUMNS.iter().map(|(name, kind)| format!("{name} {}", with_type(*kind))).collect::<Vec<_>>().join(", ")
}

fn names<R: Stage>() -> String {
    R::COLUMNS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn stage_sqlite<R: Stage>(connection: &rusqlite::Connection, rows: &[R]) -> rusqlite::Result<()> {
    let (table, columns, names) = (R::TABLE, columns::<R>(Kind::sqlite), names::<R>());
    connection.prepare_cached(&format!("CREATE TEMP TABLE IF NOT EXISTS {table} ({columns}) STRICT"))?.execute([])?;
    connection.prepare_cached(&format!("DELETE FROM temp.{table}"))?.execute([])?;
    let places = vec!["?"; R::COLUMNS.len()].join(", ");
    let mut insert = connection.prepare_cached(&format!("INSERT INTO temp.{table} ({names}) VALUES ({places})"))?;
    for row in rows {
        for (position, value) in row.values().into_iter().enumerate() {
            let value =
                to_sqlite(value.datum()).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
            insert.raw_bind_parameter(position + 1, value)?;
        }
        insert.raw_execute()?;
    }
    Ok(())
}

fn stage_postgres<R: Stage>(
    transaction: &mut postgres::Transaction<'_>,
    rows: &[R],
    again: bool,
) -> Result<(), Explained> {
    let (table, columns, names) = (R::TABLE, columns::<R>(|kind| kind.postgres().1), names::<R>());
    let explain = |error| pg::explain(error, R::TABLE);
    // The rows of an earlier transaction went with its COMMIT.
    let prepare = format!("CREATE TEMP TABLE IF NOT EXISTS {table} ({columns}) ON COMMIT DELETE ROWS");
    transaction.batch_execute(&prepare).map_err(explain)?;
    if again {
        transaction.batch_execute(&format!("DELETE FROM pg_temp.{table}")).map_err(explain)?;
    }
    let copy = format!("COPY pg_temp.{table} ({names}) FROM STDIN BINARY");
    let writer = transaction.copy_in(&copy).map_err(explain)?;
    let types: Vec<Type> = R::COLUMNS.iter().map(|(_, kind)| kind.postgres().0).collect();
    let mut writer = BinaryCopyInWriter::new(writer, &types);
    for row in rows {
        let values: Vec<Bound<'_>> = row.values().into_iter().map(|value| Bound(value.datum())).collect();
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        writer.write(&values).map_err(explain)?;
    }
    writer.finish().map_err(explain).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_row_of_a_key_stays_where_the_first_was() {
        let rows = vec![(1, "a"), (2, "b"), (1, "c"), (3, "d"), (2, "e")];
        assert_eq!(last_per_key(rows, |row| row.0), [(1, "c"), (2, "e"), (3, "d")]);
    }

    #[test]
    fn only_batch_names_are_taken() {
        assert!(ends_in_batch("host_batch"));
        assert!(!ends_in_batch("host"));
        assert!(!ends_in_batch("batch"));
    }
}
