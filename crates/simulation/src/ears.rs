//! What the watch knows of hosts that are away or gone: when each was heard, and since when anybody listens, counted from the requests
//! it saw go by (`docs/rollouts.md`, hosts that are away).
//!
//! A server keeps what it hears in memory for a while and loses it when it dies, so there are two bounds of what the database may
//! know: what a server has surely written down, and whatever reached one at all. Each question takes the one that gives the servers the
//! benefit.

use crate::fleet::{HOUR, MINUTE, SECOND};
use crate::limits::CLOCKS;
use crate::spread::Spread;
use crate::watch::{TaskNow, Watch};
use std::collections::BTreeMap;

/// A pause in listening of up to ten minutes is none.
const PAUSE: i64 = 10 * MINUTE;
/// Looks less than this apart are written down once.
const BEAT: i64 = MINUTE;
/// Who is not heard for so long after work began is gone: five minutes of work, one of proof, four of undoing, the margin of silence.
const GONE: i64 = (300 + 60 + 240 + 700) * SECOND;

/// So much later it has been noticed at the latest that a host is away.
const NOTICED: i64 = HOUR;
/// So long a server has to do something about it, from when it could: the wave is open, the run approved, nothing stands still.
const TO_ACT: i64 = NOTICED / 4;
/// A host that is away for so much longer is away whatever the clock of a server says; with [`TO_ACT`] it is [`NOTICED`].
const SURELY: i64 = NOTICED - TO_ACT;

/// Something that a server has to do because a host is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Duty {
    /// End this task.
    Expire(i64),
    /// Let hosts of this run change places with those of this wave.
    Trade(i64, i64),
}

/// When agents were heard, and since when anybody listens.
#[derive(Debug, Default)]
pub struct Ears {
    /// Last words that only the memory of a server has, by server and agent.
    fresh: BTreeMap<usize, BTreeMap<i64, i64>>,
    /// Last words that are written down, by agent.
    kept: BTreeMap<i64, i64>,
    /// Last words that reached any server, by agent.
    heard: BTreeMap<i64, i64>,
    /// Somebody has listened since then at the earliest, and looked last then.
    may: Option<(i64, i64)>,
    /// Somebody has surely listened since then, and looked last then.
    does: Option<(i64, i64)>,
    /// What a server had to do at each look since then, and had not done.
    undone: BTreeMap<Duty, i64>,
}

fn later(words: &mut BTreeMap<i64, i64>, agent: i64, at: i64) {
    let known = words.entry(agent).or_insert(at);
    *known = at.max(*known);
}

impl Ears {
    /// An agent was enrolled: that is written down at once.
    pub fn enrolled(&mut self, agent: i64, now: i64) {
        later(&mut self.kept, agent, now);
        later(&mut self.heard, agent, now);
    }

    /// A request of an agent reached a server, which took it or did not.
    pub fn heard(&mut self, server: usize, agent: i64, now: i64, taken: bool) {
        later(&mut self.heard, agent, now);
        if taken {
            later(self.fresh.entry(server).or_default(), agent, now);
        }
    }

    /// A server wrote down whom it has heard.
    pub fn kept(&mut self, server: usize) {
        for (agent, at) in self.fresh.remove(&server).unwrap_or_default() {
            later(&mut self.kept, agent, at);
        }
    }

    /// A server died, and with it what it had in memory.
    pub fn forgotten(&mut self, server: usize) {
        self.fresh.remove(&server);
    }

    /// A server looked after jobs, or died over it and may have.
    pub fn looked(&mut self, now: i64, surely: bool) {
        let since = |known: Option<(i64, i64)>, pause: i64| match known {
            Some((since, last)) if now - last <= pause => Some((since, now)),
            _ => Some((now, now)),
        };
        self.may = since(self.may, PAUSE + CLOCKS);
        if surely {
            self.does = since(self.does, PAUSE - BEAT - CLOCKS);
        }
    }

