//! What is true: records, state machines, scores, schedules, permissions and the query language's tree.
//!
//! Pure by contract: no input or output, no clock, no randomness, no async, no SQL. Time is a parameter
//! everywhere; a decision is a function of its arguments, so it can be tested by tables and properties.

pub mod access;
pub mod account;
pub mod approval;
pub mod asset;
pub mod assignment;
pub mod autoclose;
pub mod contact;
pub mod control;
pub mod detection;
pub mod dry_run;
pub mod due;
pub mod effort;
pub mod exception;
pub mod exclusion;
pub mod filter;
pub mod id;
pub mod identity;
pub mod import;
pub mod item;
pub mod job;
pub mod mail;
pub mod mitigation;
pub mod notice;
pub mod number;
pub mod printable;
pub mod progress;
pub mod refusal;
pub mod remediation;
pub mod rescan;
pub mod result;
pub mod risk;
pub mod rollback;
pub mod rollout;
pub mod schedule;
pub mod score;
pub mod search_list;
pub mod selection;
pub mod tag;
pub mod task;
pub mod time;
pub mod window;
