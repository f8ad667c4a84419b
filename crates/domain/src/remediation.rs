//! Remediation tasks: sets of items for one owner or group, whose state moves their items and follows them.
//!
//! Down: of the state that an item has by itself and the states of its tasks the highest by [`rank`] counts ([`effective`]).
//! Up: a task is closed, deferred or in review because its items are ([`rolled_up`]); people never close one.
//! A task's being Closed, Deferred or In Review comes from its items, so it never moves one of them.

pub mod group;
mod rollup;
pub mod rule;
#[cfg(test)]
mod tests;
pub mod why;

pub use rollup::{Counts, rolled_up};

use crate::item::{self, State};
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Items in one task at most: as many as one exception can be asked for.
pub const ITEMS_MAX: usize = 10_000;
/// Characters of a title at most.
pub const TITLE_CHARS_MAX: usize = 160;
/// Characters of a description at most.
pub const DESCRIPTION_CHARS_MAX: usize = 4_000;
/// Characters of a note at most.
pub const NOTE_CHARS_MAX: usize = 10_000;
/// Tasks that one call by hand makes at most.
pub const MADE_MAX: usize = 1_000;

/// Where a task comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A person made it.
    Hand,
    /// A task rule made it.
    Rule,
    /// It was made for a remediation effort.
    Effort,
    /// It was split from another.
    Split,
}

impl Origin {
    /// Every origin.
    pub const ALL: [Origin; 4] = [Origin::Hand, Origin::Rule, Origin::Effort, Origin::Split];
    /// Their words.
    pub const WORDS: &'static [&'static str] = &["hand", "rule", "effort", "split"];

    /// The word in the database, the API and the query language.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Hand => "hand",
            Origin::Rule => "rule",
            Origin::Effort => "effort",
            Origin::Split => "split",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.as_str() == word)
    }
}

/// What is done with items that are in an open task already when tasks are made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Existing {
    /// They are left out.
    Skip,
    /// They leave the open tasks they are in.
    Move,
    /// They are in both.
    Keep,
}

impl Existing {
    /// Every choice.
    pub const ALL: [Existing; 3] = [Existing::Skip, Existing::Move, Existing::Keep];
    /// Their words.
    pub const WORDS: &'static [&'static str] = &["skip", "move", "keep"];

    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Existing::Skip => "skip",
            Existing::Move => "move",
            Existing::Keep => "keep",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|existing| existing.as_str() == word)
    }
}

/// Why a task is in its state: as of an item, or cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Substate {
    /// As an item has it.
    Of(item::Substate),
    /// Closed without anything having been done: emptied, or nothing reports its items any more.
    Cancelled,
}

impl Substate {
    /// Nothing to add.
    pub const NONE: Substate = Substate::Of(item::Substate::None);

    /// The word used in the database and the API; empty for none.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Substate::Of(substate) => substate.as_str(),
            Substate::Cancelled => "cancelled",
        }
    }

    /// The word back to the value; unknown words are none.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "cancelled" => Substate::Cancelled,
            word => Substate::Of(item::Substate::parse(word)),
        }
    }

    /// As people write it; empty for none.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Substate::Of(substate) => substate.title(),
            Substate::Cancelled => "Cancelled",
        }
    }
}

/// Which of several states counts: the higher one.
#[must_use]
pub fn rank(state: State) -> u8 {
    match state {
        State::Closed => 7,
        State::Deferred => 6,
        State::Resolved => 5,
        State::InReview => 4,
        State::AwaitingImplementation => 3,
        State::UnderInvestigation => 2,
        State::Open => 1,
    }
}

/// Whether a task in this state can move its items: the three that people set. The others come from the items themselves.
#[must_use]
pub fn moves(state: State) -> bool {
    matches!(state, State::UnderInvestigation | State::AwaitingImplementation | State::Resolved)
}

/// The state of an item: the highest of its own and those of its tasks, and the place of the task that decides it; none where the
/// item's own state does. Of equal ones the item's own counts, then the first task.
#[must_use]
pub fn effective(own: State, tasks: &[State]) -> (State, Option<usize>) {
    let mut decided = (own, None);
    if own == State::Closed {
        return decided;
    }
    for (place, task) in tasks.iter().enumerate().filter(|(_, task)| moves(**task)) {
        if rank(*task) > rank(decided.0) {
            decided = (*task, Some(place));
        }
    }
    decided
}

/// The workflow part of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// State.
    pub state: State,
    /// Why it is so.
    pub substate: Substate,
    /// Its state before it was in review.
    pub before_review: State,
    /// Deferred: the earliest end of its items' deferrals.
    pub until: Option<Timestamp>,
    /// When it became Resolved.
    pub resolved_at: Option<Timestamp>,
    /// When it closed.
    pub closed_at: Option<Timestamp>,
    /// A person or a group has it.
    pub assigned: bool,
}

impl Life {
    /// A new task.
    pub const NEW: Life = Life {
        state: State::Open,
        substate: Substate::NONE,
        before_review: State::Open,
        until: None,
        resolved_at: None,
        closed_at: None,
        assigned: false,
    };

