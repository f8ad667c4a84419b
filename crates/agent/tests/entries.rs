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
    Action, ArchiveMemberAbsent, FileListSetting, FileMode, FileSetting, FileSettingAbsent, FileXml, KernelCmdline,
    KernelModule, KernelSysctl, PackageManager, PackageWant, SelinuxBoolean, ServiceState, SettingFormat, SysctlOp,
    XmlWant,
};
use catalogue::applies::{Applicability, OsFamily, Probe};
use catalogue::schema::{Entry, EntryPlatform, Status};
use catalogue::version::VersionScheme;
use common::jar::jar;
use common::{World, set_mode, without_approval};
use domain::mitigation::ControlState;
use protocol::agent::{Event, EventKind, Outcome};
use protocol::order::{OrderKind, RefusalCode};
use std::os::unix::fs::symlink;

fn linux_entries() -> Vec<Entry> {
    let entries = catalogue::embedded::entries().unwrap();
    entries.into_iter().filter(|entry| entry.platform != EntryPlatform::Windows).collect()
}

/// Entries that change packages are exercised with packages made on the spot in `packages.rs`: below another root nothing puts a
/// package back.
fn takes_packages(entry: &Entry) -> bool {
    entry.actions.iter().any(|action| matches!(action, Action::PackageState(_)))
}

/// Entries that only tell are looked at in their own tests.
fn only_looks(entry: &Entry) -> bool {
    entry.status == Status::CheckOnly
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
    let dpkg = |os: &&catalogue::applies::OsCondition| matches!(os.family, OsFamily::Debian | OsFamily::Ubuntu);
    let os = entry.applies.os.iter().find(dpkg).or(entry.applies.os.first());
    let (id, default) = match os.map(|os| os.family) {
        Some(OsFamily::Ubuntu) => ("ubuntu", "22.04"),
        Some(OsFamily::Rhel) => ("rhel", "9.4"),
        None | Some(OsFamily::Debian) => ("debian", "12"),
        Some(other) => panic!("{}: no host of {other:?} is made here", entry.id),
    };
    assert!(id != "rhel" || entry.applies.package.is_empty(), "{}: a host with dpkg is needed here", entry.id);
    let release = os.and_then(|os| os.version.as_ref()).map_or(default.to_owned(), version);
    world.write("etc/os-release", &format!("ID={id}\nVERSION_ID=\"{release}\"\n"));
    let mut status = String::new();
    for condition in &entry.applies.package {
        let version = condition.version.as_ref().map_or("1.0-1".to_owned(), version);
        status
            .push_str(&format!("Package: {}\nStatus: install ok installed\nVersion: {version}\n\n", condition.any[0]));
    }
    if id != "rhel" {
        world.write("var/lib/dpkg/status", &status);
    }
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
        (SettingFormat::Bind, _) => {
            let main = "etc/bind/named.conf";
            if path != main && path.starts_with("etc/bind/") {
                world.write(main, &format!("// ours\ninclude \"/{path}\";\nzone \".\" {{ type hint; }};\n"));
            }
            "options {\n\tdirectory \"/var/cache/bind\"; # x\n\n\trecursion yes;\n};\n".to_owned()
        }
        (SettingFormat::Pam, _) => "#%PAM-1.0\nauth required pam_sepermit.so\nsession optional pam_env.so user_readenv=1\n\
             session\toptional pam_env.so envfile=/etc/default/locale # x\nsession optional pam_keyinit.so force revoke\n"
            .to_owned(),
        (SettingFormat::Postconf, _) => {
            "# main\nmyhostname = mail.example.com\nmynetworks = 127.0.0.0/8,\n  10.0.0.0/8\n".to_owned()
        }
        (_, Some(section)) => format!("; ours\n[{section}]\nother = 1\n\n[last]\nx = y\n"),
        (_, None) => "other = 1\n".to_owned(),
    };
    world.write(path, &text);
}

/// A file in which a list holds the word in two sections, and in a third does not.
fn list(world: &World, wanted: &FileListSetting) {
    let (key, word) = (&wanted.key, &wanted.remove);
    let path = wanted.path.as_str().trim_start_matches('/');
    let text = format!(
        "# ours\n[global]\n  workgroup = X\n  {key} = catia {word}:a, streams_xattr\n[homes]\n{key}={word}\n[data]\n{key} = acl_xattr\n"
    );
    world.write(path, &text);
}

/// A file that sets what nothing may set, in the middle of it.
fn present(world: &World, wanted: &FileSettingAbsent) {
    assert_eq!(wanted.format, SettingFormat::Bind);
    let path = wanted.path.as_str().trim_start_matches('/');
    let text = format!("view \"a\" {{\n\tmatch-clients {{ any; }};\n\t{} \"example.\"; // why\n}};\n", wanted.key);
    world.write(path, &text);
}

