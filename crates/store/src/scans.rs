//! Rescan requests (`VSCAN0000001`): what was asked, the launches it was split into, and what each found.
//!
//! `domain::rescan` decides; the server talks to the scanner. A launch that has something to do carries the time of
//! it; a worker claims it for a while, and everything it saves is bound to that claim, so that a worker that slept
//! through its claim, or was overtaken by a person who cancels, changes nothing.

mod held;
mod list;
mod policy;
mod request;
mod requesters;
mod resolved;
mod retry;
mod work;

pub use held::{Holder, held_items, held_open};
pub use list::{
    ExcludedRow, FIELDS, LIST, ScanRow, TargetRow, VerdictCount, by_number, clip, excluded, targets, verdict_counts,
};
pub use policy::{CHANGED, Standing, policy, set_policy, standing};
pub use request::{
    Candidate, NewChild, NewExcluded, NewScan, NewTarget, addresses, assets, candidates, create, expected_seconds,
    open_items, open_scans,
};
pub use requesters::{Joined, RequesterRow, UnsentRow, add_targets, join, leave, requesters, unsent};
pub use resolved::{ResolvedRow, looked_at, resolved};
pub use retry::{RetryRow, retry, retryable};
pub use work::{
    ChildRow, Judged, SightingRow, UnscannedRow, children, claim, close_targets, judge, lookup_pairs, next_due, parent,
    release, renew, request_cancel, save, set_state, set_unscanned, sightings, unscanned,
};
