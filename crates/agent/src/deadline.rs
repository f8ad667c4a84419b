//! When the work on an order has to be over, and how much of that is left for a program that is called.
//!
//! The server gives a permit's place to the next host once what started on it must have ended (`domain::rollout::permit`), so the
//! order's time is a limit and no hint: every call that waits is given what is left of it, and undoing has a time of its own.

use crate::command::Patience;
use domain::task::UNDO_SECONDS;
use protocol::order::Order;
use std::time::{Duration, Instant};

/// How long undoing may take once a try's own time is over.
const UNDO: Duration = Duration::from_secs(UNDO_SECONDS.unsigned_abs());
/// Kept back while something is undone: a package manager that has to be stopped then still comes to its end, and what it was at is
/// finished.
const CLOSING: Duration = Duration::from_secs(95);

/// An instant after which nothing is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline {
    until: Option<Instant>,
    undoing: bool,
}

impl Deadline {
    /// Nobody is in a hurry.
    pub const NEVER: Self = Self { until: None, undoing: false };

    /// So long from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self { until: Some(Instant::now() + time), undoing: false }
    }

    /// When an order that is begun now has to be done.
    #[must_use]
    pub fn of(order: &Order) -> Self {
        Self::after(Duration::from_secs(u64::from(order.run_timeout_seconds.max(1))))
    }

    /// When undoing has to be done that begins now: [`UNDO_SECONDS`] after this deadline at the latest, also where stopping a
    /// program took some of that time.
    #[must_use]
    pub fn for_undo(self) -> Self {
        let now = Instant::now();
        Self { until: Some(self.until.map_or(now, |until| until.min(now)) + UNDO), undoing: true }
    }

    /// Half of the time that is left.
    #[must_use]
    pub fn half(self) -> Self {
        Self { until: self.left().map(|left| Instant::now() + left / 2), ..self }
    }

    /// What is left; nothing where there is no end.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Whether it is over.
    #[must_use]
    pub fn passed(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// How long a program may take that would have this patience.
    pub(crate) fn cap(self, patience: Patience) -> Patience {
        Patience { limit: self.left().map_or(patience.limit, |left| left.min(patience.limit)), ..patience }
    }

    /// The same for a package manager, which needs some time to come to its end.
    pub(crate) fn cap_packages(self, patience: Patience) -> Patience {
        let capped = self.cap(patience);
        let kept = if self.undoing { CLOSING } else { Duration::ZERO };
        let limit = self.left().map_or(capped.limit, |left| left.saturating_sub(kept).min(capped.limit));
        Patience { limit, ..capped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::PACKAGES_PATIENCE;
    use domain::task::{PROOF_SECONDS, RUN_SECONDS, WORK_SECONDS};

    #[test]
    fn what_started_is_over_when_the_server_gives_its_place_back() {
        let seconds = |from: Instant, to: Deadline| to.until.unwrap().duration_since(from).as_secs();
        let now = Instant::now();
        let run = Deadline::after(Duration::from_secs(RUN_SECONDS.unsigned_abs()));
        // Undone early, it has its whole time; undone late, what is left of it.
        assert_eq!(seconds(now, run.for_undo()), UNDO_SECONDS.unsigned_abs());
        let late = Deadline { until: Some(now - Duration::from_secs(50)), undoing: false };
        assert_eq!(seconds(now, late.for_undo()), UNDO_SECONDS.unsigned_abs() - 50);
        assert_eq!(RUN_SECONDS + PROOF_SECONDS + UNDO_SECONDS, WORK_SECONDS);
    }

    #[test]
    fn a_program_gets_what_is_left_and_a_package_manager_time_to_come_to_its_end() {
        let ten = Deadline::after(Duration::from_secs(10));
        assert!(ten.cap(PACKAGES_PATIENCE).limit <= Duration::from_secs(10));
        assert_eq!(Deadline::NEVER.cap(PACKAGES_PATIENCE).limit, PACKAGES_PATIENCE.limit);
        let undo = Deadline::NEVER.for_undo();
        assert!(undo.cap_packages(PACKAGES_PATIENCE).limit <= UNDO - CLOSING);
        assert!(undo.cap(PACKAGES_PATIENCE).limit > UNDO - CLOSING);
        let over = Deadline::after(Duration::ZERO);
        assert!(over.passed() && !ten.passed() && !Deadline::NEVER.passed());
        assert!(ten.half().left().unwrap() <= Duration::from_secs(5) && Deadline::NEVER.half() == Deadline::NEVER);
    }
}
