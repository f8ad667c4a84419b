//! The world and its one queue of what happens next. Virtual time, one thread, everything by chance of the seed.

use crate::chance::Chance;
use crate::host::Node;
use crate::mutation::Mutation;
use crate::plan::{Act, Fault, Plan};
use crate::replica::Replica;
use crate::template::{Template, scratch};
use crate::trace::Trace;
use crate::watch::Watch;
use agent::session::{Input, Lane};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// One second, in microseconds.
pub const SECOND: i64 = 1_000_000;
/// One minute, in microseconds.
pub const MINUTE: i64 = 60 * SECOND;
/// One hour, in microseconds.
pub const HOUR: i64 = 60 * MINUTE;

/// What happens.
pub enum Event {
    /// A request reaches a server.
    Arrive { from: usize, life: u64, id: u64, lane: Lane, path: &'static str, body: Vec<u8>, to: usize },
    /// An answer reaches an agent.
    Answer { to: usize, life: u64, id: u64, lane: Lane, status: u16, body: Vec<u8> },
    /// There is no answer, and the agent notices.
    Broken { to: usize, life: u64, id: u64, lane: Lane },
    /// The session wants to be called.
    Tick { of: usize, life: u64 },
    /// The executor does the next order.
    Work { of: usize, life: u64 },
    /// The agent starts.
    Start { of: usize },
    /// The agent looks at its controls, if it is time.
    LookAround { of: usize, life: u64 },
    /// The agent enrols.
    Enrol { of: usize },
    /// Polls that a server has held long enough are answered.
    Release { of: usize },
    /// A server looks after jobs.
    Look { of: usize },
    /// A server looks after jobs once more, because something was reported to it.
    LookSoon { of: usize },
    /// A server writes down and seals.
    Housekeep { of: usize },
    /// A server starts.
    StartServer { of: usize },
    /// People do something.
    Act(Act),
    /// Something breaks.
    Fault(Fault),
}

/// How much happened, for the reader of the numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Requests that reached a server.
    pub requests: u64,
    /// Servers that died.
    pub server_deaths: u64,
    /// Agents that died.
    pub agent_deaths: u64,
    /// Messages lost, repeated or forged.
    pub network_faults: u64,
    /// Tasks that were made.
    pub tasks: u64,
    /// Permits that were given out.
    pub permits: u64,
    /// Waves that gates opened.
    pub waves: u64,
    /// Machines that were switched off for long.
    pub away: u64,
    /// Machines that died for good in the middle of work.
    pub lost: u64,
    /// Tasks that changed waves because a host was away, and waves that opened without a host that was.
    pub passed_over: u64,
}

/// The world.
pub struct Fleet<'t> {
    pub template: &'t Template,
    pub mutation: Option<Mutation>,
    pub plan: Plan,
    /// Goes with the world.
    _folder: tempfile::TempDir,
    pub now: i64,
    pub began: i64,
    pub nodes: Vec<Node>,
    pub replicas: Vec<Replica>,
    pub runtime: Runtime,
    pub database: Connection,
    pub trace: Trace,
    pub watch: Watch,
    pub counts: Counts,
    /// Faults happen.
    pub faulty: bool,
    /// How long a server holds a poll, in microseconds.
    pub hold: i64,
    /// Numbers of jobs, by the index in the plan.
    pub jobs: BTreeMap<usize, String>,
    /// What owners of hosts wrote: host, path, line.
    pub edits: Vec<(usize, PathBuf, String)>,
    pub net: Chance,
    pub people: Chance,
    pub halted: bool,
    pub enrol_token: Option<(Uuid, String)>,
    /// How often people have let go of what they hold back.
    pub lets_go: u32,
    /// Orders on their way, for replays and forgeries.
    pub overheard: Vec<String>,
    queue: BTreeMap<(i64, u64), Event>,
    order: u64,
    pub next_id: u64,
}

