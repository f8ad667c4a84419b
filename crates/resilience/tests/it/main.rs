//! Real servers and real agents, killed.
//!
//! `quell serve` and `quell-agent run` are processes of their own, on loopback, over TLS, each with a folder of its own.
//! Jobs are made through the public API; meanwhile the server, the network half and the executor half are killed with
//! SIGKILL, at every named failpoint and at seeded random instants, and started again. What has to hold afterwards is in
//! [`invariants`], by the names of `fleet-execution.md` section 6.6.
//!
//! Rescans and imports are killed as well, with a simulated platform in a process of its own ([`site`]): a scan is launched once and
//! never lost, and what the server knows is what the platform holds.
//!
//! `QUELL_CRASH_ROUNDS` sets the number of random instants (default 50), `QUELL_CRASH_SEED` their seed; `QUELL_CRASH_KILLS` the kills
//! during imports and rescans (default 10; `cargo xtask bench kills` makes 200).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "tests; JSON gives null for what is not there"
)]

mod api;
mod crash;
mod imports;
mod invariants;
mod power;
mod processes;
mod rollback;
mod scans;
mod site;
mod watch;
mod world;
