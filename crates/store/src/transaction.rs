//! Statements inside a transaction, the same on both engines.
//!
//! After a failed statement the transaction is over on both engines, as PostgreSQL has it: further statements fail
//! and nothing is kept. Where a failure is expected ("insert, or find it taken") wrap it in
//! [`Transaction::attempt`]. Nothing here opens or commits a transaction; `database` does.

use crate::database::{postgres as pg, sqlite};
use crate::dialect::{Engine, translate};
use crate::error::{Error, Explained, Result, statement_text};
use crate::record::{Record, Row, RowOf, Scalar};
use crate::sql::Sql;
use crate::value::{Bound, Datum, Field, Value};
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::ToSql;

/// What a store function works in. Opened by [`Database::write`](crate::Database::write) and
/// [`Database::read`](crate::Database::read).
pub struct Transaction<'c> {
    pub(crate) inner: Inner<'c>,
    pub(crate) writable: bool,
    /// A statement failed, so nothing more may run and nothing is kept.
    pub(crate) failed: bool,
    /// The failure was a collision with another transaction: running the closure again may succeed.
    pub(crate) collided: bool,
    /// The temporary tables filled in this transaction.
    pub(crate) staged: Vec<&'static str>,
    attempts: u32,
}

pub(crate) enum Inner<'c> {
    Sqlite(&'c rusqlite::Connection),
    Postgres { transaction: postgres::Transaction<'c>, statements: &'c mut pg::Statements },
}

impl<'c> Transaction<'c> {
    pub(crate) fn new(inner: Inner<'c>, writable: bool) -> Self {
        Transaction { inner, writable, failed: false, collided: false, staged: Vec::new(), attempts: 0 }
    }

    /// Which engine runs: for diagnostics; a statement must not depend on it.
    pub fn engine(&self) -> Engine {
        match self.inner {
            Inner::Sqlite(_) => Engine::Sqlite,
            Inner::Postgres { .. } => Engine::Postgres,
        }
    }

