//! Deliberate breaks: a simulation is worth what it finds. Each is a rule left out at the seam between the product and the
//! simulated world, or in the database behind the server's back.

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
