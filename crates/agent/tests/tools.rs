//! Programs of the host that the agent calls, the real ones: systemd started as the first process of namespaces of its own, GRUB in a
//! root of its own. What is not installed may be unpacked into a folder that [`TOOLS`] names; without it a test is skipped, loudly.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use agent::confine::{self, Confinement, SYSTEMD_RUN};
use agent::deadline::Deadline;
use agent::executor::Executor;
use agent::frame::ToExecutor;
use agent::fs::Tree;
use agent::host::Host;
use agent::services::{self, Restarted};
use agent::state::StateDir;
use catalogue::text::ServiceName;
use common::{World, entry};
use domain::mitigation::ControlState;
use protocol::agent::{Outcome, TaskReport};
use protocol::order::OrderKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Names a folder with unpacked packages (`dpkg-deb -x`), laid over the test's own root: `grub-common`, `grub2-common`, `gettext-base`.
const TOOLS: &str = "QUELL_AGENT_TOOLS";
/// The part of a test that runs inside.
const INNER: &str = "QUELL_AGENT_TEST_INNER";

/// A root of its own over that of this machine, with the unpacked packages in it and this test as `/run/test`. `$0` is the folder for
/// it, `$1` this test, `$2` the packages.
const ROOT: &str = "set -e; umask 022; mount --make-rprivate /; mount -t tmpfs none \"$0\" || exit 77; \
    mkdir \"$0/up\" \"$0/work\" \"$0/root\"; \
    mount -t overlay -o \"lowerdir=/,upperdir=$0/up,workdir=$0/work\" none \"$0/root\" || exit 77; cd \"$0/root\"; \
    if [ -n \"$2\" ]; then cp -a \"$2/.\" .; fi; \
    mount -t proc none proc || exit 77; mount --rbind /dev dev; mount -t tmpfs -o mode=0755 none run; mount -t tmpfs none tmp; \
    cp \"$1\" run/test; ";

fn inside() -> bool {
    std::env::var_os(INNER).is_some()
}

fn tools() -> String {
    std::env::var(TOOLS).unwrap_or_default()
}

/// Whether a program is on this machine or among the unpacked packages.
fn has(program: &str) -> bool {
    Path::new(program).is_file() || (!tools().is_empty() && Path::new(&format!("{}{program}", tools())).is_file())
}

/// Why a test that needs namespaces and these programs cannot run here.
fn missing(programs: &[&str]) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root for namespaces of its own".to_owned());
    }
    let absent = programs.iter().find(|program| !has(program))?;
    Some(format!("{absent} is not here; install it, or unpack its package into a folder that {TOOLS} names"))
}

