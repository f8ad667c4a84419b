//! One lane per end point: how many calls may run at once, and from when on.

use crate::connect::qualys::pace::Pace;
use crate::connect::qualys::retry::RateHeaders;
use domain::time::Timestamp;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

#[derive(Debug)]
pub(crate) struct Lane {
    slots: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    slots: usize,
    not_before: Option<Timestamp>,
}

impl Lane {
    pub(crate) fn new(slots: usize) -> Lane {
        let slots = slots.max(1);
        Lane { slots: Semaphore::new(slots), state: Mutex::new(State { slots, not_before: None }) }
    }

    /// Waits for a slot and until the platform said it will take a call. `Err` is a wait longer than `wait_max`.
    pub(crate) async fn enter(&self, pace: &dyn Pace, wait_max: Duration) -> Result<SemaphorePermit<'_>, Duration> {
        loop {
            let wait = self.wait(pace.now());
            if wait > wait_max {
                return Err(wait);
            }
            if !wait.is_zero() {
                pace.sleep(wait).await;
            }
            let permit = self.slots.acquire().await.expect("the semaphore is never closed");
            // Another call may have learnt of a wait while this one stood in line.
            if self.wait(pace.now()).is_zero() {
                return Ok(permit);
            }
        }
    }

    /// Takes in what an answer said about the limits.
    pub(crate) fn learn(&self, rate: &RateHeaders, now: Timestamp) {
        if let Some(wait) = rate.wait_before_next() {
            let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
            self.state().not_before = Some(Timestamp::from_micros(now.micros().saturating_add(micros)));
        }
        let Some(limit) = rate.concurrency_limit else { return };
        let mut state = self.state();
        if limit.max(1) < state.slots {
            // Slots in use are not forgotten; the next answer tries again.
            state.slots -= self.slots.forget_permits(state.slots - limit.max(1));
        }
    }

    fn wait(&self, now: Timestamp) -> Duration {
        let Some(until) = self.state().not_before else { return Duration::ZERO };
        Duration::from_micros(u64::try_from(until.micros() - now.micros()).unwrap_or(0))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
