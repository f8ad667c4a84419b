//! What comes from the server, from an envelope to an order that waits for its turn: verified, admitted, journalled or refused.

use super::*;

impl Executor {
    /// Keep an approval until the orders that name it come. It is checked with each of them.
    pub(super) fn keep_approval(&mut self, envelope: &str) {
        match Envelope::parse(envelope.as_bytes(), MANIFEST_BYTES_MAX) {
            Ok(envelope) => {
                let digest = Digest::of(envelope.unverified_payload());
                if self.approvals.len() >= APPROVALS_MAX && !self.approvals.contains_key(&digest) {
                    self.approvals.clear();
                }
                self.approvals.insert(digest, envelope);
            }
            Err(error) => tracing::warn!("an approval cannot be read: {error}"),
        }
    }

    pub(super) fn take(&mut self, envelope: String) {
        let now = self.clock.now();
        let trust = Trust {
            root: &self.root,
            index: self.index.as_ref(),
            index_fault: self.index_fault.as_deref(),
            approvals: &self.approvals,
            agent_id: self.enrolment.agent_id,
            instance_id: self.enrolment.instance_id,
        };
        let content = |digest: &str| self.state.content(digest);
        match decide::order(envelope.as_bytes(), trust, &self.book, &self.state.controls(), now, content) {
            Taking::Refuse(refusal) => self.refuse(refusal, &envelope),
            Taking::Repeat(order) => self.again(&order),
            Taking::Accept(order) => match self.missing_for_revert(&order) {
                Some(digest) => self.wait_for_content(&order, digest, envelope),
                None => self.accept(order, &envelope),
            },
            Taking::Fetch(order) => self.wait_for_content(&order, order.content_digest.clone(), envelope),
        }
    }

    pub(crate) fn admit(&self, order: &Order, bytes: &[u8]) -> Result<VerifiedEntry, (RefusalCode, String)> {
        decide::admit(self.index.as_ref(), order, bytes)
    }

    /// An order that is good so far waits until its content is here. What waits is in memory alone, so it is bounded in all: a server
    /// that signs orders and keeps their contents back must not fill it. One that finds no room is refused as come too early; a
    /// revert goes on without its content instead, which says only what was left behind.
    pub(super) fn wait_for_content(&mut self, order: &Order, digest: String, envelope: String) {
        let known = self.waiting.get(&digest).is_some_and(|waiting| waiting.contains(&envelope));
        if !known && !self.room_to_wait() {
            if order.kind == OrderKind::Revert {
                return self.accept(Box::new(order.clone()), &envelope);
            }
            let refusal = Refusal {
                code: RefusalCode::NotYet,
                reason: format!("{WAITING_MAX} orders wait for their content here already"),
                claimed: Some((order.task, order.epoch)),
                order_seq: Some(order.order_seq),
            };
            return self.refuse(refusal, &envelope);
        }
        if !known {
            self.waiting.entry(digest.clone()).or_default().push(envelope);
        }
        self.out.push(ToNet::Want { digest });
    }

    /// Whether one more order may wait; those whose time is over do not any more.
    fn room_to_wait(&mut self) -> bool {
        let count = |waiting: &BTreeMap<String, Vec<String>>| waiting.values().map(Vec::len).sum::<usize>();
        if count(&self.waiting) >= WAITING_MAX {
            let now = self.clock.now();
            let mut waiting = std::mem::take(&mut self.waiting);
            let timely = |envelope: &String| self.verified(envelope).is_some_and(|order| now < order.not_after);
            waiting.values_mut().for_each(|waiting| waiting.retain(timely));
            waiting.retain(|_, waiting| !waiting.is_empty());
            self.waiting = waiting;
        }
        count(&self.waiting) < WAITING_MAX
    }

    /// Content cannot be had. Orders that need it come again with the next poll; a revert goes on without it.
    pub(super) fn without_content(&mut self, digest: String) {
        let waiting = self.waiting.remove(&digest).unwrap_or_default();
        if self.unavailable.len() >= WAITING_MAX {
            self.unavailable.clear();
        }
        self.unavailable.insert(digest);
        let reverts = |envelope: &String| self.verified(envelope).is_some_and(|order| order.kind == OrderKind::Revert);
        let reverts: Vec<String> = waiting.into_iter().filter(reverts).collect();
        reverts.into_iter().for_each(|envelope| self.take(envelope));
    }

