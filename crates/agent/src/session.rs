//! The conversation with the server as a machine without sockets: inputs and a time go in, requests and frames come out.
//!
//! Two lanes, because a poll is held for most of a minute while results must not wait: the poll lane, and the talk lane for
//! events and content. At most one request per lane is under way. Nothing here is trusted by the executor, and nothing here
//! touches the disk: sequence numbers come reserved in blocks, events stay at the executor until the server has them.

mod send;

use crate::frame::{Hello, Settings, Status, ToExecutor, ToNet};
use domain::time::Timestamp;
use protocol::agent::{
    Acked, BODY_BYTES_MAX, Body, CHECKS_PATH, CONTENT_PATH, Checks, ChecksReply, Content, EVENTS_PATH, Events,
    EventsReply, Facts, POLL_PATH, PROTOCOL_VERSION, Poll, PollReply, REQUEST_TYPE, Request,
};
use protocol::permit::{PERMIT_PATH, PermitAsk, PermitReply, RESTART_PATH};
use protocol::signed::{Envelope, KeyError, SigningKey};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// Most events in one request.
pub const EVENTS_PER_REQUEST_MAX: usize = 64;
/// Most bytes of events in one request; base64 in the envelope makes them a third larger.
pub const EVENT_BYTES_PER_REQUEST_MAX: usize = BODY_BYTES_MAX / 2;
/// The first pause after a failure, in milliseconds; it doubles.
pub const BACKOFF_MS_FIRST: u64 = 1000;
/// The pause between polls that bring the same again, in milliseconds; it doubles up to 64 times this.
pub const REPEAT_MS_FIRST: u64 = 250;
/// The pause before a request whose number was refused is sent with the next one, in milliseconds.
pub const RENUMBER_MS: u64 = 20;
/// When fewer sequence numbers are left, more are asked for.
const SEQ_LOW: u64 = 64;
/// How long an event waits for others to travel with it, in milliseconds.
const GATHER_MS: u64 = 100;
/// The pause between two tries to deliver events, in milliseconds.
const RESEND_MS: u64 = 50;
/// How long an answer that proves something is waited for, in milliseconds: several fit into the time there is for it.
const PROOF_TIMEOUT_MS: u64 = 20_000;
/// The longest pause between two tries to prove something, in milliseconds.
const PROOF_RETRY_MS: u64 = 2000;
/// After so many tries in a row a proof is long decided, and is asked for as rarely as everything else.
const PROOF_TRIES: u32 = 30;

/// One of the two lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Long polls.
    Poll,
    /// Events and content.
    Talk,
}

/// What happens to the session.
#[derive(Clone, Debug)]
pub enum Input {
    /// Nothing but time.
    Tick,
    /// The executor says something.
    Frame(Box<ToNet>),
    /// The server answered.
    Reply {
        /// On which lane.
        lane: Lane,
        /// HTTP status.
        status: u16,
        /// `Retry-After` in seconds, when given.
        retry_after: Option<u64>,
        /// The body.
        body: Vec<u8>,
    },
    /// There was no answer.
    Failed {
        /// On which lane.
        lane: Lane,
        /// Why, for the log.
        reason: String,
    },
}

/// What the session wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send a request.
    Send {
        /// On which lane.
        lane: Lane,
        /// Where to.
        path: &'static str,
        /// The signed envelope.
        body: Vec<u8>,
        /// Give up after this long, in milliseconds.
        timeout_ms: u64,
        /// Over a new connection to an address that is looked up anew: what is open already proves nothing.
        fresh: bool,
    },
    /// Tell the executor.
    Tell(ToExecutor),
    /// Worth a line in the log.
    Log(String),
    /// The executor wants us to end.
    End,
}

/// The time a machine step happens at.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Milliseconds on a clock that only rises.
    pub ms: u64,
    /// The host's wall clock.
    pub wall: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
enum Asked {
    Nothing,
    Poll { with_facts: bool },
    Events,
    Content { digest: String },
    Permit(PermitAsk),
    Restart(PermitAsk),
    Checks(Box<Checks>),
}

#[derive(Clone, Debug)]
struct LaneState {
    asked: Asked,
    not_before_ms: u64,
    failures: u32,
    connected: bool,
}

impl LaneState {
    fn new() -> Self {
        Self { asked: Asked::Nothing, not_before_ms: 0, failures: 0, connected: false }
    }

    fn free(&self, now_ms: u64) -> bool {
        self.asked == Asked::Nothing && now_ms >= self.not_before_ms
    }
}

