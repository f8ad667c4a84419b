//! A local account without rights against an agent that runs as root: folders and files of its own, links, pipes, hard links,
//! huge files, mounts. Whatever it does, nothing outside of the entry's own place changes, and nothing hangs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use agent::fs::{Image, Limits, Tree, Why};
use common::jar::jar;
use common::{World, entry, mode, set_mode, sshd};
use domain::mitigation::ControlState;
use protocol::agent::{Outcome, TaskReport};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;

const ID: &str = "linux-sshd-login-grace-0";
/// An account that is neither root nor whoever runs the tests.
const STRANGER: u32 = 4242;
const CONFIG: &str = "etc/ssh/sshd_config";

/// Whether files can be given away here.
fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip::skipped(test, "only root can give files to another account");
    }
    root
}

fn give(path: &Path) {
    chown(path, Some(STRANGER), Some(STRANGER)).unwrap();
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// It is refused, and everything is as it was.
fn refused(world: &World, task: u128, said: &str) {
    let before = world.read(CONFIG);
    let report: TaskReport = world.apply(ID, task);
    assert_eq!(report.outcome, Outcome::Failed, "{report:#?}");
    assert!(report.message.contains(said) && report.message.contains("nothing was changed"), "{report:#?}");
    assert_eq!(world.read(CONFIG), before);
}

#[test]
fn a_folder_of_a_stranger_or_open_to_all_is_not_written_in() {
    if !is_root("abuse::a_folder_of_a_stranger") {
        return;
    }
    for at in ["etc", "etc/ssh"] {
        let world = World::new(vec![sshd()]);
        give(&world.host().join(at));
        refused(&world, 1, &format!("/{at} belongs to or can be written by others"));
    }
    for bits in [0o777, 0o1777, 0o775] {
        let world = World::new(vec![sshd()]);
        set_mode(&world.host().join("etc/ssh"), bits);
        if bits == 0o775 {
            chown(world.host().join("etc/ssh"), None, Some(STRANGER)).unwrap();
        }
        refused(&world, 1, "/etc/ssh belongs to or can be written by others");
    }
}

#[test]
fn a_link_in_place_of_the_file_or_of_a_folder_is_not_followed() {
    let world = World::new(vec![sshd()]);
    let (host, outside) = (world.host(), world.folder.path().join("outside"));
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("sshd_config"), "Port 22\n").unwrap();
    std::fs::remove_file(host.join(CONFIG)).unwrap();
    symlink(outside.join("sshd_config"), host.join(CONFIG)).unwrap();
    refused(&world, 1, "link");
    std::fs::remove_file(host.join(CONFIG)).unwrap();
    std::fs::remove_dir(host.join("etc/ssh")).unwrap();
    symlink(&outside, host.join("etc/ssh")).unwrap();
    refused(&world, 2, "link");
    assert_eq!(std::fs::read_to_string(outside.join("sshd_config")).unwrap(), "Port 22\n");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1, "no temporary file was left");
}