    /// What is still to be done after a look, and how it is called; gives what had to be done for too long. What became ready in a
    /// look, because a wave opened or a person let go, is looked at for hosts that are away only in the next.
    fn overdue(&mut self, now: i64, still: BTreeMap<Duty, String>) -> Vec<String> {
        let before = std::mem::take(&mut self.undone);
        let mut overdue = Vec::new();
        for (duty, name) in still {
            let since = before.get(&duty).copied().unwrap_or(now);
            self.undone.insert(duty, since);
            if now - since >= TO_ACT {
                overdue.push(name);
            }
        }
        overdue
    }

    /// A server may have to take an agent for one that was not heard since `bound`.
    fn may_be_away(&self, agent: Option<i64>, bound: i64) -> bool {
        let listened = self.may.is_some_and(|(since, _)| since < bound + CLOCKS);
        listened && agent.is_some_and(|agent| self.kept.get(&agent).is_none_or(|at| *at < bound + CLOCKS))
    }

    /// No server can know of a word of this agent since `bound`.
    fn is_away(&self, agent: Option<i64>, bound: i64) -> bool {
        agent.is_some_and(|agent| self.heard.get(&agent).is_none_or(|at| *at < bound - CLOCKS))
    }

    /// Every server can know of a word of this agent since `bound`.
    fn is_there(&self, agent: Option<i64>, bound: i64) -> bool {
        agent.and_then(|agent| self.kept.get(&agent)).is_some_and(|at| *at > bound + CLOCKS)
    }
}

/// What a gate passes over.
#[derive(Debug, Default)]
pub struct PassedOver {
    /// Tasks that wait for a host that is away.
    pub tasks: Vec<i64>,
    /// Why that is wrong, if it is: somebody could take the place of one.
    pub wrong: Option<String>,
}

/// The tasks of each asset, of one wave or of all that come after it.
fn by_asset<'t>(tasks: &[&'t TaskNow], of: impl Fn(&TaskNow) -> bool) -> BTreeMap<i64, Vec<&'t TaskNow>> {
    let mut found: BTreeMap<i64, Vec<&TaskNow>> = BTreeMap::new();
    for task in tasks.iter().filter(|task| of(task)) {
        found.entry(task.asset).or_default().push(task);
    }
    found
}

impl Watch {
    /// Whom the gate of a wave may pass over, of the tasks of its run: who waits, is due and away. Somebody who is there and of whom
    /// nothing was ordered yet has to take the place of one of whom nothing was either.
    pub(crate) fn passed_over(&self, now: i64, spread: &Spread, wave: i64, tasks: &[&TaskNow]) -> PassedOver {
        let bound = now - spread.freshness * HOUR;
        let due = |task: &TaskNow| task.wave == wave && task.waits() && task.due_at <= now + CLOCKS;
        let away = |task: &TaskNow| due(task) && self.ears.may_be_away(task.agent, bound);
        let passed: Vec<i64> = tasks.iter().filter(|task| away(task)).map(|task| task.id).collect();
        if passed.is_empty() {
            return PassedOver::default();
        }
        let untouched = |task: &TaskNow| task.waits() && task.epoch == 0 && task.due_at < now - CLOCKS;
        let gone = by_asset(tasks, |task| task.wave == wave);
        let gone = gone.values().find(|tasks| {
            tasks
                .iter()
                .all(|task| untouched(task) && passed.contains(&task.id) && self.ears.is_away(task.agent, bound))
        });
        let there = by_asset(tasks, |task| task.wave > wave);
        let there = there
            .values()
            .find(|tasks| tasks.iter().all(|task| untouched(task) && self.ears.is_there(task.agent, bound)));
        let wrong = match (gone.and_then(|tasks| tasks.first()), there.and_then(|tasks| tasks.first())) {
            (Some(gone), Some(there)) => {
                Some(format!("asset {} is away, and {} did not take its place", gone.asset, there.asset))
            }
            _ => None,
        };
        PassedOver { tasks: passed, wrong }
    }

