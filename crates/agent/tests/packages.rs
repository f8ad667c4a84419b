//! The entries that change what is installed, really applied with packages made on the spot.
//!
//! Once below a temporary root with `dpkg --root`, which can take packages away and bring none back; and once on the live system
//! of a mount namespace, where the machine's own `apt-get` and `dpkg` work on a database, sources and folders of the namespace.
//! That is as near as it gets without a network: `apt-get` fetches from a `file:` source instead of a mirror, and the network
//! namespace has none. The service manager alone is a stub.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use agent::executor::Executor;
use agent::frame::ToExecutor;
use agent::fs::Tree;
use agent::host::{Host, dpkg_installed};
use agent::state::StateDir;
use catalogue::actions::Action;
use catalogue::schema::{Entry, Status};
use common::World;
use domain::mitigation::ControlState;
use protocol::agent::{Outcome, TaskReport};
use protocol::digest::Digest;
use protocol::order::OrderKind;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const TELNETD: &str = "linux-telnetd-removed";
const PAX: &str = "linux-zimbra-pax-installed";
const STATUS: &str = "/var/lib/dpkg/status";

fn embedded(id: &str) -> Entry {
    catalogue::embedded::entries().unwrap().into_iter().find(|entry| entry.id.as_str() == id).unwrap()
}

#[test]
fn every_entry_that_changes_packages_is_exercised_here() {
    let of_packages = |entry: &Entry| entry.actions.iter().any(|action| matches!(action, Action::PackageState(_)));
    let entries = catalogue::embedded::entries().unwrap();
    let ids: Vec<&str> = entries
        .iter()
        .filter(|entry| entry.status != Status::CheckOnly && of_packages(entry))
        .map(|entry| entry.id.as_str())
        .collect();
    assert_eq!(ids, [TELNETD, PAX], "write a test for the new one");
}

fn run(program: &str, arguments: &[&str]) {
    let said = Command::new(program).args(arguments).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{program} {arguments:?}: {text}");
}

/// What a package says of itself.
fn control(name: &str, version: &str, depends: &str) -> String {
    let depends = if depends.is_empty() { String::new() } else { format!("Depends: {depends}\n") };
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\n{depends}Description: test\n"
    )
}

/// Build a package with one program, into a folder.
fn deb(into: &Path, name: &str, version: &str, depends: &str) -> PathBuf {
    let build = into.join(format!("{name}-build"));
    fs::create_dir_all(build.join("DEBIAN")).unwrap();
    fs::create_dir_all(build.join("usr/libexec")).unwrap();
    fs::write(build.join("DEBIAN/control"), control(name, version, depends)).unwrap();
    fs::write(build.join("usr/libexec").join(format!("quell-test-{name}")), format!("{name} {version}\n")).unwrap();
    let deb = into.join(format!("{name}.deb"));
    run("dpkg-deb", &["--build", "--root-owner-group", build.to_str().unwrap(), deb.to_str().unwrap()]);
    fs::remove_dir_all(build).unwrap();
    deb
}

/// Whether the test can run here; says so where it cannot.
fn able(test: &str, programs: &[&str]) -> bool {
    let missing: Vec<&&str> = programs.iter().filter(|program| !Path::new("/usr/bin").join(program).exists()).collect();
    let able = missing.is_empty() && rustix::process::geteuid().is_root();
    if !able {
        skip::skipped(&format!("packages::{test}"), &format!("needs root and {}", programs.join(", ")));
    }
    able
}

