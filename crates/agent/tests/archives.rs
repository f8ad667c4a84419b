//! `archive.member_absent` on real files: the round trip, what is only detected, and what somebody hostile may have laid there.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use agent::deadline::Deadline;
use agent::fs::Tree;
use agent::host::Host;
use agent::kinds::{self, Presence, Workspace};
use common::jar::{JNDI, jar};
use common::{World, entry, mode, set_mode};
use domain::mitigation::ControlState;
use protocol::agent::{Outcome, TaskReport};
use protocol::order::OrderKind;
use std::os::unix::fs::symlink;
use std::time::Duration;

const ID: &str = "linux-log4j";
const JAR: &str = "opt/app/lib/log4j-core-2.14.1.jar";

fn world() -> World {
    let action = format!(
        "[[action]]\nkind = \"archive.member_absent\"\nroots = [\"/opt\", \"/srv\"]\nnames = [\"log4j-core-2.1*.jar\"]\nmember = \"{JNDI}\"\nnested = true\n"
    );
    World::new(vec![entry(ID, &action)])
}

fn put(world: &World, path: &str, bytes: &[u8]) {
    world.write(path, "");
    std::fs::write(world.host().join(path), bytes).unwrap();
}

fn dry_run(world: &World, kind: OrderKind, task: u128) -> TaskReport {
    let mut order = world.order(kind, ID, task, 1);
    order.dry_run = true;
    world.run(&order)
}

fn log4j() -> Vec<u8> {
    jar(&[("META-INF/MANIFEST.MF", b"x"), (JNDI, b"jndi"), ("org/apache/Other.class", b"other")])
}

#[test]
fn the_class_goes_and_the_archive_comes_back_byte_for_byte() {
    let world = world();
    assert_eq!(world.apply(ID, 1).outcome, Outcome::NotApplicable, "there is none");
    put(&world, JAR, &log4j());
    put(&world, "srv/b/log4j-core-2.15.0.jar", &log4j());
    put(&world, "srv/b/log4j-core-2.20.0.jar", b"another name is none of our business");
    put(&world, "srv/b/broken.jar", b"not even an archive");
    set_mode(&world.host().join(JAR), 0o640);
    let before = world.snapshot();
    let checked = world.check(ID, 2);
    assert_eq!(checked.state, ControlState::Exposed, "{checked:#?}");
    let applied = world.apply(ID, 3);
    assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Effective), "{applied:#?}");
    assert_eq!(applied.actions[0].files, ["/opt/app/lib/log4j-core-2.14.1.jar", "/srv/b/log4j-core-2.15.0.jar"]);
    let expected = jar(&[("META-INF/MANIFEST.MF", b"x"), ("org/apache/Other.class", b"other")]);
    assert_eq!(std::fs::read(world.host().join(JAR)).unwrap(), expected);
    assert_eq!(mode(&world.host().join(JAR)), 0o640);
    world.stop();
    assert_eq!(world.apply(ID, 4).outcome, Outcome::Unchanged);
    let reverted = world.revert(ID, 5);
    assert_eq!((reverted.outcome, reverted.state), (Outcome::Reverted, ControlState::Exposed), "{reverted:#?}");
    assert_eq!(world.snapshot(), before);
}

#[test]
fn an_archive_that_others_changed_gets_the_member_alone_back() {
    let world = world();
    put(&world, JAR, &log4j());
    assert_eq!(world.apply(ID, 1).outcome, Outcome::Succeeded);
    put(&world, JAR, &jar(&[("META-INF/MANIFEST.MF", b"theirs"), ("new", b"n")]));
    assert_eq!(world.check(ID, 2).state, ControlState::Effective, "still without the class");
    let reverted = world.revert(ID, 3);
    assert_eq!((reverted.outcome, reverted.state), (Outcome::Reverted, ControlState::Exposed), "{reverted:#?}");
    let bytes = std::fs::read(world.host().join(JAR)).unwrap();
    let mut file = std::io::Cursor::new(bytes);
    let names: Vec<String> =
        agent::zipfile::list(&mut file).unwrap().members.into_iter().map(|member| member.name).collect();
    assert_eq!(names, ["META-INF/MANIFEST.MF", "new", JNDI]);
    // An upgrade that brings the class back is a drift, and nothing is left to take back.
    assert_eq!(world.apply(ID, 4).outcome, Outcome::Succeeded);
    put(&world, JAR, &jar(&[(JNDI, b"newer")]));
    assert_eq!(world.check(ID, 5).state, ControlState::Drifted);
    let before = world.snapshot();
    assert_eq!(world.revert(ID, 6).outcome, Outcome::Reverted);
    assert_eq!(world.snapshot(), before);
    // Gone altogether: somebody has to look.
    assert_eq!(world.apply(ID, 7).outcome, Outcome::Succeeded);
    std::fs::remove_file(world.host().join(JAR)).unwrap();
    assert_eq!(world.revert(ID, 8).outcome, Outcome::DriftedSinceApply);
}

