//! What the watch holds runs to: limits (S6), halts and permits (S7), gates (S8), approvals (S9), one run at a time on an asset
//! (R20). Everything is counted again from what was seen and from what people entered, never from the product's counters.
//!
//! Where the exact instant of a decision is not known the watch gives the servers the benefit, so that it never cries for nothing:
//! results may have come since, clocks of servers differ by [`CLOCKS`].

use crate::fleet::SECOND;
use crate::spread::Spread;
use crate::watch::{TaskNow, Watch};
use protocol::order::{Order, OrderKind};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// How far the clocks of two servers are apart at most, in microseconds.
pub(crate) const CLOCKS: i64 = 6 * SECOND;
/// How long a permit may be used.
const USABLE: i64 = 60 * SECOND;
/// How long a permit keeps its place at least while nothing is heard: to start, and to run.
const PLACE: i64 = USABLE + 300 * SECOND;
/// Keys of second persons that have to sign.
const SIGNATURES: usize = 2;

/// A task and its epoch.
type Tried = (i64, i64);

/// A permit that a server gave out.
#[derive(Clone, Debug)]
struct Grant {
    at: i64,
    run: i64,
    asset: i64,
    cluster: Option<String>,
    /// Its run keeps clusters apart.
    apart: bool,
}

/// What was seen of a run at the last look.
#[derive(Clone, Debug, Default)]
struct Run {
    wave: i64,
    /// Since when it stands halted.
    halted: Option<i64>,
    /// Results of a wave were enough at this instant for the first time.
    enough: BTreeMap<i64, i64>,
    /// What failed, by wave.
    bad: BTreeMap<i64, BTreeSet<Tried>>,
    /// Tries of which nobody knows what became after they had begun, with their assets.
    silent: BTreeSet<(Tried, i64)>,
    /// Tries that had failed or were unknown when a person let it go on.
    accepted: BTreeSet<Tried>,
    /// The asset and the wave of each task.
    waves: BTreeMap<i64, (i64, i64)>,
    /// Tasks that expired.
    expired: BTreeSet<i64>,
}

/// What second persons signed.
#[derive(Clone, Debug, Default)]
struct Signed {
    keys: BTreeSet<usize>,
    targets: BTreeSet<(Uuid, Uuid)>,
}

/// What runs are held to.
#[derive(Debug, Default)]
pub struct Limits {
    /// What people entered, by the number of the job.
    spreads: BTreeMap<i64, Spread>,
    /// The cluster an asset is in.
    pub clusters: BTreeMap<i64, String>,
    /// Entries that no agent may apply without a second person.
    pub risky: BTreeSet<String>,
    /// The last permit of each try.
    grants: BTreeMap<(Uuid, u32), Grant>,
    /// Starts about which a server died while it was asked: it may have kept a permit that nobody saw.
    unseen: BTreeSet<(Uuid, u32)>,
    /// Instants of first permits, by run.
    fresh: BTreeMap<i64, Vec<i64>>,
    runs: BTreeMap<i64, Run>,
    /// How often a person opened the next wave of a job.
    promoted: BTreeMap<i64, u32>,
    signed: BTreeMap<String, Signed>,
    /// Runs that a second person was asked about.
    asked: BTreeSet<i64>,
    /// Permits given out, for the reader of the numbers.
    pub permits: u64,
    /// Waves opened by gates.
    pub waves: u64,
    /// Tasks that changed waves because a host was away, and gates that opened without one that was.
    pub passed_over: u64,
}

impl Limits {
    /// What a person entered for the runs of a job.
    pub fn entered(&mut self, job: i64, spread: Spread) {
        self.spreads.insert(job, spread);
    }

    /// What holds for the runs of a job.
    pub(crate) fn spread(&self, job: i64) -> Spread {
        self.spreads.get(&job).cloned().unwrap_or_default()
    }

    /// A person opened the next wave of a job, or may have.
    pub fn promoted(&mut self, job: i64) {
        *self.promoted.entry(job).or_default() += 1;
    }

    /// A person lets the runs of a job go on, or may have: what failed so far is accepted.
    pub fn accepted(&mut self, job: i64, tasks: &[TaskNow]) {
        let halted = |task: &&TaskNow| task.job == job && task.stopped();
        let runs: BTreeSet<i64> = tasks.iter().filter(halted).map(|task| task.run).collect();
        for run in runs {
            let failed = tasks.iter().filter(|task| task.run == run && (bad(task) || task.state == "unknown"));
            self.runs.entry(run).or_default().accepted.extend(failed.map(tried));
        }
    }

