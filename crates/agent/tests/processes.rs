//! The real binary, both halves, over real TLS: enrolment, an order, and `kill -9` wherever it hurts.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;
#[path = "common/server.rs"]
mod server;

use common::{World, mode, sshd};
use domain::mitigation::ControlState;
use protocol::agent::{Event, EventKind, Outcome, TaskEpoch};
use protocol::order::{Order, OrderKind};
use server::Server;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const ID: &str = "linux-sshd-login-grace-0";
const FILE: &str = "etc/ssh/sshd_config";
const EXE: &str = env!("CARGO_BIN_EXE_quell-agent");

struct Agent {
    child: Child,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A host, a server, and an agent enrolled with it.
struct Site {
    world: World,
    server: Arc<Server>,
    state: std::path::PathBuf,
}

impl Site {
    fn new() -> Self {
        let world = World::new(vec![sshd()]);
        let server = Server::start(vec![sshd()]);
        let state = world.folder.path().join("enrolled");
        let site = Self { world, server, state };
        let mut enrol = Command::new(EXE)
            .args(["enrol", "--token-file", "-", "--root"])
            .arg(site.world.host())
            .arg("--state")
            .arg(&site.state)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(enrol.stdin.take().unwrap(), "{}", site.server.token).unwrap();
        assert!(enrol.wait().unwrap().success());
        site
    }

    fn run(&self, failpoint: Option<&str>) -> Agent {
        self.run_from(Path::new(EXE), failpoint)
    }

    fn run_from(&self, program: &Path, failpoint: Option<&str>) -> Agent {
        let mut command = Command::new(program);
        command.args(["run", "--hold-seconds", "2", "--backoff-seconds-max", "1", "--spread-seconds-max", "0"]);
        command.arg("--root").arg(self.world.host()).arg("--state").arg(&self.state).stdin(Stdio::null());
        if let Some(failpoint) = failpoint {
            command.arg("--allow-failpoints").env(agent::failpoint::VARIABLE, failpoint);
        }
        Agent { child: command.spawn().unwrap() }
    }

    fn order(&self, kind: OrderKind, task: u128) -> Order {
        self.world.order(kind, ID, task, 1)
    }

    /// Intents per (task, epoch) in the journal.
    fn intents(&self) -> BTreeMap<(Uuid, u32), usize> {
        let (damage, records) = agent::journal::Journal::read(&self.state.join("journal")).unwrap();
        assert_eq!(damage, None);
        let mut intents = BTreeMap::new();
        for record in records {
            if let agent::record::Record::Intent { task, epoch, .. } = record {
                *intents.entry((task, epoch)).or_default() += 1;
            }
        }
        intents
    }
}

/// The one child of a process, if it has one now.
fn child_of(parent: u32) -> Option<u32> {
    let pids =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        after.split_whitespace().nth(1) == Some(parent.to_string().as_str())
    };
    pids.into_iter().find(is)
}

fn died(agent: &mut Agent) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if agent.child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Counts how often a name in a directory was replaced by a rename.
struct Replacements {
    inotify: OwnedFd,
}

impl Replacements {
    fn watch(directory: &Path) -> Self {
        use rustix::fs::inotify;
        let inotify = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        let events = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::CLOSE_WRITE;
        inotify::add_watch(&inotify, directory, events).unwrap();
        Self { inotify }
    }

    /// Replacements and in-place writes of the file since last asked.
    fn count(&self, name: &str) -> usize {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 16 * 1024];
        let mut reader = rustix::fs::inotify::Reader::new(&self.inotify, &mut buffer);
        let mut count = 0;
        while let Ok(event) = reader.next() {
            count += usize::from(event.file_name().is_some_and(|file| file.to_bytes() == name.as_bytes()));
        }
        count
    }
}

