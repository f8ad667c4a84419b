//! The simulator's time: the machine's own clock or one turned by hand, plus whatever a test stepped.
//!
//! This is the crate's clock module, the only place that reads the time of the machine. It never sleeps.

use jiff::{SignedDuration, Timestamp};
use std::sync::Mutex;

/// Where the simulator takes its time from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClockMode {
    /// The machine's clock; steps are added to it.
    #[default]
    System,
    /// Stands still at the given instant until it is stepped.
    Manual(Timestamp),
}

/// A clock that can be stepped forward.
#[derive(Debug)]
pub struct Clock {
    mode: ClockMode,
    stepped: Mutex<SignedDuration>,
}

impl Clock {
    /// A clock of the given kind.
    pub fn new(mode: ClockMode) -> Self {
        Self { mode, stepped: Mutex::new(SignedDuration::ZERO) }
    }

    /// The present instant, cut to whole seconds as the service reports it.
    pub fn now(&self) -> Timestamp {
        let base = match self.mode {
            ClockMode::System => machine_now(),
            ClockMode::Manual(at) => at,
        };
        let stepped = *self.stepped.lock().expect("no code panics while holding the clock");
        let moved = base.checked_add(stepped).unwrap_or(base);
        Timestamp::from_second(moved.as_second()).unwrap_or(moved)
    }

    /// The present instant in full resolution; scan phases shorter than a second need it.
    pub fn precise(&self) -> Timestamp {
        let base = match self.mode {
            ClockMode::System => machine_now(),
            ClockMode::Manual(at) => at,
        };
        let stepped = *self.stepped.lock().expect("no code panics while holding the clock");
        base.checked_add(stepped).unwrap_or(base)
    }

    /// Moves the clock forward (or back, for a negative duration).
    pub fn step(&self, by: SignedDuration) {
        let mut stepped = self.stepped.lock().expect("no code panics while holding the clock");
        *stepped = stepped.checked_add(by).unwrap_or(*stepped);
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
fn machine_now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_stepped() {
        let start: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a fixed instant");
        let clock = Clock::new(ClockMode::Manual(start));
        assert_eq!(clock.now(), start);
        clock.step(SignedDuration::from_secs(90));
        assert_eq!(clock.now().as_second() - start.as_second(), 90);
    }
}