    /// A second person signs this manifest with this key, having read these targets.
    pub fn signs(&mut self, manifest: &str, key: usize, targets: BTreeSet<(Uuid, Uuid)>) {
        let signed = self.signed.entry(manifest.to_owned()).or_default();
        signed.keys.insert(key);
        signed.targets = targets;
    }

    /// Runs about which a second person is asked right now.
    pub fn asked(&mut self, runs: impl IntoIterator<Item = i64>) {
        self.asked.extend(runs);
    }
}

fn bad(task: &TaskNow) -> bool {
    task.code == 1 && task.definitive()
}

fn silent(task: &TaskNow) -> bool {
    task.state == "unknown" && task.started_at.is_some()
}

fn changed(task: &TaskNow) -> bool {
    task.state == "succeeded" || task.state == "reverted"
}

fn tried(task: &TaskNow) -> Tried {
    (task.id, task.epoch)
}

/// The work of a run came to something on some host: an earlier one of the job vouches for what is in place everywhere.
fn came_to_something(tasks: &[&TaskNow]) -> bool {
    tasks.iter().any(|task| task.code == 0 || task.code == 33)
}

fn count(tasks: &[&TaskNow], what: impl Fn(&TaskNow) -> bool) -> u64 {
    tasks.iter().filter(|task| what(task)).count() as u64
}

impl Watch {
    /// An order of this task was handed out.
    pub(crate) fn handed_out(&mut self, order: &Order, task: &TaskNow, tasks: &[TaskNow]) {
        let name = format!("{} epoch {} of job {}", order.entry_id, order.epoch, task.job);
        if task.stopped() {
            self.breach(format!("S7: {name} was handed out, its run is {}", task.run_state));
        }
        if task.wave > task.open_wave {
            let (wave, open) = (task.wave, task.open_wave);
            self.breach(format!("S8: {name} of wave {wave} was handed out, wave {open} is open"));
        }
        let spread = self.limits.spread(task.job);
        if !order.permit && (spread.permits || spread.apart || spread.starts.is_some() || !spread.waves.is_empty()) {
            self.breach(format!("S6: {name} was handed out without the need of a permit"));
        }
        let mine = tasks.iter().filter(|other| other.asset == task.asset && other.agent_id == task.agent_id);
        if let Some(other) = mine.filter(|other| other.out()).find(|other| other.run != task.run) {
            let (asset, other) = (task.asset, other.job);
            self.breach(format!("R20: {name} was handed out on asset {asset}, an order of job {other} is out there"));
        }
    }

    /// A server died over the question for a permit to start this task.
    pub fn unanswered(&mut self, epoch: u32, task: &TaskNow) {
        self.limits.unseen.insert((task.uuid, epoch));
    }

    /// A server gave out a permit to start this task; `halted` when a halt of it was durable before.
    pub fn granted(&mut self, now: i64, epoch: u32, task: &TaskNow, tasks: &[TaskNow], halted: bool) {
        let (name, spread) = (format!("a permit of job {}", task.job), self.limits.spread(task.job));
        self.limits.permits += 1;
        if halted {
            self.breach(format!("S7: {name} was given out in a halt"));
        }
        let of = (task.uuid, epoch);
        let limits = &mut self.limits;
        let cluster = limits.clusters.get(&task.asset).cloned();
        let there: BTreeMap<Uuid, &TaskNow> = tasks.iter().map(|task| (task.uuid, task)).collect();
        let out = |((uuid, epoch), grant): &(&(Uuid, u32), &Grant)| {
            now - grant.at < PLACE && there.get(uuid).is_some_and(|task| task.out() && task.epoch == i64::from(*epoch))
        };
        let others = || limits.grants.iter().filter(|(other, _)| **other != of).filter(out);
        let running = others().filter(|(_, grant)| grant.run == task.run).count();
        // A cluster is one whichever jobs work on it, as soon as one of them keeps it apart; a host is one whatever is done on it.
        let beside =
            others().filter(|(_, grant)| cluster.is_some() && grant.cluster == cluster && grant.asset != task.asset);
        let beside = beside.filter(|(_, grant)| spread.apart || grant.apart).count();
        let first = !limits.grants.contains_key(&of) && !limits.unseen.contains(&of);
        limits.grants.insert(
            of,
            Grant { at: now, run: task.run, asset: task.asset, cluster: cluster.clone(), apart: spread.apart },
        );
        let fresh = limits.fresh.entry(task.run).or_default();
        fresh.retain(|at| now - at < USABLE - CLOCKS);
        fresh.extend(first.then_some(now));
        let in_minute = fresh.len();
        if running >= spread.running {
            self.breach(format!("S6: {name}, {running} others are out, {} at once are allowed", spread.running));
        }
        if beside > 0 {
            self.breach(format!("S6: {name} in {cluster:?}, where {beside} others are out"));
        }
        if let Some(most) = spread.starts.filter(|most| in_minute > *most) {
            self.breach(format!("S6: {name} is number {in_minute} within a minute, {most} are allowed"));
        }
    }

