//! What tests stand on. Nothing here is part of the product.
//!
//! [`postgres`] is a private PostgreSQL cluster, [`database`] gives each test a database of its own on both engines,
//! [`fixtures`] are files from elsewhere, [`jobs`] the least of a job, [`server`](mod@server) is a whole server, and
//! [`mailbox`] a mail server of somebody else's.

#![allow(clippy::print_stderr, clippy::allow_attributes, reason = "tests say loudly what they skip")]

pub mod database;
pub mod fixtures;
pub mod jobs;
#[cfg(feature = "world")]
pub mod mailbox;
pub mod postgres;
#[cfg(feature = "world")]
pub mod server;
