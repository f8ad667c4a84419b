//! A host: what `agent::executor` and `agent::work` do around `agent::decide` and `agent::orders`.

use crate::ledger::{Id, Memo};
use crate::monitor;
use crate::mutation::Mutation;
use crate::scene::Scene;
use crate::state::{Clock, Host, Message, State, Task};
use crate::system::System;
use agent::decide::{self, Revocation, Taking};
use agent::permits::Permits;
use agent::record::Record;
use agent::state::Controls;
use agent::verify::{Refusal, may_start};
use domain::mitigation::{ControlState, Origin};
use protocol::agent::{Acked, EventKind, Outcome, TaskEpoch, TaskReport};
use protocol::order::{Order, RefusalCode};
use protocol::signed::Envelope;
use std::sync::Arc;

/// What an agent does with a message: the journal after it, and what it says.
pub(crate) type Answer = (Id, Vec<Id>);

/// Why an order is not started.
type Refused = Result<(), (RefusalCode, String)>;

/// What decides whether an order is refused: journal, task, epoch, the index in force, the owner's halt, the clock.
type Check = (Id, Task, u32, Option<u8>, bool, Clock);

/// What a host makes of its journal, computed once for each.
pub(crate) struct Memory {
    waiting: Memo<Id, Arc<Vec<Order>>>,
    unsaid: Memo<Id, Arc<Vec<Id>>>,
    checked: Memo<Check, Refused>,
    begun: Memo<(Id, Task, u32), Answer>,
    ended: Memo<(Id, Task, u32, String), Answer>,
    revoked: Memo<(Id, Task, u32), Answer>,
    unresolved: Memo<(Id, Task, u32), Option<monitor::Breach>>,
}

impl Memory {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            waiting: Memo::new(),
            unsaid: Memo::new(),
            checked: Memo::new(),
            begun: Memo::new(),
            ended: Memo::new(),
            revoked: Memo::new(),
            unresolved: Memo::new(),
        }
    }
}

fn controls(halted: bool) -> Controls {
    Controls { halted, ..Controls::default() }
}

fn order_of((task, epoch): (Task, u32)) -> TaskEpoch {
    TaskEpoch { task: Scene::task_id(task), epoch }
}

fn report(outcome: Outcome, state: ControlState) -> EventKind {
    EventKind::Finished(Box::new(TaskReport {
        outcome,
        state,
        origin: (state == ControlState::Effective).then_some(Origin::Ours),
        message: String::new(),
        actions: Vec::new(),
        left_changed: false,
        restart_needed: None,
    }))
}

impl System {
    /// Write a record and say what it says.
    fn record(&self, journal: Id, record: &Record) -> Answer {
        let said = decide::said(record).map(|(_, text)| self.ledger.text(text));
        (self.ledger.append(journal, record), said.into_iter().collect())
    }

    /// Say again what is known of a task and epoch.
    fn repeat(&self, journal: Id, of: TaskEpoch) -> Answer {
        let opened = self.ledger.open(journal);
        let known = opened.book.get(of.task, of.epoch);
        let events = known.map(|known| known.events.as_slice()).unwrap_or_default();
        (journal, events.iter().map(|text| self.ledger.text(text)).collect())
    }

    /// An order arrives.
    pub(crate) fn take(&self, who: u8, host: &Host, envelope: Id, clock: Clock) -> Answer {
        let key = (who, host.journal, envelope, clock, host.index, host.halted);
        self.taken.get(key, || {
            let journal = self.ledger.open(host.journal);
            let bytes = self.ledger.read(envelope);
            let trust = self.scene.trust(who, host.index);
            let now = Scene::now(clock);
            let content = |digest: &str| self.scene.content(digest);
            let taking = decide::order(bytes.as_bytes(), trust, &journal.book, &controls(host.halted), now, content);
            match self.mutated(taking, &journal.book, bytes.as_bytes()) {
                Taking::Accept(order) => {
                    let record = decide::accepted(&journal.book, order, bytes.as_bytes(), now);
                    self.record(host.journal, &record)
                }
                Taking::Repeat(order) => self.repeat(host.journal, TaskEpoch { task: order.task, epoch: order.epoch }),
                Taking::Refuse(refusal) => match decide::refused(&journal.book, &refusal, bytes.as_bytes(), now) {
                    Some(record) => self.record(host.journal, &record),
                    None => (host.journal, Vec::new()),
                },
                Taking::Fetch(_) => (host.journal, Vec::new()),
            }
        })
    }