/// The session.
#[derive(Debug)]
pub struct Session {
    hello: Hello,
    key: SigningKey,
    seq: Range<u64>,
    more_asked: bool,
    status: Status,
    facts: Option<Facts>,
    outbox: BTreeMap<(TaskKey, u32), String>,
    order: VecDeque<(TaskKey, u32)>,
    wants: VecDeque<String>,
    /// Permits to ask for, each order once.
    asks: VecDeque<PermitAsk>,
    restart: Option<PermitAsk>,
    checks: Option<Box<Checks>>,
    checks_not_before_ms: u64,
    /// A question of the executor's that a request sent from now on answers.
    prove: Option<u32>,
    /// The question that the request under way answers.
    proving: Option<u32>,
    poll: LaneState,
    talk: LaneState,
    repeats: u32,
    /// How many answers to events in a row stored none of them.
    unstored: u32,
    /// Until then they are not sent again; a new one is sent at once.
    events_not_before_ms: u64,
    /// Orders and revocations of the last answer.
    last_told: (Vec<String>, Vec<protocol::agent::TaskEpoch>),
    random: u64,
}

type TaskKey = (uuid::Uuid, u32);

impl Session {
    /// Begin. `random` seeds the jitter.
    ///
    /// # Errors
    /// When the key is none.
    pub fn new(hello: Hello, random: u64) -> Result<Self, KeyError> {
        let key = SigningKey::from_pem(&hello.key)?;
        Ok(Self {
            key,
            seq: hello.seq_from..hello.seq_until,
            more_asked: false,
            status: hello.status.clone(),
            facts: Some(hello.facts.clone()),
            outbox: BTreeMap::new(),
            order: VecDeque::new(),
            wants: VecDeque::new(),
            asks: VecDeque::new(),
            restart: None,
            checks: None,
            checks_not_before_ms: 0,
            prove: None,
            proving: None,
            poll: LaneState::new(),
            talk: LaneState::new(),
            repeats: 0,
            unstored: 0,
            events_not_before_ms: 0,
            last_told: (Vec::new(), Vec::new()),
            random: random | 1,
            hello,
        })
    }

