//! What people and owners of hosts do, carried out.

use crate::disks::changed;
use crate::fleet::{Event, Fleet, MINUTE, SECOND};
use crate::plan::{Act, NewJob, Press, When};
use crate::replica::{Answer, Asked, Door, json};
use agent::state::StateDir;
use axum::http::Method;
use domain::time::Timestamp;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever makes the jobs.
    Author,
    /// The second person.
    Second,
}

impl Fleet<'_> {
    /// Somebody does something, at one of the servers; tried again where it died over it.
    pub fn act(&mut self, act: Act) {
        let to = self.people.index(self.replicas.len());
        let done = match &act {
            Act::Job(new) => self.make_job(to, new),
            Act::Press(index, press) => self.press_index(to, *index, *press),
            Act::Halt => self.halt(to, true),
            Act::Resume => self.halt(to, false),
            Act::Policy(class) => {
                let body = json!({ "from_class": class });
                let set = self.ask(Who::Author, to, Method::PUT, "/api/v1/approvals/policy", "", &body);
                self.note(&format!("a second person is asked from class {class} on: {}", said(set.as_ref())));
                set.is_some()
            }
            Act::Sign(key) => self.sign(to, *key),
            Act::Reject => self.reject(to),
            Act::Cheat => self.cheat(to),
            Act::LetGo => {
                self.let_go(to);
                true
            }
            Act::ReEnrol(host) => self.re_enrol(to, *host),
            Act::Bury(host) => self.bury(to, *host),
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

    fn make_job(&mut self, to: usize, new: &NewJob) -> bool {
        let chosen: Vec<Value> = new
            .qids
            .iter()
            .map(|qid| {
                let only: Vec<i64> =
                    self.template.assets_of(*qid).into_iter().filter(|asset| new.assets.contains(asset)).collect();
                if new.assets.is_empty() { json!({ "qid": qid }) } else { json!({ "qid": qid, "assets": only }) }
            })
            .collect();
        let (index, kind) = (new.index, new.kind);
        let body = json!({ "kind": kind, "vulnerabilities": chosen, "title": format!("job {index}") });
        let Some(made) = self.ask(Who::Author, to, Method::POST, "/api/v1/jobs", "", &body) else { return false };
        if made.status != 201 {
            let code = json(&made.body)["code"].clone();
            self.note(&format!("job {index} of kind {kind} is not made: {} {code}", made.status));
            return true;
        }
        let body = json(&made.body);
        let job = if body["job"]["summary"].is_object() { &body["job"]["summary"] } else { &body["job"] };
        let number = job["number"].as_str().expect("a number").to_owned();
        let path = format!("/api/v1/jobs/{number}");
        if let Some(patch) = self.patch(new) {
            match self.ask(Who::Author, to, Method::PATCH, &path, &made.tag, &patch) {
                Some(answer) if answer.status == 200 => {
                    if let Some(spread) = &new.spread {
                        self.watch.limits.entered(ordinal(&number), spread.clone());
                    }
                }
                // Whoever is not answered makes another one; the draft stays a draft.
                other => {
                    self.note(&format!("{number} is not as wanted: {}", said(other.as_ref())));
                    return other.is_some();
                }
            }
        }
        let enabled = self.ask(Who::Author, to, Method::POST, &format!("{path}/save"), "", &json!({ "enable": true }));
        let (qids, when, said) = (&new.qids, new.when, said(enabled.as_ref()));
        self.note(&format!("job {index} is {number}, {kind} of {qids:?}, {when:?}, {:?}: {said}", new.spread));
        self.jobs.insert(index, number);
        self.look_soon(to);
        // Without an answer it may be enabled or not: both are good.
        true
    }

    /// What is wanted of a job beside what it is for.
    fn patch(&self, new: &NewJob) -> Option<Value> {
        let mut patch = serde_json::Map::new();
        match new.when {
            When::Demand => {}
            When::Once(minutes) => {
                let at = civil(self.now + minutes * MINUTE);
                patch.insert("schedule".to_owned(), json!({ "when": "once", "at": at, "zone": "UTC" }));
            }
            When::Daily(minutes, count, window) => {
                let at = civil(self.now + minutes * MINUTE);
                let repeat = json!({ "by": "daily", "count": count });
                let schedule =
                    json!({ "when": "recurring", "at": at, "zone": "UTC", "window_minutes": window, "repeat": repeat });
                patch.insert("schedule".to_owned(), schedule);
            }
        }
        if let Some(spread) = &new.spread {
            patch.insert("rollout".to_owned(), spread.json());
        }
        (!patch.is_empty()).then_some(Value::Object(patch))
    }

    fn press_index(&mut self, to: usize, index: usize, press: Press) -> bool {
        let Some(number) = self.jobs.get(&index).cloned() else { return true };
        self.press(to, &number, press)
    }

    /// Do something to a job; `false` without an answer.
    pub fn press(&mut self, to: usize, number: &str, press: Press) -> bool {
        let word = match press {
            Press::Cancel => "cancel",
            Press::HaltRun => "run/halt",
            Press::ResumeRun => "run/resume",
            Press::Promote => "run/promote",
            Press::Pause => "pause",
            Press::Resume => "resume",
            Press::RunNow => "run",
            Press::Retry => "retry",
        };
        if press == Press::ResumeRun {
            let tasks = self.tasks();
            self.watch.limits.accepted(ordinal(number), &tasks);
        }
        let body = if press == Press::HaltRun { json!({ "reason": "simulation" }) } else { Value::Null };
        let answer = self.ask(Who::Author, to, Method::POST, &format!("/api/v1/jobs/{number}/{word}"), "", &body);
        if press == Press::Promote && answer.as_ref().is_none_or(|answer| answer.status == 200) {
            self.watch.limits.promoted(ordinal(number));
        }
        self.note(&format!("{number} {word}: {}", said(answer.as_ref())));
        self.see();
        if press == Press::Cancel && answer.is_some() {
            self.mutate_after_cancel();
        }
        if answer.is_some() {
            self.look_soon(to);
            self.wake_all(to);
        }
        answer.is_some()
    }

    /// People let go of what they hold back, again and again until nothing is open.
    fn let_go(&mut self, to: usize) {
        if self.quiet() {
            return;
        }
        self.lets_go += 1;
        let open = "SELECT DISTINCT j.number FROM job j JOIN task t ON t.job_id = j.id WHERE t.code IS NULL ORDER BY 1";
        let mut numbers: Vec<i64> = self.rows(open, |row| row.get(0));
        let paused = "SELECT number FROM job WHERE paused ORDER BY number";
        numbers.extend(self.rows::<i64>(paused, |row| row.get(0)));
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            let number = format!("MJ{number:07}");
            self.press(to, &number, Press::Resume);
            self.press(to, &number, Press::ResumeRun);
            // A wave whose results will never be enough is a person's to judge.
            if self.lets_go > 2 {
                self.press(to, &number, Press::Promote);
            }
        }
        for key in 0..2 {
            self.sign(to, key);
        }
        let pause = if self.hold > 60 * MINUTE { 120 } else { 20 };
        self.after(pause * MINUTE, Event::Act(Act::LetGo));
    }

    fn halt(&mut self, to: usize, halted: bool) -> bool {
        let body = json!({ "halted": halted, "reason": "simulation" });
        let answer = self.ask(Who::Author, to, Method::PUT, "/api/v1/halt", "", &body);
        let Some(answer) = answer.filter(|answer| answer.status == 200) else { return false };
        self.halted = json(&answer.body)["halted"] == true;
        let since = self.halted.then_some(self.now);
        self.watch.halted(since);
        self.note(&format!("halted: {}", self.halted));
        self.wake_all(to);
        true
    }

    fn re_enrol(&mut self, to: usize, host: usize) -> bool {
        // Nobody enrols a machine that is not there.
        if self.nodes[host].gone || self.nodes[host].off_until > self.now || self.nodes[host].agent_id.is_none() {
            return true;
        }
        if !self.bury(to, host) {
            return false;
        }
        self.nodes[host].die();
        self.nodes[host].agent_id = None;
        std::fs::remove_dir_all(&self.nodes[host].state).expect("the agent's directory goes");
        self.look_soon(to);
        self.after(MINUTE, Event::Enrol { of: host });
        true
    }

    /// The agent of a host is revoked.
    fn bury(&mut self, to: usize, host: usize) -> bool {
        let Some(agent) = self.nodes[host].agent_id else { return true };
        let path = format!("/api/v1/agents/{agent}");
        let Some(answer) = self.ask(Who::Author, to, Method::DELETE, &path, "", &Value::Null) else { return false };
        self.note(&format!("the agent of h{host} is revoked: {}", answer.status));
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

    /// Ask a server as a person; `None` where it died or does not run.
    pub fn ask(&mut self, who: Who, to: usize, method: Method, path: &str, tag: &str, body: &Value) -> Option<Answer> {
        if !self.replicas[to].up() {
            return None;
        }
        let now = self.now;
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let token = if who == Who::Author { &self.template.token } else { &self.template.second };
        let asked = Asked { door: Door::People, method, path, tag, token: Some(token), body };
        let answer = self.replicas[to].ask(&self.runtime, now, asked);
        if answer.is_none() {
            self.server_died(to);
        }
        answer
    }
}

/// What a server said, for the trace.
pub fn said(answer: Option<&Answer>) -> String {
    answer.map_or("no answer".to_owned(), |answer| answer.status.to_string())
}

/// The ordinal of a job's number.
fn ordinal(number: &str) -> i64 {
    number.trim_start_matches("MJ").parse().expect("a number")
}

/// The civil time of an instant in UTC, as the API takes it: `2026-11-22T03:00:00`.
fn civil(micros: i64) -> String {
    let text = Timestamp::from_micros(micros).to_string();
    text.split(['.', 'Z']).next().unwrap_or_default().to_owned()
}
