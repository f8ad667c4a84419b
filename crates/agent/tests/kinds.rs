//! Every kind of action on real files: exposed, applied, effective, unchanged, reverted byte for byte, drifted.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use catalogue::schema::Entry;
use common::{World, entry, mode, set_mode};
use domain::mitigation::{ControlState, Origin};
use protocol::agent::Outcome;
use std::os::unix::fs::symlink;

/// The whole round trip of an entry on a prepared host; gives the world as it was found again.
fn round_trip(world: &World, id: &str) {
    let before = world.snapshot();
    assert_eq!(world.check(id, 11).state, ControlState::Exposed);
    let applied = world.apply(id, 12);
    assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Effective), "{applied:#?}");
    assert_eq!(applied.origin, Some(Origin::Ours));
    assert!(applied.actions.iter().any(|action| !action.diff.is_empty()), "{applied:#?}");
    let after = world.snapshot();
    assert_ne!(after, before);
    world.stop();
    assert_eq!(world.check(id, 13).state, ControlState::Effective);
    assert_eq!(world.apply(id, 14).outcome, Outcome::Unchanged);
    assert_eq!(world.snapshot(), after);
    let reverted = world.revert(id, 15);
    assert_eq!((reverted.outcome, reverted.state), (Outcome::Reverted, ControlState::Exposed), "{reverted:#?}");
    assert_eq!(world.snapshot(), before);
}

/// After somebody else's change a revert says so and writes nothing.
fn drifts(world: &World, id: &str, change: impl Fn(&World)) {
    assert_eq!(world.apply(id, 21).outcome, Outcome::Succeeded);
    change(world);
    let before = world.snapshot();
    assert_eq!(world.check(id, 22).state, ControlState::Drifted);
    assert_eq!(world.revert(id, 23).outcome, Outcome::DriftedSinceApply);
    assert_eq!(world.snapshot(), before);
}

fn dropin() -> Entry {
    entry(
        "linux-dropin",
        "[[action]]\nkind = \"file.dropin\"\npath = \"/etc/apt/apt.conf.d/90quell\"\nmode = \"0640\"\ncontent = \"x 1;\\n\"\n",
    )
}

#[test]
fn file_dropin() {
    let world = World::new(vec![dropin()]);
    round_trip(&world, "linux-dropin");
    assert!(!world.exists("etc/apt"), "directories we made are unmade");
    world.write("etc/apt/apt.conf.d/90quell", "old\n");
    set_mode(&world.host().join("etc/apt/apt.conf.d/90quell"), 0o600);
    world.stop();
    let before = world.snapshot();
    assert_eq!(world.apply("linux-dropin", 31).outcome, Outcome::Succeeded);
    assert_eq!(mode(&world.host().join("etc/apt/apt.conf.d/90quell")), 0o640);
    assert_eq!(world.revert("linux-dropin", 32).outcome, Outcome::Reverted);
    assert_eq!(world.snapshot(), before, "what stood there is back, mode and all");
    drifts(&world, "linux-dropin", |world| world.write("etc/apt/apt.conf.d/90quell", "x 2;\n"));
}

#[test]
fn file_mode() {
    let actions = "[[action]]\nkind = \"file.mode\"\npath = \"/usr/bin/pk*\"\nclear = [\"suid\"]\n";
    let world = World::new(vec![entry("linux-mode", actions)]);
    for (name, bits) in [("pkexec", 0o4755), ("pkother", 0o755)] {
        world.write(&format!("usr/bin/{name}"), "binary");
        set_mode(&world.host().join("usr/bin").join(name), bits);
    }
    round_trip(&world, "linux-mode");
    assert_eq!(world.apply("linux-mode", 31).outcome, Outcome::Succeeded);
    // Another bit is somebody else's business and stays.
    set_mode(&world.host().join("usr/bin/pkexec"), 0o700);
    assert_eq!(world.revert("linux-mode", 32).outcome, Outcome::Reverted);
    assert_eq!(mode(&world.host().join("usr/bin/pkexec")), 0o4700);
    let none = World::new(vec![entry("linux-mode", actions)]);
    assert_eq!(none.apply("linux-mode", 1).outcome, Outcome::NotApplicable);
}

