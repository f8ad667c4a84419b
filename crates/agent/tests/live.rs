//! The running system: looking at it with every entry of the catalogue changes nothing, and a kernel parameter of a network
//! namespace of its own really changes and really goes back.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use agent::executor::Executor;
use agent::frame::{ToExecutor, ToNet};
use agent::fs::Tree;
use agent::host::Host;
use agent::kinds::{Workspace, check_all, entry_state};
use agent::proof::PROOF_SECONDS;
use agent::state::StateDir;
use common::{World, entry};
use domain::mitigation::ControlState;
use protocol::agent::Outcome;
use protocol::order::OrderKind;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn looking_with_every_entry_is_safe_anywhere() {
    let bare = tempfile::tempdir().unwrap();
    for root in [Path::new("/"), bare.path()] {
        let host = Host::new(Tree::open(root).unwrap());
        assert!(!host.facts("normal").capabilities.is_empty());
        for entry in catalogue::embedded::entries().unwrap() {
            let findings = check_all(&entry, &host, &Workspace::new(&host.tree));
            let state = entry_state(&findings, false);
            if root != Path::new("/") {
                let claims =
                    matches!(state, ControlState::Effective | ControlState::Configured | ControlState::Drifted);
                assert!(!claims, "{} claims {state:?} on an empty root", entry.id);
            }
        }
    }
    assert_eq!(std::fs::read_dir(bare.path()).unwrap().count(), 0);
}

#[test]
fn a_real_kernel_parameter_changes_and_goes_back() {
    const INNER: &str = "QUELL_AGENT_TEST_INNER";
    const NAME: &str = "live::a_real_kernel_parameter_changes_and_goes_back";
    if std::env::var_os(INNER).is_some() {
        return inside();
    }
    if !rustix::process::geteuid().is_root() {
        skip::skipped(NAME, "needs root for a network namespace of its own");
        return;
    }
    // A network namespace of its own has its own parameters; a mount of its own hides /etc/sysctl.d.
    let script = "mkdir -p /etc/sysctl.d && mount -t tmpfs -o mode=0755 none /etc/sysctl.d && exec \"$0\" \"$@\"";
    let said = std::process::Command::new("unshare")
        .args(["--mount", "--net", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_real_kernel_parameter_changes_and_goes_back", "--nocapture"])
        .env(INNER, "1")
        .output();
    common::passed_inside(NAME, said);
}

/// The task after whose change the server is not heard.
const UNHEARD: u128 = 3;

fn inside() {
    let value = || std::fs::read_to_string("/proc/sys/net/ipv4/tcp_sack").unwrap();
    let file = Path::new("/etc/sysctl.d/99-zz-quell-net.ipv4.tcp_sack.conf");
    assert_eq!(value(), "1\n");
    let action = "[[action]]\nkind = \"kernel.sysctl\"\nkey = \"net.ipv4.tcp_sack\"\nop = \"eq\"\nvalue = 0\n";
    let world = World::new(vec![entry("linux-tcp", action)]);
    let state = StateDir::open(&world.state()).unwrap();
    let mut executor = Executor::open(state, Host::new(Tree::open(Path::new("/")).unwrap()), false).unwrap();
    executor.handle(ToExecutor::Time { server: common::now() });
    executor.handle(ToExecutor::Index { envelope: world.index.clone() });
    let mut frames = |kind, task| {
        let order = world.order(kind, "linux-tcp", task, 1);
        executor.handle(ToExecutor::Order { envelope: common::sign(&order, common::ORDER) });
        let known = world.entries.values().next().unwrap();
        let text = String::from_utf8(known.to_json()).unwrap();
        executor.handle(ToExecutor::Content { digest: order.content_digest, text });
        while executor.step() {}
        let mut out = executor.take_out();
        // The network's parameters may cut the agent off, so nothing is reported before the server was heard.
        let asked = out.iter().find_map(|frame| if let ToNet::Prove { n } = frame { Some(*n) } else { None });
        assert_eq!(asked.is_some(), kind == OrderKind::Apply, "{out:#?}");
        match asked {
            Some(_) if task == UNHEARD => executor.tend(Instant::now() + Duration::from_secs(PROOF_SECONDS + 1)),
            Some(n) => executor.handle(ToExecutor::Proven { n }),
            None => {}
        }
        out.extend(executor.take_out());
        out
    };
    let mut run = |kind, task| common::report(&common::events(&frames(kind, task)));
    let applied = run(OrderKind::Apply, 1);
    assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Effective), "{applied:#?}");
    assert_eq!(value(), "0\n");
    assert!(file.exists());
    assert_eq!(run(OrderKind::Revert, 2).outcome, Outcome::Reverted);
    assert_eq!(value(), "1\n");
    assert!(!file.exists());
    let unheard = run(OrderKind::Apply, UNHEARD);
    assert_eq!((unheard.outcome, unheard.left_changed), (Outcome::Failed, false), "{unheard:#?}");
    assert!(unheard.message.contains("did not answer within"), "{unheard:#?}");
    assert_eq!(value(), "1\n");
    assert!(!file.exists(), "nothing sets it at the next boot");
}

