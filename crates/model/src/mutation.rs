//! Rules left out on purpose. The checker has to find what each of them breaks, or it would prove nothing.

use crate::monitor::Breach;

/// One rule left out, or a pair where the protocol has a second line behind the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutation {
    /// The agent keeps no journal over a restart: whatever is offered again is done again.
    NoJournal,
    /// A task counts as delivered once its order was fetched: it is never sent again, and silence is not noticed.
    DequeueOnFetch,
    /// Silence alone makes the server issue the next epoch.
    EpochOnTimeout,
    /// The same, and the agent does not ask what a higher epoch supersedes.
    EpochOnTimeoutUnasked,
    /// The intent is written without waiting for the disk: a crash loses it.
    IntentNotDurable,
    /// The first effect comes before the intent.
    EffectBeforeIntent,
    /// After a crash the agent runs again what it had begun.
    RunAgainAfterIntent,
    /// The agent takes an order that it has ended as if it were new.
    TakesEndedOrder,
    /// The agent takes an older epoch again although it took a later one.
    TakesOlderEpoch,
    /// A revocation is answered without a tombstone.
    NoTombstone,
    /// A cancelled task ends at the server without the agent's word.
    CancelWithoutWord,
    /// The agent checks an order's time when it takes it, not when it starts.
    NoCheckAtStart,
    /// A late report moves a task that has ended.
    TerminalLeaves,
    /// A report about an older epoch counts for the present one.
    PastEpochCounts,
    /// Nobody asks what became of a task that is unknown.
    UnknownIsForgotten,
    /// A halt does not stop new orders.
    HaltIsNotSeen,
    /// A replica commits what it read although another changed it meanwhile.
    BlindCommit,
    /// The agent does what is addressed to another one.
    WrongHost,
    /// Any signed index is adopted, older ones too.
    IndexRollback,
    /// Content is done that the index does not list.
    UnlistedContent,
    /// Content that was listed when its order was taken is done although it is no longer when it starts.
    NoIndexAtStart,
    /// Compaction forgets ended tasks without refusing their numbers.
    CompactionForgetsNumbers,
}

impl Mutation {
    /// Every one, with the model that is to find it and the invariants it may break first.
    pub const ALL: [(Mutation, &'static str, &'static [Breach]); 22] = [
        (Mutation::NoJournal, "task", &[Breach::StartedTwice]),
        (Mutation::DequeueOnFetch, "task", &[Breach::NoWayOut]),
        (Mutation::EpochOnTimeout, "task", &[Breach::EpochWithoutResult]),
        (Mutation::EpochOnTimeoutUnasked, "task", &[Breach::AppliedAgain, Breach::StartedUnresolved]),
        (Mutation::IntentNotDurable, "task", &[Breach::StartedTwice]),
        (Mutation::EffectBeforeIntent, "task", &[Breach::EffectWithoutIntent]),
        (Mutation::RunAgainAfterIntent, "task", &[Breach::StartedTwice]),
        (Mutation::TakesEndedOrder, "task", &[Breach::StartedTwice]),
        (Mutation::TakesOlderEpoch, "task", &[Breach::StartedTwice]),
        (Mutation::NoTombstone, "task", &[Breach::StartedAfterCancel]),
        (Mutation::CancelWithoutWord, "task", &[Breach::StartedAfterCancel]),
        (Mutation::NoCheckAtStart, "task", &[Breach::StartedLate]),
        (Mutation::TerminalLeaves, "task", &[Breach::TerminalLeft]),
        (Mutation::PastEpochCounts, "task", &[Breach::NoWayOut]),
        (Mutation::UnknownIsForgotten, "task", &[Breach::NoWayOut]),
        (Mutation::HaltIsNotSeen, "halt", &[Breach::OrderInHalt]),
        (Mutation::BlindCommit, "replicas", &[Breach::TwoOrders, Breach::TerminalLeft, Breach::StartedAfterCancel]),
        (Mutation::WrongHost, "hosts", &[Breach::WrongHost]),
        (Mutation::IndexRollback, "catalogue", &[Breach::OlderIndex]),
        (Mutation::UnlistedContent, "catalogue", &[Breach::Unlisted]),
        (Mutation::NoIndexAtStart, "catalogue", &[Breach::Unlisted]),
        (Mutation::CompactionForgetsNumbers, "compaction", &[Breach::StartedTwice]),
    ];
}
