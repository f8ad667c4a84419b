//! What must never happen, said in its own words: the monitors read records and rows, never the product's conclusions.

use crate::ledger::{Id, Ledger};
use crate::scene::Scene;
use crate::state::{Host, Row, State, Task};
use agent::record::Record;
use domain::rollout::run::RunState;
use domain::task::State as TaskState;
use protocol::agent::{Event, EventKind, Outcome};
use protocol::digest::Digest;
use protocol::order::Order;
use std::fmt;
use uuid::Uuid;

/// A broken invariant of `fleet-execution.md` 6.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Breach {
    /// S1: a (task, epoch) was started twice on a host.
    StartedTwice,
    /// S2: an epoch was ordered before the server heard how the one before ended.
    EpochWithoutResult,
    /// S2: two different orders exist for one epoch.
    TwoOrders,
    /// S2: an epoch counts as started by a report that is not about it.
    HeardOfAnother,
    /// S2: an epoch was started that names no result of this host's journal, or while another was open.
    StartedUnresolved,
    /// S2: an epoch was started after an earlier one had changed the host and succeeded.
    AppliedAgain,
    /// S3: the host was changed without an intent on its disk.
    EffectWithoutIntent,
    /// S4: started past the end of its order.
    StartedLate,
    /// S4: started after a tombstone, or after the server had recorded it as cancelled.
    StartedAfterCancel,
    /// S4: started while the owner's halt file was there.
    StartedInHalt,
    /// S5: a task left a state in which it had ended.
    TerminalLeft,
    /// S5: started after the server had recorded that the task ended some other way.
    StartedAfterEnd,
    /// S7: an order was made while everything, or the run, was halted.
    OrderInHalt,
    /// S6: more permits are out than the limit allows.
    OverGranted,
    /// S6: the places taken are not the permits that are out.
    PlacesOff,
    /// S6: more is at work on the hosts than the limit allows.
    TooManyAtWork,
    /// S7: a permit was granted, or granted again, while a halt was durable.
    PermitInHalt,
    /// S7: started without a permit that was granted for this very (task, epoch) and not used.
    StartedWithoutPermit,
    /// S7: started on a permit whose time was over.
    StartedOnExpired,
    /// S7: something was at work, or started, after the run had come to rest.
    AtWorkWhenHalted,
    /// S9: started on another host than the one it was signed for.
    WrongHost,
    /// S9: content was started that the index in force does not list, or revokes.
    Unlisted,
    /// S9: an older index came into force.
    OlderIndex,
    /// S13: no end can be reached any more.
    NoWayOut,
}

impl Breach {
    /// Every one that is a property of a state; [`Breach::NoWayOut`] is one of the whole graph.
    pub const OF_STATES: [(Breach, &'static str); 23] = [
        (Breach::StartedTwice, "S1 started once"),
        (Breach::EpochWithoutResult, "S2 ordered after a result"),
        (Breach::TwoOrders, "S2 one order for each epoch"),
        (Breach::HeardOfAnother, "S2 believed of its own epoch"),
        (Breach::StartedUnresolved, "S2 started after a result"),
        (Breach::AppliedAgain, "S2 not applied again"),
        (Breach::EffectWithoutIntent, "S3 intent before effect"),
        (Breach::StartedLate, "S4 not started late"),
        (Breach::StartedAfterCancel, "S4 not started after cancel"),
        (Breach::StartedInHalt, "S4 not started in the owner's halt"),
        (Breach::TerminalLeft, "S5 ends absorb"),
        (Breach::StartedAfterEnd, "S5 not started after an end"),
        (Breach::OrderInHalt, "S7 no order in a halt"),
        (Breach::OverGranted, "S6 permits out within the limit"),
        (Breach::PlacesOff, "S6 places are the permits out"),
        (Breach::TooManyAtWork, "S6 at work within the limit"),
        (Breach::PermitInHalt, "S7 no permit in a halt"),
        (Breach::StartedWithoutPermit, "S7 started with its own permit"),
        (Breach::StartedOnExpired, "S7 not started on a permit that ran out"),
        (Breach::AtWorkWhenHalted, "S7 at rest when halted"),
        (Breach::WrongHost, "S9 on its own host"),
        (Breach::Unlisted, "S9 listed content"),
        (Breach::OlderIndex, "S9 no older index"),
    ];
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::OF_STATES.iter().find(|(breach, _)| breach == self).map(|(_, name)| *name);
        f.write_str(name.unwrap_or("S13 a way out"))
    }
}

/// The event a record holds, with what it is about.
fn event_of(record: &Record) -> Option<(Event, &str)> {
    let (Record::Accepted { event: text, .. }
    | Record::Refused { event: text, .. }
    | Record::Intent { event: text, .. }
    | Record::Finished { event: text, .. }
    | Record::Tombstone { event: text, .. }) = record
    else {
        return None;
    };
    Some((serde_json::from_str(text).ok()?, text))
}

fn events(records: &[Record], task: Uuid) -> impl Iterator<Item = (Event, &str)> {
    records.iter().filter_map(event_of).filter(move |(event, _)| event.task == task)
}

