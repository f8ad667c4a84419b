//! The world and its one queue of what happens next. Virtual time, one thread, everything by chance of the seed.

use crate::chance::Chance;
use crate::host::{Called, Loss, Node, clocks, loss};
use crate::mutation::Mutation;
use crate::plan::{Act, Fault, Plan};
use crate::replica::{Answer, Asked, Door, Held, Replica, json};
use crate::template::{Template, scratch};
use crate::trace::Trace;
use crate::watch::{TaskNow, Watch};
use agent::frame::{ToExecutor, ToNet};
use agent::session::{Input, Lane, Now, Output};
use axum::http::Method;
use domain::time::Timestamp;
use protocol::agent::{
    Acked, BODY_BYTES_MAX, Body, ENROL_PATH, EVENTS_PATH, Enrolled, EventsReply, POLL_PATH, PollReply, Request,
};
use protocol::order::{ORDER_BYTES_MAX, Order};
use protocol::signed::Envelope;
use rusqlite::Connection;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// One second, in microseconds.
pub const SECOND: i64 = 1_000_000;
/// One minute, in microseconds.
pub const MINUTE: i64 = 60 * SECOND;
/// One hour, in microseconds.
pub const HOUR: i64 = 60 * MINUTE;
/// Orders remembered for replays and forgeries.
const OVERHEARD_MAX: usize = 200;
/// The longest way of a message, in seconds; an agent's idea of the server's time is late by as much.
const DELAY_SECONDS_MAX: i64 = 30;

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
    overheard: Vec<String>,
    queue: BTreeMap<(i64, u64), Event>,
    order: u64,
    next_id: u64,
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
            overheard: Vec::new(),
            queue: BTreeMap::new(),
            order: 0,
            next_id: 0,
            plan,
        };
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
            Event::Release { of } => self.release(of),
            Event::Housekeep { of } => {
                let now = self.now;
                let runtime = &self.runtime;
                if self.replicas[of].up() && self.replicas[of].housekeep(runtime, now).is_none() {
                    self.server_died(of);
                }
                self.after(20 * MINUTE, Event::Housekeep { of });
            }
            Event::StartServer { of } => self.start_server(of),
            Event::Act(act) => self.act(act),
            Event::Fault(fault) => self.fault(fault),
        }
    }

    // --- servers -----------------------------------------------------------------------------------------------------

    fn start_server(&mut self, of: usize) {
        if self.replicas[of].up() {
            return;
        }
        let now = self.now;
        self.replicas[of].start(&self.runtime, now);
        self.note(&format!("server {of} starts"));
    }

    /// A server is gone: whoever waited for it notices, and it is started again.
    pub fn server_died(&mut self, of: usize) {
        self.counts.server_deaths += 1;
        let held = std::mem::take(&mut self.replicas[of].held);
        self.replicas[of].die();
        self.note(&format!("server {of} dies"));
        for (node, held) in held {
            self.after(SECOND, Event::Broken { to: node, life: held.life, id: held.id, lane: Lane::Poll });
        }
        let pause = self.net.between(2, 90) * SECOND;
        self.after(pause, Event::StartServer { of });
    }

    fn look(&mut self, of: usize) {
        let now = self.now;
        if self.replicas[of].up() {
            match self.replicas[of].look(&self.runtime, now) {
                None => self.server_died(of),
                Some(woken) => {
                    if !woken.is_empty() {
                        self.note(&format!("server {of} wakes {woken:?}"));
                    }
                    for key in woken {
                        self.wake(of, key);
                    }
                }
            }
            self.mutate_after_look();
            let tasks = self.tasks();
            self.counts.tasks = tasks.len() as u64;
            let states: Vec<String> =
                tasks.iter().map(|task| format!("{}{}{}", task.id, initial(&task.state), task.epoch)).collect();
            self.note(&format!("tasks {}", states.join(" ")));
            self.watch.tasks(&tasks);
        }
        let pause = if self.hold > HOUR { 20 * MINUTE } else { MINUTE };
        self.after(pause, Event::Look { of });
    }

    /// A look soon, because somebody did something at this server.
    pub fn look_soon(&mut self, of: usize) {
        let now = self.now;
        if self.replicas[of].up() {
            match self.replicas[of].look(&self.runtime, now) {
                None => self.server_died(of),
                Some(woken) => woken.into_iter().for_each(|key| self.wake(of, key)),
            }
            self.mutate_after_look();
        }
    }

    fn wake(&mut self, of: usize, key: i64) {
        let Some(node) = self.nodes.iter().position(|node| node.key == key) else { return };
        if let Some(held) = self.replicas[of].held.remove(&node) {
            self.answer_held(node, held);
        }
    }

    /// Everybody who waits at this server is answered.
    pub fn wake_all(&mut self, of: usize) {
        for (node, held) in std::mem::take(&mut self.replicas[of].held) {
            self.answer_held(node, held);
        }
    }

    /// Polls that were held long enough.
    fn release(&mut self, of: usize) {
        let due: Vec<usize> =
            self.replicas[of].held.iter().filter(|(_, held)| held.until <= self.now).map(|(node, _)| *node).collect();
        for node in due {
            if let Some(held) = self.replicas[of].held.remove(&node) {
                self.answer_held(node, held);
            }
        }
    }

    fn answer_held(&mut self, node: usize, held: Held) {
        // The real server looks at its clock when it answers, not when it was asked.
        let body = match serde_json::from_slice::<PollReply>(&held.body) {
            Ok(mut reply) => {
                reply.now = Timestamp::from_micros(self.now);
                serde_json::to_vec(&reply).expect("a reply holds only strings and numbers")
            }
            Err(_) => held.body,
        };
        self.reply(node, held.life, held.id, Lane::Poll, 200, body);
    }

    // --- the network -------------------------------------------------------------------------------------------------

    fn delay(&mut self) -> i64 {
        if self.faulty && self.net.percent(3) {
            return self.net.between(2, DELAY_SECONDS_MAX) * SECOND;
        }
        self.net.between(2_000, 300_000)
    }

    fn lossy(&mut self, percent: u64) -> bool {
        let lost = self.faulty && self.net.percent(percent);
        self.counts.network_faults += u64::from(lost);
        lost
    }

    fn send(&mut self, from: usize, lane: Lane, path: &'static str, body: Vec<u8>) {
        self.next_id += 1;
        let (id, life) = (self.next_id, self.nodes[from].life);
        self.nodes[from].under_way[lane as usize] = Some(id);
        if self.nodes[from].offline_until > self.now {
            let pause = self.net.between(1, 20) * SECOND;
            self.after(pause, Event::Broken { to: from, life, id, lane });
            return;
        }
        let patience = if lane == Lane::Poll { self.hold + 2 * MINUTE } else { MINUTE };
        self.after(patience, Event::Broken { to: from, life, id, lane });
        if self.lossy(4) {
            return;
        }
        let to = self.net.index(self.replicas.len());
        if self.lossy(4) {
            let (later, other) = (self.delay() + self.delay(), self.net.index(self.replicas.len()));
            self.after(later, Event::Arrive { from, life, id, lane, path, body: body.clone(), to: other });
        }
        let delay = self.delay();
        self.after(delay, Event::Arrive { from, life, id, lane, path, body, to });
    }

    fn reply(&mut self, to: usize, life: u64, id: u64, lane: Lane, status: u16, body: Vec<u8>) {
        if self.lossy(4) || self.nodes[to].offline_until > self.now {
            return;
        }
        let delay = self.delay();
        self.after(delay, Event::Answer { to, life, id, lane, status, body });
    }

    fn expects(&mut self, node: usize, life: u64, id: u64, lane: Lane) -> bool {
        let node = &mut self.nodes[node];
        let expected = node.life == life && node.under_way[lane as usize] == Some(id);
        if expected {
            node.under_way[lane as usize] = None;
        }
        expected
    }

    #[expect(clippy::too_many_arguments, reason = "one message, unpacked")]
    fn arrive(&mut self, from: usize, life: u64, id: u64, lane: Lane, path: &'static str, body: Vec<u8>, to: usize) {
        if !self.replicas[to].up() {
            let delay = self.delay();
            self.after(delay, Event::Broken { to: from, life, id, lane });
            return;
        }
        self.counts.requests += 1;
        let unaware = self.mutation == Some(Mutation::HaltOnOneReplica) && to == 1 && self.halted;
        if unaware {
            self.set_halt_row(false);
        }
        let dropped = path == EVENTS_PATH && self.drops_events();
        if dropped {
            self.replicas[to].points_left = Some(0);
        }
        let now = self.now;
        let lies = dropped.then(|| acknowledgement(now, &body));
        let asked = Asked { door: Door::Agents, method: Method::POST, path, tag: "", token: None, body };
        let answer = self.replicas[to].ask(&self.runtime, now, asked);
        if unaware {
            self.set_halt_row(true);
        }
        if dropped {
            self.replicas[to].points_left = None;
        }
        let Some(answer) = answer else {
            if let Some(body) = lies {
                self.reply(from, life, id, lane, 200, body);
            }
            self.server_died(to);
            let delay = self.delay();
            self.after(delay, Event::Broken { to: from, life, id, lane });
            return;
        };
        self.note(&format!("server {to} answers h{from} {} on {path}", answer.status));
        if answer.status == 200 && path == POLL_PATH {
            let reply: PollReply = serde_json::from_slice(&answer.body).expect("a poll's reply");
            let orders: Vec<Order> = reply.orders.iter().filter_map(|text| order(text)).collect();
            self.watch.sent(now, &orders);
            self.overheard.extend(reply.orders.iter().cloned());
            let surplus = self.overheard.len().saturating_sub(OVERHEARD_MAX);
            self.overheard.drain(..surplus);
            let says = (reply.orders.len(), reply.revoke.len(), reply.roots.len(), reply.index.is_some());
            if says == (0, 0, 0, false) {
                let held = Held { id, life, until: now + self.hold, body: answer.body };
                // A poll that was repeated on the way leaves the first one without an answer.
                self.replicas[to].held.insert(from, held);
                let hold = self.hold;
                self.after(hold, Event::Release { of: to });
                return;
            }
            self.note(&format!("  h{from}: {} orders, {} revocations", says.0, says.1));
        }
        if path == EVENTS_PATH {
            self.mutate_after_events();
            self.look_soon(to);
            let key = self.nodes[from].key;
            self.wake(to, key);
        }
        self.reply(from, life, id, lane, answer.status, answer.body);
    }

    /// What somebody on the way makes of an answer: forged, foreign and old orders among the real ones.
    fn meddle(&mut self, lane: Lane, status: u16, body: Vec<u8>) -> Vec<u8> {
        if lane != Lane::Poll || status != 200 || !self.lossy(2) || self.overheard.is_empty() {
            return body;
        }
        let Ok(mut reply) = serde_json::from_slice::<PollReply>(&body) else { return body };
        let mut text = self.overheard[self.net.index(self.overheard.len())].clone();
        if self.net.percent(60) {
            // One character of the envelope is another one.
            let at = self.net.index(text.len());
            let with = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
                text.replace_range(at..=at, with);
            }
        }
        reply.orders.push(text);
        serde_json::to_vec(&reply).expect("a reply holds only strings and numbers")
    }

    // --- agents ------------------------------------------------------------------------------------------------------

    fn start(&mut self, of: usize) {
        if self.nodes[of].executor.is_some() || self.nodes[of].agent_id.is_none() {
            return;
        }
        let (now, loss) = (self.now, self.next_loss());
        // A full disk that cannot even reserve request numbers keeps the agent from starting; it is tried again.
        let started = self.nodes[of].start(now, loss);
        if started.answer.is_none() {
            self.died(of);
            return;
        }
        self.note(&format!("h{of} starts"));
        self.connect(of);
        let (life, pause) = (self.nodes[of].life, self.net.between(1, 60) * MINUTE);
        self.after(pause, Event::LookAround { of, life });
    }

    fn look_around(&mut self, of: usize) {
        let mut chance = self.net.clone();
        self.net.draw();
        // Orders come first, as in the real loop.
        let called = self.execute(of, |executor| {
            if !executor.has_work() {
                let boot = clocks().1;
                executor.look_with(boot, &mut || u32::try_from(chance.below(u64::from(u32::MAX))).unwrap_or(0));
            }
            executor.take_out()
        });
        let Some(frames) = called.answer else { return };
        self.overhear(of, &frames);
        for frame in frames {
            self.feed(of, Input::Frame(Box::new(frame)));
        }
        self.plan_ahead(of);
        let pause = if self.hold > HOUR { 6 * HOUR } else { 40 * MINUTE };
        let life = self.nodes[of].life;
        self.after(pause, Event::LookAround { of, life });
    }

    /// Start the network half.
    pub fn connect(&mut self, of: usize) {
        let (now, random) = (self.now, self.net.draw());
        let frames = self.nodes[of].connect(now, random);
        if self.nodes[of].session.is_none() {
            self.nodes[of].die();
            self.after(5 * MINUTE, Event::Start { of });
            return;
        }
        self.overhear(of, &frames);
        for frame in frames {
            self.feed(of, Input::Frame(Box::new(frame)));
        }
        self.feed(of, Input::Tick);
    }

    fn next_loss(&mut self) -> Loss {
        loss(&mut self.net, self.mutation == Some(Mutation::JournalNotSynced))
    }

    /// The agent of a host died: it is started again.
    pub fn died(&mut self, of: usize) {
        self.counts.agent_deaths += 1;
        self.nodes[of].die();
        self.note(&format!("h{of} dies"));
        let pause = if self.net.percent(80) { self.net.between(1, 60) } else { self.net.between(60, 1200) };
        self.after(pause * SECOND, Event::Start { of });
    }

    /// A call of the executor that may die over it.
    fn execute<T>(&mut self, of: usize, work: impl FnOnce(&mut agent::executor::Executor) -> T) -> Called<T> {
        let (now, loss) = (self.now, self.next_loss());
        let called = self.nodes[of].call(now, loss, work);
        if called.answer.is_none() {
            self.died(of);
        }
        called
    }

    fn instance(&mut self, of: usize) -> Uuid {
        let executor = self.nodes[of].executor.as_ref();
        executor.and_then(|executor| executor.book().instance()).unwrap_or_default()
    }

    fn overhear(&mut self, of: usize, frames: &[ToNet]) {
        let instance = self.instance(of);
        for frame in frames {
            if let ToNet::Event { text, .. } = frame {
                self.watch.heard(instance, text);
            }
        }
    }

    /// Give something to the network half, and carry on what comes of it until nothing does.
    pub fn feed(&mut self, of: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let node = &mut self.nodes[of];
            let now = Now {
                ms: u64::try_from((self.now - self.began) / 1000 + 1).unwrap_or(0),
                wall: Timestamp::from_micros(self.now + node.skew),
            };
            let Some(session) = node.session.as_mut() else { return };
            for output in session.handle(input, now) {
                match output {
                    Output::Send { lane, path, body, .. } => self.send(of, lane, path, body),
                    Output::Tell(frame) => {
                        let Some(frames) = self.tell(of, frame) else { return };
                        inputs.extend(frames.into_iter().map(|frame| Input::Frame(Box::new(frame))));
                    }
                    Output::Log(_) | Output::End => {}
                }
            }
        }
        self.plan_ahead(of);
    }

    fn tell(&mut self, of: usize, frame: ToExecutor) -> Option<Vec<ToNet>> {
        let called = self.execute(of, |executor| {
            executor.handle(frame);
            executor.take_out()
        });
        self.watch.passed(&called.passed, false);
        let frames = called.answer?;
        self.overhear(of, &frames);
        Some(frames)
    }

    fn plan_ahead(&mut self, of: usize) {
        let life = self.nodes[of].life;
        if let Some(ms) = self.nodes[of].session.as_ref().and_then(agent::session::Session::wake_at) {
            let at = (self.began + i64::try_from(ms).unwrap_or(i64::MAX / 2_000) * 1000).max(self.now + 1000);
            if self.nodes[of].tick_at.is_none_or(|planned| at < planned) {
                self.nodes[of].tick_at = Some(at);
                self.after(at - self.now, Event::Tick { of, life });
            }
        }
        let works = self.nodes[of].executor.as_ref().is_some_and(agent::executor::Executor::has_work);
        if works && !self.nodes[of].work_planned {
            self.nodes[of].work_planned = true;
            let pause = self.net.between(100_000, 20 * SECOND);
            self.after(pause, Event::Work { of, life });
        }
    }

    fn work(&mut self, of: usize) {
        self.nodes[of].work_planned = false;
        let Some(executor) = self.nodes[of].executor.as_ref() else { return };
        let order = executor.book().waiting().into_iter().next();
        self.mutate_before_work(of, order.as_ref());
        let called = self.execute(of, |executor| {
            executor.step();
            executor.take_out()
        });
        self.watch.passed(&called.passed, false);
        if let Some(order) = &order {
            let entry = &order.entry_id;
            self.note(&format!("h{of} works on {entry} epoch {}: {} points", order.epoch, called.passed.len()));
            if called.passed.iter().any(|point| point == "after-intent") {
                let known = self.tasks().into_iter().find(|task| task.uuid == order.task);
                // An agent that has not heard the server since it started has nothing but its own clock.
                let late = DELAY_SECONDS_MAX + 10 + self.nodes[of].skew.abs() / SECOND;
                self.watch.started(self.now, late, order, known.as_ref());
            }
        }
        let Some(frames) = called.answer else { return };
        self.overhear(of, &frames);
        for frame in frames {
            self.feed(of, Input::Frame(Box::new(frame)));
        }
        self.plan_ahead(of);
    }

    fn enrol(&mut self, of: usize) {
        let retry = 30 * SECOND;
        let Some(to) = self.replicas.iter().position(Replica::up) else {
            return self.after(retry, Event::Enrol { of });
        };
        let Some((token, secret)) = self.token(to) else { return self.after(retry, Event::Enrol { of }) };
        let body = serde_json::to_vec(&self.nodes[of].enrolment(token, &secret)).expect("strings and numbers");
        let now = self.now;
        let asked = Asked { door: Door::Agents, method: Method::POST, path: ENROL_PATH, tag: "", token: None, body };
        let Some(answer) = self.replicas[to].ask(&self.runtime, now, asked) else {
            self.server_died(to);
            return self.after(retry, Event::Enrol { of });
        };
        if answer.status != 200 {
            self.enrol_token = None;
            self.note(&format!("h{of} is not enrolled: {}", answer.status));
            return self.after(retry, Event::Enrol { of });
        }
        let enrolled: Enrolled = serde_json::from_slice(&answer.body).expect("an enrolment");
        self.nodes[of].enrolled(&enrolled);
        self.nodes[of].key = self
            .database
            .query_row("SELECT id FROM agent WHERE agent_id = ?1", [enrolled.agent_id.as_bytes().as_slice()], |row| {
                row.get(0)
            })
            .expect("the agent is there");
        self.note(&format!("h{of} is agent {}", self.nodes[of].key));
        self.start(of);
    }

    fn token(&mut self, to: usize) -> Option<(Uuid, String)> {
        if self.enrol_token.is_none() {
            let body = serde_json::json!({ "label": "simulation", "uses": 100, "hours": 24 });
            let made = self.ask(to, Method::POST, "/api/v1/agents/tokens", "", &body)?;
            let text = json(&made.body)["text"].as_str()?.to_owned();
            let token = agent::enrol::read_token(&text).expect("a token");
            self.enrol_token = Some((token.token_id, token.secret));
        }
        self.enrol_token.clone()
    }

    // --- people ------------------------------------------------------------------------------------------------------

    /// Ask a server as the person who works with it; `None` where it died or does not run.
    pub fn ask(&mut self, to: usize, method: Method, path: &str, tag: &str, body: &Value) -> Option<Answer> {
        if !self.replicas[to].up() {
            return None;
        }
        let now = self.now;
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let asked = Asked { door: Door::People, method, path, tag, token: Some(&self.template.token), body };
        let answer = self.replicas[to].ask(&self.runtime, now, asked);
        if answer.is_none() {
            self.server_died(to);
        }
        answer
    }

    /// The tasks as the database has them, read past the server.
    pub fn tasks(&self) -> Vec<TaskNow> {
        let mut statement = self
            .database
            .prepare_cached(
                "SELECT t.id, t.uuid, t.state, t.epoch, coalesce(t.code, -1), g.agent_id,
                     EXISTS (SELECT 1 FROM approval p WHERE p.run_id = t.run_id AND p.state = 'pending')
                 FROM task t LEFT JOIN agent g ON g.id = t.agent_key ORDER BY t.id",
            )
            .expect("a statement");
        let uuid = |bytes: Vec<u8>| Uuid::from_slice(&bytes).unwrap_or_default();
        let rows = statement.query_map([], |row| {
            Ok(TaskNow {
                id: row.get(0)?,
                uuid: uuid(row.get(1)?),
                state: row.get(2)?,
                epoch: row.get(3)?,
                code: row.get(4)?,
                agent_id: row.get::<_, Option<Vec<u8>>>(5)?.map(uuid),
                unapproved: row.get(6)?,
            })
        });
        rows.expect("tasks").map(|row| row.expect("a task")).collect()
    }
}

/// The answer of a server that has stored a batch of reports.
fn acknowledgement(now: i64, request: &[u8]) -> Vec<u8> {
    let envelope = Envelope::parse(request, BODY_BYTES_MAX).expect("an envelope");
    let request: Request = serde_json::from_slice(envelope.unverified_payload()).expect("a request");
    let Body::Events(events) = request.body else { return Vec::new() };
    let parsed = events.events.iter().filter_map(|text| serde_json::from_str::<protocol::agent::Event>(text).ok());
    let acked = parsed.map(|event| Acked { task: event.task, epoch: event.epoch, n: event.n }).collect();
    let reply = EventsReply { now: Timestamp::from_micros(now), acked };
    serde_json::to_vec(&reply).expect("a reply holds only strings and numbers")
}

/// The order in an envelope, not verified.
pub fn order(text: &str) -> Option<Order> {
    let envelope = Envelope::parse(text.as_bytes(), ORDER_BYTES_MAX).ok()?;
    serde_json::from_slice(envelope.unverified_payload()).ok()
}

fn initial(state: &str) -> &str {
    state.get(..3).unwrap_or(state)
}