#[test]
fn the_telnet_server_is_removed_below_another_root_and_its_socket_masked() {
    if !able("the_telnet_server_is_removed_below_another_root_and_its_socket_masked", &["dpkg", "dpkg-deb"]) {
        return;
    }
    let world = World::new(vec![embedded(TELNETD)]);
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log"] {
        world.write(&format!("{folder}/.keep"), "");
    }
    world.write("var/lib/dpkg/status", "");
    world.write("var/lib/dpkg/available", "");
    // Something else brings the socket: it stays when the packages go.
    world.write("usr/lib/systemd/system/telnet.socket", "[Socket]\nListenStream=23\n");
    world.write("sys/fs/cgroup/system.slice/other.service/cgroup.procs", "1\n");
    world.write("etc/systemd/system/sockets.target.wants/.keep", "");
    let wants = world.host().join("etc/systemd/system/sockets.target.wants/telnet.socket");
    symlink("/usr/lib/systemd/system/telnet.socket", wants).unwrap();
    let root = format!("--root={}", world.host().display());
    let log = format!("--log={}", world.host().join("var/log/dpkg.log").display());
    for name in ["telnetd", "inetutils-telnetd", "nobodys-dummy"] {
        let deb = deb(world.folder.path(), name, "1.0-1", "");
        run("dpkg", &[&root, &log, "--install", deb.to_str().unwrap()]);
    }
    let installed = || dpkg_installed(&world.read("var/lib/dpkg/status")).into_keys().collect::<Vec<_>>();
    assert_eq!(installed(), ["inetutils-telnetd", "nobodys-dummy", "telnetd"]);

    assert_eq!(world.check(TELNETD, 1).state, ControlState::Exposed);
    let applied = world.apply(TELNETD, 2);
    assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Effective), "{applied:#?}");
    assert_eq!(installed(), ["nobodys-dummy"], "both, and nothing else");
    assert!(!world.exists("usr/libexec/quell-test-telnetd") && world.exists("usr/libexec/quell-test-nobodys-dummy"));
    let mask = fs::read_link(world.host().join("etc/systemd/system/telnet.socket")).unwrap();
    assert_eq!(mask, Path::new("/dev/null"));

    let after = world.snapshot();
    world.stop();
    assert_eq!(world.check(TELNETD, 3).state, ControlState::Effective);
    assert_eq!(world.apply(TELNETD, 4).outcome, Outcome::Unchanged);
    assert_eq!(world.snapshot(), after, "applied again, nothing changes");
    // Below another root nothing brings a package back: all of it stays then, the mask, too. The live test shows the way back.
    let reverted = world.revert(TELNETD, 5);
    assert_eq!(reverted.outcome, Outcome::RevertFailed, "{reverted:#?}");
    assert!(reverted.message.contains("live system only: inetutils-telnetd, telnetd"), "{}", reverted.message);
    assert_eq!(world.snapshot(), after);
}

/// A service manager with one running unit, `zimbra.service`; it notes what it is asked.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$*" >> /run/systemctl.log
for unit; do :; done
case $1 in
    show) if [ "$unit" = zimbra.service ]; then printf 'LoadState=loaded\nActiveState=active\n'; else echo LoadState=not-found; fi ;;
esac
"#;
const REPOSITORY: &str = "/run/repository";

