//! The simulation in reduced form: fewer hosts and seeds than `cargo xtask bench simulation`, every rule and every break.
//! Few tests, because each is a process with a template of its own, which is what costs most.

use simulation::{Mutation, Template, run};

const HOSTS: u32 = 12;
const SEEDS: u64 = 8;
/// A break has to be found within so many seeds.
const SEEDS_PER_MUTATION: u64 = 40;

#[test]
fn every_invariant_holds_over_the_first_seeds_and_a_seed_is_one_history() {
    let template = Template::make(HOSTS);
    let (mut starts, mut retries, mut deaths, mut permits, mut waves) = (0, 0, 0, 0, 0);
    let mut traces = Vec::new();
    for seed in 1..=SEEDS {
        let outcome = run(&template, seed, None, false);
        let replay =
            format!("cargo run -p simulation -- --seeds {seed}..{} --hosts {HOSTS} --workers 1 --trace", seed + 1);
        assert!(outcome.broken.is_empty(), "seed {seed}: {:#?}\nreplay: {replay}", outcome.broken);
        starts += outcome.starts.0;
        retries += outcome.starts.1;
        deaths += outcome.counts.server_deaths + outcome.counts.agent_deaths;
        permits += outcome.counts.permits;
        waves += outcome.counts.waves;
        traces.push(outcome.trace);
    }
    // A simulation in which nothing happens finds nothing.
    let much = starts > 200 && retries > 2 && deaths > 20 && permits > 50 && waves > 2;
    assert!(much, "{starts} starts, {retries} retries, {deaths} deaths, {permits} permits, {waves} waves");
    // Keys, ids and the signatures over them are others in a second template: none of them may matter.
    assert_eq!(traces[6], run(&Template::make(HOSTS), 7, None, false).trace);
    assert_ne!(traces[6], traces[7]);
}

/// Every break is found, by an invariant that is meant to find it. Begun with the seed that found it when it was written down.
#[test]
fn every_break_is_found() {
    let template = Template::make(HOSTS);
    let mut missed = Vec::new();
    for (mutation, expected, first) in Mutation::ALL {
        let mut said = Vec::new();
        let found = (first..first + SEEDS_PER_MUTATION).any(|seed| {
            said.extend(run(&template, seed, Some(mutation), false).broken);
            said.iter().any(|line| expected.iter().any(|name| line.starts_with(&format!("{name}:"))))
        });
        if !found {
            missed.push(format!("{mutation:?}, expected {expected:?}, said {said:#?}"));
        }
    }
    assert!(missed.is_empty(), "not found within {SEEDS_PER_MUTATION} seeds: {missed:#?}");
}
