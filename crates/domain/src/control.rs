//! Controls after the job: what a check of the host means for one, how often a drifted one is put back, when one expires.
//!
//! Design, section 5: a drifted, expired or reverted control puts the score back at once. What takes off points is
//! `score`'s; who put a control in place is settled by orders alone and never raised by a check.

use crate::mitigation::{ControlState, Origin};
use crate::refusal::Refusal;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Seconds between two times that a drifted control is put back by itself: a quarter of an hour.
pub const REAPPLY_SECONDS_MIN: i64 = 15 * 60;
/// Seconds in which [`REAPPLY_MAX`] counts: a day.
pub const REAPPLY_WINDOW_SECONDS: i64 = 24 * 3600;
/// Times in a window that a drifted control is put back by itself; after that it flaps, and a person has to look.
pub const REAPPLY_MAX: i64 = 3;
/// Seconds between two mails about the same control drifting.
pub const TELL_SECONDS: i64 = 24 * 3600;
/// Seconds that what has expired waits for more of its job to expire, so that one rollback takes back all of it: an hour.
pub const GATHER_SECONDS: i64 = 3600;
/// Seconds after which people are told of a rollback that failed although others of the same job are not over: a quarter of an hour.
pub const SETTLE_SECONDS: i64 = 15 * 60;
/// Seconds after its last look at a control after which an agent that is heard does not look at it any more, as far as anybody can see:
/// a fortnight, twice the longest time between two looks.
pub const UNWATCHED_SECONDS: i64 = 14 * 24 * 3600;
/// What people have to know before they take back what the scanner calls fixed, where the mitigation itself may be why: scanners
/// judge many vulnerabilities by the very behaviour that a mitigation changes (the algorithms that an SSH server offers, say),
/// and neither the catalogue nor the knowledge base tells which.
pub const OURS_MAYBE: &str = "the mitigation itself may be why, because it was there before the scanner stopped seeing this; rolled \
                              back, the asset may be exposed again, so make sure that it was patched";
/// Days after which a mitigation can be made to expire, at most: ten years.
pub const EXPIRES_DAYS_MAX: i64 = 3_650;

/// A control as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// State.
    pub state: ControlState,
    /// Who put it there.
    pub origin: Origin,
}

/// What a check says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// What was found.
    pub state: ControlState,
    /// The agent's journal holds a change of ours for it.
    pub held: bool,
}

/// What a check made of a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// Nothing new.
    Same,
    /// It was in force and somebody changed it.
    Drifted,
    /// It was taken back on the host by its owner.
    TakenBack,
    /// It is in force, which it was not before.
    InForce,
    /// It is written, but waits for a restart.
    Waiting,
    /// It cannot be told any more.
    Lost,
    /// What it protected is not there any more.
    NotHere,
    /// It is not in place and was not before.
    Absent,
}

/// The control after a check of its own host.
///
/// A check never makes a control ours: only the result of an order does. One of ours that the agent no longer holds and
/// that is in place all the same belongs to others from now on, the side on which nothing is taken back.
#[must_use]
pub fn checked(known: Known, said: Said) -> (Known, Turn) {
    use ControlState::{Configured, Drifted, Effective, Exposed, NotApplicable, Unknown};
    let was_in_force = matches!(known.state, Effective | Configured | Drifted);
    let ours = known.origin == Origin::Ours;
    let state = match said.state {
        Drifted | Exposed if was_in_force && (said.held || !ours) => Drifted,
        Drifted if said.held => Drifted,
        Drifted | Exposed => Exposed,
        other => other,
    };
    let in_place = matches!(state, Effective | Configured);
    let origin = if ours && in_place && !said.held { Origin::External } else { known.origin };
    let turn = match (known.state == state, state) {
        (true, _) => Turn::Same,
        (_, Drifted) => Turn::Drifted,
        (_, Exposed) if was_in_force && ours => Turn::TakenBack,
        (_, Exposed) => Turn::Absent,
        (_, Effective) => Turn::InForce,
        (_, Configured) => Turn::Waiting,
        (_, Unknown) => Turn::Lost,
        (_, NotApplicable) => Turn::NotHere,
    };
    (Known { state, origin }, turn)
}

impl Turn {
    /// For the history, after the entry's name.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Turn::Same => "as before",
            Turn::Drifted => "was changed by somebody",
            Turn::TakenBack => "was taken back on the host",
            Turn::InForce => "is in force",
            Turn::Waiting => "waits for a restart",
            Turn::Lost => "cannot be checked any more",
            Turn::NotHere => "has nothing to protect any more",
            Turn::Absent => "is not in place",
        }
    }
}

