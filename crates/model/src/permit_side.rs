//! Start permits, on both sides: what `engine::permits` and `store::rollouts` do around `domain::rollout::permit`, and what
//! `agent::executor` does around `agent::permits`. And time, which only they feel.
//!
//! Time stands still at one instant, and each passing of it moves everything else back: so it may pass without an end and the
//! states still have one. A permit is good for as long as one passing takes; what runs ends, or is undone, within the passings
//! that `WORK_SECONDS` allows, which is what the agent's deadlines hold.

use crate::monitor::Breach;
use crate::mutation::Mutation;
use crate::scene::Scene;
use crate::state::{Clock, Deed, Message, Open, Row, State, Task};
use crate::system::System;
use agent::permits::{Keeper, Permits};
use domain::id::{AssetId, RunId, TaskId};
use domain::rollout::permit::{
    Fitness, Granted, MARGIN_SECONDS, PERMIT_SECONDS, Places, Question, Wanted, at_large, fit, free_at, gives_back,
};
use domain::rollout::run::{self, RunEvent, RunState};
use domain::task::{State as TaskState, WORK_SECONDS};
use protocol::agent::TaskEpoch;
use protocol::order::Order;
use protocol::permit::{PERMIT_TYPE, Permit, PermitAnswer, PermitAsk};
use uuid::Uuid;

/// The nonce of the last question of each order. Nonces are compared with that one alone, so all older ones are one.
const FRESH: Uuid = Uuid::from_u128(2);
/// See [`FRESH`].
const STALE: Uuid = Uuid::from_u128(1);
/// One passing of time, in seconds.
const PASS: i64 = PERMIT_SECONDS;
/// How many passings something may be at work: it starts at the last moment of its permit and takes its whole time, and all the time
/// there is for undoing it.
const PASSES_AT_WORK: u8 = 10;
const _: () =
    assert!(PASSES_AT_WORK as i64 == (PERMIT_SECONDS + WORK_SECONDS - 1) / PASS, "the constants of the product");
/// The run of all tasks.
pub(crate) const RUN: RunId = RunId(1);

fn of(task: Task, epoch: u32) -> TaskEpoch {
    TaskEpoch { task: Scene::task_id(task), epoch }
}

fn key(task: Task, epoch: u32) -> (TaskId, i64) {
    (TaskId(i64::from(task)), i64::from(epoch))
}

/// What the transaction of a question has read.
#[derive(Clone, Copy)]
struct Read<'a> {
    question: Question,
    places: &'a Places,
    /// Seconds by which the clock of the replica was past the present as it began.
    at: i16,
}

impl System {
    /// The places as a run begins.
    pub(crate) fn first_places(&self) -> Places {
        let mut places = Places::default();
        let runs = if self.mutation == Some(Mutation::LimitPerReplica) { self.bounds.replicas } else { 1 };
        for replica in 0..runs.min(self.bounds.limit * runs) {
            places.begin(RunId(RUN.0 + i64::from(replica)), false);
        }
        places
    }

    /// How far the clock of a replica is past the present, in seconds: as far as the margin allows, at one of them.
    fn ahead(&self, replica: u8) -> i16 {
        let ahead = if self.bounds.skew && replica == 1 { MARGIN_SECONDS } else { 0 };
        i16::try_from(ahead).unwrap_or(0)
    }

    fn question(&self, state: &State, task: Task, epoch: u32, host: u8) -> Option<Question> {
        let life = state.rows.get(usize::from(task))?.life;
        let blind = self.mutation == Some(Mutation::HaltIsNotAsked);
        Some(Question {
            agent_revoked: false,
            on_its_asset: self.scene.host_of(task) == host,
            epoch,
            life,
            halted: state.halted && !blind,
            run: if blind { RunState::Open } else { state.run },
            paused: false,
        })
    }

