//! The version of manifests and plans: looked at before anything else of them, because another version has other fields.

use serde::Deserialize;

/// The version of manifest and plan that this program reads.
pub const MANIFEST_VERSION: u32 = 2;

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

/// The version that a manifest or a plan names, whatever else it says; none for what is neither.
fn of(text: &[u8]) -> Option<u32> {
    serde_json::from_slice(text).ok().map(|Versioned { v }| v)
}

/// The version of a manifest or a plan that this program does not read.
pub(super) fn other(text: &[u8]) -> Option<u32> {
    of(text).filter(|v| *v != MANIFEST_VERSION)
}

/// Whether a manifest or a plan is of a version before the one that this program reads: nobody signs it any more.
#[must_use]
pub fn older(text: &str) -> bool {
    of(text.as_bytes()).is_some_and(|v| v < MANIFEST_VERSION)
}

/// What is said of another version, and what to do about it.
pub(super) fn sentence(v: u32) -> String {
    let what = if v < MANIFEST_VERSION {
        "a server of this version asks anew for what still waits for approval, so look at the newer request"
    } else {
        "update this program"
    };
    format!("it is of version {v}, and this program reads version {MANIFEST_VERSION}; {what}")
}
