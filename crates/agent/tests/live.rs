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
use agent::frame::ToExecutor;
use agent::fs::Tree;
use agent::host::Host;
use agent::kinds::{Workspace, check_all, entry_state};
use agent::state::StateDir;
use common::{World, entry};
use domain::mitigation::ControlState;
use protocol::agent::Outcome;
use protocol::order::OrderKind;
use std::path::Path;

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
    match said {
        Ok(said) if said.status.success() => {}
        Ok(said) if String::from_utf8_lossy(&said.stderr).contains("unshare") => {
            skip::skipped(NAME, &String::from_utf8_lossy(&said.stderr));
        }
        Ok(said) => panic!("{}\n{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr)),
        Err(error) => skip::skipped(NAME, &format!("unshare: {error}")),
    }
}

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
    let mut run = |kind, task| {
        let order = world.order(kind, "linux-tcp", task, 1);
        executor.handle(ToExecutor::Order { envelope: common::sign(&order, common::ORDER) });
        let known = world.entries.values().next().unwrap();
        let text = String::from_utf8(known.to_json()).unwrap();
        executor.handle(ToExecutor::Content { digest: order.content_digest, text });
        while executor.step() {}
        common::report(&common::events(&executor.take_out()))
    };
    let applied = run(OrderKind::Apply, 1);
    assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Effective), "{applied:#?}");
    assert_eq!(value(), "0\n");
    assert!(file.exists());
    assert_eq!(run(OrderKind::Revert, 2).outcome, Outcome::Reverted);
    assert_eq!(value(), "1\n");
    assert!(!file.exists());
}