    /// Take one input; do what comes out, in order.
    pub fn handle(&mut self, input: Input, now: Now) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Tick => {}
            Input::Frame(frame) => self.on_frame(*frame, now, &mut out),
            Input::Reply { lane, status: 200, body, .. } => self.on_reply(lane, &body, now, &mut out),
            Input::Reply { lane, status, retry_after, body } => {
                self.on_refusal(lane, status, retry_after, &body, now, &mut out);
            }
            Input::Failed { lane, reason } => {
                let asked = self.take(lane);
                self.restore(&asked);
                let lost = std::mem::take(&mut self.lane(lane).connected);
                let proves = self.proves(lane);
                let spread = if lost && !proves { self.below(self.settings().spread_ms_max) } else { 0 };
                let pause = self.back_off(lane, now.ms, spread);
                out.push(Output::Log(format!("no answer ({reason}), next try in {pause} ms")));
            }
        }
        self.send_what_is_due(now, &mut out);
        out
    }

    /// When to call again with [`Input::Tick`] if nothing else happens, in milliseconds of the same clock.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        let waits = |lane: &LaneState| (lane.asked == Asked::Nothing).then_some(lane.not_before_ms);
        let quiet = self.asks.is_empty() && self.restart.is_none() && self.prove.is_none();
        let to_say = !(self.wants.is_empty() && quiet);
        let talk = to_say.then(|| waits(&self.talk)).flatten();
        let events = (!self.order.is_empty()).then(|| waits(&self.talk)).flatten();
        let events = events.map(|at| at.max(self.events_not_before_ms));
        let checks = self.checks.is_some().then(|| waits(&self.talk)).flatten();
        let checks = checks.map(|at| at.max(self.checks_not_before_ms));
        [waits(&self.poll), talk, events, checks].into_iter().flatten().min()
    }

    /// How many events wait for an acknowledgement.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.outbox.len()
    }

    fn settings(&self) -> &Settings {
        &self.hello.settings
    }

    fn lane(&mut self, lane: Lane) -> &mut LaneState {
        match lane {
            Lane::Poll => &mut self.poll,
            Lane::Talk => &mut self.talk,
        }
    }

    fn take(&mut self, lane: Lane) -> Asked {
        std::mem::replace(&mut self.lane(lane).asked, Asked::Nothing)
    }

    fn on_frame(&mut self, frame: ToNet, now: Now, out: &mut Vec<Output>) {
        match frame {
            ToNet::Hello(_) => out.push(Output::Log("a second hello is ignored".to_owned())),
            ToNet::Status(status) => self.status = status,
            ToNet::Facts(facts) => self.facts = Some(*facts),
            ToNet::Event { of, n, text } => {
                let key = ((of.task, of.epoch), n);
                if self.outbox.insert(key, text).is_none() {
                    // Those that follow at once travel with the first: taken and begun, begun and done.
                    let (first, soon) = (self.order.is_empty(), now.ms + GATHER_MS);
                    self.events_not_before_ms = if first { soon } else { soon.min(self.events_not_before_ms) };
                    self.order.push_back(key);
                    self.unstored = 0;
                }
            }
            ToNet::Acked(acked) => self.forget(&[acked]),
            ToNet::Checks(checks) => self.checks = Some(checks),
            ToNet::Want { digest } => {
                let asked = matches!(&self.talk.asked, Asked::Content { digest: under_way } if *under_way == digest);
                if !asked && !self.wants.contains(&digest) {
                    self.wants.push_back(digest);
                }
            }
            ToNet::Permit(ask) => {
                self.asks.retain(|known| known.of != ask.of);
                self.asks.push_back(ask);
            }
            ToNet::Restart(ask) => {
                self.restart = Some(ask);
                // What was done is to be stored before the host goes down.
                self.events_not_before_ms = 0;
            }
            ToNet::Prove { n } => {
                self.prove = Some(n);
                // It decides whether a change stays: an earlier failure is no reason to wait.
                (self.talk.not_before_ms, self.talk.failures) = (0, 0);
            }
            ToNet::Sequence { from, until } => {
                self.more_asked = false;
                self.seq = from..until;
            }
            ToNet::Stop => out.push(Output::End),
        }
    }

    fn on_reply(&mut self, lane: Lane, body: &[u8], now: Now, out: &mut Vec<Output>) {
        let asked = self.take(lane);
        let understood = match &asked {
            Asked::Nothing => Ok(()),
            Asked::Poll { .. } => self.on_poll_reply(body, now, out),
            Asked::Events => serde_json::from_slice::<EventsReply>(body).map(|reply| {
                out.push(Output::Tell(ToExecutor::Time { server: reply.now }));
                if let Some(n) = self.proving.take() {
                    self.prove = self.prove.filter(|asked| *asked != n);
                    out.push(Output::Tell(ToExecutor::Proven { n }));
                }
                let known = self.outbox.len();
                self.on_acked(reply.acked, out);
                // A server may leave one for later, because it knows less than we do: it comes again, ever more rarely.
                self.unstored = if self.outbox.len() < known { 0 } else { self.unstored.saturating_add(1) };
                let pause = (RESEND_MS << self.unstored.min(20)).min(self.settings().backoff_ms_max);
                self.events_not_before_ms = if self.unstored > 1 { now.ms + pause } else { 0 };
            }),
            Asked::Permit(ask) => serde_json::from_slice::<PermitReply>(body).map(|reply| {
                out.push(Output::Tell(ToExecutor::Time { server: reply.now }));
                out.push(Output::Tell(ToExecutor::Permit { of: ask.of, answer: reply.answer }));
            }),
            Asked::Restart(ask) => serde_json::from_slice::<PermitReply>(body).map(|reply| {
                out.push(Output::Tell(ToExecutor::Time { server: reply.now }));
                out.push(Output::Tell(ToExecutor::Restart { of: ask.of, answer: reply.answer }));
            }),
            Asked::Content { digest } => {
                let digest = digest.clone();
                out.push(Output::Tell(match String::from_utf8(body.to_vec()) {
                    Ok(text) => ToExecutor::Content { digest, text },
                    Err(_) => ToExecutor::NoContent { digest, reason: "the content is not text".to_owned() },
                }));
                Ok(())
            }
            Asked::Checks(_) => serde_json::from_slice::<ChecksReply>(body).map(|reply| {
                out.push(Output::Tell(ToExecutor::Time { server: reply.now }));
                out.push(Output::Tell(ToExecutor::Checked { n: reply.n, interval_seconds: reply.interval_seconds }));
            }),
        };
        match understood {
            Ok(()) => {
                let state = self.lane(lane);
                (state.failures, state.connected) = (0, true);
            }
            Err(error) => {
                self.restore(&asked);
                let pause = self.back_off(lane, now.ms, 0);
                out.push(Output::Log(format!("the answer cannot be read ({error}), next try in {pause} ms")));
            }
        }
    }

    fn on_poll_reply(&mut self, body: &[u8], now: Now, out: &mut Vec<Output>) -> Result<(), serde_json::Error> {
        let reply: PollReply = serde_json::from_slice(body)?;
        out.push(Output::Tell(ToExecutor::Time { server: reply.now }));
        let told = (reply.orders.clone(), reply.revoke.clone());
        let nothing = told.0.is_empty() && told.1.is_empty();
        let handed_over = !reply.roots.is_empty() || reply.index.is_some() || !nothing;
        // Roots before the index, the index before orders: each may be what makes the next one acceptable.
        if !reply.roots.is_empty() {
            out.push(Output::Tell(ToExecutor::Roots { envelopes: reply.roots }));
        }
        if let Some(envelope) = reply.index {
            out.push(Output::Tell(ToExecutor::Index { envelope }));
        }
        // Revocations before orders: what is revoked in the same breath must not start.
        if !reply.revoke.is_empty() {
            out.push(Output::Tell(ToExecutor::Revoke { orders: reply.revoke }));
        }
        // Approvals before the orders that name them.
        if !reply.approvals.is_empty() {
            out.push(Output::Tell(ToExecutor::Approvals { envelopes: reply.approvals }));
        }
        self.repeats = match nothing || told != self.last_told {
            true => 0,
            false => self.repeats.saturating_add(1),
        };
        self.last_told = told;
        out.extend(reply.orders.into_iter().map(|envelope| Output::Tell(ToExecutor::Order { envelope })));
        self.on_acked(reply.acked, out);
        let wait = u64::from(reply.wait_seconds) * 1000;
        // A server that sends the same order again at once must not make us spin.
        let repeat = match self.repeats {
            // What was just handed over is not yet part of what the next poll would say.
            0 if handed_over => REPEAT_MS_FIRST,
            0 => 0,
            times => REPEAT_MS_FIRST << times.min(6),
        };
        self.poll.not_before_ms = now.ms + wait.max(repeat).min(self.settings().backoff_ms_max);
        Ok(())
    }

    fn on_acked(&mut self, acked: Vec<Acked>, out: &mut Vec<Output>) {
        if acked.is_empty() {
            return;
        }
        self.forget(&acked);
        out.push(Output::Tell(ToExecutor::Acked { acked }));
    }

    fn forget(&mut self, acked: &[Acked]) {
        let stored = |key: &(TaskKey, u32)| acked.iter().any(|a| (a.task, a.epoch) == key.0 && key.1 <= a.n);
        self.outbox.retain(|key, _| !stored(key));
        self.order.retain(|key| !stored(key));
    }

    fn on_refusal(
        &mut self,
        lane: Lane,
        status: u16,
        retry_after: Option<u64>,
        body: &[u8],
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let asked = self.take(lane);
        let text: String = String::from_utf8_lossy(body).chars().take(300).collect();
        self.lane(lane).connected = true;
        if let (Asked::Content { digest }, 404 | 410) = (&asked, status) {
            // Not there is an answer: the order that needs it is refused and re-sent when the server has it.
            let reason = format!("the server answered {status}: {text}");
            out.push(Output::Tell(ToExecutor::NoContent { digest: digest.clone(), reason }));
            self.lane(lane).failures = 0;
            return;
        }
        if let Asked::Checks(checks) = asked {
            // Results of orders do not wait for it.
            let pause = retry_after.unwrap_or(60).clamp(1, 3600) * 1000;
            self.checks_not_before_ms = now.ms + pause + self.below(pause / 4 + 1);
            // A server that does not take them is an older one; the next look tries again.
            if matches!(status, 409 | 429 | 500..) && self.checks.is_none() {
                self.checks = Some(checks);
            }
            out.push(Output::Log(format!("the server answered {status} to checks, next try in {pause} ms: {text}")));
            return;
        }
        self.restore(&asked);
        let pause = match retry_after {
            // Something on the way sent it twice, and the answer to the first is lost: the next number will do.
            _ if status == 409 && self.lane(lane).failures < 5 => {
                let pause = RENUMBER_MS + self.below(100);
                let state = self.lane(lane);
                state.failures += 1;
                state.not_before_ms = now.ms + pause;
                pause
            }
            Some(seconds) => {
                let pause = (seconds * 1000).min(self.settings().backoff_ms_max);
                // Everybody is told the same time: spread around it.
                let pause = pause + self.below(pause / 4 + 1);
                self.lane(lane).not_before_ms = now.ms + pause;
                pause
            }
            None => self.back_off(lane, now.ms, 0),
        };
        out.push(Output::Log(format!("the server answered {status}, next try in {pause} ms: {text}")));
    }

    /// What was asked and not answered is asked again.
    fn restore(&mut self, asked: &Asked) {
        match asked {
            Asked::Content { digest } => self.wants.push_front(digest.clone()),
            // Unless the executor asked anew meanwhile.
            Asked::Permit(ask) if self.asks.iter().all(|known| known.of != ask.of) => self.asks.push_front(*ask),
            Asked::Permit(_) => {}
            // What it did comes before it, so the executor asks anew when it is worth it.
            Asked::Restart(_) => {}
            Asked::Poll { with_facts: true } => {
                self.facts.get_or_insert_with(|| self.hello.facts.clone());
            }
            Asked::Checks(checks) if self.checks.is_none() => self.checks = Some(checks.clone()),
            Asked::Poll { .. } | Asked::Events | Asked::Checks(_) | Asked::Nothing => {}
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
