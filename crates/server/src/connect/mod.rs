//! The outside, and only here: scanner platforms, mail.

pub mod qualys;
pub mod smtp;
