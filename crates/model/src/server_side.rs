//! The server's transactions on a row: what `engine::orders`, `engine::results` and `engine::dispatch` do around `domain::task`.

use crate::monitor::Breach;
use crate::mutation::Mutation;
use crate::scene::Scene;
use crate::state::{Message, Row, State, Task};
use crate::system::System;
use domain::task::{self, Event, Life, Offering, State as TaskState};
use protocol::agent::Event as Report;

/// What a transaction leaves behind, besides the row.
pub(crate) struct Done {
    /// The row after it.
    pub row: Row,
    /// The next order number after it.
    pub seq: u64,
    /// What is sent once it has committed.
    pub send: Option<Message>,
}

impl System {
    /// A poll of the task's agent, as far as this task goes.
    pub(crate) fn offer(&self, task: Task, row: &Row, halted: bool, seq: u64) -> Option<Done> {
        let host = self.scene.host_of(task);
        let epoch = row.life.epoch;
        let seen = halted && self.mutation != Some(Mutation::HaltIsNotSeen);
        match row.life.offering(seen) {
            Offering::Make if epoch < self.bounds.epochs => {
                let life = task::step(row.life, Event::Offer).ok()?;
                let resolved_by = Scene::digest(&self.ledger, row.resolved_by);
                let envelope = self.orders.get((task, life.epoch, seq, resolved_by.clone()), || {
                    self.ledger.text(&self.scene.order(task, life.epoch, seq, &resolved_by))
                });
                let mut row = Row { life, order: Some(envelope), ..row.clone() };
                row.made.entry(life.epoch).or_insert(envelope);
                Some(Done { row, seq: seq + 1, send: Some(Message::Order { host, envelope }) })
            }
            Offering::Resend if self.mutation != Some(Mutation::DequeueOnFetch) => {
                let send = row.order.map(|envelope| Message::Order { host, envelope });
                Some(Done { row: row.clone(), seq, send })
            }
            Offering::Revoke => {
                let forgotten =
                    row.life.state == TaskState::Unknown && self.mutation == Some(Mutation::UnknownIsForgotten);
                let send = (!forgotten).then_some(Message::Revoke { host, task, epoch });
                Some(Done { row: row.clone(), seq, send })
            }
            _ => None,
        }
    }

    /// An event of a host arrives. What is about somebody else's task is dropped, what was kept before changes nothing.
    pub(crate) fn store(&self, row: &Row, report: &Report, text: crate::ledger::Id) -> Row {
        let mut row = row.clone();
        let key = (report.epoch, report.n);
        let past = report.epoch < row.life.epoch;
        if report.epoch > row.life.epoch || row.kept.contains_key(&key) {
            return row;
        }
        row.kept.insert(key, text);
        let epoch =
            if past && self.mutation == Some(Mutation::PastEpochCounts) { row.life.epoch } else { report.epoch };
        let before = match self.mutation {
            Some(Mutation::TerminalLeaves) if row.life.state.ended() => Life { state: TaskState::Unknown, ..row.life },
            _ => row.life,
        };
        let Ok(life) = task::heard(before, epoch, report.event.means()) else { return row };
        if before.state.ended() || epoch != row.life.epoch {
            return row;
        }
        row.life = life;
        if report.event.resolves() {
            row.resolved_by = Some(text);
        }
        row
    }

    /// Something that happens to a row by itself or by a person.
    pub(crate) fn happen(&self, row: &Row, event: Event) -> Option<Row> {
        let timeout = matches!(self.mutation, Some(Mutation::EpochOnTimeout | Mutation::EpochOnTimeoutUnasked));
        let out = matches!(row.life.state, TaskState::Offered | TaskState::Accepted);
        let life = match event {
            Event::Silence if self.mutation == Some(Mutation::DequeueOnFetch) => return None,
            Event::Silence if timeout && out => Life { state: TaskState::Ready, ..row.life },
            Event::Cancel if self.mutation == Some(Mutation::CancelWithoutWord) && !row.life.state.ended() => {
                Life { state: TaskState::Cancelled, ..row.life }
            }
            _ => task::step(row.life, event).ok()?,
        };
        Some(Row { life, ..row.clone() })
    }

    /// Put a finished transaction into the database and look at it.
    pub(crate) fn commit(&self, state: &mut State, task: Task, done: Done) {
        let host = usize::from(self.scene.host_of(task));
        let (Some(row), Some(seq)) = (state.rows.get_mut(usize::from(task)), state.seqs.get_mut(host)) else { return };
        // With both lines left out the first monitor looks away, so that what the host suffers is seen.
        let unseen = (self.mutation == Some(Mutation::EpochOnTimeoutUnasked)).then_some(Breach::EpochWithoutResult);
        let stopped = state.halted || state.run.stopped();
        let broken = crate::monitor::row(&self.ledger, row, &done.row, stopped);
        state.broken = broken.filter(|breach| Some(*breach) != unseen);
        let (from, to) = (row.life.state, done.row.life.state);
        *row = done.row;
        *seq = done.seq;
        state.net.extend(done.send);
        self.moved(state, task, from, to);
    }
}
