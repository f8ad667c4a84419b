//! What people do and what breaks, carried out; and the rules that a mutation leaves out.

use crate::fleet::{Event, Fleet, MINUTE, SECOND};
use crate::mutation::Mutation;
use crate::plan::{Act, Fault};
use crate::replica::json;
use agent::state::StateDir;
use axum::http::Method;
use domain::time::Timestamp;
use protocol::order::{Order, OrderKind};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

impl Fleet<'_> {
    /// Somebody does something, at one of the servers; tried again where it died over it.
    pub fn act(&mut self, act: Act) {
        let to = self.people.index(self.replicas.len());
        let done = match &act {
            Act::Job { index, qids, assets, once } => self.make_job(to, *index, "mitigation", qids, assets, *once),
            Act::Rollback { index, qids } => self.make_job(to, *index, "rollback", qids, &[], None),
            Act::Cancel { index } => self.cancel(to, *index),
            Act::Halt => self.halt(to, true),
            Act::Resume => self.halt(to, false),
            Act::ReEnrol(host) => self.re_enrol(to, *host),
            Act::Edit(host) => {
                self.edit(*host);
                true
            }
            Act::OwnersHalt(host, on) => {
                let state = StateDir::open(&self.nodes[*host].state).expect("the agent's directory");
                state.switch("halt", *on).expect("a switch");
                self.note(&format!("the owner of h{host} says halt: {on}"));
                true
            }
        };
        if !done {
            self.after(20 * SECOND, Event::Act(act));
        }
    }

    fn make_job(
        &mut self,
        to: usize,
        index: usize,
        kind: &str,
        qids: &[i64],
        assets: &[i64],
        once: Option<i64>,
    ) -> bool {
        let chosen: Vec<Value> = qids
            .iter()
            .map(|qid| {
                let has = self.template.qids.iter().find(|(known, _)| known == qid);
                let has = has.map(|(_, assets)| assets.clone()).unwrap_or_default();
                let only: Vec<i64> = has.into_iter().filter(|asset| assets.contains(asset)).collect();
                if assets.is_empty() { json!({ "qid": qid }) } else { json!({ "qid": qid, "assets": only }) }
            })
            .collect();
        let new = json!({ "kind": kind, "vulnerabilities": chosen, "title": format!("job {index}") });
        let Some(made) = self.ask(to, Method::POST, "/api/v1/jobs", "", &new) else { return false };
        if made.status != 201 {
            let code = json(&made.body)["code"].clone();
            self.note(&format!("job {index} of kind {kind} is not made: {} {code}", made.status));
            return true;
        }
        let body = json(&made.body);
        let job = if body["job"]["summary"].is_object() { &body["job"]["summary"] } else { &body["job"] };
        let number = job["number"].as_str().expect("a number").to_owned();
        let path = format!("/api/v1/jobs/{number}");
        if let Some(minutes) = once {
            let at = civil(self.now + minutes * MINUTE);
            let patch = json!({ "schedule": { "when": "once", "at": at, "zone": "UTC" } });
            match self.ask(to, Method::PATCH, &path, &made.tag, &patch) {
                Some(answer) if answer.status == 200 => {}
                // Whoever is not answered makes another one; the draft stays a draft.
                other => {
                    let status = other.map_or(0, |answer| answer.status);
                    self.note(&format!("{number} is not scheduled: {status}"));
                    return status != 0;
                }
            }
        }
        let enabled = self.ask(to, Method::POST, &format!("{path}/save"), "", &json!({ "enable": true }));
        let said = enabled.as_ref().map_or("no answer".to_owned(), |answer| answer.status.to_string());
        self.note(&format!("job {index} is {number}, {kind} of {qids:?}, once {once:?}: {said}"));
        self.jobs.insert(index, number);
        self.look_soon(to);
        // Without an answer it may be enabled or not: both are good.
        true
    }

    fn cancel(&mut self, to: usize, index: usize) -> bool {
        let Some(number) = self.jobs.get(&index).cloned() else { return true };
        let Some(answer) = self.ask(to, Method::POST, &format!("/api/v1/jobs/{number}/cancel"), "", &Value::Null)
        else {
            return false;
        };
        self.note(&format!("{number} is cancelled: {}", answer.status));
        self.mutate_after_cancel();
        self.look_soon(to);
        self.wake_all(to);
        true
    }

    fn halt(&mut self, to: usize, halted: bool) -> bool {
        let body = json!({ "halted": halted, "reason": "simulation" });
        let answer = self.ask(to, Method::PUT, "/api/v1/halt", "", &body);
        let Some(answer) = answer.filter(|answer| answer.status == 200) else { return false };
        self.halted = json(&answer.body)["halted"] == true;
        let since = self.halted.then_some(self.now);
        self.watch.halted(since);
        self.note(&format!("halted: {}", self.halted));
        self.wake_all(to);
        true
    }

    fn re_enrol(&mut self, to: usize, host: usize) -> bool {
        let Some(agent) = self.nodes[host].agent_id else { return true };
        let path = format!("/api/v1/agents/{agent}");
        let Some(answer) = self.ask(to, Method::DELETE, &path, "", &Value::Null) else { return false };
        self.note(&format!("the agent of h{host} is revoked: {}", answer.status));
        self.nodes[host].die();
        self.nodes[host].agent_id = None;
        std::fs::remove_dir_all(&self.nodes[host].state).expect("the agent's directory goes");
        self.look_soon(to);
        self.after(MINUTE, Event::Enrol { of: host });
        true
    }

    /// The owner adds a line to the first file we changed.
    fn edit(&mut self, host: usize) {
        let (root, template) = (self.nodes[host].root.clone(), self.template.root(host));
        let changed = changed(&template, &root);
        let text = |path: &&PathBuf| {
            path.starts_with("etc") && std::fs::read_to_string(root.join(path)).is_ok_and(|text| text.contains('\n'))
        };
        let Some(path) = changed.iter().find(text).cloned() else { return };
        let line = format!("# the owner of h{host} was here");
        let mut now = std::fs::read_to_string(root.join(&path)).expect("a text");
        now.push_str(&line);
        now.push('\n');
        std::fs::write(root.join(&path), now).expect("a file");
        self.note(&format!("the owner of h{host} writes into {}", path.display()));
        self.edits.push((host, path, line));
    }

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

    /// Faults stop: everything is up, connected and free from now on.
    pub fn calm(&mut self) {
        self.note("faults stop");
        self.faulty = false;
        for host in 0..self.nodes.len() {
            let node = &mut self.nodes[host];
            (node.offline_until, node.disk_full, node.points_left, node.skew) = (0, false, None, 0);
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
    }

    // --- mutations ---------------------------------------------------------------------------------------------------

    fn sql(&self, sql: &str) {
        self.database.execute_batch(sql).expect("a statement");
    }

    /// Store the halt behind the server's back.
    pub fn set_halt_row(&self, halted: bool) {
        let (from, to) = if halted { ("false", "true") } else { ("true", "false") };
        self.sql(&format!(
            "UPDATE setting SET value = replace(value, '\"halted\":{from}', '\"halted\":{to}') WHERE key = 'halt'"
        ));
    }

    /// Whether this batch of reports is to be acknowledged and lost.
    pub fn drops_events(&mut self) -> bool {
        self.mutation == Some(Mutation::AckBeforeCommit) && self.net.percent(5)
    }

    /// After a look.
    pub fn mutate_after_look(&mut self) {
        match self.mutation {
            Some(Mutation::ReofferAfterSilence) => {
                // A lease, as queues have it: ten minutes of silence and the work is somebody's again.
                let before = self.now - 10 * MINUTE;
                self.sql(&format!(
                    "UPDATE task SET state = 'ready' WHERE state IN ('offered', 'unknown') AND updated_at < {before}"
                ));
            }
            Some(Mutation::TaskAbandoned) => {
                self.sql("UPDATE task SET state = 'pending', due_at = 9000000000000000 WHERE state = 'unknown'");
            }
            _ => {}
        }
    }

    /// After a batch of reports.
    pub fn mutate_after_events(&mut self) {
        match self.mutation {
            Some(Mutation::ControlForgotten) => self.sql("DELETE FROM control WHERE id % 7 = 3"),
            Some(Mutation::ScoreForgotten) => {
                self.sql("UPDATE vulnerable_item SET residual = inherent WHERE id % 5 = 1 AND residual < inherent");
            }
            Some(Mutation::AuditEntryLost) => {
                self.sql(
                    "DELETE FROM audit_entry WHERE seal IS NOT NULL
                     AND id = (SELECT max(id) FROM audit_entry WHERE action = 'agent.enrol')",
                );
            }
            _ => {}
        }
    }

    fn mutate_after_cancel(&mut self) {
        if self.mutation == Some(Mutation::CancelWithoutTombstone) {
            self.sql(
                "UPDATE task SET state = 'cancelled', code = 101
                 WHERE cancel_requested AND state IN ('offered', 'accepted')",
            );
        }
    }

    /// Before the executor works on an order.
    pub fn mutate_before_work(&mut self, host: usize, order: Option<&Order>) {
        if self.mutation == Some(Mutation::RevertBlind) && order.is_some_and(|order| order.kind == OrderKind::Revert) {
            let edited: Vec<PathBuf> =
                self.edits.iter().filter(|(of, _, _)| *of == host).map(|(_, path, _)| path.clone()).collect();
            for path in edited {
                let (from, to) = (self.template.root(host).join(&path), self.nodes[host].root.join(&path));
                if std::fs::copy(from, &to).is_err() {
                    // There was none before.
                    let _ = std::fs::remove_file(to);
                }
            }
        }
    }
}

