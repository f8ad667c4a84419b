//! Benchmarks: each prints what it measured. Never part of the tests; figures are of the machine they ran on.

mod file;

use crate::{Outcome, cargo, run as execute};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Hosts and detections of the simulated subscription: about 10,000 detections.
const HOSTS: &str = "110";
const DETECTIONS: &str = "95";
/// How long everything is left alone before it is measured.
const IDLE: Duration = Duration::from_secs(60);

/// Run one.
pub fn run(arguments: &[String]) -> Outcome {
    match arguments.first().map(String::as_str) {
        Some("idle") => idle(),
        Some("file") => file::run(),
        Some("import") => import(arguments.get(1..).unwrap_or_default()),
        Some("merge") => cargo(&["run", "--release", "--package", "store", "--example", "imports"]),
        Some("store") => store(),
        Some("model") => model(arguments.get(1..).unwrap_or_default()),
        Some("dispatch") => dispatch(arguments.get(1..).unwrap_or_default()),
        Some("simulation") => simulation(arguments.get(1..).unwrap_or_default()),
        Some("kills") => kills(arguments.get(1..).unwrap_or_default()),
        Some(other) => Err(format!(
            "there is no benchmark `{other}`; there are: idle, file, import, merge, store, model, dispatch, simulation, kills"
        )),
        None => {
            Err("name a benchmark: idle, file, import, merge, store, model, dispatch, simulation, kills".to_owned())
        }
    }
}

