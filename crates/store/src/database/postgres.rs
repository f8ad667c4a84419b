//! PostgreSQL: a pool of connections, each with its prepared statements.
//!
//! Ordinary writes are SERIALIZABLE, so a closure may read, decide and write as if it were alone, here as in SQLite;
//! a collision runs the closure again. The synchronous client must never be touched or dropped on a thread that runs
//! asynchronous code: it is used on blocking threads only and dropped on one of its own.

use super::{Limits, Outcome, Pool, Work};
use crate::error::{Error, Explained, Result, statement_text};
use crate::transaction::{Inner, Transaction};
use postgres::config::SslMode;
use postgres::error::SqlState;
use postgres::{Client, IsolationLevel, NoTls, Statement};
use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::time::Duration;

/// How often a closure runs before a collision is reported as busy.
const RUNS_MAX: u32 = 16;
const STATEMENTS_CACHED_MAX: usize = 200;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct Postgres {
    pub(crate) pool: Pool<PostgresConnection>,
    limits: Limits,
}

pub(crate) struct PostgresConnection {
    client: Client,
    statements: Statements,
}

/// What kind of transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Read,
    Write,
    WriteBulk,
}

impl Postgres {
    pub(crate) fn open(url: &str, connections_max: usize, limits: Limits) -> Result<Self> {
        let mut config: postgres::Config =
            url.parse().map_err(|error| Error::failed("could not understand the database URL", error))?;
        config.connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(Duration::from_secs(30)).application_name("quell");
        config.notice_callback(|notice| tracing::debug!(code = notice.code().code(), "notice of PostgreSQL"));
        if config.get_ssl_mode() == SslMode::Require {
            let why = "TLS to PostgreSQL is not supported yet: use the loopback, a Unix socket or a tunnel";
            return Err(Error::failed("could not use sslmode=require", why));
        }
        let open = move || {
            let mut client = config.connect(NoTls).map_err(|error| match explain(error, "connect").error {
                Error::Failed { source, .. } => Error::failed("could not connect to PostgreSQL", source),
                other => other,
            })?;
            client
                .batch_execute(
                    "SET client_encoding = 'UTF8'; SET client_min_messages = warning; SET lock_timeout = '10s';
                     SET idle_in_transaction_session_timeout = '60s'; SET standard_conforming_strings = on;
                     SET jit = off",
                )
                .map_err(|error| explain(error, "set up a connection").error)?;
            Ok(PostgresConnection { client, statements: Statements::default() })
        };
        Ok(Postgres { pool: Pool::new(connections_max, Box::new(open)), limits })
    }

    /// Run a closure, again where it collided. Blocks; never call it on an asynchronous thread.
    pub(crate) fn run(&self, mode: Mode, work: &mut dyn Work) -> Outcome {
        let mut reconnected = false;
        for round in 0..RUNS_MAX {
            if round > 0 {
                std::thread::sleep(pause(round));
            }
            let mut connection = match self.pool.take() {
                Ok(connection) => connection,
                Err(error) => return Outcome::Refused(error),
            };
            match self.once(&mut connection, mode, work) {
                Once::Done(outcome) => {
                    if !connection.client.is_closed() {
                        self.pool.give(connection);
                    }
                    return outcome;
                }
                Once::Collided => self.pool.give(connection),
                // It died while it lay in the pool: so did the others, most likely.
                Once::NotBegun(error) if reconnected => return Outcome::Refused(error),
                Once::NotBegun(_) => {
                    reconnected = true;
                    self.pool.clear();
                }
            }
        }
        Outcome::Refused(Error::Busy)
    }

