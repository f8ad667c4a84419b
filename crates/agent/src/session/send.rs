//! What is sent, and when: one request per lane, events before what can wait.

use super::*;

impl Session {
    /// A number below `end` (0 when `end` is 0); xorshift is enough to spread agents out.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        if end == 0 { 0 } else { self.random % end }
    }

    /// Whether what a lane sends next is a proof that is still worth having soon.
    pub(super) fn proves(&self, lane: Lane) -> bool {
        lane == Lane::Talk && self.prove.is_some() && self.talk.failures < PROOF_TRIES
    }

    pub(super) fn back_off(&mut self, lane: Lane, now_ms: u64, spread_ms: u64) -> u64 {
        let failures = self.lane(lane).failures;
        let ceiling = (BACKOFF_MS_FIRST << failures.min(20)).min(self.settings().backoff_ms_max);
        let ceiling = if self.proves(lane) { ceiling.min(PROOF_RETRY_MS) } else { ceiling };
        // Full jitter, but never a hot loop.
        let pause = self.below(ceiling).max(100) + spread_ms;
        let state = self.lane(lane);
        state.failures = failures.saturating_add(1);
        state.not_before_ms = now_ms + pause;
        pause
    }

    pub(super) fn send_what_is_due(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.talk.free(now.ms) {
            // A start waits for this, results wait for nothing but room.
            if let Some(ask) = self.asks.front().copied().filter(|_| self.prove.is_none()) {
                if self.send(Lane::Talk, PERMIT_PATH, Body::Permit(ask), 60_000, now, out) {
                    self.asks.pop_front();
                    self.talk.asked = Asked::Permit(ask);
                }
            } else if (!self.order.is_empty() && now.ms >= self.events_not_before_ms) || self.prove.is_some() {
                self.send_events(now, out);
            } else if let Some(ask) = self.restart.take() {
                // After the events: what was done is stored before the host goes down.
                match self.send(Lane::Talk, RESTART_PATH, Body::Restart(ask), 60_000, now, out) {
                    true => self.talk.asked = Asked::Restart(ask),
                    false => self.restart = Some(ask),
                }
            } else if let Some(digest) = self.wants.front().cloned() {
                let body = Body::Content(Content { digest: digest.clone() });
                if self.send(Lane::Talk, CONTENT_PATH, body, 60_000, now, out) {
                    self.wants.pop_front();
                    self.talk.asked = Asked::Content { digest };
                }
            } else if now.ms >= self.checks_not_before_ms
                && let Some(checks) = self.checks.take()
            {
                // Last: what an order did is told before a look that came before it.
                match self.send(Lane::Talk, CHECKS_PATH, Body::Checks(checks.clone()), 60_000, now, out) {
                    true => self.talk.asked = Asked::Checks(checks),
                    false => self.checks = Some(checks),
                }
            }
        }
        if self.poll.free(now.ms) {
            let facts = self.facts.clone();
            let with_facts = facts.is_some();
            let hold_seconds = self.settings().hold_seconds;
            let body = Body::Poll(Box::new(Poll {
                boot_id: self.status.boot_id.clone(),
                root_version: self.status.root_version,
                index_version: self.status.index_version,
                open: self.status.open.clone(),
                journal_head: self.status.journal_head.clone(),
                hold_seconds,
                facts,
            }));
            let timeout = (u64::from(hold_seconds) + 30) * 1000;
            if self.send(Lane::Poll, POLL_PATH, body, timeout, now, out) {
                if let Some(facts) = self.facts.take() {
                    self.hello.facts = facts;
                }
                self.poll.asked = Asked::Poll { with_facts };
            }
        }
    }

    fn send_events(&mut self, now: Now, out: &mut Vec<Output>) {
        let mut events = Vec::new();
        let mut bytes = 0;
        for key in self.order.iter().take(EVENTS_PER_REQUEST_MAX) {
            let Some(text) = self.outbox.get(key) else { continue };
            bytes += text.len();
            if !events.is_empty() && bytes > EVENT_BYTES_PER_REQUEST_MAX {
                break;
            }
            events.push(text.clone());
        }
        let timeout_ms = if self.prove.is_some() { PROOF_TIMEOUT_MS } else { 60_000 };
        if self.send(Lane::Talk, EVENTS_PATH, Body::Events(Events { events }), timeout_ms, now, out) {
            self.talk.asked = Asked::Events;
            self.proving = self.prove;
            // Whatever the answer leaves unacknowledged is sent again, but not in a hot loop.
            self.talk.not_before_ms = now.ms + RESEND_MS;
        }
    }

    /// Sign and send with the next sequence number; false when none is left.
    pub(super) fn send(
        &mut self,
        lane: Lane,
        path: &'static str,
        body: Body,
        timeout_ms: u64,
        now: Now,
        out: &mut Vec<Output>,
    ) -> bool {
        if self.seq.end.saturating_sub(self.seq.start) < SEQ_LOW && !self.more_asked {
            self.more_asked = true;
            out.push(Output::Tell(ToExecutor::NeedSequence));
        }
        let Some(seq) = self.seq.next() else { return false };
        let request = Request {
            v: PROTOCOL_VERSION,
            agent_id: self.hello.agent_id,
            instance_id: self.hello.instance_id,
            seq,
            sent_at: now.wall,
            body,
        };
        let payload = serde_json::to_vec(&request).expect("a request holds only strings and numbers");
        let body = Envelope::sign(REQUEST_TYPE, &payload, &[&self.key]).to_json();
        // While something waits for its proof the talk lane sends nothing else.
        let fresh = lane == Lane::Talk && self.prove.is_some();
        out.push(Output::Send { lane, path, body, timeout_ms, fresh });
        true
    }
}
