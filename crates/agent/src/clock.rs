//! The agent's clock: the server's time carried forward on a clock that nobody on the host can set.
//!
//! The only module of the agent that reads time. The wall clock of a host is often wrong and its owner may move it, so
//! windows and expiries are compared on `server time + elapsed`, where elapsed comes from the boot-time clock, which also
//! counts suspension (`fleet-execution.md` 1.5). Before the first word of the server the wall clock has to do.

use domain::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// A skew above this many seconds is reported to the host's owner.
pub const SKEW_SECONDS_REPORTED: i64 = 600;

/// The host's wall clock.
#[must_use]
pub fn wall() -> Timestamp {
    let now = clock_gettime(ClockId::Realtime);
    Timestamp::from_micros(now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000))
}

/// Microseconds since boot, suspension included.
#[must_use]
pub fn boot_micros() -> i64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000)
}

/// Where a clock reads: the wall clock, and the microseconds since boot. A simulation gives its own.
pub type Source = fn() -> (Timestamp, i64);

/// Time as the server has it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    source: Source,
    heard: Option<(Timestamp, i64)>,
    floor: Option<Timestamp>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::reading(|| (wall(), boot_micros()))
    }
}

impl Clock {
    /// A clock that has not heard the server and reads `source`.
    #[must_use]
    pub fn reading(source: Source) -> Self {
        Self { source, heard: None, floor: None }
    }

    /// Microseconds since boot, suspension included.
    #[must_use]
    pub fn boot_micros(&self) -> i64 {
        (self.source)().1
    }

    /// The server says that it is `server` now.
    pub fn hear_now(&mut self, server: Timestamp) {
        let (_, boot_micros) = (self.source)();
        self.hear(server, boot_micros);
    }

    /// The server said it is `server` while the boot-time clock stood at `boot_micros`.
    pub fn hear(&mut self, server: Timestamp, boot_micros: i64) {
        self.heard = Some((server, boot_micros));
    }

    /// Something signed was made at this instant, so it is not earlier now. The server's time reaches the executor through
    /// the network half; this bounds how far back a compromised one can set it.
    pub fn not_before(&mut self, instant: Timestamp) {
        self.floor = self.floor.max(Some(instant));
    }

    /// The corrected time.
    #[must_use]
    pub fn at(&self, wall: Timestamp, boot_micros: i64) -> Timestamp {
        let corrected = match self.heard {
            Some((server, then)) => {
                Timestamp::from_micros(server.micros().saturating_add(boot_micros.saturating_sub(then)))
            }
            None => wall,
        };
        self.floor.map_or(corrected, |floor| corrected.max(floor))
    }

    /// The corrected time, now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let (wall, boot_micros) = (self.source)();
        self.at(wall, boot_micros)
    }

    /// Seconds by which the server is ahead of the wall clock; nothing before the server was heard.
    #[must_use]
    pub fn skew_seconds(&self) -> Option<i64> {
        self.heard.map(|_| self.now().seconds_since((self.source)().0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_not_believed_once_the_server_spoke() {
        let mut clock = Clock::default();
        let wall = Timestamp::from_micros(5_000_000);
        assert_eq!(clock.at(wall, 0), wall);
        let server = Timestamp::from_micros(1_000_000_000);
        clock.hear(server, 10_000_000);
        assert_eq!(clock.at(wall, 13_000_000), server.plus_seconds(3));
        clock.not_before(server.plus_seconds(100));
        assert_eq!(clock.at(wall, 13_000_000), server.plus_seconds(100));
    }
}
