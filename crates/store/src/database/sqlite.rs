//! The embedded engine: one writing thread that commits in groups, and a few readers opened when needed.
//!
//! A group is one SQLite transaction with one fsync. Each closure in it runs in its own savepoint, so a failure is
//! undone alone, and its caller hears of success only after COMMIT. Closures of a group see what those before them
//! did, as if they had run one after the other, which they did.

use super::{Limits, Outcome, Pool, Work};
use crate::error::{Error, Explained, Result, statement_text};
use crate::transaction::{Inner, Transaction};
use crate::value::{Datum, to_sqlite};
use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Closures that may wait for the writer; beyond this a write is refused as busy.
const QUEUE_MAX: usize = 4_096;
/// Closures in one group.
const GROUP_MAX: usize = 128;
/// A group takes no further closure after this time, so that the first of it does not wait long.
const GROUP_TIME_MAX: Duration = Duration::from_millis(10);
/// How long one connection waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const STATEMENTS_CACHED_MAX: usize = 200;
/// Pages the writer keeps; what is beyond stays in the system's cache, where a page is microseconds away.
const WRITER_CACHE_KIB: u32 = 4 * 1024;
/// Pages the writer keeps while imports merge, whose index pages are hit again and again.
const BULK_CACHE_KIB: u32 = 24 * 1024;
/// How long after the last merge the room for it is given back.
const BULK_ROOM_KEPT: Duration = Duration::from_secs(30);
const READER_CACHE_KIB: u32 = 1024;
pub(crate) const READERS_MAX: usize = 8;

pub(crate) struct Sqlite {
    /// Taken out on close.
    queue: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    pub(crate) readers: Pool<Reader>,
}

pub(crate) struct Job {
    pub(crate) work: Box<dyn Work>,
    /// An import merge: a transaction of its own, without waiting for the disk.
    pub(crate) bulk: bool,
}

pub(crate) struct Reader {
    pub(crate) connection: Connection,
    pub(crate) deadline: Deadline,
}

impl Sqlite {
    pub(crate) fn open(path: &Path, limits: Limits) -> Result<Self> {
        make_private(path)?;
        let (connection, deadline) = connect(path, WRITER_CACHE_KIB, true)?;
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let writer = Writer { connection, deadline, limits, synchronous_off: false, last_bulk: None };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| Error::failed("could not start the writing thread of the database", error))?;
        let reader_path: PathBuf = path.to_owned();
        let open = move || {
            let (connection, deadline) = connect(&reader_path, READER_CACHE_KIB, false)?;
            Ok(Reader { connection, deadline })
        };
        Ok(Sqlite {
            queue: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            readers: Pool::new(READERS_MAX, Box::new(open)),
        })
    }

    /// Hand a closure to the writer. It is delivered its outcome whatever happens.
    pub(crate) fn submit(&self, job: Job) {
        let queue = self.queue.lock().ok().and_then(|queue| queue.clone());
        let refused = match queue.map(|queue| queue.try_send(job)) {
            Some(Ok(())) => return,
            Some(Err(TrySendError::Full(job))) => (job, Error::Busy),
            Some(Err(TrySendError::Disconnected(job))) => (job, closed()),
            None => return, // dropping the job tells its caller
        };
        refused.0.work.deliver(Outcome::Refused(refused.1));
    }

    /// One transaction on a reading connection.
    pub(crate) fn read(reader: &mut Reader, limit: Duration, work: &mut dyn Work) -> Result<()> {
        reader.deadline.set(limit);
        let begin = |sql: &str| {
            reader.connection.execute_batch(sql).map_err(|error| explain(&reader.connection, error, sql).error)
        };
        begin("BEGIN")?;
        let mut transaction = Transaction::new(Inner::Sqlite(&reader.connection), false);
        work.run(&mut transaction);
        drop(transaction);
        reader.deadline.clear();
        if !reader.connection.is_autocommit() {
            begin("ROLLBACK")?;
        }
        Ok(())
    }
}

impl Drop for Sqlite {
    /// Everything handed over is still written.
    fn drop(&mut self) {
        if let Ok(queue) = self.queue.get_mut() {
            queue.take();
        }
        if let Ok(thread) = self.thread.get_mut()
            && let Some(thread) = thread.take()
            // The last handle may have been captured by a closure, which ends on that very thread.
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

pub(crate) fn closed() -> Error {
    Error::Unavailable("the database was closed".into())
}

/// The file holds password hashes: nobody else may read it. SQLite gives its side files the same mode.
fn make_private(path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::failed(format!("could not open the database file {}", path.display()), error)),
    }
}

fn connect(path: &Path, cache_kib: u32, writer: bool) -> Result<(Connection, Deadline)> {
    let attempt =
        |error: rusqlite::Error| Error::failed(format!("could not open the database file {}", path.display()), error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(attempt)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(attempt)?;
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -{cache_kib};
             PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;
             PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864; PRAGMA query_only = {};",
            if writer { "OFF" } else { "ON" }
        ))
        .map_err(attempt)?;
    // Else a statement is planned anew whenever a value is bound that its plan might look at: more work than most statements are.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(attempt)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
    let deadline = Deadline::default();
    let watched = deadline.clone();
    connection.progress_handler(50_000, Some(move || watched.passed())).map_err(attempt)?;
    Ok((connection, deadline))
}

