//! What follows items by itself: their due dates, and the rules that close what nothing reports any more.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "helpers of tests are tests, too"
)]

mod due;
mod stale;
mod world;
