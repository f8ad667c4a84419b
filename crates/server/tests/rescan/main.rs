//! Rescans over real HTTP against the simulated platform (S2): who may ask, what is launched, what is found, and what
//! a crash or a lost answer does.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

mod asking;
mod outcomes;
mod queue;
mod records;
mod sentences;
mod trouble;
mod world;
