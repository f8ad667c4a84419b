//! The two doors between asynchronous code and the database, and what stands behind them.
//!
//! A transaction is a closure on a thread that may block. It cannot live across an `await` and cannot be abandoned
//! half-way: once handed over it ends by itself, even where the caller stopped waiting. Everything in one closure is
//! kept or nothing is. A closure may run more than once (see [`Database::write`]), so it holds SQL and pure code only:
//! effects on the outside are outbox rows.
//!
//! There is deliberately no way to hold a connection, and no statement outside a transaction.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use crate::dialect::Engine;
use crate::error::{Error, Result};
use crate::idempotency;
use crate::transaction::Transaction;
use postgres::{Mode, Postgres};
use sqlite::{Job, Sqlite};
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Where the records are.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file of the embedded database.
    Sqlite(PathBuf),
    /// A URL or key-value string of PostgreSQL; may hold a password.
    Postgres(String),
}

impl FromStr for Location {
    type Err = Error;

    /// `postgres://…` or `postgresql://…` is a server; `sqlite:PATH` or a plain path is a file.
    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Location::Postgres(text.to_owned()));
        }
        let path = text.strip_prefix("sqlite:").unwrap_or(text);
        if path.is_empty() || path.contains("://") {
            let why = "expected a file path or a postgres:// URL";
            return Err(Error::failed("could not understand the place of the database", why));
        }
        Ok(Location::Sqlite(PathBuf::from(path)))
    }
}

/// Without the URL: it may hold a password.
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Location::Postgres(_) => f.write_str("postgres://…"),
        }
    }
}

/// How long one statement (PostgreSQL) or one transaction (SQLite) may take before it is stopped.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Reads that somebody waits for.
    pub read: Duration,
    /// Ordinary writes.
    pub write: Duration,
    /// Import merges and exports.
    pub bulk: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { read: Duration::from_secs(30), write: Duration::from_secs(30), bulk: Duration::from_secs(900) }
    }
}

/// How to open a database.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the records are.
    pub location: Location,
    /// Connections to PostgreSQL at most; SQLite has one writer and eight readers.
    pub connections_max: usize,
    /// Time limits.
    pub limits: Limits,
}

impl Config {
    /// The defaults for this place.
    pub fn new(location: Location) -> Self {
        Config { location, connections_max: 12, limits: Limits::default() }
    }
}

/// A database. Clones are handles to the same one; the last one dropped closes it, after everything handed over was
/// written.
#[derive(Clone)]
pub struct Database(Arc<Kind>);

enum Kind {
    Sqlite { engine: Sqlite, limits: Limits },
    Postgres(Postgres),
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.engine()).finish()
    }
}

impl Database {
    /// Open the file, making it where it does not exist. Migrations are a step of their own:
    /// [`migrate::run`](crate::migrate::run).
    ///
    /// # Errors
    /// Where the file cannot be opened or is no database.
    pub fn sqlite(path: impl AsRef<Path>) -> Result<Self> {
        Self::open(&Config::new(Location::Sqlite(path.as_ref().to_owned())))
    }

    /// Use a PostgreSQL server. Nothing connects before the first transaction.
    ///
    /// # Errors
    /// Where the URL cannot be understood.
    pub fn postgres(url: &str) -> Result<Self> {
        Self::open(&Config::new(Location::Postgres(url.to_owned())))
    }

    /// Open with every choice given.
    ///
    /// # Errors
    /// As [`sqlite`](Self::sqlite) and [`postgres`](Self::postgres).
    pub fn open(config: &Config) -> Result<Self> {
        let kind = match &config.location {
            Location::Sqlite(path) => {
                Kind::Sqlite { engine: Sqlite::open(path, config.limits)?, limits: config.limits }
            }
            Location::Postgres(url) => Kind::Postgres(Postgres::open(url, config.connections_max, config.limits)?),
        };
        Ok(Database(Arc::new(kind)))
    }

    /// Which engine runs.
    pub fn engine(&self) -> Engine {
        match &*self.0 {
            Kind::Sqlite { .. } => Engine::Sqlite,
            Kind::Postgres(_) => Engine::Postgres,
        }
    }