#[test]
fn one_within_another_is_told_and_left() {
    let world = world();
    put(&world, JAR, &log4j());
    let inner = log4j();
    let war = jar(&[("WEB-INF/lib/log4j-core-2.12.0.jar", &inner)]);
    put(&world, "opt/app/shop.war", &war);
    put(&world, "opt/app/all.ear", &jar(&[("shop.war", &war)]));
    let before = world.snapshot();
    let checked = world.check(ID, 1);
    assert_eq!(checked.state, ControlState::Exposed);
    assert!(checked.actions[0].before.contains("all.ear!shop.war!WEB-INF/lib/log4j-core-2.12.0.jar"), "{checked:#?}");
    let report = world.apply(ID, 2);
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(report.message.contains("within another archive"), "{}", report.message);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_bomb_makes_the_answer_unknown_and_costs_little() {
    let world = world();
    put(&world, JAR, &jar(&[("a", b"b")]));
    let zeros = vec![0_u8; 80 * 1024 * 1024];
    put(&world, "opt/bomb.war", &jar(&[("log4j-core-2.1.jar", &zeros)]));
    drop(zeros);
    let checked = world.check(ID, 1);
    assert_eq!(checked.state, ControlState::Unknown, "{checked:#?}");
    assert_eq!(world.apply(ID, 2).outcome, Outcome::Failed);
    // Archives within archives without end.
    std::fs::remove_file(world.host().join("opt/bomb.war")).unwrap();
    let mut deep = jar(&[("x", b"y")]);
    for _ in 0..8 {
        deep = jar(&[("a.war", &deep)]);
    }
    put(&world, "opt/deep.war", &deep);
    assert_eq!(world.check(ID, 3).state, ControlState::Unknown);
}

#[test]
fn no_link_leads_out_and_no_other_name_is_touched() {
    let world = world();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("log4j-core-2.14.1.jar"), log4j()).unwrap();
    world.write("opt/.keep", "");
    symlink(outside.path(), world.host().join("opt/link")).unwrap();
    symlink(outside.path().join("log4j-core-2.14.1.jar"), world.host().join("opt/log4j-core-2.14.1.jar")).unwrap();
    symlink("/opt", world.host().join("opt/round")).unwrap();
    assert_eq!(world.apply(ID, 1).outcome, Outcome::NotApplicable);
    assert_eq!(std::fs::read(outside.path().join("log4j-core-2.14.1.jar")).unwrap(), log4j());
    // A folder that anybody may write to: the archive is seen, and not changed.
    put(&world, JAR, &log4j());
    set_mode(&world.host().join("opt/app/lib"), 0o777);
    let before = world.snapshot();
    let report = world.apply(ID, 2);
    assert_eq!((report.outcome, report.left_changed), (Outcome::Failed, false), "{report:#?}");
    assert!(report.message.contains("written by others"), "{}", report.message);
    assert_eq!(world.snapshot(), before);
    // A dry run says the same, and plans nothing.
    let planned = dry_run(&world, OrderKind::Apply, 20);
    assert_eq!((planned.outcome, planned.state), (Outcome::Reported, ControlState::Exposed), "{planned:#?}");
    let said = ["it cannot be applied", "written by others"].iter().all(|part| planned.message.contains(part));
    assert!(said && planned.actions.iter().all(|action| action.diff.is_empty()), "{planned:#?}");
    set_mode(&world.host().join("opt/app/lib"), 0o755);
    // Another name of the same bytes would change with it.
    std::fs::hard_link(world.host().join(JAR), world.host().join("opt/other-name")).unwrap();
    let report = world.apply(ID, 3);
    assert!(report.message.contains("hard links"), "{}", report.message);
    let planned = dry_run(&world, OrderKind::Apply, 21);
    let said = ["it cannot be applied", "hard links"].iter().all(|part| planned.message.contains(part));
    assert!(planned.outcome == Outcome::Reported && said, "{planned:#?}");
    std::fs::remove_file(world.host().join("opt/other-name")).unwrap();
    set_mode(&world.host().join(JAR), 0o4755);
    assert_eq!(world.apply(ID, 4).outcome, Outcome::Failed);
    set_mode(&world.host().join(JAR), 0o644);
    assert_eq!(world.snapshot().len(), before.len());
    assert_eq!(world.apply(ID, 5).outcome, Outcome::Succeeded);
    // Nor is one put back that could not be: that is found out before anything is written.
    std::fs::hard_link(world.host().join(JAR), world.host().join("opt/other-name")).unwrap();
    let before = world.snapshot();
    for (task, dry) in [(6, true), (7, false)] {
        let report = if dry { dry_run(&world, OrderKind::Revert, task) } else { world.revert(ID, task) };
        assert_eq!((report.outcome, report.left_changed), (Outcome::RevertFailed, false), "{report:#?}");
        let said = ["hard links", "nothing was written"].iter().all(|part| report.message.contains(part));
        assert!(said, "{}", report.message);
    }
    assert_eq!(world.snapshot(), before);
    std::fs::remove_file(world.host().join("opt/other-name")).unwrap();
    assert_eq!(world.revert(ID, 8).outcome, Outcome::Reverted);
}