#[test]
fn what_is_swapped_between_the_look_and_the_write_is_not_written() {
    let world = World::new(Vec::new());
    let (host, outside) = (world.host(), world.folder.path().join("outside"));
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("sshd_config"), world.read(CONFIG)).unwrap();
    let tree = Tree::open(&host).unwrap();
    let path = format!("/{CONFIG}");
    let looked = tree.read(&path).unwrap().unwrap();
    let new = Image { bytes: b"ours\n".to_vec(), ..looked.clone() };
    let write = || tree.replace(&path, &new, Some(&looked.state()), "t").unwrap_err().why;
    // The folder becomes a link to one with the very same file.
    std::fs::rename(host.join("etc/ssh"), host.join("etc/ssh.away")).unwrap();
    symlink(&outside, host.join("etc/ssh")).unwrap();
    assert!(matches!(write(), Why::Link));
    assert!(matches!(tree.remove(&path, &looked.state()).unwrap_err().why, Why::Link));
    assert!(matches!(tree.change_mode(&path, looked.mode, 0o600, None).unwrap_err().why, Why::Link));
    assert_eq!(std::fs::read_to_string(outside.join("sshd_config")).unwrap(), "Port 22\nUsePAM yes\n");
    std::fs::remove_file(host.join("etc/ssh")).unwrap();
    std::fs::rename(host.join("etc/ssh.away"), host.join("etc/ssh")).unwrap();
    // The file becomes a link, a pipe, a second name, one of somebody else.
    let file = host.join(CONFIG);
    std::fs::rename(&file, host.join("kept")).unwrap();
    symlink(host.join("kept"), &file).unwrap();
    assert!(matches!(write(), Why::Link));
    std::fs::remove_file(&file).unwrap();
    pipe(&file);
    assert!(matches!(write(), Why::NotA(_)));
    std::fs::remove_file(&file).unwrap();
    std::fs::hard_link(host.join("kept"), &file).unwrap();
    assert!(matches!(write(), Why::HardLinks(2)));
    if is_root("abuse::what_is_swapped (the part with another owner)") {
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, &looked.bytes).unwrap();
        give(&file);
        assert!(matches!(write(), Why::Changed), "the same bytes, but somebody else can change them");
    }
    let left: Vec<String> = std::fs::read_dir(host.join("etc/ssh"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(".quell"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_temporary_name_that_is_taken_is_not_written_through() {
    let world = World::new(Vec::new());
    let (host, path) = (world.host(), format!("/{CONFIG}"));
    let victim = host.join("victim");
    std::fs::write(&victim, "untouched").unwrap();
    symlink(&victim, host.join("etc/ssh/.quell-t-sshd_config")).unwrap();
    let tree = Tree::open(&host).unwrap();
    let looked = tree.read(&path).unwrap().unwrap();
    let new = Image { bytes: b"ours\n".to_vec(), ..looked.clone() };
    tree.replace(&path, &new, Some(&looked.state()), "t").unwrap();
    assert_eq!((world.read("victim"), world.read(CONFIG)), ("untouched".to_owned(), "ours\n".to_owned()));
}

#[test]
fn pipes_and_folders_are_no_files_and_nobody_waits_for_them() {
    let world = World::new(vec![sshd()]);
    let host = world.host();
    std::fs::remove_file(host.join(CONFIG)).unwrap();
    pipe(&host.join(CONFIG));
    // Somebody holds the other end and writes: what is read is still no file.
    let mut held = std::fs::OpenOptions::new().read(true).write(true).open(host.join(CONFIG)).unwrap();
    std::io::Write::write_all(&mut held, b"LoginGraceTime 0\n").unwrap();
    assert_eq!(world.check(ID, 1).state, ControlState::Unknown);
    assert_eq!(world.apply(ID, 2).outcome, Outcome::Failed);
    // The same for what is only looked at, and for archives.
    let tree = Tree::open(&host).unwrap();
    assert_eq!(tree.fact(&format!("/{CONFIG}")), None);
    assert_eq!(tree.fact("/etc/ssh"), None);
    assert!(matches!(tree.open_large(&format!("/{CONFIG}")).unwrap_err().why, Why::NotA(_)));
    assert_eq!(tree.names(&format!("/{CONFIG}")), None);
}

#[test]
fn a_second_name_of_a_file_is_no_way_to_change_another() {
    let world = World::new(vec![sshd()]);
    std::fs::hard_link(world.host().join(CONFIG), world.host().join("etc/other")).unwrap();
    refused(&world, 1, "2 hard links");
    assert_eq!(world.read("etc/other"), world.read(CONFIG));
}

#[test]
fn huge_files_are_not_read() {
    let world = World::new(vec![sshd()]);
    let file = std::fs::File::create(world.host().join(CONFIG)).unwrap();
    // A hole: it costs the account nothing.
    file.set_len(1 << 40).unwrap();
    let report = world.apply(ID, 1);
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(report.message.contains("larger than"), "{report:#?}");
    let tree = Tree::open(&world.host()).unwrap();
    assert_eq!(tree.fact(&format!("/{CONFIG}")), None);
    assert!(matches!(tree.large_state(&format!("/{CONFIG}"), 1 << 20).unwrap_err().why, Why::TooLarge(_)));
    file.write_at(b"x", 0).unwrap();
}

const DROPIN: &str = r#"
[[action]]
kind = "file.dropin"
path = "/etc/example.d/90-quell.conf"
mode = "0644"
content = "option = off\n"
"#;

#[test]
fn a_file_of_ours_is_not_left_to_somebody_else() {
    if !is_root("abuse::a_file_of_ours") {
        return;
    }
    let id = "linux-example-dropin";
    let world = World::new(vec![entry(id, DROPIN)]);
    world.write("etc/example.d/90-quell.conf", "option = off\n");
    let path = world.host().join("etc/example.d/90-quell.conf");
    set_mode(&path, 0o644);
    give(&path);
    let before = world.snapshot();
    assert_eq!(world.check(id, 1).state, ControlState::Exposed, "its owner can change it back at any time");
    assert_eq!(world.apply(id, 2).outcome, Outcome::Succeeded);
    assert_eq!((std::fs::metadata(&path).unwrap().uid(), mode(&path)), (0, 0o644));
    assert_eq!(world.check(id, 3).state, ControlState::Effective);
    assert_eq!(world.revert(id, 4).outcome, Outcome::Reverted);
    assert_eq!(world.snapshot(), before);
}

const JARS: &str = r#"
[[action]]
kind = "archive.member_absent"
roots = ["/home"]
names = ["log4j-core-2.1*.jar"]
member = "org/a/B.class"
nested = true
"#;

#[test]
fn archives_in_a_strangers_folder_are_told_of_and_not_written() {
    if !is_root("abuse::archives_in_a_strangers_folder") {
        return;
    }
    let id = "linux-example-jars";
    let world = World::new(vec![entry(id, JARS)]);
    let home = world.host().join("home/stranger");
    world.write("home/stranger/.keep", "");
    let bytes = jar(&[("a", b"1"), ("org/a/B.class", b"2")]);
    std::fs::write(home.join("log4j-core-2.10.jar"), &bytes).unwrap();
    give(&home);
    assert_eq!(world.check(id, 1).state, ControlState::Exposed);
    let applied = world.apply(id, 2);
    assert_eq!(applied.outcome, Outcome::Failed, "{applied:#?}");
    assert_eq!(std::fs::read(home.join("log4j-core-2.10.jar")).unwrap(), bytes);
    // A link to an archive of the system, and a pipe with the name of one, are none.
    std::fs::remove_file(home.join("log4j-core-2.10.jar")).unwrap();
    world.write("srv/.keep", "");
    std::fs::write(world.host().join("srv/log4j-core-2.10.jar"), &bytes).unwrap();
    symlink(world.host().join("srv/log4j-core-2.10.jar"), home.join("log4j-core-2.11.jar")).unwrap();
    pipe(&home.join("log4j-core-2.12.jar"));
    assert_eq!(world.check(id, 3).state, ControlState::NotApplicable);
    assert_eq!(std::fs::read(world.host().join("srv/log4j-core-2.10.jar")).unwrap(), bytes);
}

#[test]
fn a_folder_that_cannot_be_named_is_not_passed_over_in_silence() {
    let world = World::new(Vec::new());
    let odd = world.host().join("srv").join(OsStr::from_bytes(b"app-\xff"));
    std::fs::create_dir_all(&odd).unwrap();
    std::fs::write(odd.join("log4j-core-2.10.jar"), "").unwrap();
    let tree = Tree::open(&world.host()).unwrap();
    let found = tree.find("/srv", Limits { depth: 8, names: 100 }, &|name| name.ends_with(".jar")).unwrap();
    assert!(found.files.is_empty() && found.gap.is_some(), "{found:?}");
    std::fs::remove_file(odd.join("log4j-core-2.10.jar")).unwrap();
    std::fs::remove_dir(&odd).unwrap();
    std::fs::write(world.host().join("srv").join(OsStr::from_bytes(b"x-\xff.jar")), "").unwrap();
    let found = tree.find("/srv", Limits { depth: 8, names: 100 }, &|name| name.ends_with(".jar")).unwrap();
    assert!(found.gap.is_some(), "{found:?}");
}

#[test]
fn very_many_folders_side_by_side_use_up_no_descriptors() {
    let world = World::new(Vec::new());
    for n in 0..400 {
        std::fs::create_dir_all(world.host().join(format!("srv/{n}/deep"))).unwrap();
    }
    std::fs::write(world.host().join("srv/7/deep/a.jar"), "").unwrap();
    let tree = Tree::open(&world.host()).unwrap();
    let held = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let few = rustix::process::Rlimit { current: Some(held + 40), ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    let found = tree.find("/srv", Limits { depth: 8, names: 10_000 }, &|name| name.ends_with(".jar"));
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let found = found.unwrap();
    assert_eq!((found.files, found.gap), (vec!["/srv/7/deep/a.jar".to_owned()], None));
}

/// The test runs itself once more where it may mount.
#[test]
fn a_file_that_is_a_mount_is_left_alone() {
    const INSIDE: &str = "QUELL_TEST_MAY_MOUNT";
    let name = "a_file_that_is_a_mount_is_left_alone";
    if std::env::var_os(INSIDE).is_none() {
        let own = std::env::current_exe().unwrap();
        let can = Command::new("unshare").args(["-m", "true"]).output().is_ok_and(|out| out.status.success());
        if !can {
            skip::skipped("abuse::a_file_that_is_a_mount", "no mount namespace can be made here");
            return;
        }
        let mut again = Command::new("unshare");
        again.args(["-m", "--propagation", "private", "--"]).arg(own).args(["--exact", name, "--nocapture"]);
        let out = again.env(INSIDE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let world = World::new(vec![sshd()]);
    let other = world.folder.path().join("elsewhere");
    std::fs::write(&other, "Port 22\n").unwrap();
    let target = world.host().join(CONFIG);
    assert!(Command::new("mount").arg("--bind").args([&other, &target]).status().unwrap().success());
    let report = world.apply(ID, 1);
    assert_eq!(report.outcome, Outcome::Failed, "{report:#?}");
    assert!(!report.left_changed, "{report:#?}");
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "Port 22\n");
    let names: Vec<_> = std::fs::read_dir(world.host().join("etc/ssh")).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

/// Fourteen files, each of which includes the next one eight times: some text a trillion times over.
#[test]
fn files_that_include_each_other_again_and_again_end_the_question_and_not_the_agent() {
    let world = World::new(vec![sshd()]);
    for at in 0..14 {
        let next = format!("Include /etc/ssh/bomb/{}.conf\n", at + 1);
        world.write(&format!("etc/ssh/bomb/{at}.conf"), &next.repeat(8));
    }
    world.write("etc/ssh/bomb/14.conf", "# nothing\n");
    let own = world.read(CONFIG);
    world.write(CONFIG, &format!("Include /etc/ssh/bomb/0.conf\n{own}"));
    refused(&world, 1, "includes is more than 8 MiB");
}
