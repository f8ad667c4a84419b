//! Every Linux entry that comes with the program, on a host made from what the entry itself says: exposed, applied, effective,
//! applied again without a change, reverted byte for byte.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use catalogue::actions::{
    Action, ArchiveMemberAbsent, FileMode, FileSetting, FileXml, KernelCmdline, KernelModule, KernelSysctl,
    PackageManager, PackageWant, SelinuxBoolean, ServiceState, SettingFormat, SysctlOp, XmlWant,
};
use catalogue::applies::{Applicability, OsFamily, Probe};
use catalogue::schema::{Entry, EntryPlatform};
use catalogue::version::VersionScheme;
use common::jar::jar;
use common::{World, set_mode, without_approval};
use domain::mitigation::ControlState;
use protocol::agent::{Event, EventKind, Outcome};
use protocol::order::{OrderKind, RefusalCode};
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

fn linux_entries() -> Vec<Entry> {
    let entries = catalogue::embedded::entries().unwrap();
    entries.into_iter().filter(|entry| entry.platform != EntryPlatform::Windows).collect()
}

/// Entries that take packages away are exercised with a package of their own in `kinds.rs`: below another root nothing puts a
/// package back.
fn takes_packages(entry: &Entry) -> bool {
    entry.actions.iter().any(|action| matches!(action, Action::PackageState(_)))
}

/// A package version that a range holds, among its own bounds.
fn version(range: &catalogue::version::VersionRange) -> String {
    let text = range.to_string();
    let bounds = text.split(',').map(|bound| bound.trim().trim_start_matches(['>', '<', '=', '~', ' ']).to_owned());
    let mut candidates: Vec<String> = bounds.collect();
    candidates.extend(candidates.clone().iter().flat_map(|bound| [format!("{bound}-1"), format!("1:{bound}-1")]));
    candidates.extend(["1.0-1", "0.1-1", "99-1"].map(str::to_owned));
    let found = candidates.iter().find(|version| range.contains(VersionScheme::Dpkg, version));
    found.unwrap_or_else(|| panic!("no version in {text}")).clone()
}

/// Everything that the conditions of an entry ask for.
fn meet_conditions(world: &World, entry: &Entry) {
    let os = entry.applies.os.iter().find(|os| matches!(os.family, OsFamily::Debian | OsFamily::Ubuntu));
    let (id, default) = match os.map(|os| os.family) {
        Some(OsFamily::Ubuntu) => ("ubuntu", "22.04"),
        _ => ("debian", "12"),
    };
    assert!(entry.applies.os.is_empty() || os.is_some(), "{}: a host with dpkg is needed here", entry.id);
    let release = os.and_then(|os| os.version.as_ref()).map_or(default.to_owned(), version);
    world.write("etc/os-release", &format!("ID={id}\nVERSION_ID=\"{release}\"\n"));
    let mut status = String::new();
    for condition in &entry.applies.package {
        let version = condition.version.as_ref().map_or("1.0-1".to_owned(), version);
        status
            .push_str(&format!("Package: {}\nStatus: install ok installed\nVersion: {version}\n\n", condition.any[0]));
    }
    world.write("var/lib/dpkg/status", &status);
    world.write("proc/mounts", "proc /proc proc rw 0 0\n");
    for probe in &entry.applies.probe {
        match probe {
            Probe::PathExists(probe) => {
                let path = probe.path.as_str().trim_start_matches('/').replace('*', "x");
                let is_folder =
                    entry.actions.iter().filter_map(Action::path).any(|of| of.starts_with(&format!("/{path}/")));
                if is_folder {
                    world.write(&format!("{path}/.keep"), "");
                } else if !world.exists(&path) {
                    world.write(&path, "");
                }
            }
            Probe::ServiceExists(probe) => unit(world, &probe.name.unit()),
            Probe::PathAbsent(_) | Probe::MountAbsent(_) => {}
        }
    }
}

fn unit(world: &World, unit: &str) {
    world.write(&format!("usr/lib/systemd/system/{unit}"), "[Unit]\n");
    world.write("sys/fs/cgroup/system.slice/other.service/cgroup.procs", "1\n");
    world.write("etc/systemd/system/multi-user.target.wants/.keep", "");
    let link = world.host().join("etc/systemd/system/multi-user.target.wants").join(unit);
    let _ = symlink(format!("/usr/lib/systemd/system/{unit}"), link);
}