/// Files below `root` that are not as they are below `template`.
pub fn changed(template: &Path, root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    compare(template, root, Path::new(""), &mut found);
    found.sort();
    found
}

fn compare(template: &Path, root: &Path, below: &Path, found: &mut Vec<PathBuf>) {
    use std::os::unix::fs::MetadataExt as _;
    let mut names = std::collections::BTreeSet::new();
    for side in [template, root] {
        if let Ok(entries) = std::fs::read_dir(side.join(below)) {
            names.extend(entries.flatten().map(|entry| entry.file_name()));
        }
    }
    for name in names {
        let path = below.join(name);
        let meta = |side: &Path| std::fs::symlink_metadata(side.join(&path)).ok();
        match (meta(template), meta(root)) {
            (Some(before), Some(after)) if before.is_dir() && after.is_dir() => compare(template, root, &path, found),
            (None, Some(after)) if after.is_dir() => compare(template, root, &path, found),
            (Some(before), Some(after)) if before.mode() == after.mode() => {
                let same = if before.is_symlink() {
                    std::fs::read_link(template.join(&path)).ok() == std::fs::read_link(root.join(&path)).ok()
                } else {
                    std::fs::read(template.join(&path)).ok() == std::fs::read(root.join(&path)).ok()
                };
                if !same {
                    found.push(path);
                }
            }
            _ => found.push(path),
        }
    }
}

/// The civil time of an instant in UTC, as the API takes it: `2026-11-22T03:00:00`.
fn civil(micros: i64) -> String {
    let text = Timestamp::from_micros(micros).to_string();
    text.split(['.', 'Z']).next().unwrap_or_default().to_owned()
}
