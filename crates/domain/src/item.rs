//! The vulnerable item: its workflow state, and how detections roll up into it.
//!
//! Only imported detections close or reopen an item; people use the legal transitions among the open states, and what was
//! granted on request ([`crate::exception`]) defers an item or calls it a false positive.
//! `item/transitions.txt` has every state and event by hand. Bulk roll-up runs set by set in `store::items`; a property test
//! holds it to [`roll_up`].

#[cfg(test)]
mod tests;
pub mod why;

use crate::detection::Presence;
use crate::exception::Kind;
use crate::refusal::Refusal;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Workflow state of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// To be worked on.
    Open,
    /// Somebody looks at it.
    UnderInvestigation,
    /// Decided, not yet done.
    AwaitingImplementation,
    /// Somebody asked for an exception, which is being decided.
    InReview,
    /// Put off until a time, by a decision.
    Deferred,
    /// Said to be done; the scanner has the last word.
    Resolved,
    /// The scanner no longer finds it, or it was decided to be a false positive.
    Closed,
}

impl State {
    /// Every state, in the order of the work.
    pub const ALL: [State; 7] = [
        State::Open,
        State::UnderInvestigation,
        State::AwaitingImplementation,
        State::InReview,
        State::Deferred,
        State::Resolved,
        State::Closed,
    ];

    /// Their words.
    pub const WORDS: &'static [&'static str] =
        &["open", "under_investigation", "awaiting_implementation", "in_review", "deferred", "resolved", "closed"];

    /// The word used in the database, the API and the query language.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::UnderInvestigation => "under_investigation",
            State::AwaitingImplementation => "awaiting_implementation",
            State::InReview => "in_review",
            State::Deferred => "deferred",
            State::Resolved => "resolved",
            State::Closed => "closed",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// As people write it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            State::Open => "Open",
            State::UnderInvestigation => "Under Investigation",
            State::AwaitingImplementation => "Awaiting Implementation",
            State::InReview => "In Review",
            State::Deferred => "Deferred",
            State::Resolved => "Resolved",
            State::Closed => "Closed",
        }
    }
}

/// Why an item is in its state, where the state alone does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Substate {
    /// Nothing to add.
    None,
    /// Closed: the scanner found it gone.
    Fixed,
    /// Closed: no scanner has reported it for long.
    Stale,
    /// Closed: decided to be none.
    FalsePositive,
    /// Closed: all that is open of it is excluded.
    Excluded,
    /// Closed: its detections belong to the item of another asset.
    Moved,
    /// Resolved: a fix was verified by an agent, a scan has to confirm it.
    AwaitingScan,
    /// Deferred: the risk is accepted.
    RiskAccepted,
    /// Deferred: it waits for a maintenance window.
    AwaitingMaintenanceWindow,
    /// Deferred: there is no fix yet.
    FixUnavailable,
    /// Deferred: something else keeps the risk down.
    MitigatingControl,
    /// Deferred: for a reason that its request tells.
    Other,
}

impl Substate {
    /// Every substate.
    pub const ALL: [Substate; 12] = [
        Substate::None,
        Substate::Fixed,
        Substate::Stale,
        Substate::FalsePositive,
        Substate::Excluded,
        Substate::Moved,
        Substate::AwaitingScan,
        Substate::RiskAccepted,
        Substate::AwaitingMaintenanceWindow,
        Substate::FixUnavailable,
        Substate::MitigatingControl,
        Substate::Other,
    ];

