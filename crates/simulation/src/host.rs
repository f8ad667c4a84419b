//! One host: the production executor with its journal on a disk, and the production session as a machine, on a clock and
//! with a disk of the simulation's.

use crate::chance::Chance;
use agent::clock::Clock;
use agent::executor::Executor;
use agent::failpoint::Observer;
use agent::frame::{Settings, ToNet};
use agent::fs::Tree;
use agent::host::Host;
use agent::session::Session;
use agent::state::{Enrolment, StateDir};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::time::Timestamp;
use protocol::agent::{Enrol, Enrolled, PROTOCOL_VERSION};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What the executor that runs right now sees of its machine.
#[derive(Default)]
struct Machine {
    wall: i64,
    boot: i64,
    disk_full: bool,
    /// Points still to be passed before it dies.
    points_left: Option<u32>,
    /// Points to be passed once work has begun, before it dies for good.
    at_work: Option<u32>,
    /// Work has begun since, and the machine is not to come back from it.
    doomed: bool,
    /// Points passed, by name.
    passed: Vec<String>,
    journal: PathBuf,
    /// Lengths of the journal whenever a record was written and not yet synced.
    lengths: Vec<u64>,
}

thread_local! {
    static MACHINE: RefCell<Machine> = RefCell::default();
}

/// The executor died, at this point.
struct Death(String);

fn passed(name: &str) {
    let dies = MACHINE.with_borrow_mut(|machine| {
        machine.passed.push(name.to_owned());
        if name == "journal-before-sync" {
            machine.lengths.push(std::fs::metadata(&machine.journal).map_or(0, |meta| meta.len()));
        }
        if name == "after-intent"
            && let Some(points) = machine.at_work.take()
        {
            (machine.points_left, machine.doomed) = (Some(points), true);
        }
        match &mut machine.points_left {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    });
    if dies {
        // Nothing below has a destructor that writes: what is on the disk now is what a killed process leaves.
        resume_unwind(Box::new(Death(name.to_owned())));
    }
}

fn disk_full() -> bool {
    MACHINE.with_borrow(|machine| machine.disk_full)
}

/// What the clocks of the machine show on which the executor runs right now.
pub fn clocks() -> (Timestamp, i64) {
    MACHINE.with_borrow(|machine| (Timestamp::from_micros(machine.wall), machine.boot))
}

/// Watch the points of every executor in this process.
pub fn observe() {
    agent::failpoint::observe(Observer { hit: passed, disk_full });
}

/// How a machine lost its power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The process was killed: what was written stays.
    Process,
    /// The power went: of what was not synced, so many parts in a hundred stay.
    Power(u64),
    /// A disk that lies (a mutation): the last records are gone although they were synced.
    Lying(usize),
}

/// A host.
pub struct Node {
    /// Its number.
    pub index: usize,
    /// Its root.
    pub root: PathBuf,
    /// The agent's directory.
    pub state: PathBuf,
    /// The executor, while it runs.
    pub executor: Option<Executor>,
    /// The network half, while it runs.
    pub session: Option<Session>,
    /// Counts the lives of the agent: what belongs to an earlier one is nobody's.
    pub life: u64,
    /// The wall clock minus the truth, in microseconds.
    pub skew: i64,
    /// The instant this machine was booted at, in microseconds.
    pub booted: i64,
    /// The disk with the agent's directory is full.
    pub disk_full: bool,
    /// Points to be passed before it dies.
    pub points_left: Option<u32>,
    /// Points to be passed in its next work before it dies for good.
    pub dies_at_work: Option<u32>,
    /// It died in the middle of work and never comes back.
    pub gone: bool,
    /// The machine is switched off until this instant, in microseconds.
    pub off_until: i64,
    /// Requests under way, by lane.
    pub under_way: [Option<u64>; 2],
    /// Nothing gets through before this instant, in microseconds.
    pub offline_until: i64,
    /// Work is planned for.
    pub work_planned: Option<i64>,
    /// The next tick is planned for.
    pub tick_at: Option<i64>,
    /// Who it is, once enrolled.
    pub agent_id: Option<Uuid>,
    /// Its key in the database.
    pub key: i64,
}

/// What became of a call of the executor.
pub struct Called<T> {
    /// The answer; `None` when it died.
    pub answer: Option<T>,
    /// Points passed.
    pub passed: Vec<String>,
}

impl Node {
    /// A host whose agent is not enrolled yet.
    pub fn new(index: usize, folder: &Path) -> Self {
        Self {
            index,
            root: folder.join(format!("roots/{index}")),
            state: folder.join(format!("agents/{index}")),
            executor: None,
            session: None,
            life: 0,
            skew: 0,
            booted: 0,
            disk_full: false,
            points_left: None,
            dies_at_work: None,
            gone: false,
            off_until: 0,
            under_way: [None, None],
            offline_until: 0,
            work_planned: None,
            tick_at: None,
            agent_id: None,
            key: 0,
        }
    }

    fn host(&self) -> Host {
        Host::new(Tree::open(&self.root).expect("the root is there"))
    }

    fn state_dir(&self) -> StateDir {
        StateDir::open(&self.state).expect("the agent's directory can be made")
    }

    /// What an enrolment sends.
    pub fn enrolment(&self, token_id: Uuid, secret: &str) -> Enrol {
        let state = self.state_dir();
        let key = state.key().expect("a key");
        let public_key = STANDARD.encode(key.public().as_bytes());
        let said = format!("quell-enrol-v1:{token_id}:{public_key}");
        Enrol {
            v: PROTOCOL_VERSION,
            token_id,
            secret: secret.to_owned(),
            proof: STANDARD.encode(key.sign(said.as_bytes())),
            public_key,
            facts: self.host().facts(state.controls().mode()),
        }
    }