    fn to(self, state: State, substate: Substate) -> Life {
        Life { state, substate, until: None, resolved_at: None, closed_at: None, ..self }
    }
}

fn refuse<T>(code: &'static str, sentence: &str) -> Result<T, Refusal> {
    Err(Refusal::new(code, sentence))
}

const TASK_CLOSED: &str = "the task is closed and stays so; items that come back are grouped anew";
const TASK_IN_REVIEW: &str = "an exception is being decided for its items; withdraw the request first";

/// A change that a person may make to the state of a task.
///
/// # Errors
/// `task_closed` for a closed task, `closed_by_items` for an attempt to close one, `by_request` for states that are reached by a
/// decision only, `in_review`, `deferred` and `resolved` for what has to be left otherwise, `same_state` for no change.
pub fn change_state(task: Life, to: State, now: Timestamp) -> Result<Life, Refusal> {
    match (task.state, to) {
        (State::Closed, _) => refuse("task_closed", TASK_CLOSED),
        (_, State::Closed) => {
            refuse("closed_by_items", "a task closes when its items do; set it to Resolved and request a rescan")
        }
        (_, State::InReview | State::Deferred) => {
            refuse("by_request", "a task is deferred by a decision about its items only; request an exception")
        }
        (State::InReview, _) => refuse("in_review", TASK_IN_REVIEW),
        (from, to) if from == to => Err(Refusal::new("same_state", format!("the task is {} already", to.title()))),
        (State::Deferred, State::Open) => Ok(task.to(State::Open, Substate::NONE)),
        (State::Deferred, _) => refuse("deferred", "the task is Deferred: set it to Open first"),
        (State::Resolved, State::AwaitingImplementation) => {
            refuse("resolved", "the task is Resolved: set it to Open or Under Investigation first")
        }
        (_, to) => {
            let resolved_at = (to == State::Resolved).then_some(now);
            Ok(Life { resolved_at, ..task.to(to, Substate::NONE) })
        }
    }
}

/// Whether a task can be split: something has to go and something has to stay.
///
/// # Errors
/// `task_closed`, `not_in_work` for a task that is in review, deferred or resolved, `one_item` where at most one item is open.
pub fn may_split(state: State, open_items: i64) -> Result<(), Refusal> {
    in_work(state)?;
    if open_items < 2 {
        return refuse("one_item", "at most one of its items is open, so there is nothing to split");
    }
    Ok(())
}

/// Whether items can be added to a task in this state, which has so many.
///
/// # Errors
/// `task_closed`, `not_in_work`, `task_full`.
pub fn may_add(state: State, items: i64, more: usize) -> Result<(), Refusal> {
    in_work(state)?;
    let total = usize::try_from(items).unwrap_or(usize::MAX).saturating_add(more);
    if total > ITEMS_MAX {
        let why = format!("a task holds at most {ITEMS_MAX} items, and it would have {total}");
        return Err(Refusal::new("task_full", why));
    }
    Ok(())
}

/// Whether items can be taken out of a task in this state.
///
/// # Errors
/// `task_closed`.
pub fn may_remove(state: State) -> Result<(), Refusal> {
    if state == State::Closed { refuse("task_closed", TASK_CLOSED) } else { Ok(()) }
}

/// Whether a task can be assigned in this state.
///
/// # Errors
/// `task_closed`.
pub fn may_assign(state: State) -> Result<(), Refusal> {
    if state == State::Closed { refuse("task_closed", TASK_CLOSED) } else { Ok(()) }
}

/// Whether a task can be deleted: only an empty one, so that nothing that happened is lost.
///
/// # Errors
/// `has_items`.
pub fn may_delete(items: i64) -> Result<(), Refusal> {
    if items > 0 { refuse("has_items", "the task has items; take them out first") } else { Ok(()) }
}

fn in_work(state: State) -> Result<(), Refusal> {
    match state {
        State::Open | State::UnderInvestigation | State::AwaitingImplementation => Ok(()),
        State::Closed => refuse("task_closed", TASK_CLOSED),
        other => Err(Refusal::new(
            "not_in_work",
            format!(
                "the task is {}; its items can be moved while it is Open, Under Investigation or Awaiting \
                     Implementation",
                other.title()
            ),
        )),
    }
}

/// A line of text for a task, such as its title: trimmed, without control characters, at most so many characters.
///
/// # Errors
/// What is wrong with it.
pub fn line(text: &str, most: usize) -> Result<String, String> {
    let text = text.trim();
    if text.chars().count() > most {
        return Err(format!("at most {most} characters are kept; yours are more"));
    }
    if text.chars().any(char::is_control) {
        return Err("it holds characters that cannot be read".to_owned());
    }
    Ok(text.to_owned())
}

/// A note or a description: trimmed, with line ends, at most so many characters.
///
/// # Errors
/// What is wrong with it.
pub fn text(text: &str, most: usize) -> Result<String, String> {
    let text = text.trim().replace("\r\n", "\n");
    if text.chars().count() > most {
        return Err(format!("at most {most} characters are kept; yours are more"));
    }
    if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\t')) {
        return Err("it holds characters that cannot be read".to_owned());
    }
    Ok(text)
}
