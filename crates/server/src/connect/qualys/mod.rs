//! The Qualys client: what is asked, how limits and errors are lived with, and how pages follow each other.
//!
//! An answer is first stored whole ([`spool`]), then read once to see that it is good, and only then handed out. So a
//! page that turns into an error half way is void and fetched again without anyone having seen part of it; a slow
//! receiver never holds up the platform's connection or its concurrency slot; and a page can be read twice, like a
//! file. A run that fails later keeps the hosts of the pages before, and its cursor stays at the last good page
//! (design, section 8).
//!
//! Deliberately not here: what observations mean, and when to ask; the engine decides that.

pub mod about;
mod auth;
pub mod checks;
pub mod client;
pub mod config;
pub mod detections;
pub mod error;
pub mod hosts;
pub mod knowledge_base;
pub mod lane;
pub mod lists;
pub mod pace;
pub mod pages;
mod reach;
mod retry;
pub mod scans;
pub mod shared;
pub mod spool;

pub use checks::{Check, Verdict};
pub use client::Client;
pub use config::{Auth, Config, Endpoint, Secret, Versions};
pub use detections::DetectionQuery;
pub use error::Error;
pub use hosts::HostQuery;
pub use knowledge_base::KnowledgeBaseQuery;
pub use lane::{Quota, Use};
pub use pace::Pace;
pub use pages::{Page, Pages};
pub use scans::{LaunchRequest, LaunchedScan, ProfileChoice, ScanQuery, ScannerChoice};
pub use shared::{Fallen, Stats};
