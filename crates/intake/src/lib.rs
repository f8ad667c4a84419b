//! What scanners report: bytes in, observations out.
//!
//! Every reader takes a `BufRead`, streams, and hands out one host or one vulnerability at a time, so that memory does
//! not grow with the input. Everything that comes from outside is hostile until a reader here has looked at it: sizes
//! are capped in [`limits`], characters that XML forbids are dropped and counted in [`clean`], nothing external is ever
//! fetched, and an unknown value survives as text.
//!
//! Deliberately not here: matching hosts to assets, scores, life cycles, the network and the database. An observation
//! is what a scanner said, nothing more.

pub mod clean;
pub mod error;
pub mod file;
pub mod format;

pub mod limits;
pub mod observation;
pub mod qualys;
pub mod summary;
mod table;
pub mod values;
mod xml;

pub use error::{ReadError, Stop};
pub use limits::Limits;
pub use observation::{DetectionReport, HostReport, Micros, Observation, VulnerabilityReport};
pub use summary::Summary;
