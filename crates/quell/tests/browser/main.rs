//! The procedures that have to work sentence by sentence, as people walk them, in a headless browser with real scripts: a
//! mitigation job (S1) with the demo's real agents, a rescan (S2), the rules of jobs that pages show (R), and the rest of
//! what pages can do with jobs. Each statement is a step named by its id (see `steps`). Screenshots stay in
//! `target/tmp/screenshots`, to be looked at, each in the light and in the dark theme and in a narrow window.
//!
//! What the rules are is held elsewhere, table by table; this only asks whether a person gets there. Needs
//! `chromedriver` and Chromium; without them the tests say loudly that they were skipped.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "JSON gives null for what is not there"
)]

mod clocks;
mod demo;
mod driver;
mod flows;
#[allow(dead_code, reason = "shared with the tests of the API")]
#[path = "../../../server/tests/acceptance/hands.rs"]
mod hands;
mod mitigation;
mod rescan;
mod rules;
#[allow(dead_code, reason = "shared with the tests of the API")]
#[path = "../../../server/tests/acceptance/speaker.rs"]
mod speaker;
mod steps;
mod workspaces;
#[allow(dead_code, reason = "shared with the tests of pages")]
#[path = "../../../server/tests/pages_jobs/world.rs"]
mod world;
