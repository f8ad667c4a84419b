//! The statements and rules of the two procedures by their names, over real HTTP: `s1_xx_...` and `rNN_...`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

mod after;
mod back;
mod clients;
mod expiry;
mod hands;
mod history;
mod mtg;
mod procedure;
mod results;
mod rollback;
mod saved;
mod sentences;
mod speaker;
#[path = "../pages_jobs/world.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "shared with the tests of pages")]
mod world;
