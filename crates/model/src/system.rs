//! The model: which steps are possible in a state, and what each of them leads to.

use crate::bounds::Bounds;
use crate::ledger::{Id, Ledger, Memo};
use crate::monitor::Breach;
use crate::mutation::Mutation;
use crate::scene::Scene;
use crate::server_side::Done;
use crate::state::{Deed, Host, Message, Open, Row, State, Step, Task};
use domain::task::{self, Event, Life};
use protocol::agent::{Acked, Event as Report, TaskEpoch};
use stateright::{Model, Property};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Whoever asks, at which journal, what came, the clock, the index, the halt file.
type Asked = (u8, Id, Id, bool, Option<u8>, bool);

/// A bounded model, perhaps with a rule left out.
pub struct System {
    pub(crate) bounds: Bounds,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) scene: Scene,
    pub(crate) ledger: Ledger,
    pub(crate) orders: Memo<(Task, u32, u64, String), Id>,
    pub(crate) taken: Memo<Asked, crate::agent_side::Answer>,
    reports: Memo<Id, Option<Arc<Report>>>,
}

impl System {
    /// A model of this size.
    #[must_use]
    pub fn new(bounds: Bounds, mutation: Option<Mutation>) -> Self {
        let scene = Scene::new(&bounds);
        let (ledger, orders, taken, reports) = (Ledger::new(), Memo::new(), Memo::new(), Memo::new());
        Self { bounds, mutation, scene, ledger, orders, taken, reports }
    }

    /// Its size.
    #[must_use]
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn report(&self, text: Id) -> Option<Arc<Report>> {
        self.reports.get(text, || serde_json::from_str(&self.ledger.read(text)).ok().map(Arc::new))
    }

    /// The row that a host's event is about, when it is about one of its own tasks.
    fn about(&self, state: &State, host: u8, text: Id) -> Option<(Task, Arc<Report>)> {
        let report = self.report(text)?;
        let task = Scene::task_of(report.task);
        let own = usize::from(task) < state.rows.len() && self.scene.host_of(task) == host;
        own.then_some((task, report))
    }

    fn server_actions(&self, state: &State, steps: &mut Vec<Step>) {
        for (task, row) in (0..).zip(&state.rows) {
            match self.bounds.replicas {
                1 => steps.push(Step::Offer(task)),
                replicas => steps.extend((0..replicas).map(|replica| Step::Begin(replica, task))),
            }
            if self.bounds.silence {
                steps.push(Step::Silence(task));
            }
            if self.bounds.cancel && !row.life.cancel_requested {
                steps.push(Step::Cancel(task));
            }
            if self.bounds.revoked_agents {
                steps.push(Step::AgentGone(task));
            }
        }
        for (replica, open) in (0..).zip(&state.open) {
            if open.is_some() {
                steps.extend([Step::Commit(replica), Step::Die(replica)]);
            }
        }
        if state.halted {
            steps.push(Step::Halt(false));
        } else if state.halts_left > 0 {
            steps.push(Step::Halt(true));
        }
    }

    fn host_actions(&self, state: &State, steps: &mut Vec<Step>) {
        for (who, host) in (0..).zip(&state.hosts) {
            match host.running {
                Some(_) => steps.extend([Step::Effect(who), Step::Finish(who)]),
                None => {
                    steps.extend([Step::Start { host: who, late: false }, Step::Unchanged { host: who }]);
                    if self.bounds.skew {
                        steps.push(Step::Start { host: who, late: true });
                    }
                }
            }
            if self.bounds.crashes {
                steps.push(Step::Crash(who));
            }
            if self.bounds.compaction && host.running.is_none() {
                steps.push(Step::Compact(who));
            }
            if state.owner_left > 0 {
                steps.push(Step::Owner(who));
            }
            if self.bounds.loss {
                steps.push(Step::SayAgain(who));
            }
        }
    }

