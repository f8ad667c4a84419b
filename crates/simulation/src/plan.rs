//! What a seed holds in store: what people do and what breaks, and when. Drawn before anything happens, so that a longer
//! network delay does not change who presses which button.

use crate::chance::Chance;
use crate::fleet::{HOUR, MINUTE};
use crate::spread::Spread;
use crate::template::Template;

/// When everybody is enrolled and faults begin, in microseconds since the world began.
pub const DAY_BEGINS: i64 = 10 * MINUTE;
/// When the first hour ends and the night begins.
pub const NIGHT_BEGINS: i64 = DAY_BEGINS + HOUR;

/// When a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As soon as it is enabled.
    Demand,
    /// So many minutes later.
    Once(i64),
    /// Every day, first so many minutes later, so often, each time within so many minutes where there is a window.
    Daily(i64, i64, Option<i64>),
}

/// A job that somebody makes.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its index in the plan.
    pub index: usize,
    /// `mitigation` or `rollback`.
    pub kind: &'static str,
    /// For what, or what is rolled back.
    pub qids: Vec<i64>,
    /// Only where; everywhere when empty.
    pub assets: Vec<i64>,
    /// When it runs.
    pub when: When,
    /// How its runs spread over their assets; the default where nobody said.
    pub spread: Option<Spread>,
}

/// What somebody does to a job that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// Nothing more of it starts, for good.
    Cancel,
    /// Its run is halted, and goes on.
    HaltRun,
    /// The run goes on.
    ResumeRun,
    /// The next wave opens whatever its gate says.
    Promote,
    /// It is paused.
    Pause,
    /// It goes on.
    Resume,
    /// A further run at once.
    RunNow,
    /// What failed is tried again.
    Retry,
}

/// What people do.
#[derive(Clone, Debug)]
pub enum Act {
    /// Make a job and enable it.
    Job(NewJob),
    /// Do something to the job with this index.
    Press(usize, Press),
    /// Halt everything.
    Halt,
    /// Go on.
    Resume,
    /// A second person is asked from this class of actions on.
    Policy(u8),
    /// The second person signs whatever waits, with the key of this number.
    Sign(usize),
    /// The second person says no to one request.
    Reject,
    /// Somebody signs who must not: the author of the job, or a stranger's key.
    Cheat,
    /// People let go of whatever they hold back: the end of a world.
    LetGo,
    /// Revoke an agent and enrol its host anew, with a fresh directory.
    ReEnrol(usize),
    /// Revoke the agent of a host that is gone for good.
    Bury(usize),
    /// The owner of a host writes into a file that we changed.
    Edit(usize),
    /// The owner of a host halts or frees its agent.
    OwnersHalt(usize, bool),
}

/// What breaks.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The agent dies after so many points.
    AgentDies(usize, u32),
    /// The network half alone dies.
    NetDies(usize),
    /// The host is cut off for so long, in microseconds.
    Offline(usize, i64),
    /// The machine is switched off for so long, in microseconds.
    Off(usize, i64),
    /// The host dies for good in its next work, after so many points of it.
    Gone(usize, u32),
    /// The disk with the agent's directory is full, or has room again.
    Disk(usize, bool),
    /// The wall clock jumps to so far from the truth, in microseconds.
    Clock(usize, i64),
    /// The machine boots.
    Boot(usize),
    /// A server dies after so many points.
    ServerDies(usize, u32),
    /// A server is killed now.
    ServerKilled(usize),
}