/// What applying a change of permission bits says on a host with these files and links.
fn mode_applied(action: &str, files: &[(&str, u32)], links: &[(&str, &str)]) -> (Outcome, String, Vec<u32>) {
    let world = World::new(vec![entry("linux-mode", &format!("[[action]]\nkind = \"file.mode\"\n{action}\n"))]);
    for (path, bits) in files {
        world.write(path, path);
        set_mode(&world.host().join(path), *bits);
    }
    for (path, target) in links {
        world.write(path, "");
        std::fs::remove_file(world.host().join(path)).unwrap();
        match target.strip_prefix("hard:") {
            Some(target) => std::fs::hard_link(world.host().join(target), world.host().join(path)).unwrap(),
            None => symlink(target, world.host().join(path)).unwrap(),
        }
    }
    let report = world.apply("linux-mode", 1);
    (report.outcome, report.message, files.iter().map(|(path, _)| mode(&world.host().join(path))).collect())
}

#[test]
fn a_vital_program_keeps_its_bits_under_another_name_of_this_host() {
    let (suid, exec) = ("clear = [\"suid\"]", "clear = [\"exec\"]");
    for (path, change, bits, link, refused) in [
        // Behind a link, behind two, and as a hard link.
        ("usr/lib/rust/become", suid, 0o4755, ("usr/bin/sudo", "../lib/rust/become"), "is /usr/bin/sudo"),
        ("usr/lib/rust/become", suid, 0o4755, ("usr/bin/gone", "../lib/rust/become"), ""),
        ("usr/bin/become", suid, 0o4755, ("usr/bin/su", "hard:usr/bin/become"), "is /usr/bin/su "),
        ("usr/bin/shell", exec, 0o755, ("bin/sh", "/usr/bin/shell"), "is /bin/sh "),
        ("usr/bin/secure-shell", exec, 0o755, ("usr/sbin/sshd", "/usr/bin/secure-shell"), "is /usr/sbin/sshd"),
        ("usr/bin/secure-shell", suid, 0o4755, ("usr/sbin/sshd", "/usr/bin/secure-shell"), ""),
        ("usr/bin/tool", "mode = \"0644\"", 0o755, ("usr/bin/other", "tool"), ""),
        // What an entry calls setuid has to be.
        ("usr/lib/x/helper", "clear = [\"suid\", \"exec\"]", 0o755, ("usr/bin/x", "y"), "not setuid"),
        ("usr/lib/x/helper", "clear = [\"suid\", \"exec\"]", 0o4755, ("usr/bin/x", "y"), ""),
    ] {
        let action = format!("path = \"/{path}\"\n{change}");
        let (outcome, message, modes) = mode_applied(&action, &[(path, bits)], &[link]);
        if refused.is_empty() {
            assert_eq!(outcome, Outcome::Succeeded, "{action} {link:?}: {message}");
            assert_ne!(modes, [bits]);
        } else {
            assert_eq!((outcome, modes), (Outcome::Failed, vec![bits]), "{action} {link:?}: {message}");
            assert!(message.contains(refused), "{action}: {message}");
        }
    }
}

fn sysctl() -> Entry {
    entry("linux-sysctl", "[[action]]\nkind = \"kernel.sysctl\"\nkey = \"net.ipv4.tcp_sack\"\nop = \"eq\"\nvalue = 0\n")
}