    fn network_actions(&self, state: &State, steps: &mut Vec<Step>) {
        for message in state.net.iter().copied() {
            let deliver = |host, late| Step::Deliver { message, host, late };
            match message {
                Message::Event { host, text } => match self.bounds.replicas {
                    1 => steps.push(Step::Hear(message)),
                    replicas => steps.extend((0..replicas).map(|replica| Step::BeginStore(replica, host, text))),
                },
                Message::Order { host, .. } => {
                    let hosts = if self.bounds.misdelivery { 0..self.bounds.hosts } else { host..host + 1 };
                    for host in hosts {
                        steps.push(deliver(host, false));
                        if self.bounds.skew {
                            steps.push(deliver(host, true));
                        }
                    }
                }
                Message::Revoke { host, .. } | Message::Acked { host, .. } => steps.push(deliver(host, false)),
                Message::Index { .. } => steps.extend((0..self.bounds.hosts).map(|host| deliver(host, false))),
            }
        }
        if self.bounds.loss {
            steps.push(Step::LoseAll);
        }
    }

    /// The state after a step; `None` when it changes nothing or is not possible.
    fn after(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match step {
            Step::Offer(task) => {
                let (row, seq) = self.row_of(last, task)?;
                self.commit(&mut state, task, self.offer(task, row, last.halted, seq)?);
            }
            Step::Begin(replica, task) => {
                let (row, seq) = self.row_of(last, task)?;
                self.offer(task, row, last.halted, seq)?;
                self.open(&mut state, replica, Deed::Offer(task), row, seq)?;
            }
            Step::BeginStore(replica, host, text) => {
                let (task, report) = self.about(last, host, text)?;
                let (row, seq) = self.row_of(last, task)?;
                if self.store(row, &report, text) == *row {
                    return None;
                }
                self.open(&mut state, replica, Deed::Store(host, text), row, seq)?;
            }
            Step::Commit(replica) => self.commit_open(&mut state, replica)?,
            Step::Die(replica) => *state.open.get_mut(usize::from(replica))? = None,
            Step::Silence(task) => self.happens(&mut state, task, Event::Silence)?,
            Step::Cancel(task) => self.happens(&mut state, task, Event::Cancel)?,
            Step::AgentGone(task) => self.happens(&mut state, task, Event::AgentGone)?,
            Step::Halt(on) => {
                state.halted = on;
                state.halts_left -= u8::from(on);
            }
            Step::Hear(message) => self.hear(&mut state, message)?,
            Step::Deliver { message, host, late } => self.deliver(&mut state, message, host, late)?,
            Step::LoseAll => state.net.clear(),
            Step::SayAgain(who) => {
                let unsaid = self.unsaid(last.hosts.get(usize::from(who))?).into_iter();
                state.net.extend(unsaid.map(|text| Message::Event { host: who, text }));
            }
            Step::Start { host, late } => self.begin(&mut state, host, late, false)?,
            Step::Unchanged { host } => self.begin(&mut state, host, false, true)?,
            Step::Effect(host) => self.effect(&mut state, host)?,
            Step::Finish(host) => self.finish(&mut state, host)?,
            Step::Crash(host) => self.crash(&mut state, host)?,
            Step::Owner(host) => {
                let host = state.hosts.get_mut(usize::from(host))?;
                host.halted = !host.halted;
                state.owner_left -= 1;
            }
            Step::Compact(who) => self.compact(state.hosts.get_mut(usize::from(who))?, who),
        }
        self.forget_the_dead(&mut state);
        (state != *last).then_some(state)
    }

