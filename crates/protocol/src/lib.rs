//! What is said: messages between agent and server, signed envelopes and orders, the trust root, the public API's error body.
//!
//! This crate holds shapes and their verification: it opens no socket, reads no file and no clock. Bytes that are signed
//! are kept and sent as they were made; nothing here re-canonicalises JSON.

pub mod agent;
pub mod api;
pub mod approval;
pub mod digest;
pub mod order;
pub mod permit;
pub mod problem;
pub mod root;
pub mod signed;
pub mod spreadsheet;