    /// Where a mutation takes an order that the product would not.
    fn mutated(&self, taking: Taking, book: &agent::orders::Book, bytes: &[u8]) -> Taking {
        let Some(mutation) = self.mutation else { return taking };
        let read = || {
            let envelope = Envelope::parse(bytes, protocol::order::ORDER_BYTES_MAX).ok()?;
            serde_json::from_slice::<Order>(envelope.unverified_payload()).ok().map(Box::new)
        };
        let ended = |order: &Order| {
            let known = book.get(order.task, order.epoch);
            known.is_some_and(|known| known.order.is_some() && known.progress == agent::orders::Progress::Ended)
        };
        let later = |order: &Order| (order.epoch + 1..9).any(|epoch| book.get(order.task, epoch).is_some());
        let wrongly = match (mutation, &taking) {
            (Mutation::TakesEndedOrder, Taking::Repeat(order)) => ended(order),
            (Mutation::TakesOlderEpoch, Taking::Repeat(order)) => ended(order) && later(order),
            (Mutation::EpochOnTimeoutUnasked, Taking::Refuse(Refusal { code, .. })) => {
                *code == RefusalCode::UnresolvedEpoch
            }
            (Mutation::WrongHost, Taking::Refuse(Refusal { code, .. })) => *code == RefusalCode::WrongAgent,
            (Mutation::UnlistedContent, Taking::Refuse(Refusal { code, .. })) => {
                matches!(code, RefusalCode::NotInIndex | RefusalCode::WrongDigest)
            }
            _ => false,
        };
        match read() {
            Some(order) if wrongly => Taking::Accept(order),
            _ => taking,
        }
    }

    /// A revocation arrives.
    pub(crate) fn revoke(&self, host: &Host, of: TaskEpoch) -> Answer {
        let key = (host.journal, Scene::task_of(of.task), of.epoch);
        self.memory.revoked.get(key, || self.answer_revocation(host, of))
    }

    fn answer_revocation(&self, host: &Host, of: TaskEpoch) -> Answer {
        let journal = self.ledger.open(host.journal);
        match decide::revocation(&journal.book, of) {
            Revocation::Repeat => self.repeat(host.journal, of),
            Revocation::Entomb => {
                let answer = self.record(host.journal, &decide::tombstone(&journal.book, of, Scene::now(Clock::True)));
                if self.mutation == Some(Mutation::NoTombstone) { (host.journal, answer.1) } else { answer }
            }
        }
    }

    /// An acknowledgement arrives.
    pub(crate) fn acknowledge(&self, host: &Host, acked: &Acked) -> Answer {
        match self.ledger.open(host.journal).book.news(acked) {
            Some(record) => self.record(host.journal, &record),
            None => (host.journal, Vec::new()),
        }
    }

    /// An index arrives.
    pub(crate) fn adopt(&self, host: &mut Host, place: u8) {
        let journal = self.ledger.open(host.journal);
        let in_force = self.scene.index(host.index);
        let sealed = self.scene.sealed(place).as_bytes();
        let adopted = match self.mutation {
            Some(Mutation::IndexRollback) => catalogue::index::verify_index(self.scene.root(), sealed, 0).map(Some),
            _ => decide::newer_index(self.scene.root(), &journal.book, in_force, sealed, Scene::now(Clock::True)),
        };
        if let Ok(Some(index)) = adopted {
            host.index = Some(place);
            let record = Record::Trust { root_version: 1, index_version: index.version() };
            host.journal = self.record(host.journal, &record).0;
        }
    }

