//! More kinds of change, each made by a server's job on an agent as a process and taken back by a rollback job, seen by programs that
//! know nothing of Quell: a service masked (systemctl), a jar without its class (Python's zipfile), a setuid bit (find), and a kernel
//! parameter of a network namespace of its own (its file below /proc, as the kernel shows it).

use crate::processes::{Process, binaries, until};
use crate::terrapin_and_grace::seed;
use crate::world::{Ended, PATIENCE, World};
use catalogue::bundle::Bundle;
use catalogue::ephemeral::Ephemeral;
use catalogue::schema::{Covered, SourcedQid};
use protocol::signed::PublicKey;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use ureq::http::Method;

/// Findings of the simulated scanner: a service that listens, and X11, which has no CVE and no entry.
const LISTENS: u32 = 900_006;
const X11: u32 = 900_202;

const SERVICE: &str = "linux-cups-browsed-off";
const JAR: &str = "linux-log4j-jndilookup-removed";
const SETUID: &str = "linux-pkexec-no-suid";
const SYSCTL: &str = "linux-tcp-sack-off";

/// The built-in entries, these of them for X11: the simulated host has no weakness that they answer, and what they do stays what
/// it is.
fn signed(order: &PublicKey, for_x11: &[&str]) -> Bundle {
    let mut entries = catalogue::embedded::entries().unwrap();
    for entry in entries.iter_mut().filter(|entry| for_x11.contains(&entry.id.as_str())) {
        let first = entry.vulnerabilities[0].clone();
        let qids = vec![SourcedQid { qid: X11, source: "the simulator".parse().unwrap() }];
        entry.vulnerabilities = vec![Covered { cve: None, qids, ..first }];
    }
    Ephemeral::make(order, &entries, 1, agent::clock::wall(), 24 * 3600).unwrap().bundle
}

fn number(made: &Value) -> String {
    made["job"]["summary"]["number"].as_str().unwrap_or_else(|| panic!("no job: {made}")).to_owned()
}

/// The one asset that has an agent.
fn asset(world: &mut World) -> i64 {
    let found = world.api.must(Method::GET, "/api/v1/assets?q=agent:true", None);
    assert_eq!(found["assets"].as_array().unwrap().len(), 1, "{found}");
    found["assets"][0]["id"].as_i64().unwrap()
}

/// A job that does these entries on an asset, to its end.
fn job(world: &mut World, asset: i64, entries: &[&str]) -> Ended {
    let new = json!({
        "platform": "linux", "title": "for real", "selection": { "assets": [asset] }, "choose": { "entries": entries },
    });
    let number = number(&world.api.must(Method::POST, "/api/v1/jobs", Some(&new)));
    world.enable(&number);
    world.finish(&number)
}

/// The rollback job of a job, to its end.
fn back(world: &mut World, of: &Ended) -> Ended {
    let path = format!("/api/v1/jobs/{}/rollback", of.number);
    let number = number(&world.api.must(Method::POST, &path, Some(&json!({}))));
    world.enable(&number);
    world.finish(&number)
}

/// Each of these entries ended so, and nothing else was done.
fn all(ended: &Ended, entries: &[&str], state: &str) {
    let tasks: Vec<(&str, &str, i64)> =
        ended.tasks.iter().map(|(e, s, code, _)| (e.as_str(), s.as_str(), *code)).collect();
    let mut expected: Vec<(&str, &str, i64)> = entries.iter().map(|entry| (*entry, state, 0)).collect();
    expected.sort_unstable();
    assert_eq!((ended.status.as_str(), tasks), ("COMPLETED", expected), "{ended:?}");
}