/// When the running transaction has to end; checked by SQLite every few thousand instructions.
#[derive(Clone)]
pub(crate) struct Deadline {
    base: Instant,
    /// Milliseconds after `base`; `u64::MAX` is none.
    at_ms: Arc<AtomicU64>,
}

impl Default for Deadline {
    fn default() -> Self {
        Deadline { base: Instant::now(), at_ms: Arc::new(AtomicU64::new(u64::MAX)) }
    }
}

impl Deadline {
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn set(&self, limit: Duration) {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.at_ms.store(self.elapsed_ms().saturating_add(limit_ms), Ordering::Relaxed);
    }

    fn clear(&self) {
        self.at_ms.store(u64::MAX, Ordering::Relaxed);
    }

    fn passed(&self) -> bool {
        self.elapsed_ms() > self.at_ms.load(Ordering::Relaxed)
    }
}

// --- the writer ------------------------------------------------------------------------------------------------------

struct Writer {
    connection: Connection,
    deadline: Deadline,
    limits: Limits,
    /// `synchronous` is NORMAL at the moment.
    synchronous_off: bool,
    /// When the last merge began, while the room for it is kept.
    last_bulk: Option<Instant>,
}

/// A closure that ran in the open group, and whether its changes stay.
struct Done {
    work: Box<dyn Work>,
    kept: bool,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Job>) {
        let mut waiting: Option<Job> = None;
        while let Some(first) = waiting.take().or_else(|| queue.recv().ok()) {
            if first.bulk {
                self.alone(first.work, true);
            } else {
                waiting = self.group(first, queue);
            }
        }
    }

    /// One transaction for the first closure and those that wait behind it. Gives a bulk closure that came up.
    fn group(&mut self, first: Job, queue: &Receiver<Job>) -> Option<Job> {
        if let Err(error) = self.begin(false) {
            first.work.deliver(Outcome::Refused(error));
            return None;
        }
        let started = Instant::now();
        let mut done: Vec<Done> = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next.take() {
            done.push(self.member(job.work));
            if self.connection.is_autocommit() || done.len() >= GROUP_MAX || started.elapsed() > GROUP_TIME_MAX {
                break;
            }
            match queue.try_recv() {
                Ok(job) if job.bulk => {
                    self.finish(done);
                    return Some(job);
                }
                other => next = other.ok(),
            }
        }
        self.finish(done);
        None
    }

    /// Run one closure in a savepoint of the open transaction.
    fn member(&mut self, mut work: Box<dyn Work>) -> Done {
        self.deadline.set(self.limits.write);
        let mut kept = false;
        if self.control("SAVEPOINT member").is_ok() {
            kept = run(&self.connection, &mut *work);
            self.deadline.clear();
            if kept {
                kept = self.control("RELEASE member").is_ok();
            } else if !self.connection.is_autocommit() {
                let _ = self.control("ROLLBACK TO member");
                let _ = self.control("RELEASE member");
            }
        }
        self.deadline.clear();
        Done { work, kept }
    }

    /// Commit the group and tell every caller. Where the group as a whole is lost (the disk was full, or one closure
    /// made SQLite give up the transaction), the closures run once more, each alone.
    fn finish(&mut self, done: Vec<Done>) {
        let committed = !self.connection.is_autocommit() && self.control("COMMIT").is_ok();
        if !committed && !self.connection.is_autocommit() {
            let _ = self.control("ROLLBACK");
        }
        for Done { work, kept } in done {
            if !kept {
                work.deliver(Outcome::Undone);
            } else if committed {
                work.deliver(Outcome::Kept);
            } else {
                self.alone(work, false);
            }
        }
    }

    /// A transaction for one closure.
    fn alone(&mut self, mut work: Box<dyn Work>, bulk: bool) {
        if let Err(error) = self.begin(bulk) {
            work.deliver(Outcome::Refused(error));
            return;
        }
        self.deadline.set(if bulk { self.limits.bulk } else { self.limits.write });
        let kept = run(&self.connection, &mut *work);
        self.deadline.clear();
        let outcome = if kept {
            self.control("COMMIT").map_or_else(Outcome::Refused, |()| Outcome::Kept)
        } else {
            Outcome::Undone
        };
        if !self.connection.is_autocommit() {
            let _ = self.control("ROLLBACK");
        }
        work.deliver(outcome);
    }

    fn begin(&mut self, bulk: bool) -> Result<()> {
        self.make_room(bulk)?;
        if self.synchronous_off != bulk {
            self.control(if bulk { "PRAGMA synchronous = NORMAL" } else { "PRAGMA synchronous = FULL" })?;
            self.synchronous_off = bulk;
        }
        self.control("BEGIN IMMEDIATE")
    }

    /// A large page cache while imports merge, a small one else: it is memory that an idle server would hold.
    fn make_room(&mut self, bulk: bool) -> Result<()> {
        let kept = self.last_bulk.is_some_and(|last| last.elapsed() < BULK_ROOM_KEPT);
        let kib = match (bulk, self.last_bulk) {
            (true, None) => BULK_CACHE_KIB,
            (false, Some(_)) if !kept => WRITER_CACHE_KIB,
            _ => 0,
        };
        if kib > 0 {
            self.control(&format!("PRAGMA cache_size = -{kib}"))?;
        }
        if bulk {
            self.last_bulk = Some(Instant::now());
        } else if !kept {
            self.last_bulk = None;
        }
        Ok(())
    }

    fn control(&self, sql: &str) -> Result<()> {
        let explain = |error| explain(&self.connection, error, sql).error;
        self.connection.prepare_cached(sql).map_err(explain)?.raw_execute().map(|_| ()).map_err(explain)
    }
}

