//! The host owner's own revert, killed wherever it hurts: after the next start everything is back, or the entry is in force as it was
//! and can be put back again. And the owner's revert beside orders about the same files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use agent::executor::Executor;
use agent::failpoint::{self, Observer};
use agent::frame::ToExecutor;
use agent::fs::Tree;
use agent::host::Host;
use agent::journal::Journal;
use agent::record::Record;
use agent::state::StateDir;
use catalogue::schema::Entry;
use common::{ORDER, World, entry, mode, set_mode, sign, sshd};
use domain::mitigation::ControlState;
use protocol::agent::{EventKind, Outcome};
use protocol::order::{OrderKind, RefusalCode};
use std::cell::Cell;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};
use uuid::Uuid;

const ID: &str = "linux-many";
const EXE: &str = env!("CARGO_BIN_EXE_quell-agent");

/// One entry with a setting in a file that is there, one in a file that is made for it, a dropped file, permission bits and a
/// kernel parameter: five effects.
fn many() -> Entry {
    let actions = r#"
[[action]]
kind = "file.setting"
path = "/etc/ssh/sshd_config"
format = "sshd"
key = "LoginGraceTime"
value = "0"

[[action]]
kind = "file.setting"
path = "/etc/gitconfig"
format = "gitconfig"
key = "core.symlinks"
value = "false"

[[action]]
kind = "file.mode"
path = "/usr/bin/pkexec"
clear = ["suid"]

[[action]]
kind = "kernel.sysctl"
key = "kernel.dmesg_restrict"
op = "eq"
value = 1
"#;
    entry(ID, actions)
}

fn world() -> World {
    let world = World::new(vec![many()]);
    world.write("usr/bin/pkexec", "program");
    set_mode(&world.host().join("usr/bin/pkexec"), 0o4755);
    world.write("etc/sysctl.d/.keep", "");
    world.write("proc/sys/kernel/dmesg_restrict", "0\n");
    world
}

fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(EXE);
    command.args(arguments).arg("--root").arg(world.host()).arg("--state").arg(world.state());
    command
}

/// Put everything back as the host's owner does.
fn revert(world: &World, more: &[&str]) -> Output {
    command(world, &[&["revert", "--all"], more].concat()).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The same, killed at this point.
fn killed(world: &World, point: &str) {
    let mut command = command(world, &["revert", "--all", "--allow-failpoints"]);
    let output = command.env(failpoint::VARIABLE, point).output().unwrap();
    assert_eq!(output.status.signal(), Some(9), "{point} is never passed: {}", text(&output));
}

fn records(world: &World) -> Vec<Record> {
    let (damage, records) = Journal::read(&world.state().join("journal")).unwrap();
    assert_eq!(damage, None);
    records
}

/// An owner's revert without an end is in the journal.
fn open(world: &World) -> bool {
    !agent::orders::Book::read(&records(world)).owner_reverts().is_empty()
}

/// Every point that the owner's revert of this entry passes, and whether the intent is durable by then.
fn points() -> Vec<(String, bool)> {
    let once = [
        ("revert-before-write", false),
        ("after-intent", true),
        ("revert-after-write", true),
        ("revert-released", true),
        ("revert-restarted", true),
    ];
    let mut points: Vec<(String, bool)> = once.map(|(name, intent)| (format!("{name}:kill"), intent)).into();
    for nth in 1..=5 {
        points.push((format!("revert-effect:kill@{nth}"), true));
    }
    // The two files that go back whole, and the one that stands for the kernel's parameter.
    for nth in 1..=2 {
        points.push((format!("before-replace:kill@{nth}"), true));
        points.push((format!("after-replace:kill@{nth}"), true));
    }
    // The intent, what lets go, and the end.
    for nth in 1..=3 {
        points.push((format!("journal-before-sync:kill@{nth}"), true));
    }
    points
}

#[test]
fn killed_at_any_point_it_is_finished_by_the_next_start_of_the_agent() {
    for (point, intent) in points() {
        let world = world();
        let before = world.snapshot();
        let applied = world.apply(ID, 1);
        assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Effective), "{applied:#?}");
        let in_force = world.snapshot();
        world.stop();
        killed(&world, &point);
        world.start();
        assert!(!open(&world), "{point}: it is over, well or not");
        if intent {
            assert_eq!(world.snapshot(), before, "{point}: back as a whole");
            assert!(world.with(|executor| executor.book().holdings().is_empty()), "{point}");
        } else {
            assert_eq!(world.snapshot(), in_force, "{point}: in force as a whole");
            world.stop();
            assert!(revert(&world, &[]).status.success(), "{point}: and it can be put back again");
            assert_eq!(world.snapshot(), before, "{point}");
        }
        // What follows works as if nothing had happened.
        world.stop();
        assert_eq!(world.apply(ID, 2).outcome, Outcome::Succeeded, "{point}");
        assert_eq!(world.revert(ID, 3).outcome, Outcome::Reverted, "{point}");
        assert_eq!(world.snapshot(), before, "{point}");
    }
}

