//! Approval by a second person: when it is asked for, who may give it, and what ends a request.
//!
//! From class 2 on agents themselves insist (`fleet-execution.md` 3.3, `design.md` 10), so the server may ask earlier, never
//! later. The signature and what it covers are `protocol::approval`; here is who may decide.

use crate::id::UserId;
use crate::refusal::Refusal;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The class from which agents refuse an order without an approval.
pub const CLASS_ENFORCED: u8 = 2;
/// The lowest class for which an approval can be asked: what only reads needs none.
pub const CLASS_MIN: u8 = 1;
/// How long after the last task is due an approval still holds, in days.
pub const DAYS: i64 = 7;
/// Characters of a reason.
pub const REASON_MAX: usize = 1_000;

/// From which class on a second person is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The class, 1 or 2.
    pub from_class: u8,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { from_class: CLASS_ENFORCED }
    }
}

impl Policy {
    /// Whether it can be set.
    ///
    /// # Errors
    /// `bad_class` outside of 1 and 2: agents insist from class 2 on.
    pub fn validate(self) -> Result<(), Refusal> {
        if (CLASS_MIN..=CLASS_ENFORCED).contains(&self.from_class) {
            return Ok(());
        }
        Err(Refusal::new(
            "bad_class",
            format!(
                "approval is asked from class {CLASS_MIN} or {CLASS_ENFORCED} on; agents refuse unapproved orders from class \
                 {CLASS_ENFORCED}, so it cannot be raised"
            ),
        ))
    }

    /// Whether an entry of this class needs a second person; what cannot be undone always does.
    #[must_use]
    pub fn asks(self, class: u8, reversible: bool) -> bool {
        !reversible || class >= self.from_class.clamp(CLASS_MIN, CLASS_ENFORCED)
    }
}

/// How a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has decided, or signatures are missing: the run waits.
    Pending,
    /// Signed by as many keys as the root demands: the run goes on.
    Approved,
    /// Somebody said no; the job is disabled.
    Rejected,
    /// The run it was for is gone, or its machines or content changed.
    Void,
    /// Nobody decided in time; the job is disabled.
    Expired,
}

impl State {
    /// Every state.
    pub const ALL: [State; 5] = [State::Pending, State::Approved, State::Rejected, State::Void, State::Expired];

    /// The word used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Approved => "approved",
            State::Rejected => "rejected",
            State::Void => "void",
            State::Expired => "expired",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A request as far as deciding it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// How it stands.
    pub state: State,
    /// Who enabled, owns or co-authors the job: none of them decides.
    pub authors: BTreeSet<UserId>,
    /// It ends then.
    pub valid_until: Timestamp,
}

/// What somebody decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// A signature is given; with it there are so many good ones of so many needed.
    Sign {
        /// Distinct keys that signed, this one among them.
        signatures: u32,
        /// The root's threshold.
        needed: u32,
    },
    /// No, and why.
    Reject {
        /// For the job's author.
        reason: &'a str,
    },
}

/// Whether this person may decide at all, whatever the decision.
///
/// # Errors
/// `approval_decided`, `approval_void`, `approval_expired`, `approval_own`.
pub fn may_decide(request: &Request, who: UserId, now: Timestamp) -> Result<(), Refusal> {
    let refuse = |code, sentence: &str| Err(Refusal::new(code, sentence));
    match request.state {
        State::Approved => refuse("approval_decided", "this request has been approved already"),
        State::Rejected => refuse("approval_decided", "this request has been rejected already"),
        State::Void => {
            refuse("approval_void", "the run this request was for is gone or has changed; a newer request counts")
        }
        State::Expired => refuse("approval_expired", "nobody decided in time; enable the job again to ask anew"),
        State::Pending if now >= request.valid_until => {
            refuse("approval_expired", "nobody decided in time; enable the job again to ask anew")
        }
        State::Pending if request.authors.contains(&who) => {
            refuse("approval_own", "who enabled, owns or co-authors a job does not decide on it; another person has to")
        }
        State::Pending => Ok(()),
    }
}

/// The state after a decision.
///
/// # Errors
/// As [`may_decide`]; `reason_missing` and `reason_long` for a rejection.
pub fn decide(request: &Request, who: UserId, decision: &Decision<'_>, now: Timestamp) -> Result<State, Refusal> {
    may_decide(request, who, now)?;
    match decision {
        Decision::Sign { signatures, needed } if *needed > 0 && signatures >= needed => Ok(State::Approved),
        Decision::Sign { .. } => Ok(State::Pending),
        Decision::Reject { reason } if reason.trim().is_empty() => {
            Err(Refusal::new("reason_missing", "say why it is rejected; the job's author reads it"))
        }
        Decision::Reject { reason } if reason.chars().count() > REASON_MAX => {
            Err(Refusal::new("reason_long", format!("a reason has at most {REASON_MAX} characters")))
        }
        Decision::Reject { .. } => Ok(State::Rejected),
    }
}