    fn once(&self, connection: &mut PostgresConnection, mode: Mode, work: &mut dyn Work) -> Once {
        let PostgresConnection { client, statements } = connection;
        let (isolation, limit, writable) = match mode {
            Mode::Read => (IsolationLevel::RepeatableRead, self.limits.read, false),
            Mode::Write => (IsolationLevel::Serializable, self.limits.write, true),
            Mode::WriteBulk => (IsolationLevel::RepeatableRead, self.limits.bulk, true),
        };
        let begun = client.build_transaction().isolation_level(isolation).read_only(!writable).start();
        let mut begun = match begun {
            Ok(begun) => begun,
            Err(error) => return Once::NotBegun(explain(error, "begin a transaction").error),
        };
        let limit = format!("SET LOCAL statement_timeout = {}", limit.as_millis());
        if let Err(error) = begun.batch_execute(&limit) {
            return Once::NotBegun(explain(error, &limit).error);
        }
        let mut transaction = Transaction::new(Inner::Postgres { transaction: begun, statements }, writable);
        let succeeded = work.run(&mut transaction);
        let Transaction { inner, failed, collided, .. } = transaction;
        let Inner::Postgres { transaction, .. } = inner else {
            return Once::Done(Outcome::Refused(Error::failed("could not end a transaction", "wrong engine")));
        };
        if collided {
            let _ = transaction.rollback();
            return Once::Collided;
        }
        if !succeeded || failed {
            let _ = transaction.rollback();
            return Once::Done(Outcome::Undone);
        }
        match transaction.commit().map_err(|error| explain(error, "COMMIT")) {
            Ok(()) => Once::Done(Outcome::Kept),
            Err(Explained { collided: true, .. }) => Once::Collided,
            Err(Explained { error, .. }) => Once::Done(Outcome::Refused(error)),
        }
    }
}

/// How one round of a closure ended.
enum Once {
    Done(Outcome),
    Collided,
    NotBegun(Error),
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let idle = self.pool.empty();
        if !idle.is_empty() {
            // Not joined: saying goodbye may take as long as the network does.
            let _ = std::thread::Builder::new().name("store-close".to_owned()).spawn(move || drop(idle));
        }
    }
}

/// A short, growing, random pause, so that those who collided do not meet again.
fn pause(round: u32) -> Duration {
    let random = std::hash::RandomState::new().hash_one(round);
    let top_us = 2_000_u64 << round.min(6);
    Duration::from_micros(500 + random % top_us)
}

// --- statements ------------------------------------------------------------------------------------------------------

/// Prepared statements of one connection; the one unused for longest makes room.
#[derive(Default)]
pub(crate) struct Statements {
    prepared: HashMap<String, (Statement, u64)>,
    uses: u64,
}

impl Statements {
    pub(crate) fn prepare(
        &mut self,
        transaction: &mut postgres::Transaction<'_>,
        sql: String,
    ) -> Result<Statement, postgres::Error> {
        self.uses += 1;
        if let Some((statement, used)) = self.prepared.get_mut(&sql) {
            *used = self.uses;
            return Ok(statement.clone());
        }
        let statement = transaction.prepare(&sql)?;
        if self.prepared.len() >= STATEMENTS_CACHED_MAX {
            let oldest = self.prepared.iter().min_by_key(|(_, (_, used))| *used).map(|(sql, _)| sql.clone());
            oldest.map(|oldest| self.prepared.remove(&oldest));
        }
        self.prepared.insert(sql, (statement.clone(), self.uses));
        Ok(statement)
    }
}

// --- errors ----------------------------------------------------------------------------------------------------------

/// What an error of PostgreSQL means to us.
pub(crate) fn explain(error: postgres::Error, sql: &str) -> Explained {
    let Some(db) = error.as_db_error() else {
        let gone = error.is_closed()
            || std::error::Error::source(&error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        return match gone {
            true => Error::Unavailable(Box::new(error)).into(),
            false => Error::failed(format!("could not run: {}", statement_text(sql)), error).into(),
        };
    };
    let code = db.code().clone();
    let collided = code == SqlState::T_R_SERIALIZATION_FAILURE || code == SqlState::T_R_DEADLOCK_DETECTED;
    let name = db.constraint().unwrap_or_default().to_owned();
    let column = (db.table().unwrap_or_default().to_owned(), db.column().unwrap_or_default().to_owned());
    let error = match code.code() {
        "23503" => Error::Conflict("foreign_key".to_owned()),
        "23502" => Error::Conflict(format!("{}_{}_not_null", column.0, column.1)),
        "23505" | "23514" | "23P01" => Error::Conflict(name),
        "40001" | "40P01" | "55P03" => Error::Busy,
        "57014" => Error::failed(format!("stopped at its time limit: {}", statement_text(sql)), error),
        "57P01" | "57P02" | "57P03" | "53300" | "25P03" => Error::Unavailable(Box::new(error)),
        class if class.starts_with("08") => Error::Unavailable(Box::new(error)),
        _ => Error::failed(format!("could not run: {}", statement_text(sql)), error),
    };
    Explained { error, collided }
}