#[test]
fn killed_at_any_point_it_is_finished_by_the_next_revert_and_told_of() {
    for (point, intent) in points() {
        let world = world();
        let before = world.snapshot();
        world.apply(ID, 1);
        world.stop();
        killed(&world, &point);
        let middle = world.snapshot();
        let dry = revert(&world, &["--dry-run"]);
        assert!(dry.status.success(), "{point}: {}", text(&dry));
        assert_eq!(world.snapshot(), middle, "{point}: a dry run finishes nothing");
        let output = revert(&world, &[]);
        let said = text(&output);
        // The third record is the end; it is written when the process dies, so nothing is left to do.
        let over = point == "journal-before-sync:kill@3";
        let end = if over { "nothing to put back" } else { "put back as it was" };
        assert!(output.status.success() && said.contains(end), "{point}: {said}");
        assert_eq!(said.contains("was cut off is finished"), intent && !over, "{point}: {said}");
        assert_eq!(world.snapshot(), before, "{point}");
        let again = revert(&world, &[]);
        assert!(again.status.success() && text(&again).contains("nothing to put back"), "{point}: {}", text(&again));
    }
}

/// What a power cut leaves: the process gone, and the record that was written but not synced gone with it.
#[test]
fn a_record_of_it_that_is_lost_with_the_process_changes_nothing_that_matters() {
    for lost in 1..=3 {
        let world = world();
        let before = world.snapshot();
        world.apply(ID, 1);
        let in_force = world.snapshot();
        world.stop();
        killed(&world, &format!("journal-before-sync:kill@{lost}"));
        let path = world.state().join("journal/journal.log");
        let bytes = std::fs::read(&path).unwrap();
        let last = bytes.windows(4).rposition(|window| window == [0xf5, b'Q', b'J', 1]).unwrap();
        std::fs::write(&path, &bytes[..last]).unwrap();
        if lost == 1 {
            assert_eq!(world.snapshot(), in_force, "nothing is written before the intent is durable");
        }
        world.start();
        if lost > 1 {
            assert_eq!(world.snapshot(), before, "record {lost}");
        }
        world.stop();
        assert!(revert(&world, &[]).status.success(), "record {lost}");
        assert_eq!(world.snapshot(), before, "record {lost}");
    }
}

#[test]
fn what_somebody_changes_after_the_crash_is_left_and_stays_ours_to_put_back() {
    let world = world();
    world.apply(ID, 1);
    world.stop();
    killed(&world, "after-intent:kill");
    let changed = world.read("etc/ssh/sshd_config").replace("LoginGraceTime 0", "LoginGraceTime 30");
    world.write("etc/ssh/sshd_config", &changed);
    let theirs = world.snapshot();
    world.start();
    assert_eq!(world.snapshot(), theirs, "compared before anything is written");
    assert!(!open(&world) && world.with(|executor| executor.book().holdings().contains_key(ID)));
    world.stop();
    world.write("etc/ssh/sshd_config", &changed.replace("LoginGraceTime 30", "LoginGraceTime 0"));
    assert!(revert(&world, &[]).status.success());
    assert_eq!(mode(&world.host().join("usr/bin/pkexec")), 0o4755);
}