/// What another program says, which knows nothing of us.
fn outside(program: &str, arguments: &[&str]) -> Option<String> {
    let said = std::process::Command::new(program).args(arguments).output().ok()?;
    Some(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

#[test]
fn real_systemctl_sees_a_unit_masked_and_enabled_again() {
    let action = "[[action]]\nkind = \"service.state\"\nname = \"cups-browsed\"\nrunning = false\nstart = \"masked\"\n";
    let world = World::new(vec![entry("linux-cups", action)]);
    let root = world.host().display().to_string();
    let says = || outside("systemctl", &[&format!("--root={root}"), "is-enabled", "cups-browsed.service"]);
    world.write(
        "usr/lib/systemd/system/cups-browsed.service",
        "[Service]\nExecStart=/bin/true\n\n[Install]\nWantedBy=multi-user.target\n",
    );
    world.write("sys/fs/cgroup/system.slice/other.service/cgroup.procs", "1\n");
    world.write("etc/systemd/system/.keep", "");
    if outside("systemctl", &[&format!("--root={root}"), "enable", "cups-browsed.service"]).is_none() {
        skip::skipped("live::real_systemctl_sees_a_unit_masked_and_enabled_again", "systemctl is not here");
        return;
    }
    let before = world.snapshot();
    assert_eq!(says().as_deref(), Some("enabled"));
    assert_eq!(world.apply("linux-cups", 1).outcome, Outcome::Succeeded);
    assert_eq!(says().as_deref(), Some("masked"));
    assert_eq!(world.revert("linux-cups", 2).outcome, Outcome::Reverted);
    assert_eq!(says().as_deref(), Some("enabled"));
    assert_eq!(world.snapshot(), before);
}

#[test]
fn real_python_reads_a_jar_without_its_class_and_with_it_again() {
    let action = "[[action]]\nkind = \"archive.member_absent\"\nroots = [\"/opt\"]\nnames = [\"log4j-core-*.jar\"]\n\
        member = \"org/apache/logging/log4j/core/lookup/JndiLookup.class\"\nnested = false\n";
    let world = World::new(vec![entry("linux-jar", action)]);
    world.write("opt/app/log4j-core-2.14.1.jar", "");
    let path = world.host().join("opt/app/log4j-core-2.14.1.jar");
    // Written by the other program, too: what we change is not of our own making.
    let make = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as z:\n \
        [z.writestr(n, n * 50) for n in ('META-INF/MANIFEST.MF', 'org/apache/logging/log4j/core/lookup/JndiLookup.class', 'z.txt')]";
    let list = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\nprint(' '.join(z.namelist()))";
    let jar = path.display().to_string();
    if outside("python3", &["-c", make, &jar]).is_none() {
        skip::skipped("live::real_python_reads_a_jar_without_its_class_and_with_it_again", "python3 is not here");
        return;
    }
    let names = || outside("python3", &["-c", list, &jar]).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(names().contains("JndiLookup.class"), "{}", names());
    assert_eq!(world.apply("linux-jar", 1).outcome, Outcome::Succeeded);
    assert_eq!(names(), "META-INF/MANIFEST.MF z.txt");
    assert_eq!(world.revert("linux-jar", 2).outcome, Outcome::Reverted);
    assert!(names().contains("JndiLookup.class"), "{}", names());
    assert_eq!(std::fs::read(&path).unwrap(), before, "byte for byte");
}

#[test]
fn real_find_sees_a_setuid_bit_go_and_come_back() {
    let action = "[[action]]\nkind = \"file.mode\"\npath = \"/usr/bin/pkexec\"\nclear = [\"suid\"]\n";
    let world = World::new(vec![entry("linux-pkexec", action)]);
    world.write("usr/bin/pkexec", "program");
    common::set_mode(&world.host().join("usr/bin/pkexec"), 0o4755);
    let root = world.host().display().to_string();
    let found = || outside("find", &[&root, "-perm", "-4000", "-printf", "%f %m"]).unwrap();
    assert_eq!(found(), "pkexec 4755");
    assert_eq!(world.apply("linux-pkexec", 1).outcome, Outcome::Succeeded);
    assert_eq!(found(), "");
    assert_eq!(world.revert("linux-pkexec", 2).outcome, Outcome::Reverted);
    assert_eq!(found(), "pkexec 4755");
}
