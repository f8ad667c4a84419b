//! One state of a model: what the database, the hosts and the network hold, and what the monitors remember.

use crate::ledger::Id;
use crate::monitor::Breach;
use agent::permits::Permits;
use domain::rollout::permit::Places;
use domain::rollout::run::RunState;
use domain::task::Life;
use std::collections::{BTreeMap, BTreeSet};

/// Which task, counted over all hosts.
pub type Task = u8;

/// A task's row in the database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// The life that `domain::task` moves.
    pub life: Life,
    /// The stored order of this epoch.
    pub order: Option<Id>,
    /// The event that resolved the last epoch.
    pub resolved_by: Option<Id>,
    /// Events kept, by epoch and number.
    pub kept: BTreeMap<(u32, u32), Id>,
    /// Monitor: the order made for each epoch.
    pub made: BTreeMap<u32, Id>,
}

/// A host with its agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// The journal on its disk.
    pub journal: Id,
    /// The index on its disk, as a place in the scene's list.
    pub index: Option<u8>,
    /// In memory only: the (task, epoch) whose intent is written and whose end is not.
    pub running: Option<(Task, u32)>,
    /// The owner's halt file.
    pub halted: bool,
    /// In memory only: its questions and permits.
    pub permits: Permits,
    /// How often time has passed since what runs began.
    pub at_work: u8,
    /// Monitor: starts of each (task, epoch), up to 2.
    pub starts: BTreeMap<(Task, u32), u8>,
    /// Monitor: what changed the host.
    pub effects: BTreeSet<(Task, u32)>,
}

/// What a replica has read and not yet committed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deed {
    /// Tell the agent what is to be told of a task.
    Offer(Task),
    /// Store an event that a host said.
    Store(u8, Id),
    /// Answer whether an order may start.
    Ask {
        /// Who asks.
        host: u8,
        /// About which task.
        task: Task,
        /// About which epoch.
        epoch: u32,
        /// It is the last question of this order.
        fresh: bool,
    },
}

/// A transaction of a replica that has read and not committed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Open {
    /// What it does.
    pub deed: Deed,
    /// The row as it was read.
    pub row: Row,
    /// Whether everything was halted as it was read.
    pub halted: bool,
    /// The next order number as it was read.
    pub seq: u64,
    /// The run as it was read.
    pub run: RunState,
    /// The places, where they were read.
    pub places: Places,
    /// When it began by its replica's clock, in seconds from now.
    pub at: i16,
}

/// What an agent's corrected clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clock {
    /// The present.
    True,
    /// A time past the end of every order.
    Late,
    /// A time long ago.
    Slow,
}