thread_local! {
    /// The disk with the agent's directory is full, for this test alone.
    static FULL: Cell<bool> = const { Cell::new(false) };
}

#[test]
fn what_cannot_be_journalled_is_not_begun() {
    failpoint::observe(Observer { hit: |_| {}, disk_full: || FULL.get() });
    let world = world();
    let before = world.snapshot();
    world.apply(ID, 1);
    let in_force = world.snapshot();
    world.stop();
    let open = || {
        let host = Host::new(Tree::open(&world.host()).unwrap());
        Executor::open(StateDir::open(&world.state()).unwrap(), host, false).unwrap()
    };
    let executor = open();
    FULL.set(true);
    let (said, all) = agent::owner::revert(executor, None, false);
    FULL.set(false);
    assert!(!all && said.contains("nothing was written"), "{said}");
    assert_eq!(world.snapshot(), in_force);
    let (said, all) = agent::owner::revert(open(), None, false);
    assert!(all, "and with room it works: {said}");
    assert_eq!(world.snapshot(), before);
}

#[test]
fn while_the_agent_runs_nothing_is_put_back_beside_it() {
    let world = world();
    world.apply(ID, 1);
    let in_force = world.snapshot();
    // The world's executor holds the directory, as an agent that is at an order does.
    let output = revert(&world, &[]);
    assert!(!output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("stop it first"), "{}", text(&output));
    assert_eq!(world.snapshot(), in_force);
    assert!(!open(&world), "not even an intent");
}

#[test]
fn an_order_that_was_taken_before_does_not_put_it_in_place_again() {
    let world = World::new(vec![sshd(), many()]);
    world.write("usr/bin/pkexec", "program");
    world.write("proc/sys/kernel/dmesg_restrict", "0\n");
    world.write("etc/sysctl.d/.keep", "");
    let id = "linux-sshd-login-grace-0";
    assert_eq!(world.apply(id, 1).outcome, Outcome::Succeeded);
    // Taken and not begun when the owner stops the agent: one for the entry that is put back, one for another.
    let orders = [(id, 2), (ID, 3)].map(|(entry, task)| world.order(OrderKind::Check, entry, task, 1));
    for order in &orders {
        // The content comes with a check, so that the order itself can be taken without a step.
        world.deliver(&sign(order, ORDER));
    }
    for (entry, task) in [(id, 4), (ID, 5)] {
        world.tell(ToExecutor::Order { envelope: sign(&world.order(OrderKind::Apply, entry, task, 1), ORDER) });
    }
    assert_eq!(world.with(|executor| executor.book().waiting().len()), 2);
    world.stop();
    let output = command(&world, &["revert", id]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    world.start();
    world.tell(ToExecutor::Time { server: common::now() });
    world.tell(ToExecutor::Index { envelope: world.index.clone() });
    let waiting: Vec<String> =
        world.with(|executor| executor.book().waiting().into_iter().map(|order| order.entry_id).collect());
    assert_eq!(waiting, [ID], "the other one is none of the owner's business now");
    let told = world.with(|executor| executor.undelivered());
    let end = common::events(&told).into_iter().rfind(|event| event.task == Uuid::from_u128(4)).unwrap();
    let EventKind::Refused { code, reason, .. } = &end.event else { panic!("{end:?}") };
    assert_eq!(*code, RefusalCode::Denied, "{reason}");
    assert!(reason.contains("put linux-sshd-login-grace-0 back after this order was taken"), "{reason}");
    while world.with(Executor::step) {}
    assert!(!world.with(|executor| executor.book().holdings().contains_key(id)));
    assert!(world.with(|executor| executor.book().holdings().contains_key(ID)));
}