/// Look at a start: `records` are the journal before it.
pub fn start(
    scene: &Scene,
    host: &Host,
    who: u8,
    row: Option<&Row>,
    order: &Order,
    records: &[Record],
    late: bool,
) -> Option<Breach> {
    let task = Scene::task_of(order.task);
    let cancelled = records.iter().any(
        |record| matches!(record, Record::Tombstone { task, epoch, .. } if (*task, *epoch) == (order.task, order.epoch)),
    );
    let ended = row.map(|row| row.life.state);
    let checks = [
        (order.agent_id != Scene::agent_id(who), Breach::WrongHost),
        (!scene.allows(host.index, &order.content_digest), Breach::Unlisted),
        (host.starts.contains_key(&(task, order.epoch)), Breach::StartedTwice),
        (late, Breach::StartedLate),
        (host.halted, Breach::StartedInHalt),
        (cancelled || ended == Some(TaskState::Cancelled), Breach::StartedAfterCancel),
        // Of a task that is lost nobody knows anything: its order may still be out.
        (ended.is_some_and(|state| state.ended() && state != TaskState::Lost), Breach::StartedAfterEnd),
    ];
    checks.into_iter().find_map(|(broken, breach)| broken.then_some(breach))
}

/// Look at a start, as far as permits go: `limit` is how many may be at work, 0 where no order needs a permit.
pub fn permitted(state: &State, limit: usize, of: (Task, u32), needed: bool) -> Option<Breach> {
    if limit == 0 {
        return None;
    }
    let at_work = state.hosts.iter().filter(|host| host.running.is_some()).count();
    let permit = state.unused.get(&of);
    let checks = [
        (needed && permit.is_none(), Breach::StartedWithoutPermit),
        (at_work + 1 > limit, Breach::TooManyAtWork),
        (permit.is_some_and(|age| *age > 0), Breach::StartedOnExpired),
        (state.run == RunState::Halted, Breach::AtWorkWhenHalted),
    ];
    checks.into_iter().find_map(|(broken, breach)| broken.then_some(breach))
}

/// Look at a start, as far as earlier epochs go: `records` are the journal before it.
pub fn unresolved(order: &Order, records: &[Record]) -> Option<Breach> {
    let succeeded = |event: &Event| {
        matches!(&event.event, EventKind::Finished(report) if report.outcome == Outcome::Succeeded)
            && event.epoch < order.epoch
    };
    if events(records, order.task).any(|(event, _)| succeeded(&event)) {
        return Some(Breach::AppliedAgain);
    }
    let begun = |event: &Event| event.event == EventKind::Started && event.epoch < order.epoch;
    let over = |epoch: u32| {
        events(records, order.task).any(|(event, _)| {
            event.epoch == epoch && matches!(event.event, EventKind::Finished(_) | EventKind::Interrupted { .. })
        })
    };
    if events(records, order.task).any(|(event, _)| begun(&event) && !over(event.epoch)) {
        return Some(Breach::StartedUnresolved);
    }
    if order.epoch == 1 {
        return None;
    }
    let named = order.supersedes.as_ref().is_some_and(|named| {
        events(records, order.task).any(|(event, text)| {
            event.epoch == named.epoch
                && !matches!(event.event, EventKind::Accepted | EventKind::Started)
                && Digest::of(text.as_bytes()).to_string() == named.result_digest
        })
    });
    (!named).then_some(Breach::StartedUnresolved)
}

/// Look at a change of the host.
pub fn effect(task: Task, epoch: u32, records: &[Record]) -> Option<Breach> {
    let intended = records.iter().any(
        |record| matches!(record, Record::Intent { task: of, epoch: at, .. } if (*of, *at) == (Scene::task_id(task), epoch)),
    );
    (!intended).then_some(Breach::EffectWithoutIntent)
}

/// Look at a row before and after a transaction; `halted` is what the database says as it commits.
pub fn row(ledger: &Ledger, before: &Row, after: &Row, halted: bool) -> Option<Breach> {
    if before.life.state.ended() && after.life.state != before.life.state {
        return Some(Breach::TerminalLeft);
    }
    let epoch = after.life.epoch;
    let begins = after.life.state == TaskState::Running && before.life.state != TaskState::Running;
    if begins && !after.kept.iter().any(|((of, _), text)| *of == epoch && started(ledger, *text)) {
        return Some(Breach::HeardOfAnother);
    }
    let fresh = after.order.filter(|order| before.order != Some(*order))?;
    if halted {
        return Some(Breach::OrderInHalt);
    }
    if before.made.get(&epoch).is_some_and(|made| *made != fresh) {
        return Some(Breach::TwoOrders);
    }
    let heard = before.kept.iter().any(|((of, _), text)| *of + 1 == epoch && resolving(ledger, *text));
    (epoch > 1 && !heard).then_some(Breach::EpochWithoutResult)
}

fn started(ledger: &Ledger, text: Id) -> bool {
    serde_json::from_str::<Event>(&ledger.read(text)).is_ok_and(|event| event.event == EventKind::Started)
}

fn resolving(ledger: &Ledger, text: Id) -> bool {
    serde_json::from_str::<Event>(&ledger.read(text))
        .is_ok_and(|event| !matches!(event.event, EventKind::Accepted | EventKind::Started))
}