    /// Keep what an enrolment gave.
    pub fn enrolled(&mut self, enrolled: &Enrolled) {
        let enrolment = Enrolment {
            format: 1,
            server: "https://127.0.0.1:1".to_owned(),
            ca_sha256: String::new(),
            agent_id: enrolled.agent_id,
            instance_id: enrolled.instance_id,
        };
        self.state_dir().enrol(&enrolment, "", &enrolled.root).expect("the enrolment is kept");
        self.agent_id = Some(enrolled.agent_id);
    }

    /// Run something of the executor on this machine at `now`, until it ends or dies.
    pub fn call<T>(&mut self, now: i64, loss: Loss, work: impl FnOnce(&mut Executor) -> T) -> Called<T> {
        let Some(mut executor) = self.executor.take() else { return Called { answer: None, passed: Vec::new() } };
        self.on_machine(now, loss, move || {
            let answer = work(&mut executor);
            (executor, answer)
        })
    }

    /// Ask the executor something by the clocks of this machine.
    pub fn peek<T>(&self, now: i64, ask: impl FnOnce(&Executor) -> T) -> Option<T> {
        let executor = self.executor.as_ref()?;
        MACHINE.set(Machine { wall: now + self.skew, boot: now - self.booted, ..Machine::default() });
        let answer = ask(executor);
        MACHINE.take();
        Some(answer)
    }

    /// Start the agent. It may die while it reads its journal.
    pub fn start(&mut self, now: i64, loss: Loss) -> Called<()> {
        let (state, host) = (self.state_dir(), self.host());
        self.life += 1;
        self.on_machine(now, loss, move || {
            let opened = Executor::open_with(state, host, false, Clock::reading(clocks));
            // A full disk keeps it from starting only where it cannot be read.
            (opened.expect("the executor starts"), ())
        })
    }

    fn on_machine<T>(&mut self, now: i64, loss: Loss, work: impl FnOnce() -> (Executor, T)) -> Called<T> {
        let journal = self.state.join("journal/journal.log");
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
        let before = length(&journal);
        MACHINE.set(Machine {
            wall: now + self.skew,
            boot: now - self.booted,
            disk_full: self.disk_full,
            points_left: self.points_left,
            at_work: self.dies_at_work,
            doomed: false,
            passed: Vec::new(),
            journal: journal.clone(),
            lengths: vec![before],
        });
        let ended = catch_unwind(AssertUnwindSafe(work));
        let machine = MACHINE.take();
        (self.points_left, self.dies_at_work) = (machine.points_left, machine.at_work);
        match ended {
            Ok((executor, answer)) => {
                if machine.doomed {
                    // The work was shorter than that: it dies at the beginning of the next.
                    (self.points_left, self.dies_at_work) = (None, Some(0));
                }
                self.executor = Some(executor);
                Called { answer: Some(answer), passed: machine.passed }
            }
            Err(panic) => {
                let death = panic.downcast::<Death>().unwrap_or_else(|other| resume_unwind(other));
                self.points_left = None;
                self.gone |= machine.doomed;
                self.die();
                let unsynced = death.0 == "journal-before-sync";
                lose(&journal, &machine.lengths, unsynced, loss);
                Called { answer: None, passed: machine.passed }
            }
        }
    }

    /// Both halves are gone.
    pub fn die(&mut self) {
        (self.executor, self.session) = (None, None);
        (self.under_way, self.work_planned, self.tick_at) = ([None, None], None, None);
        self.life += 1;
    }

    /// Start a network half; gives the frames it has to be told.
    pub fn connect(&mut self, now: i64, random: u64) -> Vec<ToNet> {
        // A server that does not hold: the simulated network does, so that one thread can play everybody.
        let settings = Settings { hold_seconds: 0, backoff_ms_max: 15 * 60_000, spread_ms_max: 60_000 };
        let hello = self.call(now, Loss::Process, |executor| {
            let hello = executor.hello(settings);
            executor.take_out();
            (hello, executor.undelivered())
        });
        let Some((Ok(hello), undelivered)) = hello.answer else { return Vec::new() };
        self.session = Session::new(hello, random).ok();
        self.under_way = [None, None];
        undelivered
    }
}

/// Take from the disk what a loss of power takes.
fn lose(journal: &Path, lengths: &[u64], unsynced: bool, loss: Loss) {
    let end = lengths.last().copied().unwrap_or(0);
    let keep = match loss {
        Loss::Process => return,
        Loss::Power(parts) if unsynced => {
            let synced = lengths.get(lengths.len().wrapping_sub(2)).copied().unwrap_or(0);
            synced + end.saturating_sub(synced) * parts.min(100) / 100
        }
        Loss::Power(_) => return,
        Loss::Lying(records) => lengths.get(lengths.len().saturating_sub(1 + records)).copied().unwrap_or(0),
    };
    if let Ok(file) = std::fs::OpenOptions::new().write(true).open(journal)
        && file.metadata().is_ok_and(|meta| meta.len() > keep)
    {
        file.set_len(keep).expect("a journal can be cut");
    }
}

/// How the next death takes its toll.
pub fn loss(chance: &mut Chance, lying: bool) -> Loss {
    if lying {
        return Loss::Lying(1 + chance.index(3));
    }
    if chance.percent(50) { Loss::Power(chance.below(101)) } else { Loss::Process }
}
