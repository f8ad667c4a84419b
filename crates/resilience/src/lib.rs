//! What happens to the whole system when its processes die: tests alone, kept apart because they start real servers and
//! real agents and take minutes. See `tests/it/main.rs`.