fn words(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The outcome of the part inside: it ran, and it passed; `false` where namespaces cannot be had.
fn passed(name: &str, output: &Output) -> bool {
    if output.status.code() == Some(77) || output.stderr.starts_with(b"unshare:") {
        skip::skipped(&format!("tools::{name}"), &String::from_utf8_lossy(&output.stderr));
        return false;
    }
    assert!(output.status.success(), "{}", words(output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{name} is no test: {}", words(output));
    true
}

/// Run a part of a test in a root of its own, after `prepare`.
fn within_root(name: &str, prepare: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "{ROOT}{prepare} exec chroot . /usr/bin/env -i {INNER}=1 PATH=/usr/sbin:/usr/bin:/sbin:/bin /run/test --exact {name} --nocapture"
    );
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .arg(tools())
        .output()
        .unwrap();
    passed(name, &output);
}

/// An executor on the root of this process.
struct Live {
    world: World,
    executor: Executor,
    task: u128,
}

impl Live {
    fn new(actions: &str) -> Self {
        let world = World::new(vec![entry("linux-tool", actions)]);
        let host = Host::new(Tree::open(Path::new("/")).unwrap());
        let mut executor = Executor::open(StateDir::open(&world.state()).unwrap(), host, false).unwrap();
        executor.handle(ToExecutor::Time { server: common::now() });
        executor.handle(ToExecutor::Index { envelope: world.index.clone() });
        Self { world, executor, task: 0 }
    }

    fn run(&mut self, kind: OrderKind) -> TaskReport {
        self.task += 1;
        let order = self.world.order(kind, "linux-tool", self.task, 1);
        let out = common::carry_out(&mut self.executor, &order, &self.world.entries["linux-tool"], true);
        common::report(&common::events(&out))
    }
}

// systemd

/// What `systemd-analyze verify` says against a unit with these properties.
fn complaints(properties: &[String]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quell-test.service");
    let lines: Vec<&str> = properties.iter().filter_map(|word| word.strip_prefix("--property=")).collect();
    assert!(lines.len() > 10, "{properties:?}");
    std::fs::write(&path, format!("[Service]\nExecStart=/bin/true\n{}\n", lines.join("\n"))).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().unwrap();
    let about = String::from_utf8_lossy(&output.stderr).into_owned();
    about.lines().filter(|line| line.contains("quell-test.service")).collect::<Vec<_>>().join("\n")
}

#[test]
fn systemd_knows_every_property_of_our_units() {
    if !has("/usr/bin/systemd-analyze") {
        skip::elsewhere("tools::systemd_knows_every_property_of_our_units", "systemd-analyze is not here");
        return;
    }
    let net = confine::network_unit(Some((65534, 65534)));
    assert_eq!(complaints(&net), "");
    for program in ["/usr/sbin/sshd", "/usr/sbin/apachectl", "/usr/bin/testparm"] {
        assert_eq!(complaints(&confine::reader_unit(program, 60)), "", "{program}");
    }
    // It would say so.
    let mut wrong = net;
    wrong.extend(["--property=ProtectEverything=yes", "--property=PrivateUsers=perhaps"].map(str::to_owned));
    let said = complaints(&wrong);
    assert!(said.contains("ProtectEverything") && said.contains("perhaps"), "{said}");
    // The unit that people install.
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/quell-agent.service");
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(ours).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for line in said.lines().filter(|line| line.contains("quell-agent.service")) {
        assert!(line.contains("is not executable"), "{line}");
    }
}

/// A systemd that is the first process of namespaces of its own; it ends with this.
struct Booted {
    unshare: Child,
    first: u32,
    _folder: tempfile::TempDir,
}

impl Drop for Booted {
    fn drop(&mut self) {
        // Its end is the end of everything in its namespaces.
        let first = i32::try_from(self.first).ok().and_then(rustix::process::Pid::from_raw);
        first.map(|first| rustix::process::kill_process(first, rustix::process::Signal::KILL));
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

impl Booted {
    /// Start it with nothing but a bus, and units of ours; says why where that cannot be had.
    fn new() -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "{ROOT}mount -t sysfs none sys 2>/dev/null || mount --rbind /sys sys; mount -t cgroup2 none sys/fs/cgroup || exit 77; \
             mkdir -p run/systemd/system; printf '[Unit]\\nDefaultDependencies=no\\n' > run/systemd/system/quell-test.target; \
             printf '[Service]\\nExecStart=/bin/sleep 1000\\n' > run/systemd/system/probe.service; \
             exec chroot . /usr/bin/env -i container=quell PATH=/usr/sbin:/usr/bin:/sbin:/bin \
             /lib/systemd/systemd --system --unit=quell-test.target --log-target=console --show-status=no"
        );
        let mut unshare = Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--cgroup",
                "--ipc",
                "--uts",
                "--net",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                &script,
            ])
            .arg(folder.path())
            .arg(std::env::current_exe().unwrap())
            .arg(tools())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let child = format!("/proc/{0}/task/{0}/children", unshare.id());
        for _ in 0..150 {
            std::thread::sleep(Duration::from_millis(200));
            if let Some(status) = unshare.try_wait().unwrap() {
                return Err(format!("namespaces or cgroups of its own cannot be had: {status}"));
            }
            let first = std::fs::read_to_string(&child).unwrap_or_default();
            let Some(first) = first.split_whitespace().next().and_then(|first| first.parse().ok()) else { continue };
            let answers = Self::command(first, &["systemctl", "start", "dbus.service"]).output().unwrap();
            if answers.status.success() {
                return Ok(Self { unshare, first, _folder: folder });
            }
        }
        let _ = unshare.kill();
        let _ = unshare.wait();
        Err("systemd does not answer as the first process of a namespace".to_owned())
    }

    fn command(first: u32, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &first.to_string(), "-m", "-p", "-C", "-i", "-u", "-n", "-r", "-w"]).args(words);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env(INNER, "1").stdin(Stdio::null());
        command
    }
}

