//! One simulated subscription, one server, one host with an agent: enough for every order of events between them.

use crate::api::Api;
use crate::processes::{Process, binaries, until};
use catalogue::bundle::Bundle;
use protocol::signed::PublicKey;
use qualys_sim::{Options, Simulator, weakness};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use ureq::http::Method;

/// Entries that change exactly one file each, no two the same one, with that file.
pub const ENTRIES: &[(&str, &str)] = &[
    ("linux-sshd-login-grace-0", "etc/ssh/sshd_config"),
    ("linux-pkexec-no-suid", "usr/bin/pkexec"),
    ("linux-sudoedit-editor-env", "etc/sudoers.d/00-quell-cve-2023-22809"),
    ("linux-sudo-pwfeedback-off", "etc/sudoers.d/zz-quell-cve-2019-18634"),
    ("linux-udisks-modify-device-auth", "etc/polkit-1/rules.d/10-quell-udisks.rules"),
    ("linux-ssh-client-verifyhostkeydns-no", "etc/ssh/ssh_config"),
    ("linux-needrestart-no-interpreters", "etc/needrestart/conf.d/90-quell-interpscan.conf"),
];
/// A subscription whose first host has four weaknesses that these entries answer.
const SEED: u64 = 44;
/// Longest wait for the end of a job, in seconds.
pub const PATIENCE: u64 = 120;

/// Path below the root: bytes, mode, owner.
pub type Files = BTreeMap<PathBuf, (Vec<u8>, u32, u32)>;

/// A job that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub number: String,
    pub status: String,
    /// Entry, state, code, epoch.
    pub tasks: Vec<(String, String, i64, i64)>,
}

pub struct World {
    pub api: Api,
    pub server: Option<Process>,
    pub agent: Option<Process>,
    /// QIDs that a job of this world is made for, and the files their entries change.
    pub qids: Vec<i64>,
    pub targets: Vec<PathBuf>,
    /// Everything that a power cut may take: server data, agent state, the host's files.
    pub disk: PathBuf,
    /// Failpoints with which the agent is started unless others are named: pauses, so that there is time to die in.
    pub pauses: Option<&'static str>,
    ports: (u16, u16),
    agent_program: PathBuf,
    folder: TempDir,
    simulator: Option<(tokio::runtime::Runtime, Simulator)>,
}

