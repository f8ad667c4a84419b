//! The agent: fetches signed orders over one outbound connection and carries them out, journal first.
//!
//! Two processes. The network half ([`net`]) moves bytes and signs requests; the executor half ([`executor`]) has no network,
//! verifies everything itself and is the only one that touches the host. `docs/agent.md` is the long form.

mod account;
mod adopt;
pub mod checks;
pub mod cli;
pub mod clock;
mod command;
pub mod confine;
pub mod deadline;
pub mod decide;
pub mod enrol;
mod evidence;
pub mod executor;
pub mod failpoint;
pub mod format;
pub mod frame;
pub mod fs;
pub mod host;
pub mod journal;
pub mod kinds;
pub mod launcher;
mod leftover;
pub mod net;
pub mod orders;
pub mod owner;
pub mod permits;
pub mod printable;
mod processes;
pub mod proof;
mod reach;
pub mod record;
mod relay;
pub mod restart;
pub mod restore;
mod revert;
pub mod run;
pub mod services;
pub mod session;
mod shells;
pub mod state;
mod steps;
mod teller;
mod undo;
pub mod validators;
pub mod verify;
pub mod windows;
pub mod work;
pub mod xml;
pub mod zipfile;

pub use cli::{
    Command, EnrolArgs, Failure, NetArgs, RunArgs, enrol_command as enrol, net_command as net, run_command as run,
};