/// What another program says; nothing where it is not here.
fn outside(program: &str, arguments: &[&str]) -> Option<String> {
    let said = Command::new(program).args(arguments).output().ok()?;
    Some(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

/// A jar with the class, made by the other program too.
fn make_jar(path: &Path) {
    let folder = path.parent().unwrap();
    std::fs::create_dir_all(folder).unwrap();
    for folder in [folder, folder.parent().unwrap()] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let make = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as z:\n \
        [z.writestr(n, n * 50) for n in ('META-INF/MANIFEST.MF', 'org/apache/logging/log4j/core/lookup/JndiLookup.class', 'z.txt')]";
    assert!(Command::new("python3").args(["-c", make]).arg(path).status().unwrap().success());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn real_a_service_a_jar_and_a_setuid_bit_change_with_a_job_and_come_back_with_its_rollback() {
    let missing: Vec<&str> =
        ["systemctl", "python3", "find"].into_iter().filter(|name| outside(name, &["--version"]).is_none()).collect();
    if !missing.is_empty() {
        let name = "real::real_a_service_a_jar_and_a_setuid_bit_change_with_a_job_and_come_back_with_its_rollback";
        skip::skipped(name, &format!("{} not installed", missing.join(", ")));
        return;
    }
    let folder = TempDir::with_prefix("quell-kinds-").unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let jar = disk.join("root/opt/app/log4j-core-2.14.1.jar");
    let mut world =
        World::of(folder, disk, seed(&[LISTENS, X11]), |_| make_jar(&jar), |order| signed(order, &[JAR, SETUID]));
    let root = world.root().display().to_string();
    let list = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\nprint(' '.join(z.namelist()))";
    let seen = || {
        let systemctl = outside("systemctl", &[&format!("--root={root}"), "is-enabled", "cups-browsed.service"]);
        let python = outside("python3", &["-c", list, &jar.display().to_string()]);
        let find =
            outside("find", &[&format!("{root}/usr/bin"), "-name", "pkexec", "-perm", "-4000", "-printf", "%f %m"]);
        (systemctl.unwrap(), python.unwrap(), find.unwrap())
    };
    let said = |service: &str, members: &str, bit: &str| (service.to_owned(), members.to_owned(), bit.to_owned());
    let exposed = said(
        "enabled",
        "META-INF/MANIFEST.MF org/apache/logging/log4j/core/lookup/JndiLookup.class z.txt",
        "pkexec 4755",
    );
    let before = world.files();
    assert_eq!(seen(), exposed);

    let entries = [SERVICE, JAR, SETUID];
    let asset = asset(&mut world);
    let done = job(&mut world, asset, &entries);
    all(&done, &entries, "succeeded");
    assert_eq!(seen(), said("masked", "META-INF/MANIFEST.MF z.txt", ""));
    assert!(!qualys_sim::world::is_found(&world.root(), LISTENS).unwrap(), "nor does the scanner see the service");

    all(&back(&mut world, &done), &entries, "reverted");
    assert_eq!(seen(), exposed);
    assert_eq!(world.files(), before, "byte for byte");
}

#[test]
fn real_a_kernel_parameter_of_a_namespace_changes_with_a_job_and_comes_back_with_its_rollback() {
    const INNER: &str = "QUELL_REAL_TEST_INNER";
    const NAME: &str = "real_a_kernel_parameter_of_a_namespace_changes_with_a_job_and_comes_back_with_its_rollback";
    if std::env::var_os(INNER).is_some() {
        return in_a_namespace();
    }
    let skipped = |why: &str| skip::skipped(&format!("real::{NAME}"), why);
    if !rustix::process::geteuid().is_root() || outside("ip", &["-V"]).is_none() {
        return skipped("needs root and ip (package iproute2) for a network namespace of its own");
    }
    // Built where there is a network, should anything be missing.
    binaries();
    // A network namespace of its own has its own parameters; a mount of its own hides /etc/sysctl.d.
    let script = "mkdir -p /etc/sysctl.d && mount -t tmpfs -o mode=0755 none /etc/sysctl.d && ip link set lo up && \
        exec \"$0\" \"$@\"";
    let inner = Command::new("unshare")
        .args(["--mount", "--net", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("kinds::{NAME}"), "--nocapture"])
        .env(INNER, "1")
        .output();
    match inner {
        Ok(said) if said.status.success() => {
            let text = String::from_utf8_lossy(&said.stdout).into_owned();
            assert!(text.contains("1 passed"), "the test was not found again: {text}");
        }
        Ok(said) if String::from_utf8_lossy(&said.stderr).contains("unshare:") => {
            skipped(&String::from_utf8_lossy(&said.stderr));
        }
        Ok(said) => panic!("{}\n{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr)),
        Err(error) => skipped(&format!("unshare: {error}")),
    }
}

/// Server, simulator and agent are all in the namespace. Below another root a kernel's file is only a file, so the simulated host's
/// asset gets an agent that works on the live system.
fn in_a_namespace() {
    let value = || std::fs::read_to_string("/proc/sys/net/ipv4/tcp_sack").unwrap();
    let at_boot = Path::new("/etc/sysctl.d/99-zz-quell-net.ipv4.tcp_sack.conf");
    assert_eq!(value(), "1\n");
    let folder = TempDir::with_prefix("quell-namespace-").unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mut world = World::of(folder, disk, seed(&[X11]), |_| {}, |order| signed(order, &[SYSCTL]));
    let asset = asset(&mut world);
    let first = world.api.must(Method::GET, "/api/v1/agents", None)["agents"][0]["id"].as_str().unwrap().to_owned();
    world.agent.take();
    world.api.must(Method::DELETE, &format!("/api/v1/agents/{first}"), None);
    let live = live_agent(&mut world, &first);
    let link = json!({ "asset": asset, "reason": "the test says so" });
    world.api.must(Method::PUT, &format!("/api/v1/agents/{live}/link"), Some(&link));

    let done = job(&mut world, asset, &[SYSCTL]);
    all(&done, &[SYSCTL], "succeeded");
    assert_eq!(value(), "0\n");
    assert!(at_boot.exists());
    all(&back(&mut world, &done), &[SYSCTL], "reverted");
    assert_eq!(value(), "1\n");
    assert!(!at_boot.exists());
}

/// Enrol and start an agent of the live system beside another one; gives its id.
fn live_agent(world: &mut World, other: &str) -> String {
    let token = json!({ "label": "live", "uses": 1, "hours": 1 });
    let token = world.api.must(Method::POST, "/api/v1/agents/tokens", Some(&token));
    // The copy that the network half's user can reach.
    let program = world.log("agent").with_file_name("quell-agent");
    let state = world.disk.join("live");
    let enrolled = Command::new(&program)
        // A test makes no account on the machine that it runs on.
        .args(["enrol", "--user", "nobody", "--token", token["text"].as_str().unwrap(), "--state"])
        .arg(&state)
        .status()
        .unwrap();
    assert!(enrolled.success(), "the agent enrols");
    let mut command = Command::new(&program);
    command.args(["run", "--hold-seconds", "2", "--backoff-seconds-max", "1", "--spread-seconds-max", "0", "--state"]);
    command.arg(&state);
    world.agent = Some(Process::start(&mut command, &world.log("live")));
    until("hearing the agent", PATIENCE, || {
        let agents = world.api.must(Method::GET, "/api/v1/agents", None);
        let found = agents["agents"].as_array().unwrap().iter().find(|agent| agent["id"] != other)?;
        Some(found["id"].as_str().unwrap().to_owned())
    })
}
