//! Exceptions: requests to put items off for a time, or to call them false positives, and the one decision about each.
//!
//! The requester never decides. What a request does to its items is in [`crate::item`].

use crate::id::UserId;
use crate::item::Substate;
use crate::refusal::Refusal;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Items in one request at most.
pub const ITEMS_MAX: usize = 10_000;
/// Days ahead that an exception may hold at most, where nobody set it otherwise.
pub const DAYS_MAX: i64 = 366;
/// The most that this can be set to.
pub const DAYS_LONGEST: i64 = 3_650;
/// Days until a request that nobody answers lapses.
pub const ANSWER_DAYS: i64 = 30;
/// Characters of a note or an answer at most.
pub const NOTE_CHARS_MAX: usize = 2_000;
const DAY: i64 = 86_400;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// To be put off until a time.
    Deferral,
    /// To be closed, because the scanner is wrong.
    FalsePositive,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 2] = [Kind::Deferral, Kind::FalsePositive];
    /// Their words.
    pub const WORDS: &'static [&'static str] = &["deferral", "false_positive"];

    /// The word in the database, the API and the query language.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Deferral => "deferral",
            Kind::FalsePositive => "false_positive",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// As people write it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Kind::Deferral => "Deferral",
            Kind::FalsePositive => "False positive",
        }
    }
}

/// How a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not answered yet.
    Requested,
    /// Granted.
    Approved,
    /// Refused.
    Rejected,
    /// Taken back before the answer.
    Withdrawn,
    /// Nobody answered in time.
    Lapsed,
    /// Nothing is left to decide: its items closed meanwhile.
    Obsolete,
    /// Granted, and taken back later.
    Revoked,
}

impl State {
    /// Every state.
    pub const ALL: [State; 7] = [
        State::Requested,
        State::Approved,
        State::Rejected,
        State::Withdrawn,
        State::Lapsed,
        State::Obsolete,
        State::Revoked,
    ];
    /// Their words.
    pub const WORDS: &'static [&'static str] =
        &["requested", "approved", "rejected", "withdrawn", "lapsed", "obsolete", "revoked"];

    /// The word in the database, the API and the query language.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Requested => "requested",
            State::Approved => "approved",
            State::Rejected => "rejected",
            State::Withdrawn => "withdrawn",
            State::Lapsed => "lapsed",
            State::Obsolete => "obsolete",
            State::Revoked => "revoked",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// What is wrong with a field of a request: its name, a code, a sentence.
pub type Wrong = (&'static str, &'static str, String);

/// A request that may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What is asked for.
    pub kind: Kind,
    /// The substate it would give.
    pub what: Substate,
    /// Why, in the requester's words.
    pub note: String,
    /// Until when.
    pub until: Option<Timestamp>,
}

/// Check what somebody typed: a deferral needs a reason of the list, a note and an end within `days_max`; a false positive
/// needs a note, and only who decides may say an end.
///
/// # Errors
/// Everything that is wrong, field by field.
pub fn wanted(
    kind: &str,
    reason: &str,
    note: &str,
    until: Option<Timestamp>,
    days_max: i64,
    now: Timestamp,
) -> Result<Wanted, Vec<Wrong>> {
    let mut wrong: Vec<Wrong> = Vec::new();
    let Some(kind) = Kind::parse(kind) else {
        return Err(vec![("kind", "unknown", format!("a request is one of {}", Kind::WORDS.join(", ")))]);
    };
    let reasons = || Substate::DEFERRALS.map(Substate::as_str).join(", ");
    let what = match kind {
        Kind::FalsePositive if reason.is_empty() => Substate::FalsePositive,
        Kind::FalsePositive => {
            wrong.push((
                "reason",
                "not_wanted",
                "a false positive has no reason of the list; say it in the note".to_owned(),
            ));
            Substate::FalsePositive
        }
        Kind::Deferral => {
            let known = Substate::DEFERRALS.into_iter().find(|substate| substate.as_str() == reason);
            if known.is_none() {
                wrong.push(("reason", "unknown", format!("a reason is one of {}", reasons())));
            }
            known.unwrap_or(Substate::Other)
        }
    };
    let note = match self::note(note) {
        Ok(note) => note,
        Err(why) => {
            wrong.push(("note", "bad_note", why));
            String::new()
        }
    };
    match (kind, until) {
        (Kind::Deferral, None) => wrong.push(("until", "missing", "a deferral has an end".to_owned())),
        (Kind::FalsePositive, Some(_)) => {
            wrong.push(("until", "not_wanted", "whoever decides says how long a false positive holds".to_owned()));
        }
        (Kind::Deferral, Some(until)) => wrong.extend(end(until, days_max, now).err()),
        (Kind::FalsePositive, None) => {}
    }
    if wrong.is_empty() { Ok(Wanted { kind, what, note, until }) } else { Err(wrong) }
}

