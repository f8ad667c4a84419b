//! Sees what happens while it happens, and remembers it outside of everything that can crash: the invariants of
//! `fleet-execution.md` 6.6 as far as they are about single steps. It shares no rule with what it watches. What it holds runs
//! to is in [`crate::limits`].

use crate::ears::Ears;
use crate::limits::Limits;
use domain::time::Timestamp;
use protocol::agent::{Event, EventKind};
use protocol::order::Order;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// One try: installation, task, epoch.
type Try = (Uuid, Uuid, u32);

/// What was seen of one try.
#[derive(Clone, Debug, Default)]
struct Seen {
    starts: u32,
    ended: bool,
    tombstone: bool,
    first_sent: Option<i64>,
}

/// What has been seen so far.
#[derive(Debug, Default)]
pub struct Watch {
    tries: BTreeMap<Try, Seen>,
    /// Everything was halted at this instant, durably, and has been since.
    pub halted_since: Option<i64>,
    /// States that ended, by task: they absorb.
    ended: BTreeMap<i64, (String, i64, i64)>,
    /// Tries whose report says that what was changed on the host could not be put back.
    pub(crate) left_changed: BTreeSet<(Uuid, i64)>,
    /// What runs are held to.
    pub limits: Limits,
    /// Who was heard when, and since when anybody listens.
    pub ears: Ears,
    /// How many starts there were.
    pub starts: u32,
    /// How many tries beyond the first there were.
    pub retries: u32,
    /// What is wrong, with the invariant's name in front.
    pub broken: Vec<String>,
}

/// A task as the database has it now.
#[derive(Clone, Debug)]
pub struct TaskNow {
    /// Key.
    pub id: i64,
    /// Id on the wire.
    pub uuid: Uuid,
    /// State.
    pub state: String,
    /// Epoch.
    pub epoch: i64,
    /// Result code, -1 while open.
    pub code: i64,
    /// The agent it is for.
    pub agent_id: Option<Uuid>,
    /// Its run.
    pub run: i64,
    /// The number of its job.
    pub job: i64,
    /// Its asset.
    pub asset: i64,
    /// Its wave.
    pub wave: i64,
    /// Not to start before, in microseconds.
    pub due_at: i64,
    /// The state of its run.
    pub run_state: String,
    /// The wave of its run that is open.
    pub open_wave: i64,
    /// When it began on its host, as far as the server knows, in microseconds.
    pub started_at: Option<i64>,
    /// The key of the agent it is for.
    pub agent: Option<i64>,
    /// When it can no longer end in its window or before its next time, in microseconds.
    pub start_by: Option<i64>,
}

impl TaskNow {
    /// An order of it is out and may be at work.
    pub fn out(&self) -> bool {
        ["offered", "accepted", "running"].contains(&self.state.as_str())
    }

    /// Nothing is ordered of it at the moment.
    pub fn waits(&self) -> bool {
        self.state == "pending" || self.state == "ready"
    }

    /// Its run is halted.
    pub fn stopped(&self) -> bool {
        self.run_state == "halting" || self.run_state == "halted"
    }

    /// It ended without a try.
    pub fn untried(&self) -> bool {
        self.state == "cancelled" || self.state == "expired"
    }

    /// It ended with a result.
    pub fn definitive(&self) -> bool {
        self.code >= 0 && !self.untried()
    }
}

impl Watch {
    pub(crate) fn breach(&mut self, text: String) {
        self.broken.push(text);
    }

    /// The halt is durable, or lifted.
    pub fn halted(&mut self, now: Option<i64>) {
        self.halted_since = now;
    }

    /// A server answered a poll with these orders.
    pub fn sent(&mut self, now: i64, orders: &[Order], tasks: &[TaskNow]) {
        for order in orders {
            let seen = self.tries.entry((order.instance_id, order.task, order.epoch)).or_default();
            seen.first_sent.get_or_insert(now);
            if let Some(since) = self.halted_since {
                self.breach(format!("S7: an order was handed out {} s after a halt", (now - since) / 1_000_000));
            }
            if let Some(task) = tasks.iter().find(|task| task.uuid == order.task) {
                self.handed_out(order, task, tasks);
            }
        }
    }

