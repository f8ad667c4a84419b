//! The way from the executor to the network half: whoever tells something never waits for the other half to hear it.
//!
//! A thread of its own writes to the pipe, because a network half that does not read must hold up neither an order nor the undoing of a
//! change. What waits for it is bounded.

use crate::frame::{self, FrameError, ToNet};
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Told and not heard yet, at most, in bytes; one frame more may lie above it.
const QUEUED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long room is waited for between orders before the network half counts as stuck.
pub(crate) const ROOM_WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Queue {
    bytes: usize,
    closed: bool,
}

type Shared = Arc<(Mutex<Queue>, Condvar)>;

fn lock(shared: &Shared) -> MutexGuard<'_, Queue> {
    shared.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// See the module. Its thread ends when the last of it is dropped, or the pipe breaks.
#[derive(Clone, Debug)]
pub(crate) struct Teller {
    to: Sender<Vec<u8>>,
    queue: Shared,
}

impl Teller {
    /// Start the thread that writes to this pipe.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn of(pipe: impl Write + Send + 'static) -> std::io::Result<Self> {
        let (to, from) = channel();
        let queue = Shared::default();
        let shared = Arc::clone(&queue);
        let thread = std::thread::Builder::new().name("teller".to_owned()).stack_size(256 * 1024);
        thread.spawn(move || write_all(pipe, from, &shared))?;
        Ok(Self { to, queue })
    }

    /// Tell, waiting so long for room at most.
    ///
    /// # Errors
    /// When there is no room, the pipe broke, or it is no frame.
    pub(crate) fn tell(&self, frame: &ToNet, wait: Duration) -> Result<(), FrameError> {
        let full = |queue: &mut Queue| !queue.closed && queue.bytes > QUEUED_BYTES_MAX;
        let waited = self.queue.1.wait_timeout_while(lock(&self.queue), wait, full);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if queue.closed {
            return Err(FrameError::Closed);
        }
        if full(&mut queue) {
            return Err(FrameError::Io(std::io::Error::other("the other half does not read")));
        }
        let bytes = frame::encode(frame)?;
        queue.bytes += bytes.len();
        self.to.send(bytes).map_err(|_| FrameError::Closed)
    }
}

fn write_all(mut pipe: impl Write, from: Receiver<Vec<u8>>, shared: &Shared) {
    for bytes in from {
        let written = pipe.write_all(&bytes).and_then(|()| pipe.flush());
        let mut queue = lock(shared);
        queue.bytes = queue.bytes.saturating_sub(bytes.len());
        queue.closed = written.is_err();
        shared.1.notify_all();
        if queue.closed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_a_half_that_does_not_read_and_nothing_is_lost_or_turned_round() {
        let (mut from, to) = std::io::pipe().unwrap();
        let teller = Teller::of(to).unwrap();
        let digest = |n: usize| format!("{n}:{}", "x".repeat(1024 * 1024));
        // Nobody reads yet: it comes to an end by itself, and soon.
        let told =
            (0..).take_while(|n| teller.tell(&ToNet::Want { digest: digest(*n) }, Duration::ZERO).is_ok()).count();
        assert!((30..40).contains(&told), "{told}");
        let said = teller.tell(&ToNet::Stop, Duration::ZERO).unwrap_err().to_string();
        assert!(said.contains("does not read"), "{said}");
        let read = std::thread::spawn(move || {
            for n in 0..told {
                assert_eq!(frame::read::<ToNet>(&mut from).unwrap(), ToNet::Want { digest: digest(n) });
            }
            assert_eq!(frame::read::<ToNet>(&mut from).unwrap(), ToNet::Stop);
        });
        teller.tell(&ToNet::Stop, Duration::from_secs(60)).unwrap();
        read.join().unwrap();
        // The reader is gone: that is found out by the thread, and told to whoever tells something after that.
        let broke = (0..1000).any(|_| {
            std::thread::yield_now();
            matches!(teller.tell(&ToNet::Want { digest: digest(0) }, Duration::from_secs(60)), Err(FrameError::Closed))
        });
        assert!(broke);
    }
}