    /// Run a statement that changes rows; gives how many.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn execute(&mut self, sql: &'static str, values: &[&dyn Value]) -> Result<u64> {
        self.run(sql, &data(values))
    }

    /// Every row.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn all<R: Record>(&mut self, sql: &'static str, values: &[&dyn Value]) -> Result<Vec<R>> {
        self.collect(sql, &data(values))
    }

    /// The first row, where there is one.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn optional<R: Record>(&mut self, sql: &'static str, values: &[&dyn Value]) -> Result<Option<R>> {
        Ok(self.all(sql, values)?.into_iter().next())
    }

    /// The first row.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none; the transaction can go on after that.
    pub fn one<R: Record>(&mut self, sql: &'static str, values: &[&dyn Value]) -> Result<R> {
        self.optional(sql, values)?.ok_or(Error::NotFound)
    }

    /// The first column of the first row.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no row.
    pub fn scalar<T: Field>(&mut self, sql: &'static str, values: &[&dyn Value]) -> Result<T> {
        self.one::<Scalar<T>>(sql, values).map(|Scalar(value)| value)
    }

    /// Insert one row with `RETURNING id`; gives the key.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::NotFound`] where `ON CONFLICT DO NOTHING` did nothing.
    pub fn insert<T: Field>(&mut self, sql: &'static str, values: &[&dyn Value]) -> Result<T> {
        self.scalar(sql, values)
    }

    /// Rows one by one, without holding them all: for exports and big joins.
    ///
    /// # Errors
    /// See [`Error`]; an error of `take` ends the reading and is given back.
    pub fn each<R: Record>(
        &mut self,
        sql: &'static str,
        values: &[&dyn Value],
        take: impl FnMut(R) -> Result<()>,
    ) -> Result<()> {
        self.stream(sql, &data(values), take)
    }

    /// As [`all`](Self::all), for a statement put together at run time.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn all_built<R: Record>(&mut self, sql: &Sql) -> Result<Vec<R>> {
        let (text, values) = sql.render();
        self.collect(&text, &values)
    }

    /// As [`scalar`](Self::scalar), for a statement put together at run time.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no row.
    pub fn scalar_built<T: Field>(&mut self, sql: &Sql) -> Result<T> {
        let found: Option<Scalar<T>> = self.all_built(sql)?.into_iter().next();
        found.map(|Scalar(value)| value).ok_or(Error::NotFound)
    }

    /// As [`each`](Self::each), for a statement put together at run time.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn each_built<R: Record>(&mut self, sql: &Sql, take: impl FnMut(R) -> Result<()>) -> Result<()> {
        let (text, values) = sql.render();
        self.stream(&text, &values, take)
    }

    /// Several statements without parameters and results, for tests and tools that make tables of their own.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn script(&mut self, sql: &'static str) -> Result<()> {
        let text = translate(self.engine(), sql);
        self.control(&text)
    }

    /// Work that may fail without ending the transaction: on `Err` exactly what `work` did is undone.
    ///
    /// # Errors
    /// What `work` gives. A collision with another transaction still ends the whole transaction.
    pub fn attempt<T, E: From<Error>>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        self.attempts += 1;
        let name = format!("attempt_{}", self.attempts);
        self.control(&format!("SAVEPOINT {name}"))?;
        let staged = self.staged.clone();
        let result = work(self);
        if result.is_ok() && !self.failed {
            self.control(&format!("RELEASE {name}"))?;
        } else if !self.collided && !self.lost() {
            self.failed = false;
            self.staged = staged; // what was staged before is back, what was staged inside is gone
            self.control(&format!("ROLLBACK TO {name}"))?;
            self.control(&format!("RELEASE {name}"))?;
        }
        result
    }

    /// SQLite itself gave the whole transaction up (disk full, for one).
    pub(crate) fn lost(&self) -> bool {
        matches!(self.inner, Inner::Sqlite(connection) if connection.is_autocommit())
    }

    /// Words of transaction control, and the statements of a migration, which are already translated.
    pub(crate) fn control(&mut self, sql: &str) -> Result<()> {
        self.usable()?;
        let result = match &mut self.inner {
            Inner::Sqlite(connection) => {
                connection.execute_batch(sql).map_err(|error| sqlite::explain(connection, error, sql))
            }
            Inner::Postgres { transaction, .. } => {
                transaction.batch_execute(sql).map_err(|error| pg::explain(error, sql))
            }
        };
        self.noted(result)
    }

    pub(crate) fn usable(&self) -> Result<()> {
        if self.failed {
            return Err(Error::failed("a statement failed before, so this transaction is over", "earlier failure"));
        }
        Ok(())
    }

    /// Remember a failure, so that nothing is kept.
    pub(crate) fn noted<T>(&mut self, result: Result<T, Explained>) -> Result<T> {
        result.map_err(|explained| {
            self.failed = true;
            self.collided |= explained.collided;
            explained.error
        })
    }

    fn collect<R: Record>(&mut self, sql: &str, values: &[Datum<'_>]) -> Result<Vec<R>> {
        let mut records = Vec::new();
        self.stream(sql, values, |record| {
            records.push(record);
            Ok(())
        })?;
        Ok(records)
    }

    fn run(&mut self, sql: &str, values: &[Datum<'_>]) -> Result<u64> {
        self.usable()?;
        let text = translate(self.engine(), sql);
        let result = match &mut self.inner {
            Inner::Sqlite(connection) => {
                sqlite::execute(connection, &text, values).map_err(|error| sqlite::explain(connection, error, sql))
            }
            Inner::Postgres { transaction, statements } => {
                let bound: Vec<Bound<'_>> = values.iter().map(|value| Bound(value.clone())).collect();
                let bound: Vec<&(dyn ToSql + Sync)> = bound.iter().map(|value| value as _).collect();
                statements
                    .prepare(transaction, text)
                    .and_then(|statement| transaction.execute(&statement, &bound))
                    .map_err(|error| pg::explain(error, sql))
            }
        };
        self.noted(result)
    }

    fn stream<R: Record>(
        &mut self,
        sql: &str,
        values: &[Datum<'_>],
        mut take: impl FnMut(R) -> Result<()>,
    ) -> Result<()> {
        self.usable()?;
        let text = translate(self.engine(), sql);
        let in_statement = |error: Error| {
            Explained::from(match error {
                Error::Failed { attempt, source } => {
                    Error::Failed { attempt: format!("{attempt} in: {}", statement_text(sql)), source }
                }
                other => other,
            })
        };
        let result = match &mut self.inner {
            Inner::Sqlite(connection) => (|| {
                let explain = |error| sqlite::explain(connection, error, sql);
                let mut statement = connection.prepare_cached(&text).map_err(explain)?;
                let mut rows = sqlite::query(&mut statement, values).map_err(explain)?;
                while let Some(row) = rows.next().map_err(explain)? {
                    R::read(&Row(RowOf::Sqlite(row))).and_then(&mut take).map_err(in_statement)?;
                }
                Ok(())
            })(),
            Inner::Postgres { transaction, statements } => (|| {
                let explain = |error| pg::explain(error, sql);
                let statement = statements.prepare(transaction, text).map_err(explain)?;
                let bound: Vec<Bound<'_>> = values.iter().map(|value| Bound(value.clone())).collect();
                let bound = bound.iter().map(|value| value as &(dyn ToSql + Sync));
                let mut rows = transaction.query_raw(&statement, bound).map_err(explain)?;
                while let Some(row) = rows.next().map_err(explain)? {
                    R::read(&Row(RowOf::Postgres(&row))).and_then(&mut take).map_err(in_statement)?;
                }
                Ok(())
            })(),
        };
        self.noted(result)
    }
}

fn data<'v>(values: &'v [&dyn Value]) -> Vec<Datum<'v>> {
    values.iter().map(|value| value.datum()).collect()
}
