//! The reference import, end to end and each part in a process of its own: a simulated platform, the released server, one engine.
//!
//! `reference QUELL QUALYS-SIM FLOOR HOSTS DETECTIONS sqlite|postgres`, as `cargo xtask bench import` calls it. It prints, for the first
//! import, a delta of what a scan of one host in a hundred has changed, and a full import that changes nothing: wall time, processor time
//! of the server per detection, and the server's peak memory; beside them the floor that FLOOR measures in the same run. Everything
//! talks over loopback; time and size are bounded by the arguments.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::allow_attributes,
    reason = "a measuring program"
)]

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testkit::postgres::TestSchema;

/// What a person types when the one-time password was accepted.
const PASSWORD: &str = "chosen for a benchmark alone";
/// Of how many hosts one is scanned again for the delta.
const DELTA: usize = 100;
/// A scan of the simulator has to be over by then.
const SCAN_TIME_MAX: Duration = Duration::from_secs(120);

/// A process that ends with the benchmark.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(command: &mut Command) -> Running {
    Running(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

/// The lines a process prints, for what it says when it is ready.
fn said(process: &mut Running) -> impl FnMut(&str) -> String + use<> {
    let mut lines = BufReader::new(process.0.stdout.take().expect("its output")).lines().map_while(Result::ok);
    move |what| {
        let found = lines.find_map(|line| line.split_once(what).map(|(_, value)| value.trim().to_owned()));
        found.unwrap_or_else(|| panic!("a process did not say `{what}`"))
    }
}

/// Processor time of a process and its threads so far, in seconds.
fn cpu(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let (_, after) = text.rsplit_once(')').unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum::<f64>();
    // Linux tells in hundredths of a second to user space, whatever it counts in.
    ticks / 100.0
}

/// The highest resident size of a process so far, in MiB.
fn high_water(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

struct Client<'b> {
    quell: &'b str,
    folder: &'b Path,
}

impl Client<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.quell);
        command.env("QUELL_CONFIG", self.folder.join("config.toml")).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str], typed: &str) -> String {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        child.stdin.take().expect("an input").write_all(typed.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// One import: what it is called, and how many detections it is about.
fn measure(client: &Client<'_>, server: u32, what: &str, kind: &str, floor: f64) {
    let (begun, before) = (Instant::now(), cpu(server));
    let text = client.run(&["instances", "import", "Reference", "--kind", kind, "-o", "json"], "");
    let (wall, spent) = (begun.elapsed().as_secs_f64(), cpu(server) - before);
    let import: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(import["state"], "complete", "{import}");
    let counters = &import["counters"]["detections"];
    let count = |kind: &str| counters[kind].as_f64().unwrap_or(0.0);
    let kinds = ["new", "updated", "unchanged", "ignored"];
    let rows = kinds.iter().map(|kind| count(kind)).sum::<f64>().max(1.0);
    let each = spent * 1e6 / rows;
    println!(
        "{what:<22} {rows:>9.0} detections ({}) in {wall:>6.1} s; {each:>6.1} µs of processor each, {:>4.1} x the floor; peak {:>5.0} MiB",
        kinds.map(|kind| format!("{} {kind}", count(kind))).join(", "),
        each / floor,
        high_water(server)
    );
}

/// Scan one host in a hundred again and wait until the platform has processed it.
async fn scan(api: &str, user: &str, password: &str, hosts: usize) {
    let client = reqwest::Client::new();
    let mut addresses = Vec::new();
    for from in (0..hosts).step_by(1_000) {
        let url = format!("{api}/sim/hosts?from={from}&limit=1000");
        let page: Value = client.get(url).send().await.expect("hosts").json().await.expect("JSON");
        let page = page.as_array().cloned().unwrap_or_default();
        let wanted = page.iter().step_by(DELTA).filter_map(|host| host["ip"].as_str().map(str::to_owned));
        addresses.extend(wanted.filter(|ip| ip.parse::<std::net::Ipv4Addr>().is_ok()));
    }
    let ip = addresses.join(",");
    let form =
        [("action", "launch"), ("scan_title", "reference"), ("ip", ip.as_str()), ("option_title", "Initial Options")];
    let form: String = form.map(|(name, value)| format!("{name}={}", value.replace(' ', "+"))).join("&");
    let launch = client.post(format!("{api}/api/2.0/fo/scan/")).basic_auth(user, Some(password));
    let launch = launch.header("X-Requested-With", "bench").header("content-type", "application/x-www-form-urlencoded");
    let answer = launch.body(form).send().await.expect("an answer");
    let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
    assert!(status.is_success(), "the scan was not launched: {text}");
    let begun = Instant::now();
    while begun.elapsed() < SCAN_TIME_MAX {
        let scans = client.get(format!("{api}/sim/scans")).send().await.expect("scans");
        let scans: Value = scans.json().await.expect("JSON");
        if scans.as_array().is_some_and(|scans| scans.iter().all(|scan| scan["processed"] == true)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the scan was not processed within {} s", SCAN_TIME_MAX.as_secs());
}

/// The floor in microseconds per detection, as FLOOR prints it.
fn floor(program: &str, hosts: &str, detections: &str, database: Option<&str>) -> f64 {
    let mut command = Command::new(program);
    command.args(["--floor", hosts, detections]).args(database);
    let output = command.output().expect("the floor is measured");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    print!("{text}");
    let (before, _) = text.split_once(" µs per detection").expect("a figure");
    before.split_whitespace().last().and_then(|word| word.parse().ok()).expect("a figure")
}

#[tokio::main]
async fn main() {
    testkit::server::provide_tls();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [quell, simulator, floor_program, hosts, detections, engine] = &arguments[..] else {
        panic!("reference QUELL QUALYS-SIM FLOOR HOSTS DETECTIONS sqlite|postgres");
    };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{hosts} hosts x {detections} detections, {engine}, load average before: {}", load.trim());
    let schemas =
        (engine == "postgres").then(|| ["floor", "server"].map(|name| TestSchema::create(name).expect("PostgreSQL")));
    let url = |of: usize| schemas.as_ref().and_then(|schemas| schemas.get(of)).map(TestSchema::url);
    let floor = floor(floor_program, hosts, detections, url(0));

    let mut platform = Command::new(simulator);
    platform.args(["--json", "--hosts", hosts, "--detections", detections, "--demo-hosts", "0"]);
    platform.args(["--rate-limit", "0", "--scan-speed", "3000"]).stdout(Stdio::piped());
    let mut platform = spawn(&mut platform);
    let line = said(&mut platform)("{");
    let platform_says: Value = serde_json::from_str(&format!("{{{line}")).expect("JSON");
    let told = |name: &str| platform_says[name].as_str().expect("a text").to_owned();
    let (api, user, password) = (told("api_url"), told("username"), told("password"));

    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Command::new(quell);
    server.args(["serve", "--listen", "127.0.0.1:0", "--agent-listen", "127.0.0.1:0", "--log", "warn", "--data-dir"]);
    server.arg(folder.path().join("data")).stdout(Stdio::piped());
    server.args(url(1).into_iter().flat_map(|url| ["--database", url]));
    let mut server = spawn(&mut server);
    let mut says = said(&mut server);
    let (address, fingerprint, once) = (says("people:"), says("fingerprint:"), says("password:"));
    let client = Client { quell, folder: folder.path() };
    let login = ["login", &address, "-u", "admin", "--password-stdin", "--ca-sha256", &fingerprint];
    client.run(&login, &format!("{once}\n{PASSWORD}\n"));
    let create = ["instances", "create", "Reference", "--api-url", &api, "--username", &user, "--password-stdin"];
    client.run(&create, &password);

    let pid = server.0.id();
    println!("server at rest         peak {:.0} MiB", high_water(pid));
    measure(&client, pid, "first import", "everything", floor);
    scan(&api, &user, &password, hosts.parse().expect("a number")).await;
    measure(&client, pid, "delta of one scan", "host_detection", floor);
    measure(&client, pid, "full, nothing changed", "comprehensive", floor);
    println!(
        "simulator              {:.0} s of processor, peak {:.0} MiB",
        cpu(platform.0.id()),
        high_water(platform.0.id())
    );
}
