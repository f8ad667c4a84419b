//! The two servers of the world: they start, look after jobs, hold polls and die.

use crate::fleet::{Event, Fleet, HOUR, MINUTE, SECOND};
use crate::replica::Held;
use crate::watch::TaskNow;
use agent::session::Lane;
use domain::time::Timestamp;
use protocol::agent::PollReply;

/// Between two looks of either server at night: less than the ten minutes after which nobody is thought to have listened, with room
/// for a server that has just died.
const NIGHT_LOOKS: i64 = 7 * MINUTE;

impl Fleet<'_> {
    pub fn start_server(&mut self, of: usize) {
        if self.replicas[of].up() {
            return;
        }
        let now = self.now;
        self.replicas[of].start(&self.runtime, now);
        self.note(&format!("server {of} starts"));
    }

    /// A server is gone: whoever waited for it notices, and it is started again.
    pub fn server_died(&mut self, of: usize) {
        self.counts.server_deaths += 1;
        let held = std::mem::take(&mut self.replicas[of].held);
        self.replicas[of].die();
        self.watch.ears.forgotten(of);
        self.note(&format!("server {of} dies"));
        for (node, held) in held {
            self.after(SECOND, Event::Broken { to: node, life: held.life, id: held.id, lane: Lane::Poll });
        }
        let pause = self.net.between(2, 90) * SECOND;
        self.after(pause, Event::StartServer { of });
    }

    pub fn look(&mut self, of: usize) {
        let now = self.now;
        if self.replicas[of].up() {
            let looked = self.replicas[of].look(&self.runtime, now);
            let seen = looked.is_some();
            self.watch.ears.looked(now, seen);
            match looked {
                None => self.server_died(of),
                Some(woken) => {
                    if !woken.is_empty() {
                        self.note(&format!("server {of} wakes {woken:?}"));
                    }
                    for key in woken {
                        self.wake(of, key);
                    }
                }
            }
            let tasks = self.see();
            if seen {
                self.watch.noticed(now, &tasks);
            }
            self.mutate_after_look();
            self.counts.tasks = tasks.len() as u64;
            let states: Vec<String> =
                tasks.iter().map(|task| format!("{}{}{}", task.id, initial(&task.state), task.epoch)).collect();
            self.note(&format!("tasks {}", states.join(" ")));
            self.watch.tasks(&tasks);
        }
        let pause = self.next_look(of);
        self.after(pause, Event::Look { of });
    }

    /// How long until the next look. While little happens the servers take turns: together they look often enough to count as
    /// listening, and each seldom enough that a night costs little.
    fn next_look(&self, of: usize) -> i64 {
        if self.hold <= HOUR {
            return MINUTE;
        }
        if !self.replicas[of].up() {
            return 2 * MINUTE;
        }
        let servers = i64::try_from(self.replicas.len()).unwrap_or(1);
        let place = i64::try_from(of).unwrap_or(0) * NIGHT_LOOKS;
        let (turn, since) = (servers * NIGHT_LOOKS, self.now - self.began - place);
        turn - since.rem_euclid(turn)
    }

    /// A look within two seconds, because something was reported to this server: the real loop does not look for each report either.
    pub fn look_later(&mut self, of: usize) {
        if !self.replicas[of].look_planned {
            self.replicas[of].look_planned = true;
            let pause = self.net.between(SECOND / 10, 2 * SECOND);
            self.after(pause, Event::LookSoon { of });
        }
    }

    /// A look now, because somebody did something at this server.
    pub fn look_soon(&mut self, of: usize) {
        self.replicas[of].look_planned = false;
        let now = self.now;
        if self.replicas[of].up() {
            let looked = self.replicas[of].look(&self.runtime, now);
            self.watch.ears.looked(now, looked.is_some());
            match looked {
                None => self.server_died(of),
                Some(woken) => woken.into_iter().for_each(|key| self.wake(of, key)),
            }
            self.see();
            self.mutate_after_look();
        }
    }

    /// Let the watch see what the database has now: a look, or a person's act, may have opened a wave or halted a run.
    pub fn see(&mut self) -> Vec<TaskNow> {
        let waiting: Vec<i64> =
            self.rows("SELECT run_id FROM approval WHERE state = 'pending' ORDER BY id", |row| row.get(0));
        self.watch.limits.asked(waiting);
        let tasks = self.tasks();
        self.watch.looked(self.now, &tasks);
        tasks
    }

    pub fn wake(&mut self, of: usize, key: i64) {
        let Some(node) = self.nodes.iter().position(|node| node.key == key) else { return };
        if let Some(held) = self.replicas[of].held.remove(&node) {
            self.answer_held(node, held);
        }
    }

    /// Everybody who waits at this server is answered.
    pub fn wake_all(&mut self, of: usize) {
        for (node, held) in std::mem::take(&mut self.replicas[of].held) {
            self.answer_held(node, held);
        }
    }

    /// Polls that were held long enough.
    pub fn release(&mut self, of: usize) {
        let due: Vec<usize> =
            self.replicas[of].held.iter().filter(|(_, held)| held.until <= self.now).map(|(node, _)| *node).collect();
        for node in due {
            if let Some(held) = self.replicas[of].held.remove(&node) {
                self.answer_held(node, held);
            }
        }
    }

    pub fn answer_held(&mut self, node: usize, held: Held) {
        // The real server looks at its clock when it answers, not when it was asked.
        let body = match serde_json::from_slice::<PollReply>(&held.body) {
            Ok(mut reply) => {
                reply.now = Timestamp::from_micros(self.now);
                serde_json::to_vec(&reply).expect("a reply holds only strings and numbers")
            }
            Err(_) => held.body,
        };
        self.reply(node, held.life, held.id, Lane::Poll, 200, body);
    }
}

fn initial(state: &str) -> &str {
    state.get(..3).unwrap_or(state)
}
