//! `kill -9` of the server, the network half and the executor half, wherever it hurts.

use crate::invariants::History;
use crate::processes::{Process, until};
use crate::watch::Watch;
use crate::world::{Ended, Files, World};
use std::time::Duration;

/// The instants of a test run, the same for the same seed.
pub struct Dice(u64);

impl Dice {
    pub fn new() -> Self {
        let seed = number("QUELL_CRASH_SEED", 1);
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A number from the environment.
pub fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Pauses between the steps of a task, so that random instants meet every one of them.
pub const PAUSES: &str = "before-accepted:sleep=10,before-intent:sleep=20,after-intent:sleep=40,after-prior:sleep=40,\
    after-captured:sleep=40,before-replace:sleep=40,after-replace:sleep=40,after-effect:sleep=40,before-finished:sleep=40,\
    after-finished:sleep=20,before-acked:sleep=10,revert-before-write:sleep=40,revert-after-write:sleep=40";

/// What the host has to look like, as far as the tasks say so.
fn files_tell_the_same(world: &World, ended: &Ended, untouched: &Files, what: &str) {
    let exposed = |qid: &i64| qualys_sim::world::is_exposed(&world.root(), u32::try_from(*qid).unwrap()).unwrap();
    let all = |states: &[&str]| ended.tasks.iter().all(|(_, state, _, _)| states.contains(&state.as_str()));
    if all(&["succeeded", "unchanged"]) && ended.tasks.iter().any(|(_, state, _, _)| state == "succeeded") {
        assert!(!world.qids.iter().any(exposed), "{what}: applied, yet exposed");
    }
    if all(&["reverted"]) {
        assert!(world.files() == *untouched, "{what}: rolled back, yet not as before");
    }
}

/// One job during which `disturb` does its worst.
fn disturbed(
    world: &mut World,
    history: &mut History,
    untouched: &Files,
    what: &str,
    disturb: impl FnOnce(&mut World, &str),
) -> Ended {
    let watch = Watch::on(&world.root());
    let (number, kind) = world.next_job();
    let what = format!("{what} during a {kind}");
    disturb(world, &number);
    let ended = world.finish(&number);
    history.check(world, &ended, Some(&watch), &what);
    files_tell_the_same(world, &ended, untouched, &what);
    eprintln!("{what}: {} {:?}", ended.status, ended.tasks);
    ended
}

#[test]
fn s1_to_s5_hold_after_kill_9_at_every_failpoint_of_the_executor() {
    let mut world = World::new();
    let (untouched, mut history) = (world.files(), History::default());
    // The network half has a test of its own; only a firewall rule is ever unproven: `agent/tests/dead_man.rs`; only what fails
    // is undone: `agent/tests/services`.
    let elsewhere = |name: &&str| name.starts_with("net-") || name.starts_with("undo-") || *name == "unproven";
    for point in agent::failpoint::ALL.iter().map(|(name, _)| *name).filter(|name| !elsewhere(name)) {
        // A revert has points of its own; every other one is passed by an apply.
        world.prepare(point.starts_with("revert-"));
        disturbed(&mut world, &mut history, &untouched, &format!("executor killed at {point}"), |world, number| {
            world.agent.take();
            world.start_agent(Some(&format!("{point}:kill")));
            world.enable(number);
            let agent = world.agent.as_mut().unwrap();
            until(&format!("passing {point}"), 60, || agent.is_dead().then_some(()));
        });
    }
    eprintln!("{} orders were repeated in a higher epoch", history.repeated);
}

#[test]
fn s1_to_s5_hold_after_kill_9_at_every_failpoint_of_the_network_half() {
    let mut world = World::new();
    let (untouched, mut history) = (world.files(), History::default());
    for point in ["net-before-send", "net-after-reply"] {
        // The n-th request of each network half: poll, content, events, in every order that occurs.
        for pass in 1..=3 {
            let what = format!("network half killed at {point}, pass {pass}");
            disturbed(&mut world, &mut history, &untouched, &what, |world, number| {
                world.agent.take();
                world.start_agent(Some(&format!("{point}:kill@{pass}")));
                world.enable(number);
                // Every network half dies at its n-th request until the executor is started without failpoints.
                std::thread::sleep(Duration::from_millis(1_500));
                world.agent.take();
                let log = std::fs::read_to_string(world.log("agent")).unwrap();
                assert!(log.contains("the network half ended"), "{point} is never passed");
            });
        }
    }
}

#[test]
fn s1_to_s5_hold_after_kill_9_at_every_failpoint_of_the_server() {
    let mut world = World::new();
    let (untouched, mut history) = (world.files(), History::default());
    for (point, _) in server::failpoint::ALL {
        disturbed(&mut world, &mut history, &untouched, &format!("server killed at {point}"), |world, number| {
            world.server.take();
            world.start_server(Some(point));
            world.enable_once(number);
            let server = world.server.as_mut().unwrap();
            until(&format!("passing {point}"), 60, || server.is_dead().then_some(()));
            world.enable(number);
        });
    }
}

#[test]
fn s1_to_s5_hold_after_kill_9_at_random_instants() {
    let wanted = number("QUELL_CRASH_ROUNDS", 50);
    let mut world = World::new();
    let (untouched, mut history, mut dice) = (world.files(), History::default(), Dice::new());
    let (mut killed, mut jobs) = ([0_u64; 3], 0);
    world.restart_with(PAUSES);
    while killed.iter().sum::<u64>() < wanted {
        jobs += 1;
        let what = format!("job {jobs}");
        disturbed(&mut world, &mut history, &untouched, &what, |world, number| {
            world.enable(number);
            for _ in 0..5 {
                std::thread::sleep(Duration::from_millis(dice.below(250)));
                world.supervise();
                if world.ended(number).is_some() {
                    break;
                }
                // The executor half, which has the most to lose, twice as often as each of the others.
                let victim = usize::try_from(dice.below(4)).unwrap() % 3;
                match victim {
                    1 => world.server.as_mut().unwrap().kill(),
                    0 => world.agent.as_mut().unwrap().kill(),
                    _ if world.agent.as_ref().is_some_and(|agent| agent.kill_net() > 0) => {}
                    _ => continue,
                }
                killed[victim] += 1;
            }
        });
    }
    eprintln!(
        "{} random instants in {jobs} jobs: server {}, executor {}, network half {}; {} orders in a higher epoch",
        killed.iter().sum::<u64>(),
        killed[1],
        killed[0],
        killed[2],
        history.repeated
    );
    assert!(killed.iter().all(|count| *count > 0 || wanted < 12), "each of the three was killed: {killed:?}");
}

/// A cancelled job whose order is out and not started never starts, whoever dies.
#[test]
fn s4_nothing_starts_after_a_cancel_even_when_everybody_dies() {
    let mut world = World::new();
    let (untouched, mut history) = (world.files(), History::default());
    let number = world.make_job("mitigation").unwrap();
    world.agent.take();
    // The order has been handed out and verified, nothing is written.
    world.start_agent(Some("before-accepted:kill"));
    world.enable(&number);
    let agent = world.agent.as_mut().unwrap();
    until("passing before-accepted", 60, || agent.is_dead().then_some(()));
    let cancelled = world.api.post(&format!("/api/v1/jobs/{number}/cancel"), &serde_json::json!({})).unwrap();
    assert_eq!(cancelled.0, 200, "{cancelled:?}");
    world.server.as_mut().map(Process::kill);
    let ended = world.finish(&number);
    assert!(ended.tasks.iter().all(|(_, state, _, _)| state == "cancelled"), "{ended:?}");
    history.check(&mut world, &ended, None, "cancelled");
    assert!(world.files() == untouched, "S4: something was changed after the cancel");
}
