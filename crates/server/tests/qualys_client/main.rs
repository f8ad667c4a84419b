//! The Qualys client against the simulator, a scripted server and recorded traffic. No test sleeps: the pace is turned by
//! hand and writes down what it was asked to wait.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests")]

mod checks;
mod limits;
mod recorded;
mod scans;
mod scripted;
mod sign_in;
mod simulated;
mod support;
mod together;
