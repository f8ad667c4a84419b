//! A host in a temporary folder, a catalogue signed on the spot, and an executor driven directly.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "helpers of tests, of which each test file uses its own part"
)]

pub mod jar;

use agent::executor::Executor;
use agent::frame::{ToExecutor, ToNet};
use agent::fs::Tree;
use agent::host::Host;
use agent::state::{Enrolment, StateDir};
use catalogue::ephemeral::single_key_root;
use catalogue::index::{Index, Revocation};
use catalogue::schema::{Entry, Reboot, Reversible, Risk};
use domain::time::Timestamp;
use protocol::agent::{Event, EventKind, TaskReport};
use protocol::digest::Digest;
use protocol::order::{ORDER_TYPE, Order, OrderKind, RefusalCode, Supersedes};
use protocol::root::Root;
use protocol::signed::{Envelope, SigningKey};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Output;
use uuid::Uuid;

pub fn key(n: u8) -> SigningKey {
    SigningKey::from_secret(&[n; 32])
}

pub const ROOT: u8 = 1;
pub const CONTENT: u8 = 2;
pub const ORGANISATION: u8 = 3;
pub const ORDER: u8 = 4;

pub fn now() -> Timestamp {
    agent::clock::wall()
}

/// The SSH entry everybody uses.
pub const SSHD: &str = r#"
schema = 1
id = "linux-sshd-login-grace-0"
revision = 1
title = "sshd LoginGraceTime 0"
status = "active"
platform = "linux"
type = "config-line"
implication = "mitigation"

[[vulnerability]]
cve = "CVE-2024-6387"
coverage = "full"
points = 45
vector = "network"

[[action]]
kind = "file.setting"
path = "/etc/ssh/sshd_config"
format = "sshd"
key = "LoginGraceTime"
value = "0"
validate = "sshd"

[after]
restart = ["ssh", "sshd"]
reboot = "no"
reversible = "yes"

[human]
summary = "Text."
side_effects = "Text."
risk = "low"
remove_when_patched = true

[[reference]]
url = "https://example.com/advisory"
kind = "vendor"
"#;

/// The same frame around other actions.
pub fn entry(id: &str, actions: &str) -> Entry {
    let (head, _) = SSHD.split_once("[[action]]").unwrap();
    let (_, tail) = SSHD.split_once("[after]").unwrap();
    let tail = tail.replace("restart = [\"ssh\", \"sshd\"]\n", "");
    let text = format!("{head}{actions}\n[after]{tail}").replace("linux-sshd-login-grace-0", id);
    Entry::from_toml(&text).unwrap()
}

/// The entry as an agent does it without an approval, which it cannot check yet: the same actions in a lower class.
pub fn without_approval(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    if entry.needs_approval() {
        entry.human.risk = Risk::Medium;
        entry.after.reversible = Reversible::Yes;
        entry.after.reboot = Reboot::No;
    }
    entry
}

pub fn sshd() -> Entry {
    Entry::from_toml(SSHD).unwrap()
}

pub struct World {
    pub folder: tempfile::TempDir,
    pub root: Root,
    pub entries: BTreeMap<String, Entry>,
    pub index: String,
    pub enrolment: Enrolment,
    seq: Cell<u64>,
    executor: RefCell<Option<Executor>>,
}

impl World {
    pub fn new(entries: Vec<Entry>) -> Self {
        Self::expiring(entries, 3600, 3600)
    }

    /// Root and index run out so many seconds from now.
    pub fn expiring(entries: Vec<Entry>, root_seconds: i64, index_seconds: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = make_root(1, root_seconds);
        let sealed = String::from_utf8(root.seal(&[&key(ROOT)]).unwrap().to_json()).unwrap();
        let state = StateDir::open(&folder.path().join("state")).unwrap();
        let enrolment = Enrolment {
            format: 1,
            server: "https://127.0.0.1:1".to_owned(),
            ca_sha256: String::new(),
            agent_id: Uuid::from_u128(0xa),
            instance_id: Uuid::from_u128(0xb),
        };
        state.enrol(&enrolment, "", &sealed).unwrap();
        let index = make_index(1, index_seconds, &entries, Vec::new());
        let host = folder.path().join("host");
        std::fs::create_dir(&host).unwrap();
        let entries = entries.into_iter().map(|entry| (entry.id.to_string(), entry)).collect();
        let world = Self { folder, root, entries, index, enrolment, seq: Cell::new(1), executor: RefCell::new(None) };
        world.write("etc/ssh/sshd_config", "Port 22\nUsePAM yes\n");
        world
    }

