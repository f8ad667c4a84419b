//! A deterministic simulation of two server processes on one real SQLite file and a hundred agents. Tests alone: nothing
//! here is in the product.
//!
//! The server is the production routers, engine and store; an agent is the production executor, with its journal and its
//! host's files on a real disk, and the production session. What this crate adds is time, a network that loses, repeats,
//! delays and forges, people and owners who do things at bad moments, and everything that breaks: processes at every
//! failpoint, power, disks, clocks, connections. All of it is drawn from one seed, so a seed is one history, and its trace
//! has one digest.
//!
//! Deliberately not here: TLS and sockets (`server`'s and `agent`'s own tests), real kills of real processes
//! (`resilience`), the exhaustive search (`model`). `docs/simulation.md` is the long form.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test harness: what it does not expect is a failure to be shown"
)]

mod agents;
mod chance;
mod disks;
mod ears;
mod faults;
mod finish;
mod fleet;
mod host;
mod limits;
mod mutation;
mod network;
mod people;
mod plan;
mod replica;
mod rows;
mod run;
mod seconds;
mod servers;
mod spread;
mod template;
mod trace;
mod watch;

pub use fleet::Counts;
pub use mutation::Mutation;
pub use run::{Outcome, run};
pub use template::Template;
