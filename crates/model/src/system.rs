//! The model: which steps are possible in a state, and what each of them leads to.

use crate::bounds::Bounds;
use crate::ledger::{Id, Ledger, Memo};
use crate::monitor::Breach;
use crate::mutation::Mutation;
use crate::permit_side::{Heard, PermitKey};
use crate::scene::Scene;
use crate::server_side::Done;
use crate::state::{Clock, Deed, Host, Message, Open, Row, State, Step, Task};
use agent::permits::Permits;
use domain::rollout::permit::Places;
use domain::rollout::run::{RunEvent, RunState};
use domain::task::{self, Event, Life};
use protocol::agent::{Acked, Event as Report, TaskEpoch};
use stateright::{Model, Property};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Whoever asks, at which journal, what came, the clock, the index, the halt file.
type Asked = (u8, Id, Id, Clock, Option<u8>, bool);

/// A bounded model, perhaps with a rule left out.
pub struct System {
    pub(crate) bounds: Bounds,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) scene: Scene,
    pub(crate) ledger: Ledger,
    pub(crate) orders: Memo<(Task, u32, u64, String), Id>,
    pub(crate) taken: Memo<Asked, crate::agent_side::Answer>,
    pub(crate) permits: Memo<PermitKey, Id>,
    pub(crate) heard: Memo<Heard, Permits>,
    pub(crate) memory: crate::agent_side::Memory,
    reports: Memo<Id, Option<Arc<Report>>>,
}

