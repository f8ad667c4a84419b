//! A package manager that a killed agent left at work: the next start waits for it, and while it runs no package is changed, judged or
//! put back. That it is never stopped, and not mistaken for another process, is tested where it is found (`leftover.rs`).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use agent::executor::Executor;
use agent::fs::Tree;
use agent::host::Host;
use agent::journal::Journal;
use agent::record::{By, Hold, Holding, Package, Record, Step};
use agent::state::StateDir;
use common::{World, entry};
use domain::mitigation::ControlState;
use protocol::agent::Outcome;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const ID: &str = "linux-no-telnet";

fn world() -> World {
    let action = "[[action]]\nkind = \"package.state\"\nnames = { apt = [\"telnetd\"] }\nwant = \"absent\"\n";
    let world = World::new(vec![entry(ID, action)]);
    world.write("var/lib/dpkg/status", "Package: telnetd\nStatus: install ok installed\nVersion: 1\n");
    world
}

/// Something that works for so long, written down as an agent does that begins a package manager.
fn left(world: &World, seconds: &str) -> Child {
    let child = Command::new("/bin/sleep").arg(seconds).process_group(0).spawn().unwrap();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let session: i32 = stat.rsplit_once(") ").unwrap().1.split_whitespace().nth(3).unwrap().parse().unwrap();
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let note = serde_json::json!({
        "program": "/usr/bin/apt-get", "boot_id": boot_id.trim(), "session": session, "since": 0, "group": child.id(),
    });
    std::fs::write(world.state().join("called"), note.to_string()).unwrap();
    child
}

fn open(world: &World, wait: Duration) -> Executor {
    let mut host = Host::new(Tree::open(&world.host()).unwrap());
    host.leftover_wait = wait;
    Executor::open(StateDir::open(&world.state()).unwrap(), host, false).unwrap()
}

#[test]
fn a_start_waits_for_it_within_a_bound() {
    let world = world();
    let mut child = left(&world, "2");
    let begun = Instant::now();
    drop(open(&world, Duration::from_secs(60)));
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(child.try_wait().unwrap().is_some_and(|status| status.success()), "it came to its own end");
    assert!(!world.state().join("called").exists());

    let mut child = left(&world, "60");
    let begun = Instant::now();
    drop(open(&world, Duration::from_millis(300)));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(child.try_wait().unwrap().is_none(), "it was stopped");
    assert!(world.state().join("called").exists(), "the next start looks again");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_a_note_that_cannot_be_read_may_be_about_is_waited_for_and_never_for_ever() {
    let world = world();
    let program = world.folder.path().join("dpkg");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut child = Command::new(&program).arg("60").process_group(0).spawn().unwrap();
    let note = world.state().join("called");
    std::fs::write(&note, "{\"program\":\"/usr/bin/apt-g").unwrap();
    let begun = Instant::now();
    let executor = open(&world, Duration::from_millis(300));
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    assert!(child.try_wait().unwrap().is_none(), "it was stopped");
    assert!(!note.exists(), "it keeps nothing from being done");
    drop(executor);
    assert_eq!(world.check(ID, 1).state, ControlState::Exposed, "packages are judged again");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn while_it_runs_no_package_is_changed_judged_or_put_back() {
    let world = world();
    assert_eq!(world.check(ID, 1).state, ControlState::Exposed);
    world.stop();
    // A package that an agent took away: whether it is back is for the one at work to say.
    let (mut journal, _) = Journal::open(&world.state().join("journal")).unwrap();
    let package = Package { name: "telnetd".to_owned(), version: "1".to_owned() };
    let hold = Hold {
        index: 0,
        kind: "package.state".to_owned(),
        key: "package telnetd".to_owned(),
        target: "telnetd".to_owned(),
        by: By::Us,
        steps: vec![0],
        edit: None,
        xml: None,
    };
    let holding = Holding {
        entry_id: ID.to_owned(),
        revision: 1,
        content_digest: world.entries[ID].digest().to_string(),
        boot_id: String::new(),
        restarted: true,
        steps: vec![Step::Remove { packages: vec![package] }],
        holds: vec![hold],
    };
    journal.append(&Record::Held { holding }).unwrap();
    drop(journal);
    world.start();
    world.tell(agent::frame::ToExecutor::Time { server: common::now() });
    world.tell(agent::frame::ToExecutor::Index { envelope: world.index.clone() });
    let mut child = left(&world, "60");
    let before = world.snapshot();
    let checked = world.check(ID, 2);
    assert_eq!(checked.state, ControlState::Unknown, "{checked:#?}");
    for report in [world.apply(ID, 3), world.revert(ID, 4)] {
        assert!(matches!(report.outcome, Outcome::Failed | Outcome::RevertFailed), "{report:#?}");
        let said = format!("still runs (sleep as process {}) and is not stopped half way", child.id());
        assert!(report.message.contains(&said), "{report:#?}");
    }
    assert!(child.try_wait().unwrap().is_none(), "it was stopped");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(world.snapshot(), before);
    // The package is here, so nothing has to be put back.
    assert_eq!(world.revert(ID, 5).outcome, Outcome::Reverted);
}