    /// Take out what can never have an effect any more, so that states which differ only in that are one: reports about past
    /// epochs, ended tasks and reports kept before (the row would not change), what is remembered for those alone,
    /// acknowledgements that a later one has overtaken, and transactions that can no longer commit. Where a mutation makes the dead matter they stay.
    fn forget_the_dead(&self, state: &mut State) {
        use Mutation::{BlindCommit, PastEpochCounts, TerminalLeaves};
        if matches!(self.mutation, Some(BlindCommit | PastEpochCounts | TerminalLeaves)) {
            return;
        }
        for row in &mut state.rows {
            let (epoch, ended) = (row.life.epoch, row.life.state.ended());
            row.kept.retain(|(of, _), _| *of == epoch && !ended);
            if row.life.state != task::State::Ready {
                row.resolved_by = None;
            }
        }
        let rows = std::mem::take(&mut state.rows);
        let overtaken = |message: &Message| {
            let Message::Acked { host, task, epoch, n } = *message else { return false };
            let later =
                Message::Acked { host, task, epoch, n: n + 1 }..=Message::Acked { host, task, epoch, n: u32::MAX };
            state.net.range(later).next().is_some()
        };
        let overtaken: Vec<Message> = state.net.iter().copied().filter(overtaken).collect();
        state.net.retain(|message| match message {
            Message::Acked { .. } => !overtaken.contains(message),
            // A repeated report is acknowledged again, where acknowledgements matter.
            Message::Event { .. } if self.bounds.compaction => true,
            Message::Event { host, text } => {
                let Some(report) = self.report(*text) else { return false };
                let task = Scene::task_of(report.task);
                let row = rows.get(usize::from(task)).filter(|_| self.scene.host_of(task) == *host);
                row.is_some_and(|row| {
                    let present = report.epoch == row.life.epoch && !row.life.state.ended();
                    present && !row.kept.contains_key(&(report.epoch, report.n))
                })
            }
            _ => true,
        });
        state.rows = rows;
        let (rows, halted) = (&state.rows, state.halted);
        for open in &mut state.open {
            let alive = open.as_ref().is_some_and(|open| {
                let task = match &open.deed {
                    Deed::Offer(task) => Some(*task),
                    Deed::Store(_, text) => self.report(*text).map(|report| Scene::task_of(report.task)),
                };
                let row = task.and_then(|task| rows.get(usize::from(task)));
                row == Some(&open.row) && open.halted == halted
            });
            if !alive {
                *open = None;
            }
        }
    }

    fn row_of<'a>(&self, state: &'a State, task: Task) -> Option<(&'a Row, u64)> {
        let host = usize::from(self.scene.host_of(task));
        Some((state.rows.get(usize::from(task))?, *state.seqs.get(host)?))
    }

    fn happens(&self, state: &mut State, task: Task, event: Event) -> Option<()> {
        let (row, seq) = self.row_of(state, task)?;
        let done = Done { row: self.happen(row, event)?, seq, send: None };
        self.commit(state, task, done);
        Some(())
    }

    fn hear(&self, state: &mut State, message: Message) -> Option<()> {
        let Message::Event { host, text } = message else { return None };
        let (task, report) = self.about(state, host, text)?;
        let (row, seq) = self.row_of(state, task)?;
        let row = self.store(row, &report, text);
        let acked = Message::Acked { host, task, epoch: report.epoch, n: report.n };
        self.commit(state, task, Done { row, seq, send: self.bounds.compaction.then_some(acked) });
        Some(())
    }

    fn open(&self, state: &mut State, replica: u8, deed: Deed, row: &Row, seq: u64) -> Option<()> {
        let halted = state.halted;
        let open = state.open.get_mut(usize::from(replica))?;
        if open.is_some() {
            return None;
        }
        *open = Some(Open { deed, row: row.clone(), halted, seq });
        Some(())
    }

    /// Serializable: what was read must still be there. A transaction that cannot commit starts again from the beginning.
    fn commit_open(&self, state: &mut State, replica: u8) -> Option<()> {
        let open = state.open.get_mut(usize::from(replica))?.take()?;
        let (task, done) = match &open.deed {
            Deed::Offer(task) => (*task, self.offer(*task, &open.row, open.halted, open.seq)),
            Deed::Store(host, text) => {
                let (task, report) = self.about(state, *host, *text)?;
                let row = self.store(&open.row, &report, *text);
                (task, Some(Done { row, seq: open.seq, send: None }))
            }
        };
        let (row, seq) = self.row_of(state, task)?;
        let same = *row == open.row && seq == open.seq && state.halted == open.halted;
        if let Some(done) = done
            && (same || self.mutation == Some(Mutation::BlindCommit))
        {
            // What a blind write overwrites is gone, but the monitors remember.
            let made = row.made.clone();
            let mut done = done;
            for (epoch, envelope) in made {
                done.row.made.entry(epoch).or_insert(envelope);
            }
            self.commit(state, task, done);
        }
        Some(())
    }

    fn deliver(&self, state: &mut State, message: Message, who: u8, late: bool) -> Option<()> {
        let host = state.hosts.get_mut(usize::from(who))?;
        let (journal, said) = match message {
            Message::Order { envelope, .. } => self.take(who, host, envelope, late),
            Message::Revoke { task, epoch, .. } => self.revoke(host, TaskEpoch { task: Scene::task_id(task), epoch }),
            Message::Acked { task, epoch, n, .. } => {
                self.acknowledge(host, &Acked { task: Scene::task_id(task), epoch, n })
            }
            Message::Index { place } => {
                let before = self.scene.version(host.index);
                self.adopt(host, place);
                let older = self.scene.version(host.index) < before;
                let forged = !self.scene.signed(host.index);
                state.broken = (older || forged).then_some(Breach::OlderIndex);
                return Some(());
            }
            Message::Event { .. } => return None,
        };
        host.journal = journal;
        state.net.extend(said.into_iter().map(|text| Message::Event { host: who, text }));
        Some(())
    }

    /// Whether a step needs no bad luck and nobody's help: what a way out may be made of (S13).
    #[must_use]
    pub fn helpful(step: &Step) -> bool {
        !matches!(
            step,
            Step::Cancel(_)
                | Step::AgentGone(_)
                | Step::Crash(_)
                | Step::Die(_)
                | Step::LoseAll
                | Step::Halt(true)
                | Step::Owner(_)
                | Step::Compact(_)
                | Step::Start { late: true, .. }
                | Step::Deliver { late: true, .. }
        )
    }

    /// Whether a task has ended here, or reached the edge of the model: one more order would be its next.
    #[must_use]
    pub fn out(&self, state: &State, task: usize) -> bool {
        state.rows.get(task).is_none_or(|row| {
            let edge = row.life.state == task::State::Ready && row.life.epoch >= self.bounds.epochs;
            row.life.state.ended() || edge
        })
    }
}

