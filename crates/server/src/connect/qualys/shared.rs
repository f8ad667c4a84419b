//! What all clients of one subscription know together: its limits, its versions; and what one client has called.

use crate::connect::qualys::config::{Config, Endpoint, Versions};
use crate::connect::qualys::lane::{Lane, Quota};
use crate::connect::qualys::retry::RateHeaders;
use domain::time::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An end point whose version is gone, and the later one that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallen {
    /// The end point.
    pub endpoint: Endpoint,
    /// The version that was configured.
    pub from: u8,
    /// The version that answers.
    pub to: u8,
}

/// What a client has called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests sent, sign-ins among them.
    pub calls: u64,
    /// Calls that were made again, for whatever reason.
    pub retries: u64,
    /// Milliseconds spent waiting: for limits, for a turn, between tries.
    pub waited_ms: u64,
    /// Bytes of answers.
    pub bytes: u64,
}

/// Counts what becomes [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Tally {
    calls: AtomicU64,
    retries: AtomicU64,
    waited_ms: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    pub(crate) fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn waited(&self, from: Timestamp, until: Timestamp) {
        let millis = until.micros().saturating_sub(from.micros()) / 1_000;
        self.waited_ms.fetch_add(u64::try_from(millis).unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Stats {
        Stats {
            calls: self.calls.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            waited_ms: self.waited_ms.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    lanes: [(Endpoint, Lane); 11],
    versions: Mutex<Known>,
    learnt: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Known {
    /// In use.
    versions: Versions,
    fallen: Vec<Fallen>,
}

impl Shared {
    pub(crate) fn new(config: &Config) -> Shared {
        let lanes = Endpoint::ALL.map(|endpoint| {
            // The platform takes one call of the knowledge base at a time; short lists need no more.
            let several =
                matches!(endpoint, Endpoint::Detections | Endpoint::Hosts | Endpoint::ScanList | Endpoint::ScanControl);
            (endpoint, Lane::new(if several { config.calls_max } else { 1 }))
        });
        let known = Known { versions: config.versions.clone(), fallen: Vec::new() };
        Shared { lanes, versions: Mutex::new(known), learnt: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    pub(crate) fn lane(&self, endpoint: Endpoint) -> &Lane {
        let found = self.lanes.iter().find(|(known, _)| *known == endpoint);
        found.map(|(_, lane)| lane).expect("there is a lane for every end point")
    }

    pub(crate) fn learn(&self, endpoint: Endpoint, rate: &RateHeaders, now: Timestamp) {
        if self.lane(endpoint).learn(rate, now) {
            self.learnt.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn refused(&self, endpoint: Endpoint, words: &str, wait: Option<Duration>, now: Timestamp) {
        self.lane(endpoint).refuse(words, wait, now);
        self.learnt.fetch_add(1, Ordering::Relaxed);
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn quotas(&self) -> Vec<(Endpoint, Quota)> {
        self.lanes.iter().filter_map(|(endpoint, lane)| Some((*endpoint, lane.quota()?))).collect()
    }

    pub(crate) fn news(&self) -> (u64, u64) {
        (self.learnt.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    pub(crate) fn version(&self, endpoint: Endpoint) -> u8 {
        self.known().versions.get(endpoint)
    }

    /// Goes on to a later version than the one that was `used`; `false` where none is known: then the one it began with
    /// is in use again, because what answers nothing at all is more likely the wrong host than out of versions.
    pub(crate) fn later(&self, endpoint: Endpoint, used: u8, from: u8) -> bool {
        let mut known = self.known();
        if known.versions.get(endpoint) > used {
            // Another call went on meanwhile.
            return true;
        }
        match endpoint.later_versions(used).next() {
            Some(later) => {
                known.versions.set(endpoint, later);
                true
            }
            None => {
                known.versions.set(endpoint, from);
                false
            }
        }
    }

    /// A call got its answer, after the version `fell_from` was gone where that is given.
    pub(crate) fn arrived(&self, endpoint: Endpoint, fell_from: Option<u8>) {
        let Some(from) = fell_from else { return };
        let mut known = self.known();
        let to = known.versions.get(endpoint);
        if to > from && known.fallen.iter().all(|fallen| fallen.endpoint != endpoint || fallen.to < to) {
            let from =
                known.fallen.iter().find(|fallen| fallen.endpoint == endpoint).map_or(from, |fallen| fallen.from);
            known.fallen.retain(|fallen| fallen.endpoint != endpoint);
            known.fallen.push(Fallen { endpoint, from, to });
            drop(known);
            self.learnt.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn fallen(&self) -> Vec<Fallen> {
        self.known().fallen.clone()
    }

    pub(crate) fn fall(&self, fallen: Fallen) {
        let mut known = self.known();
        if known.versions.get(fallen.endpoint) == fallen.from && fallen.to > fallen.from {
            known.versions.set(fallen.endpoint, fallen.to);
            known.fallen.push(fallen);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
