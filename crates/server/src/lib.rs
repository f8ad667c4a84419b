//! What happens: the server's edge, its API and pages, its engine, and its connections to the outside.
//!
//! Decisions are made in `domain`, records are kept by `store`; this crate carries out and shows.

pub mod accounts;
pub mod api;
pub mod app;
pub mod appliances;
pub mod assets;
pub mod clock;
pub mod config;
pub mod connect;
pub mod engine;
pub mod failpoint;
pub mod http;
pub mod instances;
pub mod keys;
pub mod letters;
pub mod mtg;
pub mod pages;
pub mod passwords;
pub mod platforms;
pub mod secrets;
pub mod start;
pub mod telemetry;
pub mod views;
pub mod wake;
pub mod web;

pub use app::App;
pub use clock::{Clock, HandClock};
pub use config::Config;
pub use start::{Server, StartError};
