//! `simulation [--seeds FROM..TO] [--hosts N] [--workers N] [--trace] [--mutation NAME]`: run seeds and say what broke.
//! `cargo xtask bench simulation` calls it; a failure prints the command that replays it.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::allow_attributes, reason = "a command for developers")]

use simulation::{Mutation, Outcome, Template, run};
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// As the server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Options {
    seeds: Range<u64>,
    hosts: u32,
    workers: u64,
    trace: bool,
    mutation: Option<Mutation>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { seeds: 1..1001, hosts: 100, workers: 2, trace: false, mutation: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--seeds" => {
                let text = value()?;
                let (from, to) = text.split_once("..").ok_or("seeds are FROM..TO")?;
                let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is no number"));
                options.seeds = number(from)?..number(to)?;
            }
            "--hosts" => options.hosts = value()?.parse().map_err(|_| "hosts is a number")?,
            "--workers" => options.workers = value()?.parse().map_err(|_| "workers is a number")?,
            "--trace" => options.trace = true,
            "--mutation" => {
                let text = value()?;
                options.mutation = Some(Mutation::parse(&text).ok_or(format!("there is no mutation {text}"))?);
            }
            other => return Err(format!("what is {other}?")),
        }
    }
    Ok(options)
}

fn say(outcome: &Outcome, options: &Options, ms: u128) {
    let counts = outcome.counts;
    println!(
        "seed {} trace {} {} tasks {} starts {} retries {} requests {} permits {} waves {} away {} lost {} passed {} deaths {}+{} network {} ms {ms} broken {}",
        outcome.seed,
        outcome.trace.1,
        outcome.trace.0,
        counts.tasks,
        outcome.starts.0,
        outcome.starts.1,
        counts.requests,
        counts.permits,
        counts.waves,
        counts.away,
        counts.lost,
        counts.passed_over,
        counts.server_deaths,
        counts.agent_deaths,
        counts.network_faults,
        outcome.broken.len()
    );
    for line in outcome.broken.iter().take(10) {
        println!("  BROKEN {line}");
    }
    if !outcome.broken.is_empty() {
        let (seed, hosts) = (outcome.seed, options.hosts);
        println!(
            "  replay: cargo run --release -p simulation -- --seeds {seed}..{} --hosts {hosts} --workers 1 --trace",
            seed + 1
        );
    }
}

fn alone(options: &Options) -> bool {
    let template = Template::make(options.hosts);
    let (began, mut failed) = (Instant::now(), Vec::new());
    for seed in options.seeds.clone() {
        let seed_began = Instant::now();
        // What a server or an agent panics over is a finding like any other, and ends its seed alone.
        let ran = catch_unwind(AssertUnwindSafe(|| run(&template, seed, options.mutation, options.trace)));
        let outcome = ran.unwrap_or_else(|_| Outcome::panicked(seed));
        if !outcome.broken.is_empty() {
            failed.push(seed);
        }
        say(&outcome, options, seed_began.elapsed().as_millis());
    }
    let Range { start, end } = options.seeds;
    let (hosts, seconds) = (options.hosts, began.elapsed().as_secs_f64());
    println!("stated: seeds {start}..{end}, {hosts} hosts, commit {}, {seconds:.1} s, failed {failed:?}", commit());
    failed.is_empty()
}

/// Of what the run speaks.
fn commit() -> String {
    let asked = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let text = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if text.is_empty() { "unknown".to_owned() } else { text }
}

/// Seeds run in processes of their own: what a failpoint does concerns a whole process.
fn spread(options: &Options) -> Result<bool, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let count = options.seeds.end.saturating_sub(options.seeds.start);
    let share = count.div_ceil(options.workers.max(1));
    let mut workers = Vec::new();
    for worker in 0..options.workers {
        let from = options.seeds.start + worker * share;
        let to = (from + share).min(options.seeds.end);
        if from >= to {
            continue;
        }
        let mut command = Command::new(&own);
        command.args(["--workers", "1", "--seeds", &format!("{from}..{to}"), "--hosts", &options.hosts.to_string()]);
        if let Some(mutation) = options.mutation {
            command.args(["--mutation", &mutation.word()]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
        let output = child.stdout.take().ok_or("a worker without output")?;
        let reader = std::thread::spawn(move || {
            let mut sums = [0_u64; 9];
            let mut seeds = 0_u64;
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let number = |name: &str| {
                    let mut words = line.split(' ').skip_while(|word| *word != name);
                    words.nth(1).map(str::to_owned).unwrap_or_default()
                };
                if line.starts_with("seed ") {
                    seeds += 1;
                    let deaths = number("deaths");
                    let (servers, agents) = deaths.split_once('+').unwrap_or(("0", "0"));
                    let found = [
                        &number("tasks"),
                        &number("starts"),
                        &number("retries"),
                        &number("requests"),
                        servers,
                        agents,
                        &number("network"),
                        &number("permits"),
                        &number("waves"),
                    ]
                    .map(|text| text.parse::<u64>().unwrap_or(0));
                    sums.iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
                }
                println!("{line}");
            }
            (seeds, sums)
        });
        workers.push((child, reader));
    }
    let (mut good, mut seeds, mut sums) = (true, 0, [0_u64; 9]);
    for (mut child, reader) in workers {
        let (more, found) = reader.join().map_err(|_| "a reader panicked")?;
        seeds += more;
        sums.iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
        good &= child.wait().map_err(|error| error.to_string())?.success();
    }
    let [tasks, starts, retries, requests, servers, agents, network, permits, waves] = sums;
    println!(
        "seeds {seeds} of {count}: tasks {tasks}, starts {starts}, tries beyond the first {retries}, requests {requests}"
    );
    println!("permits {permits}, waves opened by gates {waves}");
    println!("deaths of servers {servers}, of agents {agents}; messages lost, repeated or forged {network}");
    Ok(good && seeds == count)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("simulation: {error}");
            return ExitCode::FAILURE;
        }
    };
    let began = Instant::now();
    let good = if options.workers > 1 {
        spread(&options).unwrap_or_else(|error| {
            eprintln!("simulation: {error}");
            false
        })
    } else {
        alone(&options)
    };
    println!("{} in {:.1} s", if good { "every invariant holds" } else { "BROKEN" }, began.elapsed().as_secs_f64());
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
