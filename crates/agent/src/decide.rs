//! What the agent decides about orders, revocations and indexes, and the records that follow: pure functions of what the
//! journal means, what came, and the time.
//!
//! The executor carries the answers out; the model of the protocol (`crates/model`) explores these same functions over every
//! loss, repetition, order of arrival and crash. Nothing in here reads a clock, a file or a socket.

use crate::orders::{Book, Progress};
use crate::record::Record;
use crate::state::Controls;
use crate::verify::{Refusal, Trust, Verdict, reads_only, verify};
use catalogue::actions::rails;
use catalogue::index::{CatalogueError, VerifiedEntry, VerifiedIndex, verify_index};
use catalogue::schema::{Entry, Status};
use domain::time::Timestamp;
use protocol::agent::{Event, EventKind, TaskEpoch, TaskReport};
use protocol::digest::Digest;
use protocol::order::{Order, OrderKind, RefusalCode};
use protocol::root::Root;
use uuid::Uuid;

/// What becomes of an order that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taking {
    /// It is taken: journal it ([`accepted`]), then do it when its turn comes.
    Accept(Box<Order>),
    /// It would be taken, but its content has to be fetched first.
    Fetch(Box<Order>),
    /// The same bytes as before: say again what is known of it.
    Repeat(Box<Order>),
    /// It is not acted on.
    Refuse(Refusal),
}

/// Decide about an order that came; `content` gives the bytes of a digest when they are at hand.
#[must_use]
pub fn order(
    envelope: &[u8],
    trust: Trust<'_>,
    book: &Book,
    controls: &Controls,
    now: Timestamp,
    content: impl FnOnce(&str) -> Option<Vec<u8>>,
) -> Taking {
    let order = match verify(envelope, trust, book, controls, now) {
        Verdict::Refuse(refusal) => return Taking::Refuse(refusal),
        Verdict::Again(order) => return Taking::Repeat(order),
        Verdict::Take(order) => order,
    };
    match usable(&order, trust, now, content) {
        Ok(true) => Taking::Accept(order),
        Ok(false) => Taking::Fetch(order),
        Err((code, reason)) => {
            let claimed = Some((order.task, order.epoch));
            Taking::Refuse(Refusal { code, reason, claimed, order_seq: Some(order.order_seq) })
        }
    }
}

/// Whether the entry is at hand and can be done; a revert needs none.
fn usable(
    order: &Order,
    trust: Trust<'_>,
    now: Timestamp,
    content: impl FnOnce(&str) -> Option<Vec<u8>>,
) -> Result<bool, (RefusalCode, String)> {
    if order.kind == OrderKind::Revert {
        return Ok(true);
    }
    let Some(bytes) = content(&order.content_digest) else { return Ok(false) };
    let entry = admit(trust.index, order, &bytes)?;
    if order.kind == OrderKind::Apply {
        let entry = entry.entry();
        if entry.status != Status::Active {
            let reason = format!("entry {} is {}, nothing new is done with it", entry.id, entry.status.as_str());
            return Err((RefusalCode::NotInIndex, reason));
        }
        if entry.is_lapsed(now) {
            let last = entry.valid_until.map(|last| last.to_string()).unwrap_or_default();
            let reason = format!("entry {} was valid until {last}, nothing new is done with it", entry.id);
            return Err((RefusalCode::NotInIndex, reason));
        }
        if !reads_only(order) {
            approved(order, entry, trust, now)?;
        }
    }
    Ok(true)
}

/// An entry of a risky class needs an approval; an approval that an order names binds it, whatever the class.
fn approved(order: &Order, entry: &Entry, trust: Trust<'_>, now: Timestamp) -> Result<(), (RefusalCode, String)> {
    let Some(approval) = &order.approval else {
        let reason = format!("entry {} is of class {} and needs an approval", entry.id, entry.class());
        return if entry.needs_approval() { Err((RefusalCode::ApprovalNeeded, reason)) } else { Ok(()) };
    };
    let envelope = trust.approvals.get(&approval.manifest);
    let checked = protocol::approval::check(trust.root, order, approval, envelope, now);
    checked.map_err(|fault| (fault.code(), fault.to_string()))
}

/// The entry an order names, from these bytes, as the signed index in force has it (S9).
///
/// # Errors
/// The code and the reason when the index does not list these very bytes, or the entry breaks a safety rail.
pub fn admit(
    index: Option<&VerifiedIndex>,
    order: &Order,
    bytes: &[u8],
) -> Result<VerifiedEntry, (RefusalCode, String)> {
    let unlisted = || (RefusalCode::NotInIndex, format!("`{}` is not in the index", order.entry_id));
    let id = order.entry_id.parse().map_err(|_| unlisted())?;
    let index = index.ok_or_else(unlisted)?;
    let entry = index.admit_as(&id, bytes).map_err(|error| {
        let code = match error {
            CatalogueError::WrongDigest { .. } => RefusalCode::WrongDigest,
            CatalogueError::Revoked { .. } => RefusalCode::Revoked,
            CatalogueError::NotByOrganisation { .. } => RefusalCode::IndexUntrusted,
            CatalogueError::Entry(_) => RefusalCode::Unsupported,
            _ => RefusalCode::NotInIndex,
        };
        (code, error.to_string())
    })?;
    // The rails are here, whatever tool the index was signed with.
    match rails::breaches(entry.entry()).first() {
        None => Ok(entry),
        Some(breach) => {
            let reason = format!("entry {id} breaks a safety rail ({}): {}", breach.rail, breach.message);
            Err((RefusalCode::Unsupported, reason))
        }
    }
}

