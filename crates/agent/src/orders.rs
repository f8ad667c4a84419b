//! What the journal means: which orders were taken, how far they came, which events are still to be delivered, what is
//! ours. A pure state machine over [`Record`]s: it reads and writes nothing, so S1, S2, S4 are properties of its tests.
//!
//! The rules (`fleet-execution.md` 6.4, 6.6): a (task, epoch) is taken at most once, whatever is delivered how often; a
//! higher epoch only after the lower one is resolved here *and* the order names that very result; an intent without an end
//! is never run again; a tombstone is for ever.

mod compact;
mod holdings;
mod judge;

use crate::record::{Holding, Record};
use domain::time::Timestamp;
use protocol::agent::{Acked, Event, EventKind, OpenOrder, TaskEpoch, TaskReport};
use protocol::digest::Digest;
use protocol::order::{Order, RefusalCode};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// How many sequence numbers below the highest are told apart; lower ones count as used. Orders are re-sent until they are
/// answered, so one may well arrive after a younger one; it never lags behind by this many.
pub const SEQ_WINDOW: u64 = 4096;
/// How far above the highest number used an order's number may lie. The server counts one by one for each agent; a number
/// beyond this would lift the floor over every honest one, so it is refused and uses nothing up.
pub const SEQ_AHEAD_MAX: u64 = 1_000_000;
/// Tombstones of orders that were never seen here are kept up to this many: a revocation carries no signature, so nobody
/// may fill the disk with them.
pub const STRANGERS_KEPT_MAX: usize = 1_000;
/// Refusals of orders that are not authentic are journalled up to this many, so that nobody can fill the disk with them.
pub const FORGERIES_KEPT_MAX: usize = 256;

/// How long a tombstone of an order that never came is kept, in seconds: 60 days, longer than any order is valid.
const TOMBSTONE_SECONDS: i64 = 60 * 24 * 3600;

/// How far one (task, epoch) came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Only orders that were not authentic named it: nothing is known.
    Claimed,
    /// Taken, not started.
    Accepted,
    /// Started; nothing says how it ended.
    Started,
    /// Ended, refused or revoked: resolved.
    Ended,
}

/// One (task, epoch).
#[derive(Clone, Debug)]
pub struct Try {
    /// How far it came.
    pub progress: Progress,
    /// SHA-256 of the envelope.
    pub digest: String,
    /// The order, when it was taken.
    pub order: Option<Box<Order>>,
    /// Its sequence number, when authentic.
    pub order_seq: Option<u64>,
    /// Every event, exact texts, numbered from 1.
    pub events: Vec<String>,
    /// Events up to this number are stored at the server.
    pub acked: u32,
    /// Effects recorded as done.
    pub effects: BTreeSet<u32>,
    /// Entry whose holding this try wrote.
    pub captured: Option<String>,
    /// What was ours of that entry before this try, until it ends.
    pub earlier: Option<Box<Holding>>,
    /// The restart of the host that it waits for, or waited for.
    pub restart: Option<Restart>,
}

/// A restart of the host that the end of a try waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Restart {
    /// The boot it has to be another one than.
    pub boot_id: String,
    /// What is reported once it was restarted.
    pub report: Box<TaskReport>,
    /// It was begun.
    pub begun: bool,
}

impl Try {
    fn new(progress: Progress, digest: &str) -> Self {
        Self {
            progress,
            digest: digest.to_owned(),
            order: None,
            order_seq: None,
            events: Vec::new(),
            acked: 0,
            effects: BTreeSet::new(),
            captured: None,
            earlier: None,
            restart: None,
        }
    }

    fn older_than(&self, instant: Timestamp) -> bool {
        let last = self.events.last().and_then(|event| serde_json::from_str::<Event>(event).ok());
        last.is_none_or(|event| event.at < instant)
    }

    fn delivered(&self) -> bool {
        self.acked as usize >= self.events.len()
    }
}

/// What to do with an authentic order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Never seen: go on verifying.
    Fresh,
    /// The same bytes again: nothing is done, what is known of it is sent again.
    Again,
    /// Not to be acted on.
    Refuse(RefusalCode, String),
}

/// The meaning of all records so far.
#[derive(Clone, Debug, Default)]
pub struct Book {
    tries: BTreeMap<Uuid, BTreeMap<u32, Try>>,
    tombstones: BTreeSet<(Uuid, u32)>,
    seqs: BTreeSet<u64>,
    floor: u64,
    holdings: BTreeMap<String, Holding>,
    root_version: u64,
    index_version: u64,
    forgeries: usize,
    instance: Option<Uuid>,
    /// Reverts of the host's owner without an end: the entry, and the digest of its content.
    reverting: BTreeMap<String, String>,
}

