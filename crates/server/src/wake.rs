//! "Something changed": lets a loop or a long poll go on at once instead of waiting for its timer.
//!
//! A wake-up is a hint inside one process and may be lost; whoever waits also has a timer, looks at the database, and
//! never trusts the hint. Replicas do not wake each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// What changed: a kind of record, and which one where it matters.
pub type Topic = (&'static str, i64);

/// How many topics may be remembered before those without listeners are swept.
const TOPICS_SWEPT_ABOVE: usize = 1024;

/// The in-process bus.
#[derive(Clone, Default, Debug)]
pub struct Wake(Arc<Mutex<Topics>>);

#[derive(Default, Debug)]
struct Topics {
    known: HashMap<Topic, watch::Sender<()>>,
    /// Topics that had listeners when they were swept last.
    swept: usize,
}

/// One listener's place on the bus. Changes between two waits are not missed.
#[derive(Debug)]
pub struct Listener(watch::Receiver<()>);

impl Wake {
    /// Tell everybody who listens to `kind` as a whole, and to this record of it.
    pub fn notify(&self, kind: &'static str, record: i64) {
        let topics = self.0.lock().expect("nobody panics while holding the lock");
        for topic in [(kind, 0), (kind, record)] {
            if let Some(sender) = topics.known.get(&topic) {
                sender.send_replace(());
            }
        }
    }

    /// Tell everybody who listens to any record of `kind`.
    pub fn notify_all(&self, kind: &'static str) {
        let topics = self.0.lock().expect("nobody panics while holding the lock");
        for (_, sender) in topics.known.iter().filter(|((of, _), _)| *of == kind) {
            sender.send_replace(());
        }
    }

    /// Listen to changes of one record of a kind; record 0 means any.
    pub fn listen(&self, kind: &'static str, record: i64) -> Listener {
        let mut topics = self.0.lock().expect("nobody panics while holding the lock");
        // Twice as many as had listeners: else every listener of a large fleet would look at all others.
        if topics.known.len() > TOPICS_SWEPT_ABOVE.max(2 * topics.swept) {
            topics.known.retain(|_, sender| sender.receiver_count() > 0);
            topics.swept = topics.known.len();
        }
        Listener(topics.known.entry((kind, record)).or_default().subscribe())
    }
}

impl Listener {
    /// Wait for the next change, or until `timeout`; true when there was a change.
    pub async fn changed_within(&mut self, timeout: Duration) -> bool {
        matches!(tokio::time::timeout(timeout, self.changed()).await, Ok(()))
    }

    /// Wait for the next change.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // Swept while nobody else held the bus: nothing will ever come.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_reaches_the_listeners_of_the_record_and_of_the_kind() {
        let wake = Wake::default();
        let (mut any, mut one, mut other) = (wake.listen("job", 0), wake.listen("job", 7), wake.listen("job", 8));
        wake.notify("job", 7);
        assert!(any.changed_within(Duration::from_millis(1)).await);
        assert!(one.changed_within(Duration::from_millis(1)).await);
        assert!(!other.changed_within(Duration::from_millis(1)).await);
        assert!(!one.changed_within(Duration::from_millis(1)).await, "once told, once woken");
    }

    #[tokio::test]
    async fn topics_without_listeners_are_swept_and_those_with_some_are_not() {
        let wake = Wake::default();
        let known = || wake.0.lock().unwrap().known.len();
        let many = i64::try_from(TOPICS_SWEPT_ABOVE).unwrap();
        let mut kept: Vec<Listener> = (1..=2 * many).map(|record| wake.listen("agent", record)).collect();
        for record in 1..=10 * many {
            wake.listen("job", record);
        }
        assert!(known() <= 2 * kept.len() + 1, "{}", known());
        wake.notify("agent", 7);
        assert!(kept[6].changed_within(Duration::from_millis(1)).await);
    }
}