/// Something on its way. It stays there after delivery, so it may come again, late, in any order, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// A signed order for a host.
    Order {
        /// Where it was sent.
        host: u8,
        /// The envelope.
        envelope: Id,
    },
    /// A revocation for a host.
    Revoke {
        /// Where it was sent.
        host: u8,
        /// Of which task.
        task: Task,
        /// Of which epoch.
        epoch: u32,
    },
    /// A report of a host.
    Event {
        /// Who says it.
        host: u8,
        /// Its exact text.
        text: Id,
    },
    /// An acknowledgement for a host.
    Acked {
        /// Where it was sent.
        host: u8,
        /// Of which task.
        task: Task,
        /// Of which epoch.
        epoch: u32,
        /// Events up to this number are stored.
        n: u32,
    },
    /// A question of a host: may this start?
    Ask {
        /// Who asks.
        host: u8,
        /// About which task.
        task: Task,
        /// About which epoch.
        epoch: u32,
        /// It is the last question of this order: its nonce is the one that the host waits for.
        fresh: bool,
    },
    /// A permit for a host.
    Granted {
        /// Where it was sent.
        host: u8,
        /// For which task.
        task: Task,
        /// For which epoch.
        epoch: u32,
        /// It answers the last question.
        fresh: bool,
        /// When it was granted, in seconds from now.
        at: i16,
    },
    /// An index, as a place in the scene's list.
    Index {
        /// Which.
        place: u8,
    },
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The server tells an agent what is to be told of a task.
    Offer(Task),
    /// The same by a replica, which only reads so far.
    Begin(u8, Task),
    /// A replica reads the row that a host's event is about.
    BeginStore(u8, u8, Id),
    /// A replica commits, or finds that it cannot.
    Commit(u8),
    /// A replica dies before it commits.
    Die(u8),
    /// The server hears nothing for too long.
    Silence(Task),
    /// A person cancels.
    Cancel(Task),
    /// Everything is halted, or resumed.
    Halt(bool),
    /// The agent of a task is revoked at the server.
    AgentGone(Task),
    /// A message arrives at the server.
    Hear(Message),
    /// A message arrives at a host.
    Deliver {
        /// Which.
        message: Message,
        /// Where, perhaps not where it was sent.
        host: u8,
        /// What its clock shows.
        clock: Clock,
    },
    /// Everything that is on its way is lost.
    LoseAll,
    /// A host says again everything that nobody acknowledged.
    SayAgain(u8),
    /// A host begins the order whose turn it is.
    Start {
        /// Which host.
        host: u8,
        /// What its clock shows.
        clock: Clock,
    },
    /// A host ends the order whose turn it is without having to change anything.
    Unchanged {
        /// Which host.
        host: u8,
    },
    /// A host changes what the order says.
    Effect(u8),
    /// A host has done what it began.
    Finish(u8),
    /// An agent dies and starts again.
    Crash(u8),
    /// The owner places or removes the halt file.
    Owner(u8),
    /// An agent compacts its journal.
    Compact(u8),
    /// A replica reads what it needs to answer a question.
    BeginAsk {
        /// Which replica.
        replica: u8,
        /// The question.
        message: Message,
    },
    /// A replica answers a question.
    HearAsk {
        /// Which replica.
        replica: u8,
        /// The question.
        message: Message,
    },
    /// A permit reaches a host as the answer to one of its questions.
    Answer {
        /// The permit.
        message: Message,
        /// Where, perhaps not where it was sent.
        host: u8,
        /// The task of the question.
        task: Task,
        /// Its epoch.
        epoch: u32,
        /// What its clock shows.
        clock: Clock,
    },
    /// A host is told to ask again later: by the server, or by anybody on the way, because that is not signed.
    PutOff {
        /// Which host.
        host: u8,
        /// The task of the question.
        task: Task,
        /// Its epoch.
        epoch: u32,
    },
    /// Time passes, a minute.
    Pass,
    /// A replica takes back the permits whose time is over.
    Expire(u8),
    /// The run is halted.
    RunHalt,
    /// The run is found to be at rest.
    Drained,
    /// The run is resumed.
    RunResume,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The database.
    pub rows: Vec<Row>,
    /// The next order number of each host, in the database.
    pub seqs: Vec<u64>,
    /// The global halt, in the database.
    pub halted: bool,
    /// Halts and resumptions still to come.
    pub halts_left: u8,
    /// The run of all tasks, in the database.
    pub run: RunState,
    /// Halts of the run still to come.
    pub run_halts_left: u8,
    /// Limits and permits, in the database.
    pub places: Places,
    /// Monitor: grants that no start has used, and whether time has passed since.
    pub unused: BTreeMap<(Task, u32), u8>,
    /// Transactions under way, by replica.
    pub open: Vec<Option<Open>>,
    /// The hosts.
    pub hosts: Vec<Host>,
    /// Changes of the halt files still to come.
    pub owner_left: u8,
    /// What is on its way.
    pub net: BTreeSet<Message>,
    /// Monitor: an invariant was broken by the step that led here. Nothing is explored beyond.
    pub broken: Option<Breach>,
}