/// An index that came: the one to put in force, or nothing when it is not newer (S9: the version never falls).
///
/// # Errors
/// Why it is not adopted.
pub fn newer_index(
    root: &Root,
    book: &Book,
    in_force: Option<&VerifiedIndex>,
    sealed: &[u8],
    now: Timestamp,
) -> Result<Option<VerifiedIndex>, CatalogueError> {
    let index = verify_index(root, sealed, book.trust().1)?;
    index.require_fresh(now)?;
    Ok(in_force.is_none_or(|known| known.version() < index.version()).then_some(index))
}

/// What becomes of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Not started: write a tombstone ([`tombstone`]), it never will.
    Entomb,
    /// Started, ended or revoked before: say again what is known of it.
    Repeat,
}

/// Decide about a revocation that came.
#[must_use]
pub fn revocation(book: &Book, of: TaskEpoch) -> Revocation {
    let known = book.get(of.task, of.epoch);
    let begun = known.is_some_and(|known| matches!(known.progress, Progress::Started | Progress::Ended));
    if begun || book.tombstone(of.task, of.epoch) { Revocation::Repeat } else { Revocation::Entomb }
}

/// The record that an order is taken.
#[must_use]
pub fn accepted(book: &Book, order: Box<Order>, envelope: &[u8], at: Timestamp) -> Record {
    let event = event(book, order.task, order.epoch, EventKind::Accepted, at);
    Record::Accepted { order, digest: Digest::of(envelope).to_string(), event }
}

/// The record of a refusal, unless it is one that must not be kept: the same forgery comes with every poll, and nothing
/// forged may speak for an order that was taken. Nor may a second authentic order of an epoch that was taken, as a server
/// makes one that was put back to an older state: its number is used up, and what the epoch came to is told again instead.
#[must_use]
pub fn refused(book: &Book, refusal: &Refusal, envelope: &[u8], at: Timestamp) -> Option<Record> {
    let (task, epoch) = refusal.claimed?;
    let digest = Digest::of(envelope).to_string();
    let known = book.get(task, epoch);
    let said = known.is_some_and(|known| known.digest == digest);
    let order_seq = refusal.order_seq;
    // Each number of ours once: an authentic order that is refused can be carried here again and again, too.
    let first = order_seq.is_some_and(|number| !book.used(number));
    if book.speaks_for_itself(task, epoch) {
        return order_seq.filter(|_| first).map(|number| Record::Used { order_seqs: vec![number] });
    }
    let open = known.is_none_or(|known| known.progress == Progress::Claimed);
    let kept = first || (open && !said && book.room_for_forgery(task, epoch));
    let order = if order_seq.is_none() { digest.clone() } else { String::new() };
    let kind = EventKind::Refused { code: refusal.code, reason: refusal.reason.clone(), order };
    let event = event(book, task, epoch, kind, at);
    kept.then_some(Record::Refused { task, epoch, order_seq, digest, event })
}

/// The record that a task and epoch will never start.
#[must_use]
pub fn tombstone(book: &Book, of: TaskEpoch, at: Timestamp) -> Record {
    let event = event(book, of.task, of.epoch, EventKind::Revoked, at);
    Record::Tombstone { task: of.task, epoch: of.epoch, event }
}

/// The record that the first effect may follow (S3).
#[must_use]
pub fn intent(book: &Book, order: &Order, pre_digest: String, at: Timestamp) -> Record {
    let (task, epoch) = (order.task, order.epoch);
    Record::Intent { task, epoch, pre_digest, event: event(book, task, epoch, EventKind::Started, at) }
}

/// The record that all is done but for a restart of the host.
#[must_use]
pub fn waits(book: &Book, order: &Order, boot_id: String, report: Box<TaskReport>, at: Timestamp) -> Record {
    let (task, epoch) = (order.task, order.epoch);
    let event = event(book, task, epoch, EventKind::Restarting { boot_id: boot_id.clone(), now: false }, at);
    Record::Waits { task, epoch, boot_id, report, event }
}

/// The record that the host is restarted now: before it is, so that a try never restarts it twice.
#[must_use]
pub fn restarting(book: &Book, order: &Order, boot_id: String, at: Timestamp) -> Record {
    let (task, epoch) = (order.task, order.epoch);
    let event = event(book, task, epoch, EventKind::Restarting { boot_id, now: true }, at);
    Record::Restarting { task, epoch, event }
}

/// The record of an end: a result, an interruption, or a refusal at the last moment.
#[must_use]
pub fn ended(book: &Book, order: &Order, end: EventKind, at: Timestamp) -> Record {
    let (task, epoch) = (order.task, order.epoch);
    Record::Finished { task, epoch, event: event(book, task, epoch, end, at) }
}

/// The exact text of the next event of (task, epoch).
#[must_use]
pub fn event(book: &Book, task: Uuid, epoch: u32, event: EventKind, at: Timestamp) -> String {
    let event = Event { task, epoch, n: book.next_event(task, epoch), at, event };
    serde_json::to_string(&event).expect("an event holds only strings and numbers")
}

/// The event that a record says to the server, if it says one.
#[must_use]
pub fn said(record: &Record) -> Option<(TaskEpoch, &str)> {
    let (task, epoch, event) = match record {
        Record::Accepted { order, event, .. } => (order.task, order.epoch, event),
        Record::Refused { task, epoch, event, .. }
        | Record::Intent { task, epoch, event, .. }
        | Record::Waits { task, epoch, event, .. }
        | Record::Restarting { task, epoch, event }
        | Record::Finished { task, epoch, event }
        | Record::Tombstone { task, epoch, event } => (*task, *epoch, event),
        _ => return None,
    };
    Some((TaskEpoch { task, epoch }, event))
}
