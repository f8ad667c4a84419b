//! What is said: messages between agent and server, signed envelopes and orders, the public API's error body.
//!
//! Bytes that are signed are kept and sent as they were made; nothing here re-canonicalises JSON.

pub mod agent;
pub mod order;
