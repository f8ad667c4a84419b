//! What a server, a database or a network in the wrong hands can try with this agent: one table of forged and abused orders
//! ([`orders`], [`contents`], [`metadata`]), every row of which is run twice, against the executor ([`direct`]) and by a
//! hostile server over TLS against the real binary with both its halves ([`wire`]).
//!
//! Each row says how it ends. After each row not a byte below the root or beside it has changed, and the journal holds no intent,
//! no prior state and no effect that was not there before.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod contents;
mod direct;
mod forge;
mod metadata;
mod orders;
#[path = "../common/server.rs"]
mod server;
mod wire;

use forge::{Attack, Forge};

/// Every row.
pub fn attacks() -> Vec<Attack> {
    let all: Vec<Attack> =
        [orders::attacks(), contents::attacks(), metadata::attacks()].into_iter().flatten().collect();
    let names: std::collections::BTreeSet<&str> = all.iter().map(|attack| attack.name).collect();
    assert_eq!(names.len(), all.len(), "a name is used twice");
    all
}

/// The content, the traps and the honest past that the attacks stand on.
pub fn stage() -> Forge {
    Forge::new(contents::hostile())
}
