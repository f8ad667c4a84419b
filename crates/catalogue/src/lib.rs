//! The mitigation entries: their schema and strict parser, the lints an entry must pass, the signed index, and which entry
//! covers which vulnerability. `docs/catalogue.md` explains all of it for people who write entries.
//!
//! Nothing in here acts on a host: the agent has one module per action kind and uses these types as its instructions.

pub mod actions;
pub mod applies;
pub mod bundle;
pub mod embedded;
pub mod ephemeral;
pub mod folder;
pub mod index;
pub mod lints;
pub mod listing;
pub mod matching;
pub mod schema;
pub mod statements;
pub mod text;
pub mod version;
pub mod words;
