//! The agents of the world: both halves of each, carried on until they have nothing to say.

use crate::fleet::{Event, Fleet, HOUR, MINUTE, SECOND};
use crate::host::{Called, Loss, clocks, loss};
use crate::mutation::Mutation;
use crate::network::DELAY_SECONDS_MAX;
use crate::people::Who;
use crate::replica::{Asked, Door, Replica, json};
use agent::executor::Executor;
use agent::frame::{ToExecutor, ToNet};
use agent::session::{Input, Now, Output};
use axum::http::Method;
use domain::time::Timestamp;
use protocol::agent::{ENROL_PATH, Enrolled};
use protocol::order::OrderKind;
use std::collections::VecDeque;
use std::path::Path;
use uuid::Uuid;

impl Fleet<'_> {
    pub fn start(&mut self, of: usize) {
        let now = self.now;
        let node = &mut self.nodes[of];
        if node.executor.is_some() || node.agent_id.is_none() || node.gone || node.off_until > now {
            return;
        }
        if node.off_until > 0 {
            (node.off_until, node.booted) = (0, now);
        }
        let loss = self.next_loss();
        // A full disk that cannot even reserve request numbers keeps the agent from starting; it is tried again.
        let started = self.nodes[of].start(now, loss);
        if started.answer.is_none() {
            self.died(of);
            return;
        }
        self.note(&format!("h{of} starts"));
        self.connect(of);
        let (life, pause) = (self.nodes[of].life, self.net.between(1, 60) * MINUTE);
        self.after(pause, Event::LookAround { of, life });
    }

    pub fn look_around(&mut self, of: usize) {
        let mut chance = self.net.clone();
        self.net.draw();
        // Orders come first, as in the real loop.
        let called = self.execute(of, |executor| {
            if !executor.has_work() {
                let boot = clocks().1;
                executor.look_with(boot, &mut || u32::try_from(chance.below(u64::from(u32::MAX))).unwrap_or(0));
            }
            executor.take_out()
        });
        let Some(frames) = called.answer else { return };
        self.overhear(of, &frames);
        for frame in frames {
            self.feed(of, Input::Frame(Box::new(frame)));
        }
        self.plan_ahead(of);
        let pause = if self.hold > HOUR { 6 * HOUR } else { 40 * MINUTE };
        let life = self.nodes[of].life;
        self.after(pause, Event::LookAround { of, life });
    }

    /// Start the network half.
    pub fn connect(&mut self, of: usize) {
        let (now, random) = (self.now, self.net.draw());
        let frames = self.nodes[of].connect(now, random);
        if self.nodes[of].session.is_none() {
            self.nodes[of].die();
            self.after(5 * MINUTE, Event::Start { of });
            return;
        }
        self.overhear(of, &frames);
        for frame in frames {
            self.feed(of, Input::Frame(Box::new(frame)));
        }
        self.feed(of, Input::Tick);
    }

    pub fn next_loss(&mut self) -> Loss {
        loss(&mut self.net, self.mutation == Some(Mutation::JournalNotSynced))
    }

    /// The agent of a host died: it is started again.
    pub fn died(&mut self, of: usize) {
        self.counts.agent_deaths += 1;
        self.nodes[of].die();
        if self.nodes[of].gone {
            self.counts.lost += 1;
            return self.note(&format!("h{of} dies for good"));
        }
        self.note(&format!("h{of} dies"));
        let pause = if self.net.percent(80) { self.net.between(1, 60) } else { self.net.between(60, 1200) };
        self.after(pause * SECOND, Event::Start { of });
    }

    /// A call of the executor that may die over it.
    pub fn execute<T>(&mut self, of: usize, work: impl FnOnce(&mut Executor) -> T) -> Called<T> {
        let (now, loss) = (self.now, self.next_loss());
        let called = self.nodes[of].call(now, loss, work);
        if called.answer.is_none() {
            self.died(of);
        }
        called
    }

    pub fn instance(&mut self, of: usize) -> Uuid {
        let executor = self.nodes[of].executor.as_ref();
        executor.and_then(|executor| executor.book().instance()).unwrap_or_default()
    }

    pub fn overhear(&mut self, of: usize, frames: &[ToNet]) {
        let instance = self.instance(of);
        for frame in frames {
            if let ToNet::Event { text, .. } = frame {
                self.watch.heard(instance, text);
            }
        }
    }

    /// Give something to the network half, and carry on what comes of it until nothing does.
    pub fn feed(&mut self, of: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let node = &mut self.nodes[of];
            let now = Now {
                ms: u64::try_from((self.now - self.began) / 1000 + 1).unwrap_or(0),
                wall: Timestamp::from_micros(self.now + node.skew),
            };
            let Some(session) = node.session.as_mut() else { return };
            for output in session.handle(input, now) {
                match output {
                    Output::Send { lane, path, body, .. } => self.send(of, lane, path, body),
                    Output::Tell(frame) => {
                        let Some(frames) = self.tell(of, frame) else { return };
                        inputs.extend(frames.into_iter().map(|frame| Input::Frame(Box::new(frame))));
                    }
                    Output::Log(_) | Output::End => {}
                }
            }
        }
        self.plan_ahead(of);
    }

    pub fn tell(&mut self, of: usize, frame: ToExecutor) -> Option<Vec<ToNet>> {
        let called = self.execute(of, |executor| {
            executor.handle(frame);
            executor.take_out()
        });
        self.watch.passed(&called.passed, false);
        let frames = called.answer?;
        self.overhear(of, &frames);
        Some(frames)
    }

    pub fn plan_ahead(&mut self, of: usize) {
        let life = self.nodes[of].life;
        if let Some(ms) = self.nodes[of].session.as_ref().and_then(agent::session::Session::wake_at) {
            let at = (self.began + i64::try_from(ms).unwrap_or(i64::MAX / 2_000) * 1000).max(self.now + 1000);
            if self.nodes[of].tick_at.is_none_or(|planned| at < planned) {
                self.nodes[of].tick_at = Some(at);
                self.after(at - self.now, Event::Tick { of, life });
            }
        }
        // An order that waits for its permit is looked at again when there is nothing else to do.
        let due = |executor: &Executor| if executor.has_work() { Some(0) } else { executor.rest_micros() };
        let due = self.nodes[of].peek(self.now, due).flatten();
        if let Some(rest) = due
            && self.nodes[of].work_planned.is_none_or(|at| at > self.now + 20 * SECOND && rest == 0)
        {
            let pause = i64::try_from(rest).unwrap_or(0) + self.net.between(100_000, 20 * SECOND);
            self.nodes[of].work_planned = Some(self.now + pause);
            self.after(pause, Event::Work { of, life });
        }
    }

    pub fn work(&mut self, of: usize) {
        // One that was planned for later, before there was something to do at once.
        if self.nodes[of].work_planned != Some(self.now) {
            return;
        }
        self.nodes[of].work_planned = None;
        let Some(order) = self.nodes[of].peek(self.now, Executor::turn).flatten() else { return self.plan_ahead(of) };
        self.mutate_before_work(of, &order);
        let there = if order.kind == OrderKind::Apply { self.edits_in_ours(of) } else { Vec::new() };
        let called = self.execute(of, |executor| {
            executor.step();
            executor.take_out()
        });
        self.watch.passed(&called.passed, false);
        self.forgive_edits(of, &there);
        let entry = &order.entry_id;
        self.note(&format!("h{of} works on {entry} epoch {}: {} points", order.epoch, called.passed.len()));
        if called.passed.iter().any(|point| point == "after-intent") {
            let known = self.task(order.task);
            // An agent that has not heard the server since it started has nothing but its own clock.
            let late = DELAY_SECONDS_MAX + 10 + self.nodes[of].skew.abs() / SECOND;
            self.watch.started(self.now, late, &order, known.as_ref());
        }
        let Some(frames) = called.answer else { return };
        self.overhear(of, &frames);
        for frame in frames {
            self.feed(of, Input::Frame(Box::new(frame)));
        }
        self.plan_ahead(of);
    }

    fn edit_is_there(&self, of: usize, edit: usize) -> bool {
        let (_, path, line) = &self.edits[edit];
        std::fs::read_to_string(self.nodes[of].root.join(path)).is_ok_and(|text| text.contains(line.as_str()))
    }

    /// Which lines of its owner stand in files of a host that are ours alone.
    fn edits_in_ours(&self, of: usize) -> Vec<usize> {
        let edits = self.edits.iter().enumerate();
        let ours = edits.filter(|(_, (host, path, _))| *host == of && ours_alone(path)).map(|(edit, _)| edit);
        ours.filter(|edit| self.edit_is_there(of, *edit)).collect()
    }

    /// A file that is ours alone is what its entry says once it was applied anew, whatever its owner had added: S10 is about files
    /// of the owner's, and about rollbacks. What was gone before this apply is not forgiven by it.
    fn forgive_edits(&mut self, of: usize, there: &[usize]) {
        for edit in there {
            if !self.edit_is_there(of, *edit) {
                self.edits[*edit].2.clear();
            }
        }
    }

    pub fn enrol(&mut self, of: usize) {
        let (retry, off) = (30 * SECOND, self.nodes[of].off_until - self.now);
        if off > 0 {
            return self.after(off + SECOND, Event::Enrol { of });
        }
        let Some(to) = self.replicas.iter().position(Replica::up) else {
            return self.after(retry, Event::Enrol { of });
        };
        let Some((token, secret)) = self.token(to) else { return self.after(retry, Event::Enrol { of }) };
        let body = serde_json::to_vec(&self.nodes[of].enrolment(token, &secret)).expect("strings and numbers");
        let now = self.now;
        let asked = Asked { door: Door::Agents, method: Method::POST, path: ENROL_PATH, tag: "", token: None, body };
        let Some(answer) = self.replicas[to].ask(&self.runtime, now, asked) else {
            self.server_died(to);
            return self.after(retry, Event::Enrol { of });
        };
        if answer.status != 200 {
            self.enrol_token = None;
            self.note(&format!("h{of} is not enrolled: {}", answer.status));
            return self.after(retry, Event::Enrol { of });
        }
        let enrolled: Enrolled = serde_json::from_slice(&answer.body).expect("an enrolment");
        self.nodes[of].enrolled(&enrolled);
        self.nodes[of].key = self
            .database
            .query_row("SELECT id FROM agent WHERE agent_id = ?1", [enrolled.agent_id.as_bytes().as_slice()], |row| {
                row.get(0)
            })
            .expect("the agent is there");
        let key = self.nodes[of].key;
        self.watch.ears.enrolled(key, now);
        self.note(&format!("h{of} is agent {key}"));
        self.start(of);
    }

    pub fn token(&mut self, to: usize) -> Option<(Uuid, String)> {
        if self.enrol_token.is_none() {
            let body = serde_json::json!({ "label": "simulation", "uses": 100, "hours": 24 });
            let made = self.ask(Who::Author, to, Method::POST, "/api/v1/agents/tokens", "", &body)?;
            let text = json(&made.body)["text"].as_str()?.to_owned();
            let token = agent::enrol::read_token(&text).expect("a token");
            self.enrol_token = Some((token.token_id, token.secret));
        }
        self.enrol_token.clone()
    }
}

/// Whether a file, below the root, is there for us alone: it or a folder of it has our name.
fn ours_alone(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().to_string_lossy().to_ascii_lowercase().contains("quell"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_files_that_are_ours_alone_by_table() {
        for (path, ours) in [
            ("etc/quell/firewall/low-mss-v4.nft", true),
            ("etc/crypto-policies/policies/modules/QUELL-CVE-2023-48795.pmod", true),
            ("etc/sysctl.d/99-zz-quell-fs.suid_dumpable.conf", true),
            ("etc/systemd/system/quell-firewall-x.service", true),
            ("etc/ssh/sshd_config", false),
            ("etc/crypto-policies/config", false),
            ("etc/default/grub", false),
        ] {
            assert_eq!(ours_alone(Path::new(path)), ours, "{path}");
        }
    }
}