/// Run a closure in the open transaction; whether what it did may be kept.
fn run(connection: &Connection, work: &mut dyn Work) -> bool {
    let mut transaction = Transaction::new(Inner::Sqlite(connection), true);
    let succeeded = work.run(&mut transaction);
    succeeded && !transaction.failed && !transaction.lost()
}

// --- statements ------------------------------------------------------------------------------------------------------

fn bind(statement: &mut CachedStatement<'_>, values: &[Datum<'_>]) -> rusqlite::Result<()> {
    if statement.parameter_count() != values.len() {
        return Err(rusqlite::Error::InvalidParameterCount(values.len(), statement.parameter_count()));
    }
    for (position, value) in values.iter().enumerate() {
        let value =
            to_sqlite(value.clone()).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        statement.raw_bind_parameter(position + 1, value)?;
    }
    Ok(())
}

pub(crate) fn execute(connection: &Connection, sql: &str, values: &[Datum<'_>]) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, values)?;
    if statement.column_count() > 0 {
        // A statement with RETURNING: the changes happen while its rows are read.
        let mut rows = statement.raw_query();
        let mut count = 0;
        while rows.next()?.is_some() {
            count += 1;
        }
        return Ok(count);
    }
    statement.raw_execute().map(|count| count as u64)
}

pub(crate) fn query<'s>(
    statement: &'s mut CachedStatement<'_>,
    values: &[Datum<'_>],
) -> rusqlite::Result<rusqlite::Rows<'s>> {
    bind(statement, values)?;
    Ok(statement.raw_query())
}

// --- errors ----------------------------------------------------------------------------------------------------------

/// What an error of SQLite means to us.
pub(crate) fn explain(connection: &Connection, error: rusqlite::Error, sql: &str) -> Explained {
    let (code, extended, message) = match &error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            (failure.code, failure.extended_code, message.clone().unwrap_or_default())
        }
        _ => return Error::failed(format!("could not run: {}", statement_text(sql)), error).into(),
    };
    let known = match code {
        ErrorCode::ConstraintViolation => constraint(connection, extended, &message).map(Error::Conflict),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(Error::Busy),
        _ => None,
    };
    if let Some(error) = known {
        return error.into();
    }
    let attempt = match code {
        ErrorCode::OperationInterrupted => format!("stopped at its time limit: {}", statement_text(sql)),
        _ => format!("could not run: {}", statement_text(sql)),
    };
    Error::failed(attempt, error).into()
}

/// The name of the violated constraint, in the words PostgreSQL would use.
fn constraint(connection: &Connection, extended: i32, message: &str) -> Option<String> {
    use rusqlite::ffi;
    let subject = message.split_once(": ").map(|(_, subject)| subject).unwrap_or_default();
    let (table, column) = subject.split(", ").next().and_then(|first| first.split_once('.')).unwrap_or((subject, ""));
    match extended {
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Some("foreign_key".to_owned()),
        ffi::SQLITE_CONSTRAINT_NOTNULL => Some(format!("{table}_{column}_not_null")),
        ffi::SQLITE_CONSTRAINT_CHECK => Some(subject.to_owned()),
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => Some(format!("{table}_pkey")),
        ffi::SQLITE_CONSTRAINT_UNIQUE => Some(unique_index(connection, table, subject)),
        _ => None,
    }
}

fn unique_index(connection: &Connection, table: &str, subject: &str) -> String {
    if let Some(name) = subject.strip_prefix("index '") {
        return name.trim_end_matches('\'').to_owned();
    }
    let columns = subject.split(", ").filter_map(|each| each.split_once('.').map(|(_, column)| column));
    let columns: Vec<&str> = columns.collect();
    let convention = format!("{table}_{}_key", columns.join("_"));
    let find = || -> rusqlite::Result<Option<String>> {
        let mut indexes = connection.prepare_cached(
            "SELECT list.name FROM pragma_index_list(?1) AS list
             WHERE list.\"unique\" = 1 AND list.origin = 'c'
               AND (SELECT group_concat(info.name, ' ') FROM pragma_index_info(list.name) AS info) = ?2
             ORDER BY list.name",
        )?;
        let mut rows = indexes.query([table, &columns.join(" ")])?;
        rows.next()?.map(|row| row.get(0)).transpose()
    };
    find().ok().flatten().unwrap_or(convention)
}
