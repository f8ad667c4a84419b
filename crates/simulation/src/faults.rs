//! What breaks, carried out, and the end of it.

use crate::fleet::{Event, Fleet, MINUTE, SECOND};
use crate::plan::{Act, Fault};
use agent::state::StateDir;

impl Fleet<'_> {
    /// Something breaks.
    pub fn fault(&mut self, fault: Fault) {
        if !self.faulty {
            return;
        }
        self.note(&format!("fault {fault:?}"));
        match fault {
            Fault::AgentDies(host, points) => self.nodes[host].points_left = Some(points),
            Fault::NetDies(host) => {
                if self.nodes[host].executor.is_some() {
                    self.nodes[host].session = None;
                    self.connect(host);
                }
            }
            Fault::Offline(host, long) => self.nodes[host].offline_until = self.now + long,
            Fault::Off(host, long) => self.switch_off(host, long),
            Fault::Gone(host, points) => self.nodes[host].dies_at_work = Some(points),
            Fault::Disk(host, full) => self.nodes[host].disk_full = full,
            Fault::Clock(host, skew) => self.nodes[host].skew = skew,
            Fault::Boot(host) => {
                let was_up = self.nodes[host].executor.is_some();
                self.nodes[host].booted = self.now;
                if was_up {
                    self.died(host);
                }
            }
            Fault::ServerDies(server, points) => self.replicas[server].points_left = Some(points),
            Fault::ServerKilled(server) => {
                if self.replicas[server].up() {
                    self.server_died(server);
                }
            }
        }
    }

    /// A machine is switched off, and switched on again after so long.
    fn switch_off(&mut self, host: usize, long: i64) {
        if self.nodes[host].gone || self.nodes[host].off_until > self.now {
            return;
        }
        self.nodes[host].die();
        self.nodes[host].off_until = self.now + long;
        self.counts.away += 1;
        self.after(long, Event::Start { of: host });
    }

    /// Faults stop: everything is up, connected and free from now on, but for hosts that are gone for good: people revoke their agents.
    pub fn calm(&mut self) {
        self.note("faults stop");
        self.faulty = false;
        for host in 0..self.nodes.len() {
            let node = &mut self.nodes[host];
            (node.offline_until, node.disk_full, node.points_left, node.skew) = (0, false, None, 0);
            (node.dies_at_work, node.off_until) = (None, node.off_until.min(self.now));
            if node.gone {
                self.after(7 * MINUTE, Event::Act(Act::Bury(host)));
                continue;
            }
            // A poisoned journal or a clock that was wrong needs a new process; so does who is down anyway.
            node.die();
            if let Ok(state) = StateDir::open(&node.state) {
                state.switch("halt", false).expect("a switch");
            }
            if node.agent_id.is_some() {
                self.after(i64::try_from(host).unwrap_or(0) * SECOND / 4, Event::Start { of: host });
            }
        }
        for server in 0..self.replicas.len() {
            self.replicas[server].points_left = None;
        }
        self.after(5 * MINUTE, Event::Act(Act::Resume));
        self.after(6 * MINUTE, Event::Act(Act::LetGo));
    }
}