/// Run a part of a test on the live system of a namespace of its own; the test with this name calls it again there. What it writes
/// lies in memory of that namespace.
fn within(name: &str, inside: impl FnOnce()) {
    const INNER: &str = "QUELL_AGENT_TEST_INNER";
    if std::env::var_os(INNER).is_some() {
        return inside();
    }
    if !able(name, &["apt-get", "dpkg", "dpkg-deb"]) {
        return;
    }
    let script = "{ p=$(cat /etc/passwd) && g=$(cat /etc/group) && mount -t tmpfs -o mode=0755 none /run && \
        mkdir -p /run/usr /run/work /run/repository && \
        mount -t overlay -o lowerdir=/usr,upperdir=/run/usr,workdir=/run/work none /usr && \
        for folder in /etc /opt /sys/fs/cgroup /var/lib/dpkg /var/lib/apt /var/cache/apt /var/log; do \
            mount -t tmpfs -o mode=0755 none $folder || exit 77; done && \
        printf '%s\\n' \"$p\" > /etc/passwd && printf '%s\\n' \"$g\" > /etc/group; \
        } || exit 77; exec \"$0\" \"$@\"";
    let said = Command::new("unshare")
        .args(["--mount", "--net", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INNER, "1")
        .output();
    common::passed_inside(&format!("packages::{name}"), said);
}

/// The live system of the namespace with an agent on it.
struct Live {
    world: World,
    executor: Executor,
    task: u128,
}

impl Live {
    /// A machine without packages, whose only source holds these: name, version, what it needs.
    fn new(id: &str, packages: &[(&str, &str, &str)]) -> Self {
        for folder in [
            "/etc/apt",
            "/etc/systemd/system",
            "/var/lib/dpkg/info",
            "/var/lib/dpkg/updates",
            "/var/log/apt",
            "/var/lib/dpkg/triggers",
        ] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::create_dir_all("/sys/fs/cgroup/system.slice/other.service").unwrap();
        fs::write("/sys/fs/cgroup/system.slice/other.service/cgroup.procs", "1\n").unwrap();
        fs::write(STATUS, "").unwrap();
        fs::write("/var/lib/dpkg/available", "").unwrap();
        // Not written through: what the machine itself has there may be a link.
        let _ = fs::remove_file("/usr/bin/systemctl");
        fs::write("/usr/bin/systemctl", SYSTEMCTL).unwrap();
        common::set_mode(Path::new("/usr/bin/systemctl"), 0o755);
        let mut list = String::new();
        for (name, version, depends) in packages {
            let file = deb(Path::new(REPOSITORY), name, version, depends);
            let bytes = fs::read(&file).unwrap();
            list.push_str(&control(name, version, depends));
            list.push_str(&format!(
                "Filename: ./{name}.deb\nSize: {}\nSHA256: {}\n\n",
                bytes.len(),
                Digest::of(&bytes)
            ));
        }
        fs::write(format!("{REPOSITORY}/Packages"), list).unwrap();
        fs::write("/etc/apt/sources.list", format!("deb [trusted=yes] file:{REPOSITORY} ./\n")).unwrap();
        run("/usr/bin/apt-get", &["-q", "update"]);
        let world = World::new(vec![embedded(id)]);
        let mut host = Host::new(Tree::open(Path::new("/")).unwrap());
        host.settle = Duration::from_millis(50);
        let mut executor = Executor::open(StateDir::open(&world.state()).unwrap(), host, false).unwrap();
        executor.handle(ToExecutor::Time { server: common::now() });
        executor.handle(ToExecutor::Index { envelope: world.index.clone() });
        Self { world, executor, task: 0 }
    }

    fn run(&mut self, kind: OrderKind, id: &str) -> TaskReport {
        self.task += 1;
        let order = self.world.order(kind, id, self.task, 1);
        // A removed package counts once the server was heard without it.
        let out = common::carry_out(&mut self.executor, &order, &self.world.entries[id], true);
        common::report(&common::events(&out))
    }

    /// What is installed, with versions.
    fn installed() -> BTreeMap<String, String> {
        dpkg_installed(&fs::read_to_string(STATUS).unwrap())
    }

    /// Every file that this namespace has of its own in `/usr` (in the upper folder of the overlay), `/etc` and `/opt`.
    fn files() -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders: Vec<PathBuf> = ["/run/usr", "/etc", "/opt"].map(PathBuf::from).into();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let meta = fs::symlink_metadata(&path).unwrap();
                if meta.is_dir() {
                    folders.push(path);
                } else if meta.is_symlink() {
                    let target = fs::read_link(&path).unwrap().display().to_string().into_bytes();
                    found.insert(path, target);
                } else if meta.is_file() {
                    let bytes = fs::read(&path).unwrap();
                    found.insert(path, bytes);
                } else {
                    // How an overlay says that a file below is gone.
                    found.insert(path, Vec::new());
                }
            }
        }
        found
    }

    /// Exposed, applied, effective, applied again without a change, and put back.
    fn round(&mut self, id: &str, between: impl FnOnce()) {
        let before = (Self::installed(), Self::files());
        let checked = self.run(OrderKind::Check, id);
        assert_eq!(checked.state, ControlState::Exposed, "{checked:#?}");
        assert_eq!((Self::installed(), Self::files()), before, "a check changes nothing");
        let applied = self.run(OrderKind::Apply, id);
        assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Effective), "{applied:#?}");
        let after = (Self::installed(), Self::files());
        assert_ne!(after, before);
        between();
        assert_eq!(self.run(OrderKind::Check, id).state, ControlState::Effective);
        assert_eq!(self.run(OrderKind::Apply, id).outcome, Outcome::Unchanged);
        assert_eq!((Self::installed(), Self::files()), after, "applied again, nothing changes");
        let reverted = self.run(OrderKind::Revert, id);
        assert_eq!((reverted.outcome, reverted.state), (Outcome::Reverted, ControlState::Exposed), "{reverted:#?}");
        assert_eq!((Self::installed(), Self::files()), before, "byte for byte as it was");
    }
}