    pub fn host(&self) -> PathBuf {
        self.folder.path().join("host")
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.host().join(path);
        let mut at = self.host();
        for part in path.parent().unwrap().strip_prefix(self.host()).unwrap() {
            at = at.join(part);
            if !at.exists() {
                std::fs::create_dir(&at).unwrap();
                std::fs::set_permissions(&at, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        std::fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.host().join(path)).unwrap()
    }

    pub fn exists(&self, path: &str) -> bool {
        std::fs::symlink_metadata(self.host().join(path)).is_ok()
    }

    /// Begin or restart the executor; the index is handed over as a network half would.
    pub fn start(&self) {
        self.stop();
        let host = Host::new(Tree::open(&self.host()).unwrap());
        let state = StateDir::open(&self.state()).unwrap();
        *self.executor.borrow_mut() = Some(Executor::open(state, host, false).unwrap());
    }

    pub fn stop(&self) {
        self.executor.borrow_mut().take();
    }

    pub fn with<T>(&self, work: impl FnOnce(&mut Executor) -> T) -> T {
        if self.executor.borrow().is_none() {
            self.start();
            self.tell(ToExecutor::Time { server: now() });
            self.tell(ToExecutor::Index { envelope: self.index.clone() });
        }
        work(self.executor.borrow_mut().as_mut().unwrap())
    }

    pub fn tell(&self, frame: ToExecutor) -> Vec<ToNet> {
        self.with(|executor| {
            executor.handle(frame);
            executor.take_out()
        })
    }

    pub fn order(&self, kind: OrderKind, entry: &str, task: u128, epoch: u32) -> Order {
        self.seq.set(self.seq.get() + 1);
        let known = &self.entries[entry];
        Order {
            v: 1,
            kind,
            order_id: Uuid::from_u128(u128::from(self.seq.get())),
            job: "MJ0000001".to_owned(),
            task: Uuid::from_u128(task),
            epoch,
            supersedes: None,
            agent_id: self.enrolment.agent_id,
            instance_id: self.enrolment.instance_id,
            order_seq: self.seq.get(),
            catalogue_min: 1,
            entry_id: entry.to_owned(),
            entry_revision: known.revision,
            content_digest: known.digest().to_string(),
            not_before: now().plus_seconds(-60),
            not_after: now().plus_seconds(600),
            run_timeout_seconds: 60,
            output_cap_bytes: 64 * 1024,
            dry_run: false,
            approval: None,
            permit: false,
            restart: false,
        }
    }

    /// Deliver an envelope, content when it is asked for, and do the work. Returns the events.
    pub fn deliver(&self, envelope: &str) -> Vec<Event> {
        let mut out = self.tell(ToExecutor::Order { envelope: envelope.to_owned() });
        let wanted: Vec<String> = out
            .iter()
            .filter_map(|frame| if let ToNet::Want { digest } = frame { Some(digest.clone()) } else { None })
            .collect();
        for digest in wanted {
            let entry = self.entries.values().find(|entry| entry.digest().to_string() == digest);
            let frame = match entry {
                Some(entry) => {
                    let text = String::from_utf8(entry.to_json()).unwrap();
                    ToExecutor::Content { digest, text }
                }
                None => ToExecutor::NoContent { digest, reason: "no such thing".to_owned() },
            };
            out.extend(self.tell(frame));
        }
        while self.with(Executor::step) {}
        out.extend(self.with(Executor::take_out));
        events(&out)
    }

    /// Sign an order, deliver it, and give its report.
    pub fn run(&self, order: &Order) -> TaskReport {
        report(&self.deliver(&sign(order, ORDER)))
    }

    pub fn apply(&self, entry: &str, task: u128) -> TaskReport {
        self.run(&self.order(OrderKind::Apply, entry, task, 1))
    }

    pub fn revert(&self, entry: &str, task: u128) -> TaskReport {
        self.run(&self.order(OrderKind::Revert, entry, task, 1))
    }

    pub fn check(&self, entry: &str, task: u128) -> TaskReport {
        self.run(&self.order(OrderKind::Check, entry, task, 1))
    }

    /// The code with which an envelope is refused; it must be.
    pub fn refused(&self, envelope: &str) -> RefusalCode {
        self.deliver(envelope);
        self.with(|executor| executor.refusals().last().expect("it is refused").code)
    }

    /// Everything on the host: path, mode, owner, bytes or link target.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, (u32, u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.host()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let meta = std::fs::symlink_metadata(&path).unwrap();
                let bytes = if meta.is_dir() {
                    folders.push(path.clone());
                    Vec::new()
                } else if meta.is_symlink() {
                    std::fs::read_link(&path).unwrap().display().to_string().into_bytes()
                } else {
                    std::fs::read(&path).unwrap()
                };
                let name = path.strip_prefix(self.host()).unwrap().to_owned();
                found.insert(name, (meta.mode(), meta.uid(), bytes));
            }
        }
        found
    }
}

