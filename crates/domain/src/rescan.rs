//! The rescan: who may be scanned, how a request is split, what a child goes through, and what was found.
//!
//! Design section 7; `vulnerability-response.md` section 1; S2.01 to S2.20. Launching, polling and pulling are
//! done in the server; here is every decision of it.

use crate::id::{InstanceId, ItemId, SourceHostId};
use crate::refusal::Refusal;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

mod join;
mod permit;
mod place;
mod queue;
mod retry;
mod verdict;

pub use join::{CallOff, Leaving, Waiting, call_off, coalesce};
pub use permit::{DefaultProfile, PRODUCT, Situation, permitted, unscannable};
pub use place::{Appliance, EXTERNAL, Place, Why, choose, chosen};
pub use queue::{Line, Policy, Turn, Waits};
pub use retry::{RETRIES_MAX, Retry, may_retry};
pub use verdict::{Evidence, Verdict, judge};

/// Addresses in one child at most.
pub const ADDRESSES_MAX: usize = 500;
/// Tracking period, in hours, unless the instance says otherwise.
pub const TRACKING_HOURS: i64 = 24;
/// First and longest pause between two looks at a running scan, in seconds.
pub const POLL_SECONDS: (i64, i64) = (60, 300);
/// How long a launch whose answer was lost is searched for by its title before it is sent again, in seconds.
pub const LAUNCH_SEARCH_SECONDS: i64 = 120;
/// How long after the tracking period a scan that ends after all is still taken in, in days (design section 7).
pub const ADOPTION_DAYS: i64 = 7;
/// Items in one request at most.
pub const ITEMS_MAX: usize = 10_000;

/// State of a rescan request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waiting for its first launch.
    Queued,
    /// A child runs.
    Scanning,
    /// Every child is complete.
    Complete,
    /// A child ended in an error, none timed out.
    Error,
    /// Tracking ended before the scan did (S2.18, S2.19).
    TimedOut,
    /// Cancelled by a person.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [State; 6] =
        [State::Queued, State::Scanning, State::Complete, State::Error, State::TimedOut, State::Cancelled];

    /// The word used in the database, the API and the query language.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Scanning => "scanning",
            State::Complete => "complete",
            State::Error => "error",
            State::TimedOut => "timed_out",
            State::Cancelled => "cancelled",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// State of one launch at the scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Child {
    /// To be launched.
    Planned,
    /// The intent is durable, the answer is not: a restart searches by title before it launches again.
    Launching,
    /// The scanner gave a reference.
    Running,
    /// The scanner says Finished; its results are being processed.
    Finished,
    /// Processed; the targeted pull runs.
    Pulling,
    /// Pulled and judged.
    Complete,
    /// The launch or the scan failed.
    Error,
    /// Tracking ended; the scan itself goes on.
    TimedOut,
    /// Cancelled.
    Cancelled,
}

impl Child {
    /// Every state.
    pub const ALL: [Child; 9] = [
        Child::Planned,
        Child::Launching,
        Child::Running,
        Child::Finished,
        Child::Pulling,
        Child::Complete,
        Child::Error,
        Child::TimedOut,
        Child::Cancelled,
    ];

    /// The word used in the database, the API and the query language.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Child::Planned => "planned",
            Child::Launching => "launching",
            Child::Running => "running",
            Child::Finished => "finished",
            Child::Pulling => "pulling",
            Child::Complete => "complete",
            Child::Error => "error",
            Child::TimedOut => "timed_out",
            Child::Cancelled => "cancelled",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Nothing more will happen to it.
    #[must_use]
    pub fn ended(self) -> bool {
        matches!(self, Child::Complete | Child::Error | Child::TimedOut | Child::Cancelled)
    }
}

/// What the scanner says of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Queued, running, paused or loading.
    Going,
    /// Finished; are the results processed?
    Finished {
        /// The detections are current.
        processed: bool,
    },
    /// Cancelled at the scanner.
    Cancelled,
    /// Ended with an error.
    Error,
    /// Not in the scanner's list.
    Absent,
}