#[test]
fn kernel_sysctl() {
    let world = World::new(vec![sysctl()]);
    assert_eq!(world.apply("linux-sysctl", 1).state, ControlState::Unknown, "no facts, no claim");
    world.write("proc/sys/net/ipv4/tcp_sack", "1\n");
    world.write("proc/sys/kernel/osrelease", "6.1.0\n");
    world.write("etc/sysctl.d/10-a.conf", "net.ipv4.tcp_sack = 1\n");
    round_trip(&world, "linux-sysctl");
    assert_eq!(world.apply("linux-sysctl", 31).outcome, Outcome::Succeeded);
    assert_eq!(world.read("proc/sys/net/ipv4/tcp_sack"), "0\n");
    // The running kernel was changed back by hand: still set at boot, but no longer as we left it.
    world.write("proc/sys/net/ipv4/tcp_sack", "1\n");
    assert_eq!(world.check("linux-sysctl", 32).state, ControlState::Drifted);
    assert_eq!(world.revert("linux-sysctl", 33).outcome, Outcome::Reverted);
    drifts(&world, "linux-sysctl", |world| world.write("proc/sys/net/ipv4/tcp_sack", "2\n"));
    // Applied again, theirs is the prior state of what they changed, and ours of the rest still goes.
    assert_eq!(world.apply("linux-sysctl", 41).outcome, Outcome::Succeeded);
    assert_eq!(world.revert("linux-sysctl", 42).outcome, Outcome::Reverted);
    assert_eq!(world.read("proc/sys/net/ipv4/tcp_sack"), "2\n");
    assert!(!world.exists("etc/sysctl.d/99-zz-quell-net.ipv4.tcp_sack.conf"));
}