impl System {
    /// A model of this size.
    #[must_use]
    pub fn new(bounds: Bounds, mutation: Option<Mutation>) -> Self {
        let scene = Scene::new(&bounds);
        let (ledger, orders, taken, reports) = (Ledger::new(), Memo::new(), Memo::new(), Memo::new());
        Self {
            bounds,
            mutation,
            scene,
            ledger,
            orders,
            taken,
            permits: Memo::new(),
            heard: Memo::new(),
            memory: crate::agent_side::Memory::new(),
            reports,
        }
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

    /// Whether orders and reports are dealt with in one step: where only the answers to questions are not, that is their own model.
    fn atomic(&self) -> bool {
        self.bounds.replicas == 1 || self.bounds.limit > 0
    }

    fn server_actions(&self, state: &State, steps: &mut Vec<Step>) {
        for (task, row) in (0..).zip(&state.rows) {
            if self.atomic() {
                steps.push(Step::Offer(task));
            } else {
                steps.extend((0..self.bounds.replicas).map(|replica| Step::Begin(replica, task)));
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
                Some(_) if self.bounds.taken => steps.push(Step::Finish(who)),
                Some(_) => steps.extend([Step::Effect(who), Step::Finish(who)]),
                None => {
                    let start = |clock| Step::Start { host: who, clock };
                    steps.push(start(Clock::True));
                    if !self.bounds.taken {
                        steps.push(Step::Unchanged { host: who });
                    }
                    if self.bounds.skew {
                        steps.push(start(Clock::Late));
                    }
                    if self.bounds.skew && self.bounds.limit > 0 {
                        steps.push(start(Clock::Slow));
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
            let deliver = |host, clock| Step::Deliver { message, host, clock };
            match message {
                Message::Event { .. } if self.atomic() => steps.push(Step::Hear(message)),
                Message::Event { host, text } => {
                    steps.extend((0..self.bounds.replicas).map(|replica| Step::BeginStore(replica, host, text)));
                }
                Message::Ask { .. } if self.bounds.racing => {
                    steps.extend((0..self.bounds.replicas).map(|replica| Step::BeginAsk { replica, message }));
                }
                Message::Ask { .. } => {
                    steps.extend((0..self.bounds.replicas).map(|replica| Step::HearAsk { replica, message }));
                }
                Message::Granted { .. } => {}
                Message::Order { host, .. } => {
                    let hosts = if self.bounds.misdelivery { 0..self.bounds.hosts } else { host..host + 1 };
                    for host in hosts {
                        steps.push(deliver(host, Clock::True));
                        if self.bounds.skew {
                            steps.push(deliver(host, Clock::Late));
                        }
                    }
                }
                Message::Revoke { host, .. } | Message::Acked { host, .. } => steps.push(deliver(host, Clock::True)),
                Message::Index { .. } => steps.extend((0..self.bounds.hosts).map(|host| deliver(host, Clock::True))),
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
                self.commit(&mut state, task, self.offer(task, row, stopped(last), seq)?);
            }
            Step::Begin(replica, task) => {
                let (row, seq) = self.row_of(last, task)?;
                self.offer(task, row, stopped(last), seq)?;
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
                self.close(&mut state);
            }
            Step::BeginAsk { replica, message } => self.begin_ask(&mut state, replica, message)?,
            Step::HearAsk { replica, message } => self.hear_ask(&mut state, replica, message)?,
            Step::Answer { message, host, task, epoch, clock } => {
                self.answer(&mut state, host, (task, epoch), Some(message), clock)?;
            }
            Step::PutOff { host, task, epoch } => self.answer(&mut state, host, (task, epoch), None, Clock::True)?,
            Step::Pass => self.pass(&mut state)?,
            Step::Expire(replica) => self.expire(&mut state, replica),
            Step::RunHalt => {
                self.run_event(&mut state, RunEvent::Halt)?;
                state.run_halts_left -= 1;
            }
            Step::Drained => self.run_event(&mut state, RunEvent::Drained)?,
            Step::RunResume => self.run_event(&mut state, RunEvent::Resume)?,
            Step::Hear(message) => self.hear(&mut state, message)?,
            Step::Deliver { message, host, clock } => self.deliver(&mut state, message, host, clock)?,
            Step::LoseAll => state.net.clear(),
            Step::SayAgain(who) => {
                let host = last.hosts.get(usize::from(who))?;
                state.net.extend(self.unsaid(host).into_iter().map(|text| Message::Event { host: who, text }));
                let asked = Self::asked(host).into_iter();
                state.net.extend(asked.map(|(task, epoch)| Message::Ask { host: who, task, epoch, fresh: true }));
            }
            Step::Start { host, clock } => self.begin(&mut state, host, clock, false)?,
            Step::Unchanged { host } => self.begin(&mut state, host, Clock::True, true)?,
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
        use Mutation::{BlindCommit, BlindGrant, PastEpochCounts, PlaceIsNotClosed, TerminalLeaves};
        if self.bounds.limit > 0 {
            self.forget_dead_permits(state);
        }
        if matches!(self.mutation, Some(BlindCommit | BlindGrant | PastEpochCounts | PlaceIsNotClosed | TerminalLeaves))
        {
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
        let (rows, halted, places) = (&state.rows, (state.halted, state.run), &state.places);
        for open in &mut state.open {
            let alive = open.as_ref().is_some_and(|open| {
                let task = match &open.deed {
                    Deed::Offer(task) => Some(*task),
                    Deed::Store(_, text) => self.report(*text).map(|report| Scene::task_of(report.task)),
                    Deed::Ask { task, .. } => Some(*task),
                };
                let row = task.and_then(|task| rows.get(usize::from(task)));
                let places = !matches!(open.deed, Deed::Ask { .. }) || open.places == *places;
                row == Some(&open.row) && (open.halted, open.run) == halted && places
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
        let (halted, run) = (state.halted, state.run);
        let open = state.open.get_mut(usize::from(replica))?;
        if open.is_some() {
            return None;
        }
        *open = Some(Open { deed, row: row.clone(), halted, seq, run, places: Places::default(), at: 0 });
        Some(())
    }

    /// Serializable: what was read must still be there. A transaction that cannot commit starts again from the beginning.
    fn commit_open(&self, state: &mut State, replica: u8) -> Option<()> {
        let open = state.open.get_mut(usize::from(replica))?.take()?;
        let (task, done) = match &open.deed {
            Deed::Offer(task) => (*task, self.offer(*task, &open.row, open.halted || open.run.stopped(), open.seq)),
            Deed::Store(host, text) => {
                let (task, report) = self.about(state, *host, *text)?;
                let row = self.store(&open.row, &report, *text);
                (task, Some(Done { row, seq: open.seq, send: None }))
            }
            Deed::Ask { .. } => return self.commit_ask(state, replica, &open),
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

    fn deliver(&self, state: &mut State, message: Message, who: u8, clock: Clock) -> Option<()> {
        let host = state.hosts.get_mut(usize::from(who))?;
        let (journal, said) = match message {
            Message::Order { envelope, .. } => self.take(who, host, envelope, clock),
            Message::Revoke { task, epoch, .. } => {
                let of = TaskEpoch { task: Scene::task_id(task), epoch };
                let answer = self.revoke(host, of);
                if answer.0 != host.journal {
                    host.permits.forget(of);
                }
                answer
            }
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
            Message::Event { .. } | Message::Ask { .. } | Message::Granted { .. } => return None,
        };
        host.journal = journal;
        state.net.extend(said.into_iter().map(|text| Message::Event { host: who, text }));
        Some(())
    }
}

/// Nothing may be ordered: everything is halted, or the run is.
fn stopped(state: &State) -> bool {
    state.halted || state.run.stopped()
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
            permits: Permits::default(),
            at_work: 0,
            starts: BTreeMap::new(),
            effects: BTreeSet::new(),
        };
        let hostile = match self.bounds.hostile {
            0 => Vec::new(),
            count => self.scene.hostile(&self.ledger, count),
        };
        let mut state = State {
            rows: vec![row; tasks],
            seqs: vec![1; usize::from(self.bounds.hosts)],
            halted: false,
            halts_left: self.bounds.halts,
            run: RunState::Open,
            run_halts_left: self.bounds.run_halts,
            places: self.first_places(),
            unused: BTreeMap::new(),
            open: vec![None; if self.bounds.replicas > 1 { usize::from(self.bounds.replicas) } else { 0 }],
            hosts: (0..self.bounds.hosts).map(host).collect(),
            owner_left: self.bounds.owner,
            net: hostile.into_iter().collect(),
            broken: None,
        };
        if self.bounds.taken {
            for task in (0_u8..).take(tasks) {
                state = self.after(&state, Step::Offer(task)).expect("a task that is ready is offered");
                for message in state.net.clone() {
                    let deliver = Step::Deliver { message, host: self.scene.host_of(task), clock: Clock::True };
                    state = self.after(&state, deliver).unwrap_or(state);
                }
                for message in state.net.clone() {
                    state = self.after(&state, Step::Hear(message)).unwrap_or(state);
                }
                state.net.clear();
            }
        }
        vec![state]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.broken.is_some() {
            return;
        }
        self.server_actions(state, steps);
        self.host_actions(state, steps);
        self.network_actions(state, steps);
        if self.bounds.limit > 0 {
            self.permit_actions(state, steps);
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        self.after(last, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn holds<const AT: usize>(_: &System, state: &State) -> bool {
            Breach::OF_STATES.get(AT).is_none_or(|(breach, _)| state.broken != Some(*breach))
        }
        let name = |at: usize| Breach::OF_STATES.get(at).map_or("", |(_, name)| name);
        macro_rules! properties {
            ($($at:literal)*) => { vec![$(Property::always(name($at), holds::<$at>)),*] };
        }
        let properties = properties![0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22];
        assert_eq!(properties.len(), Breach::OF_STATES.len(), "each breach is looked for");
        properties
    }
}
