//! What a seed holds in store: what people do and what breaks, and when. Drawn before anything happens, so that a longer
//! network delay does not change who presses which button.

use crate::chance::Chance;
use crate::fleet::{HOUR, MINUTE};
use crate::template::Template;

/// When everybody is enrolled and faults begin, in microseconds since the world began.
pub const DAY_BEGINS: i64 = 10 * MINUTE;
/// When the first hour ends and the night begins.
pub const NIGHT_BEGINS: i64 = DAY_BEGINS + HOUR;

/// What people do.
#[derive(Clone, Debug)]
pub enum Act {
    /// Make a mitigation job and enable it.
    Job {
        /// Its index in the plan.
        index: usize,
        /// For what.
        qids: Vec<i64>,
        /// Only where; everywhere when empty.
        assets: Vec<i64>,
        /// On demand, or so many minutes later.
        once: Option<i64>,
    },
    /// Make a rollback job for what an earlier one did, and enable it.
    Rollback {
        /// Its index in the plan.
        index: usize,
        /// What is rolled back.
        qids: Vec<i64>,
    },
    /// Cancel a job.
    Cancel {
        /// Its index in the plan.
        index: usize,
    },
    /// Halt everything.
    Halt,
    /// Go on.
    Resume,
    /// Revoke an agent and enrol its host anew, with a fresh directory.
    ReEnrol(usize),
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
        let mut made = Vec::new();
        for index in 0..3 + chance.index(3) {
            let at = DAY_BEGINS + chance.between(0, 40) * MINUTE;
            made.extend(plan.job(&mut chance, index, at, template));
        }
        let count = plan.acts.len();
        plan.job(&mut chance, count, morning + 2 * MINUTE, template);
        for back in 0..1 + chance.index(2) {
            let qids = chance.some(&made, 1 + back);
            let at = morning + chance.between(5, 30) * MINUTE;
            plan.acts.push((at, Act::Rollback { index: 100 + back, qids }));
        }
        plan.people(&mut chance, morning, template.hosts);
        plan.breaks(&mut chance, DAY_BEGINS, HOUR, template.hosts);
        plan.breaks(&mut chance, morning, HOUR, template.hosts);
        for host in 0..template.hosts {
            if chance.percent(12) {
                // Some miss the whole night, some the end of their orders too.
                let away = night / 2 + chance.between(0, 40) * HOUR;
                plan.faults.push((NIGHT_BEGINS - chance.between(0, 50) * MINUTE, Fault::Offline(host, away)));
            }
        }
        plan
    }

    fn job(&mut self, chance: &mut Chance, index: usize, at: i64, template: &Template) -> Vec<i64> {
        let count = 1 + chance.index(3);
        let chosen = chance.some(&template.qids, count);
        let qids: Vec<i64> = chosen.iter().map(|(qid, _)| *qid).collect();
        let mut assets: Vec<i64> = chosen.iter().flat_map(|(_, assets)| assets.iter().copied()).collect();
        assets.sort_unstable();
        assets.dedup();
        let most = 10 + chance.index(30);
        let assets = chance.some(&assets, most);
        let once = match chance.below(10) {
            0..=6 => None,
            7..=8 => Some(chance.between(5, 30)),
            _ => Some(chance.between(90, 900)),
        };
        self.acts.push((at, Act::Job { index, qids: qids.clone(), assets, once }));
        if chance.percent(25) {
            self.acts.push((at + chance.between(1, 20) * MINUTE, Act::Cancel { index }));
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