    pub(super) fn content(&mut self, digest: &str, text: &str) {
        let Some(waiting) = self.waiting.remove(digest) else { return };
        if Digest::of(text.as_bytes()).to_string() != digest {
            let reverts =
                |envelope: &String| self.verified(envelope).is_some_and(|order| order.kind == OrderKind::Revert);
            let (reverts, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(reverts);
            if !reverts.is_empty() {
                // Whoever brings the wrong bytes does not keep anything from being put back.
                self.waiting.insert(digest.to_owned(), reverts);
                self.without_content(digest.to_owned());
            }
            for envelope in others {
                let claimed = self.verified(&envelope).map(|order| ((order.task, order.epoch), order.order_seq));
                let refusal = Refusal {
                    code: RefusalCode::WrongDigest,
                    reason: format!("the content that came is not the one with digest {digest}"),
                    claimed: claimed.map(|(claimed, _)| claimed),
                    order_seq: claimed.map(|(_, seq)| seq),
                };
                self.refuse(refusal, &envelope);
            }
            return;
        }
        match self.state.keep_content(text.as_bytes()) {
            // Everything is verified again: the world may have moved while we waited.
            Ok(_) => waiting.into_iter().for_each(|envelope| self.take(envelope)),
            Err(error) => tracing::error!("content {digest} was not kept: {error}"),
        }
    }

    pub(super) fn verified(&self, envelope: &str) -> Option<Order> {
        let envelope = Envelope::parse(envelope.as_bytes(), protocol::order::ORDER_BYTES_MAX).ok()?;
        let role = protocol::root::Role::Order;
        self.root.verify(role, protocol::order::ORDER_TYPE, &envelope).ok()?.parse().ok()
    }

    pub(super) fn accept(&mut self, order: Box<Order>, envelope: &str) {
        failpoint::hit("before-accepted");
        // Whatever the network half says of the time, it is not earlier than the order's own.
        self.clock.not_before(order.not_before);
        let (task, epoch, seq) = (order.task, order.epoch, order.order_seq);
        if let Err(error) = self.room(order.kind) {
            self.unwritable(task, epoch, seq, &error);
            return;
        }
        let record = decide::accepted(&self.book, order, envelope.as_bytes(), self.clock.now());
        if let Err(error) = self.record(&record) {
            self.unwritable(task, epoch, seq, &error);
            return;
        }
        failpoint::hit("after-accepted");
    }

    /// An order that cannot be journalled is not acted on, and nothing is said of it: what was said and not journalled could not
    /// be vouched for later, when the epoch after it names it. The order comes again with every poll until there is room, or its
    /// time is over; the facts say why nothing happens.
    pub(super) fn unwritable(&mut self, task: Uuid, epoch: u32, order_seq: u64, error: &JournalError) {
        let refusal = Refusal {
            code: RefusalCode::JournalUnwritable,
            reason: error.to_string(),
            claimed: Some((task, epoch)),
            order_seq: Some(order_seq),
        };
        tracing::error!("order refused: {}", refusal.reason);
        self.remember(refusal);
    }

    pub(super) fn refuse(&mut self, refusal: Refusal, envelope: &str) {
        tracing::warn!("order refused ({}): {}", refusal.code.as_str(), refusal.reason);
        let room = self.room(OrderKind::Check);
        if let Some(record) = decide::refused(&self.book, &refusal, envelope.as_bytes(), self.clock.now())
            && let Err(error) = room.and_then(|()| self.record(&record))
        {
            // Not said either, see `unwritable`: it is refused again when it comes again.
            tracing::error!("a refusal was not journalled: {error}");
        }
        let authentic = refusal.claimed.filter(|_| refusal.order_seq.is_some());
        if let Some((task, epoch)) = authentic.filter(|(task, epoch)| self.book.speaks_for_itself(*task, *epoch)) {
            self.tell_again(TaskEpoch { task, epoch });
        }
        self.remember(refusal);
    }

    pub(super) fn remember(&mut self, refusal: Refusal) {
        self.refusals.push(refusal);
        let surplus = self.refusals.len().saturating_sub(REFUSALS_SHOWN);
        self.refusals.drain(..surplus);
    }

    /// The same order again: whatever became of it is sent again, acknowledged or not, which heals a server that forgot.
    pub(super) fn again(&mut self, order: &Order) {
        let of = TaskEpoch { task: order.task, epoch: order.epoch };
        let Some(known) = self.book.get(order.task, order.epoch) else { return };
        let ended = known.progress == crate::orders::Progress::Ended;
        self.tell_again(of);
        if ended {
            self.remember(Refusal {
                code: RefusalCode::Replayed,
                reason: format!("epoch {} has ended; its result was sent again", order.epoch),
                claimed: Some((order.task, order.epoch)),
                order_seq: Some(order.order_seq),
            });
        }
    }

    /// Everything known of a (task, epoch), acknowledged or not.
    pub(super) fn tell_again(&mut self, of: TaskEpoch) {
        let events = self.book.get(of.task, of.epoch).map(|known| known.events.clone()).unwrap_or_default();
        for (n, text) in (1..).zip(events) {
            self.out.push(ToNet::Event { of, n, text });
        }
    }

    pub(super) fn revoke(&mut self, of: TaskEpoch) {
        if decide::revocation(&self.book, of) == Revocation::Repeat {
            return self.tell_again(of);
        }
        if !self.book.room_for_tombstone(of) {
            // The server goes on asking; that is harmless, and once per process is enough to read of it.
            if !std::mem::replace(&mut self.strangers_said, true) {
                tracing::warn!("{STRANGERS_KEPT_MAX} revocations of orders never seen are kept, no more are taken");
            }
            return;
        }
        if !self.book.taken(of.task, of.epoch)
            && let Err(error) = self.room(OrderKind::Check)
        {
            return tracing::error!("a revocation was not journalled: {error}");
        }
        let record = decide::tombstone(&self.book, of, self.clock.now());
        if let Err(error) = self.record(&record) {
            tracing::error!("a revocation was not journalled: {error}");
        }
    }
}
