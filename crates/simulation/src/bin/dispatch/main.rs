//! `dispatch PROGRAM [AGENTS] [JOBS]`: agents over real TLS against a real server process, one no-op job over all of them,
//! again and again; prints what it costs the server. `cargo xtask bench dispatch` calls it.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::allow_attributes,
    reason = "a command for developers: what it does not expect ends it"
)]

mod people;
mod swarm;

use people::{Api, Platform, Server, until};
use protocol::agent::EnrolmentToken;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use swarm::{Place, Swarm};

/// One job over everybody.
struct Measured {
    hosts_per_second: f64,
    cpu_ms: f64,
    wake_ms: f64,
}

fn main() {
    let mut words = std::env::args().skip(1);
    let program = words.next().expect("the server's program");
    let mut number = |standard: usize| words.next().map_or(standard, |word| word.parse().expect("a number"));
    let (agents, jobs) = (number(1000), number(10));
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(std::path::Path::new(&program), folder.path());
    let api = Api::sign_in(&server);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let platform = people::import(&api, &runtime, agents);
    println!("load average   {}", std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    let ca = std::fs::read_to_string(folder.path().join("tls/ca.pem")).expect("the authority's certificate");
    let place = Place::new(&server.agents, &ca);
    let members = enrol(&api, &runtime, &place, &platform);
    // What people and imports needed is no agent's.
    std::thread::sleep(Duration::from_secs(2));
    let (before, cpu, swarm) = (server.pss(), server.cpu(), Swarm::new());
    let began = Instant::now();
    for (at, member) in members.into_iter().enumerate() {
        runtime.spawn(swarm.clone().live(place.clone(), member, at as u64 * 7919 + 1));
    }
    until("everybody's poll", || (swarm.polling.load(Ordering::Relaxed) >= agents).then_some(()));
    let connected = began.elapsed().as_secs_f64();
    // The first poll of a process brings facts; let it settle into waiting.
    std::thread::sleep(Duration::from_secs(5));
    let idle = server.pss();
    println!(
        "connect        {:.0} agents/s, {:.2} ms CPU each",
        count(agents) / connected,
        1000.0 * (server.cpu() - cpu) / count(agents)
    );
    println!(
        "memory         {:.1} KiB PSS per connected agent ({} -> {} KiB)",
        kib(before, idle, agents),
        before,
        idle
    );
    let mut measured = Vec::new();
    for job in 1..=jobs {
        let one = measure(&api, &server, &swarm, &platform, agents);
        let (rate, cpu, wake) = (one.hosts_per_second, one.cpu_ms, one.wake_ms);
        println!("job {job:>2}         {rate:.0} hosts/s, {cpu:.3} ms CPU per host, first to last wake {wake:.0} ms");
        measured.push(one);
        // Connections of the talk lanes are dropped when idle, as the agent's are.
        std::thread::sleep(Duration::from_secs(1));
    }
    std::thread::sleep(Duration::from_secs(17));
    let after = server.pss();
    println!("memory         {:.1} KiB PSS per connected agent after {jobs} jobs", kib(before, after, agents));
    // The first five after a first one that warms caches on both sides, where there are as many.
    let of = |value: fn(&Measured) -> f64| {
        let mut values: Vec<f64> = measured.iter().skip(usize::from(jobs > 5)).take(5).map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!("median of 5    {:.0} hosts/s", of(|one| one.hosts_per_second));
    println!("median of 5    {:.3} ms server CPU per host", of(|one| one.cpu_ms));
    println!("median of 5    {:.0} ms from the first to the last wake", of(|one| one.wake_ms));
    halt(&api, &swarm, &platform, agents);
    println!("load average   {}", std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
}

fn count(agents: usize) -> f64 {
    f64::from(u32::try_from(agents).unwrap_or(u32::MAX))
}

fn kib(before: u64, after: u64, agents: usize) -> f64 {
    f64::from(u32::try_from(after.saturating_sub(before)).unwrap_or(u32::MAX)) / count(agents)
}

fn enrol(api: &Api, runtime: &tokio::runtime::Runtime, place: &Place, platform: &Platform) -> Vec<swarm::Member> {
    let agents = platform.machines.len();
    let token = json!({ "label": "benchmark", "uses": agents, "hours": 24 });
    let token = api.must("POST", "/api/v1/agents/tokens", &token);
    let token: EnrolmentToken = agent::enrol::read_token(token["text"].as_str().expect("a token")).expect("a token");
    let began = Instant::now();
    let members = runtime.block_on(async {
        let mut members = Vec::new();
        for machine in &platform.machines {
            members.push(swarm::enrol(place, (token.token_id, &token.secret), machine).await);
        }
        members
    });
    println!(
        "enrolled       {agents} agents, {:.0}/s one after the other",
        count(agents) / began.elapsed().as_secs_f64()
    );
    members
}

/// Make a job over everybody and enable it; gives its number and when it was asked for.
fn begin(api: &Api, platform: &Platform) -> (String, Instant) {
    let new = json!({ "vulnerabilities": [{ "qid": platform.qid }], "title": "benchmark" });
    let made = api.must("POST", "/api/v1/jobs", &new);
    let job = if made["job"]["summary"].is_object() { &made["job"]["summary"] } else { &made["job"] };
    let number = job["number"].as_str().expect("a number").to_owned();
    let began = Instant::now();
    api.must("POST", &format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true }));
    (number, began)
}

fn status(api: &Api, number: &str) -> String {
    let shown = api.must("GET", &format!("/api/v1/jobs/{number}"), &Value::Null);
    let job = if shown["job"]["summary"].is_object() { &shown["job"]["summary"] } else { &shown["job"] };
    job["status"].as_str().unwrap_or_default().to_owned()
}

fn measure(api: &Api, server: &Server, swarm: &Swarm, platform: &Platform, agents: usize) -> Measured {
    *swarm.seen.lock().expect("nobody panics") = swarm::Seen::default();
    let made = server.cpu();
    let (number, began) = begin(api, platform);
    until("everybody's result", || (swarm.seen.lock().expect("nobody panics").done.len() >= agents).then_some(()));
    let last = swarm.seen.lock().expect("nobody panics").last_done.expect("somebody was done");
    until("the end of the job", || (status(api, &number) == "COMPLETED").then_some(()));
    // The polls that follow belong to the job too.
    std::thread::sleep(Duration::from_millis(800));
    let cpu = server.cpu() - made;
    let seen = swarm.seen.lock().expect("nobody panics");
    let came: Vec<Instant> = seen.orders.iter().map(|(at, _)| *at).collect();
    let (first, final_one) = (came.iter().min().expect("an order"), came.iter().max().expect("an order"));
    Measured {
        hosts_per_second: count(agents) / (last - began).as_secs_f64(),
        cpu_ms: 1000.0 * cpu / count(agents),
        wake_ms: 1000.0 * (*final_one - *first).as_secs_f64(),
    }
}

/// Halt in the middle of a job: what was handed out after the halt was acknowledged?
fn halt(api: &Api, swarm: &Swarm, platform: &Platform, agents: usize) {
    *swarm.seen.lock().expect("nobody panics") = swarm::Seen::default();
    let (number, _) = begin(api, platform);
    until("some orders", || (swarm.seen.lock().expect("nobody panics").orders.len() >= agents / 20).then_some(()));
    api.must("PUT", "/api/v1/halt", &json!({ "halted": true, "reason": "benchmark" }));
    let (halted, since) = (agent::clock::wall(), Instant::now());
    std::thread::sleep(Duration::from_secs(3));
    let (before, later, made_later) = {
        let seen = swarm.seen.lock().expect("nobody panics");
        let later = seen.orders.iter().filter(|(at, _)| *at > since).count();
        let made_later = seen.orders.iter().filter(|(_, made)| *made > halted).count();
        (seen.orders.len() - later, later, made_later)
    };
    println!(
        "halt           {before} of {agents} orders handed out before it was acknowledged, {later} of those under way came after"
    );
    println!("halt           {made_later} orders made after it was acknowledged");
    api.must("PUT", "/api/v1/halt", &json!({ "halted": false, "reason": "" }));
    until("the end of the halted job", || status(api, &number).starts_with("COMPLETED").then_some(()));
}