#[test]
fn enrols_polls_applies_reports_and_reverts() {
    let site = Site::new();
    let secret = site.state.join("agent.key");
    assert_eq!((mode(&site.state), mode(&secret)), (0o700, 0o600));
    let before = site.world.snapshot();
    let agent = site.run(None);
    let task = Uuid::from_u128(1);
    site.server.offer(site.order(OrderKind::Apply, 1));
    let EventKind::Finished(report) = site.server.ended(task, 1) else { panic!() };
    assert_eq!((report.outcome, report.state), (Outcome::Succeeded, ControlState::Effective), "{}", report.message);
    assert!(site.world.read(FILE).contains("LoginGraceTime 0"));
    let kinds: Vec<_> = site.server.events_of(task, 1).into_iter().map(|event| event.n).collect();
    assert_eq!(kinds, [1, 2, 3]);
    site.server.offer(site.order(OrderKind::Revert, 2));
    let EventKind::Finished(report) = site.server.ended(Uuid::from_u128(2), 1) else { panic!() };
    assert_eq!(report.outcome, Outcome::Reverted);
    assert_eq!(site.world.snapshot(), before);
    let facts = site.server.wait("facts", |store| store.facts.clone());
    assert!(facts.capabilities.contains(&"file.setting@1".to_owned()));
    let net = child_of(agent.child.id()).expect("the network half runs");
    let status = |pid: u32, field: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
        line.split_whitespace().next().unwrap_or_default().to_owned()
    };
    assert_eq!(status(agent.child.id(), "Seccomp:"), "2", "the executor half is filtered");
    assert_eq!(status(net, "NoNewPrivs:"), "1");
    if rustix::process::geteuid().is_root() {
        assert_ne!(status(net, "Uid:"), "0", "the network half is not root");
    }
    // Each half holds only what is its own: no socket here, nothing of the agent's directory there.
    let open = |pid: u32| -> Vec<String> {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().filter_map(Result::ok);
        files.filter_map(|file| std::fs::read_link(file.path()).ok()).map(|link| link.display().to_string()).collect()
    };
    assert!(!open(agent.child.id()).iter().any(|file| file.starts_with("socket:")));
    let kept = site.state.display().to_string();
    assert!(!open(net).iter().any(|file| file.starts_with(&kept)), "{:?}", open(net));
    assert!(site.server.store.0.lock().unwrap().conflicts.is_empty());
}

#[test]
fn the_network_half_starts_from_a_place_its_user_cannot_enter() {
    let site = Site::new();
    let hidden = site.world.folder.path().join("hidden");
    std::fs::create_dir(&hidden).unwrap();
    common::set_mode(&hidden, 0o700);
    let program = hidden.join("quell-agent");
    std::fs::copy(EXE, &program).unwrap();
    let _agent = site.run_from(&program, None);
    site.server.wait("a poll", |store| (store.polls > 1).then_some(()));
}