/// A file with other settings and, as far as a program would have it, the section.
fn setting(world: &World, wanted: &FileSetting) {
    let path = wanted.path.as_str().trim_start_matches('/');
    let section = wanted.section.as_ref().map(|section| section.as_str().replace('*', "example"));
    let text = match (wanted.format, section) {
        (SettingFormat::Sshd, _) => "# ours\nPort 22\n\nMatch User nobody\n\tX11Forwarding no\n".to_owned(),
        (SettingFormat::Ssh, _) => "Host *\n    SendEnv LANG\n".to_owned(),
        (SettingFormat::Gitconfig, _) => "[user]\n\tname = nobody\n".to_owned(),
        (SettingFormat::Postconf, _) => {
            "# main\nmyhostname = mail.example.com\nmynetworks = 127.0.0.0/8,\n  10.0.0.0/8\n".to_owned()
        }
        (_, Some(section)) => format!("; ours\n[{section}]\nother = 1\n\n[last]\nx = y\n"),
        (_, None) => "other = 1\n".to_owned(),
    };
    world.write(path, &text);
}

fn xml(world: &World, wanted: &FileXml) {
    let path = wanted.path.as_str().trim_start_matches('/');
    let names: Vec<&str> = wanted.element.names().collect();
    let (last, above) = names.split_last().unwrap();
    let attributes: String =
        wanted.only.iter().map(|(name, value)| format!(" {name}=\"{}\"", value.as_str().replace('*', "x"))).collect();
    let open: String = above.iter().map(|name| format!("<{name}>\n ")).collect();
    let close: String = above.iter().rev().map(|name| format!("</{name}>\n")).collect();
    let inside = if wanted.want == XmlWant::Present { String::new() } else { format!("<{last}{attributes}/>") };
    let text = format!("<?xml version=\"1.0\"?>\n<!-- ours -->\n{open}<other a='b'/>\n {inside}\n{close}");
    // Several actions on one file: each finds its own element in it.
    if world.exists(path) && !inside.is_empty() {
        world.write(path, &world.read(path).replacen("<other a='b'/>", &format!("<other a='b'/>\n {inside}"), 1));
    } else {
        world.write(path, &text);
    }
}

fn module(world: &World, _: &KernelModule) {
    world.write("proc/modules", "ext4 1 1 - Live 0x0\n");
    world.write("proc/sys/kernel/osrelease", "6.1.0\n");
    world.write("lib/modules/6.1.0/modules.builtin", "kernel/fs/ext4/ext4.ko\n");
}

fn sysctl(world: &World, wanted: &KernelSysctl) {
    let exposed = match wanted.op {
        SysctlOp::Eq => i64::from(wanted.value == 0),
        SysctlOp::Ge => wanted.value - 1,
        SysctlOp::Le => wanted.value + 1,
    };
    world.write(&format!("proc/sys/{}", wanted.key.proc_path()), &format!("{exposed}\n"));
    world.write("proc/sys/kernel/osrelease", "6.1.0\n");
}

fn mode(world: &World, wanted: &FileMode) {
    let path = wanted.path.as_str().trim_start_matches('/').replace('*', "x");
    world.write(&path, "binary");
    let bits = [0o4755, 0o6755, 0o755, 0o777].into_iter().find(|bits| wanted.change.wanted(*bits) != *bits).unwrap();
    set_mode(&world.host().join(path), bits);
}

fn archive(world: &World, wanted: &ArchiveMemberAbsent) {
    for (root, name) in wanted.roots.iter().zip(&wanted.names) {
        let path = format!("{}/app/{}", root.as_str().trim_start_matches('/'), name.as_str().replace('*', "x"));
        world.write(&path, "");
        let bytes = jar(&[("a", b"1"), (wanted.member.as_str(), b"2"), ("b", b"3")]);
        std::fs::write(world.host().join(path), bytes).unwrap();
    }
}

fn selinux(world: &World, wanted: &SelinuxBoolean) {
    world.write("sys/fs/selinux/enforce", "1");
    let digit = u8::from(!wanted.value);
    world.write(&format!("sys/fs/selinux/booleans/{}", wanted.name), &format!("{digit} {digit}\n"));
    world.write("etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n");
    world.write("var/lib/selinux/targeted/active/booleans.local", "# by libsemanage\nvirt_use_nfs=1\n");
}

/// Make what one action finds wrong.
fn expose(world: &World, action: &Action) {
    match action {
        Action::FileSetting(wanted) => setting(world, wanted),
        Action::FileDropin(_) => {}
        Action::FileMode(wanted) => mode(world, wanted),
        Action::KernelSysctl(wanted) => sysctl(world, wanted),
        Action::KernelModule(wanted) => module(world, wanted),
        Action::ServiceState(ServiceState { name, .. }) => unit(world, &name.unit()),
        Action::FileXml(wanted) => xml(world, wanted),
        Action::KernelCmdline(_) => {
            world.write("proc/cmdline", "root=/dev/sda1 ro quiet\n");
            world.write("etc/default/grub", "GRUB_CMDLINE_LINUX=\"quiet\"\n");
            world.write("usr/sbin/update-grub", "");
        }
        Action::FirewallRule(_) => world.write("etc/systemd/system/.keep", ""),
        Action::ArchiveMemberAbsent(wanted) => archive(world, wanted),
        Action::SelinuxBoolean(wanted) => selinux(world, wanted),
        Action::PackageState(_)
        | Action::RegistryValue(_)
        | Action::RegistryValueAbsent(_)
        | Action::RegistryKeyAbsent(_) => panic!("{}", action.kind()),
    }
}

