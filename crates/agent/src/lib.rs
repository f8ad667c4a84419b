//! The agent: fetches signed orders over one outbound connection and carries them out, journal first.
//!
//! Two processes. The network half ([`net`]) moves bytes and signs requests; the executor half ([`executor`]) has no network,
//! verifies everything itself and is the only one that touches the host. `docs/agent.md` is the long form.

pub mod clock;
pub mod failpoint;
pub mod format;
pub mod fs;
pub mod journal;
pub mod orders;
pub mod record;