/// What the scanner says of a launch that it has several times: it has ended once all have, well where one did, and its
/// results are there once those of all that finished are.
#[must_use]
pub fn together(told: &[Told]) -> Told {
    let any = |wanted: Told| told.contains(&wanted);
    if told.is_empty() {
        Told::Absent
    } else if any(Told::Going) {
        Told::Going
    } else if any(Told::Finished { processed: false }) {
        Told::Finished { processed: false }
    } else if any(Told::Finished { processed: true }) {
        Told::Finished { processed: true }
    } else if any(Told::Cancelled) {
        Told::Cancelled
    } else {
        Told::Error
    }
}

/// How long the results of a scan that was cancelled at the scanner are waited for, in seconds.
pub const CUT_SECONDS: i64 = 3_600;

/// What becomes of a scan that was cancelled at the scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// What it found by then may still be processed.
    Wait,
    /// It is: it is taken in.
    Pull,
    /// Nothing came.
    End,
}

/// What becomes of a scan that was first seen cancelled at `seen_at`: what it found by then counts, once it is processed.
#[must_use]
pub fn cut(processed: bool, seen_at: Timestamp, now: Timestamp) -> Cut {
    match processed {
        true => Cut::Pull,
        false if now < seen_at.plus_seconds(CUT_SECONDS) => Cut::Wait,
        false => Cut::End,
    }
}

/// What happens to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The intent to launch is durable.
    Launching,
    /// The scanner gave a reference, or the title search found one.
    Launched,
    /// The scanner refused the launch for good.
    LaunchRefused,
    /// The title search found nothing and the search time is over: launch again.
    NotLaunched,
    /// A look at the scan.
    Looked(Told),
    /// The targeted pull is imported and judged.
    Pulled,
    /// The targeted pull failed for good.
    PullFailed,
    /// The tracking period is over.
    TrackingEnded,
    /// A scan whose tracking had ended is seen finished and processed after all.
    Adopted,
    /// A person cancels.
    Cancel,
}

/// A child after an event. What changes nothing gives the same state; ended states absorb, but a scan that ends after
/// its tracking did is adopted. A pull under way is not timed out: the scan has ended in time.
#[must_use]
pub fn step(child: Child, event: Event) -> Child {
    match (child, event) {
        (Child::TimedOut, Event::Adopted) => Child::Pulling,
        (child, _) if child.ended() => child,
        (_, Event::Cancel) => Child::Cancelled,
        (Child::Pulling, Event::TrackingEnded) => Child::Pulling,
        (_, Event::TrackingEnded) => Child::TimedOut,
        (Child::Planned, Event::Launching) => Child::Launching,
        (Child::Launching, Event::Launched) => Child::Running,
        (Child::Launching, Event::NotLaunched) => Child::Planned,
        (Child::Planned | Child::Launching, Event::LaunchRefused) => Child::Error,
        (Child::Running, Event::Looked(Told::Finished { processed: false })) => Child::Finished,
        (Child::Running | Child::Finished, Event::Looked(Told::Finished { processed: true })) => Child::Pulling,
        (Child::Running | Child::Finished, Event::Looked(Told::Cancelled)) => Child::Cancelled,
        (Child::Running | Child::Finished, Event::Looked(Told::Error | Told::Absent)) => Child::Error,
        (Child::Pulling, Event::Pulled) => Child::Complete,
        (Child::Pulling, Event::PullFailed) => Child::Error,
        (child, _) => child,
    }
}

/// The parent's state from its children's: when all are complete the parent is (S2.16).
#[must_use]
pub fn parent(children: &[Child]) -> State {
    let any = |state| children.contains(&state);
    if children.iter().all(|child| child.ended()) {
        if any(Child::TimedOut) {
            State::TimedOut
        } else if any(Child::Error) {
            State::Error
        } else if any(Child::Cancelled) {
            State::Cancelled
        } else {
            State::Complete
        }
    } else if children.iter().all(|child| matches!(child, Child::Planned | Child::Launching)) {
        State::Queued
    } else {
        State::Scanning
    }
}

