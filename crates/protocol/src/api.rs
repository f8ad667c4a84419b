//! Bodies of the public API, shared by the server and the command line: one file per noun.
//!
//! One resource key per body (`{"user": …}`, `{"users": […], "next": …}`). The API is additive only: a field that was
//! released keeps its name, type and meaning; readers ignore fields they do not know. Roles and scopes are texts here,
//! so that an older client can show a newer server's words.

pub mod accounts;
pub mod assignment;
pub mod auto_close;
pub mod catalogue;
pub mod due;
pub mod efforts;
pub mod exceptions;
pub mod exclusion;
pub mod exposure;
pub mod follow;
pub mod identity;
pub mod integrations;
pub mod mail;
pub mod response;
pub mod rollout;
pub mod scans;
pub mod selection;
pub mod tags;
pub mod tasks;
pub mod topics;