#[test]
fn two_archives_of_which_the_second_fails_leave_the_first_as_it_was() {
    let world = world();
    put(&world, JAR, &log4j());
    // Its name leaves no room for that of a temporary file beside it, which only the attempt finds out.
    put(&world, &format!("srv/log4j-core-2.1{}.jar", "4".repeat(225)), &log4j());
    let before = world.snapshot();
    let report = world.apply(ID, 1);
    assert_eq!((report.outcome, report.left_changed), (Outcome::Failed, false), "{report:#?}");
    assert!(report.message.contains("what was changed was put back"), "{}", report.message);
    assert_eq!(world.snapshot(), before);
    assert_eq!(world.revert(ID, 2).outcome, Outcome::NotOurs);
}

#[test]
fn a_program_that_has_the_old_archive_open_has_to_be_restarted() {
    let world = world();
    put(&world, JAR, &log4j());
    world.write("proc/77/fd/.keep", "");
    symlink(format!("/{JAR} (deleted)"), world.host().join("proc/77/fd/4")).unwrap();
    let report = world.apply(ID, 1);
    assert_eq!((report.outcome, report.state), (Outcome::Succeeded, ControlState::Configured), "{report:#?}");
    assert!(report.message.contains("process 77"), "{}", report.message);
}

#[test]
fn a_search_ends_with_the_time_for_it_and_then_nothing_is_known() {
    let world = world();
    put(&world, JAR, &log4j());
    let action = &world.entries[ID].actions[0];
    let mut host = Host::new(Tree::open(&world.host()).unwrap());
    let look = |host: &Host| kinds::check(action, host, &Workspace::new(&host.tree));
    host.until = Deadline::after(Duration::from_secs(60));
    assert_eq!(look(&host).presence, Presence::Absent);
    host.until = Deadline::after(Duration::ZERO);
    let finding = look(&host);
    assert_eq!(finding.presence, Presence::Unknown, "{finding:?}");
    assert!(finding.note.contains(&format!("over before /{JAR} was looked at")), "{finding:?}");
    let planned = kinds::plan(action, &host, &mut Workspace::new(&host.tree));
    assert!(planned.is_err_and(|error| error.to_string().contains("not everything could be looked at")));
}
