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
    /// An order starts without a permit.
    NoPermitAsked,
    /// A permit counts for another task.
    PermitOfAnotherTask,
    /// A permit counts for another epoch, whatever it was asked for.
    PermitOfAnotherEpoch,
    /// A permit counts on another host, whatever its task is: tasks are never on two hosts, so one line stands behind the other.
    PermitOfAnotherHost,
    /// A permit counts whatever question it answers.
    PermitUnasked,
    /// A permit counts from when it came, by the clock since boot.
    TimeFromTheAnswer,
    /// The agent never looks whether its permit has run out.
    PermitNeverEnds,
    /// Each replica holds the limit for itself.
    LimitPerReplica,
    /// A replica takes a place by what it read, though another took it meanwhile.
    BlindGrant,
    /// A question that comes again takes another place.
    GrantedTwice,
    /// Whoever answers does not look whether a halt stands.
    HaltIsNotAsked,
    /// A halt does not change the row that grants change: it is only looked for before.
    PlaceIsNotClosed,
    /// A permit's place comes back once it must have been used, as if nothing ran then.
    PlaceOutlastsNoRun,
    /// A permit's place comes back at the very end of the longest run, whatever the clocks of the replicas say.
    NoMargin,
    /// A permit's place comes back when nothing was heard of its task.
    SilenceGivesBack,
    /// A permit's place comes back when its task is given up as lost.
    LostGivesBack,
    /// A permit's place comes back only with a report.
    PlacesNeverExpire,
    /// Compaction forgets ended tasks without refusing their numbers.
    CompactionForgetsNumbers,
}

impl Mutation {
    /// Every one, with the model that is to find it and the invariants it may break first.
    pub const ALL: [(Mutation, &'static str, &'static [Breach]); 39] = [
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
        (Mutation::PastEpochCounts, "task", &[Breach::HeardOfAnother]),
        (Mutation::UnknownIsForgotten, "task", &[Breach::NoWayOut]),
        (Mutation::HaltIsNotSeen, "halt", &[Breach::OrderInHalt]),
        (Mutation::BlindCommit, "replicas", &[Breach::TwoOrders, Breach::TerminalLeft, Breach::StartedAfterCancel]),
        (Mutation::WrongHost, "hosts", &[Breach::WrongHost]),
        (Mutation::IndexRollback, "catalogue", &[Breach::OlderIndex]),
        (Mutation::UnlistedContent, "catalogue", &[Breach::Unlisted]),
        (Mutation::NoIndexAtStart, "catalogue", &[Breach::Unlisted]),
        (Mutation::NoPermitAsked, "permits", &[Breach::StartedWithoutPermit]),
        (Mutation::PermitOfAnotherTask, "permit-tasks", &[Breach::StartedWithoutPermit]),
        (Mutation::PermitOfAnotherEpoch, "permit-epochs", &[Breach::StartedWithoutPermit]),
        (Mutation::PermitOfAnotherHost, "permit-astray", &[Breach::StartedWithoutPermit]),
        (Mutation::PermitUnasked, "permit-clocks", &[Breach::StartedOnExpired, Breach::TooManyAtWork]),
        (Mutation::TimeFromTheAnswer, "permit-clocks", &[Breach::StartedOnExpired, Breach::TooManyAtWork]),
        (Mutation::PermitNeverEnds, "permits", &[Breach::StartedOnExpired, Breach::TooManyAtWork]),
        (Mutation::LimitPerReplica, "permit-replicas", &[Breach::OverGranted]),
        (Mutation::BlindGrant, "permit-replicas", &[Breach::OverGranted, Breach::PlacesOff]),
        (Mutation::GrantedTwice, "permit-tasks", &[Breach::PlacesOff]),
        (Mutation::HaltIsNotAsked, "permit-halt", &[Breach::PermitInHalt]),
        (Mutation::PlaceIsNotClosed, "permit-halt", &[Breach::PermitInHalt]),
        (Mutation::PlaceOutlastsNoRun, "permits", &[Breach::TooManyAtWork]),
        (Mutation::NoMargin, "permit-clocks", &[Breach::TooManyAtWork]),
        (Mutation::SilenceGivesBack, "permit-silence", &[Breach::TooManyAtWork]),
        (Mutation::LostGivesBack, "permit-lost", &[Breach::TooManyAtWork, Breach::AtWorkWhenHalted]),
        (Mutation::PlacesNeverExpire, "permit-lost", &[Breach::NoWayOut]),
        (Mutation::CompactionForgetsNumbers, "compaction", &[Breach::StartedTwice]),
    ];
}