#[test]
fn a_file_read_later_than_ours_is_left_to_a_person() {
    let world = World::new(vec![sysctl()]);
    world.write("proc/sys/net/ipv4/tcp_sack", "1\n");
    world.write("etc/sysctl.d/zzz.conf", "net/ipv4/tcp_sack=1\n");
    let before = world.snapshot();
    let report = world.apply("linux-sysctl", 1);
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(report.message.contains("by hand"), "{}", report.message);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn kernel_module() {
    let actions = "[[action]]\nkind = \"kernel.module\"\nname = \"n_hdlc\"\nblocked = true\n";
    let world = World::new(vec![entry("linux-module", actions)]);
    assert_eq!(world.apply("linux-module", 1).outcome, Outcome::Failed, "no facts, no change");
    world.write("proc/modules", "ext4 1 1 - Live 0x0\n");
    world.write("proc/sys/kernel/osrelease", "6.1.0\n");
    world.write("lib/modules/6.1.0/modules.builtin", "kernel/fs/ext4/ext4.ko\n");
    world.write("etc/modprobe.d/other.conf", "options snd x=1\n");
    round_trip(&world, "linux-module");
    drifts(&world, "linux-module", |world| world.write("etc/modprobe.d/quell-n_hdlc.conf", "# off\n"));
}

#[test]
fn a_loaded_module_is_configured_and_a_built_in_one_cannot_be_blocked() {
    let actions = "[[action]]\nkind = \"kernel.module\"\nname = \"n_hdlc\"\nblocked = true\n";
    let world = World::new(vec![entry("linux-module", actions)]);
    world.write("proc/modules", "n-hdlc 20480 0 - Live 0x0\n");
    world.write("proc/sys/kernel/osrelease", "6.1.0\n");
    world.write("lib/modules/6.1.0/modules.builtin", "");
    let report = world.apply("linux-module", 1);
    assert_eq!((report.outcome, report.state), (Outcome::Succeeded, ControlState::Configured));
    assert_eq!(report.restart_needed.as_deref(), Some("reboot"));
    world.revert("linux-module", 2);
    world.write("lib/modules/6.1.0/modules.builtin", "kernel/drivers/tty/n_hdlc.ko\n");
    let before = world.snapshot();
    let report = world.apply("linux-module", 3);
    assert_eq!((report.outcome, report.state), (Outcome::Failed, ControlState::Exposed));
    assert!(report.message.contains("built into"), "{}", report.message);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_module_that_holds_up_disks_or_network_here_is_not_blocked() {
    let actions = "[[action]]\nkind = \"kernel.module\"\nname = \"tls\"\nblocked = true\n";
    for (modules, refused) in [
        ("bonding 1 0 - Live 0x0\ntls 1 1 bonding, Live 0x0\n", "bonding"),
        ("dm-crypt 1 0 - Live 0x0\nmiddle 1 1 dm-crypt, Live 0x0\ntls 1 2 other,middle, Live 0x0\n", "dm_crypt"),
        ("bonding 1 0 - Live 0x0\ntls 1 1 other, Live 0x0\nother 1 1 tls, Live 0x0\n", ""),
        ("bonding 1 1 tls, Live 0x0\ntls 1 0 - Live 0x0\n", ""),
        ("bonding 1 0 - Live 0x0\n", ""),
    ] {
        let world = World::new(vec![entry("linux-module", actions)]);
        world.write("proc/modules", modules);
        world.write("proc/sys/kernel/osrelease", "6.1.0\n");
        world.write("lib/modules/6.1.0/modules.builtin", "");
        let before = world.snapshot();
        let report = world.apply("linux-module", 1);
        if refused.is_empty() {
            assert_eq!(report.outcome, Outcome::Succeeded, "{modules}: {report:#?}");
        } else {
            assert_eq!(report.outcome, Outcome::Failed, "{modules}: {report:#?}");
            assert!(report.message.contains(&format!("{refused}, which this machine uses")), "{}", report.message);
            assert_eq!(world.snapshot(), before);
        }
    }
}

fn service(start: &str) -> World {
    let actions = format!(
        "[[action]]\nkind = \"service.state\"\nname = \"telnet.socket\"\nrunning = false\nstart = \"{start}\"\n"
    );
    let world = World::new(vec![entry("linux-service", &actions)]);
    world.write("usr/lib/systemd/system/telnet.socket", "[Socket]\n");
    world.write("sys/fs/cgroup/system.slice/other.service/cgroup.procs", "1\n");
    world.write("etc/systemd/system/sockets.target.wants/.keep", "");
    let link = world.host().join("etc/systemd/system/sockets.target.wants/telnet.socket");
    symlink("/usr/lib/systemd/system/telnet.socket", link).unwrap();
    world
}

#[test]
fn service_state() {
    for start in ["masked", "disabled"] {
        let world = service(start);
        round_trip(&world, "linux-service");
        let mask = world.host().join("etc/systemd/system/telnet.socket");
        drifts(&world, "linux-service", |_| {
            let _ = std::fs::remove_file(&mask);
            let wants = world.host().join("etc/systemd/system/sockets.target.wants/telnet.socket");
            symlink("/somewhere/telnet.socket", wants).unwrap();
        });
    }
}

#[test]
fn a_running_service_below_another_root_waits_for_the_next_boot() {
    let world = service("masked");
    world.write("sys/fs/cgroup/system.slice/telnet.socket/cgroup.procs", "77\n");
    let report = world.apply("linux-service", 1);
    assert_eq!((report.outcome, report.state), (Outcome::Succeeded, ControlState::Configured), "{report:#?}");
    let world = service("masked");
    std::fs::remove_dir_all(world.host().join("sys")).unwrap();
    assert_eq!(world.check("linux-service", 1).state, ControlState::Exposed);
    let before = world.snapshot();
    let report = world.apply("linux-service", 2);
    assert_eq!(report.outcome, Outcome::VerifyFailed, "whether it runs is not known: {report:#?}");
    assert_eq!(world.snapshot(), before, "and it was put back");
    let world = service("masked");
    std::fs::remove_file(world.host().join("usr/lib/systemd/system/telnet.socket")).unwrap();
    std::fs::remove_dir_all(world.host().join("etc/systemd/system/sockets.target.wants")).unwrap();
    assert_eq!(world.apply("linux-service", 1).outcome, Outcome::NotApplicable);
}

#[test]
fn a_masked_name_with_a_file_of_the_host_is_left_to_a_person() {
    let world = service("masked");
    world.write("etc/systemd/system/telnet.socket", "[Socket]\n");
    let before = world.snapshot();
    assert_eq!(world.apply("linux-service", 1).outcome, Outcome::Failed);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn another_name_of_the_unit_that_people_come_in_by_is_not_stopped_either() {
    let world = service("disabled");
    std::fs::remove_file(world.host().join("usr/lib/systemd/system/telnet.socket")).unwrap();
    let alias = world.host().join("etc/systemd/system/telnet.socket");
    symlink("/usr/lib/systemd/system/ssh.socket", &alias).unwrap();
    let before = world.snapshot();
    let report = world.apply("linux-service", 1);
    assert_eq!(report.outcome, Outcome::Failed, "{report:#?}");
    assert!(report.message.contains("another name of ssh.socket"), "{}", report.message);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_unit_that_has_another_name_by_which_people_come_in_is_not_stopped() {
    for (links, refused) in [
        (&[("usr/lib/systemd/system/sshd.socket", "telnet.socket")][..], "another name of sshd.socket"),
        (&[("etc/systemd/system/ssh.socket", "/usr/lib/systemd/system/telnet.socket")], "another name of ssh.socket"),
        (
            &[
                ("etc/systemd/system/inner.socket", "/usr/lib/systemd/system/telnet.socket"),
                ("etc/systemd/system/dropbear.socket", "inner.socket"),
            ],
            "another name of dropbear.socket",
        ),
        (&[("etc/systemd/system/talk.socket", "/usr/lib/systemd/system/telnet.socket")], ""),
        (&[("etc/systemd/system/sshd.socket", "/dev/null"), ("etc/systemd/system/x.socket", "/dev/null")], ""),
    ] {
        let world = service("masked");
        for (path, target) in links {
            symlink(target, world.host().join(path)).unwrap();
        }
        let before = world.snapshot();
        let report = world.apply("linux-service", 1);
        if refused.is_empty() {
            assert_eq!(report.outcome, Outcome::Succeeded, "{links:?}: {report:#?}");
        } else {
            assert_eq!(report.outcome, Outcome::Failed, "{links:?}: {report:#?}");
            assert!(report.message.contains(refused), "{}", report.message);
            assert_eq!(world.snapshot(), before);
        }
    }
}

fn package(want: &str) -> Entry {
    let actions =
        format!("[[action]]\nkind = \"package.state\"\nwant = \"{want}\"\nnames = {{ apt = [\"nobodys-dummy\"] }}\n");
    entry("linux-package", &actions)
}

#[test]
fn package_state_by_the_database() {
    let world = World::new(vec![package("absent")]);
    assert_eq!(world.check("linux-package", 1).state, ControlState::Unknown);
    world.write("var/lib/dpkg/status", "Package: other\nStatus: install ok installed\nVersion: 1\n");
    let report = world.apply("linux-package", 2);
    assert_eq!((report.outcome, report.origin), (Outcome::Unchanged, Some(Origin::External)));
    let world = World::new(vec![package("present")]);
    world.write("var/lib/dpkg/status", "Package: other\nStatus: install ok installed\nVersion: 1\n");
    let before = world.snapshot();
    let report = world.apply("linux-package", 1);
    assert_eq!((report.outcome, report.state), (Outcome::Failed, ControlState::Exposed));
    assert!(report.message.contains("live system"), "{}", report.message);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn package_state_removes_with_dpkg_below_another_root() {
    let have = |program: &str| std::path::Path::new("/usr/bin").join(program).exists();
    if !have("dpkg") || !have("dpkg-deb") || !rustix::process::geteuid().is_root() {
        skip::skipped("kinds::package_state_removes_with_dpkg_below_another_root", "needs root, dpkg and dpkg-deb");
        return;
    }
    let world = World::new(vec![package("absent")]);
    let build = world.folder.path().join("build");
    std::fs::create_dir_all(build.join("DEBIAN")).unwrap();
    std::fs::create_dir_all(build.join("usr/share/nobodys-dummy")).unwrap();
    let control = "Package: nobodys-dummy\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: test\n";
    std::fs::write(build.join("DEBIAN/control"), control).unwrap();
    std::fs::write(build.join("usr/share/nobodys-dummy/file"), "x").unwrap();
    let deb = world.folder.path().join("dummy.deb");
    let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
        let said = std::process::Command::new(program).args(arguments).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    };
    run("dpkg-deb", &["--build".as_ref(), "--root-owner-group".as_ref(), build.as_ref(), deb.as_ref()]);
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log"] {
        world.write(&format!("{folder}/.keep"), "");
    }
    world.write("var/lib/dpkg/status", "");
    world.write("var/lib/dpkg/available", "");
    let root = format!("--root={}", world.host().display());
    let log = format!("--log={}", world.host().join("var/log/dpkg.log").display());
    run("dpkg", &[root.as_ref(), log.as_ref(), "--install".as_ref(), deb.as_ref()]);
    assert_eq!(world.check("linux-package", 1).state, ControlState::Exposed);
    let report = world.apply("linux-package", 2);
    assert_eq!((report.outcome, report.state), (Outcome::Succeeded, ControlState::Effective), "{report:#?}");
    assert!(!world.exists("usr/share/nobodys-dummy/file"));
    let before = world.snapshot();
    let report = world.revert("linux-package", 3);
    assert_eq!(report.outcome, Outcome::RevertFailed);
    assert!(report.message.contains("live system only"), "{}", report.message);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn an_action_that_cannot_be_planned_stops_those_before_it() {
    let actions = "[[action]]\nkind = \"file.setting\"\npath = \"/etc/ssh/sshd_config\"\nformat = \"sshd\"\nkey = \"Banner\"\nvalue = \"none\"\n\n[[action]]\nkind = \"file.setting\"\npath = \"/etc/sssd/sssd.conf\"\nformat = \"ini\"\nsection = \"domain/*\"\nkey = \"k\"\nvalue = \"v\"\n";
    let world = World::new(vec![entry("linux-bad", actions)]);
    world.write("etc/sssd/sssd.conf", "[sssd]\n");
    let before = world.snapshot();
    let report = world.apply("linux-bad", 1);
    assert_eq!((report.outcome, report.left_changed), (Outcome::Failed, false));
    assert!(report.message.contains("no section matches"), "{}", report.message);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_signed_entry_may_still_not_write_just_anywhere() {
    let mut bad = dropin();
    let catalogue::actions::Action::FileDropin(action) = &mut bad.actions[0] else { panic!() };
    action.path = "/etc/cron.d/x".parse().unwrap();
    let world = World::new(vec![bad.clone()]);
    let before = world.snapshot();
    let order = world.order(protocol::order::OrderKind::Apply, "linux-dropin", 1, 1);
    let code = world.refused(&common::sign(&order, common::ORDER));
    assert_eq!(code, protocol::order::RefusalCode::Unsupported);
    let host = agent::host::Host::new(agent::fs::Tree::open(&world.host()).unwrap());
    let mut workspace = agent::kinds::Workspace::new(&host.tree);
    assert!(agent::kinds::plan(&bad.actions[0], &host, &mut workspace).is_err());
    assert_eq!(world.snapshot(), before);
}

#[test]
fn conditions_are_asked_first() {
    let conditioned = |applies: &str| {
        let mut with = dropin();
        with.applies = toml_applies(applies);
        World::new(vec![with])
    };
    let world = conditioned("os = [{ family = \"debian\", version = \">=12\" }]");
    world.write("etc/os-release", "ID=debian\nVERSION_ID=11\n");
    assert_eq!(world.apply("linux-dropin", 1).outcome, Outcome::NotApplicable);
    world.write("etc/os-release", "ID=debian\nVERSION_ID=12\n");
    world.stop();
    assert_eq!(world.apply("linux-dropin", 2).outcome, Outcome::Succeeded);
    let world = conditioned("package = [{ any = [\"apt\"] }]");
    let report = world.apply("linux-dropin", 1);
    assert_eq!((report.outcome, report.state), (Outcome::Failed, ControlState::Unknown));
    let world = conditioned("probe = [{ kind = \"path.exists\", path = \"/etc/nothing\" }]");
    assert_eq!(world.apply("linux-dropin", 1).outcome, Outcome::NotApplicable);
}

fn toml_applies(text: &str) -> catalogue::applies::Applies {
    let (head, tail) = common::SSHD.split_once("[[action]]").unwrap();
    let text = format!("{head}\n[applies]\n{text}\n[[action]]{tail}");
    Entry::from_toml(&text).unwrap().applies
}