/// Whether nobody looks at a control any more that was last looked at then: no agent in force is on its asset, or each one was heard
/// [`UNWATCHED_SECONDS`] later and said nothing of it. A host that is away is waited for: what it said last counts until its agent is
/// retired.
#[must_use]
pub fn unwatched(looked: Timestamp, heard: &[Timestamp]) -> bool {
    heard.iter().all(|heard| *heard > looked.plus_seconds(UNWATCHED_SECONDS))
}

/// What is done about a drifted control of a standing job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Put it back now.
    Now,
    /// Not before this instant.
    NotBefore(Timestamp),
    /// It was put back too often already: it flaps, and something on the host works against it.
    Flaps,
}

/// How often a control was put back by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutBack {
    /// The last time.
    pub last_at: Option<Timestamp>,
    /// The first time of the present window.
    pub window_at: Option<Timestamp>,
    /// How often since then.
    pub times: i64,
}

/// What [`PutBack::again`] allows now, as bounds that a query can ask for: the last time was not after `last_by`, and there were
/// fewer than `times_below` times or the window began not after `window_by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The last time at the latest.
    pub last_by: Timestamp,
    /// A window that began then is over.
    pub window_by: Timestamp,
    /// Fewer times than that in a window that is not.
    pub times_below: i64,
}

impl PutBack {
    /// The bounds of what is put back now.
    #[must_use]
    pub fn bounds(now: Timestamp) -> Bounds {
        Bounds {
            last_by: now.plus_seconds(-REAPPLY_SECONDS_MIN),
            window_by: now.plus_seconds(-REAPPLY_WINDOW_SECONDS),
            times_below: REAPPLY_MAX,
        }
    }

    /// Whether a drifted control is put back now: at most [`REAPPLY_MAX`] times a day, [`REAPPLY_SECONDS_MIN`] apart.
    #[must_use]
    pub fn again(self, now: Timestamp) -> Again {
        if let Some(last) = self.last_at
            && now < last.plus_seconds(REAPPLY_SECONDS_MIN)
        {
            return Again::NotBefore(last.plus_seconds(REAPPLY_SECONDS_MIN));
        }
        if self.in_window(now) >= REAPPLY_MAX { Again::Flaps } else { Again::Now }
    }

    /// The count after it was put back once more.
    #[must_use]
    pub fn once_more(self, now: Timestamp) -> PutBack {
        let times = self.in_window(now);
        let window_at = if times == 0 { Some(now) } else { self.window_at };
        PutBack { last_at: Some(now), window_at, times: times + 1 }
    }

    fn in_window(self, now: Timestamp) -> i64 {
        let open = self.window_at.is_some_and(|from| now < from.plus_seconds(REAPPLY_WINDOW_SECONDS));
        if open { self.times } else { 0 }
    }
}

/// What a job says of the time after it: when what it puts in place expires, and when somebody should look at it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Afterwards {
    /// Each control expires so many days after it was put in place.
    pub expires_days: Option<i64>,
    /// Every control expires at this instant.
    pub expires_at: Option<Timestamp>,
    /// At expiry the rollback job is made and enabled; else it is only proposed.
    pub roll_back: bool,
    /// When somebody should look whether the job is still wanted.
    pub review_at: Option<Timestamp>,
}

impl Afterwards {
    /// When a control that was put in place at `applied` expires: the earlier of the two.
    #[must_use]
    pub fn expiry(&self, applied: Timestamp) -> Option<Timestamp> {
        let by_days = self.expires_days.map(|days| applied.plus_seconds(days.clamp(1, EXPIRES_DAYS_MAX) * 86_400));
        match (by_days, self.expires_at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// For a copy of its job: dates that are over already are left out, or what the copy puts in place would expire at once.
    #[must_use]
    pub fn ahead(&self, now: Timestamp) -> Afterwards {
        let ahead = |at: &Timestamp| *at > now;
        Afterwards {
            expires_at: self.expires_at.filter(ahead),
            review_at: self.review_at.filter(ahead),
            ..self.clone()
        }
    }

    /// Check it before it is stored.
    ///
    /// # Errors
    /// `bad_expiry`, `expiry_past`, `expiry_twice` or `review_past`, with the field in [`Refusal::sentence`]'s words.
    pub fn validate(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.expires_days.is_some() && self.expires_at.is_some() {
            return Err(Refusal::new("expiry_twice", "a mitigation expires after some days or at a date, not both"));
        }
        if self.expires_days.is_some_and(|days| !(1..=EXPIRES_DAYS_MAX).contains(&days)) {
            let sentence = format!("a mitigation expires after 1 to {EXPIRES_DAYS_MAX} days");
            return Err(Refusal::new("bad_expiry", sentence));
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            return Err(Refusal::new("expiry_past", "the date of expiry is over already"));
        }
        if self.review_at.is_some_and(|at| at <= now) {
            return Err(Refusal::new("review_past", "the date of the review is over already"));
        }
        Ok(())
    }
}

/// Why a rollback is proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The scanner says Fixed for every item that the control covers on its asset.
    Fixed,
    /// The control's time is over.
    Expired,
}

impl Reason {
    /// Every word.
    pub const WORDS: &'static [&'static str] = &["fixed", "expired"];