fn policy(world: &World) {
    world.write("etc/crypto-policies/config", "# as installed\nDEFAULT:AD-SUPPORT\n");
    world.write("etc/crypto-policies/state/current", "DEFAULT:AD-SUPPORT\n");
    world.write("etc/crypto-policies/policies/modules/.keep", "");
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
        Action::FileListSetting(wanted) => list(world, wanted),
        Action::FileSettingAbsent(wanted) => present(world, wanted),
        Action::CryptoPolicyModule(_) => policy(world),
        Action::PackageState(_)
        | Action::FileScan(_)
        | Action::WindowsSetting(_)
        | Action::FileAcl(_)
        | Action::IisRewriteRule(_)
        | Action::IisGlobalModule(_)
        | Action::RegistryValue(_)
        | Action::RegistryValueAbsent(_)
        | Action::RegistryKeyAbsent(_) => panic!("{}", action.kind()),
    }
}

/// The machine starts anew, and what only runs on the live system ran; says whether that makes everything effective that can be below another root.
fn restart(world: &World, entry: &Entry) -> bool {
    for action in &entry.actions {
        if let Action::KernelCmdline(KernelCmdline { param }) = action {
            world.write("proc/cmdline", &format!("root=/dev/sda1 ro quiet {param}\n"));
        }
        if let Action::CryptoPolicyModule(_) = action {
            world.write("etc/crypto-policies/state/current", &world.read("etc/crypto-policies/config"));
        }
    }
    // The packet filter is the kernel's; a rule in force is shown in a network namespace (`firewall.rs`).
    !entry.actions.iter().any(|action| matches!(action, Action::FirewallRule(_)))
}

