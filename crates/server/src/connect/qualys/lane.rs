//! One lane per end point: how many calls may run at once, from when on, and what the platform said of its limits.
//!
//! A lane belongs to a subscription and is shared by everything that calls it: imports, rescans and tests. Imports are the
//! many and the patient, so they leave room: of several calls at once one is kept for the others, and near the end of the
//! window imports wait while the others may go on.

use crate::connect::qualys::pace::Pace;
use crate::connect::qualys::retry::RateHeaders;
use domain::time::Timestamp;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Calls of a window that imports leave to others, at least, where the window has twice as many.
const RESERVE_MIN: i64 = 20;
/// Most bytes of a refusal that are kept.
const REFUSED_BYTES: usize = 300;

/// What calls are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// An import: it leaves room for the others.
    Import,
    /// A rescan, the pull after it, or a test of the connection: somebody waits for it.
    Prompt,
}

/// What a platform said of its limits at one end point (`spec/qualys-api.md` 2.4); every part can be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Calls allowed in a window.
    pub limit: Option<i64>,
    /// Length of the window, in seconds.
    pub window_seconds: Option<i64>,
    /// Calls left in it.
    pub remaining: Option<i64>,
    /// No call is taken before.
    pub wait_until: Option<Timestamp>,
    /// Calls allowed at once.
    pub concurrency: Option<i64>,
    /// When that was last said.
    pub seen_at: Timestamp,
    /// When a call was last refused because of a limit.
    pub refused_at: Option<Timestamp>,
    /// In what words, beginning with the code.
    pub refused: String,
}

impl Quota {
    fn new(seen_at: Timestamp) -> Quota {
        Quota {
            limit: None,
            window_seconds: None,
            remaining: None,
            wait_until: None,
            concurrency: None,
            seen_at,
            refused_at: None,
            refused: String::new(),
        }
    }

    /// Calls of the window that imports leave to others.
    #[must_use]
    pub fn reserve(&self) -> i64 {
        let limit = self.limit.unwrap_or(0).max(0);
        (limit / 10).max(RESERVE_MIN).min(limit / 2)
    }

    /// From when on an import may call again, where no more than the reserve is left.
    fn imports_from(&self) -> Option<Timestamp> {
        let reserve = self.reserve();
        if reserve == 0 || self.remaining? > reserve {
            return None;
        }
        // The window slides: a tenth of it frees some calls, and the next answer says how many.
        let pause = (self.window_seconds.unwrap_or(3_600) / 10).clamp(60, 1_800);
        Some(self.seen_at.plus_seconds(pause))
    }
}

#[derive(Debug)]
pub(crate) struct Lane {
    /// Most calls at once, whatever the platform allows.
    most: usize,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    slots: usize,
    running: usize,
    imports: usize,
    quota: Option<Quota>,
}

/// A slot in use; dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct Permit<'l> {
    lane: &'l Lane,
    using: Use,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.lane.state();
        state.running = state.running.saturating_sub(1);
        if self.using == Use::Import {
            state.imports = state.imports.saturating_sub(1);
        }
        drop(state);
        self.lane.freed.notify_waiters();
    }
}

impl State {
    fn wait(&self, using: Use, now: Timestamp) -> Duration {
        let Some(quota) = &self.quota else { return Duration::ZERO };
        let imports = quota.imports_from().filter(|_| using == Use::Import);
        let until = quota.wait_until.into_iter().chain(imports).max();
        let micros = until.map_or(0, |until| until.micros().saturating_sub(now.micros()));
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// Of several slots one is not for imports.
    fn admits(&self, using: Use) -> bool {
        let room = using != Use::Import || self.imports < self.slots.saturating_sub(1).max(1);
        room && self.running < self.slots
    }
}

impl Lane {
    pub(crate) fn new(most: usize) -> Lane {
        let most = most.max(1);
        let state = State { slots: most, running: 0, imports: 0, quota: None };
        Lane { most, state: Mutex::new(state), freed: Notify::new() }
    }

