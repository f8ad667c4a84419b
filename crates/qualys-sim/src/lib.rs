//! A faithful simulator of the Qualys platform: API server and gateway on one port, for tests, the demo and benchmarks.
//!
//! It serves the calls of `/api/N.0/fo/`, `/msp/`, `/qps/` and `/auth` that a vulnerability import and an on-demand rescan need, with the
//! service's framing, limits, paging and errors. The data set is a function of a seed. Scans move with a clock and change detections by
//! the true state of the hosts they reach, which tests set or which is read from a *root folder* per host.
//!
//! **QIDs lie in 900000-909999**, a range of the simulator's own; see [`knowledge`]. Texts are ours, CVE numbers of the demo set
//! ([`weakness`]) are real, those of ordinary entries are invented (`CVE-2025-9nnnnn`).
//!
//! It deliberately links no other crate of this project and shares no rule with them: what it says about a host must be able to
//! contradict the product under test. Mitigation and patch jobs can be looked at and not made; TLS is not simulated.

mod http;

pub mod clock;
pub mod detections;
pub mod dpkg;
pub mod hosts;
pub mod judge;
pub mod knowledge;
pub mod options;
pub mod os;
pub mod roll;
pub mod scans;
mod simulator;
pub mod sshd;
pub mod state;
pub mod subscription;
pub mod truth;
pub mod version;
pub mod weakness;
pub mod world;

pub use clock::ClockMode;
pub use http::faults::{Fault, FaultKind, FaultPlan};
pub use http::gate::Parallel;
pub use http::journal::JournalEntry;
pub use options::{Account, Limits, Options, Switches};
pub use scans::Outcome;
pub use simulator::Simulator;
pub use truth::Truth;
