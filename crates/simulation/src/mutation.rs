//! Deliberate breaks: a simulation is worth what it finds. Each is a rule left out at the seam between the product and the
//! simulated world, or in the database behind the server's back.

use crate::fleet::{Fleet, MINUTE};
use protocol::order::{Order, OrderKind};
use std::path::PathBuf;

/// A rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Silence makes a new epoch instead of asking what became of the old one.
    ReofferAfterSilence,
    /// Reports are acknowledged before they are durable, and then they are lost.
    AckBeforeCommit,
    /// The agent's journal is not synced: a loss of power takes its last records.
    JournalNotSynced,
    /// A cancelled task ends at once, without waiting for the agent's tombstone.
    CancelWithoutTombstone,
    /// One of two servers does not know of the halt.
    HaltOnOneReplica,
    /// A result is stored, the control it means is not.
    ControlForgotten,
    /// Scores are not computed again after a result.
    ScoreForgotten,
    /// An entry of the audit disappears.
    AuditEntryLost,
    /// A rollback writes the prior file over what somebody changed meanwhile.
    RevertBlind,
    /// A task is forgotten in the middle: nobody moves it any more.
    TaskAbandoned,
}

impl Mutation {
    /// Every one, with the invariant that has to say so.
    pub const ALL: [(Mutation, &'static [&'static str]); 10] = [
        (Mutation::ReofferAfterSilence, &["S2"]),
        (Mutation::AckBeforeCommit, &["durable"]),
        (Mutation::JournalNotSynced, &["S1", "S3"]),
        (Mutation::CancelWithoutTombstone, &["S4"]),
        (Mutation::HaltOnOneReplica, &["S7"]),
        (Mutation::ControlForgotten, &["truth"]),
        (Mutation::ScoreForgotten, &["scores"]),
        (Mutation::AuditEntryLost, &["S11"]),
        (Mutation::RevertBlind, &["S10"]),
        (Mutation::TaskAbandoned, &["L1"]),
    ];

    /// The word on the command line.
    pub fn word(self) -> String {
        format!("{self:?}")
    }

    /// The word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().map(|(mutation, _)| mutation).find(|mutation| mutation.word() == word)
    }
}

impl Fleet<'_> {
    fn sql(&self, sql: &str) {
        self.database.execute_batch(sql).expect("a statement");
    }

    /// Store the halt behind the server's back.
    pub fn set_halt_row(&self, halted: bool) {
        let (from, to) = if halted { ("false", "true") } else { ("true", "false") };
        self.sql(&format!(
            "UPDATE setting SET value = replace(value, '\"halted\":{from}', '\"halted\":{to}') WHERE key = 'halt'"
        ));
    }

    /// Whether this batch of reports is to be acknowledged and lost.
    pub fn drops_events(&mut self) -> bool {
        self.mutation == Some(Mutation::AckBeforeCommit) && self.net.percent(5)
    }

    /// After a look.
    pub fn mutate_after_look(&mut self) {
        match self.mutation {
            Some(Mutation::ReofferAfterSilence) => {
                // A lease, as queues have it: ten minutes of silence and the work is somebody's again.
                let before = self.now - 10 * MINUTE;
                self.sql(&format!(
                    "UPDATE task SET state = 'ready' WHERE state IN ('offered', 'unknown') AND updated_at < {before}"
                ));
            }
            Some(Mutation::TaskAbandoned) => {
                self.sql("UPDATE task SET state = 'pending', due_at = 9000000000000000 WHERE state = 'unknown'");
            }
            _ => {}
        }
    }

    /// After a batch of reports.
    pub fn mutate_after_events(&mut self) {
        match self.mutation {
            Some(Mutation::ControlForgotten) => self.sql("DELETE FROM control WHERE id % 7 = 3"),
            Some(Mutation::ScoreForgotten) => {
                self.sql("UPDATE vulnerable_item SET residual = inherent WHERE id % 5 = 1 AND residual < inherent");
            }
            Some(Mutation::AuditEntryLost) => {
                self.sql(
                    "DELETE FROM audit_entry WHERE seal IS NOT NULL
                     AND id = (SELECT max(id) FROM audit_entry WHERE action = 'agent.enrol')",
                );
            }
            _ => {}
        }
    }

    pub fn mutate_after_cancel(&mut self) {
        if self.mutation == Some(Mutation::CancelWithoutTombstone) {
            self.sql(
                "UPDATE task SET state = 'cancelled', code = 101
                 WHERE cancel_requested AND state IN ('offered', 'accepted')",
            );
        }
    }

    /// Before the executor works on an order.
    pub fn mutate_before_work(&mut self, host: usize, order: Option<&Order>) {
        if self.mutation == Some(Mutation::RevertBlind) && order.is_some_and(|order| order.kind == OrderKind::Revert) {
            let edited: Vec<PathBuf> =
                self.edits.iter().filter(|(of, _, _)| *of == host).map(|(_, path, _)| path.clone()).collect();
            for path in edited {
                let (from, to) = (self.template.root(host).join(&path), self.nodes[host].root.join(&path));
                if std::fs::copy(from, &to).is_err() {
                    // There was none before.
                    let _ = std::fs::remove_file(to);
                }
            }
        }
    }
}