    /// The places after a grant; `None` when there is none.
    fn granted(&self, read: Read<'_>, task: Task, epoch: u32, replica: u8) -> Option<Places> {
        if fit(&read.question) != Fitness::Fit {
            return None;
        }
        let now = Scene::at(read.at);
        let (task, epoch) = key(task, epoch);
        let run = match self.mutation {
            Some(Mutation::LimitPerReplica) => RunId(RUN.0 + i64::from(replica)),
            _ => RUN,
        };
        let expires_at = match self.mutation {
            Some(Mutation::PlaceOutlastsNoRun) => now.plus_seconds(PERMIT_SECONDS),
            Some(Mutation::NoMargin) => now.plus_seconds(PERMIT_SECONDS + WORK_SECONDS),
            _ => free_at(now),
        };
        let max_running = i64::from(self.bounds.limit);
        // Groups that are kept apart are not modelled, so the host makes no difference.
        let asset = AssetId(0);
        let wanted = Wanted { task, epoch, run, asset, max_running, interval: 0, apart: &[], expires_at };
        let mut places = read.places.clone();
        let closed = places.places.values().any(|place| place.closed);
        match self.mutation {
            Some(Mutation::HaltIsNotAsked | Mutation::PlaceIsNotClosed) => places.close(RUN, false),
            Some(Mutation::GrantedTwice) => {
                places.out.remove(&(task, epoch));
            }
            _ => {}
        }
        let granted = places.grant(&wanted, now);
        places.close(RUN, closed);
        (granted == Granted::Yes).then_some(places)
    }

    /// A replica answers a question at once.
    pub(crate) fn hear_ask(&self, state: &mut State, replica: u8, message: Message) -> Option<()> {
        let Message::Ask { host, task, epoch, fresh } = message else { return None };
        let (question, at) = (self.question(state, task, epoch, host)?, self.ahead(replica));
        let places = self.granted(Read { question, places: &state.places, at }, task, epoch, replica)?;
        self.grant(state, places, Message::Granted { host, task, epoch, fresh, at });
        Some(())
    }

    /// A replica reads what it needs for an answer.
    pub(crate) fn begin_ask(&self, state: &mut State, replica: u8, message: Message) -> Option<()> {
        let Message::Ask { host, task, epoch, fresh } = message else { return None };
        let question = self.question(state, task, epoch, host)?;
        let at = self.ahead(replica);
        self.granted(Read { question, places: &state.places, at }, task, epoch, replica)?;
        let row = state.rows.get(usize::from(task))?.clone();
        let (halted, run, places) = (state.halted, state.run, state.places.clone());
        let open = state.open.get_mut(usize::from(replica))?;
        if open.is_some() {
            return None;
        }
        *open = Some(Open { deed: Deed::Ask { host, task, epoch, fresh }, row, halted, seq: 0, run, places, at });
        Some(())
    }

    /// It commits, if nothing that it read has changed.
    pub(crate) fn commit_ask(&self, state: &mut State, replica: u8, open: &Open) -> Option<()> {
        let Deed::Ask { host, task, epoch, fresh } = open.deed else { return None };
        let mut now = state.clone();
        (now.halted, now.run) = (open.halted, open.run);
        let question = Question { life: open.row.life, ..self.question(&now, task, epoch, host)? };
        let at = open.at;
        let same_row = state.rows.get(usize::from(task)) == Some(&open.row);
        let same_halt = (state.halted, state.run) == (open.halted, open.run);
        let message = Message::Granted { host, task, epoch, fresh, at };
        let read = |places| Read { question, places, at };
        let granted = match self.mutation {
            Some(Mutation::BlindGrant) => {
                // The row is overwritten by what was read and one more; permits are rows of their own.
                let granted = self.granted(read(&open.places), task, epoch, replica);
                granted.map(|mut places| {
                    for (key, out) in &state.places.out {
                        places.out.entry(*key).or_insert_with(|| out.clone());
                    }
                    places
                })
            }
            Some(Mutation::PlaceIsNotClosed) if same_row => self.granted(read(&state.places), task, epoch, replica),
            _ if same_row && same_halt && state.places == open.places => {
                self.granted(read(&open.places), task, epoch, replica)
            }
            _ => None,
        };
        let Some(places) = granted else { return Some(()) };
        self.grant(state, places, message);
        Some(())
    }

    /// A grant is durable and looked at, and its permit is sent.
    fn grant(&self, state: &mut State, places: Places, permit: Message) {
        let Message::Granted { task, epoch, .. } = permit else { return };
        state.places = places;
        state.unused.insert((task, epoch), 0);
        state.net.insert(permit);
        let halted = state.halted || state.run.stopped();
        state.broken = halted.then_some(Breach::PermitInHalt).or_else(|| self.over(state));
    }