/// What a seed holds in store.
pub struct Plan {
    /// What people do, and when.
    pub acts: Vec<(i64, Act)>,
    /// What breaks, and when.
    pub faults: Vec<(i64, Fault)>,
    /// How long the night is.
    pub night: i64,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64, template: &Template) -> Self {
        let mut chance = Chance::new(seed, 4);
        let night = chance.between(20, 60) * HOUR;
        let mut plan = Self { acts: Vec::new(), faults: Vec::new(), night };
        let morning = NIGHT_BEGINS + night;
        if chance.percent(20) {
            plan.acts.push((DAY_BEGINS / 2, Act::Policy(1)));
        }
        let mut made = Vec::new();
        let count = 3 + chance.index(3);
        for index in 0..count {
            let at = DAY_BEGINS + chance.between(0, 40) * MINUTE;
            made.extend(plan.job(&mut chance, index, at, template));
        }
        plan.job(&mut chance, count, morning + 2 * MINUTE, template);
        for back in 0..1 + chance.index(2) {
            let qids = chance.some(&made, 1 + back);
            let at = morning + chance.between(5, 30) * MINUTE;
            let spread = Spread::draw(&mut chance);
            let when = When::Demand;
            let new = NewJob { index: 100 + back, kind: "rollback", qids, assets: Vec::new(), when, spread };
            plan.acts.push((at, Act::Job(new)));
        }
        plan.people(&mut chance, morning, template.hosts);
        plan.seconds(&mut chance, morning);
        plan.breaks(&mut chance, DAY_BEGINS, HOUR, template.hosts);
        plan.breaks(&mut chance, morning, HOUR, template.hosts);
        for host in 0..template.hosts {
            if chance.percent(12) {
                // Some miss the whole night, some the end of their orders too.
                let away = night / 2 + chance.between(0, 40) * HOUR;
                plan.faults.push((NIGHT_BEGINS - chance.between(0, 50) * MINUTE, Fault::Offline(host, away)));
            }
        }
        plan.absences(&mut Chance::new(seed, 5), morning, template.hosts);
        plan
    }

    /// Machines that are off for long and come back, those that die for good in the middle of work, and how long runs wait for a
    /// host.
    fn absences(&mut self, chance: &mut Chance, morning: i64, hosts: usize) {
        for host in 0..hosts {
            if chance.percent(10) {
                let begin = chance.between(DAY_BEGINS, morning + HOUR);
                let long = if chance.percent(70) { chance.between(8, 60) } else { chance.between(1, 8) };
                self.faults.push((begin, Fault::Off(host, long * HOUR)));
            }
        }
        if chance.percent(60) {
            for _ in 0..1 + chance.index(3 + hosts / 30) {
                let begin = if chance.percent(60) { DAY_BEGINS } else { morning };
                let points = u32::try_from(chance.below(16)).unwrap_or(0);
                let at = begin + chance.between(0, 40) * MINUTE;
                self.faults.push((at, Fault::Gone(chance.index(hosts), points)));
            }
        }
        for (_, act) in &mut self.acts {
            let Act::Job(new) = act else { continue };
            if let Some(spread) = &mut new.spread {
                spread.freshness = [24, 24, 12, 10][chance.index(4)];
            }
            // Without a window it waits for a host until the next day, unless it waits less long for one that is away.
            if matches!(new.when, When::Daily(_, _, None)) {
                new.spread.get_or_insert_default().freshness = 10;
            }
        }
    }

    fn job(&mut self, chance: &mut Chance, index: usize, at: i64, template: &Template) -> Vec<i64> {
        let count = 1 + chance.index(3);
        let risky = chance.percent(25) && !template.risky.is_empty();
        let mut chosen = chance.some(&template.qids, count);
        if risky {
            chosen.extend(chance.some(&template.risky, 1));
        }
        let qids: Vec<i64> = chosen.iter().map(|(qid, _)| *qid).collect();
        let mut assets: Vec<i64> = chosen.iter().flat_map(|(_, assets)| assets.iter().copied()).collect();
        assets.sort_unstable();
        assets.dedup();
        let most = 10 + chance.index(30);
        let assets = chance.some(&assets, most);
        let when = match chance.below(12) {
            0..=6 => When::Demand,
            7..=8 => When::Once(chance.between(5, 30)),
            9 => When::Once(chance.between(90, 900)),
            _ => {
                let window = chance.percent(50).then(|| chance.between(20, 600));
                When::Daily(chance.between(5, 1200), chance.between(2, 3), window)
            }
        };
        let spread = Spread::draw(chance);
        self.acts.push((at, Act::Job(NewJob { index, kind: "mitigation", qids: qids.clone(), assets, when, spread })));
        for (percent, press, undo) in [
            (15, Press::Cancel, None),
            (25, Press::HaltRun, Some(Press::ResumeRun)),
            (15, Press::Pause, Some(Press::Resume)),
            (15, Press::Promote, None),
            (10, Press::RunNow, None),
            (10, Press::Retry, None),
        ] {
            if chance.percent(percent) {
                let when = at + chance.between(1, 20) * MINUTE;
                self.acts.push((when, Act::Press(index, press)));
                let undone = when + chance.between(1, 25) * MINUTE;
                self.acts.extend(undo.map(|undo| (undone, Act::Press(index, undo))));
            }
        }
        qids
    }

    fn people(&mut self, chance: &mut Chance, morning: i64, hosts: usize) {
        for begin in [DAY_BEGINS, morning] {
            if chance.percent(45) {
                let at = begin + chance.between(3, 45) * MINUTE;
                self.acts.push((at, Act::Halt));
                self.acts.push((at + chance.between(2, 14) * MINUTE, Act::Resume));
            }
        }
        for _ in 0..chance.index(4) {
            let at = DAY_BEGINS + chance.between(10, 55) * MINUTE;
            self.acts.push((at, Act::ReEnrol(chance.index(hosts))));
        }
        for host in 0..hosts {
            if chance.percent(15) {
                self.acts.push((morning - chance.between(1, 60) * MINUTE, Act::Edit(host)));
            }
            if chance.percent(4) {
                let at = DAY_BEGINS + chance.between(0, 50) * MINUTE;
                self.acts.push((at, Act::OwnersHalt(host, true)));
                self.acts.push((at + chance.between(2, 40) * MINUTE, Act::OwnersHalt(host, false)));
            }
        }
    }

    /// What the second person does, and who would like to be one.
    fn seconds(&mut self, chance: &mut Chance, morning: i64) {
        for begin in [DAY_BEGINS, morning] {
            for _ in 0..4 + chance.index(4) {
                let at = begin + chance.between(1, 58) * MINUTE;
                self.acts.push((at, Act::Sign(chance.index(3))));
            }
            if chance.percent(15) {
                self.acts.push((begin + chance.between(1, 58) * MINUTE, Act::Reject));
            }
            if chance.percent(50) {
                self.acts.push((begin + chance.between(1, 58) * MINUTE, Act::Cheat));
            }
        }
        // Runs of a schedule ask at night.
        let mut at = NIGHT_BEGINS + 2 * HOUR;
        while at < morning {
            self.acts.push((at, Act::Sign(chance.index(3))));
            at += chance.between(1, 4) * HOUR;
        }
    }

    fn breaks(&mut self, chance: &mut Chance, begin: i64, length: i64, hosts: usize) {
        // Calm worlds and rough ones.
        let rough = chance.below(4);
        let when = |chance: &mut Chance| begin + chance.between(0, length);
        for host in 0..hosts {
            let host_rough = rough * 15;
            if chance.percent(host_rough) {
                for _ in 0..1 + chance.index(3) {
                    let points = u32::try_from(chance.below(40)).unwrap_or(0);
                    self.faults.push((when(chance), Fault::AgentDies(host, points)));
                }
            }
            if chance.percent(host_rough / 2) {
                self.faults.push((when(chance), Fault::NetDies(host)));
            }
            if chance.percent(host_rough) {
                self.faults.push((when(chance), Fault::Offline(host, chance.between(1, 40) * MINUTE)));
            }
            if chance.percent(host_rough / 2) {
                let at = when(chance);
                self.faults.push((at, Fault::Disk(host, true)));
                self.faults.push((at + chance.between(1, 20) * MINUTE, Fault::Disk(host, false)));
            }
            if chance.percent(host_rough / 2) {
                let far = if chance.percent(50) { 2 * HOUR } else { 72 * HOUR };
                self.faults.push((when(chance), Fault::Clock(host, chance.between(-far, far))));
            }
            if chance.percent(host_rough / 4) {
                self.faults.push((when(chance), Fault::Boot(host)));
            }
        }
        for _ in 0..rough * 4 {
            let (server, points) = (chance.index(2), u32::try_from(chance.below(30)).unwrap_or(0));
            let killed = chance.percent(30);
            let fault = if killed { Fault::ServerKilled(server) } else { Fault::ServerDies(server, points) };
            self.faults.push((when(chance), fault));
        }
    }
}
