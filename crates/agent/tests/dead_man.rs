//! A change that cuts the agent off from its server without anybody seeing it in the entry: the real binary, both halves, on a real
//! packet filter and a real kernel's parameters in a network namespace of its own. It is taken back when the server is not heard,
//! also after `kill -9`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;
#[path = "common/server.rs"]
mod server;

use common::{World, entry};
use domain::mitigation::ControlState;
use protocol::agent::{EventKind, Outcome};
use protocol::order::OrderKind;
use server::Server;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const EXE: &str = env!("CARGO_BIN_EXE_quell-agent");

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Agent {
    /// On the live system, which is the namespace's.
    fn run(world: &World, failpoint: Option<&str>) -> Self {
        let mut command = command(world, "run");
        command.args(["--hold-seconds", "2", "--backoff-seconds-max", "1", "--spread-seconds-max", "0"]);
        command.args(["--proof-seconds", "4"]);
        if let Some(failpoint) = failpoint {
            command.arg("--allow-failpoints").env(agent::failpoint::VARIABLE, failpoint);
        }
        Self(command.spawn().unwrap())
    }
}

/// Of the live system: a test that enrols says `--user`, because none makes an account on the machine that it runs on.
fn command(world: &World, verb: &str) -> Command {
    let mut command = Command::new(EXE);
    command.arg(verb).arg("--state").arg(world.folder.path().join("enrolled")).stdin(Stdio::null());
    command
}

fn rule(id: &str, rest: &str) -> catalogue::schema::Entry {
    let action = format!(
        "[[action]]\nkind = \"firewall.rule\"\nname = \"{id}\"\nprotocol = \"tcp\"\naction = \"drop\"\nremote = \"any\"\n{rest}\n"
    );
    entry(id, &action)
}

fn ruleset() -> String {
    let said = Command::new("/usr/sbin/nft").args(["list", "ruleset"]).output().unwrap();
    String::from_utf8(said.stdout).unwrap()
}

fn apply(server: &Arc<Server>, world: &World, id: &str, task: u128) -> Uuid {
    let order = world.order(OrderKind::Apply, id, task, 1);
    let task = order.task;
    server.offer(order);
    task
}