impl Model for System {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let life = task::step(Life::new(), Event::Due).expect("a new task becomes ready");
        let row = Row { life, order: None, resolved_by: None, kept: BTreeMap::new(), made: BTreeMap::new() };
        let tasks = usize::from(self.bounds.hosts) * usize::from(self.bounds.tasks);
        let host = |who: u8| Host {
            journal: self.ledger.journal(Scene::first_records(who)),
            index: Some(0),
            running: None,
            halted: false,
            starts: BTreeMap::new(),
            effects: BTreeSet::new(),
        };
        let hostile = match self.bounds.hostile {
            0 => Vec::new(),
            count => self.scene.hostile(&self.ledger, count),
        };
        vec![State {
            rows: vec![row; tasks],
            seqs: vec![1; usize::from(self.bounds.hosts)],
            halted: false,
            halts_left: self.bounds.halts,
            open: vec![None; if self.bounds.replicas > 1 { usize::from(self.bounds.replicas) } else { 0 }],
            hosts: (0..self.bounds.hosts).map(host).collect(),
            owner_left: self.bounds.owner,
            net: hostile.into_iter().collect(),
            broken: None,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.broken.is_some() {
            return;
        }
        self.server_actions(state, steps);
        self.host_actions(state, steps);
        self.network_actions(state, steps);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        self.after(last, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn holds<const AT: usize>(_: &System, state: &State) -> bool {
            Breach::OF_STATES.get(AT).is_none_or(|(breach, _)| state.broken != Some(*breach))
        }
        let name = |at: usize| Breach::OF_STATES.get(at).map_or("", |(_, name)| name);
        vec![
            Property::always(name(0), holds::<0>),
            Property::always(name(1), holds::<1>),
            Property::always(name(2), holds::<2>),
            Property::always(name(3), holds::<3>),
            Property::always(name(4), holds::<4>),
            Property::always(name(5), holds::<5>),
            Property::always(name(6), holds::<6>),
            Property::always(name(7), holds::<7>),
            Property::always(name(8), holds::<8>),
            Property::always(name(9), holds::<9>),
            Property::always(name(10), holds::<10>),
            Property::always(name(11), holds::<11>),
            Property::always(name(12), holds::<12>),
            Property::always(name(13), holds::<13>),
            Property::always(name(14), holds::<14>),
        ]
    }
}