impl Book {
    /// The book of these records.
    #[must_use]
    pub fn read(records: &[Record]) -> Self {
        let mut book = Self::default();
        for record in records {
            book.apply(record);
        }
        book
    }

    /// Take one record in. Total: records that do not fit what came before change nothing that matters.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Opened { instance_id, .. } => self.open_for(*instance_id),
            Record::Floor { order_seq } => self.floor = self.floor.max(*order_seq),
            Record::Trust { root_version, index_version } => {
                self.root_version = self.root_version.max(*root_version);
                self.index_version = self.index_version.max(*index_version);
            }
            Record::Accepted { order, digest, event } => {
                self.use_up(order.order_seq);
                let entry = self.entry(order.task, order.epoch, Progress::Accepted, digest);
                entry.progress = Progress::Accepted;
                entry.digest.clone_from(digest);
                entry.order_seq = Some(order.order_seq);
                entry.order = Some(order.clone());
                entry.events.push(event.clone());
            }
            Record::Refused { task, epoch, order_seq, digest, event } => {
                match order_seq {
                    Some(seq) => self.use_up(*seq),
                    None => self.forgeries += 1,
                }
                let entry = self.entry(*task, *epoch, Progress::Claimed, digest);
                entry.events.push(event.clone());
                // Only an authentic refusal resolves, and never something that was taken.
                if order_seq.is_some() && entry.progress == Progress::Claimed {
                    entry.progress = Progress::Ended;
                    entry.digest.clone_from(digest);
                    entry.order_seq = *order_seq;
                }
            }
            Record::Intent { task, epoch, event, .. } => {
                if let Some(entry) = self.known_mut(*task, *epoch) {
                    entry.progress = Progress::Started;
                    entry.events.push(event.clone());
                }
            }
            Record::Captured { task, epoch, holding } => {
                let earlier = self.holdings.get(&holding.entry_id).cloned().map(Box::new);
                if let Some(entry) = self.known_mut(*task, *epoch) {
                    (entry.captured, entry.earlier) = (Some(holding.entry_id.clone()), earlier);
                }
                // Work that was taken later is not undone by an older wish.
                self.reverting.remove(&holding.entry_id);
                self.hold(holding.clone());
            }
            Record::Effect { task, epoch, step } => {
                if let Some(entry) = self.known_mut(*task, *epoch) {
                    entry.effects.insert(*step);
                }
            }
            Record::Finished { task, epoch, event } => {
                if let Some(entry) = self.known_mut(*task, *epoch) {
                    (entry.progress, entry.earlier) = (Progress::Ended, None);
                    entry.events.push(event.clone());
                }
            }
            Record::Restarted { entry_id } => {
                if let Some(holding) = self.holdings.get_mut(entry_id) {
                    holding.restarted = true;
                }
            }
            Record::Released { entry_id, passed_on, kept } => {
                self.release(entry_id, passed_on);
                kept.iter().for_each(|holding| self.hold((**holding).clone()));
            }
            Record::Tombstone { task, epoch, event } => {
                self.tombstones.insert((*task, *epoch));
                let entry = self.entry(*task, *epoch, Progress::Ended, "");
                if matches!(entry.progress, Progress::Claimed | Progress::Accepted) {
                    entry.progress = Progress::Ended;
                }
                entry.events.push(event.clone());
            }
            Record::Acked { task, epoch, n } => {
                if let Some(entry) = self.known_mut(*task, *epoch) {
                    let sent = u32::try_from(entry.events.len()).unwrap_or(u32::MAX);
                    entry.acked = entry.acked.max((*n).min(sent));
                }
            }
            Record::Waits { task, epoch, boot_id, report, event } => {
                if let Some(entry) = self.known_mut(*task, *epoch) {
                    entry.progress = Progress::Started;
                    entry.restart = Some(Restart { boot_id: boot_id.clone(), report: report.clone(), begun: false });
                    entry.events.push(event.clone());
                }
            }
            Record::Restarting { task, epoch, event } => {
                if let Some(entry) = self.known_mut(*task, *epoch) {
                    entry.restart.iter_mut().for_each(|restart| restart.begun = true);
                    entry.events.push(event.clone());
                }
            }
            Record::Used { order_seqs } => order_seqs.iter().for_each(|seq| self.use_up(*seq)),
            Record::OwnerIntent { entry_id, content_digest, .. } => {
                self.reverting.insert(entry_id.clone(), content_digest.clone());
            }
            Record::OwnerEnd { entry_id } => {
                self.reverting.remove(entry_id);
            }
            Record::Held { holding } => self.hold(holding.clone()),
        }
    }

    /// A host that is enrolled anew is another installation: numbers and versions start again, and what was to be said to
    /// the old server is not said to the new one. What is ours on the host stays ours.
    fn open_for(&mut self, instance: Uuid) {
        if self.instance.is_some_and(|known| known != instance) {
            let (holdings, reverting) = (std::mem::take(&mut self.holdings), std::mem::take(&mut self.reverting));
            *self = Self { holdings, reverting, ..Self::default() };
        }
        self.instance = Some(instance);
    }

    /// The installation whose records these are.
    #[must_use]
    pub fn instance(&self) -> Option<Uuid> {
        self.instance
    }

    /// The number the next event of (task, epoch) gets.
    #[must_use]
    pub fn next_event(&self, task: Uuid, epoch: u32) -> u32 {
        let count = self.get(task, epoch).map_or(0, |known| known.events.len());
        u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// What is known of (task, epoch).
    #[must_use]
    pub fn get(&self, task: Uuid, epoch: u32) -> Option<&Try> {
        self.tries.get(&task)?.get(&epoch)
    }

    /// Whether it will never start.
    #[must_use]
    pub fn tombstone(&self, task: Uuid, epoch: u32) -> bool {
        self.tombstones.contains(&(task, epoch))
    }

    /// Whether an order number was used before, or counts as used.
    #[must_use]
    pub fn used(&self, order_seq: u64) -> bool {
        order_seq <= self.floor || self.seqs.contains(&order_seq)
    }

    /// Whether an order number lies so far above all used ones that it must not be believed ([`SEQ_AHEAD_MAX`]).
    #[must_use]
    pub fn too_far(&self, order_seq: u64) -> bool {
        order_seq > self.highest_seq().saturating_add(SEQ_AHEAD_MAX)
    }

    fn highest_seq(&self) -> u64 {
        self.seqs.last().copied().unwrap_or(0).max(self.floor)
    }

    /// How many tombstones are of orders that were never taken here.
    #[must_use]
    pub fn strangers(&self) -> usize {
        self.tombstones.iter().filter(|(task, epoch)| !self.taken(*task, *epoch)).count()
    }

    /// Whether the order of this (task, epoch) was verified and taken here.
    #[must_use]
    pub fn taken(&self, task: Uuid, epoch: u32) -> bool {
        self.get(task, epoch).is_some_and(|known| known.order.is_some())
    }

    /// Whether this (task, epoch) has a history of its own that no other order may speak for: it was taken, or refused for good.
    #[must_use]
    pub fn speaks_for_itself(&self, task: Uuid, epoch: u32) -> bool {
        let known = self.get(task, epoch).is_some_and(|known| known.progress != Progress::Claimed);
        known && !self.tombstone(task, epoch)
    }

    /// Whether this revocation may be journalled: always when the order was taken, else up to [`STRANGERS_KEPT_MAX`].
    #[must_use]
    pub fn room_for_tombstone(&self, of: TaskEpoch) -> bool {
        self.taken(of.task, of.epoch) || self.strangers() < STRANGERS_KEPT_MAX
    }

    /// Whether one more refusal of an order that is not authentic may be journalled.
    #[must_use]
    pub fn room_for_forgery(&self, task: Uuid, epoch: u32) -> bool {
        // At most a few per claimed (task, epoch): the same forgery comes with every poll.
        self.forgeries < FORGERIES_KEPT_MAX && self.next_event(task, epoch) <= 8
    }

    /// Every event the server has not acknowledged, oldest first within each (task, epoch).
    #[must_use]
    pub fn unacknowledged(&self) -> Vec<(TaskEpoch, u32, String)> {
        let mut events = Vec::new();
        for (task, epoch, entry) in self.all() {
            for (at, event) in entry.events.iter().enumerate().skip(entry.acked as usize) {
                let n = u32::try_from(at + 1).unwrap_or(u32::MAX);
                events.push((TaskEpoch { task, epoch }, n, event.clone()));
            }
        }
        events
    }

    /// What a poll says of orders in hand.
    #[must_use]
    pub fn open(&self) -> Vec<OpenOrder> {
        let state = |entry: &Try| match entry.progress {
            Progress::Accepted => Some("accepted"),
            Progress::Started => Some("running"),
            Progress::Ended if !entry.delivered() => Some("done"),
            Progress::Ended | Progress::Claimed => None,
        };
        self.all()
            .filter_map(|(task, epoch, entry)| Some(OpenOrder { task, epoch, state: state(entry)?.to_owned() }))
            .collect()
    }

    /// Orders taken and not started, in the order of their numbers.
    #[must_use]
    pub fn waiting(&self) -> Vec<Order> {
        let mut orders: Vec<Order> = self.with(Progress::Accepted);
        orders.sort_by_key(|order| order.order_seq);
        orders
    }

    /// Orders that were started and of which nothing says how they ended: a crash, or a restart that they wait for.
    #[must_use]
    pub fn interrupted(&self) -> Vec<Order> {
        self.with(Progress::Started)
    }

    /// Orders whose end waits for a restart of the host, in the order of their numbers.
    #[must_use]
    pub fn awaiting_restart(&self) -> Vec<(Order, Restart)> {
        let waits = |(_, _, entry): (Uuid, u32, &Try)| {
            let restart = entry.restart.clone().filter(|_| entry.progress == Progress::Started)?;
            Some((entry.order.as_deref()?.clone(), restart))
        };
        let mut found: Vec<(Order, Restart)> = self.all().filter_map(waits).collect();
        found.sort_by_key(|(order, _)| order.order_seq);
        found
    }

    /// Reverts of the host's owner that were begun and of which nothing says how they ended, with the digest of the entry's
    /// content. What is still held is not back; what is not held any more is, and perhaps not restarted.
    #[must_use]
    pub fn owner_reverts(&self) -> &BTreeMap<String, String> {
        &self.reverting
    }

    /// The highest root and index versions ever adopted.
    #[must_use]
    pub fn trust(&self) -> (u64, u64) {
        (self.root_version, self.index_version)
    }

    fn all(&self) -> impl Iterator<Item = (Uuid, u32, &Try)> {
        self.tries.iter().flat_map(|(task, tries)| tries.iter().map(move |(epoch, entry)| (*task, *epoch, entry)))
    }

    fn with(&self, progress: Progress) -> Vec<Order> {
        self.all()
            .filter(|(_, _, entry)| entry.progress == progress)
            .filter_map(|(_, _, entry)| entry.order.as_deref().cloned())
            .collect()
    }

    fn entry(&mut self, task: Uuid, epoch: u32, progress: Progress, digest: &str) -> &mut Try {
        self.tries.entry(task).or_default().entry(epoch).or_insert_with(|| Try::new(progress, digest))
    }

    fn known_mut(&mut self, task: Uuid, epoch: u32) -> Option<&mut Try> {
        self.tries.get_mut(&task)?.get_mut(&epoch)
    }

    fn highest_taken(&self, task: Uuid) -> Option<u32> {
        let taken = self.tries.get(&task)?.iter().filter(|(_, entry)| entry.progress != Progress::Claimed);
        taken.map(|(epoch, _)| *epoch).max()
    }

    fn use_up(&mut self, order_seq: u64) {
        self.seqs.insert(order_seq);
        let highest = self.seqs.last().copied().unwrap_or(0);
        self.floor = self.floor.max(highest.saturating_sub(SEQ_WINDOW));
        self.seqs = self.seqs.split_off(&self.floor);
    }

    /// Take over what an acknowledgement says; nothing when it is not news.
    #[must_use]
    pub fn news(&self, acked: &Acked) -> Option<Record> {
        let known = self.get(acked.task, acked.epoch)?;
        let n = acked.n.min(u32::try_from(known.events.len()).unwrap_or(u32::MAX));
        (n > known.acked).then_some(Record::Acked { task: acked.task, epoch: acked.epoch, n })
    }
}

/// SHA-256 of an event's exact text, in hex.
#[must_use]
pub fn digest_of(event: &str) -> String {
    Digest::of(event.as_bytes()).to_string()
}

fn kind_of(event: &str) -> Option<EventKind> {
    serde_json::from_str::<Event>(event).ok().map(|event| event.event)
}

fn resolves(event: &str) -> bool {
    kind_of(event).is_some_and(|kind| kind.resolves())
}

#[cfg(test)]
#[path = "orders_tests.rs"]
mod tests;