    /// S6, in the words of the monitors.
    fn over(&self, state: &State) -> Option<Breach> {
        let taken: i64 = state.places.places.values().map(|place| place.taken).sum();
        let out = i64::try_from(state.places.out.len()).unwrap_or(i64::MAX);
        let over = (out > i64::from(self.bounds.limit)).then_some(Breach::OverGranted);
        over.or_else(|| (taken != out).then_some(Breach::PlacesOff))
    }

    /// What becomes of a task's permit as its row changes.
    pub(crate) fn moved(&self, state: &mut State, task: Task, from: TaskState, to: TaskState) {
        let early = match self.mutation {
            Some(Mutation::SilenceGivesBack) => to == TaskState::Unknown,
            Some(Mutation::LostGivesBack) => to == TaskState::Lost && from != TaskState::Lost,
            _ => false,
        };
        if early || gives_back(from, to) {
            state.places.give_back(TaskId(i64::from(task)));
        }
    }

    /// A replica looks for permits whose time is over.
    pub(crate) fn expire(&self, state: &mut State, replica: u8) {
        if self.mutation != Some(Mutation::PlacesNeverExpire) {
            state.places.expire(Scene::at(self.ahead(replica)));
        }
    }

    /// Something happens to the run, or to everything; the place of the run says so in the same transaction.
    pub(crate) fn run_event(&self, state: &mut State, event: RunEvent) -> Option<()> {
        if event == RunEvent::Drained {
            let tasks = state.rows.iter().map(|row| (row.life.state, true));
            let out = u64::try_from(state.places.out.len()).unwrap_or(u64::MAX);
            if at_large(tasks, out) > 0 {
                return None;
            }
        }
        state.run = run::step(state.run, event).ok()?;
        self.close(state);
        let at_work = state.hosts.iter().any(|host| host.running.is_some());
        state.broken = (state.run == RunState::Halted && at_work).then_some(Breach::AtWorkWhenHalted);
        Some(())
    }

    /// Close or open the place of the run, as a halt or its end leaves it.
    pub(crate) fn close(&self, state: &mut State) {
        state.places.close(RUN, state.halted || state.run.stopped());
    }

    // --- the host ---------------------------------------------------------------------------------------------------

    /// Whether an order that would start has to wait for its permit; it is asked for, or used up.
    pub(crate) fn waits(&self, state: &mut State, who: u8, order: &Order, clock: Clock) -> Option<bool> {
        let host = state.hosts.get_mut(usize::from(who))?;
        if !order.permit || self.mutation == Some(Mutation::NoPermitAsked) {
            return Some(false);
        }
        let (task, epoch) = (Scene::task_of(order.task), order.epoch);
        let before = host.permits.clone();
        match host.permits.permitted(of(task, epoch), Scene::now(clock), 0, || FRESH) {
            Ok(()) => Some(!host.permits.use_up(of(task, epoch), Scene::now(clock), 0)),
            Err(PermitAsk { .. }) => {
                if host.permits != before {
                    outdate(state, |ask| ask == (who, task, epoch));
                }
                state.net.insert(Message::Ask { host: who, task, epoch, fresh: true });
                Some(true)
            }
        }
    }

    /// The envelope of a permit, as it reaches the host `who` in answer to the question `asked`.
    fn permit(&self, permit: Message, who: u8, asked: (Task, u32)) -> Option<String> {
        let Message::Granted { host, task, epoch, fresh, at } = permit else { return None };
        // What a mutation does not look at is as it should be.
        let host = if self.mutation == Some(Mutation::PermitOfAnotherHost) { who } else { host };
        let (task, epoch, fresh) = match self.mutation {
            Some(Mutation::PermitOfAnotherHost | Mutation::PermitOfAnotherTask) => (asked.0, epoch, true),
            Some(Mutation::PermitOfAnotherEpoch) => (task, asked.1, true),
            Some(Mutation::PermitUnasked) => (task, epoch, true),
            _ => (task, epoch, fresh),
        };
        let id = self.permits.get((host, task, epoch, fresh, at), || {
            let permit = Permit {
                v: 1,
                agent_id: Scene::agent_id(host),
                instance_id: Scene::instance_id(host),
                task: Scene::task_id(task),
                epoch,
                nonce: if fresh { FRESH } else { STALE },
                granted_at: Scene::at(at),
                start_by: Scene::at(at).plus_seconds(PERMIT_SECONDS),
            };
            let payload = serde_json::to_vec(&permit).expect("a permit holds only strings and numbers");
            self.ledger.text(&self.scene.envelope(PERMIT_TYPE, &payload))
        });
        Some(self.ledger.read(id).as_str().to_owned())
    }

