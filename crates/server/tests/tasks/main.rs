//! Remediation tasks over real HTTP: made, moved, assigned, split, made by rules; who must not do what; what pages show.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

mod pages;
mod people;
mod rules;
mod work;
mod world;
