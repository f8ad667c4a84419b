//! The network between agents and servers: it loses, repeats, delays, reorders and forges.

use crate::fleet::{Event, Fleet, MINUTE, SECOND};
use crate::mutation::{Mutation, Undo};
use crate::replica::{Asked, Door, Held};
use crate::watch::TaskNow;
use agent::session::Lane;
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::time::Timestamp;
use protocol::agent::{
    Acked, BODY_BYTES_MAX, Body, EVENTS_PATH, EventKind, EventsReply, POLL_PATH, PollReply, Request,
};
use protocol::order::{ORDER_BYTES_MAX, Order};
use protocol::permit::{PERMIT_PATH, PermitAnswer, PermitReply};
use protocol::signed::Envelope;
use serde_json::{Value, json};

/// Orders remembered for replays and forgeries.
const OVERHEARD_MAX: usize = 200;
/// The longest way of a message, in seconds; an agent's idea of the server's time is late by as much.
pub const DELAY_SECONDS_MAX: i64 = 30;

impl Fleet<'_> {
    pub fn delay(&mut self) -> i64 {
        if self.faulty && self.net.percent(3) {
            return self.net.between(2, DELAY_SECONDS_MAX) * SECOND;
        }
        self.net.between(2_000, 300_000)
    }

    pub fn lossy(&mut self, percent: u64) -> bool {
        let lost = self.faulty && self.net.percent(percent);
        self.counts.network_faults += u64::from(lost);
        lost
    }

    pub fn send(&mut self, from: usize, lane: Lane, path: &'static str, body: Vec<u8>) {
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

    pub fn reply(&mut self, to: usize, life: u64, id: u64, lane: Lane, status: u16, body: Vec<u8>) {
        if self.lossy(4) || self.nodes[to].offline_until > self.now {
            return;
        }
        let delay = self.delay();
        self.after(delay, Event::Answer { to, life, id, lane, status, body });
    }

    pub fn expects(&mut self, node: usize, life: u64, id: u64, lane: Lane) -> bool {
        let node = &mut self.nodes[node];
        let expected = node.life == life && node.under_way[lane as usize] == Some(id);
        if expected {
            node.under_way[lane as usize] = None;
        }
        expected
    }

    #[expect(clippy::too_many_arguments, reason = "one message, unpacked")]
    pub fn arrive(
        &mut self,
        from: usize,
        life: u64,
        id: u64,
        lane: Lane,
        path: &'static str,
        body: Vec<u8>,
        to: usize,
    ) {
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
        let asks = (path == PERMIT_PATH).then(|| self.permit_asked(&body)).flatten();
        let undo = match path {
            PERMIT_PATH => self.mutate_before_permit(to),
            POLL_PATH => self.mutate_before_poll(from),
            _ => Undo::new(),
        };
        let lies = dropped.then(|| acknowledgement(now, &body));
        let told = if path == EVENTS_PATH { results(&body) } else { Vec::new() };
        let asked = Asked { door: Door::Agents, method: Method::POST, path, tag: "", token: None, body };
        let answer = self.replicas[to].ask(&self.runtime, now, asked);
        if unaware {
            self.set_halt_row(true);
        }
        self.mutate_back(&undo);
        if dropped {
            self.replicas[to].points_left = None;
        }
        let Some(answer) = answer else {
            if let Some(body) = lies {
                self.acknowledged(from, &told, &body);
                self.reply(from, life, id, lane, 200, body);
            }
            if let Some((epoch, task, _)) = asks {
                self.watch.unanswered(epoch, &task);
            }
            self.server_died(to);
            let delay = self.delay();
            self.after(delay, Event::Broken { to: from, life, id, lane });
            return;
        };
        self.watch.ears.heard(to, self.nodes[from].key, now, answer.status == 200);
        self.note(&format!("server {to} answers h{from} {} on {path}", answer.status));
        if answer.status == 200 && path == POLL_PATH {
            let reply: PollReply = serde_json::from_slice(&answer.body).expect("a poll's reply");
            let orders: Vec<Order> = reply.orders.iter().filter_map(|text| order(text)).collect();
            if !orders.is_empty() {
                let tasks = self.tasks();
                self.watch.sent(now, &orders, &tasks);
            }
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
        if let Some((epoch, task, halted)) = asks.filter(|_| answer.status == 200) {
            let reply: PermitReply = serde_json::from_slice(&answer.body).expect("a permit's reply");
            let word = match reply.answer {
                PermitAnswer::Granted { .. } => "yes",
                PermitAnswer::Wait { .. } => "wait",
                PermitAnswer::Denied { .. } => "no",
            };
            self.note(&format!("  h{from} asks to start task {} epoch {epoch}: {word}", task.id));
            if word == "yes" {
                let tasks = self.tasks();
                self.watch.granted(now, epoch, &task, &tasks, halted);
            }
        }
        if path == EVENTS_PATH {
            if answer.status == 200 {
                self.acknowledged(from, &told, &answer.body);
            }
            self.mutate_after_events();
            self.look_later(to);
            let key = self.nodes[from].key;
            self.wake(to, key);
        }
        self.reply(from, life, id, lane, answer.status, answer.body);
    }

    /// A result that is acknowledged is on the server's disk, or its task has ended or gone to another: asked at once, because a loss
    /// heals later by what agents list.
    fn acknowledged(&mut self, from: usize, told: &[Acked], reply: &[u8]) {
        let Ok(reply) = serde_json::from_slice::<EventsReply>(reply) else { return };
        let agent = self.nodes[from].key;
        for Acked { task, epoch, n } in told.iter().filter(|told| reply.acked.contains(told)) {
            let Some(row) = self.task(*task).filter(|row| row.epoch == i64::from(*epoch) && row.code == -1) else {
                continue;
            };
            let id = row.id;
            let own = self.number(&format!("SELECT count(*) FROM task WHERE id = {id} AND agent_key = {agent}"));
            let sql = format!("SELECT count(*) FROM task_event WHERE task_id = {id} AND epoch = {epoch} AND n = {n}");
            if own == 1 && self.number(&sql) == 0 {
                self.watch
                    .breach(format!("durable: event {n} of epoch {epoch} of task {id} is acknowledged and not stored"));
            }
        }
    }

    /// What is asked for a permit, as it stands before the server answers, and whether a halt of it is durable.
    fn permit_asked(&self, body: &[u8]) -> Option<(u32, TaskNow, bool)> {
        let envelope = Envelope::parse(body, BODY_BYTES_MAX).ok()?;
        let request: Request = serde_json::from_slice(envelope.unverified_payload()).ok()?;
        let Body::Permit(ask) = request.body else { return None };
        let task = self.task(ask.of.task)?;
        let halted = self.stands_halted(&task);
        Some((ask.of.epoch, task, halted))
    }

    /// What somebody on the way makes of an answer: forged, foreign and old orders among the real ones.
    pub fn meddle(&mut self, lane: Lane, status: u16, body: Vec<u8>) -> Vec<u8> {
        if lane != Lane::Poll || status != 200 || !self.lossy(2) || self.overheard.is_empty() {
            return body;
        }
        let Ok(mut reply) = serde_json::from_slice::<PollReply>(&body) else { return body };
        let mut text = self.overheard[self.net.index(self.overheard.len())].clone();
        if self.net.percent(60) {
            text = forged(&text, self.net.index(4)).unwrap_or(text);
        }
        reply.orders.push(text);
        serde_json::to_vec(&reply).expect("a reply holds only strings and numbers")
    }
}

/// A signed order with something in it changed. Not any character: what one does depends on ids and signatures, and they are
/// others in each run of a seed.
fn forged(text: &str, how: usize) -> Option<String> {
    let mut envelope: Value = serde_json::from_str(text).ok()?;
    match how {
        // Cut short on the way.
        0 => return text.get(..text.len() / 2).map(str::to_owned),
        // Another order under the old signature.
        1 => {
            let payload = STANDARD.decode(envelope["payload"].as_str()?).ok()?;
            let mut order: Value = serde_json::from_slice(&payload).ok()?;
            order["epoch"] = json!(order["epoch"].as_u64()? + 1);
            envelope["payload"] = json!(STANDARD.encode(serde_json::to_vec(&order).ok()?));
        }
        // No order at all under it.
        2 => envelope["payload"] = json!(STANDARD.encode("{")),
        // Another signature.
        _ => {
            let place = &mut envelope["signatures"][0]["sig"];
            let mut signature = STANDARD.decode(place.as_str()?).ok()?;
            *signature.first_mut()? ^= 1;
            *place = json!(STANDARD.encode(signature));
        }
    }
    Some(envelope.to_string())
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

/// The events of a request that end a try.
fn results(request: &[u8]) -> Vec<Acked> {
    let request = Envelope::parse(request, BODY_BYTES_MAX).ok();
    let request = request.and_then(|envelope| serde_json::from_slice::<Request>(envelope.unverified_payload()).ok());
    let Some(Request { body: Body::Events(events), .. }) = request else { return Vec::new() };
    let parsed = events.events.iter().filter_map(|text| serde_json::from_str::<protocol::agent::Event>(text).ok());
    let ends = parsed.filter(|event| matches!(event.event, EventKind::Finished(_) | EventKind::Interrupted { .. }));
    ends.map(|event| Acked { task: event.task, epoch: event.epoch, n: event.n }).collect()
}

/// The order in an envelope, not verified.
pub fn order(text: &str) -> Option<Order> {
    let envelope = Envelope::parse(text.as_bytes(), ORDER_BYTES_MAX).ok()?;
    serde_json::from_slice(envelope.unverified_payload()).ok()
}