    /// The order whose turn it is begins, asks for its permit, ends without having to change anything, or is refused at the last
    /// moment.
    pub(crate) fn begin(&self, state: &mut State, who: u8, clock: Clock, unchanged: bool) -> Option<()> {
        let host = state.hosts.get(usize::from(who))?;
        if host.running.is_some() {
            return None;
        }
        let id = host.journal;
        let waiting = self.memory.waiting.get(id, || Arc::new(self.ledger.open(id).book.waiting()));
        let order = waiting.iter().find(|order| !host.permits.blocks(order, 0))?;
        let of = (Scene::task_of(order.task), order.epoch);
        let key = (id, of.0, of.1, host.index, host.halted, clock);
        match self.memory.checked.get(key, || self.check(host, order, clock)) {
            Err((code, reason)) => self.end(state, who, of, EventKind::Refused { code, reason, order: String::new() }),
            Ok(()) if unchanged => self.end(state, who, of, report(Outcome::Unchanged, ControlState::Effective)),
            Ok(()) if self.waits(state, who, order, clock)? => Some(()),
            Ok(()) => self.start(state, who, order, clock),
        }
    }

    /// What the executor looks at before it starts an order, besides its permit.
    fn check(&self, host: &Host, order: &Order, clock: Clock) -> Refused {
        let unchecked = self.mutation == Some(Mutation::NoCheckAtStart);
        let no_index = matches!(self.mutation, Some(Mutation::NoIndexAtStart | Mutation::UnlistedContent));
        may_start(order, &controls(host.halted), Scene::now(clock))
            .or_else(|no| if unchecked { Ok(()) } else { Err(no) })?;
        let bytes = self.scene.content(&order.content_digest).unwrap_or_default();
        match decide::admit(self.scene.index(host.index), order, &bytes) {
            Err(no) if !no_index => Err(no),
            _ => Ok(()),
        }
    }

    fn start(&self, state: &mut State, who: u8, order: &Order, clock: Clock) -> Option<()> {
        let of = (Scene::task_of(order.task), order.epoch);
        let limit = usize::from(self.bounds.limit);
        let mut broken = monitor::permitted(state, limit, of, order.permit);
        let journal = self.ledger.open(state.hosts.get(usize::from(who))?.journal);
        let host = state.hosts.get_mut(usize::from(who))?;
        let row = state.rows.get(usize::from(of.0));
        let unresolved =
            self.memory.unresolved.get((host.journal, of.0, of.1), || monitor::unresolved(order, &journal.records));
        broken = monitor::start(&self.scene, host, who, row, order, &journal.records, clock == Clock::Late)
            .or(unresolved)
            .or(broken);
        let starts = host.starts.entry(of).or_default();
        *starts = (*starts + 1).min(2);
        host.running = Some(of);
        host.at_work = 0;
        if self.mutation == Some(Mutation::EffectBeforeIntent) {
            broken = broken.or_else(|| monitor::effect(of.0, of.1, &journal.records));
        }
        // What a record says of the time is of no consequence.
        let (journal, said) = self.memory.begun.get((host.journal, of.0, of.1), || {
            let intent = decide::intent(&journal.book, order, String::new(), Scene::now(Clock::True));
            self.record(host.journal, &intent)
        });
        host.journal = journal;
        state.broken = broken;
        state.unused.remove(&of);
        state.net.extend(said.into_iter().map(|text| Message::Event { host: who, text }));
        Some(())
    }

    /// The host is changed, once.
    pub(crate) fn effect(&self, state: &mut State, who: u8) -> Option<()> {
        let host = state.hosts.get_mut(usize::from(who))?;
        let running = host.running?;
        if !host.effects.insert(running) {
            return None;
        }
        state.broken = monitor::effect(running.0, running.1, &self.ledger.open(host.journal).records);
        Some(())
    }

