//! One server process of two on the same database: the production routers and loops, turned by hand on a clock of the
//! simulation's, dying where it is told to.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use domain::time::Timestamp;
use serde_json::Value;
use server::engine::{after, agents, dispatch, housekeeping};
use server::http::router;
use server::{App, Clock, Config, HandClock};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;
use uuid::Uuid;

/// Largest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What the server that works right now is up to. Transactions run on the store's own thread, so this is not a thread's.
static POINTS: Mutex<Points> = Mutex::new(Points { left: None, died_at: None });

struct Points {
    /// Points still to be passed before it dies.
    left: Option<u32>,
    died_at: Option<String>,
}

/// The server died.
struct Death;

fn points() -> std::sync::MutexGuard<'static, Points> {
    POINTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn passed(name: &str) {
    let mut points = points();
    match &mut points.left {
        Some(0) => {
            points.left = None;
            points.died_at = Some(name.to_owned());
            drop(points);
            resume_unwind(Box::new(Death));
        }
        Some(left) => *left -= 1,
        None => {}
    }
}

/// Watch the points of every server in this process.
pub fn observe() {
    server::failpoint::observe(passed);
}

/// A long poll that nothing was said to yet.
pub struct Held {
    /// The request.
    pub id: u64,
    /// The agent's life it belongs to.
    pub life: u64,
    /// Answered at this instant at the latest, in microseconds.
    pub until: i64,
    /// The answer that says nothing.
    pub body: Vec<u8>,
}

/// A server process.
pub struct Replica {
    /// Long polls, by host.
    pub held: BTreeMap<usize, Held>,
    /// Points to be passed before it dies.
    pub points_left: Option<u32>,
    /// A look is to come because something was reported to it.
    pub look_planned: bool,
    /// Its clock minus the truth, in microseconds.
    pub skew: i64,
    folder: PathBuf,
    clock: HandClock,
    holder: Uuid,
    running: Option<(App, Router, Router)>,
}

/// Which listener a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// People and programs.
    People,
    /// Agents.
    Agents,
}

impl Replica {
    /// One that does not run yet.
    pub fn new(index: usize, folder: PathBuf, skew: i64) -> Self {
        let clock = HandClock::new(Timestamp::from_micros(0));
        let holder = Uuid::from_u128(index as u128 + 1);
        Self {
            held: BTreeMap::new(),
            points_left: None,
            look_planned: false,
            skew,
            folder,
            clock,
            holder,
            running: None,
        }
    }

    /// Whether it runs.
    pub fn up(&self) -> bool {
        self.running.is_some()
    }

    /// Its parts.
    pub fn app(&self) -> Option<&App> {
        self.running.as_ref().map(|(app, _, _)| app)
    }

    /// Start it on what the database holds.
    pub fn start(&mut self, runtime: &Runtime, now: i64) {
        self.clock.set(Timestamp::from_micros(now + self.skew));
        let config = Config::loopback(&self.folder);
        let app = runtime.block_on(server::start::without_listeners(config, Clock::Hand(self.clock.clone())));
        let app = app.expect("the server starts");
        let (people, agents) = (router::people(&app), router::agents(&app));
        self.running = Some((app, people, agents));
    }

    /// It is gone, with all it had in memory.
    pub fn die(&mut self) {
        self.running = None;
        self.held.clear();
        self.look_planned = false;
        self.points_left = None;
    }

    /// Do something of it; `None` when it does not run, or died over it.
    fn live<T>(&mut self, now: i64, work: impl FnOnce(&(App, Router, Router)) -> T) -> Option<T> {
        let running = self.running.as_ref()?;
        self.clock.set(Timestamp::from_micros(now + self.skew));
        *points() = Points { left: self.points_left, died_at: None };
        let ended = catch_unwind(AssertUnwindSafe(|| work(running)));
        let (left, died) = {
            let points = points();
            (points.left, points.died_at.is_some())
        };
        self.points_left = left;
        if died {
            self.die();
            return None;
        }
        match ended {
            Ok(answer) => Some(answer),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Pass a request to it; `None` when there is no answer.
    pub fn ask(&mut self, runtime: &Runtime, now: i64, asked: Asked<'_>) -> Option<Answer> {
        let mut request = Request::builder().method(asked.method).uri(asked.path);
        request = request.header("content-type", "application/json");
        if let Some(token) = asked.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if !asked.tag.is_empty() {
            request = request.header("if-match", asked.tag);
        }
        let request = request.body(Body::from(asked.body)).expect("a request");
        self.live(now, |(_, people, agents)| {
            let router = if asked.door == Door::People { people } else { agents };
            runtime.block_on(async {
                let response = router.clone().oneshot(request).await.expect("a router always answers");
                let tag = response.headers().get("etag").and_then(|value| value.to_str().ok()).unwrap_or_default();
                let (status, tag) = (response.status().as_u16(), tag.to_owned());
                let body = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.expect("a body");
                Answer { status, tag, body: body.to_vec() }
            })
        })
    }

    /// One look of the dispatch loop; gives the keys of the agents it woke.
    pub fn look(&mut self, runtime: &Runtime, now: i64) -> Option<Vec<i64>> {
        let looked = self.live(now, |(app, _, _)| runtime.block_on(dispatch::turn(app)))?;
        let moved = looked.unwrap_or_else(|error| panic!("a look failed: {error:?}"));
        Some(moved.agents.into_iter().map(|agent| agent.0).collect())
    }

    /// Write down when agents were last heard, and seal the audit.
    pub fn housekeep(&mut self, runtime: &Runtime, now: i64) -> Option<()> {
        let holder = self.holder;
        let sealed = self.live(now, |(app, _, _)| {
            runtime.block_on(async {
                agents::flush_now(app).await;
                after::look(app).await.expect("what follows jobs is looked after");
                housekeeping::seal(app, holder).await
            })
        })?;
        sealed.map(|_| ()).map_err(|error| panic!("sealing failed: {error}")).ok()
    }
}

/// A request.
pub struct Asked<'a> {
    /// At which listener.
    pub door: Door,
    /// How.
    pub method: Method,
    /// What.
    pub path: &'a str,
    /// The entity tag of what was seen, or nothing.
    pub tag: &'a str,
    /// Bearer token.
    pub token: Option<&'a str>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Entity tag.
    pub tag: String,
    /// The body.
    pub body: Vec<u8>,
}

/// JSON, or null.
pub fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or(Value::Null)
}
