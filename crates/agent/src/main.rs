//! The `quell-agent` binary.
fn main() {}
