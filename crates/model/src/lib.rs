//! Bounded models of the protocol, explored exhaustively with `stateright`. Tests alone: nothing here is in the product.
//!
//! The transitions are the product's own: `domain::task` for the server's view, `agent::decide`, `agent::orders` and
//! `agent::verify` for the host's, `domain::rollout::permit` and `agent::permits` for start permits, `protocol` for what is
//! said between them, real signatures included. What this crate adds is a network that loses, repeats and reorders, crashes,
//! clocks that disagree, people who cancel and halt, a second server replica, time, and monitors that say when an invariant is
//! broken. It re-describes no rule of the product except in the
//! monitors, which must not share code with what they watch, and in [`Mutation`], where a rule is left out on purpose.
//!
//! Deliberately not here: bytes on disks (`agent::journal` has its own tests), SQL (`store`), TLS, what an action does.
//! `docs/protocol-model.md` says which invariant is held by what.

mod agent_side;
mod bounds;
mod explore;
mod ledger;
mod monitor;
mod mutation;
mod permit_side;
mod scene;
mod server_side;
mod state;
mod system;

pub use bounds::{Bounds, FULL, REDUCED};
pub use explore::{Explored, Reached, check, escape};
pub use monitor::Breach;
pub use mutation::Mutation;
pub use state::{Clock, Message, State, Step};
pub use system::System;