/// Let a part of a test run where systemd is the service manager.
fn within_systemd(name: &str) {
    let programs = ["/lib/systemd/systemd", SYSTEMD_RUN, "/usr/bin/systemctl", "/usr/bin/dbus-daemon"];
    let booted = match missing(&programs).map_or_else(Booted::new, Err) {
        Ok(booted) => booted,
        Err(why) => return skip::elsewhere(&format!("tools::{name}"), &why),
    };
    let output = Booted::command(booted.first, &["/run/test", "--exact", name, "--nocapture"]).output().unwrap();
    passed(name, &output);
}

#[test]
fn units_of_systemd_take_away_what_landlock_would() {
    if !inside() {
        return within_systemd("units_of_systemd_take_away_what_landlock_would");
    }
    common::without_landlock(|| {
        assert_eq!(confine::begin(false), Ok(Confinement::Systemd));
        assert!(confine::by_units());
        // Which folders are its own goes by the program's name.
        if std::fs::symlink_metadata("/usr/bin/testparm").is_ok() {
            std::fs::remove_file("/usr/bin/testparm").unwrap();
        }
        std::os::unix::fs::symlink("/bin/sh", "/usr/bin/testparm").unwrap();
        let reader = |script: &str| confine::call_reader("/bin/sh", &["-c", script], Deadline::NEVER).unwrap();
        let unit = reader("tail -1 /proc/self/cgroup");
        assert!(unit.ok && unit.text.contains("/system.slice/run-"), "it is a unit of its own: {unit:?}");
        for place in ["/etc", "/usr", "/var/lib", "/root", "/home", "/boot", "/run", "/run/systemd/system"] {
            let said = reader(&format!("echo x > {place}/quell-x"));
            assert!(!said.ok && !Path::new(&format!("{place}/quell-x")).exists(), "{place}: {said:?}");
        }
        for file in ["/proc/sys/kernel/core_pattern", "/sys/fs/cgroup/cgroup.procs", "/dev/mem", "/dev/kmsg"] {
            let said = reader(&format!(": >> {file}"));
            assert!(!said.ok || !Path::new(file).exists(), "{file}: {said:?}");
        }
        let said = reader(
            "echo x > /tmp/quell-x && cat /etc/passwd && ls /sys/class/net; grep -E 'NoNewPrivs|Seccomp:' /proc/self/status",
        );
        assert!(said.ok && said.text.contains("root:"), "it reads, and writes temporary files: {said:?}");
        assert!(said.text.contains("NoNewPrivs:\t1") && said.text.contains("Seccomp:\t2"), "{said:?}");
        // Root it is, and yet it neither mounts anything writable nor reaches it through the first process.
        for script in
            ["echo x > /proc/1/root/etc/quell-x", "mount -o remount,bind,rw /", "mount -o remount,bind,rw /run"]
        {
            let said = reader(script);
            assert!(!said.ok && !Path::new("/etc/quell-x").exists(), "{script}: {said:?}");
        }
        std::fs::create_dir("/run/samba").unwrap();
        let own = "echo x > /run/samba/quell-x && chown nobody /run/samba/quell-x";
        let said = confine::call_reader("/usr/bin/testparm", &["-c", own], Deadline::NEVER).unwrap();
        assert!(said.ok, "folders of its own stay writable: {said:?}");
        let net = reader("cat /proc/net/dev");
        assert_eq!(net.text.lines().filter(|line| line.contains(':')).count(), 1, "loopback alone: {net:?}");

        // The network half: another user, no rights at all, nothing writable.
        let half = |script: &str| {
            let unit = confine::network_unit(Some((65534, 65534)));
            Command::new(SYSTEMD_RUN).args(unit).args(["--", "/bin/sh", "-c", script]).output().unwrap()
        };
        let output = half("id -u; id -g; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.starts_with("65534\n65534\n"), "{}", words(&output));
        for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"] {
            assert!(text.contains(line), "{line}: {text}");
        }
        for script in ["echo x > /etc/quell-x", "ls /root", "echo x > /var/tmp/../lib/quell-x", "unshare --user true"] {
            assert!(!half(script).status.success(), "{script}");
        }
        assert!(half("cat /etc/passwd").status.success(), "it resolves names");
    });
}