/// A note that says something, in at most [`NOTE_CHARS_MAX`] characters, without characters that cannot be read.
///
/// # Errors
/// What is wrong with it.
pub fn note(text: &str) -> Result<String, String> {
    let text = text.trim().replace("\r\n", "\n");
    if text.is_empty() {
        return Err("say why; whoever decides reads it".to_owned());
    }
    if text.chars().count() > NOTE_CHARS_MAX {
        return Err(format!("at most {NOTE_CHARS_MAX} characters are kept; yours are more"));
    }
    if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\t')) {
        return Err("it holds characters that cannot be read".to_owned());
    }
    Ok(text)
}

/// Whether something may be granted until then.
///
/// # Errors
/// What is wrong with it: not ahead of now, or further ahead than `days_max` days.
pub fn end(until: Timestamp, days_max: i64, now: Timestamp) -> Result<(), Wrong> {
    if until <= now {
        return Err(("until", "past", "the end lies in the past".to_owned()));
    }
    if until > now.plus_seconds(days_max.saturating_mul(DAY)) {
        return Err(("until", "too_far", format!("the end lies at most {days_max} days ahead")));
    }
    Ok(())
}

/// When a request of now lapses.
#[must_use]
pub fn answer_by(now: Timestamp) -> Timestamp {
    now.plus_seconds(ANSWER_DAYS * DAY)
}

/// Whether this request may be decided by this person.
///
/// # Errors
/// `exception_decided` for one that has its answer, `own_request` for who asked, whatever his roles.
pub fn may_decide(state: State, requested_by: UserId, by: UserId) -> Result<(), Refusal> {
    undecided(state)?;
    if requested_by == by {
        return Err(Refusal::new("own_request", "you asked for this exception; somebody else has to decide about it"));
    }
    Ok(())
}

/// Whether this request may be withdrawn by this person.
///
/// # Errors
/// `exception_decided`, and `not_your_request` for anybody but who asked.
pub fn may_withdraw(state: State, requested_by: UserId, by: UserId) -> Result<(), Refusal> {
    undecided(state)?;
    if requested_by != by {
        return Err(Refusal::new("not_your_request", "only who asked for an exception withdraws it"));
    }
    Ok(())
}

/// Whether what this request granted may be revoked.
///
/// # Errors
/// `not_approved` for what was not granted, `reopen_items` for a deferral.
pub fn may_revoke(kind: Kind, state: State) -> Result<(), Refusal> {
    match (kind, state) {
        (_, state) if state != State::Approved => {
            Err(Refusal::new("not_approved", format!("the request is {}, so it grants nothing", state.as_str())))
        }
        (Kind::Deferral, _) => {
            Err(Refusal::new("reopen_items", "a deferral ends by setting its items to Open, or at its end"))
        }
        (Kind::FalsePositive, _) => Ok(()),
    }
}

