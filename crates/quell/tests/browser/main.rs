//! The two procedures that have to work sentence by sentence, as people walk them: a mitigation job (S1) and a rescan
//! (S2), in a headless browser with real scripts. Each statement of the procedures has its place here, named by its id,
//! where it is asserted of what is shown. Screenshots stay in `target/tmp/screenshots`, to be looked at, each in the
//! light and in the dark theme.
//!
//! What the rules are is held elsewhere, table by table; this only asks whether a person gets there. Needs
//! `chromedriver` and Chromium; without them the tests say loudly that they were skipped.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "JSON gives null for what is not there"
)]

mod demo;
mod driver;
mod mitigation;
mod rescan;
mod world;