    /// Waits for a slot and until the platform said it will take a call. `Err` is a wait that would be longer than
    /// `wait_max` in all.
    pub(crate) async fn enter(&self, pace: &dyn Pace, using: Use, wait_max: Duration) -> Result<Permit<'_>, Duration> {
        let mut waited = Duration::ZERO;
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // From here on no slot is freed unheard.
            freed.as_mut().enable();
            let wait = {
                let mut state = self.state();
                let wait = state.wait(using, pace.now());
                if wait.is_zero() && state.admits(using) {
                    state.running += 1;
                    state.imports += usize::from(using == Use::Import);
                    return Ok(Permit { lane: self, using });
                }
                wait
            };
            if wait.is_zero() {
                freed.await;
            } else if waited + wait > wait_max {
                return Err(wait);
            } else {
                waited += wait;
                pace.sleep(wait).await;
            }
        }
    }

    /// Takes in what an answer said about the limits; gives whether it said anything.
    pub(crate) fn learn(&self, rate: &RateHeaders, now: Timestamp) -> bool {
        if !rate.says_anything() {
            return false;
        }
        let wait = rate.wait_before_next().map(|wait| later(now, wait));
        let mut state = self.state();
        let quota = state.quota.get_or_insert_with(|| Quota::new(now));
        quota.seen_at = now;
        quota.limit = rate.limit.map(|limit| limit.max(0)).or(quota.limit);
        let window = rate.window_seconds.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
        quota.window_seconds = window.or(quota.window_seconds);
        quota.remaining = rate.remaining.map(|left| left.max(0)).or(quota.remaining);
        // Calls that are left say that an older wait is over.
        let over = rate.remaining.is_some_and(|left| left > 0);
        quota.wait_until = wait.or(quota.wait_until.filter(|until| *until > now && !over));
        if let Some(limit) = rate.concurrency_limit {
            quota.concurrency = Some(i64::try_from(limit).unwrap_or(i64::MAX));
            state.slots = limit.clamp(1, self.most);
            drop(state);
            self.freed.notify_waiters();
        }
        true
    }

    /// Takes in that a call was refused because of a limit, in these words, and for how long.
    pub(crate) fn refuse(&self, words: &str, wait: Option<Duration>, now: Timestamp) {
        let mut state = self.state();
        let quota = state.quota.get_or_insert_with(|| Quota::new(now));
        quota.seen_at = now;
        quota.refused_at = Some(now);
        quota.refused = words.chars().take(REFUSED_BYTES).filter(|c| !c.is_control()).collect();
        quota.wait_until = wait.map(|wait| later(now, wait)).max(quota.wait_until);
    }

    /// What is known of the limits.
    pub(crate) fn quota(&self) -> Option<Quota> {
        self.state().quota.clone()
    }

    /// Takes in what was known before a restart, or what another replica learnt, where that is newer.
    pub(crate) fn recall(&self, known: &Quota) {
        let mut state = self.state();
        if state.quota.as_ref().is_some_and(|own| own.seen_at >= known.seen_at) {
            return;
        }
        if let Some(limit) = known.concurrency {
            state.slots = usize::try_from(limit).unwrap_or(1).clamp(1, self.most);
        }
        state.quota = Some(known.clone());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.micros().saturating_add(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(limit: i64, remaining: i64, window: i64) -> Quota {
        let seen_at = Timestamp::from_micros(0);
        let (limit, remaining, window_seconds) = (Some(limit), Some(remaining), Some(window));
        Quota { limit, remaining, window_seconds, ..Quota::new(seen_at) }
    }

    #[test]
    fn imports_leave_the_end_of_the_window_to_others() {
        for (limit, remaining, window, seconds) in [
            (300, 31, 3_600, None),
            (300, 30, 3_600, Some(360)),
            (300, 0, 3_600, Some(360)),
            (100, 21, 3_600, None),
            (100, 20, 3_600, Some(360)),
            (10, 6, 3_600, None),
            (10, 5, 3_600, Some(360)),
            (1, 0, 3_600, None),
            (0, 0, 3_600, None),
            (300, 10, 1, Some(60)),
            (300, 10, i64::MAX, Some(1_800)),
        ] {
            let from = quota(limit, remaining, window).imports_from();
            assert_eq!(
                from,
                seconds.map(|seconds: i64| Timestamp::from_micros(seconds * 1_000_000)),
                "{limit} {remaining}"
            );
        }
        assert_eq!(Quota { remaining: None, ..quota(300, 0, 3_600) }.imports_from(), None);
    }

    #[test]
    fn of_several_slots_one_is_not_for_imports() {
        for (slots, running, imports, import, prompt) in [
            (2, 0, 0, true, true),
            (2, 1, 1, false, true),
            (2, 1, 0, true, true),
            (2, 2, 1, false, false),
            (3, 2, 2, false, true),
            (1, 0, 0, true, true),
            (1, 1, 1, false, false),
        ] {
            let state = State { slots, running, imports, quota: None };
            assert_eq!((state.admits(Use::Import), state.admits(Use::Prompt)), (import, prompt), "{slots} {running}");
        }
    }

    #[test]
    fn slots_shrink_and_grow_with_what_the_platform_says() {
        let lane = Lane::new(2);
        let said = |limit| RateHeaders { concurrency_limit: Some(limit), ..RateHeaders::default() };
        for (limit, slots) in [(1, 1), (2, 2), (0, 1), (50, 2)] {
            assert!(lane.learn(&said(limit), Timestamp::from_micros(1)));
            assert_eq!(lane.state().slots, slots, "{limit}");
        }
        assert!(
            !lane.learn(&RateHeaders::default(), Timestamp::from_micros(9)),
            "an answer without headers says nothing"
        );
        assert_eq!(lane.quota().expect("known").seen_at, Timestamp::from_micros(1));
    }

    #[test]
    fn nonsense_in_headers_does_no_harm() {
        let lane = Lane::new(2);
        let rate = RateHeaders {
            limit: Some(-3),
            remaining: Some(-5),
            wait_seconds: Some(u64::MAX),
            ..RateHeaders::default()
        };
        lane.learn(&rate, Timestamp::from_micros(0));
        let quota = lane.quota().expect("known");
        assert_eq!((quota.limit, quota.remaining), (Some(0), Some(0)));
        assert_eq!(quota.wait_until, Some(Timestamp::from_micros(7 * 86_400 * 1_000_000)));
    }

    #[test]
    fn a_wait_ends_with_an_answer_that_leaves_calls() {
        let lane = Lane::new(2);
        let (now, hour) = (Timestamp::from_micros(0), Duration::from_secs(3_600));
        let left = |remaining| RateHeaders { remaining: Some(remaining), ..RateHeaders::default() };
        for (remaining, waits) in [(0, true), (7, false)] {
            lane.refuse("HTTP 409, code 1965", Some(hour), now);
            lane.learn(&left(remaining), now);
            assert_eq!(lane.quota().and_then(|quota| quota.wait_until).is_some(), waits, "{remaining}");
        }
    }

    #[test]
    fn only_what_is_newer_is_recalled() {
        let lane = Lane::new(2);
        let at = |micros| Quota { seen_at: Timestamp::from_micros(micros), ..quota(300, micros, 3_600) };
        for (known, remaining) in [(5, 5), (3, 5), (9, 9)] {
            lane.recall(&at(known));
            assert_eq!(lane.quota().and_then(|quota| quota.remaining), Some(remaining));
        }
    }
}