    /// Their words.
    pub const WORDS: &'static [&'static str] = &[
        "fixed",
        "stale",
        "false_positive",
        "excluded",
        "moved",
        "awaiting_scan",
        "risk_accepted",
        "awaiting_maintenance_window",
        "fix_unavailable",
        "mitigating_control",
        "other",
    ];

    /// Why an item may be deferred.
    pub const DEFERRALS: [Substate; 5] = [
        Substate::RiskAccepted,
        Substate::AwaitingMaintenanceWindow,
        Substate::FixUnavailable,
        Substate::MitigatingControl,
        Substate::Other,
    ];

    /// The word used in the database and the API; empty for none.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Substate::None => "",
            Substate::Fixed => "fixed",
            Substate::Stale => "stale",
            Substate::FalsePositive => "false_positive",
            Substate::Excluded => "excluded",
            Substate::Moved => "moved",
            Substate::AwaitingScan => "awaiting_scan",
            Substate::RiskAccepted => "risk_accepted",
            Substate::AwaitingMaintenanceWindow => "awaiting_maintenance_window",
            Substate::FixUnavailable => "fix_unavailable",
            Substate::MitigatingControl => "mitigating_control",
            Substate::Other => "other",
        }
    }

    /// The word back to the value; unknown words are none.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        Self::ALL.into_iter().find(|substate| substate.as_str() == word).unwrap_or(Substate::None)
    }

    /// As people write it; empty for none.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Substate::None => "",
            Substate::Fixed => "Fixed",
            Substate::Stale => "Stale",
            Substate::FalsePositive => "False positive",
            Substate::Excluded => "Excluded",
            Substate::Moved => "Moved",
            Substate::AwaitingScan => "Awaiting scan",
            Substate::RiskAccepted => "Risk accepted",
            Substate::AwaitingMaintenanceWindow => "Awaiting maintenance window",
            Substate::FixUnavailable => "Fix unavailable",
            Substate::MitigatingControl => "Mitigating control in place",
            Substate::Other => "Other",
        }
    }
}

/// What was granted to an item on request. It outlives a closing: an item that is seen again within its time is deferred again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// One of [`Substate::DEFERRALS`], or [`Substate::FalsePositive`].
    pub what: Substate,
    /// It holds until then; for ever where that is none.
    pub until: Option<Timestamp>,
}