#[test]
fn a_real_service_manager_restarts_and_says_what_came_of_it() {
    if !inside() {
        return within_systemd("a_real_service_manager_restarts_and_says_what_came_of_it");
    }
    let systemctl = |words: &[&str]| {
        let output = Command::new("systemctl").args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let mut host = Host::new(Tree::open(Path::new("/")).unwrap());
    host.settle = Duration::from_secs(1);
    let names: Vec<ServiceName> = ["gone", "probe"].map(|name| name.parse().unwrap()).into();
    assert_eq!(services::restart_first(&host, &names), Restarted::Nothing, "what does not run is not started");
    systemctl(&["start", "probe"]);
    let before = systemctl(&["show", "--property=MainPID", "probe"]);
    assert_eq!(services::restart_first(&host, &names), Restarted::Back("probe.service".to_owned()));
    assert_ne!(systemctl(&["show", "--property=MainPID", "probe"]), before, "another process");
    std::fs::write("/run/systemd/system/probe.service", "[Service]\nExecStart=/bin/false\n").unwrap();
    systemctl(&["daemon-reload"]);
    let failed = services::restart_first(&host, &names);
    assert!(matches!(&failed, Restarted::Failed { unit, .. } if unit == "probe.service"), "{failed:?}");
    assert!(failed.trouble().unwrap().contains("it is failed"), "{failed:?}");
    std::fs::write("/run/systemd/system/probe.service", "[Service]\nExecStart=/bin/sleep 1000\n").unwrap();
    systemctl(&["daemon-reload"]);
    assert_eq!(services::restart_or_revive(&host, &names), Restarted::Back("probe.service".to_owned()));
}

// GRUB

const CMDLINE: &str = "[[action]]\nkind = \"kernel.cmdline\"\nparam = \"gather_data_sampling=force\"\n";

#[test]
fn a_real_grub_makes_a_menu_with_the_parameter_and_without_it_again() {
    const NAME: &str = "a_real_grub_makes_a_menu_with_the_parameter_and_without_it_again";
    if !inside() {
        let programs = ["/usr/sbin/update-grub", "/usr/sbin/grub-mkconfig", "/etc/grub.d/10_linux", "/usr/bin/gettext"];
        if let Some(why) = missing(&programs) {
            return skip::elsewhere(&format!("tools::{NAME}"), &why);
        }
        // Two kernels and a disk that GRUB is told of; it has no way to find the one of this machine in a root of its own.
        let prepare = "rm -rf boot/* etc/default/grub.d etc/grub.d/30_*; mkdir -p boot/grub etc/default/grub.d; \
            for n in 1 2; do echo k > boot/vmlinuz-6.1.0-$n-amd64; echo i > boot/initrd.img-6.1.0-$n-amd64; done; \
            printf 'GRUB_DEFAULT=0\\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\\nGRUB_CMDLINE_LINUX=\"net.ifnames=0\"\\n' > etc/default/grub; \
            rm -f usr/sbin/grub-probe; printf '%s\\n' '#!/bin/sh' 'case \" $* \" in *fs_uuid*) echo 1234-abcd;; *\"target=fs \"*) echo ext2;; \
            *target=device*) echo /dev/sda1;; *target=drive*) echo \"(hd0,msdos1)\";; esac' > usr/sbin/grub-probe; \
            chmod 755 usr/sbin/grub-probe; ";
        return within_root(NAME, prepare);
    }
    let kernels = || {
        let menu = std::fs::read_to_string("/boot/grub/grub.cfg").unwrap_or_default();
        let lines =
            menu.lines().map(str::trim).filter(|line| line.starts_with("linux") && line.contains("/boot/vmlinuz-"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let with = |lines: &[String]| lines.iter().filter(|line| line.contains("gather_data_sampling=force")).count();
    let mut live = Live::new(CMDLINE);
    let applied = live.run(OrderKind::Apply);
    assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Configured), "{applied:#?}");
    let lines = kernels();
    assert!(lines.len() >= 4 && with(&lines) == lines.len(), "every kernel, the rescue entries too: {lines:#?}");
    assert!(lines.iter().all(|line| line.contains("net.ifnames=0")), "what the host sets stays: {lines:#?}");
    let reverted = live.run(OrderKind::Revert);
    assert_eq!(reverted.outcome, Outcome::Reverted, "{reverted:#?}");
    let lines = kernels();
    assert!(lines.len() >= 4 && with(&lines) == 0, "{lines:#?}");
    assert_eq!(std::fs::read_dir("/etc/default/grub.d").unwrap().count(), 0);
}

// Programs of the Red Hat family: Debian packages none of them.

#[test]
fn a_real_update_crypto_policies_takes_a_module_in_and_out() {
    const NAME: &str = "a_real_update_crypto_policies_takes_a_module_in_and_out";
    if !inside() {
        return match missing(&["/usr/bin/update-crypto-policies"]) {
            Some(why) => skip::elsewhere(&format!("tools::{NAME}"), &why),
            None => within_root(NAME, ""),
        };
    }
    let shown = || {
        let output = Command::new("/usr/bin/update-crypto-policies").arg("--show").output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let before = shown();
    let actions = "[[action]]\nkind = \"file.dropin\"\npath = \"/etc/crypto-policies/policies/modules/QUELL-TEST.pmod\"\n\
        content = \"mac@SSH = -*-ETM\\n\"\nmode = \"0644\"\n\n[[action]]\nkind = \"crypto_policy.module\"\nname = \"QUELL-TEST\"\n";
    let mut live = Live::new(actions);
    let applied = live.run(OrderKind::Apply);
    assert_eq!(applied.outcome, Outcome::Succeeded, "{applied:#?}");
    assert_eq!(shown(), format!("{before}:QUELL-TEST"));
    assert_eq!(live.run(OrderKind::Revert).outcome, Outcome::Reverted);
    assert_eq!(shown(), before);
}

#[test]
fn a_real_grubby_gives_a_parameter_to_every_kernel_and_takes_it_again() {
    const NAME: &str = "a_real_grubby_gives_a_parameter_to_every_kernel_and_takes_it_again";
    if !inside() {
        let prepare = "rm -rf boot/*; mkdir -p boot/loader/entries boot/grub2; echo 0123456789abcdef0123456789abcdef > etc/machine-id; \
            for n in 1 2; do echo k > boot/vmlinuz-5.14.0-$n; printf 'title K %s\\nversion 5.14.0-%s\\nlinux /boot/vmlinuz-5.14.0-%s\\noptions root=/dev/sda1 ro quiet\\n' \
            $n $n $n > boot/loader/entries/0123456789abcdef0123456789abcdef-5.14.0-$n.conf; done; ";
        return match missing(&["/usr/sbin/grubby"]) {
            Some(why) => skip::elsewhere(&format!("tools::{NAME}"), &why),
            None => within_root(NAME, prepare),
        };
    }
    let having = || {
        let folder = PathBuf::from("/boot/loader/entries");
        let texts =
            std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        texts.filter(|text| text.contains("gather_data_sampling=force")).count()
    };
    let mut live = Live::new(CMDLINE);
    let applied = live.run(OrderKind::Apply);
    assert_eq!((applied.outcome, having()), (Outcome::Succeeded, 2), "{applied:#?}");
    assert_eq!((live.run(OrderKind::Revert).outcome, having()), (Outcome::Reverted, 0));
}

/// Only looked at: a switch of a policy that is in force is nobody's to turn in a test.
#[test]
fn what_we_read_of_selinux_is_what_getsebool_says() {
    let all = Command::new("getsebool").arg("-a").output();
    let Some(output) = all.ok().filter(|output| output.status.success()) else {
        skip::elsewhere(
            "tools::what_we_read_of_selinux_is_what_getsebool_says",
            "getsebool or SELinux itself is not here",
        );
        return;
    };
    let host = Host::new(Tree::open(Path::new("/")).unwrap());
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (name, value) = line.split_once(" --> ").unwrap();
        assert_eq!(agent::kinds::selinux_boolean::is(name, value == "on", &host), Ok(true), "{line}");
    }
}