    /// An answer reaches a host as that to one of its questions.
    pub(crate) fn answer(
        &self,
        state: &mut State,
        who: u8,
        (task, epoch): (Task, u32),
        permit: Option<Message>,
        clock: Clock,
    ) -> Option<()> {
        let host = state.hosts.get_mut(usize::from(who))?;
        let key = (host.permits.clone(), who, (task, epoch), permit, clock);
        host.permits =
            self.heard.get(key, || self.hear_answer(host.permits.clone(), who, (task, epoch), permit, clock));
        Some(())
    }

    fn hear_answer(
        &self,
        mut permits: Permits,
        who: u8,
        asked: (Task, u32),
        permit: Option<Message>,
        clock: Clock,
    ) -> Permits {
        let answer = match permit.and_then(|permit| self.permit(permit, who, asked)) {
            Some(permit) => PermitAnswer::Granted { permit },
            None => PermitAnswer::Denied { reason: String::new() },
        };
        let keeper =
            Keeper { root: self.scene.root(), agent_id: Scene::agent_id(who), instance_id: Scene::instance_id(who) };
        let of = of(asked.0, asked.1);
        if self.mutation == Some(Mutation::TimeFromTheAnswer) && permit.is_some() {
            permits.forget(of);
            let _ = permits.permitted(of, Scene::now(clock), 0, || FRESH);
        }
        // A fault is an answer, too: it may make the host ask anew.
        let _ = permits.hear(of, &answer, keeper, Scene::now(clock), 0);
        permits
    }

    /// The questions of a host that are open.
    pub(crate) fn asked(host: &crate::state::Host) -> Vec<(Task, u32)> {
        host.permits.open().into_iter().map(|ask| (Scene::task_of(ask.of.task), ask.of.epoch)).collect()
    }

    /// The steps that permits add.
    pub(crate) fn permit_actions(&self, state: &State, steps: &mut Vec<crate::state::Step>) {
        use crate::state::Step;
        steps.push(Step::Pass);
        steps.extend((0..self.bounds.replicas).map(Step::Expire));
        match state.run {
            RunState::Open if state.run_halts_left > 0 => steps.push(Step::RunHalt),
            RunState::Halting => steps.extend([Step::Drained, Step::RunResume]),
            RunState::Halted => steps.push(Step::RunResume),
            _ => {}
        }
        for (who, host) in (0..).zip(&state.hosts) {
            for (task, epoch) in Self::asked(host) {
                steps.push(Step::PutOff { host: who, task, epoch });
                for message in &state.net {
                    let Message::Granted { host: to, task: about, .. } = message else { continue };
                    let astray = self.bounds.misdelivery;
                    if !astray && (*to, *about) != (who, task) {
                        continue;
                    }
                    let clocks = if self.bounds.skew { &[Clock::True, Clock::Slow][..] } else { &[Clock::True] };
                    let answer = |clock| Step::Answer { message: *message, host: who, task, epoch, clock };
                    steps.extend(clocks.iter().map(|clock| answer(*clock)));
                }
            }
        }
    }

    // --- time -------------------------------------------------------------------------------------------------------