/// The entries that come with the program, signed with keys that are forgotten at once.
pub fn throw_away(order: &PublicKey) -> Bundle {
    let entries = catalogue::embedded::entries().unwrap();
    catalogue::ephemeral::Ephemeral::make(order, &entries, 1, agent::clock::wall(), 24 * 3600).unwrap().bundle
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl World {
    /// Everything set up, imported and enrolled; server and agent run.
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("quell-crash-").unwrap();
        let disk = folder.path().join("disk");
        std::fs::create_dir(&disk).unwrap();
        Self::on(folder, disk)
    }

    /// The same with what a power cut may take below `disk`.
    pub fn on(folder: TempDir, disk: PathBuf) -> Self {
        let prepare = |root: &Path| {
            for (_, target) in ENTRIES {
                std::fs::create_dir_all(root.join(target).parent().unwrap()).unwrap();
            }
        };
        let mut world = Self::of(folder, disk, SEED, prepare, throw_away);
        world.choose();
        world
    }

    /// One host of this seed's subscription, its files changed by `prepare` before anybody looks at them. Which weaknesses a
    /// job is made for is left to be said. `sign` makes the catalogue for a server with this order key.
    pub fn of(
        folder: TempDir,
        disk: PathBuf,
        seed: u64,
        prepare: impl FnOnce(&Path),
        sign: impl FnOnce(&PublicKey) -> Bundle,
    ) -> Self {
        // The network half runs as another user, who has to reach its executable.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let agent_program = folder.path().join("quell-agent");
        std::fs::copy(binaries().join("quell-agent"), &agent_program).unwrap();
        let ports = (free_port(), free_port());
        let mut world = Self {
            api: Api::new(ports.0),
            server: None,
            agent: None,
            qids: Vec::new(),
            targets: Vec::new(),
            disk,
            pauses: None,
            ports,
            agent_program,
            folder,
            simulator: None,
        };
        world.populate(seed, prepare, sign);
        world
    }

    pub fn root(&self) -> PathBuf {
        self.disk.join("root")
    }

    pub fn state(&self) -> PathBuf {
        self.disk.join("agent")
    }

    pub fn database(&self) -> PathBuf {
        self.disk.join("server/quell.db")
    }

    pub fn log(&self, of: &str) -> PathBuf {
        self.folder.path().join(of).with_extension("log")
    }

    /// Start the server, dying at a point if one is named, and wait until it answers.
    pub fn start_server(&mut self, failpoint: Option<&str>) {
        let mut command = Command::new(binaries().join("quell"));
        command.args(["serve", "--plain-http", "--listen", &format!("127.0.0.1:{}", self.ports.0)]);
        command.args(["--agent-listen", &format!("127.0.0.1:{}", self.ports.1), "--log", "warn"]);
        command.args(["--agent-url", &format!("https://127.0.0.1:{}", self.ports.1)]);
        command.arg("--data-dir").arg(self.disk.join("server"));
        if let Some(failpoint) = failpoint {
            command.arg("--allow-failpoints").env(server::failpoint::VARIABLE, format!("{failpoint}:kill"));
        }
        let mut server = Process::start(&mut command, &self.log("server"));
        let api = &mut self.api;
        until("an answer of the server", 60, || {
            // With a failpoint it may be dead again before it has answered once.
            (server.is_dead() || api.get("/readyz").is_ok_and(|(status, _)| status == 200)).then_some(())
        });
        self.server = Some(server);
    }

    /// Start the agent, dying at a point if one is named (`name:kill`).
    pub fn start_agent(&mut self, failpoint: Option<&str>) {
        let mut command = Command::new(&self.agent_program);
        command.args(["run", "--hold-seconds", "2", "--backoff-seconds-max", "1", "--spread-seconds-max", "0"]);
        command.arg("--state").arg(self.state()).arg("--root").arg(self.root());
        if let Some(failpoint) = failpoint.or(self.pauses) {
            command.arg("--allow-failpoints").env(agent::failpoint::VARIABLE, failpoint);
        }
        self.agent = Some(Process::start(&mut command, &self.log("agent")));
    }

    /// Start the agent again, from now on always with these pauses.
    pub fn restart_with(&mut self, pauses: &'static str) {
        self.pauses = Some(pauses);
        self.agent.take();
        self.start_agent(None);
    }

    /// Start again what has died.
    pub fn supervise(&mut self) {
        if self.server.as_mut().is_none_or(Process::is_dead) {
            self.start_server(None);
        }
        if self.agent.as_mut().is_none_or(Process::is_dead) {
            self.start_agent(None);
        }
    }

    fn populate(&mut self, seed: u64, prepare: impl FnOnce(&Path), sign: impl FnOnce(&PublicKey) -> Bundle) {
        self.start_server(None);
        let log = self.log("server");
        let once = until("showing the first password", 30, || {
            let said = std::fs::read_to_string(&log).unwrap();
            said.lines().find_map(|line| Some(line.trim().strip_prefix("password:")?.trim().to_owned()))
        });
        self.api.sign_in("admin", &once);
        self.install_catalogue(sign);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let options = Options { seed, hosts: 3, demo_hosts: 1, detections_per_host: 2, ..Options::default() };
        let simulator = runtime.block_on(Simulator::start(options)).unwrap();
        let host = simulator.demo_hosts().remove(0);
        std::fs::create_dir(self.root()).unwrap();
        simulator.write_root(&host, &self.root()).unwrap();
        prepare(&self.root());
        self.import(&simulator);
        self.enrol();
        self.simulator = Some((runtime, simulator));
    }

    fn install_catalogue(&mut self, sign: impl FnOnce(&PublicKey) -> Bundle) {
        let present = self.api.must(Method::GET, "/api/v1/catalogue", None);
        let shown = if present["catalogue"].is_object() { &present["catalogue"] } else { &present };
        let bundle = sign(&shown["order_key"]["public"].as_str().unwrap().parse().unwrap());
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
        let parcel = json!({
            "roots": bundle.roots.iter().map(text).collect::<Vec<_>>(),
            "index": text(&bundle.index),
            "entries": bundle.entries.values().map(text).collect::<Vec<_>>(),
        });
        self.api.must(Method::POST, "/api/v1/catalogue", Some(&parcel));
    }

    fn import(&mut self, simulator: &Simulator) {
        let new = json!({
            "name": "Qualys", "api_url": simulator.api_url(), "gateway_url": simulator.gateway_url(),
            "username": simulator.username(), "password": simulator.password(),
        });
        let made = self.api.must(Method::POST, "/api/v1/instances", Some(&new));
        let id = made["instance"]["id"].as_i64().unwrap();
        for kind in ["knowledge_base", "host_detection"] {
            let begun =
                self.api.must(Method::POST, &format!("/api/v1/instances/{id}/imports"), Some(&json!({ "kind": kind })));
            let number = begun["import"]["number"].as_str().unwrap().to_owned();
            let ended = until("the end of an import", PATIENCE, || {
                let body = self.api.must(Method::GET, &format!("/api/v1/imports/{number}"), None);
                (body["import"]["state"] != "running").then_some(body)
            });
            assert_eq!(ended["import"]["state"], "complete", "{ended}");
        }
    }

    fn enrol(&mut self) {
        let token = json!({ "label": "crash", "uses": 1, "hours": 1 });
        let token = self.api.must(Method::POST, "/api/v1/agents/tokens", Some(&token));
        let mut command = Command::new(&self.agent_program);
        command.args(["enrol", "--token", token["text"].as_str().unwrap()]);
        command.arg("--state").arg(self.state()).arg("--root").arg(self.root());
        assert!(command.status().unwrap().success(), "the agent enrols");
        self.start_agent(None);
        until("recognising the agent", PATIENCE, || {
            let agents = self.api.must(Method::GET, "/api/v1/agents", None);
            (agents["agents"][0]["link"] == "linked").then_some(())
        });
    }

    /// QIDs of the host that the catalogue answers with entries of [`ENTRIES`] alone.
    fn choose(&mut self) {
        let known: BTreeMap<&str, &str> = ENTRIES.iter().copied().collect();
        let mut used = BTreeSet::new();
        for weakness in weakness::all() {
            let Ok((200, body)) = self.api.get(&format!("/api/v1/eliminations?qid={}", weakness.qid)) else { continue };
            let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
            let entries: Vec<String> =
                list("eliminations").iter().map(|e| e["entry"].as_str().unwrap().to_owned()).collect();
            let usable = !entries.is_empty() && entries.iter().all(|entry| known.contains_key(entry.as_str()));
            let selectable = list("assets").iter().any(|asset| asset["selectable"] == true);
            if usable && selectable && entries.iter().all(|entry| !used.contains(entry)) {
                self.qids.push(i64::from(weakness.qid));
                let root = self.root();
                self.targets.extend(entries.iter().map(|entry| root.join(known[entry.as_str()])));
                used.extend(entries);
            }
        }
        assert!(self.targets.len() >= 4, "the host has too little to do: {:?}", self.targets);
        assert!(self.targets.contains(&self.root().join(ENTRIES[0].1)), "sshd is among {:?}", self.targets);
        self.targets.sort();
        self.targets.dedup();
    }

    /// Make a job of a kind; `None` where the server says that there is nothing to do.
    pub fn make_job(&mut self, kind: &str) -> Option<String> {
        let chosen: Vec<Value> = self.qids.iter().map(|qid| json!({ "qid": qid })).collect();
        let new = json!({ "kind": kind, "vulnerabilities": chosen, "title": kind, "description": "" });
        let (status, body) = self.api.post("/api/v1/jobs", &new).unwrap();
        if status == 409 || status == 422 {
            return None;
        }
        assert!(status == 200 || status == 201, "{status} {body}");
        let body = &body["job"];
        let summary = if body["summary"].is_object() { &body["summary"] } else { body };
        Some(summary["number"].as_str().unwrap().to_owned())
    }

    /// Ask once for the job to be enabled, whatever comes of it.
    pub fn enable_once(&mut self, number: &str) {
        let _ = self.api.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true }));
    }

    /// Save and enable it. The server may die before it has answered: what counts is whether it is enabled.
    pub fn enable(&mut self, number: &str) {
        let path = format!("/api/v1/jobs/{number}");
        let _ = self.api.post(&format!("{path}/save"), &json!({ "enable": true }));
        for _ in 0..20 {
            self.supervise();
            match self.summary(number).map(|summary| summary["status"].as_str().unwrap_or_default().to_owned()) {
                Some(status) if status == "DRAFT" || status == "draft" => {
                    let _ = self.api.post(&format!("{path}/save"), &json!({ "enable": true }));
                }
                Some(status) if status == "DISABLED" => {
                    let _ = self.api.post(&format!("{path}/enable"), &json!({}));
                }
                Some(_) => return,
                None => {}
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{number} cannot be enabled: {:?}", self.api.get(&path));
    }

    fn summary(&mut self, number: &str) -> Option<Value> {
        let (status, body) = self.api.get(&format!("/api/v1/jobs/{number}")).ok()?;
        assert_eq!(status, 200, "{body}");
        let job = &body["job"];
        Some(if job["summary"].is_object() { job["summary"].clone() } else { job.clone() })
    }

    /// The job's end, if it has ended.
    pub fn ended(&mut self, number: &str) -> Option<Ended> {
        let summary = self.summary(number)?;
        if summary["ended_at"].is_null() {
            return None;
        }
        let tasks = self.api.get(&format!("/api/v1/jobs/{number}/tasks")).ok()?.1;
        let mut tasks: Vec<_> = tasks["tasks"]
            .as_array()?
            .iter()
            .map(|task| {
                let text = |name: &str| task[name].as_str().unwrap_or_default().to_owned();
                let whole = |name: &str| task[name].as_i64().unwrap_or(-1);
                (text("entry"), text("state"), whole("code"), whole("epoch"))
            })
            .collect();
        tasks.sort();
        Some(Ended { number: number.to_owned(), status: summary["status"].as_str()?.to_owned(), tasks })
    }

    /// Wait for the job's end, starting again whatever dies meanwhile (L1).
    pub fn finish(&mut self, number: &str) -> Ended {
        let deadline = std::time::Instant::now() + Duration::from_secs(PATIENCE);
        loop {
            self.supervise();
            if let Some(ended) = self.ended(number) {
                return ended;
            }
            if std::time::Instant::now() >= deadline {
                let tasks = self.api.get(&format!("/api/v1/jobs/{number}/tasks"));
                let tail = |of: &str| {
                    let text = std::fs::read_to_string(self.log(of)).unwrap_or_default();
                    text.lines().rev().take(30).collect::<Vec<_>>().join("\n")
                };
                panic!("L1: {number} did not end: {tasks:?}\nagent:\n{}\nserver:\n{}", tail("agent"), tail("server"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// One whole job without disturbance.
    pub fn job(&mut self, kind: &str) -> Ended {
        let number = self.make_job(kind).unwrap_or_else(|| panic!("nothing to do for a {kind} job"));
        self.enable(&number);
        self.finish(&number)
    }

    /// Bring the host into the state in which a rollback, or a mitigation, has everything to do.
    pub fn prepare(&mut self, rollback: bool) {
        if rollback != self.make_job("rollback").is_some() {
            self.job(if rollback { "mitigation" } else { "rollback" });
        }
    }

    /// A job in the direction in which something can be done.
    pub fn next_job(&mut self) -> (String, &'static str) {
        if let Some(number) = self.make_job("rollback") {
            return (number, "rollback");
        }
        (self.make_job("mitigation").expect("a job can always be made"), "mitigation")
    }

    /// Everything below the root.
    pub fn files(&self) -> Files {
        let mut files = Files::new();
        walk(&self.root(), &mut files);
        files
    }
}

fn walk(folder: &Path, files: &mut Files) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let bytes = if meta.is_dir() {
            walk(&path, files);
            Vec::new()
        } else if meta.is_symlink() {
            std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            std::fs::read(&path).unwrap()
        };
        files.insert(path, (bytes, meta.mode(), meta.uid()));
    }
}