/// What becomes of a request by time alone.
#[must_use]
pub fn aged(state: State, valid_until: Timestamp, now: Timestamp) -> State {
    if state == State::Pending && now >= valid_until { State::Expired } else { state }
}

/// Until when the approval of a run holds whose tasks are due by `last_due`.
#[must_use]
pub fn valid_until(now: Timestamp, last_due: Timestamp) -> Timestamp {
    now.max(last_due).plus_seconds(DAYS * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AUTHOR: UserId = UserId(1);
    const OTHER: UserId = UserId(2);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(0).plus_seconds(seconds)
    }

    fn request(state: State) -> Request {
        Request { state, authors: BTreeSet::from([AUTHOR]), valid_until: at(100) }
    }

    #[test]
    fn decisions_by_table() {
        let one = Decision::Sign { signatures: 1, needed: 1 };
        let half = Decision::Sign { signatures: 1, needed: 2 };
        let no_threshold = Decision::Sign { signatures: 9, needed: 0 };
        let no = Decision::Reject { reason: "too wide" };
        let mute = Decision::Reject { reason: " \n" };
        for (state, who, decision, seconds, expected) in [
            (State::Pending, OTHER, &one, 0, Ok(State::Approved)),
            (State::Pending, OTHER, &half, 0, Ok(State::Pending)),
            (State::Pending, OTHER, &no_threshold, 0, Ok(State::Pending)),
            (State::Pending, OTHER, &no, 0, Ok(State::Rejected)),
            (State::Pending, OTHER, &mute, 0, Err("reason_missing")),
            (State::Pending, AUTHOR, &one, 0, Err("approval_own")),
            (State::Pending, AUTHOR, &no, 0, Err("approval_own")),
            (State::Pending, OTHER, &one, 99, Ok(State::Approved)),
            (State::Pending, OTHER, &one, 100, Err("approval_expired")),
            (State::Pending, AUTHOR, &one, 100, Err("approval_expired")),
            (State::Approved, OTHER, &one, 0, Err("approval_decided")),
            (State::Approved, OTHER, &no, 0, Err("approval_decided")),
            (State::Rejected, OTHER, &one, 0, Err("approval_decided")),
            (State::Void, OTHER, &one, 0, Err("approval_void")),
            (State::Void, AUTHOR, &no, 0, Err("approval_void")),
            (State::Expired, OTHER, &one, 0, Err("approval_expired")),
        ] {
            let found = decide(&request(state), who, decision, at(seconds)).map_err(|refusal| refusal.code);
            assert_eq!(found, expected, "{state:?} {who:?} {decision:?} at {seconds}");
        }
        let long = "x".repeat(REASON_MAX + 1);
        let found = decide(&request(State::Pending), OTHER, &Decision::Reject { reason: &long }, at(0));
        assert_eq!(found.unwrap_err().code, "reason_long");
    }

    #[test]
    fn a_second_person_is_asked_by_class_and_always_for_what_cannot_be_undone() {
        for (from_class, class, reversible, asks) in [
            (2, 0, true, false),
            (2, 1, true, false),
            (2, 2, true, true),
            (2, 4, false, true),
            (1, 0, true, false),
            (1, 1, true, true),
            (2, 1, false, true),
            // What somebody wrote into the database by hand is brought back within bounds.
            (9, 2, true, true),
            (0, 0, true, false),
        ] {
            assert_eq!(Policy { from_class }.asks(class, reversible), asks, "{from_class} {class} {reversible}");
        }
        assert!(Policy { from_class: 1 }.validate().is_ok() && Policy::default().validate().is_ok());
        for from_class in [0, 3, 4] {
            assert_eq!(Policy { from_class }.validate().unwrap_err().code, "bad_class");
        }
    }

    #[test]
    fn requests_end_by_time() {
        assert_eq!(aged(State::Pending, at(100), at(99)), State::Pending);
        assert_eq!(aged(State::Pending, at(100), at(100)), State::Expired);
        assert_eq!(aged(State::Approved, at(100), at(1000)), State::Approved);
        assert_eq!(valid_until(at(0), at(50)), at(50 + DAYS * 86_400));
        assert_eq!(valid_until(at(90), at(50)), at(90 + DAYS * 86_400));
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
    }

    proptest! {
        /// Nobody among the authors ever moves a request, and no request moves twice.
        #[test]
        fn authors_never_decide(who in 0i64..6, authors in proptest::collection::btree_set(0i64..6, 0..6),
                                state in 0usize..5, signatures in 0u32..4, needed in 0u32..4, seconds in 0i64..200) {
            let request = Request {
                state: State::ALL[state],
                authors: authors.iter().copied().map(UserId).collect(),
                valid_until: at(100),
            };
            for decision in [Decision::Sign { signatures, needed }, Decision::Reject { reason: "r" }] {
                let decided = decide(&request, UserId(who), &decision, at(seconds));
                if authors.contains(&who) || State::ALL[state] != State::Pending || seconds >= 100 {
                    prop_assert!(decided.is_err());
                } else if decided == Ok(State::Approved) {
                    prop_assert!(needed > 0 && signatures >= needed);
                }
            }
        }
    }
}