/// How often a running scan is looked at, and how long a lost launch is searched for. A setting; tests and the demo
/// are in more of a hurry than people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// Pause before the first look, in seconds.
    pub first_seconds: i64,
    /// Longest pause between two looks, in seconds.
    pub longest_seconds: i64,
    /// How long a launch whose answer was lost is searched for by its title, in seconds.
    pub search_seconds: i64,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { first_seconds: POLL_SECONDS.0, longest_seconds: POLL_SECONDS.1, search_seconds: LAUNCH_SEARCH_SECONDS }
    }
}

impl Pace {
    /// Is this a pace that can be kept?
    ///
    /// # Errors
    /// `pace_out_of_range`.
    pub fn validate(self) -> Result<(), Refusal> {
        let good = (1..=3_600).contains(&self.first_seconds)
            && (self.first_seconds..=3_600).contains(&self.longest_seconds)
            && (1..=3_600).contains(&self.search_seconds);
        if good {
            return Ok(());
        }
        Err(Refusal::new(
            "pace_out_of_range",
            "seconds lie between 1 and 3600, and the longest pause is not below the first",
        ))
    }

    /// Seconds until the next look after `looks` ones: the first pause, growing by half each time, up to the longest.
    #[must_use]
    pub fn next_look_seconds(self, looks: u32) -> i64 {
        let first = self.first_seconds.max(1);
        let grown = (0..looks.min(30)).fold(first, |pause, _| (pause + pause.div_euclid(2).max(1)).min(7_200));
        grown.min(self.longest_seconds.max(first))
    }
}

/// Does a scan of this title come from the launch of this key? The last word of a key is unique for ever; a platform may
/// trim or rewrite what stands around it, and a launch that is not found again would be sent twice.
#[must_use]
pub fn titled(title: &str, request_key: &str) -> bool {
    request_key.split_whitespace().next_back().is_some_and(|unique| title.contains(unique))
}

/// Is the tracking period over?
#[must_use]
pub fn tracking_ended(until: Timestamp, now: Timestamp) -> bool {
    now >= until
}

/// Something to look at: one item on one source host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The item.
    pub item: ItemId,
    /// The host as the scanner knows it.
    pub source_host: SourceHostId,
    /// Its subscription.
    pub instance: InstanceId,
    /// The scanner's network, empty without networks.
    pub network: String,
    /// The appliance that serves it; `External` for the scanner's own.
    pub appliance: String,
    /// Key of the option profile to use.
    pub profile: String,
    /// Address to point the scanner at.
    pub address: String,
}

/// One launch: everything that one call to the scanner can carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Subscription.
    pub instance: InstanceId,
    /// Appliance.
    pub appliance: String,
    /// Network.
    pub network: String,
    /// Option profile.
    pub profile: String,
    /// Addresses, at most [`ADDRESSES_MAX`], each once.
    pub addresses: Vec<String>,
    /// What is looked at.
    pub targets: Vec<(ItemId, SourceHostId)>,
}

/// Split a request: one launch per instance, appliance, network and profile, at most [`ADDRESSES_MAX`] addresses.
#[must_use]
pub fn plan(targets: &[Target]) -> Vec<Launch> {
    type ByAddress<'a> = BTreeMap<&'a str, BTreeSet<(ItemId, SourceHostId)>>;
    let mut groups: BTreeMap<(InstanceId, &str, &str, &str), ByAddress<'_>> = BTreeMap::new();
    for target in targets {
        let key = (target.instance, target.appliance.as_str(), target.network.as_str(), target.profile.as_str());
        let group = groups.entry(key).or_default();
        group.entry(&target.address).or_default().insert((target.item, target.source_host));
    }
    let mut launches = Vec::new();
    for ((instance, appliance, network, profile), addresses) in groups {
        let addresses: Vec<_> = addresses.into_iter().collect();
        for chunk in addresses.chunks(ADDRESSES_MAX) {
            launches.push(Launch {
                instance,
                appliance: appliance.to_owned(),
                network: network.to_owned(),
                profile: profile.to_owned(),
                addresses: chunk.iter().map(|(address, _)| (*address).to_owned()).collect(),
                targets: chunk.iter().flat_map(|(_, targets)| targets.iter().copied()).collect(),
            });
        }
    }
    launches
}

#[cfg(test)]
mod tests;