impl Granted {
    /// Whether it holds now; its last moment is the one before `until`.
    #[must_use]
    pub fn holds(self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The workflow part of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workflow {
    /// State.
    pub state: State,
    /// Substate.
    pub substate: Substate,
    /// When it became Resolved.
    pub resolved_at: Option<Timestamp>,
    /// How often it came back.
    pub reopened: u32,
    /// What was granted on request and was not taken back.
    pub granted: Option<Granted>,
}

impl Workflow {
    /// A new item.
    pub const NEW: Workflow =
        Workflow { state: State::Open, substate: Substate::None, resolved_at: None, reopened: 0, granted: None };

    fn to(self, state: State, substate: Substate) -> Workflow {
        Workflow { state, substate, ..self }
    }

    /// Open again, and nothing is granted any more.
    fn opened(self) -> Workflow {
        Workflow { reopened: self.reopened, ..Workflow::NEW }
    }

    /// Seen again after it was closed or resolved: deferred where that still holds, else open.
    fn seen_again(self, now: Timestamp) -> Workflow {
        Workflow { reopened: self.reopened.saturating_add(1), ..self }.open_again(now)
    }

    /// Deferred where that still holds, else open.
    fn open_again(self, now: Timestamp) -> Workflow {
        let again = self.opened();
        match self.granted.filter(|granted| granted.what != Substate::FalsePositive && granted.holds(now)) {
            Some(granted) => Workflow { granted: Some(granted), ..again.to(State::Deferred, granted.what) },
            None => again,
        }
    }
}

/// What its detections say of an item, rolled up: the highest presence wins (Open > Fixed > Stale > Excluded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sightings {
    /// The highest presence of all its detections.
    pub presence: Presence,
    /// The latest time one of the open ones was found.
    pub last_found_at: Option<Timestamp>,
}

impl Sightings {
    /// Of an item without a detection: nobody knows.
    pub const NOTHING: Sightings = Sightings { presence: Presence::Stale, last_found_at: None };
}

/// The item after an import. A closed item seen again opens, or is deferred again; a resolved one opens only when it was found
/// *after* it was resolved; an item in work, in review or deferred stays so. A false positive stays closed as long as that was
/// granted, whatever a scanner says. What closed because it was excluded or moved did not come back when that ends, so it opens
/// uncounted.
#[must_use]
pub fn roll_up(item: Workflow, seen: Sightings, now: Timestamp) -> Workflow {
    match (seen.presence, item.state, item.substate) {
        (Presence::Open, State::Closed, Substate::FalsePositive)
            if item.granted.is_none_or(|granted| granted.holds(now)) =>
        {
            item
        }
        (Presence::Fixed | Presence::Stale, State::Closed, Substate::FalsePositive) => item,
        (Presence::Open, State::Closed, Substate::Excluded | Substate::Moved) => item.open_again(now),
        (Presence::Open, State::Closed, _) => item.seen_again(now),
        (Presence::Open, State::Resolved, _) if seen.last_found_at > item.resolved_at => item.seen_again(now),
        (Presence::Open, ..) => item,
        (Presence::Fixed, ..) => item.to(State::Closed, Substate::Fixed),
        // A closed item keeps its reason: nobody unlearns that it was fixed because a scanner went silent.
        (Presence::Stale | Presence::Excluded, State::Closed, _) => item,
        (Presence::Stale, ..) => item.to(State::Closed, Substate::Stale),
        (Presence::Excluded, ..) => item.to(State::Closed, Substate::Excluded),
    }
}

/// The same where a deferral that still holds is not taken up `again` by an item that closed or was resolved: then it opens.
#[must_use]
pub fn roll_up_by(item: Workflow, seen: Sightings, again: bool, now: Timestamp) -> Workflow {
    let after = roll_up(item, seen, now);
    let taken_up = after.state == State::Deferred && item.state != State::Deferred;
    if taken_up && !again { Workflow { granted: None, ..after.to(State::Open, Substate::None) } } else { after }
}

/// An item whose asset turned out to be another one's, after that one's item of the same weakness joined it: what was asked or
/// granted for the other counts for it, too, unless somebody decided about it already. What its detections say is rolled up after.
#[must_use]
pub fn joined(item: Workflow, other: Workflow) -> Workflow {
    let undecided = matches!(item.state, State::Open | State::UnderInvestigation | State::AwaitingImplementation)
        || item.state == State::Closed && item.granted.is_none();
    let taken = Workflow { state: other.state, substate: other.substate, granted: other.granted, ..item };
    match (other.state, other.substate) {
        (State::InReview | State::Deferred, _) if undecided => taken,
        (State::Closed, Substate::FalsePositive) if undecided && item.state == State::Closed => taken,
        _ => item,
    }
}

fn refuse<T>(code: &'static str, sentence: &str) -> Result<T, Refusal> {
    Err(Refusal::new(code, sentence))
}

const ITEM_CLOSED: &str = "a closed item is reopened by an import only, when a scanner finds it again";
const RESOLVED: &str = "the item is Resolved: set it to Open or Under Investigation first";
const DEFERRED: &str = "the item is Deferred: set it to Open first";
const IN_REVIEW: &str = "an exception is being decided for it; withdraw the request first";

/// A change that a person may make to the state of an item.
///
/// # Errors
/// `item_closed` for a closed item, `closed_by_import` for an attempt to close one, `by_request` for states that are reached by a
/// decision only, `in_review`, `deferred` and `resolved` for what has to be left otherwise, `same_state` for no change.
pub fn change_state(item: Workflow, to: State, now: Timestamp) -> Result<Workflow, Refusal> {
    match (item.state, to) {
        (State::Closed, _) if item.substate == Substate::FalsePositive => {
            refuse("item_closed", "a false positive is opened by revoking the exception that closed it")
        }
        (State::Closed, _) => refuse("item_closed", ITEM_CLOSED),
        (_, State::Closed) => {
            refuse("closed_by_import", "an item is closed by an import only; set it to Resolved and request a rescan")
        }
        (_, State::InReview | State::Deferred) => {
            refuse("by_request", "an item is deferred by a decision only; request an exception")
        }
        (State::InReview, _) => refuse("in_review", IN_REVIEW),
        (from, to) if from == to => Err(Refusal::new("same_state", format!("the item is {} already", to.title()))),
        (State::Deferred, State::Open) => Ok(item.opened()),
        (State::Deferred, _) => refuse("deferred", DEFERRED),
        (State::Resolved, State::AwaitingImplementation) => refuse("resolved", RESOLVED),
        (_, to) => {
            let resolved_at = (to == State::Resolved).then_some(now);
            Ok(Workflow { resolved_at, ..item.to(to, Substate::None) })
        }
    }
}

/// Somebody asks for an exception: the item is in review until it is decided. A deferred item stays deferred while a longer time is
/// asked for.
///
/// # Errors
/// `item_closed`, `resolved`, `exception_open` where one is being decided, `deferred` for a false positive of a deferred item.
pub fn ask(item: Workflow, kind: Kind) -> Result<Workflow, Refusal> {
    match (item.state, kind) {
        (State::Open | State::UnderInvestigation | State::AwaitingImplementation, _) => {
            Ok(item.to(State::InReview, Substate::None))
        }
        (State::Deferred, Kind::Deferral) => Ok(item),
        (State::Deferred, Kind::FalsePositive) => refuse("deferred", DEFERRED),
        (State::InReview, _) => refuse("exception_open", "an exception is being decided for it already"),
        (State::Resolved, _) => refuse("resolved", RESOLVED),
        (State::Closed, _) => refuse("item_closed", "the item is closed, so there is nothing to except"),
    }
}

/// What ends a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was granted.
    Granted(Granted),
    /// It was refused or withdrawn: the item is again what it was.
    Back(State),
    /// Nobody answered in time: the item is open.
    Lapsed,
}