#[test]
fn pax_is_installed_by_apt_for_zimbra_and_removed_again() {
    within("pax_is_installed_by_apt_for_zimbra_and_removed_again", || {
        let mut live = Live::new(PAX, &[("pax", "1:20201030-1", ""), ("cpio", "2.13-1", "")]);
        assert_eq!(live.run(OrderKind::Apply, PAX).outcome, Outcome::NotApplicable, "there is no Zimbra here yet");
        assert_eq!(Live::installed().len(), 0);
        fs::create_dir_all("/opt/zimbra/bin").unwrap();
        fs::write("/opt/zimbra/bin/zmamavisdctl", "").unwrap();
        live.round(PAX, || {
            assert_eq!(
                Live::installed().into_iter().collect::<Vec<_>>(),
                [("pax".to_owned(), "1:20201030-1".to_owned())]
            );
            assert!(Path::new("/usr/libexec/quell-test-pax").exists());
            let asked = fs::read_to_string("/run/systemctl.log").unwrap();
            assert!(asked.contains("try-restart --no-block -- zimbra.service"), "{asked}");
        });
        // What somebody installed is theirs, and stays.
        run("/usr/bin/apt-get", &["-y", "-q", "install", "pax"]);
        assert_eq!(live.run(OrderKind::Apply, PAX).outcome, Outcome::Unchanged);
        assert_eq!(live.run(OrderKind::Revert, PAX).outcome, Outcome::NotOurs);
        assert_eq!(Live::installed().len(), 1);
    });
}

#[test]
fn the_telnet_server_is_removed_by_apt_and_comes_back_in_its_version() {
    within("the_telnet_server_is_removed_by_apt_and_comes_back_in_its_version", || {
        let packages = [("telnetd", "0.17-44", ""), ("telnetd-ssl", "0.17-2", ""), ("needs-telnetd", "1", "telnetd")];
        let mut live = Live::new(TELNETD, &packages);
        run("/usr/bin/apt-get", &["-y", "-q", "install", "telnetd", "telnetd-ssl"]);
        fs::write("/usr/lib/systemd/system/telnet.socket", "[Socket]\nListenStream=23\n").unwrap();
        fs::create_dir_all("/etc/systemd/system/sockets.target.wants").unwrap();
        symlink("/usr/lib/systemd/system/telnet.socket", "/etc/systemd/system/sockets.target.wants/telnet.socket")
            .unwrap();
        live.round(TELNETD, || {
            assert_eq!(Live::installed().len(), 0);
            assert_eq!(fs::read_link("/etc/systemd/system/telnet.socket").unwrap(), Path::new("/dev/null"));
        });
        // What needs it is not named by the entry, so it does not go along.
        run("/usr/bin/apt-get", &["-y", "-q", "install", "needs-telnetd"]);
        let before = (Live::installed(), Live::files());
        let applied = live.run(OrderKind::Apply, TELNETD);
        assert_eq!(applied.outcome, Outcome::Failed, "{applied:#?}");
        assert!(applied.message.contains("take along what needs it: needs-telnetd"), "{}", applied.message);
        assert_eq!((Live::installed(), Live::files()), before);
    });
}