#[test]
fn every_linux_entry_is_exposed_applied_effective_unchanged_and_reverted() {
    let mut exercised = 0;
    for entry in linux_entries().into_iter().filter(|entry| !takes_packages(entry) && !only_looks(entry)) {
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
        let waits = |action: &Action| matches!(action, Action::CryptoPolicyModule(_) | Action::KernelCmdline(_));
        if entry.actions.iter().any(waits) {
            assert_eq!(applied.state, ControlState::Configured, "{id}: nothing has applied it yet");
        }
        if applied.state == ControlState::Configured {
            assert!(applied.restart_needed.is_some(), "{id}: {applied:#?}");
        }
        world.stop();
        let outside = ["proc/cmdline", "etc/crypto-policies/state/current"];
        let kept: Vec<(&str, String)> =
            outside.into_iter().filter(|path| world.exists(path)).map(|path| (path, world.read(path))).collect();
        let effective = restart(&world, &entry);
        let expected = if effective { ControlState::Effective } else { ControlState::Configured };
        let checked = world.check(&id, 3);
        assert_eq!(checked.state, expected, "{id}: {checked:#?}");
        assert_eq!(world.apply(&id, 4).outcome, Outcome::Unchanged, "{id}");
        kept.into_iter().for_each(|(path, text)| world.write(path, &text));
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
    assert!(exercised >= 56, "{exercised} entries");
}

/// What dpkg's database says of packages with a version.
fn installed(packages: &[(&str, &str)]) -> String {
    let paragraph = |(name, version): &(&str, &str)| {
        format!("Package: {name}\nStatus: install ok installed\nVersion: {version}\n\n")
    };
    packages.iter().map(paragraph).collect()
}

#[test]
fn entries_about_packages_see_them_in_the_database() {
    let mut seen = 0;
    for entry in linux_entries().into_iter().filter(takes_packages) {
        let id = entry.id.to_string();
        let world = World::new(vec![entry.clone()]);
        meet_conditions(&world, &entry);
        assert!(
            entry.applies.decide(&agent::host::Host::new(agent::fs::Tree::open(&world.host()).unwrap()))
                == Applicability::Applicable
        );
        world.write("sys/fs/cgroup/system.slice/other.service/cgroup.procs", "1\n");
        let state = entry.actions.iter().find_map(|action| match action {
            Action::PackageState(state) => Some(state),
            _ => None,
        });
        let state = state.unwrap();
        let names: Vec<&str> =
            state.names[&PackageManager::Apt].iter().map(catalogue::text::PackageName::as_str).collect();
        let all = |version: &'static str| installed(&names.iter().map(|name| (*name, version)).collect::<Vec<_>>());
        let gone = format!("Package: {}\nStatus: deinstall ok config-files\nVersion: 1\n", names[0]);
        let (exposed, effective): (Vec<String>, Vec<String>) = match &state.want {
            PackageWant::Absent => (vec![all("1"), installed(&[(names[0], "1")])], vec![gone]),
            PackageWant::Present => (vec![gone], vec![all("1")]),
            PackageWant::NotVersion { versions } => {
                let bad = versions[0].as_str().replace('*', "1");
                // Debian wrote the clean version under a newer number.
                (vec![installed(&[(names[0], &bad)])], vec![gone, all("5.6.1+really5.4.5-1"), all("5.6.2-1")])
            }
        };
        let mut task = 0;
        for (databases, wanted) in [(exposed, ControlState::Exposed), (effective, ControlState::Effective)] {
            for database in databases {
                world.write("var/lib/dpkg/status", &database);
                world.stop();
                task += 1;
                assert_eq!(world.check(&id, task).state, wanted, "{id}: {database}");
            }
        }
        seen += 1;
    }
    assert!(seen >= 3, "{seen} entries");
}

#[test]
fn entries_that_only_look_change_nothing() {
    let entry =
        linux_entries().into_iter().find(|entry| entry.id.as_str() == "linux-sudo-runas-not-root-check").unwrap();
    let id = entry.id.to_string();
    let world = World::new(vec![entry.clone()]);
    meet_conditions(&world, &entry);
    world.write("etc/sudoers", "Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n");
    world.write(
        "etc/sudoers.d/web",
        "# for the shop\nRunas_Alias NOTROOT = ALL, !root\nweb ALL = (NOTROOT) /usr/bin/vi\n",
    );
    let before = world.snapshot();
    let checked = world.check(&id, 1);
    assert_eq!(checked.state, ControlState::Exposed, "{checked:#?}");
    assert_eq!(checked.actions[0].before, "/etc/sudoers.d/web line 3");
    // Nothing is done with an entry that only looks; and were it another one, there would be nothing to do it with.
    let order = world.order(OrderKind::Apply, &id, 2, 1);
    let events = world.deliver(&common::sign(&order, common::ORDER));
    let refused = |event: &Event| matches!(event.event, EventKind::Refused { code: RefusalCode::NotInIndex, .. });
    assert!(events.iter().any(refused), "{events:#?}");
    assert_eq!(world.snapshot(), before);
    let mut active = entry.clone();
    active.status = Status::Active;
    active.vulnerabilities[0].points = 20;
    let other = World::new(vec![active]);
    meet_conditions(&other, &entry);
    other.write("etc/sudoers", "web ALL = (ALL, !root) ALL\n");
    let applied = other.apply(&id, 1);
    assert_eq!(applied.outcome, Outcome::Failed, "{applied:#?}");
    assert!(applied.message.contains("rewritten by a person"), "{applied:#?}");
    world.write("etc/sudoers.d/web", "web ALL = (shop) /usr/bin/vi\n");
    assert_eq!(world.check(&id, 3).state, ControlState::Effective);
    // A name without a directory is one beside the file that includes it.
    world.write("etc/sudoers.d/shop", "@include /etc/sudoers.extra/rules\n");
    world.write("etc/sudoers.extra/rules", "@include more\n");
    world.write("etc/sudoers.extra/more", "web ALL = (ALL, !root) ALL\n");
    world.write("etc/more", "");
    assert_eq!(world.check(&id, 5).actions[0].before, "/etc/sudoers.extra/more line 1");
    world.write("etc/sudoers.d/shop", "");
    // What sudo itself does not read does not count.
    world.write("etc/sudoers.d/web.bak", "web ALL = (ALL, !root) ALL\n");
    assert_eq!(world.check(&id, 4).state, ControlState::Effective);
}

#[test]
fn boot_entries_of_each_kernel_get_the_parameter_and_give_it_back() {
    let mut params = Vec::new();
    for entry in linux_entries() {
        if let [Action::KernelCmdline(wanted)] = entry.actions.as_slice() {
            params.push(wanted.param.to_string());
            give_to_each_kernel(&without_approval(&entry), wanted.param.as_str());
        }
    }
    assert_eq!(params, ["gather_data_sampling=force"]);
}

fn give_to_each_kernel(entry: &Entry, param: &str) {
    let id = entry.id.to_string();
    let world = World::new(vec![entry.clone()]);
    meet_conditions(&world, entry);
    world.write("proc/cmdline", "root=/dev/sda1 ro\n");
    for kernel in ["5.14.0-1", "5.14.0-2"] {
        world.write(
            &format!("boot/loader/entries/abc-{kernel}.conf"),
            &format!("title RHEL {kernel}\nlinux /vmlinuz-{kernel}\noptions root=/dev/sda1 ro crashkernel=1G\ngrub_class rhel\n"),
        );
    }
    let before = world.snapshot();
    assert_eq!(world.check(&id, 1).state, ControlState::Exposed);
    let applied = world.apply(&id, 2);
    assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Configured), "{applied:#?}");
    let text = world.read("boot/loader/entries/abc-5.14.0-2.conf");
    assert!(text.contains(&format!("crashkernel=1G {param}\n")), "{text}");
    assert_eq!(world.revert(&id, 3).outcome, Outcome::Reverted);
    assert_eq!(world.snapshot(), before);
    // Variables are the boot loader's own business.
    world.write("boot/loader/entries/abc-5.14.0-3.conf", "title x\noptions $kernelopts\n");
    assert_eq!(world.apply(&id, 4).outcome, Outcome::Failed);
}