/// A process that ends with the benchmark.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that goes with the benchmark.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("quell-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| format!("could not make {}: {error}", folder.display()))?;
        Ok(Scratch(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Explore the models of the protocol in full; names choose some of them.
fn model(names: &[String]) -> Outcome {
    let mut arguments = vec!["run", "--release", "--package", "model", "--"];
    arguments.extend(names.iter().map(String::as_str));
    cargo(&arguments)
}

/// A thousand agents in one process against a server in another: hosts per second, CPU and memory of the server, a halt.
fn dispatch(given: &[String]) -> Outcome {
    cargo(&["build", "--release", "--package", "quell"])?;
    let quell = binary("quell").to_string_lossy().into_owned();
    let mut arguments = vec!["run", "--release", "--package", "simulation", "--bin", "dispatch", "--", quell.as_str()];
    arguments.extend(given.iter().map(String::as_str));
    cargo(&arguments)
}

/// Run a thousand seeds of the simulation with a hundred agents; arguments as the simulation takes them.
fn simulation(given: &[String]) -> Outcome {
    let mut arguments = vec!["run", "--release", "--package", "simulation", "--bin", "simulation", "--"];
    arguments.extend(given.iter().map(String::as_str));
    cargo(&arguments)
}

/// Kill a server so many times while it imports and rescans, on both engines: `kills [KILLS [SEED]]`.
fn kills(given: &[String]) -> Outcome {
    let one = |at: usize, default: &str| given.get(at).map_or(default.to_owned(), Clone::clone);
    let mut command = skip::cargo(env!("CARGO"));
    command.args(["test", "--release", "--package", "resilience", "--test", "it", "--", "nothing_is_skipped"]);
    command.args(["--nocapture", "--test-threads", "1"]);
    command.env("QUELL_CRASH_KILLS", one(0, "200")).env("QUELL_CRASH_SEED", one(1, "1"));
    execute(&mut command)
}

/// The reference import from a simulated platform on both engines, or on the one that is named, after hosts and detections:
/// `import [HOSTS [DETECTIONS [sqlite|postgres]]]`.
fn import(given: &[String]) -> Outcome {
    let one = |at: usize, default: &str| given.get(at).map_or(default.to_owned(), Clone::clone);
    let (hosts, detections) = (one(0, "10000"), one(1, "100"));
    cargo(&["build", "--release", "--package", "quell", "--package", "qualys-sim", "--bins"])?;
    cargo(&["build", "--release", "--package", "store", "--example", "imports"])?;
    let [quell, simulator, floor] =
        ["quell", "qualys-sim", "examples/imports"].map(|name| binary(name).to_string_lossy().into_owned());
    let engines = given.get(2).map_or(vec!["sqlite", "postgres"], |engine| vec![engine.as_str()]);
    for engine in engines {
        let mut arguments = vec!["run", "--release", "--package", "server", "--example", "reference", "--"];
        arguments.extend([quell.as_str(), &simulator, &floor, &hosts, &detections, engine]);
        cargo(&arguments)?;
    }
    Ok(())
}

/// How fast rows are merged into SQLite, beside a bare loop.
fn store() -> Outcome {
    let scratch = Scratch::new()?;
    let database = format!("sqlite:{}", scratch.0.join("bulk.db").display());
    cargo(&["run", "--release", "--package", "store", "--example", "bulk", "--", &database])
}

/// Memory of a freshly started server with 10,000 detections and of an agent, both left alone for a minute; time to ready.
fn idle() -> Outcome {
    cargo(&["build", "--release", "--package", "quell", "--package", "agent"])?;
    let scratch = Scratch::new()?;
    measure(&scratch.0)
}

fn measure(folder: &Path) -> Outcome {
    let fail = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
    let (quell, agent) = (binary("quell"), binary("quell-agent"));
    // The demo's own loop fills the database and enrols the agents.
    let filled = Command::new(&quell)
        .args(["demo", "--exit", "--hosts", HOSTS, "--detections", DETECTIONS, "--dir"])
        .arg(folder)
        .output()
        .map_err(fail("the demo could not be started"))?;
    let said = String::from_utf8_lossy(&filled.stdout).into_owned();
    if !filled.status.success() {
        return Err(format!("the demo failed: {said}{}", String::from_utf8_lossy(&filled.stderr)));
    }
    let port =
        said.lines().find_map(|line| line.trim().strip_prefix("agents     https://127.0.0.1:")).unwrap_or_default();
    let port = port.trim_end_matches('/').to_owned();
    let detections = said.lines().find(|line| line.contains(" detections, ")).unwrap_or_default().trim().to_owned();

    let started = Instant::now();
    let mut server = Command::new(&quell)
        .args(["serve", "--plain-http", "--listen", "127.0.0.1:0", "--agent-listen", &format!("127.0.0.1:{port}")])
        .args(["--log", "warn", "--data-dir"])
        .arg(folder.join("server"))
        .stdout(Stdio::piped())
        .spawn()
        .map(Running)
        .map_err(fail("the server could not be started"))?;
    let output = server.0.stdout.take().ok_or("the server has no output")?;
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.strip_prefix("people:").map(|rest| rest.trim().to_owned()));
    let address = address.ok_or("the server named no address")?;
    let host = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
    while !ready(&host) {
        if started.elapsed() > Duration::from_secs(30) {
            return Err("the server was not ready within 30 seconds".to_owned());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let ready_after = started.elapsed();

    let hosts = folder.join("hosts");
    let machine = std::fs::read_dir(&hosts).map_err(fail("no machines"))?.flatten().next().ok_or("no machine")?.path();
    let agent = Command::new(&agent)
        .args(["run", "--state"])
        .arg(machine.join("agent"))
        .arg("--root")
        .arg(machine.join("root"))
        .stderr(Stdio::null())
        .spawn()
        .map(Running)
        .map_err(fail("the agent could not be started"))?;
    eprintln!("xtask: leaving server and agent alone for {} s", IDLE.as_secs());
    std::thread::sleep(IDLE);
    let server_kib = pss(server.0.id());
    let agent_kib: u64 = family(agent.0.id()).into_iter().map(pss).sum();
    let halves = family(agent.0.id()).len();
    if halves != 2 {
        return Err(format!("the agent runs as {halves} processes, not as its two halves"));
    }
    println!("imported       {detections}");
    println!("server PSS     {:.1} MiB (budget 60)", kib(server_kib));
    println!("agent PSS      {:.1} MiB in {halves} processes (budget 15)", kib(agent_kib));
    println!("ready after    {:.0} ms (budget 1000)", ready_after.as_secs_f64() * 1000.0);
    Ok(())
}

fn kib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}

fn binary(name: &str) -> PathBuf {
    // `cargo xtask` itself lies in the same target folder, one profile beside.
    let own = std::env::current_exe().unwrap_or_default();
    let target = own.parent().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
    target.join("release").join(name)
}

fn ready(host: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(host) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut head = [0_u8; 12];
    stream.write_all(format!("GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).is_ok()
        && stream.read_exact(&mut head).is_ok()
        && head.ends_with(b"200")
}

/// Proportional set size of a process, in KiB.
fn pss(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A process and its children.
fn family(pid: u32) -> Vec<u32> {
    // A child belongs to the thread that started it.
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<u32> = lists
        .flat_map(|list| list.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<_>>())
        .collect();
    std::iter::once(pid).chain(children.into_iter().flat_map(family)).collect()
}