    /// Tasks of a run that are in other waves than they were: only hosts of which nothing was ordered change places, one that is away
    /// with one that is there, and a wave keeps its number of hosts. Gives how many changed.
    pub(crate) fn traded(
        &mut self,
        now: i64,
        spread: &Spread,
        before: &BTreeMap<i64, (i64, i64)>,
        tasks: &[&TaskNow],
    ) -> u64 {
        let bound = now - spread.freshness * HOUR;
        let moved: Vec<(&TaskNow, i64)> = tasks
            .iter()
            .filter_map(|task| before.get(&task.id).map(|(_, wave)| (*task, *wave)))
            .filter(|(task, wave)| task.wave != *wave)
            .collect();
        let mut wrong = Vec::new();
        for (task, from) in &moved {
            let (id, job, to) = (task.id, task.job, task.wave);
            let name = format!("S8: task {id} of job {job} went from wave {from} to {to}");
            if !task.waits() || task.epoch > 0 {
                wrong.push(format!("{name}, and it was ordered before"));
            }
            if to > *from && !self.ears.may_be_away(task.agent, bound) {
                wrong.push(format!("{name}, and its host is there"));
            }
            if to < *from && self.ears.is_away(task.agent, bound) {
                wrong.push(format!("{name}, and its host is away itself"));
            }
        }
        if !moved.is_empty() {
            let known: Vec<&&TaskNow> = tasks.iter().filter(|task| before.contains_key(&task.id)).collect();
            let hosts = |of: &dyn Fn(&TaskNow) -> i64| {
                let mut hosts: Vec<(i64, i64)> = known.iter().map(|task| (of(task), task.asset)).collect();
                hosts.sort_unstable();
                hosts.dedup();
                hosts.into_iter().map(|(wave, _)| wave).collect::<Vec<_>>()
            };
            if hosts(&|task| task.wave) != hosts(&|task| before.get(&task.id).map_or(task.wave, |(_, wave)| *wave)) {
                wrong.push(format!(
                    "S8: waves of run {:?} have other numbers of hosts",
                    tasks.first().map(|task| task.run)
                ));
            }
        }
        self.broken.extend(wrong);
        moved.len() as u64
    }

    /// A task ended as expired: its window was over, or it is work that comes again and its host was away as long as the run waits.
    pub(crate) fn expired(&mut self, now: i64, spread: &Spread, task: &TaskNow) {
        let bound = now - spread.freshness * HOUR;
        let over = task.start_by.is_some_and(|by| by < now + CLOCKS);
        let stale = task.start_by.is_some() && task.due_at < bound + CLOCKS;
        if !(over || stale && self.ears.may_be_away(task.agent, bound)) {
            let (id, job) = (task.id, task.job);
            self.breach(format!("away: task {id} of job {job} expired, its time was not over and its host was there"));
        }
    }

    /// A server has looked: whoever fell silent at work is not thought to be at work any more, and what comes again does not wait for a
    /// host that is away.
    pub(crate) fn noticed(&mut self, now: i64, tasks: &[TaskNow]) {
        let Some((since, _)) = self.ears.does else { return };
        let gone = now - GONE - CLOCKS;
        let (mut wrong, mut still) = (Vec::new(), BTreeMap::new());
        for task in tasks {
            let (id, job) = (task.id, task.job);
            let began = task.state == "running" && task.started_at.is_some_and(|at| at < gone);
            if began && since < gone && self.ears.is_away(task.agent, gone) {
                wrong.push(format!("gone: task {id} of job {job} is called running, and its host fell silent over it"));
            }
            let bound = now - self.limits.spread(job).freshness * HOUR - SURELY;
            let ready = task.state == "ready" && task.run_state == "open";
            let waits = ready && task.start_by.is_some() && task.due_at < bound;
            if waits && since < bound && self.ears.is_away(task.agent, bound) {
                let name = format!("away: task {id} of job {job} waits for a host that is away for longer than that");
                still.insert(Duty::Expire(id), name);
            }
        }
        let mut of_run: BTreeMap<i64, Vec<&TaskNow>> = BTreeMap::new();
        for task in tasks.iter().filter(|task| task.run_state == "open") {
            of_run.entry(task.run).or_default().push(task);
        }
        for (run, tasks) in of_run {
            let wave = tasks.first().map_or(1, |task| task.open_wave);
            still.extend(self.untraded(now, &tasks).map(|name| (Duty::Trade(run, wave), name)));
        }
        // While everything stands still nobody has to do anything.
        if self.halted_since.is_some() {
            still.clear();
        }
        wrong.extend(self.ears.overdue(now, still));
        self.broken.extend(wrong);
    }

