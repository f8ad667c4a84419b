//! Rescans over real HTTP against the simulated platform (S2): who may ask, what is launched, what is found, and what
//! a crash or a lost answer does.

mod asking;
mod outcomes;
mod trouble;
mod world;