#[test]
fn a_token_of_another_server_is_noticed_and_nothing_is_kept() {
    let world = World::new(vec![sshd()]);
    let (real, other) = (Server::start(Vec::new()), Server::start(Vec::new()));
    let decode = |token: &str| agent::enrol::read_token(token).unwrap();
    let mut forged = decode(&real.token);
    forged.server = decode(&other.token).server;
    use base64::Engine as _;
    let text = serde_json::to_vec(&forged).unwrap();
    let token = format!("quell1.{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text));
    let state = world.folder.path().join("enrolled");
    let error = agent::enrol::enrol(&token, &state, &world.host(), 1).unwrap_err();
    assert!(matches!(error, agent::enrol::EnrolError::WrongCertificate { .. }), "{error}");
    assert!(!state.join("agent.json").exists() && !state.join("agent.key").exists());
}

#[test]
fn a_revocation_before_the_start_wins_for_ever() {
    let site = Site::new();
    let task = Uuid::from_u128(1);
    site.server.store.0.lock().unwrap().revoke.push(TaskEpoch { task, epoch: 1 });
    let _agent = site.run(None);
    assert_eq!(site.server.ended(task, 1), EventKind::Revoked);
    let before = site.world.snapshot();
    // Offered all the same, as a server restored from an old copy would.
    site.server.store.0.lock().unwrap().events.clear();
    site.server.offer(site.order(OrderKind::Apply, 1));
    site.server.wait("the answer", |store| store.events.get(&(task, 1)).map(|_| ()));
    assert_eq!(site.world.snapshot(), before);
}

/// Kill the executor half at a point while it applies, restart it, and look (S1, S3, L1).
fn killed_while_applying(point: &str) {
    let site = Site::new();
    let task = Uuid::from_u128(1);
    let changes = Replacements::watch(&site.world.host().join("etc/ssh"));
    let mut agent = site.run(Some(&format!("{point}:kill")));
    site.server.offer(site.order(OrderKind::Apply, 1));
    assert!(died(&mut agent), "{point} is never passed");
    drop(agent);
    let _agent = site.run(None);
    let end = site.server.ended(task, 1);
    let changed = changes.count("sshd_config");
    let in_place = site.world.read(FILE).contains("LoginGraceTime 0");
    assert!(changed <= 1, "{point}: replaced {changed} times");
    assert_eq!(changed == 1, in_place, "{point}");
    assert!(site.intents().values().all(|count| *count == 1), "{point}: {:?}", site.intents());
    match &end {
        EventKind::Finished(report) => assert_eq!(report.outcome, Outcome::Succeeded, "{point}"),
        EventKind::Interrupted { state, .. } => {
            let expected = if in_place { ControlState::Effective } else { ControlState::Exposed };
            assert_eq!(*state, expected, "{point}");
        }
        other => panic!("{point}: {other:?}"),
    }
    // Whatever happened, a revert puts things right, and nothing was told twice in different words.
    site.server.offer(site.order(OrderKind::Revert, 2));
    let EventKind::Finished(report) = site.server.ended(Uuid::from_u128(2), 1) else { panic!() };
    assert!(matches!(report.outcome, Outcome::Reverted | Outcome::NotOurs), "{point}: {}", report.message);
    assert_eq!(site.world.read(FILE), "Port 22\nUsePAM yes\n", "{point}");
    let leftovers = std::fs::read_dir(site.world.host().join("etc/ssh")).unwrap().count();
    assert_eq!(leftovers, 1, "{point}: a temporary file stays");
    assert!(site.server.store.0.lock().unwrap().conflicts.is_empty(), "{point}");
}

#[test]
fn that_work_began_is_told_before_it_is_done_for_a_host_that_dies_over_it() {
    let started =
        |text: &String| serde_json::from_str::<Event>(text).is_ok_and(|event| event.event == EventKind::Started);
    for (kind, task) in [(OrderKind::Apply, 1), (OrderKind::Revert, 2)] {
        let site = Site::new();
        if kind == OrderKind::Revert {
            let _agent = site.run(None);
            site.server.offer(site.order(OrderKind::Apply, 1));
            site.server.ended(Uuid::from_u128(1), 1);
        }
        let before = site.world.read(FILE);
        // The work goes on for longer than this waits.
        let agent = site.run(Some("before-replace:sleep=600000"));
        site.server.offer(site.order(kind, task));
        let of = (Uuid::from_u128(task), 1);
        site.server.wait("the start", |store| store.events.get(&of)?.iter().any(started).then_some(()));
        assert_eq!(site.world.read(FILE), before, "{kind:?}: it is not done yet");
        assert_eq!(site.intents()[&of], 1, "{kind:?}: what is told is durable");
        // The host dies; what was told stays true.
        drop(agent);
        let _agent = site.run(None);
        let end = site.server.ended(of.0, of.1);
        assert!(matches!(end, EventKind::Interrupted { .. } | EventKind::Finished(_)), "{kind:?}: {end:?}");
        assert!(site.server.store.0.lock().unwrap().conflicts.is_empty(), "{kind:?}");
    }
}

#[test]
fn kill_9_of_the_executor_at_every_point_of_an_apply() {
    let points = agent::failpoint::ALL.iter().map(|(name, _)| *name);
    // What is passed with a firewall rule only is passed in `dead_man.rs`, what by an undo in `services`.
    let elsewhere =
        |name: &&str| ["net-", "revert-", "undo-"].iter().any(|start| name.starts_with(start)) || *name == "unproven";
    for point in points.filter(|name| !elsewhere(name)) {
        killed_while_applying(point);
    }
}

#[test]
fn kill_9_of_the_executor_at_every_point_of_a_revert() {
    let points = ["revert-before-write", "after-intent", "before-replace", "after-replace", "revert-after-write"];
    for point in points.into_iter().chain(["revert-effect", "revert-released", "revert-restarted"]) {
        let site = Site::new();
        let before = site.world.snapshot();
        let agent = site.run(None);
        site.server.offer(site.order(OrderKind::Apply, 1));
        site.server.ended(Uuid::from_u128(1), 1);
        drop(agent);
        let changes = Replacements::watch(&site.world.host().join("etc/ssh"));
        let mut agent = site.run(Some(&format!("{point}:kill")));
        site.server.offer(site.order(OrderKind::Revert, 2));
        assert!(died(&mut agent), "{point} is never passed");
        drop(agent);
        let _agent = site.run(None);
        let end = site.server.ended(Uuid::from_u128(2), 1);
        assert!(matches!(end, EventKind::Finished(_) | EventKind::Interrupted { .. }), "{point}: {end:?}");
        // A new task does what may be left to do.
        site.server.offer(site.order(OrderKind::Revert, 3));
        let EventKind::Finished(report) = site.server.ended(Uuid::from_u128(3), 1) else { panic!() };
        assert!(matches!(report.outcome, Outcome::Reverted | Outcome::NotOurs), "{point}: {}", report.message);
        assert_eq!(changes.count("sshd_config"), 1, "{point}: put back once");
        assert_eq!(site.world.snapshot(), before, "{point}");
        assert!(site.intents().values().all(|count| *count == 1), "{point}");
    }
}

#[test]
fn kill_9_of_the_network_half_loses_nothing() {
    for point in ["net-before-send:kill@4", "net-after-reply:kill@4"] {
        let site = Site::new();
        let changes = Replacements::watch(&site.world.host().join("etc/ssh"));
        let _agent = site.run(Some(point));
        site.server.offer(site.order(OrderKind::Apply, 1));
        let EventKind::Finished(report) = site.server.ended(Uuid::from_u128(1), 1) else { panic!() };
        assert_eq!(report.outcome, Outcome::Succeeded, "{point}");
        assert_eq!(changes.count("sshd_config"), 1, "{point}");
        assert!(site.intents().values().all(|count| *count == 1), "{point}");
        assert!(site.server.store.0.lock().unwrap().conflicts.is_empty(), "{point}");
    }
}

#[test]
fn kill_9_at_random_instants_ends_every_task_once() {
    // xorshift: the same instants in every run of the same build.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |end: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % end
    };
    let site = Site::new();
    let kills = std::env::var("QUELL_AGENT_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(30_u32);
    let tasks = u128::from(kills / 3);
    for round in 1..=tasks {
        let changes = Replacements::watch(&site.world.host().join("etc/ssh"));
        let kind = if round % 2 == 1 { OrderKind::Apply } else { OrderKind::Revert };
        site.server.offer(site.order(kind, round));
        for _ in 0..3 {
            let mut agent = site.run(None);
            std::thread::sleep(Duration::from_millis(next(400)));
            // Sometimes the network half first, and the executor half while it starts another.
            if next(2) == 0
                && let Some(net) = child_of(agent.child.id())
            {
                let pid = rustix::process::Pid::from_raw(i32::try_from(net).unwrap()).unwrap();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                std::thread::sleep(Duration::from_millis(next(100)));
            }
            let _ = agent.child.kill();
            let _ = agent.child.wait();
        }
        let _agent = site.run(None);
        let end = site.server.ended(Uuid::from_u128(round), 1);
        assert!(matches!(end, EventKind::Finished(_) | EventKind::Interrupted { .. }), "{end:?}");
        assert!(changes.count("sshd_config") <= 1, "round {round}");
    }
    assert!(site.intents().values().all(|count| *count == 1), "S1");
    let store = site.server.store.0.lock().unwrap();
    assert!(store.conflicts.is_empty());
    assert_eq!(store.events.len(), usize::try_from(tasks).unwrap(), "every task ended");
}

/// What a power cut leaves: the process gone, and the record that was written but not synced gone with it.
#[test]
fn unsynced_records_lost_with_the_process_change_nothing_that_matters() {
    for passed in 1..=8 {
        let site = Site::new();
        let task = Uuid::from_u128(1);
        let changes = Replacements::watch(&site.world.host().join("etc/ssh"));
        let mut agent = site.run(Some(&format!("journal-before-sync:kill@{passed}")));
        site.server.offer(site.order(OrderKind::Apply, 1));
        assert!(died(&mut agent), "record {passed} is never written");
        drop(agent);
        let path = site.state.join("journal/journal.log");
        let bytes = std::fs::read(&path).unwrap();
        let magic = [0xf5, b'Q', b'J', 1];
        let last = bytes.windows(4).rposition(|window| window == magic).unwrap();
        std::fs::write(&path, &bytes[..last]).unwrap();
        let _agent = site.run(None);
        let end = site.server.ended(task, 1);
        let in_place = site.world.read(FILE).contains("LoginGraceTime 0");
        assert_eq!(changes.count("sshd_config"), usize::from(in_place), "record {passed}");
        assert!(site.intents().values().all(|count| *count == 1), "record {passed}");
        assert!(matches!(end, EventKind::Finished(_) | EventKind::Interrupted { .. }), "record {passed}: {end:?}");
        assert!(site.server.store.0.lock().unwrap().conflicts.is_empty(), "record {passed}");
        site.server.offer(site.order(OrderKind::Revert, 2));
        let EventKind::Finished(report) = site.server.ended(Uuid::from_u128(2), 1) else { panic!() };
        assert!(matches!(report.outcome, Outcome::Reverted | Outcome::NotOurs), "record {passed}: {}", report.message);
        assert_eq!(site.world.read(FILE), "Port 22\nUsePAM yes\n", "record {passed}");
    }
}

/// The server counts on no change staying unproven for longer.
#[test]
fn nobody_can_make_the_agent_wait_longer_for_its_proof_than_the_server_counts_on() {
    let state = tempfile::tempdir().unwrap();
    for (seconds, said) in [("0", "is not in 1..=60"), ("61", "is not in 1..=60"), ("60", "not enrolled")] {
        let mut command = Command::new(EXE);
        command.args(["run", "--unconfined", "--proof-seconds", seconds, "--state"]).arg(state.path().join("state"));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(said), "{seconds}: {text}");
    }
}