/// An item after the answer to a request about it; `None` where the item has gone another way meanwhile.
#[must_use]
pub fn answered(item: Workflow, answer: Answer) -> Option<Workflow> {
    match (item.state, answer) {
        (State::InReview, Answer::Granted(granted)) if granted.what == Substate::FalsePositive => {
            Some(Workflow { granted: Some(granted), ..item.to(State::Closed, granted.what) })
        }
        (State::InReview | State::Deferred, Answer::Granted(granted)) if granted.what != Substate::FalsePositive => {
            // Of two deferrals that overlap the later end counts.
            let before = item.granted.filter(|_| item.state == State::Deferred).and_then(|before| before.until);
            let granted = Granted { until: granted.until.max(before), ..granted };
            Some(Workflow { granted: Some(granted), ..item.to(State::Deferred, granted.what) })
        }
        // A longer deferral that was refused leaves the one there is.
        (State::Deferred, Answer::Back(_) | Answer::Lapsed) => Some(item),
        (State::InReview, Answer::Back(before)) => Some(item.to(before, Substate::None)),
        (State::InReview, Answer::Lapsed) => Some(item.to(State::Open, Substate::None)),
        _ => None,
    }
}

/// An item whose granted time is over: a deferred one is open, a false positive is as its detections say; `None` for any other.
/// An unchanged report would not wake it, so time itself does.
#[must_use]
pub fn time_over(item: Workflow, seen: Sightings, now: Timestamp) -> Option<Workflow> {
    let over = item.granted.map(|granted| !granted.holds(now));
    match (item.state, over) {
        (State::Deferred, Some(true) | None) => Some(item.opened()),
        (State::Closed, Some(true)) => revoked(item, seen, now),
        _ => None,
    }
}

/// An item whose false positive is revoked: as its detections say it; `None` for any other.
#[must_use]
pub fn revoked(item: Workflow, seen: Sightings, now: Timestamp) -> Option<Workflow> {
    let over = item.state == State::Closed && item.substate == Substate::FalsePositive;
    over.then(|| {
        let open = Workflow { reopened: item.reopened.saturating_add(1), ..item.opened() };
        match roll_up(open, seen, now) {
            closed if closed.state == State::Closed => Workflow { reopened: item.reopened, ..closed },
            open => open,
        }
    })
}

/// A verified fix by one of our agents makes the item Resolved; a scan has to confirm it. What is being decided stays so.
#[must_use]
pub fn fix_verified(item: Workflow, now: Timestamp) -> Workflow {
    match item.state {
        State::Closed | State::InReview => item,
        _ => Workflow { resolved_at: Some(now), ..item.to(State::Resolved, Substate::AwaitingScan) },
    }
}