fn undecided(state: State) -> Result<(), Refusal> {
    match state {
        State::Requested => Ok(()),
        state => Err(Refusal::new("exception_decided", format!("the request is {} already", state.as_str()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(days * DAY)
    }

    #[test]
    fn requests_by_table() {
        let fields = |kind, reason, note, until: Option<i64>| {
            wanted(kind, reason, note, until.map(at), DAYS_MAX, at(0))
                .map_err(|wrong| wrong.into_iter().map(|(field, code, _)| (field, code)).collect::<Vec<_>>())
        };
        let long = "x".repeat(NOTE_CHARS_MAX + 1);
        for (kind, reason, note, until, expected) in [
            ("deferral", "risk_accepted", "why", Some(30), vec![]),
            ("deferral", "risk_accepted", "why", Some(DAYS_MAX), vec![]),
            ("deferral", "other", "why", Some(DAYS_MAX + 1), vec![("until", "too_far")]),
            ("deferral", "other", "why", Some(2_900_000), vec![("until", "too_far")]),
            ("deferral", "other", "why", Some(0), vec![("until", "past")]),
            ("deferral", "other", "why", Some(-1), vec![("until", "past")]),
            ("deferral", "other", "why", None, vec![("until", "missing")]),
            ("deferral", "", " ", Some(1), vec![("reason", "unknown"), ("note", "bad_note")]),
            ("deferral", "fixed", "why", Some(1), vec![("reason", "unknown")]),
            ("deferral", "false_positive", "why", Some(1), vec![("reason", "unknown")]),
            ("deferral", "other", long.as_str(), Some(1), vec![("note", "bad_note")]),
            ("deferral", "other", "a\u{0}b", Some(1), vec![("note", "bad_note")]),
            ("false_positive", "", "why", None, vec![]),
            ("false_positive", "other", "why", None, vec![("reason", "not_wanted")]),
            ("false_positive", "", "why", Some(1), vec![("until", "not_wanted")]),
            ("cancelled", "", "why", None, vec![("kind", "unknown")]),
        ] {
            let found = fields(kind, reason, note, until).err().unwrap_or_default();
            assert_eq!(found, expected, "{kind} {reason} {until:?}");
        }
    }

    #[test]
    fn how_far_ahead_is_a_setting() {
        assert!(end(at(30), 30, at(0)).is_ok());
        assert_eq!(end(at(31), 30, at(0)).map_err(|(_, code, _)| code), Err("too_far"));
    }

    #[test]
    fn who_asked_never_decides_and_nothing_is_decided_twice() {
        let (ada, bob) = (UserId(1), UserId(2));
        for state in State::ALL {
            let open = state == State::Requested;
            let code = |result: Result<(), Refusal>| result.err().map(|refusal| refusal.code);
            assert_eq!(code(may_decide(state, ada, bob)), (!open).then_some("exception_decided"));
            assert_eq!(code(may_decide(state, ada, ada)), Some(if open { "own_request" } else { "exception_decided" }));
            assert_eq!(code(may_withdraw(state, ada, ada)), (!open).then_some("exception_decided"));
            assert_eq!(
                code(may_withdraw(state, ada, bob)),
                Some(if open { "not_your_request" } else { "exception_decided" })
            );
            let approved = state == State::Approved;
            assert_eq!(code(may_revoke(Kind::FalsePositive, state)), (!approved).then_some("not_approved"));
            assert_eq!(
                code(may_revoke(Kind::Deferral, state)),
                Some(if approved { "reopen_items" } else { "not_approved" })
            );
        }
    }

    #[test]
    fn words_go_there_and_back() {
        assert!(State::ALL.iter().zip(State::WORDS).all(|(state, word)| state.as_str() == *word));
        assert!(State::WORDS.iter().all(|word| State::parse(word).is_some()));
        assert!(
            Kind::ALL.iter().zip(Kind::WORDS).all(|(kind, word)| kind.as_str() == *word && Kind::parse(word).is_some())
        );
    }
}
