//! Asking again for what came to nothing.

use crate::refusal::Refusal;

/// How often one request is asked again at most.
pub const RETRIES_MAX: i64 = 5;

/// What is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The scans that failed, were cancelled or are no longer tracked.
    Failed,
    /// What scans did not reach or did not test.
    Unreached,
}

impl Retry {
    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "failed" => Some(Retry::Failed),
            "unreached" => Some(Retry::Unreached),
            _ => None,
        }
    }
}

/// May a request be asked again for `targets` targets?
///
/// # Errors
/// `scan_open`, `nothing_to_retry`, `retries_used`.
pub fn may_retry(ended: bool, retries: i64, targets: usize) -> Result<(), Refusal> {
    if !ended {
        return Err(Refusal::new("scan_open", "the scan is still under way"));
    }
    if targets == 0 {
        return Err(Refusal::new("nothing_to_retry", "nothing of it came to nothing"));
    }
    if retries >= RETRIES_MAX {
        let why = format!("it was asked again {RETRIES_MAX} times already; ask for a new rescan");
        return Err(Refusal::new("retries_used", why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_by_table() {
        for (ended, retries, targets, code) in [
            (false, 0, 1, Some("scan_open")),
            (true, 0, 0, Some("nothing_to_retry")),
            (true, 4, 1, None),
            (true, 5, 1, Some("retries_used")),
        ] {
            let found = may_retry(ended, retries, targets).err().map(|refusal| refusal.code);
            assert_eq!(found, code, "{ended} {retries} {targets}");
        }
    }
}