    /// Whether a host of the open wave of a run is away for long, and one of a later wave that is there has not taken its place.
    fn untraded(&self, now: i64, tasks: &[&TaskNow]) -> Option<String> {
        let one = tasks.first()?;
        let bound = now - self.limits.spread(one.job).freshness * HOUR;
        if self.ears.does.is_none_or(|(since, _)| since >= bound - SURELY) {
            return None;
        }
        let untouched = |task: &TaskNow, state: &str| {
            task.state == state && task.epoch == 0 && task.due_at < now - SURELY && task.run_state == "open"
        };
        // What is ready shows that the run has begun: one that waits for a second person has no gate yet.
        let gone = by_asset(tasks, |task| task.wave == one.open_wave);
        let gone = gone.values().find(|tasks| {
            tasks.iter().all(|task| untouched(task, "ready") && self.ears.is_away(task.agent, bound - SURELY))
        })?;
        let there = by_asset(tasks, |task| task.wave > one.open_wave);
        let there = there.values().find(|tasks| {
            tasks.iter().all(|task| untouched(task, "pending") && self.ears.is_there(task.agent, bound))
        })?;
        let (gone, there) = (gone.first()?.asset, there.first()?.asset);
        Some(format!("away: asset {gone} of job {} is away for long, and {there} has not taken its place", one.job))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    /// Its name, whether it is a breach, and the tasks with the minute they are looked at.
    type Row<'a> = (&'a str, bool, &'a [(i64, &'a [TaskNow])]);

    #[test]
    fn each_question_takes_the_bound_that_gives_the_servers_the_benefit() {
        let mut ears = Ears::default();
        assert!(!ears.may_be_away(Some(1), HOUR), "nobody has listened");
        for minute in (0..180).step_by(10) {
            ears.looked(minute * MINUTE, true);
        }
        ears.enrolled(1, 0);
        // Nobody surely listened: looks ten minutes apart may each begin anew. They may also all count.
        assert!(
            ears.may.is_some_and(|(since, _)| since == 0) && ears.does.is_some_and(|(since, _)| since == 170 * MINUTE)
        );
        assert!(ears.may_be_away(Some(1), HOUR) && ears.is_away(Some(1), HOUR) && !ears.is_there(Some(1), HOUR));
        // A word that only the memory of a server has: it may or may not count.
        ears.heard(0, 1, 2 * HOUR, true);
        assert!(ears.may_be_away(Some(1), HOUR) && !ears.is_away(Some(1), HOUR) && !ears.is_there(Some(1), HOUR));
        ears.forgotten(0);
        ears.kept(0);
        assert!(ears.may_be_away(Some(1), HOUR), "the server died and never wrote it down");
        // One that was refused is no word to the database.
        ears.heard(1, 1, 2 * HOUR, false);
        ears.kept(1);
        assert!(ears.may_be_away(Some(1), HOUR));
        ears.heard(1, 1, 2 * HOUR, true);
        ears.kept(1);
        assert!(!ears.may_be_away(Some(1), HOUR) && ears.is_there(Some(1), HOUR));
        // After a pause nobody was silent before it.
        ears.looked(5 * HOUR, true);
        assert!(!ears.may_be_away(Some(1), 4 * HOUR) && ears.may_be_away(Some(1), 5 * HOUR));
    }

    fn task(id: i64, wave: i64, state: &str, agent: i64) -> TaskNow {
        TaskNow {
            id,
            uuid: Uuid::nil(),
            state: state.to_owned(),
            epoch: 0,
            code: -1,
            agent_id: None,
            run: 1,
            job: 1,
            asset: id,
            wave,
            due_at: 0,
            run_state: "open".to_owned(),
            open_wave: 1,
            started_at: None,
            agent: Some(agent),
            start_by: None,
        }
    }

    /// A watch in which agent 1 is away and agent 2 there, at 30 hours.
    fn watch() -> (Watch, i64, Spread) {
        let mut watch = Watch::default();
        for minute in (0..1_800).step_by(8) {
            watch.ears.looked(minute * MINUTE, true);
        }
        watch.ears.enrolled(1, 0);
        watch.ears.enrolled(2, 29 * HOUR);
        (watch, 30 * HOUR, Spread::default())
    }

    #[test]
    fn who_is_passed_over_and_who_changes_places_by_table() {
        let (mut watch, now, spread) = watch();
        let over = |watch: &Watch, tasks: &[TaskNow]| {
            let passed = watch.passed_over(now, &spread, 1, &tasks.iter().collect::<Vec<_>>());
            (passed.tasks, passed.wrong.is_some())
        };
        let waits = task(1, 1, "ready", 1);
        assert_eq!(over(&watch, std::slice::from_ref(&waits)), (vec![1], false), "nobody could take its place");
        assert_eq!(over(&watch, &[waits.clone(), task(2, 2, "pending", 2)]), (vec![1], true));
        assert_eq!(over(&watch, &[waits.clone(), task(2, 2, "pending", 1)]), (vec![1], false), "away as well");
        assert_eq!(over(&watch, &[task(1, 1, "ready", 2)]), (vec![], false), "it is there");
        assert_eq!(over(&watch, &[task(1, 1, "offered", 1)]), (vec![], false), "an order is out");
        // Whoever was ordered something cannot change places, so it is nobody's fault.
        let tried = TaskNow { epoch: 1, ..waits };
        assert_eq!(over(&watch, &[tried, task(2, 2, "pending", 2)]), (vec![1], false));

        let before: BTreeMap<i64, (i64, i64)> = [(1, (1, 1)), (2, (2, 2))].into();
        assert!(watch.untraded(now, &[&task(1, 1, "ready", 1), &task(2, 2, "pending", 2)]).is_some());
        assert!(watch.untraded(now, &[&task(1, 1, "ready", 2), &task(2, 2, "pending", 2)]).is_none(), "it is there");
        assert!(watch.untraded(now, &[&task(1, 1, "ready", 1), &task(2, 2, "pending", 1)]).is_none(), "nobody else is");
        assert!(watch.untraded(now, &[&task(1, 1, "pending", 1), &task(2, 2, "pending", 2)]).is_none(), "not begun");
        let mut trade = |first: TaskNow, second: TaskNow| {
            watch.broken.clear();
            let moved = watch.traded(now, &spread, &before, &[&first, &second]);
            (moved, watch.broken.len())
        };
        let (gone, came) = (task(1, 2, "pending", 1), task(2, 1, "ready", 2));
        assert_eq!(trade(gone.clone(), came.clone()), (2, 0));
        assert_eq!(trade(task(1, 1, "ready", 1), task(2, 2, "pending", 2)), (0, 0));
        assert_eq!(trade(task(1, 2, "pending", 2), came.clone()), (2, 1), "the host that had to go is there");
        assert_eq!(trade(gone.clone(), task(2, 1, "ready", 1)), (2, 1), "the host that came is away itself");
        assert_eq!(trade(TaskNow { epoch: 1, ..gone.clone() }, came), (2, 1), "it was ordered before");
        assert_eq!(trade(gone, task(2, 2, "pending", 2)), (1, 1), "a wave lost a host");
    }

    #[test]
    fn what_expires_and_what_is_called_running_by_table() {
        let (mut watch, now, spread) = watch();
        let mut ends = |start_by: Option<i64>, due_at: i64, agent: i64| {
            watch.broken.clear();
            watch.expired(now, &spread, &TaskNow { start_by, due_at, ..task(1, 1, "expired", agent) });
            watch.broken.is_empty()
        };
        assert!(ends(Some(now - SECOND), 0, 2), "its time is over");
        assert!(ends(Some(now + HOUR), 0, 1), "its host is away");
        assert!(!ends(Some(now + HOUR), 0, 2), "its host is there");
        assert!(!ends(Some(now + HOUR), 7 * HOUR, 1), "it was not due for so long");
        assert!(!ends(None, 0, 1), "work that is done once does not expire");
        let mut runs = |started_at: i64, agent: i64| {
            watch.broken.clear();
            watch.noticed(now, &[TaskNow { started_at: Some(started_at), ..task(1, 1, "running", agent) }]);
            watch.broken.is_empty()
        };
        assert!(!runs(28 * HOUR, 1), "its host fell silent hours ago");
        assert!(runs(now - 20 * MINUTE, 1), "it may still be at work");
        watch.ears.heard(0, 1, now - MINUTE, true);
        let said = [TaskNow { started_at: Some(28 * HOUR), ..task(1, 1, "running", 1) }];
        watch.broken.clear();
        watch.noticed(now, &said);
        assert!(watch.broken.is_empty(), "it was heard");
    }

    /// Looks at these minutes, each finding these tasks; whether the watch called something wrong after the last one.
    fn wrong_after(looks: &[(i64, &[TaskNow])]) -> bool {
        let (mut watch, now, _) = watch();
        for (minute, tasks) in looks {
            watch.broken.clear();
            watch.noticed(now + minute * MINUTE, tasks);
        }
        watch.broken.iter().any(|wrong| wrong.starts_with("away: "))
    }

    #[test]
    fn what_waits_for_a_host_that_is_away_has_to_end_soon_after_it_could_by_table() {
        let ready = [TaskNow { start_by: Some(99 * HOUR), ..task(1, 1, "ready", 1) }];
        let but = |change: fn(&mut TaskNow)| ready.clone().map(|mut task| (change(&mut task), task).1);
        let pending = but(|task| task.state = "pending".to_owned());
        let halted = but(|task| task.run_state = "halted".to_owned());
        let (once, there) = (but(|task| task.start_by = None), but(|task| task.agent = Some(2)));
        let young = but(|task| task.due_at = 6 * HOUR);
        let rows: [Row<'_>; 9] = [
            ("nobody waits for it any more", true, &[(0, &ready), (7, &ready), (15, &ready)]),
            ("it may be noticed yet", false, &[(0, &ready), (14, &ready)]),
            // Of a wave that opened, a request that was signed or a job that goes on after hours.
            ("it could not end before", false, &[(0, &pending), (7, &pending), (21, &ready)]),
            ("it could for long", true, &[(0, &pending), (7, &ready), (14, &ready), (22, &ready)]),
            ("it stood still till now", false, &[(0, &ready), (14, &halted), (21, &ready)]),
            ("it went on long ago", true, &[(0, &halted), (7, &ready), (22, &ready)]),
            ("work that is done once waits", false, &[(0, &once), (15, &once)]),
            ("its host is there", false, &[(0, &there), (15, &there)]),
            ("it was not due for so long", false, &[(0, &young), (15, &young)]),
        ];
        for (name, wrong, looks) in rows {
            assert_eq!(wrong_after(looks), wrong, "{name}");
        }
        let (mut watch, now, _) = watch();
        for minute in [0, 15] {
            watch.halted(Some(now));
            watch.noticed(now + minute * MINUTE, &ready);
        }
        assert!(watch.broken.is_empty(), "everything stands still: {:?}", watch.broken);
    }

    #[test]
    fn who_is_there_has_to_take_the_place_soon_after_it_could_by_table() {
        let pair = |state: &str, came: i64| [task(1, 1, state, 1), task(2, 2, "pending", came)];
        let (both, alone, before) = (pair("ready", 2), pair("ready", 1), pair("pending", 2));
        // Wave 2 opens, with one that is away as well.
        let next = pair("ready", 2).map(|task| TaskNow { wave: task.wave + 1, open_wave: 2, ..task });
        let rows: [Row<'_>; 6] = [
            ("it has to", true, &[(0, &both), (7, &both), (15, &both)]),
            ("it may yet", false, &[(0, &both), (14, &both)]),
            ("the run has only just begun", false, &[(0, &before), (14, &before), (15, &both)]),
            ("it has only just come back", false, &[(0, &alone), (14, &alone), (15, &both)]),
            ("it is another wave", false, &[(0, &both), (14, &both), (15, &next)]),
            ("it came back long ago", true, &[(0, &alone), (7, &both), (22, &both)]),
        ];
        for (name, wrong, looks) in rows {
            assert_eq!(wrong_after(looks), wrong, "{name}");
        }
    }
}
