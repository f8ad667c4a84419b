//! Every bound of the edge in one place.

use std::time::Duration;

/// Largest ordinary request body, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Largest catalogue taken, in bytes of its JSON.
pub const CATALOGUE_BYTES_MAX: usize = 16 * BODY_BYTES_MAX;
/// Largest uploaded file, in bytes; the intake has its own limits on what it makes of one.
pub const UPLOAD_BYTES_MAX: usize = 2 * 1024 * 1024 * 1024;
/// An ordinary request has to be answered within this time.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// An upload and its reading have to be done within this time.
pub const UPLOAD_TIME_MAX: Duration = Duration::from_secs(30 * 60);
/// A long poll of an agent is answered within this time, in any case.
pub const AGENT_TIME_MAX: Duration = Duration::from_secs(90);
/// Largest request line and headers of an agent, in bytes, and what is kept in memory of what an agent sends while it waits: the
/// least that the HTTP library takes. Agents send less than 2 KiB.
pub const AGENT_HEAD_BYTES_MAX: usize = 8192;
/// Request headers have to arrive within this time.
pub const HEADER_TIME_MAX: Duration = Duration::from_secs(15);
/// Requests under way get this long to end when the server stops.
pub const GRACE_TIME_MAX: Duration = Duration::from_secs(10);
