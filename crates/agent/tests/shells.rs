//! The unit that lets administrators in is not stopped, whatever it is called and however it starts what lets them in.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use common::{World, entry, set_mode};
use protocol::agent::{Outcome, TaskReport};
use std::os::unix::fs::symlink;

const UNITS: &str = "usr/lib/systemd/system";

/// A host with a unit of this name that an entry stops and masks.
fn host(unit: &str) -> World {
    let action =
        format!("[[action]]\nkind = \"service.state\"\nname = \"{unit}\"\nrunning = false\nstart = \"masked\"\n");
    let world = World::new(vec![entry("linux-stop", &action)]);
    world.write(&format!("{UNITS}/{unit}"), "[Unit]\nDescription=Something\n");
    world.write("etc/systemd/system/multi-user.target.wants/.keep", "");
    world.write("sys/fs/cgroup/system.slice/other.service/cgroup.procs", "1\n");
    world.write("usr/sbin/sshd", "the program");
    set_mode(&world.host().join("usr/sbin/sshd"), 0o755);
    world
}

fn stop(world: &World) -> TaskReport {
    let before = world.snapshot();
    let report = world.apply("linux-stop", 1);
    if report.outcome == Outcome::Failed {
        assert_eq!(world.snapshot(), before, "what is refused changes nothing");
    }
    report
}

fn refused(world: &World, said: &str, what: &str) {
    let report = stop(world);
    assert_eq!(report.outcome, Outcome::Failed, "{what}: {report:#?}");
    assert!(report.message.contains(said) && report.message.contains("cuts off administrators"), "{what}: {report:#?}");
}

fn stopped(world: &World, what: &str) {
    let report = stop(world);
    assert_eq!(report.outcome, Outcome::Succeeded, "{what}: {report:#?}");
}

#[test]
fn a_unit_is_known_by_what_it_executes() {
    for (line, cuts) in [
        ("ExecStart=/usr/sbin/sshd -D", true),
        ("ExecStart=-@!/opt/remote/sbin/sshd-9.9 remote -D -p 2222", true),
        ("ExecStart=/bin/sh -c 'umask 077; exec /usr/sbin/sshd -D'", true),
        ("ExecStart=/usr/bin/env LANG=C \\\n  /usr/sbin/dropbear -F", true),
        ("ExecStart=/sbin/start-stop-daemon --start --exec=/usr/sbin/sshd", true),
        // By a link and by a hard link to the same file, see below.
        ("ExecStart=/opt/remote/linked", true),
        ("ExecStart=/opt/remote/hard", true),
        ("ExecStart=/opt/remote/copied", false),
        ("ExecStart=/usr/bin/keeper --watch /etc/ssh/sshd_config", false),
        ("#ExecStart=/usr/sbin/sshd -D", false),
        ("ExecStartPre=/usr/sbin/sshd -t\nExecStart=/usr/bin/keeper", false),
        ("ExecStart=/usr/bin/keeper", false),
    ] {
        let world = host("maintenance.service");
        world.write(&format!("{UNITS}/maintenance.service"), &format!("[Service]\n{line}\n"));
        world.write("opt/remote/copied", "another program");
        symlink("/usr/sbin/sshd", world.host().join("opt/remote/linked")).unwrap();
        std::fs::hard_link(world.host().join("usr/sbin/sshd"), world.host().join("opt/remote/hard")).unwrap();
        if cuts { refused(&world, "maintenance.service runs ", line) } else { stopped(&world, line) }
    }
}

#[test]
fn what_is_dropped_in_beside_a_unit_and_its_template_count() {
    let world = host("maintenance.service");
    world.write(
        "etc/systemd/system/maintenance.service.d/run.conf",
        "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D\n",
    );
    refused(&world, "runs /usr/sbin/sshd", "dropped in");
    let world = host("maintenance@one.service");
    world.write(&format!("{UNITS}/maintenance@.service"), "[Service]\nExecStart=/usr/sbin/sshd -D\n");
    refused(&world, "runs /usr/sbin/sshd", "template");
}