impl<'t> Fleet<'t> {
    /// Lay out the world of a seed.
    pub fn new(template: &'t Template, seed: u64, mutation: Option<Mutation>, print: bool) -> Self {
        crate::host::observe();
        crate::replica::observe();
        let folder = tempfile::Builder::new().prefix("quell-seed-").tempdir_in(scratch()).expect("a folder");
        template.lay(folder.path());
        let server = folder.path().join("server");
        let mut chance = Chance::new(seed, 1);
        let began = testkit::server::START_MICROS;
        let skews = [0, chance.between(-3 * SECOND, 3 * SECOND)];
        let replicas =
            skews.iter().enumerate().map(|(index, skew)| Replica::new(index, server.clone(), *skew)).collect();
        let nodes: Vec<Node> = (0..template.hosts).map(|index| Node::new(index, folder.path())).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let database = Connection::open(server.join("quell.db")).expect("the database");
        database.busy_timeout(std::time::Duration::from_secs(5)).expect("a time-out");
        let plan = Plan::of(seed, template);
        let mut fleet = Self {
            template,
            mutation,
            _folder: folder,
            now: began,
            began,
            nodes,
            replicas,
            runtime,
            database,
            trace: Trace::new(print),
            watch: Watch::default(),
            counts: Counts::default(),
            faulty: false,
            hold: 4 * MINUTE,
            jobs: BTreeMap::new(),
            edits: Vec::new(),
            net: Chance::new(seed, 2),
            people: Chance::new(seed, 3),
            halted: false,
            enrol_token: None,
            lets_go: 0,
            overheard: Vec::new(),
            queue: BTreeMap::new(),
            order: 0,
            next_id: 0,
            plan,
        };
        fleet.watch.limits.clusters = template.clusters.clone();
        fleet.watch.limits.risky = template.risky_entries.clone();
        for of in 0..fleet.replicas.len() {
            fleet.start_server(of);
        }
        fleet
    }

    /// Let something happen `after` so many microseconds.
    pub fn after(&mut self, after: i64, event: Event) {
        self.order += 1;
        self.queue.insert((self.now + after.max(0), self.order), event);
    }

    /// Note something.
    pub fn note(&mut self, text: &str) {
        self.trace.note(self.now - self.began, text);
    }

    /// Let everything happen until `until`, in microseconds since the world began, or until `enough` says so at a look.
    pub fn run_until(&mut self, until: i64, enough: impl Fn(&Self) -> bool) {
        let until = self.began + until;
        while let Some(((at, _), event)) = self.queue.pop_first() {
            if at > until {
                self.order += 1;
                self.queue.insert((at, self.order), event);
                break;
            }
            self.now = at;
            let look = matches!(event, Event::Look { .. });
            self.happen(event);
            if !self.watch.broken.is_empty() || (look && enough(self)) {
                return;
            }
        }
        self.now = self.now.max(until);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { from, life, id, lane, path, body, to } => {
                self.arrive(from, life, id, lane, path, body, to);
            }
            Event::Answer { to, life, id, lane, status, body } => {
                if self.expects(to, life, id, lane) {
                    let body = self.meddle(lane, status, body);
                    self.note(&format!("h{to} is answered {status} on {lane:?}"));
                    self.feed(to, Input::Reply { lane, status, retry_after: None, body });
                }
            }
            Event::Broken { to, life, id, lane } => {
                if self.expects(to, life, id, lane) {
                    self.note(&format!("h{to} gets no answer on {lane:?}"));
                    self.feed(to, Input::Failed { lane, reason: "the connection broke".to_owned() });
                }
            }
            Event::Tick { of, life } => {
                if self.nodes[of].life == life && self.nodes[of].tick_at.is_some_and(|at| at <= self.now) {
                    self.nodes[of].tick_at = None;
                    self.feed(of, Input::Tick);
                }
            }
            Event::Work { of, life } if self.nodes[of].life == life => self.work(of),
            Event::Work { .. } => {}
            Event::Start { of } => self.start(of),
            Event::LookAround { of, life } if self.nodes[of].life == life => self.look_around(of),
            Event::LookAround { .. } => {}
            Event::Enrol { of } => self.enrol(of),
            Event::Look { of } => self.look(of),
            Event::LookSoon { of } => {
                if self.replicas[of].look_planned {
                    self.look_soon(of);
                }
            }
            Event::Release { of } => self.release(of),
            Event::Housekeep { of } => {
                let now = self.now;
                let runtime = &self.runtime;
                if self.replicas[of].up() {
                    match self.replicas[of].housekeep(runtime, now) {
                        Some(()) => self.watch.ears.kept(of),
                        None => self.server_died(of),
                    }
                }
                self.after(20 * MINUTE, Event::Housekeep { of });
            }
            Event::StartServer { of } => self.start_server(of),
            Event::Act(act) => self.act(act),
            Event::Fault(fault) => self.fault(fault),
        }
    }
}
