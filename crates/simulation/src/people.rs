//! What people and owners of hosts do, carried out.

use crate::disks::changed;
use crate::fleet::{Event, Fleet, MINUTE, SECOND};
use crate::plan::Act;
use crate::replica::{Answer, Asked, Door, json};
use agent::state::StateDir;
use axum::http::Method;
use domain::time::Timestamp;
use serde_json::{Value, json};
use std::path::PathBuf;

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

    /// Ask a server as the person who works with it; `None` where it died or does not run.
    pub fn ask(&mut self, to: usize, method: Method, path: &str, tag: &str, body: &Value) -> Option<Answer> {
        if !self.replicas[to].up() {
            return None;
        }
        let now = self.now;
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let asked = Asked { door: Door::People, method, path, tag, token: Some(&self.template.token), body };
        let answer = self.replicas[to].ask(&self.runtime, now, asked);
        if answer.is_none() {
            self.server_died(to);
        }
        answer
    }
}

/// The civil time of an instant in UTC, as the API takes it: `2026-11-22T03:00:00`.
fn civil(micros: i64) -> String {
    let text = Timestamp::from_micros(micros).to_string();
    text.split(['.', 'Z']).next().unwrap_or_default().to_owned()
}