    /// This order starts: had it the permit and the approval it needs?
    pub(crate) fn start_allowed(&mut self, now: i64, order: &Order, task: &TaskNow) {
        let name = format!("{} epoch {} of job {}", order.entry_id, order.epoch, task.job);
        let mut wrong = Vec::new();
        if order.permit {
            let grant = self.limits.grants.get(&(order.task, order.epoch));
            let since = self.limits.runs.get(&task.run).and_then(|run| run.halted).or(self.halted_since);
            match grant {
                None => wrong.push(format!("S7: {name} started without a permit")),
                Some(grant) if now - grant.at > USABLE + SECOND => {
                    wrong.push(format!("S7: {name} started {} s after its permit", (now - grant.at) / SECOND));
                }
                Some(grant) if since.is_some_and(|since| grant.at > since) => {
                    wrong.push(format!("S7: {name} started after a halt, on a permit of after the halt"));
                }
                Some(_) => {}
            }
        }
        let signed = order.approval.as_ref().map(|approval| self.limits.signed.get(&approval.manifest.to_string()));
        match signed {
            None if self.limits.asked.contains(&task.run) => {
                wrong.push(format!("S9: {name} started, and of the second person who was asked it says nothing"));
            }
            None if order.kind == OrderKind::Apply && self.limits.risky.contains(order.entry_id.as_str()) => {
                wrong.push(format!("S9: {name} is risky and started without a second person"));
            }
            None => {}
            Some(None) => wrong.push(format!("S9: {name} started on an approval that nobody signed")),
            Some(Some(signed)) => {
                if signed.keys.len() < SIGNATURES {
                    wrong.push(format!("S9: {name} started, {} keys have signed", signed.keys.len()));
                }
                if !signed.targets.contains(&(order.agent_id, order.instance_id)) {
                    wrong.push(format!("S9: {name} started on a machine that nobody approved"));
                }
            }
        }
        self.broken.extend(wrong);
    }

    /// A server may have looked after jobs just now: did gates open what they may (S8)?
    pub fn looked(&mut self, now: i64, tasks: &[TaskNow]) {
        let mut of_run: BTreeMap<i64, Vec<&TaskNow>> = BTreeMap::new();
        for task in tasks {
            of_run.entry(task.run).or_default().push(task);
        }
        let mut vouched: BTreeSet<i64> = BTreeSet::new();
        for (run, tasks) in of_run {
            let Some(one) = tasks.first() else { continue };
            let spread = self.limits.spread(one.job);
            let mut seen = self.limits.runs.remove(&run).unwrap_or_default();
            seen.wave = seen.wave.max(1);
            self.limits.passed_over += self.traded(now, &spread, &seen.waves, &tasks);
            seen.waves = tasks.iter().map(|task| (task.id, (task.asset, task.wave))).collect();
            for task in tasks.iter().filter(|task| task.state == "expired") {
                if seen.expired.insert(task.id) {
                    self.expired(now, &spread, task);
                }
            }
            let vouched_for = vouched.contains(&one.job);
            if came_to_something(&tasks) {
                vouched.insert(one.job);
            }
            while seen.wave < one.open_wave {
                let reason = self.unfit(now, &spread, &seen, &tasks).or_else(|| {
                    let over = tasks.iter().all(|task| task.code >= 0);
                    let nothing = !over && !vouched_for && !tasks.iter().any(|task| changed(task));
                    nothing.then(|| "no host was changed".to_owned())
                });
                let by_hand = self.limits.promoted.get_mut(&one.job).filter(|left| reason.is_some() && **left > 0);
                match (reason, by_hand) {
                    (Some(_), Some(left)) => *left -= 1,
                    (Some(reason), None) => {
                        self.breach(format!("S8: job {} went beyond wave {}: {reason}", one.job, seen.wave));
                    }
                    (None, _) => {
                        let of_wave: Vec<&TaskNow> =
                            tasks.iter().filter(|task| task.wave == seen.wave).copied().collect();
                        self.limits.waves += 1;
                        self.limits.passed_over += u64::from(!enough(&spread, &of_wave));
                    }
                }
                seen.wave += 1;
            }
            seen.halted = seen.halted.or(Some(now)).filter(|_| one.stopped());
            let waves: BTreeSet<i64> = tasks.iter().map(|task| task.wave).collect();
            for wave in waves {
                let of_wave: Vec<&TaskNow> = tasks.iter().filter(|task| task.wave == wave).copied().collect();
                if enough(&spread, &of_wave) || enough(&spread, &self.without_the_away(now, &spread, wave, &tasks)) {
                    seen.enough.entry(wave).or_insert(now);
                }
                seen.bad.insert(wave, of_wave.iter().filter(|task| bad(task)).map(|task| tried(task)).collect());
            }
            let silent = tasks.iter().filter(|task| silent(task));
            seen.silent = silent.map(|task| (tried(task), task.asset)).collect();
            self.limits.runs.insert(run, seen);
        }
    }