/// The machine starts anew; says whether that makes everything effective that can be below another root.
fn restart(world: &World, entry: &Entry) -> bool {
    for action in &entry.actions {
        if let Action::KernelCmdline(KernelCmdline { param }) = action {
            world.write("proc/cmdline", &format!("root=/dev/sda1 ro quiet {param}\n"));
        }
    }
    // The packet filter is the kernel's; a rule in force is shown in a network namespace (`firewall.rs`).
    !entry.actions.iter().any(|action| matches!(action, Action::FirewallRule(_)))
}

#[test]
fn every_linux_entry_is_exposed_applied_effective_unchanged_and_reverted() {
    let mut exercised = 0;
    for entry in linux_entries().into_iter().filter(|entry| !takes_packages(entry)) {
        let id = entry.id.to_string();
        if entry.needs_approval() {
            let world = World::new(vec![entry.clone()]);
            let order = world.order(OrderKind::Apply, &id, 1, 1);
            let events = world.deliver(&common::sign(&order, common::ORDER));
            let refused =
                |event: &Event| matches!(event.event, EventKind::Refused { code: RefusalCode::ApprovalNeeded, .. });
            assert!(events.iter().any(refused), "{id}: {events:#?}");
        }
        let entry = without_approval(&entry);
        let world = World::new(vec![entry.clone()]);
        meet_conditions(&world, &entry);
        entry.actions.iter().for_each(|action| expose(&world, action));
        let before = world.snapshot();
        let checked = world.check(&id, 1);
        assert_eq!(checked.state, ControlState::Exposed, "{id}: {checked:#?}");
        assert_eq!(world.snapshot(), before, "{id}: a check changes nothing");

        let applied = world.apply(&id, 2);
        assert_eq!(applied.outcome, Outcome::Succeeded, "{id}: {applied:#?}");
        assert!(applied.actions.iter().any(|action| !action.diff.is_empty()), "{id}: {applied:#?}");
        let after = world.snapshot();
        assert_ne!(after, before, "{id}");
        if applied.state == ControlState::Configured {
            assert!(applied.restart_needed.is_some(), "{id}: {applied:#?}");
        }
        world.stop();
        let (cmdline, effective) =
            (world.exists("proc/cmdline").then(|| world.read("proc/cmdline")), restart(&world, &entry));
        let expected = if effective { ControlState::Effective } else { ControlState::Configured };
        let checked = world.check(&id, 3);
        assert_eq!(checked.state, expected, "{id}: {checked:#?}");
        assert_eq!(world.apply(&id, 4).outcome, Outcome::Unchanged, "{id}");
        cmdline.into_iter().for_each(|text| world.write("proc/cmdline", &text));
        assert_eq!(world.snapshot(), after, "{id}: applied again, nothing changes");

        let reverted = world.revert(&id, 5);
        assert_eq!(
            (reverted.outcome, reverted.state),
            (Outcome::Reverted, ControlState::Exposed),
            "{id}: {reverted:#?}"
        );
        assert_eq!(world.snapshot(), before, "{id}: byte for byte as it was");
        exercised += 1;
    }
    assert!(exercised >= 50, "{exercised} entries");
}

#[test]
fn entries_that_take_packages_see_them_in_the_database() {
    for entry in linux_entries().into_iter().filter(takes_packages) {
        let id = entry.id.to_string();
        let world = World::new(vec![entry.clone()]);
        meet_conditions(&world, &entry);
        assert!(
            entry.applies.decide(&agent::host::Host::new(agent::fs::Tree::open(&world.host()).unwrap()))
                == Applicability::Applicable
        );
        let names: BTreeSet<String> = entry
            .actions
            .iter()
            .filter_map(|action| match action {
                Action::PackageState(state) if state.want == PackageWant::Absent => {
                    state.names.get(&PackageManager::Apt)
                }
                _ => None,
            })
            .flatten()
            .map(ToString::to_string)
            .collect();
        assert!(!names.is_empty(), "{id}");
        let name = names.first().unwrap();
        world.write("sys/fs/cgroup/system.slice/other.service/cgroup.procs", "1\n");
        world.write("var/lib/dpkg/status", &format!("Package: {name}\nStatus: install ok installed\nVersion: 1\n"));
        world.stop();
        assert_eq!(world.check(&id, 1).state, ControlState::Exposed, "{id}");
        world
            .write("var/lib/dpkg/status", &format!("Package: {name}\nStatus: deinstall ok config-files\nVersion: 1\n"));
        world.stop();
        assert_eq!(world.check(&id, 2).state, ControlState::Effective, "{id}");
    }
}
