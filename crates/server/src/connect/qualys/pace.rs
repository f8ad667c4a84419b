//! Time and chance, so that tests need neither.

use crate::clock::Clock;
use domain::time::Timestamp;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// How the client waits.
pub trait Pace: Debug + Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// Waits.
    fn sleep(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// A random length below `most`, added to waits so that many clients do not come back at once.
    fn jitter(&self, most: Duration) -> Duration;
}

impl Pace for Clock {
    fn now(&self) -> Timestamp {
        Clock::now(self)
    }

    fn sleep(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let micros = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
        let end = Timestamp::from_micros(Clock::now(self).micros().saturating_add(micros));
        Box::pin(self.sleep_until(end))
    }

    fn jitter(&self, most: Duration) -> Duration {
        most.mul_f64(rand::random::<f64>())
    }
}
