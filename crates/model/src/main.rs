//! `model [--reduced] [NAME...]`: explore the models and print what was explored. `cargo xtask bench model` calls it.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::allow_attributes, reason = "a command for developers")]

use model::{Bounds, FULL, Mutation, REDUCED, check, escape};
use std::process::ExitCode;
use std::time::Instant;

/// The highest memory this process ever had, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Processor time of this process so far, in seconds.
fn worked() -> u64 {
    // Fields 14 and 15 of the line, counted in hundredths of a second on Linux; the name before them may hold spaces.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() / 100
}

fn explore(bounds: Bounds) -> bool {
    let began = Instant::now();
    println!("{}: {}", bounds.name, bounds.line());
    let explored = check(bounds, None, 2);
    println!(
        "  states {}, steps {}, depth {}, {:.1} s",
        explored.states,
        explored.steps,
        explored.depth,
        began.elapsed().as_secs_f64()
    );
    for (breach, way) in &explored.broken {
        println!("  BROKEN {breach}: {way:#?}");
    }
    let reached = escape(bounds, None);
    println!(
        "  S13: {} states, {} steps that may be a way out, {} states without one, {:.1} s, {} s of processors so far, peak {} MiB",
        reached.states,
        reached.edges,
        reached.stuck,
        began.elapsed().as_secs_f64(),
        worked(),
        peak_mib()
    );
    if reached.stuck > 0 {
        println!("  BROKEN S13: {:#?}", reached.way);
    }
    explored.broken.is_empty() && reached.stuck == 0 && reached.states == explored.states
}

fn mutations() -> bool {
    let mut all = true;
    for (mutation, name, expected) in Mutation::ALL {
        let Some(bounds) = REDUCED.iter().find(|bounds| bounds.name == name) else { continue };
        let explored = check(*bounds, Some(mutation), 2);
        let found = match explored.broken.first() {
            Some((breach, way)) => format!("{breach}, in {} steps", way.len()),
            None => match escape(*bounds, Some(mutation)) {
                reached if reached.stuck > 0 => format!("S13 a way out, in {} steps", reached.way.len()),
                _ => "NOT FOUND".to_owned(),
            },
        };
        all &= found != "NOT FOUND" && !expected.is_empty();
        println!("  {mutation:?} in `{name}`: {found}");
    }
    all
}

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let reduced = names.iter().any(|name| name == "--reduced");
    let set: &[Bounds] = if reduced { &REDUCED } else { &FULL };
    let wanted = |bounds: &&Bounds| {
        names.iter().all(|name| name.starts_with("--")) || names.iter().any(|name| name == bounds.name)
    };
    let began = Instant::now();
    let mut good = true;
    for bounds in set.iter().filter(wanted) {
        good &= explore(*bounds);
    }
    if names.is_empty() || names.iter().any(|name| name == "--mutations") {
        println!("mutations, in the reduced models:");
        good &= mutations();
    }
    println!("in all {:.1} s, {} s of processors, peak {} MiB", began.elapsed().as_secs_f64(), worked(), peak_mib());
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
