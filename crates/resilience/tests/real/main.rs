//! For real, on this machine: a mitigation of an organisation's own, from an empty file to a host; what others do on a host beside us; and an sshd that strangers look at from outside while a server's jobs mitigate it and roll it back.
//!
//! Server, agent and sshd are processes of their own on loopback; the jobs are made through the public API; what sshd offers is
//! read from the wire by nmap, which knows nothing of Quell. The agent works below `--root`, a folder that holds this sshd's
//! configuration and nothing that runs, so it restarts nothing there: the tests make sshd read its file again, by SIGHUP to the
//! very process they started.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "tests; JSON gives null for what is not there"
)]

#[path = "../it/api.rs"]
#[allow(dead_code, reason = "shared with the tests that kill")]
mod api;
mod custom;
mod kinds;
mod others;
#[path = "../it/processes.rs"]
#[allow(dead_code, reason = "shared with the tests that kill")]
mod processes;
mod sshd;
mod terrapin_and_grace;
#[path = "../it/world.rs"]
#[allow(dead_code, reason = "shared with the tests that kill")]
mod world;