    /// The tasks of a wave that its gate waits for.
    fn without_the_away<'t>(&self, now: i64, spread: &Spread, wave: i64, tasks: &[&'t TaskNow]) -> Vec<&'t TaskNow> {
        let passed = self.passed_over(now, spread, wave, tasks);
        tasks.iter().filter(|task| task.wave == wave && !passed.tasks.contains(&task.id)).copied().collect()
    }

    /// Why the gate of the open wave may not have opened the next one, if so.
    fn unfit(&self, now: i64, spread: &Spread, seen: &Run, tasks: &[&TaskNow]) -> Option<String> {
        if tasks.iter().all(|task| task.code >= 0) {
            return None;
        }
        let mut wave: Vec<&TaskNow> = tasks.iter().filter(|task| task.wave == seen.wave).copied().collect();
        if !enough(spread, &wave) {
            // Who is away and has nobody to take his place is passed over.
            let passed = self.passed_over(now, spread, seen.wave, tasks);
            if let Some(wrong) = passed.wrong {
                return Some(wrong);
            }
            wave.retain(|task| !passed.tasks.contains(&task.id));
        }
        if !enough(spread, &wave) {
            let (known, tried) = (count(&wave, TaskNow::definitive), count(&wave, |task| !task.untried()));
            return Some(format!("{known} of {tried} results, {} % are needed", spread.definitive));
        }
        let since = seen.enough.get(&seen.wave).copied().unwrap_or(now);
        if now - since + CLOCKS < spread.soak * SECOND {
            let (stood, needed) = ((now - since) / SECOND, spread.soak);
            return Some(format!("the results stood for {stood} s, {needed} s are needed"));
        }
        let fresh = |tried: &Tried| !seen.accepted.contains(tried);
        let half_done = |task: &TaskNow| {
            let known = seen.bad.get(&task.wave).is_some_and(|bad| bad.contains(&tried(task)));
            let left = ["failed", "verify_failed"].contains(&task.state.as_str())
                && self.left_changed.contains(&(task.uuid, task.epoch));
            known && fresh(&tried(task)) && (left || task.state == "revert_failed")
        };
        if let Some(task) = tasks.iter().find(|task| half_done(task)) {
            return Some(format!("task {} left its host half undone", task.id));
        }
        let gone = |task: &TaskNow| seen.silent.contains(&(tried(task), task.asset)) && fresh(&tried(task));
        let gone: BTreeSet<i64> =
            tasks.iter().filter(|task| silent(task) && gone(task)).map(|task| task.asset).collect();
        if gone.len() > 1 {
            return Some(format!("{} hosts fell silent while they were worked on", gone.len()));
        }
        // Failures as they were before this look, all others as they are after it.
        let failed_of = |bad: &BTreeSet<Tried>| bad.iter().filter(|tried| fresh(tried)).count() as u64;
        let failed: u64 = seen.bad.values().map(failed_of).sum();
        let good = |tasks: &[&TaskNow]| count(tasks, |task| task.code == 0 || task.code == 33);
        if spread.too_many(failed, tasks.len() as u64) {
            return Some(format!("{failed} failures"));
        }
        let in_wave = seen.bad.get(&seen.wave).map_or(0, failed_of);
        if spread.rate_seen_too_high(in_wave, in_wave + good(&wave)) {
            return Some(format!("{in_wave} of {} failed in the wave, nobody was asked", in_wave + good(&wave)));
        }
        if spread.rate_too_high(failed, failed + good(tasks)) || spread.rate_too_high(in_wave, in_wave + good(&wave)) {
            return Some(format!("{failed} of {} failed, {in_wave} in the wave", failed + good(tasks)));
        }
        None
    }
}

/// The results of a wave are as many as are needed. What was cancelled or expired is no result, and none that is missing; a wave
/// of which nothing was tried proves nothing (`docs/rollouts.md`).
fn enough(spread: &Spread, wave: &[&TaskNow]) -> bool {
    let tried = count(wave, |task| !task.untried());
    tried > 0 && count(wave, TaskNow::definitive) * 100 >= spread.definitive * tried
}
