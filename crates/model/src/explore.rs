//! Explore a model: every state for the invariants of states, then the graph for the way out.

use crate::bounds::Bounds;
use crate::monitor::Breach;
use crate::mutation::Mutation;
use crate::state::{Clock, State, Step};
use crate::system::System;
use domain::task;
use stateright::{Checker as _, HasDiscoveries, Model as _};
use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash as _, Hasher as _};

/// What the exploration of the states found.
#[derive(Debug)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Steps taken.
    pub steps: usize,
    /// Steps on the longest of the shortest ways.
    pub depth: usize,
    /// Broken invariants, each with the steps that lead there.
    pub broken: Vec<(Breach, Vec<String>)>,
}

/// Explore every state. With a mutation it stops at the first broken invariant.
#[must_use]
pub fn check(bounds: Bounds, mutation: Option<Mutation>, threads: usize) -> Explored {
    let finish = if mutation.is_some() { HasDiscoveries::Any } else { HasDiscoveries::All };
    let checker = System::new(bounds, mutation).checker().threads(threads).finish_when(finish).spawn_bfs().join();
    let mut broken = Vec::new();
    for (name, path) in checker.discoveries() {
        let breach = Breach::OF_STATES.iter().find(|(_, known)| *known == name).map(|(breach, _)| *breach);
        let steps = path.into_actions().iter().map(|step| format!("{step:?}")).collect();
        broken.extend(breach.map(|breach| (breach, steps)));
    }
    broken.sort();
    Explored { states: checker.unique_state_count(), steps: checker.state_count(), depth: checker.max_depth(), broken }
}

impl System {
    /// Whether a step needs no bad luck and nobody's help: what a way out may be made of (S13).
    #[must_use]
    pub fn helpful(step: &Step) -> bool {
        !matches!(
            step,
            Step::Cancel(_)
                | Step::AgentGone(_)
                | Step::Crash(_)
                | Step::Die(_)
                | Step::LoseAll
                | Step::Halt(true)
                | Step::Owner(_)
                | Step::Compact(_)
                | Step::Start { clock: Clock::Late | Clock::Slow, .. }
                | Step::Deliver { clock: Clock::Late | Clock::Slow, .. }
                | Step::Answer { clock: Clock::Late | Clock::Slow, .. }
                | Step::PutOff { .. }
                | Step::RunHalt
        )
    }

    /// Whether a task has ended here, or reached the edge of the model: one more order would be its next.
    #[must_use]
    pub fn out(&self, state: &State, task: usize) -> bool {
        state.rows.get(task).is_none_or(|row| {
            let edge = row.life.state == task::State::Ready && row.life.epoch >= self.bounds.epochs;
            row.life.state.ended() || edge
        })
    }
}

/// What the exploration of the graph found.
#[derive(Debug)]
pub struct Reached {
    /// Different states; the same number as [`Explored::states`].
    pub states: usize,
    /// Steps that need no bad luck and nobody's help.
    pub edges: usize,
    /// States from which a task can reach no end.
    pub stuck: usize,
    /// The steps to the first of them.
    pub way: Vec<String>,
}

/// The number of a state in the graph; 128 bits of two hashes, so that no two states of any model are taken for one.
fn key(state: &State) -> u128 {
    let hash = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        state.hash(&mut hasher);
        hasher.finish()
    };
    (u128::from(hash(1)) << 64) | u128::from(hash(2))
}

/// The graph: states in the order they were found, and the steps between them that may be part of a way out.
struct Graph {
    parents: Vec<(u32, Option<Step>)>,
    /// (to, from), for walking backwards.
    back: Vec<(u32, u32)>,
    /// For each task: states in which it is out.
    out: Vec<Vec<u32>>,
}

/// S13: from every state every task can reach an end, by steps that need no bad luck and nobody's help.
///
/// `stateright` has no such property ("from everywhere somewhere"), so the graph of the same model is walked backwards.
#[must_use]
pub fn escape(bounds: Bounds, mutation: Option<Mutation>) -> Reached {
    let system = System::new(bounds, mutation);
    let mut graph = build(&system);
    graph.back.sort_unstable();
    let states = graph.parents.len();
    let edges = graph.back.len();
    let mut stuck = vec![false; states];
    for out in &graph.out {
        for (at, free) in backwards(states, &graph.back, out).into_iter().enumerate() {
            if let Some(stuck) = stuck.get_mut(at) {
                *stuck |= !free;
            }
        }
    }
    let first = stuck.iter().position(|stuck| *stuck);
    let mut way = Vec::new();
    let mut at = first.and_then(|at| u32::try_from(at).ok());
    while let Some((parent, Some(step))) = at.and_then(|at| graph.parents.get(at as usize)) {
        way.push(format!("{step:?}"));
        at = Some(*parent);
    }
    way.reverse();
    Reached { states, edges, stuck: stuck.iter().filter(|stuck| **stuck).count(), way }
}

fn build(system: &System) -> Graph {
    let tasks = usize::from(system.bounds().hosts) * usize::from(system.bounds().tasks);
    let mut graph = Graph { parents: Vec::new(), back: Vec::new(), out: vec![Vec::new(); tasks] };
    let mut numbers: HashMap<u128, u32> = HashMap::new();
    let mut ahead = std::collections::VecDeque::new();
    for state in system.init_states() {
        numbers.insert(key(&state), 0);
        graph.parents.push((0, None));
        ahead.push_back((0_u32, state));
    }
    let mut steps = Vec::new();
    while let Some((from, state)) = ahead.pop_front() {
        for (task, out) in graph.out.iter_mut().enumerate() {
            // What is broken is reported by the other exploration; nothing is explored beyond it.
            if system.out(&state, task) || state.broken.is_some() {
                out.push(from);
            }
        }
        system.actions(&state, &mut steps);
        for step in steps.drain(..) {
            let helpful = System::helpful(&step);
            let Some(next) = system.next_state(&state, step) else { continue };
            let fresh = u32::try_from(graph.parents.len()).expect("bounded models are far smaller");
            let to = match numbers.entry(key(&next)) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(place) => {
                    graph.parents.push((from, Some(step)));
                    ahead.push_back((fresh, next));
                    *place.insert(fresh)
                }
            };
            if helpful {
                graph.back.push((to, from));
            }
        }
    }
    graph
}

/// Which states lead to one of `out`.
fn backwards(states: usize, back: &[(u32, u32)], out: &[u32]) -> Vec<bool> {
    let mut free = vec![false; states];
    let mut ahead = Vec::new();
    for at in out {
        if let Some(free) = free.get_mut(*at as usize) {
            *free = true;
            ahead.push(*at);
        }
    }
    while let Some(at) = ahead.pop() {
        let begin = back.partition_point(|(to, _)| *to < at);
        for (_, from) in back.iter().skip(begin).take_while(|(to, _)| *to == at) {
            match free.get_mut(*from as usize) {
                Some(known) if !*known => {
                    *known = true;
                    ahead.push(*from);
                }
                _ => {}
            }
        }
    }
    free
}
