//! The simulator over real HTTP: what a client sees, byte for byte where it matters.

mod clients;
mod detections;
mod door;
mod faults;
mod gateway;
mod knobs;
mod paging;
mod replay;
mod scans;
mod support;
mod weight;