    /// The word used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Fixed => "fixed",
            Reason::Expired => "expired",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Reason::Fixed, Reason::Expired].into_iter().find(|reason| reason.as_str() == word)
    }
}

/// Where a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Nobody has decided.
    Open,
    /// A rollback job was made of it.
    Accepted,
    /// Somebody does not want it, and said why.
    Dismissed,
    /// What it was proposed for is not so any more.
    Obsolete,
}

impl Standing {
    /// Every word.
    pub const WORDS: &'static [&'static str] = &["open", "accepted", "dismissed", "obsolete"];
    const ALL: [Standing; 4] = [Standing::Open, Standing::Accepted, Standing::Dismissed, Standing::Obsolete];

    /// The word used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Open => "open",
            Standing::Accepted => "accepted",
            Standing::Dismissed => "dismissed",
            Standing::Obsolete => "obsolete",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == word)
    }

    /// Whether somebody may still decide.
    ///
    /// # Errors
    /// `proposal_decided` where it is decided or obsolete.
    pub fn decidable(self) -> Result<(), Refusal> {
        match self {
            Standing::Open => Ok(()),
            _ => {
                let sentence = format!("the proposal is {} already; load it again", self.as_str());
                Err(Refusal::new("proposal_decided", sentence))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATES: [ControlState; 6] = [
        ControlState::NotApplicable,
        ControlState::Exposed,
        ControlState::Configured,
        ControlState::Effective,
        ControlState::Drifted,
        ControlState::Unknown,
    ];

    #[test]
    fn checks_by_table() {
        use ControlState::{Configured, Drifted, Effective, Exposed, NotApplicable, Unknown};
        use Origin::{External, Ours};
        for (state, origin, said, held, expected, whose, turn) in [
            (Effective, Ours, Effective, true, Effective, Ours, Turn::Same),
            (Effective, Ours, Drifted, true, Drifted, Ours, Turn::Drifted),
            (Configured, Ours, Effective, true, Effective, Ours, Turn::InForce),
            (Configured, Ours, Drifted, true, Drifted, Ours, Turn::Drifted),
            (Drifted, Ours, Effective, true, Effective, Ours, Turn::InForce),
            (Effective, Ours, Exposed, false, Exposed, Ours, Turn::TakenBack),
            (Effective, Ours, Effective, false, Effective, External, Turn::Same),
            (Effective, External, Exposed, false, Drifted, External, Turn::Drifted),
            (Drifted, External, Exposed, false, Drifted, External, Turn::Same),
            (Drifted, External, Effective, false, Effective, External, Turn::InForce),
            (Exposed, External, Exposed, false, Exposed, External, Turn::Same),
            (Exposed, Ours, Drifted, false, Exposed, Ours, Turn::Same),
            (Exposed, Ours, Effective, false, Effective, External, Turn::InForce),
            (Exposed, External, Effective, true, Effective, External, Turn::InForce),
            (Effective, Ours, Unknown, true, Unknown, Ours, Turn::Lost),
            (Unknown, Ours, Drifted, true, Drifted, Ours, Turn::Drifted),
            (Effective, Ours, NotApplicable, true, NotApplicable, Ours, Turn::NotHere),
            (Effective, Ours, Configured, true, Configured, Ours, Turn::Waiting),
        ] {
            let after = checked(Known { state, origin }, Said { state: said, held });
            let expected = (Known { state: expected, origin: whose }, turn);
            assert_eq!(after, expected, "{state:?} {origin:?} heard {said:?} held={held}");
        }
    }

    #[test]
    fn who_looks_at_a_control_by_table() {
        let at = |days: i64| Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(days * 86_400);
        for (heard, expected) in [
            (vec![], true),
            (vec![at(-40)], false),
            (vec![at(14)], false),
            (vec![at(14).plus_seconds(1)], true),
            (vec![at(40), at(3)], false),
        ] {
            assert_eq!(unwatched(at(0), &heard), expected, "{heard:?}");
        }
        // What nobody looked at counts again as soon as its host says what it is.
        let known = Known { state: ControlState::Unknown, origin: Origin::Ours };
        let said = Said { state: ControlState::Effective, held: true };
        let again = Known { state: ControlState::Effective, origin: Origin::Ours };
        assert_eq!(checked(known, said), (again, Turn::InForce));
    }

    #[test]
    fn a_flapping_control_is_put_back_three_times_a_day_and_not_in_a_row() {
        let at = |seconds| Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds);
        let mut back = PutBack::default();
        for turn in 0..REAPPLY_MAX {
            assert_eq!(back.again(at(turn * REAPPLY_SECONDS_MIN)), Again::Now);
            back = back.once_more(at(turn * REAPPLY_SECONDS_MIN));
            let soon = back.again(at(turn * REAPPLY_SECONDS_MIN + 1));
            assert_eq!(soon, Again::NotBefore(at((turn + 1) * REAPPLY_SECONDS_MIN)));
        }
        assert_eq!(back.again(at(3 * REAPPLY_SECONDS_MIN)), Again::Flaps);
        assert_eq!(back.again(at(REAPPLY_WINDOW_SECONDS - 1)), Again::Flaps);
        assert_eq!(back.again(at(REAPPLY_WINDOW_SECONDS)), Again::Now, "another day, another try");
        assert_eq!(back.once_more(at(REAPPLY_WINDOW_SECONDS)).times, 1);
    }

    #[test]
    fn a_copy_takes_over_what_lies_ahead() {
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        let after =
            Afterwards { expires_days: Some(3), expires_at: Some(at(10)), roll_back: true, review_at: Some(at(20)) };
        assert_eq!(after.ahead(at(9)), after);
        assert_eq!(after.ahead(at(10)), Afterwards { expires_at: None, ..after.clone() });
        assert_eq!(after.ahead(at(20)), Afterwards { expires_at: None, review_at: None, ..after });
    }

    #[test]
    fn expiry_counts_from_when_it_was_put_there() {
        let at = |days: i64| Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(days * 86_400);
        let days = Afterwards { expires_days: Some(30), ..Afterwards::default() };
        assert_eq!(days.expiry(at(5)), Some(at(35)));
        let date = Afterwards { expires_at: Some(at(10)), ..Afterwards::default() };
        assert_eq!(date.expiry(at(5)), Some(at(10)));
        assert_eq!(Afterwards::default().expiry(at(5)), None);
        for (after, code) in [
            (Afterwards { expires_days: Some(0), ..Afterwards::default() }, "bad_expiry"),
            (Afterwards { expires_days: Some(EXPIRES_DAYS_MAX + 1), ..Afterwards::default() }, "bad_expiry"),
            (Afterwards { expires_at: Some(at(1)), ..days.clone() }, "expiry_twice"),
            (Afterwards { expires_at: Some(at(0)), ..Afterwards::default() }, "expiry_past"),
            (Afterwards { review_at: Some(at(-1)), ..Afterwards::default() }, "review_past"),
        ] {
            assert_eq!(after.validate(at(0)).unwrap_err().code, code);
        }
        assert!(days.validate(at(0)).is_ok() && date.validate(at(0)).is_ok());
    }

    proptest! {
        #[test]
        fn no_check_makes_a_control_ours_and_repeating_it_changes_nothing(
            state in 0usize..6, ours in any::<bool>(), said in 0usize..6, held in any::<bool>(),
        ) {
            let origin = if ours { Origin::Ours } else { Origin::External };
            let known = Known { state: STATES[state], origin };
            let said = Said { state: STATES[said], held };
            let (after, _) = checked(known, said);
            prop_assert!(ours || after.origin == Origin::External);
            prop_assert_eq!(checked(after, said), (after, Turn::Same));
        }

        #[test]
        fn the_bounds_of_a_query_say_the_same(
            last in proptest::option::of(0i64..200_000), window in proptest::option::of(0i64..200_000), times in 0i64..6,
            edge in 0usize..3,
        ) {
            let at = |seconds| Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds);
            let back = PutBack { last_at: last.map(at), window_at: window.map(at), times };
            // At each instant where the answer can turn, too.
            let now = match (edge, last, window) {
                (1, Some(last), _) => at(last + REAPPLY_SECONDS_MIN),
                (2, _, Some(window)) => at(window + REAPPLY_WINDOW_SECONDS),
                _ => at(200_000),
            };
            let bounds = PutBack::bounds(now);
            let asked = back.last_at.is_none_or(|last| last <= bounds.last_by)
                && (times < bounds.times_below || back.window_at.is_none_or(|from| from <= bounds.window_by));
            prop_assert_eq!(asked, back.again(now) == Again::Now);
        }

        #[test]
        fn never_more_than_the_bound_in_any_window(steps in proptest::collection::vec(0i64..20_000, 0..60)) {
            let mut now = Timestamp::from_micros(1_790_000_000_000_000);
            let (mut back, mut times) = (PutBack::default(), Vec::new());
            for step in steps {
                now = now.plus_seconds(step);
                if back.again(now) == Again::Now {
                    back = back.once_more(now);
                    times.push(now);
                }
            }
            for pair in times.windows(2) {
                prop_assert!(pair[1].seconds_since(pair[0]) >= REAPPLY_SECONDS_MIN);
            }
        }
    }
}