pub fn make_root(version: u64, seconds: i64) -> Root {
    let [root, content, organisation, order] = [ROOT, CONTENT, ORGANISATION, ORDER].map(|n| key(n).public());
    single_key_root(&root, &content, &organisation, &order, version, now().plus_seconds(seconds))
}

pub fn make_index(version: u64, seconds: i64, entries: &[Entry], revoked: Vec<Revocation>) -> String {
    let index = Index::of(version, now().plus_seconds(seconds), entries, revoked);
    String::from_utf8(index.seal(&[&key(CONTENT)]).unwrap().to_json()).unwrap()
}

pub fn sign(order: &Order, with: u8) -> String {
    let payload = serde_json::to_vec(order).unwrap();
    String::from_utf8(Envelope::sign(ORDER_TYPE, &payload, &[&key(with)]).to_json()).unwrap()
}

pub fn events(frames: &[ToNet]) -> Vec<Event> {
    frames
        .iter()
        .filter_map(|frame| match frame {
            ToNet::Event { text, .. } => Some(serde_json::from_str(text).unwrap()),
            _ => None,
        })
        .collect()
}

pub fn report(events: &[Event]) -> TaskReport {
    let finished = events.iter().rev().find_map(|event| match &event.event {
        EventKind::Finished(report) => Some((**report).clone()),
        _ => None,
    });
    finished.unwrap_or_else(|| panic!("no report among {events:#?}"))
}

pub fn supersedes(epoch: u32, event: &Event) -> Option<Supersedes> {
    let result_digest = Digest::of(serde_json::to_string(event).unwrap().as_bytes()).to_string();
    Some(Supersedes { epoch, result_digest })
}

/// Give an executor an order about an entry with its content, and let it do the work; what the network half would get. Where the
/// executor asks whether the server is still heard, it is told so if `heard`.
pub fn carry_out(executor: &mut Executor, order: &Order, entry: &Entry, heard: bool) -> Vec<ToNet> {
    executor.handle(ToExecutor::Order { envelope: sign(order, ORDER) });
    let text = String::from_utf8(entry.to_json()).unwrap();
    executor.handle(ToExecutor::Content { digest: order.content_digest.clone(), text });
    while executor.step() {}
    let mut out = executor.take_out();
    let asked = out.iter().find_map(|frame| if let ToNet::Prove { n } = frame { Some(*n) } else { None });
    if let Some(n) = asked.filter(|_| heard) {
        executor.handle(ToExecutor::Proven { n });
        out.extend(executor.take_out());
    }
    out
}

/// What came of the part of a test that ran again in namespaces of its own: it was found there and passed, or the namespaces cannot
/// be had, which is said under the name `test`.
pub fn passed_inside(test: &str, said: std::io::Result<Output>) {
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match said {
        Ok(said) if said.status.success() => {
            assert!(words(&said.stdout).contains("1 passed"), "{test} was not found again: {}", words(&said.stdout));
        }
        Ok(said) if said.status.code() == Some(77) || said.stderr.starts_with(b"unshare:") => {
            skip::skipped(test, &words(&said.stderr));
        }
        Ok(said) => panic!("{}\n{}", words(&said.stdout), words(&said.stderr)),
        Err(error) => skip::skipped(test, &format!("unshare: {error}")),
    }
}

/// Do something where the kernel has no Landlock: a filter answers as such a kernel would.
pub fn without_landlock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    const ENOSYS: u32 = 38;
    let filtered = move || {
        // landlock_create_ruleset, _add_rule and _restrict_self have these numbers everywhere.
        let rules = BTreeMap::from([(444, Vec::new()), (445, Vec::new()), (446, Vec::new())]);
        let arch = std::env::consts::ARCH.try_into().unwrap();
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(ENOSYS), arch).unwrap();
        let program: BpfProgram = filter.try_into().unwrap();
        seccompiler::apply_filter(&program).unwrap();
        work()
    };
    std::thread::spawn(filtered).join().unwrap()
}

pub fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

pub fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