/// Run a test of this file again, in a namespace of its own.
fn within(name: &str, inside: fn()) {
    const INNER: &str = "QUELL_AGENT_TEST_INNER";
    if std::env::var_os(INNER).is_some() {
        return inside();
    }
    let test = format!("dead_man::{name}");
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/sbin/nft").exists() {
        skip::skipped(&test, "needs root and nft (package nftables)");
        return;
    }
    // Units and rules of the test lie in a folder of its own; who `nobody` is has to be known there too, and `localhost`, which is
    // reached over IPv6 only.
    let script = "p=$(cat /etc/passwd); g=$(cat /etc/group); mount -t tmpfs -o mode=0755 none /etc && \
        mkdir -p /etc/systemd/system /etc/sysctl.d && printf '%s\\n' \"$p\" > /etc/passwd && printf '%s\\n' \"$g\" > /etc/group && \
        echo '::1 localhost' > /etc/hosts && echo 'hosts: files' > /etc/nsswitch.conf && \
        ip link set lo up && exec \"$0\" \"$@\"";
    let said = Command::new("unshare")
        .args(["--mount", "--net", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INNER, "1")
        .output();
    match said {
        Ok(said) if said.status.success() => {}
        Ok(said) if String::from_utf8_lossy(&said.stderr).contains("unshare:") => {
            skip::skipped(&test, &String::from_utf8_lossy(&said.stderr));
        }
        Ok(said) => panic!("{}\n{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr)),
        Err(error) => skip::skipped(&test, &format!("unshare: {error}")),
    }
}

#[test]
fn a_rule_that_cuts_the_agent_off_is_taken_back_also_after_kill_9() {
    within("a_rule_that_cuts_the_agent_off_is_taken_back_also_after_kill_9", rules);
}

#[test]
fn a_kept_connection_proves_nothing() {
    within("a_kept_connection_proves_nothing", kept_connection);
}

#[test]
fn a_kernel_parameter_that_cuts_the_agent_off_is_taken_back() {
    within("a_kernel_parameter_that_cuts_the_agent_off_is_taken_back", kernel_parameter);
}

/// The rule lets open connections be, and nobody makes a new one: only a new one can tell.
fn kept_connection() {
    let cutting = "direction = \"in\"\nports = [\"1024-65535\"]\nmatch = \"syn and mss 1-65535\"";
    let harmless = "direction = \"in\"\nports = [\"1024-65535\"]\nmatch = \"syn and mss 1-500\"";
    let entries = vec![rule("no-opening", cutting), rule("low-mss", harmless)];
    let server = Server::start(entries.clone());
    let world = World::new(entries);
    assert!(command(&world, "enrol").args(["--user", "nobody", "--token", &server.token]).status().unwrap().success());
    let _agent = Agent::run(&world, None);
    let task = apply(&server, &world, "low-mss", 1);
    let EventKind::Finished(report) = server.ended(task, 1) else { panic!() };
    assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
    let with_one = ruleset();
    let task = apply(&server, &world, "no-opening", 2);
    let EventKind::Finished(report) = server.ended(task, 1) else { panic!() };
    assert_eq!((report.outcome, report.left_changed), (Outcome::Failed, false), "{report:#?}");
    assert!(report.message.contains("did not answer within 4 s"), "{report:#?}");
    assert_eq!(ruleset(), with_one);
}

fn kernel_parameter() {
    const PARAMETER: &str = "/proc/sys/net/ipv6/conf/all/disable_ipv6";
    let is = || std::fs::read_to_string(PARAMETER).unwrap_or_default();
    if is() != "0\n" || TcpListener::bind("[::1]:0").is_err() {
        skip::skipped("dead_man::a_kernel_parameter_that_cuts_the_agent_off_is_taken_back", "there is no IPv6 here");
        return;
    }
    let sysctl = |id, key| {
        let action = format!("[[action]]\nkind = \"kernel.sysctl\"\nkey = \"{key}\"\nop = \"eq\"\nvalue = 1\n");
        entry(id, &action)
    };
    let cutting = sysctl("no-ipv6", "net.ipv6.conf.all.disable_ipv6");
    let harmless = sysctl("martians", "net.ipv4.conf.all.log_martians");
    let entries = vec![cutting, harmless];
    let server = Server::named(entries.clone(), "localhost", "[::1]:0");
    let world = World::new(entries);
    assert!(command(&world, "enrol").args(["--user", "nobody", "--token", &server.token]).status().unwrap().success());
    let _agent = Agent::run(&world, None);
    let task = apply(&server, &world, "martians", 1);
    let EventKind::Finished(report) = server.ended(task, 1) else { panic!() };
    assert_eq!((report.outcome, report.state), (Outcome::Succeeded, ControlState::Effective), "{report:#?}");
    let task = apply(&server, &world, "no-ipv6", 2);
    let EventKind::Finished(report) = server.ended(task, 1) else { panic!() };
    assert_eq!((report.outcome, report.left_changed), (Outcome::Failed, false), "{report:#?}");
    assert!(report.message.contains("did not answer within 4 s"), "{report:#?}");
    assert_eq!(is(), "0\n");
    let kept = "/etc/sysctl.d/99-zz-quell-net.ipv6.conf.all.disable_ipv6.conf";
    assert!(!Path::new(kept).exists(), "nothing sets it at the next boot");
}

fn rules() {
    let harmless = rule("no-discard", "direction = \"in\"\nports = [\"9\"]");
    // Every answer to this host comes to a high port: nobody sees the server in this rule.
    let cutting = rule("no-high-ports", "direction = \"in\"\nports = [\"1024-65535\"]");
    let entries = vec![harmless, cutting];
    let server = Server::start(entries.clone());
    let world = World::new(entries);
    assert!(command(&world, "enrol").args(["--user", "nobody", "--token", &server.token]).status().unwrap().success());
    let bare = ruleset();

    let agent = Agent::run(&world, None);
    let task = apply(&server, &world, "no-discard", 1);
    let EventKind::Finished(report) = server.ended(task, 1) else { panic!() };
    assert_eq!((report.outcome, report.state), (Outcome::Succeeded, ControlState::Effective), "{report:#?}");
    let with_one = ruleset();
    assert!(with_one.contains("quell:no-discard:") && with_one != bare, "{with_one}");

    let task = apply(&server, &world, "no-high-ports", 2);
    let EventKind::Finished(report) = server.ended(task, 1) else { panic!() };
    assert_eq!((report.outcome, report.left_changed), (Outcome::Failed, false), "{report:#?}");
    assert!(report.message.contains("did not answer within 4 s"), "{report:#?}");
    assert_eq!(ruleset(), with_one);
    assert!(!Path::new("/etc/quell/firewall/no-high-ports.nft").exists(), "nothing loads it at the next boot");
    drop(agent);

    // Dead between the rule and its proof: the rule is in force, and goes with the next start.
    let mut agent = Agent::run(&world, Some("unproven:kill"));
    let task = apply(&server, &world, "no-high-ports", 3);
    let deadline = Instant::now() + Duration::from_secs(60);
    while agent.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the point is never passed");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(ruleset().contains("quell:no-high-ports:"), "{}", ruleset());
    drop(agent);
    let _agent = Agent::run(&world, None);
    let end = server.ended(task, 1);
    let EventKind::Interrupted { state, reason } = &end else { panic!("{end:?}") };
    assert!(*state == ControlState::Exposed && reason.contains("it was put back"), "{end:?}");
    assert_eq!(ruleset(), with_one);
    assert!(!Path::new("/etc/quell/firewall/no-high-ports.nft").exists());
}