    /// The executor reports: what it calls ended can be tried anew.
    pub fn heard(&mut self, instance: Uuid, text: &str) {
        let Ok(event) = serde_json::from_str::<Event>(text) else { return };
        if let EventKind::Finished(report) = &event.event
            && report.left_changed
        {
            self.left_changed.insert((event.task, i64::from(event.epoch)));
        }
        let seen = self.tries.entry((instance, event.task, event.epoch)).or_default();
        match event.event {
            EventKind::Finished(_) | EventKind::Interrupted { .. } => seen.ended = true,
            EventKind::Revoked => seen.tombstone = true,
            EventKind::Refused { .. } | EventKind::Accepted | EventKind::Started | EventKind::Restarting { .. } => {}
        }
    }

    /// The executor's intent for this order is durable, the first effect follows.
    pub fn started(&mut self, now: i64, late: i64, order: &Order, known: Option<&TaskNow>) {
        self.starts += 1;
        let of = (order.instance_id, order.task, order.epoch);
        let name = format!("{} epoch {}", order.entry_id, order.epoch);
        let before = self.tries.get(&of).cloned().unwrap_or_default();
        if before.starts > 0 {
            self.breach(format!("S1: {name} started {} times", before.starts + 1));
        }
        if before.tombstone {
            self.breach(format!("S4: {name} started after its tombstone"));
        }
        if Timestamp::from_micros(now) >= order.not_after.plus_seconds(late) {
            self.breach(format!("S4: {name} started after its end"));
        }
        if order.epoch > 1 {
            self.retries += 1;
        }
        for epoch in 1..order.epoch {
            let earlier = self.tries.get(&(order.instance_id, order.task, epoch)).cloned().unwrap_or_default();
            if earlier.starts > 0 && !earlier.ended {
                self.breach(format!("S2: {name} started while epoch {epoch} is open"));
            }
        }
        if let Some(since) = self.halted_since
            && before.first_sent.is_none_or(|sent| sent > since)
        {
            self.breach(format!("S7: {name} was handed out and started after a halt"));
        }
        match known {
            None => self.breach(format!("S9: {name} started, but no task of the server asks for it")),
            Some(task) => {
                if task.agent_id != Some(order.agent_id) || i64::from(order.epoch) > task.epoch {
                    self.breach(format!("S9: {name} started on another agent or in an epoch nobody made"));
                }
                if task.state == "cancelled" || task.state == "expired" {
                    self.breach(format!("S4: {name} started after the server had recorded {}", task.state));
                }
                if now + late * 1_000_000 < task.due_at {
                    self.breach(format!("S4: {name} started {} s before its time", (task.due_at - now) / 1_000_000));
                }
                self.start_allowed(now, order, task);
            }
        }
        self.tries.entry(of).or_default().starts += 1;
    }

    /// The points one call of the executor passed, in order (S3).
    pub fn passed(&mut self, points: &[String], started: bool) {
        let effects = ["after-captured", "before-replace", "after-replace", "after-effect"];
        let mut intent = started;
        for point in points {
            intent |= point == "after-intent" || point == "revert-before-write";
            if !intent && effects.contains(&point.as_str()) {
                self.breach(format!("S3: {point} without a durable intent"));
            }
        }
    }

    /// The tasks as the database has them: what ended stays as it is (S5).
    pub fn tasks(&mut self, tasks: &[TaskNow]) {
        for task in tasks {
            let now = (task.state.clone(), task.epoch, task.code);
            match self.ended.get(&task.id) {
                Some(before) if *before != now => {
                    let text = format!("S5: task {} ended as {before:?} and is {now:?} now", task.id);
                    self.broken.push(text);
                }
                Some(_) => {}
                None if task.code >= 0 => {
                    self.ended.insert(task.id, now);
                }
                None => {}
            }
        }
        // A task that ended does not vanish either.
        let there: BTreeSet<i64> = tasks.iter().map(|task| task.id).collect();
        if let Some(gone) = self.ended.keys().find(|id| !there.contains(id)) {
            let text = format!("S5: task {gone} ended and is gone");
            self.broken.push(text);
        }
    }
}