    /// What was begun ends: well when the host was changed, else with a failure and nothing changed.
    pub(crate) fn finish(&self, state: &mut State, who: u8) -> Option<()> {
        let host = state.hosts.get_mut(usize::from(who))?;
        let running = host.running.take()?;
        host.at_work = 0;
        let end = match host.effects.contains(&running) {
            true => report(Outcome::Succeeded, ControlState::Effective),
            false => report(Outcome::Failed, ControlState::Exposed),
        };
        self.end(state, who, running, end)
    }

    fn end(&self, state: &mut State, who: u8, of: (Task, u32), end: EventKind) -> Option<()> {
        let host = state.hosts.get_mut(usize::from(who))?;
        let id = host.journal;
        let journal = self.ledger.open(id);
        let order = journal.book.get(Scene::task_id(of.0), of.1)?.order.as_deref()?;
        let (journal, said) = self.memory.ended.get((id, of.0, of.1, format!("{end:?}")), || {
            self.record(id, &decide::ended(&journal.book, order, end, Scene::now(Clock::True)))
        });
        host.journal = journal;
        host.permits.forget(order_of(of));
        state.net.extend(said.into_iter().map(|text| Message::Event { host: who, text }));
        Some(())
    }

    /// The agent dies and starts again: memory is gone, the journal is read, what was begun is reported and not repeated.
    pub(crate) fn crash(&self, state: &mut State, who: u8) -> Option<()> {
        let host = state.hosts.get_mut(usize::from(who))?;
        let running = host.running.take();
        (host.permits, host.at_work) = (Permits::default(), 0);
        match self.mutation {
            Some(Mutation::NoJournal) => host.journal = self.ledger.journal(Scene::first_records(who)),
            Some(Mutation::IntentNotDurable) => {
                host.journal = self.ledger.without_last(host.journal, |record| matches!(record, Record::Intent { .. }));
            }
            Some(Mutation::RunAgainAfterIntent) => {
                let (task, epoch) = running?;
                host.running = running;
                let starts = host.starts.entry((task, epoch)).or_default();
                *starts = (*starts + 1).min(2);
                state.broken = (*starts > 1).then_some(monitor::Breach::StartedTwice);
                return Some(());
            }
            _ => {}
        }
        let interrupted = self.ledger.open(host.journal).book.interrupted();
        for order in interrupted {
            let of = (Scene::task_of(order.task), order.epoch);
            let host = state.hosts.get(usize::from(who))?;
            let found = if host.effects.contains(&of) { ControlState::Effective } else { ControlState::Exposed };
            let end = EventKind::Interrupted { state: found, reason: String::new() };
            self.end(state, who, of, end)?;
        }
        Some(())
    }

    /// The journal is compacted; nothing is remembered that need not be.
    pub(crate) fn compact(&self, host: &mut Host, who: u8) {
        let journal = self.ledger.open(host.journal);
        let (instance, now) = (Scene::instance_id(who), Scene::now(Clock::True));
        let mut records = journal.book.compacted(instance, String::new(), 0, now);
        if self.mutation == Some(Mutation::CompactionForgetsNumbers) {
            records.retain(|record| !matches!(record, Record::Floor { .. }));
        }
        host.journal = self.ledger.journal(records);
    }

    /// Events of a host that nobody acknowledged.
    pub(crate) fn unsaid(&self, host: &Host) -> Vec<Id> {
        let unsaid = || {
            let journal = self.ledger.open(host.journal);
            let texts = journal.book.unacknowledged().into_iter();
            Arc::new(texts.map(|(_, _, text)| self.ledger.text(&text)).collect())
        };
        self.memory.unsaid.get(host.journal, unsaid).to_vec()
    }
}