#[test]
fn a_socket_is_known_by_what_it_starts_and_where_it_listens() {
    for (socket, service, said) in [
        ("ListenStream=2222\nAccept=yes", Some(("maintenance@.service", "/usr/sbin/sshd -i")), "runs /usr/sbin/sshd"),
        ("ListenStream=2222", Some(("maintenance.service", "/usr/sbin/sshd -i")), "runs /usr/sbin/sshd"),
        ("ListenStream=2222\nService=in.service", Some(("in.service", "/usr/sbin/sshd -i")), "runs /usr/sbin/sshd"),
        ("ListenStream=[::]:22", None, "listens at port 22"),
        ("ListenStream=0.0.0.0:2200", None, "listens at port 2200"),
        ("ListenStream=2222", Some(("maintenance.service", "/usr/bin/keeper")), ""),
        ("ListenStream=/run/keeper.sock", None, ""),
    ] {
        let world = host("maintenance.socket");
        world.write("etc/ssh/sshd_config", "Port 2200\n");
        world.write(&format!("{UNITS}/maintenance.socket"), &format!("[Socket]\n{socket}\n"));
        if let Some((name, runs)) = service {
            world.write(&format!("{UNITS}/{name}"), &format!("[Service]\nExecStart=-{runs}\n"));
        }
        if said.is_empty() { stopped(&world, socket) } else { refused(&world, said, socket) }
    }
}

#[test]
fn a_unit_is_known_by_its_processes_and_by_what_they_hold() {
    // The kernel's line of a socket that listens at this port.
    let line = |port: u16, inode: u64| {
        format!(
            "   0: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0\n"
        )
    };
    for (comm, exe, inode, group, said) in [
        ("sshd", "/usr/sbin/sshd", 0, "/system.slice/maintenance.service", "runs sshd or the like as process 77"),
        ("keeper", "/usr/sbin/sshd (deleted)", 0, "/system.slice/maintenance.service", "as process 77"),
        ("keeper", "/opt/remote/hard", 0, "/custom.slice/maintenance.service/inner", "as process 77"),
        ("keeper", "/opt/keeper", 11, "/system.slice/maintenance.service", "listens at port 22 as process 77"),
        ("keeper", "/opt/keeper", 12, "/system.slice/maintenance.service", ""),
        ("sshd", "/usr/sbin/sshd", 11, "/system.slice/other.service", ""),
    ] {
        let world = host("maintenance.service");
        world.write("opt/remote/.keep", "");
        std::fs::hard_link(world.host().join("usr/sbin/sshd"), world.host().join("opt/remote/hard")).unwrap();
        world.write("proc/net/tcp", &(line(22, 11) + &line(8080, 12)));
        world.write("proc/77/comm", &format!("{comm}\n"));
        world.write("proc/77/cgroup", &format!("0::{group}\n"));
        world.write("proc/77/fd/.keep", "");
        symlink(exe, world.host().join("proc/77/exe")).unwrap();
        symlink(format!("socket:[{inode}]"), world.host().join("proc/77/fd/3")).unwrap();
        let what = format!("{comm} {exe} {inode} {group}");
        if said.is_empty() { stopped(&world, &what) } else { refused(&world, said, &what) }
    }
}

#[test]
fn what_takes_the_way_in_along_is_not_stopped_either() {
    for (path, text, said) in [
        (format!("{UNITS}/ssh.service"), "[Unit]\nRequires=maintenance.service\n", "ssh.service is stopped with"),
        (
            "etc/systemd/system/sshd.service.d/more.conf".to_owned(),
            "[Unit]\nBindsTo=a.service maintenance.service\n",
            "sshd.service",
        ),
        (
            format!("{UNITS}/entry.service"),
            "[Unit]\nPartOf=maintenance.service\n[Service]\nExecStart=/usr/sbin/sshd -D\n",
            "entry.service",
        ),
        // Wanting is not needing, and what is no way in may go.
        (format!("{UNITS}/ssh.service"), "[Unit]\nWants=maintenance.service\nAfter=maintenance.service\n", ""),
        (format!("{UNITS}/cups.service"), "[Unit]\nRequires=maintenance.service\n", ""),
    ] {
        let world = host("maintenance.service");
        world.write(&path, text);
        if said.is_empty() { stopped(&world, text) } else { refused(&world, said, text) }
    }
    let world = host("maintenance.service");
    world.write("etc/systemd/system/ssh.service.requires/.keep", "");
    let link = world.host().join("etc/systemd/system/ssh.service.requires/maintenance.service");
    symlink("/usr/lib/systemd/system/maintenance.service", link).unwrap();
    refused(&world, "ssh.service is stopped with", "a link in .requires");
}