    /// Work that sees one unchanging state and changes nothing.
    ///
    /// # Errors
    /// What the closure gives, or [`Error::Unavailable`].
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    {
        self.start(Mode::Read, work).await
    }

    /// Work that changes something: all of it is kept, on the disk, when this returns `Ok`, or none.
    ///
    /// Transactions behave as if they ran one after the other, on both engines and with several replicas. Where two
    /// collide on PostgreSQL, the closure runs again from the start, so it must not consume what it captured (clone or
    /// borrow) and must not touch the outside.
    ///
    /// # Errors
    /// What the closure gives; [`Error::Busy`] where too much waits or collides; [`Error::Unavailable`], where it is
    /// unknown whether the change was kept.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    {
        self.start(Mode::Write, noting(work)).await
    }

    /// As [`write`](Self::write), for the merges of an import: on SQLite it does not wait for the disk, so a crash may
    /// take back the last such transactions (never a part of one); on PostgreSQL it does not watch what was only read.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_bulk<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    {
        self.start(Mode::WriteBulk, noting(work)).await
    }

    /// As [`read`](Self::read), for closures with an error type of their own.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn try_read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        self.start(Mode::Read, work).await
    }

    /// As [`write`](Self::write), for closures with an error type of their own, such as a refusal of the domain: any
    /// `Err` undoes the work.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn try_write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        self.start(Mode::Write, noting(work)).await
    }

    /// As [`read`](Self::read), waiting on this thread: for tests and command line tools.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_blocking<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    {
        self.wait(Mode::Read, work)
    }

    /// As [`write`](Self::write), waiting on this thread: for tests and command line tools.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_blocking<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    {
        self.wait(Mode::Write, work)
    }

    /// As [`write_bulk`](Self::write_bulk), waiting on this thread: for tests and command line tools.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_bulk_blocking<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T> + Send + 'static,
    {
        self.wait(Mode::WriteBulk, work)
    }

    async fn start<T, E, F>(&self, mode: Mode, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let (mut task, answer) = task(work);
        let kind = Arc::clone(&self.0);
        match &*self.0 {
            Kind::Sqlite { engine, .. } if matches!(mode, Mode::Write | Mode::WriteBulk) => {
                engine.submit(Job { work: task, bulk: mode == Mode::WriteBulk });
            }
            running => {
                let turn = running.turn().await;
                let run = move || {
                    let outcome = kind.run(mode, &mut *task);
                    drop(turn); // it travels with the work: the caller may have stopped waiting
                    task.deliver(outcome);
                };
                // Panics of closures are caught inside and given to the caller; nothing else can panic here.
                let _ = tokio::task::spawn_blocking(run).await;
            }
        }
        answer.await.map_or_else(|_| Err(sqlite::closed().into()), Answer::open)
    }

    fn wait<T, E, F>(&self, mode: Mode, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let (mut task, answer) = task(work);
        match &*self.0 {
            Kind::Sqlite { engine, .. } if matches!(mode, Mode::Write | Mode::WriteBulk) => {
                engine.submit(Job { work: task, bulk: mode == Mode::WriteBulk });
            }
            kind => {
                // On a thread of its own: the caller may be inside a runtime, where PostgreSQL's client panics.
                std::thread::scope(|scope| {
                    scope.spawn(move || {
                        let _turn = block_on(kind.turn());
                        let outcome = kind.run(mode, &mut *task);
                        task.deliver(outcome);
                    });
                });
            }
        }
        block_on(answer).map_or_else(|_| Err(sqlite::closed().into()), Answer::open)
    }
}

