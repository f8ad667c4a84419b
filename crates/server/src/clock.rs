//! The only place of the server that reads the time of day; everything else receives `now`.

use domain::time::Timestamp;
use std::time::Duration;
use tokio::sync::watch;

/// Where the server gets the time from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// The machine's clock and so many seconds on top of it: for a test that restarts a server as if it had been down for long.
    Ahead(i64),
    /// A clock turned by hand: tests and simulations.
    Hand(HandClock),
}

/// A clock that stands still until it is turned.
#[derive(Clone, Debug)]
pub struct HandClock(watch::Sender<Timestamp>);

impl HandClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> HandClock {
        HandClock(watch::Sender::new(start))
    }

    /// Turn it to `now`, forwards or backwards; whoever waits for a passed instant goes on.
    pub fn set(&self, now: Timestamp) {
        self.0.send_replace(now);
    }

    /// Turn it forwards by whole seconds.
    pub fn advance(&self, seconds: i64) {
        self.0.send_modify(|now| *now = now.plus_seconds(seconds));
    }
}

impl Clock {
    /// The present instant.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => system_now(),
            Clock::Ahead(seconds) => system_now().plus_seconds(*seconds),
            Clock::Hand(hand) => *hand.0.borrow(),
        }
    }

    /// Wait until `instant`. Returns at once when it has passed.
    pub async fn sleep_until(&self, instant: Timestamp) {
        match self {
            Clock::System | Clock::Ahead(_) => {
                let micros = instant.micros().saturating_sub(self.now().micros());
                tokio::time::sleep(Duration::from_micros(u64::try_from(micros).unwrap_or(0))).await;
            }
            Clock::Hand(hand) => {
                // The sender lives in `self`, so the channel cannot close meanwhile.
                let _ = hand.0.subscribe().wait_for(|now| *now >= instant).await;
            }
        }
    }

    /// Wait this many seconds.
    pub async fn sleep(&self, seconds: i64) {
        self.sleep_until(self.now().plus_seconds(seconds)).await;
    }
}

/// The machine's time, for what other machines check against their own clocks: certificates.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn system_now() -> Timestamp {
    jiff::Timestamp::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hand_clock_stands_still_and_wakes_sleepers_when_turned() {
        let hand = HandClock::new(Timestamp::from_micros(0));
        let clock = Clock::Hand(hand.clone());
        assert_eq!(clock.now(), clock.now());
        clock.sleep(0).await;
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(Timestamp::from_micros(60_000_000)).await }
        });
        hand.advance(59);
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        hand.advance(1);
        sleeper.await.unwrap();
    }
}
