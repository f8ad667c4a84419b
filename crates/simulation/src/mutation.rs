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
    /// Permits are given out without counting those that are out.
    PermitsUncounted,
    /// One of two servers gives out permits in a halt.
    PermitInHalt,
    /// The next wave opens whatever the gate says.
    GateIgnored,
    /// A run goes on although nobody signed.
    ApprovalForgotten,
    /// Two runs are let at one asset at a time.
    TurnsIgnored,
    /// The counts of a wave miss results.
    CountForgotten,
    /// When hosts were heard is forgotten again, so that those that are there count as away.
    HeardForgotten,
    /// Nobody is thought to have listened, so that no host is ever away or gone.
    NobodyListens,
}

/// Statements that take a mutation back.
pub type Undo = Vec<String>;

impl Mutation {
    /// Every one, with the invariant that has to say so and a seed of twelve hosts in which it does.
    pub const ALL: [(Mutation, &'static [&'static str], u64); 18] = [
        (Mutation::ReofferAfterSilence, &["S2"], 1),
        (Mutation::AckBeforeCommit, &["durable"], 1),
        (Mutation::JournalNotSynced, &["S1", "S3"], 2),
        (Mutation::CancelWithoutTombstone, &["S4"], 164),
        (Mutation::HaltOnOneReplica, &["S7"], 3),
        (Mutation::ControlForgotten, &["truth"], 2),
        (Mutation::ScoreForgotten, &["scores"], 1),
        (Mutation::AuditEntryLost, &["S11"], 1),
        (Mutation::RevertBlind, &["S10"], 1),
        (Mutation::TaskAbandoned, &["L1"], 3),
        (Mutation::PermitsUncounted, &["S6"], 1),
        (Mutation::PermitInHalt, &["S7"], 1),
        (Mutation::GateIgnored, &["S8"], 1),
        (Mutation::ApprovalForgotten, &["S9"], 1),
        (Mutation::TurnsIgnored, &["R20"], 1),
        (Mutation::CountForgotten, &["S12"], 1),
        (Mutation::HeardForgotten, &["S8", "away"], 1),
        (Mutation::NobodyListens, &["away", "gone"], 1),
    ];

    /// The word on the command line.
    pub fn word(self) -> String {
        format!("{self:?}")
    }

    /// The word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().map(|(mutation, ..)| mutation).find(|mutation| mutation.word() == word)
    }
}

impl Fleet<'_> {
    fn sql(&self, sql: &str) {
        self.database.execute_batch(sql).expect("a statement");
    }

    /// Store the halt behind the server's back.
    pub fn set_halt_row(&self, halted: bool) {
        self.sql(&halt_row(halted));
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
            Some(Mutation::HeardForgotten) => self.sql("UPDATE agent SET last_seen_at = enrolled_at"),
            Some(Mutation::NobodyListens) => self.sql("DELETE FROM heartbeat"),
            Some(Mutation::TaskAbandoned) => {
                self.sql("UPDATE task SET state = 'pending', due_at = 9000000000000000 WHERE state = 'unknown'");
            }
            Some(Mutation::GateIgnored) => {
                self.sql("UPDATE run SET wave = wave + 1 WHERE wave < waves AND state = 'open' AND id % 2 = 0");
            }
            Some(Mutation::ApprovalForgotten) => {
                self.sql(
                    "DELETE FROM approval_target WHERE approval_id IN (SELECT id FROM approval WHERE state = 'pending');
                     DELETE FROM approval WHERE state = 'pending'",
                );
            }
            _ => {}
        }
    }

    /// Before a server is asked for a permit.
    pub fn mutate_before_permit(&mut self, to: usize) -> Undo {
        match self.mutation {
            Some(Mutation::PermitsUncounted) => {
                self.sql("UPDATE place SET taken = 0, next_at = 0");
                Undo::new()
            }
            Some(Mutation::PermitInHalt) if to == 1 => {
                let stopped = "SELECT id, state FROM run WHERE state IN ('halting', 'halted')";
                let runs: Vec<(i64, String)> = self.rows(stopped, |row| Ok((row.get(0)?, row.get(1)?)));
                let mut undo: Undo = Vec::new();
                for (id, state) in runs {
                    undo.push(format!("UPDATE run SET state = '{state}' WHERE id = {id}"));
                }
                for scope in self.rows::<String>("SELECT scope FROM place WHERE closed", |row| row.get(0)) {
                    undo.push(format!("UPDATE place SET closed = TRUE WHERE scope = '{scope}'"));
                }
                if self.halted {
                    self.set_halt_row(false);
                    undo.push(halt_row(true));
                }
                self.sql(
                    "UPDATE run SET state = 'open' WHERE state IN ('halting', 'halted');
                     UPDATE place SET closed = FALSE",
                );
                undo
            }
            _ => Undo::new(),
        }
    }

    /// Before a server is asked for orders.
    pub fn mutate_before_poll(&mut self, from: usize) -> Undo {
        if self.mutation != Some(Mutation::TurnsIgnored) {
            return Undo::new();
        }
        let key = self.nodes[from].key;
        let out = format!("FROM task WHERE agent_key = {key} AND state IN ('offered', 'accepted', 'running')");
        let hidden: Vec<i64> = self.rows(&format!("SELECT id {out}"), |row| row.get(0));
        let undo = hidden.iter().map(|id| format!("UPDATE task SET agent_key = {key} WHERE id = {id}")).collect();
        self.sql(&format!("UPDATE task SET agent_key = NULL WHERE id IN (SELECT id {out})"));
        undo
    }

    /// Take back what was done before a server was asked.
    pub fn mutate_back(&mut self, undo: &Undo) {
        for statement in undo {
            self.sql(statement);
        }
    }

    /// After a batch of reports.
    pub fn mutate_after_events(&mut self) {
        match self.mutation {
            Some(Mutation::ControlForgotten) => self.sql("DELETE FROM control WHERE id % 7 = 3"),
            Some(Mutation::ScoreForgotten) => {
                self.sql("UPDATE vulnerable_item SET residual = inherent WHERE id % 5 = 1 AND residual < inherent");
            }
            Some(Mutation::CountForgotten) => self.sql("UPDATE wave_count SET good = 0 WHERE good = 2"),
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
    pub fn mutate_before_work(&mut self, host: usize, order: &Order) {
        if self.mutation == Some(Mutation::RevertBlind) && order.kind == OrderKind::Revert {
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

fn halt_row(halted: bool) -> String {
    let (from, to) = if halted { ("false", "true") } else { ("true", "false") };
    format!("UPDATE setting SET value = replace(value, '\"halted\":{from}', '\"halted\":{to}') WHERE key = 'halt'")
}