/// What a request that may be repeated keeps is kept together with the note that it did ([`idempotency::within`]).
fn noting<T, E, F>(mut work: F) -> impl FnMut(&mut Transaction<'_>) -> Result<T, E> + Send + 'static
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    F: FnMut(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
{
    let working = idempotency::current();
    move |tx| {
        if let Some(working) = &working {
            idempotency::worked(tx, working)?;
        }
        work(tx)
    }
}

impl Kind {
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        match self {
            Kind::Sqlite { engine, .. } => engine.readers.turn().await,
            Kind::Postgres(engine) => engine.pool.turn().await,
        }
    }

    /// Run a closure on this thread: a read of SQLite, anything of PostgreSQL.
    fn run(&self, mode: Mode, work: &mut dyn Work) -> Outcome {
        match self {
            Kind::Postgres(engine) => engine.run(mode, work),
            Kind::Sqlite { engine, limits } => {
                let result = engine.readers.take().and_then(|mut reader| {
                    Sqlite::read(&mut reader, limits.read, work)?;
                    engine.readers.give(reader);
                    Ok(())
                });
                result.map_or_else(Outcome::Refused, |()| Outcome::Kept)
            }
        }
    }
}

// --- one closure and its answer --------------------------------------------------------------------------------------

/// A closure without its types, as the engines see it.
pub(crate) trait Work: Send {
    /// Run it; whether it succeeded. May be called again after its effects were undone.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool;
    /// Tell the caller.
    fn deliver(self: Box<Self>, outcome: Outcome);
}

/// How a transaction ended.
pub(crate) enum Outcome {
    /// Committed.
    Kept,
    /// Rolled back because the closure failed.
    Undone,
    /// The engine could not do it.
    Refused(Error),
}

struct Task<T, E, F> {
    work: F,
    result: Option<Result<Result<T, E>, Box<dyn Any + Send>>>,
    caller: oneshot::Sender<Answer<T, E>>,
}

enum Answer<T, E> {
    Result(Result<T, E>),
    Panic(Box<dyn Any + Send>),
}

impl<T, E> Answer<T, E> {
    /// A panic of the closure goes on where it was called.
    fn open(self) -> Result<T, E> {
        match self {
            Answer::Result(result) => result,
            Answer::Panic(panic) => resume_unwind(panic),
        }
    }
}

fn task<T, E, F>(work: F) -> (Box<dyn Work>, oneshot::Receiver<Answer<T, E>>)
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    F: FnMut(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
{
    let (caller, answer) = oneshot::channel();
    (Box::new(Task { work, result: None, caller }), answer)
}

impl<T, E, F> Work for Task<T, E, F>
where
    T: Send,
    E: From<Error> + Send,
    F: FnMut(&mut Transaction<'_>) -> Result<T, E> + Send,
{
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool {
        let result = catch_unwind(AssertUnwindSafe(|| (self.work)(transaction)));
        let succeeded = matches!(result, Ok(Ok(_)));
        self.result = Some(result);
        succeeded
    }

    fn deliver(self: Box<Self>, outcome: Outcome) {
        let answer = match (outcome, self.result) {
            (_, Some(Err(panic))) => Answer::Panic(panic),
            (Outcome::Refused(error), _) => Answer::Result(Err(error.into())),
            (Outcome::Kept, Some(Ok(result))) | (Outcome::Undone, Some(Ok(result @ Err(_)))) => Answer::Result(result),
            (Outcome::Undone, Some(Ok(Ok(_)))) => {
                let why = "a statement in it failed and the closure went on; wrap expected failures in `attempt`";
                Answer::Result(Err(Error::failed("could not keep a transaction", why).into()))
            }
            (_, None) => Answer::Result(Err(Error::failed("could not run a transaction", "it never ran").into())),
        };
        let _ = self.caller.send(answer); // a caller that no longer waits is no error
    }
}

// --- connections -----------------------------------------------------------------------------------------------------

type Open<C> = Box<dyn Fn() -> Result<C> + Send + Sync>;

/// Connections that are not in use, opened when needed. Whoever takes one holds a turn.
pub(crate) struct Pool<C> {
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<C>>,
    open: Open<C>,
}

impl<C> Pool<C> {
    pub(crate) fn new(connections_max: usize, open: Open<C>) -> Self {
        Pool { turns: Arc::new(Semaphore::new(connections_max.max(1))), idle: Mutex::new(Vec::new()), open }
    }

    /// Wait until a connection may be used.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// The connection used last, which is the warmest, or a new one.
    pub(crate) fn take(&self) -> Result<C> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(&self.open, Ok)
    }

    pub(crate) fn give(&self, connection: C) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    /// Drop every idle connection, here.
    pub(crate) fn clear(&self) {
        drop(self.empty());
    }

    /// Take every idle connection out.
    pub(crate) fn empty(&self) -> Vec<C> {
        std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Wait for a future of our own on this thread; works inside and outside a runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::task::Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