    /// Time passes.
    pub(crate) fn pass(&self, state: &mut State) -> Option<()> {
        if state.hosts.iter().any(|host| host.at_work >= PASSES_AT_WORK) {
            return None;
        }
        for host in &mut state.hosts {
            if self.mutation != Some(Mutation::PermitNeverEnds) {
                host.permits = host.permits.rebased(PASS * 1_000_000);
            }
            host.at_work += u8::from(host.running.is_some());
        }
        for out in state.places.out.values_mut() {
            out.expires_at = out.expires_at.plus_seconds(-PASS);
        }
        settle(&mut state.places);
        let earlier = |at: i16| i16::try_from(i64::from(at) - PASS).unwrap_or(0).max(-60);
        for open in state.open.iter_mut().flatten() {
            open.at = earlier(open.at);
            for out in open.places.out.values_mut() {
                out.expires_at = out.expires_at.plus_seconds(-PASS);
            }
            settle(&mut open.places);
        }
        let net = std::mem::take(&mut state.net);
        state.net = net
            .into_iter()
            .map(|message| match message {
                Message::Granted { host, task, epoch, fresh, at } => {
                    Message::Granted { host, task, epoch, fresh, at: earlier(at) }
                }
                other => other,
            })
            .collect();
        for age in state.unused.values_mut() {
            *age = 1;
        }
        Some(())
    }

    /// Make alike what can never make a difference any more: questions and permits that no question waits for, questions about
    /// what is past, and how long ago a permit ran out.
    pub(crate) fn forget_dead_permits(&self, state: &mut State) {
        use Mutation::{PermitOfAnotherEpoch, PermitOfAnotherHost, PermitOfAnotherTask, PermitUnasked};
        let asked: Vec<Vec<(Task, u32)>> = state.hosts.iter().map(Self::asked).collect();
        outdate(state, |(host, task, epoch)| {
            asked.get(usize::from(host)).is_none_or(|asked| !asked.contains(&(task, epoch)))
        });
        let unchecked = matches!(
            self.mutation,
            Some(PermitOfAnotherEpoch | PermitOfAnotherHost | PermitOfAnotherTask | PermitUnasked)
        );
        let rows = &state.rows;
        // A start after an end is looked for by itself; of what is lost nobody knows whether it ends.
        let over = |row: &Row| row.life.state.ended() && row.life.state != TaskState::Lost;
        state.unused.retain(|(task, _), _| rows.get(usize::from(*task)).is_some_and(|row| !over(row)));
        // Replicas with the same clock are alike.
        if !self.bounds.skew && self.mutation != Some(Mutation::LimitPerReplica) {
            state.open.sort_by(|one, other| {
                let deed = |open: &Option<Open>| open.as_ref().map(|open| (open.deed.clone(), open.at));
                deed(other).cmp(&deed(one))
            });
        }
        state.net.retain(|message| match message {
            Message::Granted { fresh, .. } => *fresh || unchecked,
            Message::Ask { task, epoch, .. } => rows.get(usize::from(*task)).is_some_and(|row| {
                let waits = matches!(row.life.state, TaskState::Offered | TaskState::Accepted | TaskState::Unknown);
                waits && row.life.epoch == *epoch && !row.life.cancel_requested
            }),
            _ => true,
        });
    }
}

/// Nonces of questions that were asked before the last one are all alike.
fn outdate(state: &mut State, past: impl Fn((u8, Task, u32)) -> bool) {
    let net = std::mem::take(&mut state.net);
    state.net = net
        .into_iter()
        .map(|message| match message {
            Message::Ask { host, task, epoch, fresh } => {
                Message::Ask { host, task, epoch, fresh: fresh && !past((host, task, epoch)) }
            }
            Message::Granted { host, task, epoch, fresh, at } => {
                Message::Granted { host, task, epoch, fresh: fresh && !past((host, task, epoch)), at }
            }
            other => other,
        })
        .collect();
    for open in state.open.iter_mut().flatten() {
        if let Deed::Ask { host, task, epoch, fresh } = &mut open.deed {
            *fresh = *fresh && !past((*host, *task, *epoch));
        }
    }
}

/// What is over is over, however long ago.
fn settle(places: &mut Places) {
    let now = Scene::at(0);
    for out in places.out.values_mut() {
        out.expires_at = out.expires_at.max(now);
    }
}

/// Permits by host, task, epoch, whether they answer the last question, and when they were granted.
pub(crate) type PermitKey = (u8, Task, u32, bool, i16);
/// What is heard by whom, as the answer to which question, at which clock.
pub(crate) type Heard = (Permits, u8, (Task, u32), Option<Message>, Clock);
